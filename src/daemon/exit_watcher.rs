//! Reports the end of processes that are not children, without polling.
//!
//! A killed agent runs no hook. Its end shows in a descriptor that becomes readable ([`process::exit_fd`]): a pidfd on
//! Linux, a kqueue on macOS. Waiting on it costs no wake-up, and an id that was reused is recognised.
//!
//! Called by the daemon's loop, on its thread, inside a [`tokio::task::LocalSet`]. Knows nothing of sessions.

use super::descriptors;
use super::occasional::Occasional;
use super::reactor::register;
use crate::os::process::{self, ProcessId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

/// Watches any number of processes and reports each that has ended, once.
///
/// Reports are sent from tasks of the loop, never from inside a method of the watcher. Dropping the watcher ends all
/// watches.
#[derive(Debug)]
pub struct ExitWatcher {
    exit_tx: UnboundedSender<ProcessId>,
    watches: Rc<RefCell<HashMap<ProcessId, AbortHandle>>>,
    warnings: Occasional,
}

/// Whether a process is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Its end is reported.
    Yes,
    /// Not now: no descriptor or memory was left. It may be watched when there is.
    LackOfDescriptors,
    /// The kernel gives no way to watch it (a sandbox, an old kernel).
    Never,
}

impl ExitWatcher {
    /// A watcher without watches.
    #[must_use]
    pub fn new(exit_tx: UnboundedSender<ProcessId>) -> Self {
        Self {
            exit_tx,
            watches: Rc::default(),
            warnings: Occasional::default(),
        }
    }

    /// Reports when `process` ends: soon, if it already has, or if its id belongs to another process by now. Watching
    /// it twice changes nothing; after the report it can be watched (and reported) again.
    ///
    /// Where the kernel gives no way to watch it, which is logged, its end will not be reported.
    #[must_use = "if it is not watched, the end of the process must be detected otherwise"]
    pub fn watch(&self, process: ProcessId) -> Watched {
        if self.watches.borrow().contains_key(&process) {
            return Watched::Yes;
        }
        let exit = match exit_of(process) {
            Ok(exit) => exit,
            Err(error) => {
                if let Some(processes) = self.warnings.next() {
                    let pid = process.pid;
                    tracing::warn!(
                        pid,
                        processes,
                        "cannot watch a process, so its end is noticed late or never: {error}"
                    );
                }
                return match error.raw_os_error() {
                    Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOSPC) => {
                        Watched::LackOfDescriptors
                    }
                    _ => Watched::Never,
                };
            }
        };
        let exit_tx = self.exit_tx.clone();
        let watches = Rc::clone(&self.watches);
        let task = tokio::task::spawn_local(async move {
            if let Some(exit) = exit
                && exit.readable().await.is_err()
            {
                // The runtime ends; the process may still run.
                return;
            }
            watches.borrow_mut().remove(&process);
            // Fails only if the event loop has ended.
            let _ = exit_tx.send(process);
        });
        self.watches
            .borrow_mut()
            .insert(process, task.abort_handle());
        Watched::Yes
    }

    /// How many processes are watched.
    pub fn count(&self) -> usize {
        self.watches.borrow().len()
    }

    /// Ends a watch: `process` will not be reported. For one that is not watched nothing changes.
    pub fn unwatch(&self, process: ProcessId) {
        if let Some(task) = self.watches.borrow_mut().remove(&process) {
            task.abort();
        }
    }
}

impl Drop for ExitWatcher {
    fn drop(&mut self) {
        for (_, task) in self.watches.borrow_mut().drain() {
            task.abort();
        }
    }
}

