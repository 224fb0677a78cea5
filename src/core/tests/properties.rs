//! What holds after any sequence of inputs: an honest shell around the core, in virtual time, and the invariants.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::{CoreHarness, MINUTE, NAMESPACE};
use crate::agents::{self, LimitWindow};
use crate::client::Update;
use crate::client::mirror::Mirror;
use crate::codec::{self, Decoded, Incoming, Refusal, Request};
use crate::core::lifecycle::STALE_AFTER_MS;
use crate::core::sessions::MAX_CLOSED;
use crate::core::{ClientId, Effect, Input, Settings};
use crate::event::{
    AgentEvent, EventKind, RegistryEntry, RegistryStatus, RegistryUpdate, Report, ReportedProcess,
    Tool, TurnEvent,
};
use crate::limits::{FetchFailure, FetchOutcome, FetchProblem, Limit};
use crate::os::process::ProcessId;
use crate::protocol::{
    ErrorCode, FETCH_LIMIT_MS, HelloParams, ListParams, NoticeCode, SessionParams, SetParams,
    Snapshot, Status, StatusResult, StopParams, WaitingFor,
};

/// The processes that agents and scripts run in.
const PROCESSES: [ProcessId; 3] = [
    ProcessId {
        pid: 11,
        start: 111,
    },
    ProcessId {
        pid: 12,
        start: 122,
    },
    ProcessId {
        pid: 12,
        start: 123,
    },
];

/// What may happen.
#[derive(Debug, Clone)]
enum Op {
    Connect,
    /// A client, by its place among the connected, sends a request.
    Ask(usize, bool, Ask),
    Refuse(usize, bool, ErrorCode),
    Disconnect(usize),
    Wait(u64),
    /// To a millisecond before the deadline, and a tick.
    Early,
    /// To the deadline, and a tick.
    Due,
    Sighted(Box<RegistryUpdate>),
    Exited(usize),
    Unwatchable(usize),
    /// The child that asks has ended.
    Fetched(FetchOutcome),
    /// The shell has read the configuration, on request or by a signal.
    Reloaded(Result<Settings, ()>),
    Drained,
    Terminated,
    Noticed(usize),
}

fn limits() -> impl Strategy<Value = Vec<Limit>> {
    let limit = (
        select(&["five_hour", "seven_day"]),
        0..120_u32,
        prop::option::of(0..9_u64),
    );
    let windows = agents::DEFAULT.limits.as_ref().unwrap().windows;
    let limit = limit.prop_map(|(name, used, hours)| {
        let resets_at = hours.map(|hours| super::EPOCH + hours * 60 * MINUTE);
        LimitWindow::limit(windows, name, used.into(), resets_at).unwrap()
    });
    prop::collection::vec(limit, 0..3)
}

fn fetched() -> impl Strategy<Value = FetchOutcome> {
    let wait = prop::option::of(select(&[0, 5_000, 10 * MINUTE]));
    let failure = (
        select(&[
            FetchProblem::RateLimited,
            FetchProblem::CredentialsExpired,
            FetchProblem::Network,
        ]),
        wait,
    );
    prop_oneof![
        2 => limits().prop_map(FetchOutcome::Limits),
        1 => failure.prop_map(|(problem, retry_after_ms)| FetchOutcome::Failed(FetchFailure {
            problem,
            message: "no".into(),
            retry_after_ms,
        })),
    ]
}

fn turn_event() -> impl Strategy<Value = TurnEvent> {
    let ids = prop::collection::vec(select(&["s1", "s2"]), 0..3);
    prop_oneof![
        4 => any::<bool>().prop_map(|by_person| TurnEvent::PromptSubmitted {
            text: by_person.then(|| "fix \"it\"".into()),
            by_person,
        }),
        2 => any::<bool>().prop_map(|plan| TurnEvent::ToolStarted {
            tool: bash(),
            asks_for: if plan { WaitingFor::Plan } else { WaitingFor::Permission },
        }),
        2 => Just(TurnEvent::ToolEnded { tool: bash() }),
        1 => Just(TurnEvent::BatchEnded),
        1 => Just(TurnEvent::Active),
        1 => Just(TurnEvent::SubagentStarted),
        1 => Just(TurnEvent::SubagentEnded),
        2 => select(&[WaitingFor::Permission, WaitingFor::Answer]).prop_map(|waiting_for| TurnEvent::Asked {
            waiting_for,
            tool: (waiting_for == WaitingFor::Permission).then(bash),
        }),
        1 => Just(TurnEvent::AskReminded),
        1 => Just(TurnEvent::Answered),
        1 => Just(TurnEvent::Compacted),
        1 => Just(TurnEvent::IdleReminded),
        3 => (ids, 0..2_u32).prop_map(|(ids, shells)| TurnEvent::Ended {
            subagents: ids.into_iter().map(Into::into).collect(),
            shells,
        }),
        1 => Just(TurnEvent::Failed { error: "rate limited".into() }),
    ]
}

