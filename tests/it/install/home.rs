//! A user with a systemd of their own and a home that holds nothing but the program.

use super::*;

/// As root: the program where a user has it, nothing else in the home, the test's own preparation; then as the user.
const SET_UP: &str = r#"
install -m 755 "$1" "$XDG_RUNTIME_DIR/test"
rm -r "$HOME/.config" "$HOME/.local"
install -m 755 -o 4711 "$2" "$HOME/.cargo/bin/agent-console"
install -m 755 -o 4711 "$3" "$HOME/.cargo/bin/agent-consoled"
eval "$4"
shift 4
exec "$AS_USER" env AGENT_CONSOLE_TEST_AGAIN="$AGENT_CONSOLE_TEST_AGAIN" "$XDG_RUNTIME_DIR/test" "$@"
"#;

/// Runs `body` as a user with a systemd, after `prepare`, a shell script, as root.
#[track_caller]
pub fn as_user(test: &str, prepare: &str, body: impl FnOnce(&User)) {
    if reexec::argument().is_some() {
        return body(&User {
            home: std::env::home_dir().unwrap(),
        });
    }
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(checkout.join("tests/with-user-systemd"));
    command
        .args(["--private-tmp", "--cmd-root", "--"])
        .args(["sh", "-euc", SET_UP, "sh"])
        .args([&std::env::current_exe().unwrap(), program(), service()])
        .arg(prepare)
        // Kept from being covered by the private /tmp.
        .env("CARGO_TARGET_DIR", program().ancestors().nth(2).unwrap())
        .stdin(Stdio::null());
    reexec::second_half(&mut command, test, "as a user");
    reexec::assert_passed(&command.output().unwrap());
}

/// What the user does.
#[derive(Debug)]
pub struct User {
    pub home: PathBuf,
}

#[expect(
    clippy::unused_self,
    reason = "without the user there is no manager to ask"
)]
impl User {
    pub fn installed(&self) -> PathBuf {
        self.home.join(".cargo/bin/agent-console")
    }

    /// The service's program.
    pub fn installed_service(&self) -> PathBuf {
        self.home.join(".cargo/bin/agent-consoled")
    }

    pub fn unit(&self, name: &str) -> PathBuf {
        self.home.join(".config/systemd/user").join(name)
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn program(&self, arguments: &[&str]) -> Output {
        run(Command::new(self.installed()).args(arguments))
    }

    /// Runs the program, which must succeed, and gives its standard output.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.program(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }

    #[track_caller]
    pub fn systemctl(&self, arguments: &[&str]) -> String {
        let output = run(Command::new("systemctl").arg("--user").args(arguments));
        assert!(output.status.success(), "{arguments:?}: {}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn property(&self, unit: &str, name: &str) -> String {
        let shown = self.systemctl(&["show", "--property", name, "--value", unit]);
        shown.trim_end().to_owned()
    }

    /// Runs the hook as the agent does, for the process `pid`.
    #[track_caller]
    pub fn hook(&self, pid: &str) {
        let event = self.home.join("event.json");
        fs::write(
            &event,
            r#"{"session_id":"x","hook_event_name":"UserPromptSubmit"}"#,
        )
        .unwrap();
        let output = Command::new(self.installed())
            .args(["hook", "claude-code"])
            .env("CLAUDE_PID", pid)
            .stdin(fs::File::open(&event).unwrap())
            .output();
        fs::remove_file(event).unwrap();
        let output = output.unwrap();
        assert!(
            output.status.success() && shown(&output).is_empty(),
            "{output:?}"
        );
    }
}

#[track_caller]
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

/// Everything below `directory`: each path with its mode, and what it holds.
pub fn listing(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let holds = if metadata.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            String::new()
        } else if metadata.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else if metadata.len() > 1024 * 1024 {
            // The program.
            metadata.len().to_string()
        } else {
            String::from_utf8(fs::read(&path).unwrap()).unwrap()
        };
        let (mode, uid) = (metadata.mode(), metadata.uid());
        found.push(format!("{} {mode:o} {uid} {holds:?}", path.display()));
    }
    found.sort();
    found
}
