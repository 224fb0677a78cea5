//! The real `agent-console hook` against a socket that stands in for the daemon: what arrives there, and that nothing
//! that can go wrong ever affects the agent.

#[cfg(target_os = "linux")]
mod nested;
#[cfg(target_os = "linux")]
mod restart;
mod time;

use std::io::{Read, Write};
#[cfg(target_os = "linux")]
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
#[cfg(target_os = "linux")]
use std::thread;
use std::time::Duration;
use std::{fs, process};

use agent_console::os::clock::{monotonic, unix_ms};
use agent_console::os::process::{inspect, namespace};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

#[cfg(target_os = "linux")]
use crate::support::copy;
use crate::support::{PATIENCE, program, until};

/// The promise is 100 ms; a busy machine may take longer to start and reap a process at all. A hook that waited for a
/// daemon would take two seconds.
const SOON: Duration = Duration::from_secs(1);

/// A stand-in for the daemon.
struct StandIn {
    directory: TempDir,
    listener: UnixListener,
}

impl StandIn {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        Self {
            directory,
            listener,
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// All that the next client sends until it closes.
    fn next(&self) -> String {
        self.listener.set_nonblocking(true).unwrap();
        let (mut client, _) = until("the hook to connect", || self.listener.accept().ok());
        client.set_nonblocking(false).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        text
    }

    /// The parameters of the one report that the next client sends.
    fn report(&self) -> Map<String, Value> {
        let text = self.next();
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.contains('\n'), "{text}");
        let mut message: Map<String, Value> = serde_json::from_str(line).unwrap();
        assert_eq!(message["jsonrpc"], "2.0");
        assert_eq!(message["method"], "session.report");
        assert_eq!(message.len(), 3, "{text}");
        let params = message.remove("params").unwrap();
        serde_json::from_value(params).unwrap()
    }
}

/// The hook with an environment of nothing but a home directory without configuration.
fn hook(arguments: &[&str], socket: &Path) -> Command {
    let mut command = Command::new(program());
    command.arg("hook").args(arguments);
    command.arg("--socket").arg(socket);
    command.env_clear().env("HOME", "/nonexistent");
    // As the agent marks what it starts; the caller is this process.
    command.env("CLAUDECODE", "1");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits for the hook: it must have succeeded, and said nothing.
fn finish(mut child: Child) {
    let status = until("the hook to end", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut said).unwrap();
    }
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said).unwrap();
    }
    assert_eq!(said, "");
}

/// Runs the hook with `input`, which it must take to the end.
fn run(mut command: Command, input: &[u8]) {
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    finish(child);
}

/// The same, and it ends soon: on a busy machine at one of several tries.
#[track_caller]
fn run_soon(command: impl Fn() -> Command, input: &[u8]) {
    until("a hook that ends in time", || {
        let start = monotonic();
        run(command(), input);
        (start.elapsed() < SOON).then_some(())
    });
}

/// The hook events of a recorded run, with the agent's process id and whether a person sat there.
fn recorded(file: &Path) -> Vec<Value> {
    fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|record: &Value| record.get("hook").is_some())
        .collect()
}

fn traces() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/agents/claude_code/traces")
}

/// All that may be kept of a recorded event, and the longest text in bytes of JSON. A dot leads into an object or into
/// each element of an array.
const ALLOWED: &[(&str, usize)] = &[
    ("hook_event_name", 64),
    ("session_id", 128),
    ("cwd", 4096),
    ("prompt_id", 64),
    ("permission_mode", 32),
    ("agent_id", 64),
    ("source", 32),
    ("trigger", 32),
    ("reason", 64),
    ("model", 64),
    ("session_title", 256),
    ("prompt", 256),
    ("tool_name", 128),
    ("tool_input.command", 256),
    ("tool_input.file_path", 512),
    ("tool_input.notebook_path", 512),
    ("tool_input.path", 512),
    ("tool_input.pattern", 256),
    ("tool_input.url", 256),
    ("tool_input.query", 256),
    ("tool_input.description", 256),
    ("tool_input.questions.question", 256),
    ("tool_input.questions.options.label", 64),
    ("tool_input.plan", 256),
    ("notification_type", 64),
    ("error", 64),
    ("background_tasks.id", 64),
    ("background_tasks.type", 32),
    ("background_tasks.status", 32),
    ("session_crons.schedule", 64),
];

