//! A terminal with a process in it, as the ways look at it: the agent's, or that of a multiplexer's client.
//!
//! What a process has in its environment is a claim: it may be inherited from another terminal, and outlive the program
//! that it names. What the kernel says of the process's terminal and ancestors proves it.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::hook;
use crate::os::environment;
use crate::os::process;
use crate::os::process_environment::ProcessEnvironment;
use crate::protocol::{SessionRecord, Terminal};

/// How many ancestors are looked at.
const MAX_ANCESTORS: usize = 64;

/// A process, and the terminal that controls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ancestor {
    pub(super) pid: u32,
    pub(super) tty: Option<String>,
}

/// A terminal, the processes below which it is, and what their environment says of it.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// The terminal's device.
    pub(super) tty: Option<String>,
    /// The process and its ancestors, the nearest first; none where the process cannot be seen from here.
    pub(super) ancestors: Vec<Ancestor>,
    /// What the environment says.
    pub(super) claims: Terminal,
    /// The session of `$TMUX`: `$3`.
    pub(super) tmux_session: Option<String>,
    /// `$WINDOWID`: the terminal's window of an X11 display.
    pub(super) window_id: Option<u32>,
    /// The directory in which the agent began.
    pub(super) directory: Option<PathBuf>,
}

impl Frame {
    /// The agent's terminal, as its hook has described it; what that lacks is read from the process.
    pub(super) fn of_session(session: &SessionRecord<'_>) -> Self {
        let is_the_agent = |pid: &u32| {
            let found = process::inspect(*pid);
            found.is_ok_and(|found| Some(found.id.start) == session.process_start)
        };
        let seen = session.pid.filter(is_the_agent).map(Self::of_process);
        let mut frame = seen.unwrap_or_default();
        if let Some(terminal) = session.terminal.as_deref() {
            frame.tty = terminal.tty.as_deref().map(str::to_owned).or(frame.tty);
            frame.claims = terminal.clone();
        }
        let directory = session.start_cwd.as_deref().or(session.cwd.as_deref());
        frame.directory = directory.map(PathBuf::from);
        frame
    }

    /// The terminal of a process.
    pub(super) fn of_process(pid: u32) -> Self {
        let ancestors = ancestors(pid);
        let tty = ancestors.first().and_then(|process| process.tty.clone());
        let on_terminal = ancestors.iter().take_while(|process| process.tty == tty);
        let mut environments: Vec<_> = on_terminal
            .filter_map(|process| ProcessEnvironment::of(process.pid))
            .collect();
        // The terminal's first process has what the terminal has set.
        environments.reverse();
        let variable = |name: &str| -> Option<OsString> {
            let mut found = environments.iter().map(|from| from.variable(name));
            found.find_map(|value| value)
        };
        Self {
            claims: hook::terminal(tty.as_deref(), variable),
            tmux_session: tmux_session(variable("TMUX")),
            window_id: window_id(variable("WINDOWID")),
            tty,
            ancestors,
            directory: None,
        }
    }

    /// This process's own terminal.
    pub(super) fn of_this_process() -> Self {
        let ancestors = ancestors(std::process::id());
        let tty = ancestors.first().and_then(|process| process.tty.clone());
        Self {
            claims: hook::terminal(tty.as_deref(), environment::variable),
            tmux_session: tmux_session(environment::variable("TMUX")),
            window_id: window_id(environment::variable("WINDOWID")),
            tty,
            ancestors,
            directory: None,
        }
    }

    /// The processes above those on this terminal, the nearest first. The first of them owns the terminal: it made it, and
    /// shows what is written there.
    pub(super) fn owners(&self) -> &[Ancestor] {
        let first = self.ancestors.first().map(|process| &process.tty);
        let other = |process: &Ancestor| Some(&process.tty) != first;
        let end = self.ancestors.iter().position(other);
        end.map_or(&[], |end| &self.ancestors[end..])
    }

    /// Whether the process is a child of this one, or of a child, all on one terminal.
    pub(super) fn is_owned_by(&self, pid: u32) -> bool {
        let owner = self.owners().first().map(|owner| owner.pid);
        // A server has no terminal, and so may have what it runs in the background.
        owner == Some(pid) || self.is_on_terminal(pid)
    }

    /// Whether the process is this one or an ancestor of it on the same terminal.
    pub(super) fn is_on_terminal(&self, pid: u32) -> bool {
        self.on_terminal().iter().any(|process| process.pid == pid)
    }

    fn on_terminal(&self) -> &[Ancestor] {
        &self.ancestors[..self.ancestors.len() - self.owners().len()]
    }
}

/// "socket,server pid,session" (tmux(1)).
fn tmux_session(value: Option<OsString>) -> Option<String> {
    let value = value?.into_string().ok()?;
    Some(format!("${}", value.rsplit_once(',')?.1))
}

fn window_id(value: Option<OsString>) -> Option<u32> {
    value?.to_str()?.parse().ok()
}

fn ancestors(pid: u32) -> Vec<Ancestor> {
    let mut found = Vec::new();
    let mut next = pid;
    while next > 1
        && found.len() < MAX_ANCESTORS
        && let Ok(process) = process::inspect(next)
    {
        found.push(Ancestor {
            pid: next,
            tty: process.tty,
        });
        next = process.parent;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(ancestors: &[(u32, Option<&str>)]) -> Frame {
        let ancestors = ancestors.iter().map(|(pid, tty)| Ancestor {
            pid: *pid,
            tty: tty.map(str::to_owned),
        });
        Frame {
            ancestors: ancestors.collect(),
            ..Frame::default()
        }
    }

    #[test]
    fn the_owner_of_a_terminal_is_above_all_processes_on_it() {
        let it = frame(&[
            (30, Some("/dev/pts/2")),
            (20, Some("/dev/pts/2")),
            (10, None),
            (5, Some("/dev/pts/1")),
        ]);
        assert_eq!(it.owners().first().map(|owner| owner.pid), Some(10));
        assert!(it.is_owned_by(10));
        assert!(!it.is_owned_by(5), "it owns the terminal below");
        assert!(it.is_on_terminal(20));
        assert!(!it.is_on_terminal(10));
    }

    #[test]
    fn a_process_without_a_terminal_may_be_a_servers() {
        let in_background = frame(&[(30, None), (20, None), (10, None)]);
        assert!(in_background.is_owned_by(10));
        let elsewhere = frame(&[(30, None), (20, Some("/dev/pts/1")), (10, None)]);
        assert!(!elsewhere.is_owned_by(10));
    }

    #[test]
    fn nothing_is_known_of_a_process_that_cannot_be_seen() {
        assert!(Frame::default().owners().is_empty());
        assert!(!Frame::default().is_owned_by(1));
    }
}
