//! Which process is the agent that runs this hook, if it is the agent that the hook is registered for.
//!
//! Other programs read an agent's settings on purpose and run its hooks, and a program that an agent has started inherits
//! its environment. So the name on the command line is a claim, which the environment and the processes above this one
//! must confirm; a hook that nothing confirms reports nothing. What confirms an agent is in its table
//! ([`crate::agents::HookProcess`]). Called by the parent module.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::agents::{self, Agent};
use crate::config::variable;
use crate::os::{environment, process};

/// How many processes above this one are looked at: more than shells and wrappers there are.
const MAX_ANCESTORS: usize = 12;

/// What runs a hook's command on behalf of an agent. None of them is an agent.
const SHELLS: &[&str] = &[
    "sh", "dash", "bash", "zsh", "ksh", "mksh", "ash", "fish", "tcsh", "csh", "busybox", "nu",
    "env", "timeout", "nice", "nohup", "setsid", "stdbuf",
];

/// Agents that are not in the table, by the name of the program: they may run other agents' hooks, or be started by
/// another agent.
const OTHER_AGENTS: &[&str] = &[
    "grok",
    "devin",
    "cursor",
    "cursor-agent",
    "amp",
    "goose",
    "aider",
    "droid",
    "crush",
    "kiro-cli",
    "auggie",
    "windsurf",
    "cline",
];

/// Of how many arguments the last part may be the program's name: that of an interpreter, an option, a script.
const NAMED_ARGUMENTS: usize = 3;

/// A process above this one.
#[derive(Debug, Default)]
struct Ancestor {
    pid: u32,
    /// What it may be called: its name, and the last parts of its first arguments.
    names: Vec<String>,
    /// Its first arguments as they are.
    arguments: Vec<String>,
    /// Whether the agent's registry has an entry for it.
    is_registered: bool,
}

impl Ancestor {
    fn is_any_of(&self, names: &[&str]) -> bool {
        self.names.iter().any(|name| names.contains(&&**name))
    }

    fn is_program_of(&self, agent: &Agent) -> bool {
        (agent.hook.is_program)(&self.names, &self.arguments)
    }

    fn is_shell(&self) -> bool {
        // A login shell's name begins with a dash. A script's name is behind that of its shell.
        let first = self.names.first().map(|name| name.trim_start_matches('-'));
        first.is_some_and(|name| SHELLS.contains(&name)) || self.is_inline()
    }

    /// True for Node.js with a text as its program: an agent runs a hook through one that may outlive the agent.
    fn is_inline(&self) -> bool {
        let mut options = self.arguments.iter().take(NAMED_ARGUMENTS);
        self.is_any_of(&["node"]) && options.any(|option| option == "--eval")
    }
}

/// What the environment says.
#[derive(Debug, Default)]
struct Environment {
    /// The agent's process id, from the variable that only the agent sets.
    pid: Option<u32>,
    /// Whether a variable is set that the agent sets for whatever it starts.
    is_marked: bool,
    /// Whether a variable is set by which another agent marks its hooks.
    is_foreign: bool,
}

/// The process id of the agent that runs this hook; `None` if it is not `agent`, or nothing says that it is.
pub(super) fn agent_pid(agent: &Agent, config_dir: Option<&Path>, parent: u32) -> Option<u32> {
    let hook = &agent.hook;
    let environment = Environment {
        pid: hook.pid_variable.and_then(variable).and_then(|pid| {
            let pid = pid.to_str()?.parse().ok().filter(|pid| *pid > 0)?;
            // A thread's id names its process: no descriptor shows the end of a thread.
            Some(process::of_thread(pid).unwrap_or(pid))
        }),
        is_marked: hook
            .mark_variable
            .is_some_and(|name| variable(name).is_some()),
        is_foreign: environment::names().any(|name| is_foreign_mark(agent, &name)),
    };
    let registry = config_dir.zip(agent.registry.as_ref());
    let is_registered = |pid| {
        registry.is_some_and(|(directory, registry)| {
            let file = (registry.file_name)(pid);
            directory.join(registry.directory).join(file).exists()
        })
    };
    decide(
        agent,
        &environment,
        &ancestors(parent, environment.pid, is_registered),
    )
}

/// `parent` and the processes above it, up to the first that is no shell, or `last`.
fn ancestors(parent: u32, last: Option<u32>, is_registered: impl Fn(u32) -> bool) -> Vec<Ancestor> {
    let mut found = Vec::new();
    let mut pid = parent;
    while pid > 0 && found.len() < MAX_ANCESTORS {
        let arguments = process::first_arguments(pid);
        let names = process::name(pid).into_iter();
        let last_part = |argument: &String| Some(argument.rsplit('/').next()?.to_owned());
        let ancestor = Ancestor {
            pid,
            names: names
                .chain(arguments.iter().take(NAMED_ARGUMENTS).filter_map(last_part))
                .collect(),
            arguments,
            is_registered: is_registered(pid),
        };
        // Only shells hide the process that runs the hook.
        let is_caller = !ancestor.is_shell();
        found.push(ancestor);
        if is_caller || Some(pid) == last {
            break;
        }
        match process::inspect(pid) {
            Ok(process) => pid = process.parent,
            Err(_) => break,
        }
    }
    found
}

