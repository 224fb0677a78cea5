//! The wall clock is set, the machine sleeps, a source's clock is wrong: no status stands still, and no age changes.

use serde_json::json;

use super::registry::{entry, update};
use super::rules::{ask, end, event, prompt, start, stop, tool};
use super::*;
use crate::event::{
    AgentEvent, EventKind, ProcessRole, RegistryEntry, RegistryStatus, Report, Source, TurnEvent,
};
use crate::format::status::attention_order;
use crate::protocol::WaitingFor;

const HOUR: i64 = 3_600_000;

/// By how much the clock is set, one after the other.
const STEPS: [&[i64]; 6] = [
    &[-HOUR],
    &[HOUR],
    &[-HOUR, HOUR],
    &[HOUR, -HOUR],
    &[-HOUR, -24 * HOUR],
    &[72 * HOUR, -HOUR],
];

const PERMISSION: RegistryStatus = RegistryStatus::Waiting(WaitingFor::Permission);

impl CoreHarness {
    /// The wall clock is set. The loop does not notice before the next input.
    fn set_clock(&mut self, by: i64) {
        self.now.unix_ms = self.now.unix_ms.saturating_add_signed(by);
    }

    /// The registry has this status since now.
    fn registered(&mut self, status: RegistryStatus) {
        let at = self.now.unix_ms;
        self.sees(update(Some(RegistryEntry {
            started_at: None,
            ..entry(status, at)
        })));
    }

    /// An agent's file shows an event, stamped so.
    fn file_shows(&mut self, at: u64, event: TurnEvent) {
        self.take(Input::Observed(Box::new(Report {
            agent: "claude-code".into(),
            at,
            process: Some(crate::event::ReportedProcess {
                pid: CLAUDE.pid,
                start: Some(CLAUDE.start),
                namespace: Some(NAMESPACE),
            }),
            attended: Some(true),
            terminal: None,
            config_dir: None,
            account: None,
            timing: agents::DEFAULT.timing,
            source: Source::File,
            role: ProcessRole::Own,
            event: Some(AgentEvent::new("line", EventKind::Turn(event))),
        })));
    }

    /// The keys of the sessions that need a person, the one that has waited for longest first.
    fn in_order(&self) -> Vec<String> {
        let sessions = self.core.sessions.iter();
        let rules = self.core.settings.attention;
        let mut records: Vec<_> = sessions.map(|session| session.record(rules)).collect();
        records.retain(|record| record.attention);
        records.sort_by(attention_order);
        records
            .iter()
            .map(|record| record.key.to_string())
            .collect()
    }
}

#[test]
fn a_session_of_the_registry_alone_goes_on() {
    for steps in STEPS {
        let mut core = CoreHarness::new();
        core.registered(RegistryStatus::Busy);
        core.pass(60_000);
        assert_eq!(core.shown(KEY), "working");
        for by in steps {
            core.set_clock(*by);
            core.pass(400);
            core.registered(RegistryStatus::Idle);
            core.pass(400);
            assert_eq!(core.shown(KEY), "idle!", "{steps:?}");
            core.registered(PERMISSION);
            assert_eq!(
                core.shown(KEY),
                "waiting/permission!: permission",
                "{steps:?}"
            );
            assert_eq!(core.get(KEY).since, core.now.unix_ms);
            core.pass(400);
            core.registered(RegistryStatus::Busy);
            core.pass(400);
            assert_eq!(core.shown(KEY), "working", "{steps:?}");
        }
        core.hook(&prompt("p1", "hi"));
        core.pass(400);
        core.hook(&stop("p1", &json!([])));
        core.registered(RegistryStatus::Idle);
        assert_eq!(core.shown(KEY), "idle!", "{steps:?}");
    }
}

