//! The body of the fuzz target `step_burst`: bytes become frames and updates for a fixed site, and whatever comes
//! out must be allowed to.
//!
//! The site has four groups with the same EIDs: 100 on port 0, 300 tagged on port 0, 200 on port 1, 400 tagged on
//! port 3, which carries the underlay too; port 2 is the underlay's. Each group has RLOCs of its own, so that an
//! outer header shows which group it was made for, and each packet carries a number that shows where it came in.

use crate::encap::{ETHERNET, LISP_DATA};
use crate::inner;
use crate::layout::{PortRow, Side};
use crate::rig::{Rig, RigOptions};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sterna_shm::{
    Adjacency, ClassRow, ClassRows, EidAction, Group, LOCAL, Locator, LocatorSet, NegativeAction, NextHop,
    Policy, Settings, Update,
};
use sterna_wire::{Family, Iid, Mac, Prefix, VlanId, addr_from_bytes, checksum};

/// (iid, port, VLAN).
const GROUPS: [(u32, u16, u16); 4] = [(100, 0, 0), (200, 1, 0), (300, 0, 30), (400, 3, 40)];
const SIDES: [Side; 4] = [Side::Eid, Side::Eid, Side::Rloc, Side::Both];
const UNDERLAY: u16 = 2;
const OURS: Mac = Mac([2, 0xd, 0, 0, 0, 1]);
const CORE: Mac = Mac([2, 0xc, 0, 0, 0, 1]);
const LOCATORS: u32 = 3;
/// Marks the number that each packet carries.
const MARK: [u8; 4] = [0xf0, 0x5e, 0xed, 0x0f];
/// Longest input that is looked at: beyond it a run only gets slower.
const INPUT_MAX: usize = 4096;
const FRAMES_MAX: usize = 256;

fn own(v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()
    } else {
        Ipv4Addr::new(192, 0, 2, 1).into()
    }
}

/// Locator `n` of a group: two of IPv4, one of IPv6.
fn remote(iid: u32, n: u32) -> IpAddr {
    let (high, low) = ((iid / 100) as u8, n as u8);
    match n {
        2 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, high.into(), low.into()).into(),
        _ => Ipv4Addr::new(198, 51, high, low + 1).into(),
    }
}

fn gateway_mac(iid: u32) -> Mac {
    Mac([2, 0x53, 0x54, 0, 0, (iid / 100) as u8])
}

fn v4(net: u8, host: u8) -> [u8; 4] {
    [10, 1, net, host]
}

fn v6(net: u8, host: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&[0xfd, 0]);
    (address[5], address[15]) = (net, host);
    address
}

fn prefix(is_v6: bool, net: u8) -> Option<Prefix> {
    if is_v6 {
        Prefix::masked(Ipv6Addr::from(v6(net, 0)).into(), 48).ok()
    } else {
        Prefix::masked(Ipv4Addr::from(v4(net, 0)).into(), 24).ok()
    }
}

/// Reads the input; behind its end there are zeros.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn below(&mut self, bound: u8) -> u8 {
        self.byte() % bound
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

//------------ the site --------------------------------------------------------------------------------------

/// The numbers of a session start here, so that each session counts differently.
#[derive(Clone, Copy)]
struct Numbers(u32);

impl Numbers {
    fn adjacency(self, group: usize, locator: u32) -> u32 {
        self.0 + group as u32 * LOCATORS + locator
    }

    fn set(self, group: usize) -> u32 {
        self.0 + 1000 + group as u32
    }

    fn classes(self, group: usize) -> u32 {
        self.0 + 3000 + group as u32
    }

    /// One hop that is resolved and one that is not.
    fn hop(self, unresolved: bool) -> u32 {
        self.0 + 2000 + u32::from(unresolved)
    }
}

