//! Nothing that a command prints steers a terminal, whatever a daemon answers: each command of the grammar, as text and as
//! JSON, in front of a daemon whose every text holds what could.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Output, Stdio};
use std::thread;

use serde_json::{Value, json};

use crate::support::Place;

/// C1's CSI, DEL, an override and an isolate of the Unicode Bidirectional Algorithm, and an OSC with its end. And what bars
/// and markup interpret.
const EVIL: &str =
    "evil\u{9b}2J\u{7f}\u{202e}\u{2066}\u{200f}\u{1b}]0;x\u{7}\r#(t)%{A1:t:}<b>&\"'\n";

/// A name of which the daemon knows nothing, and says so.
const UNKNOWN: &str = "unknown";

/// True for what a terminal would take for more than a character, except the end of a line.
fn is_harmful(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn session(key: &str) -> Value {
    let fields = [
        "tty",
        "term_program",
        "tmux",
        "tmux_pane",
        "screen_session",
        "screen_window",
        "zellij_session",
        "zellij_pane",
        "wezterm_pane",
        "wezterm_socket",
        "kitty_window",
        "kitty_listen_on",
        "iterm_session",
    ];
    let terminal: serde_json::Map<_, _> = fields
        .map(|field| (field.to_owned(), EVIL.into()))
        .into_iter()
        .collect();
    json!({
        "key": key, "agent": EVIL, "session_id": EVIL, "previous_session_ids": [EVIL], "status": "waiting",
        "waiting_for": "answer", "attention": true, "since": 2, "reason": EVIL, "question": EVIL, "title": EVIL,
        "start_cwd": EVIL, "cwd": EVIL, "pid": 4_194_305, "process_start": 3, "terminal": terminal,
        "permission_mode": EVIL, "model": EVIL, "context_percent": 50.0, "cost_usd": 1.5, "account": EVIL,
        "subagents": 1, "background": 1, "history": [{"status": "waiting", "at": 2}],
        "evidence": [{"kind": "hook", "at": 2, "what": EVIL}], "started_at": 1,
    })
}

fn closed(key: &str) -> Value {
    let mut closed = session(key);
    for (field, value) in [
        ("status", json!("closed")),
        ("attention", json!(false)),
        ("ended_at", json!(3)),
        ("end_reason", json!(EVIL)),
    ] {
        closed[field] = value;
    }
    closed
}

fn usage() -> Value {
    let window = json!({"name": EVIL, "agent": EVIL, "account": EVIL, "used_percent": 97.0, "resets_at": 9_999_999_999_999_u64});
    let account = |name: &str| {
        json!({"account": name, "agent": EVIL, "state": "stale", "windows": [window],
        "code": EVIL, "message": EVIL})
    };
    json!({"state": "stale", "windows": [window], "code": EVIL, "message": EVIL,
        "accounts": [account(EVIL), account("work")]})
}

fn notice() -> Value {
    json!({"at": 1, "code": "payload_unreadable", "message": EVIL})
}

/// The answer to a request, and the notifications that follow it.
fn answer(method: &str, params: &Value) -> (Value, Vec<Value>) {
    let none = Vec::new();
    if params["session"] == UNKNOWN {
        return (json!({"error": {"code": -32001, "message": EVIL}}), none);
    }
    let both = json!([session(EVIL), closed("b")]);
    let result = match method {
        "hello" => json!({"protocol": 1, "version": EVIL, "pid": 0, "origin": "self-bound"}),
        "session.list" => json!({"sessions": both}),
        "session.count" => {
            let group = json!({"agent": EVIL, "status": "waiting", "attention": true, "stopped": false, "count": 2});
            json!({"groups": [group, {"agent": "b", "status": "working", "count": 1}]})
        }
        "session.get" | "session.seen" | "session.set" => json!({"session": session(EVIL)}),
        "session.explain" => {
            json!({"session": session(EVIL), "steps": [{"at": 2, "kind": "hook", "what": EVIL,
            "rule": EVIL, "meaning": EVIL, "status": "waiting", "waiting_for": "answer", "decided": true}]})
        }
        "session.remove" => json!({"removed": EVIL}),
        "session.report" => json!({"accepted": true}),
        "usage.get" | "usage.refresh" => json!({"usage": usage()}),
        "daemon.status" => {
            json!({"pid": 0, "version": EVIL, "protocol": 1, "origin": "self-bound", "socket": EVIL,
            "uptime_ms": 1, "sessions": {"waiting": 1, "closed": 1}, "dashboards": 1, "seq": 1, "reports": 1,
            "unknown_events": 9, "rss_bytes": 1, "idle_timeout_ms": 1})
        }
        "daemon.stop" => json!({"dashboards": 1}),
        "subscribe" => json!({"seq": 1, "sessions": both, "notices": [notice()], "usage": usage()}),
        other => panic!("{other}: how does the daemon answer this?"),
    };
    let notified = [
        (
            "session.changed",
            json!({"seq": 2, "session": session("c")}),
        ),
        (
            "session.changed",
            json!({"seq": 3, "session": closed(EVIL)}),
        ),
        ("session.removed", json!({"seq": 4, "key": EVIL})),
        (
            "daemon.notice",
            json!({"seq": 5, "at": 1, "code": "unheard_of", "message": EVIL}),
        ),
        ("usage.changed", json!({"seq": 6, "usage": usage()})),
        ("daemon.stopping", json!({"seq": 7, "reason": "stop"})),
    ];
    let follows = match method {
        "subscribe" => notified
            .map(|(method, params)| json!({"jsonrpc": "2.0", "method": method, "params": params}))
            .into(),
        _ => none,
    };
    (json!({"result": result}), follows)
}

/// Serves one client. After a stop, and after the last notification, it closes the connection as a daemon does.
fn serve(mut socket: UnixStream) {
    let reader = BufReader::new(socket.try_clone().unwrap());
    for line in reader.lines() {
        let Ok(line) = line else { return };
        let request: Value = serde_json::from_str(&line).unwrap();
        let method = request["method"].as_str().unwrap();
        let (mut reply, notifications) = answer(method, &request["params"]);
        let mut text = String::new();
        if let Some(id) = request.get("id") {
            reply["jsonrpc"] = "2.0".into();
            reply["id"] = id.clone();
            text = format!("{reply}\n");
        }
        for notification in &notifications {
            text.push_str(&notification.to_string());
            text.push('\n');
        }
        let is_last = method == "daemon.stop" || !notifications.is_empty();
        if socket.write_all(text.as_bytes()).is_err() || is_last {
            return;
        }
    }
}

/// A command of the grammar: its words, its options.
struct GrammarCommand {
    words: Vec<String>,
    options: Vec<String>,
}

/// Every command, and the formats of `bar`, as the completions of bash have them.
fn grammar(place: &Place) -> (Vec<GrammarCommand>, Vec<String>) {
    let script = place.ok(&["completions", "bash"]);
    let mut commands = Vec::new();
    let mut formats = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut lines = script.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let label = line.strip_prefix("acd__subcmd__");
        if let Some(label) = label.and_then(|rest| rest.strip_suffix(')')) {
            words = label.split("__subcmd__").map(str::to_owned).collect();
        }
        let options = line
            .strip_prefix("opts=\"")
            .and_then(|rest| rest.strip_suffix('"'));
        if let Some(options) = options.filter(|_| !words.is_empty()) {
            commands.push(GrammarCommand {
                words: words.clone(),
                options: options.split_whitespace().map(str::to_owned).collect(),
            });
        }
        if line == "--format)" {
            let values = lines.next().unwrap().split('"').nth(1).unwrap();
            formats.extend(values.split_whitespace().map(str::to_owned));
        }
    }
    commands.retain(|command| command.words.iter().all(|word| word != "help"));
    (commands, formats)
}

