//! A new window of the tmux in which a person asks, for a command of theirs.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::super::asker::Asker;
use crate::format::sanitize;
use crate::os::command;
use crate::os::environment;

/// How long tmux may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a command in a new window of the session that the asking client shows, and gives the window's number there.
/// `None` where the person is not in tmux. If another client shows that session, too, it stays at its window, and so does
/// the one that asks.
///
/// The window stays if the command fails (tmux 3.2 or newer), so that its message can be read.
///
/// # Errors
///
/// tmux fails, or the command has failed at once.
pub(crate) fn open(
    asker: &Asker,
    directory: Option<&str>,
    command: &[String],
) -> Option<anyhow::Result<String>> {
    let seat = asker.innermost_tmux()?;
    let client = seat.client.as_ref()?;
    let tmux = |arguments: &[&str]| run(&seat.socket, arguments);
    Some(open_in(&client.session, directory, command, tmux))
}

fn open_in(
    session: &str,
    directory: Option<&str>,
    command: &[String],
    tmux: impl Fn(&[&str]) -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    let target = format!("{session}:");
    let attached = tmux(&[
        "display-message",
        "-p",
        "-t",
        &target,
        "#{session_attached}",
    ])?;
    // The program is the one that the person would start: the server may have been started with another PATH.
    let path = environment::variable("PATH").unwrap_or_default();
    let path = format!("PATH={}", path.to_string_lossy());
    let format = "#{window_id} #{window_index}";
    let mut arguments = vec!["new-window", "-t", &target, "-e", &path, "-P", "-F", format];
    if attached != "1" {
        arguments.push("-d");
    }
    if let Some(directory) = directory {
        arguments.extend(["-c", directory]);
    }
    arguments.push("--");
    arguments.extend(command.iter().map(String::as_str));
    let opened = tmux(&arguments)?;
    let (window, index) = opened.split_once(' ').context("tmux names no window")?;
    // An older tmux does not know the value; then the window ends with the command.
    let _ = tmux(&["set-option", "-w", "-t", window, "remain-on-exit", "failed"]);
    if tmux(&["list-panes", "-t", window]).is_err() {
        bail!("the command has ended at once");
    }
    Ok(index.to_owned())
}

fn run(socket: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut tmux = Command::new("tmux");
    tmux.args(["-S", socket]).args(arguments).env_remove("TMUX");
    let output = command::output(&mut tmux, TIMEOUT).context("cannot run tmux")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("tmux has failed: {}", sanitize(said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What tmux is called with, where `attached` clients show the session and the window ends at once or not.
    fn calls(attached: &str, ends: bool) -> (anyhow::Result<String>, Vec<String>) {
        let calls = RefCell::<Vec<String>>::default();
        let command = ["agent", "--resume", "1b2c"].map(str::to_owned);
        let opened = open_in("$3", Some("/w d"), &command, |arguments| {
            let is_path = |word: &str| word.starts_with("PATH=");
            let words = arguments.iter().copied();
            let words: Vec<_> = words
                .map(|word| if is_path(word) { "PATH" } else { word })
                .collect();
            calls.borrow_mut().push(words.join(" "));
            match arguments[0] {
                "display-message" => Ok(attached.to_owned()),
                "new-window" => Ok("@7 4".to_owned()),
                "list-panes" if ends => bail!("can't find window: @7"),
                _ => Ok(String::new()),
            }
        });
        (opened, calls.into_inner())
    }

    #[test]
    fn the_person_comes_to_the_window_and_no_other_client_does() {
        let (opened, own) = calls("1", false);
        assert_eq!(opened.unwrap(), "4");
        let new = "new-window -t $3: -e PATH -P -F #{window_id} #{window_index}";
        assert_eq!(own[1], format!("{new} -c /w d -- agent --resume 1b2c"));
        assert_eq!(own[2], "set-option -w -t @7 remain-on-exit failed");
        let (_, shared) = calls("2", false);
        assert_eq!(
            shared[1],
            format!("{new} -d -c /w d -- agent --resume 1b2c")
        );
    }

    #[test]
    fn a_command_that_ends_at_once_is_a_failure() {
        let (opened, _) = calls("1", true);
        assert_eq!(
            opened.unwrap_err().to_string(),
            "the command has ended at once"
        );
    }
}
