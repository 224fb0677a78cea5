//! JSON with comments as JSON: what is no JSON becomes white space of the same length, so that every place in the result
//! is the same place in the text. `settings` is the only caller, and edits the text itself.

use std::borrow::Cow;

use crate::agents::Syntax;

/// The text without comments and without commas after a last child.
pub(super) fn blank_comments(text: &str, syntax: Syntax) -> Cow<'_, str> {
    match syntax {
        Syntax::Json => text.into(),
        Syntax::JsonWithComments => {
            let mut bytes = text.as_bytes().to_owned();
            blank(&mut bytes);
            // Only whole characters become spaces.
            String::from_utf8(bytes).map_or(text.into(), Cow::from)
        }
    }
}

fn blank(text: &mut [u8]) {
    // The last byte that is no white space, and where it is.
    let mut last = (b' ', 0);
    let mut before_last = b' ';
    let mut at = 0;
    while at < text.len() {
        let end = at + length(&text[at..]);
        match text[at] {
            b'/' if end > at + 1 => {
                let comment = text[at..end].iter_mut();
                comment
                    .filter(|byte| !matches!(byte, b'\n' | b'\r'))
                    .for_each(|byte| *byte = b' ');
            }
            b' ' | b'\t' | b'\n' | b'\r' => {}
            found => {
                let closes = matches!(found, b'}' | b']');
                if closes && last.0 == b',' && !matches!(before_last, b'{' | b'[' | b',' | b':') {
                    text[last.1] = b' ';
                }
                before_last = last.0;
                last = (found, at);
            }
        }
        at = end;
    }
}

/// The length of the string or comment that the text begins with, else 1.
fn length(text: &[u8]) -> usize {
    let upto = |end: &[u8]| {
        let found = text[2..].windows(end.len()).position(|found| found == end);
        found.map(|at| at + 2)
    };
    match text {
        [b'/', b'/', ..] => upto(b"\n").unwrap_or(text.len()),
        // One that does not end is an error.
        [b'/', b'*', ..] => upto(b"*/").map_or(1, |at| at + 2),
        [b'"', ..] => {
            let mut escaped = true;
            let end = text.iter().position(|&byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            end.map_or(text.len(), |at| at + 1)
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_becomes_white_space_of_the_same_length() {
        let table = [
            ("// ä\n{}", "     \n{}"),
            (
                r#"{"a":"//", /* x */"b":"/*\"*/",}"#,
                r#"{"a":"//",        "b":"/*\"*/" }"#,
            ),
            ("[1, /* , */ ]", "[1          ]"),
            ("{} // no end", "{}          "),
            ("[[],{},\"\",]", "[[],{},\"\" ]"),
        ];
        for (text, plain) in table {
            assert_eq!(blank_comments(text, Syntax::JsonWithComments), plain);
            assert_eq!(blank_comments(text, Syntax::Json), text);
        }
    }

    #[test]
    fn a_mistake_stays_one() {
        for text in [
            "[,]",
            "[1,,]",
            "{\"a\":,}",
            "{} /* no end",
            "{} /",
            "{,}",
            "\"",
            "[1 2]",
        ] {
            let plain = blank_comments(text, Syntax::JsonWithComments);
            assert!(
                serde_json::from_str::<serde_json::Value>(&plain).is_err(),
                "{text}"
            );
        }
    }
}
