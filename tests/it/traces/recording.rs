//! A recording as it is in its file.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One run of the real program, by the clock of whoever recorded it: ms since its start.
pub struct Recording {
    pub name: &'static str,
    /// By their time.
    pub entries: Vec<Entry>,
    /// What the recorder's clock showed when the stamps' clock was at 0. The recorder looked at the registry every 30 ms
    /// or so: the least that ever lay between a stamp and its being seen is next to nothing.
    offset: i64,
}

/// Something that was recorded.
pub struct Entry {
    pub ms: u64,
    pub what: What,
}

/// What was recorded.
pub enum What {
    /// What the person, or the recorder, did.
    Mark(String),
    Hook {
        process: Option<u64>,
        attended: bool,
        payload: Value,
    },
    /// What was in the registry file of this process; `None`: it was gone.
    Registry { process: u64, entry: Option<Value> },
}

/// The stamps in a registry entry.
pub const STAMPS: [&str; 3] = ["startedAt", "updatedAt", "statusUpdatedAt"];

pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/agents/claude_code/traces")
        .join(name)
}

impl Recording {
    pub fn read(name: &'static str) -> Self {
        let text = fs::read_to_string(file(&format!("{name}.jsonl"))).unwrap();
        let mut entries: Vec<Entry> = text.lines().filter_map(entry).collect();
        entries.sort_by_key(|entry| entry.ms);
        let ages = entries.iter().flat_map(|entry| {
            let value = match &entry.what {
                What::Registry { entry, .. } => entry.as_ref(),
                What::Hook { .. } | What::Mark(_) => None,
            };
            let stamps = STAMPS
                .iter()
                .filter_map(move |stamp| value?[*stamp].as_u64());
            stamps.map(|stamp| entry.ms.cast_signed() - stamp.cast_signed())
        });
        Self {
            name,
            offset: ages.min().unwrap(),
            entries,
        }
    }

    /// When, by the recorder's clock, a stamp was made.
    pub fn moment(&self, stamp: u64) -> u64 {
        u64::try_from(stamp.cast_signed() + self.offset).unwrap_or(0)
    }
}

/// `None` for the status line's input, which is no evidence here.
fn entry(line: &str) -> Option<Entry> {
    let mut line: Value = serde_json::from_str(line).unwrap();
    let what = if let Some(mark) = line["mark"].as_str() {
        What::Mark(mark.to_owned())
    } else if line["hook"].is_object() {
        What::Hook {
            process: line["claude_pid"].as_u64(),
            attended: line["attended"] != false,
            payload: line["hook"].take(),
        }
    } else {
        let file = line["registry"].as_str()?.to_owned();
        What::Registry {
            process: file.strip_suffix(".json").unwrap().parse().unwrap(),
            entry: Some(line["value"].take()).filter(Value::is_object),
        }
    };
    Some(Entry {
        ms: line["ms"].as_u64().unwrap(),
        what,
    })
}
