//! The recording that `demo` plays: a run of the real program.

use crate::agents::{Extras, Recording};

/// What only the command line needs.
pub(in crate::agents) static EXTRAS: Extras = Extras {
    fetch_limits: None,
    // Questions and plans: one of each is answered, one is left.
    recordings: &[Recording {
        lines: include_str!("traces/ask.jsonl"),
        directory: "/home/dev/ask",
        session: "01a21ba4-20f4-7700-a50f-0e6cd779bea8",
        project: "ledger",
        title: "Move the export into a crate of its own",
        words: &[
            ("Which colour?", "Which format comes first?"),
            ("\"Colour\"", "\"Format\""),
            ("\"Red\"", "\"CSV\""),
            ("\"Blue\"", "\"Parquet\""),
        ],
        context_percent: 0,
        starts_ms: 700,
    }],
    adapt_entry: None,
};
