//! What we emit is judged by etherparse and by checksums computed here, not by our own parser.

use etherparse::{
    Icmpv4Slice, Icmpv4Type, Icmpv6Slice, Icmpv6Type, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header,
    PacketBuilder, SlicedPacket, TransportSlice, icmpv4, icmpv6,
};
use proptest::prelude::*;

use super::*;

const AGENT: [u8; 4] = [10, 1, 0, 5];
const REMOTE: [u8; 4] = [10, 1, 2, 9];
const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1));

fn v6(text: &str) -> [u8; 16] {
    text.parse::<Ipv6Addr>().unwrap().octets()
}

fn agent6() -> [u8; 16] {
    v6("fd00:64:0:a::5")
}

fn remote6() -> [u8; 16] {
    v6("fd00:64:0:b::9")
}

fn gateway6() -> IpAddr {
    "fd00:64::1".parse().unwrap()
}

/// UDP from the agent to the remote EID, with this much payload.
fn udp(source: [u8; 4], destination: [u8; 4], payload: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ipv4(source, destination, 1).udp(1000, 2000);
    builder.write(&mut bytes, &vec![0x5a; payload]).unwrap();
    bytes
}

fn udp6(source: [u8; 16], destination: [u8; 16], payload: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ipv6(source, destination, 1).udp(1000, 2000);
    builder.write(&mut bytes, &vec![0x5a; payload]).unwrap();
    bytes
}

fn ping(len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let data: Vec<u8> = (0..len).map(|n| n as u8).collect();
    let mut header = Ipv4Header::new(0, 1, IpNumber::ICMP, AGENT, [10, 1, 0, 1]).unwrap();
    header.dscp = 46.try_into().unwrap();
    header.ecn = 2.try_into().unwrap();
    header.identification = 0x4242;
    let builder = PacketBuilder::ip(etherparse::IpHeaders::Ipv4(header, Default::default()));
    builder.icmpv4_echo_request(7, 9).write(&mut bytes, &data).unwrap();
    bytes
}

fn ping6(len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let data: Vec<u8> = (0..len).map(|n| n as u8).collect();
    let header = Ipv6Header {
        traffic_class: 46 << 2 | 2,
        flow_label: Ipv6FlowLabel::try_new(0x12345).unwrap(),
        payload_length: 0,
        next_header: IpNumber::IPV6_ICMP,
        hop_limit: 1,
        source: agent6(),
        destination: v6("fd00:64::1"),
    };
    let builder = PacketBuilder::ip(etherparse::IpHeaders::Ipv6(header, Default::default()));
    builder.icmpv6_echo_request(7, 9).write(&mut bytes, &data).unwrap();
    bytes
}

/// The Internet checksum, said again: a message with its own checksum (and pseudo-header) sums to 0xffff.
fn sums(parts: &[&[u8]]) -> bool {
    let total: u64 = parts
        .iter()
        .flat_map(|part| part.chunks(2))
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    total != 0 && total.is_multiple_of(0xffff)
}

