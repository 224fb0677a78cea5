//! What a session and a connection cost, and whether an update takes longer where there are many (`growth`).

use std::os::unix::net::UnixStream;

use crate::daemon::{Daemon, Wire};
use crate::load::Load;
use crate::memory::Memory;
use crate::report::{Figure, Report, median};
use crate::systems::Purpose;
use crate::systems::agent_console::{AgentConsole, FEW, Kind, ask_all};

const SIZES: [u64; 4] = [100, 1000, 10_000, 100_000];
/// Descriptors of this process besides the connections that are counted.
const OTHER_DESCRIPTORS: u64 = 200;
const UPDATES: u64 = 1000;
const ROUNDS: usize = 3;

pub fn growth(quick: bool, report: &mut Report) {
    let sizes = &SIZES[..if quick { 2 } else { 4 }];
    for (kind, name) in [(Kind::Hook, "hook"), (Kind::Set, "set")] {
        sessions(kind, name, sizes, report);
    }
    connections(sizes, report);
    report.note("growth: 100,000 sessions are the most that the daemon keeps");
    let updates = if quick { UPDATES / 5 } else { UPDATES };
    reply_with_sessions(updates, report);
    reply_with_dashboards(updates, report);
}

/// More and more sessions in one daemon.
fn sessions(kind: Kind, name: &'static str, sizes: &[u64], report: &mut Report) {
    let daemon = Daemon::start();
    let mut wire = daemon.connect();
    let mut made = 0;
    let before = Memory::at_rest(&daemon.child);
    for &size in sizes {
        ask_all(&mut wire, (made..size).map(|session| kind.turn(0, session)));
        made = size;
        per_item(
            &format!("session, {size}"),
            name,
            before,
            Memory::at_rest(&daemon.child),
            size,
            report,
        );
    }
}

fn per_item(
    what: &str,
    column: &str,
    before: Memory,
    after: Memory,
    count: u64,
    report: &mut Report,
) {
    for (quantity, before, after) in [
        ("RSS", before.rss, after.rss),
        ("anonymous", before.anonymous, after.anonymous),
    ] {
        let bytes = (after as f64 - before as f64) * 1024.0 / count as f64;
        let what = format!("{quantity} of a {what}");
        let known = report
            .figures
            .iter_mut()
            .find(|figure| figure.section == "growth" && figure.what == what);
        match known {
            Some(figure) => figure.values.push((column.into(), bytes)),
            None => report.add(Figure::new("growth", what, "bytes").with(column, bytes)),
        }
    }
}

/// More and more connections to one daemon, each of which was answered.
fn connections(sizes: &[u64], report: &mut Report) {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = most.unwrap_or(u64::MAX).saturating_sub(OTHER_DESCRIPTORS);
    let daemon = Daemon::start();
    let mut all: Vec<UnixStream> = Vec::new();
    let before = Memory::at_rest(&daemon.child);
    for &size in sizes {
        if size > most {
            report.note(format!(
                "growth: {size} connections not measured: the limit of descriptors allows {most}"
            ));
            continue;
        }
        while (all.len() as u64) < size {
            let mut wire: Wire = daemon.connect();
            wire.ask("hello");
            all.push(wire.socket);
        }
        per_item(
            &format!("connection, {size}"),
            "hook",
            before,
            Memory::at_rest(&daemon.child),
            size,
            report,
        );
    }
}

/// One system with its ten sessions, another one with thousands more: they take turns.
fn reply_with_sessions(updates: u64, report: &mut Report) {
    let systems = [100, 10_000].map(|sessions| {
        let system = AgentConsole::start(Kind::Hook, Purpose::Answered);
        let more = (FEW..sessions).map(|session| Kind::Hook.turn(0, session));
        ask_all(&mut system.daemon.connect(), more);
        (sessions, system)
    });
    let mut loads = [Load::on(&systems[0].1, 1), Load::on(&systems[1].1, 1)];
    replies(
        "sessions",
        systems.each_ref().map(|(sessions, _)| *sessions),
        &mut loads,
        updates,
        report,
    );
}

fn reply_with_dashboards(updates: u64, report: &mut Report) {
    let system = AgentConsole::start(Kind::Hook, Purpose::Answered);
    let other = AgentConsole::start(Kind::Hook, Purpose::Answered);
    let mut loads = [Load::on(&system, 100), Load::on(&other, 1000)];
    replies("dashboards", [100, 1000], &mut loads, updates / 5, report);
}

/// The median of rounds of update → reply, and how many times as long it takes with more.
fn replies(
    of: &str,
    counts: [u64; 2],
    loads: &mut [Load<'_>; 2],
    updates: u64,
    report: &mut Report,
) {
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (load, round) in loads.iter_mut().zip(&mut rounds) {
            round.push(median(&mut load.one_by_one(updates, None).replies));
        }
    }
    let [few, many] = rounds.each_mut().map(|round| median(round));
    for (count, time) in counts.iter().zip([few, many]) {
        let what = format!("update → reply, {count} {of}, p50");
        report.add(Figure::new("growth", what, "µs").with("hook", time));
    }
    let what = format!("the same, {} to {} {of}", counts[1], counts[0]);
    report.add(Figure::new("growth", what, "×").with("hook", many / few));
}
