//! Fetches the usage of an account's limits from its service, once: `agent-console usage --fetch`.
//!
//! The only module with HTTP, TLS and credentials, all three from the `claude-usage` crate. The daemon runs it in a
//! short-lived child process, kills it after a time limit, and reads one line, [`FetchOutcome`], from its standard
//! output. So HTTP, TLS and credentials are never in the resident process. Called by `commands::usage`, through the
//! table of agents.
//!
//! A token leaves this process only in the request itself: it is in no argument, no message, no log.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use claude_usage::{ApiError, CredentialError, UsagePeriod, fetch_usage_raw, get_token};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::LimitWindow;
use super::{CONFIG_DIR, WINDOWS};
use crate::limits::{FetchFailure, FetchOutcome, FetchProblem, Limit};
use crate::os::clock;
use crate::os::environment::variable;
use crate::os::small_file;
use crate::protocol::{TEXT_LIMIT, one_line};

/// The variable that the crate reads before any file of credentials.
const TOKEN_VARIABLE: &str = claude_usage::credentials::ENV_VAR_TOKEN;

/// The most windows that are kept; the service was observed to have five.
const MAX_WINDOWS: usize = 16;

/// The largest file with credentials that is read, in bytes: it has a few hundred.
const MAX_CREDENTIALS: u64 = 1024 * 1024;

/// Fetches the limits of the account of `directory`, or returns why that failed. Without a directory, the environment's
/// account counts.
#[must_use]
pub(super) fn fetch(directory: Option<&Path>) -> FetchOutcome {
    harden_process();
    let limits = token(directory).and_then(|token| {
        let answer = fetch_usage_raw(&token).map_err(|error| api_failure(&error))?;
        limits(&answer).ok_or_else(|| {
            FetchFailure::new(
                FetchProblem::UnexpectedAnswer,
                "the service's answer has an unknown format; update agent-console",
            )
        })
    });
    limits.map_or_else(FetchOutcome::Failed, FetchOutcome::Limits)
}

/// Keeps the token out of core files, and the user's other processes from reading this process's memory. A setting that
/// fails is skipped.
fn harden_process() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    // A program that receives core dumps through a pipe may ignore the limit (core(5)).
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Claude Code's own token. The crate knows only the default directory; if `$CLAUDE_CONFIG_DIR` is set, the file is
/// read from there, because the default directory may belong to another account. For a given directory, only the file
/// there counts: the environment's token and the keychain's may be of another account.
fn token(given_directory: Option<&Path>) -> Result<String, FetchFailure> {
    let directory = CONFIG_DIR.variable;
    // The crate treats a variable that is not UTF-8 as unset.
    let given = variable(TOKEN_VARIABLE).is_some_and(|token| token.to_str().is_some());
    // On macOS the credentials are in the keychain, under one name.
    let elsewhere = variable(directory).filter(|_| cfg!(target_os = "linux") && !given);
    let elsewhere = given_directory.map(Into::into).or(elsewhere);
    let token = match elsewhere.map(PathBuf::from) {
        Some(directory) if directory.is_absolute() => {
            token_in(&directory.join(".credentials.json"))
        }
        // It would be looked for in whatever directory this process has.
        Some(_) => Err(CredentialError::NotFound),
        None if variable("HOME").is_none() && !given => Err(CredentialError::NotFound),
        None => get_token(),
    };
    let token = token.map_err(|error| credential_failure(&error))?;
    // The crate would report a token that no header can carry as a network failure.
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(credential_failure(&CredentialError::MissingField(
            "accessToken",
        )));
    }
    Ok(token.to_owned())
}

/// The members used of Claude Code's credentials file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    claude_ai_oauth: OAuth,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OAuth {
    access_token: String,
    /// In ms since the epoch; a value of another type is ignored, as in the crate.
    #[serde(default)]
    expires_at: Value,
}

