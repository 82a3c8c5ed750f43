//! Records: what is encoded is decoded, what is accepted has one encoding, and the bytes are what they were.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use sterna_shm::{
    ABI_HASH, Adjacency, AttachProof, BODY, CLASSES, ClassRow, ClassRows, EidAction, Event, Group,
    KnownAction, LAYOUT_VERSION, Locator, LocatorSet, MAX_LOCATORS, NegativeAction, NextHop, Policy, Record,
    RecordFault, RefusedKind, Settings, Update, fuzz_records, fuzz_ring,
};
use sterna_wire::{Iid, Mac, Prefix, VlanId};

fn iid() -> impl Strategy<Value = Iid> {
    (0..0x00ff_ffff_u32).prop_map(|number| Iid::new(number).unwrap())
}

fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac)
}

fn vlan() -> impl Strategy<Value = Option<VlanId>> {
    proptest::option::of((1..=4094_u16).prop_map(|number| VlanId::new(number).unwrap()))
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<[u8; 4]>().prop_map(Ipv4Addr::from)
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<[u8; 16]>().prop_map(Ipv6Addr::from)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![v4().prop_map(IpAddr::V4), v6().prop_map(IpAddr::V6)]
}

fn prefix() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        (v4(), 0..=32_u8).prop_map(|(address, len)| Prefix::masked(address.into(), len).unwrap()),
        (v6(), 0..=128_u8).prop_map(|(address, len)| Prefix::masked(address.into(), len).unwrap()),
    ]
}

fn next_hop() -> impl Strategy<Value = NextHop> {
    (any::<u16>(), mac(), proptest::option::of(mac())).prop_map(|(port, source, destination)| NextHop {
        port,
        source,
        destination,
    })
}

fn adjacency() -> impl Strategy<Value = Adjacency> {
    (any::<u32>(), address(), address(), any::<u16>(), any::<bool>()).prop_map(
        |(next_hop, local, remote, mtu, udp_checksum)| Adjacency {
            next_hop,
            local,
            remote,
            mtu,
            udp_checksum,
        },
    )
}

fn set() -> impl Strategy<Value = LocatorSet> {
    let locator = (any::<u32>(), any::<u8>(), any::<u8>(), any::<bool>(), any::<bool>()).prop_map(
        |(adjacency, priority, weight, usable, keep)| Locator { adjacency, priority, weight, usable, keep },
    );
    proptest::collection::vec(locator, 0..=MAX_LOCATORS).prop_map(|all| LocatorSet::new(&all).unwrap())
}

fn class_rows() -> impl Strategy<Value = ClassRows> {
    let row = prop_oneof![
        Just(ClassRow::Unknown),
        any::<u32>().prop_map(|set| ClassRow::Set { set }),
        Just(ClassRow::NoMatch)
    ];
    proptest::collection::vec(row, CLASSES).prop_map(|rows| ClassRows(rows.try_into().unwrap()))
}

fn policy() -> impl Strategy<Value = Policy> {
    use proptest::option::of;
    let ports = of((any::<u16>(), any::<u16>()).prop_map(|(a, b)| (a.min(b), a.max(b))));
    (of(iid()), of(prefix()), of(prefix()), of(0..64_u8), of(any::<u8>()), ports, 0..16_u8).prop_map(
        |(iid, from, to, dscp, protocol, ports, class)| Policy {
            iid,
            from,
            to,
            dscp,
            protocol,
            ports,
            class,
        },
    )
}

/// Port, VLAN, MAC, set and class rows of an agent that is one of several.
type SkillParts = (u16, Option<VlanId>, Mac, Option<u32>, Option<u32>);

fn skill() -> impl Strategy<Value = SkillParts> {
    (any::<u16>(), vlan(), mac(), any::<Option<u32>>(), any::<Option<u32>>())
}

fn action() -> impl Strategy<Value = EidAction> {
    prop_oneof![
        any::<(u32, Option<u32>)>().prop_map(|(set, classes)| EidAction::Remote { set, classes }),
        Just(EidAction::Negative { action: NegativeAction::Drop }),
        Just(EidAction::Negative { action: NegativeAction::Native }),
        (any::<u16>(), vlan(), proptest::option::of(address()))
            .prop_map(|(port, vlan, via)| EidAction::Local { port, vlan, via }),
        (any::<u16>(), vlan(), mac()).prop_map(|(port, vlan, mac)| EidAction::LocalHost { port, vlan, mac }),
        any::<u32>().prop_map(|set| EidAction::Away { set }),
        Just(EidAction::Hold),
        skill().prop_map(|(port, vlan, mac, set, classes)| EidAction::Skill {
            port,
            vlan,
            mac,
            set,
            classes
        }),
    ]
}

