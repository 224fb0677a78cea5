//! What clients have not been sent yet: one log of notifications shared by all subscribers, and for each client its
//! own answers and how far it has read.
//!
//! A notification is serialised once, appended to the log once, and every subscriber is flushed from there with one
//! write per turn of the loop: five times the deliveries of a write per subscriber and change. The log is as long as
//! the slowest subscriber is behind; [`MAX_BEHIND`] bounds it, and who is further behind is dropped by the caller.
//!
//! A stream must not be torn: while a subscriber has got half a line of the log, its own answer waits for the other
//! half. Bytes and cursors only; the sockets are an argument. Called by the loop.

use std::io::{self, Write};

/// How far behind a subscriber may be, in bytes, before it is dropped. The log is shared, so this bounds it as a whole.
pub(super) const MAX_BEHIND: u64 = 512 * 1024;

/// How many bytes of its own answers a client may leave unread before its requests are no longer read.
pub(super) const MAX_UNREAD: usize = 64 * 1024;

/// The log's capacity is shrunk to this many bytes after a burst, so that the daemon does not stay large.
const KEPT_CAPACITY: usize = 64 * 1024;

/// The notifications that some subscriber has not been sent yet.
#[derive(Debug, Default)]
pub(super) struct NotificationLog {
    bytes: Vec<u8>,
    /// Where `bytes` begins in the endless log.
    start: u64,
}

impl NotificationLog {
    /// The position after the last notification.
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    pub(super) fn append(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
    }

    fn since(&self, cursor: u64) -> &[u8] {
        let skip = usize::try_from(cursor.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.bytes.get(skip..).unwrap_or_default()
    }

    /// Discards what every subscriber has been sent; `slowest` is the lowest cursor, or the end if there is no subscriber.
    pub(super) fn discard(&mut self, slowest: u64) {
        let sent = usize::try_from(slowest.saturating_sub(self.start))
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        // The rest is moved, which costs time in its length: only done when enough is freed.
        if sent == self.bytes.len() || sent > KEPT_CAPACITY {
            self.bytes.drain(..sent);
            self.start += sent as u64;
            if self.bytes.capacity() > KEPT_CAPACITY && self.bytes.len() < KEPT_CAPACITY / 2 {
                self.bytes.shrink_to(KEPT_CAPACITY);
            }
        }
    }
}

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Everything is sent.
    All,
    /// The socket takes no more for now.
    Blocked,
}

/// What one client has not been sent yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Its own answers, and the rest of a notification that had to be sent before them.
    own: Vec<u8>,
    /// How many bytes of `own` are sent.
    sent: usize,
    /// The subscriber's position in the log; `None` if the client has not subscribed.
    cursor: Option<u64>,
    /// The last byte sent from the log was not a line's last.
    torn: bool,
}

impl Outbox {
    /// Sends the client all that is appended to the log from here on.
    pub(super) fn subscribe(&mut self, log: &NotificationLog) {
        self.cursor = Some(log.end());
    }

    /// Its position in the log; `None` if it has not subscribed.
    pub(super) fn cursor(&self) -> Option<u64> {
        self.cursor
    }

    /// How far behind the log it is, in bytes.
    pub(super) fn behind(&self, log: &NotificationLog) -> u64 {
        self.cursor.map_or(0, |cursor| log.end() - cursor)
    }

    /// How many bytes of its own answers it has not been sent.
    pub(super) fn unread(&self) -> usize {
        self.own.len() - self.sent
    }

    /// True if there is nothing left to send.
    pub(super) fn is_empty(&self, log: &NotificationLog) -> bool {
        self.unread() == 0 && self.behind(log) == 0
    }

