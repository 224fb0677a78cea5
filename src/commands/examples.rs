//! The examples below each command's `--help`, and in its page of the manual: what is typed, and what comes of it.
//!
//! One style: `Examples:`, two blanks, the line to type, what it does. Other commands have theirs beside their options.

pub(super) const PROGRAM: &str =
    "Exit status: 0, 1 failure, 2 wrong usage, 3 no daemon to reach, 124 time-out (wait).

Examples:
  agent-console demo                      recorded agents, played to a private daemon
  agent-console install --dry-run         what it takes to be told of every agent
  agent-console                           everything that runs, full-screen, on a terminal
  agent-console list                      what runs now
  agent-console next                      who has needed you for longest
  agent-console wait --any --for attention && notify-send 'An agent needs you'
  agent-console bar --format tmux         how many wait and work, for a status bar
  agent-console report build working      tell of a job of your own";

pub(super) const DAEMON: &str = "Examples:
  agent-console daemon                    in the foreground, until Ctrl-C
  agent-console daemon --daemonize        in the background; prints its process id
  agent-console daemon --socket /run/x    on a socket of its own";

pub(super) const DASHBOARD: &str = "Its footer says what the keys do, `?` all of them.

Examples:
  agent-console                           on a terminal, the same
  agent-console demo                      the same on recorded agents
  tmux split-window -h agent-console dashboard";

pub(super) const HOOK: &str =
    "It prints nothing and exits 0, whatever happens; `agent-console install` registers it.

Examples:
  agent-console hook < event.json         hand on an event of Claude Code";

pub(super) const EXPLAIN: &str = "Examples:
  agent-console explain 3f2a              what was seen, and the rule that took it in
  agent-console explain 3f2a --json       the same for a report of a fault";

pub(super) const REPORT: &str = "Examples:
  agent-console report build working --reason 'cargo test' --pid $$
  agent-console report deploy waiting --waiting-for answer --reason 'staging?'
  agent-console report build closed       it is over";

pub(super) const REMOVE: &str = "One that still runs is there again with its next event.

Examples:
  agent-console remove build              by its key, or the beginning of it";

pub(super) const STOP: &str =
    "Where systemd or launchd holds the socket, the next connection starts it again.

Examples:
  agent-console stop                      asks first if dashboards are connected
  agent-console stop --force              at once, nobody is told";

pub(super) const CONFIG: &str = "Examples:
  agent-console config init               write a commented file to start from
  agent-console config check              after a change: is it right?
  agent-console config show               what is in force, and from where";

pub(super) const DOCTOR: &str = "Examples:
  agent-console doctor                    what is wrong, and the command that mends it
  agent-console doctor --json             the same for a script";

pub(super) const BAR: &str =
    "How to put it into tmux, Waybar, polybar, i3blocks and SketchyBar: docs/bars.md.
Exit status: 0 also where no daemon runs: the line is empty then.

Examples:
  agent-console bar                       2 waiting · 5 working
  agent-console bar --format waybar --follow
  set -g status-right '#(agent-console bar --format tmux --follow)'    in ~/.tmux.conf";

pub(super) const COMPLETIONS: &str = "The script completes both names, agent-console and acd.

Examples:
  source <(agent-console completions bash)      in ~/.bashrc
  source <(agent-console completions zsh)       in ~/.zshrc, after compinit
  agent-console completions fish | source       in ~/.config/fish/config.fish
  eval (agent-console completions elvish | slurp)                            in rc.elv
  agent-console completions powershell | Out-String | Invoke-Expression      in $PROFILE";

pub(super) const MAN: &str = "Examples:
  agent-console man | man -l -            read it without installing it
  agent-console man --dir ~/.local/share/man/man1    then: man agent-console-list";

pub(super) const DEMO: &str = "Nothing of yours is touched, and nothing is left behind.

Examples:
  agent-console demo                      several agents at work
  agent-console demo --plain              one of them, line by line
  agent-console demo --plain --speed 4    four times as fast as it was recorded";
