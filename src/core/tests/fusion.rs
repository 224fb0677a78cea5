//! One status from three sources: a model of an agent produces the evidence of its hooks, its registry and the process
//! table, each with its own delay; after each step the session must have the status of the model.
//!
//! The agent's habits are those observed with Claude Code 2.1.330. What differs from run to run, and here from case to
//! case, is when each piece of evidence arrives: hooks up to 100 ms after their stamp, the registry up to 120 ms.

use crate::protocol::EndReason;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CLAUDE, CoreHarness, KEY, NAMESPACE};
use crate::agents;
use crate::core::{Effect, Input};
use crate::event::RegistryUpdate;

/// What a person does, or has the agent do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// A prompt, some tools that need no leave, an answer.
    Turn(u8),
    /// A tool that needs leave: what it is, whether a request is sent, and what the person says.
    Ask(Tool, Announced, Answer),
    /// Esc while it streams.
    Interrupt,
    /// Esc while a tool runs.
    InterruptTool,
    /// A second prompt while the first is answered.
    Queue,
    /// A subagent that outlives the main turn; it may ask for leave, too.
    Subagent(Option<Answer>),
    /// A background shell that ends by itself.
    Shell,
    /// The service fails.
    Fail,
    /// A menu is opened and left.
    Menu,
    /// A local command that takes a moment only.
    Flash,
    /// A shell command of the person's own, long enough to be seen.
    Bang,
    Clear,
    /// Another Stop hook makes the agent continue.
    StopBlocked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Bash,
    Question,
    Plan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
    /// As a rule.
    ByRequest,
    /// In auto mode a dialog may come without a request.
    ByRegistryOnly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// By another hook: no dialog ever opens.
    Hook,
}

fn act() -> impl Strategy<Value = Act> {
    let tool = prop::sample::select(vec![Tool::Bash, Tool::Question, Tool::Plan]);
    let announced = prop::sample::select(vec![Announced::ByRequest, Announced::ByRegistryOnly]);
    let answer = prop::sample::select(vec![Answer::Yes, Answer::No, Answer::Hook]);
    let sub_answer = prop::option::of(prop::sample::select(vec![Answer::Yes, Answer::No]));
    prop_oneof![
        2 => (0..3_u8).prop_map(Act::Turn),
        5 => (tool, announced, answer).prop_map(|(tool, announced, answer)| Act::Ask(tool, announced, answer)),
        1 => Just(Act::Interrupt),
        1 => Just(Act::InterruptTool),
        1 => Just(Act::Queue),
        2 => sub_answer.prop_map(Act::Subagent),
        1 => Just(Act::Shell),
        1 => Just(Act::Fail),
        1 => Just(Act::Menu),
        1 => Just(Act::Flash),
        1 => Just(Act::Bang),
        1 => Just(Act::Clear),
        1 => Just(Act::StopBlocked),
    ]
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Goodbye,
    Killed,
}

/// Which sources report at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sources {
    All,
    /// The session began before the hooks were installed.
    RegistryOnly,
}

#[derive(Debug, Clone)]
enum Evidence {
    Hook(u64, Value),
    Registry(Option<Value>),
    Exit,
    /// Enough time has passed for everything to be known: what is shown.
    Check(&'static str),
}

/// The agent: records the evidence that it would produce.
struct Agent {
    /// When it is, in ms since it began.
    now: u64,
    session: u32,
    prompt: u32,
    seed: u64,
    evidence: Vec<(u64, Evidence)>,
}

impl Agent {
    fn new(seed: u64) -> Self {
        let mut agent = Self {
            now: 1000,
            session: 1,
            prompt: 0,
            seed,
            evidence: Vec::new(),
        };
        agent.registry("idle", None);
        agent.hook("SessionStart", &json!({"source": "startup"}));
        agent.check("idle");
        agent
    }

    /// A number below `limit`, the next of a sequence.
    fn chance(&mut self, limit: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % limit
    }

    fn wait(&mut self, least: u64, more: u64) {
        self.now += least + self.chance(more);
    }

    /// A hook fires: its process is there a moment later, and its report is read some time after.
    fn hook(&mut self, name: &str, fields: &Value) {
        let mut payload = json!({"hook_event_name": name, "session_id": self.session.to_string()});
        payload["prompt_id"] = format!("p{}", self.prompt).into();
        for (field, value) in fields.as_object().unwrap() {
            payload[field] = value.clone();
        }
        let at = self.now + self.chance(4);
        let arrival = at + self.chance(100);
        self.evidence.push((arrival, Evidence::Hook(at, payload)));
        // The agent waits for it.
        self.now = at + 3;
    }

