//! The demo without a terminal: one agent, and a line for each change and for what the person does.

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::sandbox::{FakeAgent, Sandbox};
use super::scenario::{SCENARIOS, Scenario};
use crate::agents;
use crate::client::Update;
use crate::format;
use crate::os::clock;
use crate::protocol::{Notification, Status};

/// The longest wait for the session's end after the last step.
const LIMIT: Duration = Duration::from_secs(10);

/// What wakes the runner.
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
    let mut sandbox = Sandbox::start()?;
    let mut output = Output {
        began: clock::monotonic(),
        speed,
        last: String::new(),
        is_closed: false,
        out,
    };
    writeln!(
        output.out,
        "A private daemon serves {}.",
        sandbox.directory().socket().display()
    )?;
    writeln!(
        output.out,
        "{}, recorded, reports to it through `agent-console hook` and its own registry:\n",
        agents::DEFAULT.title
    )?;
    subscribe(&sandbox, sender)?;
    let [first, ..] = &SCENARIOS;
    play(first, &sandbox, &events, &mut output)?;
    sandbox.stop()
}

fn subscribe(sandbox: &Sandbox, events: Sender<Event>) -> anyhow::Result<()> {
    let client = sandbox.connect()?;
    std::thread::spawn(move || {
        // The runner may have ended first.
        let _ = client.subscribe(|update| events.send(Event::Updated(Box::new(update))).is_ok());
        let _ = events.send(Event::Ended);
    });
    Ok(())
}

fn play(
    scenario: &Scenario,
    sandbox: &Sandbox,
    events: &Receiver<Event>,
    output: &mut Output<'_, impl Write>,
) -> anyhow::Result<()> {
    let agent = FakeAgent::start(sandbox.directory())?;
    output.began = clock::monotonic();
    for step in scenario.steps(0) {
        let step = step.context("the recording is damaged")?;
        let due = output.began + Duration::from_millis(step.ms).div_f64(output.speed);
        output.show_until(due, events)?;
        if let Some(action) = step.person() {
            output.line(&format!("        the person {action}"))?;
        }
        step.run(sandbox.directory(), &agent)?;
    }
    let end = clock::monotonic() + LIMIT;
    while !output.is_closed && clock::monotonic() < end {
        output.show_until(clock::monotonic() + Duration::from_millis(20), events)?;
    }
    Ok(())
}

/// What is shown, each line with the time in the recording.
struct Output<'a, W> {
    began: Instant,
    speed: f64,
    /// What the session was last shown to be.
    last: String,
    /// Whether the session was last shown to be closed.
    is_closed: bool,
    out: &'a mut W,
}

impl<W: Write> Output<'_, W> {
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
                        self.is_closed = changed.session.status == Status::Closed;
                        let status = format::status(&changed.session);
                        let text =
                            format!("{status:<19}  {}", format::summary(&changed.session, None));
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
