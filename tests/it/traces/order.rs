//! Hooks that overtake one another.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::TRACES;
use super::recording::{Recording, What};
use crate::support::{Place, Wire};

/// How far from its place an event may arrive, in ms: what was seen of parallel hooks under load.
const WINDOW: u64 = 50;

/// A recorded hook.
struct Hook {
    ms: u64,
    process: Option<u64>,
    attended: bool,
    payload: Value,
}

fn hooks(name: &'static str) -> Vec<Hook> {
    let entries = Recording::read(name).entries.into_iter();
    let hooks = entries.filter_map(|entry| match entry.what {
        What::Hook {
            process,
            attended,
            payload,
        } => Some(Hook {
            ms: entry.ms,
            process,
            attended,
            payload,
        }),
        What::Mark(_) | What::Registry { .. } => None,
    });
    hooks.collect()
}

/// Reports over one connection, with the recording's own stamps.
struct Player {
    wire: Wire,
    /// When every recording began.
    began: u64,
    /// The processes of one playing, told from those of another by a start of their own.
    playing: u64,
}

impl Player {
    /// Reports the hooks in this order; the sessions as they are then, by recorded process, and forgotten.
    fn play(&mut self, hooks: &[&Hook]) -> BTreeMap<u64, Value> {
        self.playing += 1;
        let mut lines = String::new();
        for hook in hooks {
            let report = json!({"jsonrpc": "2.0", "method": "session.report", "params": {
                "agent": "claude-code",
                "at": self.began + hook.ms,
                "pid": hook.process,
                "process_start": self.playing,
                "attended": hook.attended,
                "event": hook.payload,
            }});
            writeln!(lines, "{report}").unwrap();
        }
        self.wire.socket().write_all(lines.as_bytes()).unwrap();
        let list = self
            .wire
            .ask("session.list", json!({"include_closed": true}));
        let mut sessions = BTreeMap::new();
        for session in list["result"]["sessions"].as_array().unwrap() {
            self.wire
                .ask("session.remove", json!({"session": session["key"]}));
            let what = [
                "session_id",
                "previous_session_ids",
                "status",
                "waiting_for",
                "attention",
                "end_reason",
                "subagents",
                "background",
            ];
            let seen: BTreeMap<_, _> = what
                .iter()
                .map(|field| (*field, &session[*field]))
                .collect();
            sessions.insert(session["pid"].as_u64().unwrap(), json!(seen));
        }
        sessions
    }
}

/// At any moment at which nothing is on its way, the order in which it came does not matter.
#[test]
fn what_arrives_in_another_order_comes_to_the_same() {
    let place = Place::new();
    let _daemon = place.daemon();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let player = std::cell::RefCell::new(Player {
        wire: place.connect(),
        began: u64::try_from(now.as_millis()).unwrap() - 600_000,
        playing: 0,
    });
    let traces = TRACES.map(hooks);
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    let orders = (
        any::<Index>(),
        any::<Index>(),
        prop::collection::vec(0..WINDOW, 20),
    );
    let outcome = runner.run(&orders, |(which, cut, delays)| {
        let trace = &traces[which.index(TRACES.len())];
        let quiet: Vec<usize> = (1..=trace.len())
            .filter(|&cut| {
                let next = trace.get(cut).map_or(u64::MAX, |hook| hook.ms);
                next - trace[cut - 1].ms > WINDOW
            })
            .collect();
        let cut = quiet[cut.index(quiet.len())];
        let in_order: Vec<&Hook> = trace[..cut].iter().collect();
        let mut arrivals: Vec<(u64, &Hook)> = in_order
            .iter()
            .zip(delays.iter().cycle())
            .map(|(hook, delay)| (hook.ms + delay, *hook))
            .collect();
        arrivals.sort_by_key(|(arrival, _)| *arrival);
        let shuffled: Vec<&Hook> = arrivals.into_iter().map(|(_, hook)| hook).collect();
        let names: Vec<_> = shuffled
            .iter()
            .map(|hook| (hook.ms, hook.payload["hook_event_name"].as_str()))
            .collect();
        let play = |hooks| player.borrow_mut().play(hooks);
        prop_assert_eq!(play(&in_order[..]), play(&shuffled[..]), "{:?}", names);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
