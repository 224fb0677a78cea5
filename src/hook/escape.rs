//! Text as JSON, with a limit: the one spelling of a string that the hook writes. Pure; called by the scanner and by
//! the line's builder.

/// Appends `char` as JSON spells it, unless that takes `out` beyond `end` bytes: then nothing, and `false`. An escape is
/// written whole or not at all.
pub(super) fn push_char(out: &mut Vec<u8>, char: char, end: usize) -> bool {
    let mut spelled = [0; 6];
    let spelled: &[u8] = match char {
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '\n' => b"\\n",
        '\r' => b"\\r",
        '\t' => b"\\t",
        '\u{8}' => b"\\b",
        '\u{c}' => b"\\f",
        '\0'..'\u{20}' => {
            let digit =
                |value: u32| char::from_digit(value & 0xf, 16).map_or(b'0', |digit| digit as u8);
            let code = u32::from(char);
            spelled = [b'\\', b'u', b'0', b'0', digit(code >> 4), digit(code)];
            &spelled
        }
        _ => char.encode_utf8(&mut spelled).as_bytes(),
    };
    if out.len() + spelled.len() > end {
        return false;
    }
    out.extend_from_slice(spelled);
    true
}

/// Appends `text` in quotes, cut at `limit` bytes between them; what is not UTF-8 becomes U+FFFD.
pub(super) fn push_string(out: &mut Vec<u8>, text: &[u8], limit: usize) {
    out.push(b'"');
    let end = out.len() + limit;
    for char in String::from_utf8_lossy(text).chars() {
        if !push_char(out, char, end) {
            break;
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_text_reads_back(text: String) {
            let mut out = Vec::new();
            push_string(&mut out, text.as_bytes(), usize::MAX / 2);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn a_cut_text_is_a_beginning(text: Vec<u8>, limit in 0..20_usize) {
            let mut out = Vec::new();
            push_string(&mut out, &text, limit);
            prop_assert!(out.len() <= limit + 2);
            let kept = serde_json::from_slice::<String>(&out).unwrap();
            prop_assert!(String::from_utf8_lossy(&text).starts_with(&kept));
        }
    }
}
