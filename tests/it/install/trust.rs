//! The trust in hooks that an agent wants from a person: given with `--trust` only, through the agent, and taken back.

use super::*;

const CONFIG: &str = "# mine\nmodel = \"m\" # fast\n\n[tui]\ntheme = \"x\"\n";

/// Codex, of which a script stands for the app server.
struct Codex {
    place: Place,
    directory: PathBuf,
}

impl Codex {
    fn new() -> Self {
        let place = Place::new();
        let directory = place.path().join("home/.codex");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("config.toml"), CONFIG).unwrap();
        fs::create_dir(place.path().join("bin")).unwrap();
        write_codex(&place.path().join("bin"));
        Self { place, directory }
    }

    fn run(&self, words: &str) -> Output {
        let mut path = self.place.path().join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let mut command = self.place.command(words.split(' '));
        command.env("PATH", path).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words}: {}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn fails(&self, words: &str) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{words}: {}", shown(&output));
        shown(&output)
    }

    fn config(&self) -> String {
        fs::read_to_string(self.directory.join("config.toml")).unwrap()
    }

    fn hooks(&self) -> PathBuf {
        self.directory.join("hooks.json")
    }

    fn mode(&self, mode: &str) {
        fs::write(self.directory.join("mode"), mode).unwrap();
    }

    /// Whether it was started since the last time.
    fn was_asked(&self) -> bool {
        fs::remove_file(self.directory.join("requests.jsonl")).is_ok()
    }
}

#[test]
fn hooks_are_trusted_when_that_is_asked_for_and_forgotten_when_they_go() {
    let codex = Codex::new();
    let others = r#"{"hooks":{"Stop":[{"hooks":[{"type":"command","command":"notify"}]}]}}"#;
    fs::write(codex.hooks(), others).unwrap();
    let before = listing(codex.place.path());
    let said = codex.ok("install --hooks --trust --dry-run");
    assert!(
        said.contains("would have Codex CLI trust its hooks"),
        "{said}"
    );
    assert!(!codex.was_asked());
    assert_eq!(listing(codex.place.path()), before);

    let said = codex.ok("install --hooks");
    let note = "note: Codex CLI runs no hook that you have not trusted. It asks once";
    assert!(
        said.contains(note) && said.contains("install --hooks --trust"),
        "{said}"
    );
    assert!(!codex.was_asked(), "only `--trust` asks");

    let said = codex.ok("install --hooks --trust");
    assert!(
        said.contains("Codex CLI now trusts 13 hooks of this program in"),
        "{said}"
    );
    assert!(!said.contains("note: "), "{said}");
    let config = codex.config();
    assert!(config.starts_with(CONFIG), "{config}");
    assert_eq!(config.matches("trusted_hash").count(), 13);
    assert!(!config.contains(":stop:0:0"), "another's hook: {config}");
    let said = codex.ok("install --hooks --trust");
    assert!(
        said.contains("nothing to do, Codex CLI trusts these 13 hooks"),
        "{said}"
    );
    assert!(codex.was_asked());

    let said = codex.ok("uninstall --hooks --dry-run");
    assert!(
        said.contains("would have Codex CLI forget its trust"),
        "{said}"
    );
    assert!(!codex.was_asked());
    codex.ok("uninstall --statusline");
    assert!(!codex.was_asked(), "it concerns hooks");
    let said = codex.ok("uninstall --hooks");
    assert!(
        said.contains("Codex CLI no longer trusts 13 hooks"),
        "{said}"
    );
    assert!(codex.was_asked());
    assert_eq!(listing(codex.place.path()), before);
    codex.ok("uninstall --hooks");
    assert!(!codex.was_asked(), "there is nothing to forget");
}

#[test]
fn hooks_stay_when_the_agent_does_not_trust_them() {
    for (mode, why) in [
        ("ends", "`codex app-server` ended without an answer"),
        ("old", "`codex app-server` refused `hooks/list`"),
        (
            "keeps",
            "does not trust 13 of 13 hooks, although it was asked to",
        ),
    ] {
        let codex = Codex::new();
        codex.mode(mode);
        let said = codex.fails("install --hooks --trust");
        assert!(said.contains(why), "{said}");
        let advice = format!(
            "The hooks in {} stay; Codex CLI asks once",
            codex.directory.display()
        );
        assert!(said.contains(&advice), "{said}");
        assert!(codex.hooks().exists());
        assert_eq!(codex.config(), CONFIG);
        codex.mode("");
        codex.ok("install --hooks --trust");
    }
    let codex = Codex::new();
    let mut command = codex.place.command(["install", "--hooks", "--trust"]);
    let output = command.env("PATH", codex.place.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        shown(&output).contains("`codex` is not in PATH"),
        "{output:?}"
    );
    assert!(codex.hooks().exists());
}

#[test]
fn hooks_go_when_the_agent_does_not_forget_them() {
    for mode in ["ends", "locked"] {
        let codex = Codex::new();
        codex.ok("install --hooks --trust");
        let config = codex.config();
        codex.mode(mode);
        let said = codex.ok("uninstall --hooks");
        assert!(said.contains("note: Codex CLI keeps its trust"), "{said}");
        assert!(!codex.hooks().exists());
        assert_eq!(codex.config(), config);
    }
}

#[test]
fn trust_is_for_hooks_of_agents_that_ask_for_it() {
    let codex = Codex::new();
    let said = codex.fails("install --service --trust");
    assert!(said.contains("--trust is for hooks"), "{said}");
    let said = codex.ok("install --hooks --trust --agent copilot");
    assert!(said.contains("trust: no agent here asks for it"), "{said}");
    assert!(!codex.was_asked());
}
