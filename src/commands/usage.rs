//! `usage`: the limits of each account: a line with a gauge for each window, or a JSON object. `usage --fetch` fetches them from
//! the account's service in this process; the daemon runs it as a child.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::agents;
use crate::client::Client;
use crate::format;
use crate::limits::FetchOutcome;
use crate::os::clock;
use crate::protocol::FETCH_LIMIT_MS;
use crate::protocol::{Usage, UsageResult, UsageSource, UsageState, UsageWindow};

/// The options of `usage`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Fetch the limits from the account's service first, unless they are less than ten seconds old
    #[arg(long)]
    refresh: bool,
    /// Fetch the limits in this process and print a JSON line; the daemon runs this
    #[arg(long, conflicts_with_all = ["json", "refresh"])]
    pub(super) fetch: bool,
    /// With --fetch: the configuration directory whose account is asked about
    #[arg(long, value_name = "DIR", requires = "fetch", hide = true)]
    pub(super) config_dir: Option<PathBuf>,
}

/// Shown below `usage --help`.
pub(super) const EXAMPLES: &str =
    "While a dashboard is open, the daemon fetches the limits from the account's service every 3 minutes. docs/usage.md
shows what it sends, and how to switch it off.

Examples:
  agent-console usage              show the last known limits
  agent-console usage --refresh    fetch the limits, and show them
  agent-console usage --json | jq '.usage.windows[] | select(.used_percent > 90)'";

/// The time limit of `--refresh`: the service, which the daemon asks about one account after the other, and what any
/// other response may take. One that hangs is asked once.
const REFRESH_TIMEOUT: Duration = Duration::from_millis(3 * FETCH_LIMIT_MS + 10_000);

/// The width of a gauge in characters.
const GAUGE: usize = 20;

pub(super) fn run(
    options: &Options,
    client: &mut Client,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let none = serde_json::Map::new();
    let result: UsageResult<'static> = if options.refresh {
        client.call_with_timeout("usage.refresh", &none, REFRESH_TIMEOUT)?
    } else {
        client.call("usage.get", &none)?
    };
    if options.json {
        format::json(out, &result)?;
    } else {
        write!(out, "{}", page(result.usage.as_ref(), clock::unix_ms()))?;
    }
    Ok(())
}

/// Fetches the limits and prints the result; exit status 1 if the fetch failed.
pub(super) fn fetch(directory: Option<&Path>, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let fetch = agents::extras(agents::DEFAULT).and_then(|extras| extras.fetch_limits);
    let outcome = fetch.context("the agent has no account limits")?(directory);
    format::json(out, &outcome)?;
    Ok(match outcome {
        FetchOutcome::Limits(_) => ExitCode::SUCCESS,
        FetchOutcome::Failed(_) => ExitCode::FAILURE,
    })
}

fn page(usage: Option<&Usage<'_>>, now: u64) -> String {
    let Some(usage) = usage else {
        return "nothing is known yet: `agent-console usage --refresh` asks the account's service, if the configuration lets it\n"
            .into();
    };
    let accounts = format::accounts(usage).into_iter();
    let sections = accounts.map(|(name, usage)| match name {
        Some(name) => format!("{name}\n{}", section(usage, now)),
        None => section(usage, now),
    });
    sections.collect::<Vec<_>>().join("\n")
}

/// What is known of one account.
fn section(usage: &Usage<'_>, now: u64) -> String {
    let windows = usage.windows.iter();
    let rows: Vec<_> = windows.map(|window| row(window, now)).collect();
    let mut page = format::table(&rows) + &state(usage, now) + "\n";
    if let Some(message) = &usage.message {
        page = page + "the service: " + &format::sanitize(message) + "\n";
    }
    if let Some(at) = usage.retry_at.filter(|at| *at > now) {
        page = page + "it is asked again in " + &format::remaining(at - now) + "\n";
    }
    page
}

/// The state of the limits, their age, and their source.
fn state(usage: &Usage<'_>, now: u64) -> String {
    let mut text = usage.state.as_str().replace('_', " ");
    if let Some(at) = usage.fetched_at {
        let known = match usage.state {
            UsageState::Ok | UsageState::Stale => "",
            _ => "last known ",
        };
        text = format!("{text}, {known}{} ago", format::ago(at, now));
    }
    match usage.source {
        Some(UsageSource::StatusLine) => text + " from a status line",
        Some(UsageSource::SessionFile) => text + " from a session's file",
        Some(UsageSource::Service) => text + " from the service",
        Some(UsageSource::Unknown) | None => text,
    }
}

