//! Reports the end of processes to a wait, without polling: those of sessions that a restarted daemon does not know.
//!
//! A thread for each restart sleeps until one of the processes ends. Called by `wait` only; knows nothing of sessions.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;

use super::Event;
use crate::os::process::{self, ProcessId};

/// The processes whose end will be reported.
pub(super) struct Exits {
    sender: Sender<Event>,
    watched: HashSet<ProcessId>,
    /// Those for the next thread; each has a descriptor that becomes readable when it ends.
    new: Vec<(ProcessId, OwnedFd)>,
}

impl Exits {
    pub(super) fn new(sender: Sender<Event>) -> Self {
        Self {
            sender,
            watched: HashSet::new(),
            new: Vec::new(),
        }
    }

    /// Reports when this process ends: at once, if it has already, or if its id belongs to another by now. Watching it
    /// twice changes nothing. Takes effect with [`Self::start`].
    ///
    /// # Errors
    ///
    /// The kernel gives no way to watch it.
    pub(super) fn watch(&mut self, process: ProcessId) -> io::Result<()> {
        if self.watched.contains(&process) {
            return Ok(());
        }
        match process::exit_fd(process)? {
            Some(exit) => self.new.push((process, exit)),
            // The receiver is the caller, and there.
            None => drop(self.sender.send(Event::Exited(process))),
        }
        self.watched.insert(process);
        Ok(())
    }

    /// Begins to watch what [`Self::watch`] has added.
    pub(super) fn start(&mut self) {
        let watched = std::mem::take(&mut self.new);
        if !watched.is_empty() {
            let sender = self.sender.clone();
            thread::spawn(move || report(watched, &sender));
        }
    }

    /// The end of this process was reported.
    pub(super) fn reported(&mut self, process: ProcessId) {
        self.watched.remove(&process);
    }
}

/// Sends the end of each process, until all have ended or the receiver is gone.
fn report(mut watched: Vec<(ProcessId, OwnedFd)>, sender: &Sender<Event>) {
    while !watched.is_empty() {
        let exits = watched.iter();
        let mut exits: Vec<_> = exits
            .map(|(_, exit)| PollFd::new(exit, PollFlags::IN))
            .collect();
        // Fails only without memory for the call.
        if retry_on_intr(|| poll(&mut exits, None)).is_err() {
            return;
        }
        let have_ended: Vec<_> = exits
            .iter()
            .map(|exit| !exit.revents().is_empty())
            .collect();
        let mut have_ended = have_ended.into_iter();
        let ended = watched.extract_if(.., |_| have_ended.next().unwrap_or_default());
        for (process, _) in ended {
            if sender.send(Event::Exited(process)).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    fn sleeper() -> (Child, ProcessId) {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let id = process::inspect(child.id()).unwrap().id;
        (child, id)
    }

    #[test]
    fn each_end_is_reported_once() {
        let (sender, events) = channel();
        let next = || match events.recv_timeout(Duration::from_mins(1)) {
            Ok(Event::Exited(process)) => process,
            _ => panic!("no end"),
        };
        let mut exits = Exits::new(sender);
        let [(mut one, first), (mut two, second), (mut three, third)] =
            [sleeper(), sleeper(), sleeper()];
        // The id of a process that is gone belongs to another one by now.
        let reused = ProcessId {
            start: first.start - 1,
            ..first
        };
        for process in [first, second, reused, first] {
            exits.watch(process).unwrap();
        }
        exits.start();
        assert_eq!(next(), reused);
        exits.watch(third).unwrap();
        exits.watch(second).unwrap();
        exits.start();
        exits.start();
        // Reported as a zombie, too.
        two.kill().unwrap();
        assert_eq!(next(), second);
        for child in [&mut three, &mut one] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let mut last = [next(), next()];
        last.sort_by_key(|process| process.pid != first.pid);
        assert_eq!(last, [first, third]);
        two.wait().unwrap();
        exits.reported(second);
        exits.watch(second).unwrap();
        assert_eq!(next(), second);
        drop(exits);
        assert!(events.recv().is_err(), "all threads have ended");
    }
}
