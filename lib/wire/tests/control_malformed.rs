//! Malformed and hostile control messages, one line each: what is refused, and why; what is read in spite of it.
//! What the roles refuse (nonces, keys, prefixes of others) is not here, but with the roles.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use sterna_wire::Iid;
use sterna_wire::lisp::control::auth::{self, Algorithm, AuthError, Coverage, Key};
use sterna_wire::lisp::control::{
    self, ControlError, EidRecord, LispAddress, LocatorRecord, MapNotify, MapRegister, MapReply, MapRequest,
    Message, RequestRecord, XtrId,
};

fn rloc() -> LispAddress {
    LispAddress::Ip([192, 0, 2, 1].into())
}

/// An LCAF of a type nobody has assigned.
fn unknown_lcaf() -> LispAddress {
    LispAddress::Opaque(vec![0x40, 3, 0, 0, 200, 0, 0, 3, 1, 2, 3])
}

fn record() -> EidRecord {
    let locators = vec![LocatorRecord::unicast([192, 0, 2, 1].into(), 1, 100)];
    EidRecord { locators, ..EidRecord::of(Iid::DEFAULT, "10.1.0.0/16".parse().unwrap()) }
}

fn asked() -> RequestRecord {
    RequestRecord::of(Iid::DEFAULT, "10.1.0.7".parse().unwrap())
}

fn request() -> MapRequest {
    MapRequest { nonce: 7, itr_rlocs: vec![rloc()], records: vec![asked()], ..MapRequest::default() }
}

fn reply() -> MapReply {
    MapReply { nonce: 7, records: vec![record()], ..MapReply::default() }
}

fn key() -> Key {
    Key::new(1, Algorithm::HmacSha256_128, b"secret")
}

fn register() -> MapRegister {
    MapRegister { nonce: 7, records: vec![record()], ..MapRegister::default() }
}

fn notify() -> MapNotify {
    MapNotify { nonce: 7, records: vec![record()], ..MapNotify::default() }
}

/// The bytes with one changed.
fn with(mut bytes: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    bytes[at] = value;
    bytes
}

/// The bytes without the last few.
fn cut(mut bytes: Vec<u8>, count: usize) -> Vec<u8> {
    bytes.truncate(bytes.len() - count);
    bytes
}

fn with_eid(eid: LispAddress) -> Vec<u8> {
    MapReply { records: vec![EidRecord { eid, ..record() }], ..reply() }.emit()
}

fn in_ecm(message: &[u8]) -> Vec<u8> {
    let ends: [SocketAddr; 2] = ["10.2.0.5:4342".parse().unwrap(), "10.1.0.7:4342".parse().unwrap()];
    control::encapsulate(ends[0], ends[1], message)
}

