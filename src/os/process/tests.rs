//! Real processes, and lines of `/proc` as proc(5) has them.

use super::*;
use std::process::{Child, Command, Stdio};

/// A child that lives until it is killed or dropped.
struct Sleeper(Child);

impl Sleeper {
    fn new(mut command: Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sleep() -> Sleeper {
    let mut command = Command::new("sleep");
    command.arg("600");
    Sleeper::new(command)
}

/// Waits until the process shows as a zombie; the test harness ends a test that never sees it.
fn until_zombie(pid: u32) -> ProcessInfo {
    loop {
        let info = inspect(pid).unwrap();
        if info.zombie {
            return info;
        }
        std::thread::yield_now();
    }
}

#[test]
fn own_process_is_found_with_its_parent() {
    let own = inspect(std::process::id()).unwrap();
    assert_eq!(own.id.pid, std::process::id());
    assert_eq!(own.parent, std::os::unix::process::parent_id());
    assert!(own.id.start > 0);
    assert!(!own.zombie);
}

#[test]
fn a_process_keeps_its_identity_until_it_is_reaped() {
    let mut child = sleep();
    let pid = child.0.id();
    let alive = inspect(pid).unwrap();
    assert_eq!(alive.parent, std::process::id());
    assert!(!alive.zombie);

    child.0.kill().unwrap();
    let dead = until_zombie(pid);
    assert_eq!(dead.id, alive.id);

    child.0.wait().unwrap();
    assert_eq!(inspect(pid).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_pid_that_no_process_can_have_is_not_found() {
    for pid in [0x7fff_fff0, u32::MAX] {
        let error = inspect(pid).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains(&pid.to_string()), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_with_parentheses_and_spaces_hides_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a) S 1 (b", ")) Z 7 7 7", "new\nline ("] {
        let program = directory.path().join(name);
        // A copy would be busy for writing while another test's child is between fork and exec; a link is not.
        std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
        let mut command = Command::new(&program);
        // Where one binary is all the core utilities, argv[0] says which.
        std::os::unix::process::CommandExt::arg0(&mut command, "sleep");
        command.arg("600");
        let child = Sleeper::new(command);
        let info = inspect(child.0.id()).unwrap();
        assert_eq!(info.parent, std::process::id(), "{name:?}");
        assert!(!info.zombie, "{name:?}");
        assert!(info.id.start >= inspect(std::process::id()).unwrap().id.start);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn lines_of_stat_are_read_as_proc_5_says() {
    use platform::parse;
    let line = b"7 (a (b) c) S 1 7 7 34819 7 4194304 1 0 0 0 0 0 0 0 20 0 3 0 4242 1 1";
    assert_eq!(
        parse(7, line).unwrap(),
        ProcessInfo {
            id: ProcessId {
                pid: 7,
                start: 4242
            },
            parent: 1,
            tty: Some("/dev/pts/3".to_owned()),
            stopped: false,
            zombie: false,
        }
    );
    // The first thread has ended, two more run.
    let leader_ended = b"7 (x) Z 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 3 0 4242 0 0";
    assert!(!parse(7, leader_ended).unwrap().zombie);
    let zombie = b"7 (x) Z 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
    assert!(parse(7, zombie).unwrap().zombie);
    for broken in [&b""[..], b"7 (x", b"7 (x) S 1", b"7 (x) S one 7 7 0"] {
        assert_eq!(parse(7, broken), None);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn terminals_are_named_from_their_device_numbers() {
    use platform::terminal;
    assert_eq!(terminal(0), None);
    assert_eq!(terminal(136 << 8).as_deref(), Some("/dev/pts/0"));
    // Number 300 is 0x12c: more than the low eight bits hold.
    assert_eq!(
        terminal((136 << 8) | 0x2c | (0x100 << 12)).as_deref(),
        Some("/dev/pts/300")
    );
    assert_eq!(terminal((4 << 8) | 2).as_deref(), Some("/dev/tty2"));
    assert_eq!(terminal((4 << 8) | 64).as_deref(), Some("/dev/ttyS0"));
    assert_eq!(terminal((5 << 8) | 1), None);
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_on_a_terminal_names_it() {
    // script(1) gives its child a terminal of its own; the child says which.
    let output = Command::new("script")
        .args(["-qec", "tty; cat /proc/$$/stat", "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .expect("script(1) of bsdutils is needed");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let tty = lines.next().unwrap().trim_end();
    let info = platform::parse(1, lines.next().unwrap().as_bytes()).unwrap();
    assert_eq!(info.tty.as_deref(), Some(tty));
}

#[cfg(target_os = "linux")]
#[test]
fn processes_of_one_namespace_agree_on_it() {
    let ours = namespace().unwrap();
    let child = sleep();
    let link = std::fs::read_link(format!("/proc/{}/ns/pid", child.0.id())).unwrap();
    assert_eq!(link.to_str().unwrap(), format!("pid:[{ours}]"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_is_on_a_terminal_if_it_reads_and_writes_one() {
    use std::fs::OpenOptions;

    // Each opening is a terminal of its own (pts(4)).
    let terminal = || {
        let file = OpenOptions::new().read(true).write(true).open("/dev/ptmx");
        Stdio::from(file.unwrap())
    };
    let is_on_terminal = |input: Stdio, output: Stdio| {
        let child = Command::new("sleep")
            .arg("600")
            .stdin(input)
            .stdout(output)
            .spawn();
        let child = Sleeper(child.unwrap());
        is_on_terminal(child.0.id())
    };
    assert_eq!(is_on_terminal(terminal(), terminal()), Some(true));
    assert_eq!(is_on_terminal(Stdio::null(), terminal()), Some(false));
    assert_eq!(is_on_terminal(terminal(), Stdio::piped()), Some(false));
    assert_eq!(super::is_on_terminal(0), None);
}
