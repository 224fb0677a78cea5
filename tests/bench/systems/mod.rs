//! The systems that are measured beside one another, each a process of its own on a unix socket in a directory of its
//! own. `load.rs` asks each for a producer's socket, dashboards' sockets, and an update's bytes.

pub mod agent_console;
pub mod dbus;
pub mod floor;
pub mod mosquitto;
pub mod redis;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::daemon::directory;
use crate::report::Report;

/// Bytes of an update's content, the same for all.
pub const UPDATE: usize = 400;
/// A process that does not answer for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// By what a reader knows that a reply or a delivery is whole.
#[derive(Clone, Copy)]
pub enum Ends {
    /// Each is a line.
    Lines,
    /// Each has this many bytes.
    Every(usize),
}

/// A reader's count of one connection.
pub struct Counter {
    ends: Ends,
    bytes: usize,
    count: u64,
}

impl Counter {
    pub fn new(ends: Ends) -> Self {
        Self {
            ends,
            bytes: 0,
            count: 0,
        }
    }

    /// How many are whole once these bytes have been read.
    #[expect(clippy::naive_bytecount, reason = "it is vectorised")]
    pub fn read(&mut self, bytes: &[u8]) -> u64 {
        match self.ends {
            Ends::Lines => self.count += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64,
            Ends::Every(length) => {
                self.bytes += bytes.len();
                self.count = (self.bytes / length) as u64;
            }
        }
        self.count
    }
}

/// What the updates are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Each is answered, where the system can.
    Answered,
    /// As many as possible: an answer only where the system has no other way.
    Many,
}

/// A running system.
pub trait System {
    fn name(&self) -> &'static str;

    fn process(&self) -> &Child;

    /// A connection that may send updates.
    fn producer(&self) -> UnixStream;

    /// Connections that get every update from now on, and have nothing to read.
    fn dashboards(&self, count: usize) -> Vec<UnixStream>;

    /// The bytes of an update that happened at this time, in ms since the epoch. Of one time, updates may be sent again
    /// and again; earlier ones change nothing in agent-console.
    fn update(&self, number: u64, at: u128) -> Vec<u8>;

    /// How a reply ends; `None` where there is none.
    fn replies(&self) -> Option<Ends>;

    /// How a delivery ends.
    fn deliveries(&self) -> Ends;

    /// Bytes of a delivery.
    fn delivery_length(&self) -> usize;
}

/// The peers and, after them, the floors, which answer as many bytes as agent-console's hook. A peer that is not
/// installed is noted.
pub fn start_all(purpose: Purpose, report: &mut Report) -> Vec<Box<dyn System>> {
    let hook = agent_console::AgentConsole::start(agent_console::Kind::Hook, purpose);
    let lengths = hook.lengths();
    let set = agent_console::AgentConsole::start(agent_console::Kind::Set, purpose);
    let mut systems: Vec<Box<dyn System>> = vec![Box::new(hook), Box::new(set)];
    systems.extend(peers(purpose, report));
    for kind in [floor::Kind::Epoll, floor::Kind::Tokio] {
        systems.push(Box::new(floor::Floor::start(kind, lengths)));
    }
    systems
}

pub fn peers(purpose: Purpose, report: &mut Report) -> Vec<Box<dyn System>> {
    let mut systems: Vec<Box<dyn System>> = Vec::new();
    if installed(redis::PROGRAM, report) {
        systems.push(Box::new(redis::Redis::start()));
    }
    if installed(mosquitto::PROGRAM, report) {
        systems.push(Box::new(mosquitto::Mosquitto::start(purpose)));
    }
    if installed(dbus::PROGRAM, report) {
        systems.push(Box::new(dbus::Dbus::start()));
    }
    systems
}

pub fn installed(program: &str, report: &mut Report) -> bool {
    let found = find(program).is_some();
    if !found {
        report.note(format!("not installed: {program}"));
    }
    found
}

/// Where a program is: in the search path, or where distributions put services.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    places
        .map(|place| place.join(program))
        .find(|path| path.is_file())
}

/// A process in a directory of its own; killed at the end.
pub struct Server {
    pub child: Child,
    pub directory: tempfile::TempDir,
}

impl Server {
    /// Starts a program whose arguments depend on its directory, and does not wait for it.
    pub fn spawn<S: AsRef<OsStr>>(program: &Path, arguments: impl FnOnce(&Path) -> Vec<S>) -> Self {
        let directory = directory().unwrap();
        let child = Command::new(program)
            .args(arguments(directory.path()))
            .env_clear()
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, directory }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    pub fn connect(&self) -> UnixStream {
        let socket = UnixStream::connect(self.socket()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Tries until it listens, without a pause: what is waited for takes less than a sleep.
    pub fn connect_soon(&self) -> UnixStream {
        let began = Instant::now();
        loop {
            if let Ok(socket) = UnixStream::connect(self.socket()) {
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                return socket;
            }
            assert!(began.elapsed() < PATIENCE, "it does not listen");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes, and reads an answer of a known length.
pub fn ask(socket: &mut UnixStream, question: &[u8], length: usize) -> Vec<u8> {
    socket.write_all(question).unwrap();
    let mut answer = vec![0; length];
    socket.read_exact(&mut answer).unwrap();
    answer
}
