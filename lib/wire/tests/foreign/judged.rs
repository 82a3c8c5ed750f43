//! Frames that we emit, judged by etherparse: lengths by its slicing, checksums by its own sums.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    Icmpv4Type, Icmpv6Type, LinkSlice, NetSlice, SlicedPacket, TcpOptionElement, TransportSlice,
};
use sterna_wire::ethernet::{self, EtherType};
use sterna_wire::{Dscp, Ecn, Mac, Protocol, VlanId, arp, icmpv4, icmpv6, ipv4, ipv6, ndisc, tcp, udp, vlan};

const A4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 7);
const B4: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 9);
const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x64, 0, 0xa, 0, 0, 0, 7);
const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x65, 0, 0, 0, 0, 0, 9);
const MAC: Mac = Mac([2, 0x53, 0x54, 0, 0, 0x64]);
const PAYLOAD: [u8; 9] = [9, 8, 7, 6, 5, 4, 3, 2, 1];

fn header_v4(protocol: Protocol) -> ipv4::Repr {
    ipv4::Repr {
        source: A4,
        destination: B4,
        protocol,
        payload_len: 0,
        ttl: 61,
        dscp: Dscp::new(10).unwrap(),
        ecn: Ecn::ECT1,
        ident: 0xbeef,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
    }
}

fn header_v6(next_header: Protocol) -> ipv6::Repr {
    ipv6::Repr {
        source: A6,
        destination: B6,
        next_header,
        payload_len: 0,
        hop_limit: 255,
        dscp: Dscp::new(10).unwrap(),
        ecn: Ecn::CE,
        flow_label: 0x12345,
    }
}

/// An untagged frame around a network packet.
fn framed(ethertype: EtherType, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xa5; 14];
    let repr = ethernet::Repr { destination: Mac([2; 6]), source: MAC, ethertype };
    repr.emit(&mut ethernet::Packet::new_unchecked(&mut frame[..]));
    frame.extend(packet);
    frame
}

fn packet_v4(repr: &ipv4::Repr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xa5; 20];
    let repr = ipv4::Repr { payload_len: payload.len() as u16, ..*repr };
    repr.emit(&mut ipv4::Packet::new_unchecked(&mut bytes[..]));
    bytes.extend(payload);
    bytes
}

fn packet_v6(repr: &ipv6::Repr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xa5; 40];
    let repr = ipv6::Repr { payload_len: payload.len() as u16, ..*repr };
    repr.emit(&mut ipv6::Packet::new_unchecked(&mut bytes[..]));
    bytes.extend(payload);
    bytes
}

/// What etherparse makes of an untagged frame; its IPv4 header, if it has one, adds up.
fn judge(frame: &[u8]) -> SlicedPacket<'_> {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    if let Some(NetSlice::Ipv4(ip)) = &sliced.net {
        let header = ip.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
    }
    sliced
}

fn datagram(from: IpAddr, to: IpAddr) -> Vec<u8> {
    let mut bytes = vec![0xa5; 8];
    bytes.extend(PAYLOAD);
    let repr = udp::Repr { source_port: 50000, destination_port: 4341, payload_len: 9 };
    let mut packet = udp::Packet::new_unchecked(&mut bytes[..]);
    repr.emit(&mut packet);
    packet.fill_checksum(from, to);
    bytes
}

#[test]
fn udp_over_ipv4() {
    let frame =
        framed(EtherType::IPV4, &packet_v4(&header_v4(Protocol::UDP), &datagram(A4.into(), B4.into())));
    let sliced = judge(&frame);
    let Some(NetSlice::Ipv4(ip)) = &sliced.net else { panic!("not IPv4") };
    let ip = ip.header();
    assert_eq!((ip.source_addr(), ip.destination_addr(), ip.ttl()), (A4, B4, 61));
    assert_eq!((ip.dcp().value(), ip.ecn().value(), ip.identification()), (10, 1, 0xbeef));
    assert!(ip.dont_fragment() && !ip.more_fragments());
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else { panic!("not UDP") };
    assert_eq!((udp.source_port(), udp.destination_port(), udp.payload()), (50000, 4341, &PAYLOAD[..]));
    let own = udp.to_header().calc_checksum_ipv4_raw(A4.octets(), B4.octets(), udp.payload());
    assert_eq!(udp.checksum(), own.unwrap());
}

