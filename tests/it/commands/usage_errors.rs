//! A wrong command line: its words are repeated, and none of them steers the terminal.

use super::*;

/// Clears the screen, sets the title, begins a sequence in one byte, turns the reading direction.
const HOSTILE: [&str; 5] = [
    "\u{1b}[2Jx",
    "\u{1b}]0;x\u{7}",
    "x\u{9b}31m",
    "x\u{7f}\rx",
    "x\u{202e}\u{2066}",
];

fn is_harmless(text: &str) -> bool {
    let is_mark = |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .all(|c| c == '\n' || !c.is_control() && !is_mark(c))
}

#[test]
fn the_words_of_a_wrong_command_line_do_not_steer_the_terminal() {
    let place = Place::new();
    for word in HOSTILE {
        let option = format!("--{word}");
        for arguments in [
            &["wait", "--timeout", word][..],
            &["report", "x", word],
            &["report", "x", "working", "--pid", word],
            &["list", &option],
            &["list", word],
            &[word],
            &["bar", "--format", word],
            &["install", "--agent", word],
            &["completions", word],
            &["config", word],
        ] {
            let output = place.run(arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
            assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(is_harmless(&said), "{arguments:?}: {said:?}");
            assert!(said.contains("\u{fffd}"), "{arguments:?}: {said:?}");
        }
    }
    // What is no word of the caller's stays as it is.
    let output = place.run(&["wait", "--timeout", "soon"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("soon") && said.ends_with('\n'), "{said:?}");
    assert!(place.ok(&["--version"]).starts_with("agent-console "));
}

#[test]
fn the_name_of_the_program_does_not_steer_the_terminal() {
    use std::os::unix::process::CommandExt;
    let place = Place::new();
    let mut command = place.command(["list", "--unknown"]);
    let output = command.arg0("\u{1b}[2Jx").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(is_harmless(&said), "{said:?}");
}
