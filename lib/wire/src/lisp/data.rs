//! The 8-byte LISP header in front of an encapsulated packet (RFC 9300 section 5.3).
//!
//! ```text
//! N L E V I R K K | nonce or map-versions (24 bits)
//! instance-ID (24 bits) | locator-status-bits (8)      when I is set
//! locator-status-bits (32)                             when I is clear
//! ```
//! R is P in LISP-GPE (RFC 9305): when it is set, the fourth byte names the payload's protocol
//! and nonce or map-versions shrink to 16 bits.
//! A peer that sets the bit and leaves that byte zero is taken to mean plain LISP.

mod repr;

pub use repr::{Instance, Repr, Tag};

use core::fmt;

use crate::addr::{Family, Iid};
use crate::bytes::{get_u16, get_u24, get_u32, set_u24, set_u32};
use crate::error::Error;

mod field {
    use crate::bytes::{Field, Rest};

    pub(super) const FLAGS: usize = 0;
    /// Nonce, map-versions, or nothing.
    pub(super) const TAG: Field = 1..4;
    pub(super) const GPE_NONCE: Field = 1..3;
    pub(super) const GPE_SOURCE_VERSION: usize = 1;
    pub(super) const GPE_DESTINATION_VERSION: usize = 2;
    pub(super) const NEXT_PROTOCOL: usize = 3;
    pub(super) const IID: Field = 4..7;
    pub(super) const SHORT_STATUS: usize = 7;
    pub(super) const SECOND_WORD: Field = 4..8;
    pub(super) const PAYLOAD: Rest = 8..;
}

/// Header length in bytes.
pub const HEADER_LEN: usize = field::PAYLOAD.start;

/// N: the tag is a nonce.
pub const FLAG_NONCE: u8 = 0x80;
/// L: the locator-status-bits are meant.
pub const FLAG_STATUS: u8 = 0x40;
/// E: echo this nonce, please.
pub const FLAG_ECHO: u8 = 0x20;
/// V: the tag is a pair of map-versions.
pub const FLAG_VERSIONS: u8 = 0x10;
/// I: an instance-ID is present.
pub const FLAG_INSTANCE: u8 = 0x08;
/// R, reserved in RFC 9300; P, "a next protocol is present", in RFC 9305.
pub const FLAG_GPE: u8 = 0x04;
/// KK: which key encrypts the payload, 0 for none.
pub const KEY_MASK: u8 = 0x03;

/// Version numbers have 12 bits each in 24.
const VERSION_MASK: u32 = 0xfff;

/// The protocol of a LISP-GPE payload (RFC 9305 section 3.1); unknown values survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NextProtocol(pub u8);

impl NextProtocol {
    /// An IPv4 packet.
    pub const IPV4: NextProtocol = NextProtocol(1);
    /// An IPv6 packet.
    pub const IPV6: NextProtocol = NextProtocol(2);
    /// An Ethernet frame.
    pub const ETHERNET: NextProtocol = NextProtocol(3);
    /// A network service header.
    pub const NSH: NextProtocol = NextProtocol(4);
}

impl fmt::Display for NextProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            NextProtocol::IPV4 => f.write_str("IPv4"),
            NextProtocol::IPV6 => f.write_str("IPv6"),
            NextProtocol::ETHERNET => f.write_str("Ethernet"),
            NextProtocol::NSH => f.write_str("NSH"),
            NextProtocol(other) => write!(f, "next protocol {other}"),
        }
    }
}

