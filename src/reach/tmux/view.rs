//! Which client shows the pane, and by which commands: a pure function of what the servers have.
//!
//! A command names the client that asks and the session that it shows, because tmux takes whichever was used last when
//! the command runs. Another client is never moved: where every session with the pane is shown by another client, the
//! command makes a session in the same group, which has a current window of its own and ends with its client.
//!
//! The option `destroy-unattached` would end it, too, but then `tmux detach-client -t CLIENT` from elsewhere, which the key
//! `D` runs, may crash the server (seen with 3.3a and 3.5a). So a hook ends it, and `go` where it leads the client away. If
//! a person switches away by hand, it stays until a client shows it again.

use super::super::Audience;
use super::super::asker::Asker;
use super::super::plan::{Move, Place};
use super::Pane;
use super::server::{Client, Server};
use crate::os::shell::quote;

/// What shows the pane: in the client that asks; else by a client that shows it already and whose terminal can be brought
/// to the front; else in the terminal that asks.
pub(in crate::reach) fn places(pane: &Pane, asker: &Asker) -> Result<Vec<Place>, String> {
    let place = |moves: Vec<Move>| Place {
        way: "tmux",
        what: format!("pane {}", pane.id),
        remains: None,
        moves,
    };
    if let Some(seat) = asker.tmux_seat(pane.server.pid) {
        let Some(client) = &seat.client else {
            return Err("no client of tmux shows the terminal that asks".to_owned());
        };
        return Ok(vec![place(switch(pane, client, asker))]);
    }
    let mut candidates = Vec::new();
    for viewer in &pane.viewers {
        if let Ok(proof) = &viewer.place
            && let Some(outside) = proof.places_in_reach(asker)
        {
            candidates.push((&viewer.client, proof.audience(asker), outside));
        }
    }
    let with = |moves: Vec<Move>, outside: &[Place]| [&[place(moves)], outside].concat();
    if let Some((_, _, outside)) = candidates
        .iter()
        .find(|(client, ..)| pane.server.shows(client, &pane.id))
    {
        return Ok(with(Vec::new(), outside));
    }
    // A client that no one looks at, in a tmux in which the person is, is moved and brought into view.
    if let Some((client, _, outside)) = candidates
        .iter()
        .find(|(_, audience, _)| *audience == Audience::None)
    {
        return Ok(with(switch(pane, client, asker), outside));
    }
    if asker.has_terminal {
        return Ok(vec![place(vec![attach(pane, asker)])]);
    }
    // Without a terminal, a window on the display of the person who asks: its client is that person's.
    if let Some((client, _, outside)) = candidates
        .iter()
        .find(|(_, audience, _)| *audience == Audience::ThisDisplay)
    {
        return Ok(with(switch(pane, client, asker), outside));
    }
    Err("no client of tmux is in reach, and there is no terminal to attach one".to_owned())
}

/// Whether a client other than the one that asks shows the pane.
pub(in crate::reach) fn is_shown_to_others(pane: &Pane, asker: &Asker) -> bool {
    let seat = asker.tmux_seat(pane.server.pid);
    let own = seat.and_then(|seat| Some(&seat.client.as_ref()?.tty));
    let mut clients = pane.server.clients.iter();
    clients.any(|client| {
        let is_other = Some(&client.tty) != own;
        is_other && shows_window(&pane.server, client, &pane.id)
    })
}

/// Whether the client shows the window in which the pane is, whichever pane is active there.
fn shows_window(server: &Server, client: &Client, pane: &str) -> bool {
    server.panes(pane).any(|pane| {
        let mut in_window = server
            .panes
            .iter()
            .filter(|other| (&other.session, &other.window) == (&client.session, &pane.window));
        in_window.any(|other| other.is_current)
    })
}

