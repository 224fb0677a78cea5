//! What outlives the daemon: the state as lines of JSON, and the state made of such lines again.
//!
//! A line is one value, whole: a later line about the same thing replaces an earlier one, and a line that is missing or
//! torn costs what it says and nothing else. Only the evidence of a session is continued: a line adds what has come since
//! the line before.
//!
//! Facts are saved, not records: what follows from facts follows again. A fact that a later version adds has a default,
//! so that it reads the lines of this one; a change that no default covers raises [`VERSION`].
//!
//! Knows no file: [`Core::save`] writes to what it is given, and [`Saved::take`] is given one line after another. Called
//! by [`super::Core`] and the loop.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::limits::{AccountState, LimitsService};
use super::notices::Notices;
use super::numbers::Numbers;
use super::reminders::{OnScreen, Reminders};
use super::session::{SavedSession, Session, WrittenSession};
use super::sessions::{Change, MAX_SESSIONS};
use super::stamp::WallClock;
use super::{AttentionRules, Core, DaemonInfo, Effect, Now, Settings};
use crate::event::KnownSession;
use crate::limits::Account;
use crate::os::process::ProcessId;

/// The form of the lines.
pub(super) const VERSION: u32 = 2;

/// How many numbers a daemon that was killed may have given and not saved: more than one turn of the loop gives.
const UNSAVED_NUMBERS: u64 = 1 << 20;

/// A configuration directory that a hook has reported: the agent's name, and the absolute path.
type ConfigDir = (Box<str>, Box<str>);

/// What records follow from beside the facts. Where it is another, a record may be another although no fact has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Basis {
    /// The version of the program.
    program: Box<str>,
    record_prompts: bool,
    becomes_quiet: bool,
    attention: AttentionRules,
}

impl Basis {
    fn of(settings: Settings) -> Self {
        Self {
            program: env!("CARGO_PKG_VERSION").into(),
            record_prompts: settings.record_prompts,
            becomes_quiet: settings.quiet_after_ms.is_some(),
            attention: settings.attention,
        }
    }
}

/// What all lines are of. The first line, and, in case that one is damaged, repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    version: u32,
    /// As [`DaemonInfo::epoch`].
    epoch: u64,
    /// As [`DaemonInfo::boot`].
    boot: Box<str>,
    /// As [`DaemonInfo::pid_namespace`].
    pid_namespace: Option<u64>,
    /// The directory of [`DaemonInfo::account`].
    account_directory: Box<str>,
    /// `None`: it was not saved.
    #[serde(default)]
    basis: Option<Basis>,
}

