//! The path of this program that service files and hooks are to call: one that will still be right tomorrow.
//!
//! The running executable's own path may be none: package managers keep each version in a directory of its own and a
//! link to the current one in the user's `PATH`. So a name in `PATH` that leads to the same file is preferred, as it is
//! written there.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::variable;

/// The program's name.
const NAME: &str = "agent-console";

/// The same program's short name, which is not what is written down.
const SHORT_NAME: &str = "acd";

/// What Linux puts behind the name of an executable that was removed (`proc_pid_exe(5)`).
const DELETED: &[u8] = b" (deleted)";

/// An absolute path of `agent-console`: that of the running program, or of its sibling if it runs as `acd`.
///
/// # Errors
///
/// The running program's file is gone, or the system does not tell its path.
pub fn path() -> anyhow::Result<PathBuf> {
    let running =
        std::env::current_exe().context("the system does not tell this program's path")?;
    choose(&running, variable("PATH").as_deref())
}

/// True if `path` lies where a build puts its results, which the next `cargo clean` takes away: below a directory that
/// says of itself that it is a cache (<https://bford.info/cachedir/>).
#[must_use]
pub fn is_built_in_place(path: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .any(|directory| directory.join("CACHEDIR.TAG").exists())
}

/// True if both names lead to one file.
#[must_use]
pub fn same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => one.dev() == other.dev() && one.ino() == other.ino(),
        _ => false,
    }
}

fn choose(running: &Path, search: Option<&OsStr>) -> anyhow::Result<PathBuf> {
    let running = there_again(running)?;
    let sibling = running.with_file_name(NAME);
    let short = running.file_name() == Some(OsStr::new(SHORT_NAME));
    let program = if short && is_program(&sibling) {
        sibling
    } else {
        running
    };
    let directories = search.map(std::env::split_paths).into_iter().flatten();
    let named = directories
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(NAME))
        .find(|name| same_file(name, &program));
    Ok(named.unwrap_or(program))
}

/// An update replaces the file under a running program; the new one has the old name.
fn there_again(running: &Path) -> anyhow::Result<PathBuf> {
    if is_program(running) {
        return Ok(running.to_owned());
    }
    let bytes = running.as_os_str().as_bytes();
    if let Some(bytes) = bytes.strip_suffix(DELETED) {
        let replaced = PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()));
        if is_program(&replaced) {
            return Ok(replaced);
        }
    }
    bail!(
        "{}: this program's file is gone; run the installed one again",
        running.display()
    )
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, path.as_os_str().as_bytes()).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_name_that_stays_is_chosen() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        let cellar = at("Cellar/agent-console/1.2/bin/agent-console");
        program(&cellar);
        program(&at("elsewhere/agent-console"));
        fs::create_dir(at("bin")).unwrap();
        symlink(&cellar, at("bin/agent-console")).unwrap();
        let search = |path: &str| {
            let directories = path.split(':').map(at);
            let search = std::env::join_paths(directories).unwrap();
            choose(&cellar, Some(&search)).unwrap()
        };
        assert_eq!(search("nowhere:elsewhere:bin"), at("bin/agent-console"));
        assert_eq!(search("elsewhere"), cellar);
        assert_eq!(choose(&cellar, Some(OsStr::new("."))).unwrap(), cellar);
        assert_eq!(choose(&cellar, None).unwrap(), cellar);
    }

    #[test]
    fn the_short_name_leads_to_the_long_one() {
        let place = tempfile::tempdir().unwrap();
        let (long, short) = (place.path().join("agent-console"), place.path().join("acd"));
        program(&short);
        assert_eq!(choose(&short, None).unwrap(), short, "there is no other");
        fs::write(&long, "no program").unwrap();
        assert_eq!(choose(&short, None).unwrap(), short, "not executable");
        program(&long);
        assert_eq!(choose(&short, None).unwrap(), long);
    }

    #[test]
    fn a_program_that_was_replaced_or_removed_while_it_runs() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("agent-console");
        let deleted = place.path().join("agent-console (deleted)");
        let error = choose(&deleted, None).unwrap_err().to_string();
        assert!(error.contains("run the installed one again"), "{error}");
        program(&path);
        assert_eq!(choose(&deleted, None).unwrap(), path);
    }

    #[test]
    fn a_build_directory_is_known() {
        let place = tempfile::tempdir().unwrap();
        let built = place.path().join("target/debug/agent-console");
        program(&built);
        assert!(!is_built_in_place(&built));
        fs::write(place.path().join("target/CACHEDIR.TAG"), "").unwrap();
        assert!(is_built_in_place(&built));
    }
}
