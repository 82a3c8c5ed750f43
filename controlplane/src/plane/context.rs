//! What agents report: who may, what is kept, and when the mapping system is told.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use sterna_wire::Iid;

use super::ControlPlane;
use crate::context::body::{Manner, Op};
use crate::context::{Bounds, Reported, Store, StoreCounter, StoreRefusal};
use crate::outbox::Outbox;

/// Who reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporter {
    /// Somebody on this machine who may open the API's socket: any agent here.
    Local,
    /// An agent by its own address: itself alone.
    Agent {
        /// Its group.
        iid: Iid,
        /// Itself.
        eid: IpAddr,
    },
}

/// Why a report is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefusal {
    /// There is nobody to tell.
    #[error(
        "this gateway has no mapping system, so nobody would learn of it: add [mapping_system] to the config"
    )]
    NoMappingSystem,
    /// No such group.
    #[error("there is no group with instance-ID {0} here")]
    UnknownGroup(Iid),
    /// No such agent.
    #[error(
        "{0} is not here: an agent that reports is attached here (`sterna show agents`), or its own address stands in \
         the group's eids"
    )]
    UnknownAgent(IpAddr),
    /// Another agent's.
    #[error("{eid} is not {reporter}: an agent may report for its own EID alone")]
    NotYours {
        /// Who reports.
        reporter: IpAddr,
        /// About whom.
        eid: IpAddr,
    },
    /// More than one Map-Register carries.
    #[error(
        "this is more than a Map-Register carries for one EID: use fewer or shorter names, or fewer locators"
    )]
    TooLong,
    /// The store's own reasons.
    #[error(transparent)]
    Store(#[from] StoreRefusal),
}

pub(super) fn bounds(context: &sterna_config::Context) -> Bounds {
    Bounds {
        ttl: Duration::from_secs(context.ttl_s.into()),
        load_threshold: context.load_threshold,
        min_interval: Duration::from_millis(context.min_interval_ms.into()),
        register_rate: context.register_rate,
        report_rate: context.report_rate,
        max_agents: context.max_agents,
    }
}

impl ControlPlane {
    /// Whether one more report may be read in this second. To be asked first: reading costs too.
    pub fn admit_report(&mut self, now: Instant) -> Result<(), ReportRefusal> {
        Ok(self.contexts.admit(now)?)
    }

    /// A report that could not be understood.
    pub fn report_malformed(&mut self) {
        self.contexts.refused(StoreCounter::ReportsMalformed);
    }

    /// Takes a report. Call [`ControlPlane::tell_contexts`] when all that came together is in.
    pub fn report(
        &mut self,
        reporter: Reporter,
        (iid, eid): (Iid, IpAddr),
        op: &Op,
        now: Instant,
    ) -> Result<(), ReportRefusal> {
        if let Err((counter, refusal)) = self.judge_report(reporter, iid, eid) {
            self.contexts.refused(counter);
            return Err(refusal);
        }
        match op {
            Op::Heartbeat => self.contexts.renew(iid, eid, now)?,
            Op::Delete => self.contexts.report((iid, eid), Reported::default(), None, now)?,
            Op::Report(manner, body) => {
                let known = self.contexts.get(iid, eid);
                let before = known.map(|entry| entry.said.clone()).unwrap_or_default();
                let ttl = known.filter(|_| *manner == Manner::Patch).map(|entry| entry.ttl);
                let said = body.applied(*manner, &before);
                if !said.is_short() {
                    self.contexts.refused(StoreCounter::ReportsLong);
                    return Err(ReportRefusal::TooLong);
                }
                self.contexts.report((iid, eid), said, body.ttl.or(ttl), now)?;
            }
        }
        Ok(())
    }

    fn judge_report(
        &self,
        reporter: Reporter,
        iid: Iid,
        eid: IpAddr,
    ) -> Result<(), (StoreCounter, ReportRefusal)> {
        if let Reporter::Agent { iid: group, eid: reporter } = reporter
            && (group, reporter) != (iid, eid)
        {
            return Err((StoreCounter::ReportsForeign, ReportRefusal::NotYours { reporter, eid }));
        }
        if !self.config.groups.iter().any(|group| group.iid == iid) {
            return Err((StoreCounter::ReportsUnknown, ReportRefusal::UnknownGroup(iid)));
        }
        match self.roles.etr() {
            None => Err((StoreCounter::ReportsUnknown, ReportRefusal::NoMappingSystem)),
            Some(etr) if !etr.may_report(iid, eid) => {
                Err((StoreCounter::ReportsUnknown, ReportRefusal::UnknownAgent(eid)))
            }
            Some(_) => Ok(()),
        }
    }

    /// Has the mapping system told what is due of what was reported.
    pub fn tell_contexts(&mut self, now: Instant) {
        let tellings = self.contexts.take_tellings(now);
        let mut out = Outbox::default();
        self.roles.tell_contexts(tellings, now, &mut out);
        self.settle(out, now);
    }

    /// New settings may leave no place for some of those that reported.
    pub(super) fn forget_absent_contexts(&mut self) {
        let here =
            |(iid, eid): &(Iid, IpAddr)| self.roles.etr().is_some_and(|etr| etr.may_report(*iid, *eid));
        let all = self.contexts.iter().map(|(iid, eid, _)| (iid, eid));
        let absent: Vec<_> = all.filter(|agent| !here(agent)).collect();
        for (iid, eid) in absent {
            self.contexts.forget(iid, eid);
        }
    }

    /// What was reported.
    pub fn contexts(&self) -> &Store {
        &self.contexts
    }
}
