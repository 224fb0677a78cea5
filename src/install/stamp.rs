//! The stamp in a service file that `install` writes: that it manages the file, a checksum that shows whether the file was
//! edited since, and how many directories were made for it. Used by `systemd` and `launchd`.
//!
//! A file with our stamp and an intact checksum is managed by `install`, whichever version wrote it: `install` may replace
//! it and `uninstall` remove it. Any other file is the user's and stays.

use std::path::{Path, PathBuf};

use super::checksum::checksum;
use super::file::{self, FileError};

/// The checksum's place while it is computed.
const BLANK: &str = "0000000000000000";
const BEGIN: &str = "Written by `agent-console install` (directories made: ";
const MIDDLE: &str = ", checksum ";
const REST: [&str; 2] = [
    "), which keeps it up to date;",
    "`agent-console uninstall` removes it. Once edited it is yours, and both leave it alone.",
];

/// Who manages a service file.
#[derive(Debug)]
pub(crate) enum Found {
    /// There is none.
    Nothing,
    /// `install`: its contents, and how many directories were made for it.
    Ours(Vec<u8>, usize),
    /// The user, who wrote or edited it.
    Theirs,
}

/// Who manages the file at `path`: `install` (its checksum is intact, or it is a copy of a `packaged` text) or the user.
///
/// # Errors
///
/// It cannot be read.
pub(crate) fn find(path: &Path, packaged: &[&str]) -> Result<Found, FileError> {
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

/// The stamp's two lines, without the comment signs of the file's language; `directories` were made for the file.
/// [`seal`] the whole text afterwards.
#[must_use]
pub(crate) fn lines(directories: usize) -> [String; 2] {
    let [first, second] = REST;
    [
        format!("{BEGIN}{directories}{MIDDLE}{BLANK}{first}"),
        second.to_owned(),
    ]
}

/// Puts the checksum into a text that has the stamp's [`lines`].
#[must_use]
pub(crate) fn seal(text: &str) -> String {
    let sealed = format!("{MIDDLE}{}", checksum(text.as_bytes()));
    text.replacen(&format!("{MIDDLE}{BLANK}"), &sealed, 1)
}

/// The number of directories that were made for the file, if it has a stamp and was not edited since.
#[must_use]
pub(crate) fn verify(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?;
    let (head, stamp) = text.split_once(BEGIN)?;
    let (directories, rest) = stamp.split_once(MIDDLE)?;
    let (found, tail) = rest.split_at_checked(BLANK.len())?;
    let blank = format!("{head}{BEGIN}{directories}{MIDDLE}{BLANK}{tail}");
    let intact = checksum(blank.as_bytes()) == found;
    directories.parse().ok().filter(|_| intact)
}

/// The directories that were made for `file`, the deepest first.
#[must_use]
pub(crate) fn made_for(file: &Path, directories: usize) -> Vec<PathBuf> {
    let around = file.ancestors().skip(1).take(directories);
    around.map(Path::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(directories: usize) -> String {
        let [first, second] = lines(directories);
        seal(&format!("# {first}\n# {second}\n\n[Unit]\nA=b\n"))
    }

    #[test]
    fn a_stamped_file_is_recognised_until_it_is_edited() {
        let text = stamped(2);
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
