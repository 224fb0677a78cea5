//! What Codex CLI's app server says to its clients, as observed with 0.171.0: when a person has answered.
//!
//! The app server runs the conversations of all terminals, and its control socket is its own protocol (WebSocket,
//! JSON-RPC), which is experimental. A client that introduces itself is named in the user agent that Codex sends to its
//! service from then on. So this one introduces itself as the terminals do, which leaves that as it was, and only once a
//! terminal is there. It loads no conversation and asks for nothing.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::super::allow_list::allow_list;
use super::super::files::{FileRequest, RunningProcess};
use super::super::tolerant::{Part, Text, object};
use crate::event::TurnEvent;
use crate::protocol::WaitingFor;

/// Below the configuration directory.
const SOCKET: &str = "app-server-control/app-server-control.sock";

/// The name by which Codex CLI's terminals introduce themselves.
const TERMINAL: &str = "codex-tui";

/// The most conversations that are kept. If there is one more, the oldest is dropped.
const MAX_THREADS: usize = 256;

allow_list! {
    /// A message.
    Message {
        method: Text<64>,
        params: Part<Params>,
    }

    Params {
        thread as "threadId": Text<64>,
        status: Part<Status>,
    }

    Status {
        kind as "type": Text<32>,
        asks as "activeFlags": Flags,
    }
}

/// What a status waits for, if it waits.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Flags(Option<WaitingFor>);

impl<'de> Deserialize<'de> for Flags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let names: Vec<Box<str>> = serde_json::from_str(raw.get()).unwrap_or_default();
        let has = |flag: &str| names.iter().any(|name| **name == *flag);
        Ok(Self(if has("waitingOnApproval") {
            Some(WaitingFor::Permission)
        } else {
            has("waitingOnUserInput").then_some(WaitingFor::Answer)
        }))
    }
}

/// What the app servers have said.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// The sockets that are connected, or will be.
    sockets: Vec<PathBuf>,
    /// The conversations, those of subagents included, in which a dialog is open.
    waiting: Vec<Box<str>>,
    /// A subagent's conversation, and the one that has spawned it.
    subagents: Vec<(Box<str>, Box<str>)>,
}

/// What a message says of a conversation.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// A terminal has opened it.
    Opened(Box<str>),
    /// Something has happened in it.
    Turn {
        thread: Box<str>,
        subagent: Option<Box<str>>,
        /// In words, for the evidence.
        name: &'static str,
        event: TurnEvent,
    },
}

impl Control {
    /// Connects to the app server that uses this configuration directory.
    pub(super) fn connect(
        &mut self,
        config_dir: &Path,
        engine: &RunningProcess,
    ) -> Option<FileRequest> {
        let path = config_dir.join(SOCKET);
        if self.sockets.contains(&path) {
            return None;
        }
        let greeting = greeting(engine)?;
        self.sockets.push(path.clone());
        Some(FileRequest::Connect { path, greeting })
    }

    /// True if there is no connection yet.
    pub(super) fn lacks(&self, config_dir: &Path) -> bool {
        !self.sockets.contains(&config_dir.join(SOCKET))
    }

    pub(super) fn disconnected(&mut self, path: &Path) {
        self.sockets.retain(|socket| socket != path);
        self.waiting.clear();
    }

    /// No terminal uses this configuration directory any more.
    pub(super) fn leave(&mut self, config_dir: &Path) -> Option<FileRequest> {
        let path = config_dir.join(SOCKET);
        let is_connected = self.sockets.contains(&path);
        self.disconnected(&path);
        is_connected.then_some(FileRequest::Forget(path))
    }

    /// A dialog was open in this conversation when an earlier daemon ended.
    pub(super) fn waits(&mut self, thread: &str) {
        push(&mut self.waiting, thread.into());
    }

    /// A hook has named a subagent of this conversation.
    pub(super) fn has_subagent(&mut self, thread: &str, subagent: &str) {
        if !self.subagents.iter().any(|(known, _)| **known == *subagent) {
            push(&mut self.subagents, (subagent.into(), thread.into()));
        }
    }

    /// What a message says that neither hooks nor rollouts do.
    pub(super) fn read(&mut self, text: &[u8]) -> Option<Said> {
        let message: Message = object(text).ok()?;
        let params = &message.params.0;
        let (id, status) = (params.thread.get()?, &params.status.0);
        match message.method.get()? {
            "thread/status/changed" => {}
            // The terminal asks for it when it opens a conversation that exists, and this is what all clients get of that.
            "thread/goal/cleared" => return Some(Said::Opened(id.into())),
            _ => return None,
        }
        let waited = self.waiting.iter().any(|one| **one == *id);
        self.waiting.retain(|one| **one != *id);
        let subagent = self
            .subagents
            .iter()
            .find(|(subagent, _)| **subagent == *id);
        let said = |name, event| Said::Turn {
            thread: subagent.map_or_else(|| id.into(), |(_, thread)| thread.clone()),
            subagent: subagent.map(|(subagent, _)| subagent.clone()),
            name,
            event,
        };
        let said = match status.asks.0 {
            Some(waiting_for) => Some(said(
                "control socket: waiting",
                TurnEvent::AskReminded {
                    waiting_for: Some(waiting_for),
                },
            )),
            None if waited && status.kind.get() == Some("active") => Some(said(
                "control socket: answered",
                TurnEvent::Answered { id: None },
            )),
            None => None,
        };
        if status.asks.0.is_some() {
            push(&mut self.waiting, id.into());
        }
        said
    }
}

