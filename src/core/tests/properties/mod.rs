//! Invariants that hold after any sequence of inputs. A driver plays the inputs to the core in virtual time, applies the
//! effects as the event loop does, and compares them with a model of its own.

mod checks;
mod effects;
mod inputs;
mod play;
mod reminded;
mod restart;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::Value;

use self::inputs::{late_ops, ops};
use self::reminded::Screen;
use super::{CoreHarness, MINUTE};
use crate::client::Update;
use crate::client::mirror::Mirror;
use crate::codec::{self, Incoming, Request};
use crate::core::lifecycle::STALE_AFTER_MS;
use crate::core::{Input, ReminderRules, Settings, testing};
use crate::limits::Account;
use crate::os::process::ProcessId;
use crate::protocol::{Since, Snapshot};

/// A session's state before an input.
#[derive(Debug, PartialEq)]
struct Before {
    touched_ms: u64,
    closed: bool,
    watched: Option<ProcessId>,
    watches: [Option<ProcessId>; 2],
}

/// What the core knows of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    Seen,
    /// It was set, and the core has had no input since.
    Set,
}

/// Does what the daemon's event loop does, and keeps a model of what must hold.
struct Driver {
    core: CoreHarness,
    /// The connected clients, each with its mirror once it has subscribed and received a snapshot.
    clients: BTreeMap<u64, Client>,
    /// What disconnected clients had.
    absent: Vec<Mirror>,
    last_client: u64,
    last_id: u64,
    /// The requests that wait for a reload, by client and id.
    reloading: Vec<(u64, u64)>,
    reloads: usize,
    retiring: bool,
    /// The daemon is draining; it may still resume.
    draining: bool,
    exited: bool,
    watched: BTreeSet<(u32, u64)>,
    /// The requests that wait for a fetch, by client and id.
    refreshing: Vec<(u64, u64)>,
    /// When the running fetch began, in milliseconds of uptime.
    fetching: Option<(Rc<Account>, u64)>,
    /// The longest history that was configured so far.
    history: usize,
    /// Since when nothing keeps the daemon running, in milliseconds of uptime; `None` while something does.
    idle_since: Option<u64>,
    touched_unwatched: u64,
    /// Each session's record as the last notification of it has it, with that notification's number.
    published: HashMap<Box<str>, (u64, Value)>,
    /// What the children that remind a person have done.
    screen: Screen,
    /// The lines that were saved.
    file: Vec<u8>,
    clock: Clock,
}

/// What one input's effects are checked against, and what they have done so far.
struct Turn {
    /// The feed's sequence number before the input.
    seq: u64,
    /// The number of subscribers before the input.
    subscribers: usize,
    may_fetch: bool,
    /// How many notifications were sent.
    pushed: u64,
    /// The requests that were answered at once, by client and id.
    answered: Vec<(u64, Option<u64>)>,
    /// The daemon began to drain because it is idle.
    drains_idle: bool,
    disconnected: Vec<u64>,
    /// The core notices with this input that the clock was set, which it publishes, too.
    clock: Clock,
}

impl Turn {
    fn new(driver: &Driver, input: &Input) -> Self {
        let clients = driver.clients.values();
        let subscribers = clients.filter(|client| client.subscribed).count();
        Self {
            seq: driver.core.core.feed.numbers().seq(),
            subscribers,
            // A client's request is also for other accounts, one after the other.
            may_fetch: subscribers > 0
                || wants_limits(input)
                || matches!(input, Input::LimitsFetched(..)),
            pushed: 0,
            answered: Vec::new(),
            drains_idle: false,
            disconnected: Vec::new(),
            clock: driver.clock,
        }
    }
}

#[derive(Default)]
struct Client {
    subscribed: bool,
    mirror: Option<Mirror>,
}

/// The update that a subscriber reads from a notification's line.
fn update_of(line: &[u8]) -> Update {
    let text = std::str::from_utf8(line).unwrap();
    match codec::incoming(text).unwrap() {
        Incoming::Notification(notification) => Update::Notification(notification),
        other => panic!("{other:?} is not a notification"),
    }
}

