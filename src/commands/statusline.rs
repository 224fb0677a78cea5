//! `statusline`: what Claude Code runs to draw its status line. Reports what the JSON on standard input knows (model,
//! context, cost, the account's limits) and prints a line: that of the user's own command, which gets the same input and
//! has the last word, or one of ours.
//!
//! A status line is drawn many times a minute and must never fail: what cannot be read or reported is left out.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Args;

use crate::agents::claude_code;
use crate::core::Limit;
use crate::core::event::AgentEvent;
use crate::hook;
use crate::show;

/// How long the report may take: a daemon that is there takes it in well under a millisecond.
const PATIENCE: Duration = Duration::from_millis(50);

/// The most that is read, in bytes: a status line's JSON has some thousand.
const LONGEST: u64 = 1024 * 1024;

/// The command whose line is wanted.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The status line's command, which gets the same input; without it a line of our own is printed
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// For `statusline --help`.
pub(super) const EXAMPLES: &str = r#"Output and exit status of COMMAND are passed through.

Examples:
  "statusLine": {"type": "command", "command": "agent-console statusline"}
      in Claude Code's settings.json
  "statusLine": {"type": "command", "command": "agent-console statusline -- ~/bin/my-line"}
      around a command of your own"#;

pub(super) fn run(
    options: &Options,
    socket: Option<&Path>,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let mut payload = Vec::new();
    io::stdin().lock().take(LONGEST).read_to_end(&mut payload)?;
    let Some((program, arguments)) = options.command.split_first() else {
        writeln!(out, "{}", line(&payload))?;
        out.flush()?;
        hook::report("claude-code", socket, &payload, PATIENCE);
        return Ok(ExitCode::SUCCESS);
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| anyhow::anyhow!("cannot run {program}: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // It need not read what it does not want.
        let _ = input.write_all(&payload);
    }
    hook::report("claude-code", socket, &payload, PATIENCE);
    let status = child.wait()?;
    // Killed by a signal: as a shell would say it.
    let killed =
        std::os::unix::process::ExitStatusExt::signal(&status).map_or(1, |signal| 128 + signal);
    let code = status.code().unwrap_or(killed);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// A line of our own: model, context, cost, limits, as far as they are known.
fn line(payload: &[u8]) -> String {
    let told = std::str::from_utf8(payload)
        .ok()
        .and_then(claude_code::event);
    let Some(told) = told else {
        return String::new();
    };
    show::plain(&parts(&told).join(" · "))
}

fn parts(told: &AgentEvent) -> Vec<String> {
    let limit = |limit: &Limit| {
        let name = match &*limit.name {
            "five_hour" => "5h",
            "seven_day" => "7d",
            other => other,
        };
        format!("{name} {:.0} %", limit.used_percent)
    };
    let mut parts = Vec::new();
    parts.extend(told.model.as_deref().map(str::to_owned));
    parts.extend(
        told.context_percent
            .map(|percent| format!("{percent:.0} % context")),
    );
    parts.extend(
        told.cost_usd
            .filter(|cost| *cost > 0.0)
            .map(|cost| format!("${cost:.2}")),
    );
    parts.extend(told.limits.iter().map(limit));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_line_has_what_is_known() {
        let whole =
            br#"{"session_id":"s","model":{"id":"opus"},"context_window":{"used_percentage":12.4},
            "cost":{"total_cost_usd":0.125},"rate_limits":{"five_hour":{"used_percentage":42}}}"#;
        assert_eq!(line(whole), "opus · 12 % context · $0.12 · 5h 42 %");
        assert_eq!(
            line(br#"{"session_id":"s","model":{"id":"a\u001b[31m"}}"#),
            "a [31m"
        );
        assert_eq!(line(b"nonsense"), "");
    }
}
