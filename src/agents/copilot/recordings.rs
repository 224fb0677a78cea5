//! The recording that `demo` plays: a run of the real program.

use crate::agents::{Extras, Recording};

/// What only the command line needs.
pub(in crate::agents) static EXTRAS: Extras = Extras {
    fetch_limits: None,
    // Questions, one answered and one left, and a plan that is accepted.
    recordings: &[Recording {
        lines: include_str!("traces/ask.jsonl"),
        directory: "/home/dev/ask",
        session: "f6b27f65-6c90-4600-b1c7-af36e9198ce8",
        project: "thesis",
        title: "Check the references of chapter 3",
        words: &[
            ("Which colour?", "Which style of citation?"),
            ("\"Colour\"", "\"Style\""),
            ("\"Red\"", "\"APA\""),
            ("\"Blue\"", "\"Chicago\""),
        ],
        context_percent: 0,
        starts_ms: 6400,
    }],
    adapt_entry: None,
};
