//! What the dashboard shows: a copy of the daemon's state, the rows made of it, the selection, and what is open.
//!
//! Holds data and answers questions about it; [`mod@super::update`] decides what an event does to it, [`super::view`] draws
//! it. Knows nothing of keys, the terminal, sockets or threads; its time is that of the last event.

use std::path::Path;

use super::bell::Bell;
use super::layout::{Areas, areas};
use crate::client::mirror::Mirror;
use crate::format;
use crate::format::status::{Counts, DisplayStatus, attention_order};
use crate::os::process::ProcessId;
use crate::protocol::{EvidenceStep, Notice, SessionRecord, Status, Usage, WaitingFor};

/// How long a status message stays for each line of [`MESSAGE_WIDTH`], in milliseconds.
const MESSAGE_MS: u64 = 5_000;

/// How much of a status message is read in [`MESSAGE_MS`], in columns.
const MESSAGE_WIDTH: usize = 80;

/// The most lines of a status message.
const MESSAGE_LINES: usize = 5;

/// After how long it is shown that other programs are asked for the way to a session, in ms: most answer before a person
/// would see it.
const GOING_MS: u64 = 500;

/// The state of the connection to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ConnectionState {
    /// No snapshot yet.
    Connecting,
    /// Subscribed: the model is up to date.
    Live,
    /// Lost; the next attempt is at `retry_at`.
    Lost {
        /// Milliseconds since the Unix epoch.
        retry_at: u64,
        /// How to start a daemon, if none has answered yet.
        advice: Option<String>,
    },
    /// The daemon was stopped on purpose. A connection would start it again, so the person decides.
    Stopped,
    /// It failed with this message; no further attempt unless the person asks for one.
    Failed(String),
}

impl ConnectionState {
    /// The message to show in full, if there is one.
    pub(super) fn message(&self) -> Option<&str> {
        match self {
            Self::Lost { advice, .. } => advice.as_deref(),
            Self::Failed(message) => Some(message),
            Self::Connecting | Self::Live | Self::Stopped => None,
        }
    }
}

/// What keys act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// The list.
    List,
    /// The filter's input line.
    Filter,
    /// The question whether to forget the open session of this key.
    Confirm(String),
    /// The help page.
    Help,
}

/// The evidence of a session, as `session.explain` gives it.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The last answer: the session's key, and the steps or an error message.
    pub(super) answer: Option<(String, Result<Vec<EvidenceStep<'static>>, String>)>,
    /// The session has changed since the answer.
    pub(super) stale: bool,
    /// A request is under way.
    pub(super) requested: bool,
}

/// Everything that the view draws.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that do not depend on each other"
)]
pub(crate) struct Model {
    pub(super) coloured: bool,
    home: Option<String>,
    /// The time of the last event, in ms since the Unix epoch.
    pub(super) now: u64,
    /// Columns and rows of the terminal.
    pub(super) size: (u16, u16),
    pub(super) connection: ConnectionState,
    pub(super) mode: Mode,
    pub(super) mirror: Mirror,
    pub(super) counts: Counts,
    /// The keys of the rows, in order. Out of date while `stale`.
    pub(super) rows: Vec<String>,
    /// The rows must be rebuilt before they are used.
    pub(super) stale: bool,
    /// The number of the selected row.
    pub(super) index: usize,
    /// The key of the selected session. The selection follows it; `index` counts when it is gone.
    selected: Option<String>,
    /// The number of the first row on the screen.
    pub(super) offset: usize,
    pub(super) show_closed: bool,
    pub(super) filter: String,
    /// Only sessions of the agent of this name are shown.
    pub(super) agent: Option<String>,
    /// The names of the agents whose sessions are there, whatever the filters.
    agents: Vec<String>,
    /// The detail of the selected session is open.
    pub(super) detail: bool,
    /// The number of the detail's first line on the screen.
    pub(super) scroll: usize,
    pub(super) evidence: Evidence,
    /// The dashboard ends once it has brought the person to a session.
    pub(super) once: bool,
    /// The terminal rings for sessions that begin to need a person.
    pub(super) rings: bool,
    pub(super) bell: Bell,
    /// Since when other programs are asked for the way to a session, or for a window to resume one; in ms since the Unix
    /// epoch.
    pub(super) going: Option<u64>,
    /// A status message, and when it goes.
    message: Option<(String, u64)>,
    /// The last notice that the person has dismissed.
    dismissed: Option<Notice<'static>>,
}

