//! `statusline`: what an agent runs to draw its status line. Reports the JSON on standard input (model, context, cost,
//! the account's limits) to the daemon, and then executes the user's own command with the same input, or prints a line of
//! our own.
//!
//! A status line is drawn many times a minute and must never fail: what cannot be read or reported is left out. It is
//! drawn, or the command started, when the JSON is whole, whenever the input ends. The command replaces this process
//! (execve(2)), so that output, exit status and signals are its own: an agent may kill a run that is still going when the
//! next one begins. Only where the input does not end with the JSON does a process of ours run beside it, which passes the
//! rest on.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::agents::{self, StatusLine};
use crate::format::print_error;
use crate::hook::input::{Input, Received, Stdin, read_object};
use crate::limits::Limit;
use crate::os::background::{self, Side};
use crate::os::clock;
use crate::{format, hook};

/// How long the report may take: a daemon that runs takes it in well under a millisecond.
const TIMEOUT: Duration = Duration::from_millis(50);

/// How long the end of the input is waited for behind its JSON: longer than a writer takes that ends it there, too short
/// to be noticed.
const END: Duration = Duration::from_millis(20);

/// When the background process ends although its input has not: the input has paused for this long.
const PAUSE: Duration = Duration::from_mins(10);

/// Read at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// The exit statuses of a shell, and of env(1), for a command that does not exist and for one that cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUN: u8 = 126;

/// The command that draws the line.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The status line's command, which gets the same input; without it a line of our own is printed
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// For `statusline --help`.
pub(super) const EXAMPLES: &str = r#"COMMAND replaces this process: its output and exit status are its own. `agent-console install --statusline`
puts it into the agent's settings, around the command that is there.

Examples:
  "statusLine": {"type": "command", "command": "agent-console statusline"}
      in the agent's settings
  "statusLine": {"type": "command", "command": "agent-console statusline -- ~/bin/my-line"}
      with a command of your own"#;

/// Does not return from a COMMAND that can be run.
pub(super) fn run(options: &Options, socket: Option<&Path>, out: &mut impl Write) -> ExitCode {
    let mut input = read_object(&mut Stdin);
    let payload = input.object().to_owned();
    let report = || hook::report(agents::DEFAULT, socket, &payload, TIMEOUT);
    let Some((program, arguments)) = options.command.split_first() else {
        let line = line(&payload, clock::unix_ms());
        // Without a reader there is no way to report an error.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        report();
        wait_for_end(&mut input);
        if !input.ended
            && let Ok(Side::Background(background)) = background::split()
        {
            pass_on(None);
            background.end();
        }
        return ExitCode::SUCCESS;
    };
    report();
    wait_for_end(&mut input);
    match stdin_from(input) {
        Ok(input) => exec(program, arguments, input),
        Err(error) => {
            print_error(
                &anyhow::Error::new(error).context("cannot pass the status line's input on"),
            );
            ExitCode::from(NOT_RUN)
        }
    }
}

/// Reads on for at most [`END`], up to the end of the input.
fn wait_for_end(input: &mut Received) {
    let started = clock::monotonic();
    while !input.ended {
        let left = END.saturating_sub(started.elapsed());
        if !is_readable(left) {
            return;
        }
        read_more(input);
    }
}

/// Reads what there is; waits until there is something.
fn read_more(input: &mut Received) {
    input.bytes.reserve(CHUNK);
    match Stdin.read(&mut input.bytes) {
        Ok(1..) => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Ok(0) | Err(_) => input.ended = true,
    }
}

/// Whether standard input has bytes, or has ended, within `timeout`.
fn is_readable(timeout: Duration) -> bool {
    let stdin = rustix::stdio::stdin();
    let mut stdin = [PollFd::new(&stdin, PollFlags::IN)];
    let timeout = Timespec::try_from(timeout).ok();
    matches!(
        rustix::io::retry_on_intr(|| poll(&mut stdin, timeout.as_ref())),
        Ok(1..)
    )
}

/// Reads the rest of the input, so that a write of the agent's never fails, and writes it to the command as long as that
/// reads.
fn pass_on(mut command: Option<io::PipeWriter>) {
    let mut rest = Vec::with_capacity(CHUNK);
    while is_readable(PAUSE) {
        rest.clear();
        match Stdin.read(&mut rest) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
        }
        command = command.filter(|command| (&*command).write_all(&rest).is_ok());
    }
}

/// Replaces this process by the command. The standard library gives it an empty signal mask and SIGPIPE's default, as it
/// would have without us. Returns only if the command cannot be run.
fn exec(program: &OsStr, arguments: &[OsString], input: OwnedFd) -> ExitCode {
    let error = Command::new(program).args(arguments).stdin(input).exec();
    let not_found = error.kind() == io::ErrorKind::NotFound;
    print_error(&anyhow::anyhow!(
        "cannot run {}: {error}; correct what follows `--` in `statusLine` of {}'s settings",
        program.display(),
        agents::DEFAULT.title
    ));
    ExitCode::from(if not_found { NOT_FOUND } else { NOT_RUN })
}

