//! The site that the frames come to: its groups, and the updates that make it.

use crate::layout::Side;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sterna_shm::{
    Adjacency, ClassRow, ClassRows, EidAction, Group, LOCAL, Locator, LocatorSet, NegativeAction, NextHop,
    Policy, Settings, Update,
};
use sterna_wire::{Iid, Mac, Prefix, VlanId};

/// (iid, port, VLAN).
pub(super) const GROUPS: [(u32, u16, u16); 4] = [(100, 0, 0), (200, 1, 0), (300, 0, 30), (400, 3, 40)];
pub(super) const SIDES: [Side; 4] = [Side::Eid, Side::Eid, Side::Rloc, Side::Both];
pub(super) const UNDERLAY: u16 = 2;
pub(super) const OURS: Mac = Mac([2, 0xd, 0, 0, 0, 1]);
pub(super) const CORE: Mac = Mac([2, 0xc, 0, 0, 0, 1]);
pub(super) const LOCATORS: u32 = 3;

pub(super) fn own(v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()
    } else {
        Ipv4Addr::new(192, 0, 2, 1).into()
    }
}

/// Locator `n` of a group: two of IPv4, one of IPv6.
pub(super) fn remote(iid: u32, n: u32) -> IpAddr {
    let (high, low) = ((iid / 100) as u8, n as u8);
    match n {
        2 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, high.into(), low.into()).into(),
        _ => Ipv4Addr::new(198, 51, high, low + 1).into(),
    }
}

pub(super) fn gateway_mac(iid: u32) -> Mac {
    Mac([2, 0x53, 0x54, 0, 0, (iid / 100) as u8])
}

pub(super) fn v4(net: u8, host: u8) -> [u8; 4] {
    [10, 1, net, host]
}

pub(super) fn v6(net: u8, host: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&[0xfd, 0]);
    (address[5], address[15]) = (net, host);
    address
}

pub(super) fn prefix(is_v6: bool, net: u8) -> Option<Prefix> {
    if is_v6 {
        Prefix::masked(Ipv6Addr::from(v6(net, 0)).into(), 48).ok()
    } else {
        Prefix::masked(Ipv4Addr::from(v4(net, 0)).into(), 24).ok()
    }
}

/// The numbers of a session start here, so that each session counts differently.
#[derive(Clone, Copy)]
pub(super) struct Numbers(pub(super) u32);

impl Numbers {
    pub(super) fn adjacency(self, group: usize, locator: u32) -> u32 {
        self.0 + group as u32 * LOCATORS + locator
    }

    pub(super) fn set(self, group: usize) -> u32 {
        self.0 + 1000 + group as u32
    }

    pub(super) fn classes(self, group: usize) -> u32 {
        self.0 + 3000 + group as u32
    }

    /// One hop that is resolved and one that is not.
    pub(super) fn hop(self, unresolved: bool) -> u32 {
        self.0 + 2000 + u32::from(unresolved)
    }
}

pub(super) fn settings(bits: u8) -> Settings {
    Settings {
        mss_clamp: bits & 1 == 0,
        dscp_decap_pipe: bits & 2 != 0,
        udp_source_fixed: (bits & 4 != 0).then_some(4341),
        smallest_underlay_mtu: 1500,
        outer_df: bits & 8 == 0,
        eid_api_port: (bits & 16 != 0).then_some(2000),
    }
}

pub(super) fn group(at: usize) -> Option<Group> {
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

pub(super) fn hop(numbers: Numbers, unresolved: bool, has_mac: bool) -> Update {
    let hop = NextHop { port: UNDERLAY, source: OURS, destination: has_mac.then_some(CORE) };
    Update::NextHopUpsert { id: numbers.hop(unresolved), hop }
}

pub(super) fn adjacency(numbers: Numbers, group: usize, locator: u32, mtu: u16) -> Update {
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

pub(super) fn set(numbers: Numbers, group: usize, bits: u8) -> Option<Update> {
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
pub(super) fn classes(numbers: Numbers, group: usize, bits: u8) -> Update {
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
pub(super) fn policy(bits: u8) -> Update {
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

pub(super) fn eid(group: usize, prefix: Option<Prefix>, action: EidAction) -> Option<Update> {
    Some(Update::EidUpsert { iid: Iid::new(GROUPS[group].0)?, prefix: prefix?, action })
}

pub(super) fn local(group: usize, via: Option<IpAddr>) -> EidAction {
    let (_, port, vlan) = GROUPS[group];
    EidAction::Local { port, vlan: VlanId::new(vlan), via }
}

/// In this net agents come and go.
pub(super) const DYNAMIC: u8 = 7;

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

pub(super) fn whole_site(numbers: Numbers) -> Vec<Update> {
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
