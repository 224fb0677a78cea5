//! The floors: processes that read as many bytes and write as many, to the same number of sockets, without looking at
//! them: a loop around epoll, and tokio on one thread. This very program, executed again with [`ARGUMENT`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Child;
use std::rc::Rc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::{Ends, Server, System, UPDATE, ask};

pub const ARGUMENT: &str = "--floor";
/// A dashboard's first byte; a producer's is its update's.
const SUBSCRIBE: u8 = b's';
/// Updates that one read may hold.
const MANY: usize = 200;
const LISTENER: u64 = 0;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Epoll,
    Tokio,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Tokio => "tokio",
        }
    }
}

pub struct Floor {
    server: Server,
    kind: Kind,
    delivery: usize,
}

impl Floor {
    /// With the lengths of a reply and of a delivery.
    pub fn start(kind: Kind, (reply, delivery): (usize, usize)) -> Self {
        let program = std::env::current_exe().unwrap();
        let server = Server::spawn(&program, |directory| {
            let socket = directory.join("socket").display().to_string();
            let (reply, delivery) = (reply.to_string(), delivery.to_string());
            vec![ARGUMENT.into(), kind.name().into(), socket, reply, delivery]
        });
        drop(server.connect_soon());
        Self {
            server,
            kind,
            delivery,
        }
    }
}

impl System for Floor {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn process(&self) -> &Child {
        &self.server.child
    }

    fn producer(&self) -> UnixStream {
        self.server.connect()
    }

    fn dashboards(&self, count: usize) -> Vec<UnixStream> {
        let dashboard = |_| {
            let mut socket = self.server.connect();
            ask(&mut socket, &[SUBSCRIBE], 1);
            socket
        };
        (0..count).map(dashboard).collect()
    }

    fn update(&self, _: u64, _: u128) -> Vec<u8> {
        let mut update = vec![b'x'; UPDATE];
        update[UPDATE - 1] = b'\n';
        update
    }

    fn replies(&self) -> Option<Ends> {
        Some(Ends::Lines)
    }

    fn deliveries(&self) -> Ends {
        Ends::Every(self.delivery)
    }

    fn delivery_length(&self) -> usize {
        self.delivery
    }
}

/// What the process does: `arguments` follow [`ARGUMENT`]. Ends when it is killed.
pub fn run(arguments: &[String]) {
    let [kind, socket, reply, delivery] = arguments else {
        panic!("a kind, a socket, two lengths");
    };
    let answers = Answers::new(reply.parse().unwrap(), delivery.parse().unwrap());
    if kind == Kind::Epoll.name() {
        run_epoll(Path::new(socket), &answers);
    } else {
        run_tokio(Path::new(socket), answers);
    }
}

/// What is written, many times over, so that several are one write.
struct Answers {
    reply: usize,
    delivery: usize,
    lines: Vec<u8>,
}

impl Answers {
    fn new(reply: usize, delivery: usize) -> Self {
        let mut line = vec![b'x'; reply - 1];
        line.push(b'\n');
        let lines = line.repeat(MANY * reply.max(delivery) / reply + MANY);
        Self {
            reply,
            delivery,
            lines,
        }
    }

    fn replies(&self, updates: usize) -> &[u8] {
        &self.lines[..updates * self.reply]
    }

    fn deliveries(&self, updates: usize) -> &[u8] {
        &self.lines[..updates * self.delivery]
    }
}

#[expect(clippy::naive_bytecount, reason = "it is vectorised")]
fn updates_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

fn run_epoll(path: &Path, answers: &Answers) {
    let listener = UnixListener::bind(path).unwrap();
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let watch = |socket: &dyn std::os::fd::AsFd, number: u64| {
        let data = epoll::EventData::new_u64(number);
        epoll::add(&poll, socket.as_fd(), data, epoll::EventFlags::IN).unwrap();
    };
    watch(&listener, LISTENER);
    let mut clients: HashMap<u64, UnixStream> = HashMap::new();
    let mut dashboards: Vec<u64> = Vec::new();
    let mut events = Vec::with_capacity(256);
    let mut buffer = vec![0; 16 * 1024];
    let mut next = LISTENER + 1;
    loop {
        epoll::wait(&poll, spare_capacity(&mut events), None).unwrap();
        for event in events.drain(..) {
            let number = event.data.u64();
            if number == LISTENER {
                let (socket, _) = listener.accept().unwrap();
                watch(&socket, next);
                clients.insert(next, socket);
                next += 1;
                continue;
            }
            let mut socket = &clients[&number];
            let count = socket.read(&mut buffer).unwrap_or_default();
            if count == 0 {
                clients.remove(&number);
                dashboards.retain(|dashboard| *dashboard != number);
            } else if buffer[0] == SUBSCRIBE {
                dashboards.push(number);
                socket.write_all(&[SUBSCRIBE]).unwrap();
            } else {
                let updates = updates_in(&buffer[..count]);
                // A client that has gone is removed by its event.
                let _ = socket.write_all(answers.replies(updates));
                for dashboard in &dashboards {
                    let _ = (&clients[dashboard]).write_all(answers.deliveries(updates));
                }
            }
        }
    }
}

type Dashboards = Rc<RefCell<Vec<Rc<tokio::net::UnixStream>>>>;

fn run_tokio(path: &Path, answers: Answers) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    let (dashboards, answers) = (Dashboards::default(), Rc::new(answers));
    local.block_on(&runtime, async {
        let listener = tokio::net::UnixListener::bind(path).unwrap();
        loop {
            let socket = Rc::new(listener.accept().await.unwrap().0);
            let (dashboards, answers) = (Rc::clone(&dashboards), Rc::clone(&answers));
            tokio::task::spawn_local(async move {
                serve(&socket, &dashboards, &answers).await;
                dashboards
                    .borrow_mut()
                    .retain(|dashboard| !Rc::ptr_eq(dashboard, &socket));
            });
        }
    });
}

async fn serve(socket: &Rc<tokio::net::UnixStream>, dashboards: &Dashboards, answers: &Answers) {
    let mut buffer = vec![0; 16 * 1024];
    while socket.readable().await.is_ok() {
        let count = match socket.try_read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        if count == 0 {
            return;
        }
        if buffer[0] == SUBSCRIBE {
            dashboards.borrow_mut().push(Rc::clone(socket));
            write(socket, &[SUBSCRIBE]).await;
            continue;
        }
        let updates = updates_in(&buffer[..count]);
        write(socket, answers.replies(updates)).await;
        let all = dashboards.borrow().clone();
        for dashboard in &all {
            write(dashboard, answers.deliveries(updates)).await;
        }
    }
}

/// Writes all; a client that has gone is removed by its own task.
async fn write(socket: &tokio::net::UnixStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match socket.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if socket.writable().await.is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}
