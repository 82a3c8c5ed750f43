//! Hostile data packets: what leaves, and the one counter.

use etherparse::PacketBuilder;
use sterna_dataplane::rig::Rig;
use sterna_shm::{Adjacency, EidAction, Locator, LocatorSet, Update};
use sterna_wire::Mac;

use crate::site::*;

/// The underlay's port and the agents' port of the site.
const RLOC_SIDE: usize = 1;
const EID_SIDE: usize = 0;
/// Where the outer UDP header, the LISP header and the inner packet begin in a frame.
const UDP: usize = 14 + 20;
const LISP: usize = UDP + 8;
const INNER: usize = LISP + 8;

/// Frames that come from the underlay or an agent, and what may follow.
pub struct DataCase {
    pub row: u8,
    what: &'static str,
    port: usize,
    frame: Vec<u8>,
    /// The counter that rises by one.
    counter: &'static str,
    /// Frames that leave by the agents' port.
    delivered: usize,
}

impl DataCase {
    /// Runs the case in a gateway of its own; a sentence about what is not as the row says.
    pub fn run(&self) -> Result<(), String> {
        let mut rig = attached_site();
        let before = (rig.counter(self.counter), dropped(&rig));
        rig.inject(self.port, &self.frame);
        rig.settle();
        let (delivered, sent) = (rig.collect(EID_SIDE).len(), rig.collect(RLOC_SIDE).len());
        let after = (rig.counter(self.counter), dropped(&rig));
        assert_balanced(&rig);
        let complain = |of: String| Err(format!("row {}, {}: {of}", self.row, self.what));
        if after.0 - before.0 != 1 {
            return complain(format!("{} rose by {}", self.counter, after.0 - before.0));
        }
        let drops = u64::from(self.counter.starts_with("drop_"));
        if after.1 - before.1 != drops {
            return complain(format!("{} packets were dropped in place of {drops}", after.1 - before.1));
        }
        if (delivered, sent) != (self.delivered, 0) {
            return complain(format!("{delivered} were delivered and {sent} sent"));
        }
        if !still_forwards(&mut rig) {
            return complain("the next packet is not forwarded".to_owned());
        }
        Ok(())
    }
}

/// The site with the agent 10.1.0.5 attached, and more sites than one.
fn attached_site() -> Rig {
    let mut rig = site();
    rig.apply(&more_sites()).unwrap();
    rig.apply(&[eid("10.1.0.5/32", EidAction::LocalHost { port: 0, vlan: None, mac: Mac(HOST) })]).unwrap();
    rig
}

fn dropped(rig: &Rig) -> u64 {
    rig.balance().dropped
}

/// Whether an honest packet each way gets through afterwards, the largest that the underlay carries.
fn still_forwards(rig: &mut Rig) -> bool {
    rig.inject(EID_SIDE, &udp("10.1.0.5", "10.1.2.9", 64, 1500 - 36 - 28));
    rig.inject(RLOC_SIDE, &honest());
    rig.settle();
    let largest = rig.collect(RLOC_SIDE).iter().filter(|frame| frame.len() == 14 + 1500).count();
    (largest, rig.collect(EID_SIDE).len()) == (1, 1)
}

/// What the gateway of site B sends to the agent.
fn honest() -> Vec<u8> {
    tunnelled("192.0.2.2", 100, &udp("10.1.2.9", "10.1.0.5", 64, 20)[14..])
}

/// The same, changed; the outer UDP checksum is left out, as LISP allows.
fn changed(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = honest();
    frame[UDP + 6..UDP + 8].fill(0);
    change(&mut frame);
    frame
}

fn dropped_as(row: u8, what: &'static str, counter: &'static str, frame: Vec<u8>) -> DataCase {
    DataCase { row, what, port: RLOC_SIDE, frame, counter, delivered: 0 }
}

pub fn cases() -> Vec<DataCase> {
    let mut cases = headers();
    cases.extend(inners());
    cases.push(DataCase {
        row: 28,
        what: "nonce and map-version at once",
        port: RLOC_SIDE,
        frame: changed(|frame| {
            frame[LISP] |= 0x90;
            frame[LISP + 1..LISP + 4].copy_from_slice(&[9, 9, 9]);
        }),
        counter: "decapsulated",
        delivered: 1,
    });
    cases.push(DataCase {
        row: 38,
        what: "a mapping that nothing may be sent to",
        port: EID_SIDE,
        frame: udp("10.1.0.5", "10.1.4.9", 64, 20),
        counter: "drop_no_locator",
        delivered: 0,
    });
    cases
}

