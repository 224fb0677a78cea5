//! The `LaunchAgent`: what it says, where it lies, which commands launchd gets.
//!
//! The file of `packaging/launchd` is the one source; only the program's and the socket's path are put in. Compiled and
//! tested on every system, as far as it is text. Called by `service` alone.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::file::FileError;
use super::plan::{self, FileState, MOVE_AWAY, Manager, Plan, State, Wanted};
use super::stamp::{self, Found};
use crate::config::variable;
use crate::os::service_manager::LAUNCHD_LABEL as LABEL;
use crate::os::shell::quote;

const JOB: &str = include_str!("../../packaging/launchd/dev.agent-console.plist");

/// What of the packaged job is not the same for everybody.
const PROGRAM: &str = r#"exec "$HOME/.cargo/bin/agent-consoled""#;
/// What stood there before the service was a program of its own.
const FORMER_PROGRAM: &str = r#"exec "$HOME/.cargo/bin/agent-console" daemon"#;
const SOCKET: &str = "<string>/tmp/agent-console.sock</string>";

/// The job's file.
///
/// # Errors
///
/// There is no home directory.
pub(crate) fn path() -> anyhow::Result<PathBuf> {
    variable("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
        .map(|home| home.join(format!("Library/LaunchAgents/{LABEL}.plist")))
        .context("there is no place for a LaunchAgent: set HOME to an absolute path")
}

/// The domain of the user's login session (`launchctl(1)`), and the job in it.
fn domain() -> String {
    format!("gui/{}", rustix::process::getuid().as_raw())
}

fn job() -> String {
    format!("{}/{LABEL}", domain())
}

fn is_loaded() -> bool {
    let words = ["launchctl", "print", &job()].map(str::to_owned);
    plan::run(&words).is_ok()
}

/// The job's text; `directories` were made for its file.
fn text(wanted: Wanted<'_>, directories: usize) -> anyhow::Result<String> {
    let argument = wanted.starts.argument.map(|word| format!(" {word}"));
    let program = quote(utf8(&wanted.starts.path)?);
    let start = format!("exec {program}{}", argument.unwrap_or_default());
    let socket = format!("<string>{}</string>", escaped(utf8(wanted.socket)?));
    let text = JOB
        .replace(PROGRAM, &escaped(&start))
        .replace(SOCKET, &socket);
    let [first, second] = stamp::lines(directories);
    // The declarations come first in XML.
    let (head, body) = text.split_at(text.find("<!--").unwrap_or(0));
    Ok(stamp::seal(&format!(
        "{head}<!-- {first}\n     {second} -->\n{body}"
    )))
}

fn utf8(path: &Path) -> anyhow::Result<&str> {
    let refusal = "a property list holds no path with control characters, or that is not UTF-8; choose another";
    plan::path_text(path, |_| true, refusal)
}

/// As text of an XML element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// What lies at `path`. A job copied from `packaging/` by hand is ours as well, also one of before the service was a
/// program of its own.
fn find(path: &Path) -> Result<Found, FileError> {
    stamp::find(path, &[JOB, &JOB.replace(PROGRAM, FORMER_PROGRAM)])
}

pub(super) fn state(wanted: Wanted<'_>) -> State {
    let file = path().map(|path| {
        let state = match find(&path) {
            Ok(Found::Nothing) => FileState::Missing,
            Ok(Found::Ours(bytes, directories)) => FileState::of_present(
                text(wanted, directories).is_ok_and(|text| text.as_bytes() == bytes),
            ),
            Ok(Found::Theirs) | Err(_) => FileState::Different,
        };
        (path, state)
    });
    let files: Vec<_> = file.into_iter().collect();
    State {
        manager: Manager::Launchd,
        active: is_loaded(),
        // launchd reads every file of the directory at login.
        lingers: true,
        enabled: files.iter().any(|(_, state)| *state != FileState::Missing),
        files,
    }
}

pub(super) fn plan_install(plan: &mut Plan, wanted: Wanted<'_>) -> anyhow::Result<()> {
    let path = path()?;
    let Some((before, directories)) = plan.replaceable(&path, find(&path)?, MOVE_AWAY) else {
        return Ok(());
    };
    let changed = plan.write_file(&path, before, text(wanted, directories)?);
    let loaded = is_loaded();
    if changed && loaded {
        plan.run(&["launchctl", "bootout", &job()]);
    }
    if !loaded {
        plan.take_over(wanted);
    }
    if changed || !loaded {
        plan.run(&["launchctl", "bootstrap", &domain(), &path.to_string_lossy()]);
    }
    Ok(())
}

pub(super) fn plan_uninstall(plan: &mut Plan) -> anyhow::Result<()> {
    if is_loaded() {
        plan.run(&["launchctl", "bootout", &job()]);
    }
    let path = path()?;
    let found = find(&path)?;
    plan.remove_file(path, found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::program::ServiceProgram;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn the_packaged_job_has_what_is_replaced() {
        for part in [PROGRAM, SOCKET] {
            assert_eq!(JOB.matches(part).count(), 1, "{part}");
        }
    }

    #[test]
    fn a_job_with_strange_paths_is_a_property_list_that_means_them() {
        let program = Path::new("/Users/a&b <c>/it's \"$HOME\"/agent-console");
        let socket = Path::new("/Users/a&b/]]>.sock");
        let starts = ServiceProgram {
            path: program.to_owned(),
            argument: Some("daemon"),
            note: None,
        };
        let wanted = Wanted {
            program,
            starts: &starts,
            socket,
        };
        let text = text(wanted, 1).unwrap();
        assert_eq!(stamp::verify(text.as_bytes()), Some(1));

        // What the shell makes of the command stands in for launchd.
        let script = r#"
import plistlib, subprocess, sys
job = plistlib.loads(sys.stdin.buffer.read())
print(job["Label"])
print(job["Sockets"]["agent-console"]["SockPathName"])
command = job["ProgramArguments"][2].removeprefix("exec ").split(" 2>>")[0]
print(subprocess.run(["/bin/sh", "-c", "printf '%s\\n' " + command], capture_output=True, text=True).stdout, end="")
"#;
        let mut python = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        python
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = python.wait_with_output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            format!(
                "{LABEL}\n{}\n{}\ndaemon\n",
                socket.display(),
                program.display()
            )
        );
    }

    #[test]
    fn a_path_that_cannot_be_written_is_refused() {
        let starts = ServiceProgram {
            path: "/a\u{1}".into(),
            argument: None,
            note: None,
        };
        let wanted = Wanted {
            program: Path::new("/bin/agent-console"),
            starts: &starts,
            socket: Path::new("/s"),
        };
        assert!(text(wanted, 0).is_err());
    }
}
