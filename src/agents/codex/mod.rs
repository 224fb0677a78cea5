//! Codex CLI: its hooks, its lock files and its rollouts, as observed with 0.171.0.
//!
//! Pure, except for what asks Codex for a person's trust in hooks, and for `login`, which reads from an open file. A
//! terminal's Codex either runs its conversations itself, or is a client of one app server that runs those of all
//! terminals. Other modules use [`AGENT`].

mod app_server;
mod commands;
mod control;
mod events;
mod files;
mod limits;
mod login;
mod names;
mod payload;
pub(super) mod recordings;
mod rollout;
mod thread;
mod trust;

use serde_json::value::RawValue;

use super::command_line::program_paths;
use super::tolerant::{filter, object};
use super::{
    Agent, CommandForm, ConfigDir, HookProcess, Install, InstallForm, Limits, MergedHooks, Syntax,
    Variables,
};
use crate::event::{AgentEvent, Timing};
use payload::Payload;
pub(super) use trust::TRUST;

const PROGRAM: &str = "codex";

/// Codex CLI's entry in the table of agents.
pub(super) static AGENT: Agent = Agent {
    name: "codex",
    title: "Codex CLI",
    sign: "CX",
    program: PROGRAM,
    recorded_with: "0.171.0",
    config_dir: ConfigDir {
        variable: "CODEX_HOME",
        below_variable: "",
        below_home: ".codex",
    },
    hook: HookProcess {
        // It sets no variable.
        pid_variable: None,
        mark_variable: None,
        variable_prefix: "CODEX",
        is_program,
        attended_variable: None,
        is_attended: Some(is_attended),
        is_shared: Some(|arguments| arguments.iter().any(|argument| argument == "app-server")),
    },
    interpret,
    registry: None,
    timing: Timing {
        settle_ms: 0,
        settle_next_ms: 0,
        settle_task_ms: 0,
        // A hook comes within 30 ms of the line of the rollout, or on a busy machine within 0.3 s (0.171.0).
        race_ms: 500,
        confirm_ms: 0,
        overdue_ms: 0,
        // A queued prompt's turn begins 0.05 to 0.15 s after the end of the one before it, or with slow hooks 0.22 s
        // (0.171.0).
        settle_end_ms: 400,
    },
    files: Some(|| Box::new(files::Files::default())),
    status_line: None,
    limits: Some(Limits {
        windows: limits::WINDOWS,
        // Each answer's figures are in the rollout.
        is_fetched: false,
        login_files: |directory, _| vec![directory.join(login::FILE)],
        read_login: login::read,
    }),
    install: Install {
        settings: "hooks.json",
        form: InstallForm::Merged(MergedHooks {
            // One comment, and the file is dropped whole.
            syntax: Syntax::Json,
            command: CommandForm::Shell,
            // Seconds; more than 3 are cut to that for `SessionEnd`, with a warning.
            timeout: 3,
            // It comes with each request to the model, and its order does not matter.
            async_events: &["PostModelRequest"],
            name: None,
            only_keys: &["description", "hooks"],
            // A person's trust is kept by event, group and place.
            keeps_places: true,
        }),
        events: EVENTS,
        switches: &[],
        layers: None,
        after_change: None,
        needed: None,
    },
    resume,
    model_label: |model| model,
};

/// The events that say something about a session's status. `PreModelRequest` adds nothing to `PostModelRequest`, which is
/// the only one of a failed request.
const EVENTS: &[&str] = &[
    "SessionStart",
    "SessionEnd",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PermissionRequest",
    "Interrupt",
    "Stop",
    "SubagentStart",
    "SubagentStop",
    "PreCompact",
    "PostCompact",
    "PostModelRequest",
];

/// Reduces a payload to the allow-list.
pub(super) fn filter_payload(
    payload: &[u8],
    _event: Option<&str>,
) -> serde_json::Result<Box<RawValue>> {
    filter::<Payload>(payload)
}