fn settings(bits: u8) -> Settings {
    Settings {
        mss_clamp: bits & 1 == 0,
        dscp_decap_pipe: bits & 2 != 0,
        udp_source_fixed: (bits & 4 != 0).then_some(4341),
        smallest_underlay_mtu: 1500,
        outer_df: bits & 8 == 0,
        eid_api_port: (bits & 16 != 0).then_some(2000),
    }
}

fn group(at: usize) -> Option<Group> {
    let (iid, port, vlan) = GROUPS[at];
    Some(Group {
        iid: Iid::new(iid)?,
        port,
        vlan: VlanId::new(vlan),
        mac: gateway_mac(iid),
        gateway_v4: Some((v4(1, 1).into(), 16)),
        gateway_v6: Some((v6(1, 1).into(), 32)),
        proxy_arp: true,
    })
}

fn hop(numbers: Numbers, unresolved: bool, has_mac: bool) -> Update {
    let hop = NextHop { port: UNDERLAY, source: OURS, destination: has_mac.then_some(CORE) };
    Update::NextHopUpsert { id: numbers.hop(unresolved), hop }
}

fn adjacency(numbers: Numbers, group: usize, locator: u32, mtu: u16) -> Update {
    let far = remote(GROUPS[group].0, locator);
    let adjacency = Adjacency {
        next_hop: numbers.hop(false),
        local: own(far.is_ipv6()),
        remote: far,
        mtu,
        udp_checksum: group == 1,
    };
    Update::AdjacencyUpsert { id: numbers.adjacency(group, locator), adjacency }
}

fn set(numbers: Numbers, group: usize, bits: u8) -> Option<Update> {
    let locator = |n: u32| Locator {
        adjacency: numbers.adjacency(group, n),
        priority: 1 + (bits >> 6) * (n as u8 & 1),
        weight: bits & 0x18,
        usable: bits & 1 << n == 0,
        keep: bits & 0x20 != 0,
    };
    // The agent here, where the EID is a skill; elsewhere nobody.
    let here = Locator { adjacency: LOCAL, ..locator(0) };
    let set = LocatorSet::new(&[locator(0), locator(1), locator(2), here])?;
    Some(Update::SetUpsert { id: numbers.set(group), set })
}

/// Class 0 goes by the set; the others by it, nowhere, or they wait.
fn classes(numbers: Numbers, group: usize, bits: u8) -> Update {
    let mut rows = ClassRows::default();
    rows.0[0] = ClassRow::Set { set: numbers.set(group) };
    for (class, row) in rows.0.iter_mut().enumerate().skip(1) {
        *row = match (bits >> (class % 4 * 2)) & 3 {
            0 | 1 => ClassRow::Set { set: numbers.set(group) },
            2 => ClassRow::NoMatch,
            _ => ClassRow::Unknown,
        };
    }
    Update::ClassesUpsert { id: numbers.classes(group), rows }
}

/// UDP is of one class, what else goes to certain ports of another, and fragments of a third.
fn policy(bits: u8) -> Update {
    let index = bits % 3;
    let policy = Policy {
        iid: if bits & 0x40 == 0 { None } else { Iid::new(100) },
        from: None,
        to: prefix(bits & 0x80 != 0, 2).filter(|_| bits & 0x20 != 0),
        dscp: None,
        protocol: [Some(17), Some(6), None][usize::from(index)],
        ports: (index == 1).then_some((0, 3000)),
        class: (bits >> 2) & 7,
    };
    Update::PolicyUpsert { index, policy, more: bits & 0x10 != 0 }
}

fn eid(group: usize, prefix: Option<Prefix>, action: EidAction) -> Option<Update> {
    Some(Update::EidUpsert { iid: Iid::new(GROUPS[group].0)?, prefix: prefix?, action })
}

fn local(group: usize, via: Option<IpAddr>) -> EidAction {
    let (_, port, vlan) = GROUPS[group];
    EidAction::Local { port, vlan: VlanId::new(vlan), via }
}

/// In this net agents come and go.
const DYNAMIC: u8 = 7;

