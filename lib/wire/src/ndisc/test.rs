use super::*;
use crate::addr::{Dscp, Ecn};
use crate::protocol::Protocol;
use std::vec;
use std::vec::Vec;

const AGENT: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x64, 0, 0xa, 0, 0, 0, 7);
const GATEWAY: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, 1);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const AGENT_MAC: Mac = Mac([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
const GATEWAY_MAC: Mac = Mac([0x02, 0x53, 0x54, 0x00, 0x00, 0x64]);

static SOLICITATION: [u8; 32] = [
    0x87, 0x00, 0xf8, 0x05, 0x00, 0x00, 0x00, 0x00, // neighbor solicitation, checksum, reserved
    0xfd, 0x00, 0x00, 0x64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // target
    0x01, 0x01, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, // source link-layer address
];

static ADVERTISEMENT: [u8; 32] = [
    0x88, 0x00, 0x66, 0xaa, 0xc0, 0x00, 0x00, 0x00, // neighbor advertisement, checksum, R and S
    0xfd, 0x00, 0x00, 0x64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // target
    0x02, 0x01, 0x02, 0x53, 0x54, 0x00, 0x00, 0x64, // target link-layer address
];

fn ip(source: Ipv6Addr, destination: Ipv6Addr) -> ipv6::Repr {
    ipv6::Repr {
        source,
        destination,
        next_header: Protocol::ICMPV6,
        payload_len: 32,
        hop_limit: 255,
        dscp: Dscp::DEFAULT,
        ecn: Ecn::NOT_ECT,
        flow_label: 0,
    }
}

fn asking() -> ipv6::Repr {
    ip(AGENT, solicited_node(GATEWAY))
}

fn advertisement() -> Repr {
    let flags = Flags { router: true, ..Flags::default() };
    Repr::answer(AGENT, GATEWAY, GATEWAY_MAC, flags).1
}

fn parse_bytes(bytes: &[u8], ip: &ipv6::Repr) -> Result<Repr, Error> {
    Repr::parse(&Packet::new_unchecked(bytes), ip)
}

fn emit_bytes(repr: &Repr, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
    let mut bytes = vec![0xa5; repr.buffer_len()];
    repr.emit(&mut Packet::new_unchecked(&mut bytes), source, destination);
    bytes
}

/// The bytes with a right checksum.
fn sealed(mut bytes: Vec<u8>, ip: &ipv6::Repr) -> Vec<u8> {
    Packet::new_unchecked(&mut bytes[..]).fill_checksum(ip.source, ip.destination);
    bytes
}

fn judge(bytes: Vec<u8>, ip: &ipv6::Repr) -> Result<Type, Error> {
    Packet::new_unchecked(&sealed(bytes, ip)[..]).judge(ip)
}

#[test]
fn deconstruct() {
    let packet = Packet::new_checked(&SOLICITATION[..]).unwrap();
    assert_eq!((packet.kind(), packet.code()), (Type::NEIGHBOR_SOLICITATION, 0));
    assert_eq!(packet.target(), Some(GATEWAY));
    assert_eq!(packet.mac_option(MacOption::Source), Ok(Some(AGENT_MAC)));
    assert_eq!(packet.mac_option(MacOption::Target), Ok(None));
    let packet = Packet::new_checked(&ADVERTISEMENT[..]).unwrap();
    assert_eq!(packet.mac_option(MacOption::Target), Ok(Some(GATEWAY_MAC)));
    let flags = packet.flags();
    assert!(flags.router && flags.solicited && !flags.override_cache);
}

#[test]
fn construct() {
    let mut bytes = vec![0xa5; 32];
    let mut packet = Packet::new_unchecked(&mut bytes);
    packet.set_kind(Type::NEIGHBOR_ADVERTISEMENT);
    packet.set_flags(Flags::from_bits(FLAG_ROUTER | FLAG_SOLICITED));
    packet.set_target(GATEWAY);
    packet.set_mac_option(MacOption::Target, GATEWAY_MAC);
    packet.fill_checksum(GATEWAY, AGENT);
    assert_eq!(packet.into_inner(), &ADVERTISEMENT);
}

#[test]
fn parse() {
    let expected = Repr::solicit(GATEWAY, AGENT_MAC);
    assert_eq!(parse_bytes(&SOLICITATION, &asking()), Ok(expected));
    assert_eq!(parse_bytes(&ADVERTISEMENT, &ip(GATEWAY, AGENT)), Ok(advertisement()));
}

#[test]
fn emit() {
    let repr = Repr::solicit(GATEWAY, AGENT_MAC);
    assert_eq!(emit_bytes(&repr, AGENT, solicited_node(GATEWAY)), SOLICITATION);
    assert_eq!(emit_bytes(&advertisement(), GATEWAY, AGENT), ADVERTISEMENT);
}

#[test]
fn without_options() {
    let probe = Repr::Solicitation { target: AGENT, source_mac: None };
    let group = solicited_node(AGENT);
    let bytes = emit_bytes(&probe, Ipv6Addr::UNSPECIFIED, group);
    assert_eq!(bytes.len(), 24);
    assert_eq!(parse_bytes(&bytes, &ip(Ipv6Addr::UNSPECIFIED, group)), Ok(probe));
}

#[test]
fn who_asks_from_no_address_is_told_through_all_nodes() {
    let (to, repr) = Repr::answer(Ipv6Addr::UNSPECIFIED, GATEWAY, GATEWAY_MAC, Flags::default());
    assert_eq!(to, ALL_NODES);
    let bytes = emit_bytes(&repr, GATEWAY, to);
    assert_eq!(bytes[4] & FLAG_SOLICITED, 0);
    assert_eq!(parse_bytes(&bytes, &ip(GATEWAY, to)), Ok(repr));
}

#[test]
fn groups() {
    let group: Ipv6Addr = "ff02::1:ff12:3456".parse().unwrap();
    assert_eq!(solicited_node("fd00::aa12:3456".parse().unwrap()), group);
    assert!(is_solicited_node(group));
    assert!(!is_solicited_node(ALL_NODES) && !is_solicited_node(ALL_ROUTERS));
}

#[test]
fn reserved_bits_are_ignored_and_never_sent() {
    let mut noisy = SOLICITATION.to_vec();
    noisy[4..8].fill(0xff);
    let expected = Repr::solicit(GATEWAY, AGENT_MAC);
    assert_eq!(parse_bytes(&sealed(noisy, &asking()), &asking()), Ok(expected));
    let mut noisy = ADVERTISEMENT.to_vec();
    noisy[4] |= 0x1f;
    noisy[5..8].fill(0xff);
    let header = ip(GATEWAY, AGENT);
    assert_eq!(parse_bytes(&sealed(noisy, &header), &header), Ok(advertisement()));
    assert_eq!(Flags::from_bits(0xff).bits(), 0xe0);
}

#[test]
fn from_beyond_a_router() {
    let far = ipv6::Repr { hop_limit: 254, ..asking() };
    assert_eq!(parse_bytes(&SOLICITATION, &far), Err(Error::BadHopLimit));
}

#[test]
fn malformed() {
    for len in 0..HEADER_LEN {
        assert_eq!(parse_bytes(&SOLICITATION[..len], &asking()), Err(Error::Truncated));
    }
    let mut wrong = SOLICITATION;
    wrong[2] ^= 1;
    assert_eq!(parse_bytes(&wrong, &asking()), Err(Error::BadChecksum));
    let changed = |at: usize, value: u8| {
        let mut bytes = SOLICITATION.to_vec();
        bytes[at] = value;
        judge(bytes, &asking())
    };
    assert_eq!(changed(1, 1), Err(Error::BadHeader));
    assert_eq!(changed(8, 0xff), Err(Error::BadAddress), "a group as target");
    assert_eq!(changed(25, 0), Err(Error::BadOption), "no length");
    assert_eq!(changed(25, 2), Err(Error::BadOption), "past the end");
    let long = [&SOLICITATION[..24], &[1, 2], &[0; 14]].concat();
    assert_eq!(judge(long, &asking()), Err(Error::BadOption), "not an Ethernet address");
    let cut = SOLICITATION[..25].to_vec();
    assert_eq!(judge(cut, &asking()), Err(Error::BadOption));
    assert_eq!(changed(0, 128), Err(Error::Unsupported));
}

#[test]
fn unknown_options_are_stepped_over() {
    let nonce_first = [&SOLICITATION[..24], &[14, 2], &[0x77; 14], &SOLICITATION[24..]].concat();
    let bytes = sealed(nonce_first, &asking());
    let expected = Repr::solicit(GATEWAY, AGENT_MAC);
    assert_eq!(parse_bytes(&bytes, &asking()), Ok(expected));
}

#[test]
fn addresses_that_cannot_be() {
    let nameless = ip(Ipv6Addr::UNSPECIFIED, solicited_node(GATEWAY));
    let named = judge(SOLICITATION.to_vec(), &nameless);
    assert_eq!(named, Err(Error::BadAddress), "no address, but an Ethernet address");
    let bare = SOLICITATION[..24].to_vec();
    assert_eq!(judge(bare.clone(), &nameless), Ok(Type::NEIGHBOR_SOLICITATION));
    let direct = ip(Ipv6Addr::UNSPECIFIED, GATEWAY);
    assert_eq!(judge(bare, &direct), Err(Error::BadAddress));
    let shouted = ip(GATEWAY, ALL_NODES);
    let answer = judge(ADVERTISEMENT.to_vec(), &shouted);
    assert_eq!(answer, Err(Error::BadAddress), "solicited, but to a group");
}

#[test]
fn the_other_messages_are_recognised() {
    let of = |kind: Type, len: usize| {
        let mut bytes = vec![0; len];
        bytes[0] = kind.0;
        bytes
    };
    let to_routers = ip(AGENT, ALL_ROUTERS);
    let rs = of(Type::ROUTER_SOLICITATION, 8);
    assert_eq!(judge(rs.clone(), &to_routers), Ok(Type::ROUTER_SOLICITATION));
    assert_eq!(parse_bytes(&sealed(rs.clone(), &to_routers), &to_routers), Err(Error::Unsupported));
    let nameless = ip(Ipv6Addr::UNSPECIFIED, ALL_ROUTERS);
    let named = [&rs[..], &SOLICITATION[24..]].concat();
    assert_eq!(judge(named, &nameless), Err(Error::BadAddress));
    let from_router = ip(LINK_LOCAL, ALL_NODES);
    let ra = of(Type::ROUTER_ADVERTISEMENT, 16);
    assert_eq!(judge(ra.clone(), &from_router), Ok(Type::ROUTER_ADVERTISEMENT));
    assert_eq!(judge(ra.clone(), &ip(GATEWAY, ALL_NODES)), Err(Error::BadAddress));
    assert_eq!(judge(ra[..15].to_vec(), &from_router), Err(Error::Truncated));
    let redirect = of(Type::REDIRECT, 40);
    assert_eq!(judge(redirect.clone(), &ip(LINK_LOCAL, AGENT)), Ok(Type::REDIRECT));
    let header = ip(LINK_LOCAL, AGENT);
    assert_eq!(parse_bytes(&sealed(redirect, &header), &header), Err(Error::Unsupported));
}
