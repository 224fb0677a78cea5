//! The terminal's modes, set at the start and restored however the program ends.
//!
//! Owns raw mode, the alternate screen, the mouse, and the panic hook that restores all of it (a release build aborts
//! on a panic and runs no destructor). The loop handles signals and calls `Screen::leave`. Knows nothing of what is
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

use crate::dashboard::model::Model;
use crate::dashboard::view;

/// Further modes: mouse buttons and the wheel, with coordinates beyond 223 (xterm's 1000 and 1006), and bracketed paste
/// (2004). Not mouse movements (1003): nothing uses them, and each would wake this process.
const MODES: &[u8] = b"\x1b[?1000h\x1b[?1006h\x1b[?2004h";
const NO_MODES: &[u8] = b"\x1b[?2004l\x1b[?1006l\x1b[?1000l";

/// Standard output without the standard library's lock and line buffer: a panic on one thread must not wait for another
/// that draws.
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

/// The terminal in the dashboard's modes.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Output>>>,
    taken: bool,
}

impl Screen {
    /// Sets the terminal's modes. From now on a panic restores them first.
    ///
    /// # Errors
    ///
    /// Standard input or output is no terminal.
    pub fn open() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let _ = restore();
            before(panic);
        }));
        // Large enough for a whole screen with colours, so that each picture is one write.
        let output = BufWriter::with_capacity(64 * 1024, Output);
        let mut screen = Self {
            terminal: Terminal::new(CrosstermBackend::new(output))?,
            taken: false,
        };
        screen.enter()?;
        Ok(screen)
    }

    /// Sets the modes again, after another program has used the terminal.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        self.taken = true;
        let output = self.terminal.backend_mut();
        queue!(output, EnterAlternateScreen, cursor::Hide)?;
        output.write_all(MODES)?;
        self.redraw()
    }

    /// Restores the terminal's modes. Does nothing the second time.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.taken) {
            restore()?;
        }
        Ok(())
    }

    /// Has the next picture drawn in full.
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

    /// Draws the cells that have changed; nothing after [`leave`](Self::leave).
    pub(super) fn draw(&mut self, model: &Model) -> io::Result<()> {
        if !self.taken {
            return Ok(());
        }
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| {
            // Resized since the event: a picture for the new size follows.
            if model.size() == (frame.area().width, frame.area().height) {
                view::draw(model, frame.buffer_mut());
            }
        })?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Writes a bell or a notification; nothing while another program has the terminal.
    pub(super) fn inform(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.taken {
            return Ok(());
        }
        let output = self.terminal.backend_mut();
        output.write_all(bytes)?;
        Write::flush(output)
    }

    /// Sends `text` to the terminal's clipboard (OSC 52). A terminal without this gives no error.
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

/// Restores every mode; a failure does not prevent the rest.
pub(super) fn restore() -> io::Result<()> {
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
