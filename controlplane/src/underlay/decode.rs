//! Netlink messages in our terms. A message that lacks what we need is no news, never an error.

use std::net::IpAddr;

use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use sterna_wire::Mac;

use super::facts::{Link, NeighbourKey, Route};
use super::shadow::{NeighbourNews, Notice};

/// The notification a multicast message stands for, if it concerns us.
pub fn notice(message: NetlinkMessage<RouteNetlinkMessage>) -> Option<Notice> {
    let inner = match message.payload {
        NetlinkPayload::InnerMessage(inner) => inner,
        NetlinkPayload::Overrun(_) => return Some(Notice::Overrun),
        _ => return None,
    };
    match inner {
        RouteNetlinkMessage::NewLink(message) => link(&message).map(Notice::Link),
        RouteNetlinkMessage::DelLink(message) => {
            is_link(&message).then_some(Notice::LinkGone(message.header.index))
        }
        RouteNetlinkMessage::NewAddress(message) => {
            address(&message).map(|at| Notice::Address(message.header.index, at))
        }
        RouteNetlinkMessage::DelAddress(message) => {
            address(&message).map(|at| Notice::AddressGone(message.header.index, at))
        }
        RouteNetlinkMessage::NewRoute(_)
        | RouteNetlinkMessage::DelRoute(_)
        | RouteNetlinkMessage::NewRule(_)
        | RouteNetlinkMessage::DelRule(_) => Some(Notice::Routing),
        RouteNetlinkMessage::NewNeighbour(message) => {
            neighbour(&message).map(|(key, news)| Notice::Neighbour(key, news))
        }
        RouteNetlinkMessage::DelNeighbour(message) => {
            neighbour_key(&message).map(|key| Notice::Neighbour(key, NeighbourNews::Forgotten))
        }
        _ => None,
    }
}

/// An Ethernet link; none for any other kind, which cannot be a port.
pub fn link(message: &LinkMessage) -> Option<Link> {
    if !is_link(message) {
        return None;
    }
    let (mut name, mut mac, mut mtu) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(is) => name = Some(is.clone()),
            LinkAttribute::Address(is) => mac = mac_of(is),
            LinkAttribute::Mtu(is) => mtu = Some(*is),
            _ => {}
        }
    }
    let needed = LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp;
    let up = message.header.flags.contains(needed);
    Some(Link { index: message.header.index, name: name?, mac: mac?, mtu: mtu?, up })
}

/// Bridges repeat link messages in their own family with part of the attributes.
fn is_link(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Unspec
}

/// The address of an address message. On a point-to-point link the local address differs from the peer's.
pub fn address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(at) => Some(*at),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(at) => Some(*at),
            _ => None,
        })
    })
}

/// The answer to a lookup of `remote`; none unless it is an ordinary unicast route.
pub fn route(message: &RouteMessage, remote: IpAddr) -> Option<Route> {
    if message.header.kind != RouteType::Unicast {
        return None;
    }
    let (mut oif, mut next_hop, mut mtu) = (None, remote, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => oif = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(at)) => next_hop = (*at).into(),
            RouteAttribute::Gateway(RouteAddress::Inet6(at)) => next_hop = (*at).into(),
            RouteAttribute::Via(RouteVia::Inet(at)) => next_hop = (*at).into(),
            RouteAttribute::Via(RouteVia::Inet6(at)) => next_hop = (*at).into(),
            RouteAttribute::Metrics(metrics) => mtu = mtu_of(metrics),
            _ => {}
        }
    }
    Some(Route { oif: oif?, next_hop, mtu })
}

fn mtu_of(metrics: &[RouteMetric]) -> Option<u32> {
    metrics.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(bytes) if *bytes > 0 => Some(*bytes),
        _ => None,
    })
}

/// A neighbour entry and what it says.
pub fn neighbour(message: &NeighbourMessage) -> Option<(NeighbourKey, NeighbourNews)> {
    let key = neighbour_key(message)?;
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => mac_of(bytes),
        _ => None,
    });
    let permanent = matches!(message.header.state, NeighbourState::Permanent | NeighbourState::Noarp);
    let news = match (message.header.state, mac) {
        (NeighbourState::Failed, _) => NeighbourNews::Failed,
        (NeighbourState::Incomplete | NeighbourState::None | NeighbourState::Other(_), _) | (_, None) => {
            NeighbourNews::Unresolved
        }
        (_, Some(mac)) => NeighbourNews::Valid { mac, permanent },
    };
    Some((key, news))
}

