//! The file in which the state outlives the daemon: lines of [`Core::save`], appended at the end of a turn of the loop.
//!
//! In the runtime directory, which is memory: it survives the daemon, and not the machine, whose restart ends every
//! session anyway. So the file is never synced. It has the mode 0600 in a directory of this user's with the mode 0700, and
//! is named after the socket. Once it has grown to [`GROWTH`] times the size of what it says, it is replaced by a new one.
//!
//! What cannot be read or written never keeps the daemon from serving: each failure is reported once, and writing is tried
//! again. Knows no line. Called by the loop.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::{runtime_path, variable};
use crate::core::{Core, LineError, Saved};
use crate::daemon::listener::Origin;
use crate::os::clock;

/// How much larger than its contents the file grows: then half of the time that saving costs is spent on new files.
const GROWTH: u64 = 4;

/// Below this size, in bytes, no file is replaced.
const SMALL: u64 = 256 * 1024;

/// The longest line, in bytes: far more than a session with everything that it may have.
const MAX_LINE: u64 = 4 * 1024 * 1024;

/// How long after a failure writing is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// How often it is looked whether the file is still there, at most: a look costs as much as a line.
const LOOK: Duration = Duration::from_secs(1);

/// The longest part of a socket's path that is in the file's name, in bytes: `NAME_MAX` less what is added.
const MAX_NAME: usize = 200;

/// The file, while it is written.
#[derive(Debug)]
struct Open {
    file: File,
    /// In bytes.
    size: u64,
    /// The size at which it is replaced.
    limit: u64,
    looked_at: Instant,
}

impl Open {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    /// True if a new file must take its place: it has grown, or another program has removed it.
    fn is_spent(&mut self) -> io::Result<bool> {
        if self.size > self.limit {
            return Ok(true);
        }
        let now = clock::monotonic();
        if now < self.looked_at + LOOK {
            return Ok(false);
        }
        self.looked_at = now;
        Ok(self.file.metadata()?.nlink() == 0)
    }
}

/// Where the state is saved.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    is_enabled: bool,
    /// `None`: the next lines go to a new file.
    open: Option<Open>,
    /// When writing failed last, until it succeeds.
    failed_at: Option<Instant>,
    /// The lines of a turn, kept to reuse the allocation.
    lines: Vec<u8>,
}

impl StateFile {
    /// The file for the daemon that serves `socket`.
    pub(super) fn new(socket: &Path, origin: Origin, is_enabled: bool) -> Self {
        Self {
            path: directory(origin).join(name(socket)),
            is_enabled,
            open: None,
            failed_at: None,
            lines: Vec::new(),
        }
    }

    /// What an earlier daemon has saved, and what of it is lost, each in a line for a person.
    pub(super) fn read(&self) -> (Saved, Vec<String>) {
        let mut saved = Saved::default();
        let mut losses = Vec::new();
        if self.is_enabled
            && let Err(error) = read(&self.path, &mut saved, &mut losses)
            && error.kind() != io::ErrorKind::NotFound
        {
            losses.push(error.to_string());
        }
        let path = self.path.display();
        let losses = losses.into_iter();
        (
            saved,
            losses.map(|loss| format!("{path}: {loss}")).collect(),
        )
    }

    /// Appends what has changed. The error is for a person, and comes once for each failure.
    pub(super) fn save(&mut self, core: &mut Core) -> Result<(), String> {
        if !self.is_enabled {
            return Ok(());
        }
        let Some(open) = &mut self.open else {
            return self.try_again(core);
        };
        self.lines.clear();
        let outcome = core.save(&mut self.lines).and_then(|()| {
            if self.lines.is_empty() {
                return Ok(false);
            }
            open.append(&self.lines)?;
            open.is_spent()
        });
        match outcome {
            Ok(false) => Ok(()),
            Ok(true) => self.replace(core),
            Err(error) => self.failed(&error),
        }
    }

    /// Writes a new file of all that there is. The error is for a person, and comes once for each failure.
    pub(super) fn replace(&mut self, core: &mut Core) -> Result<(), String> {
        if !self.is_enabled {
            return Ok(());
        }
        match write(&self.path, core) {
            Ok(open) => {
                self.open = Some(open);
                if self.failed_at.take().is_some() {
                    tracing::info!("the state is saved again in {}", self.path.display());
                }
                Ok(())
            }
            Err(error) => self.failed(&error),
        }
    }

    /// The daemon leaves in order.
    pub(super) fn leave(&mut self, core: &mut Core) -> Result<(), String> {
        let Some(open) = self.open.as_mut().filter(|_| self.is_enabled) else {
            return Ok(());
        };
        self.lines.clear();
        let outcome = core.save_leaving(&mut self.lines);
        let outcome = outcome.and_then(|()| open.append(&self.lines));
        outcome.or_else(|error| self.failed(&error))
    }

