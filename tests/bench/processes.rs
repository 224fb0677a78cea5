//! What processes cost: `start` from exec to the first reply, `hook` a hook's run, `size` the programs' bytes.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, command, directory, hook_program, program, service, socket_in};
use crate::manager;
use crate::report::{Figure, Report, percentile};
use crate::systems::dbus::{self, Dbus};
use crate::systems::mosquitto::{self, Mosquitto};
use crate::systems::redis::{self, Redis};
use crate::systems::{Purpose, installed};

const SHARES: [(f64, &str); 2] = [(0.5, "p50"), (0.99, "p99")];

/// A named way to take one sample, in ms.
type Sampler<'a> = (&'static str, Box<dyn Fn() -> f64 + 'a>);

/// From exec to the first answer, where each system listens itself; then from connect(2) to the first answer where a
/// manager has the socket.
pub fn start(quick: bool, report: &mut Report) {
    let mut samplers: Vec<Sampler> = vec![
        ("agent-console", Box::new(|| start_ours(service(), &[]))),
        (
            "agent-console daemon",
            Box::new(|| start_ours(program(), &["daemon"])),
        ),
    ];
    if installed(redis::PROGRAM, report) {
        samplers.push(("redis", Box::new(|| timed(Redis::start))));
    }
    if installed(mosquitto::PROGRAM, report) {
        let start = || Mosquitto::start(Purpose::Answered);
        samplers.push(("mosquitto", Box::new(move || timed(start))));
    }
    if installed(dbus::PROGRAM, report) {
        samplers.push(("dbus", Box::new(|| timed(Dbus::start))));
    }
    samplers.push(("/bin/true", Box::new(run_true)));
    take_turns(
        "start",
        "exec → first reply",
        &samplers,
        if quick { 10 } else { 50 },
        report,
    );

    let times = if quick { 10 } else { 30 };
    if installed("systemd-socket-activate", report) {
        let samplers: [Sampler; 2] = [
            ("agent-console", Box::new(|| ms(activate().unwrap()))),
            ("/bin/true", Box::new(run_true)),
        ];
        let what = "activation, connect → first reply";
        take_turns("start", what, &samplers, times, report);
    }
    match manager::activations(times) {
        Ok(times) => add(
            "start",
            "activation by a user manager, connect → first reply",
            &["agent-console", "a unit that only answers"],
            times.into(),
            report,
        ),
        Err(why) => report.note(format!("no activation by a user manager: {why}")),
    }
}

/// Each sampler once a round.
fn take_turns(
    section: &'static str,
    what: &str,
    systems: &[Sampler],
    rounds: usize,
    report: &mut Report,
) {
    let mut samples: Vec<Vec<f64>> = systems.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for ((_, sample), samples) in systems.iter().zip(&mut samples) {
            samples.push(sample());
        }
    }
    let names: Vec<_> = systems.iter().map(|(name, _)| *name).collect();
    add(section, what, &names, samples, report);
}

/// A figure for each share of the samples of these systems.
fn add(
    section: &'static str,
    what: &str,
    systems: &[&'static str],
    mut samples: Vec<Vec<f64>>,
    report: &mut Report,
) {
    for (share, name) in SHARES {
        let mut figure = Figure::new(section, format!("{what}, {name}"), "ms");
        for (system, samples) in systems.iter().zip(&mut samples) {
            figure = figure.with(*system, percentile(samples, share));
        }
        report.add(figure);
    }
}

/// The time until the value is there; it is dropped afterwards.
fn timed<T>(start: impl FnOnce() -> T) -> f64 {
    let began = Instant::now();
    let started = start();
    let time = ms(began.elapsed());
    drop(started);
    time
}

fn start_ours(program: &Path, arguments: &[&str]) -> f64 {
    timed(|| {
        let directory = directory().unwrap();
        let child = command(program, directory.path())
            .args(arguments)
            .spawn()
            .unwrap();
        let daemon = Daemon { child, directory };
        daemon.connect_soon().ask("daemon.status");
        daemon
    })
}

/// One start by systemd-socket-activate, which listens, and runs the daemon on the first connection.
fn activate() -> std::io::Result<Duration> {
    let directory = directory()?;
    let socket = socket_in(directory.path());
    let mut child = command("systemd-socket-activate", directory.path())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .arg(format!("--listen={}", socket.display()))
        .arg("--fdname=agent-console")
        .arg(service())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Listening on") {
        line.clear();
        assert!(messages.read_line(&mut line)? > 0, "it did not listen");
    }
    let daemon = Daemon { child, directory };
    let began = Instant::now();
    daemon.connect().ask("daemon.status");
    let time = began.elapsed();
    // The daemon's log must have a reader until its end.
    let log = std::thread::spawn(move || std::io::copy(&mut messages, &mut std::io::sink()));
    daemon.stop();
    log.join().unwrap()?;
    Ok(time)
}

