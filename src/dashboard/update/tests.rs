use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use serde_json::{Value, json};

use super::*;
use crate::dashboard::testing::{
    apply, changed, key, model, notify, press, selected, send, snapshot,
};

/// Three sessions, one of each kind, in the order in which they are shown.
fn three() -> Model {
    model(
        (80, 24),
        &json!([
            {"key": "asks", "status": "waiting", "attention": true, "since": 1000, "waiting_for": "answer"},
            {"key": "works", "status": "working", "since": 2000, "title": "Fix the Login"},
            {"key": "over", "status": "closed", "since": 3000, "ended_at": 3000},
        ]),
    )
}

#[test]
fn closed_sessions_are_shown_on_demand() {
    let mut model = three();
    assert_eq!(model.rows, ["asks", "works"]);
    press(&mut model, "c");
    assert_eq!(model.rows, ["asks", "works", "over"]);
    press(&mut model, "c");
    assert_eq!(model.rows, ["asks", "works"]);
}

#[test]
fn a_key_shows_the_sessions_of_one_agent_after_another() {
    let mut model = model(
        (80, 24),
        &json!([
            {"key": "a", "status": "working", "since": 1000},
            {"key": "b", "status": "working", "since": 2000, "agent": "make"},
            {"key": "c", "status": "idle", "since": 3000, "agent": "codex"},
        ]),
    );
    assert_eq!(model.rows, ["a", "b", "c"]);
    for rows in [&["a"][..], &["c"], &["b"], &["a", "b", "c"]] {
        press(&mut model, "a");
        assert_eq!(model.rows, rows);
        assert_eq!(model.counts.working + model.counts.idle, rows.len());
    }
    press(&mut model, "a a");
    assert_eq!(selected(&model), "c");
    // Its last session has gone: the choice stays until a person makes another.
    changed(
        &mut model,
        &json!({"key": "c", "status": "closed", "agent": "codex"}),
    );
    assert!(model.rows.is_empty());
    press(&mut model, "a");
    assert_eq!(model.rows, ["a", "b"]);
    press(&mut model, "a esc");
    assert_eq!(model.rows, ["a", "b"]);
}

#[test]
fn with_one_agent_there_is_none_to_choose() {
    let mut model = three();
    press(&mut model, "a");
    assert_eq!(model.rows, ["asks", "works"]);
    assert_eq!(model.status(), Some("all sessions are of one agent"));
    // It was chosen on the command line, and may be left.
    model.agent = Some("codex".into());
    model.refresh();
    assert!(model.rows.is_empty());
    press(&mut model, "a");
    assert_eq!(model.rows, ["asks", "works"]);
}

#[test]
fn keys_move_the_selection_and_stop_at_the_ends() {
    let many: Vec<_> = (0..100)
        .map(|number| json!({"key": format!("{number:02}"), "status": "working", "since": number}))
        .collect();
    let mut model = model((80, 24), &Value::from(many));
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
        press(&mut model, keys);
        assert_eq!(selected(&model), at, "{keys}");
        assert!(
            (model.offset..model.offset + model.page()).contains(&model.index),
            "{keys}"
        );
    }
    let page = model.page();
    press(&mut model, "pagedown pagedown");
    assert_eq!(model.index, 2 * (page - 1));
    press(&mut model, "pageup");
    assert_eq!(model.index, page - 1);
}

#[test]
fn the_selection_stays_with_its_session_when_the_order_changes() {
    let mut model = three();
    press(&mut model, "down");
    assert_eq!(selected(&model), "works");
    // It needs a person for longer than the other: it is first now.
    changed(
        &mut model,
        &json!({"key": "works", "status": "error", "attention": true, "since": 10}),
    );
    assert_eq!((model.index, selected(&model)), (0, "works"));
    // Gone: the one that has come to its place.
    notify(
        &mut model,
        Notification::SessionRemoved(
            serde_json::from_value(json!({"seq": 9, "key": "works"})).unwrap(),
        ),
    );
    assert_eq!((model.index, selected(&model)), (0, "asks"));
    notify(
        &mut model,
        Notification::SessionRemoved(
            serde_json::from_value(json!({"seq": 10, "key": "asks"})).unwrap(),
        ),
    );
    assert_eq!((model.rows.len(), selected(&model)), (0, ""));
    // With nothing selected no key does anything.
    assert_eq!(
        press(&mut model, "space right enter r tab d y down pagedown G"),
        None
    );
    assert!(!model.detail);
}

