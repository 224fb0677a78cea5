//! The builder that all tests stand on: a directory of one's own, the daemon in it, the commands, a raw connection.

use std::fs::{self, DirBuilder};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before a test gives up: generous, because it is only ever waited for in failure.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How long what needs no wait may take: far above what it takes on a busy machine, below [`PATIENCE`].
pub const PROMPT: Duration = Duration::from_secs(20);

/// Tries until `probe` gives something.
///
/// # Panics
///
/// Nothing came within [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The program under test.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_agent-console"))
}

/// The service's program, which lies beside it.
pub fn service() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_agent-consoled"))
}

/// Copies a program that is run afterwards. By a process of its own: a file that is open for writing here, and so in
/// whatever another test is just starting, can't be run (ETXTBSY).
#[track_caller]
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// Writes a program that is run afterwards, as [`copy`] does.
#[track_caller]
pub fn write_program(path: &Path, text: &str) {
    let mut shell = Command::new("sh")
        .args(["-c", r#"cat >"$0" && chmod 755 "$0""#])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = shell.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    assert!(shell.wait().unwrap().success());
}

/// A stand-in for Codex in this directory of programs: its app server, which keeps a person's trust in hooks.
#[track_caller]
pub fn write_codex(programs: &Path) {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/stand_in/codex-app-server.py"
    );
    let call = "app-server --listen stdio://";
    let text = format!("#!/bin/sh\n[ \"$*\" = '{call}' ] && exec python3 '{script}'\n");
    write_program(&programs.join("codex"), &text);
}

/// The file that a process runs.
#[cfg(target_os = "linux")]
#[track_caller]
pub fn executable(pid: u32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).unwrap()
}

/// A directory, a home and a socket of a test's own.
#[derive(Debug)]
#[must_use]
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("acd-").tempdir().unwrap();
        fs::create_dir(directory.path().join("home")).unwrap();
        let place = Self { directory };
        DirBuilder::new()
            .mode(0o700)
            .create(place.runtime_dir())
            .unwrap();
        place
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where the daemon saves its state.
    pub fn runtime_dir(&self) -> PathBuf {
        self.path().join("runtime")
    }

    pub fn socket(&self) -> PathBuf {
        self.path().join("socket")
    }

    /// Writes the configuration file. The account's service is asked only where the text says so: a test stays on its
    /// machine.
    pub fn configure(&self, text: &str) {
        const OFF: &str = "\n[usage]\nenabled = false\n";
        let off = if text.contains("[usage]") { "" } else { OFF };
        let file = self.config_file();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("{text}{off}")).unwrap();
    }

    pub fn config_file(&self) -> PathBuf {
        self.path().join("home/.config/agent-console/config.toml")
    }

    /// The program with an environment of nothing but this place. Standard input is empty.
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: I,
    ) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path().join("home"))
            .env("AGENT_CONSOLE_SOCKET", self.socket())
            .current_dir(self.path())
            .stdin(Stdio::null());
        // Only a daemon: clients would ask the service manager there.
        if command.get_args().next() == Some("daemon".as_ref()) {
            command.env("XDG_RUNTIME_DIR", self.runtime_dir());
        }
        command
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must succeed, and gives its standard output.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the program, which must succeed, and reads its standard output as JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// Runs `agent-console hook` as Claude Code would for the process `pid`, and waits for its end.
    #[track_caller]
    pub fn hook(&self, pid: u32, attended: bool, payload: &str) {
        let mut hook = self
            .command(["hook", "claude-code"])
            .env("CLAUDE_PID", pid.to_string())
            .env(
                "CLAUDE_CODE_SESSION_ATTENDED",
                if attended { "1" } else { "0" },
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        hook.stdin
            .take()
            .unwrap()
            .write_all(payload.as_bytes())
            .unwrap();
        let output = hook.wait_with_output().unwrap();
        assert!(
            output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(),
            "{output:?}"
        );
    }

    /// Starts the daemon in the foreground, self-bound, and waits until it answers.
    #[track_caller]
    pub fn daemon(&self) -> Daemon {
        self.daemon_with(|_| {})
    }

    /// The same, with a say in its command.
    #[track_caller]
    pub fn daemon_with(&self, prepare: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = self.command(["daemon"]);
        self.log_to_file(&mut command);
        prepare(&mut command);
        self.spawn(command)
    }

    /// The same, with a runtime directory of its own: it knows nothing of what an earlier daemon knew.
    #[track_caller]
    pub fn daemon_without_state(&self) -> Daemon {
        let private = fs::Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new()
            .permissions(private)
            .tempdir_in(self.path())
            .unwrap()
            .keep();
        self.daemon_with(|command| {
            command.env("XDG_RUNTIME_DIR", &directory);
        })
    }

    fn log_file(&self) -> PathBuf {
        self.path().join("daemon.log")
    }

    fn log_to_file(&self, command: &mut Command) {
        let log = fs::File::create(self.log_file()).unwrap();
        command.stdout(Stdio::null()).stderr(log);
    }

    /// Starts a daemon by a command of the caller's and waits until its socket takes connections.
    #[track_caller]
    pub fn start(&self, mut command: Command) -> Daemon {
        self.log_to_file(&mut command);
        self.spawn(command)
    }

    #[track_caller]
    fn spawn(&self, mut command: Command) -> Daemon {
        if !self.config_file().exists() {
            self.configure("");
        }
        let mut daemon = Daemon {
            child: command.spawn().unwrap(),
            log: self.log_file(),
        };
        until("the daemon to listen", || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}: {}", daemon.log());
            }
            UnixStream::connect(self.socket()).ok()
        });
        daemon
    }

    /// A raw connection to the daemon.
    #[track_caller]
    pub fn connect(&self) -> Wire {
        Wire::connect(&self.socket())
    }
}

