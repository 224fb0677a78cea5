//! The thread that reads keys, the mouse and the terminal's size. It rests while another program has the terminal, so
//! that each key reaches the program that is on the screen.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::{io, thread};

use crossterm::event::Event as Input;
use rustix::process::{Signal, getpid, kill_process};

use super::Message;
use super::update::Event;

/// The reading thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Reader {
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    rests: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, rests: bool) {
        *self.rests.lock().unwrap_or_else(PoisonError::into_inner) = rests;
        self.changed.notify_all();
    }

    fn rests(&self) -> bool {
        *self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it may read again.
    fn wait(&self) {
        let mut rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        while *rests {
            let woken = self.changed.wait(rests);
            rests = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Reader {
    /// Starts the thread, which puts what it reads into the queue.
    pub(super) fn start(sender: SyncSender<Message>) -> Self {
        let reader = Self::default();
        let gate = Arc::clone(&reader.gate);
        thread::spawn(move || read(&sender, &gate));
        reader
    }

    /// Has the thread read no more. [`Message::Resting`] comes once it does not.
    pub(super) fn rest(&self) -> io::Result<()> {
        self.gate.set(true);
        // The signal of a changed size ends its wait for a key (crossterm 0.29).
        Ok(kill_process(getpid(), Signal::WINCH)?)
    }

    /// Has the thread read again.
    pub(super) fn resume(&self) {
        self.gate.set(false);
    }
}

fn read(sender: &SyncSender<Message>, gate: &Gate) {
    loop {
        if gate.rests() {
            if sender.send(Message::Resting).is_err() {
                return;
            }
            gate.wait();
        }
        let message = match crossterm::event::read() {
            Ok(Input::Key(key)) => Message::Event(Event::Key(key)),
            Ok(Input::Mouse(mouse)) => Message::Event(Event::Mouse(mouse)),
            Ok(Input::Resize(columns, rows)) => Message::Event(Event::Resized(columns, rows)),
            Ok(Input::Paste(text)) => Message::Event(Event::Pasted(text)),
            Ok(Input::FocusGained | Input::FocusLost) => continue,
            Err(error) => Message::InputFailed(error),
        };
        let last = matches!(message, Message::InputFailed(_));
        if sender.send(message).is_err() || last {
            return;
        }
    }
}
