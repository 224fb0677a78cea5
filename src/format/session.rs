//! A session as text: its status, a summary, and its fields by name. Pure; every text is safe on a terminal.

use super::duration::ago;
use super::status::DisplayStatus;
use super::stdout::StdoutStyle;
use super::text::{is_unsafe, sanitize};
use crate::agents;
use crate::os::local_time::local_time;
use crate::os::shell::quote;
use crate::protocol::{DEFAULT_ACCOUNT, EndReason, ResumeKind, SessionRecord, Status, WaitingFor};

/// A hook may be this late, in ms: only after that is its silence shown.
const HOOK_LATE_MS: u64 = 10_000;

/// The status in words: `waiting: permission`.
pub(crate) fn status(session: &SessionRecord<'_>) -> String {
    status_words(session.status, session.waiting_for)
}

/// The same, of any status.
pub(crate) fn status_words(status: Status, waiting_for: Option<WaitingFor>) -> String {
    match waiting_for {
        Some(what) => format!("{}: {}", status.as_str(), what.as_str()),
        None => status.as_str().into(),
    }
}

/// One line about a session: the reason of its status and what else is known of it, else its title. `now` as for
/// [`condition`].
pub(crate) fn summary(session: &SessionRecord<'_>, now: Option<u64>) -> String {
    match condition(session, now) {
        text if text.is_empty() && session.status != Status::Closed => {
            sanitize(session.title.as_deref().unwrap_or_default())
        }
        text => text,
    }
}

/// The reason of the status, when it resumes, and whether it or its hooks are silent. `now`: ms since the epoch, for
/// ages; without it moments are shown, which do not change with time.
fn condition(session: &SessionRecord<'_>, now: Option<u64>) -> String {
    if session.status == Status::Closed {
        let reason = session.end_reason.as_ref().map(EndReason::as_str);
        return sanitize(reason.unwrap_or_default());
    }
    let silent = |what: &str, since: u64| match now {
        Some(now) => format!("{what} for {}", ago(since, now)),
        None => format!("{what} since {}", clock_time(since, now)),
    };
    let quiet = session.quiet_since.map(|since| silent("quiet", since));
    let is_late = |since: &u64| now.is_none_or(|now| now.saturating_sub(*since) > HOOK_LATE_MS);
    let hooks = session.hooks_silent_since.filter(is_late);
    let hooks = hooks.map(|since| silent("hooks silent", since));
    let reason = session.reason.as_deref().map(|reason| {
        let parts = sanitize(reason);
        let parts: Vec<_> = parts
            .split(", ")
            .map(|part| resumed(session, part, now).unwrap_or_else(|| part.into()))
            .collect();
        parts.join(", ")
    });
    let parts = [quiet, reason.filter(|text| !text.is_empty()), hooks];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A part of an idle session's reason in words for a person: when a scheduled prompt comes, what a monitor does.
fn resumed(session: &SessionRecord<'_>, part: &str, now: Option<u64>) -> Option<String> {
    if session.status != Status::Idle {
        return None;
    }
    let has = |kind| session.resumes.iter().any(|resume| resume.kind == kind);
    if part.ends_with("scheduled") && has(ResumeKind::Schedule) {
        let times = session.resumes.iter().filter_map(|resume| resume.at);
        return Some(format!("sleeps until {}", clock_time(times.min()?, now)));
    }
    let watches = (part.ends_with("monitor runs") || part.ends_with("monitors run"))
        && has(ResumeKind::Monitor);
    watches.then(|| format!("watches: {part}"))
}

/// A moment as the local time of day, with its date if that is another one than `now`'s.
fn clock_time(at: u64, now: Option<u64>) -> String {
    let local = |ms: u64| local_time(ms / 1000);
    let Some(time) = local(at) else {
        return "another year".into();
    };
    let clock = format!("{:02}:{:02}", time.hour, time.minute);
    let today = now.and_then(local);
    if today.is_none_or(|today| (today.month, today.day) == (time.month, time.day)) {
        return clock;
    }
    format!("{:02}-{:02} {clock}", time.month, time.day)
}

/// The reason of the status in one line; that of a waiting session begins with what it waits for.
pub(crate) fn reason(session: &SessionRecord<'_>, now: u64) -> String {
    let reason = condition(session, Some(now));
    match session.waiting_for.map(WaitingFor::as_str) {
        Some(what) if reason.is_empty() => what.into(),
        Some(what) if !reason.starts_with(what) => format!("{what}: {reason}"),
        _ => reason,
    }
}

/// `!` before a session that needs a person, so that this does not depend on colour.
pub(crate) fn marker(session: &SessionRecord<'_>) -> char {
    if session.attention { '!' } else { ' ' }
}

/// The model's name without what all models of the agent share; empty if it is not known.
pub(crate) fn model(session: &SessionRecord<'_>) -> String {
    let name = session.model.as_deref().unwrap_or_default();
    let agent = agents::find(&session.agent);
    sanitize(agent.map_or(name, |agent| (agent.model_label)(name)))
}

/// The command that resumes the conversation, for a shell: in the directory that it began in, since agents find it only
/// there.
///
/// # Errors
///
/// Why there is none, in words.
pub(crate) fn resume_command(session: &SessionRecord<'_>) -> Result<String, String> {
    let (directory, words) = resume(session)?;
    let words: Vec<_> = words.iter().map(|word| quote(word)).collect();
    let command = words.join(" ");
    Ok(match directory {
        Some(directory) => format!("cd {} && {command}", quote(directory)),
        None => command,
    })
}

/// The directory in which the conversation is resumed, if it is known, and the command's words.
///
/// # Errors
///
/// Why there is none, in words.
pub(crate) fn resume<'a>(
    session: &'a SessionRecord<'_>,
) -> Result<(Option<&'a str>, Vec<String>), String> {
    let Some(agent) = agents::find(&session.agent) else {
        let agent = sanitize(&session.agent);
        return Err(format!("no command is known that resumes {agent}"));
    };
    let Some(id) = session.session_id.as_deref() else {
        return Err("the session's id is not known yet".into());
    };
    let directory = session.start_cwd.as_deref().or(session.cwd.as_deref());
    if !is_plain_word(id) {
        return Err("the session's id is not fit for a command line".into());
    }
    // It comes from outside, and a terminal may act on it.
    let directory = directory.filter(|directory| !directory.contains(is_unsafe));
    let directory = directory.filter(|directory| !directory.is_empty());
    Ok((directory, (agent.resume)(id)))
}

