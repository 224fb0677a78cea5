//! tmux: a pane, confirmed by its server at this moment.
//!
//! `$TMUX` and `$TMUX_PANE` are inherited: by a program in a terminal of its own, and beyond the end of the server. So the
//! server must have the process id that `$TMUX` had, and the pane the terminal that is the agent's.

pub(super) mod server;
mod view;
mod window;

pub(super) use self::server::{Client, Server};
pub(super) use self::view::{is_shown_to_others, places};
pub(crate) use self::window::open as open_window;

use super::asker::Seat;
use super::frame::Frame;
use super::{Proof, Prover, is_plain};
use crate::os::process;
use crate::os::process_environment::listening_sockets;

/// A confirmed pane.
#[derive(Debug)]
pub(super) struct Pane {
    /// The server's socket.
    socket: String,
    /// `%3`
    id: String,
    server: Server,
    /// The clients of the sessions that have the pane, the one that was used last first.
    viewers: Vec<Viewer>,
}

/// A client that could show the pane, and where its own terminal is.
#[derive(Debug)]
struct Viewer {
    client: Client,
    place: Result<Proof, String>,
}

/// Whether the frame is in a pane; `None` where nothing says so.
pub(super) fn prove(frame: &Frame, prover: &Prover<'_>) -> Option<Result<Proof, String>> {
    let (socket, pid) = claimed_server(frame)?;
    let confirmed = is_socket(&socket)
        .and_then(|()| prover.tmux(&socket))
        .and_then(|server| {
            let id = confirm(frame, pid, &server)?;
            let viewers = viewers(&server, &id, prover);
            Ok(Proof::Tmux(Pane {
                socket,
                id,
                server,
                viewers,
            }))
        });
    Some(confirmed)
}

/// Whether a client shows the pane, or a dashboard in the pane's session, to a person who looks at its terminal.
pub(super) fn is_in_front(pane: &Pane) -> bool {
    pane.viewers.iter().any(|viewer| {
        let client = &viewer.client;
        let mut current = pane.server.panes.iter();
        let shows = current.any(|other| {
            let is_there = other.session == client.session && other.is_current;
            is_there && (other.id == pane.id || other.is_dashboard)
        });
        let around = viewer.place.as_ref().ok().and_then(Proof::is_in_front);
        shows && !client.is_away && around != Some(false)
    })
}

/// Asks a server; for [`Prover::tmux`], which asks each once.
pub(super) fn ask(socket: &str) -> Result<Server, String> {
    Server::ask(socket)
}

/// The server in which a process is that asks, and its client there.
pub(super) fn seat(frame: &Frame, prover: &Prover<'_>) -> Option<Seat> {
    let (socket, _) = claimed_server(frame)?;
    is_socket(&socket).ok()?;
    let server = prover.tmux(&socket).ok()?;
    let pid = server.pid?;
    let has_tty = |tty: &String| server.panes.iter().any(|pane| pane.tty == *tty);
    let is_in_pane = frame.tty.as_ref().is_some_and(has_tty);
    // A popup has a terminal of its own, a key binding's command has none: the server has started both.
    if !is_in_pane && !frame.is_owned_by(pid) {
        return None;
    }
    let client = view::asking_client(&server, frame.tty.as_deref(), frame.tmux_session.as_deref());
    let client = client.cloned();
    Some(Seat {
        server: pid,
        socket,
        client,
    })
}

/// The server's socket and process id as `$TMUX` had them, or those of the server that owns the terminal.
fn claimed_server(frame: &Frame) -> Option<(String, Option<u32>)> {
    if let Some(socket) = frame.claims.tmux.as_deref() {
        return Some((socket.to_owned(), frame.claims.tmux_pid));
    }
    if frame.claims.tmux_pane.is_some() && frame.ancestors.is_empty() {
        return Some((String::new(), None));
    }
    let owner = frame.owners().first()?.pid;
    if !process::name(owner)?.starts_with("tmux") {
        return None;
    }
    let socket = listening_sockets(owner).pop()?;
    Some((socket.to_str()?.to_owned(), Some(owner)))
}

fn is_socket(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("it is not known which tmux server has this pane".to_owned());
    }
    if !path.starts_with('/') || !is_plain(path) {
        return Err(format!("{path} is not the socket of a tmux server"));
    }
    Ok(())
}

/// The pane with the frame's terminal, if the server is the one that the environment named.
fn confirm(frame: &Frame, pid: Option<u32>, server: &Server) -> Result<String, String> {
    if pid.is_some() && pid != server.pid {
        return Err(
            "the tmux server of this pane is gone; another one is at its socket".to_owned(),
        );
    }
    let claimed = frame.claims.tmux_pane.as_deref();
    let Some(tty) = frame.tty.as_deref() else {
        let pane = claimed.unwrap_or("the pane");
        return Err(format!(
            "the session's terminal is not known, so tmux pane {pane} may be another's"
        ));
    };
    let Some(claimed) = claimed else {
        let found = server.panes.iter().find(|pane| pane.tty == tty);
        let found = found.map(|pane| pane.id.clone());
        return found.ok_or_else(|| format!("tmux has no pane with {tty}"));
    };
    let number = claimed.strip_prefix('%').unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(format!("{claimed} is not a tmux pane"));
    }
    match server.panes(claimed).next() {
        None => Err(format!("tmux has no pane {claimed}")),
        Some(found) if found.tty == tty => Ok(claimed.to_owned()),
        Some(found) => Err(format!(
            "tmux pane {claimed} is {}, and the session runs in {tty}",
            found.tty
        )),
    }
}

/// The clients that could show the pane.
fn viewers(server: &Server, pane: &str, prover: &Prover<'_>) -> Vec<Viewer> {
    // The asking client is moved, wherever its terminal is.
    if server.pid.is_some_and(|pid| prover.asker.is_in_tmux(pid)) {
        return Vec::new();
    }
    let has_pane = |client: &&Client| server.panes(pane).any(|it| it.session == client.session);
    let mut clients: Vec<_> = server.clients.iter().filter(has_pane).collect();
    clients.sort_by_key(|client| std::cmp::Reverse(client.activity));
    let viewers = clients.into_iter().map(|client| Viewer {
        place: prover.prove_process(client.pid),
        client: client.clone(),
    });
    viewers.collect()
}

#[cfg(test)]
mod tests;
