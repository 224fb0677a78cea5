//! Invariants that hold after any sequence of inputs. A driver plays the inputs to the core in virtual time, applies the
//! effects as the event loop does, and compares them with a model of its own.

mod checks;
mod effects;
mod inputs;
mod restart;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::Value;

use self::inputs::{Ask, Op, PROCESSES, late_ops, ops};
use super::{CoreHarness, MINUTE};
use crate::client::Update;
use crate::client::mirror::Mirror;
use crate::codec::{self, Decoded, Incoming, Refusal, Request};
use crate::core::lifecycle::STALE_AFTER_MS;
use crate::core::{ClientId, Input, Settings};
use crate::limits::Account;
use crate::os::process::ProcessId;
use crate::protocol::{NoticeCode, Since, Snapshot, SubscribeParams};

/// The codes of the notices that may be sent: more than are kept.
const NOTICE_CODES: [NoticeCode; 11] = [
    NoticeCode::ConfigLoaded,
    NoticeCode::ConfigRefused,
    NoticeCode::RestartNeeded,
    NoticeCode::PayloadUnreadable,
    NoticeCode::LogFailed,
    NoticeCode::ConnectionsFull,
    NoticeCode::SocketLost,
    NoticeCode::SocketRestored,
    NoticeCode::SessionsFull,
    NoticeCode::UsageCrossed,
    NoticeCode::Unknown,
];

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
            file: Vec::new(),
            clock: Clock::Seen,
        };
        driver.replace_file();
        driver
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
                    self.disconnect(client);
                }
            }
            Op::Wait(ms) => drop(self.core.wait(ms)),
            Op::ClockSet(by, noticed) => self.set_clock(by, noticed),
            Op::Early => self.tick_early(),
            Op::Due => self.tick_when_due(),
            Op::RegistryChanged(mut registry_update) => {
                let now = self.core.now.unix_ms;
                if let Some(entry) = &mut registry_update.entry {
                    for stamp in [&mut entry.status_at, &mut entry.updated_at] {
                        *stamp = now.saturating_add_signed(stamp.cast_signed());
                    }
                }
                self.step(Input::RegistryChanged(registry_update), &[]);
            }
            Op::Exited(number) => {
                let process = PROCESSES[number];
                if self.watched.remove(&(process.pid, process.start)) {
                    self.step(Input::ProcessExited(process), &[]);
                }
            }
            Op::Seen(number, stopped) => {
                let seen = vec![(PROCESSES[number], stopped)];
                self.step(Input::ProcessesSeen(seen), &[]);
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
                self.replace_file();
            }
            Op::Fetched(fetched) => {
                if let Some((account, _)) = self.fetching.take() {
                    self.step(Input::LimitsFetched(account, fetched), &[]);
                    assert!(
                        self.fetching.is_some() || self.refreshing.is_empty(),
                        "every waiting request is answered"
                    );
                }
            }
            Op::Drained => {
                if std::mem::take(&mut self.retiring) {
                    self.step(Input::Drained, &[]);
                }
            }
            Op::ReplaceFile => self.replace_file(),
            Op::Restart(end) => self.restart(end),
            Op::Terminated => self.step(Input::Terminated, &[]),
            Op::Notice(number) => {
                let input = Input::Notice {
                    code: NOTICE_CODES[number],
                    message: "a\nmessage".into(),
                };
                self.step(input, &[]);
            }
        }
    }

    fn ask(&mut self, place: usize, with_id: bool, ask: Ask) {
        let ask = match ask {
            Ask::Observed(mut report) => {
                let now = self.core.now.unix_ms;
                report.at = now.saturating_add_signed(report.at.cast_signed());
                return self.step(Input::Observed(report), &[]);
            }
            ask => ask,
        };
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
            Ask::Observed(report) => Input::Observed(report),
            Ask::Set(params, process, runs) => {
                let mut running = self.core.core.processes_of_closed(&params);
                running.retain(|_| runs);
                Input::Set {
                    client,
                    id,
                    params,
                    process,
                    running,
                }
            }
            Ask::Status => Input::StatusAsked {
                client,
                id,
                rss_bytes: Some(1),
            },
            Ask::SubscribeAgain => {
                let mirror = self.clients[&client.0].mirror.as_ref();
                let since = mirror.and_then(Mirror::since);
                Input::Request {
                    client,
                    id,
                    request: Request::Subscribe(SubscribeParams { since }),
                }
            }
            Ask::Request(request) => Input::Request {
                client,
                id,
                request,
            },
        };
        self.step(input, &Vec::from_iter(expected));
    }

    fn set_clock(&mut self, by: i64, noticed: bool) {
        let now = &mut self.core.now.unix_ms;
        *now = now.saturating_add_signed(by);
        self.clock = Clock::Set;
        if noticed {
            self.step(Input::Timeout, &[]);
        }
    }

    /// A time-out before the deadline does nothing.
    fn tick_early(&mut self) {
        if self.clock == Clock::Set {
            self.step(Input::Timeout, &[]);
        }
        let now = self.core.now.uptime_ms;
        let deadline = self.core.core.next_timeout();
        let early = match deadline {
            Some(due) if due > now => due - 1 - now,
            Some(_) => return,
            None => 1_000_000,
        };
        self.core.wait(early);
        let before = self.snapshot(None);
        assert!(self.core.take(Input::Timeout).is_empty());
        assert_eq!(self.snapshot(None), before);
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

    fn disconnect(&mut self, client: u64) {
        let gone = self.clients.remove(&client);
        self.absent.extend(gone.and_then(|gone| gone.mirror));
        self.reloading.retain(|(asker, _)| *asker != client);
        self.refreshing.retain(|(asker, _)| *asker != client);
        self.step(Input::Disconnected(ClientId(client)), &[]);
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
