//! ARP and neighbour-discovery frames on the eid side: the ones we send, and what the hosts' ones say.
//!
//! Writers put a whole Ethernet frame, with an 802.1Q tag where the group has one, into `out` and return its
//! length; `None` when it does not fit (128 bytes always suffice).
//! Readers judge what a host sent; a refusal is a [`sterna_wire::Error`].

use std::net::{Ipv4Addr, Ipv6Addr};

use sterna_wire::ethernet::{self, EtherType};
use sterna_wire::icmpv6::Type;
use sterna_wire::ndisc::{self, Flags, MacOption};
use sterna_wire::{Dscp, Ecn, Error, Mac, Protocol, VlanId, arp, ipv6, vlan};

/// The least frame that Ethernet carries, without its check sequence (IEEE 802.3).
const MIN_FRAME: usize = 60;

/// Writes Ethernet header, tag, a payload of `len` bytes that `fill` writes, and padding.
fn frame(
    (destination, source, ethertype): (Mac, Mac, EtherType),
    tag: Option<VlanId>,
    len: usize,
    out: &mut [u8],
    fill: impl FnOnce(&mut [u8]),
) -> Option<usize> {
    let tag_len = if tag.is_some() { vlan::HEADER_LEN } else { 0 };
    let start = ethernet::HEADER_LEN + tag_len;
    // Padded so that a switch which takes the tag off need not pad again.
    let total = (start + len).max(MIN_FRAME + tag_len);
    let bytes = out.get_mut(..total)?;
    let outer = if tag.is_some() { EtherType::VLAN } else { ethertype };
    ethernet::Repr { destination, source, ethertype: outer }
        .emit(&mut ethernet::Packet::new_unchecked(&mut bytes[..]));
    if tag.is_some() {
        vlan::Repr { priority: 0, drop_eligible: false, vlan: tag, ethertype }
            .emit(&mut vlan::Packet::new_unchecked(&mut bytes[ethernet::HEADER_LEN..]));
    }
    let (payload, padding) = bytes[start..].split_at_mut(len);
    fill(payload);
    padding.fill(0);
    Some(total)
}

fn arp_frame(destination: Mac, message: arp::Repr, tag: Option<VlanId>, out: &mut [u8]) -> Option<usize> {
    let link = (destination, message.source_mac, EtherType::ARP);
    frame(link, tag, message.buffer_len(), out, |payload| {
        message.emit(&mut arp::Packet::new_unchecked(payload));
    })
}

/// Asks everyone on the link who has `target_ip`. `source_ip` 0.0.0.0 makes it a probe (RFC 5227).
pub fn arp_request(
    source_mac: Mac,
    source_ip: Ipv4Addr,
    target_ip: Ipv4Addr,
    tag: Option<VlanId>,
    out: &mut [u8],
) -> Option<usize> {
    arp_frame(Mac::BROADCAST, arp::Repr::request(source_mac, source_ip, target_ip), tag, out)
}

/// Tells `target_mac`, who has `target_ip`, that `source_ip` is at `source_mac`.
pub fn arp_reply(
    source_mac: Mac,
    source_ip: Ipv4Addr,
    target_mac: Mac,
    target_ip: Ipv4Addr,
    tag: Option<VlanId>,
    out: &mut [u8],
) -> Option<usize> {
    let operation = arp::Operation::REPLY;
    let message = arp::Repr { operation, source_mac, source_ip, target_mac, target_ip };
    arp_frame(target_mac, message, tag, out)
}

fn ndisc_frame(
    (to_mac, from_mac): (Mac, Mac),
    (destination, source): (Ipv6Addr, Ipv6Addr),
    message: ndisc::Repr,
    tag: Option<VlanId>,
    out: &mut [u8],
) -> Option<usize> {
    let header = ipv6::Repr {
        source,
        destination,
        next_header: Protocol::ICMPV6,
        payload_len: message.buffer_len() as u16,
        hop_limit: ndisc::HOP_LIMIT,
        dscp: Dscp::CS6,
        ecn: Ecn::NOT_ECT,
        flow_label: 0,
    };
    let len = ipv6::HEADER_LEN + message.buffer_len();
    frame((to_mac, from_mac, EtherType::IPV6), tag, len, out, |payload| {
        let (ip, body) = payload.split_at_mut(ipv6::HEADER_LEN);
        header.emit(&mut ipv6::Packet::new_unchecked(ip));
        message.emit(&mut ndisc::Packet::new_unchecked(body), source, destination);
    })
}

/// Asks those who may have `target` whether they do.
pub fn neighbor_solicitation(
    source_mac: Mac,
    source: Ipv6Addr,
    target: Ipv6Addr,
    tag: Option<VlanId>,
    out: &mut [u8],
) -> Option<usize> {
    let group = ndisc::solicited_node(target);
    let message = ndisc::Repr::solicit(target, source_mac);
    ndisc_frame((Mac::multicast_v6(group), source_mac), (group, source), message, tag, out)
}

