//! A self-bound daemon whose files are removed or replaced: it is found again, or every message says which process it is
//! and what to do.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::lifecycle::{lock, send, text};
use crate::support::{Daemon, Place, Wire, until};

/// A daemon in a directory of its own below the place, as in a runtime directory.
struct Inner {
    place: Place,
    daemon: Child,
}

impl Inner {
    fn start() -> Self {
        let place = Place::new();
        place.configure("");
        fs::create_dir(place.path().join("own")).unwrap();
        let socket = place.path().join("own/socket");
        let mut command = place.command(["daemon"]);
        command
            .env("AGENT_CONSOLE_SOCKET", &socket)
            .stderr(Stdio::null());
        let daemon = command.spawn().unwrap();
        let inner = Self { place, daemon };
        until("the daemon to listen", || {
            UnixStream::connect(inner.socket()).ok()
        });
        inner
    }

    fn run(&self) -> PathBuf {
        self.place.path().join("own")
    }

    fn socket(&self) -> PathBuf {
        self.run().join("socket")
    }

    fn client(&self, arguments: &[&str]) -> Output {
        let mut command = self.place.command(arguments);
        let command = command.env("AGENT_CONSOLE_SOCKET", self.socket());
        command.output().unwrap()
    }

    /// Until a client reaches the daemon, and it is this one.
    #[track_caller]
    fn is_found(&self) {
        until("the daemon to be found", || {
            let output = self.client(&["status", "--json"]);
            let status: Value = serde_json::from_slice(&output.stdout).ok()?;
            assert_eq!(status["pid"], self.daemon.id());
            Some(())
        });
        assert_eq!(pid_in(&self.run().join("socket.lock")), self.daemon.id());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn pid_in(lock: &Path) -> u32 {
    fs::read_to_string(lock).unwrap().trim().parse().unwrap()
}

/// Until a client reaches the daemon, and it is this one.
#[track_caller]
fn is_found(place: &Place, daemon: &Daemon) {
    until("the daemon to be found", || {
        let output = place.run(&["status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        assert_eq!(status["pid"], daemon.pid());
        Some(())
    });
}

fn subscriber(place: &Place) -> Wire {
    let mut dashboard = place.connect();
    dashboard.ask("subscribe", json!({}));
    dashboard
}

#[test]
fn whatever_of_its_files_goes_it_is_found_again() {
    let place = Place::new();
    let mut daemon = place.daemon();
    assert_eq!(pid_in(&lock(&place)), daemon.pid());
    let mut dashboard = subscriber(&place);
    let beside = place.path().join("beside");
    let socket = place.socket();
    let breakages: [&dyn Fn(); 5] = [
        &|| fs::remove_file(&socket).unwrap(),
        &|| {
            fs::remove_file(&socket).unwrap();
            fs::remove_file(lock(&place)).unwrap();
        },
        &|| fs::rename(&socket, &beside).unwrap(),
        &|| {
            // A socket without a listener.
            drop(UnixListener::bind(place.path().join("dead")).unwrap());
            fs::rename(place.path().join("dead"), &socket).unwrap();
        },
        &|| {
            fs::remove_file(&socket).unwrap();
            symlink("nowhere", &socket).unwrap();
            fs::remove_file(&socket).unwrap();
        },
    ];
    for breaks in breakages {
        breaks();
        is_found(&place, &daemon);
    }
    let notice = dashboard.notified("daemon.notice");
    assert_eq!(notice["code"], "socket_restored", "{notice}");
    // The lock alone: a second daemon is refused as before.
    fs::remove_file(lock(&place)).unwrap();
    until("the lock", || lock(&place).exists().then_some(()));
    let second = place.run(&["daemon"]);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    let said = text(&second.stderr);
    assert!(
        said.contains(&format!("process {}", daemon.pid())),
        "{said}"
    );

    // The connection was kept all the time, and the end leaves nothing behind.
    place.ok(&["report", "still", "working"]);
    assert_eq!(
        dashboard.notified("session.changed")["session"]["key"],
        "still"
    );
    place.ok(&["stop"]);
    assert_eq!(daemon.wait(), Some(0));
    assert!(!socket.exists() && !lock(&place).exists());
}

#[test]
fn in_a_directory_that_is_made_again_it_is_found_again() {
    let inner = Inner::start();
    let moved = inner.place.path().join("moved");
    fs::remove_dir_all(inner.run()).unwrap();
    let none = inner.client(&["list"]);
    assert_eq!(none.status.code(), Some(3), "{none:?}");
    fs::create_dir(inner.run()).unwrap();
    inner.is_found();

    fs::rename(inner.run(), &moved).unwrap();
    fs::create_dir(inner.run()).unwrap();
    inner.is_found();

    // By a link that leads elsewhere by now.
    let (first, second) = (inner.place.path().join("1"), inner.place.path().join("2"));
    fs::rename(inner.run(), &first).unwrap();
    fs::create_dir(&second).unwrap();
    symlink(&first, inner.run()).unwrap();
    inner.is_found();
    let link = inner.place.path().join("link");
    symlink(&second, &link).unwrap();
    fs::rename(link, inner.run()).unwrap();
    inner.is_found();
    assert!(second.join("socket").exists());
}

#[test]
fn what_a_stranger_puts_at_the_path_stays_and_is_waited_for() {
    let place = Place::new();
    let daemon = place.daemon();
    let mut dashboard = subscriber(&place);
    fs::write(place.path().join("file"), "another's").unwrap();
    fs::rename(place.path().join("file"), place.socket()).unwrap();
    let notice = dashboard.notified("daemon.notice");
    assert_eq!(notice["code"], "socket_lost");
    let message = notice["message"].as_str().unwrap();
    assert!(message.contains("a regular file"), "{message}");
    let pid = daemon.pid().to_string();
    for arguments in [&["list"][..], &["daemon"], &["stop"]] {
        let output = place.run(arguments);
        let said = text(&output.stderr);
        assert!(
            said.contains(&format!("`kill {pid}`")),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(fs::read_to_string(place.socket()).unwrap(), "another's");
    fs::remove_file(place.socket()).unwrap();
    is_found(&place, &daemon);

    // One that is served.
    let listener = UnixListener::bind(place.path().join("other")).unwrap();
    fs::rename(place.path().join("other"), place.socket()).unwrap();
    let served = place.run(&["daemon"]);
    assert_eq!(served.status.code(), Some(1), "{served:?}");
    drop(listener);
    is_found(&place, &daemon);
}

/// As a daemon does that hangs, or whose notice of the change is lost.
#[test]
fn every_message_names_the_process_and_a_command_that_works() {
    let place = Place::new();
    let daemon = place.daemon();
    send(&daemon, Signal::STOP);
    fs::remove_file(place.socket()).unwrap();
    let (pid, path) = (daemon.pid(), place.socket().display().to_string());
    let command = format!("kill -CONT {pid}");
    for (arguments, code) in [
        (&["list"][..], 3),
        (&["stop"], 3),
        (&["report", "x", "working"], 3),
        (&["daemon"], 1),
        (&["daemon", "--daemonize"], 1),
    ] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let said = text(&output.stderr);
        assert!(
            said.contains(&format!("process {pid}"))
                && said.contains(&path)
                && said.contains(&format!("`{command}`")),
            "{arguments:?}: {said}"
        );
    }
    let doctor = place.run(&["doctor"]);
    let said = text(&doctor.stdout);
    assert!(said.contains(&format!("process {pid}")), "{said}");
    let status = Command::new("sh").args(["-c", &command]).status();
    assert!(status.unwrap().success());
    is_found(&place, &daemon);
}

#[test]
fn of_two_daemons_the_one_without_files_leaves_and_says_so() {
    let place = Place::new();
    let mut first = place.daemon();
    let mut dashboard = subscriber(&place);
    send(&first, Signal::STOP);
    fs::remove_file(place.socket()).unwrap();
    fs::remove_file(lock(&place)).unwrap();
    let mut second = place.start(place.command(["daemon"]));
    send(&first, Signal::CONT);
    let notice = dashboard.notified("daemon.notice");
    let message = notice["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("process {}", second.pid())),
        "{message}"
    );
    dashboard.notified("daemon.stopping");
    assert_eq!(dashboard.next(), None);
    assert_eq!(first.wait(), Some(0));
    is_found(&place, &second);
    assert!(place.socket().exists() && lock(&place).exists());
    assert!(second.runs());
}

/// A person does so on one line.
#[test]
fn after_a_signal_the_next_daemon_starts_at_once() {
    let place = Place::new();
    let mut daemon = place.daemon();
    for _ in 0..30 {
        let mut idle = place.connect();
        idle.ask("hello", json!({}));
        send(&daemon, Signal::TERM);
        let next = place.start(place.command(["daemon"]));
        assert_eq!(daemon.wait(), Some(0));
        is_found(&place, &next);
        daemon = next;
    }
}

#[cfg(target_os = "linux")]
#[test]
fn files_that_come_and_go_beside_the_socket_wake_it_not() {
    let place = Place::new();
    let daemon = place.daemon();
    place.ok(&["list"]);
    let wake_ups = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    // What the start and the client's end have left to do.
    let mut before = wake_ups();
    until("quiet", || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let now = wake_ups();
        (std::mem::replace(&mut before, now) == now).then_some(())
    });
    for number in 0..500 {
        let file = place.path().join(number.to_string());
        fs::write(&file, "").unwrap();
        fs::remove_file(&file).unwrap();
    }
    let woken = wake_ups() - before;
    assert!(woken < 20, "{woken} wake-ups for 500 files");
}
