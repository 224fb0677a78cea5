//! Whether a person attends a Gemini CLI: by the rules by which 0.61.0 itself decides whether it asks one, each tried with
//! the real program.
//!
//! Pure. Called by the hook through the parent module's table.

use super::super::Variables;

/// False for a process that runs one prompt and asks no person.
pub(super) fn is_attended(
    variable: &Variables<'_>,
    arguments: &[String],
    is_on_terminal: bool,
) -> bool {
    let has = |matches: fn(&str) -> bool| arguments.iter().any(|argument| matches(argument));
    if has(is_editor) || has(is_first_prompt) {
        return true;
    }
    let is_true = |name: &str| variable(name).is_some_and(|value| value == "true");
    let is_automation = is_true("CI") || is_true("GITHUB_ACTIONS");
    // A prompt without an option is the first one of a session at a terminal.
    is_on_terminal && !is_automation && !has(is_only_prompt)
}

/// An editor is at the other end, and asks its person.
fn is_editor(argument: &str) -> bool {
    matches!(argument, "--acp" | "--experimental-acp")
}

/// A prompt, after which the session goes on.
fn is_first_prompt(argument: &str) -> bool {
    is_option(argument, 'i', "prompt-interactive")
}

/// A prompt, after which the program ends.
fn is_only_prompt(argument: &str) -> bool {
    is_option(argument, 'p', "prompt")
}

/// `-p`, `-yp`, `-p=text`, `--prompt`, `--prompt=text`. An empty text counts as no option, as in the program.
fn is_option(argument: &str, letter: char, name: &str) -> bool {
    let Some(option) = argument.strip_prefix('-') else {
        return false;
    };
    if let Some(long) = option.strip_prefix('-') {
        let rest = long.strip_prefix(name);
        return rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('=') && rest.len() > 1);
    }
    let mut letters = option.chars().take_while(char::is_ascii_alphabetic);
    letters.any(|one| one == letter)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    fn attended(line: &str) -> bool {
        is_attended(&|_| None, &words(line), true)
    }

    /// What 0.61.0 did at a terminal.
    #[test]
    fn the_form_of_the_prompt_says_whether_the_session_goes_on() {
        for goes_on in [
            "node gemini.js",
            "node gemini.js hello",
            "node gemini.js -i hello",
            "node gemini.js -yi hello",
            "node gemini.js --prompt-interactive hello",
            "node gemini.js --prompt-interactive=hello",
            "node gemini.js --prompt=",
            "node gemini.js --policy p.toml -m gemini-2.5-pro",
        ] {
            assert!(attended(goes_on), "{goes_on}");
        }
        for ends in [
            "node gemini.js -p hello",
            "node gemini.js -yp hello",
            "node gemini.js -p=hello",
            "node gemini.js --prompt hello",
            "node gemini.js --prompt=hello",
            "node gemini.js --resume latest -p hello",
        ] {
            assert!(!attended(ends), "{ends}");
        }
    }

    #[test]
    fn without_a_terminal_only_an_editor_asks_a_person() {
        let without = |line: &str| is_attended(&|_| None, &words(line), false);
        assert!(!without("node gemini.js"));
        assert!(!without("node gemini.js hello"));
        assert!(without("node gemini.js --acp"));
        assert!(without("node gemini.js --experimental-acp"));
    }

    #[test]
    fn automation_asks_no_person_unless_it_begins_a_session() {
        for name in ["CI", "GITHUB_ACTIONS"] {
            let with = |value: &'static str, line: &str| {
                let variable = move |wanted: &str| -> Option<OsString> {
                    (wanted == name).then(|| value.into())
                };
                is_attended(&variable, &words(line), true)
            };
            assert!(!with("true", "node gemini.js hello"));
            assert!(with("true", "node gemini.js -i hello"));
            assert!(with("1", "node gemini.js"));
        }
    }
}
