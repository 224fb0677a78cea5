//! Where a person finds a session: its directory and its terminal.

use std::path::Path;

use super::text::sanitize;
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
    add("screen", "session ", &terminal.screen_session);
    add("screen", "window ", &terminal.screen_window);
    add("zellij", "session ", &terminal.zellij_session);
    add("zellij", "pane ", &terminal.zellij_pane);
    add("wezterm", "pane ", &terminal.wezterm_pane);
    add("kitty", "window ", &terminal.kitty_window);
    add("iterm", "session ", &terminal.iterm_session);
    // Where nothing else says which program it is, such as an editor's terminal.
    if places.iter().all(|(name, _)| *name == "terminal")
        && let Some(program) = terminal.term_program.as_deref()
    {
        places.push(("program", sanitize(program)));
    }
    places
}

/// The same in one line: `/dev/pts/3, tmux %3`.
pub(crate) fn terminal_line(terminal: &Terminal) -> String {
    let parts = [
        ("", &terminal.tty),
        ("", &terminal.term_program),
        ("tmux ", &terminal.tmux_pane),
        ("screen ", &terminal.screen_session),
        ("window ", &terminal.screen_window),
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
}
