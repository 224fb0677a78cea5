//! What informs a person through the terminal: the bell, and a desktop notification where the terminal can show one.
//!
//! Which sequence a terminal takes follows from its name: `$TERM`, and the variables that it sets. In tmux they are those
//! of the terminal in which its server was started, so tmux is asked which terminal shows the dashboard. Where nothing is
//! known the bell is all.

use std::process::Command;
use std::time::Duration;

use crate::config::variable;
use crate::os::{command, process};

/// The bell.
pub(super) const BELL: &[u8] = b"\x07";

/// How long tmux may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The notification's title.
const TITLE: &str = "agent-console";

/// The first version of VTE that ignores OSC 777 without printing it (Fedora's shows it).
const VTE_WITH_OSC_777: u32 = 4600;

/// How a terminal is asked for a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// iTerm2's: a text.
    Osc9,
    /// rxvt-unicode's, which foot, `WezTerm`, Ghostty, VTE (Fedora's) and Windows Terminal have taken over: title and text.
    Osc777,
    /// kitty's: title and text, each by itself.
    Osc99,
}

/// The terminals by the beginning of `$TERM`, of `$TERM_PROGRAM`, or of the name that they give of themselves (XTVERSION),
/// in small letters.
const TERMINALS: [(&str, Protocol); 9] = [
    ("xterm-kitty", Protocol::Osc99),
    ("kitty", Protocol::Osc99),
    ("foot", Protocol::Osc777),
    ("wezterm", Protocol::Osc777),
    ("xterm-ghostty", Protocol::Osc777),
    ("ghostty", Protocol::Osc777),
    ("contour", Protocol::Osc777),
    ("vte(", Protocol::Osc777),
    ("iterm", Protocol::Osc9),
];

/// Variables that a terminal sets.
const VARIABLES: [(&str, Protocol); 2] = [
    ("KITTY_WINDOW_ID", Protocol::Osc99),
    ("WT_SESSION", Protocol::Osc777),
];

impl Protocol {
    fn of_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let mut terminals = TERMINALS.iter();
        let (_, protocol) = terminals.find(|(begin, _)| name.starts_with(begin))?;
        Some(*protocol)
    }

    /// That of the terminal that has set these variables.
    fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let term = variable("TERM").unwrap_or_default();
        // Screen and zellij pass none of the sequences on, and the other variables are those of the terminal around them.
        let is_multiplexer = term.starts_with("screen") || term.starts_with("tmux");
        if is_multiplexer || variable("ZELLIJ").is_some() {
            return None;
        }
        let names = ["TERM", "TERM_PROGRAM", "LC_TERMINAL"];
        let by_name = names
            .iter()
            .find_map(|name| Self::of_name(&variable(name)?));
        let by_variable = || {
            let mut variables = VARIABLES.iter();
            let (_, protocol) = variables.find(|(name, _)| variable(name).is_some())?;
            Some(*protocol)
        };
        let by_vte = || {
            let version: u32 = variable("VTE_VERSION")?.parse().ok()?;
            (version >= VTE_WITH_OSC_777).then_some(Self::Osc777)
        };
        by_name.or_else(by_variable).or_else(by_vte)
    }

    /// The sequence that shows `text`, in which there are no control characters.
    fn sequence(self, text: &str) -> String {
        match self {
            // A text that begins with a number is an order to ConEmu; this one begins with the title.
            Self::Osc9 => format!("\x1b]9;{TITLE}: {text}\x1b\\"),
            Self::Osc777 => format!("\x1b]777;notify;{TITLE};{text}\x1b\\"),
            Self::Osc99 => {
                format!("\x1b]99;i={TITLE}:d=0;{TITLE}\x1b\\\x1b]99;i={TITLE}:p=body;{text}\x1b\\")
            }
        }
    }
}

/// What informs a person of `text`, in which there are no control characters: the bell, and a notification. Where the
/// dashboard runs in tmux, that is asked, for a second at most.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    let variable = |name: &str| variable(name)?.into_string().ok();
    let sequence = match ask_tmux() {
        Some(answer) => in_tmux(&answer, text),
        None => Protocol::of_variables(variable).map(|protocol| protocol.sequence(text)),
    };
    let mut bytes = BELL.to_vec();
    bytes.extend(sequence.unwrap_or_default().into_bytes());
    bytes
}

/// What tmux says of the pane whose terminal is this process's; `None` where there is no such pane.
fn ask_tmux() -> Option<String> {
    let pane = variable("TMUX_PANE")?;
    variable("TMUX")?;
    let mut tmux = Command::new("tmux");
    tmux.args(["display-message", "-p", "-t"]).arg(&pane);
    tmux.args([
        "#{pane_tty} #{allow-passthrough}",
        ";",
        "list-clients",
        "-t",
    ]);
    tmux.arg(&pane);
    tmux.args([
        "-F",
        "#{client_activity} #{client_termname} #{client_termtype}",
    ]);
    let output = command::output(&mut tmux, TIMEOUT).ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    // The variables may be inherited from another terminal.
    let own = process::inspect(std::process::id()).ok()?.tty?;
    answer.starts_with(&format!("{own} ")).then_some(answer)
}

