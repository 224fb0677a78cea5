//! The programs of this crate and where they lie: side by side in one directory, wherever that is.
//!
//! `agent-console` is what people call, `agent-consoled` the service, `acd` the hook and the short name. Each finds the
//! others beside itself and never by `PATH`, where a name may belong to another version or another user. Knows nothing of
//! what they do. Called by the programs themselves, the installer and `doctor`.

use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::ptr;

/// The program with the command line.
pub const CLIENT: &str = "agent-console";

/// Its short name, a program of its own: the hook, and all else by executing [`CLIENT`].
pub const SHORT: &str = "acd";

/// The service.
pub const SERVICE: &str = "agent-consoled";

/// What Linux puts behind the name of an executable that was removed (`proc_pid_exe(5)`).
const DELETED: &[u8] = b" (deleted)";

/// The running program's file. An update replaces the file under a running program: this is the new one then.
///
/// # Errors
///
/// The file is gone (`NotFound`), or the system does not give its path.
pub fn running() -> io::Result<PathBuf> {
    resolve_replaced(&std::env::current_exe()?)
}

/// The program `name` that lies beside the running one: beside its file, else beside the link by which it was called.
#[must_use]
pub fn beside(name: &str) -> Option<PathBuf> {
    let running = running().ok()?;
    let called = std::env::args_os().next().map(PathBuf::from);
    find_beside(name, &running, called.as_deref())
}

/// The program with the command line, for a process of either program: the one beside the service; otherwise this very
/// program, under whatever name.
///
/// # Errors
///
/// This is the service and there is none beside it (`NotFound`), or the system does not give its path.
pub fn client() -> io::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let name = exe.file_name().unwrap_or_default().as_bytes();
    if name.strip_suffix(DELETED).unwrap_or(name) != SERVICE.as_bytes() {
        // Also where its file was removed since.
        return Ok(if cfg!(target_os = "linux") {
            "/proc/self/exe".into()
        } else {
            exe
        });
    }
    beside(CLIENT).ok_or_else(|| {
        let message = format!("there is no {CLIENT} beside {}", exe.display());
        io::Error::new(io::ErrorKind::NotFound, message)
    })
}

/// True if `path` is a file that may be executed.
#[must_use]
pub fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Replaces this process by `program`; process id, environment and descriptors stay. Returns only if that fails.
///
/// Not `Command::exec`: that calls execvp(3), which has a shell run a file that the system cannot execute, such as an
/// empty one or another machine's.
pub fn exec(program: &Path, arguments: impl IntoIterator<Item = OsString>) -> io::Error {
    let words = [program.as_os_str().to_owned()];
    let words = words.into_iter().chain(arguments);
    let words: Result<Vec<_>, _> = words.map(|word| CString::new(word.into_vec())).collect();
    let words = match words {
        Ok(words) => words,
        Err(error) => return error.into(),
    };
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    let path = pointers[0];
    pointers.push(ptr::null());
    #[expect(unsafe_code, reason = "execv(3) has no safe wrapper")]
    // SAFETY: `path` and each pointer before the null lead to texts that end in a zero byte and live in `words`.
    unsafe {
        libc::execv(path, pointers.as_ptr());
    }
    io::Error::last_os_error()
}

/// True if both names lead to one file.
#[must_use]
pub fn same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => one.dev() == other.dev() && one.ino() == other.ino(),
        _ => false,
    }
}

/// The other program of this name, never `running` itself. `called` is the first argument of the process, which may be
/// anything: it counts only where it is a path to `running`.
fn find_beside(name: &str, running: &Path, called: Option<&Path>) -> Option<PathBuf> {
    let is_path = |called: &&Path| called.components().count() > 1;
    let called = called
        .filter(is_path)
        .and_then(|called| std::path::absolute(called).ok())
        .filter(|called| same_file(called, running));
    let candidates = [Some(running.to_owned()), called].into_iter().flatten();
    candidates
        .map(|program| program.with_file_name(name))
        // What lies there may be this program under the other's name: executing it would have no end.
        .find(|path| is_program(path) && !same_file(path, running))
}

fn resolve_replaced(exe: &Path) -> io::Result<PathBuf> {
    if is_program(exe) {
        return Ok(exe.to_owned());
    }
    if let Some(bytes) = exe.as_os_str().as_bytes().strip_suffix(DELETED) {
        let replaced = PathBuf::from(OsString::from_vec(bytes.to_vec()));
        if is_program(&replaced) {
            return Ok(replaced);
        }
    }
    let message = format!("{}: this program's file is gone", exe.display());
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

/// A file at `path` that may be executed, unlike any other.
#[cfg(test)]
pub(crate) fn test_program(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, path.as_os_str().as_bytes()).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(test)]
mod tests {
    use super::test_program as program;
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_program_that_was_replaced_or_removed_while_it_runs() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(CLIENT);
        let deleted = place.path().join("agent-console (deleted)");
        let error = resolve_replaced(&deleted).unwrap_err().to_string();
        assert!(error.contains("this program's file is gone"), "{error}");
        program(&path);
        assert_eq!(resolve_replaced(&deleted).unwrap(), path);
    }

    #[test]
    fn the_other_program_is_beside_the_file_or_beside_the_link_that_was_called() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        let running = at("store/agent-console");
        program(&running);
        fs::create_dir(at("bin")).unwrap();
        symlink(&running, at("bin/agent-console")).unwrap();
        let find = |called: &Path| find_beside(SERVICE, &running, Some(called));

        let link = at("bin/agent-console");
        assert_eq!(find(&link), None);
        fs::write(at("bin/agent-consoled"), "not executable").unwrap();
        assert_eq!(find(&link), None);
        program(&at("bin/agent-consoled"));
        assert_eq!(find(&link), Some(at("bin/agent-consoled")));
        assert_eq!(find(Path::new("agent-console")), None, "a name is no path");

        program(&at("elsewhere/agent-console"));
        program(&at("elsewhere/agent-consoled"));
        assert_eq!(find(&at("elsewhere/agent-console")), None, "another file");

        symlink(&running, at("store/agent-consoled")).unwrap();
        assert_eq!(find(Path::new("agent-console")), None, "this very program");
        fs::remove_file(at("store/agent-consoled")).unwrap();

        program(&at("store/agent-consoled"));
        assert_eq!(find(&link), Some(at("store/agent-consoled")));
    }
}
