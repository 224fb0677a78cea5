//! A socket that the daemon binds itself: one daemon to a path, no other's file removed.
//!
//! The path alone cannot decide who serves it: two daemons that both find no answer, unlink and bind would take the
//! socket away from each other. So all of it happens under a lock file beside the socket, held as long as the daemon
//! lives (flock(2): the kernel releases it however the daemon dies). Under the lock, what is at the path is
//!
//! - nothing: bind;
//! - a socket of ours that refuses connections, left by a daemon that was killed: unlink, bind;
//! - a socket that answers, or whose queue is full: served without our lock (by a service manager's daemon): refuse;
//! - anything else, or another user's: not ours to remove: refuse.
//!
//! The lock file is removed at the end, before the lock is released. A process that opened it before that then locks a
//! file without a name, and notices: after locking, the path must still name the locked file.

use super::ListenerError;
use crate::os::peer::{self, ConnectError};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketType};
use std::fs::{self, File, FileType, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Connections that may wait while the loop is busy; beyond, a client waits inside connect(2), and a hook gives up.
/// The kernel takes the smaller of this and `net.core.somaxconn` (4096 since Linux 5.4; 128 on macOS).
const BACKLOG: i32 = 4096;

/// Only this user opens the socket or its lock. (The peer's user is checked all the same.)
const MODE: u32 = 0o600;

/// How often a lock file may be removed between open and lock before that is an error; once is already rare.
const LOCK_TRIES: u32 = 100;

/// What belongs to a socket of our own besides its descriptor: the lock, and which file at the path is ours.
#[derive(Debug)]
pub(super) struct SelfBound {
    bound: Option<FileId>,
    _lock: Lock,
}

impl SelfBound {
    /// Binds at `path`, which is absolute.
    pub(super) fn bind(path: &Path) -> Result<(OwnedFd, Self), ListenerError> {
        // Before the lock file is made: its name would be too long, too.
        address(path)?;
        let lock = Lock::take(path)?;
        let (socket, id) = bind(path)?;
        Ok((
            socket,
            Self {
                bound: Some(id),
                _lock: lock,
            },
        ))
    }

    /// Binds again after an [`unlink`](Self::unlink); `None` if the socket still is at its path.
    pub(super) fn rebind(&mut self, path: &Path) -> Result<Option<OwnedFd>, ListenerError> {
        if self.bound.is_some() {
            return Ok(None);
        }
        let (socket, id) = bind(path)?;
        self.bound = Some(id);
        Ok(Some(socket))
    }

    /// Removes the path if it still names `socket`, which is the one that was bound, and has the kernel refuse who
    /// looked the path up before and connects only now. What is queued stays queued.
    pub(super) fn unlink(&mut self, path: &Path, socket: &OwnedFd) {
        if let Some(id) = self.bound.take() {
            id.unlink(path);
            // Linux answers ECONNREFUSED from here on; elsewhere nothing happens.
            let _ = rustix::net::shutdown(socket, Shutdown::Read);
        }
    }
}

/// A file independent of its name: valid as long as the file exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    fn is_at(self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| Self::of(&metadata) == self)
    }

    fn unlink(self, path: &Path) {
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

/// The lock file, locked. Dropping it removes the file, then gives the lock back.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    id: FileId,
    _file: File,
}

impl Lock {
    fn take(socket: &Path) -> Result<Self, ListenerError> {
        let mut name = socket.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        for _ in 0..LOCK_TRIES {
            let file = open_lock(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(ListenerError::Locked {
                        path: socket.to_owned(),
                        lock: path,
                    });
                }
                Err(TryLockError::Error(source)) => return Err(system("lock", &path, source)),
            }
            let metadata = file
                .metadata()
                .map_err(|source| system("examine the lock file", &path, source))?;
            let id = FileId::of(&metadata);
            // Else its last owner removed it between our opening and our locking.
            if id.is_at(&path) {
                return Ok(Self {
                    path,
                    id,
                    _file: file,
                });
            }
        }
        let source = io::Error::other("it is removed again and again");
        Err(system("keep the lock file", &path, source))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.id.unlink(&self.path);
    }
}

