//! What encapsulation costs, and how large an underlay must be for it.

use std::net::IpAddr;

use crate::port::MIN_MTU;

/// The bytes that encapsulation adds: outer IP, UDP and LISP headers (RFC 9300 section 5.3).
pub const fn overhead(outer: IpAddr) -> u16 {
    match outer {
        IpAddr::V4(_) => 20 + 8 + 8,
        IpAddr::V6(_) => 40 + 8 + 8,
    }
}

/// The smallest underlay MTU that carries IPv6's least link MTU inside (RFC 8200 section 5), in bytes.
pub const fn least_underlay_mtu(outer: IpAddr) -> u16 {
    MIN_MTU + overhead(outer)
}

#[cfg(test)]
mod test {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn least_underlays() {
        assert_eq!(least_underlay_mtu(IpAddr::V4(Ipv4Addr::LOCALHOST)), 1316);
        assert_eq!(least_underlay_mtu(IpAddr::V6(Ipv6Addr::LOCALHOST)), 1336);
    }
}
