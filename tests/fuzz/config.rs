//! The configuration file.

use std::path::Path;

use crate::config::{Config, ConfigError};

pub(super) fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Config::parse(&text, Path::new("/config.toml")) {
        Ok(config) => {
            assert!(config.history > 0);
            assert!(config.socket.is_absolute());
        }
        Err(error) => check(&text, &error),
    }
}

/// The error names a place in the file, and shows it in two lines.
fn check(text: &str, error: &ConfigError) {
    let ConfigError::Invalid { line, what, .. } = error else {
        panic!("{error:?} of a text");
    };
    assert!(*line <= text.split('\n').count(), "line {line}");
    assert!(!what.is_empty());
    let snippet = error.snippet().expect("a snippet");
    assert_eq!(snippet.lines().count(), 2, "{snippet:?}");
}
