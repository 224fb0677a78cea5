//! `get`: all that is known of one session.

use std::io::Write;

use super::OneSession;
use crate::client::Client;
use crate::clock;
use crate::protocol::{SessionRecord, SessionResult};
use crate::show;

pub(super) fn run(
    one: &OneSession,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let SessionResult { session } =
        client.ask::<_, SessionResult<'static>>("session.get", &one.params())?;
    if one.json {
        show::json(out, &session)?;
    } else {
        write!(out, "{}", show::table(&rows(&session, clock::unix_ms())))?;
    }
    Ok(())
}

fn rows(session: &SessionRecord<'_>, now: u64) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            rows.push(vec![name.into(), value]);
        }
    };
    let text = |text: Option<&str>| text.map(show::plain).unwrap_or_default();
    row("key", show::plain(&session.key));
    row(
        "status",
        format!(
            "{} for {}",
            show::status(session),
            show::ago(session.since, now)
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
    row("agent", show::plain(&session.agent));
    row("session id", text(session.session_id.as_deref()));
    row(
        "before",
        show::plain(&session.previous_session_ids.join(" ")),
    );
    row(
        "process",
        session.pid.map(|pid| pid.to_string()).unwrap_or_default(),
    );
    row(
        "terminal",
        text(
            session
                .terminal
                .as_ref()
                .and_then(|terminal| terminal.tty.as_deref()),
        ),
    );
    row("model", text(session.model.as_deref()));
    row("permissions", text(session.permission_mode.as_deref()));
    row(
        "subagents",
        if session.subagents > 0 {
            session.subagents.to_string()
        } else {
            String::new()
        },
    );
    row(
        "shells",
        if session.background > 0 {
            session.background.to_string()
        } else {
            String::new()
        },
    );
    row("ended", text(session.end_reason.as_deref()));
    for transition in &session.history {
        row(
            "history",
            format!(
                "{} {} ago",
                transition.status.as_str(),
                show::ago(transition.at, now)
            ),
        );
    }
    for evidence in &session.evidence {
        let what = show::plain(&evidence.what);
        row(
            "evidence",
            format!(
                "{}: {what}, {} ago",
                evidence.kind.as_str(),
                show::ago(evidence.at, now)
            ),
        );
    }
    rows
}