/// The sequence for the terminal of the client that was used last, if tmux passes it on.
fn in_tmux(answer: &str, text: &str) -> Option<String> {
    let (pane, clients) = answer.split_once('\n')?;
    // A flag before tmux 3.4, a choice since.
    let passes = pane.split(' ').nth(1);
    if !matches!(passes, Some("1" | "on" | "all")) {
        return None;
    }
    let clients = clients.lines().filter_map(|client| {
        let (activity, names) = client.split_once(' ')?;
        Some((activity.parse::<u64>().ok()?, names))
    });
    let (_, names) = clients.max_by_key(|(activity, _)| *activity)?;
    // What it gives as its name, which came by ssh as well, says more than what tmux was started with.
    let protocol = names.rsplit_terminator(' ').find_map(Protocol::of_name)?;
    let inner = protocol.sequence(text).replace('\x1b', "\x1b\x1b");
    Some(format!("\x1bPtmux;{inner}\x1b\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Protocol> {
        Protocol::of_variables(|name| {
            let mut variables = variables.iter();
            let (_, value) = variables.find(|(known, _)| *known == name)?;
            Some((*value).to_owned())
        })
    }

    #[test]
    fn a_terminal_is_known_by_its_variables() {
        const XTERM: (&str, &str) = ("TERM", "xterm-256color");
        type Variables = &'static [(&'static str, &'static str)];
        let cases: [(Variables, Option<Protocol>); 14] = [
            (&[("TERM", "xterm-kitty")], Some(Protocol::Osc99)),
            (&[XTERM, ("KITTY_WINDOW_ID", "1")], Some(Protocol::Osc99)),
            (&[("TERM", "foot-extra")], Some(Protocol::Osc777)),
            (
                &[XTERM, ("TERM_PROGRAM", "WezTerm")],
                Some(Protocol::Osc777),
            ),
            (&[("TERM", "xterm-ghostty")], Some(Protocol::Osc777)),
            (
                &[XTERM, ("TERM_PROGRAM", "iTerm.app")],
                Some(Protocol::Osc9),
            ),
            (&[XTERM, ("LC_TERMINAL", "iTerm2")], Some(Protocol::Osc9)),
            (&[XTERM, ("WT_SESSION", "x")], Some(Protocol::Osc777)),
            (&[XTERM, ("VTE_VERSION", "7200")], Some(Protocol::Osc777)),
            (&[XTERM, ("VTE_VERSION", "3400")], None),
            (&[XTERM], None),
            (&[], None),
            (
                &[("TERM", "screen-256color"), ("KITTY_WINDOW_ID", "1")],
                None,
            ),
            (&[("TERM", "xterm-kitty"), ("ZELLIJ", "0")], None),
        ];
        for (variables, protocol) in cases {
            assert_eq!(of(variables), protocol, "{variables:?}");
        }
    }

    #[test]
    fn each_protocol_has_its_sequence() {
        let is = |protocol: Protocol, sequence: &str| {
            assert_eq!(protocol.sequence("a; b"), sequence);
        };
        is(Protocol::Osc9, "\x1b]9;agent-console: a; b\x1b\\");
        is(Protocol::Osc777, "\x1b]777;notify;agent-console;a; b\x1b\\");
        is(
            Protocol::Osc99,
            "\x1b]99;i=agent-console:d=0;agent-console\x1b\\\x1b]99;i=agent-console:p=body;a; b\x1b\\",
        );
    }

    #[test]
    fn in_tmux_the_client_that_was_used_last_counts_if_tmux_passes_the_sequence_on() {
        let clients = "100 xterm-256color iTerm2 3.4.16\n120 xterm-kitty \n90 tmux-256color \n";
        let shown = in_tmux(&format!("/dev/pts/3 on\n{clients}"), "x").unwrap();
        assert!(shown.starts_with("\x1bPtmux;\x1b\x1b]99;"), "{shown:?}");
        assert!(shown.ends_with("x\x1b\x1b\\\x1b\\"), "{shown:?}");
        let later = clients.replace("100", "130");
        let shown = in_tmux(&format!("/dev/pts/3 1\n{later}"), "x").unwrap();
        assert_eq!(
            shown,
            "\x1bPtmux;\x1b\x1b]9;agent-console: x\x1b\x1b\\\x1b\\"
        );
        for passes in ["off", "0", ""] {
            assert_eq!(
                in_tmux(&format!("/dev/pts/3 {passes}\n{clients}"), "x"),
                None
            );
        }
        // A tmux in a tmux, and no client.
        assert_eq!(
            in_tmux("/dev/pts/3 on\n9 tmux-256color tmux 3.4\n", "x"),
            None
        );
        assert_eq!(in_tmux("/dev/pts/3 on\n", "x"), None);
    }
}
