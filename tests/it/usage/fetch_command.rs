//! `usage --fetch`, run as a person may and as the daemon does: one line of JSON, and an exit status that says the same.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Fixture, SECRET, TOKEN, body, credentials, limits, refusal};
use crate::support::{Sleeper, program};
use crate::usage_server::Answer;
use crate::usage_server::trust::TestCa;

impl Fixture {
    fn fetching(&self) -> Command {
        self.command(&["usage", "--fetch"])
    }
}

/// Runs it to its end and gives what it said. Whatever that is, it is no secret.
#[track_caller]
fn fetch(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(complaint, "");
    assert!(!line.contains(SECRET), "{line}");
    assert_eq!((line.lines().count(), line.ends_with('\n')), (1, true));
    let said: Value = serde_json::from_str(&line).unwrap();
    let status = i32::from(said.get("limits").is_none());
    assert_eq!(output.status.code(), Some(status), "{line}");
    said
}

/// The failure that it came to: what went wrong, and how long the service wants to be left alone, in ms.
#[track_caller]
fn failure(command: &mut Command) -> (String, Option<u64>) {
    let said = fetch(command);
    let failed = &said["failed"];
    assert!(
        failed["message"]
            .as_str()
            .is_some_and(|text| text.len() > 20),
        "{said}"
    );
    let problem = failed["problem"].as_str().unwrap().to_owned();
    (
        problem,
        failed
            .get("retry_after_ms")
            .map(|wait| wait.as_u64().unwrap()),
    )
}

#[test]
fn every_window_is_printed() {
    let body = body();
    let (first, second) = body.split_at(100);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len(),
    );
    for answer in [limits(), Answer::Bytes(chunked.into_bytes())] {
        let fixture = Fixture::with(TestCa::Trusted, answer);
        let expected = json!({"limits": [
            {"name": "five_hour", "title": "5 h limit", "length_ms": 18_000_000, "used_percent": 42.0, "resets_at": 4_099_312_800_123_u64},
            {"name": "seven_day", "title": "7 d limit", "length_ms": 604_800_000, "used_percent": 35.5, "resets_at": 4_099_672_800_000_u64},
            {"name": "seven_day_opus", "title": "7 d limit for opus", "length_ms": 604_800_000, "used_percent": 0.0},
            {"name": "seven_day_sonnet", "title": "7 d limit for sonnet", "length_ms": 604_800_000, "used_percent": 7.0, "resets_at": 4_099_680_000_000_u64},
        ]});
        assert_eq!(fetch(&mut fixture.fetching()), expected);
        assert_eq!(fixture.times_asked(), 1);
    }
}

#[test]
fn every_other_answer_has_its_own_problem() {
    let html = "<!DOCTYPE html><title>Just a moment...</title>";
    let limited = |headers| refusal("429 Too Many Requests", headers);
    let fixture = Fixture::new();
    for (answer, problem, wait) in [
        (refusal("401 Unauthorized", ""), "credentials_refused", None),
        (refusal("403 Forbidden", ""), "scope_missing", None),
        (limited(""), "rate_limited", None),
        (limited("Retry-After: 90\r\n"), "rate_limited", Some(90_000)),
        (limited("retry-after: 0\r\n"), "rate_limited", Some(0)),
        (limited("Retry-After: soon\r\n"), "rate_limited", None),
        (
            limited("Retry-After: Wed, 25 Nov 2020 18:00:00 GMT\r\n"),
            "rate_limited",
            Some(0),
        ),
        (
            refusal("500 Internal Server Error", ""),
            "server_error",
            None,
        ),
        (
            refusal("529 Overloaded", "Retry-After: 90\r\n"),
            "server_error",
            None,
        ),
        (refusal("404 Not Found", ""), "unexpected_answer", None),
        (refusal("200 OK", ""), "unexpected_answer", None),
        (Answer::http("200 OK", "", html), "unexpected_answer", None),
        (Answer::http("200 OK", "", ""), "unexpected_answer", None),
        (
            Answer::http("204 No Content", "", ""),
            "unexpected_answer",
            None,
        ),
        (
            Answer::http("200 OK", "", &body()[..50]),
            "unexpected_answer",
            None,
        ),
    ] {
        fixture.service.answer(answer.clone());
        let failure = failure(&mut fixture.fetching());
        assert_eq!(failure, (problem.to_owned(), wait), "{answer:?}");
    }
    assert_eq!(fixture.times_asked(), 15);
}

