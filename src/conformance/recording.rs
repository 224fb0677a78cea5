//! A recorded run of a real agent, as it is in its file: one JSON object a line, each with `ms`, the time since the
//! start of the recording.
//!
//! | a line has | it is |
//! |---|---|
//! | `mark` | what the person, or the recorder, did |
//! | `hook` | the payload of a hook, with `claude_pid` and `attended` from the hook's environment |
//! | `registry` | the name of a registry file, with its new `value`; `null`: it was removed |
//! | anything else | not replayed |

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// One recorded run.
pub(crate) struct Recording {
    /// The file's name without its ending.
    pub(crate) name: String,
    /// In the order of their time.
    pub(crate) entries: Vec<Entry>,
    /// The recorder's time when the clock of the registry's stamps was at 0. The recorder read the registry every 30 ms
    /// or so: the least time between a stamp and the moment it was read is next to nothing.
    offset: i64,
}

/// One recorded fact.
pub(crate) struct Entry {
    pub(crate) ms: u64,
    pub(crate) fact: Fact,
}

/// What was recorded.
pub(crate) enum Fact {
    /// What the person, or the recorder, did.
    Mark(String),
    /// A hook ran.
    Hook {
        process: Option<u64>,
        attended: bool,
        payload: Value,
    },
    /// The registry file of `process` has changed; `None`: it was removed.
    Registry { process: u64, entry: Option<Value> },
}

/// What a mark says of the agents' processes.
pub(crate) enum ProcessEvent {
    /// One was started.
    Started,
    /// The one started last has ended.
    Ended,
}

impl Recording {
    /// Reads `<path>.jsonl`.
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path.with_extension("jsonl")).unwrap();
        let mut entries: Vec<Entry> = text.lines().filter_map(entry).collect();
        entries.sort_by_key(|entry| entry.ms);
        let ages = entries.iter().flat_map(|entry| {
            let value = match &entry.fact {
                Fact::Registry { entry, .. } => entry.as_ref(),
                Fact::Hook { .. } | Fact::Mark(_) => None,
            };
            let stamps = STAMPS
                .iter()
                .filter_map(move |stamp| value?[*stamp].as_u64());
            stamps.map(|stamp| entry.ms.cast_signed() - stamp.cast_signed())
        });
        Self {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            offset: ages.min().unwrap_or(0),
            entries,
        }
    }

    /// The registry entry that a process of this id, start and `pidDomain` would have written. `clock` maps a time of
    /// the recording to ms since the epoch.
    pub(crate) fn registry_entry(
        &self,
        recorded: &Value,
        (pid, start): (u32, u64),
        domain: Option<&str>,
        clock: impl Fn(u64) -> u64,
    ) -> Value {
        let mut entry = recorded.clone();
        entry["pid"] = json!(pid);
        entry["procStart"] = json!(start.to_string());
        entry["pidDomain"] = json!(domain);
        for field in STAMPS {
            if let Some(stamp) = entry[field].as_u64() {
                let recorded = stamp.cast_signed() + self.offset;
                entry[field] = json!(clock(u64::try_from(recorded).unwrap_or(0)));
            }
        }
        entry
    }
}

/// The stamps in a registry entry.
const STAMPS: [&str; 3] = ["startedAt", "updatedAt", "statusUpdatedAt"];

/// `None` for a line that is not replayed.
fn entry(line: &str) -> Option<Entry> {
    let mut line: Value = serde_json::from_str(line).unwrap();
    let fact = if let Some(mark) = line["mark"].as_str() {
        Fact::Mark(mark.to_owned())
    } else if line["hook"].is_object() {
        Fact::Hook {
            process: line["claude_pid"].as_u64(),
            attended: line["attended"] != false,
            payload: line["hook"].take(),
        }
    } else {
        let file = line["registry"].as_str()?.to_owned();
        Fact::Registry {
            process: file.strip_suffix(".json").unwrap().parse().unwrap(),
            entry: Some(line["value"].take()).filter(Value::is_object),
        }
    };
    Some(Entry {
        ms: line["ms"].as_u64().unwrap(),
        fact,
    })
}

/// `None` if the mark says nothing of a process. A signal counts for nothing by itself: the agent's last hook and the
/// mark of its end follow.
pub(crate) fn process_event(mark: &str) -> Option<ProcessEvent> {
    let begins = |words: &[&str]| words.iter().any(|word| mark.starts_with(word));
    if begins(&["start: ", "run: "]) {
        Some(ProcessEvent::Started)
    } else if begins(&["kill -9 ", "process gone", "alive=False", "exit "]) {
        Some(ProcessEvent::Ended)
    } else {
        None
    }
}
