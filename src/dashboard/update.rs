//! What an event does to the model: events in, at most one action out.
//!
//! Pure: it gets the time with each event, and the loop in `mod.rs` carries the actions out, so that all of it is tested
//! as data.

mod going;
mod ring;

use std::time::Duration;

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::Position;

use self::going::{copy, go, on_arrival, on_resumed, resume};
use self::ring::ring;
use super::model::{ConnectionState, Mode, Model};
use super::view;
use crate::client::Update;
use crate::protocol::{ExplainResult, Notification, Status, TEXT_LIMIT, one_line};

/// How many lines one step of the wheel scrolls.
const WHEEL_LINES: isize = 3;

/// Something that has happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Pasted(String),
    /// The mouse was used.
    Mouse(MouseEvent),
    /// The terminal has this many columns and rows.
    Resized(u16, u16),
    /// The daemon has sent an update.
    Update(Update),
    /// No daemon answers; the next attempt is after `pause`.
    Lost {
        /// How long until the next attempt.
        pause: Duration,
        /// How to start a daemon, if none has answered yet.
        advice: Option<String>,
    },
    /// The daemon was stopped on purpose.
    Stopped,
    /// The connection failed with this message, and is not tried again unless the person asks for it.
    Failed(String),
    /// The answer to [`Action::Explain`] and [`Action::Open`].
    Explained(String, Result<Box<ExplainResult<'static>>, String>),
    /// [`Action::Remove`] failed with this message.
    NotRemoved(String),
    /// [`Action::Go`] has brought the person to the session, perhaps with a note; or why it has not.
    Went(Result<Option<String>, String>),
    /// [`Action::Resume`] for the session of this key: the number of its window of tmux; `None`, there is no tmux; or why
    /// it failed.
    Resumed(String, Result<Option<String>, String>),
    /// Time has passed.
    Tick,
}

/// What the loop must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Leave.
    Quit,
    /// Leave, since the person is at a session's terminal; with a note for the person.
    Leave(Option<String>),
    /// Bring the person to the terminal of the session of this key.
    Go(String),
    /// Resume the closed session of this key where the person sees it.
    Resume(String),
    /// Inform the person of this through the terminal.
    Ring(String),
    /// Give the terminal back until the shell resumes this process.
    Suspend,
    /// Draw the whole screen: another program has written to the terminal.
    Redraw,
    /// Copy this to the clipboard.
    Copy(String),
    /// Request the evidence of the session of this key.
    Explain(String),
    /// The person looks at the detail of the session of this key, whose evidence is requested.
    Open(String),
    /// Have the daemon forget the session of this key.
    Remove(String),
    /// Connect again, now.
    Connect,
}

/// Applies an event of the time `now` (ms since the Unix epoch).
pub(crate) fn update(model: &mut Model, event: Event, now: u64) -> Option<Action> {
    model.set_time(now);
    let action = match event {
        Event::Key(key) => {
            sync(model);
            on_key(model, key)
        }
        Event::Pasted(text) => {
            sync(model);
            on_paste(model, &text);
            None
        }
        Event::Mouse(mouse) => {
            sync(model);
            on_mouse(model, mouse);
            None
        }
        Event::Resized(columns, rows) => {
            model.size = (columns, rows);
            model.stale = true;
            None
        }
        Event::Update(update) => {
            apply(model, update);
            None
        }
        Event::Lost { pause, advice } => {
            let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            let retry_at = now.saturating_add(pause);
            model.connection = ConnectionState::Lost { retry_at, advice };
            None
        }
        Event::Stopped => {
            model.connection = ConnectionState::Stopped;
            None
        }
        Event::Failed(message) => {
            model.connection = ConnectionState::Failed(message);
            None
        }
        Event::Explained(key, answer) => {
            model.evidence.requested = false;
            let steps = answer.map(|explained| explained.steps);
            model.evidence.answer = Some((key, steps));
            None
        }
        Event::NotRemoved(message) => {
            model.set_status(format!("not removed: {message}"));
            None
        }
        Event::Went(outcome) => {
            model.going = None;
            on_arrival(model, outcome)
        }
        Event::Resumed(key, outcome) => {
            model.going = None;
            on_resumed(model, &key, outcome)
        }
        Event::Tick => None,
    };
    action
        .or_else(|| request_evidence(model))
        .or_else(|| ring(model))
}

/// Brings the model up to date before it is drawn; many updates cost one sorting.
pub(crate) fn prepare(model: &mut Model) -> Option<Action> {
    sync(model);
    request_evidence(model)
}

