//! Which accounts there are: one for each login that is known, and one for each configuration directory of whose login
//! nothing is known.
//!
//! The shell says with each report which account it is of ([`Account`]). A directory whose login has changed begins
//! anew, so that figures of two logins are never compared. Called by [`super::service`] only.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use super::value::AccountLimits;
use crate::core::Now;
use crate::limits::Account;
use crate::protocol::{AccountUsage, Usage};

/// The most accounts remembered: more than a person has.
const MAX_ACCOUNTS: usize = 32;

/// One account.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AccountState {
    pub(super) account: Rc<Account>,
    pub(super) limits: AccountLimits,
    pub(super) schedule: Schedule,
    /// It is the account of the daemon's own directory.
    pub(super) is_default: bool,
    /// A session has drawn on it since the last time that none did.
    #[serde(skip)]
    pub(super) is_live: bool,
    /// A client waits for a fetch that has not begun.
    #[serde(skip)]
    pub(super) is_requested: bool,
}

impl AccountState {
    fn new(account: Rc<Account>, interval_ms: Option<u64>) -> Self {
        let interval_ms = interval_ms.filter(|_| account.is_fetched);
        Self {
            is_default: account.is_default,
            account,
            limits: AccountLimits::new(interval_ms.is_some()),
            schedule: Schedule::new(interval_ms),
            is_live: false,
            is_requested: false,
        }
    }

    /// As [`AccountLimits::clock_was_set`].
    pub(crate) fn clock_was_set(&mut self, by: i64) {
        self.limits.clock_was_set(by);
    }

    /// Sets the interval of its fetches; `None`: none. Of an account whose service cannot be asked nothing changes.
    pub(super) fn set_interval(&mut self, interval_ms: Option<u64>) {
        let interval_ms = interval_ms.filter(|_| self.account.is_fetched);
        self.schedule.set_interval(interval_ms);
        self.limits.set_fetched(interval_ms.is_some());
        self.is_requested &= interval_ms.is_some();
    }

    /// Forgets what is known: it was another login's.
    fn begin_anew(&mut self) {
        let interval_ms = self.schedule.interval_ms();
        self.limits = self.limits.begun_anew();
        self.schedule = Schedule::new(interval_ms);
    }
}

/// All accounts, in the order in which they were first seen; the daemon's own first.
#[derive(Debug)]
pub(super) struct Accounts {
    all: Vec<AccountState>,
    interval_ms: Option<u64>,
    /// What was known of one was forgotten.
    is_changed: bool,
    /// They have changed since they were saved.
    pub(super) is_unsaved: bool,
}

impl Accounts {
    pub(super) fn new(default: Rc<Account>, interval_ms: Option<u64>) -> Self {
        Self {
            all: vec![AccountState::new(default, interval_ms)],
            interval_ms,
            is_changed: false,
            is_unsaved: false,
        }
    }

    /// Those that were saved, and the daemon's own: the one that was it, if `is_same_directory`. No session draws on any,
    /// as far as is known.
    pub(super) fn restore(
        saved: Vec<AccountState>,
        default: &Rc<Account>,
        is_same_directory: bool,
        interval_ms: Option<u64>,
    ) -> Self {
        let mut accounts = Self {
            all: saved,
            interval_ms,
            is_changed: false,
            is_unsaved: false,
        };
        accounts.all.truncate(MAX_ACCOUNTS - 1);
        for state in &mut accounts.all {
            state.is_default &= is_same_directory;
            state.set_interval(interval_ms);
        }
        if !accounts.all.iter().any(|state| state.is_default)
            && let Some(own) = accounts.entry(Some(default))
        {
            own.is_default = true;
        }
        accounts
    }

    /// True, once, if what was known of an account was forgotten.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    pub(super) fn all(&self) -> &[AccountState] {
        &self.all
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &AccountState> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut AccountState> {
        self.all.iter_mut()
    }

    /// The interval of accounts that are seen from now on.
    pub(super) fn set_interval(&mut self, interval_ms: Option<u64>) {
        self.interval_ms = interval_ms;
    }

    /// The state of this account, a new one where it is not known; the daemon's own without one. `None`: there are too
    /// many.
    pub(super) fn entry(&mut self, account: Option<&Rc<Account>>) -> Option<&mut AccountState> {
        let Some(account) = account else {
            return self.all.iter_mut().find(|known| known.is_default);
        };
        let place = match self.place(account) {
            Some(place) => place,
            None => self.insert(account)?,
        };
        self.all.get_mut(place)
    }

    fn place(&mut self, account: &Rc<Account>) -> Option<usize> {
        let is_of_login = |known: &AccountState| known.account.is_same_login(account);
        let is_of_directory = |known: &AccountState| known.account.is_same_directory(account);
        let by_directory = self.all.iter().position(is_of_directory);
        let Some(by_login) = self.all.iter().position(is_of_login) else {
            let known = self.all.get_mut(by_directory?)?;
            if account.login.is_some() {
                if known.account.login.is_some() {
                    known.begin_anew();
                    self.is_changed = true;
                }
                self.is_unsaved |= *known.account != **account;
                known.account = Rc::clone(account);
            }
            return by_directory;
        };
        // The directory had another login, of which nothing else is known: what was known of that is forgotten.
        match by_directory.filter(|former| *former != by_login) {
            Some(former) => {
                let former_was_default = self.all.get(former)?.is_default;
                self.all.get_mut(by_login)?.is_default |= former_was_default;
                self.all.remove(former);
                self.is_changed = true;
                self.is_unsaved = true;
                Some(by_login - usize::from(former < by_login))
            }
            None => Some(by_login),
        }
    }

    fn insert(&mut self, account: &Rc<Account>) -> Option<usize> {
        if self.all.len() >= MAX_ACCOUNTS {
            let is_unused = |known: &AccountState| !known.is_default && !known.is_live;
            let unused = self.all.iter().position(is_unused)?;
            self.all.remove(unused);
        }
        let state = AccountState::new(Rc::clone(account), self.interval_ms);
        self.all.push(state);
        self.is_unsaved = true;
        Some(self.all.len() - 1)
    }

    /// True if the figures of more than one account are known: then each is named.
    pub(super) fn are_several(&self) -> bool {
        let known = self.all.iter().filter(|known| known.limits.has_windows());
        known.take(2).count() > 1
    }

    /// All that is known, as the protocol has it; `None`: nothing.
    pub(super) fn record(&self, now: Now) -> Option<Usage<'_>> {
        let accounts: Vec<(bool, AccountUsage<'_>)> = self
            .all
            .iter()
            .filter_map(|known| {
                let account = &*known.account;
                let usage = AccountUsage {
                    account: (&*account.name).into(),
                    agent: (&*account.agent).into(),
                    usage: known.limits.record(account, now)?,
                };
                Some((known.is_default, usage))
            })
            .collect();
        let has_windows =
            |(_, account): &&(bool, AccountUsage<'_>)| !account.usage.windows.is_empty();
        let is_default = |(is_default, _): &&(bool, AccountUsage<'_>)| *is_default;
        let all = || accounts.iter();
        let (_, main) = all()
            .filter(is_default)
            .find(has_windows)
            .or_else(|| all().find(has_windows))
            .or_else(|| all().find(is_default))
            .or_else(|| all().next())?;
        let mut usage = main.usage.clone();
        usage.accounts = accounts.into_iter().map(|(_, account)| account).collect();
        Some(usage)
    }
}