fn token_in(file: &Path) -> Result<String, CredentialError> {
    let text = small_file::read(file, MAX_CREDENTIALS).map_err(|error| match error.kind() {
        ErrorKind::NotFound => CredentialError::NotFound,
        ErrorKind::PermissionDenied => CredentialError::Permission(file.display().to_string()),
        _ => CredentialError::Io(error.to_string()),
    })?;
    let read: Credentials = serde_json::from_slice(&text)
        .map_err(|_| CredentialError::Parse(file.display().to_string()))?;
    let oauth = read.claude_ai_oauth;
    let now = i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX);
    if oauth.expires_at.as_i64().is_some_and(|at| at < now) {
        return Err(CredentialError::Expired);
    }
    Ok(oauth.access_token)
}

/// The failure for credentials that cannot be used. The crate's own messages are not passed on: they might contain what
/// was read.
fn credential_failure(error: &CredentialError) -> FetchFailure {
    let unreadable = "Claude Code's credentials cannot be read";
    let (problem, message) = match error {
        CredentialError::NotFound | CredentialError::NoHomeDir => (
            FetchProblem::NoCredentials,
            "Claude Code has no credentials here: run `claude` and log in".to_owned(),
        ),
        CredentialError::Expired => (
            FetchProblem::CredentialsExpired,
            "Claude Code's credentials have expired: run `claude`, which renews them".to_owned(),
        ),
        CredentialError::Parse(_) | CredentialError::MissingField(_) => (
            FetchProblem::CredentialsUnreadable,
            format!("{unreadable}: their format is unknown; run `claude` and log in again"),
        ),
        CredentialError::Permission(file) => (
            FetchProblem::CredentialsUnreadable,
            format!("{unreadable}: no permission to read {file}"),
        ),
        CredentialError::Io(why) => (
            FetchProblem::CredentialsUnreadable,
            format!("{unreadable}: {why}"),
        ),
    };
    FetchFailure::new(problem, one_line(&message, 2 * TEXT_LIMIT))
}

/// The failure for a request that returned no limits.
fn api_failure(error: &ApiError) -> FetchFailure {
    let (problem, message) = match error {
        ApiError::Network(_) => (
            FetchProblem::Network,
            "the service cannot be reached: check the network, and the proxy if you need one; a proxy that decrypts TLS is refused"
                .to_owned(),
        ),
        ApiError::Unauthorized => (
            FetchProblem::CredentialsRefused,
            "the service refused Claude Code's credentials: run `claude` and log in again"
                .to_owned(),
        ),
        ApiError::Unexpected(403) => (
            FetchProblem::ScopeMissing,
            "the token lacks the scope user:profile: log in with `claude`; a token from `claude setup-token` is not enough"
                .to_owned(),
        ),
        ApiError::RateLimited { .. } => (
            FetchProblem::RateLimited,
            "the service received too many requests; the next one is sent later".to_owned(),
        ),
        ApiError::Server(status) => (
            FetchProblem::ServerError,
            format!("the service reported an internal error (status {status})"),
        ),
        ApiError::Unexpected(status) => (
            FetchProblem::UnexpectedAnswer,
            format!("the service sent an unexpected answer (status {status})"),
        ),
    };
    let mut failure = FetchFailure::new(problem, message);
    if let ApiError::RateLimited {
        retry_after: Some(header),
    } = error
    {
        failure.retry_after_ms = parse_retry_after(header, clock::unix_ms());
    }
    failure
}

/// A `Retry-After` header (RFC 9110, 10.2.3), seconds or a date, in ms from `now`; `None` for anything else.
fn parse_retry_after(header: &str, now: u64) -> Option<u64> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let date = DateTime::parse_from_rfc2822(header).ok()?;
    let date = u64::try_from(date.timestamp_millis()).unwrap_or(0);
    Some(date.saturating_sub(now))
}

/// The windows in the service's answer: each member that has a `utilization` and a `resets_at`, for any model.
/// `None` if the answer is not of this form.
fn limits(answer: &str) -> Option<Vec<Limit>> {
    let answer: Map<String, Value> = serde_json::from_str(answer).ok()?;
    let is_known = |name: &str| answer.contains_key(name);
    if !is_known("five_hour") && !is_known("seven_day") {
        return None;
    }
    let windows = answer.into_iter().filter_map(|(name, value)| {
        value.get("resets_at")?;
        limit(&name, &serde_json::from_value(value).ok()?)
    });
    Some(windows.take(MAX_WINDOWS).collect())
}

