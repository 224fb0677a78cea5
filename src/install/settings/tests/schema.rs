//! The hooks part of Claude Code's settings as its published schema has it
//! (<https://json.schemastore.org/claude-code-settings.json>, `hooks`, `hookMatcher` and `hookCommand`), as a check.

use serde_json::Value;

/// What a field may hold.
#[derive(Clone, Copy)]
enum Is {
    Text,
    /// At least one character.
    SomeText,
    AboveZero,
    Truth,
    Texts,
    Object,
    OneOf(&'static [&'static str]),
}

type Fields = &'static [(&'static str, Is)];

/// The kinds of hooks: name, fields that must be there, fields that may be there. No others may.
const KINDS: [(&str, Fields, Fields); 5] = [
    (
        "command",
        &[("command", Is::SomeText)],
        &[
            ("timeout", Is::AboveZero),
            ("async", Is::Truth),
            ("asyncRewake", Is::Truth),
            ("shell", Is::OneOf(&["bash", "powershell"])),
            ("if", Is::Text),
            ("statusMessage", Is::Text),
            ("args", Is::Texts),
        ],
    ),
    (
        "prompt",
        &[("prompt", Is::SomeText)],
        &[
            ("model", Is::Text),
            ("timeout", Is::AboveZero),
            ("if", Is::Text),
            ("statusMessage", Is::Text),
            ("continueOnBlock", Is::Truth),
        ],
    ),
    (
        "agent",
        &[("prompt", Is::SomeText)],
        &[
            ("model", Is::Text),
            ("timeout", Is::AboveZero),
            ("if", Is::Text),
            ("statusMessage", Is::Text),
        ],
    ),
    (
        "http",
        &[("url", Is::SomeText)],
        &[
            ("headers", Is::Object),
            ("allowedEnvVars", Is::Texts),
            ("timeout", Is::AboveZero),
            ("if", Is::Text),
            ("statusMessage", Is::Text),
        ],
    ),
    (
        "mcp_tool",
        &[("server", Is::SomeText), ("tool", Is::SomeText)],
        &[
            ("input", Is::Object),
            ("timeout", Is::AboveZero),
            ("if", Is::Text),
            ("statusMessage", Is::Text),
        ],
    ),
];

/// The events that Claude Code 2.1.330 names when it meets one that it does not know, as far as it names them.
const EVENTS: [&str; 30] = [
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "PostToolBatch",
    "Notification",
    "UserPromptSubmit",
    "UserPromptExpansion",
    "SessionStart",
    "SessionEnd",
    "Stop",
    "StopFailure",
    "SubagentStart",
    "SubagentStop",
    "PreCompact",
    "PostCompact",
    "PreModelSwitch",
    "PostModelSwitch",
    "PermissionRequest",
    "PermissionDenied",
    "Setup",
    "TeammateIdle",
    "TaskCreated",
    "TaskCompleted",
    "Elicitation",
    "ElicitationResult",
    "ConfigChange",
    "WorktreeCreate",
    "WorktreeRemove",
    "InstructionsLoaded",
    "CwdChanged",
];

fn holds(value: &Value, is: Is) -> bool {
    match is {
        Is::Text => value.is_string(),
        Is::SomeText => value.as_str().is_some_and(|text| !text.is_empty()),
        Is::AboveZero => value.as_f64().is_some_and(|number| number > 0.0),
        Is::Truth => value.is_boolean(),
        Is::Texts => value
            .as_array()
            .is_some_and(|all| all.iter().all(Value::is_string)),
        Is::Object => value.is_object(),
        Is::OneOf(texts) => value.as_str().is_some_and(|text| texts.contains(&text)),
    }
}

fn handler(value: &Value) -> bool {
    let Some(fields) = value.as_object() else {
        return false;
    };
    KINDS.iter().any(|(kind, must, may)| {
        fields.get("type").is_some_and(|found| found == kind)
            && must.iter().all(|(name, _)| fields.contains_key(*name))
            && fields
                .iter()
                .filter(|(name, _)| *name != "type")
                .all(|(name, value)| {
                    let known = must.iter().chain(*may).find(|(known, _)| known == name);
                    known.is_some_and(|(_, is)| holds(value, *is))
                })
    })
}

fn group(value: &Value) -> bool {
    let Some(fields) = value.as_object() else {
        return false;
    };
    let known = fields
        .keys()
        .all(|name| name == "matcher" || name == "hooks");
    let matcher = fields.get("matcher").is_none_or(Value::is_string);
    let hooks = fields.get("hooks").and_then(Value::as_array);
    known && matcher && hooks.is_some_and(|hooks| hooks.iter().all(handler))
}

/// Whether the settings are valid as far as hooks go.
pub(super) fn valid(settings: &Value) -> bool {
    settings.as_object().is_some_and(|settings| {
        settings.get("hooks").is_none_or(|hooks| {
            hooks.as_object().is_some_and(|hooks| {
                hooks.iter().all(|(event, groups)| {
                    EVENTS.contains(&event.as_str())
                        && groups
                            .as_array()
                            .is_some_and(|groups| groups.iter().all(group))
                })
            })
        })
    })
}

#[test]
fn the_check_refuses_what_the_schema_refuses() {
    let with = |hook: &str| {
        let text = format!(r#"{{"hooks": {{"Stop": [{{"hooks": [{hook}]}}]}}}}"#);
        valid(&serde_json::from_str(&text).unwrap())
    };
    assert!(with(
        r#"{"type": "command", "command": "x", "args": ["hook"], "timeout": 5}"#
    ));
    for wrong in [
        "5",
        "{}",
        r#"{"type": "command"}"#,
        r#"{"type": "command", "command": ""}"#,
        r#"{"type": "command", "command": "x", "timeout": 0}"#,
        r#"{"type": "command", "command": "x", "args": [1]}"#,
        r#"{"type": "command", "command": "x", "more": 1}"#,
        r#"{"type": "zzz", "command": "x"}"#,
        r#"{"type": "http", "command": "x"}"#,
    ] {
        assert!(!with(wrong), "{wrong}");
    }
    for wrong in [
        r#"{"hooks": []}"#,
        r#"{"hooks": {"Foo": []}}"#,
        r#"{"hooks": {"Stop": {}}}"#,
        r#"{"hooks": {"Stop": [{}]}}"#,
    ] {
        assert!(!valid(&serde_json::from_str(wrong).unwrap()), "{wrong}");
    }
}
