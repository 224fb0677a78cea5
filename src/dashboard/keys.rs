//! What keys and the mouse do. Pure: changes the state, names the action.

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::Position;

use super::app::{Action, App, Link, Mode};
use super::detail;
use crate::format;
use crate::protocol::{Status, TEXT_LIMIT, one_line};

/// How far a turn of the wheel goes.
const NOTCH: isize = 3;

/// A key was pressed.
pub(super) fn pressed(app: &mut App, key: KeyEvent) -> Option<Action> {
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
    match std::mem::replace(&mut app.mode, Mode::List) {
        // Any key puts the help away.
        Mode::Help => None,
        Mode::Confirm(session) => {
            matches!(key.code, KeyCode::Char('y' | 'Y')).then_some(Action::Remove(session))
        }
        Mode::Filter => {
            app.mode = Mode::Filter;
            filter(app, key);
            None
        }
        Mode::List => list(app, key),
    }
}

/// Text was pasted: for the filter. Anywhere else its letters are no keys that somebody pressed.
pub(super) fn pasted(app: &mut App, text: &str) {
    if app.mode == Mode::Filter {
        app.filter.push_str(&one_line(text, TEXT_LIMIT));
        app.refresh();
    }
}

/// A key for the filter's line.
fn filter(app: &mut App, key: KeyEvent) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Enter => app.mode = Mode::List,
        KeyCode::Esc => {
            app.mode = Mode::List;
            app.filter.clear();
        }
        KeyCode::Up => app.select(app.index.saturating_sub(1)),
        KeyCode::Down => app.select(app.index + 1),
        KeyCode::Backspace => {
            // On nothing, it leaves, as in a pager.
            if app.filter.pop().is_none() {
                app.mode = Mode::List;
            }
        }
        KeyCode::Char('u') if control => app.filter.clear(),
        KeyCode::Char('w') if control => {
            let kept = app
                .filter
                .trim_end()
                .rfind(' ')
                .map_or(0, |blank| blank + 1);
            app.filter.truncate(kept);
        }
        KeyCode::Char(letter) if !control => app.filter.push(letter),
        _ => return,
    }
    app.refresh();
}

/// A key for the list and the detail.
fn list(app: &mut App, key: KeyEvent) -> Option<Action> {
    match key.code {
        KeyCode::Char('q') => return Some(Action::Quit),
        KeyCode::Char('?') => app.mode = Mode::Help,
        // It is the person who decides that the daemon is to run again.
        _ if matches!(app.link, Link::Stopped | Link::Failed(_)) => {
            app.link = Link::Connecting;
            return Some(Action::Connect);
        }
        KeyCode::Up | KeyCode::Char('k') => app.select(app.index.saturating_sub(1)),
        KeyCode::Down | KeyCode::Char('j') => app.select(app.index + 1),
        KeyCode::Home | KeyCode::Char('g') => app.select(0),
        KeyCode::End | KeyCode::Char('G') => app.select(usize::MAX),
        KeyCode::PageUp => page(app, -1),
        KeyCode::PageDown | KeyCode::Char(' ') => page(app, 1),
        KeyCode::Enter => open(app, !app.detail),
        KeyCode::Esc => back(app),
        KeyCode::Char('/') => {
            open(app, app.detail && !app.areas().rows.is_empty());
            app.mode = Mode::Filter;
        }
        KeyCode::Char('c') => {
            app.show_closed = !app.show_closed;
            app.refresh();
        }
        KeyCode::Char('d') => return remove(app),
        KeyCode::Char('y') => return copy(app),
        _ => {}
    }
    None
}

/// Shows or hides the detail.
fn open(app: &mut App, open: bool) {
    app.detail = open && app.selected().is_some();
    app.scroll = 0;
    app.select(app.index);
}

/// A page of whatever is open.
fn page(app: &mut App, by: isize) {
    if app.detail {
        let height = isize::try_from(app.areas().detail.height).unwrap_or(0);
        scroll_detail(app, by * (height - 2).max(1));
    } else {
        let height = isize::try_from(app.page()).unwrap_or(1);
        app.select(app.index.saturating_add_signed(by * (height - 1).max(1)));
    }
}

fn scroll_detail(app: &mut App, by: isize) {
    let area = app.areas().detail;
    let lines = detail::lines(app, usize::from(detail::inner(area).width)).len();
    let lowest = lines.saturating_sub(usize::from(area.height));
    app.scroll = app.scroll.saturating_add_signed(by).min(lowest);
}

/// One step back, of what is open.
fn back(app: &mut App) {
    if app.detail {
        open(app, false);
    } else if !app.filter.is_empty() {
        app.filter.clear();
        app.refresh();
    } else {
        app.dismiss();
    }
}

/// A session that is over goes at once, one that may still be at work after a question.
fn remove(app: &mut App) -> Option<Action> {
    let session = app.selected()?;
    let key = session.key.to_string();
    if app.link != Link::Live {
        app.say("not removed: there is no daemon to tell".into());
        return None;
    }
    if session.status == Status::Closed {
        return Some(Action::Remove(key));
    }
    app.mode = Mode::Confirm(key);
    None
}

/// The command that takes the conversation up again.
fn copy(app: &mut App) -> Option<Action> {
    let session = app.selected()?;
    let (said, command) = match (&*session.agent, session.session_id.as_deref()) {
        ("claude-code", Some(id)) if is_harmless(id) => {
            let command = format!("claude --resume {id}");
            (
                format!("to the clipboard (OSC 52): {command}"),
                Some(command),
            )
        }
        ("claude-code", Some(_)) => (
            "the session's id is not fit for a command line".into(),
            None,
        ),
        ("claude-code", None) => ("the session's id is not known yet".into(), None),
        (other, _) => (
            format!("no command is known that resumes {}", format::plain(other)),
            None,
        ),
    };
    app.say(said);
    command.map(Action::Copy)
}

/// What comes from outside and goes into a shell must mean nothing there.
fn is_harmless(id: &str) -> bool {
    !id.is_empty()
        && !id.starts_with('-')
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// The mouse was used.
pub(super) fn moused(app: &mut App, mouse: MouseEvent) {
    if app.mode == Mode::Help {
        if matches!(mouse.kind, MouseEventKind::Down(_)) {
            app.mode = Mode::List;
        }
        return;
    }
    let areas = app.areas();
    let at = Position::new(mouse.column, mouse.row);
    let notch = match mouse.kind {
        MouseEventKind::ScrollUp => -NOTCH,
        MouseEventKind::ScrollDown => NOTCH,
        MouseEventKind::Down(MouseButton::Left) if areas.rows.contains(at) => {
            let row = app.offset + usize::from(at.y - areas.rows.y);
            if row >= app.rows.len() {
                return;
            }
            // The second click of two finds it selected.
            let again = row == app.index;
            app.select(row);
            if again {
                open(app, true);
            }
            return;
        }
        _ => return,
    };
    if areas.detail.contains(at) {
        scroll_detail(app, notch);
    } else {
        app.scroll_list(notch);
    }
}
