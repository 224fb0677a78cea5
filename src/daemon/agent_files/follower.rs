//! A file that grows, read line by line from where it ended.
//!
//! The file is found by its path at each read: one that was replaced, or cut, is read from its beginning. Only whole lines
//! are handed out, and none is kept. Knows no agent and no watch.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use crate::agents::files::LinesFrom;
use crate::daemon::own_file::open;

/// How much is read at a time, in bytes.
const PIECE: usize = 16 * 1024;

/// How much of a file is read in one turn of the loop, in bytes.
const TURN: usize = 256 * 1024;

/// How much before its end [`LinesFrom::Tail`] begins, in bytes; less than [`TURN`].
const TAIL: u64 = 64 * 1024;

/// The longest line, in bytes.
const MAX_LINE: usize = 1024 * 1024;

/// The device, the inode, and when the file was made, where the file system says: an inode that is free is used again.
type Identity = (u64, u64, Option<SystemTime>);

/// The place in a file.
#[derive(Debug)]
pub(super) struct Follower {
    /// Where to begin, until the file was read once.
    from: Option<LinesFrom>,
    /// The file that was read.
    file: Option<Identity>,
    offset: u64,
    /// The beginning of a line.
    partial: Vec<u8>,
    /// The rest of the line is left out.
    skips: bool,
}

/// What a read has found.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) lines: Vec<Vec<u8>>,
    /// They were there before the file was followed.
    pub(super) are_earlier: bool,
    /// There is more.
    pub(super) more: bool,
}

impl Follower {
    pub(super) fn new(from: LinesFrom) -> Self {
        Self {
            from: Some(from),
            file: None,
            offset: 0,
            partial: Vec::new(),
            skips: false,
        }
    }

    /// Reads what has been written since. A file that cannot be read has no lines.
    pub(super) fn read(&mut self, path: &Path) -> Piece {
        match self.try_read(path) {
            Ok(lines) => lines,
            Err(error) => {
                if error.kind() == io::ErrorKind::NotFound {
                    // What comes at this path is another file.
                    self.begin_anew(None);
                    self.from = None;
                } else {
                    tracing::debug!("{} is ignored: {error}", path.display());
                }
                Piece::default()
            }
        }
    }

    fn try_read(&mut self, path: &Path) -> io::Result<Piece> {
        let mut file = open(path)?;
        let metadata = file.metadata()?;
        let identity = (metadata.dev(), metadata.ino(), metadata.created().ok());
        let length = metadata.len();
        let mut found = Piece::default();
        match self.from.take() {
            Some(from) => {
                self.file = Some(identity);
                self.offset = match from {
                    LinesFrom::Beginning => 0,
                    LinesFrom::End => length,
                    LinesFrom::Tail => length.saturating_sub(TAIL),
                };
                found.are_earlier = from == LinesFrom::Tail;
                // The line before may not have ended.
                self.skips = self.offset > 0 && !self.is_line_start(&mut file)?;
            }
            None if self.file != Some(identity) || length < self.offset => {
                self.begin_anew(Some(identity));
            }
            None => {}
        }
        let mut piece = [0; PIECE];
        let mut taken = 0;
        file.seek(SeekFrom::Start(self.offset))?;
        loop {
            if taken >= TURN {
                found.more = true;
                break;
            }
            let count = file.read(&mut piece)?;
            let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            taken += count;
            self.offset += count as u64;
            self.take(bytes, &mut found.lines);
        }
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
        Ok(found)
    }

    fn begin_anew(&mut self, file: Option<Identity>) {
        self.file = file;
        self.offset = 0;
        self.partial = Vec::new();
        self.skips = false;
    }

    fn is_line_start(&self, file: &mut File) -> io::Result<bool> {
        let mut before = [0];
        file.seek(SeekFrom::Start(self.offset - 1))?;
        file.read_exact(&mut before)?;
        Ok(before == *b"\n")
    }