/// The command lines by which a command is tried, without `--json`; empty: it prints nothing of a session, and why.
fn tries(words: &[&str], formats: &[String]) -> Vec<Vec<String>> {
    let lines: Vec<Vec<&str>> = match words {
        // The daemon's messages are about its socket. The dashboard is a screen, made of cells: `dashboard::view` tests it.
        // Completions and the manual are made of the grammar alone. `demo` plays recordings to a daemon of its own. The
        // commands of `config` follow.
        ["daemon" | "dashboard" | "completions" | "man" | "demo" | "config"] => vec![],
        ["hook"] => vec![vec!["hook"], vec!["hook", EVIL, EVIL]],
        ["list"] => vec![
            vec!["list"],
            vec!["list", "--all"],
            vec!["list", "--agent", EVIL],
        ],
        [command @ ("get" | "explain" | "seen" | "remove" | "go")] => {
            vec![vec![command, EVIL], vec![command, UNKNOWN]]
        }
        ["report"] => vec![
            vec![
                "report", EVIL, "waiting", "--reason", EVIL, "--title", EVIL, "--cwd", EVIL,
                "--agent", EVIL,
            ],
            vec!["report", UNKNOWN, "working"],
        ],
        ["event"] => vec![vec!["event", "--agent", EVIL]],
        ["watch"] => vec![vec!["watch"], vec!["watch", "--agent", EVIL]],
        ["wait"] => vec![
            vec!["wait", "--any", "--for", "attention", "--timeout", "20"],
            vec!["wait", EVIL, "--for", "waiting", "--timeout", "20"],
            vec!["wait", "c", "--for", "closed", "--timeout", "1"],
            vec!["wait", UNKNOWN, "--for", "closed", "--timeout", "1"],
            vec!["wait", "--exec", "cat", "--timeout", "0.1"],
        ],
        ["next"] => vec![
            vec!["next"],
            vec!["next", "--agent", EVIL],
            vec!["next", "--go", "--print"],
        ],
        ["usage"] => vec![vec!["usage"], vec!["usage", "--refresh"]],
        ["statusline"] => vec![vec!["statusline"]],
        ["stop"] => vec![vec!["stop"], vec!["stop", "--force"]],
        ["notify"] => vec![vec!["notify"], vec!["notify", "--hold"]],
        ["install"] => vec![vec!["install", "--dry-run"]],
        ["uninstall"] => vec![vec!["uninstall", "--dry-run"]],
        ["status" | "doctor"] | ["config", "path" | "show" | "check" | "init"] => {
            vec![words.to_vec()]
        }
        ["bar"] => {
            let of = |format: &String| ["bar", "--format", format].map(str::to_owned).to_vec();
            let once: Vec<_> = formats.iter().map(of).collect();
            return once;
        }
        other => panic!("{other:?}: by which command lines is it tried?"),
    };
    let owned = |line: Vec<&str>| line.into_iter().map(str::to_owned).collect();
    lines.into_iter().map(owned).collect()
}

