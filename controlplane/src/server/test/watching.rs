//! Who is told of a change of context: those whose answer is another one now, at once, and nobody else.

use super::peers::*;
use crate::outbox::Datagram;
use std::time::Duration;
use sterna_wire::lisp::control::acx::{
    Acx, AgentState, Attributes, Constraint, Need, Scope, Scoped, StatusCode, hash_of,
};
use sterna_wire::lisp::control::{Act, LispAddress, LocatorRecord, MapNotify, MapRequest};

const SECOND: Duration = Duration::from_secs(1);
const EID: &str = "10.1.0.7/32";

/// A server; an ETR of site-b with one EID at 198.51.100.1 and .2; and subscribers of site-a.
struct Stage {
    world: World,
    etr: Peer,
    seq: u32,
}

impl Stage {
    fn new() -> Stage {
        let mut stage = Stage { world: World::of_two(), etr: Peer::of("site-b", "198.51.100.1"), seq: 0 };
        let mut register = stage.etr.register(&[EID]);
        register.records[0].locators.push(LocatorRecord::unicast(ip("198.51.100.2"), 1, 100));
        stage.etr.send(&mut stage.world, &register);
        stage
    }

    /// A subscriber that asked this, and has acknowledged.
    fn subscriber(&mut self, address: &str, question: Option<Acx>) -> Peer {
        let mut itr = Peer::of("site-a", address);
        let last = address.rsplit('.').next().unwrap();
        itr.registers(&mut self.world, &[&format!("10.1.200.{last}/32")]);
        let notify = self.subscribes(&mut itr, question);
        assert_eq!(notify.records.len(), 1);
        itr
    }

    fn subscribes(&mut self, itr: &mut Peer, question: Option<Acx>) -> MapNotify {
        let tail = question.map_or_else(Vec::new, |question| question.bytes());
        let request = MapRequest { tail, ..itr.subscription(EID) };
        let sent = itr.ask(&mut self.world, &request);
        let notify = itr.notifies(&sent).pop().unwrap();
        itr.ack(&mut self.world, &notify);
        self.world.pass(SECOND);
        notify
    }

    /// The ETR says this; what the server sends at once.
    fn says(&mut self, scope: Scope, attributes: Attributes) -> Vec<Datagram> {
        self.world.pass(SECOND);
        self.seq += 1;
        let delta = self.etr.delta(self.seq, vec![Scoped::new(scope, attributes)]);
        let sent = self.etr.send(&mut self.world, &delta);
        let answer = self.etr.notifies(&sent).into_iter().find(|notify| notify.nonce == delta.nonce);
        assert_eq!(block(&answer.unwrap().tail).unwrap().status.unwrap().code, StatusCode::Ok);
        sent
    }

    /// What this subscriber is told, acknowledged; none when nothing.
    fn told(&mut self, itr: &Peer, sent: &[Datagram]) -> Option<MapNotify> {
        let mut notifies = itr.notifies(sent);
        assert!(notifies.len() < 2, "{sent:?}");
        let notify = notifies.pop()?;
        itr.ack(&mut self.world, &notify);
        Some(notify)
    }
}

fn second() -> Scope {
    Scope::EidLocator(iid(100), prefix(EID), ip("198.51.100.2"))
}

fn list(of: &[(u8, u8)]) -> Vec<(String, u8)> {
    of.iter().map(|(last, priority)| (last.to_string(), *priority)).collect()
}

#[test]
fn failing_is_told_everybody_at_once_and_recovering_too() {
    let mut stage = Stage::new();
    let plain = stage.subscriber("198.51.100.11", None);
    let computing = stage.subscriber("198.51.100.12", Some(for_attributes()));
    let sent = stage.says(second(), in_state(AgentState::Failed));
    let notify = stage.told(&plain, &sent).unwrap();
    assert_eq!((order(&notify.records[0]), notify.tail.len()), (list(&[(1, 1)]), 0));
    assert_eq!(notify.records[0].ttl, 1440, "who is told of changes may keep it");
    let notify = stage.told(&computing, &sent).unwrap();
    assert_eq!(order(&notify.records[0]), list(&[(1, 1), (2, 255)]));
    let told = block(&notify.tail).unwrap();
    assert!(told.reply && told.complete);
    assert_eq!(told.entries[1].attributes, in_state(AgentState::Failed));
    let sent = stage.says(whole(EID), in_state(AgentState::Suspended));
    let notify = stage.told(&plain, &sent).unwrap();
    assert_eq!((notify.records[0].act, notify.records[0].locators.len()), (Act::DropPolicyDenied, 0));
    let notify = stage.told(&computing, &sent).unwrap();
    assert_eq!(block(&notify.tail).unwrap().status.unwrap().code, StatusCode::NoMatch);
    let sent = stage.says(second(), in_state(AgentState::Active));
    assert_eq!(order(&stage.told(&plain, &sent).unwrap().records[0]), list(&[(2, 1)]));
    assert!(stage.told(&computing, &sent).is_some());
    assert!(stage.world.refusals().is_empty());
}

