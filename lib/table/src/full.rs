//! Why a writer was refused.

/// A bound was reached and nothing was changed. Every bound is fixed at construction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Full {
    /// The number of entries asked for at construction is in use.
    #[error("the table holds as many entries as it was sized for")]
    Entries,
    /// Every bucket the key may lie in is full (so improbable below the entry limit that it means a bad seed).
    #[error("every bucket that this key may lie in is full")]
    Buckets,
    /// More (instance-ID, address family) pairs than the table was sized for.
    #[error("the table holds as many instances as it was sized for")]
    Instances,
    /// All spare entries wait for a reader that has not finished its burst; the next attempt may succeed.
    #[error("every spare entry still waits for a reader to finish its burst")]
    Readers,
    /// The id lies past the capacity given at construction.
    #[error("the id lies past the end of the table")]
    Id,
}

#[cfg(test)]
mod tests {
    use super::Full;
    use std::collections::HashSet;

    #[test]
    fn no_two_reasons_share_a_sentence() {
        let all = [Full::Entries, Full::Buckets, Full::Instances, Full::Readers, Full::Id];
        let sentences: HashSet<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(sentences.len(), all.len());
    }
}
