//! Sites around a Map-Server: an underlay that delays and loses by seed, and a dataplane of a few lines at each site.
//!
//! A correspondent sends numbered packets to where the Map-Server says; each is delivered, held, sent on, or lost.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::{self, Message, XtrId};

use super::server::Server;
use super::{SERVER, iid, ip, place, settings};
use crate::etr::{AgentSeen, Arrival, Etr};
use crate::outbox::{AgentChange, AgentState, CONTROL_PORT, Outbox};
use crate::random::Random;

/// What a site's dataplane does with packets for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Installed {
    Local,
    Expected,
    Held,
    Relayed(Vec<IpAddr>),
}

enum Event {
    Message { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Report { site: usize, eid: IpAddr },
    Seen { site: usize, eid: IpAddr },
    Packet { eid: IpAddr, to: IpAddr, number: u32, relays: u8 },
}

pub(in super::super) struct Site {
    pub etr: Etr,
    pub address: IpAddr,
    /// Hosts that answer on this site's link.
    pub present: BTreeSet<IpAddr>,
    pub installed: BTreeMap<IpAddr, Installed>,
    waiting: BTreeMap<IpAddr, Vec<u32>>,
}

pub(in super::super) struct World {
    pub now: Instant,
    pub sites: Vec<Site>,
    pub server: Server,
    /// Lost out of a thousand messages; data is never lost by the underlay.
    pub loss: u64,
    pub delivered: Vec<u32>,
    pub lost: Vec<u32>,
    pub relayed: usize,
    queue: BTreeMap<(Instant, u64), Event>,
    random: Random,
    order: u64,
    packets: u32,
}

impl World {
    pub fn new(sites: u8, seed: u64) -> Self {
        let now = Instant::now();
        let sites = (1..=sites).map(|n| Site::new(n, seed)).collect();
        let mut world = Self {
            now,
            sites,
            server: Server::new(),
            loss: 0,
            delivered: Vec::new(),
            lost: Vec::new(),
            relayed: 0,
            queue: BTreeMap::new(),
            random: Random::seeded(seed),
            order: 0,
            packets: 0,
        };
        for site in 0..world.sites.len() {
            world.with(site, |etr, now, out| etr.tick(now, out));
        }
        world.pass(Duration::from_secs(5));
        world
    }

    /// Calls a site's ETR and carries out what it wants.
    pub fn with<T>(&mut self, site: usize, call: impl FnOnce(&mut Etr, Instant, &mut Outbox) -> T) -> T {
        let mut out = Outbox::default();
        let result = call(&mut self.sites[site].etr, self.now, &mut out);
        let from = SocketAddr::new(self.sites[site].address, CONTROL_PORT);
        for change in out.agents {
            self.install(site, change);
        }
        for datagram in out.datagrams.into_iter().chain(out.promises) {
            let from = SocketAddr::new(datagram.from.unwrap_or(from.ip()), CONTROL_PORT);
            self.send(from, datagram.to, datagram.bytes);
        }
        result
    }

    fn install(&mut self, site: usize, AgentChange { eid, state, .. }: AgentChange) {
        let installed = match state {
            AgentState::Check => {
                let takes = if self.sites[site].present.contains(&eid) { 1 } else { 180 };
                return self.after(Duration::from_millis(takes), Event::Report { site, eid });
            }
            AgentState::Admit { .. } | AgentState::AdmitSkill { .. } => Some(Installed::Local),
            AgentState::Expect { .. } => {
                if self.sites[site].present.contains(&eid) {
                    self.after(Duration::from_millis(1), Event::Report { site, eid });
                }
                Some(Installed::Expected)
            }
            AgentState::Hold => Some(Installed::Held),
            AgentState::Relay { locators } => {
                Some(Installed::Relayed(locators.iter().map(|to| to.address).collect()))
            }
            AgentState::Release => None,
        };
        let waiting = self.sites[site].waiting.remove(&eid).unwrap_or_default();
        match installed {
            Some(installed) => self.sites[site].installed.insert(eid, installed),
            None => self.sites[site].installed.remove(&eid),
        };
        for number in waiting {
            self.packet(site, eid, number, 0);
        }
    }

    /// The host's link is plugged in or pulled out; plugged in, it says so.
    pub fn plug(&mut self, site: usize, eid: IpAddr, plugged: bool) {
        if !plugged {
            self.sites[site].present.remove(&eid);
            return;
        }
        self.sites[site].present.insert(eid);
        self.speak(site, eid);
    }

    /// The host sends something, or somebody in its name.
    pub fn speak(&mut self, site: usize, eid: IpAddr) {
        if self.sites[site].installed.get(&eid) != Some(&Installed::Local) {
            self.after(Duration::from_micros(100), Event::Seen { site, eid });
        }
    }

    fn after(&mut self, time: Duration, event: Event) {
        self.order += 1;
        self.queue.insert((self.now + time, self.order), event);
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        if self.random.below(1000) >= self.loss {
            let delay = Duration::from_micros(2000 + self.random.below(2000));
            self.after(delay, Event::Message { from, to, bytes });
        }
    }

    /// The correspondent sends one packet to the agent.
    pub fn send_packet(&mut self, eid: IpAddr) {
        let number = self.packets;
        self.packets += 1;
        match self.server.holder(iid(), eid) {
            Some(to) => self.after(Duration::from_millis(2), Event::Packet { eid, to, number, relays: 0 }),
            None => self.lost.push(number),
        }
    }

