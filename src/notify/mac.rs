//! The desktop's notifications on macOS, by `osascript`: they have no action, and cannot be taken back.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use super::Notification;
use crate::os::command;
use crate::os::process_environment::ProcessEnvironment;
use crate::reminders::NotificationId;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The texts are arguments: nothing of them is read as `AppleScript`.
const SCRIPT: &str =
    "on run words\ndisplay notification (item 2 of words) with title (item 1 of words)\nend run";

/// The desktop.
pub(crate) struct Server {
    /// What it is called.
    pub(crate) title: String,
}

impl Server {
    /// Finds it: no variable names it.
    ///
    /// # Errors
    ///
    /// None here; elsewhere there may be no desktop.
    #[expect(clippy::unnecessary_wraps, reason = "the other platform's can fail")]
    pub(crate) fn find_by(_: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        Ok(Self {
            title: "macOS".to_owned(),
        })
    }

    /// Nothing names a display.
    #[expect(clippy::unused_self, reason = "the other platform's server has one")]
    pub(super) fn environment(&self) -> Option<&ProcessEnvironment> {
        None
    }

    /// Nothing can be taken back.
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the other platform's server can, and can fail"
    )]
    pub(super) fn close(&self, _: &[NotificationId]) -> Result<(), String> {
        Ok(())
    }

    /// Shows a notification, which has no id.
    pub(super) fn show(&self, notification: &Notification) -> Result<(), String> {
        let mut osascript = Command::new("osascript");
        osascript.args(["-e", SCRIPT, &notification.summary, &notification.body]);
        let title = &self.title;
        match command::output(&mut osascript, LIMIT) {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!("{title} shows no notification: {}", output.status)),
            Err(error) => Err(format!("{title} shows no notification: {error}")),
        }
    }
}
