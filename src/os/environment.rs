//! The process's environment. Called by every module that reads a variable.

use std::ffi::OsString;
use std::path::Path;

/// The variables that name a directory for every program of the user. A relative path would be another directory in each
/// working directory: the XDG base directory specification (0.8) has programs ignore one, and a `HOME` that is not
/// absolute is no home directory (POSIX, "Environment Variables").
///
/// Not `XDG_RUNTIME_DIR`: `runtime_dir` checks that one, and says what is wrong with it.
const DIRECTORIES: [&str; 3] = ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"];

/// A variable of the environment. An empty one counts as unset, and so does a relative path in one of [`DIRECTORIES`].
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the environment is read"
)]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| is_usable(name, value))
}

fn is_usable(name: &str, value: &OsString) -> bool {
    if DIRECTORIES.contains(&name) {
        Path::new(value).is_absolute()
    } else {
        !value.is_empty()
    }
}

/// The names of all variables that are set.
pub(crate) fn names() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_for_every_program_has_an_absolute_path() {
        let is_usable = |name, value: &str| is_usable(name, &value.into());
        for name in DIRECTORIES {
            for value in ["", "rel", "./rel", "~"] {
                assert!(!is_usable(name, value), "{name}={value}");
            }
            assert!(is_usable(name, "/home/me"));
        }
        assert!(is_usable("PATH", "bin:/bin"));
        assert!(!is_usable("PATH", ""));
    }
}
