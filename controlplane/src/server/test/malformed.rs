//! Rows 12 to 27, 35 and 40 of section 7: each input, what is answered, and its counter.

use super::peers::*;
use crate::server::*;
use sterna_wire::lisp::control::auth::{self, Key};
use sterna_wire::lisp::control::{
    ControlError, EidRecord, LispAddress, MapNotify, MapReply, MapRequest, RequestRecord, encapsulate,
};

/// What a row expects.
enum Counted {
    /// Refused with this reason.
    As(Refusal),
    /// Not parsed for this reason.
    Malformed(ControlError),
    /// Taken.
    Taken,
    /// Taken, without what is counted so.
    TakenBut(Refusal),
}

struct Row {
    number: u8,
    input: Vec<u8>,
    /// How many messages are sent.
    answers: usize,
    counted: Counted,
}

fn row(number: u8, input: Vec<u8>, answers: usize, counted: Counted) -> Row {
    Row { number, input, answers, counted }
}

/// A request by an unknown ITR, changed.
fn request(change: impl FnOnce(&mut MapRequest)) -> MapRequest {
    let mut request = Peer::of("nobody", "203.0.113.1").request(&["10.1.0.7/32"]);
    change(&mut request);
    request
}

fn in_ecm(change: impl FnOnce(&mut MapRequest)) -> Vec<u8> {
    ecm(&request(change), at("203.0.113.1"))
}

fn rows() -> Vec<Row> {
    let mut rows = requests();
    rows.extend(registers());
    rows.extend(encapsulations());
    rows
}

fn requests() -> Vec<Row> {
    use Counted::{As, Malformed, Taken, TakenBut};
    let many = |request: &mut MapRequest, count: u8| {
        let more = (0..count).map(|last| RequestRecord::of(iid(100), prefix(&format!("10.1.1.{last}/32"))));
        request.records = more.collect();
    };
    let mut none = request(|_| {}).emit();
    none[3] = 0;
    let mut two_probed = request(|request| many(request, 2)).emit();
    two_probed[0] |= 0x02;
    let mut two_solicited = request(|request| many(request, 2)).emit();
    two_solicited[0] |= 0x01;
    let bogus = ["224.0.0.1", "127.0.0.1", SERVER, "0.0.0.0"].map(|text| LispAddress::Ip(ip(text)));
    let bogus: Vec<_> = bogus.into_iter().cycle().take(31).collect();
    let cut = {
        let mut message = Peer::of("site-a", "198.51.100.1").subscription("10.1.0.7/32").emit();
        message.truncate(message.len() - 9);
        message
    };
    let sixteen = {
        let mut message = Peer::of("site-a", "198.51.100.1").subscription("10.1.0.7/32").emit();
        message.truncate(message.len() - 8);
        message
    };
    let carried = |message: &[u8]| encapsulate(at("203.0.113.1"), at("10.1.0.7"), message);
    vec![
        row(8, in_ecm(|request| request.records[0].eid = opaque()), 0, As(Refusal::RequestedEidNotIp)),
        row(9, in_ecm(|request| request.itr_rlocs.insert(0, opaque())), 1, Taken),
        row(9, in_ecm(|request| request.itr_rlocs = vec![opaque()]), 0, As(Refusal::NoUsableRloc)),
        row(12, carried(&none), 0, Malformed(ControlError::NoRecords)),
        row(13, in_ecm(|request| many(request, 3)), 3, Taken),
        row(13, in_ecm(|request| many(request, 17)), 16, As(Refusal::TooManyRecords)),
        row(14, carried(&two_probed), 0, Malformed(ControlError::BadRecordCount)),
        row(14, carried(&two_solicited), 0, Malformed(ControlError::BadRecordCount)),
        row(14, in_ecm(|request| request.probe = true), 0, As(Refusal::ProbeOrSmr)),
        row(14, in_ecm(|request| request.smr = true), 0, As(Refusal::ProbeOrSmr)),
        row(15, request(|_| {}).emit(), 0, As(Refusal::RequestOutsideEcm)),
        row(15, request(|request| request.probe = true).emit(), 0, As(Refusal::ProbeOrSmr)),
        row(16, in_ecm(|request| request.itr_rlocs = bogus.clone()), 0, As(Refusal::NoUsableRloc)),
        row(16, in_ecm(|request| request.itr_rlocs.splice(0..0, bogus.clone()).for_each(drop)), 1, Taken),
        row(24, carried(&cut), 0, Malformed(ControlError::TrailingXtr)),
        row(24, carried(&sixteen), 1, As(Refusal::SubscriptionKeyless)),
        row(40, in_ecm(|request| request.tail = vec![0xde; 77]), 1, TakenBut(Refusal::TrailingUnknown)),
    ]
}

