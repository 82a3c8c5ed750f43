//! What the XDP program decides, frame by frame, run by the kernel itself (BPF_PROG_TEST_RUN) on the loopback
//! interface of a namespace. The frames are built by etherparse or by hand, never by our own code.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod lab;

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{IpNumber, PacketBuilder};
use lab::Lab;
use sterna_xsk::{Action, KernelOptions, Port, PortSpec, Side, Steering};

/// The loopback's own MAC is all zero.
const PORT_MAC: [u8; 6] = [0; 6];
const GROUP_MAC: [u8; 6] = [0x02, 0x53, 0x54, 0, 0, 0x64];
const OTHER_MAC: [u8; 6] = [0x02, 0xaa, 0, 0, 0, 1];
const SOURCE_MAC: [u8; 6] = [0x02, 0xbb, 0, 0, 0, 1];
const OWN4: [u8; 4] = [192, 0, 2, 1];
const FAR4: [u8; 4] = [198, 51, 100, 9];
const OWN6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const FAR6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

//------------ Frames ----------------------------------------------------------------------------------------

fn v4_udp(mac: [u8; 6], to: [u8; 4], port: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(SOURCE_MAC, mac)
        .ipv4(FAR4, to, 64)
        .udp(5000, port)
        .write(&mut frame, &[0; 40])
        .unwrap();
    frame
}

fn v6_udp(mac: [u8; 6], to: [u8; 16], port: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(SOURCE_MAC, mac)
        .ipv6(FAR6, to, 64)
        .udp(5000, port)
        .write(&mut frame, &[0; 40])
        .unwrap();
    frame
}

fn v4_tcp(mac: [u8; 6], to: [u8; 4]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(SOURCE_MAC, mac)
        .ipv4(FAR4, to, 64)
        .tcp(5000, 22, 1, 1000)
        .write(&mut frame, &[])
        .unwrap();
    frame
}

fn v6_icmp(mac: [u8; 6], kind: u8) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(SOURCE_MAC, mac)
        .ipv6(FAR6, OWN6, 255)
        .icmpv6_raw(kind, 0, [0; 4])
        .write(&mut frame, &[0; 16])
        .unwrap();
    frame
}

fn arp(mac: [u8; 6]) -> Vec<u8> {
    let mut frame = [&mac[..], &SOURCE_MAC[..], &[0x08, 0x06]].concat();
    frame.resize(60, 0);
    frame
}

/// The same frame with a tag of this type before its EtherType.
fn tagged(mut frame: Vec<u8>, tag_type: u16) -> Vec<u8> {
    let tag = [tag_type.to_be_bytes(), 10_u16.to_be_bytes()].concat();
    frame.splice(12..12, tag);
    frame
}

/// An IPv4 frame with other bits in its fragment field.
fn fragment(mut frame: Vec<u8>, field: u16) -> Vec<u8> {
    frame[20..22].copy_from_slice(&field.to_be_bytes());
    frame
}

/// An IPv4 frame with options of `words` 32-bit words.
fn with_options(mut frame: Vec<u8>, words: u8) -> Vec<u8> {
    frame[14] = 0x45 + words;
    frame.splice(34..34, vec![1; usize::from(words) * 4]);
    frame
}

/// An IPv6 frame with these extension headers (type, length in 8-byte units beyond the first) before its payload.
fn extended(mut frame: Vec<u8>, headers: &[(u8, u8)]) -> Vec<u8> {
    let last = frame[20];
    let mut bytes = Vec::new();
    for (i, (_, length)) in headers.iter().enumerate() {
        bytes.push(headers.get(i + 1).map_or(last, |next| next.0));
        bytes.push(*length);
        bytes.resize(bytes.len() + 6 + 8 * usize::from(*length), 0);
    }
    frame[20] = headers.first().map_or(last, |first| first.0);
    frame.splice(54..54, bytes);
    frame
}

fn cut(mut frame: Vec<u8>, len: usize) -> Vec<u8> {
    frame.truncate(len);
    frame
}

fn version(mut frame: Vec<u8>, first: u8) -> Vec<u8> {
    frame[14] = first;
    frame
}

//------------ Fixtures --------------------------------------------------------------------------------------

/// Name, frame, and the counter that must go up by one.
type Fixture = (&'static str, Vec<u8>, &'static str);

