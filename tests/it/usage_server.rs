//! A stand-in for the account's service: a proxy as `HTTPS_PROXY` names one, which leads nowhere but to itself.
//!
//! It takes `CONNECT`, speaks TLS as the service's host ([`trust`]), reads one request, and gives the one answer that is
//! set at the time. A request that the service would not know fails the test.

pub mod trust;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use self::trust::TestCa;
use crate::support::until;

/// The service's host.
pub const HOST: &str = "api.anthropic.com";

/// What is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Nothing, until another answer is set.
    HeldBack,
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, one a second.
    Dripping(Vec<u8>),
    /// These bytes instead of a tunnel: the service is never reached.
    NoTunnel(&'static str),
}

impl Answer {
    /// An HTTP answer. `status` is code and reason, `headers` have their line ends.
    pub fn http(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        Self::Bytes(text.into_bytes())
    }
}

/// See the module's text. Its threads end with it.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    answer: Answer,
    /// How many came.
    connections: usize,
    /// The token of each request.
    tokens: Vec<String>,
    /// What is shut down in the end.
    open: Vec<TcpStream>,
    ending: bool,
}

impl Service {
    pub fn start(ca: TestCa, answer: Answer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            answer,
            connections: 0,
            tokens: Vec::new(),
            open: Vec::new(),
            ending: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let server = trust::server(ca);
        let listening = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.listen(&listener, &server))
        };
        Self {
            address,
            shared,
            listening: Some(listening),
        }
    }

    /// The value for `HTTPS_PROXY`.
    pub fn proxy(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this is answered, also to who waits.
    pub fn answer(&self, answer: Answer) {
        self.shared.lock().answer = answer;
        self.shared.changed.notify_all();
    }

    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// With which token each request came.
    pub fn tokens(&self) -> Vec<String> {
        self.shared.lock().tokens.clone()
    }

    /// Waits until it has been asked so many times.
    #[track_caller]
    pub fn wait_until_asked(&self, times: usize) {
        until("the service to be asked", || {
            (self.tokens().len() == times).then_some(())
        });
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.ending = true;
            for connection in &state.open {
                // It may have ended by itself.
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
        // Wakes the listening thread.
        let _ = TcpStream::connect(self.address);
        let ended = self.listening.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(
                ended.is_some_and(|ended| ended.is_ok()),
                "the service was asked for something else; see above"
            );
        }
    }
}

impl Shared {
    /// Also after the panic of one who held it: the others are to end all the same.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, listener: &TcpListener, server: &Arc<ServerConfig>) {
        std::thread::scope(|scope| {
            for connection in listener.incoming() {
                let connection = connection.unwrap();
                {
                    let mut state = self.lock();
                    if state.ending {
                        return;
                    }
                    state.connections += 1;
                    state.open.push(connection.try_clone().unwrap());
                }
                // A client that leaves, or does not trust us, is none of our faults.
                scope.spawn(|| self.serve(connection, Arc::clone(server)).ok());
            }
        });
    }

    fn serve(&self, connection: TcpStream, server: Arc<ServerConfig>) -> io::Result<()> {
        let _closing = Closing(connection.try_clone()?);
        self.serve_tls(connection, server)
    }

    fn serve_tls(&self, mut connection: TcpStream, server: Arc<ServerConfig>) -> io::Result<()> {
        let head = head(&mut connection)?;
        let target = format!("CONNECT {HOST}:443 HTTP/1.1");
        assert_eq!(head.first(), Some(&target), "{head:?}");
        // The proxy's part, without TLS.
        assert!(!head.iter().any(|line| line.contains("Bearer")), "{head:?}");
        if let Answer::NoTunnel(said) = self.lock().answer {
            return connection.write_all(said.as_bytes());
        }
        connection.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;

        let tls = ServerConnection::new(server).map_err(io::Error::other)?;
        let mut connection = StreamOwned::new(tls, connection);
        let head = self::head(&mut connection)?;
        let header = |name: &str| {
            let mut lines = head.iter().filter_map(|line| line.split_once(": "));
            let found = lines.find(|(header, _)| header.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value)
        };
        assert_eq!(head[0], "GET /api/oauth/usage HTTP/1.1");
        assert_eq!(header("host"), Some(HOST));
        assert_eq!(header("anthropic-beta"), Some("oauth-2025-04-20"));
        let token = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        self.lock().tokens.push(token.expect("a token").to_owned());

        self.give(&mut connection)?;
        connection.conn.send_close_notify();
        connection.flush()
    }

    /// Gives the answer, once there is one.
    fn give(&self, client: &mut impl Write) -> io::Result<()> {
        let held = |state: &mut State| matches!(state.answer, Answer::HeldBack) && !state.ending;
        let state = self.changed.wait_while(self.lock(), held);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let answer = state.answer.clone();
        drop(state);
        match answer {
            Answer::HeldBack => Ok(()),
            Answer::NoTunnel(said) => client.write_all(said.as_bytes()),
            Answer::Bytes(bytes) => client.write_all(&bytes),
            Answer::Dripping(bytes) => bytes.chunks(1).try_for_each(|byte| {
                client.write_all(byte)?;
                client.flush()?;
                let goes_on = |state: &mut State| !state.ending;
                let second = Duration::from_secs(1);
                // Ends early only with the test.
                drop(
                    self.changed
                        .wait_timeout_while(self.lock(), second, goes_on),
                );
                Ok(())
            }),
        }
    }
}

/// A connection that ends with this, also in a panic: what is kept to be shut down in the end would keep it open till then.
struct Closing(TcpStream);

impl Drop for Closing {
    fn drop(&mut self) {
        // The client may have been faster.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// The lines before the empty one.
fn head(client: &mut impl Read) -> io::Result<Vec<String>> {
    let mut head = Vec::new();
    // Not a byte of what follows may be taken.
    let mut lines = BufReader::with_capacity(1, client);
    loop {
        let mut line = String::new();
        let is_end = lines.read_line(&mut line)? == 0;
        let line = line.trim_end();
        if is_end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.is_empty() {
            return Ok(head);
        }
        head.push(line.to_owned());
    }
}
