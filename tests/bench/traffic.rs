//! Updates through a running daemon: how long they take, how many go through.
//!
//! The load is a hook's: `session.report` lines of some 400 bytes for ten sessions whose history is full, so that each
//! notification is as long as it gets. The floor is the same load on [`Echo`], a thread that answers the same number of
//! bytes to the same sockets without looking at what it read: the system calls and nothing else.
//!
//! Two threads measure: one sends updates and reads the replies, one reads all dashboards. With the daemon that makes
//! three for two cores; a delivery to the last of 100 dashboards is as much the reader's time as the daemon's.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::daemon::{Daemon, Wire};
use crate::{Row, percentile};

/// Sessions that the updates go round.
const SESSIONS: u64 = 10;
/// Updates of a round; rounds of daemon and floor take turns.
const UPDATES: u64 = 3000;
const ROUNDS: usize = 3;
/// Updates on the way at once when as many as possible are to go through: fewer than a turn of the daemon's loop takes.
const WINDOW: u64 = 100;

/// The line of one hook's report.
fn update(id: u64, at: u128) -> String {
    let event = if id.is_multiple_of(2) {
        "PreToolUse"
    } else {
        "PostToolUse"
    };
    line(id, id % SESSIONS, event, at)
}

pub fn line(id: u64, session: u64, event: &str, at: u128) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"session.report\",\"params\":{{\"agent\":\"claude-code\",\"at\":{at},\"attended\":true,\
         \"terminal\":{{\"tty\":\"/dev/pts/{session}\",\"term_program\":\"tmux\",\"tmux\":\"/tmp/tmux-1000/default\",\"tmux_pane\":\"%{session}\"}},\
         \"event\":{{\"hook_event_name\":\"{event}\",\"session_id\":\"19440e85-cd7f-4f42-9daf-d078b8555{session:03}\",\"cwd\":\"/home/dev/project\",\
         \"permission_mode\":\"default\",\"tool_name\":\"Bash\",\"tool_input\":{{\"command\":\"cargo test --locked\"}}}}}}}}\n"
    )
}

/// Lines to send again and again, without the cost of making them: an update of each session, twice. All of one time,
/// or those sent again would be late ones, which change nothing.
fn updates() -> Vec<String> {
    let at = unix_ms();
    (0..2 * SESSIONS).map(|id| update(id, at)).collect()
}

pub fn unix_ms() -> u128 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis()
}

