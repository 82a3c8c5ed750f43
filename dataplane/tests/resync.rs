//! Sessions of the control plane: whole, cut off, too large, and what they leave behind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use site::*;
use sterna_dataplane::apply::{Applier, Fault, TableLimits, build_tables};
use sterna_dataplane::tables::{EidBody, Tables};
use sterna_shm::{Adjacency, EidAction, Event, Group, Locator, LocatorSet, NextHop, RefusedKind, Update};
use sterna_wire::{Iid, Mac, VlanId, addr_bytes};

fn limits() -> TableLimits {
    TableLimits {
        max_eids: 64,
        max_sets: 4,
        max_adjacencies: 4,
        max_hops: 4,
        max_groups: 4,
        readers: 2,
        seed: [1, 2],
    }
}

fn hop(id: u32, port: u16, last: u8) -> Update {
    let hop = NextHop { port, source: Mac(OURS), destination: Some(Mac([2, 0xc, 0, 0, 0, last])) };
    Update::NextHopUpsert { id, hop }
}

fn adjacency(id: u32, next_hop: u32, remote: &str) -> Update {
    let adjacency = Adjacency {
        next_hop,
        local: address("192.0.2.1"),
        remote: address(remote),
        mtu: 1500,
        udp_checksum: false,
    };
    Update::AdjacencyUpsert { id, adjacency }
}

fn set(id: u32, adjacency: u32, weight: u8) -> Update {
    let locator = Locator { adjacency, priority: 1, weight, usable: true, keep: false };
    Update::SetUpsert { id, set: LocatorSet::new(&[locator]).unwrap() }
}

fn remote(prefix: &str, set: u32) -> Update {
    eid(prefix, EidAction::Remote { set, classes: None })
}

fn refused(kind: RefusedKind, detail: u64) -> Option<Event> {
    Some(Event::Refused { kind, detail })
}

/// Where an address leads: the remote RLOC of its set's first locator.
fn leads_to(tables: &Tables, eid: &str) -> Option<[u8; 16]> {
    let mut reader = tables.domain.reader().unwrap();
    let view = tables.view(&mut reader);
    let Some(EidBody::Remote { set, .. }) = view.longest(100, address(eid)) else { return None };
    view.adjacency(view.set(set)?.locators()[0].adjacency).map(|row| row.remote)
}

/// One whole site in the numbers of a session.
fn sync(applier: &mut Applier, base: u32, sets: u32) -> Result<(), Fault> {
    applier.apply(&hop(base, 1, 1))?;
    for n in 0..sets {
        applier.apply(&adjacency(base + n, base, &format!("192.0.2.{}", 10 + n)))?;
        applier.apply(&set(base + n, base + n, 100))?;
        applier.apply(&remote(&format!("10.1.{n}.0/24"), base + n))?;
    }
    applier.flush();
    Ok(())
}

#[test]
fn what_a_full_table_refuses_is_refused_and_does_not_fail_the_channel() {
    let (mut applier, tables) = build_tables(&limits(), ports());
    sync(&mut applier, 0, 4).unwrap();
    assert_eq!(
        applier.apply(&adjacency(9, 0, "192.0.2.99")),
        Ok(refused(RefusedKind::AdjacencyTableFull, 9))
    );
    assert_eq!(
        applier.apply(&set(9, 9, 1)),
        Ok(refused(RefusedKind::SetTableFull, 9)),
        "it needs what was refused"
    );
    assert_eq!(applier.apply(&remote("10.1.99.0/24", 9)), Ok(refused(RefusedKind::SetTableFull, 9)));
    assert_eq!(applier.apply(&set(8, 0, 1)), Ok(refused(RefusedKind::SetTableFull, 8)));
    assert_eq!(applier.apply(&remote("10.1.1.0/24", 8)), Ok(refused(RefusedKind::SetTableFull, 8)));
    assert_eq!(leads_to(&tables, "10.1.1.1"), Some(addr_bytes(address("192.0.2.11"))), "unchanged");
    assert_eq!(
        applier.apply(&remote("10.1.1.0/24", 77)),
        Err(Fault::UnknownId(77)),
        "this was never defined"
    );
    // Room again, and the same number is as good as any.
    applier
        .apply(&Update::EidDelete { iid: Iid::new(100).unwrap(), prefix: "10.1.3.0/24".parse().unwrap() })
        .unwrap();
    applier.apply(&Update::SetDelete { id: 3 }).unwrap();
    applier.flush();
    assert_eq!(applier.apply(&set(8, 0, 1)), Ok(None));
    assert_eq!(applier.apply(&remote("10.1.99.0/24", 8)), Ok(None));
}

