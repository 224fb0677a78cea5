//! When an event is whole, and what that costs, with an input that a test plays in time of its own.

use super::*;
use crate::agents;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::VecDeque;

/// Pieces of an input, each with the pause before it in microseconds.
struct Pieces {
    rest: VecDeque<(u64, io::Result<Vec<u8>>)>,
    /// What comes after the last: the end, or nothing for good.
    ends: bool,
    /// Microseconds since the start.
    now: u64,
}

impl Pieces {
    fn new(pieces: impl IntoIterator<Item = (u64, Vec<u8>)>, ends: bool) -> Self {
        let pieces = pieces.into_iter();
        Self {
            rest: pieces.map(|(pause, piece)| (pause, Ok(piece))).collect(),
            ends,
            now: 0,
        }
    }
}

impl Input for Pieces {
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let Some((pause, piece)) = self.rest.pop_front() else {
            assert!(self.ends, "it reads on though the event is whole");
            return Ok(0);
        };
        self.now += pause;
        let mut piece = piece?;
        let room = buffer.capacity() - buffer.len();
        if piece.len() > room {
            self.rest.push_front((0, Ok(piece.split_off(room))));
        }
        buffer.extend_from_slice(&piece);
        Ok(piece.len())
    }

    fn pauses(&mut self, pause: Duration) -> bool {
        let pause = u64::try_from(pause.as_micros()).unwrap();
        match self.rest.front_mut() {
            Some((left, _)) if *left < pause => false,
            None if self.ends => false,
            next => {
                if let Some((left, _)) = next {
                    *left -= pause;
                }
                self.now += pause;
                true
            }
        }
    }
}

thread_local! {
    static PARSED: Cell<usize> = const { Cell::new(0) };
}

fn filter(payload: &[u8]) -> serde_json::Result<Box<RawValue>> {
    PARSED.set(PARSED.get() + payload.len());
    (agents::DEFAULT.filter)(payload)
}

fn read(mut input: Pieces) -> Option<String> {
    read_event(filter, &mut input).map(|event| event.get().to_owned())
}

#[test]
fn an_event_is_whole_before_the_input_ends() {
    for (document, expected) in [
        (r#"{"cwd":"/a"}"#, r#"{"cwd":"/a"}"#),
        ("{\"cwd\":\"/a\"} \n", r#"{"cwd":"/a"}"#),
        ("{}", "{}"),
        (r#"{"x":{"cwd":"}"},"cwd":"/a"}"#, r#"{"cwd":"/a"}"#),
    ] {
        for size in [1, 2, 3, 1000] {
            let pieces = document.as_bytes().chunks(size);
            let pieces = pieces.map(|piece| (100_000, piece.to_vec()));
            assert_eq!(read(Pieces::new(pieces, false)).as_deref(), Some(expected));
        }
    }
}

#[test]
fn what_is_no_event_is_none() {
    for document in ["", "nonsense", "{\"cwd\":\"/a\"", "[]", "{}{}", "{} x"] {
        let piece = (0, document.as_bytes().to_vec());
        assert_eq!(read(Pieces::new([piece], true)), None, "{document}");
    }
}

#[test]
fn input_that_fails_is_input_that_ends() {
    let error = |kind: io::ErrorKind| (0, Err(io::Error::from(kind)));
    for (document, event) in [("{}", None), ("{\"cwd\":\"/a\"", None)] {
        let mut input = Pieces::new([], false);
        input.rest.push_back(error(io::ErrorKind::Interrupted));
        input
            .rest
            .push_back((0, Ok(document.as_bytes()[..1].to_vec())));
        input.rest.push_back(error(io::ErrorKind::BrokenPipe));
        assert_eq!(read(input), event);
    }
}

#[test]
fn a_payload_beyond_the_limit_is_no_event() {
    let piece = || (0, vec![b' '; CHUNK]);
    let whole = (0, b"{}".to_vec());
    let most = MAX_PAYLOAD / CHUNK;
    let fits = std::iter::repeat_with(piece).take(most - 1);
    assert_eq!(
        read(Pieces::new(fits.chain([whole.clone()]), false)).as_deref(),
        Some("{}")
    );
    let too_many = std::iter::repeat_with(piece).take(most);
    assert_eq!(read(Pieces::new(too_many.chain([whole]), false)), None);
}

/// A large input in pieces that each look like an end.
#[test]
fn parsing_takes_a_fraction_of_the_time_that_the_input_takes() {
    const PAUSE: u64 = 1_000;
    let piece = format!("{{\"output\":\"{}\"}}", "x".repeat(985));
    let mut document = format!("{{\"list\":[{piece}");
    for _ in 0..500 {
        document.push(',');
        document.push_str(&piece);
    }
    document.push_str("],\"cwd\":\"/a\"}");
    let first = "{\"list\":[".len();
    let pieces = std::iter::once(&document.as_bytes()[..first])
        .chain(document.as_bytes()[first..].chunks(piece.len() + 1))
        .map(|piece| (PAUSE, piece.to_vec()));
    let mut input = Pieces::new(pieces, false);
    PARSED.set(0);
    assert!(read_event(filter, &mut input).is_some());
    let parsed = u64::try_from(PARSED.get()).unwrap();
    let size = u64::try_from(document.len()).unwrap();
    assert!(
        parsed < 2 * size + 256 * input.now,
        "{parsed} bytes in {} µs",
        input.now
    );
}

proptest! {
    #[test]
    fn in_any_pieces_it_is_the_same_event(
        pieces in prop::collection::vec((0..100_000_u64, 1..40_usize), 0..100),
        ends: bool,
    ) {
        let document = r#"{"tool_input":{"command":"a {\"b\":{}} c"},"x":[{},{"y":{}}],"cwd":"/é","prompt":"}}"}"#;
        let mut rest = document.as_bytes();
        let mut portions = Vec::new();
        for (pause, size) in pieces {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            if !piece.is_empty() {
                portions.push((pause, piece.to_vec()));
            }
        }
        if !rest.is_empty() {
            portions.push((0, rest.to_vec()));
        }
        let event = read(Pieces::new(portions, ends));
        let whole = filter(document.as_bytes()).unwrap();
        prop_assert_eq!(event.unwrap(), whole.get());
    }
}
