//! What is made from the grammar: completions in a real shell, the manual through a real formatter.

use std::fs;
use std::process::{Command, Output};

use crate::support::Place;

/// Words of a command line, and what a Tab after the last of them offers.
const COMPLETED: [(&[&str], &str); 8] = [
    (&["ba"], "bar"),
    (&["bar", "--form"], "--format"),
    (&["bar", "--format", "way"], "waybar"),
    (&["config", "ch"], "check"),
    (&["completions", "el"], "elvish"),
    (&["report", "--waiting-for", "perm"], "permission"),
    (&["demo", "--pl"], "--plain"),
    (&["list", "--js"], "--json"),
];

#[track_caller]
fn output(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success() && said.is_empty(), "{command:?}: {said}");
    String::from_utf8(stdout).unwrap()
}

/// The way that bash goes: it asks `complete` for the function, and calls it with the words.
const IN_BASH: &str = r#"
source "$0"
words=("$@")
registered=$(complete -p "${words[0]}")
function=${registered#*-F }
function=${function%% *}
COMP_WORDS=("${words[@]}")
COMP_CWORD=$(( ${#words[@]} - 1 ))
"$function" "${words[0]}" "${words[COMP_CWORD]}" "${words[COMP_CWORD-1]}"
echo "${COMPREPLY[*]}"
"#;

#[test]
fn bash_completes_both_names() {
    let place = Place::new();
    let script = place.path().join("completions");
    fs::write(&script, place.ok(&["completions", "bash"])).unwrap();
    for name in ["agent-console", "acd"] {
        for (words, offered) in COMPLETED {
            let mut bash = Command::new("bash");
            bash.args(["--norc", "-c", IN_BASH]).arg(&script).arg(name);
            assert_eq!(
                output(bash.args(words)).trim_end(),
                offered,
                "{name} {words:?}"
            );
        }
    }
}

#[test]
fn every_shell_completes_both_names() {
    let place = Place::new();
    for (shell, line) in [
        ("bash", " acd agent-console\n"),
        ("zsh", "#compdef agent-console acd\n"),
        ("zsh", "compdef _agent-console agent-console acd\n"),
        ("fish", "complete -c acd -w agent-console\n"),
        ("elvish", "arg-completer[acd] = "),
        ("powershell", "-CommandName 'agent-console', 'acd' "),
    ] {
        let script = place.ok(&["completions", shell]);
        assert!(script.contains(line), "{shell}: {line}");
    }
    assert_eq!(place.run(&["completions", "tcsh"]).status.code(), Some(2));
}

#[test]
fn there_is_a_page_for_each_command() {
    let place = Place::new();
    let directory = place.path().join("share/man/man1");
    let said = place.ok(&["man", "--dir", directory.to_str().unwrap()]);
    let help = place.ok(&["--help"]);
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .filter(|command| *command != "help");
    let mut pages: Vec<_> = commands
        .map(|command| format!("agent-console-{command}"))
        .collect();
    assert!(pages.len() > 10, "{help}");
    pages.extend(["agent-console", "agent-console-config-init"].map(String::from));
    let count = fs::read_dir(&directory).unwrap().count();
    assert!(
        said.starts_with(&format!("wrote {count} pages to ")),
        "{said}"
    );

    for page in &pages {
        // Every warning is wanted, and there is none.
        let mut groff = Command::new("groff");
        groff.args(["-man", "-Tutf8", "-P-cbou", "-ww", "-K", "utf8"]);
        let text = output(groff.arg(directory.join(format!("{page}.1"))));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&format!("{page} - ")), "{text}");
        let example = text.lines().skip_while(|line| *line != "EXAMPLES").nth(1);
        let below = page.ends_with("-init");
        assert!(
            below || example.is_some_and(|line| line.contains("agent-console")),
            "{text}"
        );
    }
    let short = fs::read_to_string(directory.join("acd.1")).unwrap();
    assert_eq!(short, ".so man1/agent-console.1\n");
    let main = fs::read_to_string(directory.join("agent-console.1")).unwrap();
    assert_eq!(place.ok(&["man"]), main);

    let output = place.run(&["man", "--dir", "/dev/null/nowhere"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("agent-console: cannot make "), "{said}");
}
