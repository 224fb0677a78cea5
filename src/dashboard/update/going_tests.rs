//! The keys that bring a person to a session, and the bell, in virtual time.

use serde_json::{Value, json};

use super::*;
use crate::dashboard::testing::{apply, changed, model, press, selected, send, snapshot};

const NOW: u64 = 1_800_000_000_000;

/// Two that need a person, two that do not, one that is over, in the order in which they are shown.
fn sessions() -> Value {
    json!([
        {"key": "asks", "status": "waiting", "attention": true, "since": 1000, "waiting_for": "answer"},
        {"key": "fails", "status": "error", "attention": true, "since": 2000},
        {"key": "works", "status": "working", "since": 3000},
        {"key": "rests", "status": "idle", "since": 4000},
        {"key": "over", "agent": "codex", "session_id": "1b2c", "start_cwd": "/w", "status": "closed", "ended_at": 5000},
    ])
}

fn five() -> Model {
    let mut model = model((80, 24), &sessions());
    model.rings = true;
    send(&mut model, Event::Tick);
    at(&mut model, NOW);
    model
}

/// The time is `now`; what the loop does then.
fn at(model: &mut Model, now: u64) -> Option<Action> {
    let action = update(model, Event::Tick, now);
    prepare(model);
    action
}

fn went(outcome: Result<Option<&str>, &str>) -> Event {
    let outcome = outcome.map(|note| note.map(str::to_owned));
    Event::Went(outcome.map_err(str::to_owned))
}

#[test]
fn enter_goes_to_the_selected_session_one_way_at_a_time() {
    let mut model = five();
    let go = |key: &str| Some(Action::Go(key.into()));
    assert_eq!(press(&mut model, "enter"), go("asks"));
    assert!(!model.detail);
    // Nothing is shown before it takes long.
    assert_eq!(model.status(), None);
    assert_eq!(
        press(&mut model, "down enter"),
        None,
        "a way is being found"
    );
    at(&mut model, NOW + 600);
    assert_eq!(model.status(), Some("asking tmux and the terminal …"));
    assert_eq!(send(&mut model, went(Ok(None))), None);
    assert_eq!(model.status(), None);
    assert_eq!(press(&mut model, "enter"), go("fails"));
    send(&mut model, went(Ok(Some("kitty: select its tab"))));
    assert_eq!(model.status(), Some("kitty: select its tab"));
    // Also from the detail, and to a session that is over.
    assert_eq!(press(&mut model, "space enter"), go("fails"));
    assert!(model.detail);
    send(&mut model, went(Err("there is no way to fails\u{1b}[2J")));
    assert_eq!(model.status(), Some("there is no way to fails\u{fffd}[2J"));
    assert_eq!(press(&mut model, "esc c G enter"), go("over"));
}

#[test]
fn a_long_message_stays_for_longer() {
    let mut model = five();
    send(&mut model, went(Err(&"why ".repeat(50))));
    at(&mut model, NOW + 14_000);
    assert!(model.status().is_some());
    at(&mut model, NOW + 16_000);
    assert_eq!(model.status(), None);
}

#[test]
fn for_a_popup_it_leaves_when_the_person_is_there_and_stays_otherwise() {
    let mut model = five();
    model.once = true;
    press(&mut model, "enter");
    assert_eq!(send(&mut model, went(Err("no way"))), None);
    assert_eq!(model.status(), Some("no way"));
    press(&mut model, "enter");
    assert_eq!(send(&mut model, went(Ok(None))), Some(Action::Leave(None)));
    let note = Some("x11: select its tab");
    let leaves = Some(Action::Leave(note.map(str::to_owned)));
    assert_eq!(send(&mut model, went(Ok(note))), leaves);
    let resumed =
        |window: Option<&str>| Event::Resumed("over".into(), Ok(window.map(str::to_owned)));
    assert_eq!(
        send(&mut model, resumed(Some("3"))),
        Some(Action::Leave(None))
    );
    let copied = send(&mut model, resumed(None));
    assert!(matches!(copied, Some(Action::Copy(_))), "{copied:?}");
}

