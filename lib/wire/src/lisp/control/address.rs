//! Addresses as LISP writes them: an address family and what belongs to it (RFC 9301, RFC 8060, RFC 9735).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{ControlError, Reader, lcaf};
use crate::addr::{Iid, Mac};

/// Address family numbers of IANA.
pub(super) mod afi {
    pub(in super::super) const NONE: u16 = 0;
    pub(in super::super) const IPV4: u16 = 1;
    pub(in super::super) const IPV6: u16 = 2;
    pub(in super::super) const NAME: u16 = 17;
    pub(in super::super) const LCAF: u16 = 0x4003;
    pub(in super::super) const MAC: u16 = 0x4005;
}

/// The longest distinguished name in bytes, without its NUL.
const MAX_NAME: usize = 254;
/// The shortest address: a family and nothing behind it.
pub(super) const MIN_LEN: usize = 2;

/// An EID or an RLOC.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum LispAddress {
    /// AFI 0: no address.
    #[default]
    None,
    /// AFI 1 or 2.
    Ip(IpAddr),
    /// AFI 16389.
    Mac(Mac),
    /// AFI 17, a distinguished name without its NUL, at most 254 bytes.
    Name(Vec<u8>),
    /// LCAF type 2: an address in a group.
    Instance {
        /// Instance-ID; a value of 2^24 - 1 or more is read, but names no group.
        iid: u32,
        /// How many bits of the instance-ID count; 32, except for a range of instances.
        mask_len: u8,
        /// The address.
        address: Box<LispAddress>,
    },
    /// LCAF type 1: several addresses, the order matters.
    List(Vec<LispAddress>),
    /// Any other LCAF type: its whole encoding, from the AFI on, byte for byte.
    Opaque(Vec<u8>),
}

impl From<IpAddr> for LispAddress {
    fn from(address: IpAddr) -> LispAddress {
        LispAddress::Ip(address)
    }
}

impl LispAddress {
    /// Judges the address at the front of the bytes and tells how many it takes.
    /// `Truncated`, `UnknownAfi`, `BadName`, and for an LCAF `BadLcaf`, `LcafTooLong`, `TooDeep`, `ListTooLong`.
    pub fn parse(bytes: &[u8]) -> Result<(LispAddress, usize), ControlError> {
        let mut reader = Reader::new(bytes);
        let address = Self::read(&mut reader)?;
        Ok((address, reader.position()))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<LispAddress, ControlError> {
        Self::read_at(reader, 0)
    }

    /// Reads an address that lies inside `depth` LCAFs.
    pub(super) fn read_at(reader: &mut Reader<'_>, depth: usize) -> Result<LispAddress, ControlError> {
        let start = reader.rest();
        match reader.u16()? {
            afi::NONE => Ok(LispAddress::None),
            afi::IPV4 => Ok(LispAddress::Ip(Ipv4Addr::from_octets(reader.array()?).into())),
            afi::IPV6 => Ok(LispAddress::Ip(Ipv6Addr::from_octets(reader.array()?).into())),
            afi::MAC => Ok(LispAddress::Mac(Mac(reader.array()?))),
            afi::NAME => read_name(reader),
            afi::LCAF => lcaf::read(reader, start, depth + 1),
            _ => Err(ControlError::UnknownAfi),
        }
    }

    /// Appends the encoding. A name is written up to its first NUL and at most 254 bytes of it.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            LispAddress::None => put_afi(out, afi::NONE),
            LispAddress::Ip(IpAddr::V4(v4)) => {
                put_afi(out, afi::IPV4);
                out.extend(v4.octets());
            }
            LispAddress::Ip(IpAddr::V6(v6)) => {
                put_afi(out, afi::IPV6);
                out.extend(v6.octets());
            }
            LispAddress::Mac(mac) => {
                put_afi(out, afi::MAC);
                out.extend(mac.octets());
            }
            LispAddress::Name(name) => {
                put_afi(out, afi::NAME);
                out.extend(sendable(name));
                out.push(0);
            }
            LispAddress::Instance { iid, mask_len, address } => {
                lcaf::emit_instance(out, *iid, *mask_len, address);
            }
            LispAddress::List(entries) => lcaf::emit_list(out, entries),
            LispAddress::Opaque(bytes) => out.extend(bytes),
        }
    }

    /// Bytes that `emit` appends.
    pub fn encoded_len(&self) -> usize {
        match self {
            LispAddress::None => MIN_LEN,
            LispAddress::Ip(IpAddr::V4(_)) => MIN_LEN + 4,
            LispAddress::Ip(IpAddr::V6(_)) => MIN_LEN + 16,
            LispAddress::Mac(_) => MIN_LEN + 6,
            LispAddress::Name(name) => MIN_LEN + sendable(name).len() + 1,
            LispAddress::Instance { address, .. } => lcaf::INSTANCE_LEN + address.encoded_len(),
            LispAddress::List(entries) => {
                lcaf::HEADER_LEN + entries.iter().map(LispAddress::encoded_len).sum::<usize>()
            }
            LispAddress::Opaque(bytes) => bytes.len(),
        }
    }

    /// The group and address of an IP EID: a bare address is in the default group.
    /// None for any other kind of EID, and for an instance-ID that names no group.
    pub fn eid(&self) -> Option<(Iid, IpAddr)> {
        match self {
            LispAddress::Ip(address) => Some((Iid::DEFAULT, *address)),
            LispAddress::Instance { iid, address, .. } => match **address {
                LispAddress::Ip(address) => Some((Iid::new(*iid)?, address)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The address to send to: a bare one, or the first bare one of an AFI-list
    /// (where others write an address and its name). None for any other kind.
    pub fn rloc(&self) -> Option<IpAddr> {
        match self {
            LispAddress::Ip(address) => Some(*address),
            LispAddress::List(entries) => entries.iter().find_map(|entry| match entry {
                LispAddress::Ip(address) => Some(*address),
                _ => None,
            }),
            _ => None,
        }
    }

    /// How an EID is written: bare in the default group, so that peers without groups understand it,
    /// otherwise in an LCAF of type 2 with mask length 32.
    pub fn for_eid(iid: Iid, address: IpAddr) -> LispAddress {
        if iid == Iid::DEFAULT {
            return LispAddress::Ip(address);
        }
        LispAddress::Instance { iid: iid.get(), mask_len: 32, address: Box::new(address.into()) }
    }

    /// The longest mask this EID may have: that of the address, also inside an LCAF of type 2.
    pub(super) fn max_mask_len(&self) -> u8 {
        match self {
            LispAddress::Ip(IpAddr::V4(_)) => 32,
            LispAddress::Ip(IpAddr::V6(_)) => 128,
            LispAddress::Mac(_) => 48,
            LispAddress::Instance { address, .. } => address.max_mask_len(),
            // Others count their masks in ways of their own.
            _ => u8::MAX,
        }
    }
}

pub(super) fn put_afi(out: &mut Vec<u8>, afi: u16) {
    out.extend(afi.to_be_bytes());
}

/// The part of a name that can be sent.
fn sendable(name: &[u8]) -> &[u8] {
    let end = name.iter().take(MAX_NAME).position(|byte| *byte == 0).unwrap_or(name.len().min(MAX_NAME));
    &name[..end]
}

fn read_name(reader: &mut Reader<'_>) -> Result<LispAddress, ControlError> {
    let end = reader.rest().iter().take(MAX_NAME + 1).position(|byte| *byte == 0);
    let name = reader.take(end.ok_or(ControlError::BadName)?)?;
    reader.take(1)?;
    Ok(LispAddress::Name(reader.copy(name)?))
}

#[cfg(test)]
mod test;
