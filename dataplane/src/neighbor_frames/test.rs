//! What we emit is judged by etherparse; what we read is made by hand from the RFCs.

use etherparse::{ArpHardwareId, ArpOperation, EtherType as Kind, Icmpv6Slice, SlicedPacket, TransportSlice};
use proptest::prelude::*;

use super::*;

const GATEWAY: Mac = Mac([0x02, 0x53, 0x54, 0, 0, 0x64]);
const HOST: Mac = Mac([0x02, 0, 0, 0, 0, 5]);

fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn run(write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Vec<u8> {
    let mut out = [0xa5; 128];
    let len = write(&mut out).unwrap();
    assert!(out[len..].iter().all(|byte| *byte == 0xa5), "nothing written behind the frame");
    out[..len].to_vec()
}

/// Destination, source and tag as a foreign parser sees them.
fn link(frame: &[u8]) -> (Mac, Mac, Option<u16>) {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(etherparse::LinkSlice::Ethernet2(ethernet)) = &sliced.link else { panic!("not Ethernet") };
    let tag = sliced.vlan_ids().first().map(|id| id.value());
    (Mac(ethernet.destination()), Mac(ethernet.source()), tag)
}

fn arp_of(frame: &[u8]) -> etherparse::ArpEthIpv4Packet {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(etherparse::NetSlice::Arp(arp)) = sliced.net else { panic!("not ARP") };
    assert_eq!((arp.hw_addr_type(), arp.proto_addr_type()), (ArpHardwareId::ETHERNET, Kind::IPV4));
    arp.to_packet().try_eth_ipv4().unwrap()
}

#[test]
fn a_request_to_all() {
    let tag = VlanId::new(10);
    for (tag, len) in [(None, 60), (tag, 64)] {
        let frame = run(|out| arp_request(GATEWAY, v4("10.1.0.1"), v4("10.1.0.5"), tag, out));
        assert_eq!(frame.len(), len);
        assert_eq!(link(&frame), (Mac::BROADCAST, GATEWAY, tag.map(VlanId::get)));
        let arp = arp_of(&frame);
        assert_eq!(arp.operation, ArpOperation::REQUEST);
        assert_eq!((arp.sender_mac, arp.sender_ipv4), (GATEWAY.0, [10, 1, 0, 1]));
        assert_eq!((arp.target_mac, arp.target_ipv4), ([0; 6], [10, 1, 0, 5]));
        assert!(frame[len - 18..].iter().all(|byte| *byte == 0), "padding of zeros");
    }
}

#[test]
fn a_reply_to_one() {
    let frame = run(|out| arp_reply(GATEWAY, v4("10.1.2.9"), HOST, v4("10.1.0.5"), None, out));
    assert_eq!((frame.len(), link(&frame)), (60, (HOST, GATEWAY, None)));
    let arp = arp_of(&frame);
    assert_eq!(arp.operation, ArpOperation::REPLY);
    assert_eq!((arp.sender_mac, arp.sender_ipv4), (GATEWAY.0, [10, 1, 2, 9]));
    assert_eq!((arp.target_mac, arp.target_ipv4), (HOST.0, [10, 1, 0, 5]));
}

/// IPv6 addresses and ICMPv6 bytes as a foreign parser sees them; its checksum and hop limit must hold.
fn ndisc_of(frame: &[u8]) -> (Ipv6Addr, Ipv6Addr, Vec<u8>) {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(etherparse::NetSlice::Ipv6(ip)) = sliced.net else { panic!("not IPv6") };
    let header = ip.header().to_header();
    assert_eq!((header.hop_limit, header.traffic_class), (255, 48 << 2));
    let Some(TransportSlice::Icmpv6(icmp)) = sliced.transport else { panic!("not ICMPv6") };
    assert!(Icmpv6Slice::is_checksum_valid(&icmp, header.source, header.destination));
    (header.source_addr(), header.destination_addr(), icmp.slice().to_vec())
}

#[test]
fn a_solicitation_to_the_group_of_its_target() {
    let (source, target) = (v6("fd00:64::1"), v6("fd00:64:0:a::12:3456"));
    for tag in [None, VlanId::new(4094)] {
        let frame = run(|out| neighbor_solicitation(GATEWAY, source, target, tag, out));
        let group = Mac([0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
        assert_eq!(link(&frame), (group, GATEWAY, tag.map(VlanId::get)));
        let (from, to, message) = ndisc_of(&frame);
        assert_eq!((from, to), (source, v6("ff02::1:ff12:3456")));
        assert_eq!(message[..2], [135, 0]);
        assert_eq!(message[4..8], [0; 4], "reserved");
        assert_eq!(message[8..24], target.octets());
        assert_eq!(message[24..], [1, 1, 2, 0x53, 0x54, 0, 0, 0x64], "our own address as the one option");
    }
}

#[test]
fn an_advertisement_to_who_asked() {
    let (target, asker) = (v6("fd00:64::1"), v6("fd00:64:0:a::5"));
    for (router, flags) in [(true, 0xe0), (false, 0x40)] {
        let frame = run(|out| neighbor_advertisement(GATEWAY, target, HOST, asker, router, None, out));
        assert_eq!(link(&frame), (HOST, GATEWAY, None));
        let (from, to, message) = ndisc_of(&frame);
        assert_eq!((from, to), (target, asker));
        assert_eq!(message[..2], [136, 0]);
        assert_eq!(message[4..8], [flags, 0, 0, 0]);
        assert_eq!(message[8..24], target.octets());
        assert_eq!(message[24..], [2, 1, 2, 0x53, 0x54, 0, 0, 0x64]);
    }
}

#[test]
fn an_advertisement_to_who_has_no_address_yet() {
    let asker = Ipv6Addr::UNSPECIFIED;
    let frame = run(|out| neighbor_advertisement(GATEWAY, v6("fd00:64::1"), HOST, asker, true, None, out));
    assert_eq!(link(&frame).0, Mac([0x33, 0x33, 0, 0, 0, 1]));
    let (_, to, message) = ndisc_of(&frame);
    assert_eq!((to, message[4]), (v6("ff02::1"), 0xa0), "to all nodes, not solicited");
}

#[test]
fn no_room_no_frame() {
    let tag = VlanId::new(1);
    assert_eq!(arp_request(GATEWAY, v4("10.1.0.1"), v4("10.1.0.5"), None, &mut [0; 59]), None);
    assert_eq!(arp_request(GATEWAY, v4("10.1.0.1"), v4("10.1.0.5"), tag, &mut [0; 63]), None);
    assert_eq!(neighbor_solicitation(GATEWAY, v6("fd00::1"), v6("fd00::2"), None, &mut [0; 85]), None);
    assert_eq!(neighbor_solicitation(GATEWAY, v6("fd00::1"), v6("fd00::2"), tag, &mut [0; 90]), Some(90));
}

fn arp_bytes(operation: u8, mac: Mac, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, operation], &mac.0[..], &sender, &[0; 6], &target, &[0; 18]].concat()
}

#[test]
fn what_a_host_says_by_arp() {
    let (host, other) = ([10, 1, 0, 5], [10, 1, 0, 1]);
    let seen = read_arp(&arp_bytes(1, HOST, host, other)).unwrap();
    assert_eq!((seen.sender_mac, seen.sender_ip, seen.target_ip), (HOST, host.into(), other.into()));
    assert!(seen.is_request() && !seen.is_probe() && !seen.is_gratuitous());
    let probe = read_arp(&arp_bytes(1, HOST, [0; 4], host)).unwrap();
    assert!(probe.is_request() && probe.is_probe() && !probe.is_gratuitous());
    let zero = read_arp(&arp_bytes(1, HOST, [0; 4], [0; 4])).unwrap();
    assert!(zero.is_probe() && !zero.is_gratuitous());
    for operation in [1, 2] {
        let announcement = read_arp(&arp_bytes(operation, HOST, host, host)).unwrap();
        assert!(announcement.is_gratuitous() && !announcement.is_probe());
    }
    let reply = read_arp(&arp_bytes(2, HOST, host, other)).unwrap();
    assert_eq!((reply.operation, reply.is_request()), (arp::Operation::REPLY, false));
}

#[test]
fn arp_that_cannot_be() {
    let right = arp_bytes(1, HOST, [10, 1, 0, 5], [10, 1, 0, 1]);
    for len in 0..28 {
        assert_eq!(read_arp(&right[..len]), Err(Error::Truncated));
    }
    for (at, value) in [(1, 6), (2, 0x86), (4, 8), (5, 16), (7, 0), (7, 3), (6, 1)] {
        let mut wrong = right.clone();
        wrong[at] = value;
        assert_eq!(read_arp(&wrong), Err(Error::Unsupported), "byte {at} = {value}");
    }
    let bad = Err(Error::BadAddress);
    for mac in [Mac::BROADCAST, Mac([0; 6]), Mac([1, 0, 0x5e, 0, 0, 1])] {
        assert_eq!(read_arp(&arp_bytes(1, mac, [10, 1, 0, 5], [10, 1, 0, 1])), bad, "{mac}");
    }
    for sender in [[224, 0, 0, 1], [255; 4], [127, 0, 0, 1]] {
        assert_eq!(read_arp(&arp_bytes(1, HOST, sender, [10, 1, 0, 1])), bad, "{sender:?}");
    }
    assert_eq!(read_arp(&arp_bytes(2, HOST, [0; 4], [10, 1, 0, 1])), bad, "a reply from nobody");
}

/// A neighbour-discovery packet by hand, checksummed by etherparse.
fn nd_bytes(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let header = etherparse::Ipv6Header {
        payload_length: message.len() as u16,
        next_header: etherparse::IpNumber::IPV6_ICMP,
        hop_limit: 255,
        source: source.octets(),
        destination: destination.octets(),
        ..Default::default()
    };
    let sum = etherparse::checksum::Sum16BitWords::new()
        .add_16bytes(header.source)
        .add_16bytes(header.destination)
        .add_4bytes((message.len() as u32).to_be_bytes())
        .add_2bytes([0, 58])
        .add_slice(message)
        .ones_complement()
        .to_be();
    let mut bytes = [&header.to_bytes()[..], message].concat();
    bytes[42..44].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn message(kind: u8, flags: u8, target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0, flags, 0, 0, 0], &target.octets()[..], options].concat()
}