#[test]
fn space_and_the_arrows_open_and_close_the_detail() {
    let mut model = five();
    for (keys, is_open) in [
        ("space", true),
        ("space", false),
        ("right", true),
        ("right", true),
        ("left", false),
        ("left", false),
        ("right esc", false),
    ] {
        press(&mut model, keys);
        assert_eq!(model.detail, is_open, "{keys}");
    }
}

#[test]
fn tab_goes_through_those_that_need_a_person() {
    let mut model = five();
    assert_eq!(selected(&model), "asks");
    for (keys, now_at) in [
        ("tab", "fails"),
        ("tab", "asks"),
        ("shift-tab", "fails"),
        ("shift-tab", "asks"),
        ("G tab", "asks"),
        ("G shift-tab", "fails"),
    ] {
        press(&mut model, keys);
        assert_eq!(selected(&model), now_at, "{keys}");
    }
    changed(&mut model, &json!({"key": "asks", "status": "working"}));
    press(&mut model, "tab tab");
    assert_eq!(selected(&model), "fails", "the only one");
    press(&mut model, "/ w o r k enter tab");
    assert_eq!(model.status(), Some("no session on the list needs you"));
}

#[test]
fn a_closed_session_is_resumed_in_tmux_or_its_command_is_copied() {
    let mut model = five();
    assert_eq!(press(&mut model, "r"), None);
    assert_eq!(
        model.status(),
        Some("it is not closed; Enter goes to its terminal")
    );
    let resume = Some(Action::Resume("over".into()));
    assert_eq!(press(&mut model, "c G r"), resume);
    assert_eq!(press(&mut model, "r enter"), None, "tmux is being asked");
    let resumed = |outcome| Event::Resumed("over".into(), outcome);
    assert_eq!(send(&mut model, resumed(Ok(Some("3".into())))), None);
    assert_eq!(model.status(), Some("resumed in window 3 of tmux"));
    // Meanwhile the person has gone on.
    press(&mut model, "g");
    let copy = Some(Action::Copy("cd /w && codex resume 1b2c".into()));
    assert_eq!(send(&mut model, resumed(Ok(None))), copy);
    assert_eq!(send(&mut model, resumed(Err("not resumed".into()))), None);
    assert_eq!(model.status(), Some("not resumed"));
    // Of a session without an id there is nothing to resume.
    changed(
        &mut model,
        &json!({"key": "over", "agent": "codex", "status": "closed"}),
    );
    assert_eq!(press(&mut model, "G r"), None);
    assert_eq!(model.status(), Some("the session's id is not known yet"));
}

/// The session needs a person from `now` on, or no longer.
fn needs(model: &mut Model, now: u64, key: &str, attention: bool) {
    update(model, Event::Tick, now);
    let status = if attention { "waiting" } else { "working" };
    let session = json!({"key": key, "status": status, "attention": attention, "since": now,
        "waiting_for": attention.then_some("plan"), "title": format!("Title of {key}")});
    changed(model, &session);
}

/// The words in which the terminal rings, if it does.
fn rung(action: Option<Action>) -> Option<String> {
    match action {
        Some(Action::Ring(text)) => Some(text),
        _ => None,
    }
}

#[test]
fn it_rings_once_for_each_time_that_a_session_begins_to_need_a_person() {
    let mut model = five();
    // Those that needed one before are on the screen already.
    assert_eq!(at(&mut model, NOW + 60_000), None);
    let now = NOW + 100_000;
    needs(&mut model, now, "works", true);
    assert_eq!(
        model.next_tick().map(|next| next <= now + 8_000),
        Some(true)
    );
    assert_eq!(at(&mut model, now + 7_999), None);
    assert_eq!(
        rung(at(&mut model, now + 8_000)).as_deref(),
        Some("Title of works: waiting, plan")
    );
    assert_eq!(at(&mut model, now + 9_000), None);
    // The same time, with other words.
    needs(&mut model, now + 10_000, "works", true);
    assert_eq!(at(&mut model, now + 60_000), None);
    // Another time.
    needs(&mut model, now + 70_000, "works", false);
    needs(&mut model, now + 71_000, "works", true);
    assert!(at(&mut model, now + 79_000).is_some());
}