#[test]
fn of_load_only_tenths_and_the_order_are_told() {
    let mut stage = Stage::new();
    let plain = stage.subscriber("198.51.100.11", None);
    let computing = stage.subscriber("198.51.100.12", Some(for_attributes()));
    // 275 is the score of the other one; 300 - load/4 + 100 = 400 - load/4 is the score of this one.
    for (load, to_plain, to_computing) in [
        (100, true, true),
        (199, false, false),
        (201, false, true),
        (299, false, false),
        // Within 50 of the other one: both take flows.
        (309, true, true),
        (395, false, false),
        (401, false, true),
        (310, false, true),
        // Still together at 300, no longer at 299.
        (300, false, false),
        (299, true, true),
    ] {
        let sent = stage.says(second(), loaded(load));
        let told = (stage.told(&plain, &sent).is_some(), stage.told(&computing, &sent).is_some());
        assert_eq!(told, (to_plain, to_computing), "{load}");
    }
    let quiet = stage.world.server.counters().context_quiet;
    assert_eq!(quiet, 4, "changes that nobody was told of");
    // The queue is nobody's business.
    let queue = |waiting| {
        let mut said = loaded(299);
        said.load.as_mut().unwrap().queue = Some(waiting);
        said
    };
    for waiting in [1, 60_000] {
        let sent = stage.says(second(), queue(waiting));
        assert!(stage.told(&computing, &sent).is_none());
    }
    assert!(stage.world.pass(10 * SECOND).is_empty());
}

#[test]
fn every_other_attribute_is_told_those_who_asked_for_attributes() {
    let mut stage = Stage::new();
    let plain = stage.subscriber("198.51.100.11", None);
    let computing = stage.subscriber("198.51.100.12", Some(for_attributes()));
    let gpu = for_hardware("gpu");
    let listed = stage.subscriber("198.51.100.13", Some(gpu.clone()));
    let sent = stage.says(second(), with_hardware(&["npu"]));
    assert!(stage.told(&plain, &sent).is_none() && stage.told(&listed, &sent).is_none());
    assert!(stage.told(&computing, &sent).is_some());
    // From no match to a match, and back.
    let sent = stage.says(second(), with_hardware(&["gpu", "npu"]));
    assert!(stage.told(&plain, &sent).is_none() && stage.told(&computing, &sent).is_some());
    let notify = stage.told(&listed, &sent).unwrap();
    assert_eq!(order(&notify.records[0]), list(&[(2, 1)]));
    assert_eq!(block(&notify.tail).unwrap().hash, hash_of(&gpu.constraints, None));
    let sent = stage.says(second(), with_hardware(&["npu"]));
    let notify = stage.told(&listed, &sent).unwrap();
    let told = block(&notify.tail).unwrap();
    assert_eq!(
        (told.status.unwrap().code, notify.records[0].act),
        (StatusCode::NoMatch, Act::DropPolicyDenied)
    );
    // The same again is no change.
    let sent = stage.says(second(), with_hardware(&["npu"]));
    assert_eq!(sent.len(), 1, "the answer to the ETR");
}

#[test]
fn what_is_over_is_told_if_the_order_is_another_one() {
    let mut stage = Stage::new();
    let plain = stage.subscriber("198.51.100.11", None);
    let sent = stage.says(second(), in_state(AgentState::Failed));
    stage.told(&plain, &sent).unwrap();
    for _ in 0..2 {
        // Both sites go on registering, without a word of context.
        stage.world.pass(44 * SECOND);
        let mut register = stage.etr.register(&[EID]);
        register.records[0].locators.push(LocatorRecord::unicast(ip("198.51.100.2"), 1, 100));
        stage.etr.send(&mut stage.world, &register);
    }
    let sent = stage.world.pass(3 * SECOND);
    let notify = plain.notifies(&sent).into_iter().next().unwrap();
    assert_eq!(order(&notify.records[0]), list(&[(1, 1), (2, 1)]));
}

