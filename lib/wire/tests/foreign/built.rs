//! Frames that etherparse builds, read by us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::*;
use sterna_wire::ethernet::EtherType;
use sterna_wire::{
    Mac, Protocol, arp, ethernet, icmpv4, icmpv6, ipv4, ipv6, ipv6_ext, ndisc, tcp, udp, vlan,
};

const SOURCE_MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const TARGET_MAC: [u8; 6] = [2, 0x53, 0x54, 0, 0, 0x64];
const A4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 7);
const B4: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 9);
const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x64, 0, 0xa, 0, 0, 0, 7);
const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x65, 0, 0, 0, 0, 0, 9);
const PAYLOAD: [u8; 7] = [1, 2, 3, 4, 5, 6, 7];

fn v4() -> PacketBuilderStep<IpHeaders> {
    PacketBuilder::ipv4(A4.octets(), B4.octets(), 63)
}

fn v6() -> PacketBuilderStep<IpHeaders> {
    PacketBuilder::ipv6(A6.octets(), B6.octets(), 62)
}

/// Header and payload of an IPv4 packet, both judged good.
fn read_v4(bytes: &[u8]) -> (ipv4::Repr, &[u8]) {
    let packet = ipv4::Packet::new_checked(bytes).unwrap();
    (ipv4::Repr::parse(&packet).unwrap(), packet.payload())
}

fn read_v6(bytes: &[u8]) -> (ipv6::Repr, &[u8]) {
    let packet = ipv6::Packet::new_checked(bytes).unwrap();
    (ipv6::Repr::parse(&packet).unwrap(), packet.payload())
}

#[test]
fn a_tagged_frame() {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(SOURCE_MAC, TARGET_MAC)
        .single_vlan(VlanId::try_new(10).unwrap())
        .ipv4(A4.octets(), B4.octets(), 63)
        .udp(40000, 4341)
        .write_to_vec(&mut frame, &PAYLOAD)
        .unwrap();
    let outer = ethernet::Packet::new_checked(&frame[..]).unwrap();
    let header = ethernet::Repr::parse(&outer).unwrap();
    assert_eq!((header.source, header.destination), (Mac(SOURCE_MAC), Mac(TARGET_MAC)));
    assert_eq!(header.ethertype, EtherType::VLAN);
    let tag = vlan::Packet::new_checked(outer.payload()).unwrap();
    let repr = vlan::Repr::parse(&tag).unwrap();
    assert_eq!((repr.vlan, repr.ethertype), (sterna_wire::VlanId::new(10), EtherType::IPV4));
    let (ip, payload) = read_v4(tag.payload());
    assert_eq!((ip.source, ip.destination, ip.ttl, ip.protocol), (A4, B4, 63, Protocol::UDP));
    let datagram = udp::Packet::new_checked(payload).unwrap();
    let repr = udp::Repr::parse(&datagram, A4.into(), B4.into()).unwrap();
    assert_eq!((repr.source_port, repr.destination_port, repr.payload_len), (40000, 4341, 7));
    assert_ne!(datagram.checksum(), 0, "there was a checksum to verify");
    assert_eq!(datagram.payload(), PAYLOAD);
}

#[test]
fn ipv4_with_options_and_fragments() {
    let mut header = Ipv4Header::new(7, 9, ip_number::UDP, A4.octets(), B4.octets()).unwrap();
    header.options = [0x94, 4, 0, 0, 1, 1, 1, 0][..].try_into().unwrap();
    header.set_payload_len(PAYLOAD.len()).unwrap();
    header.dscp = IpDscp::try_new(46).unwrap();
    header.ecn = IpEcn::Ect0;
    header.identification = 0x1234;
    header.dont_fragment = false;
    header.more_fragments = true;
    header.fragment_offset = IpFragOffset::try_new(185).unwrap();
    header.header_checksum = header.calc_header_checksum();
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(PAYLOAD);
    let (ip, payload) = read_v4(&bytes);
    assert_eq!(payload, PAYLOAD);
    assert_eq!((ip.dscp.get(), ip.ecn, ip.ident), (46, sterna_wire::Ecn::ECT0, 0x1234));
    assert_eq!((ip.dont_fragment, ip.more_fragments, ip.fragment_offset), (false, true, 1480));
}

#[test]
fn udp_over_ipv6() {
    let mut bytes = Vec::new();
    v6().udp(40000, 4341).write_to_vec(&mut bytes, &PAYLOAD).unwrap();
    let (ip, payload) = read_v6(&bytes);
    assert_eq!((ip.source, ip.destination, ip.hop_limit), (A6, B6, 62));
    let datagram = udp::Packet::new_checked(payload).unwrap();
    assert!(udp::Repr::parse(&datagram, A6.into(), B6.into()).is_ok());
    assert_ne!(datagram.checksum(), 0);
}

#[test]
fn extension_headers() {
    let raw = |len: usize| Ipv6RawExtHeader::new_raw(IpNumber(0), &vec![0; len]).unwrap();
    let extensions = Ipv6Extensions {
        hop_by_hop_options: Some(raw(6)),
        destination_options: Some(raw(14)),
        routing: Some(Ipv6RoutingExtensions { routing: raw(22), final_destination_options: None }),
        fragment: Some(Ipv6FragmentHeader::new(
            IpNumber(0),
            IpFragOffset::try_new(0).unwrap(),
            true,
            0xdead_beef,
        )),
        auth: Some(IpAuthHeader::new(IpNumber(0), 1, 2, &[0; 12]).unwrap()),
    };
    let header =
        Ipv6Header { source: A6.octets(), destination: B6.octets(), hop_limit: 9, ..Default::default() };
    let mut bytes = Vec::new();
    PacketBuilder::ip(IpHeaders::Ipv6(header, extensions))
        .udp(1, 2)
        .write_to_vec(&mut bytes, &PAYLOAD)
        .unwrap();
    let (ip, payload) = read_v6(&bytes);
    let upper = ipv6_ext::walk(ip.next_header, payload).unwrap();
    assert_eq!((upper.proto, upper.offset), (Protocol::UDP, 8 + 16 + 24 + 8 + 24));
    let fragment = ipv6_ext::Fragment { offset: 0, more: true, id: 0xdead_beef };
    assert_eq!(upper.fragment, Some(fragment));
    let datagram = udp::Packet::new_checked(&payload[upper.offset..]).unwrap();
    assert_eq!((datagram.source_port(), datagram.payload()), (1, &PAYLOAD[..]));
}

