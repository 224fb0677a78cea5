//! The socket: which path and who chose it, what lies there, whose it is, who listens behind it.

use std::path::Path;

use rustix::fs::{Access, access};

use super::Check;
use super::fix::{FixCommands, configuration, edit, move_away, quote};
use super::probe::{File, Listener, SocketProbe};
use crate::config::{ConfigError, Source};
use crate::os::lock_file::Holder;
use crate::os::peer::{self, ConnectError};
use crate::protocol::{HelloResult, Origin};

const NAME: &str = "socket";

/// It is not known which socket is meant.
pub(super) fn no_choice(error: &ConfigError, unset: &str) -> Check {
    Check::wrong(NAME, error.to_string()).fix_if_any(configuration(error, unset))
}

/// `hello`: the daemon's answer, if it gave one.
pub(super) fn evaluate(
    seen: &SocketProbe,
    hello: Option<&HelloResult<'_>>,
    commands: &FixCommands,
) -> Check {
    let own = rustix::process::geteuid().as_raw();
    let path = &seen.choice.path;
    let place = format!("{} ({})", path.display(), seen.choice.source.as_str());
    let wrong = |what: String| Check::wrong(NAME, format!("{place}: {what}"));
    let elsewhere = |check| elsewhere(check, seen, commands);
    let foreign = |uid: u32| {
        let advice = match own {
            0 => format!(
                "; run this as that user, in a container by `--user {uid}`, or choose another path"
            ),
            _ => "; choose another path".to_owned(),
        };
        elsewhere(wrong(format!(
            "belongs to user {uid}, who is not trusted{advice}"
        )))
    };
    let absent = |what: String| match &seen.foreign_line {
        Some(config) => {
            let config = config.display();
            format!(
                "{what}; `install` wrote this path into {config} on another machine or as another user"
            )
        }
        None => what,
    };
    let unreachable = |what: &str| match &seen.taken {
        Some(why) => elsewhere(wrong(format!("{what}; it {why}"))),
        None => unreachable(format!("{place}: {what}"), seen.holder, commands),
    };
    let mode = match &seen.file {
        File::Missing if !seen.has_directory => {
            return elsewhere(wrong(absent(
                "the directory of this path is not there".into(),
            )));
        }
        File::Missing => return unreachable("there is no socket"),
        // Its owner may move it, also in a directory that every user may write to.
        File::Other { uid } if *uid == own && can_change_directory(path) => {
            return wrong("is there, and is no socket".into()).fix(move_away(path));
        }
        File::Other { uid } => {
            return elsewhere(wrong(format!(
                "is there, belongs to user {uid}, and is no socket; choose another path"
            )));
        }
        File::Hidden(why) => {
            return elsewhere(wrong(absent(format!("cannot be looked at: {why}"))));
        }
        File::Socket { uid, .. } if !peer::trusted(*uid) && seen.listener.is_err() => {
            return foreign(*uid);
        }
        File::Socket { mode, .. } => *mode,
    };
    let listener = match &seen.listener {
        Ok(listener) => listener,
        Err(ConnectError::Foreign { uid, .. }) => return foreign(*uid),
        Err(ConnectError::Roots { .. }) => {
            return elsewhere(wrong(
                "belongs to root, whose daemon serves root alone; choose another path".into(),
            ));
        }
        Err(ConnectError::NoDaemon { .. }) => {
            return unreachable("no process listens there");
        }
        Err(ConnectError::Busy { .. }) => {
            let what = "the process that listens there has accepted no connection for 2 s";
            let check = wrong(what.into());
            return match (commands.origin, seen.holder) {
                // It could not be asked to leave, and nothing shows who it is.
                (Origin::SelfBound | Origin::Unknown, None) => check,
                (_, holder) => {
                    let pid = holder.and_then(Holder::pid);
                    check.fix(commands.replace(pid.unwrap_or(0)))
                }
            };
        }
        Err(ConnectError::Other { source, .. }) => {
            let check = wrong(format!("cannot be connected to: {source}"));
            return match &seen.file {
                File::Socket { uid, .. } if *uid != own => elsewhere(check),
                _ => check,
            };
        }
    };
    let is_own = matches!(&seen.file, File::Socket { uid, .. } if *uid == own);
    if mode != 0o600 && is_own {
        let what = format!("has mode {mode:04o}; others may connect, and would be refused");
        return wrong(what).fix(format!("chmod 600 {}", quote(path)));
    }
    let owner = match &seen.file {
        File::Socket { uid, .. } if *uid == own => "mine".to_owned(),
        File::Socket { uid, .. } if *uid != 0 => format!("user {uid}'s"),
        _ => "root's".to_owned(),
    };
    Check::ok(
        NAME,
        format!("{place}, {owner}, {mode:04o}, {}", held(listener, hello)),
    )
}

/// Another path, by the choice that counts.
fn elsewhere(check: Check, seen: &SocketProbe, commands: &FixCommands) -> Check {
    match seen.choice.source {
        Source::Environment => check.fix(&commands.unset),
        Source::Flag => check,
        Source::Default | Source::File => match crate::config::path() {
            // `install` says in the configuration which path it has chosen.
            None => check,
            Some(config) if seen.choice.source == Source::File && !seen.own_line => {
                check.fix(edit(&config))
            }
            Some(_) => check.fix(&commands.install),
        },
    }
}

/// Where no process listens. A daemon that holds the lock all the same can only be replaced.
fn unreachable(what: String, holder: Option<Holder>, commands: &FixCommands) -> Check {
    match (commands.origin, holder) {
        (Origin::SelfBound, Some(holder)) => {
            let what = format!("{what}, though {holder} holds the lock of this path");
            let check = Check::wrong(NAME, what);
            match holder.pid() {
                Some(pid) => check.fix(commands.replace(pid)),
                None => check,
            }
        }
        _ => Check::wrong(NAME, what).fix(&commands.start),
    }
}

/// Whether this user may rename what is at `path`, as far as the directory around it goes.
fn can_change_directory(path: &Path) -> bool {
    let around = path.parent().unwrap_or(path);
    access(around, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// The kernel names the process that called listen(2): the manager, where it passed the socket on.
fn held(listener: &Listener, hello: Option<&HelloResult<'_>>) -> String {
    if listener.pid == 0 {
        return "held by a process that is not seen from here".into();
    }
    if hello.is_some_and(|hello| hello.pid == listener.pid) {
        return "held by the daemon itself".into();
    }
    let name = listener.name.as_deref().unwrap_or("another process");
    format!("held by {name} (process {})", listener.pid)
}
