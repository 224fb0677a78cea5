//! Claude Code's registry, `<configuration directory>/sessions/<pid>.json`: one entry for each running process ->
//! [`RegistryEntry`].
//!
//! The documentation says only "one small file per running session"; the format is as observed with 2.1.330. So only
//! the process and a time are required, and unknown values are accepted. Pure; the daemon reads the files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde::Deserialize;

use super::super::Registered;
use super::super::tolerant::{Number, Text, object};
use crate::event::{RegistryEntry, RegistryStatus, ReportedProcess};
use crate::protocol::{NAME_LIMIT, TEXT_LIMIT, WaitingFor};

/// A text, cut to Linux's `PATH_MAX` in bytes.
type LongText = Text<4096>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    pid: u32,
    #[serde(default)]
    session_id: LongText,
    #[serde(default)]
    cwd: LongText,
    #[serde(default)]
    started_at: Number,
    #[serde(default)]
    proc_start: LongText,
    #[serde(default)]
    pid_domain: LongText,
    #[serde(default)]
    entrypoint: LongText,
    #[serde(default)]
    name: LongText,
    #[serde(default)]
    name_source: LongText,
    #[serde(default)]
    status: LongText,
    #[serde(default)]
    waiting_for: LongText,
    #[serde(default)]
    status_updated_at: Number,
    #[serde(default)]
    updated_at: Number,
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

/// Reads an entry. `namespace` is the pid namespace of an entry that names none. `None` if `contents` is not an object
/// with a process and a time.
#[must_use]
pub(super) fn read_entry(contents: &[u8], namespace: Option<u64>) -> Option<Registered> {
    let entry: Entry = object(contents).ok()?;
    let updated_at = entry.updated_at.as_u64().or(entry.started_at.as_u64())?;
    Some(Registered {
        process: ReportedProcess {
            pid: entry.pid,
            start: start(entry.proc_start.get()),
            namespace: match entry.pid_domain.get() {
                Some(domain) => pid_namespace(domain),
                None => namespace,
            },
        },
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
            started_at: entry.started_at.as_u64(),
            updated_at,
            status: entry
                .status
                .get()
                .map(|status| read_status(status, entry.waiting_for.get())),
            status_at: entry.status_updated_at.as_u64().unwrap_or(updated_at),
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

/// `procStart`: on Linux, field 22 of `/proc/<pid>/stat`; not observed elsewhere.
fn start(text: Option<&str>) -> Option<u64> {
    if cfg!(target_os = "linux") {
        text?.parse().ok()
    } else {
        None
    }
}

/// The inode in `linux:<machine id>:pid:[<inode>]`; without one, 0, which no namespace has. `None` for another system.
fn pid_namespace(domain: &str) -> Option<u64> {
    if !domain.starts_with("linux:") {
        return None;
    }
    let inode = domain
        .rsplit_once("pid:[")
        .and_then(|(_, rest)| rest.strip_suffix(']'))
        .and_then(|inode| inode.parse().ok());
    Some(inode.unwrap_or(0))
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
        read_entry(entry.to_string().as_bytes(), Some(1)).unwrap_or_else(|| panic!("{entry}"))
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
    fn an_entry_needs_a_process_and_a_time_and_nothing_else() {
        let least = read(&json!({"pid": 7, "startedAt": 5}));
        assert_eq!(
            (
                least.process.pid,
                least.process.start,
                least.process.namespace
            ),
            (7, None, Some(1))
        );
        assert_eq!((least.entry.updated_at, least.entry.status), (5, None));
        let strange = read(&json!({
            "pid": 7, "updatedAt": 5, "sessionId": 7, "cwd": null, "procStart": 9, "pidDomain": [], "status": {},
            "statusUpdatedAt": -1, "name": false, "nameSource": "user", "startedAt": "then", "new": {"a": 1},
        }));
        assert_eq!(
            strange,
            Registered {
                entry: RegistryEntry {
                    started_at: None,
                    ..least.entry
                },
                ..least
            }
        );
        for broken in [
            &b""[..],
            b"{",
            b"[]",
            b"null",
            br#"{"pid":7}"#,
            br#"{"updatedAt":7}"#,
            br#"{"pid":-7,"updatedAt":7}"#,
            br#"{"pid":7,"updatedAt":7"#,
            b"\xff\xfe",
        ] {
            assert_eq!(read_entry(broken, None), None);
        }
    }

    #[test]
    fn the_namespace_is_read_from_the_domain() {
        for (domain, namespace) in [
            ("linux:0123:pid:[4026532178]", Some(4_026_532_178)),
            ("linux:0123:pid:[]", Some(0)),
            ("linux:0123", Some(0)),
            ("darwin:0123", None),
        ] {
            let entry = read(&json!({"pid": 7, "updatedAt": 1, "pidDomain": domain}));
            assert_eq!(entry.process.namespace, namespace, "{domain}");
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
