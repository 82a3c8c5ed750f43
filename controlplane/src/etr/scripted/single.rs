//! One ETR whose peers are scripted line by line.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sterna_wire::Mac;
use sterna_wire::lisp::control::{
    self, Act, EidRecord, LocatorRecord, MapNotify, MapRegister, MapReply, MapRequest, Message,
    RequestRecord, XtrId,
};

use super::{SERVER, iid, ip, key, prefix};
use crate::etr::{AgentSeen, Arrival, Counter, Etr, EtrSettings, Group, LocalRloc, MapServer, Phase};
use crate::outbox::{AgentPlace, AgentState, CONTROL_PORT, Datagram, Outbox};
use crate::random::Random;

/// Identity of the ETR under test.
pub(in super::super) const IDENTITY: XtrId = XtrId { xtr_id: [7; 16], site_id: 1 };

/// An agent of the dynamic range 10.1.16.0/20.
pub(in super::super) fn eid(last: u8) -> IpAddr {
    IpAddr::from([10, 1, 16, last])
}

/// Where that agent is attached.
pub(in super::super) fn place(last: u8) -> AgentPlace {
    AgentPlace { port: 0, vlan: None, mac: Mac([2, 0, 0, 0, 0, last]) }
}

/// Group 100 with a configured prefix and a dynamic range of each family, at one Map-Server.
pub(in super::super) fn settings(rlocs: &[&str]) -> EtrSettings {
    let local_rlocs = rlocs
        .iter()
        .map(|rloc| LocalRloc { address: ip(rloc), priority: 1, weight: 100, up: true })
        .collect();
    EtrSettings {
        map_servers: vec![MapServer { address: SERVER, keys: vec![key()], send: 0, proxy_reply: true }],
        resolvers: vec![SERVER],
        local_rlocs,
        groups: vec![Group {
            iid: iid(),
            eids: vec![prefix("10.1.0.0/24")],
            dynamic: vec![prefix("10.1.16.0/20"), prefix("fd00:64::/64")],
            gateways: vec![ip("10.1.16.1"), ip("fd00:64::1")],
        }],
        ..EtrSettings::new()
    }
}

/// An ETR, its clock, and what it gave out since the last look.
pub(in super::super) struct Single {
    pub etr: Etr,
    pub now: Instant,
    pub out: Outbox,
}

impl Single {
    /// Started, its configured prefix registered and confirmed.
    pub fn new() -> Self {
        let mut single = Self::unstarted(settings(&["198.51.100.1"]));
        single.tick();
        single.confirm_all();
        single.out = Outbox::default();
        single
    }

    pub fn unstarted(settings: EtrSettings) -> Self {
        let etr = Etr::new(settings, IDENTITY, Random::seeded(1), 1000);
        Self { etr, now: Instant::now(), out: Outbox::default() }
    }

    /// With one agent attached and confirmed.
    pub fn with_agent(last: u8) -> Self {
        let mut single = Self::new();
        single.see(last);
        single.say(&single.question(), eid(last), &[]);
        single.confirm_all();
        assert_eq!(single.phase(last), Some(Phase::Attached));
        single.out = Outbox::default();
        single
    }

    pub fn tick(&mut self) {
        self.etr.tick(self.now, &mut self.out);
    }

