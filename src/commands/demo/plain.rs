//! The demo without a terminal: one agent, and a line for each change and for what the person does.

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::sandbox::{Actor, Stage};
use super::scenario::{CAST, Part};
use crate::client::Update;
use crate::format;
use crate::os::clock;
use crate::protocol::Notification;

/// What wakes the player.
enum Event {
    Updated(Box<Update>),
    /// The connection to the private daemon has ended.
    Ended,
    Interrupted(i32),
}

pub(super) fn run(speed: f64, out: &mut impl Write) -> anyhow::Result<()> {
    let (sender, events) = mpsc::channel();
    let interrupted = sender.clone();
    super::forward_signals(&[SIGINT, SIGTERM, SIGHUP], move |signal| {
        interrupted.send(Event::Interrupted(signal)).is_ok()
    })?;
    let mut stage = Stage::set()?;
    let mut screen = Screen {
        began: clock::monotonic(),
        speed,
        last: String::new(),
        out,
    };
    writeln!(
        screen.out,
        "A private daemon serves {}.",
        stage.place().socket().display()
    )?;
    writeln!(
        screen.out,
        "Claude Code 2.1.330, recorded, reports to it through `agent-console hook` and its own registry:\n"
    )?;
    subscribe(&stage, sender)?;
    let [first, ..] = &CAST;
    play(first, &stage, &events, &mut screen)?;
    stage.strike()
}

fn subscribe(stage: &Stage, events: Sender<Event>) -> anyhow::Result<()> {
    let client = stage.connect()?;
    std::thread::spawn(move || {
        // Nobody takes it any more where the player has ended first.
        let _ = client.subscribe(|update| events.send(Event::Updated(Box::new(update))).is_ok());
        let _ = events.send(Event::Ended);
    });
    Ok(())
}

fn play(
    part: &Part,
    stage: &Stage,
    events: &Receiver<Event>,
    screen: &mut Screen<'_, impl Write>,
) -> anyhow::Result<()> {
    let agent = Actor::enter(stage.place())?;
    screen.began = clock::monotonic();
    for act in part.acts(0) {
        let act = act.context("the recording is damaged")?;
        let due = screen.began + Duration::from_millis(act.ms).div_f64(screen.speed);
        screen.show_until(due, events)?;
        if let Some(action) = act.person() {
            screen.line(&format!("        the person {action}"))?;
        }
        act.perform(stage.place(), &agent)?;
    }
    screen.show_until(clock::monotonic() + Duration::from_millis(300), events)
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
                Ok(Event::Updated(update)) => {
                    if let Update::Notification(Notification::SessionChanged(changed)) = *update {
                        let status = format::status(&changed.session);
                        let text = format!("{status:<19}  {}", format::summary(&changed.session));
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
