//! The first line: the agent if only one's sessions are shown, how many sessions are in each status, and the limits of
//! each account.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::theme;
use super::theme::{FAINT, STRONG};
use crate::dashboard::model::{ConnectionState, Model};
use crate::format;
use crate::format::status::DisplayStatus;
use crate::protocol::{Usage, UsageState};

pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let sessions = &model.counts;
    let counts = [
        (DisplayStatus::Waiting, sessions.waiting),
        (DisplayStatus::Failed, sessions.failed),
        (DisplayStatus::Stopped, sessions.stopped),
        (DisplayStatus::Finished, sessions.finished),
        (DisplayStatus::Working, sessions.working),
        (DisplayStatus::Idle, sessions.idle),
        (
            DisplayStatus::Closed,
            if model.show_closed {
                sessions.closed
            } else {
                0
            },
        ),
    ];
    let counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    // On a narrow terminal the symbols are left out; what does not fit at the end matters least.
    let roomy: usize = counts
        .iter()
        .map(|(status, count)| status.word().len() + count.to_string().len() + 5)
        .sum();
    let left = usize::from(area.width) * if model.agent.is_some() { 2 } else { 3 } / 3;
    let roomy = roomy < left;
    let mut line = Line::default();
    if let Some(agent) = &model.agent {
        // The name is cut where the counts leave no room for it.
        let text = format!(" {}:", format::signed_agent(agent));
        let room = usize::from(area.width) / 3;
        line.push_span(Span::styled(
            format::truncate(&text, room).into_owned(),
            STRONG,
        ));
    }
    for (status, count) in counts {
        let text = if roomy {
            format!(" {} {count} {} ", status.symbol(), status.word())
        } else {
            format!(" {count} {}", status.word())
        };
        if line.width() + format::width(&text) > usize::from(area.width) {
            break;
        }
        line.push_span(Span::styled(text, theme(model).status(status)));
    }
    if line.spans.len() == usize::from(model.agent.is_some()) {
        line.push_span(Span::styled(
            match model.connection {
                ConnectionState::Connecting => " connecting …",
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
    // The first that fits: the limits with gauges, as figures, of each account the one used most, the one used most of
    // all, or the program's name.
    let mut right = [
        limits(model, usize::MAX, Some(GAUGE)),
        limits(model, usize::MAX, None),
        limits(model, 1, None),
        limit(model),
        Some(name),
    ]
    .into_iter()
    .flatten();
    if let Some(text) = right.find(|text| fits(text)) {
        Line::styled(text, STRONG)
            .right_aligned()
            .render(area, buffer);
    }
}

/// The width of a gauge in characters.
const GAUGE: usize = 10;

/// The limits of each account, with its name where there are several: of each at most `most`, the one used most first.
/// `None`: nothing to show.
fn limits(model: &Model, most: usize, gauge: Option<usize>) -> Option<String> {
    let accounts = format::accounts(model.usage()?).into_iter();
    let texts = accounts.filter_map(|(name, usage)| {
        let text = limits_of(usage, model.now, most, gauge)?;
        Some(match name {
            Some(name) => format!("{name} {text}"),
            None => text,
        })
    });
    let text = texts.collect::<Vec<_>>().join(" ");
    Some(text).filter(|text| !text.is_empty())
}

/// Of the limits of several accounts the one used most. `None`: there is one account.
fn limit(model: &Model) -> Option<String> {
    let accounts = format::accounts(model.usage()?).into_iter();
    let most = |usage: &Usage<'_>| {
        let figures = usage.windows.iter().map(|window| window.used_percent);
        figures.max_by(f64::total_cmp).unwrap_or(0.0)
    };
    let named = accounts.filter_map(|(name, usage)| Some((name?, usage)));
    let (name, usage) = named.max_by(|(_, a), (_, b)| most(a).total_cmp(&most(b)))?;
    let text = limits_of(usage, model.now, 1, None)?;
    Some(format!("{name} {text}"))
}

/// The limits of one account: `5h ####|..... 42 %`. A `?` marks old values, a word in brackets a failure.
fn limits_of(usage: &Usage<'_>, now: u64, most: usize, gauge: Option<usize>) -> Option<String> {
    let mut windows: Vec<_> = usage.windows.iter().collect();
    if windows.len() > most {
        windows.sort_by(|a, b| b.used_percent.total_cmp(&a.used_percent));
    }
    let windows = windows.into_iter().take(most).map(|window| {
        let name = format::window_name(&window.name);
        let bar = gauge.map_or(String::new(), |width| {
            let elapsed = window.elapsed_percent(now);
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
        // Not an error: there is no account, or fetching is switched off.
        _ if matches!(usage.code.as_deref(), Some("no_credentials" | "disabled")) => None,
        _ => Some(format!("limits {word} ")),
    }
}
