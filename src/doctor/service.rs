//! The service manager: its files, and whether it holds the socket now and after the next login.

use std::path::{Path, PathBuf};

use super::{Check, quoted};
use crate::config::variable;
use crate::install::service::{FileState, Manager, State};
use crate::install::stamp::{self, Found};

/// systemd's name for the service; its socket unit is [`SOCKET`].
pub(super) const UNIT: &str = "agent-console.service";
const SOCKET: &str = "agent-console.socket";
/// launchd's name for it.
pub(super) const JOB: &str = "dev.agent-console";

const INSTALL: &str = "agent-console install --service";

/// The files of `state` that the user wrote or edited: the installer leaves them alone.
pub(super) fn edited(state: &State) -> Vec<PathBuf> {
    // Those of the first version, copied by hand, count too, and may as well be moved. Beside a package's file the installer puts one of the user's own.
    let homes = ["HOME", "XDG_CONFIG_HOME"].map(|name| variable(name).map(PathBuf::from));
    let own = |path: &Path| homes.iter().flatten().any(|home| path.starts_with(home));
    let files = state.files.iter().map(|(path, _)| path);
    files
        .filter(|path| own(path) && matches!(stamp::find(path, &[]), Ok(Found::Theirs)))
        .cloned()
        .collect()
}

/// `state` is `None` where the manager did not answer in time.
pub(super) fn judge(state: Option<&State>, edited: &[PathBuf]) -> Check {
    let name = "service";
    let Some(state) = state else {
        return Check::wrong(name, "the service manager does not answer within 2 s").mend(INSTALL);
    };
    let manager = match state.manager {
        Manager::Systemd => "systemd",
        Manager::Launchd => "launchd",
        Manager::None => {
            return Check::note(
                name,
                "no service manager answers: nothing starts the daemon but you",
            );
        }
    };
    let those = |wanted: FileState| {
        let files = state.files.iter().filter(|(_, state)| *state == wanted);
        let names: Vec<String> = files.map(|(path, _)| file_name(path)).collect();
        names.join(", ")
    };
    let missing = those(FileState::Missing);
    let different = those(FileState::Different);
    if !missing.is_empty() {
        return Check::wrong(name, format!("not installed: {missing}")).mend(INSTALL);
    }
    if !different.is_empty() {
        let what = format!("not as this version writes it: {different}");
        let mut mend = String::new();
        for (path, file) in &state.files {
            if *file == FileState::Different && edited.contains(path) {
                let path = quoted(path);
                mend = format!("{mend}mv {path} {path}.old && ");
            }
        }
        return Check::wrong(name, what).mend(mend + INSTALL);
    }
    let start = || start(state).unwrap_or_else(|| INSTALL.to_owned());
    if !state.active {
        let what = format!("{manager} does not hold the socket");
        return Check::wrong(name, what).mend(start());
    }
    if !state.enabled {
        let what = format!("{manager} holds the socket, but will not after the next login");
        return Check::wrong(name, what).mend(match state.manager {
            Manager::Systemd => format!("systemctl --user enable {SOCKET}"),
            Manager::Launchd | Manager::None => INSTALL.to_owned(),
        });
    }
    let files: Vec<String> = state
        .files
        .iter()
        .map(|(path, _)| file_name(path))
        .collect();
    let what = format!("{}, {manager} holds the socket", files.join(", "));
    Check::ok(name, what)
}

/// The command that has the manager listen, if there is one. Where it believes that it does, its socket's file was taken
/// away from under it. Elsewhere installing does all that is left to do, also after the trigger limit.
pub(super) fn start(state: &State) -> Option<String> {
    let installed = state
        .files
        .iter()
        .all(|(_, file)| *file != FileState::Missing);
    match state.manager {
        Manager::None => None,
        Manager::Systemd if installed && state.active => {
            Some(format!("systemctl --user restart {SOCKET}"))
        }
        Manager::Systemd | Manager::Launchd => Some(INSTALL.to_owned()),
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
