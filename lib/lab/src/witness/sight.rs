//! One captured frame of the underlay: what it is, by its outer headers alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::traffic::payload::Payload;
use crate::underlay;

/// Bytes of the cooked header that tcpdump writes before each frame (LINKTYPE_LINUX_SLL2).
pub(super) const COOKED: usize = 20;
/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// LISP's UDP port for data.
const LISP_DATA: u16 = 4341;
/// LISP's UDP port for control messages.
const LISP_CONTROL: u16 = 4342;
const LISP_HEADER: usize = 8;
const UDP_HEADER: usize = 8;
/// Bytes of an encapsulated control message's own header.
const ECM_HEADER: usize = 4;

/// What a frame of the underlay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A LISP data packet.
    Lisp(Data),
    /// A LISP control message.
    Control {
        /// Outer source.
        from: IpAddr,
        /// Outer destination.
        to: IpAddr,
        /// Which one.
        kind: Control,
    },
    /// ARP, neighbour discovery or multicast listener reports between kernels on a link.
    Neighbour,
    /// An ICMP error between nodes of the underlay about a packet that one sent to the other, other than to the control
    /// port: a kernel complains of what a link damaged, so there are none where no link does that.
    Complaint,
    /// Anything else: it does not belong in the underlay.
    Clear,
}

/// What can be said of a LISP data packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// Outer source.
    pub from: IpAddr,
    /// Outer destination.
    pub to: IpAddr,
    /// Instance-ID; `None` when the header carries none.
    pub iid: Option<u32>,
    /// The lab's own payload inside, when there is one.
    pub payload: Option<Payload>,
    /// Source and destination port of the inner UDP header, or ICMP's type, code and checksum in their place.
    pub ports: Option<(u16, u16)>,
}

/// The kinds of control messages, told by type and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Control {
    /// A Map-Request that asks, in an ECM.
    Request,
    /// A Map-Request that probes a locator.
    Probe,
    /// A Map-Request that solicits one.
    Smr,
    /// A Map-Reply.
    Reply,
    /// A Map-Reply to a probe.
    ProbeReply,
    /// A Map-Register.
    Register,
    /// A Map-Notify.
    Notify,
    /// A Map-Notify-Ack.
    NotifyAck,
    /// An ICMP error about one: nobody listens on the control port.
    Refused,
    /// Anything else on the control port.
    Other,
}

/// Index of the interface that a frame came in by, as tcpdump's cooked header says.
pub fn ingress(frame: &[u8]) -> u32 {
    frame.get(4..8).and_then(|index| index.try_into().ok()).map_or(0, u32::from_be_bytes)
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

/// Says what an Ethernet frame is.
pub fn look_at_frame(frame: &[u8]) -> Sight {
    let Some((ethernet, packet)) = frame.split_at_checked(ETHERNET) else {
        return Sight::Clear;
    };
    match u16::from_be_bytes([ethernet[12], ethernet[13]]) {
        0x0806 => Sight::Neighbour,
        0x0800 | 0x86dd => look_at_ip(packet).unwrap_or(Sight::Clear),
        _ => Sight::Clear,
    }
}

/// An IP packet without its header.
struct Upper<'a> {
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    bytes: &'a [u8],
}

/// Takes an IP header off; no options or extension headers are followed, since neither a kernel's neighbour
/// discovery (but for one hop-by-hop option) nor a gateway sends any here.
fn ip(packet: &[u8]) -> Option<Upper<'_>> {
    match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 0xf) * 4;
            let from: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            Some(Upper {
                from: Ipv4Addr::from(from).into(),
                to: Ipv4Addr::from(to).into(),
                protocol: packet[9],
                bytes: packet.get(header..)?,
            })
        }
        6 => {
            let address = |at: usize| {
                let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
                Some(IpAddr::from(Ipv6Addr::from(bytes)))
            };
            let (from, to) = (address(8)?, address(24)?);
            match packet[6] {
                // A router-alert option before a multicast listener report.
                0 => Some(Upper { from, to, protocol: *packet.get(40)?, bytes: packet.get(48..)? }),
                next => Some(Upper { from, to, protocol: next, bytes: packet.get(40..)? }),
            }
        }
        _ => None,
    }
}

