//! Golden messages, made and judged by other implementations, and what must hold of every message.

use std::vec;
use std::vec::Vec;

use super::auth::{self, Algorithm, AuthError, Coverage, Key};
use super::*;
use crate::addr::Iid;

pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

const NONCE: u64 = 0x1122_3344_5566_7788;
const MAP_REQUEST: &str = "10000001112233445566778800010a0200050001c0000201002000010a010007";
const MAP_REPLY: &str = "200000011122334455667788000005a001101000000000010a0100000164ff0000050001c0000201";
/// Proxy reply and Map-Notify wanted; SHA-1.
pub(super) const REGISTER_SHA1: &str = "\
    38000101112233445566778800010014 807ef9294bd26c7beb45780a22ee5b205369a7ef\
    000005a001101000000000010a0100000164ff0000050001c0000201";
/// Key 1, SHA-256; proxy reply, identity, use of the TTL and Map-Notify wanted.
pub(super) const REGISTER_SHA256: &str = "\
    3a000901112233445566778801020020 d563353983b45d14036e51b1b8a81d600855a563b62c865a291a1c3c99ea536e\
    000005a001101000000000010a0100000164ff0000050001c0000201\
    000102030405060708090a0b0c0d0e0f 0000000000000099";
const NOTIFY_SHA1: &str = "\
    40000001112233445566778800010014 f674f9b960853cc5a1a1cc2caaf2884335db3b78\
    000005a001101000000000010a0100000164ff0000050001c0000201";
/// Attributes of an agent, 88 bytes.
const ACX: &str = "\
    40030000ff0000500002ac01016000000000000701000004000000001000000801000000000013881100000a0000000101046831303000\
    0012000004010000001300000400faffff1400000403010000150000040000003c";
/// Its authentication data in `REGISTER_SHA1`'s place.
const REGISTER_ACX_MAC: &str = "6c9183a498a657bc36a128a32e304c7b9b2db545";
/// Constraints of a request, 60 bytes.
const ACX_REQUEST: &str = "\
    40030000ff0000340002ac01014000000000000041800005000000010000000044800004020000004008000801000000000000004600000401\
    000000";

fn record() -> EidRecord {
    let locator = LocatorRecord { local: true, ..LocatorRecord::unicast([192, 0, 2, 1].into(), 1, 100) };
    EidRecord {
        authoritative: true,
        locators: vec![locator],
        ..EidRecord::of(Iid::DEFAULT, "10.1.0.0/16".parse().unwrap())
    }
}

fn request() -> MapRequest {
    MapRequest {
        nonce: NONCE,
        source_eid: LispAddress::Ip([10, 2, 0, 5].into()),
        itr_rlocs: vec![LispAddress::Ip([192, 0, 2, 1].into())],
        records: vec![RequestRecord::of(Iid::DEFAULT, "10.1.0.7".parse().unwrap())],
        ..MapRequest::default()
    }
}

fn register() -> MapRegister {
    MapRegister {
        proxy_reply: true,
        want_notify: true,
        nonce: NONCE,
        algorithm: 1,
        records: vec![record()],
        records_end: 64,
        ..MapRegister::default()
    }
}

fn sha1() -> Key {
    Key::new(0, Algorithm::HmacSha1_96, b"secret")
}

fn sha256() -> Key {
    Key::new(1, Algorithm::HmacSha256_128, b"secret")
}

#[test]
fn golden_map_request() {
    assert_eq!(parse(&bytes(MAP_REQUEST)), Ok(Message::MapRequest(request())));
    assert_eq!(request().emit(), bytes(MAP_REQUEST));
    let tail = bytes(ACX_REQUEST);
    assert_eq!(tail.len(), 60);
    let asking = MapRequest { tail: tail.clone(), ..request() };
    let whole = [bytes(MAP_REQUEST), tail].concat();
    assert_eq!(MapRequest::parse(&whole), Ok(asking.clone()));
    assert_eq!(asking.emit(), whole);
}

