//! Reminders that sessions need a person, in virtual time: when one is sent, of what, and when it leaves the screen.

mod together;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::core::reminders::JOB_LIMIT_MS;
use crate::reminders::{Cause, Job, MAX_RECORDS, NotificationId, Outcome};

/// A core with a child that ends at once, and a screen.
struct Screen {
    core: CoreHarness,
    /// What the children were to do: the time in ms since the beginning, what leaves the screen, what comes.
    log: Vec<String>,
    last_id: NotificationId,
}

fn rules() -> ReminderRules {
    ReminderRules {
        is_on: true,
        ..testing::NO_REMINDERS
    }
}

fn with(reminders: ReminderRules) -> Settings {
    Settings {
        persist: true,
        reminders,
        ..settings()
    }
}

/// `-7 waiting:a error:b` or `waiting*4:a,b,c,d=7`, where `=7` is the notification that it takes the place of.
fn line(job: &Job) -> String {
    let keys = |records: &[Box<RawValue>]| {
        let key = |record: &RawValue| -> String {
            let record: Value = serde_json::from_str(record.get()).unwrap();
            record["key"].as_str().unwrap().to_owned()
        };
        records
            .iter()
            .map(|record| key(record))
            .collect::<Vec<_>>()
            .join(",")
    };
    let withdrawn = job.withdraw.iter().map(|id| format!("-{id}"));
    let reminders = job.reminders.iter().map(|reminder| {
        let count = match reminder.count {
            1 => String::new(),
            count => format!("*{count}"),
        };
        let replaces = reminder
            .replaces
            .map_or(String::new(), |id| format!("={id}"));
        let cause = reminder.cause.as_str();
        format!("{cause}{count}:{}{replaces}", keys(&reminder.sessions))
    });
    withdrawn.chain(reminders).collect::<Vec<_>>().join(" ")
}

/// The job among the effects.
fn job(effects: &[Effect]) -> Option<&Job> {
    let mut jobs = effects.iter().filter_map(|effect| match effect {
        Effect::Remind(job) => Some(&**job),
        _ => None,
    });
    let first = jobs.next();
    assert!(jobs.next().is_none(), "two jobs in one input");
    first
}

impl Screen {
    fn new(reminders: ReminderRules) -> Self {
        Self {
            core: CoreHarness::with(with(reminders)),
            log: Vec::new(),
            last_id: 0,
        }
    }

    /// A child does what the core wants, and what follows.
    fn carry_out(&mut self, mut effects: Vec<Effect>) {
        while let Some(job) = job(&effects) {
            self.log
                .push(format!("{} {}", self.core.now.uptime_ms, line(job)));
            let ids = self.ids(job);
            effects = self.core.take(Input::Reminded(Outcome::Shown(ids)));
        }
    }

    fn ids(&mut self, job: &Job) -> Vec<Option<NotificationId>> {
        let reminders = job.reminders.iter();
        let id = |replaces: Option<NotificationId>| {
            replaces.or_else(|| {
                self.last_id += 1;
                Some(self.last_id)
            })
        };
        reminders
            .map(|reminder| reminder.replaces)
            .map(id)
            .collect()
    }

    /// A script reports a status.
    fn set(&mut self, session: &str, status: &str) {
        let effects = self.set_only(session, status);
        self.carry_out(effects);
    }

    fn set_only(&mut self, session: &str, status: &str) -> Vec<Effect> {
        let params = json!({"session": session, "status": status});
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "session.set", "params": params});
        self.core.line(&request.to_string())
    }

    fn ask(&mut self, method: &str, session: &str) {
        let request =
            json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"session": session}});
        let effects = self.core.line(&request.to_string());
        self.carry_out(effects);
    }

    /// Lets time pass until `at`, in ms since the beginning, as the loop does: with a time-out at each deadline.
    fn until(&mut self, at: u64) {
        while let Some(due) = self.core.core.next_timeout().filter(|due| *due <= at) {
            let now = self.core.now.uptime_ms;
            self.core.wait(due.saturating_sub(now));
            let effects = self.core.take(Input::Timeout);
            self.carry_out(effects);
        }
        let now = self.core.now.uptime_ms;
        self.core.wait(at - now);
    }

    /// The daemon is killed, and the next one begins.
    fn restart(&mut self) {
        let mut file = Vec::new();
        self.core.core.save_all(&mut file).unwrap();
        let mut saved = Saved::default();
        for line in file
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            saved.take(line).unwrap();
        }
        let settings = self.core.core.settings;
        self.core.core = Core::restore(testing::info(), settings, saved, self.core.now);
        let effects = self.core.take(Input::RegistriesRead);
        self.carry_out(effects);
    }

    #[track_caller]
    fn shows(&mut self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut self.log), expected);
    }
}

