//! The systemd user units: what they say, where they lie, which commands the user's manager gets.
//!
//! The files of `packaging/systemd` are the one source; only the program's and the socket's path are put in. Units that
//! a package has installed elsewhere and that do the same are used as they are, units that a user wrote or edited stay.
//! Called by `service` alone.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::file::FileError;
use super::plan::{self, FileState, MOVE_AWAY, Manager, Plan, State, Wanted};
use super::stamp::{self, Found};
use crate::config::{variable, xdg_base};
use crate::os::program::same_file;
use crate::os::service_manager::{SYSTEMD_SERVICE as SERVICE, SYSTEMD_SOCKET as SOCKET};

const SOCKET_UNIT: &str = include_str!("../../packaging/systemd/agent-console.socket");
const SERVICE_UNIT: &str = include_str!("../../packaging/systemd/agent-console.service");

/// Where logind keeps the names of the users whose systemd stays after logout.
const LINGER: &str = "/var/lib/systemd/linger";

const SYSTEMCTL: [&str; 2] = ["systemctl", "--user"];

/// The lines of the packaged units that are not the same for everybody.
const LISTEN: &str = "ListenStream=/tmp/agent-console.sock\n";
const START: &str = "ExecStart=%h/.cargo/bin/agent-consoled\n";

/// What stood there before the service was a program of its own.
const FORMER_START: &str = "ExecStart=%h/.cargo/bin/agent-console daemon\n";

/// What the manager says of itself and of the two units.
#[derive(Debug, Clone, Default)]
pub(super) struct UnitStatus {
    /// Where it looks for units: directories, a blank between two.
    unit_path: String,
    socket: Unit,
    service: Unit,
}

/// A unit's properties as the manager gives them (`org.freedesktop.systemd1(5)`); empty where it does not know the unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Unit(HashMap<String, String>);

