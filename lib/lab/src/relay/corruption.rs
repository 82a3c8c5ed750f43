//! A bit turned over in a packet.
//!
//! A link's own checksum (FCS) catches what the link does to a frame; what arrives changed was changed inside of a
//! router or an interface that then made a new FCS over it (J. Stone and C. Partridge, "When the CRC and TCP checksum
//! disagree", SIGCOMM 2000). So a bit of an IP packet is turned over, never one of the Ethernet header, and no frame is
//! touched that routers do not forward (ARP).
//!
//! One bit is always found by a checksum that covers it. Who does, from the outside in:
//! - outer IPv4 header: its header checksum, at the gateway or its kernel. An outer IPv6 header has none.
//! - outer UDP and LISP header: with an outer UDP checksum of 0, which LISP uses over IPv4 (RFC 9300 section 5.3), none
//!   but their own sense: another port is not LISP, another instance-ID is not served here. Groups whose
//!   instance-IDs differ in one bit would not be told apart; the lab's (100, 200) differ in four.
//! - inner packet: its own header, UDP and TCP checksums, at the host; at the gateway where it looks.
//! - control messages: their UDP checksum, in the kernel.

const ETHERNET: usize = 14;

/// Turns one bit of an Ethernet frame's IP packet over, which one `chance` decides. False, and nothing done, when there
/// is no IP packet in it.
pub fn strike(frame: &mut [u8], chance: u64) -> bool {
    let Some((ethernet, packet)) = frame.split_at_mut_checked(ETHERNET) else { return false };
    if !matches!(ethernet[12..14], [0x08, 0x00] | [0x86, 0xdd]) {
        return false;
    }
    let length = total_length(packet).min(packet.len());
    if length == 0 {
        return false;
    }
    let bit = usize::try_from(chance % (length as u64 * 8)).unwrap_or(0);
    packet[bit / 8] ^= 1 << (bit % 8);
    true
}

/// Bytes of the packet by its own header: a change of the padding behind a short one is no change.
fn total_length(packet: &[u8]) -> usize {
    let be16 = |at: usize| packet.get(at..at + 2).map_or(0, |b| usize::from(b[0]) << 8 | usize::from(b[1]));
    match packet.first().map(|first| first >> 4) {
        Some(4) => be16(2),
        Some(6) => 40 + be16(4),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    #[test]
    fn one_bit_of_the_packet_and_of_nothing_else() {
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 1, 1, 1], [10, 1, 1, 2], 64);
        builder.udp(1, 2).write(&mut frame, &[7; 10]).unwrap();
        let length = frame.len();
        frame.resize(60, 0);
        for chance in 0..2000 {
            let mut struck = frame.clone();
            assert!(strike(&mut struck, chance));
            let changed: u32 = frame.iter().zip(&struck).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert_eq!(changed, 1);
            assert_eq!((&frame[..14], &frame[length..]), (&struck[..14], &struck[length..]));
        }
    }

    #[test]
    fn what_is_no_ip_packet_is_left_alone() {
        for mut frame in [vec![], vec![0; 13], vec![0; 60], {
            let mut arp = vec![0; 42];
            arp[12..14].copy_from_slice(&[0x08, 0x06]);
            arp
        }] {
            let before = frame.clone();
            assert!(!strike(&mut frame, 5));
            assert_eq!(frame, before);
        }
    }
}