/// An ECM with bytes of its inner IPv4 header changed, and that header's checksum made right again.
fn with_inner(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = in_ecm(&request().emit());
    for (at, value) in changes {
        bytes[4 + at] = *value;
    }
    bytes[14..16].fill(0);
    let sum = sterna_wire::checksum::fold(sterna_wire::checksum::sum(&bytes[4..24]));
    bytes[14..16].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// LCAFs of type 2 in each other.
fn nested(depth: usize) -> LispAddress {
    (0..depth).fold(rloc(), |address, _| LispAddress::Instance {
        iid: 1,
        mask_len: 32,
        address: Box::new(address),
    })
}

/// Row of the table in section 7 of the protocol reference, what comes, and what it is refused for.
fn refused() -> Vec<(u8, &'static str, Vec<u8>, ControlError)> {
    let (request_bytes, reply_bytes) = (request().emit(), reply().emit());
    let register_bytes = register().signed(&key());
    let xtr = Some(XtrId { xtr_id: [7; 16], site_id: 1 });
    let instance = LispAddress::for_eid(Iid::new(7).unwrap(), [10, 1, 0, 7].into());
    let rows = [
        (1, "nothing at all", vec![], ControlError::Truncated),
        (1, "three bytes", request_bytes[..3].to_vec(), ControlError::Truncated),
        (2, "type 0", with(request_bytes.clone(), 0, 0x00), ControlError::UnknownType(0)),
        (2, "type 6", with(reply_bytes.clone(), 0, 0x60), ControlError::UnknownType(6)),
        (2, "type 9", with(request_bytes.clone(), 0, 0x90), ControlError::UnknownType(9)),
        (2, "type 15", with(request_bytes.clone(), 0, 0xf0), ControlError::UnknownType(15)),
        (3, "a reply of two records with one", with(reply_bytes.clone(), 3, 2), ControlError::Truncated),
        (
            3,
            "a register of 255 records with one",
            with(register_bytes.clone(), 3, 255),
            ControlError::Truncated,
        ),
        (3, "a request of two records with one", with(request_bytes.clone(), 3, 2), ControlError::Truncated),
        (4, "two locators, one there", with(reply_bytes.clone(), 16, 2), ControlError::Truncated),
        (4, "255 locators, one there", with(reply_bytes.clone(), 16, 255), ControlError::Truncated),
        (5, "an LCAF beyond the end", cut(with(with_eid(unknown_lcaf()), 29, 200), 0), ControlError::BadLcaf),
        (
            5,
            "an instance with a byte too many",
            with(with_eid(instance.clone()), 29, 11),
            ControlError::BadLcaf,
        ),
        (5, "an instance with a byte too few", with(with_eid(instance), 29, 9), ControlError::BadLcaf),
        (6, "family 3 as an EID", with(reply_bytes.clone(), 23, 3), ControlError::UnknownAfi),
        (6, "family 3 as a locator", with(reply_bytes.clone(), 35, 3), ControlError::UnknownAfi),
        (6, "family 3 as an ITR-RLOC", with(request_bytes.clone(), 15, 3), ControlError::UnknownAfi),
        (10, "five LCAFs in each other", with_eid(nested(5)), ControlError::TooDeep),
        (
            10,
            "a list of 65 entries",
            with_eid(LispAddress::List(vec![LispAddress::None; 65])),
            ControlError::ListTooLong,
        ),
        (
            10,
            "a list of ten thousand entries",
            with_eid(LispAddress::List(vec![LispAddress::None; 10_000])),
            ControlError::LcafTooLong,
        ),
        (11, "a request for 10.1.0.7/33", with(request_bytes.clone(), 21, 33), ControlError::BadMaskLen),
        (12, "a request for nothing", with(request_bytes.clone(), 3, 0), ControlError::NoRecords),
        (14, "a probe of two", requested(true, false), ControlError::BadRecordCount),
        (14, "an SMR of two", requested(false, true), ControlError::BadRecordCount),
        (20, "SHA-256 of 31 bytes", with(register_bytes.clone(), 15, 31), ControlError::AuthLength),
        (20, "SHA-1 of 32 bytes", with(register_bytes.clone(), 13, 1), ControlError::AuthLength),
        (20, "no algorithm, 32 bytes", with(register_bytes.clone(), 13, 0), ControlError::AuthLength),
        (20, "data beyond the end", register_bytes[..40].to_vec(), ControlError::AuthLength),
        (
            20,
            "unknown algorithm, data beyond the end",
            with(with(register_bytes.clone(), 13, 9), 14, 0xff),
            ControlError::AuthLength,
        ),
        (
            24,
            "a register with 23 bytes",
            cut(MapRegister { xtr, ..register() }.emit(), 1),
            ControlError::TrailingXtr,
        ),
        (
            24,
            "a register with 16 bytes",
            cut(MapRegister { xtr, ..register() }.emit(), 8),
            ControlError::TrailingXtr,
        ),
        (24, "a notify with none", with(notify().emit(), 0, 0x48), ControlError::TrailingXtr),
        (
            24,
            "a request with 15 bytes",
            cut(MapRequest { xtr, ..request() }.emit(), 9),
            ControlError::TrailingXtr,
        ),
        (25, "an ECM with nothing in it", vec![0x80, 0, 0, 0], ControlError::EcmInner),
        (25, "an inner packet cut short", cut(in_ecm(&request_bytes), 1), ControlError::EcmInner),
        (25, "inner version 5", with_inner(&[(0, 0x55)]), ControlError::EcmInner),
        (25, "inner TCP", with_inner(&[(9, 6)]), ControlError::EcmNotUdp),
        (25, "inner UDP longer than the packet", with_inner(&[(25, 0xff)]), ControlError::EcmUdp),
        (25, "a wrong inner UDP checksum", with_inner(&[(27, 0xee)]), ControlError::EcmUdp),
        (25, "a wrong inner header checksum", with(in_ecm(&request_bytes), 12, 1), ControlError::EcmInner),
        (25, "an inner first fragment", with_inner(&[(6, 0x20)]), ControlError::EcmFragment),
        (25, "an inner later fragment", with_inner(&[(6, 0), (7, 9)]), ControlError::EcmFragment),
        (26, "an ECM in an ECM", in_ecm(&in_ecm(&request_bytes)), ControlError::EcmInnerType),
        (26, "a reply in an ECM", in_ecm(&reply_bytes), ControlError::EcmInnerType),
        (26, "type 6 in an ECM", in_ecm(&with(reply_bytes, 0, 0x60)), ControlError::EcmInnerType),
        (26, "type 7 in an ECM", in_ecm(&with(request_bytes.clone(), 0, 0x70)), ControlError::EcmInnerType),
        (27, "security data beyond the end", secured(0xff), ControlError::EcmSecurity),
        (
            37,
            "an Info-Request cut short",
            with(register_bytes[..52].to_vec(), 0, 0x70),
            ControlError::Truncated,
        ),
    ];
    rows.to_vec()
}

/// A probe or SMR with two records.
fn requested(probe: bool, smr: bool) -> Vec<u8> {
    MapRequest { probe, smr, records: vec![asked(), asked()], ..request() }.emit()
}

/// An ECM with LISP-SEC data whose one-time key has this length.
fn secured(key_len: u8) -> Vec<u8> {
    let mut bytes = vec![0x88, 0, 0, 0, 1, 0, 0, 2, 0, key_len, 1, 1];
    bytes.extend([0x5a; 24]);
    bytes.extend([0, 4, 0, 1]);
    bytes.extend(&in_ecm(&request().emit())[4..]);
    bytes
}

#[test]
fn each_row_is_refused_for_its_reason() {
    for (row, what, bytes, reason) in refused() {
        assert_eq!(control::parse(&bytes), Err(reason), "row {row}: {what}");
    }
    // What they were made from is accepted, so the change is the reason.
    for good in [request().emit(), reply().emit(), register().signed(&key()), notify().emit(), secured(24)] {
        assert!(control::parse(&good).is_ok());
    }
}

fn read_reply(reply: &MapReply) -> MapReply {
    let Ok(Message::MapReply(read)) = control::parse(&reply.emit()) else {
        panic!("{reply:?} is not refused");
    };
    read
}

#[test]
fn row_7_an_unknown_locator_leaves_the_others() {
    let mut record = record();
    record.locators.insert(0, LocatorRecord { address: unknown_lcaf(), ..record.locators[0].clone() });
    let read = read_reply(&MapReply { records: vec![record], ..reply() });
    let usable: Vec<_> =
        read.records[0].locators.iter().filter_map(|locator| locator.address.rloc()).collect();
    assert_eq!(usable, ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]);
}

