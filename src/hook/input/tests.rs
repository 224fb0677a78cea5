//! When an object is whole, and which of the bytes are it, with an input that a test plays.

use super::*;
use crate::agents;
use proptest::prelude::*;
use std::collections::VecDeque;

/// Pieces of an input.
struct Pieces {
    rest: VecDeque<io::Result<Vec<u8>>>,
    /// What comes after the last: the end, or nothing for good.
    ends: bool,
}

impl Pieces {
    fn new<P: Into<Vec<u8>>>(pieces: impl IntoIterator<Item = P>, ends: bool) -> Self {
        let pieces = pieces.into_iter().map(|piece| Ok(piece.into()));
        Self {
            rest: pieces.collect(),
            ends,
        }
    }
}

impl Input for Pieces {
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let Some(piece) = self.rest.pop_front() else {
            assert!(self.ends, "it reads on though the object is whole");
            return Ok(0);
        };
        let mut piece = piece?;
        let room = buffer.capacity() - buffer.len();
        if piece.len() > room {
            self.rest.push_front(Ok(piece.split_off(room)));
        }
        buffer.extend_from_slice(&piece);
        Ok(piece.len())
    }
}

fn read(mut input: Pieces) -> String {
    let received = read_object(&mut input);
    String::from_utf8(received.object().to_vec()).unwrap()
}

#[test]
fn an_object_is_whole_before_the_input_ends() {
    for (document, object) in [
        (r#"{"cwd":"/a"}"#, r#"{"cwd":"/a"}"#),
        ("{\"cwd\":\"/é\"} \n", r#"{"cwd":"/é"}"#),
        ("\u{feff}\n\t{}", "{}"),
        ("{}{}", "{}"),
        ("{} x", "{}"),
        (
            r#"{"x":{"cwd":"}"},"cwd":"/a"}"#,
            r#"{"x":{"cwd":"}"},"cwd":"/a"}"#,
        ),
    ] {
        for size in [1, 2, 3, 1000] {
            let pieces = document.as_bytes().chunks(size);
            assert_eq!(read(Pieces::new(pieces, false)), object);
        }
    }
}

#[test]
fn every_byte_is_kept_also_what_follows_the_object() {
    let document = b" {} more";
    let received = read_object(&mut Pieces::new([document], false));
    assert_eq!(received.bytes, document);
    assert!(!received.ended);
    let received = read_object(&mut Pieces::new(["", "x"], true));
    assert!(received.ended && received.bytes.is_empty());
}

#[test]
fn input_that_is_no_object_has_none() {
    for document in ["nonsense", "[]", "x{}", "5"] {
        assert_eq!(read(Pieces::new([document], false)), "", "{document}");
    }
    for document in ["", " \n"] {
        assert_eq!(read(Pieces::new([document], true)), "", "{document}");
    }
}

#[test]
fn input_that_fails_is_input_that_ends() {
    let error = |kind: io::ErrorKind| Err(io::Error::from(kind));
    let mut input = Pieces::new([] as [&str; 0], false);
    input.rest.push_back(error(io::ErrorKind::Interrupted));
    input.rest.push_back(Ok(b"{\"cwd\"".to_vec()));
    input.rest.push_back(error(io::ErrorKind::BrokenPipe));
    let received = read_object(&mut input);
    assert!(received.ended);
    assert_eq!(received.object(), b"{\"cwd\"");
    assert!(agents::DEFAULT.filter(received.object(), None).is_err());
}

#[test]
fn a_payload_beyond_the_limit_is_no_object() {
    let piece = || vec![b' '; CHUNK];
    let most = MAX_PAYLOAD / CHUNK;
    let fits = std::iter::repeat_with(piece).take(most - 1);
    let fits = fits.chain([b"{}".to_vec()]);
    assert_eq!(read(Pieces::new(fits, false)), "{}");
    let too_many = std::iter::repeat_with(piece).take(most);
    let too_many = too_many.chain([b"{}".to_vec()]);
    assert_eq!(read(Pieces::new(too_many, false)), "");
}

proptest! {
    #[test]
    fn in_any_pieces_it_is_the_same_object(
        sizes in prop::collection::vec(1..40_usize, 0..100),
        ends: bool,
    ) {
        let document = r#"{"tool_input":{"command":"a {\"b\":{}} c"},"x":[{},{"y":{}}],"cwd":"/é","prompt":"}}"}"#;
        let mut rest = document.as_bytes();
        let mut pieces = Vec::new();
        for size in sizes {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            pieces.extend(Some(piece.to_vec()).filter(|piece| !piece.is_empty()));
        }
        pieces.extend(Some(rest.to_vec()).filter(|piece| !piece.is_empty()));
        prop_assert_eq!(read(Pieces::new(pieces, ends)), document);
    }
}
