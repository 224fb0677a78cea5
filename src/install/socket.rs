//! Which socket the service is to have, so that daemon, hooks and clients agree; and the line in the configuration that
//! tells them where it is not the default.
//!
//! `/tmp/agent-console.sock` belongs to the first user on the machine who takes it. If that is another user, the socket goes
//! into the user's runtime directory, and `socket = "…"` at the top of the configuration says so. The line stands below
//! a comment of ours, by which `uninstall` finds both; all else in the file stays byte for byte as it is.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::file::{self, Change};
use super::stamp;
use crate::config::{self, Config, DEFAULT_SOCKET, FileConfig, SOCKET_VARIABLE, variable};

/// How our comment begins.
const MARK: &str = "# Written by `agent-console install`";
/// In the comment of a file that was not there before, with the number of directories made for it.
const MADE: &str = " (with the file; directories made: ";
const REST: &str = "; `agent-console uninstall` takes it out again.";

/// What was decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Where the service listens and everybody connects; absolute.
    pub path: PathBuf,
    /// The configuration's change, if it has to say so.
    pub change: Option<Change>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Decides. `flag` is `--socket`, which comes first; then the configuration; then the default path, unless it is
/// another user's. The environment's choice holds for that environment only and decides nothing.
///
/// # Errors
///
/// The configuration is wrong or unreadable, it and `flag` disagree, or the socket that was chosen belongs to another
/// user.
pub(crate) fn choose(flag: Option<&Path>) -> anyhow::Result<Choice> {
    let file = config::path();
    let given = FileConfig::load(file.as_deref())?.socket;
    let mut choice = decide(flag, given.as_deref(), Path::new(DEFAULT_SOCKET))?;
    if given.as_deref() != Some(&choice.path) && choice.path != Path::new(DEFAULT_SOCKET) {
        let file = file.context(
            "there is no place for a configuration file: set HOME or XDG_CONFIG_HOME to an absolute path",
        )?;
        choice.change = Some(plan_line(&file, &choice.path)?);
    }
    if let Some(other) = variable(SOCKET_VARIABLE)
        && other != choice.path.as_os_str()
    {
        choice.notes.push(format!(
            "{SOCKET_VARIABLE}={} is set here and comes before the configuration: what is started from here connects \
             there, not to {}; unset it, or install with --socket",
            other.display(),
            choice.path.display()
        ));
    }
    Ok(choice)
}

/// The configuration's change that takes our line out again, `None` if there is none.
///
/// # Errors
///
/// The file is unreadable.
pub(crate) fn plan_removal() -> anyhow::Result<Option<Change>> {
    let Some(path) = config::path() else {
        return Ok(None);
    };
    let before = file::read(&path)?;
    let text = before.as_deref().map(std::str::from_utf8);
    let Some((after, directories)) = text.and_then(Result::ok).and_then(without_line) else {
        return Ok(None);
    };
    let emptied = directories.is_some() && after.is_empty();
    Ok(Some(Change {
        prune: stamp::made_for(&path, directories.unwrap_or(0)),
        path,
        before,
        after: (!emptied).then(|| after.into_bytes()),
        mode: 0o600,
    }))
}

fn decide(flag: Option<&Path>, given: Option<&Path>, default: &Path) -> anyhow::Result<Choice> {
    let mut notes = Vec::new();
    let path = match (flag, given) {
        (Some(flag), given) => {
            let path = config::socket_path(Some(flag))?.path;
            if let Some(given) = given.filter(|given| *given != path) {
                bail!(
                    "--socket {} and the configuration's socket {} differ; change or remove the configuration's \
                     (`agent-console config path` says where it is)",
                    path.display(),
                    given.display()
                );
            }
            path
        }
        (None, Some(given)) => given.to_owned(),
        (None, None) => match taken(default) {
            None => default.to_owned(),
            Some(why) => {
                let path = config::socket_path(Some(&own()))?.path;
                notes.push(format!(
                    "{} {why}: the socket is {}, and the configuration says so",
                    default.display(),
                    path.display()
                ));
                path
            }
        },
    };
    if let Some(why) = taken(&path) {
        bail!(
            "{} {why}; choose another path: `agent-console --socket PATH install`, or `socket` in the configuration",
            path.display()
        );
    }
    Ok(Choice {
        path,
        change: None,
        notes,
    })
}

/// Why `path` can't be this user's socket, if it can't.
fn taken(path: &Path) -> Option<String> {
    let found = fs::symlink_metadata(path).ok()?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Some(format!("belongs to user {}", found.uid()));
    }
    (!found.file_type().is_socket()).then(|| "is there and is no socket".to_owned())
}

/// A path that no other user can take: in the runtime directory; without one, with the user's id in its name.
fn own() -> PathBuf {
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    match runtime.filter(|directory| directory.is_absolute() && directory.is_dir()) {
        Some(directory) => directory.join("agent-console.sock"),
        None => PathBuf::from(format!(
            "/tmp/agent-console-{}.sock",
            rustix::process::geteuid().as_raw()
        )),
    }
}

/// The change that puts our line into the configuration at `file`, which gives no socket.
fn plan_line(file: &Path, socket: &Path) -> anyhow::Result<Change> {
    let before = file::read(file)?;
    let directories = file::missing_directories(file).len();
    let text = before.as_deref().map(std::str::from_utf8).transpose();
    let text = text.context("the configuration is not UTF-8")?;
    let after = with_line(text, socket, directories)?;
    // What is written must be what everybody reads.
    let read = Config::parse(&after, file)?.socket;
    anyhow::ensure!(
        read == socket,
        "{}: cannot say in TOML that the socket is {}",
        file.display(),
        socket.display()
    );
    Ok(Change {
        path: file.to_owned(),
        before,
        after: Some(after.into_bytes()),
        mode: 0o600,
        ..Change::default()
    })
}

/// At the top: below a `[usage]` it would be that table's.
fn with_line(text: Option<&str>, socket: &Path, directories: usize) -> anyhow::Result<String> {
    let socket = socket.to_str().context("the socket's path is not UTF-8")?;
    let value = toml::Value::String(socket.to_owned());
    let made = match text {
        None => format!("{MADE}{directories})"),
        Some(_) => String::new(),
    };
    let (bom, rest) = split_bom(text.unwrap_or_default());
    let first = rest.split('\n').next().unwrap_or_default();
    let end = if first.ends_with('\r') { "\r\n" } else { "\n" };
    Ok(format!(
        "{bom}{MARK}{made}{REST}{end}socket = {value}{end}{rest}"
    ))
}

/// The text without our comment and the line below it. With the directories that were made, if the file was.
fn without_line(text: &str) -> Option<(String, Option<usize>)> {
    let begin = text.find(MARK)?;
    let (before, ours) = text.split_at(begin);
    let mut lines = ours.split_inclusive('\n');
    let (comment, line) = (lines.next()?, lines.next()?);
    // A line was put between, or moved away: the comment alone proves nothing.
    if !line.starts_with("socket = ")
        || !(before.is_empty() || before.ends_with(['\n', '\u{feff}']))
    {
        return None;
    }
    let made = comment.strip_prefix(MARK)?.strip_prefix(MADE);
    let directories = made.and_then(|rest| rest.split(')').next()?.parse().ok());
    Some((
        before.to_owned() + lines.collect::<String>().as_str(),
        directories,
    ))
}

fn split_bom(text: &str) -> (&str, &str) {
    let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split_at(text.len() - rest.len())
}

#[cfg(test)]
mod tests;
