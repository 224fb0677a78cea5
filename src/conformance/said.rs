//! What an agent's sessions ever say of themselves: which fields its recordings fill. What an agent cannot say is absent
//! from the record, not zero.
//!
//! Filled and read by the documentation of the agents.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::agents::Agent;
use crate::event::AgentEvent;

/// The fields of a record that depend on the agent, and what people call them.
const FIELDS: [(&str, &str); 10] = [
    ("title", "title"),
    ("waiting_for", "waits for"),
    ("question", "what is asked"),
    ("model", "model"),
    ("permission_mode", "permission mode"),
    ("context_percent", "context in use"),
    ("cost_usd", "cost"),
    ("subagents", "subagents"),
    ("background", "background work"),
    ("resumes", "what wakes it"),
];

/// The account's limits, which are no field of a session.
const LIMITS: &str = "limits";

/// A field that no recording fills.
const NONE: &str = "–";

/// The fields that one agent's sessions have filled.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// By field: the words that it had, of those fields whose values are words of the protocol; and where they are from
    /// if no hook or file has them.
    filled: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Said {
    /// Takes in a record as it was published.
    pub(super) fn note(&mut self, session: &Value) {
        for (field, _) in FIELDS {
            let value = &session[field];
            let is_filled = match value {
                Value::Null => false,
                Value::Array(values) => !values.is_empty(),
                // No record leaves counts out.
                Value::Number(count) if matches!(field, "subagents" | "background") => {
                    count.as_u64() != Some(0)
                }
                _ => true,
            };
            if is_filled {
                let words = self.filled.entry(field).or_default();
                match field {
                    "waiting_for" => words.extend(value.as_str().map(str::to_owned)),
                    "resumes" => {
                        let kinds = value.as_array().into_iter().flatten();
                        let kinds = kinds.filter_map(|resume| resume["kind"].as_str());
                        words.extend(kinds.map(str::to_owned));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Takes in what the agent's status line said, which no replay plays.
    pub(super) fn note_status_line(&mut self, event: &AgentEvent) {
        let said = [
            ("context_percent", event.context_percent.is_some()),
            ("cost_usd", event.cost_usd.is_some()),
            (LIMITS, !event.limits.is_empty()),
        ];
        for (field, _) in said.into_iter().filter(|(_, is_said)| *is_said) {
            let words = self.filled.entry(field).or_default();
            words.insert("status line".into());
        }
    }

    fn cell(&self, field: &str) -> String {
        match self.filled.get(field) {
            None => NONE.into(),
            Some(words) if words.is_empty() => "yes".into(),
            Some(words) => words.iter().cloned().collect::<Vec<_>>().join(", "),
        }
    }
}

/// The rows of the table: a field, and what each agent says of it.
pub(super) fn rows(all: &[(&'static Agent, &Said)]) -> Vec<Vec<String>> {
    let heading = |first: &str| vec![first.to_owned()];
    let mut titles = heading("");
    titles.extend(all.iter().map(|(agent, _)| agent.title.to_owned()));
    let mut rows = vec![titles, vec!["---".into(); all.len() + 1]];
    for (field, words) in FIELDS.into_iter().chain([(LIMITS, "the account's limits")]) {
        let mut row = heading(words);
        row.extend(all.iter().map(|(agent, said)| match said.cell(field) {
            // A recording of a stand-in for the service has none that can be.
            none if none == NONE && field == LIMITS && agent.limits.is_some() => {
                "not recorded".into()
            }
            cell => cell,
        }));
        rows.push(row);
    }
    let mut resumed = heading("resumed by");
    let command = |agent: &Agent| format!("`{}`", (agent.resume)("ID").join(" "));
    resumed.extend(all.iter().map(|(agent, _)| command(agent)));
    rows.push(resumed);
    rows
}
