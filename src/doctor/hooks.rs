//! The hooks: whether the agents' settings call this program on every event; and whether the status line, if it is ours,
//! calls it, too.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::fix::{edit, move_away, quote, readable};
use super::programs::own_programs;
use super::{Check, Level, trust, within};
use crate::agents::{self, Agent};
use crate::config::variable;
use crate::format::error_text;
use crate::install::file::{self, FileError};
use crate::install::hooks::{self, OwnFileState, State};
use crate::install::layers::{self, Layer};
use crate::os::program::{CLIENT, SHORT, same_file};

const NAME: &str = "hooks";
const INSTALL: &str = "agent-console install --hooks";
const INSTALL_STATUS_LINE: &str = "agent-console install --statusline";

/// Whether an agent's hooks can report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HookState {
    /// They are in place.
    Right,
    /// `install` puts them in place.
    Missing,
    /// Something else is needed, which the check of the hooks says.
    Blocked,
}

impl HookState {
    /// By the check of the hooks.
    pub(super) fn of(check: &Check) -> Self {
        match (check.level, check.fix.as_deref()) {
            (Level::Ok | Level::Note, _) => Self::Right,
            (Level::Wrong, Some(INSTALL | INSTALL_STATUS_LINE)) => Self::Missing,
            (Level::Wrong, _) => Self::Blocked,
        }
    }

    /// Adds the command that makes them report, if `install` is that.
    pub(super) fn fix(self, check: Check) -> Check {
        match self {
            Self::Missing => check.fix(INSTALL),
            Self::Right | Self::Blocked => check,
        }
    }
}

/// More events than this are counted only.
const NAMED: usize = 4;

/// What the settings of an agent come to.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) agent: &'static Agent,
    /// Why this user cannot write the settings, and the file at the end of their links.
    pub(super) refusal: Option<(PathBuf, String)>,
    /// What happens because the agent lacks something that it needs for its hooks.
    pub(super) lacking: Option<&'static str>,
    /// What the agent says of a person's trust, if it wants that and everything else is in place.
    pub(super) trust: Option<trust::Answer>,
    pub(super) seen: Seen,
}

/// What was seen of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// The settings, or the record beside them, cannot be read.
    Broken {
        /// Why; names the file.
        why: String,
        /// The command that fixes it.
        fix: String,
    },
    /// The settings, and what is at the end of the path of each program that hooks call, and of the status line's.
    Settings {
        state: State,
        layers: Vec<Layer>,
        /// Of these layers: files whose hooks of ours call something else.
        strays: Vec<(PathBuf, PathBuf, Called)>,
        programs: Vec<(PathBuf, Called)>,
        status_line: Option<(PathBuf, Called)>,
    },
}

/// What a hook or the status line calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Called {
    /// This program.
    This,
    /// Another file that can be run.
    Other,
    /// Nothing that can be run.
    Nothing,
}

/// Reads the agent's settings below `directory`, and those that count beside them for sessions that start in one of
/// `projects`.
pub(super) fn probe(agent: &'static Agent, directory: &Path, projects: &[PathBuf]) -> Probe {
    let read = within({
        let (directory, projects) = (directory.to_owned(), projects.to_vec());
        move || {
            let state = hooks::state(agent, &directory).map_err(|error| {
                let settings = directory.join(agent.install.settings);
                (error_text(&error), fix_of(&error, &settings))
            })?;
            Ok((state, layers::read(agent, &directory, &projects)))
        }
    });
    let settings = directory.join(agent.install.settings);
    let late = || {
        let path = settings.display();
        Err((format!("{path} cannot be read within 2 s"), edit(&settings)))
    };
    let seen = match read.unwrap_or_else(late) {
        Ok((state, layers)) => {
            let programs = state.programs.iter();
            let line = state.status_line.as_ref().and_then(|line| {
                let program = found_by_shell(&line.program)?;
                let called = called(&program);
                Some((program, called))
            });
            Seen::Settings {
                programs: programs.map(|path| (path.clone(), called(path))).collect(),
                status_line: line,
                state,
                strays: strays(&layers),
                layers,
            }
        }
        Err((why, fix)) => Seen::Broken { why, fix },
    };
    let refusal = file::refusal(&settings);
    let trust = match &seen {
        Seen::Settings {
            state, programs, ..
        } if state.missing.is_empty() && all_this(programs) => {
            trust::probe(agent, directory, state)
        }
        Seen::Settings { .. } | Seen::Broken { .. } => None,
    };
    Probe {
        agent,
        refusal: refusal.map(|(path, why)| (path, why.to_string())),
        lacking: hooks::lacking(agent, directory),
        trust,
        seen,
    }
}

