//! Reminds a person of sessions: by notifications of the desktop, by the configuration's command.
//!
//! The daemon decides when and of what, and starts `agent-console notify` for it, so none of this is in the service. A
//! notification that has an action is held by a process of its own (`hold`) until it is closed. Knows nothing of why a
//! reminder is due. Called by `commands::notify` and `doctor`.

mod command;
#[cfg(not(target_os = "macos"))]
mod dbus;
#[cfg(not(target_os = "macos"))]
mod hold;
#[cfg(target_os = "macos")]
mod mac;
mod text;

use std::path::Path;

use serde::{Deserialize, Serialize};

#[cfg(not(target_os = "macos"))]
pub(crate) use self::dbus::Server;
#[cfg(not(target_os = "macos"))]
pub(crate) use self::hold::hold;
#[cfg(target_os = "macos")]
pub(crate) use self::mac::Server;
use crate::config::variable;
use crate::protocol::SessionRecord;
use crate::reach;
use crate::reminders::{Answer, Cause, NotificationId, Order, Reminder};

/// What a notification says and does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notification {
    pub(crate) cause: Cause,
    /// One line.
    pub(crate) summary: String,
    /// Lines; without markup.
    pub(crate) body: String,
    /// The notification that it takes the place of.
    pub(crate) replaces: Option<NotificationId>,
    /// What its action does.
    pub(crate) action: Option<Action>,
}

/// What happens when a person presses the action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// Goes to the session with this key.
    Go(String),
    /// Goes to the session that has needed a person for longest.
    GoToNext,
}

/// Does what the daemon orders. `socket`: the daemon's.
pub(crate) fn carry_out(order: &Order, socket: &Path) -> Answer {
    let mut problem = Problem::default();
    let server = order
        .desktop
        .then(|| problem.keep(Server::find_by(variable)))
        .flatten();
    if let Some(server) = &server {
        problem.keep(server.close(&order.job.withdraw));
    }
    let mut shown = Vec::new();
    for reminder in &order.job.reminders {
        let records = reminder.sessions.iter();
        let records = records.filter_map(|record| serde_json::from_str(record.get()).ok());
        let mut records: Vec<SessionRecord<'_>> = records.collect();
        let seen = records.len();
        let display = server.as_ref().and_then(Server::environment);
        records.retain(|record| !reach::is_in_front(record, display));
        let count = reminder.count.saturating_sub(seen - records.len());
        if records.is_empty() {
            shown.push(None);
            continue;
        }
        let notification = notification(reminder, &records, count);
        let id = server
            .as_ref()
            .map(|server| show(server, &notification, socket));
        shown.push(id.and_then(|id| problem.keep(id)).flatten());
        if let Some(command) = &order.command {
            problem.keep(command::run(command, &notification, &records, count));
        }
    }
    let Problem(problem) = problem;
    let problem = problem.map(Into::into);
    Answer { shown, problem }
}

/// Reminds a person of nothing, to show how that looks. `socket`: the daemon's.
///
/// # Errors
///
/// Why it is not shown.
pub(crate) fn send_example(
    server: Option<&Server>,
    command: Option<&str>,
    socket: &Path,
) -> Result<(), String> {
    let example = Notification {
        cause: Cause::Waiting,
        summary: "agent-console reminds you like this".to_owned(),
        body: "The action goes to the session that has needed you for longest.".to_owned(),
        replaces: None,
        action: Some(Action::GoToNext),
    };
    if server.is_none() && command.is_none() {
        return Err("no program shows notifications, and notify.command is not set".to_owned());
    }
    if let Some(server) = server {
        show(server, &example, socket)?;
    }
    command.map_or(Ok(()), |command| command::run(command, &example, &[], 0))
}

/// Shows a notification, which a process of its own holds. `socket`: the daemon's.
#[cfg(not(target_os = "macos"))]
fn show(
    server: &Server,
    notification: &Notification,
    socket: &Path,
) -> Result<Option<NotificationId>, String> {
    hold::start(notification, &server.address, socket).map(Some)
}

/// Shows a notification.
#[cfg(target_os = "macos")]
fn show(
    server: &Server,
    notification: &Notification,
    _: &Path,
) -> Result<Option<NotificationId>, String> {
    server.show(notification).map(|()| None)
}

/// No notification is held here.
///
/// # Errors
///
/// Always.
#[cfg(target_os = "macos")]
pub(crate) fn hold(_: &Path, _: &mut impl std::io::Write) -> anyhow::Result<()> {
    anyhow::bail!("notifications of macOS are held by no process")
}

fn notification(reminder: &Reminder, records: &[SessionRecord<'_>], count: usize) -> Notification {
    let (summary, body, action) = match records {
        [record] if count <= 1 => {
            let action = Action::Go(record.key.clone().into_owned());
            (text::summary(record), text::body(record), action)
        }
        records => (
            text::summary_of_several(count),
            text::body_of_several(records, count),
            Action::GoToNext,
        ),
    };
    Notification {
        cause: reminder.cause,
        summary,
        body,
        replaces: reminder.replaces,
        action: Some(action),
    }
}

/// The first thing that went wrong.
#[derive(Debug, Default)]
struct Problem(Option<String>);

impl Problem {
    fn keep<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result
            .inspect_err(|why| {
                self.0.get_or_insert_with(|| why.clone());
            })
            .ok()
    }
}
