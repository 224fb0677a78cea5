//! The account's limits: what is known of them, and what people are to be told.
//!
//! Heard from the status lines that agents hand over; the newest counts.
//!
//! Moments named `_ms` are of the daemon's uptime. No IO; called by [`super::Core`] only.

use std::borrow::Cow;

use super::Now;
use crate::protocol::{self, UsageSource, UsageState, UsageWindow};

/// From when on what was heard is old, in ms: an agent at work tells more often.
const STALE_AFTER_MS: u64 = 10 * 60_000;

/// How much younger, in ms, the same figures must be to be worth telling again.
const YOUNGER_MS: u64 = 60_000;

/// The figures at which people are told, in percent.
const THRESHOLDS: [f64; 3] = [75.0, 90.0, 100.0];

/// How far apart two times of a reset may be told that are the same: sources round differently.
const SAME_RESET_MS: u64 = 10 * 60_000;

/// One window of the account's, as a source tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The service's name for it: `five_hour`, `seven_day`, or that of one model's.
    pub name: Box<str>,
    /// How much of it is used, in percent.
    pub used_percent: f64,
    /// When it begins anew, in ms since the epoch.
    pub resets_at: Option<u64>,
}

impl Limit {
    /// How long the window is, in ms, as its name says.
    fn length_ms(&self) -> Option<u64> {
        const HOUR: u64 = 3_600_000;
        if self.name.starts_with("five_hour") {
            Some(5 * HOUR)
        } else if self.name.starts_with("seven_day") {
            Some(7 * 24 * HOUR)
        } else {
            None
        }
    }

    /// Used against elapsed at `at`, in percentage points: above 0, it will not last.
    fn pace(&self, at: u64) -> Option<f64> {
        let length = self.length_ms()?;
        let left = self.resets_at?.saturating_sub(at).min(length);
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let elapsed = (length - left) as f64 * 100.0 / length as f64;
        Some(self.used_percent - elapsed)
    }
}

/// What was last heard.
#[derive(Debug)]
struct Good {
    limits: Vec<Limit>,
    /// In ms since the epoch, and by uptime.
    at: u64,
    at_ms: u64,
}

/// How far a window was when people were last told.
#[derive(Debug)]
struct Crossed {
    name: Box<str>,
    resets_at: Option<u64>,
    threshold: f64,
}

/// All that is known. See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    good: Option<Good>,
    crossed: Vec<Crossed>,
    /// As it was last told.
    told: Option<protocol::Usage<'static>>,
}

impl Usage {
    /// Somebody looks who did not before: the snapshot tells what is known.
    pub(crate) fn looked_at(&mut self, now: Now) {
        self.told = self.record(now).map(protocol::Usage::into_owned);
    }

    /// When a look at the age is due.
    pub(crate) fn due_ms(&self, anybody_looks: bool) -> Option<u64> {
        let told = self.told.as_ref();
        let is_told = told.is_some_and(|told| told.state == UsageState::Stale);
        let stale = self.good.as_ref().map(|good| good.at_ms + STALE_AFTER_MS);
        stale.filter(|_| anybody_looks && !is_told)
    }

    /// An agent's status line has told, at `at`; an older one says nothing.
    pub(crate) fn overheard(&mut self, mut limits: Vec<Limit>, at: u64, now: Now) {
        if self.good.as_ref().is_some_and(|good| good.at > at) {
            return;
        }
        // What it leaves out is not gone.
        for known in self.good.iter().flat_map(|good| &good.limits) {
            let is_told = limits.iter().any(|limit| limit.name == known.name);
            let is_over = known.resets_at.is_some_and(|resets_at| resets_at <= at);
            if !is_told && !is_over {
                limits.push(known.clone());
            }
        }
        self.good = Some(Good {
            limits,
            at,
            at_ms: now.uptime_ms,
        });
    }

    /// As the protocol tells it; `None`: nothing is known.
    pub(crate) fn record(&self, now: Now) -> Option<protocol::Usage<'_>> {
        let good = self.good.as_ref()?;
        let state = if good.at_ms + STALE_AFTER_MS <= now.uptime_ms {
            UsageState::Stale
        } else {
            UsageState::Ok
        };
        let windows = good.limits.iter().map(|limit| UsageWindow {
            name: Cow::Borrowed(&*limit.name),
            used_percent: limit.used_percent,
            resets_at: limit.resets_at,
            length_ms: limit.length_ms(),
            pace: limit.pace(good.at),
        });
        Some(protocol::Usage {
            state,
            windows: windows.collect(),
            source: UsageSource::StatusLine,
            fetched_at: good.at,
        })
    }

    /// As those who look were told last: what a snapshot holds while anybody does.
    pub(crate) fn told(&self) -> Option<&protocol::Usage<'static>> {
        self.told.as_ref()
    }

    /// What is new since it was last told: more than that it is a moment younger.
    pub(crate) fn news(&mut self, now: Now) -> Option<protocol::Usage<'static>> {
        let record = self.record(now)?.into_owned();
        let is_known = |told: &protocol::Usage<'_>| {
            told.says_the_same(&record) && record.fetched_at < told.fetched_at + YOUNGER_MS
        };
        if self.told.as_ref().is_some_and(is_known) {
            return None;
        }
        self.told = Some(record.clone());
        Some(record)
    }

    /// What people are to be told, once for each window and figure: a line each.
    pub(crate) fn crossings(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        let limits = self.good.iter().flat_map(|good| &good.limits);
        for limit in limits {
            let place = self
                .crossed
                .iter()
                .position(|known| known.name == limit.name);
            let known = place.map(|place| self.crossed.swap_remove(place));
            let is_another = |known: &Crossed| match (known.resets_at, limit.resets_at) {
                (Some(before), Some(now)) => now > before + SAME_RESET_MS,
                _ => false,
            };
            let name = window_name(&limit.name);
            let before = match known {
                Some(known) if is_another(&known) => {
                    if known.threshold > 0.0 {
                        told.push(format!("{name}: reset, {:.0} % used", limit.used_percent));
                    }
                    0.0
                }
                Some(known) => known.threshold,
                None => 0.0,
            };
            let reached = THRESHOLDS
                .into_iter()
                .rfind(|figure| limit.used_percent >= *figure);
            let reached = reached.unwrap_or(0.0);
            if reached > before {
                told.push(format!("{name}: {:.0} % used", limit.used_percent));
            }
            self.crossed.push(Crossed {
                name: limit.name.clone(),
                resets_at: limit.resets_at,
                threshold: reached.max(before),
            });
        }
        told
    }
}

/// A person's words for a window.
fn window_name(name: &str) -> String {
    match name {
        "five_hour" => "the 5 h limit".into(),
        "seven_day" => "the 7 d limit".into(),
        other => match other.strip_prefix("seven_day_") {
            Some(model) => format!("the 7 d limit for {model}"),
            None => format!("the limit {other}"),
        },
    }
}
