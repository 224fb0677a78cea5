//! Hooks and status line together, for any settings: in any order of installing and uninstalling, nothing is left.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::generate::{command, hand, junk, text};
use super::properties::{body, files, is_refused};
use super::{EVERY, FORM, OWN_HOOKS, hooks, uninstall, with_form};

const PROGRAMS: [&str; 3] = [
    "/usr/local/bin/agent-console",
    "/with blank/it's/acd",
    r#"/"/agent-console"#,
];
const HOOKS: Request<'_> = hooks(EVERY.events, &FORM);
const LINE: Request<'_> = Request {
    syntax: Syntax::Json,
    hooks: None,
    status_line: StatusLineRequest::Install,
};
const PLAIN: Request<'_> = Request {
    syntax: Syntax::Json,
    hooks: Some(OWN_HOOKS),
    status_line: StatusLineRequest::Update,
};
const BOTH: Request<'_> = Request {
    syntax: Syntax::Json,
    hooks: Some(OWN_HOOKS),
    status_line: StatusLineRequest::Install,
};
const ALL: Parts = Parts {
    hooks: true,
    status_line: true,
};
const FIRST_HOOKS: Parts = Parts {
    hooks: true,
    status_line: false,
};
const FIRST_LINE: Parts = Parts {
    hooks: false,
    status_line: true,
};

/// Uninstalls the parts `first`, then the rest; parts that were never installed are left alone.
fn undone(text: &str, first: Parts, mut record: UndoRecord) -> String {
    let mut text = text.to_owned();
    for parts in [first, ALL] {
        let parts = Parts {
            hooks: parts.hooks && record.hooks.is_some(),
            status_line: parts.status_line && record.status_line.is_some(),
        };
        text = uninstall(&text, parts, Some(&record)).unwrap();
        record.forget(parts);
    }
    assert!(record.is_empty());
    text
}

fn reread(record: &UndoRecord) -> UndoRecord {
    serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(files(1_000))]

    #[test]
    fn any_order_is_undone_byte_for_byte(
        text in text(),
        steps in vec((select(&[HOOKS, LINE, PLAIN, BOTH]), select(&PROGRAMS)), 1..4),
        first in select(&[ALL, FIRST_HOOKS, FIRST_LINE]),
    ) {
        let mut done: Option<Installed> = None;
        for (wanted, program) in steps {
            let before = done.as_ref().map_or(&*text, |done| &done.text);
            let record = done.as_ref().map(|done| &done.record);
            let Ok(next) = install(before, &wanted, program, record) else {
                continue;
            };
            let again = install(&next.text, &wanted, program, Some(&next.record)).unwrap();
            prop_assert_eq!(&again, &next);
            let seen = StatusLine::read(&read_root(body(&next.text)).unwrap()).call();
            prop_assert!(wanted.status_line != StatusLineRequest::Install || seen.is_some(), "{}", next.text);
            prop_assert_eq!(&reread(&next.record), &next.record);
            done = Some(next);
        }
        if let Some(done) = done {
            prop_assert_eq!(undone(&done.text, first, done.record), text);
        }
    }

    /// Others reorder nothing, but write beside ours: before and behind it, and within the status line.
    #[test]
    fn text_of_others_beside_ours_stays_byte_for_byte(
        text in text(),
        wanted in select(&[HOOKS, LINE, BOTH]),
        added in junk(),
        hand in hand(),
        place in 0_usize..3,
        first in select(&[ALL, FIRST_HOOKS, FIRST_LINE]),
    ) {
        prop_assume!(!body(&text).trim().is_empty());
        let added = format!("\"added\": {}", hand.write(&added));
        let add = |text: &str| {
            let mark = text.len() - body(text).len();
            let root = Node::read(body(text)).unwrap();
            let line = root.member("statusLine").filter(|_| place == 2);
            let children = line.unwrap_or(root).children();
            let (at, added) = match place {
                0 => (children.first()?.start, format!("{added} ,")),
                _ => (children.last()?.end, format!(" , {added}")),
            };
            let mut text = text.to_owned();
            text.insert_str(mark + at, &added);
            Some(text)
        };
        let Ok(done) = install(&text, &wanted, PROGRAMS[0], None) else {
            return Ok(());
        };
        // What others add to a status line of ours is removed with it.
        let made = done.record.status_line == Some(StatusLineUndo::Added);
        prop_assume!(!(place == 2 && made));
        let (Some(meanwhile), Some(expected)) = (add(&done.text), add(&text)) else {
            return Ok(());
        };
        let again = install(&meanwhile, &wanted, PROGRAMS[0], Some(&done.record)).unwrap();
        prop_assert_eq!(&again.text, &meanwhile);
        prop_assert_eq!(undone(&again.text, first, again.record), expected);
    }

    /// Without the record the settings alone are enough to give a command back, in its plainest writing.
    #[test]
    fn a_command_comes_back_from_the_text_alone(command in command(), program in select(&PROGRAMS)) {
        let with = |command: &str| format!(r#"{{"statusLine": {{"type": "command", "command": {command}}}}}"#);
        let text = with(&command);
        let plain = with(&json::quote(&json::lossy(&command).unwrap()));
        let done = install(&text, &LINE, program, None).unwrap();
        if inspect(&text, &with_form(FORM)).unwrap().status_line.is_none() {
            prop_assert_eq!(&uninstall(&done.text, FIRST_LINE, None).unwrap(), &plain);
        }
        prop_assert_eq!(&uninstall(&done.text, FIRST_LINE, Some(&done.record)).unwrap(), &text);
        prop_assert!(inspect(&done.text, &with_form(FORM)).unwrap().status_line.is_some());
    }

    #[test]
    fn each_part_is_refused_for_itself_alone(text in text()) {
        let shape = |wanted| install(&text, &wanted, PROGRAMS[0], None).is_err();
        prop_assert_eq!(shape(HOOKS), is_refused(&text));
        prop_assert_eq!(shape(PLAIN), is_refused(&text));
        prop_assert_eq!(shape(BOTH), is_refused(&text) || shape(LINE));
    }
}
