//! The mark on a file that `install` writes: whose it is, whether somebody has edited it since, and how many directories
//! were made for it. Used by `systemd` and `launchd`.
//!
//! A file with our mark and its checksum intact is ours, whichever version wrote it: an install may replace it, an
//! uninstall remove it. Anything else is its user's and stays.

use std::path::{Path, PathBuf};

use super::file::{self, FileError};

/// What a marked file's checksum is while it is computed.
const BLANK: &str = "0000000000000000";
const BEGIN: &str = "Written by `agent-console install` (directories made: ";
const MIDDLE: &str = ", checksum ";
const REST: [&str; 2] = [
    "), which keeps it up to date;",
    "`agent-console uninstall` removes it. Once edited it is yours, and both leave it alone.",
];

/// Whose a service file is.
#[derive(Debug)]
pub enum Found {
    /// There is none.
    Nothing,
    /// Ours: what it holds, and how many directories were made for it.
    Ours(Vec<u8>, usize),
    /// Its user's, or edited by them.
    Theirs,
}

/// Whose the file at `path` is. One that holds a text of `packaged` was copied from there by hand, and is ours, too.
///
/// # Errors
///
/// It cannot be read.
pub fn find(path: &Path, packaged: &[&str]) -> Result<Found, FileError> {
    let Some(bytes) = file::read(path)? else {
        return Ok(Found::Nothing);
    };
    if packaged.iter().any(|text| text.as_bytes() == bytes) {
        return Ok(Found::Ours(bytes, 0));
    }
    Ok(match verify(&bytes) {
        Some(directories) => Found::Ours(bytes, directories),
        None => Found::Theirs,
    })
}

/// The mark's two lines, without a language's signs for a comment; `directories` were made for the file.
/// [`seal`] the whole text afterwards.
#[must_use]
pub fn lines(directories: usize) -> [String; 2] {
    let [first, second] = REST;
    [
        format!("{BEGIN}{directories}{MIDDLE}{BLANK}{first}"),
        second.to_owned(),
    ]
}

/// Enters the checksum into the text that has the mark's [`lines`].
#[must_use]
pub fn seal(text: &str) -> String {
    match locate(text) {
        Some((_, begin)) => with_checksum(text, begin, &checksum(text)),
        None => text.to_owned(),
    }
}

/// The number of directories that were made for the file, if its text is ours and nobody has edited it.
#[must_use]
pub fn verify(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?;
    let (directories, begin) = locate(text)?;
    let found = text.get(begin..begin + BLANK.len())?;
    let blank = with_checksum(text, begin, BLANK);
    (checksum(&blank) == found).then_some(directories)
}

/// The directories that were made for `file`, the deepest first.
#[must_use]
pub fn made_for(file: &Path, directories: usize) -> Vec<PathBuf> {
    let around = file.ancestors().skip(1).take(directories);
    around.map(Path::to_owned).collect()
}

/// The number of directories, and where the checksum begins.
fn locate(text: &str) -> Option<(usize, usize)> {
    let number = text.find(BEGIN)? + BEGIN.len();
    let length = text.get(number..)?.find(MIDDLE)?;
    let directories = text.get(number..number + length)?.parse().ok()?;
    let checksum = number + length + MIDDLE.len();
    text.get(checksum..checksum + BLANK.len())?;
    Some((directories, checksum))
}

fn with_checksum(text: &str, begin: usize, checksum: &str) -> String {
    let mut text = text.to_owned();
    text.replace_range(begin..begin + BLANK.len(), checksum);
    text
}

/// FNV-1a, 64 bits: against accidents, which is all that can happen to a user's own file.
fn checksum(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(directories: usize) -> String {
        let [first, second] = lines(directories);
        seal(&format!("# {first}\n# {second}\n\n[Unit]\nA=b\n"))
    }

    #[test]
    fn what_is_ours_is_known_until_it_is_edited() {
        let text = marked(2);
        assert_eq!(verify(text.as_bytes()), Some(2), "{text}");
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        for edited in [
            text.replace("A=b", "A=c"),
            text.replace("made: 2", "made: 3"),
            text.clone() + "\n",
            text.replacen("checksum ", "checksum f", 1),
            "[Unit]\nA=b\n".to_owned(),
            String::new(),
            text[..70].to_owned(),
        ] {
            assert_eq!(verify(edited.as_bytes()), None, "{edited}");
        }
        assert_eq!(verify(b"\xff"), None);
        // The checksum is the format's: a file that an older version wrote must stay known.
        assert_eq!(checksum("agent-console"), "f489d493251821b6");
    }

    #[test]
    fn directories_are_named_from_the_deepest() {
        let made = made_for(Path::new("/home/ada/.config/systemd/user/x.socket"), 2);
        let expected = [
            "/home/ada/.config/systemd/user",
            "/home/ada/.config/systemd",
        ];
        assert_eq!(made, expected.map(PathBuf::from));
    }
}
