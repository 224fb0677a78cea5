//! Commands as a shell reads them (POSIX, "Shell Command Language"), as far as that matters here: which of them call
//! this program, which are nothing but words, and how a text becomes a word. `settings` is the only caller.

use std::ops::Range;
use std::path::Path;

/// The names of our program.
const PROGRAMS: [&str; 2] = ["agent-console", "acd"];

/// What separates words, and what separates words or commands.
const BLANK: [char; 2] = [' ', '\t'];
const SPACE: [char; 3] = [' ', '\t', '\n'];

/// Words that, where a program's name is expected, mean something to a shell itself: POSIX's, dash's and bash's. Where
/// a program of the same name is there, too, it need not do the same (`echo`).
const OWN_WORDS: &str = "alias bg bind break builtin caller case cd chdir command compgen complete compopt continue coproc declare \
    dirs disown do done echo elif else enable esac eval exec exit export false fc fg fi for function getopts \
    hash help history if in jobs kill let local logout mapfile newgrp popd printf pushd pwd read readarray \
    readonly return select set shift shopt source suspend test then time times trap true type typeset ulimit \
    umask unalias unset until wait while . :";

/// A call of this program in a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The program, without quotes. Variables are left to the shell: what stands there is the program.
    pub(super) program: String,
    /// Where it stands.
    pub(super) word: Range<usize>,
    /// Where what follows the subcommand begins.
    pub(super) rest: usize,
}

/// Whether the program is this one, by its name.
pub(super) fn is_ours(program: &str) -> bool {
    let name = Path::new(program).file_name();
    name.is_some_and(|name| PROGRAMS.iter().any(|ours| name == *ours))
}

/// The call of this program with `subcommand` that the command begins with.
pub(super) fn call(text: &str, subcommand: &str) -> Option<Call> {
    let start = text.len() - text.trim_start_matches(SPACE).len();
    let (program, length) = first_word(&text[start..])?;
    let word = start..start + length;
    let between = &text[word.end..];
    let rest = between.trim_start_matches(BLANK).strip_prefix(subcommand)?;
    let ends = !rest.starts_with(|next: char| next.is_alphanumeric() || "-_./=".contains(next));
    (ends && between.starts_with(BLANK) && is_ours(&program)).then(|| Call {
        program,
        word,
        rest: text.len() - rest.len(),
    })
}

/// The first such call wherever a command begins in the text; true if that is its beginning.
pub(super) fn call_within(text: &str, subcommand: &str) -> Option<(Call, bool)> {
    if let Some(call) = call(text, subcommand) {
        return Some((call, true));
    }
    if !text.contains(subcommand) {
        return None;
    }
    let starts = starts(text).into_iter();
    let mut starts = starts.map(|start| start + assignments(&text[start..]));
    starts.find_map(|start| {
        let mut call = call(&text[start..], subcommand)?;
        call.word = start + call.word.start..start + call.word.end;
        call.rest += start;
        Some((call, false))
    })
}

/// Where commands begin, as far as that can be seen: at the beginning and behind what separates commands; neither within
/// quotes nor in a comment, where a program is only spoken of.
fn starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    let mut quote = None;
    let mut word_begins = true;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some('"') | None, '\\') => drop(letters.next()),
            (None, '\'' | '"') => quote = Some(letter),
            (None, '#') if word_begins => {
                while letters.next_if(|(_, letter)| *letter != '\n').is_some() {}
            }
            (None, _) if "\n;&|(){}`".contains(letter) => starts.push(at + letter.len_utf8()),
            _ => {}
        }
        word_begins = SPACE.contains(&letter) || ";&|()".contains(letter);
    }
    starts
}

/// How long the assignments are that a command begins with.
fn assignments(text: &str) -> usize {
    let mut length = 0;
    loop {
        let rest = text[length..].trim_start_matches(BLANK);
        let (name, value) = rest.split_once('=').unwrap_or_default();
        let is_name = !name.is_empty()
            && !name.starts_with(|letter: char| letter.is_ascii_digit())
            && name
                .chars()
                .all(|letter| letter == '_' || letter.is_ascii_alphanumeric());
        if !is_name {
            return length;
        }
        let value = first_word(value).map_or(0, |(_, length)| length);
        length = text.len() - rest.len() + name.len() + 1 + value;
    }
}

