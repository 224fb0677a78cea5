//! The demo without a terminal: a line for each change, and for what the person does.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::bail;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::runners::{OnPerson, Runners, Runs};
use super::sandbox::Sandbox;
use super::scenario::Scenario;
use crate::client::Update;
use crate::format;
use crate::os::clock;
use crate::protocol::{Changes, Notification, SessionRecord, Status, SubscribeParams};

/// The longest wait for the sessions' ends after the last step.
const LIMIT: Duration = Duration::from_secs(10);

/// How often is looked whether the agents have ended.
const PAUSE: Duration = Duration::from_millis(50);

/// What wakes the runner.
enum Event {
    Updated(Box<Update>),
    /// The person of this scenario did this.
    Person(Scenario, String),
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
        sessions: BTreeMap::new(),
        out,
    };
    writeln!(
        output.out,
        "A private daemon serves {}.",
        sandbox.directory().socket().display()
    )?;
    writeln!(
        output.out,
        "Recorded agents report to it, each through `agent-console hook` and the files that it writes:\n"
    )?;
    subscribe(&sandbox, sender.clone())?;
    let person = move |scenario, action| {
        // The output may have ended first.
        let _ = sender.send(Event::Person(scenario, action));
    };
    let on_person: Arc<OnPerson> = Arc::new(person);
    let runners = Runners::start(speed, Runs::Once, sandbox.directory(), &on_person)?;
    output.began = clock::monotonic();
    let shown = show(&runners, &events, &mut output);
    let ran = runners.stop();
    shown.and(ran)?;
    sandbox.stop()
}

fn subscribe(sandbox: &Sandbox, events: Sender<Event>) -> anyhow::Result<()> {
    let client = sandbox.connect()?;
    std::thread::spawn(move || {
        // The runner may have ended first.
        let params = SubscribeParams {
            changes: Changes::Brief,
            ..SubscribeParams::default()
        };
        let _ = client.subscribe(params, |update| {
            events.send(Event::Updated(Box::new(update))).is_ok()
        });
        let _ = events.send(Event::Ended);
    });
    Ok(())
}

/// Shows what happens until all agents have ended and their sessions are closed.
fn show(
    runners: &Runners,
    events: &Receiver<Event>,
    output: &mut Output<'_, impl Write>,
) -> anyhow::Result<()> {
    while !runners.are_over() {
        output.show_for(PAUSE, events)?;
    }
    let end = clock::monotonic() + LIMIT;
    while !output.are_closed() && clock::monotonic() < end {
        output.show_for(PAUSE, events)?;
    }
    Ok(())
}

/// What is shown, each line with the time in the recordings, the sign of its agent and the project.
struct Output<'a, W> {
    began: Instant,
    speed: f64,
    /// What each session was last shown to be, by its key, and whether it was closed.
    sessions: BTreeMap<String, (String, bool)>,
    out: &'a mut W,
}

impl<W: Write> Output<'_, W> {
    fn line(&mut self, agent: &str, project: &str, text: &str) -> io::Result<()> {
        let elapsed = clock::monotonic().saturating_duration_since(self.began);
        let at = elapsed.as_secs_f64() * self.speed;
        let sign = format::agent_sign(agent);
        writeln!(self.out, "{at:7.1}s  {sign}  {project:<8}  {text}")?;
        self.out.flush()
    }

    fn are_closed(&self) -> bool {
        self.sessions.values().all(|(_, is_closed)| *is_closed)
    }

    fn show(&mut self, session: &SessionRecord<'_>) -> io::Result<()> {
        let status = format::status(session);
        let text = format!("{status:<19}  {}", format::summary(session, None));
        let text = text.trim_end().to_owned();
        let is_closed = session.status == Status::Closed;
        let shown = (text.clone(), is_closed);
        // The evidence changes with every event; a person sees what it comes to.
        if self.sessions.get(&*session.key) == Some(&shown) {
            return Ok(());
        }
        self.sessions.insert(session.key.to_string(), shown);
        let directory = session.cwd.as_deref().unwrap_or_default();
        let project = directory.rsplit('/').next().unwrap_or_default();
        self.line(&session.agent, &format::sanitize(project), &text)
    }

    fn show_for(&mut self, pause: Duration, events: &Receiver<Event>) -> anyhow::Result<()> {
        let due = clock::monotonic() + pause;
        loop {
            match events.recv_timeout(due.saturating_duration_since(clock::monotonic())) {
                Ok(Event::Updated(update)) => {
                    if let Update::Notification(Notification::SessionChanged(changed)) = *update {
                        self.show(&changed.session)?;
                    }
                }
                Ok(Event::Person(scenario, action)) => {
                    let text = format!("        the person {action}");
                    self.line(scenario.agent.name, scenario.project(), &text)?;
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
