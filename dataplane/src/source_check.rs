//! The source check: may this inner source come from that outer source (design section 5)?
//!
//! A locator of the inner source's mapping may, and for a moment one of the mapping before it ([`crate::departed`]); so
//! may, for a while, whoever relays for the destination after its move, and the gateway at the far end when it tells of
//! a packet that it could not forward. What nothing is known of waits for an answer. What is known to be elsewhere may
//! have moved: the packet waits until the entry is written again, and is then judged by it. Whose packet was refused so
//! is a convict for a second ([`crate::convicts`]).

use crate::decap::Outer;
use crate::hold::Role;
use crate::inner::Inner;
use crate::layout::gateway;
use crate::refuse::icmp_type;
use crate::route::Stop;
use crate::step::{Step, hold_key};
use crate::tables::{EidBody, EidValue, Moment, SetRow, locator_of};
use sterna_shm::Group;
use sterna_wire::{Family, addr_bytes};

/// What is said of a source.
pub(crate) enum SourceCheck {
    /// It may.
    Allowed {
        /// Inner size that the way back carries, for clamping the MSS of what comes from there.
        payload_mtu: u16,
    },
    /// It may not.
    Refused,
    /// Not known yet.
    Unknown {
        /// What the packet waits for: an answer about its source, or, with [`Role::Relay`], about its destination.
        role: Role,
        /// What to ask.
        stop: Stop,
    },
}

/// An ICMP header before what it quotes.
const ICMP_HEADER: usize = 8;

impl Step<'_, '_> {
    /// Checks the source of a packet out of the tunnel; `packet` is the inner one.
    #[inline]
    pub(crate) fn check_source(
        &self,
        group: &Group,
        outer: &Outer,
        inner: &Inner,
        packet: &[u8],
        source: Option<&EidValue>,
    ) -> SourceCheck {
        if let Some(EidValue { body: EidBody::Remote { set, .. } | EidBody::Skill { set, .. }, .. }) = source
            && let Some(payload_mtu) = self.is_locator(*set, outer)
        {
            return SourceCheck::Allowed { payload_mtu };
        }
        self.check_stranger(group, outer, inner, packet, source)
    }

    /// What the way back carries, when the outer source is a locator of a set.
    pub(crate) fn is_locator(&self, set: u32, outer: &Outer) -> Option<u16> {
        let row = self.view.set(set)?;
        let adjacency = locator_of(self.view, row, outer.family, &outer.source)?;
        self.view.marks.received.set(adjacency);
        Some(row.payload_mtu)
    }

    /// The same for a source whose mapping does not have the outer source, or that has none.
    #[cold]
    fn check_stranger(
        &self,
        group: &Group,
        outer: &Outer,
        inner: &Inner,
        packet: &[u8],
        source: Option<&EidValue>,
    ) -> SourceCheck {
        let set = source.and_then(|value| value.body.set()).and_then(|set| self.view.set(set));
        if set.is_some_and(|set| self.may_come_from(set, outer))
            || self.is_relay(group, outer, inner)
            || self.was_there(group, outer, inner)
        {
            return SourceCheck::Allowed { payload_mtu: set.map_or(u16::MAX, |set| set.payload_mtu) };
        }
        // The anycast gateway address is served at every site: it speaks from elsewhere only in errors.
        if gateway(group, inner.family).map(addr_bytes) == Some(inner.source) {
            return match self.answers_what_went_there(group, outer, inner, packet) {
                true => SourceCheck::Allowed { payload_mtu: u16::MAX },
                false => SourceCheck::Refused,
            };
        }
        // The permission may be on its way here.
        let iid = group.iid.get();
        if outer.relays > 0 && self.layout.is_dynamic(iid, inner.family, &inner.destination) {
            return SourceCheck::Unknown { role: Role::Relay, stop: Stop::Wait };
        }
        match source {
            None => SourceCheck::Unknown { role: Role::Source, stop: Stop::Miss },
            Some(EidValue { body: EidBody::Hold, .. }) => {
                SourceCheck::Unknown { role: Role::Source, stop: Stop::Wait }
            }
            Some(value) if may_have_moved(&value.body) && !self.is_forged(group, inner, value) => {
                SourceCheck::Unknown { role: Role::Moved, stop: Stop::Moved }
            }
            Some(_) => SourceCheck::Refused,
        }
    }

