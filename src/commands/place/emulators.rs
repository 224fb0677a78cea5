//! The commands for the places that are not in tmux: GNU Screen, zellij, `WezTerm`, kitty.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::is_plain;
use crate::os::{peer, process};
use crate::protocol::Terminal;

/// The command's words, or why there is none; `None` where the terminal is none of these, or the address is not whole.
/// `variable` reads this process's environment.
pub(super) fn way(
    terminal: &Terminal,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<Result<Vec<String>, String>> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    if let Some(session) = terminal.zellij_session.as_deref() {
        // From within the same session there is nothing to attach; zellij selects no pane by its id.
        let is_here = variable("ZELLIJ_SESSION_NAME").as_deref() == Some(session);
        let is_name = is_plain(session) && !session.starts_with('-');
        return (is_name && !is_here).then(|| Ok(words(&["zellij", "attach", session])));
    }
    if let Some(session) = terminal.screen_session.as_deref() {
        // "pid.name" (screen(1)).
        let pid = session.split('.').next()?.parse().ok()?;
        if !is_plain(session) {
            return None;
        }
        if process::inspect(pid).is_err() {
            return Some(Err(format!("the screen session {session} is gone")));
        }
        let mut command: Vec<String> = words(&["screen", "-x", session]);
        let window = terminal.screen_window.as_deref();
        if let Some(window) = window.filter(|window| is_number(window)) {
            command.extend(words(&["-p", window]));
        }
        return Some(Ok(command));
    }
    if let (Some(pane), Some(socket)) = (
        terminal.wezterm_pane.as_deref(),
        terminal.wezterm_socket.as_deref(),
    ) {
        if !is_number(pane) || !is_plain(socket) {
            return None;
        }
        if !is_own_socket(socket) {
            return Some(Err("the WezTerm of this pane is gone".to_owned()));
        }
        // It takes the socket from its environment only.
        let socket = format!("WEZTERM_UNIX_SOCKET={socket}");
        let activate = ["wezterm", "cli", "activate-pane", "--pane-id", pane];
        return Some(Ok(words(&[&["env", &socket], &activate[..]].concat())));
    }
    let (window, to) = (
        terminal.kitty_window.as_deref()?,
        terminal.kitty_listen_on.as_deref()?,
    );
    if !is_number(window) || !is_plain(to) {
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
    let matched = format!("id:{window}");
    let focus = ["focus-window", "--match", &matched];
    let command = [&["kitten", "@", "--to", to], &focus[..]].concat();
    Some(Ok(words(&command)))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a socket of this user's is at `path`.
fn is_own_socket(path: &str) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|found| found.file_type().is_socket() && peer::trusted(found.uid()))
}

#[cfg(test)]
mod tests {
    use super::super::shell_command;
    use super::*;
    use std::os::unix::net::UnixListener;

    fn command(terminal: &Terminal) -> Option<Result<String, String>> {
        let way = way(terminal, |_| None)?;
        Some(way.map(|words| shell_command(&words)))
    }

    #[test]
    fn each_program_has_its_command() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a socket");
        let _listener = UnixListener::bind(&path).unwrap();
        let path = path.to_str().unwrap();
        let wezterm = Terminal {
            wezterm_pane: Some("17".into()),
            wezterm_socket: Some(path.into()),
            ..Terminal::default()
        };
        assert_eq!(
            command(&wezterm),
            Some(Ok(format!(
                "env 'WEZTERM_UNIX_SOCKET={path}' wezterm cli activate-pane --pane-id 17"
            )))
        );
        let kitty = Terminal {
            kitty_window: Some("3".into()),
            kitty_listen_on: Some(format!("unix:{path}").into()),
            ..Terminal::default()
        };
        assert_eq!(
            command(&kitty),
            Some(Ok(format!(
                "kitten @ --to 'unix:{path}' focus-window --match id:3"
            )))
        );
        let zellij = Terminal {
            zellij_session: Some("it's".into()),
            zellij_pane: Some("4".into()),
            ..Terminal::default()
        };
        assert_eq!(
            command(&zellij),
            Some(Ok(r#"zellij attach "it's""#.to_owned()))
        );
        let session = format!("{}.pts-1.host", std::process::id());
        let screen = Terminal {
            screen_session: Some(session.clone().into()),
            screen_window: Some("2".into()),
            ..Terminal::default()
        };
        assert_eq!(
            command(&screen),
            Some(Ok(format!("screen -x {session} -p 2")))
        );
    }

    #[test]
    fn what_is_gone_gets_a_reason() {
        let missing = "/nonexistent/socket";
        for gone in [
            Terminal {
                wezterm_pane: Some("17".into()),
                wezterm_socket: Some(missing.into()),
                ..Terminal::default()
            },
            Terminal {
                kitty_window: Some("3".into()),
                kitty_listen_on: Some(format!("unix:{missing}").into()),
                ..Terminal::default()
            },
            Terminal {
                screen_session: Some("4294967295.pts-1.host".into()),
                ..Terminal::default()
            },
        ] {
            let reason = command(&gone).unwrap().unwrap_err();
            assert!(reason.ends_with(" is gone"), "{reason}");
        }
    }

    #[test]
    fn half_an_address_and_a_forged_one_have_no_command() {
        for terminal in [
            Terminal::default(),
            Terminal {
                wezterm_pane: Some("17".into()),
                ..Terminal::default()
            },
            Terminal {
                kitty_window: Some("3; id".into()),
                kitty_listen_on: Some("unix:@kitty".into()),
                ..Terminal::default()
            },
            Terminal {
                kitty_window: Some("3".into()),
                kitty_listen_on: Some("--help".into()),
                ..Terminal::default()
            },
            Terminal {
                zellij_session: Some("--help".into()),
                ..Terminal::default()
            },
            Terminal {
                zellij_session: Some("a\u{1b}[2J".into()),
                ..Terminal::default()
            },
        ] {
            assert_eq!(command(&terminal), None, "{terminal:?}");
        }
    }

    #[test]
    fn a_person_in_the_same_zellij_session_is_there() {
        let terminal = Terminal {
            zellij_session: Some("work".into()),
            ..Terminal::default()
        };
        assert_eq!(way(&terminal, |_| Some("work".to_owned())), None);
    }
}
