//! A JSON reader that keeps a few fields of a large document and never holds the rest.
//!
//! Bytes come in as they were read, in any portions; the kept fields go out, at once, in the shape that they had. What
//! is skipped is still checked to be JSON, so that a payload that broke off is noticed. Nothing recurses: nesting costs
//! one bit a level. More lenient than RFC 8259 where an agent's payload might be: invalid UTF-8 and half surrogate pairs
//! become U+FFFD, raw control characters in a text are dropped. What goes out is always strict JSON.
//!
//! A field's path names object keys; an array on the way stands for each of its elements, except in another array. The
//! ends of paths are texts (cut at the field's limit), numbers (dropped where longer, or beyond what a double holds),
//! `true`, `false` and `null`; anything else there is dropped. Objects and arrays on the way are kept even if nothing in
//! them is. Of a key that occurs twice in an object the first counts. What would take the whole beyond a given
//! length is dropped.
//!
//! Pure. Called by the hook, and knows nothing of it but the type of the table.

mod number;
mod text;

use crate::agents::Field;
use number::Digits;
use text::{Role, Step, Text};

/// Elements kept of an array on the way; the rest is skipped.
const ELEMENTS: usize = 32;

/// The deepest nesting read; deeper is no event. Each level takes one bit of memory.
const DEPTH: usize = 1 << 20;

/// The reader's place between two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a value.
    Value,
    /// After `[`: a value or `]`.
    FirstElement,
    /// After `{`: a key or `}`.
    FirstKey,
    /// After a comma in an object.
    Key,
    /// After a key.
    Colon,
    /// After a value inside an object or array.
    After,
    /// In a text or key.
    Text,
    /// In a number.
    Number(Digits),
    /// In `true`, `false` or `null`: what must still come.
    Word(&'static [u8]),
    /// After the document.
    Done,
    /// It was no JSON object.
    Broken,
}

/// What is kept of the value that comes next; by default nothing.
#[derive(Debug, Clone, Copy, Default)]
struct Want {
    /// The key to write before it; none for an element and for the document.
    key: Option<&'static str>,
    /// If it is a scalar: at most this many bytes.
    scalar: Option<usize>,
    /// If it is an object or an array: the path to it, with a dot at the end (empty for the document).
    inside: Option<&'static str>,
}

/// An object or array that is being kept.
#[derive(Debug)]
struct Frame {
    /// Its level, from 1.
    depth: usize,
    is_array: bool,
    /// The path to what is in it, as in [`Want::inside`].
    prefix: &'static str,
    /// Members or elements written.
    count: usize,
    /// Fields of the table that were met in this object, by index.
    seen: u128,
}

/// One document on its way through. See the module.
#[derive(Debug)]
pub(super) struct Scanner {
    fields: &'static [Field],
    out: Vec<u8>,
    /// The longest that `out` may become.
    room: usize,
    state: State,
    /// Whether each open level is an object, a bit each.
    levels: Vec<u8>,
    depth: usize,
    frames: Vec<Frame>,
    want: Want,
    text: Text,
    /// The current text is a key, kept or not.
    is_key: bool,
    /// Where the current number or word begins in `out`, and after which count; for taking it back.
    mark: Option<(usize, usize)>,
}

impl Scanner {
    /// Reads for `fields` (128 at most: any more are not kept) and appends to `out`, up to `room` bytes in all.
    pub(super) fn new(fields: &'static [Field], out: Vec<u8>, room: usize) -> Self {
        Self {
            fields,
            out,
            room,
            state: State::Value,
            levels: Vec::new(),
            depth: 0,
            frames: Vec::new(),
            want: Want {
                inside: Some(""),
                ..Want::default()
            },
            text: Text::new(Role::Skipped),
            is_key: false,
            mark: None,
        }
    }

    /// What was passed to `new`, with what was kept appended, and whether that is a whole object. If not, what was
    /// appended is no JSON.
    pub(super) fn finish(self) -> (Vec<u8>, bool) {
        (self.out, self.state == State::Done)
    }

