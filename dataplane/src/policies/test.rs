//! The matcher against a table, and policies that come into force.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::inner;
use etherparse::PacketBuilder;
use proptest::prelude::*;
use sterna_wire::Iid;

const ANY: Policy =
    Policy { iid: None, from: None, to: None, dscp: None, protocol: None, ports: None, class: 1 };

fn v4(protocol: u8, dscp: u8, port: u16) -> Vec<u8> {
    let mut header =
        etherparse::Ipv4Header::new(8, 64, protocol.into(), [10, 1, 0, 5], [10, 1, 2, 9]).unwrap();
    header.dscp = dscp.try_into().unwrap();
    let mut packet = Vec::new();
    header.header_checksum = header.calc_header_checksum();
    header.write(&mut packet).unwrap();
    packet.extend([0xc0, 0xde]);
    packet.extend(port.to_be_bytes());
    packet.extend([0; 4]);
    packet
}

/// The same as a fragment: the first (with its ports), or a later one.
fn v4_fragment(offset: u8, port: u16) -> Vec<u8> {
    let mut packet = v4(17, 0, port);
    packet[6] = 0x20;
    packet[7] = offset;
    (packet[10], packet[11]) = (0, 0);
    let sum = sterna_wire::checksum::fold(sterna_wire::checksum::sum(&packet[..20]));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn v6(extensions: &[u8], next: u8, dscp: u8, port: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    let (mut from, mut to) = ([0; 16], [0; 16]);
    (from[0], from[15]) = (0xfd, 5);
    (to[0], to[1], to[15]) = (0xfd, 1, 9);
    PacketBuilder::ipv6(from, to, 64).udp(1, 2).write(&mut packet, &[]).unwrap();
    packet.truncate(40);
    packet.extend(extensions);
    packet.extend([0xc0, 0xde]);
    packet.extend(port.to_be_bytes());
    packet.extend([0; 4]);
    packet[0] = 0x60 | dscp >> 2;
    packet[1] = dscp << 6;
    packet[6] = next;
    let payload = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&payload.to_be_bytes());
    packet
}

fn class(policies: &[Policy], packet: &[u8]) -> u8 {
    let rules: Vec<Rule> = policies.iter().map(Rule::new).collect();
    class_of(&rules, &inner::read(packet).unwrap(), packet)
}

fn net(text: &str) -> Option<Prefix> {
    Some(text.parse().unwrap())
}

#[test]
fn what_matches_and_what_does_not() {
    let https = Policy { protocol: Some(6), ports: Some((443, 443)), ..ANY };
    let high = Policy { ports: Some((8000, 8100)), ..ANY };
    let udp6 = v6(&[], 17, 0, 8050);
    // A destination-options header of eight bytes before UDP.
    let behind = v6(&[17, 0, 1, 4, 0, 0, 0, 0], 60, 0, 8050);
    let cases: &[(&str, Policy, Vec<u8>, bool)] = &[
        ("nothing asked", ANY, v4(17, 0, 1), true),
        ("source", Policy { from: net("10.1.0.0/16"), ..ANY }, v4(17, 0, 1), true),
        ("not the source", Policy { from: net("10.1.2.0/24"), ..ANY }, v4(17, 0, 1), false),
        ("destination", Policy { to: net("10.1.2.9/32"), ..ANY }, v4(17, 0, 1), true),
        ("not the destination", Policy { to: net("10.1.2.8/32"), ..ANY }, v4(17, 0, 1), false),
        ("all of IPv4", Policy { to: net("0.0.0.0/0"), ..ANY }, v4(17, 0, 1), true),
        ("IPv4 alone", Policy { to: net("0.0.0.0/0"), ..ANY }, udp6.clone(), false),
        ("all of IPv6", Policy { to: net("::/0"), ..ANY }, udp6.clone(), true),
        ("IPv6 source", Policy { from: net("fd00::/16"), ..ANY }, udp6.clone(), true),
        ("IPv6 destination", Policy { to: net("fd01::9/128"), ..ANY }, udp6.clone(), true),
        ("not IPv6's", Policy { to: net("fd02::/16"), ..ANY }, udp6.clone(), false),
        ("DSCP", Policy { dscp: Some(46), ..ANY }, v4(17, 46, 1), true),
        ("another DSCP", Policy { dscp: Some(46), ..ANY }, v4(17, 45, 1), false),
        ("DSCP 0 is one", Policy { dscp: Some(0), ..ANY }, v4(17, 46, 1), false),
        ("IPv6 DSCP", Policy { dscp: Some(46), ..ANY }, v6(&[], 17, 46, 1), true),
        ("protocol", Policy { protocol: Some(132), ..ANY }, v4(132, 0, 1), true),
        ("another protocol", Policy { protocol: Some(6), ..ANY }, v4(17, 0, 1), false),
        ("behind extensions", Policy { protocol: Some(17), ..ANY }, behind.clone(), true),
        ("protocol and port", https, v4(6, 0, 443), true),
        ("another port", https, v4(6, 0, 444), false),
        ("the port of another protocol", https, v4(17, 0, 443), false),
        ("first port", high, v4(17, 0, 8000), true),
        ("last port", high, v4(6, 0, 8100), true),
        ("below", high, v4(6, 0, 7999), false),
        ("above", high, v4(6, 0, 8101), false),
        ("IPv6 port", high, udp6, true),
        ("IPv6 port behind extensions", high, behind, true),
        ("SCTP port", high, v4(132, 0, 8000), true),
        ("no ports: ICMP", high, v4(1, 0, 8000), false),
        (
            "all at once",
            Policy { from: net("10.1.0.5/32"), to: net("10.1.2.0/24"), dscp: Some(10), ..https },
            v4(6, 10, 443),
            true,
        ),
        (
            "all but one",
            Policy { from: net("10.1.0.6/32"), to: net("10.1.2.0/24"), dscp: Some(10), ..https },
            v4(6, 10, 443),
            false,
        ),
    ];
    for (what, policy, packet, matches) in cases {
        assert_eq!(class(&[*policy], packet), u8::from(*matches), "{what}");
    }
    assert_eq!(class(&[], &v4(17, 0, 1)), 0, "no policies");
}

