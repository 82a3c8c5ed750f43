//! Policies: which context class a packet of the eid side is of.
//!
//! The control plane gives up to [`MAX_POLICIES`], the lowest index that matches wins. They come one by one and come
//! into force together, so that no packet meets half of a change. The layout has a list per group with what can match
//! there, so that a group without policies pays a comparison and no group pays for another's.
//!
//! Ports are the destination's of TCP, UDP and the protocols that have them in the same place. A fragment has none,
//! not even the first: all fragments of a datagram must be of one class. So a policy with ports matches no fragment,
//! and the next one without may.

use crate::inner::Inner;
use std::collections::BTreeMap;
use sterna_shm::{MAX_POLICIES, Policy, RefusedKind};
use sterna_wire::{Family, Prefix, Protocol, addr_bytes, ipv6_ext};

/// Protocols whose header begins with source and destination port: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// What a policy of one group asks of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    from: Option<Net>,
    to: Option<Net>,
    dscp: Option<u8>,
    protocol: Option<u8>,
    ports: Option<(u16, u16)>,
    class: u8,
}

#[derive(Clone, Copy, Debug)]
struct Net {
    family: Family,
    bits: u128,
    mask: u128,
}

impl Net {
    fn of(prefix: Prefix) -> Net {
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix.len())).unwrap_or(0);
        let bits = u128::from_be_bytes(addr_bytes(prefix.addr()));
        Net { family: Family::of(prefix.addr()), bits, mask }
    }

    fn has(&self, family: Family, address: &[u8; 16]) -> bool {
        self.family == family && u128::from_be_bytes(*address) & self.mask == self.bits
    }
}

impl Rule {
    /// What a policy asks, without its group.
    pub fn new(policy: &Policy) -> Rule {
        let Policy { iid: _, from, to, dscp, protocol, ports, class } = *policy;
        Rule { from: from.map(Net::of), to: to.map(Net::of), dscp, protocol, ports, class }
    }

    fn matches(&self, inner: &Inner, packet: &[u8]) -> bool {
        self.protocol.is_none_or(|protocol| protocol == inner.protocol)
            && self.dscp.is_none_or(|dscp| dscp == inner.tos >> 2)
            && self.to.is_none_or(|net| net.has(inner.family, &inner.destination))
            && self.from.is_none_or(|net| net.has(inner.family, &inner.source))
            && self.ports.is_none_or(|(first, last)| {
                destination_port(inner, packet).is_some_and(|port| (first..=last).contains(&port))
            })
    }
}

/// The class of a packet by the rules of its group; 0 when none matches. `packet` is the inner packet that `inner` was
/// read from.
#[inline]
pub fn class_of(rules: &[Rule], inner: &Inner, packet: &[u8]) -> u8 {
    if rules.is_empty() { 0 } else { first_match(rules, inner, packet) }
}

#[inline(never)]
fn first_match(rules: &[Rule], inner: &Inner, packet: &[u8]) -> u8 {
    rules.iter().find(|rule| rule.matches(inner, packet)).map_or(0, |rule| rule.class)
}

fn destination_port(inner: &Inner, packet: &[u8]) -> Option<u16> {
    if inner.fragment || !WITH_PORTS.contains(&inner.protocol) {
        return None;
    }
    let at = match inner.family {
        Family::V4 => usize::from(packet.first()? & 0x0f) * 4,
        Family::V6 => 40 + ipv6_ext::walk(Protocol(*packet.get(6)?), packet.get(40..)?).ok()?.offset,
    };
    packet.get(at + 2..)?.first_chunk().map(|port| u16::from_be_bytes(*port))
}

/// The policies as the control plane gave them, each with the sync that confirmed it last.
#[derive(Default)]
pub(crate) struct Policies {
    given: BTreeMap<u8, (Policy, u32)>,
    in_force: Vec<Policy>,
    /// Those in force are not those of the published layout any more.
    pub changed: bool,
}

impl Policies {
    pub fn put(&mut self, index: u8, policy: Policy, more: bool, epoch: u32) -> Result<(), RefusedKind> {
        let fits = usize::from(index) < MAX_POLICIES;
        if fits {
            self.given.insert(index, (policy, epoch));
        }
        self.come_into_force(more);
        if fits { Ok(()) } else { Err(RefusedKind::PolicyTableFull) }
    }

    pub fn remove(&mut self, index: u8, more: bool) {
        self.given.remove(&index);
        self.come_into_force(more);
    }

    /// Forgets what `epoch` did not confirm.
    pub fn sweep(&mut self, epoch: u32) {
        self.given.retain(|_, (_, confirmed)| *confirmed == epoch);
        self.come_into_force(false);
    }

    fn come_into_force(&mut self, more: bool) {
        if !more && !self.in_force.iter().eq(self.given.values().map(|(policy, _)| policy)) {
            self.in_force = self.given.values().map(|(policy, _)| *policy).collect();
            self.changed = true;
        }
    }

    /// The policies in force, in their order.
    pub fn in_force(&self) -> &[Policy] {
        &self.in_force
    }
}

#[cfg(test)]
mod test;