fn event_kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        2 => Just(EventKind::SessionStarted),
        2 => any::<bool>().prop_map(|process_goes_on| EventKind::SessionEnded {
            reason: if process_goes_on { "clear" } else { "other" }.into(),
            process_goes_on,
        }),
        8 => turn_event().prop_map(EventKind::Turn),
        1 => Just(EventKind::Noted),
        1 => Just(EventKind::Unknown),
    ]
}

fn bash() -> Tool {
    Tool {
        name: "Bash".into(),
        detail: Some("make".into()),
    }
}

/// What a registry may say; stamps as in [`report`].
fn sighting() -> impl Strategy<Value = RegistryUpdate> {
    let status = prop::option::of(select(&[
        RegistryStatus::Busy,
        RegistryStatus::Idle,
        RegistryStatus::Shell,
        RegistryStatus::Waiting(WaitingFor::Permission),
        RegistryStatus::Waiting(WaitingFor::Dialog),
        RegistryStatus::Unknown,
    ]));
    let entry = (
        status,
        name(&["id-one", "id-two"]),
        name(&["a name"]),
        stamp(),
        stamp(),
    )
        .prop_map(
            |(status, session_id, title, status_at, updated_at)| RegistryEntry {
                session_id,
                cwd: Some("/src".into()),
                title,
                attended: Some(true),
                started_at: None,
                updated_at: updated_at.cast_unsigned(),
                status,
                status_at: status_at.cast_unsigned(),
            },
        );
    (
        reported_process(),
        prop::bool::weighted(0.8),
        prop::option::weighted(0.9, entry),
    )
        .prop_map(|(process, alive, entry)| RegistryUpdate {
            timing: agents::DEFAULT.timing,
            agent: "claude-code".into(),
            process: process.unwrap_or(ReportedProcess {
                pid: 99,
                start: None,
                namespace: None,
            }),
            alive,
            tty: None,
            entry,
        })
}

fn stamp() -> impl Strategy<Value = i64> {
    prop_oneof![
        5 => Just(0_i64),
        3 => -1000..1000_i64,
        1 => Just(1_000_000_000),
    ]
}

fn name(of: &'static [&'static str]) -> impl Strategy<Value = Option<Box<str>>> {
    prop::option::of(select(of)).prop_map(|name| name.map(Into::into))
}

fn agent_event() -> impl Strategy<Value = AgentEvent> {
    (
        event_kind(),
        name(&["id-one", "id-two", "id-three"]),
        name(&["s1", "s2"]),
        name(&["p1", "p2"]),
        name(&["a title"]),
        prop_oneof![4 => Just(Vec::new()), 1 => limits()],
    )
        .prop_map(
            |(kind, session_id, subagent, prompt_id, title, limits)| AgentEvent {
                name: "Event".into(),
                session_id,
                cwd: Some("/src".into()),
                permission_mode: None,
                model: None,
                title,
                subagent,
                prompt_id,
                context_percent: None,
                cost_usd: None,
                limits,
                kind,
            },
        )
}

fn reported_process() -> impl Strategy<Value = Option<ReportedProcess>> {
    let of = |process: ProcessId, start, namespace| ReportedProcess {
        pid: process.pid,
        start,
        namespace,
    };
    prop_oneof![
        6 => select(&PROCESSES).prop_map(move |p| Some(of(p, Some(p.start), Some(NAMESPACE)))),
        1 => select(&PROCESSES).prop_map(move |p| Some(of(p, Some(p.start), Some(5)))),
        1 => select(&PROCESSES).prop_map(move |p| Some(of(p, None, Some(NAMESPACE)))),
        1 => Just(None),
    ]
}

