#![no_main]

#[path = "../../lib/wire/tests/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::control::acx(bytes));
