use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;
use crate::agents::{DEFAULT, Syntax};
use crate::install::file::apply_all;
use crate::install::settings::StatusLineRequest;

/// A home, where a configuration directory and a state directory may be.
struct Home(TempDir);

const PROGRAM: &str = "/usr/local/bin/agent-console";

const OWN_HOOKS: HookRequest<'_> = HookRequest {
    agent: DEFAULT.name,
    events: DEFAULT.install.events,
    form: match DEFAULT.install.merged() {
        Some(form) => form,
        None => panic!("its hooks are merged"),
    },
};
const HOOKS: Request<'_> = Request {
    syntax: Syntax::Json,
    hooks: Some(OWN_HOOKS),
    status_line: StatusLineRequest::Keep,
};
const BOTH: Request<'_> = Request {
    syntax: Syntax::Json,
    hooks: Some(OWN_HOOKS),
    status_line: StatusLineRequest::Install,
};
const EVERYTHING: Parts = Parts {
    hooks: true,
    status_line: true,
};

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With this in the settings.
    fn with(settings: &str) -> Self {
        let home = Self::new();
        fs::create_dir(home.path(".claude")).unwrap();
        fs::write(home.settings(), settings).unwrap();
        home
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn settings(&self) -> PathBuf {
        self.path(".claude/settings.json")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.settings()).unwrap()
    }

    fn files(&self) -> Files {
        let state = self.path(".local/state/agent-console");
        Files::new(DEFAULT, &self.path(".claude"), Some(state)).unwrap()
    }

    fn record(&self) -> PathBuf {
        self.files().record.unwrap()
    }

    fn install(&self) -> Vec<Change> {
        self.install_for(PROGRAM)
    }

    fn install_for(&self, program: &str) -> Vec<Change> {
        apply_all(|| self.files().plan_install(Path::new(program), &HOOKS)).unwrap()
    }

    fn uninstall(&self) -> Vec<Change> {
        apply_all(|| self.files().plan_uninstall(EVERYTHING)).unwrap()
    }

    /// Every path there, with what the files hold.
    fn all(&self) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        let mut open = vec![self.0.path().to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    open.push(path.clone());
                }
                found.push((path.clone(), fs::read(&path).ok()));
            }
        }
        found.sort();
        found
    }
}

