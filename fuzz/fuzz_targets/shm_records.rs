#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sterna_shm::fuzz_records(bytes));
