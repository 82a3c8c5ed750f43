//! Solicit-Map-Requests.

use sterna_wire::lisp::control::{LispAddress, MapRequest};

use super::bench::*;
use crate::itr::{Counter, EntryState, ItrSettings, Limits, Rate};

#[test]
fn a_solicitation_makes_us_ask_and_the_old_entry_holds() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.3/32", &[1]));
    bench.smr("10.1.2.3");
    let asked = bench.asked.last().unwrap().clone();
    assert!(asked.request.smr_invoked && asked.prefix() == prefix("10.1.2.3/32"));
    assert_eq!(asked.resolver, resolver(10), "through the resolver, never to the one who solicits");
    assert_eq!((bench.state("10.1.2.3/32"), bench.published()), (Some(EntryState::Fresh), vec![]));
    bench.reply(&[record(group(), "10.1.2.3/32", &[2])]);
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[2])]);
}

#[test]
fn the_first_address_of_a_prefix_stands_for_it_and_others_for_themselves() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.0/24", &[1]));
    bench.smr("10.1.2.0");
    assert_eq!(bench.asked.last().unwrap().prefix(), prefix("10.1.2.0/24"));
    bench.reply(&[record(group(), "10.1.2.0/24", &[1])]);
    bench.wait(1000);
    bench.smr("10.1.2.7");
    assert_eq!(bench.asked.last().unwrap().prefix(), prefix("10.1.2.7/32"));
    bench.reply(&[record(group(), "10.1.2.7/32", &[3])]);
    assert_eq!(bench.published(), vec![mapped("10.1.2.7/32", &[3])]);
}

#[test]
fn row_41_a_flood_for_one_prefix_is_asked_less_and_less() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.0/24", &[1]));
    let before = bench.asked.len();
    for number in 0..1200_u32 {
        bench.smr(&format!("10.1.2.{}", number % 256));
        let nonce = bench.asked.last().unwrap().nonce();
        bench.reply_to(nonce, &[record(group(), "10.1.2.0/24", &[1])]);
        bench.wait(50);
    }
    assert_eq!(bench.asked.len() - before, 6, "in a minute: after 0, 1, 3, 7, 15, 31 s");
    assert_eq!(bench.count(Counter::SmrsAccepted), 6);
    assert_eq!(bench.count(Counter::SmrPaced), 1194);
}

#[test]
fn a_change_makes_the_next_one_welcome() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.3/32", &[1]));
    for number in 2..6 {
        bench.smr("10.1.2.3");
        bench.reply(&[record(group(), "10.1.2.3/32", &[number])]);
        assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[number])]);
        bench.wait(1000);
    }
}

#[test]
fn what_is_not_cached_is_not_asked_for() {
    let mut bench = Bench::new(settings());
    bench.smr("10.1.2.3");
    bench.miss("10.1.2.9");
    bench.reply(&[nobody(group(), "10.1.2.9/32", 1)]);
    bench.smr("10.1.2.9");
    assert_eq!((bench.asked.len(), bench.count(Counter::SmrNotCached)), (1, 2));
}

#[test]
fn row_14_malformed_ones_are_refused() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.3/32", &[1]));
    let good = MapRequest {
        smr: true,
        source_eid: LispAddress::for_eid(group(), ip("10.1.2.3")),
        records: vec![sterna_wire::lisp::control::RequestRecord::of(group(), prefix("10.9.0.0/24"))],
        ..MapRequest::default()
    };
    let two = MapRequest { records: vec![good.records[0].clone(); 2], ..good.clone() };
    let none = MapRequest { source_eid: LispAddress::None, ..good.clone() };
    let plain = MapRequest { smr: false, ..good.clone() };
    for request in [two, none, plain] {
        bench.call(|itr, now, out| itr.smr(&request, std::net::SocketAddr::new(rloc(1), 4342), now, out));
    }
    assert_eq!((bench.count(Counter::SmrMalformed), bench.asked.len()), (3, 1));
}

#[test]
fn all_of_them_together_are_limited() {
    let mut limits = Limits { smr: Rate { per_second: 10, burst: 5 }, ..Limits::default() };
    limits.request = Rate { per_second: 10_000, burst: 1000 };
    limits.group = limits.request;
    let mut bench = Bench::new(ItrSettings { limits, ..settings() });
    let eids: Vec<String> = (0..100).map(|last| format!("10.1.2.{last}")).collect();
    for eid in &eids {
        bench.learn(eid, record(group(), &format!("{eid}/32"), &[1]));
    }
    eids.iter().for_each(|eid| bench.smr(eid));
    assert_eq!((bench.count(Counter::SmrsAccepted), bench.count(Counter::SmrLimited)), (5, 95));
}