    /// Sends one line of its own, after the notification that is half sent and before all later ones.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub(super) fn send(
        &mut self,
        line: &[u8],
        log: &NotificationLog,
        socket: impl Write,
    ) -> io::Result<Flushed> {
        self.complete_line(log);
        if self.own.is_empty() {
            let mut socket = socket;
            let sent = write(&mut socket, line)?;
            if sent == line.len() {
                return Ok(Flushed::All);
            }
            self.own.extend_from_slice(&line[sent..]);
            return Ok(Flushed::Blocked);
        }
        self.own.extend_from_slice(line);
        self.flush(log, socket)
    }

    /// Queues one line of its own at the same place, for the next [`send`](Self::send) or [`flush`](Self::flush).
    pub(super) fn queue(&mut self, line: &[u8], log: &NotificationLog) {
        self.complete_line(log);
        self.own.extend_from_slice(line);
    }

    /// If a notification is half sent, what follows is its rest.
    fn complete_line(&mut self, log: &NotificationLog) {
        if self.torn
            && let Some(cursor) = self.cursor
        {
            let rest = log.since(cursor);
            let end = rest
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(rest.len(), |end| end + 1);
            self.own.extend_from_slice(&rest[..end]);
            self.cursor = Some(cursor + end as u64);
            self.torn = false;
        }
    }

    /// Sends what there is: its own first, then the log.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub(super) fn flush(
        &mut self,
        log: &NotificationLog,
        mut socket: impl Write,
    ) -> io::Result<Flushed> {
        if !self.own.is_empty() {
            self.sent += write(&mut socket, &self.own[self.sent..])?;
            if self.sent < self.own.len() {
                return Ok(Flushed::Blocked);
            }
            self.own = Vec::new();
            self.sent = 0;
        }
        if let Some(cursor) = self.cursor {
            let rest = log.since(cursor);
            if !rest.is_empty() {
                let sent = write(&mut socket, rest)?;
                self.cursor = Some(cursor + sent as u64);
                if let Some(last) = sent.checked_sub(1).and_then(|last| rest.get(last)) {
                    self.torn = *last != b'\n';
                }
                if sent < rest.len() {
                    return Ok(Flushed::Blocked);
                }
            }
        }
        Ok(Flushed::All)
    }
}

/// Writes until all is written or the socket takes no more; how much it took.
fn write(socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A socket that takes a given number of bytes, then no more.
    #[derive(Default)]
    struct Narrow {
        room: usize,
        taken: Vec<u8>,
    }

    impl Write for &mut Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.room);
            self.taken.extend_from_slice(&bytes[..count]);
            self.room -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        /// Whatever is sent in whatever pieces: each line arrives whole, the log's in order and without a gap, the
        /// client's own in order.
        #[test]
        fn no_line_is_torn_or_lost(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 1..40_usize, 0..60_usize), 1..80),
        ) {
            let mut log = NotificationLog::default();
            let mut outbox = Outbox::default();
            let mut socket = Narrow::default();
            outbox.subscribe(&log);
            let (mut from_log, mut own) = (Vec::new(), Vec::new());
            for (number, (is_own, is_held, length, room)) in steps.into_iter().enumerate() {
                socket.room = room;
                let line = format!("{}{number}{}\n", if is_own { 'o' } else { 'l' }, "x".repeat(length));
                if is_own {
                    own.push(line.clone());
                    if is_held {
                        outbox.queue(line.as_bytes(), &log);
                    } else {
                        outbox.send(line.as_bytes(), &log, &mut socket).unwrap();
                    }
                } else {
                    from_log.push(line.clone());
                    log.append(line.as_bytes());
                    outbox.flush(&log, &mut socket).unwrap();
                }
                log.discard(outbox.cursor().unwrap());
            }
            socket.room = usize::MAX;
            prop_assert_eq!(outbox.flush(&log, &mut socket).unwrap(), Flushed::All);
            prop_assert!(outbox.is_empty(&log));
            let text = String::from_utf8(socket.taken).unwrap();
            let lines = |kind: char| text.split_inclusive('\n').filter(|line| line.starts_with(kind)).collect::<Vec<_>>();
            prop_assert_eq!(lines('l'), from_log);
            prop_assert_eq!(lines('o'), own);
        }
    }

    #[test]
    fn an_answer_goes_before_what_the_log_holds() {
        let (mut log, mut outbox, mut socket) = (
            NotificationLog::default(),
            Outbox::default(),
            Narrow::default(),
        );
        outbox.subscribe(&log);
        log.append(b"changed\n");
        socket.room = usize::MAX;
        outbox.send(b"answer\n", &log, &mut socket).unwrap();
        outbox.flush(&log, &mut socket).unwrap();
        assert_eq!(socket.taken, b"answer\nchanged\n");
    }

    #[test]
    fn the_log_is_no_longer_than_the_slowest_is_behind() {
        let mut log = NotificationLog::default();
        for _ in 0..10_000 {
            log.append(&[b'x'; 1000]);
        }
        log.discard(log.end() - 1000);
        assert_eq!(log.bytes.len(), 1000);
        assert!(log.bytes.capacity() <= KEPT_CAPACITY);
        assert_eq!(log.since(log.end() - 1000).len(), 1000);
    }
}
