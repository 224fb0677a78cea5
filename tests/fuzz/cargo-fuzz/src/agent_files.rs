//! The target `agent_files`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_console::fuzz::run("agent_files", data));
