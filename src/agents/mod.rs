//! Everything that is specific to an agent: one folder per agent, and one entry in [`ALL`].
//!
//! Data and pure functions; no IO except in an agent's `limits` and `trust`, and in `config_dirs`. `hook` filters events with it, the
//! daemon interprets them and reads registries, `install` and `doctor` take the settings from it. An agent's own terms
//! reach the core only as evidence.

mod allow_list;
mod claude_code;
mod codex;
mod command_line;
pub(crate) mod config_dirs;
mod copilot;
pub(crate) mod files;
mod gemini;
mod hook_command;
mod install;
mod limit_window;
mod neutral;
mod opencode;
mod prompt_mode;
mod question;
mod qwen;
mod report;
mod tolerant;
mod tool_input;
mod trust;
mod turn_failure;

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use self::files::FileReader;
pub(crate) use self::hook_command::{hook_command, quote};
pub(crate) use self::install::{
    CommandForm, Install, InstallForm, Layers, MergedHooks, OwnFile, OwnFileValues, Switch, Syntax,
};
pub(crate) use self::limit_window::LimitWindow;
pub(crate) use self::report::interpret;
pub(crate) use self::tolerant::Text;
pub(crate) use self::trust::{Trust, TrustChange, TrustCounts, TrustError, TrustQuery};
use crate::event::{AgentEvent, RegistryEntry, ReportedProcess, Timing};
use crate::limits::{FetchOutcome, Limit, Login};
use crate::os::process::ProcessId;

/// One agent.
#[derive(Debug)]
pub struct Agent {
    /// On the wire and the command line, such as `codex`.
    pub name: &'static str,
    /// For people, such as `Codex CLI`.
    pub title: &'static str,
    /// For people where there is little room: two capital letters.
    pub sign: &'static str,
    /// The program that people start.
    pub program: &'static str,
    /// The newest version of it that was recorded.
    pub recorded_with: &'static str,
    /// Where its configuration is.
    pub config_dir: ConfigDir,
    /// How its hook process finds the agent.
    pub hook: HookProcess,
    /// Converts a filtered payload of an event that happened at this time, in ms since the epoch; `None` if it is no
    /// event. Runs in the daemon.
    pub interpret: fn(&str, u64) -> Option<AgentEvent>,
    /// Its registry of running processes, if it keeps one.
    pub registry: Option<Registry>,
    /// What reads its other files, if they say what its hooks do not. Runs in the daemon.
    pub(crate) files: Option<fn() -> Box<dyn FileReader>>,
    /// How long its sources may contradict each other.
    pub timing: Timing,
    /// Reads the JSON that a status line's command receives, if the agent has status lines.
    pub status_line: Option<fn(&str) -> StatusLine>,
    /// The account's limits, if the agent's service has any.
    pub limits: Option<Limits>,
    /// What `install` puts in place.
    pub install: Install,
    /// The command that resumes the conversation of this id, as an argument vector.
    pub resume: fn(&str) -> Vec<String>,
    /// A model's name without the parts that all models of the agent share.
    pub model_label: fn(&str) -> &str,
}

/// Where an agent's configuration is.
#[derive(Debug, Clone, Copy)]
pub struct ConfigDir {
    /// The variable that says so.
    pub variable: &'static str,
    /// Below the variable's value; empty: the value itself.
    pub below_variable: &'static str,
    /// Below the home, without the variable.
    pub below_home: &'static str,
}

