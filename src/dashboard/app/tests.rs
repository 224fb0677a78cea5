use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use serde_json::{Value, json};

use super::*;
use crate::dashboard::testing::{app, apply, changed, key, notify, snapshot};

/// Three sessions, one of each kind, in the order in which they are shown.
fn three() -> App {
    app(
        (80, 24),
        &json!([
            {"key": "asks", "status": "waiting", "attention": true, "since": 1000, "waiting_for": "answer"},
            {"key": "works", "status": "working", "since": 2000, "title": "Fix the Login"},
            {"key": "over", "status": "closed", "since": 3000, "ended_at": 3000},
        ]),
    )
}

fn press(app: &mut App, keys: &str) -> Option<Action> {
    let mut last = None;
    for name in keys.split_whitespace() {
        last = app.update(Event::Key(key(name)), app.now);
    }
    app.settle();
    last
}

fn selected(app: &App) -> &str {
    app.selected().map_or("", |session| &session.key)
}

#[test]
fn closed_sessions_are_shown_on_demand() {
    let mut app = three();
    assert_eq!(app.rows, ["asks", "works"]);
    press(&mut app, "c");
    assert_eq!(app.rows, ["asks", "works", "over"]);
    press(&mut app, "c");
    assert_eq!(app.rows, ["asks", "works"]);
}

#[test]
fn keys_move_the_selection_and_stop_at_the_ends() {
    let many: Vec<_> = (0..100)
        .map(|number| json!({"key": format!("{number:02}"), "status": "working", "since": number}))
        .collect();
    let mut app = app((80, 24), &Value::from(many));
    let cases = [
        ("down down j", "03"),
        ("up k", "01"),
        ("k k k", "00"),
        ("G", "99"),
        ("down", "99"),
        ("home", "00"),
        ("end", "99"),
        ("g", "00"),
    ];
    for (keys, at) in cases {
        press(&mut app, keys);
        assert_eq!(selected(&app), at, "{keys}");
        assert!(
            (app.offset..app.offset + app.page()).contains(&app.index),
            "{keys}"
        );
    }
    let page = app.page();
    press(&mut app, "pagedown pagedown");
    assert_eq!(app.index, 2 * (page - 1));
    press(&mut app, "pageup");
    assert_eq!(app.index, page - 1);
}

#[test]
fn the_selection_stays_with_its_session_when_the_order_changes() {
    let mut app = three();
    press(&mut app, "down");
    assert_eq!(selected(&app), "works");
    // It needs a person for longer than the other: it is first now.
    changed(
        &mut app,
        &json!({"key": "works", "status": "error", "attention": true, "since": 10}),
    );
    assert_eq!((app.index, selected(&app)), (0, "works"));
    // Gone: the one that has come to its place.
    notify(
        &mut app,
        Notification::SessionRemoved(
            serde_json::from_value(json!({"seq": 9, "key": "works"})).unwrap(),
        ),
    );
    assert_eq!((app.index, selected(&app)), (0, "asks"));
    notify(
        &mut app,
        Notification::SessionRemoved(
            serde_json::from_value(json!({"seq": 10, "key": "asks"})).unwrap(),
        ),
    );
    assert_eq!((app.rows.len(), selected(&app)), (0, ""));
    // With nothing selected no key does anything.
    assert_eq!(press(&mut app, "enter d y down pagedown G"), None);
    assert!(!app.detail);
}

#[test]
fn the_filter_narrows_with_each_letter_and_esc_drops_it() {
    let mut app = three();
    press(&mut app, "/ L o g");
    assert_eq!(
        (&*app.rows, &app.mode),
        (&["works".to_owned()][..], &Mode::Filter)
    );
    // Letters that are keys elsewhere are letters here.
    press(&mut app, "q");
    assert!(app.rows.is_empty());
    press(&mut app, "backspace enter");
    assert_eq!((app.rows.len(), &app.mode), (1, &Mode::List));
    press(&mut app, "esc");
    assert_eq!(app.rows.len(), 2);
    // Every word must match, anywhere.
    app.filter = "answer wait".into();
    app.refresh();
    assert_eq!(app.rows, ["asks"]);
    press(&mut app, "/ ctrl-w");
    assert_eq!(app.filter, "answer ");
    press(&mut app, "ctrl-u");
    assert_eq!((&*app.filter, app.rows.len()), ("", 2));
    press(&mut app, "x esc");
    assert_eq!((&*app.filter, &app.mode), ("", &Mode::List));
}

#[test]
fn pasted_text_is_for_the_filter_and_never_a_key() {
    let mut app = three();
    assert_eq!(app.update(Event::Pasted("dyq".into()), 1), None);
    assert_eq!((&app.mode, app.rows.len()), (&Mode::List, 2));
    press(&mut app, "/");
    app.update(Event::Pasted("log\nin".into()), 1);
    assert_eq!((&*app.filter, app.rows.len()), ("log in", 1));
}

