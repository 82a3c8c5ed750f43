//! The Map-Register: an ETR tells its Map-Server what it serves (RFC 9301 section 5.6).

use alloc::vec::Vec;

use super::auth::{self, Key};
use super::record::{self, EidRecord};
use super::{ControlError, Reader, XtrId, kind};

mod bit {
    pub(super) const PROXY_REPLY: u32 = 0x0800_0000;
    pub(super) const SECURITY: u32 = 0x0400_0000;
    pub(super) const XTR_ID: u32 = 0x0200_0000;
    pub(super) const EID_NOTIFY: u32 = 0x0000_1000;
    pub(super) const USE_TTL: u32 = 0x0000_0800;
    pub(super) const MERGE: u32 = 0x0000_0400;
    pub(super) const WANT_NOTIFY: u32 = 0x0000_0100;
}

/// A Map-Register. [`Default`] is one without flags, records and authentication.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct MapRegister {
    /// The Map-Server shall answer requests in the ETR's place (P bit).
    pub proxy_reply: bool,
    /// The ETR is capable of LISP-SEC (S bit).
    pub security: bool,
    /// First-hop routers shall be told of the EID (E bit).
    pub eid_notify: bool,
    /// The registration lives as long as its records' TTL says (T bit).
    pub use_ttl: bool,
    /// The locators are added to those of other xTRs instead of replacing them (a bit).
    pub merge: bool,
    /// A Map-Notify is wanted (M bit).
    pub want_notify: bool,
    /// Rises with each message, against replay.
    pub nonce: u64,
    /// Which key made the authentication data.
    pub key_id: u8,
    /// Which algorithm made it; see [`auth::Algorithm`].
    pub algorithm: u8,
    /// The mappings, at most 255.
    pub records: Vec<EidRecord>,
    /// The sender's identity (I bit). Not to be believed when only the records are authentic,
    /// see [`auth::Coverage`].
    pub xtr: Option<XtrId>,
    /// What follows the defined content. Not to be believed when only the records are authentic.
    pub tail: Vec<u8>,
    /// Where the last record ends, in bytes from the front of the message; set by parsing, ignored by `emit`.
    pub records_end: usize,
}

impl MapRegister {
    /// Judges a message of type 3, except for its authentication data; other types are `UnknownType`.
    pub fn parse(bytes: &[u8]) -> Result<MapRegister, ControlError> {
        Self::read(&mut Reader::new(bytes))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<MapRegister, ControlError> {
        let word = reader.word(&[kind::MAP_REGISTER])?;
        let set = |mask: u32| word & mask != 0;
        let nonce = reader.u64()?;
        let auth = auth::Field::read(reader)?;
        Ok(MapRegister {
            proxy_reply: set(bit::PROXY_REPLY),
            security: set(bit::SECURITY),
            eid_notify: set(bit::EID_NOTIFY),
            use_ttl: set(bit::USE_TTL),
            merge: set(bit::MERGE),
            want_notify: set(bit::WANT_NOTIFY),
            nonce,
            key_id: auth.key_id,
            algorithm: auth.algorithm,
            records: EidRecord::read_all(reader, word as u8)?,
            records_end: reader.position(),
            xtr: XtrId::read(reader, set(bit::XTR_ID))?,
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
        let count = record::sendable(&self.records).len() as u32;
        out.extend((u32::from(kind::MAP_REGISTER) << 28 | self.flags() | count).to_be_bytes());
        out.extend(self.nonce.to_be_bytes());
        auth::Field { key_id, algorithm }.emit(&mut out);
        record::emit_all(&self.records, &mut out);
        if let Some(xtr) = &self.xtr {
            xtr.emit(&mut out);
        }
        out.extend(&self.tail);
        out
    }

    fn flags(&self) -> u32 {
        [
            (self.proxy_reply, bit::PROXY_REPLY),
            (self.security, bit::SECURITY),
            (self.xtr.is_some(), bit::XTR_ID),
            (self.eid_notify, bit::EID_NOTIFY),
            (self.use_ttl, bit::USE_TTL),
            (self.merge, bit::MERGE),
            (self.want_notify, bit::WANT_NOTIFY),
        ]
        .into_iter()
        .map(|(set, mask)| if set { mask } else { 0 })
        .sum()
    }
}