/// What may be kept of `object` where `prefix` leads to it.
fn allowed(object: &Map<String, Value>, prefix: &str) -> Map<String, Value> {
    let mut kept = Map::new();
    for (path, limit) in ALLOWED {
        let Some(rest) = path.strip_prefix(prefix) else {
            continue;
        };
        let step = rest.split('.').next().unwrap();
        let inside = format!("{prefix}{step}.");
        let value: Value = match object.get(step) {
            Some(Value::String(text)) if rest == step => cut(text, *limit).into(),
            Some(Value::Object(object)) if rest != step => allowed(object, &inside).into(),
            Some(Value::Array(elements)) if rest != step => elements
                .iter()
                .map(|element| allowed(element.as_object().unwrap(), &inside))
                .collect(),
            _ => continue,
        };
        if ![json!(""), json!({}), json!([])].contains(&value) {
            kept.insert(step.to_owned(), value);
        }
    }
    kept
}

fn cut(text: &str, limit: usize) -> String {
    let mut length = 0;
    text.chars()
        .take_while(|char| {
            length += json!(char).to_string().len() - 2;
            length <= limit
        })
        .collect()
}

#[test]
fn every_recorded_event_arrives_with_its_fields_and_no_others() {
    let daemon = StandIn::new();
    let pid = process::id();
    let mut files: Vec<_> = fs::read_dir(traces())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "jsonl"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 8);
    let mut count = 0;
    for record in files.iter().flat_map(|file| recorded(file)) {
        let attended = record["attended"].as_bool().unwrap();
        let mut command = hook(&[], &daemon.socket());
        command.env("CLAUDE_PID", pid.to_string()).env(
            "CLAUDE_CODE_SESSION_ATTENDED",
            if attended { "1" } else { "0" },
        );
        let before = unix_ms();
        run(command, record["hook"].to_string().as_bytes());
        let after = unix_ms();

        let mut report = daemon.report();
        let at = report.remove("at").unwrap().as_u64().unwrap();
        assert!((before..=after).contains(&at));
        report.remove("terminal");
        let expected = json!({
            "agent": "claude-code",
            "pid": pid,
            "process_start": inspect(pid).unwrap().id.start,
            "pid_namespace": namespace(),
            "attended": attended,
            "config_dir": "/nonexistent/.claude",
            "event": allowed(record["hook"].as_object().unwrap(), ""),
        });
        assert_eq!(Value::Object(report), expected);
        count += 1;
    }
    assert!(count > 150, "{count}");
}

#[test]
fn a_permission_request_reads_as_expected() {
    let daemon = StandIn::new();
    let record = recorded(&traces().join("perm.jsonl"))
        .into_iter()
        .find(|record| record["hook"]["hook_event_name"] == "PermissionRequest")
        .unwrap();
    let payload = &record["hook"];
    run(
        hook(&["claude-code"], &daemon.socket()),
        payload.to_string().as_bytes(),
    );
    let report = daemon.report();
    // No variable has the agent's process id, so it is the process that started the hook.
    assert_eq!(report["pid"], process::id());
    assert_eq!(report.get("attended"), None);
    let event = report["event"].as_object().unwrap();
    for key in [
        "session_id",
        "cwd",
        "hook_event_name",
        "tool_name",
        "prompt_id",
    ] {
        assert_eq!(event[key], payload[key]);
    }
    assert_eq!(
        event["tool_input"]["command"],
        payload["tool_input"]["command"]
    );
    assert_eq!(event.get("transcript_path"), None);
}

