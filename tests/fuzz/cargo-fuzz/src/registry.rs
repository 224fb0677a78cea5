//! The target `registry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_console::fuzz::run("registry", data));
