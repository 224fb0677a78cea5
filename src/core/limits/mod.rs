//! The limits of accounts in the core: each account's value, the alerts that follow from it, its schedule of fetches;
//! which accounts there are; and the service that clients see of all that. Called by [`super::Core`] only.

mod accounts;
mod alerts;
mod schedule;
mod service;
mod value;

pub(crate) use self::accounts::AccountState;
pub(crate) use self::service::{Fetching, LimitsService};
pub(crate) use self::value::Stamp;

/// How far apart two times of one reset may be, in ms: sources round differently.
const SAME_RESET_MS: u64 = 10 * 60_000;

/// Whether the first is of a later window than the second.
fn is_later(resets_at: Option<u64>, than: Option<u64>) -> bool {
    let both = resets_at.zip(than);
    both.is_some_and(|(this, other)| this > other + SAME_RESET_MS)
}
