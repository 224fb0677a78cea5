//! Runs without a person, by the command line of the agent's process.

/// Whether the arguments have the prompt of a run that asks no person.
pub(super) fn is_prompt_mode(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| {
        argument.starts_with("-p") || argument == "--prompt" || argument.starts_with("--prompt=")
    })
}
