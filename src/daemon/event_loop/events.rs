//! What the connections have posted: handled one at a time, in the order in which it came.
//!
//! A client that sends many requests at once gets their answers in one write; any other gets its answer at once.

use super::{ControlFlow, EventLoop, TURN};
use crate::core::Input;
use crate::daemon::connection::ConnectionEvent;

impl EventLoop {
    pub(super) fn handle_events(&mut self, events: &mut Vec<ConnectionEvent>) -> ControlFlow {
        let mut flow = ControlFlow::Continue;
        let is_burst = events.len() == TURN;
        let mut events = events.drain(..).peekable();
        while let Some(event) = events.next() {
            let next = match event {
                ConnectionEvent::Received(client, mut input) => {
                    if !self.clients.mark_sent(client) {
                        continue;
                    }
                    if let Input::Reported { report, .. } = &mut input {
                        self.accounts.resolve_report(report);
                        self.files.reported(report);
                    }
                    let more_follows = events.peek().is_some_and(|next| next.is_from(client));
                    if more_follows {
                        self.clients.hold_answers(client);
                    }
                    let next = self.handle(input);
                    if !more_follows {
                        self.clients.send_held_answers();
                    }
                    next
                }
                ConnectionEvent::Ended(client) => {
                    self.half_closed.push(client);
                    ControlFlow::Continue
                }
                ConnectionEvent::Gone(client) => {
                    self.clients.remove(client);
                    ControlFlow::Continue
                }
                ConnectionEvent::Writable(client) => {
                    self.clients.unblocked(client);
                    ControlFlow::Continue
                }
            };
            self.close_answered();
            self.report_disconnected();
            if next != ControlFlow::Continue {
                flow = next;
                break;
            }
        }
        drop(events);
        self.clients.send_held_answers();
        if !is_burst {
            self.clients.trim_memory();
        }
        flow
    }
}