fn registers() -> Vec<Row> {
    use Counted::{As, Malformed, TakenBut};
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let mut register = |eids: &[&str]| peer.register(eids);
    let signed = |register: &sterna_wire::lisp::control::MapRegister| register.signed(&key(1, "site-a"));
    let good = register(&["10.1.0.7/32"]);
    let mut truncated = signed(&register(&["10.1.0.7/32", "10.1.0.8/32"]));
    truncated.truncate(truncated.len() - 30);
    let mut none = register(&["10.1.0.7/32"]);
    (none.key_id, none.algorithm) = (1, 0);
    let unknown = {
        let mut bytes = signed(&register(&["10.1.0.7/32"]));
        bytes[13] = 9;
        bytes
    };
    let mut length = signed(&register(&["10.1.0.7/32"]));
    length[15] = 20;
    let mut long = signed(&register(&["10.1.0.7/32"]));
    (long[13], long[14]) = (9, 0xff);
    let short = {
        let mut bytes = signed(&register(&["10.1.0.7/32"]));
        bytes[15] = 16;
        bytes.drain(32..48);
        bytes
    };
    let bare = {
        let mut register = register(&["10.1.0.7/32"]);
        register.xtr = None;
        register.tail = vec![1; 23];
        let mut bytes = register.emit();
        bytes[0] |= 0x02;
        bytes
    };
    let mut odd = register(&["10.1.0.7/32", "10.1.0.8/32"]);
    odd.records[0].mask_len = 33;
    let foreign = register(&["10.9.0.7/32"]);
    let mixed = register(&["10.9.0.7/32", "10.1.0.7/32"]);
    let mut tailed = register(&["10.1.0.7/32"]);
    tailed.tail = vec![0xac; 50];
    let key_of_none = Key::new(1, auth::Algorithm::HmacSha256_128, b"");
    vec![
        row(3, truncated, 0, Malformed(ControlError::Truncated)),
        row(11, signed(&odd), 1, As(Refusal::RecordEidNotIp)),
        row(19, good.signed(&key(1, "wrong")), 0, As(Refusal::AuthData)),
        row(19, good.signed(&key_of_none), 0, As(Refusal::AuthData)),
        row(19, good.signed(&key(77, "site-a")), 0, As(Refusal::AuthKey)),
        row(19, none.emit(), 0, As(Refusal::AuthAlgorithm)),
        row(19, unknown, 0, As(Refusal::AuthAlgorithm)),
        row(20, length, 0, Malformed(ControlError::AuthLength)),
        row(20, long, 0, Malformed(ControlError::AuthLength)),
        row(20, short, 0, As(Refusal::AuthData)),
        row(22, signed(&foreign), 0, As(Refusal::RecordForeign)),
        row(23, signed(&mixed), 1, As(Refusal::RecordForeign)),
        row(24, bare, 0, Malformed(ControlError::TrailingXtr)),
        row(40, signed(&tailed), 1, TakenBut(Refusal::TrailingUnknown)),
        row(21, signed(&good), 0, As(Refusal::Replayed)),
        row(35, ack(7, false), 0, As(Refusal::NotifyUnknown)),
        row(35, ack(7, true), 0, As(Refusal::AckUnknown)),
        row(17, MapReply { nonce: 7, ..MapReply::default() }.emit(), 0, As(Refusal::Unexpected)),
    ]
}

fn ack(nonce: u64, ack: bool) -> Vec<u8> {
    let records = vec![EidRecord::of(iid(100), prefix("10.1.0.7/32"))];
    MapNotify { ack, nonce, records, ..MapNotify::default() }.signed(&key(1, "site-a"))
}

