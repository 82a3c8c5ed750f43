//! Values of every format, valid by construction.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod control;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use sterna_wire::lisp::data::{self, Instance, NextProtocol, Tag};
use sterna_wire::{
    Dscp, Ecn, Iid, Mac, Protocol, VlanId, arp, ethernet, icmpv4, icmpv6, ipv4, ipv6, ndisc, tcp, udp, vlan,
};

pub fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(|mut bytes| {
        bytes[0] = bytes[0] & !1 | 2;
        Mac(bytes)
    })
}

/// An address that one host may have.
fn host_v4() -> impl Strategy<Value = Ipv4Addr> {
    (1..224u8, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| Ipv4Addr::new(a, b, c, d))
}

/// The same for IPv6.
fn host_v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<[u8; 15]>().prop_map(|low| {
        let mut octets = [0x20; 16];
        octets[1..].copy_from_slice(&low);
        Ipv6Addr::from(octets)
    })
}

pub fn ends_v6() -> impl Strategy<Value = (Ipv6Addr, Ipv6Addr)> {
    (host_v6(), host_v6())
}

pub fn ends() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        (host_v4(), host_v4()).prop_map(|(a, b)| (a.into(), b.into())),
        ends_v6().prop_map(|(a, b)| (a.into(), b.into())),
    ]
}

fn dscp() -> impl Strategy<Value = Dscp> {
    (0..64u8).prop_map(|value| Dscp::new(value).unwrap())
}

fn ecn() -> impl Strategy<Value = Ecn> {
    (0..4u8).prop_map(|value| Ecn::new(value).unwrap())
}

pub fn ethernet() -> impl Strategy<Value = ethernet::Repr> {
    (any::<[u8; 6]>(), mac(), 0x600..=u16::MAX).prop_map(|(destination, source, ethertype)| ethernet::Repr {
        destination: Mac(destination),
        source,
        ethertype: ethernet::EtherType(ethertype),
    })
}

pub fn vlan() -> impl Strategy<Value = vlan::Repr> {
    (0..8u8, any::<bool>(), 0..4095u16, any::<u16>()).prop_map(|(priority, drop_eligible, id, ethertype)| {
        vlan::Repr {
            priority,
            drop_eligible,
            vlan: VlanId::new(id),
            ethertype: ethernet::EtherType(ethertype),
        }
    })
}

pub fn arp() -> impl Strategy<Value = arp::Repr> {
    let operation = select(vec![arp::Operation::REQUEST, arp::Operation::REPLY]);
    (operation, mac(), host_v4(), any::<[u8; 6]>(), any::<Ipv4Addr>()).prop_map(
        |(operation, source_mac, source_ip, target_mac, target_ip)| arp::Repr {
            operation,
            source_mac,
            source_ip,
            target_mac: Mac(target_mac),
            target_ip,
        },
    )
}

pub fn ipv4() -> impl Strategy<Value = ipv4::Repr> {
    let ends = (any::<Ipv4Addr>(), any::<Ipv4Addr>());
    let fragment = (any::<bool>(), any::<bool>(), 0..=7000u16, any::<u16>());
    (ends, any::<u8>(), 0..1500u16, any::<u8>(), (dscp(), ecn()), fragment).prop_map(
        |(ends, protocol, payload_len, ttl, (dscp, ecn), (df, mf, eighths, ident))| ipv4::Repr {
            source: ends.0,
            destination: ends.1,
            protocol: Protocol(protocol),
            payload_len,
            ttl,
            dscp,
            ecn,
            ident,
            dont_fragment: df,
            more_fragments: mf,
            fragment_offset: eighths * 8,
        },
    )
}

pub fn ipv6() -> impl Strategy<Value = ipv6::Repr> {
    let numbers = (any::<u8>(), 0..1500u16, any::<u8>(), 0..1u32 << 20);
    (ends_v6(), numbers, dscp(), ecn()).prop_map(
        |(ends, (next, payload_len, hop_limit, flow_label), dscp, ecn)| ipv6::Repr {
            source: ends.0,
            destination: ends.1,
            next_header: Protocol(next),
            payload_len,
            hop_limit,
            dscp,
            ecn,
            flow_label,
        },
    )
}

