//! The Map-Request: who serves this EID? Also the probe of a locator and the solicitation of a request (SMR)
//! (RFC 9301 section 5.2, RFC 9437 for subscriptions).

use alloc::vec::Vec;

use super::record::{self, EidRecord};
use super::{ControlError, LispAddress, Reader, XtrId, address, kind};
use crate::addr::{Iid, Prefix};

mod bit {
    pub(super) const AUTHORITATIVE: u32 = 0x0800_0000;
    pub(super) const MAP_DATA: u32 = 0x0400_0000;
    pub(super) const PROBE: u32 = 0x0200_0000;
    pub(super) const SMR: u32 = 0x0100_0000;
    pub(super) const PITR: u32 = 0x0080_0000;
    pub(super) const SMR_INVOKED: u32 = 0x0040_0000;
    pub(super) const XTR_ID: u32 = 0x0010_0000;
    pub(super) const LOCAL_XTR: u32 = 0x0000_4000;
    pub(super) const NO_REPLY: u32 = 0x0000_2000;
}

/// Count of ITR-RLOCs minus one.
const RLOC_COUNT_SHIFT: u32 = 8;
const RLOC_COUNT_MASK: u32 = 0x1f;
const MAX_RLOCS: usize = 32;
/// Bit of the record's first byte: keep me informed (RFC 9437).
const SUBSCRIBE: u8 = 0x80;
const MIN_RECORD_LEN: usize = 2 + address::MIN_LEN;

/// One EID that is asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RequestRecord {
    /// Keep me informed of changes (N bit, RFC 9437); a true one needs [`MapRequest::xtr`].
    pub subscribe: bool,
    /// How many bits of the EID count.
    pub mask_len: u8,
    /// The EID.
    pub eid: LispAddress,
}

impl RequestRecord {
    /// Asks for this prefix, without subscribing.
    pub fn of(iid: Iid, prefix: Prefix) -> RequestRecord {
        let eid = LispAddress::for_eid(iid, prefix.addr());
        RequestRecord { subscribe: false, mask_len: prefix.len(), eid }
    }

    /// The group and prefix of an IP EID, host bits cleared.
    /// None for other kinds of EID, and for an instance-ID that names no group.
    pub fn prefix(&self) -> Option<(Iid, Prefix)> {
        record::prefix(&self.eid, self.mask_len)
    }

    fn read(reader: &mut Reader<'_>) -> Result<RequestRecord, ControlError> {
        let [flags, mask_len] = reader.array()?;
        let eid = LispAddress::read(reader)?;
        if mask_len > eid.max_mask_len() {
            return Err(ControlError::BadMaskLen);
        }
        Ok(RequestRecord { subscribe: flags & SUBSCRIBE != 0, mask_len, eid })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend([if self.subscribe { SUBSCRIBE } else { 0 }, self.mask_len]);
        self.eid.emit(out);
    }
}

/// A Map-Request. [`Default`] is one without any flag, ITR-RLOC or record.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct MapRequest {
    /// Only the ETR itself shall answer (A bit).
    pub authoritative: bool,
    /// It probes the locator it is sent to (P bit).
    pub probe: bool,
    /// It solicits a Map-Request for the source EID (S bit).
    pub smr: bool,
    /// The sender is a proxy ITR (p bit).
    pub pitr: bool,
    /// It was solicited (s bit).
    pub smr_invoked: bool,
    /// The answer is for an xTR of the same site (L bit).
    pub local_xtr: bool,
    /// No Map-Reply is wanted (D bit).
    pub no_reply: bool,
    /// What the answer must repeat.
    pub nonce: u64,
    /// The EID whose packet made us ask, or the prefix that changed in an SMR; none when there is no such EID.
    pub source_eid: LispAddress,
    /// Where the answer may go, 1 to 32 addresses of any kind.
    /// In an unsubscription it is one address of family 0 (RFC 9437).
    pub itr_rlocs: Vec<LispAddress>,
    /// What is asked for, at least one and at most 255; a probe or SMR has exactly one.
    pub records: Vec<RequestRecord>,
    /// The sender's own mapping (M bit), not to be believed without verification.
    pub map_reply: Option<EidRecord>,
    /// The sender's identity (I bit), needed to subscribe.
    pub xtr: Option<XtrId>,
    /// What follows the defined content.
    pub tail: Vec<u8>,
}