#[test]
fn the_filter_narrows_with_each_letter_and_esc_drops_it() {
    let mut model = three();
    press(&mut model, "/ L o g");
    assert_eq!(
        (&*model.rows, &model.mode),
        (&["works".to_owned()][..], &Mode::Filter)
    );
    // Letters that are keys elsewhere are letters here.
    press(&mut model, "q");
    assert!(model.rows.is_empty());
    press(&mut model, "backspace enter");
    assert_eq!((model.rows.len(), &model.mode), (1, &Mode::List));
    press(&mut model, "esc");
    assert_eq!(model.rows.len(), 2);
    // Every word must match, anywhere.
    model.filter = "answer wait".into();
    model.refresh();
    assert_eq!(model.rows, ["asks"]);
    press(&mut model, "/ ctrl-w");
    assert_eq!(model.filter, "answer ");
    press(&mut model, "ctrl-u");
    assert_eq!((&*model.filter, model.rows.len()), ("", 2));
    press(&mut model, "x esc");
    assert_eq!((&*model.filter, &model.mode), ("", &Mode::List));
}

#[test]
fn pasted_text_is_for_the_filter_and_never_a_key() {
    let mut model = three();
    assert_eq!(update(&mut model, Event::Pasted("dyq".into()), 1), None);
    assert_eq!((&model.mode, model.rows.len()), (&Mode::List, 2));
    press(&mut model, "/");
    update(&mut model, Event::Pasted("log\nin".into()), 1);
    assert_eq!((&*model.filter, model.rows.len()), ("log in", 1));
}

#[test]
fn an_open_session_is_removed_after_a_question_and_a_closed_one_at_once() {
    let mut model = three();
    assert_eq!(press(&mut model, "d"), None);
    assert_eq!(model.mode, Mode::Confirm("asks".into()));
    assert_eq!(press(&mut model, "n"), None);
    assert_eq!(model.mode, Mode::List);
    assert_eq!(
        press(&mut model, "d y"),
        Some(Action::Remove("asks".into()))
    );
    assert_eq!(
        press(&mut model, "c G d"),
        Some(Action::Remove("over".into()))
    );
    update(
        &mut model,
        Event::NotRemoved("no such session".into()),
        5000,
    );
    assert_eq!(model.status(), Some("not removed: no such session"));
    // Without a connection there is no question.
    update(&mut model, Event::Stopped, 5000);
    model.connection = ConnectionState::Lost {
        retry_at: 9000,
        advice: None,
    };
    assert_eq!(press(&mut model, "g d"), None);
    assert_eq!(model.mode, Mode::List);
}

