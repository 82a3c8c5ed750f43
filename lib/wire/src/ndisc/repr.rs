//! Solicitations and advertisements as values.

use core::net::Ipv6Addr;

use super::{
    ALL_NODES, FLAG_OVERRIDE, FLAG_ROUTER, FLAG_SOLICITED, HEADER_LEN, MAC_OPTION_LEN, MacOption, Packet,
};
use crate::addr::Mac;
use crate::error::Error;
use crate::icmpv6::Type;
use crate::ipv6;

/// The flags of an advertisement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// The sender is a router.
    pub router: bool,
    /// It answers a solicitation.
    pub solicited: bool,
    /// It replaces what the receiver believed. A proxy leaves this clear (RFC 4861 section 7.2.8).
    pub override_cache: bool,
}

impl Flags {
    /// From the byte they share; reserved bits are ignored.
    #[inline]
    pub const fn from_bits(bits: u8) -> Flags {
        Flags {
            router: bits & FLAG_ROUTER != 0,
            solicited: bits & FLAG_SOLICITED != 0,
            override_cache: bits & FLAG_OVERRIDE != 0,
        }
    }

    /// The byte they share.
    #[inline]
    pub const fn bits(self) -> u8 {
        let router = if self.router { FLAG_ROUTER } else { 0 };
        let solicited = if self.solicited { FLAG_SOLICITED } else { 0 };
        let override_cache = if self.override_cache { FLAG_OVERRIDE } else { 0 };
        router | solicited | override_cache
    }
}

/// A neighbour solicitation or advertisement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repr {
    /// Who has this address?
    Solicitation {
        /// The address.
        target: Ipv6Addr,
        /// The asker's Ethernet address; none when it has no address yet.
        source_mac: Option<Mac>,
    },
    /// I have this address.
    Advertisement {
        /// The address.
        target: Ipv6Addr,
        /// Where it is; none when the receiver knows.
        target_mac: Option<Mac>,
        /// Router, solicited, override.
        flags: Flags,
    },
}

impl Repr {
    /// Asks who has an address. Goes to `solicited_node(target)`.
    pub const fn solicit(target: Ipv6Addr, source_mac: Mac) -> Repr {
        Repr::Solicitation { target, source_mac: Some(source_mac) }
    }

    /// The answer to who asked for `target` from the address `asker`, and where to send it.
    /// Who asks from no address, to see whether `target` is free, is told through all nodes and unsolicited
    /// (RFC 4861 section 7.2.4).
    pub const fn answer(asker: Ipv6Addr, target: Ipv6Addr, mac: Mac, flags: Flags) -> (Ipv6Addr, Repr) {
        let nameless = asker.is_unspecified();
        let answer = Repr::Advertisement {
            target,
            target_mac: Some(mac),
            flags: Flags { solicited: !nameless, ..flags },
        };
        (if nameless { ALL_NODES } else { asker }, answer)
    }

    /// Judges a message inside the packet with this header: what [`Packet::judge`] refuses,
    /// and `Unsupported` for the router's messages and redirects.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&T>, ip: &ipv6::Repr) -> Result<Repr, Error> {
        let kind = packet.judge(ip)?;
        let target = packet.target().ok_or(Error::Unsupported)?;
        match kind {
            Type::NEIGHBOR_SOLICITATION => {
                Ok(Repr::Solicitation { target, source_mac: packet.mac_option(MacOption::Source)? })
            }
            Type::NEIGHBOR_ADVERTISEMENT => Ok(Repr::Advertisement {
                target,
                target_mac: packet.mac_option(MacOption::Target)?,
                flags: packet.flags(),
            }),
            _ => Err(Error::Unsupported),
        }
    }

    const fn mac(&self) -> Option<(MacOption, Mac)> {
        match *self {
            Repr::Solicitation { source_mac: Some(mac), .. } => Some((MacOption::Source, mac)),
            Repr::Advertisement { target_mac: Some(mac), .. } => Some((MacOption::Target, mac)),
            _ => None,
        }
    }

    /// Bytes that `emit` writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        match self.mac() {
            Some(_) => HEADER_LEN + MAC_OPTION_LEN,
            None => HEADER_LEN,
        }
    }

    /// Writes the message with its checksum for these addresses.
    /// The buffer is exactly `buffer_len` long; a shorter one panics.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(
        &self,
        packet: &mut Packet<T>,
        source: Ipv6Addr,
        destination: Ipv6Addr,
    ) {
        match *self {
            Repr::Solicitation { target, .. } => {
                packet.set_kind(Type::NEIGHBOR_SOLICITATION);
                packet.set_target(target);
            }
            Repr::Advertisement { target, flags, .. } => {
                packet.set_kind(Type::NEIGHBOR_ADVERTISEMENT);
                packet.set_flags(flags);
                packet.set_target(target);
            }
        }
        if let Some((sort, mac)) = self.mac() {
            packet.set_mac_option(sort, mac);
        }
        packet.fill_checksum(source, destination);
    }
}
