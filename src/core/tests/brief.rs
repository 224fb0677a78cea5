//! Brief changes: a record without its lists, and what the change has added to them.

use serde_json::json;

use super::*;
use crate::codec::Request;

/// A core with a subscriber to whole changes, one to brief changes, and a session that both know.
fn subscribed() -> CoreHarness {
    let mut core = CoreHarness::new();
    for (client, changes) in [(1, Changes::Whole), (2, Changes::Brief)] {
        let effects = core.take(subscribe(client, changes));
        assert!(matches!(effects.last(), Some(Effect::Subscribe(_, form)) if *form == changes));
    }
    set(&mut core, "idle");
    core
}

fn subscribe(client: u64, changes: Changes) -> Input {
    Input::Request {
        client: ClientId(client),
        id: codec::decode(br#"{"jsonrpc":"2.0","id":7,"method":"hello"}"#).id,
        request: Request::Subscribe(SubscribeParams {
            since: None,
            changes,
        }),
    }
}

/// The parameters of what the whole form and the brief form get.
fn set(core: &mut CoreHarness, status: &str) -> [Value; 2] {
    core.wait(1);
    let params = json!({"session": "build", "status": status});
    let request = json!({"jsonrpc": "2.0", "method": "session.set", "params": params});
    let effects = core.line(&request.to_string());
    [Changes::Whole, Changes::Brief].map(|form| {
        let mut sent = effects.iter().filter_map(|effect| match effect {
            Effect::BroadcastTo(to, line) if *to == form => Some(line),
            _ => None,
        });
        let line = sent.next().expect("a notification");
        assert!(sent.next().is_none());
        serde_json::from_slice::<Value>(line).unwrap()["params"].clone()
    })
}

#[test]
fn a_brief_change_has_what_it_adds() {
    let mut core = subscribed();
    let before = set(&mut core, "working")[0]["session"].clone();
    let [whole, brief] = set(&mut core, "waiting");
    assert_eq!(whole["added"], Value::Null);
    assert_eq!(whole["seq"], brief["seq"]);
    let mut rest = whole["session"].clone();
    let history = rest["history"].take();
    let evidence = rest["evidence"].take();
    (rest["history"], rest["evidence"]) = (json!([]), json!([]));
    assert_eq!(brief["session"], rest);
    assert_eq!(history.as_array().unwrap().len(), 3);
    let added = json!({"history": [history[2]], "history_length": 3, "evidence": evidence});
    assert_eq!(brief["added"], added);
    assert_eq!(
        before["history"].as_array().unwrap()[..2],
        history.as_array().unwrap()[..2]
    );
}

#[test]
fn nothing_is_added_where_nothing_came() {
    let mut core = subscribed();
    set(&mut core, "idle");
    core.hook(&json!({"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "a"}));
    let [_, brief] = set(&mut core, "idle");
    assert_eq!(brief["added"]["history"], Value::Null);
    assert_eq!(brief["added"]["history_length"], 1);
}

#[test]
fn what_additions_cannot_tell_is_whole() {
    let mut core = CoreHarness::new();
    core.take(subscribe(2, Changes::Brief));
    let params = json!({"session": "build", "status": "idle"});
    let line = json!({"jsonrpc": "2.0", "method": "session.set", "params": params});
    // A new session; one that is known and whose moments move.
    let is_whole = |effects: Vec<Effect>| {
        let lines = effects.iter().filter_map(|effect| match effect {
            Effect::BroadcastTo(Changes::Brief, line) => Some(line),
            _ => None,
        });
        let texts: Vec<Value> = lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let [text] = &*texts else {
            panic!("{texts:?}");
        };
        let params = &text["params"];
        params["added"].is_null() && params["session"]["history"].is_array()
    };
    assert!(is_whole(core.line(&line.to_string())));
    core.now.unix_ms += 60_000;
    assert!(is_whole(core.take(Input::Timeout)));
}

#[test]
fn a_connection_has_one_form() {
    let mut core = subscribed();
    let effects = core.take(subscribe(2, Changes::Whole));
    let [Effect::Reply(ClientId(2), line)] = &*effects else {
        panic!("{effects:?}");
    };
    let answer: Value = serde_json::from_slice(line).unwrap();
    assert_eq!(answer["error"]["code"], -32602);
    let again = core.take(subscribe(2, Changes::Brief));
    let answer = matches!(&again[0], Effect::Reply(_, line) if line.starts_with(br#"{"jsonrpc":"2.0","id":7,"result""#));
    assert!(answer);
}

#[test]
fn a_list_may_be_without_histories() {
    let mut core = subscribed();
    let list = |core: &mut CoreHarness, params: Value| {
        core.ask("session.list", &params)["sessions"][0].clone()
    };
    let whole = list(&mut core, json!({}));
    assert_eq!(whole["history"].as_array().unwrap().len(), 1);
    assert_eq!(whole["evidence"].as_array().unwrap().len(), 1);
    let mut without = whole.clone();
    (without["history"], without["evidence"]) = (json!([]), json!([]));
    assert_eq!(list(&mut core, json!({"include_history": false})), without);
    assert_eq!(list(&mut core, json!({"include_history": true})), whole);
}
