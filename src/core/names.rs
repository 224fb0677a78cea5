//! By which names the agents' sessions are found: an ordered index from a name to the keys of the sessions that have it.
//!
//! A script's session has no name but its key and is not in it, so a script gone wild costs nothing here, and a new name
//! is compared with the agents' sessions by a search, not with each session. A name may be that of several sessions: two
//! processes may run one conversation. Called by [`super::sessions`] only, which keeps it up to date.

use std::collections::BTreeSet;

/// The names of sessions, each with the session's key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names(BTreeSet<(Box<str>, Box<str>)>);

impl Names {
    /// The names of sessions, each with the session's key.
    #[cfg(test)]
    pub(crate) fn of(names: impl Iterator<Item = (Box<str>, Box<str>)>) -> Self {
        Self(names.collect())
    }

    /// The session of this key had the names `before`, and has those `after`.
    pub(super) fn replace<'a>(
        &mut self,
        key: &str,
        before: impl Iterator<Item = &'a str>,
        after: impl Iterator<Item = &'a str>,
    ) {
        for name in before {
            self.0.remove(&(name.into(), key.into()));
        }
        self.0.extend(after.map(|name| (name.into(), key.into())));
    }

    /// The keys of the sessions of this name.
    pub(super) fn keys_of(&self, name: &str) -> impl Iterator<Item = &str> {
        let of = self.from(name).take_while(move |(of, _)| **of == *name);
        of.map(|(_, key)| &**key)
    }

    /// The keys of the sessions with a name that begins so; one that has several, several times.
    pub(super) fn keys_of_prefix(&self, prefix: &str) -> impl Iterator<Item = &str> {
        let of = self.from(prefix);
        let of = of.take_while(move |(name, _)| name.starts_with(prefix));
        of.map(|(_, key)| &**key)
    }

    fn from(&self, name: &str) -> impl Iterator<Item = &(Box<str>, Box<str>)> {
        self.0.range((Box::from(name), Box::default())..)
    }
}
