//! What every record has in common: a slot of 256 bytes, a kind, a length, and a decoder that trusts nothing.

use crate::layout::Writer;

/// Bytes of a ring slot: a header of 16 and a body.
pub const SLOT: usize = 256;
/// Bytes of a slot's header: sequence number (8), kind (2), length (2), zero (4).
pub const SLOT_HEADER: usize = 16;
/// Bytes a record may have at most.
pub const BODY: usize = SLOT - SLOT_HEADER;

/// A record that can cross a ring.
pub trait Record: Sized {
    /// Fingerprint of all kinds and their fields.
    const SHAPE: u64;
    /// Bytes of the longest kind.
    const LONGEST: usize;
    /// The record as bytes.
    fn encode(&self) -> Encoded;
    /// The record that these bytes are. Everything is checked: kind, length, each value, reserved bytes.
    fn decode(kind: u16, body: &[u8]) -> Result<Self, RecordFault>;
}

/// A record as bytes, ready for a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encoded {
    kind: u16,
    len: u16,
    bytes: [u8; BODY],
}

impl Encoded {
    /// Wraps a written body; its length is rounded up to whole words.
    #[inline]
    pub(crate) fn new(kind: u16, out: Writer) -> Encoded {
        let (bytes, used) = out.finish();
        Encoded { kind, len: whole_words(used).min(BODY) as u16, bytes }
    }

    /// The kind number.
    #[inline]
    pub fn kind(&self) -> u16 {
        self.kind
    }

    /// The body: a multiple of eight bytes.
    #[inline]
    pub fn body(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Why bytes are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordFault {
    /// A kind this ring does not carry.
    #[error("record kind {0:#06x} is unknown here")]
    Kind(u16),
    /// A length that is not this kind's.
    #[error("record kind {kind:#06x} cannot have {found} bytes")]
    Length {
        /// The kind.
        kind: u16,
        /// Bytes found.
        found: u16,
    },
    /// A value out of range.
    #[error("record kind {kind:#06x}: {what}")]
    Value {
        /// The kind.
        kind: u16,
        /// What is wrong.
        what: &'static str,
    },
}

/// A length rounded up to whole u64 words.
#[inline]
pub const fn whole_words(len: usize) -> usize {
    len.div_ceil(8) * 8
}
