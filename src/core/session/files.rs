//! What the reader of an agent's own files needs to follow a session again after a restart: where the files are, and how
//! far they are known.
//!
//! Saved with the session; no rule reads it. Called by [`super::hook`], and by [`crate::core::saved`] for the readers.

use serde::{Deserialize, Serialize};

use super::processes::Client;
use super::{Process, Session, Title};
use crate::event::{AgentEvent, KnownSession, Report, ReportedProcess, Source};

/// Where an agent's own files are, as its hooks have reported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OwnFiles {
    /// The agent's configuration directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    config_dir: Option<Box<str>>,
    /// The file of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    transcript: Option<Box<str>>,
    /// The pid namespace of its processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<u64>,
}

impl Session {
    /// Keeps where the files of the conversation are, and how far they are known, after the newest event of its source
    /// was taken in. `former`: the conversation's id before.
    pub(super) fn keep_files(&mut self, report: &Report, event: &AgentEvent, former: Option<&str>) {
        let is_another = self.identity.id.as_deref() != former;
        // An earlier version has not saved it.
        let is_unknown = self.file_stamp == 0;
        if is_another || is_unknown || report.source == Source::File {
            let skew = match report.source {
                Source::Hook => self.skew.hook,
                Source::File => self.skew.file,
            };
            self.file_stamp = report.at.saturating_add_signed(skew.saturating_neg());
        }
        // What is said of another conversation of the process is not this one's.
        let is_own = event.session_id.is_none() || event.session_id == self.identity.id;
        let known = self.own_files.as_deref();
        let former = known.filter(|_| !is_another);
        let config_dir = report.config_dir.as_ref();
        let config_dir = config_dir.or(known.and_then(|known| known.config_dir.as_ref()));
        let transcript = event.transcript.as_ref().filter(|_| is_own);
        let transcript = transcript.or(former.and_then(|known| known.transcript.as_ref()));
        let namespace = match report.process {
            Some(process) => process.namespace,
            None => known.and_then(|known| known.namespace),
        };
        let is_same = match known {
            Some(known) => {
                known.config_dir.as_ref() == config_dir
                    && known.transcript.as_ref() == transcript
                    && known.namespace == namespace
            }
            None => config_dir.is_none() && transcript.is_none(),
        };
        if !is_same {
            self.own_files = Some(Box::new(OwnFiles {
                config_dir: config_dir.cloned(),
                transcript: transcript.cloned(),
                namespace,
            }));
            self.turns.mark_unsaved();
        }
    }

    /// What a reader of its agent's files needs; `None`: it is closed, or its agent has reported no conversation.
    /// `own_namespace` is the daemon's.
    pub(crate) fn known(&self, own_namespace: Option<u64>) -> Option<KnownSession<'_>> {
        if self.is_closed() || !self.is_agents() {
            return None;
        }
        let files = self.own_files.as_deref();
        let reported = |process: Process| ReportedProcess {
            pid: process.pid,
            start: process.start,
            namespace: match process.watched {
                Some(_) => own_namespace,
                None => files.and_then(|files| files.namespace),
            },
        };
        let client = match self.client {
            Client::Attached(client) => Some(client),
            Client::Unknown | Client::Gone => None,
        };
        let turn = self.turns.now();
        let (status, waiting_for) = turn.status();
        let hook = self.evidence.hook.as_ref();
        Some(KnownSession {
            agent: self.agent(),
            id: self.identity.id.as_deref()?,
            process: self.process.map(reported),
            client: client.map(reported),
            terminal: self.description.terminal.as_deref(),
            attended: self.attended,
            config_dir: files.and_then(|files| files.config_dir.as_deref()),
            transcript: files.and_then(|files| files.transcript.as_deref()),
            title: self.description.title.as_ref().map(Title::text),
            status,
            waiting_for,
            requests: turn.requests().collect(),
            own_status: turn.own_status(),
            hook_at: hook.map(|last| last.at),
            known_until: self.file_stamp,
        })
    }
}
