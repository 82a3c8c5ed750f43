//! Context classes: what requests say of them, and the rows that follow from the answers.

use std::collections::BTreeMap;

use sterna_wire::lisp::control::acx::{Acx, Attributes};

use super::bench::*;
use super::said::*;
use crate::context::Class;
use crate::itr::{Counter, ItrSettings};
use crate::outbox::{Choice, Chosen, Locator, Mapping};

#[test]
fn without_classes_requests_say_nothing_and_answers_have_no_rows() {
    let mut bench = Bench::new(settings());
    bench.miss(EID);
    assert_eq!(bench.asked[0].request.tail, Vec::<u8>::new());
    let nonce = bench.asked[0].nonce();
    bench.reply_with(nonce, &[host(&[1])], &block(&[with_gpu()]));
    assert_eq!(bench.rows(), [BTreeMap::new()]);
    bench.miss_class(EID, 1);
    assert_eq!(bench.count(Counter::MissUnknownClass), 1);
}

#[test]
fn a_request_says_what_the_class_needs_and_wants_attributes() {
    let mut bench = Bench::new(classed());
    bench.miss(EID);
    bench.miss_class(EID, 1);
    let blocks: Vec<Acx> = bench.asked.iter().map(|asked| asked.block().unwrap()).collect();
    let plain = Acx { aware: true, return_attributes: true, ..Acx::default() };
    assert_eq!(blocks, [plain.clone(), Acx { constraints: classes()[0].constraints.clone(), ..plain }]);
    assert!(bench.asked.iter().all(|asked| asked.request.xtr.is_none() && !asked.subscribes()));
}

#[test]
fn one_that_subscribes_ends_with_the_identity() {
    let mut bench = Bench::new(ItrSettings { classes: classes(), ..subscribing() });
    bench.miss_class(EID, 1);
    let request = &bench.asked[0].request;
    assert!(bench.asked[0].subscribes() && request.xtr == Some(XTR));
    assert_eq!(bench.asked[0].block().unwrap().echo, Some(XTR));
    let mut identity = XTR.xtr_id.to_vec();
    identity.extend(XTR.site_id.to_be_bytes());
    assert!(request.tail.ends_with(&identity));
}

#[test]
fn one_question_per_need_is_open_and_an_answer_for_all_settles_them() {
    let mut bench = Bench::new(classed());
    bench.alive = vec![rloc(1), rloc(2)];
    for _ in 0..3 {
        for class in 0..4 {
            bench.miss_class(EID, class);
        }
    }
    assert_eq!(bench.asked.len(), 4);
    let nonce = bench.asked[1].nonce();
    bench.reply_with(nonce, &[host(&[1, 2])], &block(&[with_gpu(), loaded(100)]));
    // 1: 500 - 50 - 125 - 50 = 275. 2: 500 - 50 - 25 + 0 = 425, or 150 points better.
    let plain = row(&[chosen(1, 2), chosen(2, 1)]);
    let preferring = row(&[chosen(1, 1), chosen(2, 1)]);
    let rows = BTreeMap::from([
        (0, plain.clone()),
        (1, row(&[chosen(1, 1)])),
        // Of 1 nobody said how loaded it is.
        (2, plain),
        // 375 against 325.
        (3, preferring),
    ]);
    assert_eq!(bench.rows(), std::slice::from_ref(&rows));
    assert!(!bench.entry(HOST).unwrap().asking && bench.entry(HOST).unwrap().classes == rows);
    bench.wait_s(20);
    assert_eq!(bench.asked.len(), 4, "nothing is open");
    bench.miss_class(EID, 1);
    assert_eq!((bench.rows(), bench.asked.len()), (vec![rows], 4), "said again at once");
}

#[test]
fn a_locator_that_nobody_speaks_of_is_no_match_where_context_is_required() {
    let strict = Class { id: 4, require_context: true, ..classes()[1].clone() };
    let mut bench = Bench::new(ItrSettings { classes: vec![classes()[1].clone(), strict], ..settings() });
    bench.alive = vec![rloc(1), rloc(2)];
    bench.miss_class(EID, 4);
    let nonce = bench.asked[0].nonce();
    bench.reply_with(nonce, &[host(&[1, 2])], &block(&[Attributes::default(), loaded(100)]));
    assert_eq!(last(&bench, 4), Some(row(&[chosen(2, 1)])));
    let lenient = last(&bench, 2);
    assert!(matches!(&lenient, Some(Choice::Locators(row)) if row.len() == 2), "{lenient:?}");
}

#[test]
fn a_filtered_answer_is_the_row_of_whoever_needs_that() {
    let mut bench = Bench::new(classed());
    bench.miss_class(EID, 1);
    let nonce = bench.asked[0].nonce();
    bench.reply_with(nonce, &[host(&[1, 2])], &filtered(1, &[with_gpu(), with_gpu()]));
    let first = BTreeMap::from([(1, row(&[chosen(1, 1), chosen(2, 1)]))]);
    assert_eq!(bench.rows(), std::slice::from_ref(&first));
    bench.miss_class(EID, 2);
    assert_eq!(bench.asked[1].block().unwrap().constraints, classes()[1].constraints);
    let nonce = bench.asked[1].nonce();
    bench.reply_with(nonce, &[host(&[3])], &filtered(2, &[loaded(100)]));
    let mut both = first;
    both.insert(2, row(&[chosen(3, 1)]));
    let change = bench.mappings.pop().unwrap();
    assert_eq!(change.classes, both);
    let all = [1, 2, 3].map(locator).to_vec();
    assert_eq!(change.mapping, Some(Mapping::Locators(all)), "whoever any class uses");
    bench.miss_class(EID, 0);
    assert_eq!(bench.asked.len(), 3, "class 0 has no row yet");
}

