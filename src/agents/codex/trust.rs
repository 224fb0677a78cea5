//! A person's trust in Codex's hooks, asked for, given and taken back through Codex itself, as observed with 0.171.0.
//!
//! Codex keeps it in `config.toml`, a table for each hook: `[hooks.state."HOOKS_JSON:EVENT:GROUP:HANDLER"]` with a
//! `trusted_hash`. Its own terminal does what is done here when a person chooses "Trust all": `hooks/list` gives each
//! hook's key and hash, `config/batchWrite` has Codex write them, with the person's comments and layout kept. No hash is
//! computed here, and no hook of others is touched. Called through [`TRUST`].

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::trust::{Trust, TrustChange, TrustCounts, TrustError, TrustQuery};
use super::AGENT;
use super::app_server::{AppServer, NAME, cut};
use crate::os::program::same_file;
use crate::os::small_file;

const LIST: &str = "hooks/list";
const WRITE: &str = "config/batchWrite";

/// The member of the configuration with all entries.
const STATE: &str = "hooks.state";

/// The configuration's file.
const CONFIG: &str = "config.toml";

/// The largest such file that is read, in bytes.
const MAX_CONFIG: u64 = 16 * 1024 * 1024;

/// Codex's entry in the table of trust.
pub(in super::super) static TRUST: Trust = Trust {
    by_hand: "asks once at its next start (\"Hooks need review\": choose \"Trust all and continue\"; `/hooks` later)",
    review: "`/hooks`",
    calls: "`codex app-server`: hooks/list, then config/batchWrite of hooks.state in config.toml",
    may_be_kept,
    ask,
    grant,
    revoke,
};

/// The answer to `hooks/list`: an element for each directory that was asked for.
#[derive(Deserialize)]
struct HookList {
    data: Vec<Listed>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Listed {
    /// Of any shape, so that one of a new kind costs only itself.
    hooks: Vec<Value>,
    /// `{path, message}` for a configuration that cannot be read.
    errors: Vec<Value>,
    /// Such as: `failed to parse hooks config …`.
    warnings: Vec<String>,
}

/// A hook as Codex lists it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hook {
    key: String,
    source_path: PathBuf,
    command: String,
    current_hash: String,
    trust_status: TrustStatus,
    #[serde(default = "enabled")]
    enabled: bool,
}

