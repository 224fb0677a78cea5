//! Random inputs of the core: what clients, agents, registries, processes and the event loop may send.

use std::rc::Rc;

use proptest::prelude::*;
use proptest::sample::select;

use super::restart::End;
use crate::agents::{self, LimitWindow};
use crate::codec::Request;
use crate::core::lifecycle::STALE_AFTER_MS;
use crate::core::testing;
use crate::core::tests::{EPOCH, MINUTE, NAMESPACE};
use crate::core::{AttentionRules, Settings};
use crate::event::{
    AgentEvent, BackgroundTask, EventKind, ProcessRole, PromptOrigin, RegistryEntry,
    RegistryStatus, RegistryUpdate, Remaining, Report, ReportedProcess, Schedule, Source, TaskKind,
    Timing, Tool, TurnEvent,
};
use crate::limits::{Account, FetchFailure, FetchOutcome, FetchProblem, Limit};
use crate::os::process::ProcessId;
use crate::protocol::{
    ErrorCode, HelloParams, ListParams, SessionParams, SetParams, Status, StopParams,
    SubscribeParams, Terminal, WaitingFor,
};

/// The processes that agents and scripts run in.
pub(super) const PROCESSES: [ProcessId; 3] = [
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

/// By how much the wall clock is set, in ms.
const CLOCK_STEPS: [i64; 6] = [-3_600_000, 3_600_000, 90_000_000, -86_400_000, -2000, 700];

/// One step of a run.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Connect,
    /// A client, by its place among the connected ones, sends a request, with an id if the flag is set.
    Ask(usize, bool, Ask),
    Refuse(usize, bool, ErrorCode),
    Disconnect(usize),
    Wait(u64),
    /// The wall clock is set by so many ms. The loop notices at once if the flag is set, else with the next input.
    ClockSet(i64, bool),
    /// Time passes until a millisecond before the deadline; then a time-out.
    Early,
    /// Time passes until the deadline; then a time-out.
    Due,
    RegistryChanged(Box<RegistryUpdate>),
    Exited(usize),
    /// A look at a process shows whether it is stopped.
    Seen(usize, bool),
    Unwatchable(usize),
    /// The child that fetches the limits has ended.
    Fetched(FetchOutcome),
    /// The event loop has read the configuration, on request or by a signal.
    Reloaded(Result<Settings, ()>),
    Drained,
    /// A new file takes the place of the one that has grown.
    ReplaceFile,
    /// The daemon ends, and the next one begins.
    Restart(End),
    Terminated,
    Notice(usize),
}

