//! Messages whose form is wrong, of whatever type, and types that nobody here acts upon.

use sterna_wire::lisp::control::{LispAddress, MapNotify, MapRegister, RequestRecord};

use crate::case::{Case, REPLY, to_server, to_xtr};
use crate::world::*;

/// Where the only record of a Map-Reply has its locator count, and its EID's family.
const REPLY_LOCATORS: usize = 12 + 4;
const REPLY_EID: usize = 12 + 10;
/// Where the first ITR-RLOC of a request of ours stands: behind the group's source EID.
const LCAF_LEN: usize = 6;

pub fn cases() -> Vec<Case> {
    [short(), types(), counts(), addresses(), capsules(), unwanted()].into_iter().flatten().collect()
}

/// A question for one EID, its bytes changed.
fn request_with(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = request(&["10.1.1.5/32"]).emit();
    change(&mut bytes);
    bytes
}

/// The answer to a question of ours, its bytes changed.
fn reply_with(world: &mut World, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let nonce = world.ask("10.1.2.9");
    let mut bytes = reply(nonce, vec![mapping("10.1.2.0/24", &[PEER])]).emit();
    change(&mut bytes);
    bytes
}

fn short() -> Vec<Case> {
    let cut = |len: usize| {
        to_xtr(1, "fewer than four bytes", move |_| request(&["10.1.1.5/32"]).emit()[..len].to_vec())
            .counts(&["dispatch.truncated"])
    };
    (0..4).map(cut).collect()
}

