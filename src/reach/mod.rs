//! The way to a session's terminal, from the inside out: the pane of a multiplexer, the window of a terminal, the window of
//! the desktop. Used by `go`, `next`, `get` and `notify`.
//!
//! Each way is a file with a function that proves that the terminal is such a place, before anything moves: what a hook
//! found in its environment may be inherited from another terminal, and outlive the program that it names. What was
//! proven is a tree: a pane, the clients that show it, the places of their terminals. A pure function makes the [`Plan`]
//! of it, with the moves of each place: it moves the client of the person who asks and no other.

mod ask;
mod asker;
mod editor;
mod execute;
mod frame;
mod front;
mod kitty;
mod mac;
mod plan;
mod screen;
mod tmux;
mod wezterm;
mod window;
mod zellij;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

pub(crate) use self::asker::Asker;
pub(crate) use self::execute::{Attached, approach, execute};
pub(crate) use self::front::is_in_front;
pub(crate) use self::plan::{Place, Plan};
pub(crate) use self::tmux::open_window;

use self::asker::Session;
use self::frame::Frame;
use self::plan::Move;
use crate::format;
use crate::os::process_environment::ProcessEnvironment;
use crate::os::{machine, peer};
use crate::protocol::SessionRecord;

/// How many terminals are looked at, one inside another.
const MAX_DEPTH: usize = 6;

/// Whether a terminal is a place of some kind: `None` where nothing says so, a reason where what says so is not true.
type Prove = fn(&Frame, &Prover<'_>) -> Option<Result<Proof, String>>;

/// The ways, from the inside out: the first that is proven is the one.
const WAYS: &[Prove] = &[
    tmux::prove,
    screen::prove,
    zellij::prove,
    wezterm::prove,
    kitty::prove,
    editor::prove,
    mac::prove,
    window::prove,
];

/// A place that was proven, and what was found out on the way.
#[derive(Debug)]
enum Proof {
    /// A pane of a multiplexer, which any number of clients may show.
    Tmux(tmux::Pane),
    /// A window of GNU Screen.
    Screen(screen::Window),
    /// A pane of zellij.
    Zellij(zellij::Pane),
    /// A window, which is shown at one place.
    Window {
        place: Place,
        /// Whether a person who looks at its program sees it; `None` where that is not known.
        is_in_front: Option<bool>,
        /// What is around it, if that has a place of its own.
        outside: Option<Box<Proof>>,
    },
}

/// Who else sees a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// No one sees it before the moves are made.
    None,
    /// It is on the display of the person who asks.
    ThisDisplay,
    /// It may be shown to another person.
    Others,
}

impl Proof {
    /// The places on the way out, with their moves. A pure function.
    fn places(&self, asker: &Asker) -> Result<Vec<Place>, String> {
        match self {
            Self::Tmux(pane) => tmux::places(pane, asker),
            Self::Screen(window) => screen::places(window, asker),
            Self::Zellij(pane) => zellij::places(pane, asker),
            Self::Window { place, outside, .. } => {
                let outside = outside.as_ref().map(|proof| proof.places(asker));
                let mut places = vec![place.clone()];
                places.extend(outside.transpose()?.into_iter().flatten());
                Ok(places)
            }
        }
    }

    /// The places on the way out, if they come to the front as they are: no client is attached for that.
    fn places_in_reach(&self, asker: &Asker) -> Option<Vec<Place>> {
        let places = self.places(asker).ok()?;
        let mut moves = places.iter().flat_map(|place| &place.moves);
        let attaches = moves.any(|made| matches!(made, Move::Attach(_)));
        (!attaches).then_some(places)
    }

    fn audience(&self, asker: &Asker) -> Audience {
        match self {
            Self::Tmux(pane) if tmux::is_shown_to_others(pane, asker) => Audience::Others,
            Self::Tmux(_) => Audience::None,
            // Which of their windows and panes others look at is not known.
            Self::Screen(_) | Self::Zellij(_) => Audience::Others,
            Self::Window { .. } => Audience::ThisDisplay,
        }
    }
}

/// Proves places, and asks each server once.
struct Prover<'a> {
    asker: &'a Asker,
    /// How many terminals the one that is looked at is outside of.
    depth: Cell<usize>,
    servers: &'a Servers,
}

/// What the tmux servers have answered, by their sockets.
type Servers = RefCell<HashMap<String, Result<tmux::Server, String>>>;

impl<'a> Prover<'a> {
    fn new(asker: &'a Asker, servers: &'a Servers) -> Self {
        Self {
            asker,
            depth: Cell::default(),
            servers,
        }
    }

