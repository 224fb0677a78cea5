//! The model as cells of a screen. Pure: what it draws follows from [`Model`] alone.
//!
//! The list is written into the buffer directly: its columns are decided in [`super::columns`], so neither a table
//! widget nor a layout solver has anything to add. Everything from outside goes through `format::sanitize` first.

mod detail;
mod header;
mod help;
mod list;
mod theme;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use self::theme::{FAINT, STRONG, Theme};
use super::model::{ConnectionState, Mode, Model};
use crate::agents;
use crate::format;

/// Draws the whole screen.
pub(super) fn draw(model: &Model, buffer: &mut Buffer) {
    let areas = model.areas();
    header::draw(model, areas.header, buffer);
    banner(model, areas.banner, buffer);
    if model.mode == Mode::Help {
        let below = areas.header.height + areas.banner.height;
        help::draw(
            Rect {
                y: below,
                height: areas.footer.y.saturating_sub(below),
                ..buffer.area
            },
            buffer,
        );
    } else {
        if model.rows.is_empty() {
            let whole = areas.rows.union(areas.headings);
            empty_list(
                model,
                if whole.is_empty() {
                    areas.detail
                } else {
                    whole
                },
                buffer,
            );
        } else {
            list::draw(model, areas.headings, areas.rows, buffer);
        }
        detail_panel(model, areas.detail, !areas.rows.is_empty(), buffer);
        notice(model, areas.notice, buffer);
        if model.connection != ConnectionState::Live {
            // Out of date.
            for area in [areas.headings, areas.rows, areas.detail] {
                buffer.set_style(area, FAINT.remove_modifier(Modifier::BOLD));
            }
        }
    }
    help::footer(model, areas.footer, buffer);
}

/// The number of lines of the selected session's detail.
pub(super) fn detail_length(model: &Model) -> usize {
    let inner = detail::inner(model.areas().detail);
    detail::lines(model, usize::from(inner.width)).len()
}

fn theme(model: &Model) -> Theme {
    Theme {
        coloured: model.coloured,
    }
}

/// The state of the connection if it is not live, and what comes next.
fn banner(model: &Model, area: Rect, buffer: &mut Buffer) {
    let (text, style) = match &model.connection {
        ConnectionState::Connecting | ConnectionState::Live => return,
        ConnectionState::Lost { retry_at, advice } => {
            let left = retry_at.saturating_sub(model.now).div_ceil(1000);
            let next = if left == 0 {
                "trying again".into()
            } else {
                format!("trying again in {left} s")
            };
            let what = if advice.is_some() {
                "no daemon yet"
            } else {
                "daemon gone"
            };
            (format!("{what}, {next}"), theme(model).alarm())
        }
        ConnectionState::Stopped => (
            "the daemon was stopped; any key connects again, which starts it; q quits".into(),
            theme(model).notice(),
        ),
        ConnectionState::Failed(why) => (
            format!(
                "no connection; any key tries again, q quits: {}",
                format::sanitize(why)
            ),
            theme(model).alarm(),
        ),
    };
    let room = usize::from(area.width).saturating_sub(2);
    Line::styled(format!(" {}", format::truncate(&text, room)), style).render(area, buffer);
}

/// The selected session in detail; `beside`: the list is at its left.
fn detail_panel(model: &Model, area: Rect, beside: bool, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    if beside {
        for y in area.top()..area.bottom() {
            buffer.set_string(area.x, y, "│", FAINT);
        }
    }
    let inner = detail::inner(area);
    let lines = detail::lines(model, usize::from(inner.width));
    let shown = lines.into_iter().skip(model.scroll);
    for (line, y) in shown.zip(inner.top()..inner.bottom()) {
        line.render(
            Rect {
                y,
                height: 1,
                ..inner
            },
            buffer,
        );
    }
}

/// What to do next if there are no rows.
fn empty_list(model: &Model, area: Rect, buffer: &mut Buffer) {
    let line = |text: &str| Line::raw(text.to_owned());
    let command = |command: &'static str, what: &'static str| {
        Line::from(vec![
            Span::styled(format!("  {command:24}"), STRONG),
            Span::raw(what),
        ])
    };
    let lines = if model.connection == ConnectionState::Connecting {
        return;
    } else if let (0, Some(why)) = (model.total(), model.connection.message()) {
        let room = usize::from(area.width).saturating_sub(2);
        let why = format::wrap(&format::sanitize(why), room);
        let mut lines: Vec<_> = why.into_iter().map(Line::raw).collect();
        lines.push(Line::default());
        lines.push(command("agent-console demo", "play recorded agents"));
        lines
    } else if model.total() == 0 {
        vec![
            line("No sessions yet."),
            Line::default(),
            command("agent-console install", "install the agents' hooks"),
            command("agent-console demo", "play recorded agents"),
            Line::default(),
            line(&format!(
                "Then start an agent, such as {}: it appears here.",
                agents::DEFAULT.title
            )),
        ]
    } else if let (true, Some(agent)) = (model.filter.is_empty(), &model.agent) {
        vec![
            line(&format!(
                "No open sessions of {}.",
                format::agent_title(agent)
            )),
            Line::default(),
            Line::from(vec![
                Span::styled("  Esc", STRONG),
                Span::raw("  shows those of all agents"),
            ]),
        ]
    } else if model.filter.is_empty() {
        vec![
            line("No open sessions."),
            Line::default(),
            Line::from(vec![
                Span::styled("  c", STRONG),
                Span::raw("  shows the closed ones"),
            ]),
        ]
    } else {
        vec![
            line(&format!(
                "Nothing matches \"{}\".",
                format::sanitize(&model.filter)
            )),
            Line::default(),
            Line::from(vec![
                Span::styled("  Esc", STRONG),
                Span::raw("  shows all"),
            ]),
            Line::from(vec![
                Span::styled("  c  ", STRONG),
                Span::raw("  looks at closed ones, too"),
            ]),
        ]
    };
    page(lines, area, buffer);
}

/// Draws lines at the top left, with a margin if there is room.
fn page(lines: Vec<Line<'_>>, area: Rect, buffer: &mut Buffer) {
    let top = u16::from(usize::from(area.height) > lines.len());
    for (line, y) in lines.into_iter().zip(area.top() + top..area.bottom()) {
        let x = area.x + 1;
        let width = area.width.saturating_sub(2);
        line.render(
            Rect {
                x,
                y,
                width,
                height: 1,
            },
            buffer,
        );
    }
}

fn notice(model: &Model, area: Rect, buffer: &mut Buffer) {
    let Some(notice) = model.notice() else { return };
    let room = usize::from(area.width).saturating_sub(2);
    let text = format!("{} (Esc)", format::notice(notice, model.now));
    Line::styled(
        format!(" {}", format::truncate(&text, room)),
        theme(model).notice(),
    )
    .render(area, buffer);
}

#[cfg(test)]
mod tests;
