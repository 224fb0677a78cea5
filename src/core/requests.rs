//! What each request is answered with, and what it changes: one method of [`Core`] for each method of the protocol.
//!
//! Every request that has an id gets exactly one reply from here (a reload's comes with its outcome), before the
//! notifications that it causes. Called by [`Core::handle`] only.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::session::{Process, Session};
use super::sessions::Found;
use super::{ClientId, Core, Effect, MAX_SESSIONS, Now, Phase, Request, Set};
use crate::codec::{self, Id, Line};
use crate::event::{EventKind, Report, ReportedProcess};
use crate::protocol::{self, ErrorCode, Notice, StopReason};

impl Core {
    pub(super) fn serve(&mut self, client: ClientId, id: Option<Id>, request: Request, now: Now) {
        match request {
            Request::Hello => {
                let identity = &self.identity;
                let result = protocol::HelloResult {
                    protocol: protocol::VERSION,
                    version: Cow::Borrowed(env!("CARGO_PKG_VERSION")),
                    pid: identity.pid,
                    origin: Cow::Borrowed(identity.origin),
                };
                let line = id.map(|id| codec::reply(&id, &result));
                self.reply(client, line);
            }
            Request::SessionReport(report) => self.report(client, id, *report, now),
            Request::SessionSet(set) => self.set(client, id, *set, now),
            Request::SessionList { include_closed } => {
                let sessions = Records(self.store.sorted(include_closed));
                let line = id.map(|id| codec::reply(&id, &List { sessions }));
                self.reply(client, line);
            }
            Request::SessionGet { session } => match self.find(&session) {
                Ok(key) => self.reply_session(client, id, &key),
                Err((code, message)) => self.reply_error(client, id, code, &message),
            },
            Request::SessionExplain { session } => match self.find(&session) {
                Ok(key) => {
                    let line = id.zip(self.store.get(&key)).map(|(id, session)| {
                        let result = protocol::ExplainResult {
                            session: session.record(),
                            steps: session.explain(),
                        };
                        codec::reply(&id, &result)
                    });
                    self.reply(client, line);
                }
                Err((code, message)) => self.reply_error(client, id, code, &message),
            },
            Request::SessionRemove { session } => match self.find(&session) {
                Ok(key) => {
                    let line = id.map(|id| {
                        codec::reply(
                            &id,
                            &protocol::RemoveResult {
                                removed: Cow::Borrowed(&key),
                            },
                        )
                    });
                    self.reply(client, line);
                    self.forget(&key, now);
                }
                Err((code, message)) => self.reply_error(client, id, code, &message),
            },
            Request::Subscribe => self.subscribe(client, id, now),
            Request::UsageGet => self.reply_usage(client, id, now),
            Request::UsageRefresh => self.refresh_usage(client, id, now),
            Request::DaemonStatus { rss_bytes } => self.status(client, id, rss_bytes, now),
            Request::DaemonStop { force } => {
                let dashboards = self.subscribers.count();
                let line = id.map(|id| codec::reply(&id, &protocol::StopResult { dashboards }));
                self.reply(client, line);
                if force {
                    self.phase = Phase::Gone;
                    self.effects.push(Effect::Exit { flush: false });
                } else {
                    self.stop(StopReason::Stop, now);
                }
            }
            Request::DaemonReload => {
                self.reloading.extend(id.map(|id| (client, id)));
                self.effects.push(Effect::Reload);
            }
        }
    }

    fn report(&mut self, client: ClientId, id: Option<Id>, mut report: Report, now: Now) {
        self.reports += 1;
        // A stamp from a clock that runs ahead would make every later event look late.
        report.at = report.at.min(now.unix_ms);
        let Some(mut event) = report.event.take() else {
            let message = format!(
                "a hook of {} sent an event that could not be read",
                report.agent
            );
            self.reply_error(client, id, ErrorCode::InvalidParams, &message);
            self.notice("payload_unreadable", &message, false, now);
            return;
        };
        self.learn_config_dir(&report);
        self.unknown_events += u64::from(event.kind == EventKind::Unknown);
        let own_namespace = self.identity.pid_namespace;
        let is_gone = |process: ReportedProcess| {
            process.start.is_none() && process.namespace == own_namespace
        };
        let session_id = event.session_id.as_deref();
        let key = if report.process.is_some_and(is_gone) {
            // The hook has outlived its agent and found no start: no session begins with that.
            let known = session_id.and_then(|id| self.store.last_of(&report.agent, id));
            if known.is_none() {
                let line =
                    id.map(|id| codec::reply(&id, &protocol::ReportResult { accepted: true }));
                return self.reply(client, line);
            }
            report.process = None;
            known
        } else {
            key_of(&report.agent, report.process, session_id, own_namespace)
        };
        let Some(key) = key else {
            let message = format!(
                "a hook of {} named neither its process nor its session",
                report.agent
            );
            self.reply_error(client, id, ErrorCode::InvalidParams, &message);
            self.notice("payload_unreadable", &message, false, now);
            return;
        };
        let known = self.store.get(&key);
        if known.is_none() && self.refuse_if_full(client, id.as_ref(), now) {
            return;
        }
        let line = id.map(|id| codec::reply(&id, &protocol::ReportResult { accepted: true }));
        self.reply(client, line);
        self.overhear_usage(&mut event, report.at, now);
        if known_is_needed(self.store.get(&key), &event.kind) {
            return;
        }
        let own_namespace = self.identity.pid_namespace;
        let process = report
            .process
            .map(|process| Process::of(process, own_namespace));
        let prompts = self.settings.record_prompts;
        let make = || {
            let agent = report.agent.clone();
            Some(Session::new(key.clone(), agent, report.at))
        };
        let change =
            |session: &mut Session| session.hooked(&report, event, process, prompts, now.unix_ms);
        self.change_or_make(&key, now, report.at, make, change);
    }

