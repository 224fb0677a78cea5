//! Each type on its own: what it keeps, and that a value which it does not keep is no error.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn cut<const N: usize>(json: &str) -> String {
    let text: Text<N> = serde_json::from_str(json).unwrap();
    text.into_inner().into()
}

#[test]
fn a_text_is_cut_between_characters() {
    let cases = [
        (r"12345678", "12345678"),
        (r"123456789", "12345678"),
        (r"1234567\n9", "1234567"),
        (r"123456\n9", "123456\n"),
        (r"1234567é", "1234567"),
        (r"12345\ud83d\ude00", "12345"),
        (r"1234\ud83d\ude00", "1234😀"),
        (r"123\u0001", "123"),
        (r"12\u0001", "12\u{1}"),
        (r"\u0041\u0042", "AB"),
        // Once cut, a shorter character does not follow.
        (r"1234567é8", "1234567"),
    ];
    for (spelled, expected) in cases {
        assert_eq!(cut::<8>(&format!("\"{spelled}\"")), expected, "{spelled}");
    }
}

#[test]
fn half_a_surrogate_pair_is_replaced() {
    let cases = [
        (r"\ud83d", "\u{fffd}"),
        (r"\ude00", "\u{fffd}"),
        (r"\ud83dx", "\u{fffd}x"),
        (r"\ud83d\n", "\u{fffd}\n"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
    ];
    for (spelled, expected) in cases {
        assert_eq!(cut::<24>(&format!("\"{spelled}\"")), expected, "{spelled}");
    }
}

#[test]
fn a_value_of_another_type_counts_as_absent() {
    for other in ["null", "true", "7", "[\"a\"]", "{\"a\":\"b\"}", "\"\""] {
        let text: Text<8> = serde_json::from_str(other).unwrap();
        assert_eq!(text.get(), None, "{other}");
        let part: Part<Value> = serde_json::from_str(other).unwrap();
        assert_eq!(part.0.is_null(), !other.starts_with('{'), "{other}");
        let list: List<Value, 2> = serde_json::from_str(other).unwrap();
        assert_eq!(list.0, Vec::<Value>::new(), "{other}");
    }
    for other in [
        "null", "true", "\"\"", "\"x\"", "\"7 %\"", "\"NaN\"", "\"[7]\"", "[7]", "{}", "1e999",
    ] {
        let number: Number = serde_json::from_str(other).unwrap();
        assert_eq!(number.as_f64(), None, "{other}");
        let time: Time = serde_json::from_str(other).unwrap();
        assert_eq!(time.as_ms(), None, "{other}");
    }
    for other in ["1e999", r#""\ud800""#, r#"["\ud800"]"#] {
        let part: Part<Value> = serde_json::from_str(other).unwrap();
        assert!(part.0.is_null(), "{other}");
    }
}

#[test]
fn a_number_may_be_spelled_as_a_text() {
    for spelled in ["42.5", "\"42.5\"", "\" 42.5 \"", "4.25e1", "\"4.25e1\""] {
        let number: Number = serde_json::from_str(spelled).unwrap();
        assert_eq!(number.as_f64(), Some(42.5), "{spelled}");
    }
    let number: Number = serde_json::from_str("\"7\"").unwrap();
    assert_eq!(number.as_u64(), Some(7));
}

#[test]
fn a_time_is_understood_in_each_of_its_spellings() {
    for (spelled, ms) in [
        ("1790000000", 1_790_000_000_000),
        ("1790000000.25", 1_790_000_000_250),
        ("1790000000250", 1_790_000_000_250),
        ("1790000000250.0", 1_790_000_000_250),
        ("\"1790000000\"", 1_790_000_000_000),
        ("\"1790000000250\"", 1_790_000_000_250),
        ("\"2026-12-01T15:00:00Z\"", 1_796_137_200_000),
        ("\"2026-12-01T15:00:00.250Z\"", 1_796_137_200_250),
        ("\"2026-12-01 15:00:00+00:00\"", 1_796_137_200_000),
        ("\"2026-12-01T16:00:00+01:00\"", 1_796_137_200_000),
        ("\"2026-12-01T16:00:00+0100\"", 1_796_137_200_000),
        ("\"2026-12-01T15:00:00\"", 1_796_137_200_000),
        ("\"1970-01-01T00:00:01.250Z\"", 1250),
        ("0", 0),
    ] {
        let time: Time = serde_json::from_str(spelled).unwrap();
        assert_eq!(time.as_ms(), Some(ms), "{spelled}");
        // What is written reads back.
        let written = serde_json::to_string(&time).unwrap();
        let again: Time = serde_json::from_str(&written).unwrap();
        assert_eq!(again.as_ms(), Some(ms), "{spelled}: {written}");
    }
    for spelled in [
        "-1",
        "1e14",
        "1e300",
        "\"2026-13-01T15:00:00Z\"",
        "\"soon\"",
    ] {
        let time: Time = serde_json::from_str(spelled).unwrap();
        assert_eq!(time.as_ms(), None, "{spelled}");
    }
}

#[test]
fn a_list_keeps_its_first_objects() {
    let list: List<Value, 2> =
        serde_json::from_str(r#"[5, {"a":1}, [{"b":1}], "c", {"d":1}, {"e":1}]"#).unwrap();
    assert_eq!(list.0, [json!({"a": 1}), json!({"d": 1})]);
}

proptest! {
    #[test]
    fn a_short_text_reads_back(text: String) {
        prop_assert_eq!(cut::<1_000_000>(&json!(text).to_string()), text);
    }

    #[test]
    fn a_cut_text_is_as_much_of_the_beginning_as_fits(text: String) {
        let kept = cut::<9>(&json!(text).to_string());
        prop_assert!(text.starts_with(&kept));
        prop_assert!(json!(kept).to_string().len() <= 9 + 2);
        if let Some(next) = text[kept.len()..].chars().next() {
            let longer = format!("{kept}{next}");
            prop_assert!(json!(longer).to_string().len() > 9 + 2);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced(bytes: Vec<u8>) {
        let kept = Text::<9>::from_bytes(&bytes);
        prop_assert!(String::from_utf8_lossy(&bytes).starts_with(&*kept.0));
        prop_assert!(json!(*kept.0).to_string().len() <= 9 + 2);
    }
}