/// Whether a person attends the session, by the hook's environment, the first arguments of the agent's process, and whether
/// that reads from and writes to a terminal.
pub(crate) type IsAttended = fn(&Variables<'_>, &[String], bool) -> bool;

/// The value of a variable of the environment.
pub(crate) type Variables<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// How the hook's process finds the agent.
#[derive(Debug)]
pub struct HookProcess {
    /// The variable that holds the agent's process id, which no other program sets.
    pub pid_variable: Option<&'static str>,
    /// The variable that the agent sets for whatever it starts.
    pub mark_variable: Option<&'static str>,
    /// How the agent's own variables begin.
    pub variable_prefix: &'static str,
    /// Whether a process is the agent's program, by its names and its first arguments.
    pub is_program: fn(&[String], &[String]) -> bool,
    /// The variable that is `1` where a person attends the session and `0` where none does.
    pub attended_variable: Option<&'static str>,
    /// Without that variable: whether a person does.
    pub(crate) is_attended: Option<IsAttended>,
    /// Whether a process of the agent serves sessions of several terminals, by its first arguments. What it knows of a
    /// terminal is not the session's.
    pub is_shared: Option<fn(&[String]) -> bool>,
}

/// A directory in which an agent keeps a file for each running process.
#[derive(Debug)]
pub struct Registry {
    /// Below the configuration directory.
    pub directory: &'static str,
    /// The process of the file of this name; `None`: the file is no entry.
    pub pid: fn(&OsStr) -> Option<u32>,
    /// The name of the file of this process.
    pub file_name: fn(u32) -> String,
    /// Reads a file's contents. The process is the one in the file's name; `None` if the contents name another, or are
    /// no entry. The last argument is the pid namespace of an entry that names none.
    pub read: fn(&[u8], u32, Option<u64>) -> Option<Registered>,
}

/// An entry of a registry, with the process that it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// The process; `start` only if the entry has it in the kernel's unit.
    pub process: ReportedProcess,
    /// When the process started, as the entry has it.
    pub start: StartClaim,
    /// The id of the machine that the process runs on, as in machine-id(5).
    pub machine: Option<Box<str>>,
    /// What the entry says.
    pub entry: RegistryEntry,
}

/// When a process started, as an entry of a registry has it. What the kernel does not confirm refuses the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartClaim {
    /// The entry does not have it.
    Absent,
    /// In the kernel's own unit.
    Kernel(u64),
    /// In whole seconds since the epoch.
    Second(u64),
    /// In a form that is not known.
    Unreadable,
}

/// What a status line shows, as far as its input has it.
#[derive(Debug, Default, PartialEq)]
pub struct StatusLine {
    /// The model's name for people.
    pub model: Option<Box<str>>,
    /// How full the model's context is, in percent.
    pub context_percent: Option<f32>,
    /// What the session has cost so far, in US dollars.
    pub cost_usd: Option<f64>,
    /// The account's limits.
    pub limits: Vec<Limit>,
}

/// The limits of an agent's account.
#[derive(Debug)]
pub struct Limits {
    /// The windows that the service is known to have.
    pub windows: &'static [LimitWindow],
    /// Whether the service is asked for them; otherwise only what the agent reports counts.
    pub is_fetched: bool,
    /// The files that may name the login of a configuration directory, given that and the home; the one that was
    /// written last counts.
    pub login_files: fn(&Path, Option<&Path>) -> Vec<PathBuf>,
    /// The login that such a file names.
    pub read_login: fn(&mut dyn Read) -> Option<Login>,
}

/// Every agent.
pub(crate) const ALL: &[&Agent] = &[
    DEFAULT,
    &codex::AGENT,
    &copilot::AGENT,
    &gemini::AGENT,
    &opencode::AGENT,
    &qwen::AGENT,
];

/// Reduces a hook's payload to what may leave the agent's process. The second argument is the event's name from the hook's
/// command line, for agents whose payload has none. Fails if the payload is not exactly one JSON object.
type Filter = fn(&[u8], Option<&str>) -> serde_json::Result<Box<RawValue>>;

/// What only the hook needs of each agent. Separate from [`ALL`], which the service uses: what writes the payloads again is
/// not linked into it.
const FILTERS: &[(&Agent, Filter)] = &[
    (&claude_code::AGENT, claude_code::filter_payload),
    (&codex::AGENT, codex::filter_payload),
    (&copilot::AGENT, copilot::filter_payload),
    (&gemini::AGENT, gemini::filter_payload),
    (&opencode::AGENT, opencode::filter_payload),
    (&qwen::AGENT, qwen::filter_payload),
];

