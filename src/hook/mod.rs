//! The hook process, `agent-console hook [AGENT] [--socket PATH]`: an agent's event in, one line to the daemon out.
//!
//! Agents run it on each event and wait for it, so it is the first branch in `main` and costs little beyond exec:
//! standard library and system calls, no thread, no runtime, no argument parser. It reads the event's JSON as a stream
//! (`scan`), keeps the few fields that `agents` allows, adds what only this process knows (the time, the agent's
//! process, its terminal), writes one `session.report` and leaves without waiting for an answer.
//!
//! Whatever happens, it exits 0 within 100 ms and prints nothing: an agent shows a hook's output to its model, takes an
//! exit status for a verdict, and stands still meanwhile. Where the time was too short, because the machine is busy or
//! the daemon is slow, the agent goes on and a copy of the process finishes the report (`deadline`): an event lost is a
//! session shown wrong. Nothing of the environment leaves it but the variables named here; nothing of the payload but
//! the fields in the table. What the fields mean is the daemon's to say.

mod deadline;
mod escape;
mod scan;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::agents::{self, HookSource};
use crate::config::{self, DEFAULT_SOCKET, variable};
use crate::os::{clock, peer, process};
use rustix::buffer::spare_capacity;
use scan::Scanner;

/// The agent where the command line names none.
const DEFAULT_AGENT: &str = "claude-code";

/// Read at once. Larger payloads are rare and gain nothing from more; smaller ones touch only the pages they fill.
const CHUNK: usize = 64 * 1024;

/// The daemon takes lines shorter than this, its end included; a longer one would cost the whole report.
const LINE_LIMIT: usize = 64 * 1024;

/// The longest agent name and the longest terminal id that is kept, in bytes of JSON.
const NAME_LIMIT: usize = 64;
const TERMINAL_LIMIT: usize = 128;

/// The longest path that is kept, in bytes of JSON: Linux's `PATH_MAX`.
const PATH_LIMIT: usize = 4096;

/// Variables by which a terminal or multiplexer tells a program where it is, with the report's name for each. The
/// environment goes nowhere else.
const TERMINAL: &[(&str, &str)] = &[
    ("term_program", "TERM_PROGRAM"),
    ("tmux", "TMUX"),
    ("tmux_pane", "TMUX_PANE"),
    ("zellij_session", "ZELLIJ_SESSION_NAME"),
    ("zellij_pane", "ZELLIJ_PANE_ID"),
    ("wezterm_pane", "WEZTERM_PANE"),
    ("kitty_window", "KITTY_WINDOW_ID"),
    ("iterm_session", "ITERM_SESSION_ID"),
];

/// Whether the command line is the hook's: `arguments` are those after the program's name. `hook --help` is not, since
/// help is for people and `hook` never prints.
#[must_use]
pub fn wanted(arguments: &[OsString]) -> bool {
    let help = |argument: &OsString| argument == "--help" || argument == "-h";
    match arguments {
        [first, rest @ ..] => first == "hook" && !rest.iter().any(help),
        [] => false,
    }
}

/// Where the command line is the hook's: runs it and ends the process. For `main` it is the first branch; `before_main`
/// may also run before Rust's runtime does, since the hook needs none of it: no thread, no signal it would have to
/// ignore (a socket is written to without one), no standard descriptor that must be open.
pub extern "C" fn before_main() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if wanted(&arguments) {
        let (agent, socket) = read_arguments(arguments.get(1..).unwrap_or_default());
        run(&agent, socket);
        deadline::leave();
    }
}

/// Reports the event on standard input to the daemon at `socket`, else wherever [`config::socket_path`] says.
/// For whoever started the process it ends within 100 ms.
pub fn run(agent: &str, socket: Option<&Path>) {
    let at = clock::unix_ms();
    deadline::limit();
    let source = agents::hook_source(agent);

    let line = begin_line(agent, &source, at);
    let line = read_event(&source, line, read_input);
    if let Ok(mut daemon) = peer::connect(&choose_socket(socket), deadline::LAST) {
        // Nobody to tell where it fails.
        let _ = daemon.write_all(&line);
    }
}

/// Reports an event that somebody else has read, to the same daemon as [`run`] would; gives up after `patience`.
pub fn report(agent: &str, socket: Option<&Path>, payload: &[u8], patience: Duration) {
    let source = agents::hook_source(agent);
    let line = begin_line(agent, &source, clock::unix_ms());
    let mut rest = payload;
    let line = read_event(&source, line, |chunk| {
        let (next, later) = rest.split_at(rest.len().min(CHUNK));
        rest = later;
        chunk.extend_from_slice(next);
        Ok(next.len())
    });
    if let Ok(mut daemon) = peer::connect(&choose_socket(socket), patience) {
        // Nobody to tell where it fails.
        let _ = daemon.write_all(&line);
    }
}

/// Agent and socket from the words after `hook`. What it does not know it ignores, because a line in an agent's settings
/// outlives the version that wrote it.
fn read_arguments(arguments: &[OsString]) -> (String, Option<&Path>) {
    let mut agent = None;
    let mut socket = None;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let bytes = argument.as_bytes();
        if bytes == b"--socket" {
            socket = arguments.next().map(Path::new);
        } else if let Some(path) = bytes.strip_prefix(b"--socket=") {
            socket = Some(Path::new(OsStr::from_bytes(path)));
        } else if agent.is_none() && !bytes.starts_with(b"-") {
            agent = Some(argument.to_string_lossy().into_owned());
        }
    }
    let agent = agent.unwrap_or_else(|| DEFAULT_AGENT.to_owned());
    (agent, socket)
}

