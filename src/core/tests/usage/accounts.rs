//! Several accounts: each is as it would be alone, whatever the others report.

use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::codec::Message;
use crate::core::testing::{self, account};
use crate::event::Source;
use crate::limits::Account;

impl CoreHarness {
    /// A hook of the account's directory reports `event`, stamped `late_ms` ago.
    fn hook_of(&mut self, account: &Account, event: &Value, late_ms: u64) -> Vec<Effect> {
        // A process for each account.
        let pid = 100 + account.name.len();
        let params = json!({
            "agent": "claude-code", "at": self.now.unix_ms - late_ms, "pid": pid, "process_start": 1,
            "pid_namespace": testing::NAMESPACE, "attended": true, "event": event,
        });
        let line = json!({"jsonrpc": "2.0", "method": "session.report", "params": params});
        let line = line.to_string();
        let Message::Report(params) = crate::codec::decode(line.as_bytes()).message else {
            panic!("no report: {line}");
        };
        let mut report = agents::interpret(*params);
        report.account = Some(Rc::new(account.clone()));
        self.take(Input::Reported {
            client: ClientId(1),
            id: None,
            report: Box::new(report),
        })
    }

    fn starts(&mut self, account: &Account) -> Vec<Effect> {
        let event = json!({"hook_event_name": "SessionStart", "session_id": &account.name, "source": "startup"});
        self.hook_of(account, &event, 0)
    }

    fn line_of(&mut self, account: &Account, used: f64, resets_at: u64) -> Vec<Effect> {
        self.late_line_of(account, used, resets_at, 0)
    }

    fn late_line_of(&mut self, account: &Account, used: f64, at: u64, late: u64) -> Vec<Effect> {
        let event = json!({
            "session_id": &account.name, "model": {"id": "opus"},
            "rate_limits": {"five_hour": {"used_percentage": used, "resets_at": at / 1000}},
        });
        self.hook_of(account, &event, late)
    }

    /// A file of a session of the account states the used percentage of its five-hour window.
    fn file_of(&mut self, account: &Account, used: f64, resets_at: u64) -> Vec<Effect> {
        let params = json!({"agent": "claude-code", "at": self.now.unix_ms, "event": {
            "session_id": &account.name, "model": {"id": "opus"},
            "rate_limits": {"five_hour": {"used_percentage": used, "resets_at": resets_at / 1000}},
        }});
        let mut report = agents::interpret(serde_json::from_str(&params.to_string()).unwrap());
        report.source = Source::File;
        report.account = Some(Rc::new(account.clone()));
        self.take(Input::Observed(Box::new(report)))
    }

    /// The used percentage of the five-hour window of each account.
    fn gauges(&mut self) -> BTreeMap<String, f64> {
        let usage = self.usage();
        let accounts = usage["accounts"].as_array().cloned().unwrap_or_default();
        let gauge = |account: &Value| {
            let used = account["windows"][0]["used_percent"].as_f64()?;
            Some((account["account"].as_str()?.to_owned(), used))
        };
        accounts.iter().filter_map(gauge).collect()
    }
}

fn gauges<const N: usize>(expected: [(&str, f64); N]) -> BTreeMap<String, f64> {
    expected.map(|(name, used)| (name.to_owned(), used)).into()
}

fn notices(effects: &[Effect]) -> Vec<String> {
    let sent = notifications(effects).into_iter();
    let notices = sent.filter(|(method, _)| method == "daemon.notice");
    notices
        .map(|(_, notice)| notice["message"].as_str().unwrap().to_owned())
        .collect()
}

fn fetched_account(effects: &[Effect]) -> Option<Rc<Account>> {
    effects.iter().find_map(|effect| match effect {
        Effect::FetchLimits(account) => Some(Rc::clone(account)),
        _ => None,
    })
}

#[test]
fn two_accounts_are_two_gauges_without_false_alarms() {
    let mut core = CoreHarness::new();
    core.subscribes(1);
    let (own, work) = (account("default", None), account("work", None));
    let mut sent = Vec::new();
    for hour in 1..=4_u32 {
        let reset = EPOCH + u64::from(hour) * HOUR;
        sent.extend(core.line_of(&own, 90.0 + f64::from(hour), reset));
        sent.extend(core.line_of(&work, 5.0, reset + HOUR / 2));
        core.wait(200);
    }
    assert_eq!(core.gauges(), gauges([("default", 94.0), ("work", 5.0)]));
    assert_eq!(notices(&sent), ["the 5 h limit: 91 % used"]);
}

