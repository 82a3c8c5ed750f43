//! ACX, the Agent Context eXtension: what an agent's host can do, how it is doing, and what a sender needs.
//!
//! A block of type-length-values behind everything that the RFCs define in a message, so that peers who do not know it
//! see a tail that they ignore (reference/lisp-protocol.md section 6.3, limits of design section 9).
//!
//! ```text
//! LCAF 255 header (8) | 0 | OUI (3) | version (1) | flags (1) | 0 0 | Context-Seq (4) | TLVs, each padded to 4
//! ```
//!
//! A block that is malformed costs nothing but itself: [`Acx::find`] tells why, and the message holds.

mod attributes;
mod constraint;
mod scope;
mod tlv;

#[cfg(test)]
mod test;

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

pub use attributes::{AgentState, Attributes, Hardware, Latency, LatencyClass, Load, Security, Tag};
pub use constraint::{Constraint, Need};
pub use scope::{Scope, Scoped, Score};

use super::XtrId;
use tlv::{Tlvs, kind, put};

/// The longest block in bytes, header included (design section 9).
pub const MAX_LEN: usize = 1200;
/// The most TLVs of a block.
pub const MAX_TLVS: usize = 128;
/// Organisation that the block's meaning belongs to: a locally administered number, to be replaced before public use.
pub const OUI: [u8; 3] = [0x02, 0xac, 0x01];

const HEADER_LEN: usize = 20;
const LCAF_LEN: usize = 8;
const VENDOR: u8 = 255;
const VERSION: u8 = 1;

mod flag {
    pub(super) const REPLY: u8 = 0x80;
    pub(super) const AWARE: u8 = 0x40;
    pub(super) const COMPLETE: u8 = 0x20;
    pub(super) const FILTERED: u8 = 0x10;
}

/// One block.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acx {
    /// It answers or acknowledges (R).
    pub reply: bool,
    /// The sender supports ACX (H).
    pub aware: bool,
    /// The attributes are all there are, and what is not named is unknown; else only what changed is named (C).
    pub complete: bool,
    /// The locators of the message are those that meet the constraints, not all (F).
    pub filtered: bool,
    /// Context-Seq, compared as in RFC 1982; 0 is none.
    pub seq: u32,
    /// Attributes and scores, and what each is about. Two neighbours with one scope are written as one.
    pub entries: Vec<Scoped>,
    /// What the locators must or should have, at most 16.
    pub constraints: Vec<Constraint>,
    /// The most locators that the answer shall have (C-LIMIT).
    pub limit: Option<u8>,
    /// The answer shall have attributes (C-RETURN 1).
    pub return_attributes: bool,
    /// The answer shall have scores (C-RETURN 2).
    pub return_scores: bool,
    /// What became of a register or a request.
    pub status: Option<Status>,
    /// [`hash_of`] the constraints that the answer is for.
    pub hash: Option<[u8; 8]>,
    /// The sender's identity again, last, for peers who look for it at the end of a message with the I bit.
    pub echo: Option<XtrId>,
    /// TLVs that named again what was named in the same scope: the first one holds. Set by parsing, ignored by `emit`.
    pub duplicates: u16,
}

/// What became of a register or a request (STATUS).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// The outcome.
    pub code: StatusCode,
    /// The TLV type that it is about, 0 for none.
    pub offending: u8,
}

/// The outcomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StatusCode {
    /// Done.
    Ok,
    /// No locator meets the hard constraints, or none is fit at all.
    NoMatch,
    /// A hard constraint that is not understood.
    UnsupportedConstraint,
    /// Not to this sender.
    Denied,
    /// The sequence is older than what is stored; the block's Context-Seq is the stored one.
    StaleSequence,
    /// The block could not be read.
    Malformed,
    /// One of a later version.
    Other(u8),
}

