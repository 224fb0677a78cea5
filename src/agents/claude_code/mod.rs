//! Claude Code: what it tells through hooks, its registry and its status line, as observed with 2.1.330.
//!
//! Pure: text in, our words out. Called by the codec and the daemon's loop; the core never hears an agent's own words
//! but as evidence.

mod events;
pub mod limits;
mod registry;
mod status_line;
mod tolerant;

pub(super) use self::events::FIELDS;
pub use self::registry::{Registered, registered};
pub use self::status_line::{Shown, shown};

use crate::event::AgentEvent;

/// The variable that names the configuration directory, and what it is below the home without it.
pub const CONFIG_DIR: (&str, &str) = ("CLAUDE_CONFIG_DIR", ".claude");

/// What a payload means that a hook or the status line sent; `None` if it is neither.
#[must_use]
pub fn event(payload: &str) -> Option<AgentEvent> {
    events::event(payload).or_else(|| status_line::event(payload))
}