#[test]
fn the_first_match_wins_also_when_it_says_no_class() {
    let to = Policy { to: net("10.1.2.0/24"), class: 2, ..ANY };
    let web = Policy { ports: Some((80, 80)), class: 0, ..ANY };
    assert_eq!(class(&[to, ANY], &v4(17, 0, 80)), 2);
    assert_eq!(class(&[web, to, ANY], &v4(17, 0, 80)), 0);
    assert_eq!(class(&[web, to, ANY], &v4(17, 0, 81)), 2);
    assert_eq!(class(&[ANY, to], &v4(17, 0, 80)), 1);
}

/// All fragments of a datagram are of one class: that of the first policy without ports.
#[test]
fn fragments_match_no_ports() {
    let web = Policy { ports: Some((80, 80)), class: 3, ..ANY };
    let udp = Policy { protocol: Some(17), class: 4, ..ANY };
    let fragment6 = |offset: u8| v6(&[17, 0, 0, offset | 1, 0, 0, 0, 7], 44, 0, 80);
    for packet in [v4_fragment(0, 80), v4_fragment(9, 80), fragment6(0), fragment6(64)] {
        assert_eq!(class(&[web, udp], &packet), 4);
        assert_eq!(class(&[web], &packet), 0);
    }
}

#[test]
fn a_packet_without_its_ports_matches_none() {
    let mut short = v4(17, 0, 80);
    short.truncate(22);
    short[3] = 22;
    (short[10], short[11]) = (0, 0);
    let sum = sterna_wire::checksum::fold(sterna_wire::checksum::sum(&short[..20]));
    short[10..12].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(class(&[Policy { ports: Some((0, u16::MAX)), ..ANY }], &short), 0);
    // A chain of extension headers that ends nowhere.
    let broken = v6(&[60, 9, 0, 0, 0, 0, 0, 0], 60, 0, 80);
    assert_eq!(class(&[Policy { ports: Some((0, u16::MAX)), ..ANY }], &broken), 0);
}

#[test]
fn a_change_comes_into_force_as_a_whole() {
    let mut policies = Policies::default();
    let of = |class| Policy { class, ..ANY };
    assert_eq!(policies.put(0, of(1), true, 1), Ok(()));
    assert!(policies.in_force().is_empty() && !policies.changed);
    assert_eq!(policies.put(1, of(2), false, 1), Ok(()));
    assert_eq!(policies.in_force(), [of(1), of(2)]);
    assert!(std::mem::take(&mut policies.changed));
    assert_eq!(policies.put(0, of(1), false, 2), Ok(()), "the same again");
    assert!(!policies.changed);
    policies.sweep(2);
    assert_eq!(policies.in_force(), [of(1)], "what the sync did not name");
    policies.remove(0, false);
    policies.remove(9, false);
    assert!(policies.in_force().is_empty());
    let beyond = MAX_POLICIES as u8;
    assert_eq!(policies.put(beyond, of(1), false, 2), Err(RefusedKind::PolicyTableFull));
    assert!(policies.in_force().is_empty());
}

#[test]
fn each_group_has_its_own() {
    use crate::layout::{DEFAULT_SETTINGS, Layout};
    let group = |iid, port| sterna_shm::Group {
        iid: Iid::new(iid).unwrap(),
        port,
        vlan: None,
        mac: sterna_wire::Mac([2; 6]),
        gateway_v4: None,
        gateway_v6: None,
        proxy_arp: false,
    };
    let layout = Layout::new(vec![], vec![group(7, 0), group(8, 1)], &[], DEFAULT_SETTINGS);
    let rules = |layout: &Layout, port| layout.row_at(port, 0).unwrap().rules.len();
    assert_eq!((rules(&layout, 0), rules(&layout, 1)), (0, 0));
    let of_seven = Policy { iid: Iid::new(7), ..ANY };
    let layout = layout.with_policies(&[of_seven]);
    assert_eq!((rules(&layout, 0), rules(&layout, 1)), (1, 0));
    let layout = layout.with_policies(&[of_seven, ANY]);
    assert_eq!((rules(&layout, 0), rules(&layout, 1)), (2, 1));
}

proptest! {
    #[test]
    fn noise_is_survived(bytes in prop::collection::vec(any::<u8>(), 20..120), is_v6: bool) {
        let mut packet = bytes;
        packet[0] = if is_v6 { 0x60 } else { 0x45 };
        if let Ok(inner) = inner::read(&packet) {
            class_of(&[Rule::new(&Policy { ports: Some((0, u16::MAX)), ..ANY })], &inner, &packet);
        }
    }
}
