//! A session of the daemon's in a pane of a real tmux, whose clients' terminals are panes of another one. For `next` and
//! `go`.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Place, Sleeper, program, until};

/// A tmux server of a test's own, on a socket of this path, which ends with the test.
pub(crate) struct Tmux(pub(crate) String);

impl Tmux {
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().into()
    }

    pub(crate) fn try_run(&self, arguments: &[&str]) -> Output {
        Command::new("tmux")
            .args(["-S", &self.0, "-f", "/dev/null"])
            .args(arguments)
            .env("TERM", "xterm")
            .env("PS1", "$ ")
            .env_remove("TMUX")
            .output()
            .expect("tmux(1)")
    }

    /// What each client shows: its terminal, session, window and pane.
    pub(crate) fn clients(&self) -> Vec<Shown> {
        let format = "#{client_tty} #{session_name} #{window_id} #{pane_id}";
        let output = self.try_run(&["list-clients", "-F", format]);
        let text = String::from_utf8(output.stdout).unwrap();
        let clients = text.lines().map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let mut next = || words.next().unwrap();
            Shown {
                tty: next(),
                session: next(),
                window: next(),
                pane: next(),
            }
        });
        clients.collect()
    }

    /// What the client on this terminal shows.
    #[track_caller]
    pub(crate) fn client(&self, tty: &str) -> Shown {
        let found = self.clients().into_iter().find(|client| client.tty == tty);
        found.unwrap_or_else(|| panic!("no client on {tty}"))
    }

    /// Starts a client of `session` of another server, in a window of this one; its terminal.
    #[track_caller]
    pub(crate) fn attach(&self, inner: &Self, session: &str) -> String {
        let socket = inner.0.replace('\'', r"'\''");
        let attach = format!("env -u TMUX TERM=xterm tmux -S '{socket}' attach -t {session}");
        let tty = self.window(&attach);
        until("the client", || {
            let mut clients = inner.clients().into_iter();
            clients.find(|client| client.tty == tty)
        });
        tty
    }

    /// Starts a command in a window of its own; its terminal.
    #[track_caller]
    pub(crate) fn window(&self, command: &str) -> String {
        let first = !self.try_run(&["has-session", "-t", "w"]).status.success();
        let new: &[&str] = if first {
            &["new-session", "-d", "-s", "w", "-x", "80", "-y", "24"]
        } else {
            &["new-window", "-d", "-t", "w:"]
        };
        self.run(&[new, &["-P", "-F", "#{pane_tty}", command]].concat())
    }

    /// The pane with this terminal.
    #[track_caller]
    pub(crate) fn pane_with(&self, tty: &str) -> String {
        let panes = self.run(&["list-panes", "-a", "-F", "#{pane_tty} #{pane_id}"]);
        let mut panes = panes.lines().map(|pane| pane.split_once(' ').unwrap());
        let (_, pane) = panes.find(|(found, _)| *found == tty).expect(tty);
        pane.to_owned()
    }

    /// Types a line in the pane with this terminal.
    #[track_caller]
    pub(crate) fn type_line(&self, tty: &str, line: &str) {
        let pane = self.pane_with(tty);
        self.run(&["send-keys", "-l", "-t", &pane, line]);
        self.run(&["send-keys", "-t", &pane, "Enter"]);
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.try_run(&["kill-server"]);
    }
}

/// What a client shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) tty: String,
    pub(crate) session: String,
    pub(crate) window: String,
    pub(crate) pane: String,
}

/// A session of the daemon's in a pane of a real tmux.
pub(crate) struct InTmux {
    pub(crate) tmux: Tmux,
    /// Another tmux, whose panes are the terminals of the first one's clients.
    pub(crate) outer: Tmux,
    agent: Sleeper,
    pub(crate) pane: String,
    /// The last field: both servers have their sockets there.
    pub(crate) place: Place,
}

impl InTmux {
    /// `work` has two windows: a shell, and the agent's pane. `desk` has a shell.
    pub(crate) fn new(place: Place) -> Self {
        // A path that a shell would take for three words.
        let tmux = Tmux(format!("{}/it's a socket", place.path().display()));
        let new = ["new-session", "-d", "-x", "80", "-y", "24", "-s"];
        tmux.run(&[&new[..], &["work", "sh"]].concat());
        let window = ["new-window", "-d", "-t", "work", "-P", "-F"];
        let pane = tmux.run(&[&window[..], &["#{pane_id}", "sleep 600"]].concat());
        tmux.run(&[&new[..], &["desk", "sh"]].concat());
        Self {
            outer: Tmux(format!("{}/outer", place.path().display())),
            tmux,
            agent: Sleeper::start(),
            pane,
            place,
        }
    }

    pub(crate) fn display(&self, target: &str, format: &str) -> String {
        self.tmux
            .run(&["display-message", "-p", "-t", target, format])
    }

    /// The terminal that a hook in the pane would send.
    pub(crate) fn terminal(&self) -> Value {
        self.terminal_of(&self.pane)
    }

    /// The same for another pane.
    pub(crate) fn terminal_of(&self, target: &str) -> Value {
        let pid: u32 = self.display(target, "#{pid}").parse().unwrap();
        json!({"tmux": self.tmux.0, "tmux_pid": pid, "tmux_pane": self.display(target, "#{pane_id}"),
            "tty": self.display(target, "#{pane_tty}")})
    }

    pub(crate) fn report(&self, terminal: &Value) {
        let event = json!({"hook_event_name": "PermissionRequest", "session_id": "s",
            "tool_name": "Bash", "tool_input": {"command": "ls"}});
        self.report_event(terminal, &event);
    }

    /// Reports an event of the agent in this terminal.
    pub(crate) fn report_event(&self, terminal: &Value, event: &Value) {
        let params = json!({"agent": "claude-code", "at": 1, "pid": self.agent.pid(), "attended": true,
            "terminal": terminal, "event": event});
        let answer = self.place.connect().ask("session.report", params);
        assert_eq!(answer["result"]["accepted"], true, "{answer}");
    }

    /// The program's command line for a shell in a pane, with this place's environment.
    pub(crate) fn command(&self, arguments: &str) -> String {
        format!(
            "HOME={}/home AGENT_CONSOLE_SOCKET={} {} {arguments}",
            self.place.path().display(),
            self.place.socket().display(),
            program().display()
        )
    }

    /// What the program prints, and its exit status, in the pane of this server with this terminal.
    #[track_caller]
    pub(crate) fn output_in(&self, tmux: &Tmux, tty: &str, arguments: &str) -> (String, String) {
        let directory = tempfile::tempdir_in(self.place.path()).unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let (out, status) = (path("out"), path("status"));
        let command = self.command(arguments);
        tmux.type_line(tty, &format!("{command} >{out} 2>&1; echo $? >{status}"));
        let status = until("the program's end", || {
            let text = fs::read_to_string(&status).ok()?;
            text.ends_with('\n').then(|| text.trim().to_owned())
        });
        (fs::read_to_string(&out).unwrap(), status)
    }

    /// The terminal of the only pane of a session.
    pub(crate) fn tty_of(&self, target: &str) -> String {
        self.display(target, "#{pane_tty}")
    }
}