/// A view of a LISP header and what it carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// A view without any check, for writing.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Packet<T> {
        Packet { buffer }
    }

    /// A view whose accessors cannot panic; `Truncated` when the header does not fit.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Packet<T>, Error> {
        if buffer.as_ref().len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        Ok(Self::new_unchecked(buffer))
    }

    /// The buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// The first byte: every flag.
    #[inline]
    pub fn flags(&self) -> u8 {
        self.buffer.as_ref()[field::FLAGS]
    }

    /// N: the tag is a nonce. It wins over V, since both together are illegal to send.
    #[inline]
    pub fn has_nonce(&self) -> bool {
        self.flags() & FLAG_NONCE != 0
    }

    /// L: the locator-status-bits are meant.
    #[inline]
    pub fn has_status(&self) -> bool {
        self.flags() & FLAG_STATUS != 0
    }

    /// E: the sender wants its nonce back. Only with N; ignored otherwise.
    #[inline]
    pub fn wants_echo(&self) -> bool {
        self.flags() & (FLAG_NONCE | FLAG_ECHO) == FLAG_NONCE | FLAG_ECHO
    }

    /// V: the tag is a pair of map-versions. Only without N.
    #[inline]
    pub fn has_versions(&self) -> bool {
        self.flags() & (FLAG_NONCE | FLAG_VERSIONS) == FLAG_VERSIONS
    }

    /// I: an instance-ID is present.
    #[inline]
    pub fn has_instance(&self) -> bool {
        self.flags() & FLAG_INSTANCE != 0
    }

    /// R, which is P in LISP-GPE.
    #[inline]
    pub fn is_gpe(&self) -> bool {
        self.flags() & FLAG_GPE != 0
    }

    /// KK: the key that encrypts the payload, 1 to 3; 0 for clear text.
    #[inline]
    pub fn key_id(&self) -> u8 {
        self.flags() & KEY_MASK
    }

    /// The nonce, if there is one: 24 bits, with P 16.
    #[inline]
    pub fn nonce(&self) -> Option<u32> {
        let bytes = self.buffer.as_ref();
        match (self.has_nonce(), self.is_gpe()) {
            (false, _) => None,
            (true, false) => Some(get_u24(bytes, field::TAG)),
            (true, true) => Some(u32::from(get_u16(bytes, field::GPE_NONCE))),
        }
    }

    /// Source and destination map-version, if there are any: 12 bits each, with P 8.
    #[inline]
    pub fn versions(&self) -> Option<(u16, u16)> {
        if !self.has_versions() {
            return None;
        }
        let bytes = self.buffer.as_ref();
        if self.is_gpe() {
            let source = bytes[field::GPE_SOURCE_VERSION];
            return Some((source.into(), bytes[field::GPE_DESTINATION_VERSION].into()));
        }
        let tag = get_u24(bytes, field::TAG);
        Some(((tag >> 12) as u16, (tag & VERSION_MASK) as u16))
    }

    /// The payload's protocol, if P says that the header names it.
    #[inline]
    pub fn next_protocol(&self) -> Option<NextProtocol> {
        let named = NextProtocol(self.buffer.as_ref()[field::NEXT_PROTOCOL]);
        self.is_gpe().then_some(named)
    }

    /// The 24 bits of the instance-ID as they stand (0xFFFFFF included); 0 when I is clear.
    #[inline]
    pub fn raw_iid(&self) -> u32 {
        if self.has_instance() { get_u24(self.buffer.as_ref(), field::IID) } else { 0 }
    }

    /// The locator-status-bits, if L says that they are meant: 8 of them with an instance-ID, else 32.
    /// Bit i, from the least significant, is the locator with ordinal i.
    #[inline]
    pub fn status(&self) -> Option<u32> {
        let bytes = self.buffer.as_ref();
        match (self.has_status(), self.has_instance()) {
            (false, _) => None,
            (true, true) => Some(bytes[field::SHORT_STATUS].into()),
            (true, false) => Some(get_u32(bytes, field::SECOND_WORD)),
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Packet<&'a T> {
    /// Everything behind the header.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.buffer.as_ref()[field::PAYLOAD]
    }

    /// The family of the inner packet, from the header's next protocol and the payload's version.
    /// `Truncated` without payload, `BadVersion` when it is neither or contradicts the header,
    /// `Unsupported` for another next protocol.
    #[inline]
    pub fn inner_family(&self) -> Result<Family, Error> {
        let first = self.payload().first().ok_or(Error::Truncated)?;
        let found = Family::from_version(first >> 4).ok_or(Error::BadVersion);
        match self.next_protocol() {
            None | Some(NextProtocol(0)) => found,
            Some(NextProtocol::IPV4) if found == Ok(Family::V4) => found,
            Some(NextProtocol::IPV6) if found == Ok(Family::V6) => found,
            Some(NextProtocol::IPV4 | NextProtocol::IPV6) => Err(Error::BadVersion),
            Some(_) => Err(Error::Unsupported),
        }
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the first byte.
    #[inline]
    pub fn set_flags(&mut self, flags: u8) {
        self.buffer.as_mut()[field::FLAGS] = flags;
    }

    /// Sets bytes 1 to 3: nonce, map-versions, next protocol.
    #[inline]
    pub fn set_tag(&mut self, tag: u32) {
        set_u24(self.buffer.as_mut(), field::TAG, tag);
    }

    /// Sets bytes 4 to 7: instance-ID and locator-status-bits.
    #[inline]
    pub fn set_second_word(&mut self, word: u32) {
        set_u32(self.buffer.as_mut(), field::SECOND_WORD, word);
    }

    /// Sets the instance-ID field only; I is a flag.
    #[inline]
    pub fn set_iid(&mut self, iid: Iid) {
        set_u24(self.buffer.as_mut(), field::IID, iid.get());
    }

    /// Everything behind the header, to write into.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.as_mut()[field::PAYLOAD]
    }
}

#[cfg(test)]
mod test;
