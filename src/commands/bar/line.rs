//! A bar's line, in each bar's own format. Pure.
//!
//! Only Waybar's tooltip and `json` hold text from agents. The rest consists of fixed words, numbers, names of accounts
//! and of limits' windows without special characters and signs of agents, which are letters and digits, so it cannot hold
//! markup that a bar would interpret. All JSON is safe on a terminal too.

use std::borrow::Cow;

use clap::ValueEnum;
use serde::Serialize;

use crate::format;
use crate::format::status::{Colour, Counts, DisplayStatus, attention_order};
use crate::protocol::{SessionGroup, SessionRecord, Status, Usage, WaitingFor};

/// The bar that reads the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// tmux's status line, with its style tags
    Tmux,
    /// Waybar's custom module: JSON with text, tooltip and class
    Waybar,
    /// polybar's script module, with its colour tags
    Polybar,
    /// i3blocks and i3bar: a JSON block of i3bar's protocol
    I3blocks,
    /// Arguments of `sketchybar --set NAME`
    Sketchybar,
    /// Plain text
    Plain,
    /// JSON: the counts, the limits, and the sessions that need a person
    Json,
}

impl Format {
    /// Whether the line names sessions; otherwise their counts are enough.
    pub(super) const fn names_sessions(self) -> bool {
        match self {
            Self::Waybar | Self::Json => true,
            Self::Tmux | Self::Polybar | Self::I3blocks | Self::Sketchybar | Self::Plain => false,
        }
    }
}

/// What a line is about.
pub(super) struct Content<'a> {
    /// The sessions that are not closed, counted.
    groups: Vec<SessionGroup<'a>>,
    /// Each of them, the most urgent first, for the formats that name sessions.
    sessions: Vec<&'a SessionRecord<'static>>,
}

impl<'a> Content<'a> {
    /// For any format.
    pub(super) fn of_sessions(
        sessions: impl IntoIterator<Item = &'a SessionRecord<'static>>,
    ) -> Self {
        let mut sessions: Vec<_> = sessions.into_iter().collect();
        sessions.retain(|session| session.status != Status::Closed);
        sessions.sort_by(|a, b| attention_order(a, b));
        let group = |session: &&'a SessionRecord<'static>| SessionGroup {
            agent: Cow::Borrowed(&*session.agent),
            status: session.status,
            attention: session.attention,
            stopped: session.stopped_since.is_some(),
            count: 1,
        };
        Self {
            groups: sessions.iter().map(group).collect(),
            sessions,
        }
    }

    /// For a format that names no session.
    pub(super) fn of_groups(groups: Vec<SessionGroup<'a>>) -> Self {
        Self {
            groups,
            sessions: Vec::new(),
        }
    }
}

/// The most sessions in a tooltip, so that it fits on a screen.
const TOOLTIP_ROWS: usize = 12;

/// tmux's style for a status that needs a person, in the terminal's colours. It sets both foreground and background,
/// because the line may have any; bright green, because tmux's own line is green by default. `None`: the line's style.
fn tmux_style(status: DisplayStatus) -> Option<&'static str> {
    let colour = status.colour().filter(|_| status.needs_person())?;
    Some(match colour {
        Colour::Yellow => "fg=black,bg=yellow",
        Colour::Red => "fg=white,bg=red",
        Colour::Green => "fg=black,bg=brightgreen",
        Colour::Cyan => "fg=black,bg=cyan",
    })
}

/// A status's colour where there is no palette: red, green, blue in hexadecimal.
const fn rgb(status: DisplayStatus) -> &'static str {
    match status.colour() {
        Some(colour) => colour.rgb(),
        None => "8a8a8a",
    }
}

/// The most signs of agents behind a count.
const MAX_SIGNS: usize = 3;

/// How many sessions there are of a status.
struct Part {
    count: usize,
    status: DisplayStatus,
    /// Whose sessions need a person, where there are several agents: ` (CC, CX)`.
    agents: String,
}

impl Part {
    /// `2 waiting (CC, CX)`
    fn words(&self) -> String {
        format!("{} {}{}", self.count, self.status.word(), self.agents)
    }
}