fn neighbour_key(message: &NeighbourMessage) -> Option<NeighbourKey> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(at)) => Some(IpAddr::V4(*at)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(at)) => Some(IpAddr::V6(*at)),
        _ => None,
    })?;
    Some(NeighbourKey { link: message.header.ifindex, address })
}

fn mac_of(bytes: &[u8]) -> Option<Mac> {
    let octets: [u8; 6] = bytes.try_into().ok()?;
    Some(Mac(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbour_message(state: NeighbourState, mac: Option<[u8; 6]>) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = 7;
        message.header.state = state;
        let to = NeighbourAddress::Inet([192, 0, 2, 1].into());
        message.attributes.push(NeighbourAttribute::Destination(to));
        message.attributes.extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.to_vec())));
        message
    }

    #[test]
    fn a_neighbour_is_valid_in_every_state_that_keeps_its_mac() {
        let mac = [2, 0, 0, 0, 0, 9];
        let valid = |permanent| NeighbourNews::Valid { mac: Mac(mac), permanent };
        for (state, expected) in [
            (NeighbourState::Reachable, valid(false)),
            (NeighbourState::Stale, valid(false)),
            (NeighbourState::Delay, valid(false)),
            (NeighbourState::Probe, valid(false)),
            (NeighbourState::Permanent, valid(true)),
            (NeighbourState::Noarp, valid(true)),
            (NeighbourState::Incomplete, NeighbourNews::Unresolved),
            (NeighbourState::None, NeighbourNews::Unresolved),
            (NeighbourState::Failed, NeighbourNews::Failed),
        ] {
            let (key, news) = neighbour(&neighbour_message(state, Some(mac))).unwrap();
            assert_eq!(key, NeighbourKey { link: 7, address: [192, 0, 2, 1].into() });
            assert_eq!(news, expected, "{state}");
        }
        let (_, news) = neighbour(&neighbour_message(NeighbourState::Reachable, None)).unwrap();
        assert_eq!(news, NeighbourNews::Unresolved, "no MAC, nothing valid");
    }

    #[test]
    fn a_link_needs_carrier_to_be_up_and_a_bridge_message_is_no_link() {
        let mut message = LinkMessage::default();
        message.header.index = 3;
        message.header.flags = LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp;
        message.attributes = vec![
            LinkAttribute::IfName("eth0".into()),
            LinkAttribute::Mtu(1500),
            LinkAttribute::Address(vec![2; 6]),
        ];
        let expected = Link { index: 3, name: "eth0".into(), mac: Mac([2; 6]), mtu: 1500, up: true };
        assert_eq!(link(&message), Some(expected.clone()));
        message.header.flags = LinkFlags::Up;
        assert_eq!(link(&message), Some(Link { up: false, ..expected }));
        message.header.interface_family = AddressFamily::Bridge;
        assert_eq!(link(&message), None);
    }

    #[test]
    fn a_route_names_its_gateway_or_the_remote_itself() {
        let remote: IpAddr = [198, 51, 100, 1].into();
        let mut message = RouteMessage::default();
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![RouteAttribute::Oif(3)];
        assert_eq!(route(&message, remote), Some(Route { oif: 3, next_hop: remote, mtu: None }));
        let gateway = std::net::Ipv6Addr::LOCALHOST;
        message.attributes.push(RouteAttribute::Via(RouteVia::Inet6(gateway)));
        message.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(1400)]));
        assert_eq!(
            route(&message, remote),
            Some(Route { oif: 3, next_hop: gateway.into(), mtu: Some(1400) })
        );
        for kind in [RouteType::Local, RouteType::Unreachable, RouteType::BlackHole, RouteType::Multicast] {
            message.header.kind = kind;
            assert_eq!(route(&message, remote), None);
        }
    }
}