    /// Whether the outer source relays for the destination after its move.
    pub(crate) fn is_relay(&self, group: &Group, outer: &Outer, inner: &Inner) -> bool {
        let (to, from) = ((inner.family, &inner.destination), (outer.family, &outer.source));
        self.view.relays().allow(group.iid.get(), to, from) || self.came_from_its_agent(group, outer, inner)
    }

    /// Whether the site that the destination left for sent this on, before it knew that it has the agent. All that
    /// becomes of it here is that it goes back there.
    fn came_from_its_agent(&self, group: &Group, outer: &Outer, inner: &Inner) -> bool {
        if outer.relays == 0 {
            return false;
        }
        let entry = self.view.entry(group.iid.get(), inner.family, &inner.destination);
        let away = entry.and_then(|value| match value.body {
            EidBody::Away { set } => self.view.set(set),
            _ => None,
        });
        away.is_some_and(|set| self.may_come_from(set, outer))
    }

    /// Whether the inner source was behind the outer one a moment ago.
    fn was_there(&self, group: &Group, outer: &Outer, inner: &Inner) -> bool {
        let (eid, from) = ((inner.family, &inner.source), (outer.family, &outer.source));
        self.view.relays().was_there(group.iid.get(), eid, from, self.state.now_ns)
    }

    /// Whether the question of a move is answered, and the answer was no.
    fn is_forged(&self, group: &Group, inner: &Inner, value: &EidValue) -> bool {
        let state = &*self.state;
        let key = hold_key(group.iid.get(), inner.family, &inner.source, Role::Moved);
        // What it meets was written while it waited. The first answer about a source is not yet the one to its question:
        // the packet may have overtaken the news.
        (state.replay == Some(key) && value.written >= Moment::at(state.replay_since_ns))
            || state.convicts.has(&key, state.now_ns)
    }

    fn may_come_from(&self, set: &SetRow, outer: &Outer) -> bool {
        let locator = locator_of(self.view, set, outer.family, &outer.source);
        if let Some(adjacency) = locator {
            self.view.marks.received.set(adjacency);
        }
        locator.is_some()
    }

    /// Whether this is an ICMP error about a packet that its receiver may have sent to an EID behind the outer source.
    fn answers_what_went_there(&self, group: &Group, outer: &Outer, inner: &Inner, packet: &[u8]) -> bool {
        let Some((source, destination)) = quoted_addresses(inner, packet) else { return false };
        let entry = self.view.entry(group.iid.get(), inner.family, &destination);
        let set = entry.and_then(|value| value.body.set()).and_then(|set| self.view.set(set));
        source == inner.destination && set.is_some_and(|set| self.may_come_from(set, outer))
    }
}

/// Whether an EID with this entry may be somewhere else by now. What is served here by configuration may not, nor a
/// host in it.
fn may_have_moved(body: &EidBody) -> bool {
    match body {
        EidBody::Remote { .. } | EidBody::Away { .. } | EidBody::Negative { .. } => true,
        // Not moved, but one more that has it.
        EidBody::Skill { .. } => true,
        EidBody::Agent { given, .. } => *given,
        EidBody::Served { .. } | EidBody::Hold => false,
    }
}

/// Source and destination of the packet that an ICMP error quotes; `None` for anything but an error (RFC 792: 3, 11,
/// 12; RFC 4443: 1 to 4) directly behind the IP header.
fn quoted_addresses(inner: &Inner, packet: &[u8]) -> Option<([u8; 16], [u8; 16])> {
    let kind = icmp_type(inner, packet)?;
    let (mut source, mut destination) = ([0; 16], [0; 16]);
    match inner.family {
        Family::V4 => {
            let header = usize::from(packet.first()? & 0x0f) * 4;
            let quoted = packet.get(header + ICMP_HEADER..)?.first_chunk::<20>()?;
            if !matches!(kind, 3 | 11 | 12) || quoted[0] >> 4 != 4 {
                return None;
            }
            source[..4].copy_from_slice(&quoted[12..16]);
            destination[..4].copy_from_slice(&quoted[16..20]);
        }
        Family::V6 => {
            let quoted = packet.get(40 + ICMP_HEADER..)?.first_chunk::<40>()?;
            let direct = packet.get(6) == Some(&inner.protocol);
            if !direct || !matches!(kind, 1..=4) || quoted[0] >> 4 != 6 {
                return None;
            }
            source.copy_from_slice(&quoted[8..24]);
            destination.copy_from_slice(&quoted[24..40]);
        }
    }
    Some((source, destination))
}
