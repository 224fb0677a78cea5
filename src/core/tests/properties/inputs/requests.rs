//! What clients send, and the settings that a reload brings.

use proptest::prelude::*;
use proptest::sample::select;

use super::evidence::report;
use super::{Ask, PROCESSES};
use crate::codec::Request;
use crate::core::lifecycle::STALE_AFTER_MS;
use crate::core::tests::MINUTE;
use crate::core::{AttentionRules, ReminderRules, Settings};
use crate::protocol::{HelloParams, ListParams, SessionParams, SetParams, Status, SubscribeParams};
use crate::reminders::Causes;

pub(super) fn request() -> impl Strategy<Value = Ask> {
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
        1 => any::<(bool, bool)>().prop_map(|(include_closed, include_history)| {
            Ask::Request(Request::SessionList(ListParams { include_closed, include_history }))
        }),
        4 => Just(Ask::Request(Request::Subscribe(SubscribeParams::default()))),
        2 => Just(Ask::SubscribeAgain),
        1 => Just(Ask::Request(Request::Hello(HelloParams::default()))),
        1 => Just(Ask::Request(Request::SessionCount)),
        1 => Just(Ask::Status),
        1 => Just(Ask::Request(Request::UsageGet)),
        2 => Just(Ask::Request(Request::UsageRefresh)),
        1 => Just(Ask::Request(Request::DaemonReload)),
    ]
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

fn reminder_rules() -> impl Strategy<Value = ReminderRules> {
    let switches = (
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.8),
    );
    (
        switches,
        select(&[2000, 8000, 10 * MINUTE]),
        prop::option::of(select(&[MINUTE, 60 * MINUTE])),
        select(&[0, 10_000]),
    )
        .prop_map(
            |((is_on, waiting, error, finished), delay_ms, repeat_ms, finished_after_ms)| {
                ReminderRules {
                    is_on,
                    delay_ms,
                    repeat_ms,
                    causes: Causes {
                        waiting,
                        error,
                        finished,
                    },
                    finished_after_ms,
                }
            },
        )
}

pub(super) fn new_settings() -> impl Strategy<Value = Settings> {
    (
        prop::option::of(select(&[0, MINUTE, 60 * MINUTE, 2 * STALE_AFTER_MS])),
        0..6_usize,
        any::<bool>(),
        prop::option::of(select(&[MINUTE, 3 * MINUTE])),
        prop::option::of(select(&[MINUTE, 10 * MINUTE])),
        any::<bool>(),
        any::<bool>(),
        reminder_rules(),
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
                reminders,
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
                    reminders,
                }
            },
        )
}
