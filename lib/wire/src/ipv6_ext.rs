//! The walk over IPv6 extension headers to what they carry (RFC 8200 section 4).
//!
//! It looks at lengths and at the fragment header only; options are the hosts' business.

use crate::bytes::{get_u16, get_u32};
use crate::error::Error;
use crate::protocol::Protocol;

mod field {
    use crate::bytes::Field;

    pub(super) const NEXT_HEADER: usize = 0;
    pub(super) const LEN: usize = 1;
    /// Fragment offset (13 bits), reserved (2), more (1).
    pub(super) const FRAGMENT: Field = 2..4;
    pub(super) const FRAGMENT_IDENT: Field = 4..8;
}

/// Headers we are willing to step over.
/// Real packets have one or two; RFC 8504 section 5.3 lets a node set such a limit against abuse.
pub const MAX_HEADERS: usize = 8;
/// Length of a fragment header in bytes.
pub const FRAGMENT_HEADER_LEN: usize = field::FRAGMENT_IDENT.end;

const MORE_FRAGMENTS: u16 = 0x0001;
const OFFSET_MASK: u16 = 0xfff8;

/// What a fragment header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Where the payload lies in the datagram, in bytes (a multiple of eight).
    pub offset: u16,
    /// A later fragment exists.
    pub more: bool,
    /// Identification of the datagram.
    pub id: u32,
}

/// What the extension headers carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upper {
    /// The transport, or whatever else is not an extension header.
    pub proto: Protocol,
    /// Where it begins, in bytes from the start of the walked payload; never beyond its end.
    pub offset: usize,
    /// The fragment header, if there is one (also an atomic one: offset 0 and no more).
    pub fragment: Option<Fragment>,
}

impl Upper {
    /// Whether the transport header itself is missing, because it is in an earlier fragment.
    #[inline]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.offset != 0)
    }
}

/// Walks from the next-header value of an IPv6 header over its payload.
///
/// A later fragment ends the walk behind its fragment header.
/// `Truncated` when a header passes the end; `TooManyHeaders` above [`MAX_HEADERS`];
/// `BadHeader` for hop-by-hop options that do not come first and for a second fragment header.
#[inline]
pub fn walk(next_header: Protocol, payload: &[u8]) -> Result<Upper, Error> {
    let mut upper = Upper { proto: next_header, offset: 0, fragment: None };
    for index in 0..=MAX_HEADERS {
        if !is_extension(upper.proto) {
            return Ok(upper);
        }
        if index == MAX_HEADERS {
            break;
        }
        if upper.proto == Protocol::HOP_BY_HOP && index > 0 {
            return Err(Error::BadHeader);
        }
        step(&mut upper, payload)?;
        if upper.is_later_fragment() {
            return Ok(upper);
        }
    }
    Err(Error::TooManyHeaders)
}

/// Whether a header of this kind tells its length and what follows. ESP is not among them.
#[inline]
fn is_extension(proto: Protocol) -> bool {
    matches!(
        proto,
        Protocol::HOP_BY_HOP
            | Protocol::ROUTING
            | Protocol::FRAGMENT
            | Protocol::AUTHENTICATION
            | Protocol::DESTINATION_OPTIONS
            | Protocol::MOBILITY
            | Protocol::HIP
            | Protocol::SHIM6
    )
}

/// Steps over the extension header at `upper.offset`.
fn step(upper: &mut Upper, payload: &[u8]) -> Result<(), Error> {
    let header = payload.get(upper.offset..).ok_or(Error::Truncated)?;
    if header.len() < FRAGMENT_HEADER_LEN {
        return Err(Error::Truncated);
    }
    let units = usize::from(header[field::LEN]);
    let len = match upper.proto {
        Protocol::FRAGMENT => FRAGMENT_HEADER_LEN,
        Protocol::AUTHENTICATION => (units + 2) * 4,
        _ => (units + 1) * 8,
    };
    if header.len() < len {
        return Err(Error::Truncated);
    }
    if upper.proto == Protocol::FRAGMENT && upper.fragment.replace(fragment(header)).is_some() {
        return Err(Error::BadHeader);
    }
    upper.proto = Protocol(header[field::NEXT_HEADER]);
    upper.offset += len;
    Ok(())
}

