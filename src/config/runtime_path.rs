//! A socket's path in the user's runtime directory, as the configuration writes it: `$XDG_RUNTIME_DIR/agent-console.sock`.
//!
//! The directory's own path has a user id in it, and exists on one machine: in a home that several machines share, it
//! would be wrong on the others. Called by `file`, which reads such a path, and by `install::socket`, which writes it.

use std::path::{Path, PathBuf};

use crate::os::environment::variable;
use crate::os::runtime_dir::{RuntimeDirError, runtime_dir};

const PREFIX: &str = "$XDG_RUNTIME_DIR/";

/// The runtime directory of the environment.
///
/// # Errors
///
/// Why it is not used.
pub(crate) fn from_environment() -> Result<PathBuf, RuntimeDirError> {
    runtime_dir(variable("XDG_RUNTIME_DIR"))
}

/// The runtime directory of the environment, or where systemd puts it (`pam_systemd(8)`): a process may lack the
/// variable, or have another user's, and must find the same files.
pub(crate) fn directory() -> Option<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let usual = || runtime_dir(Some(format!("/run/user/{user}").into()));
    from_environment().or_else(|_| usual()).ok()
}

/// The path that `text` stands for, if it begins with the variable. Without a runtime directory it is in `/tmp`, with the
/// user's id in its name.
pub(crate) fn expand(text: &Path) -> Option<PathBuf> {
    let name = text.to_str()?.strip_prefix(PREFIX)?;
    Some(path_in(directory().as_deref(), Path::new(name)))
}

/// How the configuration writes `path`, if it is in the runtime directory.
pub(crate) fn contract(path: &Path) -> Option<String> {
    let name = path.strip_prefix(directory()?).ok()?.to_str()?;
    Some(format!("{PREFIX}{name}"))
}

/// The path that [`expand`] gives for the file `name` in the runtime directory.
pub(crate) fn socket(name: &str) -> PathBuf {
    path_in(directory().as_deref(), Path::new(name))
}

fn path_in(directory: Option<&Path>, name: &Path) -> PathBuf {
    if let Some(directory) = directory {
        return directory.join(name);
    }
    let user = rustix::process::geteuid().as_raw();
    let stem = name.file_stem().unwrap_or(name.as_os_str());
    let mut own = stem.to_owned();
    own.push(format!("-{user}"));
    let own = Path::new("/tmp").join(own);
    match name.extension() {
        Some(extension) => {
            let mut own = own.into_os_string();
            own.push(".");
            own.push(extension);
            own.into()
        }
        None => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_in_the_runtime_directory_or_has_the_users_id() {
        let user = rustix::process::geteuid().as_raw();
        let name = Path::new("agent-console.sock");
        let given = path_in(Some(Path::new("/run/x")), name);
        assert_eq!(given, Path::new("/run/x/agent-console.sock"));
        let own = format!("/tmp/agent-console-{user}.sock");
        assert_eq!(path_in(None, name), Path::new(&own));
        let own = format!("/tmp/socket-{user}");
        assert_eq!(path_in(None, Path::new("a/socket")), Path::new(&own));
    }

    #[test]
    fn only_the_variable_at_the_beginning_is_expanded() {
        for text in [
            "/tmp/s",
            "$HOME/s",
            "/a/$XDG_RUNTIME_DIR/s",
            "$XDG_RUNTIME_DIRS",
        ] {
            assert_eq!(expand(Path::new(text)), None, "{text}");
        }
        assert_eq!(expand(Path::new("$XDG_RUNTIME_DIR/s")), Some(socket("s")));
        if let Some(directory) = directory() {
            let path = directory.join("s");
            assert_eq!(contract(&path).as_deref(), Some("$XDG_RUNTIME_DIR/s"));
        }
        assert_eq!(contract(Path::new("/nowhere/s")), None);
    }
}