fn run(write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<Vec<u8>> {
    let mut out = [0xa5; 2048];
    write(&mut out).map(|len| out[..len].to_vec())
}

/// Header and ICMP message as a foreign parser sees them.
fn judged(bytes: &[u8]) -> (Ipv4Header, Icmpv4Slice<'_>) {
    let sliced = SlicedPacket::from_ip(bytes).unwrap();
    let Some(etherparse::NetSlice::Ipv4(ip)) = sliced.net else { panic!("not IPv4") };
    let header = ip.header().to_header();
    assert_eq!(usize::from(header.total_len), bytes.len());
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    let Some(TransportSlice::Icmpv4(icmp)) = sliced.transport else { panic!("not ICMP") };
    assert!(sums(&[icmp.slice()]));
    (header, icmp)
}

fn judged6(bytes: &[u8]) -> (Ipv6Header, Icmpv6Slice<'_>) {
    let sliced = SlicedPacket::from_ip(bytes).unwrap();
    let Some(etherparse::NetSlice::Ipv6(ip)) = sliced.net else { panic!("not IPv6") };
    let header = ip.header().to_header();
    assert_eq!(usize::from(header.payload_length) + 40, bytes.len());
    let Some(TransportSlice::Icmpv6(icmp)) = sliced.transport else { panic!("not ICMPv6") };
    let len = (bytes.len() as u32 - 40).to_be_bytes();
    assert!(sums(&[&header.source, &header.destination, &len, &[0, 58], icmp.slice()]));
    assert!(icmp.is_checksum_valid(header.source, header.destination));
    (header, icmp)
}

#[test]
fn time_exceeded_quotes_576_bytes() {
    for payload in [0, 8, 519, 520, 521, 1400] {
        let original = udp(AGENT, REMOTE, payload);
        let answer = run(|out| time_exceeded(&original, GATEWAY, out)).unwrap();
        let (header, icmp) = judged(&answer);
        assert_eq!((header.source, header.destination), ([10, 1, 0, 1], AGENT));
        assert_eq!((header.time_to_live, header.dscp.value(), header.ecn.value()), (64, 48, 0));
        assert!(header.dont_fragment && header.fragment_offset.value() == 0);
        let exceeded = icmpv4::TimeExceededCode::TtlExceededInTransit;
        assert_eq!(icmp.icmp_type(), Icmpv4Type::TimeExceeded(exceeded));
        assert_eq!(icmp.payload(), &original[..original.len().min(576 - 28)]);
    }
}

#[test]
fn time_exceeded_quotes_1280_bytes_of_ipv6() {
    for payload in [0, 1183, 1184, 1185, 1400] {
        let original = udp6(agent6(), remote6(), payload);
        let answer = run(|out| time_exceeded(&original, gateway6(), out)).unwrap();
        let (header, icmp) = judged6(&answer);
        assert_eq!((header.source, header.destination), (v6("fd00:64::1"), agent6()));
        assert_eq!((header.hop_limit, header.traffic_class), (64, 48 << 2));
        let exceeded = icmpv6::TimeExceededCode::HopLimitExceeded;
        assert_eq!(icmp.icmp_type(), Icmpv6Type::TimeExceeded(exceeded));
        assert_eq!(icmp.payload(), &original[..original.len().min(1280 - 48)]);
    }
}

#[test]
fn too_big_tells_the_size_that_fits() {
    let original = udp(AGENT, REMOTE, 1472);
    let answer = run(|out| too_big(&original, GATEWAY, 1464, out)).unwrap();
    let needed = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1464 };
    assert_eq!(judged(&answer).1.icmp_type(), Icmpv4Type::DestinationUnreachable(needed));
    let original = udp6(agent6(), remote6(), 1452);
    let answer = run(|out| too_big(&original, gateway6(), 1444, out)).unwrap();
    assert_eq!(judged6(&answer).1.icmp_type(), Icmpv6Type::PacketTooBig { mtu: 1444 });
}

#[test]
fn no_size_below_what_every_link_carries() {
    let original = udp(AGENT, REMOTE, 1472);
    assert!(run(|out| too_big(&original, GATEWAY, 68, out)).is_some());
    assert!(run(|out| too_big(&original, GATEWAY, 67, out)).is_none());
    let original = udp6(agent6(), remote6(), 1452);
    assert!(run(|out| too_big(&original, gateway6(), 1280, out)).is_some());
    assert!(run(|out| too_big(&original, gateway6(), 1279, out)).is_none());
}

#[test]
fn every_reason_has_its_code() {
    use icmpv4::DestUnreachableHeader as V4;
    use icmpv6::DestUnreachableCode as V6;
    let cases = [
        (Unreachable::NoRoute, V4::Network, V6::NoRoute),
        (Unreachable::Host, V4::Host, V6::Address),
        (Unreachable::Port, V4::Port, V6::Port),
        (Unreachable::Prohibited, V4::FilterProhibited, V6::Prohibited),
    ];
    for (why, code, code6) in cases {
        let answer = run(|out| unreachable(&udp(AGENT, REMOTE, 10), GATEWAY, why, out)).unwrap();
        assert_eq!(judged(&answer).1.icmp_type(), Icmpv4Type::DestinationUnreachable(code));
        let answer = run(|out| unreachable(&udp6(agent6(), remote6(), 10), gateway6(), why, out)).unwrap();
        assert_eq!(judged6(&answer).1.icmp_type(), Icmpv6Type::DestinationUnreachable(code6));
    }
}

/// Every error function about this packet; all must agree whether they speak.
fn speaks(original: &[u8], from: IpAddr) -> bool {
    let answers = [
        run(|out| time_exceeded(original, from, out)).is_some(),
        run(|out| too_big(original, from, 1400, out)).is_some(),
        run(|out| unreachable(original, from, Unreachable::Host, out)).is_some(),
    ];
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    answers[0]
}

