//! A terminal with a shell in it: a tmux server of a test's own.

use std::process::{Command, Stdio};

use rustix::process::Pid;

use crate::support::{Place, program, until};

/// One window, in which a shell runs. Its server ends with it.
pub(crate) struct Tmux<'a> {
    place: &'a Place,
}

/// The list is there, with rows in it.
pub(crate) fn is_list(screen: &str) -> bool {
    screen.contains("STATUS") && screen.contains("▌")
}

impl<'a> Tmux<'a> {
    #[track_caller]
    pub(crate) fn start(place: &'a Place, columns: u16, rows: u16) -> Self {
        let tmux = Self { place };
        let size = [columns.to_string(), rows.to_string()];
        let shell = "PS1='ready> ' exec bash --norc --noprofile -i";
        tmux.ask(&["new-session", "-d", "-x", &size[0], "-y", &size[1], shell]);
        tmux.ask(&["set-option", "-s", "set-clipboard", "on"]);
        tmux.has_its_shell_back();
        tmux
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command
            .arg("-u")
            .arg("-S")
            .arg(self.place.path().join("tmux"))
            .args(["-f", "/dev/null"])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.place.path().join("home"))
            .env("AGENT_CONSOLE_SOCKET", self.place.socket())
            .env("SHELL", "/bin/sh")
            .env("LANG", "C.UTF-8")
            .current_dir(self.place.path())
            .stdin(Stdio::null());
        command
    }

    /// What tmux answers.
    #[track_caller]
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("tmux");
        assert!(
            output.status.success() || arguments == ["show-buffer"],
            "{arguments:?}: {output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Presses keys, by tmux's names for them.
    pub(crate) fn keys(&self, keys: &[&str]) {
        self.ask(&[&["send-keys"], keys].concat());
    }

    /// Types a line to the shell.
    pub(crate) fn type_line(&self, line: &str) {
        self.ask(&["send-keys", "-l", line]);
        self.keys(&["Enter"]);
    }

    /// Has the shell run the program.
    pub(crate) fn run(&self, arguments: &str) {
        self.type_line(&format!("clear; {} {arguments}", program().display()));
    }

    /// The program takes the shell's place: there is none to come back to.
    pub(crate) fn becomes(&self, arguments: &str) {
        self.type_line(&format!("clear; exec {} {arguments}", program().display()));
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.ask(&[
            "resize-window",
            "-x",
            &columns.to_string(),
            "-y",
            &rows.to_string(),
        ]);
    }

    pub(crate) fn screen(&self) -> String {
        self.ask(&["capture-pane", "-p"])
    }

    /// Waits until the screen is as it should be, and gives it.
    #[track_caller]
    pub(crate) fn shows(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(what, || Some(self.screen()).filter(|screen| is(screen)))
        }));
        shown.unwrap_or_else(|_| panic!("timed out waiting for {what}:\n{}", self.screen()))
    }

    /// The shell waits for a command, on its own screen.
    #[track_caller]
    pub(crate) fn has_its_shell_back(&self) {
        self.shows("the shell", |screen| {
            screen
                .trim_end()
                .lines()
                .last()
                .is_some_and(|line| line.trim_end() == "ready>")
        });
    }

    /// The line discipline's settings, and what the program has asked of the terminal: which screen, cursor, mouse.
    #[track_caller]
    pub(crate) fn modes(&self) -> String {
        let format = "#{pane_tty} #{alternate_on} #{cursor_flag} #{mouse_any_flag} #{mouse_sgr_flag} #{keypad_flag}";
        let flags = self.ask(&["display-message", "-p", format]);
        let terminal = flags.split_whitespace().next().unwrap();
        let stty = Command::new("stty")
            .args(["-a", "-F", terminal])
            .output()
            .unwrap();
        // Bash, between commands, has modes of its own for its line editor: a command is run to see what it leaves to
        // programs.
        format!("{flags}{}", String::from_utf8_lossy(&stty.stdout))
    }

    /// The dashboard that runs in the shell.
    #[track_caller]
    pub(crate) fn dashboard(&self) -> Pid {
        let shell = self.ask(&["display-message", "-p", "#{pane_pid}"]);
        until("the dashboard", || {
            let children = format!("/proc/{0}/task/{0}/children", shell.trim());
            let children = std::fs::read_to_string(children).unwrap_or_default();
            children.split_whitespace().next().map(super::pid)
        })
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}
