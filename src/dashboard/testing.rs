//! Helpers of the dashboard's tests: sessions from a few words of JSON, keys by their names.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::model::Model;
use super::update::{Action, Event, prepare, update};
use crate::client::Update;
use crate::protocol::Notification;

/// A dashboard that has received a snapshot of `sessions`.
pub(super) fn model(size: (u16, u16), sessions: &Value) -> Model {
    let mut model = Model::new(true, Some("/home/ada".into()), size);
    apply(&mut model, snapshot(sessions));
    model
}

/// Applies an event at the time of the last one.
pub(super) fn send(model: &mut Model, event: Event) -> Option<Action> {
    let now = model.now;
    update(model, event, now)
}

/// Presses keys by their names. The last action is returned.
pub(super) fn press(model: &mut Model, keys: &str) -> Option<Action> {
    let mut last = None;
    for name in keys.split_whitespace() {
        last = send(model, Event::Key(key(name)));
    }
    prepare(model);
    last
}

/// The key of the selected session; empty if there is none.
pub(super) fn selected(model: &Model) -> &str {
    model.selected().map_or("", |session| &session.key)
}

pub(super) fn apply(model: &mut Model, update: Update) {
    send(model, Event::Update(update));
    prepare(model);
}

pub(super) fn snapshot(sessions: &Value) -> Update {
    let sessions: Vec<_> = sessions.as_array().unwrap().iter().map(record).collect();
    let snapshot = json!({"seq": 1, "sessions": sessions});
    Update::Snapshot(Box::new(serde_json::from_value(snapshot).unwrap()))
}

pub(super) fn notify(model: &mut Model, notification: Notification<'static>) {
    apply(model, Update::Notification(notification));
}

/// The session is now like this.
pub(super) fn changed(model: &mut Model, session: &Value) {
    let seq = model.mirror.seq() + 1;
    let changed = json!({"seq": seq, "session": record(session)});
    let changed = serde_json::from_value(changed).unwrap();
    notify(model, Notification::SessionChanged(changed));
}

/// What every record has, and what `given` says.
fn record(given: &Value) -> Value {
    let mut record = json!({"agent": "claude-code", "since": 0, "started_at": 0});
    for (name, value) in given.as_object().unwrap() {
        record[name] = value.clone();
    }
    record
}

/// A key by its name: a letter, `enter`, `ctrl-c`.
pub(super) fn key(name: &str) -> KeyEvent {
    let (modifiers, name) = match name.strip_prefix("ctrl-") {
        Some(rest) => (KeyModifiers::CONTROL, rest),
        None => (KeyModifiers::NONE, name),
    };
    let code = match name {
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pageup" => KeyCode::PageUp,
        "pagedown" => KeyCode::PageDown,
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "shift-tab" => KeyCode::BackTab,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "space" => KeyCode::Char(' '),
        "backspace" => KeyCode::Backspace,
        letter => KeyCode::Char(letter.chars().next().unwrap()),
    };
    KeyEvent::new(code, modifiers)
}
