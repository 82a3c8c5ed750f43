//! ICMP for IPv4 (RFC 792, RFC 1191): echo, and the errors a gateway sends and receives.

mod report;

pub use report::{MAX_REPORT_LEN, Problem, Report, report};

use core::fmt;

use crate::bytes::{get_u16, set_u16, set_u32};
use crate::checksum;
use crate::error::Error;

mod field {
    use crate::bytes::{Field, Rest};

    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    pub(super) const CHECKSUM: Field = 2..4;
    /// What the type makes of it; unused in most errors.
    pub(super) const WORD: Field = 4..8;
    pub(super) const ECHO_IDENT: Field = 4..6;
    pub(super) const ECHO_SEQUENCE: Field = 6..8;
    pub(super) const NEXT_HOP_MTU: Field = 6..8;
    pub(super) const PAYLOAD: Rest = 8..;
}

/// Header length in bytes.
pub const HEADER_LEN: usize = field::PAYLOAD.start;

/// The kind of a message; unknown values survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Type(pub u8);

impl Type {
    /// The answer to an echo request.
    pub const ECHO_REPLY: Type = Type(0);
    /// A packet could not be delivered.
    pub const UNREACHABLE: Type = Type(3);
    /// Send less (deprecated by RFC 6633).
    pub const SOURCE_QUENCH: Type = Type(4);
    /// Use another router.
    pub const REDIRECT: Type = Type(5);
    /// Ping.
    pub const ECHO_REQUEST: Type = Type(8);
    /// A packet lived too long.
    pub const TIME_EXCEEDED: Type = Type(11);
    /// A header could not be understood.
    pub const PARAMETER_PROBLEM: Type = Type(12);

    /// Whether a message of this kind reports an error, so that no error may answer it (RFC 1122 section 3.2.2).
    #[inline]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Type::UNREACHABLE
                | Type::SOURCE_QUENCH
                | Type::REDIRECT
                | Type::TIME_EXCEEDED
                | Type::PARAMETER_PROBLEM
        )
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Type::ECHO_REPLY => f.write_str("echo reply"),
            Type::UNREACHABLE => f.write_str("destination unreachable"),
            Type::SOURCE_QUENCH => f.write_str("source quench"),
            Type::REDIRECT => f.write_str("redirect"),
            Type::ECHO_REQUEST => f.write_str("echo request"),
            Type::TIME_EXCEEDED => f.write_str("time exceeded"),
            Type::PARAMETER_PROBLEM => f.write_str("parameter problem"),
            Type(other) => write!(f, "ICMP type {other}"),
        }
    }
}

/// Why a destination is unreachable; unknown values survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct UnreachableCode(pub u8);

impl UnreachableCode {
    /// No route.
    pub const NET: UnreachableCode = UnreachableCode(0);
    /// The host does not answer.
    pub const HOST: UnreachableCode = UnreachableCode(1);
    /// The host does not speak this protocol.
    pub const PROTOCOL: UnreachableCode = UnreachableCode(2);
    /// Nobody listens on this port.
    pub const PORT: UnreachableCode = UnreachableCode(3);
    /// Too big for the next hop, and not to be fragmented.
    pub const FRAGMENTATION_NEEDED: UnreachableCode = UnreachableCode(4);
    /// A policy forbids it (RFC 1812 section 5.2.7.1).
    pub const PROHIBITED: UnreachableCode = UnreachableCode(13);
}

