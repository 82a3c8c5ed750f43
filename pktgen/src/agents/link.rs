//! An agent's place on its link: Ethernet address, 802.1Q tag and EID; what it says there about itself, and what it
//! hears. ARP is RFC 826 and RFC 5227, neighbour discovery RFC 4861.

use std::net::{IpAddr, Ipv6Addr};

use sterna_wire::ethernet::EtherType;
use sterna_wire::{Dscp, Ecn, Error, Mac, Protocol, VlanId, arp, ethernet, ipv6, ndisc, vlan};

/// Who an agent is on its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its group's tag.
    pub vlan: Option<VlanId>,
    /// Its EID.
    pub eid: IpAddr,
}

impl Link {
    /// Bytes in front of an IP packet.
    pub fn head_len(&self) -> usize {
        ethernet::HEADER_LEN + self.vlan.map_or(0, |_| vlan::HEADER_LEN)
    }

    /// Writes what stands in front of a packet: `frame` has [`Link::head_len`] bytes for it.
    pub fn write_head(&self, frame: &mut [u8], destination: Mac, ethertype: EtherType) {
        let outer = if self.vlan.is_some() { EtherType::VLAN } else { ethertype };
        let head = ethernet::Repr { destination, source: self.mac, ethertype: outer };
        head.emit(&mut ethernet::Packet::new_unchecked(&mut *frame));
        if self.vlan.is_some() {
            let tag = vlan::Repr { priority: 0, drop_eligible: false, vlan: self.vlan, ethertype };
            tag.emit(&mut vlan::Packet::new_unchecked(&mut frame[ethernet::HEADER_LEN..]));
        }
    }

    /// Tells everybody on the link where the EID is: a gratuitous ARP request, or an unsolicited advertisement.
    pub fn announcement(&self) -> Vec<u8> {
        match self.eid {
            IpAddr::V4(eid) => self.arp(Mac::BROADCAST, &arp::Repr::announcement(self.mac, eid)),
            IpAddr::V6(eid) => {
                let flags = ndisc::Flags { override_cache: true, ..ndisc::Flags::default() };
                let message = ndisc::Repr::Advertisement { target: eid, target_mac: Some(self.mac), flags };
                self.neighbour(Mac::multicast_v6(ndisc::ALL_NODES), eid, ndisc::ALL_NODES, &message)
            }
        }
    }

    /// Asks who has an address of the EID's family; nothing for another one.
    pub fn question(&self, address: IpAddr) -> Option<Vec<u8>> {
        match (self.eid, address) {
            (IpAddr::V4(eid), IpAddr::V4(target)) => {
                Some(self.arp(Mac::BROADCAST, &arp::Repr::request(self.mac, eid, target)))
            }
            (IpAddr::V6(eid), IpAddr::V6(target)) => {
                let group = ndisc::solicited_node(target);
                let message = ndisc::Repr::solicit(target, self.mac);
                Some(self.neighbour(Mac::multicast_v6(group), eid, group, &message))
            }
            _ => None,
        }
    }

    /// Answers who asked for the EID.
    pub fn answer(&self, asker: Asker) -> Option<Vec<u8>> {
        match (self.eid, asker) {
            (IpAddr::V4(_), Asker::Arp(request)) => {
                Some(self.arp(request.source_mac, &request.reply(self.mac)))
            }
            (IpAddr::V6(eid), Asker::Neighbour { from, mac }) => {
                let flags = ndisc::Flags { override_cache: true, ..ndisc::Flags::default() };
                let (to, message) = ndisc::Repr::answer(from, eid, self.mac, flags);
                let mac = if to == from { mac } else { Mac::multicast_v6(to) };
                Some(self.neighbour(mac, eid, to, &message))
            }
            _ => None,
        }
    }

    fn arp(&self, destination: Mac, message: &arp::Repr) -> Vec<u8> {
        let mut frame = vec![0; self.head_len() + message.buffer_len()];
        self.write_head(&mut frame, destination, EtherType::ARP);
        message.emit(&mut arp::Packet::new_unchecked(&mut frame[self.head_len()..]));
        frame
    }

    fn neighbour(&self, mac: Mac, source: Ipv6Addr, destination: Ipv6Addr, message: &ndisc::Repr) -> Vec<u8> {
        let head = ipv6::Repr {
            source,
            destination,
            next_header: Protocol::ICMPV6,
            payload_len: message.buffer_len() as u16,
            hop_limit: ndisc::HOP_LIMIT,
            dscp: Dscp::default(),
            ecn: Ecn::default(),
            flow_label: 0,
        };
        let (link, ip) = (self.head_len(), head.buffer_len());
        let mut frame = vec![0; link + ip + message.buffer_len()];
        self.write_head(&mut frame, mac, EtherType::IPV6);
        head.emit(&mut ipv6::Packet::new_unchecked(&mut frame[link..]));
        message.emit(&mut ndisc::Packet::new_unchecked(&mut frame[link + ip..]), source, destination);
        frame
    }
}

