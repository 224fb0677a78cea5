//! A line of ours in the configuration, below a comment by which it is found again: the parts of the comment that all such
//! lines share, and the change that takes the line out. What the line says is that of `socket` and `notify`.

use super::file::{self, Change};
use super::stamp;
use crate::config;

/// In the comment of a file that was not there before, with the number of directories made for it.
const MADE: &str = " (with the file; directories made: ";

/// How the comment ends.
pub(super) const REST: &str = "; `agent-console uninstall` takes it out again.";

/// What the comment says of a file that was not there before, for which so many directories were made; `None`: it was there.
pub(super) fn made(directories: Option<usize>) -> String {
    directories.map_or_else(String::new, |directories| format!("{MADE}{directories})"))
}

/// The number of directories in the comment, if the file was not there before.
pub(super) fn directories(comment: &str) -> Option<usize> {
    let (_, rest) = comment.split_once(MADE)?;
    rest.split(')').next()?.parse().ok()
}

/// The change of the configuration after which it has the text that `without_line` gives. That also gives the directories
/// that were made for the file; `None`: the line is not there.
///
/// # Errors
///
/// The file is unreadable.
pub(super) fn plan_removal(
    without_line: impl FnOnce(&str) -> Option<(String, Option<usize>)>,
) -> anyhow::Result<Option<Change>> {
    let Some(path) = config::path() else {
        return Ok(None);
    };
    let before = file::read(&path)?;
    let text = before.as_deref().map(std::str::from_utf8);
    let Some((after, directories)) = text.and_then(Result::ok).and_then(without_line) else {
        return Ok(None);
    };
    let emptied = directories.is_some() && after.is_empty();
    Ok(Some(Change {
        prune: stamp::made_for(&path, directories.unwrap_or(0)),
        path,
        before,
        after: (!emptied).then(|| after.into_bytes()),
        mode: 0o600,
    }))
}
