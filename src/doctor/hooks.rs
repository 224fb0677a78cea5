//! The hooks: whether the agents' settings call this program on every event; and whether the status line, if it is ours,
//! calls it, too.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::fix::{edit, quote};
use super::programs::own_programs;
use super::{Check, within};
use crate::agents;
use crate::config::variable;
use crate::install::hooks::{self, State};
use crate::os::program::same_file;

const NAME: &str = "hooks";
const INSTALL: &str = "agent-console install --hooks";
const INSTALL_STATUS_LINE: &str = "agent-console install --statusline";

/// More events than this are counted only.
const NAMED: usize = 4;

/// What the settings come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probe {
    /// There is no home to look in.
    NoHome,
    /// The agent has never run here.
    NoAgent(PathBuf),
    /// The settings cannot be read.
    Broken { directory: PathBuf, why: String },
    /// The settings, and what is at the end of the path of each program that hooks call, and of the status line's.
    Settings {
        state: State,
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

/// Reads the settings below the agent's configuration directory.
pub(super) fn probe(directory: Option<PathBuf>) -> Probe {
    let Some(directory) = directory else {
        return Probe::NoHome;
    };
    if !directory.exists() {
        return Probe::NoAgent(directory);
    }
    let read = within({
        let directory = directory.clone();
        move || hooks::state(agents::DEFAULT, &directory).map_err(|error| format!("{error:#}"))
    });
    let late = || Err("it cannot be read within 2 s".to_owned());
    match read.unwrap_or_else(late) {
        Ok(state) => {
            let programs = state.programs.iter();
            let line = state.status_line.as_ref().and_then(|line| {
                let program = found_by_shell(&line.program)?;
                let called = called(&program);
                Some((program, called))
            });
            Probe::Settings {
                programs: programs.map(|path| (path.clone(), called(path))).collect(),
                status_line: line,
                state,
            }
        }
        Err(why) => Probe::Broken { directory, why },
    }
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
        let Self::Settings { programs, .. } = self else {
            return None;
        };
        let ours = |path: &Path| {
            let name = path.file_name();
            name.is_some_and(|name| name == "agent-console" || name == "acd")
        };
        programs
            .iter()
            .find(|(path, called)| {
                *called == Called::This || *called == Called::Other && ours(path)
            })
            .map(|(path, _)| path.clone())
    }
}

pub(super) fn evaluate(seen: &Probe) -> Check {
    let (state, programs, status_line) = match seen {
        Probe::NoHome => {
            return Check::note(NAME, "HOME is not set: there are no settings to read");
        }
        Probe::NoAgent(directory) => {
            let what = format!(
                "no {} here: {} is not there",
                agents::DEFAULT.title,
                directory.display()
            );
            return Check::note(NAME, what);
        }
        Probe::Broken { directory, why } => {
            return Check::wrong(NAME, why)
                .fix(edit(&directory.join(agents::DEFAULT.install.settings)));
        }
        Probe::Settings {
            state,
            programs,
            status_line,
        } => (state, programs, status_line),
    };
    let settings = state.settings.display();
    let wrong = |what: String| Check::wrong(NAME, format!("{settings}: {what}"));
    if state.disabled {
        return wrong("disableAllHooks is set, so that none runs".into())
            .fix(edit(&state.settings));
    }
    if programs.is_empty() {
        return wrong("calls no hook of ours".into()).fix(INSTALL);
    }
    if !state.missing.is_empty() {
        let mut events = state
            .missing
            .iter()
            .take(NAMED)
            .copied()
            .collect::<Vec<_>>();
        if state.missing.len() > NAMED {
            events.push("…");
        }
        let what = format!(
            "{} of {} events missing: {}",
            state.missing.len(),
            agents::DEFAULT.install.events.len(),
            events.join(", ")
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
    let why = match status_line {
        Some((_, Called::This)) | None => {
            return Check::ok(NAME, format!("{settings}: every event calls this program"));
        }
        Some((path, Called::Nothing)) => format!("{}, which cannot be run", quote(path)),
        Some((path, Called::Other)) => format!("{}, which is not this program", quote(path)),
    };
    wrong(format!("the status line calls {why}")).fix(INSTALL_STATUS_LINE)
}
