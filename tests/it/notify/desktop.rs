//! A desktop of a test's own: a display without a screen, a session bus, and dunst, which shows notifications.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use crate::support::{Place, until};

/// Ends with the test.
pub(super) struct Desktop<'a> {
    place: &'a Place,
    display: String,
    bus: Child,
    server: Child,
    xvfb: Child,
}

impl<'a> Desktop<'a> {
    #[track_caller]
    pub(super) fn start(place: &'a Place) -> Self {
        let mut xvfb = Command::new("Xvfb");
        xvfb.args(["-displayfd", "1", "-screen", "0", "640x480x24"])
            .args(["-nolisten", "tcp", "-nolisten", "unix"]);
        let (xvfb, number) = first_line(&mut xvfb);
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--session", "--nofork", "--print-address=1"])
            .arg(format!("--address={}", address(place)));
        let (bus, _) = first_line(&mut bus);
        let mut desktop = Self {
            place,
            display: format!(":{number}"),
            bus,
            server: Command::new("true").spawn().unwrap(),
            xvfb,
        };
        desktop.start_server();
        desktop
    }

    /// Starts dunst, and waits until it answers.
    #[track_caller]
    pub(super) fn start_server(&mut self) {
        let log = self.place.path().join("dunst.log");
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut dunst = self.command("dunst");
        self.server = dunst
            .arg("-print")
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("dunst", || self.try_count());
    }

    #[track_caller]
    pub(super) fn end_server(&mut self) {
        end(&mut self.server);
    }

    #[track_caller]
    pub(super) fn end_bus(&mut self) {
        end(&mut self.bus);
    }

    /// Where a daemon finds it.
    pub(super) fn environment(&self) -> [(&str, String); 1] {
        [("DBUS_SESSION_BUS_ADDRESS", address(self.place))]
    }

    /// A command at this desktop.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .envs(self.environment())
            .env("DISPLAY", &self.display)
            .env("HOME", self.place.path().join("home"))
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null());
        command
    }

    fn dunstctl(&self, arguments: &[&str]) -> Output {
        let mut command = self.command("dunstctl");
        command.args(arguments).output().expect("dunstctl(1)")
    }

    fn try_count(&self) -> Option<usize> {
        let output = self.dunstctl(&["count", "displayed"]);
        String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .ok()
    }

    /// Waits until so many notifications are on the screen.
    #[track_caller]
    pub(super) fn shows(&self, count: usize) {
        let mut last = None;
        until(&format!("{count} notifications"), || {
            last = self.try_count();
            (last == Some(count)).then_some(())
        });
    }

    /// Presses the action of the notification on top.
    #[track_caller]
    pub(super) fn press(&self) {
        assert!(self.dunstctl(&["action"]).status.success());
    }

    /// The lines of a field of all notifications that came, in order: `summary`, `body`, `id`.
    pub(super) fn field(&self, name: &str) -> Vec<String> {
        let log = std::fs::read_to_string(self.place.path().join("dunst.log")).unwrap();
        let start = format!("\t{name}: ");
        let lines = log.lines().filter_map(|line| line.strip_prefix(&start));
        lines
            .map(|value| value.trim_matches('\'').to_owned())
            .collect()
    }
}

impl Drop for Desktop<'_> {
    fn drop(&mut self) {
        for child in [&mut self.server, &mut self.bus, &mut self.xvfb] {
            end(child);
        }
    }
}

fn address(place: &Place) -> String {
    format!("unix:path={}", place.path().join("bus").display())
}

/// Starts a command, and waits for its first line.
#[track_caller]
fn first_line(command: &mut Command) -> (Child, String) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut line = String::new();
    let output = child.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    (child, line.trim().to_owned())
}

fn end(child: &mut Child) {
    let _ = child.kill();
    child.wait().unwrap();
}
