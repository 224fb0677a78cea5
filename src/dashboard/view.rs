//! The state as cells of a screen. Pure: what it draws follows from [`App`] alone.
//!
//! The list is written into the buffer directly: its columns are decided in [`super::columns`], so neither a table
//! widget nor a layout solver has anything to add. Everything from outside goes through `format::plain` first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::app::{App, Link, Mode};
use super::columns::{Content, cell, columns, edges};
use super::detail;
use super::text;
use super::theme::{FAINT, STRONG, sign};
use crate::format;
use crate::format::status::Kind;
use crate::protocol::{SessionRecord, UsageState};

/// What the help page says: keys, and what they do.
const HELP: [(&str, &str); 15] = [
    ("↑ ↓  k j", "choose a session"),
    ("Home End  g G", "the first, the last"),
    ("PgUp PgDn", "a page; scrolls the detail, if it is open"),
    ("Enter", "open the detail: history, evidence; close it"),
    (
        "/",
        "filter, by any word shown; Enter keeps it, Esc drops it",
    ),
    ("c", "show closed sessions, hide them"),
    ("d", "forget the session; asks if it is still open"),
    ("y", "copy the command that resumes it (OSC 52)"),
    (
        "Esc",
        "close the detail, drop the filter, put a notice away",
    ),
    ("Ctrl-L", "draw the screen anew"),
    ("Ctrl-Z", "suspend; `fg` comes back"),
    ("q  Ctrl-C", "quit"),
    ("click", "choose; once more: open the detail"),
    ("wheel", "scroll"),
    ("Shift-drag", "select text, as without a dashboard"),
];

/// Draws the whole screen.
pub(super) fn draw(app: &App, buffer: &mut Buffer) {
    let areas = app.areas();
    header(app, areas.header, buffer);
    banner(app, areas.banner, buffer);
    if app.mode == Mode::Help {
        let below = areas.header.height + areas.banner.height;
        help(
            Rect {
                y: below,
                height: areas.footer.y.saturating_sub(below),
                ..buffer.area
            },
            buffer,
        );
    } else {
        if app.rows.is_empty() {
            let whole = areas.rows.union(areas.headings);
            empty(
                app,
                if whole.is_empty() {
                    areas.detail
                } else {
                    whole
                },
                buffer,
            );
        } else {
            list(app, areas.headings, areas.rows, buffer);
        }
        panel(app, areas.detail, !areas.rows.is_empty(), buffer);
        notice(app, areas.notice, buffer);
        if app.link != Link::Live {
            // The last that was known, and no more than that.
            for area in [areas.headings, areas.rows, areas.detail] {
                buffer.set_style(area, FAINT.remove_modifier(Modifier::BOLD));
            }
        }
    }
    footer(app, areas.footer, buffer);
}

fn header(app: &App, area: Rect, buffer: &mut Buffer) {
    let tally = &app.tally;
    let counts = [
        (Kind::Waiting, tally.waiting),
        (Kind::Failed, tally.failed),
        (Kind::Finished, tally.finished),
        (Kind::Working, tally.working),
        (Kind::Idle, tally.idle),
        (Kind::Closed, if app.show_closed { tally.closed } else { 0 }),
    ];
    let counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    // Where it is narrow, the signs go: colour and word are left. What is told first matters most.
    let roomy: usize = counts
        .iter()
        .map(|(kind, count)| kind.word().len() + count.to_string().len() + 5)
        .sum();
    let roomy = roomy < usize::from(area.width);
    let mut line = Line::default();
    for (kind, count) in counts {
        let text = if roomy {
            format!(" {} {count} {} ", sign(kind), kind.word())
        } else {
            format!(" {count} {}", kind.word())
        };
        if line.width() + text::width(&text) > usize::from(area.width) {
            break;
        }
        line.push_span(Span::styled(text, app.theme.kind(kind)));
    }
    if line.spans.is_empty() {
        line.push_span(Span::styled(
            match app.link {
                Link::Connecting => " connecting …",
                _ => " no open sessions",
            },
            FAINT,
        ));
    }
    let used = line.width();
    line.render(area, buffer);
    let room = usize::from(area.width).saturating_sub(used);
    let fits = |text: &str| text.chars().count() < room;
    let name = "agent-console ".to_owned();
    // What there is room for, the best first: the limits with gauges, as figures, the nearest one, or who this is.
    let right = [
        limits(app, usize::MAX, Some(GAUGE)),
        limits(app, usize::MAX, None),
        limits(app, 1, None),
        Some(name),
    ];
    if let Some(text) = right.into_iter().flatten().find(|text| fits(text)) {
        Line::styled(text, STRONG)
            .right_aligned()
            .render(area, buffer);
    }
}

/// Characters that a gauge is wide.
const GAUGE: usize = 10;

