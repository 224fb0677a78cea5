//! The configuration file: its text as settings, and the place of each mistake.
//!
//! The keys and their types are [`FileConfig`]; `toml` attaches to each error the place of the key or value that caused
//! it. Owns the checks and units of single values, not the defaults, which are the parent module's, its only caller.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use toml::Value;
use toml::de::{DeTable, DeValue};

use super::notify::{NOTIFY_DELAY, NOTIFY_REPEAT, Notify};
use super::{
    ConfigError, DashboardBell, LogLevel, MAX_HISTORY, MAX_IDLE_TIMEOUT, MAX_USAGE_INTERVAL,
    MIN_USAGE_INTERVAL, check_socket, runtime_path, variable,
};
use crate::agents::{self, config_dirs::MAX_CONFIG_DIRS};
use crate::os::small_file;
use crate::reminders::{Cause, Causes};

/// The largest file in bytes that is read: hundreds of times what it may hold. Each hook may read it.
const MAX_BYTES: u64 = 1024 * 1024;

/// The settings that the file gives; `None` for each that it leaves out.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FileConfig {
    #[serde(deserialize_with = "socket")]
    pub(crate) socket: Option<PathBuf>,
    /// Zero means never.
    #[serde(deserialize_with = "idle_timeout")]
    pub(crate) idle_timeout: Option<Duration>,
    #[serde(deserialize_with = "history")]
    pub(crate) history: Option<usize>,
    #[serde(deserialize_with = "log_level")]
    pub(crate) log: Option<LogLevel>,
    pub(crate) record_prompts: Option<bool>,
    pub(crate) persist: Option<bool>,
    pub(crate) attention: FileAttention,
    pub(crate) dashboard: FileDashboard,
    pub(crate) usage: FileUsage,
    pub(crate) notify: FileNotify,
    #[serde(deserialize_with = "agents")]
    pub(crate) agents: BTreeMap<String, FileAgent>,
}

/// The table `[attention]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table, [attention]")]
pub(crate) struct FileAttention {
    pub(crate) background_shell: Option<bool>,
    /// Zero means never.
    #[serde(deserialize_with = "quiet_after")]
    pub(crate) quiet_after: Option<Duration>,
    pub(crate) quiet: Option<bool>,
}

/// The table `[dashboard]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table, [dashboard]")]
pub(crate) struct FileDashboard {
    #[serde(deserialize_with = "dashboard_bell")]
    pub(crate) bell: Option<DashboardBell>,
}

/// The table `[usage]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table, [usage]")]
pub(crate) struct FileUsage {
    pub(crate) enabled: Option<bool>,
    #[serde(deserialize_with = "usage_interval")]
    pub(crate) interval: Option<Duration>,
}

/// The table `[notify]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table, [notify]")]
pub(crate) struct FileNotify {
    pub(crate) desktop: Option<bool>,
    /// Empty means none.
    #[serde(deserialize_with = "command")]
    pub(crate) command: Option<String>,
    #[serde(deserialize_with = "notify_delay")]
    pub(crate) delay: Option<Duration>,
    /// Zero means never.
    #[serde(deserialize_with = "notify_repeat")]
    pub(crate) repeat: Option<Duration>,
    #[serde(rename = "for", deserialize_with = "causes")]
    pub(crate) causes: Option<Causes>,
    #[serde(deserialize_with = "finished_after")]
    pub(crate) finished_after: Option<Duration>,
}

impl From<FileNotify> for Notify {
    fn from(file: FileNotify) -> Self {
        let default = Self::default();
        Self {
            desktop: file.desktop.unwrap_or(default.desktop),
            delay: file.delay.unwrap_or(default.delay),
            repeat: file.repeat.filter(|time| !time.is_zero()),
            causes: file.causes.unwrap_or(default.causes),
            finished_after: file.finished_after.unwrap_or(default.finished_after),
            command: file.command.filter(|command| !command.trim().is_empty()),
        }
    }
}