fn dynamic(group: usize) -> impl Iterator<Item = Update> {
    let range = move |is_v6| {
        let (iid, prefix) = Iid::new(GROUPS[group].0).zip(prefix(is_v6, DYNAMIC))?;
        Some(Update::DynamicUpsert { iid, prefix })
    };
    [range(false), range(true)].into_iter().flatten()
}

/// Net 1 is served, 9 behind a router, 2 and 3 are remote, 3 by classes, 4 and 5 nowhere; 6 and up have no entry.
fn eids(numbers: Numbers, group: usize) -> impl Iterator<Item = Update> {
    let via = |is_v6| -> IpAddr { if is_v6 { v6(1, 9).into() } else { v4(1, 9).into() } };
    let far = EidAction::Remote { set: numbers.set(group), classes: None };
    let by_class = EidAction::Remote { set: numbers.set(group), classes: Some(numbers.classes(group)) };
    let nowhere = |action| EidAction::Negative { action };
    [false, true].into_iter().flat_map(move |is_v6| {
        [
            eid(group, prefix(is_v6, 1), local(group, None)),
            eid(group, prefix(is_v6, 9), local(group, Some(via(is_v6)))),
            eid(group, prefix(is_v6, 2), far),
            eid(group, prefix(is_v6, 3), by_class),
            eid(group, prefix(is_v6, 4), nowhere(NegativeAction::Drop)),
            eid(group, prefix(is_v6, 5), nowhere(NegativeAction::Native)),
        ]
        .into_iter()
        .flatten()
    })
}

fn whole_site(numbers: Numbers) -> Vec<Update> {
    let mut all = vec![
        Update::SettingsUpsert { settings: settings(0) },
        Update::LocalRlocUpsert { address: own(false) },
        Update::LocalRlocUpsert { address: own(true) },
        hop(numbers, false, true),
        hop(numbers, true, false),
    ];
    all.extend([policy(4), policy(9)]);
    for at in 0..GROUPS.len() {
        all.extend(group(at).map(|group| Update::GroupUpsert { group }));
        all.extend((0..LOCATORS).map(|locator| adjacency(numbers, at, locator, 1500)));
        all.extend(set(numbers, at, 0));
        all.push(classes(numbers, at, 0x24));
        all.extend(eids(numbers, at));
        all.extend(dynamic(at));
    }
    all
}

//------------ frames ----------------------------------------------------------------------------------------

/// A packet's number: what it carries, and how it is found again.
fn mark(number: u16) -> [u8; 8] {
    let [a, b] = number.to_be_bytes();
    [MARK[0], MARK[1], MARK[2], MARK[3], a, b, !a, !b]
}

fn marks(frame: &[u8]) -> impl Iterator<Item = u16> {
    frame.windows(8).filter(|w| w[..4] == MARK).filter_map(|w| {
        let number = u16::from_be_bytes([w[4], w[5]]);
        (*w == mark(number)).then_some(number)
    })
}

fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(to) = bytes.get_mut(at..at + 2) {
        to.copy_from_slice(&value.to_be_bytes());
    }
}

fn ip_header(
    is_v6: bool,
    source: &[u8],
    destination: &[u8],
    ttl: u8,
    protocol: u8,
    payload: usize,
) -> Vec<u8> {
    let mut out = vec![0; if is_v6 { 40 } else { 20 }];
    if is_v6 {
        out[0] = 0x60;
        put_u16(&mut out, 4, payload as u16);
        (out[6], out[7]) = (protocol, ttl);
        out[8..24].copy_from_slice(source);
        out[24..].copy_from_slice(destination);
    } else {
        out[0] = 0x45;
        put_u16(&mut out, 2, 20 + payload as u16);
        (out[8], out[9]) = (ttl, protocol);
        out[12..16].copy_from_slice(source);
        out[16..].copy_from_slice(destination);
        let sum = checksum::fold(checksum::sum(&out));
        put_u16(&mut out, 10, sum);
    }
    out
}

