//! What changes the rows of context classes: states, time, publications, settings.

use std::collections::BTreeMap;

use sterna_wire::lisp::control::acx::{Acx, AgentState, Attributes, Constraint, Need};

use super::bench::*;
use super::said::*;
use crate::context::Class;
use crate::itr::{Counter, ItrSettings};
use crate::outbox::{Choice, Chosen, Locator, Mapping};

#[test]
fn who_failed_or_is_suspended_is_in_no_row() {
    let mut bench = Bench::new(classed());
    bench.miss(EID);
    let said =
        [in_state(AgentState::Failed), in_state(AgentState::Suspended), in_state(AgentState::Draining)];
    let mut record = host(&[1, 2, 3]);
    record.locators[0].priority = 255;
    record.locators[1].priority = 255;
    bench.reply_with(bench.asked[0].nonce(), &[record], &block(&said));
    let change = bench.mappings.pop().unwrap();
    let only = row(&[chosen(3, 1)]);
    assert_eq!((&change.classes[&0], &change.classes[&3]), (&only, &only));
    let source = |number| Locator { priority: 255, ..locator(number) };
    assert_eq!(change.mapping, Some(Mapping::Locators(vec![source(1), source(2), locator(3)])));
}

#[test]
fn a_single_agent_that_failed_leaves_no_match() {
    let mut bench = Bench::new(classed());
    bench.miss(EID);
    bench.reply_with(bench.asked[0].nonce(), &[host(&[1])], &block(&[in_state(AgentState::Failed)]));
    assert_eq!(bench.rows(), [(0..4).map(|class| (class, Choice::NoMatch)).collect()]);
}

#[test]
fn what_nobody_can_reach_is_a_row_without_a_way_and_not_a_mismatch() {
    let mut bench = Bench::new(classed());
    bench.miss(EID);
    let mut record = host(&[1]);
    record.locators[0].reachable = false;
    bench.reply_with(bench.asked[0].nonce(), &[record], &block(&[with_gpu()]));
    let unreachable = row(&[Chosen { keep: false, ..chosen(1, 255) }]);
    assert_eq!(last(&bench, 1), Some(unreachable));
}

#[test]
fn dynamic_attributes_are_unknown_after_their_time() {
    let mut bench = Bench::new(classed());
    bench.alive = vec![rloc(1), rloc(2)];
    bench.miss(EID);
    let mut said = block(&[loaded(900), Attributes { hardware: Some(gpu()), ..loaded(0) }]);
    said.entries.iter_mut().for_each(|entry| entry.ttl_s = Some(90));
    bench.reply_with(bench.asked[0].nonce(), &[host(&[1, 2])], &said);
    assert_eq!(last(&bench, 2), Some(row(&[chosen(2, 1)])));
    bench.rows();
    bench.wait(89_900);
    assert_eq!(bench.rows().len(), 0);
    bench.wait(200);
    let both = row(&[chosen(1, 1), chosen(2, 1)]);
    assert_eq!(bench.rows().pop().map(|mut rows| rows.remove(&2)), Some(Some(both)), "nobody knows the load");
    assert_eq!(last(&bench, 1), Some(row(&[chosen(2, 1)])), "a GPU does not go away");
}

#[test]
fn a_drain_takes_its_time_and_new_words_of_it_do_not_begin_it_anew() {
    let mut bench = Bench::new(ItrSettings { classes: classes(), ..subscribing() });
    bench.alive = vec![rloc(1), rloc(2)];
    bench.miss(EID);
    let nonce = bench.asked[0].nonce();
    let draining = |load| Attributes { state: Some(AgentState::Draining), ..loaded(load) };
    assert!(bench.notify_with(nonce, &[host(&[1, 2])], &block(&[draining(0), loaded(0)])));
    assert_eq!(last(&bench, 0), Some(row(&[chosen(1, 2), chosen(2, 1)])));
    bench.wait_s(20);
    assert!(bench.notify_with(nonce + 1, &[host(&[1, 2])], &block(&[draining(50), loaded(0)])));
    bench.wait(9900);
    assert_eq!(last(&bench, 0), Some(row(&[chosen(1, 2), chosen(2, 1)])));
    bench.rows();
    bench.wait(200);
    let over = row(&[Chosen { keep: false, ..chosen(1, 2) }, chosen(2, 1)]);
    assert_eq!(bench.rows().pop().map(|mut rows| rows.remove(&0)), Some(Some(over)));
    assert!(bench.notify_with(nonce + 2, &[host(&[1, 2])], &block(&[loaded(0), loaded(0)])));
    assert_eq!(last(&bench, 0), Some(row(&[chosen(1, 1), chosen(2, 1)])));
}

