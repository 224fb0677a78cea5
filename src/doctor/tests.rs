//! The evaluation, as data: what was seen in, the line and its command out.

mod agents;

use std::borrow::Cow;
use std::fs;
use std::io;
use std::time::Duration;

use super::fix::{edit, start_command};
use super::probe::{File, Listener, Program, SocketProbe};
use super::*;
use crate::config::{Config, SocketChoice, Source};
use crate::install::plan::{FileState, Manager, State};
use crate::os::lock_file::Holder;
use crate::os::peer::ConnectError;
use crate::protocol::{Counts, HelloResult, Notice, NoticeCode, Origin, Snapshot, StatusResult};

fn choice() -> SocketChoice {
    SocketChoice {
        path: "/tmp/s".into(),
        source: Source::Default,
    }
}

fn commands() -> FixCommands {
    FixCommands::new(&choice(), None)
}

fn answers(origin: Origin) -> DaemonProbe {
    DaemonProbe {
        hello: HelloResult {
            protocol: crate::protocol::VERSION,
            version: Cow::Borrowed(VERSION),
            pid: 7,
            origin,
            epoch: Some(5),
        },
        status: StatusResult {
            pid: 7,
            version: Cow::Borrowed(VERSION),
            protocol: crate::protocol::VERSION,
            origin,
            socket: Cow::Borrowed("/tmp/s"),
            uptime_ms: 3_600_500,
            sessions: Counts::default(),
            dashboards: 0,
            seq: 0,
            unknown_events: 0,
            reports: 0,
            rss_bytes: None,
            idle_timeout_ms: Some(3_600_000),
        },
        snapshot: Snapshot {
            usage: None,
            seq: 0,
            epoch: Some(5),
            partial: false,
            sessions: Vec::new(),
            removed: Vec::new(),
            notices: Vec::new(),
        },
        took: Duration::from_millis(12),
        started: false,
        visible: false,
        program: Program::Same,
    }
}

#[track_caller]
fn is(check: &Check, level: Level, part: &str, fix: Option<&str>) {
    assert_eq!(check.level, level, "{check:?}");
    assert!(check.what.contains(part), "{check:?}");
    assert_eq!(check.fix.as_deref(), fix, "{check:?}");
}

#[test]
fn nothing_is_waited_for_longer_than_the_limit() {
    let began = crate::os::clock::monotonic();
    let (_sender, receiver) = std::sync::mpsc::channel::<()>();
    assert_eq!(within(move || receiver.recv()), None);
    assert!(began.elapsed() >= LIMIT);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(within(|| 5), Some(5));
}

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

#[test]
fn a_socket_is_there_mine_private_and_listened_on() {
    let own = rustix::process::geteuid().as_raw();
    let file = |uid, mode| File::Socket { uid, mode };
    let listener = |pid, name: Option<&str>| {
        let name = name.map(Into::into);
        Ok(Listener { pid, name })
    };
    let evaluate_held = |holder, file, listener, answers: Option<&DaemonProbe>| {
        let seen = SocketProbe {
            choice: choice(),
            has_directory: true,
            foreign_line: None,
            own_line: false,
            taken: None,
            holder,
            file,
            listener,
        };
        socket::evaluate(&seen, answers.map(|answers| &answers.hello), &commands())
    };
    let evaluate = |file, listener, answers| evaluate_held(None, file, listener, answers);
    let refused = || {
        Err(ConnectError::NoDaemon {
            path: "/tmp/s".into(),
            source: io::ErrorKind::ConnectionRefused.into(),
        })
    };
    let start = Some("agent-console daemon --daemonize");

    let check = evaluate(file(own, 0o600), listener(1, Some("systemd")), None);
    let what = "/tmp/s (default), mine, 0600, held by systemd (process 1)";
    is(&check, Level::Ok, what, None);
    let asked = answers(Origin::SelfBound);
    let check = evaluate(file(own, 0o600), listener(7, Some("x")), Some(&asked));
    is(&check, Level::Ok, "held by the daemon itself", None);
    let check = evaluate(file(own, 0o600), listener(0, None), None);
    is(&check, Level::Ok, "not seen from here", None);

    let check = evaluate(File::Missing, refused(), None);
    is(&check, Level::Wrong, "there is no socket", start);
    let check = evaluate(file(own, 0o600), refused(), None);
    is(&check, Level::Wrong, "no process listens", start);
    let check = evaluate(File::Other { uid: own }, refused(), None);
    is(
        &check,
        Level::Wrong,
        "is no socket",
        Some("mv /tmp/s /tmp/s.old"),
    );
    let check = evaluate(file(own, 0o666), listener(7, None), None);
    is(&check, Level::Wrong, "mode 0666", Some("chmod 600 /tmp/s"));
    let foreign = Err(ConnectError::Foreign {
        path: "/tmp/s".into(),
        uid: own + 1,
    });
    let check = evaluate(file(own + 1, 0o600), foreign, None);
    is(
        &check,
        Level::Wrong,
        &format!("belongs to user {}", own + 1),
        Some("agent-console install --service"),
    );
    // Root has named it.
    let check = evaluate(file(own + 1, 0o600), listener(7, None), None);
    is(&check, Level::Ok, &format!("user {}'s", own + 1), None);
    let roots = Err(ConnectError::Roots {
        path: "/tmp/s".into(),
    });
    let check = evaluate(file(0, 0o600), roots, None);
    is(
        &check,
        Level::Wrong,
        "belongs to root",
        Some("agent-console install --service"),
    );
    let busy = Err(ConnectError::Busy {
        path: "/tmp/s".into(),
    });
    let nine = Some(Holder::Process(9));
    let replace = Some("kill -9 9 && sleep 1 && agent-console daemon --daemonize");
    let check = evaluate_held(nine, file(own, 0o600), busy, None);
    is(&check, Level::Wrong, "accepted no connection", replace);
    let check = evaluate_held(nine, File::Missing, refused(), None);
    is(&check, Level::Wrong, "process 9 holds the lock", replace);
    let check = evaluate_held(Some(Holder::Unseen), File::Missing, refused(), None);
    is(&check, Level::Wrong, "not seen from here", None);
}

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

