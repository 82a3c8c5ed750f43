//! The cable of an agent that moves: one plug at the agent, one at each site.
//!
//! The agent's own end stays where it is, with its addresses and sockets; what it sends goes to one site, and it
//! hears whatever sites it is plugged into. A paused agent's frames wait, as a machine's do that is being moved.

use crate::error::Result;
use crate::namespace::Namespace;
use crate::site::Site;
use crate::topology::cable_port;

use super::Relay;
use super::books::Counts;

const AGENT: usize = 0;
/// Where the cable can be plugged in, in the order of its ports.
const SITES: [Site; 2] = [Site::B, Site::C];

/// A running cable, plugged into nothing at first.
#[derive(Debug)]
pub struct Cable {
    relay: Relay,
}

impl Cable {
    /// Starts it.
    ///
    /// # Errors
    /// When this lab has none.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let mut ports = vec!["agent".to_owned()];
        ports.extend(SITES.iter().map(|site| cable_port(*site)));
        Ok(Self { relay: Relay::start(namespace, &ports, 0)? })
    }

    /// What the agent sends goes to this site from now on; none pulls that plug.
    pub fn speak_at(&self, site: Option<Site>) {
        self.relay.direction(AGENT).plug(site.and_then(port_of));
    }

    /// The site that hears the agent.
    pub fn speaks_at(&self) -> Option<Site> {
        let port = self.relay.direction(AGENT).target()?;
        SITES.get(port.checked_sub(1)?).copied()
    }

    /// Whether the agent hears a site. What the site has sent before it is heard no more still arrives, however long
    /// the relay waited for a core.
    pub fn hear(&self, site: Site, heard: bool) {
        if let Some(port) = port_of(site) {
            self.relay.settle(port);
            self.relay.direction(port).plug(heard.then_some(AGENT));
        }
    }

    /// Plugs the agent into one site alone, or into none.
    pub fn plug(&self, site: Option<Site>) {
        for other in SITES {
            self.hear(other, Some(other) == site);
        }
        self.speak_at(site);
    }

    /// Pauses the agent: what it sends waits until it goes on.
    pub fn pause(&self, paused: bool) {
        self.relay.direction(AGENT).hold(paused);
    }

    /// Frames from the agent.
    pub fn spoken(&self) -> Counts {
        self.relay.direction(AGENT).counts()
    }

    /// Frames of a site that were for the agent, or flooded.
    pub fn heard(&self, site: Site) -> Counts {
        port_of(site).map(|port| self.relay.direction(port).counts()).unwrap_or_default()
    }

    /// Names of the ports that are joined now: the agent's and those of the sites that it hears.
    pub fn plugged_ports(&self) -> Vec<String> {
        let heard = SITES
            .into_iter()
            .filter(|site| port_of(*site).is_some_and(|port| self.relay.direction(port).target().is_some()));
        std::iter::once("agent".to_owned()).chain(heard.map(cable_port)).collect()
    }

    /// Everything.
    pub fn counts(&self) -> Counts {
        self.relay.counts()
    }
}

fn port_of(site: Site) -> Option<usize> {
    SITES.iter().position(|other| *other == site).map(|at| at + 1)
}
