//! `subscribe` with `since`: what a client gets that has missed a part.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::CoreHarness;
use crate::client::Update;
use crate::client::mirror::Mirror;
use crate::codec::{self, Incoming, Request};
use crate::core::feed::Feed;
use crate::core::notices::Notices;
use crate::core::numbers::{Numbers, REMOVALS_KEPT};
use crate::core::testing::STATE_EPOCH;
use crate::core::{ClientId, Effect, Input};
use crate::protocol::{NoticeCode, Since, Snapshot, SubscribeParams};

impl CoreHarness {
    fn set(&mut self, key: &str) {
        let params = json!({"session": key, "status": "working"});
        assert_eq!(self.ask("session.set", &params)["session"]["key"], key);
    }

    fn remove(&mut self, key: &str) {
        let answer = self.ask("session.remove", &json!({"session": key}));
        assert_eq!(answer["removed"], key);
    }

    /// What `subscribe` answers: `[partial, keys, removed keys]`.
    fn since(&mut self, epoch: u64, seq: u64) -> Value {
        let since = json!({"epoch": epoch, "seq": seq});
        let answer = self.ask("subscribe", &json!({"since": since}));
        assert_eq!(answer["epoch"], STATE_EPOCH);
        let sessions = answer["sessions"].as_array().unwrap().iter();
        let keys: Vec<_> = sessions.map(|session| &session["key"]).collect();
        json!([answer["partial"], keys, answer["removed"]])
    }

    /// The daemon is killed and another one goes on with all of its state, but without the numbers that it has given
    /// above `saved`; the first of its own is above `next`.
    fn restart(&mut self, saved: u64, next: u64) {
        let numbers = self.core.feed.numbers();
        let numbers = Numbers {
            seq: saved,
            removed: numbers.removed.clone(),
            lost: numbers.lost.clone(),
            floor: numbers.floor,
        };
        let numbers = Numbers::restored(numbers, next);
        self.core.feed = Feed::default();
        self.core.feed.restore(numbers, Notices::default());
    }
}

#[test]
fn a_client_gets_what_has_changed_since_its_number() {
    let mut core = CoreHarness::new();
    for key in ["a", "b", "c"] {
        core.set(key);
    }
    core.remove("b"); // 4
    core.set("a"); // 5
    core.remove("c"); // 6
    core.set("c"); // 7
    for (seq, expected) in [
        (0, json!([true, ["a", "c"], ["b"]])),
        (3, json!([true, ["a", "c"], ["b"]])),
        (4, json!([true, ["a", "c"], null])),
        (5, json!([true, ["c"], null])),
        (7, json!([true, [], null])),
        (8, json!([null, ["a", "c"], null])),
        (u64::MAX, json!([null, ["a", "c"], null])),
    ] {
        assert_eq!(core.since(STATE_EPOCH, seq), expected, "since {seq}");
    }
    assert_eq!(core.since(7, 7), json!([null, ["a", "c"], null]));
    let whole = core.ask("subscribe", &json!({}));
    assert_eq!(whole["seq"], 7);
    assert!(whole.get("partial").is_none() && whole.get("removed").is_none());
}

