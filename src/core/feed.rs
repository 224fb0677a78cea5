//! What goes out to clients: replies, notifications with their numbers, notices.
//!
//! Numbers (`seq`) rise by one with each notification, also while no client is subscribed: a snapshot carries the number
//! that it stands at, and what follows continues from there; [`Numbers`] has more. Collects the effects of one input.
//! Called by [`super::Core`] and its components; what a subscriber has not read yet is the shell's business.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::notices::Notices;
use super::numbers::Numbers;
use super::{ClientId, Effect, Now};
use crate::codec::{self, Id, Line};
use crate::protocol::{
    self, Changes, DaemonNotice, ErrorCode, Notice, NoticeCode, Notification, SessionChanged,
    SessionRemoved,
};

/// The subscribers, the number of the last notification, the notices kept, and the effects so far.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    subscribers: HashMap<ClientId, Changes>,
    /// How many of them want each form of changes.
    whole: u32,
    brief: u32,
    numbers: Numbers,
    notices: Notices,
    has_unsaved_notices: bool,
    effects: Vec<Effect>,
}

impl Feed {
    /// Goes on from the numbers and notices of an earlier feed.
    pub(crate) fn restore(&mut self, numbers: Numbers, notices: Notices) {
        self.numbers = numbers;
        self.notices = notices;
    }

    /// The notices kept, if they have changed since they were saved or `all` is asked for. They count as saved from now
    /// on.
    pub(crate) fn take_unsaved_notices(&mut self, all: bool) -> Option<&Notices> {
        let is_unsaved = std::mem::take(&mut self.has_unsaved_notices);
        (is_unsaved || all).then_some(&self.notices)
    }

    /// Adds an effect.
    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// The effects so far, which are forgotten here.
    pub(crate) fn drain(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// Answers a request; `None`: it was a notification.
    pub(crate) fn reply(&mut self, client: ClientId, line: Option<Line>) {
        self.effects
            .extend(line.map(|line| Effect::Reply(client, line)));
    }

    /// Answers a request with an error.
    pub(crate) fn reply_error(
        &mut self,
        client: ClientId,
        id: Option<Id>,
        code: ErrorCode,
        message: &str,
    ) {
        let line = id.map(|id| codec::error(&id, code, message));
        self.reply(client, line);
    }

    /// Which form of changes the client is subscribed to; `None` if it is not subscribed.
    pub(crate) fn subscription(&self, client: ClientId) -> Option<Changes> {
        self.subscribers.get(&client).copied()
    }

    /// Subscribes a client, if it is not.
    pub(crate) fn subscribe(&mut self, client: ClientId, changes: Changes) {
        if let Entry::Vacant(entry) = self.subscribers.entry(client) {
            entry.insert(changes);
            *self.count(changes) += 1;
            self.effects.push(Effect::Subscribe(client, changes));
        }
    }

    pub(crate) fn unsubscribe(&mut self, client: ClientId) {
        if let Some(changes) = self.subscribers.remove(&client) {
            *self.count(changes) -= 1;
        }
    }

    fn count(&mut self, changes: Changes) -> &mut u32 {
        match changes {
            Changes::Whole => &mut self.whole,
            Changes::Brief => &mut self.brief,
        }
    }

    pub(crate) fn has_brief_subscribers(&self) -> bool {
        self.brief > 0
    }

    pub(crate) fn has_subscribers(&self) -> bool {
        !self.subscribers.is_empty()
    }

    /// How many clients are subscribed.
    pub(crate) fn subscribers(&self) -> u32 {
        self.whole + self.brief
    }

    /// The numbers given so far.
    pub(crate) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// The number of the next notification, which is taken by this.
    pub(crate) fn next_seq(&mut self) -> u64 {
        self.numbers.take()
    }

    /// Sends a notification to all subscribers. Returns its number.
    pub(crate) fn notify<'a>(&mut self, notification: impl FnOnce(u64) -> Notification<'a>) -> u64 {
        let seq = self.next_seq();
        if self.has_subscribers() {
            let line = codec::notification(&notification(seq));
            self.effects.push(Effect::Broadcast(line));
        }
        seq
    }

    /// Sends a session's change to all subscribers, to each in its form. Returns its number.
    pub(crate) fn session_changed<'a>(
        &mut self,
        change: impl Fn(Changes, u64) -> SessionChanged<'a>,
    ) -> u64 {
        let seq = self.next_seq();
        for (form, count) in [(Changes::Whole, self.whole), (Changes::Brief, self.brief)] {
            if count > 0 {
                let change = Box::new(change(form, seq));
                let line = codec::notification(&Notification::SessionChanged(change));
                self.effects.push(Effect::BroadcastTo(form, line));
            }
        }
        seq
    }

    /// Notifies all subscribers that the session of this key is no longer remembered.
    pub(crate) fn removed(&mut self, key: Box<str>) {
        self.notify(|seq| {
            Notification::SessionRemoved(SessionRemoved {
                seq,
                key: Cow::Borrowed(&key),
            })
        });
        self.numbers.note_removed(key);
    }

    /// Keeps a notice and sends it. Unless it `repeats`, one of the same code is not sent again for an hour.
    pub(crate) fn notice(&mut self, code: NoticeCode, message: &str, repeats: bool, now: Now) {
        let message = protocol::one_line(message, 4 * protocol::TEXT_LIMIT);
        let notice = Notice {
            at: now.unix_ms,
            code,
            message: Cow::Owned(message),
            window: None,
        };
        self.push_notice(notice, repeats, now);
    }

    /// The same for a notice that is complete.
    pub(crate) fn push_notice(&mut self, notice: Notice<'static>, repeats: bool, now: Now) {
        if self.notices.add(&notice, repeats, now.uptime_ms) {
            self.has_unsaved_notices = true;
            self.notify(|seq| Notification::DaemonNotice(DaemonNotice { seq, notice }));
        }
    }

    /// The notices kept, oldest first.
    pub(crate) fn notices(&self) -> Vec<&Notice<'static>> {
        self.notices.iter().collect()
    }
}