fn group() -> impl Strategy<Value = Group> {
    let gateway_v4 = proptest::option::of((v4(), 0..=32_u8));
    let gateway_v6 = proptest::option::of((v6(), 0..=128_u8));
    (iid(), any::<u16>(), vlan(), mac(), gateway_v4, gateway_v6, any::<bool>()).prop_map(
        |(iid, port, vlan, mac, gateway_v4, gateway_v6, proxy_arp)| Group {
            iid,
            port,
            vlan,
            mac,
            gateway_v4,
            gateway_v6,
            proxy_arp,
        },
    )
}

fn settings() -> impl Strategy<Value = Settings> {
    (any::<bool>(), any::<bool>(), any::<Option<u16>>(), any::<u16>(), any::<bool>(), any::<Option<u16>>())
        .prop_map(
            |(
                mss_clamp,
                dscp_decap_pipe,
                udp_source_fixed,
                smallest_underlay_mtu,
                outer_df,
                eid_api_port,
            )| Settings {
                mss_clamp,
                dscp_decap_pipe,
                udp_source_fixed,
                smallest_underlay_mtu,
                outer_df,
                eid_api_port,
            },
        )
}

fn update() -> impl Strategy<Value = Update> {
    let id = any::<u32>;
    prop_oneof![
        any::<u64>().prop_map(|generation| Update::BeginSync { generation }),
        any::<u64>().prop_map(|generation| Update::EndSync { generation }),
        any::<u64>().prop_map(|number| Update::Barrier { number }),
        (id(), next_hop()).prop_map(|(id, hop)| Update::NextHopUpsert { id, hop }),
        id().prop_map(|id| Update::NextHopDelete { id }),
        (id(), adjacency()).prop_map(|(id, adjacency)| Update::AdjacencyUpsert { id, adjacency }),
        id().prop_map(|id| Update::AdjacencyDelete { id }),
        (id(), set()).prop_map(|(id, set)| Update::SetUpsert { id, set }),
        id().prop_map(|id| Update::SetDelete { id }),
        (iid(), prefix(), action()).prop_map(|(iid, prefix, action)| Update::EidUpsert {
            iid,
            prefix,
            action
        }),
        (iid(), prefix()).prop_map(|(iid, prefix)| Update::EidDelete { iid, prefix }),
        group().prop_map(|group| Update::GroupUpsert { group }),
        iid().prop_map(|iid| Update::GroupDelete { iid }),
        address().prop_map(|address| Update::LocalRlocUpsert { address }),
        address().prop_map(|address| Update::LocalRlocDelete { address }),
        settings().prop_map(|settings| Update::SettingsUpsert { settings }),
        (iid(), prefix()).prop_map(|(iid, prefix)| Update::DynamicUpsert { iid, prefix }),
        (iid(), prefix()).prop_map(|(iid, prefix)| Update::DynamicDelete { iid, prefix }),
        (iid(), address(), address()).prop_map(|(iid, eid, from)| Update::RelayAllow { iid, eid, from }),
        (iid(), address(), address()).prop_map(|(iid, eid, from)| Update::RelayForbid { iid, eid, from }),
        (iid(), address()).prop_map(|(iid, eid)| Update::AgentCheck { iid, eid }),
        (id(), class_rows()).prop_map(|(id, rows)| Update::ClassesUpsert { id, rows }),
        id().prop_map(|id| Update::ClassesDelete { id }),
        (any::<u8>(), policy(), any::<bool>()).prop_map(|(index, policy, more)| Update::PolicyUpsert {
            index,
            policy,
            more
        }),
        any::<(u8, bool)>().prop_map(|(index, more)| Update::PolicyDelete { index, more }),
    ]
}

fn refused() -> impl Strategy<Value = RefusedKind> {
    use RefusedKind::{
        AdjacencyTableFull, AgentChecksFull, ClassesTableFull, DynamicTableFull, EidTableFull,
        GroupTableFull, LocalRlocTableFull, NextHopTableFull, PolicyTableFull, RelayTableFull, SetTableFull,
        UnknownPort,
    };
    proptest::sample::select(vec![
        EidTableFull,
        NextHopTableFull,
        AdjacencyTableFull,
        SetTableFull,
        GroupTableFull,
        LocalRlocTableFull,
        UnknownPort,
        DynamicTableFull,
        RelayTableFull,
        AgentChecksFull,
        ClassesTableFull,
        PolicyTableFull,
    ])
}

fn known() -> impl Strategy<Value = KnownAction> {
    prop_oneof![
        any::<(u32, Option<u32>)>().prop_map(|(set, classes)| KnownAction::Remote { set, classes }),
        any::<u32>().prop_map(|set| KnownAction::Away { set }),
        (any::<u16>(), vlan(), mac()).prop_map(|(port, vlan, mac)| KnownAction::LocalHost {
            port,
            vlan,
            mac
        }),
        Just(KnownAction::Hold),
        skill().prop_map(|(port, vlan, mac, set, classes)| KnownAction::Skill {
            port,
            vlan,
            mac,
            set,
            classes
        }),
    ]
}

