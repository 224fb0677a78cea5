//! What agents say: reports of hooks and files, entries of registries.

use proptest::prelude::*;
use proptest::sample::select;

use super::limits::{account, limits};
use super::{Ask, PROCESSES};
use crate::agents;
use crate::core::tests::{EPOCH, MINUTE, NAMESPACE};
use crate::event::{
    AgentEvent, BackgroundTask, EventKind, ProcessRole, PromptOrigin, RegistryEntry,
    RegistryStatus, RegistryUpdate, Remaining, Report, ReportedProcess, Schedule, Source, TaskKind,
    Timing, Tool, TurnEvent,
};
use crate::os::process::ProcessId;
use crate::protocol::{Terminal, WaitingFor};

/// A report, stamped up to a second early or late, or far in the future. The stamp is relative; the driver adds the
/// current time.
pub(super) fn report() -> impl Strategy<Value = Ask> {
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

fn bash() -> Tool {
    Tool {
        name: "Bash".into(),
        detail: Some("make".into()),
    }
}

/// A registry entry; stamps are relative, as in [`report`].
pub(super) fn registry_update() -> impl Strategy<Value = RegistryUpdate> {
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
