//! Which socket the service has, so that daemon, hooks and clients agree; and the line in the configuration that names it
//! where it is not the default.
//!
//! `/tmp/agent-console.sock` belongs to the first user on the machine who takes it. If that is another user, the socket goes
//! into the user's runtime directory, and `socket = "$XDG_RUNTIME_DIR/…"` at the top of the configuration says so: the
//! directory's own path would be wrong on another machine that has the same home. Earlier versions wrote it. The line stands below
//! a comment of ours, by which `uninstall` finds both; all else in the file stays byte for byte as it is.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::config_line::{self, REST};
use super::file::{self, Change};
use crate::config::{self, Config, DEFAULT_SOCKET, FileConfig, SOCKET_VARIABLE, variable};
use crate::os::lock_file;
use crate::os::peer;
use crate::os::runtime_dir::RuntimeDirError;

/// How our comment begins.
const MARK: &str = "# Written by `agent-console install`";

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

/// Decides. `flag` is `--socket`, which comes first; then the configuration, unless `install` wrote the line and the path
/// cannot be used any more; then the first that can be used: the default path, one that has the user's own name, one in the
/// user's home. The environment's choice holds for that environment only and decides nothing.
///
/// # Errors
///
/// The configuration is wrong or unreadable, it and `flag` disagree, or the socket that was chosen belongs to another
/// user.
pub(crate) fn choose(flag: Option<&Path>) -> anyhow::Result<Choice> {
    let file = config::path();
    let mut given = FileConfig::load(file.as_deref())?.socket;
    let literal = file.as_deref().and_then(literal_line);
    if let Some(literal) = &literal {
        given = Some(config::runtime_path::socket(&literal.name));
    }
    let line_is_ours = file.as_deref().is_some_and(wrote_line);
    let wanted = given
        .as_deref()
        .filter(|given| !line_is_ours || taken(given).is_none());
    let mut choice = decide(flag, wanted, &candidates(Path::new(DEFAULT_SOCKET)))?;
    let is_needed = given.is_some() || choice.path != Path::new(DEFAULT_SOCKET);
    let is_new = given.as_deref() != Some(&choice.path) && is_needed;
    if is_new || literal.is_some() {
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
    config_line::plan_removal(without_line)
}

/// The paths that are tried where none is named.
fn candidates(default: &Path) -> Vec<PathBuf> {
    let mut candidates = vec![default.to_owned(), own()];
    // Where there is no runtime directory, and another user has taken the path in `/tmp`: the configuration's directory is
    // this user's, and is made for the line that names the path.
    let config = config::path();
    let directory = config.as_deref().and_then(Path::parent);
    candidates.extend(directory.map(|directory| directory.join("agent-console.sock")));
    candidates
}

/// `candidates` is not empty.
fn decide(
    flag: Option<&Path>,
    given: Option<&Path>,
    candidates: &[PathBuf],
) -> anyhow::Result<Choice> {
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
        (None, None) => {
            let free = candidates.iter().position(|path| taken(path).is_none());
            let chosen = candidates.get(free.unwrap_or(0)).context("no path")?;
            let path = config::socket_path(Some(chosen))?.path;
            if free.is_some_and(|free| free > 0) {
                match config::runtime_path::from_environment() {
                    Ok(_) | Err(RuntimeDirError::Unset) => {}
                    Err(why) => notes.push(format!("{why}: it is not used")),
                }
                let refused = candidates.iter().take_while(|path| *path != chosen);
                let refused =
                    refused.filter_map(|path| Some(format!("{} {}", path.display(), taken(path)?)));
                notes.push(format!(
                    "{}: the socket is {}, and the configuration says so",
                    refused.collect::<Vec<_>>().join(", "),
                    path.display()
                ));
            }
            path
        }
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

/// Why `path` can't be this user's socket, if it can't: what is there, or beside it, where a daemon without a service
/// manager has its lock.
#[must_use]
pub(crate) fn taken(path: &Path) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    let lock = lock_file::beside(path);
    match fs::symlink_metadata(path) {
        Ok(found) if found.uid() != own => {
            return Some(format!("belongs to user {}", found.uid()));
        }
        Ok(found) if !found.file_type().is_socket() => {
            return Some("is there and is no socket".to_owned());
        }
        Ok(_) | Err(_) => {}
    }
    let found = fs::symlink_metadata(&lock).ok()?;
    let why = if found.uid() != own {
        format!("belongs to user {}", found.uid())
    } else if found.is_file() {
        return None;
    } else {
        "is no regular file".to_owned()
    };
    // A service manager holds its socket without a lock.
    let is_served = peer::connect(path, Duration::ZERO).is_ok();
    (!is_served).then(|| format!("cannot be served: its lock file {} {why}", lock.display()))
}

/// A path that no other user can take: in the runtime directory; without one, with the user's id in its name.
fn own() -> PathBuf {
    config::runtime_path::socket("agent-console.sock")
}

/// The path in our line, as an earlier version wrote it.
struct Literal {
    /// The file's name in the runtime directory.
    name: String,
    /// The directory is this machine's and this user's.
    is_here: bool,
}

/// Our line of the configuration at `file`, if an earlier version wrote it with a runtime directory's own path: the one of
/// here, or one that this user does not have here.
fn literal_line(file: &Path) -> Option<Literal> {
    let text = String::from_utf8(file::read(file).ok()??).ok()?;
    let (_, line) = our_lines(&text)?;
    let table: toml::Table = line.parse().ok()?;
    let path = Path::new(table.get("socket")?.as_str()?);
    let directory = path.parent()?;
    let is_here = config::runtime_path::contract(path).is_some();
    // Any other path was a person's choice, by `--socket`.
    let is_elsewhere = directory.starts_with("/run/user") && !is_own_directory(directory);
    let name = path.file_name()?.to_str()?.to_owned();
    (is_here || is_elsewhere).then_some(Literal { name, is_here })
}

fn is_own_directory(path: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == user)
}

