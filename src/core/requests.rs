//! What each request is answered with, and what it changes: one function for each method of the protocol.
//!
//! Every request that has an id gets exactly one reply from here (a reload's comes with its outcome), before the
//! notifications that it causes. Called by [`Core::handle`] only.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

use super::limits::Stamp;
use super::session::{Process, Processes, Session};
use super::sessions::{Found, MAX_SESSIONS};
use super::stamp::Judged;
use super::{AttentionRules, ClientId, Core, Effect, Now, fetching};
use crate::codec::{self, Id, Request};
use crate::event::{EventKind, ProcessRole, Report, ReportedProcess, Source, Timing};
use crate::os::process::ProcessId;
use crate::protocol::{
    self, ErrorCode, Notice, NoticeCode, SetParams, Since, StopReason, SubscribeParams, Usage,
    UsageSource,
};

impl Core {
    pub(super) fn handle_request(
        &mut self,
        client: ClientId,
        id: Option<Id>,
        request: Request,
        now: Now,
    ) {
        match request {
            Request::Hello(_) => self.hello(client, id),
            Request::SessionList(params) => {
                let sessions = Records {
                    sessions: self.sessions.sorted(params.include_closed),
                    rules: self.settings.attention,
                    is_brief: !params.include_history,
                };
                let line = id.map(|id| codec::reply(&id, &protocol::ListOf { sessions }));
                self.feed.reply(client, line);
            }
            Request::SessionCount => {
                let groups = self.sessions.groups(self.settings.attention);
                let line = id.map(|id| codec::reply(&id, &protocol::CountResult { groups }));
                self.feed.reply(client, line);
            }
            Request::SessionGet(params) => match self.find(&params.session) {
                Ok(key) => self.reply_session(client, id, &key),
                Err((code, message)) => self.feed.reply_error(client, id, code, &message),
            },
            Request::SessionExplain(params) => match self.find(&params.session) {
                Ok(key) => self.explain(client, id, &key),
                Err((code, message)) => self.feed.reply_error(client, id, code, &message),
            },
            Request::SessionSeen(params) => match self.find(&params.session) {
                Ok(key) => {
                    let at = now.unix_ms;
                    self.change(&key, now, |session| session.looked_at(at));
                    self.sessions.acknowledge(&key, self.settings.persist);
                    self.reply_session(client, id, &key);
                }
                Err((code, message)) => self.feed.reply_error(client, id, code, &message),
            },
            Request::SessionRemove(params) => match self.find(&params.session) {
                Ok(key) => {
                    let removed = Cow::Borrowed(&*key);
                    let result = protocol::RemoveResult { removed };
                    let line = id.map(|id| codec::reply(&id, &result));
                    self.feed.reply(client, line);
                    self.remove(&key, now);
                }
                Err((code, message)) => self.feed.reply_error(client, id, code, &message),
            },
            Request::Subscribe(params) => self.subscribe(client, id, params, now),
            Request::UsageGet => {
                let waiting = id.map(|id| (client, id));
                self.limits.reply(waiting, &mut self.feed, now);
            }
            Request::UsageRefresh => {
                let fetching = fetching(&self.lifecycle, &self.sessions);
                self.limits
                    .refresh(client, id, fetching, &mut self.feed, now);
            }
            Request::DaemonStop(params) => {
                let dashboards = self.feed.subscribers();
                let line = id.map(|id| codec::reply(&id, &protocol::StopResult { dashboards }));
                self.feed.reply(client, line);
                if params.force {
                    self.lifecycle.exit();
                    self.feed.push(Effect::Exit { flush: false });
                } else {
                    self.stop(StopReason::Stop, now);
                }
            }
            Request::DaemonReload => {
                self.reloading.extend(id.map(|id| (client, id)));
                self.feed.push(Effect::Reload);
            }
        }
    }

    fn hello(&mut self, client: ClientId, id: Option<Id>) {
        let result = protocol::HelloResult {
            protocol: protocol::VERSION,
            version: Cow::Borrowed(env!("CARGO_PKG_VERSION")),
            pid: self.info.pid,
            origin: self.info.origin,
            epoch: Some(self.info.epoch),
        };
        let line = id.map(|id| codec::reply(&id, &result));
        self.feed.reply(client, line);
    }

