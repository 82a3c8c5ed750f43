//! The EID record: a prefix and its locators, as Map-Reply, Map-Register and Map-Notify carry it
//! (RFC 9301 section 5.4).

use alloc::vec::Vec;

use super::{ControlError, LispAddress, LocatorRecord, Reader, address, locator};
use crate::addr::{Iid, Prefix};

/// The shortest record: twelve bytes with an EID of family 0 and no locator.
pub(super) const MIN_LEN: usize = 10 + address::MIN_LEN;

const ACT_SHIFT: u16 = 13;
const AUTHORITATIVE: u16 = 0x1000;
const MAP_VERSION: u16 = 0x0fff;

/// What to do with packets for a prefix that has no locators.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum Act {
    /// Nothing in particular.
    #[default]
    NoAction = 0,
    /// Forward as a router without LISP would.
    NativelyForward = 1,
    /// Ask again for every packet's EID.
    SendMapRequest = 2,
    /// Drop, no reason given.
    Drop = 3,
    /// Drop: a policy denies it.
    DropPolicyDenied = 4,
    /// Drop: the request could not be authenticated.
    DropAuthFailure = 5,
}

impl Act {
    /// The action of a three-bit number; those not assigned (6, 7) mean drop.
    const fn of(bits: u8) -> Act {
        match bits {
            0 => Act::NoAction,
            1 => Act::NativelyForward,
            2 => Act::SendMapRequest,
            4 => Act::DropPolicyDenied,
            5 => Act::DropAuthFailure,
            _ => Act::Drop,
        }
    }
}

/// A prefix and its locators.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EidRecord {
    /// How long it may be kept, in minutes; 0 withdraws it, `u32::MAX` leaves it to the receiver.
    pub ttl: u32,
    /// What to do when there are no locators.
    pub act: Act,
    /// It comes from the ETR itself (A bit), not from a Map-Server in its place.
    pub authoritative: bool,
    /// Version of the mapping, 12 bits (RFC 9302); 0 is none.
    pub map_version: u16,
    /// How many bits of the EID count, as the record says; see [`prefix`](Self::prefix).
    pub mask_len: u8,
    /// The EID.
    pub eid: LispAddress,
    /// The locators, at most 255. None at all is a negative answer.
    pub locators: Vec<LocatorRecord>,
}

impl EidRecord {
    /// A record of this prefix, without locators, to be kept for a day.
    pub fn of(iid: Iid, prefix: Prefix) -> EidRecord {
        EidRecord {
            ttl: 1440,
            act: Act::NoAction,
            authoritative: false,
            map_version: 0,
            mask_len: prefix.len(),
            eid: LispAddress::for_eid(iid, prefix.addr()),
            locators: Vec::new(),
        }
    }

    /// The group and prefix of an IP EID, host bits cleared.
    /// None for other kinds of EID, for a mask longer than the address, for an instance-ID that names no group.
    pub fn prefix(&self) -> Option<(Iid, Prefix)> {
        prefix(&self.eid, self.mask_len)
    }

    /// Reads one record.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<EidRecord, ControlError> {
        let ttl = reader.u32()?;
        let [locator_count, mask_len] = reader.array()?;
        let flags = reader.u16()?;
        let map_version = reader.u16()? & MAP_VERSION;
        let eid = LispAddress::read(reader)?;
        let mut locators = reader.room(locator_count.into(), locator::MIN_LEN)?;
        for _ in 0..locator_count {
            locators.push(LocatorRecord::read(reader)?);
        }
        let act = Act::of((flags >> ACT_SHIFT) as u8);
        let authoritative = flags & AUTHORITATIVE != 0;
        Ok(EidRecord { ttl, act, authoritative, map_version, mask_len, eid, locators })
    }

    /// Reads as many records as the message says it has.
    pub(super) fn read_all(reader: &mut Reader<'_>, count: u8) -> Result<Vec<EidRecord>, ControlError> {
        let mut records = reader.room(count.into(), MIN_LEN)?;
        for _ in 0..count {
            records.push(EidRecord::read(reader)?);
        }
        Ok(records)
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let locators = sendable(&self.locators);
        out.extend(self.ttl.to_be_bytes());
        out.extend([locators.len() as u8, self.mask_len]);
        let authoritative = if self.authoritative { AUTHORITATIVE } else { 0 };
        out.extend(((self.act as u16) << ACT_SHIFT | authoritative).to_be_bytes());
        out.extend((self.map_version & MAP_VERSION).to_be_bytes());
        self.eid.emit(out);
        for locator in locators {
            locator.emit(out);
        }
    }
}

/// As many values as an eight-bit count can tell.
pub(super) fn sendable<T>(values: &[T]) -> &[T] {
    &values[..values.len().min(usize::from(u8::MAX))]
}

/// Appends the records that an eight-bit count can tell.
pub(super) fn emit_all(records: &[EidRecord], out: &mut Vec<u8>) {
    for record in sendable(records) {
        record.emit(out);
    }
}

/// The group and prefix that an EID and a mask length name.
pub(super) fn prefix(eid: &LispAddress, mask_len: u8) -> Option<(Iid, Prefix)> {
    let (iid, address) = eid.eid()?;
    Some((iid, Prefix::masked(address, mask_len).ok()?))
}