fn mend_v4(packet: &mut [u8]) {
    if packet.first() == Some(&0x45) && packet.len() >= 20 {
        put_u16(packet, 10, 0);
        let sum = checksum::fold(checksum::sum(&packet[..20]));
        put_u16(packet, 10, sum);
    }
}

fn inner_packet(input: &mut Input<'_>, number: u16, from_net: u8) -> Vec<u8> {
    let shape = input.byte();
    let is_v6 = shape & 1 != 0;
    let (source, net, host, ttl) = (input.below(12), input.below(11), input.below(12), input.byte());
    let long = usize::from(input.byte()) * if shape & 2 != 0 { 6 } else { 0 };
    let (protocol, mut payload) = match (shape >> 2) & 3 {
        0 => (17, vec![3, 232, 7, 208, 0, 0, 0, 0]),
        // A SYN with an MSS option.
        1 => (6, vec![0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, 2, 0, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4]),
        2 if is_v6 => (58, vec![128, 0, 0, 0, 0, 1, 0, 2]),
        2 => (1, vec![8, 0, 0, 0, 0, 1, 0, 2]),
        // Behind an extension header, or a fragment's.
        _ if is_v6 => (44, vec![17, 0, 0, shape & 1, 0, 0, 0, 7, 3, 232, 7, 208, 0, 0, 0, 0]),
        _ => (1, vec![3, 4, 0, 0, 0, 0, 5, 0]),
    };
    payload.extend(mark(number));
    payload.resize(payload.len() + long, 0x5a);
    if protocol == 1 {
        let sum = checksum::fold(checksum::sum(&payload));
        put_u16(&mut payload, 2, sum);
    }
    let (from, to) = if is_v6 {
        (v6(from_net, source).to_vec(), v6(net, host).to_vec())
    } else {
        (v4(from_net, source).to_vec(), v4(net, host).to_vec())
    };
    if protocol == 58 {
        let sum =
            checksum::sum(&from) + checksum::sum(&to) + 58 + payload.len() as u32 + checksum::sum(&payload);
        put_u16(&mut payload, 2, checksum::fold(sum));
    }
    let mut packet = ip_header(is_v6, &from, &to, ttl, protocol, payload.len());
    if !is_v6 {
        // Don't-fragment and friends.
        packet[6] = input.byte() & 0x60;
        mend_v4(&mut packet);
    }
    packet.extend(payload);
    packet
}

fn ethernet(destination: Mac, source: Mac, vlan: u16, ethertype: [u8; 2]) -> Vec<u8> {
    let mut out = [destination.0, source.0].concat();
    if vlan != 0 {
        out.extend([0x81, 0]);
        out.extend(vlan.to_be_bytes());
    }
    out.extend(ethertype);
    out
}

fn ethertype(packet: &[u8]) -> [u8; 2] {
    if packet.first().is_some_and(|b| b >> 4 == 6) { [0x86, 0xdd] } else { [8, 0] }
}

fn host_mac(host: u8) -> Mac {
    Mac([2, 0xa, 0, 0, 0, host])
}

fn agent_frame(input: &mut Input<'_>, number: u16) -> (usize, Vec<u8>) {
    let (iid, port, vlan) = GROUPS[usize::from(input.below(4))];
    let net = if input.below(8) == 0 { input.below(11) } else { 1 };
    let packet = inner_packet(input, number, net);
    let mut frame = ethernet(gateway_mac(iid), host_mac(1), vlan, ethertype(&packet));
    frame.extend(packet);
    (usize::from(port), frame)
}

