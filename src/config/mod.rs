//! The configuration: which settings there are, what they default to, where the file lies, and which socket counts.
//!
//! Owns the meaning of `config.toml` (`Config`, `TEMPLATE`) and the order of choice for the socket that daemon, hook and
//! clients share (`socket_path`). Reading the file's text into settings, with the place of each mistake, is `file`'s.
//! Knows nothing of the daemon: who holds a `Config` decides what a changed setting means. Called by the daemon at its
//! start and at each reload, by every client and the hook for the socket, and by `commands::config`.
//!
//! A mistake in the file is an error that names file, line and column. At the daemon's start it is fatal, at a reload
//! the old settings stay. A client needs the socket only, so it looks at nothing but `socket`: a wrong `idle_timeout`
//! must not keep a person from asking the running daemon what is going on.

mod file;
pub(crate) mod last_exit;
pub(crate) mod notify;
pub(crate) mod runtime_path;
mod socket;

pub(crate) use file::FileConfig;
pub(crate) use notify::Notify;
pub(crate) use socket::{
    SocketChoice, Source, client_socket, socket_path, socket_without_variable,
};

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::agents;
pub(crate) use crate::os::environment::variable;
use crate::os::peer::LONGEST_PATH;
use crate::protocol::words::words;

/// The socket without any choice made; clients in other languages rely on it, so it never changes.
pub(crate) const DEFAULT_SOCKET: &str = "/tmp/agent-console.sock";

/// The variable that names the socket, after `--socket` and before the file.
pub(crate) const SOCKET_VARIABLE: &str = "AGENT_CONSOLE_SOCKET";

/// Transitions kept a session unless the file says otherwise.
pub(crate) const DEFAULT_HISTORY: usize = 32;

/// After how long without a sign a session at work is quiet, unless the file says otherwise.
pub(crate) const DEFAULT_QUIET_AFTER: Duration = Duration::from_mins(10);

/// Most transitions kept a session. A whole session goes out with each change: a longer ring would make that line
/// outgrow what a client reads.
pub(crate) const MAX_HISTORY: usize = 256;

/// How long an unused daemon stays unless the file says otherwise.
pub(crate) const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_hours(1);

/// The longest `idle_timeout`: far beyond any use, and far from overflowing a point in time.
pub(crate) const MAX_IDLE_TIMEOUT: Duration = Duration::from_hours(8784);

/// How often account limits are fetched while someone watches, unless the file says otherwise.
pub(crate) const DEFAULT_USAGE_INTERVAL: Duration = Duration::from_mins(3);

/// The shortest `usage.interval`: the account's service limits how often it may be asked.
pub(crate) const MIN_USAGE_INTERVAL: Duration = Duration::from_mins(1);

/// The longest `usage.interval`.
pub(crate) const MAX_USAGE_INTERVAL: Duration = Duration::from_hours(24);

/// Every setting that concerns no single agent, commented out, at its default.
pub(crate) const TEMPLATE: &str = r#"# agent-console's settings. Each line shows its default; remove the # to change one.
# `agent-console config check` shows what is wrong with this file, `agent-console config show` what counts.
# A running daemon reads it again on `systemctl --user reload agent-console` or SIGHUP.

# Where the daemon listens when no service manager hands it a socket, and where clients and hooks connect: an absolute
# path, or one that begins with "$XDG_RUNTIME_DIR/". --socket and $AGENT_CONSOLE_SOCKET come before it.
# socket = "/tmp/agent-console.sock"

# Leave after this long without a dashboard and without a live session: "90s", "60min", "2h"; "0" is never.
# idle_timeout = "60min"

# Changes of status remembered for each session, 1 to 256.
# history = 32

# How much the daemon logs: "error", "warn", "info" or "debug".
# log = "info"

# Whether the first words of a prompt may appear as a session's title or reason.
# record_prompts = true

# Whether what is known of the sessions outlives the daemon, in a file of the runtime directory that other users cannot
# read.
# persist = true

# [attention]
# Whether a session that has finished needs a person although a background shell runs: it may be a build, and it may be
# a server that never ends.
# background_shell = true
# Show that a session at work has given no sign for this long: "10min", "2h"; "0" is never.
# quiet_after = "10min"
# Whether such a session needs a person.
# quiet = false

# [dashboard]
# What a dashboard does on its terminal when a session has needed you for 8 s: "off"; "bell" rings it; "notify" also shows
# a desktop notification where the terminal can. A dashboard reads this when it starts.
# bell = "bell"

# [usage]
# Whether to ask the account's service for its limits while a dashboard is open.
# enabled = true
# How often, 1min to 24h.
# interval = "3min"