    fn set(&mut self, client: ClientId, id: Option<Id>, set: Set, now: Now) {
        let Set { params, process } = set;
        let key = match self.store.find_to_set(&params.session) {
            Found::One(key) => key,
            Found::None if self.refuse_if_full(client, id.as_ref(), now) => return,
            Found::None => params.session.clone().into(),
            Found::Many(count) => {
                let (code, message) = ambiguous(&params.session, count);
                self.reply_error(client, id, code, &message);
                return;
            }
        };
        let process = params.pid.map(|pid| Process {
            pid,
            start: process.map(|process| process.start),
            watched: process,
        });
        let agent = params.agent.as_deref().unwrap_or("script");
        let made = || Some(Session::new(key.clone(), agent.into(), now.unix_ms));
        let at = now.unix_ms;
        // The reply shows the session as changed and goes before the change's notification.
        let place = self.effects.len();
        self.change_or_make(&key, now, at, made, |session| {
            session.set(&params, process, at);
            true
        });
        let reply = id.zip(self.store.get(&key)).map(|(id, session)| {
            Effect::Reply(
                client,
                codec::reply(
                    &id,
                    &protocol::SessionResult {
                        session: session.record(),
                    },
                ),
            )
        });
        if let Some(reply) = reply {
            self.effects.insert(place, reply);
        }
    }

    /// Too many sessions for another one: says so and is true.
    fn refuse_if_full(&mut self, client: ClientId, id: Option<&Id>, now: Now) -> bool {
        if !self.store.is_full() {
            return false;
        }
        let message = format!(
            "{MAX_SESSIONS} sessions are remembered already; remove some with `agent-console remove`"
        );
        self.reply_error(client, id.cloned(), ErrorCode::TooManySessions, &message);
        self.notice("sessions_full", &message, false, now);
        true
    }

    fn subscribe(&mut self, client: ClientId, id: Option<Id>, now: Now) {
        if self.phase == Phase::RetiringForGood {
            self.reply_error(client, id, ErrorCode::Stopping, "the daemon is stopping");
            return;
        }
        let is_first = self.subscribers.is_empty();
        if is_first {
            self.look_at_usage(now);
        }
        let line = id.map(|id| codec::reply(&id, &self.snapshot()));
        self.reply(client, line);
        if is_first {
            // Somebody looks for the first time: whatever file events may have missed comes now.
            self.effects.push(Effect::ScanRegistries);
        }
        if self.subscribers.add(client) {
            self.effects.push(Effect::Subscribed(client));
        }
        self.fetch_if_due(now);
    }

    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            seq: self.subscribers.seq(),
            sessions: Records(self.store.sorted(true)),
            notices: self.notices.iter().collect(),
            usage: self.usage.told(),
        }
    }

    fn status(&mut self, client: ClientId, id: Option<Id>, rss_bytes: Option<u64>, now: Now) {
        let identity = &self.identity;
        let result = protocol::StatusResult {
            pid: identity.pid,
            version: Cow::Borrowed(env!("CARGO_PKG_VERSION")),
            protocol: protocol::VERSION,
            origin: Cow::Borrowed(identity.origin),
            socket: Cow::Borrowed(&identity.socket),
            uptime_ms: now.uptime_ms,
            sessions: self.store.counts(),
            dashboards: self.subscribers.count(),
            seq: self.subscribers.seq(),
            reports: self.reports,
            unknown_events: self.unknown_events,
            rss_bytes,
            idle_timeout_ms: self.idle.timeout_ms(),
        };
        let line = id.map(|id| codec::reply(&id, &result));
        self.reply(client, line);
    }

    fn find(&self, name: &str) -> Result<Box<str>, (ErrorCode, String)> {
        match self.store.find(name) {
            Found::One(key) => Ok(key),
            Found::None => Err((
                ErrorCode::NoSuchSession,
                format!(
                    "no session has the key, id or prefix {name:?}; `agent-console list` shows them"
                ),
            )),
            Found::Many(count) => Err(ambiguous(name, count)),
        }
    }

    pub(super) fn reply(&mut self, client: ClientId, line: Option<Line>) {
        self.effects
            .extend(line.map(|line| Effect::Reply(client, line)));
    }

    pub(super) fn reply_error(
        &mut self,
        client: ClientId,
        id: Option<Id>,
        code: ErrorCode,
        message: &str,
    ) {
        let line = id.map(|id| codec::error(&id, code, message));
        self.reply(client, line);
    }

    fn reply_session(&mut self, client: ClientId, id: Option<Id>, key: &str) {
        let line = id.zip(self.store.get(key)).map(|(id, session)| {
            codec::reply(
                &id,
                &protocol::SessionResult {
                    session: session.record(),
                },
            )
        });
        self.reply(client, line);
    }
}

/// Sessions, each made into a record as it is written: all records at once would take several times the line's memory.
struct Records<'a>(Vec<&'a Session>);

impl Serialize for Records<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|session| session.record()))
    }
}

/// [`protocol::ListResult`], as it is written.
#[derive(Serialize)]
struct List<'a> {
    sessions: Records<'a>,
}

/// [`protocol::Snapshot`], as it is written.
#[derive(Serialize)]
pub(super) struct Snapshot<'a> {
    seq: u64,
    sessions: Records<'a>,
    notices: Vec<&'a Notice<'static>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a protocol::Usage<'static>>,
}

/// True if the event says nothing without a session that is known already.
fn known_is_needed(known: Option<&Session>, kind: &EventKind) -> bool {
    known.is_none() && !Session::begins_with(kind)
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