/// A view of an ICMP message.
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

    /// Next-hop MTU of a fragmentation-needed message in bytes; 0 from a router older than RFC 1191.
    #[inline]
    pub fn next_hop_mtu(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::NEXT_HOP_MTU)
    }

    /// Whether the message adds up.
    #[inline]
    pub fn verify_checksum(&self) -> bool {
        checksum::verify(self.buffer.as_ref())
    }
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

    /// Sets the next-hop MTU of a fragmentation-needed message.
    #[inline]
    pub fn set_next_hop_mtu(&mut self, mtu: u16) {
        set_u16(self.buffer.as_mut(), field::NEXT_HOP_MTU, mtu);
    }

    /// Computes the checksum over the whole buffer.
    pub fn fill_checksum(&mut self) {
        let bytes = self.buffer.as_mut();
        set_u16(bytes, field::CHECKSUM, 0);
        let checksum = checksum::fold(checksum::sum(bytes));
        set_u16(bytes, field::CHECKSUM, checksum);
    }

    /// Everything behind the header, to write into.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.as_mut()[field::PAYLOAD]
    }
}

/// An ICMP message that we send or act upon.
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
    /// A packet could not be delivered, for any reason but its size.
    Unreachable {
        /// The reason.
        code: UnreachableCode,
        /// The beginning of that packet.
        original: &'a [u8],
    },
    /// A packet was too big for the next hop, and not to be fragmented.
    FragmentationNeeded {
        /// The largest packet the next hop takes, in bytes; 0 when not told.
        next_hop_mtu: u16,
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
    /// Judges a message: `Truncated`, `BadChecksum`, `BadHeader` for an echo with a code,
    /// `Unsupported` for other kinds. Unused header bits are ignored.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&'a T>) -> Result<Repr<'a>, Error> {
        let packet = Packet::new_checked(packet.buffer)?;
        if !packet.verify_checksum() {
            return Err(Error::BadChecksum);
        }
        let (ident, sequence) = (packet.echo_ident(), packet.echo_sequence());
        let (code, payload) = (packet.code(), packet.payload());
        match packet.kind() {
            Type::ECHO_REQUEST | Type::ECHO_REPLY if code != 0 => Err(Error::BadHeader),
            Type::ECHO_REQUEST => Ok(Repr::EchoRequest { ident, sequence, data: payload }),
            Type::ECHO_REPLY => Ok(Repr::EchoReply { ident, sequence, data: payload }),
            Type::UNREACHABLE => Ok(match UnreachableCode(code) {
                UnreachableCode::FRAGMENTATION_NEEDED => {
                    Repr::FragmentationNeeded { next_hop_mtu: packet.next_hop_mtu(), original: payload }
                }
                code => Repr::Unreachable { code, original: payload },
            }),
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
            | Repr::FragmentationNeeded { original, .. }
            | Repr::TimeExceeded { original, .. } => original,
        }
    }

    /// Bytes that `emit` writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN + self.payload().len()
    }

    /// Writes the message with its checksum. The buffer is exactly `buffer_len` long, otherwise this panics.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        match *self {
            Repr::EchoRequest { ident, sequence, .. } => {
                emit_echo(packet, Type::ECHO_REQUEST, ident, sequence);
            }
            Repr::EchoReply { ident, sequence, .. } => {
                emit_echo(packet, Type::ECHO_REPLY, ident, sequence);
            }
            Repr::Unreachable { code, .. } => packet.set_kind_and_code(Type::UNREACHABLE, code.0),
            Repr::FragmentationNeeded { next_hop_mtu, .. } => {
                packet.set_kind_and_code(Type::UNREACHABLE, UnreachableCode::FRAGMENTATION_NEEDED.0);
                packet.set_next_hop_mtu(next_hop_mtu);
            }
            Repr::TimeExceeded { code, .. } => packet.set_kind_and_code(Type::TIME_EXCEEDED, code),
        }
        packet.payload_mut().copy_from_slice(self.payload());
        packet.fill_checksum();
    }
}

fn emit_echo<T: AsRef<[u8]> + AsMut<[u8]>>(packet: &mut Packet<T>, kind: Type, ident: u16, sequence: u16) {
    packet.set_kind_and_code(kind, 0);
    packet.set_echo_ident(ident);
    packet.set_echo_sequence(sequence);
}

#[cfg(test)]
mod test;
