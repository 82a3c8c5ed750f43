//! ARP for IPv4 over Ethernet (RFC 826), with probes and announcements (RFC 5227).

use core::fmt;
use core::net::Ipv4Addr;

use crate::addr::Mac;
use crate::bytes::{get_u16, get_v4, set_u16};
use crate::error::Error;
use crate::ethernet::EtherType;

mod field {
    use crate::bytes::Field;

    pub(super) const HARDWARE: Field = 0..2;
    pub(super) const PROTOCOL: Field = 2..4;
    pub(super) const HARDWARE_LEN: usize = 4;
    pub(super) const PROTOCOL_LEN: usize = 5;
    pub(super) const OPERATION: Field = 6..8;
    pub(super) const SOURCE_MAC: Field = 8..14;
    pub(super) const SOURCE_IP: Field = 14..18;
    pub(super) const TARGET_MAC: Field = 18..24;
    pub(super) const TARGET_IP: Field = 24..28;
}

/// Length of a message in bytes.
pub const LEN: usize = field::TARGET_IP.end;

/// Ethernet, in the registry of hardware types.
const HARDWARE_ETHERNET: u16 = 1;
const MAC_LEN: u8 = 6;
const IPV4_LEN: u8 = 4;

/// What a message asks or says; unknown values survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Operation(pub u16);

impl Operation {
    /// Who has the target address?
    pub const REQUEST: Operation = Operation(1);
    /// The source address is at the source MAC.
    pub const REPLY: Operation = Operation(2);
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Operation::REQUEST => f.write_str("request"),
            Operation::REPLY => f.write_str("reply"),
            Operation(other) => write!(f, "operation {other}"),
        }
    }
}

/// A view of an Ethernet/IPv4 ARP message.
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

    /// A view whose accessors cannot panic; `Truncated` when the message does not fit.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Packet<T>, Error> {
        if buffer.as_ref().len() < LEN {
            return Err(Error::Truncated);
        }
        Ok(Self::new_unchecked(buffer))
    }

    /// The buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Whether hardware and protocol, with their lengths, are Ethernet and IPv4.
    /// If not, the addresses below mean nothing.
    #[inline]
    pub fn is_ethernet_ipv4(&self) -> bool {
        let bytes = self.buffer.as_ref();
        get_u16(bytes, field::HARDWARE) == HARDWARE_ETHERNET
            && get_u16(bytes, field::PROTOCOL) == EtherType::IPV4.0
            && bytes[field::HARDWARE_LEN] == MAC_LEN
            && bytes[field::PROTOCOL_LEN] == IPV4_LEN
    }

    /// What the message asks or says.
    #[inline]
    pub fn operation(&self) -> Operation {
        Operation(get_u16(self.buffer.as_ref(), field::OPERATION))
    }

    /// The sender's Ethernet address.
    #[inline]
    pub fn source_mac(&self) -> Mac {
        Mac::from_slice(&self.buffer.as_ref()[field::SOURCE_MAC])
    }

    /// The sender's IPv4 address.
    #[inline]
    pub fn source_ip(&self) -> Ipv4Addr {
        get_v4(self.buffer.as_ref(), field::SOURCE_IP)
    }

    /// The Ethernet address of whom the message is for; meaningless in a request.
    #[inline]
    pub fn target_mac(&self) -> Mac {
        Mac::from_slice(&self.buffer.as_ref()[field::TARGET_MAC])
    }

    /// The IPv4 address that is asked for, or of whom the reply is for.
    #[inline]
    pub fn target_ip(&self) -> Ipv4Addr {
        get_v4(self.buffer.as_ref(), field::TARGET_IP)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets hardware and protocol, with their lengths, to Ethernet and IPv4.
    #[inline]
    pub fn set_ethernet_ipv4(&mut self) {
        let bytes = self.buffer.as_mut();
        set_u16(bytes, field::HARDWARE, HARDWARE_ETHERNET);
        set_u16(bytes, field::PROTOCOL, EtherType::IPV4.0);
        bytes[field::HARDWARE_LEN] = MAC_LEN;
        bytes[field::PROTOCOL_LEN] = IPV4_LEN;
    }

    /// Sets what the message asks or says.
    #[inline]
    pub fn set_operation(&mut self, operation: Operation) {
        set_u16(self.buffer.as_mut(), field::OPERATION, operation.0);
    }

    /// Sets the sender's Ethernet address.
    #[inline]
    pub fn set_source_mac(&mut self, mac: Mac) {
        self.buffer.as_mut()[field::SOURCE_MAC].copy_from_slice(&mac.0);
    }

    /// Sets the sender's IPv4 address.
    #[inline]
    pub fn set_source_ip(&mut self, ip: Ipv4Addr) {
        self.buffer.as_mut()[field::SOURCE_IP].copy_from_slice(&ip.octets());
    }

    /// Sets the target's Ethernet address.
    #[inline]
    pub fn set_target_mac(&mut self, mac: Mac) {
        self.buffer.as_mut()[field::TARGET_MAC].copy_from_slice(&mac.0);
    }

    /// Sets the target's IPv4 address.
    #[inline]
    pub fn set_target_ip(&mut self, ip: Ipv4Addr) {
        self.buffer.as_mut()[field::TARGET_IP].copy_from_slice(&ip.octets());
    }
}

