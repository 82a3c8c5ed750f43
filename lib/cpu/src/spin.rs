//! What a spinning worker says to the core.

/// Tells the core that this is a waiting loop (PAUSE, YIELD or nothing), so that it saves power and its sibling
/// thread runs faster.
#[inline(always)]
pub fn pause() {
    core::hint::spin_loop();
}
