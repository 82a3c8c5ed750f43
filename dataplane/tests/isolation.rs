//! Two groups with the same EIDs, on one port by VLAN and on another, and what must never cross between them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use site::*;
use sterna_dataplane::layout::{PortRow, Side};
use sterna_dataplane::rig::{Rig, RigOptions};
use sterna_shm::{Adjacency, EidAction, Group, Locator, LocatorSet, NextHop, Update};
use sterna_wire::{Iid, Mac, Prefix, VlanId};

/// Group 100 untagged and 200 on VLAN 20 of port 0; 300 on VLAN 30 of port 2, which is the underlay's too. Each group
/// has one remote site of its own, 192.0.2.(iid / 100 + 1).
fn three_groups() -> Rig {
    let port = |side, mac| PortRow { side, mac: Mac(mac), mtu: 1500 };
    let ports = vec![port(Side::Eid, [2, 0, 0, 0, 0, 0x11]), port(Side::Rloc, OURS), port(Side::Both, OURS)];
    let mut rig = Rig::new(&RigOptions::new(ports)).unwrap();
    let hop = NextHop { port: 1, source: Mac(OURS), destination: Some(Mac(CORE)) };
    let mut updates =
        vec![Update::LocalRlocUpsert { address: address("192.0.2.1") }, Update::NextHopUpsert { id: 0, hop }];
    for (iid, port, vlan) in [(100, 0, 0), (200, 0, 20), (300, 2, 30)] {
        let vlan = VlanId::new(vlan);
        let adjacency = Adjacency {
            next_hop: 0,
            local: address("192.0.2.1"),
            remote: address(&format!("192.0.2.{}", iid / 100 + 1)),
            mtu: 1500,
            udp_checksum: false,
        };
        let locator = Locator { adjacency: iid, priority: 1, weight: 1, usable: true, keep: false };
        let entry = |prefix: &str, action| Update::EidUpsert {
            iid: Iid::new(iid).unwrap(),
            prefix: prefix.parse::<Prefix>().unwrap(),
            action,
        };
        updates.extend([
            Update::GroupUpsert { group: Group { port, vlan, ..group(iid) } },
            Update::AdjacencyUpsert { id: iid, adjacency },
            Update::SetUpsert { id: iid, set: LocatorSet::new(&[locator]).unwrap() },
            entry("10.1.0.0/24", EidAction::Local { port, vlan, via: None }),
            entry("10.1.2.0/24", EidAction::Remote { set: iid, classes: None }),
        ]);
    }
    rig.apply(&updates).unwrap();
    rig
}

/// Puts a tag into an untagged frame.
fn tagged(vlan: u16, frame: &[u8]) -> Vec<u8> {
    let [a, b] = vlan.to_be_bytes();
    [&frame[..12], &[0x81, 0, a, b], &frame[12..]].concat()
}

fn host(last: u8) -> [u8; 6] {
    [2, 0xa, 0, 0, 0, last]
}

fn attach(rig: &mut Rig) {
    rig.inject(0, &arp(2, host(1), [10, 1, 0, 5], [10, 1, 0, 1]));
    rig.inject(0, &tagged(20, &arp(2, host(2), [10, 1, 0, 5], [10, 1, 0, 1])));
    rig.inject(2, &tagged(30, &arp(2, host(3), [10, 1, 0, 5], [10, 1, 0, 1])));
    rig.settle();
    assert_eq!(rig.counter("neighbors_learned"), 3);
}

#[test]
fn each_groups_tunnel_reaches_its_own_agent_only() {
    let mut rig = three_groups();
    attach(&mut rig);
    let inner = udp("10.1.2.9", "10.1.0.5", 64, 10);
    for (iid, outer, port, to) in
        [(100, "192.0.2.2", 0, host(1)), (200, "192.0.2.3", 0, host(2)), (300, "192.0.2.4", 2, host(3))]
    {
        // On either port of the underlay.
        for ingress in [1, 2] {
            rig.inject(ingress, &tunnelled(outer, iid, &inner[14..]));
        }
        rig.settle();
        let out = rig.collect(port);
        assert_eq!(out.len(), 2, "group {iid}");
        assert!(out.iter().all(|frame| frame[..6] == to), "group {iid}");
        assert_eq!(out[0][12..14] == [0x81, 0], iid != 100);
        assert!(rig.collect(2 - port).is_empty());
        // Another group's site may not speak in this one.
        for other in ["192.0.2.2", "192.0.2.3", "192.0.2.4"].iter().filter(|other| **other != outer) {
            rig.inject(1, &tunnelled(other, iid, &inner[14..]));
        }
        rig.settle();
        assert!(rig.collect(0).is_empty() && rig.collect(2).is_empty());
    }
    // They wait for news of a move, which does not come.
    assert_eq!((rig.counter("drop_rloc_spoof"), rig.counter("held")), (0, 6));
    rig.pass(4_000_000_000);
    assert_eq!((rig.counter("drop_rloc_spoof"), rig.counter("held")), (6, 0));
    assert_balanced(&rig);
}