/// A report, stamped up to a second early or late, or far in the future; relative to an epoch that `Op` adds.
fn report() -> impl Strategy<Value = Ask> {
    (
        stamp(),
        reported_process(),
        prop::option::of(any::<bool>()),
        prop::option::weighted(0.95, agent_event()),
        select(&["claude-code", "codex"]),
    )
        .prop_map(|(stamp, process, attended, event, agent)| {
            Ask::Report(Box::new(Report {
                timing: agents::DEFAULT.timing,
                agent: agent.into(),
                // Made absolute when it is sent.
                at: stamp.cast_unsigned(),
                process,
                attended,
                terminal: None,
                config_dir: Some("/home/dev/.claude".into()),
                event,
            }))
        })
}

fn session_name() -> impl Strategy<Value = String> {
    select(&[
        "job-alpha-one",
        "job-alpha-two",
        "job-alpha",
        "id-one",
        "id-two",
        "claude-code-11-111",
        "claude-code-1",
        "codex-12",
        "nobody",
        "j",
    ])
    .prop_map(str::to_owned)
}

fn set() -> impl Strategy<Value = Ask> {
    let status = select(&[
        Status::Working,
        Status::Waiting,
        Status::Idle,
        Status::Error,
        Status::Closed,
    ]);
    (
        session_name(),
        status,
        prop::option::weighted(0.3, 0..PROCESSES.len()),
    )
        .prop_map(|(session, status, process)| {
            let process = process.map(|number| PROCESSES[number]);
            let params = SetParams {
                session,
                agent: None,
                status,
                waiting_for: None,
                reason: Some("because\n\"so\"".into()),
                title: None,
                cwd: None,
                pid: process.map(|process| process.pid),
            };
            Ask::Set(Box::new(params), process)
        })
}

fn request() -> impl Strategy<Value = Ask> {
    let of_session = |request: fn(SessionParams) -> Request| {
        session_name().prop_map(move |session| Ask::Request(request(SessionParams { session })))
    };
    prop_oneof![
        20 => report(),
        8 => set(),
        3 => of_session(Request::SessionRemove),
        1 => of_session(Request::SessionGet),
        1 => of_session(Request::SessionExplain),
        1 => any::<bool>().prop_map(|include_closed| {
            Ask::Request(Request::SessionList(ListParams { include_closed }))
        }),
        4 => Just(Ask::Request(Request::Subscribe)),
        1 => Just(Ask::Request(Request::Hello(HelloParams::default()))),
        1 => Just(Ask::Status),
        1 => Just(Ask::Request(Request::UsageGet)),
        2 => Just(Ask::Request(Request::UsageRefresh)),
        1 => Just(Ask::Request(Request::DaemonReload)),
    ]
}

fn new_settings() -> impl Strategy<Value = Settings> {
    (
        prop::option::of(select(&[0, MINUTE, 60 * MINUTE, 2 * STALE_AFTER_MS])),
        0..6_usize,
        any::<bool>(),
        prop::option::of(select(&[MINUTE, 3 * MINUTE])),
    )
        .prop_map(
            |(idle_timeout_ms, history, record_prompts, usage_interval_ms)| Settings {
                idle_timeout_ms,
                history,
                record_prompts,
                usage_interval_ms,
            },
        )
}

fn op() -> impl Strategy<Value = Op> {
    let wait = prop_oneof![
        6 => 0..50_u64,
        2 => 0..2 * MINUTE,
        1 => Just(30 * MINUTE),
        1 => Just(STALE_AFTER_MS / 2),
    ];
    prop_oneof![
        40 => (0..4_usize, any::<bool>(), request()).prop_map(|(c, id, r)| Op::Ask(c, id, r)),
        6 => Just(Op::Connect),
        2 => Just(Op::Disconnect(0)),
        2 => (1..4_usize).prop_map(Op::Disconnect),
        2 => (0..4_usize, any::<bool>(), select(&[ErrorCode::ParseError, ErrorCode::LineTooLong]))
            .prop_map(|(c, id, code)| Op::Refuse(c, id, code)),
        8 => wait.prop_map(Op::Wait),
        2 => Just(Op::Early),
        3 => Just(Op::Due),
        6 => fetched().prop_map(Op::Fetched),
        12 => sighting().prop_map(|sighting| Op::Sighted(sighting.into())),
        4 => (0..PROCESSES.len()).prop_map(Op::Exited),
        1 => (0..PROCESSES.len()).prop_map(Op::Unwatchable),
        2 => prop::result::maybe_err(new_settings(), Just(())).prop_map(Op::Reloaded),
        4 => Just(Op::Drained),
        2 => (0..9_usize).prop_map(Op::Noticed),
    ]
}

