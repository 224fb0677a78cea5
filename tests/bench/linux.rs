//! The sections in their order, and what is printed of them.

use std::path::PathBuf;

use serde_json::json;

use crate::report::Report;
use crate::{daemon, dashboard, goals, growth, manager, memory, processes, systems, traffic};

/// Measures into the report; true: fewer updates and rounds.
type Section = fn(bool, &mut Report);

const SECTIONS: [(&str, Section); 10] = [
    ("latency", traffic::latency),
    ("throughput", traffic::throughput),
    ("producers", traffic::producers),
    ("start", processes::start),
    ("hook", processes::hook),
    ("memory", memory::memory),
    ("growth", growth::growth),
    ("rest", memory::rest),
    ("size", processes::size),
    ("dashboard", dashboard::dashboard),
];

struct Arguments {
    sections: Vec<String>,
    quick: bool,
    json: Option<PathBuf>,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut parsed = Self {
            sections: Vec::new(),
            quick: false,
            json: None,
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // cargo's own.
                "--bench" => {}
                "--quick" => parsed.quick = true,
                "--json" => parsed.json = Some(arguments.next().expect("--json PATH").into()),
                section => {
                    let known = SECTIONS.map(|(name, _)| name);
                    assert!(
                        known.contains(&section),
                        "{section}: no section of {known:?}"
                    );
                    parsed.sections.push(argument);
                }
            }
        }
        parsed
    }
}

pub fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(systems::floor::ARGUMENT) => return systems::floor::run(&arguments[1..]),
        Some(manager::ARGUMENT) => return manager::run(&arguments[1..]),
        Some(manager::FLOOR) => return manager::answer_once(),
        Some(_) | None => {}
    }
    let arguments = Arguments::parse(arguments.into_iter());
    daemon::raise_descriptor_limit();
    let cores = std::thread::available_parallelism().unwrap();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let (load, kernel) = (load.trim(), kernel.trim());
    let quick = arguments.quick;
    println!("{cores} cores, kernel {kernel}, load before: {load}, quick: {quick}");
    let mut report = Report::default();
    for (name, measure) in SECTIONS {
        if arguments.sections.is_empty() || arguments.sections.iter().any(|wanted| wanted == name) {
            measure(quick, &mut report);
            println!("{}", report.table(name));
        }
    }
    let outcomes = goals::outcomes(&report);
    println!("{}", goals::table(&report, &outcomes));
    for note in &report.notes {
        println!("- {note}");
    }
    if let Some(path) = arguments.json {
        let environment =
            json!({"cores": cores.get(), "kernel": kernel, "load_before": load, "quick": quick});
        let json = report.json(&environment, &outcomes);
        std::fs::write(path, format!("{json:#}\n")).unwrap();
    }
}
