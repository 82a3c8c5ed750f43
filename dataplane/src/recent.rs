//! What was found out for one packet of a burst and holds for the next ones: the view does not change within a burst.

use crate::counters::Basic;
use crate::decap::Outer;
use crate::emit::Tunnel;
use crate::locator;
use crate::route::{Stop, by_flow};
use crate::state::WorkerState;
use crate::step::Step;
use crate::tables::{NO_ROW, SetRow, View};
use sterna_wire::Family;

/// Which outer source the last source check allowed, and what is to be counted when the burst is over.
pub(crate) struct Allowed {
    set: u32,
    family: Family,
    outer_source: u128,
    payload_mtu: u16,
    decapsulated: i64,
}

impl Allowed {
    /// Nothing yet.
    #[inline(always)]
    pub fn new() -> Allowed {
        Allowed { set: NO_ROW, family: Family::V4, outer_source: 0, payload_mtu: 0, decapsulated: 0 }
    }

    /// Whether a source whose mapping is a set may come from an outer source, and what the way back carries. `None` is
    /// no answer.
    #[inline(always)]
    pub fn source(&mut self, step: &Step<'_, '_>, set: u32, outer: &Outer) -> Option<u16> {
        let outer_source = u128::from_ne_bytes(outer.source);
        if (self.set, self.family, self.outer_source) != (set, outer.family, outer_source) {
            self.payload_mtu = step.is_locator(set, outer)?;
            (self.set, self.family, self.outer_source) = (set, outer.family, outer_source);
        }
        Some(self.payload_mtu)
    }

    /// Counts a packet that was decapsulated.
    #[inline(always)]
    pub fn decapsulated(&mut self) {
        self.decapsulated += 1;
    }

    /// Writes the count down.
    pub fn settle(&self, state: &mut WorkerState, ingress: u16) {
        if self.decapsulated != 0 {
            state.tally(ingress).add(Basic::Decapsulated, self.decapsulated);
        }
    }
}

/// The set that was used last and, where all flows go one way, that way; and what is to be counted when the burst is
/// over.
pub(crate) struct Recent<'v> {
    set: u32,
    row: Option<&'v SetRow>,
    way: Option<Tunnel<'v>>,
    encapsulated: (u16, i64),
}

impl<'v> Recent<'v> {
    /// Nothing yet.
    #[inline(always)]
    pub fn new() -> Recent<'v> {
        Recent { set: NO_ROW, row: None, way: None, encapsulated: (0, 0) }
    }

    /// The way by a set for a packet of `flow`: packets to one site ask for it once.
    #[inline(always)]
    pub fn tunnel(
        &mut self,
        step: &mut Step<'_, '_>,
        view: &'v View<'_>,
        set: u32,
        iid: u32,
        flow: u32,
    ) -> Result<Tunnel<'v>, Stop> {
        if self.set != set {
            (self.set, self.row, self.way) = (set, view.set(set), None);
        }
        match self.way {
            Some(way) => Ok(way),
            None => self.way_of_flow(step, view, iid, flow),
        }
    }

    #[inline(never)]
    fn way_of_flow(
        &mut self,
        step: &mut Step<'_, '_>,
        view: &'v View<'_>,
        iid: u32,
        flow: u32,
    ) -> Result<Tunnel<'v>, Stop> {
        let way = by_flow(step, view, self.row, iid, flow)?;
        if self.row.is_some_and(locator::is_only_way) {
            self.way = Some(way);
        }
        Ok(way)
    }

    /// Counts a packet that was encapsulated and leaves by a port.
    #[inline(always)]
    pub fn encapsulated(&mut self, state: &mut WorkerState, port: u16) {
        if self.encapsulated.0 != port {
            self.settle(state);
            self.encapsulated.0 = port;
        }
        self.encapsulated.1 += 1;
    }

    /// Writes the counts down; once more when the burst is over.
    pub fn settle(&mut self, state: &mut WorkerState) {
        let (port, packets) = self.encapsulated;
        if packets != 0 {
            state.tally(port).add(Basic::Encapsulated, packets);
            self.encapsulated.1 = 0;
        }
    }
}
