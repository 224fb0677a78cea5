use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_mins(1);

fn any(_name: &OsStr) -> bool {
    true
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A change in words: what happened, to which file, and the text.
fn words(found: &Found) -> String {
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
    match &found.change {
        Change::Appeared(path) => format!("appeared {}", name(path)),
        Change::Removed(path) => format!("removed {}", name(path)),
        Change::Contents(path, contents) => format!("contents {} {}", name(path), text(contents)),
        Change::Line(path, line) => format!("line {} {}", name(path), text(line)),
        Change::EarlierLine(path, line) => format!("earlier {} {}", name(path), text(line)),
        Change::Message(_) | Change::Disconnected(_) => panic!("{found:?}"),
    }
}

/// Runs a test on a loop like the daemon's.
fn on_loop(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let timely = async { tokio::time::timeout(PATIENCE, test()).await };
    runtime.block_on(timely).expect("it waits in vain");
}

/// The next changes, one at least.
async fn some(watcher: &mut Watcher) -> Vec<Found> {
    loop {
        let found = watcher.next().await;
        if !found.is_empty() {
            return found;
        }
    }
}

/// Waits until all of these have come, in any order among others.
async fn until(watcher: &mut Watcher, expected: &[&str]) {
    let mut missing: Vec<_> = expected.iter().map(|one| (*one).to_owned()).collect();
    while !missing.is_empty() {
        for found in watcher.next().await {
            let found = words(&found);
            missing.retain(|one| *one != found);
        }
    }
}

#[test]
fn names_come_and_go() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        fs::write(path.join("there"), "").unwrap();
        let mut watcher = Watcher::new();
        let found = watcher.directory(0, path.clone(), any);
        assert_eq!(
            found.iter().map(words).collect::<Vec<_>>(),
            ["appeared there"]
        );
        fs::write(path.join("new"), "").unwrap();
        until(&mut watcher, &["appeared new"]).await;
        fs::remove_file(path.join("there")).unwrap();
        until(&mut watcher, &["removed there"]).await;
    });
}

#[test]
fn a_growing_file_is_read_as_it_grows_and_again_when_it_is_replaced() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        append(&path, "old\n");
        let mut watcher = Watcher::new();
        assert!(watcher.lines(0, path.clone(), LinesFrom::End).is_empty());
        append(&path, "one\nha");
        until(&mut watcher, &["line log one"]).await;
        append(&path, "lf\n");
        until(&mut watcher, &["line log half"]).await;
        let other = directory.path().join("other");
        append(&other, "replaced\n");
        fs::rename(&other, &path).unwrap();
        until(&mut watcher, &["line log replaced"]).await;
        append(&path, "more\n");
        until(&mut watcher, &["line log more"]).await;
        fs::remove_file(&path).unwrap();
        append(&path, "back\n");
        until(&mut watcher, &["line log back"]).await;
    });
}

#[test]
fn what_is_in_a_file_at_first_is_found_at_once_and_marked() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        append(&path, "old\n");
        let mut watcher = Watcher::new();
        let found = watcher.lines(0, path.clone(), LinesFrom::Tail);
        assert_eq!(
            found.iter().map(words).collect::<Vec<_>>(),
            ["earlier log old"]
        );
        append(&path, "new\n");
        until(&mut watcher, &["line log new"]).await;
    });
}

#[test]
fn what_does_not_exist_yet_is_waited_for() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("a/b/c");
        let mut watcher = Watcher::new();
        watcher.directory(0, deep.clone(), any);
        watcher.whole(1, deep.join("state"));
        watcher.lines(2, deep.join("log"), LinesFrom::Beginning);
        fs::create_dir(directory.path().join("a")).unwrap();
        fs::create_dir_all(&deep).unwrap();
        append(&deep.join("log"), "one\n");
        fs::write(deep.join("state.new"), "{}").unwrap();
        fs::rename(deep.join("state.new"), deep.join("state")).unwrap();
        until(
            &mut watcher,
            &["line log one", "contents state {}", "appeared state"],
        )
        .await;
        // It goes, and comes again.
        fs::remove_dir_all(directory.path().join("a")).unwrap();
        until(&mut watcher, &["removed log"]).await;
        fs::create_dir_all(&deep).unwrap();
        append(&deep.join("log"), "two\n");
        until(&mut watcher, &["line log two", "appeared log"]).await;
    });
}

#[test]
fn only_own_regular_files_are_read() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("link");
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        let mut watcher = Watcher::new();
        assert!(watcher.whole(0, path).is_empty());
        assert!(watcher.whole(0, "/dev/zero".into()).is_empty());
        assert!(
            watcher
                .lines(0, "/dev/zero".into(), LinesFrom::Beginning)
                .is_empty()
        );
        assert!(
            watcher
                .lines(0, "relative".into(), LinesFrom::Beginning)
                .is_empty()
        );
        let long = directory.path().join("long");
        fs::write(&long, vec![b'x'; 70_000]).unwrap();
        assert!(watcher.whole(0, long).is_empty());
    });
}