#[test]
fn forgetting_an_open_session_asks_first_and_a_closed_one_does_not() {
    let mut app = three();
    assert_eq!(press(&mut app, "d"), None);
    assert_eq!(app.mode, Mode::Confirm("asks".into()));
    assert_eq!(press(&mut app, "n"), None);
    assert_eq!(app.mode, Mode::List);
    assert_eq!(press(&mut app, "d y"), Some(Action::Remove("asks".into())));
    assert_eq!(
        press(&mut app, "c G d"),
        Some(Action::Remove("over".into()))
    );
    app.update(Event::NotRemoved("no such session".into()), 5000);
    assert_eq!(app.said(), Some("not removed: no such session"));
    // Where there is nobody to tell, nothing is asked.
    app.update(Event::Stopped, 5000);
    app.link = Link::Lost {
        again: 9000,
        advice: None,
    };
    assert_eq!(press(&mut app, "g d"), None);
    assert_eq!(app.mode, Mode::List);
}

#[test]
fn only_a_harmless_id_becomes_a_command() {
    let cases = [
        (
            json!({"agent": "claude-code", "session_id": "1b2c-3d"}),
            Some("claude --resume 1b2c-3d"),
        ),
        (
            json!({"agent": "claude-code", "session_id": "x; rm -rf ~"}),
            None,
        ),
        (
            json!({"agent": "claude-code", "session_id": "--help"}),
            None,
        ),
        (json!({"agent": "claude-code", "session_id": ""}), None),
        (json!({"agent": "claude-code"}), None),
        (json!({"agent": "codex", "session_id": "1b2c"}), None),
    ];
    for (mut session, command) in cases {
        session["key"] = "one".into();
        session["status"] = "idle".into();
        let mut app = app((80, 24), &json!([session.clone()]));
        let copied = command.map(|command| Action::Copy(command.to_owned()));
        assert_eq!(press(&mut app, "y"), copied, "{session}");
        let said = app.said().unwrap();
        assert_eq!(said.contains("OSC 52"), command.is_some(), "{said}");
    }
}

#[test]
fn evidence_is_asked_for_when_it_is_to_be_seen_and_once_at_a_time() {
    let mut app = three();
    let explain = |key: &str| Some(Action::Explain(key.into()));
    let answer = |app: &mut App, key: &str| {
        let result = json!({
            "session": {"key": key, "agent": "a", "status": "idle", "since": 0, "started_at": 0},
            "steps": [{"at": 7, "kind": "hook", "what": "Stop", "rule": "r", "meaning": "m", "status": "idle"}],
        });
        let result = serde_json::from_value(result).unwrap();
        app.update(Event::Explained(key.into(), Ok(Box::new(result))), 9000)
    };
    let update = |changed: Value| {
        let changed = serde_json::from_value(changed).unwrap();
        Update::Notification(Notification::SessionChanged(changed))
    };
    assert_eq!(press(&mut app, "enter"), explain("asks"));
    // Nothing more while the answer is awaited.
    assert_eq!(press(&mut app, "down"), None);
    assert!(app.evidence().is_none());
    // The answer to a question that nobody has any more: the next one.
    assert_eq!(answer(&mut app, "asks"), explain("works"));
    assert_eq!(answer(&mut app, "works"), None);
    assert!(app.evidence().is_some());
    let another = json!({"seq": 5, "session": {"key": "asks", "agent": "a", "status": "idle", "since": 1, "started_at": 0}});
    assert_eq!(app.update(Event::Update(update(another)), 1), None);
    let own = json!({"seq": 6, "session": {"key": "works", "agent": "a", "status": "idle", "since": 1, "started_at": 0}});
    let own = Event::Update(update(own));
    assert_eq!(app.update(own, 1), explain("works"));
    app.update(Event::Explained("works".into(), Err("gone".into())), 1);
    assert!(matches!(app.evidence(), Some(Err(_))));
    // A new daemon's evidence is another.
    assert_eq!(
        app.update(Event::Update(snapshot(&json!([]))), 1),
        explain("works")
    );
}

#[test]
fn the_mouse_selects_opens_and_scrolls() {
    let many: Vec<_> = (0..100)
        .map(|number| json!({"key": format!("{number:02}"), "status": "working", "since": number}))
        .collect();
    let mut app = app((80, 24), &Value::from(many));
    let mouse = |app: &mut App, kind, row| {
        let event = MouseEvent {
            kind,
            column: 5,
            row,
            modifiers: KeyModifiers::NONE,
        };
        app.update(Event::Mouse(event), app.now);
    };
    let top = app.areas().rows.y;
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), top + 4);
    assert_eq!((selected(&app), app.detail), ("04", false));
    mouse(&mut app, MouseEventKind::ScrollDown, top);
    // The list moves; the selection only as far as it must to stay on the screen.
    assert_eq!((app.offset, selected(&app)), (3, "04"));
    mouse(&mut app, MouseEventKind::ScrollDown, top);
    assert_eq!((app.offset, selected(&app)), (6, "06"));
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), top + 1);
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), top + 1);
    assert_eq!((selected(&app), app.detail), ("07", true));
    // Outside the rows there is nothing to click on.
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), 0);
    assert_eq!(selected(&app), "07");
}

