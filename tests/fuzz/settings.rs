//! An agent's settings, as `install` and `uninstall` edit them: what was put in is taken out byte for byte.
//!
//! The first four bytes choose the agent, what is put in, and the programs.

use super::choose;
use crate::agents::{self, Agent};
use crate::install::settings::{
    HookRequest, Parts, Request, StatusLineRequest, inspect, install, uninstall,
};

/// The program's path, with characters that a shell or JSON must quote.
const PROGRAMS: [&str; 4] = [
    "/usr/local/bin/agent-console",
    "/it's a/acd",
    "/x \"$HOME\"/agent-console",
    "/b/agent-console",
];

pub(super) fn target(data: &[u8]) {
    let Some((agent, data)) = choose(agents::ALL, data) else {
        return;
    };
    let Some(([hooks, line], data)) = choose(&[[true, true], [true, false], [false, true]], data)
    else {
        return;
    };
    let Some((program, data)) = choose(&PROGRAMS, data) else {
        return;
    };
    let Some((other, data)) = choose(&PROGRAMS, data) else {
        return;
    };
    if let Ok(text) = std::str::from_utf8(data) {
        let parts = Parts {
            hooks: *hooks,
            status_line: *line && agent.status_line.is_some(),
        };
        let _ = inspect(text, &agent.install);
        round_trip(agent, parts, program, other, text);
    }
}

fn round_trip(agent: &Agent, parts: Parts, program: &str, other: &str, text: &str) -> Option<()> {
    let form = agent.install.merged()?;
    let request = Request {
        syntax: form.syntax,
        hooks: parts.hooks.then_some(HookRequest {
            agent: agent.name,
            events: agent.install.events,
            form,
        }),
        status_line: if parts.status_line {
            StatusLineRequest::Install
        } else {
            StatusLineRequest::Keep
        },
    };
    let uninstall = |text: &str, record| uninstall(text, form, parts, record).unwrap();
    let Ok(done) = install(text, &request, program, None) else {
        return None;
    };
    assert_eq!(uninstall(&done.text, Some(&done.record)), text);
    // A second time, and with another program.
    let again = install(&done.text, &request, program, Some(&done.record)).unwrap();
    assert_eq!(again.text, done.text);
    let moved = install(&done.text, &request, other, Some(&done.record)).unwrap();
    assert_eq!(uninstall(&moved.text, Some(&moved.record)), text);
    // Without the record none of ours remains.
    let bare = uninstall(&done.text, None);
    if let Ok(left) = inspect(&bare, &agent.install) {
        assert!(!parts.hooks || left.found.is_empty(), "{bare}");
    }
    Some(())
}
