//! Claude Code's registry, `<configuration directory>/sessions/<pid>.json`: one entry for each running process ->
//! [`RegistryEntry`].
//!
//! The documentation says only "one small file per running session"; the format is as observed with 2.1.330. So only
//! the process and a time are required, and unknown values are accepted. Pure; the daemon reads the files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use chrono::NaiveDateTime;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::super::allow_list::allow_list;
use super::super::tolerant::{Number, Text, Time, object};
use super::super::{Registered, StartClaim};
use crate::event::{RegistryEntry, RegistryStatus, ReportedProcess};
use crate::protocol::{NAME_LIMIT, TEXT_LIMIT, WaitingFor};

/// A text, cut to Linux's `PATH_MAX` in bytes.
type LongText = Text<4096>;

allow_list! {
    Entry {
        pid: Number,
        session_id as "sessionId": LongText,
        cwd: LongText,
        started_at as "startedAt": Time,
        proc_start as "procStart": StartTime,
        pid_domain as "pidDomain": LongText,
        entrypoint: LongText,
        name: LongText,
        name_source as "nameSource": LongText,
        status: LongText,
        waiting_for as "waitingFor": LongText,
        status_updated_at as "statusUpdatedAt": Time,
        updated_at as "updatedAt": Time,
    }
}

/// The process id in the name of an entry's file; `None` for any other name.
pub(super) fn pid(file_name: &OsStr) -> Option<u32> {
    let digits = file_name.as_bytes().strip_suffix(b".json")?;
    // One name for each process: no sign, no leading zero.
    if !digits.iter().all(u8::is_ascii_digit) || digits.first() == Some(&b'0') {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// The name of the file of this process; beside it lies a secret key, under another.
pub(super) fn file_name(pid: u32) -> String {
    format!("{pid}.json")
}

/// Reads the entry of the process `file_pid`, which the file's name has. `namespace` is the pid namespace of an entry that
/// names none. `None` if `contents` is not an object, names another process or has no time.
#[must_use]
pub(super) fn read_entry(
    contents: &[u8],
    file_pid: u32,
    namespace: Option<u64>,
) -> Option<Registered> {
    let entry: Entry = object(contents).ok()?;
    if entry
        .pid
        .as_u64()
        .is_some_and(|pid| pid != u64::from(file_pid))
    {
        return None;
    }
    let status_at = entry.status_updated_at.as_ms();
    let updated_at = entry.updated_at.as_ms().or(status_at);
    let updated_at = updated_at.or(entry.started_at.as_ms())?;
    let start = entry.proc_start.claim();
    let domain = entry.pid_domain.get();
    Some(Registered {
        process: ReportedProcess {
            pid: file_pid,
            start: match start {
                StartClaim::Kernel(start) => Some(start),
                StartClaim::Absent | StartClaim::Second(_) | StartClaim::Unreadable => None,
            },
            namespace: domain.map_or(namespace, |domain| pid_namespace(domain, namespace)),
        },
        start,
        machine: domain.and_then(machine),
        entry: RegistryEntry {
            session_id: entry.session_id.one_line(NAME_LIMIT),
            cwd: entry.cwd.get().map(Into::into),
            title: (entry.name_source.get() == Some("user"))
                .then(|| entry.name.one_line(TEXT_LIMIT))
                .flatten(),
            attended: match entry.entrypoint.get() {
                Some("cli") => Some(true),
                Some("sdk-cli") => Some(false),
                Some(_) | None => None,
            },
            started_at: entry.started_at.as_ms(),
            updated_at,
            status: entry
                .status
                .get()
                .map(|status| read_status(status, entry.waiting_for.get())),
            status_at: status_at.unwrap_or(updated_at),
        },
    })
}

fn read_status(status: &str, waiting_for: Option<&str>) -> RegistryStatus {
    match status {
        "busy" => RegistryStatus::Busy,
        "idle" => RegistryStatus::Idle,
        "shell" => RegistryStatus::Shell,
        "waiting" => RegistryStatus::Waiting(match waiting_for {
            Some("permission prompt" | "sandbox request" | "worker request") => {
                WaitingFor::Permission
            }
            Some("input needed") => WaitingFor::Answer,
            Some(_) | None => WaitingFor::Dialog,
        }),
        _ => RegistryStatus::Unknown,
    }
}

/// `procStart`: on Linux, field 22 of `/proc/<pid>/stat`; on macOS what `LC_ALL=C TZ=UTC ps -o lstart=` prints (both by
/// the code of 2.1.332).
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct StartTime {
    is_there: bool,
    number: Number,
    text: Text<64>,
}

impl StartTime {
    fn claim(&self) -> StartClaim {
        if !self.is_there {
            return StartClaim::Absent;
        }
        let number = self.number.as_u64().map(StartClaim::Kernel);
        let second = || Some(StartClaim::Second(lstart(self.text.get()?)?));
        number.or_else(second).unwrap_or(StartClaim::Unreadable)
    }
}

impl<'de> Deserialize<'de> for StartTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        Ok(Self {
            is_there: !matches!(raw, "null" | "\"\""),
            number: serde_json::from_str(raw).unwrap_or_default(),
            text: serde_json::from_str(raw).unwrap_or_default(),
        })
    }
}

