//! The service's program, `agent-consoled`, and how `agent-console daemon` becomes it.
//!
//! A process of its own program is small: no command-line parser, terminal, HTTP or TLS is ever mapped into it. The
//! command becomes it by exec: the process id, which `LISTEN_PID` names and the manager watches, the environment and the
//! passed descriptors all stay. Where no `agent-consoled` lies beside `agent-console` (one program copied alone, or `cargo
//! run`), the command serves in its own process.
//!
//! The two must be of one version: after half an update the command would start a service that speaks of other things.
//! Only a program itself knows its version, and to run it twice would cost a start. So the command passes its own
//! version and path as first words (`STARTED_BY`), and a service of another version executes that path again, with
//! `--in-process`, which never looks for a service: at most two execs, and no loop.
//!
//! Called by the program `agent-consoled` and by `commands`. Knows the words of the command line, not what they mean.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::Options;
use super::listener::launchd::ActivateSocket;
use crate::format::{print_error, sanitize};
use crate::os::program::{self, SERVICE};

/// Before all other words, with two values: the version and the path of the program that became this one.
const STARTED_BY: &str = "--started-by";

/// The option of `agent-console daemon` that makes it serve itself.
const IN_PROCESS: &str = "--in-process";

const VERSION: &str = env!("CARGO_PKG_VERSION");

const HELP: &str = "\
The service of agent-console: on the socket that a service manager passes, else on one of its own.

Usage: agent-consoled [--daemonize] [--socket PATH]

      --daemonize    Go to the background; return once it listens, and print its process id
      --socket PATH  Where to listen without a manager [default: $AGENT_CONSOLE_SOCKET, the configuration's,
                     /tmp/agent-console.sock]
  -h, --help         Print help
  -V, --version      Print version
";

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Invocation {
    Serve(Serve),
    Print(String),
}

/// The words of a service that is to run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Serve {
    started_by: Option<StartedBy>,
    daemonize: bool,
    socket: Option<PathBuf>,
}

/// The `agent-console` that this process was before.
#[derive(Debug, PartialEq, Eq)]
struct StartedBy {
    version: OsString,
    program: PathBuf,
}

/// `agent-consoled`. `launchd`: launchd's call, where there is launchd.
#[must_use]
pub fn main(launchd: Option<ActivateSocket>) -> ExitCode {
    let serve = match parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Serve(serve)) => serve,
        Ok(Invocation::Print(text)) => {
            // The reader of a pipe may have had enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(what) => {
            let usage = "it takes [--daemonize] [--socket PATH]";
            let _ = writeln!(std::io::stderr(), "{SERVICE}: {what}; {usage}");
            return ExitCode::from(2);
        }
    };
    match serve.run(launchd) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// `agent-console daemon`: becomes the service beside this program, or serves where there is none or it can't be started.
/// `in_process`: serves in any case.
///
/// # Errors
///
/// As [`super::run`].
pub fn become_service(options: &Options, in_process: bool) -> anyhow::Result<()> {
    if !in_process && let Some(service) = program::beside(SERVICE) {
        let mut arguments = Vec::new();
        if let Ok(own) = program::running() {
            arguments.extend([STARTED_BY.into(), VERSION.into(), own.into()]);
        }
        arguments.extend(words(options.daemonize, options.socket.as_deref()));
        let error = program::exec(&service, arguments);
        let _ = writeln!(
            std::io::stderr(),
            "agent-console: {}: {error}; serves without it",
            service.display()
        );
    }
    super::run(options)
}

impl Serve {
    fn run(self, launchd: Option<ActivateSocket>) -> anyhow::Result<()> {
        if let Some(StartedBy {
            version,
            program: command,
        }) = &self.started_by
            && version != VERSION
        {
            let mut arguments = vec!["daemon".into(), IN_PROCESS.into()];
            arguments.extend(words(self.daemonize, self.socket.as_deref()));
            let error = program::exec(command, arguments);
            return Err(anyhow::Error::new(error).context(format!(
                "this is {SERVICE} {VERSION}, and {} of version {} cannot be started again",
                command.display(),
                version.to_string_lossy()
            )));
        }
        super::run(&Options {
            socket: self.socket,
            daemonize: self.daemonize,
            launchd,
        })
    }
}

/// The options as words, for either program.
fn words(daemonize: bool, socket: Option<&Path>) -> Vec<OsString> {
    let mut words = Vec::new();
    if daemonize {
        words.push("--daemonize".into());
    }
    if let Some(socket) = socket {
        words.extend(["--socket".into(), socket.into()]);
    }
    words
}

fn parse(words: impl Iterator<Item = OsString>) -> Result<Invocation, String> {
    let mut words = words.peekable();
    let mut serve = Serve::default();
    if words.next_if(|word| word == STARTED_BY).is_some() {
        serve.started_by = Some(StartedBy {
            version: value_of(STARTED_BY, words.next())?,
            program: value_of(STARTED_BY, words.next())?.into(),
        });
    }
    while let Some(word) = words.next() {
        match word.as_bytes() {
            b"--daemonize" => serve.daemonize = true,
            b"--socket" => serve.socket = Some(value_of("--socket", words.next())?.into()),
            b"-h" | b"--help" => return Ok(Invocation::Print(HELP.to_owned())),
            b"-V" | b"--version" => {
                return Ok(Invocation::Print(format!("{SERVICE} {VERSION}\n")));
            }
            other => {
                let Some(path) = other.strip_prefix(b"--socket=") else {
                    let word = sanitize(&word.to_string_lossy());
                    return Err(format!("unexpected argument {word}"));
                };
                let path = OsString::from_vec(path.to_owned());
                serve.socket = Some(value_of("--socket", Some(path))?.into());
            }
        }
    }
    Ok(Invocation::Serve(serve))
}

fn value_of(option: &str, word: Option<OsString>) -> Result<OsString, String> {
    word.filter(|word| !word.is_empty())
        .ok_or_else(|| format!("{option} lacks its value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Invocation, String> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn what_the_command_passes_is_what_the_service_reads() {
        for daemonize in [false, true] {
            for socket in [None, Some(PathBuf::from("/a b/--daemonize"))] {
                let own = [STARTED_BY, "1.2.3", "/bin/agent-console"].map(OsString::from);
                let words = own.into_iter().chain(words(daemonize, socket.as_deref()));
                let expected = Serve {
                    started_by: Some(StartedBy {
                        version: "1.2.3".into(),
                        program: "/bin/agent-console".into(),
                    }),
                    daemonize,
                    socket,
                };
                assert_eq!(parse(words), Ok(Invocation::Serve(expected)));
            }
        }
    }

    #[test]
    fn both_forms_of_the_socket_are_read() {
        let expected = Serve {
            socket: Some("/s=t".into()),
            ..Serve::default()
        };
        for words in [&["--socket=/s=t"][..], &["--socket", "/s=t"]] {
            let Ok(Invocation::Serve(serve)) = parsed(words) else {
                panic!("{words:?}");
            };
            assert_eq!(serve, expected);
        }
    }

    #[test]
    fn other_words_are_refused() {
        for words in [
            &["daemon"][..],
            &["--socket"],
            &["--socket="],
            &["--socket", ""],
            &["--daemonize=yes"],
            &["--daemonize", STARTED_BY, "1", "/p"],
            &[STARTED_BY, "1"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }
}
