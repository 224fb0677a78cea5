//! Which agent a session is of, in little room: a sign of one or two columns. Views show it where sessions of several
//! agents are there. Pure; every text is safe on a terminal.

use super::text::{sanitize, truncate, width};
use crate::agents;
use crate::protocol::SessionRecord;

/// The width of a sign in columns.
pub(crate) const SIGN_WIDTH: usize = 2;

/// The sign of the agent of this name: that of the table, else small letters from the name, so that it is never one of
/// the table's.
pub(crate) fn agent_sign(name: &str) -> String {
    match agents::find(name) {
        Some(agent) => agent.sign.into(),
        None => made_sign(name),
    }
}

/// What people call the agent of this name.
pub(crate) fn agent_title(name: &str) -> String {
    agents::find(name).map_or_else(|| sanitize(name), |agent| agent.title.into())
}

/// `CX Codex CLI`: the sign with what it stands for.
pub(crate) fn signed_agent(name: &str) -> String {
    format!("{} {}", agent_sign(name), agent_title(name))
}

/// The names of the agents that these sessions are of: those of the table in its order, then the others.
pub(crate) fn agent_names<'a, 'r: 'a>(
    sessions: impl IntoIterator<Item = &'a SessionRecord<'r>>,
) -> Vec<String> {
    agents_in_order(sessions.into_iter().map(|session| &*session.agent))
}

/// These agents' names, each once, in the order of the table of agents; others by name after them.
pub(crate) fn agents_in_order<'a>(agents: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for agent in agents {
        if !names.contains(&agent) {
            names.push(agent);
        }
    }
    let place = |name: &str| agents::ALL.iter().position(|agent| agent.name == name);
    names.sort_unstable_by_key(|name| (place(name).unwrap_or(usize::MAX), *name));
    names.into_iter().map(str::to_owned).collect()
}

/// The first letters of the name's first two words, or the first two letters of its only one.
fn made_sign(name: &str) -> String {
    let name = name.to_lowercase();
    let mut words = name
        .split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let (first, second) = (words.next().unwrap_or("?"), words.next());
    let letters: String = match second.and_then(|word| word.chars().next()) {
        Some(letter) => first.chars().take(1).chain([letter]).collect(),
        None => first.chars().take(SIGN_WIDTH).collect(),
    };
    let sign = sanitize(&letters);
    if width(&sign) <= SIGN_WIDTH {
        return sign;
    }
    // A letter may take two columns.
    let one: String = sign.chars().take(1).collect();
    truncate(&one, SIGN_WIDTH).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_outside_the_table_has_a_sign_from_its_name() {
        for (name, sign) in [
            ("codex", "CX"),
            ("my-agent", "ma"),
            ("Make", "ma"),
            ("x", "x"),
            ("", "?"),
            ("\u{1b}[31m", "3"),
            ("日本語", "日"),
        ] {
            assert!(agent_sign(name).starts_with(sign), "{name}");
            assert!(width(&agent_sign(name)) <= SIGN_WIDTH, "{name}");
        }
        for agent in agents::ALL {
            assert_ne!(made_sign(agent.name), agent.sign);
        }
    }

    #[test]
    fn the_documentation_lists_the_signs() {
        let documentation = include_str!("../../docs/operations.md");
        for agent in agents::ALL {
            let row = format!("| `{}` | {} |", agent.sign, agent.title);
            assert!(documentation.contains(&row), "{row}");
        }
    }

    #[test]
    fn agents_are_in_the_order_of_the_table() {
        let of = |agent: &str| -> SessionRecord<'static> {
            let record = serde_json::json!({"key": agent, "agent": agent, "status": "idle", "since": 0, "started_at": 0});
            serde_json::from_value(record).unwrap()
        };
        let sessions = ["make", "opencode", "codex", "make", "build", "codex"].map(of);
        assert_eq!(
            agent_names(&sessions),
            ["codex", "opencode", "build", "make"]
        );
    }
}
