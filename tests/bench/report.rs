//! What was measured, as tables, as a JSON file, and beside the goals.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// The columns of agent-console; ratios are of the first that a line has.
pub const OURS: [&str; 3] = ["agent-console", "hook", "set"];
/// The columns that are no peers but what the system takes for the same bytes or the same process.
pub const FLOORS: [&str; 4] = ["epoll", "tokio", "/bin/true", "static true"];

/// One line of a table: one quantity, for each system that has it.
pub struct Figure {
    pub section: &'static str,
    pub what: String,
    pub unit: &'static str,
    /// The better of two figures is the higher one.
    pub higher: bool,
    pub values: Vec<(String, f64)>,
}

impl Figure {
    pub fn new(section: &'static str, what: impl Into<String>, unit: &'static str) -> Self {
        Self {
            section,
            what: what.into(),
            unit,
            higher: unit.ends_with("/s"),
            values: Vec::new(),
        }
    }

    pub fn with(mut self, system: impl Into<String>, value: f64) -> Self {
        self.values.push((system.into(), value));
        self
    }

    pub fn of(&self, system: &str) -> Option<f64> {
        let found = self.values.iter().find(|(name, _)| name == system);
        found.map(|(_, value)| *value)
    }

    pub fn ours(&self) -> Option<f64> {
        OURS.iter().find_map(|name| self.of(name))
    }

    pub fn best_peer(&self) -> Option<f64> {
        let peers = self
            .values
            .iter()
            .filter(|(name, _)| !OURS.contains(&name.as_str()) && !FLOORS.contains(&name.as_str()));
        self.best(peers.map(|(_, value)| *value))
    }

    fn floor(&self) -> Option<f64> {
        self.best(FLOORS.iter().filter_map(|name| self.of(name)))
    }

    fn best(&self, values: impl Iterator<Item = f64>) -> Option<f64> {
        values.reduce(if self.higher { f64::max } else { f64::min })
    }

    fn json(&self) -> Value {
        let values: serde_json::Map<_, _> = self
            .values
            .iter()
            .map(|(system, value)| (system.clone(), json!(value)))
            .collect();
        json!({"section": self.section, "what": self.what, "unit": self.unit, "higher_is_better": self.higher, "values": values})
    }
}

/// Everything that a run has measured.
#[derive(Default)]
pub struct Report {
    pub figures: Vec<Figure>,
    /// What a reader of the figures must know: peers that are missing, limits that applied.
    pub notes: Vec<String>,
}

impl Report {
    pub fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub fn find(&self, section: &str, what: &str) -> Option<&Figure> {
        let mut figures = self.figures.iter();
        figures.find(|figure| figure.section == section && figure.what == what)
    }

    /// A section's table: a line a figure, a column a system.
    pub fn table(&self, section: &str) -> String {
        let figures: Vec<_> = self
            .figures
            .iter()
            .filter(|f| f.section == section)
            .collect();
        let mut systems: Vec<&str> = Vec::new();
        for (name, _) in figures.iter().flat_map(|figure| &figure.values) {
            if !systems.contains(&name.as_str()) {
                systems.push(name);
            }
        }
        let mut text = format!("\n## {section}\n\n| what | unit |");
        for system in &systems {
            let _ = write!(text, " {system} |");
        }
        text += " ÷ best peer | ÷ floor |\n|---|---|";
        text += &"--:|".repeat(systems.len() + 2);
        text.push('\n');
        for figure in figures {
            let _ = write!(text, "| {} | {} |", figure.what, figure.unit);
            for system in &systems {
                let _ = write!(
                    text,
                    " {} |",
                    figure.of(system).map_or(String::new(), number)
                );
            }
            let ratio = |of: Option<f64>| match (figure.ours(), of) {
                (Some(ours), Some(other)) if other > 0.0 => format!("{:.2}", ours / other),
                _ => String::new(),
            };
            let _ = writeln!(
                text,
                " {} | {} |",
                ratio(figure.best_peer()),
                ratio(figure.floor())
            );
        }
        text
    }

    pub fn json(&self, environment: &Value, goals: &[crate::goals::Outcome]) -> Value {
        json!({
            "environment": environment,
            "figures": self.figures.iter().map(Figure::json).collect::<Vec<_>>(),
            "notes": self.notes,
            "goals": goals.iter().map(crate::goals::Outcome::json).collect::<Vec<_>>(),
        })
    }
}

/// A number with about three significant digits.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1e6 {
        format!("{:.2} M", value / 1e6)
    } else if size >= 1e4 {
        format!("{:.1} k", value / 1e3)
    } else if size >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// The value that this share of the samples does not exceed.
pub fn percentile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let last = samples.len() - 1;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a slice"
    )]
    let place = (last as f64 * share).round() as usize;
    samples[place.min(last)]
}

pub fn median(samples: &mut [f64]) -> f64 {
    percentile(samples, 0.5)
}