# [notify]
# Whether a notification of the desktop reminds you of a session that needs you; `agent-console install --notify` switches
# it on.
# desktop = false
# A command for `sh` that reminds you, such as a push to your phone: the session's record is a line of JSON on its standard
# input. docs/notifications.md has examples.
# command = ""
# How long a session must need you first: who answers at once is not disturbed. 2s to 1h.
# delay = "8s"
# How long after a reminder the next one comes, 1min to 24h; "0": there is one only.
# repeat = "0"
# Which sessions: those that wait for you, have failed, have finished.
# for = ["waiting", "error", "finished"]
# How long a turn must have been for a reminder that it has finished; "0" is any.
# finished_after = "10s"
"#;

/// The file that `config init` writes: [`TEMPLATE`], and a table for each agent.
#[must_use]
pub(crate) fn template() -> String {
    let tables = agents::ALL.iter().map(|agent| {
        format!(
            r#"
# [agents.{}]
# Configuration directories of {} that lie elsewhere than beside the default one; "~/" is the home directory.
# config_dirs = []
"#,
            agent.name, agent.title
        )
    });
    TEMPLATE.to_owned() + &tables.collect::<String>()
}

words! {
    /// How much the daemon logs; each level includes those before it.
    #[derive(Default)]
    pub(crate) closed enum LogLevel {
        /// Our own bugs only.
        Error = "error",
        /// Also what is bad but was handled.
        Warn = "warn",
        /// Also the daemon's life: started, ready, reloaded, leaving.
        #[default]
        Info = "info",
        /// Also each update.
        Debug = "debug",
    }
}

words! {
    /// What a dashboard does on its terminal when a session needs a person.
    #[derive(Default)]
    pub(crate) closed enum DashboardBell {
        /// Nothing.
        Off = "off",
        /// It rings the terminal's bell.
        #[default]
        Bell = "bell",
        /// It also has the terminal show a desktop notification, if that terminal can.
        Notify = "notify",
    }
}

impl DashboardBell {
    /// Each of them.
    const ALL: [Self; 3] = [Self::Off, Self::Bell, Self::Notify];

    /// The one that the file calls `name`.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bell| bell.as_str() == name)
    }
}

impl LogLevel {
    /// Every level, from the quietest.
    pub(crate) const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// The level that the file calls `name`. `trace` is taken for `debug`: nothing is logged below it.
    fn from_name(name: &str) -> Option<Self> {
        let name = if name == "trace" { "debug" } else { name };
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

/// The settings in force: what the file gives, the defaults for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// The file's socket, else [`DEFAULT_SOCKET`]. Which socket counts in the end is [`socket_path`]'s answer.
    pub socket: PathBuf,
    /// How long an unused daemon stays; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// Transitions kept a session, 1 to [`MAX_HISTORY`].
    pub history: usize,
    /// How much is logged.
    pub log: LogLevel,
    /// Whether prompt text may appear in `title` and `reason`.
    pub record_prompts: bool,
    /// Whether the state outlives the daemon.
    pub persist: bool,
    /// When a session needs a person.
    pub attention: Attention,
    /// What a dashboard does on its terminal when a session needs a person.
    pub dashboard_bell: DashboardBell,
    /// Whether the account's limits are fetched while someone watches.
    pub usage_enabled: bool,
    /// Time between two fetches of them.
    pub usage_interval: Duration,
    /// When and how a person is reminded of a session.
    pub notify: Notify,
    /// By the agent's name: configuration directories that are not found without being named, absolute paths.
    pub agent_dirs: BTreeMap<Box<str>, Vec<PathBuf>>,
}

/// When a session needs a person, and when it is quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attention {
    /// Whether one that has finished needs a person although a background shell runs.
    pub background_shell: bool,
    /// After how long without a sign one at work is quiet; `None`: never.
    pub quiet_after: Option<Duration>,
    /// Whether a quiet one needs a person.
    pub quiet: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            socket: PathBuf::from(DEFAULT_SOCKET),
            idle_timeout: Some(DEFAULT_IDLE_TIMEOUT),
            history: DEFAULT_HISTORY,
            log: LogLevel::default(),
            record_prompts: true,
            persist: true,
            attention: Attention {
                background_shell: true,
                quiet_after: Some(DEFAULT_QUIET_AFTER),
                quiet: false,
            },
            dashboard_bell: DashboardBell::default(),
            usage_enabled: true,
            usage_interval: DEFAULT_USAGE_INTERVAL,
            notify: Notify::default(),
            agent_dirs: BTreeMap::new(),
        }
    }
}

