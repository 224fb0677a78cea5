//! The watcher at its limits: many files, lost events, no permission, no watches.

use super::*;
#[cfg(target_os = "linux")]
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_thousand_files_are_scanned_quickly() {
    run(async {
        let mut fixture = Fixture::bare();
        fixture.make();
        let contents = "x".repeat(600);
        for pid in 1..=1000 {
            fixture.write(pid, &contents);
        }
        for what in ["watch", "scan"] {
            #[expect(clippy::disallowed_methods, reason = "a measurement")]
            let began = Instant::now();
            if what == "watch" {
                fixture.watch().await;
            } else {
                fixture.watcher.scan();
            }
            for _ in 1..=1000 {
                fixture.next().await;
            }
            println!("{what} of 1000 files: {:?}", began.elapsed());
        }
        fixture.nothing_more().await;
    });
}

#[test]
fn of_too_many_files_the_newest_are_sent() {
    run(async {
        let mut fixture = Fixture::bare();
        fixture.make();
        let extra = 10;
        let count = u32::try_from(MAX_FILES).unwrap() + extra;
        for pid in 1..=count {
            let file = fs::File::create(fixture.file(pid)).unwrap();
            let age = Duration::from_secs(u64::from(count - pid));
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_hours(100_000) - age)
                .unwrap();
        }
        fixture.watch().await;
        for pid in extra + 1..=count {
            assert_eq!(fixture.next().await.0, pid);
        }
        // A change of any other is still sent.
        fixture.write(1, "changed");
        assert_eq!(fixture.next().await, (1, Some("changed".into())));
        fixture.nothing_more().await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn lost_events_are_made_up_for() {
    run(async {
        let mut fixture = Fixture::watched().await;
        fixture.write(7, "seven");
        fixture.until(7, Some("seven")).await;
        // More than the kernel keeps for one instance, while the watcher has no turn. Of names that alternate: it
        // drops an event that repeats the last.
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        let names = ["a", "b"].map(|name| fixture.sessions().join(name));
        for _ in 0..=limit / 2 {
            for name in &names {
                fs::write(name, "").unwrap();
            }
        }
        fixture.write(7, "changed");
        fixture.write(8, "eight");
        fixture.until(7, Some("changed")).await;
        fixture.until(8, Some("eight")).await;
        fixture.works(9).await;
    });
}

/// Runs the rest of a test in a process of its own, started by `wrapper`; true in there. What it logged is given back
/// to the test, where false.
#[cfg(target_os = "linux")]
fn apart(name: &str, wrapper: &[&str]) -> Option<String> {
    const APART: &str = "AGENT_CONSOLE_TEST_APART";
    if std::env::vars_os().any(|(variable, _)| variable == APART) {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(io::stdout)
            .init();
        return None;
    }
    let output = std::process::Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("daemon::agent_registry::watcher::tests::limits::{name}"),
        ])
        .args(["--nocapture", "--test-threads=1"])
        .env(APART, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1 passed"), "{text}");
    Some(text)
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_may_not_be_read_is_reported_once() {
    // Root without its privileges is stopped by permissions.
    let wrapper = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    if let Some(log) = apart(
        "a_directory_that_may_not_be_read_is_reported_once",
        &wrapper,
    ) {
        assert_eq!(log.matches(" WARN ").count(), 2, "{log}");
        assert_eq!(log.matches("cannot watch ").count(), 2, "{log}");
        assert_eq!(log.matches("Permission denied").count(), 2, "{log}");
        return;
    }
    run(async {
        let mut fixture = Fixture::bare();
        fixture.make();
        fixture.write(7, "seven");
        let allow = |path: &Path, mode| {
            fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        };
        for closed in [fixture.sessions(), fixture.directory.clone()] {
            allow(&closed, 0);
            fixture.watch().await;
            for _ in 0..3 {
                fixture.watcher.scan();
                settle().await;
            }
            assert!(fixture.changes.try_recv().is_err());
            allow(&closed, 0o700);
            fixture.watcher.scan();
            fixture.until(7, Some("seven")).await;
            fixture.works(8).await;
        }
        // A directory that may be entered but not read is no reason to warn.
        allow(&fixture.directory, 0o300);
        fixture.watcher.scan();
        fixture.until(7, Some("seven")).await;
        fixture.works(8).await;
        allow(&fixture.directory, 0o700);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn without_watches_a_scan_still_sends() {
    for limit in ["max_inotify_instances", "max_inotify_watches"] {
        let script = format!("echo 0 >/proc/sys/user/{limit} && exec \"$@\"");
        let wrapper = ["unshare", "-U", "-r", "sh", "-c", &script, "sh"];
        let Some(log) = apart("without_watches_a_scan_still_sends", &wrapper) else {
            return run(scans());
        };
        assert_eq!(log.matches(" WARN ").count(), 1, "{log}");
        assert_eq!(log.matches("cannot watch ").count(), 1, "{log}");
    }
}

#[cfg(target_os = "linux")]
async fn scans() {
    let mut fixture = Fixture::bare();
    fixture.make();
    fixture.write(7, "seven");
    fixture.watch().await;
    assert_eq!(fixture.next().await, (7, Some("seven".into())));
    fixture.write(7, "changed");
    settle().await;
    assert!(fixture.changes.try_recv().is_err());
    fixture.watcher.scan();
    assert_eq!(fixture.next().await, (7, Some("changed".into())));
    fs::remove_file(fixture.file(7)).unwrap();
    fixture.watcher.scan();
    assert_eq!(fixture.next().await, (7, None));
}
