//! Gemini CLI: its hooks and its transcripts, as observed with 0.61.0.
//!
//! Pure. Other modules use [`AGENT`].

mod attended;
mod events;
mod files;
mod payload;
pub(super) mod recordings;
mod seen;

use serde_json::value::RawValue;

use super::command_line::program_paths;
use super::tolerant::{filter, object};
use super::{
    Agent, CommandForm, ConfigDir, HookProcess, Install, InstallForm, MergedHooks, Switch, Syntax,
};
use crate::event::{AgentEvent, Timing};
use payload::Payload;

const PROGRAM: &str = "gemini";

/// Gemini CLI's entry in the table of agents.
pub(super) static AGENT: Agent = Agent {
    name: "gemini",
    title: "Gemini CLI",
    sign: "GM",
    program: PROGRAM,
    recorded_with: "0.61.0",
    // The variable stands for the home.
    config_dir: ConfigDir {
        variable: "GEMINI_CLI_HOME",
        below_variable: ".gemini",
        below_home: ".gemini",
    },
    hook: HookProcess {
        pid_variable: None,
        mark_variable: Some("GEMINI_SESSION_ID"),
        variable_prefix: "GEMINI",
        is_program,
        attended_variable: None,
        is_attended: Some(attended::is_attended),
        is_shared: None,
    },
    interpret,
    registry: None,
    timing: Timing {
        settle_ms: 0,
        settle_next_ms: 0,
        settle_task_ms: 0,
        // The hooks of parallel calls overtake each other by less.
        race_ms: 500,
        confirm_ms: 0,
        overdue_ms: 0,
        // A queued prompt's turn begins 0.1 to 0.3 s after the end of the one before it (0.61.0).
        settle_end_ms: 350,
    },
    files: Some(|| Box::new(files::Files::default())),
    status_line: None,
    limits: None,
    install: Install {
        settings: "settings.json",
        form: InstallForm::Merged(MergedHooks {
            syntax: Syntax::JsonWithComments,
            // Any exit status but 0 and 1 throws the prompt away, also that of a program that is not there.
            command: CommandForm::Shell,
            // Milliseconds.
            timeout: 5000,
            async_events: &[],
            name: Some("agent-console"),
            only_keys: &[],
            keeps_places: false,
        }),
        events: EVENTS,
        switches: &[
            Switch {
                key: "hooksConfig.enabled",
                value: "false",
            },
            Switch {
                key: "hooksConfig.disabled",
                value: r#""agent-console""#,
            },
        ],
        layers: None,
        after_change: Some("restart Gemini CLI where it runs: it reads its hooks at its start"),
        needed: None,
    },
    resume,
    model_label,
};

/// The events that say something about a session's status. `BeforeModel`, `AfterModel` and `BeforeToolSelection` carry the
/// whole conversation each time, and `PreCompress` comes before every request to the model.
const EVENTS: &[&str] = &[
    "SessionStart",
    "SessionEnd",
    "BeforeAgent",
    "AfterAgent",
    "BeforeTool",
    "AfterTool",
    "Notification",
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

/// Node.js runs it: a launcher, and the agent as its child.
fn is_program(names: &[String], arguments: &[String]) -> bool {
    let is_script = |path: &str| {
        path.ends_with("/gemini.js")
            || path.ends_with("/bin/gemini")
            || path.contains("/@google/gemini-cli/")
    };
    names.iter().any(|name| name == PROGRAM) || program_paths(arguments).any(is_script)
}

fn resume(session_id: &str) -> Vec<String> {
    [PROGRAM, "--resume", session_id].map(Into::into).into()
}

/// `gemini-2.5-flash` is `2.5-flash`.
fn model_label(model: &str) -> &str {
    model.strip_prefix("gemini-").unwrap_or(model)
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
    fn the_launcher_and_the_agent_are_known_by_their_script() {
        let agent = texts(&[
            "node",
            "--max-old-space-size=4096",
            "/usr/lib/node_modules/@google/gemini-cli/bundle/gemini.js",
        ]);
        assert!(is_program(&texts(&["node"]), &agent));
        assert!(is_program(
            &texts(&["node"]),
            &texts(&["node", "/usr/bin/gemini"])
        ));
        assert!(!is_program(
            &texts(&["node"]),
            &texts(&["node", "/srv/app.js"])
        ));
    }

    #[test]
    fn a_program_that_only_names_the_script_is_another_one() {
        let script = "/usr/lib/node_modules/@google/gemini-cli/bundle/gemini.js";
        for other in [
            &["vim", script][..],
            &["node", "/srv/app.js", script],
            &["claude", "-p", "explain /@google/gemini-cli/"],
        ] {
            assert!(!is_program(&texts(&other[..1]), &texts(other)), "{other:?}");
        }
    }

    #[test]
    fn a_conversation_is_resumed_by_its_id() {
        assert_eq!(resume("0b1c"), ["gemini", "--resume", "0b1c"]);
    }
}