const fn enabled() -> bool {
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TrustStatus {
    Untrusted,
    Trusted,
    /// The hook is another than the one that was trusted.
    Modified,
    /// An administrator's.
    Managed,
    #[serde(other)]
    Unknown,
}

impl Hook {
    /// Codex would ask the person for it.
    fn is_unconfirmed(&self) -> bool {
        matches!(
            self.trust_status,
            TrustStatus::Untrusted | TrustStatus::Modified
        )
    }

    /// The configuration has an entry of it.
    fn has_entry(&self) -> bool {
        let confirmed = matches!(
            self.trust_status,
            TrustStatus::Trusted | TrustStatus::Modified
        );
        confirmed || !self.enabled
    }
}

/// What Codex answers to a change of its configuration.
#[derive(Deserialize)]
struct Written {
    /// Names the contents of the file.
    version: String,
}

fn may_be_kept(directory: &Path) -> bool {
    let marker = format!("{}:", AGENT.install.settings);
    entries(directory).is_some_and(|entries| entries.keys().any(|key| key.contains(&marker)))
}

/// The entries in a directory's configuration; `None` without a place for any.
fn entries(directory: &Path) -> Option<toml::Table> {
    let text = small_file::read(&directory.join(CONFIG), MAX_CONFIG).ok()?;
    let mut config: toml::Table = String::from_utf8(text).ok()?.parse().ok()?;
    match config.get_mut("hooks")?.get_mut("state")? {
        toml::Value::Table(entries) => Some(std::mem::take(entries)),
        _ => None,
    }
}

fn ask(query: &TrustQuery<'_>) -> Result<TrustCounts, TrustError> {
    let mut server = start(query)?;
    Ok(counts(&own_hooks(&mut server, query)?))
}

fn grant(query: &TrustQuery<'_>) -> Result<TrustChange, TrustError> {
    let mut server = start(query)?;
    let before = own_hooks(&mut server, query)?;
    let unconfirmed: Vec<_> = before.iter().filter(|hook| hook.is_unconfirmed()).collect();
    if unconfirmed.is_empty() {
        return Ok(TrustChange {
            changed: 0,
            after: counts(&before),
        });
    }
    let entry = |hook: &&Hook| (hook.key.clone(), json!({"trusted_hash": hook.current_hash}));
    let entries: Map<String, Value> = unconfirmed.iter().map(entry).collect();
    let edit = json!({"keyPath": STATE, "mergeStrategy": "upsert", "value": entries});
    write(&mut server, &[edit], None)?;
    let after = own_hooks(&mut server, query)?;
    let is_still = |hook: &&Hook| {
        after
            .iter()
            .any(|now| now.key == hook.key && now.is_unconfirmed())
    };
    Ok(TrustChange {
        changed: unconfirmed.len() - unconfirmed.iter().copied().filter(is_still).count(),
        after: counts(&after),
    })
}

fn revoke(query: &TrustQuery<'_>) -> Result<TrustChange, TrustError> {
    let mut server = start(query)?;
    let before = own_hooks(&mut server, query)?;
    let kept: Vec<_> = before.iter().filter(|hook| hook.has_entry()).collect();
    if kept.is_empty() {
        return Ok(TrustChange {
            changed: 0,
            after: counts(&before),
        });
    }
    let edits = kept.iter().map(|hook| {
        let path = format!("{STATE}.{}", quoted_key(&hook.key));
        removal(&path)
    });
    let written = write(&mut server, &edits.collect::<Vec<_>>(), None)?;
    if entries(query.directory).is_some_and(|entries| entries.is_empty()) {
        // The heading that Codex wrote with the first entry. Refused if the file has changed since, and no loss.
        let _ = write(&mut server, &[removal(STATE)], Some(&written.version));
    }
    let after = own_hooks(&mut server, query)?;
    let is_still = |hook: &&Hook| {
        after
            .iter()
            .any(|now| now.key == hook.key && now.has_entry())
    };
    Ok(TrustChange {
        changed: kept.len() - kept.iter().copied().filter(is_still).count(),
        after: counts(&after),
    })
}

fn start(query: &TrustQuery<'_>) -> Result<AppServer, TrustError> {
    AppServer::start(AGENT.config_dir.variable, query)
}

/// The hooks that are in the query's file and run one of its commands.
fn own_hooks(server: &mut AppServer, query: &TrustQuery<'_>) -> Result<Vec<Hook>, TrustError> {
    let list: HookList = server.call(LIST, &json!({"cwds": [query.directory]}))?;
    let mut own = Vec::new();
    let mut trouble = Vec::new();
    for listed in list.data {
        let hooks = listed.hooks.into_iter();
        own.extend(hooks.filter_map(|hook| serde_json::from_value::<Hook>(hook).ok()));
        let errors = listed.errors.iter();
        trouble.extend(errors.filter_map(|error| error["message"].as_str().map(str::to_owned)));
        trouble.extend(listed.warnings);
    }
    own.retain(|hook| {
        query.commands.contains(&hook.command) && same_file(&hook.source_path, query.settings)
    });
    if own.is_empty() {
        let why = trouble.first().map(|why| format!(": {}", cut(why)));
        return Err(TrustError::Unlisted(NAME, why.unwrap_or_default()));
    }
    Ok(own)
}

/// Has Codex change its configuration: all of the edits or none; with `version`, only a file of these contents.
fn write(
    server: &mut AppServer,
    edits: &[Value],
    version: Option<&str>,
) -> Result<Written, TrustError> {
    let parameters = json!({"edits": edits, "expectedVersion": version, "reloadUserConfig": true});
    server.call(WRITE, &parameters)
}

/// An edit that removes a member of the configuration.
fn removal(path: &str) -> Value {
    json!({"keyPath": path, "mergeStrategy": "replace", "value": null})
}

/// A key as one part of a path: in quotes, with a backslash before a quote and a backslash, and no other escape.
fn quoted_key(key: &str) -> String {
    let escaped = key.replace('\\', r"\\").replace('"', r#"\""#);
    format!("\"{escaped}\"")
}

fn counts(hooks: &[Hook]) -> TrustCounts {
    let mut counts = TrustCounts::default();
    for hook in hooks {
        let count = match (hook.enabled, hook.trust_status) {
            (false, _) => &mut counts.disabled,
            (true, TrustStatus::Trusted | TrustStatus::Managed) => &mut counts.trusted,
            (true, TrustStatus::Modified) => &mut counts.modified,
            (true, TrustStatus::Untrusted | TrustStatus::Unknown) => &mut counts.untrusted,
        };
        *count += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
