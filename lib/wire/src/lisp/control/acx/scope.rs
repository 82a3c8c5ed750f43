//! What attributes are about: the message, a record, a locator of a record, or an EID named beside the records.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::AcxError;
use super::attributes::{Attributes, first};
use super::tlv::{Tlv, kind, put};
use crate::addr::{Iid, Prefix};
use crate::lisp::control::LispAddress;

/// An index that stands for all.
const ALL: u8 = 255;

/// What attributes and scores are about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All records of the message, with all their locators.
    Message,
    /// A record by its index, with all its locators.
    Record(u8),
    /// A locator by its index in a record.
    Locator {
        /// Index of the record.
        record: u8,
        /// Index of the locator in it.
        locator: u8,
    },
    /// An EID that is registered already, with all its locators.
    Eid(Iid, Prefix),
    /// A locator of an EID that is registered already.
    EidLocator(Iid, Prefix, IpAddr),
}

/// A fitness of a locator as the mapping system computed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Score {
    /// 0 to 1000, higher is better.
    pub score: u16,
    /// The priority that was registered; the record has the one that follows from the score.
    pub priority: u8,
}

/// Attributes of one scope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scoped {
    /// What they are about.
    pub scope: Scope,
    /// The attributes.
    pub attributes: Attributes,
    /// For how many seconds the dynamic ones hold (CTX-TTL).
    pub ttl_s: Option<u32>,
    /// The fitness; of a locator only.
    pub score: Option<Score>,
}

impl Scoped {
    /// Attributes of a scope.
    pub const fn new(scope: Scope, attributes: Attributes) -> Scoped {
        Scoped { scope, attributes, ttl_s: None, score: None }
    }

    /// Reads a value; false when there was one already.
    pub(super) fn read(&mut self, tlv: &Tlv<'_>) -> Result<bool, AcxError> {
        match tlv.kind {
            kind::CTX_TTL => Ok(first(&mut self.ttl_s, u32::from_be_bytes(tlv.array()?))),
            kind::SCORE => {
                let [a, b, priority, _] = tlv.array()?;
                let score = u16::from_be_bytes([a, b]);
                let one = matches!(self.scope, Scope::Locator { .. } | Scope::EidLocator(..));
                if score > 1000 || !one {
                    return Err(tlv.malformed());
                }
                Ok(first(&mut self.score, Score { score, priority }))
            }
            _ => self.attributes.read(tlv),
        }
    }

    /// Appends the values, and the scope unless it is the one that holds.
    pub(super) fn emit(&self, current: &mut Scope, out: &mut Vec<u8>) {
        if self.scope != *current {
            self.scope.emit(current, out);
            *current = self.scope.clone();
        }
        self.attributes.emit(out);
        if let Some(seconds) = self.ttl_s {
            put(out, kind::CTX_TTL, 0, &seconds.to_be_bytes());
        }
        if let Some(Score { score, priority }) = self.score {
            let [a, b] = score.to_be_bytes();
            put(out, kind::SCORE, 0, &[a, b, priority, 0]);
        }
    }
}

impl Scope {
    fn emit(&self, current: &Scope, out: &mut Vec<u8>) {
        match self {
            Scope::Message => put(out, kind::SCOPE, 0, &[ALL, ALL, 0, 0]),
            Scope::Record(record) => put(out, kind::SCOPE, 0, &[*record, ALL, 0, 0]),
            Scope::Locator { record, locator } => put(out, kind::SCOPE, 0, &[*record, *locator, 0, 0]),
            Scope::Eid(iid, prefix) => emit_eid(*iid, *prefix, out),
            Scope::EidLocator(iid, prefix, rloc) => {
                if current.eid() != Some((*iid, *prefix)) {
                    emit_eid(*iid, *prefix, out);
                }
                let mut value = Vec::new();
                LispAddress::Ip(*rloc).emit(&mut value);
                put(out, kind::SCOPE_RLOC, 0, &value);
            }
        }
    }

    /// The EID that is named, if one is.
    pub fn eid(&self) -> Option<(Iid, Prefix)> {
        match self {
            Scope::Eid(iid, prefix) | Scope::EidLocator(iid, prefix, _) => Some((*iid, *prefix)),
            _ => None,
        }
    }
}

fn emit_eid(iid: Iid, prefix: Prefix, out: &mut Vec<u8>) {
    let mut value = alloc::vec![prefix.len(), 0];
    LispAddress::for_eid(iid, prefix.addr()).emit(&mut value);
    put(out, kind::SCOPE_EID, 0, &value);
}

/// The scope that a value begins; nothing when it is of another type.
pub(super) fn read(tlv: &Tlv<'_>, current: &Scope) -> Result<Option<Scope>, AcxError> {
    let scope = match tlv.kind {
        kind::SCOPE => match tlv.array::<4>()? {
            [ALL, ALL, ..] => Scope::Message,
            [ALL, ..] => return Err(tlv.malformed()),
            [record, ALL, ..] => Scope::Record(record),
            [record, locator, ..] => Scope::Locator { record, locator },
        },
        kind::SCOPE_EID => {
            let ([mask_len, _], address) = tlv.value.split_first_chunk::<2>().ok_or(tlv.malformed())?;
            let eid = whole_address(tlv, address)?.eid();
            let (iid, address) = eid.ok_or(tlv.malformed())?;
            let prefix = Prefix::masked(address, *mask_len).map_err(|_| tlv.malformed())?;
            Scope::Eid(iid, prefix)
        }
        kind::SCOPE_RLOC => {
            let (iid, prefix) = current.eid().ok_or(tlv.malformed())?;
            match whole_address(tlv, tlv.value)? {
                LispAddress::Ip(rloc) => Scope::EidLocator(iid, prefix, rloc),
                _ => return Err(tlv.malformed()),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(scope))
}

fn whole_address(tlv: &Tlv<'_>, bytes: &[u8]) -> Result<LispAddress, AcxError> {
    match LispAddress::parse(bytes) {
        Ok((address, len)) if len == bytes.len() => Ok(address),
        _ => Err(tlv.malformed()),
    }
}

/// The entry of a scope, made if there is none.
pub(super) fn entry<'a>(entries: &'a mut Vec<Scoped>, scope: &Scope) -> &'a mut Scoped {
    let at = entries.iter().position(|entry| entry.scope == *scope).unwrap_or_else(|| {
        entries.push(Scoped::new(scope.clone(), Attributes::default()));
        entries.len() - 1
    });
    &mut entries[at]
}
