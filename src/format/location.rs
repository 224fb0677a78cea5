//! Where a person finds a session: its directory, its terminal, and the command that goes there.

use std::path::Path;

use super::{is_harmful, plain};
use crate::config::variable;
use crate::protocol::{SessionRecord, Terminal};

/// The session's directory, with the home directory as `~`; `-` if it is not known.
pub(crate) fn directory(session: &SessionRecord<'_>) -> String {
    let home = variable("HOME");
    match session.cwd.as_deref() {
        Some(cwd) => plain(&tilde(cwd, home.as_deref().map(Path::new))),
        None => "-".into(),
    }
}

/// The path with `home` as `~`.
fn tilde(path: &str, home: Option<&Path>) -> String {
    let below = home
        .filter(|home| home.parent().is_some())
        .and_then(|home| Path::new(path).strip_prefix(home).ok());
    match below.and_then(Path::to_str) {
        Some("") => "~".into(),
        Some(below) => format!("~/{below}"),
        None => path.into(),
    }
}

/// The terminal and what runs in it, each with its name: `tmux` and `pane %3`.
pub(crate) fn whereabouts(terminal: &Terminal) -> Vec<(&'static str, String)> {
    let mut places = Vec::new();
    let mut add = |name, what: &str, value: &Option<Box<str>>| {
        if let Some(value) = value.as_deref() {
            places.push((name, format!("{what}{}", plain(value))));
        }
    };
    add("terminal", "", &terminal.tty);
    add("tmux", "pane ", &terminal.tmux_pane);
    add("zellij", "session ", &terminal.zellij_session);
    add("zellij", "pane ", &terminal.zellij_pane);
    add("wezterm", "pane ", &terminal.wezterm_pane);
    add("kitty", "window ", &terminal.kitty_window);
    add("iterm", "session ", &terminal.iterm_session);
    places
}

/// The command that goes to the session, where it runs in tmux: for a shell of this process's surroundings. `None`
/// where what the session says of its place is not what tmux would have told it.
pub(crate) fn way_there(terminal: &Terminal) -> Option<String> {
    let here = variable("TMUX");
    let here = here.as_ref().and_then(|tmux| tmux.to_str());
    tmux_command(terminal, here)
}

/// `here`: our own `$TMUX`, the server's socket and two numbers. A client of the same server switches; anybody else
/// attaches a new one (tmux(1), both take a pane as their target).
fn tmux_command(terminal: &Terminal, here: Option<&str>) -> Option<String> {
    let pane = terminal.tmux_pane.as_deref()?;
    let number = pane.strip_prefix('%')?;
    if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let server = match terminal.tmux.as_deref() {
        Some(socket) if !socket.starts_with('/') || socket.contains(is_harmful) => return None,
        Some(socket) => format!(" -S {}", quoted(socket)),
        None => String::new(),
    };
    let here = here.and_then(|tmux| tmux.rsplitn(3, ',').nth(2));
    let verb = if here.is_some() && here == terminal.tmux.as_deref() {
        "switch-client"
    } else {
        "attach-session"
    };
    Some(format!("tmux{server} {verb} -t {pane}"))
}

/// The text as one word of a POSIX shell's.
fn quoted(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,".contains(c);
    if !text.is_empty() && text.chars().all(bare) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_a_tilde() {
        let home = Some(Path::new("/home/ada"));
        for (path, home, shown) in [
            ("/home/ada", home, "~"),
            ("/home/ada/src/x", home, "~/src/x"),
            ("/home/adam", home, "/home/adam"),
            ("/src", Some(Path::new("/")), "/src"),
            ("/src", None, "/src"),
        ] {
            assert_eq!(tilde(path, home), shown);
        }
    }

    #[test]
    fn the_way_to_a_pane_is_a_command_that_nothing_can_be_slipped_into() {
        let terminal = |tmux: Option<&str>, pane: &str| Terminal {
            tmux: tmux.map(Into::into),
            tmux_pane: Some(pane.into()),
            ..Terminal::default()
        };
        let usual = terminal(Some("/tmp/tmux-1000/default"), "%3");
        assert_eq!(
            tmux_command(&usual, Some("/tmp/tmux-1000/default,77,0")).as_deref(),
            Some("tmux -S /tmp/tmux-1000/default switch-client -t %3")
        );
        for here in [None, Some("/tmp/tmux-1000/other,77,0"), Some("strange")] {
            assert_eq!(
                tmux_command(&usual, here).as_deref(),
                Some("tmux -S /tmp/tmux-1000/default attach-session -t %3")
            );
        }
        assert_eq!(
            tmux_command(&terminal(None, "%3"), None).as_deref(),
            Some("tmux attach-session -t %3")
        );
        assert_eq!(
            tmux_command(&terminal(Some("/tmp/a b'; rm -rf ~;'"), "%3"), None).as_deref(),
            Some(r"tmux -S '/tmp/a b'\''; rm -rf ~;'\''' attach-session -t %3")
        );
        for (tmux, pane) in [
            (Some("/tmp/x\u{1b}[2J"), "%3"),
            (Some("relative"), "%3"),
            (Some("/tmp/x"), "%3; rm -rf ~"),
            (Some("/tmp/x"), "%"),
            (Some("/tmp/x"), "3"),
        ] {
            assert_eq!(tmux_command(&terminal(tmux, pane), None), None);
        }
    }
}