#[test]
fn ports_of_the_wrong_side_are_refused_with_what_hangs_on_them() {
    let (mut applier, _tables) = build_tables(&limits(), ports());
    assert_eq!(applier.apply(&hop(1, 0, 1)), Ok(refused(RefusedKind::UnknownPort, 0)), "an eid-side port");
    assert_eq!(applier.apply(&hop(1, 9, 1)), Ok(refused(RefusedKind::UnknownPort, 9)));
    assert_eq!(applier.apply(&adjacency(1, 1, "192.0.2.2")), Ok(refused(RefusedKind::AdjacencyTableFull, 1)));
    let group = Update::GroupUpsert { group: Group { port: 1, ..group(100) } };
    assert_eq!(applier.apply(&group), Ok(refused(RefusedKind::UnknownPort, 1)), "the underlay's port");
}

#[test]
fn full_tables_can_be_synced_anew_again_and_again_even_when_each_session_dies() {
    let (mut applier, tables) = build_tables(&limits(), ports());
    sync(&mut applier, 0, 4).unwrap();
    for session in 1..20u32 {
        applier.begin_session();
        applier.apply(&Update::BeginSync { generation: session.into() }).unwrap();
        // It gets so far each time.
        sync(&mut applier, session * 100, session % 5).unwrap();
        for n in 0..4 {
            let want = addr_bytes(address(&format!("192.0.2.{}", 10 + n)));
            assert_eq!(leads_to(&tables, &format!("10.1.{n}.1")), Some(want), "session {session}");
        }
    }
    applier.begin_session();
    applier.apply(&Update::BeginSync { generation: 99 }).unwrap();
    sync(&mut applier, 5, 3).unwrap();
    applier.apply(&Update::EndSync { generation: 99 }).unwrap();
    applier.flush();
    assert!(leads_to(&tables, "10.1.2.1").is_some());
    assert_eq!(leads_to(&tables, "10.1.3.1"), None, "swept");
}

#[test]
fn an_update_that_found_no_room_beside_a_stuck_reader_takes_effect_when_it_is_repeated() {
    let (mut applier, tables) = build_tables(&limits(), ports());
    sync(&mut applier, 0, 2).unwrap();
    let mut reader = tables.domain.reader().unwrap();
    let stuck = tables.view(&mut reader);
    let mut weight = 1;
    while applier.apply(&set(0, weight % 2, 100)) == Ok(None) {
        weight += 1;
        assert!(weight < 10_000, "the reader holds every old row");
    }
    drop(stuck);
    applier.flush();
    assert_eq!(applier.apply(&set(0, weight % 2, 100)), Ok(None));
    let want = addr_bytes(address(&format!("192.0.2.{}", 10 + weight % 2)));
    assert_eq!(leads_to(&tables, "10.1.0.1"), Some(want));
}

#[test]
fn agents_are_swept_with_the_prefix_they_are_in_and_not_otherwise() {
    let mut rig = site();
    rig.inject(0, &arp(2, HOST, [10, 1, 0, 5], [10, 1, 0, 1]));
    rig.settle();
    let deliver = |rig: &mut sterna_dataplane::rig::Rig| {
        rig.collect(0);
        rig.inject(1, &tunnelled("192.0.2.2", 100, &udp("10.1.2.9", "10.1.0.5", 64, 10)[14..]));
        rig.settle();
        rig.collect(0).iter().any(|frame| frame[12..14] == [8, 0])
    };
    // A session that dies before its end sweeps nothing.
    rig.begin_session();
    rig.apply(&[Update::BeginSync { generation: 1 }]).unwrap();
    rig.apply(&site_updates(Some(Mac(CORE)))[..6]).unwrap();
    assert!(deliver(&mut rig));
    // One that ends without the prefix does, and packets for it are nobody's.
    rig.begin_session();
    let mut updates = vec![Update::BeginSync { generation: 2 }];
    updates.extend(site_updates(Some(Mac(CORE))).into_iter().filter(|update| {
        !matches!(update, Update::EidUpsert { prefix, .. } if *prefix == "10.1.0.0/24".parse().unwrap())
    }));
    updates.push(Update::EndSync { generation: 2 });
    rig.apply(&updates).unwrap();
    assert!(!deliver(&mut rig));
    assert_eq!(rig.counter("drop_dst_not_local"), 1);
    assert_balanced(&rig);
}

