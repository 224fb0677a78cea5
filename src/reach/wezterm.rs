//! `WezTerm`: a pane, by its command line program. A pane is this terminal's if it has the terminal's device.

use std::process::Command;

use serde::Deserialize;

use super::ask::ask;
use super::frame::Frame;
use super::plan::{Move, Place};
use super::window::{self, Tab};
use super::{Proof, Prover, is_own_socket, is_plain};

/// `wezterm cli list --format json`, as far as it is used.
#[derive(Debug, Deserialize)]
struct Pane {
    pane_id: u64,
    /// Since 20220904; earlier versions prove nothing.
    #[serde(default)]
    tty_name: Option<String>,
}

/// Whether the frame is in a pane of `WezTerm`'s.
pub(super) fn prove(frame: &Frame, prover: &Prover<'_>) -> Option<Result<Proof, String>> {
    frame.claims.wezterm_pane.as_deref()?;
    let socket = frame.claims.wezterm_socket.as_deref()?;
    if !is_plain(socket) {
        return None;
    }
    if !is_own_socket(socket) {
        return Some(Err("the WezTerm of this pane is gone".to_owned()));
    }
    Some(confirm(frame, socket, prover))
}

fn confirm(frame: &Frame, socket: &str, prover: &Prover<'_>) -> Result<Proof, String> {
    let list = ["cli", "--no-auto-start", "list", "--format", "json"];
    let text = ask(Command::new("wezterm")
        .args(list)
        .env("WEZTERM_UNIX_SOCKET", socket))
    .map_err(|why| why.unwrap_or_else(|| "wezterm is not installed".to_owned()))?;
    let pane = find(&text, frame.tty.as_deref())?.to_string();
    let owner = frame.owners().first().map(|owner| owner.pid);
    if !prover.is_on_display(owner) {
        return Err("WezTerm has its windows on another display than yours".to_owned());
    }
    // It takes the socket from its environment only.
    let socket = format!("WEZTERM_UNIX_SOCKET={socket}");
    let activate = ["wezterm", "cli", "activate-pane", "--pane-id", &pane];
    let words = [&["env", &socket], &activate[..]].concat();
    let outside = window::prove_owner(frame, None, Tab::Selected, prover);
    Ok(Proof::Window {
        place: Place {
            way: "wezterm",
            what: format!("pane {pane}"),
            remains: None,
            moves: vec![Move::Run(words.into_iter().map(str::to_owned).collect())],
        },
        is_in_front: None,
        outside: outside.and_then(Result::ok).map(Box::new),
    })
}

fn find(text: &str, tty: Option<&str>) -> Result<u64, String> {
    let panes: Vec<Pane> = serde_json::from_str(text)
        .map_err(|_| "WezTerm's list of panes cannot be read".to_owned())?;
    let mut panes = panes.into_iter();
    let found = panes.find(|pane| pane.tty_name.is_some() && pane.tty_name.as_deref() == tty);
    let found = found.map(|pane| pane.pane_id);
    found.ok_or_else(|| "no pane of WezTerm has the session's terminal".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pane_is_found_by_its_terminal() {
        let text = r#"[{"window_id": 0, "pane_id": 4, "tty_name": "/dev/pts/3"}, {"pane_id": 5}]"#;
        assert_eq!(find(text, Some("/dev/pts/3")), Ok(4));
        assert!(find(text, Some("/dev/pts/4")).is_err());
        assert!(
            find(text, None).is_err(),
            "an unknown terminal is no pane's"
        );
    }
}