    /// Takes the next portion.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while let [byte, rest @ ..] = bytes {
            let byte = *byte;
            if self.state == State::Text {
                if self.text.is_passing() {
                    let (_, special) = bytes.split_at(plain_bytes(bytes));
                    let [byte, rest @ ..] = special else { return };
                    self.text_byte(*byte);
                    bytes = rest;
                } else {
                    self.text_byte(byte);
                    bytes = rest;
                }
                continue;
            }
            if let State::Number(digits) = self.state {
                if let Some(next) = digits.step(byte) {
                    self.state = State::Number(next);
                    self.number_byte(byte);
                } else if digits.may_end() {
                    self.end_number();
                    // The byte belongs to what follows.
                    continue;
                } else {
                    self.state = State::Broken;
                }
            } else if let State::Word(expected) = self.state {
                self.word_byte(expected, byte);
            } else if self.state == State::Broken {
                return;
            } else if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                self.token(byte);
            }
            bytes = rest;
        }
    }

    /// A byte outside texts, numbers and words that is no white space.
    fn token(&mut self, byte: u8) {
        match (self.state, byte) {
            (State::FirstElement, b']') | (State::FirstKey, b'}') | (State::After, b']' | b'}') => {
                self.close(byte);
            }
            (State::FirstElement, _) => {
                self.want = self.element();
                self.value(byte);
            }
            (State::Value, _) => self.value(byte),
            (State::FirstKey | State::Key, b'"') => {
                let kept = self.frame().is_some();
                self.begin_text(if kept { Role::Key } else { Role::Skipped });
                self.is_key = true;
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::After, b',') => {
                if self.in_object() {
                    self.state = State::Key;
                } else {
                    self.want = self.element();
                    self.state = State::Value;
                }
            }
            _ => self.state = State::Broken,
        }
    }

    fn value(&mut self, byte: u8) {
        if self.depth == 0 && byte != b'{' {
            self.state = State::Broken;
            return;
        }
        match byte {
            b'{' | b'[' => self.open(byte),
            b'"' => {
                let role = match self.want.scalar {
                    Some(limit) if self.has_room(limit) => {
                        self.lead();
                        self.out.push(b'"');
                        Role::Kept(self.out.len() + limit)
                    }
                    _ => Role::Skipped,
                };
                self.begin_text(role);
                self.is_key = false;
            }
            b't' => self.begin_word(b"true"),
            b'f' => self.begin_word(b"false"),
            b'n' => self.begin_word(b"null"),
            _ => match Digits::begin(byte) {
                Some(digits) => self.begin_number(byte, digits),
                None => self.state = State::Broken,
            },
        }
    }

    fn after_value(&mut self) {
        self.state = if self.depth == 0 {
            State::Done
        } else {
            State::After
        };
    }

    // Nesting.

    fn open(&mut self, byte: u8) {
        let is_array = byte == b'[';
        if self.depth == DEPTH {
            self.state = State::Broken;
            return;
        }
        // An array without a key is an array's element.
        if let Some(prefix) = self.want.inside
            && !(is_array && self.want.key.is_none())
            && self.has_room(0)
        {
            self.lead();
            self.out.push(byte);
            self.frames.push(Frame {
                depth: self.depth + 1,
                is_array,
                prefix,
                count: 0,
                seen: 0,
            });
        }
        let (index, bit) = (self.depth / 8, 1 << (self.depth % 8));
        if index == self.levels.len() {
            self.levels.push(0);
        }
        if let Some(level) = self.levels.get_mut(index) {
            *level = if is_array {
                *level & !bit
            } else {
                *level | bit
            };
        }
        self.depth += 1;
        self.state = if is_array {
            State::FirstElement
        } else {
            State::FirstKey
        };
    }

    fn close(&mut self, byte: u8) {
        if self.in_object() != (byte == b'}') {
            self.state = State::Broken;
            return;
        }
        if self.frame().is_some() {
            self.out.push(byte);
            self.frames.pop();
        }
        self.depth -= 1;
        self.after_value();
    }

    /// Whether the innermost open level is an object.
    fn in_object(&self) -> bool {
        let Some(level) = self.depth.checked_sub(1) else {
            return false;
        };
        self.levels
            .get(level / 8)
            .is_some_and(|bits| bits & (1 << (level % 8)) != 0)
    }

    /// The innermost open level, if it is kept.
    fn frame(&mut self) -> Option<&mut Frame> {
        let depth = self.depth;
        self.frames.last_mut().filter(|frame| frame.depth == depth)
    }

    /// Whether a value of `length` bytes fits, with its key and all that must still be closed.
    fn has_room(&self, length: usize) -> bool {
        // A comma, a colon, two pairs of quotes, a bracket, and the byte by which a number shows that it is too long.
        const AROUND: usize = 8;
        let key = self.want.key.map_or(0, str::len);
        self.out.len() + key + length + AROUND + self.frames.len() <= self.room
    }

    /// Writes what stands before a kept value: a comma, its key.
    fn lead(&mut self) {
        let key = self.want.key;
        if let Some(frame) = self.frame() {
            frame.count += 1;
            if frame.count > 1 {
                self.out.push(b',');
            }
        }
        if let Some(key) = key {
            self.out.push(b'"');
            self.out.extend_from_slice(key.as_bytes());
            self.out.extend_from_slice(b"\":");
        }
    }

    /// What is wanted of an array's next element.
    fn element(&mut self) -> Want {
        match self.frame() {
            Some(frame) if frame.is_array && frame.count < ELEMENTS => Want {
                inside: Some(frame.prefix),
                ..Want::default()
            },
            _ => Want::default(),
        }
    }

    /// What is wanted of the value of the key that was just read.
    fn member(&mut self) -> Want {
        let (depth, fields) = (self.depth, self.fields);
        let Some(frame) = self.frames.last_mut().filter(|frame| frame.depth == depth) else {
            return Want::default();
        };
        // A dot in a key is no step of a path.
        let Some(key) = self.text.key().filter(|key| !key.contains(&b'.')) else {
            return Want::default();
        };
        let mut want = Want::default();
        let mut first = None;
        for (index, field) in (0..u128::BITS).zip(fields) {
            let Some(rest) = field.path.strip_prefix(frame.prefix) else {
                continue;
            };
            let (step, ends) = match rest.split_once('.') {
                Some((step, _)) => (step, false),
                None => (rest, true),
            };
            if step.as_bytes() != key {
                continue;
            }
            first.get_or_insert(index);
            want.key = Some(step);
            if ends {
                want.scalar = Some(field.limit);
            } else {
                want.inside = field.path.get(..=frame.prefix.len() + step.len());
            }
        }
        if let Some(index) = first {
            if frame.seen & (1 << index) != 0 {
                return Want::default();
            }
            frame.seen |= 1 << index;
        }
        want
    }

    // Numbers and words.

    fn begin_number(&mut self, byte: u8, digits: Digits) {
        self.begin_plain();
        self.number_byte(byte);
        self.state = State::Number(digits);
    }

    fn begin_word(&mut self, word: &'static [u8]) {
        self.begin_plain();
        if self.mark.is_some() {
            self.out.extend_from_slice(word);
        }
        self.state = State::Word(word.get(1..).unwrap_or_default());
    }

    fn begin_plain(&mut self) {
        self.mark = None;
        if self.want.scalar.is_some_and(|limit| self.has_room(limit)) {
            let before = self.out.len();
            self.lead();
            self.mark = Some((before, self.out.len()));
        }
    }

    fn number_byte(&mut self, byte: u8) {
        if let (Some((_, begin)), Some(limit)) = (self.mark, self.want.scalar)
            // One more than allowed shows that it is too long.
            && self.out.len() - begin <= limit
        {
            self.out.push(byte);
        }
    }

    fn end_number(&mut self) {
        if let (Some((before, begin)), Some(limit)) = (self.mark, self.want.scalar) {
            let text = self.out.get(begin..).unwrap_or_default();
            let fits = text.len() <= limit
                && str::from_utf8(text)
                    .is_ok_and(|text| text.parse::<f64>().is_ok_and(f64::is_finite));
            if !fits {
                self.out.truncate(before);
                if let Some(frame) = self.frame() {
                    frame.count -= 1;
                }
            }
        }
        self.after_value();
    }

    fn word_byte(&mut self, expected: &'static [u8], byte: u8) {
        match expected {
            [last] if *last == byte => self.after_value(),
            [next, rest @ ..] if *next == byte => self.state = State::Word(rest),
            _ => self.state = State::Broken,
        }
    }

    // Texts.

    fn begin_text(&mut self, role: Role) {
        self.text = Text::new(role);
        self.state = State::Text;
    }

    fn text_byte(&mut self, byte: u8) {
        match self.text.byte(byte, &mut self.out) {
            Step::More => {}
            Step::End if self.is_key => {
                self.want = self.member();
                self.state = State::Colon;
            }
            Step::End => self.after_value(),
            Step::Broken => self.state = State::Broken,
        }
    }
}

/// How many bytes at the beginning are neither a quote nor a backslash. Eight at a time: this is where the time goes
/// when a tool's output is megabytes long.
fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    // Has a zero byte, for certain if and only if the result is not 0.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, _) = bytes.as_chunks::<8>();
    let plain = words
        .iter()
        .take_while(|word| {
            let word = u64::from_ne_bytes(**word);
            zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) == 0
        })
        .count()
        * 8;
    let rest = bytes.get(plain..).unwrap_or_default();
    plain
        + rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\'))
            .unwrap_or(rest.len())
}

#[cfg(test)]
mod tests;
