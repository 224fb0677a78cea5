//! How the daemon begins and ends: signals, reload, idleness, `stop`, its socket, its surroundings.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::{Daemon, Place, Sleeper, Wire, broken_pipe, until};

fn lock(place: &Place) -> PathBuf {
    place.path().join("socket.lock")
}

fn send(daemon: &Daemon, signal: Signal) {
    let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw);
    kill_process(pid.unwrap(), signal).unwrap();
}

/// The daemon, spawned and not waited for: it may have left before anybody could connect.
fn spawn(place: &Place) -> Child {
    place
        .command(["daemon"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_signal_is_told_to_every_client_and_leaves_nothing_behind() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        let mut daemon = place.daemon();
        let (mut dashboard, mut client) = (place.connect(), place.connect());
        let mut silent = place.connect();
        dashboard.ask("subscribe", json!({}));
        client.ask("hello", json!({}));
        assert!(lock(&place).exists());

        send(&daemon, signal);
        for wire in [&mut dashboard, &mut client, &mut silent] {
            assert_eq!(wire.notified("daemon.stopping")["reason"], "signal");
            assert_eq!(wire.next(), None);
        }
        assert_eq!(daemon.wait(), Some(0));
        assert!(!place.socket().exists());
        assert!(!lock(&place).exists());
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    // The second must come while the first one's grace lasts, which a busy machine may let pass.
    until("a second signal in time", || {
        let mut daemon = place.daemon();
        let mut client = place.connect();
        client.ask("session.set", json!({"session": "x", "status": "idle"}));
        let mut deaf = UnixStream::connect(place.socket()).unwrap();
        let request = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.list\"}\n";
        deaf.write_all(&request.repeat(2000)).unwrap();
        client.ask("hello", json!({}));

        send(&daemon, Signal::TERM);
        client.notified("daemon.stopping");
        send(&daemon, Signal::TERM);
        assert_eq!(daemon.wait(), Some(0));
        assert!(!place.socket().exists() && !lock(&place).exists());
        daemon.log().contains("a second time").then_some(())
    });
}

#[test]
fn a_client_that_never_reads_does_not_hold_up_the_end() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut client = place.connect();
    client.ask("session.set", json!({"session": "x", "status": "idle"}));
    let mut deaf = UnixStream::connect(place.socket()).unwrap();
    let request = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.list\"}\n";
    deaf.write_all(&request.repeat(2000)).unwrap();
    client.ask("hello", json!({}));
    let began = Instant::now();
    send(&daemon, Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    // Two graces of 250 ms, and what a busy machine adds.
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_configuration_is_read_again() {
    let place = Place::new();
    place.configure("idle_timeout = \"1h\"\n");
    let daemon = place.daemon();
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    let timeout = || place.json(&["status", "--json"])["idle_timeout_ms"].clone();
    assert_eq!(timeout(), 3_600_000);

    place.configure("idle_timeout = \"2h\"\n");
    send(&daemon, Signal::HUP);
    assert_eq!(dashboard.notified("daemon.notice")["code"], "config_loaded");
    assert_eq!(timeout(), 7_200_000);

    place.configure("idle_timeout = \"3h\"\nhistory = \"many\"\n");
    let place_of_mistake = format!("{}:2:11: ", place.config_file().display());
    send(&daemon, Signal::HUP);
    let notice = dashboard.notified("daemon.notice");
    assert_eq!(notice["code"], "config_refused");
    let message = notice["message"].as_str().unwrap();
    assert!(message.contains(&place_of_mistake), "{message}");
    assert!(message.contains("history"), "{message}");
    assert_eq!(timeout(), 7_200_000);
    assert_eq!(place.ok(&["list"]), "no sessions\n");

    // Asked for over the wire: the same, and an answer.
    let refused = place.connect().ask("daemon.reload", json!({}));
    assert_eq!(refused["error"]["code"], -32006, "{refused}");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains(&place_of_mistake), "{message}");
    assert_eq!(
        dashboard.notified("daemon.notice")["code"],
        "config_refused"
    );
    place.configure("idle_timeout = \"0\"\nsocket = \"/tmp/elsewhere\"\n");
    let reloaded = place.connect().ask("daemon.reload", json!({}));
    assert_eq!(reloaded["result"], json!({"reloaded": true}));
    assert_eq!(dashboard.notified("daemon.notice")["code"], "config_loaded");
    let notice = dashboard.notified("daemon.notice");
    assert_eq!(notice["code"], "restart_needed", "{notice}");
    assert_eq!(timeout(), json!(null));
}

#[test]
fn nobody_needs_it_and_it_leaves() {
    let place = Place::new();
    place.configure("idle_timeout = \"50ms\"\n");
    let mut daemon = spawn(&place);
    assert!(until("it to leave", || daemon.try_wait().unwrap()).success());
    assert!(!place.socket().exists());
    assert!(!lock(&place).exists());
}

#[test]
fn a_live_session_holds_it_and_its_death_lets_go() {
    let place = Place::new();
    place.configure("idle_timeout = 0\n");
    let mut daemon = place.daemon();
    let mut agent = Sleeper::start();
    let pid = agent.pid().to_string();
    place.ok(&["report", "job", "working", "--pid", &pid]);
    place.configure("idle_timeout = \"1ms\"\n");
    let mut client = place.connect();
    assert_eq!(
        client.ask("daemon.reload", json!({}))["result"]["reloaded"],
        true
    );
    // Many times the time-out, each a turn of the loop in which it could have left.
    for _ in 0..100 {
        client.ask("daemon.status", json!({}));
    }
    assert!(daemon.runs());
    agent.kill();
    assert_eq!(client.notified("daemon.stopping")["reason"], "idle");
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_dashboard_holds_it_until_it_goes() {
    let place = Place::new();
    place.configure("idle_timeout = 0\n");
    let mut daemon = place.daemon();
    let (mut dashboard, mut client) = (place.connect(), place.connect());
    dashboard.ask("subscribe", json!({}));
    place.configure("idle_timeout = \"1ms\"\n");
    assert_eq!(
        client.ask("daemon.reload", json!({}))["result"]["reloaded"],
        true
    );
    for _ in 0..100 {
        client.ask("daemon.status", json!({}));
    }
    assert!(daemon.runs());
    drop(dashboard);
    assert_eq!(client.notified("daemon.stopping")["reason"], "idle");
    assert_eq!(daemon.wait(), Some(0));
}

/// Connects, asks and gets an answer, true; or finds nobody, false. Anything in between is the daemon's fault.
fn asks(path: &Path) -> bool {
    let mut socket = match UnixStream::connect(path) {
        Ok(socket) => socket,
        Err(error) => {
            let nobody = [ErrorKind::NotFound, ErrorKind::ConnectionRefused];
            assert!(nobody.contains(&error.kind()), "{error}");
            return false;
        }
    };
    let sent = socket.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}\n");
    let mut answer = [0; 64];
    let read = socket.read(&mut answer);
    assert!(
        read.as_ref().is_ok_and(|count| *count > 0),
        "accepted and not answered: {sent:?} {read:?}"
    );
    true
}

/// Clients arrive around the moment at which the daemon leaves, again and again: each is answered, or finds nobody.
///
/// Between looking up the path and connecting, a client can be held up for as long as the scheduler likes. One that
/// comes by another name of the same socket stands for it: it still finds the socket whose path is gone.
#[test]
fn a_client_at_the_idle_exit_is_answered_or_finds_nobody() {
    const LIVES: usize = 300;
    let place = Place::new();
    place.configure("idle_timeout = \"2ms\"\nlog = \"error\"\n");
    let over = AtomicBool::new(false);
    let (answered, nobody) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let count = |was_answered: bool| {
        if was_answered { &answered } else { &nobody }.fetch_add(1, Ordering::Relaxed);
        was_answered
    };
    std::thread::scope(|scope| {
        let held_up = scope.spawn(|| {
            let name = place.path().join("name");
            while !over.load(Ordering::Relaxed) {
                let _ = fs::remove_file(&name);
                if fs::hard_link(place.socket(), &name).is_ok() {
                    while count(asks(&name)) {}
                }
            }
        });
        let punctual = scope.spawn(|| {
            let mut pause = 1;
            while !over.load(Ordering::Relaxed) {
                count(asks(&place.socket()));
                // Not to wait for anything: to arrive at every moment of a daemon's life.
                pause = (pause * 7 + 3) % 23;
                std::thread::sleep(Duration::from_micros(pause * 100));
            }
        });
        for _ in 0..LIVES {
            let status = spawn(&place).wait().unwrap();
            assert!(status.success(), "{status}");
            if held_up.is_finished() || punctual.is_finished() {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    let (answered, nobody) = (answered.into_inner(), nobody.into_inner());
    assert!(answered > LIVES && nobody > LIVES, "{answered} {nobody}");
}

/// Runs `stop` on a terminal, types `answer`, and gives its exit code and what was on the screen.
fn stop_on_a_terminal(place: &Place, answer: &str) -> (Option<i32>, String) {
    let stop = format!("{} stop", crate::support::program().display());
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--command", &stop, "/dev/null"])
        .env("AGENT_CONSOLE_SOCKET", place.socket())
        .env("HOME", place.path().join("home"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1), of the package bsdutils or util-linux-extra");
    let mut screen = script.stdout.take().unwrap();
    let mut keys = script.stdin.take().unwrap();
    let mut seen = Vec::new();
    while !text(&seen).contains("[y/N] ") {
        let mut piece = [0; 256];
        let count = screen.read(&mut piece).unwrap();
        assert!(count > 0, "no question: {}", text(&seen));
        seen.extend_from_slice(&piece[..count]);
    }
    keys.write_all(answer.as_bytes()).unwrap();
    let status = until("stop to end", || script.try_wait().unwrap());
    screen.read_to_end(&mut seen).unwrap();
    (status.code(), text(&seen))
}

#[test]
fn stop_asks_on_a_terminal_while_dashboards_are_connected() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    for no in ["\n", "n\n", "what?\n"] {
        let (code, screen) = stop_on_a_terminal(&place, no);
        assert_eq!(code, Some(1), "{screen}");
        assert!(screen.contains("1 dashboard is connected"), "{screen}");
        assert!(screen.contains("agent-console: not stopped"), "{screen}");
        assert!(daemon.runs());
    }
    let (code, screen) = stop_on_a_terminal(&place, "y\n");
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("stopped (process "), "{screen}");
    assert_eq!(daemon.wait(), Some(0));
    assert_eq!(dashboard.notified("daemon.stopping")["reason"], "stop");
}

#[test]
fn a_forced_stop_is_at_once_and_tells_nobody() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    assert_eq!(
        place.json(&["stop", "--force", "--json"]),
        json!({"dashboards": 1})
    );
    assert_eq!(daemon.wait(), Some(0));
    assert_eq!(dashboard.rest(), "");
    assert!(!place.socket().exists() && !lock(&place).exists());
}

#[test]
fn after_stop_the_next_daemon_can_start() {
    let place = Place::new();
    for round in 0..50 {
        let mut daemon = place.daemon();
        let stop: &[&str] = if round % 5 == 0 {
            &["stop", "--force"]
        } else {
            &["stop"]
        };
        assert_eq!(
            place.ok(stop),
            format!("stopped (process {})\n", daemon.pid())
        );
        // Gone, not about to go.
        assert_eq!(daemon.child.try_wait().unwrap().unwrap().code(), Some(0));
        assert!(!place.socket().exists());
    }
}

#[test]
fn what_somebody_else_put_at_the_path_stays() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut client = place.connect();
    client.ask("hello", json!({}));
    fs::remove_file(place.socket()).unwrap();
    fs::write(place.socket(), "mine").unwrap();
    send(&daemon, Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    assert_eq!(fs::read_to_string(place.socket()).unwrap(), "mine");

    // And no daemon takes its place.
    let output = place.run(&["daemon"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("regular file") && said.contains("--socket"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(place.socket()).unwrap(), "mine");
    fs::remove_file(place.socket()).unwrap();

    // A socket that somebody else serves now.
    let mut daemon = place.daemon();
    fs::remove_file(place.socket()).unwrap();
    let _other = UnixListener::bind(place.socket()).unwrap();
    send(&daemon, Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    assert!(place.socket().exists());
}

#[test]
fn a_second_daemon_on_the_same_socket_is_refused() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    for arguments in [&["daemon"][..], &["daemon", "--daemonize"]] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = text(&output.stderr);
        assert!(
            said.starts_with("agent-console: another daemon serves ")
                && said.contains("agent-console stop"),
            "{said}"
        );
        assert_eq!(output.stdout, b"");
    }
    assert!(daemon.runs());
    place.ok(&["report", "still", "working"]);
    assert_eq!(
        dashboard.notified("session.changed")["session"]["key"],
        "still"
    );
}

#[test]
fn a_socket_left_by_a_killed_daemon_is_replaced() {
    let place = Place::new();
    let mut first = place.daemon();
    let pid = first.pid();
    send(&first, Signal::KILL);
    first.wait();
    assert!(
        fs::metadata(place.socket())
            .unwrap()
            .file_type()
            .is_socket()
    );
    let output = place.run(&["list"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let second = place.daemon();
    assert_ne!(second.pid(), pid);
    assert_eq!(place.json(&["status", "--json"])["pid"], second.pid());
}

/// A daemon in the background, which is stopped when its test ends.
struct Background<'a>(&'a Place);

impl Drop for Background<'_> {
    fn drop(&mut self) {
        self.0.run(&["stop", "--force"]);
    }
}

fn daemonize(place: &Place, more: &[&str]) -> Output {
    place
        .command(["daemon", "--daemonize"].iter().chain(more))
        .output()
        .unwrap()
}

#[test]
fn in_the_background_it_listens_by_the_time_it_says_so() {
    let place = Place::new();
    let _background = Background(&place);
    let output = daemonize(&place, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let status = place.json(&["status", "--json"]);
    assert_eq!(text(&output.stdout), format!("{}\n", status["pid"]));
    assert_eq!(text(&output.stderr), "");
    assert_eq!(
        status["socket"].as_str().map(PathBuf::from),
        Some(place.socket())
    );

    let log = place
        .path()
        .join("home/.local/state/agent-console/daemon.log");
    assert!(fs::read_to_string(&log).unwrap().contains("ready"));
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&log), 0o600);
    assert_eq!(mode(&place.socket()), 0o600);
    // It keeps nothing of where it was started.
    let pid = status["pid"].to_string();
    assert_eq!(
        fs::read_link(format!("/proc/{pid}/cwd")).unwrap(),
        PathBuf::from("/")
    );
    for descriptor in 0..3 {
        let open = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap();
        assert_eq!(open, PathBuf::from("/dev/null"));
    }
}

#[test]
fn in_the_background_a_failure_is_told() {
    let place = Place::new();
    let nowhere = place.path().join("no/such/directory/socket");
    let output = daemonize(&place, &["--socket", nowhere.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    assert!(
        said.starts_with("agent-console: cannot ") && said.contains("no/such/directory"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(output.stdout, b"");

    place.configure("log = 5\n");
    let output = daemonize(&place, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("config.toml:1:7: log"));
}

#[test]
fn in_the_background_it_stays_though_nobody_reads_its_pid() {
    let place = Place::new();
    let _background = Background(&place);
    let status = place
        .command(["daemon", "--daemonize"])
        .stdout(broken_pipe())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    place.ok(&["list"]);
}

#[test]
fn a_relative_socket_is_taken_from_the_working_directory() {
    let place = Place::new();
    let _background = Background(&place);
    fs::create_dir(place.path().join("here")).unwrap();
    let output = place
        .command(["daemon", "--daemonize", "--socket", "../socket"])
        .current_dir(place.path().join("here"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    place.ok(&["list"]);
    place.ok(&["list", "--socket", "socket"]);
    place.ok(&["--socket", "home/../socket", "list"]);

    let output = place
        .command(["list"])
        .env("AGENT_CONSOLE_SOCKET", "socket")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("absolute path"));
}

#[test]
fn a_wrong_configuration_is_fatal_at_the_start() {
    let place = Place::new();
    for (wrong, at) in [
        ("idle_timeout = \"soon\"\n", "1:16"),
        ("\nhistory = -1\n", "2:11"),
        ("log = \"info\"\nfoo = 1\n", "2:1"),
        ("log = \"info\n", "1:"),
    ] {
        place.configure(wrong);
        let output = place.run(&["daemon"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = text(&output.stderr);
        let place_of_mistake = format!("agent-console: {}:{at}", place.config_file().display());
        assert!(said.starts_with(&place_of_mistake), "{said}");
        assert!(!place.socket().exists());
    }
}

/// Runs the daemon by the shell, with some of its first three descriptors closed.
fn with_redirection(place: &Place, redirection: &str) -> Daemon {
    place.daemon_with(|command| {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("exec \"$0\" daemon {redirection}")])
            .arg(crate::support::program())
            .env_clear()
            .env("HOME", place.path().join("home"))
            .env("AGENT_CONSOLE_SOCKET", place.socket());
        *command = shell;
    })
}

#[test]
fn closed_descriptors_do_it_no_harm() {
    for redirection in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let place = Place::new();
        let mut daemon = with_redirection(&place, redirection);
        place.ok(&["report", "x", "working"]);
        let mut dashboard = place.connect();
        let snapshot = dashboard.ask("subscribe", json!({}));
        assert_eq!(snapshot["result"]["sessions"][0]["key"], "x");
        // No socket was taken for standard error: what a client is sent is messages only.
        place.ok(&["stop"]);
        for line in dashboard.rest().lines() {
            assert!(line.starts_with('{'), "{line}");
        }
        assert_eq!(daemon.wait(), Some(0));
    }
}

#[test]
fn a_log_that_is_not_read_does_not_block() {
    let place = Place::new();
    place.configure("log = \"debug\"\n");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut daemon = place.daemon_with(|command| {
        command.stderr(writer);
    });
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    let mut client = place.connect();
    // Each request is a line of some 80 bytes; a pipe takes 64 KiB.
    for _ in 0..2000 {
        client.ask("hello", json!({}));
    }
    let notice = dashboard.notified("daemon.notice");
    assert_eq!(notice["code"], "log_failed", "{notice}");
    assert!(notice["message"].as_str().unwrap().contains("is not read"));
    drop(reader);
    for _ in 0..100 {
        client.ask("hello", json!({}));
    }
    send(&daemon, Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_client_that_is_in_the_middle_of_a_line_at_the_end_is_answered() {
    let place = Place::new();
    let mut daemon = place.daemon();
    let mut slow: Wire = place.connect();
    slow.send(b"{\"jsonrpc\":\"2.0\",\"id\":1,");
    let mut other = place.connect();
    other.ask("hello", json!({}));
    send(&daemon, Signal::TERM);
    assert_eq!(slow.notified("daemon.stopping")["reason"], "signal");
    slow.send(b"\"method\":\"hello\"}\n");
    assert_eq!(slow.next().unwrap()["id"], 1);
    assert_eq!(slow.next(), None);
    assert_eq!(daemon.wait(), Some(0));
}
