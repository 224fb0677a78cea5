//! Error messages on standard error.

use std::io::{self, Write};

use crate::config::ConfigError;

/// An error with its causes, each once: the text of some errors ends in their cause's.
pub(crate) fn error_text(error: &anyhow::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    let text = causes.reduce(|text, cause| {
        if text.ends_with(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    });
    text.unwrap_or_default()
}

/// Prints an error with its causes on standard error, and the place in the configuration file if it is about one.
pub(crate) fn print_error(error: &anyhow::Error) {
    let text = super::sanitize(&error_text(error));
    let mut message = format!("agent-console: {text}");
    if let Some(snippet) = error
        .downcast_ref::<ConfigError>()
        .and_then(ConfigError::snippet)
    {
        message = format!("{message}\n{}", super::sanitize_lines(&snippet));
    }
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "{message}");
}
