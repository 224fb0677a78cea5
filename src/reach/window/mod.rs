//! The desktop's window of a terminal: that of the program that owns the terminal, on the display of the person who asks.
//!
//! Of several windows of one program, `$WINDOWID` names one. If none does, no window is offered: it might be the wrong one.

mod hyprland;
mod sway;
mod x11;

pub(super) use self::hyprland::focus as focus_hyprland;
pub(super) use self::sway::focus as focus_sway;
pub(super) use self::x11::focus as focus_x11;

use std::collections::BTreeSet;

use super::frame::Frame;
use super::plan::{Move, Place};
use super::{Proof, Prover};
use crate::format::sanitize;
use crate::os::{process, process_table};

/// A window of the desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    /// The process that has made it.
    pid: u32,
    /// Its id in X11, if it has one.
    x11: Option<u32>,
    /// It gets what a person types; `None` where the desktop does not say.
    is_active: Option<bool>,
    focus: Move,
}

/// The desktops, by the variables that name one: the first that is there is asked. A Wayland desktop has an X11 display,
/// too, with some of its windows.
fn windows(prover: &Prover<'_>) -> Option<(&'static str, Result<Vec<Window>, String>)> {
    let display = &prover.asker.display;
    if let Some(listed) = hyprland::windows(display) {
        return Some(("hyprland", listed));
    }
    if let Some(listed) = sway::windows(display) {
        return Some(("sway", listed));
    }
    let x11 = display.x11.as_deref()?;
    Some(("x11", x11::windows(x11)))
}

/// Whether the frame's terminal has a window; `None` where its owner is not known.
pub(super) fn prove(frame: &Frame, prover: &Prover<'_>) -> Option<Result<Proof, String>> {
    if let Some(console) = frame.tty.as_deref().and_then(console) {
        return Some(Err(format!("it is on the console {console}")));
    }
    prove_owner(frame, frame.window_id, Tab::Unknown, prover)
}

/// Whether the window shows the terminal once it is in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    /// Another way selects it.
    Selected,
    /// Nothing does.
    Unknown,
}

/// The same, if it is known which of the owner's windows it is: `window` is its id in X11.
pub(super) fn prove_owner(
    frame: &Frame,
    window: Option<u32>,
    tab: Tab,
    prover: &Prover<'_>,
) -> Option<Result<Proof, String>> {
    let owner = frame.owners().first()?.pid;
    let name = process::name(owner)?;
    if name.starts_with("sshd") {
        return Some(Err("it is in a login from another machine".to_owned()));
    }
    // A program of several processes, such as an editor, has its windows in one above.
    let of_program = |pid: &u32| process::name(*pid).as_ref() == Some(&name);
    let owners = frame.owners().iter().map(|process| process.pid);
    let owners: Vec<_> = owners.take_while(of_program).collect();
    let Some((way, listed)) = windows(prover) else {
        return Some(Err(format!(
            "the terminal is that of {}, and no desktop is known here to have its window",
            sanitize(&name)
        )));
    };
    let chosen = listed.and_then(|listed| choose(&listed, &owners, window, &name));
    Some(chosen.map(|window| {
        let remains = remains(tab, owner);
        // It may show another terminal.
        let is_known = remains.is_none() || window.is_active == Some(false);
        Proof::Window {
            is_in_front: window.is_active.filter(|_| is_known),
            place: Place {
                way,
                what: format!("window of {name}"),
                remains,
                moves: vec![window.focus],
            },
            outside: None,
        }
    }))
}

/// A program with several terminals may show another one in this window.
fn remains(tab: Tab, owner: u32) -> Option<String> {
    if tab == Tab::Selected {
        return None;
    }
    let processes = process_table::find(|_, _| true);
    let children = processes
        .iter()
        .filter(|process| process.info.parent == owner);
    let terminals: BTreeSet<_> = children
        .filter_map(|process| process.info.tty.as_ref())
        .collect();
    (terminals.len() > 1).then(|| "select its tab".to_owned())
}

/// The owners' window; of several, the one with this id.
fn choose(
    listed: &[Window],
    owners: &[u32],
    id: Option<u32>,
    name: &str,
) -> Result<Window, String> {
    let name = sanitize(name);
    let of = |owner: &&u32| listed.iter().any(|window| window.pid == **owner);
    let Some(owner) = owners.iter().find(of) else {
        let why = format!("the terminal is that of {name}, which has no window on this display");
        return Err(why);
    };
    let of_owner = || listed.iter().filter(|window| window.pid == *owner);
    if let Some(window) = of_owner().find(|window| id.is_some() && window.x11 == id) {
        return Ok(window.clone());
    }
    let mut windows = of_owner();
    match (windows.next(), windows.next()) {
        (Some(window), None) => Ok(window.clone()),
        _ => Err(format!(
            "{name} has several windows, and which of them has the terminal is not known"
        )),
    }
}

/// A virtual console of Linux: `/dev/tty3`.
fn console(tty: &str) -> Option<&str> {
    let number = tty.strip_prefix("/dev/tty")?;
    super::is_number(number).then_some(tty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(pid: u32, id: u32) -> Window {
        let focus = Move::X11 {
            display: ":0".to_owned(),
            window: id,
        };
        Window {
            pid,
            x11: Some(id),
            is_active: None,
            focus,
        }
    }

    #[test]
    fn a_window_is_that_of_the_terminals_owner() {
        let listed = [window(10, 1), window(20, 2), window(20, 3), window(30, 4)];
        let chosen = |owners: &[u32], id| choose(&listed, owners, id, "x").ok()?.x11;
        assert_eq!(chosen(&[10], None), Some(1));
        assert_eq!(chosen(&[11, 10], None), Some(1));
        assert_eq!(chosen(&[20], None), None, "either of two");
        assert_eq!(chosen(&[20], Some(3)), Some(3));
        // Inherited from another terminal.
        assert_eq!(chosen(&[20], Some(1)), None);
        assert_eq!(chosen(&[10], Some(4)), Some(1));
        assert_eq!(chosen(&[11], None), None);
    }

    #[test]
    fn a_console_is_no_window() {
        assert_eq!(console("/dev/tty3"), Some("/dev/tty3"));
        assert_eq!((console("/dev/ttyS0"), console("/dev/pts/3")), (None, None));
    }
}