/// The signs of the agents whose sessions have this status, if a person needs them.
fn signs(groups: &[SessionGroup<'_>], status: DisplayStatus) -> String {
    if !status.needs_person() {
        return String::new();
    }
    let of_status = groups.iter();
    let of_status = of_status.filter(|group| DisplayStatus::of_group(group) == status);
    let names = agents(of_status);
    let mut signs: Vec<_> = names
        .iter()
        .map(|name| format::agent_sign(name))
        .filter(|sign| sign.chars().all(char::is_alphanumeric))
        .collect();
    if signs.len() > MAX_SIGNS {
        signs.truncate(MAX_SIGNS);
        signs.push("…".into());
    }
    if signs.is_empty() {
        return String::new();
    }
    format!(" ({})", signs.join(", "))
}

fn agents<'a>(groups: impl Iterator<Item = &'a SessionGroup<'a>>) -> Vec<String> {
    format::agents_in_order(groups.map(|group| &*group.agent))
}

/// The counts above 0, the most urgent first. Idle sessions count only if there are no others.
fn parts(groups: &[SessionGroup<'_>], counts: Counts) -> Vec<Part> {
    let has_several = agents(groups.iter()).len() > 1;
    let mut parts = vec![
        (counts.waiting, DisplayStatus::Waiting),
        (counts.failed, DisplayStatus::Failed),
        (counts.finished, DisplayStatus::Finished),
        (counts.stopped, DisplayStatus::Stopped),
        (counts.working, DisplayStatus::Working),
    ];
    parts.retain(|(count, _)| *count > 0);
    if parts.is_empty() && counts.idle > 0 {
        parts.push((counts.idle, DisplayStatus::Idle));
    }
    let part = |(count, status)| Part {
        count,
        status,
        agents: if has_several {
            signs(groups, status)
        } else {
            String::new()
        },
    };
    parts.into_iter().map(part).collect()
}

/// The line for these sessions, without its line feed; `None` means that no daemon answers. If there are sessions, the
/// limit that is used most comes last, with its account where there are several.
pub(super) fn line(
    format: Format,
    content: Option<&Content<'_>>,
    usage: Option<&Usage<'_>>,
) -> String {
    let connected = content.is_some();
    let groups = content.map_or(&[][..], |content| &content.groups);
    let sessions = content.map_or(&[][..], |content| &content.sessions);
    let mut counts = Counts::default();
    for group in groups {
        counts.add(DisplayStatus::of_group(group), group.count as usize);
    }
    let parts = parts(groups, counts);
    let accounts = usage.map_or_else(Vec::new, format::accounts);
    let windows = || {
        accounts.iter().flat_map(|(account, usage)| {
            let windows = usage.windows.iter();
            windows.map(move |window| (account.as_deref(), window))
        })
    };
    let limit = windows().max_by(|(_, a), (_, b)| a.used_percent.total_cmp(&b.used_percent));
    let limit = limit
        .filter(|_| !parts.is_empty())
        .map(|(account, window)| {
            let (name, used) = (format::window_name(&window.name), window.used_percent);
            match account {
                Some(account) => format!("{account} {name} {used:.0} %"),
                None => format!("{name} {used:.0} %"),
            }
        });
    let joined = |piece: fn(&Part) -> String| {
        let pieces = parts.iter().map(piece);
        let pieces: Vec<_> = pieces.chain(limit.clone()).collect();
        pieces.join(" · ")
    };
    let words = || joined(Part::words);
    let first = parts.first();
    match format {
        Format::Plain => words(),
        Format::Tmux => joined(|part| match tmux_style(part.status) {
            Some(style) => format!("#[{style}] {} #[default]", part.words()),
            None => part.words(),
        }),
        Format::Polybar => {
            joined(|part| format!("%{{F#{}}}{}%{{F-}}", rgb(part.status), part.words()))
        }
        Format::Sketchybar => match first {
            Some(part) => {
                format!(
                    "drawing=on label=\"{}\" label.color=0xff{}",
                    words(),
                    rgb(part.status)
                )
            }
            None => "drawing=off label=\"\"".into(),
        },
        Format::I3blocks => format::json_text(&I3blocks {
            full_text: words(),
            short_text: first.map_or_else(String::new, |part| {
                format!("{} {}", part.count, part.status.word())
            }),
            color: first.map(|part| format!("#{}", rgb(part.status))),
        }),
        Format::Waybar => {
            let class = match first {
                Some(part) => part.status.word(),
                None if connected => "none",
                None => "off",
            };
            format::json_text(&Waybar {
                text: words(),
                alt: class,
                tooltip: tooltip(sessions),
                class,
            })
        }
        Format::Json => format::json_text(&Json {
            connected,
            waiting: counts.waiting,
            failed: counts.failed,
            finished: counts.finished,
            stopped: counts.stopped,
            working: counts.working,
            idle: counts.idle,
            limits: windows()
                .map(|(account, window)| Limit {
                    account,
                    name: &window.name,
                    used_percent: window.used_percent,
                })
                .collect(),
            attention: sessions
                .iter()
                .filter(|session| session.attention)
                .map(|session| AttentionEntry::from(*session))
                .collect(),
        }),
    }
}

/// The line while no daemon answers.
pub(super) fn disconnected(format: Format) -> String {
    line(format, None, None)
}

/// <https://github.com/Alexays/Waybar/wiki/Module:-Custom#return-type>
#[derive(Serialize)]
struct Waybar {
    text: String,
    alt: &'static str,
    tooltip: String,
    class: &'static str,
}

/// i3bar's block (<https://i3wm.org/docs/i3bar-protocol.html>): the members used here.
#[derive(Serialize)]
struct I3blocks {
    full_text: String,
    short_text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<String>,
}

/// For scripts: no field changes with time alone.
#[derive(Serialize)]
struct Json<'a> {
    /// Whether a daemon answers.
    connected: bool,
    waiting: usize,
    failed: usize,
    finished: usize,
    stopped: usize,
    working: usize,
    idle: usize,
    /// The limits of each account; empty if they are not known.
    limits: Vec<Limit<'a>>,
    /// The session that has needed a person for longest comes first.
    attention: Vec<AttentionEntry<'a>>,
}

