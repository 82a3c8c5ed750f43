//! Entries of the EID table, with rows for the numbers that an action names.

use super::{Applier, Fault, refused};
use crate::layout::{Attachment, tag_of};
use crate::rows::{Named, Rows};
use crate::tables::{EidBody, EidValue, Moment, NO_ROW};
use std::net::IpAddr;
use sterna_shm::{EidAction, Event, NegativeAction, RefusedKind};
use sterna_table::EidKey;
use sterna_wire::{Family, Iid, Prefix, VlanId};

impl Applier {
    pub(super) fn put_eid(
        &mut self,
        iid: Iid,
        prefix: Prefix,
        action: EidAction,
    ) -> Result<Option<Event>, Fault> {
        let body = match self.body_of(action) {
            Ok(body) => body,
            Err(Unfit::Fault(fault)) => return Err(fault),
            Err(Unfit::Refused(kind, id)) => return Ok(refused(kind, id.into())),
        };
        let entry = self.value(self.attached.keep_agent(iid, prefix, body));
        let key = EidKey::prefix(iid, prefix);
        if prefix.is_host() {
            self.note_departure(iid, prefix.addr(), &key, &entry.body);
        }
        if self.writers.eids.insert(key, entry).is_err() {
            self.writers.eids.reclaim();
            if self.writers.eids.insert(key, entry).is_err() {
                return Ok(refused(RefusedKind::EidTableFull, u64::from(iid.get())));
            }
        }
        // Only now: what the agents had goes when the answer that replaces it is there.
        let gone = self.attached.note(iid, prefix, body, self.epoch);
        self.remove_agents(iid, &gone);
        Ok(None)
    }

    /// The entry of an action, with rows for numbers.
    fn body_of(&self, action: EidAction) -> Result<EidBody, Unfit> {
        let set_row = |set| row_of(&self.sets, set, RefusedKind::SetTableFull);
        let classes_row = |classes: Option<u32>| {
            classes.map_or(Ok(NO_ROW), |id| row_of(&self.classes, id, RefusedKind::ClassesTableFull))
        };
        let tag = |vlan: Option<VlanId>| vlan.map_or(0, |vlan| vlan.get());
        Ok(match action {
            EidAction::Remote { set, classes } => {
                EidBody::Remote { set: set_row(set)?, classes: classes_row(classes)? }
            }
            EidAction::Away { set } => EidBody::Away { set: set_row(set)? },
            EidAction::Hold => EidBody::Hold,
            EidAction::Negative { action } => EidBody::Negative { native: action == NegativeAction::Native },
            EidAction::Local { port, vlan, via } => EidBody::Served { port, vlan: tag(vlan), via },
            EidAction::LocalHost { port, vlan, mac } => {
                EidBody::Agent { port, vlan: tag(vlan), mac, given: true }
            }
            EidAction::Skill { port, vlan, mac, set, classes } => EidBody::Skill {
                port,
                vlan: tag(vlan),
                mac,
                set: set.map_or(Ok(NO_ROW), set_row)?,
                classes: classes_row(classes)?,
            },
        })
    }

    /// The last digits of the epoch, as entries have them.
    pub(super) fn session(&self) -> u16 {
        self.epoch as u16
    }

    /// An entry as it is written now.
    pub(crate) fn value(&self, body: EidBody) -> EidValue {
        EidValue { body, session: self.session(), written: Moment::at(self.now_ns) }
    }

    /// What a packet for an address would find.
    pub(crate) fn longest(&self, iid: Iid, eid: IpAddr) -> Option<EidBody> {
        let entry =
            |len: u8| Some(self.writers.eids.get(&EidKey::prefix(iid, Prefix::masked(eid, len).ok()?))?.body);
        self.writers.eids.lengths(iid, Family::of(eid)).into_iter().find_map(entry)
    }

    /// The attachment of the group, for an address of its dynamic ranges.
    pub(crate) fn home_of_agents(&self, iid: Iid, eid: IpAddr) -> Option<Attachment> {
        let (group, _) = self.groups.get(&iid)?;
        let home = Attachment { port: group.port, vlan: tag_of(group) };
        self.mobility.is_dynamic(iid, eid).then_some(home)
    }

    pub(super) fn delete_eid(&mut self, iid: Iid, prefix: Prefix) {
        let gone = self.attached.forget(iid, prefix);
        self.remove_agents(iid, &gone);
        // A host prefix may go while its agent stays, in the prefix around it.
        if !self.attached.has_agent(iid, prefix) {
            self.writers.eids.remove(&EidKey::prefix(iid, prefix));
        }
    }
}

/// Why an action is no entry.
enum Unfit {
    Fault(Fault),
    /// What it refers to found no room.
    Refused(RefusedKind, u32),
}

/// The row of a number.
fn row_of(rows: &Rows, id: u32, full: RefusedKind) -> Result<u32, Unfit> {
    match rows.named(id) {
        Named::Row(row) => Ok(row),
        Named::Unknown => Err(Unfit::Fault(Fault::UnknownId(id))),
        Named::Refused => Err(Unfit::Refused(full, id)),
    }
}
