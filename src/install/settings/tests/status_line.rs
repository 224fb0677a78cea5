//! The status line alone: what stands there before and after, and what is left of it.

use super::*;

const LINE: Request<'_> = Request {
    syntax: Syntax::Json,
    hooks: None,
    status_line: StatusLineRequest::Install,
};
const ONLY_LINE: Parts = Parts {
    hooks: false,
    status_line: true,
};

/// Settings with this command, a JSON string.
fn with(command: &str) -> String {
    format!(r#"{{"statusLine": {{"type": "command", "command": {command}, "padding": 0}}}}"#)
}

/// The command's text after `install`, which `uninstall` undoes; without the record to `plain`.
fn wrapped(command: &str, plain: &str) -> String {
    let text = with(command);
    let done = install(&text, &LINE, PROGRAM, None).unwrap();
    let root = Node::read(&done.text).unwrap();
    let line = root.member("statusLine").unwrap();
    let new = line.member("command").unwrap().raw;
    let undo = StatusLineUndo::Replaced {
        old: command.to_owned(),
        new: new.to_owned(),
    };
    assert_eq!(done.record.status_line, Some(undo), "{command}");
    let record = Some(&done.record);
    assert_eq!(install(&done.text, &LINE, PROGRAM, record).unwrap(), done);
    assert_eq!(uninstall(&done.text, ONLY_LINE, record).unwrap(), text);
    let plain = with(&quote(plain));
    assert_eq!(uninstall(&done.text, ONLY_LINE, None).unwrap(), plain);
    json::lossy(new).unwrap()
}

#[test]
fn a_status_line_is_added_and_removed() {
    for (text, expected) in [
        (
            "{}",
            "{\n  \"statusLine\": {\n    \"type\": \"command\",\n    \"command\": \"/opt/agent-console statusline\"\n  }\n}",
        ),
        (
            "{\n\t\"a\": 1\n}\n",
            "{\n\t\"a\": 1,\n\t\"statusLine\": {\n\t\t\"type\": \"command\",\n\t\t\"command\": \"/opt/agent-console statusline\"\n\t}\n}\n",
        ),
        (
            "\u{feff}\r\n",
            "\u{feff}{\r\n  \"statusLine\": {\r\n    \"type\": \"command\",\r\n    \"command\": \"/opt/agent-console statusline\"\r\n  }\r\n}\r\n",
        ),
    ] {
        let done = install(text, &LINE, PROGRAM, None).unwrap();
        assert_eq!(done.text, expected);
        assert_eq!(
            uninstall(&done.text, ONLY_LINE, Some(&done.record)).unwrap(),
            text
        );
        // An update alone does not add it.
        let unasked = Request {
            status_line: StatusLineRequest::Update,
            ..LINE
        };
        assert_eq!(install(text, &unasked, PROGRAM, None).unwrap().text, text);
    }
}

#[test]
fn a_command_becomes_one_word_for_a_shell() {
    for (command, plain, expected) in [
        (
            r#""~\/bin/line  --a=b ""#,
            "~/bin/line  --a=b ",
            "'~/bin/line  --a=b '",
        ),
        (r#""a | b""#, "a | b", "'a | b'"),
        (
            r#""echo \u0027\"$A\"' \\""#,
            r#"echo '"$A"' \"#,
            r#""echo '\""'$A"'"' \\""#,
        ),
        (r#""""#, "", "''"),
        (r#""a\ud800\nb""#, "a\u{fffd}\nb", "'a\u{fffd}\nb'"),
        (r#""sh -c 'x'""#, "sh -c 'x'", r#""sh -c 'x'""#),
        (r#""date""#, "date", "date"),
    ] {
        let expected = format!("/opt/agent-console statusline -- sh -c {expected}");
        assert_eq!(wrapped(command, plain), expected);
    }
}

#[test]
fn half_a_surrogate_pair_is_one_replacement_character() {
    for (raw, text) in [
        (
            r#""a\n\u00e9\/\ud83d\ude00ü\ud800x\udc00\"""#,
            "a\né/😀ü\u{fffd}x\u{fffd}\"",
        ),
        (r#""\ud800\ud800\udc00\\""#, "\u{fffd}\u{10000}\\"),
        (r#""""#, ""),
    ] {
        assert_eq!(json::lossy(raw).unwrap(), text);
    }
    assert_eq!(json::lossy("5"), None);
}

#[test]
fn a_call_that_a_person_wrote_is_not_doubled_and_is_restored() {
    for (command, now, without) in [
        (
            r#""acd statusline""#,
            r#""/opt/agent-console statusline""#,
            None,
        ),
        (
            r#""'\/a b\/acd'  statusline --socket /x""#,
            r#""/opt/agent-console  statusline --socket /x""#,
            None,
        ),
        (
            r#""acd statusline --socket /x --  ~\/x | y""#,
            r#""/opt/agent-console statusline --socket /x --  ~/x | y""#,
            Some(r#"" ~/x | y""#),
        ),
        // A form that `uninstall` cannot take apart.
        (
            r#""acd statusline | cut -c1-9""#,
            r#""/opt/agent-console statusline | cut -c1-9""#,
            Some(r#""/opt/agent-console statusline | cut -c1-9""#),
        ),
    ] {
        let text = with(command);
        let done = install(&text, &LINE, PROGRAM, None).unwrap();
        assert_eq!(done.text, with(now));
        let moved = install(&done.text, &LINE, "/new/acd", Some(&done.record)).unwrap();
        assert_eq!(moved.text, with(&now.replace(PROGRAM, "/new/acd")));
        for done in [&done, &moved] {
            assert_eq!(
                uninstall(&done.text, ONLY_LINE, Some(&done.record)).unwrap(),
                text
            );
        }
        let left = uninstall(&done.text, ONLY_LINE, None).unwrap();
        assert_eq!(left, without.map_or("{}".to_owned(), with));
    }
}

#[test]
fn a_command_that_does_not_begin_with_our_call_is_wrapped_like_any_other() {
    for command in [
        r#""sh -c 'acd statusline'""#,
        r#""~\/bin/line # was: acd statusline""#,
        r#""echo 'try: acd statusline'; acd list""#,
        r#""A=1 acd statusline""#,
        r#""true && acd statusline""#,
    ] {
        let text = with(command);
        assert_eq!(inspect(&text, &with_form(FORM)).unwrap().status_line, None);
        for program in [PROGRAM, "/a b/acd"] {
            let done = install(&text, &LINE, program, None).unwrap();
            assert!(done.text.contains(" statusline -- sh -c "), "{}", done.text);
            let record = Some(&done.record);
            assert_eq!(uninstall(&done.text, ONLY_LINE, record).unwrap(), text);
            let plain = uninstall(&done.text, ONLY_LINE, None).unwrap();
            assert_eq!(plain, text.replace(r"\/", "/"));
        }
    }
}

#[test]
fn a_call_that_was_edited_since_is_undone_as_far_as_possible() {
    let line = with(r#""~/bin/line""#);
    let done = install(&line, &LINE, PROGRAM, None).unwrap();
    let own = "/opt/agent-console statusline -- sh -c '~/bin/line'";
    for (edited, left) in [
        // The person's own command, or what they made of it.
        ("/x/y", "/x/y"),
        ("/opt/agent-console statusline -- a | b", "a | b"),
        (
            "/opt/agent-console statusline -- sh -c 'a' | b",
            "sh -c 'a' | b",
        ),
        // No call of ours any more, or one that cannot be taken apart: theirs to correct.
        (
            "A=1 /opt/agent-console statusline -- ~/bin/line",
            "A=1 /opt/agent-console statusline -- ~/bin/line",
        ),
        (
            "/opt/agent-console statusline; x",
            "/opt/agent-console statusline; x",
        ),
    ] {
        assert_eq!(done.text.matches(own).count(), 1);
        let text = done.text.replace(own, edited);
        let undone = uninstall(&text, ONLY_LINE, Some(&done.record)).unwrap();
        assert_eq!(undone, line.replace("~/bin/line", left));
        let still = inspect(&undone, &with_form(FORM)).unwrap().status_line;
        assert_eq!(still.is_some(), left.starts_with("/opt/agent-console"));
        assert!(still.is_none_or(|call| !call.removable));
    }
    // Only our call is left.
    let text = done.text.replace(" -- sh -c '~/bin/line'", "");
    assert_eq!(
        uninstall(&text, ONLY_LINE, Some(&done.record)).unwrap(),
        "{}"
    );
}

#[test]
fn what_claude_code_would_refuse_is_refused_with_its_place() {
    for (line, expected) in [
        ("5", "1:16: statusLine is a number, not an object"),
        ("null", "1:16: statusLine is null, not an object"),
        (r#""x""#, "1:16: statusLine is a string, not an object"),
        ("{}", "1:16: statusLine has no type"),
        (
            r#"{"type": "s3cret"}"#,
            r#"1:25: statusLine.type is not "command""#,
        ),
        (r#"{"type": "command"}"#, "1:16: statusLine has no command"),
        (
            r#"{"type": "command", "command": ["x"]}"#,
            "1:47: statusLine.command is a list, not a string",
        ),
    ] {
        let text = format!(r#"{{"statusLine": {line}}}"#);
        let error = install(&text, &LINE, PROGRAM, None).unwrap_err();
        assert_eq!(error.to_string(), expected);
        // It does not prevent hooks, and there is nothing to uninstall.
        install(&text, &HOOKS, PROGRAM, None).unwrap();
        assert_eq!(uninstall(&text, ONLY_LINE, None).unwrap(), text);
        assert_eq!(inspect(&text, &with_form(FORM)).unwrap().status_line, None);
    }
    let text =
        r#"{"statusLine": 5, "statusLine": {"type": "x", "type": "command", "command": "a"}}"#;
    install(text, &LINE, PROGRAM, None).unwrap();
}
