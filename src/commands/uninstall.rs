//! `uninstall`: takes away what `install` put in place, and nothing else.

use std::io::Write;

use super::install::{Options, claude_directory};
use crate::install::{hooks, service};
use crate::show;

/// Examples for `uninstall --help`.
pub(super) const EXAMPLES: &str = "Settings are afterwards as they were, byte for byte; hooks of others, units that you wrote or edited,
and your own lines in the configuration stay.

Examples:
  agent-console uninstall --dry-run    what it would do
  agent-console uninstall              service and hooks; then `cargo uninstall agent-console`
  agent-console uninstall --hooks      agents report no more, the service stays";

pub(super) fn run(options: Options, out: &mut impl Write) -> anyhow::Result<()> {
    options.carry_out(out, service::plan_uninstall, || {
        hooks::plan_uninstall(&claude_directory()?)
    })?;
    if options.undid_hooks() {
        let left = hooks::state(&claude_directory()?)?;
        for program in &left.programs {
            let (program, settings) = (program.display(), left.settings.display());
            let note = format!(
                "note: hooks in {settings} that were there before `install` still call {program}; `agent-console uninstall --hooks` once more takes them, too"
            );
            writeln!(out, "{}", show::plain(&note))?;
        }
    }
    Ok(())
}
