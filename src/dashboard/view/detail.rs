//! The detail of one session as lines: fields, the history as a timeline, the evidence. Pure.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::theme;
use super::theme::{FAINT, STRONG, Theme};
use crate::dashboard::model::Model;
use crate::format::status::DisplayStatus;
use crate::format::{self, Field};
use crate::protocol::{EvidenceStep, SessionRecord, Transition};

/// The width of the fields' names.
const NAME: usize = 11;

/// The part of the detail's area that holds text: without the line at its left, and a blank on each side.
pub(super) fn inner(area: Rect) -> Rect {
    let margin = 2.min(area.width);
    Rect {
        x: area.x + margin,
        width: (area.width - margin).saturating_sub(1),
        ..area
    }
}

/// The lines about the selected session, for a panel of this width.
pub(super) fn lines(model: &Model, width: usize) -> Vec<Line<'static>> {
    let Some(session) = model.selected() else {
        return Vec::new();
    };
    let mut page = Page {
        model,
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
    model: &'a Model,
    session: &'a SessionRecord<'static>,
    width: usize,
    lines: Vec<Line<'static>>,
}

impl Page<'_> {
    fn theme(&self) -> Theme {
        theme(self.model)
    }

    fn head(&mut self) {
        let status = DisplayStatus::of(self.session);
        let style = self.theme().status(status);
        self.lines.push(Line::from(vec![
            Span::styled(format!("{} {}", status.symbol(), status.word()), style),
            Span::raw(format!(
                " for {}",
                format::ago(self.session.since, self.model.now)
            )),
        ]));
        self.text(&format::reason(self.session, self.model.now), STRONG);
        let question = self.session.question.as_deref().unwrap_or_default();
        self.text(&format::sanitize(question), Style::new());
        self.lines.push(Line::default());
    }

    fn fields(&mut self) {
        const TITLE: [(&str, Field); 1] = [("title", Field::Title)];
        const AGENT: [(&str, Field); 1] = [("agent", Field::AgentProcess)];
        const MODEL: [(&str, Field); 1] = [("model", Field::Model)];
        const STATE: [(&str, Field); 4] = [
            ("cost", Field::Cost),
            ("account", Field::Account),
            ("runs", Field::Running),
            ("mode", Field::PermissionMode),
        ];
        const IDS: [(&str, Field); 2] = [("key", Field::Key), ("session id", Field::SessionId)];
        const TIMES: [(&str, Field); 2] = [("started", Field::Started), ("ended", Field::Ended)];
        let session = self.session;
        self.rows(&TITLE);
        let directory = |path: &str| format::abbreviate_home(path, self.model.home());
        self.field("directory", session.cwd.as_deref().map(directory));
        let began = session.start_cwd.as_deref();
        let began = began.filter(|_| session.start_cwd != session.cwd);
        self.field("began in", began.map(directory));
        if self.model.has_several_agents() {
            let agent = Field::AgentProcess.value(session, self.model.now);
            let sign = format::agent_sign(&session.agent);
            self.field("agent", Some(format!("{sign} {agent}")));
        } else {
            self.rows(&AGENT);
        }
        self.rows(&MODEL);
        self.field(
            "context",
            session.context_percent.map(format::context_gauge),
        );
        self.rows(&STATE);
        let terminal = session.terminal.as_deref();
        self.field("terminal", terminal.map(format::terminal_line));
        self.rows(&IDS);
        for former in &session.previous_session_ids {
            self.field("formerly", Some(format::sanitize(former)));
        }
        self.rows(&TIMES);
    }

    fn rows(&mut self, fields: &[(&'static str, Field)]) {
        for (name, value) in format::fields(fields, self.session, self.model.now) {
            self.field(name, Some(value));
        }
    }

    fn field(&mut self, name: &'static str, value: Option<String>) {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return;
        };
        let room = self.width.saturating_sub(NAME).max(8);
        for (at, line) in format::wrap(&value, room).into_iter().enumerate() {
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

    /// A bar for the whole history, and a line for each status, the latest first.
    fn history(&mut self) {
        let session = self.session;
        let Some(first) = session.history.first() else {
            return;
        };
        let end = session.ended_at.unwrap_or(self.model.now).max(first.at);
        self.heading("History");
        let theme = self.theme();
        let bar = bar(&session.history, end, self.width.min(72));
        let bar = bar.into_iter().map(|status| {
            Span::styled(
                status.timeline_symbol(),
                theme.status(status).remove_modifier(STRONG.add_modifier),
            )
        });
        self.lines.push(bar.collect());
        let ends = session.history.iter().skip(1).map(|next| next.at);
        let mut rows: Vec<_> = session.history.iter().zip(ends.chain([end])).collect();
        rows.reverse();
        for (transition, until) in rows {
            let status = DisplayStatus::of_status(transition.status);
            let lasted = format::duration(until.saturating_sub(transition.at));
            let began = format::ago(transition.at, self.model.now);
            let length = if status == DisplayStatus::Closed {
                String::new()
            } else {
                format!("for {lasted}")
            };
            self.lines.push(Line::from(vec![
                Span::styled(format!("{:>7} ", format!("{began} ago")), FAINT),
                Span::styled(
                    format!("{} {:9}", status.symbol(), status.word()),
                    theme.status(status),
                ),
                Span::raw(length),
            ]));
        }
    }

    /// The evidence for the status, the latest first.
    fn evidence(&mut self) {
        let Some(evidence) = self.model.evidence() else {
            return;
        };
        self.heading("Evidence");
        match evidence {
            Ok(steps) => {
                for step in steps.iter().rev() {
                    self.step(step);
                }
            }
            Err(why) => self.text(&format::sanitize(why), FAINT),
        }
    }

    /// One piece of evidence; a star marks the one that decided the status.
    fn step(&mut self, step: &EvidenceStep<'_>) {
        let status = DisplayStatus::of_status(step.status);
        let began = format!("{} ago", format::ago(step.at, self.model.now));
        let mut line = Line::from(vec![
            Span::styled(format!("{began:>7} "), FAINT),
            Span::styled(if step.decided { "* " } else { "  " }, STRONG),
            Span::raw(format!(
                "{} {} ",
                step.kind.as_str(),
                format::sanitize(&step.what)
            )),
        ]);
        let mut words = format!("→ {}", status.word());
        if let Some(what) = step.waiting_for {
            let longer = format!("{words}: {}", what.as_str());
            if line.width() + format::width(&longer) <= self.width {
                words = longer;
            }
        }
        line.push_span(Span::styled(words, self.theme().status(status)));
        self.lines.push(line);
        let indent = 10;
        for line in format::wrap(
            &format::sanitize(&step.meaning),
            self.width.saturating_sub(indent).max(8),
        ) {
            self.lines
                .push(Line::styled(format!("{:indent$}{line}", ""), FAINT));
        }
    }

    fn text(&mut self, text: &str, style: Style) {
        for line in format::wrap(text, self.width.max(1)) {
            self.lines.push(Line::styled(line, style));
        }
    }
}

/// The status in each of `width` equal parts of the time from the first transition to `end`.
fn bar(history: &[Transition], end: u64, width: usize) -> Vec<DisplayStatus> {
    let Some(first) = history.first() else {
        return Vec::new();
    };
    let span = u128::from(end.saturating_sub(first.at));
    let width = width.max(1);
    (0..width)
        .map(|part| {
            // The part's middle, so that every status that lasted longer than a part shows.
            let into = span * (2 * part as u128 + 1) / (2 * width as u128);
            let at = first.at + u64::try_from(into).unwrap_or(u64::MAX);
            let status = history.iter().rev().find(|transition| transition.at <= at);
            DisplayStatus::of_status(status.unwrap_or(first).status)
        })
        .collect()
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
            .map(|one| one.timeline_symbol())
            .collect();
        assert_eq!(bar, "─────████▒");
        // One moment is no span of time to divide by.
        assert_eq!(super::bar(&history[..1], 0, 3).len(), 3);
        assert_eq!(super::bar(&[], 7, 3).len(), 0);
    }
}