const SOURCE_OPTION: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 5];
const TARGET_OPTION: [u8; 8] = [2, 1, 2, 0, 0, 0, 0, 5];

fn host() -> Ipv6Addr {
    v6("fd00:64:0:a::5")
}

fn gateway() -> Ipv6Addr {
    v6("fd00:64::1")
}

#[test]
fn what_a_host_says_by_neighbour_discovery() {
    let group = v6("ff02::1:ff00:1");
    let asks = |source, options: &[u8]| {
        read_ndisc(&nd_bytes(source, group, &message(135, 0, gateway(), options)), HOST)
    };
    let solicitation = |source, lladdr| Ok(NdSeen::Solicitation { target: gateway(), source, lladdr });
    assert_eq!(asks(host(), &SOURCE_OPTION), solicitation(host(), Some(HOST)));
    assert_eq!(asks(host(), &[]), solicitation(host(), None));
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    assert_eq!(asks(host(), &[&nonce[..], &SOURCE_OPTION].concat()), solicitation(host(), Some(HOST)));
    let nobody = Ipv6Addr::UNSPECIFIED;
    assert_eq!(asks(nobody, &nonce), solicitation(nobody, None), "duplicate-address detection");

    for (flags, solicited, override_cache) in [(0x00, false, false), (0x60, true, true), (0xdf, true, false)]
    {
        let bytes = nd_bytes(host(), gateway(), &message(136, flags, host(), &TARGET_OPTION));
        let expected =
            NdSeen::Advertisement { target: host(), lladdr: Some(HOST), solicited, override_cache };
        assert_eq!(read_ndisc(&bytes, HOST), Ok(expected), "flags {flags:x}");
    }
    let routers =
        nd_bytes(v6("fe80::5"), v6("ff02::2"), &[&[133, 0, 0, 0, 0, 0, 0, 0], &SOURCE_OPTION[..]].concat());
    assert_eq!(read_ndisc(&routers, HOST), Ok(NdSeen::Other), "a router solicitation");
}