#[test]
fn only_a_shell_safe_id_becomes_a_command() {
    let cases = [
        (
            json!({"agent": "claude-code", "session_id": "1b2c-3d"}),
            Some("claude --resume 1b2c-3d"),
        ),
        (
            json!({"agent": "claude-code", "session_id": "1b2c-3d", "start_cwd": "/w d", "cwd": "/w d/src"}),
            Some("cd '/w d' && claude --resume 1b2c-3d"),
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
        (json!({"agent": "another", "session_id": "1b2c"}), None),
    ];
    for (mut session, command) in cases {
        session["key"] = "one".into();
        session["status"] = "idle".into();
        let mut model = model((80, 24), &json!([session.clone()]));
        let copied = command.map(|command| Action::Copy(command.to_owned()));
        assert_eq!(press(&mut model, "y"), copied, "{session}");
        let said = model.status().unwrap();
        assert_eq!(said.contains("OSC 52"), command.is_some(), "{said}");
    }
}

#[test]
fn evidence_is_requested_while_the_detail_is_open_and_once_at_a_time() {
    let mut model = three();
    let explain = |key: &str| Some(Action::Explain(key.into()));
    let open = |key: &str| Some(Action::Open(key.into()));
    let answer = |model: &mut Model, key: &str| {
        let result = json!({
            "session": {"key": key, "agent": "a", "status": "idle", "since": 0, "started_at": 0},
            "steps": [{"at": 7, "kind": "hook", "what": "Stop", "rule": "r", "meaning": "m", "status": "idle"}],
        });
        let result = serde_json::from_value(result).unwrap();
        update(
            model,
            Event::Explained(key.into(), Ok(Box::new(result))),
            9000,
        )
    };
    let change = |changed: Value| {
        let changed = serde_json::from_value(changed).unwrap();
        Update::Notification(Notification::SessionChanged(changed))
    };
    assert_eq!(press(&mut model, "space"), open("asks"));
    // One request at a time.
    assert_eq!(press(&mut model, "down"), None);
    assert!(model.evidence().is_none());
    // The answer is for a session that is no longer selected: the next request.
    assert_eq!(answer(&mut model, "asks"), open("works"));
    assert_eq!(answer(&mut model, "works"), None);
    assert!(model.evidence().is_some());
    let another = json!({"seq": 5, "session": {"key": "asks", "agent": "a", "status": "idle", "since": 1, "started_at": 0}});
    assert_eq!(update(&mut model, Event::Update(change(another)), 1), None);
    let own = json!({"seq": 6, "session": {"key": "works", "agent": "a", "status": "idle", "since": 1, "started_at": 0}});
    let own = Event::Update(change(own));
    assert_eq!(update(&mut model, own, 1), explain("works"));
    update(
        &mut model,
        Event::Explained("works".into(), Err("gone".into())),
        1,
    );
    assert!(matches!(model.evidence(), Some(Err(_))));
    // A new daemon's evidence is another.
    assert_eq!(
        update(&mut model, Event::Update(snapshot(&json!([]))), 1),
        explain("works")
    );
}

#[test]
fn the_mouse_selects_opens_and_scrolls() {
    let many: Vec<_> = (0..100)
        .map(|number| json!({"key": format!("{number:02}"), "status": "working", "since": number}))
        .collect();
    let mut model = model((80, 24), &Value::from(many));
    let mouse = |model: &mut Model, kind, row| {
        let event = MouseEvent {
            kind,
            column: 5,
            row,
            modifiers: KeyModifiers::NONE,
        };
        send(model, Event::Mouse(event));
    };
    let top = model.areas().rows.y;
    mouse(&mut model, MouseEventKind::Down(MouseButton::Left), top + 4);
    assert_eq!((selected(&model), model.detail), ("04", false));
    mouse(&mut model, MouseEventKind::ScrollDown, top);
    // The list moves; the selection only as far as it must to stay on the screen.
    assert_eq!((model.offset, selected(&model)), (3, "04"));
    mouse(&mut model, MouseEventKind::ScrollDown, top);
    assert_eq!((model.offset, selected(&model)), (6, "06"));
    mouse(&mut model, MouseEventKind::Down(MouseButton::Left), top + 1);
    mouse(&mut model, MouseEventKind::Down(MouseButton::Left), top + 1);
    assert_eq!((selected(&model), model.detail), ("07", true));
    // Outside the rows there is nothing to click on.
    mouse(&mut model, MouseEventKind::Down(MouseButton::Left), 0);
    assert_eq!(selected(&model), "07");
}

#[test]
fn a_lost_connection_counts_down_and_a_stopped_daemon_waits_for_a_key() {
    let mut model = model((80, 24), &json!([]));
    update(
        &mut model,
        Event::Lost {
            pause: Duration::from_millis(2500),
            advice: None,
        },
        10_000,
    );
    assert_eq!(
        model.connection,
        ConnectionState::Lost {
            retry_at: 12_500,
            advice: None
        }
    );
    // "in 3 s" until 10.5, then "in 2 s".
    assert_eq!(model.next_tick(), Some(10_500));
    update(&mut model, Event::Tick, 10_500);
    assert_eq!(model.next_tick(), Some(11_500));
    assert_eq!(press(&mut model, "x"), None);
    assert_eq!(
        press(&mut model, "down"),
        None,
        "what was last known can be looked at"
    );
    apply(&mut model, snapshot(&json!([])));
    assert_eq!(model.connection, ConnectionState::Live);
    for event in [Event::Stopped, Event::Failed("another user's".into())] {
        update(&mut model, event, 20_000);
        assert_eq!(press(&mut model, "? x"), None);
        assert_eq!(press(&mut model, "x"), Some(Action::Connect));
        assert_eq!(model.connection, ConnectionState::Connecting);
        update(&mut model, Event::Stopped, 20_000);
        assert_eq!(press(&mut model, "q"), Some(Action::Quit));
        assert_eq!(press(&mut model, "ctrl-z"), Some(Action::Suspend));
    }
}

#[test]
fn the_next_tick_is_when_a_visible_age_changes() {
    let rows = json!([{"key": "one", "status": "working", "since": 1_000_000}]);
    let mut model = model((80, 24), &rows);
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
        update(&mut model, Event::Tick, now);
        assert_eq!(model.next_tick(), Some(next), "{now}");
    }
    model.filter = "nothing like it".into();
    model.refresh();
    assert_eq!(model.next_tick(), None);
    // A status message goes by itself.
    model.set_status("said".into());
    let until = model.next_tick().unwrap();
    update(&mut model, Event::Tick, until);
    assert_eq!((model.status(), model.next_tick()), (None, None));
}

