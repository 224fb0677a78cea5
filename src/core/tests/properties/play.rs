//! Plays the inputs of a run: as clients, agents, processes and the clock send them.

use super::effects::form_of;
use super::inputs::{Ask, Op, PROCESSES};
use super::{Client, Clock, Driver};
use crate::client::mirror::Mirror;
use crate::codec::{self, Decoded, Refusal, Request};
use crate::core::{ClientId, Input};
use crate::protocol::{NoticeCode, SubscribeParams};

/// The codes of the notices that may be sent: more than are kept.
const NOTICE_CODES: [NoticeCode; 11] = [
    NoticeCode::ConfigLoaded,
    NoticeCode::ConfigRefused,
    NoticeCode::RestartNeeded,
    NoticeCode::PayloadUnreadable,
    NoticeCode::LogFailed,
    NoticeCode::ConnectionsFull,
    NoticeCode::SocketLost,
    NoticeCode::SocketRestored,
    NoticeCode::SessionsFull,
    NoticeCode::UsageCrossed,
    NoticeCode::Unknown,
];

impl Driver {
    fn client(&self, place: usize) -> Option<u64> {
        let count = self.clients.len();
        self.clients.keys().nth(place % count.max(1)).copied()
    }

    pub(super) fn play(&mut self, op: Op) {
        match op {
            Op::Connect => {
                self.last_client += 1;
                self.clients.insert(self.last_client, Client::default());
            }
            Op::Ask(place, with_id, request) => self.ask(place, with_id, request),
            Op::Refuse(place, with_id, code) => {
                let Some(client) = self.client(place) else {
                    return;
                };
                let error = Refusal {
                    code,
                    message: "no".into(),
                };
                let input = Input::Refused {
                    client: ClientId(client),
                    id: Decoded::refused(None, error.clone()).id.filter(|_| with_id),
                    error,
                };
                let expected = with_id.then_some((client, None));
                self.step(input, &Vec::from_iter(expected));
            }
            Op::Disconnect(place) => {
                if let Some(client) = self.client(place) {
                    self.disconnect(client);
                }
            }
            Op::Wait(ms) => drop(self.core.wait(ms)),
            Op::ClockSet(by, noticed) => self.set_clock(by, noticed),
            Op::Early => self.tick_early(),
            Op::Due => self.tick_when_due(),
            Op::RegistryChanged(mut registry_update) => {
                let now = self.core.now.unix_ms;
                if let Some(entry) = &mut registry_update.entry {
                    for stamp in [&mut entry.status_at, &mut entry.updated_at] {
                        *stamp = now.saturating_add_signed(stamp.cast_signed());
                    }
                }
                self.step(Input::RegistryChanged(registry_update), &[]);
            }
            Op::Exited(number) => {
                let process = PROCESSES[number];
                if self.watched.remove(&(process.pid, process.start)) {
                    self.step(Input::ProcessExited(process), &[]);
                }
            }
            Op::Seen(number, stopped) => {
                let seen = vec![(PROCESSES[number], stopped)];
                self.step(Input::ProcessesSeen(seen), &[]);
            }
            Op::Unwatchable(number) => {
                let process = PROCESSES[number];
                if self.watched.remove(&(process.pid, process.start)) {
                    self.step(Input::ProcessUnwatchable(process), &[]);
                }
            }
            Op::Reloaded(outcome) => {
                self.reloads = 0;
                let waiting = std::mem::take(&mut self.reloading);
                let expected: Vec<_> = waiting.into_iter().map(|(c, id)| (c, Some(id))).collect();
                if let Ok(settings) = &outcome {
                    self.history = self.history.max(settings.history);
                }
                let outcome = match outcome {
                    Ok(settings) => Ok((settings, Some("the socket moved".into()))),
                    Err(()) => Err("line 1".into()),
                };
                self.step(Input::Reloaded(outcome), &expected);
                self.replace_file();
            }
            Op::Fetched(fetched) => {
                if let Some((account, _)) = self.fetching.take() {
                    self.step(Input::LimitsFetched(account, fetched), &[]);
                    assert!(
                        self.fetching.is_some() || self.refreshing.is_empty(),
                        "every waiting request is answered"
                    );
                }
            }
            Op::Reminded(could, shown) => self.child_ended(could, shown),
            Op::Drained => {
                if std::mem::take(&mut self.retiring) {
                    self.step(Input::Drained, &[]);
                }
            }
            Op::ReplaceFile => self.replace_file(),
            Op::Restart(end) => self.restart(end),
            Op::Terminated => self.step(Input::Terminated, &[]),
            Op::Notice(number) => {
                let input = Input::Notice {
                    code: NOTICE_CODES[number],
                    message: "a\nmessage".into(),
                };
                self.step(input, &[]);
            }
        }
    }