#[test]
fn neighbour_discovery_that_cannot_be() {
    let group = v6("ff02::1:ff00:1");
    let right = nd_bytes(host(), group, &message(135, 0, gateway(), &SOURCE_OPTION));
    assert!(read_ndisc(&right, HOST).is_ok());
    for len in 0..right.len() {
        assert_eq!(read_ndisc(&right[..len], HOST), Err(Error::Truncated), "{len} bytes");
    }
    let mut routed = right.clone();
    routed[7] = 254;
    assert_eq!(read_ndisc(&routed, HOST), Err(Error::BadHopLimit));
    for at in [43, 50, 63, 71] {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        assert_eq!(read_ndisc(&wrong, HOST), Err(Error::BadChecksum), "byte {at}");
    }
    let refused = |source, destination, bytes: &[u8]| read_ndisc(&nd_bytes(source, destination, bytes), HOST);
    let coded = [&[135, 1][..], &message(135, 0, gateway(), &[])[2..]].concat();
    assert_eq!(refused(host(), group, &coded), Err(Error::BadHeader));
    for options in [&[1, 0, 2, 0, 0, 0, 0, 5][..], &[1, 2, 2, 0, 0, 0, 0, 5], &[14], &[1, 1, 2, 0]] {
        let bytes = message(135, 0, gateway(), options);
        assert_eq!(refused(host(), group, &bytes), Err(Error::BadOption), "{options:?}");
    }
    let bad = Err(Error::BadAddress);
    assert_eq!(refused(host(), group, &message(135, 0, group, &[])), bad, "a group as target");
    let nobody = Ipv6Addr::UNSPECIFIED;
    assert_eq!(refused(nobody, group, &message(135, 0, gateway(), &SOURCE_OPTION)), bad, "nobody with a MAC");
    assert_eq!(refused(nobody, gateway(), &message(135, 0, gateway(), &[])), bad, "nobody asks one host");
    let solicited = message(136, 0x40, host(), &TARGET_OPTION);
    assert_eq!(refused(host(), v6("ff02::1"), &solicited), bad, "solicited by all");
    let odd = [2, 1, 0x33, 0x33, 0, 0, 0, 1];
    assert_eq!(refused(host(), gateway(), &message(136, 0, host(), &odd)), bad, "a group's MAC");
    assert_eq!(read_ndisc(&right, Mac::BROADCAST), bad);
    let echo = [128, 0, 0, 0, 0, 1, 0, 1];
    assert_eq!(refused(host(), gateway(), &echo), Err(Error::Unsupported));
}

