//! The whole program as a job that launchd has started, on systems that have no launchd.
//!
//! `$LAUNCHD_SOCKETS` is what the job's `Sockets` dictionary has, as `NAME=COUNT`: the descriptors of that entry, each a
//! duplicate of standard input, which must be a listening socket. Without the variable the process is no job. With
//! `$LAUNCHD_TAKEN` the process has taken its sockets once already.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a stand-in for tests; it fails by panicking"
)]

mod launchd;

use std::env;
use std::ffi::CString;
use std::fs::File;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Ok(sockets) = env::var("LAUNCHD_SOCKETS") {
        let (name, count) = sockets.split_once('=').unwrap();
        let name = CString::new(name).unwrap();
        let standard_input = rustix::stdio::stdin();
        let descriptors = (0..count.parse().unwrap())
            .map(|_| standard_input.try_clone_to_owned().unwrap())
            .collect();
        rustix::stdio::dup2_stdin(File::open("/dev/null").unwrap()).unwrap();
        launchd::start_job(&name, descriptors);
        if env::var_os("LAUNCHD_TAKEN").is_some() {
            let _taken =
                agent_console::daemon::listener::launchd::activate(&name, launchd::activate_socket)
                    .unwrap();
        }
    }
    agent_console::main_with(Some(launchd::activate_socket))
}
