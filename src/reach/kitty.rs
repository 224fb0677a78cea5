//! kitty: a window in a tab of it, by its remote control where that is on.
//!
//! A window of kitty is this terminal's if the process that kitty has started in it is on the terminal.

use std::process::Command;

use serde::Deserialize;

use super::ask::ask;
use super::frame::Frame;
use super::plan::{Move, Place};
use super::window::{self, Tab};
use super::{Proof, Prover, is_number, is_own_socket, is_plain};

/// `kitty @ ls`, as far as it is used (kitty 0.26).
#[derive(Debug, Deserialize)]
struct OsWindow {
    /// The window's id in X11.
    #[serde(default)]
    platform_window_id: Option<u32>,
    tabs: Vec<TabEntry>,
}

#[derive(Debug, Deserialize)]
struct TabEntry {
    windows: Vec<Window>,
}

#[derive(Debug, Deserialize)]
struct Window {
    id: u64,
    /// The process that kitty has started in it.
    pid: u32,
    /// It gets what a person types.
    #[serde(default)]
    is_focused: Option<bool>,
}

/// The window of a terminal.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    id: u64,
    /// The X11 window in which it is.
    x11: Option<u32>,
    is_focused: Option<bool>,
}

/// Whether the frame is in a window of kitty's; `None` where remote control is off.
pub(super) fn prove(frame: &Frame, prover: &Prover<'_>) -> Option<Result<Proof, String>> {
    let claimed = frame.claims.kitty_window.as_deref()?;
    let to = frame.claims.kitty_listen_on.as_deref()?;
    if !is_number(claimed) || !is_plain(to) {
        return None;
    }
    let path = to.strip_prefix("unix:");
    if !to.starts_with("tcp:") && path.is_none() {
        return None;
    }
    // An abstract socket, `unix:@NAME`, is no file.
    if path.is_some_and(|path| !path.starts_with('@') && !is_own_socket(path)) {
        return Some(Err("the kitty of this window is gone".to_owned()));
    }
    Some(confirm(frame, to, prover))
}

fn confirm(frame: &Frame, to: &str, prover: &Prover<'_>) -> Result<Proof, String> {
    let mut asked = Err(None);
    let mut program = "kitten";
    // `kitten` is there since 0.27; on macOS `kitty` is not in the PATH.
    for name in ["kitten", "kitty"] {
        program = name;
        asked = ask(Command::new(name).args(["@", "--to", to, "ls"]));
        if !matches!(asked, Err(None)) {
            break;
        }
    }
    let text = asked.map_err(|why| why.unwrap_or_else(|| "kitty is not installed".to_owned()))?;
    let Found {
        id,
        x11: window,
        is_focused,
    } = find(&text, |pid| frame.is_on_terminal(pid))?;
    let owner = frame.owners().first().map(|owner| owner.pid);
    if !prover.is_on_display(owner) {
        return Err("kitty has its windows on another display than yours".to_owned());
    }
    let matched = format!("id:{id}");
    let words = [
        program,
        "@",
        "--to",
        to,
        "focus-window",
        "--match",
        &matched,
    ];
    let outside = window::prove_owner(frame, window, Tab::Selected, prover);
    Ok(Proof::Window {
        place: Place {
            way: "kitty",
            what: format!("window {id}"),
            remains: None,
            moves: vec![Move::Run(words.map(str::to_owned).into())],
        },
        is_in_front: is_focused,
        // kitty brings the window to the front itself where the desktop allows that.
        outside: outside.and_then(Result::ok).map(Box::new),
    })
}

/// The window whose process is on the terminal.
fn find(text: &str, is_on_terminal: impl Fn(u32) -> bool) -> Result<Found, String> {
    let os_windows: Vec<OsWindow> = serde_json::from_str(text)
        .map_err(|_| "kitty's list of windows cannot be read".to_owned())?;
    let mut windows = os_windows.iter().flat_map(|os_window| {
        let windows = os_window.tabs.iter().flat_map(|tab| &tab.windows);
        windows.map(|window| (window, os_window.platform_window_id))
    });
    let found = windows.find(|(window, _)| is_on_terminal(window.pid));
    let found = found.map(|(window, os_window)| Found {
        id: window.id,
        x11: os_window,
        is_focused: window.is_focused,
    });
    found.ok_or_else(|| "no window of kitty has the session's terminal".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_found_by_its_process() {
        let text = r#"[{"id": 1, "platform_window_id": 4194307, "tabs": [
            {"id": 1, "windows": [{"id": 1, "pid": 10, "env": {"A": "b"}}, {"id": 2, "pid": 11, "is_focused": true}]}]},
            {"id": 2, "tabs": [{"id": 3, "windows": [{"id": 5, "pid": 12}]}]}]"#;
        let found = |pid: u32| find(text, |other| other == pid);
        let window = |id, x11, is_focused| {
            Ok(Found {
                id,
                x11,
                is_focused,
            })
        };
        assert_eq!(found(11), window(2, Some(4_194_307), Some(true)));
        assert_eq!(found(12), window(5, None, None));
        assert!(found(13).is_err());
        assert!(find("[]x", |_| true).is_err());
    }
}
