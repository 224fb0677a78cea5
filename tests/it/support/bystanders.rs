//! Clients that must be served while another one misbehaves.

use std::time::Instant;

use serde_json::Value;

use super::{PROMPT, Place, Wire};

/// A client and a dashboard that do nothing wrong, while others do.
#[derive(Debug)]
pub struct Bystanders {
    client: Wire,
    dashboard: Wire,
    seq: u64,
    marks: u32,
}

impl Bystanders {
    #[track_caller]
    pub fn at(place: &Place) -> Self {
        let mut dashboard = place.connect();
        let snapshot = dashboard.ask("subscribe", serde_json::json!({}));
        Self {
            client: place.connect(),
            dashboard,
            seq: snapshot["result"]["seq"].as_u64().unwrap(),
            marks: 0,
        }
    }

    /// The client is answered, and the dashboard receives its change and all changes before it, without a wait for the
    /// bad client.
    #[track_caller]
    pub fn are_served(&mut self) {
        let began = Instant::now();
        self.marks += 1;
        let mark = format!("mark {}", self.marks);
        let answer = self.client.ask(
            "session.set",
            serde_json::json!({"session": "bystander", "status": "working", "reason": mark}),
        );
        assert_eq!(answer["result"]["session"]["reason"], *mark, "{answer}");
        loop {
            let pushed = self.dashboard.next().expect("the dashboard to be kept");
            let params = &pushed["params"];
            assert_eq!(params["seq"], self.seq + 1, "a gap: {pushed}");
            self.seq += 1;
            if params["session"]["reason"] == *mark {
                break;
            }
        }
        assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    }

    /// Asks as the client.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.client.ask(method, params)
    }
}
