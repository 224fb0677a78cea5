//! Plays a recording: real processes in the place of the recorded ones, real hooks, real files in the registry.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use agent_console::os::machine;
use agent_console::os::process;
use serde_json::{Value, json};

use super::expectation::Change;
use super::recording::{Entry, Fact, ProcessEvent, Recording, process_event};
use crate::support::{Place, Sleeper, until};

/// No pause is longer than this: above the 500 ms that a rule waits at most where no source is missing.
const LONGEST_PAUSE: Duration = Duration::from_millis(600);

/// What is played later than this, counted from the fact before it, is another recording: between a registry entry and
/// the hook that belongs to it the daemon waits for 150 ms.
const ON_TIME: Duration = Duration::from_millis(75);

/// The processes that stand for the recorded ones, in the order of their starts.
#[derive(Default)]
pub struct Processes {
    sleepers: Vec<Sleeper>,
    /// By the recorded process id.
    pub roles: BTreeMap<u64, u32>,
    hooks: usize,
}

impl Processes {
    /// Does what a mark says happened to a process.
    pub fn mark(&mut self, mark: &str) {
        match process_event(mark) {
            Some(ProcessEvent::Started) => self.sleepers.push(Sleeper::start()),
            Some(ProcessEvent::Ended) => self.sleepers.last_mut().unwrap().kill(),
            None => {}
        }
    }

    /// The stand-in of a recorded process: the one started last, when its id is first seen.
    fn pid(&mut self, recorded: Option<u64>) -> u32 {
        let last = self.sleepers.last().unwrap().pid();
        match recorded {
            Some(recorded) => *self.roles.entry(recorded).or_insert(last),
            None => last,
        }
    }

    /// Runs the hook of a recorded process.
    pub fn hook(&mut self, place: &Place, process: Option<u64>, attended: bool, payload: &Value) {
        place.hook(self.pid(process), attended, &payload.to_string());
        self.hooks += 1;
    }

    /// Waits until the daemon has every report.
    pub fn reports_arrived(&self, place: &Place) {
        let mut wire = place.connect();
        until("every report", || {
            let status = wire.ask("daemon.status", json!({}));
            (status["result"]["reports"] == self.hooks).then_some(())
        });
    }
}

/// One fact that was played.
#[derive(Debug, Clone, Copy)]
struct Act {
    /// When it was recorded.
    ms: u64,
    began: Instant,
    ended: Instant,
}

/// The sources to play.
#[derive(Debug, Clone, Copy)]
pub struct Sources {
    pub hooks: bool,
    pub registry: bool,
}

/// Plays a recording, fact by fact.
pub struct Player {
    sources: Sources,
    began: Instant,
    acts: Vec<Act>,
    pub processes: Processes,
    /// When the daemon had last shown all that was played.
    caught_up_at: Duration,
    /// When something should have been played that was late, since then.
    late_since: Option<Duration>,
    /// From when to when that was so.
    pub late: Vec<(Duration, Duration)>,
}

impl Player {
    /// `began`: what all times are counted from.
    pub fn new(began: Instant, sources: Sources) -> Self {
        Self {
            sources,
            began,
            acts: Vec::new(),
            processes: Processes::default(),
            caught_up_at: Duration::ZERO,
            late_since: None,
            late: Vec::new(),
        }
    }

    /// When that which was recorded at `ms` began to happen.
    pub fn evidence(&self, ms: u64) -> Duration {
        let act = self.acts.iter().find(|act| act.ms == ms);
        let act = act.unwrap_or_else(|| panic!("nothing is recorded at {ms}"));
        act.began - self.began
    }

    /// The daemon shows what was played, by a change that came at `at`.
    pub fn caught_up(&mut self, at: Duration) {
        self.caught_up_at = self.began.elapsed();
        if let Some(since) = self.late_since.take() {
            self.late.push((since, at));
        }
    }

    /// Without what the daemon has shown while it had a late fact to catch up with, apart from what that came to.
    pub fn without_late<'a>(&self, changes: &[&'a Change]) -> Vec<&'a Change> {
        let mut kept = changes.to_vec();
        for (since, until) in &self.late {
            let is_in = |change: &&Change| (*since..=*until).contains(&change.at);
            let last = kept.iter().rfind(|change| is_in(change));
            let last = last.map(|change| change.seq);
            kept.retain(|change| !is_in(change) || Some(change.seq) == last);
        }
        kept
    }

    /// When that which was recorded at `ms` must be played: as long after the fact before it as it was recorded, or at
    /// most [`LONGEST_PAUSE`].
    fn due(&self, ms: u64) -> Duration {
        self.acts.last().map_or(Duration::ZERO, |last| {
            let pause = Duration::from_millis(ms - last.ms).min(LONGEST_PAUSE);
            last.began - self.began + pause
        })
    }

    /// Sleeps until that which was recorded at `ms` must be played: the recording's pace.
    pub fn sleep_until(&self, ms: u64) {
        std::thread::sleep(self.due(ms).saturating_sub(self.began.elapsed()));
    }

    /// The time that was `ms` in the recording, which is not after the last act, on this machine's clock. Its order
    /// among what was played is kept.
    fn moment(&self, ms: u64) -> Instant {
        let next = self.acts.partition_point(|act| act.ms < ms);
        let next_act = self.acts.get(next).or(self.acts.last()).unwrap();
        let before_it = Duration::from_millis(next_act.ms.saturating_sub(ms));
        let moment = next_act.began.checked_sub(before_it).unwrap();
        match next.checked_sub(1) {
            Some(before) => moment.max(self.acts[before].ended),
            None => moment,
        }
    }

    /// Plays one fact.
    pub fn play(&mut self, place: &Place, recording: &Recording, Entry { ms, fact }: &Entry) {
        let due = self.due(*ms).max(self.caught_up_at);
        let began = Instant::now();
        self.acts.push(Act {
            ms: *ms,
            began,
            ended: began,
        });
        match fact {
            Fact::Mark(mark) => self.processes.mark(mark),
            Fact::Hook {
                process,
                attended,
                payload,
            } => {
                if self.sources.hooks {
                    self.processes.hook(place, *process, *attended, payload);
                } else {
                    self.processes.pid(*process);
                }
            }
            Fact::Registry { process, entry } => {
                let pid = self.processes.pid(Some(*process));
                if self.sources.registry {
                    let file = place
                        .path()
                        .join(format!("home/.claude/sessions/{pid}.json"));
                    match entry {
                        Some(entry) => {
                            let id = process::inspect(pid).unwrap().id;
                            let clock = |ms| unix_ms(self.moment(ms));
                            let machine = machine::id().unwrap_or_default();
                            let domain = process::namespace()
                                .map(|inode| format!("linux:{machine}:pid:[{inode}]"));
                            let entry = recording.registry_entry(
                                entry,
                                (pid, id.start),
                                domain.as_deref(),
                                clock,
                            );
                            write(file, &entry);
                        }
                        None => fs::remove_file(file).unwrap(),
                    }
                }
            }
        }
        let ended = Instant::now();
        self.acts.last_mut().unwrap().ended = ended;
        if (ended - self.began).saturating_sub(due) > ON_TIME {
            self.late_since.get_or_insert(due);
        }
    }
}

fn unix_ms(at: Instant) -> u64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let then = now.checked_sub(at.elapsed()).unwrap();
    u64::try_from(then.as_millis()).unwrap()
}

/// As Claude Code does it: the file is not emptied first, but cut to its length last.
fn write(file: PathBuf, entry: &Value) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let text = entry.to_string();
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(file)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_len(text.len() as u64).unwrap();
}
