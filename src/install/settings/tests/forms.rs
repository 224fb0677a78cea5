//! What differs from one agent's settings to another's: comments, places that count, members that are allowed.

use proptest::prelude::*;

use super::generate::text;
use super::properties::files;
use super::*;

const COMMENTED: MergedHooks = MergedHooks {
    syntax: Syntax::JsonWithComments,
    command: CommandForm::Shell,
    name: Some("agent-console"),
    ..FORM
};
const PLACED: MergedHooks = MergedHooks {
    command: CommandForm::Shell,
    only_keys: &["description", "hooks"],
    keeps_places: true,
    ..FORM
};

/// The text with comments and commas after last children, where JSON may have white space.
fn commented(text: &str, mut seed: u64) -> String {
    const COMMENTS: [&str; 5] = ["", "/* a, \"b\" */", "// c: [{\n", " // ä\r\n", "/*\n*/"];
    let mut result = String::new();
    let mut last = ' ';
    let mut at = 0;
    while let Some(found) = text[at..].chars().next() {
        let end = at
            + if found == '"' {
                string_length(&text[at..])
            } else {
                found.len_utf8()
            };
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let comment = COMMENTS[usize::try_from(seed >> 33).unwrap() % COMMENTS.len()];
        if matches!(found, '}' | ']') && !matches!(last, '{' | '[') && seed >> 63 == 1 {
            result.push(',');
            last = ',';
        }
        let is_structure = |letter| "{}[],:".contains(letter);
        if is_structure(found) || is_structure(last) {
            result.push_str(comment);
        }
        result.push_str(&text[at..end]);
        if !BLANK.contains(&found) {
            last = found;
        }
        at = end;
    }
    result
}

/// The length of the JSON string that the text begins with.
fn string_length(text: &str) -> usize {
    let mut escaped = true;
    let end = text.find(|letter| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 1)
}

proptest! {
    #![proptest_config(files(1_000))]

    #[test]
    fn settings_with_comments_are_as_before_after_install_and_uninstall(
        text in text(), seed in any::<u64>(),
    ) {
        let text = commented(&text, seed);
        let request = hooks(TWO, &COMMENTED);
        if let Ok(done) = install(&text, &request, PROGRAM, None) {
            let install_of = with_form(COMMENTED);
            let found = inspect(&done.text, &install_of).unwrap().found;
            prop_assert!(TWO.iter().all(|event| found.iter().any(|found| found.event == **event)));
            prop_assert!(found.iter().all(|found| found.program == PROGRAM));
            let comments = |text: &str| text.matches("a, \"b\"").count() + text.matches("c: [{").count();
            prop_assert_eq!(comments(&done.text), comments(&text), "{}", done.text);
            let again = install(&done.text, &request, PROGRAM, Some(&done.record)).unwrap();
            prop_assert_eq!(&again, &done);
            let undone = super::super::uninstall(&done.text, &COMMENTED, ONLY_HOOKS, Some(&done.record)).unwrap();
            prop_assert_eq!(undone, text);
        }
    }
}

#[test]
fn a_persons_comments_stay_where_they_are() {
    let text = "{\n  // mine\n  \"ui\": {}, // theme\n  \"hooks\": {\n    // none yet\n  },\n}\n";
    let request = hooks(&["Stop"], &COMMENTED);
    let done = install(text, &request, PROGRAM, None).unwrap();
    for comment in ["// mine\n", "// theme\n", "// none yet\n"] {
        assert!(done.text.contains(comment), "{}", done.text);
    }
    // Written after ours was.
    let meanwhile = done.text.replace("// none yet", "// one hook");
    let undone =
        super::super::uninstall(&meanwhile, &COMMENTED, ONLY_HOOKS, Some(&done.record)).unwrap();
    assert_eq!(undone, text.replace("// none yet", "// one hook"));
    let strict = install(text, &hooks(&["Stop"], &FORM), PROGRAM, None);
    assert_eq!(strict.unwrap_err().line, 2);
}

#[test]
fn a_file_of_comments_alone_keeps_them() {
    let request = hooks(&["Stop"], &COMMENTED);
    for text in ["// nothing yet\n", "/* x */", "// a"] {
        let done = install(text, &request, PROGRAM, None).unwrap();
        assert!(done.text.starts_with(text.trim_end()), "{}", done.text);
        assert!(inspect(&done.text, &with_form(COMMENTED)).is_ok());
        let undone =
            super::super::uninstall(&done.text, &COMMENTED, ONLY_HOOKS, Some(&done.record));
        assert_eq!(undone.unwrap(), text);
    }
}

#[test]
fn hooks_of_others_keep_their_place_where_it_counts() {
    let other = r#"{"hooks":[{"type":"command","command":"theirs"}]}"#;
    let text = format!(r#"{{"hooks":{{"Stop":[{other}]}}}}"#);
    let request = hooks(&["Stop"], &PLACED);
    let done = install(&text, &request, PROGRAM, None).unwrap();
    assert!(
        done.text.starts_with(&text[..text.len() - 3]),
        "{}",
        done.text
    );
    let undo = |text: &str| {
        super::super::uninstall(text, &PLACED, ONLY_HOOKS, Some(&done.record)).unwrap()
    };
    assert_eq!(undo(&done.text), text);
    let followed = done.text.replace("]}}", &format!(",{other}]}}}}"));
    let kept = format!(r#"{{"hooks":{{"Stop":[{other},{{"hooks":[]}},{other}]}}}}"#);
    assert_eq!(undo(&followed), kept);
}

#[test]
fn a_file_that_the_agent_would_drop_is_refused() {
    let request = hooks(&["Stop"], &PLACED);
    for (text, column) in [
        (r#"{"description":"x","other":1}"#, 20),
        (r#"{"hooks":{}, "hook":{}}"#, 14),
        ("{/* x */}", 2),
        (r#"{"hooks":{},}"#, 13),
    ] {
        let error = install(text, &request, PROGRAM, None).unwrap_err();
        assert_eq!((error.line, error.column), (1, column), "{text}: {error}");
    }
    let allowed = r#"{"description":"x","hooks":{}}"#;
    assert!(install(allowed, &request, PROGRAM, None).is_ok());
}

#[test]
fn a_switch_that_is_thrown_is_named() {
    const SWITCHES: &[crate::agents::Switch] = &[
        crate::agents::Switch {
            key: "hooksConfig.enabled",
            value: "false",
        },
        crate::agents::Switch {
            key: "hooksConfig.disabled",
            value: r#""agent-console""#,
        },
    ];
    let install = Install {
        switches: SWITCHES,
        ..with_form(COMMENTED)
    };
    for (text, expected) in [
        (r#"{"hooksConfig":{"enabled":true,"disabled":["x"]}}"#, None),
        (r#"{"hooksConfig":[]}"#, None),
        (
            r#"{"hooksConfig":{"enabled":false}}"#,
            Some("hooksConfig.enabled"),
        ),
        (
            r#"{"hooksConfig":{"disabled":["x", "agent-console"]} /* x */}"#,
            Some("hooksConfig.disabled"),
        ),
    ] {
        assert_eq!(inspect(text, &install).unwrap().disabled_by, expected);
    }
}
