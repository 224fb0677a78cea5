//! `demo`: a recorded run of the real Claude Code, played at its own pace into a private daemon, through the real `hook`
//! command and a registry like its own; each change is shown as it arrives. Touches nothing of the user's and leaves
//! nothing behind.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::client::{Client, ClientError, Told};
use crate::clock;
use crate::process::{self, ProcessId};
use crate::protocol::StopParams;
use crate::show;

/// The run: a person asks for files to be made; says yes, yes, no, Esc, yes, and yes twice.
const TRACE: &str = include_str!("../../tests/traces/claude-code-2.1.330/perm.jsonl");

/// How long the private daemon may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// How to play.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// How many times as fast as it was recorded
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.1..=1000.0).contains(&speed) => Ok(speed),
        _ => Err("from 0.1 to 1000".into()),
    }
}

/// One line of a recording.
#[derive(Deserialize)]
struct Entry<'a> {
    ms: u64,
    #[serde(borrow)]
    hook: Option<&'a RawValue>,
    mark: Option<String>,
    attended: Option<bool>,
    /// The name of a registry file, and what was in it; nothing: it was removed.
    registry: Option<String>,
    value: Option<Map<String, Value>>,
}

/// What wakes the player.
enum Event {
    Told(Box<Told>),
    /// The connection to the private daemon has ended.
    Ended,
    Interrupted(i32),
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    let (sender, events) = mpsc::channel();
    forward_signals(sender.clone())?;
    let mut stage = Stage::set()?;
    let mut screen = Screen {
        began: clock::monotonic(),
        speed: options.speed,
        last: String::new(),
        out,
    };
    writeln!(
        screen.out,
        "A private daemon serves {}.",
        stage.socket().display()
    )?;
    writeln!(
        screen.out,
        "Claude Code 2.1.330, recorded, reports to it through `agent-console hook` and its own registry:\n"
    )?;
    stage.subscribe(sender)?;
    play(&stage, &events, &mut screen)?;
    stage.strike()?;
    writeln!(
        out,
        "\nThe private daemon is gone. `agent-console list` asks the one that your agents report to."
    )?;
    Ok(())
}

