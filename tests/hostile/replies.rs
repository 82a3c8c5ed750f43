//! Map-Replies and Map-Notifies that lie, or that answer nothing.

use sterna_wire::Iid;
use sterna_wire::lisp::control::auth::{Algorithm, Key};
use sterna_wire::lisp::control::{EidRecord, LispAddress, LocatorRecord, MapNotify};

use crate::case::{Case, to_server, to_xtr};
use crate::world::*;

const ASKED: &str = "10.1.2.9";

pub fn cases() -> Vec<Case> {
    [locators(), claims(), lifetimes(), notifies()].into_iter().flatten().collect()
}

/// The Map-Server's answer to the question for [`ASKED`].
fn answer(row: u8, what: &'static str, records: impl Fn() -> Vec<EidRecord> + 'static) -> Case {
    to_xtr(row, what, move |world| {
        let nonce = world.ask(ASKED);
        reply(nonce, records()).emit()
    })
    .from(SERVER)
}

fn with(mut record: EidRecord, address: LispAddress) -> EidRecord {
    record.locators.push(LocatorRecord { address, ..LocatorRecord::unicast(ip(PEER), 1, 100) });
    record
}

fn goes_to_peer(world: &mut World) -> bool {
    world.known(ASKED) == Some(vec![ip(PEER)])
}

fn still_open(case: Case) -> Case {
    case.then("nothing was learned", |world| world.known(ASKED).is_none())
        .then("the question stays open", |world| world.still_asks(ASKED))
}

fn locators() -> Vec<Case> {
    let prefix = "10.1.2.0/24";
    vec![
        answer(7, "a locator of a form that is not known, beside one that is", move || {
            vec![with(mapping(prefix, &[PEER]), opaque())]
        })
        .counts(&["itr.locator_unknown_form", "itr.replies_accepted"])
        .then("the other one is used", goes_to_peer),
        still_open(
            answer(7, "no locator of a form that is known", move || {
                vec![with(mapping(prefix, &[]), opaque())]
            })
            .counts(&["itr.locator_unknown_form", "itr.reply_unusable"]),
        ),
        answer(42, "our own RLOC among the locators", move || vec![mapping(prefix, &[GATEWAY, PEER])])
            .counts(&["itr.locator_own", "itr.replies_accepted"])
            .then("the other one is used", goes_to_peer),
        answer(42, "our own RLOC as the only locator", move || vec![mapping(prefix, &[GATEWAY])])
            .counts(&["itr.locator_own", "itr.replies_accepted"])
            .then("there is no loop", |world| world.known(ASKED).is_none()),
        answer(38, "priority 255 on every locator", move || {
            let mut record = mapping(prefix, &[PEER]);
            record.locators[0].priority = 255;
            vec![record]
        })
        .counts(&["itr.replies_accepted"])
        .then("the entry is there and sends nothing", |world| {
            let entry = world.xtr.roles().itr().unwrap().lookup(iid(), ip(ASKED)).unwrap();
            entry.locators.iter().all(|locator| locator.priority == 255)
        }),
    ]
}

fn claims() -> Vec<Case> {
    let foreign = || EidRecord {
        eid: LispAddress::for_eid(Iid::new(101).unwrap(), ip("10.1.2.0")),
        ..mapping("10.1.2.0/24", &[PEER])
    };
    let too_long = || EidRecord { mask_len: 33, ..mapping("10.1.2.9/32", &[PEER]) };
    vec![
        to_xtr(17, "a Map-Reply with a nonce that nobody asked by", |world| {
            let nonce = world.ask(ASKED);
            reply(nonce ^ 1, vec![mapping("10.1.2.0/24", &[STRANGER])]).emit()
        })
        .from(STRANGER)
        .counts(&["itr.reply_unknown_nonce"])
        .then("nothing was learned", |world| world.known(ASKED).is_none())
        .then("the question stays open", |world| world.still_asks(ASKED)),
        still_open(
            answer(18, "an answer for another prefix", || vec![mapping("10.1.3.0/24", &[PEER])])
                .counts(&["itr.reply_not_covering"]),
        ),
        still_open(
            answer(18, "an answer for another group", move || vec![foreign()])
                .counts(&["itr.reply_foreign_group"]),
        ),
        still_open(
            answer(18, "an answer for all addresses", || vec![mapping("0.0.0.0/0", &[STRANGER])])
                .counts(&["itr.reply_overclaim"]),
        ),
        still_open(
            answer(18, "an answer that covers what is served here", || {
                vec![mapping("10.1.0.0/16", &[STRANGER])]
            })
            .counts(&["itr.reply_overclaim"]),
        ),
        still_open(
            answer(11, "a record whose mask is longer than its address", move || vec![too_long()])
                .counts(&["itr.reply_not_ip"]),
        ),
        to_server(17, "a Map-Reply to a Map-Server", |_| {
            reply(1, vec![mapping("10.1.2.0/24", &[PEER])]).emit()
        })
        .counts(&["dispatch.no_role"]),
    ]
}