/// Opens the lock file, or makes it; refuses what is not a file of this user's (another could hold the lock for ever).
fn open_lock(path: &Path) -> Result<File, ListenerError> {
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
                vet_lock(path, &metadata)?;
            }
            return Err(system("open the lock file", path, source));
        }
    };
    let metadata = file
        .metadata()
        .map_err(|source| system("examine the lock file", path, source))?;
    vet_lock(path, &metadata)?;
    if metadata.mode() & 0o7777 != MODE {
        file.set_permissions(fs::Permissions::from_mode(MODE))
            .map_err(|source| system("set the mode of the lock file", path, source))?;
    }
    Ok(file)
}

fn vet_lock(path: &Path, metadata: &Metadata) -> Result<(), ListenerError> {
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

fn vet_owner(path: &Path, metadata: &Metadata) -> Result<(), ListenerError> {
    if metadata.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(ListenerError::Foreign {
        path: path.to_owned(),
        uid: metadata.uid(),
    })
}

/// Makes room at `path` and binds a listening socket there. The lock is held.
fn bind(path: &Path) -> Result<(OwnedFd, FileId), ListenerError> {
    make_room(path)?;
    let address = address(path)?;
    let socket = socket().map_err(|errno| system("make a socket for", path, errno.into()))?;
    // On Linux the file gets the mode of the socket, less the umask; elsewhere this is refused and changes nothing.
    let _ = rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR);
    rustix::net::bind(&socket, &address)
        .map_err(|errno| system("bind the socket", path, errno.into()))?;
    let metadata =
        fs::symlink_metadata(path).map_err(|source| system("examine the socket", path, source))?;
    let id = FileId::of(&metadata);
    // No client can connect before listen(2), so until here it does not matter whom the mode lets in. The umask, which would
    // do it as well, belongs to the whole process: files that other threads make now would come out unreadable.
    let listening = if metadata.mode() & 0o777 == MODE {
        Ok(())
    } else {
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))
    }
    .and_then(|()| Ok(rustix::net::listen(&socket, BACKLOG)?));
    if let Err(source) = listening {
        id.unlink(path);
        return Err(system("listen on the socket", path, source));
    }
    Ok((socket, id))
}

/// Leaves nothing at `path`, or says why what is there stays.
fn make_room(path: &Path) -> Result<(), ListenerError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(system("examine", path, source)),
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenerError::NotASocket {
            path: path.to_owned(),
            found: kind(metadata.file_type()),
        });
    }
    vet_owner(path, &metadata)?;
    match peer::connect(path, Duration::ZERO) {
        Ok(_) | Err(ConnectError::Busy { .. }) => Err(ListenerError::Live {
            path: path.to_owned(),
        }),
        Err(ConnectError::Foreign { path, uid }) => Err(ListenerError::Foreign { path, uid }),
        Err(ConnectError::NoDaemon { .. }) => {
            tracing::info!("replaces {}, which its daemon left behind", path.display());
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(system("remove the abandoned socket", path, error))
                }
                _ => Ok(()),
            }
        }
        Err(ConnectError::Other { path, source }) => {
            Err(system("tell whether a daemon serves", &path, source))
        }
    }
}

fn address(path: &Path) -> Result<rustix::net::SocketAddrUnix, ListenerError> {
    peer::address(path).map_err(|source| system("bind the socket", path, source))
}

#[cfg(target_os = "linux")]
fn socket() -> Result<OwnedFd, Errno> {
    use rustix::net::SocketFlags;
    rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
}

#[cfg(target_os = "macos")]
fn socket() -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

fn kind(file: FileType) -> &'static str {
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

fn system(step: &'static str, path: &Path, source: io::Error) -> ListenerError {
    ListenerError::System {
        step,
        path: path.to_owned(),
        source,
    }
}
