//! Carrying out what the roles want: the tables first, messages and the rest after.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use sterna_wire::Iid;

use super::{ControlPlane, MAX_OUTGOING};
use crate::agents::Attachment;
use crate::desired::{ClassesKey, EidKey, EidWanted, LocatorKey, RowKey, SetKey, Source};
use crate::outbox::{
    AgentChange, AgentPlace, AgentState, Choice, Chosen, Datagram, Locator, LocatorChange, Mapping,
    MappingChange, Outbox,
};

/// The locator set of a learned mapping.
pub(super) fn set_of(locators: &[Locator]) -> SetKey {
    let key = |locator: &Locator| LocatorKey {
        remote: locator.address,
        priority: locator.priority,
        weight: locator.weight,
        udp_checksum: false,
        keep: false,
        here: false,
    };
    SetKey::new(locators.iter().map(key).collect())
}

/// The rows that the map-cache chose.
fn rows_of(choices: &BTreeMap<u8, Choice>) -> ClassesKey {
    let key = |chosen: &Chosen| LocatorKey {
        remote: chosen.locator.address,
        priority: chosen.locator.priority,
        weight: chosen.locator.weight,
        udp_checksum: false,
        keep: chosen.keep,
        here: false,
    };
    let row = |choice: &Choice| match choice {
        Choice::NoMatch => RowKey::NoMatch,
        Choice::Locators(chosen) => RowKey::Set(SetKey::new(chosen.iter().map(key).collect())),
    };
    ClassesKey::new(choices.iter().map(|(class, choice)| (*class, row(choice))))
}

impl ControlPlane {
    /// Takes what the roles gave.
    pub(super) fn settle(&mut self, out: Outbox, now: Instant) {
        let Outbox { agents, mappings, locators, datagrams, promises } = out;
        let changed = agents.iter().any(|change| change.state != AgentState::Check);
        for change in agents {
            self.agent_changed(change, now);
        }
        for change in mappings {
            self.mapping_changed(change);
        }
        for LocatorChange { remote, up } in locators {
            self.tables.probed(remote, up);
        }
        self.saves.extend(self.roles.take_saves());
        for datagram in datagrams {
            self.say(datagram);
        }
        if changed {
            self.agents_told = self.tables.publisher_mut().want_barrier();
        }
        for promise in promises {
            self.promise(promise);
        }
        self.collect_assigned();
    }

    fn say(&mut self, datagram: Datagram) {
        if self.outgoing.len() < MAX_OUTGOING {
            self.outgoing.push_back(datagram);
        } else {
            self.unsent += 1;
        }
    }

    /// Who hears that an agent is here sends its packets here at once: not before the dataplane knows it.
    fn promise(&mut self, promise: Datagram) {
        if self.promised.is_empty() && self.tables.publisher().is_in_use(self.agents_told) {
            self.say(promise);
        } else if self.promised.len() < MAX_OUTGOING {
            self.promised.push_back((self.agents_told, promise));
        } else {
            self.unsent += 1;
        }
    }

    /// Sends what was promised and holds by now.
    pub(super) fn keep_promises(&mut self) {
        while let Some((told, promise)) = self.promised.pop_front() {
            if !self.tables.publisher().is_in_use(told) {
                return self.promised.push_front((told, promise));
            }
            self.say(promise);
        }
    }

    fn mapping_changed(&mut self, change: MappingChange) {
        let MappingChange { iid, prefix, mapping, confirm, classes } = change;
        let key = EidKey { iid, prefix };
        let wanted = mapping.map(|mapping| match mapping {
            Mapping::Locators(locators) if classes.is_empty() => EidWanted::Remote(set_of(&locators)),
            Mapping::Locators(locators) => {
                EidWanted::Chosen { set: set_of(&locators), classes: rows_of(&classes) }
            }
            Mapping::Negative => EidWanted::Negative(self.tables.site().negative(iid)),
        });
        let agent = self.tables.learned().get(Source::Agent, &key);
        // An agent of this site is no matter of its mapping: if it moved, the Map-Server tells the registrar, and the
        // packet that made us ask waits for that.
        // Of a skill the mapping has the others as well.
        let ours = agent.is_some_and(|agent| !matches!(agent, EidWanted::Away(_) | EidWanted::Skill { .. }));
        // One that left may have moved on since: what is relayed follows it.
        if let (Some(EidWanted::Away(_)), Some(wanted)) = (agent, &wanted)
            && let Some(set) = wanted.set()
        {
            let away = EidWanted::Away(set.clone());
            self.want(Source::Agent, key, Some(away));
        }
        self.want(Source::Mapping, key, wanted);
        if confirm && !ours {
            self.tables.confirm_key(&key);
        }
    }

    fn agent_changed(&mut self, change: AgentChange, now: Instant) {
        let AgentChange { iid, eid, state } = change;
        let key = EidKey::host(iid, eid);
        if matches!(state, AgentState::Relay { .. } | AgentState::Release) {
            self.contexts.forget(iid, eid);
        }
        let wanted = match state {
            AgentState::Check => return self.tables.check(iid, eid),
            AgentState::Admit { place, previous } => {
                self.allow_relays(iid, eid, &previous, now);
                Some(EidWanted::LocalHost { port: place.port, vlan: place.vlan, mac: place.mac })
            }
            AgentState::AdmitSkill { place: AgentPlace { port, vlan, mac } } => {
                Some(EidWanted::Skill { port, vlan, mac, set: None, classes: None })
            }
            AgentState::Expect { previous } => {
                self.allow_relays(iid, eid, &previous, now);
                self.expected(iid)
            }
            AgentState::Hold => Some(EidWanted::Hold),
            AgentState::Relay { locators } => {
                self.forbid_relays(iid, eid);
                Some(EidWanted::Away(set_of(&locators)))
            }
            AgentState::Release => {
                self.forbid_relays(iid, eid);
                None
            }
        };
        self.forget_leftover(key);
        self.want(Source::Agent, key, wanted);
    }

    /// An agent whose MAC is not known yet: the dataplane asks for it where its group is attached.
    fn expected(&self, iid: Iid) -> Option<EidWanted> {
        let group = self.tables.site().groups.get(&iid)?;
        Some(EidWanted::Local { port: group.port, vlan: group.vlan, via: None })
    }

    /// An agent answered the dataplane: it is where it answered from.
    pub(super) fn agent_answered(&mut self, iid: Iid, eid: IpAddr, at: Attachment, now: Instant) {
        let mut out = Outbox::default();
        let place = AgentPlace { port: at.port, vlan: at.vlan, mac: at.mac };
        self.roles.agent_answered(iid, eid, place, now, &mut out);
        self.settle(out, now);
    }
}
