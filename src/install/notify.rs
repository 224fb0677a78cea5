//! The configuration's line that switches notifications of the desktop on, `desktop = true` in the table `[notify]`.
//!
//! It stands below a comment of ours, by which `uninstall` finds both; all else in the file stays byte for byte as it is.

use anyhow::{Context, bail};
use toml::de::DeTable;

use super::config_line::{self, REST};
use super::file::{self, Change};
use crate::config::{self, Config, FileConfig};

/// How our comment begins.
const MARK: &str = "# Written by `agent-console install --notify`";
/// In the comment below a line of which the end was missing.
const ENDED: &str = " (with the line's end above)";

const HEADER: &str = "[notify]";
const LINE: &str = "desktop = true";

/// The change that switches them on; `None` if they are.
///
/// # Errors
///
/// The configuration is wrong, unreadable, or says otherwise.
pub(crate) fn plan_install() -> anyhow::Result<Option<Change>> {
    let path = config::path().context(
        "there is no place for a configuration file: set HOME or XDG_CONFIG_HOME to an absolute path",
    )?;
    match FileConfig::load(Some(&path))?.notify.desktop {
        Some(true) => return Ok(None),
        Some(false) => bail!(
            "{} says `desktop = false` in its table `notify`, which is yours: take that line out",
            path.display()
        ),
        None => {}
    }
    let before = file::read(&path)?;
    let text = before.as_deref().map(std::str::from_utf8).transpose();
    let text = text.context("the configuration is not UTF-8")?;
    let after = with_line(text, file::missing_directories(&path).len());
    // What is written must be what the daemon reads.
    let is_on = Config::parse(&after, &path).is_ok_and(|config| config.notify.desktop);
    if !is_on {
        bail!(
            "the table `notify` in {} is in a form that is not changed here: write `desktop = true` there",
            path.display()
        );
    }
    Ok(Some(Change {
        path,
        before,
        after: Some(after.into_bytes()),
        mode: 0o600,
        ..Change::default()
    }))
}

/// The change that takes our line out again; `None` if it is not there.
///
/// # Errors
///
/// The file is unreadable.
pub(crate) fn plan_uninstall() -> anyhow::Result<Option<Change>> {
    config_line::plan_removal(without_line)
}

/// Below the table's header; at the end, with a header, if there is none.
fn with_line(text: Option<&str>, directories: usize) -> String {
    let made = config_line::made(text.is_none().then_some(directories));
    let text = text.unwrap_or_default();
    let first = text.split('\n').next().unwrap_or_default();
    let end = if first.ends_with('\r') { "\r\n" } else { "\n" };
    let (at, header) = match header_end(text) {
        Some(at) => (at, String::new()),
        None => (text.len(), format!("{HEADER}{end}")),
    };
    let (above, below) = text.split_at(at);
    let is_ended = above.is_empty() || above.ends_with('\n');
    let (missing, ended) = if is_ended { ("", "") } else { (end, ENDED) };
    format!("{above}{missing}{MARK}{made}{ended}{REST}{end}{header}{LINE}{end}{below}")
}

/// Where the line after the table's header begins.
fn header_end(text: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let keys = table.get_ref().iter();
    let mut keys = keys.filter(|(key, _)| key.get_ref() == "notify");
    let key = keys.next()?.0.span().start;
    let start = text[..key].rfind('\n').map_or(0, |at| at + 1);
    let length = text[start..].find('\n').map(|length| length + 1);
    let line = &text[start..start + length.unwrap_or(text.len() - start)];
    let code = line.split('#').next()?;
    (code.trim() == HEADER).then_some(start + line.len())
}

/// The text without our comment and the lines below it. With the directories that were made, if the file was.
fn without_line(text: &str) -> Option<(String, Option<usize>)> {
    let (above, ours) = text.split_at(text.find(MARK)?);
    let mut lines = ours.split_inclusive('\n');
    let comment = lines.next()?;
    let mut next = lines.next()?;
    let mut below = &ours[comment.len()..];
    let header = if next.trim_end() == HEADER {
        below = &below[next.len()..];
        let header = next;
        next = lines.next()?;
        Some(header)
    } else {
        None
    };
    // A line was put between, or moved away: the comment alone proves nothing.
    if next.trim_end() != LINE || !(above.is_empty() || above.ends_with('\n')) {
        return None;
    }
    let rest = &below[next.len()..];
    // Other settings may have been written below our header since.
    let has_more = rest
        .lines()
        .map(str::trim_start)
        .find(|line| !line.is_empty());
    let header = header.filter(|_| has_more.is_some_and(|line| !line.starts_with('[')));
    let above = if comment.contains(ENDED) && header.is_none() {
        let line = above.strip_suffix('\n').unwrap_or(above);
        line.strip_suffix('\r').unwrap_or(line)
    } else {
        above
    };
    Some((
        [above, header.unwrap_or_default(), rest].concat(),
        config_line::directories(comment),
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn desktop(text: &str) -> bool {
        let path = Path::new("/config.toml");
        Config::parse(text, path).unwrap().notify.desktop
    }

    #[test]
    fn the_line_goes_in_and_out_and_nothing_else_changes() {
        for text in [
            "",
            "history = 5\n",
            "history = 5",
            "history = 5\r\n[usage]\r\nenabled = false\r\n",
            "[notify]\ndelay = \"4s\"\n\n[usage]\nenabled = true\n",
            "[notify] # mine\n",
            "[notify]",
            "# [notify]\n# desktop = false\n",
            "[usage]\nenabled = false # no end",
        ] {
            let with = with_line(Some(text), 0);
            assert!(desktop(&with), "{with}");
            assert_eq!(without_line(&with), Some((text.to_owned(), None)), "{with}");
        }
        let made = with_line(None, 2);
        assert_eq!(without_line(&made), Some((String::new(), Some(2))));
    }

    #[test]
    fn what_is_written_below_the_line_stays() {
        let with = with_line(Some("history = 5\n"), 0) + "delay = \"4s\"\n";
        let (without, _) = without_line(&with).unwrap();
        assert_eq!(without, "history = 5\n[notify]\ndelay = \"4s\"\n");
    }

    #[test]
    fn a_line_that_is_not_ours_stays() {
        let with = with_line(Some(""), 0);
        for text in [
            with.replace("desktop = true", "desktop = false"),
            with.replace("desktop", "delay = \"3s\"\ndesktop"),
            "[notify]\ndesktop = true\n".to_owned(),
        ] {
            assert_eq!(without_line(&text), None, "{text}");
        }
    }

    /// Where there is no header of its own, the result is no configuration, so nothing is written.
    #[test]
    fn another_form_of_the_table_is_refused() {
        let path = Path::new("/config.toml");
        for text in ["notify = { delay = \"3s\" }\n", "notify.delay = \"3s\"\n"] {
            let with = with_line(Some(text), 0);
            assert!(Config::parse(&with, path).is_err(), "{with}");
        }
    }
}