#[test]
fn one_xtr_subscribes_to_several_lists_of_one_eid_and_each_has_its_own_sequence() {
    let mut stage = Stage::new();
    let mut itr = stage.subscriber("198.51.100.11", Some(for_hardware("gpu")));
    let limited = Acx {
        constraints: vec![Constraint::hard(Need::Load(500))],
        return_attributes: false,
        ..for_attributes()
    };
    let confirmed = stage.subscribes(&mut itr, Some(limited.clone()));
    assert_eq!(block(&confirmed.tail).unwrap().hash, hash_of(&limited.constraints, None));
    assert_eq!(stage.world.server.subscription_count(), 2);
    let sent = stage.says(whole(EID), with_hardware(&["gpu"]));
    assert_eq!(itr.notifies(&sent).len(), 1, "of the load nothing changed");
    let all = with_hardware(&["gpu"]).overlaid(&loaded(900));
    let sent = stage.says(second(), all);
    let mut told: Vec<(u64, Option<[u8; 8]>)> = itr
        .notifies(&[&sent[..], &stage.world.pass(SECOND / 100)[..]].concat())
        .iter()
        .map(|notify| (notify.nonce, block(&notify.tail).unwrap().hash))
        .collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&(confirmed.nonce + 1, hash_of(&limited.constraints, None))));
    // Renewed with another wish it is the same subscription; ended without ACX all are.
    stage.subscribes(&mut itr, Some(Acx { return_attributes: false, ..limited }));
    assert_eq!(stage.world.server.subscription_count(), 2);
    let mut end = itr.subscription(EID);
    end.itr_rlocs = vec![LispAddress::None];
    itr.ask(&mut stage.world, &end);
    assert_eq!((stage.world.server.subscription_count(), stage.world.server.counters().unsubscribed), (0, 2));
}

#[test]
fn a_subscription_to_a_list_ends_by_its_question_alone() {
    let mut stage = Stage::new();
    let mut itr = stage.subscriber("198.51.100.11", Some(for_attributes()));
    stage.subscribes(&mut itr, Some(for_hardware("gpu")));
    let left = |stage: &Stage| stage.world.server.subscription_count();
    assert_eq!(left(&stage), 2);
    // Asked with a wish for attributes the list would not be filtered now; still it is that one that ends.
    for (question, remaining) in [(for_hardware("npu"), 2), (for_hardware("gpu"), 1), (for_attributes(), 0)] {
        let question = Acx { return_attributes: true, ..question };
        let mut end = MapRequest { tail: question.bytes(), ..itr.subscription(EID) };
        end.itr_rlocs = vec![LispAddress::None];
        let sent = itr.ask(&mut stage.world, &end);
        assert_eq!((itr.notifies(&sent).len(), left(&stage)), (1, remaining));
    }
}

#[test]
fn those_who_compute_have_one_subscription_whatever_they_ask() {
    let mut stage = Stage::new();
    let mut itr = stage.subscriber("198.51.100.11", Some(for_attributes()));
    let constraints = for_hardware("gpu").constraints;
    stage.subscribes(&mut itr, Some(Acx { constraints, ..for_attributes() }));
    stage.subscribes(&mut itr, None);
    assert_eq!(stage.world.server.subscription_count(), 1);
    let sent = stage.says(whole(EID), with_hardware(&["gpu"]));
    assert!(stage.told(&itr, &sent).is_none(), "the last question was none in ACX");
}

#[test]
fn a_storm_of_deltas_reaches_a_subscriber_in_few_messages() {
    let mut stage = Stage::new();
    let computing = stage.subscriber("198.51.100.12", Some(for_attributes()));
    let mut sent = Vec::new();
    for number in 0..1000 {
        stage.seq += 1;
        let said = loaded(if number % 2 == 0 { 0 } else { 1000 });
        let delta = stage.etr.delta(stage.seq, vec![Scoped::new(whole(EID), said)]);
        sent.extend(stage.etr.send(&mut stage.world, &delta));
        sent.extend(stage.world.pass(Duration::from_micros(100)));
        for notify in computing.notifies(&sent.split_off(0)) {
            computing.ack(&mut stage.world, &notify);
        }
    }
    let published = stage.world.server.counters().published;
    assert!((15..=25).contains(&published), "{published} in 100 ms, 5 ms apart");
    assert_eq!(stage.world.server.context_count().0, 1);
}
