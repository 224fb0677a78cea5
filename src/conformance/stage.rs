//! Replays a [`Scene`] through an agent's own functions and the core, in virtual time.
//!
//! Stands for the hook process, the plugin, the watched files, the process table and the timer. Hooks that `install` does
//! not register are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::deciding::Deciding;
use super::scene::{Fact, Frame, Scene};
use crate::agents::Agent;
use crate::agents::files::{FileChange, FileReader, FileRequest, RunningProcess, System};
use crate::codec::{self, Id, Request};
use crate::core::testing::{EPOCH, NAMESPACE, NO_REMINDERS, START, info};
use crate::core::{AttentionRules, ClientId, Core, Effect, Input, Now, Settings};
use crate::event::{ProcessRole, Report, ReportedProcess, Source};
use crate::os::process::{ProcessId, ProcessInfo};
use crate::protocol::SubscribeParams;

const CLIENT: ClientId = ClientId(1);
const HOOK: ClientId = ClientId(2);

/// How long a replay continues after the last fact, in ms.
const TAIL_MS: u64 = 5000;

/// The start time of every process of a recording: no pid comes twice.
const PROCESS_START: u64 = 300_000;

/// Which names in a directory a reader asks for.
type IsWanted = fn(&OsStr) -> bool;

/// A replay under way.
pub(super) struct Stage<'a> {
    agent: &'static Agent,
    scene: &'a Scene,
    core: Core,
    now: Now,
    reader: Option<Box<dyn FileReader>>,
    config_dir: PathBuf,
    /// What the reader has asked for.
    directories: Vec<(PathBuf, IsWanted)>,
    whole: BTreeSet<PathBuf>,
    growing: BTreeSet<PathBuf>,
    connected: BTreeSet<PathBuf>,
    /// The files that exist, below the configuration directory.
    files: BTreeMap<PathBuf, Option<String>>,
    /// Processes that run conversations of others' terminals.
    engines: BTreeSet<u32>,
    watched: BTreeSet<u32>,
    gone: BTreeSet<u32>,
    sessions: BTreeMap<String, Value>,
    frames: Vec<Frame>,
    deciding: Deciding,
}

impl<'a> Stage<'a> {
    /// Replays all of it: what a subscriber had, and when; what decided each status.
    pub(super) fn play(agent: &'static Agent, scene: &'a Scene) -> (Vec<Frame>, Deciding) {
        let settings = Settings {
            idle_timeout_ms: None,
            history: 256,
            record_prompts: true,
            persist: false,
            usage_interval_ms: None,
            attention: AttentionRules {
                background_shell: true,
                quiet: false,
            },
            quiet_after_ms: None,
            reminders: NO_REMINDERS,
        };
        let mut stage = Self {
            agent,
            scene,
            core: Core::new(info(), settings, START),
            now: START,
            reader: agent.files.map(|make| make()),
            config_dir: Path::new("/home/dev").join(agent.config_dir.below_home),
            directories: Vec::new(),
            whole: BTreeSet::new(),
            growing: BTreeSet::new(),
            connected: BTreeSet::new(),
            files: BTreeMap::new(),
            engines: engines(scene),
            watched: BTreeSet::new(),
            gone: BTreeSet::new(),
            sessions: BTreeMap::new(),
            frames: vec![(0, Vec::new())],
            deciding: Deciding::default(),
        };
        stage.handle(Input::Request {
            client: CLIENT,
            id: id(),
            request: Request::Subscribe(SubscribeParams::default()),
        });
        if let Some(reader) = &mut stage.reader {
            let requests = reader.open(&stage.config_dir);
            stage.carry_out(requests);
        }
        let mut exits: Vec<(u64, u32)> = Vec::new();
        for process in &scene.expected.processes {
            let exited = process.exited.into_iter();
            exits.extend(exited.flat_map(|at| process.pids.iter().map(move |pid| (at, *pid))));
        }
        exits.sort_unstable();
        let mut exits = exits.into_iter().peekable();
        for line in &scene.lines {
            while let Some((at, pid)) = exits.next_if(|(at, _)| *at < line.ms) {
                stage.wait_until(at);
                stage.exit(pid);
            }
            stage.engine_exit(line.ms);
            stage.wait_until(line.ms);
            stage.take(line);
        }
        for (at, pid) in exits {
            stage.wait_until(at.max(stage.now.uptime_ms));
            stage.exit(pid);
        }
        stage.engine_exit(u64::MAX);
        stage.wait_until(stage.now.uptime_ms + TAIL_MS);
        (stage.frames, stage.deciding)
    }