#[test]
fn an_account_does_not_hide_the_figures_of_another() {
    let mut core = CoreHarness::new();
    let (own, work) = (account("default", None), account("work", None));
    core.line_of(&own, 95.0, EPOCH + HOUR);
    core.line_of(&work, 5.0, EPOCH + 4 * HOUR);
    core.line_of(&own, 96.0, EPOCH + HOUR);
    assert_eq!(core.gauges(), gauges([("default", 96.0), ("work", 5.0)]));
    // A client that knows of one account only shows the daemon's own.
    assert_eq!(core.usage()["windows"][0]["used_percent"], 96.0);
    assert_eq!(core.usage()["windows"][0]["agent"], "claude-code");
}

#[test]
fn where_the_daemons_own_account_has_no_figures_another_is_shown() {
    let mut core = CoreHarness::new();
    core.line_of(&account("work", None), 5.0, EPOCH + HOUR);
    let usage = core.usage();
    assert_eq!(usage["windows"][0]["used_percent"], 5.0);
    assert_eq!(usage["windows"][0]["account"], "work");
    assert_eq!(usage["accounts"].as_array().unwrap().len(), 1);
}

#[test]
fn alerts_name_the_account_where_there_are_several() {
    let mut core = CoreHarness::new();
    core.subscribes(1);
    let (own, work) = (account("default", None), account("work", None));
    let alone = core.line_of(&own, 76.0, EPOCH + HOUR);
    assert_eq!(notices(&alone), ["the 5 h limit: 76 % used"]);
    let both = core.line_of(&work, 91.0, EPOCH + HOUR);
    assert_eq!(notices(&both), ["the 5 h limit of work: 91 % used"]);
    let notice = &notifications(&both)[0].1;
    assert_eq!(notice["window"]["account"], "work");
}

#[test]
fn one_login_in_two_directories_is_one_account() {
    let mut core = CoreHarness::new();
    core.starts(&account("default", Some(1)));
    core.starts(&account("work", Some(1)));
    core.line_of(&account("default", Some(1)), 40.0, EPOCH + HOUR);
    core.line_of(&account("work", Some(1)), 41.0, EPOCH + HOUR);
    assert_eq!(core.gauges(), gauges([("default", 41.0)]));
    let list = core.ask("session.list", &json!({}));
    for session in list["sessions"].as_array().unwrap() {
        assert_eq!(session["account"], "default");
    }
}

#[test]
fn another_login_in_a_directory_begins_anew() {
    let mut core = CoreHarness::new();
    core.subscribes(1);
    core.line_of(&account("default", None), 92.0, EPOCH + HOUR);
    // The same one, now known.
    core.line_of(&account("default", Some(1)), 93.0, EPOCH + HOUR);
    assert_eq!(core.gauges(), gauges([("default", 93.0)]));
    let changed = core.line_of(&account("default", Some(2)), 3.0, EPOCH + 2 * HOUR);
    assert_eq!(notices(&changed), Vec::<String>::new());
    assert_eq!(core.gauges(), gauges([("default", 3.0)]));
    // It is also the other directory's login: that is one account.
    core.line_of(&account("work", Some(3)), 50.0, EPOCH + HOUR);
    core.line_of(&account("work", Some(2)), 4.0, EPOCH + 2 * HOUR);
    assert_eq!(core.gauges(), gauges([("default", 4.0)]));
    // Without figures, the old ones are withdrawn.
    let changed = core.starts(&account("default", Some(4)));
    assert_eq!(notifications(&changed)[0].1["usage"]["windows"], json!([]));
}

#[test]
fn accounts_of_live_sessions_are_fetched_one_at_a_time() {
    let mut core = CoreHarness::asking();
    let (work, home) = (account("work", None), account("home!", None));
    core.starts(&work);
    core.starts(&home);
    // No session of this one is left.
    let end = json!({"hook_event_name": "SessionEnd", "session_id": "home!", "reason": "other"});
    core.hook_of(&home, &end, 0);

    let mut effects = core.subscribes(1);
    let mut asked = Vec::new();
    while let Some(account) = fetched_account(&effects) {
        assert!(asked.len() < 3, "{asked:?}");
        asked.push(account.name.to_string());
        let limits = FetchOutcome::Limits(vec![five_hour(1.0, EPOCH + HOUR)]);
        effects = core.take(Input::LimitsFetched(account, limits));
    }
    assert_eq!(asked, ["default", "work"]);
    assert_eq!(core.gauges(), gauges([("default", 1.0), ("work", 1.0)]));
    // The next ones are due together, and begin one after the other.
    core.wait(INTERVAL);
    let effects = core.take(Input::Timeout);
    assert!(fetched_account(&effects).is_some());
}