#[test]
fn hooks_and_registry_go_on() {
    for steps in STEPS {
        let mut core = CoreHarness::new();
        core.hook(&start("startup"));
        core.pass(1000);
        for by in steps {
            core.hook(&prompt("p1", "hi"));
            core.pass(60);
            core.registered(RegistryStatus::Busy);
            core.pass(1000);
            core.set_clock(*by);
            // A dialog that the registry alone shows, and Esc.
            core.registered(PERMISSION);
            assert_eq!(
                core.shown(KEY),
                "waiting/permission!: permission",
                "{steps:?}"
            );
            core.pass(1200);
            core.registered(RegistryStatus::Idle);
            core.pass(400);
            assert_eq!(core.shown(KEY), "idle", "{steps:?}");
            // A permission that a hook reports, and "No".
            core.hook(&prompt("p2", "again"));
            core.pass(60);
            core.registered(RegistryStatus::Busy);
            core.hook(&ask("p2", "ls"));
            assert_eq!(core.shown(KEY), "waiting/permission!: permission: Bash ls");
            core.pass(60);
            core.registered(PERMISSION);
            core.set_clock(-by);
            core.pass(1000);
            core.registered(RegistryStatus::Idle);
            assert_eq!(core.shown(KEY), "idle", "{steps:?}");
            core.set_clock(*by);
            core.pass(1000);
        }
    }
}

#[test]
fn every_moment_stays_as_long_ago() {
    let mut core = CoreHarness::with(Settings {
        quiet_after_ms: Some(MINUTE),
        ..settings()
    });
    core.ask("subscribe", &json!({}));
    core.ask(
        "session.set",
        &json!({"session": "early", "status": "waiting"}),
    );
    core.ask(
        "session.set",
        &json!({"session": "over", "status": "closed"}),
    );
    core.pass(1000);
    core.hook(&prompt("p1", "a"));
    core.pass(10);
    core.hook(&tool("p1", "make"));
    core.take(Input::Notice {
        code: NoticeCode::LogFailed,
        message: "no room".into(),
    });
    core.pass(5 * MINUTE);
    let ages = |core: &CoreHarness| {
        let keys = [KEY, "early", "over"];
        keys.map(|key| {
            let mut ages = serde_json::to_value(core.get(key)).unwrap();
            fusion::make_ages(&mut ages, core.now.unix_ms);
            ages
        })
    };
    let sent = serde_json::to_value(core.core.feed.notices()).unwrap();
    let before = ages(&core);
    assert!(core.get(KEY).quiet_since.is_some());
    for by in STEPS.into_iter().flatten() {
        core.set_clock(*by);
        let effects = core.take(Input::Timeout);
        // Each session once.
        assert_eq!(names(&effects), ["broadcast"; 3]);
        assert_eq!(ages(&core), before);
        // A notice keeps the time at which it was sent.
        assert_eq!(
            serde_json::to_value(core.core.feed.notices()).unwrap(),
            sent
        );
    }
}

#[test]
fn a_clock_that_is_slewed_sends_nothing() {
    let mut core = CoreHarness::new();
    core.ask("subscribe", &json!({}));
    core.hook(&prompt("p1", "a"));
    let since = core.get(KEY).since;
    for _ in 0..1000 {
        core.wait(10_000);
        core.set_clock(-5);
        assert!(core.take(Input::Timeout).is_empty());
    }
    assert_eq!(core.get(KEY).since, since);
    core.hook(&stop("p1", &json!([])));
    assert_eq!(core.shown(KEY), "idle!");
}

#[test]
fn who_has_waited_for_longest_comes_first() {
    for steps in STEPS {
        let mut core = CoreHarness::new();
        let mut expected = Vec::new();
        for number in 0..=steps.len() {
            let key = format!("job-{number}");
            core.ask("session.set", &json!({"session": key, "status": "waiting"}));
            expected.push(key);
            core.wait(1000);
            core.set_clock(steps.get(number).copied().unwrap_or(0));
        }
        core.take(Input::Timeout);
        assert_eq!(core.in_order(), expected, "{steps:?}");
    }
}

