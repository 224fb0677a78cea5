//! The recording that `demo` plays: a run of the real program.

use crate::agents::{Extras, Recording};

/// What only the command line needs.
pub(in crate::agents) static EXTRAS: Extras = Extras {
    fetch_limits: None,
    // A person is asked for permission: yes, no, Esc, and for several calls at once.
    recordings: &[Recording {
        lines: include_str!("traces/perm.jsonl"),
        directory: "/home/dev/perm",
        session: "5404d5ec-e4d3-4251-91b7-6c5dfe157b7c",
        project: "infra",
        title: "Renew the certificates",
        words: &[
            ("sleep 5; touch made2.txt", "tofu apply"),
            ("touch made.txt", "tofu plan"),
            ("touch made3.txt", "ssh edge systemctl restart nginx"),
            ("touch made4.txt", "tofu destroy"),
            ("w.txt", "certificates.tf"),
            ("touch p1.txt", "tofu fmt"),
            ("touch p2.txt", "tofu validate"),
            ("touch p3.txt", "git push"),
        ],
        context_percent: 0,
        starts_ms: 1500,
    }],
    adapt_entry: None,
};
