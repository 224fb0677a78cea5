//! What keys do: the help page, and the hints in the last line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::theme::{FAINT, STRONG};
use super::{page, theme};
use crate::dashboard::model::{Mode, Model};
use crate::format;

/// The help page: keys, and what they do.
const HELP: [(&str, &str); 19] = [
    ("↑ ↓  k j", "choose a session"),
    ("Home End  g G", "choose the first or the last"),
    ("PgUp PgDn", "move by a page; in the detail: scroll"),
    (
        "Tab  Shift-Tab",
        "choose the next that needs you, the one before",
    ),
    ("Enter", "go to its terminal: the pane, the window"),
    ("Space  → ←", "open or close the detail: history, evidence"),
    (
        "/",
        "filter, by any word shown; Enter keeps it, Esc drops it",
    ),
    ("a", "show one agent's sessions, the next one's, all"),
    ("c", "show or hide closed sessions"),
    ("d", "forget the session; asks if it is still open"),
    ("r", "resume a closed one: in a window of tmux, else as y"),
    ("y", "copy the command that resumes it (OSC 52)"),
    ("Esc", "close the detail, drop a filter, dismiss a notice"),
    ("Ctrl-L", "redraw the screen"),
    ("Ctrl-Z", "suspend; `fg` resumes"),
    ("q  Ctrl-C", "quit"),
    ("click", "choose a session; again: open the detail"),
    ("wheel", "scroll"),
    ("Shift-drag", "select text, as without a dashboard"),
];

pub(super) fn draw(area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let column = if width < 60 { 14 } else { 20 };
    let lines = HELP.map(|(key, what)| {
        Line::from(vec![
            Span::styled(format!("{key:column$}"), STRONG),
            Span::raw(what),
        ])
    });
    page(lines.into(), area, buffer);
}

/// The last line: what the most useful keys do, or a question, or a status message.
pub(super) fn footer(model: &Model, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let room = width.saturating_sub(2);
    let line = match &model.mode {
        Mode::Filter => Line::from(vec![
            Span::styled(" / ", STRONG),
            Span::raw(
                format::truncate_start(&format::sanitize(&model.filter), room.saturating_sub(30))
                    .into_owned(),
            ),
            Span::styled(" ", Style::new().add_modifier(Modifier::REVERSED)),
            Span::styled(format!("  {}  Enter keep  Esc drop", matches(model)), FAINT),
        ]),
        Mode::Confirm(key) => {
            let word = model
                .session(key)
                .map_or("gone", |session| session.status.as_str());
            let question = format!("y/n  Forget {}? It is {word}.", format::sanitize(key));
            Line::styled(
                format!(" {}", format::truncate(&question, room)),
                theme(model).notice(),
            )
        }
        Mode::Help => keys(&[("any key", "back")], &[], width),
        Mode::List if model.status().is_some() => {
            let lines = model.message_lines(width);
            for (line, y) in lines.into_iter().zip(area.top()..area.bottom()) {
                let row = Rect {
                    y,
                    height: 1,
                    ..area
                };
                Line::styled(format!(" {line}"), STRONG).render(row, buffer);
            }
            return;
        }
        Mode::List if model.detail => keys(
            &[
                ("↑↓", "choose"),
                ("PgDn", "scroll"),
                ("Enter", "go"),
                ("Space", "close"),
                ("y", "copy"),
                ("d", "forget"),
                ("/", "filter"),
            ],
            &[("?", "help"), ("q", "quit")],
            width,
        ),
        Mode::List => list_keys(model, width),
    };
    line.render(area, buffer);
}

/// What the most useful keys do while the list is on the screen.
fn list_keys(model: &Model, width: usize) -> Line<'static> {
    let closed = if model.show_closed {
        "hide closed"
    } else {
        "closed"
    };
    let found = matches(model);
    let is_filtered = !model.filter.is_empty();
    let mut first = Vec::new();
    if is_filtered {
        first.push(("/", &*found));
    }
    if is_filtered || model.agent.is_some() {
        first.push(("Esc", "all"));
    }
    first.extend([("↑↓", "choose"), ("Enter", "go"), ("Space", "open")]);
    if !is_filtered {
        first.push(("/", "filter"));
    }
    if model.has_several_agents() || model.agent.is_some() {
        first.push(("a", "agent"));
    }
    first.extend([("c", closed), ("y", "copy"), ("d", "forget")]);
    keys(&first, &[("?", "help"), ("q", "quit")], width)
}

/// How many sessions match the filter.
fn matches(model: &Model) -> String {
    match model.rows.len() {
        0 => "none match".into(),
        1 => "1 matches".into(),
        many => format!("{many} match"),
    }
}

/// Keys and what they do: as many of `first` as fit, and all of `last`.
fn keys(first: &[(&str, &str)], last: &[(&str, &str)], width: usize) -> Line<'static> {
    let size = |(key, what): &(&str, &str)| format::width(key) + format::width(what) + 3;
    let mut left = width.saturating_sub(1 + last.iter().map(size).sum::<usize>());
    let mut spans = vec![Span::raw(" ")];
    let fits = first
        .iter()
        .take_while(|one| match left.checked_sub(size(one)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        });
    for (key, what) in fits.chain(last) {
        spans.push(Span::styled(key.to_string(), STRONG));
        spans.push(Span::styled(format!(" {what}  "), FAINT));
    }
    Line::from(spans)
}
