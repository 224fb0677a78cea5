//! A notification that is held by a process of its own, until it is closed: this process is started when a person presses
//! the action.
//!
//! The process lives longer than the child that the daemon waits for, which passes on the notification's id.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::dbus::{Event, Server};
use super::{Action, Notification};
use crate::config::variable;
use crate::format;
use crate::os::process_environment::ProcessEnvironment;
use crate::os::{command, program};
use crate::reminders::{Cause, NotificationId};

/// What names the display of the person who has pressed the action.
const DISPLAY: [&str; 6] = [
    "DISPLAY",
    "XAUTHORITY",
    "WAYLAND_DISPLAY",
    "SWAYSOCK",
    "HYPRLAND_INSTANCE_SIGNATURE",
    "XDG_RUNTIME_DIR",
];

/// How long `go` may take.
const GO_LIMIT: Duration = Duration::from_secs(30);

/// Starts a process that shows the notification and holds it. `bus`: the session bus's address; `socket`: the daemon's.
///
/// # Errors
///
/// Why nothing is shown.
pub(super) fn start(
    notification: &Notification,
    bus: &str,
    socket: &Path,
) -> Result<NotificationId, String> {
    let started = || -> io::Result<String> {
        let mut child = Command::new(program::client()?)
            .arg0("agent-console")
            .arg("--socket")
            .arg(socket)
            .args(["notify", "--hold"])
            .env("DBUS_SESSION_BUS_ADDRESS", bus)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // The daemon ends what is left of its child's group.
            .process_group(0)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&serde_json::to_vec(notification)?)?;
        }
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(line)
    };
    let line = started().map_err(|error| format!("a notification cannot be held: {error}"))?;
    let answer = serde_json::from_str(&line);
    answer.unwrap_or_else(|_| Err("the process that holds a notification has ended".to_owned()))
}

/// Shows the notification that is on standard input, prints its id or why there is none as a line of JSON, and holds it.
pub(crate) fn hold(socket: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let notification: Notification = serde_json::from_reader(io::stdin().lock())?;
    let shown = Server::find_by(variable).and_then(|server| {
        server.listen()?;
        let id = server.show(&notification)?;
        Ok((server, id))
    });
    let id = shown.as_ref().map(|(_, id)| id).map_err(String::as_str);
    format::json(out, &id)?;
    out.flush()?;
    let (Ok((mut server, id)), Some(action)) = (shown, &notification.action) else {
        return Ok(());
    };
    if server.take_over(id).is_err() || !server.has_actions() {
        return Ok(());
    }
    if server.next_event(id) == Event::Pressed
        && let Err(why) = go(action, socket, server.environment())
    {
        // A person has pressed, and nothing has come to the front.
        let _ = server.show(&Notification {
            // It goes by itself.
            cause: Cause::Finished,
            summary: "There is no way to this session's terminal".to_owned(),
            body: why,
            action: None,
            replaces: None,
        });
    }
    Ok(())
}

/// Runs `agent-console go` for the person at the display.
fn go(action: &Action, socket: &Path, display: Option<&ProcessEnvironment>) -> Result<(), String> {
    let program = program::client().map_err(|error| error.to_string())?;
    let mut child = Command::new(program);
    child
        .arg0("agent-console")
        .arg("--socket")
        .arg(socket)
        .arg("go");
    if let Action::Go(session) = action {
        child.arg("--").arg(session);
    }
    for name in DISPLAY {
        if let Some(value) = display.and_then(|display| display.variable(name)) {
            child.env(name, value);
        }
    }
    // Without these it asks from no terminal.
    child.env_remove("TMUX").env_remove("TMUX_PANE");
    let output = command::output(&mut child, GO_LIMIT).map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let why = text
        .lines()
        .last()
        .unwrap_or("`agent-console go` has failed");
    Err(format::sanitize(why.trim_start_matches("agent-console: ")))
}