#[test]
fn golden_map_reply() {
    let reply = MapReply { nonce: NONCE, records: vec![record()], ..MapReply::default() };
    assert_eq!(parse(&bytes(MAP_REPLY)), Ok(Message::MapReply(reply.clone())));
    assert_eq!(reply.emit(), bytes(MAP_REPLY));
}

#[test]
fn golden_register_with_sha1() {
    let golden = bytes(REGISTER_SHA1);
    assert_eq!(parse(&golden), Ok(Message::MapRegister(register())));
    assert_eq!(auth::verify(&golden, 64, &sha1()), Ok(Coverage::Whole));
    assert_eq!(register().signed(&sha1()), golden);
    let mut emitted = register().emit();
    assert_eq!(emitted[16..36], [0; 20], "not yet signed");
    assert_eq!(auth::verify(&emitted, 64, &sha1()), Err(AuthError::Mismatch));
    auth::sign(&mut emitted, &sha1());
    assert_eq!(emitted, golden);
}

#[test]
fn golden_register_with_sha256() {
    let golden = bytes(REGISTER_SHA256);
    let expected = MapRegister {
        use_ttl: true,
        key_id: 1,
        algorithm: 2,
        xtr: Some(XtrId { xtr_id: core::array::from_fn(|index| index as u8), site_id: 0x99 }),
        records_end: 76,
        ..register()
    };
    assert_eq!(parse(&golden), Ok(Message::MapRegister(expected.clone())));
    assert_eq!(auth::verify(&golden, 76, &sha256()), Ok(Coverage::Whole));
    assert_eq!(expected.signed(&sha256()), golden);
}

#[test]
fn golden_notify() {
    let golden = bytes(NOTIFY_SHA1);
    let expected = MapNotify {
        nonce: NONCE,
        algorithm: 1,
        records: vec![record()],
        records_end: 64,
        ..MapNotify::default()
    };
    assert_eq!(parse(&golden), Ok(Message::MapNotify(expected.clone())));
    assert_eq!(auth::verify(&golden, 64, &sha1()), Ok(Coverage::Whole));
    assert_eq!(expected.signed(&sha1()), golden);
}

#[test]
fn golden_register_with_attributes() {
    let tail = bytes(ACX);
    assert_eq!(tail.len(), 88);
    let mut golden = [bytes(REGISTER_SHA1), tail.clone()].concat();
    golden[16..36].copy_from_slice(&bytes(REGISTER_ACX_MAC));
    let expected = MapRegister { tail, ..register() };
    assert_eq!(parse(&golden), Ok(Message::MapRegister(expected.clone())));
    assert_eq!(auth::verify(&golden, 64, &sha1()), Ok(Coverage::Whole));
    assert_eq!(expected.signed(&sha1()), golden);
}

#[test]
fn attributes_behind_a_message_authenticated_without_them() {
    let message = [bytes(REGISTER_SHA1), bytes(ACX)].concat();
    assert_eq!(auth::verify(&message, 64, &sha1()), Ok(Coverage::RecordsOnly));
}

/// A bit of the first word, and what sets it.
type Flag<M> = (u32, fn(&mut M));

/// All flags that a type knows, one by one: each shows in the value, and in its bit only.
#[test]
fn flags_of_a_map_request() {
    let cases: [Flag<MapRequest>; 9] = [
        (0x0800_0000, |m| m.authoritative = true),
        (0x0400_0000, |m| m.map_reply = Some(record())),
        (0x0200_0000, |m| m.probe = true),
        (0x0100_0000, |m| m.smr = true),
        (0x0080_0000, |m| m.pitr = true),
        (0x0040_0000, |m| m.smr_invoked = true),
        (0x0010_0000, |m| m.xtr = Some(XtrId { xtr_id: [7; 16], site_id: 8 })),
        (0x0000_4000, |m| m.local_xtr = true),
        (0x0000_2000, |m| m.no_reply = true),
    ];
    for (mask, set) in cases {
        let mut expected = request();
        set(&mut expected);
        let emitted = expected.emit();
        assert_eq!(emitted[..4], (0x1000_0001 | mask).to_be_bytes(), "{mask:08x}");
        assert_eq!(MapRequest::parse(&emitted), Ok(expected), "{mask:08x}");
    }
}

