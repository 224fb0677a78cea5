//! The watcher at its limits: many files, lost events, no permission, no watches.

use super::*;
#[cfg(target_os = "linux")]
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_thousand_files_are_scanned_quickly() {
    run(async {
        let mut scene = Scene::bare();
        scene.make();
        let contents = "x".repeat(600);
        for pid in 1..=1000 {
            scene.write(pid, &contents);
        }
        for what in ["watch", "scan"] {
            #[expect(clippy::disallowed_methods, reason = "a measurement")]
            let began = Instant::now();
            if what == "watch" {
                scene.watch().await;
            } else {
                scene.watcher.scan();
            }
            for _ in 1..=1000 {
                scene.next().await;
            }
            println!("{what} of 1000 files: {:?}", began.elapsed());
        }
        scene.nothing_more().await;
    });
}

#[test]
fn of_too_many_files_the_newest_are_told() {
    run(async {
        let mut scene = Scene::bare();
        scene.make();
        let extra = 10;
        let count = u32::try_from(MOST_FILES).unwrap() + extra;
        for pid in 1..=count {
            let file = File::create(scene.file(pid)).unwrap();
            let age = Duration::from_secs(u64::from(count - pid));
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_hours(100_000) - age)
                .unwrap();
        }
        scene.watch().await;
        for pid in extra + 1..=count {
            assert_eq!(scene.next().await.0, pid);
        }
        // A change of any other is still told.
        scene.write(1, "changed");
        assert_eq!(scene.next().await, (1, Some("changed".into())));
        scene.nothing_more().await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn lost_events_are_made_up_for() {
    run(async {
        let mut scene = Scene::watched().await;
        scene.write(7, "seven");
        scene.until(7, Some("seven")).await;
        // More than the kernel keeps for one instance, while the watcher has no turn. Of names that alternate: it
        // drops an event that repeats the last.
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        let names = ["a", "b"].map(|name| scene.sessions().join(name));
        for _ in 0..=limit / 2 {
            for name in &names {
                fs::write(name, "").unwrap();
            }
        }
        scene.write(7, "changed");
        scene.write(8, "eight");
        scene.until(7, Some("changed")).await;
        scene.until(8, Some("eight")).await;
        scene.works(9).await;
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
fn a_directory_that_may_not_be_read_is_complained_of_once() {
    // Root without its privileges is stopped by permissions.
    let wrapper = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    if let Some(log) = apart(
        "a_directory_that_may_not_be_read_is_complained_of_once",
        &wrapper,
    ) {
        assert_eq!(log.matches(" WARN ").count(), 2, "{log}");
        assert_eq!(log.matches("cannot watch ").count(), 2, "{log}");
        assert_eq!(log.matches("Permission denied").count(), 2, "{log}");
        return;
    }
    run(async {
        let mut scene = Scene::bare();
        scene.make();
        scene.write(7, "seven");
        let allow = |path: &Path, mode| {
            fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        };
        for closed in [scene.sessions(), scene.directory.clone()] {
            allow(&closed, 0);
            scene.watch().await;
            for _ in 0..3 {
                scene.watcher.scan();
                settle().await;
            }
            assert!(scene.told.try_recv().is_err());
            allow(&closed, 0o700);
            scene.watcher.scan();
            scene.until(7, Some("seven")).await;
            scene.works(8).await;
        }
        // A step that may be passed, but not read, is none of these.
        allow(&scene.directory, 0o300);
        scene.watcher.scan();
        scene.until(7, Some("seven")).await;
        scene.works(8).await;
        allow(&scene.directory, 0o700);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn without_watches_a_scan_still_tells() {
    for limit in ["max_inotify_instances", "max_inotify_watches"] {
        let script = format!("echo 0 >/proc/sys/user/{limit} && exec \"$@\"");
        let wrapper = ["unshare", "-U", "-r", "sh", "-c", &script, "sh"];
        let Some(log) = apart("without_watches_a_scan_still_tells", &wrapper) else {
            return run(scans());
        };
        assert_eq!(log.matches(" WARN ").count(), 1, "{log}");
        assert_eq!(log.matches("cannot watch ").count(), 1, "{log}");
    }
}

#[cfg(target_os = "linux")]
async fn scans() {
    let mut scene = Scene::bare();
    scene.make();
    scene.write(7, "seven");
    scene.watch().await;
    assert_eq!(scene.next().await, (7, Some("seven".into())));
    scene.write(7, "changed");
    settle().await;
    assert!(scene.told.try_recv().is_err());
    scene.watcher.scan();
    assert_eq!(scene.next().await, (7, Some("changed".into())));
    fs::remove_file(scene.file(7)).unwrap();
    scene.watcher.scan();
    assert_eq!(scene.next().await, (7, None));
}
