//! An agent that another one has started by its shell tool: each hook names the process that runs it, whatever was
//! inherited.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::StandIn;
use crate::support::hook_program;

/// An agent, as a process of its name.
struct Nested {
    agent: &'static str,
    program: &'static str,
    /// How it is asked to run a script once, without a person.
    once: &'static str,
    /// What its children inherit in a terminal; `$$` is its process.
    exports: &'static str,
    /// What it sets for its hooks when it runs once.
    own: &'static str,
    event: &'static str,
}

const AGENTS: [Nested; 4] = [
    Nested {
        agent: "claude-code",
        program: "claude",
        once: "-p exec",
        exports: "CLAUDECODE=1 CLAUDE_PID=$$ CLAUDE_CODE_SESSION_ATTENDED=1 CLAUDE_CODE_SESSION_ID=outer",
        own: "CLAUDE_PID=$$ CLAUDE_CODE_SESSION_ATTENDED=0",
        event: "",
    },
    Nested {
        agent: "codex",
        program: "codex",
        once: "exec",
        exports: "CODEX_SANDBOX=none",
        own: "",
        event: "",
    },
    Nested {
        agent: "copilot",
        program: "copilot",
        once: "-p exec",
        exports: "COPILOT_CLI=1 COPILOT_LOADER_PID=$$",
        own: "COPILOT_CLI=1",
        event: "sessionStart",
    },
    Nested {
        agent: "gemini",
        program: "gemini",
        once: "-p exec",
        exports: "GEMINI_CLI=1 GEMINI_SESSION_ID=outer",
        own: "GEMINI_SESSION_ID=inner",
        event: "",
    },
];

impl Nested {
    /// Runs its hook, as a line of a shell that stands for it.
    fn hook(&self, session_id: &str, socket: &Path) -> String {
        let payload = json!({"hook_event_name": "SessionStart", "session_id": session_id, "sessionId": session_id});
        let (program, socket) = (hook_program().display(), socket.display());
        let Self {
            agent, event, own, ..
        } = self;
        format!("echo '{payload}' | {own} '{program}' hook {agent} {event} --socket '{socket}'\n")
    }
}

#[test]
fn each_hook_names_the_agent_that_runs_it() {
    for outer in &AGENTS {
        for inner in &AGENTS {
            let stand_in = StandIn::new();
            let directory = stand_in.directory.path();
            for agent in [outer, inner] {
                // One may be both.
                let _ = std::os::unix::fs::symlink("/bin/sh", directory.join(agent.program));
            }
            let socket = stand_in.socket();
            let script = |name: &str, text: &str| {
                let text = format!("echo $$ > {name}.pid\n{text}true\n");
                fs::write(directory.join(name), text).unwrap();
            };
            script("exec", &inner.hook("inner", &socket));
            script(
                "outer",
                &format!(
                    "export {}\n/bin/sh -c './{} {}; true'\n{}",
                    outer.exports,
                    inner.program,
                    inner.once,
                    outer.hook("outer", &socket)
                ),
            );
            let status = Command::new(directory.join(outer.program))
                .arg("outer")
                .env_clear()
                .env("HOME", "/nonexistent")
                .current_dir(directory)
                .stdin(Stdio::null())
                .status();
            assert!(status.unwrap().success());
            let pid = |name: &str| {
                let text = fs::read_to_string(directory.join(name).with_extension("pid"));
                text.unwrap().trim().parse::<u32>().unwrap()
            };
            let names = format!("{} in {}", inner.agent, outer.agent);
            let report = stand_in.report();
            assert_eq!(report["agent"], inner.agent, "{names}");
            assert_eq!(report["pid"], pid("exec"), "{names}");
            assert_eq!(report["attended"], false, "{names}");
            let report = stand_in.report();
            assert_eq!(report["agent"], outer.agent, "{names}");
            assert_eq!(report["pid"], pid("outer"), "{names}");
        }
    }
}
