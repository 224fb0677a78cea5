//! Cuts a stream of bytes into lines of bounded length.

use super::Refusal;
use crate::protocol::MAX_LINE;

/// Cuts a stream into lines. Holds no memory while no line is unfinished.
#[derive(Debug, Default)]
pub struct Framer {
    partial: Vec<u8>,
}

impl Framer {
    /// Takes the next bytes and passes each line that they complete, without its line feed, to `line`.
    ///
    /// # Errors
    ///
    /// A line is longer than [`MAX_LINE`]; the stream can't be read on.
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) -> Result<(), Refusal> {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (head, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.partial.len() + head.len() >= MAX_LINE {
                return Err(Refusal::too_long());
            }
            if self.partial.is_empty() {
                line(head);
            } else {
                self.partial.extend_from_slice(head);
                line(&std::mem::take(&mut self.partial));
            }
        }
        if self.partial.len() + bytes.len() >= MAX_LINE {
            return Err(Refusal::too_long());
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// True if a line has begun and not ended.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.partial.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_memory_is_held_between_lines() {
        let mut framer = Framer::default();
        framer.push(&[b'x'; 10_000], |_| ()).unwrap();
        framer.push(b"\n", |_| ()).unwrap();
        assert_eq!(framer.partial.capacity(), 0);
    }
}
