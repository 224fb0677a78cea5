//! Arguments that several commands share.

use clap::Args;

use crate::protocol::SessionParams;

/// The options of a command whose answer scripts can read.
#[derive(Debug, Args)]
pub(super) struct Json {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The arguments of a command about one session.
#[derive(Debug, Args)]
pub(super) struct OneSession {
    /// A key, a session id, or a unique prefix of one of them
    pub(super) session: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl OneSession {
    pub(super) fn params(&self) -> SessionParams {
        SessionParams {
            session: self.session.clone(),
        }
    }
}