/// Rebuilds the rows, and keeps the detail from scrolling beyond its end.
fn sync(model: &mut Model) {
    model.rebuild_rows();
    if model.detail {
        let area = model.areas().detail;
        let lowest = view::detail_length(model).saturating_sub(usize::from(area.height));
        model.scroll = model.scroll.min(lowest);
    }
}

fn apply(model: &mut Model, update: Update) {
    match &update {
        // The end of the subscription follows, and says whether to reconnect.
        Update::Notification(Notification::DaemonStopping(_)) => return,
        Update::Snapshot(_) => {
            model.connection = ConnectionState::Live;
            model.evidence.stale = true;
        }
        Update::Notification(Notification::SessionChanged(changed)) => {
            let of_it = |(key, _): &(String, _)| *key == changed.session.key;
            model.evidence.stale |= model.evidence.answer.as_ref().is_some_and(of_it);
        }
        Update::Notification(_) => {}
    }
    model.mirror.apply(update);
    model.stale = true;
}

/// Requests the evidence if the detail is open and has none, or old one. One request at a time: under many changes as
/// often as the daemon answers, not as often as it sends updates.
fn request_evidence(model: &mut Model) -> Option<Action> {
    if !model.detail || model.evidence.requested || model.connection != ConnectionState::Live {
        return None;
    }
    let key = model.selected_key()?.to_owned();
    let present = matches!(&model.evidence.answer, Some((of, _)) if *of == key);
    if present && !model.evidence.stale {
        return None;
    }
    model.evidence.requested = true;
    model.evidence.stale = false;
    Some(if present {
        Action::Explain(key)
    } else {
        Action::Open(key)
    })
}

fn on_key(model: &mut Model, key: KeyEvent) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        match key.code {
            KeyCode::Char('c') => return Some(Action::Quit),
            KeyCode::Char('z') => return Some(Action::Suspend),
            KeyCode::Char('l') => return Some(Action::Redraw),
            _ => {}
        }
    }
    match std::mem::replace(&mut model.mode, Mode::List) {
        // Any key closes the help.
        Mode::Help => None,
        Mode::Confirm(session) => {
            matches!(key.code, KeyCode::Char('y' | 'Y')).then_some(Action::Remove(session))
        }
        Mode::Filter => {
            model.mode = Mode::Filter;
            on_filter_key(model, key);
            None
        }
        Mode::List => on_list_key(model, key),
    }
}

/// Pasted text goes into the filter. Elsewhere it is ignored: its letters are not keys.
fn on_paste(model: &mut Model, text: &str) {
    if model.mode == Mode::Filter {
        model.filter.push_str(&one_line(text, TEXT_LIMIT));
        model.refresh();
    }
}

/// A key while the filter is edited.
fn on_filter_key(model: &mut Model, key: KeyEvent) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Enter => model.mode = Mode::List,
        KeyCode::Esc => {
            model.mode = Mode::List;
            model.filter.clear();
        }
        KeyCode::Up => model.select(model.index.saturating_sub(1)),
        KeyCode::Down => model.select(model.index + 1),
        KeyCode::Backspace => {
            // With an empty filter it leaves the mode, as in a pager.
            if model.filter.pop().is_none() {
                model.mode = Mode::List;
            }
        }
        KeyCode::Char('u') if control => model.filter.clear(),
        KeyCode::Char('w') if control => {
            let kept = model
                .filter
                .trim_end()
                .rfind(' ')
                .map_or(0, |blank| blank + 1);
            model.filter.truncate(kept);
        }
        KeyCode::Char(letter) if !control => model.filter.push(letter),
        _ => return,
    }
    model.refresh();
}

