//! Commands of a POSIX shell: which of them call this program. `settings` is the only caller.
//!
//! The crate `shlex` splits; what is added here is where a command's first word ends.

use std::ops::Range;
use std::path::Path;

pub(super) use crate::agents::quote;
use crate::os::program::{CLIENT, SHORT};

/// The names of our program.
const PROGRAMS: [&str; 2] = [CLIENT, SHORT];

/// What our program is called with to draw a status line.
pub(super) const STATUS_LINE: &str = "statusline";

/// Characters that end a word outside of quotes.
const WORD_ENDS: [char; 10] = [' ', '\t', '\n', ';', '&', '|', '<', '>', '(', ')'];

/// The longest program that is looked for, in bytes with its quotes: Linux's `PATH_MAX`. It bounds the search.
const PROGRAM_LIMIT: usize = 4096;

/// A call of this program that a command begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The program, without quotes. Variables are not expanded.
    pub(super) program: String,
    /// Where the program stands, quotes included.
    pub(super) word: Range<usize>,
    /// Where what follows the subcommand begins.
    pub(super) rest: usize,
}

/// Whether the program is this one, by its name.
pub(super) fn is_own_program(program: &str) -> bool {
    let name = Path::new(program).file_name();
    name.is_some_and(|name| PROGRAMS.iter().any(|own| name == *own))
}

/// The call of this program with `subcommand` that the command begins with.
pub(super) fn call(text: &str, subcommand: &str) -> Option<Call> {
    let start = text.len() - text.trim_start_matches([' ', '\t', '\n']).len();
    let (program, length) = first_word(&text[start..])?;
    let word = start..start + length;
    let between = &text[word.end..];
    let rest = between
        .trim_start_matches([' ', '\t'])
        .strip_prefix(subcommand)?;
    let ends = !rest.starts_with(|next: char| next.is_alphanumeric() || "-_./=".contains(next));
    (ends && between.starts_with([' ', '\t']) && is_own_program(&program)).then(|| Call {
        program,
        word,
        rest: text.len() - rest.len(),
    })
}

/// The program that a command of [`hook_command`](crate::agents::hook_command) runs, and the words after the subcommand.
pub(super) fn guarded_call(text: &str) -> Option<(String, String)> {
    let after = text.strip_prefix("[ -x ")?;
    let (program, length) = first_word(after)?;
    let (word, rest) = after.split_at(length);
    let words = rest.strip_prefix(&*format!(" ] || exit 0; exec {word} hook "))?;
    Some((program, words.to_owned()))
}

/// The word that the text begins with, without its quotes, and its length with them; `None` if it has none, or its
/// quotes do not end.
fn first_word(text: &str) -> Option<(String, usize)> {
    if text.starts_with('#') {
        return None;
    }
    let ends = text.match_indices(WORD_ENDS).map(|(at, _)| at);
    let mut ends = ends.chain([text.len()]);
    // A separator within quotes leaves them open, and `shlex` refuses what is before it.
    ends.by_ref()
        .take_while(|end| *end <= PROGRAM_LIMIT)
        .find_map(|end| match shlex::split(&text[..end])?.as_slice() {
            [word] => Some((word.clone(), end)),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_quoted_so_that_its_call_is_recognised() {
        for directory in [
            "/a",
            "/a b",
            "/it's",
            r#"/"it's" $HOME\`!^"#,
            "/ä\n",
            "~",
            "'",
        ] {
            let program = format!("{directory}/acd");
            let command = format!("{} hook x", quote(&program));
            let call = call(&command, "hook").unwrap();
            assert_eq!((call.program, &command[call.rest..]), (program, " x"));
        }
    }

    #[test]
    fn a_guarded_call_is_recognised_as_it_is_written() {
        for program in ["/a/acd", "/a b/it's/agent-console"] {
            let command = crate::agents::hook_command(program, &["x", "y"]);
            let found = guarded_call(&command).unwrap();
            assert_eq!(found, (program.to_owned(), "x y".to_owned()));
            assert_eq!(guarded_call(&command.replace("exit 0", "exit 1")), None);
        }
        let two = "[ -x /a/acd ] || exit 0; exec /b/acd hook x";
        assert_eq!(guarded_call(two), None);
    }

    #[test]
    fn a_call_is_recognised_where_the_command_begins_with_it() {
        for text in [
            "acd statusline",
            " \n acd statusline -- x",
            "'/a b/agent-console' \t statusline",
            "/x/acd\tstatusline;true",
            "\"$HOME\"/bin/agent-console statusline)",
            "a\\ b/acd statusline|cut",
        ] {
            let call = call(text, "statusline").unwrap();
            assert!(is_own_program(&call.program), "{text}");
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
            "~/bin/line # was: acd statusline",
            "# acd\nacd statusline",
            "nice -n5 acd statusline",
            "sh -c 'acd statusline | cut -c1-9'",
            "a\\; acd statusline",
            "A=1 acd statusline",
            "true && acd statusline",
        ] {
            assert_eq!(call(text, "statusline"), None, "{text}");
        }
    }
}
