//! `completions`: a shell's completion script for both names of the program, made from the grammar. Needs no daemon.

use std::io::Write;

use clap::{Args, Command};
use clap_complete::Shell;

/// The options of `completions`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The shell
    shell: Shell,
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str = "The script completes both names, agent-console and acd.

Examples:
  source <(agent-console completions bash)      in ~/.bashrc
  source <(agent-console completions zsh)       in ~/.zshrc, after compinit
  agent-console completions fish | source       in ~/.config/fish/config.fish
  eval (agent-console completions elvish | slurp)                            in rc.elv
  agent-console completions powershell | Out-String | Invoke-Expression      in $PROFILE";

pub(super) fn run(
    options: &Options,
    mut grammar: Command,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let name = match options.shell {
        // With a hyphen in the name no completion follows a command: <https://github.com/clap-rs/clap/issues/6421>.
        Shell::Bash => "acd",
        _ => "agent-console",
    };
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut grammar, name, &mut script);
    let script = with_both_names(options.shell, &String::from_utf8(script)?);
    out.write_all(script.as_bytes())?;
    Ok(())
}

/// Adds the other name to the script, in the shell's own way. A second script would double the time that a shell's start
/// takes, and zsh reads the first line of a file only.
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
