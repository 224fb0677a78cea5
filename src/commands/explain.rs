//! `explain`: a session's status and the evidence for it, the oldest first, each piece with the rule that applied.

use std::io::Write;

use super::args::OneSession;
use crate::client::Client;
use crate::format;
use crate::os::clock;
use crate::protocol::{EvidenceStep, ExplainResult};

/// Shown below `--help`.
pub(super) const EXAMPLES: &str = "Examples:
  agent-console explain 3f2a              show each piece of evidence, and the rule that applied
  agent-console explain 3f2a --json       the same for a bug report";

pub(super) fn run(
    one: &OneSession,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let explained: ExplainResult<'static> = client.call("session.explain", &one.params())?;
    if one.json {
        format::json(out, &explained)?;
    } else {
        write!(out, "{}", page(&explained, clock::unix_ms()))?;
    }
    Ok(())
}

fn page(explained: &ExplainResult<'_>, now: u64) -> String {
    let session = &explained.session;
    let mut page = format!(
        "{}  {} for {}",
        format::sanitize(&session.key),
        format::status(session),
        format::ago(session.since, now)
    );
    let summary = format::summary(session, None);
    if !summary.is_empty() {
        page = format!("{page}  {summary}");
    }
    let rows: Vec<_> = explained.steps.iter().map(|step| row(step, now)).collect();
    format!("{page}\n\n{}", format::table(&rows))
}

/// One piece of evidence; `*` marks the one that decided the present status.
fn row(step: &EvidenceStep<'_>, now: u64) -> Vec<String> {
    vec![
        if step.decided { "*" } else { " " }.into(),
        format!("{} ago", format::precise(now.saturating_sub(step.at))),
        step.kind.as_str().into(),
        format::sanitize(&step.what),
        format::status_words(step.status, step.waiting_for),
        format::sanitize(&step.meaning),
    ]
}
