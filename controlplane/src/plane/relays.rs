//! What holds for a moment after a move: which sites may relay to an agent, and what was left of earlier moves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sterna_wire::Iid;

use super::ControlPlane;
use crate::desired::{EidKey, Source};

/// How long frames relayed by an earlier site of an agent are let in, where the config says nothing.
const RELAY_FOR: Duration = Duration::from_secs(30);

/// Sites an agent may be relayed by at most: the dataplane follows two relays, and an agent that moves faster than
/// its relays end is frozen by the mapping system.
const MAX_FROM: usize = 16;

/// Permissions and leftovers with their ends.
#[derive(Debug, Default)]
pub(super) struct Relays {
    ends: BTreeSet<(Instant, What)>,
    until: BTreeMap<What, Instant>,
}

/// What ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Frames for the agent that come from this RLOC pass the source check.
    Permission(Iid, IpAddr, IpAddr),
    /// An entry of an agent that an earlier control plane left, and of which this one knows nothing else.
    Leftover(EidKey),
}

impl Relays {
    fn keep(&mut self, what: What, until: Instant) {
        self.drop(&what);
        self.until.insert(what, until);
        self.ends.insert((until, what));
    }

    fn drop(&mut self, what: &What) -> bool {
        let Some(until) = self.until.remove(what) else { return false };
        self.ends.remove(&(until, *what));
        true
    }

    fn expired(&mut self, now: Instant) -> Option<What> {
        let (until, what) = *self.ends.first()?;
        (until <= now).then(|| {
            self.drop(&what);
            what
        })
    }

    fn of_agent(&self, iid: Iid, eid: IpAddr) -> Vec<IpAddr> {
        let lowest = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let from_here = self.until.range(What::Permission(iid, eid, lowest)..).map(|(what, _)| *what);
        let own = from_here.map_while(|what| match what {
            What::Permission(group, agent, from) if (group, agent) == (iid, eid) => Some(from),
            _ => None,
        });
        own.collect()
    }

    /// When the next one ends.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.ends.first().map(|(until, _)| *until)
    }
}

impl ControlPlane {
    /// Frames for this agent that its earlier sites relay are let in for a while.
    pub(super) fn allow_relays(&mut self, iid: Iid, eid: IpAddr, from: &[IpAddr], now: Instant) {
        let until = now + self.relay_for();
        for &from in from.iter().take(MAX_FROM) {
            self.relays.keep(What::Permission(iid, eid, from), until);
            self.tables.relay(iid, eid, from, true);
        }
    }

    /// The agent is here no longer: nobody relays to it here.
    pub(super) fn forbid_relays(&mut self, iid: Iid, eid: IpAddr) {
        for from in self.relays.of_agent(iid, eid) {
            self.relays.drop(&What::Permission(iid, eid, from));
            self.tables.relay(iid, eid, from, false);
        }
    }

    /// An agent's entry that only the dataplane remembers goes after a while.
    pub(super) fn keep_leftover(&mut self, key: EidKey, now: Instant) {
        let until = now + self.relay_for();
        self.relays.keep(What::Leftover(key), until);
    }

    /// The roles say themselves what is to become of this agent.
    pub(super) fn forget_leftover(&mut self, key: EidKey) {
        self.relays.drop(&What::Leftover(key));
    }

    pub(super) fn expire_relays(&mut self, now: Instant) {
        while let Some(what) = self.relays.expired(now) {
            match what {
                What::Permission(iid, eid, from) => self.tables.relay(iid, eid, from, false),
                What::Leftover(key) => self.want(Source::Agent, key, None),
            }
        }
    }

    fn relay_for(&self) -> Duration {
        let system = self.config.mapping_system.as_ref();
        system.map_or(RELAY_FOR, |system| Duration::from_secs(system.relay_s.into()))
    }
}
