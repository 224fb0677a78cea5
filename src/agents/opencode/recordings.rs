//! The recording that `demo` plays: a run of the real program.

use crate::agents::{Extras, Recording};

/// What only the command line needs.
pub(in crate::agents) static EXTRAS: Extras = Extras {
    fetch_limits: None,
    // Subagents: one, one that asks, one that is interrupted, two at once.
    recordings: &[Recording {
        lines: include_str!("traces/subagent.jsonl"),
        directory: "/home/dev/subagent",
        session: "ses_de45256f1ffe7QcOGomDMsc4rG",
        project: "atlas",
        title: "Why do the tiles load twice?",
        words: &[
            ("touch subperm.txt", "curl -s localhost:8080/tiles/3"),
            ("A mock title", "Why do the tiles load twice?"),
        ],
        context_percent: 0,
        starts_ms: 3100,
    }],
    adapt_entry: None,
};
