//! The packet's way, driven through the in-memory gateway.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use proptest::prelude::*;
use site::*;
use sterna_shm::{Adjacency, EidAction, Event, Locator, LocatorSet, NegativeAction, Update};
use sterna_wire::Mac;

#[test]
fn an_agents_packet_is_encapsulated_for_its_site() {
    let mut rig = site();
    assert!(rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 64, 100)));
    rig.settle();
    let out = rig.collect(1);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].len(), 14 + 36 + 128);
    assert_eq!(out[0][..14], [CORE.as_slice(), &OURS, &[8, 0]].concat());
    assert_eq!(out[0][46..50], [0, 0, 100, 0]);
    assert_eq!((rig.counter("encapsulated"), rig.counter("tx_packets")), (1, 1));
    assert_balanced(&rig);
}

#[test]
fn a_packet_from_the_tunnel_waits_for_arp_and_then_arrives() {
    let mut rig = site();
    let inner = &udp("10.1.2.9", "10.1.0.5", 64, 50)[14..];
    for _ in 0..3 {
        assert!(rig.inject(1, &tunnelled("192.0.2.2", 100, inner)));
    }
    rig.settle();
    let asked = rig.collect(0);
    assert_eq!(asked.len(), 1, "one ARP request for three packets");
    assert_eq!(asked[0][12..14], [8, 6]);
    assert_eq!(rig.counter("held"), 3);
    assert_balanced(&rig);
    rig.inject(0, &arp(2, HOST, [10, 1, 0, 5], [10, 1, 0, 1]));
    let events = rig.settle();
    assert!(matches!(events[..], [Event::Agent { mac: Mac(HOST), .. }]), "{events:?}");
    let delivered = rig.collect(0);
    assert_eq!(delivered.len(), 3);
    assert!(delivered.iter().all(|f| f[..6] == HOST && f[6..12] == GATEWAY && f[22] == 60));
    assert_eq!((rig.counter("held"), rig.counter("decapsulated")), (0, 3));
    assert_balanced(&rig);
}

#[test]
fn spoofed_sources_are_refused_on_either_side() {
    let mut rig = site();
    rig.inject(0, &udp("10.9.9.9", "10.1.2.9", 64, 10));
    rig.inject(1, &tunnelled("198.51.100.1", 100, &udp("10.1.2.9", "10.1.0.5", 64, 10)[14..]));
    rig.inject(1, &tunnelled("192.0.2.2", 100, &udp("10.1.0.6", "10.1.0.5", 64, 10)[14..]));
    rig.inject(1, &tunnelled("192.0.2.2", 101, &udp("10.1.2.9", "10.1.0.5", 64, 10)[14..]));
    rig.settle();
    assert!(rig.collect(0).is_empty() && rig.collect(1).is_empty());
    assert_eq!(rig.counter("drop_src_not_local"), 1);
    // One of our own EIDs cannot be elsewhere; a remote one may have moved, until its mapping is confirmed.
    assert_eq!((rig.counter("drop_rloc_spoof"), rig.counter("held")), (1, 1));
    rig.apply(&[eid("10.1.2.0/24", EidAction::Remote { set: 3, classes: None })]).unwrap();
    rig.settle();
    assert_eq!((rig.counter("drop_rloc_spoof"), rig.counter("held")), (2, 0));
    assert_eq!(rig.counter("drop_unknown_iid"), 1);
    assert_balanced(&rig);
}

#[test]
fn a_miss_is_held_repeated_answered_or_given_up() {
    let mut rig = site();
    rig.inject(0, &udp("10.1.0.5", "10.1.77.1", 64, 10));
    let events = rig.settle();
    assert!(matches!(events[..], [Event::Miss { source: false, .. }]), "{events:?}");
    assert!(matches!(rig.pass(600_000_000)[..], [Event::Miss { .. }]), "repeated");
    rig.apply(&[eid("10.1.77.0/24", EidAction::Remote { set: 3, classes: None })]).unwrap();
    rig.settle();
    assert_eq!(rig.collect(1).len(), 1);
    rig.inject(0, &udp("10.1.0.5", "10.1.78.1", 64, 10));
    rig.settle();
    rig.pass(4_000_000_000);
    assert_eq!((rig.counter("drop_hold_expired"), rig.counter("held")), (1, 0));
    rig.inject(0, &udp("10.1.0.5", "10.1.79.1", 64, 10));
    rig.settle();
    rig.apply(&[eid("10.1.79.1/32", EidAction::Negative { action: NegativeAction::Drop })]).unwrap();
    rig.settle();
    assert_eq!(rig.counter("drop_negative"), 1);
    assert_balanced(&rig);
}

