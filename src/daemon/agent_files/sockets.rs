//! Connections to agents' own sockets: each speaks the WebSocket protocol (RFC 6455), and a message is a text.
//!
//! The daemon is a client that listens: it sends what the reader asks for once it is connected, and the protocol's own
//! answers. A connection that ends is not made again by itself. Called by [`super::AgentFiles`].

use std::future::{pending, poll_fn};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tungstenite::client::client_with_config;
use tungstenite::handshake::client::{ClientHandshake, Response};
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use super::watcher::{Change, Found};
use crate::daemon::reactor::register;
use crate::os::peer;

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 1024 * 1024;

/// How many messages of one connection a turn of the loop takes at most.
const TURN: usize = 64;

/// The most connections.
const MAX_CONNECTIONS: usize = 64;

/// A socket that never blocks. The loop is woken when it can be read again.
#[derive(Debug)]
struct Stream(AsyncFd<UnixStream>);

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = |mut socket: &UnixStream| socket.read(buffer);
        self.0.try_io(Interest::READABLE, read)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_ref().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How far a connection is.
#[derive(Debug)]
enum State {
    Handshake(MidHandshake<ClientHandshake<Stream>>),
    Open(Box<WebSocket<Stream>>),
    Ended,
}

/// A connection, for the reader of this number.
#[derive(Debug)]
struct Connection {
    reader: usize,
    path: PathBuf,
    /// What is sent once it is open.
    greeting: Vec<String>,
    state: State,
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    connections: Vec<Connection>,
}

impl Sockets {
    /// Connects to the socket at this path, at once or not at all, and greets with these messages. The socket must belong
    /// to this user or root.
    pub(super) fn connect(
        &mut self,
        reader: usize,
        path: PathBuf,
        greeting: Vec<String>,
    ) -> Vec<Found> {
        let is_connected = |one: &Connection| one.reader == reader && one.path == path;
        if self.connections.iter().any(is_connected) {
            return Vec::new();
        }
        if self.connections.len() == MAX_CONNECTIONS {
            tracing::warn!("too many sockets of agents are open");
            return disconnected(reader, path);
        }
        match Connection::new(reader, path.clone(), greeting) {
            Ok(connection) => {
                self.connections.push(connection);
                Vec::new()
            }
            Err(error) => {
                tracing::debug!("cannot connect to {}: {error:#}", path.display());
                disconnected(reader, path)
            }
        }
    }

    /// Ends this reader's connection to this path.
    pub(super) fn forget(&mut self, reader: usize, path: &Path) {
        self.connections
            .retain(|one| one.reader != reader || one.path != path);
    }

    /// The next messages of a connection, or its end; there may be none. Dropped before it ends, it loses none.
    pub(super) async fn next(&mut self) -> Vec<Found> {
        if self.connections.is_empty() {
            return pending().await;
        }
        let ready = poll_fn(|context| {
            let mut each = self.connections.iter().enumerate();
            let ready = each.find(|(_, one)| one.is_ready(context));
            ready.map_or(Poll::Pending, |(place, _)| Poll::Ready(place))
        })
        .await;
        let Some(connection) = self.connections.get_mut(ready) else {
            return Vec::new();
        };
        let texts = connection.read();
        let is_over = matches!(connection.state, State::Ended);
        let (reader, path) = (connection.reader, connection.path.clone());
        let message = |text| Found {
            reader,
            change: Change::Message(text),
        };
        let mut found: Vec<_> = texts.into_iter().map(message).collect();
        if is_over {
            self.connections.remove(ready);
            found.extend(disconnected(reader, path));
        }
        found
    }
}

impl Connection {
    fn new(reader: usize, path: PathBuf, greeting: Vec<String>) -> anyhow::Result<Self> {
        let stream = peer::connect(&path, Duration::ZERO)?;
        let stream = Stream(register(stream, Interest::READABLE)?);
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let mut connection = Self {
            reader,
            path,
            greeting,
            state: State::Ended,
        };
        connection.shake_hands(client_with_config("ws://localhost/", stream, Some(config)))?;
        Ok(connection)
    }

    /// Whether there is something to read.
    fn is_ready(&self, context: &mut Context<'_>) -> bool {
        let stream = match &self.state {
            State::Handshake(handshake) => handshake.get_ref().get_ref(),
            State::Open(socket) => socket.get_ref(),
            State::Ended => return true,
        };
        stream.0.poll_read_ready(context).is_ready()
    }

    /// Takes what has become of the handshake, and greets once it is over.
    fn shake_hands(
        &mut self,
        result: Result<(WebSocket<Stream>, Response), HandshakeError<ClientHandshake<Stream>>>,
    ) -> tungstenite::Result<()> {
        self.state = match result {
            Ok((mut socket, _)) => {
                for text in self.greeting.drain(..) {
                    socket.send(Message::text(text))?;
                }
                State::Open(Box::new(socket))
            }
            Err(HandshakeError::Interrupted(handshake)) => State::Handshake(handshake),
            Err(HandshakeError::Failure(error)) => return Err(error),
        };
        Ok(())
    }

