//! A free EID for a new agent.
//!
//! Sites may share a dynamic range, so an address that is free here may be taken elsewhere. One is picked at random
//! and the mapping system is asked for it; only when that says that nobody has it, the agent is attached.
//! Two sites could still pick the same address within the same round trip; the random choice makes that as unlikely
//! as the range is large, and then the last register wins, as with any attach.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sterna_wire::{Iid, Prefix};

use super::Etr;
use super::agents::Eid;
use super::attach::AttachError;
use super::counters::Counter;
use super::database::judge_agent;
use super::question::{Purpose, Said};
use crate::outbox::Outbox;

/// Assignments under way.
const PENDING: usize = 256;
/// Addresses looked at in each range until one is free here.
const CANDIDATES: u128 = 4096;
/// Addresses the mapping system is asked for.
const PICKS: usize = 16;
/// Questions for one address, and the wait after each.
const ASK_AGAIN: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(1000),
];

/// Names one request for a free EID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssignId(u64);

/// What became of a request for a free EID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The request.
    pub id: AssignId,
    /// Its group.
    pub iid: Iid,
    /// The EID, which is attached now; or why there is none.
    pub result: Result<IpAddr, AttachError>,
}

/// A request under way.
#[derive(Debug)]
struct Pending {
    eid: Eid,
    picks: usize,
    nonces: Vec<u64>,
    due: Instant,
}

/// The requests for a free EID.
#[derive(Debug, Default)]
pub(super) struct Assignments {
    last: u64,
    pending: BTreeMap<AssignId, Pending>,
    done: Vec<Assigned>,
}

impl Assignments {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.due).min()
    }
}

impl Etr {
    /// Attaches an agent with a free EID of the group's dynamic ranges. The EID is known later: see
    /// [`Etr::assigned`]. `UnknownGroup`, `OutOfRange` for a group without dynamic ranges, `NoFreeEid`, `Full`.
    pub fn assign(&mut self, iid: Iid, now: Instant, out: &mut Outbox) -> Result<AssignId, AttachError> {
        let group = self.settings.group(iid).ok_or(AttachError::UnknownGroup)?;
        if group.dynamic.is_empty() {
            return Err(AttachError::OutOfRange);
        }
        if self.assignments.pending.len() >= PENDING {
            return Err(AttachError::Full);
        }
        let eid = self.pick(iid).ok_or(AttachError::NoFreeEid)?;
        self.assignments.last += 1;
        let id = AssignId(self.assignments.last);
        self.ask_for_assignment(id, Pending { eid, picks: 1, nonces: Vec::new(), due: now }, now, out);
        Ok(id)
    }

    /// The requests for a free EID that are done since the last call; ask after each call that takes the time.
    pub fn assigned(&mut self) -> Vec<Assigned> {
        std::mem::take(&mut self.assignments.done)
    }

    /// An address of the group's dynamic ranges that nobody has here: from a random one upwards.
    fn pick(&mut self, iid: Iid) -> Option<Eid> {
        let ranges = self.settings.group(iid)?.dynamic.clone();
        for range in ranges {
            let bits = u32::from(range.family().bits() - range.len());
            let size = 1_u128.checked_shl(bits).unwrap_or(0).wrapping_sub(1);
            let random = u128::from(self.random.number()) << 64 | u128::from(self.random.number());
            let free = (0..CANDIDATES.min(size.saturating_add(1)))
                .map(|step| (iid, offset(&range, random.wrapping_add(step) & size)))
                .find(|eid| self.is_free_here(eid));
            if free.is_some() {
                return free;
            }
        }
        None
    }

    fn is_free_here(&self, eid: &Eid) -> bool {
        judge_agent(&self.settings, eid.0, eid.1).is_ok()
            && self.agents.get(eid).is_none()
            && self.assignments.pending.values().all(|pending| pending.eid != *eid)
            && self.database.covering(eid.0, &Prefix::host(eid.1)).is_none_or(|prefix| !prefix.is_host())
    }

    fn ask_for_assignment(&mut self, id: AssignId, mut pending: Pending, now: Instant, out: &mut Outbox) {
        let eid = pending.eid;
        let tries = pending.nonces.len();
        let Some(wait) = ASK_AGAIN.get(tries) else {
            return self.end_assignment(id, &pending, Err(AttachError::NoAnswer), now, out);
        };
        let Some(nonce) = self.ask(eid, Purpose::Assign(id, eid), tries, out) else {
            // Without a mapping system nobody else can have it.
            return self.end_assignment(id, &pending, Ok(eid.1), now, out);
        };
        pending.nonces.push(nonce);
        pending.due = now + *wait;
        self.assignments.pending.insert(id, pending);
    }

    /// The mapping system's answer.
    pub(super) fn assign_answered(
        &mut self,
        id: AssignId,
        eid: Eid,
        said: &Said,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Some(pending) = self.assignments.pending.remove(&id) else { return };
        if *said == Said::Free {
            return self.end_assignment(id, &pending, Ok(eid.1), now, out);
        }
        self.counters.count(Counter::AssignTaken);
        self.questions.forget(&pending.nonces);
        match self.pick(eid.0).filter(|_| pending.picks < PICKS) {
            Some(eid) => {
                let next = Pending { eid, picks: pending.picks + 1, nonces: Vec::new(), due: now };
                self.ask_for_assignment(id, next, now, out);
            }
            None => self.end_assignment(id, &pending, Err(AttachError::NoFreeEid), now, out),
        }
    }

    pub(super) fn assignments_due(&mut self, now: Instant, out: &mut Outbox) {
        let all = self.assignments.pending.iter();
        let due: Vec<_> = all.filter(|(_, pending)| pending.due <= now).map(|(id, _)| *id).collect();
        for id in due {
            if let Some(pending) = self.assignments.pending.remove(&id) {
                self.ask_for_assignment(id, pending, now, out);
            }
        }
    }

    fn end_assignment(
        &mut self,
        id: AssignId,
        pending: &Pending,
        found: Result<IpAddr, AttachError>,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.questions.forget(&pending.nonces);
        let (iid, _) = pending.eid;
        let result = found.and_then(|eid| self.attach(iid, eid, now, out).map(|()| eid));
        if result.is_err() {
            self.counters.count(Counter::AssignFailed);
        }
        self.assignments.done.push(Assigned { id, iid, result });
    }
}

/// The address so far behind the range's first one; `by` is within the range.
fn offset(range: &Prefix, by: u128) -> IpAddr {
    match range.addr() {
        IpAddr::V4(first) => IpAddr::V4((first.to_bits() | by as u32).into()),
        IpAddr::V6(first) => IpAddr::V6((first.to_bits() | by).into()),
    }
}

#[cfg(test)]
mod test;
