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

/// A configuration directory (which a test makes when it likes), a watcher, and what it tells.
struct Scene {
    root: TempDir,
    directory: PathBuf,
    watcher: RegistryWatcher,
    told: UnboundedReceiver<Sighting>,
}

impl Scene {
    fn bare() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (tell, told) = unbounded_channel();
        Self {
            directory: root.path().join("home/.claude"),
            root,
            watcher: RegistryWatcher::new(tell),
            told,
        }
    }

    /// With the directory, watched.
    async fn watched() -> Self {
        let mut scene = Self::bare();
        scene.make();
        scene.watch().await;
        scene
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

    /// Begins to watch, and lets the watcher do so: it has nothing to wait for.
    async fn watch(&mut self) {
        self.watcher.watch(&self.directory);
        settle().await;
    }

    async fn next(&mut self) -> (u32, Option<String>) {
        let sighting = tokio::time::timeout(Duration::from_secs(10), self.told.recv())
            .await
            .expect("a sighting")
            .unwrap();
        assert_eq!(*sighting.directory, *self.directory);
        let contents = sighting
            .contents
            .map(|contents| String::from_utf8(contents).unwrap());
        (sighting.pid, contents)
    }

    /// Waits for a state of a file; the same as before, or one that was half-written, may come first.
    async fn until(&mut self, pid: u32, contents: Option<&str>) {
        while self.next().await != (pid, contents.map(Into::into)) {}
    }

    /// Everything has been told that was due before now.
    async fn nothing_more(&mut self) {
        self.write(MARK, "mark");
        assert_eq!(self.next().await, (MARK, Some("mark".into())));
        fs::remove_file(self.file(MARK)).unwrap();
        assert_eq!(self.next().await, (MARK, None));
    }

    /// Changes of files are seen from now on.
    async fn works(&mut self, pid: u32) {
        self.write(pid, "new");
        self.until(pid, Some("new")).await;
        fs::remove_file(self.file(pid)).unwrap();
        self.until(pid, None).await;
    }
}

/// Whatever can run has run.
async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn only_names_of_processes_count() {
    assert_eq!(pid_in(b"14.json"), Some(14));
    assert_eq!(pid_in(b"4294967295.json"), Some(u32::MAX));
    for name in [
        "14.ace852e8.key",
        "14.ace852e8.key.tmp.ba7d7b5d",
        "14.json.tmp",
        "14.jsonl",
        "14",
        ".json",
        "0.json",
        "014.json",
        "+14.json",
        "-14.json",
        "14x.json",
        "1 4.json",
        "4294967296.json",
        "\u{661}.json",
    ] {
        assert_eq!(pid_in(name.as_bytes()), None, "{name}");
    }
}

#[test]
fn files_from_before_and_after_are_told_and_never_from_inside_a_call() {
    run(async {
        let mut scene = Scene::bare();
        scene.make();
        scene.write(7, "seven");
        scene.watcher.watch(&scene.directory);
        assert!(scene.told.try_recv().is_err());
        assert_eq!(scene.next().await, (7, Some("seven".into())));
        scene.write(8, "eight");
        assert_eq!(scene.next().await, (8, Some("eight".into())));
        // For a known directory nothing changes.
        scene.watch().await;
        scene.nothing_more().await;

        scene.watcher.scan();
        assert!(scene.told.try_recv().is_err());
        assert_eq!(scene.next().await, (7, Some("seven".into())));
        assert_eq!(scene.next().await, (8, Some("eight".into())));
        scene.nothing_more().await;
    });
}