/// One window of an account's limits.
#[derive(Serialize)]
struct Limit<'a> {
    /// Only where there are several accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    name: &'a str,
    used_percent: f64,
}

/// A session that needs a person.
#[derive(Serialize)]
struct AttentionEntry<'a> {
    key: &'a str,
    agent: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<WaitingFor>,
    since: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<&'a str>,
}

impl<'a> From<&'a SessionRecord<'static>> for AttentionEntry<'a> {
    fn from(session: &'a SessionRecord<'static>) -> Self {
        Self {
            key: &session.key,
            agent: &session.agent,
            status: session.status,
            waiting_for: session.waiting_for,
            since: session.since,
            reason: session.reason.as_deref(),
            title: session.title.as_deref(),
            cwd: session.cwd.as_deref(),
        }
    }
}

/// A row for each session, the most urgent first, in Pango's markup.
fn tooltip(sessions: &[&SessionRecord<'_>]) -> String {
    let has_several = format::agent_names(sessions.iter().copied()).len() > 1;
    let mut rows: Vec<_> = sessions
        .iter()
        .take(TOOLTIP_ROWS)
        .map(|session| row(session, has_several))
        .collect();
    if sessions.len() > TOOLTIP_ROWS {
        rows.push(format!("and {} more", sessions.len() - TOOLTIP_ROWS));
    }
    rows.join("\n")
}

/// Status, name and summary; the summary only if it differs from the name. The agent's sign is first if it is wanted.
fn row(session: &SessionRecord<'_>, is_signed: bool) -> String {
    let name = session
        .title
        .as_deref()
        .or_else(|| {
            session
                .cwd
                .as_deref()?
                .rsplit('/')
                .find(|part| !part.is_empty())
        })
        .unwrap_or(&session.key);
    let name = format::sanitize(name);
    let summary = format::summary(session, None);
    let mut row = format!("{}  {}", format::status(session), name);
    if is_signed {
        row = format!("{}  {row}", format::agent_sign(&session.agent));
    }
    if !summary.is_empty() && summary != name {
        row = format!("{row}  {summary}");
    }
    escape_markup(&row)
}

/// Escapes as `g_markup_escape_text` does (<https://docs.gtk.org/glib/func.markup_escape_text.html>); control characters
/// are replaced before.
fn escape_markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}
