//! Agents that end without a word, as real processes reported by the real hook: killed, left unreaped, their process id
//! given to another, or theirs only in another pid namespace. Each is closed at once, as crashed, and stays so; what
//! only looks like it is left alone; and then nothing holds the daemon any more.
//!
//! Needs root, for namespaces and to choose process ids.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use agent_console::os::process::{self, ProcessId};
use serde_json::{Value, json};

use crate::reexec::{self, this_test};
use crate::support::{Daemon, PROMPT, Place, Sleeper, Wire, program, until};

/// A daemon that exits once it is idle, and the dashboard that keeps it until then.
struct Fixture {
    place: Place,
    daemon: Daemon,
    dashboard: Wire,
}

impl Fixture {
    #[track_caller]
    fn new() -> Self {
        let place = Place::new();
        place.configure("idle_timeout = 0\n");
        let daemon = place.daemon();
        let mut dashboard = place.connect();
        dashboard.ask("subscribe", json!({}));
        place.configure("idle_timeout = \"200ms\"\n");
        place.connect().ask("daemon.reload", json!({}));
        Self {
            place,
            daemon,
            dashboard,
        }
    }

    /// Reports an agent by its hook; its session's key, once the dashboard has it.
    #[track_caller]
    fn report(&mut self, pid: u32, id: &str) -> String {
        self.place.hook(pid, true, &event(id));
        let session = self.next_change(id);
        assert_eq!(session["pid"], pid, "{session}");
        session["key"].as_str().unwrap().to_owned()
    }

    /// The next change of a session, by the agent's id of it.
    #[track_caller]
    fn next_change(&mut self, id: &str) -> Value {
        loop {
            let session = self.dashboard.notified("session.changed")["session"].take();
            if session["session_id"] == id {
                return session;
            }
        }
    }

    /// The session's next change is its end. Returns how long after `died` it was reported.
    #[track_caller]
    fn assert_end_is_reported(&mut self, id: &str, died: Instant) -> Duration {
        let session = self.next_change(id);
        let took = died.elapsed();
        assert_crashed(&session);
        assert!(took < PROMPT, "{took:?}");
        took
    }

    #[track_caller]
    fn session(&self, key: &str) -> Value {
        self.place.json(&["get", key, "--json"])
    }

    /// Nothing holds the daemon but the dashboard: without it, it leaves.
    #[track_caller]
    fn leaves(mut self) {
        assert!(self.daemon.runs());
        drop(self.dashboard);
        assert_eq!(self.daemon.wait(), Some(0));
    }
}

/// A session starts.
fn event(id: &str) -> String {
    json!({"hook_event_name": "SessionStart", "session_id": id, "source": "startup", "cwd": "/"})
        .to_string()
}

#[track_caller]
fn assert_crashed(session: &Value) {
    assert_eq!(session["status"], "closed", "{session}");
    assert_eq!(session["end_reason"], "crashed", "{session}");
}

fn figures(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "{what}: reported after {median:?}, at worst {worst:?}, of {}",
        times.len()
    );
}

#[test]
fn a_killed_agent_is_closed_at_once_reaped_or_not() {
    let mut fixture = Fixture::new();
    for reaped in [true, false] {
        let mut agents: Vec<_> = (0..10).map(|_| Sleeper::start()).collect();
        let mut keys = Vec::new();
        for agent in &agents {
            keys.push(fixture.report(agent.pid(), &format!("{reaped} {}", agent.pid())));
        }
        let mut times = Vec::new();
        for agent in &mut agents {
            let died = Instant::now();
            agent.0.kill().unwrap();
            if reaped {
                agent.0.wait().unwrap();
            }
            times.push(fixture.assert_end_is_reported(&format!("{reaped} {}", agent.pid()), died));
            let left = process::inspect(agent.pid());
            assert_eq!(left.is_ok_and(|left| left.zombie), !reaped);
        }
        figures(if reaped { "killed" } else { "a zombie" }, times);
        for key in keys {
            assert_crashed(&fixture.session(&key));
        }
    }
    fixture.leaves();
}

