//! GNU Screen: a window of a session, whose server must own the terminal. A window's number is that with which it was
//! made: `$WINDOW` of the first process in it.
//!
//! `screen -X select` moves the terminal that shows the window in which it is typed; from outside, the only terminal that
//! shows the session (tried with 4.9.0). Where several do, it might be another person's. screen does not say what a
//! terminal shows, except by a message on that terminal.

use std::path::Path;

use super::asker::{Asker, Session};
use super::frame::Frame;
use super::plan::{Move, Place};
use super::{Audience, Proof, Prover, is_number, is_plain};
use crate::os::process_environment::open_terminals;
use crate::os::process_table;

/// A window of a session.
#[derive(Debug)]
pub(super) struct Window {
    /// `$STY`: "pid.name" (screen(1)).
    session: String,
    server: u32,
    number: String,
    /// How many terminals show the session.
    displays: usize,
    /// The place of the only terminal that shows the session.
    viewer: Option<Box<Proof>>,
}

/// The session in which the frame is, and its server's process id.
pub(super) fn session(frame: &Frame) -> Option<Result<(String, u32), String>> {
    let session = frame.claims.screen_session.as_deref()?;
    let pid = session.split('.').next()?.parse().ok()?;
    if !is_plain(session) {
        return None;
    }
    let is_server = frame.owners().first().is_some_and(|owner| owner.pid == pid);
    let gone = || format!("the screen session {session} is gone, or the terminal is not in it");
    Some(
        is_server
            .then(|| (session.to_owned(), pid))
            .ok_or_else(gone),
    )
}

/// Whether the frame is in a window of screen's.
pub(super) fn prove(frame: &Frame, prover: &Prover<'_>) -> Option<Result<Proof, String>> {
    Some(session(frame)?.and_then(|(session, server)| {
        let number = frame.claims.screen_window.as_deref();
        let number = number.filter(|number| is_number(number));
        let number =
            number.ok_or_else(|| "the session's window in screen is not known".to_owned())?;
        let displays = open_terminals(server);
        let viewer = match &displays[..] {
            [terminal] => viewer(terminal, prover).map(Box::new),
            _ => None,
        };
        Ok(Proof::Screen(Window {
            number: number.to_owned(),
            server,
            displays: displays.len(),
            viewer,
            session,
        }))
    }))
}

/// The place of the terminal that shows the session: the process on it is screen's.
fn viewer(terminal: &Path, prover: &Prover<'_>) -> Option<Proof> {
    let is_screen = |names: &[String], _: &[String]| names.iter().any(|name| name == "screen");
    let clients = process_table::find(is_screen);
    let mut clients = clients.iter();
    let client =
        clients.find(|client| client.info.tty.as_deref().map(Path::new) == Some(terminal))?;
    prover.prove_process(client.info.id.pid).ok()
}

/// In the terminal that asks, or one that no other person looks at; else in a terminal of its own.
pub(super) fn places(window: &Window, asker: &Asker) -> Result<Vec<Place>, String> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let place = |moves| Place {
        way: "screen",
        what: format!("window {}", window.number),
        remains: None,
        moves,
    };
    let select = [
        "screen",
        "-S",
        &window.session,
        "-X",
        "select",
        &window.number,
    ];
    let select = Move::Run(words(&select));
    if asker.sessions.contains(&Session::Screen(window.server)) {
        return if window.displays == 1 {
            Ok(vec![place(vec![select])])
        } else {
            Err("several terminals show the screen session, and another one might move".to_owned())
        };
    }
    if let Some(proof) = &window.viewer
        && let Some(outside) = proof.places_in_reach(asker)
        && (proof.audience(asker) == Audience::None
            || (!asker.has_terminal && proof.audience(asker) == Audience::ThisDisplay))
    {
        return Ok([vec![place(vec![select])], outside].concat());
    }
    if !asker.has_terminal {
        return Err(
            "no terminal that shows screen is in reach, and there is none to attach".to_owned(),
        );
    }
    let attach = ["screen", "-x", &window.session, "-p", &window.number];
    Ok(vec![place(vec![Move::Attach(words(&attach))])])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(displays: usize) -> Window {
        Window {
            session: "77.pts-1.host".to_owned(),
            server: 77,
            number: "2".to_owned(),
            displays,
            viewer: None,
        }
    }

    #[test]
    fn only_the_asking_terminal_is_moved() {
        let mut asker = Asker::for_test(Vec::new(), true);
        let words = |asker: &Asker, window: &Window| {
            Some(places(window, asker).ok()?[0].moves[0].words().join(" "))
        };
        let attach = words(&asker, &window(1)).unwrap();
        assert_eq!(attach, "screen -x 77.pts-1.host -p 2");
        asker.sessions.push(Session::Screen(77));
        let select = words(&asker, &window(1)).unwrap();
        assert_eq!(select, "screen -S 77.pts-1.host -X select 2");
        assert_eq!(words(&asker, &window(2)), None);
        let without_terminal = Asker::for_test(Vec::new(), false);
        assert_eq!(words(&without_terminal, &window(0)), None);
    }

    #[test]
    fn without_a_terminal_the_only_one_on_the_display_moves() {
        let front = Place {
            way: "x11",
            what: "window".to_owned(),
            remains: None,
            moves: Vec::new(),
        };
        let shown = Window {
            viewer: Some(Box::new(Proof::Window {
                place: front.clone(),
                is_in_front: None,
                outside: None,
            })),
            ..window(1)
        };
        let places = |has_terminal| places(&shown, &Asker::for_test(Vec::new(), has_terminal));
        let found = places(false).unwrap();
        assert_eq!((found[0].moves.len(), &found[1]), (1, &front));
        assert_eq!(places(true).unwrap().len(), 1, "one is attached");
    }
}