    /// A hook's event.
    pub(super) fn report(
        &mut self,
        client: ClientId,
        id: Option<Id>,
        mut report: Report,
        now: Now,
    ) {
        self.hook_events += 1;
        let what = match self.place(&mut report) {
            Ok(Some(key))
                if self.sessions.get(&key).is_none()
                    && self.refuse_if_full(client, id.as_ref(), now) =>
            {
                return;
            }
            Ok(key) => {
                let result = protocol::ReportResult { accepted: true };
                let accepted = id.map(|id| codec::reply(&id, &result));
                self.feed.reply(client, accepted);
                if let Some(key) = key {
                    self.apply_report(&key, report, now);
                }
                return;
            }
            Err(what) => what,
        };
        self.refuse_report(client, id, &report, what, now);
    }

    /// What an agent's own files say.
    pub(super) fn observe(&mut self, mut report: Report, now: Now) {
        let Ok(Some(key)) = self.place(&mut report) else {
            return;
        };
        if self.sessions.get(&key).is_some() || !self.sessions.is_full() {
            self.apply_report(&key, report, now);
        }
    }

    /// The key of the session that a report is about; `None`: of none. What is wrong with a report that says too little.
    fn place(&mut self, report: &mut Report) -> Result<Option<Box<str>>, &'static str> {
        let Some(event) = &report.event else {
            return Err("sent an event that could not be read");
        };
        self.unknown_events += u64::from(event.kind == EventKind::Unknown);
        self.learn_config_dir(report);
        let own_namespace = self.info.pid_namespace;
        let session_id = event.session_id.as_deref();
        let known = || session_id.and_then(|id| self.sessions.last_of(&report.agent, id));
        let is_gone = |process: ReportedProcess| {
            process.start.is_none() && process.namespace == own_namespace
        };
        if report.process.is_some_and(is_gone) {
            // The hook has outlived its agent and found no start: no session begins with that.
            let key = known();
            report.process = None;
            return Ok(key);
        }
        let process = match report.role {
            ProcessRole::Own => report.process,
            ProcessRole::Shared { .. } => report.process.filter(|_| session_id.is_none()),
        };
        let key = key_of(&report.agent, process, session_id, own_namespace);
        let is_known = key
            .as_deref()
            .is_some_and(|key| self.sessions.get(key).is_some());
        if !is_known && let Some(other) = self.other_key(report, process) {
            return Ok(Some(other));
        }
        match key {
            Some(key) => Ok(Some(key)),
            None => Err("named neither its process nor its session"),
        }
    }

    /// The key of an open session that a report is about although its own key is another: the sources of one conversation
    /// do not all know its process.
    fn other_key(&self, report: &Report, process: Option<ReportedProcess>) -> Option<Box<str>> {
        let id = report.event.as_ref()?.session_id.as_deref()?;
        let key = self.sessions.last_of(&report.agent, id)?;
        let session = self.sessions.get(&key)?;
        let is_same = match process {
            Some(_) => session.is_unwatched() && session.is_agents(),
            None => report.source == Source::File && !session.is_closed(),
        };
        is_same.then_some(key)
    }

    fn apply_report(&mut self, key: &str, mut report: Report, now: Now) {
        let Some(mut event) = report.event.take() else {
            return;
        };
        let source = report.source;
        let session = self.sessions.get(key);
        let skew = session.and_then(|session| session.skew(source));
        let Judged { at, skew } = self.clock.judge(report.at, skew);
        report.at = at;
        let limits = std::mem::take(&mut event.limits);
        let account = report.account.as_ref();
        let stamp = Stamp {
            source: match source {
                Source::Hook => UsageSource::StatusLine,
                Source::File => UsageSource::SessionFile,
            },
            at,
        };
        self.limits
            .apply_report(account, limits, stamp, &mut self.feed, now);
        if self.sessions.get(key).is_none() && !Session::begins_with(&event.kind, source) {
            return;
        }
        let own_namespace = self.info.pid_namespace;
        let place = |process: ReportedProcess| Process::of(process, own_namespace);
        let processes = Processes {
            process: report.process.map(place),
            client: match report.role {
                ProcessRole::Own => None,
                ProcessRole::Shared { client } => client.map(place),
            },
        };
        let prompts = self.settings.record_prompts;
        let make = || {
            let agent = report.agent.clone();
            Some(Session::new(key.into(), agent, report.timing, at))
        };
        let account = self.account_of_session(report.account.as_ref(), now);
        let change = |session: &mut Session| {
            session.set_skew(source, skew);
            let is_new = session.set_account(account);
            session.apply_report(&report, event, processes, prompts) || is_new
        };
        self.upsert(key, now, at, make, change);
    }

    fn refuse_report(
        &mut self,
        client: ClientId,
        id: Option<Id>,
        report: &Report,
        what: &str,
        now: Now,
    ) {
        let message = format!("a hook of {} {what}", report.agent);
        let code = ErrorCode::InvalidParams;
        self.feed.reply_error(client, id, code, &message);
        self.feed
            .notice(NoticeCode::PayloadUnreadable, &message, false, now);
    }

    /// A script's or a person's `session.set`; `process` is that of `params.pid`, if it exists.
    pub(super) fn set(
        &mut self,
        client: ClientId,
        id: Option<Id>,
        params: &SetParams,
        (process, running): (Option<ProcessId>, &[ProcessId]),
        now: Now,
    ) {
        if let (Some(pid), None) = (params.pid, process) {
            let message = format!("pid: there is no process {pid}");
            let code = ErrorCode::InvalidParams;
            return self.feed.reply_error(client, id, code, &message);
        }
        let key = match self.sessions.find_to_set(&params.session) {
            Found::One(key) => key,
            Found::None if self.refuse_if_full(client, id.as_ref(), now) => return,
            Found::None => params.session.clone().into(),
            Found::Many(count) => {
                let (code, message) = ambiguous(&params.session, count);
                return self.feed.reply_error(client, id, code, &message);
            }
        };
        let process = params.pid.map(|pid| Process {
            pid,
            start: process.map(|process| process.start),
            watched: process,
        });
        let agent = params.agent.as_deref().unwrap_or("script");
        let make = || {
            Some(Session::new(
                key.clone(),
                agent.into(),
                Timing::default(),
                now.unix_ms,
            ))
        };
        let at = now.unix_ms;
        self.upsert(&key, now, at, make, |session| {
            session.set(params, process, running, at);
            true
        });
        self.reply_session(client, id, &key);
    }

    /// Refuses a request that would make another session, if there are too many. True if it did.
    fn refuse_if_full(&mut self, client: ClientId, id: Option<&Id>, now: Now) -> bool {
        if !self.sessions.is_full() {
            return false;
        }
        let message = format!(
            "{MAX_SESSIONS} sessions are remembered already; remove some with `agent-console remove`"
        );
        let code = ErrorCode::TooManySessions;
        self.feed.reply_error(client, id.cloned(), code, &message);
        self.feed
            .notice(NoticeCode::SessionsFull, &message, false, now);
        true
    }

    fn subscribe(&mut self, client: ClientId, id: Option<Id>, params: SubscribeParams, now: Now) {
        if self.lifecycle.is_leaving() {
            let code = ErrorCode::Stopping;
            let message = "the daemon is stopping";
            return self.feed.reply_error(client, id, code, message);
        }
        let SubscribeParams { since, changes } = params;
        if self
            .feed
            .subscription(client)
            .is_some_and(|known| known != changes)
        {
            let message = "this connection is subscribed to changes in another form";
            let code = ErrorCode::InvalidParams;
            return self.feed.reply_error(client, id, code, message);
        }
        // Those who are subscribed already get what the snapshot holds.
        self.publish();
        let is_first = !self.feed.has_subscribers();
        if is_first {
            self.limits.on_first_subscriber(&mut self.feed, now);
        }
        let line = id.map(|id| codec::reply(&id, &self.snapshot(since)));
        self.feed.reply(client, line);
        if is_first {
            // File events may have been missed: read the registries again.
            self.feed.push(Effect::ScanRegistries);
        }
        self.feed.subscribe(client, changes);
        let fetching = fetching(&self.lifecycle, &self.sessions);
        self.limits.fetch_if_due(fetching, &mut self.feed, now);
    }

    /// The state, without what a client has that stands at `since`, if that can be told.
    pub(super) fn snapshot(
        &self,
        since: Option<Since>,
    ) -> protocol::SnapshotOf<'_, Records<'_>, Vec<&Notice<'static>>, &Usage<'static>> {
        let numbers = self.feed.numbers();
        let of_this_state = since.filter(|since| since.epoch == self.info.epoch);
        let since = of_this_state.filter(|since| numbers.knows_changes_since(since.seq));
        let mut sessions = self.sessions.sorted(true);
        let mut removed = BTreeSet::new();
        if let Some(Since { seq, .. }) = since {
            sessions.retain(|session| session.changed_seq > seq);
            removed.extend(numbers.removed_since(seq));
            removed.retain(|key| self.sessions.get(key).is_none());
        }
        protocol::SnapshotOf {
            seq: numbers.seq(),
            epoch: Some(self.info.epoch),
            partial: since.is_some(),
            sessions: Records {
                sessions,
                rules: self.settings.attention,
                is_brief: false,
            },
            removed: removed.into_iter().map(Cow::Borrowed).collect(),
            notices: self.feed.notices(),
            usage: self.limits.published(),
        }
    }

    /// `daemon.status`; `rss_bytes` is the daemon's resident memory.
    pub(super) fn status(
        &mut self,
        client: ClientId,
        id: Option<Id>,
        rss_bytes: Option<u64>,
        now: Now,
    ) {
        let info = &self.info;
        let result = protocol::StatusResult {
            pid: info.pid,
            version: Cow::Borrowed(env!("CARGO_PKG_VERSION")),
            protocol: protocol::VERSION,
            origin: info.origin,
            socket: Cow::Borrowed(&info.socket),
            uptime_ms: now.uptime_ms.saturating_sub(self.began_ms),
            sessions: self.sessions.counts(),
            dashboards: self.feed.subscribers(),
            seq: self.feed.numbers().seq(),
            reports: self.hook_events,
            unknown_events: self.unknown_events,
            rss_bytes,
            idle_timeout_ms: self.lifecycle.timeout_ms(),
        };
        let line = id.map(|id| codec::reply(&id, &result));
        self.feed.reply(client, line);
    }

    fn find(&self, name: &str) -> Result<Box<str>, (ErrorCode, String)> {
        match self.sessions.find(name) {
            Found::One(key) => Ok(key),
            Found::None => {
                let message = format!(
                    "no session has the key, id or prefix {name:?}; `agent-console list` shows them"
                );
                Err((ErrorCode::NoSuchSession, message))
            }
            Found::Many(count) => Err(ambiguous(name, count)),
        }
    }

    fn explain(&mut self, client: ClientId, id: Option<Id>, key: &str) {
        let line = id.zip(self.sessions.get(key)).map(|(id, session)| {
            let result = protocol::ExplainResult {
                session: session.record(self.settings.attention),
                steps: session.explain(),
            };
            codec::reply(&id, &result)
        });
        self.feed.reply(client, line);
    }

    fn reply_session(&mut self, client: ClientId, id: Option<Id>, key: &str) {
        let line = id.zip(self.sessions.get(key)).map(|(id, session)| {
            let session = session.record(self.settings.attention);
            codec::reply(&id, &protocol::SessionResult { session })
        });
        self.feed.reply(client, line);
    }
}

