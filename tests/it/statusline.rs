//! `statusline`: its command runs as it would without us; the status line's JSON is reported; a daemon that does not run,
//! or hangs, causes no failure.

use std::io::{BufRead, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use crate::support::{Place, Sleeper, broken_pipe, until};

const PAYLOAD: &str = r#"{"session_id":"s","model":{"id":"opus-5","display_name":"Opus 5"},"context_window":{"used_percentage":12},
    "cost":{"total_cost_usd":0.5},"rate_limits":{"five_hour":{"used_percentage":42}}}"#;

/// Starts a command as an agent does, while a thread writes the input.
fn start(command: &mut Command, input: &[u8]) -> Child {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut pipe, input) = (child.stdin.take().unwrap(), input.to_owned());
    // The command may write before it has read everything, and need not read everything.
    std::thread::spawn(move || match pipe.write_all(&input) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.unwrap(),
    });
    child
}

fn draw(place: &Place, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = place.command([&["statusline"], arguments].concat());
    start(&mut command, input).wait_with_output().unwrap()
}

/// The command without us, in the same environment.
fn draw_without_us(place: &Place, words: &[&str], input: &[u8]) -> Output {
    let like = place.command([] as [&str; 0]);
    // By its path, as ours is: the standard library starts a mere name in another way, with other signals ignored.
    let mut command = Command::new("/usr/bin/env");
    command
        .args(words)
        .env_clear()
        .envs(
            like.get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        )
        .current_dir(place.path());
    start(&mut command, input).wait_with_output().unwrap()
}

/// Without a daemon, with one, and with one that accepts nothing and whose queue is full.
fn with_any_daemon(body: impl Fn(&Place)) {
    body(&Place::new());

    let place = Place::new();
    let daemon = place.daemon();
    body(&place);
    drop(daemon);

    let place = Place::new();
    let hangs = UnixListener::bind(place.socket()).unwrap();
    rustix::net::listen(&hangs, 0).unwrap();
    let _waits = UnixStream::connect(place.socket()).unwrap();
    body(&place);
}

#[test]
fn the_status_line_updates_the_session_and_the_limits() {
    let place = Place::new();
    let agent = Sleeper::start();
    let _daemon = place.daemon();
    assert!(place.ok(&["usage"]).contains("nothing is known"));
    place.hook(
        agent.pid(),
        true,
        r#"{"hook_event_name":"SessionStart","session_id":"s"}"#,
    );
    let mut command = place.command(["statusline", "--", "cat"]);
    command.env("CLAUDE_PID", agent.pid().to_string());
    let output = start(&mut command, PAYLOAD.as_bytes());
    assert_eq!(
        output.wait_with_output().unwrap().stdout,
        PAYLOAD.as_bytes()
    );
    let session = until("the report", || {
        let session = place.json(&["get", "s", "--json"]);
        session["cost_usd"].is_number().then_some(session)
    });
    assert_eq!(session["context_percent"], 12.0);
    assert_eq!(session["status"], "idle");
    let usage = place.json(&["usage", "--json"]);
    assert_eq!(usage["usage"]["windows"][0]["used_percent"], 42.0);
    let said = place.ok(&["usage"]);
    assert!(said.contains("5h") && said.contains("42 %"), "{said}");
}

#[test]
fn a_command_runs_as_it_does_without_us() {
    const COMMANDS: [&[&str]; 12] = [
        &[
            "sh",
            "-c",
            r"printf 'a\0b\377\n'; printf 'to err' >&2; exit 7",
        ],
        &["sh", "-c", "cat; cat >&2; exit 255"],
        &["sh", "-c", "kill -9 $$"],
        &["sh", "-c", "kill -TERM $$"],
        &["sh", "-c", "kill -PIPE $$"],
        &["printf", "%s|", "--", "-x", "", "a b"],
        &["head", "-c", "5"],
        &["env"],
        &["pwd"],
        // What it inherits: signals pending, blocked, ignored and caught (SigQ counts the whole user's), open files.
        // Other systems have no such files.
        &["grep", "^Sig[PBIC]", "/proc/self/status"],
        &["ls", "/proc/self/fd"],
        &["ls", "/nonexistent"],
    ];
    with_any_daemon(|place| {
        for command in COMMANDS {
            // Larger than any pipe.
            for input in [PAYLOAD.to_owned(), PAYLOAD.repeat(2000)] {
                let arguments = [&["--"], command].concat();
                let output = draw(place, &arguments, input.as_bytes());
                let expected = draw_without_us(place, command, input.as_bytes());
                assert_eq!(output, expected, "{command:?}");
            }
        }
    });
}

