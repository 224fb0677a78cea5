use std::fs;
use std::path::Path;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use serde_json::{Value, json};

use super::*;
use crate::config::variable;
use crate::dashboard::testing::{apply, key, model, notify, snapshot};
use crate::dashboard::update::{Event, prepare, update};
use crate::protocol::Notification;

const NOW: u64 = 1_800_000_000_000;

/// A morning's work: one of everything.
fn sessions() -> Value {
    let ago = |seconds: u64| NOW - seconds * 1000;
    json!([
        {
            "key": "claude-code-4711-90210", "session_id": "6f1c2d3e-0000-4000-8000-123456789abc",
            "previous_session_ids": ["0a0b0c0d-0000-4000-8000-123456789abc"],
            "status": "waiting", "waiting_for": "permission", "attention": true, "since": ago(130),
            "reason": "permission: Bash git push --force-with-lease", "title": "Rebase the login branch",
            "cwd": "/home/ada/src/website", "pid": 4711, "model": "claude-opus-4-1-20250805",
            "context_percent": 42.4, "cost_usd": 1.5, "subagents": 2, "background": 1,
            "permission_mode": "acceptEdits", "terminal": {"tty": "/dev/pts/3", "tmux_pane": "%7"},
            "started_at": ago(4000),
            "history": [
                {"status": "idle", "at": ago(4000)}, {"status": "working", "at": ago(3000)},
                {"status": "waiting", "at": ago(1500)}, {"status": "working", "at": ago(1400)},
                {"status": "waiting", "at": ago(130)},
            ],
        },
        {
            "key": "deploy", "agent": "script", "status": "waiting", "waiting_for": "answer", "attention": true,
            "since": ago(20), "reason": "staging or production?", "cwd": "/srv/deploy/scripts/blue-green",
        },
        {"key": "c", "status": "error", "attention": true, "since": ago(700), "reason": "rate limited",
         "title": "日本語のドキュメントを書き直す", "cwd": "/home/ada/docs", "context_percent": 100},
        {"key": "d", "status": "idle", "attention": true, "since": ago(90_000), "title": "Upgrade the\u{1b}[31m linter 👩‍💻",
         "cwd": "/home/ada/src/very/deep/down/in/a/tree", "model": "claude-sonnet-4-5-20250929"},
        {"key": "e", "status": "working", "since": ago(5), "reason": "Bash: cargo test --locked", "cwd": "/home/ada",
         "title": "Make the tests faster", "subagents": 3, "context_percent": 7, "model": "claude-opus-4-1-20250805"},
        {"key": "f", "agent": "codex", "status": "idle", "since": ago(7300), "cwd": "/home/ada/src/api"},
        {"key": "g", "status": "closed", "since": ago(9000), "ended_at": ago(9000), "end_reason": "crashed"},
    ])
}

fn at(size: (u16, u16), keys: &str) -> Model {
    let mut model = model(size, &sessions());
    press(&mut model, keys);
    model
}

fn press(model: &mut Model, keys: &str) {
    update(model, Event::Tick, NOW);
    for name in keys.split_whitespace() {
        update(model, Event::Key(key(name)), NOW);
    }
    prepare(model);
}

fn drawn(model: &Model) -> Terminal<TestBackend> {
    let (columns, rows) = model.size();
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal
        .draw(|frame| draw(model, frame.buffer_mut()))
        .unwrap();
    terminal
}

