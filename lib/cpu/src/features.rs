//! What the processor offers beyond its baseline, for the start-up log.

/// Names the instruction sets of this processor that packet processing cares about.
#[must_use]
pub fn features() -> Vec<&'static str> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! report {
            ($($name:tt),+) => { $(if std::is_x86_feature_detected!($name) { found.push($name); })+ };
        }
        report!(
            "sse2",
            "sse4.2",
            "popcnt",
            "bmi1",
            "bmi2",
            "aes",
            "pclmulqdq",
            "vaes",
            "avx2",
            "avx512f",
            "avx512bw"
        );
    }
    #[cfg(target_arch = "aarch64")]
    {
        macro_rules! report {
            ($($name:tt),+) => { $(if std::arch::is_aarch64_feature_detected!($name) { found.push($name); })+ };
        }
        report!("neon", "crc", "aes", "sha2", "lse", "sve");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baseline_is_reported_once() {
        let found = features();
        #[cfg(target_arch = "x86_64")]
        assert!(found.contains(&"sse2"));
        #[cfg(target_arch = "aarch64")]
        assert!(found.contains(&"neon"));
        let mut unique = found.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), found.len());
    }
}
