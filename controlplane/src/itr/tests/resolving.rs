//! Questions and their answers.

use std::net::SocketAddr;

use sterna_wire::lisp::control::{EidRecord, LispAddress, LocatorRecord, MapReply};

use super::bench::*;
use crate::itr::{Counter, EntryState, ItrSettings};

#[test]
fn a_miss_is_one_request_and_its_answer_is_published() {
    let mut bench = Bench::new(settings());
    bench.miss("10.1.2.3");
    bench.miss("10.1.2.3");
    assert_eq!(bench.asked.len(), 1);
    let asked = bench.asked[0].clone();
    assert_eq!((asked.resolver, asked.prefix()), (resolver(10), prefix("10.1.2.3/32")));
    assert_eq!((asked.inner_source, asked.inner_destination), (ip("203.0.113.1"), ip("10.1.2.3")));
    let own: Vec<LispAddress> = vec![ip("203.0.113.1").into(), ip("2001:db8::1").into()];
    assert_eq!(asked.request.itr_rlocs, own);
    assert!(!asked.subscribes() && asked.request.xtr.is_none(), "there is no key");
    assert_eq!(bench.state("10.1.2.3/32"), Some(EntryState::Resolving));
    bench.reply(&[record(group(), "10.1.2.0/24", &[2, 1])]);
    assert_eq!(bench.published(), vec![mapped("10.1.2.0/24", &[1, 2])]);
    assert_eq!(bench.state("10.1.2.0/24"), Some(EntryState::Fresh));
    assert_eq!((bench.state("10.1.2.3/32"), bench.count(Counter::RepliesAccepted)), (None, 1));
}

#[test]
fn another_family_is_asked_for_between_rlocs() {
    let mut bench = Bench::new(ItrSettings { local_rlocs: vec![ip("203.0.113.1")], ..settings() });
    bench.miss("fd00:1::5");
    assert_eq!(bench.asked[0].inner_source, ip("203.0.113.1"));
    assert_eq!(bench.asked[0].inner_destination, resolver(10));
}

#[test]
fn retries_back_off_over_all_resolvers_while_packets_wait() {
    let mut bench = Bench::new(settings());
    for _ in 0..60 {
        bench.miss("10.1.2.3");
        bench.wait(500);
    }
    let times: Vec<_> = bench.asked.iter().map(|asked| asked.at_ms).collect();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, expected) in gaps.iter().zip([500, 1000, 2000, 4000, 4000, 4000, 4000]) {
        assert!((expected..=expected + expected / 10).contains(gap), "{gaps:?}");
    }
    let first: Vec<_> = bench.asked.iter().take(3).map(|asked| asked.resolver).collect();
    assert_eq!(first, vec![resolver(10), resolver(11), resolver(10)]);
    bench.reply_to(bench.asked[1].nonce(), &[record(group(), "10.1.2.3/32", &[1])]);
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[1])], "an earlier request may be answered");
    bench.miss("10.1.2.4");
    assert_eq!(bench.asked.last().unwrap().resolver, resolver(11), "the one that answered is asked first");
}

#[test]
fn nobody_waits_so_nobody_asks() {
    let mut bench = Bench::new(settings());
    bench.miss("10.1.2.3");
    bench.wait_s(60);
    assert_eq!(bench.asked.len(), 2, "the second one is sent on trust");
    assert_eq!((bench.count(Counter::RequestsAbandoned), bench.itr.entries().count()), (1, 0));
}

#[test]
fn after_ten_unanswered_there_is_a_pause() {
    let mut bench = Bench::new(settings());
    for _ in 0..150 {
        bench.miss("10.1.2.3");
        bench.wait(500);
    }
    assert_eq!(bench.count(Counter::RequestsPaused), 1);
    let gaps: Vec<_> = bench.asked.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).collect();
    let pause = gaps.iter().position(|gap| *gap >= 30_000);
    assert_eq!(pause, Some(9), "{gaps:?}");
    assert!(bench.count(Counter::MissPaused) >= 59);
}

#[test]
fn a_hundred_unknown_eids_are_asked_for_at_once() {
    let mut bench = Bench::new(settings());
    let eids: Vec<String> = (1..=100).map(|last| format!("10.1.2.{last}")).collect();
    eids.iter().for_each(|eid| bench.miss(eid));
    assert_eq!(bench.asked.len(), 100);
    bench.wait(490);
    let nonces: Vec<_> =
        bench.asked.iter().map(|asked| (asked.nonce(), asked.prefix().to_string())).collect();
    for (nonce, name) in nonces {
        bench.reply_to(nonce, &[record(group(), &name, &[1])]);
    }
    eids.iter().for_each(|eid| bench.miss(eid));
    bench.wait_s(5);
    assert_eq!((bench.asked.len(), bench.count(Counter::RequestsSent)), (100, 100));
    assert_eq!(bench.itr.cached(), (100, 0));
}

