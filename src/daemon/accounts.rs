//! Which account a configuration directory is of: its name for people, and the login in it.
//!
//! Reads what an agent's folder says names a login, again when that file has changed, and never credentials. A login
//! that cannot be read any more stays as it was: a file may be replaced at that moment. Called by the loop, which adds
//! the account to what hooks and registries report.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::agents::config_dirs::{begins_with, default_place};
use crate::agents::{self, Agent};
use crate::config::variable;
use crate::event::{EventKind, Report};
use crate::limits::Account;
use crate::os::{peer, process};
use crate::protocol::{DEFAULT_ACCOUNT, NAME_LIMIT};

/// The most directories that are remembered: more than a person has; each hook names one.
const MAX_DIRECTORIES: usize = 64;

/// What identifies a file's contents, as far as its metadata show.
type Stamp = (u64, u64, u64, i64, i64);

/// A path that was reported, and what it leads to.
#[derive(Debug)]
struct Known {
    agent: &'static Agent,
    path: Box<str>,
    namespace: Option<u64>,
    stamp: Option<Stamp>,
    account: Rc<Account>,
}

/// The accounts of the directories seen so far.
#[derive(Debug)]
pub(super) struct Accounts {
    home: Option<PathBuf>,
    own_namespace: Option<u64>,
    known: Vec<Known>,
}

impl Accounts {
    /// With the account of the daemon's own environment.
    pub(super) fn new() -> (Self, Rc<Account>) {
        let mut accounts = Self {
            home: variable("HOME").map(PathBuf::from),
            own_namespace: process::namespace(),
            known: Vec::new(),
        };
        let agent = agents::DEFAULT;
        let own = agents::config_dir(agent.config_dir, variable).unwrap_or_default();
        let default = accounts.add(agent, &own.to_string_lossy(), None, true);
        (accounts, default)
    }