fn push<T>(list: &mut Vec<T>, one: T) {
    if list.len() == MAX_THREADS {
        list.remove(0);
    }
    list.push(one);
}

/// What is sent to this app server first, as its terminals do; `None` if their version is not known.
fn greeting(engine: &RunningProcess) -> Option<Vec<String>> {
    let version = version(engine.arguments.first()?)?;
    let initialize = json!({"id": 1, "method": "initialize", "params": {
        "clientInfo": {"name": TERMINAL, "title": "agent-console", "version": version},
        "capabilities": {"experimentalApi": true},
    }});
    let initialized = json!({"method": "initialized"});
    Some(vec![initialize.to_string(), initialized.to_string()])
}

/// The version in the path of an app server's program, such as `…/releases/0.171.0-x86_64-unknown-linux-musl/bin/codex`.
fn version(program: &str) -> Option<&str> {
    let (_, release) = program.split_once("/app-server-daemon/releases/")?;
    let release = release.split('/').next()?;
    let end = ["-x86_64-", "-aarch64-"]
        .iter()
        .find_map(|architecture| release.find(architecture));
    release.get(..end?).filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_release() {
        let path = |release: &str| {
            format!("/h/.codex/packages/app-server-daemon/releases/{release}/bin/codex")
        };
        let release = path("0.171.0-x86_64-unknown-linux-musl");
        assert_eq!(version(&release), Some("0.171.0"));
        let release = path("0.172.0-alpha.3-aarch64-apple-darwin");
        assert_eq!(version(&release), Some("0.172.0-alpha.3"));
        assert_eq!(version("/usr/bin/codex"), None);
    }

    fn turn(said: Option<Said>) -> (Box<str>, Option<Box<str>>, TurnEvent) {
        match said {
            Some(Said::Turn {
                thread,
                subagent,
                event,
                ..
            }) => (thread, subagent, event),
            other => panic!("{other:?}"),
        }
    }

    fn status(thread: &str, status: &serde_json::Value) -> Vec<u8> {
        let params = json!({"threadId": thread, "status": status});
        json!({"method": "thread/status/changed", "params": params})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn an_answer_is_the_end_of_an_open_dialog() {
        let waits = json!({"type": "active", "activeFlags": ["waitingOnApproval"]});
        let runs = json!({"type": "active", "activeFlags": []});
        let mut control = Control::default();
        assert_eq!(control.read(&status("t", &runs)), None);
        let asked = turn(control.read(&status("t", &waits)));
        let permission = TurnEvent::AskReminded {
            waiting_for: Some(WaitingFor::Permission),
        };
        assert_eq!(asked, ("t".into(), None, permission));
        assert_eq!(control.read(&status("other", &runs)), None);
        let answered = turn(control.read(&status("t", &runs)));
        assert_eq!(
            answered,
            ("t".into(), None, TurnEvent::Answered { id: None })
        );
        assert_eq!(control.read(&status("t", &runs)), None);
        // A turn that ends with the dialog is reported by others.
        control.read(&status("t", &waits));
        assert_eq!(control.read(&status("t", &json!({"type": "idle"}))), None);
    }

    #[test]
    fn a_dialog_of_a_subagent_is_its_conversations() {
        let mut control = Control::default();
        control.has_subagent("t", "sub");
        control.read(&status(
            "sub",
            &json!({"type": "active", "activeFlags": ["waitingOnUserInput"]}),
        ));
        let answered = control.read(&status(
            "sub",
            &json!({"type": "active", "activeFlags": []}),
        ));
        let (thread, subagent, _) = turn(answered);
        assert_eq!((&*thread, subagent.as_deref()), ("t", Some("sub")));
    }

    #[test]
    fn a_conversation_that_a_terminal_opens_is_named() {
        let cleared = json!({"method": "thread/goal/cleared", "params": {"threadId": "t"}});
        let said = Control::default().read(cleared.to_string().as_bytes());
        assert_eq!(said, Some(Said::Opened("t".into())));
    }

    #[test]
    fn what_makes_no_sense_says_nothing() {
        let mut control = Control::default();
        for text in [
            "",
            "[]",
            "{}",
            r#"{"method":"thread/status/changed","params":7}"#,
            r#"{"id":1,"result":{}}"#,
        ] {
            assert_eq!(control.read(text.as_bytes()), None, "{text}");
        }
    }
}