/// Sessions, each made into a record while it is written: all records at once would take several times the line's memory.
pub(super) struct Records<'a> {
    sessions: Vec<&'a Session>,
    rules: AttentionRules,
    /// Without history and evidence.
    is_brief: bool,
}

impl Serialize for Records<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let records = self.sessions.iter().map(|session| {
            if self.is_brief {
                session.brief_record(self.rules)
            } else {
                session.record(self.rules)
            }
        });
        serializer.collect_seq(records)
    }
}

fn ambiguous(name: &str, count: usize) -> (ErrorCode, String) {
    (
        ErrorCode::AmbiguousSession,
        format!("{count} sessions have the id or prefix {name:?}; give a key"),
    )
}

/// The key of the session that evidence belongs to: the agent and its process, so that it stays the same when the
/// conversation changes and when the daemon is started anew; the conversation where no process is known.
pub(super) fn key_of(
    agent: &str,
    process: Option<ReportedProcess>,
    session_id: Option<&str>,
    own_namespace: Option<u64>,
) -> Option<Box<str>> {
    let Some(process) = process else {
        return session_id.map(|id| format!("{agent}-{id}").into());
    };
    let mut key = format!("{agent}-{}", process.pid);
    if let Some(start) = process.start {
        key = format!("{key}-{start}");
    }
    if let Some(namespace) = process
        .namespace
        .filter(|&namespace| Some(namespace) != own_namespace)
    {
        key = format!("{key}-{namespace}");
    }
    Some(key.into())
}
