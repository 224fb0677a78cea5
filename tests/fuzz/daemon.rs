//! What clients, agents and the clock do to a daemon: codec, core, and a client's copy of the state.
//!
//! An input is a script, a step a line. The first character says what happens; a line that begins otherwise is sent by
//! the current client. `NOW` stands for the time in ms since the epoch.
//!
//! | line | step |
//! |---|---|
//! | `>N` | the next lines are sent by client N (0 to 2) |
//! | `-` | the current client disconnects |
//! | `@AGENT[/EVENT] AGE PID PAYLOAD` | the agent's hook reports a payload, stamped AGE ms ago |
//! | `#PID ENTRY` | an entry of the agent's registry; without ENTRY it is removed |
//! | `+MS` | time passes |
//! | `^MS` | time passes while the machine is suspended |
//! | `~MS` | the clock is set forward, or back |
//! | `!` | the next deadline |
//! | `$PID`, `&PID` | a process ends; cannot be watched |
//! | `%l LINE` | the child that fetches limits has written this line |
//! | `%rN`, `%e` | the configuration was read again, was refused |
//! | `%d`, `%t`, `%s`, `%c`, `%w` | drained; SIGTERM; processes are seen stopped, running; watchdog |
//! | `=` | the daemon is killed, and the next one begins with what was saved; also after each exit in order |
//! | `?` | the copy is compared |

use serde_json::json;

use super::driver::{Driver, PROCESS_START, reported_process};
use crate::agents;
use crate::core::Input;
use crate::core::testing::NAMESPACE;
use crate::event::RegistryUpdate;

/// The steps of a script that are played.
const MAX_STEPS: usize = 300;

pub(super) fn target(data: &[u8]) {
    let mut driver = Driver::new();
    let mut client = 0;
    for line in data.split(|byte| *byte == b'\n').take(MAX_STEPS) {
        let line = stamped(line, driver.now.unix_ms);
        step(&mut driver, &mut client, &line);
        if driver.has_exited() {
            driver.restart();
        }
    }
    driver.compare();
}

/// The line with the time for each `NOW`.
fn stamped(line: &[u8], now: u64) -> Vec<u8> {
    let mut stamped = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(place) = rest.windows(3).position(|word| word == b"NOW") {
        stamped.extend_from_slice(&rest[..place]);
        stamped.extend_from_slice(now.to_string().as_bytes());
        rest = &rest[place + 3..];
    }
    stamped.extend_from_slice(rest);
    stamped
}

fn step(driver: &mut Driver, client: &mut usize, line: &[u8]) {
    let (kind, rest) = line.split_first().unwrap_or((&b'?', b""));
    match kind {
        b'>' => *client = number::<usize>(rest).unwrap_or(0) % 3,
        b'-' => driver.disconnect(*client),
        b'@' => drop(hook(driver, *client, rest)),
        b'#' => drop(registry(driver, rest)),
        b'+' => driver.pass(number(rest).unwrap_or(1000)),
        b'^' => driver.suspend(number(rest).unwrap_or(1000)),
        b'~' => driver.set_clock(number(rest).unwrap_or(-3_600_000)),
        b'!' => driver.next_deadline(),
        b'$' => driver.process_exited(number(rest).unwrap_or(1)),
        b'&' => driver.process_unwatchable(number(rest).unwrap_or(1)),
        b'%' => answer(driver, rest),
        b'=' => driver.restart(),
        b'?' => driver.compare(),
        _ => driver.send(*client, line),
    }
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// A hook's report, reduced by the agent's filter as the hook does it.
fn hook(driver: &mut Driver, client: usize, line: &[u8]) -> Option<()> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let name = std::str::from_utf8(parts.next()?).ok()?;
    let (name, event) = name
        .split_once('/')
        .map_or((name, None), |(name, event)| (name, Some(event)));
    let age = number::<i64>(parts.next()?)?;
    let pid = number::<u32>(parts.next()?)?;
    let event = agents::find(name)?.filter(parts.next()?, event).ok();
    let report = json!({
        "jsonrpc": "2.0", "method": "session.report", "params": {
            "agent": name, "at": driver.now.unix_ms.saturating_add_signed(age.saturating_neg()),
            "pid": pid, "process_start": PROCESS_START, "pid_namespace": NAMESPACE, "attended": true, "event": event,
        },
    });
    driver.send(client, report.to_string().as_bytes());
    Some(())
}

/// A change in the registry of the agent that has one.
fn registry(driver: &mut Driver, line: &[u8]) -> Option<()> {
    let end = line.iter().position(|byte| *byte == b' ');
    let (pid, entry) = line.split_at(end.unwrap_or(line.len()));
    let pid = number::<u32>(pid)?;
    let agent = agents::ALL.iter().find(|agent| agent.registry.is_some())?;
    let read = agent.registry.as_ref()?.read;
    let entry = match entry.split_first() {
        Some((_, entry)) => Some(read(entry, pid, Some(NAMESPACE))?.entry),
        None => None,
    };
    driver.input(Input::RegistryChanged(Box::new(RegistryUpdate {
        agent: agent.name.into(),
        timing: agent.timing,
        process: reported_process(pid),
        alive: entry.is_some() && pid % 5 != 0,
        tty: None,
        account: None,
        entry,
    })));
    Some(())
}

fn answer(driver: &mut Driver, rest: &[u8]) {
    match rest.split_first() {
        Some((b'l', line)) => driver.fetched(line),
        Some((b'r', which)) => driver.reloaded(Some(number(which).unwrap_or(0))),
        Some((b'e', _)) => driver.reloaded(None),
        Some((b'd', _)) => driver.drained(),
        Some((b't', _)) => driver.input(Input::Terminated),
        Some((b's', _)) => driver.inspected(true),
        Some((b'c', _)) => driver.inspected(false),
        Some((b'w', _)) => driver.input(Input::Watchdog),
        _ => {}
    }
}