/// The text of the screen; a wide character stands for its two columns.
fn text(model: &Model) -> String {
    let terminal = drawn(model);
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += u16::try_from(format::width(symbol).max(1)).unwrap();
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Compares the screen with the file of this name. `UPDATE_SNAPSHOTS=1` rewrites the files; read them before you commit.
#[track_caller]
fn is(name: &str, model: &Model) {
    let shown = text(model);
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/dashboard/{name}.txt"));
    if variable("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &shown).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        shown == kept,
        "{name} is not as in {}:\n{shown}",
        path.display()
    );
}

#[test]
fn the_list() {
    is("80x24", &at((80, 24), ""));
    is("40x15", &at((40, 15), "c G"));
    is("200x50", &at((200, 50), "space"));
}

#[test]
fn the_detail() {
    let mut model = at((80, 40), "j j space");
    let explained = json!({
        "session": {"key": "", "agent": "", "status": "idle", "since": 0, "started_at": 0},
        "steps": [
            {"at": NOW - 140_000, "kind": "hook", "what": "PreToolUse", "rule": "tool_begins",
             "meaning": "a tool is about to run", "status": "working"},
            {"at": NOW - 130_000, "kind": "hook", "what": "PermissionRequest", "rule": "asks", "decided": true,
             "meaning": "the agent asks for permission to run a tool, and stands still until a person answers",
             "status": "waiting", "waiting_for": "permission"},
        ],
    });
    let explained = serde_json::from_value(explained).unwrap();
    let key = "claude-code-4711-90210".into();
    update(
        &mut model,
        Event::Explained(key, Ok(Box::new(explained))),
        NOW,
    );
    is("detail", &model);
    // The end of it, where there is no room for all.
    let mut model = at((80, 24), "j j space pagedown pagedown pagedown");
    let scrolled = text(&model);
    assert!(scrolled.contains("1h ago ○ idle"), "{scrolled}");
    press(&mut model, "pageup pageup pageup");
    assert!(text(&model).contains("● waiting for 2m"));
}

#[test]
fn the_rest() {
    is("help", &at((80, 24), "?"));
    is("filter", &at((80, 24), "/ l o g"));
    let mut empty = model((80, 24), &json!([]));
    press(&mut empty, "");
    is("empty", &empty);
    let mut lost = at((80, 24), "");
    let pause = Duration::from_millis(1600);
    update(
        &mut lost,
        Event::Lost {
            pause,
            advice: None,
        },
        NOW,
    );
    is("disconnected", &lost);
}

#[test]
fn why_there_is_no_way_is_shown_in_full() {
    let mut model = at((80, 24), "");
    let why = "there is no way to claude-code-4711-90210: tmux pane %0 is /dev/pts/1, and the session runs in \
               /dev/pts/2 (host titan, terminal /dev/pts/2, tmux %0, directory ~/src/website)";
    update(&mut model, Event::Went(Err(why.into())), NOW);
    prepare(&mut model);
    is("no_way", &model);
    // What does not fit is cut, and the list keeps its room.
    update(&mut model, Event::Went(Err("word ".repeat(500))), NOW);
    prepare(&mut model);
    assert_eq!(model.areas().footer.height, 5);
    assert!(text(&model).trim_end().ends_with('…'));
}

#[test]
fn colour_and_word_say_the_same_and_colour_can_be_refused() {
    let mut model = at((80, 24), "");
    let colours = |model: &Model| {
        let terminal = drawn(model);
        let rows = model.areas().rows;
        let buffer = terminal.backend().buffer();
        let colours: Vec<_> = (rows.top()..rows.bottom())
            .take(model.rows.len())
            .map(|y| buffer[(3, y)].fg)
            .collect();
        assert!(buffer.content.iter().all(|cell| cell.bg == Color::Reset));
        colours
    };
    let expected = [
        Color::Green,
        Color::Red,
        Color::Yellow,
        Color::Yellow,
        Color::Cyan,
        Color::Reset,
    ];
    assert_eq!(colours(&model), expected);
    model.coloured = false;
    assert_eq!(colours(&model), [Color::Reset; 6]);
}

#[test]
fn nothing_from_outside_reaches_the_screen_as_a_control_character() {
    let evil = "a\u{1b}]52;c;AAAA\u{7}\u{9b}31m\u{202e}b";
    let mut session =
        json!({"key": evil, "agent": evil, "status": "waiting", "waiting_for": "answer"});
    for field in [
        "reason",
        "title",
        "cwd",
        "model",
        "permission_mode",
        "session_id",
    ] {
        session[field] = evil.into();
    }
    session["terminal"] = json!({"tty": evil, "tmux_pane": evil});
    let mut model = model((200, 50), &json!([session]));
    press(&mut model, "space");
    update(
        &mut model,
        Event::Explained(evil.into(), Err(evil.into())),
        NOW,
    );
    for keys in ["", "d", "x y", "/ \u{1b} \u{202e}"] {
        press(&mut model, keys);
        let screen = text(&model);
        let harmful = |c: char| c != '\n' && format::sanitize(&c.to_string()) != c.to_string();
        assert!(!screen.contains(harmful), "{screen:?}");
    }
    update(&mut model, Event::Failed(evil.into()), NOW);
    assert!(!text(&model).contains('\u{1b}'));
}

#[test]
fn a_screenful_is_drawn_fast() {
    let many: Vec<_> = (0..1000)
        .map(|number| {
            let mut one = sessions()[number % 7].clone();
            one["key"] = format!("session-{number}").into();
            one
        })
        .collect();
    let mut model = model((200, 50), &Value::from(many));
    press(&mut model, "space");
    let mut terminal = drawn(&model);
    let mut times: Vec<_> = (0..50)
        .map(|_| {
            apply(&mut model, snapshot(&sessions()));
            let began = own_time();
            prepare(&mut model);
            terminal
                .draw(|frame| draw(&model, frame.buffer_mut()))
                .unwrap();
            own_time().saturating_sub(began)
        })
        .collect();
    times.sort();
    println!(
        "a screenful of 200x50 is drawn in {:?}, without optimisation",
        times[25]
    );
    // 5 ms is for a release build; this is none.
    assert!(times[25] < Duration::from_millis(100), "{times:?}");
}

/// The time for which this thread has run, however busy the machine is.
fn own_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap()
}

