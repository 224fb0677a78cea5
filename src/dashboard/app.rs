//! What the dashboard knows and what a key means: a state, events in, at most one action out.
//!
//! Owns the copy of the sessions, the order and choice of rows, the selection, and what is open. Knows nothing of the
//! terminal, sockets or threads, and gets the time with each event, so all of it is tested as data. Called by the
//! loop in `mod.rs`; drawn by [`super::view`].

use std::time::Duration;

use crossterm::event::{KeyEvent, MouseEvent};

use super::areas::{Areas, areas};
use super::keys;
use super::theme::Theme;
use crate::client::Update;
use crate::client::mirror::Mirror;
use crate::format::status::{self, Tally};
use crate::protocol::{
    EvidenceStep, ExplainResult, Notice, Notification, SessionRecord, Status, Usage,
};

/// How long a word about what was just done stays, in milliseconds.
const FLASH: u64 = 5_000;

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
    /// No daemon answers; it is tried again after `pause`.
    Lost {
        /// How long that is.
        pause: Duration,
        /// What a person can do about it, if no daemon has answered yet.
        advice: Option<String>,
    },
    /// The daemon was stopped on purpose.
    Stopped,
    /// It makes no sense to try again unasked.
    Failed(String),
    /// The answer to [`Action::Explain`].
    Explained(String, Result<Box<ExplainResult<'static>>, String>),
    /// The answer to [`Action::Remove`]: what went wrong.
    NotRemoved(String),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Leave.
    Quit,
    /// Give the terminal back until the shell resumes us.
    Suspend,
    /// Draw everything anew: something else has written to the terminal.
    Redraw,
    /// Put this on the clipboard.
    Copy(String),
    /// Ask for the evidence of the session of this key.
    Explain(String),
    /// Have the daemon forget the session of this key.
    Remove(String),
    /// Connect again, now.
    Connect,
}

/// The connection to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// Nothing heard yet.
    Connecting,
    /// What is shown is what is.
    Live,
    /// It is tried again at this time.
    Lost {
        /// When.
        again: u64,
        /// What to do, if no daemon has answered yet.
        advice: Option<String>,
    },
    /// Stopped on purpose: a connection would start it again.
    Stopped,
    /// Why it makes no sense to try again unasked.
    Failed(String),
}

impl Link {
    /// What a person should read in full.
    pub(super) fn trouble(&self) -> Option<&str> {
        match self {
            Self::Lost { advice, .. } => advice.as_deref(),
            Self::Failed(why) => Some(why),
            Self::Connecting | Self::Live | Self::Stopped => None,
        }
    }
}

/// What keys go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// The list.
    List,
    /// The filter's line.
    Filter,
    /// A question: forget the open session of this key?
    Confirm(String),
    /// The help page.
    Help,
}

/// The evidence that is shown, and what is done about it.
#[derive(Debug, Default)]
struct Evidence {
    /// Of the session of this key; or why there is none.
    told: Option<(String, Result<Vec<EvidenceStep<'static>>, String>)>,
    /// The session has changed since.
    stale: bool,
    /// A question is under way.
    asked: bool,
}

/// Everything that the view draws.
#[derive(Debug)]
pub(crate) struct App {
    pub(super) theme: Theme,
    pub(super) home: Option<String>,
    pub(super) now: u64,
    pub(super) size: (u16, u16),
    pub(super) link: Link,
    pub(super) mode: Mode,
    mirror: Mirror,
    pub(super) tally: Tally,
    /// The keys of the rows, in order. Old while `stale`.
    pub(super) rows: Vec<String>,
    stale: bool,
    /// The selected row, and whose it is: the session counts, the number is for when it goes.
    pub(super) index: usize,
    selected: Option<String>,
    /// The first row on the screen.
    pub(super) offset: usize,
    pub(super) show_closed: bool,
    pub(super) filter: String,
    pub(super) detail: bool,
    pub(super) scroll: usize,
    evidence: Evidence,
    flash: Option<(String, u64)>,
    /// Notices up to this time have been put away.
    dismissed: u64,
}

impl App {
    /// A dashboard of `size` (columns, rows) that has heard nothing yet.
    pub(crate) fn new(theme: Theme, home: Option<String>, size: (u16, u16)) -> Self {
        Self {
            theme,
            home,
            now: 0,
            size,
            link: Link::Connecting,
            mode: Mode::List,
            mirror: Mirror::default(),
            tally: Tally::default(),
            rows: Vec::new(),
            stale: false,
            index: 0,
            selected: None,
            offset: 0,
            show_closed: false,
            filter: String::new(),
            detail: false,
            scroll: 0,
            evidence: Evidence::default(),
            flash: None,
            dismissed: 0,
        }
    }

