//! What `install --trust` and `uninstall` do about the trust that some agents want from a person, and what they say of it.
//!
//! An agent is asked only where it has hooks of this program. Called by `install` and `uninstall`.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use crate::agents::{self, Agent, Trust, TrustChange, TrustError};
use crate::format::print_error;
use crate::install::hooks::{self, State};
use crate::install::trust;

/// What the note of [`note`] offers.
const COMMAND: &str = "agent-console install --hooks --trust";

/// What a person must do so that new hooks of the agent run, if it asks for trust.
pub(super) fn note(agent: &Agent) -> Option<String> {
    let (title, by_hand) = (agent.title, agents::trust(agent)?.by_hand);
    Some(format!(
        "{title} runs no hook that you have not trusted. It {by_hand}; or `{COMMAND}` has it trust these hooks now, and no others"
    ))
}

/// Has each agent at `places` that asks for trust trust the hooks that call `program`, and adds what was done to `lines`.
/// With `dry_run` nothing is started.
///
/// # Errors
///
/// An agent does not, with what the person can do; the hooks stay. If there are several, the others are printed.
pub(super) fn grant(
    places: &[(&'static Agent, PathBuf)],
    program: &Path,
    dry_run: bool,
    lines: &mut Vec<String>,
) -> anyhow::Result<()> {
    let mut failed = None;
    let asking: Vec<_> = places
        .iter()
        .filter_map(|(agent, directory)| Some((*agent, agents::trust(agent)?, directory)))
        .collect();
    if asking.is_empty() {
        lines.push("trust: no agent here asks for it".to_owned());
    }
    for (agent, of, directory) in asking {
        let (title, shown) = (agent.title, directory.display());
        if dry_run {
            let calls = of.calls;
            lines.push(format!(
                "would have {title} trust its hooks of this program in {shown}, and no others ({calls})"
            ));
            continue;
        }
        match grant_at(agent, of, directory, program) {
            Ok(change) => lines.push(granted(agent, of, change, directory)),
            Err(error) => {
                let by_hand = of.by_hand;
                let error =
                    anyhow!("trust: {error:#}. The hooks in {shown} stay; {title} {by_hand}");
                if let Some(earlier) = failed.replace(error) {
                    print_error(&earlier);
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn grant_at(
    agent: &'static Agent,
    of: &Trust,
    directory: &Path,
    program: &Path,
) -> anyhow::Result<TrustChange> {
    let mut state = hooks::state(agent, directory)?;
    // Of what another program does nothing is known.
    state.programs.retain(|called| called == program);
    if state.programs.is_empty() {
        bail!("no hook there calls {}", program.display());
    }
    let change = trust::call(agent, directory, &state, trust::CHANGE_LIMIT, of.grant)?;
    let (left, total) = (change.after.unconfirmed(), change.after.total());
    if left > 0 {
        bail!(
            "{} does not trust {left} of {total} hooks, although it was asked to",
            agent.title
        );
    }
    Ok(change)
}

/// What was done, by the agent's own answer.
fn granted(agent: &Agent, of: &Trust, change: TrustChange, directory: &Path) -> String {
    let (title, shown) = (agent.title, directory.display());
    let (all, off) = (change.after.total(), change.after.disabled);
    let done = match change.changed {
        0 => format!("trust: nothing to do, {title} trusts these {all} hooks in {shown}"),
        changed => format!("{title} now trusts {changed} hooks of this program in {shown}"),
    };
    match off {
        0 => done,
        _ => format!("{done}; {off} of them are switched off ({})", of.review),
    }
}

/// Has each agent at `places` forget its trust in the hooks of this program, while it still lists them. One that cannot is
/// named, and is no failure: an entry without a hook does nothing. Gives the lines to print.
pub(super) fn revoke(places: &[(&'static Agent, PathBuf)], dry_run: bool) -> Vec<String> {
    let lines = places
        .iter()
        .filter_map(|(agent, directory)| revoke_at(agent, directory, dry_run));
    lines.collect()
}

fn revoke_at(agent: &'static Agent, directory: &Path, dry_run: bool) -> Option<String> {
    let (of, state) = kept(agent, directory)?;
    let (title, shown) = (agent.title, directory.display());
    if dry_run {
        let calls = of.calls;
        return Some(format!(
            "would have {title} forget its trust in hooks of this program in {shown} ({calls})"
        ));
    }
    let left = match trust::call(agent, directory, &state, trust::CHANGE_LIMIT, of.revoke) {
        Ok(TrustChange { changed: 0, after }) if after.trusted == 0 => return None,
        Ok(TrustChange { changed, after }) if after.trusted == 0 => {
            return Some(format!(
                "{title} no longer trusts {changed} hooks of this program in {shown}"
            ));
        }
        Ok(change) => format!("it was asked to forget {} more", change.after.trusted),
        // The agent knows no hook of this program.
        Err(TrustError::Unlisted(..)) => return None,
        Err(error) => error.to_string(),
    };
    Some(format!(
        "note: {title} keeps its trust in hooks of this program in {shown}, which does nothing without them: {left}"
    ))
}

/// The hooks of this program in which the agent may keep trust.
fn kept(agent: &'static Agent, directory: &Path) -> Option<(&'static Trust, State)> {
    let of = agents::trust(agent)?;
    // Settings that cannot be read are the subject of the hooks' removal.
    let state = hooks::state(agent, directory).ok()?;
    trust::may_be_kept(of, directory, &state).then_some((of, state))
}
