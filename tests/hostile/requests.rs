//! Map-Requests that are well formed and ask for what they shall not have, or for more than that.

use sterna_wire::lisp::control::{LispAddress, MapRequest, RequestRecord};

use crate::case::{Case, ECM, REPLY, to_server, to_xtr};
use crate::world::*;

pub fn cases() -> Vec<Case> {
    [forms(), several(), kinds(), reflections(), solicitations()].into_iter().flatten().collect()
}

fn asking(change: impl Fn(&mut MapRequest)) -> Vec<u8> {
    let mut asked = request(&["10.1.1.5/32"]);
    change(&mut asked);
    asked.emit()
}

/// For what site B registered, through the mapping system.
fn asking_server(change: impl Fn(&mut MapRequest)) -> Vec<u8> {
    let mut asked = request(&["10.1.2.9/32"]);
    change(&mut asked);
    ecm(&asked.emit())
}

fn forms() -> Vec<Case> {
    let odd_eid = |asked: &mut MapRequest| {
        asked.records = vec![RequestRecord { subscribe: false, mask_len: 32, eid: opaque() }];
    };
    vec![
        to_xtr(8, "an EID of a form that is not known", move |_| asking(odd_eid))
            .counts(&["etr.request_not_ip"]),
        to_server(8, "the same through the mapping system", move |_| asking_server(odd_eid))
            .counts(&["server.requests", "server.requested_eid_not_ip"]),
        to_xtr(9, "an ITR-RLOC of a form that is not known, beside one that is", |_| {
            asking(|asked| asked.itr_rlocs = vec![opaque(), ip(PEER).into()])
        })
        .counts(&["etr.requests_answered"])
        .answers(&[(REPLY, PEER)]),
        to_xtr(9, "no ITR-RLOC of a form that is known", |_| {
            asking(|asked| asked.itr_rlocs = vec![opaque()])
        })
        .counts(&["etr.request_no_rloc"]),
        to_server(9, "an ITR-RLOC of a form that is not known, beside one that is", |_| {
            asking_server(|asked| asked.itr_rlocs = vec![opaque(), ip(PEER).into()])
        })
        .counts(&["server.requests", "server.replies"])
        .answers(&[(REPLY, PEER)]),
        to_server(9, "no ITR-RLOC of a form that is known", |_| {
            asking_server(|asked| asked.itr_rlocs = vec![opaque()])
        })
        .counts(&["server.requests", "server.no_usable_rloc"]),
        to_xtr(40, "an attribute block that is nonsense", |_| {
            asking(|asked| asked.tail = vec![0x40, 3, 0, 0, 255, 9])
        })
        .counts(&["etr.requests_answered", "etr.request_tail_unknown"])
        .answers(&[(REPLY, PEER)]),
        to_server(40, "a tail of garbage", |_| asking_server(|asked| asked.tail = vec![0xee; 77]))
            .counts(&["server.requests", "server.replies", "server.trailing_unknown"])
            .answers(&[(REPLY, PEER)]),
    ]
}

fn several() -> Vec<Case> {
    let many = |count: u8| -> Vec<RequestRecord> {
        (1..=count).map(|last| RequestRecord::of(iid(), prefix(&format!("10.1.2.{last}/32")))).collect()
    };
    vec![
        to_server(13, "three records", move |_| asking_server(|asked| asked.records = many(3)))
            .counts(&["server.requests", "server.replies", "server.replies", "server.replies"])
            .answers(&[(REPLY, PEER); 3]),
        to_server(13, "twenty records", move |_| asking_server(|asked| asked.records = many(20)))
            .counts(SIXTEEN_REPLIES)
            .answers(&[(REPLY, PEER); 16]),
        to_xtr(13, "twenty records, none of them ours", move |_| asking(|asked| asked.records = many(20)))
            .counts(SIXTEEN_FOREIGN),
    ]
}

const SIXTEEN_REPLIES: &[&str] = &{
    let mut all = ["server.replies"; 18];
    all[16] = "server.requests";
    all[17] = "server.too_many_records";
    all
};

const SIXTEEN_FOREIGN: &[&str] = &{
    let mut all = ["etr.request_not_ours"; 20];
    let mut at = 16;
    while at < 20 {
        all[at] = "etr.request_too_many";
        at += 1;
    }
    all
};