/// Who wants an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// By ARP.
    Arp(arp::Repr),
    /// By neighbour discovery, from an address that may be the unspecified one.
    Neighbour {
        /// Its address.
        from: Ipv6Addr,
        /// Where its frame came from.
        mac: Mac,
    },
}

/// What a frame is to somebody on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'f> {
    /// An IP packet.
    Packet(&'f [u8]),
    /// Somebody asks who has this address.
    Question(IpAddr, Asker),
    /// Somebody has this address.
    Answer(IpAddr, Mac),
    /// Nothing that an agent listens to.
    Other,
}

/// Reads a frame: its tag, the Ethernet address it goes to, and what it is.
///
/// # Errors
/// As the headers' parsers.
pub fn hear(frame: &[u8]) -> Result<(Option<VlanId>, Mac, Heard<'_>), Error> {
    let packet = ethernet::Packet::new_checked(frame)?;
    let head = ethernet::Repr::parse(&packet)?;
    let (tag, ethertype, payload) = if head.ethertype == EtherType::VLAN {
        let inner = vlan::Packet::new_checked(packet.payload())?;
        let tag = vlan::Repr::parse(&inner)?;
        (tag.vlan, tag.ethertype, inner.payload())
    } else {
        (None, head.ethertype, packet.payload())
    };
    let heard = match ethertype {
        EtherType::ARP => hear_arp(payload)?,
        EtherType::IPV6 => hear_neighbour(payload, head.source).unwrap_or(Heard::Packet(payload)),
        EtherType::IPV4 => Heard::Packet(payload),
        _ => Heard::Other,
    };
    Ok((tag, head.destination, heard))
}

fn hear_arp(payload: &[u8]) -> Result<Heard<'_>, Error> {
    let message = arp::Repr::parse(&arp::Packet::new_checked(payload)?)?;
    Ok(match message.operation {
        arp::Operation::REQUEST => Heard::Question(message.target_ip.into(), Asker::Arp(message)),
        _ => Heard::Answer(message.source_ip.into(), message.source_mac),
    })
}

/// A solicitation or an advertisement; nothing for another packet, or one that is wrong.
fn hear_neighbour(payload: &[u8], source: Mac) -> Option<Heard<'_>> {
    let packet = ipv6::Packet::new_checked(payload).ok()?;
    let head = ipv6::Repr::parse(&packet).ok()?;
    if head.next_header != Protocol::ICMPV6 {
        return None;
    }
    let message = ndisc::Repr::parse(&ndisc::Packet::new_checked(packet.payload()).ok()?, &head).ok()?;
    Some(match message {
        ndisc::Repr::Solicitation { target, source_mac } => {
            let mac = source_mac.unwrap_or(source);
            Heard::Question(target.into(), Asker::Neighbour { from: head.source, mac })
        }
        ndisc::Repr::Advertisement { target, target_mac, .. } => {
            Heard::Answer(target.into(), target_mac.unwrap_or(source))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link(eid: &str, tag: Option<u16>) -> Link {
        Link { mac: Mac([2, 0, 0, 0, 0, 7]), vlan: tag.and_then(VlanId::new), eid: eid.parse().unwrap() }
    }

    #[test]
    fn one_asks_and_the_other_answers_in_both_families_with_and_without_a_tag() {
        for (own, gateway) in [("10.1.100.4", "10.1.0.1"), ("fd00:64::4", "fd00:64::1")] {
            for tag in [None, Some(31)] {
                let (agent, mut peer) = (link(own, tag), link(gateway, tag));
                peer.mac = Mac([2, 0, 0, 0, 0, 9]);
                let question = agent.question(peer.eid).unwrap();
                let (vlan, _, heard) = hear(&question).unwrap();
                let Heard::Question(target, asker) = heard else { panic!("{heard:?}") };
                assert_eq!((vlan, target), (peer.vlan, peer.eid));
                let answer = peer.answer(asker).unwrap();
                let (vlan, to, heard) = hear(&answer).unwrap();
                assert_eq!((vlan, to, heard), (agent.vlan, agent.mac, Heard::Answer(peer.eid, peer.mac)));
            }
        }
    }

    #[test]
    fn an_announcement_names_the_eid_and_is_for_everybody() {
        let (_, to, heard) = hear(&link("10.1.100.4", Some(5)).announcement()).map(own).unwrap();
        assert!(to.is_broadcast() && heard == "10.1.100.4", "{heard}");
        let (_, to, heard) = hear(&link("fd00:64::4", None).announcement()).map(own).unwrap();
        assert!(to.is_multicast() && heard == "fd00:64::4", "{heard}");
    }

    fn own((tag, to, heard): (Option<VlanId>, Mac, Heard<'_>)) -> (Option<VlanId>, Mac, String) {
        let address = match heard {
            Heard::Question(address, _) | Heard::Answer(address, _) => address.to_string(),
            other => format!("{other:?}"),
        };
        (tag, to, address)
    }

    #[test]
    fn there_is_no_question_across_families() {
        assert_eq!(link("10.1.100.4", None).question("fd00::1".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn noise_is_heard_without_harm(noise in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = hear(&noise);
        }
    }
}