fn types() -> Vec<Case> {
    let typed = |kind: u8| {
        let bytes = move |_: &mut World| vec![kind << 4, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let to_both = [to_xtr(2, "a type that is not known", bytes), to_server(2, "the same", bytes)];
        to_both.map(|case| case.counts(&["dispatch.unknown_type"]))
    };
    let referral = |_: &mut World| vec![0x60, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    [0, 9, 10, 11, 12, 13, 14, 15]
        .into_iter()
        .flat_map(typed)
        .chain([
            to_xtr(36, "a Map-Referral", referral).counts(&["dispatch.unknown_type"]),
            to_server(36, "a Map-Referral", referral).counts(&["dispatch.unknown_type"]),
        ])
        .collect()
}

fn counts() -> Vec<Case> {
    let no_records = |_: &mut World| {
        request_with(|bytes| {
            bytes[3] = 0;
            bytes.truncate(bytes.len() - 20);
        })
    };
    vec![
        to_xtr(3, "a Map-Reply with fewer records than it counts", |world| {
            reply_with(world, |bytes| bytes[3] = 2)
        })
        .counts(&["dispatch.truncated"])
        .then("the question stays open", |world| world.still_asks("10.1.2.9")),
        to_server(3, "a Map-Register with fewer records than it counts", |_| {
            // Without an xTR-ID behind the records, which would be read as a record of an unknown family.
            let records = vec![mapping("10.1.2.9/32", &[PEER])];
            let mut bytes = MapRegister { xtr: None, ..register(8, records) }.signed(&key_b());
            bytes[3] = 3;
            bytes
        })
        .counts(&["dispatch.truncated"])
        .then("nothing is registered", |world| !world.registered("10.1.2.9/32")),
        to_xtr(3, "a Map-Notify with fewer records than it counts", |_| {
            let notify = MapNotify {
                nonce: 1,
                records: vec![mapping("10.1.2.0/24", &[PEER])],
                ..MapNotify::default()
            };
            let mut bytes = notify.signed(&key_a());
            bytes[3] = 2;
            bytes
        })
        .counts(&["dispatch.truncated"]),
        to_xtr(4, "more locators counted than there are", |world| {
            reply_with(world, |bytes| bytes[REPLY_LOCATORS] = 9)
        })
        .counts(&["dispatch.truncated"])
        .then("the question stays open", |world| world.still_asks("10.1.2.9")),
        to_server(4, "the same in a Map-Register", |_| {
            let mut bytes = register(8, vec![mapping("10.1.2.9/32", &[PEER])]).signed(&key_b());
            bytes[16 + 32 + 4] = 200;
            bytes
        })
        .counts(&["dispatch.truncated"]),
        to_xtr(12, "a Map-Request without a record", no_records).counts(&["dispatch.no_records"]),
        to_server(12, "the same through the mapping system", move |world| ecm(&no_records(world)))
            .counts(&["dispatch.no_records"]),
    ]
}

fn addresses() -> Vec<Case> {
    let nested = |depth: usize| {
        (0..depth).fold(LispAddress::from(ip("10.1.1.5")), |inner, _| LispAddress::List(vec![inner]))
    };
    let asking_for = |eid: LispAddress, mask_len: u8| {
        let mut asked = request(&[]);
        asked.records.push(RequestRecord { subscribe: false, mask_len, eid });
        asked.emit()
    };
    let list = |entries: usize| LispAddress::List(vec![LispAddress::None; entries]);
    let mut cases = vec![
        to_xtr(5, "an LCAF longer than what is left", |world| {
            reply_with(world, |bytes| bytes[REPLY_EID + LCAF_LEN + 1] = 250)
        })
        .counts(&["dispatch.bad_lcaf"])
        .then("the question stays open", |world| world.still_asks("10.1.2.9")),
        to_xtr(5, "an LCAF longer than its content", |world| {
            reply_with(world, |bytes| bytes[REPLY_EID + LCAF_LEN + 1] = 12)
        })
        .counts(&["dispatch.bad_lcaf"])
        .then("the question stays open", |world| world.still_asks("10.1.2.9")),
        to_xtr(5, "an LCAF shorter than its content", |world| {
            reply_with(world, |bytes| bytes[REPLY_EID + LCAF_LEN + 1] = 8)
        })
        .counts(&["dispatch.bad_lcaf"]),
        to_server(5, "an LCAF of a register that ends in its middle", |_| {
            let mut bytes = register(8, vec![mapping("10.1.2.9/32", &[PEER])]).signed(&key_b());
            bytes[16 + 32 + 10 + LCAF_LEN + 1] = 7;
            bytes
        })
        .counts(&["dispatch.bad_lcaf"]),
        to_xtr(6, "an address family whose length nobody knows", |world| {
            reply_with(world, |bytes| bytes[REPLY_EID..REPLY_EID + 2].copy_from_slice(&[0, 3]))
        })
        .counts(&["dispatch.unknown_afi"])
        .then("the question stays open", |world| world.still_asks("10.1.2.9")),
        to_xtr(10, "LCAFs five deep", move |_| asking_for(nested(5), 32)).counts(&["dispatch.too_deep"]),
        to_xtr(10, "a list of 65 addresses", move |_| asking_for(list(65), 0))
            .counts(&["dispatch.list_too_long"]),
        to_xtr(10, "a list of ten thousand addresses", move |_| asking_for(list(10_000), 0))
            .counts(&["dispatch.lcaf_too_long"]),
        to_server(10, "the same through the mapping system", move |_| ecm(&asking_for(list(10_000), 0)))
            .counts(&["dispatch.lcaf_too_long"]),
    ];
    for (eid, mask_len) in [(ip("10.1.1.5"), 33), (ip("fd00::1"), 129)] {
        let make = move |_: &mut World| asking_for(LispAddress::for_eid(iid(), eid), mask_len);
        cases.push(to_xtr(11, "a mask longer than its address", make).counts(&["dispatch.bad_mask_len"]));
        cases.push(
            to_server(11, "the same through the mapping system", move |world| ecm(&make(world)))
                .counts(&["dispatch.bad_mask_len"]),
        );
    }
    let short_id = |len: usize| {
        move |_: &mut World| {
            let mut asked = request(&["10.1.2.9/32"]);
            asked.xtr = Some(XTR_B);
            let bytes = asked.emit();
            ecm(&bytes[..bytes.len() - 24 + len])
        }
    };
    cases.extend([
        to_server(24, "a Map-Request whose xTR-ID is cut", short_id(15)).counts(&["dispatch.trailing_xtr"]),
        to_server(24, "a Map-Request with an xTR-ID of 16 bytes and no site-ID", short_id(16))
            .counts(&["server.requests", "server.replies"])
            .answers(&[(REPLY, PEER)]),
        to_server(24, "a Map-Register whose xTR-ID and site-ID are cut", |_| {
            let bytes = register(8, vec![mapping("10.1.2.9/32", &[PEER])]).signed(&key_b());
            bytes[..bytes.len() - 1].to_vec()
        })
        .counts(&["dispatch.trailing_xtr"])
        .then("nothing is registered", |world| !world.registered("10.1.2.9/32")),
    ]);
    cases
}

/// Where the inner IPv4 header and the inner UDP header of an ECM begin.
const INNER: usize = 4;
const INNER_UDP: usize = INNER + 20;

fn capsule_with(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = ecm(&request(&["10.1.2.9/32"]).emit());
    change(&mut bytes);
    bytes
}

/// Makes the checksum of the inner IPv4 header true again.
fn mend(bytes: &mut [u8]) {
    let header = &mut bytes[INNER..INNER_UDP];
    header[10..12].fill(0);
    let sum = sterna_wire::checksum::fold(sterna_wire::checksum::sum(header));
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn capsules() -> Vec<Case> {
    let inner_type = |kind: u8| {
        to_server(26, "a message that must not be encapsulated", move |_| {
            ecm(&[kind << 4, 0, 0, 1, 0, 0, 0, 0])
        })
        .counts(&["dispatch.ecm_inner_type"])
    };
    let mut cases: Vec<Case> = [2, 5, 6, 7, 8].map(inner_type).into();
    cases.extend([
        to_server(25, "an inner packet that is cut", |_| capsule_with(|bytes| bytes.truncate(INNER + 12)))
            .counts(&["dispatch.ecm_inner"]),
        to_server(25, "an inner packet of version 5", |_| capsule_with(|bytes| bytes[INNER] = 0x55))
            .counts(&["dispatch.ecm_inner"]),
        to_server(25, "an inner header with a wrong checksum", |_| {
            capsule_with(|bytes| bytes[INNER + 10] ^= 1)
        })
        .counts(&["dispatch.ecm_inner"]),
        to_server(25, "an inner packet that is not UDP", |_| {
            capsule_with(|bytes| {
                bytes[INNER + 9] = 6;
                mend(bytes);
            })
        })
        .counts(&["dispatch.ecm_not_udp"]),
        to_server(25, "an inner fragment", |_| {
            capsule_with(|bytes| {
                bytes[INNER + 6] = 0x20;
                mend(bytes);
            })
        })
        .counts(&["dispatch.ecm_fragment"]),
        to_server(25, "an inner datagram longer than its packet", |_| {
            capsule_with(|bytes| bytes[INNER_UDP + 4] = 0x7f)
        })
        .counts(&["dispatch.ecm_udp"]),
        to_server(25, "an inner datagram with a wrong checksum", |_| {
            capsule_with(|bytes| bytes[INNER_UDP + 6] ^= 1)
        })
        .counts(&["dispatch.ecm_udp"]),
        to_server(26, "an ECM in an ECM", |_| ecm(&ecm(&request(&["10.1.2.9/32"]).emit())))
            .counts(&["dispatch.ecm_inner_type"]),
        to_server(27, "authentication data that runs past the end", |_| {
            let mut bytes = vec![0x88, 0, 0, 0, 1, 0, 0, 0, 0x40, 0, 1, 1];
            bytes.extend([0; 64]);
            bytes
        })
        .counts(&["dispatch.ecm_security"]),
        to_server(27, "authentication data of a kind that is not known", |_| {
            let mut bytes = vec![0x88, 0, 0, 0, 9, 0, 0, 0, 0, 0, 1, 1, 0, 4, 0, 0];
            bytes.extend(&ecm(&request(&["10.1.2.9/32"]).emit())[4..]);
            bytes
        })
        .counts(&["dispatch.ecm_security"]),
    ]);
    cases
}

/// NAT traversal is not there: its messages are counted and never answered.
fn unwanted() -> Vec<Case> {
    let info = |first: u8| {
        move |_: &mut World| {
            let mut bytes = vec![first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 20];
            bytes.extend([0x5a; 20]);
            bytes.extend([0, 0, 5, 0xa0, 0, 24, 0, 1, 10, 9, 9, 0, 0, 0]);
            bytes
        }
    };
    [
        (0x70, "an Info-Request for an unknown EID with wrong authentication data"),
        (0x78, "an Info-Reply unasked"),
    ]
    .into_iter()
    .flat_map(|(first, what)| [to_xtr(37, what, info(first)), to_server(37, what, info(first))])
    .map(|case| case.counts(&["dispatch.info"]))
    .collect()
}
