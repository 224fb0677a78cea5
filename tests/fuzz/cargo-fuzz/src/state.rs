//! The target `state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| agent_console::fuzz::run("state", data));
