//! The session that has needed a person for longest: `next` shows it, `go` goes there.

use anyhow::bail;

use super::agent_filter::AgentFilter;
use crate::client::Client;
use crate::format;
use crate::format::status::attention_order;
use crate::protocol::{ListParams, ListResult, SessionRecord};

/// The session that has needed a person for longest, and whether sessions of several agents are there.
pub(super) fn longest_waiting(
    client: &mut Client,
    agents: &AgentFilter,
) -> anyhow::Result<(SessionRecord<'static>, bool)> {
    // `next --json` prints the whole record.
    let params = ListParams::default();
    let ListResult { sessions } = client.call::<_, ListResult<'static>>("session.list", &params)?;
    let has_several = format::agent_names(&sessions).len() > 1;
    let session = sessions
        .into_iter()
        .filter(|session| session.attention && agents.keeps(&session.agent))
        .min_by(attention_order);
    match session {
        Some(session) => Ok((session, has_several)),
        None => bail!("no session needs you"),
    }
}
