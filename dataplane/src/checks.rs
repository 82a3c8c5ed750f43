//! "Are you still there?": hosts that are asked by ARP or neighbour discovery, three times, and given up when they
//! stay silent.
//!
//! The conductor keeps the times; a worker sends the questions; any worker may see the answer. So that workers do
//! not report every host that speaks, they look first whether one is being asked for ([`Checking`]).

use crate::apply::Applier;
use crate::attached::agent_event;
use crate::layout::Attachment;
use crate::tables::EidBody;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use sterna_cpu::fold_multiply;
use sterna_shm::{Event, RefusedKind};
use sterna_wire::{Iid, Mac, addr_bytes};

/// Questions per host.
const TRIES: u8 = 3;
/// Between two questions, and after the last: a host on a link answers within a few milliseconds.
const TRY_NS: u64 = 60_000_000;
/// Hosts that are asked for at a time.
const MAX_CHECKS: usize = 1024;
/// Places of the filter; a host that shares one with an asked one is reported for nothing, once.
const PLACES: usize = 1024;

/// A question for a worker to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Group.
    pub iid: u32,
    /// Who is asked for.
    pub eid: IpAddr,
    /// Where.
    pub at: Attachment,
}

/// Which hosts are perhaps being asked for; written by the conductor, read by workers.
pub struct Checking(Box<[AtomicU32]>);

impl Checking {
    pub(crate) fn new() -> Checking {
        Checking((0..PLACES).map(|_| AtomicU32::new(0)).collect())
    }

    fn place(&self, iid: u32, eid: IpAddr) -> &AtomicU32 {
        let address = u128::from_be_bytes(addr_bytes(eid));
        let hash =
            fold_multiply(address as u64 ^ u64::from(iid), (address >> 64) as u64 ^ 0x9e37_79b9_7f4a_7c15);
        &self.0[hash as usize % PLACES]
    }

    /// False: this host is certainly not being asked for.
    pub fn may_be(&self, iid: u32, eid: IpAddr) -> bool {
        self.place(iid, eid).load(Ordering::Relaxed) != 0
    }
}

struct Check {
    sent: u8,
    next_ns: u64,
    /// Somebody else answered for a host that the control plane installed: nothing, while that one answers too.
    rival: Option<(Attachment, Mac)>,
}

/// The hosts that are asked for.
pub(crate) struct Checks {
    running: BTreeMap<(Iid, IpAddr), Check>,
    checking: Arc<Checking>,
}

impl Checks {
    pub fn new(checking: Arc<Checking>) -> Checks {
        Checks { running: BTreeMap::new(), checking }
    }

    fn begin(&mut self, iid: Iid, eid: IpAddr, now_ns: u64) -> bool {
        if self.running.contains_key(&(iid, eid)) {
            return true;
        }
        if self.running.len() >= MAX_CHECKS {
            return false;
        }
        self.running.insert((iid, eid), Check { sent: 0, next_ns: now_ns, rival: None });
        self.checking.place(iid.get(), eid).fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Ends a check; false when there was none.
    fn end(&mut self, iid: Iid, eid: IpAddr) -> bool {
        let was = self.running.remove(&(iid, eid)).is_some();
        if was {
            self.checking.place(iid.get(), eid).fetch_sub(1, Ordering::Relaxed);
        }
        was
    }
}

/// What is due now.
#[derive(Debug, Default)]
pub struct Due {
    /// Questions to send.
    pub asks: Vec<Ask>,
    /// Hosts that did not answer, or answered from another Ethernet address than the installed one.
    pub verdicts: Vec<Event>,
}

impl Applier {
    /// Begins to ask for a host; one that cannot be here is gone at once.
    pub(crate) fn begin_check(&mut self, iid: Iid, eid: IpAddr) -> Option<Event> {
        if self.place_of(iid, eid).is_none() {
            return Some(Event::AgentGone { iid, eid });
        }
        let begun = self.checks.begin(iid, eid, self.now_ns);
        let (kind, detail) = (RefusedKind::AgentChecksFull, u64::from(iid.get()));
        (!begun).then_some(Event::Refused { kind, detail })
    }

    /// A host spoke; an event if it was asked for. The one that the control plane installed has until the last try.
    pub(crate) fn seen(&mut self, iid: Iid, eid: IpAddr, at: Attachment, mac: Mac) -> Option<Event> {
        if self.place_of(iid, eid) != Some(at) {
            return None;
        }
        if let Some((_, known)) = self.longest(iid, eid).and_then(|body| body.given())
            && known != mac
        {
            let check = self.checks.running.get_mut(&(iid, eid))?;
            check.rival.get_or_insert((at, mac));
            return None;
        }
        self.checks.end(iid, eid).then(|| agent_event(iid, eid, at, mac))
    }

    /// Questions to send now, and hosts to be given up.
    pub fn due_checks(&mut self) -> Due {
        let now_ns = self.now_ns;
        let is_due = |(_, check): &(&(Iid, IpAddr), &Check)| check.next_ns <= now_ns;
        let all: Vec<_> = self.checks.running.iter().filter(is_due).map(|(key, _)| *key).collect();
        let mut due = Due::default();
        for (iid, eid) in all {
            let place = self.place_of(iid, eid);
            match (self.checks.running.get_mut(&(iid, eid)), place) {
                (Some(check), Some(at)) if check.sent < TRIES => {
                    check.sent += 1;
                    check.next_ns = now_ns + TRY_NS;
                    due.asks.push(Ask { iid: iid.get(), eid, at });
                }
                (check, _) => {
                    let rival = check.and_then(|check| check.rival);
                    self.checks.end(iid, eid);
                    self.forget_silent(iid, eid);
                    due.verdicts.push(match rival {
                        Some((at, mac)) => agent_event(iid, eid, at, mac),
                        None => Event::AgentGone { iid, eid },
                    });
                }
            }
        }
        due
    }

    /// When [`Applier::due_checks`] has something to do next, monotonic ns.
    pub fn next_check_ns(&self) -> Option<u64> {
        self.checks.running.values().map(|check| check.next_ns).min()
    }

    /// Where a host of this site is, or would be: where agents come and go, also one that is said to be elsewhere.
    fn place_of(&self, iid: Iid, eid: IpAddr) -> Option<Attachment> {
        match self.longest(iid, eid) {
            Some(
                EidBody::Agent { port, vlan, .. }
                | EidBody::Skill { port, vlan, .. }
                | EidBody::Served { port, vlan, via: None },
            ) => Some(Attachment { port, vlan }),
            Some(EidBody::Served { .. }) => None,
            _ => self.home_of_agents(iid, eid),
        }
    }
}