    /// Takes in what has happened at `now` (ms since the Unix epoch); says what is to be done.
    pub(crate) fn update(&mut self, event: Event, now: u64) -> Option<Action> {
        self.now = now;
        let action = match event {
            Event::Key(key) => {
                self.arrange();
                keys::pressed(self, key)
            }
            Event::Pasted(text) => {
                self.arrange();
                keys::pasted(self, &text);
                None
            }
            Event::Mouse(mouse) => {
                self.arrange();
                keys::moused(self, mouse);
                None
            }
            Event::Resized(columns, rows) => {
                self.size = (columns, rows);
                self.stale = true;
                None
            }
            Event::Update(update) => {
                self.apply(update);
                None
            }
            Event::Lost { pause, advice } => {
                let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                let again = now.saturating_add(pause);
                self.link = Link::Lost { again, advice };
                None
            }
            Event::Stopped => {
                self.link = Link::Stopped;
                None
            }
            Event::Failed(why) => {
                self.link = Link::Failed(why);
                None
            }
            Event::Explained(key, answer) => {
                self.evidence.asked = false;
                let steps = answer.map(|explained| explained.steps);
                self.evidence.told = Some((key, steps));
                None
            }
            Event::NotRemoved(why) => {
                self.say(format!("not removed: {why}"));
                None
            }
            Event::Tick => None,
        };
        action.or_else(|| self.ask_for_evidence())
    }

    fn apply(&mut self, update: Update) {
        match &update {
            // The end of the subscription follows, and says whether to reconnect.
            Update::Notification(Notification::DaemonStopping(_)) => return,
            Update::Snapshot(_) => {
                self.link = Link::Live;
                self.evidence.stale = true;
            }
            Update::Notification(Notification::SessionChanged(changed)) => {
                let of_it = |(key, _): &(String, _)| *key == changed.session.key;
                self.evidence.stale |= self.evidence.told.as_ref().is_some_and(of_it);
            }
            Update::Notification(_) => {}
        }
        self.mirror.apply(update);
        self.stale = true;
    }

    /// The evidence is asked for when it is to be seen and not there, one question at a time: under a storm of changes
    /// as often as the daemon answers, not as often as it tells.
    fn ask_for_evidence(&mut self) -> Option<Action> {
        if !self.detail || self.evidence.asked || self.link != Link::Live {
            return None;
        }
        let key = self.selected.clone()?;
        let there = matches!(&self.evidence.told, Some((of, _)) if *of == key);
        if there && !self.evidence.stale {
            return None;
        }
        self.evidence.asked = true;
        self.evidence.stale = false;
        Some(Action::Explain(key))
    }

    /// Brings rows and selection up to date with what has been told since the last time; says what is to be done. To be
    /// called before anything is drawn: many changes cost one sorting.
    pub(crate) fn settle(&mut self) -> Option<Action> {
        self.arrange();
        self.ask_for_evidence()
    }

    fn arrange(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        self.tally = Tally::of(self.mirror.sessions());
        let words: Vec<_> = self
            .filter
            .split_whitespace()
            .map(str::to_lowercase)
            .collect();
        let mut shown: Vec<_> = self
            .mirror
            .sessions()
            .filter(|session| self.show_closed || session.status != Status::Closed)
            .filter(|session| matches(session, &words))
            .collect();
        shown.sort_by(|a, b| status::by_need(a, b));
        self.rows = shown.iter().map(|one| one.key.to_string()).collect();
        let place = self
            .selected
            .as_ref()
            .and_then(|selected| self.rows.iter().position(|key| key == selected));
        self.select(place.unwrap_or(self.index));
    }

    /// Selects the row of this number, or the last; it is on the screen then.
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

    /// Columns and rows of the screen that the state is for.
    pub(crate) fn size(&self) -> (u16, u16) {
        self.size
    }

