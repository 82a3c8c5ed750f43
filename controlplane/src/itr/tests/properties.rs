//! Whatever happens in whatever order, what must hold holds.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use sterna_wire::lisp::control::{EidRecord, MapNotify, MapReply};
use sterna_wire::{Iid, Prefix};

use super::bench::*;
use crate::itr::cache::Known;
use crate::itr::{Itr, ItrSettings, Limits, Rate, Timers};
use crate::outbox::{Mapping, MappingChange};

const MAX_ENTRIES: usize = 12;
const MAX_PENDING: usize = 8;
const MAX_SUBSCRIPTIONS: usize = 10;

#[derive(Clone, Debug)]
enum Event {
    Wait(u64),
    Miss { eid: u8, source: bool },
    Used { eid: u8 },
    Reply { which: usize, forged: bool, answer: Answer },
    Notify { which: usize, ahead: u64, forged: bool, answer: Answer },
    Smr { eid: u8 },
    Traffic { rloc: u8, sent: bool, received: bool },
    Probed { which: usize, reachable: bool },
    Adopt { eid: u8, rloc: u8 },
    Underlay { lost: u8 },
    Configure { resolvers: bool },
}

#[derive(Clone, Debug)]
struct Answer {
    eid: u8,
    len: u8,
    rlocs: Vec<u8>,
    ttl: u32,
}

impl Answer {
    fn record(&self) -> EidRecord {
        let prefix = Prefix::masked(eid_of(self.eid), self.len).unwrap();
        EidRecord { ttl: self.ttl, ..record(group(), &prefix.to_string(), &self.rlocs) }
    }
}

fn eid_of(number: u8) -> std::net::IpAddr {
    // Ranges, what is served here, and what is outside.
    let second = [1, 1, 9, 64][usize::from(number % 4)];
    [10, second, 0, number].into()
}

fn answer() -> impl Strategy<Value = Answer> {
    let len = prop_oneof![4 => Just(32_u8), 2 => 24_u8..32, 1 => 0_u8..24];
    let ttl = prop_oneof![4 => 1_u32..20, 1 => Just(0), 1 => Just(u32::MAX)];
    (any::<u8>(), len, prop::collection::vec(1_u8..5, 0..4), ttl).prop_map(|(eid, len, rlocs, ttl)| Answer {
        eid: eid % 32,
        len,
        rlocs,
        ttl,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let eid = 0_u8..32;
    prop_oneof![
        3 => (0_u64..3000).prop_map(Event::Wait),
        1 => (10_000_u64..2_000_000).prop_map(Event::Wait),
        8 => (eid.clone(), any::<bool>()).prop_map(|(eid, source)| Event::Miss { eid, source }),
        2 => eid.clone().prop_map(|eid| Event::Used { eid }),
        8 => (any::<usize>(), prop::bool::weighted(0.1), answer())
            .prop_map(|(which, forged, answer)| Event::Reply { which, forged, answer }),
        6 => (any::<usize>(), 0_u64..4, prop::bool::weighted(0.1), answer())
            .prop_map(|(which, ahead, forged, answer)| Event::Notify { which, ahead, forged, answer }),
        2 => eid.clone().prop_map(|eid| Event::Smr { eid }),
        3 => (1_u8..5, any::<bool>(), any::<bool>())
            .prop_map(|(rloc, sent, received)| Event::Traffic { rloc, sent, received }),
        3 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, reachable)| Event::Probed { which, reachable }),
        1 => (eid, 1_u8..5).prop_map(|(eid, rloc)| Event::Adopt { eid, rloc }),
        1 => (0_u8..5).prop_map(|lost| Event::Underlay { lost }),
        1 => any::<bool>().prop_map(|resolvers| Event::Configure { resolvers }),
    ]
}

fn bounded(resolvers: bool) -> ItrSettings {
    let limits = Limits {
        entries: MAX_ENTRIES,
        negatives: MAX_ENTRIES / 2,
        pending: MAX_PENDING,
        subscriptions: MAX_SUBSCRIPTIONS,
        request: Rate { per_second: 5, burst: 5 },
        group: Rate { per_second: 4, burst: 4 },
        probe: Rate { per_second: 5, burst: 2 },
        ..Limits::default()
    };
    let all = subscribing();
    let resolvers = if resolvers { all.resolvers.clone() } else { vec![] };
    let hour = Duration::from_secs(3600);
    let timers = Timers { ttl_default: hour, ttl_max: hour, stale_max: hour, ..Timers::default() };
    ItrSettings { limits, timers, resolvers, ..all }
}

/// The records that were handed in under a nonce of ours, or with our key: what may be published.
#[derive(Default)]
struct Authorised(Vec<EidRecord>);

impl Authorised {
    fn allows(&self, change: &MappingChange, adopted: &BTreeSet<(Iid, Prefix)>) -> bool {
        let said = |record: &EidRecord| record.prefix().unwrap();
        let Some(mapping) = &change.mapping else { return true };
        match mapping {
            Mapping::Negative => self.0.iter().any(|record| {
                record.locators.is_empty()
                    && (said(record).1.covers(&change.prefix) || said(record).1.len() == 0)
            }),
            Mapping::Locators(locators) => {
                let named = |record: &&EidRecord| said(record) == (change.iid, change.prefix);
                let same = |record: &EidRecord| {
                    let rlocs: BTreeSet<_> =
                        record.locators.iter().filter_map(|locator| locator.address.rloc()).collect();
                    rlocs == locators.iter().map(|locator| locator.address).collect()
                };
                self.0.iter().filter(named).any(same) || adopted.contains(&(change.iid, change.prefix))
            }
        }
    }
}

