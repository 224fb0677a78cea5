//! One file a command: what a person types, done with blocking std IO. Called by `main` once the hook is ruled out.
//!
//! This file owns the command line's grammar and the one table from error to exit code.

mod bar;
mod completions;
pub mod config;
mod demo;
mod diff;
mod doctor;
mod examples;
mod explain;
mod get;
mod install;
mod list;
mod man;
mod next;
mod remove;
mod report;
mod status;
mod statusline;
mod stop;
mod uninstall;
mod usage;
mod wait;
mod watch;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::client::{Client, ClientError};
use crate::config::socket_path;
use crate::daemon::{self, listener::launchd::ActivateSocket};
use crate::dashboard;
use crate::format::print_error as complain;
use crate::hook;
use crate::protocol::SessionParams;

/// Something failed.
const FAILURE: u8 = 1;
/// The command line is wrong: clap's own code.
const USAGE: u8 = 2;
/// There is no daemon to reach.
const NO_DAEMON: u8 = 3;
/// What was waited for did not come in time: what timeout(1) says, too.
const TIMED_OUT: u8 = 124;

/// Knows what every coding agent on this machine is doing.
///
/// Agents' hooks report to a daemon that a service manager starts on the first connection; these commands ask it.
#[derive(Debug, Parser)]
#[command(name = "agent-console", version, after_help = examples::PROGRAM)]
struct Cli {
    /// The daemon's socket [default: `$AGENT_CONSOLE_SOCKET`, the configuration's, /tmp/agent-console.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: on the socket that a service manager passes, else on one of its own
    #[command(after_help = examples::DAEMON)]
    Daemon {
        /// Go to the background; return once it listens, and print its process id
        #[arg(long)]
        daemonize: bool,
        /// Serve in this process, though `agent-consoled` lies beside it: that is of another version
        #[arg(long, hide = true)]
        in_process: bool,
    },
    /// Report an agent's event, read from standard input; what agents call
    #[command(after_help = examples::HOOK)]
    Hook {
        /// Which agent calls
        #[arg(default_value = "claude-code")]
        agent: String,
    },
    /// Show every session, full-screen; what the bare command does on a terminal
    #[command(after_help = examples::DASHBOARD)]
    Dashboard,
    /// List the sessions
    List(list::Options),
    /// Show one session
    #[command(after_help = get::EXAMPLES)]
    Get(OneSession),
    /// Show why a session has the status it has: the evidence, oldest to newest
    #[command(after_help = examples::EXPLAIN)]
    Explain(OneSession),
    /// Show each change as it comes
    Watch(watch::Options),
    /// Wait until sessions need a person, or are idle, waiting or closed
    Wait(wait::Options),
    /// Show who has needed a person for longest, and where to find it
    Next(next::Options),
    /// Draw Claude Code's status line, and report what it knows
    #[command(after_help = statusline::EXAMPLES)]
    Statusline(statusline::Options),
    /// Show the account's limits
    #[command(after_help = usage::EXAMPLES)]
    Usage(usage::Options),
    /// Tell how the daemon is
    #[command(after_help = status::EXAMPLES)]
    Status(Json),
    /// Set a session's status from a script
    #[command(after_help = examples::REPORT)]
    Report(report::Options),
    /// Forget a session
    #[command(after_help = examples::REMOVE)]
    Remove(OneSession),
    /// Stop the daemon; warns if dashboards are connected
    #[command(after_help = examples::STOP)]
    Stop(stop::Options),
    /// Look after the configuration file
    #[command(after_help = examples::CONFIG)]
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Put the service files, the agents' hooks and the status line in place
    #[command(after_help = install::EXAMPLES)]
    Install(install::Options),
    /// Take away what `install` put in place
    #[command(after_help = uninstall::EXAMPLES)]
    Uninstall(install::Options),
    /// Tell what is wrong with the installation, and what mends it
    #[command(after_help = examples::DOCTOR)]
    Doctor(Json),
    /// Print one line for a status bar: how many wait, how many work
    #[command(after_help = examples::BAR)]
    Bar(bar::Options),
    /// Print a script that completes the command line in a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions(completions::Options),
    /// Print the manual, or write a page for each command
    #[command(after_help = examples::MAN)]
    Man(man::Options),
    /// Show it at work: recorded agents, played to a private daemon
    #[command(after_help = examples::DEMO)]
    Demo(demo::Options),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the file's path
    Path,
    /// Print the settings in force and where each comes from
    Show,
    /// Tell whether the file is right
    Check,
    /// Write a commented file to start from
    Init,
}

