//! Against a stand-in for Codex, which is a script; `python3` runs it by the first argument, in the test's directory.

use std::fs;
use std::time::Duration;

use super::*;
use crate::agents::hook_command;

const OWN: &str = "/p/agent-console";
const SCRIPT: &str = include_str!("../../../../tests/stand_in/codex-app-server.py");
const PLAIN: &str = "# mine\nmodel = \"m\" # fast\n\n[tui]\ntheme = \"x\"\n";

/// A configuration directory with a hook of another program before one of ours.
struct Home {
    directory: tempfile::TempDir,
    commands: Vec<String>,
    limit: Duration,
}

impl Home {
    fn new(mode: &str) -> Self {
        let home = Self {
            directory: tempfile::tempdir().unwrap(),
            commands: vec![hook_command(OWN, &["codex"])],
            limit: Duration::from_secs(20),
        };
        home.write("app-server", SCRIPT);
        home.write("config.toml", PLAIN);
        home.mode(mode);
        let group = |command: &str| json!({"hooks": [{"type": "command", "command": command}]});
        let own = group(&home.commands[0]);
        let longer = group(&format!("{}; rm x", home.commands[0]));
        let events = json!({"SessionEnd": [own], "Stop": [group("notify"), own, longer]});
        home.write("hooks.json", &json!({"hooks": events}).to_string());
        home
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn mode(&self, mode: &str) {
        self.write("mode", mode);
    }

    fn config(&self) -> String {
        fs::read_to_string(self.path().join("config.toml")).unwrap()
    }

    fn call<T>(&self, call: fn(&TrustQuery<'_>) -> Result<T, TrustError>) -> Result<T, TrustError> {
        call(&TrustQuery {
            program: Path::new("python3"),
            directory: self.path(),
            variable: Some(self.path()),
            settings: &self.path().join("hooks.json"),
            commands: &self.commands,
            limit: self.limit,
        })
    }

    fn refusal<T: std::fmt::Debug>(
        &self,
        call: fn(&TrustQuery<'_>) -> Result<T, TrustError>,
    ) -> String {
        self.call(call).unwrap_err().to_string()
    }

    /// The methods that were called since the last time.
    fn requests(&self) -> Vec<String> {
        let log = self.path().join("requests.jsonl");
        let requests = fs::read_to_string(&log).unwrap();
        fs::remove_file(log).unwrap();
        let requests = requests.lines().map(|line| {
            let request: Value = serde_json::from_str(line).unwrap();
            request["method"].as_str().unwrap().to_owned()
        });
        requests.collect()
    }
}

fn two(trusted: usize, untrusted: usize, modified: usize) -> TrustCounts {
    TrustCounts {
        trusted,
        untrusted,
        modified,
        disabled: 0,
    }
}

#[test]
fn own_hooks_are_trusted_and_forgotten_and_no_other_is_touched() {
    for mode in ["", "noise", "odd"] {
        let home = Home::new(mode);
        assert!(!may_be_kept(home.path()));
        assert_eq!(home.call(ask).unwrap(), two(0, 2, 0), "{mode}");
        assert_eq!(home.requests(), ["initialize", "initialized", LIST]);
        let granted = home.call(grant).unwrap();
        assert_eq!((granted.changed, granted.after), (2, two(2, 0, 0)));
        let calls = ["initialize", "initialized", LIST, WRITE, LIST];
        assert_eq!(home.requests(), calls, "the change is verified");
        let config = home.config();
        assert!(config.starts_with(PLAIN), "{config}");
        assert_eq!(config.matches("trusted_hash").count(), 2, "{config}");
        let keys = ["session_end:0:0", "stop:1:0"];
        assert!(keys.iter().all(|key| config.contains(key)), "{config}");
        assert!(may_be_kept(home.path()));

        let again = home.call(grant).unwrap();
        assert_eq!((again.changed, again.after), (0, two(2, 0, 0)));
        assert_eq!(home.requests(), ["initialize", "initialized", LIST]);

        let revoked = home.call(revoke).unwrap();
        assert_eq!((revoked.changed, revoked.after), (2, two(0, 2, 0)));
        assert_eq!(home.config(), PLAIN);
        let again = home.call(revoke).unwrap();
        assert_eq!((again.changed, again.after), (0, two(0, 2, 0)));
    }
}

#[test]
fn a_hook_that_was_changed_since_is_trusted_anew() {
    let home = Home::new("");
    home.call(grant).unwrap();
    let hooks = fs::read_to_string(home.path().join("hooks.json")).unwrap();
    // Another member of the first hook of ours.
    home.write(
        "hooks.json",
        &hooks.replacen("\"type\"", "\"timeout\":3,\"type\"", 1),
    );
    assert_eq!(home.call(ask).unwrap(), two(1, 0, 1));
    let granted = home.call(grant).unwrap();
    assert_eq!((granted.changed, granted.after), (1, two(2, 0, 0)));
}

#[test]
fn an_entry_of_others_keeps_its_place_when_ours_go() {
    let home = Home::new("");
    let others = format!(
        "{PLAIN}\n[hooks.state]\n\n[hooks.state.\"{}/hooks.json:stop:0:0\"]\ntrusted_hash = \"sha256:0\"\n",
        home.path().display()
    );
    home.write("config.toml", &others);
    home.call(grant).unwrap();
    assert!(home.config().starts_with(&others), "{}", home.config());
    home.call(revoke).unwrap();
    assert_eq!(home.config(), others);
}

#[test]
fn hooks_that_a_person_has_switched_off_are_counted_and_stay_off() {
    let home = Home::new("off");
    let granted = home.call(grant).unwrap();
    let counts = TrustCounts {
        disabled: 2,
        ..TrustCounts::default()
    };
    assert_eq!((granted.changed, granted.after), (2, counts));
    assert!(!home.config().contains("enabled"), "{}", home.config());
}

#[test]
fn a_change_that_was_confirmed_and_not_made_is_noticed() {
    let home = Home::new("keeps");
    let granted = home.call(grant).unwrap();
    assert_eq!((granted.changed, granted.after), (0, two(0, 2, 0)));
    home.mode("");
    home.call(grant).unwrap();
    home.mode("keeps");
    let revoked = home.call(revoke).unwrap();
    assert_eq!((revoked.changed, revoked.after), (0, two(2, 0, 0)));
}

#[test]
fn what_does_not_answer_is_named() {
    for (mode, why) in [
        ("ends", "ended without an answer"),
        ("old", "refused `hooks/list`: Invalid request"),
        ("locked", "refused `config/batchWrite`: Invalid request"),
        ("unlisted", "lists none of these hooks: failed to parse"),
    ] {
        let home = Home::new(mode);
        let refusal = home.refusal(grant);
        assert!(refusal.contains(why), "{mode}: {refusal}");
        assert!(refusal.chars().count() < 300, "{mode}: {refusal}");
        assert_eq!(home.config(), PLAIN);
    }
    let mut home = Home::new("silent");
    home.limit = Duration::from_millis(300);
    for mode in ["silent", "flood"] {
        home.mode(mode);
        let refusal = home.refusal(grant);
        assert!(refusal.contains("did not answer within"), "{refusal}");
    }
    let query = TrustQuery {
        program: Path::new("/nowhere/codex"),
        directory: home.path(),
        variable: None,
        settings: home.path(),
        commands: &[],
        limit: home.limit,
    };
    let refusal = ask(&query).unwrap_err().to_string();
    assert!(refusal.contains("cannot be started"), "{refusal}");
}

#[test]
fn one_that_does_not_end_by_itself_is_ended_with_its_child() {
    let home = Home::new("stays");
    home.call(ask).unwrap();
    let pids = fs::read_to_string(home.path().join("pids")).unwrap();
    for pid in pids.split(' ') {
        let pid = pid.parse().unwrap();
        // Its child is reaped by another process.
        let is_gone = || match crate::os::process::inspect(pid) {
            Ok(found) => found.zombie,
            Err(_) => true,
        };
        let end = crate::os::clock::monotonic() + Duration::from_secs(20);
        while !is_gone() {
            assert!(crate::os::clock::monotonic() < end, "{pid} runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_key_is_quoted_as_codex_reads_it() {
    assert_eq!(quoted_key("/a b/é.x:stop:0:0"), "\"/a b/é.x:stop:0:0\"");
    assert_eq!(quoted_key(r#"/a"\t"#), r#""/a\"\\t""#);
}

#[test]
fn trust_is_looked_for_where_the_configuration_has_entries_of_hooks_json() {
    let home = Home::new("");
    let may_be_kept_with = |text: &str| {
        home.write("config.toml", text);
        may_be_kept(home.path())
    };
    assert!(may_be_kept_with(
        "[hooks.state.\"/h/.codex/hooks.json:stop:0:0\"]\nenabled = false\n"
    ));
    for none in [
        "",
        "[hooks]\n",
        "[hooks.state]\n",
        "hooks = 1\n",
        "[[hooks.Stop]]\n",
        "x = = 1",
    ] {
        assert!(!may_be_kept_with(none), "{none}");
    }
    fs::remove_file(home.path().join("config.toml")).unwrap();
    assert!(!may_be_kept(home.path()));
}
