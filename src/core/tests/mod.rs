//! The core in virtual time: the status rules as tables, the lifecycle, and properties over any sequence of inputs.

mod brief;
mod clock;
mod fusion;
mod idle;
mod names;
mod properties;
mod quiet;
mod registry;
mod reminders;
mod reopened;
mod rules;
mod saved;
mod seen;
mod sessions;
mod since;
mod usage;

use serde_json::{Value, json};

use super::testing::{EPOCH, NAMESPACE, START};
use super::*;
use crate::agents;
use crate::codec::Message;
use crate::os::process::ProcessId;
use crate::protocol::{Changes, SessionRecord, Status, SubscribeParams};

const MINUTE: u64 = 60_000;

/// The agent's process in the tables.
const CLAUDE: ProcessId = ProcessId {
    pid: 855,
    start: 304_111,
};

const KEY: &str = "claude-code-855-304111";

fn settings() -> Settings {
    Settings {
        idle_timeout_ms: Some(60 * MINUTE),
        history: 20,
        record_prompts: true,
        persist: false,
        usage_interval_ms: None,
        attention: AttentionRules {
            background_shell: true,
            quiet: false,
        },
        quiet_after_ms: None,
        reminders: testing::NO_REMINDERS,
    }
}

/// A core, a clock and a client or two.
struct CoreHarness {
    core: Core,
    now: Now,
}

impl CoreHarness {
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: Settings) -> Self {
        Self {
            core: Core::new(testing::info(), settings, START),
            now: START,
        }
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        self.now.unix_ms += ms;
        self.now.uptime_ms += ms;
        self
    }

    /// A turn of the loop with one input: what it causes, then what it publishes.
    fn take(&mut self, input: Input) -> Vec<Effect> {
        let mut effects: Vec<_> = self.core.handle(input, self.now).collect();
        effects.extend(self.core.end_turn());
        effects
    }

    /// Sends a line as client 1 and gives all that comes of it.
    fn line(&mut self, line: &str) -> Vec<Effect> {
        let decoded = codec::decode(line.as_bytes());
        let client = ClientId(1);
        let id = decoded.id;
        self.take(match decoded.message {
            Message::Report(params) => Input::Reported {
                client,
                id,
                report: Box::new(agents::interpret(*params)),
            },
            Message::Set(params) => Input::Set {
                client,
                id,
                params,
                process: None,
                running: Vec::new(),
            },
            Message::Status => Input::StatusAsked {
                client,
                id,
                rss_bytes: Some(1),
            },
            Message::Request(request) => Input::Request {
                client,
                id,
                request,
            },
            Message::Refused(error) => Input::Refused { client, id, error },
        })
    }

    /// Asks as client 1 and gives the answer: its `result`, or its `error`.
    #[track_caller]
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let effects = self.line(&request.to_string());
        let is_sent = |effect: &&Effect| {
            matches!(
                effect,
                Effect::Reply(..) | Effect::Broadcast(_) | Effect::BroadcastTo(..)
            )
        };
        let Some(Effect::Reply(ClientId(1), line)) = effects.iter().find(is_sent) else {
            panic!("{method}: no answer before a notification in {effects:?}");
        };
        let answer: Value = serde_json::from_slice(line).unwrap();
        answer.get("result").unwrap_or(&answer["error"]).clone()
    }

    /// A hook of Claude Code reports `payload`, stamped now.
    fn hook(&mut self, payload: &Value) -> Vec<Effect> {
        let now = self.now.unix_ms;
        self.hook_at(now, true, payload)
    }

    fn hook_at(&mut self, at: u64, attended: bool, payload: &Value) -> Vec<Effect> {
        self.report(&json!({
            "agent": "claude-code", "at": at, "pid": CLAUDE.pid, "process_start": CLAUDE.start,
            "pid_namespace": NAMESPACE, "attended": attended, "event": payload,
        }))
    }

    fn report(&mut self, params: &Value) -> Vec<Effect> {
        let line = json!({"jsonrpc": "2.0", "method": "session.report", "params": params});
        self.line(&line.to_string())
    }

    #[track_caller]
    fn get(&self, key: &str) -> SessionRecord<'_> {
        let session = self.core.sessions.get(key);
        session
            .unwrap_or_else(|| panic!("no session {key}"))
            .record(self.core.settings.attention)
    }

    fn status(&self, key: &str) -> Status {
        self.get(key).status
    }

    /// A session as a table shows it: `waiting/permission! +1 subagent +2 shells: reason`.
    #[track_caller]
    fn shown(&self, key: &str) -> String {
        let session = self.get(key);
        let mut text = session.status.as_str().to_owned();
        if let Some(what) = session.waiting_for {
            text += "/";
            text += what.as_str();
        }
        if session.attention {
            text += "!";
        }
        for (count, word) in [
            (session.subagents, "subagent"),
            (session.background, "shell"),
        ] {
            if count > 0 {
                text = format!("{text} +{count} {word}");
            }
        }
        if let Some(reason) = &session.reason {
            text += ": ";
            text += reason;
        }
        text
    }
}

/// The names of the effects, for what must come of an input and in which order.
fn names(effects: &[Effect]) -> Vec<&'static str> {
    let name = |effect: &Effect| match effect {
        Effect::Reply(..) => "reply",
        Effect::Subscribe(..) => "subscribe",
        Effect::Broadcast(_) | Effect::BroadcastTo(..) => "broadcast",
        Effect::Announce(_) => "announce",
        Effect::Disconnect(_) => "disconnect",
        Effect::Watch(_) => "watch",
        Effect::Unwatch(_) => "unwatch",
        Effect::Inspect(_) => "inspect",
        Effect::WatchRegistry(..) => "watch a registry",
        Effect::ScanRegistries => "scan",
        Effect::Reload => "reload",
        Effect::FetchLimits(_) => "fetch",
        Effect::KillFetch => "kill the fetch",
        Effect::Remind(_) => "remind",
        Effect::KillReminder => "kill the reminder",
        Effect::Drain { for_good: true } => "drain for good",
        Effect::Drain { for_good: false } => "drain",
        Effect::Resume => "resume",
        Effect::Exit { flush: true } => "exit",
        Effect::Exit { flush: false } => "exit at once",
    };
    effects.iter().map(name).collect()
}
