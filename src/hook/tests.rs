//! The hook's line: what is in it, how long it may get, and that it is a line whatever comes in.

use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn arguments(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

#[test]
fn the_first_word_makes_it_a_hook_unless_help_is_wanted() {
    assert!(wanted(&arguments(&["hook"])));
    assert!(wanted(&arguments(&["hook", "codex", "--socket", "x"])));
    assert!(!wanted(&arguments(&["hook", "--help"])));
    assert!(!wanted(&arguments(&["hook", "codex", "-h"])));
    assert!(!wanted(&arguments(&["list", "hook"])));
    assert!(!wanted(&[]));
}

#[test]
fn arguments_are_read_and_strange_ones_ignored() {
    let read = |words: &[&str]| {
        let arguments = arguments(words);
        let (agent, socket) = read_arguments(&arguments);
        (agent, socket.map(|path| path.display().to_string()))
    };
    let claude = DEFAULT_AGENT.to_owned();
    assert_eq!(read(&[]), (claude.clone(), None));
    assert_eq!(read(&["codex"]), ("codex".to_owned(), None));
    let socket = Some("/s".to_owned());
    assert_eq!(read(&["--socket", "/s"]), (claude.clone(), socket.clone()));
    assert_eq!(
        read(&["--socket=/s", "codex"]),
        ("codex".to_owned(), socket)
    );
    assert_eq!(
        read(&["--new", "codex", "more"]),
        ("codex".to_owned(), None)
    );
    assert_eq!(read(&["--socket"]), (claude, None));
}

fn terminal(tty: Option<&str>, variables: &[(&str, &str)]) -> Value {
    let mut line = b"{\"a\":1".to_vec();
    push_terminal(&mut line, tty, |name| {
        variables
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.into())
    });
    line.push(b'}');
    serde_json::from_slice::<Value>(&line).unwrap()["terminal"].take()
}

#[test]
fn the_terminal_is_what_the_environment_says() {
    assert_eq!(terminal(None, &[]), Value::Null);
    assert_eq!(
        terminal(Some("/dev/pts/3"), &[("HOME", "/root")]),
        json!({"tty": "/dev/pts/3"})
    );
    assert_eq!(
        terminal(
            Some("/dev/pts/3"),
            &[
                ("TERM_PROGRAM", "tmux"),
                ("TMUX", "/tmp/tmux-0/default,123,0"),
                ("TMUX_PANE", "%5"),
                ("ZELLIJ_SESSION_NAME", "a \"session\"\n"),
                ("ZELLIJ_PANE_ID", "0"),
                ("WEZTERM_PANE", "1"),
                ("KITTY_WINDOW_ID", "2"),
                ("ITERM_SESSION_ID", &"w".repeat(1000)),
            ]
        ),
        json!({
            "tty": "/dev/pts/3", "term_program": "tmux", "tmux": "/tmp/tmux-0/default", "tmux_pane": "%5",
            "zellij_session": "a \"session\"\n", "zellij_pane": "0", "wezterm_pane": "1", "kitty_window": "2",
            "iterm_session": "w".repeat(TERMINAL_LIMIT),
        })
    );
}

/// A document that has every field of the table, each beyond its limit; where `array` says so, in arrays of more
/// elements than are kept.
fn fullest(fields: &[agents::Field], array: bool) -> Value {
    let text = "\u{1}".repeat(700);
    let mut whole = Map::new();
    // What is a text in one payload may be an object in another; one document has it once.
    let is_within = |field: &&agents::Field| {
        let (way, _) = field.path.rsplit_once('.').unwrap_or_default();
        fields.iter().any(|other| other.path == way)
    };
    for field in fields.iter().filter(|field| !is_within(field)) {
        let mut at = &mut whole;
        let (way, end) = field.path.rsplit_once('.').unwrap_or(("", field.path));
        for step in way.split('.').filter(|step| !step.is_empty()) {
            at = at
                .entry(step)
                .or_insert_with(|| json!({}))
                .as_object_mut()
                .unwrap();
        }
        at.insert(end.to_owned(), text.clone().into());
    }
    let repeat = |value: Value| match value {
        Value::Object(object) if array => Value::from(vec![Value::Object(object); 40]),
        other => other,
    };
    Value::Object(
        whole
            .into_iter()
            .map(|(key, value)| (key, repeat(value)))
            .collect(),
    )
}

/// The line for a document that arrives in portions of any size.
fn line_for(agent: &str, document: &str) -> Vec<u8> {
    let source = agents::hook_source(agent);
    let mut line = begin_line(agent, &source, u64::MAX);
    if !line.ends_with(b"}") {
        let full = "\u{1}".repeat(1000);
        push_terminal(&mut line, Some(&full), |_| Some((&full).into()));
    }
    let mut portions = document.as_bytes().chunks(1000);
    read_event(&source, line, |chunk| {
        let portion = portions.next().unwrap_or_default();
        chunk.extend_from_slice(portion);
        Ok(portion.len())
    })
}

#[test]
fn the_fullest_line_is_short_enough() {
    for agent in ["claude-code", "codex", "gemini", "another"] {
        let fields = agents::hook_source(agent).fields;
        for array in [false, true] {
            let document = fullest(fields, array);
            let line = line_for(agent, &document.to_string());
            assert!(line.len() < LINE_LIMIT, "{agent}: {}", line.len());
            let line: Value = serde_json::from_slice(&line).unwrap();
            let event = line["params"]["event"].as_object().unwrap();
            // With no array out of place, all of it fits.
            assert!(array || event.len() == document.as_object().unwrap().len());
        }
    }
}

#[test]
fn a_line_without_an_event_is_a_line() {
    for document in ["", "nonsense", "{\"cwd\":\"/a\"", "[]", "{} {}"] {
        let line: Value = serde_json::from_slice(&line_for("claude-code", document)).unwrap();
        let params = line["params"].as_object().unwrap();
        assert!(
            !params.contains_key("event") && params.contains_key("pid"),
            "{document}"
        );
    }
}

#[test]
fn input_that_fails_is_input_that_ends() {
    let source = agents::hook_source("claude-code");
    let mut answers = vec![
        Err(io::Error::from(io::ErrorKind::BrokenPipe)),
        Err(io::Error::from(io::ErrorKind::Interrupted)),
    ];
    let line = read_event(&source, b"{\"a\":{\"b\":1".to_vec(), |_| {
        answers.pop().unwrap()
    });
    assert_eq!(line, b"{\"a\":{\"b\":1}}\n");
}

#[test]
fn the_tables_are_such_as_the_scanner_reads() {
    for agent in ["claude-code", "codex", "gemini", "another"] {
        let fields = agents::hook_source(agent).fields;
        assert!(fields.len() <= 128, "{agent}");
        for field in fields {
            let steps_fit = field
                .path
                .split('.')
                .all(|step| (1..=64).contains(&step.len()));
            assert!(field.path.is_ascii() && steps_fit, "{}", field.path);
        }
    }
}

proptest! {
    #[test]
    fn whatever_the_agent_is_called_the_line_is_json(agent: String, tty: Option<String>) {
        let mut line = begin_line(&agent, &agents::hook_source(&agent), 5);
        if !line.ends_with(b"}") {
            push_terminal(&mut line, tty.as_deref(), |_| None);
        }
        line.extend_from_slice(b"}}");
        let line: Value = serde_json::from_slice(&line).unwrap();
        prop_assert!(agent.starts_with(line["params"]["agent"].as_str().unwrap()));
        prop_assert_eq!(&line["params"]["at"], 5);
    }
}
