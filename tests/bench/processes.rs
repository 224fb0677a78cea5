//! What a process costs: the binary, the daemon's start in two of its origins, the hook.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, command, program, service, socket_in};
use crate::{Row, percentile};

const STARTS: usize = 100;
const ACTIVATIONS: usize = 30;
const HOOKS: usize = 500;

pub fn binary() -> Vec<Row> {
    let programs = [service(), program(), Path::new(env!("CARGO_BIN_EXE_acd"))];
    let row = |program: &Path| {
        let bytes = std::fs::metadata(program).unwrap().len();
        let name = program.file_name().unwrap().to_string_lossy();
        Row {
            what: format!("binary, `{name}`"),
            figure: format!("{:.2} MB", bytes as f64 / 1e6),
            floor: String::new(),
            limit: "10 MB",
        }
    };
    programs.map(row).into()
}

/// From exec to the first answer, self-bound, of the service and of the command that becomes it; then from connect(2) to
/// the first answer where a manager has the socket.
pub fn start() -> Vec<Row> {
    let (mut starts, mut commands, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        floor.push(run_true());
        starts.push(start_once(service(), &[]));
        commands.push(start_once(program(), &["daemon"]));
    }
    let mut rows = vec![
        row(
            "exec → first reply, self-bound",
            &mut starts,
            &mut floor.clone(),
            "100 ms",
        ),
        row(
            "the same by `agent-console daemon`",
            &mut commands,
            &mut floor,
            "100 ms",
        ),
    ];

    let (mut activations, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..ACTIVATIONS {
        floor.push(run_true());
        match activate() {
            Ok(time) => activations.push(ms(time)),
            Err(error) => {
                eprintln!("figures: systemd-socket-activate: {error}; not measured");
                return rows;
            }
        }
    }
    let what = "connect → first reply, started by systemd-socket-activate";
    rows.push(row(what, &mut activations, &mut floor, "100 ms"));
    rows
}

fn start_once(program: &Path, arguments: &[&str]) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let child = command(program, directory.path())
        .args(arguments)
        .spawn()
        .unwrap();
    let daemon = Daemon { child, directory };
    daemon.connect_soon().ask("daemon.status");
    let time = ms(began.elapsed());
    daemon.stop();
    time
}

/// One start by systemd-socket-activate, which listens, and runs the daemon on the first connection.
fn activate() -> std::io::Result<Duration> {
    let directory = tempfile::tempdir()?;
    let socket = socket_in(directory.path());
    let mut child = command("systemd-socket-activate", directory.path())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .arg(format!("--listen={}", socket.display()))
        .arg("--fdname=agent-console")
        .arg(service())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Listening on") {
        line.clear();
        assert!(said.read_line(&mut line)? > 0, "it did not listen");
    }
    let daemon = Daemon { child, directory };
    let began = Instant::now();
    daemon.connect().ask("daemon.status");
    let time = began.elapsed();
    // The daemon's log must have a reader until its end.
    let log = std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    daemon.stop();
    log.join().unwrap()?;
    Ok(time)
}

/// One hook, from before its start to after its end, as Claude Code runs it in exec form.
pub fn hook() -> Vec<Row> {
    let daemon = Daemon::start();
    let directory = daemon.directory.path();
    let (mut hooks, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..HOOKS {
        floor.push(run_true());
        hooks.push(run(program(), &["hook", "claude-code"], directory));
    }
    let sessions = daemon.connect().ask("session.list");
    assert!(sessions > 200, "no hook's report arrived");
    vec![row("hook process, wall", &mut hooks, &mut floor, "")]
}

fn run_true() -> f64 {
    run(Path::new("/bin/true"), &[], Path::new("/"))
}

/// The wall time in ms of a process that is given a hook's payload on standard input.
fn run(program: &Path, arguments: &[&str], directory: &Path) -> f64 {
    const PAYLOAD: &str = r#"{"session_id":"19440e85-cd7f-4f42-9daf-d078b8555b8f","transcript_path":"/home/dev/.claude/projects/-home-dev-perm/19440e85-cd7f-4f42-9daf-d078b8555b8f.jsonl","cwd":"/home/dev/perm","prompt_id":"7b1b5c11-7d54-4a5c-8f0c-3a9f3d0a4c11","permission_mode":"default","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"cargo test --locked","description":"Run the tests"},"tool_use_id":"toolu_0001"}"#;
    let mut command = command(program, directory);
    command
        .args(arguments)
        .env("CLAUDE_PID", std::process::id().to_string())
        .env("CLAUDE_CODE_SESSION_ATTENDED", "1")
        .stdin(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    // true(1) may have gone without reading.
    let _ = child.stdin.take().unwrap().write_all(PAYLOAD.as_bytes());
    assert!(child.wait().unwrap().success());
    ms(began.elapsed())
}

fn row(what: &str, samples: &mut [f64], floor: &mut [f64], limit: &'static str) -> Row {
    let (typical, worst) = (percentile(samples, 0.5), percentile(samples, 0.99));
    let floor = percentile(floor, 0.5);
    Row {
        what: format!("{what}, p50 / p99"),
        figure: format!("{typical:.2} / {worst:.2} ms"),
        floor: format!(
            "`/bin/true`, start to end: {floor:.2} ms; {:.2}×",
            typical / floor
        ),
        limit,
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
