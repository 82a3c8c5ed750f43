//! What may come out, and for whom.

use super::frames::marks;
use super::site::{CORE, DYNAMIC, GROUPS, LOCATORS, OURS, SIDES, gateway_mac, own, prefix, remote};
use crate::encap::{ETHERNET, LISP_DATA};
use crate::inner;
use crate::layout::Side;
use std::net::IpAddr;
use sterna_wire::{Family, addr_from_bytes};

fn group_at(port: usize, vlan: u16) -> Option<usize> {
    GROUPS.iter().position(|(_, p, v)| (usize::from(*p), *v) == (port, vlan))
}

fn link(frame: &[u8]) -> Option<(u16, [u8; 2], usize)> {
    let ethertype = [*frame.get(12)?, *frame.get(13)?];
    if ethertype != [0x81, 0] {
        return Some((0, ethertype, ETHERNET));
    }
    let tag = u16::from_be_bytes([*frame.get(14)?, *frame.get(15)?]) & 0xfff;
    Some((tag, [*frame.get(16)?, *frame.get(17)?], ETHERNET + 4))
}

/// Where UDP starts in an IP packet without surprises.
fn udp_at(packet: &[u8]) -> Option<usize> {
    match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&17) => Some(usize::from(packet[0] & 15) * 4),
        6 if packet.get(6) == Some(&17) => Some(40),
        _ => None,
    }
}

fn lisp_iid(header: &[u8]) -> Option<u32> {
    let h = header.get(..8)?;
    Some(if h[0] & 8 == 0 { 0 } else { u32::from_be_bytes([0, h[4], h[5], h[6]]) })
}

/// The group that a frame belongs to, by what it says now; `None` when that is not plain.
pub(super) fn belongs(port: usize, frame: &[u8]) -> Option<u32> {
    let (vlan, _, l3) = link(frame)?;
    let tunnel =
        SIDES[port] == Side::Rloc || (SIDES[port] == Side::Both && frame.get(12..14) != Some(&[0x81, 0]));
    if !tunnel {
        return group_at(port, vlan).map(|at| GROUPS[at].0);
    }
    let packet = frame.get(l3..)?;
    lisp_iid(packet.get(udp_at(packet)? + 8..)?)
}

fn address(bytes: &[u8; 16], family: Family) -> IpAddr {
    addr_from_bytes(family, bytes)
}

fn is_served(address: IpAddr) -> bool {
    [1, 9].iter().any(|net| prefix(address.is_ipv6(), *net).is_some_and(|prefix| prefix.contains(address)))
}

fn is_dynamic(address: IpAddr) -> bool {
    prefix(address.is_ipv6(), DYNAMIC).is_some_and(|prefix| prefix.contains(address))
}

/// A frame that left towards the underlay: LISP, from us to a locator of its group, with a packet of an agent here,
/// or one that is relayed to an agent that left.
pub(super) fn judge_tunnel(frame: &[u8], came: &[Option<u32>]) {
    assert!(frame[..6] == CORE.0 && frame[6..12] == OURS.0, "to the next hop and from us");
    let packet = &frame[ETHERNET..];
    let outer = inner::read(packet);
    assert!(outer.is_ok(), "a whole IP packet, with a right checksum");
    let Ok(outer) = outer else { return };
    assert_eq!(usize::from(outer.len), packet.len(), "and nothing behind it");
    assert_eq!(outer.protocol, 17, "nothing but UDP leaves on the underlay");
    let udp = &packet[if outer.family == Family::V6 { 40 } else { 20 }..];
    assert_eq!(udp[2..4], LISP_DATA.to_be_bytes(), "nothing but LISP leaves on the underlay");
    assert_eq!(usize::from(u16::from_be_bytes([udp[4], udp[5]])), udp.len());
    let iid = lisp_iid(&udp[8..]).unwrap_or(0);
    let (from, to) = (address(&outer.source, outer.family), address(&outer.destination, outer.family));
    assert_eq!(from, own(from.is_ipv6()));
    assert!(GROUPS.iter().any(|g| g.0 == iid), "group {iid} does not exist");
    assert!((0..LOCATORS).any(|n| remote(iid, n) == to), "{to} is no locator of group {iid}");
    let carried = inner::read(&udp[16..]);
    assert!(carried.is_ok(), "what is carried is whole");
    let Ok(carried) = carried else { return };
    assert_eq!(usize::from(carried.len), udp.len() - 16);
    assert_eq!(outer.ttl, carried.ttl);
    let (from, to) =
        (address(&carried.source, carried.family), address(&carried.destination, carried.family));
    let relays = if udp[8] & 0x80 == 0 { 0 } else { udp[11] };
    match relays {
        0 => assert!(is_served(from) || is_dynamic(from), "only what agents here may say"),
        1 | 2 => assert!(is_dynamic(to), "only what may have left is relayed"),
        more => assert_eq!(more, 2, "relayed too often"),
    }
    assert!(!is_served(to));
    judge_marks(frame, iid, came);
}

/// A frame that left towards agents.
pub(super) fn judge_eid(port: usize, frame: &[u8], came: &[Option<u32>]) {
    let Some((vlan, ethertype, l3)) = link(frame) else {
        return assert!(!frame.is_empty(), "a frame has a header");
    };
    let at = group_at(port, vlan);
    assert!(at.is_some(), "port {port} VLAN {vlan} has no group");
    let Some(at) = at else { return };
    let iid = GROUPS[at].0;
    assert!(frame[6..12] == gateway_mac(iid).0, "the group's gateway speaks");
    assert!(frame[..6] != gateway_mac(iid).0, "and not to itself");
    match ethertype {
        [8, 6] => {}
        [8, 0] | [0x86, 0xdd] => {
            let packet = inner::read(&frame[l3..]);
            assert!(packet.is_ok(), "a whole IP packet");
            let Ok(packet) = packet else { return };
            let is_ndisc = packet.protocol == 58 && (133..=137).contains(&frame[l3 + 40]);
            let to = address(&packet.destination, packet.family);
            assert!(is_ndisc || is_served(to) || is_dynamic(to), "{to} is not served here");
            assert!(is_ndisc || usize::from(packet.len) == frame.len() - l3);
        }
        other => assert_eq!(other, [8, 0], "nothing but IP and ARP"),
    }
    judge_marks(frame, iid, came);
}

/// No group sees what came in for another one.
fn judge_marks(frame: &[u8], iid: u32, came: &[Option<u32>]) {
    for number in marks(frame) {
        if let Some(Some(from)) = came.get(usize::from(number)) {
            assert_eq!(*from, iid, "a packet of group {from} reached group {iid}");
        }
    }
}
