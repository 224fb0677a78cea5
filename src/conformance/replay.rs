//! Replays a recording through an agent's own functions and the core, in virtual time.
//!
//! Stands for everything around the core: the hook process, the registry watcher, the process table and the timer. Each
//! recorded fact is handed in at its own ms; in between, the core is woken at each of its deadlines.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::deciding::Deciding;
use super::expectation::Change;
use super::interpret;
use super::recording::{Entry, Fact, ProcessEvent, Recording, process_event};
use crate::agents::Agent;
use crate::codec::{self, Id, Request};
use crate::core::testing::{EPOCH, NAMESPACE, NO_REMINDERS, START, info};
use crate::core::{AttentionRules, ClientId, Core, Effect, Input, Now, Settings};
use crate::event::{
    AgentEvent, ProcessRole, RegistryEntry, RegistryUpdate, Report, ReportedProcess, Source,
};
use crate::os::process::ProcessId;
use crate::protocol::{ListParams, SubscribeParams};

const CLIENT: ClientId = ClientId(1);
const HOOK: ClientId = ClientId(2);

/// How long a replay continues after the last fact, in milliseconds: longer than any rule waits.
const TAIL_MS: u64 = 60_000;

/// The sources to replay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources {
    pub(super) hooks: bool,
    pub(super) registry: bool,
}

/// A process that stands for a recorded one.
struct Process {
    id: ProcessId,
    alive: bool,
}

/// A replay under way.
pub(super) struct Replay {
    agent: &'static Agent,
    core: Core,
    now: Now,
    /// In the order of their starts.
    processes: Vec<Process>,
    /// By the recorded process id: the place in `processes`.
    roles: BTreeMap<u64, usize>,
    watched: BTreeSet<(u32, u64)>,
    /// What was published.
    changes: Vec<Change>,
    replies: Vec<Value>,
    pub(super) deciding: Deciding,
}

impl Replay {
    pub(super) fn new(agent: &'static Agent) -> Self {
        let settings = Settings {
            idle_timeout_ms: None,
            history: 256,
            record_prompts: true,
            persist: false,
            usage_interval_ms: None,
            attention: AttentionRules {
                background_shell: true,
                quiet: false,
            },
            quiet_after_ms: None,
            reminders: NO_REMINDERS,
        };
        Self {
            agent,
            core: Core::new(info(), settings, START),
            now: START,
            processes: Vec::new(),
            roles: BTreeMap::new(),
            watched: BTreeSet::new(),
            changes: Vec::new(),
            replies: Vec::new(),
            deciding: Deciding::default(),
        }
    }

    /// Replays a whole recording, with a subscriber from the beginning.
    pub(super) fn of(agent: &'static Agent, recording: &Recording, sources: Sources) -> Self {
        let mut replay = Self::new(agent);
        replay.subscribe();
        for entry in &recording.entries {
            replay.wait_until(entry.ms);
            replay.fact(recording, entry, sources);
        }
        replay.wait_until(replay.now.uptime_ms + TAIL_MS);
        let published = replay.changes.iter().map(|change| &change.session);
        let published: BTreeMap<_, _> = published
            .map(|session| (session["key"].to_string(), session.clone()))
            .collect();
        let listed = replay.sessions().into_iter();
        let listed: BTreeMap<_, _> = listed
            .map(|session| (session["key"].to_string(), session))
            .collect();
        assert_eq!(published, listed, "a subscriber has another copy");
        replay
    }

    /// Hands a recorded fact in, with its own stamps: now is its time, or later.
    pub(super) fn fact(&mut self, recording: &Recording, entry: &Entry, sources: Sources) {
        match &entry.fact {
            Fact::Mark(mark) => self.mark(mark),
            Fact::Hook {
                process,
                attended,
                payload,
            } => {
                let process = self.process(*process);
                if sources.hooks {
                    let at = EPOCH + entry.ms;
                    let event = interpret(self.agent, payload, at);
                    self.hook(at, process, *attended, event);
                }
            }
            Fact::Registry { process, entry } => {
                let process = self.process(Some(*process));
                if sources.registry {
                    self.registry(recording, process, entry.as_ref());
                }
            }
        }
    }

