//! From the file's text to settings, with the place of each mistake.
//!
//! Walks the parsed TOML by hand: every key and value comes with its place in the text, so an unknown key or a value out
//! of range is reported like a syntax error. Knows the keys, their types and ranges; not the defaults, which are the
//! parent module's, its only caller.

use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::{
    ConfigError, LogLevel, MAX_HISTORY, MAX_IDLE_TIMEOUT, MAX_USAGE_INTERVAL, MIN_USAGE_INTERVAL,
    check_socket,
};

/// What a file says: each setting, or `None` where it is silent.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) socket: Option<PathBuf>,
    /// Zero is never.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) history: Option<usize>,
    pub(crate) log: Option<LogLevel>,
    pub(crate) record_prompts: Option<bool>,
    pub(crate) usage_enabled: Option<bool>,
    pub(crate) usage_interval: Option<Duration>,
}

/// Something wrong at a place of the text (bytes from its beginning).
struct Mistake {
    at: Range<usize>,
    what: String,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl Given {
    /// What the file at `path` says; nothing if there is no such file or no path.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        match read(path)? {
            Some(text) => Self::parse(&text, path),
            None => Ok(Self::default()),
        }
    }

    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let table = parse_table(text, path)?;
        let mut given = Self::default();
        let mut mistakes = Vec::new();
        for (key, value) in table.get_ref() {
            if let Err(what) = given.set(key.get_ref(), value, &mut mistakes) {
                let at = match what {
                    Wrong::Key(_) => key.span(),
                    Wrong::Value(_) => value.span(),
                };
                let (Wrong::Key(what) | Wrong::Value(what)) = what;
                mistakes.push(Mistake { at, what });
            }
        }
        // The table is sorted by key; a person reads from the top.
        match mistakes.into_iter().min_by_key(|mistake| mistake.at.start) {
            Some(mistake) => Err(mistake.locate(text, path)),
            None => Ok(given),
        }
    }

    fn set(&mut self, key: &str, value: &Value, mistakes: &mut Vec<Mistake>) -> Result<(), Wrong> {
        match key {
            "socket" => self.socket = Some(socket(value).map_err(in_key(key))?),
            "idle_timeout" => self.idle_timeout = Some(idle_timeout(value).map_err(in_key(key))?),
            "history" => self.history = Some(history(value).map_err(in_key(key))?),
            "log" => self.log = Some(log_level(value).map_err(in_key(key))?),
            "record_prompts" => {
                self.record_prompts = Some(yes_or_no(value).map_err(in_key(key))?);
            }
            "usage" => {
                let table = value
                    .get_ref()
                    .as_table()
                    .ok_or_else(|| expected("a table, [usage]", value))
                    .map_err(in_key(key))?;
                for (key, value) in table {
                    let in_usage =
                        |what| (value.span(), format!("usage.{}: {what}", key.get_ref()));
                    let result = match key.get_ref().as_ref() {
                        "enabled" => yes_or_no(value)
                            .map(|enabled| self.usage_enabled = Some(enabled))
                            .map_err(in_usage),
                        "interval" => usage_interval(value)
                            .map(|interval| self.usage_interval = Some(interval))
                            .map_err(in_usage),
                        other => Err((
                            key.span(),
                            format!(
                                "unknown key `usage.{other}`; [usage] has `enabled` and `interval`"
                            ),
                        )),
                    };
                    if let Err((at, what)) = result {
                        mistakes.push(Mistake { at, what });
                    }
                }
            }
            _ => {
                return Err(Wrong::Key(format!(
                    "unknown key `{key}`; there are `socket`, `idle_timeout`, `history`, `log`, `record_prompts` and [usage]"
                )));
            }
        }
        Ok(())
    }
}

/// Whether the mark belongs under the key or under its value.
enum Wrong {
    Key(String),
    Value(String),
}

fn in_key(key: &str) -> impl Fn(String) -> Wrong {
    move |what| Wrong::Value(format!("{key}: {what}"))
}

/// The file's text, or `None` if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(ConfigError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            // The valid part is the same in both, so the place is too.
            let mistake = Mistake {
                at: at..at,
                what: "not UTF-8, which TOML must be".to_owned(),
            };
            Err(mistake.locate(&text, path))
        }
    }
}

