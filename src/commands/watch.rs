//! `watch`: a line for each change, until the daemon is stopped on purpose.
//!
//! Scripts get every notification. People get a line when the text shown of a session changes: most notifications only
//! bring new evidence for the same status.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::agent_filter::AgentFilter;
use super::exec::Runner;
use crate::client::mirror::Mirror;
use crate::client::subscription::{self, LOST, Position, subscribe_forever};
use crate::client::{Client, Update};
use crate::format::status::{DisplayStatus, attention_order};
use crate::format::{self, Cell, Column, Cut, StdoutStyle};
use crate::os::clock;
use crate::protocol::{Changes, Notification, SessionRecord, Snapshot, Status};

/// The options of `watch`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    agent: AgentFilter,
    /// Print one JSON object per line: first the snapshot, then each event; again a snapshot after each reconnection
    #[arg(long)]
    json: bool,
    /// Run COMMAND with `sh` for each change of a session that gets a line, one after the other, with the session's record
    /// as a line of JSON on standard input; not for the sessions of the first snapshot
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,
}

/// Shown below `--help`.
pub(super) const EXAMPLES: &str =
    "It begins with the open sessions. The first column is the time since the start. It ends when the daemon is
stopped, but not when it is restarted.

Examples:
  agent-console watch
  agent-console watch --json | jq -r 'select(.session.attention) | .session.cwd'
  agent-console watch --exec 'jq -r .key >> changed'      no change is lost while a command runs";