/// A daemon that is killed when its test ends.
#[derive(Debug)]
pub struct Daemon {
    pub child: Child,
    log: PathBuf,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal, by the name that kill(1) knows.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end and gives its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        until("the daemon to end", || self.child.try_wait().unwrap()).code()
    }

    /// True while it runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}---", self.log());
        }
    }
}

/// A connection that sends and receives lines.
#[derive(Debug)]
pub struct Wire(BufReader<UnixStream>);

impl Wire {
    #[track_caller]
    pub fn connect(socket: &Path) -> Self {
        let socket = UnixStream::connect(socket).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(socket))
    }

    pub fn socket(&self) -> &UnixStream {
        self.0.get_ref()
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// The next line as JSON; `None` at the end of the connection.
    #[track_caller]
    pub fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line).unwrap() {
            0 => None,
            _ => Some(
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}")),
            ),
        }
    }

    /// Asks and gives the answer, result or error; notifications before it are passed over.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let request =
            serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.send(format!("{request}\n").as_bytes());
        loop {
            let answer = self.next().expect("an answer");
            if answer.get("id").is_some() {
                return answer;
            }
        }
    }

    /// The next notification of this method; others are passed over.
    #[track_caller]
    pub fn notified(&mut self, method: &str) -> Value {
        loop {
            let line = self.next().expect("a notification");
            if line["method"] == method {
                return line["params"].clone();
            }
        }
    }

    /// Reads until the daemon closes the connection; what came.
    pub fn rest(mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).unwrap();
        text
    }
}

/// A process that is killed when its test ends: one that does nothing else, to stand for an agent, or any other.
#[derive(Debug)]
pub struct Sleeper(pub Child);

impl Sleeper {
    pub fn start() -> Self {
        Self(
            Command::new("sleep")
                .arg("600")
                .stdin(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// What is left to read of its output, and how it ended.
    #[track_caller]
    pub fn output(&mut self) -> Output {
        let mut output = Output {
            status: self.0.wait().unwrap(),
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        if let Some(mut stdout) = self.0.stdout.take() {
            stdout.read_to_end(&mut output.stdout).unwrap();
        }
        if let Some(mut stderr) = self.0.stderr.take() {
            stderr.read_to_end(&mut output.stderr).unwrap();
        }
        output
    }

    /// Kills it with -9 and reaps it.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client and a dashboard that do nothing wrong, while others do.
#[derive(Debug)]
pub struct Bystanders {
    client: Wire,
    dashboard: Wire,
    seq: u64,
    marks: u32,
}

impl Bystanders {
    #[track_caller]
    pub fn at(place: &Place) -> Self {
        let mut dashboard = place.connect();
        let snapshot = dashboard.ask("subscribe", serde_json::json!({}));
        Self {
            client: place.connect(),
            dashboard,
            seq: snapshot["result"]["seq"].as_u64().unwrap(),
            marks: 0,
        }
    }

    /// The client is answered, and the dashboard receives its change and all changes before it, without a wait for the
    /// bad client.
    #[track_caller]
    pub fn are_served(&mut self) {
        let began = Instant::now();
        self.marks += 1;
        let mark = format!("mark {}", self.marks);
        let answer = self.client.ask(
            "session.set",
            serde_json::json!({"session": "bystander", "status": "working", "reason": mark}),
        );
        assert_eq!(answer["result"]["session"]["reason"], *mark, "{answer}");
        loop {
            let pushed = self.dashboard.next().expect("the dashboard to be kept");
            let params = &pushed["params"];
            assert_eq!(params["seq"], self.seq + 1, "a gap: {pushed}");
            self.seq += 1;
            if params["session"]["reason"] == *mark {
                break;
            }
        }
        assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    }

    /// Asks as the client.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.client.ask(method, params)
    }
}

/// Lets this process have as many files open as the system allows: a test's clients are all its own.
pub fn open_many() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// A pipe whose reading end is closed.
pub fn broken_pipe() -> std::io::PipeWriter {
    let (_reader, writer) = std::io::pipe().unwrap();
    writer
}

impl Daemon {
    /// The memory that it has for itself, in KiB: neither its program's file, of which the kernel keeps what it likes,
    /// nor does it matter what was swapped out.
    #[track_caller]
    pub fn memory(&self) -> u64 {
        self.number("RssAnon") + self.number("VmSwap")
    }

    /// A number of its `/proc/PID/status`.
    #[track_caller]
    pub fn number(&self, field: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many descriptors it has open.
    #[track_caller]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }
}