/// The file's `socket`; other keys are not looked at.
pub(super) fn socket_only(text: &str, path: &Path) -> Result<Option<PathBuf>, ConfigError> {
    let table = parse_table(text, path)?;
    match table.get_ref().get("socket") {
        None => Ok(None),
        Some(value) => match socket(value) {
            Ok(socket) => Ok(Some(socket)),
            Err(what) => Err(Mistake {
                at: value.span(),
                what: format!("socket: {what}"),
            }
            .locate(text, path)),
        },
    }
}

fn parse_table<'a>(text: &'a str, path: &Path) -> Result<Spanned<DeTable<'a>>, ConfigError> {
    DeTable::parse(text).map_err(|error| {
        let what = error.message().trim().replace('\n', "; ");
        Mistake {
            at: error.span().unwrap_or(0..0),
            what,
        }
        .locate(text, path)
    })
}

impl Mistake {
    /// The error with line and column, both from 1; the column counts characters.
    fn locate(self, text: &str, path: &Path) -> ConfigError {
        let before = text.get(..self.at.start).unwrap_or(text);
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text.get(begin..).unwrap_or_default();
        ConfigError::Invalid {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before
                .get(begin..)
                .map_or(1, |start| start.chars().count() + 1),
            what: self.what,
            text: line.lines().next().unwrap_or_default().to_owned(),
        }
    }
}

fn expected(what: &str, found: &Value) -> String {
    format!("expected {what}, found {}", found.get_ref().type_str())
}

fn integer(value: &DeInteger) -> Option<i64> {
    i64::from_str_radix(value.as_str(), value.radix()).ok()
}

fn socket(value: &Value) -> Result<PathBuf, String> {
    let text = value
        .get_ref()
        .as_str()
        .ok_or_else(|| expected("a path in quotes", value))?;
    let path = PathBuf::from(text);
    check_socket(&path)?;
    Ok(path)
}

fn idle_timeout(value: &Value) -> Result<Duration, String> {
    const EXAMPLE: &str = "write one like \"90s\", \"60min\" or \"2h\", or \"0\" for never";
    let duration = match value.get_ref() {
        DeValue::Integer(number) if integer(number) == Some(0) => return Ok(Duration::ZERO),
        DeValue::Integer(number) => {
            return Err(format!("{} has no unit; {EXAMPLE}", number.as_str()));
        }
        DeValue::String(text) if text.trim() == "0" => return Ok(Duration::ZERO),
        DeValue::String(text) => duration(text, EXAMPLE)?,
        _ => {
            return Err(expected(
                &format!("a duration in quotes ({EXAMPLE})"),
                value,
            ));
        }
    };
    if duration > MAX_IDLE_TIMEOUT {
        return Err("more than 366 days; write \"0\" for never".to_owned());
    }
    Ok(duration)
}

fn yes_or_no(value: &Value) -> Result<bool, String> {
    let given = value.get_ref().as_bool();
    given.ok_or_else(|| expected("true or false", value))
}

fn history(value: &Value) -> Result<usize, String> {
    let DeValue::Integer(number) = value.get_ref() else {
        return Err(expected("a whole number", value));
    };
    integer(number)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| (1..=MAX_HISTORY).contains(number))
        .ok_or_else(|| {
            format!(
                "{} is out of range; it must be 1 to {MAX_HISTORY}",
                number.as_str()
            )
        })
}

fn log_level(value: &Value) -> Result<LogLevel, String> {
    const LEVELS: &str = r#""error", "warn", "info", "debug" or "trace""#;
    let text = value
        .get_ref()
        .as_str()
        .ok_or_else(|| expected(LEVELS, value))?;
    LogLevel::ALL
        .into_iter()
        .find(|level| level.as_str() == text)
        .ok_or_else(|| format!("{text:?} is no level; write {LEVELS}"))
}

fn usage_interval(value: &Value) -> Result<Duration, String> {
    const EXAMPLE: &str = "write one like \"3min\"";
    let text = value
        .get_ref()
        .as_str()
        .ok_or_else(|| expected(&format!("a duration in quotes ({EXAMPLE})"), value))?;
    let interval = duration(text, EXAMPLE)?;
    if !(MIN_USAGE_INTERVAL..=MAX_USAGE_INTERVAL).contains(&interval) {
        return Err(format!("{text:?} is out of range; it must be 1min to 24h"));
    }
    Ok(interval)
}

fn duration(text: &str, example: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim())
        .map_err(|error| format!("{text:?} is no duration ({error}); {example}"))
}