#[test]
fn a_stamp_of_the_future_or_of_long_ago_counts_as_now() {
    for wrong in [HOUR, -HOUR, 240 * HOUR, -240 * HOUR] {
        let mut core = CoreHarness::new();
        // Right and wrong clocks beside each other.
        for round in 0..3 {
            let id = format!("p{round}");
            let wrong_at = |core: &CoreHarness| core.now.unix_ms.saturating_add_signed(wrong);
            let at = wrong_at(&core);
            core.hook_at(at, true, &prompt(&id, "a"));
            assert_eq!(core.shown(KEY), "working", "{wrong}");
            assert_eq!(core.get(KEY).since, core.now.unix_ms);
            core.pass(500);
            let at = wrong_at(&core);
            core.file_shows(at, TurnEvent::Interrupted);
            assert_eq!(core.shown(KEY), "idle", "{wrong}");
            core.pass(500);
            core.ask("session.set", &json!({"session": KEY, "status": "waiting"}));
            core.pass(500);
            let at = wrong_at(&core);
            core.hook_at(at, true, &prompt(&format!("q{round}"), "a"));
            assert_eq!(core.shown(KEY), "working", "{wrong}");
            core.pass(500);
            // It is stamped before what it follows, by as much as hooks may be late.
            let at = wrong_at(&core);
            core.hook_at(at, true, &stop(&format!("q{round}"), &json!([])));
            core.hook_at(at - 80, true, &tool(&format!("q{round}"), "make"));
            assert_eq!(core.shown(KEY), "idle!", "{wrong}");
            core.pass(500);
            // Its clock is set right, and wrong again.
            core.hook(&prompt(&format!("r{round}"), "a"));
            assert_eq!(core.shown(KEY), "working", "{wrong}");
            core.pass(500);
            core.hook(&stop(&format!("r{round}"), &json!([])));
            assert_eq!(core.shown(KEY), "idle!", "{wrong}");
            core.pass(2000);
        }
        let session = core.get(KEY);
        let moments = session.history.iter().map(|entry| entry.at);
        assert!(moments.is_sorted() && session.since <= core.now.unix_ms);
    }
}

#[test]
fn a_registry_of_the_future_goes_on() {
    let mut core = CoreHarness::new();
    core.ask("subscribe", &json!({}));
    let ahead = |core: &mut CoreHarness, status| {
        let at = core.now.unix_ms + HOUR.unsigned_abs();
        let update = update(Some(RegistryEntry {
            started_at: Some(at),
            ..entry(status, at)
        }));
        core.sees(update.clone());
        update
    };
    ahead(&mut core, RegistryStatus::Busy);
    core.pass(400);
    assert_eq!(core.shown(KEY), "working");
    assert!(core.get(KEY).started_at <= core.now.unix_ms);
    core.hook(&prompt("p1", "a"));
    core.pass(400);
    let last = ahead(&mut core, RegistryStatus::Idle);
    core.pass(400);
    assert_eq!(core.shown(KEY), "idle");
    // The same entry, read again, is nothing new.
    let effects = core.take(Input::RegistryChanged(Box::new(last)));
    assert!(!names(&effects).contains(&"broadcast"), "{effects:?}");
}

#[test]
fn an_entry_that_is_read_again_after_a_jump_is_nothing_new() {
    for steps in STEPS {
        let mut core = CoreHarness::new();
        core.ask("subscribe", &json!({}));
        core.pass(1000);
        let at = core.now.unix_ms;
        let update = update(Some(entry(RegistryStatus::Busy, at)));
        core.sees(update.clone());
        core.pass(MINUTE);
        core.hook(&prompt("p1", "a"));
        core.hook(&stop("p1", &json!([])));
        for by in steps {
            core.set_clock(*by);
            core.take(Input::Timeout);
            // Also when the clock shows again what it has shown before.
            for _ in 0..3 {
                let before = serde_json::to_value(core.get(KEY)).unwrap();
                let effects = core.take(Input::RegistryChanged(Box::new(update.clone())));
                assert!(
                    !names(&effects).contains(&"broadcast"),
                    "{steps:?}: {effects:?}"
                );
                assert_eq!(serde_json::to_value(core.get(KEY)).unwrap(), before);
                core.pass(31 * MINUTE);
            }
        }
    }
}

