//! `next`: who has needed a person for longest, and the way there, tried in a real tmux.

use std::process::Command;

use serde_json::json;

use crate::support::{Place, Sleeper, until};

/// A line's name and value.
fn row(line: &str) -> (&str, &str) {
    let (name, value) = line.split_once("  ").expect(line);
    (name, value.trim_start())
}

#[test]
fn the_session_that_has_waited_longest_is_next() {
    let place = Place::new();
    let _daemon = place.daemon();
    for arguments in [&["next"][..], &["next", "--json"]] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty());
        assert_eq!(output.stderr, b"agent-console: no session needs you\n");
    }
    place.ok(&[
        "report",
        "first",
        "waiting",
        "--waiting-for",
        "answer",
        "--reason",
        "which?",
    ]);
    let first = place.json(&["get", "first", "--json"]);
    until("the clock to move on", || {
        place.ok(&["report", "second", "error"]);
        let second = place.json(&["get", "second", "--json"]);
        place.ok(&["remove", "second"]);
        (second["since"].as_u64() > first["since"].as_u64()).then_some(())
    });
    place.ok(&["report", "second", "error"]);
    place.ok(&["report", "works", "working"]);
    assert_eq!(place.json(&["next", "--json"]), first);
    let next = place.ok(&["next"]);
    let rows: Vec<_> = next.lines().map(row).collect();
    assert_eq!(rows[0], ("key", "first"));
    assert!(rows[1].1.starts_with("waiting: answer for "), "{next}");
    assert_eq!(rows[2..], [("reason", "which?")]);
    place.ok(&["report", "first", "working"]);
    assert_eq!(place.json(&["next", "--json"])["key"], "second");
}

/// A tmux server of a test's own, on a socket of this path, which ends with the test.
struct Tmux(String);

impl Tmux {
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().into()
    }

    fn try_run(&self, arguments: &[&str]) -> std::process::Output {
        Command::new("tmux")
            .args(["-S", &self.0, "-f", "/dev/null"])
            .args(arguments)
            .env("TERM", "xterm")
            .env_remove("TMUX")
            .output()
            .expect("tmux(1)")
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.try_run(&["kill-server"]);
    }
}

/// A session of the daemon's in a pane of a real tmux.
struct InTmux {
    tmux: Tmux,
    /// Another tmux, whose panes are the terminals of the first one's clients.
    outer: Tmux,
    agent: Sleeper,
    pane: String,
    /// The last field: both servers have their sockets there.
    place: Place,
}

impl InTmux {
    /// `work` has two windows, and the agent's pane is in the second; `desk` has a shell.
    fn new(place: Place) -> Self {
        // A path that a shell would take for three words.
        let tmux = Tmux(format!("{}/it's a socket", place.path().display()));
        tmux.run(&["new-session", "-d", "-s", "work", "sleep 600"]);
        let new = ["new-window", "-d", "-t", "work", "-P", "-F"];
        let pane = tmux.run(&[&new[..], &["#{pane_id}", "sleep 600"]].concat());
        tmux.run(&["new-session", "-d", "-s", "desk", "sh"]);
        Self {
            outer: Tmux(format!("{}/outer", place.path().display())),
            tmux,
            agent: Sleeper::start(),
            pane,
            place,
        }
    }

    fn display(&self, target: &str, format: &str) -> String {
        self.tmux
            .run(&["display-message", "-p", "-t", target, format])
    }

    /// The terminal that a hook in the pane would send.
    fn terminal(&self) -> serde_json::Value {
        let pid: u32 = self.display(&self.pane, "#{pid}").parse().unwrap();
        json!({"tmux": self.tmux.0, "tmux_pid": pid, "tmux_pane": self.pane,
            "tty": self.display(&self.pane, "#{pane_tty}")})
    }

    fn report(&self, terminal: &serde_json::Value) {
        let event = json!({"hook_event_name": "PermissionRequest", "session_id": "s",
            "tool_name": "Bash", "tool_input": {"command": "ls"}});
        let params = json!({"agent": "claude-code", "at": 1, "pid": self.agent.pid(), "attended": true,
            "terminal": terminal, "event": event});
        let answer = self.place.connect().ask("session.report", params);
        assert_eq!(answer["result"]["accepted"], true, "{answer}");
    }

    /// The value of a row of `next`, asked from a pane of this tmux or from outside.
    fn next(&self, inside: Option<&str>, row: &str) -> Option<String> {
        let mut next = self.place.command(["next"]);
        if let Some(session) = inside {
            let id = self.display(session, "#{session_id}");
            let tmux = format!(
                "{},{},{}",
                self.tmux.0,
                self.display(session, "#{pid}"),
                &id[1..]
            );
            let pane = self.display(session, "#{pane_id}");
            next.env("TMUX", tmux).env("TMUX_PANE", pane);
        }
        let output = next.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let found = text.lines().map(self::row).find(|(name, _)| *name == row)?;
        Some(found.1.to_owned())
    }

    /// The command that leads there. A busy tmux may not answer in time.
    #[track_caller]
    fn way(&self, inside: Option<&str>) -> String {
        until("the way there", || self.next(inside, "go there"))
    }

