//! Costs that hardly depend on the machine, and their limits: `cargo bench --bench costs`.
//!
//! Sizes, memory, wake-ups, instructions, allocations and system calls of the programs as they are released. A figure over
//! its limit fails the run. Nothing here is a time: `figures` measures those. What the C library, the compiler and the
//! processor's instruction set change is a few percent, which the limits leave.
//!
//! `AGENT_CONSOLE_PROGRAMS=target/release cargo bench --profile dev --bench costs` measures programs that are built already.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "no interface of a library; a measurement reads the clock and fails by panicking"
)]

#[cfg(target_os = "linux")]
mod agents;
#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "`figures` uses the rest")]
mod daemon;
#[cfg(target_os = "linux")]
#[path = "costs/memory.rs"]
mod memory;
#[cfg(target_os = "linux")]
#[path = "costs/service.rs"]
mod service;
#[cfg(target_os = "linux")]
#[path = "costs/updates.rs"]
mod updates;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("costs: reads /proc and runs strace and valgrind, so it runs on Linux only");
}

/// The most that each figure may be. The size of the service has its limit in `.ci/check-size`.
#[cfg(target_os = "linux")]
const LIMITS: &[(&str, f64, &str)] = &[
    ("size of agent-console", 7_900_000.0, "bytes"),
    ("size of acd", 1_120_000.0, "bytes"),
    ("resident memory, maximum since the start", 4_220.0, "KiB"),
    ("resident memory, at rest", 3_300.0, "KiB"),
    (
        "resident memory, 100 sessions and 100 dashboards",
        4_880.0,
        "KiB",
    ),
    ("wake-ups in 10 s at rest", 0.0, "times"),
    ("memory of a session, hook", 3_700.0, "bytes"),
    ("memory of a session, set", 2_400.0, "bytes"),
    ("memory of a connection", 1_590.0, "bytes"),
    ("instructions per update, hook", 107_000.0, "instructions"),
    ("instructions per update, set", 94_000.0, "instructions"),
    ("allocations per update, hook", 59.5, "allocations"),
    ("allocations per update, set", 35.0, "allocations"),
    ("epoll_wait per update, hook", 1.05, "calls"),
    ("epoll_wait per update, set", 1.05, "calls"),
    ("recvfrom per update, hook", 1.05, "calls"),
    ("recvfrom per update, set", 1.05, "calls"),
    ("sendto per update, hook", 2.05, "calls"),
    ("sendto per update, set", 2.05, "calls"),
    ("write per update, hook", 1.05, "calls"),
    ("write per update, set", 1.05, "calls"),
    ("other system calls per update, hook", 0.3, "calls"),
    ("other system calls per update, set", 0.3, "calls"),
];

/// What was measured: a name in [`LIMITS`], and how much, in the unit there.
#[cfg(target_os = "linux")]
struct Figure {
    what: String,
    value: f64,
}

#[cfg(target_os = "linux")]
impl Figure {
    fn new(what: impl Into<String>, value: f64) -> Self {
        Self {
            what: what.into(),
            value,
        }
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    daemon::raise_descriptor_limit();
    let figures = measure();
    assert_eq!(figures.len(), LIMITS.len(), "a limit for each figure");
    let mut over = Vec::new();
    println!("| what | figure | limit | unit |\n|---|---|---|---|");
    for &(what, limit, unit) in LIMITS {
        let figure = figures.iter().find(|figure| figure.what == what);
        let figure = figure.unwrap_or_else(|| panic!("{what}: not measured"));
        let value = rounded(figure.value);
        println!("| {what} | {value} | {limit} | {unit} |");
        if value > limit {
            over.push(format!(
                "{what}: {value} {unit}, at most {limit} are allowed"
            ));
        }
    }
    if over.is_empty() {
        return std::process::ExitCode::SUCCESS;
    }
    for line in &over {
        eprintln!("costs: {line}");
    }
    eprintln!(
        "costs: find the change that costs this (`git bisect` with this command) and make it cheaper. If it is worth its cost, \
         raise the limit in tests/bench/costs.rs and say why in the commit"
    );
    std::process::ExitCode::FAILURE
}

/// To hundredths: a timer that ran once in hundreds of updates is not one update's cost.
#[cfg(target_os = "linux")]
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// What waits and what computes at the same time: no figure is a time.
#[cfg(target_os = "linux")]
fn measure() -> Vec<Figure> {
    let size = |program: &std::path::Path| std::fs::metadata(program).unwrap().len() as f64;
    let mut figures = vec![
        Figure::new("size of agent-console", size(daemon::program())),
        Figure::new("size of acd", size(daemon::hook_program())),
    ];
    std::thread::scope(|scope| {
        let groups: [fn() -> Vec<Figure>; 5] = [
            memory::at_rest,
            memory::busy,
            memory::each,
            updates::by_hook,
            updates::by_script,
        ];
        let groups = groups.map(|group| scope.spawn(group));
        for group in groups {
            figures.extend(group.join().unwrap());
        }
    });
    figures
}