    /// The registry's own word, which it writes a moment after.
    fn registry(&mut self, status: &str, waiting_for: Option<&str>) {
        let at = self.now + self.chance(60);
        self.registry_at(at, status, waiting_for);
    }

    fn registry_at(&mut self, at: u64, status: &str, waiting_for: Option<&str>) {
        let entry = json!({
            "pid": CLAUDE.pid, "procStart": CLAUDE.start.to_string(), "sessionId": self.session.to_string(),
            "pidDomain": format!("linux:0:pid:[{NAMESPACE}]"), "entrypoint": "cli", "startedAt": 1,
            "status": status, "waitingFor": waiting_for, "statusUpdatedAt": at, "updatedAt": at,
        });
        let arrival = at + self.chance(60);
        // A file holds its last state only: what is read later is not older.
        let last = self.evidence.iter().rev();
        let last = last
            .filter(|(_, evidence)| matches!(evidence, Evidence::Registry(_)))
            .map(|(at, _)| *at)
            .max()
            .unwrap_or(0);
        let evidence = Evidence::Registry(Some(entry));
        self.evidence.push((arrival.max(last + 1), evidence));
    }

    /// The status that must be shown once all sources have reported.
    fn check(&mut self, shown: &'static str) {
        self.now += 1500;
        self.evidence.push((self.now, Evidence::Check(shown)));
        self.now += 100;
    }

    fn prompt(&mut self) {
        self.prompt += 1;
        self.registry("busy", None);
        self.hook("UserPromptSubmit", &json!({"prompt": "do it"}));
        self.wait(80, 80);
    }

    fn tool(&mut self, name: &str) {
        self.hook("PreToolUse", &json!({"tool_name": name}));
        self.wait(20, 200);
    }

    fn tool_done(&mut self, name: &str) {
        self.hook("PostToolUse", &json!({"tool_name": name}));
        self.hook("PostToolBatch", &json!({}));
        self.wait(60, 60);
    }

    fn stop(&mut self, tasks: &Value) {
        self.hook("Stop", &json!({"background_tasks": tasks}));
    }

    fn idle(&mut self) {
        self.wait(30, 30);
        self.registry("idle", None);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Turn(tools) => {
                self.prompt();
                for _ in 0..tools {
                    self.tool("Read");
                    self.tool_done("Read");
                }
                self.check("working");
                self.stop(&json!([]));
                self.idle();
                self.check("idle!");
            }
            Act::Ask(tool, announced, answer) => self.ask(tool, announced, answer),
            Act::Interrupt => {
                self.prompt();
                self.wait(200, 2000);
                self.registry("idle", None);
                self.check("idle");
            }
            Act::InterruptTool => {
                self.prompt();
                self.tool("Bash");
                self.wait(200, 2000);
                self.registry("idle", None);
                self.check("idle");
            }
            Act::Queue => {
                self.prompt();
                self.check("working");
                self.hook("UserPromptSubmit", &json!({"prompt": "and this"}));
                self.check("working");
                self.stop(&json!([]));
                self.prompt += 1;
                self.flash_idle();
                self.check("working");
                self.stop(&json!([]));
                self.idle();
                self.check("idle!");
            }
            Act::Subagent(asks) => self.subagent(asks),
            Act::Shell => {
                self.prompt();
                self.tool("Bash");
                self.tool_done("Bash");
                self.stop(&json!([{"id": "b1", "type": "shell", "status": "running"}]));
                self.wait(30, 30);
                self.registry("shell", None);
                self.check("idle! +1 shell");
                self.report_task();
            }
            Act::Fail => {
                self.prompt();
                let (before, after) = (self.chance(2) == 0, self.chance(50));
                if before {
                    self.registry("idle", None);
                }
                self.hook("StopFailure", &json!({"error": "server_error"}));
                self.now += after;
                if !before {
                    self.registry("idle", None);
                }
                self.check("error!");
            }
            Act::Menu => {
                self.registry("waiting", Some("dialog open"));
                self.check("waiting/dialog!");
                self.registry("idle", None);
                self.check("as before, and looked at");
            }
            Act::Flash => {
                let at = self.now;
                self.registry_at(at, "busy", None);
                self.registry_at(at + 30, "idle", None);
                self.check("as before, and looked at");
            }
            Act::Bang => self.bang(),
            Act::Clear => {
                self.registry("busy", None);
                self.hook("SessionEnd", &json!({"reason": "clear"}));
                self.session += 1;
                self.wait(10, 20);
                self.hook("SessionStart", &json!({"source": "clear"}));
                self.now += 60;
                self.registry("idle", None);
                self.check("idle");
            }
            Act::StopBlocked => {
                self.prompt();
                self.stop(&json!([]));
                self.check("working");
                self.stop(&json!([]));
                self.idle();
                self.check("idle!");
            }
        }
    }