fn encapsulations() -> Vec<Row> {
    use Counted::{As, Malformed};
    let good = in_ecm(|_| {});
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    /// Writes the inner IPv4 header's checksum again.
    fn sum(bytes: &mut [u8]) {
        (bytes[14], bytes[15]) = (0, 0);
        let words = bytes[4..24].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let mut sum: u32 = words.sum();
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        let sum = !(sum as u16);
        bytes[14..16].copy_from_slice(&sum.to_be_bytes());
    }
    let nested = encapsulate(at("203.0.113.1"), at("10.1.0.7"), &good);
    let reply = MapReply { nonce: 7, ..MapReply::default() }.emit();
    let notify = ack(7, false);
    let security = |len: u8| {
        let mut bytes = vec![0x88, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, len];
        bytes.extend(&good[4..]);
        bytes
    };
    vec![
        row(25, good[..20].to_vec(), 0, Malformed(ControlError::EcmInner)),
        row(25, changed(|bytes| bytes[4] = 0x55), 0, Malformed(ControlError::EcmInner)),
        row(25, changed(|bytes| bytes[14] ^= 1), 0, Malformed(ControlError::EcmInner)),
        row(
            25,
            changed(|bytes| {
                bytes[13] = 6;
                sum(bytes);
            }),
            0,
            Malformed(ControlError::EcmNotUdp),
        ),
        row(
            25,
            changed(|bytes| {
                bytes[10] = 0x20;
                sum(bytes);
            }),
            0,
            Malformed(ControlError::EcmFragment),
        ),
        row(25, changed(|bytes| bytes[28] = 0x7f), 0, Malformed(ControlError::EcmUdp)),
        row(25, changed(|bytes| bytes[30] ^= 0x11), 0, Malformed(ControlError::EcmUdp)),
        row(26, nested, 0, Malformed(ControlError::EcmInnerType)),
        row(
            26,
            encapsulate(at("203.0.113.1"), at("10.1.0.7"), &reply),
            0,
            Malformed(ControlError::EcmInnerType),
        ),
        row(35, encapsulate(at("203.0.113.1"), at("10.1.0.7"), &notify), 0, As(Refusal::NotifyUnknown)),
        row(27, security(200), 0, Malformed(ControlError::EcmSecurity)),
        row(1, vec![0x10, 0, 0], 0, Malformed(ControlError::Truncated)),
        row(2, vec![0x90; 40], 0, Malformed(ControlError::UnknownType(9))),
    ]
}

#[test]
fn each_row_is_answered_as_it_must_be_and_counted_once() {
    let mut world = World::of_two();
    // The register of row 21 was taken before.
    let mut first = Peer::of("site-a", "198.51.100.1");
    first.nonce = 999;
    for row in rows() {
        let before = world.server.counters().clone();
        let sent = world.give(&row.input, at("203.0.113.1"));
        assert_eq!(sent.len(), row.answers, "row {}: {sent:?}", row.number);
        let after = world.server.counters().clone();
        let refused: Vec<Refusal> = Refusal::ALL
            .iter()
            .flat_map(|refusal| {
                let times = after.refused(*refusal) - before.refused(*refusal);
                std::iter::repeat_n(*refusal, times as usize)
            })
            .collect();
        match row.counted {
            Counted::As(refusal) | Counted::TakenBut(refusal) => {
                assert_eq!(refused, [refusal], "row {}", row.number);
            }
            Counted::Malformed(reason) => {
                assert_eq!(refused, [Refusal::Malformed], "row {}", row.number);
                assert_eq!(after.malformed(reason), before.malformed(reason) + 1, "row {}", row.number);
            }
            Counted::Taken => assert_eq!(refused, [], "row {}", row.number),
        }
        world.pass(std::time::Duration::from_millis(100));
    }
}

#[test]
fn nothing_that_is_refused_changes_what_is_registered() {
    let mut world = World::of_two();
    let mut holder = Peer::of("site-b", "198.51.100.2");
    holder.registers(&mut world, &["10.1.0.7/32"]);
    world.server.take_saves();
    for row in rows().into_iter().filter(|row| !matches!(row.counted, Counted::Taken | Counted::TakenBut(_)))
    {
        // Row 21 is a good register when it comes first.
        if !matches!(row.number, 11 | 21 | 22 | 23) {
            world.give(&row.input, at("203.0.113.1"));
        }
        // Cut anywhere, it still does nothing.
        for len in (0..row.input.len()).step_by(7) {
            world.give(&row.input[..len], at("203.0.113.1"));
        }
    }
    assert_eq!(world.registered("10.1.0.7/32"), [holder.address()]);
    assert_eq!((world.server.take_saves(), world.server.subscription_count()), (vec![], 0));
}

proptest::proptest! {
    #[test]
    fn no_change_of_bytes_makes_the_server_fail(
        which in proptest::prelude::any::<proptest::sample::Index>(),
        changes in proptest::collection::vec(
            (proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()),
            0..6,
        ),
        sign in proptest::prelude::any::<bool>(),
    ) {
        let rows = rows();
        let mut bytes = which.get(&rows).input.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if sign {
            // So that what comes behind the verification is reached as well.
            auth::sign(&mut bytes, &key(1, "site-a"));
        }
        let mut world = World::of_two();
        world.give(&bytes, at("198.51.100.1"));
        world.pass(std::time::Duration::from_secs(1));
    }
}