/// A line, as it is written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum WrittenLine<'a> {
    Head(Head),
    Session(WrittenSession<'a>),
    Removed {
        key: &'a str,
        seq: u64,
    },
    Accounts(&'a [AccountState]),
    ConfigDirs(&'a [ConfigDir]),
    Numbers(&'a Numbers),
    Notices(&'a Notices),
    Reminders(OnScreen),
    Clock {
        set: Option<(i64, Now)>,
        clock: &'a WallClock,
    },
    Seq(u64),
    Left(u64),
}

/// The same line, as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Head(Head),
    Session(Box<SavedSession>),
    /// The session of this key is no longer remembered, since the notification of this number at the latest.
    Removed {
        key: Box<str>,
        seq: u64,
    },
    Accounts(Vec<AccountState>),
    ConfigDirs(Vec<ConfigDir>),
    Numbers(Numbers),
    Notices(Notices),
    Reminders(OnScreen),
    /// The wall clock, and whether it was set: by so many ms, so what the lines before say moves by that, and when.
    Clock {
        set: Option<(i64, Now)>,
        clock: WallClock,
    },
    /// The number of the last notification.
    Seq(u64),
    /// The same, and the daemon has left in order: it has sent nothing that is not saved.
    Left(u64),
}

/// Why a line is not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    /// Nothing of the file is.
    #[error("it is of version {0}, and this program reads versions up to {VERSION}")]
    Version(u32),
    /// This line is lost.
    #[error("{0}")]
    Unreadable(#[from] serde_json::Error),
    /// This session is lost.
    #[error("there are more than {MAX_SESSIONS} sessions")]
    Full,
}

/// What the lines of a file came to so far.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    head: Option<Head>,
    sessions: HashMap<Box<str>, Box<SavedSession>>,
    accounts: Vec<AccountState>,
    config_dirs: Vec<ConfigDir>,
    numbers: Numbers,
    notices: Notices,
    reminders: OnScreen,
    clock: Option<WallClock>,
    /// The last line says that the daemon has left in order.
    has_left: bool,
    /// What a line said is lost.
    is_damaged: bool,
}

impl Saved {
    /// Takes the next line of the file in, without its end.
    ///
    /// # Errors
    ///
    /// What of it is lost.
    pub(crate) fn take(&mut self, line: &[u8]) -> Result<(), LineError> {
        let outcome = self.take_whole(line);
        self.is_damaged |= outcome.is_err();
        outcome
    }

    fn take_whole(&mut self, line: &[u8]) -> Result<(), LineError> {
        self.has_left = false;
        match serde_json::from_slice(line)? {
            Line::Head(head) if head.version > VERSION => {
                return Err(LineError::Version(head.version));
            }
            Line::Head(head) => self.head = Some(head),
            Line::Session(mut session) => {
                let key: Box<str> = session.key().into();
                let before = self.sessions.remove(&key);
                if before.is_none() && self.sessions.len() >= MAX_SESSIONS {
                    return Err(LineError::Full);
                }
                session.follow(before);
                self.numbers.reached(session.changed_seq());
                self.sessions.insert(key, session);
            }
            Line::Removed { key, seq } => {
                self.sessions.remove(&key);
                self.numbers.reached(seq);
                self.numbers.note_removed(key);
            }
            Line::Accounts(accounts) => self.accounts = accounts,
            Line::ConfigDirs(config_dirs) => self.config_dirs = config_dirs,
            Line::Numbers(numbers) => self.numbers = numbers,
            Line::Notices(notices) => self.notices = notices,
            Line::Reminders(on_screen) => self.reminders = on_screen,
            Line::Clock { set, clock } => {
                if let Some((by, now)) = set {
                    for session in self.sessions.values_mut() {
                        session.clock_was_set(by, now);
                    }
                    for account in &mut self.accounts {
                        account.clock_was_set(by);
                    }
                }
                self.clock = Some(clock);
            }
            Line::Seq(seq) => self.numbers.reached(seq),
            Line::Left(seq) => {
                self.numbers.reached(seq);
                self.has_left = true;
            }
        }
        Ok(())
    }

    /// Why nothing of it concerns this daemon; `None`: it does, or there is nothing.
    pub(crate) fn why_foreign(&self, info: &DaemonInfo) -> Option<&'static str> {
        let head = self.head.as_ref()?;
        if head.boot != info.boot {
            Some("it is from before the machine was started")
        } else if head.pid_namespace != info.pid_namespace {
            Some("its process ids are of another pid namespace")
        } else {
            None
        }
    }
}

impl Core {
    /// A core with what was saved, as far as it concerns this daemon. [`Input::RegistriesRead`](super::Input) must follow
    /// once the registries of the configuration directories have been read: then its processes are watched.
    pub(crate) fn restore(info: DaemonInfo, settings: Settings, saved: Saved, now: Now) -> Self {
        let is_foreign = saved.why_foreign(&info).is_some();
        let mut core = Self::new(info, settings, now);
        if is_foreign {
            return core;
        }
        let Some(head) = saved.head else {
            return core;
        };
        core.info.epoch = head.epoch;
        let unsaved = if saved.has_left { 0 } else { UNSAVED_NUMBERS };
        let next_seq = saved.numbers.seq().saturating_add(unsaved);
        let mut numbers = Numbers::restored(saved.numbers, next_seq);
        if saved.is_damaged || head.basis != Some(Basis::of(settings)) {
            // Sessions may be others than their last notifications said.
            numbers.forget_past();
        }
        core.feed.restore(numbers, saved.notices);
        core.limits = LimitsService::restore(
            saved.accounts,
            &core.info.account,
            head.account_directory == core.info.account.directory,
            settings.usage_interval_ms,
        );
        core.reminders = Reminders::restore(saved.reminders);
        for saved in saved.sessions.into_values() {
            let is_open = !saved.is_closed();
            let limits = &mut core.limits;
            let account = |account| limits.account_of_saved(account, is_open);
            let facts = saved.restored(account, now, settings);
            if facts.is_unwatched() {
                core.lifecycle.restored_unwatched(facts.touched_ms());
            }
            if facts.is_in_registry() {
                core.unconfirmed.insert(facts.key().into());
            }
            core.sessions
                .restore(facts, now, settings, &mut core.timers);
        }
        for change in core.sessions.take_episode_changes() {
            core.reminders.follow(change, settings.reminders);
        }
        core.reminders.restored();
        for (agent, directory) in &saved.config_dirs {
            core.watch_config_dir(agent, directory);
        }
        if let Some(clock) = saved.clock {
            core.clock = clock;
        }
        core.look_at_clock(now);
        core.rearm(now);
        core
    }

    /// The registries have been read: an entry that is not there was removed meanwhile. From now on the ends of the
    /// sessions' processes are reported, also those that ended meanwhile.
    pub(super) fn registries_read(&mut self, now: Now) {
        for key in std::mem::take(&mut self.unconfirmed) {
            self.change(&key, now, |session| session.registry_removed(now.unix_ms));
        }
        let processes: HashSet<ProcessId> = self
            .sessions
            .iter()
            .flat_map(Session::watches)
            .flatten()
            .collect();
        for process in processes {
            self.feed.push(Effect::Watch(process));
        }
    }

    /// The open sessions of agents, as the readers of their files need them, by start, oldest first.
    pub(crate) fn known_sessions(&self) -> Vec<KnownSession<'_>> {
        let sessions = self.sessions.sorted(false).into_iter();
        sessions
            .filter_map(|session| session.known(self.info.pid_namespace))
            .collect()
    }

    /// The accounts that are known.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Rc<Account>> {
        self.limits.accounts()
    }

    /// Adds what has changed since the last time, a line each. It counts as saved, also where an error is returned: then
    /// [`Self::save_all`] must follow.
    ///
    /// # Errors
    ///
    /// A line cannot be made.
    pub(crate) fn save(&mut self, to: &mut Vec<u8>) -> io::Result<()> {
        self.save_clock(to, false)?;
        for change in self.sessions.take_unsaved() {
            match &change {
                Change::Changed(key) => {
                    if let Some(session) = self.sessions.get_to_save(key) {
                        self.saved_seq = self.saved_seq.max(session.changed_seq);
                        write(to, &WrittenLine::Session(session.take_unsaved(false)))?;
                    }
                }
                Change::Removed(key) => {
                    let seq = self.feed.numbers().seq();
                    write(to, &WrittenLine::Removed { key, seq })?;
                }
            }
        }
        self.save_others(to, false)?;
        let seq = self.feed.numbers().seq();
        if seq != self.saved_seq {
            self.saved_seq = seq;
            write(to, &WrittenLine::Seq(seq))?;
        }
        Ok(())
    }

    /// What has changed is not saved: [`Self::save_all`] follows, if anything.
    pub(crate) fn forget_unsaved(&mut self) {
        self.sessions.take_unsaved();
    }

    /// Writes all lines of a new file.
    ///
    /// # Errors
    ///
    /// Those of `to`. They are not saved then.
    pub(crate) fn save_all(&mut self, to: &mut impl Write) -> io::Result<()> {
        self.sessions.take_unsaved();
        let head = Head {
            version: VERSION,
            epoch: self.info.epoch,
            boot: self.info.boot.clone(),
            pid_namespace: self.info.pid_namespace,
            account_directory: self.info.account.directory.clone(),
            basis: Some(Basis::of(self.settings)),
        };
        let mut lines = Vec::new();
        write(&mut lines, &WrittenLine::Head(head.clone()))?;
        self.saved_seq = self.feed.numbers().seq();
        write(&mut lines, &WrittenLine::Numbers(self.feed.numbers()))?;
        self.save_others(&mut lines, true)?;
        self.save_clock(&mut lines, true)?;
        for session in self.sessions.all_to_save() {
            let line = WrittenLine::Session(session.take_unsaved(true));
            write(&mut lines, &line)?;
            to.write_all(&lines)?;
            lines.clear();
        }
        write(&mut lines, &WrittenLine::Head(head))?;
        to.write_all(&lines)
    }

    /// Adds that the daemon leaves in order.
    ///
    /// # Errors
    ///
    /// A line cannot be made.
    pub(crate) fn save_leaving(&mut self, to: &mut Vec<u8>) -> io::Result<()> {
        self.save(to)?;
        write(to, &WrittenLine::Left(self.feed.numbers().seq()))
    }

    /// Before what was changed by it.
    fn save_clock(&mut self, to: &mut Vec<u8>, all: bool) -> io::Result<()> {
        let set = self.clock.take_unsaved();
        let is_needed = all || set.is_some();
        let (set, clock) = (set.filter(|_| !all), &self.clock);
        if is_needed {
            write(to, &WrittenLine::Clock { set, clock })?;
        }
        Ok(())
    }

    fn save_others(&mut self, to: &mut Vec<u8>, all: bool) -> io::Result<()> {
        if let Some(accounts) = self.limits.take_unsaved(all) {
            write(to, &WrittenLine::Accounts(accounts))?;
        }
        if let Some(config_dirs) = self.config_dirs.take_unsaved(all) {
            write(to, &WrittenLine::ConfigDirs(config_dirs))?;
        }
        if let Some(notices) = self.feed.take_unsaved_notices(all) {
            write(to, &WrittenLine::Notices(notices))?;
        }
        if let Some(on_screen) = self.reminders.take_unsaved(all) {
            write(to, &WrittenLine::Reminders(on_screen))?;
        }
        Ok(())
    }
}

/// For one type of writer only: the code that makes lines is a percent of the program.
fn write(to: &mut Vec<u8>, line: &WrittenLine<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.push(b'\n');
    Ok(())
}
