//! The Map-Notify, which confirms a registration or tells of a change, and the Map-Notify-Ack
//! (RFC 9301 section 5.7, RFC 9437).

use alloc::vec::Vec;

use super::auth::{self, Key};
use super::record::{self, EidRecord};
use super::{ControlError, Reader, XtrId, kind};

/// The I bit: xTR-ID and site-ID follow the records.
const XTR_ID: u32 = 0x0800_0000;

/// A Map-Notify or Map-Notify-Ack. [`Default`] is a Map-Notify without records and authentication.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct MapNotify {
    /// It is a Map-Notify-Ack (type 5).
    pub ack: bool,
    /// That of the register or subscription it answers, or one of its own.
    pub nonce: u64,
    /// Which key made the authentication data.
    pub key_id: u8,
    /// Which algorithm made it; see [`auth::Algorithm`].
    pub algorithm: u8,
    /// The mappings, at most 255.
    pub records: Vec<EidRecord>,
    /// The identity of the xTR it is sent to (I bit). Not to be believed when only the records are authentic,
    /// see [`auth::Coverage`].
    pub xtr: Option<XtrId>,
    /// What follows the defined content. Not to be believed when only the records are authentic.
    pub tail: Vec<u8>,
    /// Where the last record ends, in bytes from the front of the message; set by parsing, ignored by `emit`.
    pub records_end: usize,
}

impl MapNotify {
    /// Judges a message of type 4 or 5, except for its authentication data; other types are `UnknownType`.
    pub fn parse(bytes: &[u8]) -> Result<MapNotify, ControlError> {
        Self::read(&mut Reader::new(bytes))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<MapNotify, ControlError> {
        let word = reader.word(&[kind::MAP_NOTIFY, kind::MAP_NOTIFY_ACK])?;
        let nonce = reader.u64()?;
        let auth = auth::Field::read(reader)?;
        Ok(MapNotify {
            ack: (word >> 28) as u8 == kind::MAP_NOTIFY_ACK,
            nonce,
            key_id: auth.key_id,
            algorithm: auth.algorithm,
            records: EidRecord::read_all(reader, word as u8)?,
            records_end: reader.position(),
            xtr: XtrId::read(reader, word & XTR_ID != 0)?,
            tail: reader.tail(),
        })
    }

    /// The message's bytes with authentication data of zeros, as long as the algorithm needs;
    /// [`auth::sign`] fills it. The 256th record and what follows it are left out.
    pub fn emit(&self) -> Vec<u8> {
        self.emit_for(self.key_id, self.algorithm)
    }

    /// The message's bytes, authenticated by this key, whose id and algorithm stand in for `key_id` and `algorithm`.
    pub fn signed(&self, key: &Key) -> Vec<u8> {
        let mut out = self.emit_for(key.id, key.algorithm as u8);
        auth::sign(&mut out, key);
        out
    }

    fn emit_for(&self, key_id: u8, algorithm: u8) -> Vec<u8> {
        let mut out = Vec::new();
        let kind = if self.ack { kind::MAP_NOTIFY_ACK } else { kind::MAP_NOTIFY };
        let flags = if self.xtr.is_some() { XTR_ID } else { 0 };
        let count = record::sendable(&self.records).len() as u32;
        out.extend((u32::from(kind) << 28 | flags | count).to_be_bytes());
        out.extend(self.nonce.to_be_bytes());
        auth::Field { key_id, algorithm }.emit(&mut out);
        record::emit_all(&self.records, &mut out);
        if let Some(xtr) = &self.xtr {
            xtr.emit(&mut out);
        }
        out.extend(&self.tail);
        out
    }
}
