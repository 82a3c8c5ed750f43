//! Context classes: a class's packets go by its row and by no other, flows stay where they are while that is valid,
//! and a skill's agent here is one locator among others.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use proptest::prelude::*;
use site::*;
use std::net::{IpAddr, Ipv4Addr};
use sterna_dataplane::rig::Rig;
use sterna_shm::{
    Adjacency, CLASSES, ClassRow, ClassRows, EidAction, Event, KnownAction, LOCAL, Locator, LocatorSet,
    NegativeAction, Policy, RefusedKind, Update,
};
use sterna_wire::{Iid, Mac};

/// Far sites beside B (192.0.2.2, adjacency 7): adjacency ids are the last bytes of their RLOCs.
const FAR: [u32; 3] = [12, 13, 14];
const SKILL: &str = "10.1.3.7";
const INSTANCE: Mac = Mac([2, 0xa, 0, 0, 0, 7]);

fn adjacency(last: u32, mtu: u16) -> Update {
    let adjacency = Adjacency {
        next_hop: 1,
        local: address("192.0.2.1"),
        remote: IpAddr::V4(Ipv4Addr::from(0xc000_0200 + last)),
        mtu,
        udp_checksum: false,
    };
    Update::AdjacencyUpsert { id: last, adjacency }
}

/// A locator with a priority; 0 stands for one that is down.
fn at(adjacency: u32, priority: u8, keep: bool) -> Locator {
    Locator { adjacency, priority: priority.max(1), weight: 100, usable: priority > 0, keep }
}

fn set(id: u32, locators: &[Locator]) -> Update {
    Update::SetUpsert { id, set: LocatorSet::new(locators).unwrap() }
}

fn rows(id: u32, named: &[(usize, ClassRow)]) -> Update {
    let mut rows = ClassRows::default();
    for (class, row) in named {
        rows.0[*class] = *row;
    }
    Update::ClassesUpsert { id, rows }
}

fn by(set: u32) -> ClassRow {
    ClassRow::Set { set }
}

fn dscp_policy(index: u8, dscp: u8, class: u8) -> Update {
    let policy =
        Policy { iid: None, from: None, to: None, dscp: Some(dscp), protocol: None, ports: None, class };
    Update::PolicyUpsert { index, policy, more: false }
}

/// DSCP 8 gives class 1, 16 class 2, and so on.
fn policies() -> Vec<Update> {
    (1..=4).map(|class| dscp_policy(class, 8 * class, class)).collect()
}

fn classed_site() -> Rig {
    let mut rig = roomy_site(1024);
    let mut updates: Vec<Update> = FAR.iter().map(|last| adjacency(*last, 1500)).collect();
    for last in FAR {
        updates.push(set(last, &[at(last, 1, true)]));
    }
    updates.extend(policies());
    rig.apply(&updates).unwrap();
    rig
}

fn remote(set: u32, classes: u32) -> EidAction {
    EidAction::Remote { set, classes: Some(classes) }
}

fn skill(set: Option<u32>, classes: Option<u32>) -> EidAction {
    EidAction::Skill { port: 0, vlan: None, mac: INSTANCE, set, classes }
}

/// A packet of a flow and class, with a number in its length.
fn packet(to: &str, class: u8, flow: u16, number: usize) -> Vec<u8> {
    let mut frame = udp("10.1.0.5", to, 64, number);
    frame[15] = (8 * class) << 2;
    frame[34..36].copy_from_slice(&flow.to_be_bytes());
    mend_ipv4(&mut frame);
    frame
}

/// Events but for those that tell of traffic, which come by time.
fn questions(events: Vec<Event>) -> Vec<Event> {
    events.into_iter().filter(|event| !matches!(event, Event::Traffic { .. } | Event::Used { .. })).collect()
}

fn send(rig: &mut Rig, to: &str, class: u8, flow: u16) -> Vec<Event> {
    assert!(rig.inject(0, &packet(to, class, flow, 10)));
    questions(rig.settle())
}