#[test]
fn tcp_syn_and_its_mss() {
    for v6 in [false, true] {
        let mut bytes = Vec::new();
        let (builder, from, to): (_, IpAddr, IpAddr) =
            if v6 { (self::v6(), A6.into(), B6.into()) } else { (v4(), A4.into(), B4.into()) };
        let options = [
            TcpOptionElement::WindowScale(7),
            TcpOptionElement::MaximumSegmentSize(1460),
            TcpOptionElement::SelectiveAcknowledgementPermitted,
        ];
        builder
            .tcp(40000, 443, 0x0102_0304, 64240)
            .syn()
            .options(&options)
            .unwrap()
            .write_to_vec(&mut bytes, &[])
            .unwrap();
        let payload = if v6 { read_v6(&bytes).1 } else { read_v4(&bytes).1 };
        let segment = tcp::Packet::new_checked(payload).unwrap();
        let repr = tcp::Repr::parse(&segment, from, to).unwrap();
        assert_eq!((repr.mss, repr.flags, repr.sequence), (Some(1460), tcp::Flags::SYN, 0x0102_0304));
        assert_eq!(segment.mss_option_offset(), Some(20 + 3 + 2), "behind three bytes: odd");
    }
}

#[test]
fn icmpv4_messages() {
    let read = |kind: Icmpv4Type| {
        let mut bytes = Vec::new();
        v4().icmpv4(kind).write_to_vec(&mut bytes, &PAYLOAD).unwrap();
        read_v4(&bytes).1.to_vec()
    };
    let echo = read(Icmpv4Type::EchoRequest(IcmpEchoHeader { id: 3, seq: 4 }));
    let expected = icmpv4::Repr::EchoRequest { ident: 3, sequence: 4, data: &PAYLOAD };
    assert_eq!(icmpv4::Repr::parse(&icmpv4::Packet::new_unchecked(&echo[..])), Ok(expected));
    let too_big = etherparse::icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 };
    let too_big = read(Icmpv4Type::DestinationUnreachable(too_big));
    let expected = icmpv4::Repr::FragmentationNeeded { next_hop_mtu: 1400, original: &PAYLOAD };
    assert_eq!(icmpv4::Repr::parse(&icmpv4::Packet::new_unchecked(&too_big[..])), Ok(expected));
    let late = read(Icmpv4Type::TimeExceeded(etherparse::icmpv4::TimeExceededCode::TtlExceededInTransit));
    let expected = icmpv4::Repr::TimeExceeded { code: 0, original: &PAYLOAD };
    assert_eq!(icmpv4::Repr::parse(&icmpv4::Packet::new_unchecked(&late[..])), Ok(expected));
}

#[test]
fn icmpv6_messages() {
    let read = |kind: Icmpv6Type| {
        let mut bytes = Vec::new();
        v6().icmpv6(kind).write_to_vec(&mut bytes, &PAYLOAD).unwrap();
        read_v6(&bytes).1.to_vec()
    };
    let echo = read(Icmpv6Type::EchoReply(IcmpEchoHeader { id: 3, seq: 4 }));
    let expected = icmpv6::Repr::EchoReply { ident: 3, sequence: 4, data: &PAYLOAD };
    let packet = icmpv6::Packet::new_unchecked(&echo[..]);
    assert_eq!(icmpv6::Repr::parse(&packet, A6, B6), Ok(expected));
    let too_big = read(Icmpv6Type::PacketTooBig { mtu: 1400 });
    let expected = icmpv6::Repr::PacketTooBig { mtu: 1400, original: &PAYLOAD };
    let packet = icmpv6::Packet::new_unchecked(&too_big[..]);
    assert_eq!(icmpv6::Repr::parse(&packet, A6, B6), Ok(expected));
}

#[test]
fn a_neighbor_solicitation() {
    let mut body = B6.octets().to_vec();
    body.extend([1, 1]);
    body.extend(SOURCE_MAC);
    let mut bytes = Vec::new();
    PacketBuilder::ipv6(A6.octets(), ndisc::solicited_node(B6).octets(), 255)
        .icmpv6(Icmpv6Type::NeighborSolicitation)
        .write_to_vec(&mut bytes, &body)
        .unwrap();
    let (ip, payload) = read_v6(&bytes);
    let packet = ndisc::Packet::new_checked(payload).unwrap();
    let expected = ndisc::Repr::solicit(B6, Mac(SOURCE_MAC));
    assert_eq!(ndisc::Repr::parse(&packet, &ip), Ok(expected));
}

#[test]
fn an_arp_request() {
    let packet = ArpEthIpv4Packet {
        operation: ArpOperation::REQUEST,
        sender_mac: SOURCE_MAC,
        sender_ipv4: A4.octets(),
        target_mac: [0; 6],
        target_ipv4: B4.octets(),
    };
    let bytes = packet.to_bytes();
    let parsed = arp::Repr::parse(&arp::Packet::new_unchecked(&bytes[..]));
    assert_eq!(parsed, Ok(arp::Repr::request(Mac(SOURCE_MAC), A4, B4)));
}
