//! The trust that some agents want from a person: whether they run the hooks that are in place. Part of the check of the
//! hooks; the agent itself is asked, since only it can say.

use std::path::Path;
use std::time::Duration;

use super::{Check, Level};
use crate::agents::{self, Agent, TrustCounts};
use crate::format::error_text;
use crate::install::hooks::State;
use crate::install::trust;

/// Has the agents trust the hooks. Not `install` alone, which would also put the service in place.
const INSTALL_TRUST: &str = "agent-console install --hooks --trust";

/// How long an agent may take to answer: it takes 0.6 to 0.8 s to start (Codex CLI 0.171.0).
const LIMIT: Duration = Duration::from_secs(5);

/// What the agent says, or why it says nothing.
pub(super) type Answer = Result<TrustCounts, String>;

/// Asks the agent; `None` if it wants no trust.
pub(super) fn probe(agent: &'static Agent, directory: &Path, state: &State) -> Option<Answer> {
    let ask = agents::trust(agent)?.ask;
    let answer = trust::call(agent, directory, state, LIMIT, ask);
    Some(answer.map_err(|error| error_text(&error.into())))
}

/// Adds what the agent says to the check of hooks that are in place.
pub(super) fn evaluate(check: Check, agent: &Agent, answer: Option<&Answer>) -> Check {
    let (what, title) = (&check.what, agent.title);
    let counts = match answer {
        None => return check,
        Some(Err(why)) => {
            let what = format!("{what}; whether {title} trusts these hooks is not known: {why}");
            return Check {
                level: Level::Note,
                what,
                ..check
            };
        }
        Some(Ok(counts)) => counts,
    };
    let (total, unconfirmed) = (counts.total(), counts.unconfirmed());
    if unconfirmed > 0 {
        let mut why = format!("{title} does not trust {unconfirmed} of {total} hooks");
        if counts.modified > 0 {
            why = format!("{why}, {} of them changed since you did", counts.modified);
        }
        let by_hand = agents::trust(agent).map_or("", |trust| trust.by_hand);
        let what = format!("{what}, but {why}, and does not run them; it {by_hand}");
        return Check::wrong(check.name, what).fix(INSTALL_TRUST);
    }
    if counts.disabled > 0 {
        let review = agents::trust(agent).map_or("", |trust| trust.review);
        let what = format!(
            "{what}; {} of {total} hooks are switched off in {title} ({review})",
            counts.disabled
        );
        return Check {
            level: Level::Note,
            what,
            ..check
        };
    }
    let what = format!("{what}, and {title} trusts all {total} hooks");
    Check { what, ..check }
}