#[test]
fn packets_behind_a_held_one_keep_their_order() {
    let mut rig = rig();
    rig.apply(&site_updates(None)).unwrap();
    for i in 0..100u8 {
        rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 64, usize::from(i)));
        if i == 50 {
            rig.settle();
        }
    }
    rig.settle();
    assert_eq!(rig.counter("held"), 32, "an eighth of the pool for one EID");
    rig.apply(&site_updates(Some(Mac(CORE)))).unwrap();
    for _ in 0..20 {
        rig.pass(2_000_000);
    }
    let lengths: Vec<_> = rig.collect(1).iter().map(Vec::len).collect();
    assert_eq!(lengths.len(), 32);
    assert!(lengths.windows(2).all(|w| w[0] < w[1]), "{lengths:?}");
    assert_balanced(&rig);
}

#[test]
fn a_resync_with_other_numbers_disturbs_nothing_and_sweeps_the_rest() {
    let mut rig = site();
    rig.inject(0, &arp(1, HOST, [10, 1, 0, 5], [10, 1, 0, 1]));
    rig.settle();
    assert_eq!(rig.collect(0).len(), 1, "ARP reply");
    rig.begin_session();
    let mut updates = vec![Update::BeginSync { generation: 2 }];
    // The new control plane numbers in another order and no longer knows 10.1.2.0/24's neighbour prefix.
    for update in site_updates(Some(Mac(CORE))) {
        updates.push(match update {
            Update::NextHopUpsert { hop, .. } => Update::NextHopUpsert { id: 7, hop },
            Update::AdjacencyUpsert { adjacency, .. } => {
                Update::AdjacencyUpsert { id: 3, adjacency: Adjacency { next_hop: 7, ..adjacency } }
            }
            Update::SetUpsert { .. } => {
                let locator = Locator { adjacency: 3, priority: 1, weight: 100, usable: true, keep: false };
                Update::SetUpsert { id: 1, set: LocatorSet::new(&[locator]).unwrap() }
            }
            Update::EidUpsert { iid, prefix, action: EidAction::Remote { .. } } => {
                Update::EidUpsert { iid, prefix, action: EidAction::Remote { set: 1, classes: None } }
            }
            other => other,
        });
        rig.apply(&updates.split_off(0)).unwrap();
        rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 64, 10));
        rig.settle();
        assert_eq!(rig.collect(1).len(), 1, "forwarding never stops");
    }
    rig.apply(&[eid("10.1.99.0/24", EidAction::Remote { set: 1, classes: None })]).unwrap();
    let (events, _) = rig.apply(&[Update::EndSync { generation: 2 }]).unwrap();
    assert_eq!(events, [Event::Applied { generation: 2 }]);
    // The agent learned before is still known: no ARP, no hold.
    rig.inject(1, &tunnelled("192.0.2.2", 100, &udp("10.1.2.9", "10.1.0.5", 64, 10)[14..]));
    rig.settle();
    assert_eq!(rig.collect(0).len(), 1);
    // A second sync that does not mention 10.1.99.0/24 removes it.
    let mut again = vec![Update::BeginSync { generation: 3 }];
    again.extend(site_updates(Some(Mac(CORE))));
    again.push(Update::EndSync { generation: 3 });
    rig.begin_session();
    rig.apply(&again).unwrap();
    rig.inject(0, &udp("10.1.0.5", "10.1.99.1", 64, 10));
    assert!(matches!(rig.settle()[..], [Event::Miss { .. }]));
    assert_balanced(&rig);
}

#[test]
fn an_unknown_number_fails_the_channel_and_forwarding_goes_on() {
    let mut rig = site();
    assert!(rig.apply(&[eid("10.1.50.0/24", EidAction::Remote { set: 99, classes: None })]).is_err());
    rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 64, 10));
    rig.settle();
    assert_eq!(rig.collect(1).len(), 1);
}

#[test]
fn without_frames_and_without_room_in_the_ring_every_packet_is_still_accounted_for() {
    let mut rig = site();
    for round in 0..40 {
        for i in 0..64 {
            rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 64, round + i));
        }
        // Nobody collects: completions stay away, the ring and then the frames run out.
        rig.settle();
    }
    let starved = rig.counter("drop_no_tx_frame") + rig.counter("drop_tx_ring_full");
    assert!(starved > 0);
    assert_eq!(rig.counter("rx_packets"), rig.counter("tx_packets") + starved);
    assert_balanced(&rig);
    while !rig.collect(1).is_empty() {
        rig.settle();
    }
    rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 64, 1));
    rig.settle();
    assert_eq!(rig.collect(1).len(), 1, "and it recovers");
}