impl From<FileConfig> for Config {
    fn from(file: FileConfig) -> Self {
        let default = Self::default();
        Self {
            socket: file.socket.unwrap_or(default.socket),
            idle_timeout: match file.idle_timeout {
                Some(time) => Some(time).filter(|time| !time.is_zero()),
                None => default.idle_timeout,
            },
            history: file.history.unwrap_or(default.history),
            log: file.log.unwrap_or(default.log),
            record_prompts: file.record_prompts.unwrap_or(default.record_prompts),
            persist: file.persist.unwrap_or(default.persist),
            attention: Attention {
                background_shell: file
                    .attention
                    .background_shell
                    .unwrap_or(default.attention.background_shell),
                quiet_after: match file.attention.quiet_after {
                    Some(time) => Some(time).filter(|time| !time.is_zero()),
                    None => default.attention.quiet_after,
                },
                quiet: file.attention.quiet.unwrap_or(default.attention.quiet),
            },
            dashboard_bell: file.dashboard.bell.unwrap_or(default.dashboard_bell),
            usage_enabled: file.usage.enabled.unwrap_or(default.usage_enabled),
            usage_interval: file.usage.interval.unwrap_or(default.usage_interval),
            notify: file.notify.into(),
            agent_dirs: file
                .agents
                .into_iter()
                .filter_map(|(agent, table)| Some((agent.into(), table.config_dirs?)))
                .filter(|(_, directories): &(_, Vec<_>)| !directories.is_empty())
                .collect(),
        }
    }
}

impl Config {
    /// The settings of the file at [`path`]; the defaults if there is no such file.
    ///
    /// # Errors
    /// The file cannot be read, or something in it is wrong.
    pub(crate) fn load() -> Result<Self, ConfigError> {
        Ok(FileConfig::load(path().as_deref())?.into())
    }

    /// The settings that `text` gives; `path` is named in errors only.
    ///
    /// # Errors
    /// The first mistake in `text`: not TOML, an unknown key, a wrong type, a value out of its range.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Ok(FileConfig::parse(text, path)?.into())
    }

    /// The configuration directories that the file names for `agent`.
    #[must_use]
    pub(crate) fn config_dirs(&self, agent: &str) -> &[PathBuf] {
        self.agent_dirs.get(agent).map_or(&[], Vec::as_slice)
    }
}

/// Why there are no settings, or no socket.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// The file is there, but cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{}:{line}:{column}: {what}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The character in that line, from 1.
        column: usize,
        /// What is wrong and what would be right; begins with the key where there is one.
        what: String,
        /// The line's text.
        text: String,
    },
    /// The flag or the variable names no usable socket.
    #[error("{from}: {what}")]
    Socket {
        /// `--socket` or the variable.
        from: &'static str,
        /// What is wrong and what would be right.
        what: String,
    },
}

impl ConfigError {
    /// The offending line with a mark under the offending place: two lines, for a person at a terminal.
    #[must_use]
    pub(crate) fn snippet(&self) -> Option<String> {
        let Self::Invalid { text, column, .. } = self else {
            return None;
        };
        // A tab stays a tab, so that the mark stands under its character whatever the tab's width.
        let indent: String = text
            .chars()
            .take(column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        Some(format!("    {text}\n    {indent}^"))
    }
}

/// What a dashboard does on its terminal. Mistakes in other keys of the file are no error here.
///
/// # Errors
/// The file cannot be read or is no TOML, or this setting is wrong.
pub(crate) fn dashboard_bell() -> Result<DashboardBell, ConfigError> {
    let bell = match path() {
        Some(path) => file::dashboard_bell_of(&path)?,
        None => None,
    };
    Ok(bell.unwrap_or_default())
}

/// What is wrong with `path` as a socket's path, if anything.
fn check_socket(path: &Path) -> Result<(), String> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let shown = path.to_string_lossy();
    if !path.is_absolute() {
        return Err(format!(
            "{shown:?} is not an absolute path; write one that begins with \"/\""
        ));
    }
    if bytes.len() > LONGEST_PATH {
        return Err(format!(
            "{shown:?} is {} bytes long; a socket's path has at most {LONGEST_PATH}",
            bytes.len()
        ));
    }
    if bytes.contains(&0) {
        return Err(format!("{shown:?} contains a zero byte"));
    }
    Ok(())
}

/// The configuration file: `$XDG_CONFIG_HOME/agent-console/config.toml`, else `$HOME/.config/agent-console/config.toml`.
/// As the XDG base directory specification says, a relative `XDG_CONFIG_HOME` is as good as none. `None` without both.
#[must_use]
pub(crate) fn path() -> Option<PathBuf> {
    path_in(variable("XDG_CONFIG_HOME"), variable("HOME"))
}

/// The same from another process's variables.
pub(crate) fn path_in(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let mut path = xdg_base(xdg, home, ".config")?;
    path.push("agent-console/config.toml");
    Some(path)
}

/// A base directory of the XDG specification: the variable's if absolute, else `below` in the home directory.
pub(crate) fn xdg_base(
    xdg: Option<OsString>,
    home: Option<OsString>,
    below: &str,
) -> Option<PathBuf> {
    let absolute = |value: OsString| Some(PathBuf::from(value)).filter(|path| path.is_absolute());
    xdg.and_then(absolute)
        .or_else(|| Some(home.and_then(absolute)?.join(below)))
}

#[cfg(test)]
mod tests;