    /// How many rows of the list are on the screen.
    pub(super) fn page(&self) -> usize {
        usize::from(self.areas().rows.height).max(1)
    }

    /// Where everything is.
    pub(super) fn areas(&self) -> Areas {
        areas(
            self.size,
            self.detail,
            self.link != Link::Live && self.link != Link::Connecting,
            self.notice().is_some(),
        )
    }

    /// What is shown has changed by a key: rows are made anew.
    pub(super) fn refresh(&mut self) {
        self.stale = true;
        self.arrange();
    }

    /// The session of this key.
    pub(super) fn session(&self, key: &str) -> Option<&SessionRecord<'static>> {
        self.mirror.get(key)
    }

    /// The selected session.
    pub(super) fn selected(&self) -> Option<&SessionRecord<'static>> {
        self.session(self.selected.as_ref()?)
    }

    /// The evidence of the selected session, or why there is none; `None` until there is an answer.
    pub(super) fn evidence(&self) -> Option<&Result<Vec<EvidenceStep<'static>>, String>> {
        let (key, steps) = self.evidence.told.as_ref()?;
        (self.selected.as_ref() == Some(key)).then_some(steps)
    }

    /// The account's limits, as last told.
    pub(super) fn usage(&self) -> Option<&Usage<'static>> {
        self.mirror.usage()
    }

    /// How many sessions there are, closed ones too.
    pub(super) fn known(&self) -> usize {
        self.mirror.sessions().count()
    }

    /// What the daemon has had to say last, unless it was put away.
    pub(super) fn notice(&self) -> Option<&Notice<'static>> {
        self.mirror
            .notices()
            .last()
            .filter(|notice| notice.at > self.dismissed)
    }

    /// Puts the notice away; false if there is none.
    pub(super) fn dismiss(&mut self) -> bool {
        match self.notice().map(|notice| notice.at) {
            Some(at) => {
                self.dismissed = at;
                self.refresh();
                true
            }
            None => false,
        }
    }

    /// Says something for a few seconds.
    pub(super) fn say(&mut self, what: String) {
        self.flash = Some((what, self.now.saturating_add(FLASH)));
    }

    /// What was just said.
    pub(super) fn said(&self) -> Option<&str> {
        let (what, until) = self.flash.as_ref()?;
        (self.now < *until).then_some(what)
    }

    /// When something on the screen will read differently though nothing has happened: a clock, a word that goes.
    /// `None`: never.
    pub(crate) fn next_tick(&self) -> Option<u64> {
        let clocks = self.clocks().map(|since| next_reading(since, self.now));
        let said = self.flash.as_ref().map(|(_, until)| *until);
        let again = match &self.link {
            Link::Lost { again, .. } => {
                let left = again.saturating_sub(self.now);
                (left > 0).then(|| again - (left - 1) / 1000 * 1000)
            }
            _ => None,
        };
        clocks
            .chain(said.filter(|until| *until > self.now))
            .chain(again)
            .min()
    }

    /// The moments whose distance from now is on the screen.
    fn clocks(&self) -> impl Iterator<Item = u64> {
        let on_screen = if self.areas().rows.is_empty() {
            0..0
        } else {
            let end = self.rows.len().min(self.offset + self.page());
            self.offset.min(end)..end
        };
        let rows = self.rows[on_screen]
            .iter()
            .filter_map(|key| self.session(key))
            .map(|session| session.since);
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

/// When [`crate::format::ago`] of `then` reads differently from how it does at `now`.
fn next_reading(then: u64, now: u64) -> u64 {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let age = now.saturating_sub(then);
    let unit = match age {
        0..MINUTE => SECOND,
        MINUTE..HOUR => MINUTE,
        HOUR..DAY => HOUR,
        DAY.. => DAY,
    };
    then.saturating_add((age / unit + 1) * unit)
}

/// Whether every word is somewhere in what is shown of the session.
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
        crate::format::status::Kind::of(session).word(),
        session
            .waiting_for
            .map_or("", crate::protocol::WaitingFor::as_str),
    );
    for part in optional.into_iter().flatten() {
        text.push(' ');
        text.push_str(part);
    }
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word))
}

#[cfg(test)]
mod tests;
