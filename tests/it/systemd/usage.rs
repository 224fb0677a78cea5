//! The account's limits from within the unit's sandbox.

use std::fs;

use serde_json::json;

use super::machine::{SERVICE, beside_a_manager};
use crate::reexec::this_test;
use crate::support::until;
use crate::usage::{TOKEN, credentials, limits};
use crate::usage_server::Service;
use crate::usage_server::trust::{TestCa, write_trusting};

#[test]
fn the_sandbox_lets_the_service_be_asked() {
    beside_a_manager(this_test!(), |machine| {
        let service = Service::start(TestCa::Trusted, limits());
        let program = machine.home(".cargo/bin/agent-console");
        let trusting = program.with_extension("new");
        write_trusting(&program, &trusting);
        fs::rename(trusting, program).unwrap();
        let proxy = format!("[Service]\nEnvironment=HTTPS_PROXY={}\n", service.proxy());
        machine.drop_in(SERVICE, &proxy);
        fs::create_dir(machine.home(".claude")).unwrap();
        let file = machine.home(".claude/.credentials.json");
        fs::write(file, credentials(TOKEN)).unwrap();

        machine.enable();
        let told = machine.dashboard().notified("usage.changed");
        assert_eq!(told["usage"]["state"], "ok", "{told}");
        assert_eq!(service.tokens(), [TOKEN]);
        let windows = told["usage"]["windows"].as_array().unwrap();
        assert_eq!(windows[0]["used_percent"], json!(42.0));

        // Reaped, and no part of the service any more.
        let group = machine.property(SERVICE, "ControlGroup");
        let processes = fs::read_to_string(format!("/sys/fs/cgroup{group}/cgroup.procs")).unwrap();
        assert_eq!(processes.trim_end(), machine.property(SERVICE, "MainPID"));
        let said = until("the log", || {
            let said = format!("{:?}", machine.journal(&[]));
            said.contains("a dashboard has subscribed").then_some(said)
        });
        assert!(!said.contains(TOKEN), "{said}");
    });
}
