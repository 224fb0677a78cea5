//! The inside of a JSON text, byte by byte: escapes, surrogate pairs, UTF-8, and where its characters go.
//!
//! Lenient with what it reads, strict with what it writes: see the parent module, the only caller.

use crate::hook::escape::push_char;

/// The longest key that is compared; no path of a table has one as long.
const KEY: usize = 64;

/// What happens to the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A key to compare.
    Key,
    /// Written up to this length of what goes out, and its closing quote.
    Kept(usize),
    /// Written as far as it went; all but the closing quote is skipped.
    Cut,
    /// Only checked.
    Skipped,
}

/// The place in an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// In none.
    Plain,
    /// After a backslash.
    Begun,
    /// In `\uXXXX`: digits to come, and the value so far.
    Hex(u8, u16),
}

/// What a byte did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The text goes on.
    More,
    /// It was the closing quote.
    End,
    /// It cannot stand there.
    Broken,
}

/// The text being read, from its opening to its closing quote.
#[derive(Debug)]
pub(super) struct Text {
    role: Role,
    escape: Escape,
    /// The first half of a surrogate pair, until the second comes.
    high: Option<u16>,
    /// The beginning of a UTF-8 sequence.
    partial: [u8; 4],
    partial_length: usize,
    key: [u8; KEY],
    /// Bytes of `key` in use; more than [`KEY`] for one that matches nothing.
    key_length: usize,
}

impl Text {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            escape: Escape::Plain,
            high: None,
            partial: [0; 4],
            partial_length: 0,
            key: [0; KEY],
            key_length: 0,
        }
    }

    /// Whether all bytes up to the next quote or backslash can be passed over.
    pub(super) fn is_passing(&self) -> bool {
        self.escape == Escape::Plain && matches!(self.role, Role::Cut | Role::Skipped)
    }

    /// The key just read, if it is one that could match.
    pub(super) fn key(&self) -> Option<&[u8]> {
        match self.role {
            Role::Key => self.key.get(..self.key_length),
            Role::Kept(_) | Role::Cut | Role::Skipped => None,
        }
    }

    /// Takes the next byte; what is kept goes to `out`.
    pub(super) fn byte(&mut self, byte: u8, out: &mut Vec<u8>) -> Step {
        match std::mem::replace(&mut self.escape, Escape::Plain) {
            Escape::Plain => self.plain_byte(byte, out),
            Escape::Begun => self.escaped_byte(byte, out),
            Escape::Hex(left, value) => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    return Step::Broken;
                };
                let value = value << 4 | u16::try_from(digit).unwrap_or_default();
                if left > 1 {
                    self.escape = Escape::Hex(left - 1, value);
                } else {
                    self.utf16_unit(value, out);
                }
                Step::More
            }
        }
    }

    fn plain_byte(&mut self, byte: u8, out: &mut Vec<u8>) -> Step {
        match byte {
            b'"' => {
                self.end_high(out);
                self.end_partial(out);
                if matches!(self.role, Role::Kept(_) | Role::Cut) {
                    out.push(b'"');
                }
                return Step::End;
            }
            b'\\' => {
                self.end_partial(out);
                self.escape = Escape::Begun;
            }
            // Raw control characters are dropped.
            b'\0'..=b'\x1f' => {
                self.end_high(out);
                self.end_partial(out);
            }
            b'\x20'..=b'\x7f' => {
                self.end_high(out);
                self.end_partial(out);
                self.put(char::from(byte), out);
            }
            _ => {
                self.end_high(out);
                self.utf8_byte(byte, out);
            }
        }
        Step::More
    }

    /// The byte after a backslash (RFC 8259, section 7).
    fn escaped_byte(&mut self, byte: u8, out: &mut Vec<u8>) -> Step {
        let char = match byte {
            b'u' => {
                self.escape = Escape::Hex(4, 0);
                return Step::More;
            }
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            _ => return Step::Broken,
        };
        self.end_high(out);
        self.put(char, out);
        Step::More
    }

    fn utf16_unit(&mut self, unit: u16, out: &mut Vec<u8>) {
        if let Some(high) = self.high.take() {
            match char::decode_utf16([high, unit]).next() {
                Some(Ok(char)) => return self.put(char, out),
                _ => self.put(char::REPLACEMENT_CHARACTER, out),
            }
        }
        match char::decode_utf16([unit]).next() {
            Some(Ok(char)) => self.put(char, out),
            // A first half may be followed by its second.
            _ if unit < 0xdc00 => self.high = Some(unit),
            _ => self.put(char::REPLACEMENT_CHARACTER, out),
        }
    }

    /// A byte of a UTF-8 sequence; replaces what is none as `String::from_utf8_lossy` does.
    fn utf8_byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.partial_length > 0 && self.utf8_with(byte, out) {
            return;
        }
        self.end_partial(out);
        if !self.utf8_with(byte, out) {
            self.put(char::REPLACEMENT_CHARACTER, out);
        }
    }

    /// Adds a byte to the sequence begun, if the two go together.
    fn utf8_with(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        let Some(place) = self.partial.get_mut(self.partial_length) else {
            return false;
        };
        *place = byte;
        let sequence = self.partial.get(..=self.partial_length).unwrap_or_default();
        match str::from_utf8(sequence) {
            Ok(text) => {
                let char = text.chars().next();
                self.partial_length = 0;
                self.put(char.unwrap_or(char::REPLACEMENT_CHARACTER), out);
                true
            }
            Err(error) if error.error_len().is_none() => {
                self.partial_length += 1;
                true
            }
            Err(_) => false,
        }
    }

    /// Replaces a surrogate pair that was begun and not finished.
    fn end_high(&mut self, out: &mut Vec<u8>) {
        if self.high.take().is_some() {
            self.put(char::REPLACEMENT_CHARACTER, out);
        }
    }

    /// Replaces a UTF-8 sequence that was begun and not finished.
    fn end_partial(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.partial_length) > 0 {
            self.put(char::REPLACEMENT_CHARACTER, out);
        }
    }

    fn put(&mut self, char: char, out: &mut Vec<u8>) {
        match self.role {
            // Paths are ASCII: a key that is not, or is too long, matches none.
            Role::Key => match (self.key.get_mut(self.key_length), u8::try_from(char)) {
                (Some(place), Ok(byte)) if byte.is_ascii() => {
                    *place = byte;
                    self.key_length += 1;
                }
                _ => self.key_length = KEY + 1,
            },
            Role::Kept(end) => {
                if !push_char(out, char, end) {
                    self.role = Role::Cut;
                }
            }
            Role::Cut | Role::Skipped => {}
        }
    }
}
