//! The daemon: whether it answers, whether it is this program, and what it has had to say.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::socket::Seen;
use super::{Check, LIMIT, VERSION, Ways, own_programs, reload, unasked, within};
use crate::client::{Client, ClientError, Update};
use crate::os::clock;
use crate::os::program::{SERVICE, beside, same_file};
use crate::protocol::{self, HelloParams, HelloResult, Snapshot, StatusResult};

pub(super) const NAME: &str = "daemon";

/// The origin of a socket that no manager holds.
pub(super) const SELF_BOUND: &str = "self-bound";

/// All that the daemon was asked.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    pub(super) hello: HelloResult<'static>,
    pub(super) status: StatusResult<'static>,
    pub(super) snapshot: Snapshot<'static>,
    /// From the connection, which was made just before, to the first answer.
    pub(super) took: Duration,
    /// It began to run after the connection was made: the manager started it for us.
    pub(super) started: bool,
    /// Its process id means the same here: it is in this pid namespace.
    pub(super) seen: bool,
    /// What it runs.
    pub(super) program: Program,
}

/// The file that a daemon was started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    /// This one.
    Same,
    /// One that has been replaced or removed since.
    Replaced,
    /// Another one.
    Other(PathBuf),
    /// The system does not tell.
    Unknown,
}

/// Asks over a connection that has just been made.
///
/// # Errors
///
/// What is wrong with whoever listens, for a person.
pub(super) fn ask(path: &Path, connection: UnixStream) -> Result<Answers, String> {
    let path = path.to_owned();
    // One that answers a byte a second would get by the connection's own time limit.
    within(move || exchange(&path, connection))
        .unwrap_or_else(|| Err(format!("it does not answer within {} s", LIMIT.as_secs())))
}

fn exchange(path: &Path, connection: UnixStream) -> Result<Answers, String> {
    let told = |error: ClientError| match error {
        ClientError::TimedOut { .. } => format!("it does not answer within {} s", LIMIT.as_secs()),
        error => error.to_string(),
    };
    let began = clock::monotonic();
    let mut client = Client::from_stream(path, connection);
    let params = HelloParams {
        client: Some("agent-console doctor".into()),
        version: Some(VERSION.into()),
    };
    let hello: HelloResult<'static> = client.call("hello", &params).map_err(told)?;
    let took = began.elapsed();
    let nothing = serde_json::Map::new();
    let status: StatusResult<'static> = client.call("daemon.status", &nothing).map_err(told)?;
    let started =
        hello.origin != SELF_BOUND && u128::from(status.uptime_ms) <= began.elapsed().as_millis();
    let seen = client.sees_daemon();
    let mut snapshot = None;
    client
        .subscribe(|update| {
            if let Update::Snapshot(first) = update {
                snapshot = Some(first);
            }
            false
        })
        .map_err(told)?;
    Ok(Answers {
        snapshot: snapshot.ok_or("it gives no snapshot")?,
        program: if seen {
            program_of(hello.pid)
        } else {
            Program::Unknown
        },
        hello,
        status,
        took,
        started,
        seen,
    })
}

/// proc(5): the link says so where its file has another name or none by now. Elsewhere there is no such link.
fn program_of(pid: u32) -> Program {
    let link = format!("/proc/{pid}/exe");
    let Ok(target) = std::fs::read_link(&link) else {
        return Program::Unknown;
    };
    if target.to_string_lossy().ends_with(" (deleted)") {
        Program::Replaced
    } else if own_programs()
        .iter()
        .chain(&beside(SERVICE))
        .any(|own| same_file(own, Path::new(&link)))
    {
        Program::Same
    } else {
        Program::Other(target)
    }
}

/// `answers` is an error where somebody listens and does not answer as a daemon does.
pub(super) fn judge(answers: Result<&Answers, &String>, seen: &Seen, ways: &Ways) -> Check {
    let answers = match answers {
        Ok(answers) => answers,
        Err(why) => {
            let pid = seen.listener.as_ref().map_or(0, |listener| listener.pid);
            return Check::wrong(NAME, why).mend(ways.replace(pid));
        }
    };
    let hello = &answers.hello;
    let restart = || ways.restart(&hello.origin);
    if hello.protocol != protocol::VERSION {
        let what = format!(
            "speaks protocol {}, this program {}",
            hello.protocol,
            protocol::VERSION
        );
        return Check::wrong(NAME, what).mend(restart());
    }
    if hello.version != VERSION {
        let what = format!("version {} runs, this program is {VERSION}", hello.version);
        return Check::wrong(NAME, what).mend(restart());
    }
    let lives = format!(
        "{}, {}, process {}, {}",
        hello.version,
        hello.origin,
        hello.pid,
        age(answers)
    );
    match &answers.program {
        Program::Replaced => {
            let what = format!("{lives}: its program was replaced since it started");
            Check::wrong(NAME, what).mend(restart())
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

fn age(answers: &Answers) -> String {
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

/// What it had to say lately.
pub(super) fn notices(daemon: Option<(&Answers, &Ways)>) -> Check {
    let name = "notices";
    let Some((answers, ways)) = daemon else {
        return unasked(name);
    };
    let notices = &answers.snapshot.notices;
    let Some(last) = notices.last() else {
        return Check::ok(name, "none");
    };
    let newest = |code: &str| notices.iter().rposition(|notice| notice.code == code);
    let loaded = newest("config_loaded");
    let unsettled = |code: &str| newest(code).filter(|at| Some(*at) > loaded);
    if let Some(refused) = unsettled("config_refused").and_then(|at| notices.get(at)) {
        return Check::wrong(name, refused.message.clone()).mend(reload(&answers.hello));
    }
    if let Some(needed) = unsettled("restart_needed").and_then(|at| notices.get(at)) {
        return Check::wrong(name, needed.message.clone())
            .mend(ways.restart(&answers.hello.origin));
    }
    let others: Vec<&str> = notices
        .iter()
        .filter(|notice| {
            let settled = ["config_loaded", "config_refused", "restart_needed"];
            !settled.contains(&&*notice.code)
        })
        .map(|notice| &*notice.message)
        .collect();
    if others.is_empty() {
        Check::ok(name, last.message.clone())
    } else {
        Check::note(name, others.join("; "))
    }
}