    /// What each client shows: its session and pane, by its terminal.
    fn clients(&self) -> Vec<(String, String, String)> {
        let format = "#{client_tty} #{session_name} #{pane_id}";
        let output = self.tmux.try_run(&["list-clients", "-F", format]);
        let text = String::from_utf8(output.stdout).unwrap();
        let clients = text.lines().map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            (
                words.next().unwrap(),
                words.next().unwrap(),
                words.next().unwrap(),
            )
        });
        clients.collect()
    }

    /// What the client that shows `session` shows.
    fn shows(&self, session: &str) -> (String, String) {
        until("the client to show the session", || {
            let clients = self.clients().into_iter();
            let mut clients = clients.filter(|(_, shown, _)| shown.starts_with(session));
            clients.next().map(|(_, shown, pane)| (shown, pane))
        })
    }
}

/// The command that attaches a client to `session`, in a pane of another tmux.
fn attach(tmux: &Tmux, session: &str) -> String {
    let socket = tmux.0.replace('\'', r"'\''");
    format!("env -u TMUX TERM=xterm tmux -S '{socket}' attach -t {session}")
}

#[test]
fn the_printed_command_selects_the_sessions_terminal() {
    let place = Place::new();
    let _daemon = place.daemon();
    let it = InTmux::new(place);
    let outer = &it.outer;
    it.report(&it.terminal());

    // From outside: a new client, on that very pane.
    let way = it.way(None);
    assert!(way.contains(" attach-session -t "), "{way}");
    let command = format!("env -u TMUX TERM=xterm {way}");
    outer.run(&["new-session", "-d", "-s", "outside", &command]);
    assert_eq!(it.shows("work"), ("work".to_owned(), it.pane.clone()));
    outer.try_run(&["kill-server"]);
    until("the client to go", || it.clients().is_empty().then_some(()));

    // From within: the client that asks switches.
    it.tmux.run(&["select-window", "-t", "work:0"]);
    outer.run(&[
        "new-session",
        "-d",
        "-s",
        "inside",
        &attach(&it.tmux, "desk"),
    ]);
    let (client, ..) = until("the client", || it.clients().into_iter().next());
    let way = it.way(Some("desk"));
    assert!(
        way.contains(&format!(" switch-client -c {client} -t ")),
        "{way}"
    );
    it.tmux.run(&["send-keys", "-t", "desk", &way, "Enter"]);
    assert_eq!(it.shows("work"), ("work".to_owned(), it.pane.clone()));
}

#[test]
fn the_printed_command_moves_no_other_client() {
    let place = Place::new();
    let _daemon = place.daemon();
    let it = InTmux::new(place);
    let outer = &it.outer;
    it.report(&it.terminal());
    it.tmux.run(&["select-window", "-t", "work:0"]);
    outer.run(&["new-session", "-d", "-s", "a", &attach(&it.tmux, "work")]);
    let (other, ..) = until("the other client", || it.clients().into_iter().next());
    let first_pane = it.display("work:0", "#{pane_id}");
    outer.run(&["new-session", "-d", "-s", "b", &attach(&it.tmux, "desk")]);
    until("both clients", || (it.clients().len() == 2).then_some(()));
    let undisturbed = (other, "work".to_owned(), first_pane);

    // Asked in another session than the one that the other client shows, and typed there.
    let way = it.way(Some("desk"));
    it.tmux.run(&["send-keys", "-t", "desk", &way, "Enter"]);
    let (view, shown) = it.shows("go-");
    assert_eq!(shown, it.pane);
    assert!(it.clients().contains(&undisturbed), "{:?}", it.clients());

    // The view ends with its client.
    outer.run(&["kill-session", "-t", "b"]);
    until("the view to end", || {
        let sessions = it.tmux.run(&["list-sessions", "-F", "#{session_name}"]);
        (!sessions.contains(&view)).then_some(())
    });

    // From outside.
    let way = it.way(None);
    let command = format!("env -u TMUX TERM=xterm {way}");
    outer.run(&["new-session", "-d", "-s", "c", &command]);
    until("the new client on the pane", || {
        let mut clients = it.clients().into_iter();
        clients.find(|(_, session, pane)| session.starts_with("go-") && *pane == it.pane)
    });
    assert!(it.clients().contains(&undisturbed), "{:?}", it.clients());
}

#[test]
fn a_place_that_tmux_does_not_confirm_is_not_offered() {
    let place = Place::new();
    let _daemon = place.daemon();
    let it = InTmux::new(place);
    let claims = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut terminal = it.terminal();
        change(&mut terminal);
        terminal
    };
    for (terminal, why) in [
        // Inherited by a program in a terminal of its own.
        (
            claims(&|terminal| terminal["tty"] = "/dev/pts/4242".into()),
            "the session runs in /dev/pts/4242",
        ),
        // Of an earlier server at the same socket.
        (
            claims(&|terminal| terminal["tmux_pid"] = 1.into()),
            "another one is at its socket",
        ),
        (
            claims(&|terminal| terminal["tmux_pane"] = "%4242".into()),
            "no pane %4242",
        ),
        (
            claims(&|terminal| terminal["tmux_pane"] = "%1; touch x".into()),
            "%1; touch x is not a tmux pane",
        ),
    ] {
        it.report(&terminal);
        assert_eq!(it.next(None, "go there"), None);
        until(why, || {
            let note = it.next(None, "note").unwrap();
            note.contains(why).then_some(())
        });
    }
    let true_one = it.terminal();
    it.tmux.run(&["kill-server"]);
    it.report(&true_one);
    assert_eq!(it.next(None, "go there"), None);
    assert!(it.next(None, "note").unwrap().contains("is gone"));
}
