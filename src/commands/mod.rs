//! The command line: one file for each command, with blocking `std` IO. Called by `main` if the command is not `hook`.
//!
//! This file owns the grammar of the command line and starts the command.

mod agent_filter;
mod args;
mod bar;
mod completions;
pub(crate) mod config;
mod demo;
mod diff;
mod doctor;
mod event;
mod exec;
mod exit;
mod explain;
mod get;
mod go;
mod install;
mod list;
mod longest;
mod man;
mod next;
mod notify;
mod remove;
mod report;
mod seen;
mod status;
mod statusline;
mod stop;
mod trust;
mod uninstall;
mod usage;
mod wait;
mod watch;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use self::args::{Json, OneSession};
use crate::agents;
use crate::client::Client;
use crate::config::client_socket;
use crate::daemon::{self, listener::launchd::ActivateSocket};
use crate::dashboard;
use crate::format::sanitize_lines;
use crate::hook;

const PROGRAM_EXAMPLES: &str =
    "Exit status: 0 success, 1 failure, 2 wrong usage, 3 no daemon answers, 124 time-out (wait).

Examples:
  agent-console demo                      play recorded agents to a private daemon
  agent-console install --dry-run         show what `install` would change
  agent-console                           show every session, full-screen
  agent-console list                      list the open sessions
  agent-console next                      show the session that has needed you for longest
  agent-console go                        go to its terminal
  agent-console wait --any --for attention && notify-send 'An agent needs you'
  agent-console bar --format tmux         print a line for a status bar
  agent-console report build working      report a job of your own";

const DAEMON_EXAMPLES: &str = "Examples:
  agent-console daemon                    run in the foreground, until Ctrl-C
  agent-console daemon --daemonize        run in the background; print the process id
  agent-console daemon --socket /run/x    listen on another socket";

const DASHBOARD_EXAMPLES: &str = "The last line shows the most useful keys, `?` shows all of them.

Examples:
  agent-console                           the same, on a terminal
  agent-console dashboard --agent codex   at first only Codex CLI's sessions
  agent-console demo                      the same, with recorded agents
  tmux display-popup -E 'agent-console dashboard --once'
  tmux split-window -h agent-console dashboard";

const HOOK_EXAMPLES: &str =
    "It prints nothing and always exits 0. `agent-console install` registers it with the agents.

Examples:
  agent-console hook < event.json         pass on an agent's event";

/// Shows what every coding agent on this machine is doing.
///
/// The agents' hooks send events to a daemon, which a service manager starts on the first connection. These commands
/// query the daemon.
#[derive(Debug, Parser)]
#[command(name = "agent-console", version, after_help = PROGRAM_EXAMPLES)]
struct Cli {
    /// The daemon's socket [default: `$AGENT_CONSOLE_SOCKET`, `socket` in the configuration, or /tmp/agent-console.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon, on the socket of the service manager or on one of its own
    #[command(after_help = DAEMON_EXAMPLES)]
    Daemon {
        /// Run in the background: return when the daemon listens, and print its process id
        #[arg(long)]
        daemonize: bool,
        /// Serve in this process, though `agent-consoled` lies beside it: that is of another version
        #[arg(long, hide = true)]
        in_process: bool,
    },
    /// Send an agent's event from standard input to the daemon; agents call this
    #[command(after_help = HOOK_EXAMPLES)]
    Hook {
        /// The agent that calls
        #[arg(default_value = agents::DEFAULT.name)]
        agent: String,
        /// The event's name, for agents whose events do not name themselves
        event: Option<String>,
    },
    /// Show every session, full-screen; the default command on a terminal
    #[command(after_help = DASHBOARD_EXAMPLES)]
    Dashboard {
        /// Only sessions of this agent, until `a` chooses another
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// Leave once `Enter` or `r` has brought you to a session: for a popup
        #[arg(long)]
        once: bool,
    },
    /// List the sessions
    #[command(after_help = list::EXAMPLES)]
    List(list::Options),
    /// Show one session
    #[command(after_help = get::EXAMPLES)]
    Get(OneSession),
    /// Show the evidence for a session's status, the oldest first
    #[command(after_help = explain::EXAMPLES)]
    Explain(OneSession),
    /// Print each change as it happens
    #[command(after_help = watch::EXAMPLES)]
    Watch(watch::Options),
    /// Wait until sessions need a person, or are idle, waiting or closed
    #[command(after_help = wait::EXAMPLES)]
    Wait(wait::Options),
    /// Show the session that has needed a person for longest, and its terminal
    #[command(after_help = next::EXAMPLES)]
    Next(next::Options),
    /// Go to a session's terminal: the pane, the window
    #[command(after_help = go::EXAMPLES)]
    Go(go::Options),
    /// Draw an agent's status line, and send its data to the daemon
    #[command(after_help = statusline::EXAMPLES)]
    Statusline(statusline::Options),
    /// Show the limits of the account
    #[command(after_help = usage::EXAMPLES)]
    Usage(usage::Options),
    /// Show the state of the daemon
    #[command(after_help = status::EXAMPLES)]
    Status(Json),
    /// Set a session's status from a script
    #[command(after_help = report::EXAMPLES)]
    Report(report::Options),
    /// Send events of an agent of your own from standard input to the daemon
    #[command(after_help = event::EXAMPLES)]
    Event(event::Options),
    /// Mark sessions as looked at: those whose turn has ended need you no more
    #[command(after_help = seen::EXAMPLES)]
    Seen(seen::Options),
    /// Remind a person of sessions; the daemon runs this
    #[command(hide = true)]
    Notify(notify::Options),
    /// Remove a session from the daemon's memory
    #[command(after_help = remove::EXAMPLES)]
    Remove(OneSession),
    /// Stop the daemon; warns if dashboards are connected
    #[command(after_help = stop::EXAMPLES)]
    Stop(stop::Options),
    /// Show, check or create the configuration file
    #[command(after_help = config::EXAMPLES)]
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Install the service files, the agents' hooks and the status line
    #[command(after_help = install::EXAMPLES)]
    Install(install::InstallOptions),
    /// Remove what `install` has installed
    #[command(after_help = uninstall::EXAMPLES)]
    Uninstall(install::Options),
    /// Check the installation, and show how to fix it
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Options),
    /// Print one line for a status bar: how many sessions wait, and how many work
    #[command(after_help = bar::EXAMPLES)]
    Bar(bar::Options),
    /// Print a shell's completion script
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::Options),
    /// Print the manual, or write a page for each command
    #[command(after_help = man::EXAMPLES)]
    Man(man::Options),
    /// Play recorded agents to a private daemon
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Options),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the file's path
    Path,
    /// Print the settings in effect, and the source of each
    Show,
    /// Check the file for mistakes
    Check,
    /// Create a commented file with the defaults
    Init,
}