#[test]
fn a_request_is_answered_when_each_account_was_asked() {
    let mut core = CoreHarness::asking();
    core.starts(&account("work", None));
    let effects = core.asks(1, Request::UsageRefresh);
    let own = fetched_account(&effects).unwrap();
    let limits = |used| FetchOutcome::Limits(vec![five_hour(used, EPOCH + HOUR)]);
    let effects = core.take(Input::LimitsFetched(own, limits(1.0)));
    assert!(!has(&effects, "reply"), "{:?}", names(&effects));
    let work = fetched_account(&effects).unwrap();
    let effects = core.take(Input::LimitsFetched(work, limits(2.0)));
    assert!(has(&effects, "reply"), "{:?}", names(&effects));
}

#[test]
fn what_was_fetched_while_the_login_changed_is_fetched_again() {
    let mut core = CoreHarness::asking();
    core.starts(&account("default", Some(1)));
    let effects = core.subscribes(1);
    assert!(has(&effects, "fetch"));
    let limits = FetchOutcome::Limits(vec![five_hour(90.0, EPOCH + HOUR)]);
    let other = Rc::new(account("default", Some(2)));
    let effects = core.take(Input::LimitsFetched(Rc::clone(&other), limits.clone()));
    assert_eq!(core.gauges(), BTreeMap::new());
    assert!(has(&effects, "fetch"));
    core.take(Input::LimitsFetched(other, limits));
    assert_eq!(core.gauges(), gauges([("default", 90.0)]));
}

#[test]
fn an_impossible_window_does_not_hide_a_true_one() {
    let mut core = CoreHarness::new();
    let own = account("default", None);
    let in_ten_years = EPOCH + 10 * 365 * 24 * HOUR;
    core.line_of(&own, 20.0, in_ten_years);
    core.line_of(&own, 10.0, EPOCH + HOUR);
    assert_eq!(core.gauges(), gauges([("default", 10.0)]));
    core.line_of(&own, 99.0, in_ten_years);
    assert_eq!(core.gauges(), gauges([("default", 10.0)]));
}

/// An account of an agent whose service cannot be asked.
fn reported_only(name: &str, login: Option<u64>) -> Account {
    Account {
        is_fetched: false,
        ..account(name, login)
    }
}

