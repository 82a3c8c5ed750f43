//! The Map-Reply: these locators serve this EID (RFC 9301 section 5.4).

use alloc::vec::Vec;

use super::record::{self, EidRecord};
use super::{ControlError, Reader, kind};

mod bit {
    pub(super) const PROBE: u32 = 0x0800_0000;
    pub(super) const ECHO_NONCE: u32 = 0x0400_0000;
    pub(super) const SECURITY: u32 = 0x0200_0000;
}

/// A Map-Reply. [`Default`] is one without flags and records.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct MapReply {
    /// It answers a probe (P bit).
    pub probe: bool,
    /// The sender echoes data nonces (E bit).
    pub echo_nonce: bool,
    /// Authentication data of LISP-SEC follows the records (S bit, RFC 9303); it is part of `tail`.
    pub security: bool,
    /// The nonce of the request.
    pub nonce: u64,
    /// The mappings, at most 255.
    pub records: Vec<EidRecord>,
    /// What follows the records.
    pub tail: Vec<u8>,
}

impl MapReply {
    /// Judges a message of type 2; other types are `UnknownType`.
    pub fn parse(bytes: &[u8]) -> Result<MapReply, ControlError> {
        Self::read(&mut Reader::new(bytes))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<MapReply, ControlError> {
        let word = reader.word(&[kind::MAP_REPLY])?;
        Ok(MapReply {
            probe: word & bit::PROBE != 0,
            echo_nonce: word & bit::ECHO_NONCE != 0,
            security: word & bit::SECURITY != 0,
            nonce: reader.u64()?,
            records: EidRecord::read_all(reader, word as u8)?,
            tail: reader.tail(),
        })
    }

    /// The message's bytes; the 256th record and what follows it are left out.
    pub fn emit(&self) -> Vec<u8> {
        let flag = |set: bool, mask: u32| if set { mask } else { 0 };
        let flags = flag(self.probe, bit::PROBE)
            | flag(self.echo_nonce, bit::ECHO_NONCE)
            | flag(self.security, bit::SECURITY);
        let count = record::sendable(&self.records).len() as u32;
        let mut out = Vec::new();
        out.extend((u32::from(kind::MAP_REPLY) << 28 | flags | count).to_be_bytes());
        out.extend(self.nonce.to_be_bytes());
        record::emit_all(&self.records, &mut out);
        out.extend(&self.tail);
        out
    }
}
