//! What opens a closed session again, and which of its processes it keeps.

use serde_json::{Value, json};

use super::{CLAUDE, ClientId, CoreHarness, Effect, Input, KEY, NAMESPACE};
use crate::core::lifecycle::STALE_AFTER_MS;
use crate::event::{
    AgentEvent, EventKind, ProcessRole, RegistryEntry, RegistryStatus, RegistryUpdate, Report,
    ReportedProcess, Source,
};
use crate::os::process::ProcessId;
use crate::protocol::{SessionRecord, SetParams, Status};

const JOB: ProcessId = ProcessId { pid: 40, start: 4 };

/// The server of an agent's conversations, and the terminal's process that shows one.
const SERVER: ProcessId = ProcessId { pid: 50, start: 5 };
const TERMINAL: ProcessId = ProcessId { pid: 60, start: 6 };

fn event(name: &str) -> Value {
    json!({"hook_event_name": name, "session_id": "one", "source": "startup", "prompt_id": "p",
        "reason": "other"})
}

/// `session.set` as the daemon passes it on, where of the session's processes those of `alive` run. Gives the effects and
/// the record in the reply.
#[track_caller]
fn set(
    core: &mut CoreHarness,
    session: &str,
    status: &str,
    process: Option<ProcessId>,
    alive: &[ProcessId],
) -> (Vec<Effect>, SessionRecord<'static>) {
    let mut params = json!({"session": session, "status": status});
    params["pid"] = process.map(|process| process.pid).into();
    let params: SetParams = serde_json::from_value(params).unwrap();
    let mut running = core.core.processes_of_closed(&params);
    running.retain(|process| alive.contains(process));
    core.wait(10);
    let id = crate::codec::decode(br#"{"jsonrpc":"2.0","id":1,"method":"hello"}"#).id;
    let mut effects = core.take(Input::Set {
        client: ClientId(1),
        id,
        params: Box::new(params),
        process,
        running,
    });
    let is_reply = |effect: &Effect| matches!(effect, Effect::Reply(..));
    let reply = effects.iter().position(is_reply).expect("a reply");
    let Effect::Reply(_, line) = effects.remove(reply) else {
        unreachable!("it is a reply");
    };
    let mut answer: Value = serde_json::from_slice(&line).unwrap();
    let record = serde_json::from_value(answer["result"]["session"].take()).unwrap();
    (effects, record)
}

fn watched(effects: &[Effect]) -> Vec<ProcessId> {
    let watched = effects.iter().filter_map(|effect| match effect {
        Effect::Watch(process) => Some(*process),
        _ => None,
    });
    watched.collect()
}

/// A session of an agent by a report of the agent's files: the server runs the conversation, a terminal shows it.
fn shared(core: &mut CoreHarness, kind: EventKind) {
    let place = |process: ProcessId| ReportedProcess {
        pid: process.pid,
        start: Some(process.start),
        namespace: Some(NAMESPACE),
    };
    let at = core.wait(10).now.unix_ms;
    core.take(Input::Observed(Box::new(Report {
        timing: crate::agents::DEFAULT.timing,
        agent: "codex".into(),
        at,
        process: Some(place(SERVER)),
        attended: Some(true),
        terminal: None,
        config_dir: None,
        account: None,
        source: Source::File,
        role: ProcessRole::Shared {
            client: Some(place(TERMINAL)),
        },
        event: Some(AgentEvent {
            session_id: Some("thread".into()),
            ..AgentEvent::new("Event", kind)
        }),
    })));
}

/// Whatever has closed it: a process that is gone neither closes the session again nor is shown.
#[test]
fn a_process_that_has_ended_does_not_close_a_session_that_is_set_again() {
    for by in ["script", "exit"] {
        let mut core = CoreHarness::new();
        set(&mut core, "job", "working", Some(JOB), &[]);
        if by == "exit" {
            core.take(Input::ProcessExited(JOB));
        } else {
            set(&mut core, "job", "closed", None, &[]);
        }
        assert_eq!(core.get("job").pid, Some(JOB.pid), "{by}");
        let (effects, reply) = set(&mut core, "job", "working", None, &[]);
        assert_eq!(watched(&effects), [], "{by}");
        assert_eq!((reply.status, reply.pid), (Status::Working, None), "{by}");
        assert_eq!(reply, core.get("job"));
        core.wait(10).take(Input::ProcessExited(JOB));
        assert_eq!(core.status("job"), Status::Working, "{by}");
    }
    for by in ["agent", "script", "exit"] {
        let mut core = CoreHarness::new();
        core.hook(&event("SessionStart"));
        match by {
            "agent" => drop(core.wait(10).hook(&event("SessionEnd"))),
            "script" => drop(set(&mut core, KEY, "closed", None, &[])),
            _ => drop(core.wait(10).take(Input::ProcessExited(CLAUDE))),
        }
        let (effects, reply) = set(&mut core, KEY, "working", None, &[]);
        assert_eq!(watched(&effects), [], "{by}");
        assert_eq!((reply.status, reply.pid), (Status::Working, None), "{by}");
        assert_eq!(reply.end_reason, None, "{by}");
    }
}

#[test]
fn a_session_that_was_silent_is_set_again() {
    let mut core = CoreHarness::new();
    set(&mut core, "job", "working", None, &[]);
    core.wait(STALE_AFTER_MS).take(Input::Timeout);
    assert_eq!(core.status("job"), Status::Closed);
    let (_, reply) = set(&mut core, "job", "waiting", None, &[]);
    assert_eq!(reply.status, Status::Waiting);
    assert_eq!(core.core.sessions.watched(), 0);
}

#[test]
fn a_process_that_still_runs_is_watched_again() {
    for (session, process) in [("job", JOB), (KEY, CLAUDE)] {
        let mut core = CoreHarness::new();
        if process == JOB {
            set(&mut core, "job", "working", Some(JOB), &[]);
        } else {
            core.hook(&event("SessionStart"));
        }
        set(&mut core, session, "closed", None, &[]);
        let (effects, reply) = set(&mut core, session, "working", None, &[process]);
        assert_eq!(watched(&effects), [process]);
        assert_eq!(reply.pid, Some(process.pid));
        core.wait(10).take(Input::ProcessExited(process));
        assert_eq!(core.status(session), Status::Closed);
    }
}

#[test]
fn a_process_that_the_call_names_is_watched() {
    let mut core = CoreHarness::new();
    set(&mut core, "job", "working", Some(JOB), &[]);
    set(&mut core, "job", "closed", None, &[]);
    let next = ProcessId { pid: 41, start: 5 };
    let (effects, reply) = set(&mut core, "job", "working", Some(next), &[]);
    assert_eq!(watched(&effects), [next]);
    assert_eq!(reply.pid, Some(next.pid));
}

/// Neither a terminal that is gone nor the end of the one that a former run had closes it.
#[test]
fn the_terminal_of_a_session_is_kept_only_if_it_still_runs() {
    for (alive, kept, pid) in [
        (vec![], vec![], None),
        (vec![SERVER], vec![SERVER], Some(SERVER.pid)),
        (
            vec![SERVER, TERMINAL],
            vec![SERVER, TERMINAL],
            Some(TERMINAL.pid),
        ),
    ] {
        let mut core = CoreHarness::new();
        shared(&mut core, EventKind::SessionStarted);
        assert_eq!(core.get("codex-thread").pid, Some(TERMINAL.pid));
        set(&mut core, "codex-thread", "closed", None, &[]);
        let (effects, reply) = set(&mut core, "codex-thread", "working", None, &alive);
        assert_eq!(watched(&effects), kept, "{alive:?}");
        assert_eq!(
            (reply.status, reply.pid),
            (Status::Working, pid),
            "{alive:?}"
        );
    }
    // It was closed because the terminal had gone.
    for kind in [None, Some(EventKind::Detached)] {
        let mut core = CoreHarness::new();
        shared(&mut core, EventKind::SessionStarted);
        match kind {
            None => drop(core.wait(10).take(Input::ProcessExited(TERMINAL))),
            Some(kind) => shared(&mut core, kind),
        }
        assert_eq!(core.status("codex-thread"), Status::Closed);
        let (effects, reply) = set(&mut core, "codex-thread", "working", None, &[SERVER]);
        assert_eq!(
            (reply.status, core.status("codex-thread")),
            (Status::Working, Status::Working)
        );
        assert_eq!(watched(&effects), [SERVER]);
    }
}

/// A session that was stopped when it was closed is not shown as stopped.
#[test]
fn a_session_that_is_set_again_is_not_stopped() {
    let mut core = CoreHarness::new();
    set(&mut core, "job", "working", Some(JOB), &[]);
    core.take(Input::ProcessesSeen(vec![(JOB, true)]));
    assert!(core.get("job").stopped_since.is_some());
    set(&mut core, "job", "closed", None, &[]);
    let (_, reply) = set(&mut core, "job", "working", None, &[JOB]);
    assert_eq!((reply.stopped_since, reply.attention), (None, false));
}

/// A killed agent leaves its entry behind; read again, that does not open what a script has closed.
#[test]
fn the_entry_of_a_process_that_has_ended_does_not_open_a_session() {
    for alive in [false, true] {
        let mut core = CoreHarness::new();
        core.hook(&event("SessionStart"));
        set(&mut core, KEY, "closed", None, &[]);
        let at = core.wait(1000).now.unix_ms;
        core.take(Input::RegistryChanged(Box::new(RegistryUpdate {
            timing: crate::agents::DEFAULT.timing,
            agent: "claude-code".into(),
            process: ReportedProcess {
                pid: CLAUDE.pid,
                start: Some(CLAUDE.start),
                namespace: Some(NAMESPACE),
            },
            alive,
            tty: None,
            account: None,
            entry: Some(RegistryEntry {
                session_id: Some("one".into()),
                cwd: None,
                title: None,
                attended: None,
                started_at: None,
                updated_at: at,
                status: Some(RegistryStatus::Busy),
                status_at: at,
            }),
        })));
        assert_eq!(core.status(KEY) != Status::Closed, alive);
    }
}

#[test]
fn a_scripts_job_ends_with_its_process() {
    let mut core = CoreHarness::new();
    set(&mut core, "job", "working", Some(JOB), &[]);
    core.take(Input::ProcessExited(JOB));
    let reason = |core: &CoreHarness, key: &str| {
        let reason = core.get(key).end_reason;
        reason.map(|reason| reason.as_str().to_owned())
    };
    assert_eq!(reason(&core, "job").as_deref(), Some("exited"));
    // An agent's session with a script's report is still an agent's.
    core.hook(&event("UserPromptSubmit"));
    set(&mut core, KEY, "working", None, &[]);
    core.take(Input::ProcessExited(CLAUDE));
    assert_eq!(reason(&core, KEY).as_deref(), Some("crashed"));
}