/// Reads a fragment header; its reserved bits are ignored.
fn fragment(header: &[u8]) -> Fragment {
    let word = get_u16(header, field::FRAGMENT);
    Fragment {
        offset: word & OFFSET_MASK,
        more: word & MORE_FRAGMENTS != 0,
        id: get_u32(header, field::FRAGMENT_IDENT),
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::vec::Vec;

    /// Headers of 8 bytes with these next-header values, the first of which stands in the IPv6 header.
    fn chain(kinds: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for next in &kinds[1..] {
            bytes.extend([*next, 0, 0, 0, 0, 0, 0, 0]);
        }
        bytes
    }

    #[test]
    fn no_extension_header() {
        let upper = walk(Protocol::TCP, &[]).unwrap();
        assert_eq!((upper.proto, upper.offset, upper.fragment), (Protocol::TCP, 0, None));
        assert_eq!(walk(Protocol::ESP, &[1, 2, 3]).unwrap().proto, Protocol::ESP);
        assert_eq!(walk(Protocol::NO_NEXT, &[]).unwrap().proto, Protocol::NO_NEXT);
    }

    #[test]
    fn lengths_in_their_own_units() {
        // Hop-by-hop of 16 bytes, authentication header of 24, destination options of 8, then UDP.
        let mut bytes = Vec::new();
        bytes.extend([51, 1]);
        bytes.extend([0; 14]);
        bytes.extend([60, 4]);
        bytes.extend([0; 22]);
        bytes.extend([17, 0]);
        bytes.extend([0; 6]);
        let upper = walk(Protocol::HOP_BY_HOP, &bytes).unwrap();
        assert_eq!((upper.proto, upper.offset), (Protocol::UDP, 48));
    }

    #[test]
    fn first_fragment() {
        let bytes = [6, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef, 0xff];
        let upper = walk(Protocol::FRAGMENT, &bytes).unwrap();
        assert_eq!((upper.proto, upper.offset), (Protocol::TCP, 8));
        let expected = Fragment { offset: 0, more: true, id: 0xdead_beef };
        assert_eq!(upper.fragment, Some(expected));
        assert!(!upper.is_later_fragment());
    }

    #[test]
    fn later_fragment_ends_the_walk() {
        // The next header says "destination options", but these are the middle of the datagram.
        let bytes = [60, 0, 0x05, 0xa8, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff];
        let upper = walk(Protocol::FRAGMENT, &bytes).unwrap();
        assert!(upper.is_later_fragment());
        assert_eq!((upper.proto, upper.offset), (Protocol::DESTINATION_OPTIONS, 8));
        assert_eq!(upper.fragment, Some(Fragment { offset: 0x5a8, more: false, id: 7 }));
    }

    #[test]
    fn reserved_bits_are_ignored() {
        let clear = [17, 0, 0x05, 0xa9, 0, 0, 0, 7];
        let set = [17, 0xff, 0x05, 0xaf, 0, 0, 0, 7];
        assert_eq!(walk(Protocol::FRAGMENT, &clear), walk(Protocol::FRAGMENT, &set));
    }

    #[test]
    fn bounded() {
        let eight = chain(&[60, 60, 60, 60, 60, 60, 60, 60, 17]);
        assert_eq!(walk(Protocol::DESTINATION_OPTIONS, &eight).unwrap().offset, 64);
        let nine = chain(&[60, 60, 60, 60, 60, 60, 60, 60, 60, 17]);
        assert_eq!(walk(Protocol::DESTINATION_OPTIONS, &nine), Err(Error::TooManyHeaders));
    }

    #[test]
    fn odd_cases() {
        assert_eq!(walk(Protocol::ROUTING, &[]), Err(Error::Truncated));
        assert_eq!(walk(Protocol::ROUTING, &[6, 0, 0, 0, 0, 0, 0]), Err(Error::Truncated));
        assert_eq!(walk(Protocol::ROUTING, &[6, 1, 0, 0, 0, 0, 0, 0]), Err(Error::Truncated));
        let late_hop_by_hop = chain(&[60, 0, 17]);
        assert_eq!(walk(Protocol::DESTINATION_OPTIONS, &late_hop_by_hop), Err(Error::BadHeader));
        let two_fragments = chain(&[44, 44, 17]);
        assert_eq!(walk(Protocol::FRAGMENT, &two_fragments), Err(Error::BadHeader));
    }
}