/// True if the configuration at `file` has its socket from a line that `install` wrote.
#[must_use]
pub(crate) fn wrote_line(file: &Path) -> bool {
    let text = file::read(file).ok().flatten();
    let text = text.and_then(|text| String::from_utf8(text).ok());
    text.is_some_and(|text| our_lines(&text).is_some())
}

/// True if `install` wrote the socket's line in the configuration at `file` on another machine, or as another user.
#[must_use]
pub(crate) fn is_of_another_machine(file: &Path) -> bool {
    literal_line(file).is_some_and(|literal| !literal.is_here)
}

/// The change that puts our line into the configuration at `file`, which gives no socket but in our line.
fn plan_line(file: &Path, socket: &Path) -> anyhow::Result<Change> {
    let before = file::read(file)?;
    let text = before.as_deref().map(std::str::from_utf8).transpose();
    let text = text.context("the configuration is not UTF-8")?;
    let value = config::runtime_path::contract(socket).map(PathBuf::from);
    let value = value.as_deref().unwrap_or(socket);
    let after = match text.and_then(without_line) {
        // It keeps what it says of the file.
        Some((rest, Some(directories))) if rest.is_empty() => with_line(None, value, directories)?,
        Some((rest, _)) => with_line(Some(&rest), value, 0)?,
        None => with_line(text, value, file::missing_directories(file).len())?,
    };
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
    let made = config_line::made(text.is_none().then_some(directories));
    let (bom, rest) = split_bom(text.unwrap_or_default());
    let first = rest.split('\n').next().unwrap_or_default();
    let end = if first.ends_with('\r') { "\r\n" } else { "\n" };
    Ok(format!(
        "{bom}{MARK}{made}{REST}{end}socket = {value}{end}{rest}"
    ))
}

/// The text without our comment and the line below it. With the directories that were made, if the file was.
fn without_line(text: &str) -> Option<(String, Option<usize>)> {
    let (comment, line) = our_lines(text)?;
    let (before, ours) = text.split_at(text.find(MARK)?);
    Some((
        before.to_owned() + &ours[comment.len() + line.len()..],
        config_line::directories(comment),
    ))
}

/// Our comment and the line below it.
fn our_lines(text: &str) -> Option<(&str, &str)> {
    let (before, ours) = text.split_at(text.find(MARK)?);
    let mut lines = ours.split_inclusive('\n');
    let (comment, line) = (lines.next()?, lines.next()?);
    // A line was put between, or moved away: the comment alone proves nothing.
    let is_ours = line.starts_with("socket = ")
        && (before.is_empty() || before.ends_with(['\n', '\u{feff}']));
    is_ours.then_some((comment, line))
}

fn split_bom(text: &str) -> (&str, &str) {
    let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split_at(text.len() - rest.len())
}

#[cfg(test)]
mod tests;