/// The last byte of the outer destination of each packet on the underlay, and its whole length.
fn sent(rig: &Rig) -> Vec<(u32, usize)> {
    rig.collect(1).iter().map(|frame| (u32::from(frame[33]), frame.len())).collect()
}

fn sites(rig: &Rig) -> Vec<u32> {
    sent(rig).into_iter().map(|(site, _)| site).collect()
}

#[test]
fn each_class_goes_by_its_own_row() {
    let mut rig = classed_site();
    let named = [(0, by(3)), (1, by(12)), (2, by(13)), (3, ClassRow::NoMatch)];
    rig.apply(&[rows(5, &named), eid("10.1.2.0/24", remote(3, 5))]).unwrap();
    for flow in 0..50 {
        for class in 0..=3 {
            send(&mut rig, "10.1.2.9", class, flow);
        }
        assert_eq!(sites(&rig), [2, 12, 13], "class 3 goes nowhere");
    }
    assert_eq!(rig.counter("drop_class_no_match"), 50);
    let events = send(&mut rig, "10.1.2.9", 4, 1);
    assert!(matches!(events[..], [Event::Miss { class: 4, source: false, .. }]), "{events:?}");
    assert_eq!((sites(&rig).len(), rig.counter("held")), (0, 1));
    assert_balanced(&rig);
}

#[test]
fn without_rows_packets_of_a_class_miss_and_others_do_not() {
    let mut rig = classed_site();
    send(&mut rig, "10.1.2.9", 0, 1);
    let events = send(&mut rig, "10.1.2.9", 1, 1);
    assert!(matches!(events[..], [Event::Miss { class: 1, .. }]), "{events:?}");
    assert_eq!(sites(&rig), [2]);
    let again = rig.pass(600_000_000);
    assert!(matches!(again[..], [Event::Miss { class: 1, .. }]), "repeated: {again:?}");
    rig.pass(4_000_000_000);
    assert_eq!((rig.counter("drop_hold_expired"), rig.counter("held")), (1, 0));
    assert_balanced(&rig);
}

#[test]
fn held_packets_wait_for_the_row_of_their_class_alone() {
    let mut rig = classed_site();
    for number in 0..20 {
        for class in [0, 1, 2] {
            rig.inject(0, &packet("10.1.2.77", class, 1, number));
            rig.inject(0, &packet("10.1.9.9", class, 1, number));
        }
    }
    let mut asked: Vec<_> = questions(rig.settle())
        .into_iter()
        .map(|event| match event {
            Event::Miss { eid, class, .. } => (eid, class),
            other => panic!("{other:?}"),
        })
        .collect();
    asked.sort_unstable();
    let (here, nowhere) = (address("10.1.2.77"), address("10.1.9.9"));
    assert_eq!(asked, [(here, 1), (here, 2), (nowhere, 0), (nowhere, 1), (nowhere, 2)]);
    assert_eq!((sites(&rig), rig.counter("held")), (vec![2; 20], 100));

    // The answer for class 2 comes first.
    rig.apply(&[rows(5, &[(0, by(3)), (2, by(13))]), eid("10.1.2.0/24", remote(3, 5))]).unwrap();
    rig.settle();
    let out = sent(&rig);
    assert_eq!(out.len(), 20);
    assert!(out.iter().all(|(site, _)| *site == 13) && out.windows(2).all(|two| two[0].1 < two[1].1));
    // Its later packets do not wait for those of class 1.
    send(&mut rig, "10.1.2.77", 2, 9);
    assert_eq!((sites(&rig), rig.counter("held")), (vec![13], 80));
    rig.apply(&[rows(5, &[(0, by(3)), (1, by(12)), (2, by(13))])]).unwrap();
    rig.settle();
    assert_eq!((sites(&rig), rig.counter("held")), (vec![12; 20], 60));
    // A negative answer is one for all classes.
    rig.apply(&[eid("10.1.9.9/32", EidAction::Negative { action: NegativeAction::Drop })]).unwrap();
    rig.settle();
    assert_eq!((rig.counter("drop_negative"), rig.counter("held")), (60, 0));
    assert_balanced(&rig);
}

