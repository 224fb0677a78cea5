//! A service manager's variables that hold anything: the daemon starts and serves, or ends with a message. It never hangs,
//! and never fails without a reason.

use std::process::{Command, Stdio};

use crate::support::{Place, program, until};

/// What the variables hold in turn.
const VALUES: [&str; 12] = [
    "",
    "0",
    "1",
    "2",
    "-1",
    "1 ",
    "+1",
    "01",
    "99999999999999999999",
    "x",
    "1\n",
    "agent-console:agent-console",
];

#[test]
fn odd_variables_of_a_manager_end_in_service_or_in_a_message() {
    let place = Place::new();
    place.configure("");
    let mut served = 0;
    for (number, value) in VALUES.into_iter().enumerate() {
        for variable in [
            "LISTEN_FDS",
            "LISTEN_FDNAMES",
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "WATCHDOG_PID",
            "JOURNAL_STREAM",
        ] {
            let other = VALUES[(number + 5) % VALUES.len()];
            let mut command = Command::new("sh");
            // The process that is to be passed descriptors is the daemon itself.
            command
                .args(["-c", "LISTEN_PID=$$ exec \"$0\" daemon"])
                .arg(program())
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .env("HOME", place.path().join("home"))
                .env("AGENT_CONSOLE_SOCKET", place.socket())
                .env("XDG_RUNTIME_DIR", place.runtime_dir())
                .env("WATCHDOG_PID", other)
                .env("NOTIFY_SOCKET", "/nonexistent")
                .env(variable, value)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let what = format!("{variable}={value:?} to end or to serve");
            let ended = until(&what, || {
                if let Some(status) = child.try_wait().unwrap() {
                    return Some(Some(status));
                }
                let status = place.run(&["status"]).status;
                status.success().then_some(None)
            });
            if ended.is_none() {
                served += 1;
                assert!(place.run(&["stop", "--force"]).status.success());
            }
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!said.contains("panicked"), "{what}: {said}");
            match ended {
                None => assert_eq!(output.status.code(), Some(0), "{what}: {said}"),
                Some(status) => {
                    assert_eq!(status.code(), Some(1), "{what}: {said}");
                    assert!(!said.trim().is_empty(), "{what} says nothing");
                }
            }
        }
    }
    assert!(served >= 36, "served {served}");
}
