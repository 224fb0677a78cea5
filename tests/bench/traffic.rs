//! The sections in which the systems take turns: `latency`, `throughput`, `producers`.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::agents::unix_ms;
use crate::load::{Load, PAUSE, Samples, WINDOW};
use crate::report::{Figure, Report, median, percentile};
use crate::systems::{Counter, Purpose, System, start_all};

const DASHBOARDS: [usize; 4] = [1, 10, 100, 1000];
const SHARES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")];
const ROUNDS: usize = 3;

fn rounds(quick: bool) -> usize {
    if quick { 1 } else { ROUNDS }
}

fn plural(dashboards: usize) -> String {
    format!(
        "{dashboards} dashboard{}",
        if dashboards == 1 { "" } else { "s" }
    )
}

/// Update → reply, → each dashboard, → the last one. Cold: with a pause between updates; hot: without.
pub fn latency(quick: bool, report: &mut Report) {
    for dashboards in DASHBOARDS {
        let updates = match dashboards {
            1000 => 150,
            _ => 1000,
        };
        let updates = if quick { updates / 5 } else { updates };
        latency_of(dashboards, updates, Some(PAUSE), quick, report);
        if [1, 100].contains(&dashboards) {
            latency_of(dashboards, updates, None, quick, report);
        }
    }
    report.note(format!(
        "latency: each update is sent once the one before has reached every dashboard and, unless \"back to back\", {} ms later",
        PAUSE.as_millis()
    ));
    report.note("mosquitto: QoS 1 from the producer in latency and producers, QoS 0 in throughput; QoS 0 to dashboards");
    report.note("dbus: a signal has no reply");
}

/// One quantity of the samples.
type Pick = fn(&mut Samples) -> &mut Vec<f64>;

fn latency_of(
    dashboards: usize,
    updates: u64,
    pause: Option<Duration>,
    quick: bool,
    report: &mut Report,
) {
    let systems = start_all(Purpose::Answered, report);
    let mut loads: Vec<_> = systems
        .iter()
        .map(|system| Load::on(&**system, dashboards))
        .collect();
    let mut samples: Vec<Vec<Samples>> = systems.iter().map(|_| Vec::new()).collect();
    for load in &mut loads {
        load.one_by_one(20, None);
    }
    for _ in 0..rounds(quick) {
        for (load, samples) in loads.iter_mut().zip(&mut samples) {
            samples.push(load.one_by_one(updates, pause));
        }
    }
    let how = if pause.is_some() {
        ""
    } else {
        ", back to back"
    };
    let quantities: [(&str, Pick); 3] = [
        ("reply", |samples| &mut samples.replies),
        ("dashboard", |samples| &mut samples.deliveries),
        ("last", |samples| &mut samples.last),
    ];
    for (quantity, pick) in quantities {
        if quantity == "last" && dashboards == 1 {
            continue;
        }
        for (share, name) in SHARES {
            let what = format!("update → {quantity}, {}{how}, {name}", plural(dashboards));
            let mut figure = Figure::new("latency", what, "µs");
            for (system, rounds) in systems.iter().zip(&mut samples) {
                let mut values: Vec<f64> = rounds
                    .iter_mut()
                    .map(pick)
                    .filter(|values| !values.is_empty())
                    .map(|values| percentile(values, share))
                    .collect();
                if !values.is_empty() {
                    figure = figure.with(system.name(), median(&mut values));
                }
            }
            report.add(figure);
        }
    }
}

/// Updates a second at one dashboard, deliveries a second at 100.
pub fn throughput(quick: bool, report: &mut Report) {
    let time = Duration::from_millis(if quick { 300 } else { 1000 });
    report.note(format!(
        "throughput: at most {WINDOW} updates on the way, each of another session, because agent-console joins changes of one session in one turn of its loop: every update is a delivery in every system"
    ));
    for (dashboards, what) in [
        (1, "updates, 1 dashboard"),
        (100, "deliveries, 100 dashboards"),
    ] {
        let systems = start_all(Purpose::Many, report);
        let mut loads: Vec<_> = systems
            .iter()
            .map(|system| Load::on(&**system, dashboards))
            .collect();
        let mut rates: Vec<Vec<f64>> = systems.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds(quick) {
            for (load, rates) in loads.iter_mut().zip(&mut rates) {
                rates.push(load.flood(u64::MAX, time).1 * dashboards as f64);
            }
        }
        let mut figure = Figure::new("throughput", what, "/s");
        let mut lengths = Figure::new(
            "throughput",
            format!("bytes of a delivery, {}", plural(dashboards)),
            "bytes",
        );
        for (system, rates) in systems.iter().zip(&mut rates) {
            figure = figure.with(system.name(), median(rates));
            lengths = lengths.with(system.name(), system.delivery_length() as f64);
        }
        report.add(figure);
        if dashboards == 1 {
            report.add(lengths);
        }
    }
}

/// Producers that connect, send an update, read the reply and close, as hooks do: a second.
pub fn producers(quick: bool, report: &mut Report) {
    let time = Duration::from_millis(if quick { 300 } else { 1000 });
    let systems: Vec<_> = start_all(Purpose::Answered, report)
        .into_iter()
        .filter(|system| system.replies().is_some())
        .collect();
    let mut rates: Vec<Vec<f64>> = systems.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds(quick) {
        for (system, rates) in systems.iter().zip(&mut rates) {
            rates.push(producers_of(&**system, time));
        }
    }
    let mut figure = Figure::new(
        "producers",
        "connect, update, reply, close; one after the other",
        "/s",
    );
    for (system, rates) in systems.iter().zip(&mut rates) {
        figure = figure.with(system.name(), median(rates));
    }
    report.add(figure);
}

fn producers_of(system: &dyn System, time: Duration) -> f64 {
    let mut buffer = vec![0; 16 * 1024];
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < time {
        let mut producer = system.producer();
        producer
            .write_all(&system.update(count, unix_ms()))
            .unwrap();
        let mut reply = Counter::new(system.replies().unwrap());
        loop {
            let length = producer.read(&mut buffer).unwrap();
            assert!(length > 0, "{} did not reply", system.name());
            if reply.read(&buffer[..length]) > 0 {
                break;
            }
        }
        count += 1;
    }
    count as f64 / began.elapsed().as_secs_f64()
}
