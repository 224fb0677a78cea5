//! Reads one JSON object from standard input: an agent's event, or a status line's input.
//!
//! The object is acted on when its closing brace has been read: an agent may keep the pipe open long after it, or write
//! more. What follows is then read and discarded ([`drain`]), so that a write of the agent's never fails. Called by the
//! parent module and by `statusline`.

use std::io;
use std::ops::Range;

use rustix::buffer::spare_capacity;

use super::deadline;
use super::object::{ObjectScanner, Scan};

/// Read at once, in bytes: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// The largest input in bytes that is kept; of a larger one the object is not found.
const MAX_PAYLOAD: usize = 64 * 1024 * 1024;

/// Standard input, or its stand-in in tests.
pub(crate) trait Input {
    /// Appends what there is to `buffer`, without growing it; waits until there is something. 0: the input has ended.
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize>;
}

/// The process's standard input.
pub(crate) struct Stdin;

impl Input for Stdin {
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let count = rustix::io::read(rustix::stdio::stdin(), spare_capacity(buffer))?;
        deadline::input_moves();
        Ok(count)
    }
}

/// What was read of an input.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Every byte so far. More may follow, unless `ended`.
    pub(crate) bytes: Vec<u8>,
    /// Where the object is in `bytes`; up to their end if the input ended before the object did. Empty if the input is
    /// no object.
    object: Range<usize>,
    /// Whether the input has ended, or cannot be read any further.
    pub(crate) ended: bool,
}

impl Received {
    /// The object, from its opening brace.
    pub(crate) fn object(&self) -> &[u8] {
        self.bytes.get(self.object.clone()).unwrap_or_default()
    }
}

/// Reads until the object is whole, the input is known to be none, or it ends.
pub(crate) fn read_object(input: &mut impl Input) -> Received {
    // Not zeroed: that would touch every page of it, a tenth of the whole run.
    let mut bytes = Vec::with_capacity(CHUNK);
    let mut scanner = ObjectScanner::default();
    let (object, ended) = loop {
        let left = (MAX_PAYLOAD + 1).saturating_sub(bytes.len());
        if left == 0 {
            break (0..0, false);
        }
        if bytes.capacity() - bytes.len() < CHUNK.min(left) {
            bytes.reserve_exact(bytes.len().max(CHUNK).min(left));
        }
        let before = bytes.len();
        match input.read(&mut bytes) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break (start(&bytes)..bytes.len(), true),
        }
        match scanner.push(bytes.get(before..).unwrap_or_default()) {
            Scan::Incomplete => {}
            Scan::Ends(at) => break (start(&bytes)..before + at, false),
            Scan::NoObject => break (0..0, false),
        }
    };
    Received {
        bytes,
        object,
        ended,
    }
}

/// Where the object begins: before it are only white space and a byte order mark.
fn start(bytes: &[u8]) -> usize {
    let brace = bytes.iter().position(|&byte| byte == b'{');
    brace.unwrap_or(bytes.len())
}

/// Reads the input to its end, or until so much has come that the writer will not end by itself.
pub(crate) fn drain(input: &mut impl Input) {
    let mut rest = Vec::with_capacity(CHUNK);
    let mut left = MAX_PAYLOAD;
    while left > 0 {
        rest.clear();
        match input.read(&mut rest) {
            Ok(count @ 1..) => left = left.saturating_sub(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests;
