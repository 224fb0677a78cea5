//! Without /proc, as in some containers. Needs root, to mount.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Place, Sleeper, until};

/// The program where /proc is empty.
fn without_proc(place: &Place, arguments: &[&str]) -> Command {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test mounts: run it as root"
    );
    let script = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
    let command = place.command(arguments);
    let mut outer = Command::new("unshare");
    outer.args(["--mount", "sh", "-c", script]);
    outer.arg(command.get_program()).args(command.get_args());
    outer.env_clear();
    for (name, value) in command.get_envs() {
        outer.envs(value.map(|value| (name, value)));
    }
    outer.current_dir(place.path()).stdin(Stdio::null());
    outer
}

#[test]
fn a_hook_without_proc_is_received() {
    let place = Place::new();
    let _daemon = place.daemon();
    let agent = Sleeper::start();
    let event = place.path().join("event.json");
    let payload = r#"{"session_id":"s","hook_event_name":"UserPromptSubmit","prompt":"p"}"#;
    std::fs::write(&event, payload).unwrap();
    let output = without_proc(&place, &["hook", "claude-code"])
        .env("CLAUDE_PID", agent.pid().to_string())
        .stdin(std::fs::File::open(&event).unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    until("the session", || {
        let list = place.json(&["list", "--json"]);
        (list[0]["status"] == "working").then_some(())
    });
}

#[test]
fn a_daemon_without_proc_serves() {
    let place = Place::new();
    let _daemon = place.start(without_proc(&place, &["daemon"]));
    let job = Sleeper::start();
    let mut wire = place.connect();
    let params = json!({"session": "job", "status": "working", "pid": job.pid()});
    let answer = wire.ask("session.set", params);
    // It cannot tell which process this is, so it says that there is none.
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let answer = wire.ask(
        "session.set",
        json!({"session": "job", "status": "working"}),
    );
    assert_eq!(answer["result"]["session"]["status"], "working", "{answer}");
    assert!(place.run(&["stop"]).status.success());
}