/// Mostly a daemon that runs on; now and then one that is stopped at the end.
fn ops() -> impl Strategy<Value = Vec<Op>> {
    let last = prop_oneof![
        Just(vec![]),
        Just(vec![Op::Terminated]),
        any::<bool>().prop_map(|force| {
            vec![Op::Ask(
                0,
                true,
                Ask::Request(Request::DaemonStop(StopParams { force })),
            )]
        }),
    ];
    (
        prop::collection::vec(op(), 1..120),
        last,
        prop::collection::vec(op(), 0..10),
    )
        .prop_map(|(mut ops, last, after)| {
            ops.extend(last);
            ops.extend(after);
            ops
        })
}

/// What a client may ask.
#[derive(Debug, Clone)]
enum Ask {
    Report(Box<Report>),
    /// And the process of its pid.
    Set(Box<SetParams>, Option<ProcessId>),
    Status,
    Request(Request),
}

/// What is remembered of a session from before an input.
#[derive(Debug, PartialEq)]
struct Was {
    touched_ms: u64,
    closed: bool,
    watched: Option<ProcessId>,
}

/// Does what the daemon's loop does, and keeps account.
struct Shell {
    core: CoreHarness,
    /// The connected, each with its copy once it has subscribed and got a snapshot.
    clients: BTreeMap<u64, Client>,
    last_client: u64,
    last_id: u64,
    /// Which requests wait for a reload, by client and id.
    reloading: Vec<(u64, u64)>,
    reloads: usize,
    retiring: bool,
    /// The daemon is about to leave, and may yet stay.
    draining: bool,
    exited: bool,
    watched: BTreeSet<(u32, u64)>,
    /// Who waits for the service to be asked.
    refreshing: Vec<(u64, u64)>,
    /// Since when a child asks.
    fetching: Option<u64>,
    /// The longest history that was ever configured.
    history: usize,
    /// Since when nobody holds the daemon; `None`: somebody does.
    quiet_since: Option<u64>,
    last_unwatched: u64,
}

#[derive(Default)]
struct Client {
    subscribed: bool,
    mirror: Option<Mirror>,
}

fn told(line: &[u8]) -> Update {
    let text = std::str::from_utf8(line).unwrap();
    match codec::incoming(text).unwrap() {
        Incoming::Notification(notification) => Update::Notification(notification),
        other => panic!("{other:?} is no notification"),
    }
}

/// True if it may have the service asked though nobody was subscribed before.
fn wants_limits(input: &Input) -> bool {
    matches!(
        input,
        Input::Request {
            request: Request::Subscribe | Request::UsageRefresh,
            ..
        }
    )
}

/// A line is one line of JSON.
fn parsed(line: &[u8]) -> Value {
    let (end, text) = line.split_last().expect("a line");
    assert_eq!(*end, b'\n');
    assert!(!text.contains(&b'\n'), "a line within the line");
    serde_json::from_slice(text).expect("JSON")
}

impl Shell {
    fn new() -> Self {
        let core = CoreHarness::with(Settings {
            usage_interval_ms: Some(3 * MINUTE),
            ..super::settings()
        });
        let history = super::settings().history;
        Self {
            core,
            clients: BTreeMap::new(),
            last_client: 0,
            last_id: 0,
            reloading: Vec::new(),
            refreshing: Vec::new(),
            fetching: None,
            reloads: 0,
            retiring: false,
            draining: false,
            exited: false,
            watched: BTreeSet::new(),
            history,
            quiet_since: Some(0),
            last_unwatched: 0,
        }
    }

    fn client(&self, place: usize) -> Option<u64> {
        let count = self.clients.len();
        self.clients.keys().nth(place % count.max(1)).copied()
    }

