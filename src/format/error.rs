//! Error messages on standard error.

use std::io::{self, Write};

use crate::config::ConfigError;

/// Prints an error with its causes on standard error, and the place in the configuration file if it is about one.
pub(crate) fn print_error(error: &anyhow::Error) {
    // Some errors repeat their cause's text.
    let causes = error.chain().map(ToString::to_string);
    let text = causes.reduce(|text, cause| {
        if text.ends_with(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    });
    let text = text.unwrap_or_default();
    let mut message = format!("agent-console: {}", super::sanitize(&text));
    if let Some(snippet) = error
        .downcast_ref::<ConfigError>()
        .and_then(ConfigError::snippet)
    {
        message = format!("{message}\n{}", super::sanitize_lines(&snippet));
    }
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "{message}");
}
