//! Finds the end of the first JSON object in bytes that arrive in pieces, without parsing them.
//!
//! A payload says itself where it ends: at the brace that closes its object. Only braces outside of strings count, so
//! one pass over each byte is enough, wherever the pieces are cut (RFC 8259, sections 4 and 7). Whether the object is
//! valid JSON is for the parser. Pure. Used by `input`.

/// How far an object has been read.
#[derive(Debug, Default)]
pub(super) struct ObjectScanner {
    /// Braces that are open; 0 before the object.
    depth: usize,
    place: Place,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Structure,
    String,
    /// In a string, behind a backslash.
    Escape,
}

/// What a piece of the input means for the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// The object goes on, or has not begun.
    Incomplete,
    /// It ends before this byte of the piece.
    Ends(usize),
    /// Something else stands where an object should begin.
    NoObject,
}

impl ObjectScanner {
    /// Takes the next bytes. After [`Scan::Ends`] or [`Scan::NoObject`] it must not be called again.
    pub(super) fn push(&mut self, piece: &[u8]) -> Scan {
        for (at, byte) in piece.iter().enumerate() {
            match (&self.place, byte) {
                (Place::Structure, b'{') => self.depth += 1,
                (Place::Structure, byte) if self.depth == 0 => {
                    // White space, and the three bytes of a byte order mark.
                    if !byte.is_ascii_whitespace() && !matches!(byte, 0xef | 0xbb | 0xbf) {
                        return Scan::NoObject;
                    }
                }
                (Place::Structure, b'}') => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Scan::Ends(at + 1);
                    }
                }
                (Place::Structure, b'"') | (Place::Escape, _) => self.place = Place::String,
                (Place::String, b'\\') => self.place = Place::Escape,
                (Place::String, b'"') => self.place = Place::Structure,
                (Place::Structure | Place::String, _) => {}
            }
        }
        Scan::Incomplete
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn scan(document: &[u8], size: usize) -> Scan {
        let mut scanner = ObjectScanner::default();
        let mut before = 0;
        for piece in document.chunks(size) {
            match scanner.push(piece) {
                Scan::Incomplete => before += piece.len(),
                Scan::Ends(at) => return Scan::Ends(before + at),
                Scan::NoObject => return Scan::NoObject,
            }
        }
        Scan::Incomplete
    }

    #[test]
    fn an_object_ends_at_its_closing_brace() {
        for (document, expected) in [
            ("{}", Scan::Ends(2)),
            (" \r\n{}", Scan::Ends(5)),
            ("\u{feff}{}", Scan::Ends(5)),
            ("{}garbage", Scan::Ends(2)),
            (r#"{"a":{"b":"}"}}{}"#, Scan::Ends(15)),
            (r#"{"a":"\"}"}"#, Scan::Ends(11)),
            (r#"{"a":"\\"}"#, Scan::Ends(10)),
            (r#"{"a":"\u007d\\\"}"}"#, Scan::Ends(19)),
            ("{\"é}\":1}", Scan::Ends(9)),
            ("", Scan::Incomplete),
            (" ", Scan::Incomplete),
            (r#"{"a":{}"#, Scan::Incomplete),
            (r#"{"a":"}"#, Scan::Incomplete),
            ("[]", Scan::NoObject),
            ("x{}", Scan::NoObject),
            ("}", Scan::NoObject),
            ("\"{\"", Scan::NoObject),
        ] {
            for size in 1..=document.len().max(1) {
                assert_eq!(scan(document.as_bytes(), size), expected, "{document}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_the_end_that_a_parser_finds(
            texts in prop::collection::vec(any::<String>(), 0..5),
            after: Vec<u8>,
            size in 1..40_usize,
        ) {
            let object: Value = texts.iter().map(|text| (text.clone(), Value::from(vec![text.clone()]))).collect::<serde_json::Map<_, _>>().into();
            let document = object.to_string();
            let followed = [document.as_bytes(), &after].concat();
            prop_assert_eq!(scan(&followed, size), Scan::Ends(document.len()));
            prop_assert_eq!(scan(&document.as_bytes()[..document.len() - 1], size), Scan::Incomplete);
        }
    }
}