#[test]
fn what_is_refused_leaves_the_question_open() {
    let mut bench = Bench::new(settings());
    bench.miss("10.1.2.3");
    bench.reply(&[record(group(), "10.2.0.0/16", &[1])]);
    bench.reply(&[record(group(), "0.0.0.0/0", &[1])]);
    bench.reply(&[record(sterna_wire::Iid::new(7).unwrap(), "10.1.0.0/16", &[1])]);
    bench.reply(&[record(group(), "10.0.0.0/8", &[1])]);
    assert_eq!(bench.published(), vec![]);
    for (counter, count) in [
        (Counter::ReplyNotCovering, 1),
        (Counter::ReplyOverclaim, 2),
        (Counter::ReplyForeignGroup, 1),
        (Counter::RepliesAccepted, 0),
    ] {
        assert_eq!(bench.count(counter), count, "{counter:?}");
    }
    bench.reply(&[record(group(), "10.1.2.3/32", &[1])]);
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[1])]);
}

#[test]
fn row_17_only_what_was_asked_for_is_heard() {
    let mut bench = Bench::new(settings());
    bench.reply_to(42, &[record(group(), "10.1.2.3/32", &[1])]);
    assert_eq!(bench.count(Counter::ReplyUnknownNonce), 1);
    bench.miss("10.1.2.3");
    let nonce = bench.asked[0].nonce();
    let reply = |probe| MapReply {
        probe,
        nonce,
        records: vec![record(group(), "10.1.2.3/32", &[1])],
        ..MapReply::default()
    };
    bench.reply_from(reply(true), SocketAddr::new(resolver(10), 4342));
    bench.reply_from(reply(false), SocketAddr::new(resolver(10), 1234));
    assert_eq!((bench.count(Counter::ReplyWrongKind), bench.count(Counter::ReplySourcePort)), (1, 1));
    assert_eq!(bench.published(), vec![]);
    bench.reply_from(reply(false), SocketAddr::new(rloc(9), 4342));
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[1])], "a site may answer for itself");
    bench.reply_to(nonce, &[record(group(), "10.1.2.3/32", &[2])]);
    assert_eq!((bench.count(Counter::ReplyDuplicate), bench.published()), (1, vec![]));
}

#[test]
fn several_records_make_no_hole() {
    let mut bench = Bench::new(settings());
    bench.miss("10.64.2.3");
    let records = [
        record(group(), "10.64.0.0/16", &[1]),
        record(group(), "10.64.7.0/24", &[2]),
        nobody(group(), "10.64.8.0/24", 15),
        record(group(), "10.65.0.0/16", &[3]),
    ];
    bench.reply(&records);
    assert_eq!(bench.published(), vec![mapped("10.64.0.0/16", &[1]), mapped("10.64.7.0/24", &[2])]);
    assert_eq!(bench.count(Counter::RecordOutside), 1);
}

#[test]
fn an_answer_replaces_what_it_contradicts() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.3/32", &[1]));
    bench.learn("10.1.2.4", record(group(), "10.1.2.4/32", &[1]));
    bench.doubt("10.1.2.3");
    bench.reply(&[record(group(), "10.1.2.0/24", &[2])]);
    assert_eq!(bench.published(), vec![mapped("10.1.2.0/24", &[2]), removed("10.1.2.3/32")]);
    assert!(bench.entry("10.1.2.4/32").is_some(), "another EID");
}

#[test]
fn negatives_in_a_range_are_for_one_eid_and_one_minute() {
    let mut bench = Bench::new(settings());
    bench.miss("10.1.2.3");
    bench.reply(&[nobody(group(), "10.1.0.0/16", 15)]);
    assert_eq!(bench.published(), vec![negative("10.1.2.3/32")]);
    bench.wait(59_999);
    assert_eq!(bench.state("10.1.2.3/32"), Some(EntryState::Negative));
    bench.wait(1);
    assert_eq!(bench.published(), vec![removed("10.1.2.3/32")]);
    bench.miss("172.16.5.5");
    bench.reply(&[nobody(group(), "128.0.0.0/1", 15)]);
    assert_eq!(bench.published(), vec![negative("128.0.0.0/1")]);
    bench.wait_s(899);
    assert_eq!(bench.published(), vec![]);
    bench.wait_s(1);
    assert_eq!(bench.published(), vec![removed("128.0.0.0/1")]);
}

