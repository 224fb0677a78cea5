//! `explain`: a session's status, since when, and the evidence behind it, oldest to newest, each piece with the rule
//! that took it in.

use std::io::Write;

use super::OneSession;
use crate::client::Client;
use crate::format;
use crate::os::clock;
use crate::protocol::{EvidenceStep, ExplainResult};

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
        format::plain(&session.key),
        format::status(session),
        format::ago(session.since, now)
    );
    let about = format::about(session);
    if !about.is_empty() {
        page = format!("{page}  {about}");
    }
    let rows: Vec<_> = explained.steps.iter().map(|step| row(step, now)).collect();
    format!("{page}\n\n{}", format::table(&rows))
}

/// One piece of evidence; `*` marks the one that the present status goes back to.
fn row(step: &EvidenceStep<'_>, now: u64) -> Vec<String> {
    let status = match step.waiting_for {
        Some(what) => format!("{}: {}", step.status.as_str(), what.as_str()),
        None => step.status.as_str().into(),
    };
    vec![
        if step.decided { "*" } else { " " }.into(),
        format!("{} ago", format::precise(now.saturating_sub(step.at))),
        step.kind.as_str().into(),
        format::plain(&step.what),
        status,
        format::plain(&step.meaning),
    ]
}
