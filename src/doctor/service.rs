//! The service manager: its files, and whether it holds the socket now and after the next login.

use std::path::{Path, PathBuf};

use super::Check;
use super::fix::{INSTALL_SERVICE as INSTALL, quote, start_command};
use crate::config::{runtime_path, variable};
use crate::install::plan::{FileState, Manager, State};
use crate::install::stamp::{self, Found};
use crate::os::runtime_dir::RuntimeDirError;
use crate::os::service_manager::SYSTEMD_SOCKET;

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

/// Why the runtime directory that the environment names is not used, if it names one.
pub(super) fn runtime_refusal() -> Option<String> {
    match runtime_path::from_environment() {
        Ok(_) | Err(RuntimeDirError::Unset) => None,
        Err(why) => Some(why.to_string()),
    }
}

/// `state` is `None` where the manager did not answer in time; `runtime`: [`runtime_refusal`].
pub(super) fn evaluate(state: Option<&State>, edited: &[PathBuf], runtime: Option<&str>) -> Check {
    let name = "service";
    let Some(state) = state else {
        return Check::wrong(name, "the service manager does not answer within 2 s");
    };
    let manager = match state.manager {
        Manager::Systemd => "systemd",
        Manager::Launchd => "launchd",
        Manager::None => {
            let mut what =
                "no service manager answers: nothing starts the daemon but you".to_owned();
            if let Some(why) = runtime {
                what = format!("{what}; {why}, and is not used");
            }
            return Check::note(name, what);
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
        return Check::wrong(name, format!("not installed: {missing}")).fix(INSTALL);
    }
    if !different.is_empty() {
        let what = format!("not as this version writes it: {different}");
        let mut fix = String::new();
        for (path, file) in &state.files {
            if *file == FileState::Different && edited.contains(path) {
                let path = quote(path);
                fix = format!("{fix}mv {path} {path}.old && ");
            }
        }
        return Check::wrong(name, what).fix(fix + INSTALL);
    }
    let start = || start_command(state).unwrap_or_else(|| INSTALL.to_owned());
    if !state.active {
        let what = format!("{manager} does not hold the socket");
        return Check::wrong(name, what).fix(start());
    }
    if !state.enabled {
        let what = format!("{manager} holds the socket, but will not after the next login");
        return Check::wrong(name, what).fix(match state.manager {
            Manager::Systemd => format!("systemctl --user enable {SYSTEMD_SOCKET}"),
            Manager::Launchd | Manager::None => INSTALL.to_owned(),
        });
    }
    let files: Vec<String> = state
        .files
        .iter()
        .map(|(path, _)| file_name(path))
        .collect();
    let what = format!("{}, {manager} holds the socket", files.join(", "));
    if !state.lingers {
        let what =
            format!("{what} until your last logout; agents in tmux or screen run on after it");
        return Check::note(name, what).fix("loginctl enable-linger");
    }
    Check::ok(name, what)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