#[test]
fn a_negative_answer_for_everything_is_cut_down() {
    let mut bench = Bench::new(settings());
    bench.miss("172.16.5.5");
    bench.reply(&[nobody(group(), "0.0.0.0/0", 15)]);
    assert_eq!(bench.published(), vec![negative("128.0.0.0/1")]);
}

#[test]
fn row_39_ttl_zero_deletes() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.3/32", &[1]));
    bench.doubt("10.1.2.3");
    bench.reply(&[EidRecord { ttl: 0, ..record(group(), "10.1.2.3/32", &[1]) }]);
    assert_eq!(bench.published(), vec![removed("10.1.2.3/32")]);
}

#[test]
fn row_42_and_row_7_a_mapping_without_a_usable_locator_is_no_entry() {
    let mut bench = Bench::new(settings());
    let own = EidRecord {
        locators: vec![LocatorRecord::unicast(ip("203.0.113.1"), 1, 100)],
        ..record(group(), "10.1.2.3/32", &[])
    };
    bench.learn("10.1.2.3", record(group(), "10.1.2.3/32", &[1]));
    bench.doubt("10.1.2.3");
    bench.reply(&[own]);
    assert_eq!(bench.published(), vec![removed("10.1.2.3/32")], "it is here");
    let unknown = LocatorRecord {
        address: LispAddress::Opaque(vec![0x40, 3, 0, 0, 255, 0, 0, 0]),
        ..LocatorRecord::unicast(rloc(1), 1, 100)
    };
    bench.miss("10.1.2.4");
    bench.reply(&[EidRecord { locators: vec![unknown], ..record(group(), "10.1.2.4/32", &[]) }]);
    assert_eq!((bench.published(), bench.count(Counter::ReplyUnusable)), (vec![], 1));
    assert_eq!(bench.state("10.1.2.4/32"), Some(EntryState::Resolving), "the question stays open");
}

#[test]
fn row_38_a_mapping_for_sources_only_is_kept() {
    let mut bench = Bench::new(settings());
    let mut mapping = record(group(), "10.1.2.3/32", &[1]);
    mapping.locators[0].priority = 255;
    bench.miss("10.1.2.3");
    bench.reply(&[mapping]);
    let only = crate::outbox::Locator { priority: 255, ..locator(1) };
    assert_eq!(bench.published(), vec![("10.1.2.3/32".into(), Some(Some(vec![only])))]);
    assert_eq!(bench.itr.locators().count(), 0, "and not probed");
}

#[test]
fn an_answer_that_says_to_ask_again_is_no_answer() {
    let mut bench = Bench::new(settings());
    bench.miss("10.1.2.3");
    let again = EidRecord {
        act: sterna_wire::lisp::control::Act::SendMapRequest,
        ..nobody(group(), "10.1.2.3/32", 1)
    };
    bench.reply(&[again]);
    assert_eq!((bench.published(), bench.count(Counter::ReplyAskAgain)), (vec![], 1));
    bench.wait(600);
    assert_eq!(bench.asked.len(), 2);
}

#[test]
fn row_40_a_tail_does_not_matter() {
    let mut bench = Bench::new(settings());
    bench.miss("10.1.2.3");
    let nonce = bench.asked[0].nonce();
    let records = vec![record(group(), "10.1.2.3/32", &[1])];
    let reply = MapReply { nonce, records, tail: vec![0x40, 3, 0, 0, 255, 0, 9, 9], ..MapReply::default() };
    bench.reply_from(reply, SocketAddr::new(resolver(10), 4342));
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[1])]);
}