#[test]
fn flows_stay_through_scores_and_sets_and_leave_a_failed_locator_at_once() {
    let mut rig = classed_site();
    let both = |id, first, second| set(id, &[at(12, first, true), at(13, second, true)]);
    rig.apply(&[both(20, 1, 2), rows(5, &[(1, by(20))]), eid("10.1.2.0/24", remote(3, 5))]).unwrap();
    let run = |rig: &mut Rig, flows: std::ops::Range<u16>| {
        flows.clone().for_each(|flow| drop(send(rig, "10.1.2.9", 1, flow)));
        let out = sites(rig);
        assert_eq!(out.len(), flows.len());
        out
    };
    assert_eq!(run(&mut rig, 0..100), [12; 100]);
    // The other is better now: in the same set, then in another one.
    rig.apply(&[both(20, 2, 1)]).unwrap();
    assert_eq!(run(&mut rig, 0..100), [12; 100]);
    assert_eq!(run(&mut rig, 100..200), [13; 100], "new flows follow the score");
    rig.apply(&[both(21, 3, 1), rows(6, &[(1, by(21))]), eid("10.1.2.0/24", remote(3, 6))]).unwrap();
    assert_eq!((run(&mut rig, 0..100), run(&mut rig, 100..200)), (vec![12; 100], vec![13; 100]));
    // It drained: nothing keeps its flows.
    rig.apply(&[set(21, &[at(12, 3, false), at(13, 1, true)])]).unwrap();
    assert_eq!(run(&mut rig, 0..200), [13; 200]);
    // The one that they use now fails; then it is gone from the row altogether.
    rig.apply(&[set(21, &[at(12, 3, true), at(13, 0, true)])]).unwrap();
    assert_eq!(run(&mut rig, 0..200), [12; 200]);
    rig.apply(&[set(21, &[at(13, 1, true), at(14, 1, true)])]).unwrap();
    assert!(run(&mut rig, 0..200).iter().all(|site| *site != 12));
    assert_eq!(rig.counter("drop_no_locator"), 0);
    assert_balanced(&rig);
}

#[test]
fn the_size_that_counts_is_the_rows() {
    let mut rig = classed_site();
    rig.apply(&[
        adjacency(14, 1300),
        set(14, &[at(14, 1, true)]),
        set(30, &[at(12, 1, true), at(14, 2, true)]),
        set(31, &[at(12, 1, true), at(14, 0, true)]),
        set(32, &[at(12, 1, true), at(13, 1, true), at(14, 1, true)]),
        rows(5, &[(0, by(31)), (1, by(30))]),
        eid("10.1.2.0/24", remote(32, 5)),
    ])
    .unwrap();
    let fits = |rig: &mut Rig, class, len: usize| {
        let mut frame = packet("10.1.2.9", class, 1, len - 28);
        frame[20] |= 0x40;
        mend_ipv4(&mut frame);
        rig.inject(0, &frame);
        rig.settle();
        let out = sites(rig).len();
        rig.collect(0);
        out == 1
    };
    assert!(fits(&mut rig, 0, 1464), "what is not usable does not count");
    assert!(fits(&mut rig, 1, 1264) && !fits(&mut rig, 1, 1265), "the second best does");
    assert_balanced(&rig);
}

/// A site with an agent that has the skill, and three others elsewhere.
fn skilled_site(action: EidAction, updates: &[Update]) -> Rig {
    let mut rig = classed_site();
    let host = format!("{SKILL}/32");
    let all = [at(LOCAL, 1, true), at(12, 1, true), at(13, 1, true), at(14, 1, true)];
    rig.apply(&[set(40, &all), set(41, &[at(LOCAL, 1, true)]), set(42, &all[..2])]).unwrap();
    rig.apply(updates).unwrap();
    rig.apply(&[eid(&host, action)]).unwrap();
    rig
}