#[test]
fn flags_of_a_map_reply() {
    let cases: [Flag<MapReply>; 3] = [
        (0x0800_0000, |m| m.probe = true),
        (0x0400_0000, |m| m.echo_nonce = true),
        (0x0200_0000, |m| m.security = true),
    ];
    for (mask, set) in cases {
        let mut expected = MapReply { nonce: NONCE, records: vec![record()], ..MapReply::default() };
        set(&mut expected);
        let emitted = expected.emit();
        assert_eq!(emitted[..4], (0x2000_0001 | mask).to_be_bytes(), "{mask:08x}");
        assert_eq!(MapReply::parse(&emitted), Ok(expected), "{mask:08x}");
    }
}

#[test]
fn flags_of_a_map_register() {
    let cases: [Flag<MapRegister>; 7] = [
        (0x0800_0000, |m| m.proxy_reply = true),
        (0x0400_0000, |m| m.security = true),
        (0x0200_0000, |m| m.xtr = Some(XtrId { xtr_id: [7; 16], site_id: 8 })),
        (0x0000_1000, |m| m.eid_notify = true),
        (0x0000_0800, |m| m.use_ttl = true),
        (0x0000_0400, |m| m.merge = true),
        (0x0000_0100, |m| m.want_notify = true),
    ];
    for (mask, set) in cases {
        let mut expected = MapRegister { proxy_reply: false, want_notify: false, ..register() };
        set(&mut expected);
        let emitted = expected.emit();
        assert_eq!(emitted[..4], (0x3000_0001 | mask).to_be_bytes(), "{mask:08x}");
        assert_eq!(MapRegister::parse(&emitted), Ok(expected), "{mask:08x}");
    }
}

#[test]
fn a_map_notify_ack_and_its_identity() {
    let xtr = Some(XtrId { xtr_id: [7; 16], site_id: 8 });
    let ack = MapNotify { ack: true, nonce: NONCE, key_id: 3, xtr, records_end: 16, ..MapNotify::default() };
    let emitted = ack.emit();
    assert_eq!(emitted[..4], [0x58, 0, 0, 0]);
    assert_eq!(emitted.len(), 16 + 24);
    assert_eq!(parse(&emitted), Ok(Message::MapNotify(ack)));
}

#[test]
fn subscriptions_and_their_end() {
    let xtr = Some(XtrId { xtr_id: [7; 16], site_id: 8 });
    let mut subscription = MapRequest { xtr, ..request() };
    subscription.records[0].subscribe = true;
    let emitted = subscription.emit();
    assert_eq!(emitted[24], 0x80, "the N bit");
    assert_eq!(MapRequest::parse(&emitted), Ok(subscription.clone()));
    subscription.itr_rlocs = vec![LispAddress::None];
    let emitted = subscription.emit();
    assert_eq!(MapRequest::parse(&emitted), Ok(subscription.clone()));
    subscription.itr_rlocs.clear();
    assert_eq!(subscription.emit(), emitted, "the count cannot be zero");
}

#[test]
fn an_identity_without_its_site() {
    let identified = MapRequest { xtr: Some(XtrId { xtr_id: [7; 16], site_id: 0 }), ..request() };
    let mut emitted = identified.emit();
    emitted.truncate(emitted.len() - 8);
    assert_eq!(MapRequest::parse(&emitted), Ok(identified), "16 bytes will do in a request");
    emitted.push(0);
    assert_eq!(MapRequest::parse(&emitted), Err(ControlError::TrailingXtr));
}