#[test]
fn row_8_an_unknown_eid_has_no_prefix() {
    let strange = RequestRecord { subscribe: false, mask_len: 0, eid: unknown_lcaf() };
    let read = MapRequest::parse(&MapRequest { records: vec![strange], ..request() }.emit()).unwrap();
    assert_eq!(read.records[0].prefix(), None);
    assert_eq!(read.itr_rlocs[0].rloc(), Some([192, 0, 2, 1].into()), "where a negative answer may go");
}

#[test]
fn row_9_an_unknown_itr_rloc_leaves_the_others() {
    let read = MapRequest::parse(&MapRequest { itr_rlocs: vec![unknown_lcaf(), rloc()], ..request() }.emit());
    let rlocs: Vec<_> = read.unwrap().itr_rlocs.iter().map(LispAddress::rloc).collect();
    assert_eq!(rlocs, [None, Some([192, 0, 2, 1].into())]);
}

#[test]
fn row_11_a_record_with_an_impossible_mask_leaves_the_others() {
    for (eid, mask_len) in [
        (LispAddress::Ip([10, 0, 0, 0].into()), 33),
        (LispAddress::Ip("fd00::".parse().unwrap()), 129),
        (LispAddress::for_eid(Iid::new(7).unwrap(), [10, 0, 0, 0].into()), 64),
    ] {
        let wrong = EidRecord { eid: eid.clone(), mask_len, ..record() };
        let read = read_reply(&MapReply { records: vec![wrong, record()], ..reply() });
        assert_eq!(read.records[0].prefix(), None);
        assert!(read.records[1].prefix().is_some());
        let wrong = RequestRecord { subscribe: false, mask_len, eid };
        let request = MapRequest { records: vec![asked(), wrong], ..request() };
        assert_eq!(MapRequest::parse(&request.emit()), Err(ControlError::BadMaskLen), "but void a request");
    }
}

#[test]
fn row_13_many_records_are_read() {
    let many = MapRequest { records: vec![asked(); 255], ..request() };
    assert_eq!(MapRequest::parse(&many.emit()), Ok(many));
}

