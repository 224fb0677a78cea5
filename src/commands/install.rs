//! `install`: puts the service's files, the hooks and the status line in place, or shows what it would do.
//!
//! Also owns how a plan is carried out and printed, for `uninstall`. Service and settings are two steps: if one fails, the
//! other is still done.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde::de::IgnoredAny;

use super::{diff, trust};
use crate::agents::{self, Agent};
use crate::client::Client;
use crate::config::{client_socket, variable};
use crate::format;
use crate::format::print_error;
use crate::install::file::{self, Change, FileError};
use crate::install::layers::{self, Silence};
use crate::install::plan::{self, Plan, Step};
use crate::install::settings::StatusLineRequest;
use crate::install::{hooks, leftover, notify, program, service};

/// An agent, and one of its configuration directories.
pub(super) type Place = (&'static Agent, PathBuf);

/// What to install or to take away, and whether only to show it.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) parts: Parts,
    /// Only this agent's settings, also if it is not there yet; may be repeated [default: every agent that is there]
    #[arg(long = "agent", value_name = "NAME", value_parser = agent_named)]
    pub(super) agents: Vec<&'static Agent>,
    /// Change nothing: show the differences, and the commands that would run
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// What `install` is called with.
#[derive(Debug, Clone, Args)]
pub(super) struct InstallOptions {
    #[command(flatten)]
    pub(super) options: Options,
    /// Have agents that run only trusted hooks trust these, and no others
    #[arg(long)]
    trust: bool,
}

/// The parts that are named; any of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a word of the command line"
)]
pub(super) struct Parts {
    /// The service: the files and commands for systemd or launchd
    #[arg(long)]
    pub(super) service: bool,
    /// The hooks in the agents' settings
    #[arg(long)]
    pub(super) hooks: bool,
    /// The status line in the agents' settings
    #[arg(long)]
    pub(super) statusline: bool,
    /// Notifications of the desktop: a line in the configuration
    #[arg(long)]
    pub(super) notify: bool,
}

/// Examples for `install --help`.
pub(super) const EXAMPLES: &str =
    "Without --service, --hooks, --statusline or --notify it is service and hooks. An agent is there if it has run, or if its program
is in PATH; the settings of others are left alone, unless --agent names them. Running it again changes nothing, unless the
program has moved or is newer. A status line that you have is kept: its command still runs, and shows the same.

Examples:
  agent-console install --dry-run      what it would do
  agent-console install                service and hooks
  agent-console install --statusline   the status line, which shows context, cost and the account's limits
  agent-console install --notify       notifications of the desktop, when a session needs you
  agent-console install --hooks        hooks alone, to start the daemon by hand
  agent-console install --trust        service and hooks; agents that run only trusted hooks trust these at once
  agent-console uninstall              takes away what it put there, and nothing else";

pub(super) fn run(
    InstallOptions { options, trust }: &InstallOptions,
    socket: Option<&Path>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let client = program::path()?;
    let program = program::for_settings(client.clone());
    let parts = options.parts;
    let unnamed = !parts.any();
    let hooks = parts.hooks || unnamed;
    let status_line = match parts.statusline {
        true => StatusLineRequest::Install,
        // Whether to have it is a person's choice; its program's path is not.
        false if unnamed => StatusLineRequest::Update,
        false => StatusLineRequest::Keep,
    };
    let parts = Parts {
        service: parts.service || unnamed,
        hooks,
        ..parts
    };
    let places = options.places(hooks::install_dirs);
    if parts.in_settings().is_some()
        && let Some(found) = found(&places)
    {
        writeln!(out, "{found}")?;
    }
    if *trust && !hooks {
        bail!("--trust is for hooks: add --hooks");
    }
    let carried_out = options.carry_out(
        parts,
        &places,
        out,
        Plans {
            service: || service::plan_install(&client, socket),
            notify: notify::plan_install,
        },
        |agent, directory| hooks::plan_install(agent, directory, &program, hooks, status_line),
    );
    let mut lines = Vec::new();
    let trusted = if *trust {
        trust::grant(&places, &program, options.dry_run, &mut lines)
    } else {
        Ok(())
    };
    let written = lines
        .iter()
        .try_for_each(|line| writeln!(out, "{}", format::sanitize(line)));
    let changed = match (carried_out, trusted) {
        (Ok(changed), Ok(())) => changed,
        (Ok(_), Err(error)) | (Err(error), Ok(())) => return Err(error),
        (Err(error), Err(earlier)) => {
            print_error(&earlier);
            return Err(error);
        }
    };
    written?;
    if parts.notify && !options.dry_run && reload(socket) {
        writeln!(out, "the daemon has read its configuration again")?;
    }
    if hooks {
        for note in silences(&places) {
            writeln!(out, "{}", format::sanitize(&format!("note: {note}")))?;
        }
        for note in notes(&changed, *trust) {
            writeln!(out, "note: {note}")?;
        }
    }
    Ok(())
}