fn look_at_ip(packet: &[u8]) -> Option<Sight> {
    let Upper { from, to, protocol, bytes } = ip(packet)?;
    match protocol {
        17 if be16(bytes, 2)? == LISP_DATA => {
            let lisp = bytes.get(UDP_HEADER..UDP_HEADER + LISP_HEADER)?;
            let has_iid = lisp[0] & 0x08 != 0;
            let iid = u32::from_be_bytes([0, lisp[4], lisp[5], lisp[6]]);
            let inner = ip(bytes.get(UDP_HEADER + LISP_HEADER..)?);
            let payload = inner.as_ref().and_then(payload_of);
            let ports = inner.and_then(|inner| Some((be16(inner.bytes, 0)?, be16(inner.bytes, 2)?)));
            Some(Sight::Lisp(Data { from, to, iid: has_iid.then_some(iid), payload, ports }))
        }
        17 if be16(bytes, 2)? == LISP_CONTROL || be16(bytes, 0)? == LISP_CONTROL => {
            Some(Sight::Control { from, to, kind: control(bytes.get(UDP_HEADER..)?) })
        }
        1 | 58 if is_refusal(protocol, bytes) => Some(Sight::Control { from, to, kind: Control::Refused }),
        1 | 58 if is_complaint(from, to, protocol, bytes) => Some(Sight::Complaint),
        // ICMPv6: listener reports, router and neighbour discovery. Never echo or errors.
        58 if matches!(bytes.first()?, 130..=137 | 143) => Some(Sight::Neighbour),
        // IGMP, which kernels send for groups they join.
        2 => Some(Sight::Neighbour),
        _ => Some(Sight::Clear),
    }
}

/// Is it "port unreachable" about a LISP control message? A kernel says so when a control plane is dead.
fn is_refusal(protocol: u8, icmp: &[u8]) -> bool {
    let unreachable = match protocol {
        1 => icmp.starts_with(&[3, 3]),
        _ => icmp.starts_with(&[1, 4]),
    };
    let quoted = icmp.get(8..).and_then(ip);
    unreachable && quoted.is_some_and(|q| q.protocol == 17 && be16(q.bytes, 2) == Some(LISP_CONTROL))
}

/// Is it an error about a packet of the underlay from its receiver to its sender? Not one between agents, which would
/// be in the clear.
fn is_complaint(from: IpAddr, to: IpAddr, protocol: u8, icmp: &[u8]) -> bool {
    let error = match protocol {
        1 => matches!(icmp.first(), Some(3 | 12)),
        _ => matches!(icmp.first(), Some(1 | 4)),
    };
    let quoted = icmp.get(8..).and_then(ip);
    let ends = quoted.is_some_and(|quoted| (quoted.from, quoted.to) == (to, from));
    error && ends && underlay::contains(from) && underlay::contains(to)
}

/// The kind of a control message, by its first bytes.
pub(super) fn control(message: &[u8]) -> Control {
    let Some(&first) = message.first() else {
        return Control::Other;
    };
    // Flags of a Map-Request: probe and SMR; of a Map-Reply: probe.
    match (first >> 4, first & 0x02 != 0, first & 0x01 != 0) {
        (1, true, _) => Control::Probe,
        (1, _, true) => Control::Smr,
        (1, false, false) => Control::Request,
        (2, ..) if first & 0x08 != 0 => Control::ProbeReply,
        (2, ..) => Control::Reply,
        (3, ..) => Control::Register,
        (4, ..) => Control::Notify,
        (5, ..) => Control::NotifyAck,
        (8, ..) => inside(message),
        _ => Control::Other,
    }
}

/// What an ECM carries.
fn inside(ecm: &[u8]) -> Control {
    ecm.get(ECM_HEADER..)
        .and_then(ip)
        .and_then(|inner| inner.bytes.get(UDP_HEADER..))
        .map_or(Control::Other, control)
}

