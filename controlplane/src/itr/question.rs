//! What the mapping system is asked: the mapping of a prefix, as it suits a sender with certain needs.

use sterna_wire::{Iid, Prefix};

use super::EidPrefix;

/// C-HASH: stands for the constraints of a context class.
pub type Hash = [u8; 8];

/// A question, and what a subscription is to. Whether the answer depends on the needs is up to whoever answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Of which prefix.
    pub key: EidPrefix,
    /// For whom; none for senders without needs.
    pub needs: Option<Hash>,
}

impl Question {
    /// For a sender without needs.
    pub const fn plain(key: EidPrefix) -> Self {
        Self { key, needs: None }
    }

    /// The group.
    pub const fn iid(self) -> Iid {
        self.key.0
    }

    /// The prefix.
    pub const fn prefix(self) -> Prefix {
        self.key.1
    }

    /// All questions about one prefix lie between these two.
    pub const fn about(key: EidPrefix) -> std::ops::RangeInclusive<Self> {
        Self::plain(key)..=Self { key, needs: Some([0xff; 8]) }
    }
}