/// True if the id, which comes from outside, has no meaning to a shell and is no option.
fn is_plain_word(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !id.is_empty() && !id.starts_with('-') && id.bytes().all(is_plain)
}

/// What runs beside the turn: `2 subagents, 1 background shell`; empty if nothing does.
fn running(session: &SessionRecord<'_>) -> String {
    let part = |count: u32, one: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        many => Some(format!("{many} {one}s")),
    };
    let parts = [
        part(session.subagents, "subagent"),
        part(session.background, "background shell"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A field of a session that is one line of text. Each view lists the fields that it shows, with their names there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Key,
    /// `working for 3m`
    Status,
    /// `needed`, or nothing.
    Attention,
    Reason,
    /// What the agent asks.
    Question,
    Title,
    /// The whole path.
    Directory,
    /// The directory that it began in, if it is another.
    StartDirectory,
    /// The command that resumes the conversation.
    Resume,
    Agent,
    /// `codex, process 4711`
    AgentProcess,
    SessionId,
    PreviousSessionIds,
    Process,
    Model,
    /// `42 % used`
    Context,
    /// `$1.50`
    Cost,
    /// The account whose limits it draws on, unless it is that of the default directory.
    Account,
    PermissionMode,
    Subagents,
    BackgroundShells,
    Running,
    Started,
    EndReason,
    Ended,
}

impl Field {
    /// The field's text; empty if it is not known, or 0. `now`: ms since the Unix epoch.
    pub(crate) fn value(self, session: &SessionRecord<'_>, now: u64) -> String {
        let text = |text: Option<&str>| text.map(sanitize).unwrap_or_default();
        let count = |count: u32| match count {
            0 => String::new(),
            _ => count.to_string(),
        };
        let since = |at: u64| format!("{} ago", ago(at, now));
        let optional = |value: Option<String>| value.unwrap_or_default();
        match self {
            Self::Key => sanitize(&session.key),
            Self::Status => format!("{} for {}", status(session), ago(session.since, now)),
            Self::Attention if session.attention => "needed".into(),
            Self::Attention => String::new(),
            Self::Reason if session.status == Status::Closed => String::new(),
            Self::Reason => condition(session, Some(now)),
            Self::Question => text(session.question.as_deref()),
            Self::Title => text(session.title.as_deref()),
            Self::Directory => text(session.cwd.as_deref()),
            Self::StartDirectory if session.start_cwd == session.cwd => String::new(),
            Self::StartDirectory => text(session.start_cwd.as_deref()),
            Self::Resume => resume_command(session).unwrap_or_default(),
            Self::Agent => sanitize(&session.agent),
            Self::AgentProcess => match session.pid {
                Some(pid) => format!("{}, process {pid}", sanitize(&session.agent)),
                None => sanitize(&session.agent),
            },
            Self::SessionId => text(session.session_id.as_deref()),
            Self::PreviousSessionIds => sanitize(&session.previous_session_ids.join(" ")),
            Self::Process => optional(session.pid.map(|pid| pid.to_string())),
            Self::Model => text(session.model.as_deref()),
            Self::Context => {
                let percent = session.context_percent;
                optional(percent.map(|percent| format!("{percent:.0} % used")))
            }
            Self::Cost => optional(session.cost_usd.map(|dollars| format!("${dollars:.2}"))),
            Self::Account => {
                // That of an agent's own directory needs no name.
                let is_named = |name: &&str| *name != DEFAULT_ACCOUNT && *name != session.agent;
                text(session.account.as_deref().filter(is_named))
            }
            Self::PermissionMode => text(session.permission_mode.as_deref()),
            Self::Subagents => count(session.subagents),
            Self::BackgroundShells => count(session.background),
            Self::Running => running(session),
            Self::Started => since(session.started_at),
            Self::EndReason => text(session.end_reason.as_ref().map(EndReason::as_str)),
            Self::Ended => optional(session.ended_at.map(since)),
        }
    }
}

/// The fields that have a value, each with its name.
pub(crate) fn fields<'a>(
    fields: &'a [(&'static str, Field)],
    session: &'a SessionRecord<'_>,
    now: u64,
) -> impl Iterator<Item = (&'static str, String)> + 'a {
    fields
        .iter()
        .map(move |(name, field)| (*name, field.value(session, now)))
        .filter(|(_, value)| !value.is_empty())
}

/// Rows for [`table`](super::table()): names and values, the status in its colour.
pub(crate) fn named_rows(
    fields: Vec<(&'static str, String)>,
    session: &SessionRecord<'_>,
    stdout: StdoutStyle,
) -> Vec<Vec<String>> {
    let words = status(session);
    let painted = stdout.paint(DisplayStatus::of(session).sgr(), &words);
    let row = |(name, value): (&str, String)| match value.strip_prefix(&words) {
        Some(rest) if name == "status" => vec![name.into(), format!("{painted}{rest}")],
        _ => vec![name.into(), value],
    };
    fields.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_resumed_where_it_began() {
        let command = |directories: serde_json::Value| {
            let mut session = serde_json::json!({"key": "k", "agent": "claude-code", "session_id": "1b2c-3d",
                "status": "idle", "since": 0, "started_at": 0});
            for (name, value) in directories.as_object().unwrap() {
                session[name] = value.clone();
            }
            resume_command(&serde_json::from_value(session).unwrap()).unwrap()
        };
        let json = serde_json::json!({"start_cwd": "/w/a b", "cwd": "/w/a b/src"});
        assert_eq!(command(json), "cd '/w/a b' && claude --resume 1b2c-3d");
        let json = serde_json::json!({"cwd": "/w/it's"});
        assert_eq!(command(json), "cd \"/w/it's\" && claude --resume 1b2c-3d");
        let json = serde_json::json!({"cwd": "/w/\u{1b}[2J"});
        assert_eq!(command(json), "claude --resume 1b2c-3d");
    }

    #[test]
    fn what_resumes_a_session_and_its_silence_are_in_words() {
        let minutes = |minutes: u64| minutes * 60_000;
        let now = minutes(30_000_000);
        let shown = |fields: serde_json::Value| {
            let mut session =
                serde_json::json!({"key": "k", "agent": "a", "since": 0, "started_at": 0});
            for (name, value) in fields.as_object().unwrap() {
                session[name] = value.clone();
            }
            summary(&serde_json::from_value(session).unwrap(), Some(now))
        };
        let at = now + minutes(7);
        let time = clock_time(at, Some(now));
        assert_eq!(
            shown(
                serde_json::json!({"status": "idle", "reason": "1 monitor runs, 1 prompt is scheduled",
                "resumes": [{"kind": "monitor"}, {"kind": "schedule", "at": at}]})
            ),
            format!("watches: 1 monitor runs, sleeps until {time}")
        );
        assert_eq!(
            shown(
                serde_json::json!({"status": "idle", "reason": "finished, 1 background shell runs",
                "attention": true, "resumes": [{"kind": "shell"}]})
            ),
            "finished, 1 background shell runs"
        );
        assert_eq!(
            shown(
                serde_json::json!({"status": "working", "reason": "Bash: make", "quiet_since": now - minutes(12),
                "hooks_silent_since": now - minutes(3)})
            ),
            "quiet for 12m, Bash: make, hooks silent for 3m"
        );
        assert_eq!(
            shown(
                serde_json::json!({"status": "working", "title": "fix it", "hooks_silent_since": now - 1000})
            ),
            "fix it"
        );
    }

    #[test]
    fn a_model_has_the_short_name_of_its_agent() {
        let label = |agent, name| {
            let session = serde_json::json!({"key": "k", "agent": agent, "model": name, "status": "idle", "since": 0,
                "cwd": "/", "started_at": 0, "attention": false});
            model(&serde_json::from_value(session).unwrap())
        };
        assert_eq!(label("claude-code", "claude-opus-4-1-20250805"), "opus-4-1");
        assert_eq!(label("claude-code", "gpt-5"), "gpt-5");
        assert_eq!(label("another", "claude-opus-5"), "claude-opus-5");
    }
}
