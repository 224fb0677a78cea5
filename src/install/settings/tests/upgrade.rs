//! What an earlier version installed: brought up to date by `install`, undone byte for byte by `uninstall`.
//!
//! `earlier.jsonl` has what commit 1f90b2c made of some settings, with its record; only the program's path was put in.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Earlier {
    case: String,
    program: String,
    before: String,
    installed: String,
    record: UndoRecord,
}

impl Earlier {
    fn parts(&self) -> Parts {
        Parts {
            hooks: self.record.hooks.is_some(),
            status_line: self.record.status_line.is_some(),
        }
    }

    fn request(&self) -> Request<'static> {
        let parts = self.parts();
        Request {
            syntax: Syntax::Json,
            hooks: parts.hooks.then_some(OWN_HOOKS),
            status_line: if parts.status_line {
                StatusLineRequest::Install
            } else {
                StatusLineRequest::Keep
            },
        }
    }
}

fn all() -> impl Iterator<Item = Earlier> {
    let lines = include_str!("earlier.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap())
}

/// The text with the status line's command in its plainest writing.
fn plain(text: &str) -> String {
    let (mark, body) = split_mark(text);
    let root = read_root(body).unwrap();
    let line = root.member("statusLine");
    let mut edits = Edits::default();
    if let Some(command) = line.and_then(|line| line.member("command")) {
        edits.replace(command.range(), quote(&json::lossy(command.raw).unwrap()));
    }
    format!("{mark}{}", edits.apply(body))
}

#[test]
fn it_is_undone_byte_for_byte() {
    for earlier in all() {
        let undone = uninstall(&earlier.installed, earlier.parts(), Some(&earlier.record));
        assert_eq!(undone.unwrap(), earlier.before, "{}", earlier.case);
    }
}

#[test]
fn an_update_writes_what_a_first_installation_writes_and_is_undone_byte_for_byte() {
    for earlier in all() {
        for program in [&*earlier.program, "/moved/it's/agent-console"] {
            let case = &earlier.case;
            let request = earlier.request();
            let new = |text: &str, record| install(text, &request, program, record).unwrap();
            let updated = new(&earlier.installed, Some(&earlier.record));
            assert_eq!(new(&updated.text, Some(&updated.record)), updated, "{case}");
            let first = new(&earlier.before, None);
            assert_eq!(plain(&updated.text), plain(&first.text), "{case}");
            let undone = uninstall(&updated.text, earlier.parts(), Some(&updated.record));
            assert_eq!(undone.unwrap(), earlier.before, "{case}");
        }
    }
}

#[test]
fn an_update_names_the_agent_where_an_earlier_version_did_not() {
    let text = r#"{"hooks": {"Stop": [{"hooks": [{"type":"command","command":"\/opt\/acd","args":[ "hook" ]}]}]}}"#;
    let earlier = install(text, &HOOKS, PROGRAM, None).unwrap();
    // One that a person wrote keeps its arguments.
    assert!(earlier.text.contains(r#""args":[ "hook" ]"#));
    let nameless = earlier
        .text
        .replace(r#""hook", "claude-code""#, r#""hook""#);
    assert_ne!(nameless, earlier.text);
    let updated = install(&nameless, &HOOKS, PROGRAM, Some(&earlier.record)).unwrap();
    assert_eq!(updated, earlier);
    // Without a record it cannot be known who wrote a hook.
    let unknown = install(&nameless, &HOOKS, PROGRAM, None).unwrap();
    assert_eq!(unknown.text, nameless);
}

#[test]
fn without_a_record_an_earlier_wrapper_is_still_taken_off() {
    for earlier in all().filter(|earlier| earlier.case.starts_with("plain words")) {
        let undone = uninstall(&earlier.installed, earlier.parts(), None);
        assert_eq!(undone.unwrap(), earlier.before);
    }
}
