//! What a tmux server has: its panes and clients, asked for at this moment. Where none runs, none is started.

use std::process::Command;
use std::time::Duration;

use crate::os::command;

/// How long the server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A pane in a session; one that several sessions show is several of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::reach) struct Pane {
    pub(super) session: String,
    pub(super) window: String,
    pub(super) id: String,
    /// How many clients show the session.
    pub(super) clients: u32,
    /// It is the active pane of the session's current window.
    pub(super) is_current: bool,
    pub(super) tty: String,
    /// A dashboard runs in it.
    pub(super) is_dashboard: bool,
}

/// A terminal that shows a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::reach) struct Client {
    pub(super) pid: u32,
    pub(super) session: String,
    /// When it was last used, in seconds since the epoch.
    pub(super) activity: u64,
    /// The session is one that `go` has made.
    pub(super) is_in_view: bool,
    /// Its terminal has said that a person looks at another one.
    pub(super) is_away: bool,
    pub(super) tty: String,
}

impl Client {
    /// Its process id.
    pub(in crate::reach) fn pid(&self) -> u32 {
        self.pid
    }
}

/// What a server has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::reach) struct Server {
    pub(super) pid: Option<u32>,
    pub(super) panes: Vec<Pane>,
    pub(super) clients: Vec<Client>,
}

impl Server {
    /// Asks the server at this socket.
    pub(super) fn ask(socket: &str) -> Result<Self, String> {
        const PANES: &str = "pane #{pid} #{session_id} #{window_id} #{pane_id} #{session_attached} \
                             #{window_active}#{pane_active} #{pane_tty} \
                             #{?#{==:#{pane_current_command},agent-console},dashboard,other}";
        const CLIENTS: &str = "client #{client_pid} #{session_id} #{client_activity} \
                               #{?#{m:go-*,#{session_name}},view,session} \
                               #{?#{||:#{==:#{client_flags},},#{m:*focused*,#{client_flags}}},focused,away} #{client_tty}";
        let mut tmux = Command::new("tmux");
        tmux.args(["-S", socket, "list-panes", "-a", "-F", PANES, ";"])
            .args(["list-clients", "-F", CLIENTS])
            .env_remove("TMUX");
        let output = command::output(&mut tmux, TIMEOUT)
            .map_err(|error| format!("tmux cannot be asked for this pane: {error}"))?;
        if !output.status.success() {
            return Err("the tmux server of this pane is gone".to_owned());
        }
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    pub(super) fn parse(text: &str) -> Self {
        let mut server = Self::default();
        for line in text.lines() {
            let fields: Vec<_> = line.split(' ').collect();
            match fields[..] {
                ["pane", pid, session, window, id, clients, active, tty, kind] => {
                    server.pid = pid.parse().ok();
                    server.panes.push(Pane {
                        session: session.to_owned(),
                        window: window.to_owned(),
                        id: id.to_owned(),
                        clients: clients.parse().unwrap_or(1),
                        is_current: active == "11",
                        tty: tty.to_owned(),
                        is_dashboard: kind == "dashboard",
                    });
                }
                // A client in control mode may have no terminal, and then no name.
                ["client", pid, session, activity, kind, focus, tty] if !tty.is_empty() => {
                    server.clients.push(Client {
                        pid: pid.parse().unwrap_or(0),
                        session: session.to_owned(),
                        activity: activity.parse().unwrap_or(0),
                        is_in_view: kind == "view",
                        is_away: focus == "away",
                        tty: tty.to_owned(),
                    });
                }
                _ => {}
            }
        }
        server
    }

    /// The pane in each session that has it.
    pub(super) fn panes<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Pane> {
        self.panes.iter().filter(move |pane| pane.id == id)
    }

    /// Whether the client shows the pane, active in the current window.
    pub(super) fn shows(&self, client: &Client, pane: &str) -> bool {
        let mut panes = self.panes(pane);
        panes.any(|pane| pane.session == client.session && pane.is_current)
    }
}
