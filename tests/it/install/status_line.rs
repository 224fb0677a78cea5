//! `--statusline`: the call around a person's own status line, which shows the same with it and after it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ExitStatus};

use super::*;
use crate::support::{Sleeper, copy, write_program};

const PAYLOAD: &str = r#"{"session_id":"s","model":{"id":"opus"}}"#;

/// Settings that have a status line, as people write them.
const WITH_LINE: [&str; 3] = [
    r#"{"statusLine":{"type":"command","command":"npx -y ccstatusline@2","padding":0}}"#,
    "{\r\n\t\"statusLine\": {\r\n\t\t\"command\": \"KEY=s3cret; ~\\/bin\\/l\\u00efne | tr \\\"a\\\" \\u0027b\\u0027\",\r\n\t\t\"type\": \"command\"\r\n\t},\r\n\t\"env\": {}\r\n}\r\n",
    "\u{feff}{ \"statusLine\": 5, \"statusLine\" : { \"type\": \"command\", \"command\":\"\" } }",
];

/// A program in the place's surroundings.
fn by(place: &Place, program: &Path, arguments: &[&str]) -> Command {
    let like = place.command([] as [&str; 0]);
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(
            like.get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        )
        .current_dir(place.path())
        .stdin(Stdio::null());
    command
}