fn rloc_side() -> Vec<Fixture> {
    let own = v4_udp(PORT_MAC, OWN4, 4341);
    let own6 = v6_udp(PORT_MAC, OWN6, 4341);
    vec![
        ("lisp v4", own.clone(), "socket_lisp"),
        ("lisp v6", own6.clone(), "socket_lisp"),
        ("lisp v4, df", fragment(own.clone(), 0x4000), "socket_lisp"),
        ("lisp v4 with options", with_options(own.clone(), 2), "socket_lisp"),
        ("lisp v4 with most options", with_options(own.clone(), 10), "socket_lisp"),
        ("lisp v4 in a vlan", tagged(own.clone(), 0x8100), "socket_lisp"),
        ("lisp v4 to the group mac", v4_udp(GROUP_MAC, OWN4, 4341), "socket_lisp"),
        ("lisp v6 behind hop-by-hop", extended(own6.clone(), &[(0, 0)]), "socket_lisp"),
        ("lisp v6 behind three", extended(own6.clone(), &[(0, 1), (43, 2), (60, 0)]), "socket_lisp"),
        ("lisp v6 behind six", extended(own6.clone(), &[(60, 0); 6]), "socket_lisp"),
        ("lisp v6 behind seven", extended(own6.clone(), &[(60, 0); 7]), "kernel_local"),
        ("lisp v6 behind a long one", extended(own6.clone(), &[(60, 100)]), "socket_lisp"),
        ("v6 extension cut off", cut(extended(own6.clone(), &[(60, 0)]), 55), "kernel_malformed"),
        ("v6 extension beyond the end", cut(extended(own6.clone(), &[(60, 9)]), 70), "kernel_malformed"),
        ("v6 fragment", extended(own6.clone(), &[(44, 0)]), "kernel_fragment"),
        ("v6 fragment behind hop-by-hop", extended(own6.clone(), &[(0, 0), (44, 0)]), "kernel_fragment"),
        ("first fragment", fragment(own.clone(), 0x2000), "kernel_fragment"),
        ("later fragment", fragment(own.clone(), 0x0001), "kernel_fragment"),
        ("lisp control v4", v4_udp(PORT_MAC, OWN4, 4342), "kernel_local"),
        ("lisp control v6", v6_udp(PORT_MAC, OWN6, 4342), "kernel_local"),
        ("ssh", v4_tcp(PORT_MAC, OWN4), "kernel_local"),
        ("ping6", v6_icmp(PORT_MAC, 128), "kernel_local"),
        ("neighbour solicitation", v6_icmp(PORT_MAC, 135), "kernel_local"),
        ("arp", arp([0xff; 6]), "kernel_not_ip"),
        ("lisp for another address", v4_udp(PORT_MAC, FAR4, 4341), "kernel_other_address"),
        ("lisp for another v6 address", v6_udp(PORT_MAC, FAR6, 4341), "kernel_other_address"),
        ("lisp for another mac", v4_udp(OTHER_MAC, OWN4, 4341), "kernel_other_mac"),
        ("broadcast", v4_udp([0xff; 6], OWN4, 4341), "kernel_multicast"),
        ("two tags", tagged(tagged(own.clone(), 0x8100), 0x8100), "kernel_tags"),
        ("802.1ad", tagged(own.clone(), 0x88a8), "kernel_tags"),
        ("802.1ad under 802.1q", tagged(tagged(own.clone(), 0x88a8), 0x8100), "kernel_tags"),
        ("tag cut off", cut(tagged(own.clone(), 0x8100), 16), "kernel_malformed"),
        ("ipv4 cut off", cut(own.clone(), 33), "kernel_malformed"),
        ("udp cut off", cut(own.clone(), 41), "kernel_malformed"),
        ("ipv6 cut off", cut(own6.clone(), 53), "kernel_malformed"),
        ("version 5", version(own.clone(), 0x55), "kernel_malformed"),
        ("header of 16 bytes", version(own, 0x44), "kernel_malformed"),
        ("version 4 as ipv6", version(own6, 0x40), "kernel_malformed"),
    ]
}

