//! Lowering the MSS that TCP ends tell each other, so that their segments fit the tunnel unfragmented.
//!
//! Path MTU discovery would find the size too, at the price of a lost packet and of trust in ICMP;
//! this costs two bytes in a SYN.

use sterna_wire::{Protocol, ipv4, ipv6, tcp};

/// Bytes of TCP header that the MSS leaves out; it leaves the options in (RFC 6691).
const TCP_HEADER: usize = tcp::HEADER_LEN;

/// Lowers the MSS option of a TCP SYN or SYN-ACK to what fits in an inner packet of `payload_mtu` bytes, and
/// corrects the TCP checksum by the difference, so that a wrong one stays wrong. Returns whether it did.
///
/// Never raised. Left alone: anything but a SYN, a SYN without the option (whoever gets it assumes 536 or 1220
/// bytes), later fragments, IPv6 with extension headers, and what is malformed.
pub fn clamp(packet: &mut [u8], payload_mtu: u16) -> bool {
    let Some((segment, overhead)) = segment(packet) else {
        return false;
    };
    let limit = usize::from(payload_mtu).saturating_sub(overhead) as u16;
    // A limit of nothing would end the connection, not mend it.
    limit > 0 && tcp::Packet::new_checked(segment).is_ok_and(|mut segment| segment.clamp_mss(limit))
}

