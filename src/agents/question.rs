//! What an agent asks a person: questions with options, as several agents spell them in the input of a tool.
//!
//! Pure; knows no agent. Used by the agents' folders.

use super::allow_list::allow_list;
use super::tolerant::{List, Text};
use crate::protocol::{QUESTION_LIMIT, one_line};

/// The most questions of one call, and the most options of one, that are kept: as many as they may have.
const MAX_QUESTIONS: usize = 4;
const MAX_OPTIONS: usize = 4;

allow_list! {
    /// One question.
    Question {
        question: Text<512>,
        options: List<Choice, MAX_OPTIONS>,
    }

    Choice {
        label: Text<64>,
    }
}

/// The questions of one call.
pub(super) type Questions = List<Question, MAX_QUESTIONS>;

/// `Which colour? (Red / Blue)`, one after the other; `None` without any.
pub(super) fn question(questions: &Questions) -> Option<Box<str>> {
    let text = |question: &Question| {
        let labels = question.options.0.iter().filter_map(|one| one.label.get());
        let labels: Vec<_> = labels.collect();
        let text = question.question.get()?;
        Some(match labels.as_slice() {
            [] => text.to_owned(),
            labels => format!("{text} ({})", labels.join(" / ")),
        })
    };
    let texts: Vec<_> = questions.0.iter().filter_map(text).collect();
    (!texts.is_empty()).then(|| one_line(&texts.join(" · "), QUESTION_LIMIT).into())
}

/// The first line of a plan, without the marks of a heading.
pub(super) fn plan(text: &str) -> Option<Box<str>> {
    let mut lines = text.lines().map(|line| line.trim_start_matches(['#', ' ']));
    let line = lines.find(|line| !line.is_empty())?;
    Some(one_line(line, QUESTION_LIMIT).into())
}