#[test]
fn reserved_bits_are_ignored_and_never_sent() {
    let noisy = |golden: &str, mask: u32| {
        let mut message = bytes(golden);
        let word = u32::from_be_bytes([message[0], message[1], message[2], message[3]]) | mask;
        message[..4].copy_from_slice(&word.to_be_bytes());
        message
    };
    assert_eq!(MapRequest::parse(&noisy(MAP_REQUEST, 0x002f_8000)), Ok(request()));
    let message = noisy(MAP_REPLY, 0x01ff_ff00);
    assert_eq!(MapReply::parse(&message).map(|reply| reply.emit()), Ok(bytes(MAP_REPLY)));
    assert_eq!(MapRegister::parse(&noisy(REGISTER_SHA1, 0x01ff_e200)), Ok(register()));
    let mut message = noisy(NOTIFY_SHA1, 0x07ff_ff00);
    // Reserved bits of the record, of its map-version, of the locator and of the requested record.
    let record = 36;
    message[record + 6] |= 0x0f;
    message[record + 7] = 0xff;
    message[record + 8] |= 0xf0;
    message[record + 20] |= 0xff;
    message[record + 21] |= 0xf8;
    let parsed = MapNotify::parse(&message).unwrap();
    assert_eq!(parsed.records, [self::record()]);
    assert_eq!(parsed.signed(&sha1()), bytes(NOTIFY_SHA1));
    let mut message = bytes(MAP_REQUEST);
    message[24] = 0x7f;
    assert_eq!(MapRequest::parse(&message), Ok(request()));
}

#[test]
fn every_cut_is_noticed() {
    for golden in [MAP_REQUEST, MAP_REPLY, REGISTER_SHA1, REGISTER_SHA256, NOTIFY_SHA1] {
        let whole = bytes(golden);
        for len in 0..whole.len() {
            assert!(parse(&whole[..len]).is_err(), "{golden} cut to {len}");
        }
    }
}

#[test]
fn a_long_tail_is_not_kept() {
    for (len, kept) in [(MAX_TAIL, MAX_TAIL), (MAX_TAIL + 1, 0)] {
        let message = [bytes(MAP_REQUEST), vec![7; len]].concat();
        assert_eq!(MapRequest::parse(&message).unwrap().tail.len(), kept);
    }
}

#[test]
fn counts_end_where_they_must() {
    let many = MapReply {
        records: vec![EidRecord::of(Iid::DEFAULT, "::/0".parse().unwrap()); 300],
        ..MapReply::default()
    };
    assert_eq!(MapReply::parse(&many.emit()).unwrap().records.len(), 255);
    let mut one = record();
    one.locators = vec![one.locators[0].clone(); 300];
    let reply = MapReply { records: vec![one], ..MapReply::default() };
    assert_eq!(MapReply::parse(&reply.emit()).unwrap().records[0].locators.len(), 255);
    let rlocs = MapRequest { itr_rlocs: vec![LispAddress::None; 40], ..request() };
    assert_eq!(MapRequest::parse(&rlocs.emit()).unwrap().itr_rlocs.len(), 32);
}

#[test]
fn a_message_that_would_cost_too_much() {
    let locators = vec![LocatorRecord::unicast([192, 0, 2, 1].into(), 1, 100); 255];
    let greedy = |records: usize| {
        let record = EidRecord { locators: locators.clone(), ..record() };
        MapReply { records: vec![record; records], ..MapReply::default() }.emit()
    };
    assert!(MapReply::parse(&greedy(2)).is_ok());
    assert_eq!(MapReply::parse(&greedy(10)), Err(ControlError::TooLarge));
    // Each of these is small, and a box in a box in a box in a box.
    let boxes = (0..4).fold(LispAddress::None, |address, _| LispAddress::Instance {
        iid: 1,
        mask_len: 32,
        address: address.into(),
    });
    let locator = LocatorRecord { address: boxes, ..locators[0].clone() };
    let boxed = EidRecord { locators: vec![locator; 250], ..record() };
    let reply = |records: usize| MapReply { records: vec![boxed.clone(); records], ..MapReply::default() };
    assert_eq!(MapReply::parse(&reply(1).emit()), Ok(reply(1)));
    assert_eq!(MapReply::parse(&reply(2).emit()), Err(ControlError::TooLarge));
}