#[test]
fn silent_about_addresses_that_are_not_one_hosts() {
    assert!(speaks(&udp(AGENT, REMOTE, 10), GATEWAY));
    for bad in
        [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [239, 1, 2, 3], [255, 255, 255, 255], [240, 0, 0, 1]]
    {
        assert!(!speaks(&udp(bad, REMOTE, 10), GATEWAY), "from {bad:?}");
    }
    for bad in [[224, 0, 0, 1], [239, 1, 2, 3], [255, 255, 255, 255]] {
        assert!(!speaks(&udp(AGENT, bad, 10), GATEWAY), "to {bad:?}");
    }
    assert!(speaks(&udp6(agent6(), remote6(), 10), gateway6()));
    for bad in ["::", "::1", "ff02::1"] {
        assert!(!speaks(&udp6(v6(bad), remote6(), 10), gateway6()), "from {bad}");
    }
    assert!(!speaks(&udp6(agent6(), v6("ff05::2"), 10), gateway6()));
}

#[test]
fn silent_about_errors_but_not_about_pings() {
    assert!(speaks(&ping(10), GATEWAY));
    let error = run(|out| time_exceeded(&udp(AGENT, REMOTE, 10), GATEWAY, out)).unwrap();
    assert!(!speaks(&error, GATEWAY));
    for kind in [3, 4, 5, 11, 12] {
        let mut message = ping(10);
        message[20] = kind;
        assert!(!speaks(&message, GATEWAY), "type {kind}");
    }
    assert!(speaks(&ping6(10), gateway6()));
    let error = run(|out| time_exceeded(&udp6(agent6(), remote6(), 10), gateway6(), out)).unwrap();
    assert!(!speaks(&error, gateway6()));
    for kind in [1, 2, 3, 4, 100, 127, 137] {
        let mut message = ping6(10);
        message[40] = kind;
        assert!(!speaks(&message, gateway6()), "type {kind}");
    }
    // An error hidden behind destination options.
    let mut hidden = error.clone();
    hidden[6] = 60;
    hidden.splice(40..40, [58, 0, 1, 4, 0, 0, 0, 0]);
    hidden[5] += 8;
    assert!(!speaks(&hidden, gateway6()));
}

#[test]
fn silent_about_later_fragments() {
    let mut first = udp(AGENT, REMOTE, 100);
    first[6] = 0x20;
    assert!(speaks(&first, GATEWAY));
    first[7] = 1;
    assert!(!speaks(&first, GATEWAY));
    let fragment = |offset: u8| {
        let mut bytes = udp6(agent6(), remote6(), 100);
        bytes[6] = 44;
        bytes.splice(40..40, [17, 0, 0, offset | 1, 0, 0, 0, 7]);
        bytes[5] += 8;
        bytes
    };
    assert!(speaks(&fragment(0), gateway6()));
    assert!(!speaks(&fragment(8), gateway6()));
}

#[test]
fn silent_about_what_is_broken_or_of_another_family() {
    let whole = udp(AGENT, REMOTE, 10);
    assert!(!speaks(&whole, gateway6()) && !speaks(&udp6(agent6(), remote6(), 10), GATEWAY));
    for len in 0..whole.len() {
        assert!(!speaks(&whole[..len], GATEWAY), "{len} bytes");
    }
    let whole = udp6(agent6(), remote6(), 10);
    for len in 0..whole.len() {
        assert!(!speaks(&whole[..len], gateway6()), "{len} bytes");
    }
}

#[test]
fn padding_is_not_quoted() {
    let original = udp(AGENT, REMOTE, 2);
    let padded = [&original[..], &[0xee; 16]].concat();
    assert_eq!(
        run(|out| time_exceeded(&original, GATEWAY, out)),
        run(|out| time_exceeded(&padded, GATEWAY, out))
    );
}

#[test]
fn no_room_no_answer() {
    let original = udp(AGENT, REMOTE, 1000);
    assert_eq!(time_exceeded(&original, GATEWAY, &mut [0; 575]), None);
    assert_eq!(time_exceeded(&original, GATEWAY, &mut [0; 576]), Some(576));
    assert_eq!(echo_reply(&ping(100), &mut [0; 127]), None);
    assert_eq!(echo_reply(&ping(100), &mut [0; 128]), Some(128));
    assert_eq!(echo_reply(&ping6(100), &mut [0; 147]), None);
    assert_eq!(echo_reply(&ping6(100), &mut [0; 148]), Some(148));
}

