//! The trust in hooks that some agents want from a person: asked for, given and taken back through the agent itself.
//!
//! Finds the agent's program and says which hooks are this program's; what the agent is asked is in the table of agents.
//! Called by `commands::install`, `commands::uninstall` and `doctor`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::hooks::State;
use super::program::in_path;
use crate::agents::{self, Agent, Trust, TrustError, TrustQuery, hook_command};
use crate::config::variable;

/// How long an agent may take to make a change and to show it: it takes 0.6 to 0.8 s to start (Codex CLI 0.171.0).
pub(crate) const CHANGE_LIMIT: Duration = Duration::from_secs(20);

/// Asks the agent of `directory` for the hooks of `state`, or has it change its trust in them.
///
/// # Errors
///
/// The agent's program is not in `PATH`, or gives no answer.
pub(crate) fn call<T>(
    agent: &'static Agent,
    directory: &Path,
    state: &State,
    limit: Duration,
    ask: fn(&TrustQuery<'_>) -> Result<T, TrustError>,
) -> Result<T, TrustError> {
    let program = in_path(agent.program).ok_or(TrustError::NoProgram(agent.program))?;
    let programs = state.programs.iter();
    let programs = programs.filter_map(|program| program.to_str());
    // Only what `install` writes, word for word: a person has not seen what a longer command does.
    let commands: Vec<_> = programs
        .map(|program| hook_command(program, &[agent.name]))
        .collect();
    ask(&TrustQuery {
        program: &program,
        directory,
        variable: variable_for(agent, directory).as_deref(),
        settings: &state.settings,
        commands: &commands,
        limit,
    })
}

/// Whether the agent may keep a trust in hooks of `state`, by its files.
pub(crate) fn may_be_kept(trust: &Trust, directory: &Path, state: &State) -> bool {
    !state.programs.is_empty() && (trust.may_be_kept)(directory)
}

/// The value of the agent's variable with which it uses `directory`; `None`: unset. As the person has it where that leads
/// there, since an agent may spell paths in another way if the variable is set.
fn variable_for(agent: &Agent, directory: &Path) -> Option<PathBuf> {
    let place = agent.config_dir;
    let leads_there = |found: Option<PathBuf>| found.as_deref() == Some(directory);
    if leads_there(agents::config_dir(place, variable)) {
        return variable(place.variable).map(PathBuf::from);
    }
    let without = |name: &str| variable(name).filter(|_| name != place.variable);
    if leads_there(agents::config_dir(place, without)) {
        return None;
    }
    let below = Path::new(place.below_variable).components().count();
    directory.ancestors().nth(below).map(Path::to_owned)
}