fn kinds() -> Vec<Case> {
    let two = |smr: bool| {
        move |_: &mut World| {
            asking(|asked| {
                (asked.smr, asked.probe) = (smr, !smr);
                asked.records.push(asked.records[0].clone());
            })
        }
    };
    let inside =
        |smr: bool| move |_: &mut World| asking_server(|asked| (asked.smr, asked.probe) = (smr, !smr));
    vec![
        to_xtr(14, "an SMR with two records", two(true)).counts(&["dispatch.bad_record_count"]),
        to_xtr(14, "a probe with two records", two(false)).counts(&["dispatch.bad_record_count"]),
        to_xtr(14, "an SMR in an ECM", inside(true)).counts(&["dispatch.ecm_probe"]),
        to_xtr(14, "a probe in an ECM", inside(false)).counts(&["dispatch.ecm_probe"]),
        to_server(14, "an SMR in an ECM", inside(true)).counts(&["dispatch.ecm_probe"]),
        to_server(14, "a probe in an ECM", inside(false)).counts(&["dispatch.ecm_probe"]),
        to_server(15, "a Map-Request outside an ECM", |_| asking(|_| {}))
            .counts(&["server.request_outside_ecm"]),
        to_server(15, "a probe", |_| asking(|asked| asked.probe = true)).counts(&["server.probe_or_smr"]),
        to_server(15, "an SMR", |_| asking(|asked| asked.smr = true)).counts(&["server.probe_or_smr"]),
    ]
}

/// Addresses that nobody may be made to send to, for a receiver with this address.
fn bogus(own: &str) -> Vec<LispAddress> {
    let stray =
        [own, "224.0.0.1", "127.0.0.1", "255.255.255.255", "0.0.0.0", "169.254.1.1", "ff02::1", "::1"];
    stray
        .iter()
        .map(|address| ip(address).into())
        .chain([LispAddress::None, opaque()])
        .cycle()
        .take(31)
        .collect()
}

fn reflections() -> Vec<Case> {
    let with_last = |own: &'static str, last: &'static str| -> Vec<LispAddress> {
        bogus(own).into_iter().chain([ip(last).into()]).collect()
    };
    vec![
        to_xtr(16, "32 ITR-RLOCs of which one can be used", move |_| {
            asking(|asked| asked.itr_rlocs = with_last(GATEWAY, PEER))
        })
        .counts(&["etr.requests_answered"])
        .answers(&[(REPLY, PEER)]),
        to_xtr(16, "32 ITR-RLOCs of which none can be used", move |_| {
            asking(|asked| asked.itr_rlocs = with_last(GATEWAY, GATEWAY))
        })
        .counts(&["etr.request_no_rloc"]),
        to_xtr(16, "the packet's source stands last", |_| {
            asking(|asked| asked.itr_rlocs = vec![ip(STRANGER).into(), ip(PEER).into()])
        })
        .counts(&["etr.requests_answered"])
        .answers(&[(REPLY, PEER)]),
        to_server(16, "32 ITR-RLOCs of which one can be used", move |_| {
            asking_server(|asked| asked.itr_rlocs = with_last(SERVER, PEER))
        })
        .counts(&["server.requests", "server.replies"])
        .answers(&[(REPLY, PEER)]),
        to_server(16, "32 ITR-RLOCs of which none can be used", move |_| {
            asking_server(|asked| asked.itr_rlocs = with_last(SERVER, SERVER))
        })
        .counts(&["server.requests", "server.no_usable_rloc"]),
        to_server(16, "the packet's source stands last", |_| {
            asking_server(|asked| asked.itr_rlocs = vec![ip(STRANGER).into(), ip(PEER).into()])
        })
        .counts(&["server.requests", "server.replies"])
        .answers(&[(REPLY, PEER)]),
    ]
}

fn solicitations() -> Vec<Case> {
    let smr = || {
        asking(|asked| {
            asked.smr = true;
            asked.source_eid = LispAddress::for_eid(iid(), ip("10.1.2.0"));
        })
    };
    vec![
        to_xtr(41, "an SMR for a cached prefix", move |world| {
            world.learn("10.1.2.9", mapping("10.1.2.0/24", &[PEER]));
            smr()
        })
        .counts(&["itr.smrs_accepted", "itr.requests_sent"])
        .answers(&[(ECM, SERVER)])
        .then("the old entry holds meanwhile", |world| world.known("10.1.2.9") == Some(vec![ip(PEER)])),
        to_xtr(41, "the hundredth SMR for it within a second", move |world| {
            world.learn("10.1.2.9", mapping("10.1.2.0/24", &[PEER]));
            for _ in 0..99 {
                world.xtr.datagram(&smr(), at(PEER), ip(GATEWAY), world.now);
            }
            assert_eq!(world.xtr.take_datagrams().len(), 1, "one Map-Request for all of them");
            smr()
        })
        .counts(&["itr.smr_paced"]),
        to_xtr(41, "an SMR for what is not cached", move |_| smr()).counts(&["itr.smr_not_cached"]),
    ]
}