/// A hook that fired before the clock was set, and is read after it.
#[test]
fn what_was_on_its_way_takes_its_place() {
    for by in [-HOUR, HOUR, -24 * HOUR] {
        let mut core = CoreHarness::new();
        core.hook(&prompt("p1", "a"));
        core.pass(100);
        let before = core.now.unix_ms;
        core.pass(10);
        core.set_clock(by);
        core.pass(10);
        core.hook(&stop("p1", &json!([])));
        core.hook_at(before, true, &tool("p1", "make"));
        assert_eq!(core.shown(KEY), "idle!", "{by}");
        assert_eq!(core.get(KEY).since, core.now.unix_ms, "{by}");
    }
}

#[test]
fn an_end_is_one_whatever_the_clock_shows() {
    for steps in STEPS {
        let mut core = CoreHarness::new();
        core.registered(RegistryStatus::Idle);
        core.pass(1000);
        core.take(Input::ProcessExited(CLAUDE));
        core.set_clock(steps[0]);
        core.pass(100);
        // The entry's removal, which the exit has overtaken.
        core.sees(update(None));
        let reason = core.get(KEY).end_reason.unwrap();
        assert_eq!(reason.as_str(), "exited", "{steps:?}");
        // An entry from before the end does not reopen it; a hook's new start does.
        core.sees(update(Some(entry(RegistryStatus::Busy, EPOCH))));
        assert_eq!(core.shown(KEY), "closed", "{steps:?}");
        core.hook(&start("resume"));
        assert_eq!(core.shown(KEY), "idle", "{steps:?}");
        core.hook(&end("prompt_input_exit"));
        assert_eq!(core.shown(KEY), "closed", "{steps:?}");
    }
}

/// What an entry says of conversation and title counts, whatever the clock shows.
#[test]
fn a_conversation_is_named_whatever_the_clock_shows() {
    for steps in STEPS {
        let mut core = CoreHarness::new();
        core.hook(&start("startup"));
        for (number, by) in steps.iter().enumerate() {
            core.set_clock(*by);
            core.pass(1000);
            let at = core.now.unix_ms;
            core.sees(update(Some(RegistryEntry {
                session_id: Some(format!("id-{number}").into()),
                title: Some(format!("title {number}").into()),
                ..entry(RegistryStatus::Idle, at)
            })));
            let session = core.get(KEY);
            assert_eq!(session.session_id, Some(format!("id-{number}").into()));
            assert_eq!(session.title, Some(format!("title {number}").into()));
        }
    }
}

#[test]
fn a_scheduled_prompt_keeps_its_time_of_day() {
    let crons = json!([{"id": "c1", "schedule": "* * * * *"}]);
    let armed = |core: &mut CoreHarness| {
        core.hook(&prompt("p1", "a"));
        let fields = json!({"prompt_id": "p1", "background_tasks": [], "session_crons": crons});
        core.hook(&event("Stop", &fields));
        core.get(KEY).resumes[0].at
    };
    for by in [-HOUR, HOUR] {
        let mut core = CoreHarness::new();
        let at = armed(&mut core);
        core.pass(1000);
        core.set_clock(by);
        core.take(Input::Timeout);
        let resumes = core.get(KEY).resumes[0].at;
        // One whose time was skipped is due now.
        assert_eq!(resumes, at.map(|at| at.max(core.now.unix_ms)), "{by}");
        assert_eq!(core.shown(KEY), "idle: 1 prompt is scheduled");
        let left = resumes.unwrap() - core.now.unix_ms;
        core.pass(left + agents::DEFAULT.timing.overdue_ms);
        assert_eq!(core.shown(KEY), "idle!", "{by}");
    }
}

