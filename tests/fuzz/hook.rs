//! What an agent writes to its hook or its status line: from standard input to the daemon's reading of the report.
//!
//! The first byte chooses the agent and the second the size of the pieces in which the rest arrives.

use std::io;

use serde_json::value::RawValue;
use serde_json::{Deserializer, Value, json};

use super::choose;
use crate::agents::{self, Agent};
use crate::codec::{self, Message};
use crate::hook::input::{Input, read_object};
use crate::protocol::{MAX_LINE, ReportParams};

/// When the hook runs, in ms since the epoch.
const AT: u64 = 1_790_000_000_000;

/// Standard input that arrives in pieces.
struct Pieces<'a> {
    rest: &'a [u8],
    size: usize,
}

impl Input for Pieces<'_> {
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        let count = self.rest.len().min(self.size).min(room);
        let (piece, rest) = self.rest.split_at(count);
        buffer.extend_from_slice(piece);
        self.rest = rest;
        Ok(count)
    }
}

pub(super) fn target(data: &[u8]) {
    let Some((agent, data)) = choose(agents::ALL, data) else {
        return;
    };
    let Some((size, input)) = choose(&[1, 7, 4096, usize::MAX], data) else {
        return;
    };
    let received = read_object(&mut Pieces {
        rest: input,
        size: *size,
    });
    let object = received.object();
    check_end(input, object);
    report(agent, object);
    let text = String::from_utf8_lossy(object);
    if let Some(status_line) = agent.status_line {
        status_line(&text);
    }
    if let Ok(event) = serde_json::from_slice(object) {
        let _ = agents::interpret(params("an agent of no table", Some(event)));
    }
}

fn params<'a>(agent: &'a str, event: Option<&'a RawValue>) -> ReportParams<'a> {
    ReportParams {
        agent: agent.into(),
        at: AT,
        pid: Some(1),
        process_start: None,
        pid_namespace: None,
        attended: None,
        shared: None,
        terminal: None,
        config_dir: None,
        event,
    }
}

/// Where the input begins with a JSON object, that object is what was found, and nothing after it.
fn check_end(input: &[u8], object: &[u8]) {
    let mark = "\u{feff}".as_bytes();
    let input = input.strip_prefix(mark).unwrap_or(input);
    let mut values = Deserializer::from_slice(input).into_iter::<Box<RawValue>>();
    if let Some(Ok(value)) = values.next()
        && value.get().starts_with('{')
    {
        assert_eq!(object, value.get().as_bytes());
    }
}

/// The line that the hook sends is one that the daemon accepts, and says what the whole payload says.
fn report(agent: &Agent, object: &[u8]) {
    let event = agent.filter(object, None).ok();
    let whole: Option<Value> = serde_json::from_slice(object).ok();
    assert!(
        event.is_some() || !whole.is_some_and(|whole| whole.is_object()),
        "the filter of {} refuses an object",
        agent.name
    );
    let params = params(agent.name, event.as_deref());
    let line = json!({"jsonrpc": "2.0", "method": "session.report", "params": params});
    let line = line.to_string();
    assert!(
        line.len() < MAX_LINE - 16 * 1024,
        "{} bytes leave no room for the rest",
        line.len()
    );
    let decoded = codec::decode(line.as_bytes());
    let Message::Report(params) = decoded.message else {
        panic!("{:?} is refused", decoded.message);
    };
    let interpreted = agents::interpret(*params);
    let Some(event) = event else {
        return;
    };
    // What has been cut once is not cut again.
    let again = agent.filter(event.get().as_bytes(), None).unwrap();
    let meaning = |event: &str| (agent.interpret)(event, AT);
    assert_eq!(meaning(event.get()), meaning(again.get()), "{}", agent.name);
    assert_eq!(interpreted.event.is_some(), meaning(event.get()).is_some());
}
