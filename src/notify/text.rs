//! What a reminder says, in words for a person. Pure; every text is one line of printable characters without markup.

use crate::agents;
use crate::format;
use crate::protocol::{SessionRecord, Status, WaitingFor};

/// How many columns a line has at most.
const WIDTH: usize = 120;

/// How many sessions a reminder of several names at most.
const MAX_NAMED: usize = 5;

/// `Codex CLI asks for permission`.
pub(super) fn summary(session: &SessionRecord<'_>) -> String {
    line(&format!("{} {}", name(session), what(session)))
}

/// What the session is about, why it needs a person, and where it is.
pub(super) fn body(session: &SessionRecord<'_>) -> String {
    let reason = session.question.as_deref().or(session.reason.as_deref());
    let place = place(session);
    let parts = [session.title.as_deref(), reason, place.as_deref()];
    let lines = parts.into_iter().flatten().map(line);
    let lines: Vec<_> = lines.filter(|text| !text.is_empty()).collect();
    lines.join("\n")
}

/// `4 sessions need you`.
pub(super) fn summary_of_several(count: usize) -> String {
    match count {
        1 => "1 session needs you".to_owned(),
        count => format!("{count} sessions need you"),
    }
}

/// A line for each of the first sessions, and how many more there are.
pub(super) fn body_of_several(sessions: &[SessionRecord<'_>], count: usize) -> String {
    let named = sessions.iter().take(MAX_NAMED);
    let mut lines: Vec<_> = named
        .map(|session| {
            let parts = [Some(summary(session)), place(session)];
            let parts: Vec<_> = parts.into_iter().flatten().collect();
            line(&parts.join(", "))
        })
        .collect();
    let more = count.saturating_sub(lines.len());
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

/// What people call the agent, or the name under which a script reports.
fn name<'a>(session: &'a SessionRecord<'_>) -> &'a str {
    agents::find(&session.agent).map_or(&*session.key, |agent| agent.title)
}

fn place(session: &SessionRecord<'_>) -> Option<String> {
    session.cwd.as_ref()?;
    Some(format::directory(session))
}

fn what(session: &SessionRecord<'_>) -> &'static str {
    if session.stopped_since.is_some() {
        return "is stopped";
    }
    match (session.status, session.waiting_for) {
        (Status::Error, _) => "has failed",
        (Status::Idle, _) => "has finished",
        (_, Some(WaitingFor::Permission)) => "asks for permission",
        (_, Some(WaitingFor::Answer)) => "asks a question",
        (_, Some(WaitingFor::Plan)) => "asks you to approve its plan",
        (Status::Waiting, _) => "waits for you",
        (Status::Working | Status::Closed | Status::Unknown, _) => "needs you",
    }
}

fn line(text: &str) -> String {
    let clean = format::sanitize(text);
    format::truncate(clean.trim(), WIDTH).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn session(fields: &Value) -> SessionRecord<'static> {
        let mut record = json!({
            "key": "claude-code-7-1", "agent": "claude-code", "status": "waiting", "attention": true, "since": 5,
            "title": "mend the parser", "cwd": "/srv/web", "reason": "Bash: cargo test", "started_at": 1,
        });
        let more = fields.as_object().unwrap().clone();
        record.as_object_mut().unwrap().extend(more);
        serde_json::from_str(&record.to_string()).unwrap()
    }

    #[test]
    fn a_summary_names_the_agent_and_what_it_needs() {
        let rows = [
            (
                json!({"waiting_for": "permission"}),
                "Claude Code asks for permission",
            ),
            (
                json!({"waiting_for": "answer"}),
                "Claude Code asks a question",
            ),
            (
                json!({"waiting_for": "plan"}),
                "Claude Code asks you to approve its plan",
            ),
            (
                json!({"waiting_for": "dialog"}),
                "Claude Code waits for you",
            ),
            (json!({"status": "error"}), "Claude Code has failed"),
            (json!({"status": "idle"}), "Claude Code has finished"),
            (
                json!({"status": "working", "stopped_since": 5}),
                "Claude Code is stopped",
            ),
            (
                json!({"status": "working", "quiet_since": 5}),
                "Claude Code needs you",
            ),
            (
                json!({"agent": "script", "key": "deploy"}),
                "deploy waits for you",
            ),
        ];
        for (fields, expected) in rows {
            assert_eq!(summary(&session(&fields)), expected, "{fields}");
        }
    }

    #[test]
    fn a_body_says_what_it_is_about() {
        let permission = session(&json!({"waiting_for": "permission"}));
        assert_eq!(
            body(&permission),
            "mend the parser\nBash: cargo test\n/srv/web"
        );
        let question = session(&json!({"question": "Which one?", "title": null}));
        assert_eq!(body(&question), "Which one?\n/srv/web");
    }

    #[test]
    fn several_are_counted_and_the_first_are_named() {
        let deploy = json!({"agent": "script", "key": "deploy", "cwd": null});
        let sessions: Vec<_> = (0..6).map(|_| session(&deploy)).collect();
        assert_eq!(summary_of_several(8), "8 sessions need you");
        let text = body_of_several(&sessions, 8);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 6);
        assert_eq!((lines[0], lines[5]), ("deploy waits for you", "and 3 more"));
        let place = session(&json!({"status": "error"}));
        assert_eq!(
            body_of_several(&[place], 1),
            "Claude Code has failed, /srv/web"
        );
    }

    #[test]
    fn text_from_outside_is_one_clean_line() {
        let hostile = "a\u{1b}]0;x\u{7}b\nc \u{202e}d";
        let record = session(&json!({"title": hostile, "reason": "x".repeat(4000)}));
        let text = body(&record);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']));
        assert!(format::width(lines[1]) <= WIDTH);
    }
}