/// The word that the text begins with, without its quotes, and its length with them; `None` where there is none, or its
/// quotes do not end.
fn first_word(text: &str) -> Option<(String, usize)> {
    let mut word = String::new();
    let mut letters = text.char_indices();
    let length = loop {
        let Some((at, letter)) = letters.next() else {
            break text.len();
        };
        match letter {
            '\'' => loop {
                match letters.next()?.1 {
                    '\'' => break,
                    within => word.push(within),
                }
            },
            '"' => loop {
                match letters.next()?.1 {
                    '"' => break,
                    '\\' => match letters.next()?.1 {
                        special @ ('"' | '$' | '`' | '\\') => word.push(special),
                        '\n' => {}
                        other => word.extend(['\\', other]),
                    },
                    within => word.push(within),
                }
            },
            '\\' => word.extend(letters.next().map(|(_, escaped)| escaped)),
            _ if SPACE.contains(&letter) || ";&|<>()".contains(letter) => break at,
            _ => word.push(letter),
        }
    };
    (length > 0).then_some((word, length))
}

/// Letters that mean nothing to a shell, wherever they stand within a word.
fn is_plain_letter(letter: char) -> bool {
    letter.is_alphanumeric() || "/._-+@%,:=".contains(letter)
}

/// Whether these are such letters only, or what a shell replaces wherever it begins a word (`~`).
pub(super) fn is_plain_word(word: &str) -> bool {
    !word.is_empty()
        && word
            .chars()
            .all(|letter| is_plain_letter(letter) || letter == '~')
}

/// Whether a shell would run the command as it stands: the first word names a program, the others are its arguments.
/// Those mean the same behind another command. In doubt it would not.
pub(super) fn is_plain(command: &str) -> bool {
    let mut words = command.split(BLANK).filter(|word| !word.is_empty());
    let program = words.next().unwrap_or_default();
    is_plain_word(program)
        && !program.contains(['=', '%'])
        && !OWN_WORDS.split(' ').any(|own| own == program)
        && words.all(is_plain_word)
}

/// The text as one word, such that [`call`] knows it again.
pub(super) fn word(text: &str) -> String {
    if !text.is_empty() && text.chars().all(is_plain_letter) {
        text.to_owned()
    } else if text.contains('\'') && !text.contains(['"', '$', '`', '\\', '!']) {
        format!("\"{text}\"")
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_a_word_that_is_known_again() {
        for directory in [
            "/a",
            "/a b",
            "/it's",
            r#"/"it's" $HOME\`!"#,
            "/ä\n",
            "~",
            "'",
        ] {
            let program = format!("{directory}/acd");
            let command = format!("{} hook x", word(&program));
            let call = call(&command, "hook").unwrap();
            assert_eq!((call.program, &command[call.rest..]), (program, " x"));
        }
    }

    #[test]
    fn a_call_is_found_wherever_it_stands() {
        for text in [
            "FOO=1 acd statusline -- x",
            "A= B='x y' \t'/a b/agent-console' statusline",
            "true && acd statusline",
            "echo \"it's\"\nacd statusline",
            "cat|/x/acd\tstatusline;true",
            "(\"$HOME\"/bin/agent-console statusline)",
        ] {
            let (call, first) = call_within(text, "statusline").unwrap();
            assert!(!first && is_ours(&call.program), "{text}");
            assert!(text[..call.rest].ends_with("statusline"), "{text}");
        }
        for text in [
            "",
            "statusline",
            "my-acd statusline",
            "acd statuslines",
            "acd\nstatusline",
            "acd status line",
            "~/acd/statusline",
            "acd; statusline",
            "'acd statusline",
            "echo acd statusline",
            "echo 'try: acd statusline'",
            "echo \"try; acd statusline\"",
            "~/bin/line # was: acd statusline",
            "~/bin/line #; acd statusline",
            "nice -n5 acd statusline",
            "sh -c 'acd statusline | cut -c1-9'",
            "a\\; acd statusline",
            "1=2 acd statusline",
        ] {
            assert_eq!(call_within(text, "statusline"), None, "{text}");
        }
        assert!(call_within(" acd statusline", "statusline").unwrap().1);
    }

    #[test]
    fn plain_is_what_no_shell_changes() {
        for plain in [
            "~/bin/line",
            "date +%H:%M",
            "  npx -y  x@1.2 --a=b\t",
            "./ünï",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "", " ", "#x", "a|b", "a;b", "A=1 b", "echo a", ". x", "a $B", "a *", "a 'b'", "a\\",
            "a\nb", "cd x", "! a", "{ a", "[ a", "a #b", "%1", "a >b", "a `b`", "a\u{a0}b", "a\rb",
        ] {
            assert!(!is_plain(other), "{other:?}");
        }
    }
}