impl StatusCode {
    const fn number(self) -> u8 {
        match self {
            StatusCode::Ok => 0,
            StatusCode::NoMatch => 1,
            StatusCode::UnsupportedConstraint => 2,
            StatusCode::Denied => 3,
            StatusCode::StaleSequence => 4,
            StatusCode::Malformed => 5,
            StatusCode::Other(number) => number,
        }
    }

    const fn from_number(number: u8) -> StatusCode {
        match number {
            0 => StatusCode::Ok,
            1 => StatusCode::NoMatch,
            2 => StatusCode::UnsupportedConstraint,
            3 => StatusCode::Denied,
            4 => StatusCode::StaleSequence,
            5 => StatusCode::Malformed,
            other => StatusCode::Other(other),
        }
    }
}

/// Why a block is not used. The message that carries it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AcxError {
    /// The header is not one, or its length is not that of the tail.
    #[error("what follows the message is not an ACX block")]
    NotAcx,
    /// More than [`MAX_LEN`] bytes or [`MAX_TLVS`] values.
    #[error("the ACX block is too long")]
    TooLong,
    /// A value does not fit its type, or a length lies.
    #[error("the ACX value of type {0:#04x} is malformed")]
    Malformed(u8),
    /// A type from 0x80 on that we do not know.
    #[error("the critical ACX type {0:#04x} is not known")]
    UnknownCritical(u8),
}

impl Acx {
    /// The block in what follows a message's defined content; nothing when nothing follows.
    pub fn find(tail: &[u8]) -> Result<Option<Acx>, AcxError> {
        if tail.is_empty() {
            return Ok(None);
        }
        let (header, body) = tail.split_first_chunk::<HEADER_LEN>().ok_or(AcxError::NotAcx)?;
        let length = usize::from(u16::from_be_bytes([header[6], header[7]]));
        let [a, b, _, _, type_, ..] = *header;
        let is_ours = [a, b] == [0x40, 0x03] && type_ == VENDOR && header[9..12] == OUI;
        if !is_ours || header[12] != VERSION || length + LCAF_LEN != tail.len() {
            return Err(AcxError::NotAcx);
        }
        if tail.len() > MAX_LEN {
            return Err(AcxError::TooLong);
        }
        let set = |mask: u8| header[13] & mask != 0;
        let mut block = Acx {
            reply: set(flag::REPLY),
            aware: set(flag::AWARE),
            complete: set(flag::COMPLETE),
            filtered: set(flag::FILTERED),
            seq: u32::from_be_bytes([header[16], header[17], header[18], header[19]]),
            ..Acx::default()
        };
        block.read(body)?;
        Ok(Some(block))
    }

    fn read(&mut self, body: &[u8]) -> Result<(), AcxError> {
        let mut scope = Scope::Message;
        for tlv in Tlvs::new(body) {
            let tlv = tlv?;
            if let Some(next) = scope::read(&tlv, &scope)? {
                scope = next;
                continue;
            }
            match tlv.kind {
                kind::PAD => {}
                kind::LATENCY..=kind::CTX_TTL | kind::SCORE => {
                    let entry = scope::entry(&mut self.entries, &scope);
                    self.duplicates += u16::from(!entry.read(&tlv)?);
                }
                kind::C_LATENCY..=kind::C_SECURITY => self.read_constraint(&tlv)?,
                kind::C_LIMIT => self.limit = Some(self.limit.unwrap_or(tlv.array::<4>()?[0])),
                kind::C_RETURN => {
                    let wanted = tlv.array::<4>()?[0];
                    self.return_attributes |= wanted & 1 != 0;
                    self.return_scores |= wanted & 2 != 0;
                }
                kind::STATUS => {
                    let [code, offending, ..] = tlv.array::<4>()?;
                    let code = StatusCode::from_number(code);
                    self.status = Some(self.status.unwrap_or(Status { code, offending }));
                }
                kind::C_HASH => self.hash = Some(self.hash.unwrap_or(tlv.array()?)),
                kind::XTRID_ECHO => self.echo = Some(tlv.xtr_id()?),
                unknown if unknown >= kind::CRITICAL => return Err(AcxError::UnknownCritical(unknown)),
                _ => {}
            }
        }
        Ok(())
    }

