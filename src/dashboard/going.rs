//! What reaches beyond the dashboard's own screen: the way to a session's terminal, and a new window of tmux in which a
//! closed session is resumed.
//!
//! Each function blocks, within the time limits of [`reach`], and is called by a thread of its own. It
//! changes nothing on this terminal.

use std::path::Path;

use super::daemon_io;
use crate::format;
use crate::protocol::SessionRecord;
use crate::reach::{self, Attached};

/// How far a person has come on the way to a session.
#[derive(Debug)]
pub(super) enum Progress {
    /// The session's terminal is in front; a note for the person, if there is something to say.
    Arrived(Option<String>),
    /// A program remains to be run on this terminal, to its end.
    NeedsTerminal(Box<Job>),
}

/// Brings the person to the session's terminal, as `agent-console go` does, and marks the session as looked at.
///
/// # Errors
///
/// Why there is no way, or which move has failed, for a person.
pub(super) fn go(session: SessionRecord<'static>, socket: &Path) -> Result<Progress, String> {
    let plan = reach::plan(&session, &reach::asker(true))
        .map_err(|reasons| reach::no_way(&session, &reasons))?;
    let last = reach::approach(&plan).map_err(|error| failed(&session, &error))?;
    daemon_io::see(socket, &session.key);
    if let Some(words) = last {
        let words = words.to_vec();
        return Ok(Progress::NeedsTerminal(Box::new(Job { session, words })));
    }
    let remains: Vec<_> = plan.remains().collect();
    let note = if plan.moves().next().is_none() {
        let key = format::sanitize(&session.key);
        Some(format!("the terminal of {key} is in front already"))
    } else {
        Some(remains.join("; ")).filter(|note| !note.is_empty())
    };
    Ok(Progress::Arrived(note))
}

/// A program that is run on this terminal on the way to a session.
#[derive(Debug)]
pub(super) struct Job {
    session: SessionRecord<'static>,
    words: Vec<String>,
}

impl Job {
    /// Starts the program on this terminal.
    ///
    /// # Errors
    ///
    /// Why it cannot be started, for a person.
    pub(super) fn start(&self) -> Result<Attached, String> {
        Attached::start(&self.words).map_err(|error| failed(&self.session, &error))
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    ///
    /// Why it has failed, for a person.
    pub(super) fn wait(&self, program: Attached) -> Result<(), String> {
        program
            .wait()
            .map_err(|error| failed(&self.session, &error))
    }
}

/// Resumes a session in a new window of tmux, and gives the window's number. `None` where the person is not in tmux.
///
/// # Errors
///
/// Why the session cannot be resumed, or why tmux has failed, for a person.
pub(super) fn resume(session: &SessionRecord<'_>) -> Result<Option<String>, String> {
    let (directory, command) = format::resume(session)?;
    let opened = reach::open_window(&reach::asker(true), directory, &command);
    let opened = opened.transpose();
    opened.map_err(|error| format!("not resumed: {error:#} ({})", command.join(" ")))
}

fn failed(session: &SessionRecord<'_>, error: &anyhow::Error) -> String {
    reach::no_way(session, &[format!("{error:#}")])
}
