//! The one TCP port at a group's gateway address, behind which the control plane's context API is: what agents send
//! there is handed over, and the answers are sent to them.
//!
//! The kernel has no address on an eid-side port and several groups may have the same ones, so the control plane speaks
//! TCP itself; here a segment is a packet like any other, checked, counted and carried. Who sends it has passed the
//! source check: it is attached to the group on this port and VLAN.

use crate::counters::Basic;
use crate::emit::Rewrite;
use crate::flow;
use crate::inner::{self, Inner};
use crate::layout::gateway;
use crate::parcels::{Mail, Parcels};
use crate::route::{Stop, to_host};
use crate::state::WorkerState;
use crate::step::Step;
use crate::tables::View;
use crate::verdict::{DropReason, PuntReason, Verdict};
use std::sync::Arc;
use sterna_shm::{Group, PACKET};
use sterna_wire::{Family, Iid, addr_bytes};
use sterna_xsk::BURST;

const TCP: u8 = 6;
/// A TCP header without options.
const TCP_HEADER: usize = 20;
/// Segments a second from one agent: twenty requests with all that TCP says around them.
const AGENT_PER_SECOND: u64 = 200;
/// Segments that one agent may send at once.
const AGENT_BURST: u64 = 64;
/// Segments a second that one worker hands over: what these cost the control plane is a few hundredths of its time.
const ALL_PER_SECOND: u64 = 4_000;
/// Segments from all that may come at once.
const ALL_BURST: u64 = 128;
/// Places for agents; two that share one share its rate.
const PLACES: usize = 8192;

/// A rate, as the time that one segment costs.
#[derive(Clone, Copy)]
struct Rate {
    cost_ns: u64,
    depth_ns: u64,
}

impl Rate {
    const fn new(per_second: u64, burst: u64) -> Rate {
        let cost_ns = 1_000_000_000 / per_second;
        Rate { cost_ns, depth_ns: cost_ns * burst }
    }

    /// When a bucket would be full again after one more; `None` when that is more than it holds.
    fn after_one(self, full_at_ns: u64, now_ns: u64) -> Option<u64> {
        let full_at_ns = full_at_ns.max(now_ns).saturating_add(self.cost_ns);
        (full_at_ns - now_ns <= self.depth_ns).then_some(full_at_ns)
    }
}

const AGENT: Rate = Rate::new(AGENT_PER_SECOND, AGENT_BURST);
const ALL: Rate = Rate::new(ALL_PER_SECOND, ALL_BURST);

/// How much one worker hands over, and where to.
pub(crate) struct Gate {
    /// By place: when that bucket is full again, ns.
    agents: Box<[u64]>,
    all: u64,
    way: Option<Arc<Mail>>,
}

impl Gate {
    /// A gate that leads nowhere yet.
    pub(crate) fn new() -> Gate {
        Gate { agents: vec![0; PLACES].into_boxed_slice(), all: 0, way: None }
    }

    /// Hands over to this queue from now on.
    pub(crate) fn lead_to(&mut self, way: &Arc<Mail>) {
        self.way = Some(Arc::clone(way));
    }

    /// Whether a segment of this agent may go now; if so, it counts.
    fn allow(&mut self, agent: u32, now_ns: u64) -> bool {
        let place = &mut self.agents[agent as usize % PLACES];
        let both = (AGENT.after_one(*place, now_ns), ALL.after_one(self.all, now_ns));
        let (Some(agent), Some(all)) = both else { return false };
        (*place, self.all) = (agent, all);
        true
    }
}

/// The ports of a whole TCP segment directly behind the IP header: source and destination.
fn tcp_ports(inner: &Inner, packet: &[u8]) -> Option<(u16, u16)> {
    let at = match inner.family {
        Family::V4 => usize::from(packet.first()? & 0x0f) * 4,
        Family::V6 if packet.get(6) == Some(&TCP) => 40,
        Family::V6 => return None,
    };
    let header = packet.get(at..at + TCP_HEADER)?;
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    (inner.protocol == TCP && !inner.fragment).then(|| (port(0), port(2)))
}

impl Step<'_, '_> {
    /// A packet from an agent of this site to its gateway's address: the context API is served here and for those who
    /// are here alone, all else for everybody.
    #[cold]
    pub(crate) fn agent_at_gateway(
        &mut self,
        group: &Group,
        inner: &Inner,
        packet: &[u8],
        frame: &[u8],
    ) -> Verdict {
        let punted = self.punt_to_context_api(group, inner, packet);
        punted.unwrap_or_else(|| self.at_gateway(group, inner, packet, frame))
    }