    /// More than 16 are as malformed as one that lies: to leave one out would loosen what the sender needs.
    fn read_constraint(&mut self, tlv: &tlv::Tlv<'_>) -> Result<(), AcxError> {
        if self.constraints.len() == constraint::MAX {
            return Err(AcxError::TooLong);
        }
        self.constraints.push(Constraint::read(tlv)?);
        Ok(())
    }

    /// Appends the block to a message: to its `tail`, before it is signed.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let flags = [
            (self.reply, flag::REPLY),
            (self.aware, flag::AWARE),
            (self.complete, flag::COMPLETE),
            (self.filtered, flag::FILTERED),
        ];
        let flags = flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, mask)| all | mask);
        out.extend([0x40, 0x03, 0, 0, VENDOR, 0, 0, 0, 0]);
        out.extend(OUI);
        out.extend([VERSION, flags, 0, 0]);
        out.extend(self.seq.to_be_bytes());
        let mut scope = Scope::Message;
        for entry in &self.entries {
            entry.emit(&mut scope, out);
        }
        self.constraints.iter().for_each(|constraint| constraint.emit(out));
        if let Some(limit) = self.limit {
            put(out, kind::C_LIMIT, 0, &[limit, 0, 0, 0]);
        }
        let wanted = u8::from(self.return_attributes) | u8::from(self.return_scores) << 1;
        if wanted != 0 {
            put(out, kind::C_RETURN, 0, &[wanted, 0, 0, 0]);
        }
        if let Some(Status { code, offending }) = self.status {
            put(out, kind::STATUS, 0, &[code.number(), offending, 0, 0]);
        }
        if let Some(hash) = &self.hash {
            put(out, kind::C_HASH, 0, hash);
        }
        if let Some(echo) = &self.echo {
            let mut value = Vec::with_capacity(24);
            echo.emit(&mut value);
            put(out, kind::XTRID_ECHO, 0, &value);
        }
        let length = u16::try_from(out.len() - start - LCAF_LEN).unwrap_or(u16::MAX).to_be_bytes();
        out[start + 6..start + 8].copy_from_slice(&length);
    }

    /// The block's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.emit(&mut out);
        out
    }

    /// Whether a receiver would read the block: within [`MAX_LEN`] and [`MAX_TLVS`].
    pub fn fits(&self) -> bool {
        let bytes = self.bytes();
        bytes.len() <= MAX_LEN && Tlvs::new(&bytes[HEADER_LEN..]).take(MAX_TLVS + 1).all(|tlv| tlv.is_ok())
    }
}

/// C-HASH: the first 8 bytes of SHA-256 over the constraints (and the limit) as they are written, sorted by type and
/// value. Those who need the same ask the same question. None without constraints and limit.
pub fn hash_of(constraints: &[Constraint], limit: Option<u8>) -> Option<[u8; 8]> {
    if constraints.is_empty() && limit.is_none() {
        return None;
    }
    let mut written: Vec<(u8, Vec<u8>, Vec<u8>)> = Vec::with_capacity(constraints.len() + 1);
    let mut add = |bytes: Vec<u8>| written.push((bytes[0], bytes[4..].to_vec(), bytes));
    for constraint in constraints {
        let mut bytes = Vec::new();
        constraint.emit(&mut bytes);
        add(bytes);
    }
    if let Some(limit) = limit {
        let mut bytes = Vec::new();
        put(&mut bytes, kind::C_LIMIT, 0, &[limit, 0, 0, 0]);
        add(bytes);
    }
    written.sort();
    let mut sum = Sha256::new();
    written.iter().for_each(|(.., bytes)| sum.update(bytes));
    sum.finalize().first_chunk::<8>().copied()
}