/// Parses the command line and runs the command. `launchd`: launchd's function for its sockets, on macOS.
#[must_use]
pub(crate) fn run(launchd: Option<ActivateSocket>) -> ExitCode {
    let cli = match Cli::try_parse().or_else(or_dashboard) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe (`--help | head`) is no error.
            let _ = print_usage(&error);
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
        }
    };
    let done = match &cli.command {
        // It has exit statuses of its own.
        Command::Statusline(options) => {
            let out = &mut io::stdout().lock();
            Ok(statusline::run(options, cli.socket.as_deref(), out))
        }
        Command::Usage(options) if options.fetch => {
            usage::fetch(options.config_dir.as_deref(), &mut io::stdout().lock())
        }
        _ => execute(cli, launchd).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| exit::report(&error))
}

/// Prints help, the version, or what is wrong with the command line. Such an error repeats the words of the command line,
/// which a script may have from outside: those that could steer a terminal are made harmless, and the text then has no
/// colours.
fn print_usage(error: &clap::Error) -> io::Result<()> {
    let text = error.to_string();
    let clean = sanitize_lines(&text);
    if clean == text.trim_end_matches('\n') {
        return error.print();
    }
    if error.use_stderr() {
        writeln!(io::stderr(), "{clean}")
    } else {
        writeln!(io::stdout(), "{clean}")
    }
}

/// Without a command it is the dashboard, if there is a terminal.
fn or_dashboard(error: clap::Error) -> Result<Cli, clap::Error> {
    let bare = matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    );
    if bare && io::stdin().is_terminal() && io::stdout().is_terminal() {
        let line = std::env::args_os().chain(["dashboard".into()]);
        // `config` without a command has no command `dashboard`.
        return Cli::try_parse_from(line).map_err(|_| error);
    }
    Err(error)
}

fn execute(cli: Cli, launchd: Option<ActivateSocket>) -> anyhow::Result<()> {
    let socket = cli.socket;
    let connect = || -> anyhow::Result<Client> {
        Ok(Client::connect(&client_socket(socket.as_deref())?.path)?)
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
        Command::Hook { agent, event } => {
            hook::run(&agent, event.as_deref(), socket.as_deref());
            Ok(())
        }
        Command::Dashboard { agent, once } => {
            let options = dashboard::Options { agent, once };
            dashboard::run(&client_socket(socket.as_deref())?.path, options)
        }
        Command::List(options) => list::run(&options, &mut connect()?, out),
        Command::Get(session) => get::run(&session, &mut connect()?, out),
        Command::Explain(session) => explain::run(&session, &mut connect()?, out),
        Command::Watch(options) => {
            watch::run(&options, &client_socket(socket.as_deref())?.path, out)
        }
        Command::Wait(options) => wait::run(&options, &client_socket(socket.as_deref())?.path, out),
        Command::Next(options) => next::run(&options, &mut connect()?, out),
        Command::Go(options) => go::run(&options, &mut connect()?, out),
        Command::Status(options) => status::run(&options, &mut connect()?, out),
        // `run` runs it.
        Command::Statusline(_) => Ok(()),
        Command::Usage(options) => usage::run(&options, &mut connect()?, out),
        Command::Report(options) => report::run(&options, &mut connect()?, out),
        Command::Event(options) => event::run(&options, &mut connect()?, out),
        Command::Seen(options) => seen::run(&options, &mut connect()?, out),
        Command::Notify(options) => {
            notify::run(&options, &client_socket(socket.as_deref())?.path, out)
        }
        Command::Remove(session) => remove::run(&session, &mut connect()?, out),
        Command::Stop(options) => stop::run(&options, connect()?, out),
        Command::Config { command } => match command {
            ConfigCommand::Path => config::path(out),
            ConfigCommand::Show => config::show(socket.as_deref(), out),
            ConfigCommand::Check => config::check(out),
            ConfigCommand::Init => config::init(out),
        },
        Command::Install(options) => install::run(&options, socket.as_deref(), out),
        Command::Uninstall(options) => uninstall::run(&options, out),
        Command::Doctor(options) => doctor::run(&options, socket.as_deref(), out),
        Command::Bar(options) => bar::run(&options, &client_socket(socket.as_deref())?.path, out),
        Command::Completions(options) => completions::run(&options, Cli::command(), out),
        Command::Man(options) => man::run(&options, Cli::command(), out),
        Command::Demo(options) => demo::run(&options, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_valid() {
        Cli::command().debug_assert();
    }
}