/// Frames that went to the agent here.
fn delivered(rig: &Rig) -> usize {
    let frames = rig.collect(0);
    assert!(frames.iter().all(|frame| frame[..6] == INSTANCE.0 && frame[6..12] == GATEWAY));
    frames.len()
}

#[test]
fn the_agent_here_is_one_locator_among_others() {
    let named = [(0, by(40)), (1, by(41)), (2, by(13)), (3, ClassRow::NoMatch)];
    let mut rig = skilled_site(skill(Some(40), Some(5)), &[rows(5, &named)]);
    for flow in 0..200 {
        send(&mut rig, SKILL, 0, flow);
    }
    let (here, there) = (delivered(&rig), sites(&rig));
    assert_eq!(here + there.len(), 200);
    assert!(here > 20 && [12, 13, 14].iter().all(|site| there.iter().filter(|s| *s == site).count() > 20));
    for class in 1..=3 {
        send(&mut rig, SKILL, class, 1);
    }
    assert_eq!((delivered(&rig), sites(&rig)), (1, vec![13]));
    assert_eq!((rig.counter("drop_class_no_match"), rig.counter("switched")), (1, here as u64 + 1));
    // It fails: its flows go elsewhere, those of others stay.
    let before: Vec<u32> = there;
    rig.apply(&[set(40, &[at(LOCAL, 0, true), at(12, 1, true), at(13, 1, true), at(14, 1, true)])]).unwrap();
    for flow in 0..200 {
        send(&mut rig, SKILL, 0, flow);
    }
    assert_eq!((delivered(&rig), sites(&rig).len()), (0, 200));
    assert!(!before.is_empty());
    assert_balanced(&rig);
}

#[test]
fn a_skill_that_nothing_is_known_of_elsewhere_is_asked_for() {
    let mut rig = skilled_site(skill(None, None), &[]);
    let events = [send(&mut rig, SKILL, 0, 1), send(&mut rig, SKILL, 2, 1)].concat();
    assert!(matches!(events[..], [Event::Miss { class: 0, .. }, Event::Miss { class: 2, .. }]), "{events:?}");
    assert!(matches!(rig.pass(600_000_000)[..], [Event::Miss { .. }, Event::Miss { .. }]), "and again");
    rig.apply(&[
        rows(5, &[(0, by(41)), (2, ClassRow::NoMatch)]),
        eid("10.1.3.7/32", skill(Some(41), Some(5))),
    ])
    .unwrap();
    rig.settle();
    assert_eq!((delivered(&rig), rig.counter("drop_class_no_match"), rig.counter("held")), (1, 1, 0));
    assert_balanced(&rig);
}

#[test]
fn what_comes_out_of_a_tunnel_for_a_skill_goes_to_the_agent_here_and_never_on() {
    // No row names it, and its set is not usable either.
    let named = [(0, by(12)), (1, ClassRow::NoMatch)];
    for action in [skill(Some(42), Some(5)), skill(Some(42), None), skill(None, None)] {
        let mut rig = skilled_site(action, &[rows(5, &named)]);
        rig.inject(1, &tunnelled("192.0.2.2", 100, &udp("10.1.2.9", SKILL, 64, 10)[14..]));
        rig.settle();
        assert_eq!((delivered(&rig), sites(&rig).len()), (1, 0), "{action:?}");
        assert_eq!((rig.counter("decapsulated"), rig.counter("relayed")), (1, 0));
        assert_balanced(&rig);
    }
}

