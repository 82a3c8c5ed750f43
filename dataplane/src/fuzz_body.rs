//! The body of the fuzz target `step_burst`: bytes become frames and updates for a fixed site, and whatever comes
//! out must be allowed to.
//!
//! The site has four groups with the same EIDs: 100 on port 0, 300 tagged on port 0, 200 on port 1, 400 tagged on
//! port 3, which carries the underlay too; port 2 is the underlay's. Each group has RLOCs of its own, so that an
//! outer header shows which group it was made for, and each packet carries a number that shows where it came in.

mod frames;
mod judge;
mod site;

use crate::layout::{PortRow, Side};
use crate::rig::{Rig, RigOptions};
use frames::{Input, agent_frame, arp_frame, host_mac, ndisc_frame, tunnel_frame};
use judge::{belongs, judge_eid, judge_tunnel};
use site::{
    DYNAMIC, GROUPS, LOCATORS, Numbers, SIDES, adjacency, classes, eid, group, hop, local, own, policy,
    prefix, remote, set, settings, v4, v6, whole_site,
};
use std::net::IpAddr;
use sterna_shm::{EidAction, NegativeAction, Update};
use sterna_wire::{Iid, Mac, Prefix, VlanId};

/// Longest input that is looked at: beyond it a run only gets slower.
const INPUT_MAX: usize = 4096;
const FRAMES_MAX: usize = 256;

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
