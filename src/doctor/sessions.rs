//! Sessions that run and are not reported by hooks: only the agent's registry shows them. Either none has ever reported
//! them, or hooks have stopped doing so.

use super::{Check, unasked};
use crate::format;
use crate::protocol::{EvidenceKind, SessionRecord, Status};

const NAME: &str = "sessions";

/// A hook may be this late, in ms.
const LATE_MS: u64 = 10_000;

/// A session may be silent because nothing has happened in it since the daemon began to look. One that has begun a turn
/// since then has no hooks: the agent calls one for each prompt.
/// `hooked`: the agents whose settings have the hooks, so that a session without them was started in a way of its own.
/// `now` is in ms since the epoch.
pub(super) fn evaluate(sessions: Option<&[SessionRecord<'_>]>, hooked: &[&str], now: u64) -> Check {
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
        let (fix, advice) = resume_or_install(first, hooked);
        let what = format!("at work, and no hook reports it{advice}: {}", names(&deaf));
        return Check::wrong(NAME, what).fix(fix);
    }
    let fell_silent = |session: &&SessionRecord<'_>| {
        let since = session.hooks_silent_since;
        since.is_some_and(|since| now.saturating_sub(since) > LATE_MS)
    };
    let fallen: Vec<_> = run.iter().copied().filter(fell_silent).collect();
    if let Some(first) = fallen.first() {
        let (fix, advice) = resume_or_install(first, hooked);
        let since = first.hooks_silent_since.unwrap_or(now);
        let what = format!(
            "hooks fell silent {} ago, and turns still run{advice}: {}",
            format::duration(now.saturating_sub(since)),
            names(&fallen)
        );
        return Check::wrong(NAME, what).fix(fix);
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

/// If the settings have the hooks, the agent must start anew; else nothing has to be restarted, since agents read their
/// settings while they run. The command, and what else there is to do.
fn resume_or_install(session: &SessionRecord<'_>, hooked: &[&str]) -> (String, &'static str) {
    match format::resume_command(session) {
        Ok(command) if hooked.contains(&&*session.agent) => {
            (command, " (leave it first, then resume it)")
        }
        _ => ("agent-console install --hooks".to_owned(), ""),
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