#[test]
fn a_change_of_the_same_turn_is_in_the_answer() {
    let mut core = CoreHarness::new();
    core.set("a");
    core.set("b");
    let since = Some(Since {
        epoch: STATE_EPOCH,
        seq: 2,
    });
    let notice = Input::Notice {
        code: NoticeCode::LogFailed,
        message: "m".into(),
    };
    let now = core.now;
    drop(core.core.handle(notice, now));
    let set = codec::decode(
        br#"{"jsonrpc":"2.0","method":"session.set","params":{"session":"b","status":"idle"}}"#,
    );
    let codec::Message::Set(params) = set.message else {
        panic!("{set:?}");
    };
    let client = ClientId(1);
    let set = Input::Set {
        client,
        id: None,
        params,
        process: None,
        running: Vec::new(),
    };
    drop(core.core.handle(set, now));
    let subscribe = Input::Request {
        client,
        id: codec::decode(br#"{"jsonrpc":"2.0","id":7,"method":"hello"}"#).id,
        request: Request::Subscribe(SubscribeParams { since }),
    };
    let effects: Vec<_> = core.core.handle(subscribe, now).collect();
    let Some(Effect::Reply(_, line)) = effects.first() else {
        panic!("{effects:?}");
    };
    let answer: Value = serde_json::from_slice(line).unwrap();
    let snapshot = &answer["result"];
    assert_eq!(
        (&snapshot["seq"], &snapshot["partial"]),
        (&json!(4), &json!(true))
    );
    assert_eq!(snapshot["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(snapshot["sessions"][0]["status"], "idle");
}

#[test]
fn more_removals_than_are_kept_take_a_full_snapshot() {
    let mut core = CoreHarness::new();
    for _ in 0..=REMOVALS_KEPT {
        core.set("a");
        core.remove("a");
    }
    core.set("b");
    assert_eq!(core.since(STATE_EPOCH, 1), json!([null, ["b"], null]));
    assert_eq!(core.since(STATE_EPOCH, 2), json!([true, ["b"], ["a"]]));
}

#[test]
fn a_client_with_numbers_that_were_not_saved_gets_a_full_snapshot() {
    let mut core = CoreHarness::new();
    core.set("a");
    core.restart(1, 100);
    for (seq, partial) in [
        (1, json!(true)),
        (2, json!(null)),
        (99, json!(null)),
        (100, json!(true)),
    ] {
        assert_eq!(core.since(STATE_EPOCH, seq)[0], partial, "since {seq}");
    }
    core.set("b");
    assert_eq!(core.since(STATE_EPOCH, 1), json!([true, ["b"], null]));
    assert_eq!(core.ask("subscribe", &json!({}))["seq"], 101);
}

/// What changes the state.
#[derive(Debug, Clone)]
enum Change {
    Set(u8, &'static str),
    Remove(u8),
    /// So many other sessions are removed.
    Others(usize),
    Notice,
}

/// A daemon's life: what it saves, what it does not, and how many numbers more the next one skips.
#[derive(Debug, Clone)]
struct Life {
    saved: Vec<Change>,
    unsaved: Vec<Change>,
    skipped: u64,
}

fn change() -> impl Strategy<Value = Change> {
    let status = prop::sample::select(&["working", "waiting", "idle", "error", "closed"]);
    prop_oneof![
        180 => (0..6_u8, status).prop_map(|(key, status)| Change::Set(key, status)),
        90 => (0..6_u8).prop_map(Change::Remove),
        29 => Just(Change::Notice),
        10 => prop::sample::select(&[1, REMOVALS_KEPT - 1, REMOVALS_KEPT]).prop_map(Change::Others),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    let saved = prop::collection::vec(change(), 0..6);
    let unsaved = prop::collection::vec(change(), 0..4);
    (saved, unsaved, 0..3_u64).prop_map(|(saved, unsaved, skipped)| Life {
        saved,
        unsaved,
        skipped,
    })
}

impl CoreHarness {
    /// Makes the change; `on_update` gets each notification.
    fn make(&mut self, change: &Change, on_update: &mut impl FnMut(Update)) {
        self.wait(1);
        let effects = match change {
            Change::Set(key, status) => self.call(
                "session.set",
                &json!({"session": format!("s{key}"), "status": status}),
            ),
            Change::Remove(key) => {
                self.call("session.remove", &json!({"session": format!("s{key}")}))
            }
            Change::Notice => self.take(Input::Notice {
                code: NoticeCode::LogFailed,
                message: "m".into(),
            }),
            Change::Others(count) => {
                for _ in 0..*count {
                    self.core.feed.removed("other".into());
                }
                self.core.end_turn().collect()
            }
        };
        for effect in effects {
            if let Effect::Broadcast(line) = effect {
                let line = std::str::from_utf8(&line).unwrap();
                match codec::incoming(line).unwrap() {
                    Incoming::Notification(notification) => {
                        on_update(Update::Notification(notification));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Sends a notification as client 1, which is subscribed.
    fn call(&mut self, method: &str, params: &Value) -> Vec<Effect> {
        let line = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.line(&line.to_string())
    }

    /// Runs the lives one after the other, as if nothing unsaved had happened.
    fn after(lives: &[Life], nexts: &[u64]) -> Self {
        let mut core = Self::new();
        core.ask("subscribe", &json!({}));
        for (life, next) in lives.iter().zip(nexts) {
            for change in &life.saved {
                core.make(change, &mut |_| {});
            }
            core.restart_saved(*next);
        }
        core
    }

    /// The next daemon goes on with all that there is.
    fn restart_saved(&mut self, next: u64) {
        let saved = self.core.feed.numbers().seq();
        self.restart(saved, next);
        self.ask("subscribe", &json!({}));
    }

    /// What a client gets that stands where this mirror stands.
    fn caught_up(&self, mirror: &Mirror) -> (bool, Mirror) {
        let text = serde_json::to_string(&self.core.snapshot(mirror.since())).unwrap();
        let snapshot: Snapshot<'static> = serde_json::from_str(&text).unwrap();
        let mut mirror = mirror.clone();
        let partial = snapshot.partial;
        mirror.apply(Update::Snapshot(Box::new(snapshot)));
        (partial, mirror)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// Daemons that are killed, each of which goes on from what the one before has saved. A client stops reading after
    /// each of the notifications.
    #[test]
    fn a_client_that_has_missed_any_part_catches_up(lives in prop::collection::vec(life(), 1..24)) {
        let mut stopped = vec![];
        let mut mirror = Mirror::default();
        let mut nexts = Vec::new();
        for (number, life) in lives.iter().enumerate() {
            let mut core = CoreHarness::after(&lives[..number], &nexts);
            (_, mirror) = core.caught_up(&mirror);
            stopped.push(mirror.clone());
            for change in life.saved.iter().chain(&life.unsaved) {
                core.make(change, &mut |update| {
                    mirror.apply(update);
                    // All of so many would take too long.
                    if !matches!(change, Change::Others(_)) {
                        stopped.push(mirror.clone());
                    }
                });
            }
            let (_, fresh) = core.caught_up(&Mirror::default());
            prop_assert_eq!(&mirror, &fresh, "mirror == store");
            nexts.push(core.core.feed.numbers().seq() + life.skipped + 1);
        }
        let mut core = CoreHarness::after(&lives, &nexts);
        let (_, fresh) = core.caught_up(&Mirror::default());
        for stopped in &stopped {
            let (_, caught_up) = core.caught_up(stopped);
            prop_assert_eq!(&caught_up, &fresh, "since {:?}", stopped.since());
        }
        core.core.info.epoch += 1;
        let (_, fresh) = core.caught_up(&Mirror::default());
        for stopped in &stopped {
            prop_assert_eq!(core.caught_up(stopped), (false, fresh.clone()));
        }
    }
}