    /// Lets time pass, ticking whenever something is due.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.etr.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.tick();
        }
        self.now = end;
    }

    pub fn see(&mut self, last: u8) {
        let seen = AgentSeen { iid: iid(), eid: eid(last), place: place(last) };
        self.etr.attach_seen(seen, self.now, &mut self.out);
    }

    /// The host answers the dataplane.
    pub fn answer(&mut self, last: u8) {
        let seen = AgentSeen { iid: iid(), eid: eid(last), place: place(last) };
        self.etr.agent_answered(seen, self.now, &mut self.out);
    }

    pub fn phase(&self, last: u8) -> Option<Phase> {
        self.etr.agent(iid(), eid(last)).map(|agent| agent.phase)
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.etr.counters().get(counter)
    }

    /// Changes of agents since the last look.
    pub fn changes(&mut self) -> Vec<AgentState> {
        std::mem::take(&mut self.out.agents).into_iter().map(|change| change.state).collect()
    }

    /// Datagrams since the last look.
    pub fn sent(&mut self) -> Vec<Datagram> {
        let mut sent = std::mem::take(&mut self.out.datagrams);
        sent.append(&mut self.out.promises);
        sent
    }

    /// Registers among the datagrams not looked at yet.
    pub fn registers(&self) -> Vec<MapRegister> {
        let all = self.out.datagrams.iter().chain(&self.out.promises);
        let bytes = all.map(|datagram| datagram.bytes.as_slice());
        bytes.filter_map(|bytes| MapRegister::parse(bytes).ok()).collect()
    }

    /// Plain Map-Requests (probes, SMRs) among the datagrams, with where they go.
    pub fn requests(&self) -> Vec<(IpAddr, MapRequest)> {
        let all = self.out.datagrams.iter();
        all.filter_map(|datagram| Some((datagram.to.ip(), MapRequest::parse(&datagram.bytes).ok()?)))
            .collect()
    }

    /// Map-Replies among the datagrams.
    pub fn replies(&self) -> Vec<(Datagram, MapReply)> {
        let all = self.out.datagrams.iter();
        all.filter_map(|datagram| Some((datagram.clone(), MapReply::parse(&datagram.bytes).ok()?))).collect()
    }

    /// The Map-Request inside the last ECM that was sent.
    pub fn question(&self) -> MapRequest {
        let all = self.out.datagrams.iter().rev();
        all.filter_map(|datagram| match control::parse(&datagram.bytes) {
            Ok(Message::Ecm(ecm)) => ecm.map_request().ok(),
            _ => None,
        })
        .next()
        .unwrap()
    }

    /// The mapping system answers a question: an agent with these locators, or nobody.
    pub fn say(&mut self, question: &MapRequest, eid: IpAddr, locators: &[&str]) {
        let record = record(eid, locators);
        self.reply(question.nonce, false, record);
    }

    pub fn reply(&mut self, nonce: u64, probe: bool, record: EidRecord) {
        let reply = MapReply { probe, nonce, records: vec![record], ..MapReply::default() };
        let from = SocketAddr::new(SERVER, CONTROL_PORT);
        assert!(self.etr.map_reply(&reply, from, self.now, &mut self.out));
    }

    /// Confirms all registers not looked at yet, and takes them out.
    pub fn confirm_all(&mut self) {
        for register in self.registers() {
            self.confirm(&register);
        }
    }

    /// The Map-Server confirms a register as it is.
    pub fn confirm(&mut self, register: &MapRegister) {
        self.notify(register.nonce, register.records.clone());
    }

    /// A Map-Notify of the Map-Server.
    pub fn notify(&mut self, nonce: u64, records: Vec<EidRecord>) -> bool {
        let notify = MapNotify { nonce, records, xtr: Some(IDENTITY), ..MapNotify::default() };
        self.notify_bytes(&notify.signed(&key()), SERVER)
    }

    pub fn notify_bytes(&mut self, bytes: &[u8], from: IpAddr) -> bool {
        let from = SocketAddr::new(from, CONTROL_PORT);
        self.etr.map_notify(&MapNotify::parse(bytes).unwrap(), bytes, from, self.now, &mut self.out)
    }

    /// A request that came plain from this address.
    pub fn request(&mut self, request: &MapRequest, from: &str, ecm: bool) {
        let from = SocketAddr::new(ip(from), CONTROL_PORT);
        let ecm_inner = ecm.then(|| SocketAddr::new(ip("10.9.9.9"), 61_000));
        let via = Arrival { from, to: ip("198.51.100.1"), ecm_inner };
        self.etr.map_request(request, via, self.now, &mut self.out);
    }
}

/// A record of an agent with these locators; none means that nobody has it.
pub(in super::super) fn record(eid: IpAddr, locators: &[&str]) -> EidRecord {
    EidRecord {
        act: Act::NativelyForward,
        locators: locators.iter().map(|rloc| LocatorRecord::unicast(ip(rloc), 1, 100)).collect(),
        ..EidRecord::of(iid(), eid.into())
    }
}

/// A Map-Request for a prefix, with one ITR-RLOC.
pub(in super::super) fn request_for(text: &str, rloc: &str) -> MapRequest {
    MapRequest {
        nonce: 0x55,
        itr_rlocs: vec![ip(rloc).into()],
        records: vec![RequestRecord::of(iid(), prefix(text))],
        ..MapRequest::default()
    }
}