#[test]
fn prefixes_of_records() {
    let of = |eid: LispAddress, mask_len: u8| EidRecord { eid, mask_len, ..record() }.prefix();
    let ten = LispAddress::Ip([10, 1, 2, 3].into());
    let inside = |iid: u32| LispAddress::Instance { iid, mask_len: 0, address: ten.clone().into() };
    assert_eq!(of(ten.clone(), 8), Some((Iid::DEFAULT, "10.0.0.0/8".parse().unwrap())), "host bits cleared");
    assert_eq!(of(inside(7), 32), Some((Iid::new(7).unwrap(), "10.1.2.3".parse().unwrap())));
    assert_eq!(of(ten.clone(), 33), None);
    assert_eq!(of(inside(0x00ff_ffff), 32), None, "no group has this number");
    assert_eq!(of(inside(0x0100_0007), 32), None);
    assert_eq!(of(LispAddress::None, 0), None);
    let six = EidRecord::of(Iid::new(9).unwrap(), "fd00::/64".parse().unwrap());
    assert_eq!(six.prefix(), Some((Iid::new(9).unwrap(), "fd00::/64".parse().unwrap())));
    let asked = RequestRecord::of(Iid::new(9).unwrap(), "fd00::/64".parse().unwrap());
    assert_eq!(asked.prefix(), six.prefix());
}

#[test]
fn actions() {
    for (bits, expected) in [
        (0, Act::NoAction),
        (1, Act::NativelyForward),
        (2, Act::SendMapRequest),
        (3, Act::Drop),
        (4, Act::DropPolicyDenied),
        (5, Act::DropAuthFailure),
        (6, Act::Drop),
        (7, Act::Drop),
    ] {
        let mut message = bytes(MAP_REPLY);
        message[18] = bits << 5 | 0x10;
        let reply = MapReply::parse(&message).unwrap();
        assert_eq!((reply.records[0].act, reply.records[0].authoritative), (expected, true));
        assert_eq!(reply.emit()[18] >> 5, expected as u8);
    }
}

#[test]
fn versions_have_twelve_bits() {
    let mut reply =
        MapReply { records: vec![EidRecord { map_version: 0xfabc, ..record() }], ..MapReply::default() };
    let parsed = MapReply::parse(&reply.emit()).unwrap();
    reply.records[0].map_version = 0xabc;
    assert_eq!(parsed, reply);
}

#[test]
fn types_without_a_role() {
    for kind in [0u8, 6, 9, 10, 11, 12, 13, 14, 15] {
        let message = [kind << 4, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(parse(&message), Err(ControlError::UnknownType(kind)));
    }
    assert_eq!(MapReply::parse(&bytes(MAP_REQUEST)), Err(ControlError::UnknownType(1)));
    for len in 0..4 {
        assert_eq!(parse(&bytes(MAP_REQUEST)[..len]), Err(ControlError::Truncated));
    }
}

#[test]
fn info_messages() {
    let mut request = bytes("70000000 1122334455667788 0001 0014");
    request.extend([0; 20]);
    request.extend(bytes("000005a0 00 18 0001 0a010000 0000"));
    let expected = Info {
        reply: false,
        nonce: NONCE,
        key_id: 0,
        algorithm: 1,
        ttl: 1440,
        mask_len: 24,
        eid: LispAddress::Ip([10, 1, 0, 0].into()),
        nat: LispAddress::None,
        tail: vec![],
    };
    assert_eq!(parse(&request), Ok(Message::Info(expected.clone())));
    // Ports 4342 and 61000, addresses 203.0.113.5 and 192.0.2.10, no private one, no RTR.
    let nat = bytes("40030000 07000012 10f6ee48 0001cb007105 0001c000020a 0000");
    let mut reply = request.clone();
    reply[0] = 0x78;
    reply.truncate(reply.len() - 2);
    reply.extend(&nat);
    let expected = Info { reply: true, nat: LispAddress::Opaque(nat), ..expected };
    assert_eq!(parse(&reply), Ok(Message::Info(expected)));
}