fn lifetimes() -> Vec<Case> {
    vec![
        to_xtr(39, "a TTL of zero", |world| {
            world.learn(ASKED, mapping("10.1.2.0/24", &[PEER]));
            let mut solicited = request(&["10.1.1.5/32"]);
            solicited.smr = true;
            solicited.source_eid = LispAddress::for_eid(iid(), ip("10.1.2.0"));
            world.xtr.datagram(&solicited.emit(), at(PEER), ip(GATEWAY), world.now);
            let asked = world.xtr.take_datagrams().iter().find_map(question).expect("a Map-Request");
            let gone = EidRecord { ttl: 0, ..mapping("10.1.2.0/24", &[PEER]) };
            reply(asked.nonce, vec![gone]).emit()
        })
        .from(SERVER)
        .counts(&["itr.replies_accepted"])
        .then("the entry is gone", |world| world.known(ASKED).is_none()),
        answer(39, "a TTL that leaves it to us", || {
            vec![EidRecord { ttl: u32::MAX, ..mapping("10.1.2.0/24", &[PEER]) }]
        })
        .counts(&["itr.replies_accepted"])
        .then("it holds for a day", |world| {
            let entry = world.xtr.roles().itr().unwrap().lookup(iid(), ip(ASKED)).unwrap();
            entry.ttl_left(world.now).as_secs() == 1440 * 60
        }),
        to_xtr(40, "a tail of garbage", |world| {
            let nonce = world.ask(ASKED);
            let mut bytes = reply(nonce, vec![mapping("10.1.2.0/24", &[PEER])]).emit();
            bytes.extend([0x40, 3, 0, 0, 255, 0, 0, 0xff, 0, 1, 2, 3]);
            bytes
        })
        .from(SERVER)
        .counts(&["itr.replies_accepted", "itr.tail_unknown"])
        .then("the answer counts", goes_to_peer),
    ]
}

fn notifies() -> Vec<Case> {
    let notify = |ack: bool, key: Key| {
        move |_: &mut World| {
            let records = vec![mapping("10.1.2.0/24", &[STRANGER])];
            MapNotify { ack, nonce: 0x1234, records, ..MapNotify::default() }.signed(&key)
        }
    };
    let foreign_key = || Key::new(1, Algorithm::HmacSha256_128, b"guessed");
    vec![
        to_xtr(35, "a stranger's Map-Notify with an unknown nonce", notify(false, foreign_key()))
            .from(STRANGER)
            .counts(&["etr.notify_unknown", "dispatch.notify_unexpected"])
            .then("nothing was learned", |world| world.known(ASKED).is_none()),
        to_xtr(35, "the same with the Map-Server's address and a wrong key", notify(false, foreign_key()))
            .from(SERVER)
            .counts(&["etr.notify_bad_auth"])
            .then("nothing was learned", |world| world.known(ASKED).is_none()),
        to_xtr(35, "an authentic one about nothing of ours", notify(false, key_a()))
            .from(SERVER)
            .counts(&["etr.notify_not_ours"])
            .then("nothing was learned", |world| world.known(ASKED).is_none()),
        to_xtr(35, "an acknowledgement to a gateway", notify(true, key_a()))
            .from(SERVER)
            .counts(&["dispatch.no_role"]),
        to_server(35, "an acknowledgement with an unknown nonce", notify(true, key_b()))
            .counts(&["server.ack_unknown"]),
        to_server(35, "a Map-Notify to a Map-Server", notify(false, key_b())).counts(&["dispatch.no_role"]),
    ]
}