#[test]
fn an_account_whose_service_cannot_be_asked_is_as_its_agent_reports() {
    let mut core = CoreHarness::asking();
    let other = reported_only("other", None);
    core.starts(&other);
    core.file_of(&other, 40.0, EPOCH + HOUR);
    let mut asked = Vec::new();
    let mut effects = core.subscribes(1);
    while let Some(account) = fetched_account(&effects) {
        asked.push(account.name.to_string());
        effects = core.take(Input::LimitsFetched(account, FetchOutcome::Limits(vec![])));
    }
    assert_eq!(asked, ["default"]);
    core.wait(MIN_FETCH_INTERVAL_MS);
    let effects = core.asks(1, Request::UsageRefresh);
    let account = fetched_account(&effects).unwrap();
    assert_eq!(&*account.name, "default");
    let effects = core.take(Input::LimitsFetched(account, FetchOutcome::Limits(vec![])));
    assert!(has(&effects, "reply") && !has(&effects, "fetch"));

    let usage = core.usage();
    let usage = &usage["accounts"][1];
    assert_eq!(
        (&usage["state"], &usage["source"]),
        (&json!("ok"), &json!("session_file"))
    );
    assert_eq!(usage["windows"][0]["source"], "session_file");
    assert_eq!(usage["fetched_at"], EPOCH);
    core.wait(11 * MINUTE);
    let usage = core.usage();
    let usage = &usage["accounts"][1];
    assert_eq!(usage["state"], "stale");
    // Nothing is switched off: there is nothing to ask.
    assert_eq!(
        (&usage["code"], &usage["message"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn what_files_of_two_accounts_state_is_kept_apart_and_ends_with_its_window() {
    let mut core = CoreHarness::new();
    let (one, other) = (reported_only("one", None), reported_only("other", None));
    core.starts(&one);
    core.starts(&other);
    core.file_of(&one, 90.0, EPOCH + HOUR);
    core.file_of(&other, 5.0, EPOCH + 2 * HOUR);
    // A figure that was already there when the last answer came.
    core.file_of(&one, 80.0, EPOCH + HOUR);
    assert_eq!(core.gauges(), gauges([("one", 90.0), ("other", 5.0)]));
    core.wait(HOUR);
    assert_eq!(core.gauges(), gauges([("one", 0.0), ("other", 5.0)]));
    // A file that still has the old window does not bring it back.
    core.file_of(&one, 95.0, EPOCH + HOUR);
    assert_eq!(core.gauges(), gauges([("one", 0.0), ("other", 5.0)]));
    core.file_of(&one, 2.0, EPOCH + 6 * HOUR);
    assert_eq!(core.gauges(), gauges([("one", 2.0), ("other", 5.0)]));
}

#[derive(Debug, Clone, Copy)]
enum Op {
    /// A status line of one of the accounts: percentage, hours until its reset, how late it arrives in ms.
    Line(usize, u32, u64, u64),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..2_usize, 0..=100_u32, 1..=5_u64, 0..2000_u64)
            .prop_map(|(who, used, hours, late)| Op::Line(who, used, hours, late)),
        1 => select(&[1000, MINUTE, 4 * MINUTE, 11 * MINUTE, HOUR]).prop_map(Op::Wait),
    ]
}

const NAMES: [&str; 2] = ["default", "work"];

/// Plays the operations of these accounts to a daemon. What is fetched for an account depends on how often it was.
struct Player {
    core: CoreHarness,
    fetches: [u32; 2],
    messages: Vec<String>,
}

impl Player {
    fn play(ops: &[Op], who: &[usize]) -> Self {
        let mut player = Self {
            core: CoreHarness::asking(),
            fetches: [0; 2],
            messages: Vec::new(),
        };
        for &one in who {
            player.core.starts(&account(NAMES[one], None));
        }
        let effects = player.core.subscribes(1);
        player.apply(effects, who);
        for op in ops {
            match *op {
                Op::Line(one, used, hours, late) if who.contains(&one) => {
                    // On a grid: sources agree about a window's end.
                    let now = player.core.now.unix_ms;
                    let reset = (now / HOUR + hours) * HOUR;
                    let account = account(NAMES[one], None);
                    let effects = player
                        .core
                        .late_line_of(&account, f64::from(used), reset, late);
                    player.apply(effects, who);
                }
                Op::Line(..) => {}
                Op::Wait(ms) => player.wait(ms, who),
            }
        }
        player
    }

    fn wait(&mut self, ms: u64, who: &[usize]) {
        let end = self.core.now.uptime_ms + ms;
        while let Some(due) = self.core.core.next_timeout().filter(|due| *due <= end) {
            self.core.wait(due.saturating_sub(self.core.now.uptime_ms));
            let effects = self.core.take(Input::Timeout);
            self.apply(effects, who);
        }
        self.core.wait(end - self.core.now.uptime_ms);
    }

    /// Notes the notices, and ends each fetch at once.
    fn apply(&mut self, mut effects: Vec<Effect>, who: &[usize]) {
        loop {
            self.messages.extend(notices(&effects));
            let Some(account) = fetched_account(&effects) else {
                return;
            };
            let one = NAMES
                .iter()
                .position(|name| **name == *account.name)
                .unwrap();
            self.fetches[one] += 1;
            let hour = self.core.now.unix_ms / HOUR;
            let used = f64::from(self.fetches[one] * 37 % 101);
            let limits = if who.contains(&one) {
                vec![five_hour(used, (hour + 1 + one as u64) * HOUR)]
            } else {
                Vec::new()
            };
            effects = self
                .core
                .take(Input::LimitsFetched(account, FetchOutcome::Limits(limits)));
        }
    }

    /// The notices about an account, without its name.
    fn messages_of(&self, name: &str, is_alone: bool) -> Vec<String> {
        let of = format!(" of {name}:");
        let own = self
            .messages
            .iter()
            .filter(|message| is_alone || message.contains(&of));
        own.map(|message| message.replace(&of, ":")).collect()
    }
}

proptest! {
    #[test]
    fn each_account_is_what_it_would_be_alone(ops in prop::collection::vec(op(), 1..60)) {
        let mut both = Player::play(&ops, &[0, 1]);
        let gauges = both.core.gauges();
        for (one, name) in NAMES.iter().enumerate() {
            let mut alone = Player::play(&ops, &[one]);
            prop_assert_eq!(alone.fetches[one], both.fetches[one]);
            let expected = alone.core.gauges();
            prop_assert_eq!(gauges.get(*name), expected.get(*name));
            prop_assert_eq!(both.messages_of(name, false), alone.messages_of(name, true));
        }
    }
}