#[test]
fn the_configuration_is_right_and_the_daemons_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, "").unwrap();
    let seen = |config| config::Probe {
        path: Some(path.clone()),
        config: Some(config),
        daemons: Some(path.clone()),
    };
    let told = answers(Origin::SelfBound);
    let commands = commands();
    let daemon = Some((&told, &commands));
    let right = || seen(Config::parse("", &path));
    is(
        &config::evaluate(&right(), daemon),
        Level::Ok,
        "config.toml",
        None,
    );
    is(
        &config::evaluate(&right(), None),
        Level::Ok,
        "config.toml",
        None,
    );

    let broken = seen(Config::parse("log = 1", &path));
    is(
        &config::evaluate(&broken, None),
        Level::Wrong,
        "config.toml:1:7: log: ",
        Some(&edit(&path)),
    );
    let changed = seen(Config::parse("idle_timeout = \"2h\"", &path));
    is(
        &config::evaluate(&changed, daemon),
        Level::Wrong,
        "changed since",
        Some("kill -HUP 7"),
    );
    let mut others = right();
    others.daemons = Some("/elsewhere/config.toml".into());
    is(
        &config::evaluate(&others, daemon),
        Level::Wrong,
        "the daemon reads /elsewhere/config.toml",
        Some("agent-console stop && agent-console daemon --daemonize"),
    );
    fs::remove_file(&path).unwrap();
    is(
        &config::evaluate(&others, daemon),
        Level::Ok,
        "the defaults count",
        None,
    );
}

#[test]
fn the_journal_is_wrong_only_if_nothing_can_be_written_to_it() {
    let journal = |unreadable: Option<&str>, unreachable: Option<&str>| {
        log::evaluate(&log::Probe::Journal {
            unreadable: unreadable.map(Into::into),
            unreachable: unreachable.map(Into::into),
        })
    };
    is(&journal(None, None), Level::Ok, "journalctl --user", None);
    is(
        &journal(Some("no files"), None),
        Level::Note,
        "no files",
        None,
    );
    is(
        &journal(Some("x"), Some("refused")),
        Level::Wrong,
        "refused",
        Some("sudo systemctl restart systemd-journald.socket systemd-journald.service"),
    );
    is(
        &log::evaluate(&log::Probe::NoDaemon),
        Level::Note,
        "no daemon",
        None,
    );
    let own = std::env::current_exe().unwrap();
    let file = log::Probe::File(own.clone());
    is(
        &log::evaluate(&file),
        Level::Ok,
        &own.to_string_lossy(),
        None,
    );
    let device = log::Probe::File("/dev/null".into());
    let what = "/dev/null is not a regular file";
    is(&log::evaluate(&device), Level::Note, what, None);
}
