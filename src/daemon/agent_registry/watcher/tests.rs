//! The watcher on real files.

mod limits;

use super::*;
use std::fs;
use std::future::Future;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

/// A process id that no other file of a test has.
const MARK: u32 = 4_000_000;

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test)
}

/// A configuration directory, which a test creates when it needs it, a watcher, and the changes that it sends.
struct Fixture {
    root: TempDir,
    directory: PathBuf,
    watcher: RegistryWatcher,
    changes: UnboundedReceiver<RegistryFileChange>,
}

fn registry() -> &'static Registry {
    crate::agents::DEFAULT.registry.as_ref().unwrap()
}

impl Fixture {
    fn bare() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (change_tx, changes) = unbounded_channel();
        Self {
            directory: root.path().join("home/.claude"),
            root,
            watcher: RegistryWatcher::new(change_tx),
            changes,
        }
    }

    /// With the directory, watched.
    async fn watched() -> Self {
        let mut fixture = Self::bare();
        fixture.make();
        fixture.watch().await;
        fixture
    }

    fn sessions(&self) -> PathBuf {
        self.directory.join("sessions")
    }

    fn file(&self, pid: u32) -> PathBuf {
        self.sessions().join(format!("{pid}.json"))
    }

    fn make(&self) {
        fs::create_dir_all(self.sessions()).unwrap();
    }

    fn write(&self, pid: u32, contents: &str) {
        fs::write(self.file(pid), contents).unwrap();
    }

    /// Starts to watch and lets the watcher's task run.
    async fn watch(&mut self) {
        self.watcher.watch(&self.directory, registry());
        settle().await;
    }

    fn scan_if(&mut self, is_needed: bool) {
        if is_needed {
            self.watcher.scan();
        }
    }

    async fn next(&mut self) -> (u32, Option<String>) {
        let change = tokio::time::timeout(Duration::from_mins(1), self.changes.recv())
            .await
            .expect("a change")
            .unwrap();
        assert_eq!(*change.directory, *self.directory);
        let contents = change
            .contents
            .map(|contents| String::from_utf8(contents).unwrap());
        (change.pid, contents)
    }

    /// Waits for a state of a file; the same as before, or one that was half-written, may come first.
    async fn until(&mut self, pid: u32, contents: Option<&str>) {
        while self.next().await != (pid, contents.map(Into::into)) {}
    }

    /// Asserts that no change is left: the next ones are of a mark set now.
    async fn nothing_more(&mut self) {
        self.write(MARK, "mark");
        assert_eq!(self.next().await, (MARK, Some("mark".into())));
        fs::remove_file(self.file(MARK)).unwrap();
        assert_eq!(self.next().await, (MARK, None));
    }

    /// Asserts that changes of files are seen from now on.
    async fn works(&mut self, pid: u32) {
        self.write(pid, "new");
        self.until(pid, Some("new")).await;
        fs::remove_file(self.file(pid)).unwrap();
        self.until(pid, None).await;
    }
}

/// Lets every task run that can.
async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn files_from_before_and_after_are_sent_and_never_from_inside_a_call() {
    run(async {
        let mut fixture = Fixture::bare();
        fixture.make();
        fixture.write(7, "seven");
        fixture.watcher.watch(&fixture.directory, registry());
        assert!(fixture.changes.try_recv().is_err());
        assert_eq!(fixture.next().await, (7, Some("seven".into())));
        fixture.write(8, "eight");
        assert_eq!(fixture.next().await, (8, Some("eight".into())));
        // For a known directory nothing changes.
        fixture.watch().await;
        fixture.nothing_more().await;

        fixture.watcher.scan();
        assert!(fixture.changes.try_recv().is_err());
        assert_eq!(fixture.next().await, (7, Some("seven".into())));
        assert_eq!(fixture.next().await, (8, Some("eight".into())));
        fixture.nothing_more().await;
    });
}