impl Model {
    /// A dashboard of `size` (columns, rows) that has no snapshot yet. `home`: the home directory, shown as `~`.
    pub(crate) fn new(coloured: bool, home: Option<String>, size: (u16, u16)) -> Self {
        Self {
            coloured,
            home,
            now: 0,
            size,
            connection: ConnectionState::Connecting,
            mode: Mode::List,
            mirror: Mirror::default(),
            counts: Counts::default(),
            rows: Vec::new(),
            stale: false,
            index: 0,
            selected: None,
            offset: 0,
            show_closed: false,
            filter: String::new(),
            agent: None,
            agents: Vec::new(),
            detail: false,
            scroll: 0,
            evidence: Evidence::default(),
            once: false,
            rings: false,
            bell: Bell::default(),
            going: None,
            message: None,
            dismissed: None,
        }
    }

    /// Rebuilds rows and counts, if they are out of date: once for many changes.
    pub(super) fn rebuild_rows(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        if self.connection == ConnectionState::Live {
            self.bell.follow(self.mirror.sessions(), self.now);
        }
        let is_there =
            |session: &&SessionRecord<'_>| self.show_closed || session.status != Status::Closed;
        self.agents = format::agent_names(self.mirror.sessions().filter(is_there));
        let is_of_agent = |session: &&SessionRecord<'_>| {
            let agent = self.agent.as_deref();
            agent.is_none_or(|agent| *session.agent == *agent)
        };
        self.counts = Counts::of(self.mirror.sessions().filter(is_of_agent));
        let words: Vec<_> = self
            .filter
            .split_whitespace()
            .map(str::to_lowercase)
            .collect();
        let mut shown: Vec<_> = self
            .mirror
            .sessions()
            .filter(is_there)
            .filter(is_of_agent)
            .filter(|session| matches(session, &words))
            .collect();
        shown.sort_by(|a, b| attention_order(a, b));
        self.rows = shown.iter().map(|one| one.key.to_string()).collect();
        let index = self
            .selected
            .as_ref()
            .and_then(|selected| self.rows.iter().position(|key| key == selected));
        self.select(index.unwrap_or(self.index));
    }

    /// Rebuilds the rows after a change of what they depend on.
    pub(super) fn refresh(&mut self) {
        self.stale = true;
        self.rebuild_rows();
    }

    /// Whether sessions of several agents are there.
    pub(super) fn has_several_agents(&self) -> bool {
        self.agents.len() > 1
    }

    /// Shows the sessions of the next agent alone; after the last agent, those of all.
    pub(super) fn show_next_agent(&mut self) {
        let next = match &self.agent {
            None => Some(0),
            Some(agent) => {
                let place = self.agents.iter().position(|one| one == agent);
                place.map(|place| place + 1)
            }
        };
        self.agent = next.and_then(|next| self.agents.get(next).cloned());
        self.refresh();
    }

    /// Selects the next row whose session needs a person, or the one before; after the last one, the first. False: there
    /// is none.
    pub(super) fn select_in_need(&mut self, forward: bool) -> bool {
        let count = self.rows.len();
        let steps = (1..=count).map(|step| if forward { step } else { count - step });
        let mut places = steps.map(|step| (self.index + step) % count);
        let found = places.find(|place| {
            let session = self.rows.get(*place).and_then(|key| self.session(key));
            session.is_some_and(|session| session.attention)
        });
        if let Some(place) = found {
            self.select(place);
        }
        found.is_some()
    }

    /// Selects the row of this number, or the last one, and scrolls it into view.
    pub(super) fn select(&mut self, index: usize) {
        self.index = index.min(self.rows.len().saturating_sub(1));
        let selected = self.rows.get(self.index).cloned();
        if selected != self.selected {
            self.scroll = 0;
            self.selected = selected;
        }
        let height = self.page();
        let lowest = self.rows.len().saturating_sub(height);
        self.offset = self
            .offset
            .min(self.index)
            .max((self.index + 1).saturating_sub(height))
            .min(lowest);
    }

    /// Scrolls the list; the selection stays on the screen.
    pub(super) fn scroll_list(&mut self, by: isize) {
        let lowest = self.rows.len().saturating_sub(self.page());
        self.offset = self.offset.saturating_add_signed(by).min(lowest);
        let last = self.offset + self.page() - 1;
        self.select(self.index.clamp(self.offset, last));
    }

    /// The terminal's columns and rows.
    pub(crate) fn size(&self) -> (u16, u16) {
        self.size
    }

    /// How many rows of the list fit on the screen.
    pub(super) fn page(&self) -> usize {
        usize::from(self.areas().rows.height).max(1)
    }

    /// The layout of the screen.
    pub(super) fn areas(&self) -> Areas {
        areas(
            self.size,
            self.detail,
            !matches!(
                self.connection,
                ConnectionState::Live | ConnectionState::Connecting
            ),
            self.notice().is_some(),
            self.message_lines(usize::from(self.size.0)).len().max(1),
        )
    }

    /// The home directory.
    pub(super) fn home(&self) -> Option<&Path> {
        self.home.as_deref().map(Path::new)
    }

    /// The session of this key.
    pub(super) fn session(&self, key: &str) -> Option<&SessionRecord<'static>> {
        self.mirror.get(key)
    }

    /// The key of the selected session.
    pub(super) fn selected_key(&self) -> Option<&str> {
        self.selected.as_deref()
    }

    /// The selected session.
    pub(super) fn selected(&self) -> Option<&SessionRecord<'static>> {
        self.session(self.selected.as_ref()?)
    }

    /// The evidence of the selected session, or an error message; `None` until there is an answer.
    pub(super) fn evidence(&self) -> Option<&Result<Vec<EvidenceStep<'static>>, String>> {
        let (key, steps) = self.evidence.answer.as_ref()?;
        (self.selected.as_ref() == Some(key)).then_some(steps)
    }

    /// The account's limits.
    pub(super) fn usage(&self) -> Option<&Usage<'static>> {
        self.mirror.usage()
    }

    /// How many sessions there are, closed ones too.
    pub(super) fn total(&self) -> usize {
        self.mirror.sessions().count()
    }

    /// The daemon's last notice, unless it was dismissed.
    pub(super) fn notice(&self) -> Option<&Notice<'static>> {
        self.mirror
            .notices()
            .last()
            .filter(|notice| self.dismissed.as_ref() != Some(*notice))
    }

    /// Dismisses the notice, if there is one.
    pub(super) fn dismiss_notice(&mut self) {
        if let Some(notice) = self.notice().cloned() {
            self.dismissed = Some(notice);
            self.refresh();
        }
    }

    /// Sets the time, in ms since the Unix epoch. If the clock was set back, what goes by itself goes as soon as before.
    pub(super) fn set_time(&mut self, now: u64) {
        let back = self.now.saturating_sub(now);
        self.now = now;
        if let Some((_, until)) = &mut self.message {
            *until = until.saturating_sub(back);
        }
        if let Some(since) = &mut self.going {
            *since = since.saturating_sub(back);
        }
        self.bell.set_back(back);
        if let ConnectionState::Lost { retry_at, .. } = &mut self.connection {
            *retry_at = retry_at.saturating_sub(back);
        }
    }

    /// Shows a status message for a few seconds; a long one for longer.
    pub(crate) fn set_status(&mut self, message: String) {
        let lines = format::width(&message).div_ceil(MESSAGE_WIDTH).max(1);
        let shown = MESSAGE_MS.saturating_mul(u64::try_from(lines).unwrap_or(1));
        self.message = Some((message, self.now.saturating_add(shown)));
        // It may take lines from the list.
        self.stale = true;
    }

    /// The status message.
    pub(super) fn status(&self) -> Option<&str> {
        if let Some((message, until)) = &self.message
            && self.now < *until
        {
            return Some(message);
        }
        let since = self.going?;
        (self.now >= since.saturating_add(GOING_MS)).then_some("asking tmux and the terminal …")
    }

    /// The status message in lines, for a screen of this many columns; none while there is something else to read in
    /// its place.
    pub(super) fn message_lines(&self, columns: usize) -> Vec<String> {
        let message = self.status().filter(|_| self.mode == Mode::List);
        let room = columns.saturating_sub(2).max(1);
        let mut lines = message.map_or_else(Vec::new, |message| format::wrap(message, room));
        let most = MESSAGE_LINES.min(usize::from(self.size.1 / 3)).max(1);
        if lines.len() > most {
            let rest = lines.split_off(most - 1).join(" ");
            lines.push(format::truncate(&rest, room).into_owned());
        }
        lines
    }

    /// When the screen changes next by time alone (an age, a message that goes), in ms since the Unix epoch. `None`:
    /// never.
    pub(crate) fn next_tick(&self) -> Option<u64> {
        let ages = self
            .ages()
            .map(|then| format::next_ago_change(then, self.now));
        let message = self.message.as_ref().map(|(_, until)| *until);
        let going = self.going.map(|since| since.saturating_add(GOING_MS));
        let is_live = self.connection == ConnectionState::Live;
        let bell = self.bell.rings_at().filter(|_| self.rings && is_live);
        let countdown = match &self.connection {
            ConnectionState::Lost { retry_at, .. } => {
                let left = retry_at.saturating_sub(self.now);
                (left > 0).then(|| retry_at - (left - 1) / 1000 * 1000)
            }
            _ => None,
        };
        ages.chain(message.filter(|until| *until > self.now))
            .chain(going.filter(|shown| *shown > self.now))
            .chain(bell)
            .chain(countdown)
            .min()
    }

    /// The open sessions on the screen that have a process: key, process, and whether it is known as stopped.
    pub(crate) fn processes_on_screen(&self) -> Vec<(String, ProcessId, bool)> {
        let rows = self.rows.iter().skip(self.offset).take(self.page());
        let sessions = rows.filter_map(|key| self.session(key));
        let process = |session: &SessionRecord<'_>| {
            let (pid, start) = session.pid.zip(session.process_start)?;
            let stopped = session.stopped_since.is_some();
            Some((session.key.to_string(), ProcessId { pid, start }, stopped))
        };
        let open = sessions.filter(|session| session.status != Status::Closed);
        open.filter_map(process).collect()
    }

    /// The moments whose age is on the screen.
    fn ages(&self) -> impl Iterator<Item = u64> {
        let on_screen = if self.areas().rows.is_empty() {
            0..0
        } else {
            let end = self.rows.len().min(self.offset + self.page());
            self.offset.min(end)..end
        };
        let rows = self.rows[on_screen]
            .iter()
            .filter_map(|key| self.session(key))
            .flat_map(|session| {
                let silent = [session.quiet_since, session.hooks_silent_since];
                silent.into_iter().flatten().chain([session.since])
            });
        let open = self.selected().filter(|_| self.detail);
        let detail = open.into_iter().flat_map(|session| {
            let steps = self.evidence().into_iter().flatten().flatten();
            let evidence = steps.map(|step| step.at);
            let history = session.history.iter().map(|transition| transition.at);
            [session.since, session.started_at]
                .into_iter()
                .chain(history)
                .chain(evidence)
        });
        rows.chain(detail)
    }
}

/// Whether every word occurs in the text shown of the session.
fn matches(session: &SessionRecord<'_>, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let optional = [
        &session.reason,
        &session.title,
        &session.cwd,
        &session.model,
        &session.session_id,
    ];
    let mut text = format!(
        "{} {} {} {} {}",
        session.key,
        session.agent,
        session.status.as_str(),
        DisplayStatus::of(session).word(),
        session.waiting_for.map_or("", WaitingFor::as_str),
    );
    for part in optional.into_iter().flatten() {
        text.push(' ');
        text.push_str(part);
    }
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word))
}
