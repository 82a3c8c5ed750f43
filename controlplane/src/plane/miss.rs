//! What becomes of the dataplane's questions.

use std::net::IpAddr;
use std::time::Instant;

use sterna_wire::Iid;
use tracing::debug;

use super::ControlPlane;
use crate::desired::{EidKey, EidWanted, Source};
use crate::negatives::Inserted;
use crate::outbox::Outbox;

/// What became of miss events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Misses {
    /// Misses there were.
    pub received: u64,
    /// Of these, asked by the source check.
    pub source_checks: u64,
    /// Given to the mapping system.
    pub asked: u64,
    /// Answered by a new negative entry, because there is no mapping system to ask.
    pub negative: u64,
    /// Repeated while the negative entry was on its way.
    pub repeated: u64,
    /// For an EID that is configured: its entry is on its way, or did not fit into the table.
    pub configured: u64,
    /// Answered by saying an entry again, because nothing else can be known of it.
    pub confirmed: u64,
    /// For a group that is not here.
    pub foreign: u64,
}

impl ControlPlane {
    /// A packet of a context class had no answer, or (`source`) its outer source is none of its inner source's locators.
    pub(super) fn miss(&mut self, (iid, eid): (Iid, IpAddr), source: bool, class: u8, now: Instant) {
        self.misses.received += 1;
        self.misses.source_checks += u64::from(source);
        let Some(&action) = self.tables.site().on_negative.get(&iid) else {
            self.misses.foreign += 1;
            return;
        };
        if let Some((covering, _)) = self.tables.site().covering(iid, eid)
            && !self.is_skill(iid, eid)
        {
            self.misses.configured += 1;
            debug!(%iid, %eid, prefix = %covering.prefix, "a miss for a configured EID");
            self.confirm(iid, eid, source);
            return;
        }
        if self.roles.asks() {
            self.misses.asked += 1;
            let mut out = Outbox::default();
            self.roles.miss((iid, eid), source, class, now, &mut out);
            return self.settle(out, now);
        }
        match self.negatives.insert(iid, eid, action, now) {
            Inserted::Known => {
                self.misses.repeated += 1;
                self.confirm(iid, eid, source);
            }
            Inserted::New { evicted } => {
                self.misses.negative += 1;
                if let Some(evicted) = evicted {
                    self.want(Source::Negative, evicted, None);
                }
                let wanted = EidWanted::Negative(action);
                self.want(Source::Negative, EidKey::host(iid, eid), Some(wanted));
            }
        }
    }

    /// Whether an agent with a skill is attached here: where the others are, the mapping system knows, whatever is
    /// configured around it.
    fn is_skill(&self, iid: Iid, eid: IpAddr) -> bool {
        let entry = self.tables.publisher().eid(&EidKey::host(iid, eid));
        matches!(entry, Some(EidWanted::Skill { .. }))
    }

    /// A source check waits for its entry to be written again; what is configured can be confirmed at once.
    fn confirm(&mut self, iid: Iid, eid: IpAddr, source: bool) {
        if source {
            self.misses.confirmed += 1;
            self.tables.confirm(iid, eid);
        }
    }
}
