//! IPv6 neighbour discovery (RFC 4861): solicitations and advertisements in full,
//! the router's messages and redirects as far as telling them apart and judging them.

mod repr;

pub use repr::{Flags, Repr};

use core::net::Ipv6Addr;

use crate::addr::Mac;
use crate::bytes::{get_v6, set_u16, set_u32};
use crate::error::Error;
use crate::icmpv6::{self, Type};
use crate::ipv6;

mod field {
    use crate::bytes::{Field, Rest};

    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    pub(super) const CHECKSUM: Field = 2..4;
    /// The flags of an advertisement, reserved elsewhere.
    pub(super) const WORD: Field = 4..8;
    pub(super) const FLAGS: usize = 4;
    pub(super) const TARGET: Field = 8..24;
    pub(super) const OPTIONS: Rest = 24..;

    pub(super) const OPTION_TYPE: usize = 0;
    /// In units of eight bytes, type and length included.
    pub(super) const OPTION_LEN: usize = 1;
    pub(super) const OPTION_MAC: Field = 2..8;
}

/// Length of a solicitation or advertisement without options, in bytes.
pub const HEADER_LEN: usize = field::OPTIONS.start;
/// Length of a link-layer address option on Ethernet, in bytes.
pub const MAC_OPTION_LEN: usize = field::OPTION_MAC.end;
/// What the hop limit must be, so that nobody beyond a router takes part (RFC 4861 section 11.2).
pub const HOP_LIMIT: u8 = 255;
/// All nodes on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers on the link.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// R: the sender is a router.
pub const FLAG_ROUTER: u8 = 0x80;
/// S: the advertisement answers a solicitation.
pub const FLAG_SOLICITED: u8 = 0x40;
/// O: it replaces what the receiver believed.
pub const FLAG_OVERRIDE: u8 = 0x20;

/// The group that hears solicitations for an address: ff02::1:ff and its low 24 bits (RFC 4291 section 2.7.1).
#[inline]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., b, c] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | b & 0xff, c)
}

/// Which link-layer address an option holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum MacOption {
    /// The sender's.
    Source = 1,
    /// The target's.
    Target = 2,
}

/// A view of a neighbour-discovery message.
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

    /// A view whose accessors cannot panic.
    /// `Truncated` when the fixed part of its kind does not fit; `Unsupported` for another kind of ICMPv6.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Packet<T>, Error> {
        let bytes = buffer.as_ref();
        let kind = Type(*bytes.first().ok_or(Error::Truncated)?);
        if bytes.len() < fixed_len(kind).ok_or(Error::Unsupported)? {
            return Err(Error::Truncated);
        }
        Ok(Self::new_unchecked(buffer))
    }

    /// The buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Which of the five messages it is.
    #[inline]
    pub fn kind(&self) -> Type {
        Type(self.buffer.as_ref()[field::TYPE])
    }

    /// Its code; always zero.
    #[inline]
    pub fn code(&self) -> u8 {
        self.buffer.as_ref()[field::CODE]
    }

    /// R, S and O of an advertisement.
    #[inline]
    pub fn flags(&self) -> Flags {
        Flags::from_bits(self.buffer.as_ref()[field::FLAGS])
    }

    /// The address that is asked for, told of or redirected; the router's messages have none.
    #[inline]
    pub fn target(&self) -> Option<Ipv6Addr> {
        let has_one = !matches!(self.kind(), Type::ROUTER_SOLICITATION | Type::ROUTER_ADVERTISEMENT);
        has_one.then(|| get_v6(self.buffer.as_ref(), field::TARGET))
    }

    /// The first link-layer address of this sort among the options.
    /// Every option is looked at: `BadOption` when one has no length, passes the end,
    /// or is such an address of another length than Ethernet's.
    pub fn mac_option(&self, sort: MacOption) -> Result<Option<Mac>, Error> {
        let fixed = fixed_len(self.kind()).ok_or(Error::Unsupported)?;
        let mut rest = &self.buffer.as_ref()[fixed..];
        let mut found = None;
        // Ends: each turn takes eight bytes at least.
        while !rest.is_empty() {
            let option = first_option(rest)?;
            if option[field::OPTION_TYPE] == sort as u8 {
                if option.len() != MAC_OPTION_LEN {
                    return Err(Error::BadOption);
                }
                found = found.or(Some(Mac::from_slice(&option[field::OPTION_MAC])));
            }
            rest = &rest[option.len()..];
        }
        Ok(found)
    }
}