#[test]
fn udp_over_ipv6() {
    let frame =
        framed(EtherType::IPV6, &packet_v6(&header_v6(Protocol::UDP), &datagram(A6.into(), B6.into())));
    let sliced = judge(&frame);
    let Some(NetSlice::Ipv6(ip)) = &sliced.net else { panic!("not IPv6") };
    let ip = ip.header();
    assert_eq!((ip.source_addr(), ip.destination_addr(), ip.hop_limit()), (A6, B6, 255));
    assert_eq!((ip.traffic_class(), ip.flow_label().value()), (10 << 2 | 3, 0x12345));
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else { panic!("not UDP") };
    let own = udp.to_header().calc_checksum_ipv6_raw(A6.octets(), B6.octets(), udp.payload());
    assert_eq!(udp.checksum(), own.unwrap());
}

#[test]
fn tcp_and_a_clamped_mss() {
    let repr = tcp::Repr {
        source_port: 50000,
        destination_port: 443,
        sequence: 1,
        acknowledgement: 2,
        flags: tcp::Flags::SYN.with(tcp::Flags::ACK),
        window: 64240,
        urgent: 0,
        mss: Some(1460),
    };
    for (from, to) in [(IpAddr::from(A4), IpAddr::from(B4)), (A6.into(), B6.into())] {
        let mut bytes = vec![0xa5; 24];
        let mut packet = tcp::Packet::new_unchecked(&mut bytes[..]);
        repr.emit(&mut packet);
        packet.fill_checksum(from, to);
        assert!(packet.clamp_mss(1424));
        let frame = match from {
            IpAddr::V4(_) => framed(EtherType::IPV4, &packet_v4(&header_v4(Protocol::TCP), &bytes)),
            IpAddr::V6(_) => framed(EtherType::IPV6, &packet_v6(&header_v6(Protocol::TCP), &bytes)),
        };
        let sliced = judge(&frame);
        let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { panic!("not TCP") };
        let own = match from {
            IpAddr::V4(_) => tcp.calc_checksum_ipv4(A4.octets(), B4.octets()),
            IpAddr::V6(_) => tcp.calc_checksum_ipv6(A6.octets(), B6.octets()),
        };
        assert_eq!(tcp.checksum(), own.unwrap());
        assert!(tcp.syn() && tcp.ack() && !tcp.fin() && !tcp.rst());
        let options: Vec<_> = tcp.options_iterator().collect();
        assert_eq!(options, [Ok(TcpOptionElement::MaximumSegmentSize(1424))]);
    }
}

#[test]
fn a_tagged_frame() {
    let mut tagged = vec![0xa5; 4];
    let repr =
        vlan::Repr { priority: 6, drop_eligible: true, vlan: VlanId::new(4094), ethertype: EtherType::IPV4 };
    repr.emit(&mut vlan::Packet::new_unchecked(&mut tagged[..]));
    tagged.extend(packet_v4(&header_v4(Protocol::UDP), &datagram(A4.into(), B4.into())));
    let frame = framed(EtherType::VLAN, &tagged);
    let sliced = judge(&frame);
    let Some(LinkSlice::Ethernet2(link)) = &sliced.link else { panic!("not Ethernet") };
    assert_eq!((link.source(), link.destination()), (MAC.0, [2; 6]));
    let Some(etherparse::VlanSlice::SingleVlan(tag)) = sliced.vlan() else { panic!("not tagged") };
    assert_eq!((tag.vlan_identifier().value(), tag.priority_code_point().value()), (4094, 6));
    assert!(tag.drop_eligible_indicator());
    assert!(matches!(sliced.transport, Some(TransportSlice::Udp(_))));
}

