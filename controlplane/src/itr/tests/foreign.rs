//! What other makers' programs sent, byte for byte but for the nonce, as answers to our questions.

use std::net::{IpAddr, SocketAddr};

use sterna_wire::Iid;
use sterna_wire::lisp::control::MapReply;

use super::bench::*;
use crate::itr::{Counter, GroupRanges, Itr, ItrSettings};
use crate::outbox::Locator;

/// Frame 7 of oor-two-sites: the xTR of the other site answers.
const OOR_REPLY: &str = "20000001fb5ff96bd4ea46f90000000a0118100000000001c0a802000164ff00000500010a00000c";
/// Frame 25: the Map-Server's negative answer for 192.168.9.9 names 193.168.8.0/21.
const OOR_NEGATIVE: &str = "200000013f7fad6fdabe6b0f0000000f0015300000000001c1a80800";
/// Frame 4 of vpp-xtr-with-oor: the Map-Server answers for VPP, which never answers itself.
const OOR_FOR_VPP: &str = "20000001af5f816f45954eaf0000000a0118000000000001c0a802000164ff00000500010a00000c";
/// Frame 35: VPP answers a probe, without the p bit.
const VPP_PROBE_REPLY: &str =
    "28000001dc7d2b6f6a3e7550000151800118000000000001c0a8020001010000000500010a00000c";

fn bytes(hex: &str, nonce: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    bytes[4..12].copy_from_slice(&nonce.to_be_bytes());
    bytes
}

/// The site 192.168.1.0/24 of the captures, which has no groups.
fn bench() -> Bench {
    let group =
        GroupRanges { ranges: vec![prefix("192.168.0.0/16")], served: vec![prefix("192.168.1.0/24")] };
    Bench::new(ItrSettings {
        resolvers: vec![ip("10.0.0.10")],
        local_rlocs: vec![ip("10.0.0.11")],
        groups: [(Iid::DEFAULT, group)].into(),
        ..ItrSettings::default()
    })
}

fn miss(bench: &mut Bench, eid: &str) {
    bench.call(|itr, now, out| itr.miss(Iid::DEFAULT, ip(eid), false, 0, now, out));
}

fn hand_in(bench: &mut Bench, hex: &str, nonce: u64, from: &str) {
    let reply = MapReply::parse(&bytes(hex, nonce)).unwrap();
    let from = SocketAddr::new(ip(from), 4342);
    bench.call(|itr, now, out| itr.map_reply(reply, from, now, out));
}

fn other_site() -> Vec<Locator> {
    vec![Locator { address: IpAddr::from([10, 0, 0, 12]), priority: 1, weight: 100 }]
}

#[test]
fn the_answer_of_the_other_site_is_taken_whoever_sends_it() {
    for (reply, from) in [(OOR_REPLY, "10.0.0.12"), (OOR_FOR_VPP, "10.0.0.10")] {
        let mut bench = bench();
        miss(&mut bench, "192.168.2.2");
        let asked = bench.asked[0].request.clone();
        assert_eq!(
            asked.itr_rlocs,
            vec![ip("10.0.0.11").into()],
            "the first of a family is where OOR answers"
        );
        assert_eq!(asked.records[0].eid, ip("192.168.2.2").into(), "bare, for peers without groups");
        hand_in(&mut bench, reply, asked.nonce, from);
        assert_eq!(bench.published(), vec![("192.168.2.0/24".into(), Some(Some(other_site())))]);
        let entry = bench.itr.lookup(Iid::DEFAULT, ip("192.168.2.77")).unwrap();
        assert_eq!(entry.ttl_left(bench.now).as_secs(), 600);
    }
}

#[test]
fn the_negative_answer_that_misses_the_question_is_refused_and_asked_again_slowly() {
    let mut bench = bench();
    for _ in 0..20 {
        miss(&mut bench, "192.168.9.9");
        bench.wait(20);
        let nonce = bench.asked.last().unwrap().nonce();
        hand_in(&mut bench, OOR_NEGATIVE, nonce, "10.0.0.10");
        bench.wait(480);
    }
    assert_eq!(bench.published(), vec![]);
    assert_eq!(bench.count(Counter::ReplyNotCovering), 20);
    let gaps: Vec<_> = bench.asked.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).collect();
    assert!((3..=5).contains(&gaps.len()), "asked again: {gaps:?}");
    assert!(gaps.windows(2).all(|pair| pair[0] < pair[1] || pair[1] >= 4000), "slower and slower: {gaps:?}");
}

#[test]
fn vpp_answers_probes_without_the_p_bit() {
    let mut bench = bench();
    miss(&mut bench, "192.168.2.2");
    let nonce = bench.asked[0].nonce();
    hand_in(&mut bench, OOR_FOR_VPP, nonce, "10.0.0.10");
    bench.wait(1000);
    let (to, probe) = bench.probes[0].clone();
    assert_eq!(
        (to, probe.records[0].prefix()),
        (ip("10.0.0.12"), Some((Iid::DEFAULT, prefix("192.168.2.0/24"))))
    );
    hand_in(&mut bench, VPP_PROBE_REPLY, probe.nonce, "10.0.0.12");
    let view = bench.itr.locators().next().unwrap();
    assert!(view.up && !view.silent && view.rtt_us.is_some());
    assert_eq!((bench.count(Counter::ProbeReplies), bench.locators.len()), (1, 0));
    bench.call(Itr::tick);
    assert_eq!(bench.published().len(), 1, "an answer to a probe is no mapping");
}
