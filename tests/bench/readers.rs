//! All dashboards of a load, read by one thread as they become readable.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::systems::{Counter, Ends};

/// An update that has not reached every dashboard by then is lost.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Readers {
    base: Instant,
    seen: Arc<Seen>,
    /// When each dashboard had read the update that was expected, in ns since `base`.
    times: Receiver<Vec<u64>>,
    /// Its end ends the thread.
    end: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// What the reading thread and the sending one share.
#[derive(Default)]
struct Seen {
    /// Deliveries that every dashboard has read so far.
    slowest: AtomicU64,
    /// Deliveries of all dashboards.
    all: AtomicU64,
    /// The number of the update whose arrivals are timed; 0: none.
    expected: AtomicU64,
    /// A connection ended.
    dropped: AtomicBool,
}

impl Readers {
    /// The thread that calls this is unparked whenever more has been read.
    pub fn new(sockets: Vec<UnixStream>, ends: Ends) -> Self {
        let base = Instant::now();
        let seen = Arc::<Seen>::default();
        let (send, times) = channel();
        let (near, far) = UnixStream::pair().unwrap();
        let reading = Thread {
            counters: sockets.iter().map(|_| Counter::new(ends)).collect(),
            counts: vec![0; sockets.len()],
            arrived: Vec::with_capacity(sockets.len()),
            sockets,
            base,
            seen: Arc::clone(&seen),
            times: send,
            sender: std::thread::current(),
        };
        let thread = std::thread::spawn(move || reading.run(&far));
        Self {
            base,
            seen,
            times,
            end: Some(near),
            thread: Some(thread),
        }
    }

    /// Deliveries that every dashboard has read so far.
    pub fn slowest(&self) -> u64 {
        assert!(
            !self.seen.dropped.load(Ordering::Acquire),
            "a dashboard was dropped"
        );
        self.seen.slowest.load(Ordering::Acquire)
    }

    /// Deliveries of all dashboards so far.
    pub fn all(&self) -> u64 {
        self.seen.all.load(Ordering::Acquire)
    }

    /// Arrivals of the update after all that have arrived are timed from now on.
    pub fn expect_next(&self) {
        self.seen
            .expected
            .store(self.slowest() + 1, Ordering::Release);
    }

    /// When each dashboard had the update that was expected.
    pub fn arrivals(&self, system: &str) -> Vec<u64> {
        let arrivals = self.times.recv_timeout(PATIENCE);
        arrivals.unwrap_or_else(|_| {
            let (slowest, all) = (self.slowest(), self.all());
            panic!(
                "{system}: an update was lost; {slowest} deliveries to the slowest, {all} to all"
            )
        })
    }

    pub fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap()
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        drop(self.end.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

struct Thread {
    sockets: Vec<UnixStream>,
    counters: Vec<Counter>,
    counts: Vec<u64>,
    base: Instant,
    seen: Arc<Seen>,
    times: Sender<Vec<u64>>,
    arrived: Vec<u64>,
    /// The thread that sends, which may wait for deliveries.
    sender: std::thread::Thread,
}

impl Thread {
    fn run(mut self, end: &UnixStream) {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        for (number, socket) in self.sockets.iter().chain([end]).enumerate() {
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(&poll, socket, data, epoll::EventFlags::IN).unwrap();
        }
        let mut events = Vec::with_capacity(self.sockets.len() + 1);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            epoll::wait(&poll, spare_capacity(&mut events), None).unwrap();
            for event in events.drain(..) {
                let number = usize::try_from(event.data.u64()).unwrap();
                let Some(mut socket) = self.sockets.get(number) else {
                    return;
                };
                let count = socket.read(&mut buffer).unwrap_or_default();
                if count == 0 {
                    epoll::delete(&poll, socket.as_fd()).unwrap();
                    self.seen.dropped.store(true, Ordering::Release);
                } else {
                    self.count(number, &buffer[..count]);
                }
            }
            let slowest = self.counts.iter().copied().min().unwrap_or_default();
            self.seen.slowest.store(slowest, Ordering::Release);
            self.seen
                .all
                .store(self.counts.iter().sum(), Ordering::Release);
            self.pass_on();
            self.sender.unpark();
        }
    }

    fn count(&mut self, number: usize, bytes: &[u8]) {
        let before = std::mem::replace(&mut self.counts[number], self.counters[number].read(bytes));
        let expected = self.seen.expected.load(Ordering::Acquire);
        if expected > before && expected <= self.counts[number] {
            self.arrived
                .push(u64::try_from(self.base.elapsed().as_nanos()).unwrap());
        }
    }

    /// Once the counts are stored: what is sent next counts on from them.
    fn pass_on(&mut self) {
        if !self.arrived.is_empty() && self.arrived.len() == self.sockets.len() {
            self.seen.expected.store(0, Ordering::Release);
            self.times.send(std::mem::take(&mut self.arrived)).unwrap();
        }
    }
}
