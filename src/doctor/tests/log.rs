//! Where the daemon logs to.

use super::super::{Level, log};
use super::is;

#[test]
fn the_journal_is_wrong_only_if_nothing_can_be_written_to_it() {
    let journal = |unreadable: Option<&str>, unreachable: Option<&str>| {
        log::evaluate(&log::Probe::Journal {
            unreadable: unreadable.map(Into::into),
            unreachable: unreachable.map(Into::into),
        })
    };
    is(&journal(None, None), Level::Ok, "journalctl --user", None);
    is(
        &journal(Some("no files"), None),
        Level::Note,
        "no files",
        None,
    );
    is(
        &journal(Some("x"), Some("refused")),
        Level::Wrong,
        "refused",
        Some("sudo systemctl restart systemd-journald.socket systemd-journald.service"),
    );
    is(
        &log::evaluate(&log::Probe::NoDaemon),
        Level::Note,
        "no daemon",
        None,
    );
    let own = std::env::current_exe().unwrap();
    let file = log::Probe::File(own.clone());
    is(
        &log::evaluate(&file),
        Level::Ok,
        &own.to_string_lossy(),
        None,
    );
    let device = log::Probe::File("/dev/null".into());
    let what = "/dev/null is not a regular file";
    is(&log::evaluate(&device), Level::Note, what, None);
}
