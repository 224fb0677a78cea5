//! `subscribe` with `since`: what a client gets that has missed a part.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CoreHarness, MINUTE, settings};
use crate::client::Update;
use crate::client::mirror::Mirror;
use crate::codec::{self, Incoming, Request};
use crate::core::numbers::REMOVALS_KEPT;
use crate::core::testing::{self, STATE_EPOCH};
use crate::core::{AttentionRules, ClientId, Core, Effect, Input, Saved, Settings};
use crate::protocol::{NoticeCode, SessionParams, Since, Snapshot, SubscribeParams};

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

    /// The lines of a whole file.
    fn saved(&mut self) -> Vec<u8> {
        let mut file = Vec::new();
        self.core.save_all(&mut file).unwrap();
        file
    }

    /// The daemon ends, and another one with these settings goes on from the file.
    fn restart(&mut self, file: &[u8], settings: Settings) {
        let mut saved = Saved::default();
        for line in file.split(|byte| *byte == b'\n') {
            if !line.is_empty() && saved.take(line).is_err() {
                assert_eq!(line, DAMAGE);
            }
        }
        let mut info = testing::info();
        info.epoch = STATE_EPOCH + 1;
        self.core = Core::restore(info, settings, saved, self.now);
        self.take(Input::RegistriesRead);
    }
}

/// A line that is none.
const DAMAGE: &[u8] = b"{\"session\":{\"acc";

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
    drop(core.core.handle(set("b", "idle"), now));
    let subscribe = Input::Request {
        client: ClientId(1),
        id: codec::decode(br#"{"jsonrpc":"2.0","id":7,"method":"hello"}"#).id,
        request: Request::Subscribe(SubscribeParams {
            since,
            ..SubscribeParams::default()
        }),
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
    let file = core.saved();
    core.set("b");
    core.restart(&file, settings());
    let snapshot = core.ask("subscribe", &json!({}));
    let seq = snapshot["seq"].as_u64().unwrap();
    for (seq, partial) in [
        (1, json!(true)),
        (2, json!(null)),
        (seq - 1, json!(null)),
        (seq, json!(true)),
    ] {
        assert_eq!(core.since(STATE_EPOCH, seq)[0], partial, "since {seq}");
    }
    core.set("b");
    assert_eq!(core.since(STATE_EPOCH, 1), json!([true, ["b"], null]));
    assert_eq!(core.since(STATE_EPOCH, 2), json!([null, ["a", "b"], null]));
}

#[test]
fn after_damage_or_with_other_rules_the_snapshot_is_full() {
    let with = |quiet_after_ms, quiet| Settings {
        quiet_after_ms,
        attention: AttentionRules {
            quiet,
            ..settings().attention
        },
        ..settings()
    };
    let quiet_after = Some(MINUTE);
    let mut core = CoreHarness::with(with(quiet_after, false));
    core.set("a");
    core.wait(MINUTE);
    core.take(Input::Timeout);
    assert_eq!(core.since(STATE_EPOCH, 1), json!([true, ["a"], null]));
    let file = core.saved();
    core.restart(&file, with(quiet_after, false));
    assert_eq!(core.since(STATE_EPOCH, 2), json!([true, [], null]));

    // A quiet session needs a person by this rule, and is none that was quiet without a time for it.
    for settings in [with(quiet_after, true), with(None, false)] {
        core.restart(&file, settings);
        assert_eq!(core.since(STATE_EPOCH, 2), json!([null, ["a"], null]));
        // From here on the past is known again.
        let seq = core.ask("subscribe", &json!({}))["seq"].as_u64().unwrap();
        core.set("b");
        assert_eq!(core.since(STATE_EPOCH, seq), json!([true, ["b"], null]));
    }

    let damaged = [&file[..], DAMAGE].concat();
    core.restart(&damaged, with(quiet_after, false));
    assert_eq!(core.since(STATE_EPOCH, 2), json!([null, ["a"], null]));
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

/// A daemon's life: what it saves, what happens after that, and how it ends.
#[derive(Debug, Clone)]
struct Life {
    saved: Vec<Change>,
    unsaved: Vec<Change>,
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Killed,
    KilledWhileItWrites,
    InOrder,
}

fn persistent() -> Settings {
    Settings {
        persist: true,
        ..settings()
    }
}

fn set(key: &str, status: &str) -> Input {
    let params = json!({"session": key, "status": status});
    Input::Set {
        client: ClientId(1),
        id: None,
        params: Box::new(serde_json::from_value(params).unwrap()),
        process: None,
        running: Vec::new(),
    }
}

fn remove(key: &str) -> Input {
    let session = key.into();
    Input::Request {
        client: ClientId(1),
        id: None,
        request: Request::SessionRemove(SessionParams { session }),
    }
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
    let end = prop_oneof![
        15 => Just(End::Killed),
        1 => Just(End::KilledWhileItWrites),
        4 => Just(End::InOrder),
    ];
    (saved, unsaved, end).prop_map(|(saved, unsaved, end)| Life {
        saved,
        unsaved,
        end,
    })
}

impl CoreHarness {
    /// Makes the change; `on_update` gets each notification.
    fn make(&mut self, change: &Change, on_update: &mut impl FnMut(Update)) {
        self.wait(1);
        let effects = match change {
            Change::Set(key, status) => self.take(set(&format!("s{key}"), status)),
            Change::Remove(key) => self.take(remove(&format!("s{key}"))),
            Change::Notice => self.take(Input::Notice {
                code: NoticeCode::LogFailed,
                message: "m".into(),
            }),
            Change::Others(count) => {
                let now = self.now;
                for _ in 0..*count {
                    for request in [set("other", "idle"), remove("other")] {
                        drop(self.core.handle(request, now));
                    }
                }
                self.core.end_turn().collect()
            }
        };
        for effect in effects {
            if let Effect::Broadcast(line) | Effect::BroadcastTo(_, line) = effect {
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

    /// Daemons, each of which goes on from what the one before has saved. A client stops reading after each of the
    /// notifications.
    #[test]
    fn a_client_that_has_missed_any_part_catches_up(lives in prop::collection::vec(life(), 1..24)) {
        let (mut core, mut stopped) = (CoreHarness::with(persistent()), Vec::new());
        let mut mirror = Mirror::default();
        for life in lives {
            (_, mirror) = core.caught_up(&mirror);
            stopped.push(mirror.clone());
            core.ask("subscribe", &json!({}));
            let mut file = core.saved();
            let saved = life.saved.len();
            for (number, change) in life.saved.iter().chain(&life.unsaved).enumerate() {
                core.make(change, &mut |update| {
                    mirror.apply(update);
                    // All of so many would take too long.
                    if !matches!(change, Change::Others(_)) {
                        stopped.push(mirror.clone());
                    }
                });
                if number < saved {
                    core.core.save(&mut file).unwrap();
                }
            }
            let (_, fresh) = core.caught_up(&Mirror::default());
            prop_assert_eq!(&mirror, &fresh, "mirror == store");
            match life.end {
                End::Killed => {}
                End::KilledWhileItWrites => file.extend_from_slice(DAMAGE),
                End::InOrder => core.core.save_leaving(&mut file).unwrap(),
            }
            core.restart(&file, persistent());
        }
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