/// The TCP segment of a packet, and the bytes of IP and TCP header that the MSS does not count.
fn segment(packet: &mut [u8]) -> Option<(&mut [u8], usize)> {
    match packet.first()? >> 4 {
        4 => {
            let ip = ipv4::Packet::new_checked(&packet[..]).ok()?;
            let (start, end) = (ip.header_len(), usize::from(ip.total_len()));
            let tcp = ip.protocol() == Protocol::TCP && ip.fragment_offset() == 0;
            tcp.then(|| (&mut packet[start..end], ipv4::HEADER_LEN + TCP_HEADER))
        }
        6 => {
            let ip = ipv6::Packet::new_checked(&packet[..]).ok()?;
            let end = ip.total_len();
            let tcp = ip.next_header() == Protocol::TCP;
            tcp.then(|| (&mut packet[ipv6::HEADER_LEN..end], ipv6::HEADER_LEN + TCP_HEADER))
        }
        _ => None,
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use etherparse::{PacketBuilder, SlicedPacket, TcpHeader, TransportSlice};
    use proptest::prelude::*;

    /// A segment made by a foreign hand, with these raw options.
    fn packet(v6: bool, syn: bool, ack: bool, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut header =
            TcpHeader { syn, ack, source_port: 40000, destination_port: 80, ..Default::default() };
        header.window_size = 65535;
        header.set_options_raw(options).unwrap();
        let mut bytes = Vec::new();
        let builder = if v6 {
            PacketBuilder::ipv6([0xfd; 16], [0xfc; 16], 64)
        } else {
            PacketBuilder::ipv4([10, 1, 0, 5], [10, 1, 2, 9], 64)
        };
        builder.tcp_header(header).write(&mut bytes, payload).unwrap();
        bytes
    }

    /// The checksum, recomputed by a foreign hand, must hold; the options are what a foreign parser sees.
    fn judged(bytes: &[u8]) -> Vec<u8> {
        let sliced = SlicedPacket::from_ip(bytes).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
        let header = tcp.to_header();
        let expected = match bytes[0] >> 4 {
            4 => header.calc_checksum_ipv4_raw(
                bytes[12..16].try_into().unwrap(),
                bytes[16..20].try_into().unwrap(),
                tcp.payload(),
            ),
            _ => header.calc_checksum_ipv6_raw(
                bytes[8..24].try_into().unwrap(),
                bytes[24..40].try_into().unwrap(),
                tcp.payload(),
            ),
        };
        assert_eq!(header.checksum, expected.unwrap());
        tcp.options().to_vec()
    }

    const MSS_1460: [u8; 4] = [2, 4, 0x05, 0xb4];

    #[test]
    fn lowered_to_what_fits() {
        for (v6, mss) in [(false, 1464u16 - 40), (true, 1464 - 60)] {
            for ack in [false, true] {
                let mut bytes = packet(v6, true, ack, &MSS_1460, b"early data");
                assert!(clamp(&mut bytes, 1464));
                assert_eq!(judged(&bytes)[..4], [2, 4, (mss >> 8) as u8, mss as u8]);
                assert!(!clamp(&mut bytes, 1464), "it already fits");
            }
        }
    }

    #[test]
    fn an_option_on_an_odd_offset() {
        for options in [&[1, 2, 4, 0x05, 0xb4, 1, 1, 1][..], &[1, 1, 8, 3, 9, 2, 4, 0x05, 0xb4, 3, 3, 7]] {
            let mut bytes = packet(false, true, false, options, &[]);
            assert!(clamp(&mut bytes, 1000));
            let lowered = judged(&bytes);
            let at = options.windows(4).position(|four| four == MSS_1460).unwrap();
            assert_eq!(lowered[at..at + 4], [2, 4, 0x03, 0xc0]);
            assert_eq!(lowered[..at], options[..at]);
            assert_eq!(lowered[at + 4..], options[at + 4..]);
        }
    }

    #[test]
    fn a_wrong_checksum_stays_wrong() {
        let mut right = packet(false, true, false, &MSS_1460, &[]);
        let mut wrong = right.clone();
        wrong[36] ^= 0x10;
        assert!(clamp(&mut right, 1400) && clamp(&mut wrong, 1400));
        let sum = |bytes: &[u8]| u16::from_be_bytes([bytes[36], bytes[37]]);
        assert_ne!(sum(&right), sum(&wrong));
    }

    #[test]
    fn left_alone() {
        let mut cases = vec![
            ("not a SYN", packet(false, false, true, &MSS_1460, &[])),
            ("no option", packet(false, true, false, &[], &[])),
            ("small enough", packet(false, true, false, &[2, 4, 0x05, 0x00], &[])),
            ("end of options first", packet(false, true, false, &[0, 0, 0, 0, 2, 4, 0x05, 0xb4], &[])),
            ("broken option before it", packet(false, true, false, &[8, 0, 2, 4, 0x05, 0xb4, 0, 0], &[])),
            ("empty", vec![]),
            ("neither version", vec![0x50; 60]),
        ];
        let mut later = packet(false, true, false, &MSS_1460, &[]);
        later[7] = 1;
        cases.push(("a later fragment", later));
        let mut udp = packet(false, true, false, &MSS_1460, &[]);
        udp[9] = 17;
        cases.push(("UDP", udp));
        let mut extended = packet(true, true, false, &MSS_1460, &[]);
        extended[6] = 60;
        cases.push(("an extension header", extended));
        let mut cut = packet(true, true, false, &MSS_1460, &[]);
        cut.truncate(62);
        cases.push(("cut short", cut));
        for (why, bytes) in cases {
            let mut after = bytes.clone();
            assert!(!clamp(&mut after, 1400), "{why}");
            assert_eq!(after, bytes, "{why}");
        }
        let mut bytes = packet(false, true, false, &MSS_1460, &[]);
        assert!(!clamp(&mut bytes, 40) && !clamp(&mut bytes, 0), "an MTU below the headers");
    }

    proptest! {
        #[test]
        fn nothing_but_the_value_changes(
            v6 in any::<bool>(),
            before in 0usize..5,
            mss in any::<u16>(),
            mtu in any::<u16>(),
            payload in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut options = vec![1; before];
            options.extend([2, 4, (mss >> 8) as u8, mss as u8]);
            options.resize(options.len().next_multiple_of(4), 0);
            let mut bytes = packet(v6, true, false, &options, &payload);
            let original = bytes.clone();
            let limit = mtu.saturating_sub(if v6 { 60 } else { 40 });
            let clamped = clamp(&mut bytes, mtu);
            prop_assert_eq!(clamped, limit > 0 && limit < mss);
            if clamped {
                options[before + 2..before + 4].copy_from_slice(&limit.to_be_bytes());
            } else {
                prop_assert_eq!(&bytes, &original);
            }
            prop_assert_eq!(judged(&bytes), options);
        }

        #[test]
        fn noise_is_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..100), v6 in any::<bool>()) {
            if bytes.len() > 40 {
                let len = bytes.len() as u16;
                bytes[0] = if v6 { 0x60 } else { 0x45 };
                bytes[if v6 { 6 } else { 9 }] = 6;
                let field = if v6 { 4 } else { 2 };
                bytes[field..field + 2].copy_from_slice(&(if v6 { len - 40 } else { len }).to_be_bytes());
            }
            clamp(&mut bytes, 100);
        }
    }
}
