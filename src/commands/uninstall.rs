//! `uninstall`: removes what `install` put in place, and nothing else.

use std::io::Write;
use std::path::Path;

use super::{install, trust};
use crate::format;
use crate::install::{hooks, notify, service, settings};

/// Examples for `uninstall --help`.
pub(super) const EXAMPLES: &str = "Without --service, --hooks, --statusline or --notify it is all four. Settings are afterwards as they were, byte for byte; hooks
of others, units that you wrote or edited, and your own lines in the configuration stay.

Examples:
  agent-console uninstall --dry-run     what it would do
  agent-console uninstall               everything; then `cargo uninstall agent-console`
  agent-console uninstall --statusline  your own status line is alone again
  agent-console uninstall --hooks       the hooks; the service stays";

pub(super) fn run(options: &install::Options, out: &mut impl Write) -> anyhow::Result<()> {
    let all = !options.parts.any();
    let parts = install::Parts {
        service: options.parts.service || all,
        hooks: options.parts.hooks || all,
        statusline: options.parts.statusline || all,
        notify: options.parts.notify || all,
    };
    let in_settings = settings::Parts {
        hooks: parts.hooks,
        status_line: parts.statusline,
    };
    let places = options.places(|agent, _| hooks::uninstall_dirs(agent));
    let settings = |agent, directory: &Path| hooks::plan_uninstall(agent, directory, in_settings);
    let mut lines = Vec::new();
    if parts.hooks {
        // First: an agent lists only hooks that are there.
        lines = trust::revoke(&places, options.dry_run);
    }
    // A closed pipe does not stop the work.
    let written = lines
        .iter()
        .try_for_each(|line| writeln!(out, "{}", format::sanitize(line)));
    let plans = install::Plans {
        service: service::plan_uninstall,
        notify: notify::plan_uninstall,
    };
    options.carry_out(parts, &places, out, plans, settings)?;
    written?;
    if options.dry_run || !(parts.hooks || parts.statusline) {
        return Ok(());
    }
    for (agent, directory) in &places {
        // Settings of a wrong shape hold no call of this program.
        let Ok(left) = hooks::state(agent, directory) else {
            continue;
        };
        for note in notes(parts, &left) {
            writeln!(out, "{}", format::sanitize(&format!("note: {note}")))?;
        }
    }
    Ok(())
}

/// What in the settings still calls this program, and how to remove that, too.
fn notes(parts: install::Parts, left: &hooks::State) -> Vec<String> {
    let settings = left.settings.display();
    let mut notes = Vec::new();
    if parts.hooks && left.own_file == Some(hooks::OwnFileState::Edited) {
        notes.push(format!(
            "{settings} was edited, so it stays; remove it by hand"
        ));
    }
    if parts.hooks {
        notes.extend(left.programs.iter().map(|program| {
            let program = program.display();
            format!(
                "hooks in {settings} that were there before `install` still call {program}; `agent-console uninstall --hooks` once more removes them, too"
            )
        }));
    }
    if let Some(call) = left.status_line.as_ref().filter(|_| parts.statusline) {
        let program = &call.program;
        notes.push(if call.removable {
            format!(
                "the status line in {settings} that was there before `install` still calls {program}; `agent-console uninstall --statusline` once more removes that call, too"
            )
        } else {
            format!(
                "the status line in {settings} still calls {program}, in a way that `install` did not write; take it out of `statusLine` by hand"
            )
        });
    }
    notes
}
