//! LISP headers and control messages that we emit, judged by Wireshark's dissector. `make deps` installs tshark.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod dissector;

mod judged {
    mod control;
}

use sterna_wire::lisp::data::{self, Instance, Tag};
use sterna_wire::{Iid, Protocol, icmpv4, lisp};

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

/// A ping in the packet that this header makes of it.
fn encapsulated(header: &data::Repr) -> Vec<u8> {
    let ping = icmpv4::Repr::EchoRequest { ident: 1, sequence: 7, data: b"sterna" };
    let mut message = vec![0xa5; ping.buffer_len()];
    ping.emit(&mut icmpv4::Packet::new_unchecked(&mut message[..]));
    let mut payload = vec![0xa5; 8];
    header.emit(&mut data::Packet::new_unchecked(&mut payload[..]));
    payload.extend(dissector::ip(Protocol::ICMPV4, [10, 1, 0, 7], [10, 2, 0, 9], &message));
    dissector::datagram((0xc123, lisp::DATA_PORT), &payload)
}

#[test]
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
    assert_eq!(dissector::dissect(&packets, &FIELDS), expected);
}
