//! What goes: numbers with their session, what a finished sync did not confirm, and rows that no worker sees any more.

use super::{Applier, Writers};
use crate::classes::ClassesRow;
use std::collections::HashSet;
use sterna_table::EidKey;

impl Applier {
    /// A control plane connected: its numbers are its own.
    pub fn begin_session(&mut self) {
        self.hops.forget_numbers();
        self.adjacencies.forget_numbers();
        self.sets.forget_numbers();
        self.classes.forget_numbers();
        self.drop_unused_rows();
    }

    /// Rows that no EID leads to, left behind by a session that ended before its sync did: without this, a control
    /// plane that fails again and again would use up all rows.
    fn drop_unused_rows(&mut self) {
        let (mut sets, mut classes) = (HashSet::new(), HashSet::new());
        for (_, value) in self.writers.eids.iter() {
            sets.extend(value.body.set());
            classes.extend(value.body.classes());
        }
        let rows = classes.iter().filter_map(|row| self.writers.classes.get(*row));
        sets.extend(rows.flat_map(|row: ClassesRow| row.sets()));
        let adjacencies: HashSet<u32> = sets
            .iter()
            .filter_map(|row| self.set_facts.get(row))
            .flat_map(|set| set.as_slice().iter().map(|locator| locator.adjacency))
            .collect();
        let hops: HashSet<u32> =
            adjacencies.iter().filter_map(|row| self.adjacency_facts.get(row)).map(|a| a.next_hop).collect();
        self.classes.keep(&classes, &self.domain);
        self.sets.keep(&sets, &self.domain);
        self.adjacencies.keep(&adjacencies, &self.domain);
        self.hops.keep(&hops, &self.domain);
        self.reclaim();
    }

    /// Everything that the finished sync did not confirm goes.
    pub(super) fn sweep(&mut self) {
        let epoch = self.epoch;
        let gone = self.attached.sweep(epoch);
        for (iid, agents) in gone {
            self.remove_agents(iid, &agents);
        }
        let (attached, session) = (&self.attached, self.session());
        let stale: Vec<EidKey> = self
            .writers
            .eids
            .iter()
            .filter(|(key, value)| {
                value.session != session && !attached.is_agent(key.iid(), key.addr(), &value.body)
            })
            .map(|(key, _)| key)
            .collect();
        for key in stale {
            self.writers.eids.remove(&key);
            self.attached.swept(&key);
        }
        self.mobility.sweep(epoch);
        self.policies.sweep(epoch);
        let before = (self.groups.len(), self.rlocs.len());
        self.groups.retain(|_, (_, confirmed)| *confirmed == epoch);
        self.rlocs.retain(|_, confirmed| *confirmed == epoch);
        self.layout_changed |= before != (self.groups.len(), self.rlocs.len());
        self.classes.sweep(epoch, &self.domain);
        self.sets.sweep(epoch, &self.domain);
        self.adjacencies.sweep(epoch, &self.domain);
        self.hops.sweep(epoch, &self.domain);
    }

    /// Frees what every worker has passed; call it regularly.
    pub fn reclaim(&mut self) {
        let Writers { eids, sets, classes, adjacencies, hops, layout, relays } = &mut self.writers;
        self.classes.reclaim(&self.domain, |row| classes.clear(row));
        self.sets.reclaim(&self.domain, |row| {
            sets.clear(row);
            self.set_facts.remove(&row);
        });
        self.adjacencies.reclaim(&self.domain, |row| {
            adjacencies.clear(row);
            self.adjacency_facts.remove(&row);
        });
        self.hops.reclaim(&self.domain, |row| hops.clear(row));
        eids.reclaim();
        sets.reclaim();
        classes.reclaim();
        adjacencies.reclaim();
        hops.reclaim();
        layout.reclaim();
        relays.reclaim();
    }
}
