//! A daemon of the measurement's own, and connections to it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

/// The programs that are measured: those in the directory that this variable names, otherwise those that cargo has built
/// with this measurement.
const PROGRAMS: &str = "AGENT_CONSOLE_PROGRAMS";

fn place(built: &str) -> PathBuf {
    let built = Path::new(built);
    let named = std::env::var_os(PROGRAMS).map(PathBuf::from);
    named.map_or_else(
        || built.to_owned(),
        |directory| directory.join(built.file_name().unwrap()),
    )
}

/// The program that people call.
pub fn program() -> &'static Path {
    static PLACE: LazyLock<PathBuf> = LazyLock::new(|| place(env!("CARGO_BIN_EXE_agent-console")));
    &PLACE
}

/// The program that agents call: the hook.
pub fn hook_program() -> &'static Path {
    static PLACE: LazyLock<PathBuf> = LazyLock::new(|| place(env!("CARGO_BIN_EXE_acd")));
    &PLACE
}

/// The service.
pub fn service() -> &'static Path {
    static PLACE: LazyLock<PathBuf> = LazyLock::new(|| place(env!("CARGO_BIN_EXE_agent-consoled")));
    &PLACE
}

/// A directory of its own, in memory where the system has such a place: so is the runtime directory of a user's session,
/// in which the service saves its state.
pub fn directory() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
}

/// A command with nothing of the user's: home, socket and runtime directory in `directory`, no configuration.
pub fn command(program: impl AsRef<std::ffi::OsStr>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", directory)
        .env("XDG_RUNTIME_DIR", directory)
        .env("AGENT_CONSOLE_SOCKET", socket_in(directory))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

pub fn socket_in(directory: &Path) -> PathBuf {
    directory.join("socket")
}

/// A running daemon; killed at the end.
pub struct Daemon {
    pub child: Child,
    pub directory: tempfile::TempDir,
}

impl Daemon {
    /// Starts it and waits for its first answer.
    pub fn start() -> Self {
        let directory = directory().unwrap();
        let child = command(service(), directory.path()).spawn().unwrap();
        let daemon = Self { child, directory };
        daemon.connect_soon().ask("daemon.status");
        daemon
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(&socket_in(self.directory.path())).unwrap()
    }

    /// Tries until it listens, without a pause: what is waited for takes less than a sleep.
    pub fn connect_soon(&self) -> Wire {
        loop {
            if let Ok(wire) = Wire::connect(&socket_in(self.directory.path())) {
                return wire;
            }
        }
    }

    /// Asks it to leave and waits until it has.
    pub fn stop(mut self) {
        self.connect().ask("daemon.stop");
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that is asked one thing at a time.
pub struct Wire {
    pub socket: UnixStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub fn connect(socket: &Path) -> std::io::Result<Self> {
        let socket = UnixStream::connect(socket)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self::on(socket))
    }

    pub fn on(socket: UnixStream) -> Self {
        Self {
            socket,
            buffer: vec![0; 64 * 1024],
        }
    }

    /// Asks and waits for the whole answer, of which it says how long it is.
    pub fn ask(&mut self, method: &str) -> usize {
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\"}}\n");
        self.ask_line(line.as_bytes())
    }

    /// The same with a line as it is.
    pub fn ask_line(&mut self, line: &[u8]) -> usize {
        self.socket.write_all(line).unwrap();
        self.read_line()
    }

    /// Waits for a whole line, where only one can come; its length.
    pub fn read_line(&mut self) -> usize {
        let mut length = 0;
        loop {
            let bytes = self.read();
            length += bytes.len();
            if bytes.ends_with(b"\n") {
                return length;
            }
        }
    }

    /// Whatever has come.
    pub fn read(&mut self) -> &[u8] {
        let count = self.socket.read(&mut self.buffer).unwrap();
        assert!(count > 0, "the daemon has gone");
        &self.buffer[..count]
    }
}

/// Thousands of connections need as many descriptors.
pub fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, raised).unwrap();
}