fn eid_side() -> Vec<Fixture> {
    let transit = v4_udp(PORT_MAC, FAR4, 53);
    vec![
        ("arp request", arp([0xff; 6]), "socket_neighbour"),
        ("arp reply", arp(PORT_MAC), "socket_neighbour"),
        ("arp in a vlan", tagged(arp([0xff; 6]), 0x8100), "socket_neighbour"),
        ("router solicitation", v6_icmp([0x33, 0x33, 0, 0, 0, 2], 133), "socket_neighbour"),
        ("neighbour solicitation", v6_icmp([0x33, 0x33, 0xff, 0, 0, 1], 135), "socket_neighbour"),
        ("redirect", v6_icmp(PORT_MAC, 137), "socket_neighbour"),
        ("echo request to us", v6_icmp(PORT_MAC, 128), "kernel_local"),
        ("mld report", v6_icmp([0x33, 0x33, 0, 0, 0, 0x16], 143), "kernel_multicast"),
        ("transit v4", transit.clone(), "socket_transit"),
        ("transit v4 to the group mac", v4_udp(GROUP_MAC, FAR4, 53), "socket_transit"),
        ("transit v4 in a vlan", tagged(transit.clone(), 0x8100), "socket_transit"),
        ("transit v4 fragment", fragment(transit.clone(), 0x2001), "socket_transit"),
        ("transit v4 tcp", v4_tcp(GROUP_MAC, FAR4), "socket_transit"),
        ("transit v6", v6_udp(GROUP_MAC, FAR6, 53), "socket_transit"),
        ("transit v6 extended", extended(v6_udp(GROUP_MAC, FAR6, 53), &[(0, 0), (44, 0)]), "socket_transit"),
        ("transit to 4341", v4_udp(PORT_MAC, FAR4, 4341), "socket_transit"),
        ("ssh to us", v4_tcp(PORT_MAC, OWN4), "kernel_local"),
        ("v6 to us", v6_udp(PORT_MAC, OWN6, 53), "kernel_local"),
        ("lisp to us from an agent", v4_udp(PORT_MAC, OWN4, 4341), "kernel_local"),
        ("for another mac", v4_udp(OTHER_MAC, FAR4, 53), "kernel_other_mac"),
        ("dhcp broadcast", v4_udp([0xff; 6], [255; 4], 67), "kernel_multicast"),
        ("lldp", cut(vec![0x88; 60], 60), "kernel_not_ip"),
        ("two tags", tagged(tagged(transit.clone(), 0x8100), 0x8100), "kernel_tags"),
        ("ipv4 cut off", cut(transit.clone(), 20), "kernel_malformed"),
        ("version 6 as ipv4", version(transit, 0x60), "kernel_malformed"),
    ]
}

fn both_sides() -> Vec<Fixture> {
    vec![
        ("lisp", v4_udp(PORT_MAC, OWN4, 4341), "socket_lisp"),
        ("tagged lisp", tagged(v6_udp(PORT_MAC, OWN6, 4341), 0x8100), "socket_lisp"),
        ("untagged arp", arp([0xff; 6]), "kernel_not_ip"),
        ("tagged arp", tagged(arp([0xff; 6]), 0x8100), "socket_neighbour"),
        ("untagged transit", v4_udp(PORT_MAC, FAR4, 53), "kernel_other_address"),
        ("tagged transit", tagged(v4_udp(GROUP_MAC, FAR4, 53), 0x8100), "socket_transit"),
        ("tagged transit v6", tagged(v6_udp(GROUP_MAC, FAR6, 53), 0x8100), "socket_transit"),
        ("tagged ssh to us", tagged(v4_tcp(PORT_MAC, OWN4), 0x8100), "kernel_local"),
        ("tagged neighbour solicitation", tagged(v6_icmp(PORT_MAC, 135), 0x8100), "socket_neighbour"),
        ("untagged neighbour solicitation", v6_icmp(PORT_MAC, 135), "kernel_local"),
    ]
}

//------------ Judge -----------------------------------------------------------------------------------------

fn load(side: Side) -> Steering {
    let steering = Steering::load(&[PortSpec { name: "lo".into(), side, queues: 1 }], None).unwrap();
    steering.add_local(Ipv4Addr::from(OWN4).into()).unwrap();
    steering.add_local(Ipv6Addr::from(OWN6).into()).unwrap();
    steering.add_mac(0, GROUP_MAC).unwrap();
    steering
}

/// Which counter went up, and by how much all of them did.
fn judge(steering: &Steering, frame: &[u8]) -> (Action, Vec<&'static str>) {
    let before = steering.verdict_counters();
    let action = steering.probe(0, frame).unwrap();
    let after = steering.verdict_counters();
    let mut raised = Vec::new();
    for ((name, before), (_, after)) in before.into_iter().zip(after) {
        raised.extend((before..after).map(|_| name));
    }
    (action, raised)
}

