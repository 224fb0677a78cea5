//! Which machine this is.

use std::sync::OnceLock;

/// The file of machine-id(5).
const FILE: &str = "/etc/machine-id";

/// The machine's id, in lower case hexadecimal digits; `None` where it has none. It stays the same as long as the
/// process runs.
#[must_use]
pub fn id() -> Option<&'static str> {
    static ID: OnceLock<Option<Box<str>>> = OnceLock::new();
    let read = || {
        let text = std::fs::read_to_string(FILE).ok()?;
        let id = text.trim();
        (!id.is_empty()).then(|| id.into())
    };
    ID.get_or_init(read).as_deref()
}
