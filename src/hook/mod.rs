//! The hook process, `acd hook [AGENT [EVENT]] [--socket PATH]`: an agent's event in, one line to the daemon out.
//!
//! Agents run it on each event and wait for it, so it is the first branch in a small program and costs little beyond exec:
//! system calls and `serde_json`, no thread, no runtime, no argument parser. It reads the event's JSON (`input`), keeps
//! the few fields that the agent's filter allows, adds what only this process knows (the time, the agent's process, its
//! terminal), writes one `session.report` and exits without waiting for an answer.
//!
//! Whatever happens, it exits 0 within 100 ms and prints nothing: an agent shows a hook's output to its model, takes an
//! exit status for a verdict, and waits meanwhile. Where that is too short, because the machine is busy, the daemon slow
//! or the event still being written, a copy of the process finishes the report, however late the rest comes (`deadline`): a lost event makes a
//! session's status wrong. Where the daemon is being restarted, a copy tries again for 2 s. Nothing of the environment leaves the process but the variables named here and in the
//! agent's table; nothing of the payload but the allowed fields. The daemon interprets the fields.

mod caller;
mod deadline;
pub(crate) mod input;
mod object;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::FileType;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::agents::{self, Agent, Text};
use crate::config::{self, DEFAULT_SOCKET, last_exit, variable};
use crate::os::peer::{self, ConnectError};
use crate::os::{clock, process};
use crate::protocol::{PATH_LIMIT, ReportParams, Terminal};
use input::Stdin;

/// Between two attempts of a copy to reach a daemon that may come back: the first pause, which doubles up to the longest.
/// Many copies must not keep the daemon from starting.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(80);

/// The longest terminal id that is kept, in bytes of JSON.
const TERMINAL_LIMIT: usize = 128;

/// The one line that goes to the daemon.
#[derive(Serialize)]
struct Request<'a> {
    jsonrpc: &'static str,
    method: &'static str,
    params: ReportParams<'a>,
}

/// Whether the command line is the hook's: `arguments` are those after the program's name. `hook --help` is not, since
/// help is for people and `hook` never prints.
#[must_use]
pub fn is_hook_command(arguments: &[OsString]) -> bool {
    let help = |argument: &OsString| argument == "--help" || argument == "-h";
    match arguments {
        [first, rest @ ..] => first == "hook" && !rest.iter().any(help),
        [] => false,
    }
}

/// Where the command line is the hook's: runs it and ends the process. It may run
/// before Rust's runtime does, since the hook needs none of it: no thread, no signal it would have to
/// ignore (a socket is written to without one), no standard descriptor that must be open.
pub extern "C" fn before_main() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if is_hook_command(&arguments) {
        let read = read_arguments(arguments.get(1..).unwrap_or_default());
        run(&read.agent, read.event.as_deref(), read.socket);
        deadline::exit_now();
    }
}

/// Reports the event on standard input to the daemon at `socket`, else wherever [`config::socket_path`] says. Of an
/// agent that is not in [`agents::ALL`] it reports nothing. `event` names the event, for agents whose payload does not.
/// The process that the agent started ends within 100 ms.
pub fn run(agent: &str, event: Option<&str>, socket: Option<&Path>) {
    let at = clock::unix_ms();
    // Before the timer: a copy of this process is init's child.
    let parent = parent_id();
    deadline::arm();
    let report = agents::find(agent).and_then(|agent| {
        // Before the input: the agent may be gone when that ends.
        let params = params(agent, parent, at)?;
        let payload = input::read_object(&mut Stdin);
        Some((params, agent.filter(payload.object(), event).ok()))
    });
    deadline::begin_send();
    if let Some((params, event)) = report {
        let line = line(params, event.as_deref());
        let socket = choose_socket(socket);
        if let Err(ConnectError::NoDaemon { .. }) = send(&line, &socket, deadline::SEND)
            && may_come_back(&socket)
        {
            deadline::continue_in_copy();
            let mut pause = FIRST_PAUSE;
            // Until the copy's time is over.
            while let Err(ConnectError::NoDaemon { .. }) = send(&line, &socket, deadline::SEND) {
                thread::sleep(pause);
                pause = LONGEST_PAUSE.min(2 * pause);
            }
        }
    }
    deadline::begin_rest();
    input::drain(&mut Stdin);
}