    /// The innermost way that is proven; without one, why each that was claimed is none.
    fn prove(&self, frame: &Frame) -> Result<Proof, Vec<String>> {
        let mut reasons = Vec::new();
        for prove in WAYS {
            match prove(frame, self) {
                None => {}
                Some(Ok(proof)) => return Ok(proof),
                Some(Err(why)) => reasons.push(why),
            }
        }
        Err(reasons)
    }

    /// The place of the terminal of a client.
    fn prove_process(&self, pid: u32) -> Result<Proof, String> {
        let depth = self.depth.get();
        if depth >= MAX_DEPTH {
            return Err("there are too many terminals inside one another".to_owned());
        }
        self.depth.set(depth + 1);
        let proof = self.prove(&Frame::of_process(pid));
        self.depth.set(depth);
        proof.map_err(|reasons| reasons.join("; "))
    }

    /// Whether a process has its windows on the display of the person who asks. A program on another display, such as
    /// that of a machine to which this person is connected by ssh, comes to no front that the person sees.
    fn is_on_display(&self, pid: Option<u32>) -> bool {
        if cfg!(target_os = "macos") {
            return true;
        }
        let environment = pid.and_then(ProcessEnvironment::of);
        environment.is_some_and(|environment| self.asker.display.is_that_of(&environment))
    }

    /// What a tmux server has.
    fn tmux(&self, socket: &str) -> Result<tmux::Server, String> {
        if let Some(known) = self.servers.borrow().get(socket) {
            return known.clone();
        }
        let answer = tmux::ask(socket);
        let mut servers = self.servers.borrow_mut();
        servers.insert(socket.to_owned(), answer.clone());
        answer
    }
}

/// Finds out who asks. `may_attach`: a person decides where the commands run, so there is a terminal for them.
pub(crate) fn asker(may_attach: bool) -> Asker {
    let servers = Servers::default();
    let mut asker = Asker::new(may_attach);
    let mut frame = Frame::of_this_process();
    for _ in 0..MAX_DEPTH {
        if let Some(Ok((_, server))) = screen::session(&frame) {
            asker.sessions.push(Session::Screen(server));
        }
        if let Some(session) = zellij::server(&frame) {
            asker.sessions.push(Session::Zellij(session));
        }
        let seat = tmux::seat(&frame, &Prover::new(&asker, &servers));
        let Some(seat) = seat else {
            break;
        };
        let client = seat.client.as_ref().map(tmux::Client::pid);
        asker.add_tmux(seat);
        let Some(client) = client else {
            break;
        };
        frame = Frame::of_process(client);
    }
    asker.finish(&frame);
    asker
}

/// The way to a session.
///
/// # Errors
///
/// Why there is none.
pub(crate) fn plan(session: &SessionRecord<'_>, asker: &Asker) -> Result<Plan, Vec<String>> {
    let servers = Servers::default();
    let prover = Prover::new(asker, &servers);
    let proof = prover.prove(&Frame::of_session(session))?;
    let places = proof.places(asker).map_err(|why| vec![why])?;
    Ok(Plan { places })
}

/// Why there is no way, for a person, and what is known of the place.
pub(crate) fn no_way(session: &SessionRecord<'_>, reasons: &[String]) -> String {
    let terminal = session.terminal.as_deref().map(format::terminal_line);
    let terminal = terminal.filter(|line| !line.is_empty());
    let why = if reasons.is_empty() {
        "nothing that can be proven says which window or pane has its terminal".to_owned()
    } else {
        format::sanitize(&reasons.join("; "))
    };
    format!(
        "there is no way to {}: {why} (host {}, terminal {}, directory {})",
        format::sanitize(&session.key),
        format::sanitize(&machine::host_name()),
        terminal.as_deref().unwrap_or("not known"),
        format::directory(session),
    )
}

/// The rows of a session's terminal: what it is, and either `go there` with a command or a `note` that says why there is
/// none.
pub(crate) fn rows(session: &SessionRecord<'_>) -> Vec<(&'static str, String)> {
    let Some(terminal) = session.terminal.as_deref() else {
        return Vec::new();
    };
    let mut rows = format::location(terminal);
    match plan(session, &asker(true)) {
        Ok(plan) if plan.moves().next().is_none() => {}
        Ok(plan) => rows.push(("go there", plan.shell_line())),
        Err(reasons) if reasons.is_empty() => {}
        Err(reasons) => rows.push(("note", format::sanitize(&reasons.join("; ")))),
    }
    rows
}

/// Whether a value can be shown and typed as it is.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && format::sanitize(value) == value
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a socket of this user's is at `path`.
fn is_own_socket(path: &str) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|found| found.file_type().is_socket() && peer::trusted(found.uid()))
}