/// Has the daemon read its configuration, if one answers.
fn reload(socket: Option<&Path>) -> bool {
    let client = client_socket(socket).ok();
    let client = client.and_then(|socket| Client::connect(&socket.path).ok());
    let none = serde_json::Map::new();
    let reloaded = client.map(|mut client| client.call::<_, IgnoredAny>("daemon.reload", &none));
    reloaded.is_some_and(|reloaded| reloaded.is_ok())
}

/// The agents whose settings are changed, if there are several.
fn found(places: &[Place]) -> Option<String> {
    let mut titles: Vec<_> = places.iter().map(|(agent, _)| agent.title).collect();
    titles.dedup();
    (titles.len() > 1).then(|| format!("agents: {}", titles.join(", ")))
}

/// What a person must know after the hooks at these places have changed; `trusted`: the agents trust them.
fn notes(changed: &[Place], trusted: bool) -> Vec<String> {
    let of = |(agent, directory): &Place| {
        let lacking = hooks::lacking(agent, directory);
        let known = [agent.install.after_change, lacking].into_iter().flatten();
        let trust = trust::note(agent).filter(|_| !trusted);
        known.map(str::to_owned).chain(trust)
    };
    let mut notes: Vec<_> = changed.iter().flat_map(of).collect();
    notes.dedup();
    notes
}

/// What keeps the hooks at `places` from running, in the settings that count there or for a session that starts here.
fn silences(places: &[Place]) -> Vec<Silence> {
    let here = Vec::from_iter(std::env::current_dir().ok());
    let silence = |(agent, directory): &Place| {
        let state = hooks::state(agent, directory).ok()?;
        let layers = layers::read(agent, directory, &here);
        layers::silence(&layers, &state, agent.install.events)
    };
    let mut silences: Vec<_> = places.iter().filter_map(silence).collect();
    silences.dedup();
    silences
}

/// The value of `--agent`.
fn agent_named(name: &str) -> Result<&'static Agent, String> {
    agents::find(name).ok_or_else(|| {
        let names: Vec<_> = agents::ALL.iter().map(|agent| agent.name).collect();
        format!("no agent has this name; there are: {}", names.join(", "))
    })
}

/// What is printed if there are no settings to change.
fn none_present(part: &str) -> String {
    let known = agents::ALL.iter().map(|agent| {
        let (title, name) = (agent.title, agent.name);
        format!("{title} has not run, and `{}` is not in PATH (`--agent {name}` writes its settings all the same)", agent.program)
    });
    let known: Vec<_> = known.collect();
    format!("{part}: no agent is there: {}", known.join("; "))
}

/// The plans for what is not in the agents' settings.
pub(super) struct Plans<S, N> {
    pub(super) service: S,
    pub(super) notify: N,
}

impl Parts {
    /// True if any is named.
    pub(super) fn any(self) -> bool {
        self.service || self.hooks || self.statusline || self.notify
    }