#[test]
fn classes_that_need_the_same_are_asked_for_once() {
    let mut all = classes();
    all.push(Class { id: 4, ..classes()[0].clone() });
    let mut bench = Bench::new(ItrSettings { classes: all, ..settings() });
    bench.miss_class(EID, 1);
    bench.miss_class(EID, 4);
    assert_eq!(bench.asked.len(), 1);
    let nonce = bench.asked[0].nonce();
    bench.reply_with(nonce, &[host(&[1])], &filtered(1, &[with_gpu()]));
    assert_eq!(bench.rows(), [BTreeMap::from([(1, row(&[chosen(1, 1)])), (4, row(&[chosen(1, 1)]))])]);
}

#[test]
fn an_answer_filtered_for_needs_of_nobody_here_settles_nothing() {
    let mut bench = Bench::new(classed());
    bench.miss_class(EID, 1);
    let foreign = Acx { hash: Some([9; 8]), ..filtered(1, &[with_gpu()]) };
    let nonce = bench.asked[0].nonce();
    bench.reply_with(nonce, &[host(&[1])], &foreign);
    assert_eq!((bench.rows(), bench.count(Counter::ContextForeign)), (vec![], 1));
    bench.reply_with(nonce, &[host(&[1])], &filtered(2, &[loaded(1)]));
    assert!(bench.entry(HOST).unwrap().asking, "class 1 still waits");
    bench.rows();
    bench.reply_with(nonce, &[host(&[1])], &filtered(1, &[with_gpu()]));
    assert_eq!(last(&bench, 1), Some(row(&[chosen(1, 1)])));
}

#[test]
fn a_legacy_answer_will_not_do_where_context_is_required() {
    let mut bench = Bench::new(classed());
    bench.miss_class(EID, 1);
    let mut blind = host(&[1, 2]);
    blind.locators[1].priority = 2;
    bench.reply(&[blind]);
    // A registered priority binds open flows too.
    let unknown = row(&[chosen(1, 1), Chosen { keep: false, ..chosen(2, 2) }]);
    let rows =
        BTreeMap::from([(0, unknown.clone()), (1, Choice::NoMatch), (2, unknown.clone()), (3, unknown)]);
    assert_eq!(bench.rows(), [rows]);
    bench.miss_class(EID, 1);
    assert_eq!(bench.asked.len(), 1, "that is the answer");
}

#[test]
fn a_block_that_cannot_be_read_makes_a_legacy_answer() {
    let mut bench = Bench::new(classed());
    bench.miss_class(EID, 1);
    let mut reply = sterna_wire::lisp::control::MapReply {
        nonce: bench.asked[0].nonce(),
        records: vec![host(&[1])],
        tail: block(&[with_gpu()]).bytes(),
        ..Default::default()
    };
    // A score of 0xffff.
    let at = reply.tail.windows(2).position(|bytes| bytes == [0x60, 0]).unwrap();
    reply.tail[at + 4..at + 6].fill(0xff);
    bench.reply_from(reply, std::net::SocketAddr::new(resolver(10), 4342));
    assert_eq!(bench.count(Counter::ContextMalformed), 1);
    assert_eq!((last(&bench, 1), last(&bench, 0)), (Some(Choice::NoMatch), Some(row(&[chosen(1, 1)]))));
}

#[test]
fn that_nobody_will_do_holds_for_a_minute_and_for_that_need() {
    let mut bench = Bench::new(classed());
    bench.miss_class(EID, 1);
    let (record, block) = nobody_for(1);
    bench.reply_with(bench.asked[0].nonce(), &[record], &block);
    assert_eq!(bench.mappings[0].mapping, Some(Mapping::Locators(vec![])));
    assert_eq!(bench.rows(), [BTreeMap::from([(1, Choice::NoMatch)])]);
    assert_eq!(bench.count(Counter::NoMatches), 1);
    bench.miss_class(EID, 2);
    assert_eq!(bench.asked.len(), 2, "another need is another question");
    bench.reply_with(bench.asked[1].nonce(), &[host(&[1])], &filtered(2, &[loaded(1)]));
    assert_eq!(last(&bench, 1), Some(Choice::NoMatch));
    bench.rows();
    bench.wait_s(61);
    assert_eq!(bench.rows().pop(), Some(BTreeMap::from([(2, row(&[chosen(1, 1)]))])));
    bench.miss_class(EID, 1);
    let needs = |asked: &Asked| asked.block().unwrap().constraints;
    assert!(bench.asked.iter().skip(2).any(|asked| needs(asked) == classes()[0].constraints));
}

#[test]
fn that_nobody_can_be_used_is_so_for_all() {
    let mut bench = Bench::new(ItrSettings { classes: classes(), ..subscribing() });
    bench.miss_class(EID, 1);
    let nonce = bench.asked[0].nonce();
    assert!(bench.notify_with(nonce, &[host(&[1])], &block(&[with_gpu()])));
    let (record, all_failed) = nobody_for(1);
    assert!(bench.notify_with(nonce + 1, &[record], &Acx { filtered: false, ..all_failed }));
    let change = bench.mappings.pop().unwrap();
    assert_eq!(change.classes, (0..4).map(|class| (class, Choice::NoMatch)).collect());
    let source = Locator { priority: 255, ..locator(1) };
    assert_eq!(change.mapping, Some(Mapping::Locators(vec![source])), "packets may come from there");
}