    /// Each record that was published.
    pub(super) fn published(&self) -> impl Iterator<Item = &Value> {
        self.changes.iter().map(|change| &change.session)
    }

    /// What was published of the process that stands for a recorded one.
    pub(super) fn of_process(&self, recorded: u64) -> Vec<&Change> {
        let pid = self.processes[self.roles[&recorded]].id.pid;
        let changes = self.changes.iter();
        changes
            .filter(|change| change.session["pid"] == pid)
            .collect()
    }

    /// The recorded processes that were seen.
    pub(super) fn seen(&self) -> Vec<u64> {
        self.roles.keys().copied().collect()
    }

    /// All sessions as they are now.
    pub(super) fn sessions(&mut self) -> Vec<Value> {
        let params = ListParams {
            include_closed: true,
            include_history: true,
        };
        self.request(CLIENT, Request::SessionList(params));
        let mut list = self.replies.pop().unwrap();
        match list["result"]["sessions"].take() {
            Value::Array(sessions) => sessions,
            _ => panic!("{list}"),
        }
    }

    pub(super) fn subscribe(&mut self) {
        self.request(CLIENT, Request::Subscribe(SubscribeParams::default()));
        self.replies.clear();
    }

    fn request(&mut self, client: ClientId, request: Request) {
        self.handle(Input::Request {
            client,
            id: id(),
            request,
        });
    }

    /// Lets time pass, up to `ms` since the beginning.
    pub(super) fn wait_until(&mut self, ms: u64) {
        while let Some(due) = self.core.next_timeout().filter(|due| *due <= ms) {
            assert!(due >= self.now.uptime_ms, "a deadline that has passed");
            self.set_time(due);
            self.handle(Input::Timeout);
            let next = self.core.next_timeout();
            assert_ne!(next, Some(due), "a timeout that changes nothing");
        }
        self.set_time(ms);
    }

    fn set_time(&mut self, ms: u64) {
        self.now = Now {
            unix_ms: EPOCH + ms,
            uptime_ms: ms,
        };
    }