    /// What is in the agents' settings, as people call it.
    fn in_settings(self) -> Option<&'static str> {
        match (self.hooks, self.statusline) {
            (true, true) => Some("hooks and status line"),
            (true, false) => Some("hooks"),
            (false, true) => Some("status line"),
            (false, false) => None,
        }
    }
}

impl Options {
    /// The configuration directories that `of` gives for each agent that `--agent` names (`true`), without it for every
    /// agent.
    pub(super) fn places(&self, of: impl Fn(&Agent, bool) -> Vec<PathBuf>) -> Vec<Place> {
        let is_named = !self.agents.is_empty();
        let places = |&agent: &&'static Agent| {
            let directories = of(agent, is_named).into_iter();
            directories.map(move |directory| (agent, directory))
        };
        self.agents().iter().flat_map(places).collect()
    }

    /// The agents that `--agent` names, without it every agent.
    fn agents(&self) -> &[&'static Agent] {
        if self.agents.is_empty() {
            agents::ALL
        } else {
            &self.agents
        }
    }

    /// Carries out the plans for `parts`: of the service, and of the settings at each of `places`. If several fail, the last error is
    /// returned and the others are printed. Returns the places whose settings changed.
    pub(super) fn carry_out(
        &self,
        parts: Parts,
        places: &[Place],
        out: &mut impl Write,
        plans: Plans<
            impl FnOnce() -> anyhow::Result<Plan>,
            impl FnMut() -> anyhow::Result<Option<Change>>,
        >,
        mut settings: impl FnMut(&'static Agent, &Path) -> anyhow::Result<Vec<Change>>,
    ) -> anyhow::Result<Vec<Place>> {
        let mut changed = Vec::new();
        let mut progress = Progress { out, failed: None };
        if let Some(note) = sudo_note() {
            progress.line(&format!("note: {note}"));
        }
        if !self.dry_run {
            for path in leftover::sweep() {
                let path = path.display();
                progress.line(&format!("removed {path}, which an earlier run has left"));
            }
        }
        let mut failed = None;
        // First: a file that was made for the service's line is removed with that line.
        if parts.notify {
            let mut plan = plans.notify;
            let plan = || Ok(Vec::from_iter(plan()?));
            let done = self.carry_out_settings(plan, &mut progress);
            if self.parts.notify && done.as_ref().is_ok_and(Vec::is_empty) {
                progress.line("notify: nothing to do");
            }
            failed = done.context("notify").err();
        }
        if parts.service {
            let done = (plans.service)();
            let done = done.and_then(|plan| self.carry_out_service(&plan, &mut progress));
            if let Err(error) = done.context("service")
                && let Some(earlier) = failed.replace(error)
            {
                print_error(&earlier);
            }
        }
        if let Some(name) = parts.in_settings() {
            let mut all_in_place = true;
            let mut fail = |error| {
                if let Some(earlier) = failed.replace(error) {
                    print_error(&earlier);
                }
            };
            let refused = self.agents().iter();
            let refused =
                refused.filter_map(|agent| agents::config_dir_refusal(agent.config_dir, variable));
            for why in refused.collect::<BTreeSet<_>>() {
                fail(anyhow!("{name}: {why}; set it to one, or unset it"));
            }
            for (agent, directory) in places {
                let plan = || settings(agent, directory);
                let done = self.carry_out_settings(plan, &mut progress);
                all_in_place &= done.as_ref().is_ok_and(Vec::is_empty);
                if done.as_ref().is_ok_and(|changes| !changes.is_empty()) {
                    changed.push((*agent, directory.clone()));
                }
                if let Err(error) = done.context(name) {
                    fail(error);
                }
            }
            if places.is_empty() && variable("HOME").is_none() {
                fail(anyhow!(
                    "{name}: there is no place for settings: set HOME to an absolute path"
                ));
            } else if places.is_empty() {
                progress.line(&none_present(name));
            } else if all_in_place {
                progress.line(&format!("{name}: nothing to do"));
            }
        }
        match (failed, progress.failed) {
            (Some(error), _) => Err(error),
            (None, Some(error)) => Err(error.into()),
            (None, None) => Ok(changed),
        }
    }

    fn carry_out_service(
        &self,
        plan: &Plan,
        progress: &mut Progress<impl Write>,
    ) -> anyhow::Result<()> {
        for note in &plan.notes {
            progress.line(&format!("note: {note}"));
        }
        for step in &plan.steps {
            match step {
                Step::Change(change) if self.dry_run => progress.difference(change),
                Step::Change(change) => {
                    change.apply()?;
                    progress.done(change);
                }
                Step::Run(words) if self.dry_run => {
                    progress.line(&format!("would run {}", words.join(" ")));
                }
                Step::Run(words) => {
                    plan::run(words)?;
                    progress.line(&format!("ran {}", words.join(" ")));
                }
            }
        }
        match &plan.unmanaged {
            // What was asked for by name is not there afterwards.
            Some(why) if self.parts.service && !self.dry_run => bail!("{why}"),
            Some(why) => progress.line(&format!("note: {why}")),
            None if plan.steps.is_empty() => progress.line("service: nothing to do"),
            None => {}
        }
        Ok(())
    }

    /// Returns the changes that were made or shown.
    fn carry_out_settings(
        &self,
        mut plan: impl FnMut() -> anyhow::Result<Vec<Change>>,
        progress: &mut Progress<impl Write>,
    ) -> anyhow::Result<Vec<Change>> {
        if self.dry_run {
            let changes = plan()?;
            for change in &changes {
                progress.difference(change);
            }
            Ok(changes)
        } else {
            let changes = match file::apply_all(&mut plan) {
                Ok(changes) => changes,
                Err(error) => {
                    let refused = error.downcast_ref::<FileError>();
                    if refused.is_some_and(FileError::is_refused) {
                        progress.by_hand(&plan()?);
                    }
                    return Err(error);
                }
            };
            for change in &changes {
                progress.done(change);
            }
            Ok(changes)
        }
    }
}