#[test]
fn a_lost_connection_counts_down_and_a_stopped_daemon_waits_for_a_key() {
    let mut app = app((80, 24), &json!([]));
    app.update(
        Event::Lost {
            pause: Duration::from_millis(2500),
            advice: None,
        },
        10_000,
    );
    assert_eq!(
        app.link,
        Link::Lost {
            again: 12_500,
            advice: None
        }
    );
    // "in 3 s" until 10.5, then "in 2 s".
    assert_eq!(app.next_tick(), Some(10_500));
    app.update(Event::Tick, 10_500);
    assert_eq!(app.next_tick(), Some(11_500));
    assert_eq!(press(&mut app, "x"), None);
    assert_eq!(
        press(&mut app, "down"),
        None,
        "what was last known can be looked at"
    );
    apply(&mut app, snapshot(&json!([])));
    assert_eq!(app.link, Link::Live);
    for event in [Event::Stopped, Event::Failed("another user's".into())] {
        app.update(event, 20_000);
        assert_eq!(press(&mut app, "? x"), None);
        assert_eq!(press(&mut app, "x"), Some(Action::Connect));
        assert_eq!(app.link, Link::Connecting);
        app.update(Event::Stopped, 20_000);
        assert_eq!(press(&mut app, "q"), Some(Action::Quit));
        assert_eq!(press(&mut app, "ctrl-z"), Some(Action::Suspend));
    }
}

#[test]
fn it_wakes_when_a_visible_clock_reads_differently_and_else_never() {
    let rows = json!([{"key": "one", "status": "working", "since": 1_000_000}]);
    let mut app = app((80, 24), &rows);
    let cases = [
        (1_000_000, 1_001_000),
        (1_059_999, 1_060_000),
        (1_060_000, 1_120_000),
        (1_000_000 + 3_600_000, 1_000_000 + 7_200_000),
        (1_000_000 + 86_400_000, 1_000_000 + 2 * 86_400_000),
        // A clock that was set back: the session began in the future.
        (900_000, 1_001_000),
    ];
    for (now, next) in cases {
        app.update(Event::Tick, now);
        assert_eq!(app.next_tick(), Some(next), "{now}");
    }
    app.filter = "nothing like it".into();
    app.refresh();
    assert_eq!(app.next_tick(), None);
    // A word that goes by itself.
    app.say("said".into());
    let until = app.next_tick().unwrap();
    app.update(Event::Tick, until);
    assert_eq!((app.said(), app.next_tick()), (None, None));
}

#[test]
fn a_notice_stays_until_it_is_put_away() {
    let mut app = three();
    let notice = |seq: u64| {
        let text =
            json!({"seq": seq, "at": 100 * seq, "code": "config_refused", "message": "wrong"});
        Notification::DaemonNotice(serde_json::from_value(text).unwrap())
    };
    notify(&mut app, notice(50));
    assert!(app.notice().is_some());
    press(&mut app, "esc");
    assert!(app.notice().is_none());
    notify(&mut app, notice(51));
    assert!(app.notice().is_some());
}

#[test]
fn whatever_is_pressed_and_however_small_nothing_breaks() {
    let keys = [
        "down", "up", "enter", "pagedown", "pageup", "G", "g", "/", "o", "esc", "c", "d", "?",
        "tab",
    ];
    let mut app = three();
    let mut state = 7_u64;
    for step in 0_u64..5000 {
        // A generator of Knuth's; any will do.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let pick = usize::try_from(state >> 33).unwrap();
        if pick.is_multiple_of(7) {
            let size = (
                u16::try_from(pick % 211).unwrap(),
                u16::try_from(pick % 53).unwrap(),
            );
            app.update(Event::Resized(size.0, size.1), step);
        }
        app.update(Event::Key(key(keys[pick % keys.len()])), step);
        app.settle();
        let area = ratatui::layout::Rect::new(0, 0, app.size.0, app.size.1);
        let mut buffer = ratatui::buffer::Buffer::empty(area);
        crate::dashboard::view::draw(&app, &mut buffer);
        assert!(app.index < app.rows.len().max(1));
    }
}

#[test]
fn a_released_key_is_no_key() {
    let mut app = three();
    let mut released = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
    released.kind = crossterm::event::KeyEventKind::Release;
    assert_eq!(app.update(Event::Key(released), 1), None);
}