fn limit(name: &str, window: &UsagePeriod) -> Option<Limit> {
    let resets_at = window.resets_at.map(|at| at.timestamp_millis());
    let resets_at = resets_at.and_then(|at| u64::try_from(at).ok());
    LimitWindow::limit(WINDOWS, name, window.utilization, resets_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_is_taken_and_nothing_else() {
        let answer = r#"{
            "five_hour": {"utilization": 6.5, "resets_at": "2026-11-25T18:00:00.123456+00:00"},
            "seven_day": {"utilization": 35, "resets_at": "2026-11-30T01:00:00+02:00"},
            "seven_day_opus": {"utilization": 0.0, "resets_at": null},
            "seven_day_sonnet": null,
            "seven_day_oauth_apps": {"utilization": -3, "resets_at": null},
            "extra_usage": {"is_enabled": true, "utilization": 12.0, "monthly_limit": 5000},
            "iguana": {"utilization": "much", "resets_at": null},
            "plan": "max"
        }"#;
        let limits_in = limits(answer).unwrap();
        let figures = limits_in
            .iter()
            .map(|limit| (&*limit.name, limit.used_percent, limit.resets_at));
        assert_eq!(
            figures.collect::<Vec<_>>(),
            [
                ("five_hour", 6.5, Some(1_795_629_600_123)),
                ("seven_day", 35.0, Some(1_795_993_200_000)),
                ("seven_day_opus", 0.0, None),
            ]
        );
        let of_model = &limits_in[2];
        assert_eq!(&*of_model.title, "7 d limit for opus");
        assert_eq!(of_model.length_ms, Some(604_800_000));
        assert_eq!(
            limits(r#"{"five_hour":null,"seven_day":null}"#),
            Some(vec![])
        );
        for nonsense in ["", "[]", "{}", "<html>", r#"{"error":{"type":"x"}}"#] {
            assert_eq!(limits(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = 1_795_629_600_000;
        assert_eq!(parse_retry_after("120", now), Some(120_000));
        assert_eq!(parse_retry_after(" 0 ", now), Some(0));
        assert_eq!(
            parse_retry_after("Wed, 25 Nov 2026 18:01:00 GMT", now),
            Some(60_000)
        );
        assert_eq!(
            parse_retry_after("Wed, 25 Nov 2020 18:01:00 GMT", now),
            Some(0)
        );
        assert_eq!(parse_retry_after("99999999999999999999", now), None);
        assert_eq!(parse_retry_after("soon", now), None);
        assert_eq!(
            parse_retry_after(&u64::MAX.to_string(), now),
            Some(u64::MAX)
        );
    }

    #[test]
    fn each_error_of_the_crate_has_its_own_problem() {
        let problem = |error| api_failure(&error).problem;
        let table = [
            (ApiError::Network("x".into()), FetchProblem::Network),
            (ApiError::Unauthorized, FetchProblem::CredentialsRefused),
            (ApiError::Unexpected(403), FetchProblem::ScopeMissing),
            (ApiError::Unexpected(418), FetchProblem::UnexpectedAnswer),
            (ApiError::Server(529), FetchProblem::ServerError),
        ];
        for (error, expected) in table {
            assert_eq!(problem(error), expected);
        }
        let limited = ApiError::RateLimited {
            retry_after: Some("7".into()),
        };
        let failure = api_failure(&limited);
        assert_eq!(failure.problem, FetchProblem::RateLimited);
        assert_eq!(failure.retry_after_ms, Some(7000));
    }

    #[test]
    fn no_message_holds_what_the_crate_has_read() {
        let parse = CredentialError::Parse("sk-ant-oat01-secret".into());
        let network = ApiError::Network("Bearer sk-ant-oat01-secret".into());
        assert!(!credential_failure(&parse).message.contains("secret"));
        assert!(!api_failure(&network).message.contains("secret"));
    }
}