/// True if the input may start a fetch although no client was subscribed before.
fn wants_limits(input: &Input) -> bool {
    matches!(
        input,
        Input::Request {
            request: Request::Subscribe(_) | Request::UsageRefresh,
            ..
        }
    )
}

/// Parses an outgoing line: exactly one line of JSON.
fn parsed(line: &[u8]) -> Value {
    let (end, text) = line.split_last().expect("a line");
    assert_eq!(*end, b'\n');
    assert!(!text.contains(&b'\n'), "a line within the line");
    serde_json::from_slice(text).expect("JSON")
}

impl Driver {
    fn new() -> Self {
        let core = CoreHarness::with(Settings {
            usage_interval_ms: Some(3 * MINUTE),
            quiet_after_ms: Some(10 * MINUTE),
            persist: true,
            reminders: ReminderRules {
                is_on: true,
                ..testing::NO_REMINDERS
            },
            ..super::settings()
        });
        let history = super::settings().history;
        let mut driver = Self {
            core,
            clients: BTreeMap::new(),
            absent: Vec::new(),
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
            idle_since: Some(0),
            touched_unwatched: 0,
            published: HashMap::new(),
            screen: Screen::default(),
            file: Vec::new(),
            clock: Clock::Seen,
        };
        driver.replace_file();
        driver
    }

    fn snapshot(&self, since: Option<Since>) -> Snapshot<'static> {
        let text = serde_json::to_string(&self.core.core.snapshot(since)).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn sessions(&self) -> HashMap<Box<str>, Before> {
        let sessions = self.core.core.sessions.iter().map(|session| {
            let was = Before {
                touched_ms: session.touched_ms(),
                closed: session.is_closed(),
                watched: session.watched_while_open(),
                watches: session.watches(),
            };
            (session.key().into(), was)
        });
        sessions.collect()
    }

    /// Handles one input, applies its effects and checks the invariants. `replies`: the requests that must be answered
    /// because of it, by client and id (`None`: null).
    fn step(&mut self, input: Input, replies: &[(u64, Option<u64>)]) {
        let before = self.sessions();
        let mut turn = Turn::new(self, &input);
        let is_timeout = matches!(input, Input::Timeout);
        let was_draining = self.draining;
        self.clock = Clock::Seen;
        for effect in self.core.take(input) {
            assert!(!self.exited, "{effect:?} after the exit");
            self.apply(effect, &mut turn);
        }
        self.save();
        assert_eq!(
            turn.answered, replies,
            "one answer for each request with an id"
        );
        if turn.subscribers > 0 {
            assert_eq!(
                self.core.core.feed.numbers().seq(),
                turn.seq + turn.pushed,
                "a number without a notification"
            );
        }
        if !self.exited {
            self.check_reminders();
            self.account(&before);
            if is_timeout && !was_draining {
                let now = self.core.now.uptime_ms;
                let is_due = self.idle_exit_at().is_some_and(|at| at <= now);
                assert_eq!(
                    turn.drains_idle, is_due,
                    "the daemon exits when it is idle, and only then"
                );
            }
            self.check();
        }
        for client in turn.disconnected {
            self.disconnect(client);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_after_any_sequence_of_inputs(ops in ops()) {
        let mut driver = Driver::new();
        for op in ops {
            if driver.exited {
                // After the exit no input has an effect.
                driver.core.wait(STALE_AFTER_MS);
                prop_assert!(driver.core.take(Input::Timeout).is_empty());
                prop_assert!(driver.core.take(Input::Terminated).is_empty());
                prop_assert!(driver.core.take(Input::Drained).is_empty());
                prop_assert_eq!(driver.core.core.next_timeout(), None);
                break;
            }
            driver.play(op);
        }
    }

    /// Short runs of one session: what comes late changes it with a notification, or not at all.
    #[test]
    fn invariants_hold_whatever_comes_late(ops in late_ops()) {
        let mut driver = Driver::new();
        for op in ops {
            driver.play(op);
        }
    }
}
