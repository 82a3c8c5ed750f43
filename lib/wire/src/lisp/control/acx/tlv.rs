//! Type, flags, length, value, padding to four bytes.

use alloc::vec::Vec;

use super::{AcxError, MAX_TLVS};
use crate::lisp::control::XtrId;

/// The types (reference/lisp-protocol.md section 6.3).
pub(super) mod kind {
    pub(in super::super) const PAD: u8 = 0x00;
    pub(in super::super) const SCOPE: u8 = 0x01;
    pub(in super::super) const SCOPE_EID: u8 = 0x02;
    pub(in super::super) const SCOPE_RLOC: u8 = 0x03;
    pub(in super::super) const LATENCY: u8 = 0x10;
    pub(in super::super) const HARDWARE: u8 = 0x11;
    pub(in super::super) const STATE: u8 = 0x12;
    pub(in super::super) const LOAD: u8 = 0x13;
    pub(in super::super) const SECURITY: u8 = 0x14;
    pub(in super::super) const CTX_TTL: u8 = 0x15;
    pub(in super::super) const C_LATENCY: u8 = 0x40;
    pub(in super::super) const C_HARDWARE: u8 = 0x41;
    pub(in super::super) const C_STATE: u8 = 0x42;
    pub(in super::super) const C_LOAD: u8 = 0x43;
    pub(in super::super) const C_SECURITY: u8 = 0x44;
    pub(in super::super) const C_LIMIT: u8 = 0x45;
    pub(in super::super) const C_RETURN: u8 = 0x46;
    pub(in super::super) const SCORE: u8 = 0x60;
    pub(in super::super) const STATUS: u8 = 0x61;
    pub(in super::super) const C_HASH: u8 = 0x62;
    pub(in super::super) const XTRID_ECHO: u8 = 0x7e;
    /// Who does not know a type from here on must not use the block.
    pub(in super::super) const CRITICAL: u8 = 0x80;
}

const HEADER_LEN: usize = 4;

/// One value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tlv<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) value: &'a [u8],
}

impl Tlv<'_> {
    /// A value of exactly this length.
    pub(super) fn array<const N: usize>(&self) -> Result<[u8; N], AcxError> {
        self.value.try_into().map_err(|_| self.malformed())
    }

    pub(super) fn malformed(&self) -> AcxError {
        AcxError::Malformed(self.kind)
    }

    pub(super) fn xtr_id(&self) -> Result<XtrId, AcxError> {
        let bytes: [u8; 24] = self.array()?;
        let (xtr_id, site_id) = bytes.split_first_chunk::<16>().ok_or(self.malformed())?;
        let site_id = site_id.try_into().map_err(|_| self.malformed())?;
        Ok(XtrId { xtr_id: *xtr_id, site_id: u64::from_be_bytes(site_id) })
    }
}

/// The values of a block, at most [`MAX_TLVS`]; the first error ends them.
pub(super) struct Tlvs<'a> {
    rest: &'a [u8],
    count: usize,
}

impl<'a> Tlvs<'a> {
    pub(super) const fn new(body: &'a [u8]) -> Tlvs<'a> {
        Tlvs { rest: body, count: 0 }
    }

    fn read(&mut self) -> Result<Tlv<'a>, AcxError> {
        let kind = self.rest[0];
        let malformed = AcxError::Malformed(kind);
        if self.count == MAX_TLVS {
            return Err(AcxError::TooLong);
        }
        self.count += 1;
        let ([_, flags, high, low], behind) = self.rest.split_first_chunk::<HEADER_LEN>().ok_or(malformed)?;
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let value = behind.get(..len).ok_or(malformed)?;
        self.rest = behind.get(len.next_multiple_of(4)..).ok_or(malformed)?;
        Ok(Tlv { kind, flags: *flags, value })
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<Tlv<'a>, AcxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }
}

/// Appends one value.
pub(super) fn put(out: &mut Vec<u8>, kind: u8, flags: u8, value: &[u8]) {
    out.extend([kind, flags]);
    out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(value);
    out.resize(out.len() + value.len().next_multiple_of(4) - value.len(), 0);
}