#[test]
fn arp_messages() {
    for repr in [arp::Repr::probe(MAC, A4), arp::Repr::request(MAC, A4, B4).reply(Mac([2; 6]))] {
        let mut bytes = [0xa5; 28];
        repr.emit(&mut arp::Packet::new_unchecked(&mut bytes[..]));
        let frame = framed(EtherType::ARP, &bytes);
        let sliced = judge(&frame);
        let Some(NetSlice::Arp(packet)) = &sliced.net else { panic!("not ARP") };
        let packet = packet.to_packet().try_eth_ipv4().unwrap();
        assert_eq!(packet.operation.0, repr.operation.0);
        assert_eq!((packet.sender_mac, packet.sender_ipv4_addr()), (repr.source_mac.0, repr.source_ip));
        assert_eq!((packet.target_mac, packet.target_ipv4_addr()), (repr.target_mac.0, repr.target_ip));
    }
}

#[test]
fn icmpv4_reports() {
    let offending = packet_v4(&header_v4(Protocol::UDP), &[0x5a; 1400]);
    let gateway = Ipv4Addr::new(10, 1, 0, 1);
    let problems = [
        icmpv4::Problem::TimeExceeded,
        icmpv4::Problem::FragmentationNeeded { next_hop_mtu: 1400 },
        icmpv4::Problem::Unreachable(icmpv4::UnreachableCode::PROHIBITED),
    ];
    for problem in problems {
        let mut out = [0xa5; 576];
        let len = icmpv4::report(problem, &offending, gateway).unwrap().emit(&mut out).unwrap();
        let frame = framed(EtherType::IPV4, &out[..len]);
        let sliced = judge(&frame);
        let Some(TransportSlice::Icmpv4(icmp)) = &sliced.transport else { panic!("not ICMP") };
        let kind = icmp.icmp_type();
        assert_eq!(icmp.checksum(), kind.calc_checksum(icmp.payload()));
        assert_eq!(icmp.payload(), &offending[..548]);
        use etherparse::icmpv4::{DestUnreachableHeader, TimeExceededCode};
        let expected = match problem {
            icmpv4::Problem::TimeExceeded => Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit),
            icmpv4::Problem::FragmentationNeeded { next_hop_mtu } => {
                Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FragmentationNeeded {
                    next_hop_mtu,
                })
            }
            icmpv4::Problem::Unreachable(_) => {
                Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FilterProhibited)
            }
        };
        assert_eq!(kind, expected);
    }
}

#[test]
fn icmpv6_reports() {
    let offending = packet_v6(&header_v6(Protocol::UDP), &[0x5a; 1400]);
    let gateway = Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, 1);
    let problems = [
        icmpv6::Problem::TimeExceeded,
        icmpv6::Problem::PacketTooBig { mtu: 1400 },
        icmpv6::Problem::Unreachable(icmpv6::UnreachableCode::ADDRESS),
    ];
    for problem in problems {
        let mut out = [0xa5; 1280];
        let len = icmpv6::report(problem, &offending, gateway).unwrap().emit(&mut out).unwrap();
        let frame = framed(EtherType::IPV6, &out[..len]);
        let sliced = judge(&frame);
        let Some(TransportSlice::Icmpv6(icmp)) = &sliced.transport else { panic!("not ICMPv6") };
        assert!(icmp.is_checksum_valid(gateway.octets(), A6.octets()));
        assert_eq!(icmp.payload(), &offending[..1232]);
        use etherparse::icmpv6::{DestUnreachableCode, TimeExceededCode};
        let expected = match problem {
            icmpv6::Problem::TimeExceeded => Icmpv6Type::TimeExceeded(TimeExceededCode::HopLimitExceeded),
            icmpv6::Problem::PacketTooBig { mtu } => Icmpv6Type::PacketTooBig { mtu },
            icmpv6::Problem::Unreachable(_) => {
                Icmpv6Type::DestinationUnreachable(DestUnreachableCode::Address)
            }
        };
        assert_eq!(icmp.icmp_type(), expected);
    }
}

