//! What decided each status that a replay showed: the evidence that `session.explain` names.
//!
//! Filled by both kinds of replay, read by the documentation of the agents.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::expectation::shown;
use crate::codec::{self, Id, Request};
use crate::core::{ClientId, Core, Effect, Input, Now};
use crate::protocol::SessionParams;

const CLIENT: ClientId = ClientId(3);

/// The evidence of each status.
#[derive(Debug, Default)]
pub(super) struct Deciding {
    /// By a session's key: what it showed last.
    last: BTreeMap<String, String>,
    /// By status, and by the kind of evidence: what it said.
    pub(super) of: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Deciding {
    /// Takes in what was just published of a session.
    pub(super) fn note(&mut self, core: &mut Core, now: Now, session: &Value) {
        let key = session["key"].as_str().unwrap();
        let status = shown(session);
        if self.last.insert(key.to_owned(), status.clone()).as_ref() == Some(&status) {
            return;
        }
        let request = Input::Request {
            client: CLIENT,
            id: id(),
            request: Request::SessionExplain(SessionParams {
                session: key.into(),
            }),
        };
        let answers: Vec<Value> = core
            .handle(request, now)
            .filter_map(|effect| match effect {
                Effect::Reply(_, line) => serde_json::from_slice(&line).ok(),
                _ => None,
            })
            .collect();
        let steps = answers[0]["result"]["steps"].as_array().unwrap();
        for step in steps.iter().filter(|step| step["decided"] == true) {
            if shown(step) == status {
                let kinds = self.of.entry(status.clone()).or_default();
                let said = kinds.entry(text(&step["kind"])).or_default();
                said.insert(text(&step["what"]));
            }
        }
    }

    /// Adds what other replays have shown.
    pub(super) fn add(&mut self, other: Self) {
        for (status, kinds) in other.of {
            let all = self.of.entry(status).or_default();
            for (kind, said) in kinds {
                all.entry(kind).or_default().extend(said);
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn id() -> Option<Id> {
    codec::decode(br#"{"jsonrpc":"2.0","id":1,"method":"hello"}"#).id
}