/// A standard input with these bytes, and with those that follow if the input has not ended.
fn stdin_from(mut input: Received) -> io::Result<OwnedFd> {
    if !input.ended {
        let (reader, mut writer) = io::pipe()?;
        match background::split() {
            Ok(Side::Original) => return Ok(reader.into()),
            Ok(Side::Background(background)) => {
                drop(reader);
                let written = writer.write_all(&input.bytes);
                pass_on(written.is_ok().then_some(writer));
                background.end();
            }
            Err(_) => {
                while !input.ended {
                    read_more(&mut input);
                }
            }
        }
    }
    stdin_with(&input.bytes)
}

/// A standard input with exactly these bytes: a pipe if they fit into it, since no process is left to fill it later, else
/// an anonymous file.
fn stdin_with(bytes: &[u8]) -> io::Result<OwnedFd> {
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&writer, true)?;
    let mut left = bytes;
    while !left.is_empty() {
        match rustix::io::write(&writer, left) {
            Ok(written) => left = &left[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut file = anonymous_file()?;
                file.write_all(bytes)?;
                file.rewind()?;
                return Ok(file.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(reader.into())
}

/// In memory, so that it works where no disk can be written.
#[cfg(target_os = "linux")]
fn anonymous_file() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(memfd_create("statusline", MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
fn anonymous_file() -> io::Result<File> {
    tempfile::tempfile()
}

/// Our own line: model, context, cost, limits, as far as they are known.
fn line(payload: &[u8], now: u64) -> String {
    let payload = String::from_utf8_lossy(payload);
    let shown = agents::DEFAULT
        .status_line
        .map(|read| read(&payload))
        .unwrap_or_default();
    format::sanitize(&parts(&shown, now).join(" · "))
}

fn parts(shown: &StatusLine, now: u64) -> Vec<String> {
    let limit = |limit: &Limit| {
        let used = format!(
            "{} {:.0} %",
            format::window_name(&limit.name),
            limit.used_percent
        );
        match limit.resets_at.and_then(|at| at.checked_sub(now)) {
            Some(left) if left > 0 => format!("{used} ({})", format::remaining(left)),
            _ => used,
        }
    };
    let mut parts = Vec::new();
    parts.extend(shown.model.as_deref().map(str::to_owned));
    let percent = shown.context_percent;
    parts.extend(percent.map(|percent| format!("{percent:.0} % context")));
    let cost = shown.cost_usd.filter(|cost| *cost > 0.0);
    parts.extend(cost.map(|cost| format!("${cost:.2}")));
    let possible = shown.limits.iter().filter(|limit| limit.is_possible(now));
    parts.extend(possible.map(limit));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const NOW: u64 = 1_790_000_000_000;

    #[test]
    fn our_own_line_has_what_is_known() {
        let whole = br#"{"session_id":"s","model":{"id":"opus-5","display_name":"Opus 5"},
            "context_window":{"used_percentage":12.4},"cost":{"total_cost_usd":0.125},
            "rate_limits":{"five_hour":{"used_percentage":42,"resets_at":1790007800},"seven_day":{"used_percentage":7}}}"#;
        assert_eq!(
            line(whole, NOW),
            "Opus 5 · 12 % context · $0.12 · 5h 42 % (2h 10m) · 7d 7 %"
        );
        // A window that has ended since.
        assert!(line(whole, NOW + 7_800_000).ends_with("5h 42 % · 7d 7 %"));
        assert_eq!(line(br#"{"cost":{"total_cost_usd":1}}"#, NOW), "$1.00");
        assert_eq!(
            line(b"{\"model\":{\"id\":\"a\\u001b[31m\\u202e\xff\"}}", NOW),
            "a [31m\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn nonsense_is_an_empty_line() {
        for nonsense in [
            &b""[..],
            b"nonsense",
            b"[]",
            b"{\"model\":5}",
            b"\xff\0",
            b"{\"model\":{\"id\":",
        ] {
            assert_eq!(line(nonsense, NOW), "");
        }
    }

    /// Every byte is read back, from a pipe or a file.
    #[test]
    fn input_of_any_size_is_passed_on() {
        for size in [0, 1, 4096, 65_536, 65_537, 3_000_000] {
            let bytes: Vec<u8> = (0..size)
                .map(|at: u32| at.to_le_bytes()[0] ^ at.to_le_bytes()[1])
                .collect();
            let mut read = Vec::new();
            let mut input = File::from(stdin_with(&bytes).unwrap());
            input.read_to_end(&mut read).unwrap();
            assert!(read == bytes, "{size}");
        }
    }
}