fn decide(agent: &Agent, environment: &Environment, ancestors: &[Ancestor]) -> Option<u32> {
    // Shells and wrappers aside, the nearest process is the one that runs the hook.
    let caller = ancestors.iter().find(|ancestor| !ancestor.is_shell());
    let is_agent = |caller: &Ancestor| caller.is_program_of(agent);
    let is_other = caller.is_some_and(|caller| {
        let mut others = agents::ALL.iter().filter(|other| other.name != agent.name);
        let is_another =
            caller.is_any_of(OTHER_AGENTS) || others.any(|other| caller.is_program_of(other));
        is_another && !is_agent(caller) && Some(caller.pid) != environment.pid
    });
    if let Some(pid) = environment.pid {
        let is_caller = caller.is_some_and(|caller| caller.pid == pid);
        // Started by the agent, or its hook's child that outlives it: the variable alone counts, unless it is inherited.
        return (is_caller || !is_other && !environment.is_foreign).then_some(pid);
    }
    let caller = caller?;
    // Whatever the agent has inherited from another that it was started by.
    if is_agent(caller) {
        return Some(caller.pid);
    }
    if is_other || environment.is_foreign {
        return None;
    }
    // A hook that outlives its agent is init's child. In a container the agent may be process 1.
    let is_marked = environment.is_marked && caller.pid != 1;
    (is_marked || caller.is_registered).then_some(caller.pid)
}

