mod forms;
mod generate;
mod parts;
mod properties;
mod schema;
mod status_line;
mod upgrade;

use super::json::quote;
use super::*;
use crate::agents::{CommandForm, DEFAULT, InstallForm};

const TWO: &[&str] = &["Stop", "PreToolUse"];
const FORM: MergedHooks = MergedHooks {
    syntax: Syntax::Json,
    command: CommandForm::Exec,
    timeout: 5,
    async_events: &[],
    name: None,
    only_keys: &[],
    keeps_places: false,
};
const PROGRAM: &str = "/opt/agent-console";
const HOOKS: Request<'_> = hooks(TWO, &FORM);
const ONLY_HOOKS: Parts = Parts {
    hooks: true,
    status_line: false,
};

/// Hooks and everything else of an agent as it is.
const EVERY: &Install = &DEFAULT.install;
const OWN_HOOKS: HookRequest<'_> = HookRequest {
    agent: DEFAULT.name,
    events: EVERY.events,
    form: &FORM,
};

const fn with_form(form: MergedHooks) -> Install {
    Install {
        settings: "settings.json",
        form: InstallForm::Merged(form),
        events: TWO,
        switches: &[Switch {
            key: "disableAllHooks",
            value: "true",
        }],
        layers: None,
        after_change: None,
        needed: None,
    }
}

const fn hooks<'a>(events: &'a [&'a str], form: &'a MergedHooks) -> Request<'a> {
    Request {
        syntax: form.syntax,
        hooks: Some(HookRequest {
            agent: "claude-code",
            events,
            form,
        }),
        status_line: StatusLineRequest::Keep,
    }
}

/// [`super::uninstall`] for [`FORM`].
fn uninstall(
    text: &str,
    parts: Parts,
    record: Option<&UndoRecord>,
) -> Result<String, SettingsError> {
    super::uninstall(text, &FORM, parts, record)
}

/// `install` for the two events, and that `uninstall` undoes it.
fn installed(text: &str) -> String {
    let done = install(text, &HOOKS, PROGRAM, None).unwrap();
    assert_eq!(
        uninstall(&done.text, ONLY_HOOKS, Some(&done.record)).unwrap(),
        text
    );
    let again = install(&done.text, &HOOKS, PROGRAM, Some(&done.record)).unwrap();
    assert_eq!(again, done);
    done.text
}