#[test]
fn row_14_probes_and_solicitations_in_an_ecm() {
    for inside in [MapRequest { probe: true, ..request() }, MapRequest { smr: true, ..request() }] {
        let bytes = in_ecm(&inside.emit());
        let Ok(Message::Ecm(ecm)) = control::parse(&bytes) else { panic!("the ECM itself is sound") };
        assert_eq!(ecm.map_request(), Err(ControlError::EcmProbe));
    }
}

#[test]
fn row_16_thirty_two_itr_rlocs_are_read() {
    let reflecting = MapRequest { itr_rlocs: vec![rloc(); 32], ..request() };
    assert_eq!(MapRequest::parse(&reflecting.emit()), Ok(reflecting));
}

#[test]
fn row_19_what_no_key_made() {
    let bytes = register().signed(&key());
    let end = MapRegister::parse(&bytes).unwrap().records_end;
    let wrong = Key::new(1, Algorithm::HmacSha256_128, b"wrong");
    assert_eq!(auth::verify(&bytes, end, &wrong), Err(AuthError::Mismatch));
    assert_eq!(
        auth::verify(&bytes, end, &Key::new(2, Algorithm::HmacSha256_128, b"secret")),
        Err(AuthError::KeyId)
    );
    let none = Key::new(0, Algorithm::None, b"secret");
    let unsigned = register().emit();
    let end = MapRegister::parse(&unsigned).unwrap().records_end;
    assert_eq!(auth::verify(&unsigned, end, &none), Err(AuthError::NoAlgorithm));
    assert_eq!(auth::verify(&unsigned, end, &key()), Err(AuthError::Algorithm));
}

#[test]
fn row_23_records_that_cannot_be_used_leave_the_others() {
    let records =
        vec![EidRecord { mask_len: 77, ..record() }, EidRecord { eid: unknown_lcaf(), ..record() }, record()];
    let mixed = MapRegister { records, ..register() }.signed(&key());
    let read = MapRegister::parse(&mixed).unwrap();
    assert_eq!(auth::verify(&mixed, read.records_end, &key()), Ok(Coverage::Whole));
    let usable = read.records.iter().filter(|record| record.prefix().is_some()).count();
    assert_eq!((read.records.len(), usable), (3, 1));
}

#[test]
fn row_24_a_request_without_a_site() {
    let xtr = Some(XtrId { xtr_id: [7; 16], site_id: 0 });
    let identified = MapRequest { xtr, ..request() };
    assert_eq!(MapRequest::parse(&cut(identified.emit(), 8)), Ok(identified));
}

#[test]
fn row_25_no_inner_checksum_is_no_wrong_one() {
    assert!(control::parse(&with_inner(&[(26, 0), (27, 0)])).is_ok());
}

#[test]
fn row_38_priorities_and_weights_are_not_judged() {
    let useless = LocatorRecord::unicast([192, 0, 2, 1].into(), 255, 0);
    let read = read_reply(&MapReply {
        records: vec![EidRecord { locators: vec![useless.clone()], ..record() }],
        ..reply()
    });
    assert_eq!(read.records[0].locators, [useless]);
}

#[test]
fn row_39_lifetimes_are_not_judged() {
    for ttl in [0, u32::MAX] {
        let read = read_reply(&MapReply { records: vec![EidRecord { ttl, ..record() }], ..reply() });
        assert_eq!(read.records[0].ttl, ttl);
    }
}

/// Garbage, half an ACX block, and one that says it is longer than it is.
#[test]
fn row_40_tails_are_kept_and_never_judged() {
    let tails = [
        vec![0xff; 7],
        vec![0x40, 3, 0, 0, 255, 0, 0],
        vec![0x40, 3, 0, 0, 255, 0, 0xff, 0xff, 0, 2, 0xac, 1],
    ];
    for tail in tails {
        let sent = MapRequest { tail: tail.clone(), ..request() };
        assert_eq!(MapRequest::parse(&sent.emit()), Ok(sent));
        let sent = MapReply { tail: tail.clone(), ..reply() };
        assert_eq!(MapReply::parse(&sent.emit()), Ok(sent));
        let bytes = MapRegister { tail: tail.clone(), ..register() }.signed(&key());
        let read = MapRegister::parse(&bytes).unwrap();
        assert_eq!(read.tail, tail);
        assert_eq!(auth::verify(&bytes, read.records_end, &key()), Ok(Coverage::Whole));
        let bytes = MapNotify { tail: tail.clone(), ..notify() }.emit();
        assert_eq!(MapNotify::parse(&bytes).map(|notify| notify.tail), Ok(tail));
    }
}