impl Agent {
    /// Reduces a hook's payload to what may leave the agent's process; `event` is the event's name from the hook's command
    /// line. Runs in the hook.
    ///
    /// # Errors
    ///
    /// The payload is not exactly one JSON object.
    pub(crate) fn filter(
        &self,
        payload: &[u8],
        event: Option<&str>,
    ) -> serde_json::Result<Box<RawValue>> {
        let own = FILTERS.iter().find(|(agent, _)| agent.name == self.name);
        match own {
            Some((_, filter)) => filter(payload, event),
            None => Err(serde::de::Error::custom("no agent of the table")),
        }
    }
}

/// What only the command line needs of each agent. Separate from [`ALL`], which the service uses: unreferenced code is
/// not linked, so `agent-consoled` has neither HTTP nor TLS.
const EXTRAS: &[(&Agent, &Extras)] = &[
    (&claude_code::AGENT, &claude_code::EXTRAS),
    (&codex::AGENT, &codex::recordings::EXTRAS),
    (&copilot::AGENT, &copilot::recordings::EXTRAS),
    (&gemini::AGENT, &gemini::recordings::EXTRAS),
    (&opencode::AGENT, &opencode::recordings::EXTRAS),
];

/// What only the command line needs of an agent.
#[derive(Debug)]
pub(crate) struct Extras {
    /// Fetches the limits of the account of a configuration directory from its service over the network, if it has any;
    /// of the environment's directory without one. Blocks. Runs in a process of its own.
    pub fetch_limits: Option<fn(Option<&Path>) -> FetchOutcome>,
    /// Recorded runs that `demo` plays.
    pub recordings: &'static [Recording],
    /// A recorded registry entry as the process that stands for the agent would write it now, if it has a registry.
    pub adapt_entry: Option<AdaptEntry>,
}

/// Changes a recorded registry entry into one of this process.
pub(crate) type AdaptEntry = fn(Map<String, Value>, ProcessId) -> Map<String, Value>;

/// A recorded run: a line an event, as in the agent's `traces/`. Its directories and words are a test's: what `demo` shows
/// in their place goes with it.
#[derive(Debug)]
pub(crate) struct Recording {
    /// The lines, each a JSON object.
    pub lines: &'static str,
    /// The directory that the agent ran in.
    pub directory: &'static str,
    /// Its id of the conversation.
    pub session: &'static str,
    /// The name of the directory that stands for that.
    pub project: &'static str,
    /// What the session is about.
    pub title: &'static str,
    /// Recorded words, and what stands in their place. They are inside JSON strings.
    pub words: &'static [(&'static str, &'static str)],
    /// How full the context is in the beginning, in percent, where a status line says it.
    pub context_percent: u32,
    /// When it starts, in ms after the beginning of the demo; no two start at once.
    pub starts_ms: u64,
}

/// The files of [`InstallForm::OwnFile`]; not linked into the service, as [`EXTRAS`].
const OWN_FILES: &[(&Agent, OwnFile)] = &[
    (&copilot::AGENT, copilot::hooks_file),
    (&opencode::AGENT, opencode::plugin_file),
];

/// What `install` writes into this agent's own file, if it has one.
#[must_use]
pub(crate) fn own_file(agent: &Agent) -> Option<OwnFile> {
    let (_, contents) = OWN_FILES.iter().find(|(of, _)| of.name == agent.name)?;
    Some(*contents)
}

/// The agents that keep a person's trust in hooks; not linked into the service, as [`EXTRAS`].
const TRUSTS: &[(&Agent, &Trust)] = &[(&codex::AGENT, &codex::TRUST)];

/// How this agent keeps a person's trust in hooks, if it does.
#[must_use]
pub(crate) fn trust(agent: &Agent) -> Option<&'static Trust> {
    let (_, trust) = TRUSTS.iter().find(|(of, _)| of.name == agent.name)?;
    Some(trust)
}

/// What only the command line needs of this agent.
#[must_use]
pub(crate) fn extras(agent: &Agent) -> Option<&'static Extras> {
    let (_, extras) = EXTRAS.iter().find(|(of, _)| of.name == agent.name)?;
    Some(extras)
}

