//! Wireshark's dissector as a judge, by its command line `tshark`.

#![allow(dead_code, reason = "each test file uses a part")]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use sterna_wire::{Dscp, Ecn, Protocol, ipv4, udp};

/// A packet from 192.0.2.1 to 192.0.2.2 with this datagram in it; `ports` are source and destination.
pub fn datagram(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let (from, to) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let mut bytes = vec![0xa5; 8];
    bytes.extend(payload);
    let repr =
        udp::Repr { source_port: ports.0, destination_port: ports.1, payload_len: payload.len() as u16 };
    let mut packet = udp::Packet::new_unchecked(&mut bytes[..]);
    repr.emit(&mut packet);
    packet.fill_checksum(from.into(), to.into());
    ip(Protocol::UDP, from, to, &bytes)
}

/// An IPv4 packet.
pub fn ip(protocol: Protocol, source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xa5; 20];
    let repr = ipv4::Repr {
        source: source.into(),
        destination: destination.into(),
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

/// What tshark finds in each packet: the values of the fields, and those of one field separated by commas.
pub fn dissect(packets: &[Vec<u8>], fields: &[&str]) -> Vec<Vec<String>> {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("sterna-wire-{}-{run}.pcap", process::id()));
    fs::write(&path, capture(packets)).unwrap();
    let text = tshark(&path, &["-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"], fields);
    fs::remove_file(&path).unwrap();
    text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

/// What tshark prints of a capture file, one line a packet.
pub fn tshark(path: &Path, options: &[&str], fields: &[&str]) -> String {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(path).args(options).args(["-T", "fields", "-E", "separator=|"]);
    for field in fields {
        tshark.args(["-e", field]);
    }
    let out = tshark.output().unwrap_or_else(|error| panic!("tshark, which `make deps` installs: {error}"));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}