#[test]
fn a_person_who_answers_in_time_is_not_bothered() {
    let mut model = five();
    needs(&mut model, NOW, "works", true);
    needs(&mut model, NOW + 5_000, "works", false);
    assert_eq!(at(&mut model, NOW + 60_000), None);
    // The answer comes at the time at which it would ring.
    needs(&mut model, NOW + 70_000, "works", true);
    let answered = json!({"seq": model.mirror.seq() + 1, "session": {"key": "works", "agent": "a", "status": "working",
        "since": 1, "started_at": 1}});
    let answered = Notification::SessionChanged(serde_json::from_value(answered).unwrap());
    let answered = Event::Update(Update::Notification(answered));
    assert_eq!(update(&mut model, answered, NOW + 78_000), None);
    assert_eq!(at(&mut model, NOW + 78_001), None);
}

#[test]
fn several_that_begin_together_ring_once() {
    let mut model = five();
    needs(&mut model, NOW, "works", true);
    needs(&mut model, NOW + 1_500, "rests", true);
    needs(&mut model, NOW + 4_000, "new", true);
    let text = rung(at(&mut model, NOW + 8_000));
    assert_eq!(text.as_deref(), Some("2 sessions need you"));
    assert_eq!(at(&mut model, NOW + 9_500), None);
    assert!(
        at(&mut model, NOW + 12_000).is_some(),
        "the one that began later"
    );
}

#[test]
fn what_the_person_looks_at_does_not_ring() {
    let mut model = five();
    press(&mut model, "down down space");
    assert_eq!(selected(&model), "works");
    needs(&mut model, NOW, "works", true);
    let is_ring = |action: Option<Action>| matches!(action, Some(Action::Ring(_)));
    assert!(!is_ring(at(&mut model, NOW + 8_000)));
    press(&mut model, "esc");
    assert!(!is_ring(at(&mut model, NOW + 60_000)));
    // Nor do the sessions of another agent while one agent's are shown.
    model.agent = Some("codex".into());
    needs(&mut model, NOW + 70_000, "rests", true);
    assert!(!is_ring(at(&mut model, NOW + 90_000)));
    model.agent = None;
    model.rings = false;
    needs(&mut model, NOW + 100_000, "new", true);
    assert!(!is_ring(at(&mut model, NOW + 120_000)));
}

#[test]
fn without_a_daemon_it_does_not_ring_for_what_may_be_over() {
    let mut model = five();
    needs(&mut model, NOW, "works", true);
    let lost = |pause| Event::Lost {
        pause: Duration::from_secs(pause),
        advice: None,
    };
    update(&mut model, lost(1), NOW + 1_000);
    assert_eq!(at(&mut model, NOW + 20_000), None);
    apply(&mut model, snapshot(&sessions()));
    assert_eq!(at(&mut model, NOW + 40_000), None, "it was answered");
    // One that began meanwhile.
    update(&mut model, lost(1), NOW + 41_000);
    let mut later = sessions();
    later[3]["attention"] = true.into();
    apply(&mut model, snapshot(&later));
    let text = rung(at(&mut model, NOW + 49_000));
    assert_eq!(text.as_deref(), Some("rests: finished"));
}

#[test]
fn it_rings_in_time_although_the_clock_is_set_back() {
    let mut model = five();
    needs(&mut model, NOW, "works", true);
    let back = NOW - 3_600_000;
    assert_eq!(at(&mut model, back), None);
    assert!(at(&mut model, back + 8_000).is_some());
}

#[test]
fn nothing_in_a_notification_steers_the_terminal() {
    let mut model = five();
    let evil = "a\u{1b}]52;c;AAAA\u{7}\u{9b}31m\u{202e}\u{9c}b\n";
    let session =
        json!({"key": "x", "status": "error", "attention": true, "title": evil, "reason": evil});
    changed(&mut model, &session);
    let Some(Action::Ring(text)) = at(&mut model, NOW + 8_000) else {
        panic!("no ring");
    };
    assert!(
        !text.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{text:?}"
    );
    assert!(text.contains("failed"), "{text:?}");
}
