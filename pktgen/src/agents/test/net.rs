//! Three gateways in memory: whatever is for an EID goes where that EID was announced last, after a delay.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use sterna_wire::ethernet::EtherType;
use sterna_wire::{Mac, Protocol, VlanId, ipv4, ipv6, tcp};

use crate::agents::Crowd;
use crate::agents::link::{Asker, Heard, Link, hear};
use crate::agents::profile::Profile;

/// From one agent to another, nanoseconds.
pub const DELAY_NS: u64 = 1_000_000;

const GATEWAY: Mac = Mac([2, 0, 0, 0, 0, 1]);
/// More turns at one moment than this mean that it goes round in circles.
const TURNS: u64 = 10_000;

type Eid = (Option<VlanId>, IpAddr);

/// What is to happen to the next frames.
#[derive(Default)]
struct Mishaps {
    lose_udp: u32,
    double_udp: u32,
    delay_udp: (u32, u64),
    lose_tcp: u32,
    reset_tcp: bool,
}

/// The network and the crowd at it.
pub struct Net {
    pub crowd: Crowd,
    pub now_ns: u64,
    /// How often the crowd was called.
    pub turns: u64,
    gateways: Vec<(Option<VlanId>, IpAddr)>,
    /// Where each EID is; held while it is nowhere.
    at: HashMap<Eid, Option<(usize, Mac)>>,
    held: Vec<(Eid, Vec<u8>)>,
    /// Packets on their way, by the moment when they arrive and a number.
    way: BTreeMap<(u64, u64), (Eid, Vec<u8>)>,
    number: u64,
    mishaps: Mishaps,
}

impl Net {
    pub fn new(profile: &Profile) -> Self {
        let mut crowd = Crowd::new(profile, 0);
        crowd.arrive(0);
        let gateways = profile.groups.iter().map(|group| (group.vlan, group.gateway)).collect();
        Self {
            crowd,
            now_ns: 0,
            turns: 0,
            gateways,
            at: HashMap::new(),
            held: Vec::new(),
            way: BTreeMap::new(),
            number: 0,
            mishaps: Mishaps::default(),
        }
    }

    /// Packets for an agent wait until it is announced again.
    pub fn hold(&mut self, name: &str) {
        let agent = self.crowd.agents.iter().find(|agent| agent.name == name).unwrap();
        self.at.insert((agent.link.vlan, agent.link.eid), None);
    }

    pub fn lose_next_udp(&mut self, count: u32) {
        self.mishaps.lose_udp = count;
    }

    pub fn double_next_udp(&mut self, count: u32) {
        self.mishaps.double_udp = count;
    }

    pub fn delay_next_udp(&mut self, count: u32, by_ns: u64) {
        self.mishaps.delay_udp = (count, by_ns);
    }

    pub fn lose_next_tcp_data(&mut self, count: u32) {
        self.mishaps.lose_tcp = count;
    }

    pub fn reset_next_tcp_data(&mut self) {
        self.mishaps.reset_tcp = true;
    }

    /// Lets so much time go by.
    pub fn pass(&mut self, time_ns: u64) {
        let end_ns = self.now_ns + time_ns;
        let mut still = 0;
        loop {
            self.turns += 1;
            self.crowd.turn(self.now_ns);
            self.carry();
            let way = self.way.first_key_value().map(|((at, _), _)| *at);
            let next = [way, self.crowd.next_due()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end_ns) else { break };
            still = if next > self.now_ns { 0 } else { still + 1 };
            assert!(still < TURNS, "time stands still at {}", self.now_ns);
            self.now_ns = next.max(self.now_ns);
            self.arrive();
        }
        self.now_ns = end_ns;
    }

    /// Takes what the crowd sends.
    fn carry(&mut self) {
        for place in 0..self.crowd.spots.len() {
            for frame in std::mem::take(&mut self.crowd.spots[place].frames) {
                self.sent(place, &frame);
            }
        }
    }

