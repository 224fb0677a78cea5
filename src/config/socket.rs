//! Which socket counts: the order of choice for daemon, hook and clients, which share it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{ConfigError, DEFAULT_SOCKET, SOCKET_VARIABLE, check_socket, file, path, variable};
use crate::os::peer;
use crate::protocol::words::words;

words! {
    /// Where a value comes from.
    pub(crate) closed enum Source {
        /// The command line.
        Flag = "flag",
        /// The environment.
        Environment = "environment",
        /// The configuration file.
        File = "file",
        /// No choice was made.
        Default = "default",
    }
}

/// The socket to listen on or to connect to, and who chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SocketChoice {
    /// An absolute path, at most [`peer::LONGEST_PATH`] bytes.
    pub path: PathBuf,
    /// Who chose it.
    pub source: Source,
}

/// The socket for daemon and clients alike: `flag` (that is `--socket`), else `$AGENT_CONSOLE_SOCKET`, else the file's
/// `socket`, else [`DEFAULT_SOCKET`]. A relative `flag` is taken from the working directory; the variable and the file
/// must give an absolute path, because they hold for processes with different working directories.
///
/// # Errors
/// The choice that comes first is unusable, or the file cannot be read or is no TOML. Mistakes in other keys of the file
/// are no error here.
pub(crate) fn socket_path(flag: Option<&Path>) -> Result<SocketChoice, ConfigError> {
    choose_socket(flag, variable(SOCKET_VARIABLE), path().as_deref())
}

/// The same for a process that connects. A socket that was named to it, by `flag` or `$AGENT_CONSOLE_SOCKET`, is one
/// whose owner root trusts ([`peer::trust_owner`]).
///
/// # Errors
/// As [`socket_path`].
pub(crate) fn client_socket(flag: Option<&Path>) -> Result<SocketChoice, ConfigError> {
    let choice = socket_path(flag)?;
    match choice.source {
        Source::Flag | Source::Environment => peer::trust_owner(&choice.path),
        Source::File | Source::Default => {}
    }
    Ok(choice)
}

/// The socket that counts where neither `--socket` nor the variable names one.
///
/// # Errors
///
/// As of [`socket_path`].
pub(crate) fn socket_without_variable() -> Result<SocketChoice, ConfigError> {
    choose_socket(None, None, path().as_deref())
}

pub(super) fn choose_socket(
    flag: Option<&Path>,
    variable: Option<OsString>,
    file: Option<&Path>,
) -> Result<SocketChoice, ConfigError> {
    let named = |from, given: PathBuf, source| match check_socket(&given) {
        Ok(()) => Ok(SocketChoice {
            path: given,
            source,
        }),
        Err(what) => Err(ConfigError::Socket { from, what }),
    };
    if let Some(flag) = flag {
        let absolute = std::path::absolute(flag).unwrap_or_else(|_| flag.to_owned());
        return named("--socket", absolute, Source::Flag);
    }
    if let Some(value) = variable {
        return named("$AGENT_CONSOLE_SOCKET", value.into(), Source::Environment);
    }
    let from_file = match file {
        Some(file) => file::socket_of(file)?,
        None => None,
    };
    Ok(match from_file {
        Some(path) => SocketChoice {
            path,
            source: Source::File,
        },
        None => SocketChoice {
            path: PathBuf::from(DEFAULT_SOCKET),
            source: Source::Default,
        },
    })
}