pub(super) fn run(options: &Options, socket: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let mut view = View::new();
    let mut mirror = Mirror::default();
    let mut known = Known::default();
    let runner = options.exec.clone().map(Runner::start);
    let mut failure = None;
    let mut lost = false;
    let mut filter = options.agent.updates();
    let mut position = Position::default();
    let client = Client::connect(socket)?;
    // What is passed on is whole.
    let is_passed_on = options.json || runner.is_some();
    let changes = if is_passed_on {
        Changes::Whole
    } else {
        Changes::Brief
    };
    let ended = subscribe_forever(client, socket, &mut position, changes, |event| {
        let done = match event {
            subscription::Event::Update(update) => {
                lost = false;
                let Some(update) = filter.apply(update) else {
                    return ControlFlow::Continue(());
                };
                let ran = runner.as_ref().map_or(Ok(()), |runner| {
                    let mut sessions = known.apply(&update).into_iter();
                    sessions.try_for_each(|session| runner.run(session))
                });
                ran.and_then(|()| {
                    if options.json {
                        json(update, &mut mirror, out)
                    } else {
                        out.write_all(view.lines(&update).as_bytes())
                            .and_then(|()| out.flush())
                    }
                })
            }
            subscription::Event::Lost { .. } if std::mem::replace(&mut lost, true) => Ok(()),
            subscription::Event::Lost { .. } => writeln!(io::stderr(), "{LOST}"),
        };
        failure = done.err();
        if failure.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    if let Some(runner) = runner {
        runner.finish();
    }
    ended?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// One line of `watch --json`.
#[derive(Serialize)]
struct JsonLine<'a, T> {
    event: &'static str,
    #[serde(flatten)]
    params: &'a T,
}

/// A snapshot is printed whole, also where the daemon sent what has changed: a script that keeps a copy replaces it.
fn json(update: Update, mirror: &mut Mirror, out: &mut impl Write) -> io::Result<()> {
    fn line<T: Serialize>(event: &'static str, params: &T, out: &mut impl Write) -> io::Result<()> {
        format::json(out, &JsonLine { event, params })
    }
    match &update {
        Update::Snapshot(_) => {
            mirror.apply(update);
            return line("snapshot", &mirror.snapshot(), out).and_then(|()| out.flush());
        }
        Update::Notification(notification) => match notification {
            Notification::SessionChanged(params) => line("session.changed", &**params, out),
            Notification::SessionRemoved(params) => line("session.removed", params, out),
            Notification::UsageChanged(params) => line("usage.changed", params, out),
            Notification::DaemonNotice(params) => line("daemon.notice", params, out),
            Notification::DaemonStopping(params) => line("daemon.stopping", params, out),
        },
    }?;
    mirror.apply(update);
    out.flush()
}

/// The width of the widest time: `11h59m59s`.
const TIME_WIDTH: usize = 9;

/// The width of the widest status with its marker: `! waiting: permission`.
const STATUS_WIDTH: usize = 21;

/// The least and the greatest width of the column of keys: the key of a process in another namespace fits.
const KEY_WIDTH: (usize, usize) = (8, 32);

/// The lines for people.
struct View {
    began: Instant,
    /// What was last shown of each session that the daemon has.
    shown: BTreeMap<String, Shown>,
    /// The first snapshot has arrived.
    has_snapshot: bool,
    /// The width of the column of keys.
    key_width: usize,
    /// The lines not yet printed.
    page: String,
}

impl View {
    fn new() -> Self {
        Self {
            began: clock::monotonic(),
            shown: BTreeMap::new(),
            has_snapshot: false,
            key_width: KEY_WIDTH.0,
            page: String::new(),
        }
    }

    /// The lines for an update; often none.
    fn lines(&mut self, update: &Update) -> String {
        match update {
            Update::Snapshot(snapshot) => self.snapshot(snapshot),
            Update::Notification(notification) => self.notification(notification),
        }
        std::mem::take(&mut self.page)
    }

    fn notification(&mut self, notification: &Notification<'_>) {
        match notification {
            Notification::SessionChanged(changed) => self.session(&changed.session),
            Notification::SessionRemoved(removed) => {
                self.shown.remove(&*removed.key);
                self.line("  removed", &format::sanitize(&removed.key));
            }
            // Bars and dashboards show the limits; here their lines would hide those about sessions.
            Notification::UsageChanged(_) => {}
            Notification::DaemonNotice(params) => {
                self.line(
                    "  notice",
                    &format::notice(&params.notice, clock::unix_ms()),
                );
            }
            Notification::DaemonStopping(params) => {
                self.line("  stopping", &format!("{:?}", params.reason).to_lowercase());
            }
        }
    }

    fn snapshot(&mut self, snapshot: &Snapshot<'_>) {
        let mut sessions: Vec<_> = snapshot.sessions.iter().collect();
        sessions.sort_by(|a, b| attention_order(a, b));
        let removed = self.forget_removed(snapshot);
        if self.has_snapshot {
            let is_new = |session: &&&SessionRecord<'_>| !self.shown.contains_key(&*session.key);
            let count = self.shown.len() + sessions.iter().filter(is_new).count();
            let s = if count == 1 { "" } else { "s" };
            self.line("  connected", &format!("{count} session{s}"));
            for key in removed {
                self.line("  removed", &format::sanitize(&key));
            }
        } else {
            for notice in &snapshot.notices {
                self.line("  notice", &format::notice(notice, clock::unix_ms()));
            }
        }
        // Before the first line, so that all keys line up.
        for session in &sessions {
            self.widen_key_column(session);
        }
        for session in sessions {
            // A session that was closed before has not changed.
            if session.status == Status::Closed && !self.shown.contains_key(&*session.key) {
                self.shown
                    .insert(session.key.to_string(), Shown::of(session));
            } else {
                self.session(session);
            }
        }
        self.has_snapshot = true;
    }

    /// Forgets the sessions that the daemon no longer has. Returns the keys of those that were open.
    fn forget_removed(&mut self, snapshot: &Snapshot<'_>) -> Vec<String> {
        let is_there: BTreeSet<_> = snapshot.sessions.iter().map(|one| &*one.key).collect();
        let is_removed = |key: &str| {
            if snapshot.partial {
                snapshot.removed.iter().any(|removed| removed == key)
            } else {
                !is_there.contains(key)
            }
        };
        let removed = self.shown.extract_if(.., |key, _| is_removed(key));
        let open = removed.filter(|(_, shown)| !shown.closed);
        open.map(|(key, _)| key).collect()
    }

    /// A line, if the text shown of the session has changed.
    fn session(&mut self, session: &SessionRecord<'_>) {
        let now = Shown::of(session);
        if self.shown.get(&*session.key) == Some(&now) {
            return;
        }
        self.widen_key_column(session);
        let [status, summary] = now.text.clone();
        self.shown.insert(session.key.to_string(), now);
        let status = Cell {
            text: status,
            style: DisplayStatus::of(session).sgr(),
        };
        let key = Column::cut(Cut::End, 12).padded(self.key_width);
        let columns = [key, Column::cut(Cut::End, 10).drop_priority(0)];
        let rest = [format::sanitize(&session.key).into(), summary.into()];
        self.cells(status, &columns, rest);
    }

    fn widen_key_column(&mut self, session: &SessionRecord<'_>) {
        if session.status != Status::Closed {
            let width = format::width(&format::sanitize(&session.key));
            self.key_width = self.key_width.max(width.min(KEY_WIDTH.1));
        }
    }

    fn line(&mut self, word: &str, text: &str) {
        self.cells(word.into(), &[Column::cut(Cut::End, 10)], [text.into()]);
    }

    /// A line: the time, a word and the rest.
    fn cells<const N: usize>(&mut self, word: Cell, columns: &[Column; N], rest: [Cell; N]) {
        let elapsed = clock::monotonic().saturating_duration_since(self.began);
        let elapsed = format::precise(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        let time = format!("{elapsed:>TIME_WIDTH$}");
        let mut all = vec![Column::WHOLE, Column::WHOLE.padded(STATUS_WIDTH)];
        all.extend(columns);
        let mut row = vec![time.into(), word];
        row.extend(rest);
        // Read for each line, because the terminal's size changes.
        self.page += &format::render(&all, &[row], StdoutStyle::detect());
    }
}

/// What is known of the sessions: a change of it gets a line.
#[derive(Default)]
struct Known {
    /// What was last shown of each session; `None` before the first snapshot.
    shown: Option<BTreeMap<String, Shown>>,
}

impl Known {
    /// The sessions that an update has changed, each as it is now.
    fn apply<'a>(&mut self, update: &'a Update) -> Vec<&'a SessionRecord<'static>> {
        let is_first = self.shown.is_none();
        let shown = self.shown.get_or_insert_default();
        let mut changed = |session: &&SessionRecord<'static>| {
            let now = Shown::of(session);
            // One that was closed before it was known has not changed.
            let is_news = shown.contains_key(&*session.key) || !now.closed;
            let before = shown.insert(session.key.to_string(), now);
            is_news && before.as_ref() != shown.get(&*session.key)
        };
        match update {
            Update::Snapshot(snapshot) => {
                let sessions = snapshot.sessions.iter().filter(|session| changed(session));
                let sessions: Vec<_> = sessions.collect();
                let is_there = |key: &String| snapshot.sessions.iter().any(|one| *one.key == **key);
                if !snapshot.partial {
                    shown.retain(|key, _| is_there(key));
                }
                if is_first { Vec::new() } else { sessions }
            }
            Update::Notification(Notification::SessionChanged(change)) => {
                let session = &change.session;
                if changed(&session) {
                    vec![session]
                } else {
                    Vec::new()
                }
            }
            Update::Notification(_) => Vec::new(),
        }
    }
}

/// What is shown of a session, beside its key.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    /// Its status and its summary.
    text: [String; 2],
    closed: bool,
}