#[test]
fn the_environment_is_not_sent() {
    let daemon = StandIn::new();
    let mut command = hook(&[], &daemon.socket());
    command
        .env("CLAUDE_CODE_MESSAGING_TOKEN", "secret-one")
        .env("ANTHROPIC_API_KEY", "secret-two")
        .env("TMUX", "/tmp/tmux-1/default,77,3")
        .env("TMUX_PANE", "%3")
        .env("TERM_PROGRAM", "a\"b");
    let payload = json!({
        "hook_event_name": "PostToolUse", "tool_name": "Write",
        "tool_input": {"file_path": "/a", "content": "secret-three"},
        "tool_response": {"stdout": "secret-four", "command": "secret-five"},
        "transcript_path": "secret-six",
    });
    run(command, payload.to_string().as_bytes());
    let text = daemon.next();
    assert!(!text.contains("secret"), "{text}");
    let message: Value = serde_json::from_str(&text).unwrap();
    let mut terminal = message["params"]["terminal"].clone();
    terminal.as_object_mut().unwrap().remove("tty");
    let expected = json!({"term_program": "a\"b", "tmux": "/tmp/tmux-1/default", "tmux_pid": 77, "tmux_pane": "%3"});
    assert_eq!(terminal, expected);
    let event = json!({"hook_event_name": "PostToolUse", "tool_name": "Write", "tool_input": {"file_path": "/a"}});
    assert_eq!(message["params"]["event"], event);
}

#[test]
fn an_unknown_agents_hook_does_nothing() {
    let daemon = StandIn::new();
    for input in [&br#"{"hook_event_name":"Stop"}"#[..], &vec![b'x'; 300_000]] {
        run(hook(&["unheard-of"], &daemon.socket()), input);
    }
    // The only line is that of a known one.
    run(hook(&[], &daemon.socket()), b"{}");
    assert_eq!(daemon.report()["agent"], "claude-code");
}

#[test]
fn an_event_is_reported_as_soon_as_it_is_whole() {
    let daemon = StandIn::new();
    for input in [
        &br#"{"hook_event_name":"Stop"}"#[..],
        b" \n{\"hook_event_name\":\"Stop\"}\n",
        b"\xef\xbb\xbf{\"hook_event_name\":\"Stop\"}",
        br#"{"hook_event_name":"Stop"}{"hook_event_name":"PreToolUse"}"#,
        b"{\"hook_event_name\":\"Stop\"} garbage \xff",
    ] {
        let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(input).unwrap();
        let report = daemon.report();
        assert_eq!(report["event"], json!({"hook_event_name": "Stop"}));
        pipe.write_all(&vec![b'\n'; 300_000]).unwrap();
        finish(child);
    }
}