#[test]
fn what_is_forgotten_is_not_reported() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        let mut watcher = Watcher::new();
        watcher.lines(0, one.clone(), LinesFrom::Beginning);
        watcher.lines(0, two.clone(), LinesFrom::Beginning);
        watcher.forget(0, &one);
        append(&one, "not wanted\n");
        append(&two, "wanted\n");
        let found = some(&mut watcher).await;
        assert_eq!(
            found.iter().map(words).collect::<Vec<_>>(),
            ["line two wanted"]
        );
    });
}

#[test]
fn a_path_that_is_asked_for_twice_is_read_once() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        append(&path, "one\n");
        let mut watcher = Watcher::new();
        assert_eq!(
            watcher.lines(0, path.clone(), LinesFrom::Beginning).len(),
            1
        );
        assert!(watcher.lines(0, path, LinesFrom::Beginning).is_empty());
    });
}

#[test]
fn a_directory_is_watched_by_each_of_its_paths() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real");
        let link = directory.path().join("link");
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut watcher = Watcher::new();
        watcher.directory(0, real.clone(), any);
        watcher.directory(1, link, any);
        fs::write(real.join("new"), "").unwrap();
        let mut readers = std::collections::BTreeSet::new();
        while readers.len() < 2 {
            readers.extend(watcher.next().await.iter().map(|found| found.reader));
        }
    });
}

#[test]
fn a_directory_above_is_watched_only_until_the_one_below_is_there() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("below");
        let mut watcher = Watcher::new();
        watcher.directory(0, below.clone(), any);
        fs::create_dir(&below).unwrap();
        fs::write(below.join("new"), "").unwrap();
        until(&mut watcher, &["appeared new"]).await;
        assert_eq!(watcher.notifier.as_ref().unwrap().directories(), [below]);
    });
}

#[test]
fn of_too_many_growing_files_the_one_that_changed_longest_ago_is_dropped() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let path = |number: usize| directory.path().join(format!("{number}.log"));
        let mut watcher = Watcher::new();
        watcher.directory(0, directory.path().to_owned(), any);
        for number in 0..300 {
            append(&path(number), "old\n");
            watcher.lines(0, path(number), LinesFrom::End);
            if number == 200 {
                append(&path(0), "alive\n");
                until(&mut watcher, &["line 0.log alive"]).await;
            }
        }
        append(&path(1), "not read\n");
        append(&path(299), "newest\n");
        append(&path(0), "still\n");
        fs::write(directory.path().join("last"), "").unwrap();
        let mut seen = Vec::new();
        while !["line 299.log newest", "line 0.log still", "appeared last"]
            .iter()
            .all(|one| seen.iter().any(|found| found == one))
        {
            seen.extend(watcher.next().await.iter().map(words));
        }
        assert!(!seen.contains(&"line 1.log not read".to_owned()));
    });
}

#[test]
fn a_busy_file_wakes_the_daemon_a_bounded_number_of_times() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        append(&path, "");
        let mut watcher = Watcher::new();
        watcher.lines(0, path.clone(), LinesFrom::End);
        let began = clock::monotonic();
        let writer = std::thread::spawn(move || {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            for number in 0..2000 {
                writeln!(file, "{number}").unwrap();
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        let (mut turns, mut lines) = (0, 0);
        while lines < 2000 {
            lines += watcher.next().await.len();
            turns += 1;
        }
        let pauses = began.elapsed().as_millis() / PAUSE.as_millis() + 1;
        writer.join().unwrap();
        // The event and the read after the pause, and the closing at the end.
        assert!(turns <= 2 * pauses + 4, "{turns} turns in {pauses} pauses");
    });
}

#[test]
fn what_is_at_rest_wakes_nothing() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        append(&path, "one\n");
        let mut watcher = Watcher::new();
        watcher.directory(0, directory.path().to_owned(), any);
        watcher.whole(0, path.clone());
        watcher.lines(0, path.clone(), LinesFrom::End);
        append(&path, "two\n");
        until(&mut watcher, &["line log two"]).await;
        // Until all that the write has caused is read.
        let quiet = Duration::from_millis(500);
        while tokio::time::timeout(quiet, watcher.next()).await.is_ok() {}
        assert!(watcher.next_due().is_none());
    });
}

/// A kqueue does not report the closing of a file.
#[cfg(target_os = "linux")]
#[test]
fn the_end_of_a_process_closes_its_file() {
    on_loop(async || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let mut child = std::process::Command::new("sh")
            .args(["-c", "exec 3>\"$0\"; printf held >&3; exec sleep 1000"])
            .arg(&path)
            .spawn()
            .unwrap();
        let mut watcher = Watcher::new();
        let there = watcher.whole(0, path);
        if !there
            .iter()
            .any(|found| words(found) == "contents state held")
        {
            until(&mut watcher, &["contents state held"]).await;
        }
        while tokio::time::timeout(Duration::from_millis(200), watcher.next())
            .await
            .is_ok()
        {}
        child.kill().unwrap();
        child.wait().unwrap();
        until(&mut watcher, &["contents state held"]).await;
    });
}