#[test]
fn what_became_due_while_the_machine_slept_is_right_with_the_first_input_after() {
    let night = 8 * 60 * MINUTE;
    let mut core = CoreHarness::with(Settings {
        quiet_after_ms: Some(10 * MINUTE),
        ..settings()
    });
    core.ask("subscribe", &json!({}));
    core.hook(&prompt("p1", "a"));
    core.ask(
        "session.set",
        &json!({"session": "asks", "status": "waiting"}),
    );
    let slept_at = core.now.unix_ms;
    core.wait(night);
    let sent = core.take(Input::Timeout);
    assert_eq!(names(&sent), ["inspect", "broadcast"]);
    assert_eq!(core.get(KEY).quiet_since, Some(slept_at));
    assert_eq!(core.get("asks").since, slept_at);
    core.hook(&stop("p1", &json!([])));
    assert_eq!(core.shown(KEY), "idle!");
    assert_eq!(core.get(KEY).quiet_since, None);
    // Three nights without a sign.
    core.wait(2 * night);
    core.take(Input::Timeout);
    assert_eq!(core.shown("asks"), "closed");
    // Its clock is wrong when it wakes, and is then set right.
    core.hook(&prompt("p2", "a"));
    core.now.uptime_ms += night;
    core.hook(&tool("p2", "make"));
    core.set_clock(8 * HOUR);
    core.hook(&stop("p2", &json!([])));
    assert_eq!(core.shown(KEY), "idle!");
    assert_eq!(core.get(KEY).since, core.now.unix_ms);
}

impl CoreHarness {
    /// The daemon is killed, and another one goes on from these lines.
    fn restarts_from(&mut self, file: &[u8]) {
        let mut saved = Saved::default();
        for line in file.split_inclusive(|byte| *byte == b'\n') {
            saved.take(line.strip_suffix(b"\n").unwrap()).unwrap();
        }
        let settings = self.core.settings;
        self.core = Core::restore(testing::info(), settings, saved, self.now);
        self.core.end_turn();
        self.take(Input::RegistriesRead);
    }
}

/// Set while a daemon runs, while none does, and both.
#[test]
fn a_clock_that_is_set_around_a_restart_changes_no_age() {
    for [before, meanwhile] in [
        [0, -HOUR],
        [0, HOUR],
        [-HOUR, 0],
        [HOUR, -HOUR],
        [-HOUR, -HOUR],
    ] {
        let mut core = CoreHarness::with(Settings {
            persist: true,
            ..settings()
        });
        let mut file = Vec::new();
        core.core.save_all(&mut file).unwrap();
        core.ask(
            "session.set",
            &json!({"session": "asks", "status": "waiting"}),
        );
        core.hook(&prompt("p1", "a"));
        core.core.save(&mut file).unwrap();
        core.pass(5 * MINUTE);
        core.hook(&tool("p1", "make"));
        core.set_clock(before);
        core.take(Input::Timeout);
        core.hook(&ask("p1", "make"));
        core.core.save(&mut file).unwrap();
        let now = core.now.unix_ms;
        let ages = |core: &mut CoreHarness, now: u64| {
            ["asks", KEY].map(|key| {
                let mut answer = core.ask("session.explain", &json!({"session": key}));
                fusion::make_ages(&mut answer, now);
                answer
            })
        };
        let expected = ages(&mut core, now);
        core.set_clock(meanwhile);
        core.restarts_from(&file);
        let now = now.saturating_add_signed(meanwhile);
        assert_eq!(ages(&mut core, now), expected, "{before} {meanwhile}");
        core.pass(100);
        core.hook(&stop("p1", &json!([])));
        assert_eq!(core.shown(KEY), "idle!", "{before} {meanwhile}");
        core.pass(100);
        core.registered(RegistryStatus::Busy);
        core.pass(400);
        assert_eq!(core.shown(KEY), "working", "{before} {meanwhile}");
    }
}
