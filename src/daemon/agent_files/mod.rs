//! The files of agents' own that say what their hooks do not: passes each change to the agent's [`FileReader`], and carries
//! out what it asks for.
//!
//! Which files matter and what they mean is `agents/`'s; how they are watched, [`watcher`]'s, and how sockets are read,
//! [`sockets`]'. What a reader reports goes to the core as [`Input::Observed`](crate::core::Input::Observed). Called by
//! the loop.

mod changes;
mod follower;
#[cfg(target_os = "linux")]
mod inotify;
#[cfg(target_os = "macos")]
mod kqueue;
mod sockets;
mod system;
mod watcher;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::sockets::Sockets;
use self::system::ProcessTable;
use self::watcher::{Found, Watcher};
use crate::agents::config_dirs::{config_dirs, is_same_directory};
use crate::agents::files::{FileChange, FileReader, FileRequest};
use crate::agents::{self, Agent};
use crate::config::{Config, variable};
use crate::daemon::ready::at;
use crate::event::{KnownSession, Report};
use crate::os::clock;

/// The most sessions that a reader is given after a restart: those that began last.
const MAX_RESTORED: usize = 256;

/// How many requests in a row a reader may make by answering a change.
const MAX_REQUESTS: usize = 4096;

/// How long a file waits that is reported again.
const MOMENT: Duration = Duration::from_millis(50);

/// One agent's reader, and the configuration directories that it knows.
#[derive(Debug)]
struct Reader {
    agent: &'static Agent,
    files: Box<dyn FileReader>,
    directories: Vec<PathBuf>,
}

/// The readers of all agents.
#[derive(Debug)]
pub(super) struct AgentFiles {
    readers: Vec<Reader>,
    watcher: Watcher,
    sockets: Sockets,
    /// The files that are reported again, when, and to which reader; the first is due first.
    again: VecDeque<(Instant, usize, PathBuf)>,
    /// What the core has not been given yet.
    reports: VecDeque<Report>,
}

impl AgentFiles {
    /// Reads the files of this user's agents: those of the sessions that an earlier daemon has saved, of the environment and
    /// of the configuration.
    pub(super) fn new(config: &Config, known: &[KnownSession<'_>]) -> Self {
        let with_files = agents::ALL.iter().filter_map(|agent| {
            Some(Reader {
                agent,
                files: agent.files?(),
                directories: Vec::new(),
            })
        });
        let mut files = Self {
            readers: with_files.collect(),
            watcher: Watcher::new(),
            sockets: Sockets::default(),
            again: VecDeque::new(),
            reports: VecDeque::new(),
        };
        files.restore(known);
        files.open_configured(config);
        files
    }

    /// Gives each reader the open sessions of its agent.
    fn restore(&mut self, known: &[KnownSession<'_>]) {
        for place in 0..self.readers.len() {
            let Some(reader) = self.readers.get_mut(place) else {
                continue;
            };
            let of_agent = |session: &&KnownSession<'_>| *session.agent == *reader.agent.name;
            let own: Vec<_> = known.iter().filter(of_agent).collect();
            let (_, own) = own.split_at(own.len().saturating_sub(MAX_RESTORED));
            if own.is_empty() {
                continue;
            }
            let requests = reader.files.restored(own, clock::unix_ms(), &ProcessTable);
            // One after another: each may find as many lines as a reader may ask for.
            for request in requests {
                self.carry_out(place, vec![request]);
            }
        }
    }

    /// Reads those of the directories that are there now and that the configuration names.
    pub(super) fn open_configured(&mut self, config: &Config) {
        for agent in agents::ALL.iter().filter(|agent| agent.files.is_some()) {
            for directory in config_dirs(agent, variable, config.config_dirs(agent.name)) {
                if directory.is_dir() {
                    self.open(agent.name, &directory);
                }
            }
        }
    }

    /// This agent uses this configuration directory.
    pub(super) fn open(&mut self, agent: &str, directory: &Path) {
        let place = self.readers.iter().position(|reader| {
            reader.agent.name == agent
                && !reader
                    .directories
                    .iter()
                    .any(|known| is_same_directory(known, directory))
        });
        if let Some(place) = place
            && let Some(reader) = self.readers.get_mut(place)
        {
            reader.directories.push(directory.to_owned());
            let requests = reader.files.open(directory);
            self.carry_out(place, requests);
        }
    }

    /// A hook has reported this; the core does not have it yet.
    pub(super) fn reported(&mut self, report: &mut Report) {
        let of_agent = |reader: &Reader| *reader.agent.name == *report.agent;
        let Some(place) = self.readers.iter().position(of_agent) else {
            return;
        };
        if let Some(reader) = self.readers.get_mut(place) {
            let requests = reader.files.reported(report, &ProcessTable);
            self.carry_out(place, requests);
        }
    }

    /// What has been reported already.
    pub(super) fn try_next(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Waits for a change and reads it, a bounded piece; [`Self::try_next`] has what was reported then.
    pub(super) async fn changed(&mut self) {
        let due = self.again.front().map(|(due, ..)| *due);
        let found = tokio::select! {
            found = self.watcher.next() => found,
            found = self.sockets.next() => found,
            () = at(due) => return self.report_again(),
        };
        self.take(found);
    }

    fn report_again(&mut self) {
        if let Some((_, reader, path)) = self.again.pop_front()
            && path.exists()
        {
            self.read(reader, FileChange::Appeared(&path));
        }
    }

    fn take(&mut self, found: Vec<Found>) {
        for Found { reader, change } in found {
            self.read(reader, change.as_change());
        }
    }

    fn read(&mut self, place: usize, change: FileChange<'_>) {
        if let Some(reader) = self.readers.get_mut(place) {
            let requests = reader.files.read(change, clock::unix_ms(), &ProcessTable);
            self.carry_out(place, requests);
        }
    }

    fn carry_out(&mut self, place: usize, requests: Vec<FileRequest>) {
        let mut requests: VecDeque<_> = requests.into();
        let mut count = 0;
        while let Some(request) = requests.pop_front() {
            count += 1;
            if count > MAX_REQUESTS {
                tracing::warn!("a reader of an agent's files asks for too much");
                return;
            }
            let found = match request {
                FileRequest::Directory { path, wanted } => {
                    self.watcher.directory(place, path, wanted)
                }
                FileRequest::Whole(path) => self.watcher.whole(place, path),
                FileRequest::Lines { path, from } => self.watcher.lines(place, path, from),
                FileRequest::Again(path) => {
                    let due = clock::monotonic() + MOMENT;
                    self.again.push_back((due, place, path));
                    Vec::new()
                }
                FileRequest::Connect { path, greeting } => {
                    self.sockets.connect(place, path, greeting)
                }
                FileRequest::Forget(path) => {
                    self.watcher.forget(place, &path);
                    self.sockets.forget(place, &path);
                    Vec::new()
                }
                FileRequest::Report(report) => {
                    self.reports.push_back(*report);
                    Vec::new()
                }
            };
            for Found { reader, change } in found {
                if let Some(reader) = self.readers.get_mut(reader) {
                    let more =
                        reader
                            .files
                            .read(change.as_change(), clock::unix_ms(), &ProcessTable);
                    requests.extend(more);
                }
            }
        }
    }
}