/// What is on standard input: an event of a hook, a status line, an event of an agent of one's own.
fn input() -> String {
    let line = json!({"hook_event_name": EVIL, "session_id": EVIL, "event": "turn_started", "cwd": EVIL, "prompt": EVIL,
        "model": {"id": EVIL, "display_name": EVIL}, "session_name": EVIL,
        "context_window": {"used_percentage": 12}, "cost": {"total_cost_usd": 1.5},
        "rate_limits": {"five_hour": {"used_percentage": 95, "resets_at": 9_999_999_999_u64}}});
    format!("{line}\n")
}

fn run(place: &Place, line: &[String]) -> Output {
    let mut child = place
        .command(line)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read it closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input().as_bytes());
    child.wait_with_output().unwrap()
}

/// Gives what was printed, and adds what is wrong with it to `faults`.
fn check(place: &Place, line: &[String], faults: &mut Vec<String>) -> String {
    let output = run(place, line);
    let printed = String::from_utf8(output.stdout).unwrap();
    for text in [&printed, &String::from_utf8(output.stderr).unwrap()] {
        let harmful = text.lines().filter(|line| line.contains(is_harmful));
        faults.extend(harmful.map(|harmful| format!("{line:?} prints {harmful:?}")));
    }
    printed
}

#[test]
fn nothing_that_a_command_prints_steers_a_terminal() {
    let place = Place::new();
    place.configure("");
    let listener = UnixListener::bind(place.socket()).unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let socket = socket.unwrap();
            thread::spawn(move || serve(socket));
        }
    });
    // What `doctor` and `install` look at.
    let settings = place.path().join("home/.claude/settings.json");
    std::fs::create_dir_all(settings.parent().unwrap()).unwrap();
    let status_line = json!({"statusLine": {"type": "command", "command": EVIL}, EVIL: EVIL,
        "hooks": {"Stop": [{"hooks": [{"type": "command", "command": format!("agent-console hook {EVIL}")}]}]}});
    std::fs::write(&settings, status_line.to_string()).unwrap();

    let (commands, formats) = grammar(&place);
    assert!(
        commands.len() > 25 && formats.len() > 5,
        "{} {formats:?}",
        commands.len()
    );
    let mut faults = Vec::new();
    for GrammarCommand { words, options } in &commands {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let has_json = options.iter().any(|option| option == "--json");
        let lines = tries(&words, &formats);
        assert!(!(has_json && lines.is_empty()), "{words:?}");
        for line in lines {
            let text = check(&place, &line, &mut faults);
            if line.first().is_some_and(|word| word == "bar") {
                let json: Option<Value> = serde_json::from_str(&text).ok();
                assert!(json.is_some() || !text.contains("evil\\u"), "{text}");
            }
            if !has_json {
                continue;
            }
            let mut line = line;
            line.insert(1, "--json".into());
            let text = check(&place, &line, &mut faults);
            for one in text.lines() {
                serde_json::from_str::<Value>(one)
                    .unwrap_or_else(|error| panic!("{line:?}: {error}: {one}"));
            }
            let is_refused = line.iter().any(|word| word == UNKNOWN);
            let names_none = words == ["stop"] || words == ["doctor"];
            if !is_refused && !names_none {
                assert!(
                    text.contains("evil\\u009b2J\\u007f\\u202e\\u2066\\u200f\\u001b"),
                    "{line:?} prints {text}"
                );
            }
        }
    }
    let mut printed = |line: [&str; 3]| check(&place, &line.map(str::to_owned), &mut faults);
    let json = printed(["bar", "--format", "json"]);
    assert!(
        json.contains("evil\\u009b2J\\u007f\\u202e\\u2066"),
        "{json}"
    );
    let text = printed(["get", EVIL, "--"]);
    assert!(text.contains("evil\u{fffd}2J"), "{text}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A configuration is shown, and refused, without what steers a terminal.
#[test]
fn no_message_about_the_configuration_steers_a_terminal() {
    let mut faults = Vec::new();
    for (text, is_refused) in [
        ("socket = \"/tmp/\\u202ea\\u009b2J\\u007f\"\n", false),
        ("\"evil\\u009b2J\\u202e\\u001b\" = 1\n", true),
        ("log = \"evil\\u009b2J\"\n", true),
        ("log = \"evil\u{202e}\u{9b}2J\"\n", true),
        ("log = \u{1b}[2J\n", true),
    ] {
        let place = Place::new();
        place.configure(text);
        for command in [["config", "check"], ["config", "show"]] {
            let line = command.map(str::to_owned);
            check(&place, &line, &mut faults);
            assert_eq!(
                run(&place, &line).status.success(),
                !is_refused,
                "{command:?}: {text:?}"
            );
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// `--follow` prints the same lines as one call, and another when the daemon has left.
#[test]
fn no_line_that_a_bar_follows_steers_a_terminal() {
    let place = Place::new();
    place.configure("");
    let listener = UnixListener::bind(place.socket()).unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            serve(socket.unwrap());
        }
    });
    let (_, formats) = grammar(&place);
    for format in formats {
        let mut child = place
            .command(["bar", "--follow", "--format", &format])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        stdout.read_to_string(&mut line).unwrap();
        assert!(!line.contains(is_harmful), "{format}: {line:?}");
        assert!(line.contains("waiting"), "{format}: {line:?}");
    }
}
