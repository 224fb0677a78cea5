//! Many clients at a daemon that comes and goes: who has connected is answered.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::machine::{SERVICE, SOCKET, SOCKET_PATH, beside_a_manager, says};
use super::signal;
use crate::reexec::this_test;
use crate::support::{PATIENCE, Sleeper, until};

const HELLO: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}\n";

/// Connects, asks once and leaves; `before` passes between the connection and the question.
fn ask(question: &str, before: Duration) -> io::Result<Value> {
    let mut socket = UnixStream::connect(SOCKET_PATH)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    thread::sleep(before);
    socket.write_all(question.as_bytes())?;
    let mut lines = BufReader::new(socket);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let message: Value = serde_json::from_str(&line)?;
        if message.get("id").is_some() {
            return Ok(message);
        }
    }
}

/// Pauses that meet a daemon at every point of its few milliseconds, and in between.
fn phase(round: u64, steps: u64) -> Duration {
    Duration::from_micros(round * 7 % steps * 500)
}

#[test]
fn no_client_is_lost_to_an_idle_exit() {
    // The first of one round may be the last of the one before.
    const DAEMONS: usize = 51;
    beside_a_manager(this_test!(), |machine| {
        machine.drop_in(SOCKET, "[Socket]\nTriggerLimitIntervalSec=0\n");
        machine.configure("idle_timeout = \"1ms\"");
        machine.enable();
        let mut all = HashSet::new();
        for (idle, clients) in [("1ms", 1), ("5ms", 1), ("1ms", 4), ("5ms", 4)] {
            machine.configure(&format!("idle_timeout = \"{idle}\""));
            let began = Instant::now();
            let daemons = Mutex::new(HashSet::new());
            let answered = AtomicUsize::new(0);
            let client = |number: u64| {
                for round in number.. {
                    let answer = ask(HELLO, phase(round, 11)).expect("an answer");
                    answered.fetch_add(1, Ordering::Relaxed);
                    let pid = answer["result"]["pid"].as_u64().unwrap();
                    let mut daemons = daemons.lock().unwrap();
                    daemons.insert(pid);
                    if daemons.len() >= DAEMONS {
                        return;
                    }
                    drop(daemons);
                    thread::sleep(phase(round, 17));
                }
            };
            thread::scope(|scope| {
                let clients: Vec<_> = (0..clients)
                    .map(|number| scope.spawn(move || client(number)))
                    .collect();
                for client in clients {
                    client.join().unwrap();
                }
            });
            let daemons = daemons.into_inner().unwrap();
            eprintln!(
                "idle exit after {idle}, {clients} at once: {} of {0} answered, by {} daemons, in {:?}",
                answered.load(Ordering::Relaxed),
                daemons.len(),
                began.elapsed()
            );
            all.extend(daemons);
        }

        // Each of them left at once, and its last line is there all the same.
        assert!(all.len() >= 200, "{}", all.len());
        let said = until("the last lines", || {
            let entries = machine.journal(&["SYSLOG_IDENTIFIER=agent-console"]);
            let said = |message: &str| -> HashSet<u64> {
                let of = entries.iter().filter(|entry| says(entry, message));
                of.filter_map(|entry| entry["_PID"].as_str()?.parse().ok())
                    .collect()
            };
            let (ready, leaving) = (said("ready"), said("leaving"));
            (leaving.is_superset(&all)).then_some((ready, leaving))
        });
        assert!(said.0.is_superset(&all));
        eprintln!(
            "journal: the last line of {} of {} daemons",
            said.1.intersection(&all).count(),
            all.len()
        );
    });
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since_epoch.as_millis()).unwrap()
}

/// One event of session `number`, as Claude Code hands it to its hook.
fn event(number: usize, name: &str) -> Value {
    json!({
        "hook_event_name": name,
        "session_id": number.to_string(),
        "tool_name": "Bash",
        "tool_input": {"command": "cargo test"},
    })
}

