use std::os::unix::fs::{chown, symlink};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::*;

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn change(path: &Path, before: Option<&str>, after: Option<&str>) -> Change {
    Change {
        path: path.to_owned(),
        before: before.map(Into::into),
        after: after.map(Into::into),
        mode: 0o600,
        prune: Vec::new(),
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

#[test]
fn a_new_file_gets_its_mode_and_its_directories_are_private() {
    let home = home();
    let path = home.path().join("a/b/settings.json");
    assert_eq!(
        missing_directories(&path),
        [home.path().join("a/b"), home.path().join("a")]
    );
    change(&path, None, Some("{}")).apply().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"{}");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&home.path().join("a")), 0o700);
    assert_eq!(mode(&home.path().join("a/b")), 0o700);
    assert_eq!(names(&home.path().join("a/b")), ["settings.json"]);
    assert!(missing_directories(&path).is_empty());
}

#[test]
fn a_file_that_is_there_keeps_mode_and_owner() {
    for bits in [0o600, 0o640, 0o644, 0o755, 0o2664] {
        let home = home();
        let path = home.path().join("settings.json");
        fs::write(&path, "old").unwrap();
        chown(&path, Some(4711), Some(4712)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
        change(&path, Some("old"), Some("new")).apply().unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), (4711, 4712));
        assert_eq!(mode(&path), bits);
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}

#[test]
fn a_file_that_root_makes_belongs_to_the_owner_of_the_directory() {
    let home = home();
    chown(home.path(), Some(4711), Some(4712)).unwrap();
    let path = home.path().join(".claude/settings.json");
    change(&path, None, Some("{}")).apply().unwrap();
    for made in [path.parent().unwrap(), &path] {
        let found = fs::metadata(made).unwrap();
        assert_eq!((found.uid(), found.gid()), (4711, 4712), "{made:?}");
    }
}

#[test]
fn links_stay_links() {
    let home = home();
    let real = home.path().join("dotfiles/claude/settings.json");
    fs::create_dir_all(real.parent().unwrap()).unwrap();
    fs::write(&real, "old").unwrap();
    // Absolute, relative, and one through the other across directories.
    fs::create_dir(home.path().join(".claude")).unwrap();
    symlink(&real, home.path().join("absolute")).unwrap();
    symlink(
        "dotfiles/claude/settings.json",
        home.path().join("relative"),
    )
    .unwrap();
    symlink("../relative", home.path().join(".claude/chain")).unwrap();
    let mut before = "old".to_owned();
    for name in ["absolute", "relative", ".claude/chain"] {
        let link = home.path().join(name);
        assert_eq!(read(&link).unwrap().unwrap(), before.as_bytes());
        change(&link, Some(&before), Some(name)).apply().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), name.as_bytes());
        assert_eq!(names(real.parent().unwrap()), ["settings.json"]);
        name.clone_into(&mut before);
    }
}