#[test]
fn a_skill_speaks_from_each_of_its_sites_and_here() {
    let mut rig = skilled_site(skill(Some(42), Some(5)), &[rows(5, &[(0, by(12))])]);
    rig.inject(0, &arp(1, HOST, [10, 1, 0, 5], [10, 1, 0, 1]));
    rig.settle();
    rig.collect(0);
    let from = |site: &str| tunnelled(site, 100, &udp(SKILL, "10.1.0.5", 64, 10)[14..]);
    rig.inject(1, &from("192.0.2.12"));
    rig.settle();
    assert_eq!(rig.collect(0).len(), 1, "a locator of all, whatever the rows say");
    // A site that is none of its locators may be a new one: ask, and judge by what is written then.
    rig.inject(1, &from("192.0.2.13"));
    let events = rig.settle();
    assert!(matches!(events[..], [Event::Miss { source: true, class: 0, .. }]), "{events:?}");
    rig.apply(&[eid("10.1.3.7/32", skill(Some(42), Some(5)))]).unwrap();
    rig.settle();
    assert_eq!((rig.collect(0).len(), rig.counter("drop_rloc_spoof")), (0, 1));
    // The agent here speaks as well, with its own Ethernet address.
    let mut frame = udp(SKILL, "10.1.2.9", 64, 10);
    frame[6..12].copy_from_slice(&INSTANCE.0);
    rig.inject(0, &frame);
    assert!(rig.settle().is_empty());
    assert_eq!(sites(&rig), [2]);
    assert_balanced(&rig);
}

#[test]
fn numbers_that_were_never_defined_fail_the_channel_and_full_tables_refuse() {
    let mut rig = classed_site();
    assert!(rig.apply(&[rows(5, &[(1, by(99))])]).is_err());
    assert!(rig.apply(&[eid("10.1.2.0/24", remote(3, 5))]).is_err());
    assert!(rig.apply(&[eid("10.1.3.7/32", skill(Some(98), None))]).is_err());
    let (events, _) = rig.apply(&[dscp_policy(64, 1, 1)]).unwrap();
    assert_eq!(events, [Event::Refused { kind: RefusedKind::PolicyTableFull, detail: 64 }]);
    // One more than there is room for; and an EID that refers to it.
    let many: Vec<Update> = (0..4097).map(|id| rows(1000 + id, &[(1, by(12))])).collect();
    let (events, _) = rig.apply(&many).unwrap();
    let full = |detail| Event::Refused { kind: RefusedKind::ClassesTableFull, detail };
    assert_eq!(events, [full(1000 + 4096)]);
    let (events, _) = rig.apply(&[eid("10.1.2.0/24", remote(3, 1000 + 4096))]).unwrap();
    assert_eq!(events, [full(1000 + 4096)]);
    send(&mut rig, "10.1.2.9", 0, 1);
    assert_eq!(sites(&rig), [2], "the entry stays as it was");
}

