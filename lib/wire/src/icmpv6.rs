//! ICMP for IPv6 (RFC 4443): echo, and the errors a gateway sends and receives.
//! Neighbour discovery, which shares the header, is in [`crate::ndisc`].

mod report;

pub use report::{MAX_REPORT_LEN, Problem, Report, report};

use core::fmt;
use core::net::Ipv6Addr;

use crate::bytes::{get_u16, get_u32, set_u16, set_u32};
use crate::checksum;
use crate::error::Error;
use crate::protocol::Protocol;

mod field {
    use crate::bytes::{Field, Rest};

    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    pub(super) const CHECKSUM: Field = 2..4;
    /// What the type makes of it; unused in most errors.
    pub(super) const WORD: Field = 4..8;
    pub(super) const ECHO_IDENT: Field = 4..6;
    pub(super) const ECHO_SEQUENCE: Field = 6..8;
    pub(super) const PAYLOAD: Rest = 8..;
}

/// Header length in bytes.
pub const HEADER_LEN: usize = field::PAYLOAD.start;

/// The kind of a message; unknown values survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Type(pub u8);

impl Type {
    /// A packet could not be delivered.
    pub const UNREACHABLE: Type = Type(1);
    /// A packet was too big for the next hop.
    pub const PACKET_TOO_BIG: Type = Type(2);
    /// A packet lived too long.
    pub const TIME_EXCEEDED: Type = Type(3);
    /// A header could not be understood.
    pub const PARAMETER_PROBLEM: Type = Type(4);
    /// Ping.
    pub const ECHO_REQUEST: Type = Type(128);
    /// The answer to it.
    pub const ECHO_REPLY: Type = Type(129);
    /// Which routers are there?
    pub const ROUTER_SOLICITATION: Type = Type(133);
    /// I am a router.
    pub const ROUTER_ADVERTISEMENT: Type = Type(134);
    /// Who has this address?
    pub const NEIGHBOR_SOLICITATION: Type = Type(135);
    /// I have this address.
    pub const NEIGHBOR_ADVERTISEMENT: Type = Type(136);
    /// Use another first hop.
    pub const REDIRECT: Type = Type(137);

    /// Whether a message of this kind reports an error (RFC 4443 section 2.1).
    #[inline]
    pub const fn is_error(self) -> bool {
        self.0 < 128
    }

    /// Whether it belongs to neighbour discovery (RFC 4861).
    #[inline]
    pub const fn is_neighbor_discovery(self) -> bool {
        self.0 >= Type::ROUTER_SOLICITATION.0 && self.0 <= Type::REDIRECT.0
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Type::UNREACHABLE => f.write_str("destination unreachable"),
            Type::PACKET_TOO_BIG => f.write_str("packet too big"),
            Type::TIME_EXCEEDED => f.write_str("time exceeded"),
            Type::PARAMETER_PROBLEM => f.write_str("parameter problem"),
            Type::ECHO_REQUEST => f.write_str("echo request"),
            Type::ECHO_REPLY => f.write_str("echo reply"),
            Type::ROUTER_SOLICITATION => f.write_str("router solicitation"),
            Type::ROUTER_ADVERTISEMENT => f.write_str("router advertisement"),
            Type::NEIGHBOR_SOLICITATION => f.write_str("neighbor solicitation"),
            Type::NEIGHBOR_ADVERTISEMENT => f.write_str("neighbor advertisement"),
            Type::REDIRECT => f.write_str("redirect"),
            Type(other) => write!(f, "ICMPv6 type {other}"),
        }
    }
}

/// Why a destination is unreachable; unknown values survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct UnreachableCode(pub u8);

impl UnreachableCode {
    /// No route.
    pub const NO_ROUTE: UnreachableCode = UnreachableCode(0);
    /// A policy forbids it.
    pub const PROHIBITED: UnreachableCode = UnreachableCode(1);
    /// The host does not answer.
    pub const ADDRESS: UnreachableCode = UnreachableCode(3);
    /// Nobody listens on this port.
    pub const PORT: UnreachableCode = UnreachableCode(4);
    /// A policy forbids the source address.
    pub const SOURCE_POLICY: UnreachableCode = UnreachableCode(5);
}

