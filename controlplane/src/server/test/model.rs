//! Registers, withdrawals, expiries and requests in any order, against a model that keeps a list and searches it.

use super::peers::*;
use crate::server::*;
use proptest::prelude::*;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use sterna_wire::Prefix;
use sterna_wire::lisp::control::{Act, EidRecord};

/// One registration of the model.
#[derive(Clone, Debug)]
struct Held {
    prefix: Prefix,
    holder: usize,
    locator: IpAddr,
    merge: bool,
    expires: Instant,
}

#[derive(Clone, Debug)]
enum Step {
    Register { holder: usize, prefix: Prefix, merge: bool, version: u8 },
    Withdraw { holder: usize, prefix: Prefix },
    Pass(u64),
    Ask(Prefix),
}

/// Prefixes in a small world, hosts and short ones, so that they meet.
fn some_prefix() -> impl Strategy<Value = Prefix> {
    let len = prop_oneof![Just(32u8), Just(32), Just(31), Just(30), Just(28), Just(24), Just(16)];
    (0u8..2, 0u8..24, len)
        .prop_map(|(third, last, len)| Prefix::masked(IpAddr::from([10, 1, third, last]), len).unwrap())
}

fn some_step() -> impl Strategy<Value = Step> {
    let register = (0usize..3, some_prefix(), prop::bool::weighted(0.2), 0u8..2);
    prop_oneof![
        4 => register.prop_map(|(holder, prefix, merge, version)| Step::Register { holder, prefix, merge, version }),
        1 => (0usize..3, some_prefix()).prop_map(|(holder, prefix)| Step::Withdraw { holder, prefix }),
        1 => prop_oneof![0u64..1000, 0u64..200_000].prop_map(Step::Pass),
        3 => some_prefix().prop_map(Step::Ask),
    ]
}

/// The address that a holder registers: it has two.
fn locator(holder: usize, version: u8) -> IpAddr {
    IpAddr::from([198, 51, 100 + version, 1 + holder as u8])
}

#[derive(Default)]
struct Model {
    held: Vec<Held>,
}

impl Model {
    fn expire(&mut self, now: Instant) {
        self.held.retain(|held| held.expires > now);
    }

    /// Everybody here acknowledges at once and no EID is ever frozen, so the last register always wins.
    fn register(&mut self, new: Held) {
        let others = |held: &&Held| held.prefix == new.prefix && held.holder != new.holder;
        if new.merge && self.held.iter().filter(others).any(|held| !held.merge) {
            return;
        }
        self.held.retain(|held| held.prefix != new.prefix || new.merge && held.holder != new.holder);
        self.held.push(new);
    }

    fn locators(&self, prefix: &Prefix) -> Vec<IpAddr> {
        let held = self.held.iter().filter(|held| held.prefix == *prefix);
        let mut locators: Vec<IpAddr> = held.map(|held| held.locator).collect();
        locators.sort();
        locators.dedup();
        locators
    }

    fn longest(&self, question: &Prefix) -> Option<Prefix> {
        let covers = self.held.iter().map(|held| held.prefix).filter(|prefix| prefix.covers(question));
        covers.max_by_key(Prefix::len)
    }

    fn inside(&self, prefix: &Prefix) -> Vec<Prefix> {
        let parts = self.held.iter().map(|held| held.prefix);
        let mut parts: Vec<Prefix> = parts.filter(|part| prefix.covers(part) && part != prefix).collect();
        parts.sort();
        parts.dedup();
        parts
    }