/// Where the pane is shown.
enum Target<'a> {
    /// In this session, which no other client shows.
    Session(&'a super::server::Pane),
    /// In a session of its own, in the group of this one.
    View(&'a super::server::Pane),
}

impl<'a> Target<'a> {
    /// For `client`, or for one that is attached.
    fn of(pane: &'a Pane, client: Option<&Client>) -> Option<Self> {
        let panes = || pane.server.panes(&pane.id);
        let is_own = |pane: &&super::server::Pane| {
            let own = client.map(|client| &client.session);
            Some(&pane.session) == own && pane.clients <= 1
        };
        let mut in_session = panes()
            .filter(is_own)
            .chain(panes().filter(|it| it.clients == 0));
        if let Some(pane) = in_session.next() {
            return Some(Self::Session(pane));
        }
        panes().next().map(Self::View)
    }
}

/// Has the client show the pane.
fn switch(pane: &Pane, client: &Client, asker: &Asker) -> Vec<Move> {
    if pane.server.shows(client, &pane.id) {
        return Vec::new();
    }
    let mut commands = match Target::of(pane, Some(client)) {
        None => return Vec::new(),
        Some(Target::Session(at)) => {
            let place = format!("{}:{}.{}", at.session, at.window, at.id);
            let switch = words(&["switch-client", "-c", &client.tty, "-t", &place]);
            if at.session == client.session {
                return vec![Move::Run(tmux(pane, &[switch]))];
            }
            vec![switch]
        }
        Some(Target::View(at)) => {
            let view = view_name(pane, asker);
            let place = format!("{view}:{}.{}", at.window, at.id);
            vec![
                words(&["new-session", "-d", "-t", &at.session, "-s", &view]),
                words(&["switch-client", "-c", &client.tty, "-t", &place]),
                ends_with_its_client(&view),
            ]
        }
    };
    if client.is_in_view {
        commands.push(end_if_unattached(&client.session));
    }
    vec![Move::Run(tmux(pane, &commands))]
}

/// Shows the pane in the terminal that asks.
fn attach(pane: &Pane, asker: &Asker) -> Move {
    let commands = match Target::of(pane, None) {
        None => Vec::new(),
        Some(Target::Session(at)) => {
            let place = format!("{}:{}.{}", at.session, at.window, at.id);
            vec![words(&["attach-session", "-t", &place])]
        }
        Some(Target::View(at)) => {
            let view = view_name(pane, asker);
            let place = format!("{view}:{}.{}", at.window, at.id);
            vec![
                words(&["new-session", "-t", &at.session, "-s", &view]),
                words(&["select-window", "-t", &place]),
                words(&["select-pane", "-t", &place]),
                ends_with_its_client(&view),
            ]
        }
    };
    // tmux attaches inside another tmux only if it does not see that (tmux(1)).
    let prefix: &[&str] = if asker.has_tmux_variable {
        &["env", "-u", "TMUX"]
    } else {
        &[]
    };
    Move::Attach([words(prefix), tmux(pane, &commands)].concat())
}

fn view_name(pane: &Pane, asker: &Asker) -> String {
    let pane = pane.id.trim_start_matches('%');
    match asker.serial {
        0 => format!("go-{pane}-{}", asker.pid),
        again => format!("go-{pane}-{}-{again}", asker.pid),
    }
}

/// Has the session end when its last client is detached.
fn ends_with_its_client(view: &str) -> Vec<String> {
    let end = end_if_unattached(view);
    let end: Vec<_> = end.iter().map(|word| quote(word)).collect();
    words(&["set-hook", "-t", view, "client-detached", &end.join(" ")])
}

/// Ends a session that no client shows. `view` is a name or an id of `go`'s or tmux's own making.
fn end_if_unattached(view: &str) -> Vec<String> {
    let target = format!("{view}:");
    let end = format!("kill-session -t '{view}'");
    words(&[
        "if-shell",
        "-F",
        "-t",
        &target,
        "#{session_attached}",
        "",
        &end,
    ])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The commands as one call of tmux.
fn tmux(pane: &Pane, commands: &[Vec<String>]) -> Vec<String> {
    let commands = commands.join(&";".to_owned());
    [words(&["tmux", "-S", &pane.socket]), commands].concat()
}

/// The client that shows the pane with this terminal, or else the session; of several, the one that was used last.
pub(super) fn asking_client<'s>(
    server: &'s Server,
    tty: Option<&str>,
    session: Option<&str>,
) -> Option<&'s Client> {
    let in_pane = server.panes.iter().filter(|pane| Some(&*pane.tty) == tty);
    let sessions: Vec<_> = in_pane.map(|pane| &*pane.session).collect();
    let shows = |client: &&Client| {
        if sessions.is_empty() {
            Some(&*client.session) == session
        } else {
            sessions.contains(&&*client.session)
        }
    };
    let shows_pane = |client: &Client| {
        let mut panes = server.panes.iter();
        panes.any(|pane| {
            pane.is_current && pane.session == client.session && Some(&*pane.tty) == tty
        })
    };
    // A person has typed in the pane that asks: of the clients, one that shows it.
    let by_use = |client: &&Client| {
        let is_own_session = Some(&*client.session) == session;
        (shows_pane(client), client.activity, is_own_session)
    };
    server.clients.iter().filter(shows).max_by_key(by_use)
}