/// A report of an agent whose process is not known; `id` is the request's, if it is one.
fn report(number: usize, id: &str) -> String {
    let event = event(number, "UserPromptSubmit");
    let params = json!({"agent": "claude-code", "at": now_ms(), "event": event});
    format!("{{\"jsonrpc\":\"2.0\",{id}\"method\":\"session.report\",\"params\":{params}}}\n")
}

#[test]
fn no_report_is_lost_to_an_idle_exit() {
    const REPORTS: usize = 300;
    beside_a_manager(this_test!(), |machine| {
        machine.drop_in(SOCKET, "[Socket]\nTriggerLimitIntervalSec=0\n");
        // The journal may lose lines where a burst meets a busy machine; a file does not.
        machine.drop_in(SERVICE, "[Service]\nStandardError=append:%t/log\n");
        let log = format!("/run/user/{}/log", rustix::process::getuid().as_raw());
        machine.configure("idle_timeout = \"1ms\"\nlog = \"debug\"");
        machine.enable();
        for round in 0..REPORTS {
            let mut socket = UnixStream::connect(SOCKET_PATH).unwrap();
            thread::sleep(phase(round as u64, 11));
            socket.write_all(report(round, "").as_bytes()).unwrap();
            drop(socket);
            thread::sleep(phase(round as u64, 17));
        }
        let count =
            |text: &str, part: &str| text.lines().filter(|line| line.contains(part)).count();
        let log = until("a line for each report", || {
            let log = fs::read_to_string(&log).unwrap();
            (count(&log, "session.report") >= REPORTS).then_some(log)
        });
        assert_eq!(count(&log, "session.report"), REPORTS);
        let daemons = count(&log, " ready: ");
        eprintln!("{REPORTS} of {REPORTS} reports taken in, by {daemons} daemons");
        assert!(daemons > 1);
    });
}

#[test]
fn hooks_that_wrote_before_the_daemon_ran_are_applied() {
    const SESSIONS: usize = 50;
    const FINISHED: [&str; 10] = [
        "SessionStart",
        "UserPromptSubmit",
        "PreToolUse",
        "PostToolUse",
        "PreToolUse",
        "PermissionRequest",
        "PostToolUse",
        "PreToolUse",
        "PostToolUse",
        "Stop",
    ];
    const ASKING: [&str; 10] = [
        "SessionStart",
        "UserPromptSubmit",
        "PreToolUse",
        "PostToolUse",
        "PreToolUse",
        "PostToolUse",
        "PreToolUse",
        "PostToolUse",
        "PreToolUse",
        "PermissionRequest",
    ];
    let asks = |session: usize| session.is_multiple_of(5);
    beside_a_manager(this_test!(), |machine| {
        // The daemon's start waits at a gate until all have written.
        let gate = format!("/run/user/{}/gate", rustix::process::getuid().as_raw());
        let made = Command::new("mkfifo").arg(&gate).status();
        assert!(made.unwrap().success());
        let wait = "[Service]\nExecStartPre=/bin/sh -c 'read go <%t/gate'\n";
        machine.drop_in(SERVICE, wait);
        machine.configure("log = \"debug\"");
        machine.enable();

        let agents: Vec<Sleeper> = (0..SESSIONS).map(|_| Sleeper::start()).collect();
        let mut slow = HashSet::new();
        for (step, (finished, asking)) in FINISHED.into_iter().zip(ASKING).enumerate() {
            for (number, agent) in agents.iter().enumerate() {
                let name = if asks(number) { asking } else { finished };
                let began = Instant::now();
                machine.hook(agent.pid(), &event(number, name));
                // It may have given up, as it should where a machine is that busy.
                if began.elapsed() >= Duration::from_millis(100) {
                    slow.insert((number, step));
                }
            }
        }
        assert_eq!(machine.property(SERVICE, "ActiveState"), "activating");

        let began = Instant::now();
        fs::write(&gate, "go\n").unwrap();
        let applied = until("all reports to be applied", || {
            let status = machine.json(&["status", "--json"]);
            let applied = status["reports"].as_u64()?;
            (applied + slow.len() as u64 >= 500).then_some(applied)
        });
        assert!(applied <= 500, "{applied}");
        eprintln!(
            "500 hooks before the start: {applied} applied in {:?}; {} took 100 ms or longer",
            began.elapsed(),
            slow.len()
        );
        // A burst that journald's queue does not hold, and no line is lost all the same.
        // Those that took longer may still come.
        until("a line for each report", || {
            let lines = machine.journal(&["F_METHOD=session.report"]).len();
            let applied = machine.json(&["status", "--json"])["reports"].as_u64()?;
            (lines as u64 == applied).then_some(())
        });
        let sessions = machine.json(&["list", "--json"]);
        let sessions = sessions.as_array().unwrap();
        assert_eq!(sessions.len(), SESSIONS);
        for session in sessions {
            let number: usize = session["session_id"].as_str().unwrap().parse().unwrap();
            assert_eq!(session["pid"], agents[number].pid());
            if slow.iter().any(|(slow, _)| *slow == number) {
                continue;
            }
            let expected = if asks(number) {
                json!(["waiting", "permission", "permission: Bash cargo test"])
            } else {
                json!(["idle", null, null])
            };
            let found = json!([session["status"], session["waiting_for"], session["reason"]]);
            assert_eq!(found, expected, "{session}");
        }

        drop(agents);
        until("the end of all agents to be noticed", || {
            (machine.json(&["list", "--json"]) == json!([])).then_some(())
        });
    });
}