    /// (prefix, locators) of each record that answers.
    fn answer(&self, question: &Prefix) -> Vec<(Prefix, Vec<IpAddr>)> {
        let as_they_are = |parts: Vec<Prefix>, max: usize| -> Vec<_> {
            parts.iter().take(max).map(|part| (*part, self.locators(part))).collect()
        };
        let Some(longest) = self.longest(question) else {
            let parts = self.inside(question);
            return if parts.is_empty() { vec![(*question, Vec::new())] } else { as_they_are(parts, 16) };
        };
        let parts = self.inside(&longest);
        let locators = self.locators(&longest);
        if parts.len() < 16 {
            let mut all = vec![(longest, locators)];
            all.extend(as_they_are(parts, 16));
            return all;
        }
        let mut within = self.inside(question);
        if within.is_empty() {
            let lens = longest.len()..=question.len();
            let widest = lens
                .map(|len| Prefix::masked(question.addr(), len).unwrap())
                .find(|wider| {
                    !parts
                        .iter()
                        .any(|part| wider.covers(part) && part != wider || part == wider && part != question)
                })
                .unwrap();
            return vec![(widest, locators)];
        }
        within.truncate(15);
        let mut all = vec![(*question, locators)];
        all.extend(as_they_are(within, 15));
        all
    }
}

fn check(records: &[EidRecord], model: &Model, question: &Prefix) -> Result<(), TestCaseError> {
    let answered: Vec<(Prefix, Vec<IpAddr>)> = records
        .iter()
        .map(|record| {
            let mut locators = addresses(record);
            locators.sort();
            (prefix_of(record), locators)
        })
        .collect();
    prop_assert_eq!(answered, model.answer(question), "about {}", question);
    if let [record] = records
        && record.locators.is_empty()
    {
        prop_assert_eq!((record.ttl, record.act), (1, Act::NativelyForward));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn every_answer_is_what_the_model_gives(steps in prop::collection::vec(some_step(), 1..120)) {
        let generous = ServerSettings {
            moves_max: 1_000_000,
            ..settings(&[site("site-a", "10.1.0.0/16")])
        };
        let mut world = World::new(generous);
        let mut model = Model::default();
        let mut peers: Vec<Peer> =
            (1..=3).map(|last| Peer::of("site-a", &format!("198.51.100.{last}"))).collect();
        let mut itr = Peer::of("site-a", "198.51.100.77");
        itr.registers(&mut world, &["10.1.255.255/32"]);
        let withdrawal = itr.withdrawal(&["10.1.255.255/32"]);
        itr.send(&mut world, &withdrawal);
        for step in steps {
            match step {
                Step::Register { holder, prefix, merge, version } => {
                    let address = locator(holder, version);
                    let mut register = peers[holder].register(&[&prefix.to_string()]);
                    register.merge = merge;
                    register.records[0].locators[0].address = address.into();
                    let sent = peers[holder].send(&mut world, &register);
                    for peer in &peers {
                        let told = peer.notifies(&sent).into_iter();
                        told.filter(|notify| notify.nonce != register.nonce).for_each(|notify| {
                            peer.ack(&mut world, &notify);
                        });
                    }
                    // A life ends with the tenth of a second in which 180 seconds are over.
                    let expires = world.now + Duration::from_secs(180);
                    model.register(Held { prefix, holder, locator: address, merge, expires });
                    let registered = world.registered(&prefix.to_string());
                    prop_assert_eq!(registered, model.locators(&prefix));
                }
                Step::Withdraw { holder, prefix } => {
                    let withdrawal = peers[holder].withdrawal(&[&prefix.to_string()]);
                    peers[holder].send(&mut world, &withdrawal);
                    model.held.retain(|held| held.prefix != prefix || held.holder != holder);
                }
                Step::Pass(ms) => {
                    // Never between the end of a life and the tick that sees it.
                    let step = Duration::from_millis(ms / 1000 * 1000);
                    world.pass(step);
                    model.expire(world.now);
                    world.pass(Duration::from_millis(200));
                    model.expire(world.now - Duration::from_millis(200));
                }
                Step::Ask(question) => {
                    let records = itr.resolves(&mut world, &question.to_string());
                    check(&records, &model, &question)?;
                }
            }
            prop_assert_eq!(world.server.registration_count(), model.held.len());
        }
    }
}
