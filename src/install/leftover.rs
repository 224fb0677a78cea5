//! Files that a run which was killed has left behind: removed by the next one.
//!
//! A file is changed by a temporary one beside it ([`super::file`]), `doctor` and `demo` have a directory of their own below
//! that for temporary files. Only what bears such a name, is of the expected kind, belongs to this user and has not been
//! touched for an hour is removed. Called by `commands::install`, `commands::uninstall` and `commands::doctor`.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{self, TEMPORARY};
use super::{hooks, launchd, systemd};
use crate::config;
use crate::os::{clock, process};

/// What is younger may belong to a run that has not ended.
const AGE: Duration = Duration::from_hours(1);

/// Letters and digits after [`TEMPORARY`].
const RANDOM: usize = 6;

/// How the directories of `doctor` and `demo` begin; the process's id follows.
const DIRECTORIES: [&str; 2] = ["agent-console-doctor-", "agent-console-demo-"];

/// Removes what earlier runs left behind; each path that is gone.
pub(crate) fn sweep() -> Vec<PathBuf> {
    let files = hooks::all_files().into_iter();
    let files = files.chain(config::path()).chain(launchd::path().ok());
    let units = systemd::directory().ok().map(|units| units.join("unit"));
    let mut directories: Vec<_> = files
        .chain(units)
        .filter_map(|path| Some(file::resolve(&path).ok()?.parent()?.to_owned()))
        .collect();
    directories.sort();
    directories.dedup();
    let mut swept: Vec<_> = directories
        .iter()
        .flat_map(|directory| sweep_files(directory))
        .collect();
    swept.extend(sweep_directories(&std::env::temp_dir()));
    swept
}

/// Temporary files beside those that are changed.
fn sweep_files(directory: &Path) -> Vec<PathBuf> {
    let around = fs::symlink_metadata(directory);
    let is_theirs = |found: &Metadata| {
        let own = rustix::process::geteuid();
        // What root makes in a user's home belongs to that user, once it is finished.
        let users = around.as_ref().is_ok_and(|dir| dir.uid() == found.uid());
        found.uid() == own.as_raw() || own.is_root() && users
    };
    let is_left = |name: &str, found: &Metadata| {
        let random = name.strip_prefix(TEMPORARY);
        random.is_some_and(|random| {
            random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }) && found.is_file()
            && found.nlink() == 1
            && is_theirs(found)
    };
    remove(directory, is_left, |path| fs::remove_file(path))
}

/// Directories of runs of `doctor` and `demo` whose process is gone.
fn sweep_directories(temporary: &Path) -> Vec<PathBuf> {
    let own = rustix::process::geteuid().as_raw();
    let is_left = |name: &str, found: &Metadata| {
        let mut rest = DIRECTORIES
            .iter()
            .filter_map(|begin| name.strip_prefix(begin));
        let pid = rest
            .next()
            .and_then(|rest| rest.split('-').next()?.parse().ok());
        pid.is_some_and(|pid| process::inspect(pid).is_err())
            && found.is_dir()
            && found.uid() == own
    };
    remove(temporary, is_left, |path| fs::remove_dir_all(path))
}

/// Removes the entries of `directory` that `is_left` names and that are old enough. One that cannot be removed stays.
fn remove(
    directory: &Path,
    is_left: impl Fn(&str, &Metadata) -> bool,
    remove: impl Fn(&Path) -> io::Result<()>,
) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let left = entries.filter(|entry| {
        let name = entry.file_name();
        // Most names are of other programs.
        let name = name.to_str().filter(|name| name.contains("agent-console-"));
        // Of a link, the link's own.
        let found = name.and_then(|name| Some((name, entry.metadata().ok()?)));
        found.is_some_and(|(name, found)| is_old(&found) && is_left(name, &found))
    });
    let paths = left.map(|entry| entry.path());
    paths.filter(|path| remove(path).is_ok()).collect()
}

fn is_old(found: &Metadata) -> bool {
    let now = clock::unix_ms() / 1000;
    let changed = u64::try_from(found.mtime()).unwrap_or(0);
    now.saturating_sub(changed) > AGE.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    /// Makes the file look as old as one that is swept.
    fn age(path: &Path) {
        let ms = clock::unix_ms() - 2 * u64::try_from(AGE.as_millis()).unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        File::open(path).unwrap().set_modified(old).unwrap();
    }

    #[test]
    fn only_an_old_file_with_such_a_name_is_swept() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let left = [".agent-console-aB3xYz", ".agent-console-000000"];
        let kept = [
            "settings.json",
            ".agent-console-aB3xY",
            ".agent-console-aB3xYzz",
            ".agent-console-aB3xY.",
            "agent-console-aB3xYz",
        ];
        for name in left.iter().chain(&kept) {
            fs::write(path(name), "{}").unwrap();
            age(&path(name));
        }
        let young = path(".agent-console-younge");
        fs::write(&young, "{}").unwrap();
        let linked = path(".agent-console-linked");
        symlink(path("settings.json"), &linked).unwrap();
        let hard = path(".agent-console-hardly");
        fs::hard_link(path("settings.json"), &hard).unwrap();
        let directory = path(".agent-console-direct");
        fs::create_dir(&directory).unwrap();
        age(&directory);

        let mut swept = sweep_files(place.path());
        swept.sort();
        let mut expected = left.map(path);
        expected.sort();
        assert_eq!(swept, expected);
        for path in kept.map(path) {
            assert!(path.exists(), "{}", path.display());
        }
        for path in [young, hard, directory] {
            assert!(path.exists(), "{}", path.display());
        }
        assert!(fs::symlink_metadata(linked).is_ok());
    }

    #[test]
    fn only_an_old_directory_of_a_process_that_is_gone_is_swept() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let own = std::process::id();
        let left = format!("agent-console-doctor-{}-1700000000000", u32::MAX);
        let names = [
            left.clone(),
            format!("agent-console-demo-{own}"),
            "agent-console-0".to_owned(),
            "agent-console-demo-x".to_owned(),
        ];
        for name in &names {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("socket"), "").unwrap();
            age(&path(name));
        }
        let young = format!("agent-console-demo-{}", u32::MAX);
        fs::create_dir(path(&young)).unwrap();
        assert_eq!(sweep_directories(place.path()), [path(&left)]);
        for name in names.iter().skip(1).chain([&young]) {
            assert!(path(name).exists(), "{name}");
        }
    }
}