/// SIGINT and the like end the demo in order: the daemon and the directory go too.
fn forward_signals(sender: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if sender.send(Event::Interrupted(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn play(
    stage: &Stage,
    events: &Receiver<Event>,
    screen: &mut Screen<'_, impl Write>,
) -> anyhow::Result<()> {
    screen.began = clock::monotonic();
    for line in TRACE.lines() {
        let entry: Entry<'_> = serde_json::from_str(line).context("the recording is damaged")?;
        let due = screen.began + Duration::from_millis(entry.ms).div_f64(screen.speed);
        screen.show_until(due, events)?;
        if let Some(hook) = entry.hook {
            stage.hook(hook.get(), entry.attended)?;
        } else if entry.registry.is_some() {
            stage.register(entry.value)?;
        } else if let Some(action) = entry.mark.as_deref().and_then(person) {
            screen.line(&action)?;
        }
    }
    screen.show_until(clock::monotonic() + Duration::from_millis(300), events)
}

/// What the person did, as the recording has it: `keys 1 (yes)`.
fn person(mark: &str) -> Option<String> {
    if mark.starts_with("submit: /") {
        return Some(format!(
            "        the person types {}",
            mark.trim_start_matches("submit: ")
        ));
    }
    let keys = mark.strip_prefix("keys ")?;
    let (key, meaning) = keys.split_once(" (")?;
    Some(format!("        the person presses {key} ({meaning}"))
}

/// What is shown, each line with the time in the recording.
struct Screen<'a, W> {
    began: Instant,
    speed: f64,
    /// What the session was last shown to be.
    last: String,
    out: &'a mut W,
}

impl<W: Write> Screen<'_, W> {
    fn line(&mut self, text: &str) -> io::Result<()> {
        let elapsed = clock::monotonic().saturating_duration_since(self.began);
        let at = elapsed.as_secs_f64() * self.speed;
        writeln!(self.out, "{at:7.1}s  {text}")?;
        self.out.flush()
    }

    fn show_until(&mut self, due: Instant, events: &Receiver<Event>) -> anyhow::Result<()> {
        loop {
            match events.recv_timeout(due.saturating_duration_since(clock::monotonic())) {
                Ok(Event::Told(told)) => {
                    if let Told::Changed(changed) = *told {
                        let status = show::status(&changed.session);
                        let text = format!("{status:<19}  {}", show::about(&changed.session));
                        // The evidence changes with every event; a person sees what it comes to.
                        if text != self.last {
                            self.line(text.trim_end())?;
                            self.last = text;
                        }
                    }
                }
                Ok(Event::Interrupted(signal)) => bail!("interrupted by signal {signal}"),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => {
                    bail!("the private daemon has ended")
                }
            }
        }
    }
}

/// A directory of its own and the daemon in it; struck however the demo ends.
struct Stage {
    directory: PathBuf,
    daemon: Child,
    struck: bool,
}

impl Stage {
    fn set() -> anyhow::Result<Self> {
        let directory =
            std::env::temp_dir().join(format!("agent-console-demo-{}", std::process::id()));
        // Whatever the umask: nobody else's business.
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        // Prompts of the recording are a test's script, not something to read.
        let config = directory.join("agent-console");
        let prepared = fs::create_dir(&config).and_then(|()| {
            fs::write(
                config.join("config.toml"),
                "record_prompts = false\nlog = \"error\"\n",
            )
        });
        let started = prepared.map_err(anyhow::Error::from).and_then(|()| {
            program(&directory)?
                .arg("daemon")
                .stdin(Stdio::null())
                .spawn()
                .context("cannot start the private daemon")
        });
        match started {
            Ok(daemon) => Ok(Self {
                directory,
                daemon,
                struck: false,
            }),
            Err(error) => {
                let _ = fs::remove_dir_all(&directory);
                Err(error)
            }
        }
    }

    fn socket(&self) -> PathBuf {
        socket_in(&self.directory)
    }

    fn subscribe(&self, events: Sender<Event>) -> anyhow::Result<()> {
        let end = clock::monotonic() + PATIENCE;
        let client = loop {
            match Client::connect(&self.socket()) {
                Err(ClientError::NoDaemon { .. }) if clock::monotonic() < end => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                other => break other?,
            }
        };
        std::thread::spawn(move || {
            // Nobody takes it any more where the player has ended first.
            let _ = client.subscribe(|told| events.send(Event::Told(Box::new(told))).is_ok());
            let _ = events.send(Event::Ended);
        });
        Ok(())
    }

    /// What the agent does on each event: starts the hook and gives it the payload.
    fn hook(&self, payload: &str, attended: Option<bool>) -> anyhow::Result<()> {
        let mut hook = program(&self.directory)?
            .args(["hook", "claude-code"])
            .env("CLAUDE_PID", std::process::id().to_string())
            .env(
                "CLAUDE_CODE_SESSION_ATTENDED",
                if attended == Some(false) { "0" } else { "1" },
            )
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot start the hook")?;
        if let Some(mut input) = hook.stdin.take() {
            // It may have read enough; what came of it is what the daemon tells.
            let _ = input.write_all(payload.as_bytes());
        }
        hook.wait()?;
        Ok(())
    }

    /// What the agent does on each change of its status: writes its entry in the registry anew, or removes it.
    fn register(&self, entry: Option<Map<String, Value>>) -> anyhow::Result<()> {
        let pid = std::process::id();
        let registry = self.directory.join(".claude/sessions");
        let file = registry.join(format!("{pid}.json"));
        let written = match entry {
            Some(entry) => fs::create_dir_all(&registry)
                .and_then(|()| process::inspect(pid))
                .and_then(|own| fs::write(&file, Value::from(as_own(entry, own.id)).to_string())),
            None => fs::remove_file(&file),
        };
        written.with_context(|| format!("cannot write {}", file.display()))
    }

    /// Ends the daemon and removes the directory.
    fn strike(&mut self) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.struck, true) {
            return Ok(());
        }
        let stopped = Client::connect(&self.socket()).and_then(|mut client| {
            client.ask::<_, serde_json::Value>("daemon.stop", &StopParams { force: false })
        });
        if stopped.is_err() {
            // Ctrl-C has reached it too, or it is past asking.
            let _ = self.daemon.kill();
        }
        self.daemon.wait()?;
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("cannot remove {}", self.directory.display()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What went wrong before is what a person is told.
        let _ = self.strike();
    }
}

/// A recorded registry entry as this process would write it now: the recorder saw each within 30 ms of its stamps.
fn as_own(mut entry: Map<String, Value>, own: ProcessId) -> Map<String, Value> {
    let domain = process::namespace().map(|inode| format!("linux:0:pid:[{inode}]"));
    entry.insert("pid".into(), json!(own.pid));
    entry.insert("procStart".into(), json!(own.start.to_string()));
    entry.insert("pidDomain".into(), json!(domain));
    for stamp in ["startedAt", "updatedAt", "statusUpdatedAt"] {
        if let Some(stamp) = entry.get_mut(stamp) {
            *stamp = json!(clock::unix_ms());
        }
    }
    entry
}

fn socket_in(directory: &Path) -> PathBuf {
    directory.join("agent-console.sock")
}

/// This program again, with nothing of the user's: no configuration, no socket, no service manager.
fn program(directory: &Path) -> anyhow::Result<Command> {
    let mut program = Command::new(std::env::current_exe().context("cannot find this program")?);
    program
        .env_clear()
        .env("HOME", directory)
        .env("XDG_CONFIG_HOME", directory)
        .env("AGENT_CONSOLE_SOCKET", socket_in(directory));
    Ok(program)
}
