//! The figures of `docs/architecture.md`: `cargo bench --bench figures [-- SECTION...]`, a minute and a half in all.
//!
//! Sections: `binary`, `start`, `hook`, `latency`, `throughput`, `memory`, `dashboard`. Everything is measured on the real program,
//! built as for release, in a directory of its own. Absolute times depend on the machine and its mood, so each stands
//! beside a floor that was measured in the same loop, in turns: what the system takes for the same work with nothing
//! of ours in it. Prints a Markdown table; asserts nothing but that the work was done.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "no interface of a library; a measurement reads the clock and fails by panicking"
)]

#[cfg(target_os = "linux")]
mod daemon;
#[cfg(target_os = "linux")]
mod dashboard;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(target_os = "linux")]
#[path = "../shared/pseudo_terminal.rs"]
mod pseudo_terminal;
#[cfg(target_os = "linux")]
mod traffic;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("figures: reads /proc and uses epoll, so it runs on Linux only");
}

/// One line of the table.
#[cfg(target_os = "linux")]
#[must_use]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// What came out.
    pub figure: String,
    /// The floor: what it is, how much, and how many times that the figure is.
    pub floor: String,
    /// What the figure must not exceed, where anything was promised.
    pub limit: &'static str,
}

/// Measures some lines.
#[cfg(target_os = "linux")]
type Section = fn() -> Vec<Row>;

#[cfg(target_os = "linux")]
fn main() {
    // cargo passes --bench.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    daemon::raise_descriptor_limit();
    let cores = std::thread::available_parallelism().unwrap();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load = load.split(' ').next().unwrap_or_default();
    println!("{cores} cores, load {load} before\n");
    println!("| what | figure | floor in the same run | limit |\n|---|---|---|---|");
    let sections: [(&str, Section); 7] = [
        ("binary", processes::binary),
        ("start", processes::start),
        ("hook", processes::hook),
        ("latency", traffic::latency),
        ("throughput", traffic::throughput),
        ("memory", memory::rows),
        ("dashboard", dashboard::rows),
    ];
    for (name, measure) in sections {
        if wanted.is_empty() || wanted.iter().any(|section| section == name) {
            for row in measure() {
                println!(
                    "| {} | {} | {} | {} |",
                    row.what, row.figure, row.floor, row.limit
                );
            }
        }
    }
}

/// The value that this share of the samples does not exceed.
#[cfg(target_os = "linux")]
pub fn percentile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let last = samples.len() - 1;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a slice"
    )]
    let place = (last as f64 * share).round() as usize;
    samples[place.min(last)]
}
