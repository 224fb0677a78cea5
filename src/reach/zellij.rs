//! zellij: a session, whose server must own the terminal, and the pane that its environment names.
//!
//! The server gives a pane its number once and for all, and the shell in it has it in its environment.

use std::path::Path;
use std::process::Command;

use super::ask::ask;
use super::asker::{Asker, Session};
use super::frame::Frame;
use super::plan::{Move, Place};
use super::{Proof, Prover, is_number, is_plain};
use crate::os::process;

/// A pane of a session.
#[derive(Debug)]
pub(super) struct Pane {
    session: String,
    /// `$ZELLIJ_PANE_ID`
    number: Option<String>,
    /// How many clients show the session; `None` where the version does not say.
    clients: Option<usize>,
}

/// Whether the frame is in a session of zellij's.
pub(super) fn prove(frame: &Frame, _prover: &Prover<'_>) -> Option<Result<Proof, String>> {
    let session = frame.claims.zellij_session.as_deref()?;
    if !is_plain(session) || session.starts_with('-') {
        return None;
    }
    if server(frame).as_deref() != Some(session) {
        let why = format!("the zellij session {session} is gone, or the terminal is not in it");
        return Some(Err(why));
    }
    let pane = frame.claims.zellij_pane.as_deref();
    let list = ["--session", session, "action", "list-clients"];
    let clients = ask(Command::new("zellij").args(list)).ok();
    Some(Ok(Proof::Zellij(Pane {
        session: session.to_owned(),
        number: pane.filter(|pane| is_number(pane)).map(str::to_owned),
        // The first line is a header.
        clients: clients.map(|text| text.lines().skip(1).count()),
    })))
}

/// The session whose server owns the terminal: the server's arguments are `--server` and its socket, which has the
/// session's name.
pub(super) fn server(frame: &Frame) -> Option<String> {
    let owner = frame.owners().first()?;
    server_session(&process::first_arguments(owner.pid))
}

fn server_session(arguments: &[String]) -> Option<String> {
    let mut arguments = arguments.iter();
    let is_zellij = Path::new(arguments.next()?).ends_with("zellij");
    let socket = arguments.skip_while(|word| *word != "--server").nth(1)?;
    let name = Path::new(socket).file_name()?.to_str()?.to_owned();
    is_zellij.then_some(name)
}

/// In the session that asks: the pane; from elsewhere a client in the terminal that asks.
pub(super) fn places(pane: &Pane, asker: &Asker) -> Result<Vec<Place>, String> {
    let Pane {
        session,
        number,
        clients,
    } = pane;
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let place = |what, remains, made| {
        Ok(vec![Place {
            way: "zellij",
            what,
            remains,
            moves: vec![made],
        }])
    };
    let is_here = asker
        .sessions
        .contains(&Session::Zellij(session.to_owned()));
    let shown = number.as_deref().unwrap_or("not known");
    if !is_here {
        if !asker.has_terminal {
            return Err("there is no terminal to attach a client of zellij".to_owned());
        }
        let what = format!("session {session}");
        let remains = Some(format!("select pane {shown}"));
        return place(
            what,
            remains,
            Move::Attach(words(&["zellij", "attach", session])),
        );
    }
    match (number, clients) {
        (Some(number), Some(1)) => {
            let id = format!("terminal_{number}");
            let focus = [
                "zellij",
                "--session",
                session,
                "action",
                "focus-pane-id",
                &id,
            ];
            place(format!("pane {number}"), None, Move::Run(words(&focus)))
        }
        (None, _) => Err("the session's pane in zellij is not known".to_owned()),
        (_, Some(_)) => Err(format!(
            "several terminals show the zellij session {session}, and zellij does not say which of them would move; \
             the pane is {shown}"
        )),
        (_, None) => Err(format!(
            "zellij does not list its clients; the pane is {shown}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_that_of_its_sockets_name() {
        let session = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
            server_session(&words)
        };
        let server = [
            "/usr/bin/zellij",
            "--server",
            "/run/user/1000/zellij/0.44.1/it's mine",
        ];
        assert_eq!(session(&server).as_deref(), Some("it's mine"));
        assert_eq!(session(&["zellij", "attach", "x"]), None);
        assert_eq!(session(&["bash", "--server", "/run/x"]), None);
    }

    fn pane(clients: Option<usize>) -> Pane {
        Pane {
            session: "it's".to_owned(),
            number: Some("4".to_owned()),
            clients,
        }
    }

    #[test]
    fn the_pane_is_selected_from_within_and_the_session_from_outside() {
        let mut asker = Asker::for_test(Vec::new(), true);
        let moves =
            |asker: &Asker, clients| Some(places(&pane(clients), asker).ok()?[0].moves[0].words());
        assert_eq!(
            moves(&asker, Some(1)).unwrap(),
            ["zellij", "attach", "it's"]
        );
        asker.sessions.push(Session::Zellij("it's".to_owned()));
        let focus = moves(&asker, Some(1)).unwrap();
        assert_eq!(focus[3..], ["action", "focus-pane-id", "terminal_4"]);
        // Another person's client might move.
        assert_eq!(moves(&asker, Some(2)), None);
        assert_eq!(moves(&asker, None), None);
        let without_terminal = Asker::for_test(Vec::new(), false);
        assert_eq!(moves(&without_terminal, Some(1)), None);
    }
}
