//! Where a person finds a session: its directory, its terminal, and the command that goes there.

use std::path::Path;

use super::text::{is_unsafe, sanitize};
use crate::config::variable;
use crate::protocol::{SessionRecord, Terminal};

/// The session's directory, with the home directory as `~`; `-` if it is not known.
pub(crate) fn directory(session: &SessionRecord<'_>) -> String {
    let home = variable("HOME");
    match session.cwd.as_deref() {
        Some(cwd) => abbreviate_home(cwd, home.as_deref().map(Path::new)),
        None => "-".into(),
    }
}

/// The path, safe on a terminal, with `home` as `~`.
pub(crate) fn abbreviate_home(path: &str, home: Option<&Path>) -> String {
    let below = home
        .filter(|home| home.parent().is_some())
        .and_then(|home| Path::new(path).strip_prefix(home).ok());
    match below.and_then(Path::to_str) {
        Some("") => "~".into(),
        Some(below) => format!("~/{}", sanitize(below)),
        None => sanitize(path),
    }
}

/// The terminal and the multiplexers in it, each with a name: `tmux` and `pane %3`.
pub(crate) fn location(terminal: &Terminal) -> Vec<(&'static str, String)> {
    let mut places = Vec::new();
    let mut add = |name, what: &str, value: &Option<Box<str>>| {
        if let Some(value) = value.as_deref() {
            places.push((name, format!("{what}{}", sanitize(value))));
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

/// The same in one line: `/dev/pts/3, tmux %3`.
pub(crate) fn terminal_line(terminal: &Terminal) -> String {
    let parts = [
        ("", &terminal.tty),
        ("", &terminal.term_program),
        ("tmux ", &terminal.tmux_pane),
        ("zellij ", &terminal.zellij_session),
        ("pane ", &terminal.zellij_pane),
        ("wezterm ", &terminal.wezterm_pane),
        ("kitty ", &terminal.kitty_window),
        ("iTerm ", &terminal.iterm_session),
    ];
    let parts = parts
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}{}", sanitize(value.as_deref()?))));
    parts.collect::<Vec<_>>().join(", ")
}

/// The shell command that shows the session's tmux pane, from this process's terminal. `None` without tmux, or if the
/// session's values are not of the form that tmux sets.
pub(crate) fn jump_command(terminal: &Terminal) -> Option<String> {
    let here = variable("TMUX");
    let here = here.as_ref().and_then(|tmux| tmux.to_str());
    tmux_command(terminal, here)
}

/// `here`: this process's `$TMUX`, which is the server's socket and two numbers. A client of the same server switches;
/// from elsewhere a new client attaches (tmux(1): both take a pane as their target).
fn tmux_command(terminal: &Terminal, here: Option<&str>) -> Option<String> {
    let pane = terminal.tmux_pane.as_deref()?;
    let number = pane.strip_prefix('%')?;
    if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let server = match terminal.tmux.as_deref() {
        Some(socket) if !socket.starts_with('/') || socket.contains(is_unsafe) => return None,
        Some(socket) => format!(" -S {}", shlex::try_quote(socket).ok()?),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_directory_is_a_tilde() {
        let home = Some(Path::new("/home/ada"));
        for (path, home, shown) in [
            ("/home/ada", home, "~"),
            ("/home/ada", Some(Path::new("/home/ada/")), "~"),
            ("/a\u{1b}[2J", None, "/a\u{fffd}[2J"),
            ("/home/ada/src/x", home, "~/src/x"),
            ("/home/adam", home, "/home/adam"),
            ("/src", Some(Path::new("/")), "/src"),
            ("/src", None, "/src"),
        ] {
            assert_eq!(abbreviate_home(path, home), shown);
        }
    }

    #[test]
    fn the_command_for_a_pane_allows_no_injection() {
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
            Some(r#"tmux -S "/tmp/a b'; rm -rf ~;'" attach-session -t %3"#)
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
