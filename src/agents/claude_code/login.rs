//! Which login a configuration directory has, read from Claude Code's own settings, never from its credentials.
//!
//! `.claude.json` has `"oauthAccount": {"accountUuid": …, "organizationUuid": …, "emailAddress": …, …}` while a person is
//! logged in (observed with 2.1.332). It holds much else and may be megabytes long: so the member is searched in the
//! stream, and the rest is neither kept nor parsed. What is kept is one number, a hash.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::CONFIG_DIR;
use crate::agents::config_dirs::is_same_directory;
use crate::limits::Login;

const FILE: &str = ".claude.json";

const KEY: &[u8] = b"\"oauthAccount\"";

/// How much of the file is read at most, in bytes: several times the longest ones that people have reported.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// How much of it is in memory at a time. The member is shorter: some 500 bytes.
const BUFFER: usize = 16 * 1024;

/// The files that may name the login of `directory`; the one that was written last counts. Claude Code keeps the file
/// in the directory, but beside it where the directory is the default one and no variable names it.
pub(super) fn files(directory: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let below_home = CONFIG_DIR.below_home;
    let beside = home.filter(|home| is_same_directory(&home.join(below_home), directory));
    let beside = beside.map(|home| home.join(FILE));
    [directory.join(FILE)].into_iter().chain(beside).collect()
}

#[derive(Deserialize, Hash)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct OAuthAccount {
    account_uuid: Option<String>,
    organization_uuid: Option<String>,
    email_address: Option<String>,
}

/// The login that such a file names; `None`: none, or not in a known form.
pub(super) fn read(file: &mut dyn Read) -> Option<Login> {
    let mut file = file.take(MAX_BYTES);
    let mut buffer = Vec::with_capacity(2 * BUFFER);
    loop {
        let count = file
            .by_ref()
            .take(BUFFER as u64)
            .read_to_end(&mut buffer)
            .ok()?;
        if let Some(place) = find(&buffer) {
            // The whole member, unless it is longer than any.
            file.by_ref()
                .take(BUFFER as u64)
                .read_to_end(&mut buffer)
                .ok()?;
            return login(buffer.get(place + KEY.len()..)?);
        }
        if count == 0 {
            return None;
        }
        // The key may go on in the next part.
        let keep = buffer.len().min(KEY.len() - 1);
        buffer.drain(..buffer.len() - keep);
    }
}

fn find(text: &[u8]) -> Option<usize> {
    text.windows(KEY.len()).position(|part| part == KEY)
}

/// The login of the member whose colon and value `text` begins with.
fn login(text: &[u8]) -> Option<Login> {
    let value = text.trim_ascii_start().strip_prefix(b":")?;
    let mut values = serde_json::Deserializer::from_slice(value).into_iter::<OAuthAccount>();
    let mut account = values.next()?.ok()?;
    if account.account_uuid.is_some() {
        // It may be changed, and the account stays the same.
        account.email_address = None;
    } else {
        account.email_address.as_ref()?;
    }
    let mut hasher = DefaultHasher::new();
    account.hash(&mut hasher);
    Some(Login(hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Login> {
        read(&mut text.as_bytes())
    }

    fn file(before: &str, account: &str) -> String {
        format!("{{{before}\"oauthAccount\" : {account}, \"x\": {{}}}}")
    }

    #[test]
    fn a_login_is_the_person_and_the_organization() {
        let one = r#"{"accountUuid":"a","organizationUuid":"o","emailAddress":"a@b.c"}"#;
        let login = of(&file("", one));
        assert!(login.is_some());
        let renamed = r#"{"emailAddress":"d@e.f","organizationUuid":"o","accountUuid":"a"}"#;
        assert_eq!(of(&file("\"tips\": [1],\n", renamed)), login);
        let of_other_organization = r#"{"accountUuid":"a","organizationUuid":"p"}"#;
        assert_ne!(of(&file("", of_other_organization)), login);
        assert!(of(&file("", r#"{"emailAddress":"a@b.c"}"#)).is_some());
    }

    #[test]
    fn what_names_no_login_has_none() {
        for account in [
            "null",
            "{}",
            "[]",
            "\"a\"",
            r#"{"accountUuid":1}"#,
            "{\"accountUuid\":\"a",
        ] {
            assert_eq!(of(&file("", account)), None, "{account}");
        }
        assert_eq!(of(""), None);
        // What a person has typed.
        assert_eq!(
            of(r#"{"history":["\"oauthAccount\":{\"accountUuid\":\"a\"}"]}"#),
            None
        );
    }

    #[test]
    fn it_is_found_wherever_it_is_in_a_long_file() {
        let account = r#"{"accountUuid":"a"}"#;
        let login = of(&file("", account));
        for length in (BUFFER - 64..BUFFER + 64).chain([1_000_000]) {
            let before = format!("\"history\":\"{}\",", "x".repeat(length));
            assert_eq!(of(&file(&before, account)), login, "{length}");
        }
    }
}