fn proof() -> impl Strategy<Value = AttachProof> {
    proptest::sample::select(vec![AttachProof::Arp, AttachProof::Nd, AttachProof::Data])
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (iid(), address(), any::<bool>(), any::<u16>(), any::<u8>())
            .prop_map(|(iid, eid, source, port, class)| Event::Miss { iid, eid, source, port, class }),
        (iid(), address(), mac(), any::<u16>(), vlan())
            .prop_map(|(iid, eid, mac, port, vlan)| { Event::Agent { iid, eid, mac, port, vlan } }),
        (iid(), address()).prop_map(|(iid, eid)| Event::AgentGone { iid, eid }),
        (iid(), address(), mac(), any::<u16>(), vlan(), proof()).prop_map(
            |(iid, eid, mac, port, vlan, proof)| Event::Attach { iid, eid, mac, port, vlan, proof }
        ),
        (iid(), prefix()).prop_map(|(iid, prefix)| Event::Used { iid, prefix }),
        (address(), any::<bool>(), any::<bool>()).prop_map(|(remote, sent, received)| Event::Traffic {
            remote,
            sent,
            received
        }),
        (iid(), address(), address()).prop_map(|(iid, eid, from)| Event::Stray { iid, eid, from }),
        (any::<u32>(), proptest::option::of(address()), any::<u8>(), any::<u8>(), any::<bool>()).prop_map(
            |(set, remote, priority, weight, keep)| {
                Event::KnownLocator { set, remote, priority, weight, keep }
            }
        ),
        (any::<u32>(), class_rows()).prop_map(|(classes, rows)| Event::KnownClasses { classes, rows }),
        (iid(), prefix(), known()).prop_map(|(iid, prefix, action)| Event::KnownEid { iid, prefix, action }),
        Just(Event::KnownEnd),
        any::<u64>().prop_map(|generation| Event::Applied { generation }),
        any::<u64>().prop_map(|number| Event::Reached { number }),
        (refused(), any::<u64>()).prop_map(|(kind, detail)| Event::Refused { kind, detail }),
    ]
}

fn round_trip<R: Record + PartialEq + std::fmt::Debug>(record: &R) {
    let encoded = record.encode();
    assert!(encoded.body().len() <= R::LONGEST && R::LONGEST <= BODY);
    assert_eq!(R::decode(encoded.kind(), encoded.body()).as_ref(), Ok(record));
}

/// Kind and body as `fuzz_records` takes them.
fn input(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes(), body].concat()
}

proptest! {
    #[test]
    fn updates_round_trip(update in update()) {
        round_trip(&update);
    }

    #[test]
    fn events_round_trip(event in event()) {
        round_trip(&event);
    }

    #[test]
    fn noise_is_an_error_or_has_one_encoding(kind in 0..0x130_u16, body in proptest::collection::vec(any::<u8>(), 0..=BODY)) {
        fuzz_records(&input(kind, &body));
    }

    /// Bytes of few values in the right lengths get much further into the decoders than plain noise.
    #[test]
    fn likely_noise_is_an_error_or_has_one_encoding(
        kind in proptest::sample::select(all_kinds()),
        body in proptest::collection::vec(proptest::sample::select(vec![0, 0, 0, 1, 2, 3, 4, 6, 32]), 17),
    ) {
        for words in 0..=body.len() {
            let padded: Vec<u8> = body.iter().copied().chain(std::iter::repeat(0)).take(words * 8).collect();
            fuzz_records(&input(kind, &padded));
        }
    }

    #[test]
    fn a_changed_byte_is_an_error_or_another_record(update in update(), at in any::<prop::sample::Index>(), byte: u8) {
        let encoded = update.encode();
        let mut body = encoded.body().to_vec();
        let at = at.index(body.len());
        let changed = body[at] != byte;
        body[at] = byte;
        fuzz_records(&input(encoded.kind(), &body));
        prop_assert_eq!(Update::decode(encoded.kind(), &body) == Ok(update), !changed);
    }

    #[test]
    fn a_ring_of_noise(index in 0..12_u64, fill in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz_ring(&[&index.to_le_bytes()[..], &fill].concat());
    }
}

/// Every kind there is, found by asking the decoders.
fn all_kinds() -> Vec<u16> {
    (0..=u16::MAX).filter(|&kind| is_kind::<Update>(kind) || is_kind::<Event>(kind)).collect()
}

fn is_kind<R: Record>(kind: u16) -> bool {
    R::decode(kind, &[]).err() != Some(RecordFault::Kind(kind))
}

#[test]
fn the_rings_share_no_kind() {
    assert_eq!(all_kinds().len(), 25 + 14);
    assert!(!all_kinds().iter().any(|&kind| is_kind::<Update>(kind) && is_kind::<Event>(kind)));
}

