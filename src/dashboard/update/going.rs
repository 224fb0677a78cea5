//! The keys that bring a person to a session: to its terminal, or to a new one in which it is resumed. Pure.

use super::Action;
use crate::dashboard::model::Model;
use crate::format;
use crate::protocol::Status;

/// Brings the person to the selected session; one way at a time is looked for.
pub(super) fn go(model: &mut Model) -> Option<Action> {
    let key = model.selected_key()?.to_owned();
    if model.going.is_some() {
        return None;
    }
    model.going = Some(model.now);
    Some(Action::Go(key))
}

/// The person is at a session's terminal, or is not for the reason given.
pub(super) fn on_arrival(
    model: &mut Model,
    outcome: Result<Option<String>, String>,
) -> Option<Action> {
    match outcome {
        Ok(note) if model.once => return Some(Action::Leave(note)),
        Ok(note) => {
            if let Some(note) = note {
                model.set_status(note);
            }
        }
        Err(why) => model.set_status(format::sanitize(&why)),
    }
    None
}

/// Resumes the selected session if it is closed.
pub(super) fn resume(model: &mut Model) -> Option<Action> {
    let session = model.selected()?;
    let key = session.key.to_string();
    if model.going.is_some() {
        return None;
    }
    let why = if session.status == Status::Closed {
        format::resume(session).err()
    } else {
        Some("it is not closed; Enter goes to its terminal".into())
    };
    if let Some(why) = why {
        model.set_status(why);
        return None;
    }
    model.going = Some(model.now);
    Some(Action::Resume(key))
}

pub(super) fn on_resumed(
    model: &mut Model,
    key: &str,
    outcome: Result<Option<String>, String>,
) -> Option<Action> {
    match outcome {
        Ok(Some(_)) if model.once => Some(Action::Leave(None)),
        Ok(Some(window)) => {
            model.set_status(format!("resumed in window {window} of tmux"));
            None
        }
        // Without tmux the person has to find a terminal.
        Ok(None) => copy(model, key),
        Err(why) => {
            model.set_status(format::sanitize(&why));
            None
        }
    }
}

/// Copies the command that resumes the conversation.
pub(super) fn copy(model: &mut Model, key: &str) -> Option<Action> {
    let command = format::resume_command(model.session(key)?);
    let message = match &command {
        Ok(command) => format!("to the clipboard (OSC 52): {command}"),
        Err(why) => why.clone(),
    };
    model.set_status(message);
    command.ok().map(Action::Copy)
}
