#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sterna_dataplane::rig::fuzz_step(bytes));