#[test]
fn each_groups_agent_leaves_with_its_own_instance_id_to_its_own_site() {
    let mut rig = three_groups();
    let packet = udp("10.1.0.5", "10.1.2.9", 64, 10);
    let sent = [(100u8, 0, packet.clone()), (200, 0, tagged(20, &packet)), (44, 2, tagged(30, &packet))];
    for (iid, port, frame) in sent {
        rig.inject(port, &frame);
        rig.settle();
        let out = rig.collect(1);
        assert_eq!(out.len(), 1);
        assert_eq!(out[0][48], iid, "the low byte of the instance-ID");
    }
    // A priority tag is no VLAN; an unknown VLAN, two tags and a tag on the wrong port are nobody's.
    rig.inject(0, &tagged(0x6000, &packet));
    rig.settle();
    assert_eq!(rig.collect(1)[0][48], 100);
    for (port, frame) in [(0, tagged(21, &packet)), (0, tagged(30, &packet)), (2, tagged(20, &packet))] {
        rig.inject(port, &frame);
    }
    rig.inject(0, &tagged(20, &tagged(20, &packet)));
    rig.inject(2, &packet);
    rig.settle();
    assert!((0..3).all(|port| rig.collect(port).is_empty()));
    assert_eq!((rig.counter("drop_unknown_vlan"), rig.counter("drop_not_ip")), (3, 1));
    assert_balanced(&rig);
}

#[test]
fn agents_of_two_groups_with_one_address_do_not_meet() {
    let mut rig = three_groups();
    attach(&mut rig);
    rig.inject(0, &arp(2, host(9), [10, 1, 0, 6], [10, 1, 0, 1]));
    rig.settle();
    rig.collect(0);
    // To the neighbour that only group 100 has.
    let packet = udp("10.1.0.5", "10.1.0.6", 64, 10);
    rig.inject(0, &packet);
    rig.inject(0, &tagged(20, &packet));
    rig.inject(2, &tagged(30, &packet));
    rig.settle();
    let arrived: Vec<_> = rig.collect(0).into_iter().filter(|f| f[..6] == host(9)).collect();
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0][12..14], [8, 0], "untagged");
    assert_eq!(rig.counter("held"), 2, "the others ask in their own VLANs");
    assert_balanced(&rig);
}

#[test]
fn an_entry_on_another_groups_attachment_is_no_way() {
    let mut rig = three_groups();
    attach(&mut rig);
    // Group 200's prefix said to be where group 100 is.
    let astray = EidAction::LocalHost { port: 0, vlan: None, mac: Mac(host(1)) };
    let prefix = "10.1.0.7/32".parse().unwrap();
    rig.apply(&[Update::EidUpsert { iid: Iid::new(200).unwrap(), prefix, action: astray }]).unwrap();
    rig.inject(1, &tunnelled("192.0.2.3", 200, &udp("10.1.2.9", "10.1.0.7", 64, 10)[14..]));
    rig.settle();
    assert!(rig.collect(0).is_empty());
    assert_eq!(rig.counter("drop_port_gone"), 1);
    assert_balanced(&rig);
}

#[test]
fn a_removed_group_and_a_removed_rloc_are_closed_for_held_packets_too() {
    let mut rig = three_groups();
    let inner = udp("10.1.2.9", "10.1.0.5", 64, 10);
    rig.inject(1, &tunnelled("192.0.2.2", 100, &inner[14..]));
    rig.inject(1, &tunnelled("192.0.2.3", 200, &inner[14..]));
    rig.settle();
    assert_eq!(rig.counter("held"), 2);
    rig.apply(&[Update::GroupDelete { iid: Iid::new(100).unwrap() }]).unwrap();
    rig.settle();
    assert_eq!((rig.counter("held"), rig.counter("drop_unknown_iid")), (1, 1));
    rig.apply(&[Update::LocalRlocDelete { address: address("192.0.2.1") }]).unwrap();
    rig.settle();
    assert_eq!((rig.counter("held"), rig.counter("drop_not_our_rloc")), (0, 1));
    assert_balanced(&rig);
}

#[test]
fn errors_are_never_told_about_errors_nor_for_what_was_not_sent_here() {
    let mut rig = site();
    rig.inject(0, &arp(2, HOST, [10, 1, 0, 5], [10, 1, 0, 1]));
    rig.settle();
    rig.collect(0);
    // An ICMP error whose TTL runs out.
    let mut error = ping("10.1.0.5", "10.1.2.9");
    error[22] = 1;
    (error[34], error[35]) = (3, 1);
    mend_ipv4(&mut error);
    rig.inject(0, &error);
    // From a source that is not here, and from nobody's locator.
    rig.inject(0, &udp("10.9.0.5", "10.1.2.9", 1, 10));
    rig.inject(1, &tunnelled("198.51.100.9", 100, &udp("10.1.2.9", "10.1.0.5", 0, 10)[14..]));
    rig.settle();
    assert!(rig.collect(0).is_empty() && rig.collect(1).is_empty());
    assert_eq!(rig.counter("icmp_errors"), 0);
    // The same packet many times: one error, and it is not answered when it comes back.
    for _ in 0..20 {
        rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 1, 10));
    }
    rig.settle();
    assert_eq!((rig.collect(0).len(), rig.counter("icmp_suppressed")), (1, 19));
    assert_balanced(&rig);
}
