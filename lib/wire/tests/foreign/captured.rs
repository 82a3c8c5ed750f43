//! Packets of other makers' LISP routers, caught on a wire between real processes.

use std::net::Ipv4Addr;

use sterna_wire::ethernet::{self, EtherType};
use sterna_wire::lisp::DATA_PORT;
use sterna_wire::lisp::data::{self, Instance, NextProtocol};
use sterna_wire::{Family, Protocol, icmpv4, ipv4, udp};

const SITE_A: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
const SITE_B: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 2);
const XTR_A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const XTR_B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 12);

/// Frame 8 of a capture between two Open Overlay Router 1.3 xTRs: a ping from 192.168.1.2 to 192.168.2.2,
/// encapsulated by the xTR 10.0.0.11. UDP source port 4341, UDP checksum present, LISP header all zero.
const OOR_REQUEST: &str = "\
    5e65e6666543 227af262a12e 0800 \
    4500007800044000 3f11275b 0a00000b 0a00000c 10f510f5 0064c925 0000000000000000 \
    45000054ea0740003f01cd4cc0a80102c0a80202 0800fc394a3000023c5d016b00000000b3f80100 00000000\
    101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637";

/// Frame 13 of the same capture: the answer, encapsulated by the other xTR.
const OOR_REPLY: &str = "\
    227af262a12e 5e65e6666543 0800 \
    4500007800054000 3f11275a 0a00000c 0a00000b 10f510f5 0064c925 0000000000000000 \
    450000544a0800003f01ad4cc0a80202c0a80102 00009d664a3000033c5d016b0000000015cb0600 00000000\
    101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637";

/// Frame 11 of a capture with a VPP 26.10-rc0 xTR: a ping's answer from 192.168.2.2 to 192.168.1.2,
/// encapsulated by the xTR 10.0.0.12. No UDP checksum, TTL 254, LISP flags 0x04 (P) with next protocol 1.
const VPP_REPLY: &str = "\
    f6acc9a00fca 5a8094066368 0800 \
    4500007800000000 fe11a85e 0a00000c 0a00000b 10f510f5 00640000 0400000100000000 \
    4500005442380000 3f01b51c c0a80202c0a80102 00002e734aab0004b05d016b000000000e420800 00000000\
    101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637";

/// Frame 17 of the same capture: OOR's answer to VPP's host, towards VPP.
const OOR_TO_VPP: &str = "\
    5a8094066368 f6acc9a00fca 0800 \
    45000078000a4000 3f112755 0a00000b 0a00000c 10f510f5 0064c925 0000000000000000 \
    450000543cfd00003f01ba57c0a80102c0a80202 0000c9fc4aad0001b25d016b0000000078b90000 00000000\
    101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// What a captured frame says, layer by layer, every checksum verified.
struct Captured {
    outer: ipv4::Repr,
    udp: udp::Repr,
    udp_checksum: u16,
    lisp: data::Repr,
    family: Family,
    inner: ipv4::Repr,
    icmp: Vec<u8>,
}

fn read(hex: &str) -> Captured {
    let frame = bytes(hex);
    assert_eq!(frame.len(), 134, "as long as on the wire");
    let link = ethernet::Packet::new_checked(&frame[..]).unwrap();
    assert_eq!(ethernet::Repr::parse(&link).unwrap().ethertype, EtherType::IPV4);
    let outer = ipv4::Packet::new_checked(link.payload()).unwrap();
    let (source, destination) = (outer.source().into(), outer.destination().into());
    let datagram = udp::Packet::new_checked(outer.payload()).unwrap();
    let lisp = data::Packet::new_checked(datagram.payload()).unwrap();
    let inner = ipv4::Packet::new_checked(lisp.payload()).unwrap();
    Captured {
        outer: ipv4::Repr::parse(&outer).unwrap(),
        udp: udp::Repr::parse(&datagram, source, destination).unwrap(),
        udp_checksum: datagram.checksum(),
        lisp: data::Repr::parse(&lisp).unwrap(),
        family: lisp.inner_family().unwrap(),
        inner: ipv4::Repr::parse(&inner).unwrap(),
        icmp: inner.payload().to_vec(),
    }
}

