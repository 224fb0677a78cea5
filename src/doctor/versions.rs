//! The agents' versions: whether one is newer than what its sources were recorded with.
//!
//! Nothing is run: a version is in the package that the program is of, or in the path at the end of its links.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Check;
use crate::agents::{self, Agent};
use crate::install::program::in_path;

pub(super) const NAME: &str = "versions";

/// How many directories above the program a package's description may be.
const LEVELS: usize = 4;

/// The longest description of a package that is read, in bytes.
const MAX_DESCRIPTION: u64 = 1024 * 1024;

/// The versions of the agents' programs in `PATH`, as far as they say them.
pub(super) fn probe() -> Vec<(&'static Agent, String)> {
    let found = |agent: &&'static Agent| Some((*agent, version(agent)?));
    agents::ALL.iter().filter_map(found).collect()
}

fn version(agent: &Agent) -> Option<String> {
    let program = fs::canonicalize(in_path(agent.program)?).ok()?;
    of_package(&program).or_else(|| of_path(&program))
}

/// Compares each version with that of the recordings.
pub(super) fn evaluate(found: &[(&Agent, String)]) -> Check {
    let is_newer =
        |agent: &Agent, version: &str| compare(version, agent.recorded_with) == Ordering::Greater;
    let newer: Vec<_> = found
        .iter()
        .filter(|(agent, version)| is_newer(agent, version))
        .map(|(agent, version)| {
            format!(
                "{} {version} (recorded with {})",
                agent.title, agent.recorded_with
            )
        })
        .collect();
    if !newer.is_empty() {
        let newer = newer.join(", ");
        return Check::note(
            NAME,
            format!("newer than what was recorded, so a status may be missed: {newer}"),
        );
    }
    let known: Vec<_> = found
        .iter()
        .map(|(agent, version)| format!("{} {version}", agent.title))
        .collect();
    if known.is_empty() {
        Check::ok(NAME, "no agent's version is known")
    } else {
        Check::ok(
            NAME,
            format!("none is newer than what was recorded: {}", known.join(", ")),
        )
    }
}

/// By the nearest `package.json` above it.
fn of_package(program: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Package {
        version: String,
    }

    let mut above = program.ancestors().skip(1).take(LEVELS);
    let description = above.find_map(|directory| {
        let path: PathBuf = directory.join("package.json");
        let is_short =
            fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= MAX_DESCRIPTION);
        is_short.then(|| fs::read(&path).ok()).flatten()
    })?;
    let package: Package = serde_json::from_slice(&description).ok()?;
    is_version(&package.version).then_some(package.version)
}

/// By a part of its path that is a version, as where each has a directory or a file of its own.
fn of_path(program: &Path) -> Option<String> {
    let parts = program.iter().rev().filter_map(|part| part.to_str());
    let version = |part: &str| is_version(part).then(|| part.to_owned());
    parts.take(LEVELS).find_map(version)
}

/// Three numbers, and perhaps more behind them.
fn is_version(text: &str) -> bool {
    text.len() <= 64
        && numbers(text).count() == 3
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
}

/// The numbers before the first `-` or `+`; those of a text that is no version end early.
fn numbers(version: &str) -> impl Iterator<Item = u64> {
    let released = version.split(['-', '+']).next().unwrap_or_default();
    released.split('.').map_while(|part| part.parse().ok())
}

fn compare(one: &str, other: &str) -> Ordering {
    numbers(one).cmp(numbers(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_version_is_in_the_package_or_in_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("package/bin/agent");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        assert_eq!(of_package(&program), None);
        fs::write(
            directory.path().join("package/package.json"),
            r#"{"version":"1.20.3"}"#,
        )
        .unwrap();
        assert_eq!(of_package(&program).as_deref(), Some("1.20.3"));
        let of = |path: &str| of_path(Path::new(path));
        assert_eq!(
            of("/h/.local/share/agent/versions/2.1.400").as_deref(),
            Some("2.1.400")
        );
        assert_eq!(
            of("/opt/Caskroom/agent/0.171.0-beta.1/agent").as_deref(),
            Some("0.171.0-beta.1")
        );
        assert_eq!(of("/usr/bin/agent"), None);
    }

    #[test]
    fn only_a_newer_version_is_noted() {
        let agent = agents::DEFAULT;
        let level = |version: &str| evaluate(&[(agent, version.to_owned())]).level;
        assert_eq!(level("0.9.10"), Level::Ok);
        assert_eq!(level(agent.recorded_with), Level::Ok);
        assert_eq!(level("99.0.0-beta"), Level::Note);
        assert_eq!(evaluate(&[]).level, Level::Ok);
    }

    #[test]
    fn ten_is_more_than_nine() {
        assert_eq!(compare("1.10.0", "1.9.9"), Ordering::Greater);
        assert_eq!(compare("1.9.9", "1.9.9+build"), Ordering::Equal);
    }
}