#[test]
fn the_target_of_a_dangling_link_is_made_and_removed_and_the_link_stays() {
    let home = home();
    let link = home.path().join("settings.json");
    symlink("deep/er/real.json", &link).unwrap();
    assert_eq!(read(&link).unwrap(), None);
    let mut undo = change(&link, Some("{}"), None);
    undo.prune = missing_directories(&link);
    assert_eq!(undo.prune.len(), 2);
    change(&link, None, Some("{}")).apply().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(
        fs::read(home.path().join("deep/er/real.json")).unwrap(),
        b"{}"
    );
    undo.apply().unwrap();
    assert_eq!(names(home.path()), ["settings.json"]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn links_in_a_circle_are_refused() {
    let home = home();
    let (one, two) = (home.path().join("one"), home.path().join("two"));
    symlink(&one, &two).unwrap();
    symlink(&two, &one).unwrap();
    assert!(matches!(read(&one), Err(FileError::Io { .. })));
    let error = change(&one, None, Some("{}")).apply().unwrap_err();
    assert!(error.to_string().contains("symbolic links"), "{error}");
}

#[test]
fn what_another_program_wrote_is_not_overwritten() {
    let home = home();
    let path = home.path().join("settings.json");
    // Was there and has changed, or has gone; was not there and is now.
    fs::write(&path, "theirs").unwrap();
    for (before, after) in [
        (Some("old"), Some("new")),
        (Some("old"), None),
        (None, Some("new")),
    ] {
        let error = change(&path, before, after).apply().unwrap_err();
        assert!(matches!(error, FileError::Changed { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
    }
    fs::remove_file(&path).unwrap();
    let error = change(&path, Some("old"), Some("new")).apply().unwrap_err();
    assert!(matches!(error, FileError::Changed { .. }), "{error}");
    assert!(names(home.path()).is_empty());
}

#[test]
fn a_plan_is_made_again_for_a_file_that_changed() {
    let home = home();
    let path = home.path().join("settings.json");
    fs::write(&path, "0").unwrap();
    let plans = AtomicUsize::new(0);
    let plan = |conflicts: usize| {
        let found = read(&path)?.unwrap_or_default();
        let mut after = found.clone();
        after.extend_from_slice(b"+ours");
        if plans.fetch_add(1, Ordering::Relaxed) < conflicts {
            fs::write(&path, [found.as_slice(), b"+theirs"].concat())?;
        }
        anyhow::Ok(vec![Change {
            path: path.clone(),
            before: Some(found),
            after: Some(after),
            ..Change::default()
        }])
    };
    let made = apply_all(|| plan(2)).unwrap();
    assert_eq!(made.len(), 1);
    assert_eq!(fs::read(&path).unwrap(), b"0+theirs+theirs+ours");
    assert_eq!(plans.swap(0, Ordering::Relaxed), 3);
    let error = apply_all(|| plan(usize::MAX)).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(plans.load(Ordering::Relaxed), TRIES);
    assert_eq!(names(home.path()), ["settings.json"]);
}

/// A change between the plan and the rename is detected, and no temporary file is left.
#[test]
fn a_change_just_before_the_rename_is_detected() {
    type Interfere = fn(&Path);
    let interferences: [(Option<&str>, Interfere); 5] = [
        (Some("old"), |path| fs::write(path, "theirs").unwrap()),
        (Some("old"), |path| fs::remove_file(path).unwrap()),
        (Some("old"), |path| {
            fs::rename(path, path.with_extension("moved")).unwrap();
            symlink("settings.moved", path).unwrap();
        }),
        (None, |path| fs::write(path, "theirs").unwrap()),
        (None, |path| symlink("elsewhere", path).unwrap()),
    ];
    for (before, interfere) in interferences {
        let home = home();
        let path = home.path().join("settings.json");
        if let Some(before) = before {
            fs::write(&path, before).unwrap();
        }
        let change = change(&path, before, Some("new"));
        let prepared = change.prepare(&path, b"new").unwrap();
        interfere(&path);
        let (held, there) = (read(&path).unwrap(), fs::read_link(&path).ok());
        let error = change.replace(&path, prepared).unwrap_err();
        assert!(matches!(error, FileError::Changed { .. }), "{error}");
        assert_eq!(
            (read(&path).unwrap(), fs::read_link(&path).ok()),
            (held, there)
        );
        assert!(!names(home.path()).iter().any(|name| name.starts_with('.')));
    }
}

#[test]
fn only_regular_files_are_touched_and_nothing_blocks() {
    let home = home();
    let path = home.path().join("it");
    let refused = |what: &str| {
        let error = read(&path).unwrap_err();
        assert!(
            error.to_string().ends_with(&format!("{what}, not a file")),
            "{error}"
        );
        for before in [None, Some("x")] {
            assert!(change(&path, before, Some("{}")).apply().is_err());
            assert!(change(&path, before, None).apply().is_err() || before.is_none());
        }
    };
    fs::create_dir(&path).unwrap();
    refused("a directory");
    fs::remove_dir(&path).unwrap();
    run("mkfifo", &[path.to_str().unwrap()]);
    refused("a named pipe");
    fs::remove_file(&path).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    refused("a socket");
    fs::remove_file(&path).unwrap();
    symlink("/dev/null", &path).unwrap();
    refused("a device");
    assert_eq!(names(home.path()), ["it"]);
}

#[test]
fn a_file_in_place_of_a_directory_is_named_in_the_error() {
    let home = home();
    fs::write(home.path().join(".claude"), "").unwrap();
    let path = home.path().join(".claude/settings.json");
    let error = read(&path).unwrap_err();
    assert!(error.to_string().contains("Not a directory"), "{error}");
    assert!(change(&path, None, Some("{}")).apply().is_err());
}

#[test]
fn a_file_beyond_the_limit_is_neither_read_nor_written() {
    let home = home();
    let path = home.path().join("settings.json");
    let file = File::create(&path).unwrap();
    file.set_len(LIMIT).unwrap();
    assert_eq!(read(&path).unwrap().unwrap().len() as u64, LIMIT);
    file.set_len(LIMIT + 1).unwrap();
    let error = read(&path).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("larger than 16 MiB; nothing that belongs there is")
    );
    fs::remove_file(&path).unwrap();
    let large = "x".repeat(usize::try_from(LIMIT).unwrap() + 1);
    let error = change(&path, None, Some(&large)).apply().unwrap_err();
    assert!(error.to_string().contains("larger than 16 MiB"), "{error}");
    assert!(names(home.path()).is_empty());
}

#[test]
fn a_removed_files_own_directories_go_unless_others_use_them() {
    let home = home();
    let path = home.path().join("a/b/c/file");
    let prune = missing_directories(&path);
    change(&path, None, Some("x")).apply().unwrap();
    fs::write(home.path().join("a/b/other"), "").unwrap();
    let undo = Change {
        prune,
        ..change(&path, Some("x"), None)
    };
    undo.apply().unwrap();
    assert_eq!(names(&home.path().join("a")), ["b"]);
    assert_eq!(names(&home.path().join("a/b")), ["other"]);
}

#[test]
fn no_change_touches_nothing() {
    let home = home();
    let path = home.path().join("nowhere/settings.json");
    assert!(change(&path, None, None).is_empty());
    change(&path, None, None).apply().unwrap();
    change(&path, Some("same"), Some("same")).apply().unwrap();
    assert!(names(home.path()).is_empty());
}

/// A file system of a few pages, unmounted at the end.
#[cfg(target_os = "linux")]
struct Tiny(TempDir);

#[cfg(target_os = "linux")]
impl Tiny {
    fn new() -> Self {
        let home = home();
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                "size=16k",
                "tmpfs",
                home.path().to_str().unwrap(),
            ],
        );
        Self(home)
    }
}

#[cfg(target_os = "linux")]
impl Drop for Tiny {
    fn drop(&mut self) {
        run("umount", &[self.0.path().to_str().unwrap()]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_file_as_it_was() {
    let tiny = Tiny::new();
    let path = tiny.0.path().join("settings.json");
    fs::write(&path, "old").unwrap();
    let error = change(&path, Some("old"), Some(&"x".repeat(100_000)))
        .apply()
        .unwrap_err();
    assert!(error.to_string().contains("no storage space"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(tiny.0.path()), ["settings.json"]);
    run(
        "mount",
        &["-o", "remount,ro", tiny.0.path().to_str().unwrap()],
    );
    let error = change(&path, Some("old"), Some("new")).apply().unwrap_err();
    assert!(
        error.to_string().contains("Read-only file system"),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

/// Runs `as_user` with an ordinary user's rights: those of a thread, which ends with them.
#[cfg(target_os = "linux")]
fn as_user<T: Send>(user: u32, as_user: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
            set_thread_groups(&[]).unwrap();
            set_thread_res_gid(gid, gid, gid).unwrap();
            set_thread_res_uid(uid, uid, uid).unwrap();
            as_user()
        });
        thread.join().unwrap()
    })
}

#[cfg(target_os = "linux")]
#[test]
fn errors_of_an_ordinary_user_name_what_is_refused() {
    let home = home();
    let put = |name: &str, owner, group, bits| {
        let path = home.path().join(name);
        if !path.exists() {
            fs::write(&path, "old").unwrap();
        }
        chown(&path, Some(owner), Some(group)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
    };
    put("read-only.json", 4711, 4711, 0o444);
    put("foreign.json", 4712, 4712, 0o666);
    put("group.json", 4711, 4712, 0o660);
    fs::create_dir(home.path().join("closed")).unwrap();
    put("closed/settings.json", 4711, 4711, 0o644);
    put("closed", 4711, 4711, 0o555);
    put("", 4711, 4711, 0o755);
    for (name, expected) in [
        (
            "read-only.json",
            "read-only.json: Permission denied (os error 13)",
        ),
        ("closed/settings.json", "closed: permission denied"),
        ("closed/new.json", "closed: permission denied"),
        (
            "foreign.json",
            "belongs to user 4712; run this as that user",
        ),
    ] {
        let path = home.path().join(name);
        let before = path.exists().then_some("old");
        let change = change(&path, before, Some("new"));
        let error = as_user(4711, || change.apply()).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
        assert_eq!(read(&path).unwrap(), change.before);
    }
    // Of a group that the user is not in: without that group's rights for the user's own.
    let path = home.path().join("group.json");
    let change = change(&path, Some("old"), Some("new"));
    as_user(4711, || change.apply()).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(&home.path().join("closed")), ["settings.json"]);
    assert_eq!(names(home.path()).len(), 4);
}
