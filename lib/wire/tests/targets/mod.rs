//! What the fuzzer runs and the tests replay.
//!
//! A target takes any bytes and asserts what must hold for all of them:
//! nobody panics, checked views stay inside their buffer, and whatever `parse` accepts,
//! `emit` writes so that `parse` gives the same again.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod control;
mod formats;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sterna_wire::ethernet::{self, EtherType};
use sterna_wire::lisp::{self, data};
use sterna_wire::{Error, Protocol, arp, icmpv4, icmpv6, ipv4, ipv6, ipv6_ext, ndisc, tcp, udp, vlan};

/// Sender and receiver for parsers that need addresses for their checksum.
pub const V4: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
/// The same for IPv6.
pub const V6: (Ipv6Addr, Ipv6Addr) =
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));

/// Packets in packets that a target looks into.
const DEPTH: usize = 3;

/// An Ethernet frame, layer by layer to the innermost packet; and the bytes as noise for every parser.
pub fn parse_frame(bytes: &[u8]) {
    every_parser(bytes);
    frame(bytes);
}

/// A LISP data header and the packet it carries.
pub fn parse_lisp(bytes: &[u8]) {
    lisp_data(bytes, DEPTH);
}

/// Names of the parsers that [`judge`] knows.
pub const PARSERS: [&str; 12] = [
    "ethernet", "vlan", "arp", "ipv4", "ipv6", "ipv6_ext", "udp", "tcp", "icmpv4", "icmpv6", "ndisc", "lisp",
];

/// What the parser of this name says to these bytes. UDP and TCP lie between the [`V4`] addresses,
/// ICMPv6 between the [`V6`] ones, neighbour discovery too, with hop limit 255.
/// For `ipv6_ext` the first byte is the next header and the rest is the payload.
pub fn judge(parser: &str, bytes: &[u8]) -> Result<(), Error> {
    let (from, to) = (IpAddr::V4(V4.0), IpAddr::V4(V4.1));
    match parser {
        "ethernet" => ethernet::Repr::parse(&ethernet::Packet::new_unchecked(bytes)).map(drop),
        "vlan" => vlan::Repr::parse(&vlan::Packet::new_unchecked(bytes)).map(drop),
        "arp" => arp::Repr::parse(&arp::Packet::new_unchecked(bytes)).map(drop),
        "ipv4" => ipv4::Repr::parse(&ipv4::Packet::new_unchecked(bytes)).map(drop),
        "ipv6" => ipv6::Repr::parse(&ipv6::Packet::new_unchecked(bytes)).map(drop),
        "ipv6_ext" => match bytes.split_first() {
            Some((next, payload)) => ipv6_ext::walk(Protocol(*next), payload).map(drop),
            None => Err(Error::Truncated),
        },
        "udp" => udp::Repr::parse(&udp::Packet::new_unchecked(bytes), from, to).map(drop),
        "tcp" => tcp::Repr::parse(&tcp::Packet::new_unchecked(bytes), from, to).map(drop),
        "icmpv4" => icmpv4::Repr::parse(&icmpv4::Packet::new_unchecked(bytes)).map(drop),
        "icmpv6" => icmpv6::Repr::parse(&icmpv6::Packet::new_unchecked(bytes), V6.0, V6.1).map(drop),
        "ndisc" => ndisc::Repr::parse(&ndisc::Packet::new_unchecked(bytes), &formats::neighbor()).map(drop),
        "lisp" => data::Repr::parse(&data::Packet::new_unchecked(bytes)).map(drop),
        other => panic!("no parser is called {other}"),
    }
}

/// The same bytes to every parser and every builder that takes foreign bytes.
pub fn every_parser(bytes: &[u8]) {
    for parser in PARSERS {
        let _ = judge(parser, bytes);
    }
    formats::arp(bytes);
    formats::udp(bytes, V4.0.into(), V4.1.into());
    formats::udp(bytes, V6.0.into(), V6.1.into());
    formats::tcp(bytes, V4.0.into(), V4.1.into());
    formats::icmpv4(bytes);
    formats::icmpv6(bytes, V6.0, V6.1);
    formats::ndisc(bytes, &formats::neighbor());
    formats::reports(bytes);
    ip(bytes, 1);
}

fn frame(bytes: &[u8]) {
    formats::ethernet(bytes);
    let Ok(outer) = ethernet::Packet::new_checked(bytes) else {
        return;
    };
    if outer.ethertype() != EtherType::VLAN {
        return payload_of(outer.ethertype(), outer.payload());
    }
    formats::vlan(outer.payload());
    if let Ok(tag) = vlan::Packet::new_checked(outer.payload()) {
        payload_of(tag.ethertype(), tag.payload());
    }
}

fn payload_of(ethertype: EtherType, bytes: &[u8]) {
    match ethertype {
        EtherType::ARP => formats::arp(bytes),
        EtherType::IPV4 | EtherType::IPV6 => ip(bytes, DEPTH),
        _ => {}
    }
}

fn ip(bytes: &[u8], depth: usize) {
    formats::reports(bytes);
    match bytes.first().map(|first| first >> 4) {
        Some(4) => {
            formats::ipv4(bytes);
            if let Ok(packet) = ipv4::Packet::new_checked(bytes)
                && packet.fragment_offset() == 0
            {
                let ends = (packet.source().into(), packet.destination().into());
                transport(packet.protocol(), packet.payload(), ends, depth);
            }
        }
        Some(6) => {
            formats::ipv6(bytes);
            if let Ok(packet) = ipv6::Packet::new_checked(bytes) {
                above_ipv6(&packet, depth);
            }
        }
        _ => {}
    }
}

fn above_ipv6(packet: &ipv6::Packet<&[u8]>, depth: usize) {
    let Ok(upper) = ipv6_ext::walk(packet.next_header(), packet.payload()) else {
        return;
    };
    assert!(upper.offset <= packet.payload().len());
    if upper.is_later_fragment() {
        return;
    }
    let payload = &packet.payload()[upper.offset..];
    let (source, destination) = (packet.source(), packet.destination());
    if upper.proto == Protocol::ICMPV6 {
        formats::icmpv6(payload, source, destination);
        if let Ok(header) = ipv6::Repr::parse(packet) {
            formats::ndisc(payload, &header);
        }
    }
    transport(upper.proto, payload, (source.into(), destination.into()), depth);
}

fn transport(protocol: Protocol, bytes: &[u8], ends: (IpAddr, IpAddr), depth: usize) {
    match protocol {
        Protocol::ICMPV4 => formats::icmpv4(bytes),
        Protocol::TCP => formats::tcp(bytes, ends.0, ends.1),
        Protocol::UDP => {
            formats::udp(bytes, ends.0, ends.1);
            if let Ok(packet) = udp::Packet::new_checked(bytes)
                && packet.destination_port() == lisp::DATA_PORT
            {
                lisp_data(packet.payload(), depth);
            }
        }
        _ => {}
    }
}

fn lisp_data(bytes: &[u8], depth: usize) {
    formats::lisp_data(bytes);
    let Ok(packet) = data::Packet::new_checked(bytes) else {
        return;
    };
    if depth > 0 && packet.inner_family().is_ok() {
        ip(packet.payload(), depth - 1);
    }
}
