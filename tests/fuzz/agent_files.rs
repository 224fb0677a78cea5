//! The files that agents write for themselves, up to the core: transcripts, locks, states, messages of a socket.
//!
//! The first byte chooses the agent. The rest is a script, a step a line: the first character says what happens, a
//! number after it which of the paths that the reader has asked for it happens to.
//!
//! | line | step |
//! |---|---|
//! | `aN NAME`, `rN NAME` | a file of this name appears, is removed |
//! | `cN BYTES` | a file holds these bytes |
//! | `lN LINE` | a line is added to a file |
//! | `eN LINE` | a file had this line before it was asked for |
//! | `mN TEXT`, `dN` | a message comes from a socket; there is no connection |
//! | `h[EVENT] PAYLOAD` | a hook of the agent reports |
//! | `+MS` | time passes |
//! | `=` | the daemon is killed, and the next one begins |

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::choose;
use super::driver::{Driver, process_id, reported_process};
use crate::agents::files::{FileChange, FileReader, FileRequest, RunningProcess, System};
use crate::agents::{self, Agent};
use crate::core::Input;
use crate::core::testing::NAMESPACE;
use crate::event::ReportedProcess;
use crate::os::process::{ProcessId, ProcessInfo};
use crate::protocol::ReportParams;

/// The steps of a script that are played.
const MAX_STEPS: usize = 200;

/// The most paths that a reader's requests are kept of.
const MAX_PATHS: usize = 256;

/// The agent's process.
const PID: u32 = 855;

/// A machine on which the agent runs once.
struct Machine(&'static Agent);

impl System for Machine {
    fn lock_holder(&self, _path: &Path) -> Option<ReportedProcess> {
        Some(reported_process(PID))
    }

    fn namespace(&self) -> Option<u64> {
        Some(NAMESPACE)
    }

    fn process(&self, pid: u32) -> Option<ProcessInfo> {
        (pid % 5 != 1).then(|| ProcessInfo {
            id: process_id(pid),
            parent: 1,
            tty: Some("/dev/pts/1".into()),
            stopped: false,
            zombie: pid % 5 == 2,
        })
    }

    fn processes_of(&self, program: fn(&[String], &[String]) -> bool) -> Vec<RunningProcess> {
        let arguments = vec![self.0.program.to_owned()];
        let runs = program(&arguments, &arguments);
        let process = RunningProcess {
            info: self.process(PID).unwrap(),
            arguments,
            cwd: Some("/home/dev/project".into()),
        };
        runs.then_some(process).into_iter().collect()
    }

    fn is_older(&self, _path: &Path, _process: ProcessId) -> bool {
        false
    }

    fn names(&self, _directory: &Path) -> Vec<Box<OsStr>> {
        vec![OsStr::new("0199c3a2-0000-7000-8000-000000000001").into()]
    }
}

struct Play {
    agent: &'static Agent,
    machine: Machine,
    reader: Box<dyn FileReader>,
    paths: Vec<PathBuf>,
    driver: Driver,
}

pub(super) fn target(data: &[u8]) {
    let with_files: Vec<_> = agents::ALL
        .iter()
        .filter_map(|agent| Some((*agent, agent.files?)))
        .collect();
    let Some((&(agent, files), script)) = choose(&with_files, data) else {
        return;
    };
    let mut play = Play {
        agent,
        machine: Machine(agent),
        reader: files(),
        paths: Vec::new(),
        driver: Driver::new(),
    };
    play.open();
    for line in script.split(|byte| *byte == b'\n').take(MAX_STEPS) {
        play.step(line);
    }
    play.driver.compare();
}

impl Play {
    fn step(&mut self, line: &[u8]) -> Option<()> {
        let (kind, rest) = line.split_first()?;
        let end = rest.iter().position(|byte| *byte == b' ');
        let (word, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let word = std::str::from_utf8(word).ok()?;
        if *kind == b'+' {
            self.driver.pass(word.parse().unwrap_or(1000));
            return Some(());
        }
        if *kind == b'=' {
            self.restart();
            return Some(());
        }
        if *kind == b'h' {
            return self.hook(Some(word).filter(|word| !word.is_empty()), rest);
        }
        let number: usize = word.parse().unwrap_or_default();
        let path = self.paths.get(number % self.paths.len().max(1))?.clone();
        let named = path.join(OsStr::from_bytes(rest));
        let change = match kind {
            b'a' => FileChange::Appeared(&named),
            b'r' => FileChange::Removed(&named),
            b'c' => FileChange::Contents(&path, rest),
            b'l' => FileChange::Line(&path, rest),
            b'e' => FileChange::EarlierLine(&path, rest),
            b'm' => FileChange::Message(rest),
            b'd' => FileChange::Disconnected(&path),
            _ => return None,
        };
        let at = self.driver.now.unix_ms;
        let requests = self.reader.read(change, at, &self.machine);
        self.carry_out(requests);
        Some(())
    }

    fn open(&mut self) {
        let requests = self.reader.open(Path::new("/home/dev/.agent"));
        self.carry_out(requests);
    }

    fn restart(&mut self) {
        self.driver.restart();
        if let Some(files) = self.agent.files {
            self.reader = files();
        }
        let at = self.driver.now.unix_ms;
        let known = self.driver.known_sessions();
        let known: Vec<_> = known.iter().collect();
        let requests = self.reader.restored(&known, at, &self.machine);
        self.carry_out(requests);
        self.open();
    }

    fn hook(&mut self, event: Option<&str>, payload: &[u8]) -> Option<()> {
        let event = self.agent.filter(payload, event).ok()?;
        let mut report = agents::interpret(ReportParams {
            agent: self.agent.name.into(),
            at: self.driver.now.unix_ms,
            pid: Some(PID),
            process_start: reported_process(PID).start,
            pid_namespace: Some(NAMESPACE),
            attended: Some(true),
            shared: None,
            terminal: None,
            config_dir: Some("/home/dev/.agent".into()),
            event: Some(&event),
        });
        let requests = self.reader.reported(&mut report, &self.machine);
        self.driver.input(Input::Observed(Box::new(report)));
        self.carry_out(requests);
        Some(())
    }

    fn carry_out(&mut self, requests: Vec<FileRequest>) {
        for request in requests {
            match request {
                FileRequest::Directory { path, .. }
                | FileRequest::Whole(path)
                | FileRequest::Lines { path, .. }
                | FileRequest::Connect { path, .. } => {
                    if self.paths.len() < MAX_PATHS && !self.paths.contains(&path) {
                        self.paths.push(path);
                    }
                }
                FileRequest::Again(_) => {}
                FileRequest::Forget(path) => self.paths.retain(|known| *known != path),
                FileRequest::Report(report) => self.driver.input(Input::Observed(report)),
            }
        }
    }
}
