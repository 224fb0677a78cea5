//! `doctor`: what is wrong with the installation, and the command that fixes it. The questions are [`crate::doctor`]'s.

use std::io::Write;
use std::path::Path;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::args::Json;
use crate::doctor::{self, Check, Level};
use crate::format;
use crate::install::leftover;

/// What a script reads.
#[derive(Serialize)]
struct Report<'a> {
    /// Nothing is wrong.
    ok: bool,
    checks: &'a [Check],
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str = "Examples:
  agent-console doctor                    show what is wrong, and the command that fixes it
  agent-console doctor --notify           send a notification to look at
  agent-console doctor --json             the same for a script";

/// The options of `doctor`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    json: Json,
    /// Send a notification to look at, as a session that needs you does
    #[arg(long)]
    notify: bool,
}

pub(super) fn run(
    options: &Options,
    socket: Option<&Path>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    // The one thing that it changes: what a run that was killed has left.
    let _ = leftover::sweep();
    let mut checks = doctor::run_checks(socket, options.notify);
    for check in &mut checks {
        check.what = format::sanitize(&check.what);
        check.fix = check.fix.as_deref().map(format::sanitize);
    }
    let wrong = checks
        .iter()
        .filter(|check| check.level == Level::Wrong)
        .count();
    if options.json.json {
        let report = Report {
            ok: wrong == 0,
            checks: &checks,
        };
        format::json(out, &report)?;
    } else {
        write!(out, "{}", lines(&checks))?;
    }
    if wrong > 0 {
        bail!("{wrong} of {} checks found something wrong", checks.len());
    }
    Ok(())
}

/// A line a check, and under it what fixes it.
fn lines(checks: &[Check]) -> String {
    let row = |check: &Check| {
        vec![
            // As wide as the widest, so that lines of a good day and a bad one compare.
            format!("{:5}", check.level.as_str()),
            check.name.to_owned(),
            check.what.clone(),
        ]
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    let mut text = String::new();
    for (line, check) in format::table(&rows).lines().zip(checks) {
        text.push_str(line);
        text.push('\n');
        if let Some(fix) = &check.fix {
            text.push_str("       fix: ");
            text.push_str(fix);
            text.push('\n');
        }
    }
    text
}
