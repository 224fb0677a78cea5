//! Which commands of a conversation run on after their call: Codex CLI's background terminals, as observed with 0.171.0.
//!
//! The beginning of a call's output says whether its process has ended. It does not where a person has interrupted the
//! turn: then the command runs on if it had begun, and had not if a person was still asked for it, which only hooks
//! report. Called by [`super::thread`].

use crate::event::{AgentEvent, EventKind, TurnEvent};
use crate::protocol::WaitingFor;

/// The most calls of one conversation that are remembered, and the most open questions.
const MAX_CALLS: usize = 64;

/// How the output of a command begins that runs on; the text of the command itself follows after [`TEXT`].
const RUNS: &str = "Process running with session ID";

/// How the output of a call ends that a person has interrupted.
const ABORTED: &str = "aborted by user";

/// What the command itself has written comes after this line.
const TEXT: &str = "\nOutput:";

/// A command of the agent.
#[derive(Debug)]
struct Call {
    id: Box<str>,
    turn: Option<Box<str>>,
    /// It runs in the background.
    runs_on: bool,
}

/// The commands of one conversation that have not ended.
#[derive(Debug, Default)]
pub(super) struct Commands {
    calls: Vec<Call>,
    /// The commands that a person is asked for; `None`: no hook has reported, so that is not known.
    asked: Option<Vec<Option<Box<str>>>>,
}

impl Commands {
    /// Hooks have reported to an earlier daemon; whether a person was asked for a command then.
    pub(super) fn restore(&mut self, asks: bool) {
        self.asked = Some(if asks { vec![None] } else { Vec::new() });
    }

    /// The agent calls for a command.
    pub(super) fn called(&mut self, id: &str, turn: Option<&str>) {
        if self.calls.len() == MAX_CALLS {
            self.calls.remove(0);
        }
        self.calls.push(Call {
            id: id.into(),
            turn: turn.map(Into::into),
            runs_on: false,
        });
    }

    /// The agent has got the output of a call, which begins like this. The id of the command, if it runs on.
    pub(super) fn answered(&mut self, id: &str, output: Option<&str>) -> Option<Box<str>> {
        let place = self.calls.iter().position(|call| *call.id == *id)?;
        if !self.runs_on(output) {
            self.calls.remove(place);
            return None;
        }
        let call = self.calls.get_mut(place)?;
        call.runs_on = true;
        Some(call.id.clone())
    }

    fn runs_on(&self, output: Option<&str>) -> bool {
        let head = output.map(|text| text.split(TEXT).next().unwrap_or_default());
        let is_interrupted = head.is_none_or(|head| head.contains(ABORTED));
        let had_begun = self.asked.as_ref().is_some_and(Vec::is_empty);
        head.is_some_and(|head| head.contains(RUNS)) || (is_interrupted && had_begun)
    }

    /// The command of this call has ended; without an id, the one of this turn that has run longest. Its id, if it ran
    /// in the background.
    pub(super) fn ended(&mut self, id: Option<&str>, turn: Option<&str>) -> Option<Box<str>> {
        let is_it = |call: &Call| match id {
            Some(id) => *call.id == *id,
            None => call.turn.as_deref() == turn,
        };
        let place = self.calls.iter().position(is_it)?;
        let call = self.calls.remove(place);
        call.runs_on.then_some(call.id)
    }

    /// A hook of the conversation, or the app server that runs it, has reported this.
    pub(super) fn reported(&mut self, event: &AgentEvent) {
        if event.subagent.is_some() {
            return;
        }
        let asked = self.asked.get_or_insert_default();
        match &event.kind {
            EventKind::Turn(
                TurnEvent::PromptSubmitted { .. } | TurnEvent::Answered { id: None },
            ) => asked.clear(),
            EventKind::Turn(TurnEvent::Asked {
                waiting_for: WaitingFor::Permission,
                tool,
                ..
            }) if asked.len() < MAX_CALLS => {
                asked.push(tool.as_ref().and_then(|tool| tool.detail.clone()));
            }
            EventKind::Turn(TurnEvent::ToolEnded { tool }) => {
                let is_it = |known: &Option<Box<str>>| *known == tool.detail;
                if let Some(place) = asked.iter().position(is_it) {
                    asked.remove(place);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::AGENT;
    use super::*;

    fn hook(commands: &mut Commands, event: &str, command: &str) {
        let payload = json!({"hook_event_name": event, "tool_name": "Bash", "tool_input": {"command": command}});
        commands.reported(&(AGENT.interpret)(&payload.to_string(), 0).unwrap());
    }

    /// Whether a command with this output runs on, after these hooks.
    fn runs_on(hooks: &[(&str, &str)], output: &str) -> bool {
        let mut commands = Commands::default();
        for (event, command) in hooks {
            hook(&mut commands, event, command);
        }
        commands.called("c", Some("t"));
        commands.answered("c", Some(output)).is_some()
    }

    #[test]
    fn a_command_runs_on_if_its_output_says_so() {
        let head = "Chunk ID: 7df09b\nWall time: 1.0016 seconds\n";
        let output = |line: &str, text: &str| {
            format!("{head}{line}\nOriginal token count: 0\nOutput:\n{text}")
        };
        assert!(runs_on(
            &[],
            &output("Process running with session ID 61388", "")
        ));
        for text in ["", RUNS, ABORTED] {
            let ended = output("Process exited with code 0", text);
            assert!(!runs_on(&[("UserPromptSubmit", "")], &ended), "{text}");
        }
        assert!(!runs_on(
            &[("UserPromptSubmit", "")],
            "exec_command failed: no such directory"
        ));
    }

    #[test]
    fn an_interrupted_command_runs_on_if_it_had_begun() {
        const ABORTED: &str = "Wall time: 3.9 seconds\naborted by user";
        assert!(runs_on(
            &[("UserPromptSubmit", ""), ("PreToolUse", "sleep 20")],
            ABORTED
        ));
        // A person has said no.
        let asked = [("PreToolUse", "touch a"), ("PermissionRequest", "touch a")];
        assert!(!runs_on(&asked, ABORTED));
        // Two were asked for at once, and one was answered.
        let both = [
            ("PermissionRequest", "touch a"),
            ("PermissionRequest", "touch b"),
            ("PostToolUse", "touch a"),
        ];
        assert!(!runs_on(&both, ABORTED));
        let answered = [("PermissionRequest", "touch a"), ("PostToolUse", "touch a")];
        assert!(runs_on(&answered, ABORTED));
        // Whether a person was asked is not known without hooks.
        assert!(!runs_on(&[], ABORTED));
    }

    #[test]
    fn only_the_end_of_a_command_that_runs_on_is_reported() {
        let mut commands = Commands::default();
        commands.called("a", Some("t"));
        commands.called("b", Some("t"));
        commands.answered("b", Some(RUNS));
        assert_eq!(commands.ended(Some("a"), Some("t")), None);
        assert_eq!(commands.ended(None, Some("t")).as_deref(), Some("b"));
        assert_eq!(commands.ended(Some("b"), Some("t")), None);
    }
}
