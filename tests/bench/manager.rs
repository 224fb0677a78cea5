//! Activation by a user's systemd: one of this measurement's own (`tests/with-user-systemd`), with the units of `packaging/`,
//! and a floor: units without restrictions, whose program does nothing but answer.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::daemon::{Wire, service};
use crate::processes::ms;

/// The first argument of the program where it runs beside that manager; the second is how often to activate.
pub const ARGUMENT: &str = "activate-by-manager";

/// The first argument of the program as the floor's service.
pub const FLOOR: &str = "answer-once";

/// Puts the programs where the user has them, then becomes the user.
const SET_UP: &str = r#"
units=$HOME/.config/systemd/user
install -m 755 "$1" "$XDG_RUNTIME_DIR/measurement"
install -m 755 "$2" "$HOME/.cargo/bin/agent-consoled"
install -m 644 "$3"/* "$units"
printf '[Socket]\nListenStream=/tmp/floor.sock\n' >"$units/floor.socket"
printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=%s %s\n' "$XDG_RUNTIME_DIR/measurement" "$6" >"$units/floor.service"
exec "$AS_USER" "$XDG_RUNTIME_DIR/measurement" "$4" "$5"
"#;

/// The units of agent-console and of the floor, and their sockets.
const UNITS: [(&str, &str); 2] = [
    ("agent-console", "/tmp/agent-console.sock"),
    ("floor", "/tmp/floor.sock"),
];

/// From connect(2) to the first answer, in ms, of agent-console and of the floor: so many times, each with a new process.
/// The error says what is missing.
pub fn activations(times: usize) -> Result<[Vec<f64>; 2], String> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(checkout.join("tests/with-user-systemd"));
    command
        .args(["--private-tmp", "--cmd-root", "--no-journald", "--"])
        .args(["sh", "-euc", SET_UP, "sh"])
        .args([&std::env::current_exe().unwrap(), service()])
        .arg(checkout.join("packaging/systemd"))
        .args([ARGUMENT, &times.to_string(), FLOOR])
        // Kept from being covered by the private /tmp.
        .env("CARGO_TARGET_DIR", service().ancestors().nth(2).unwrap())
        .stdin(Stdio::null());
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.trim().replace('\n', " "));
    }
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut samples = [Vec::new(), Vec::new()];
    for (index, line) in lines.lines().enumerate() {
        samples[index % UNITS.len()].push(line.parse().unwrap());
    }
    assert!(samples.iter().all(|samples| samples.len() == times));
    Ok(samples)
}

/// What runs beside the manager: prints the time of each activation, in turns.
pub fn run(arguments: &[String]) {
    systemctl(&["daemon-reload"]);
    for (unit, _) in UNITS {
        systemctl(&["start", &format!("{unit}.socket")]);
    }
    for _ in 0..arguments[0].parse().unwrap() {
        for (unit, socket) in UNITS {
            // A socket that triggers more than 20 times in 2 s fails (`TriggerLimitBurst=` in systemd.socket(5)). And a
            // manager that has just stopped a unit is faster than one that has slept.
            std::thread::sleep(Duration::from_millis(100));
            let began = Instant::now();
            let mut wire = Wire::connect(Path::new(socket)).unwrap();
            wire.ask("daemon.status");
            println!("{}", ms(began.elapsed()));
            // Returns once the process has ended.
            systemctl(&["stop", &format!("{unit}.service")]);
        }
    }
}

/// The floor's service: answers one line with one line, and waits to be stopped.
pub fn answer_once() {
    #[expect(unsafe_code, reason = "a descriptor that was passed has no owner yet")]
    // SAFETY: systemd passes the only socket as descriptor 3 (sd_listen_fds(3)), and nothing else here has it.
    let listener = UnixListener::from(unsafe { OwnedFd::from_raw_fd(3) });
    let (mut connection, _) = listener.accept().unwrap();
    let mut line = String::new();
    let mut lines = BufReader::new(connection.try_clone().unwrap());
    lines.read_line(&mut line).unwrap();
    connection.write_all(b"{}\n").unwrap();
    while lines.read_line(&mut line).unwrap() > 0 {}
}

fn systemctl(arguments: &[&str]) {
    let mut command = Command::new("systemctl");
    // Stopping a service warns that its socket can start it again.
    let command = command.arg("--user").args(arguments).stderr(Stdio::null());
    let status = command.status().unwrap();
    assert!(status.success(), "systemctl --user {arguments:?}");
}