/// Converts a hook's payload; `None` if it is none.
fn interpret(payload: &str, _at: u64) -> Option<AgentEvent> {
    events::event(&object(payload.as_bytes()).ok()?)
}

/// A native program, which the npm package's script starts or becomes.
fn is_program(names: &[String], arguments: &[String]) -> bool {
    let is_script =
        |path: &str| path.contains("/@openai/codex/") || path.ends_with("/bin/codex.js");
    names.iter().any(|name| name == PROGRAM) || program_paths(arguments).any(is_script)
}

/// True for the app server that runs the conversations of all terminals.
fn is_engine(names: &[String], arguments: &[String]) -> bool {
    is_program(names, arguments) && arguments.iter().any(|argument| argument == "app-server")
}

/// True for a Codex that a person may sit at.
fn is_terminal(names: &[String], arguments: &[String]) -> bool {
    is_program(names, arguments) && !is_engine(names, arguments) && !is_run(arguments)
}

/// Codex CLI's options whose value is an argument of its own (`codex --help`, 0.171.0).
const WITH_VALUE: &[&str] = &[
    "-c",
    "--config",
    "--enable",
    "--disable",
    "--remote",
    "--remote-auth-token-env",
    "-i",
    "--image",
    "-m",
    "--model",
    "--local-provider",
    "-p",
    "--profile",
    "-s",
    "--sandbox",
    "-C",
    "--cd",
    "--add-dir",
    "-a",
    "--ask-for-approval",
];

/// `codex exec` and `codex review` run once, and `codex mcp-server` serves another program: they ask no person.
fn is_run(arguments: &[String]) -> bool {
    let mut arguments = arguments.iter().skip(1).map(String::as_str);
    loop {
        match arguments.next() {
            Some(option) if WITH_VALUE.contains(&option) => _ = arguments.next(),
            // The script of an interpreter.
            Some(other) if other.starts_with('-') || other.ends_with("/codex.js") => {}
            command => return matches!(command, Some("exec" | "e" | "review" | "mcp-server")),
        }
    }
}

fn is_attended(_variable: &Variables<'_>, arguments: &[String], _on_terminal: bool) -> bool {
    !is_run(arguments)
}

fn resume(session_id: &str) -> Vec<String> {
    [PROGRAM, "resume", session_id].map(Into::into).into()
}

#[cfg(test)]
mod files_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn the_app_server_is_no_terminal() {
        let names = texts(&["codex"]);
        let server = texts(&[
            "/home/dev/.codex/packages/bin/codex",
            "app-server",
            "--listen",
            "unix",
        ]);
        assert!(is_engine(&names, &server));
        assert!(!is_terminal(&names, &server));
        assert!(is_terminal(&names, &texts(&["codex", "resume", "--last"])));
        assert!(!is_terminal(&names, &texts(&["codex", "exec", "hello"])));
        let editor = texts(&["vim", "/src/@openai/codex/README.md"]);
        assert!(!is_terminal(&texts(&["vim"]), &editor));
        let script = texts(&["node", "/opt/@openai/codex/bin/codex.js"]);
        assert!(is_terminal(&texts(&["node"]), &script));
    }

    #[test]
    fn a_run_without_a_person_is_known_by_its_command() {
        let none = |_: &str| -> Option<std::ffi::OsString> { None };
        let attended = |arguments: &[&str]| is_attended(&none, &texts(arguments), true);
        assert!(attended(&["/opt/bin/codex"]));
        assert!(!attended(&["codex", "exec"]));
        assert!(!attended(&[
            "codex", "-m", "gpt-5", "--search", "-C", "/w", "review"
        ]));
        assert!(attended(&["codex", "-m", "exec"]));
        assert!(!attended(&[
            "node",
            "/opt/bin/codex.js",
            "--json",
            "exec",
            "x"
        ]));
    }

    #[test]
    fn a_conversation_is_resumed_by_its_id() {
        assert_eq!(resume("0b1c"), ["codex", "resume", "0b1c"]);
    }
}
