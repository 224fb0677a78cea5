//! What reads an agent's own files: transcripts, locks, states, sockets. In general terms, the same for every agent.
//!
//! A [`FileReader`] is an agent's: it decides which files matter and what a change of one means, and does no IO. The
//! daemon watches the files for it, hands in each change as a [`FileChange`], and carries out the [`FileRequest`]s that
//! come back. These files are undocumented: a reader takes what it understands and ignores the rest, and keeps no text of
//! a transcript but what [`crate::event`] has a field for.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use crate::event::{KnownSession, Report, ReportedProcess};
use crate::os::process::{ProcessId, ProcessInfo};
pub(crate) use crate::os::process_table::RunningProcess;

/// Reads the files of one agent.
pub(crate) trait FileReader: Debug {
    /// An earlier daemon has saved these sessions; the oldest is the first. Called once, before [`Self::open`]: what is there
    /// then is compared with what they say. What is known already is not reported again.
    fn restored(
        &mut self,
        sessions: &[&KnownSession<'_>],
        at: u64,
        system: &dyn System,
    ) -> Vec<FileRequest>;

    /// The agent uses this configuration directory. Called once for each.
    fn open(&mut self, config_dir: &Path) -> Vec<FileRequest>;

    /// A file that was asked for has changed at `at`, in ms since the epoch.
    fn read(&mut self, change: FileChange<'_>, at: u64, system: &dyn System) -> Vec<FileRequest>;

    /// A hook of the agent has reported this; called before the core gets it. May add what files have said.
    fn reported(&mut self, report: &mut Report, system: &dyn System) -> Vec<FileRequest>;
}

/// What a reader asks of the daemon.
#[derive(Debug)]
pub(crate) enum FileRequest {
    /// Watch this directory for files whose names are wanted: [`FileChange::Appeared`], [`FileChange::Removed`].
    /// It need not exist yet. Files that are there already have appeared.
    Directory {
        /// Absolute.
        path: PathBuf,
        /// Whether a file of this name matters.
        wanted: fn(&OsStr) -> bool,
    },
    /// Read this file whole at each change: [`FileChange::Contents`]. It need not exist yet.
    Whole(PathBuf),
    /// Read this file line by line as it grows: [`FileChange::Line`]. It need not exist yet, and is followed by path: a
    /// new file of the same name is read from its beginning. What is in it now and asked for with [`LinesFrom::Tail`] is
    /// [`FileChange::EarlierLine`].
    Lines {
        /// Absolute.
        path: PathBuf,
        /// Where to begin if the file exists already.
        from: LinesFrom,
    },
    /// Connect to this socket, which speaks the WebSocket protocol (RFC 6455), and send these messages:
    /// [`FileChange::Message`], [`FileChange::Disconnected`]. Once connected, a second request changes nothing.
    Connect {
        /// Absolute.
        path: PathBuf,
        /// What is sent first.
        greeting: Vec<String>,
    },
    /// Report this file once more in a moment, as [`FileChange::Appeared`], if it is still there.
    Again(PathBuf),
    /// Watch this directory or file no longer, or end the connection to this socket.
    Forget(PathBuf),
    /// Hand this to the core.
    Report(Box<Report>),
}

/// Where to begin in a growing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinesFrom {
    /// With its first line.
    Beginning,
    /// With the first line that is written from now on.
    End,
    /// With the first whole line of the last 64 KiB that are in it now.
    Tail,
}

/// What has happened to a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FileChange<'a> {
    /// A file with a wanted name is in the directory.
    Appeared(&'a Path),
    /// It is no longer there.
    Removed(&'a Path),
    /// What a file holds now, at most 64 KiB, perhaps half-written: then another change follows.
    Contents(&'a Path, &'a [u8]),
    /// A whole line, at most 1 MiB, without its end. A longer one is left out.
    Line(&'a Path, &'a [u8]),
    /// The same, of a line that was there before it was asked for: it may be known, and be of any age.
    EarlierLine(&'a Path, &'a [u8]),
    /// A text from a socket, at most 1 MiB.
    Message(&'a [u8]),
    /// There is no connection to a socket, or none any more.
    Disconnected(&'a Path),
}

/// What the operating system knows, at the moment of the question.
pub(crate) trait System {
    /// The process that holds a lock on the file, as flock(2) or fcntl(2) make it.
    fn lock_holder(&self, path: &Path) -> Option<ReportedProcess>;

    /// The daemon's pid namespace, as [`ReportedProcess::namespace`] has it.
    fn namespace(&self) -> Option<u64>;

    /// This process, in the daemon's pid namespace.
    fn process(&self, pid: u32) -> Option<ProcessInfo>;

    /// The processes of this user that run this program, with their arguments and working directories, newest first.
    fn processes_of(&self, program: fn(&[String], &[String]) -> bool) -> Vec<RunningProcess>;

    /// True if the file is not there, or was last written before this process started: then it is of an earlier process
    /// of that id.
    fn is_older(&self, path: &Path, process: ProcessId) -> bool;

    /// The names of the files in a directory, at most 4096.
    fn names(&self, directory: &Path) -> Vec<Box<OsStr>>;
}
