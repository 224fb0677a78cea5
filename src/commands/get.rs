//! `get`: all that is known of one session.

use std::io::Write;

use super::OneSession;
use crate::client::Client;
use crate::format::status::Kind;
use crate::format::{self, Screen};
use crate::os::clock;
use crate::protocol::{SessionRecord, SessionResult};

/// Examples for `get --help`.
pub(super) const EXAMPLES: &str = "Examples:
  agent-console get build
  agent-console get 19440e85 --json | jq -r .reason      by the beginning of the agent's id";

pub(super) fn run(
    one: &OneSession,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let SessionResult { session } =
        client.call::<_, SessionResult<'static>>("session.get", &one.params())?;
    if one.json {
        format::json(out, &session)?;
    } else {
        let rows = rows(&session, clock::unix_ms(), Screen::of_stdout());
        write!(out, "{}", format::table(&rows))?;
    }
    Ok(())
}

fn rows(session: &SessionRecord<'_>, now: u64, screen: Screen) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            rows.push(vec![name.into(), value]);
        }
    };
    let text = |text: Option<&str>| text.map(format::plain).unwrap_or_default();
    row("key", format::plain(&session.key));
    row(
        "status",
        format!(
            "{} for {}",
            screen.paint(format::style(Kind::of(session)), &format::status(session)),
            format::ago(session.since, now)
        ),
    );
    row(
        "attention",
        if session.attention {
            "needed".into()
        } else {
            String::new()
        },
    );
    row("reason", text(session.reason.as_deref()));
    row("title", text(session.title.as_deref()));
    row("directory", text(session.cwd.as_deref()));
    row("agent", format::plain(&session.agent));
    row("session id", text(session.session_id.as_deref()));
    row(
        "before",
        format::plain(&session.previous_session_ids.join(" ")),
    );
    row(
        "process",
        session.pid.map(|pid| pid.to_string()).unwrap_or_default(),
    );
    if let Some(terminal) = &session.terminal {
        for (name, place) in format::whereabouts(terminal) {
            row(name, place);
        }
        row("go there", format::way_there(terminal).unwrap_or_default());
    }
    row("model", text(session.model.as_deref()));
    let number = |number: Option<String>| number.unwrap_or_default();
    row(
        "context",
        number(
            session
                .context_percent
                .map(|percent| format!("{percent:.0} % used")),
        ),
    );
    row(
        "cost",
        number(session.cost_usd.map(|dollars| format!("{dollars:.2} USD"))),
    );
    row("permissions", text(session.permission_mode.as_deref()));
    let count = |count: u32| match count {
        0 => String::new(),
        _ => count.to_string(),
    };
    row("subagents", count(session.subagents));
    row("shells", count(session.background));
    row(
        "started",
        format!("{} ago", format::ago(session.started_at, now)),
    );
    row("ended", text(session.end_reason.as_deref()));
    for transition in &session.history {
        row(
            "history",
            format!(
                "{} {} ago",
                transition.status.as_str(),
                format::ago(transition.at, now)
            ),
        );
    }
    for evidence in &session.evidence {
        let what = format::plain(&evidence.what);
        row(
            "evidence",
            format!(
                "{}: {what}, {} ago",
                evidence.kind.as_str(),
                format::ago(evidence.at, now)
            ),
        );
    }
    rows
}