/// Reports an event that the caller has read, to the same daemon as [`run`] would; gives up after `timeout`.
pub fn report(agent: &Agent, socket: Option<&Path>, payload: &[u8], timeout: Duration) {
    if let Some(params) = params(agent, parent_id(), clock::unix_ms()) {
        let event = agent.filter(payload, None).ok();
        // No daemon, no report.
        let _ = send(
            &line(params, event.as_deref()),
            &choose_socket(socket),
            timeout,
        );
    }
}

/// Sends a line to the daemon, if one can be reached within `timeout`. A daemon that is leaving takes no more from this
/// connection, and is none. That one is too slow has no reader here: the agent must see no error.
fn send(line: &[u8], socket: &Path, timeout: Duration) -> Result<(), ConnectError> {
    let mut daemon = peer::connect(socket, timeout)?;
    match daemon.write_all(line) {
        Err(source)
            if matches!(
                source.kind(),
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
            ) =>
        {
            Err(ConnectError::NoDaemon {
                path: socket.to_owned(),
                source,
            })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether a daemon may listen at `socket` soon, though none does now: one has just left, or one was killed (its socket or
/// its lock is still there), or one is starting or leaving (it holds its lock). Where no daemon was, no process waits for
/// one.
fn may_come_back(socket: &Path) -> bool {
    let mut lock = socket.as_os_str().to_owned();
    lock.push(".lock");
    let is_own = |path: &Path, kind: FileType| {
        let found = rustix::fs::lstat(path);
        found.is_ok_and(|found| {
            found.st_uid == rustix::process::geteuid().as_raw()
                && FileType::from_raw_mode(found.st_mode) == kind
        })
    };
    is_own(socket, FileType::Socket)
        || is_own(Path::new(&lock), FileType::RegularFile)
        || last_exit::is_recent()
}

/// What the words after `hook` say.
#[derive(Debug, PartialEq)]
struct Arguments<'a> {
    agent: String,
    event: Option<String>,
    socket: Option<&'a Path>,
}

/// Reads the words after `hook`. Unknown words are ignored, because a line in an agent's settings outlives
/// the version that wrote it.
fn read_arguments(arguments: &[OsString]) -> Arguments<'_> {
    let mut agent = None;
    let mut event = None;
    let mut socket = None;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let bytes = argument.as_bytes();
        if bytes == b"--socket" {
            socket = arguments.next().map(Path::new);
        } else if let Some(path) = bytes.strip_prefix(b"--socket=") {
            socket = Some(Path::new(OsStr::from_bytes(path)));
        } else if !bytes.starts_with(b"-") {
            let word = if agent.is_none() {
                &mut agent
            } else {
                &mut event
            };
            word.get_or_insert_with(|| argument.to_string_lossy().into_owned());
        }
    }
    Arguments {
        agent: agent.unwrap_or_else(|| agents::DEFAULT.name.to_owned()),
        event,
        socket,
    }
}

/// A broken choice counts as none: the default is where a daemon most likely listens.
fn choose_socket(flag: Option<&Path>) -> PathBuf {
    config::client_socket(flag).map_or_else(|_| PathBuf::from(DEFAULT_SOCKET), |choice| choice.path)
}

/// All that this process, a child of `parent`, knows without the event; `None` if it is not the agent that runs it.
fn params(agent: &Agent, parent: u32, at: u64) -> Option<ReportParams<'static>> {
    let config_dir = agents::config_dir(agent.config_dir, variable);
    let pid = caller::agent_pid(agent, config_dir.as_deref(), parent)?;
    Some(params_of(agent, pid, config_dir, at))
}

fn params_of(
    agent: &Agent,
    pid: u32,
    config_dir: Option<PathBuf>,
    at: u64,
) -> ReportParams<'static> {
    let shared = agent.hook.is_shared;
    let is_shared = shared.is_some_and(|is_shared| is_shared(&process::first_arguments(pid)));
    let params = params_of_process(agent.name, pid, at);
    ReportParams {
        attended: attended(agent, pid),
        shared: is_shared.then_some(true),
        terminal: params.terminal.filter(|_| !is_shared),
        config_dir: config_dir.map(|directory| path_text(directory.as_os_str())),
        ..params
    }
}

