//! The file in which the state outlives the daemon: whatever is in it, the next daemon starts, and goes on as any other.

use super::driver::Driver;
use crate::core::{Input, LineError, Saved};

/// What happens in the daemon that has read the file.
const HOOKS: [&str; 3] = [
    r#"{"jsonrpc":"2.0","method":"session.report","params":{"agent":"claude-code","at":1790000003000,"pid":855,"process_start":7,"pid_namespace":4026531836,"event":{"session_id":"s","hook_event_name":"UserPromptSubmit","prompt":"p"}}}"#,
    r#"{"jsonrpc":"2.0","method":"session.report","params":{"agent":"claude-code","at":1790000003001,"pid":855,"process_start":7,"pid_namespace":4026531836,"event":{"session_id":"s","hook_event_name":"Stop"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"session.set","params":{"session":"build","status":"waiting"}}"#,
];

pub(super) fn target(data: &[u8]) {
    let mut driver = Driver::restored(read(data));
    driver.compare();
    driver.input(Input::RegistriesRead);
    driver.pass(1000);
    for line in HOOKS {
        driver.send(0, line.as_bytes());
    }
    driver.process_exited(855);
    driver.compare();
    driver.restart();
    driver.pass(3_600_000);
    driver.set_clock(-3_600_000);
    driver.suspend(48 * 3_600_000);
    driver.compare();
}

/// As the daemon reads the file.
fn read(data: &[u8]) -> Saved {
    let mut saved = Saved::default();
    for line in data.split(|byte| *byte == b'\n') {
        if let Err(LineError::Version(_)) = saved.take(line.trim_ascii_end()) {
            return Saved::default();
        }
    }
    saved
}