/// The bytes of the option that `rest` begins with, eight of them at least.
fn first_option(rest: &[u8]) -> Result<&[u8], Error> {
    let units = *rest.get(field::OPTION_LEN).ok_or(Error::BadOption)?;
    if units == 0 {
        return Err(Error::BadOption);
    }
    rest.get(..usize::from(units) * 8).ok_or(Error::BadOption)
}

/// Where a message's options begin, which is its least length.
const fn fixed_len(kind: Type) -> Option<usize> {
    match kind {
        Type::ROUTER_SOLICITATION => Some(8),
        Type::ROUTER_ADVERTISEMENT => Some(16),
        Type::NEIGHBOR_SOLICITATION | Type::NEIGHBOR_ADVERTISEMENT => Some(HEADER_LEN),
        Type::REDIRECT => Some(40),
        _ => None,
    }
}

impl<T: AsRef<[u8]> + ?Sized> Packet<&T> {
    /// Judges any of the five messages inside the packet with this header, and tells which it is.
    ///
    /// `Truncated`, `Unsupported`, `BadHopLimit`, `BadChecksum`, `BadHeader` (a code), `BadOption`;
    /// `BadAddress` where RFC 4861 sections 6.1, 7.1 and 8.1 forbid source, destination or target.
    pub fn judge(&self, ip: &ipv6::Repr) -> Result<Type, Error> {
        let packet = Packet::new_checked(self.buffer.as_ref())?;
        if ip.hop_limit != HOP_LIMIT {
            return Err(Error::BadHopLimit);
        }
        if !icmpv6::Packet::new_unchecked(self.buffer).verify_checksum(ip.source, ip.destination) {
            return Err(Error::BadChecksum);
        }
        if packet.code() != 0 {
            return Err(Error::BadHeader);
        }
        let names_sender = packet.mac_option(MacOption::Source)?.is_some();
        if packet.target().is_some_and(|target| target.is_multicast()) {
            return Err(Error::BadAddress);
        }
        let from_nobody = ip.source.is_unspecified();
        let possible = match packet.kind() {
            Type::ROUTER_SOLICITATION => !(from_nobody && names_sender),
            Type::ROUTER_ADVERTISEMENT | Type::REDIRECT => ip.source.is_unicast_link_local(),
            Type::NEIGHBOR_SOLICITATION => !from_nobody || !names_sender && is_solicited_node(ip.destination),
            _ => !(ip.destination.is_multicast() && packet.flags().solicited),
        };
        if possible { Ok(packet.kind()) } else { Err(Error::BadAddress) }
    }
}

/// Whether a group is some address's solicited-node group.
fn is_solicited_node(group: Ipv6Addr) -> bool {
    solicited_node(group) == group
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the kind, code zero, and clears flags and reserved bits.
    #[inline]
    pub fn set_kind(&mut self, kind: Type) {
        let bytes = self.buffer.as_mut();
        bytes[field::TYPE] = kind.0;
        bytes[field::CODE] = 0;
        set_u16(bytes, field::CHECKSUM, 0);
        set_u32(bytes, field::WORD, 0);
    }

    /// Sets R, S and O of an advertisement.
    #[inline]
    pub fn set_flags(&mut self, flags: Flags) {
        self.buffer.as_mut()[field::FLAGS] = flags.bits();
    }

    /// Sets the target of a solicitation or advertisement.
    #[inline]
    pub fn set_target(&mut self, target: Ipv6Addr) {
        self.buffer.as_mut()[field::TARGET].copy_from_slice(&target.octets());
    }

    /// Writes a link-layer address as the first option of a solicitation or advertisement.
    #[inline]
    pub fn set_mac_option(&mut self, sort: MacOption, mac: Mac) {
        let option = &mut self.buffer.as_mut()[field::OPTIONS];
        option[field::OPTION_TYPE] = sort as u8;
        option[field::OPTION_LEN] = 1;
        option[field::OPTION_MAC].copy_from_slice(&mac.0);
    }

    /// Computes the checksum over the whole buffer and these addresses.
    pub fn fill_checksum(&mut self, source: Ipv6Addr, destination: Ipv6Addr) {
        icmpv6::Packet::new_unchecked(self.buffer.as_mut()).fill_checksum(source, destination);
    }
}

#[cfg(test)]
mod test;
