//! Addresses by number: the n-th after a first one.

use std::net::IpAddr;

/// The last 32 bits.
pub fn low(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(v4) => v4.to_bits(),
        IpAddr::V6(v6) => v6.to_bits() as u32,
    }
}

/// The address with other last 32 bits.
pub fn with_low(address: IpAddr, low: u32) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(low.into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 32 << 32 | u128::from(low)).into()),
    }
}

/// The n-th address after the first; beyond the end of the last 32 bits it begins again at 0 in them.
pub fn nth(first: IpAddr, n: u32) -> IpAddr {
    with_low(first, low(first).wrapping_add(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_the_last_32_bits() {
        for (first, n, expected) in [
            ("10.1.0.10", 0, "10.1.0.10"),
            ("10.1.0.10", 246, "10.1.1.0"),
            ("fd00::1:ffff:ffff", 0, "fd00::1:ffff:ffff"),
            ("fd00::1:0:0", 0x1_0002, "fd00::1:1:2"),
        ] {
            assert_eq!(nth(first.parse().unwrap(), n), expected.parse::<IpAddr>().unwrap());
        }
    }
}