    fn play(&mut self, op: Op) {
        match op {
            Op::Connect => {
                self.last_client += 1;
                self.clients.insert(self.last_client, Client::default());
            }
            Op::Ask(place, with_id, request) => self.ask(place, with_id, request),
            Op::Refuse(place, with_id, code) => {
                let Some(client) = self.client(place) else {
                    return;
                };
                let error = Refusal {
                    code,
                    message: "no".into(),
                };
                let input = Input::Refused {
                    client: ClientId(client),
                    id: Decoded::refused(None, error.clone()).id.filter(|_| with_id),
                    error,
                };
                let expected = with_id.then_some((client, None));
                self.step(input, &Vec::from_iter(expected));
            }
            Op::Disconnect(place) => {
                if let Some(client) = self.client(place) {
                    self.gone(client);
                }
            }
            Op::Wait(ms) => drop(self.core.wait(ms)),
            Op::Early => self.tick_early(),
            Op::Due => self.tick_when_due(),
            Op::Sighted(mut sighting) => {
                let now = self.core.now.unix_ms;
                if let Some(entry) = &mut sighting.entry {
                    for stamp in [&mut entry.status_at, &mut entry.updated_at] {
                        *stamp = now.saturating_add_signed(stamp.cast_signed());
                    }
                }
                self.step(Input::RegistryChanged(sighting), &[]);
            }
            Op::Exited(number) => {
                let process = PROCESSES[number];
                if self.watched.remove(&(process.pid, process.start)) {
                    self.step(Input::ProcessExited(process), &[]);
                }
            }
            Op::Unwatchable(number) => {
                let process = PROCESSES[number];
                if self.watched.remove(&(process.pid, process.start)) {
                    self.step(Input::ProcessUnwatchable(process), &[]);
                }
            }
            Op::Reloaded(outcome) => {
                self.reloads = 0;
                let waiting = std::mem::take(&mut self.reloading);
                let expected: Vec<_> = waiting.into_iter().map(|(c, id)| (c, Some(id))).collect();
                if let Ok(settings) = &outcome {
                    self.history = self.history.max(settings.history);
                }
                let outcome = match outcome {
                    Ok(settings) => Ok((settings, Some("the socket moved".into()))),
                    Err(()) => Err("line 1".into()),
                };
                self.step(Input::Reloaded(outcome), &expected);
            }
            Op::Fetched(fetched) => {
                if self.fetching.take().is_some() {
                    self.step(Input::LimitsFetched(fetched), &[]);
                    assert!(self.refreshing.is_empty(), "who waits is answered");
                }
            }
            Op::Drained => {
                if std::mem::take(&mut self.retiring) {
                    self.step(Input::Drained, &[]);
                }
            }
            Op::Terminated => self.step(Input::Terminated, &[]),
            Op::Noticed(number) => {
                let codes = [
                    NoticeCode::ConfigLoaded,
                    NoticeCode::ConfigRefused,
                    NoticeCode::RestartNeeded,
                    NoticeCode::PayloadUnreadable,
                    NoticeCode::LogFailed,
                    NoticeCode::ConnectionsFull,
                    NoticeCode::SessionsFull,
                    NoticeCode::UsageCrossed,
                    NoticeCode::Unknown,
                ];
                let input = Input::Notice {
                    code: codes[number],
                    message: "a\nmessage".into(),
                };
                self.step(input, &[]);
            }
        }
    }

