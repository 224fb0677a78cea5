//! What brings a person to a session's terminal: places from the inside out, each with what must be done there. Values
//! only: the ways make them, [`super::execute()`] carries them out, the commands show them.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::format::sanitize;
use crate::os::shell::quote;

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// Runs a program to its end.
    Run(Vec<String>),
    /// Runs a program on this process's terminal, in this process's place. It is the last move.
    Attach(Vec<String>),
    /// Has sway focus a container.
    Sway {
        /// sway's socket.
        socket: PathBuf,
        /// The container's id in its tree.
        container: i64,
    },
    /// Has Hyprland focus a window.
    Hyprland {
        /// Hyprland's socket.
        socket: PathBuf,
        /// Its signature, which names this Hyprland to `hyprctl`.
        instance: String,
        /// The window's address: `0x5581c0`.
        address: String,
    },
    /// Asks the window manager of an X11 display for a window.
    X11 {
        /// The display: `:0`.
        display: String,
        /// The window's id.
        window: u32,
    },
}

impl Move {
    /// The same as a command's words, for a person.
    pub(crate) fn words(&self) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        match self {
            Self::Run(command) | Self::Attach(command) => command.clone(),
            Self::Sway { socket, container } => {
                let focus = format!("[con_id={container}] focus");
                words(&["swaymsg", "-s", &socket.to_string_lossy(), &focus])
            }
            Self::Hyprland {
                instance, address, ..
            } => {
                let window = format!("address:{address}");
                words(&[
                    "hyprctl",
                    "-i",
                    instance,
                    "dispatch",
                    "focuswindow",
                    &window,
                ])
            }
            Self::X11 { display, window } => {
                let display = format!("DISPLAY={display}");
                let window = format!("{window:#010x}");
                words(&["env", &display, "wmctrl", "-i", "-a", &window])
            }
        }
    }

    /// The command for a shell.
    fn shell_command(&self) -> String {
        let words: Vec<_> = self.words().iter().map(|word| quote(word)).collect();
        words.join(" ")
    }
}

/// A place that has been confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The way's name: `tmux`.
    pub(crate) way: &'static str,
    /// Which place it is there: `pane %3`.
    pub(crate) what: String,
    /// What a person must still do there, because the program cannot be asked to: `select its tab`.
    pub(crate) remains: Option<String>,
    /// What brings it to the front; nothing where it is there.
    pub(crate) moves: Vec<Move>,
}

/// The way to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// From the inside out; at least one.
    pub(crate) places: Vec<Place>,
}

impl Plan {
    /// All moves, in the order in which they are made: what is inside is in place before its window comes to the front,
    /// and what takes over the terminal is last.
    pub(crate) fn moves(&self) -> impl Iterator<Item = &Move> {
        let moves = || self.places.iter().flat_map(|place| &place.moves);
        let attaches = |made: &&Move| matches!(made, Move::Attach(_));
        let first = moves().filter(move |made| !attaches(made));
        first.chain(moves().filter(attaches))
    }

    /// The moves as one line for a shell; empty where the person is there.
    pub(crate) fn shell_line(&self) -> String {
        let commands: Vec<_> = self.moves().map(Move::shell_command).collect();
        commands.join(" && ")
    }

    /// What a person must still do, with the way's name.
    pub(crate) fn remains(&self) -> impl Iterator<Item = String> {
        let places = self.places.iter();
        places.filter_map(|place| {
            let remains = place.remains.as_deref()?;
            Some(format!("{}: {}", place.way, sanitize(remains)))
        })
    }

    /// The places for a script.
    pub(crate) fn json(&self) -> Value {
        let places = self.places.iter().map(|place| {
            let commands: Vec<_> = place.moves.iter().map(Move::words).collect();
            json!({"way": place.way, "place": sanitize(&place.what), "commands": commands,
                "remains": place.remains.as_deref().map(sanitize)})
        });
        places.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_over_the_terminal_is_last() {
        let run = |word: &str| Move::Run(vec![word.to_owned()]);
        let attach = Move::Attach(vec!["tmux".into(), "attach it".into()]);
        let place = |moves| Place {
            way: "x",
            what: "pane".into(),
            remains: None,
            moves,
        };
        let plan = Plan {
            places: vec![
                place(vec![run("a")]),
                place(vec![attach]),
                place(vec![run("b")]),
            ],
        };
        assert_eq!(plan.shell_line(), "a && b && tmux 'attach it'");
    }

    #[test]
    fn a_message_to_a_window_manager_is_shown_as_its_command() {
        let shown = |made: Move| made.shell_command();
        let sway = Move::Sway {
            socket: "/run/user/1/sway.sock".into(),
            container: 7,
        };
        assert_eq!(
            shown(sway),
            "swaymsg -s /run/user/1/sway.sock '[con_id=7] focus'"
        );
        let hyprland = Move::Hyprland {
            socket: "/run/x".into(),
            instance: "abc_1".into(),
            address: "0x55a".into(),
        };
        assert_eq!(
            shown(hyprland),
            "hyprctl -i abc_1 dispatch focuswindow address:0x55a"
        );
        let x11 = Move::X11 {
            display: ":0".into(),
            window: 0x40_0007,
        };
        assert_eq!(shown(x11), "env 'DISPLAY=:0' wmctrl -i -a 0x00400007");
    }
}