    fn ask(&mut self, place: usize, with_id: bool, ask: Ask) {
        let ask = match ask {
            Ask::Observed(mut report) => {
                let now = self.core.now.unix_ms;
                report.at = now.saturating_add_signed(report.at.cast_signed());
                return self.step(Input::Observed(report), &[]);
            }
            ask => ask,
        };
        let Some(client) = self.client(place) else {
            return;
        };
        self.last_id += 1;
        let number = self.last_id;
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{number},\"method\":\"hello\"}}");
        let id = codec::decode(line.as_bytes()).id.filter(|_| with_id);
        let later = match ask {
            Ask::Request(Request::DaemonReload) => Some(&mut self.reloading),
            Ask::Request(Request::UsageRefresh) => Some(&mut self.refreshing),
            _ => None,
        };
        let expected = (with_id && later.is_none()).then_some((client, Some(number)));
        if let Some(later) = later.filter(|_| with_id) {
            later.push((client, number));
        }
        let client = ClientId(client);
        let input = match ask {
            Ask::Report(mut report) => {
                let now = self.core.now.unix_ms;
                report.at = now.saturating_add_signed(report.at.cast_signed());
                Input::Reported { client, id, report }
            }
            Ask::Observed(report) => Input::Observed(report),
            Ask::Set(params, process, runs) => {
                let mut running = self.core.core.processes_of_closed(&params);
                running.retain(|_| runs);
                Input::Set {
                    client,
                    id,
                    params,
                    process,
                    running,
                }
            }
            Ask::Status => Input::StatusAsked {
                client,
                id,
                rss_bytes: Some(1),
            },
            Ask::SubscribeAgain => {
                let mirror = self.clients[&client.0].mirror.as_ref();
                let since = mirror.and_then(Mirror::since);
                Input::Request {
                    client,
                    id,
                    request: Request::Subscribe(SubscribeParams {
                        since,
                        changes: form_of(client.0),
                    }),
                }
            }
            Ask::Request(Request::Subscribe(params)) => Input::Request {
                client,
                id,
                request: Request::Subscribe(SubscribeParams {
                    changes: form_of(client.0),
                    ..params
                }),
            },
            Ask::Request(request) => Input::Request {
                client,
                id,
                request,
            },
        };
        self.step(input, &Vec::from_iter(expected));
    }

    fn set_clock(&mut self, by: i64, noticed: bool) {
        let now = &mut self.core.now.unix_ms;
        *now = now.saturating_add_signed(by);
        self.clock = Clock::Set;
        if noticed {
            self.step(Input::Timeout, &[]);
        }
    }

    /// A time-out before the deadline does nothing.
    fn tick_early(&mut self) {
        if self.clock == Clock::Set {
            self.step(Input::Timeout, &[]);
        }
        let now = self.core.now.uptime_ms;
        let deadline = self.core.core.next_timeout();
        let early = match deadline {
            Some(due) if due > now => due - 1 - now,
            Some(_) => return,
            None => 1_000_000,
        };
        self.core.wait(early);
        let before = self.snapshot(None);
        assert!(self.core.take(Input::Timeout).is_empty());
        assert_eq!(self.snapshot(None), before);
        assert_eq!(self.core.core.next_timeout(), deadline);
    }

    fn tick_when_due(&mut self) {
        let Some(due) = self.core.core.next_timeout() else {
            return;
        };
        let now = self.core.now.uptime_ms;
        self.core.wait(due.saturating_sub(now));
        self.step(Input::Timeout, &[]);
        let next = self.core.core.next_timeout();
        assert!(
            next.is_none_or(|next| next > self.core.now.uptime_ms),
            "the timer would spin"
        );
    }

    pub(super) fn disconnect(&mut self, client: u64) {
        let gone = self.clients.remove(&client);
        self.absent.extend(gone.and_then(|gone| gone.mirror));
        self.reloading.retain(|(asker, _)| *asker != client);
        self.refreshing.retain(|(asker, _)| *asker != client);
        self.step(Input::Disconnected(ClientId(client)), &[]);
    }
}