impl Captured {
    fn icmp(&self) -> icmpv4::Repr<'_> {
        icmpv4::Repr::parse(&icmpv4::Packet::new_unchecked(&self.icmp[..])).unwrap()
    }
}

#[test]
fn oor_request() {
    let seen = read(OOR_REQUEST);
    assert_eq!((seen.outer.source, seen.outer.destination, seen.outer.ttl), (XTR_A, XTR_B, 63));
    assert_eq!((seen.outer.protocol, seen.outer.dont_fragment), (Protocol::UDP, true));
    assert_eq!((seen.udp.source_port, seen.udp.destination_port), (DATA_PORT, DATA_PORT));
    assert_eq!(seen.udp_checksum, 0xc925);
    assert_eq!((seen.lisp, seen.family), (data::Repr::default(), Family::V4));
    assert_eq!((seen.inner.source, seen.inner.destination, seen.inner.ttl), (SITE_A, SITE_B, 63));
    let icmpv4::Repr::EchoRequest { ident, sequence, data } = seen.icmp() else {
        panic!("not an echo request");
    };
    assert_eq!((ident, sequence, data.len()), (0x4a30, 2, 56));
}

#[test]
fn oor_reply() {
    let seen = read(OOR_REPLY);
    assert_eq!((seen.outer.source, seen.outer.destination), (XTR_B, XTR_A));
    assert_eq!((seen.inner.source, seen.inner.destination), (SITE_B, SITE_A));
    assert!(matches!(seen.icmp(), icmpv4::Repr::EchoReply { ident: 0x4a30, sequence: 3, .. }));
}

#[test]
fn vpp_reply_with_a_next_protocol() {
    let seen = read(VPP_REPLY);
    assert_eq!((seen.outer.source, seen.outer.ttl, seen.outer.dont_fragment), (XTR_B, 254, false));
    assert_eq!(seen.udp_checksum, 0, "VPP computes none");
    let expected = data::Repr { next_protocol: Some(NextProtocol::IPV4), ..data::Repr::default() };
    assert_eq!((seen.lisp, seen.lisp.instance, seen.family), (expected, Instance::Absent, Family::V4));
    assert_eq!((seen.inner.source, seen.inner.destination), (SITE_B, SITE_A));
    assert!(matches!(seen.icmp(), icmpv4::Repr::EchoReply { ident: 0x4aab, sequence: 4, .. }));
}

#[test]
fn oor_towards_vpp() {
    let seen = read(OOR_TO_VPP);
    assert_eq!((seen.lisp, seen.inner.source), (data::Repr::default(), SITE_A));
    assert!(matches!(seen.icmp(), icmpv4::Repr::EchoReply { ident: 0x4aad, sequence: 1, .. }));
}

#[test]
fn our_emitters_write_what_they_wrote() {
    for hex in [OOR_REQUEST, OOR_REPLY, VPP_REPLY, OOR_TO_VPP] {
        let frame = bytes(hex);
        let seen = read(hex);
        let mut again = frame.clone();
        again[14..50].fill(0xa5);
        seen.lisp.emit(&mut data::Packet::new_unchecked(&mut again[42..50]));
        let mut datagram = udp::Packet::new_unchecked(&mut again[34..]);
        seen.udp.emit(&mut datagram);
        if seen.udp_checksum != 0 {
            datagram.fill_checksum(seen.outer.source.into(), seen.outer.destination.into());
        }
        seen.outer.emit(&mut ipv4::Packet::new_unchecked(&mut again[14..34]));
        assert_eq!(again, frame);
    }
}

#[test]
fn any_flipped_bit_shows() {
    // The OOR packet is covered by checksums from its IPv4 header on.
    let frame = bytes(OOR_REQUEST);
    for at in 14..frame.len() {
        let mut damaged = frame[14..].to_vec();
        damaged[at - 14] ^= 0x10;
        let accepted = ipv4::Packet::new_checked(&damaged[..]).is_ok_and(|outer| {
            let ends = (outer.source().into(), outer.destination().into());
            ipv4::Repr::parse(&outer).is_ok()
                && udp::Repr::parse(&udp::Packet::new_unchecked(outer.payload()), ends.0, ends.1).is_ok()
        });
        assert!(!accepted, "byte {at}");
    }
}
