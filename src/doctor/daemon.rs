//! The daemon: whether it answers, whether it is this program, and what it has reported.

use std::time::Duration;

use super::fix::{FixCommands, UNSET, configuration, reload};
use super::probe::{DaemonProbe, Program};
use super::{Check, VERSION, unasked};
use crate::config::{Config, ConfigError};
use crate::protocol::{self, NoticeCode};

pub(super) const NAME: &str = "daemon";

/// `probe` is an error where the process `listener` (0: unknown) listens and does not answer as a daemon does.
pub(super) fn evaluate(
    probe: Result<&DaemonProbe, &String>,
    listener: u32,
    commands: &FixCommands,
) -> Check {
    let answers = match probe {
        Ok(answers) => answers,
        Err(why) => return Check::wrong(NAME, why).fix(commands.replace(listener)),
    };
    let hello = &answers.hello;
    let restart = || commands.restart(hello.origin);
    if hello.protocol != protocol::VERSION {
        let what = format!(
            "speaks protocol {}, this program {}",
            hello.protocol,
            protocol::VERSION
        );
        return Check::wrong(NAME, what).fix(restart());
    }
    if hello.version != VERSION {
        let what = format!("version {} runs, this program is {VERSION}", hello.version);
        return Check::wrong(NAME, what).fix(restart());
    }
    let lives = format!(
        "{}, {}, process {}, {}",
        hello.version,
        hello.origin.as_str(),
        hello.pid,
        age(answers)
    );
    match &answers.program {
        Program::Replaced => {
            let what = format!("{lives}: its program was replaced since it started");
            Check::wrong(NAME, what).fix(restart())
        }
        Program::Other(path) => Check::note(
            NAME,
            format!(
                "{lives}; it runs {}, which is not this file",
                path.display()
            ),
        ),
        Program::Same | Program::Unknown => Check::ok(NAME, lives),
    }
}

fn age(answers: &DaemonProbe) -> String {
    if answers.started {
        format!(
            "started by this connection, answered after {} ms",
            answers.took.as_millis()
        )
    } else {
        let up = Duration::from_secs(answers.status.uptime_ms / 1000);
        format!("up {}", humantime::format_duration(up))
    }
}

/// What it has reported lately.
/// `config`: what the configuration comes to now.
pub(super) fn evaluate_notices(
    daemon: Option<(&DaemonProbe, &FixCommands)>,
    config: Option<&Result<Config, ConfigError>>,
) -> Check {
    let name = "notices";
    let Some((answers, commands)) = daemon else {
        return unasked(name);
    };
    let notices = &answers.snapshot.notices;
    let Some(last) = notices.last() else {
        return Check::ok(name, "none");
    };
    let newest = |code: NoticeCode| notices.iter().rposition(|notice| notice.code == code);
    let loaded = newest(NoticeCode::ConfigLoaded);
    let unsettled = |code: NoticeCode| newest(code).filter(|at| Some(*at) > loaded);
    if let Some(refused) = unsettled(NoticeCode::ConfigRefused).and_then(|at| notices.get(at)) {
        let reload = reload(&answers.hello);
        return Check::wrong(name, refused.message.clone()).fix(match config {
            // A daemon that reads the same file refuses it again.
            Some(Err(error)) => match configuration(error, UNSET) {
                Some(fix) => format!("{fix} && {reload}"),
                None => reload,
            },
            Some(Ok(_)) | None => reload,
        });
    }
    if let Some(needed) = unsettled(NoticeCode::RestartNeeded).and_then(|at| notices.get(at)) {
        return Check::wrong(name, needed.message.clone())
            .fix(commands.restart(answers.hello.origin));
    }
    let is_restored = newest(NoticeCode::SocketRestored) > newest(NoticeCode::SocketLost);
    let others: Vec<&str> = notices
        .iter()
        .filter(|notice| notice.code != NoticeCode::SocketLost || !is_restored)
        .filter(|notice| {
            let settled = [
                NoticeCode::ConfigLoaded,
                NoticeCode::ConfigRefused,
                NoticeCode::RestartNeeded,
            ];
            !settled.contains(&notice.code)
        })
        .map(|notice| &*notice.message)
        .collect();
    if others.is_empty() {
        Check::ok(name, last.message.clone())
    } else {
        Check::note(name, others.join("; "))
    }
}
