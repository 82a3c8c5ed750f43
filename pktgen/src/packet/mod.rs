//! Ordinary packets: sizes, templates with their headers, and what is put in per packet.

mod mix;
mod template;

pub use mix::{IMIX, Mix, MixEntry};
pub use template::{LISP_DATA_PORT, Layout, Outer, Template, TemplateSpec};

use sterna_wire::{Family, ethernet, ipv4, ipv6, udp};

use crate::probe::PROBE_LEN;

/// Bytes of the frame check sequence, which sizes count and frames in memory do not have.
pub const FCS_LEN: usize = 4;

/// Bytes of an IP header of a family.
pub const fn ip_header_len(family: Family) -> usize {
    match family {
        Family::V4 => ipv4::HEADER_LEN,
        Family::V6 => ipv6::HEADER_LEN,
    }
}

/// The smallest size, FCS included, with room for headers and a probe: 64 bytes over IPv4, 84 over IPv6.
pub fn smallest_size(family: Family) -> u16 {
    let need = ethernet::HEADER_LEN + ip_header_len(family) + udp::HEADER_LEN + PROBE_LEN + FCS_LEN;
    u16::try_from(need).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_fits_the_shortest_frame_over_ipv4() {
        assert_eq!((smallest_size(Family::V4), smallest_size(Family::V6)), (64, 84));
    }
}