/// Later than any time limit of a report: a writer that gets EPIPE may take the hook for failed.
#[cfg(target_os = "linux")]
#[test]
fn the_writer_can_write_long_after_the_event() {
    let daemon = StandIn::new();
    let start = monotonic();
    let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(br#"{"hook_event_name":"Stop"}"#).unwrap();
    daemon.report();
    finish(child);
    while start.elapsed() < Duration::from_millis(2500) {
        pipe.write_all(&vec![b'\n'; 100_000]).unwrap();
        thread::sleep(Duration::from_millis(250));
    }
}

/// Each as its own hooks see it, without a word of the agent that the hook is registered for.
#[test]
fn a_hook_that_another_program_runs_does_nothing() {
    let daemon = StandIn::new();
    let event =
        br#"{"hook_event_name":"PreToolUse","session_id":"g","tool_name":"run_terminal_command"}"#;
    let marks = [
        &[][..],
        &[("GROK_SESSION_ID", "g"), ("GROK_HOOK_EVENT", "PreToolUse")],
        // Inherited from the agent that has started it.
        &[("GROK_HOOK_EVENT", "PreToolUse"), ("CLAUDECODE", "1")],
        &[("DEVIN_SESSION_ID", "d"), ("CLAUDE_PID", "1")],
        &[("CLAUDE_PROJECT_DIR", "/w")],
        &[("CLAUDE_PID", "0")],
    ];
    for marks in marks {
        let mut command = hook(&[], &daemon.socket());
        command.env_remove("CLAUDECODE").envs(marks.iter().copied());
        run(command, event);
        // By a shell that ends at once.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", r#""$0" hook claude-code --socket "$1"; :"#])
            .arg(program())
            .arg(daemon.socket())
            .env_clear()
            .env("HOME", "/nonexistent")
            .envs(marks.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        run(shell, event);
    }
    // The only line is that of the agent.
    run(hook(&[], &daemon.socket()), b"{}");
    assert_eq!(daemon.report()["event"], json!({}));
}

/// A version that sets no variable of its own, with a shell between it and the hook.
#[cfg(target_os = "linux")]
#[test]
fn an_agent_without_variables_is_known_by_its_program() {
    let daemon = StandIn::new();
    let claude = daemon.directory.path().join("claude");
    copy(Path::new("/bin/sh"), &claude);
    let mut agent = Command::new(&claude);
    agent
        .args(["-c", r#"sh -c '"$0" hook --socket "$1"; :' "$0" "$1"; :"#])
        .arg(program())
        .arg(daemon.socket())
        .env_clear()
        .env("HOME", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut agent = agent.spawn().unwrap();
    let pid = agent.id();
    let mut input = agent.stdin.take().unwrap();
    input.write_all(br#"{"hook_event_name":"Stop"}"#).unwrap();
    drop(input);
    finish(agent);
    let report = daemon.report();
    assert_eq!(report["pid"], pid);
    assert_eq!(report["event"], json!({"hook_event_name": "Stop"}));
}

/// Slower than the agent waits for, and than a daemon is waited for.
#[cfg(target_os = "linux")]
#[test]
fn an_event_that_is_written_slowly_arrives() {
    let daemon = StandIn::new();
    let payload = json!({
        "tool_response": (0..50).map(|_| json!({"line": "}".repeat(40_000)})).collect::<Value>(),
        "hook_event_name": "PostToolUse",
    });
    let payload = payload.to_string();
    let start = monotonic();
    let mut child = hook(&[], &daemon.socket()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // Longer than a report may take, before the first byte.
    thread::sleep(Duration::from_millis(2200));
    let pieces = payload.as_bytes().chunks(payload.len() / 50);
    for piece in pieces {
        input.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(60));
    }
    let report = daemon.report();
    assert!(start.elapsed() > Duration::from_secs(5));
    assert_eq!(report["event"], json!({"hook_event_name": "PostToolUse"}));
    child.wait().unwrap();
    drop(input);
}

#[test]
fn a_large_tool_response_is_taken_whole_and_left_out() {
    let daemon = StandIn::new();
    let payload = json!({
        "tool_response": "line of output\n".repeat(14_000),
        "hook_event_name": "PostToolUse",
        "prompt": "\u{1}".repeat(1000),
    });
    run(hook(&[], &daemon.socket()), payload.to_string().as_bytes());
    let report = daemon.report();
    let event = json!({"hook_event_name": "PostToolUse", "prompt": "\u{1}".repeat(42)});
    assert_eq!(report["event"], event);
}

#[test]
fn an_event_with_a_repeated_key_arrives() {
    let daemon = StandIn::new();
    let payload =
        br#"{"hook_event_name":"Stop","cwd":"/a","cwd":"/b","tool_input":{"path":"p","path":"q"}}"#;
    run(hook(&[], &daemon.socket()), payload);
    let event = json!({"hook_event_name": "Stop", "cwd": "/a", "tool_input": {"path": "p"}});
    assert_eq!(daemon.report()["event"], event);
}

#[test]
fn garbage_is_reported_without_an_event() {
    let daemon = StandIn::new();
    let inputs: [&[u8]; 6] = [
        b"",
        b"garbage",
        b"{\"cwd\":\"/a\"",
        b"[1]",
        &[0xff; 5000],
        b"x{}",
    ];
    for input in inputs {
        run(hook(&[], &daemon.socket()), input);
        let report = daemon.report();
        assert_eq!(report.get("event"), None);
        assert_eq!(report["pid"], process::id());
    }
}

#[test]
fn the_socket_comes_from_the_environment_or_the_file() {
    let daemon = StandIn::new();
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join(".config/agent-console");
    fs::create_dir_all(&directory).unwrap();
    let settings = format!(
        "socket = {:?}\nidle_timeout = \"wrong\"\n",
        daemon.socket().to_str().unwrap()
    );
    fs::write(directory.join("config.toml"), settings).unwrap();
    let bare = |variable: Option<&Path>| {
        let mut command = Command::new(program());
        command.arg("hook").env_clear().env("HOME", home.path());
        command.env("CLAUDECODE", "1");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(path) = variable {
            command.env("AGENT_CONSOLE_SOCKET", path);
        }
        command
    };
    run(bare(None), b"{}");
    assert_eq!(daemon.report()["event"], json!({}));
    let other = StandIn::new();
    run(bare(Some(&other.socket())), b"{}");
    assert_eq!(other.report()["event"], json!({}));
}

#[test]
fn without_a_daemon_nothing_happens() {
    let directory = tempfile::tempdir().unwrap();
    let payload = br#"{"hook_event_name":"Stop"}"#;
    let path = |name| directory.path().join(name);
    let nothing_happens = |socket: &Path| run_soon(|| hook(&[], socket), payload);
    nothing_happens(&path("none"));

    drop(UnixListener::bind(path("stale")).unwrap());
    nothing_happens(&path("stale"));

    fs::write(path("file"), "").unwrap();
    nothing_happens(&path("file"));
    nothing_happens(&path("file/below"));
    nothing_happens(directory.path());
    nothing_happens(&path(&"long".repeat(1000)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_another_user_planted_gets_nothing() {
    assert!(
        rustix::process::geteuid().is_root(),
        "run the tests as root: only root can listen as another user"
    );
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let path = directory.path().join("s");
    let planted = thread::spawn({
        let path = path.clone();
        move || {
            #[expect(unsafe_code, reason = "the C library would change every thread")]
            // SAFETY: three plain numbers; the kernel changes this thread's credentials only.
            let result = unsafe { libc::syscall(libc::SYS_setresuid, 4711, 4711, 4711) };
            assert_eq!(result, 0);
            UnixListener::bind(path).unwrap()
        }
    });
    let listener = planted.join().unwrap();
    // The configuration names it: to name it to the hook itself is to trust its owner.
    let config = directory.path().join(".config/agent-console/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, format!("socket = {path:?}\n")).unwrap();
    let unnamed = || {
        let mut command = Command::new(program());
        command
            .arg("hook")
            .env_clear()
            .env("HOME", directory.path());
        command.env("CLAUDECODE", "1").stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    run_soon(unnamed, br#"{"hook_event_name":"Stop"}"#);
    listener.set_nonblocking(true).unwrap();
    if let Ok((mut client, _)) = listener.accept() {
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn closed_descriptors_do_no_harm() {
    let daemon = StandIn::new();
    for redirections in ["<&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(format!("exec \"$0\" hook --socket \"$1\" {redirections}"))
            .arg(program())
            .arg(daemon.socket())
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("CLAUDECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // Where it is closed, nothing reads this.
        let _ = input.write_all(b"{\"hook_event_name\":\"Stop\"}");
        drop(input);
        finish(child);
        let report = daemon.report();
        let read = !redirections.contains('<');
        assert_eq!(report.contains_key("event"), read, "{redirections}");
    }
}