#[test]
fn a_group_that_moves_to_another_vlan_takes_its_agents_off_the_old_one() {
    let mut rig = site();
    rig.inject(0, &arp(2, HOST, [10, 1, 0, 5], [10, 1, 0, 1]));
    rig.settle();
    rig.collect(0);
    let vlan = VlanId::new(30);
    let moved = Update::GroupUpsert { group: Group { vlan, ..group(100) } };
    let inner = udp("10.1.2.9", "10.1.0.5", 64, 10);
    // Between the two updates the entry is of another attachment than the group: closed.
    rig.apply(&[moved]).unwrap();
    rig.inject(1, &tunnelled("192.0.2.2", 100, &inner[14..]));
    rig.settle();
    assert!(rig.collect(0).is_empty());
    rig.apply(&[eid("10.1.0.0/24", EidAction::Local { port: 0, vlan, via: None })]).unwrap();
    rig.inject(1, &tunnelled("192.0.2.2", 100, &inner[14..]));
    rig.settle();
    let asked = rig.collect(0);
    assert_eq!(asked.len(), 1, "it is looked for where the group is now");
    assert_eq!(asked[0][12..18], [0x81, 0, 0, 30, 8, 6]);
    assert_balanced(&rig);
}

#[test]
fn steering_follows_gateway_macs_that_groups_share() {
    use sterna_dataplane::apply::SteeringChange::{GatewayMac, Rloc};
    let mut rig = rig();
    let (mac, other) = (Mac(GATEWAY), Mac([2, 0x53, 0x54, 0, 0, 7]));
    let with =
        |iid, vlan, mac| Update::GroupUpsert { group: Group { vlan: VlanId::new(vlan), mac, ..group(iid) } };
    let changes = |rig: &mut sterna_dataplane::rig::Rig, updates: &[Update]| rig.apply(updates).unwrap().1;
    assert_eq!(changes(&mut rig, &[with(100, 10, mac), with(200, 20, mac)]), [GatewayMac(0, mac, true)]);
    assert_eq!(changes(&mut rig, &[with(200, 20, other)]), [GatewayMac(0, other, true)], "100 still has it");
    let gone = Update::GroupDelete { iid: Iid::new(100).unwrap() };
    assert_eq!(changes(&mut rig, &[gone]), [GatewayMac(0, mac, false)]);
    let rloc = address("192.0.2.1");
    let (up, down) = (Update::LocalRlocUpsert { address: rloc }, Update::LocalRlocDelete { address: rloc });
    assert_eq!(changes(&mut rig, &[up, up]), [Rloc(rloc, true)]);
    assert_eq!(changes(&mut rig, &[down, up]), []);
    assert_eq!(changes(&mut rig, &[down]), [Rloc(rloc, false)]);
}

#[test]
fn our_own_rlocs_are_bounded() {
    let (mut applier, _tables) = build_tables(&limits(), ports());
    let rloc = |n: u32| Update::LocalRlocUpsert { address: std::net::Ipv4Addr::from(0x0a00_0000 + n).into() };
    assert!((0..1024).all(|n| applier.apply(&rloc(n)) == Ok(None)));
    assert_eq!(applier.apply(&rloc(1024)), Ok(refused(RefusedKind::LocalRlocTableFull, 0)));
    assert_eq!(applier.apply(&rloc(7)), Ok(None), "known already");
}

#[test]
fn many_host_prefixes_and_their_agents_are_synced_in_reasonable_time() {
    let mut rig = Crowd::new(20_000);
    let began = std::time::Instant::now();
    rig.sync();
    rig.learn_all();
    rig.sync();
    assert!(
        began.elapsed().as_secs() < 10,
        "{:?}: the cost of each must not grow with the others",
        began.elapsed()
    );
}

/// A table with so many host prefixes, each with its agent.
struct Crowd {
    applier: Applier,
    _tables: Tables,
    count: u32,
    generation: u64,
}

impl Crowd {
    fn new(count: u32) -> Crowd {
        let limits = TableLimits { max_eids: 65_536, ..limits() };
        let (applier, tables) = build_tables(&limits, ports());
        Crowd { applier, _tables: tables, count, generation: 0 }
    }

    fn host(n: u32) -> std::net::IpAddr {
        std::net::Ipv4Addr::from(0x0a01_0000 + n).into()
    }

    fn sync(&mut self) {
        self.generation += 1;
        self.applier.begin_session();
        self.applier.apply(&Update::BeginSync { generation: self.generation }).unwrap();
        for n in 0..self.count {
            let update = eid(&format!("{}/32", Self::host(n)), local());
            assert_eq!(self.applier.apply(&update), Ok(None));
        }
        self.applier.apply(&Update::EndSync { generation: self.generation }).unwrap();
        self.applier.flush();
    }

    fn learn_all(&mut self) {
        for n in 0..self.count {
            let seen = sterna_dataplane::state::Upward::Learned {
                iid: 100,
                eid: Self::host(n),
                mac: Mac(HOST),
                port: 0,
                vlan: 0,
            };
            assert!(self.applier.learn(&seen).is_some());
        }
        self.applier.flush();
    }
}