impl MapRequest {
    /// Judges a message of type 1; other types are `UnknownType`.
    pub fn parse(bytes: &[u8]) -> Result<MapRequest, ControlError> {
        Self::read(&mut Reader::new(bytes))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<MapRequest, ControlError> {
        let word = reader.word(&[kind::MAP_REQUEST])?;
        let set = |mask: u32| word & mask != 0;
        let nonce = reader.u64()?;
        let source_eid = LispAddress::read(reader)?;
        let rloc_count = (word >> RLOC_COUNT_SHIFT & RLOC_COUNT_MASK) as usize + 1;
        let mut itr_rlocs = reader.room(rloc_count, address::MIN_LEN)?;
        for _ in 0..rloc_count {
            itr_rlocs.push(LispAddress::read(reader)?);
        }
        let records = read_records(reader, word as u8, set(bit::PROBE | bit::SMR))?;
        let map_reply = if set(bit::MAP_DATA) { Some(EidRecord::read(reader)?) } else { None };
        Ok(MapRequest {
            authoritative: set(bit::AUTHORITATIVE),
            probe: set(bit::PROBE),
            smr: set(bit::SMR),
            pitr: set(bit::PITR),
            smr_invoked: set(bit::SMR_INVOKED),
            local_xtr: set(bit::LOCAL_XTR),
            no_reply: set(bit::NO_REPLY),
            nonce,
            source_eid,
            itr_rlocs,
            records,
            map_reply,
            xtr: XtrId::read_lenient(reader, set(bit::XTR_ID))?,
            tail: reader.tail(),
        })
    }

    /// The message's bytes. Without an ITR-RLOC one of family 0 is written, because the count cannot be zero;
    /// the 33rd ITR-RLOC and the 256th record, and what follows them, are left out.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let rlocs = &self.itr_rlocs[..self.itr_rlocs.len().min(MAX_RLOCS)];
        let records = record::sendable(&self.records);
        let counts = (rlocs.len().max(1) as u32 - 1) << RLOC_COUNT_SHIFT | records.len() as u32;
        out.extend((u32::from(kind::MAP_REQUEST) << 28 | self.flags() | counts).to_be_bytes());
        out.extend(self.nonce.to_be_bytes());
        self.source_eid.emit(&mut out);
        if rlocs.is_empty() {
            LispAddress::None.emit(&mut out);
        }
        rlocs.iter().for_each(|rloc| rloc.emit(&mut out));
        records.iter().for_each(|record| record.emit(&mut out));
        if let Some(record) = &self.map_reply {
            record.emit(&mut out);
        }
        if let Some(xtr) = &self.xtr {
            xtr.emit(&mut out);
        }
        out.extend(&self.tail);
        out
    }

    fn flags(&self) -> u32 {
        [
            (self.authoritative, bit::AUTHORITATIVE),
            (self.map_reply.is_some(), bit::MAP_DATA),
            (self.probe, bit::PROBE),
            (self.smr, bit::SMR),
            (self.pitr, bit::PITR),
            (self.smr_invoked, bit::SMR_INVOKED),
            (self.xtr.is_some(), bit::XTR_ID),
            (self.local_xtr, bit::LOCAL_XTR),
            (self.no_reply, bit::NO_REPLY),
        ]
        .into_iter()
        .map(|(set, mask)| if set { mask } else { 0 })
        .sum()
    }
}

fn read_records(
    reader: &mut Reader<'_>,
    count: u8,
    only_one: bool,
) -> Result<Vec<RequestRecord>, ControlError> {
    if count == 0 {
        return Err(ControlError::NoRecords);
    }
    if only_one && count != 1 {
        return Err(ControlError::BadRecordCount);
    }
    let mut records = reader.room(count.into(), MIN_RECORD_LEN)?;
    for _ in 0..count {
        records.push(RequestRecord::read(reader)?);
    }
    Ok(records)
}
