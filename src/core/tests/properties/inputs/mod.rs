//! Random inputs of the core: what clients, agents, registries, processes and the event loop may send.

mod evidence;
mod limits;
mod requests;

use proptest::prelude::*;
use proptest::sample::select;

use self::evidence::{registry_update, report};
use self::limits::fetched;
use self::requests::{new_settings, request};
use super::restart::End;
use crate::codec::Request;
use crate::core::Settings;
use crate::core::lifecycle::STALE_AFTER_MS;
use crate::core::tests::{MINUTE, NAMESPACE};
use crate::event::{
    EventKind, ProcessRole, PromptOrigin, RegistryUpdate, Report, ReportedProcess, TurnEvent,
};
use crate::limits::FetchOutcome;
use crate::os::process::ProcessId;
use crate::protocol::{ErrorCode, SetParams, StopParams};
use crate::reminders::MAX_SINGLE;

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
    /// The child that reminds a person has ended; whether it could, and whether each reminder is on the screen.
    Reminded(bool, [bool; MAX_SINGLE]),
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
        6 => (prop::bool::weighted(0.9), any::<[bool; MAX_SINGLE]>())
            .prop_map(|(could, shown)| Op::Reminded(could, shown)),
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