    /// Leaves the file to another daemon, which has the socket's path now.
    pub(super) fn abandon(&mut self) {
        self.is_enabled = false;
        self.open = None;
    }

    /// Switches it on or off. What was saved is removed where it is off.
    pub(super) fn enable(&mut self, is_enabled: bool) {
        self.is_enabled = is_enabled;
        if !is_enabled {
            self.open = None;
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!("cannot remove {}: {error}", self.path.display());
                }
                _ => {}
            }
        }
    }

    fn try_again(&mut self, core: &mut Core) -> Result<(), String> {
        let is_due = self
            .failed_at
            .is_none_or(|at| clock::monotonic() >= at + RETRY);
        if is_due {
            self.replace(core)
        } else {
            core.forget_unsaved();
            Ok(())
        }
    }

    fn failed(&mut self, error: &io::Error) -> Result<(), String> {
        self.open = None;
        match self.failed_at.replace(clock::monotonic()) {
            Some(_) => Ok(()),
            None => Err(format!(
                "{}: {error}; a restart loses what has changed since",
                self.path.display()
            )),
        }
    }
}

/// The directory: the one that the manager has made for the service (`RuntimeDirectory=`, systemd.exec(5)), else one of the
/// same name in the user's runtime directory. Without either, one in the directory for temporary files: on macOS that is
/// the user's own.
fn directory(origin: Origin) -> PathBuf {
    let of_service = || {
        let directories = variable("RUNTIME_DIRECTORY")?;
        let first = directories.as_bytes().split(|byte| *byte == b':').next()?;
        let first = Path::new(OsStr::from_bytes(first));
        first.is_absolute().then(|| first.to_owned())
    };
    let of_service = (origin == Origin::Systemd).then(of_service).flatten();
    let of_user = || Some(runtime_path::directory()?.join("agent-console"));
    of_service.or_else(of_user).unwrap_or_else(|| {
        let user = rustix::process::geteuid().as_raw();
        std::env::temp_dir().join(format!("agent-console-{user}"))
    })
}

/// The socket's path as one name, as systemd-escape(1) writes it.
fn name(socket: &Path) -> OsString {
    let path = socket.as_os_str().as_bytes();
    let mut name = String::new();
    for byte in path.strip_prefix(b"/").unwrap_or(path) {
        match byte {
            b'/' => name.push('-'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => {
                name.push(char::from(*byte));
            }
            // Writing to a string does not fail.
            byte => drop(write!(name, "\\x{byte:02x}")),
        }
    }
    // The end differs more than the beginning.
    let begin = name.len().saturating_sub(MAX_NAME);
    format!("{}.jsonl", &name[begin..]).into()
}

/// Reads the file into `saved`, line by line; what is lost goes to `losses`.
fn read(path: &Path, saved: &mut Saved, losses: &mut Vec<String>) -> io::Result<()> {
    check_directory(path)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    check_owner(&found)?;
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let (mut line, mut number, mut lost, mut first) = (Vec::new(), 0_u64, 0_u64, None);
    loop {
        line.clear();
        if (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        number += 1;
        match saved.take(line.trim_ascii_end()) {
            Ok(()) => {}
            Err(error @ LineError::Version(_)) => {
                *saved = Saved::default();
                return Err(io::Error::other(error));
            }
            Err(error) => {
                lost += 1;
                first.get_or_insert_with(|| format!("line {number}: {error}"));
            }
        }
    }
    if let Some(first) = first {
        losses.push(match lost {
            1 => format!("{first}; this line is lost"),
            _ => format!("{first}; {lost} lines are lost"),
        });
    }
    Ok(())
}

/// Writes all of the state to a new file at `path`.
fn write(path: &Path, core: &mut Core) -> io::Result<Open> {
    make_directory(path)?;
    let mut new = path.to_owned().into_os_string();
    new.push(".new");
    // One that a daemon that was killed has left behind.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    let mut writer = BufWriter::with_capacity(64 * 1024, file);
    let written = core.save_all(&mut writer).and_then(|()| writer.flush());
    let written = written.and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        // The error is the one of writing.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    let (file, _) = writer.into_parts();
    let size = file.metadata()?.len();
    Ok(Open {
        file,
        size,
        limit: SMALL.max(GROWTH * size),
        looked_at: clock::monotonic(),
    })
}

fn make_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    check_directory(path)
}

/// Whether the directory of this file is one that only this user can write to.
fn check_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    let found = fs::symlink_metadata(directory)?;
    let checked = if found.is_dir() {
        check_owner(&found)
    } else {
        Err(io::Error::other("it is no directory"))
    };
    checked.map_err(|error| io::Error::other(format!("{}: {error}", directory.display())))
}

/// Whether only this user can write to it.
fn check_owner(found: &Metadata) -> io::Result<()> {
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if found.mode() & 0o022 != 0 {
        return Err(io::Error::other("other users may write to it"));
    }
    Ok(())
}