fn tunnel_frame(input: &mut Input<'_>, number: u16) -> (usize, Vec<u8>) {
    let iid = GROUPS[usize::from(input.below(4))].0;
    let sender = if input.below(8) == 0 { GROUPS[usize::from(input.below(4))].0 } else { iid };
    let (far, flags, ttl, tos) =
        (remote(sender, input.below(3).into()), input.byte(), input.byte(), input.byte());
    let port = if input.below(4) == 0 { 3 } else { UNDERLAY };
    let net = 2 + input.below(6);
    let inner = inner_packet(input, number, net);
    let mut payload = vec![0xc3, 0, 0x10, 0xf5, 0, 0, 0, 0];
    put_u16(&mut payload, 4, 16 + inner.len() as u16);
    // The I bit unless the input insists; key bits now and then.
    payload.push(if flags & 0xf0 == 0xf0 { flags } else { 0x08 | flags & 0xf0 });
    // With a nonce and no more: relayed so often.
    payload.extend(if flags & 0xf0 == 0x80 { [b'S', b'T', flags & 3] } else { [0, 0, flags & 1] });
    payload.extend((iid << 8).to_be_bytes());
    payload.extend(inner);
    let bytes = |address: IpAddr| match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    let (from, to) = (bytes(far), bytes(own(far.is_ipv6())));
    let mut packet = ip_header(far.is_ipv6(), &from, &to, ttl, 17, payload.len());
    if far.is_ipv4() {
        packet[1] = tos;
        mend_v4(&mut packet);
    }
    packet.extend(payload);
    let mut frame = ethernet(OURS, CORE, 0, ethertype(&packet));
    frame.extend(packet);
    (usize::from(port), frame)
}

fn arp_frame(input: &mut Input<'_>) -> (usize, Vec<u8>) {
    let (iid, port, vlan) = GROUPS[usize::from(input.below(4))];
    let (operation, host, net, target) = (input.below(4), input.below(12), input.below(11), input.below(12));
    let net = if net > 5 && net != DYNAMIC { 1 } else { net };
    let mac = if operation == 3 { gateway_mac(iid) } else { host_mac(host) };
    let mut frame = ethernet(Mac([0xff; 6]), mac, vlan, [8, 6]);
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1 + (operation & 1)]);
    frame.extend(mac.0);
    frame.extend(v4(net, host));
    frame.extend([0; 6]);
    frame.extend(v4(1, target));
    (usize::from(port), frame)
}

fn ndisc_frame(input: &mut Input<'_>) -> (usize, Vec<u8>) {
    let (_, port, vlan) = GROUPS[usize::from(input.below(4))];
    let (kind, host, net, target) = (input.below(4), input.below(12), input.below(3), input.below(12));
    let mac = host_mac(host);
    let (from, asked) = (v6(1, host), v6(1 + net, if kind & 1 == 0 { target } else { host }));
    let mut message = vec![135 + (kind & 1), 0, 0, 0, 0, 0, 0, 0];
    message.extend(asked);
    message.extend([1 + (kind & 1), 1]);
    message.extend(mac.0);
    let to = v6(1, 1);
    let sum = checksum::sum(&from) + checksum::sum(&to) + 58 + message.len() as u32 + checksum::sum(&message);
    put_u16(&mut message, 2, checksum::fold(sum));
    let mut frame = ethernet(gateway_mac(100), mac, vlan, [0x86, 0xdd]);
    frame.extend(ip_header(true, &from, &to, 255, 58, message.len()));
    frame.extend(message);
    (usize::from(port), frame)
}

