//! The agent's own registry of sessions: whether its files can be read. Never the keys that lie beside them.

use std::fs::{self, DirEntry, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::fix::readable;
use super::{Check, counted, within};
use crate::agents::Registry;
use crate::os::process;

const NAME: &str = "registry";

/// An entry is a few hundred bytes; of more than this nothing is read.
const LARGEST: u64 = 64 * 1024;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probe {
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
pub(super) fn probe(directory: &Path, registry: &'static Registry) -> Probe {
    let directory = directory.join(registry.directory);
    let late = Probe::Unreadable {
        path: directory.clone(),
        why: "it takes longer than 2 s".into(),
    };
    within(move || read(directory, registry)).unwrap_or(late)
}

fn read(directory: PathBuf, registry: &Registry) -> Probe {
    let unreadable = |path: &Path, error: io::Error| Probe::Unreadable {
        path: path.to_owned(),
        why: error.to_string(),
    };
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Probe::Missing(directory),
        Err(error) => return unreadable(&directory, error),
    };
    let (mut good, mut all) = (0, 0);
    for entry in entries.flatten() {
        let Some(pid) = pid_of(&entry, registry) else {
            continue;
        };
        match parses(&entry.path(), pid, registry) {
            Ok(parsed) => {
                all += 1;
                good += usize::from(parsed);
            }
            // Its session has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return unreadable(&entry.path(), error),
        }
    }
    Probe::Entries {
        directory,
        good,
        all,
    }
}

/// The process that a file is the entry of. Opening a pipe would not return.
fn pid_of(entry: &DirEntry, registry: &Registry) -> Option<u32> {
    let pid = (registry.pid)(&entry.file_name())?;
    let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
    is_file.then_some(pid)
}

/// True if the daemon can make it out.
fn parses(path: &Path, pid: u32, registry: &Registry) -> io::Result<bool> {
    let mut text = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut text)?;
    Ok((registry.read)(&text, pid, process::namespace()).is_some())
}

pub(super) fn evaluate(seen: &Probe) -> Check {
    match seen {
        Probe::Missing(directory) => Check::note(
            NAME,
            format!("{} is not there: no agent has run yet", directory.display()),
        ),
        Probe::Unreadable { path, why } => {
            let what = format!("{} cannot be read: {why}", path.display());
            Check::wrong(NAME, what).fix(readable(path, "u+rX"))
        }
        Probe::Entries {
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
        Probe::Entries {
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