fn limits() -> impl Strategy<Value = Vec<Limit>> {
    let limit = (
        select(&["five_hour", "seven_day"]),
        0..120_u32,
        prop::option::of(0..9_u64),
    );
    let windows = agents::DEFAULT.limits.as_ref().unwrap().windows;
    let limit = limit.prop_map(|(name, used, hours)| {
        let resets_at = hours.map(|hours| EPOCH + hours * 60 * MINUTE);
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
    let kind = select(&[TaskKind::Monitor, TaskKind::Shell, TaskKind::Other]);
    let task = (select(&["b1", "b2", ""]), kind).prop_map(|(id, kind)| BackgroundTask {
        id: id.into(),
        kind,
    });
    let tasks = prop::collection::vec(task, 0..3);
    let time = select(&[0, EPOCH, EPOCH + 60 * MINUTE, u64::MAX]);
    let schedules = prop::collection::vec(prop::option::of(time), 0..2);
    prop_oneof![
        2 => Just(TurnEvent::PromptSubmitted {
            text: Some("fix \"it\"".into()),
            origin: PromptOrigin::Person,
        }),
        2 => name(&["s1", "b1", "b2"]).prop_map(|id| TurnEvent::PromptSubmitted {
            text: None,
            origin: PromptOrigin::Task(id),
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
            id: None,
            waiting_for,
            tool: (waiting_for == WaitingFor::Permission).then(bash),
        }),
        1 => Just(TurnEvent::AskReminded { waiting_for: None }),
        1 => Just(TurnEvent::Answered { id: None }),
        1 => name(&["r1", "r2"]).prop_map(|id| TurnEvent::Answered { id }),
        1 => name(&["r1", "r2"]).prop_map(|id| TurnEvent::Asked {
            id,
            waiting_for: WaitingFor::Permission,
            tool: Some(bash()),
        }),
        2 => Just(TurnEvent::PromptSubmitted {
            text: None,
            origin: PromptOrigin::PersonNow,
        }),
        2 => Just(TurnEvent::Interrupted),
        1 => Just(TurnEvent::Seen),
        1 => Just(TurnEvent::Retrying { error: "rate limited".into() }),
        1 => select(&["b1", "b2"]).prop_map(|id| TurnEvent::TaskStarted(BackgroundTask {
            id: id.into(),
            kind: TaskKind::Shell,
        })),
        1 => select(&["b1", "b2"]).prop_map(|id| TurnEvent::TaskEnded(id.into())),
        1 => select(&[RegistryStatus::Busy, RegistryStatus::Idle]).prop_map(TurnEvent::Status),
        1 => Just(TurnEvent::Ended { remaining: None }),
        1 => Just(TurnEvent::Compacted),
        1 => Just(TurnEvent::IdleReminded),
        3 => (ids, tasks, schedules).prop_map(|(ids, tasks, schedules)| {
            TurnEvent::Ended { remaining: Some(Box::new(Remaining {
                subagents: ids.into_iter().map(Into::into).collect(),
                tasks,
                schedules: schedules.into_iter().map(|at| Schedule { at }).collect(),
            })) }
        }),
        1 => Just(TurnEvent::Failed { error: "rate limited".into() }),
    ]
}

fn event_kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        2 => Just(EventKind::SessionStarted),
        2 => Just(EventKind::SessionSeen),
        1 => Just(EventKind::Detached),
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

/// A registry entry; stamps are relative, as in [`report`].
fn registry_update() -> impl Strategy<Value = RegistryUpdate> {
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
        account(),
    )
        .prop_map(|(process, alive, entry, account)| RegistryUpdate {
            timing: agents::DEFAULT.timing,
            agent: "claude-code".into(),
            process: process.unwrap_or(ReportedProcess {
                pid: 99,
                start: None,
                namespace: None,
            }),
            alive,
            tty: alive.then(|| "/dev/pts/1".into()),
            account,
            entry,
        })
}

/// Accounts whose logins change, are shared, or are not known.
fn account() -> impl Strategy<Value = Option<Rc<Account>>> {
    let known = (
        select(&["default", "work", "home"]),
        select(&[None, Some(1), Some(2)]),
    );
    let known = known.prop_map(|(name, login)| Rc::new(testing::account(name, login)));
    prop::option::weighted(0.8, known)
}

fn stamp() -> impl Strategy<Value = i64> {
    prop_oneof![
        5 => Just(0_i64),
        3 => -1000..1000_i64,
        1 => -5000..-1000_i64,
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
        prop::option::weighted(0.2, Just("a title".into())),
        prop_oneof![4 => Just(Vec::new()), 1 => limits()],
        (
            name(&["/src", "/else"]),
            name(&["plan"]),
            name(&["opus", "haiku"]),
            prop::option::of(select(&[1_u8, 50])),
            name(&["which?"]),
            prop::option::weighted(0.2, any::<bool>()),
        ),
    )
        .prop_map(
            |(kind, session_id, subagent, prompt_id, title, limits, present)| AgentEvent {
                name: "Event".into(),
                session_id,
                cwd: present.0,
                permission_mode: present.1,
                model: present.2,
                title,
                subagent,
                prompt_id,
                context_percent: present.3.map(f32::from),
                cost_usd: present.3.map(f64::from),
                question: present.4,
                attended: present.5,
                transcript: None,
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

/// A report, stamped up to a second early or late, or far in the future. The stamp is relative; the driver adds the
/// current time.
fn report() -> impl Strategy<Value = Ask> {
    let how = (
        select(&[Source::Hook, Source::File]),
        prop::option::weighted(0.3, prop::option::of(reported_process())),
        prop::sample::select(vec![0, 300]),
    );
    (
        stamp(),
        reported_process(),
        prop::option::of(any::<bool>()),
        prop::option::weighted(0.95, agent_event()),
        select(&["claude-code", "codex"]),
        account(),
        how,
        name(&["%1", "%2"]),
    )
        .prop_map(
            |(stamp, process, attended, event, agent, account, how, pane)| {
                let (source, shared, settle_end_ms) = how;
                let report = Box::new(Report {
                    timing: Timing {
                        settle_end_ms,
                        ..agents::DEFAULT.timing
                    },
                    agent: agent.into(),
                    at: stamp.cast_unsigned(),
                    process,
                    attended,
                    terminal: pane.map(|pane| {
                        Box::new(Terminal {
                            tmux_pane: Some(pane),
                            ..Terminal::default()
                        })
                    }),
                    config_dir: Some("/home/dev/.claude".into()),
                    account,
                    source,
                    role: match shared {
                        None => ProcessRole::Own,
                        Some(client) => ProcessRole::Shared {
                            client: client.flatten(),
                        },
                    },
                    event,
                });
                match source {
                    Source::Hook => Ask::Report(report),
                    Source::File => Ask::Observed(report),
                }
            },
        )
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
        "unknown",
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
    let text = |of: &'static str| prop::option::weighted(0.3, Just(of.to_owned()));
    (
        session_name(),
        status,
        prop::option::weighted(0.3, 0..PROCESSES.len()),
        any::<bool>(),
        (text("a script's"), text("/job"), text("because\n\"so\"")),
    )
        .prop_map(|(session, status, process, runs, (title, cwd, reason))| {
            let process = process.map(|number| PROCESSES[number]);
            let params = SetParams {
                session,
                agent: None,
                status,
                waiting_for: None,
                reason,
                title,
                cwd,
                pid: process.map(|process| process.pid),
            };
            Ask::Set(Box::new(params), process, runs)
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
        3 => of_session(Request::SessionSeen),
        1 => of_session(Request::SessionGet),
        1 => of_session(Request::SessionExplain),
        1 => any::<bool>().prop_map(|include_closed| {
            Ask::Request(Request::SessionList(ListParams { include_closed }))
        }),
        4 => Just(Ask::Request(Request::Subscribe(SubscribeParams::default()))),
        2 => Just(Ask::SubscribeAgain),
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
        prop::option::of(select(&[MINUTE, 10 * MINUTE])),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(
                idle_timeout_ms,
                history,
                record_prompts,
                usage_interval_ms,
                quiet_after_ms,
                background_shell,
                quiet,
            )| {
                Settings {
                    idle_timeout_ms,
                    history,
                    record_prompts,
                    persist: true,
                    usage_interval_ms,
                    attention: AttentionRules {
                        background_shell,
                        quiet,
                    },
                    quiet_after_ms,
                }
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
        3 => (select(&CLOCK_STEPS), any::<bool>()).prop_map(|(by, noticed)| Op::ClockSet(by, noticed)),
        2 => Just(Op::Early),
        3 => Just(Op::Due),
        6 => fetched().prop_map(Op::Fetched),
        12 => registry_update().prop_map(|registry_update| Op::RegistryChanged(registry_update.into())),
        4 => (0..PROCESSES.len()).prop_map(Op::Exited),
        4 => (0..PROCESSES.len(), any::<bool>()).prop_map(|(number, stopped)| Op::Seen(number, stopped)),
        1 => (0..PROCESSES.len()).prop_map(Op::Unwatchable),
        2 => prop::result::maybe_err(new_settings(), Just(())).prop_map(Op::Reloaded),
        4 => Just(Op::Drained),
        2 => (0..9_usize).prop_map(Op::Notice),
        1 => Just(Op::ReplaceFile),
        3 => select(&[End::Killed, End::InOrder]).prop_map(Op::Restart),
    ]
}

/// Mostly a daemon that keeps running; now and then one that is stopped at the end.
pub(super) fn ops() -> impl Strategy<Value = Vec<Op>> {
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

/// What the sources of one session say, late by up to some seconds: much of it too late to change anything.
pub(super) fn late_ops() -> impl Strategy<Value = Vec<Op>> {
    let process = ReportedProcess {
        pid: PROCESSES[0].pid,
        start: Some(PROCESSES[0].start),
        namespace: Some(NAMESPACE),
    };
    let late = || -6000..=0_i64;
    let is_prompt = prop::bool::weighted(0.3);
    let reported = (report(), late(), is_prompt).prop_map(move |(mut ask, stamp, is_prompt)| {
        if let Ask::Report(report) | Ask::Observed(report) = &mut ask {
            report.at = stamp.cast_unsigned();
            report.agent = "claude-code".into();
            report.process = Some(process);
            report.role = ProcessRole::Own;
            if let Some(event) = report.event.as_mut().filter(|_| is_prompt) {
                event.title = None;
                event.kind = EventKind::Turn(TurnEvent::PromptSubmitted {
                    text: Some("a late prompt".into()),
                    origin: PromptOrigin::Person,
                });
            }
        }
        Op::Ask(0, true, ask)
    });
    let changed =
        (registry_update(), late(), late()).prop_map(move |(mut update, status_at, updated_at)| {
            update.process = process;
            if let Some(entry) = &mut update.entry {
                entry.status_at = status_at.cast_unsigned();
                entry.updated_at = updated_at.cast_unsigned();
            }
            Op::RegistryChanged(update.into())
        });
    let op = prop_oneof![
        6 => reported,
        1 => changed,
        1 => Just(Op::Due),
        3 => (0..3000_u64).prop_map(Op::Wait),
    ];
    prop::collection::vec(op, 1..25).prop_map(|ops| {
        let mut all = vec![Op::Connect];
        all.extend(ops);
        all
    })
}

/// A client's request.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Report(Box<Report>),
    /// Of a file: no client sends it.
    Observed(Box<Report>),
    /// With the process that its pid belongs to, and whether those of a closed session still run.
    Set(Box<SetParams>, Option<ProcessId>, bool),
    Status,
    /// `subscribe` with what the client has.
    SubscribeAgain,
    Request(Request),
}