#[test]
fn a_hook_that_outlives_its_agent_does_not_bring_it_back() {
    let mut fixture = Fixture::new();
    // A zombie still has a start time; a reaped process has none, so its report names no process.
    let mut agent = Sleeper::start();
    let key = fixture.report(agent.pid(), "known");
    let died = Instant::now();
    agent.0.kill().unwrap();
    fixture.assert_end_is_reported("known", died);
    let mut unknown = Sleeper::start();
    unknown.0.kill().unwrap();
    until("a zombie", || {
        process::inspect(unknown.pid())
            .unwrap()
            .zombie
            .then_some(())
    });

    let prompt =
        json!({"hook_event_name": "UserPromptSubmit", "session_id": "known", "prompt": "x"});
    fixture.place.hook(agent.pid(), true, &prompt.to_string());
    fixture.place.hook(unknown.pid(), true, &event("unknown"));
    until("the three reports", || {
        (fixture.place.json(&["status", "--json"])["reports"] == 3).then_some(())
    });
    let listed = || fixture.place.json(&["list", "--json"]);
    until("both to be closed", || {
        (listed() == json!([])).then_some(())
    });
    assert_crashed(&fixture.session(&key));
    let all = fixture.place.json(&["list", "--all", "--json"]);
    for session in all.as_array().unwrap() {
        assert_crashed(session);
    }
    fixture.leaves();
}

/// In a pid namespace of its own, where a process id can be had again at once.
#[test]
fn a_reused_pid_reopens_no_session_and_hides_no_end() {
    if reexec::argument().is_none() {
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .arg(std::env::current_exe().unwrap());
        reexec::second_half(&mut command, this_test!(), "inside");
        reexec::assert_passed(&command.output().unwrap());
        return;
    }
    let mut fixture = Fixture::new();

    // The daemon learns of the end, then the id is given again.
    let mut agent = Sleeper::start();
    let first = id_of(&agent);
    let key = fixture.report(first.pid, "first");
    let died = Instant::now();
    agent.kill();
    let took = fixture.assert_end_is_reported("first", died);
    let second = with_pid(first);
    assert_crashed(&fixture.session(&key));
    // Who has the id now is another session, and its events are its own.
    let second_key = fixture.report(first.pid, "second");
    assert_ne!(key, second_key);
    assert_crashed(&fixture.session(&key));
    assert_eq!(fixture.session(&second_key)["status"], "idle");

    // The daemon has no turn while the one ends and the next takes its id.
    fixture.daemon.signal("STOP");
    let mut agent = second;
    let second = id_of(&agent);
    agent.kill();
    let third = with_pid(second);
    let resumed = Instant::now();
    fixture.daemon.signal("CONT");
    let took_stopped = fixture.assert_end_is_reported("second", resumed);

    // Nor while the hook reports, the one ends and the next takes its id: the report comes to one who is gone.
    fixture.daemon.signal("STOP");
    let mut agent = third;
    let third = id_of(&agent);
    fixture.place.hook(third.pid, true, &event("third"));
    agent.kill();
    let mut bystander = with_pid(third);
    let resumed = Instant::now();
    fixture.daemon.signal("CONT");
    let session = fixture.next_change("third");
    if session["status"] != "closed" {
        fixture.assert_end_is_reported("third", resumed);
    }
    let took_late = resumed.elapsed();
    eprintln!(
        "id reused after the end was reported: {took:?}; while the daemon was stopped: {took_stopped:?} from its \
         going on; before the report was read: {took_late:?}"
    );

    // The last to have the id never was an agent: neither does it hold the daemon, nor is it harmed.
    let all = fixture.place.json(&["list", "--all", "--json"]);
    assert_eq!(all.as_array().unwrap().len(), 3, "{all}");
    for session in all.as_array().unwrap() {
        assert_crashed(session);
    }
    fixture.leaves();
    assert_eq!(bystander.0.try_wait().unwrap(), None);
}

fn id_of(agent: &Sleeper) -> ProcessId {
    process::inspect(agent.pid()).unwrap().id
}

/// Starts a process with the id of one that is gone, and another start time, which has a resolution of a hundredth of a second.
#[track_caller]
fn with_pid(gone: ProcessId) -> Sleeper {
    until("the process id to be given again", || {
        fs::write("/proc/sys/kernel/ns_last_pid", (gone.pid - 1).to_string()).unwrap();
        let next = Sleeper::start();
        let id = id_of(&next);
        (id.pid == gone.pid && id.start != gone.start).then_some(next)
    })
}