    /// Accounts that an earlier daemon knew: each keeps its name.
    pub(super) fn restore<'a>(&mut self, accounts: impl Iterator<Item = &'a Rc<Account>>) {
        for account in accounts {
            let is_known = |known: &Known| known.account.is_same_directory(account);
            let agent = agents::find(&account.agent).filter(|_| !self.known.iter().any(is_known));
            if let Some(agent) = agent.filter(|_| self.known.len() < MAX_DIRECTORIES) {
                self.known.push(Known {
                    agent,
                    path: account.directory.clone(),
                    namespace: account.namespace,
                    stamp: None,
                    account: Rc::clone(account),
                });
            }
        }
    }

    /// Adds to a hook's report whose account it is about. Where that cannot be said, its limits are dropped: they are
    /// another account's.
    pub(super) fn resolve_report(&mut self, report: &mut Report) {
        let Some(directory) = &report.config_dir else {
            // It stands for the daemon's own, which is of one agent.
            if *report.agent != *agents::DEFAULT.name {
                drop_limits(report);
            }
            return;
        };
        let event = report.event.as_ref();
        // When the login may have changed since.
        let refresh = event.is_some_and(|event| {
            !event.limits.is_empty() || event.kind == EventKind::SessionStarted
        });
        let namespace = report.process.map(|process| process.namespace);
        let foreign = namespace.filter(|namespace| *namespace != self.own_namespace);
        report.account = self.resolve(&report.agent, directory, foreign.flatten(), refresh);
        if report.account.is_none() {
            drop_limits(report);
        }
    }

    /// The account of a configuration directory; `None`: of an agent without limits, or one too many. `namespace`: of
    /// the processes that see the path, if it is not the daemon's own. With `refresh`, the login is read again if its
    /// file has changed.
    pub(super) fn resolve(
        &mut self,
        agent: &str,
        path: &str,
        namespace: Option<u64>,
        refresh: bool,
    ) -> Option<Rc<Account>> {
        let agent = agents::find(agent).filter(|agent| agent.limits.is_some())?;
        let place = self.known.iter().position(|known| {
            known.agent.name == agent.name && *known.path == *path && known.namespace == namespace
        });
        match place {
            Some(place) if refresh => Some(self.refresh(place)),
            Some(place) => Some(Rc::clone(&self.known.get(place)?.account)),
            None if path.starts_with('/') && self.known.len() < MAX_DIRECTORIES => {
                Some(self.add(agent, path, namespace, false))
            }
            None => None,
        }
    }

    /// The account that the directory of `account` is of by now.
    pub(super) fn current(&mut self, account: &Rc<Account>) -> Rc<Account> {
        let of_directory = |known: &Known| known.account.is_same_directory(account);
        match self.known.iter().position(of_directory) {
            Some(place) => self.refresh(place),
            None => Rc::clone(account),
        }
    }

    fn add(
        &mut self,
        agent: &'static Agent,
        path: &str,
        namespace: Option<u64>,
        is_default: bool,
    ) -> Rc<Account> {
        let resolved = match namespace {
            None => fs::canonicalize(path).ok(),
            // What the path leads to is not known here.
            Some(_) => None,
        };
        // Without a `/` at the end.
        let directory: PathBuf = resolved.unwrap_or_else(|| Path::new(path).components().collect());
        let directory: Box<str> = directory.to_string_lossy().into();
        let known = self.known.iter().map(|known| &known.account).find(|known| {
            *known.agent == *agent.name
                && known.directory == directory
                && known.namespace == namespace
        });
        let account = known.cloned().unwrap_or_else(|| {
            Rc::new(Account {
                agent: agent.name.into(),
                name: self.name(agent, Path::new(path), namespace).into(),
                directory,
                namespace,
                login: None,
                is_default,
                is_fetched: agent
                    .limits
                    .as_ref()
                    .is_some_and(|limits| limits.is_fetched),
            })
        });
        self.known.push(Known {
            agent,
            path: path.into(),
            namespace,
            stamp: None,
            account,
        });
        self.refresh(self.known.len() - 1)
    }

    /// Reads the login of a directory again, if its file has changed.
    fn refresh(&mut self, place: usize) -> Rc<Account> {
        let Some(known) = self.known.get_mut(place) else {
            unreachable!("{place} is a place of a known directory")
        };
        let limits = known.agent.limits.as_ref();
        if let Some(limits) = limits.filter(|_| known.namespace.is_none()) {
            let directory = Path::new(&*known.account.directory);
            let files = (limits.login_files)(directory, self.home.as_deref());
            let stamped = files.iter().filter_map(|file| Some((stamp(file)?, file)));
            let newest = stamped.max_by_key(|((.., seconds, nanos), _)| (*seconds, *nanos));
            if let Some((stamp, file)) = newest.filter(|(stamp, _)| known.stamp != Some(*stamp)) {
                known.stamp = Some(stamp);
                let login = File::open(file)
                    .ok()
                    .and_then(|mut file| (limits.read_login)(&mut file));
                if login.is_some() && login != known.account.login {
                    let account = Rc::new(Account {
                        login,
                        ..(*known.account).clone()
                    });
                    let before = std::mem::replace(&mut known.account, Rc::clone(&account));
                    // Other paths of the same directory.
                    for other in &mut self.known {
                        if Rc::ptr_eq(&other.account, &before) {
                            other.account = Rc::clone(&account);
                        }
                    }
                    return account;
                }
            }
        }
        Rc::clone(&known.account)
    }

    /// A name for people, that no other directory has.
    fn name(&self, agent: &Agent, path: &Path, namespace: Option<u64>) -> String {
        let home = self.home.as_deref();
        let mut short = short_name(agent, path, home);
        if namespace.is_some() {
            short += "@container";
        }
        let long = match home.and_then(|home| path.strip_prefix(home).ok()) {
            Some(below_home) => format!("~/{}", below_home.display()),
            None => path.display().to_string(),
        };
        let is_free = |name: &String| {
            let taken = |known: &Known| *known.account.name == **name;
            !name.is_empty() && !self.known.iter().any(taken)
        };
        let numbered = (2..).map(|number| format!("{}-{number}", end(&short, NAME_LIMIT - 8)));
        let names = [end(&short, NAME_LIMIT), end(&long, NAME_LIMIT)];
        let mut names = names.into_iter().chain(numbered);
        names.find(is_free).unwrap_or_default()
    }
}

fn drop_limits(report: &mut Report) {
    if let Some(event) = &mut report.event {
        event.limits.clear();
    }
}

/// `default` for the default directory of the first agent and the agent's name for that of another; `work` for one
/// beside it with `-work` added to its name; for any other path its last part.
fn short_name(agent: &Agent, path: &Path, home: Option<&Path>) -> String {
    let name = path.file_name().unwrap_or_default();
    let place = home.and_then(|home| default_place(agent, home));
    let beside = place.filter(|(parent, prefix)| {
        path.parent() == Some(parent.as_path()) && begins_with(name, prefix)
    });
    let name = name.to_string_lossy();
    if let Some((_, prefix)) = beside {
        let added = name.get(prefix.len()..).unwrap_or_default();
        let stripped = added.trim_start_matches(['-', '_', '.']);
        if added.is_empty() {
            let is_first = agent.name == agents::DEFAULT.name;
            return if is_first {
                DEFAULT_ACCOUNT
            } else {
                agent.name
            }
            .into();
        }
        if stripped != added && !stripped.is_empty() {
            return cleaned(stripped);
        }
    }
    cleaned(name.trim_start_matches('.'))
}

/// One word: what a bar or a terminal would interpret is replaced.
fn cleaned(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+');
    name.chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect()
}

/// The last `limit` characters.
fn end(name: &str, limit: usize) -> String {
    let skipped = name.chars().count().saturating_sub(limit);
    name.chars().skip(skipped).collect()
}

/// The stamp of a regular file that belongs to this user or root.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    let is_ours = metadata.is_file() && peer::trusted(metadata.uid());
    is_ours.then(|| {
        (
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        )
    })
}