/// A view of an ICMPv6 message.
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

    /// The kind of message.
    #[inline]
    pub fn kind(&self) -> Type {
        Type(self.buffer.as_ref()[field::TYPE])
    }

    /// Its code.
    #[inline]
    pub fn code(&self) -> u8 {
        self.buffer.as_ref()[field::CODE]
    }

    /// The checksum field.
    #[inline]
    pub fn checksum(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Identifier of an echo request or reply.
    #[inline]
    pub fn echo_ident(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::ECHO_IDENT)
    }

    /// Sequence number of an echo request or reply.
    #[inline]
    pub fn echo_sequence(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::ECHO_SEQUENCE)
    }

    /// MTU of a packet-too-big message in bytes.
    #[inline]
    pub fn mtu(&self) -> u32 {
        get_u32(self.buffer.as_ref(), field::WORD)
    }

    /// Whether the message adds up between these addresses.
    #[inline]
    pub fn verify_checksum(&self, source: Ipv6Addr, destination: Ipv6Addr) -> bool {
        let bytes = self.buffer.as_ref();
        checksum::verify_with(pseudo(source, destination, bytes.len()), bytes)
    }
}

/// The pseudo-header of a message; no IPv6 packet is longer than 32 bits can tell.
fn pseudo(source: Ipv6Addr, destination: Ipv6Addr, len: usize) -> u32 {
    checksum::pseudo_v6(source, destination, Protocol::ICMPV6.0, len as u32)
}

impl<'a, T: AsRef<[u8]> + ?Sized> Packet<&'a T> {
    /// Everything behind the header.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.buffer.as_ref()[field::PAYLOAD]
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets kind and code, and clears what follows the checksum.
    #[inline]
    pub fn set_kind_and_code(&mut self, kind: Type, code: u8) {
        let bytes = self.buffer.as_mut();
        bytes[field::TYPE] = kind.0;
        bytes[field::CODE] = code;
        set_u32(bytes, field::WORD, 0);
    }

    /// Sets the identifier of an echo request or reply.
    #[inline]
    pub fn set_echo_ident(&mut self, ident: u16) {
        set_u16(self.buffer.as_mut(), field::ECHO_IDENT, ident);
    }

    /// Sets the sequence number of an echo request or reply.
    #[inline]
    pub fn set_echo_sequence(&mut self, sequence: u16) {
        set_u16(self.buffer.as_mut(), field::ECHO_SEQUENCE, sequence);
    }

    /// Sets the MTU of a packet-too-big message.
    #[inline]
    pub fn set_mtu(&mut self, mtu: u32) {
        set_u32(self.buffer.as_mut(), field::WORD, mtu);
    }

    /// Computes the checksum over the whole buffer and these addresses.
    pub fn fill_checksum(&mut self, source: Ipv6Addr, destination: Ipv6Addr) {
        let bytes = self.buffer.as_mut();
        set_u16(bytes, field::CHECKSUM, 0);
        let pseudo = pseudo(source, destination, bytes.len());
        let checksum = checksum::fold(pseudo + checksum::sum(bytes));
        set_u16(bytes, field::CHECKSUM, checksum);
    }

    /// Everything behind the header, to write into.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.as_mut()[field::PAYLOAD]
    }
}

/// An ICMPv6 message that we send or act upon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repr<'a> {
    /// Ping.
    EchoRequest {
        /// Identifier.
        ident: u16,
        /// Sequence number.
        sequence: u16,
        /// What comes back in the reply.
        data: &'a [u8],
    },
    /// The answer to it.
    EchoReply {
        /// Identifier.
        ident: u16,
        /// Sequence number.
        sequence: u16,
        /// What came in the request.
        data: &'a [u8],
    },
    /// A packet could not be delivered.
    Unreachable {
        /// The reason.
        code: UnreachableCode,
        /// The beginning of that packet.
        original: &'a [u8],
    },
    /// A packet was too big for the next hop.
    PacketTooBig {
        /// The largest packet the next hop takes, in bytes.
        mtu: u32,
        /// The beginning of that packet.
        original: &'a [u8],
    },
    /// A packet lived too long.
    TimeExceeded {
        /// 0 in transit, 1 waiting for fragments.
        code: u8,
        /// The beginning of that packet.
        original: &'a [u8],
    },
}

