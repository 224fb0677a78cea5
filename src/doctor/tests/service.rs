//! The files and the socket of a service manager, and the commands that depend on it.

use super::super::fix::{FixCommands, start_command};
use super::super::{Level, service};
use super::is;
use crate::config::{SocketChoice, Source};
use crate::install::plan::{FileState, Manager, State};

#[test]
fn the_service_is_installed_current_held_and_enabled_or_told_how() {
    let state = |file, active, enabled| State {
        manager: Manager::Systemd,
        files: vec![
            ("/u/agent-console.service".into(), FileState::Current),
            ("/u/agent-console.socket".into(), file),
        ],
        active,
        enabled,
        lingers: true,
    };
    let install = Some("agent-console install --service");
    let good = state(FileState::Current, true, true);
    is(
        &service::evaluate(Some(&good), &[], None),
        Level::Ok,
        "systemd holds",
        None,
    );
    let mut leaves = good.clone();
    leaves.lingers = false;
    is(
        &service::evaluate(Some(&leaves), &[], None),
        Level::Note,
        "until your last logout",
        Some("loginctl enable-linger"),
    );
    let missing = state(FileState::Missing, false, false);
    is(
        &service::evaluate(Some(&missing), &[], None),
        Level::Wrong,
        "not installed: agent-console.socket",
        install,
    );
    is(
        &service::evaluate(Some(&state(FileState::Current, true, false)), &[], None),
        Level::Wrong,
        "after the next login",
        Some("systemctl --user enable agent-console.socket"),
    );
    is(
        &service::evaluate(None, &[], None),
        Level::Wrong,
        "does not answer",
        None,
    );
    let none = State {
        manager: Manager::None,
        files: Vec::new(),
        active: false,
        enabled: false,
        lingers: true,
    };
    is(
        &service::evaluate(Some(&none), &[], None),
        Level::Note,
        "no service manager",
        None,
    );

    let old = state(FileState::Different, true, true);
    let part = "not as this version writes it: agent-console.socket";
    is(
        &service::evaluate(Some(&old), &[], None),
        Level::Wrong,
        part,
        install,
    );
    let edited = ["/u/agent-console.socket".into()];
    let away =
        "mv /u/agent-console.socket /u/agent-console.socket.old && agent-console install --service";
    is(
        &service::evaluate(Some(&old), &edited, None),
        Level::Wrong,
        part,
        Some(away),
    );

    // Where no daemon answers, the command is the one that starts it here.
    assert_eq!(start_command(&none), None);
    assert_eq!(start_command(&missing).as_deref(), install);
    assert_eq!(
        start_command(&good).as_deref(),
        Some("systemctl --user restart agent-console.socket")
    );
    let commands = |source, service| {
        let path = "/a b".into();
        FixCommands::new(&SocketChoice { path, source }, service)
    };
    assert_eq!(
        Some(&*commands(Source::File, Some(&missing)).start),
        install
    );
    assert_eq!(
        commands(Source::Flag, Some(&missing)).start,
        "agent-console daemon --daemonize --socket '/a b'"
    );
    let managed = commands(Source::Default, Some(&good));
    assert_eq!(
        managed.replace(9),
        "systemctl --user restart agent-console.service"
    );
}
