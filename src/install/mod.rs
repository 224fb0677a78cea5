//! Puts the service files, the agents' hooks and the status line in place, and takes them away exactly.
//!
//! | file | what it is |
//! |---|---|
//! | [`mod@file`] | one file's change: planned, shown as a diff, carried out atomically |
//! | [`settings`] | an agent's settings as text: what is ours in, what is ours out; pure |
//! | [`hooks`] | which files that concerns, and what is remembered to undo it byte for byte |
//! | [`trust`] | the trust in hooks that some agents want from a person: asked for, given, taken back through the agent |
//! | [`layers`] | other settings that count for an agent, and whether they keep its hooks from running |
//! | [`plan`] | files and commands, in order; how the service stands |
//! | [`service`] | which manager there is, and its plan |
//! | [`systemd`], [`launchd`] | each manager's files and commands |
//! | [`socket`] | the path that daemon, hooks and clients agree on; the configuration's line for it |
//! | [`notify`] | the configuration's line that switches notifications on |
//! | [`stamp`] | how a service file is recognised as written by `install` and not edited since |
//! | `config_line` | a line of ours in the configuration: how it is marked and taken out again |
//! | [`leftover`] | what a run that was killed has left behind |
//! | [`program`] | the path of this program that will still be right tomorrow |
//!
//! Everything is planned first and carried out after, so that `--dry-run` shows what would happen. Called by
//! `commands::install`, `commands::uninstall` and `commands::doctor`; knows nothing of a running daemon.

mod checksum;
mod config_line;
pub(crate) mod file;
pub(crate) mod hooks;
pub(crate) mod launchd;
pub(crate) mod layers;
pub(crate) mod leftover;
pub(crate) mod notify;
pub(crate) mod plan;
pub(crate) mod program;
pub(crate) mod service;
pub(crate) mod settings;
pub(crate) mod socket;
pub(crate) mod stamp;
pub(crate) mod systemd;
pub(crate) mod trust;