/// The agent of a hook whose command line names none.
pub(crate) const DEFAULT: &Agent = &claude_code::AGENT;

/// The agent of this name.
#[must_use]
pub(crate) fn find(name: &str) -> Option<&'static Agent> {
    ALL.iter().copied().find(|agent| agent.name == name)
}

/// An agent's configuration directory, an absolute path: the variable's value, else the default below the home. `None`
/// without either, and where the variable's value is a relative path: the agent takes that from its own working directory.
#[must_use]
pub(crate) fn config_dir(
    place: ConfigDir,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let set = |key| variable(key).filter(|value| !value.is_empty());
    let directory = match set(place.variable) {
        Some(given) if place.below_variable.is_empty() => given.into(),
        Some(given) => Path::new(&given).join(place.below_variable),
        None => Path::new(&set("HOME")?).join(place.below_home),
    };
    Some(directory).filter(|directory| directory.is_absolute())
}

/// Why the variable of an agent's configuration directory names none, where that is so: a sentence for a person.
#[must_use]
pub(crate) fn config_dir_refusal(
    place: ConfigDir,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<String> {
    let name = place.variable;
    let given = PathBuf::from(variable(name)?);
    let given = given.display();
    config_dir(place, variable)
        .is_none()
        .then(|| format!("{name} is {given}, which is not an absolute path, and is not used"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_found_by_its_name() {
        for agent in ALL {
            assert_eq!(find(agent.name).map(|found| found.title), Some(agent.title));
        }
        assert!(find("unknown").is_none());
    }

    #[test]
    fn no_two_agents_share_a_name_a_title_a_sign_or_a_configuration_directory() {
        for (index, agent) in ALL.iter().enumerate() {
            for other in &ALL[..index] {
                assert_ne!(agent.name, other.name);
                assert_ne!(agent.title, other.title);
                assert_ne!(agent.sign, other.sign);
                assert_ne!(
                    agent.config_dir.variable, other.config_dir.variable,
                    "{}",
                    agent.name
                );
                assert_ne!(
                    agent.config_dir.below_home, other.config_dir.below_home,
                    "{}",
                    agent.name
                );
            }
        }
    }

    #[test]
    fn a_sign_is_two_capital_letters() {
        for agent in ALL {
            let is_capital = |byte: u8| byte.is_ascii_uppercase();
            assert_eq!(agent.sign.len(), 2, "{}", agent.name);
            assert!(agent.sign.bytes().all(is_capital), "{}", agent.name);
        }
    }

    #[test]
    fn a_filter_keeps_nothing_of_an_unknown_field() {
        let payload = br#"{"unknown":"secret","unknown":{"cwd":"secret"},"secret":["secret"]}"#;
        for agent in ALL {
            let kept = agent.filter(payload, None).unwrap();
            assert_eq!(kept.get(), "{}", "{}", agent.name);
        }
    }

    #[test]
    fn an_event_gets_one_hook() {
        for agent in ALL {
            let mut once = agent.install.events.to_vec();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), agent.install.events.len(), "{}", agent.name);
        }
    }

    #[test]
    fn an_agents_own_file_has_contents() {
        for agent in ALL {
            let is_own = agent.install.merged().is_none();
            assert_eq!(own_file(agent).is_some(), is_own, "{}", agent.name);
        }
    }

    #[test]
    fn the_configuration_is_where_the_variable_says_or_below_the_home() {
        let directory = |variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| value.into())
            };
            let place = ConfigDir {
                variable: "X",
                below_variable: "",
                below_home: ".x",
            };
            config_dir(place, variable)
        };
        assert_eq!(directory(&[("X", "/a"), ("HOME", "/h")]), Some("/a".into()));
        assert_eq!(
            directory(&[("X", ""), ("HOME", "/h")]),
            Some("/h/.x".into())
        );
        assert_eq!(directory(&[]), None);
        // The agent itself may find a directory there, which is not known here: the default is another account's.
        assert_eq!(directory(&[("X", "a"), ("HOME", "/h")]), None);
        assert_eq!(directory(&[("HOME", "h")]), None);
    }
}