#[test]
fn a_wrong_length_is_refused() {
    let encoded = Update::SetDelete { id: 7 }.encode();
    for len in [0, 16, BODY] {
        let mut body = encoded.body().to_vec();
        body.resize(len, 0);
        let fault = RecordFault::Length { kind: encoded.kind(), found: len as u16 };
        assert_eq!(Update::decode(encoded.kind(), &body), Err(fault));
    }
}

#[test]
fn values_out_of_range_are_refused() {
    let prefix: Prefix = "10.1.2.0/24".parse().unwrap();
    let eid = Update::EidDelete { iid: Iid::new(100).unwrap(), prefix }.encode();
    let hop = NextHop { port: 0, source: Mac([2; 6]), destination: None };
    let hop = Update::NextHopUpsert { id: 0, hop }.encode();
    let set = Update::SetUpsert { id: 0, set: LocatorSet::new(&[]).unwrap() }.encode();
    let rows = Update::ClassesUpsert { id: 0, rows: ClassRows::default() }.encode();
    let policy = Policy {
        iid: None,
        from: None,
        to: None,
        dscp: Some(46),
        protocol: None,
        ports: Some((5, 6)),
        class: 1,
    };
    let policy = Update::PolicyUpsert { index: 0, policy, more: false }.encode();
    let cases = [
        (eid, 3, 0x01, "an instance-ID is out of range"),
        (eid, 4, 5, "an address family is neither 4 nor 6"),
        (eid, 8, 9, "a prefix is too long or has host bits"),
        (eid, 9, 1, "bytes behind an IPv4 address are not zero"),
        (eid, 21, 33, "a prefix is too long or has host bits"),
        (eid, 23, 1, "reserved bytes are not zero"),
        (hop, 12, 2, "a flag is neither 0 nor 1"),
        (hop, 13, 1, "reserved bytes are not zero"),
        (rows, 4, 3, "unknown ClassRow"),
        (rows, 5, 1, "reserved bytes are not zero"),
        (policy, 1 + 44, 64, "a DSCP is above 63"),
        (policy, 1 + 52, 16, "a class is above 15"),
        (policy, 1 + 49, 7, "a port range is empty"),
        (set, 4, 17, "a locator set has too many locators"),
        (set, 5, 1, "reserved bytes are not zero"),
    ];
    for (encoded, at, byte, what) in cases {
        let mut body = encoded.body().to_vec();
        body[at] = byte;
        let fault = RecordFault::Value { kind: encoded.kind(), what };
        assert_eq!(Update::decode(encoded.kind(), &body), Err(fault), "byte {at}");
    }
}

#[test]
fn too_many_locators_are_no_set() {
    let locator = Locator { adjacency: 1, priority: 1, weight: 100, usable: true, keep: true };
    assert_eq!(LocatorSet::new(&[locator; MAX_LOCATORS + 1]), None);
    assert_eq!(LocatorSet::new(&[locator; MAX_LOCATORS]).unwrap().as_slice(), [locator; MAX_LOCATORS]);
}

/// The bytes as they were when layout version 1 was fixed; later versions left these alone, but for a class behind a miss.
#[test]
fn the_bytes_of_a_record() {
    let iid = Iid::new(0x0a_0b0c).unwrap();
    let prefix = "10.1.2.0/24".parse().unwrap();
    let action = EidAction::Local { port: 0x0102, vlan: VlanId::new(10), via: None };
    let encoded = Update::EidUpsert { iid, prefix, action }.encode();
    let mut expected = vec![0x0c, 0x0b, 0x0a, 0x00];
    expected.extend([4, 10, 1, 2, 0]);
    expected.extend([0; 12]);
    expected.push(24);
    expected.extend([2, 0x02, 0x01, 1, 10, 0]);
    expected.extend([0; 20]);
    assert_eq!((encoded.kind(), encoded.body()), (0x0040, expected.as_slice()));

    let eid = "fd00:64::1".parse().unwrap();
    let encoded = Event::Miss { iid, eid, source: true, port: 3, class: 9 }.encode();
    let mut expected = vec![0x0c, 0x0b, 0x0a, 0x00, 6, 0xfd, 0, 0, 0x64];
    expected.extend([0; 11]);
    expected.extend([1, 1, 3, 0, 9]);
    expected.extend([0; 7]);
    assert_eq!((encoded.kind(), encoded.body()), (0x0101, expected.as_slice()));
}

/// A change of any layout changes the fingerprint: then raise the version, and only then this pair.
#[test]
fn version_and_fingerprint_change_together() {
    assert_eq!((LAYOUT_VERSION, ABI_HASH), (5, 0x301c_ff42_f875_7249), "{ABI_HASH:#018x}");
}
