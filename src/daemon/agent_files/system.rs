//! The operating system, as the readers ask it.

use std::ffi::OsStr;
use std::path::Path;

use crate::agents::files::{RunningProcess, System};
use crate::event::ReportedProcess;
use crate::os::process::{self, ProcessId, ProcessInfo};
use crate::os::{clock, process_table};

/// The most names that are read of a directory.
const MAX_NAMES: usize = 4096;

/// The processes and files of this machine.
#[derive(Debug)]
pub(super) struct ProcessTable;

impl System for ProcessTable {
    fn lock_holder(&self, path: &Path) -> Option<ReportedProcess> {
        let pid = process_table::lock_holder(path)?;
        let info = self.process(pid)?;
        Some(ReportedProcess {
            pid,
            start: Some(info.id.start),
            namespace: self.namespace(),
        })
    }

    fn namespace(&self) -> Option<u64> {
        process::namespace()
    }

    fn process(&self, pid: u32) -> Option<ProcessInfo> {
        let info = process::inspect(pid).ok();
        info.filter(|info| !info.zombie)
    }

    fn processes_of(&self, program: fn(&[String], &[String]) -> bool) -> Vec<RunningProcess> {
        process_table::find(program)
    }

    fn is_older(&self, path: &Path, process: ProcessId) -> bool {
        let modified = std::fs::symlink_metadata(path).and_then(|file| file.modified());
        let modified = modified.map_or(0, clock::unix_ms_of);
        modified.saturating_add(process::START_TOLERANCE_MS) < process::started_at(process)
    }

    fn names(&self, directory: &Path) -> Vec<Box<OsStr>> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().into_boxed_os_str());
        names.take(MAX_NAMES).collect()
    }
}
