//! The paths that service files and hooks name: ones that will still be right tomorrow.
//!
//! The running executable's own path may be none: package managers keep each version in a directory of its own and a
//! link to the current one in the user's `PATH`. So a name in `PATH` that leads to the same file is preferred, as it is
//! written there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::config::variable;
use crate::os::program::{CLIENT, SERVICE, SHORT, is_program, same_file};
use crate::os::{command, program};

/// How long a program may take to print its version.
const LIMIT: Duration = Duration::from_secs(2);

/// An absolute path of `agent-console`.
///
/// # Errors
///
/// The running program's file is gone, or the system does not give its path.
pub(crate) fn path() -> anyhow::Result<PathBuf> {
    let running = program::running().context("run the installed agent-console again")?;
    Ok(choose(running, variable("PATH").as_deref()))
}

/// The program that agents' settings call: the `acd` beside `client`, whose hook starts faster, where that is of this version;
/// otherwise `client`.
#[must_use]
pub(crate) fn for_settings(client: PathBuf) -> PathBuf {
    let short = client.with_file_name(SHORT);
    // It executes the `agent-console` beside it, whose version it prints.
    match version(&short, CLIENT) {
        Ok(found) if found == env!("CARGO_PKG_VERSION") => short,
        Ok(_) | Err(_) => client,
    }
}

/// The program of this name in `PATH`. Directories there that depend on the current one do not count.
#[must_use]
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let search = variable("PATH")?;
    let directories = std::env::split_paths(&search).filter(|directory| directory.is_absolute());
    let mut programs = directories.map(|directory| directory.join(name));
    programs.find(|program| is_program(program))
}

/// What the service's files start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceProgram {
    /// `agent-consoled`, or `agent-console` where there is none.
    pub path: PathBuf,
    /// The argument, if it takes one.
    pub argument: Option<&'static str>,
    /// Why it is not `agent-consoled`.
    pub note: Option<String>,
}

impl ServiceProgram {
    /// The `agent-consoled` beside `client`, under the name by which that is called if possible; without one of this
    /// version `client daemon`, which serves in its own process.
    #[must_use]
    pub(crate) fn find(client: &Path) -> Self {
        let named = client.with_file_name(SERVICE);
        let found = is_program(&named)
            .then_some(named)
            .or_else(|| program::beside(SERVICE))
            .ok_or_else(|| format!("there is no {SERVICE} beside {}", client.display()));
        let found = found.and_then(|path| match version(&path, SERVICE) {
            Ok(found) if found == env!("CARGO_PKG_VERSION") => Ok(path),
            Ok(found) => Err(format!("{} is of version {found}", path.display())),
            Err(error) => Err(format!("{}: {error}", path.display())),
        });
        match found {
            Ok(path) => Self {
                path,
                argument: None,
                note: None,
            },
            Err(why) => Self {
                path: client.to_owned(),
                argument: Some("daemon"),
                note: Some(format!(
                    "{why}: the service starts `{CLIENT} daemon` instead, which takes more memory; put both programs of \
                     version {} into one directory and install again",
                    env!("CARGO_PKG_VERSION")
                )),
            },
        }
    }
}

/// The version that `program` prints as that of `name`.
///
/// # Errors
///
/// It cannot be run, takes longer than two seconds, or prints something else.
pub(crate) fn version(program: &Path, name: &str) -> std::io::Result<String> {
    let output = command::output(Command::new(program).arg("--version"), LIMIT)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim_end().strip_prefix(name).map(str::trim_start);
    match version {
        Some(version) if output.status.success() => Ok(version.to_owned()),
        _ => Err(std::io::Error::other("it does not print its version")),
    }
}

/// True if `path` lies where a build puts its results, which the next `cargo clean` takes away: below a directory that
/// says of itself that it is a cache (<https://bford.info/cachedir/>).
#[must_use]
pub(crate) fn is_built_in_place(path: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .any(|directory| directory.join("CACHEDIR.TAG").exists())
}

fn choose(running: PathBuf, search: Option<&OsStr>) -> PathBuf {
    let directories = search.map(std::env::split_paths).into_iter().flatten();
    let named = directories
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(CLIENT))
        .find(|name| same_file(name, &running));
    named.unwrap_or(running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::program::test_program as program;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

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
            choose(cellar.clone(), Some(&search))
        };
        assert_eq!(search("nowhere:elsewhere:bin"), at("bin/agent-console"));
        assert_eq!(search("elsewhere"), cellar);
        assert_eq!(choose(cellar.clone(), Some(OsStr::new("."))), cellar);
        assert_eq!(choose(cellar.clone(), None), cellar);
    }

    /// A program that prints this line, and nothing else.
    fn printing(path: &Path, line: &str) {
        let place = tempfile::tempdir().unwrap();
        let text = place.path().join("text");
        fs::write(&text, format!("#!/bin/sh\necho {line}\n")).unwrap();
        let new = path.with_extension("new");
        // What is open for writing here, and in a child that another test starts, cannot be run.
        let copied = Command::new("cp").arg(&text).arg(&new).status();
        assert!(copied.unwrap().success());
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, path).unwrap();
    }

    #[test]
    fn settings_call_the_short_name_only_where_that_is_this_program() {
        let place = tempfile::tempdir().unwrap();
        let client = place.path().join("agent-console");
        program(&client);
        let chosen = || for_settings(client.clone());
        assert_eq!(chosen(), client, "there is none");
        let short = place.path().join("acd");
        fs::write(&short, "").unwrap();
        assert_eq!(chosen(), client, "not a program");
        for line in ["acd 2.1", "agent-console 0.0.0", ""] {
            printing(&short, line);
            assert_eq!(chosen(), client, "{line}");
        }
        printing(&short, concat!("agent-console ", env!("CARGO_PKG_VERSION")));
        assert_eq!(chosen(), short);
    }

    #[test]
    fn the_service_is_named_as_the_program_is() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        program(&at("store/agent-console"));
        fs::create_dir(at("bin")).unwrap();
        let client = at("bin/agent-console");
        symlink(at("store/agent-console"), &client).unwrap();
        let alone = ServiceProgram::find(&client);
        assert_eq!(
            (alone.path, alone.argument),
            (client.clone(), Some("daemon"))
        );
        assert!(
            alone
                .note
                .unwrap()
                .contains("there is no agent-consoled beside")
        );

        let service = at("bin/agent-consoled");
        let write = |version: &str| printing(&service, &format!("agent-consoled {version}"));
        write("0.0.0");
        let old = ServiceProgram::find(&client);
        assert_eq!(old.path, client);
        assert!(old.note.unwrap().contains("is of version 0.0.0"));
        write(env!("CARGO_PKG_VERSION"));
        let found = ServiceProgram::find(&client);
        assert_eq!(
            (found.path, found.argument, found.note),
            (service, None, None)
        );
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
