//! All about one session, as lines: fields, the history as a timeline, the evidence. Pure.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::app::App;
use super::text;
use super::theme::{FAINT, STRONG, Theme, shade, sign};
use crate::format;
use crate::format::status::Kind;
use crate::protocol::{EvidenceStep, SessionRecord, Terminal, Transition};

/// The column of the fields' names.
const NAME: usize = 11;

/// The room for text in the detail's area: a blank at the right, and two columns for the line at its left.
pub(super) fn inner(area: Rect) -> Rect {
    let margin = 2.min(area.width);
    Rect {
        x: area.x + margin,
        width: (area.width - margin).saturating_sub(1),
        ..area
    }
}

/// The lines about the selected session, for a panel of this width.
pub(super) fn lines(app: &App, width: usize) -> Vec<Line<'static>> {
    let Some(session) = app.selected() else {
        return Vec::new();
    };
    let mut page = Page {
        app,
        session,
        width,
        lines: Vec::new(),
    };
    page.head();
    page.fields();
    page.history();
    page.evidence();
    page.lines
}

struct Page<'a> {
    app: &'a App,
    session: &'a SessionRecord<'static>,
    width: usize,
    lines: Vec<Line<'static>>,
}

impl Page<'_> {
    fn theme(&self) -> Theme {
        self.app.theme
    }

    fn head(&mut self) {
        let kind = Kind::of(self.session);
        let style = self.theme().kind(kind);
        self.lines.push(Line::from(vec![
            Span::styled(format!("{} {}", sign(kind), kind.word()), style),
            Span::raw(format!(
                " for {}",
                format::ago(self.session.since, self.app.now)
            )),
        ]));
        self.text(&text::why(self.session), STRONG);
        self.lines.push(Line::default());
    }

    fn fields(&mut self) {
        let session = self.session;
        let plain = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(format::plain);
        self.field("title", plain(&session.title));
        let directory = |path: &str| text::directory(path, self.app.home.as_deref());
        self.field("directory", session.cwd.as_deref().map(directory));
        let mut agent = format::plain(&session.agent);
        if let Some(pid) = session.pid {
            agent = format!("{agent}, process {pid}");
        }
        self.field("agent", Some(agent));
        self.field("model", plain(&session.model));
        self.field("context", session.context_percent.map(context));
        self.field("cost", session.cost_usd.map(|cost| format!("${cost:.2}")));
        self.field("runs", running(session));
        self.field("mode", plain(&session.permission_mode));
        self.field("terminal", session.terminal.as_deref().map(terminal));
        self.field("key", Some(format::plain(&session.key)));
        self.field("session id", plain(&session.session_id));
        for former in &session.previous_session_ids {
            self.field("formerly", Some(format::plain(former)));
        }
        let ago = |then| format!("{} ago", format::ago(then, self.app.now));
        self.field("started", Some(ago(session.started_at)));
        self.field("ended", session.ended_at.map(ago));
    }

    fn field(&mut self, name: &'static str, value: Option<String>) {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return;
        };
        let room = self.width.saturating_sub(NAME).max(8);
        for (at, line) in text::wrap(&value, room).into_iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            self.lines.push(Line::from(vec![
                Span::styled(format!("{name:NAME$}"), FAINT),
                Span::raw(line),
            ]));
        }
    }

    fn heading(&mut self, heading: &'static str) {
        self.lines.push(Line::default());
        self.lines.push(Line::styled(heading, STRONG));
    }

    /// A bar of the whole time that is remembered, and a line for each status, the latest first.
    fn history(&mut self) {
        let session = self.session;
        let Some(first) = session.history.first() else {
            return;
        };
        let end = session.ended_at.unwrap_or(self.app.now).max(first.at);
        self.heading("History");
        let theme = self.theme();
        let bar = bar(&session.history, end, self.width.min(72));
        let bar = bar.into_iter().map(|kind| {
            Span::styled(
                shade(kind),
                theme.kind(kind).remove_modifier(STRONG.add_modifier),
            )
        });
        self.lines.push(bar.collect());
        let ends = session.history.iter().skip(1).map(|next| next.at);
        let mut rows: Vec<_> = session.history.iter().zip(ends.chain([end])).collect();
        rows.reverse();
        for (transition, until) in rows {
            let kind = Kind::of_status(transition.status);
            let lasted = format::duration(until.saturating_sub(transition.at));
            let began = format::ago(transition.at, self.app.now);
            let length = if kind == Kind::Closed {
                String::new()
            } else {
                format!("for {lasted}")
            };
            self.lines.push(Line::from(vec![
                Span::styled(format!("{:>7} ", format!("{began} ago")), FAINT),
                Span::styled(
                    format!("{} {:9}", sign(kind), kind.word()),
                    theme.kind(kind),
                ),
                Span::raw(length),
            ]));
        }
    }

    /// What the status rests on, the latest first.
    fn evidence(&mut self) {
        let Some(evidence) = self.app.evidence() else {
            return;
        };
        self.heading("Evidence");
        match evidence {
            Ok(steps) => {
                for step in steps.iter().rev() {
                    self.step(step);
                }
            }
            Err(why) => self.text(&format::plain(why), FAINT),
        }
    }

    /// One piece of evidence; a star marks the one that the status goes back to.
    fn step(&mut self, step: &EvidenceStep<'_>) {
        let kind = Kind::of_status(step.status);
        let began = format!("{} ago", format::ago(step.at, self.app.now));
        let mut line = Line::from(vec![
            Span::styled(format!("{began:>7} "), FAINT),
            Span::styled(if step.decided { "* " } else { "  " }, STRONG),
            Span::raw(format!(
                "{} {} ",
                step.kind.as_str(),
                format::plain(&step.what)
            )),
        ]);
        let mut status = format!("→ {}", kind.word());
        if let Some(what) = step.waiting_for {
            let longer = format!("{status}: {}", what.as_str());
            if line.width() + text::width(&longer) <= self.width {
                status = longer;
            }
        }
        line.push_span(Span::styled(status, self.theme().kind(kind)));
        self.lines.push(line);
        let indent = 10;
        for line in text::wrap(
            &format::plain(&step.meaning),
            self.width.saturating_sub(indent).max(8),
        ) {
            self.lines
                .push(Line::styled(format!("{:indent$}{line}", ""), FAINT));
        }
    }

    fn text(&mut self, text: &str, style: Style) {
        for line in text::wrap(text, self.width.max(1)) {
            self.lines.push(Line::styled(line, style));
        }
    }
}

