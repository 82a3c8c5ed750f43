//! The number that says what an IP header carries.

use core::fmt;

/// An IPv4 protocol or IPv6 next header; unknown values survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Protocol(pub u8);

impl Protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: Protocol = Protocol(0);
    /// ICMP for IPv4.
    pub const ICMPV4: Protocol = Protocol(1);
    /// TCP.
    pub const TCP: Protocol = Protocol(6);
    /// UDP.
    pub const UDP: Protocol = Protocol(17);
    /// IPv6 routing header.
    pub const ROUTING: Protocol = Protocol(43);
    /// IPv6 fragment header.
    pub const FRAGMENT: Protocol = Protocol(44);
    /// Encapsulating security payload; what follows cannot be read.
    pub const ESP: Protocol = Protocol(50);
    /// Authentication header.
    pub const AUTHENTICATION: Protocol = Protocol(51);
    /// ICMP for IPv6.
    pub const ICMPV6: Protocol = Protocol(58);
    /// Nothing follows.
    pub const NO_NEXT: Protocol = Protocol(59);
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: Protocol = Protocol(60);
    /// SCTP.
    pub const SCTP: Protocol = Protocol(132);
    /// IPv6 mobility header.
    pub const MOBILITY: Protocol = Protocol(135);
    /// Host identity protocol.
    pub const HIP: Protocol = Protocol(139);
    /// Shim6.
    pub const SHIM6: Protocol = Protocol(140);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Protocol::ICMPV4 => f.write_str("ICMP"),
            Protocol::TCP => f.write_str("TCP"),
            Protocol::UDP => f.write_str("UDP"),
            Protocol::ICMPV6 => f.write_str("ICMPv6"),
            Protocol::SCTP => f.write_str("SCTP"),
            Protocol(other) => write!(f, "protocol {other}"),
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::string::ToString;

    #[test]
    fn names() {
        assert_eq!(Protocol::ICMPV6.to_string(), "ICMPv6");
        assert_eq!(Protocol(253).to_string(), "protocol 253");
    }
}
