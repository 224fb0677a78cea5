//! The terminal, taken and given back: however the program ends, the shell finds it as it was.
//!
//! Owns raw mode, the alternate screen, the mouse, and the panic hook that gives all of it back (a release build aborts
//! on a panic and runs no destructor). Signals are the loop's: it calls `Screen::leave`. Knows nothing of what is
//! drawn.

use std::io::{self, BufWriter, Write};

use crossterm::clipboard::CopyToClipboard;
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue, style};
use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::Rect;

use crate::dashboard::app::App;
use crate::dashboard::view;

/// What is asked of the terminal besides: buttons and the wheel, with coordinates beyond 223 (xterm's modes 1000 and 1006). Not every movement of the mouse
/// (1003): nothing follows it, and each would wake this process. And pasted text as such (2004), not as keys.
const MODES: &[u8] = b"\x1b[?1000h\x1b[?1006h\x1b[?2004h";
const NO_MODES: &[u8] = b"\x1b[?2004l\x1b[?1006l\x1b[?1000l";

/// Standard output, without the lock and the line buffer of the standard library's: a panic on one thread must not
/// wait for another that draws.
#[derive(Debug)]
struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(rustix::stdio::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal while the dashboard has it.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Output>>>,
    taken: bool,
}

impl Screen {
    /// Takes the terminal. From now on a panic gives it back first.
    ///
    /// # Errors
    ///
    /// Standard input or output is no terminal.
    pub fn open() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let _ = give_back();
            before(panic);
        }));
        // As much as a whole screen with all its colours takes: one write, one picture.
        let output = BufWriter::with_capacity(64 * 1024, Output);
        let mut screen = Self {
            terminal: Terminal::new(CrosstermBackend::new(output))?,
            taken: false,
        };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes the terminal again, whatever has become of it meanwhile.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        self.taken = true;
        let output = self.terminal.backend_mut();
        queue!(output, EnterAlternateScreen, cursor::Hide)?;
        output.write_all(MODES)?;
        self.redraw()
    }

    /// Gives the terminal back. Once is enough; more does no harm.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.taken) {
            give_back()?;
        }
        Ok(())
    }

    /// The next picture is drawn whole.
    pub(super) fn redraw(&mut self) -> io::Result<()> {
        let size = self.terminal.backend().size()?;
        self.terminal
            .resize(Rect::from((ratatui::layout::Position::ORIGIN, size)))
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.backend().size()?;
        Ok((size.width, size.height))
    }

    /// Draws what has changed; nothing while the terminal is somebody else's.
    pub(super) fn draw(&mut self, app: &App) -> io::Result<()> {
        if !self.taken {
            return Ok(());
        }
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| {
            // Resized between two looks at it: a picture for the new size follows.
            if app.size() == (frame.area().width, frame.area().height) {
                view::draw(app, frame.buffer_mut());
            }
        })?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Hands `text` to the terminal for its clipboard. Terminals that don't do that say nothing.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(
            self.terminal.backend_mut(),
            CopyToClipboard::to_clipboard_from(text)
        )
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.leave();
    }
}

/// Everything that was changed, back; what fails does not keep the rest from being done.
pub(super) fn give_back() -> io::Result<()> {
    let mut text = Vec::new();
    text.extend_from_slice(NO_MODES);
    queue!(
        text,
        EndSynchronizedUpdate,
        style::ResetColor,
        LeaveAlternateScreen,
        cursor::Show
    )?;
    let written = Output.write_all(&text);
    disable_raw_mode()?;
    written
}
