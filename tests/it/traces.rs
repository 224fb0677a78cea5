//! Recorded runs of the real agent, played through the real hook into a running daemon.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::support::{Place, Sleeper, Wire, until};

const TRACES: [&str; 7] = [
    "clear", "errors", "kill9", "oneshot", "perm", "slow", "subagent",
];

/// How far from its place an event may arrive, in ms: what was seen of parallel hooks under load.
const WINDOW: u64 = 50;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/traces/claude-code-2.1.330")
        .join(name)
}

fn trace(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(file(&format!("{name}.jsonl"))).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The processes that stand for the recorded ones, in the order of their starts.
#[derive(Default)]
struct Cast {
    actors: Vec<Sleeper>,
    /// By the recorded process id.
    roles: BTreeMap<u64, u32>,
}

impl Cast {
    /// What a mark says happened to a process. A signal is left to what the agent made of it: its last hook, and a
    /// process that is gone a moment later.
    fn mark(&mut self, mark: &str) {
        if mark.starts_with("start: ") || mark.starts_with("run: ") {
            self.actors.push(Sleeper::start());
        } else if ["kill -9 ", "process gone", "alive=False", "exit "]
            .iter()
            .any(|end| mark.starts_with(end))
        {
            self.actors.last_mut().unwrap().kill();
        }
    }

    /// The stand-in of a hook's process: the last one started, when its id is first seen.
    fn pid(&mut self, hook: &Value) -> u32 {
        let last = self.actors.last().unwrap().pid();
        match hook["claude_pid"].as_u64() {
            Some(recorded) => *self.roles.entry(recorded).or_insert(last),
            None => last,
        }
    }
}

/// Plays a trace as fast as causes allow: each hook when the one before it has returned.
fn play(place: &Place, trace: &[Value]) -> usize {
    let mut cast = Cast::default();
    let mut hooks = 0;
    for line in trace {
        if let Some(mark) = line["mark"].as_str() {
            // What was reported has been read by the time that its process ends; in the recording a tenth of a second
            // lies between.
            arrived(place, hooks);
            cast.mark(mark);
        } else if line["hook"].is_object() {
            let pid = cast.pid(line);
            let attended = line["attended"] != false;
            place.hook(pid, attended, &line["hook"].to_string());
            hooks += 1;
        }
    }
    assert!(hooks > 0);
    hooks
}

/// Waits until the daemon has taken in this many reports: none is lost.
fn arrived(place: &Place, hooks: usize) {
    let mut wire = place.connect();
    until("every report", || {
        let status = wire.ask("daemon.status", json!({}));
        (status["result"]["reports"] == hooks).then_some(())
    });
}

/// What is expected of a session, and written beside its trace.
fn outcome(session: &Value) -> Value {
    let words = |list: &Value, field: &str| {
        let list = list.as_array().unwrap();
        list.iter()
            .map(|entry| entry[field].clone())
            .collect::<Vec<_>>()
    };
    json!({
        "session_id": session["session_id"],
        "previous_ids": session["previous_session_ids"].as_array().map_or(0, Vec::len),
        "status": session["status"],
        "end_reason": session["end_reason"],
        "history": words(&session["history"], "status"),
    })
}

fn played_to_the_end(name: &str) {
    let place = Place::new();
    place.configure("history = 256\n");
    let _daemon = place.daemon();
    let mut dashboard = place.connect();
    let snapshot = dashboard.ask("subscribe", json!({}));
    let mut seq = snapshot["result"]["seq"].as_u64().unwrap();
    let trace = trace(name);
    let hooks = play(&place, &trace);

    arrived(&place, hooks);
    // Every process of the trace is gone, one way or the other.
    let list = until("every session to be closed", || {
        let open = place.json(&["list", "--json"]);
        (open == json!([])).then(|| place.json(&["list", "--all", "--json"]))
    });
    let list = list.as_array().unwrap();
    let outcomes: Vec<_> = list.iter().map(outcome).collect();
    let expected = fs::read_to_string(file(&format!("{name}.expected.json"))).unwrap_or_default();
    let expected: Value = serde_json::from_str(&expected).unwrap_or_default();
    assert_eq!(
        json!(outcomes),
        expected,
        "{}",
        serde_json::to_string_pretty(&outcomes).unwrap()
    );

    // What a dashboard saw was in the order of the stamps, without a gap, and ended where the list stands.
    let mut mirror: BTreeMap<String, Value> = BTreeMap::new();
    let end = place.json(&["status", "--json"])["seq"].as_u64().unwrap();
    while seq < end {
        let told = dashboard.next().unwrap();
        seq += 1;
        assert_eq!(told["params"]["seq"], seq);
        let session = &told["params"]["session"];
        let key = session["key"].as_str().unwrap().to_owned();
        if let Some(earlier) = mirror.get(&key) {
            let stamp = |session: &Value| session["evidence"][0]["at"].as_u64();
            assert!(stamp(earlier) <= stamp(session), "{earlier} {session}");
        }
        mirror.insert(key, session.clone());
    }
    for session in list {
        assert_eq!(&mirror[session["key"].as_str().unwrap()], session);
    }
}

#[test]
fn clear() {
    played_to_the_end("clear");
}

#[test]
fn errors() {
    played_to_the_end("errors");
}

#[test]
fn kill9() {
    played_to_the_end("kill9");
}

#[test]
fn oneshot() {
    played_to_the_end("oneshot");
}

#[test]
fn perm() {
    played_to_the_end("perm");
}

#[test]
fn slow() {
    played_to_the_end("slow");
}

#[test]
fn subagent() {
    played_to_the_end("subagent");
}

/// Reports over one connection, with the trace's own stamps.
struct Player {
    wire: Wire,
    /// When every trace began.
    began: u64,
    /// The processes of one playing, told from those of another by a start of their own.
    playing: u64,
}

impl Player {
    /// Reports the hooks in this order; the sessions as they are then, by recorded process, and forgotten.
    fn play(&mut self, hooks: &[&Value]) -> BTreeMap<u64, Value> {
        self.playing += 1;
        let mut lines = String::new();
        for hook in hooks {
            let report = json!({"jsonrpc": "2.0", "method": "session.report", "params": {
                "agent": "claude-code",
                "at": self.began + hook["ms"].as_u64().unwrap(),
                "pid": hook["claude_pid"],
                "process_start": self.playing,
                "attended": hook["attended"],
                "event": hook["hook"],
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
    let traces = TRACES.map(|name| {
        let mut trace = trace(name);
        trace.retain(|line| line["hook"].is_object());
        trace.sort_by_key(|line| line["ms"].as_u64());
        trace
    });
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
        let stamp = |hook: &Value| hook["ms"].as_u64().unwrap();
        let quiet: Vec<usize> = (1..=trace.len())
            .filter(|&cut| {
                let next = trace.get(cut).map_or(u64::MAX, stamp);
                next - stamp(&trace[cut - 1]) > WINDOW
            })
            .collect();
        let cut = quiet[cut.index(quiet.len())];
        let in_order: Vec<&Value> = trace[..cut].iter().collect();
        let mut arrivals: Vec<(u64, &Value)> = in_order
            .iter()
            .zip(delays.iter().cycle())
            .map(|(hook, delay)| (stamp(hook) + delay, *hook))
            .collect();
        arrivals.sort_by_key(|(arrival, _)| *arrival);
        let shuffled: Vec<&Value> = arrivals.into_iter().map(|(_, hook)| hook).collect();
        let names: Vec<_> = shuffled
            .iter()
            .map(|hook| (stamp(hook), hook["hook"]["hook_event_name"].as_str()))
            .collect();
        let play = |hooks| player.borrow_mut().play(hooks);
        prop_assert_eq!(play(&in_order[..]), play(&shuffled[..]), "{:?}", names);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