/// For a command whose answer a script reads.
#[derive(Debug, Args)]
struct Json {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// For a command about one session.
#[derive(Debug, Args)]
struct OneSession {
    /// A key, a session id, or a unique prefix of either
    session: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl OneSession {
    fn params(&self) -> SessionParams {
        SessionParams {
            session: self.session.clone(),
        }
    }
}

/// Reads the command line and does what it says. `launchd`: launchd's call, where there is launchd.
#[must_use]
pub fn run(launchd: Option<ActivateSocket>) -> ExitCode {
    let cli = match Cli::try_parse().or_else(or_dashboard) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe (`--help | head`) is not worth a complaint.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let done = match &cli.command {
        // Its status is its own to say.
        Command::Statusline(options) => {
            let out = &mut io::stdout().lock();
            Ok(statusline::run(options, cli.socket.as_deref(), out))
        }
        Command::Usage(options) if options.fetch => usage::fetch(&mut io::stdout().lock()),
        _ => execute(cli, launchd).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| exit_code(&error))
}

/// A command line without a command is the dashboard's, where there is a terminal for one.
fn or_dashboard(error: clap::Error) -> Result<Cli, clap::Error> {
    let bare = matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    );
    if bare && io::stdin().is_terminal() && io::stdout().is_terminal() {
        let line = std::env::args_os().chain(["dashboard".into()]);
        // What lacks a command of its own (`config`) has no such command.
        return Cli::try_parse_from(line).map_err(|_| error);
    }
    Err(error)
}

fn execute(cli: Cli, launchd: Option<ActivateSocket>) -> anyhow::Result<()> {
    let socket = cli.socket;
    let connect = || -> anyhow::Result<Client> {
        Ok(Client::connect(&socket_path(socket.as_deref())?.path)?)
    };
    let out = &mut io::stdout().lock();
    match cli.command {
        Command::Daemon {
            daemonize,
            in_process,
        } => {
            let options = daemon::Options {
                socket,
                daemonize,
                launchd,
            };
            daemon::program::become_service(&options, in_process)
        }
        // Dealt with in `main`, unless an option came before the word.
        Command::Hook { agent } => {
            hook::run(&agent, socket.as_deref());
            Ok(())
        }
        Command::Dashboard => dashboard::run(&socket_path(socket.as_deref())?.path),
        Command::List(options) => list::run(&options, &mut connect()?, out),
        Command::Get(session) => get::run(&session, &mut connect()?, out),
        Command::Explain(session) => explain::run(&session, &mut connect()?, out),
        Command::Watch(options) => watch::run(&options, &socket_path(socket.as_deref())?.path, out),
        Command::Wait(options) => wait::run(&options, &socket_path(socket.as_deref())?.path, out),
        Command::Next(options) => next::run(&options, &mut connect()?, out),
        Command::Status(options) => status::run(&options, &mut connect()?, out),
        // Dealt with in `run`.
        Command::Statusline(_) => Ok(()),
        Command::Usage(options) => usage::run(&options, &mut connect()?, out),
        Command::Report(options) => report::run(&options, &mut connect()?, out),
        Command::Remove(session) => remove::run(&session, &mut connect()?, out),
        Command::Stop(options) => stop::run(&options, connect()?, out),
        Command::Config { command } => match command {
            ConfigCommand::Path => config::path(out),
            ConfigCommand::Show => config::show(socket.as_deref(), out),
            ConfigCommand::Check => config::check(out),
            ConfigCommand::Init => config::init(out),
        },
        Command::Install(options) => install::run(options, socket.as_deref(), out),
        Command::Uninstall(options) => uninstall::run(options, out),
        Command::Doctor(options) => doctor::run(&options, socket.as_deref(), out),
        Command::Bar(options) => bar::run(&options, &socket_path(socket.as_deref())?.path, out),
        Command::Completions(options) => completions::run(&options, Cli::command(), out),
        Command::Man(options) => man::run(&options, Cli::command(), out),
        Command::Demo(options) => demo::run(&options, out),
    }
}

/// The one table from error to exit code; says what is wrong on standard error.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        let kind = match cause.downcast_ref::<serde_json::Error>() {
            // It does not name the error that it stands for as its source.
            Some(error) => error.io_error_kind(),
            None => cause.downcast_ref().map(io::Error::kind),
        };
        kind == Some(io::ErrorKind::BrokenPipe)
    };
    // Whoever read our output has had enough.
    if error.chain().any(broken_pipe) {
        return ExitCode::SUCCESS;
    }
    complain(error);
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::NoDaemon { .. }) => ExitCode::from(NO_DAEMON),
        _ if error.is::<wait::TimedOut>() => ExitCode::from(TIMED_OUT),
        _ => ExitCode::from(FAILURE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }
}