/// What it was doing in each of `width` equal parts of the time from its first transition to `end`.
fn bar(history: &[Transition], end: u64, width: usize) -> Vec<Kind> {
    let Some(first) = history.first() else {
        return Vec::new();
    };
    let span = u128::from(end.saturating_sub(first.at));
    let width = width.max(1);
    (0..width)
        .map(|part| {
            // The part's middle: every status that lasted longer than a part is seen.
            let into = span * (2 * part as u128 + 1) / (2 * width as u128);
            let at = first.at + u64::try_from(into).unwrap_or(u64::MAX);
            let status = history.iter().rev().find(|transition| transition.at <= at);
            Kind::of_status(status.unwrap_or(first).status)
        })
        .collect()
}

fn context(percent: f32) -> String {
    const CELLS: u8 = 20;
    let full = (0..CELLS)
        .filter(|cell| f32::from(*cell) * 100.0 < percent * f32::from(CELLS))
        .count();
    let rest = usize::from(CELLS) - full;
    format!("{}{} {percent:.0}%", "█".repeat(full), "░".repeat(rest))
}

fn running(session: &SessionRecord<'_>) -> Option<String> {
    let part = |count: u32, one: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        many => Some(format!("{many} {one}s")),
    };
    let parts = [
        part(session.subagents, "subagent"),
        part(session.background, "background shell"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn terminal(terminal: &Terminal) -> String {
    let parts = [
        ("", &terminal.tty),
        ("", &terminal.term_program),
        ("tmux ", &terminal.tmux_pane),
        ("zellij ", &terminal.zellij_session),
        ("pane ", &terminal.zellij_pane),
        ("wezterm ", &terminal.wezterm_pane),
        ("kitty ", &terminal.kitty_window),
        ("iTerm ", &terminal.iterm_session),
    ];
    let parts = parts
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}{}", format::plain(value.as_deref()?))));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Status;

    #[test]
    fn the_bar_shows_each_status_for_its_share_of_the_time() {
        let at = |status, at| Transition { status, at };
        let history = [
            at(Status::Idle, 0),
            at(Status::Working, 500),
            at(Status::Waiting, 900),
        ];
        let bar: String = bar(&history, 1000, 10)
            .iter()
            .map(|one| shade(*one))
            .collect();
        assert_eq!(bar, "─────████▒");
        // One moment is no span of time to divide by.
        assert_eq!(super::bar(&history[..1], 0, 3).len(), 3);
        assert_eq!(super::bar(&[], 7, 3).len(), 0);
    }

    #[test]
    fn the_context_is_a_bar_that_is_full_at_a_hundred() {
        assert!(context(0.0).starts_with("░░"));
        assert_eq!(context(100.0), "████████████████████ 100%");
        assert_eq!(context(250.0), "████████████████████ 250%");
    }
}