#[test]
fn only_changes_are_published() {
    let mut bench = Bench::new(ItrSettings { classes: classes(), ..subscribing() });
    bench.miss(EID);
    let nonce = bench.asked[0].nonce();
    let said = |load| block(&[loaded(load), loaded(400)]);
    assert!(bench.notify_with(nonce, &[host(&[1, 2])], &said(400)));
    assert_eq!(bench.rows().len(), 1);
    assert!(bench.notify_with(nonce + 1, &[host(&[1, 2])], &said(300)));
    assert_eq!(bench.rows(), [], "25 points are within the spread");
    assert!(bench.notify_with(nonce + 2, &[host(&[1, 2])], &said(600)));
    let rows = bench.rows().pop().unwrap();
    assert_eq!(rows[&0], row(&[chosen(1, 1), chosen(2, 1)]), "50 points are as well");
    assert_eq!(rows[&2], row(&[chosen(2, 1)]), "too much load for this class");
    assert_eq!(bench.acks.len(), 3);
}

#[test]
fn a_delta_changes_what_it_names() {
    let mut bench = Bench::new(ItrSettings { classes: classes(), ..subscribing() });
    bench.miss(EID);
    let nonce = bench.asked[0].nonce();
    assert!(bench.notify_with(nonce, &[host(&[1])], &block(&[with_gpu()])));
    let busy = Acx { complete: false, ..block(&[in_state(AgentState::Busy)]) };
    assert!(bench.notify_with(nonce + 1, &[host(&[1])], &busy));
    assert_eq!(last(&bench, 1), Some(row(&[chosen(1, 1)])), "it still has its GPU");
    assert!(bench.notify_with(nonce + 2, &[host(&[1])], &block(&[in_state(AgentState::Busy)])));
    assert_eq!(last(&bench, 1), Some(Choice::NoMatch), "a snapshot names all there is");
}

#[test]
fn there_is_one_subscription_per_eid_and_one_per_need_where_answers_are_filtered() {
    let mut bench = Bench::new(ItrSettings { classes: classes(), ..subscribing() });
    bench.miss_class(EID, 1);
    bench.miss_class(EID, 2);
    let nonces = [bench.asked[0].nonce(), bench.asked[1].nonce()];
    assert_eq!((nonces[1], bench.itr.subscribed()), (nonces[0] + 1, 1), "it grows, whatever is needed");
    assert!(bench.notify_with(nonces[0], &[host(&[1])], &filtered(1, &[with_gpu()])));
    assert!(bench.notify_with(nonces[1], &[host(&[2])], &filtered(2, &[loaded(0)])));
    assert_eq!(bench.rows().pop(), Some([(1, row(&[chosen(1, 1)])), (2, row(&[chosen(2, 1)]))].into()));
    // Both go on with nonces of their own.
    assert!(bench.notify_with(nonces[0] + 1, &[host(&[3])], &filtered(1, &[with_gpu()])));
    assert!(bench.notify_with(nonces[1] + 1, &[host(&[4])], &filtered(2, &[loaded(0)])));
    assert_eq!(bench.rows().pop(), Some([(1, row(&[chosen(3, 1)])), (2, row(&[chosen(4, 1)]))].into()));
    assert_eq!(bench.count(Counter::NotifyReplayed) + bench.count(Counter::NotifyDuplicate), 0);
    bench.miss_class(EID, 3);
    assert!(bench.asked[2].nonce() > nonces[1] + 1000, "a series of its own");
    // Now the list is short again.
    assert!(bench.notify_with(bench.asked[2].nonce(), &[host(&[5])], &block(&[with_gpu()])));
    assert_eq!(last(&bench, 0), Some(row(&[chosen(5, 1)])));
    let nonce = bench.asked[2].nonce();
    assert!(bench.notify_with(nonce + 1, &[host(&[6])], &block(&[with_gpu()])));
    assert_eq!(last(&bench, 1), Some(row(&[chosen(6, 1)])));
    // Those for one need end by themselves.
    bench.wait_s(120);
    assert_eq!((bench.itr.subscribed(), bench.count(Counter::UnsubscribesSent)), (1, 2));
}

#[test]
fn a_block_that_is_not_authentic_is_not_believed() {
    let mut bench = Bench::new(ItrSettings { classes: classes(), ..subscribing() });
    bench.miss_class(EID, 1);
    let nonce = bench.asked[0].nonce();
    let notify =
        sterna_wire::lisp::control::MapNotify { nonce, records: vec![host(&[1])], ..Default::default() };
    // Signed without the block, as those do who sign the records only.
    let mut bytes = notify.signed(&key());
    bytes.extend(block(&[with_gpu()]).bytes());
    assert!(bench.notify_bytes(&bytes));
    assert_eq!((bench.count(Counter::ContextUnauthentic), last(&bench, 1)), (1, Some(Choice::NoMatch)));
}

