//! The command by which an agent's shell runs the hook.

/// A POSIX shell's command that runs `program` as the hook, with these words. Succeeds and prints nothing also where the
/// program is gone: agents take a failure for a verdict. The program replaces the shell, so its parent is the agent.
#[must_use]
pub(crate) fn hook_command(program: &str, words: &[&str]) -> String {
    let program = quote(program);
    format!(
        "[ -x {program} ] || exit 0; exec {program} hook {}",
        words.join(" ")
    )
}

/// The text as one word of a shell.
#[must_use]
pub(crate) fn quote(text: &str) -> String {
    let quoter = shlex::Quoter::new().allow_nul(true);
    // Without NUL being refused there is no error.
    quoter
        .quote(text)
        .map_or_else(|_| String::new(), Into::into)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_program_that_is_gone_is_no_failure() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("it's not/here");
        let command = hook_command(program.to_str().unwrap(), &["x", "y"]);
        for shell in ["sh", "bash"] {
            let done = Command::new(shell).args(["-c", &command]).output().unwrap();
            assert!(done.status.success(), "{command}");
            assert!(done.stdout.is_empty() && done.stderr.is_empty());
        }
    }
}