    fn take(&mut self, line: &Fact) {
        if let Some(payload) = &line.hook {
            self.hook(line, payload);
        } else if let (Some(path), Some(text)) = (&line.path, &line.line) {
            let text = self.whole_line(path, text).to_string();
            let followed = self
                .growing
                .iter()
                .find(|asked| asked.ends_with(path))
                .cloned();
            if let Some(path) = followed {
                self.changed(FileChange::Line(&path, text.as_bytes()));
            }
        } else if let (Some(path), Some(message)) = (&line.path, &line.message) {
            let path = self.config_dir.join(path);
            if self.connected.contains(&path) {
                self.changed(FileChange::Message(message.to_string().as_bytes()));
            }
        } else if let (Some(path), Some(change)) = (&line.path, &line.change) {
            self.file(path, change, line.text.as_deref());
        }
    }

    /// A recorded line of a transcript's own description has only the names of what has changed.
    fn whole_line(&self, path: &str, line: &Value) -> Value {
        let changed = line["type"].as_array();
        // The first line of a file has the same names, and says what it is of.
        let Some(changed) = changed.filter(|names| !names.contains(&json!("kind"))) else {
            return line.clone();
        };
        let processes = self.scene.expected.processes.iter();
        let mut ids = processes.flat_map(|process| process.ids.iter().map(|(_, id)| id));
        let of_file = |id: &&String| id.get(..8).is_some_and(|id| path.contains(id));
        let id = ids.find(of_file).cloned().unwrap_or_default();
        let changed = changed
            .iter()
            .filter_map(|name| Some((name.as_str()?.to_owned(), id.clone().into())));
        json!({"$set": changed.collect::<serde_json::Map<_, Value>>()})
    }

    fn hook(&mut self, line: &Fact, payload: &Value) {
        let events = self.agent.install.events;
        let name = line
            .event
            .as_deref()
            .or(payload["hook_event_name"].as_str());
        if !events.is_empty() && name.is_some_and(|name| !events.contains(&name)) {
            return;
        }
        let at = EPOCH + line.ms;
        let filtered = self
            .agent
            .filter(payload.to_string().as_bytes(), line.event.as_deref());
        let filtered = filtered.unwrap_or_else(|error| panic!("filtered out ({error}): {payload}"));
        let event = (self.agent.interpret)(filtered.get(), at);
        let mut processes = self.scene.expected.processes.iter();
        let mut is_terminals = |pid: u32| processes.any(|one| one.pids.contains(&pid));
        let pid = line.pid.unwrap_or(0);
        let is_shared = !is_terminals(pid);
        let mut report = Report {
            agent: self.agent.name.into(),
            at,
            process: Some(self.reported(pid)),
            attended: line.attended,
            terminal: None,
            config_dir: Some(self.config_dir.to_string_lossy().into()),
            account: None,
            timing: self.agent.timing,
            source: Source::Hook,
            role: if is_shared {
                ProcessRole::Shared { client: None }
            } else {
                ProcessRole::Own
            },
            event,
        };
        if let Some(mut reader) = self.reader.take() {
            let requests = reader.reported(&mut report, self);
            self.reader = Some(reader);
            self.carry_out(requests);
        }
        self.handle(Input::Reported {
            client: HOOK,
            id: None,
            report: Box::new(report),
        });
    }

    fn file(&mut self, path: &str, change: &str, text: Option<&str>) {
        let path = self.config_dir.join(path);
        let is_wanted = self.directories.iter().any(|(directory, wanted)| {
            path.parent() == Some(directory) && path.file_name().is_some_and(wanted)
        });
        if change == "delete" {
            self.files.remove(&path);
            if is_wanted {
                self.changed(FileChange::Removed(&path));
            }
            return;
        }
        self.files.insert(path.clone(), text.map(str::to_owned));
        if is_wanted {
            self.changed(FileChange::Appeared(&path));
        }
        if let Some(text) = text
            && self.whole.contains(&path)
        {
            self.changed(FileChange::Contents(&path, text.as_bytes()));
        }
    }