#[test]
fn a_new_control_plane_is_told_of_rows_and_finds_them_used_until_its_own_stand() {
    let named = [(0, by(40)), (1, by(13)), (2, ClassRow::NoMatch)];
    let mut rig = skilled_site(skill(Some(40), Some(5)), &[rows(5, &named)]);
    rig.apply(&[rows(6, &[(1, by(12))]), eid("10.1.2.0/24", remote(3, 6))]).unwrap();
    rig.begin_session();
    let (mut sets, mut classes, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    for event in rig.known() {
        match event {
            Event::KnownLocator { set, remote, keep, .. } => sets.push((set, remote, keep)),
            Event::KnownClasses { classes: id, rows } => {
                for row in rows.0 {
                    if let ClassRow::Set { set } = row {
                        assert!(sets.iter().any(|(known, ..)| *known == set), "sets come first");
                    }
                }
                classes.push((id, rows));
            }
            Event::KnownEid { prefix, action, .. } => entries.push((prefix.to_string(), action)),
            Event::KnownEnd => {}
            other => panic!("{other:?}"),
        }
    }
    entries.sort_unstable_by_key(|(prefix, _)| prefix.clone());
    let [(_, there), (_, here)] = &entries[..] else { panic!("{entries:?}") };
    let KnownAction::Remote { classes: Some(of_there), .. } = there else { panic!("{there:?}") };
    let KnownAction::Skill { mac: INSTANCE, set: Some(all), classes: Some(of_here), .. } = here else {
        panic!("{here:?}")
    };
    assert_eq!((classes.len(), of_there == of_here), (2, false));
    let rows_of = |id| classes.iter().find(|(known, _)| known == id).unwrap().1.0;
    assert_eq!(rows_of(of_here)[2], ClassRow::NoMatch);
    assert_eq!(rows_of(of_there)[3], ClassRow::Unknown);
    let of_all: Vec<_> =
        sets.iter().filter(|(set, ..)| set == all).map(|(_, remote, keep)| (*remote, *keep)).collect();
    assert_eq!(of_all.len(), 4);
    assert_eq!(of_all.iter().filter(|(remote, _)| remote.is_none()).count(), 1, "the one that is here");
    // A session that ends before its sync takes no row away that an entry leads to.
    rig.begin_session();
    send(&mut rig, "10.1.2.9", 1, 1);
    send(&mut rig, SKILL, 1, 1);
    assert_eq!(sites(&rig), [12, 13]);
    // A sync that knows of no classes and no policies sweeps them.
    let mut again = vec![Update::BeginSync { generation: 3 }];
    again.extend(site_updates(Some(Mac(CORE))));
    again.push(Update::EndSync { generation: 3 });
    rig.apply(&again).unwrap();
    send(&mut rig, "10.1.2.9", 1, 1);
    assert_eq!((sites(&rig), rig.known().len()), (vec![2], 3));
    assert_balanced(&rig);
}

#[derive(Clone, Copy, Debug)]
enum Given {
    Packet { net: u8, class: u8, flow: u16, len: u16, fragment: bool },
    Rows(usize, u8),
    Set(u8, u8),
}

fn given() -> impl Strategy<Value = Given> {
    let packet = (2_u8..5, 0_u8..5, 0_u16..40, 0_u16..1473, any::<bool>())
        .prop_map(|(net, class, flow, len, fragment)| Given::Packet { net, class, flow, len, fragment });
    prop_oneof![
        8 => packet,
        1 => (0_usize..5, 0_u8..6).prop_map(|(class, to)| Given::Rows(class, to)),
        1 => any::<(u8, u8)>().prop_map(|(which, bits)| Given::Set(which, bits)),
    ]
}

/// Rows by class, as a change says: a set of three, nothing known, or no match.
fn changed(of: &mut [ClassRow; CLASSES], class: usize, to: u8) -> Update {
    of[class] = match to {
        0 => ClassRow::Unknown,
        1 => ClassRow::NoMatch,
        more => by(48 + u32::from(more)),
    };
    Update::ClassesUpsert { id: 5, rows: ClassRows(*of) }
}

fn three(id: u32, bits: u8) -> Update {
    let locator = |n: usize| at(FAR[n], (bits >> (2 * n)) & 3, bits & 0x40 << (n & 1) != 0);
    set(id, &[locator(0), locator(1), locator(2)])
}

/// Packets in bursts of `size` between the changes; what left, by port.
fn run(given: &[Given], size: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>, Vec<u64>) {
    let mut rig = classed_site();
    let mut of = [ClassRow::Unknown; CLASSES];
    (50..54).for_each(|id| drop(rig.apply(&[three(id, 0x15)]).unwrap()));
    let all = [at(LOCAL, 1, true), at(12, 1, true)];
    rig.apply(&[changed(&mut of, 0, 2), set(42, &all), eid("10.1.2.0/24", remote(3, 5))]).unwrap();
    rig.apply(&[eid("10.1.3.7/32", skill(Some(42), Some(5)))]).unwrap();
    let (mut here, mut there, mut waiting) = (Vec::new(), Vec::new(), 0);
    let settle = |rig: &mut Rig, here: &mut Vec<Vec<u8>>, there: &mut Vec<Vec<u8>>| {
        rig.settle();
        here.extend(rig.collect(0));
        there.extend(rig.collect(1));
    };
    for given in given {
        match *given {
            Given::Packet { net, class, flow, len, fragment } => {
                let to = if net == 3 { SKILL.to_string() } else { format!("10.1.{net}.9") };
                let mut frame = packet(&to, class, flow, len.into());
                frame[20] |= if fragment { 0x20 } else { 0x40 };
                mend_ipv4(&mut frame);
                assert!(rig.inject(0, &frame));
                waiting += 1;
                if waiting % size == 0 {
                    settle(&mut rig, &mut here, &mut there);
                }
                continue;
            }
            Given::Rows(class, to) => {
                settle(&mut rig, &mut here, &mut there);
                rig.apply(&[changed(&mut of, class, to)]).unwrap();
            }
            Given::Set(which, bits) => {
                settle(&mut rig, &mut here, &mut there);
                rig.apply(&[three(50 + u32::from(which % 4), bits)]).unwrap();
            }
        }
        settle(&mut rig, &mut here, &mut there);
    }
    settle(&mut rig, &mut here, &mut there);
    assert_balanced(&rig);
    let names =
        ["drop_class_no_match", "drop_no_locator", "drop_too_big", "encapsulated", "switched", "held"];
    (here, there, names.iter().map(|name| rig.counter(name)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// A burst gives what its packets give one by one, whatever their classes and whatever changes between bursts.
    #[test]
    fn a_burst_is_its_packets(given in proptest::collection::vec(given(), 1..120)) {
        prop_assert_eq!(run(&given, 64), run(&given, 1));
    }

    /// No packet of a class leaves by a locator that its row does not have at that moment.
    #[test]
    fn no_class_uses_anothers_row(changes in proptest::collection::vec((0_usize..5, 0_u8..4, 0_u16..30), 1..60)) {
        let mut rig = classed_site();
        let mut of = [ClassRow::Unknown; CLASSES];
        // Sets 50 and 51 have no locator in common.
        rig.apply(&[set(50, &[at(12, 1, true)]), set(51, &[at(13, 1, true), at(14, 2, true)])]).unwrap();
        rig.apply(&[changed(&mut of, 0, 2), eid("10.1.2.0/24", remote(3, 5))]).unwrap();
        for (class, to, flow) in changes {
            rig.apply(&[changed(&mut of, class, to)]).unwrap();
            // What waited may go now; it is of this class and uses its row too.
            rig.settle();
            for of_class in 0..5_u8 {
                send(&mut rig, "10.1.2.9", of_class, flow);
            }
            for frame in rig.collect(1) {
                // The inner TOS tells the class.
                let of_frame = usize::from(frame[14 + 36 + 1] >> 5);
                let allowed: &[u8] = match of[of_frame] {
                    ClassRow::Set { set: 50 } => &[12],
                    ClassRow::Set { set: 51 } => &[13, 14],
                    _ => &[],
                };
                prop_assert!(allowed.contains(&frame[33]), "class {} at {}", of_frame, frame[33]);
            }
        }
        prop_assert_eq!(rig.balance().error, 0);
    }
}

#[test]
fn a_policy_is_of_its_group() {
    let mut rig = classed_site();
    let policy = |iid| Policy {
        iid: Iid::new(iid),
        from: None,
        to: None,
        dscp: None,
        protocol: None,
        ports: None,
        class: 1,
    };
    let first = |iid| Update::PolicyUpsert { index: 0, policy: policy(iid), more: false };
    rig.apply(&[rows(5, &[(0, by(3)), (1, by(12))]), eid("10.1.2.0/24", remote(3, 5)), first(101)]).unwrap();
    send(&mut rig, "10.1.2.9", 0, 1);
    rig.apply(&[first(100)]).unwrap();
    send(&mut rig, "10.1.2.9", 0, 1);
    rig.apply(&[Update::PolicyDelete { index: 0, more: false }]).unwrap();
    send(&mut rig, "10.1.2.9", 0, 1);
    assert_eq!(sites(&rig), [2, 12, 2]);
    // Local delivery has no classes.
    rig.apply(&[first(100)]).unwrap();
    rig.inject(0, &arp(1, HOST, [10, 1, 0, 5], [10, 1, 0, 1]));
    rig.settle();
    rig.collect(0);
    rig.inject(0, &udp("10.1.0.6", "10.1.0.5", 64, 10));
    rig.settle();
    assert_eq!((rig.collect(0).len(), rig.counter("switched")), (1, 1));
}
