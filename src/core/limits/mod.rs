//! The account's limits in the core: the value, the alerts that follow from it, the schedule of fetches, and the service
//! that clients see of all three. Called by [`super::Core`] only.

mod alerts;
mod schedule;
mod service;
mod value;

pub(crate) use self::service::LimitsService;