/// Tells `asker` that `target` is at `mac`; an asker without an address, who wants to know whether `target` is
/// free, is told through all nodes and unsolicited (RFC 4861 section 7.2.4).
///
/// `router` says that `target` is the gateway itself: only then does the answer override what the asker believed
/// (a proxy leaves a host's own answer in force, RFC 4861 section 7.2.8).
pub fn neighbor_advertisement(
    mac: Mac,
    target: Ipv6Addr,
    asker_mac: Mac,
    asker: Ipv6Addr,
    router: bool,
    tag: Option<VlanId>,
    out: &mut [u8],
) -> Option<usize> {
    let flags = Flags { router, solicited: false, override_cache: router };
    let (destination, message) = ndisc::Repr::answer(asker, target, mac, flags);
    let to_mac = if asker.is_unspecified() { Mac::multicast_v6(destination) } else { asker_mac };
    ndisc_frame((to_mac, mac), (destination, target), message, tag, out)
}

/// What an ARP message from a host says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArpSeen {
    /// Request or reply.
    pub operation: arp::Operation,
    /// The sender's Ethernet address, of one station.
    pub sender_mac: Mac,
    /// The sender's address; 0.0.0.0 in a probe.
    pub sender_ip: Ipv4Addr,
    /// Who is asked for, or told.
    pub target_ip: Ipv4Addr,
}

impl ArpSeen {
    /// Whether the sender asks for something.
    pub fn is_request(&self) -> bool {
        self.operation == arp::Operation::REQUEST
    }

    /// Whether the sender asks without claiming an address; nothing is to be learned from it.
    pub fn is_probe(&self) -> bool {
        self.sender_ip.is_unspecified()
    }

    /// Whether the sender tells everyone where its own address is.
    pub fn is_gratuitous(&self) -> bool {
        self.sender_ip == self.target_ip && !self.is_probe()
    }
}

/// Reads an ARP message; bytes behind it (padding) are ignored.
/// `Truncated`; `Unsupported` unless it is an Ethernet/IPv4 request or reply; `BadAddress` when no station can
/// have the sender's addresses.
pub fn read_arp(payload: &[u8]) -> Result<ArpSeen, Error> {
    let message = arp::Repr::parse(&arp::Packet::new_unchecked(payload))?;
    let nobody = message.source_ip.is_loopback()
        || (message.source_ip.is_unspecified() && message.operation != arp::Operation::REQUEST);
    if nobody {
        return Err(Error::BadAddress);
    }
    Ok(ArpSeen {
        operation: message.operation,
        sender_mac: message.source_mac,
        sender_ip: message.source_ip,
        target_ip: message.target_ip,
    })
}

/// What a neighbour-discovery message from a host says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NdSeen {
    /// Who has this address?
    Solicitation {
        /// The address.
        target: Ipv6Addr,
        /// Who asks; unspecified in duplicate-address detection.
        source: Ipv6Addr,
        /// The asker's Ethernet address, if told.
        lladdr: Option<Mac>,
    },
    /// I have this address.
    Advertisement {
        /// The address.
        target: Ipv6Addr,
        /// Where it is, if told.
        lladdr: Option<Mac>,
        /// It answers a question.
        solicited: bool,
        /// It replaces what was believed.
        override_cache: bool,
    },
    /// A router's message or a redirect: well formed, and nothing to us.
    Other,
}

/// Reads a neighbour-discovery message from its IPv6 header on, which came from this Ethernet address.
///
/// `Truncated`, `BadVersion`, `BadHopLimit` (not 255: it crossed a router), `BadChecksum`, `BadHeader`,
/// `BadOption`; `BadAddress` where RFC 4861 sections 6.1, 7.1 and 8.1 forbid one, and for an Ethernet address
/// that no station can have; `Unsupported` when it is none of the five messages, or stands behind an extension
/// header (RFC 6980 lets it be refused).
pub fn read_ndisc(packet: &[u8], ethernet_source: Mac) -> Result<NdSeen, Error> {
    let view = ipv6::Packet::new_checked(packet)?;
    let ip = ipv6::Repr::parse(&view)?;
    if ip.next_header != Protocol::ICMPV6 {
        return Err(Error::Unsupported);
    }
    let message = ndisc::Packet::new_unchecked(view.payload());
    let kind = message.judge(&ip)?;
    // Judged, so that the getters below cannot fail.
    let seen = match (kind, message.target()) {
        (Type::NEIGHBOR_SOLICITATION, Some(target)) => {
            let lladdr = message.mac_option(MacOption::Source)?;
            NdSeen::Solicitation { target, source: ip.source, lladdr }
        }
        (Type::NEIGHBOR_ADVERTISEMENT, Some(target)) => {
            let lladdr = message.mac_option(MacOption::Target)?;
            let Flags { solicited, override_cache, .. } = message.flags();
            NdSeen::Advertisement { target, lladdr, solicited, override_cache }
        }
        _ => NdSeen::Other,
    };
    let told = match seen {
        NdSeen::Solicitation { lladdr, .. } | NdSeen::Advertisement { lladdr, .. } => lladdr,
        NdSeen::Other => None,
    };
    if !ethernet_source.is_unicast() || !told.is_none_or(Mac::is_unicast) {
        return Err(Error::BadAddress);
    }
    Ok(seen)
}

#[cfg(test)]
mod test;
