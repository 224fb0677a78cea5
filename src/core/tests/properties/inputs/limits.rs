//! The account's limits, and the accounts.

use std::rc::Rc;

use proptest::prelude::*;
use proptest::sample::select;

use crate::agents::{self, LimitWindow};
use crate::core::testing;
use crate::core::tests::{EPOCH, MINUTE};
use crate::limits::{Account, FetchFailure, FetchOutcome, FetchProblem, Limit};

pub(super) fn limits() -> impl Strategy<Value = Vec<Limit>> {
    let limit = (
        select(&["five_hour", "seven_day"]),
        0..120_u32,
        prop::option::of(0..9_u64),
    );
    let windows = agents::DEFAULT.limits.as_ref().unwrap().windows;
    let limit = limit.prop_map(|(name, used, hours)| {
        let resets_at = hours.map(|hours| EPOCH + hours * 60 * MINUTE);
        LimitWindow::limit(windows, name, used.into(), resets_at).unwrap()
    });
    prop::collection::vec(limit, 0..3)
}

pub(super) fn fetched() -> impl Strategy<Value = FetchOutcome> {
    let wait = prop::option::of(select(&[0, 5_000, 10 * MINUTE]));
    let failure = (
        select(&[
            FetchProblem::RateLimited,
            FetchProblem::CredentialsExpired,
            FetchProblem::Network,
        ]),
        wait,
    );
    prop_oneof![
        2 => limits().prop_map(FetchOutcome::Limits),
        1 => failure.prop_map(|(problem, retry_after_ms)| FetchOutcome::Failed(FetchFailure {
            problem,
            message: "no".into(),
            retry_after_ms,
        })),
    ]
}

/// Accounts whose logins change, are shared, or are not known.
pub(super) fn account() -> impl Strategy<Value = Option<Rc<Account>>> {
    let known = (
        select(&["default", "work", "home"]),
        select(&[None, Some(1), Some(2)]),
    );
    let known = known.prop_map(|(name, login)| Rc::new(testing::account(name, login)));
    prop::option::weighted(0.8, known)
}