const HOUR: u64 = 60 * MINUTE;

#[test]
fn a_session_that_still_needs_a_person_after_the_delay_is_reminded_of_once() {
    let mut screen = Screen::new(rules());
    screen.set("a", "waiting");
    screen.until(7999);
    screen.shows(&[]);
    screen.until(HOUR);
    screen.shows(&["8000 waiting:a"]);
    // The same again.
    screen.set("a", "waiting");
    screen.until(2 * HOUR);
    screen.shows(&[]);
}

/// Rules, statuses of one session, each with its time in ms, and what is shown of it until the end of the hour.
type Row<'a> = (ReminderRules, &'a [(u64, &'a str)], &'a [&'a str]);

#[test]
fn each_episode_is_reminded_of_by_its_cause() {
    let all = rules();
    let long = ReminderRules {
        finished_after_ms: 10_000,
        ..all
    };
    let none = ReminderRules {
        is_on: false,
        ..all
    };
    let only_errors = ReminderRules {
        causes: [Cause::Error].into_iter().collect(),
        ..all
    };
    let rows: &[Row<'_>] = &[
        (all, &[(0, "working")], &[]),
        (all, &[(0, "error")], &["8000 error:a"]),
        (none, &[(0, "error")], &[]),
        (only_errors, &[(0, "waiting")], &[]),
        (only_errors, &[(0, "working"), (60_000, "idle")], &[]),
        (only_errors, &[(0, "error")], &["8000 error:a"]),
        (all, &[(0, "idle")], &[]),
        (all, &[(0, "working"), (1, "idle")], &["8001 finished:a"]),
        // Answered in time.
        (all, &[(0, "waiting"), (7999, "working")], &[]),
        (all, &[(0, "waiting"), (7999, "closed")], &[]),
        // Over: it leaves the screen. The next one counts anew.
        (
            all,
            &[(0, "waiting"), (9000, "working")],
            &["8000 waiting:a", "9000 -1"],
        ),
        (
            all,
            &[(0, "waiting"), (9000, "closed")],
            &["8000 waiting:a", "9000 -1"],
        ),
        (
            all,
            &[(0, "waiting"), (9000, "working"), (10_000, "waiting")],
            &["8000 waiting:a", "9000 -1", "18000 waiting:a"],
        ),
        // Another cause is another episode.
        (
            all,
            &[(0, "waiting"), (9000, "error")],
            &["8000 waiting:a", "9000 -1", "17000 error:a"],
        ),
        (all, &[(0, "waiting"), (5000, "error")], &["13000 error:a"]),
        // Short turns are not worth a reminder. Dialogs are part of a turn.
        (long, &[(0, "working"), (9999, "idle")], &[]),
        (
            long,
            &[(0, "working"), (10_000, "idle")],
            &["18000 finished:a"],
        ),
        (
            long,
            &[
                (0, "working"),
                (4000, "waiting"),
                (6000, "working"),
                (10_000, "idle"),
            ],
            &["18000 finished:a"],
        ),
        (
            long,
            &[
                (0, "working"),
                (9000, "idle"),
                (9500, "working"),
                (10_500, "idle"),
            ],
            &[],
        ),
    ];
    for (rules, statuses, expected) in rows {
        let mut screen = Screen::new(*rules);
        for (at, status) in *statuses {
            screen.until(*at);
            screen.set("a", status);
        }
        screen.until(HOUR);
        let shown = std::mem::take(&mut screen.log);
        assert_eq!(shown, *expected, "{statuses:?}");
    }
}

#[test]
fn an_agents_dialog_is_reminded_of_and_withdrawn_when_it_is_answered() {
    let mut screen = Screen::new(rules());
    let effects = screen.core.hook(&rules::prompt("p1", "a"));
    screen.carry_out(effects);
    let effects = screen.core.hook(&rules::ask("p1", "ls"));
    screen.carry_out(effects);
    screen.until(9000);
    screen.shows(&[&format!("8000 waiting:{KEY}")]);
    let effects = screen.core.hook(&rules::stop("p1", &json!([])));
    screen.carry_out(effects);
    screen.until(HOUR);
    screen.shows(&["9000 -1", &format!("17000 finished:{KEY}")]);
}

#[test]
fn what_was_looked_at_leaves_the_screen_and_is_not_repeated() {
    let repeated = ReminderRules {
        repeat_ms: Some(MINUTE),
        ..rules()
    };
    for (status, still_needs) in [("waiting", true), ("error", true), ("idle", false)] {
        let mut screen = Screen::new(repeated);
        screen.set("a", "working");
        screen.until(1000);
        screen.set("a", status);
        screen.until(10_000);
        assert_eq!(screen.log.len(), 1, "{:?}", screen.log);
        screen.log.clear();
        screen.ask("session.seen", "a");
        assert_eq!(screen.core.get("a").attention, still_needs);
        screen.until(HOUR);
        screen.shows(&["10000 -1"]);
    }
    // Before its reminder: there is none.
    let mut screen = Screen::new(repeated);
    screen.set("a", "waiting");
    screen.until(5000);
    screen.ask("session.seen", "a");
    screen.until(HOUR);
    screen.shows(&[]);
}

#[test]
fn a_reminder_is_repeated_in_its_place_while_the_episode_lasts() {
    let mut screen = Screen::new(ReminderRules {
        repeat_ms: Some(5 * MINUTE),
        ..rules()
    });
    screen.set("a", "waiting");
    screen.until(11 * MINUTE);
    screen.shows(&["8000 waiting:a", "308000 waiting:a=1", "608000 waiting:a=1"]);
    screen.set("a", "working");
    screen.until(HOUR);
    screen.shows(&["660000 -1"]);
}

#[test]
fn a_child_that_takes_too_long_is_killed_and_its_reminder_not_sent_again() {
    let mut screen = Screen::new(rules());
    screen.set("a", "waiting");
    screen.core.wait(8000);
    assert!(job(&screen.core.take(Input::Timeout)).is_some());
    assert_eq!(screen.core.core.next_timeout(), Some(8000 + JOB_LIMIT_MS));
    screen.core.wait(JOB_LIMIT_MS);
    assert_eq!(
        names(&screen.core.take(Input::Timeout)),
        ["kill the reminder"]
    );
    screen.core.wait(JOB_LIMIT_MS);
    assert_eq!(names(&screen.core.take(Input::Timeout)), [] as [&str; 0]);
    let failed = Input::Reminded(Outcome::Failed);
    assert!(job(&screen.core.take(failed)).is_none());
    screen.until(2 * HOUR);
    screen.shows(&[]);
}

#[test]
fn a_restart_neither_repeats_nor_loses_a_reminder() {
    let mut screen = Screen::new(rules());
    screen.set("a", "waiting");
    screen.until(5000);
    screen.restart();
    screen.until(9000);
    screen.shows(&["8000 waiting:a"]);
    screen.set("b", "waiting");
    screen.restart();
    screen.until(20_000);
    screen.shows(&["17000 waiting:b"]);
    screen.restart();
    screen.set("a", "working");
    screen.shows(&["20000 -1"]);

    // Several, of which the last is over after a restart.
    let mut screen = Screen::new(rules());
    for name in ["a", "b", "c", "d"] {
        screen.set(name, "waiting");
    }
    screen.until(9000);
    screen.restart();
    screen.until(11_000);
    screen.shows(&["10000 waiting*4:a,b,c,d"]);
    screen.restart();
    for name in ["a", "b", "c", "d"] {
        screen.set(name, "working");
    }
    screen.shows(&["11000 -1"]);
}

/// What leaves the screen while the daemon is killed does so with the next one.
#[test]
fn what_is_over_leaves_the_screen_after_a_restart() {
    let mut screen = Screen::new(rules());
    screen.set("a", "waiting");
    screen.until(9000);
    screen.shows(&["8000 waiting:a"]);
    let effects = screen.set_only("a", "working");
    assert_eq!(line(job(&effects).unwrap()), "-1");
    screen.restart();
    screen.shows(&["9000 -1"]);
    screen.restart();
    screen.shows(&[]);
}

#[test]
fn setting_the_wall_clock_neither_repeats_nor_loses_nor_delays_a_reminder() {
    for by in [-86_400_000, -3_600_000, 500, 86_400_000_i64] {
        let mut screen = Screen::new(rules());
        screen.set("a", "waiting");
        screen.until(5000);
        screen.core.now.unix_ms = screen.core.now.unix_ms.saturating_add_signed(by);
        let effects = screen.core.take(Input::Timeout);
        screen.carry_out(effects);
        screen.until(9000);
        screen.shows(&["8000 waiting:a"]);
        screen.core.now.unix_ms = screen.core.now.unix_ms.saturating_add_signed(-2 * by);
        screen.restart();
        screen.until(HOUR);
        screen.shows(&[]);
    }
}

#[test]
fn other_rules_concern_what_begins_after_them() {
    let off = ReminderRules {
        is_on: false,
        ..rules()
    };
    let mut screen = Screen::new(off);
    screen.set("a", "waiting");
    screen.until(60_000);
    let reload = |screen: &mut Screen, rules| {
        let effects = screen.core.take(Input::Reloaded(Ok((with(rules), None))));
        screen.carry_out(effects);
    };
    reload(&mut screen, rules());
    screen.set("b", "waiting");
    screen.until(2 * MINUTE);
    screen.shows(&["68000 waiting:b"]);
    // A shorter delay counts at once for what is pending; a notification on the screen is still taken away.
    screen.set("c", "waiting");
    screen.until(2 * MINUTE + 3000);
    let short = ReminderRules {
        delay_ms: 2000,
        ..rules()
    };
    reload(&mut screen, short);
    screen.shows(&["123000 waiting:c"]);
    reload(&mut screen, off);
    screen.set("d", "waiting");
    screen.set("b", "working");
    screen.until(HOUR);
    screen.shows(&["123000 -1"]);
}

#[test]
fn a_daemon_that_leaves_leaves_its_reminders_to_the_next_one() {
    let mut screen = Screen::new(rules());
    screen.set("a", "waiting");
    screen.until(7000);
    let effects = screen.core.take(Input::Terminated);
    assert!(names(&effects).contains(&"drain for good"));
    screen.core.wait(2000);
    assert!(job(&screen.core.take(Input::Timeout)).is_none());
    screen.restart();
    screen.shows(&["9000 waiting:a"]);
}

/// Once a person has dealt with it, nothing of a reminder holds the daemon, and no limits are fetched for one.
#[test]
fn reminders_neither_hold_the_daemon_nor_fetch_limits() {
    let mut screen = Screen::new(rules());
    let fetching = Settings {
        usage_interval_ms: Some(MINUTE),
        ..with(rules())
    };
    screen.core = CoreHarness::with(fetching);
    screen.set("a", "waiting");
    screen.core.wait(8000);
    let effects = screen.core.take(Input::Timeout);
    assert_eq!(names(&effects), ["remind"]);
    // The child still runs.
    screen.set_only("a", "closed");
    let idle = screen.core.core.settings.idle_timeout_ms.unwrap();
    screen.core.wait(idle);
    let effects = screen.core.take(Input::Timeout);
    assert!(names(&effects).contains(&"drain"), "{effects:?}");
}