    fn bang(&mut self) {
        self.registry("busy", None);
        self.check("working");
        if self.chance(2) == 0 {
            self.stop(&json!([]));
            self.idle();
            self.check("idle!");
        } else {
            // Esc.
            self.registry("idle", None);
            self.check("idle");
        }
    }

    fn ask(&mut self, tool: Tool, announced: Announced, answer: Answer) {
        let (name, waiting, shown) = match tool {
            Tool::Bash => ("Bash", "permission prompt", "waiting/permission!"),
            Tool::Question => ("AskUserQuestion", "input needed", "waiting/answer!"),
            Tool::Plan => ("ExitPlanMode", "permission prompt", "waiting/plan!"),
        };
        self.prompt();
        self.tool(name);
        if announced == Announced::ByRequest || answer == Answer::Hook {
            self.hook("PermissionRequest", &json!({"tool_name": name}));
        }
        if answer == Answer::Hook {
            self.check("working");
        } else {
            self.registry("waiting", Some(waiting));
            self.check(shown);
            self.now += 5000;
            let reminder = json!({"notification_type": "permission_prompt"});
            if self.chance(2) == 0 {
                self.hook("Notification", &reminder);
                self.check(shown);
            }
            if answer == Answer::No {
                self.registry("idle", None);
                self.check("idle");
                return;
            }
            self.registry("busy", None);
            self.now += 70;
            if self.chance(2) == 0 {
                // About what has just been answered.
                self.hook("Notification", &reminder);
            }
            self.check("working");
        }
        self.tool_done(name);
        self.check("working");
        self.stop(&json!([]));
        self.idle();
        self.check("idle!");
    }

    fn subagent(&mut self, asks: Option<Answer>) {
        let of = json!({"agent_id": "a1"});
        let with = |fields: Value| {
            let mut fields = fields;
            fields["agent_id"] = "a1".into();
            fields
        };
        self.prompt();
        self.tool("Agent");
        self.hook("SubagentStart", &of);
        self.tool_done("Agent");
        self.stop(&json!([{"id": "a1", "type": "subagent", "status": "running"}]));
        self.check("working +1 subagent");
        self.hook("PreToolUse", &with(json!({"tool_name": "Bash"})));
        if let Some(answer) = asks {
            self.hook("PermissionRequest", &with(json!({"tool_name": "Bash"})));
            self.registry("waiting", Some("permission prompt"));
            self.check("waiting/permission! +1 subagent");
            self.registry("busy", None);
            self.check("working +1 subagent");
            if answer == Answer::Yes {
                self.hook("PostToolUse", &with(json!({"tool_name": "Bash"})));
            }
        } else {
            self.hook("PostToolUse", &with(json!({"tool_name": "Bash"})));
        }
        self.hook("PostToolBatch", &of);
        self.wait(50, 500);
        self.hook("SubagentStop", &of);
        self.report_task();
    }

    /// A background task has ended, and the agent prompts itself.
    fn report_task(&mut self) {
        self.prompt += 1;
        self.flash_idle();
        let notice = json!({"prompt": "<task-notification>\ndone"});
        self.hook("UserPromptSubmit", &notice);
        self.check("working");
        self.stop(&json!([]));
        self.idle();
        self.check("idle!");
    }

    /// Idle for a moment between two turns.
    fn flash_idle(&mut self) {
        let at = self.now + self.chance(30);
        let length = 10 + self.chance(20);
        self.registry_at(at, "idle", None);
        self.registry_at(at + length, "busy", None);
    }

    fn end(&mut self, end: End) {
        if end == End::Goodbye {
            let last = self.evidence.iter().map(|(at, _)| *at).max().unwrap_or(0);
            let gone = self.now.max(last) + 1;
            self.evidence.push((gone, Evidence::Registry(None)));
            self.hook("SessionEnd", &json!({"reason": "prompt_input_exit"}));
            self.now += 60;
        }
        let at = self.now + self.chance(20);
        self.evidence.push((at, Evidence::Exit));
        self.check("closed");
    }
}

