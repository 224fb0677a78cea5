//! Which process holds a session of Copilot CLI, by its lock or by the process table. Called by [`super::files`].

use std::ffi::OsStr;
use std::path::Path;

use super::super::files::{RunningProcess, System};
use super::super::prompt_mode::is_prompt_mode;
use super::is_program;
use crate::event::ReportedProcess;

/// The process that holds a session: that of its lock; without a lock, unless `only_locks`, the one in a terminal that
/// holds no other session. Of several such it is the one whose arguments name the session; `None` if they do not say.
pub(super) fn find_process(
    id: &str,
    directory: &Path,
    bound: &[ReportedProcess],
    only_locks: bool,
    system: &dyn System,
) -> Option<ReportedProcess> {
    let names = system.names(directory);
    let locks = names
        .iter()
        .filter_map(|name| Some((name, lock_pid(name)?)));
    let locks: Vec<_> = locks.collect();
    if !locks.is_empty() || only_locks {
        return locks.into_iter().find_map(|(name, pid)| {
            let found = system.process(pid)?;
            // A killed process leaves its lock behind, and another may have its id now.
            let is_its_own = !system.is_older(&directory.join(&**name), found.id);
            process_of(pid, system).filter(|_| is_its_own)
        });
    }
    let running = system.processes_of(is_program);
    // The package's launcher waits for the program.
    let is_launcher = |pid: u32| running.iter().any(|other| other.info.parent == pid);
    let in_terminals = running
        .iter()
        .filter(|it| !is_launcher(it.info.id.pid) && !is_prompt_mode(&it.arguments))
        .filter(|it| it.info.tty.is_some());
    let free: Vec<_> = in_terminals
        .map(|it| (reported(it.info.id.pid, it.info.id.start, system), it))
        .filter(|(process, _)| !bound.contains(process))
        .collect();
    if let [(process, _)] = &*free {
        return Some(*process);
    }
    let is_named = |it: &RunningProcess| {
        let mut arguments = it.arguments.iter();
        arguments.any(|argument| argument.strip_prefix("--resume=").unwrap_or(argument) == id)
    };
    let mut candidates = free.into_iter().filter(|(_, it)| is_named(it));
    let (process, _) = candidates.next()?;
    candidates.next().is_none().then_some(process)
}

/// The process id in a lock's name: `inuse.4321.lock`.
fn lock_pid(name: &OsStr) -> Option<u32> {
    let name = name.to_str()?.strip_prefix("inuse.")?;
    name.strip_suffix(".lock")?.parse().ok()
}

fn process_of(pid: u32, system: &dyn System) -> Option<ReportedProcess> {
    let found = system.process(pid).filter(|found| !found.zombie)?;
    Some(reported(pid, found.id.start, system))
}

fn reported(pid: u32, start: u64, system: &dyn System) -> ReportedProcess {
    ReportedProcess {
        pid,
        start: Some(start),
        namespace: system.namespace(),
    }
}

/// False for a process of another pid namespace, too.
pub(super) fn is_alive(process: ReportedProcess, system: &dyn System) -> bool {
    process_of(process.pid, system) == Some(process)
}
