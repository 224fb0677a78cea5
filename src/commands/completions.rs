//! `completions`: a script that completes the command line in a shell, for both names of the program. Made from the
//! grammar; asks no daemon.

use std::io::Write;

use clap::{Args, Command};
use clap_complete::Shell;

/// For which shell.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The shell that is to read the script
    shell: Shell,
}

pub(super) fn run(
    options: &Options,
    mut grammar: Command,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let name = match options.shell {
        // With a hyphen in its name nothing completes after a command: <https://github.com/clap-rs/clap/issues/6421>.
        Shell::Bash => "acd",
        _ => "agent-console",
    };
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut grammar, name, &mut script);
    let script = with_both_names(options.shell, &String::from_utf8(script)?);
    out.write_all(script.as_bytes())?;
    Ok(())
}

/// The script with the other name added, each shell's own way. A second script for it would take as long again at each
/// start of a shell, and zsh looks at the first line of a file only.
fn with_both_names(shell: Shell, script: &str) -> String {
    match shell {
        Shell::Bash => script.replace("-o default acd\n", "-o default acd agent-console\n"),
        Shell::Zsh => script
            .replace("#compdef agent-console\n", "#compdef agent-console acd\n")
            .replace(
                "compdef _agent-console agent-console\n",
                "compdef _agent-console agent-console acd\n",
            ),
        Shell::PowerShell => script.replace(
            "-CommandName 'agent-console'",
            "-CommandName 'agent-console', 'acd'",
        ),
        Shell::Fish => format!("{script}complete -c acd -w agent-console\n"),
        Shell::Elvish => format!(
            "{script}set edit:completion:arg-completer[acd] = $edit:completion:arg-completer[agent-console]\n"
        ),
        // The library may learn further shells; they complete the long name.
        _ => script.into(),
    }
}