/// A table `[agents.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(crate) struct FileAgent {
    #[serde(deserialize_with = "config_dirs")]
    pub(crate) config_dirs: Option<Vec<PathBuf>>,
}

/// The name of an agent, as a key.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct AgentName(String);

impl TryFrom<String> for AgentName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if agents::find(&name).is_some() {
            return Ok(Self(name));
        }
        let known: Vec<_> = agents::ALL.iter().map(|agent| agent.name).collect();
        Err(format!(
            "there is no agent {name:?}, only {}",
            known.join(", ")
        ))
    }
}

/// The only setting that a client needs; other keys are ignored, right or wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileSocket {
    #[serde(deserialize_with = "socket")]
    socket: Option<PathBuf>,
}

/// The only table that a dashboard needs; others are ignored, right or wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileOfDashboard {
    dashboard: FileDashboard,
}

impl FileConfig {
    /// The settings of the file at `path`; none if there is no such file or no path.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        match read(path)? {
            Some(text) => Self::parse(&text, path),
            None => Ok(Self::default()),
        }
    }

    /// The settings of `text`; the error is the first mistake from the top. `path` appears in errors only.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        parse(text, path)
    }
}

/// The `socket` of the file at `path`, if there is a file and it names one.
pub(super) fn socket_of(path: &Path) -> Result<Option<PathBuf>, ConfigError> {
    match read(path)? {
        Some(text) => Ok(parse::<FileSocket>(&text, path)?.socket),
        None => Ok(None),
    }
}

/// The dashboard's bell of the file at `path`, if there is a file and it names one.
pub(super) fn dashboard_bell_of(path: &Path) -> Result<Option<DashboardBell>, ConfigError> {
    match read(path)? {
        Some(text) => Ok(parse::<FileOfDashboard>(&text, path)?.dashboard.bell),
        None => Ok(None),
    }
}

/// The file's text, or `None` if there is no file.
fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    let bytes = match small_file::read(path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(ConfigError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        // The valid part is the same in both, so the place is too.
        let text = String::from_utf8_lossy(error.as_bytes());
        let what = "not UTF-8, which TOML must be".to_owned();
        invalid(&text, path, at, what)
    })
}

fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => return Err(invalid(text, path, start(&error), message(&error))),
    };
    T::deserialize(toml::de::Deserializer::from(table)).map_err(|error| {
        let (at, what) = first_mistake::<T>(text).unwrap_or((start(&error), message(&error)));
        invalid(text, path, at, what)
    })
}

/// The mistake nearest to the top, and its place. `toml` visits keys in alphabetical order and stops at the first error,
/// so this removes each mistake that it finds and tries again.
fn first_mistake<T: DeserializeOwned>(text: &str) -> Option<(usize, String)> {
    let mut table = DeTable::parse(text).ok()?;
    let mut mistakes = Vec::new();
    while let Err(error) = T::deserialize(toml::de::Deserializer::from(table.clone())) {
        let keys = remove_at(table.get_mut(), &error.span()?)?;
        let what = match keys.as_slice() {
            [] => message(&error),
            keys => format!("{}: {}", keys.join("."), message(&error)),
        };
        mistakes.push((start(&error), what));
    }
    mistakes.into_iter().min_by_key(|(at, _)| *at)
}

/// Removes the entry whose key or value is at `at`, and returns the keys that lead to the mistake: with the entry's own
/// if its value is wrong, without if it should not be there.
fn remove_at(table: &mut DeTable<'_>, at: &Range<usize>) -> Option<Vec<String>> {
    let found = table
        .iter()
        .find(|(key, value)| key.span() == *at || value.span() == *at)
        .map(|(key, value)| (key.get_ref().to_string(), value.span() == *at));
    if let Some((key, is_value)) = found {
        table.remove(key.as_str());
        return Some(if is_value { vec![key] } else { Vec::new() });
    }
    table.iter_mut().find_map(|(key, value)| {
        let DeValue::Table(inner) = value.get_mut() else {
            return None;
        };
        let mut keys = remove_at(inner, at)?;
        keys.insert(0, key.get_ref().to_string());
        Some(keys)
    })
}

