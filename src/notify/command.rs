//! The configuration's command, `notify.command`: for what this program does not reach, such as a phone.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Notification;
use crate::format;
use crate::os::command;
use crate::protocol::SessionRecord;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Runs the command, a line for `sh`, with a line of JSON for each record on its standard input. What it prints is dropped.
pub(super) fn run(
    line: &str,
    notification: &Notification,
    records: &[SessionRecord<'_>],
    count: usize,
) -> Result<(), String> {
    let failed = |why: &dyn std::fmt::Display| format!("the command of notify.command: {why}");
    let mut input = Vec::new();
    for record in records {
        format::json(&mut input, record).map_err(|error| failed(&error))?;
    }
    let mut child = Command::new("sh");
    child
        .args(["-c", line])
        .env("AGENT_CONSOLE_CAUSE", notification.cause.as_str())
        .env("AGENT_CONSOLE_COUNT", count.to_string())
        .env("AGENT_CONSOLE_SUMMARY", &notification.summary)
        .env("AGENT_CONSOLE_BODY", &notification.body)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let [record] = records {
        child
            .env("AGENT_CONSOLE_KEY", &*record.key)
            .env("AGENT_CONSOLE_AGENT", &*record.agent)
            .env("AGENT_CONSOLE_STATUS", record.status.as_str());
    }
    let mut child = child.spawn().map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command need not read it: the time limit holds all the same.
        std::thread::spawn(move || stdin.write_all(&input));
    }
    let status = command::wait(&mut child, LIMIT).map_err(|error| failed(&error))?;
    if status.success() {
        return Ok(());
    }
    Err(failed(&status))
}