    /// Hands an agent's segment for the context API over; `None` when it is none.
    fn punt_to_context_api(&mut self, group: &Group, inner: &Inner, packet: &[u8]) -> Option<Verdict> {
        let served = self.layout.settings.eid_api_port?;
        let (_, asked) = tcp_ports(inner, packet)?;
        if asked != served {
            return None;
        }
        if packet.len() > PACKET {
            return Some(Verdict::Drop(DropReason::ContextTooLong));
        }
        let agent = flow::hash(&inner.source, &[0; 16], u64::from(group.iid.get()));
        let now_ns = self.state.now_ns;
        let gate = &mut self.state.gate;
        if !gate.allow(agent, now_ns) {
            return Some(Verdict::Drop(DropReason::ContextRate));
        }
        if !gate.way.as_ref().is_some_and(|way| way.up.put(group.iid, packet)) {
            return Some(Verdict::Drop(DropReason::ContextBacklog));
        }
        self.state.uplink_rung = true;
        Some(Verdict::Punt(PuntReason::ContextApi))
    }

    /// Sends an answer of the context API, if it is one, to an agent that is attached here.
    fn answer(&mut self, group: &Group, packet: &[u8]) -> Result<(), Basic> {
        let refused = Basic::ContextAnswersRefused;
        let inner = inner::read(packet).map_err(|_| refused)?;
        let from = gateway(group, inner.family).map(addr_bytes);
        let port = tcp_ports(&inner, packet).map(|(source, _)| source);
        let is_ours = port.is_some() && port == self.layout.settings.eid_api_port;
        if !is_ours || from != Some(inner.source) || packet.len() != usize::from(inner.len) {
            return Err(refused);
        }
        let view = self.view;
        let iid = group.iid.get();
        let entry = view.entry(iid, inner.family, &inner.destination).map(|value| value.body);
        let way = match to_host(view, group, &entry.ok_or(refused)?, &inner) {
            Ok(way) => way,
            Err(Stop::Neighbor { port, vlan, target }) => {
                // TCP says it again.
                self.solicit(group, port, vlan, target);
                return Err(Basic::ContextAnswersLost);
            }
            Err(_) => return Err(refused),
        };
        if inner.len > way.mtu() {
            return Err(Basic::ContextAnswersLost);
        }
        let rewrite = Rewrite { ttl: inner.ttl, tos: inner.tos, mss_mtu: None, relays: 0 };
        let sent = self.emit(&way, iid, &inner, packet, &rewrite);
        let port = sent.map_err(|_| Basic::ContextAnswersLost)?;
        self.state.tally(port).add(Basic::Made, 1);
        Ok(())
    }
}

/// Sends what the control plane answered: no more per turn than there are fresh frames for.
pub(crate) fn send_answers(view: &View<'_>, state: &mut WorkerState, answers: &Parcels) {
    for _ in 0..BURST {
        let sent = answers.take(|iid, packet| {
            let outcome = send_answer(view, state, iid, packet);
            let counter = outcome.err().unwrap_or(Basic::ContextAnswers);
            let port = view.layout().group_of(iid.get()).map_or(0, |group| group.port);
            state.tally(port).add(counter, 1);
        });
        if sent.is_none() {
            return;
        }
    }
}

fn send_answer(view: &View<'_>, state: &mut WorkerState, iid: Iid, packet: &[u8]) -> Result<(), Basic> {
    let layout = view.layout();
    let group = layout.group_of(iid.get()).ok_or(Basic::ContextAnswersRefused)?;
    Step { view, layout, state, ingress: group.port }.answer(group, packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn an_agent_s_rate_is_its_own() {
        let mut gate = Gate::new();
        let burst = (0..1000).filter(|_| gate.allow(1, SECOND)).count();
        assert_eq!(burst as u64, AGENT_BURST);
        assert!(gate.allow(2, SECOND), "another agent");
        let second =
            (0..10_000).filter(|n| gate.allow(1, 10 * SECOND + n * (SECOND / 10_000))).count() as u64;
        assert!((AGENT_PER_SECOND..=AGENT_PER_SECOND + AGENT_BURST).contains(&second), "{second}");
    }

    #[test]
    fn all_agents_together_have_a_rate() {
        let mut gate = Gate::new();
        let burst = (0..PLACES as u32).filter(|agent| gate.allow(*agent, SECOND)).count();
        assert_eq!(burst as u64, ALL_BURST);
        let allowed = |n: &u64| gate.allow((n % PLACES as u64) as u32, 10 * SECOND + n * (SECOND / 100_000));
        let second = (0..100_000).filter(allowed).count() as u64;
        assert!((ALL_PER_SECOND..=ALL_PER_SECOND + ALL_BURST).contains(&second), "{second}");
    }
}
