//! The names of Codex CLI's files (0.171.0). Called by [`super::files`] and [`super::thread`].

use std::ffi::OsStr;
use std::path::{Component, Path};

pub(super) fn is_in(path: &Path, directory: &str) -> bool {
    path.parent()
        .is_some_and(|parent| parent.ends_with(directory))
}

pub(super) fn lock_name(id: &str) -> String {
    format!("{id}.lock")
}

/// The name of a conversation's file: its id.
pub(super) fn is_thread_name(name: &OsStr) -> bool {
    name.to_str().is_some_and(is_id)
}

pub(super) fn is_lock_name(name: &OsStr) -> bool {
    let id = name.to_str().and_then(|name| name.strip_suffix(".lock"));
    id.is_some_and(is_id)
}

pub(super) fn is_rollout_name(name: &OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    name.starts_with("rollout-") && Path::new(name).extension() == Some(OsStr::new("jsonl"))
}

pub(super) fn is_rollout_of(name: &OsStr, id: &str) -> bool {
    let stem = Path::new(name).file_stem().and_then(OsStr::to_str);
    stem.is_some_and(|stem| stem.ends_with(id))
}

pub(super) fn is_rollout(path: &Path, sessions: &Path) -> bool {
    let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    path.starts_with(sessions)
        && path.components().all(is_plain)
        && path.file_name().is_some_and(is_rollout_name)
}

/// A UUID, as conversations have it.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// When a conversation of this id began, in ms since the epoch: a UUID of version 7 begins with it (RFC 9562, 5.7).
pub(super) fn began_at(id: &str) -> Option<u64> {
    let digits: String = id.chars().filter(|char| *char != '-').take(12).collect();
    u64::from_str_radix(&digits, 16).ok()
}