    fn sent(&mut self, place: usize, frame: &[u8]) {
        let (vlan, _, heard) = hear(frame).unwrap();
        match heard {
            Heard::Question(eid, asker) if self.gateways.contains(&(vlan, eid)) => {
                let link = Link { mac: GATEWAY, vlan, eid };
                self.crowd.receive(place, &link.answer(asker).unwrap());
            }
            Heard::Question(eid, Asker::Arp(message)) => {
                assert!(message.is_gratuitous());
                self.announced((vlan, eid), place, message.source_mac);
            }
            Heard::Answer(eid, mac) => self.announced((vlan, eid), place, mac),
            Heard::Packet(packet) => self.forward(vlan, packet),
            other => panic!("{other:?}"),
        }
    }

    fn announced(&mut self, eid: Eid, place: usize, mac: Mac) {
        self.at.insert(eid, Some((place, mac)));
        let held = std::mem::take(&mut self.held);
        let (now, later) = held.into_iter().partition(|(of, _)| *of == eid);
        self.held = later;
        let now: Vec<(Eid, Vec<u8>)> = now;
        now.into_iter().for_each(|(eid, packet)| self.deliver(eid, packet));
    }

    fn forward(&mut self, vlan: Option<VlanId>, packet: &[u8]) {
        let (to, protocol, data) = read(packet);
        let mut packet = packet.to_vec();
        let mishaps = &mut self.mishaps;
        let mut delay = DELAY_NS;
        match protocol {
            Protocol::UDP if take(&mut mishaps.lose_udp) => return,
            Protocol::UDP if take(&mut mishaps.double_udp) => self.send((vlan, to), packet.clone(), delay),
            Protocol::UDP if take(&mut mishaps.delay_udp.0) => delay += mishaps.delay_udp.1,
            Protocol::TCP if data && take(&mut mishaps.lose_tcp) => return,
            Protocol::TCP if data && std::mem::take(&mut mishaps.reset_tcp) => reset(&mut packet),
            _ => {}
        }
        self.send((vlan, to), packet, delay);
    }

    fn send(&mut self, eid: Eid, packet: Vec<u8>, delay: u64) {
        self.number += 1;
        self.way.insert((self.now_ns + delay, self.number), (eid, packet));
    }

    fn arrive(&mut self) {
        while let Some(entry) = self.way.first_entry().filter(|entry| entry.key().0 <= self.now_ns) {
            let (eid, packet) = entry.remove();
            self.deliver(eid, packet);
        }
    }

    fn deliver(&mut self, eid: Eid, packet: Vec<u8>) {
        let Some((place, mac)) = self.at[&eid] else { return self.held.push((eid, packet)) };
        let link = Link { mac: GATEWAY, vlan: eid.0, eid: eid.1 };
        let ethertype = if eid.1.is_ipv4() { EtherType::IPV4 } else { EtherType::IPV6 };
        let mut frame = vec![0; link.head_len()];
        link.write_head(&mut frame, mac, ethertype);
        frame.extend_from_slice(&packet);
        self.crowd.receive(place, &frame);
    }
}

fn take(left: &mut u32) -> bool {
    let any = *left > 0;
    *left = left.saturating_sub(1);
    any
}

/// Where a packet goes, what it carries, and whether a TCP segment has data.
fn read(packet: &[u8]) -> (IpAddr, Protocol, bool) {
    if packet[0] >> 4 == 4 {
        let head = ipv4::Repr::parse(&ipv4::Packet::new_checked(packet).unwrap()).unwrap();
        return (head.destination.into(), head.protocol, has_data(head.protocol, &packet[20..]));
    }
    let head = ipv6::Repr::parse(&ipv6::Packet::new_checked(packet).unwrap()).unwrap();
    (head.destination.into(), head.next_header, has_data(head.next_header, &packet[40..]))
}

fn has_data(protocol: Protocol, payload: &[u8]) -> bool {
    protocol == Protocol::TCP && !tcp::Packet::new_checked(payload).unwrap().payload().is_empty()
}

/// Turns a segment with data into one that resets, from the same place in the stream.
fn reset(packet: &mut [u8]) {
    let (at, addresses): (usize, (IpAddr, IpAddr)) = if packet[0] >> 4 == 4 {
        let v4 = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap());
        (20, (v4(12), v4(16)))
    } else {
        let v6 = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
        (40, (v6(8), v6(24)))
    };
    let mut segment = tcp::Packet::new_unchecked(&mut packet[at..]);
    segment.set_flags(tcp::Flags::RST.with(tcp::Flags::ACK));
    segment.fill_checksum(addresses.0, addresses.1);
}