    /// Reads what has come, a bounded piece.
    fn read(&mut self) -> Vec<Vec<u8>> {
        let mut texts = Vec::new();
        if let Err(error) = self.try_read(&mut texts) {
            tracing::debug!("{}: {error}", self.path.display());
            self.state = State::Ended;
        }
        texts
    }

    fn try_read(&mut self, texts: &mut Vec<Vec<u8>>) -> tungstenite::Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Ended) {
            State::Handshake(handshake) => return self.shake_hands(handshake.handshake()),
            other => other,
        };
        let State::Open(socket) = &mut self.state else {
            return Ok(());
        };
        for _ in 0..TURN {
            match socket.read() {
                Ok(Message::Text(text)) => texts.push(text.as_bytes().to_vec()),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn disconnected(reader: usize, path: PathBuf) -> Vec<Found> {
    vec![Found {
        reader,
        change: Change::Disconnected(path),
    }]
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// Runs a test on a loop like the daemon's.
    fn on_loop(test: impl AsyncFnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let timely = async { tokio::time::timeout(Duration::from_mins(1), test()).await };
        runtime.block_on(timely).expect("it waits in vain");
    }

    fn words(found: Vec<Found>) -> Vec<String> {
        let word = |found: Found| match found.change {
            Change::Message(text) => String::from_utf8(text).unwrap(),
            Change::Disconnected(_) => "disconnected".to_owned(),
            other => panic!("{other:?}"),
        };
        found.into_iter().map(word).collect()
    }

    /// What comes until the connection ends.
    async fn all(sockets: &mut Sockets) -> Vec<String> {
        let mut all = Vec::new();
        while all.last().is_none_or(|last| last != "disconnected") {
            all.extend(words(sockets.next().await));
        }
        all
    }

    /// A server at `path`, which hands its first connection to `serve`.
    fn serve(path: &Path, serve: impl FnOnce(UnixStream) + Send + 'static) {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || serve(listener.accept().unwrap().0));
    }

    #[test]
    fn messages_come_until_the_socket_closes() {
        on_loop(async || {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("socket");
            serve(&path, |stream| {
                let mut socket = tungstenite::accept(stream).unwrap();
                let greeting = socket.read().unwrap();
                socket
                    .send(Message::text(format!("greeted with {greeting}")))
                    .unwrap();
                socket.send(Message::Ping("x".into())).unwrap();
                for number in 0..200 {
                    socket.send(Message::text(number.to_string())).unwrap();
                }
                assert!(matches!(socket.read(), Ok(Message::Pong(_))));
            });
            let mut sockets = Sockets::default();
            assert!(
                sockets
                    .connect(0, path.clone(), vec!["hello".into()])
                    .is_empty()
            );
            // A second connection to the same socket is none.
            assert!(
                sockets
                    .connect(0, path.clone(), vec!["hello".into()])
                    .is_empty()
            );
            let all = all(&mut sockets).await;
            let numbers = (0..200).map(|number| number.to_string());
            let expected: Vec<_> = std::iter::once("greeted with hello".to_owned())
                .chain(numbers)
                .chain(["disconnected".to_owned()])
                .collect();
            assert_eq!(all, expected);
        });
    }

    #[test]
    fn what_is_no_such_socket_is_disconnected() {
        on_loop(async || {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("socket");
            let mut sockets = Sockets::default();
            let absent = sockets.connect(0, path.clone(), Vec::new());
            assert_eq!(words(absent), ["disconnected"]);
            serve(&path, |mut stream| {
                stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap();
            });
            let mut found = words(sockets.connect(0, path, Vec::new()));
            if found.is_empty() {
                found = all(&mut sockets).await;
            }
            assert_eq!(found, ["disconnected"]);
        });
    }

    #[test]
    fn a_message_that_is_too_long_ends_the_connection() {
        on_loop(async || {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("socket");
            serve(&path, |stream| {
                let mut socket = tungstenite::accept(stream).unwrap();
                socket.send(Message::text("short")).unwrap();
                // The other end may close before all of it is sent.
                let _ = socket.send(Message::text("x".repeat(MAX_MESSAGE + 1)));
                let _ = socket.read();
            });
            let mut sockets = Sockets::default();
            assert!(sockets.connect(0, path, Vec::new()).is_empty());
            assert_eq!(all(&mut sockets).await, ["short", "disconnected"]);
        });
    }

    #[test]
    fn a_server_that_says_nothing_costs_no_time() {
        on_loop(async || {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("socket");
            let _listener = UnixListener::bind(&path).unwrap();
            let mut sockets = Sockets::default();
            assert!(sockets.connect(0, path.clone(), Vec::new()).is_empty());
            let quiet = tokio::time::timeout(Duration::from_millis(50), sockets.next());
            assert!(quiet.await.is_err());
            sockets.forget(0, &path);
            assert!(sockets.connections.is_empty());
        });
    }
}