fn start(error: &toml::de::Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

fn message(error: &toml::de::Error) -> String {
    error.message().trim().replace('\n', "; ")
}

/// The error with line and column of the byte `at`, both from 1; the column counts characters.
fn invalid(text: &str, path: &Path, at: usize, what: String) -> ConfigError {
    let before = text.get(..at).unwrap_or(text);
    let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(begin..).unwrap_or_default();
    ConfigError::Invalid {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before
            .get(begin..)
            .map_or(1, |start| start.chars().count() + 1),
        what,
        text: line.lines().next().unwrap_or_default().to_owned(),
    }
}

fn socket<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let text = PathBuf::deserialize(from)?;
    let path = runtime_path::expand(&text).unwrap_or(text);
    check_socket(&path).map_err(Error::custom)?;
    Ok(Some(path))
}

fn idle_timeout<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    time_or_never(
        from,
        "write one like \"90s\", \"60min\" or \"2h\", or \"0\" for never",
    )
}

fn quiet_after<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    time_or_never(from, "write one like \"10min\", or \"0\" for never")
}

/// A duration of at most [`MAX_IDLE_TIMEOUT`]; zero, also without a unit, means never.
fn time_or_never<'de, D: Deserializer<'de>>(
    from: D,
    hint: &str,
) -> Result<Option<Duration>, D::Error> {
    let value = Value::deserialize(from)?;
    let is_zero = match &value {
        Value::Integer(number) => *number == 0,
        Value::String(text) => text.trim() == "0",
        _ => false,
    };
    if is_zero {
        return Ok(Some(Duration::ZERO));
    }
    let time = duration(&value, hint).map_err(Error::custom)?;
    if time > MAX_IDLE_TIMEOUT {
        return Err(Error::custom("more than 366 days; write \"0\" for never"));
    }
    Ok(Some(time))
}

fn history<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    let value = Value::deserialize(from)?;
    let number = value.as_integer().ok_or_else(|| {
        Error::custom(format!(
            "expected a whole number, found {}",
            value.type_str()
        ))
    })?;
    usize::try_from(number)
        .ok()
        .filter(|number| (1..=MAX_HISTORY).contains(number))
        .map(Some)
        .ok_or_else(|| {
            Error::custom(format!(
                "{number} is out of range; it must be 1 to {MAX_HISTORY}"
            ))
        })
}

fn log_level<'de, D: Deserializer<'de>>(from: D) -> Result<Option<LogLevel>, D::Error> {
    let value = Value::deserialize(from)?;
    value
        .as_str()
        .and_then(LogLevel::from_name)
        .map(Some)
        .ok_or_else(|| {
            Error::custom(format!(
                r#"{value} is no level; write "error", "warn", "info" or "debug""#
            ))
        })
}

fn dashboard_bell<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DashboardBell>, D::Error> {
    let value = Value::deserialize(from)?;
    value
        .as_str()
        .and_then(DashboardBell::from_name)
        .map(Some)
        .ok_or_else(|| Error::custom(format!(r#"{value} is none of "off", "bell" and "notify""#)))
}

fn usage_interval<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let value = Value::deserialize(from)?;
    let interval = duration(&value, "write one like \"3min\"").map_err(Error::custom)?;
    let range = (MIN_USAGE_INTERVAL, MAX_USAGE_INTERVAL);
    in_range(interval, range, "it must be 1min to 24h").map_err(Error::custom)
}

/// `hint` says which times are allowed.
fn in_range(
    time: Duration,
    (least, most): (Duration, Duration),
    hint: &str,
) -> Result<Option<Duration>, String> {
    if (least..=most).contains(&time) {
        return Ok(Some(time));
    }
    let time = humantime::format_duration(time);
    Err(format!("\"{time}\" is out of range; {hint}"))
}

fn notify_delay<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let value = Value::deserialize(from)?;
    let delay = duration(&value, "write one like \"8s\"").map_err(Error::custom)?;
    in_range(delay, NOTIFY_DELAY, "it must be 2s to 1h").map_err(Error::custom)
}

fn notify_repeat<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let hint = "write one like \"5min\", or \"0\" for never";
    let time = time_or_never(from, hint)?.unwrap_or_default();
    if time.is_zero() {
        return Ok(Some(time));
    }
    in_range(time, NOTIFY_REPEAT, "it must be 1min to 24h, or \"0\"").map_err(Error::custom)
}