impl<'a> Repr<'a> {
    /// Judges a message between these addresses: `Truncated`, `BadChecksum`,
    /// `BadHeader` for an echo with a code, `Unsupported` for other kinds.
    /// Unused header bits, and the code of a packet-too-big, are ignored.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(
        packet: &Packet<&'a T>,
        source: Ipv6Addr,
        destination: Ipv6Addr,
    ) -> Result<Repr<'a>, Error> {
        let packet = Packet::new_checked(packet.buffer)?;
        if !packet.verify_checksum(source, destination) {
            return Err(Error::BadChecksum);
        }
        let (ident, sequence) = (packet.echo_ident(), packet.echo_sequence());
        let (code, payload) = (packet.code(), packet.payload());
        match packet.kind() {
            Type::ECHO_REQUEST | Type::ECHO_REPLY if code != 0 => Err(Error::BadHeader),
            Type::ECHO_REQUEST => Ok(Repr::EchoRequest { ident, sequence, data: payload }),
            Type::ECHO_REPLY => Ok(Repr::EchoReply { ident, sequence, data: payload }),
            Type::UNREACHABLE => Ok(Repr::Unreachable { code: UnreachableCode(code), original: payload }),
            Type::PACKET_TOO_BIG => Ok(Repr::PacketTooBig { mtu: packet.mtu(), original: payload }),
            Type::TIME_EXCEEDED => Ok(Repr::TimeExceeded { code, original: payload }),
            _ => Err(Error::Unsupported),
        }
    }

    /// The reply to an echo request; nothing for other messages.
    pub const fn echo_reply(&self) -> Option<Repr<'a>> {
        match *self {
            Repr::EchoRequest { ident, sequence, data } => Some(Repr::EchoReply { ident, sequence, data }),
            _ => None,
        }
    }

    /// What stands behind the header.
    const fn payload(&self) -> &'a [u8] {
        match *self {
            Repr::EchoRequest { data, .. } | Repr::EchoReply { data, .. } => data,
            Repr::Unreachable { original, .. }
            | Repr::PacketTooBig { original, .. }
            | Repr::TimeExceeded { original, .. } => original,
        }
    }

    /// Bytes that `emit` writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN + self.payload().len()
    }

    /// Writes the message with its checksum for these addresses.
    /// The buffer is exactly `buffer_len` long, otherwise this panics.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(
        &self,
        packet: &mut Packet<T>,
        source: Ipv6Addr,
        destination: Ipv6Addr,
    ) {
        match *self {
            Repr::EchoRequest { ident, sequence, .. } => {
                emit_echo(packet, Type::ECHO_REQUEST, ident, sequence);
            }
            Repr::EchoReply { ident, sequence, .. } => {
                emit_echo(packet, Type::ECHO_REPLY, ident, sequence);
            }
            Repr::Unreachable { code, .. } => packet.set_kind_and_code(Type::UNREACHABLE, code.0),
            Repr::PacketTooBig { mtu, .. } => {
                packet.set_kind_and_code(Type::PACKET_TOO_BIG, 0);
                packet.set_mtu(mtu);
            }
            Repr::TimeExceeded { code, .. } => packet.set_kind_and_code(Type::TIME_EXCEEDED, code),
        }
        packet.payload_mut().copy_from_slice(self.payload());
        packet.fill_checksum(source, destination);
    }
}

fn emit_echo<T: AsRef<[u8]> + AsMut<[u8]>>(packet: &mut Packet<T>, kind: Type, ident: u16, sequence: u16) {
    packet.set_kind_and_code(kind, 0);
    packet.set_echo_ident(ident);
    packet.set_echo_sequence(sequence);
}

#[cfg(test)]
mod test;