/// Asks the user's manager. Takes some 30 ms.
///
/// # Errors
///
/// There is no `systemctl`, or no manager that answers it: for example, a user that was entered by `su` has no login.
pub(super) fn ask() -> anyhow::Result<UnitStatus> {
    let manager = systemctl(&["show", "--property=UnitPath"])?;
    let units = systemctl(&[
        "show",
        "--property=Id,LoadState,ActiveState,UnitFileState,FragmentPath,NeedDaemonReload,ExecStart,Listen,MainPID",
        SOCKET,
        SERVICE,
    ])?;
    Ok(read_status(&manager, &units))
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<String> {
    let words = [&SYSTEMCTL, arguments].concat();
    plan::run(&words.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

/// Adds a call of `systemctl` to the plan.
fn run(plan: &mut Plan, arguments: &[&str]) {
    plan.run(&[&SYSTEMCTL, arguments].concat());
}

fn read_status(manager: &str, units: &str) -> UnitStatus {
    let mut answer = UnitStatus {
        unit_path: manager.trim().trim_start_matches("UnitPath=").to_owned(),
        ..UnitStatus::default()
    };
    for block in units.split("\n\n") {
        let properties = block.lines().filter_map(|line| line.split_once('='));
        let owned = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let unit = Unit(owned.collect());
        match unit.property("Id") {
            SOCKET => answer.socket = unit,
            SERVICE => answer.service = unit,
            _ => {}
        }
    }
    answer
}

impl UnitStatus {
    fn searches(&self, directory: &Path) -> bool {
        let directory = directory.to_string_lossy();
        // Not split: a blank may be part of a path.
        format!(" {} ", self.unit_path).contains(&format!(" {directory} "))
    }

    fn unit(&self, name: &str) -> &Unit {
        if name == SOCKET {
            &self.socket
        } else {
            &self.service
        }
    }

    /// The unit does what ours would do.
    fn serves(&self, name: &str, wanted: Wanted<'_>) -> bool {
        if name == SOCKET {
            self.socket.listens() == wanted.socket
        } else {
            // `agent-console daemon` becomes the service.
            [wanted.program, &wanted.starts.path]
                .iter()
                .any(|path| same_file(self.service.program(), path))
        }
    }
}

impl Unit {
    fn property(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn is_active(&self) -> bool {
        let state = self.property("ActiveState");
        matches!(state, "active" | "activating" | "reloading")
    }

    fn has_failed(&self) -> bool {
        self.property("ActiveState") == "failed"
    }

    fn is_known(&self) -> bool {
        !matches!(self.property("LoadState"), "" | "not-found")
    }

    fn needs_reload(&self) -> bool {
        self.property("NeedDaemonReload") == "yes"
    }

    /// The file that it was read from.
    fn fragment(&self) -> &Path {
        Path::new(self.property("FragmentPath"))
    }

    /// The program that it starts: `{ path=/usr/bin/agent-console ; argv[]=… }`.
    fn program(&self) -> &Path {
        let value = self.property("ExecStart").strip_prefix("{ path=");
        let path = value.and_then(|rest| rest.split_once(" ; argv[]="));
        Path::new(path.map_or("", |(path, _)| path))
    }

    /// The path that it listens on: `/tmp/agent-console.sock (Stream)`.
    fn listens(&self) -> &Path {
        Path::new(self.property("Listen").trim_end_matches(" (Stream)"))
    }

    fn is_enabled(&self) -> bool {
        self.property("UnitFileState").starts_with("enabled")
    }

    /// Found in another directory than the user's own: a package's.
    fn is_elsewhere(&self, directory: &Path) -> bool {
        self.is_known()
            && self.fragment() != Path::new("")
            && !self.fragment().starts_with(directory)
    }
}

/// Where the units are: `$XDG_CONFIG_HOME/systemd/user` (`systemd.unit(5)`).
///
/// # Errors
///
/// There is no home directory.
pub(crate) fn directory() -> anyhow::Result<PathBuf> {
    xdg_base(variable("XDG_CONFIG_HOME"), variable("HOME"), ".config")
        .map(|base| base.join("systemd/user"))
        .context("there is no place for units: set HOME to an absolute path")
}

/// A unit's text without the mark.
fn unit(name: &str, wanted: Wanted<'_>) -> anyhow::Result<String> {
    if name == SOCKET {
        let line = format!("ListenStream={}\n", listen_path(wanted.socket)?);
        Ok(SOCKET_UNIT.replace(LISTEN, &line))
    } else {
        let argument = wanted.starts.argument.map(|word| format!(" {word}"));
        let program = exec_path(&wanted.starts.path)?;
        let line = format!("ExecStart={program}{}\n", argument.unwrap_or_default());
        Ok(SERVICE_UNIT.replace(START, &line))
    }
}

fn marked(text: &str, directories: usize) -> String {
    let [first, second] = stamp::lines(directories);
    stamp::seal(&format!("# {first}\n# {second}\n\n{text}"))
}

/// A program's path as the first word of `ExecStart=` (`systemd.service(5)`, `systemd.syntax(7)`): `%` begins a
/// specifier, blanks part words, unless quoted. `$` is nothing special there. systemd refuses quotes, backslashes and
/// control characters in a program's path, however they are written.
fn exec_path(path: &Path) -> anyhow::Result<String> {
    let refusal = "systemd starts no program whose path has quotes, backslashes or control characters, or is not UTF-8; \
                   move it";
    let text = plan::path_text(path, |text| !text.contains(['\'', '"', '\\']), refusal)?;
    let quote = if text.contains([' ', ';']) { "\"" } else { "" };
    Ok(format!("{quote}{}{quote}", text.replace('%', "%%")))
}

/// A socket's path as `ListenStream=` takes it (`systemd.socket(5)`): to the end of the line, with specifiers; `%t` is
/// the runtime directory.
fn listen_path(path: &Path) -> anyhow::Result<String> {
    let refusal = "systemd cannot listen there: not UTF-8, control characters, or a blank or backslash at the \
                   end";
    let text = plan::path_text(path, |text| !text.ends_with([' ', '\\']), refusal)?;
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let below = runtime.and_then(|directory| Path::new(text).strip_prefix(directory).ok());
    let specifier = below.map_or("", |_| "%t/");
    let text = below.and_then(Path::to_str).unwrap_or(text);
    Ok(format!("{specifier}{}", text.replace('%', "%%")))
}

/// What lies at `path`. Units copied from `packaging/` by hand are ours as well, also those of before the service was a
/// program of its own.
fn find(path: &Path) -> Result<Found, FileError> {
    let former = SERVICE_UNIT.replace(START, FORMER_START);
    stamp::find(path, &[SOCKET_UNIT, SERVICE_UNIT, &former])
}

/// What the manager reads of a unit: everything but comments and empty lines.
fn effective_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Where a unit lies, and how it is.
fn unit_state(
    answer: &UnitStatus,
    name: &str,
    wanted: Wanted<'_>,
) -> anyhow::Result<(PathBuf, FileState)> {
    let path = directory()?.join(name);
    let known = answer.unit(name);
    let serves = || answer.serves(name, wanted);
    let (path, current) = match find(&path) {
        // The manager remembers files that are gone.
        Ok(Found::Nothing) if known.is_known() && known.fragment().exists() => {
            (known.fragment().to_owned(), serves())
        }
        Ok(Found::Nothing) => return Ok((path, FileState::Missing)),
        Ok(Found::Ours(bytes, directories)) => {
            let text = unit(name, wanted).map(|text| marked(&text, directories));
            (path, text.is_ok_and(|text| text.as_bytes() == bytes))
        }
        // Edited on purpose: right if it does the same.
        Ok(Found::Theirs) => (path, serves()),
        Err(_) => (path, false),
    };
    Ok((path, FileState::of_present(current)))
}

pub(super) fn state(answer: &UnitStatus, wanted: Wanted<'_>) -> State {
    let file = |name| {
        unit_state(answer, name, wanted).unwrap_or((PathBuf::from(name), FileState::Missing))
    };
    State {
        manager: Manager::Systemd,
        files: [SOCKET, SERVICE].map(file).into(),
        active: answer.socket.is_active(),
        enabled: answer.socket.is_enabled(),
        lingers: lingers(),
    }
}

/// True if the user's systemd stays after their last logout (`loginctl(1)`, enable-linger), also where that cannot be seen.
/// logind keeps a file for each such user (`systemd-logind.service(8)`).
fn lingers() -> bool {
    let user = plan::run(&["id".to_owned(), "-un".to_owned()]);
    user.map_or(true, |user| Path::new(LINGER).join(user.trim()).exists())
}

/// What changes for the manager by a unit's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnitChange {
    Nothing,
    /// A comment.
    Text,
    Meaning,
}

fn plan_unit(
    plan: &mut Plan,
    answer: &UnitStatus,
    name: &str,
    wanted: Wanted<'_>,
) -> anyhow::Result<UnitChange> {
    let directory = directory()?;
    let path = directory.join(name);
    let known = answer.unit(name);
    let serves = answer.serves(name, wanted);
    let found = find(&path)?;
    if matches!(found, Found::Nothing) && known.is_elsewhere(&directory) && serves {
        return Ok(UnitChange::Nothing);
    }
    let remark = if known.is_known() && !serves {
        let (does, now, expected) = if name == SOCKET {
            ("listens on", known.listens(), wanted.socket)
        } else {
            ("starts", known.program(), &*wanted.starts.path)
        };
        let (now, expected) = (now.display(), expected.display());
        format!(" though it {does} {now}, not {expected}{MOVE_AWAY}")
    } else {
        String::new()
    };
    let Some((before, directories)) = plan.replaceable(&path, found, &remark) else {
        return Ok(UnitChange::Nothing);
    };
    let after = marked(&unit(name, wanted)?, directories);
    let change = match before.as_deref().map(String::from_utf8_lossy) {
        Some(before) if before == after => UnitChange::Nothing,
        Some(before) if effective_lines(&before).eq(effective_lines(&after)) => UnitChange::Text,
        _ => UnitChange::Meaning,
    };
    if change == UnitChange::Nothing && known.is_known() && !known.needs_reload() && !serves {
        plan.notes.push(format!(
            "a drop-in changes {name} (`systemctl --user cat {name}`): what it does is not what {} says",
            path.display()
        ));
    }
    plan.write_file(&path, before, after);
    Ok(change)
}

pub(super) fn plan_install(
    plan: &mut Plan,
    answer: &UnitStatus,
    wanted: Wanted<'_>,
) -> anyhow::Result<()> {
    let directory = directory()?;
    ensure!(
        answer.searches(&directory),
        "this user's systemd does not look for units in {}: it was started with another HOME or XDG_CONFIG_HOME; \
         install with the same",
        directory.display()
    );
    let socket_change = plan_unit(plan, answer, SOCKET, wanted)?;
    let service_change = plan_unit(plan, answer, SERVICE, wanted)?;

    let units = [&answer.socket, &answer.service];
    let moves = socket_change == UnitChange::Meaning && answer.socket.is_active();
    if moves {
        // Only a socket that is made anew takes on what its unit says. Before the manager reads that: it removes the
        // file at the path that it knows.
        run(plan, &["stop", SOCKET, SERVICE]);
    }
    let changed = [socket_change, service_change] != [UnitChange::Nothing; 2];
    if changed || units.iter().any(|unit| unit.needs_reload()) {
        run(plan, &["daemon-reload"]);
    }
    if units.iter().any(|unit| unit.has_failed()) {
        run(plan, &["reset-failed", SOCKET, SERVICE]);
    }
    if moves || !answer.socket.is_active() || !answer.socket.is_enabled() {
        if !answer.socket.is_active() && !answer.service.is_active() {
            plan.take_over(wanted);
        }
        run(plan, &["enable", "--now", SOCKET]);
    }
    if !moves && answer.service.is_active() {
        let running = PathBuf::from(format!("/proc/{}/exe", answer.service.property("MainPID")));
        let other = running.exists() && !same_file(&running, &wanted.starts.path);
        if service_change == UnitChange::Meaning || other {
            plan.notes.push(
                "the daemon is restarted; it shows each session again with that session's next event".into(),
            );
            run(plan, &["try-restart", SERVICE]);
        }
    }
    if !plan.steps.is_empty() && !lingers() {
        plan.notes.push(
            "after your last logout systemd stops the service, though agents in tmux or screen run on; \
             `loginctl enable-linger` keeps it"
                .into(),
        );
    }
    Ok(())
}

pub(super) fn plan_uninstall(plan: &mut Plan, answer: &UnitStatus) -> anyhow::Result<()> {
    let directory = directory()?;
    let units = [(SOCKET, &answer.socket), (SERVICE, &answer.service)];
    let those = |hold: fn(&Unit) -> bool| -> Vec<&str> {
        let those = units.iter().filter(|(_, unit)| hold(unit));
        those.map(|&(name, _)| name).collect()
    };
    // A package may have enabled its units for everybody, which is not this user's to undo.
    let link = directory.join("sockets.target.wants").join(SOCKET);
    let enabled = answer.socket.is_enabled()
        && (!answer.socket.is_elsewhere(&directory) || fs::symlink_metadata(link).is_ok());
    if enabled || units.iter().any(|(_, unit)| unit.is_active()) {
        run(
            plan,
            &[&["disable", "--now"], &*those(Unit::is_known)].concat(),
        );
    }
    let failed = those(Unit::has_failed);
    if !failed.is_empty() {
        // Else the manager remembers a unit that is not there any more.
        run(plan, &[&["reset-failed"], &*failed].concat());
    }
    let mut removed = false;
    for (name, known) in units {
        let path = directory.join(name);
        match find(&path)? {
            Found::Nothing if known.is_elsewhere(&directory) => plan.notes.push(format!(
                "{} is a package's and stays",
                known.fragment().display()
            )),
            found => removed |= plan.remove_file(path, found),
        }
    }
    if removed {
        run(plan, &["daemon-reload"]);
    }
    Ok(())
}

/// Where no manager answers its units can't be disabled, and without their files that could not be done later.
pub(super) fn refuse_leftovers(why: &str) -> anyhow::Result<()> {
    let Ok(directory) = directory() else {
        return Ok(());
    };
    for name in [SOCKET, SERVICE] {
        let path = directory.join(name);
        if let Found::Ours(..) = find(&path)? {
            bail!(
                "{} is there, and no systemd answers that could let go of it ({why}); log in as this user, not by su \
                 or sudo, and try again",
                path.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