struct Run {
    bench: Bench,
    authorised: Authorised,
    adopted: BTreeSet<(Iid, Prefix)>,
}

impl Run {
    fn step(&mut self, event: Event) {
        let bench = &mut self.bench;
        match event {
            Event::Wait(millis) => bench.wait(millis),
            Event::Miss { eid, source } => {
                bench.call(|itr, now, out| itr.miss(group(), eid_of(eid), source, 0, now, out));
            }
            Event::Used { eid } => {
                bench.call(|itr, now, _| itr.used(group(), Prefix::host(eid_of(eid)), now));
            }
            Event::Reply { which, forged, answer } => self.reply(which, forged, &answer),
            Event::Notify { which, ahead, forged, answer } => self.notify(which, ahead, forged, &answer),
            Event::Smr { eid } => bench.smr(&eid_of(eid).to_string()),
            Event::Traffic { rloc, sent, received } => bench.traffic(rloc, sent, received),
            Event::Probed { which, reachable } => {
                if let Some((to, probe)) = bench.probes.get(which % bench.probes.len().max(1)).cloned() {
                    bench.answer_probe(to, &probe, reachable);
                }
            }
            Event::Adopt { eid, rloc } => {
                let key = (group(), Prefix::host(eid_of(eid)));
                if bench.call(|itr, now, _| itr.adopt(key.0, key.1, vec![locator(rloc)], now)) {
                    self.adopted.insert(key);
                }
            }
            Event::Underlay { lost } => {
                let lost: BTreeSet<_> = (1..=lost).map(rloc).collect();
                bench.call(|itr, now, out| itr.underlay(&lost, now, out));
            }
            Event::Configure { resolvers } => {
                bench.call(|itr, _, out| itr.configure(bounded(resolvers), out));
            }
        }
    }

    fn reply(&mut self, which: usize, forged: bool, answer: &Answer) {
        let Some(asked) = self.bench.asked.get(which % self.bench.asked.len().max(1)) else { return };
        let nonce = asked.nonce() ^ (u64::from(forged) << 40);
        if !forged {
            self.authorised.0.push(answer.record());
        }
        let reply = MapReply { nonce, records: vec![answer.record()], ..MapReply::default() };
        self.bench.reply_from(reply, SocketAddr::new(resolver(10), 4342));
    }

    fn notify(&mut self, which: usize, ahead: u64, forged: bool, answer: &Answer) {
        let Some(asked) = self.bench.asked.get(which % self.bench.asked.len().max(1)) else { return };
        let records = vec![answer.record()];
        let notify = MapNotify { nonce: asked.nonce() + ahead, records, ..MapNotify::default() };
        let mut bytes = notify.signed(&key());
        if forged {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        } else {
            self.authorised.0.push(answer.record());
        }
        self.bench.notify_bytes(&bytes);
    }

    fn check(&mut self) {
        let itr = &self.bench.itr;
        assert!(itr.cache.len() <= MAX_ENTRIES && itr.pendings.len() <= MAX_PENDING);
        assert!(itr.cache.negatives() <= MAX_ENTRIES / 2);
        assert!(itr.subscriptions.len() <= MAX_SUBSCRIPTIONS);
        itr.cache.check();
        itr.pendings.check();
        itr.contexts.check();
        itr.prober.check();
        let queued = itr
            .pendings
            .iter()
            .filter(|(_, pending)| matches!(pending.state, crate::itr::pending::State::Queued(_)));
        assert_eq!(queued.count(), itr.gate.waiting());
        let positive =
            itr.cache.iter().filter(|(_, entry)| matches!(entry.known, Known::Locators(_))).count();
        assert_eq!(itr.sets.users(), positive);
        for change in std::mem::take(&mut self.bench.mappings) {
            assert!(self.authorised.allows(&change, &self.adopted), "{change:?} was never authorised");
            let served = prefix("10.9.0.0/24");
            assert!(change.mapping.is_none() || !change.prefix.covers(&served), "{change:?} covers our own");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn bounds_hold_and_nothing_is_published_that_nobody_said(
        events in prop::collection::vec(event(), 1..120), seed in 0_u32..1000
    ) {
        let bench = Bench::started(bounded(true), seed);
        let mut run = Run { bench, authorised: Authorised::default(), adopted: BTreeSet::new() };
        for event in events {
            run.step(event);
            run.check();
        }
        // In the end all of it goes away by itself.
        run.bench.wait_s(6 * 3600);
        run.check();
        prop_assert_eq!(run.bench.itr.entries().count(), 0);
        prop_assert!(run.bench.itr.sets.is_empty() && run.bench.itr.locators().count() == 0);
        prop_assert_eq!(run.bench.itr.subscribed(), 0);
    }

    #[test]
    fn after_a_tick_the_next_deadline_lies_ahead(
        events in prop::collection::vec(event(), 1..60), pause in 0_u64..100_000
    ) {
        let bench = Bench::new(bounded(true));
        let mut run = Run { bench, authorised: Authorised::default(), adopted: BTreeSet::new() };
        for event in events {
            run.step(event);
            // A tick that comes late, long after the deadline.
            run.bench.now += Duration::from_millis(pause);
            run.bench.call(Itr::tick);
            let next = run.bench.itr.next_deadline();
            prop_assert!(next.is_none_or(|next| next > run.bench.now), "{:?}", next);
        }
    }
}
