//! Qwen Code's list of running sessions, `sessions/PID.json`, as its documentation of 0.24.4 has it ("Cross-session
//! protocol"), and what its hooks leave out.
//!
//! An entry is there while a session runs in a terminal, also before its first hook, and names its conversation, which
//! changes at `/clear` and `/resume`. It holds a secret, which is never read. Called by the daemon.

use std::ffi::OsStr;
use std::path::Path;

use super::super::allow_list::allow_list;
use super::super::files::{FileChange, FileReader, FileRequest, System};
use super::super::tolerant::{Number, Text, object};
use super::AGENT;
use crate::event::{
    AgentEvent, EventKind, KnownSession, ProcessRole, Report, ReportedProcess, Source, TurnEvent,
};
use crate::protocol::{NAME_LIMIT, Status, Terminal};

/// Below the configuration directory.
const SESSIONS: &str = "sessions";

/// The most processes of which it is known that their turn is over.
const MAX_PROCESSES: usize = 64;

allow_list! {
    Entry {
        /// `BOOT:TICKS` on Linux, where the process started that many ticks after the boot; elsewhere null.
        start as "procStart": Text<96>,
        /// The pid namespace; null where there are none.
        namespace as "pidNs": Number,
        session_id as "sessionId": Text<128>,
        cwd: Text<4096>,
        /// `tui`, or what else has registered itself.
        kind: Text<16>,
        /// Cut to its first letter: whether there is one. It is removed from the entry at the end, after the last hook.
        socket as "ipcPath": Text<1>,
    }
}

/// Reads the files of Qwen Code.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The processes whose turn has ended well or failed, and no other has begun; at most [`MAX_PROCESSES`].
    over: Vec<ReportedProcess>,
    /// Processes whose entries have not been read yet, and the conversations that an earlier daemon knew of each.
    restored: Vec<(ReportedProcess, Box<str>)>,
}

impl FileReader for Files {
    fn restored(
        &mut self,
        sessions: &[&KnownSession<'_>],
        _at: u64,
        _system: &dyn System,
    ) -> Vec<FileRequest> {
        for session in sessions {
            let Some(process) = session.process else {
                continue;
            };
            self.restored.push((process, session.id.into()));
            if matches!(session.status, Status::Idle | Status::Error) {
                self.is_over(process);
            }
        }
        Vec::new()
    }

    fn open(&mut self, config_dir: &Path) -> Vec<FileRequest> {
        vec![FileRequest::Directory {
            path: config_dir.join(SESSIONS),
            wanted: |name| pid(name).is_some(),
        }]
    }

    fn read(&mut self, change: FileChange<'_>, at: u64, system: &dyn System) -> Vec<FileRequest> {
        match change {
            FileChange::Appeared(path) => vec![FileRequest::Whole(path.to_owned())],
            FileChange::Removed(path) => vec![FileRequest::Forget(path.to_owned())],
            FileChange::Contents(path, contents) => {
                let report = seen(path, contents, at, system);
                let report = report.filter(|report| !self.is_known(report));
                report.map(FileRequest::Report).into_iter().collect()
            }
            FileChange::Line(..)
            | FileChange::EarlierLine(..)
            | FileChange::Message(_)
            | FileChange::Disconnected(_) => Vec::new(),
        }
    }

    /// Two things that hooks do not say. Tools run once a person has answered for all calls of a message: the first that
    /// starts means the answers. The return to the prompt is an interrupt unless the turn is over: then it says nothing of
    /// the subagents that run on.
    fn reported(&mut self, report: &mut Report, _system: &dyn System) -> Vec<FileRequest> {
        let (Some(process), Some(event)) = (report.process, &mut report.event) else {
            return Vec::new();
        };
        let EventKind::Turn(turn) = &event.kind else {
            return Vec::new();
        };
        if event.subagent.is_none() {
            let was_over = self.over.contains(&process);
            self.over.retain(|other| *other != process);
            let is_over = match turn {
                TurnEvent::Ended { .. } | TurnEvent::Failed { .. } => true,
                TurnEvent::Status(_) => was_over,
                _ => false,
            };
            if is_over {
                self.is_over(process);
            }
            if was_over && matches!(turn, TurnEvent::Status(_)) {
                event.kind = EventKind::Noted;
                return Vec::new();
            }
        }
        if !matches!(turn, TurnEvent::ToolStarted { .. }) {
            return Vec::new();
        }
        let mut answered = report.clone();
        if let Some(event) = &mut answered.event {
            event.kind = EventKind::Turn(TurnEvent::Answered { id: None });
        }
        vec![FileRequest::Report(Box::new(answered))]
    }
}

impl Files {
    /// The turn of this process is over.
    fn is_over(&mut self, process: ReportedProcess) {
        self.over.truncate(MAX_PROCESSES - 1);
        self.over.insert(0, process);
    }