/// An agent in a pid namespace below ours, whose id there is the id of another process here.
struct Foreign {
    /// The namespace's first process; with it all of them end.
    shell: Sleeper,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Foreign {
    const SCRIPT: &str = "echo $(($1 - 1)) >/proc/sys/kernel/ns_last_pid; sleep 600 & test $! = $1 || exit 9
        while read -r word; do
            case $word in
            report) printf %s \"$3\" | CLAUDE_PID=$1 CLAUDE_CODE_SESSION_ATTENDED=1 \"$2\" hook claude-code;;
            kill) { kill -9 $1; wait $1; } 2>/dev/null;;
            esac
            echo done
        done";

    #[track_caller]
    fn start(place: &Place, pid: u32, event: &str) -> Self {
        let mut child = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .args(["sh", "-c", Self::SCRIPT, "sh", &pid.to_string()])
            .arg(program())
            .arg(event)
            .env("HOME", place.path().join("home"))
            .env("AGENT_CONSOLE_SOCKET", place.socket())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            shell: Sleeper(child),
        }
    }

    #[track_caller]
    fn run(&mut self, word: &str) {
        writeln!(self.input, "{word}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n");
    }
}

#[test]
fn a_pid_of_another_namespace_is_not_a_process_here() {
    let mut fixture = Fixture::new();
    // Here the pid belongs to an unrelated process first, then also to an agent.
    let mut here = Sleeper::start();
    let mut foreign = Foreign::start(&fixture.place, here.pid(), &event("foreign"));
    foreign.run("report");
    let session = fixture.next_change("foreign");
    assert_eq!(session["pid"], here.pid(), "{session}");
    let foreign_key = session["key"].as_str().unwrap().to_owned();
    let key = fixture.report(here.pid(), "here");
    assert_ne!(key, foreign_key);

    // The end here is not the other's.
    let died = Instant::now();
    here.kill();
    let took = fixture.assert_end_is_reported("here", died);
    println!("beside one of the same id elsewhere: reported after {took:?}");
    assert_eq!(fixture.session(&foreign_key)["status"], "idle");
    assert_crashed(&fixture.session(&key));

    // The other's end can't be seen from here: its session does not hold the daemon for long.
    let another = Sleeper::start();
    let another_key = fixture.report(another.pid(), "another");
    foreign.run("kill");
    assert_eq!(fixture.session(&another_key)["status"], "idle");
    drop(another);
    until("the last one's end", || {
        (fixture.session(&another_key)["status"] == "closed").then_some(())
    });
    assert_eq!(fixture.session(&foreign_key)["status"], "idle");
    drop(foreign.shell);
    fixture.leaves();
}

/// Its descriptors are used up by connections and watches; the end of some makes room for the rest.
#[cfg(target_os = "linux")]
#[test]
fn processes_for_which_no_descriptor_was_left_are_watched_when_there_is_one() {
    const JOBS: usize = 30;
    let place = Place::new();
    let daemon = place.daemon_with(|command| {
        let program = command.get_program().to_owned();
        let mut limited = Command::new("sh");
        limited
            .args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""])
            .arg(program)
            .args(command.get_args())
            .env_clear();
        for (name, value) in command.get_envs() {
            limited.env(name, value.unwrap());
        }
        limited
            .stdin(Stdio::null())
            .stderr(fs::File::create(place.path().join("daemon.log")).unwrap());
        *command = limited;
    });
    let mut jobs: Vec<_> = (0..JOBS).map(|_| Sleeper::start()).collect();
    for (number, job) in jobs.iter().enumerate() {
        let (name, pid) = (format!("job{number}"), job.pid().to_string());
        place.ok(&["report", &name, "working", "--pid", &pid]);
    }
    let warnings = |part: &str| daemon.log().matches(part).count();
    assert_eq!(warnings("cannot watch a process"), 1, "{}", daemon.log());

    // More connections than can be accepted: one line of the log, however many fail.
    let full: Vec<_> = (0..60).map(|_| place.connect()).collect();
    until("the warning", || {
        (warnings("cannot accept a connection") > 0).then_some(())
    });
    drop(full);
    assert_eq!(
        place.json(&["list", "--json"]).as_array().unwrap().len(),
        JOBS
    );
    assert_eq!(
        warnings("cannot accept a connection"),
        1,
        "{}",
        daemon.log()
    );

    for job in &mut jobs {
        job.kill();
    }
    until("the end of every job to be noticed", || {
        let open = place.json(&["list", "--json"]);
        open.as_array().unwrap().is_empty().then_some(())
    });
}