#[test]
fn a_ping_comes_back_as_it_was() {
    for len in [0, 1, 56, 1400] {
        let answer = run(|out| echo_reply(&ping(len), out)).unwrap();
        let (header, icmp) = judged(&answer);
        assert_eq!((header.source, header.destination), ([10, 1, 0, 1], AGENT));
        assert_eq!((header.time_to_live, header.dscp.value(), header.ecn.value()), (64, 46, 0));
        assert_eq!(header.identification, 0x4242);
        assert_eq!(icmp.icmp_type(), Icmpv4Type::EchoReply(etherparse::IcmpEchoHeader { id: 7, seq: 9 }));
        assert_eq!(icmp.payload(), &ping(len)[28..]);

        let answer = run(|out| echo_reply(&ping6(len), out)).unwrap();
        let (header, icmp) = judged6(&answer);
        assert_eq!((header.source, header.destination), (v6("fd00:64::1"), agent6()));
        assert_eq!((header.hop_limit, header.traffic_class), (64, 46 << 2));
        assert_eq!(icmp.icmp_type(), Icmpv6Type::EchoReply(etherparse::IcmpEchoHeader { id: 7, seq: 9 }));
        assert_eq!(icmp.payload(), &ping6(len)[48..]);
    }
}

#[test]
fn a_ping_with_options_loses_them() {
    let plain = ping(8);
    let mut header = Ipv4Header::from_slice(&plain).unwrap().0;
    header.options = etherparse::Ipv4Options::try_from(&[7, 7, 4, 0, 0, 0, 0, 0][..]).unwrap();
    header.set_payload_len(16).unwrap();
    header.header_checksum = header.calc_header_checksum();
    let request = [&header.to_bytes()[..], &plain[20..]].concat();
    assert_eq!(run(|out| echo_reply(&request, out)), run(|out| echo_reply(&plain, out)));
    let plain = ping6(8);
    let mut request = plain.clone();
    request[6] = 60;
    request.splice(40..40, [58, 0, 1, 4, 0, 0, 0, 0]);
    request[5] += 8;
    assert_eq!(run(|out| echo_reply(&request, out)), run(|out| echo_reply(&plain, out)));
}

#[test]
fn what_is_not_a_whole_ping_is_not_answered() {
    for at in [20, 21, 22, 27, 30] {
        let mut request = ping(10);
        request[at] ^= 1;
        assert!(run(|out| echo_reply(&request, out)).is_none(), "IPv4 byte {at}");
    }
    let mut request = ping(10);
    request[10] ^= 1;
    assert!(run(|out| echo_reply(&request, out)).is_none(), "header checksum");
    for at in [8, 40, 41, 42, 47, 50] {
        let mut request = ping6(10);
        request[at] ^= 1;
        assert!(run(|out| echo_reply(&request, out)).is_none(), "IPv6 byte {at}");
    }
    let reply = run(|out| echo_reply(&ping(10), out)).unwrap();
    assert!(run(|out| echo_reply(&reply, out)).is_none(), "a reply");
    assert!(run(|out| echo_reply(&udp(AGENT, REMOTE, 10), out)).is_none());
    assert!(run(|out| echo_reply(&udp6(agent6(), remote6(), 10), out)).is_none());
}

#[test]
fn a_fragmented_or_broadcast_ping_is_not_answered() {
    let remade = |change: &dyn Fn(&mut Ipv4Header)| {
        let mut request = ping(10);
        let mut header = Ipv4Header::from_slice(&request).unwrap().0;
        change(&mut header);
        header.header_checksum = header.calc_header_checksum();
        request[..20].copy_from_slice(&header.to_bytes());
        run(|out| echo_reply(&request, out))
    };
    assert!(remade(&|_| ()).is_some());
    assert!(remade(&|header| header.more_fragments = true).is_none());
    assert!(remade(&|header| header.destination = [255; 4]).is_none());
    assert!(remade(&|header| header.destination = [224, 0, 0, 1]).is_none());
    assert!(remade(&|header| header.source = [0; 4]).is_none());
}

proptest! {
    #[test]
    fn noise_is_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..120), first in 0u8..3, room in 0usize..200) {
        if let (Some(byte), 1..) = (bytes.first_mut(), first) {
            *byte = if first == 1 { 0x45 } else { 0x60 };
        }
        let mut out = vec![0; room];
        for from in [GATEWAY, gateway6()] {
            for answer in [
                time_exceeded(&bytes, from, &mut out),
                too_big(&bytes, from, 1400, &mut out),
                unreachable(&bytes, from, Unreachable::Host, &mut out),
                echo_reply(&bytes, &mut out),
            ] {
                prop_assert!(answer.is_none_or(|len| len <= room));
            }
        }
    }
}