/// How many lines end in these bytes.
#[expect(clippy::naive_bytecount, reason = "a few KB at a time")]
fn ends(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// Begins the sessions and fills their histories.
fn begin_sessions(producer: &mut Wire, sessions: u64) {
    for session in 0..sessions {
        producer.ask_line(line(0, session, "SessionStart", unix_ms()).as_bytes());
        for _ in 0..20 {
            producer.ask_line(line(0, session, "UserPromptSubmit", unix_ms()).as_bytes());
            producer.ask_line(line(0, session, "Stop", unix_ms()).as_bytes());
        }
    }
}

/// The sockets of a load: one that sends updates, some that are notified.
pub struct Load {
    producer: Wire,
    readers: Readers,
    /// Lengths of a reply and a notification.
    lengths: (usize, usize),
    /// What answers on the floor; ends once the sockets above are closed.
    _echo: Option<Echo>,
}

impl Load {
    /// On a daemon.
    pub fn on(daemon: &Daemon, dashboards: usize) -> Self {
        let mut producer = daemon.connect();
        begin_sessions(&mut producer, SESSIONS);
        let mut sockets: Vec<Wire> = (0..dashboards).map(|_| daemon.connect()).collect();
        for dashboard in &mut sockets {
            dashboard.ask("subscribe");
        }
        let reply = producer.ask_line(update(0, unix_ms()).as_bytes());
        let mut notification = 0;
        let mut buffer = vec![0; 64 * 1024];
        for dashboard in &mut sockets {
            notification = dashboard.socket.read(&mut buffer).unwrap();
            assert_eq!(buffer[notification - 1], b'\n');
        }
        Self {
            producer,
            readers: Readers::new(sockets.into_iter().map(|wire| wire.socket).collect()),
            lengths: (reply, notification),
            _echo: None,
        }
    }

    /// On the floor; `lengths` of what it answers.
    fn on_floor(lengths: (usize, usize), dashboards: usize) -> Self {
        let (near, far) = UnixStream::pair().unwrap();
        let (told, tellers) = (0..dashboards).map(|_| UnixStream::pair().unwrap()).unzip();
        Self {
            producer: Wire::on(near),
            readers: Readers::new(told),
            lengths,
            _echo: Some(Echo::start(far, tellers, lengths)),
        }
    }

    /// One update after the other, each once the one before has reached everybody: µs to the reply, to each dashboard,
    /// to the last dashboard.
    fn one_by_one(&mut self, samples: &mut Samples) {
        for id in 0..UPDATES {
            let line = update(id, unix_ms());
            self.readers.expect_next();
            let sent = self.readers.now();
            self.producer.ask_line(line.as_bytes());
            samples.replies.push(self.readers.since(sent));
            let times = self.readers.times.recv().unwrap();
            let times = times.into_iter().map(|at| (at - sent) as f64 / 1e3);
            let before = samples.deliveries.len();
            samples.deliveries.extend(times);
            let last = samples.deliveries[before..]
                .iter()
                .copied()
                .reduce(f64::max);
            samples.last.extend(last);
        }
    }

    /// As many as go through in `time`, at most `most`; how many, and how many a second reached every dashboard.
    pub fn flood(&mut self, most: u64, time: Duration) -> (u64, f64) {
        let updates = updates();
        let mut lines = updates.iter().cycle();
        let mut buffer = vec![0; 64 * 1024];
        let mut batch = String::new();
        let (mut sent, mut answered) = (0, 0);
        let before = self.readers.seen.slowest.load(Ordering::Acquire);
        let began = Instant::now();
        loop {
            // Who is sent more than it reads is dropped in the end: the slowest sets the pace.
            let told = self.readers.seen.slowest.load(Ordering::Acquire) - before;
            let done = answered.min(told);
            let is_over = sent == most || began.elapsed() >= time;
            if is_over && done == sent {
                return (sent, sent as f64 / began.elapsed().as_secs_f64());
            }
            let more = if is_over {
                0
            } else {
                (WINDOW - (sent - done)).min(most - sent)
            };
            batch.clear();
            batch.extend((0..more).filter_map(|_| lines.next().map(String::as_str)));
            self.producer.socket.write_all(batch.as_bytes()).unwrap();
            sent += more;
            if answered < sent {
                let count = self.producer.socket.read(&mut buffer).unwrap();
                answered += ends(&buffer[..count]);
            } else {
                std::thread::yield_now();
            }
            assert!(
                !self.readers.seen.dropped.load(Ordering::Acquire),
                "a dashboard was dropped"
            );
        }
    }
}

#[derive(Default)]
struct Samples {
    replies: Vec<f64>,
    deliveries: Vec<f64>,
    last: Vec<f64>,
}

/// All dashboards' sockets, read by one thread as they become readable.
struct Readers {
    base: Instant,
    seen: Arc<Seen>,
    /// When each dashboard had read the update that was expected, in ns since `base`.
    times: Receiver<Vec<u64>>,
    /// Its end ends the thread.
    end: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// What the reading thread and the sending one tell each other.
#[derive(Default)]
struct Seen {
    /// Notifications that every dashboard has read so far.
    slowest: AtomicU64,
    /// The next update's arrivals count from now on.
    expecting: AtomicBool,
    /// A connection ended.
    dropped: AtomicBool,
}

impl Readers {
    fn new(sockets: Vec<UnixStream>) -> Self {
        let base = Instant::now();
        let seen = Arc::<Seen>::default();
        let (send, times) = channel();
        let (near, far) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn({
            let seen = Arc::clone(&seen);
            move || read_all(&sockets, &far, base, &seen, &send)
        });
        Self {
            base,
            seen,
            times,
            end: Some(near),
            thread: Some(thread),
        }
    }

    /// The next update's arrivals count from now on.
    fn expect_next(&self) {
        self.seen.expecting.store(true, Ordering::Release);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap()
    }

    fn since(&self, then: u64) -> f64 {
        (self.now() - then) as f64 / 1e3
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn read_all(
    sockets: &[UnixStream],
    end: &UnixStream,
    base: Instant,
    seen: &Seen,
    times: &Sender<Vec<u64>>,
) {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let watch = |poll: &OwnedFd, socket: &UnixStream, number: usize| {
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(poll, socket, data, epoll::EventFlags::IN).unwrap();
    };
    for (number, socket) in sockets.iter().enumerate() {
        watch(&poll, socket, number);
    }
    watch(&poll, end, sockets.len());
    let mut events = Vec::with_capacity(sockets.len() + 1);
    let mut buffer = vec![0; 64 * 1024];
    let mut arrived = Vec::with_capacity(sockets.len());
    let mut lines = vec![0; sockets.len()];
    loop {
        epoll::wait(&poll, spare_capacity(&mut events), None).unwrap();
        for event in events.drain(..) {
            let number = usize::try_from(event.data.u64()).unwrap();
            let Some(mut socket) = sockets.get(number) else {
                return;
            };
            let count = socket.read(&mut buffer).unwrap();
            let now = base.elapsed();
            if count == 0 {
                epoll::delete(&poll, socket.as_fd()).unwrap();
                seen.dropped.store(true, Ordering::Release);
                continue;
            }
            let ends = ends(&buffer[..count]);
            lines[number] += ends;
            if ends > 0 && seen.expecting.load(Ordering::Acquire) {
                arrived.push(u64::try_from(now.as_nanos()).unwrap());
                if arrived.len() == sockets.len() {
                    seen.expecting.store(false, Ordering::Release);
                    times.send(std::mem::take(&mut arrived)).unwrap();
                }
            }
        }
        let slowest = lines.iter().copied().min().unwrap_or_default();
        seen.slowest.store(slowest, Ordering::Release);
    }
}

/// The floor: reads, answers as many bytes as the daemon would, one write to each socket.
struct Echo(Option<JoinHandle<()>>);

impl Echo {
    fn start(
        mut updates: UnixStream,
        dashboards: Vec<UnixStream>,
        lengths: (usize, usize),
    ) -> Self {
        let lines = |length: usize| {
            let mut line = vec![b'x'; length - 1];
            line.push(b'\n');
            line.repeat(usize::try_from(WINDOW).unwrap())
        };
        let (replies, notifications) = (lines(lengths.0), lines(lengths.1));
        Self(Some(std::thread::spawn(move || {
            let mut buffer = vec![0; 16 * 1024];
            loop {
                let count = updates.read(&mut buffer).unwrap();
                if count == 0 {
                    return;
                }
                let ends = usize::try_from(ends(&buffer[..count])).unwrap();
                updates.write_all(&replies[..ends * lengths.0]).unwrap();
                for mut dashboard in &dashboards {
                    dashboard
                        .write_all(&notifications[..ends * lengths.1])
                        .unwrap();
                }
            }
        })))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.0.take().unwrap().join().unwrap();
    }
}

/// 400 bytes to another thread and back, blocking: the least that a request and its answer can take. µs.
fn ping_pong() -> Vec<f64> {
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 400];
        while far.read_exact(&mut buffer).is_ok() {
            far.write_all(&buffer).unwrap();
        }
    });
    let mut buffer = [b'x'; 400];
    let mut samples = Vec::new();
    for _ in 0..UPDATES {
        let began = Instant::now();
        near.write_all(&buffer).unwrap();
        near.read_exact(&mut buffer).unwrap();
        samples.push(began.elapsed().as_secs_f64() * 1e6);
    }
    drop(near);
    echo.join().unwrap();
    samples
}

pub fn latency() -> Vec<Row> {
    let mut rows = Vec::new();
    for dashboards in [1, 100] {
        let daemon = Daemon::start();
        let mut load = Load::on(&daemon, dashboards);
        let mut floor = Load::on_floor(load.lengths, dashboards);
        let (mut ours, mut theirs, mut pings) =
            (Samples::default(), Samples::default(), Vec::new());
        for _ in 0..ROUNDS {
            load.one_by_one(&mut ours);
            floor.one_by_one(&mut theirs);
            pings.extend(ping_pong());
        }
        let s = if dashboards == 1 { "" } else { "s" };
        let ping = percentile(&mut pings, 0.5);
        let mut reply = row(
            &format!("update → reply, {dashboards} dashboard{s}"),
            &mut ours.replies,
            &mut theirs.replies,
        );
        reply.floor = format!("ping-pong of 400 bytes: {ping:.0} µs; {}", reply.floor);
        rows.push(reply);
        let what = format!("update → dashboard, {dashboards} dashboard{s}");
        rows.push(row(&what, &mut ours.deliveries, &mut theirs.deliveries));
        if dashboards > 1 {
            let what = format!("update → last of {dashboards} dashboards");
            rows.push(row(&what, &mut ours.last, &mut theirs.last));
        }
    }
    rows
}

fn row(what: &str, ours: &mut [f64], theirs: &mut [f64]) -> Row {
    let (typical, worst) = (percentile(ours, 0.5), percentile(ours, 0.99));
    let (floor, floor_worst) = (percentile(theirs, 0.5), percentile(theirs, 0.99));
    Row {
        what: format!("{what}, p50 / p99"),
        figure: format!("{typical:.0} / {worst:.0} µs"),
        floor: format!(
            "echo: {floor:.0} / {floor_worst:.0} µs; {:.2}×",
            typical / floor
        ),
        limit: "1 ms",
    }
}

pub fn throughput() -> Vec<Row> {
    let mut rows = Vec::new();
    for dashboards in [1, 100] {
        let daemon = Daemon::start();
        let mut load = Load::on(&daemon, dashboards);
        let mut floor = Load::on_floor(load.lengths, dashboards);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(load.flood(u64::MAX, Duration::from_secs(1)).1);
            theirs.push(floor.flood(u64::MAX, Duration::from_secs(1)).1);
        }
        let (ours, theirs) = (percentile(&mut ours, 0.5), percentile(&mut theirs, 0.5));
        let count = dashboards as f64;
        let ratio = ours / theirs;
        rows.push(if dashboards == 1 {
            Row {
                what: "updates/s, 1 dashboard".into(),
                figure: format!("{:.0} k", ours / 1e3),
                floor: format!("echo: {:.0} k; {ratio:.2}×", theirs / 1e3),
                limit: "",
            }
        } else {
            Row {
                what: format!(
                    "deliveries/s, {dashboards} dashboards ({} bytes each)",
                    load.lengths.1
                ),
                figure: format!("{:.2} M", ours * count / 1e6),
                floor: format!("echo: {:.2} M; {ratio:.2}×", theirs * count / 1e6),
                limit: "",
            }
        });
    }
    rows
}