/// What this process knows of the process of an agent of this name, and of the terminal that both are in.
pub(crate) fn params_of_process(agent: &str, pid: u32, at: u64) -> ReportParams<'static> {
    let found = process::inspect(pid).ok();
    let tty = found.as_ref().and_then(|found| found.tty.as_deref());
    ReportParams {
        agent: agent.to_owned().into(),
        at,
        pid: Some(pid),
        process_start: found.as_ref().map(|found| found.id.start),
        pid_namespace: process::namespace(),
        attended: None,
        shared: None,
        terminal: Some(terminal(tty, variable))
            .filter(|terminal| *terminal != Terminal::default())
            .map(Box::new),
        config_dir: None,
        event: None,
    }
}

/// Whether a person sits at the agent's session; `None`: not known.
fn attended(agent: &Agent, pid: u32) -> Option<bool> {
    if let Some(is_attended) = agent.hook.is_attended {
        let is_on_terminal = process::is_on_terminal(pid).unwrap_or(true);
        let arguments = process::first_arguments(pid);
        return Some(is_attended(&variable, &arguments, is_on_terminal));
    }
    let value = agent.hook.attended_variable.and_then(variable)?;
    match value.as_bytes() {
        b"1" => Some(true),
        b"0" => Some(false),
        _ => None,
    }
}

/// A path, cut at [`PATH_LIMIT`] bytes of JSON.
fn path_text(path: &OsStr) -> Cow<'static, str> {
    let text = Text::<PATH_LIMIT>::from_bytes(path.as_bytes());
    String::from(text.into_inner()).into()
}

fn line<'a>(params: ReportParams<'a>, event: Option<&'a RawValue>) -> Vec<u8> {
    let request = Request {
        jsonrpc: "2.0",
        method: "session.report",
        params: ReportParams { event, ..params },
    };
    // Keys are texts and every value can be written: it never fails.
    let mut line = serde_json::to_vec(&request).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Where the agent's terminal is, by the variables with which a terminal or multiplexer names a place. No other
/// variables leave the process but the agent's own.
pub(crate) fn terminal(tty: Option<&str>, variable: impl Fn(&str) -> Option<OsString>) -> Terminal {
    let cut = |bytes: &[u8]| Text::<TERMINAL_LIMIT>::from_bytes(bytes).into_inner();
    let read = |name| variable(name).map(|value| cut(value.as_bytes()));
    // "socket,server pid,session" (tmux(1)). The path may contain commas.
    let tmux = variable("TMUX");
    let mut tmux = tmux
        .as_ref()
        .map(|tmux| tmux.as_bytes().rsplitn(3, |&byte| byte == b','));
    let tmux_pid = tmux.as_mut().and_then(|parts| parts.nth(1));
    let tmux_socket = tmux.as_mut().and_then(Iterator::next);
    let screen_session = read("STY");
    Terminal {
        tty: tty.map(|tty| cut(tty.as_bytes())),
        term_program: read("TERM_PROGRAM"),
        tmux: tmux_socket.map(cut),
        tmux_pid: tmux_pid.and_then(|pid| str::from_utf8(pid).ok()?.parse().ok()),
        tmux_pane: read("TMUX_PANE"),
        // Any program may set a variable of this name.
        screen_window: read("WINDOW").filter(|_| screen_session.is_some()),
        screen_session,
        zellij_session: read("ZELLIJ_SESSION_NAME"),
        zellij_pane: read("ZELLIJ_PANE_ID"),
        wezterm_pane: read("WEZTERM_PANE"),
        wezterm_socket: read("WEZTERM_UNIX_SOCKET"),
        kitty_window: read("KITTY_WINDOW_ID"),
        kitty_listen_on: read("KITTY_LISTEN_ON"),
        iterm_session: read("ITERM_SESSION_ID"),
    }
}

#[cfg(test)]
mod tests;
