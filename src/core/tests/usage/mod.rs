//! The account's limits in virtual time: which updates are sent and when, and when the service is asked.

mod accounts;
mod fetches;
mod windows;

use serde_json::{Value, json};

use super::{CoreHarness, EPOCH, Effect, MINUTE, names, settings};
use crate::agents::{self, LimitWindow};
use crate::codec::Request;
use crate::core::{ClientId, Input, Settings};
use crate::limits::{FetchFailure, FetchOutcome, FetchProblem, Limit};
use crate::protocol::{FETCH_LIMIT_MS, MIN_FETCH_INTERVAL_MS, SubscribeParams};

const HOUR: u64 = 60 * MINUTE;
const INTERVAL: u64 = 3 * MINUTE;

impl CoreHarness {
    /// A daemon that is configured to ask the service.
    fn asking() -> Self {
        Self::with(Settings {
            usage_interval_ms: Some(INTERVAL),
            ..settings()
        })
    }

    fn asks(&mut self, client: u64, request: Request) -> Vec<Effect> {
        let id = crate::codec::decode(br#"{"jsonrpc":"2.0","id":9,"method":"hello"}"#).id;
        self.take(Input::Request {
            client: ClientId(client),
            id,
            request,
        })
    }

    fn subscribes(&mut self, client: u64) -> Vec<Effect> {
        self.asks(client, Request::Subscribe(SubscribeParams::default()))
    }

    fn leaves(&mut self, client: u64) -> Vec<Effect> {
        self.take(Input::Disconnected(ClientId(client)))
    }

    fn usage(&mut self) -> Value {
        self.ask("usage.get", &json!({}))["usage"].clone()
    }

    /// An agent's status line reports the used percentage of the five-hour window.
    fn status_line_reports(&mut self, used: f64, resets_at: u64) -> Vec<Effect> {
        let line = json!({
            "session_id": "s", "model": {"id": "opus"},
            "rate_limits": {"five_hour": {"used_percentage": used, "resets_at": resets_at / 1000}},
        });
        self.hook(&line)
    }

    /// The fetch ends with the used percentage of the five-hour window.
    fn fetched(&mut self, used: f64, resets_at: u64) -> Vec<Effect> {
        self.take(Input::LimitsFetched(
            crate::core::testing::info().account,
            FetchOutcome::Limits(vec![five_hour(used, resets_at)]),
        ))
    }

    fn failed(&mut self, problem: FetchProblem, retry_after_ms: Option<u64>) -> Vec<Effect> {
        self.take(Input::LimitsFetched(
            crate::core::testing::info().account,
            FetchOutcome::Failed(FetchFailure {
                problem,
                message: "for a person".into(),
                retry_after_ms,
            }),
        ))
    }

    /// Lets time pass until a child is started.
    fn refused_until_next(&mut self) {
        loop {
            let due = self.core.next_timeout().expect("another try");
            self.wait(due - self.now.uptime_ms);
            if has(&self.take(Input::Timeout), "fetch") {
                return;
            }
        }
    }

    /// Lets time pass as a shell does: a tick at each deadline, and a child that has ended at once. Gives how many children
    /// there were.
    fn children_in(&mut self, ms: u64) -> usize {
        let end = self.now.uptime_ms + ms;
        let mut children = 0;
        while let Some(due) = self.core.next_timeout().filter(|due| *due <= end) {
            self.wait(due - self.now.uptime_ms);
            let effects = self.take(Input::Timeout);
            if names(&effects).contains(&"fetch") {
                children += 1;
                self.fetched(1.0, EPOCH + 100 * HOUR);
            }
        }
        self.wait(end - self.now.uptime_ms);
        children
    }
}

fn five_hour(used_percent: f64, resets_at: u64) -> Limit {
    let windows = agents::DEFAULT.limits.as_ref().unwrap().windows;
    LimitWindow::limit(windows, "five_hour", used_percent, Some(resets_at)).unwrap()
}

fn has(effects: &[Effect], name: &str) -> bool {
    names(effects).contains(&name)
}

/// The notifications among the effects: method and parameters of each.
fn notifications(effects: &[Effect]) -> Vec<(String, Value)> {
    let lines = effects.iter().filter_map(|effect| match effect {
        Effect::Broadcast(line) | Effect::BroadcastTo(_, line) => {
            serde_json::from_slice::<Value>(line).ok()
        }
        _ => None,
    });
    let parts = lines.map(|line| {
        (
            line["method"].as_str().unwrap().to_owned(),
            line["params"].clone(),
        )
    });
    parts.collect()
}
