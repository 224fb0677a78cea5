//! The command that shows a session's tmux pane, confirmed by the tmux server at this moment.
//!
//! `$TMUX` and `$TMUX_PANE` are inherited: by a program in a terminal of its own, and beyond the end of the server. So the
//! server must have the process id that `$TMUX` had, and the pane the terminal that is the agent's.
//!
//! A command names the client that asks and the session that it shows, because tmux takes whichever was used last when
//! the command runs. Another client is never moved: where every session with the pane is shown by another client, the
//! command makes a session in the same group, which has a current window of its own and ends with its client.

use std::process::Command;
use std::time::Duration;

use super::is_plain;
use crate::config::variable;
use crate::os::command;
use crate::protocol::Terminal;

/// How long the server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The tmux that this process runs in, by its environment.
#[derive(Debug, Default)]
pub(super) struct Here {
    /// The server's socket.
    socket: Option<String>,
    /// The id of the session that this process's pane was made in: `$3`.
    session: Option<String>,
    /// This process's pane: `%5`.
    pane: Option<String>,
    /// This process's id, which makes a session's name unique.
    pid: u32,
}

impl Here {
    pub(super) fn detect() -> Self {
        let read = |name| variable(name)?.into_string().ok();
        Self::new(read("TMUX").as_deref(), read("TMUX_PANE"))
    }

    /// `$TMUX` is the server's socket, its process id and the number of a session.
    fn new(tmux: Option<&str>, pane: Option<String>) -> Self {
        let mut parts = tmux.into_iter().flat_map(|tmux| tmux.rsplitn(3, ','));
        let session = parts.next().map(|number| format!("${number}"));
        Self {
            session,
            socket: parts.nth(1).map(str::to_owned),
            pane,
            pid: std::process::id(),
        }
    }
}

/// A pane in a session; one that several sessions show is several of these.
#[derive(Debug, PartialEq, Eq)]
struct Pane {
    session: String,
    window: String,
    id: String,
    /// How many clients show the session.
    clients: u32,
    tty: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Client {
    session: String,
    /// When it was last used, in seconds since the epoch.
    activity: u64,
    tty: String,
}

/// What a server has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Server {
    pid: Option<u32>,
    panes: Vec<Pane>,
    clients: Vec<Client>,
}

/// The command's words, or why there is none.
pub(super) fn way(terminal: &Terminal, here: &Here) -> Result<Vec<String>, String> {
    let pane = terminal.tmux_pane.as_deref().unwrap_or_default();
    let number = pane.strip_prefix('%').unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(format!("{pane} is not a tmux pane"));
    }
    let Some(socket) = terminal.tmux.as_deref() else {
        return Err("it is not known which tmux server has this pane".to_owned());
    };
    if !socket.starts_with('/') || !is_plain(socket) {
        return Err(format!("{socket} is not the socket of a tmux server"));
    }
    let server = ask(socket)?;
    confirm(terminal, pane, &server)?;
    words(socket, pane, here, &server)
}