/// A descriptor that becomes readable when the process ends; `None` if it has ended.
fn exit_of(process: ProcessId) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    let Some(descriptor) = process::exit_fd(process)? else {
        return Ok(None);
    };
    if descriptors::is_last(&descriptor) {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    register(descriptor, Interest::READABLE).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reexec::{self, this_test};
    use std::future::Future;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::task::LocalSet;

    /// A child that is killed and reaped when the test ends.
    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> Self {
            let child = Command::new("sleep")
                .arg("600")
                .stdin(Stdio::null())
                .spawn();
            Self(child.unwrap())
        }

        fn id(&self) -> ProcessId {
            process::inspect(self.0.id()).unwrap().id
        }

        fn reap(&mut self) {
            self.0.wait().unwrap();
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, test)
    }

    fn watcher() -> (ExitWatcher, UnboundedReceiver<ProcessId>) {
        let (sender, receiver) = unbounded_channel();
        (ExitWatcher::new(sender), receiver)
    }

    async fn next(reports: &mut UnboundedReceiver<ProcessId>) -> ProcessId {
        tokio::time::timeout(Duration::from_mins(1), reports.recv())
            .await
            .expect("a report")
            .unwrap()
    }

    /// No further end is reported: one that was due would come before the end of a process that is killed now.
    async fn nothing_more(watcher: &ExitWatcher, reports: &mut UnboundedReceiver<ProcessId>) {
        let mut last = Sleeper::start();
        let id = last.id();
        assert_eq!(watcher.watch(id), Watched::Yes);
        last.0.kill().unwrap();
        assert_eq!(next(reports).await, id);
        assert!(watcher.watches.borrow().is_empty());
        assert!(reports.try_recv().is_err());
    }

    #[test]
    fn a_killed_process_is_reported_once_before_it_is_reaped() {
        run(async {
            let (watcher, mut reports) = watcher();
            let mut child = Sleeper::start();
            let id = child.id();
            assert_eq!(watcher.watch(id), Watched::Yes);
            assert_eq!(watcher.watch(id), Watched::Yes);
            tokio::task::yield_now().await;
            assert!(reports.try_recv().is_err());

            child.0.kill().unwrap();
            assert_eq!(next(&mut reports).await, id);
            assert!(process::inspect(id.pid).unwrap().zombie);
            child.reap();
            nothing_more(&watcher, &mut reports).await;
        });
    }

    #[test]
    fn a_zombie_is_reported() {
        run(async {
            let (watcher, mut reports) = watcher();
            let mut child = Sleeper::start();
            let id = child.id();
            child.0.kill().unwrap();
            while !process::inspect(id.pid).unwrap().zombie {
                std::thread::yield_now();
            }
            assert_eq!(watcher.watch(id), Watched::Yes);
            assert_eq!(next(&mut reports).await, id);
            nothing_more(&watcher, &mut reports).await;
        });
    }

    #[test]
    fn a_process_that_is_gone_is_reported_and_not_from_inside_the_call() {
        run(async {
            let (watcher, mut reports) = watcher();
            let mut child = Sleeper::start();
            let gone = child.id();
            child.0.kill().unwrap();
            child.reap();
            let impossible = [0, u32::MAX].map(|pid| ProcessId { pid, start: 1 });
            for id in [gone, impossible[0], impossible[1]] {
                assert_eq!(watcher.watch(id), Watched::Yes);
                assert!(reports.try_recv().is_err());
                assert_eq!(next(&mut reports).await, id);
            }
            nothing_more(&watcher, &mut reports).await;
        });
    }

    #[test]
    fn an_id_that_another_process_has_by_now_is_reported() {
        run(async {
            let (watcher, mut reports) = watcher();
            let child = Sleeper::start();
            let other = ProcessId {
                start: child.id().start - 1,
                ..child.id()
            };
            assert_eq!(watcher.watch(other), Watched::Yes);
            assert_eq!(next(&mut reports).await, other);
            nothing_more(&watcher, &mut reports).await;
        });
    }

    #[test]
    fn an_ended_watch_reports_nothing() {
        run(async {
            let (watcher, mut reports) = watcher();
            let child = Sleeper::start();
            let gone = ProcessId {
                pid: u32::MAX,
                start: 1,
            };
            for id in [child.id(), gone] {
                assert_eq!(watcher.watch(id), Watched::Yes);
                watcher.unwatch(id);
                watcher.unwatch(id);
            }
            drop(child);
            nothing_more(&watcher, &mut reports).await;
        });
    }

    #[test]
    fn many_processes_are_watched_at_once() {
        run(async {
            let (watcher, mut reports) = watcher();
            let mut children: Vec<_> = (0..50).map(|_| Sleeper::start()).collect();
            let mut ids: Vec<_> = children.iter().map(Sleeper::id).collect();
            assert!(ids.iter().all(|id| watcher.watch(*id) == Watched::Yes));
            for child in &mut children {
                child.0.kill().unwrap();
            }
            while !ids.is_empty() {
                let id = next(&mut reports).await;
                let index = ids.iter().position(|known| *known == id).unwrap();
                ids.swap_remove(index);
            }
            nothing_more(&watcher, &mut reports).await;
        });
    }

    /// In a process of its own, which may open few files.
    #[test]
    fn a_watch_that_the_kernel_refuses_is_reported() {
        if reexec::argument().is_none() {
            let mut shell = Command::new("sh");
            shell
                .args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""])
                .arg(std::env::current_exe().unwrap())
                .stdin(Stdio::null());
            reexec::second_half(&mut shell, this_test!(), "few files");
            reexec::assert_passed(&shell.output().unwrap());
            return;
        }
        run(async {
            let (watcher, mut reports) = watcher();
            let own = process::inspect(std::process::id()).unwrap().id;
            let mut open = Vec::new();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                open.push(file);
                assert!(open.len() <= 64, "there is no limit");
            }
            assert_eq!(watcher.watch(own), Watched::LackOfDescriptors);
            open.clear();
            // It was not taken for watched.
            assert_eq!(watcher.watch(own), Watched::Yes);
            assert!(reports.try_recv().is_err());
        });
    }
}
