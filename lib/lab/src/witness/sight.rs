//! One captured frame of the underlay: what it is, by its outer headers alone.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::traffic::payload::Payload;

/// Bytes of the cooked header that tcpdump writes before each frame (LINKTYPE_LINUX_SLL2).
const COOKED: usize = 20;
/// LISP's UDP port for data.
const LISP_DATA: u16 = 4341;
const LISP_HEADER: usize = 8;
const UDP_HEADER: usize = 8;

/// What a frame of the underlay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A LISP data packet.
    Lisp {
        /// Outer destination.
        to: IpAddr,
        /// Instance-ID; `None` when the header carries none.
        iid: Option<u32>,
        /// The group that the lab's payload says it is from, when there is such a payload.
        group: Option<u32>,
    },
    /// ARP, neighbour discovery or multicast listener reports between kernels on a link.
    Neighbour,
    /// Anything else: it does not belong in the underlay.
    Clear,
}

/// Says what a frame is, given as tcpdump's cooked header and the packet.
pub fn look(frame: &[u8]) -> Sight {
    let Some((cooked, packet)) = frame.split_at_checked(COOKED) else {
        return Sight::Clear;
    };
    match u16::from_be_bytes([cooked[0], cooked[1]]) {
        0x0806 => Sight::Neighbour,
        0x0800 | 0x86dd => look_at_ip(packet).unwrap_or(Sight::Clear),
        _ => Sight::Clear,
    }
}

/// Addresses, protocol and payload of an IP packet; no options or extension headers are followed, since
/// neither a kernel's neighbour discovery (but for one hop-by-hop option) nor a gateway sends any here.
fn ip(packet: &[u8]) -> Option<(IpAddr, u8, &[u8])> {
    match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 0xf) * 4;
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            Some((Ipv4Addr::from(to).into(), packet[9], packet.get(header..)?))
        }
        6 => {
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            let to = IpAddr::from(Ipv6Addr::from(to));
            match packet[6] {
                // A router-alert option before a multicast listener report.
                0 => Some((to, *packet.get(40)?, packet.get(48..)?)),
                next => Some((to, next, packet.get(40..)?)),
            }
        }
        _ => None,
    }
}

fn look_at_ip(packet: &[u8]) -> Option<Sight> {
    let (to, protocol, upper) = ip(packet)?;
    match protocol {
        17 if be16(upper, 2)? == LISP_DATA => {
            let lisp = upper.get(UDP_HEADER..UDP_HEADER + LISP_HEADER)?;
            let has_iid = lisp[0] & 0x08 != 0;
            let iid = u32::from_be_bytes([0, lisp[4], lisp[5], lisp[6]]);
            let group = group_of(upper.get(UDP_HEADER + LISP_HEADER..)?);
            Some(Sight::Lisp { to, iid: has_iid.then_some(iid), group })
        }
        // ICMPv6: listener reports, router and neighbour discovery. Never echo or errors.
        58 if matches!(upper.first()?, 130..=137 | 143) => Some(Sight::Neighbour),
        // IGMP, which kernels send for groups they join.
        2 => Some(Sight::Neighbour),
        _ => Some(Sight::Clear),
    }
}

/// The group named in the lab's payload inside an inner ICMP or UDP packet.
fn group_of(inner: &[u8]) -> Option<u32> {
    let (_, protocol, upper) = ip(inner)?;
    matches!(protocol, 1 | 17 | 58).then_some(())?;
    // ICMP echo and UDP headers are both 8 bytes.
    Payload::parse_header(upper.get(8..)?).map(|payload| payload.group)
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Everything seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    /// All frames.
    pub frames: u64,
    /// LISP data packets.
    pub lisp: u64,
    /// Link-local talk of kernels.
    pub neighbour: u64,
    /// Frames that are neither.
    pub clear: u64,
    /// LISP packets without an instance-ID, with one that no group has, or with another group's.
    pub wrong_iid: u64,
    /// LISP packets by outer destination.
    pub to: BTreeMap<IpAddr, u64>,
    /// LISP packets by instance-ID.
    pub iids: BTreeMap<u32, u64>,
}