#[test]
fn a_retry_after_date_becomes_a_wait() {
    const AT: u64 = 4_102_444_800_000;
    let date = "Retry-After: Fri, 01 Jan 2100 00:00:00 GMT\r\n";
    let fixture = Fixture::with(TestCa::Trusted, refusal("429 Too Many Requests", date));
    let before = agent_console::os::clock::unix_ms();
    let (problem, wait) = failure(&mut fixture.fetching());
    let after = agent_console::os::clock::unix_ms();
    assert_eq!(problem, "rate_limited");
    let wait = wait.unwrap();
    assert!((AT - after..=AT - before).contains(&wait), "{wait}");
}

#[test]
fn an_unreachable_or_untrusted_service_receives_no_token() {
    for ca in [TestCa::UntrustedIssuer, TestCa::WrongHost, TestCa::Expired] {
        let fixture = Fixture::with(ca, limits());
        assert_eq!(failure(&mut fixture.fetching()).0, "network", "{ca:?}");
        assert_eq!(
            (fixture.service.connections(), fixture.times_asked()),
            (1, 0)
        );
    }
    // The program as it is trusts no stand-in.
    let fixture = Fixture::new();
    let mut untouched = fixture.command_of(program(), &["usage", "--fetch"]);
    assert_eq!(failure(&mut untouched).0, "network");
    assert_eq!(
        (fixture.service.connections(), fixture.times_asked()),
        (1, 0)
    );

    for said in [
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        "what?\r\n\r\n",
        "",
    ] {
        fixture.service.answer(Answer::NoTunnel(said));
        assert_eq!(failure(&mut fixture.fetching()).0, "network", "{said:?}");
    }
    assert_eq!(
        (fixture.service.connections(), fixture.times_asked()),
        (5, 0)
    );

    let (_taken, proxy) = refusing_proxy();
    let mut alone = fixture.fetching();
    assert_eq!(failure(alone.env("HTTPS_PROXY", proxy)).0, "network");
    assert_eq!(fixture.service.connections(), 5);
}

#[test]
fn a_truncated_answer_is_a_failure() {
    let Answer::Bytes(whole) = limits() else {
        unreachable!()
    };
    let fixture = Fixture::new();
    for length in [0, 10, whole.len() - 1] {
        fixture
            .service
            .answer(Answer::Bytes(whole[..length].to_vec()));
        assert_eq!(failure(&mut fixture.fetching()).0, "network", "{length}");
    }
    assert_eq!(fixture.times_asked(), 3);
}

#[test]
fn without_credentials_no_request_is_sent() {
    let expired =
        json!({"claudeAiOauth": {"accessToken": TOKEN, "expiresAt": 1_700_000_000_000_u64}});
    let tokenless = json!({"claudeAiOauth": {"expiresAt": 9_999_999_999_999_u64}});
    let another = json!({"apiKey": TOKEN});
    let fixture = Fixture::new();
    // Where the crate looks by itself, and where it does not know to look.
    for variable in [None, Some("CLAUDE_CONFIG_DIR")] {
        let directory = variable.map_or(".claude", |_| "elsewhere");
        let path = fixture.place.path().join("home").join(directory);
        let fetching = || {
            let mut command = fixture.fetching();
            command.envs(variable.map(|name| (name, &path)));
            command
        };
        let file = path.join(".credentials.json");
        for (text, problem) in [
            (expired.to_string(), "credentials_expired"),
            (tokenless.to_string(), "credentials_unreadable"),
            (another.to_string(), "credentials_unreadable"),
            (credentials(TOKEN)[1..].to_owned(), "credentials_unreadable"),
            (
                credentials(TOKEN).replace('}', ""),
                "credentials_unreadable",
            ),
            (String::new(), "credentials_unreadable"),
            (
                format!("{{\"claudeAiOauth\": \"{TOKEN}\"}}"),
                "credentials_unreadable",
            ),
            (credentials(""), "credentials_unreadable"),
            (
                credentials(&format!("{TOKEN} {TOKEN}")),
                "credentials_unreadable",
            ),
            (
                credentials(TOKEN).replace("9999999999999", "-5"),
                "credentials_expired",
            ),
        ] {
            fixture.has_credentials(directory, &text);
            assert_eq!(
                failure(&mut fetching()),
                (problem.to_owned(), None),
                "{text}"
            );
        }
        fs::write(&file, b"\xff\xfe{").unwrap();
        assert_eq!(failure(&mut fetching()).0, "credentials_unreadable");
        fs::remove_file(&file).unwrap();
        assert_eq!(failure(&mut fetching()).0, "no_credentials");
        fs::create_dir(&file).unwrap();
        assert_eq!(failure(&mut fetching()).0, "credentials_unreadable");
        fs::remove_dir(&file).unwrap();
        fs::remove_dir(&path).unwrap();
        assert_eq!(failure(&mut fetching()).0, "no_credentials");
    }
    let mut homeless = fixture.fetching();
    assert_eq!(failure(homeless.env_remove("HOME")).0, "no_credentials");
    assert_eq!(fixture.service.connections(), 0);
}