    fn packet(&mut self, site: usize, eid: IpAddr, number: u32, relays: u8) {
        let here = &mut self.sites[site];
        match here.installed.get(&eid) {
            Some(Installed::Local) if here.present.contains(&eid) => self.delivered.push(number),
            Some(Installed::Expected | Installed::Held) => {
                here.waiting.entry(eid).or_default().push(number);
            }
            Some(Installed::Relayed(to)) if relays < 2 => {
                let to = to[0];
                self.relayed += 1;
                let packet = Event::Packet { eid, to, number, relays: relays + 1 };
                self.after(Duration::from_millis(2), packet);
            }
            _ => self.lost.push(number),
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.next_time().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    fn next_time(&self) -> Option<Instant> {
        let sites = self.sites.iter().filter_map(|site| site.etr.next_deadline());
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        sites.chain(queued).chain(self.server.next_deadline()).min()
    }

    fn step(&mut self) {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let event = entry.remove();
            self.happen(event);
        }
        for site in 0..self.sites.len() {
            if self.sites[site].etr.next_deadline().is_some_and(|due| due <= self.now) {
                self.with(site, |etr, now, out| etr.tick(now, out));
            }
        }
        for (to, bytes) in self.server.due(self.now) {
            self.send(SocketAddr::new(SERVER, CONTROL_PORT), to, bytes);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Message { from, to, bytes } if to.ip() == SERVER => {
                for (to, bytes) in self.server.receive(from, &bytes, self.now) {
                    self.send(SocketAddr::new(SERVER, CONTROL_PORT), to, bytes);
                }
            }
            Event::Message { from, to, bytes } => self.message(from, to.ip(), &bytes),
            Event::Report { site, eid } if self.sites[site].present.contains(&eid) => {
                let seen = seen(eid);
                self.with(site, |etr, now, out| etr.agent_answered(seen, now, out));
            }
            Event::Report { site, eid } => {
                self.with(site, |etr, now, out| etr.agent_gone(iid(), eid, now, out));
            }
            Event::Seen { site, eid } => {
                let seen = seen(eid);
                self.with(site, |etr, now, out| etr.attach_seen(seen, now, out));
            }
            Event::Packet { eid, to, number, relays } => {
                match self.sites.iter().position(|site| site.address == to) {
                    Some(site) => self.packet(site, eid, number, relays),
                    None => self.lost.push(number),
                }
            }
        }
    }

    fn message(&mut self, from: SocketAddr, to: IpAddr, bytes: &[u8]) {
        let Some(site) = self.sites.iter().position(|site| site.address == to) else { return };
        match control::parse(bytes).unwrap() {
            Message::MapRequest(request) => {
                let via = Arrival { from, to, ecm_inner: None };
                self.with(site, |etr, now, out| etr.map_request(&request, via, now, out));
            }
            Message::MapReply(reply) => {
                self.with(site, |etr, now, out| etr.map_reply(&reply, from, now, out));
            }
            Message::MapNotify(notify) => {
                self.with(site, |etr, now, out| etr.map_notify(&notify, bytes, from, now, out));
            }
            other => panic!("nothing for an ETR: {other:?}"),
        }
    }

    /// What a new process of a site's control plane begins with: an ETR, and the agent the dataplane lists.
    pub fn restart(&self, site: usize, eid: IpAddr) -> (Etr, AgentSeen) {
        let next = self.sites[site].etr.next_nonce() + (1 << 20);
        (etr(site as u8 + 1, 99, next), seen(eid))
    }

    /// Lets time pass while a site's control plane is dead.
    pub fn silence(&mut self, site: usize, time: Duration) {
        let address = std::mem::replace(&mut self.sites[site].address, ip("203.0.113.99"));
        self.pass(time);
        self.sites[site].address = address;
    }

    /// The site where the agent is attached by all that matters: dataplane and Map-Server agree, nobody else has it.
    pub fn settled_at(&self, eid: IpAddr) -> Option<usize> {
        let attached =
            |site: &Site| matches!(site.installed.get(&eid), Some(Installed::Local | Installed::Expected));
        let mut sites = (0..self.sites.len()).filter(|site| attached(&self.sites[*site]));
        let site = sites.next()?;
        let agreed = self.server.holder(iid(), eid) == Some(self.sites[site].address);
        (agreed && sites.next().is_none()).then_some(site)
    }
}

impl Site {
    fn new(n: u8, seed: u64) -> Self {
        let address = ip(&format!("198.51.100.{n}"));
        let etr = etr(n, seed, 1);
        Self { etr, address, present: BTreeSet::new(), installed: BTreeMap::new(), waiting: BTreeMap::new() }
    }
}

/// What the dataplane says of a host.
fn seen(eid: IpAddr) -> AgentSeen {
    let IpAddr::V4(v4) = eid else { panic!("the world's agents are IPv4") };
    AgentSeen { iid: iid(), eid, place: place(v4.octets()[3]) }
}

/// The ETR of the n-th site, which serves a prefix of its own.
fn etr(n: u8, seed: u64, first_nonce: u64) -> Etr {
    let mut settings = settings(&[&format!("198.51.100.{n}")]);
    settings.groups[0].eids = vec![super::prefix(&format!("10.1.{n}.0/24"))];
    let identity = XtrId { xtr_id: [n; 16], site_id: u64::from(n) };
    Etr::new(settings, identity, Random::seeded(seed + u64::from(n)), first_nonce)
}
