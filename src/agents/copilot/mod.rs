//! GitHub Copilot CLI: its hooks and its own files, as observed with 1.0.102.
//!
//! A payload does not name its event, so each hook's command line does. Pure. Other modules use [`AGENT`].

mod events;
mod files;
mod log;
mod payload;
mod process;
pub(super) mod recordings;
mod session;

use serde_json::{Map, Value, json};

use super::command_line::program_paths;
use super::prompt_mode::is_prompt_mode;
use super::tolerant::object;
use super::{
    Agent, ConfigDir, HookProcess, Install, InstallForm, OwnFileValues, Variables, hook_command,
};
use crate::event::{AgentEvent, Timing};
pub(super) use payload::filter as filter_payload;

const PROGRAM: &str = "copilot";

/// Longer than any session lasts, in ms: a year.
const NEVER_MS: u64 = 365 * 86_400_000;

/// Copilot CLI's entry in the table of agents.
pub(super) static AGENT: Agent = Agent {
    name: "copilot",
    title: "Copilot CLI",
    sign: "CP",
    program: PROGRAM,
    recorded_with: "1.0.102",
    config_dir: ConfigDir {
        variable: "COPILOT_HOME",
        below_variable: "",
        below_home: ".copilot",
    },
    hook: HookProcess {
        pid_variable: None,
        mark_variable: Some("COPILOT_CLI"),
        variable_prefix: "COPILOT",
        is_program,
        attended_variable: None,
        is_attended: Some(is_attended),
        is_shared: None,
    },
    interpret,
    registry: None,
    files: Some(|| Box::new(files::Files::default())),
    // `open-sessions-state.json` follows a turn's beginning within 250 ms, and its end within 350 ms (1.0.102).
    timing: Timing {
        settle_ms: 150,
        settle_next_ms: 500,
        settle_task_ms: 3000,
        race_ms: 500,
        // It also says that the session works while a dialog is open.
        confirm_ms: NEVER_MS,
        overdue_ms: 0,
        settle_end_ms: 0,
    },
    status_line: None,
    limits: None,
    install: Install {
        settings: "hooks/agent-console.json",
        form: InstallForm::OwnFile,
        events: EVENTS,
        switches: &[],
        layers: None,
        after_change: Some(
            "Copilot CLI reads its hooks when a session starts: running ones go on without",
        ),
        needed: None,
    },
    resume,
    model_label: |model| model,
};

/// The events that say something about a session's status. Never `permissionRequest`, which comes for allowed calls, too,
/// nor `userPromptTransformed` and `preMcpToolCall`: they would cost time and say nothing.
const EVENTS: &[&str] = &[
    "sessionStart",
    "sessionEnd",
    "userPromptSubmitted",
    "preToolUse",
    "postToolUse",
    "postToolUseFailure",
    "errorOccurred",
    "agentStop",
    "subagentStart",
    "subagentStop",
    "preCompact",
    "notification",
];

/// How long Copilot CLI waits for a hook, in seconds.
const TIMEOUT_S: u32 = 5;

/// `hooks/agent-console.json`: a handler for each event, with the event's name as an argument. A `preToolUse` that fails
/// would deny the tool (1.0.102).
pub(super) fn hooks_file(values: &OwnFileValues<'_>) -> String {
    let handler = |&event: &&str| {
        let command = hook_command(values.program, &["copilot", event]);
        let handler = json!({"type": "command", "bash": command, "timeoutSec": TIMEOUT_S});
        (event.to_owned(), json!([handler]))
    };
    let hooks: Map<String, Value> = EVENTS.iter().map(handler).collect();
    format!("{:#}\n", json!({"version": 1, "hooks": hooks}))
}

/// Converts a payload of a hook; `None` if it is none.
fn interpret(payload: &str, _at: u64) -> Option<AgentEvent> {
    events::event(&object(payload.as_bytes()).ok()?)
}

/// The native program; that of the npm package lies below `@github/copilot-…`.
fn is_program(names: &[String], arguments: &[String]) -> bool {
    names.iter().any(|name| name == PROGRAM)
        || program_paths(arguments).any(|path| {
            path.contains("/@github/copilot/")
                || path.contains("/@github/copilot-linux")
                || path.contains("/@github/copilot-darwin")
        })
}

/// Terminal sessions name their launcher; `copilot -p`, and one without a terminal, do not, but may inherit the name from
/// one.
fn is_attended(variable: &Variables<'_>, arguments: &[String], is_on_terminal: bool) -> bool {
    is_on_terminal && variable("COPILOT_LOADER_PID").is_some() && !is_prompt_mode(arguments)
}

fn resume(session_id: &str) -> Vec<String> {
    vec![PROGRAM.into(), format!("--resume={session_id}")]
}

#[cfg(test)]
mod files_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.into()).collect()
    }

    #[test]
    fn a_conversation_is_resumed_by_its_id() {
        assert_eq!(resume("s1"), ["copilot", "--resume=s1"]);
    }

    #[test]
    fn an_event_that_says_nothing_gets_no_hook() {
        for never in [
            "permissionRequest",
            "userPromptTransformed",
            "preMcpToolCall",
        ] {
            assert!(!EVENTS.contains(&never));
        }
    }

    #[test]
    fn the_program_is_known_by_its_name_and_by_its_package() {
        assert!(is_program(&words(&["MainThread", "copilot"]), &[]));
        let packaged = words(&["/opt/node_modules/@github/copilot-linux-x64/copilot"]);
        assert!(is_program(&words(&["MainThread"]), &packaged));
        let launcher = words(&["node", "/opt/node_modules/@github/copilot/npm-loader.js"]);
        assert!(is_program(&words(&["node"]), &launcher));
        for other in [
            &["node", "a.js"][..],
            &[
                "node",
                "/opt/node_modules/@github/copilot-language-server/dist/main.js",
            ],
            &["vim", "/opt/node_modules/@github/copilot/index.js"],
        ] {
            assert!(!is_program(&words(&other[..1]), &words(other)), "{other:?}");
        }
    }

    #[test]
    fn a_person_sits_at_a_session_in_a_terminal() {
        let with = |name: &str| (name == "COPILOT_LOADER_PID").then(|| "7".into());
        let attended = |line: &[&str]| is_attended(&with, &words(line), true);
        assert!(attended(&["copilot"]));
        for prompt in [
            &["-p", "x"][..],
            &["-px"],
            &["--prompt", "x"],
            &["--prompt=x"],
        ] {
            assert!(!attended(prompt), "{prompt:?}");
        }
        assert!(!is_attended(&with, &words(&["copilot"]), false));
        assert!(!is_attended(&|_| None, &words(&["copilot"]), true));
    }
}