/// What makes `settings` readable, or another file that `error` names.
fn fix_of(error: &anyhow::Error, settings: &Path) -> String {
    let anew = |path: &Path| format!("{} && {INSTALL}", move_away(path));
    match error.downcast_ref::<FileError>() {
        Some(FileError::Io { path, source, .. })
            if source.kind() == ErrorKind::PermissionDenied =>
        {
            match file::resolve(path) {
                // The owner of the directory may replace another user's file in it.
                Ok(target) if is_anothers(&target) => anew(path),
                // To be written, too.
                _ => readable(path, "u+rw"),
            }
        }
        // No file, a link that leads to itself.
        Some(
            FileError::Io { path, .. }
            | FileError::Linked { path, .. }
            | FileError::Refused { path, .. },
        ) => anew(path),
        Some(FileError::Changed { .. }) => INSTALL.to_owned(),
        // What they say is wrong.
        None => edit(settings),
    }
}

fn is_anothers(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    std::fs::metadata(path).is_ok_and(|found| found.uid() != own)
}

/// There are hooks, and each calls this program.
fn all_this(programs: &[(PathBuf, Called)]) -> bool {
    let all = programs.iter().all(|(_, called)| *called == Called::This);
    all && !programs.is_empty()
}

fn strays(layers: &[Layer]) -> Vec<(PathBuf, PathBuf, Called)> {
    let hooks = layers.iter().flat_map(|layer| {
        let programs = layer.inspected.found.iter();
        programs.map(|found| (layer.path.clone(), PathBuf::from(&found.program)))
    });
    let mut strays: Vec<_> = hooks
        .map(|(file, program)| {
            let called = called(&program);
            (file, program, called)
        })
        .filter(|(.., called)| *called != Called::This)
        .collect();
    strays.dedup();
    strays
}

fn called(program: &Path) -> Called {
    // A relative one is looked for wherever the agent happens to be.
    let found = program.is_absolute().then(|| std::fs::metadata(program));
    match found {
        Some(Ok(found)) if found.is_file() && found.permissions().mode() & 0o111 != 0 => {
            if own_programs().iter().any(|own| same_file(own, program)) {
                Called::This
            } else {
                Called::Other
            }
        }
        _ => Called::Nothing,
    }
}

/// The file that a shell would run for this word; `None` where it depends on the shell's variables. One that is nowhere
/// stays as it is.
fn found_by_shell(word: &str) -> Option<PathBuf> {
    if word.contains(['$', '`']) {
        return None;
    }
    if let Some(below) = word.strip_prefix("~/") {
        return Some(PathBuf::from(variable("HOME")?).join(below));
    }
    if word.contains('/') {
        return Some(word.into());
    }
    let search = variable("PATH").unwrap_or_default();
    let mut there = std::env::split_paths(&search).map(|directory| directory.join(word));
    let found = there.find(|path| called(path) != Called::Nothing);
    Some(found.unwrap_or_else(|| word.into()))
}

impl Probe {
    /// The program whose run is worth measuring: the hooks' own, if it is one of ours by name.
    pub(super) fn program(&self) -> Option<PathBuf> {
        let Seen::Settings { programs, .. } = &self.seen else {
            return None;
        };
        let ours = |path: &Path| {
            let name = path.file_name();
            name.is_some_and(|name| name == CLIENT || name == SHORT)
        };
        programs
            .iter()
            .find(|(path, called)| {
                *called == Called::This || *called == Called::Other && ours(path)
            })
            .map(|(path, _)| path.clone())
    }
}

