//! The programs: whether the service lies beside this one, and is of the same version.

use std::path::PathBuf;

use super::{Check, VERSION};
use crate::install::program;
use crate::os::program::{CLIENT, SERVICE, SHORT, beside, running};

const NAME: &str = "programs";

/// The service's program, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probe {
    /// There is none beside this program, whose file is named.
    Missing(PathBuf),
    /// It is there; its version, or why that cannot be read.
    Found {
        path: PathBuf,
        version: Result<String, String>,
    },
}

/// Looks for it and runs it with `--version`.
pub(super) fn probe() -> Probe {
    match beside(SERVICE) {
        Some(path) => Probe::Found {
            version: program::version(&path, SERVICE).map_err(|error| error.to_string()),
            path,
        },
        None => Probe::Missing(running().unwrap_or_else(|_| CLIENT.into())),
    }
}

pub(super) fn evaluate(probe: &Probe) -> Check {
    let (path, version) = match probe {
        Probe::Found { path, version } => (path.display(), version),
        Probe::Missing(own) => {
            let what = format!(
                "there is no {SERVICE} beside {}: the daemon runs in {CLIENT}'s own process, which takes more memory",
                own.display()
            );
            return Check::note(NAME, what);
        }
    };
    match version {
        Ok(version) if version == VERSION => {
            Check::ok(NAME, format!("{CLIENT} and {path}, both {VERSION}"))
        }
        Ok(version) => {
            let what = format!(
                "{path} is of version {version}, this program of {VERSION}: install both of one version"
            );
            Check::wrong(NAME, what)
        }
        Err(why) => {
            let what = format!(
                "{path} cannot be run: {why}; {CLIENT} serves in its own process until it is replaced"
            );
            Check::wrong(NAME, what)
        }
    }
}

/// The files by which hooks may call this program: its own, and what lies beside it under either name.
pub(super) fn own_programs() -> Vec<PathBuf> {
    let Ok(own) = std::env::current_exe() else {
        return Vec::new();
    };
    let beside = [CLIENT, SHORT].map(|name| own.with_file_name(name));
    let mut programs = vec![own];
    programs.extend(beside.into_iter().filter(|path| path.is_file()));
    programs.dedup();
    programs
}