//------------ judgement -------------------------------------------------------------------------------------

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
fn belongs(port: usize, frame: &[u8]) -> Option<u32> {
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
fn judge_tunnel(frame: &[u8], came: &[Option<u32>]) {
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
fn judge_eid(port: usize, frame: &[u8], came: &[Option<u32>]) {
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

//------------ the run ---------------------------------------------------------------------------------------

struct Run {
    rig: Rig,
    numbers: Numbers,
    /// By packet number: the group it came in for.
    came: Vec<Option<u32>>,
}

impl Run {
    fn new() -> Option<Run> {
        let row = |(at, side): (usize, &Side)| PortRow {
            side: *side,
            mac: Mac([2, 0, 0, 1, 0, at as u8]),
            mtu: 1500,
        };
        let ports = SIDES.iter().enumerate().map(row).collect();
        let options = RigOptions { frames: 1024, hold_packets: 64, max_eids: 512, ..RigOptions::new(ports) };
        let mut rig = Rig::new(&options).ok()?;
        let numbers = Numbers(1);
        let applied = rig.apply(&whole_site(numbers)).is_ok();
        assert!(applied, "the site keeps the contract");
        Some(Run { rig, numbers, came: Vec::new() })
    }

    fn inject(&mut self, port: usize, frame: &[u8]) {
        self.came.push(belongs(port, frame));
        self.rig.inject(port, frame);
    }

    fn settle(&mut self, ns: u64) {
        self.rig.pass(ns);
        for (port, side) in SIDES.iter().enumerate() {
            for frame in self.rig.collect(port) {
                let tagged = frame.get(12..14) == Some(&[0x81, 0]);
                if *side == Side::Rloc || (*side == Side::Both && !tagged) {
                    judge_tunnel(&frame, &self.came);
                } else {
                    judge_eid(port, &frame, &self.came);
                }
            }
        }
    }

    fn apply(&mut self, updates: &[Update]) {
        let fault = self.rig.apply(updates).err();
        assert_eq!(fault, None, "these updates keep the contract");
    }

    fn update(&mut self, input: &mut Input<'_>) {
        let (kind, at, bits) = (input.below(26), usize::from(input.below(4)), input.byte());
        let numbers = self.numbers;
        let iid = Iid::new(GROUPS[at].0);
        let (net, is_v6) = (1 + bits % 10, bits & 0x80 != 0);
        let is_local = matches!(net, 1 | 9);
        let far = EidAction::Remote { set: numbers.set(at), classes: None };
        let update = match kind {
            0 => Some(hop(numbers, false, bits & 1 == 0)),
            1 => Some(adjacency(numbers, at, u32::from(bits % 3), 68 + u16::from(bits) * 8)),
            2 => set(numbers, at, bits),
            3 => eid(at, prefix(is_v6, net), if is_local { local(at, None) } else { far }),
            4 => iid.zip(prefix(is_v6, net)).map(|(iid, prefix)| Update::EidDelete { iid, prefix }),
            // A host of the served prefix that is served as such, or is nowhere.
            5 => eid(at, Some(Prefix::host(v4(1, bits % 12).into())), local(at, None)),
            6 => {
                let nowhere = EidAction::Negative { action: NegativeAction::Drop };
                eid(at, Some(Prefix::host(v4(1, bits % 12).into())), nowhere)
            }
            7 => {
                let prefix = Some(Prefix::host(v4(1, bits % 12).into()));
                iid.zip(prefix).map(|(iid, prefix)| Update::EidDelete { iid, prefix })
            }
            8 => iid.map(|iid| Update::GroupDelete { iid }),
            9 => group(at).map(|group| Update::GroupUpsert { group }),
            10 => Some(Update::LocalRlocDelete { address: own(is_v6) }),
            11 => Some(Update::LocalRlocUpsert { address: own(is_v6) }),
            12 => Some(Update::SettingsUpsert { settings: settings(bits) }),
            13 => return self.resync(bits),
            _ => return self.move_agent(kind, at, bits),
        };
        self.apply(update.as_slice());
    }

    /// An agent comes, leaves, is relayed for or asked for.
    fn move_agent(&mut self, kind: u8, at: usize, bits: u8) {
        let Some(iid) = Iid::new(GROUPS[at].0) else { return };
        let (_, port, vlan) = GROUPS[at];
        let host = bits % 12;
        let agent: IpAddr =
            if bits & 0x80 != 0 { v6(DYNAMIC, host).into() } else { v4(DYNAMIC, host).into() };
        let from = remote(iid.get(), u32::from(bits >> 4) % LOCATORS);
        let becomes = |action| Update::EidUpsert { iid, prefix: Prefix::host(agent), action };
        let mac = host_mac(host);
        let range = prefix(agent.is_ipv6(), DYNAMIC);
        let update = match kind {
            14 => becomes(EidAction::LocalHost { port, vlan: VlanId::new(vlan), mac }),
            15 => becomes(EidAction::Away { set: self.numbers.set(at) }),
            16 => becomes(EidAction::Hold),
            17 => becomes(local(at, None)),
            18 => Update::RelayAllow { iid, eid: agent, from },
            19 => Update::RelayForbid { iid, eid: agent, from },
            20 => Update::AgentCheck { iid, eid: agent },
            21 | 22 => {
                let (set, rows) = (self.numbers.set(at), self.numbers.classes(at));
                let set = (bits & 0x10 == 0).then_some(set);
                let classes = (bits & 0x20 == 0).then_some(rows);
                becomes(EidAction::Skill { port, vlan: VlanId::new(vlan), mac, set, classes })
            }
            23 => classes(self.numbers, at, bits),
            24 if bits & 0x0c == 0x0c => Update::PolicyDelete { index: bits % 3, more: bits & 0x10 != 0 },
            24 => policy(bits),
            _ => match range {
                Some(prefix) if bits & 1 == 0 => Update::DynamicDelete { iid, prefix },
                Some(prefix) => Update::DynamicUpsert { iid, prefix },
                None => return,
            },
        };
        self.apply(&[update]);
    }

    /// A control plane that starts anew, with other numbers; sometimes it dies before it is done.
    fn resync(&mut self, bits: u8) {
        self.rig.begin_session();
        self.numbers = Numbers(self.numbers.0 + 1 + u32::from(bits));
        let numbers = self.numbers;
        let generation = u64::from(numbers.0);
        let mut updates = vec![Update::BeginSync { generation }];
        updates.extend(whole_site(numbers));
        if bits & 1 != 0 {
            self.apply(&updates[..1 + usize::from(bits) % updates.len().max(2).saturating_sub(1)]);
            return self.resync(bits & 0x1e);
        }
        updates.push(Update::EndSync { generation });
        self.apply(&updates);
    }

    fn finish(mut self) {
        // The last frames come in; then longer than any packet is held, so that housekeeping has looked as well.
        self.settle(0);
        self.settle(4_000_000_000);
        let balance = self.rig.balance();
        assert_eq!((balance.error, balance.held), (0, 0), "{balance:?}");
        assert_eq!(self.rig.counter("frames_leaked"), 0);
    }
}

/// Runs the site on arbitrary bytes.
///
/// Panics when a packet escapes the books, a frame is lost, something but LISP to a locator of the right group
/// leaves on the underlay, or a group sees what came in for another.
pub fn fuzz_step(data: &[u8]) {
    let Some(mut run) = Run::new() else { return };
    let mut input = Input(&data[..data.len().min(INPUT_MAX)]);
    // Bytes to change in the next frame.
    let mut damage: Vec<(u8, u8)> = Vec::new();
    while !input.0.is_empty() && run.came.len() < FRAMES_MAX {
        let number = run.came.len() as u16;
        let (port, mut frame) = match input.below(10) {
            0 | 1 => agent_frame(&mut input, number),
            2 | 3 => tunnel_frame(&mut input, number),
            4 => arp_frame(&mut input),
            5 => ndisc_frame(&mut input),
            6 => {
                let (port, len) = (usize::from(input.below(4)), usize::from(input.byte()));
                (port, input.take(len))
            }
            7 => {
                damage.push((input.byte(), input.byte()));
                continue;
            }
            8 => {
                run.update(&mut input);
                continue;
            }
            _ => {
                let ns = u64::from(input.byte()) * 20_000_000;
                run.settle(ns);
                continue;
            }
        };
        for (at, with) in damage.drain(..) {
            match frame.get_mut(usize::from(at)) {
                Some(byte) => *byte ^= with,
                // Behind the end: shorten it instead.
                None => frame.truncate(usize::from(with)),
            }
        }
        run.inject(port, &frame);
    }
    run.finish();
}