/// `Fri Nov 27 14:10:22 2026` in UTC, in seconds since the epoch.
fn lstart(text: &str) -> Option<u64> {
    let time = NaiveDateTime::parse_from_str(text.trim(), "%a %b %e %H:%M:%S %Y").ok()?;
    time.and_utc().timestamp().try_into().ok()
}

/// The inode in `linux:<machine id>:pid:[<inode>]`, or `own` where the agent could not read it and the domain ends before
/// it. 0, which no namespace has, for another form of that; `None`, as where there are no namespaces, for another system.
fn pid_namespace(domain: &str, own: Option<u64>) -> Option<u64> {
    let rest = domain.strip_prefix("linux:")?;
    if rest.ends_with(':') && !rest.contains("pid:") {
        return own;
    }
    let inode = rest
        .rsplit_once("pid:[")
        .and_then(|(_, rest)| rest.strip_suffix(']'))
        .and_then(|inode| inode.parse().ok());
    Some(inode.unwrap_or(0))
}

/// The machine id in `linux:<machine id>:pid:[<inode>]`; `None` where the agent could not read it.
fn machine(domain: &str) -> Option<Box<str>> {
    let machine = domain.strip_prefix("linux:")?.split(':').next()?;
    (!machine.is_empty()).then(|| machine.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_name_of_an_entrys_file_is_its_process_id() {
        let pid = |name: &str| pid(OsStr::new(name));
        assert_eq!(pid("17.json"), Some(17));
        assert_eq!(pid(&file_name(u32::MAX)), Some(u32::MAX));
        assert_eq!(file_name(17), "17.json");
        for name in [
            "",
            ".json",
            "0.json",
            "07.json",
            "+7.json",
            "4294967296.json",
            "7.json.tmp",
            "7.jsonl",
            "7",
            "-7.json",
            "7x.json",
            "1 4.json",
            "\u{661}.json",
            "7.ace852e8.key",
            "7.ace852e8.key.tmp.ba7d7b5d",
        ] {
            assert_eq!(pid(name), None, "{name}");
        }
    }

    fn read(entry: &Value) -> Registered {
        let pid = entry["pid"]
            .as_u64()
            .map_or(7, |pid| u32::try_from(pid).unwrap());
        read_entry(entry.to_string().as_bytes(), pid, Some(1)).unwrap_or_else(|| panic!("{entry}"))
    }

    #[test]
    fn each_status_is_read() {
        for (status, waiting_for, expected) in [
            ("busy", None, RegistryStatus::Busy),
            ("idle", None, RegistryStatus::Idle),
            ("shell", None, RegistryStatus::Shell),
            (
                "waiting",
                Some("permission prompt"),
                RegistryStatus::Waiting(WaitingFor::Permission),
            ),
            (
                "waiting",
                Some("input needed"),
                RegistryStatus::Waiting(WaitingFor::Answer),
            ),
            (
                "waiting",
                Some("dialog open"),
                RegistryStatus::Waiting(WaitingFor::Dialog),
            ),
            (
                "waiting",
                Some("sandbox request"),
                RegistryStatus::Waiting(WaitingFor::Permission),
            ),
            (
                "waiting",
                Some("worker request"),
                RegistryStatus::Waiting(WaitingFor::Permission),
            ),
            (
                "waiting",
                Some("something new"),
                RegistryStatus::Waiting(WaitingFor::Dialog),
            ),
            ("waiting", None, RegistryStatus::Waiting(WaitingFor::Dialog)),
            ("something new", None, RegistryStatus::Unknown),
        ] {
            let entry = read(
                &json!({"pid": 7, "updatedAt": 1, "status": status, "waitingFor": waiting_for}),
            );
            assert_eq!(
                entry.entry.status,
                Some(expected),
                "{status} {waiting_for:?}"
            );
        }
    }

    #[test]
    fn an_entry_needs_a_time_and_nothing_else() {
        let least = read(&json!({"startedAt": 1_790_000_000_000_u64}));
        assert_eq!(
            least.process,
            ReportedProcess {
                pid: 7,
                start: None,
                namespace: Some(1)
            }
        );
        assert_eq!(least.entry.updated_at, 1_790_000_000_000);
        assert_eq!((least.start, least.machine), (StartClaim::Absent, None));
        let strange = read(&json!({
            "pid": {}, "updatedAt": "2026-09-21T14:13:20Z", "sessionId": 7, "cwd": null, "procStart": null, "pidDomain": [],
            "status": {}, "statusUpdatedAt": -1, "name": false, "nameSource": "user", "startedAt": "then", "new": {"a": 1},
        }));
        assert_eq!(strange.process, least.process);
        assert_eq!(
            strange.entry,
            RegistryEntry {
                started_at: None,
                updated_at: 1_790_000_000_000,
                ..least.entry
            }
        );
        for broken in [
            &b""[..],
            b"{",
            b"[]",
            b"null",
            br#"{"pid":7}"#,
            br#"{"pid":8,"updatedAt":1790000000000}"#,
            br#"{"pid":"8","updatedAt":1790000000000}"#,
            br#"{"pid":7,"updatedAt":7"#,
            b"\xff\xfe",
        ] {
            assert_eq!(read_entry(broken, 7, None), None);
        }
    }

    #[test]
    fn a_repeated_key_does_not_cost_the_entry() {
        let entry = br#"{"pid":7,"pid":7,"updatedAt":1790000000,"status":"busy","status":"idle"}"#;
        let read = read_entry(entry, 7, None).unwrap();
        assert_eq!(read.entry.status, Some(RegistryStatus::Busy));
        assert_eq!(read.entry.updated_at, 1_790_000_000_000);
    }

    #[test]
    fn the_start_is_the_kernels_number_or_a_second() {
        for (start, claim) in [
            (json!("63321"), StartClaim::Kernel(63321)),
            (json!(63321), StartClaim::Kernel(63321)),
            (
                json!("Fri Nov 27 14:10:22 2026"),
                StartClaim::Second(1_795_788_622),
            ),
            (
                json!("Fri Nov  6 04:10:22 2026"),
                StartClaim::Second(1_793_938_222),
            ),
            (json!(null), StartClaim::Absent),
            (json!("yesterday"), StartClaim::Unreadable),
            (json!(-1), StartClaim::Unreadable),
            (json!([1]), StartClaim::Unreadable),
        ] {
            let entry = read(&json!({"updatedAt": 1, "procStart": start}));
            assert_eq!(entry.start, claim, "{start}");
        }
    }

    #[test]
    fn the_namespace_is_read_from_the_domain() {
        for (domain, namespace) in [
            ("linux:0123:pid:[4026532178]", Some(4_026_532_178)),
            ("linux:0123:pid:[]", Some(0)),
            ("linux:0123", Some(0)),
            ("linux:0123:", Some(1)),
            ("linux::", Some(1)),
            ("darwin", None),
        ] {
            let entry = read(&json!({"pid": 7, "updatedAt": 1, "pidDomain": domain}));
            assert_eq!(entry.process.namespace, namespace, "{domain}");
            let machine = domain.contains("0123").then_some("0123");
            assert_eq!(entry.machine.as_deref(), machine, "{domain}");
        }
    }

    #[test]
    fn every_recorded_entry_is_read() {
        let recordings = [
            include_str!("traces/clear.jsonl"),
            include_str!("traces/oneshot.jsonl"),
        ];
        let mut titles = Vec::new();
        let mut read = 0;
        for line in recordings.iter().flat_map(|recording| recording.lines()) {
            let line: Value = serde_json::from_str(line).unwrap();
            let Some(value) = line.get("value").filter(|value| value.is_object()) else {
                continue;
            };
            let entry = self::read(value);
            assert_eq!(Some(u64::from(entry.process.pid)), value["pid"].as_u64());
            assert_eq!(
                entry.entry.session_id.as_deref(),
                value["sessionId"].as_str()
            );
            assert_eq!(entry.entry.status.is_some(), value.get("status").is_some());
            assert_ne!(entry.entry.status, Some(RegistryStatus::Unknown));
            assert_eq!(entry.entry.attended, Some(value["entrypoint"] == "cli"));
            titles.extend(entry.entry.title);
            read += 1;
        }
        assert!(read > 50);
        assert!(
            titles.iter().all(|title| &**title == "four (Branch)"),
            "{titles:?}"
        );
    }
}
