//! The clients of a run: what they send, what they receive, and that their copies of the state are right.

use super::{BRIEF, Driver, Expected, PROBE, RETURNING, SUBSCRIBER, process_id};
use crate::agents;
use crate::client::Update;
use crate::client::mirror::Mirror;
use crate::codec::{self, Framer, Incoming, Message, Request};
use crate::core::{ClientId, Input};
use crate::protocol::Snapshot;

impl Driver {
    /// One of the senders sends these bytes and a line feed, in two pieces.
    pub(in crate::fuzz) fn send(&mut self, sender: usize, bytes: &[u8]) {
        let (client, framer) = &mut self.senders[sender % 3];
        let client = *client;
        let mut lines = Vec::new();
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        let outcome = [head, tail, b"\n"]
            .into_iter()
            .try_for_each(|piece| framer.push(piece, |line| lines.push(line.to_vec())));
        assert!(outcome.is_err() || !framer.is_partial());
        for line in lines {
            self.line(client, &line);
        }
        if outcome.is_err() {
            self.disconnect(sender);
        }
    }

    /// One of the senders goes, and another comes in its place.
    pub(in crate::fuzz) fn disconnect(&mut self, sender: usize) {
        self.close(self.senders[sender % 3].0);
    }

    pub(super) fn close(&mut self, client: u64) {
        if !self.connected.remove(&client) {
            return;
        }
        for (number, framer) in &mut self.senders {
            if *number == client {
                self.last_client += 1;
                *number = self.last_client;
                *framer = Framer::default();
                self.connected.insert(self.last_client);
            }
        }
        self.take(Input::Disconnected(ClientId(client)), Expected::Any);
    }

    fn line(&mut self, number: u64, line: &[u8]) {
        if !self.connected.contains(&number) {
            return;
        }
        let client = ClientId(number);
        let decoded = codec::decode(line);
        let id = decoded.id;
        let mut expected = Expected::Replies(number, usize::from(id.is_some()));
        let input = match decoded.message {
            Message::Report(params) => Input::Reported {
                client,
                id,
                report: Box::new(agents::interpret(*params)),
            },
            Message::Set(params) => {
                let process = params
                    .pid
                    .filter(|pid| !self.exited_processes.contains(pid));
                let mut running = self.core.processes_of_closed(&params);
                running.retain(|process| !self.exited_processes.contains(&process.pid));
                Input::Set {
                    client,
                    id,
                    process: process.map(process_id),
                    params,
                    running,
                }
            }
            Message::Status => Input::StatusAsked {
                client,
                id,
                rss_bytes: Some(1),
            },
            Message::Request(request) => {
                // These are answered later, or not at all because the daemon leaves.
                if matches!(
                    request,
                    Request::DaemonReload | Request::UsageRefresh | Request::DaemonStop(_)
                ) {
                    expected = Expected::Any;
                }
                Input::Request {
                    client,
                    id,
                    request,
                }
            }
            Message::Refused(error) => Input::Refused { client, id, error },
        };
        self.take(input, expected);
    }

    /// The subscriber's copy equals a new snapshot, and so does an old copy with what has changed since.
    pub(in crate::fuzz) fn compare(&mut self) {
        self.subscribe(PROBE, "{}");
        let since = format!(
            r#"{{"since":{{"epoch":{},"seq":{}}}}}"#,
            self.epoch,
            self.returning.seq()
        );
        self.subscribe(RETURNING, &since);
        for client in [PROBE, RETURNING] {
            self.input(Input::Disconnected(ClientId(client)));
        }
    }

    pub(super) fn subscribe(&mut self, client: u64, params: &str) {
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{params}}}"#);
        self.line(client, line.as_bytes());
    }

    pub(super) fn reply(&mut self, client: u64, line: &str) {
        if ![SUBSCRIBER, BRIEF, PROBE, RETURNING].contains(&client) {
            return;
        }
        let Incoming::Result { result, .. } = codec::incoming(line).unwrap() else {
            return;
        };
        let snapshot: Snapshot<'static> = serde_json::from_str(result.get()).unwrap();
        self.epoch = snapshot.epoch.unwrap();
        let update = Update::Snapshot(Box::new(snapshot));
        match client {
            SUBSCRIBER => self.mirror.apply(update),
            BRIEF => self.brief.apply(update),
            PROBE => {
                let mut fresh = Mirror::default();
                fresh.apply(update);
                assert_eq!(
                    self.mirror, fresh,
                    "the copy (left) is not the state (right)"
                );
                assert_eq!(self.brief, fresh, "the copy by brief changes (left)");
            }
            _ => {
                self.returning.apply(update);
                assert_eq!(self.returning, self.mirror, "what has changed since (left)");
            }
        }
    }
}
