//! Sessions that run, but of which no hook has told: only the agent's registry has.

use std::path::Path;

use super::fix::quote;
use super::{Check, unasked};
use crate::agents;
use crate::protocol::{EvidenceKind, SessionRecord, Status};

const NAME: &str = "sessions";

/// A session may be silent because nothing has happened in it since the daemon began to look. One that has begun a turn
/// since then has no hooks: the agent calls one for each prompt.
/// `hooked`: the agents whose settings have the hooks, so that a session without them was started in a way of its own.
pub(super) fn evaluate(sessions: Option<&[SessionRecord<'_>]>, hooked: &[&str]) -> Check {
    let Some(sessions) = sessions else {
        return unasked(NAME);
    };
    let run: Vec<_> = sessions
        .iter()
        .filter(|session| session.status != Status::Closed)
        .collect();
    let silent: Vec<_> = run.iter().copied().filter(|one| is_silent(one)).collect();
    let deaf: Vec<_> = silent
        .iter()
        .copied()
        .filter(|one| has_worked(one))
        .collect();
    if let Some(first) = deaf.first() {
        let what = format!("at work, and no hook tells of it: {}", names(&deaf));
        return Check::wrong(NAME, what).fix(
            match (&first.session_id, agents::find(&first.agent)) {
                (Some(id), Some(agent)) if hooked.contains(&agent.name) => {
                    let directory = first.cwd.as_deref().unwrap_or(".");
                    let resume = (agent.resume)(id);
                    let words = resume.iter().map(|word| quote(Path::new(word)));
                    let command = words.collect::<Vec<_>>().join(" ");
                    format!("cd {} && {command}", quote(Path::new(directory)))
                }
                // The settings are read again while an agent runs, so that nothing has to be restarted.
                _ => "agent-console install --hooks".to_owned(),
            },
        );
    }
    if !silent.is_empty() {
        let what = format!(
            "no hook has told of {} yet; the next prompt there will",
            names(&silent)
        );
        return Check::note(NAME, what);
    }
    match run.len() {
        0 => Check::ok(NAME, "none runs"),
        count => Check::ok(NAME, format!("{count} running, none with silent hooks")),
    }
}

fn is_silent(session: &SessionRecord<'_>) -> bool {
    let has = |kind| session.evidence.iter().any(|one| one.kind == kind);
    has(EvidenceKind::Registry) && !has(EvidenceKind::Hook)
}

/// The first entry is what the daemon found when it began to look.
fn has_worked(session: &SessionRecord<'_>) -> bool {
    let seen = session.history.iter().skip(1);
    seen.into_iter().any(|one| one.status == Status::Working)
}

fn names(sessions: &[&SessionRecord<'_>]) -> String {
    let name = |session: &&SessionRecord<'_>| match &session.title {
        Some(title) => format!("{} ({title})", session.key),
        None => session.key.to_string(),
    };
    let names: Vec<_> = sessions.iter().map(name).collect();
    names.join(", ")
}
