//! `subscribe` with `since`: what a client gets that has missed a part.

use serde_json::{Value, json};

use super::CoreHarness;
use crate::core::feed::Feed;
use crate::core::numbers::{Numbers, REMOVALS_KEPT};
use crate::core::testing::STATE_EPOCH;

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
    let saved = Numbers {
        seq: 1,
        ..Numbers::default()
    };
    core.core.feed = Feed::restored(Numbers::restored(saved, 100));
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
