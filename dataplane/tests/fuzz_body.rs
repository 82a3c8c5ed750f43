//! The fuzz target's body over random bytes: the same promises, a few hundred times per test run.

use proptest::prelude::*;
use sterna_dataplane::rig::fuzz_step;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Any bytes at all.
    #[test]
    fn any_bytes_keep_the_promises(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz_step(&data);
    }
}