/// A window: its name, a gauge with a mark at the elapsed time, the figure, when it resets, and whether the limit is used
/// faster than time passes.
fn row(window: &UsageWindow<'_>, now: u64) -> Vec<String> {
    let name = format::window_name(&window.name);
    let elapsed = window.elapsed_percent(now);
    let mut rest = Vec::new();
    match window.resets_at {
        Some(at) if at > now => rest.push(format!("resets in {}", format::remaining(at - now))),
        Some(_) => rest.push("has been reset".into()),
        None => {}
    }
    let ahead = elapsed.map(|elapsed| window.used_percent - elapsed);
    rest.extend(
        ahead
            .filter(|ahead| *ahead >= 1.0)
            .map(|ahead| format!("{ahead:.0} % ahead of time")),
    );
    vec![
        name,
        format::gauge(window.used_percent, elapsed, GAUGE),
        format!("{:.0} %", window.used_percent),
        rest.join(", "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::AccountUsage;

    const HOUR: u64 = 3_600_000;
    const NOW: u64 = 1_790_000_000_000;

    fn usage() -> Usage<'static> {
        let window = |name: &'static str, used_percent, length, left| UsageWindow {
            name: name.into(),
            agent: None,
            account: None,
            used_percent,
            resets_at: Some(NOW + left),
            length_ms: Some(length),
            pace: None,
            source: None,
            fetched_at: None,
        };
        Usage {
            state: UsageState::Ok,
            windows: vec![
                window("five_hour", 42.0, 5 * HOUR, 2 * HOUR + 600_000),
                window("seven_day", 80.4, 168 * HOUR, 84 * HOUR),
            ],
            source: Some(UsageSource::Service),
            fetched_at: Some(NOW - 60_000),
            code: None,
            message: None,
            retry_at: None,
            accounts: Vec::new(),
        }
    }

    #[test]
    fn there_is_a_line_for_each_window_and_one_for_the_state() {
        let page = page(Some(&usage()), NOW);
        let lines: Vec<_> = page.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "5h  ########...|........  42 %  resets in 2h 10m",
                "7d  ##########|#####....  80 %  resets in 3d 12h, 30 % ahead of time",
                "ok, 1m ago from the service",
            ]
        );
    }

    #[test]
    fn the_source_of_the_newest_figure_is_named() {
        let last = |source| {
            let usage = Usage {
                source: Some(source),
                ..usage()
            };
            page(Some(&usage), NOW).lines().last().unwrap().to_owned()
        };
        let file = last(UsageSource::SessionFile);
        assert_eq!(file, "ok, 1m ago from a session's file");
        assert_eq!(last(UsageSource::Unknown), "ok, 1m ago");
    }

    #[test]
    fn several_accounts_are_named_and_one_is_not() {
        let account = |name: &'static str, usage| AccountUsage {
            account: name.into(),
            agent: "claude-code".into(),
            usage,
        };
        let mut one = usage();
        one.accounts = vec![account("default", usage())];
        assert_eq!(page(Some(&one), NOW), page(Some(&usage()), NOW));
        let mut work = usage();
        work.windows.truncate(1);
        work.windows[0].used_percent = 91.0;
        one.accounts.push(account("work\u{1b}[31m", work));
        let page = page(Some(&one), NOW);
        let lines: Vec<_> = page.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "default",
                "5h  ########...|........  42 %  resets in 2h 10m",
                "7d  ##########|#####....  80 %  resets in 3d 12h, 30 % ahead of time",
                "ok, 1m ago from the service",
                "",
                "work__31m",
                "5h  ###########|######..  91 %  resets in 2h 10m, 34 % ahead of time",
                "ok, 1m ago from the service",
            ]
        );
    }

    #[test]
    fn a_failure_says_what_to_do_and_hides_nothing() {
        let mut usage = usage();
        usage.state = UsageState::RateLimited;
        usage.message = Some("too \u{1b}[31mmuch".into());
        usage.retry_at = Some(NOW + 90_000);
        let page = page(Some(&usage), NOW);
        assert!(page.contains("5h ") && page.contains("42 %"), "{page}");
        assert!(page.contains("rate limited, last known 1m ago"), "{page}");
        assert!(page.contains("it is asked again in 1m 30s"), "{page}");
        assert!(!page.contains('\u{1b}'), "{page}");
    }
}
