//! The programs under test, and programs that a test puts in a directory of its own.

#[cfg(target_os = "linux")]
use std::fs;
use std::io::Write;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The program under test.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_agent-console"))
}

/// The program that agents call as their hook.
pub fn hook_program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_acd"))
}

/// The service's program, which lies beside it.
pub fn service() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_agent-consoled"))
}

/// Copies a program that is run afterwards. By a process of its own: a file that is open for writing here, and so in
/// whatever another test is just starting, can't be run (ETXTBSY).
#[track_caller]
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// Writes a program that is run afterwards, as [`copy`] does.
#[track_caller]
pub fn write_program(path: &Path, text: &str) {
    let mut shell = Command::new("sh")
        .args(["-c", r#"cat >"$0" && chmod 755 "$0""#])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = shell.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    assert!(shell.wait().unwrap().success());
}

/// A stand-in for Codex in this directory of programs: its app server, which keeps a person's trust in hooks.
#[track_caller]
pub fn write_codex(programs: &Path) {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/stand_in/codex-app-server.py"
    );
    let call = "app-server --listen stdio://";
    let text = format!("#!/bin/sh\n[ \"$*\" = '{call}' ] && exec python3 '{script}'\n");
    write_program(&programs.join("codex"), &text);
}

/// The file that a process runs.
#[cfg(target_os = "linux")]
#[track_caller]
pub fn executable(pid: u32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).unwrap()
}
