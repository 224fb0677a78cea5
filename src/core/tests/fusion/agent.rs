//! The model of an agent: writes down the evidence that the agent would produce, and what must be shown.

use serde_json::{Value, json};

use super::acts::End;
use crate::core::tests::{CLAUDE, NAMESPACE};

#[derive(Debug, Clone)]
pub(super) enum Evidence {
    Hook(u64, Value),
    Registry(Option<Value>),
    Exit,
    /// A look at the process shows whether it is stopped.
    Seen {
        stopped: bool,
    },
    /// The wall clock is set by so many ms. The loop notices at once if the flag is set, else with the next evidence.
    ClockSet(i64, bool),
    /// Enough time has passed for everything to be known: what is shown.
    Check(&'static str),
}

/// How the sources reach the daemon.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    /// How late what a hook or the registry has to say may arrive, in ms.
    pub(super) hook_ms: u64,
    pub(super) registry_ms: u64,
    /// The hooks are registered twice.
    pub(super) twice: bool,
}

/// The agent: records the evidence that it would produce.
pub(super) struct Agent {
    /// When it is, in ms since it began.
    pub(super) now: u64,
    pub(super) session: u32,
    pub(super) prompt: u32,
    pub(super) seed: u64,
    pub(super) delivery: Delivery,
    /// The hooks are switched off.
    pub(super) is_silent: bool,
    pub(super) evidence: Vec<(u64, Evidence)>,
}

impl Agent {
    pub(super) fn new(seed: u64, delivery: Delivery) -> Self {
        let mut agent = Self {
            now: 1000,
            session: 1,
            prompt: 0,
            seed,
            delivery,
            is_silent: false,
            evidence: Vec::new(),
        };
        agent.registry("idle", None);
        agent.hook("SessionStart", &json!({"source": "startup"}));
        agent.check("idle");
        agent
    }

    /// A number below `limit`, the next of a sequence.
    pub(super) fn chance(&mut self, limit: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % limit
    }

    pub(super) fn wait(&mut self, least: u64, more: u64) {
        self.now += least + self.chance(more);
    }

    /// A hook fires: its process is there a moment later, and its report is read some time after.
    pub(super) fn hook(&mut self, name: &str, fields: &Value) {
        let mut payload = json!({"hook_event_name": name, "session_id": self.session.to_string()});
        payload["prompt_id"] = format!("p{}", self.prompt).into();
        for (field, value) in fields.as_object().unwrap() {
            payload[field] = value.clone();
        }
        if self.is_silent {
            return;
        }
        let at = self.now + self.chance(4);
        if self.delivery.twice {
            let at = at + self.chance(6);
            let arrival = at + self.chance(self.delivery.hook_ms);
            let again = Evidence::Hook(at, payload.clone());
            self.evidence.push((arrival, again));
        }
        let arrival = at + self.chance(self.delivery.hook_ms);
        self.evidence.push((arrival, Evidence::Hook(at, payload)));
        // The agent waits for it.
        self.now = at + 6;
    }

    /// The registry's own word, which it writes a moment after.
    pub(super) fn registry(&mut self, status: &str, waiting_for: Option<&str>) {
        let at = self.now + self.chance(60);
        self.registry_at(at, status, waiting_for);
    }

    pub(super) fn registry_at(&mut self, at: u64, status: &str, waiting_for: Option<&str>) {
        let entry = json!({
            "pid": CLAUDE.pid, "procStart": CLAUDE.start.to_string(), "sessionId": self.session.to_string(),
            "pidDomain": format!("linux:0:pid:[{NAMESPACE}]"), "entrypoint": "cli", "startedAt": 1,
            "status": status, "waitingFor": waiting_for, "statusUpdatedAt": at, "updatedAt": at,
        });
        let arrival = at + self.chance(self.delivery.registry_ms);
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
    pub(super) fn check(&mut self, shown: &'static str) {
        self.now += 1500;
        self.evidence.push((self.now, Evidence::Check(shown)));
        self.now += 100;
    }

    pub(super) fn prompt(&mut self) {
        self.prompt += 1;
        self.registry("busy", None);
        self.hook("UserPromptSubmit", &json!({"prompt": "do it"}));
        self.wait(80, 80);
    }

    pub(super) fn tool(&mut self, name: &str) {
        self.hook("PreToolUse", &json!({"tool_name": name}));
        self.wait(20, 200);
    }

    pub(super) fn tool_done(&mut self, name: &str) {
        self.hook("PostToolUse", &json!({"tool_name": name}));
        self.hook("PostToolBatch", &json!({}));
        self.wait(60, 60);
    }

    pub(super) fn stop(&mut self, tasks: &Value) {
        self.hook("Stop", &json!({"background_tasks": tasks}));
    }

    pub(super) fn idle(&mut self) {
        self.wait(30, 30);
        self.registry("idle", None);
    }

    /// Each time that the registry is read, its file holds what was written last.
    pub(super) fn read_registry(&mut self) {
        let at = |entry: &Value| entry["statusUpdatedAt"].as_u64().unwrap();
        let entries = self
            .evidence
            .iter()
            .filter_map(|(_, evidence)| match evidence {
                Evidence::Registry(Some(entry)) => Some((at(entry), entry.clone())),
                _ => None,
            });
        let mut written: Vec<_> = entries.collect();
        written.sort_by_key(|(at, _)| *at);
        for (arrival, evidence) in &mut self.evidence {
            if let Evidence::Registry(Some(entry)) = evidence {
                let last = written.iter().rfind(|(at, _)| at <= arrival).unwrap();
                entry.clone_from(&last.1);
            }
        }
    }

    pub(super) fn end(&mut self, end: End) {
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
