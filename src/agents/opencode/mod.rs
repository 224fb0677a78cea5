//! opencode: a plugin of this program's own sends its events, as observed with 1.18.33.
//!
//! opencode runs no commands on its events. [`PLUGIN`] is loaded into its process and writes to the daemon's socket
//! itself, so there is no hook process. Pure. Other modules use [`AGENT`].

mod events;
mod payload;
pub(super) mod recordings;

use serde_json::Value;

use serde_json::value::RawValue;

use super::command_line::program_paths;
use super::tolerant::{filter, object};
use super::{Agent, ConfigDir, HookProcess, Install, InstallForm, OwnFileValues};
use crate::event::{AgentEvent, Timing};
use payload::Payload;

const PROGRAM: &str = "opencode";

/// opencode's entry in the table of agents.
pub(super) static AGENT: Agent = Agent {
    name: "opencode",
    title: "opencode",
    sign: "OC",
    program: PROGRAM,
    recorded_with: "1.18.33",
    config_dir: ConfigDir {
        variable: "OPENCODE_CONFIG_DIR",
        below_variable: "",
        below_home: ".config/opencode",
    },
    hook: HookProcess {
        pid_variable: Some("OPENCODE_PID"),
        mark_variable: Some("OPENCODE"),
        variable_prefix: "OPENCODE",
        is_program,
        attended_variable: None,
        is_attended: None,
        is_shared: None,
    },
    interpret,
    registry: None,
    // The events of a process come in order and from one source: only a late end of an interrupted turn is waited for.
    timing: Timing {
        settle_ms: 0,
        settle_next_ms: 0,
        settle_task_ms: 0,
        // An interrupt's second `idle` comes 170 ms after the first (1.18.33).
        race_ms: 500,
        confirm_ms: 0,
        overdue_ms: 0,
        settle_end_ms: 0,
    },
    files: None,
    status_line: None,
    limits: None,
    install: Install {
        settings: "plugins/agent-console.js",
        form: InstallForm::OwnFile,
        events: &[],
        switches: &[],
        layers: None,
        after_change: Some("restart opencode where it runs: it loads plugins at its start"),
        needed: Some((
            "node_modules/@opencode-ai/plugin",
            "opencode fetches the package @opencode-ai/plugin at its next start; without a network that start, and each one after it, waits for about 70 s",
        )),
    },
    resume,
    model_label: |model| model,
};

/// The plugin as it is in the source, without a socket.
const PLUGIN: &str = include_str!("plugin.js");

/// `plugins/agent-console.js`.
pub(super) fn plugin_file(values: &OwnFileValues<'_>) -> String {
    let socket = Value::from(values.socket);
    PLUGIN.replacen(
        r#"const CONFIGURED_SOCKET = """#,
        &format!("const CONFIGURED_SOCKET = {socket}"),
        1,
    )
}

/// Reduces a payload to the allow-list.
pub(super) fn filter_payload(
    payload: &[u8],
    _event: Option<&str>,
) -> serde_json::Result<Box<RawValue>> {
    filter::<Payload>(payload)
}

/// Converts an event of the plugin; `None` if it is none.
fn interpret(payload: &str, _at: u64) -> Option<AgentEvent> {
    events::event(&object(payload.as_bytes()).ok()?)
}

/// One program, also in the npm package; older packages start it by Node.js.
fn is_program(names: &[String], arguments: &[String]) -> bool {
    let is_name = |name: &String| name == PROGRAM || name == "opencode.exe";
    let is_packaged = |path: &str| path.contains("/opencode-ai/");
    names.iter().any(is_name) || program_paths(arguments).any(is_packaged)
}

fn resume(session_id: &str) -> Vec<String> {
    [PROGRAM, "--session", session_id].map(Into::into).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_resumed_by_its_id() {
        assert_eq!(resume("ses_1"), ["opencode", "--session", "ses_1"]);
    }

    #[test]
    fn the_program_is_known_by_its_name_and_by_its_package() {
        let is = |names: &[&str], arguments: &[&str]| {
            let owned = |words: &[&str]| words.iter().map(|&word| word.into()).collect::<Vec<_>>();
            is_program(&owned(names), &owned(arguments))
        };
        assert!(is(&["opencode"], &[]));
        assert!(is(
            &["node"],
            &["node", "/usr/lib/node_modules/opencode-ai/bin/opencode"]
        ));
        assert!(!is(&["node"], &["node", "server.js"]));
        let script = "/usr/lib/node_modules/opencode-ai/bin/opencode";
        assert!(!is(&["vim"], &["vim", script]));
    }
}
