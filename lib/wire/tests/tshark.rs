//! LISP headers that we emit, judged by Wireshark's dissector. It needs tshark:
//! `cargo test -p sterna-wire --test tshark -- --ignored`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use sterna_wire::lisp::data::{self, Instance, Tag};
use sterna_wire::{Dscp, Ecn, Iid, Protocol, icmpv4, ipv4, lisp, udp};

const FIELDS: [&str; 9] = [
    "lisp-data.flags.nonce",
    "lisp-data.flags.lsb",
    "lisp-data.flags.iid",
    "lisp-data.nonce",
    "lisp-data.srcmapver",
    "lisp-data.dstmapver",
    "lisp-data.iid",
    "icmp.seq",
    "_ws.malformed",
];

fn ip(protocol: Protocol, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xa5; 20];
    let repr = ipv4::Repr {
        source,
        destination,
        protocol,
        payload_len: payload.len() as u16,
        ttl: 64,
        dscp: Dscp::DEFAULT,
        ecn: Ecn::NOT_ECT,
        ident: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
    };
    repr.emit(&mut ipv4::Packet::new_unchecked(&mut bytes[..]));
    bytes.extend(payload);
    bytes
}

/// A ping in the packet that this header makes of it.
fn encapsulated(header: &data::Repr) -> Vec<u8> {
    let ping = icmpv4::Repr::EchoRequest { ident: 1, sequence: 7, data: b"sterna" };
    let mut message = vec![0xa5; ping.buffer_len()];
    ping.emit(&mut icmpv4::Packet::new_unchecked(&mut message[..]));
    let inner = ip(Protocol::ICMPV4, Ipv4Addr::new(10, 1, 0, 7), Ipv4Addr::new(10, 2, 0, 9), &message);
    let mut datagram = vec![0xa5; 16];
    datagram.extend(inner);
    let (from, to) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    header.emit(&mut data::Packet::new_unchecked(&mut datagram[8..16]));
    let repr = udp::Repr {
        source_port: 0xc123,
        destination_port: lisp::DATA_PORT,
        payload_len: (datagram.len() - 8) as u16,
    };
    let mut packet = udp::Packet::new_unchecked(&mut datagram[..]);
    repr.emit(&mut packet);
    packet.fill_checksum(from.into(), to.into());
    ip(Protocol::UDP, from, to, &datagram)
}

/// A capture file of packets that begin with their IP header.
fn capture(packets: &[Vec<u8>]) -> Vec<u8> {
    const RAW_IP: u32 = 101;
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, RAW_IP] {
        file.extend(u32::to_le_bytes(word));
    }
    for packet in packets {
        let len = packet.len() as u32;
        for word in [0, 0, len, len] {
            file.extend(u32::to_le_bytes(word));
        }
        file.extend(packet);
    }
    file
}

/// What tshark finds in each packet: the values of `FIELDS`.
fn dissect(packets: &[Vec<u8>]) -> Vec<Vec<String>> {
    let path = std::env::temp_dir().join(format!("sterna-wire-{}.pcap", std::process::id()));
    fs::write(&path, capture(packets)).unwrap();
    let mut tshark = Command::new("tshark");
    tshark.args(["-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]);
    tshark.arg("-r").arg(&path).args(["-T", "fields", "-E", "separator=|"]);
    for field in FIELDS {
        tshark.args(["-e", field]);
    }
    let out = tshark.output().unwrap();
    fs::remove_file(&path).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

#[test]
#[ignore = "needs tshark"]
fn every_kind_of_header() {
    let instance = data::Repr {
        instance: Instance::Id(Iid::new(0x0a_bcde).unwrap()),
        status: Some(3),
        ..data::Repr::default()
    };
    let nonce = data::Repr { tag: Tag::Nonce { nonce: 0x12_3456, echo: true }, ..data::Repr::default() };
    let versions =
        data::Repr { tag: Tag::Versions { source: 1, destination: 0xabc }, ..data::Repr::default() };
    let packets: Vec<_> =
        [data::Repr::default(), instance, nonce, versions].iter().map(encapsulated).collect();
    let expected = [
        ["0", "0", "0", "", "", "", "", "7", ""],
        ["0", "1", "1", "", "", "", "703710", "7", ""],
        ["1", "0", "0", "1193046", "", "", "", "7", ""],
        ["0", "0", "0", "", "1", "2748", "", "7", ""],
    ];
    assert_eq!(dissect(&packets), expected);
}