/// Plays what the agent has written down, in the order of its arrival, with the timer of an honest shell.
fn play(mut agent: Agent, sources: Sources) -> CoreHarness {
    let mut core = CoreHarness::new();
    core.wait(10_000);
    let epoch = core.now.unix_ms;
    agent.evidence.sort_by_key(|(at, _)| *at);
    // As it was when it last rested.
    let mut rest = String::from("idle");
    for (arrival, evidence) in agent.evidence {
        let until = epoch + arrival;
        while let Some(due) = core.core.timers.next() {
            let moment = core.now.unix_ms + due.saturating_sub(core.now.uptime_ms);
            if moment > until {
                break;
            }
            core.wait(moment - core.now.unix_ms);
            core.take(Input::Timeout);
        }
        core.wait(until - core.now.unix_ms);
        match evidence {
            Evidence::Hook(_, _) if sources == Sources::RegistryOnly => {}
            Evidence::Hook(at, payload) => drop(core.hook_at(epoch + at, true, &payload)),
            Evidence::Registry(entry) => {
                core.take(Input::RegistryChanged(Box::new(sighting(entry, epoch))));
            }
            Evidence::Exit => {
                let effects = core.take(Input::ProcessExited(CLAUDE));
                assert!(matches!(effects.first(), None | Some(Effect::Unwatch(_))));
            }
            Evidence::Check(expected) => {
                let (mut expected, mut shown) =
                    (expected.to_owned(), without_reason(&core.shown(KEY)));
                if expected == "as before, and looked at" {
                    expected = rest.replace("idle!", "idle");
                }
                if sources == Sources::RegistryOnly {
                    // The registry alone does not show who ended a turn, nor a failure, nor a number.
                    (expected, shown) = (coarse(&expected), coarse(&shown));
                }
                assert_eq!(shown, expected, "{}", explained(&mut core));
                if !shown.starts_with('w') {
                    rest = shown;
                }
            }
        }
    }
    core
}

fn sighting(entry: Option<Value>, epoch: u64) -> RegistryUpdate {
    let read = entry.map(|mut entry| {
        for stamp in ["startedAt", "statusUpdatedAt", "updatedAt"] {
            entry[stamp] = (epoch + entry[stamp].as_u64().unwrap()).into();
        }
        let registry = agents::DEFAULT.registry.as_ref().unwrap();
        (registry.read)(entry.to_string().as_bytes(), None).unwrap()
    });
    RegistryUpdate {
        timing: agents::DEFAULT.timing,
        agent: "claude-code".into(),
        process: crate::event::ReportedProcess {
            pid: CLAUDE.pid,
            start: Some(CLAUDE.start),
            namespace: Some(NAMESPACE),
        },
        alive: true,
        tty: None,
        entry: read.map(|read| read.entry),
    }
}

fn without_reason(shown: &str) -> String {
    shown.split(": ").next().unwrap_or(shown).to_owned()
}

fn coarse(shown: &str) -> String {
    let shown = shown.split(" +").next().unwrap_or(shown);
    match shown {
        "idle!" | "error!" => "idle".to_owned(),
        "waiting/plan!" => "waiting/permission!".to_owned(),
        shown => shown.to_owned(),
    }
}

fn explained(core: &mut CoreHarness) -> String {
    let answer = core.ask("session.explain", &json!({"session": KEY}));
    let steps = answer["steps"].as_array().unwrap();
    let lines = steps.iter().map(|step| {
        format!(
            "\n{} {} {} {} -> {}",
            step["at"], step["kind"], step["what"], step["rule"], step["status"]
        )
    });
    lines.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whenever each piece of evidence arrives, the session is shown as the person at that terminal would say.
    #[test]
    fn any_interleaving_comes_to_the_same(
        seed in any::<u64>(),
        acts in prop::collection::vec(act(), 1..8),
        end in prop::sample::select(vec![End::Goodbye, End::Killed]),
        sources in prop::sample::select(vec![Sources::All, Sources::All, Sources::RegistryOnly]),
    ) {
        let mut agent = Agent::new(seed);
        for act in acts {
            agent.act(act);
        }
        agent.end(end);
        let core = play(agent, sources);
        let session = core.get(KEY);
        let reason = match (end, sources) {
            (End::Killed, _) => "crashed",
            (End::Goodbye, Sources::All) => "prompt_input_exit",
            (End::Goodbye, Sources::RegistryOnly) => "exited",
        };
        prop_assert_eq!(session.end_reason.as_ref().map(EndReason::as_str), Some(reason));
    }
}
