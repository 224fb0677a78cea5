//! The commands that fix what is wrong, as they fit how the daemon is started here.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::Access;
use rustix::io::Errno;

use crate::config::{ConfigError, SocketChoice, Source};
use crate::install::plan::{FileState, Manager, State};
use crate::os::service_manager::{LAUNCHD_LABEL, SYSTEMD_SERVICE, SYSTEMD_SOCKET};
use crate::os::shell;
use crate::protocol::{HelloResult, Origin};

/// Puts the service's files in place.
pub(super) const INSTALL_SERVICE: &str = "agent-console install --service";

/// Has the environment name no socket.
pub(super) const UNSET: &str = "unset AGENT_CONSOLE_SOCKET";

/// The commands that fit how the daemon is started here.
#[derive(Debug, Clone)]
pub(super) struct FixCommands {
    /// Appended to our own commands where the socket was named on the command line.
    pub(super) flag: String,
    /// Starts it where none answers.
    pub(super) start: String,
    /// Installs the service; without a manager it also starts the daemon, which nothing else does.
    pub(super) install: String,
    /// Has the socket be another than the environment's.
    pub(super) unset: String,
    /// Where the socket comes from, unless a daemon gives it.
    pub(super) origin: Origin,
}

impl FixCommands {
    pub(super) fn new(choice: &SocketChoice, service: Option<&State>) -> Self {
        let flag = match choice.source {
            Source::Flag => format!(" --socket {}", quote(&choice.path)),
            Source::Environment | Source::File | Source::Default => String::new(),
        };
        let is_unmanaged = service.is_some_and(|state| state.manager == Manager::None);
        let install = if is_unmanaged {
            // It fails without a manager, after it has chosen a socket.
            format!("{INSTALL_SERVICE}; agent-console daemon --daemonize")
        } else {
            INSTALL_SERVICE.to_owned()
        };
        // A manager's socket is where the files say, which no flag or variable moves.
        let service = match choice.source {
            Source::Flag | Source::Environment => None,
            Source::File | Source::Default => service,
        };
        let start = service.and_then(start_command);
        let origin = match service
            .filter(|state| state.active)
            .map(|state| state.manager)
        {
            Some(Manager::Systemd) => Origin::Systemd,
            Some(Manager::Launchd) => Origin::Launchd,
            Some(Manager::None) | None => Origin::SelfBound,
        };
        Self {
            start: start.unwrap_or_else(|| format!("agent-console daemon --daemonize{flag}")),
            flag,
            install,
            unset: UNSET.to_owned(),
            origin,
        }
    }

    /// Restarts a daemon of this origin.
    pub(super) fn restart(&self, origin: Origin) -> String {
        match origin {
            Origin::Systemd => format!("systemctl --user restart {SYSTEMD_SERVICE}"),
            Origin::Launchd => {
                format!("launchctl kickstart -k gui/$(id -u)/{LAUNCHD_LABEL}")
            }
            Origin::SelfBound | Origin::Unknown => format!(
                "agent-console stop{flag} && agent-console daemon --daemonize{flag}",
                flag = self.flag
            ),
        }
    }

    /// Restarts the daemon that listens as process `pid` and does not answer, so that it cannot be asked to leave.
    /// The kernel takes a moment to release what a killed process holds.
    pub(super) fn replace(&self, pid: u32) -> String {
        match self.origin {
            Origin::SelfBound if pid != 0 => format!(
                "kill -9 {pid} && sleep 1 && agent-console daemon --daemonize{}",
                self.flag
            ),
            origin => self.restart(origin),
        }
    }
}

/// The command that makes the manager listen, if there is one. Where it believes that it does, its socket's file was
/// removed. Elsewhere installing does all that is left to do, also after the trigger limit.
pub(super) fn start_command(state: &State) -> Option<String> {
    let installed = state
        .files
        .iter()
        .all(|(_, file)| *file != FileState::Missing);
    match state.manager {
        Manager::None => None,
        Manager::Systemd if installed && state.active => {
            Some(format!("systemctl --user restart {SYSTEMD_SOCKET}"))
        }
        Manager::Systemd | Manager::Launchd => Some(INSTALL_SERVICE.to_owned()),
    }
}

/// Makes the daemon read its configuration again.
pub(super) fn reload(hello: &HelloResult<'_>) -> String {
    match hello.origin {
        Origin::Systemd => format!("systemctl --user reload {SYSTEMD_SERVICE}"),
        Origin::Launchd => format!("launchctl kill HUP gui/$(id -u)/{LAUNCHD_LABEL}"),
        Origin::SelfBound | Origin::Unknown => format!("kill -HUP {}", hello.pid),
    }
}

/// A path as one word of a shell.
pub(super) fn quote(path: &Path) -> String {
    shell::quote(&path.to_string_lossy())
}

/// Opens a file in the person's editor, for what no program may change.
pub(super) fn edit(path: &Path) -> String {
    format!("${{EDITOR:-vi}} {}", quote(path))
}

/// Makes a configuration that cannot be used right; `unset` is for what the environment names. `None` for what the
/// command line names.
pub(super) fn configuration(error: &ConfigError, unset: &str) -> Option<String> {
    match error {
        ConfigError::Read { path, source } if source.kind() == ErrorKind::PermissionDenied => {
            Some(readable(path, "u+r"))
        }
        // A directory, a pipe, a link that leads to itself.
        ConfigError::Read { path, .. } => Some(move_away(path)),
        ConfigError::Invalid { path, .. } => Some(edit(path)),
        ConfigError::Socket { from, .. } => from.starts_with('$').then(|| unset.to_owned()),
    }
}

/// Gives what is at `path` another name, which the owner of the directory may do with whatever is in it.
pub(super) fn move_away(path: &Path) -> String {
    format!("mv {0} {0}.old", quote(path))
}

/// Makes what is at `path` readable for this user, by `mode` if it is theirs. Where a directory around it keeps them out,
/// that is what must be opened.
pub(super) fn readable(path: &Path, mode: &str) -> String {
    let user = rustix::process::geteuid().as_raw();
    let mut around: Vec<_> = path.ancestors().skip(1).collect();
    around.reverse();
    let closed = around.into_iter().find(|directory| {
        let found = rustix::fs::access(*directory, Access::EXEC_OK);
        found == Err(Errno::ACCESS)
    });
    let (path, mode) = match closed {
        Some(directory) => (directory, "u+rwx"),
        None => (path, mode),
    };
    let path_word = quote(path);
    // The file at the end of a link is what counts.
    let found = std::fs::metadata(path).or_else(|_| std::fs::symlink_metadata(path));
    match found {
        Ok(found) if found.uid() != user => format!("sudo chown -R {user} {path_word}"),
        _ if closed.is_some() => format!("chmod {mode} {path_word}"),
        _ => format!("chmod -R {mode} {path_word}"),
    }
}