pub fn udp() -> impl Strategy<Value = udp::Repr> {
    (any::<u16>(), any::<u16>(), 1..1500u16).prop_map(|(source_port, destination_port, payload_len)| {
        udp::Repr { source_port, destination_port, payload_len }
    })
}

pub fn tcp() -> impl Strategy<Value = tcp::Repr> {
    let shorts = (any::<u16>(), any::<u16>(), any::<u16>(), any::<u16>());
    (shorts, any::<u32>(), any::<u32>(), any::<u8>(), option::of(any::<u16>())).prop_map(
        |((source_port, destination_port, window, urgent), sequence, acknowledgement, flags, mss)| {
            tcp::Repr {
                source_port,
                destination_port,
                sequence,
                acknowledgement,
                flags: tcp::Flags(flags),
                window,
                urgent,
                mss,
            }
        },
    )
}

/// A SYN with any option bytes, often with an MSS among them, at any place.
pub fn syn() -> impl Strategy<Value = Vec<u8>> {
    let before = vec(select(vec![1u8, 1, 1, 3, 4, 8]), 0..12);
    (tcp(), before, any::<u16>(), vec(any::<u8>(), 0..12)).prop_map(|(repr, before, mss, after)| {
        let repr = tcp::Repr { mss: None, flags: tcp::Flags::SYN, ..repr };
        let mut bytes = vec![0; 20];
        repr.emit(&mut tcp::Packet::new_unchecked(&mut bytes[..]));
        for kind in before {
            // No-operation, or an option of three bytes.
            bytes.extend(if kind == 1 { vec![1] } else { vec![kind, 3, 0] });
        }
        bytes.extend([2, 4]);
        bytes.extend(mss.to_be_bytes());
        bytes.extend(after);
        bytes.truncate(60);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let len = bytes.len();
        tcp::Packet::new_unchecked(&mut bytes[..]).set_header_len(len);
        bytes
    })
}

/// What an ICMP message of any kind is made of.
#[derive(Clone, Debug)]
pub struct IcmpParts {
    kind: u8,
    code: u8,
    word: u32,
    payload: Vec<u8>,
}

pub fn icmp_parts() -> impl Strategy<Value = IcmpParts> {
    (0..5u8, any::<u8>(), any::<u32>(), vec(any::<u8>(), 0..200))
        .prop_map(|(kind, code, word, payload)| IcmpParts { kind, code, word, payload })
}

pub fn icmpv4(parts: &IcmpParts) -> icmpv4::Repr<'_> {
    let (ident, sequence) = ((parts.word >> 16) as u16, parts.word as u16);
    let payload = &parts.payload[..];
    match parts.kind {
        0 => icmpv4::Repr::EchoRequest { ident, sequence, data: payload },
        1 => icmpv4::Repr::EchoReply { ident, sequence, data: payload },
        2 => icmpv4::Repr::FragmentationNeeded { next_hop_mtu: sequence, original: payload },
        // Code 4 is the message above.
        3 if parts.code != 4 => {
            icmpv4::Repr::Unreachable { code: icmpv4::UnreachableCode(parts.code), original: payload }
        }
        _ => icmpv4::Repr::TimeExceeded { code: parts.code, original: payload },
    }
}

pub fn icmpv6(parts: &IcmpParts) -> icmpv6::Repr<'_> {
    let (ident, sequence) = ((parts.word >> 16) as u16, parts.word as u16);
    let payload = &parts.payload[..];
    match parts.kind {
        0 => icmpv6::Repr::EchoRequest { ident, sequence, data: payload },
        1 => icmpv6::Repr::EchoReply { ident, sequence, data: payload },
        2 => icmpv6::Repr::PacketTooBig { mtu: parts.word, original: payload },
        3 => icmpv6::Repr::Unreachable { code: icmpv6::UnreachableCode(parts.code), original: payload },
        _ => icmpv6::Repr::TimeExceeded { code: parts.code, original: payload },
    }
}