/// The lab's payload inside an inner ICMP or UDP packet.
fn payload_of(inner: &Upper<'_>) -> Option<Payload> {
    matches!(inner.protocol, 1 | 17 | 58).then_some(())?;
    // ICMP echo and UDP headers are both 8 bytes.
    Payload::parse_header(inner.bytes.get(8..)?)
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
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

    #[test]
    fn a_lisp_packet_tells_its_iid_ends_and_payload() {
        let Sight::Lisp(data) = look(&lisp(100, 100, 4341)) else { panic!() };
        assert_eq!((data.iid, data.ports), (Some(100), Some((7, 7))));
        assert_eq!(data.from, IpAddr::from(Ipv6Addr::from([0x20; 16])));
        assert_eq!(data.to, IpAddr::from(Ipv6Addr::from([0x21; 16])));
        assert_eq!(data.payload.unwrap().group, 100);
        let mut frame = vec![0; ETHERNET];
        frame[12..].copy_from_slice(&[0x86, 0xdd]);
        frame.extend_from_slice(&lisp(100, 100, 4341)[COOKED..]);
        assert_eq!(look_at_frame(&frame), Sight::Lisp(data));
        let mut without = lisp(100, 100, 4341);
        without[COOKED + 48] = 0;
        assert!(matches!(look(&without), Sight::Lisp(Data { iid: None, .. })));
    }

    #[test]
    fn control_messages_are_told_apart() {
        let kind = |message: &[u8]| control(message);
        assert_eq!(kind(&[0x12, 0, 0, 1]), Control::Probe);
        assert_eq!(kind(&[0x11, 0, 0, 1]), Control::Smr);
        assert_eq!(kind(&[0x28, 0, 0, 1]), Control::ProbeReply);
        assert_eq!(kind(&[0x3e, 0, 1, 1]), Control::Register);
        assert_eq!(kind(&[]), Control::Other);
        let mut ecm = vec![0x80, 0, 0, 0];
        PacketBuilder::ipv4([1; 4], [2; 4], 64).udp(4342, 4342).write(&mut ecm, &[0x10, 0, 0, 1]).unwrap();
        assert_eq!(kind(&ecm), Control::Request);
        let seen = look(&lisp(100, 100, 4342));
        assert!(matches!(seen, Sight::Control { kind: Control::Other, .. }), "{seen:?}");
    }

    #[test]
    fn anything_else_is_clear_but_for_neighbour_talk() {
        assert_eq!(look(&lisp(100, 100, 4343)), Sight::Clear);
        assert_eq!(look(&cooked(0x0806, &[0; 28])), Sight::Neighbour);
        assert_eq!(look(&cooked(0x8100, &[0; 28])), Sight::Clear);
        assert_eq!(look(&[0; 3]), Sight::Clear);
        let mut echo = Vec::new();
        PacketBuilder::ipv6([1; 16], [2; 16], 64).icmpv6_echo_request(1, 1).write(&mut echo, &[]).unwrap();
        assert_eq!(look(&cooked(0x86dd, &echo)), Sight::Clear);
        echo[40] = 135;
        assert_eq!(look(&cooked(0x86dd, &echo)), Sight::Neighbour);
    }

    #[test]
    fn a_port_that_nobody_listens_on_is_control_talk_only_if_it_is_lisps() {
        for (port, expected) in [(LISP_CONTROL, true), (53, false)] {
            let mut quoted = Vec::new();
            PacketBuilder::ipv4([1; 4], [2; 4], 64).udp(4342, port).write(&mut quoted, &[0; 8]).unwrap();
            let mut error = vec![3, 3, 0, 0, 0, 0, 0, 0];
            error.extend(quoted);
            assert_eq!(is_refusal(1, &error), expected);
            error[1] = 1;
            assert!(!is_refusal(1, &error));
        }
    }

    #[test]
    fn a_kernel_may_complain_to_a_kernel_but_no_agent_to_an_agent() {
        let look_at = |from: [u8; 4], to: [u8; 4], kind: u8| {
            let mut icmp = vec![kind, 3, 0, 0, 0, 0, 0, 0];
            PacketBuilder::ipv4(to, from, 64).udp(61000, 4349).write(&mut icmp, &[0; 8]).unwrap();
            let mut packet = Vec::new();
            let ip = etherparse::IpNumber::ICMP;
            PacketBuilder::ipv4(from, to, 64).write(&mut packet, ip, &icmp).unwrap();
            look(&cooked(0x0800, &packet))
        };
        let (gateway, other, agent) = ([192, 0, 2, 1], [198, 51, 100, 1], [10, 1, 14, 1]);
        assert_eq!(look_at(gateway, other, 3), Sight::Complaint);
        assert_eq!(look_at(gateway, other, 8), Sight::Clear);
        assert_eq!(look_at(agent, [10, 1, 24, 1], 3), Sight::Clear);
        assert_eq!(look_at(gateway, agent, 3), Sight::Clear);
    }

    #[test]
    fn no_cut_of_a_frame_panics() {
        for port in [4341, 4342] {
            let frame = lisp(100, 100, port);
            for length in 0..frame.len() {
                look(&frame[..length]);
            }
        }
    }
}