    fn take(&mut self, bytes: &[u8], lines: &mut Vec<Vec<u8>>) {
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let is_whole = parts.peek().is_some();
            if !self.skips && self.partial.len() + part.len() > MAX_LINE {
                self.skips = true;
                self.partial = Vec::new();
            }
            if !self.skips {
                self.partial.extend_from_slice(part);
            }
            if is_whole {
                let line = std::mem::take(&mut self.partial);
                if !std::mem::take(&mut self.skips) && !line.is_empty() {
                    lines.push(line);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn texts(piece: Piece) -> Vec<String> {
        let text = |line: Vec<u8>| String::from_utf8(line).unwrap();
        piece.lines.into_iter().map(text).collect()
    }

    fn append(path: &Path, text: &str) {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn only_whole_lines_are_read_and_each_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut follower = Follower::new(LinesFrom::Beginning);
        assert!(follower.read(&path).lines.is_empty());
        append(&path, "one\ntw");
        assert_eq!(texts(follower.read(&path)), ["one"]);
        append(&path, "o\n\nthree\n");
        assert_eq!(texts(follower.read(&path)), ["two", "three"]);
        assert!(follower.read(&path).lines.is_empty());
    }

    #[test]
    fn it_begins_with_the_next_whole_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        append(&path, "half of a li");
        let mut end = Follower::new(LinesFrom::End);
        assert!(end.read(&path).lines.is_empty());
        append(&path, "ne\nnew\n");
        assert_eq!(texts(end.read(&path)), ["new"]);
    }

    #[test]
    fn the_end_of_a_long_file_is_earlier_than_what_follows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let line = |number: usize| format!("{number:0999}\n");
        append(&path, &(0..100).map(line).collect::<String>());
        append(&path, "half of a li");
        let mut tail = Follower::new(LinesFrom::Tail);
        let found = tail.read(&path);
        assert!(found.are_earlier && !found.more);
        // 65 whole lines are less than 64 KiB, and 66 are more.
        let expected: Vec<_> = (35..100)
            .map(|number| line(number).trim().to_owned())
            .collect();
        assert_eq!(texts(found), expected);
        append(&path, "ne\n");
        let found = tail.read(&path);
        assert!(!found.are_earlier);
        assert_eq!(texts(found), ["half of a line"]);

        let short = directory.path().join("short");
        append(&short, "one\n");
        let found = Follower::new(LinesFrom::Tail).read(&short);
        assert!(found.are_earlier);
        assert_eq!(texts(found), ["one"]);

        let missing = directory.path().join("missing");
        let mut tail = Follower::new(LinesFrom::Tail);
        assert!(tail.read(&missing).lines.is_empty());
        append(&missing, "new\n");
        let found = tail.read(&missing);
        assert!(!found.are_earlier);
        assert_eq!(texts(found), ["new"]);
    }

    #[test]
    fn a_file_that_was_replaced_or_cut_is_read_from_its_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut follower = Follower::new(LinesFrom::End);
        append(&path, "old\nold\n");
        follower.read(&path);
        fs::write(&path, "cut\n").unwrap();
        assert_eq!(texts(follower.read(&path)), ["cut"]);
        let other = directory.path().join("other");
        append(&other, "another\n");
        fs::rename(&other, &path).unwrap();
        assert_eq!(texts(follower.read(&path)), ["another"]);
        fs::remove_file(&path).unwrap();
        assert!(follower.read(&path).lines.is_empty());
        append(&path, "back\n");
        assert_eq!(texts(follower.read(&path)), ["back"]);
    }

    #[test]
    fn a_file_that_was_made_again_is_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut follower = Follower::new(LinesFrom::Beginning);
        for round in ["one\n", "two\n", "six\n"] {
            append(&path, round);
            assert_eq!(texts(follower.read(&path)), [round.trim()]);
            let made = fs::metadata(&path).unwrap().created().unwrap();
            // The kernel's clock for files goes in steps.
            loop {
                fs::remove_file(&path).unwrap();
                append(&path, "");
                if fs::metadata(&path).unwrap().created().unwrap() != made {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut follower = Follower::new(LinesFrom::Beginning);
        append(&path, &"x".repeat(MAX_LINE + 1));
        append(&path, "\nnext\n");
        let mut lines = Vec::new();
        loop {
            let found = follower.read(&path);
            lines.extend(found.lines);
            if !found.more {
                break;
            }
        }
        assert_eq!(lines, [b"next"]);
    }
}
