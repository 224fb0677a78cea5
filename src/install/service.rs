//! The service: which manager there is for this user, how the service stands with it, and what must be done.
//!
//! Owns the choice of the manager alone: what a manager's files say and which commands it takes is `systemd`'s and
//! `launchd`'s. Called by `commands::install`, `commands::uninstall` and `doctor`.

use std::path::Path;

use super::plan::{ACCEPT_LIMIT, Manager, Plan, State, Wanted};
use super::program::ServiceProgram;
use super::{launchd, program, socket, systemd};
use crate::config::{self, DEFAULT_SOCKET};
use crate::format::error_text;
use crate::os::peer;

/// The manager, with what it knows of the service, or why there is none.
enum ManagerProbe {
    Systemd(Box<systemd::UnitStatus>),
    Launchd,
    None(String),
}

fn probe_manager() -> ManagerProbe {
    if cfg!(target_os = "macos") {
        return ManagerProbe::Launchd;
    }
    match systemd::ask() {
        Ok(answer) => ManagerProbe::Systemd(Box::new(answer)),
        Err(why) => ManagerProbe::None(error_text(&why)),
    }
}

/// How the service stands, as far as this user's manager says.
#[must_use]
pub(crate) fn state() -> State {
    // As `plan_install` chooses: a variable holds for this process alone.
    let socket = socket::choose(None).map_or_else(|_| DEFAULT_SOCKET.into(), |choice| choice.path);
    // Without a path of our own no file can be current.
    let program = program::path().unwrap_or_default();
    let starts = ServiceProgram::find(&program);
    let wanted = Wanted {
        program: &program,
        starts: &starts,
        socket: &socket,
    };
    match probe_manager() {
        ManagerProbe::Systemd(answer) => systemd::state(&answer, wanted),
        ManagerProbe::Launchd => launchd::state(wanted),
        ManagerProbe::None(_) => State {
            manager: Manager::None,
            files: Vec::new(),
            active: false,
            enabled: false,
            lingers: true,
        },
    }
}

/// What it takes for the service manager to start `program` on the first connection. `flag` is `--socket`.
///
/// # Errors
///
/// No socket can be chosen, the manager does not look where this user's files are, a path cannot be written in its
/// files, or they are unreadable.
pub(crate) fn plan_install(program: &Path, flag: Option<&Path>) -> anyhow::Result<Plan> {
    let choice = socket::choose(flag)?;
    let mut plan = Plan {
        notes: choice.notes,
        ..Plan::default()
    };
    if let Some(change) = choice.change {
        plan.change(change);
    }
    if program::is_built_in_place(program) {
        plan.notes.push(format!(
            "{} lies in a build directory and goes with `cargo clean`; `cargo install --path .` gives it a place to stay",
            program.display()
        ));
    }
    let starts = ServiceProgram::find(program);
    let wanted = Wanted {
        program,
        starts: &starts,
        socket: &choice.path,
    };
    let manager = probe_manager();
    if !matches!(manager, ManagerProbe::None(_)) {
        plan.notes.extend(starts.note.clone());
    }
    match manager {
        ManagerProbe::Systemd(answer) => systemd::plan_install(&mut plan, &answer, wanted)?,
        ManagerProbe::Launchd => launchd::plan_install(&mut plan, wanted)?,
        ManagerProbe::None(why) => {
            plan.unmanaged = Some(format!(
                "no service manager to hold the socket ({why}): start the daemon by hand, `agent-console daemon --daemonize`"
            ));
        }
    }
    Ok(plan)
}

/// What it takes to undo [`plan_install`], whichever version did it.
///
/// # Errors
///
/// There are files of ours for a manager that does not answer; files are unreadable.
pub(crate) fn plan_uninstall() -> anyhow::Result<Plan> {
    let mut plan = Plan::default();
    match probe_manager() {
        ManagerProbe::Systemd(answer) => systemd::plan_uninstall(&mut plan, &answer)?,
        ManagerProbe::Launchd => launchd::plan_uninstall(&mut plan)?,
        ManagerProbe::None(why) => {
            systemd::refuse_leftovers(&why)?;
            note_running(&mut plan);
        }
    }
    // After the service: until it is gone its clients should find it.
    if let Some(change) = socket::plan_removal()? {
        plan.change(change);
    }
    Ok(plan)
}

/// One that was started by hand is stopped by hand.
fn note_running(plan: &mut Plan) {
    if let Ok(socket) = config::socket_path(None)
        && peer::connect(&socket.path, ACCEPT_LIMIT).is_ok()
    {
        plan.notes.push(format!(
            "a daemon that was started by hand serves {}; `agent-console stop` ends it",
            socket.path.display()
        ));
    }
}
