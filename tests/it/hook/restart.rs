//! An event that comes while the daemon is being restarted waits for the next one, in a copy of the hook; where no daemon
//! was, no process waits.

use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent_console::os::clock::monotonic;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{SOON, StandIn, finish, hook};
use crate::support::{Place, until};

const EVENT: &[u8] = br#"{"hook_event_name":"Stop"}"#;

/// The event in a file that is locked until the last process has closed it.
fn input(directory: &Path) -> File {
    let path = directory.join("event");
    let mut file = File::create_new(&path).unwrap();
    file.write_all(EVENT).unwrap();
    drop(file);
    let file = File::open(path).unwrap();
    file.lock().unwrap();
    file
}

/// Whether a process has the file still, which has been closed here.
fn is_open(directory: &Path) -> bool {
    let again = File::open(directory.join("event")).unwrap();
    again.try_lock().is_err()
}

/// The hook, with a runtime directory that no other daemon writes to.
fn run(socket: &Path, directory: &Path) {
    let runtime = directory.join("run");
    fs::create_dir(&runtime).unwrap();
    fs::set_permissions(&runtime, Permissions::from_mode(0o700)).unwrap();
    let mut command = hook(&[], socket);
    command.env("XDG_RUNTIME_DIR", runtime);
    command.stdin(input(directory));
    let child = command.spawn().unwrap();
    // It has the file as well.
    drop(command);
    finish(child);
}

#[test]
fn where_no_daemon_was_no_process_waits_for_one() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    for name in ["none", "file", "none/below"] {
        let own = tempfile::tempdir_in(place.path()).unwrap();
        run(&place.path().join(name), own.path());
        // Another test's process has it until its exec; a copy would have it for two seconds.
        let ended = monotonic();
        until("the file to be closed", || {
            (!is_open(own.path())).then_some(())
        });
        assert!(ended.elapsed() < SOON, "{name}");
    }
}

/// A killed daemon leaves its socket, one that starts or leaves has its lock.
#[test]
fn an_event_waits_for_a_daemon_that_comes_back_and_no_longer_than_two_seconds() {
    for left in ["s", "s.lock"] {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("s");
        match left {
            "s" => drop(UnixListener::bind(&socket).unwrap()),
            _ => fs::write(place.path().join(left), "").unwrap(),
        }
        let began = monotonic();
        run(&socket, place.path());
        assert!(began.elapsed() < SOON);
        assert!(is_open(place.path()), "{left}");
        until("the copy to end", || (!is_open(place.path())).then_some(()));
        assert!(began.elapsed() < Duration::from_secs(4), "{left}");

        let own = tempfile::tempdir_in(place.path()).unwrap();
        run(&socket, own.path());
        let _ = fs::remove_file(&socket);
        let daemon = StandIn {
            listener: UnixListener::bind(&socket).unwrap(),
            directory: place,
        };
        assert_eq!(daemon.report()["event"]["hook_event_name"], "Stop");
    }
}

/// An agent may never close its end of the pipe.
#[test]
fn a_process_does_not_stay_for_an_input_that_never_ends() {
    let daemon = StandIn::new();
    let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(EVENT).unwrap();
    daemon.report();
    finish(child);
    until("the copy to end", || {
        // The last reader is gone.
        let mut waited = [PollFd::new(&pipe, PollFlags::empty())];
        poll(&mut waited, Some(&Timespec::default())).unwrap();
        let has_ended = waited[0].revents().contains(PollFlags::ERR);
        has_ended.then_some(())
    });
}

/// The daemon's log, of all the daemons that append to it.
struct Log(File);

impl Log {
    fn reports(&mut self) -> usize {
        let mut text = String::new();
        self.0.seek(SeekFrom::Start(0)).unwrap();
        self.0.read_to_string(&mut text).unwrap();
        text.matches("method=\"session.report\"").count()
    }
}

/// A daemon that does not outlive a failed test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn no_event_is_lost_while_a_daemon_is_stopped_and_started_again() {
    until("a run in which each daemon starts in time", || {
        let (reports, longest_gap) = restart_while_events_come();
        // A copy lives for two seconds; a busy machine may take longer to start a daemon.
        (longest_gap < Duration::from_millis(1500)).then(|| assert_eq!(reports, EVENTS))
    });
}

const EVENTS: usize = 200;

/// How many of [`EVENTS`] daemons have received that were stopped and started meanwhile, and the longest time without one.
fn restart_while_events_come() -> (usize, Duration) {
    const AT_ONCE: usize = 10;
    const RESTARTS: usize = 3;
    let place = Place::new();
    place.configure("log = \"debug\"\n");
    let path = place.path().join("log");
    File::create_new(&path).unwrap();
    let mut log = Log(File::open(&path).unwrap());
    let start = || -> Running {
        let mut command = place.command(["daemon"]);
        let append = File::options().append(true).open(&path).unwrap();
        command.stdout(Stdio::null()).stderr(append);
        let mut daemon = Running(command.spawn().unwrap());
        until("the daemon", || {
            assert!(daemon.0.try_wait().unwrap().is_none());
            let answers = place.run(&["status"]).status.success();
            answers.then_some(())
        });
        daemon
    };
    let mut daemon = start();
    let is_done = AtomicBool::new(false);
    let longest_gap = std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..EVENTS / AT_ONCE {
                let hooks = (0..AT_ONCE).map(|_| {
                    let mut hook = hook(&[], &place.socket());
                    hook.env("XDG_RUNTIME_DIR", place.runtime_dir());
                    hook.stdout(Stdio::null()).stderr(Stdio::null());
                    let mut hook = hook.spawn().unwrap();
                    hook.stdin.take().unwrap().write_all(EVENT).unwrap();
                    hook
                });
                for mut hook in hooks.collect::<Vec<_>>() {
                    assert!(hook.wait().unwrap().success());
                }
            }
            is_done.store(true, Ordering::SeqCst);
        });
        let (mut restarts, mut longest) = (0, Duration::ZERO);
        while !is_done.load(Ordering::SeqCst) || restarts < RESTARTS {
            let began = monotonic();
            place.ok(&["stop"]);
            daemon.0.wait().unwrap();
            daemon = start();
            longest = longest.max(began.elapsed());
            restarts += 1;
        }
        longest
    });
    // No copy lives longer than that.
    let end = monotonic() + Duration::from_secs(5);
    while log.reports() < EVENTS && monotonic() < end {
        std::thread::yield_now();
    }
    place.ok(&["stop"]);
    daemon.0.wait().unwrap();
    (log.reports(), longest_gap)
}