#[test]
fn the_command_gets_every_byte_of_the_input() {
    with_any_daemon(|place| {
        for size in [0, 5_000, 300_000, 2_000_000] {
            let bytes = (0..size).map(|at: u32| at.wrapping_mul(0x9e37_79b9).to_be_bytes()[0]);
            let input: Vec<u8> = bytes.collect();
            let output = draw(place, &["--", "cat"], &input);
            assert!(output.status.success() && output.stdout == input, "{size}");
        }
    });
}

/// Starts the command with an input that does not end.
fn start_open(place: &Place, arguments: &[&str], input: &[u8]) -> (Child, ChildStdin) {
    let mut child = place
        .command([&["statusline"], arguments].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(input).unwrap();
    (child, pipe)
}

#[test]
fn the_line_is_drawn_when_the_json_is_whole() {
    let place = Place::new();
    for input in [
        PAYLOAD.to_owned(),
        format!("\u{feff}\n{PAYLOAD}\n"),
        format!("{PAYLOAD}garbage{{"),
    ] {
        // It ends, too: an agent waits for that. The pipe is open all the time.
        let (child, mut pipe) = start_open(&place, &[], input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with("Opus 5 · "), "{said}");
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
        pipe.write_all(&vec![b'x'; 300_000]).unwrap();
    }
}

#[test]
fn the_command_starts_when_the_json_is_whole_and_gets_the_rest_later() {
    let place = Place::new();
    let script = "echo started; exec cat";
    let (mut child, mut pipe) = start_open(&place, &["--", "sh", "-c", script], PAYLOAD.as_bytes());
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    let rest = "é".repeat(200_000);
    let writer = std::thread::spawn(move || {
        for piece in rest.as_bytes().chunks(77_777) {
            pipe.write_all(piece).unwrap();
        }
        rest
    });
    let mut passed_on = String::new();
    output.read_to_string(&mut passed_on).unwrap();
    assert!(passed_on == format!("{PAYLOAD}{}", writer.join().unwrap()));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_command_that_reads_nothing_breaks_no_pipe() {
    let place = Place::new();
    let (child, mut pipe) = start_open(&place, &["--", "true"], PAYLOAD.as_bytes());
    assert!(child.wait_with_output().unwrap().status.success());
    for _ in 0..10 {
        pipe.write_all(&vec![b'x'; 100_000]).unwrap();
    }
}

/// The process that the agent started becomes the command.
#[test]
fn a_signal_reaches_the_command() {
    with_any_daemon(|place| {
        let mut command =
            place.command(["statusline", "--", "sh", "-c", "echo $$; exec sleep 600"]);
        let mut child = Sleeper(start(&mut command, PAYLOAD.as_bytes()));
        let mut said = String::new();
        BufReader::new(child.0.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert_eq!(said.trim().parse(), Ok(child.pid()));
        let killed = Command::new("kill").arg(child.pid().to_string()).status();
        assert!(killed.unwrap().success());
        assert_eq!(child.output().status.signal(), Some(15));
    });
}

#[test]
fn a_command_with_a_closed_output_ends_as_it_would_alone() {
    let place = Place::new();
    let mut command = place.command(["statusline", "--", "yes"]);
    let status = command.stdout(broken_pipe()).status().unwrap();
    assert_eq!(status.signal(), Some(13));
}

#[test]
fn a_command_that_cannot_be_run_is_named_with_the_status_of_a_shell() {
    let place = Place::new();
    std::fs::write(place.path().join("text"), "").unwrap();
    for (command, code) in [
        ("/nonexistent", 127),
        ("no-such-program", 127),
        ("./text", 126),
        ("/", 126),
    ] {
        let output = draw(&place, &["--", command], PAYLOAD.as_bytes());
        assert_eq!(output.status.code(), Some(code), "{command}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with(&format!("agent-console: cannot run {command}: "))
                && said.contains("`statusLine`"),
            "{said}"
        );
        assert_eq!((said.lines().count(), output.stdout.len()), (1, 0));
    }
}

#[test]
fn our_own_line_never_fails() {
    with_any_daemon(|place| {
        for (input, line) in [
            (
                PAYLOAD.as_bytes(),
                "Opus 5 · 12 % context · $0.50 · 5h 42 %",
            ),
            (b"", ""),
            (b"nonsense", ""),
            (b"\xff{\"session_id\":", ""),
            (br#"{"model":{"display_name":"\u001b[2J\u202e"}}"#, ""),
        ] {
            let output = draw(place, &[], input);
            assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(said.starts_with(line), "{said}");
            assert_eq!(said.matches(|sign: char| sign.is_control()).count(), 1);
            assert!(said.ends_with('\n') && !said.contains('\u{202e}'), "{said}");
        }
        let mut command = place.command(["statusline"]);
        let output = command.stdout(broken_pipe()).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    });
}