#[test]
fn a_file_is_told_of_each_time_it_is_written_and_once_when_it_goes() {
    run(async {
        let mut scene = Scene::watched().await;
        // As Claude Code writes: nothing is cut before, the rest is cut after.
        for contents in ["a long beginning", "", "short", "a longer one than that"] {
            let file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(scene.file(7))
                .unwrap();
            io::Write::write_all(&mut &file, contents.as_bytes()).unwrap();
            file.set_len(contents.len() as u64).unwrap();
            drop(file);
            scene.until(7, Some(contents)).await;
        }
        // Emptied and written.
        scene.write(7, "in place");
        scene.until(7, Some("in place")).await;
        // By way of another name.
        let temporary = scene.sessions().join("7.json.tmp");
        fs::write(&temporary, "renamed").unwrap();
        fs::rename(&temporary, scene.file(7)).unwrap();
        scene.until(7, Some("renamed")).await;
        scene.nothing_more().await;

        fs::rename(scene.file(7), &temporary).unwrap();
        assert_eq!(scene.next().await, (7, None));
        fs::rename(&temporary, scene.file(7)).unwrap();
        scene.until(7, Some("renamed")).await;
        fs::remove_file(scene.file(7)).unwrap();
        assert_eq!(scene.next().await, (7, None));
        scene.watcher.scan();
        scene.nothing_more().await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_burst_is_read_once() {
    run(async {
        let mut scene = Scene::watched().await;
        for count in 0..100 {
            scene.write(7, &count.to_string());
        }
        scene.write(8, "gone at once");
        fs::remove_file(scene.file(8)).unwrap();
        assert_eq!(scene.next().await, (7, Some("99".into())));
        scene.nothing_more().await;
    });
}

#[test]
fn each_step_of_the_way_may_come_later() {
    run(async {
        let mut scene = Scene::bare();
        scene.watch().await;
        for step in ["home", "home/.claude", "home/.claude/sessions"] {
            fs::create_dir(scene.root.path().join(step)).unwrap();
            settle().await;
        }
        scene.works(7).await;
        // All at once, with a file in it.
        fs::remove_dir_all(scene.root.path().join("home")).unwrap();
        scene.make();
        scene.write(8, "eight");
        scene.until(8, Some("eight")).await;
        scene.works(7).await;
    });
}

#[test]
fn a_way_that_is_lost_and_found_again_is_watched() {
    run(async {
        let mut scene = Scene::watched().await;
        for step in ["home/.claude/sessions", "home/.claude", "home"] {
            let step = scene.root.path().join(step);
            let aside = step.with_extension("aside");
            scene.write(7, "seven");
            scene.until(7, Some("seven")).await;

            // Removed, and made again after a while.
            fs::remove_dir_all(&step).unwrap();
            scene.until(7, None).await;
            scene.make();
            scene.write(7, "again");
            scene.until(7, Some("again")).await;

            // Moved away, and back.
            fs::rename(&step, &aside).unwrap();
            scene.until(7, None).await;
            fs::rename(&aside, &step).unwrap();
            scene.until(7, Some("again")).await;

            // Moved away, and another put there at once.
            fs::rename(&step, &aside).unwrap();
            scene.make();
            scene.write(8, "eight");
            scene.until(8, Some("eight")).await;
            fs::remove_dir_all(&step).unwrap();
            scene.until(8, None).await;
            fs::rename(&aside, &step).unwrap();
            scene.until(7, Some("again")).await;

            // Moved away, and a link to it put there.
            fs::rename(&step, &aside).unwrap();
            symlink(&aside, &step).unwrap();
            scene.write(7, "by a link");
            scene.until(7, Some("by a link")).await;
            fs::remove_file(&step).unwrap();
            fs::rename(&aside, &step).unwrap();
            scene.write(7, "without");
            scene.until(7, Some("without")).await;
            scene.works(9).await;
            fs::remove_file(scene.file(7)).unwrap();
            scene.until(7, None).await;
        }
        scene.nothing_more().await;
    });
}

#[test]
fn links_are_followed_and_watched() {
    run(async {
        let mut scene = Scene::bare();
        let root = scene.root.path().to_owned();
        for kind in ["one", "two"] {
            fs::create_dir_all(root.join("dotfiles").join(kind).join("sessions")).unwrap();
            fs::write(
                root.join("dotfiles").join(kind).join("sessions/7.json"),
                kind,
            )
            .unwrap();
        }
        fs::create_dir(root.join("home")).unwrap();
        // A link to a link, up and down again.
        symlink("../home/../current", &scene.directory).unwrap();
        scene.watch().await;
        symlink("dotfiles/one", root.join("current")).unwrap();
        scene.until(7, Some("one")).await;

        // Replaced in one step.
        symlink("dotfiles/two", root.join("next")).unwrap();
        fs::rename(root.join("next"), root.join("current")).unwrap();
        scene.until(7, Some("two")).await;
        // Its target goes, and comes back.
        fs::rename(root.join("dotfiles"), root.join("elsewhere")).unwrap();
        scene.until(7, None).await;
        fs::rename(root.join("elsewhere"), root.join("dotfiles")).unwrap();
        scene.until(7, Some("two")).await;
        // Removed, then made anew.
        fs::remove_file(root.join("current")).unwrap();
        scene.until(7, None).await;
        symlink(root.join("dotfiles/one"), root.join("current")).unwrap();
        scene.until(7, Some("one")).await;
        scene.works(9).await;

        // Round and round: waited for until it leads somewhere.
        fs::remove_file(root.join("current")).unwrap();
        scene.until(7, None).await;
        symlink("current", root.join("current")).unwrap();
        settle().await;
        fs::remove_file(root.join("current")).unwrap();
        symlink("dotfiles/two", root.join("current")).unwrap();
        scene.until(7, Some("two")).await;
        scene.nothing_more().await;
    });
}

#[test]
fn a_file_in_the_place_of_the_directory_is_waited_out() {
    run(async {
        let mut scene = Scene::bare();
        fs::create_dir_all(&scene.directory).unwrap();
        fs::write(scene.sessions(), "a file").unwrap();
        scene.watch().await;
        fs::remove_file(scene.sessions()).unwrap();
        scene.make();
        scene.works(7).await;
    });
}

#[test]
fn what_is_no_file_of_ours_is_left_alone() {
    run(async {
        let mut scene = Scene::bare();
        scene.make();
        let make = |scene: &Scene| {
            fs::create_dir(scene.file(1)).unwrap();
            fs::write(scene.root.path().join("target"), "target").unwrap();
            symlink(scene.root.path().join("target"), scene.file(2)).unwrap();
            // Whoever opened it to read, and waited, would wait for ever.
            pipe(&scene.file(3));
            let longest = usize::try_from(LONGEST).unwrap();
            scene.write(4, &"x".repeat(longest + 1));
            scene.write(5, "another's");
            assert!(
                rustix::process::geteuid().is_root(),
                "only root can give a file away"
            );
            let other = rustix::fs::Uid::from_raw(65_534);
            rustix::fs::chown(scene.file(5), Some(other), None).unwrap();
            scene.write(6, &"x".repeat(longest));
        };
        make(&scene);
        scene.watch().await;
        assert_eq!(scene.next().await.0, 6);
        scene.nothing_more().await;
        for pid in [1, 2, 3, 4, 5] {
            let _ = fs::remove_file(scene.file(pid));
            let _ = fs::remove_dir(scene.file(pid));
        }
        scene.nothing_more().await;
        fs::remove_file(scene.file(6)).unwrap();
        scene.until(6, None).await;

        // The same where they come while it is watched; the file that is given away is ours at first.
        make(&scene);
        while scene.next().await.0 != 6 {}
        scene.watcher.scan();
        assert_eq!(scene.next().await.0, 6);
        scene.nothing_more().await;
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
        let mut scene = Scene::bare();
        scene.make();
        let key = scene.sessions().join("7.0123456789abcdef.key");
        let witness = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&witness, scene.sessions(), WatchFlags::ALL_EVENTS).unwrap();
        fs::write(&key, "secret").unwrap();
        scene.write(7, "seven");
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

        scene.watch().await;
        scene.until(7, Some("seven")).await;
        let renamed = key.with_extension("key.tmp");
        fs::rename(&key, &renamed).unwrap();
        fs::rename(&renamed, &key).unwrap();
        scene.watcher.scan();
        scene.until(7, Some("seven")).await;
        settle().await;
        let opened = opened();
        assert!(opened.iter().any(|name| name == "7.json"), "{opened:?}");
        assert!(opened.iter().all(|name| name == "7.json"), "{opened:?}");
    });
}

#[test]
fn two_directories_are_told_apart_and_dropped_watchers_are_silent() {
    run(async {
        let mut scene = Scene::watched().await;
        let other = scene.root.path().join("home/.claude-other");
        fs::create_dir_all(other.join("sessions")).unwrap();
        fs::write(other.join("sessions/7.json"), "other").unwrap();
        scene.watcher.watch(&other);
        let sighting = scene.told.recv().await.unwrap();
        assert_eq!(*sighting.directory, *other);
        assert_eq!(sighting.contents.unwrap(), b"other");
        scene.works(7).await;

        let Scene {
            watcher, mut told, ..
        } = scene;
        drop(watcher);
        fs::write(other.join("sessions/7.json"), "unseen").unwrap();
        assert!(told.recv().await.is_none());
    });
}

#[test]
fn a_change_is_told_soon() {
    run(async {
        let mut scene = Scene::watched().await;
        let mut times = Vec::new();
        for count in 0..200 {
            let contents = count.to_string();
            #[expect(clippy::disallowed_methods, reason = "a measurement")]
            let began = Instant::now();
            scene.write(7, &contents);
            scene.until(7, Some(&contents)).await;
            times.push(began.elapsed());
        }
        times.sort();
        println!(
            "from the write to the sighting: median {:?}, worst {:?}",
            times[100], times[199]
        );
    });
}