#[test]
fn the_next_client_is_served_after_a_restart_and_after_a_kill() {
    const CLIENTS: usize = 4;
    beside_a_manager(this_test!(), |machine| {
        machine.enable();
        let main_pid = || machine.property(SERVICE, "MainPID");
        machine.json(&["list", "--json"]);
        let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let lost = Mutex::new(Vec::new());
        let hammer = |number: usize| {
            while !done.load(Ordering::Relaxed) {
                let question = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.list\"}\n";
                let report = report(number, "\"id\":1,");
                for line in [question, &report] {
                    match ask(line, Duration::ZERO) {
                        Ok(answer) if answer.get("result").is_some() => {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => panic!("{answer}"),
                        Err(error) => lost.lock().unwrap().push(error.kind()),
                    }
                }
            }
        };
        // Everybody has been answered twice since then.
        let served = || {
            let enough = answered.load(Ordering::Relaxed) + 4 * CLIENTS;
            until("answers", || {
                (answered.load(Ordering::Relaxed) >= enough).then_some(())
            });
        };
        thread::scope(|scope| {
            let _done = OnDrop(|| done.store(true, Ordering::Relaxed));
            for number in 0..CLIENTS {
                scope.spawn(move || hammer(number));
            }
            for _ in 0..5 {
                served();
                let before = main_pid();
                machine.systemctl(&["restart", SERVICE]);
                assert_ne!(main_pid(), before);
            }
            served();
            let total = answered.load(Ordering::Relaxed);
            let lost_to_restarts = std::mem::take(&mut *lost.lock().unwrap());
            eprintln!("5 restarts under load: {total} answered, lost {lost_to_restarts:?}");
            assert_eq!(lost_to_restarts, []);

            for _ in 0..2 {
                let before = main_pid();
                signal("KILL", &before);
                let began = Instant::now();
                until("another daemon", || {
                    let pid = ask(HELLO, Duration::ZERO).ok()?["result"]["pid"].to_string();
                    (pid != before).then_some(())
                });
                let took = began.elapsed();
                served();
                let lost = std::mem::take(&mut *lost.lock().unwrap());
                eprintln!("kill -9 under load: the next is served after {took:?}, lost {lost:?}");
                assert!(lost.len() <= CLIENTS, "{lost:?}");
            }
        });
        assert_eq!(machine.property(SERVICE, "NRestarts"), "2");
    });
}

/// Whatever happens to the test, its threads end.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}