#[test]
fn uninstall_restores_every_file() {
    let homes = [
        Home::new(),
        Home::with(""),
        Home::with("{}"),
        Home::with("{\n}\n"),
        Home::with(r#"{"hooks": {}}"#),
        Home::with(r#"{"hooks": {"Stop": [ ]}, "env": {"KEY": "s3cret"}}"#),
        Home::with("{\r\n\t\"hooks\": {\"Stop\": [{\"hooks\": []}]}\r\n}"),
    ];
    for (at, home) in homes.iter().enumerate() {
        if at % 2 == 1 {
            fs::create_dir_all(home.path(".local/state")).unwrap();
        }
        let before = home.all();
        assert!(!home.install().is_empty());
        assert_eq!(
            home.files()
                .plan_install(Path::new(PROGRAM), &HOOKS)
                .unwrap(),
            []
        );
        let state = home.files().state().unwrap();
        assert_eq!(
            (state.missing, state.programs),
            (vec![], vec![PathBuf::from(PROGRAM)])
        );
        assert_eq!(fs::metadata(home.record()).unwrap().mode() & 0o777, 0o600);
        assert!(
            !fs::read_to_string(home.record())
                .unwrap()
                .contains("s3cret")
        );
        home.uninstall();
        assert_eq!(home.all(), before);
        assert_eq!(home.files().plan_uninstall(EVERYTHING).unwrap(), []);
    }
}

/// Hooks and status line are one change of the settings, and go together or one by one.
#[test]
fn both_parts_share_a_change_and_a_record() {
    const HOOKS_FIRST: [Parts; 2] = [
        Parts {
            status_line: false,
            ..EVERYTHING
        },
        EVERYTHING,
    ];
    const LINE_FIRST: [Parts; 2] = [
        Parts {
            hooks: false,
            ..EVERYTHING
        },
        EVERYTHING,
    ];
    for order in [&[EVERYTHING][..], &HOOKS_FIRST, &LINE_FIRST] {
        for home in [
            Home::new(),
            Home::with("{ }"),
            Home::with(r#"{"statusLine": {"type": "command", "command": "KEY=s3cret x"}}"#),
        ] {
            let before = home.all();
            let plan = || home.files().plan_install(Path::new(PROGRAM), &BOTH);
            let changed: Vec<_> = apply_all(plan)
                .unwrap()
                .into_iter()
                .map(|change| change.path)
                .collect();
            assert_eq!(changed, [home.record(), home.settings()]);
            assert_eq!(plan().unwrap(), []);
            let line = home.files().state().unwrap().status_line.unwrap();
            assert_eq!((&*line.program, line.removable), (PROGRAM, true));
            // It holds a person's command, which may hold secrets.
            assert_eq!(fs::metadata(home.record()).unwrap().mode() & 0o777, 0o600);
            for &parts in order {
                apply_all(|| home.files().plan_uninstall(parts)).unwrap();
                let state = home.files().state().unwrap();
                assert_eq!(state.programs.is_empty(), parts.hooks);
                assert_eq!(state.status_line.is_none(), parts.status_line);
            }
            assert_eq!(home.all(), before);
        }
    }
}

/// A record from before `install` knew the status line.
#[test]
fn a_record_of_hooks_alone_is_read() {
    let home = Home::with("{\n}\n");
    home.install();
    let record = fs::read_to_string(home.record()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&record).unwrap();
    let keys: Vec<_> = value["memory"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["events", "hooks", "replaced", "root"]);
    home.uninstall();
    assert_eq!(home.text(), "{\n}\n");
}

#[test]
fn directories_with_other_files_stay() {
    let home = Home::new();
    home.install();
    fs::write(home.path(".claude/history"), "").unwrap();
    fs::write(home.path(".local/state/agent-console/daemon.log"), "").unwrap();
    home.uninstall();
    let left: Vec<_> = home
        .all()
        .into_iter()
        .filter_map(|(path, text)| text.map(|_| path))
        .collect();
    assert_eq!(
        left,
        [
            home.path(".claude/history"),
            home.path(".local/state/agent-console/daemon.log")
        ]
    );
}

#[test]
fn a_settings_file_that_install_made_stays_with_what_others_wrote() {
    let home = Home::new();
    home.install();
    let theirs = home.text().replacen('{', "{\n  \"model\": \"opus\",", 1);
    fs::write(home.settings(), theirs).unwrap();
    home.uninstall();
    assert_eq!(home.text(), "{\n  \"model\": \"opus\"\n}\n");
    assert!(!home.path(".local").exists());

    // All hooks removed by hand: what was made for them is still removed.
    let home = Home::new();
    home.install();
    fs::write(home.settings(), "{ }\n").unwrap();
    home.uninstall();
    assert_eq!(home.all(), []);
}

#[test]
fn symbolic_links_stay() {
    let home = Home::new();
    for directory in [".claude", "dotfiles"] {
        fs::create_dir(home.path(directory)).unwrap();
    }
    fs::write(home.path("dotfiles/claude.json"), "{\"a\": 1}\n").unwrap();
    fs::set_permissions(
        home.path("dotfiles/claude.json"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    symlink("../dotfiles/claude.json", home.settings()).unwrap();
    let before = home.all();
    home.install();
    assert!(home.settings().is_symlink());
    assert!(
        fs::read_to_string(home.path("dotfiles/claude.json"))
            .unwrap()
            .contains(PROGRAM)
    );
    home.uninstall();
    assert_eq!(home.all(), before);
    assert_eq!(fs::metadata(home.settings()).unwrap().mode() & 0o777, 0o640);
    assert!(home.settings().is_symlink());
}

#[test]
fn a_program_that_moves_twice_is_undone_to_the_first_text() {
    let home = Home::with(
        "{\"hooks\": {\"Stop\": [{\"hooks\": [{\"type\": \"command\", \"command\": \"acd hook\"}]}]}}",
    );
    let before = home.all();
    for program in [PROGRAM, "/elsewhere/agent-console", PROGRAM] {
        home.install_for(program);
        assert_eq!(
            home.files().state().unwrap().programs,
            [PathBuf::from(program)]
        );
    }
    home.uninstall();
    assert_eq!(home.all(), before);
    // The hook that a person wrote was there before; a second `uninstall` removes it, too.
    home.uninstall();
    assert_eq!(home.text(), "{}");
}

#[test]
fn without_a_readable_record_every_hook_of_ours_is_removed() {
    for spoil in [
        None,
        Some(""),
        Some("{\"version\": 2}"),
        Some("[1"),
        Some("{\"version\":1}"),
    ] {
        let home = Home::with("{\n  \"a\": 1\n}\n");
        let before = home.text();
        home.install();
        match spoil {
            None => fs::remove_file(home.record()).unwrap(),
            Some(text) => fs::write(home.record(), text).unwrap(),
        }
        home.uninstall();
        assert_eq!(home.text(), before);
        assert!(!home.record().exists());
    }
}

#[test]
fn each_configuration_directory_has_a_record_of_its_own() {
    let home = Home::new();
    let state = home.path("state");
    let places = ["one", "two"]
        .map(|name| Files::new(DEFAULT, &home.path(name), Some(state.clone())).unwrap());
    for place in &places {
        apply_all(|| place.plan_install(Path::new(PROGRAM), &HOOKS)).unwrap();
    }
    assert_eq!(fs::read_dir(&state).unwrap().count(), 2);
    for place in &places {
        apply_all(|| place.plan_uninstall(EVERYTHING)).unwrap();
    }
    assert_eq!(home.all(), []);
}

#[test]
fn settings_that_cannot_be_read_are_not_changed() {
    for (text, expected) in [
        (
            &b"{\n  \"a\": 1,\n}"[..],
            ":3:1: no valid JSON: trailing comma; nothing was changed",
        ),
        (
            b"{\"hooks\": 5}",
            ":1:11: hooks is a number, not an object; nothing",
        ),
        (b"{\n\"a\xff\"}", ":2:3: no valid UTF-8; nothing"),
    ] {
        let home = Home::new();
        fs::create_dir(home.path(".claude")).unwrap();
        fs::write(home.settings(), text).unwrap();
        let before = home.all();
        let place = home.files();
        for error in [
            place
                .plan_install(Path::new(PROGRAM), &HOOKS)
                .unwrap_err()
                .to_string(),
            place.state().unwrap_err().to_string(),
        ] {
            let file = home.settings().display().to_string();
            assert!(error.starts_with(&(file + expected)), "{error}");
        }
        assert_eq!(home.all(), before);
    }
    let home = Home::new();
    fs::create_dir_all(home.settings()).unwrap();
    let error = home
        .files()
        .plan_install(Path::new(PROGRAM), &HOOKS)
        .unwrap_err();
    assert!(
        error.to_string().ends_with("is a directory, not a file"),
        "{error}"
    );
    let error = Home::new()
        .files()
        .plan_install(Path::new("agent-console"), &HOOKS)
        .unwrap_err();
    assert!(error.to_string().contains("must be absolute"), "{error}");
}

/// Another program writes between the plan and the change: its text is kept, and undoing is still exact.
#[test]
fn a_concurrent_writer_loses_nothing() {
    let home = Home::with("{}");
    let mut quicker = Some("{\n\t\"theirs\": 1,\n\t\"hooks\": {\n\t\t\"Stop\": []\n\t}\n}\n");
    let made = apply_all(|| {
        let plan = home.files().plan_install(Path::new(PROGRAM), &HOOKS);
        if let Some(text) = quicker.take() {
            fs::write(home.settings(), text).unwrap();
        }
        plan
    });
    assert_eq!(made.unwrap().last().unwrap().path, home.settings());
    assert!(home.text().contains("theirs") && home.text().contains(PROGRAM));
    home.uninstall();
    assert_eq!(
        home.text(),
        "{\n\t\"theirs\": 1,\n\t\"hooks\": {\n\t\t\"Stop\": []\n\t}\n}\n"
    );
}
