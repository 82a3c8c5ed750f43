//! Relay after a move: what other sites still send here for an agent that left goes on to its new site, while the
//! senders are being told (design section 5).

use crate::counters::Basic;
use crate::decap;
use crate::emit::{Rewrite, Way};
use crate::hold::{HoldKey, Role};
use crate::rloc_side::Head;
use crate::route::{Stop, tunnel};
use crate::state::Upward;
use crate::step::{Step, hold_key};
use crate::tables::locator_of;
use crate::verdict::{DropReason, Verdict};
use sterna_wire::addr_from_bytes;

/// How often a packet may be relayed. An agent moves once while a packet is under way, twice if it is quick; more
/// than that is sites that send each other what neither has.
const MAX_RELAYS: u8 = 2;

/// How long a packet waits before it goes back to the site that sent it here, which by our entry has its agent. That
/// site did not know yet: its control plane had told everyone before its own dataplane had applied it.
const BACK_PAUSE_NS: u64 = 10_000_000;

impl Step<'_, '_> {
    /// Sends a packet whose source is proved on to the locators of `set`.
    #[cold]
    pub(crate) fn relay(&mut self, head: &Head<'_>, set: u32, frame: &[u8]) -> Verdict {
        let (group, inner, outer) = (head.group, &head.inner, &head.outer);
        self.tell_of_stray(head);
        let key = |role| hold_key(group.iid.get(), inner.family, &inner.destination, role);
        let view = self.view;
        let may_relay = outer.relays < MAX_RELAYS;
        let row = view.set(set);
        if row.is_some_and(|row| locator_of(view, row, outer.family, &outer.source).is_some()) {
            // That site sent it here: one of us will know better in a moment.
            if !(may_relay && self.has_paused(&key(Role::Back))) {
                return self.hold(key(Role::Back), Stop::Wait, group, frame);
            }
        } else if !may_relay {
            return Verdict::Drop(DropReason::RelayLimit);
        }
        match tunnel(self, view, set, group.iid.get(), inner.flow) {
            Ok(tunnel) => self.send_on(head, &Way::Tunnel(tunnel), frame),
            Err(Stop::Drop(reason)) => Verdict::Drop(reason),
            Err(stop) => self.hold(key(Role::Destination), stop, group, frame),
        }
    }

    /// Whether the packet being stepped again waited long enough for the site that sent it here to know better.
    fn has_paused(&self, key: &HoldKey) -> bool {
        let state = &*self.state;
        state.replay == Some(*key) && state.now_ns.saturating_sub(state.replay_since_ns) >= BACK_PAUSE_NS
    }

    /// Out of one tunnel and into another, as a router between them would.
    fn send_on(&mut self, head: &Head<'_>, way: &Way<'_>, frame: &[u8]) -> Verdict {
        let (group, inner, outer) = (head.group, &head.inner, &head.outer);
        let packet = head.packet(frame);
        let ttl = inner.ttl.min(outer.ttl);
        if ttl <= 1 {
            return self.refuse_ttl(group, inner, packet);
        }
        let Some(tos) = self.combined_tos(head) else { return Verdict::Drop(DropReason::EcnCe) };
        let clamp = self.layout.settings.mss_clamp;
        let mss_mtu = clamp.then(|| way.mtu());
        let rewrite = Rewrite { ttl: ttl - 1, tos, mss_mtu, relays: outer.relays + 1 };
        if inner.len > way.mtu() {
            return self.refuse_or_split(group, way, inner, packet, &rewrite);
        }
        match self.emit(way, group.iid.get(), inner, packet, &rewrite) {
            Ok(port) => {
                let ingress = self.ingress;
                self.state.tally(ingress).add(Basic::Relayed, 1);
                Verdict::Transmit(port)
            }
            Err(reason) => Verdict::Drop(reason),
        }
    }

    /// DSCP and ECN of the inner packet after decapsulation; `None` where RFC 6040 has it dropped.
    fn combined_tos(&self, head: &Head<'_>) -> Option<u8> {
        let (inner, outer) = (&head.inner, &head.outer);
        let dscp = if self.layout.settings.dscp_decap_pipe { inner.tos } else { outer.tos };
        decap::combine_ecn(inner.tos, outer.tos).map(|ecn| (dscp & 0xfc) | ecn.ecn)
    }

    /// Tells the control plane which site does not know of the move yet.
    fn tell_of_stray(&mut self, head: &Head<'_>) {
        let (inner, outer) = (&head.inner, &head.outer);
        let iid = head.group.iid.get();
        let selector = u64::from(iid) << 16 | (inner.family as u64) << 8 | outer.family as u64;
        let pair = crate::flow::hash(&inner.destination, &outer.source, selector);
        let now_ns = self.state.now_ns;
        if self.state.strays.allow(u64::from(pair), now_ns) {
            let eid = addr_from_bytes(inner.family, &inner.destination);
            let from = addr_from_bytes(outer.family, &outer.source);
            self.report(Upward::Stray { iid, eid, from });
        }
    }
}