fn headers() -> Vec<DataCase> {
    let mut cases: Vec<DataCase> = (1..=3)
        .map(|key| {
            let frame = changed(|frame| frame[LISP] |= key);
            dropped_as(30, "a key that we do not have", "drop_lisp_crypto", frame)
        })
        .collect();
    let mut short = Vec::new();
    let builder =
        PacketBuilder::ethernet2(CORE, OURS).ipv4([192, 0, 2, 2], [192, 0, 2, 1], 60).udp(50_000, 4341);
    builder.write(&mut short, &[8, 0, 0, 0, 0, 0, 100]).unwrap();
    cases.extend([
        dropped_as(1, "fewer than eight bytes", "drop_outer_bad_length", short),
        dropped_as(
            29,
            "an instance-ID that no group has",
            "drop_unknown_iid",
            changed(|frame| frame[LISP + 6] = 101),
        ),
        dropped_as(
            29,
            "a destination that is not here",
            "drop_dst_not_local",
            tunnelled("192.0.2.2", 100, &udp("10.1.2.9", "10.1.9.9", 64, 20)[14..]),
        ),
        dropped_as(
            32,
            "a congestion mark on a packet that cannot carry one",
            "drop_ecn_ce",
            changed(|frame| {
                frame[15] |= 3;
                mend_ipv4(frame);
            }),
        ),
        dropped_as(
            33,
            "a control message's instance-ID around something else",
            "drop_control_in_data",
            changed(|frame| frame[LISP + 4..LISP + 7].fill(0xff)),
        ),
        dropped_as(34, "a forged report that packets are too big", "drop_outer_not_lisp", too_big()),
    ]);
    cases
}

fn inners() -> Vec<DataCase> {
    let malformed =
        |what, change: fn(&mut Vec<u8>)| dropped_as(31, what, "drop_inner_malformed", changed(change));
    vec![
        malformed("an inner packet of version 5", |frame| frame[INNER] = 0x55),
        malformed("an inner header of less than 20 bytes", |frame| frame[INNER] = 0x44),
        malformed("an inner packet longer than the outer one", |frame| {
            frame[INNER + 2] = 0x7f;
            let header = &mut frame[INNER..INNER + 20];
            header[10..12].fill(0);
            let sum = sterna_wire::checksum::fold(sterna_wire::checksum::sum(header));
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }),
    ]
}

/// An ICMP error from somewhere that quotes a packet of ours and says that at most 600 bytes get through. The XDP
/// program leaves such frames to the kernel; should one reach a worker, it changes nothing.
fn too_big() -> Vec<u8> {
    let quoted = &tunnelled("192.0.2.1", 100, &[])[14..];
    let icmp = etherparse::Icmpv4Type::DestinationUnreachable(
        etherparse::icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 600 },
    );
    let mut frame = Vec::new();
    let builder =
        PacketBuilder::ethernet2(CORE, OURS).ipv4([198, 51, 100, 66], [192, 0, 2, 1], 60).icmpv4(icmp);
    builder.write(&mut frame, quoted).unwrap();
    frame
}

/// Site C and its mapping, which no packet may be sent by; and a mapping by both sites without any weight.
fn more_sites() -> Vec<Update> {
    let adjacency = Adjacency {
        next_hop: 1,
        local: address("192.0.2.1"),
        remote: address("192.0.2.3"),
        mtu: 1500,
        udp_checksum: false,
    };
    let locator =
        |adjacency, priority, weight| Locator { adjacency, priority, weight, usable: true, keep: false };
    let set = |locators: &[Locator]| LocatorSet::new(locators).unwrap();
    vec![
        Update::AdjacencyUpsert { id: 8, adjacency },
        Update::SetUpsert { id: 4, set: set(&[locator(7, 255, 100), locator(8, 255, 100)]) },
        Update::SetUpsert { id: 5, set: set(&[locator(7, 1, 0), locator(8, 1, 0)]) },
        eid("10.1.4.0/24", EidAction::Remote { set: 4, classes: None }),
        eid("10.1.5.0/24", EidAction::Remote { set: 5, classes: None }),
    ]
}

#[test]
fn row_38_without_any_weight_flows_split_evenly() {
    let mut rig = attached_site();
    let flow = |port: u16| {
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2(HOST, GATEWAY).ipv4([10, 1, 0, 5], [10, 1, 5, 9], 64);
        builder.udp(port, 2000).write(&mut frame, &[0; 20]).unwrap();
        frame
    };
    let (mut to_b, mut to_c) = (0, 0);
    for port in 0..2000 {
        rig.inject(EID_SIDE, &flow(10_000 + port));
        rig.settle();
        for frame in rig.collect(RLOC_SIDE) {
            match frame[30..34] {
                [192, 0, 2, 2] => to_b += 1,
                [192, 0, 2, 3] => to_c += 1,
                _ => panic!("to nobody we know"),
            }
        }
    }
    assert_eq!(to_b + to_c, 2000, "nothing is dropped");
    assert!((900..=1100).contains(&to_b), "{to_b} to one and {to_c} to the other");
}
