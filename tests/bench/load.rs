//! Updates through a running system: how long they take, how many go through.
//!
//! Two threads measure: one sends updates and reads the replies, one reads all dashboards. With the system that makes
//! three for two cores; a delivery to the last of many dashboards is as much the reader's time as the system's.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::agents::unix_ms;
use crate::readers::Readers;
use crate::systems::{Counter, Ends, System};

/// Updates on the way at once when as many as possible are to go through.
pub const WINDOW: u64 = 100;
/// Updates that are made before a flood, and sent again and again: two of each session. Those on the way are of different
/// sessions, because agent-console joins the changes of one session in one turn of its loop.
pub const RING: u64 = 4 * WINDOW;
/// Updates that have not reached every dashboard by then are lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// The time between an update's arrival at the last dashboard and the next update. Agents do not send back to back.
pub const PAUSE: Duration = Duration::from_millis(1);

/// A producer and dashboards on a system.
pub struct Load<'a> {
    system: &'a dyn System,
    producer: UnixStream,
    replies: Option<Ends>,
    readers: Readers,
    buffer: Vec<u8>,
}

/// µs to the reply, to each dashboard, to the last dashboard.
#[derive(Default)]
pub struct Samples {
    pub replies: Vec<f64>,
    pub deliveries: Vec<f64>,
    pub last: Vec<f64>,
}

impl<'a> Load<'a> {
    pub fn on(system: &'a dyn System, dashboards: usize) -> Self {
        // D-Bus: the producer first, whose name is in each delivery.
        let producer = system.producer();
        let sockets = system.dashboards(dashboards);
        Self {
            system,
            producer,
            replies: system.replies(),
            readers: Readers::new(sockets, system.deliveries()),
            buffer: vec![0; 64 * 1024],
        }
    }

    /// Sends one update after the other: each when the one before has reached every dashboard, and after a pause.
    pub fn one_by_one(&mut self, updates: u64, pause: Option<Duration>) -> Samples {
        let mut samples = Samples::default();
        for number in 0..updates {
            if let Some(pause) = pause {
                std::thread::sleep(pause);
            }
            let update = self.system.update(number, unix_ms());
            self.readers.expect_next();
            let sent = self.readers.now();
            let since = |at: u64| at.saturating_sub(sent) as f64 / 1e3;
            self.producer.write_all(&update).unwrap();
            if let Some(ends) = self.replies {
                let mut reply = Counter::new(ends);
                while self.read_replies(&mut reply) == 0 {}
                samples.replies.push(since(self.readers.now()));
            }
            let arrivals = self.readers.arrivals(self.system.name());
            samples
                .last
                .extend(arrivals.iter().copied().max().map(since));
            samples.deliveries.extend(arrivals.into_iter().map(since));
        }
        samples
    }

    fn read_replies(&mut self, counter: &mut Counter) -> u64 {
        let count = self.producer.read(&mut self.buffer).unwrap();
        assert!(count > 0, "{} has gone", self.system.name());
        counter.read(&self.buffer[..count])
    }

    /// As many as go through in `time`, at most `most`; how many, and how many a second reached every dashboard.
    pub fn flood(&mut self, most: u64, time: Duration) -> (u64, f64) {
        let at = unix_ms();
        let ring: Vec<_> = (0..RING)
            .map(|number| self.system.update(number, at))
            .collect();
        let mut ring = ring.iter().cycle();
        let mut replies = self.replies.map(Counter::new);
        let mut batch = Vec::new();
        let (mut sent, mut answered) = (0, 0);
        let (before, before_all) = (self.readers.slowest(), self.readers.all());
        let began = Instant::now();
        let mut progress = began;
        loop {
            // A dashboard that is sent more than it reads is dropped in the end: the slowest sets the pace.
            let delivered = self.readers.slowest() - before;
            let done = if replies.is_some() {
                answered.min(delivered)
            } else {
                delivered
            };
            let is_over = sent == most || began.elapsed() >= time;
            if is_over && done == sent {
                break;
            }
            let more = if is_over {
                0
            } else {
                (WINDOW - (sent - done)).min(most - sent)
            };
            if more > 0 {
                batch.clear();
                for update in ring.by_ref().take(usize::try_from(more).unwrap()) {
                    batch.extend(update);
                }
                self.producer.write_all(&batch).unwrap();
                sent += more;
                progress = Instant::now();
            }
            match &mut replies {
                Some(counter) if answered < sent => answered = self.read_replies(counter),
                _ => std::thread::park_timeout(PATIENCE / 20),
            }
            assert!(
                progress.elapsed() < PATIENCE,
                "{}: {sent} updates sent, {answered} answered, {delivered} delivered",
                self.system.name()
            );
        }
        let rate = sent as f64 / began.elapsed().as_secs_f64();
        let dashboards = (self.readers.all() - before_all) / sent.max(1);
        assert_eq!(
            self.readers.all() - before_all,
            sent * dashboards,
            "not one delivery each"
        );
        (sent, rate)
    }
}