/// A key while the list or the detail has the focus.
fn on_list_key(model: &mut Model, key: KeyEvent) -> Option<Action> {
    match key.code {
        KeyCode::Char('q') => return Some(Action::Quit),
        KeyCode::Char('?') => model.mode = Mode::Help,
        // The person asks for a connection, which may start the daemon.
        _ if matches!(
            model.connection,
            ConnectionState::Stopped | ConnectionState::Failed(_)
        ) =>
        {
            model.connection = ConnectionState::Connecting;
            return Some(Action::Connect);
        }
        KeyCode::Up | KeyCode::Char('k') => model.select(model.index.saturating_sub(1)),
        KeyCode::Down | KeyCode::Char('j') => model.select(model.index + 1),
        KeyCode::Home | KeyCode::Char('g') => model.select(0),
        KeyCode::End | KeyCode::Char('G') => model.select(usize::MAX),
        KeyCode::PageUp => turn_page(model, -1),
        KeyCode::PageDown => turn_page(model, 1),
        KeyCode::Tab => select_in_need(model, true),
        KeyCode::BackTab => select_in_need(model, false),
        KeyCode::Enter => return go(model),
        KeyCode::Char(' ') => set_detail(model, !model.detail),
        KeyCode::Right if !model.detail => set_detail(model, true),
        KeyCode::Left => set_detail(model, false),
        KeyCode::Esc => back(model),
        KeyCode::Char('/') => {
            set_detail(model, model.detail && !model.areas().rows.is_empty());
            model.mode = Mode::Filter;
        }
        KeyCode::Char('c') => {
            model.show_closed = !model.show_closed;
            model.refresh();
        }
        KeyCode::Char('a') => choose_agent(model),
        KeyCode::Char('d') => return remove(model),
        KeyCode::Char('r') => return resume(model),
        KeyCode::Char('y') => {
            let key = model.selected_key()?.to_owned();
            return copy(model, &key);
        }
        _ => {}
    }
    None
}

/// Selects the next session that needs a person, or the one before.
fn select_in_need(model: &mut Model, forward: bool) {
    if !model.select_in_need(forward) {
        model.set_status("no session on the list needs you".into());
    }
}

/// Opens or closes the detail.
fn set_detail(model: &mut Model, open: bool) {
    model.detail = open && model.selected().is_some();
    model.scroll = 0;
    model.select(model.index);
}

/// Scrolls the detail by a page if it is open, else the list.
fn turn_page(model: &mut Model, by: isize) {
    if model.detail {
        let height = isize::try_from(model.areas().detail.height).unwrap_or(0);
        scroll_detail(model, by * (height - 2).max(1));
    } else {
        let height = isize::try_from(model.page()).unwrap_or(1);
        model.select(model.index.saturating_add_signed(by * (height - 1).max(1)));
    }
}

/// Scrolls the detail; [`sync`] keeps it within its end.
fn scroll_detail(model: &mut Model, by: isize) {
    model.scroll = model.scroll.saturating_add_signed(by);
}

/// Shows one agent's sessions, then the next one's, then all. With one agent there is nothing to choose.
fn choose_agent(model: &mut Model) {
    if model.has_several_agents() || model.agent.is_some() {
        model.show_next_agent();
        set_detail(model, model.detail);
    } else {
        model.set_status("all sessions are of one agent".into());
    }
}

/// Closes the detail, else drops the filter by words, then that by agent, else dismisses the notice.
fn back(model: &mut Model) {
    if model.detail {
        set_detail(model, false);
    } else if !model.filter.is_empty() {
        model.filter.clear();
        model.refresh();
    } else if model.agent.take().is_some() {
        model.refresh();
    } else {
        model.dismiss_notice();
    }
}

/// Forgets a closed session at once, an open one after a question.
fn remove(model: &mut Model) -> Option<Action> {
    let session = model.selected()?;
    let key = session.key.to_string();
    if model.connection != ConnectionState::Live {
        model.set_status("not removed: no daemon is connected".into());
        return None;
    }
    if session.status == Status::Closed {
        return Some(Action::Remove(key));
    }
    model.mode = Mode::Confirm(key);
    None
}

fn on_mouse(model: &mut Model, mouse: MouseEvent) {
    if model.mode == Mode::Help {
        if matches!(mouse.kind, MouseEventKind::Down(_)) {
            model.mode = Mode::List;
        }
        return;
    }
    let areas = model.areas();
    let at = Position::new(mouse.column, mouse.row);
    let by = match mouse.kind {
        MouseEventKind::ScrollUp => -WHEEL_LINES,
        MouseEventKind::ScrollDown => WHEEL_LINES,
        MouseEventKind::Down(MouseButton::Left) if areas.rows.contains(at) => {
            let row = model.offset + usize::from(at.y - areas.rows.y);
            if row >= model.rows.len() {
                return;
            }
            // A second click finds the row selected.
            let again = row == model.index;
            model.select(row);
            if again {
                set_detail(model, true);
            }
            return;
        }
        _ => return,
    };
    if areas.detail.contains(at) {
        scroll_detail(model, by);
    } else {
        model.scroll_list(by);
    }
}

#[cfg(test)]
mod going_tests;
#[cfg(test)]
mod tests;
