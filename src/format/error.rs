//! An error as a person reads it on standard error.

use std::io::{self, Write};

use crate::config::ConfigError;

/// Prints what is wrong on standard error, each cause once, and the place in the configuration where there is one.
pub(crate) fn print_error(error: &anyhow::Error) {
    // Many an error says itself what its cause says.
    let causes = error.chain().map(ToString::to_string);
    let text = causes.reduce(|text, cause| {
        if text.ends_with(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    });
    let text = text.unwrap_or_default();
    let mut complaint = format!("agent-console: {}", super::plain(&text));
    if let Some(snippet) = error
        .downcast_ref::<ConfigError>()
        .and_then(ConfigError::snippet)
    {
        complaint = format!("{complaint}\n{}", super::plain_lines(&snippet));
    }
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "{complaint}");
}
