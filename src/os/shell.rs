//! Words of a POSIX shell.

use std::borrow::Cow;

/// The text as one word of a shell, quoted where that is needed. A shell has no word with a NUL: those are left out.
#[must_use]
pub fn quote(text: &str) -> String {
    let text = text.replace('\0', "");
    shlex::try_quote(&text).map_or_else(|_| text.clone(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(quote("/tmp/a-b.c"), "/tmp/a-b.c");
        assert_eq!(quote("/a b/$x"), "'/a b/$x'");
        assert_eq!(quote(""), "''");
        for word in [
            "it's",
            "\"$HOME\"",
            "`id`",
            "a;b&c|d",
            "~",
            "*",
            "!",
            "\\",
            "-n",
            "für 日本",
            "a\nb",
        ] {
            let script = format!("printf '%s' {}", quote(word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
        assert_eq!(quote("a\0b"), "ab");
    }
}
