//! The configuration: whether the file is right, whether it is the one that the daemon reads, whether it counts.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::fix::{FixCommands, UNSET, configuration, reload};
use super::probe::DaemonProbe;
use super::{Check, within};
use crate::config::{self, Config, ConfigError};
use crate::protocol::Origin;

const NAME: &str = "config";

/// What the file comes to.
#[derive(Debug)]
pub(super) struct Probe {
    /// Where this program looks for it.
    pub(super) path: Option<PathBuf>,
    /// What it says; `None` where its disk does not answer.
    pub(super) config: Option<Result<Config, ConfigError>>,
    /// Where the daemon looks for it, if the system says.
    pub(super) daemons: Option<PathBuf>,
}

/// Looks at the file and at what the daemon was started with.
pub(super) fn probe(answers: Option<&DaemonProbe>) -> Probe {
    Probe {
        path: config::path(),
        config: within(Config::load),
        daemons: answers
            .filter(|answers| answers.visible)
            .and_then(|answers| path_of(answers.hello.pid)),
    }
}

/// From the two variables that say so; nothing else of the process's environment is kept. proc(5); `None` where there
/// is no such file.
fn path_of(pid: u32) -> Option<PathBuf> {
    let variables = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = |name: &[u8]| {
        variables
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(name)?.strip_prefix(b"="))
            .map(|value| OsStr::from_bytes(value).to_owned())
    };
    config::path_in(value(b"XDG_CONFIG_HOME"), value(b"HOME"))
}

pub(super) fn evaluate(seen: &Probe, daemon: Option<(&DaemonProbe, &FixCommands)>) -> Check {
    let Some(path) = &seen.path else {
        return Check::note(
            NAME,
            "neither HOME nor XDG_CONFIG_HOME is an absolute path: the defaults count",
        );
    };
    let config = match &seen.config {
        Some(Ok(config)) => config,
        Some(Err(error)) => {
            let fix = configuration(error, UNSET);
            return Check::wrong(NAME, error.to_string()).fix_if_any(fix);
        }
        None => {
            let what = format!("{} cannot be read within 2 s", path.display());
            return Check::wrong(NAME, what);
        }
    };
    let place = if path.exists() {
        path.display().to_string()
    } else {
        format!("{} (not there: the defaults count)", path.display())
    };
    let Some((answers, commands)) = daemon else {
        return Check::ok(NAME, place);
    };
    if let Some(daemons) = &seen.daemons
        && daemons != path
        && (daemons.exists() || path.exists())
    {
        let what = format!("{place}, but the daemon reads {}", daemons.display());
        let restart = commands.restart(answers.hello.origin);
        let fix = match answers.hello.origin {
            Origin::Systemd => {
                let verb = match crate::config::variable("XDG_CONFIG_HOME") {
                    Some(_) => "import",
                    None => "unset",
                };
                format!("systemctl --user {verb}-environment XDG_CONFIG_HOME && {restart}")
            }
            Origin::Launchd | Origin::SelfBound | Origin::Unknown => restart,
        };
        return Check::wrong(NAME, what).fix(fix);
    }
    // The one setting that the daemon reports.
    let wanted = config.idle_timeout.map(|time| time.as_millis());
    if wanted != answers.status.idle_timeout_ms.map(u128::from) {
        let what = format!("{place}: changed since the daemon read it");
        return Check::wrong(NAME, what).fix(reload(&answers.hello));
    }
    Check::ok(NAME, place)
}
