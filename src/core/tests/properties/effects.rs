//! Applies the core's effects as the event loop does, and checks each.

use std::rc::Rc;

use super::{Clock, Driver, Turn, parsed, update_of};
use crate::client::Update;
use crate::core::{ClientId, Effect};
use crate::limits::Account;
use crate::os::process::ProcessId;
use crate::protocol::{Changes, FETCH_LIMIT_MS, Snapshot};

/// The form of changes that a client subscribes to.
pub(super) fn form_of(client: u64) -> Changes {
    if client.is_multiple_of(2) {
        Changes::Brief
    } else {
        Changes::Whole
    }
}

impl Driver {
    /// The subscribers of this number get a notification.
    fn push(&mut self, line: &[u8], wants: impl Fn(u64) -> bool) {
        for (number, client) in &mut self.clients {
            let mirror = client
                .mirror
                .as_mut()
                .filter(|_| client.subscribed && wants(*number));
            if let Some(mirror) = mirror {
                mirror.apply(update_of(line));
            }
        }
    }

    /// Applies one effect, as the event loop does, and checks it.
    pub(super) fn apply(&mut self, effect: Effect, turn: &mut Turn) {
        match effect {
            Effect::Reply(ClientId(client), line) => self.reply(client, &line, turn),
            Effect::Subscribe(ClientId(client), changes) => {
                assert_eq!(changes, form_of(client));
                let client = self.clients.get_mut(&client);
                let client = client.expect("a subscriber is a connected client");
                assert!(!client.subscribed);
                client.subscribed = true;
            }
            Effect::Broadcast(line) => {
                turn.pushed += 1;
                assert_eq!(parsed(&line)["params"]["seq"], turn.seq + turn.pushed);
                self.push(&line, |_| true);
            }
            Effect::BroadcastTo(form, line) => {
                let wants = |client: u64| form_of(client) == form;
                let mut clients = self.clients.iter();
                let has_any = clients.any(|(number, client)| client.subscribed && wants(*number));
                assert!(has_any, "no subscriber has this form");
                let seq = parsed(&line)["params"]["seq"].as_u64().unwrap();
                // One change has the same number in both forms.
                turn.pushed = turn.pushed.max(seq - turn.seq);
                self.push(&line, wants);
            }
            Effect::Announce(line) => {
                turn.pushed += 1;
                assert_eq!(parsed(&line)["method"], "daemon.stopping");
                let sent_seq = parsed(&line)["params"]["seq"].as_u64().unwrap();
                assert!(sent_seq > turn.seq);
                assert!(turn.subscribers == 0 || sent_seq == turn.seq + turn.pushed);
                let clients = self.clients.values_mut();
                for mirror in clients.filter_map(|client| client.mirror.as_mut()) {
                    mirror.apply(update_of(&line));
                }
            }
            Effect::Disconnect(ClientId(client)) => {
                assert!(self.clients.contains_key(&client));
                turn.disconnected.push(client);
            }
            Effect::Watch(process) => {
                self.watched.insert((process.pid, process.start));
            }
            Effect::Unwatch(process) => {
                self.watched.remove(&(process.pid, process.start));
            }
            Effect::Inspect(processes) => {
                assert!(self.clients.values().any(|client| client.subscribed));
                assert!(!processes.is_empty());
                let is_watched = |process: &ProcessId| {
                    let process = (process.pid, process.start);
                    self.watched.contains(&process)
                };
                assert!(processes.iter().all(is_watched), "{processes:?}");
            }
            Effect::WatchRegistry(_, directory) => assert_eq!(&*directory, "/home/dev/.claude"),
            Effect::ScanRegistries => assert_eq!(turn.subscribers, 0),
            Effect::Reload => self.reloads += 1,
            Effect::FetchLimits(account) => {
                assert!(turn.may_fetch, "a fetch without a subscriber");
                self.fetch(account);
            }
            Effect::KillFetch => {
                let (_, began) = *self.fetching.as_ref().expect("a fetch to kill");
                let is_off = self.core.core.settings.usage_interval_ms.is_none();
                assert!(is_off || began + FETCH_LIMIT_MS <= self.core.now.uptime_ms);
            }
            Effect::Remind(job) => self.remind(&job),
            Effect::KillReminder => self.kill_reminder(),
            Effect::Drain { for_good } => {
                turn.drains_idle |= !for_good;
                self.retiring = true;
                self.draining = true;
            }
            Effect::Resume => {
                assert!(!self.retiring);
                self.draining = false;
            }
            Effect::Exit { .. } => self.exited = true,
        }
    }

    /// A reply: to a request that waited for a fetch, or to the input of this turn.
    fn reply(&mut self, client: u64, line: &[u8], turn: &mut Turn) {
        let answer = (client, self.answered(client, line));
        let waited = self.refreshing.iter();
        let mut waited = waited.map(|(asker, number)| (*asker, Some(*number)));
        // The answer after a fetch may come with a time-out that also sends notifications.
        if let Some(place) = waited.position(|waits| waits == answer) {
            self.refreshing.swap_remove(place);
        } else {
            assert!(
                turn.pushed == 0 || turn.clock == Clock::Set,
                "an answer after the notifications that it caused"
            );
            turn.answered.push(answer);
        }
    }

    /// A fetch begins.
    pub(super) fn fetch(&mut self, account: Rc<Account>) {
        assert!(self.core.core.settings.usage_interval_ms.is_some());
        let before = self.fetching.replace((account, self.core.now.uptime_ms));
        assert!(before.is_none(), "two fetches at a time");
    }

    /// A client receives a reply. Returns the id of its request.
    fn answered(&mut self, client: u64, line: &[u8]) -> Option<u64> {
        let message = parsed(line);
        let id = message["id"].as_u64();
        assert!(message.get("result").is_some() != message.get("error").is_some());
        let entry = self.clients.get_mut(&client);
        let entry = entry.expect("a reply goes to a connected client");
        if message["result"].get("notices").is_some() {
            let snapshot: Snapshot<'static> =
                serde_json::from_value(message["result"].clone()).unwrap();
            let mirror = entry.mirror.get_or_insert_default();
            mirror.apply(Update::Snapshot(Box::new(snapshot)));
        }
        id
    }
}
