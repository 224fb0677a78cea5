//! The daemon: its program, its version, its notices.

use super::super::probe::Program;
use super::super::{Level, VERSION, daemon, programs};
use super::{answers, commands, is};
use crate::protocol::{Notice, NoticeCode, Origin};

#[test]
fn the_service_beside_this_program_is_of_its_version() {
    let found = |version: Result<&str, &str>| {
        programs::evaluate(&programs::Probe::Found {
            path: "/bin/agent-consoled".into(),
            version: version.map(str::to_owned).map_err(str::to_owned),
        })
    };
    let both = format!("agent-console and /bin/agent-consoled, both {VERSION}");
    is(&found(Ok(VERSION)), Level::Ok, &both, None);
    is(
        &found(Ok("0.0.9")),
        Level::Wrong,
        "is of version 0.0.9",
        None,
    );
    is(&found(Err("no")), Level::Wrong, "cannot be run: no", None);
    let missing = programs::Probe::Missing("/bin/agent-console".into());
    let check = programs::evaluate(&missing);
    is(
        &check,
        Level::Note,
        "no agent-consoled beside /bin/agent-console",
        None,
    );
}

#[test]
fn the_daemon_is_this_version_and_this_file() {
    let evaluate = |answers: Result<_, String>| daemon::evaluate(answers.as_ref(), 9, &commands());
    let restart = Some("systemctl --user restart agent-console.service");

    is(
        &evaluate(Ok(answers(Origin::Systemd))),
        Level::Ok,
        "up 1h",
        None,
    );
    let mut started = answers(Origin::Systemd);
    started.started = true;
    is(
        &evaluate(Ok(started)),
        Level::Ok,
        "started by this connection, answered after 12 ms",
        None,
    );
    let mut old = answers(Origin::Systemd);
    old.hello.version = "0.0.9".into();
    is(
        &evaluate(Ok(old)),
        Level::Wrong,
        "version 0.0.9 runs",
        restart,
    );
    let mut new = answers(Origin::Launchd);
    new.hello.protocol = 2;
    is(
        &evaluate(Ok(new)),
        Level::Wrong,
        "protocol 2",
        Some("launchctl kickstart -k gui/$(id -u)/dev.agent-console"),
    );
    let mut replaced = answers(Origin::Systemd);
    replaced.program = Program::Replaced;
    is(
        &evaluate(Ok(replaced)),
        Level::Wrong,
        "was replaced",
        restart,
    );
    let mut other = answers(Origin::SelfBound);
    other.program = Program::Other("/opt/agent-console".into());
    is(
        &evaluate(Ok(other)),
        Level::Note,
        "/opt/agent-console",
        None,
    );
    is(
        &evaluate(Err("silent".into())),
        Level::Wrong,
        "silent",
        Some("kill -9 9 && sleep 1 && agent-console daemon --daemonize"),
    );
}

#[test]
fn notices_that_still_hold_are_wrong() {
    let evaluate = |codes: &[NoticeCode]| {
        let mut told = answers(Origin::SelfBound);
        told.snapshot.notices = codes
            .iter()
            .map(|code| Notice {
                at: 5,
                code: *code,
                message: format!("message of {}", code.as_str()).into(),
                window: None,
            })
            .collect();
        daemon::evaluate_notices(Some((&told, &commands())), None)
    };
    is(&evaluate(&[]), Level::Ok, "none", None);
    is(
        &evaluate(&[NoticeCode::ConfigLoaded, NoticeCode::ConfigRefused]),
        Level::Wrong,
        "message of config_refused",
        Some("kill -HUP 7"),
    );
    is(
        &evaluate(&[NoticeCode::ConfigRefused, NoticeCode::ConfigLoaded]),
        Level::Ok,
        "config_loaded",
        None,
    );
    is(
        &evaluate(&[NoticeCode::ConfigLoaded, NoticeCode::RestartNeeded]),
        Level::Wrong,
        "message of restart_needed",
        Some("agent-console stop && agent-console daemon --daemonize"),
    );
    is(
        &evaluate(&[NoticeCode::LogFailed, NoticeCode::PayloadUnreadable]),
        Level::Note,
        "message of log_failed; message of payload_unreadable",
        None,
    );
}
