//! The configuration directories of an agent: the one of the environment, those that the configuration names, and those
//! beside the default one that look like one.
//!
//! People with several accounts give each a directory of its own. Lists directories, reads no file. Called by the
//! daemon, `install` and `doctor`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::{Agent, config_dir};

/// The most directories of one agent: more than a person has accounts, few enough that copies of a directory, such as
/// backups, cost little.
pub(crate) const MAX_CONFIG_DIRS: usize = 16;

/// The configuration directories of `agent`, each once, at most [`MAX_CONFIG_DIRS`]: first the environment's, then the
/// `named` ones, whether or not they exist; then those that were found below the home, by name. Two paths of one
/// directory count as one.
#[must_use]
pub(crate) fn config_dirs(
    agent: &Agent,
    variable: impl Fn(&str) -> Option<OsString>,
    named: &[PathBuf],
) -> Vec<PathBuf> {
    let home = variable("HOME").map(PathBuf::from);
    let home = home.filter(|home| home.is_absolute());
    let own = config_dir(agent.config_dir, &variable);
    let found = home.map(|home| found_beside(agent, &home));
    let all = own.into_iter().chain(named.iter().cloned());
    let mut directories: Vec<PathBuf> = Vec::new();
    for directory in all.chain(found.into_iter().flatten()) {
        let is_known = directories
            .iter()
            .any(|known| is_same_directory(known, &directory));
        if !is_known && directories.len() < MAX_CONFIG_DIRS {
            directories.push(directory);
        }
    }
    directories
}

/// The directory that the default configuration directory lies in, and the default's name, with which the names of
/// those beside it begin.
pub(crate) fn default_place(agent: &Agent, home: &Path) -> Option<(PathBuf, OsString)> {
    let below_home = agent.config_dir.below_home;
    let default = home.join(below_home);
    Some((default.parent()?.into(), default.file_name()?.into()))
}

/// The directories beside the default one whose names begin like its name, the default included, in order of their
/// names.
pub(crate) fn candidates(agent: &Agent, home: &Path) -> Vec<PathBuf> {
    let Some((parent, prefix)) = default_place(agent, home) else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(&parent).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .map(|entry| entry.file_name())
        .filter(|name| begins_with(name, &prefix))
        .map(|name| parent.join(name))
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// True if the directory holds what an agent of this kind keeps in one: its registry, or its settings.
pub(crate) fn is_config_dir(agent: &Agent, directory: &Path) -> bool {
    let registry = agent.registry.as_ref();
    registry.is_some_and(|registry| directory.join(registry.directory).is_dir())
        || directory.join(agent.install.settings).is_file()
}

/// True if `name` begins with `prefix`.
pub(crate) fn begins_with(name: &OsStr, prefix: &OsStr) -> bool {
    let (name, prefix) = (name.as_encoded_bytes(), prefix.as_encoded_bytes());
    name.starts_with(prefix)
}

fn found_beside(agent: &Agent, home: &Path) -> Vec<PathBuf> {
    let mut found = candidates(agent, home);
    found.retain(|directory| is_config_dir(agent, directory));
    found
}

/// True if both paths lead to one directory, or are the same where none exists.
pub(crate) fn is_same_directory(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| path.canonicalize().ok();
    one == other || resolved(one).is_some_and(|one| Some(one) == resolved(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::DEFAULT;
    use std::fs;

    #[test]
    fn directories_are_those_of_the_environment_the_configuration_and_the_home() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        fs::create_dir_all(home.join(".claude-work/sessions")).unwrap();
        fs::create_dir_all(home.join(".claude2")).unwrap();
        fs::write(home.join(".claude2/settings.json"), "{}").unwrap();
        // None of an agent.
        fs::create_dir_all(home.join(".claude-squad/logs")).unwrap();
        fs::create_dir_all(home.join(".other/sessions")).unwrap();
        fs::write(home.join(".claude.json"), "{}").unwrap();
        // Another path of one that is there.
        std::os::unix::fs::symlink(home.join(".claude2"), home.join(".claude3")).unwrap();

        let with = |config_dir: Option<&str>, named: &[PathBuf]| {
            let variable = |name: &str| match name {
                "HOME" => Some(home.clone().into()),
                "CLAUDE_CONFIG_DIR" => config_dir.map(Into::into),
                _ => None,
            };
            config_dirs(DEFAULT, variable, named)
        };
        let below = |name: &str| home.join(name);
        assert_eq!(
            with(None, &[]),
            [below(".claude"), below(".claude-work"), below(".claude2")]
        );
        // The default one exists now: it is found also where the environment names another.
        fs::create_dir_all(home.join(".claude/sessions")).unwrap();
        let named = ["/elsewhere".into(), below(".claude2"), "/elsewhere".into()];
        assert_eq!(
            with(Some("/given"), &named),
            [
                "/given".into(),
                "/elsewhere".into(),
                below(".claude2"),
                below(".claude"),
                below(".claude-work"),
            ]
        );
    }

    #[test]
    fn copies_of_a_directory_are_bounded() {
        let home = tempfile::tempdir().unwrap();
        for number in 0..100 {
            let directory = home.path().join(format!(".claude.{number}/sessions"));
            fs::create_dir_all(directory).unwrap();
        }
        let variable = |name: &str| (name == "HOME").then(|| home.path().into());
        let found = config_dirs(DEFAULT, variable, &[]);
        assert_eq!(found.len(), MAX_CONFIG_DIRS);
        assert_eq!(found[0], home.path().join(".claude"));
    }
}
