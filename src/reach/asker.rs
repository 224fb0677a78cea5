//! Who asks: the terminal in which this process runs, outwards through the multiplexers around it, and the display that
//! its person looks at.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::frame::Frame;
use super::tmux::server::Client;
use crate::os::environment;
use crate::os::process_environment::ProcessEnvironment;

/// How often this process has asked.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// The desktop that a person looks at, by the variables of the outermost terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Display {
    /// `$DISPLAY`
    pub(super) x11: Option<String>,
    /// `$WAYLAND_DISPLAY`
    pub(super) wayland: Option<String>,
    /// `$SWAYSOCK`
    pub(super) sway: Option<PathBuf>,
    /// `$HYPRLAND_INSTANCE_SIGNATURE`
    pub(super) hyprland: Option<String>,
    /// `$XDG_RUNTIME_DIR`
    pub(super) runtime_dir: Option<PathBuf>,
}

impl Display {
    pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| variable(name)?.into_string().ok();
        Self {
            x11: text("DISPLAY"),
            wayland: text("WAYLAND_DISPLAY"),
            sway: variable("SWAYSOCK").map(Into::into),
            hyprland: text("HYPRLAND_INSTANCE_SIGNATURE"),
            runtime_dir: variable("XDG_RUNTIME_DIR").map(Into::into),
        }
    }

    /// Whether a program that was started with this environment has its windows there.
    pub(super) fn is_that_of(&self, environment: &ProcessEnvironment) -> bool {
        let other = Self::read(|name| environment.variable(name));
        let is_same = |own: &Option<String>, other: &Option<String>| own.is_some() && own == other;
        is_same(&self.x11, &other.x11) || is_same(&self.wayland, &other.wayland)
    }
}

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asker {
    /// The tmux servers around this process, the innermost first.
    tmux: Vec<Seat>,
    /// The sessions of other multiplexers around this process, the innermost first.
    pub(super) sessions: Vec<Session>,
    /// There is a terminal that another program can take over.
    pub(super) has_terminal: bool,
    /// `$TMUX` is set.
    pub(super) has_tmux_variable: bool,
    pub(super) display: Display,
    /// This process's id, which makes a name unique.
    pub(super) pid: u32,
    /// How often this process has asked before, which makes a name unique in it.
    pub(super) serial: u32,
}

/// A tmux server in which a process is, and the client that shows it there.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    /// The server's process id.
    pub(super) server: u32,
    /// The server's socket.
    pub(super) socket: String,
    /// `None` where no client shows it.
    pub(super) client: Option<Client>,
}

/// A session of a multiplexer without a server that can be asked for its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Session {
    /// GNU Screen's, by its server's process id.
    Screen(u32),
    /// zellij's, by its name.
    Zellij(String),
}

impl Asker {
    /// This process, if it may use its terminal; `may_attach` where a person decides.
    pub(super) fn new(may_attach: bool) -> Self {
        Self {
            has_terminal: may_attach
                || (std::io::stdin().is_terminal() && std::io::stdout().is_terminal()),
            has_tmux_variable: environment::variable("TMUX").is_some(),
            display: Display::read(environment::variable),
            pid: std::process::id(),
            serial: ASKED.fetch_add(1, Ordering::Relaxed),
            ..Self::default()
        }
    }

    /// No process that is moved: a person at the display that the environment names, or without one at this process's.
    pub(super) fn on_display(environment: Option<&ProcessEnvironment>) -> Self {
        let display = match environment {
            Some(environment) => Display::read(|name| environment.variable(name)),
            None => Display::read(environment::variable),
        };
        Self {
            display,
            pid: std::process::id(),
            ..Self::default()
        }
    }

    /// Adds the tmux server around the innermost terminal that is known so far.
    pub(super) fn add_tmux(&mut self, seat: Seat) {
        self.tmux.push(seat);
    }

    /// What is known once the outermost terminal is found: the display is that of its process.
    pub(super) fn finish(&mut self, outermost: &Frame) {
        let pid = outermost.ancestors.first().map(|process| process.pid);
        let other = pid.filter(|pid| *pid != self.pid);
        if let Some(environment) = other.and_then(ProcessEnvironment::of) {
            self.display = Display::read(|name| environment.variable(name));
        }
    }

    /// The client on a tmux server, if this process is in it.
    pub(super) fn tmux_seat(&self, server: Option<u32>) -> Option<&Seat> {
        self.tmux.iter().find(|seat| Some(seat.server) == server)
    }

    /// The tmux server in a pane of which this process is itself.
    pub(super) fn innermost_tmux(&self) -> Option<&Seat> {
        self.tmux.first()
    }

    /// Whether this process is in a pane of that server, or in one of a server inside it.
    pub(super) fn is_in_tmux(&self, server: u32) -> bool {
        self.tmux_seat(Some(server)).is_some()
    }
}

#[cfg(test)]
impl Asker {
    /// One that is in these servers, the innermost first.
    pub(super) fn for_test(tmux: Vec<Seat>, has_terminal: bool) -> Self {
        Self {
            has_tmux_variable: !tmux.is_empty(),
            tmux,
            has_terminal,
            pid: 99,
            ..Self::default()
        }
    }
}