#[test]
fn an_agent_that_runs_a_shell_gets_one_command() {
    let form = MergedHooks {
        command: CommandForm::Shell,
        timeout: 5000,
        name: Some("ours"),
        async_events: &["Stop"],
        ..FORM
    };
    let request = hooks(&["Stop"], &form);
    let done = super::install(r#"{"a":1}"#, &request, "/a b/acd", None).unwrap();
    assert_eq!(
        done.text,
        r#"{"a":1,"hooks":{"Stop":[{"hooks":[{"type":"command","name":"ours","command":"[ -x '/a b/acd' ] || exit 0; exec '/a b/acd' hook claude-code","timeout":5000,"async":true}]}]}}"#
    );
    let found = inspect(&done.text, &with_form(form)).unwrap().found;
    assert_eq!(found[0].program, "/a b/acd");
    let again = super::install(&done.text, &request, "/a b/acd", Some(&done.record)).unwrap();
    assert_eq!(again, done);
    assert_eq!(
        uninstall(&done.text, ONLY_HOOKS, Some(&done.record)).unwrap(),
        r#"{"a":1}"#
    );
}

/// The text with a hook of ours, on one line, in place of each `@`.
fn with_own_hooks(text: &str) -> String {
    let group = format!(
        r#"{{"hooks":[{{"type":"command","command":"{PROGRAM}","args":["hook","claude-code"],"timeout":5}}]}}"#
    );
    text.replace('@', &group)
}

#[test]
fn a_file_on_one_line_stays_on_it() {
    let table = [
        (
            r#"{"a":1}"#,
            r#"{"a":1,"hooks":{"Stop":[@],"PreToolUse":[@]}}"#,
        ),
        (
            r#"{"hooks":{}}"#,
            r#"{"hooks":{"Stop":[@],"PreToolUse":[@]}}"#,
        ),
        (
            r#"{"hooks":{"Stop":[]}}"#,
            r#"{"hooks":{"Stop":[@],"PreToolUse":[@]}}"#,
        ),
        (
            r#"{"hooks":{"Stop":[1 ]}}"#,
            r#"{"hooks":{"Stop":[1,@ ],"PreToolUse":[@]}}"#,
        ),
        (
            r#"{"hooks":{"PreToolUse":[],"x":{}},"b":2}"#,
            r#"{"hooks":{"PreToolUse":[@],"x":{},"Stop":[@]},"b":2}"#,
        ),
        // Of a repeated key the last counts; a key may be written in escapes.
        (
            r#"{"hooks":{},"hooks":{"Stop":[]}}"#,
            r#"{"hooks":{},"hooks":{"Stop":[@],"PreToolUse":[@]}}"#,
        ),
        (
            r#"{"hooks":{"Stop":[1],"\u0053top":[2]}}"#,
            r#"{"hooks":{"Stop":[1],"\u0053top":[2,@],"PreToolUse":[@]}}"#,
        ),
    ];
    for (text, expected) in table {
        assert_eq!(installed(text), with_own_hooks(expected));
    }
}

#[test]
fn new_text_follows_the_files_indentation_and_line_ends() {
    for (step, end) in [
        ("  ", "\n"),
        ("\t", "\n"),
        ("    ", "\r\n"),
        ("", "\n"),
        (" ", "\r\n"),
    ] {
        let lines = |depths_and_text: &[(usize, &str)], last: &str| {
            let line = |(depth, text): &(usize, &str)| format!("{}{text}", step.repeat(*depth));
            depths_and_text
                .iter()
                .map(line)
                .collect::<Vec<_>>()
                .join(end)
                + last
        };
        let group: [(usize, &str); 12] = [
            (3, "{"),
            (4, r#""hooks": ["#),
            (5, "{"),
            (6, r#""type": "command","#),
            (6, r#""command": "/opt/agent-console","#),
            (6, r#""args": ["#),
            (7, r#""hook","#),
            (7, r#""claude-code""#),
            (6, "],"),
            (6, r#""timeout": 5"#),
            (5, "}"),
            (4, "]"),
        ];
        for last in ["", end] {
            let text = lines(&[(0, "{"), (1, r#""a": 1"#), (0, "}")], last);
            let head = [
                (0, "{"),
                (1, r#""a": 1,"#),
                (1, r#""hooks": {"#),
                (2, r#""Stop": ["#),
            ];
            let between = [(3, "}"), (2, "],"), (2, r#""PreToolUse": ["#)];
            let tail = [(3, "}"), (2, "]"), (1, "}"), (0, "}")];
            let expected = [&head[..], &group, &between, &group, &tail].concat();
            assert_eq!(installed(&text), lines(&expected, last));
        }
    }
}

#[test]
fn an_empty_container_is_empty_again() {
    for text in [
        "",
        " ",
        "\n",
        "\r\n\t",
        "\u{feff}",
        "\u{feff}\n",
        "{}",
        "{ }",
        "{\n}\n",
        "\u{feff}{\r\n\r\n}",
        "{\"hooks\":{}}",
        "{\n  \"hooks\": { }\n}",
        "{\n  \"hooks\": {\n  }\n}",
        "{\"hooks\": {\"Stop\": [ ]}}",
        "{\n\t\"hooks\": {\n\t\t\"Stop\": [\n\t\t]\n\t}\n}\n",
        "  {\n  }  ",
    ] {
        let done = installed(text);
        assert_eq!(
            done.starts_with(BYTE_ORDER_MARK),
            text.starts_with(BYTE_ORDER_MARK)
        );
        // No hook of ours remains without the record, either.
        let bare = uninstall(&done, ONLY_HOOKS, None).unwrap();
        assert_eq!(inspect(&bare, &with_form(FORM)).unwrap().found, []);
        assert_eq!(bare.trim_start_matches(BYTE_ORDER_MARK).trim(), "{}");
    }
}

#[test]
fn without_the_record_only_empty_containers_are_removed() {
    for (text, left) in [
        (r#"{"a": 1}"#, r#"{"a": 1}"#),
        (
            r#"{"a": 1, "hooks": {"Stop": [1]}}"#,
            r#"{"a": 1, "hooks": {"Stop": [1]}}"#,
        ),
        (
            r#"{"a": 1, "hooks": {"Foo": []}}"#,
            r#"{"a": 1, "hooks": {"Foo": []}}"#,
        ),
        (r#"{"a": 1, "hooks": {"Stop": []}}"#, r#"{"a": 1}"#),
        (r#"{"hooks": {}}"#, "{}"),
    ] {
        assert_eq!(uninstall(&installed(text), ONLY_HOOKS, None).unwrap(), left);
    }
}

#[test]
fn a_hook_of_ours_is_recognised_in_every_form() {
    let exec = |command: &str, args: &str| {
        format!(
            r#"{{"type": "command", "command": {}, "args": {args}}}"#,
            quote(command)
        )
    };
    let shell = |command: &str| format!(r#"{{"type": "command", "command": {}}}"#, quote(command));
    let known = [
        (exec("/a/agent-console", r#"["hook"]"#), "/a/agent-console"),
        (exec("/a b/acd", r#"["hook", "claude-code"]"#), "/a b/acd"),
        (exec("agent-console", r#"["hook"]"#), "agent-console"),
        (shell("/a/agent-console hook"), "/a/agent-console"),
        (shell("  acd  hook claude-code"), "acd"),
        (
            shell("'/a b/agent-console' hook; true"),
            "/a b/agent-console",
        ),
        (shell(r#""/a b/agent-console" hook"#), "/a b/agent-console"),
        (
            shell("~/.cargo/bin/agent-console hook 2>/dev/null || true"),
            "~/.cargo/bin/agent-console",
        ),
    ];
    for (handler, program) in known {
        let text = format!(r#"{{"hooks": {{"Stop": [{{"hooks": [{handler}]}}]}}}}"#);
        let found = inspect(&text, &with_form(FORM)).unwrap().found;
        assert_eq!(found.len(), 1, "{handler}");
        assert_eq!(found[0].program, program);
        assert_eq!(uninstall(&text, ONLY_HOOKS, None).unwrap(), "{}");
    }
    let foreign = [
        exec("/a/agent-console", "[]"),
        exec("/a/agent-console", r#"["status", "hook"]"#),
        exec("/a/agent-console", "[5]"),
        exec("/a/agent-console-wrapper", r#"["hook"]"#),
        exec("/a/agent-console hook", r#"["x"]"#),
        shell("agent-console"),
        shell("agent-console hooks"),
        shell("agent-console hook-me"),
        shell("agent-console list hook"),
        shell("echo agent-console hook"),
        shell("'/a/agent-console hook"),
        shell("'agent-console'hook"),
        shell(""),
        r#"{"type": "prompt", "command": "agent-console hook"}"#.to_owned(),
        r#"{"command": "agent-console hook"}"#.to_owned(),
        r#"{"type": "command", "command": 5}"#.to_owned(),
        "5".to_owned(),
    ];
    for handler in foreign {
        let text = format!(r#"{{"hooks": {{"Stop": [{{"hooks": [{handler}]}}]}}}}"#);
        assert_eq!(
            inspect(&text, &with_form(FORM)).unwrap().found,
            [],
            "{handler}"
        );
        assert_eq!(uninstall(&text, ONLY_HOOKS, None).unwrap(), text);
    }
}

#[test]
fn a_hook_that_a_person_wrote_is_not_doubled_and_is_restored() {
    let text = r#"{"hooks": {"Stop": [{"matcher": "*", "hooks": [
        {"type": "command", "command": "\/old\/acd", "args": ["hook", "claude-code"], "timeout": 1},
        {"type": "command", "command": "'/old dir/agent-console' hook || true"}]}], "PreToolUse": []}}"#;
    let first = install(text, &HOOKS, "/new/it's/agent-console", None).unwrap();
    assert!(first.text.contains(
        r#""command": "/new/it's/agent-console", "args": ["hook", "claude-code"], "timeout": 1"#
    ));
    assert!(
        first
            .text
            .contains(r#""command": "\"/new/it's/agent-console\" hook || true""#)
    );
    assert_eq!(
        first.text.matches("hook").count(),
        text.matches("hook").count() + 2
    );
    let second = install(&first.text, &HOOKS, PROGRAM, Some(&first.record)).unwrap();
    assert!(
        second
            .text
            .contains(r#""command": "/opt/agent-console hook || true""#)
    );
    assert!(!second.text.contains("/new/"));
    for done in [first, second] {
        assert_eq!(
            uninstall(&done.text, ONLY_HOOKS, Some(&done.record)).unwrap(),
            text
        );
    }
}

#[test]
fn a_program_at_any_path_is_called_and_recognised() {
    let text = r#"{"hooks":{"Stop":[{"hooks":[{"type":"command","command":"acd hook"}]}]}}"#;
    let program = r"/it's/$HOME/acd";
    let done = install(text, &hooks(&["Stop"], &FORM), program, None).unwrap();
    assert_eq!(
        inspect(&done.text, &with_form(FORM)).unwrap().found[0].program,
        program
    );
    assert_eq!(
        uninstall(&done.text, ONLY_HOOKS, Some(&done.record)).unwrap(),
        text
    );
}

#[test]
fn another_program_replaces_the_first() {
    let text = "{\n  \"hooks\": {\n    \"Stop\": []\n  }\n}\n";
    let first = install(text, &HOOKS, "/first/agent-console", None).unwrap();
    let second = install(&first.text, &HOOKS, PROGRAM, Some(&first.record)).unwrap();
    assert_eq!(second.text, first.text.replace("/first", "/opt"));
    assert_eq!(
        uninstall(&second.text, ONLY_HOOKS, Some(&second.record)).unwrap(),
        text
    );
}

#[test]
fn errors_name_the_line_and_column() {
    let table = [
        ("{\n  \"a\": 1,\n}", "3:1: no valid JSON: trailing comma"),
        ("{\n  // no\n}", "2:3: no valid JSON: key must be a string"),
        ("{\"a\": 1} {}", "1:10: no valid JSON: trailing characters"),
        ("{\"ä\": 'x'}", "1:7: no valid JSON: expected value"),
        ("{\"a\": [1, NaN]}", "1:11: no valid JSON: expected value"),
        ("[]", "1:1: what the file holds is a list, not an object"),
        (
            "\u{feff}null",
            "1:1: what the file holds is null, not an object",
        ),
        (
            "{\n  \"hooks\": 5\n}",
            "2:12: hooks is a number, not an object",
        ),
        (
            "{\"é\": 1, \"hooks\": []}",
            "1:19: hooks is a list, not an object",
        ),
        (
            "{\"hooks\": {\n\t\"Stop\": {}}}",
            "2:10: hooks.Stop is an object, not a list",
        ),
        (
            "{\"hooks\": {\"Stop\": \"x\"}}",
            "1:20: hooks.Stop is a string, not a list",
        ),
    ];
    for (text, expected) in table {
        let error = install(text, &HOOKS, PROGRAM, None).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(inspect(text, &with_form(FORM)).unwrap_err(), error);
        // What has the wrong shape holds nothing of ours.
        match uninstall(text, ONLY_HOOKS, None) {
            Ok(left) => assert_eq!(left, text),
            Err(refused) => assert_eq!(refused, error),
        }
    }
    // Events that are not ours to register, and wrong entries in lists, are skipped as Claude Code skips them.
    installed(
        r#"{"hooks": {"Foo": 5, "Stop": [5, {}, {"hooks": 5}, {"hooks": [{"type": "zzz"}, 5]}]}}"#,
    );
    let end = install("{\"a\": 1", &HOOKS, PROGRAM, None).unwrap_err();
    assert_eq!((end.line, end.column > 6), (1, true));
}

#[test]
fn disabled_hooks_are_reported() {
    for (text, disabled) in [
        ("", false),
        ("{}", false),
        (r#"{"disableAllHooks": false}"#, false),
        (r#"{"disableAllHooks": true}"#, true),
        (r#"{"disableAllHooks": true, "disableAllHooks": 1}"#, false),
    ] {
        let found = inspect(text, &with_form(FORM)).unwrap().disabled_by;
        assert_eq!(found, disabled.then_some("disableAllHooks"), "{text}");
    }
}

#[test]
fn large_and_deep_files_are_edited() {
    let rows: Vec<String> = (0..30_000)
        .map(|row| format!("    \"key {row}\": [\"\\u00e4ö\\\\ {row}\", {row}.50, {{ }}]"))
        .collect();
    let wide = format!(
        "{{\r\n  \"env\": {{\r\n{}\r\n  }}\r\n}}\r\n",
        rows.join(",\r\n")
    );
    assert!(wide.len() > 1_500_000);
    installed(&wide);
    let group = r#"{"matcher": "x", "hooks": [{"type": "command", "command": "true"}]}"#;
    let many = format!(
        "{{\"hooks\": {{\"Stop\": [{}]}}}}",
        vec![group; 20_000].join(", ")
    );
    assert!(many.len() > 1_300_000);
    installed(&many);
    let long = format!("{{\"a\": \"{}\"}}", "é\\n".repeat(500_000));
    installed(&long);
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    installed(&deep);
}