/// Whether another agent marks the processes of its hooks by a variable of this name.
fn is_foreign_mark(agent: &Agent, name: &OsString) -> bool {
    let name = String::from_utf8_lossy(name.as_bytes());
    if name.starts_with(agent.hook.variable_prefix) {
        return false;
    }
    if name.contains("_HOOK_EVENT") {
        return true;
    }
    // Terminals have sessions, too: only the name of an agent makes it one of an agent's.
    let Some(program) = name.strip_suffix("_SESSION_ID") else {
        return false;
    };
    let program = program.to_ascii_lowercase().replace('_', "-");
    let mut known = agents::ALL.iter();
    OTHER_AGENTS.contains(&&*program)
        || known.any(|other| other.program == program && other.name != agent.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents;

    const AGENT: &Agent = agents::DEFAULT;

    fn process(pid: u32, command: &[&str]) -> Ancestor {
        let last_part = |argument: &&str| argument.rsplit('/').next().unwrap().to_owned();
        Ancestor {
            pid,
            names: command.iter().map(last_part).collect(),
            arguments: command
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
            is_registered: false,
        }
    }

    fn with_pid(pid: u32) -> Environment {
        Environment {
            pid: Some(pid),
            is_marked: true,
            ..Environment::default()
        }
    }

    fn of_agent() -> [Vec<Ancestor>; 4] {
        [
            // The native program, with and without a shell.
            vec![process(7, &["claude"])],
            vec![process(8, &["sh", "-c"]), process(7, &["/opt/claude.exe"])],
            // The package on Node.js.
            vec![process(
                7,
                &[
                    "node",
                    "node",
                    "/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js",
                ],
            )],
            vec![process(8, &["timeout", "5"]), process(7, &["-x", "claude"])],
        ]
    }

    #[test]
    fn the_agents_own_variable_names_its_process() {
        for ancestors in of_agent() {
            assert_eq!(decide(AGENT, &with_pid(7), &ancestors), Some(7));
        }
        // The hook outlives the agent, or a wrapper runs it.
        assert_eq!(decide(AGENT, &with_pid(7), &[]), Some(7));
        let wrapped = [
            process(9, &["python3", "wrapper.py"]),
            process(7, &["claude"]),
        ];
        assert_eq!(decide(AGENT, &with_pid(7), &wrapped), Some(7));
    }

    #[test]
    fn a_supervisor_that_runs_a_hook_is_not_the_agent() {
        let script = "/usr/lib/node_modules/@qwen-code/qwen-code/cli.js";
        let qwen = agents::find("qwen").unwrap();
        let ancestors = [
            process(9, &["node", "--input-type=commonjs", "--eval"]),
            process(7, &["node", "--expose-gc", script]),
        ];
        let marked = Environment {
            is_marked: true,
            ..Environment::default()
        };
        assert_eq!(decide(qwen, &marked, &ancestors), Some(7));
        assert_eq!(decide(qwen, &marked, &ancestors[..1]), None);
    }

    #[test]
    fn a_version_without_the_variable_is_known_by_its_program() {
        for ancestors in of_agent() {
            let unmarked = Environment::default();
            assert_eq!(decide(AGENT, &unmarked, &ancestors), Some(7));
        }
        let registered = Ancestor {
            is_registered: true,
            ..process(7, &["renamed"])
        };
        assert_eq!(
            decide(AGENT, &Environment::default(), &[registered]),
            Some(7)
        );
        let marked = Environment {
            is_marked: true,
            ..Environment::default()
        };
        let unknown = [process(8, &["sh"]), process(7, &["renamed"])];
        assert_eq!(decide(AGENT, &marked, &unknown), Some(7));
        let init = [process(8, &["sh"]), process(1, &["systemd"])];
        assert_eq!(decide(AGENT, &marked, &init), None);
        let container = [process(8, &["sh"]), process(1, &["claude"])];
        assert_eq!(decide(AGENT, &marked, &container), Some(1));
    }

    #[test]
    fn a_caller_that_nothing_confirms_is_not_the_agent() {
        for ancestors in [
            vec![],
            vec![process(8, &["bash"])],
            vec![process(8, &["sh", "-c"]), process(7, &["some-agent"])],
            vec![
                process(8, &["sh"]),
                process(7, &["node", "node", "agent.js"]),
            ],
        ] {
            assert_eq!(decide(AGENT, &Environment::default(), &ancestors), None);
        }
    }

    #[test]
    fn each_agent_runs_its_own_hooks() {
        for agent in agents::ALL {
            let ancestors = [process(8, &["bash"]), process(7, &[agent.program])];
            let found = decide(agent, &Environment::default(), &ancestors);
            assert_eq!(found, Some(7), "{}", agent.name);
        }
    }

    #[test]
    fn another_agent_that_runs_the_hook_is_not_the_agent() {
        let foreign = |pid| Environment {
            pid,
            is_marked: true,
            is_foreign: true,
        };
        // It was started by the agent, and inherits the variables.
        let nested = |name| {
            [
                process(9, &["sh", "-c"]),
                process(8, &[name]),
                process(6, &["bash"]),
                process(7, &["claude"]),
            ]
        };
        assert_eq!(decide(AGENT, &foreign(Some(7)), &nested("agent")), None);
        for name in ["grok", "codex", "devin"] {
            assert_eq!(decide(AGENT, &with_pid(7), &nested(name)), None, "{name}");
        }
        // On its own.
        for ancestors in [&[][..], &[process(8, &["sh"])], &nested("agent")[..2]] {
            assert_eq!(decide(AGENT, &foreign(None), ancestors), None);
        }
        // The other way round: the agent was started by another.
        let ancestors = [process(9, &["sh"]), process(7, &["claude"])];
        assert_eq!(decide(AGENT, &foreign(Some(7)), &ancestors), Some(7));
    }

    #[test]
    fn an_agent_that_another_has_started_is_itself() {
        for outer in agents::ALL {
            for inner in agents::ALL.iter().filter(|inner| inner.name != outer.name) {
                let environment = Environment {
                    pid: None,
                    is_marked: false,
                    is_foreign: true,
                };
                let ancestors = [process(9, &["sh", "-c"]), process(8, &[inner.program])];
                let found = decide(inner, &environment, &ancestors);
                assert_eq!(found, Some(8), "{} in {}", inner.name, outer.name);
                // The inner one runs hooks of the outer one.
                for environment in [environment, with_pid(7)] {
                    let found = decide(outer, &environment, &ancestors);
                    assert_eq!(found, None, "{} in {}", inner.name, outer.name);
                }
            }
        }
    }

    #[test]
    fn marks_of_other_agents_are_known_by_their_form() {
        for name in [
            "GROK_HOOK_EVENT",
            "GROK_SESSION_ID",
            "DEVIN_HOOK_EVENT_NAME",
            "NEW_AGENT_HOOK_EVENT",
            "OPENCODE_SESSION_ID",
            "CURSOR_AGENT_SESSION_ID",
        ] {
            assert!(is_foreign_mark(AGENT, &name.into()), "{name}");
        }
        for name in [
            "CLAUDE_CODE_SESSION_ID",
            "CLAUDE_HOOK_EVENT",
            "XDG_SESSION_ID",
            "ITERM_SESSION_ID",
            "CURSOR_TRACE_ID",
            "GEMINI_API_KEY",
            "CODEX_HOME",
        ] {
            assert!(!is_foreign_mark(AGENT, &name.into()), "{name}");
        }
    }
}