/// An ARP request or reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Request or reply.
    pub operation: Operation,
    /// The sender's Ethernet address.
    pub source_mac: Mac,
    /// The sender's IPv4 address; 0.0.0.0 in a probe.
    pub source_ip: Ipv4Addr,
    /// The Ethernet address of whom the message is for; zero in a request.
    pub target_mac: Mac,
    /// The IPv4 address that is asked for, or of whom the reply is for.
    pub target_ip: Ipv4Addr,
}

impl Repr {
    /// Asks who has an address.
    pub const fn request(source_mac: Mac, source_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Repr {
        Repr { operation: Operation::REQUEST, source_mac, source_ip, target_mac: Mac::ZERO, target_ip }
    }

    /// Asks whether an address is in use, without claiming one (RFC 5227 section 2.1.1).
    pub const fn probe(source_mac: Mac, target_ip: Ipv4Addr) -> Repr {
        Self::request(source_mac, Ipv4Addr::UNSPECIFIED, target_ip)
    }

    /// Tells everyone where an address is: a gratuitous request (RFC 5227 section 2.3).
    pub const fn announcement(source_mac: Mac, ip: Ipv4Addr) -> Repr {
        Self::request(source_mac, ip, ip)
    }

    /// The reply to this request: what it asks for is at `mac`.
    pub const fn reply(&self, mac: Mac) -> Repr {
        Repr {
            operation: Operation::REPLY,
            source_mac: mac,
            source_ip: self.target_ip,
            target_mac: self.source_mac,
            target_ip: self.source_ip,
        }
    }

    /// Whether the sender asks without claiming an address; nothing is to be learned from it.
    #[inline]
    pub fn is_probe(&self) -> bool {
        self.operation == Operation::REQUEST && self.source_ip.is_unspecified()
    }

    /// Whether the sender tells where its own address is, as a request or as a reply.
    #[inline]
    pub fn is_gratuitous(&self) -> bool {
        self.source_ip == self.target_ip && !self.source_ip.is_unspecified()
    }

    /// Judges a message: `Truncated`; `Unsupported` unless it is an Ethernet/IPv4 request or reply;
    /// `BadAddress` when no station can have the sender's addresses.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&T>) -> Result<Repr, Error> {
        let packet = Packet::new_checked(packet.buffer)?;
        let known = matches!(packet.operation(), Operation::REQUEST | Operation::REPLY);
        if !packet.is_ethernet_ipv4() || !known {
            return Err(Error::Unsupported);
        }
        let source_ip = packet.source_ip();
        if !packet.source_mac().is_unicast() || source_ip.is_multicast() || source_ip.is_broadcast() {
            return Err(Error::BadAddress);
        }
        Ok(Repr {
            operation: packet.operation(),
            source_mac: packet.source_mac(),
            source_ip,
            target_mac: packet.target_mac(),
            target_ip: packet.target_ip(),
        })
    }

