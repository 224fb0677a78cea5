//! Where readable lines end: standard error, or a file that is rotated. The parent module is the only caller.
//!
//! Each line is one call. A descriptor that would make us wait is not written to: it is asked first (poll(2)), because
//! making it non-blocking would change it for every other holder, a person's shell for one.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing_subscriber::fmt::MakeWriter;

use super::Health;
use crate::config::variable;
use crate::format::escape_bidi;

/// The file is rotated at this size: with the one before it, at most twice that on disk, some ten thousand lines.
const FILE_LIMIT: u64 = 1024 * 1024;

/// The most that a pipe which poll(2) calls writable takes without waiting (`PIPE_BUF`, pipe(7)).
const AT_ONCE: usize = 4096;

/// A place for lines.
#[derive(Debug)]
pub(super) enum Sink {
    /// Descriptor 2.
    StandardError,
    /// A stand-in for it.
    #[cfg(test)]
    Descriptor(std::os::fd::OwnedFd),
    /// A file of our own.
    File(FileSink),
    /// No place could be had.
    Nowhere,
}

impl Sink {
    fn write(&self, line: &[u8]) -> Result<(), String> {
        match self {
            Self::StandardError => write_at_once(rustix::stdio::stderr(), line)
                .map_err(|why| format!("the log cannot be written to standard error: {why}")),
            #[cfg(test)]
            Self::Descriptor(descriptor) => {
                write_at_once(std::os::fd::AsFd::as_fd(descriptor), line)
                    .map_err(|why| why.to_string())
            }
            Self::File(file) => file.write(line),
            Self::Nowhere => Ok(()),
        }
    }
}

/// Whether a person sees standard error and wants colour (<https://no-color.org>).
pub(super) fn standard_error_has_colour() -> bool {
    io::stderr().is_terminal()
        && variable("NO_COLOR").is_none()
        && variable("TERM").is_none_or(|term| term != "dumb")
}

/// Writes all of `line`, or as much as goes without waiting.
fn write_at_once(descriptor: BorrowedFd<'_>, line: &[u8]) -> io::Result<()> {
    for mut piece in line.chunks(AT_ONCE) {
        while !piece.is_empty() {
            let mut ready = [PollFd::new(&descriptor, PollFlags::OUT)];
            match poll(&mut ready, Some(&Timespec::default())) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::WouldBlock,
                        "it is full and is not read",
                    ));
                }
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            match rustix::io::write(descriptor, piece) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => piece = piece.get(written..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// A file that only its owner reads, rotated to `<name>.1` before it outgrows [`FILE_LIMIT`].
#[derive(Debug)]
pub(super) struct FileSink {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
}

impl FileSink {
    /// Opens the file to append to it; creates it and the directories on the way.
    pub(super) fn open(path: PathBuf) -> Result<Self, String> {
        let opened = path
            .parent()
            .map_or(Ok(()), |directory| {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(directory)
            })
            .and_then(|()| open(&path));
        match opened {
            Ok(open) => Ok(Self {
                path,
                open: Mutex::new(open),
            }),
            Err(error) => Err(format!(
                "the log file {} cannot be opened: {error}",
                path.display()
            )),
        }
    }

    /// A file that is open already.
    #[cfg(test)]
    pub(super) fn of(file: File, path: PathBuf) -> Self {
        let open = Mutex::new(Open { file, size: 0 });
        Self { path, open }
    }

    fn write(&self, line: &[u8]) -> Result<(), String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let turned = if open.size > 0 && open.size.saturating_add(length) > FILE_LIMIT {
            self.rotate(&mut open)
        } else {
            Ok(())
        };
        open.size = open.size.saturating_add(length);
        let written = open.file.write_all(line);
        turned.map_err(|error| self.failed("rotated", &error))?;
        written.map_err(|error| self.failed("written", &error))
    }

    /// Moves the file aside and begins a new one. Where that fails, the old one stays in use, and the next attempt comes
    /// after another [`FILE_LIMIT`]: a line too many is better than a system call too many with each line.
    fn rotate(&self, open: &mut Open) -> io::Result<()> {
        open.size = 0;
        let mut before = self.path.clone().into_os_string();
        before.push(".1");
        fs::rename(&self.path, before)?;
        *open = self::open(&self.path)?;
        Ok(())
    }

    fn failed(&self, what: &str, error: &io::Error) -> String {
        format!(
            "the log file {} cannot be {what}: {error}",
            self.path.display()
        )
    }
}

/// A regular file alone: a pipe without a reader would keep the daemon from its start, and one that is not read from its
/// work.
fn open(path: &Path) -> io::Result<Open> {
    // Before it is opened, which has an effect on some devices, and has errors of its own for a socket or a pipe.
    if let Ok(found) = fs::metadata(path) {
        check_regular(&found)?;
    }
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let metadata = file.metadata()?;
    check_regular(&metadata)?;
    let size = metadata.len();
    Ok(Open { file, size })
}

fn check_regular(found: &Metadata) -> io::Result<()> {
    if found.is_file() {
        Ok(())
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// What `tracing` writes its lines to: hands them on, and keeps what goes wrong to `Health` instead of answering it,
/// since `tracing` could only try to say so on standard error.
#[derive(Debug)]
pub(super) struct Writer {
    sink: Sink,
    health: Arc<Health>,
}

impl Writer {
    pub(super) fn new(sink: Sink, health: Arc<Health>) -> Self {
        Self { sink, health }
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// One line on its way.
pub(super) struct Line<'a>(&'a Writer);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // `tracing` escapes control characters only.
        let text = str::from_utf8(line).map(escape_bidi);
        let bytes = text.as_ref().map_or(line, |text| text.as_bytes());
        match self.0.sink.write(bytes) {
            Ok(()) => self.0.health.written(),
            Err(why) => self.0.health.lost(&why),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_private_and_turned_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/agent-console/daemon.log");
        let sink = FileSink::open(path.clone()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);

        let line = [b'x'; 1000];
        for _ in 0..3000 {
            sink.write(&line).unwrap();
        }
        let before = path.with_extension("log.1");
        let size = |path: &Path| fs::metadata(path).unwrap().len();
        assert_eq!(size(&before), FILE_LIMIT / 1000 * 1000);
        assert_eq!(size(&path), 3_000_000 % size(&before));
        assert_eq!(mode(&path), 0o600);

        drop(sink);
        let again = FileSink::open(path.clone()).unwrap();
        again.write(b"appended\n").unwrap();
        assert!(fs::read(&path).unwrap().ends_with(b"xappended\n"));
    }

    #[test]
    fn a_file_that_cannot_be_turned_over_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        // A directory in the way cannot be replaced by a file.
        fs::create_dir(path.with_extension("log.1")).unwrap();
        let sink = FileSink::open(path.clone()).unwrap();
        let big = vec![b'x'; usize::try_from(FILE_LIMIT).unwrap()];
        sink.write(&big).unwrap();
        assert!(sink.write(b"one").unwrap_err().contains("rotated"));
        sink.write(b"two").unwrap();
        assert!(fs::read(&path).unwrap().ends_with(b"xonetwo"));
    }

    #[test]
    fn a_place_that_is_none_is_an_error_with_its_name() {
        let error = FileSink::open("/dev/null/daemon.log".into()).unwrap_err();
        assert!(
            error.starts_with("the log file /dev/null/daemon.log cannot be opened: "),
            "{error}"
        );
    }
}