#[test]
fn echoes() {
    let repr = icmpv4::Repr::EchoReply { ident: 5, sequence: 6, data: &PAYLOAD };
    let mut bytes = vec![0xa5; repr.buffer_len()];
    repr.emit(&mut icmpv4::Packet::new_unchecked(&mut bytes[..]));
    let frame = framed(EtherType::IPV4, &packet_v4(&header_v4(Protocol::ICMPV4), &bytes));
    let sliced = judge(&frame);
    let Some(TransportSlice::Icmpv4(icmp)) = &sliced.transport else { panic!("not ICMP") };
    assert_eq!(icmp.checksum(), icmp.icmp_type().calc_checksum(icmp.payload()));
    assert!(matches!(icmp.icmp_type(), Icmpv4Type::EchoReply(echo) if (echo.id, echo.seq) == (5, 6)));

    let repr = icmpv6::Repr::EchoRequest { ident: 5, sequence: 6, data: &PAYLOAD };
    let mut bytes = vec![0xa5; repr.buffer_len()];
    repr.emit(&mut icmpv6::Packet::new_unchecked(&mut bytes[..]), A6, B6);
    let frame = framed(EtherType::IPV6, &packet_v6(&header_v6(Protocol::ICMPV6), &bytes));
    let sliced = judge(&frame);
    let Some(TransportSlice::Icmpv6(icmp)) = &sliced.transport else { panic!("not ICMPv6") };
    assert!(icmp.is_checksum_valid(A6.octets(), B6.octets()));
    assert!(matches!(icmp.icmp_type(), Icmpv6Type::EchoRequest(echo) if (echo.id, echo.seq) == (5, 6)));
}

#[test]
fn neighbor_discovery() {
    use etherparse::icmpv6::{Icmpv6PayloadSlice, NdpOptionSlice};
    let flags = ndisc::Flags { router: true, override_cache: true, ..ndisc::Flags::default() };
    let (to, answer) = ndisc::Repr::answer(B6, A6, MAC, flags);
    for (repr, to) in [(ndisc::Repr::solicit(B6, MAC), B6), (answer, to)] {
        let mut bytes = vec![0xa5; repr.buffer_len()];
        repr.emit(&mut ndisc::Packet::new_unchecked(&mut bytes[..]), A6, to);
        let frame = framed(EtherType::IPV6, &packet_v6(&header_v6(Protocol::ICMPV6), &bytes));
        let sliced = judge(&frame);
        let Some(TransportSlice::Icmpv6(icmp)) = &sliced.transport else { panic!("not ICMPv6") };
        assert!(icmp.is_checksum_valid(A6.octets(), to.octets()));
        let options: Vec<_> = match icmp.payload_slice().unwrap() {
            Icmpv6PayloadSlice::NeighborSolicitation(body) => {
                assert_eq!(body.target_address(), B6);
                body.options_iterator().map(Result::unwrap).collect()
            }
            Icmpv6PayloadSlice::NeighborAdvertisement(body) => {
                assert_eq!(body.target_address(), A6);
                let Icmpv6Type::NeighborAdvertisement(flags) = icmp.icmp_type() else { panic!() };
                assert!(flags.router && flags.solicited && flags.r#override);
                body.options_iterator().map(Result::unwrap).collect()
            }
            other => panic!("{other:?}"),
        };
        let mac = match &options[..] {
            [NdpOptionSlice::SourceLinkLayerAddress(option)] => option.link_layer_address(),
            [NdpOptionSlice::TargetLinkLayerAddress(option)] => option.link_layer_address(),
            other => panic!("{other:?}"),
        };
        assert_eq!(mac, MAC.0);
    }
}
