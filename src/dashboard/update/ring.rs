//! Which sessions the terminal rings for, and in which words. Pure.

use std::ffi::OsStr;
use std::path::Path;

use super::Action;
use crate::dashboard::model::{ConnectionState, Model};
use crate::format;
use crate::format::status::DisplayStatus;
use crate::protocol::{SessionRecord, TEXT_LIMIT, one_line};

/// Informs of the sessions that have begun to need a person, except for what the person looks at, and what the filter by
/// agent hides.
pub(super) fn ring(model: &mut Model) -> Option<Action> {
    if !model.rings || model.connection != ConnectionState::Live {
        return None;
    }
    let keys = model.bell.ring(model.now);
    let is_open = |key: &str| model.detail && model.selected_key() == Some(key);
    let sessions = keys.iter().filter(|key| !is_open(key));
    let sessions = sessions.filter_map(|key| model.session(key));
    // The last update may say otherwise.
    let sessions = sessions.filter(|session| session.attention);
    let sessions: Vec<_> = sessions
        .filter(|session| {
            let agent = model.agent.as_deref();
            agent.is_none_or(|agent| *session.agent == *agent)
        })
        .collect();
    let text = match &sessions[..] {
        [] => return None,
        [session] => text(session, model.now),
        several => format!("{} sessions need you", several.len()),
    };
    Some(Action::Ring(text))
}

/// `Rebase the login branch: waiting, permission: Bash git push`, without control characters.
fn text(session: &SessionRecord<'_>, now: u64) -> String {
    let directory = session.cwd.as_deref().map(Path::new);
    let directory = directory.and_then(Path::file_name).and_then(OsStr::to_str);
    let name = session.title.as_deref().or(directory);
    let name = name.unwrap_or(&session.key);
    let status = DisplayStatus::of(session).word();
    let text = match format::reason(session, now) {
        reason if reason.is_empty() => format!("{name}: {status}"),
        reason => format!("{name}: {status}, {reason}"),
    };
    format::sanitize(&one_line(&text, TEXT_LIMIT))
}