proptest! {
    #[test]
    fn noise_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = read_arp(&bytes);
        let _ = read_ndisc(&bytes, HOST);
        let mut framed = bytes.clone();
        framed.splice(0..0, [135, 0, 0, 0]);
        let _ = read_ndisc(&nd_bytes(host(), gateway(), &framed), HOST);
    }

    #[test]
    fn what_we_send_can_be_read(target: [u8; 16], asker: [u8; 16], ip: [u8; 4], tag in prop::option::of(1u16..4095)) {
        let (target, asker) = (Ipv6Addr::from(target), Ipv6Addr::from(asker));
        prop_assume!(!target.is_multicast() && !asker.is_multicast() && !asker.is_unspecified());
        let start = if tag.is_some() { 18 } else { 14 };
        let tag = tag.and_then(VlanId::new);
        let frame = run(|out| neighbor_solicitation(GATEWAY, asker, target, tag, out));
        let expected = NdSeen::Solicitation { target, source: asker, lladdr: Some(GATEWAY) };
        prop_assert_eq!(read_ndisc(&frame[start..], GATEWAY), Ok(expected));
        let frame = run(|out| neighbor_advertisement(GATEWAY, target, HOST, asker, false, tag, out));
        let expected =
            NdSeen::Advertisement { target, lladdr: Some(GATEWAY), solicited: true, override_cache: false };
        prop_assert_eq!(read_ndisc(&frame[start..], GATEWAY), Ok(expected));
        let frame = run(|out| arp_request(GATEWAY, v4("10.1.0.1"), ip.into(), tag, out));
        prop_assert_eq!(read_arp(&frame[start..]).map(|seen| seen.target_ip), Ok(ip.into()));
    }
}