    fn changed(&mut self, change: FileChange<'_>) {
        if let Some(mut reader) = self.reader.take() {
            let requests = reader.read(change, self.now.unix_ms, self);
            self.reader = Some(reader);
            self.carry_out(requests);
        }
    }

    fn carry_out(&mut self, requests: Vec<FileRequest>) {
        for request in requests {
            match request {
                FileRequest::Directory { path, wanted } => {
                    self.directories.push((path.clone(), wanted));
                    let there: Vec<_> = self.files.keys().cloned().collect();
                    let is_wanted = |file: &PathBuf| {
                        file.parent() == Some(&path) && file.file_name().is_some_and(wanted)
                    };
                    for file in there.into_iter().filter(is_wanted) {
                        self.changed(FileChange::Appeared(&file));
                    }
                }
                FileRequest::Whole(path) => {
                    let text = self.files.get(&path).cloned().flatten();
                    self.whole.insert(path.clone());
                    if let Some(text) = text {
                        self.changed(FileChange::Contents(&path, text.as_bytes()));
                    }
                }
                FileRequest::Lines { path, .. } => _ = self.growing.insert(path),
                // What a reader waits for is there at once.
                FileRequest::Again(_) => {}
                FileRequest::Connect { path, .. } => _ = self.connected.insert(path),
                FileRequest::Forget(path) => {
                    self.connected.remove(&path);
                    self.growing.remove(&path);
                    self.whole.remove(&path);
                    self.directories.retain(|(directory, _)| *directory != path);
                }
                FileRequest::Report(report) => self.handle(Input::Observed(report)),
            }
        }
    }

    fn exit(&mut self, pid: u32) {
        self.gone.insert(pid);
        if self.watched.remove(&pid) {
            self.handle(Input::ProcessExited(process_id(pid)));
        }
    }

    fn engine_exit(&mut self, ms: u64) {
        let due = self.scene.expected.engine_exited;
        if let Some(due) = due.filter(|due| *due <= ms) {
            let engines = std::mem::take(&mut self.engines);
            for pid in engines
                .into_iter()
                .filter(|pid| !self.gone.contains(pid))
                .collect::<Vec<_>>()
            {
                self.wait_until(due.max(self.now.uptime_ms));
                self.exit(pid);
            }
        }
    }

    fn reported(&self, pid: u32) -> ReportedProcess {
        ReportedProcess {
            pid,
            start: (!self.gone.contains(&pid)).then_some(PROCESS_START),
            namespace: Some(NAMESPACE),
        }
    }

    fn wait_until(&mut self, ms: u64) {
        while let Some(due) = self.core.next_timeout().filter(|due| *due <= ms) {
            self.set_time(due);
            self.handle(Input::Timeout);
            let next = self.core.next_timeout();
            assert_ne!(next, Some(due), "a timeout that changes nothing");
        }
        self.set_time(ms);
    }

    fn set_time(&mut self, ms: u64) {
        self.now = Now {
            unix_ms: EPOCH + ms,
            uptime_ms: ms,
        };
    }

    fn handle(&mut self, input: Input) {
        let mut inputs = vec![input];
        let mut changed = false;
        while let Some(input) = inputs.pop() {
            let mut effects: Vec<Effect> = self.core.handle(input, self.now).collect();
            effects.extend(self.core.end_turn());
            for effect in effects {
                match effect {
                    Effect::Broadcast(line) | Effect::BroadcastTo(_, line) => {
                        changed |= self.publish(&line);
                    }
                    Effect::Watch(process) if self.gone.contains(&process.pid) => {
                        inputs.push(Input::ProcessExited(process));
                    }
                    Effect::Watch(process) => _ = self.watched.insert(process.pid),
                    Effect::Unwatch(process) => _ = self.watched.remove(&process.pid),
                    Effect::Reply(..)
                    | Effect::Subscribe(..)
                    | Effect::ScanRegistries
                    | Effect::WatchRegistry(..)
                    | Effect::Inspect(_) => {}
                    other => panic!("not expected in a replay: {other:?}"),
                }
            }
        }
        if changed {
            let sessions = self.sessions.values().cloned().collect();
            self.frames.push((self.now.uptime_ms, sessions));
        }
    }