/// A solicitation or advertisement, and a header it may travel in.
pub fn ndisc() -> impl Strategy<Value = (ndisc::Repr, ipv6::Repr)> {
    (ipv6(), host_v6(), option::of(mac()), 0..8u8, any::<bool>()).prop_map(|(ip, target, mac, bits, ask)| {
        let ip = ipv6::Repr { hop_limit: ndisc::HOP_LIMIT, ..ip };
        let flags = ndisc::Flags::from_bits(bits << 5);
        let repr = if ask {
            ndisc::Repr::Solicitation { target, source_mac: mac }
        } else {
            ndisc::Repr::Advertisement { target, target_mac: mac, flags }
        };
        (repr, ip)
    })
}

pub fn lisp() -> impl Strategy<Value = data::Repr> {
    let instance = prop_oneof![
        Just(Instance::Absent),
        Just(Instance::Control),
        (0..Iid::RESERVED).prop_map(|iid| Instance::Id(Iid::new(iid).unwrap())),
    ];
    let next = option::of(any::<u8>().prop_map(NextProtocol));
    let tag = (0..3u8, any::<u32>(), any::<bool>());
    (tag, instance, option::of(any::<u32>()), 0..4u8, next).prop_map(
        |((kind, value, echo), instance, status, key_id, next_protocol)| {
            // With a next protocol the tag has 16 bits, beside an instance-ID the status has 8.
            let (nonce, version) = if next_protocol.is_some() { (0xffff, 0xff) } else { (0xff_ffff, 0xfff) };
            let tag = match kind {
                0 => Tag::None,
                1 => Tag::Nonce { nonce: value & nonce, echo },
                _ => Tag::Versions {
                    source: value as u16 & version,
                    destination: (value >> 16) as u16 & version,
                },
            };
            let width = if instance == Instance::Absent { u32::MAX } else { 0xff };
            let status = status.map(|bits| bits & width);
            data::Repr { tag, instance, status, key_id, next_protocol }
        },
    )
}

/// An extension header that may stand anywhere: its kind, and its length as the header tells it.
pub fn extension() -> impl Strategy<Value = (u8, u8)> {
    (select(vec![43u8, 60, 135, 139, 140]), 0..4u8)
}

/// A whole frame with a LISP packet in it, written by our own emitters.
pub fn frame() -> impl Strategy<Value = Vec<u8>> {
    let inner = vec(any::<u8>(), 20..80);
    (ethernet(), vlan(), any::<bool>(), ipv4(), udp(), lisp(), (inner, any::<bool>())).prop_map(
        |(ethernet, vlan, tagged, ip, udp, lisp, (mut inner, v6))| {
            inner[0] = if v6 { 0x60 } else { 0x45 };
            let mut frame = vec![0; 14];
            let below = if tagged { ethernet::EtherType::VLAN } else { ethernet::EtherType::IPV4 };
            let header = ethernet::Repr { ethertype: below, ..ethernet };
            header.emit(&mut ethernet::Packet::new_unchecked(&mut frame[..]));
            if tagged {
                let mut tag = [0; 4];
                let repr = vlan::Repr { ethertype: ethernet::EtherType::IPV4, ..vlan };
                repr.emit(&mut vlan::Packet::new_unchecked(&mut tag[..]));
                frame.extend(tag);
            }
            frame.extend(outer(ip, udp, lisp, &inner));
            frame
        },
    )
}

fn outer(ip: ipv4::Repr, udp: udp::Repr, lisp: data::Repr, inner: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 36];
    let datagram = 8 + 8 + inner.len() as u16;
    let ip = ipv4::Repr { payload_len: datagram, protocol: Protocol::UDP, fragment_offset: 0, ..ip };
    ip.emit(&mut ipv4::Packet::new_unchecked(&mut bytes[..]));
    let udp = udp::Repr { destination_port: sterna_wire::lisp::DATA_PORT, payload_len: datagram - 8, ..udp };
    udp.emit(&mut udp::Packet::new_unchecked(&mut bytes[20..]));
    lisp.emit(&mut data::Packet::new_unchecked(&mut bytes[28..]));
    bytes.extend(inner);
    bytes
}
