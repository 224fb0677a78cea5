//! `next`: who has needed a person for longest, and the way there, tried in a real tmux.

use crate::in_tmux::InTmux;
use crate::support::{Place, until};

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

impl InTmux {
    /// The value of a row of `next`, asked in a session of this tmux or from outside.
    fn next(&self, inside: Option<&str>, row: &str) -> Option<String> {
        let text = if let Some(session) = inside {
            let (text, status) = self.output_in(&self.tmux, &self.tty_of(session), "next");
            assert_eq!(status, "0", "{text}");
            text
        } else {
            self.place.ok(&["next"])
        };
        let found = text.lines().map(self::row).find(|(name, _)| *name == row)?;
        Some(found.1.to_owned())
    }

    /// The command that leads there. A busy tmux may not answer in time.
    #[track_caller]
    fn way(&self, inside: Option<&str>) -> String {
        until("the way there", || self.next(inside, "go there"))
    }

    /// What the client that shows `session` shows.
    fn shows(&self, session: &str) -> (String, String) {
        until("the client to show the session", || {
            let clients = self.tmux.clients().into_iter();
            let mut clients = clients.filter(|client| client.session.starts_with(session));
            clients.next().map(|client| (client.session, client.pane))
        })
    }
}

#[test]
fn the_printed_command_selects_the_sessions_terminal() {
    let place = Place::new();
    let _daemon = place.daemon();
    let it = InTmux::new(place);
    it.report(&it.terminal());

    // From outside: a new client, on that very pane.
    let way = it.way(None);
    assert!(way.contains(" attach-session -t "), "{way}");
    it.outer.window(&format!("env -u TMUX TERM=xterm {way}"));
    assert_eq!(it.shows("work"), ("work".to_owned(), it.pane.clone()));
    it.outer.try_run(&["kill-server"]);
    until("the client to go", || {
        it.tmux.clients().is_empty().then_some(())
    });

    // From within: the client that asks switches.
    it.tmux.run(&["select-window", "-t", "work:0"]);
    let client = it.outer.attach(&it.tmux, "desk");
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
    it.report(&it.terminal());
    it.tmux.run(&["select-window", "-t", "work:0"]);
    let other = it.outer.attach(&it.tmux, "work");
    let own = it.outer.attach(&it.tmux, "desk");
    let undisturbed = it.tmux.client(&other);

    // Asked in another session than the one that the other client shows, and typed there.
    let way = it.way(Some("desk"));
    it.tmux.run(&["send-keys", "-t", "desk", &way, "Enter"]);
    let (view, shown) = it.shows("go-");
    assert_eq!(shown, it.pane);
    assert_eq!(it.tmux.client(&other), undisturbed);

    // The view ends with its client.
    it.tmux.run(&["detach-client", "-t", &own]);
    until("the view to end", || {
        let sessions = it.tmux.run(&["list-sessions", "-F", "#{session_name}"]);
        (!sessions.contains(&view)).then_some(())
    });

    // From outside.
    let way = it.way(None);
    let new = it.outer.window(&format!("env -u TMUX TERM=xterm {way}"));
    until("the new client on the pane", || {
        let mut clients = it.tmux.clients().into_iter();
        clients.find(|client| {
            client.tty == new && client.session.starts_with("go-") && client.pane == it.pane
        })
    });
    assert_eq!(it.tmux.client(&other), undisturbed);
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
