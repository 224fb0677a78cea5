//! The recordings that `demo` plays: runs of the real program.

use serde_json::{Map, Value, json};

use crate::agents::Recording;
use crate::os::clock;
use crate::os::machine;
use crate::os::process::{self, ProcessId};

pub(super) const ALL: &[Recording] = &[
    // A person is asked for permission: yes, yes, no, Esc, yes, and yes twice.
    Recording {
        lines: include_str!("traces/perm.jsonl"),
        directory: "/home/dev/perm",
        session: "19440e85-cd7f-4f42-9daf-d078b8555b8f",
        project: "webshop",
        title: "Keep the basket across a login",
        words: &[
            ("touch made.txt", "npm test -- basket"),
            ("touch made2.txt", "npm run lint"),
            ("touch made3.txt", "git push"),
            ("touch made4.txt", "rm -rf node_modules"),
            ("/w.txt", "/src/basket.ts"),
            ("touch p1.txt", "npm ci"),
            ("touch p2.txt", "npm run build"),
        ],
        context_percent: 31,
        starts_ms: 0,
    },
    // The model's service fails in each of its ways.
    Recording {
        lines: include_str!("traces/errors.jsonl"),
        directory: "/home/dev/errors",
        session: "dcdfb45f-0093-4872-954b-e8cd61b34ff5",
        project: "homepage",
        title: "Shorten the front page",
        words: &[],
        context_percent: 12,
        starts_ms: 9800,
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
