//! The hook's line: what is in it, how long it may get, and that it is a line whatever comes in.

use super::*;
use crate::protocol::MAX_LINE;
use proptest::prelude::*;
use serde_json::{Value, json};

fn arguments(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

#[test]
fn the_first_word_makes_it_a_hook_unless_help_is_wanted() {
    let is_hook = |words: &[&str]| is_hook_command(&arguments(words));
    assert!(is_hook(&["hook"]));
    assert!(is_hook(&["hook", "codex", "--socket", "x"]));
    assert!(!is_hook(&["hook", "--help"]));
    assert!(!is_hook(&["hook", "codex", "-h"]));
    assert!(!is_hook(&["list", "hook"]));
    assert!(!is_hook(&[]));
}

#[test]
fn arguments_are_read_and_strange_ones_ignored() {
    let default = agents::DEFAULT.name;
    for (words, agent, event, socket) in [
        (&[][..], default, None, None),
        (&["codex"], "codex", None, None),
        (&["--socket", "/s"], default, None, Some("/s")),
        (&["--socket=/s", "codex"], "codex", None, Some("/s")),
        (
            &["--new", "codex", "Stop", "more"],
            "codex",
            Some("Stop"),
            None,
        ),
        (
            &["codex", "--socket", "/s", "Stop"],
            "codex",
            Some("Stop"),
            Some("/s"),
        ),
        (&["--socket"], default, None, None),
    ] {
        let words = arguments(words);
        let expected = Arguments {
            agent: agent.to_owned(),
            event: event.map(str::to_owned),
            socket: socket.map(Path::new),
        };
        assert_eq!(read_arguments(&words), expected, "{words:?}");
    }
}

fn terminal_of(tty: Option<&str>, variables: &[(&str, &str)]) -> Value {
    let terminal = terminal(tty, |name| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.into())
    });
    serde_json::to_value(terminal).unwrap()
}

#[test]
fn the_terminal_is_what_the_environment_says() {
    assert_eq!(terminal_of(None, &[]), json!({}));
    assert_eq!(
        terminal_of(Some("/dev/pts/3"), &[("HOME", "/root")]),
        json!({"tty": "/dev/pts/3"})
    );
    assert_eq!(
        terminal_of(
            Some("/dev/pts/3"),
            &[
                ("TERM_PROGRAM", "tmux"),
                ("TMUX", "/tmp/tmux,0/default,123,0"),
                ("TMUX_PANE", "%5"),
                ("ZELLIJ_SESSION_NAME", "a \"session\"\n"),
                ("ZELLIJ_PANE_ID", "0"),
                ("STY", "17.pts-1.host"),
                ("WINDOW", "3"),
                ("WEZTERM_PANE", "1"),
                ("WEZTERM_UNIX_SOCKET", "/run/user/1000/wezterm/gui-sock-17"),
                ("KITTY_LISTEN_ON", "unix:/tmp/kitty"),
                ("KITTY_WINDOW_ID", "2"),
                ("ITERM_SESSION_ID", &"w".repeat(1000)),
            ]
        ),
        json!({
            "tty": "/dev/pts/3", "term_program": "tmux", "tmux": "/tmp/tmux,0/default", "tmux_pid": 123,
            "tmux_pane": "%5", "screen_session": "17.pts-1.host", "screen_window": "3",
            "wezterm_socket": "/run/user/1000/wezterm/gui-sock-17", "kitty_listen_on": "unix:/tmp/kitty",
            "zellij_session": "a \"session\"\n", "zellij_pane": "0", "wezterm_pane": "1", "kitty_window": "2",
            "iterm_session": "w".repeat(TERMINAL_LIMIT),
        })
    );
}

/// Half of a line is the event's, at most: each agent's payload is tested for that.
#[test]
fn the_fullest_line_is_short_enough() {
    let full = "\u{1}".repeat(5000);
    for agent in agents::ALL {
        let report = ReportParams {
            at: u64::MAX,
            pid: Some(u32::MAX),
            process_start: Some(u64::MAX),
            pid_namespace: Some(u64::MAX),
            attended: Some(false),
            config_dir: Some(path_text(OsStr::new(&full))),
            terminal: Some(Box::new(terminal(Some(&full), |_| Some((&full).into())))),
            ..params_of(agent, 7, None, 0)
        };
        let line = line(report, None);
        assert!(line.len() < MAX_LINE / 2, "{}: {}", agent.name, line.len());
        assert!(serde_json::from_slice::<Value>(&line).is_ok());
    }
}

#[test]
fn a_line_without_an_event_is_a_line() {
    let line = line(params_of(agents::DEFAULT, 7, None, 5), None);
    let line: Value = serde_json::from_slice(line.strip_suffix(b"\n").unwrap()).unwrap();
    let params = line["params"].as_object().unwrap();
    assert_eq!(params["at"], 5);
    assert!(!params.contains_key("event") && params.contains_key("pid"));
}

proptest! {
    #[test]
    fn whatever_the_terminal_is_called_the_line_is_one_line_of_json(tty: String, name: String) {
        let report = ReportParams {
            terminal: Some(Box::new(terminal(Some(&tty), |_| Some((&name).into())))),
            ..params_of(agents::DEFAULT, 7, None, 5)
        };
        let line = line(report, None);
        let text = line.strip_suffix(b"\n").unwrap();
        prop_assert!(!text.contains(&b'\n'));
        let line: Value = serde_json::from_slice(text).unwrap();
        prop_assert!(tty.starts_with(line["params"]["terminal"]["tty"].as_str().unwrap()));
    }
}
