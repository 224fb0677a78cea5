//! No age changes when the clock is set, while the machine sleeps, or around a restart.

use serde_json::json;

use super::super::rules::{ask, event, prompt, stop, tool};
use super::super::{CoreHarness, KEY, MINUTE, fusion, names, settings};
use super::{HOUR, STEPS};
use crate::agents;
use crate::core::{Core, Input, Saved, Settings, testing};
use crate::event::RegistryStatus;
use crate::format::status::attention_order;
use crate::protocol::NoticeCode;

impl CoreHarness {
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
