//! The user's runtime directory, `$XDG_RUNTIME_DIR`, held against the conditions of the XDG base directory
//! specification (0.8): an absolute path, a directory that belongs to the user, with the mode 0700.
//!
//! The variable survives `su`, `sudo -E` and a container's bind mounts, and then names another user's directory, or one
//! that any user may write to. Called by everything that puts a file or a socket there, or looks for one.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why the runtime directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeDirError {
    /// There is no runtime directory: the session was not started by a service manager.
    #[error("XDG_RUNTIME_DIR is not set")]
    Unset,
    /// The specification ignores a relative path.
    #[error("XDG_RUNTIME_DIR is {}, which is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// It is not there, or cannot be examined.
    #[error("XDG_RUNTIME_DIR is {}: {source}", path.display())]
    Unreadable {
        /// The variable's value.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Something else is at that path.
    #[error("XDG_RUNTIME_DIR is {}, which is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// It belongs to another user.
    #[error("XDG_RUNTIME_DIR is {}, which belongs to user {uid}", path.display())]
    Foreign {
        /// The variable's value.
        path: PathBuf,
        /// The owner.
        uid: u32,
    },
    /// Other users may enter it, or its owner may not.
    #[error("XDG_RUNTIME_DIR is {}, which has the mode {mode:04o} and not 0700", path.display())]
    Mode {
        /// The variable's value.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// The runtime directory, if `value`, that of `$XDG_RUNTIME_DIR`, names one that is this user's alone. An empty value
/// counts as unset.
///
/// # Errors
///
/// Why it must not be used.
pub fn runtime_dir(value: Option<OsString>) -> Result<PathBuf, RuntimeDirError> {
    let path = value
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .ok_or(RuntimeDirError::Unset)?;
    check(&path, rustix::process::geteuid().as_raw())?;
    Ok(path)
}

fn check(path: &Path, user: u32) -> Result<(), RuntimeDirError> {
    let path_buf = || path.to_owned();
    if path.is_relative() {
        return Err(RuntimeDirError::Relative(path_buf()));
    }
    let found = std::fs::metadata(path).map_err(|source| RuntimeDirError::Unreadable {
        path: path_buf(),
        source,
    })?;
    if !found.is_dir() {
        return Err(RuntimeDirError::NotADirectory(path_buf()));
    }
    if found.uid() != user {
        return Err(RuntimeDirError::Foreign {
            path: path_buf(),
            uid: found.uid(),
        });
    }
    match found.mode() & 0o7777 {
        0o700 => Ok(()),
        mode => Err(RuntimeDirError::Mode {
            path: path_buf(),
            mode,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_of_the_users_own_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
        assert_eq!(runtime_dir(Some(path.into())).unwrap(), path);
        for mode in [0o755, 0o770, 0o777, 0o1700, 0o600] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            let refused = runtime_dir(Some(path.into()));
            assert!(
                matches!(refused, Err(RuntimeDirError::Mode { mode: found, .. }) if found == mode),
                "{mode:o}: {refused:?}"
            );
        }
    }

    #[test]
    fn another_users_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().metadata().unwrap().uid();
        let refused = check(directory.path(), own.wrapping_add(1));
        assert!(
            matches!(refused, Err(RuntimeDirError::Foreign { uid, .. }) if uid == own),
            "{refused:?}"
        );
    }

    #[test]
    fn what_is_no_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = |value: &Path| runtime_dir(Some(value.into())).unwrap_err();
        assert!(matches!(refused(&file), RuntimeDirError::NotADirectory(_)));
        let missing = directory.path().join("missing");
        assert!(matches!(
            refused(&missing),
            RuntimeDirError::Unreadable { .. }
        ));
        let relative = Path::new("run");
        assert!(matches!(refused(relative), RuntimeDirError::Relative(_)));
        for unset in [None, Some("".into())] {
            assert!(matches!(runtime_dir(unset), Err(RuntimeDirError::Unset)));
        }
    }
}
