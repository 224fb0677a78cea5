//! Finds an agent's configuration directories that appear while the daemon runs: those beside its default one.
//!
//! Watches the directory that the default one lies in, usually the home, for names; and each directory of a fitting
//! name that is not one yet, for the registry or the settings to appear in it. Found ones are sent once.
//!
//! The kernel can't be asked for some names only, and a home may have traffic (an agent may replace a file in it at
//! each prompt). So a name that does not matter costs a wake-up, and the watch then rests: for [`MIN_REST`], and for
//! twice as long each time that it is woken again soon, up to [`MAX_REST`]. What appears meanwhile is queued, and seen
//! at the end of the rest. A home without new names costs no wake-up; a busy one costs at most one in [`MAX_REST`].
//!
//! Called by the parent module, on the loop's thread, inside a [`tokio::task::LocalSet`].

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

#[cfg(target_os = "linux")]
use super::inotify::NewNames;
#[cfg(target_os = "macos")]
use super::kqueue::NewNames;
use crate::agents::Agent;
use crate::agents::config_dirs::{
    MAX_CONFIG_DIRS, begins_with, candidates, default_place, is_config_dir,
};
use crate::os::clock;

/// How long the watch rests after a name that did not matter.
const MIN_REST: Duration = Duration::from_millis(50);

/// How long it rests at most.
const MAX_REST: Duration = Duration::from_secs(5);

/// A configuration directory that was found.
#[derive(Debug)]
pub(super) struct FoundDir {
    pub(super) agent: &'static Agent,
    pub(super) directory: PathBuf,
}

/// Looks for one agent's directories.
#[derive(Debug)]
pub(super) struct Discovery {
    agent: &'static Agent,
    home: PathBuf,
    found_tx: UnboundedSender<FoundDir>,
    found: BTreeSet<PathBuf>,
}

impl Discovery {
    pub(super) fn new(
        agent: &'static Agent,
        home: &Path,
        found_tx: UnboundedSender<FoundDir>,
    ) -> Self {
        Self {
            agent,
            home: home.to_owned(),
            found_tx,
            found: BTreeSet::new(),
        }
    }

    /// Sends what is there and what appears; looks again at once when `scan` is notified.
    pub(super) async fn run(mut self, scan: Rc<Notify>) {
        let mut names = match NewNames::new() {
            Ok(names) => names,
            Err(error) => {
                tracing::warn!("cannot watch for configuration directories: {error}");
                loop {
                    self.send_found(None);
                    scan.notified().await;
                }
            }
        };
        let mut rest = MIN_REST;
        loop {
            self.send_found(Some(&mut names));
            // Until something matters.
            loop {
                let began = clock::monotonic();
                let woken = tokio::select! {
                    () = scan.notified() => None,
                    woken = names.wait() => Some(woken),
                };
                match woken {
                    None => break,
                    Some(Ok(())) => {}
                    // The reactor is shutting down, or no descriptor is left: only scans remain.
                    Some(Err(_)) => {
                        scan.notified().await;
                        break;
                    }
                }
                if names.take(|name| self.is_awaited(name)) {
                    rest = MIN_REST;
                    break;
                }
                rest = if began.elapsed() < MAX_REST {
                    (rest * 2).min(MAX_REST)
                } else {
                    MIN_REST
                };
                tokio::select! {
                    () = scan.notified() => break,
                    () = tokio::time::sleep(rest) => {}
                }
            }
        }
    }

    fn is_awaited(&self, name: &OsStr) -> bool {
        let place = default_place(self.agent, &self.home);
        // An agent may replace a file of such a name there at each prompt, so only a directory counts.
        place.is_some_and(|(parent, prefix)| {
            begins_with(name, &prefix) && parent.join(name).is_dir()
        }) || name == self.agent.install.settings
            || self
                .agent
                .registry
                .as_ref()
                .is_some_and(|registry| name == registry.directory)
    }

    /// Sends each directory that was not sent before, and watches where more may appear.
    fn send_found(&mut self, mut names: Option<&mut NewNames>) {
        let mut watch = |directory: &Path| match names.as_mut().map(|names| names.watch(directory))
        {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!("cannot watch {}: {error}", directory.display());
            }
            _ => {}
        };
        if let Some((parent, _)) = default_place(self.agent, &self.home) {
            watch(&parent);
        }
        for directory in candidates(self.agent, &self.home) {
            if self.found.contains(&directory) {
                continue;
            }
            if !is_config_dir(self.agent, &directory) {
                watch(&directory);
                // It may have become one before it was watched.
                if !is_config_dir(self.agent, &directory) {
                    continue;
                }
            }
            if self.found.len() == MAX_CONFIG_DIRS {
                return;
            }
            self.found.insert(directory.clone());
            let agent = self.agent;
            // It fails only if the loop has ended.
            let _ = self.found_tx.send(FoundDir { agent, directory });
        }
    }
}