#[test]
fn credentials_that_may_not_be_read_are_named() {
    const OTHER: u32 = 4711;
    let fixture = Fixture::new();
    fs::set_permissions(fixture.place.path(), Permissions::from_mode(0o755)).unwrap();
    let directory = fixture.place.path().join("home/.claude");
    let file = directory.join(".credentials.json");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    for named in [false, true] {
        let mut fetching = fixture.fetching();
        fetching.envs(named.then_some(("CLAUDE_CONFIG_DIR", &directory)));
        let said = fetch(fetching.uid(OTHER).gid(OTHER));
        assert_eq!(
            said["failed"]["problem"], "credentials_unreadable",
            "{said}"
        );
        let message = said["failed"]["message"].as_str().unwrap();
        assert!(message.contains(file.to_str().unwrap()), "{message}");
    }
    assert_eq!(fixture.service.connections(), 0);
}

#[test]
fn the_token_comes_from_the_first_source_that_has_one() {
    let fixture = Fixture::new();
    let token = |name: &str| format!("{SECRET}-oat01-test-{name}");
    fixture.has_credentials("elsewhere", &credentials(&token("elsewhere")));
    let elsewhere = fixture.place.path().join("home/elsewhere");
    let asks_with = |variables: &[(&str, &str)], expected: &str| {
        let before = fixture.service.tokens().len();
        let mut fetching = fixture.fetching();
        let said = fetch(fetching.envs(variables.iter().copied()));
        assert!(said["limits"].is_array(), "{said}");
        assert_eq!(
            fixture.service.tokens()[before..],
            [expected],
            "{variables:?}"
        );
    };
    let directory = ("CLAUDE_CONFIG_DIR", elsewhere.to_str().unwrap());
    let given = token("given");
    asks_with(&[], TOKEN);
    asks_with(&[("CLAUDE_CONFIG_DIR", "")], TOKEN);
    asks_with(&[directory], &token("elsewhere"));
    asks_with(
        &[directory, ("CLAUDE_CODE_OAUTH_TOKEN", "")],
        &token("elsewhere"),
    );
    asks_with(&[("CLAUDE_CODE_OAUTH_TOKEN", &given)], &given);
    let with_line_end = format!("{given}\n");
    asks_with(&[("CLAUDE_CODE_OAUTH_TOKEN", &with_line_end)], &given);
    asks_with(&[directory, ("CLAUDE_CODE_OAUTH_TOKEN", &given)], &given);
    // One that the crate cannot read is none, and what is no time says nothing.
    for time in ["\"soon\"", "1.8e12", "null"] {
        let timeless = credentials(&token("elsewhere")).replace("9999999999999", time);
        fixture.has_credentials("elsewhere", &timeless);
        let mut fetching = fixture.fetching();
        fetching
            .env(directory.0, directory.1)
            .env("CLAUDE_CODE_OAUTH_TOKEN", OsStr::from_bytes(b"\xff"));
        assert!(fetch(&mut fetching)["limits"].is_array());
        assert_eq!(
            fixture.service.tokens().last(),
            Some(&token("elsewhere")),
            "{time}"
        );
    }
}

#[test]
fn the_token_is_in_no_argument() {
    let fixture = Fixture::with(TestCa::Trusted, Answer::HeldBack);
    let fetching = fixture.fetching().stdout(Stdio::piped()).spawn();
    let mut fetching = Sleeper(fetching.unwrap());
    fixture.service.wait_until_asked(1);
    let arguments = fs::read(format!("/proc/{}/cmdline", fetching.pid())).unwrap();
    let program = fixture.program.path();
    let expected = format!("{}\0usage\0--fetch\0", program.display());
    assert_eq!(String::from_utf8(arguments).unwrap(), expected);
    fixture.service.answer(limits());
    let said = fetching.output();
    assert!(said.status.success(), "{said:?}");
    assert_eq!(fixture.times_asked(), 1);
}

/// The address of a proxy that refuses connections, and the socket that reserves its port.
pub(super) fn refusing_proxy() -> (OwnedFd, String) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
    let taken = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    // No other test's child may have it.
    rustix::io::fcntl_setfd(&taken, rustix::io::FdFlags::CLOEXEC).unwrap();
    bind(&taken, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    // Bound and not listening: the port is reserved, and refuses connections.
    let address = SocketAddr::try_from(getsockname(&taken).unwrap()).unwrap();
    (taken, format!("http://{address}"))
}