#[test]
fn a_file_is_sent_each_time_it_is_written_and_once_when_it_goes() {
    run(async {
        let mut fixture = Fixture::watched().await;
        // As Claude Code writes: nothing is cut before, the rest is cut after.
        for contents in ["a long beginning", "", "short", "a longer one than that"] {
            let file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(fixture.file(7))
                .unwrap();
            io::Write::write_all(&mut &file, contents.as_bytes()).unwrap();
            file.set_len(contents.len() as u64).unwrap();
            drop(file);
            fixture.until(7, Some(contents)).await;
        }
        // Emptied and written.
        fixture.write(7, "in place");
        fixture.until(7, Some("in place")).await;
        // By way of another name.
        let temporary = fixture.sessions().join("7.json.tmp");
        fs::write(&temporary, "renamed").unwrap();
        fs::rename(&temporary, fixture.file(7)).unwrap();
        fixture.until(7, Some("renamed")).await;
        fixture.nothing_more().await;

        fs::rename(fixture.file(7), &temporary).unwrap();
        assert_eq!(fixture.next().await, (7, None));
        fs::rename(&temporary, fixture.file(7)).unwrap();
        fixture.until(7, Some("renamed")).await;
        fs::remove_file(fixture.file(7)).unwrap();
        assert_eq!(fixture.next().await, (7, None));
        fixture.watcher.scan();
        fixture.nothing_more().await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_burst_is_read_once() {
    run(async {
        let mut fixture = Fixture::watched().await;
        for count in 0..100 {
            fixture.write(7, &count.to_string());
        }
        fixture.write(8, "gone at once");
        fs::remove_file(fixture.file(8)).unwrap();
        assert_eq!(fixture.next().await, (7, Some("99".into())));
        fixture.nothing_more().await;
    });
}

#[test]
fn each_part_of_the_path_may_appear_later() {
    run(async {
        let mut fixture = Fixture::bare();
        fixture.watch().await;
        for step in ["home", "home/.claude", "home/.claude/sessions"] {
            fs::create_dir(fixture.root.path().join(step)).unwrap();
            settle().await;
        }
        fixture.works(7).await;
        // All at once, with a file in it.
        fs::remove_dir_all(fixture.root.path().join("home")).unwrap();
        fixture.make();
        fixture.write(8, "eight");
        fixture.until(8, Some("eight")).await;
        fixture.works(7).await;
    });
}

#[test]
fn a_directory_that_is_removed_moved_or_replaced_is_watched_again() {
    run(async {
        let mut fixture = Fixture::watched().await;
        for step in ["home/.claude/sessions", "home/.claude", "home"] {
            // Above the configuration directory a move is seen with the next scan; the rest is seen at once.
            let is_above = step == "home";
            let step = fixture.root.path().join(step);
            let aside = step.with_extension("aside");
            fixture.write(7, "seven");
            fixture.until(7, Some("seven")).await;

            // Removed, and created again.
            fs::remove_dir_all(&step).unwrap();
            fixture.until(7, None).await;
            fixture.make();
            fixture.write(7, "again");
            fixture.until(7, Some("again")).await;

            // Moved away, and back.
            fs::rename(&step, &aside).unwrap();
            fixture.scan_if(is_above);
            fixture.until(7, None).await;
            fs::rename(&aside, &step).unwrap();
            fixture.until(7, Some("again")).await;

            // Moved away, and another put in its place.
            fs::rename(&step, &aside).unwrap();
            fixture.make();
            fixture.write(8, "eight");
            fixture.scan_if(is_above);
            fixture.until(8, Some("eight")).await;
            fs::remove_dir_all(&step).unwrap();
            fixture.until(8, None).await;
            fs::rename(&aside, &step).unwrap();
            fixture.until(7, Some("again")).await;

            // Moved away, and a link to it put in its place.
            fs::rename(&step, &aside).unwrap();
            symlink(&aside, &step).unwrap();
            fixture.write(7, "by a link");
            fixture.scan_if(is_above);
            fixture.until(7, Some("by a link")).await;
            fs::remove_file(&step).unwrap();
            fs::rename(&aside, &step).unwrap();
            fixture.write(7, "without");
            fixture.scan_if(is_above);
            fixture.until(7, Some("without")).await;
            fixture.works(9).await;
            fs::remove_file(fixture.file(7)).unwrap();
            fixture.until(7, None).await;
        }
        fixture.nothing_more().await;
    });
}

#[test]
fn links_are_followed_and_what_happens_to_them_is_seen_with_a_scan() {
    run(async {
        let mut fixture = Fixture::bare();
        let root = fixture.root.path().to_owned();
        for kind in ["one", "two"] {
            fs::create_dir_all(root.join("dotfiles").join(kind).join("sessions")).unwrap();
            fs::write(
                root.join("dotfiles").join(kind).join("sessions/7.json"),
                kind,
            )
            .unwrap();
        }
        fs::create_dir(root.join("home")).unwrap();
        // A link to a link, up and down again; its target appears.
        symlink("../home/../current", &fixture.directory).unwrap();
        fixture.watch().await;
        symlink("dotfiles/one", root.join("current")).unwrap();
        fixture.watcher.scan();
        fixture.until(7, Some("one")).await;
        fixture.works(9).await;

        // The directory that the links lead to is moved away: seen at once.
        fs::rename(root.join("dotfiles/one"), root.join("dotfiles/three")).unwrap();
        fixture.until(7, None).await;
        fs::rename(root.join("dotfiles/three"), root.join("dotfiles/one")).unwrap();
        fixture.watcher.scan();
        fixture.until(7, Some("one")).await;

        // A link is replaced in one step.
        symlink("dotfiles/two", root.join("next")).unwrap();
        fs::rename(root.join("next"), root.join("current")).unwrap();
        fixture.watcher.scan();
        fixture.until(7, Some("two")).await;
        fixture.works(9).await;
        // A directory above the target goes, and comes back.
        fs::rename(root.join("dotfiles"), root.join("elsewhere")).unwrap();
        fixture.watcher.scan();
        fixture.until(7, None).await;
        fs::rename(root.join("elsewhere"), root.join("dotfiles")).unwrap();
        fixture.watcher.scan();
        fixture.until(7, Some("two")).await;
        // The link is removed, then created again.
        fs::remove_file(root.join("current")).unwrap();
        fixture.watcher.scan();
        fixture.until(7, None).await;
        symlink(root.join("dotfiles/one"), root.join("current")).unwrap();
        fixture.watcher.scan();
        fixture.until(7, Some("one")).await;
        fixture.works(9).await;

        // A link to itself counts as missing.
        fs::remove_file(root.join("current")).unwrap();
        fixture.watcher.scan();
        fixture.until(7, None).await;
        symlink("current", root.join("current")).unwrap();
        fixture.watcher.scan();
        settle().await;
        fs::remove_file(root.join("current")).unwrap();
        symlink("dotfiles/two", root.join("current")).unwrap();
        fixture.watcher.scan();
        fixture.until(7, Some("two")).await;
        fixture.nothing_more().await;

        // The configuration directory's own link is created while it is missing: seen at once.
        fs::remove_file(&fixture.directory).unwrap();
        fixture.watcher.scan();
        fixture.until(7, None).await;
        symlink("../dotfiles/one", &fixture.directory).unwrap();
        fixture.until(7, Some("one")).await;
        fixture.works(9).await;
    });
}

#[test]
fn a_file_in_the_place_of_the_directory_is_waited_out() {
    run(async {
        let mut fixture = Fixture::bare();
        fs::create_dir_all(&fixture.directory).unwrap();
        fs::write(fixture.sessions(), "a file").unwrap();
        fixture.watch().await;
        fs::remove_file(fixture.sessions()).unwrap();
        fixture.make();
        fixture.works(7).await;
    });
}

#[test]
fn other_files_are_ignored() {
    run(async {
        let mut fixture = Fixture::bare();
        fixture.make();
        let make = |fixture: &Fixture| {
            fs::create_dir(fixture.file(1)).unwrap();
            fs::write(fixture.root.path().join("target"), "target").unwrap();
            symlink(fixture.root.path().join("target"), fixture.file(2)).unwrap();
            // A blocking open of it would wait for ever.
            pipe(&fixture.file(3));
            let longest = usize::try_from(MAX_BYTES).unwrap();
            fixture.write(4, &"x".repeat(longest + 1));
            fixture.write(5, "another's");
            assert!(
                rustix::process::geteuid().is_root(),
                "only root can give a file away"
            );
            let other = rustix::fs::Uid::from_raw(65_534);
            rustix::fs::chown(fixture.file(5), Some(other), None).unwrap();
            fixture.write(6, &"x".repeat(longest));
        };
        make(&fixture);
        fixture.watch().await;
        assert_eq!(fixture.next().await.0, 6);
        fixture.nothing_more().await;
        for pid in [1, 2, 3, 4, 5] {
            let _ = fs::remove_file(fixture.file(pid));
            let _ = fs::remove_dir(fixture.file(pid));
        }
        fixture.nothing_more().await;
        fs::remove_file(fixture.file(6)).unwrap();
        fixture.until(6, None).await;

        // The same where they come while it is watched; the file that is given away is ours at first.
        make(&fixture);
        while fixture.next().await.0 != 6 {}
        fixture.watcher.scan();
        assert_eq!(fixture.next().await.0, 6);
        fixture.nothing_more().await;
    });
}

fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn keys_are_never_opened() {
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
    run(async {
        let mut fixture = Fixture::bare();
        fixture.make();
        let key = fixture.sessions().join("7.0123456789abcdef.key");
        let witness = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&witness, fixture.sessions(), WatchFlags::ALL_EVENTS).unwrap();
        fs::write(&key, "secret").unwrap();
        fixture.write(7, "seven");
        let opened = || {
            let mut buffer = [std::mem::MaybeUninit::uninit(); 16_384];
            let mut reader = inotify::Reader::new(&witness, &mut buffer);
            let mut opened: Vec<String> = Vec::new();
            while let Ok(event) = reader.next() {
                let read = ReadFlags::OPEN | ReadFlags::ACCESS | ReadFlags::CLOSE_NOWRITE;
                if event.events().intersects(read) {
                    let name = event.file_name().map(|name| name.to_string_lossy().into());
                    opened.extend(name);
                }
            }
            opened
        };
        opened();

        fixture.watch().await;
        fixture.until(7, Some("seven")).await;
        let renamed = key.with_extension("key.tmp");
        fs::rename(&key, &renamed).unwrap();
        fs::rename(&renamed, &key).unwrap();
        fixture.watcher.scan();
        fixture.until(7, Some("seven")).await;
        settle().await;
        let opened = opened();
        assert!(opened.iter().any(|name| name == "7.json"), "{opened:?}");
        assert!(opened.iter().all(|name| name == "7.json"), "{opened:?}");
    });
}

#[test]
fn two_directories_are_separate_and_dropped_watchers_are_silent() {
    run(async {
        let mut fixture = Fixture::watched().await;
        let other = fixture.root.path().join("home/.claude-other");
        fs::create_dir_all(other.join("sessions")).unwrap();
        fs::write(other.join("sessions/7.json"), "other").unwrap();
        fixture.watcher.watch(&other, registry());
        let change = fixture.changes.recv().await.unwrap();
        assert_eq!(*change.directory, *other);
        assert_eq!(change.contents.unwrap(), b"other");
        fixture.works(7).await;

        let Fixture {
            watcher,
            mut changes,
            ..
        } = fixture;
        drop(watcher);
        fs::write(other.join("sessions/7.json"), "unseen").unwrap();
        assert!(changes.recv().await.is_none());
    });
}

#[test]
fn a_change_is_sent_soon() {
    run(async {
        let mut fixture = Fixture::watched().await;
        let mut times = Vec::new();
        for count in 0..200 {
            let contents = count.to_string();
            #[expect(clippy::disallowed_methods, reason = "a measurement")]
            let began = Instant::now();
            fixture.write(7, &contents);
            fixture.until(7, Some(&contents)).await;
            times.push(began.elapsed());
        }
        times.sort();
        println!(
            "from the write to the change: median {:?}, worst {:?}",
            times[100], times[199]
        );
    });
}
