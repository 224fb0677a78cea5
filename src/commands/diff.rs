//! A planned change as a unified diff, for `--dry-run`.

use std::borrow::Cow;
use std::io::{self, Write};

use similar::ChangeTag;
use similar::algorithms::{Capture, Replace, myers};
use similar::udiff::UnifiedHunkHeader;

use crate::format::sanitize;
use crate::install::file::Change;

/// Lines shown around each change.
const CONTEXT: usize = 3;

/// Writes the change as `diff -u` does; control characters are replaced.
pub(super) fn print(out: &mut impl Write, change: &Change, colour: bool) -> io::Result<()> {
    let path = sanitize(&change.path.to_string_lossy());
    let (before, after) = (text(change.before.as_ref()), text(change.after.as_ref()));
    let name = |side: &Option<Vec<u8>>| match side {
        Some(_) => path.as_str(),
        None => "/dev/null",
    };
    paint(out, colour, "1", &format!("--- {}", name(&change.before)))?;
    paint(out, colour, "1", &format!("+++ {}", name(&change.after)))?;
    let (before, after) = (lines(&before), lines(&after));
    // The crate's own text diff brings every algorithm that it has: an eighth of the program.
    let mut found = Replace::new(Capture::new());
    let Ok(()) = myers::diff(&mut found, &before, 0..before.len(), &after, 0..after.len());
    for hunk in found.into_inner().into_grouped_ops(CONTEXT) {
        paint(
            out,
            colour,
            "36",
            &UnifiedHunkHeader::new(&hunk).to_string(),
        )?;
        for line in hunk
            .iter()
            .flat_map(|part| part.iter_changes(&before, &after))
        {
            let (sign, code) = match line.tag() {
                ChangeTag::Delete => ('-', "31"),
                ChangeTag::Insert => ('+', "32"),
                ChangeTag::Equal => (' ', ""),
            };
            let text = line.value().trim_end_matches(['\r', '\n']);
            // Tabs are what text has and a terminal shows.
            let text = text
                .split('\t')
                .map(sanitize)
                .collect::<Vec<_>>()
                .join("\t");
            paint(out, colour, code, &format!("{sign}{text}"))?;
            if !line.value().ends_with('\n') {
                writeln!(out, "\\ No newline at end of file")?;
            }
        }
    }
    Ok(())
}

fn text(side: Option<&Vec<u8>>) -> Cow<'_, str> {
    side.map_or(Cow::Borrowed(""), |bytes| String::from_utf8_lossy(bytes))
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Writes a line, with colour by SGR (ECMA-48) if wanted.
fn paint(out: &mut impl Write, colour: bool, code: &str, line: &str) -> io::Result<()> {
    if colour && !code.is_empty() {
        writeln!(out, "\u{1b}[{code}m{line}\u{1b}[0m")
    } else {
        writeln!(out, "{line}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: Option<&str>, after: Option<&str>, colour: bool) -> String {
        let change = Change {
            path: "/home/a\u{1b}da/x".into(),
            before: before.map(|text| text.as_bytes().to_vec()),
            after: after.map(|text| text.as_bytes().to_vec()),
            ..Change::default()
        };
        let mut out = Vec::new();
        print(&mut out, &change, colour).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn it_has_the_form_of_diff_u_without_control_characters() {
        assert_eq!(
            shown(
                Some("1\n2\n3\n4\n5\n\t\u{1b}6\r\n7"),
                Some("1\n2\n3\n4\n5\nsix\n7"),
                false
            ),
            "--- /home/a\u{fffd}da/x\n+++ /home/a\u{fffd}da/x\n@@ -3,5 +3,5 @@\n 3\n 4\n 5\n-\t\u{fffd}6\n+six\n 7\n\
             \\ No newline at end of file\n"
        );
        assert_eq!(
            shown(None, Some("a\n"), false),
            "--- /dev/null\n+++ /home/a\u{fffd}da/x\n@@ -0,0 +1 @@\n+a\n"
        );
        assert!(shown(Some("a\n"), None, true).ends_with("\u{1b}[31m-a\u{1b}[0m\n"));
    }
}
