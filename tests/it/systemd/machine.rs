//! A user's machine of a test's own: their systemd, their journal, their home with the program and its units installed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::reexec;
use crate::support::{Wire, program, service, until};

pub const SERVICE: &str = "agent-console.service";
pub const SOCKET: &str = "agent-console.socket";
pub const SOCKET_PATH: &str = "/tmp/agent-console.sock";

/// Puts the programs under test where a user has them, then becomes the user: the checkout may be readable by root alone.
const SET_UP: &str = r#"
install -m 755 "$1" "$XDG_RUNTIME_DIR/test"
install -m 755 "$2" "$HOME/.cargo/bin/agent-console"
install -m 755 "$3" "$HOME/.cargo/bin/agent-consoled"
install -m 644 "$4"/* "$HOME/.config/systemd/user"
shift 4
exec "$AS_USER" env AGENT_CONSOLE_TEST_AGAIN="$AGENT_CONSOLE_TEST_AGAIN" "$XDG_RUNTIME_DIR/test" "$@"
"#;

/// Runs `body` as a user with a systemd and a journal.
#[track_caller]
pub fn beside_a_manager(test: &str, body: impl FnOnce(&Machine)) {
    if reexec::argument().is_some() {
        return body(&Machine {
            home: std::env::home_dir().unwrap(),
        });
    }
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(checkout.join("tests/with-user-systemd"));
    command
        .args([
            "--private-tmp",
            "--cmd-root",
            "--",
            "sh",
            "-euc",
            SET_UP,
            "sh",
        ])
        .args([&std::env::current_exe().unwrap(), program(), service()])
        .arg(checkout.join("packaging/systemd"))
        // Kept from being covered by the private /tmp.
        .env("CARGO_TARGET_DIR", program().ancestors().nth(2).unwrap())
        .stdin(Stdio::null());
    reexec::second_half(&mut command, test, "beside a manager");
    reexec::assert_passed(&command.output().unwrap());
}

/// What its user does on it. Shows the journal if the test fails.
#[derive(Debug)]
pub struct Machine {
    home: PathBuf,
}

#[expect(
    clippy::unused_self,
    reason = "without the machine there is nothing to ask"
)]
impl Machine {
    /// Writes the configuration, all of it at once: a daemon may start at any moment.
    pub fn configure(&self, text: &str) {
        let file = self.config_file();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let new = file.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, file).unwrap();
    }

    pub fn config_file(&self) -> PathBuf {
        self.home.join(".config/agent-console/config.toml")
    }

    /// Changes a unit. Before [`enable`](Self::enable), which has the manager read it.
    pub fn drop_in(&self, unit: &str, text: &str) {
        let directory = self.home.join(format!(".config/systemd/user/{unit}.d"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("test.conf"), text).unwrap();
    }

    /// As the documentation says.
    #[track_caller]
    pub fn enable(&self) {
        self.systemctl(&["enable", "--now", SOCKET]);
    }

    /// `systemctl --user`, which must succeed.
    #[track_caller]
    pub fn systemctl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("systemctl");
        command.args(["--user", "--no-pager"]).args(arguments);
        succeed(command)
    }

    pub fn property(&self, unit: &str, name: &str) -> String {
        let shown = self.systemctl(&["show", "--property", name, "--value", unit]);
        shown.trim_end().to_owned()
    }

    #[track_caller]
    pub fn wait_until_inactive(&self) {
        until("the service to be inactive", || {
            (self.property(SERVICE, "ActiveState") == "inactive").then_some(())
        });
    }

    /// Until `systemctl status` shows a line of the log.
    #[track_caller]
    pub fn wait_until_shown(&self, part: &str) {
        until(part, || {
            let shown = self.systemctl(&["status", SERVICE]);
            shown.contains(part).then_some(())
        });
    }

    /// A path below the user's home.
    pub fn home(&self, below: &str) -> PathBuf {
        self.home.join(below)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.home(".cargo/bin/agent-console"));
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn program(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must succeed, and reads its standard output as JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = succeed(self.command(arguments));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// Runs the hook as Claude Code does in its process `pid`.
    #[track_caller]
    pub fn hook(&self, pid: u32, event: &Value) {
        let mut command = self.command(&["hook", "claude-code"]);
        command.env("CLAUDE_PID", pid.to_string());
        let mut hook = command.stdin(Stdio::piped()).spawn().unwrap();
        // It may leave before it has read, or without.
        let _ = hook
            .stdin
            .take()
            .unwrap()
            .write_all(event.to_string().as_bytes());
        assert!(hook.wait().unwrap().success());
    }

    /// A connection that has subscribed.
    #[track_caller]
    pub fn dashboard(&self) -> Wire {
        let mut wire = Wire::connect(Path::new(SOCKET_PATH));
        assert!(wire.ask("subscribe", json!({}))["result"]["seq"].is_u64());
        wire
    }

    /// What `journalctl --user -u agent-console` shows.
    #[track_caller]
    pub fn journal(&self, options: &[&str]) -> Vec<Value> {
        let mut command = Command::new("journalctl");
        command
            .args(["--user", "--unit=agent-console", "--output=json", "--quiet"])
            .args(options);
        let text = succeed(command);
        let entries = text.lines().map(serde_json::from_str);
        entries.collect::<Result<_, _>>().unwrap()
    }

    /// The daemon's entry of this process with this message.
    #[track_caller]
    pub fn entry(&self, pid: &str, message: &str) -> Option<Value> {
        let entries = self.journal(&[&format!("_PID={pid}")]);
        entries.into_iter().find(|entry| says(entry, message))
    }
}

/// True if a journal's entry begins with `message`.
pub fn says(entry: &Value, message: &str) -> bool {
    let text = entry["MESSAGE"].as_str();
    text.is_some_and(|text| text.starts_with(message))
}

#[track_caller]
fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let journal = ["journalctl", "--lines=200", "--output=short-precise"];
            for command in [&journal[..], &["systemctl", "status"]] {
                let mut shown = Command::new(command[0]);
                shown.args(["--user", "--no-pager"]).args(&command[1..]);
                let _ = shown.status();
            }
        }
    }
}