/// With gauges where there is room, as figures where there is less, left out where there is none.
#[test]
fn the_accounts_limits_are_in_the_header() {
    let usage = json!({"seq": 2, "usage": {
        "state": "ok", "source": "status_line", "fetched_at": NOW, "windows": [
            {"name": "five_hour", "used_percent": 42.0, "resets_at": NOW + 9_000_000, "length_ms": 18_000_000},
            {"name": "seven_day", "used_percent": 8.4},
        ],
    }});
    for (columns, shown) in [
        (120, "5h ####.|.... 42 %  7d #......... 8 %"),
        (80, "5h 42 %  7d 8 %"),
        (58, "5h 42 %"),
        (40, ""),
    ] {
        let mut model = at((columns, 24), "");
        let usage = serde_json::from_value(usage.clone()).unwrap();
        notify(&mut model, Notification::UsageChanged(usage));
        let header = text(&model).lines().next().unwrap().to_owned();
        assert_eq!(header.contains('%'), !shown.is_empty(), "{header}");
        assert!(header.ends_with(shown), "{header}");
    }
}

#[test]
fn the_header_says_when_the_limits_cannot_be_had() {
    let window = json!({"name": "five_hour", "used_percent": 42.0});
    for (state, code, windows, shown) in [
        ("stale", "", vec![&window], "5h ####...... 42 % ?"),
        (
            "rate_limited",
            "rate_limited",
            vec![&window],
            "5h ####...... 42 % (rate limited)",
        ),
        (
            "unauthorized",
            "credentials_expired",
            vec![],
            "limits unauthorized",
        ),
        ("unauthorized", "no_credentials", vec![], "agent-console"),
        ("unavailable", "disabled", vec![], "agent-console"),
    ] {
        let usage = json!({"seq": 2, "usage": {"state": state, "code": code, "windows": windows}});
        let mut model = at((110, 24), "");
        notify(
            &mut model,
            Notification::UsageChanged(serde_json::from_value(usage).unwrap()),
        );
        let header = text(&model).lines().next().unwrap().to_owned();
        assert!(header.ends_with(shown), "{header}");
    }
}