#[test]
fn a_doubtful_source_is_confirmed_even_if_nothing_changed() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.0/24", &[1]));
    bench.doubt("10.1.2.3");
    assert_eq!(bench.asked.len(), 2);
    assert_eq!(bench.asked[1].prefix(), prefix("10.1.2.3/32"));
    bench.reply(&[record(group(), "10.1.2.0/24", &[1])]);
    assert_eq!(bench.published(), vec![], "its packets may have overtaken the news");
    bench.wait(299);
    assert_eq!((bench.asked.len(), bench.count(Counter::SourceCheckAgain)), (2, 1));
    bench.wait(10);
    assert_eq!((bench.asked.len(), bench.asked[2].prefix()), (3, prefix("10.1.2.3/32")));
    bench.reply(&[record(group(), "10.1.2.0/24", &[1])]);
    assert!(bench.mappings[0].confirm && bench.mappings.len() == 1);
    bench.mappings.clear();
    bench.doubt("10.1.2.3");
    assert_eq!((bench.asked.len(), bench.count(Counter::SourceCheckPaced)), (3, 1));
    bench.wait(1000);
    bench.doubt("10.1.2.3");
    bench.reply(&[record(group(), "10.1.2.3/32", &[2])]);
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[2])], "it moved");
    assert_eq!(bench.count(Counter::SourceCheckAgain), 1);
}

#[test]
fn news_that_came_late_is_found_by_the_second_question() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.3/32", &[1]));
    bench.doubt("10.1.2.3");
    bench.reply(&[record(group(), "10.1.2.3/32", &[1])]);
    let late = bench.asked.last().unwrap().nonce();
    bench.wait(310);
    bench.reply_to(late, &[record(group(), "10.1.2.3/32", &[3])]);
    assert_eq!((bench.published(), bench.count(Counter::ReplyDuplicate)), (vec![], 1), "an answered nonce");
    bench.reply(&[record(group(), "10.1.2.3/32", &[2])]);
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[2])]);
    bench.wait_s(20);
    assert_eq!(bench.asked.len(), 3, "it is answered");
}

#[test]
fn a_second_question_that_is_lost_is_repeated() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.3/32", &[1]));
    bench.doubt("10.1.2.3");
    bench.wait(600);
    assert_eq!(bench.asked.len(), 3, "the first was lost already");
    bench.reply(&[record(group(), "10.1.2.3/32", &[1])]);
    bench.wait(310);
    assert_eq!(bench.asked.len(), 4);
    bench.wait(600);
    assert_eq!(bench.asked.len(), 5);
    assert_eq!(bench.count(Counter::RequestsDelayed), 0);
    bench.reply(&[record(group(), "10.1.2.3/32", &[1])]);
    assert!(bench.mappings[0].confirm);
}

#[test]
fn a_doubtful_source_that_nobody_has_is_confirmed_too() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", nobody(group(), "10.1.2.3/32", 15));
    bench.doubt("10.1.2.3");
    bench.reply(&[nobody(group(), "10.1.2.3/32", 15)]);
    assert_eq!(bench.published(), vec![]);
    bench.wait(310);
    bench.reply(&[nobody(group(), "10.1.2.3/32", 15)]);
    assert!(bench.mappings[0].confirm);
    assert_eq!(bench.published(), vec![negative("10.1.2.3/32")]);
}

#[test]
fn a_doubtful_source_without_an_answer_changes_nothing() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.0/24", &[1]));
    bench.doubt("10.1.2.3");
    bench.wait_s(30);
    assert_eq!((bench.published(), bench.state("10.1.2.0/24")), (vec![], Some(EntryState::Fresh)));
}

#[test]
fn a_miss_of_a_known_entry_publishes_it_again() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.0/24", &[1]));
    bench.miss("10.1.2.9");
    assert!(bench.mappings[0].confirm);
    assert_eq!((bench.published(), bench.asked.len()), (vec![mapped("10.1.2.0/24", &[1])], 1));
}

#[test]
fn questions_that_cannot_be_asked_are_counted() {
    let mut bench = Bench::new(ItrSettings { resolvers: vec![], ..settings() });
    bench.miss("10.1.2.3");
    assert_eq!(bench.count(Counter::NoResolver), 1);
    let mut bench = Bench::new(ItrSettings { local_rlocs: vec![], ..settings() });
    bench.miss("10.1.2.3");
    assert_eq!(bench.count(Counter::NoItrRloc), 1);
    let mut bench = Bench::new(settings());
    for eid in ["224.0.0.1", "127.0.0.1", "255.255.255.255", "ff02::1", "10.9.0.7"] {
        bench.miss(eid);
    }
    bench.call(|itr, now, out| itr.miss(sterna_wire::Iid::DEFAULT, ip("10.1.2.3"), false, 0, now, out));
    assert_eq!((bench.count(Counter::MissBadEid), bench.count(Counter::MissOwnEid)), (4, 1));
    assert_eq!((bench.count(Counter::MissUnknownGroup), bench.asked.len()), (1, 0));
}
