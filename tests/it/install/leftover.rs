//! What a run that was killed has left behind is removed by the next one.

use std::time::{Duration, SystemTime};

use super::*;

const NAME: &str = ".agent-console-aB3xYz";

/// A temporary file of an hour ago.
fn leave(directory: &Path, name: &str, age: Duration) -> PathBuf {
    fs::create_dir_all(directory).unwrap();
    let path = directory.join(name);
    let file = fs::File::create(&path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
    path
}

#[test]
fn temporary_files_of_an_earlier_run_are_removed_by_the_next() {
    const OLD: Duration = Duration::from_mins(61);
    const YOUNG: Duration = Duration::from_mins(50);
    let place = Place::new();
    settings(&place);
    place.ok(&["install", "--hooks"]);
    let home = place.path().join("home");
    let elsewhere = place.path().join("dotfiles");
    // The one beside the file at the end of a link.
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(
        home.join(".claude/settings.json"),
        elsewhere.join("settings.json"),
    )
    .unwrap();
    symlink(
        elsewhere.join("settings.json"),
        home.join(".claude/settings.json"),
    )
    .unwrap();
    let directories = [
        elsewhere,
        home.join(".local/state/agent-console"),
        home.join(".config/agent-console"),
        home.join(".config/systemd/user"),
        home.join(".codex"),
        home.join(".gemini"),
    ];
    for command in [&["install", "--hooks"][..], &["uninstall"], &["doctor"]] {
        let old = directories.each_ref();
        let old = old.map(|directory| leave(directory, NAME, OLD));
        let young = leave(&directories[0], ".agent-console-younge", YOUNG);
        let other = leave(&directories[0], ".agent-console", OLD);
        let output = place.run(command);
        for path in &old {
            assert!(
                !path.exists(),
                "{command:?}: {}: {output:?}",
                path.display()
            );
        }
        assert!(young.exists() && other.exists(), "{command:?}");
        fs::remove_file(young).unwrap();
        fs::remove_file(other).unwrap();
    }
    let old = leave(&directories[0], NAME, OLD);
    place.ok(&["install", "--hooks", "--dry-run"]);
    assert!(old.exists());
    let said = place.ok(&["install", "--hooks"]);
    assert!(
        said.contains(&format!("removed {}", old.display())),
        "{said}"
    );
}