/// A choice that is broken is as good as none: the default is where a daemon most likely is.
fn choose_socket(flag: Option<&Path>) -> PathBuf {
    config::socket_path(flag).map_or_else(|_| PathBuf::from(DEFAULT_SOCKET), |choice| choice.path)
}

/// The report up to its event: all that this process knows without it.
fn begin_line(agent: &str, source: &HookSource, at: u64) -> Vec<u8> {
    let mut line = Vec::with_capacity(4096);
    line.extend_from_slice(
        b"{\"jsonrpc\":\"2.0\",\"method\":\"session.report\",\"params\":{\"agent\":",
    );
    escape::push_string(&mut line, agent.as_bytes(), NAME_LIMIT);
    push_number(&mut line, "at", at);

    let pid = source
        .pid_var
        .and_then(variable)
        .and_then(|pid| pid.to_str()?.parse().ok())
        .filter(|&pid| pid > 0)
        .unwrap_or_else(std::os::unix::process::parent_id);
    push_number(&mut line, "pid", u64::from(pid));
    let found = process::inspect(pid).ok();
    if let Some(found) = &found {
        push_number(&mut line, "process_start", found.id.start);
    }
    if let Some(namespace) = process::namespace() {
        push_number(&mut line, "pid_namespace", namespace);
    }
    if let Some(attended) = source.attended_var.and_then(variable) {
        match attended.as_bytes() {
            b"1" => line.extend_from_slice(b",\"attended\":true"),
            b"0" => line.extend_from_slice(b",\"attended\":false"),
            _ => {}
        }
    }
    if let Some(directory) = source
        .config_dir
        .and_then(|place| agents::config_dir(place, variable))
    {
        line.extend_from_slice(b",\"config_dir\":");
        escape::push_string(&mut line, directory.as_os_str().as_bytes(), PATH_LIMIT);
    }
    let tty = found.as_ref().and_then(|found| found.tty.as_deref());
    push_terminal(&mut line, tty, variable);
    line
}

fn push_number(line: &mut Vec<u8>, name: &str, number: u64) {
    // A vector takes all that is written.
    let _ = write!(line, ",\"{name}\":{number}");
}

/// Where the agent's terminal is, as far as anything says so.
fn push_terminal(
    line: &mut Vec<u8>,
    tty: Option<&str>,
    variable: impl Fn(&str) -> Option<OsString>,
) {
    let mut before: &[u8] = b",\"terminal\":{\"";
    let mut push = |name: &str, value: &[u8]| {
        line.extend_from_slice(before);
        before = b",\"";
        line.extend_from_slice(name.as_bytes());
        line.extend_from_slice(b"\":");
        escape::push_string(line, value, TERMINAL_LIMIT);
    };
    if let Some(tty) = tty {
        push("tty", tty.as_bytes());
    }
    let mut any = tty.is_some();
    for (name, key) in TERMINAL {
        if let Some(value) = variable(key) {
            let mut value = value.as_bytes();
            if *name == "tmux" {
                // "socket,server pid,session" (tmux(1)): the socket is what a client needs.
                value = value.split(|&byte| byte == b',').next().unwrap_or(value);
            }
            push(name, value);
            any = true;
        }
    }
    if any {
        line.push(b'}');
    }
}

fn read_input(chunk: &mut Vec<u8>) -> io::Result<usize> {
    Ok(rustix::io::read(
        rustix::stdio::stdin(),
        spare_capacity(chunk),
    )?)
}

/// Reads the input to its end, so that the agent is never told of a broken pipe, and ends the line: with the event if it
/// was one whole JSON object, else without.
fn read_event(
    source: &HookSource,
    mut line: Vec<u8>,
    mut read: impl FnMut(&mut Vec<u8>) -> io::Result<usize>,
) -> Vec<u8> {
    const END: &[u8] = b"}}\n";
    let without_event = line.len();
    line.extend_from_slice(b",\"event\":");
    let mut scanner = Scanner::new(source.fields, line, LINE_LIMIT - 1 - END.len());
    // Not zeroed: that would touch every page of it, a tenth of the whole run.
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        chunk.clear();
        match read(&mut chunk) {
            Ok(0) => break,
            Ok(_) => scanner.feed(&chunk),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let (mut line, whole) = scanner.finish();
    if !whole {
        line.truncate(without_event);
    }
    line.extend_from_slice(END);
    line
}

/// What of an event's payload leaves the agent's process; `None` if it is not one whole JSON object.
#[cfg(test)]
pub(crate) fn filter(agent: &str, payload: &[u8]) -> Option<String> {
    let source = agents::hook_source(agent);
    let mut scanner = Scanner::new(source.fields, Vec::new(), LINE_LIMIT);
    scanner.feed(payload);
    let (kept, whole) = scanner.finish();
    let kept = String::from_utf8(kept).ok()?;
    whole.then_some(kept)
}

#[cfg(test)]
mod tests;