    /// True if an earlier daemon knew this conversation of the process. Each entry is compared once.
    fn is_known(&mut self, report: &Report) -> bool {
        let of_process = |(process, _): &(_, _)| report.process == Some(*process);
        let place = self.restored.iter().position(of_process);
        let known = place.map(|place| self.restored.remove(place).1);
        let event = report.event.as_ref();
        known.is_some() && known == event.and_then(|event| event.session_id.clone())
    }
}

/// The process id in the name of an entry's file.
fn pid(name: &OsStr) -> Option<u32> {
    name.to_str()?.strip_suffix(".json")?.parse().ok()
}

/// Reports the session of an entry, if its process runs here and is a terminal's.
fn seen(path: &Path, contents: &[u8], at: u64, system: &dyn System) -> Option<Box<Report>> {
    let entry: Entry = object(contents).ok()?;
    let namespace = system.namespace();
    let is_here = entry.kind.get().is_none_or(|kind| kind == "tui")
        && entry.socket.get().is_some()
        && entry.namespace.as_u64() == namespace;
    let found = system
        .process(pid(path.file_name()?)?)
        .filter(|found| is_here && !found.zombie)?;
    // A killed process leaves its entry behind, and another may have its id now.
    let ticks = entry.start.get().and_then(|start| start.rsplit_once(':'));
    let is_its_own = match ticks {
        Some((_, ticks)) => ticks.parse() == Ok(found.id.start),
        None => !system.is_older(path, found.id),
    };
    if !is_its_own {
        return None;
    }
    let event = AgentEvent {
        session_id: Some(entry.session_id.one_line(NAME_LIMIT)?),
        cwd: entry.cwd.get().map(Into::into),
        ..AgentEvent::new("sessions/PID.json", EventKind::SessionSeen)
    };
    Some(Box::new(Report {
        agent: AGENT.name.into(),
        at,
        process: Some(ReportedProcess {
            pid: found.id.pid,
            start: Some(found.id.start),
            namespace,
        }),
        attended: Some(true),
        terminal: found.tty.map(|tty| {
            Box::new(Terminal {
                tty: Some(tty.into()),
                ..Terminal::default()
            })
        }),
        config_dir: None,
        account: None,
        timing: AGENT.timing,
        source: Source::File,
        role: ProcessRole::Own,
        event: Some(event),
    }))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::{Value, json};

    use super::super::super::files::RunningProcess;
    use super::*;
    use crate::event::RegistryStatus;
    use crate::os::process::{ProcessId, ProcessInfo};

    /// A system in which the process 7 runs.
    #[derive(Debug)]
    struct One;

    impl System for One {
        fn lock_holder(&self, _path: &Path) -> Option<ReportedProcess> {
            None
        }

        fn namespace(&self) -> Option<u64> {
            Some(1)
        }

        fn process(&self, pid: u32) -> Option<ProcessInfo> {
            (pid == 7).then(|| ProcessInfo {
                id: ProcessId { pid, start: 99 },
                parent: 1,
                tty: Some("/dev/pts/3".into()),
                zombie: false,
                stopped: false,
            })
        }

        fn processes_of(&self, _program: fn(&[String], &[String]) -> bool) -> Vec<RunningProcess> {
            Vec::new()
        }

        fn is_older(&self, path: &Path, _process: ProcessId) -> bool {
            path.starts_with("/left")
        }

        fn names(&self, _directory: &Path) -> Vec<Box<OsStr>> {
            Vec::new()
        }
    }

    fn read(pid: u32, entry: &Value) -> Vec<FileRequest> {
        let path = PathBuf::from(format!("/home/dev/.qwen/sessions/{pid}.json"));
        let contents = entry.to_string();
        let change = FileChange::Contents(&path, contents.as_bytes());
        Files::default().read(change, 5, &One)
    }

    fn entry() -> Value {
        json!({"pid": 7, "procStart": "b00t:99", "pidNs": 1, "sessionId": "s1", "cwd": "/w", "kind": "tui",
            "ipcPath": "/tmp/secret.sock", "ipcToken": "secret"})
    }

    #[test]
    fn an_entry_shows_a_session_in_a_terminal() {
        let requests = read(7, &entry());
        let [FileRequest::Report(report)] = &requests[..] else {
            panic!("{requests:?}");
        };
        let event = report.event.as_ref().unwrap();
        assert_eq!(event.session_id.as_deref(), Some("s1"));
        assert_eq!(event.kind, EventKind::SessionSeen);
        assert_eq!(report.process.unwrap().start, Some(99));
        assert!(!format!("{requests:?}").contains("secret"));
    }

    #[test]
    fn an_entry_of_no_terminal_here_is_ignored() {
        assert!(read(8, &entry()).is_empty(), "no such process");
        for (field, value) in [
            ("procStart", json!("b00t:98")),
            ("pidNs", json!(2)),
            ("kind", json!("serve")),
            ("ipcPath", Value::Null),
            ("sessionId", Value::Null),
        ] {
            let mut other = entry();
            other[field] = value;
            assert!(read(7, &other).is_empty(), "{field}");
        }
        assert!(read(7, &json!([])).is_empty());
    }

    /// Left behind by a killed process whose id another one has now.
    #[test]
    fn an_entry_without_a_start_counts_if_it_is_younger_than_its_process() {
        let mut entry = entry();
        let is_seen = |path: &str, entry: &Value| {
            let contents = entry.to_string();
            seen(Path::new(path), contents.as_bytes(), 5, &One).is_some()
        };
        // The start time is proof enough.
        assert!(is_seen("/left/7.json", &entry));
        entry["procStart"] = Value::Null;
        assert!(is_seen("/home/7.json", &entry));
        assert!(!is_seen("/left/7.json", &entry));
    }

    #[test]
    fn the_return_to_the_prompt_after_the_end_of_a_turn_says_nothing() {
        let mut files = Files::default();
        let mut kind_of = |turn: TurnEvent| {
            let mut report =
                *seen(Path::new("7.json"), entry().to_string().as_bytes(), 5, &One).unwrap();
            report.event.as_mut().unwrap().kind = EventKind::Turn(turn);
            files.reported(&mut report, &One);
            report.event.unwrap().kind
        };
        let idle = || TurnEvent::Status(RegistryStatus::Idle);
        assert_eq!(kind_of(idle()), EventKind::Turn(idle()));
        kind_of(TurnEvent::Ended { remaining: None });
        assert_eq!(kind_of(idle()), EventKind::Noted);
        assert_eq!(kind_of(idle()), EventKind::Noted);
        kind_of(TurnEvent::Active);
        assert_eq!(kind_of(idle()), EventKind::Turn(idle()));
    }

    #[test]
    fn after_a_restart_an_entry_says_only_what_has_changed_meanwhile() {
        let session = |id: &'static str, status| KnownSession {
            agent: AGENT.name,
            id,
            process: Some(ReportedProcess {
                pid: 7,
                start: Some(99),
                namespace: Some(1),
            }),
            client: None,
            terminal: None,
            attended: true,
            config_dir: None,
            transcript: None,
            title: None,
            status,
            waiting_for: None,
            requests: Vec::new(),
            own_status: None,
            hook_at: Some(1),
            known_until: 1,
        };
        let contents = entry().to_string();
        let path = Path::new("/home/dev/.qwen/sessions/7.json");
        for (id, expected) in [("s1", [0, 1]), ("before", [1, 1])] {
            let mut files = Files::default();
            files.restored(&[&session(id, Status::Working)], 5, &One);
            let counts = [(); 2].map(|()| {
                let change = FileChange::Contents(path, contents.as_bytes());
                files.read(change, 5, &One).len()
            });
            assert_eq!(counts, expected, "{id}");
        }
        // The turn was over: the return to the prompt is no interrupt.
        for (status, is_over) in [(Status::Idle, true), (Status::Working, false)] {
            let mut files = Files::default();
            files.restored(&[&session("s1", status)], 5, &One);
            let mut report = *seen(path, contents.as_bytes(), 5, &One).unwrap();
            let idle = EventKind::Turn(TurnEvent::Status(RegistryStatus::Idle));
            report.event.as_mut().unwrap().kind = idle;
            files.reported(&mut report, &One);
            let kind = report.event.unwrap().kind;
            assert_eq!(kind == EventKind::Noted, is_over, "{status:?}");
        }
    }
}