impl Shown {
    fn of(session: &SessionRecord<'_>) -> Self {
        let status = format!("{} {}", format::marker(session), format::status(session));
        Self {
            text: [status, format::summary(session, None)],
            closed: session.status == Status::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    impl View {
        /// The lines for a snapshot, without their times.
        fn of(&mut self, snapshot: Value) -> Vec<String> {
            let snapshot = serde_json::from_value(snapshot).unwrap();
            let lines = self.lines(&Update::Snapshot(snapshot));
            lines
                .lines()
                .map(|line| {
                    line[TIME_WIDTH..]
                        .split_whitespace()
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect()
        }
    }

    fn sessions(sessions: &[(&str, &str)]) -> Value {
        let records = sessions.iter().map(|(key, status)| {
            json!({"key": key, "agent": "x", "status": status, "since": 1, "started_at": 1})
        });
        records.collect()
    }

    #[test]
    fn a_later_snapshot_shows_what_has_changed() {
        let mut view = View::new();
        let four = sessions(&[
            ("a", "working"),
            ("b", "working"),
            ("c", "closed"),
            ("d", "idle"),
        ]);
        let lines = view.of(json!({"seq": 1, "sessions": four}));
        assert_eq!(lines, ["working a", "working b", "idle d"]);
        let lines = view.of(json!({
            "seq": 5, "partial": true, "sessions": sessions(&[("b", "idle"), ("e", "working")]),
            "removed": ["a", "c", "never here"],
        }));
        assert_eq!(
            lines,
            ["connected 3 sessions", "removed a", "working e", "idle b"]
        );
        let lines = view.of(json!({"seq": 5, "partial": true, "sessions": []}));
        assert_eq!(lines, ["connected 3 sessions"]);
        let lines =
            view.of(json!({"seq": 0, "sessions": sessions(&[("d", "idle"), ("f", "idle")])}));
        assert_eq!(
            lines,
            ["connected 2 sessions", "removed b", "removed e", "idle f"]
        );
        // One that was removed and is there again is printed again.
        let lines = view.of(json!({"seq": 0, "sessions": sessions(&[("e", "working")])}));
        assert_eq!(
            lines,
            ["connected 1 session", "removed d", "removed f", "working e"]
        );
    }
}