    /// Bytes that `emit` writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        LEN
    }

    /// Writes the message. Panics when the buffer is shorter than `buffer_len`.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_ethernet_ipv4();
        packet.set_operation(self.operation);
        packet.set_source_mac(self.source_mac);
        packet.set_source_ip(self.source_ip);
        packet.set_target_mac(self.target_mac);
        packet.set_target_ip(self.target_ip);
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::string::ToString;
    use std::vec;

    static MESSAGE: [u8; 28] = [
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // Ethernet, IPv4, request
        0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x0a, 0x01, 0x00, 0x07, // sender
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x01, 0x00, 0x01, // target
    ];
    const AGENT: Mac = Mac([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
    const AGENT_IP: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 7);
    const GATEWAY: Mac = Mac([0x02, 0x53, 0x54, 0, 0, 0x64]);
    const GATEWAY_IP: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

    fn parse_bytes(bytes: &[u8]) -> Result<Repr, Error> {
        Repr::parse(&Packet::new_unchecked(bytes))
    }

    #[test]
    fn deconstruct() {
        let packet = Packet::new_checked(&MESSAGE[..]).unwrap();
        assert!(packet.is_ethernet_ipv4());
        assert_eq!(packet.operation(), Operation::REQUEST);
        assert_eq!((packet.source_mac(), packet.source_ip()), (AGENT, AGENT_IP));
        assert_eq!((packet.target_mac(), packet.target_ip()), (Mac::ZERO, GATEWAY_IP));
    }

    #[test]
    fn construct() {
        let mut bytes = vec![0xa5; 28];
        let mut packet = Packet::new_unchecked(&mut bytes);
        packet.set_ethernet_ipv4();
        packet.set_operation(Operation::REQUEST);
        packet.set_source_mac(AGENT);
        packet.set_source_ip(AGENT_IP);
        packet.set_target_mac(Mac::ZERO);
        packet.set_target_ip(GATEWAY_IP);
        assert_eq!(packet.into_inner(), &MESSAGE);
    }

    #[test]
    fn parse() {
        let expected = Repr::request(AGENT, AGENT_IP, GATEWAY_IP);
        assert_eq!(parse_bytes(&MESSAGE), Ok(expected));
    }

    #[test]
    fn emit() {
        let repr = Repr::request(AGENT, AGENT_IP, GATEWAY_IP);
        let mut bytes = vec![0xa5; repr.buffer_len()];
        repr.emit(&mut Packet::new_unchecked(&mut bytes));
        assert_eq!(bytes, MESSAGE);
    }

    #[test]
    fn the_reply() {
        let reply = Repr::request(AGENT, AGENT_IP, GATEWAY_IP).reply(GATEWAY);
        assert_eq!(reply.operation, Operation::REPLY);
        assert_eq!((reply.source_mac, reply.source_ip), (GATEWAY, GATEWAY_IP));
        assert_eq!((reply.target_mac, reply.target_ip), (AGENT, AGENT_IP));
    }

    #[test]
    fn probes_and_announcements() {
        let probe = Repr::probe(AGENT, AGENT_IP);
        assert!(probe.is_probe() && !probe.is_gratuitous());
        let announcement = Repr::announcement(AGENT, AGENT_IP);
        assert!(announcement.is_gratuitous() && !announcement.is_probe());
        let as_reply = Repr { operation: Operation::REPLY, ..announcement };
        assert!(as_reply.is_gratuitous());
        let plain = Repr::request(AGENT, AGENT_IP, GATEWAY_IP);
        assert!(!plain.is_probe() && !plain.is_gratuitous());
        let nothing = Repr::probe(AGENT, Ipv4Addr::UNSPECIFIED);
        assert!(nothing.is_probe() && !nothing.is_gratuitous());
    }

    #[test]
    fn odd_cases() {
        for len in 0..LEN {
            assert_eq!(parse_bytes(&MESSAGE[..len]), Err(Error::Truncated));
        }
        let changed = |at: usize, value: u8| {
            let mut bytes = MESSAGE;
            bytes[at] = value;
            parse_bytes(&bytes)
        };
        for (at, value) in [(1, 6), (2, 0x86), (4, 8), (5, 16), (7, 3), (6, 1)] {
            assert_eq!(changed(at, value), Err(Error::Unsupported), "byte {at}");
        }
        assert_eq!(changed(8, 0x53), Err(Error::BadAddress), "a group as sender");
        assert_eq!(changed(14, 224), Err(Error::BadAddress), "a multicast sender");
        let padded = [&MESSAGE[..], &[0; 18]].concat();
        assert!(parse_bytes(&padded).is_ok(), "Ethernet pads to 60 bytes");
        assert_eq!(Operation(8).to_string(), "operation 8");
    }
}
