//! The agent's own registry of sessions: whether its files can be read. Never the keys that lie beside them.

use std::fs::{self, DirEntry, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Check, counted, quoted, within};

const NAME: &str = "registry";

/// An entry is a few hundred bytes; of more than this nothing is read.
const LARGEST: u64 = 64 * 1024;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// There is no home to look in.
    NoHome,
    /// No agent has run yet.
    Missing(PathBuf),
    /// The directory or one of the files cannot be read.
    Unreadable { path: PathBuf, why: String },
    /// How many entries there are, and how many of them can be made out.
    Entries {
        directory: PathBuf,
        good: usize,
        all: usize,
    },
}

/// Reads the registry below the agent's configuration directory.
pub(super) fn look(directory: Option<PathBuf>) -> Seen {
    let Some(directory) = directory else {
        return Seen::NoHome;
    };
    let directory = directory.join("sessions");
    let late = Seen::Unreadable {
        path: directory.clone(),
        why: "it takes longer than 2 s".into(),
    };
    within(move || read(directory)).unwrap_or(late)
}

fn read(directory: PathBuf) -> Seen {
    let unreadable = |path: &Path, error: io::Error| Seen::Unreadable {
        path: path.to_owned(),
        why: error.to_string(),
    };
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Seen::Missing(directory),
        Err(error) => return unreadable(&directory, error),
    };
    let (mut good, mut all) = (0, 0);
    for entry in entries.flatten().filter(is_entry) {
        match parses(&entry.path()) {
            Ok(parsed) => {
                all += 1;
                good += usize::from(parsed);
            }
            // Its session has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return unreadable(&entry.path(), error),
        }
    }
    Seen::Entries {
        directory,
        good,
        all,
    }
}

/// `PID.json`, and a file: a pipe would keep whoever opens it waiting.
fn is_entry(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let pid = name.to_str().and_then(|name| name.strip_suffix(".json"));
    pid.is_some_and(|pid| pid.parse::<u32>().is_ok())
        && entry.file_type().is_ok_and(|kind| kind.is_file())
}

fn parses(path: &Path) -> io::Result<bool> {
    let mut text = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut text)?;
    let entry: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
    Ok(entry.is_some_and(|entry| entry["pid"].is_u64() && entry["sessionId"].is_string()))
}

pub(super) fn judge(seen: &Seen) -> Check {
    match seen {
        Seen::NoHome => Check::note(NAME, "HOME is not set: there is no registry to read"),
        Seen::Missing(directory) => Check::note(
            NAME,
            format!("{} is not there: no agent has run yet", directory.display()),
        ),
        Seen::Unreadable { path, why } => {
            let what = format!("{} cannot be read: {why}", path.display());
            Check::wrong(NAME, what).mend(format!("chmod -R u+rX {}", quoted(path)))
        }
        Seen::Entries {
            directory,
            good,
            all,
        } if good == all => Check::ok(
            NAME,
            format!(
                "{}: {}",
                directory.display(),
                counted(*all, "entry", "entries")
            ),
        ),
        Seen::Entries {
            directory,
            good,
            all,
        } => Check::note(
            NAME,
            format!(
                "{}: {good} of {all} entries can be made out; the others are half-written, or of a version not known here",
                directory.display()
            ),
        ),
    }
}