    fn ask(&mut self, place: usize, with_id: bool, ask: Ask) {
        let Some(client) = self.client(place) else {
            return;
        };
        self.last_id += 1;
        let number = self.last_id;
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{number},\"method\":\"hello\"}}");
        let id = codec::decode(line.as_bytes()).id.filter(|_| with_id);
        let later = match ask {
            Ask::Request(Request::DaemonReload) => Some(&mut self.reloading),
            Ask::Request(Request::UsageRefresh) => Some(&mut self.refreshing),
            _ => None,
        };
        let expected = (with_id && later.is_none()).then_some((client, Some(number)));
        if let Some(later) = later.filter(|_| with_id) {
            later.push((client, number));
        }
        let client = ClientId(client);
        let input = match ask {
            Ask::Report(mut report) => {
                let now = self.core.now.unix_ms;
                report.at = now.saturating_add_signed(report.at.cast_signed());
                Input::Reported { client, id, report }
            }
            Ask::Set(params, process) => Input::Set {
                client,
                id,
                params,
                process,
            },
            Ask::Status => Input::StatusAsked {
                client,
                id,
                rss_bytes: Some(1),
            },
            Ask::Request(request) => Input::Request {
                client,
                id,
                request,
            },
        };
        self.step(input, &Vec::from_iter(expected));
    }

    /// A tick before its time does nothing.
    fn tick_early(&mut self) {
        let now = self.core.now.uptime_ms;
        let deadline = self.core.core.next_timeout();
        let early = match deadline {
            Some(due) if due > now => due - 1 - now,
            Some(_) => return,
            None => 1_000_000,
        };
        self.core.wait(early);
        let before = self.snapshot();
        assert!(self.core.take(Input::Timeout).is_empty());
        assert_eq!(self.snapshot(), before);
        assert_eq!(self.core.core.next_timeout(), deadline);
    }

    fn tick_when_due(&mut self) {
        let Some(due) = self.core.core.next_timeout() else {
            return;
        };
        let now = self.core.now.uptime_ms;
        self.core.wait(due.saturating_sub(now));
        self.step(Input::Timeout, &[]);
        let next = self.core.core.next_timeout();
        assert!(
            next.is_none_or(|next| next > self.core.now.uptime_ms),
            "the timer would spin"
        );
    }

    fn gone(&mut self, client: u64) {
        self.clients.remove(&client);
        self.reloading.retain(|(asker, _)| *asker != client);
        self.refreshing.retain(|(asker, _)| *asker != client);
        self.step(Input::Disconnected(ClientId(client)), &[]);
    }

    fn snapshot(&self) -> Snapshot<'static> {
        let text = serde_json::to_string(&self.core.core.snapshot()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn sessions(&self) -> HashMap<Box<str>, Was> {
        let sessions = self.core.core.sessions.iter().map(|session| {
            let was = Was {
                touched_ms: session.touched_ms(),
                closed: session.is_closed(),
                watched: session.watched_while_open(),
            };
            (session.key().into(), was)
        });
        sessions.collect()
    }

    /// One input, its effects carried out, everything checked. `replies`: which answers must come of it, by client
    /// and id (`None`: null).
    fn step(&mut self, input: Input, replies: &[(u64, Option<u64>)]) {
        let seq = self.core.core.feed.seq();
        let before = self.sessions();
        let subscribers = self
            .clients
            .values()
            .filter(|client| client.subscribed)
            .count();
        let may_fetch = subscribers > 0 || wants_limits(&input);
        let is_timeout = matches!(input, Input::Timeout);
        let (was_draining, mut drains_idle) = (self.draining, false);
        let effects = self.core.take(input);
        let mut gone = Vec::new();
        let (mut answered, mut pushed) = (Vec::new(), 0);
        for effect in effects {
            assert!(!self.exited, "{effect:?} after the exit");
            match effect {
                Effect::Reply(ClientId(client), line) => {
                    let answer = (client, self.answered(client, &line));
                    let waited = self.refreshing.iter();
                    let mut waited = waited.map(|(asker, number)| (*asker, Some(*number)));
                    // What had to wait for the service may come with a tick that tells more.
                    if let Some(place) = waited.position(|waits| waits == answer) {
                        self.refreshing.swap_remove(place);
                    } else {
                        assert_eq!(pushed, 0, "an answer after what it caused");
                        answered.push(answer);
                    }
                }
                Effect::Subscribe(ClientId(client)) => {
                    let client = self
                        .clients
                        .get_mut(&client)
                        .expect("who subscribes is there");
                    assert!(!client.subscribed);
                    client.subscribed = true;
                }
                Effect::Broadcast(line) => {
                    pushed += 1;
                    assert_eq!(parsed(&line)["params"]["seq"], seq + pushed);
                    for client in self.clients.values_mut().filter(|client| client.subscribed) {
                        if let Some(mirror) = &mut client.mirror {
                            mirror.apply(told(&line));
                        }
                    }
                }
                Effect::Announce(line) => {
                    pushed += 1;
                    assert_eq!(parsed(&line)["method"], "daemon.stopping");
                    let told_seq = parsed(&line)["params"]["seq"].as_u64().unwrap();
                    assert!(told_seq > seq && (subscribers == 0 || told_seq == seq + pushed));
                    for mirror in self
                        .clients
                        .values_mut()
                        .filter_map(|client| client.mirror.as_mut())
                    {
                        mirror.apply(told(&line));
                    }
                }
                Effect::Disconnect(ClientId(client)) => {
                    assert!(self.clients.contains_key(&client));
                    gone.push(client);
                }
                Effect::Watch(process) => {
                    self.watched.insert((process.pid, process.start));
                }
                Effect::Unwatch(process) => {
                    self.watched.remove(&(process.pid, process.start));
                }
                Effect::WatchRegistry(_, directory) => assert_eq!(&*directory, "/home/dev/.claude"),
                Effect::ScanRegistries => assert_eq!(subscribers, 0),
                Effect::Reload => self.reloads += 1,
                Effect::FetchLimits => {
                    assert!(may_fetch, "nobody looks");
                    self.fetch();
                }
                Effect::KillFetch => {
                    let began = self.fetching.expect("somebody to kill");
                    let is_off = self.core.core.settings.usage_interval_ms.is_none();
                    assert!(is_off || began + FETCH_LIMIT_MS <= self.core.now.uptime_ms);
                }
                Effect::Drain { for_good } => {
                    drains_idle |= !for_good;
                    self.retiring = true;
                    self.draining = true;
                }
                Effect::Resume => {
                    assert!(!self.retiring);
                    self.draining = false;
                }
                Effect::Exit { .. } => self.exited = true,
            }
        }
        assert_eq!(answered, replies, "one answer for each request with an id");
        if subscribers > 0 {
            assert_eq!(
                self.core.core.feed.seq(),
                seq + pushed,
                "a number without a notification"
            );
        }
        if !self.exited {
            self.account(&before);
            if is_timeout && !was_draining {
                let now = self.core.now.uptime_ms;
                let is_due = self.idle_exit_at().is_some_and(|at| at <= now);
                assert_eq!(
                    drains_idle, is_due,
                    "the daemon leaves when it is idle, and only then"
                );
            }
            self.check();
        }
        for client in gone {
            self.gone(client);
        }
    }

    /// A child begins to ask.
    fn fetch(&mut self) {
        assert!(self.core.core.settings.usage_interval_ms.is_some());
        let before = self.fetching.replace(self.core.now.uptime_ms);
        assert!(before.is_none(), "two at a time");
    }

    /// A client is answered: the id of its request.
    fn answered(&mut self, client: u64, line: &[u8]) -> Option<u64> {
        let message = parsed(line);
        let id = message["id"].as_u64();
        assert!(message.get("result").is_some() != message.get("error").is_some());
        let entry = self.clients.get_mut(&client);
        let entry = entry.expect("who is answered is there");
        if message["result"].get("notices").is_some() {
            let snapshot: Snapshot<'static> =
                serde_json::from_value(message["result"].clone()).unwrap();
            let mirror = entry.mirror.get_or_insert_default();
            mirror.apply(Update::Snapshot(snapshot));
        }
        id
    }

    /// Keeps, from outside, the times that the idle time-out counts from.
    fn account(&mut self, before: &HashMap<Box<str>, Was>) {
        let now = self.core.now.uptime_ms;
        let after = self.sessions();
        let holds = |was: &Was| !was.closed && was.watched.is_none();
        for (key, was) in &after {
            let former = before.get(key);
            let touched = former.is_none_or(|former| {
                former.touched_ms != was.touched_ms
                    || former.closed != was.closed
                    || former.watched != was.watched
            });
            if touched && (holds(was) || former.is_some_and(holds)) {
                self.last_unwatched = now;
            }
        }
        if before
            .iter()
            .any(|(key, was)| holds(was) && !after.contains_key(key))
        {
            self.last_unwatched = now;
        }
        let dashboards = self.clients.values().any(|client| client.subscribed);
        let live = after
            .values()
            .any(|was| !was.closed && was.watched.is_some());
        self.quiet_since = match self.quiet_since {
            _ if dashboards || live || !self.refreshing.is_empty() => None,
            None => Some(now),
            since => since,
        };
    }

    /// When the daemon leaves, by this account.
    fn idle_exit_at(&self) -> Option<u64> {
        let from = self.quiet_since?.max(self.last_unwatched);
        Some(from + self.core.core.settings.idle_timeout_ms?)
    }

    fn check(&mut self) {
        let core = &self.core.core;
        let snapshot = self.snapshot();
        for client in self.clients.values().filter(|client| client.subscribed) {
            if let Some(mirror) = &client.mirror {
                let mut fresh = Mirror::default();
                fresh.apply(Update::Snapshot(snapshot.clone()));
                assert_eq!(*mirror, fresh, "mirror == store");
            }
        }

        let sessions = self.sessions();
        let watched: BTreeSet<_> = sessions
            .values()
            .filter(|was| !was.closed)
            .filter_map(|was| was.watched.map(|process| (process.pid, process.start)))
            .collect();
        assert_eq!(
            self.watched, watched,
            "watched == the processes of open sessions"
        );
        let closed = sessions.values().filter(|was| was.closed).count();
        assert!(closed <= MAX_CLOSED);

        for session in &snapshot.sessions {
            assert!(session.previous_session_ids.len() <= 8);
            let ids = session
                .previous_session_ids
                .iter()
                .chain(&session.session_id);
            assert_eq!(
                ids.clone().collect::<BTreeSet<_>>().len(),
                ids.count(),
                "an id twice"
            );
            assert!((1..=self.history.max(1)).contains(&session.history.len()));
            assert!(
                session.history.is_sorted_by_key(|entry| entry.at),
                "{session:?}"
            );
            let last = session.history.last().unwrap();
            assert_eq!(last.status, session.status);
            assert!(last.at <= session.since && session.since <= self.core.now.unix_ms);
            assert_eq!(
                session.waiting_for.is_some(),
                session.status == Status::Waiting
            );
            assert_eq!(session.ended_at.is_some(), session.status == Status::Closed);
            assert_eq!(
                session.end_reason.is_some(),
                session.status == Status::Closed
            );
        }
        assert!(snapshot.notices.len() <= crate::protocol::NOTICES_KEPT);

        let next = core.next_timeout();
        if let Some(expected) = self.idle_exit_at().filter(|_| !self.draining) {
            assert!(
                next.is_some_and(|next| next <= expected),
                "the daemon stays too long"
            );
        }
        let silent = sessions
            .values()
            .filter(|was| !was.closed && was.watched.is_none());
        if let Some(touched) = silent.map(|was| was.touched_ms).min() {
            // A process that can't be watched after all was reported before that was known.
            let stale_at = touched.max(self.last_unwatched) + STALE_AFTER_MS;
            assert!(
                next.is_some_and(|next| next <= stale_at),
                "a session never goes stale"
            );
        }

        self.check_status(&snapshot);
    }

    /// What `daemon.status` says is what the snapshot shows.
    fn check_status(&mut self, snapshot: &Snapshot<'_>) {
        let answer = self.core.ask("daemon.status", &serde_json::json!({}));
        let status: StatusResult<'static> = serde_json::from_value(answer).unwrap();
        let count = |of: Status| {
            let sessions = snapshot
                .sessions
                .iter()
                .filter(|session| session.status == of);
            u32::try_from(sessions.count()).unwrap()
        };
        assert_eq!(status.sessions.working, count(Status::Working));
        assert_eq!(status.sessions.waiting, count(Status::Waiting));
        assert_eq!(status.sessions.idle, count(Status::Idle));
        assert_eq!(status.sessions.error, count(Status::Error));
        assert_eq!(status.sessions.closed, count(Status::Closed));
        assert_eq!(status.seq, snapshot.seq);
        let dashboards = self
            .clients
            .values()
            .filter(|client| client.subscribed)
            .count();
        assert_eq!(status.dashboards as usize, dashboards);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_core_keeps_its_promises(ops in ops()) {
        let mut shell = Shell::new();
        for op in ops {
            if shell.exited {
                // Whatever comes, nothing follows.
                shell.core.wait(STALE_AFTER_MS);
                prop_assert!(shell.core.take(Input::Timeout).is_empty());
                prop_assert!(shell.core.take(Input::Terminated).is_empty());
                prop_assert!(shell.core.take(Input::Drained).is_empty());
                prop_assert_eq!(shell.core.core.next_timeout(), None);
                break;
            }
            shell.play(op);
        }
    }
}
