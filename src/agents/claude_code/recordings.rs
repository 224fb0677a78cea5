//! The recordings that `demo` plays: runs of the real program.

use serde_json::{Map, Value, json};

use crate::agents::Recording;
use crate::os::clock;
use crate::os::machine;
use crate::os::process::{self, ProcessId};

pub(super) const ALL: &[Recording] = &[
    // A person is asked for permission: yes, yes, no, Esc, yes, and yes twice.
    Recording {
        name: "perm",
        lines: include_str!("traces/perm.jsonl"),
        directory: "/home/dev/perm",
        session: "19440e85-cd7f-4f42-9daf-d078b8555b8f",
    },
    // Subagents: one in the foreground, one that asks, one in the background.
    Recording {
        name: "subagent",
        lines: include_str!("traces/subagent.jsonl"),
        directory: "/home/dev/subagent",
        session: "ae26157f-4787-4aca-8c37-8d69aecc5e1b",
    },
    // Long turns, some of them interrupted.
    Recording {
        name: "slow",
        lines: include_str!("traces/slow.jsonl"),
        directory: "/home/dev/slow",
        session: "c4c6cc76-4d4d-4bdb-a070-721adf79d67e",
    },
    // The model's service fails in each of its ways.
    Recording {
        name: "errors",
        lines: include_str!("traces/errors.jsonl"),
        directory: "/home/dev/errors",
        session: "dcdfb45f-0093-4872-954b-e8cd61b34ff5",
    },
];

/// A recorded registry entry as the process that stands for the agent would write it now: the recorder saw each within
/// 30 ms of its stamps.
pub(super) fn adapt_entry(mut entry: Map<String, Value>, own: ProcessId) -> Map<String, Value> {
    let machine = machine::id().unwrap_or_default();
    let domain = process::namespace().map(|inode| format!("linux:{machine}:pid:[{inode}]"));
    entry.insert("pid".into(), json!(own.pid));
    entry.insert("procStart".into(), json!(own.start.to_string()));
    entry.insert("pidDomain".into(), json!(domain));
    for stamp in ["startedAt", "updatedAt", "statusUpdatedAt"] {
        if let Some(stamp) = entry.get_mut(stamp) {
            *stamp = json!(clock::unix_ms());
        }
    }
    entry
}