impl Sightings {
    /// Counts one frame; `known` are the instance-IDs that may appear.
    pub fn count(&mut self, sight: Sight, known: &[u32]) {
        self.frames += 1;
        match sight {
            Sight::Neighbour => self.neighbour += 1,
            Sight::Clear => self.clear += 1,
            Sight::Lisp { to, iid, group } => {
                self.lisp += 1;
                *self.to.entry(to).or_default() += 1;
                if let Some(iid) = iid {
                    *self.iids.entry(iid).or_default() += 1;
                }
                let right =
                    iid.is_some_and(|iid| known.contains(&iid) && group.is_none_or(|group| group == iid));
                if !right {
                    self.wrong_iid += 1;
                }
            }
        }
    }

    /// LISP packets to one outer destination.
    pub fn lisp_to(&self, address: IpAddr) -> u64 {
        self.to.get(&address).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn cooked(ether_type: u16, packet: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; COOKED];
        frame[..2].copy_from_slice(&ether_type.to_be_bytes());
        frame.extend_from_slice(packet);
        frame
    }

    fn lisp(iid: u32, group: u32, port: u16) -> Vec<u8> {
        let mut payload = [0; 40];
        Payload { group, sequence: 1, due_ns: 0, answerer: 0 }.emit(&mut payload);
        let mut inner = Vec::new();
        PacketBuilder::ipv4([10, 1, 14, 1], [10, 1, 24, 1], 64)
            .udp(7, 7)
            .write(&mut inner, &payload)
            .unwrap();
        let [_, high, middle, low] = iid.to_be_bytes();
        let mut body = vec![0x08, 0, 0, 0, high, middle, low, 0];
        body.extend(inner);
        let mut outer = Vec::new();
        let (from, to) = ([0x20; 16], [0x21; 16]);
        PacketBuilder::ipv6(from, to, 64).udp(61000, port).write(&mut outer, &body).unwrap();
        cooked(0x86dd, &outer)
    }

    fn counted(frame: &[u8]) -> Sightings {
        let mut sightings = Sightings::default();
        sightings.count(look(frame), &[100, 200]);
        sightings
    }

    #[test]
    fn a_lisp_packet_is_counted_by_iid_and_destination() {
        let seen = counted(&lisp(100, 100, 4341));
        assert_eq!((seen.lisp, seen.clear, seen.wrong_iid), (1, 0, 0));
        assert_eq!(seen.lisp_to(Ipv6Addr::from([0x21; 16]).into()), 1);
        assert_eq!(seen.iids.get(&100), Some(&1));
    }

    #[test]
    fn a_crossed_or_unknown_or_absent_iid_is_wrong() {
        assert_eq!(counted(&lisp(200, 100, 4341)).wrong_iid, 1);
        assert_eq!(counted(&lisp(300, 300, 4341)).wrong_iid, 1);
        let mut without = lisp(100, 100, 4341);
        without[COOKED + 48] = 0;
        assert_eq!(counted(&without).wrong_iid, 1);
    }

    #[test]
    fn anything_else_is_clear_but_for_neighbour_talk() {
        assert_eq!(counted(&lisp(100, 100, 4342)).clear, 1);
        assert_eq!(counted(&cooked(0x0806, &[0; 28])).neighbour, 1);
        assert_eq!(counted(&cooked(0x8100, &[0; 28])).clear, 1);
        assert_eq!(counted(&[0; 3]).clear, 1);
        let mut echo = Vec::new();
        PacketBuilder::ipv6([1; 16], [2; 16], 64).icmpv6_echo_request(1, 1).write(&mut echo, &[]).unwrap();
        assert_eq!(counted(&cooked(0x86dd, &echo)).clear, 1);
        echo[40] = 135;
        assert_eq!(counted(&cooked(0x86dd, &echo)).neighbour, 1);
    }

    #[test]
    fn no_cut_of_a_frame_panics() {
        let frame = lisp(100, 100, 4341);
        for length in 0..frame.len() {
            look(&frame[..length]);
        }
    }
}
