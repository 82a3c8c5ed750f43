//! The roles' side of the control plane: what they are told of the config, the underlay and the network.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::ControlPlane;
use crate::identity::Identity;
use crate::lisp::Roles;
use crate::outbox::Outbox;
use crate::server::Saved;

impl ControlPlane {
    /// A datagram came to UDP 4342 of our address `to`.
    pub fn datagram(&mut self, bytes: &[u8], from: SocketAddr, to: IpAddr, now: Instant) {
        let mut out = Outbox::default();
        self.roles.datagram(bytes, from, to, now, &mut out);
        self.settle(out, now);
    }

    /// What an earlier process kept for the Map-Server.
    pub fn restore(&mut self, saved: Saved, now: Instant) {
        self.roles.restore(saved, now);
    }

    /// The identity under which roles that come from now on speak.
    pub fn set_identity(&mut self, identity: Identity) {
        self.roles.set_identity(identity);
    }

    /// The LISP roles.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Our own RLOCs, and whether the links they are behind carry packets. Before the kernel was asked all count as
    /// up: to register one as down because we do not know it yet would break it.
    fn local_rlocs(&self) -> Vec<(IpAddr, bool)> {
        let port = |index: Option<usize>| index.and_then(|index| self.config.ports.get(index));
        let up = |index| match port(index).and_then(|port| self.facts.link_named(&port.name)) {
            Some(link) => link.up,
            None => !self.facts.read || port(index).is_none(),
        };
        self.config.rlocs.iter().map(|rloc| (rloc.address, up(rloc.port))).collect()
    }

    /// Remote RLOCs without a way to them.
    fn unreachable(&self) -> BTreeSet<IpAddr> {
        let remotes = self.tables.paths().remotes.iter();
        let lost = remotes.filter(|(_, path)| !path.as_ref().is_some_and(|path| path.reach.usable()));
        lost.map(|(remote, _)| *remote).collect()
    }

    pub(super) fn configure_roles(&mut self, now: Instant) {
        let (up, mut out) = (self.local_rlocs(), Outbox::default());
        let asked = self.roles.asks();
        self.roles.configure(&self.config, &up, now, &mut out);
        self.settle(out, now);
        if asked && !self.roles.asks() {
            self.forget_learned();
        }
    }

    pub(super) fn underlay_of_roles(&mut self, now: Instant) {
        if self.roles.asks() {
            let (up, unreachable, mut out) = (self.local_rlocs(), self.unreachable(), Outbox::default());
            self.roles.underlay(&up, &unreachable, now, &mut out);
            self.settle(out, now);
        }
    }

    /// There is no mapping system any more: what it said is void.
    fn forget_learned(&mut self) {
        use crate::desired::Source::{Agent, Mapping};
        self.tables.forget_probes();
        for source in [Agent, Mapping] {
            let keys: Vec<_> = self.tables.learned().iter(source).map(|(key, _)| *key).collect();
            for key in keys {
                self.want(source, key, None);
            }
        }
    }
}
