//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz compile`.
#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code, reason = "each target calls one function")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::compile(bytes));