    fn handle(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects: Vec<Effect> = self.core.handle(input, self.now).collect();
            effects.extend(self.core.end_turn());
            for effect in effects {
                match effect {
                    Effect::Broadcast(line) | Effect::BroadcastTo(_, line) => self.publish(&line),
                    Effect::Watch(process) => {
                        let is_it = |other: &&Process| other.id == process;
                        if self.processes.iter().find(is_it).is_some_and(|it| it.alive) {
                            self.watched.insert((process.pid, process.start));
                        } else {
                            inputs.push(Input::ProcessExited(process));
                        }
                    }
                    Effect::Unwatch(process) => {
                        self.watched.remove(&(process.pid, process.start));
                    }
                    Effect::Reply(_, line) => {
                        self.replies.push(serde_json::from_slice(&line).unwrap());
                    }
                    Effect::Subscribe(..) | Effect::ScanRegistries | Effect::Inspect(_) => {}
                    other => panic!("not expected in a replay: {other:?}"),
                }
            }
        }
    }

    fn publish(&mut self, line: &[u8]) {
        let mut line: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(line["method"], "session.changed", "{line}");
        let seq = self.changes.len() as u64 + 1;
        assert_eq!(line["params"]["seq"], seq, "{line}");
        let session = line["params"]["session"].take();
        self.deciding.note(&mut self.core, self.now, &session);
        self.changes.push(Change {
            at: Duration::from_millis(self.now.uptime_ms),
            seq,
            session,
        });
    }

    fn start(&mut self) {
        let number = u32::try_from(self.processes.len()).unwrap();
        let id = ProcessId {
            pid: 1000 + number,
            start: 300_000 + u64::from(number),
        };
        self.processes.push(Process { id, alive: true });
    }

    fn mark(&mut self, mark: &str) {
        match process_event(mark) {
            Some(ProcessEvent::Started) => self.start(),
            Some(ProcessEvent::Ended) => {
                let process = self.processes.last_mut().unwrap();
                process.alive = false;
                let id = process.id;
                if self.watched.remove(&(id.pid, id.start)) {
                    self.handle(Input::ProcessExited(id));
                }
            }
            None => {}
        }
    }

    /// The stand-in of a recorded process: the one started last, when its id is first seen.
    fn process(&mut self, recorded: Option<u64>) -> usize {
        let last = self.processes.len() - 1;
        match recorded {
            Some(recorded) => *self.roles.entry(recorded).or_insert(last),
            None => last,
        }
    }

    /// The process that stands for a recorded one; it was started now if it is not known.
    pub(super) fn process_of(&mut self, recorded: u64) -> usize {
        if !self.roles.contains_key(&recorded) {
            self.start();
        }
        self.process(Some(recorded))
    }

    /// As a hook finds it in the process table.
    fn reported(&self, process: usize) -> ReportedProcess {
        let Process { id, alive } = self.processes[process];
        ReportedProcess {
            pid: id.pid,
            start: alive.then_some(id.start),
            namespace: Some(NAMESPACE),
        }
    }

    /// A hook of `process` reports `event`, stamped `at` (ms since the epoch).
    pub(super) fn hook(&mut self, at: u64, process: usize, attended: bool, event: AgentEvent) {
        let report = Report {
            agent: self.agent.name.into(),
            at,
            process: Some(self.reported(process)),
            attended: Some(attended),
            terminal: None,
            config_dir: None,
            account: None,
            timing: self.agent.timing,
            source: Source::Hook,
            role: ProcessRole::Own,
            event: Some(event),
        };
        self.handle(Input::Reported {
            client: HOOK,
            id: id(),
            report: Box::new(report),
        });
        let reply = self.replies.pop().unwrap();
        assert_eq!(reply["result"]["accepted"], true, "{reply}");
    }

    /// The registry file of `process` has changed, or was removed.
    fn registry(&mut self, recording: &Recording, process: usize, recorded: Option<&Value>) {
        let Process { id, alive } = self.processes[process];
        let entry = recorded.map(|recorded| {
            let id = (id.pid, id.start);
            let domain = format!("linux::pid:[{NAMESPACE}]");
            let entry = recording.registry_entry(recorded, id, Some(&domain), |ms| EPOCH + ms);
            self.registry_entry(&entry)
        });
        let update = RegistryUpdate {
            agent: self.agent.name.into(),
            timing: self.agent.timing,
            process: ReportedProcess {
                pid: id.pid,
                start: Some(id.start),
                namespace: Some(NAMESPACE),
            },
            alive: alive && entry.is_some(),
            tty: None,
            account: None,
            entry,
        };
        self.handle(Input::RegistryChanged(Box::new(update)));
    }

    fn registry_entry(&self, entry: &Value) -> RegistryEntry {
        let registry = self.agent.registry.as_ref();
        let registry = registry.expect("an agent that has a registry");
        let pid = entry["pid"].as_u64().and_then(|pid| pid.try_into().ok());
        let entry = entry.to_string();
        let read = (registry.read)(entry.as_bytes(), pid.unwrap_or(0), Some(NAMESPACE))
            .unwrap_or_else(|| panic!("not understood: {entry}"));
        assert_eq!(read.process.namespace, Some(NAMESPACE));
        read.entry
    }
}

/// The id of each request: replies are matched by their order.
fn id() -> Option<Id> {
    codec::decode(br#"{"jsonrpc":"2.0","id":1,"method":"hello"}"#).id
}
