//! The windows of an X11 display, by its window manager's list and request (Extended Window Manager Hints 1.5:
//! `_NET_CLIENT_LIST`, `_NET_WM_PID`, `_NET_ACTIVE_WINDOW`).

use std::time::Duration;

use anyhow::{Context, bail};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt, EventMask, Window as WindowId,
};
use x11rb::rust_connection::RustConnection;

use super::Window;
use crate::os::{clock, machine};
use crate::reach::plan::Move;

/// How long the window manager may take to bring a window to the front.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How often it is asked meanwhile.
const STEP: Duration = Duration::from_millis(10);

/// The most windows that are listed, and the longest name of a machine, in units of four bytes.
const MAX_WINDOWS: u32 = 4096;
const MAX_NAME: u32 = 64;

/// The request is a person's, not a program's own: window managers grant it (`_NET_ACTIVE_WINDOW`, source indication).
const BY_A_PERSON: u32 = 2;

x11rb::atom_manager! {
    /// Names that the server knows by numbers.
    Atoms: AtomsCookie {
        _NET_CLIENT_LIST,
        _NET_WM_PID,
        _NET_ACTIVE_WINDOW,
        WM_CLIENT_MACHINE,
    }
}

/// A display.
struct Server {
    connection: RustConnection,
    root: WindowId,
    atoms: Atoms,
}

impl Server {
    fn connect(display: &str) -> anyhow::Result<Self> {
        let (connection, screen) = x11rb::connect(Some(display))?;
        let atoms = Atoms::new(&connection)?.reply()?;
        let screen = connection.setup().roots.get(screen);
        let root = screen.context("it has no screen")?.root;
        Ok(Self {
            connection,
            root,
            atoms,
        })
    }

    /// A property of numbers; empty where the window lacks it.
    fn numbers(
        &self,
        window: WindowId,
        property: u32,
        kind: AtomEnum,
        limit: u32,
    ) -> anyhow::Result<Vec<u32>> {
        let cookie = self
            .connection
            .get_property(false, window, property, kind, 0, limit)?;
        let reply = cookie.reply()?;
        Ok(reply.value32().into_iter().flatten().collect())
    }

    fn windows(&self) -> anyhow::Result<Vec<WindowId>> {
        self.numbers(
            self.root,
            self.atoms._NET_CLIENT_LIST,
            AtomEnum::WINDOW,
            MAX_WINDOWS,
        )
    }

    /// The process that has made the window, if that is on this machine: a program on another has its own numbers.
    fn pid(&self, window: WindowId) -> anyhow::Result<Option<u32>> {
        let machine = self.connection.get_property(
            false,
            window,
            self.atoms.WM_CLIENT_MACHINE,
            AtomEnum::ANY,
            0,
            MAX_NAME,
        )?;
        let machine = machine.reply()?.value;
        let pid = self.numbers(window, self.atoms._NET_WM_PID, AtomEnum::CARDINAL, 1)?;
        let is_here = machine == machine::host_name().as_bytes();
        Ok(pid.first().copied().filter(|_| is_here))
    }

    fn active(&self) -> anyhow::Result<Option<WindowId>> {
        let property = self.atoms._NET_ACTIVE_WINDOW;
        let active = self.numbers(self.root, property, AtomEnum::WINDOW, 1)?;
        Ok(active.first().copied())
    }
}

/// All windows that the window manager has.
pub(super) fn windows(display: &str) -> Result<Vec<Window>, String> {
    let list = || -> anyhow::Result<Vec<Window>> {
        let server = Server::connect(display)?;
        let mut found = Vec::new();
        let active = server.active()?;
        for window in server.windows()? {
            // One that has just been closed is an error.
            if let Ok(Some(pid)) = server.pid(window) {
                found.push(Window {
                    pid,
                    x11: Some(window),
                    is_active: Some(active == Some(window)),
                    focus: Move::X11 {
                        display: display.to_owned(),
                        window,
                    },
                });
            }
        }
        Ok(found)
    };
    list().map_err(|error| format!("the X11 display cannot be asked for its windows: {error:#}"))
}

/// Asks the window manager to bring a window to the front, on whichever desktop it is, and waits until it is there.
pub(in crate::reach) fn focus(display: &str, window: u32) -> anyhow::Result<()> {
    let server = Server::connect(display)?;
    // Before the request: the last field is the window that is active.
    let active = server.active()?.unwrap_or(0);
    let data = [BY_A_PERSON, x11rb::CURRENT_TIME, active, 0, 0];
    let request = ClientMessageEvent::new(32, window, server.atoms._NET_ACTIVE_WINDOW, data);
    let to_manager = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
    let sent = server
        .connection
        .send_event(false, server.root, to_manager, request)?;
    sent.check()?;
    let end = clock::monotonic() + TIMEOUT;
    while server.active()? != Some(window) {
        if clock::monotonic() > end {
            bail!("the window manager has not brought the window to the front");
        }
        std::thread::sleep(STEP);
    }
    Ok(())
}
