//! Plays a recording: real processes in the place of the recorded ones, real hooks, real files in the registry.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use agent_console::os::process;
use serde_json::{Value, json};

use super::recording::{Entry, Recording, STAMPS, What};
use crate::support::{Place, Sleeper, until};

/// No pause is longer than this: above the longest that any rule waits for, which is a second.
const LONGEST_PAUSE: Duration = Duration::from_millis(1300);

/// The processes that stand for the recorded ones, in the order of their starts.
#[derive(Default)]
pub struct Cast {
    actors: Vec<Sleeper>,
    /// By the recorded process id.
    pub roles: BTreeMap<u64, u32>,
}

impl Cast {
    /// What a mark says happened to a process. A signal is left to what the agent made of it: its last hook, and a
    /// process that is gone a moment later.
    pub fn mark(&mut self, mark: &str) {
        if mark.starts_with("start: ") || mark.starts_with("run: ") {
            self.actors.push(Sleeper::start());
        } else if ["kill -9 ", "process gone", "alive=False", "exit "]
            .iter()
            .any(|end| mark.starts_with(end))
        {
            self.actors.last_mut().unwrap().kill();
        }
    }

    /// The stand-in of a recorded process: the last one started, when its id is first seen.
    pub fn pid(&mut self, recorded: Option<u64>) -> u32 {
        let last = self.actors.last().unwrap().pid();
        match recorded {
            Some(recorded) => *self.roles.entry(recorded).or_insert(last),
            None => last,
        }
    }
}

/// Waits until the daemon has taken in this many reports: none is lost.
pub fn arrived(place: &Place, hooks: usize) {
    let mut wire = place.connect();
    until("every report", || {
        let status = wire.ask("daemon.status", json!({}));
        (status["result"]["reports"] == hooks).then_some(())
    });
}

/// One thing that was played.
#[derive(Debug, Clone, Copy)]
struct Act {
    /// When it was recorded.
    ms: u64,
    began: Instant,
    ended: Instant,
}

/// What was played, and when.
pub struct Played {
    acts: Vec<Act>,
    pub cast: Cast,
    pub hooks: usize,
    /// How late the latest was, done: a recording that is not played at its pace is another one.
    pub late: Duration,
}

impl Played {
    /// When that which was recorded at `ms` began to happen.
    pub fn evidence(&self, ms: u64) -> Instant {
        let act = self.acts.iter().find(|act| act.ms == ms);
        act.unwrap_or_else(|| panic!("nothing is recorded at {ms}"))
            .began
    }

    /// When that which was recorded at `ms` is to be played: as long after the one before it as it was recorded, or at
    /// most [`LONGEST_PAUSE`]. If that one took longer, on a busy machine, the recording's clock stood still meanwhile.
    fn due(&self, ms: u64) -> Instant {
        match self.acts.last() {
            Some(last) => last.began + Duration::from_millis(ms - last.ms).min(LONGEST_PAUSE),
            None => Instant::now(),
        }
    }

    /// The moment that was `ms` in the recording, which is not after the last act, on this machine's clock. Its order
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
}

/// The sources to play.
#[derive(Debug, Clone, Copy)]
pub struct Sources {
    pub hooks: bool,
    pub registry: bool,
}

/// Plays a recording at its own pace.
///
/// The sleep is that pace: nothing is waited for by it, and nobody has to be ready when it ends.
pub fn play(place: &Place, recording: &Recording, sources: Sources) -> Played {
    let registry = place.path().join("home/.claude/sessions");
    let mut played = Played {
        acts: Vec::new(),
        cast: Cast::default(),
        hooks: 0,
        late: Duration::ZERO,
    };
    for Entry { ms, what } in &recording.entries {
        let due = played.due(*ms);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let began = Instant::now();
        played.acts.push(Act {
            ms: *ms,
            began,
            ended: began,
        });
        match what {
            What::Mark(mark) => played.cast.mark(mark),
            What::Hook {
                process,
                attended,
                payload,
            } => {
                let pid = played.cast.pid(*process);
                if sources.hooks {
                    place.hook(pid, *attended, &payload.to_string());
                    played.hooks += 1;
                }
            }
            What::Registry { process, entry } => {
                let pid = played.cast.pid(Some(*process));
                if sources.registry {
                    let file = registry.join(format!("{pid}.json"));
                    let stamp = |stamp| unix_ms(played.moment(recording.moment(stamp)));
                    match entry {
                        Some(entry) => write(file, &rewritten(entry, pid, stamp)),
                        None => fs::remove_file(file).unwrap(),
                    }
                }
            }
        }
        let ended = Instant::now();
        played.acts.last_mut().unwrap().ended = ended;
        played.late = played.late.max(ended.saturating_duration_since(due));
    }
    played
}

fn unix_ms(at: Instant) -> u64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let then = now.checked_sub(at.elapsed()).unwrap();
    u64::try_from(then.as_millis()).unwrap()
}

/// A recorded entry as this process would have written it now.
fn rewritten(entry: &Value, pid: u32, moment: impl Fn(u64) -> u64) -> Value {
    let mut entry = entry.clone();
    entry["pid"] = json!(pid);
    let start = process::inspect(pid).unwrap().id.start;
    entry["procStart"] = json!(start.to_string());
    let namespace = process::namespace();
    entry["pidDomain"] = json!(namespace.map(|inode| format!("linux:0:pid:[{inode}]")));
    for field in STAMPS {
        if let Some(stamp) = entry[field].as_u64() {
            entry[field] = json!(moment(stamp));
        }
    }
    entry
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
