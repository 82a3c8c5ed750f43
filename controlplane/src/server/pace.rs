//! How often a message that must be acknowledged is sent again.

use std::time::Duration;

/// Waits after each sending: first those for a peer that may have lost one packet, then those of RFC 9301
/// section 5.7 (three times three seconds, then three times doubled).
const WAITS: [Duration; 9] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(1000),
    Duration::from_secs(3),
    Duration::from_secs(3),
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(12),
    Duration::from_secs(24),
];

/// How long to wait after so many sendings; none when it is time to give up.
pub(super) fn wait(sendings: u8) -> Option<Duration> {
    WAITS.get(usize::from(sendings).checked_sub(1)?).copied()
}