/// Prints what was done. A closed pipe (`install | head -1`) does not stop the work.
struct Progress<'a, W> {
    out: &'a mut W,
    failed: Option<io::Error>,
}

impl<W: Write> Progress<'_, W> {
    fn line(&mut self, text: &str) {
        let written = writeln!(self.out, "{}", format::sanitize(text));
        self.failed = self.failed.take().or(written.err());
    }

    fn difference(&mut self, change: &Change) {
        let written = diff::print(self.out, change, format::is_coloured());
        self.failed = self.failed.take().or(written.err());
    }

    /// The changes of settings that this program cannot write: their owner, or what generates them, has to.
    fn by_hand(&mut self, changes: &[Change]) {
        // The undo record means nothing without them; it is the only file that is not the agent's.
        for change in changes
            .iter()
            .filter(|change| !hooks::is_record(&change.path))
        {
            let path = change.path.display();
            self.line(&format!(
                "note: {path} cannot be written; if another program generates it, make this change there:"
            ));
            self.difference(change);
        }
    }

    fn done(&mut self, change: &Change) {
        let done = match (&change.before, &change.after) {
            (_, None) => "removed",
            (None, Some(_)) => "wrote",
            (Some(_), Some(_)) => "changed",
        };
        self.line(&format!("{done} {}", change.path.display()));
    }
}

/// Root by `sudo` may mean either home; `HOME` decides, and this note says which.
fn sudo_note() -> Option<String> {
    let user = variable("SUDO_USER").filter(|user| user != "root")?;
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let home = variable("HOME")?;
    Some(format!(
        "run as root by sudo, so this concerns root and the home directory {}; for {} run it without sudo",
        home.display(),
        user.display()
    ))
}