/// The account's limits, or as many of them, the nearest first: `5h ####|..... 42 %`; a `?` says that they are old, a
/// word that they cannot be had. `None`: there is nothing to say.
fn limits(app: &App, most: usize, gauge: Option<usize>) -> Option<String> {
    let usage = app.usage()?;
    let mut windows: Vec<_> = usage.windows.iter().collect();
    if windows.len() > most {
        windows.sort_by(|a, b| b.used_percent.total_cmp(&a.used_percent));
    }
    let windows = windows.into_iter().take(most).map(|window| {
        let name = format::window(&window.name);
        let bar = gauge.map_or(String::new(), |width| {
            let elapsed = window.elapsed_percent(app.now);
            format!("{} ", format::gauge(window.used_percent, elapsed, width))
        });
        format!("{name} {bar}{:.0} %", window.used_percent)
    });
    let text = windows.collect::<Vec<_>>().join("  ");
    let word = usage.state.as_str().replace('_', " ");
    match usage.state {
        UsageState::Ok if text.is_empty() => None,
        UsageState::Ok => Some(format!("{text} ")),
        UsageState::Stale | UsageState::Unknown => Some(format!("{text} ? ")),
        _ if !text.is_empty() => Some(format!("{text} ({word}) ")),
        // Who has no account or wants nothing fetched need not be told each day.
        _ if matches!(usage.code.as_deref(), Some("no_credentials" | "disabled")) => None,
        _ => Some(format!("limits {word} ")),
    }
}

/// What is wrong with the connection, and what comes next.
fn banner(app: &App, area: Rect, buffer: &mut Buffer) {
    let (text, style) = match &app.link {
        Link::Connecting | Link::Live => return,
        Link::Lost { again, advice } => {
            let left = again.saturating_sub(app.now).div_ceil(1000);
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
            (format!("{what}, {next}"), app.theme.alarm())
        }
        Link::Stopped => (
            "the daemon was stopped; any key connects again, which starts it; q quits".into(),
            app.theme.notice(),
        ),
        Link::Failed(why) => (
            format!(
                "no connection; any key tries again, q quits: {}",
                format::plain(why)
            ),
            app.theme.alarm(),
        ),
    };
    let room = usize::from(area.width).saturating_sub(2);
    Line::styled(format!(" {}", text::fit(&text, room)), style).render(area, buffer);
}

fn list(app: &App, headings: Rect, rows: Rect, buffer: &mut Buffer) {
    // The mark of the selected row at the left, a blank at the right.
    let width = usize::from(rows.width).saturating_sub(2);
    let columns = columns(width);
    let titled = columns
        .iter()
        .any(|column| column.content == Content::Title);
    for (edge, column) in edges(&columns) {
        put(
            buffer,
            headings,
            edge,
            column.width,
            column.content.is_number(),
            column.content.heading(),
            FAINT,
        );
    }
    let keys = app.rows.iter().enumerate().skip(app.offset);
    for ((at, key), y) in keys.zip(rows.top()..rows.bottom()) {
        let Some(session) = app.session(key) else {
            continue;
        };
        let row = Rect {
            y,
            height: 1,
            ..rows
        };
        let selected = at == app.index;
        let base = if selected { STRONG } else { Style::new() };
        for (edge, column) in edges(&columns) {
            let text = cell(column, session, app.home.as_deref(), app.now, titled);
            let style = match column.content {
                Content::Why | Content::For | Content::Status => base,
                _ if selected => base,
                _ => FAINT,
            };
            put(
                buffer,
                row,
                edge,
                column.width,
                column.content.is_number(),
                &text,
                style,
            );
        }
        status(app, session, row, buffer);
        if selected {
            buffer.set_string(row.x, y, "▌", app.theme.notice());
        }
    }
}

/// Sign and word, in the list's first column.
fn status(app: &App, session: &SessionRecord<'_>, row: Rect, buffer: &mut Buffer) {
    let kind = Kind::of(session);
    let text = format!("{} {}", sign(kind), kind.word());
    put(buffer, row, 0, 10, false, &text, app.theme.kind(kind));
}

/// Writes a cell of the list.
fn put(
    buffer: &mut Buffer,
    row: Rect,
    edge: usize,
    width: usize,
    right: bool,
    text: &str,
    style: Style,
) {
    let pad = if right {
        width.saturating_sub(text::width(text))
    } else {
        0
    };
    let x = edge + pad + 1;
    let room = usize::from(row.width).saturating_sub(x);
    if let (Ok(x), false) = (u16::try_from(x), row.is_empty() || room == 0) {
        buffer.set_stringn(row.x + x, row.y, text, room.min(width), style);
    }
}