/// Asks the server at this socket. Where none runs, none is started.
fn ask(socket: &str) -> Result<Server, String> {
    const PANES: &str =
        "pane #{pid} #{session_id} #{window_id} #{pane_id} #{session_attached} #{pane_tty}";
    const CLIENTS: &str = "client #{session_id} #{client_activity} #{client_tty}";
    let mut tmux = Command::new("tmux");
    tmux.args(["-S", socket, "list-panes", "-a", "-F", PANES, ";"])
        .args(["list-clients", "-F", CLIENTS])
        .env_remove("TMUX");
    let output = command::output(&mut tmux, TIMEOUT)
        .map_err(|error| format!("tmux cannot be asked for this pane: {error}"))?;
    if !output.status.success() {
        return Err("the tmux server of this pane is gone".to_owned());
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(text: &str) -> Server {
    let mut server = Server::default();
    for line in text.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        match fields[..] {
            ["pane", pid, session, window, id, clients, tty] => {
                server.pid = pid.parse().ok();
                server.panes.push(Pane {
                    session: session.to_owned(),
                    window: window.to_owned(),
                    id: id.to_owned(),
                    clients: clients.parse().unwrap_or(1),
                    tty: tty.to_owned(),
                });
            }
            ["client", session, activity, tty] => server.clients.push(Client {
                session: session.to_owned(),
                activity: activity.parse().unwrap_or(0),
                tty: tty.to_owned(),
            }),
            _ => {}
        }
    }
    server
}

/// Whether the server is the one that the session's environment named, and the pane has the session's terminal.
fn confirm(terminal: &Terminal, pane: &str, server: &Server) -> Result<(), String> {
    if terminal.tmux_pid.is_some() && terminal.tmux_pid != server.pid {
        return Err(
            "the tmux server of this pane is gone; another one is at its socket".to_owned(),
        );
    }
    let Some(found) = server.panes.iter().find(|found| found.id == pane) else {
        return Err(format!("tmux has no pane {pane}"));
    };
    match terminal.tty.as_deref() {
        Some(tty) if tty == found.tty => Ok(()),
        Some(tty) => Err(format!(
            "tmux pane {pane} is {}, and the session runs in {tty}",
            found.tty
        )),
        None => Err(format!(
            "the session's terminal is not known, so tmux pane {pane} may be another's"
        )),
    }
}

/// The command for a confirmed pane.
fn words(socket: &str, pane: &str, here: &Here, server: &Server) -> Result<Vec<String>, String> {
    let panes = || server.panes.iter().filter(|found| found.id == pane);
    let shown_by_none = panes().find(|pane| pane.clients == 0);
    let is_here = here.socket.as_deref() == Some(socket);
    let client = is_here.then(|| asking_client(here, server)).flatten();
    let in_own_session =
        client.and_then(|client| panes().find(|pane| pane.session == client.session));
    let Some(target) = in_own_session.or(shown_by_none).or_else(|| panes().next()) else {
        return Err(format!("tmux has no pane {pane}"));
    };
    let needs_view = in_own_session.is_none() && shown_by_none.is_none();
    let view = format!("go-{}-{}", pane.trim_start_matches('%'), here.pid);
    let session = if needs_view { &view } else { &target.session };
    let place = format!("{session}:{}.{pane}", target.window);
    let end_with_client = ["set-option", "-t", &view, "destroy-unattached", "on"];
    let client = client.map(|client| client.tty.as_str());
    let by_client = client.map_or(vec![], |client| vec!["-c", client]);
    let commands = match (is_here, needs_view) {
        (true, false) => vec![[&["switch-client"], &by_client[..], &["-t", &place]].concat()],
        (true, true) => vec![
            vec!["new-session", "-d", "-t", &target.session, "-s", &view],
            [&["switch-client"], &by_client[..], &["-t", &place]].concat(),
            end_with_client.to_vec(),
        ],
        (false, false) => vec![vec!["attach-session", "-t", &place]],
        (false, true) => vec![
            vec!["new-session", "-t", &target.session, "-s", &view],
            vec!["select-window", "-t", &place],
            vec!["select-pane", "-t", &place],
            end_with_client.to_vec(),
        ],
    };
    // tmux attaches inside another tmux only if it does not see that (tmux(1)).
    let is_nested = !is_here && here.socket.is_some();
    let prefix: &[&str] = if is_nested {
        &["env", "-u", "TMUX"]
    } else {
        &[]
    };
    let words = [prefix, &["tmux", "-S", socket], &commands.join(&";")[..]].concat();
    Ok(words.into_iter().map(str::to_owned).collect())
}

/// The client that shows this process's pane; of several, the one that was used last.
fn asking_client<'s>(here: &Here, server: &'s Server) -> Option<&'s Client> {
    let own = server
        .panes
        .iter()
        .filter(|pane| Some(&pane.id) == here.pane.as_ref());
    let own: Vec<_> = own.map(|pane| &pane.session).collect();
    let shows = |client: &&Client| {
        if own.is_empty() {
            Some(&client.session) == here.session.as_ref()
        } else {
            own.contains(&&client.session)
        }
    };
    // A client in control mode may have no terminal, and then no name.
    let clients = server
        .clients
        .iter()
        .filter(|client| !client.tty.is_empty());
    let by_use = |client: &&Client| {
        let is_own_session = Some(&client.session) == here.session.as_ref();
        (client.activity, is_own_session)
    };
    clients.filter(shows).max_by_key(by_use)
}

#[cfg(test)]
mod tests;