/// No agent of this list has its configuration directory, nor has any other.
pub(super) fn no_agent(absent: &[(&'static Agent, PathBuf)]) -> Check {
    let absent = absent.iter().map(|(agent, directory)| {
        let directory = directory.display();
        format!("no {} here: {directory} is not there", agent.title)
    });
    let what = absent.collect::<Vec<_>>().join(", ");
    if what.is_empty() {
        return Check::note(
            NAME,
            "HOME is not set to an absolute path: there are no settings to read",
        );
    }
    Check::note(NAME, what)
}

/// The agents' variables that name no directory, each once.
pub(super) fn refused_variables() -> Vec<Check> {
    let refused = agents::ALL.iter().filter_map(|agent| {
        let why = agents::config_dir_refusal(agent.config_dir, variable)?;
        Some(Check::wrong(NAME, why).fix(format!("unset {}", agent.config_dir.variable)))
    });
    refused.collect()
}

/// The configuration names a directory that does not exist.
pub(super) fn named_and_absent(directory: &Path) -> Check {
    let directory = directory.display();
    let what = format!("`config_dirs` in the configuration names {directory}, which is not there");
    Check::note(NAME, what)
}

pub(super) fn evaluate(probe: &Probe) -> Check {
    let mut check = evaluate_settings(probe);
    let (Some((path, why)), Some(fix)) = (&probe.refusal, &check.fix) else {
        return check;
    };
    // Each of the two would fail.
    if [INSTALL, INSTALL_STATUS_LINE].contains(&&**fix) {
        let path = path.display();
        check.what = format!(
            "{}; {path} cannot be written ({why}): make the change that `{fix} --dry-run` shows, or where that file is generated",
            check.what
        );
        check.fix = None;
    }
    check
}

fn evaluate_settings(probe: &Probe) -> Check {
    let install = &probe.agent.install;
    let (state, layers, strays, programs, status_line) = match &probe.seen {
        Seen::Broken { why, fix } => return Check::wrong(NAME, why).fix(fix),
        Seen::Settings {
            state,
            layers,
            strays,
            programs,
            status_line,
        } => (state, layers, strays, programs, status_line),
    };
    let settings = state.settings.display();
    let wrong = |what: String| Check::wrong(NAME, format!("{settings}: {what}"));
    if let Some(silence) = layers::silence(layers, state, install.events) {
        let check = Check::wrong(NAME, silence.to_string());
        return if silence.is_editable() {
            check.fix(edit(&silence.path))
        } else {
            check
        };
    }
    match state.own_file {
        Some(OwnFileState::Missing) => return wrong("is not there".into()).fix(INSTALL),
        Some(OwnFileState::Outdated) => {
            return wrong("is for another program or version".into()).fix(INSTALL);
        }
        Some(OwnFileState::Edited) => {
            let path = quote(&state.settings);
            let what = "was edited, so `install` leaves it alone";
            return wrong(what.into()).fix(format!("mv {path} {path}.old && {INSTALL}"));
        }
        Some(OwnFileState::Current) | None => {}
    }
    let managed = layers::managed_events(layers);
    let missing = state.missing.iter().copied();
    let missing: Vec<_> = missing.filter(|event| !managed.contains(event)).collect();
    if state.own_file.is_none() && missing.len() == install.events.len() {
        return wrong("calls no hook of ours".into()).fix(INSTALL);
    }
    if !missing.is_empty() {
        let mut named: Vec<_> = missing.iter().take(NAMED).copied().collect();
        if missing.len() > NAMED {
            named.push("…");
        }
        let what = format!(
            "{} of {} events missing: {}",
            missing.len(),
            install.events.len(),
            named.join(", ")
        );
        return wrong(what).fix(INSTALL);
    }
    let of = |wanted| programs.iter().find(|(_, called)| *called == wanted);
    if let Some((path, _)) = of(Called::Nothing) {
        return wrong(format!("calls {}, which cannot be run", quote(path))).fix(INSTALL);
    }
    if let Some((path, _)) = of(Called::Other) {
        let what = format!("calls {}, which is not this program", quote(path));
        return wrong(what).fix(INSTALL);
    }
    if let Some((file, program, called)) = strays.first() {
        let why = match called {
            Called::Nothing => "cannot be run",
            Called::This | Called::Other => "is not this program",
        };
        let (file, program) = (file.display(), quote(program));
        // `install` leaves these files to their owners.
        return Check::wrong(
            NAME,
            format!("{file}: calls {program}, which {why}; correct it there"),
        );
    }
    let why = match status_line {
        Some((_, Called::This)) | None => {
            let mut check = all_right(state, layers);
            if let Some(why) = probe.lacking {
                check = Check::note(NAME, format!("{}; {why}", check.what));
            }
            return trust::evaluate(check, probe.agent, probe.trust.as_ref());
        }
        Some((path, Called::Nothing)) => format!("{}, which cannot be run", quote(path)),
        Some((path, Called::Other)) => format!("{}, which is not this program", quote(path)),
    };
    wrong(format!("the status line calls {why}")).fix(INSTALL_STATUS_LINE)
}

/// Every event calls this program. The agent runs a hook once that several files register in the same form, and one in
/// another form beside it: the daemon treats a repeated event as one.
fn all_right(state: &State, layers: &[Layer]) -> Check {
    let own = (!state.programs.is_empty()).then(|| state.settings.display());
    let others = layers
        .iter()
        .filter(|layer| !layer.inspected.found.is_empty());
    let others = others.map(|layer| layer.path.display());
    let files: Vec<_> = own
        .into_iter()
        .chain(others)
        .map(|path| path.to_string())
        .collect();
    let what = format!("{}: every event calls this program", files.join(" and "));
    if state.status_line_lost {
        let what = format!(
            "{what}; the status line that `install` had put there is gone (`agent-console uninstall --statusline` if that is right)"
        );
        return Check::note(NAME, what).fix(INSTALL_STATUS_LINE);
    }
    match files.len() {
        0 | 1 => Check::ok(NAME, what),
        _ => Check::note(NAME, format!("{what}; one of these files is enough")),
    }
}