#[test]
fn a_notice_stays_until_it_is_dismissed() {
    let mut model = three();
    let notice = |seq: u64, at: u64| {
        let text = json!({"seq": seq, "at": at, "code": "config_refused", "message": "wrong"});
        Notification::DaemonNotice(serde_json::from_value(text).unwrap())
    };
    notify(&mut model, notice(50, 5000));
    assert!(model.notice().is_some());
    press(&mut model, "esc");
    assert!(model.notice().is_none());
    notify(&mut model, notice(51, 5100));
    assert!(model.notice().is_some());
    press(&mut model, "esc");
    // The clock was set back.
    notify(&mut model, notice(52, 300));
    assert!(model.notice().is_some());
}

#[test]
fn what_goes_by_itself_goes_although_the_clock_is_set_back() {
    let mut model = three();
    let now = 10_000_000;
    update(&mut model, Event::Tick, now);
    let pause = std::time::Duration::from_secs(4);
    let advice = None;
    update(&mut model, Event::Lost { pause, advice }, now);
    model.set_status("copied".into());
    let back = now - 3_600_000;
    update(&mut model, Event::Tick, back);
    assert_eq!(model.status(), Some("copied"));
    let retry_at = back + 4000;
    let advice = None;
    assert_eq!(model.connection, ConnectionState::Lost { retry_at, advice });
    update(&mut model, Event::Tick, back + 5000);
    assert_eq!(model.status(), None);
}

#[test]
fn no_key_at_any_size_breaks_it() {
    let keys = [
        "down",
        "up",
        "enter",
        "pagedown",
        "pageup",
        "G",
        "g",
        "/",
        "o",
        "esc",
        "c",
        "d",
        "?",
        "tab",
        "shift-tab",
        "space",
        "right",
        "left",
        "r",
        "y",
    ];
    let mut model = three();
    let mut state = 7_u64;
    for step in 0_u64..5000 {
        // A generator of Knuth's; any will do.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let pick = usize::try_from(state >> 33).unwrap();
        if pick.is_multiple_of(11) {
            model.going = None;
        }
        if pick.is_multiple_of(7) {
            let size = (
                u16::try_from(pick % 211).unwrap(),
                u16::try_from(pick % 53).unwrap(),
            );
            update(&mut model, Event::Resized(size.0, size.1), step);
        }
        update(&mut model, Event::Key(key(keys[pick % keys.len()])), step);
        prepare(&mut model);
        let area = ratatui::layout::Rect::new(0, 0, model.size.0, model.size.1);
        let mut buffer = ratatui::buffer::Buffer::empty(area);
        crate::dashboard::view::draw(&model, &mut buffer);
        assert!(model.index < model.rows.len().max(1));
    }
}

#[test]
fn the_release_of_a_key_is_ignored() {
    let mut model = three();
    let mut released = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
    released.kind = crossterm::event::KeyEventKind::Release;
    assert_eq!(update(&mut model, Event::Key(released), 1), None);
}
