//! The names of a session, and which of them a name or a prefix means.
//!
//! Knows one session; [`crate::core::sessions`] decides between several. Called by it, and by [`super::hook`] and
//! [`super::registry`], which learn ids.

use serde::{Deserialize, Serialize};

use super::Session;

/// How many former ids a key keeps: enough to find a session by the id it had before the last few `/clear`.
const PREVIOUS_IDS: usize = 8;

/// The names by which a session is found.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) key: Box<str>,
    pub(super) agent: Box<str>,
    /// The agent's own id of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Box<str>>,
    /// The stamp of the evidence that the id comes from.
    pub(super) id_at: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) previous_ids: Vec<Box<str>>,
}

impl Session {
    /// True if `name` is its agent's id for it.
    pub(crate) fn has_id(&self, name: &str) -> bool {
        self.identity.id.as_deref() == Some(name)
    }

    /// True if `name` was its agent's id for it.
    pub(crate) fn had_id(&self, name: &str) -> bool {
        self.identity.previous_ids.iter().any(|id| **id == *name)
    }

    /// True if its key or id begins with `prefix`.
    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        self.key().starts_with(prefix) || self.has_id_prefix(prefix)
    }

    /// True if `prefix` cannot but mean this session of an agent: its id begins with it, or its key does and the prefix
    /// goes beyond the agent's name and the hyphen, with which all the keys of that agent begin.
    pub(crate) fn has_own_prefix(&self, prefix: &str) -> bool {
        let own = self.key().strip_prefix(self.agent());
        let own = own
            .and_then(|own| own.strip_prefix('-'))
            .unwrap_or_default();
        let shared = self.key().len() - own.len();
        self.has_id_prefix(prefix) || (prefix.len() > shared && self.key().starts_with(prefix))
    }

    fn has_id_prefix(&self, prefix: &str) -> bool {
        let id = self.identity.id.as_deref();
        id.is_some_and(|id| id.starts_with(prefix))
    }

    /// The names by which an agent's session is found: its key, its id and its former ids. Of a script's, none.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let Identity {
            key,
            id,
            previous_ids,
            ..
        } = &self.identity;
        let key = Some(key).filter(|_| self.is_agents());
        key.into_iter()
            .chain(id)
            .chain(previous_ids)
            .map(|name| &**name)
    }

    /// Sets the agent's id of the conversation and keeps the former one. True if another conversation replaced one.
    pub(super) fn set_session_id(&mut self, id: Option<Box<str>>) -> bool {
        let identity = &mut self.identity;
        if id.is_none() || id == identity.id {
            return false;
        }
        // A former id that is in use again is no former one.
        identity
            .previous_ids
            .retain(|former| Some(former) != id.as_ref());
        let Some(former) = std::mem::replace(&mut identity.id, id) else {
            return false;
        };
        if identity.previous_ids.len() == PREVIOUS_IDS {
            identity.previous_ids.remove(0);
        }
        identity.previous_ids.push(former);
        true
    }
}
