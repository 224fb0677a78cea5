//! What goes out to clients: replies, notifications with their numbers, notices.
//!
//! Numbers (`seq`) rise by one with each notification, also while no client is subscribed: a snapshot carries the number
//! that it stands at, and what follows continues from there; [`Numbers`] has more. Collects the effects of one input.
//! Called by [`super::Core`] and its components; what a subscriber has not read yet is the shell's business.

use std::borrow::Cow;
use std::collections::HashSet;

use super::notices::Notices;
use super::numbers::Numbers;
use super::{ClientId, Effect, Now};
use crate::codec::{self, Id, Line};
use crate::protocol::{
    self, DaemonNotice, ErrorCode, Notice, NoticeCode, Notification, SessionRemoved,
};

/// The subscribers, the number of the last notification, the notices kept, and the effects so far.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    subscribers: HashSet<ClientId>,
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

    /// Subscribes a client.
    pub(crate) fn subscribe(&mut self, client: ClientId) {
        if self.subscribers.insert(client) {
            self.effects.push(Effect::Subscribe(client));
        }
    }

    pub(crate) fn unsubscribe(&mut self, client: ClientId) {
        self.subscribers.remove(&client);
    }

    pub(crate) fn has_subscribers(&self) -> bool {
        !self.subscribers.is_empty()
    }

    /// How many clients are subscribed.
    pub(crate) fn subscribers(&self) -> u32 {
        u32::try_from(self.subscribers.len()).unwrap_or(u32::MAX)
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
