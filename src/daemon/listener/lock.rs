//! The lock file beside a self-bound socket: held as long as the daemon lives, with its process id in it.
//!
//! The file is removed at the end, before the lock is released. A process that opened it before that then locks a file
//! without a name, and notices: after locking, the path must still name the locked file. The same comparison shows the
//! daemon that its lock file was removed or replaced while it ran.
//!
//! A daemon that starts and finds the lock held waits for a moment, since the other one may be leaving, and changes the
//! file's times: the other one watches the file, and then makes sure that it can be reached (`watch.rs`). So no signal goes
//! to a process that is known by a number in a file.
//!
//! Called by `self_bound.rs` alone.

use super::ListenerError;
use crate::os::clock;
use crate::os::lock_file::{self, Holder};
use crate::os::peer::{self, ConnectError};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
use std::fs::{self, File, FileType, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Only this user opens it.
const MODE: u32 = 0o600;

/// How often a lock file may be removed between open and lock before that is an error; once is already rare.
const TRIES: u32 = 100;

/// Between two attempts while another process holds the lock.
const PAUSE: Duration = Duration::from_millis(5);

/// A file independent of its name: valid as long as the file exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    pub(super) fn is_at(self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| Self::of(&metadata) == self)
    }

    pub(super) fn unlink(self, path: &Path) {
        let removed = match fs::symlink_metadata(path) {
            Ok(metadata) if Self::of(&metadata) == self => fs::remove_file(path),
            Ok(_) => {
                tracing::warn!("{} is not ours any more, and left there", path.display());
                Ok(())
            }
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove {}: {error}", path.display());
            }
            _ => {}
        }
    }
}

/// What became of an attempt to take the lock.
enum Attempt {
    Taken(Lock),
    /// Another process holds it; the file.
    Held(File),
}

/// The lock file, locked. Dropping it removes the file, then gives the lock back.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    id: FileId,
    _file: File,
}

impl Lock {
    /// Takes the lock of `socket`; waits for it as long as `wait`.
    pub(super) fn take(socket: &Path, wait: Duration) -> Result<Self, ListenerError> {
        let began = clock::monotonic();
        let mut has_asked = false;
        loop {
            match Self::try_take(socket)? {
                Attempt::Taken(lock) => return Ok(lock),
                Attempt::Held(file) => {
                    if !std::mem::replace(&mut has_asked, true) {
                        ask_to_listen(&file);
                    }
                }
            }
            if began.elapsed() >= wait {
                return Err(held(socket));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Takes the lock by the file that is at the path now, or by a new one. False if another process holds it.
    pub(super) fn take_again(&mut self, socket: &Path) -> Result<bool, ListenerError> {
        match Self::try_take(socket)? {
            Attempt::Taken(lock) => {
                *self = lock;
                Ok(true)
            }
            Attempt::Held(_) => Ok(false),
        }
    }

    fn try_take(socket: &Path) -> Result<Attempt, ListenerError> {
        let path = lock_file::beside(socket);
        for _ in 0..TRIES {
            let file = open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Attempt::Held(file)),
                Err(TryLockError::Error(source)) => return Err(system("lock", &path, source)),
            }
            let metadata = file
                .metadata()
                .map_err(|source| system("examine the lock file", &path, source))?;
            let id = FileId::of(&metadata);
            // Else its last owner removed it between our opening and our locking.
            if id.is_at(&path) {
                write_pid(&file);
                return Ok(Attempt::Taken(Self {
                    path,
                    id,
                    _file: file,
                }));
            }
        }
        let source = io::Error::other("it is removed again and again");
        Err(system("keep the lock file", &path, source))
    }

    /// True if the path names the locked file.
    pub(super) fn is_in_place(&self) -> bool {
        self.id.is_at(&self.path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_in_place() {
            self.id.unlink(&self.path);
        }
    }
}

/// Why another process's lock is not to be had: whether it serves the socket decides what a person can do.
pub(super) fn held(socket: &Path) -> ListenerError {
    let path = socket.to_owned();
    let holder = lock_file::holder(socket).unwrap_or(Holder::Unseen);
    match peer::connect(socket, Duration::ZERO) {
        Ok(_) | Err(ConnectError::Busy { .. }) => ListenerError::Locked { path, holder },
        Err(_) => ListenerError::Unreachable { path, holder },
    }
}

/// Has the process that holds the lock make sure that it can be reached: it watches the file's attributes.
fn ask_to_listen(file: &File) {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    // Where the file system refuses it, the other process has noticed by itself, or a person learns which it is.
    let _ = rustix::fs::futimens(file, &times);
}

/// For people, and where the system does not say who holds a lock. The lock counts without it: the disk may be full.
fn write_pid(mut file: &File) {
    let written = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = written {
        tracing::debug!("the process id is not in the lock file: {error}");
    }
}

/// Opens the lock file, or makes it; refuses what is not a file of this user's (another could hold the lock for ever).
fn open(path: &Path) -> Result<File, ListenerError> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        // Neither a link to elsewhere, nor a wait for the other end of a pipe.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(source) => {
            // In a sticky directory the kernel refuses another's file even to root (fs.protected_regular, proc(5)).
            if let Ok(metadata) = fs::symlink_metadata(path) {
                vet(path, &metadata)?;
            }
            return Err(system("open the lock file", path, source));
        }
    };
    let metadata = file
        .metadata()
        .map_err(|source| system("examine the lock file", path, source))?;
    vet(path, &metadata)?;
    if metadata.mode() & 0o7777 != MODE {
        file.set_permissions(fs::Permissions::from_mode(MODE))
            .map_err(|source| system("set the mode of the lock file", path, source))?;
    }
    Ok(file)
}

fn vet(path: &Path, metadata: &Metadata) -> Result<(), ListenerError> {
    vet_owner(path, metadata)?;
    if metadata.is_file() {
        return Ok(());
    }
    let source = io::Error::other(format!(
        "it is {}; remove it, or choose another socket with --socket",
        kind(metadata.file_type())
    ));
    Err(system("use as a lock file", path, source))
}

pub(super) fn vet_owner(path: &Path, metadata: &Metadata) -> Result<(), ListenerError> {
    if metadata.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(ListenerError::Foreign {
        path: path.to_owned(),
        uid: metadata.uid(),
    })
}

pub(super) fn kind(file: FileType) -> &'static str {
    if file.is_file() {
        "a regular file"
    } else if file.is_dir() {
        "a directory"
    } else if file.is_symlink() {
        "a symbolic link"
    } else if file.is_fifo() {
        "a named pipe"
    } else if file.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

pub(super) fn system(step: &'static str, path: &Path, source: io::Error) -> ListenerError {
    ListenerError::System {
        step,
        path: path.to_owned(),
        source,
    }
}
