//! `get`: all fields of one session.

use std::io::Write;

use super::args::OneSession;
use crate::client::Client;
use crate::format::{self, Field, StdoutStyle};
use crate::os::clock;
use crate::protocol::{SessionRecord, SessionResult};
use crate::reach;

/// Shown below `get --help`.
pub(super) const EXAMPLES: &str = "Examples:
  agent-console get build
  agent-console get 19440e85 --json | jq -r .reason      by a prefix of the session id";

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
        let rows = rows(&session, clock::unix_ms(), StdoutStyle::detect());
        write!(out, "{}", format::table(&rows))?;
    }
    Ok(())
}

fn rows(session: &SessionRecord<'_>, now: u64, stdout: StdoutStyle) -> Vec<Vec<String>> {
    const IDENTITY: [(&str, Field); 12] = [
        ("key", Field::Key),
        ("status", Field::Status),
        ("attention", Field::Attention),
        ("reason", Field::Reason),
        ("question", Field::Question),
        ("title", Field::Title),
        ("directory", Field::Directory),
        ("began in", Field::StartDirectory),
        ("agent", Field::Agent),
        ("session id", Field::SessionId),
        ("before", Field::PreviousSessionIds),
        ("process", Field::Process),
    ];
    const DETAILS: [(&str, Field); 10] = [
        ("model", Field::Model),
        ("context", Field::Context),
        ("cost", Field::Cost),
        ("account", Field::Account),
        ("permissions", Field::PermissionMode),
        ("subagents", Field::Subagents),
        ("shells", Field::BackgroundShells),
        ("started", Field::Started),
        ("ended", Field::EndReason),
        ("resume", Field::Resume),
    ];
    let mut rows: Vec<_> = format::fields(&IDENTITY, session, now).collect();
    rows.extend(reach::rows(session));
    rows.extend(format::fields(&DETAILS, session, now));
    rows.extend(session.history.iter().map(|transition| {
        let began = format::ago(transition.at, now);
        (
            "history",
            format!("{} {began} ago", transition.status.as_str()),
        )
    }));
    rows.extend(session.evidence.iter().map(|evidence| {
        let what = format::sanitize(&evidence.what);
        let kind = evidence.kind.as_str();
        let seen = format::ago(evidence.at, now);
        ("evidence", format!("{kind}: {what}, {seen} ago"))
    }));
    format::named_rows(rows, session, stdout)
}