    fn publish(&mut self, line: &[u8]) -> bool {
        let mut line: Value = serde_json::from_slice(line).unwrap();
        if line["method"] != "session.changed" {
            return false;
        }
        let session = line["params"]["session"].take();
        let key = session["key"].as_str().unwrap().to_owned();
        self.deciding.note(&mut self.core, self.now, &session);
        self.sessions.insert(key, session);
        true
    }

    /// The command line of a process, as the recorder has marked its start.
    fn arguments(&self, pid: u32) -> Vec<String> {
        let mut processes = self.scene.expected.processes.iter();
        let started = processes
            .find(|one| one.pids.contains(&pid))
            .map(|one| one.started);
        let marks = self
            .scene
            .lines
            .iter()
            .filter(|line| Some(line.ms) == started);
        let mut commands = marks.filter_map(|line| {
            let mark = line.mark.as_deref()?;
            mark.strip_prefix("start: ").or(mark.strip_prefix("run: "))
        });
        let command = commands.next().unwrap_or_default();
        command.split_whitespace().map(str::to_owned).collect()
    }

    /// The processes of terminals that run now, newest first.
    fn running(&self) -> Vec<u32> {
        let processes = self.scene.expected.processes.iter().rev();
        let now = self.now.uptime_ms;
        let runs = processes
            .filter(|one| one.started <= now && one.exited.is_none_or(|exited| now < exited));
        // A launcher comes first.
        runs.filter_map(|one| one.pids.last().copied()).collect()
    }
}

impl System for Stage<'_> {
    fn lock_holder(&self, _path: &Path) -> Option<ReportedProcess> {
        let is_shared = self.scene.expected.processes.iter().any(|one| one.shared);
        let pid = if is_shared {
            self.engines.first().copied()
        } else {
            self.running().first().copied()
        };
        pid.map(|pid| self.reported(pid))
    }

    fn namespace(&self) -> Option<u64> {
        Some(NAMESPACE)
    }

    fn process(&self, pid: u32) -> Option<ProcessInfo> {
        (!self.gone.contains(&pid)).then(|| process_info(pid))
    }

    fn is_older(&self, _path: &Path, _process: ProcessId) -> bool {
        false
    }

    fn processes_of(&self, program: fn(&[String], &[String]) -> bool) -> Vec<RunningProcess> {
        let terminals = self
            .running()
            .into_iter()
            .map(|pid| (pid, self.arguments(pid)));
        let engine = self.scene.expected.engine.as_deref();
        let engine = self.config_dir.join(engine.unwrap_or(self.agent.program));
        let server = vec![
            engine.to_string_lossy().into_owned(),
            "app-server".to_owned(),
        ];
        let engines = self.engines.iter().map(|pid| (*pid, server.clone()));
        let names = [self.agent.program.to_owned()];
        let all = terminals.chain(engines);
        all.filter(|(_, arguments)| program(&names, arguments))
            .map(|(pid, arguments)| RunningProcess {
                info: process_info(pid),
                arguments,
                cwd: None,
            })
            .collect()
    }

    fn names(&self, directory: &Path) -> Vec<Box<OsStr>> {
        let files = self.files.keys();
        let here = files.filter(|file| file.parent() == Some(directory));
        here.filter_map(|file| Some(file.file_name()?.into()))
            .collect()
    }
}

/// The processes with hooks that no person has started.
fn engines(scene: &Scene) -> BTreeSet<u32> {
    let processes = &scene.expected.processes;
    let is_known = |pid: &u32| processes.iter().any(|one| one.pids.contains(pid));
    let hooks = scene.lines.iter().filter(|line| line.hook.is_some());
    let pids = hooks.filter_map(|line| line.pid);
    pids.filter(|pid| !is_known(pid)).collect()
}

fn process_id(pid: u32) -> ProcessId {
    ProcessId {
        pid,
        start: PROCESS_START,
    }
}

fn process_info(pid: u32) -> ProcessInfo {
    ProcessInfo {
        id: process_id(pid),
        parent: 1,
        tty: Some("/dev/pts/1".into()),
        zombie: false,
        stopped: false,
    }
}

fn id() -> Option<Id> {
    codec::decode(br#"{"jsonrpc":"2.0","id":1,"method":"hello"}"#).id
}
