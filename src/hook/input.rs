//! Reads an agent's event from standard input: until its JSON is whole, which may be before the input ends.
//!
//! Owns the question when to parse. The bytes are parsed where they may be an object's last ones, so an event that
//! arrives at once is parsed once. An input that only looked whole is parsed again at its end or when it pauses, and the
//! larger it is the longer the pause must be: however it is cut into pieces, parsing takes a fraction of the time that
//! the input takes. Called by the parent module only.

use std::io;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::value::RawValue;

/// Read at once, in bytes: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// The largest payload in bytes; a larger one is reported without its event.
const MAX_PAYLOAD: usize = 64 * 1024 * 1024;

/// Standard input, or its stand-in in tests.
pub(super) trait Input {
    /// Appends what there is to `buffer`, without growing it; waits until there is something. 0: the input has ended.
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize>;

    /// Whether nothing comes for as long as `pause`. Where that cannot be determined: true.
    fn pauses(&mut self, pause: Duration) -> bool;
}

/// The process's standard input.
pub(super) struct Stdin;

impl Input for Stdin {
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        Ok(rustix::io::read(
            rustix::stdio::stdin(),
            spare_capacity(buffer),
        )?)
    }

    fn pauses(&mut self, pause: Duration) -> bool {
        let stdin = rustix::stdio::stdin();
        let mut stdin = [PollFd::new(&stdin, PollFlags::IN)];
        let pause = Timespec::try_from(pause).ok();
        // An alarm interrupts it: the caller must not go on to read then, which may block for good.
        !matches!(poll(&mut stdin, pause.as_ref()), Ok(1..))
    }
}

/// The event, as `filter` cuts it down; `None` where the input is no event.
pub(super) fn read_event(
    filter: fn(&[u8]) -> serde_json::Result<Box<RawValue>>,
    input: &mut impl Input,
) -> Option<Box<RawValue>> {
    // Not zeroed: that would touch every page of it, a tenth of the whole run.
    let mut payload = Vec::with_capacity(CHUNK);
    // How much was parsed in vain, in bytes.
    let mut parsed = 0;
    // The last byte that is not white space.
    let mut last = 0;
    loop {
        let left = MAX_PAYLOAD.checked_sub(payload.len() + 1)? + 1;
        if payload.capacity() - payload.len() < CHUNK.min(left) {
            payload.reserve_exact(payload.len().max(CHUNK).min(left));
        }
        let before = payload.len();
        match input.read(&mut payload) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => return filter(&payload).ok(),
        }
        let piece = payload.get(before..).unwrap_or_default();
        last = *piece.trim_ascii_end().last().unwrap_or(&last);
        if last == b'}' && (parsed == 0 || input.pauses(pause_after(parsed))) {
            match filter(&payload) {
                Err(error) if error.is_eof() => parsed = payload.len(),
                read => return read.ok(),
            }
        }
    }
}

/// How long the input must pause before it is parsed again: about four times what parsing takes.
fn pause_after(parsed: usize) -> Duration {
    const BYTES_PER_MICROSECOND: usize = 256;
    Duration::from_micros((parsed / BYTES_PER_MICROSECOND) as u64)
}

/// Reads the input to its end, so that a write of the agent's never fails.
pub(super) fn drain(input: &mut impl Input) {
    let mut rest = Vec::with_capacity(CHUNK);
    loop {
        rest.clear();
        match input.read(&mut rest) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests;