/// One hook, from before its start to after its end, as Claude Code runs it in exec form.
pub fn hook(quick: bool, report: &mut Report) {
    let daemon = Daemon::start();
    let directory = daemon.directory.path();
    let static_true = static_true(directory);
    let mut samplers: Vec<Sampler> = vec![
        (
            "hook",
            Box::new(|| run(hook_program(), &["hook", "claude-code"], directory)),
        ),
        (
            "by agent-console",
            Box::new(|| run(program(), &["hook", "claude-code"], directory)),
        ),
        ("/bin/true", Box::new(run_true)),
    ];
    match &static_true {
        Some(path) => {
            samplers.push(("static true", Box::new(|| run(path, &[], Path::new("/")))));
        }
        None => report.note("no static true: gcc, or a static C library, is not installed"),
    }
    take_turns(
        "hook",
        "wall time",
        &samplers,
        if quick { 60 } else { 500 },
        report,
    );
    let sessions = daemon.connect().ask("session.list");
    assert!(sessions > 200, "no hook's report arrived");
}

/// The smallest program that a C compiler makes.
fn static_true(directory: &Path) -> Option<PathBuf> {
    let (source, program) = (directory.join("true.c"), directory.join("true"));
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-static", "-o"])
        .arg(&program)
        .arg(&source);
    let made = gcc.stderr(Stdio::null()).status();
    made.is_ok_and(|status| status.success()).then_some(program)
}

pub fn run_true() -> f64 {
    run(Path::new("/bin/true"), &[], Path::new("/"))
}

/// The wall time in ms of a process that is given a hook's payload on standard input.
pub fn run(program: &Path, arguments: &[&str], directory: &Path) -> f64 {
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

/// The programs, and the service's sections.
pub fn size(_: bool, report: &mut Report) {
    for program in [service(), program(), hook_program()] {
        let name = program.file_name().unwrap().to_string_lossy();
        let bytes = std::fs::metadata(program).unwrap().len();
        report.add(Figure::new("size", name, "bytes").with("agent-console", bytes as f64));
    }
    for (section, bytes) in elf_sections(&std::fs::read(service()).unwrap()) {
        let what = format!("agent-consoled, {section}");
        report.add(Figure::new("size", what, "bytes").with("agent-console", bytes as f64));
    }
}

/// The sections of a little-endian ELF64 file that are loaded, and have at least 4 KiB: name and size (elf(5)).
fn elf_sections(file: &[u8]) -> Vec<(String, u64)> {
    let word = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    let half = |at: usize| usize::from(u16::from_le_bytes(file[at..at + 2].try_into().unwrap()));
    let place = |at: usize| usize::try_from(word(at)).unwrap();
    let (table, each, count, names) = (place(40), half(58), half(60), half(62));
    let header = |number: usize| table + number * each;
    let names = place(header(names) + 24);
    let section = |number: usize| {
        let at = header(number);
        let offset = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        let name = file[names + offset..]
            .split(|&byte| byte == 0)
            .next()
            .unwrap();
        let is_loaded = word(at + 8) & 2 != 0;
        let size = word(at + 32);
        (is_loaded && size >= 4096).then(|| (String::from_utf8_lossy(name).into_owned(), size))
    };
    (0..count).filter_map(section).collect()
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