fn panel(app: &App, area: Rect, beside: bool, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    if beside {
        for y in area.top()..area.bottom() {
            buffer.set_string(area.x, y, "│", FAINT);
        }
    }
    let inner = detail::inner(area);
    let lines = detail::lines(app, usize::from(inner.width));
    let lowest = lines.len().saturating_sub(usize::from(inner.height));
    let shown = lines.into_iter().skip(app.scroll.min(lowest));
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

/// Nothing to show: what to do next.
fn empty(app: &App, area: Rect, buffer: &mut Buffer) {
    let say = |text: &str| Line::raw(text.to_owned());
    let command = |command: &'static str, what: &'static str| {
        Line::from(vec![
            Span::styled(format!("  {command:24}"), STRONG),
            Span::raw(what),
        ])
    };
    let lines = if app.link == Link::Connecting {
        return;
    } else if let (0, Some(why)) = (app.known(), app.link.trouble()) {
        let room = usize::from(area.width).saturating_sub(2);
        let why = text::wrap(&format::plain(why), room);
        let mut lines: Vec<_> = why.into_iter().map(Line::raw).collect();
        lines.push(Line::default());
        lines.push(command("agent-console demo", "see it at work first"));
        lines
    } else if app.known() == 0 {
        vec![
            say("No sessions yet."),
            Line::default(),
            command("agent-console install", "be told of every agent"),
            command("agent-console demo", "see it at work first"),
            Line::default(),
            say("Then start an agent, such as claude: it appears here."),
        ]
    } else if app.filter.is_empty() {
        vec![
            say("No open sessions."),
            Line::default(),
            Line::from(vec![
                Span::styled("  c", STRONG),
                Span::raw("  shows the closed ones"),
            ]),
        ]
    } else {
        vec![
            say(&format!(
                "Nothing matches \"{}\".",
                format::plain(&app.filter)
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

fn help(area: Rect, buffer: &mut Buffer) {
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

/// Lines at the top left, with a margin where there is room for one.
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

fn notice(app: &App, area: Rect, buffer: &mut Buffer) {
    let Some(notice) = app.notice() else { return };
    let room = usize::from(area.width).saturating_sub(2);
    let text = format!("{} (Esc)", format::notice(notice, app.now));
    Line::styled(format!(" {}", text::fit(&text, room)), app.theme.notice()).render(area, buffer);
}

/// What keys do now, as many as there is room for; or what was just said, or is asked.
fn footer(app: &App, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let room = width.saturating_sub(2);
    let line = match &app.mode {
        Mode::Filter => Line::from(vec![
            Span::styled(" / ", STRONG),
            Span::raw(
                text::fit_end(&format::plain(&app.filter), room.saturating_sub(30)).into_owned(),
            ),
            Span::styled(" ", Style::new().add_modifier(Modifier::REVERSED)),
            Span::styled(format!("  {}  Enter keep  Esc drop", found(app)), FAINT),
        ]),
        Mode::Confirm(key) => {
            let word = app
                .session(key)
                .map_or("gone", |session| session.status.as_str());
            let question = format!("y/n  Forget {}? It is {word}.", format::plain(key));
            Line::styled(
                format!(" {}", text::fit(&question, room)),
                app.theme.notice(),
            )
        }
        Mode::Help => keys(&[("any key", "back")], &[], width),
        Mode::List => match app.said() {
            Some(said) => Line::styled(format!(" {}", text::fit(said, room)), STRONG),
            None if app.detail => keys(
                &[
                    ("↑↓", "choose"),
                    ("PgDn", "scroll"),
                    ("Enter", "close"),
                    ("y", "copy"),
                    ("d", "forget"),
                    ("/", "filter"),
                ],
                &[("?", "help"), ("q", "quit")],
                width,
            ),
            None => {
                let closed = if app.show_closed {
                    "hide closed"
                } else {
                    "closed"
                };
                let found = found(app);
                let filter = if app.filter.is_empty() {
                    None
                } else {
                    Some([("/", &*found), ("Esc", "all")])
                };
                let mut first: Vec<_> = filter.into_iter().flatten().collect();
                first.extend([("↑↓", "choose"), ("Enter", "open")]);
                if filter.is_none() {
                    first.push(("/", "filter"));
                }
                first.extend([("c", closed), ("y", "copy"), ("d", "forget")]);
                keys(&first, &[("?", "help"), ("q", "quit")], width)
            }
        },
    };
    line.render(area, buffer);
}

/// How many sessions the filter leaves.
fn found(app: &App) -> String {
    match app.rows.len() {
        0 => "none match".into(),
        1 => "1 matches".into(),
        many => format!("{many} match"),
    }
}

/// Keys and what they do; `last` stays when there is no room for all of `first`.
fn keys(first: &[(&str, &str)], last: &[(&str, &str)], width: usize) -> Line<'static> {
    let size = |(key, what): &(&str, &str)| text::width(key) + text::width(what) + 3;
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

#[cfg(test)]
mod tests;