#[derive(Clone, Debug)]
enum Given {
    Agent { source: u8, destination: (u8, u8), ttl: u8, len: u16 },
    Tunnel { outer: u8, iid: u32, source: (u8, u8), destination: u8, ttl: u8 },
    Arp { operation: u8, sender: u8, target: u8 },
    Noise(bool, Vec<u8>),
    Damaged { at: u16, with: u8, len: u16 },
}

fn given() -> impl Strategy<Value = Given> {
    prop_oneof![
        (0u8..8, (0u8..4, 0u8..4), 0u8..4, 0u16..1473)
            .prop_map(|(source, destination, ttl, len)| Given::Agent { source, destination, ttl, len }),
        (0u8..4, 99u32..102, (0u8..4, 0u8..4), 0u8..8, 0u8..4).prop_map(
            |(outer, iid, source, destination, ttl)| Given::Tunnel { outer, iid, source, destination, ttl }
        ),
        (0u8..4, 0u8..8, 0u8..8).prop_map(|(operation, sender, target)| Given::Arp {
            operation,
            sender,
            target
        }),
        (any::<bool>(), proptest::collection::vec(any::<u8>(), 14..200))
            .prop_map(|(p, b)| Given::Noise(p, b)),
        (0u16..120, any::<u8>(), 14u16..120).prop_map(|(at, with, len)| Given::Damaged { at, with, len }),
    ]
}

fn frame(given: &Given) -> (usize, Vec<u8>) {
    match given {
        Given::Agent { source, destination: (net, host), ttl, len } => {
            (0, udp(&format!("10.1.0.{source}"), &format!("10.1.{net}.{host}"), *ttl, usize::from(*len)))
        }
        Given::Tunnel { outer, iid, source: (net, host), destination, ttl } => {
            let inner = udp(&format!("10.1.{net}.{host}"), &format!("10.1.0.{destination}"), *ttl, 20);
            (1, tunnelled(&format!("192.0.2.{outer}"), *iid, &inner[14..]))
        }
        Given::Arp { operation, sender, target } => {
            (0, arp(*operation, [2, 9, 9, 9, 9, *sender], [10, 1, 0, *sender], [10, 1, 0, *target]))
        }
        Given::Noise(side, bytes) => (usize::from(*side), bytes.clone()),
        Given::Damaged { at, with, len } => {
            let inner = udp("10.1.2.1", "10.1.0.5", 64, 40);
            let mut frame = tunnelled("192.0.2.2", 100, &inner[14..]);
            if let Some(byte) = frame.get_mut(usize::from(*at)) {
                *byte = *with;
            }
            frame.truncate(usize::from(*len));
            (1, frame)
        }
    }
}

/// Feeds the frames in bursts of `size` and gives what came out of each port, and the counters' balance.
fn run(frames: &[(usize, Vec<u8>)], size: usize) -> (Vec<Vec<Vec<u8>>>, Vec<u64>, i64) {
    let mut rig = site();
    let mut out = vec![vec![], vec![]];
    for chunk in frames.chunks(size) {
        // One port at a time, so that the order between ports is the same for every burst size.
        for (port, frame) in chunk {
            assert!(rig.inject(*port, frame));
        }
        rig.settle();
        for (port, out) in out.iter_mut().enumerate() {
            out.extend(rig.collect(port));
        }
    }
    let names =
        ["drop_truncated", "drop_src_not_local", "drop_rloc_spoof", "punt_arp", "encapsulated", "switched"];
    let counts = names.iter().map(|name| rig.counter(name)).collect();
    (out, counts, rig.balance().error)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever comes, nothing panics, and every packet is accounted for.
    #[test]
    fn every_packet_is_accounted_for(given in proptest::collection::vec(given(), 1..200)) {
        let frames: Vec<_> = given.iter().map(frame).collect();
        let (_, _, error) = run(&frames, 64);
        prop_assert_eq!(error, 0);
    }

    /// A burst gives what its packets give one by one.
    #[test]
    fn a_burst_is_its_packets(given in proptest::collection::vec(given(), 1..100)) {
        // ARP teaches the tables between bursts, and ports are served in turn: keep to one port without ARP.
        let one_port = |g: &&Given| matches!(g, Given::Agent { .. } | Given::Noise(false, _));
        let frames: Vec<_> = given.iter().filter(one_port).map(frame).collect();
        prop_assert_eq!(run(&frames, 64), run(&frames, 1));
    }
}