fn finished_after<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    time_or_never(from, "write one like \"10s\", or \"0\" for any")
}

fn causes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Causes>, D::Error> {
    const HINT: &str = r#"write some of "waiting", "error" and "finished""#;
    let value = Value::deserialize(from)?;
    let Value::Array(entries) = &value else {
        let found = value.type_str();
        return Err(Error::custom(format!(
            "expected a list, found {found}; {HINT}"
        )));
    };
    let cause = |entry: &Value| {
        let named = |cause: &Cause| entry.as_str() == Some(cause.as_str());
        let found = Causes::ALL.iter().find(named);
        found.ok_or_else(|| format!("{entry} is none of them; {HINT}"))
    };
    let causes: Result<_, _> = entries.iter().map(cause).collect();
    causes.map(Some).map_err(Error::custom)
}

/// A line for `sh`; it comes to the child as it is.
fn command<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let command = String::deserialize(from)?;
    if command.contains('\0') {
        return Err(Error::custom("the command contains a zero byte"));
    }
    Ok(Some(command))
}

fn agents<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, FileAgent>, D::Error> {
    let tables = BTreeMap::<AgentName, FileAgent>::deserialize(from)?;
    let named = |(AgentName(name), table)| (name, table);
    Ok(tables.into_iter().map(named).collect())
}

fn config_dirs<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<PathBuf>>, D::Error> {
    let value = Value::deserialize(from)?;
    let Value::Array(entries) = &value else {
        let found = value.type_str();
        return Err(Error::custom(format!(
            "expected a list of directories, found {found}"
        )));
    };
    if entries.len() > MAX_CONFIG_DIRS {
        return Err(Error::custom(format!(
            "more than {MAX_CONFIG_DIRS} directories"
        )));
    }
    let directories: Result<_, _> = entries.iter().map(directory).collect();
    directories.map(Some).map_err(Error::custom)
}

/// An absolute path; `~` at its beginning is the home directory.
fn directory(value: &Value) -> Result<PathBuf, String> {
    let hint = "write one that begins with \"/\" or \"~/\"";
    let text = value
        .as_str()
        .ok_or_else(|| format!("{value} is no path; {hint}"))?;
    let below_home = match text.strip_prefix('~') {
        Some("") => Some(""),
        Some(rest) => rest.strip_prefix('/'),
        None => None,
    };
    let path = match below_home {
        Some(below) => {
            let home = variable("HOME").ok_or_else(|| format!("{text:?} needs $HOME"))?;
            PathBuf::from(home).join(below.trim_start_matches('/'))
        }
        None => PathBuf::from(text),
    };
    if !path.is_absolute() || text.contains('\0') {
        return Err(format!("{text:?} is not an absolute path; {hint}"));
    }
    Ok(path)
}

/// A time with its unit, in quotes; `hint` says how to write one.
fn duration(value: &Value, hint: &str) -> Result<Duration, String> {
    match value {
        Value::String(text) => humantime::parse_duration(text.trim())
            .map_err(|error| format!("{text:?} is no duration ({error}); {hint}")),
        Value::Integer(number) => Err(format!("{number} has no unit; {hint}")),
        other => Err(format!(
            "expected a duration in quotes ({hint}), found {}",
            other.type_str()
        )),
    }
}