#[test]
fn a_new_class_gets_its_row_from_what_is_known() {
    let mut bench = Bench::new(classed());
    bench.miss(EID);
    bench.reply_with(bench.asked[0].nonce(), &[host(&[1, 2])], &block(&[with_gpu(), loaded(0)]));
    bench.rows();
    let mut settings = classed();
    settings.classes.push(Class { id: 9, ..classes()[0].clone() });
    settings.classes[0].constraints = vec![Constraint::hard(Need::Load(0))];
    bench.call(|itr, _, out| itr.configure(settings, out));
    let rows = bench.rows().pop().unwrap();
    assert_eq!(rows[&9], row(&[chosen(1, 1)]));
    assert_eq!(rows[&1], row(&[chosen(1, 2), chosen(2, 1)]), "of 1 nobody said how loaded it is");
    bench.call(|itr, _, out| {
        itr.configure(ItrSettings { classes: classes()[1..].to_vec(), ..classed() }, out)
    });
    assert_eq!(bench.rows().pop().unwrap().into_keys().collect::<Vec<_>>(), [0, 2, 3]);
    assert_eq!(bench.asked.len(), 1);
}

#[test]
fn what_was_learned_without_context_is_asked_for_again_when_a_class_comes() {
    let mut bench = Bench::new(settings());
    bench.learn(EID, host(&[1]));
    bench.used(HOST);
    bench.call(|itr, _, out| itr.configure(classed(), out));
    bench.wait(100);
    assert_eq!(bench.asked.len(), 2);
    assert!(bench.asked[1].block().unwrap().return_attributes);
    bench.reply_with(bench.asked[1].nonce(), &[host(&[1])], &block(&[with_gpu()]));
    assert_eq!(bench.rows().pop().unwrap()[&1], row(&[chosen(1, 1)]));
    bench.used(HOST);
    bench.call(|itr, _, out| itr.configure(settings(), out));
    assert_eq!(bench.rows(), [BTreeMap::new()], "context plays no part any more");
    bench.wait(100);
    assert_eq!(bench.asked.last().unwrap().block(), None);
}

#[test]
fn a_class_miss_asks_where_nothing_is_known_of_attributes() {
    let mut bench = Bench::new(classed());
    bench.call(|itr, now, _| itr.adopt(group(), prefix(HOST), vec![locator(1)], now));
    bench.miss_class(EID, 1);
    let needs = |asked: &Asked| asked.block().unwrap().constraints;
    assert!(bench.asked.iter().any(|asked| needs(asked) == classes()[0].constraints));
    assert_eq!(bench.rows(), []);
    bench.miss_class(EID, 0);
    assert_eq!(bench.rows(), [BTreeMap::new()], "class 0 uses what there is");
}

#[test]
fn what_does_not_fit_into_memory_is_counted_and_classes_miss() {
    let mut settings = classed();
    settings.limits.context = 2000;
    let mut bench = Bench::new(settings);
    bench.miss(EID);
    bench.reply_with(bench.asked[0].nonce(), &[host(&[1])], &block(&[with_gpu()]));
    bench.miss("10.1.2.4");
    let other = record(group(), "10.1.2.4/32", &[1, 2, 3, 4, 5, 6, 7, 8]);
    bench.reply_with(bench.asked[1].nonce(), &[other], &block(&vec![with_gpu(); 8]));
    assert_eq!(bench.count(Counter::ContextFull), 1);
    assert_eq!(bench.rows().iter().map(BTreeMap::len).collect::<Vec<_>>(), [4, 0]);
    bench.miss_class("10.1.2.4", 1);
    assert_eq!(bench.asked.len(), 3);
}

#[test]
fn all_rows_together_name_sixteen_locators_and_each_has_its_best() {
    let mut bench = Bench::new(classed());
    for (class, first) in [(1, 10), (2, 40), (3, 70)] {
        bench.miss_class(EID, class);
        let rlocs: Vec<u8> = (first..first + 14).collect();
        let said = vec![Attributes { hardware: Some(gpu()), ..loaded(0) }; 14];
        let mut block = filtered(class, &said);
        // The last one is the best.
        block.entries[13].attributes.latency = Some(sterna_wire::lisp::control::acx::Latency {
            class: Some(sterna_wire::lisp::control::acx::LatencyClass::Low),
            sla_us: 0,
        });
        bench.reply_with(bench.asked.last().unwrap().nonce(), &[host(&rlocs)], &block);
    }
    let change = bench.mappings.pop().unwrap();
    let Some(Mapping::Locators(mapping)) = change.mapping else { panic!("no locators") };
    assert_eq!(mapping.len(), 16);
    for (class, best) in [(1, 23), (2, 53), (3, 83)] {
        let Choice::Locators(row) = &change.classes[&class] else { panic!("no row") };
        assert!(
            row.iter().any(|chosen| chosen.locator.address == rloc(best) && chosen.locator.priority == 1)
        );
        assert!(row.iter().all(|chosen| mapping.iter().any(|known| known.address == chosen.locator.address)));
    }
}