/// A status line's command, started as Claude Code does, with the input written.
fn start(place: &Place, command: &str) -> Child {
    let mut child = by(place, Path::new("/bin/sh"), &["-c", command])
        .arg0("sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It need not read it.
    let _ = child.stdin.take().unwrap().write_all(PAYLOAD.as_bytes());
    child
}

/// What the settings' status line shows.
fn drawn(place: &Place, file: &Path) -> Output {
    start(place, &line_of(file)).wait_with_output().unwrap()
}

/// What becomes of a command when the process that was started gets SIGTERM once the command has printed its own id:
/// whether that was the same process, what it printed after, and its status.
fn terminated(place: &Place, command: &str) -> (bool, String, ExitStatus) {
    let mut child = Sleeper(start(place, command));
    let mut output = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let same = line.trim().parse() == Ok(child.pid());
    let killed = Command::new("kill").arg(child.pid().to_string()).status();
    assert!(killed.unwrap().success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    (same, rest, child.0.wait().unwrap())
}

fn line_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let settings: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap();
    settings["statusLine"]["command"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_status_line_is_installed_and_uninstalled_byte_for_byte() {
    for text in SETTINGS.iter().chain(&WITH_LINE) {
        let place = Place::new();
        let file = settings(&place);
        fs::write(&file, text).unwrap();
        let before = listing(place.path());

        let said = place.ok(&["install", "--statusline", "--dry-run"]);
        assert!(said.contains("acd statusline"), "{said}");
        assert_eq!(listing(place.path()), before, "a dry run changes nothing");

        place.ok(&["install", "--statusline"]);
        let call = format!("{} statusline", hook_program().display());
        assert!(line_of(&file).starts_with(&call), "{}", line_of(&file));
        let after = listing(place.path());
        // It holds the command, which may hold secrets.
        let record = |entry: &&String| entry.contains("/hooks-");
        let record = after.iter().find(record).unwrap();
        assert!(record.contains(".json 100600 "), "{record}");
        let nothing = "status line: nothing to do\n";
        assert_eq!(place.ok(&["install", "--statusline"]), nothing);
        assert_eq!(listing(place.path()), after);

        assert!(
            place
                .ok(&["uninstall", "--statusline", "--dry-run"])
                .contains("+++ ")
        );
        assert_eq!(listing(place.path()), after);
        place.ok(&["uninstall", "--statusline"]);
        assert_eq!(listing(place.path()), before, "{text}");
        assert_eq!(place.ok(&["uninstall", "--statusline"]), nothing);
    }
}

#[test]
fn hooks_and_status_line_are_one_change_and_can_be_removed_one_by_one() {
    for text in SETTINGS.iter().chain(&WITH_LINE) {
        for first in ["--hooks", "--statusline"] {
            let place = Place::new();
            let file = settings(&place);
            fs::write(&file, text).unwrap();
            let before = listing(place.path());
            let said = place.ok(&["install", "--hooks", "--statusline", "--dry-run"]);
            let headings = said.matches("--- ").count();
            assert_eq!(headings, 2, "the settings and what is remembered: {said}");
            place.ok(&["install", "--hooks", "--statusline"]);
            assert_eq!(
                place.ok(&["install", "--statusline", "--hooks"]),
                "hooks and status line: nothing to do\n"
            );
            place.ok(&["uninstall", first]);
            assert_ne!(listing(place.path()), before);
            place.ok(&["uninstall", "--hooks", "--statusline"]);
            assert_eq!(listing(place.path()), before, "{text}");
        }
    }
}

/// Only `--statusline` changes what people see.
#[test]
fn the_status_line_is_changed_only_on_request() {
    let place = Place::new();
    let file = settings(&place);
    fs::write(&file, WITH_LINE[0]).unwrap();
    let own = line_of(&file);
    for arguments in [&["install"][..], &["install", "--hooks"]] {
        place.ok(arguments);
        assert_eq!(line_of(&file), own);
    }
    // It fails where there is no service manager.
    place.run(&["install", "--service"]);
    assert_eq!(line_of(&file), own);
    place.ok(&["install", "--statusline"]);
    place.ok(&["uninstall", "--hooks"]);
    place.ok(&["uninstall", "--service"]);
    assert_ne!(line_of(&file), own);
    place.ok(&["uninstall"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), WITH_LINE[0]);
}

#[test]
fn a_status_line_that_claude_code_would_not_take_is_refused() {
    for (line, place_and_why) in [
        (
            "[]",
            "settings.json:2:15: statusLine is a list, not an object",
        ),
        (
            r#"{"type": "static"}"#,
            "settings.json:2:24: statusLine.type is not",
        ),
        (
            r#"{"type": "command", "command": null}"#,
            "settings.json:2:46: statusLine.command is null, not a string",
        ),
    ] {
        let place = Place::new();
        fs::write(settings(&place), format!("{{\n\"statusLine\": {line}}}\n")).unwrap();
        let before = listing(place.path());
        let output = place.run(&["install", "--statusline", "--hooks"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = shown(&output);
        assert!(
            said.contains(place_and_why) && said.contains("nothing was changed"),
            "{said}"
        );
        assert_eq!(listing(place.path()), before);
        assert_eq!(
            place.ok(&["uninstall", "--statusline"]),
            "status line: nothing to do\n"
        );
    }
}

#[test]
fn a_program_that_has_moved_is_followed_and_still_undone() {
    for text in [SETTINGS[1], WITH_LINE[1]] {
        let place = Place::new();
        let file = settings(&place);
        fs::write(&file, text).unwrap();
        let installed = |name: &str| {
            let directory = place.path().join(name);
            fs::create_dir(&directory).unwrap();
            copy(program(), &directory.join("agent-console"));
            directory.join("agent-console")
        };
        let (first, second) = (installed("first"), installed("second place"));
        let ok = |program: &Path, arguments: &[&str]| {
            let output = by(&place, program, arguments).output().unwrap();
            assert!(output.status.success(), "{}", shown(&output));
        };
        let before = listing(&place.path().join("home"));
        ok(&first, &["install", "--statusline"]);
        fs::remove_file(&first).unwrap();
        // Without being asked, too: it could not be run any more.
        ok(&second, &["install"]);
        let called = format!("'{}' statusline", second.display());
        assert!(line_of(&file).starts_with(&called), "{}", line_of(&file));
        ok(&second, &["uninstall"]);
        assert_eq!(listing(&place.path().join("home")), before);
    }
}

#[test]
fn a_call_by_hand_is_restored_and_an_edited_one_is_named() {
    let place = Place::new();
    let file = settings(&place);
    let by_hand =
        r#"{"statusLine": {"type": "command", "command": "/opt/acd  statusline -- x | y"}}"#;
    fs::write(&file, by_hand).unwrap();
    place.ok(&["install", "--statusline"]);
    assert!(line_of(&file).starts_with(hook_program().to_str().unwrap()));
    let said = place.ok(&["uninstall", "--statusline"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), by_hand);
    assert!(
        said.contains("still calls /opt/acd") && said.contains("once more"),
        "{said}"
    );
    let said = place.ok(&["uninstall", "--statusline"]);
    assert!(!said.contains("note"), "{said}");
    assert_eq!(line_of(&file), "x | y");

    place.ok(&["install", "--statusline"]);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("acd statusline", "acd statusline | ts;"),
    )
    .unwrap();
    let edited = fs::read_to_string(&file).unwrap();
    let said = place.ok(&["uninstall", "--statusline"]);
    assert!(
        said.contains("still calls") && said.contains("by hand"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), edited);
}

#[test]
fn every_command_shows_the_same_with_our_call_and_after_it() {
    const COMMANDS: [&str; 36] = [
        "~/bin/line",
        "  ~/bin/line -a  --b=c ",
        "~/bin/line ~ a=~",
        "~/bin/line \"two words\" ''",
        "cat",
        "cat | tr a-z A-Z",
        "A=1; echo $A",
        "A=x sh -c 'echo $A'",
        "echo \"it's\" 'a \"b\"' $HOME \"$HOME\"",
        "cd / && pwd",
        "exec cat",
        "cat # a comment",
        "# nothing but a comment",
        "printf 'a\\nb\\n'\necho c",
        "echo a \\\nb",
        "echo end \\",
        "echo one; exit 3",
        "echo é ünï 日本",
        "",
        " \t ",
        "echo $0 $# \"$@\"",
        "f() { echo f; }; f",
        "if read -r x; then echo \"$x\"; fi",
        "cat <<E\n$HOME\nE\n",
        "echo `echo b` $(echo 'c d')",
        "cd ~ && echo *",
        "[ -t 0 ] || echo no",
        "echo '\\''",
        "echo 'not closed",
        "sh -c 'echo \"$1\"' x 'y z'",
        "false || ! true; echo $?",
        "echo a >&2; echo -e 'b\\tc'",
        "(exit 5)",
        "no-such-command",
        "sh -c 'kill -9 $$'; exit 3",
        "yes | head -n1; ^x 'a^b!' \"c\\d\"",
    ];
    let place = Place::new();
    let file = settings(&place);
    let bin = place.path().join("home/bin");
    fs::create_dir(&bin).unwrap();
    write_program(
        &bin.join("line"),
        "#!/bin/sh\nprintf '%s|' \"$@\"; cat; exit 4\n",
    );
    for command in COMMANDS {
        let text = json!({"statusLine": {"type": "command", "command": command}}).to_string();
        fs::write(&file, &text).unwrap();
        let own = drawn(&place, &file);
        place.ok(&["install", "--statusline"]);
        assert!(line_of(&file).contains(" statusline -- "), "{command}");
        assert_eq!(drawn(&place, &file), own, "{command}");
        place.ok(&["uninstall", "--statusline"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

/// Under a shell that gives its place to the last command, as bash does and `exec` has every shell do.
/// Under a shell that gives its place to the last command, as bash does and `exec` has every shell do.
#[test]
fn signals_and_exit_status_are_the_commands_own() {
    let place = Place::new();
    let file = settings(&place);
    let wrapped = |command: &str| {
        let text = json!({"statusLine": {"type": "command", "command": command}}).to_string();
        fs::write(&file, text).unwrap();
        place.ok(&["install", "--statusline"]);
        format!("exec {}", line_of(&file))
    };
    for (command, expected) in [
        ("echo $$; exec sleep 600", ("", Some(15), None)),
        (
            "trap 'echo caught; kill $!; exit 9' TERM; sleep 600 & echo $$; wait",
            ("caught\n", None, Some(9)),
        ),
    ] {
        let without = terminated(&place, command);
        let with = terminated(&place, &wrapped(command));
        assert_eq!(with, without, "{command}");
        let (same, said, status) = with;
        assert!(same);
        assert_eq!((&*said, status.signal(), status.code()), expected);
    }
    for command in [
        "kill -9 $$",
        "echo one; kill -TERM $$; echo two",
        "trap '' TERM; kill -TERM $$; echo ignored",
    ] {
        let without = start(&place, command).wait_with_output().unwrap();
        let with = start(&place, &wrapped(command)).wait_with_output().unwrap();
        assert_eq!(with, without, "{command}");
    }
}