fn expected_action(verdict: &str) -> Action {
    match verdict.split_once('_').unwrap().0 {
        "socket" => Action::Socket,
        "kernel" => Action::Kernel,
        _ => Action::Drop,
    }
}

fn run(side: Side, fixtures: &[Fixture], miss_of: impl Fn(&str) -> &'static str) {
    // With a worker.
    let steering = load(side);
    let options = KernelOptions { promiscuous: false, ..KernelOptions::new("lo", 0) };
    let port = Port::open(&options).unwrap();
    steering.register(0, 0, port.wait_fd().unwrap()).unwrap();
    for (name, frame, verdict) in fixtures {
        let (action, raised) = judge(&steering, frame);
        assert_eq!((action, &raised[..]), (expected_action(verdict), &[*verdict][..]), "{side:?}: {name}");
    }
    // The worker is gone: what was its is dropped or the kernel's; the rest is as before.
    steering.unregister(0, 0).unwrap();
    drop(port);
    for (name, frame, verdict) in fixtures {
        let verdict = if verdict.starts_with("socket") { miss_of(verdict) } else { verdict };
        let (action, raised) = judge(&steering, frame);
        assert_eq!(
            (action, &raised[..]),
            (expected_action(verdict), &[verdict][..]),
            "{side:?}, no worker: {name}"
        );
    }
}

fn miss(verdict: &str) -> &'static str {
    if verdict == "socket_lisp" { "kernel_no_worker" } else { "drop_no_worker" }
}

#[test]
fn rloc_side_takes_lisp_data_and_nothing_else() {
    let Some(lab) = Lab::new(1) else { return };
    lab.inside(0, || run(Side::Rloc, &rloc_side(), miss));
}

#[test]
fn eid_side_takes_neighbours_and_transit() {
    let Some(lab) = Lab::new(1) else { return };
    lab.inside(0, || run(Side::Eid, &eid_side(), miss));
}

#[test]
fn one_port_may_carry_both_sides() {
    let Some(lab) = Lab::new(1) else { return };
    lab.inside(0, || run(Side::Both, &both_sides(), miss));
}

#[test]
fn addresses_come_and_go() {
    let Some(lab) = Lab::new(1) else { return };
    lab.inside(0, || {
        let steering = load(Side::Rloc);
        let lisp = v4_udp(PORT_MAC, OWN4, 4341);
        assert_eq!(judge(&steering, &lisp).1, ["kernel_no_worker"]);
        steering.remove_local(Ipv4Addr::from(OWN4).into()).unwrap();
        steering.remove_local(Ipv4Addr::from(OWN4).into()).unwrap();
        assert_eq!(judge(&steering, &lisp).1, ["kernel_other_address"]);
        let group = v6_udp(GROUP_MAC, OWN6, 4341);
        assert_eq!(judge(&steering, &group).1, ["kernel_no_worker"]);
        steering.remove_mac(0, GROUP_MAC).unwrap();
        assert_eq!(judge(&steering, &group).1, ["kernel_other_mac"]);
    });
}

#[test]
fn no_frame_escapes_the_counters() {
    let Some(lab) = Lab::new(1) else { return };
    lab.inside(0, || {
        // Every frame of every table, cut at every length the kernel accepts, meets exactly one verdict.
        for (side, fixtures) in
            [(Side::Eid, eid_side()), (Side::Rloc, rloc_side()), (Side::Both, both_sides())]
        {
            let steering = load(side);
            let mut sent = 0;
            for (_, frame, _) in fixtures {
                for len in 14..=frame.len().min(110) {
                    steering.probe(0, &frame[..len]).unwrap();
                    sent += 1;
                }
            }
            let counted: u64 = steering.verdict_counters().iter().map(|(_, n)| n).sum();
            assert_eq!(counted, sent, "{side:?}");
        }
    });
}

#[test]
fn full_tables_say_so() {
    let Some(lab) = Lab::new(1) else { return };
    lab.inside(0, || {
        let steering = load(Side::Rloc);
        let full = (0..2000_u32).find_map(|n| steering.add_local(Ipv4Addr::from(n).into()).err());
        assert!(full.unwrap().to_string().contains("is full (1024 entries)"));
    });
}

#[test]
fn icmp_number_of_the_fixtures_is_right() {
    // The hand-made offsets above rest on these two positions.
    assert_eq!(v6_icmp(PORT_MAC, 135)[20], IpNumber::IPV6_ICMP.0);
    assert_eq!(v6_icmp(PORT_MAC, 135)[54], 135);
}
