//! What agents' own files and registries report, beside what their hooks send.

use std::rc::Rc;

use super::{ControlFlow, EventLoop};
use crate::core::Input;
use crate::daemon::agent_registry::RegistryFileChange;

impl EventLoop {
    pub(super) fn registry_changed(&mut self, change: RegistryFileChange) -> ControlFlow {
        let directory = Rc::clone(&change.directory);
        match self.registries.read(change) {
            Some(mut update) => {
                let directory = directory.to_string_lossy();
                update.account = self
                    .accounts
                    .resolve(&update.agent, &directory, None, false);
                self.handle(Input::RegistryChanged(Box::new(update)))
            }
            None => ControlFlow::Continue,
        }
    }

    /// What agents' own files have reported.
    pub(super) fn observe(&mut self) -> ControlFlow {
        while let Some(mut report) = self.files.try_next() {
            self.accounts.resolve_report(&mut report);
            if let exit @ ControlFlow::Exit { .. } = self.handle(Input::Observed(Box::new(report)))
            {
                return exit;
            }
        }
        ControlFlow::Continue
    }
}
