//! Sessions that run and are not reported by hooks: only the agent's registry shows them. Either none has ever reported
//! them, or hooks have stopped doing so.

use super::hooks::HookState;
use super::{Check, unasked};
use crate::format;
use crate::protocol::{EvidenceKind, SessionRecord, Status};

const NAME: &str = "sessions";

/// A hook may be this late, in ms.
const LATE_MS: u64 = 10_000;

/// A session may be silent because nothing has happened in it since the daemon began to look. One that has begun a turn
/// since then has no hooks: the agent calls one for each prompt.
/// `hooks`: the agents by name. A session whose agent has the hooks, and which is without them, was started in a way of its
/// own.
/// `now` is in ms since the epoch.
pub(super) fn evaluate(
    sessions: Option<&[SessionRecord<'_>]>,
    hooks: &[(&str, HookState)],
    now: u64,
) -> Check {
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
        let (advice, fix) = resume_or_install(first, hooks);
        let what = format!("at work, and no hook reports it{advice}: {}", names(&deaf));
        return fix(Check::wrong(NAME, what));
    }
    let fell_silent = |session: &&SessionRecord<'_>| {
        let since = session.hooks_silent_since;
        since.is_some_and(|since| now.saturating_sub(since) > LATE_MS)
    };
    let fallen: Vec<_> = run.iter().copied().filter(fell_silent).collect();
    if let Some(first) = fallen.first() {
        let (advice, fix) = resume_or_install(first, hooks);
        let since = first.hooks_silent_since.unwrap_or(now);
        let what = format!(
            "hooks fell silent {} ago, and turns still run{advice}: {}",
            format::duration(now.saturating_sub(since)),
            names(&fallen)
        );
        return fix(Check::wrong(NAME, what));
    }
    if !silent.is_empty() {
        let what = format!(
            "no hook has reported {} yet; the next prompt there will",
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
/// settings while they run. What there is to know, and what adds the command.
fn resume_or_install(
    session: &SessionRecord<'_>,
    hooks: &[(&str, HookState)],
) -> (&'static str, impl FnOnce(Check) -> Check + use<>) {
    let state = hooks.iter().find(|(name, _)| *name == session.agent);
    let state = state.map_or(HookState::Missing, |(_, state)| *state);
    let resume = format::resume_command(session).ok();
    let resume = resume.filter(|_| state == HookState::Right);
    let advice = match (&resume, state) {
        (Some(_), _) => " (leave it first, then resume it)",
        (None, HookState::Blocked) => " (the line on hooks says why)",
        (None, HookState::Right | HookState::Missing) => "",
    };
    (advice, move |check: Check| match resume {
        Some(command) => check.fix(command),
        None => state.fix(check),
    })
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
