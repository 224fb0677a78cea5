//! What the agent's registry tells of a session, and what follows when nothing more is told.

use std::borrow::Cow;

use super::{EXITED, EndedBy, Process, Session, Word};
use crate::core::rule::Rule;
use crate::core::turn::reorder::Step;
use crate::event::RegistryEntry;
use crate::protocol::{EvidenceKind, Terminal};

/// How long after an exit, in ms, the news may come that the agent had signed off before it; later, somebody else has
/// cleaned up.
const SIGN_OFF_MS: u64 = 1000;

impl Session {
    /// Takes in what the agent's registry says; false if it says nothing new. `prompts` and `now` as for
    /// [`Self::hooked`].
    pub(crate) fn registered(
        &mut self,
        entry: &RegistryEntry,
        tty: Option<&str>,
        process: Process,
        prompts: bool,
        now: u64,
    ) -> bool {
        // What was written before the last hook was stamped, that one has said better.
        let is_fresh = entry.updated_at >= self.id_at;
        let id_is_news = is_fresh && entry.session_id.is_some() && entry.session_id != self.id;
        let title = entry.title.as_ref();
        let title = title.filter(|_| prompts && is_fresh && !self.titled_by_script);
        let title_is_news = title.is_some() && self.title.as_ref() != title;
        let word = entry.status.map(|status| Word {
            at: entry.status_at,
            what: status.as_str().into(),
        });
        let word_is_news = word.is_some() && word != self.registry;
        if !id_is_news && !title_is_news && !word_is_news {
            return false;
        }
        match &self.ended {
            // What its agent or the process table has ended, an entry does not open again: it was on its way.
            Some(ended) if ended.by == EndedBy::Agent || ended.by == EndedBy::Exit => return false,
            Some(ended) if entry.status_at < ended.at => return false,
            Some(_) | None => self.reopen(),
        }
        if id_is_news {
            self.id_at = entry.updated_at;
            if self.rebind(entry.session_id.clone()) && !self.titled_by_script {
                self.title = None;
            }
        }
        if title.is_some() {
            self.title = title.cloned();
        }
        if self.cwd.is_none() {
            self.cwd.clone_from(&entry.cwd);
        }
        if self.terminal.is_none()
            && let Some(tty) = tty
        {
            self.terminal = Some(Box::new(Terminal {
                tty: Some(tty.into()),
                ..Terminal::default()
            }));
        }
        if self.hook.is_none() {
            self.attended = entry.attended.unwrap_or(self.attended);
        }
        self.started_at = entry
            .started_at
            .map_or(self.started_at, |at| at.min(self.started_at));
        self.process = self.process.or(Some(process));
        self.signed_off = false;
        if let (true, Some(word), Some(status)) = (word_is_news, word, entry.status) {
            if self
                .report
                .as_ref()
                .is_none_or(|report| report.at <= word.at)
            {
                self.reported = None;
            }
            let (at, what) = (word.at, word.what.clone());
            self.registry = Some(word);
            let step = Step::Registered(status, self.attended);
            let rule = if let Ok(rule) = self.turns.take(at, step) {
                rule.unwrap_or(Rule::Noted)
            } else {
                self.turns.registered_before(status, at);
                Rule::TooLate
            };
            self.remember(at, EvidenceKind::Registry, what, rule);
            // What has stood for long when it is first seen counts at once.
            if self.due_at().is_some_and(|due| due <= now) {
                self.passed();
            }
        }
        true
    }

    /// The registry has no entry of it any more. True if it had one and that says something.
    pub(crate) fn unregistered(&mut self, at: u64) -> bool {
        if self.registry.is_none() || self.signed_off {
            return false;
        }
        match &mut self.ended {
            None => {}
            // The exit has overtaken it.
            Some(ended) if ended.by == EndedBy::Exit && at <= ended.at + SIGN_OFF_MS => {
                ended.reason = EXITED.into();
            }
            Some(_) => return false,
        }
        self.signed_off = true;
        let what: Cow<'static, str> = "removed".into();
        self.registry = Some(Word {
            at,
            what: what.clone(),
        });
        // Too late for the turn is not too late for the exit.
        let _ = self.turns.take(at, Step::Unregistered);
        self.remember(at, EvidenceKind::Registry, what, Rule::RegistryRemoved);
        true
    }

    /// Nothing was said until [`Self::due_at`]: applies what follows. False if nothing does.
    pub(crate) fn passed(&mut self) -> bool {
        let Some((at, rule)) = self.turns.pass() else {
            return false;
        };
        let word = self.registry.as_ref();
        let what = word.map_or("silence".into(), |word| word.what.clone());
        self.remember(at, EvidenceKind::Registry, what, rule);
        true
    }

    /// When, by the stamps, [`Self::passed`] is to be called.
    pub(crate) fn due_at(&self) -> Option<u64> {
        self.turns.due().filter(|_| self.ended.is_none())
    }
}
