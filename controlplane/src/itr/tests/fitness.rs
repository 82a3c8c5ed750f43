//! Rows under way: what the paths do to them, and that no hard constraint is ever broken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sterna_wire::lisp::control::acx::{AgentState, Attributes};

use super::bench::*;
use super::said::*;
use crate::itr::{Counter, Itr, ItrSettings};
use crate::outbox::Choice;

/// An entry with two locators of which the same is said, and one that answers probes after `rtt_us`.
fn pair() -> Bench {
    let mut bench = Bench::new(classed());
    bench.alive = vec![rloc(2)];
    bench.miss(EID);
    bench.reply_with(bench.asked[0].nonce(), &[host(&[1, 2])], &block(&[loaded(0), loaded(0)]));
    bench.rows();
    bench
}

/// Lets RLOC 1 be probed once more, and answers after so long.
fn probed(bench: &mut Bench, rtt: Duration) {
    let before = bench.probes.len();
    let is_new = |bench: &Bench| bench.probes.iter().skip(before).any(|(to, _)| *to == rloc(1));
    for _ in 0..70_000 {
        if is_new(bench) {
            break;
        }
        bench.wait(1);
    }
    let (to, probe) = bench.probes.iter().rev().find(|(to, _)| *to == rloc(1)).cloned().unwrap();
    bench.now += rtt;
    bench.answer_probe(to, &probe, true);
}

#[test]
fn a_long_way_costs_points_as_soon_as_it_is_measured() {
    let mut bench = pair();
    probed(&mut bench, Duration::from_millis(20));
    let rows = bench.rows().pop().unwrap();
    assert_eq!(rows[&0], row(&[chosen(1, 2), chosen(2, 1)]));
    assert_eq!(rows[&2], rows[&0]);
}

#[test]
fn rows_do_not_follow_each_flicker_of_a_round_trip() {
    let mut bench = pair();
    probed(&mut bench, Duration::from_micros(5800));
    assert_eq!(bench.rows().len(), 1, "58 points are more than the spread");
    // The smoothed value goes down by an eighth of the difference: 5.8, 5.2, 4.6 ms.
    probed(&mut bench, Duration::from_micros(1000));
    assert_eq!((bench.rows().len(), bench.count(Counter::PathTermsMoved)), (0, 1), "six points");
    probed(&mut bench, Duration::from_micros(1000));
    assert_eq!((bench.rows().len(), bench.count(Counter::PathTermsMoved)), (1, 2), "twelve");
    probed(&mut bench, Duration::from_micros(1000));
    assert_eq!((bench.rows().len(), bench.count(Counter::PathTermsMoved)), (0, 2));
}

#[test]
fn loss_moves_flows_away_and_they_come_back() {
    let mut bench = pair();
    bench.wait_s(3);
    let rows = bench.rows().pop().unwrap();
    assert_eq!(rows[&0], row(&[chosen(1, 2), chosen(2, 1)]));
    bench.alive = vec![rloc(1), rloc(2)];
    bench.wait_s(3600);
    let rows = bench.rows().pop().unwrap();
    assert_eq!(rows[&0], row(&[chosen(1, 1), chosen(2, 1)]));
}

/// What may be said of a locator.
fn said() -> impl Strategy<Value = Attributes> {
    let state = prop::option::of(prop::sample::select(AgentState::ALL.to_vec()));
    let load = prop::option::of(0_u16..=1000);
    (any::<bool>(), state, load).prop_map(|(has_gpu, state, load)| Attributes {
        hardware: has_gpu.then(gpu),
        state,
        load: load.map(|permille| loaded(permille).load.unwrap()),
        ..Attributes::default()
    })
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Miss(u8),
    /// All locators, filtered for a class, nobody, or without context.
    Answer {
        by_reply: bool,
        kind: u8,
        class: u8,
        ttl_s: Option<u32>,
        said: Vec<(u8, Attributes)>,
    },
    Probe(u64),
    Configure(u8),
    Used,
}

fn step() -> impl Strategy<Value = Step> {
    let list = prop::collection::btree_map(1_u8..6, said(), 1..5).prop_map(|list| list.into_iter().collect());
    prop_oneof![
        2 => (0_u64..5000).prop_map(Step::Wait),
        1 => (20_000_u64..200_000).prop_map(Step::Wait),
        4 => (0_u8..5).prop_map(Step::Miss),
        8 => (any::<bool>(), 0_u8..8, 0_u8..4, prop::option::of(1_u32..120), list)
            .prop_map(|(by_reply, kind, class, ttl_s, said)| Step::Answer { by_reply, kind, class, ttl_s, said }),
        2 => (0_u64..40).prop_map(Step::Probe),
        1 => (0_u8..4).prop_map(Step::Configure),
        2 => Just(Step::Used),
    ]
}

/// The last words about locators, as the test heard them being accepted.
#[derive(Clone)]
struct Words {
    said: BTreeMap<u8, Attributes>,
    until: Option<Instant>,
}

impl Words {
    fn of(&self, number: u8, now: Instant) -> Option<Attributes> {
        let said = self.said.get(&number)?;
        let over = self.until.is_some_and(|until| until <= now);
        Some(if over {
            Attributes { hardware: said.hardware.clone(), ..Attributes::default() }
        } else {
            said.clone()
        })
    }
}

/// Whether it will do, from the text: `failed` and `suspended` never; a GPU where one must be there; no more than half
/// the load where nobody says otherwise.
fn will_do(class: u8, said: &Attributes) -> bool {
    let usable = !matches!(said.state, Some(AgentState::Failed | AgentState::Suspended));
    let has_gpu = said.hardware.as_ref().is_some_and(|hardware| hardware.kinds & 1 == 1);
    let half = said.load.and_then(|load| load.permille).is_none_or(|load| load <= 500);
    usable && (class != 1 || has_gpu) && (class != 2 || half)
}

struct Run {
    bench: Bench,
    /// Every list that was ever told, by the number of the answer.
    told: Vec<Words>,
    next: u64,
}

impl Run {
    fn step(&mut self, step: Step) {
        let bench = &mut self.bench;
        match step {
            Step::Wait(millis) => bench.wait(millis),
            Step::Miss(class) => bench.miss_class(EID, class),
            Step::Used => bench.used(HOST),
            Step::Probe(millis) => {
                if let Some((to, probe)) = bench.probes.pop() {
                    bench.wait(millis);
                    bench.answer_probe(to, &probe, true);
                }
            }
            Step::Configure(without) => {
                let classes = classes().into_iter().filter(|class| class.id != without).collect();
                bench.call(|itr, _, out| itr.configure(ItrSettings { classes, ..subscribing() }, out));
            }
            Step::Answer { by_reply, kind, class, ttl_s, said } => {
                self.answer(by_reply, kind, class, ttl_s, said)
            }
        }
    }

    fn answer(
        &mut self,
        by_reply: bool,
        kind: u8,
        class: u8,
        ttl_s: Option<u32>,
        said: Vec<(u8, Attributes)>,
    ) {
        let Some(asked) = self.bench.asked.last().map(|asked| asked.nonce()) else { return };
        let (numbers, attributes): (Vec<u8>, Vec<Attributes>) = said.iter().cloned().unzip();
        let mut told = match kind {
            0..=3 => block(&attributes),
            4..=5 => filtered(class, &attributes),
            _ => filtered(class, &[]),
        };
        told.complete = true;
        told.entries.iter_mut().for_each(|entry| entry.ttl_s = ttl_s);
        let mut record = host(&numbers);
        record.ttl = 2;
        if kind == 6 {
            (record, told) = nobody_for(class);
        }
        let blind = kind == 7;
        let words = if blind { BTreeMap::new() } else { said.iter().cloned().collect() };
        let until = ttl_s.map(|seconds| self.bench.now + Duration::from_secs(seconds.into()));
        self.told.push(Words { said: words, until });
        match (by_reply, blind) {
            (true, true) => self.bench.reply_to(asked, &[record]),
            (true, false) => self.bench.reply_with(asked, &[record], &told),
            (false, _) => {
                self.next += 1;
                let nonce = asked + self.next % 3;
                if blind {
                    self.bench.notify(nonce, &[record]);
                } else {
                    self.bench.notify_with(nonce, &[record], &told);
                }
            }
        }
    }

    /// What stands in a row was once said to fit, by an answer that is not older than any that took its place.
    fn check(&self) {
        let itr: &Itr = &self.bench.itr;
        itr.contexts.check();
        let Some(entry) = self.bench.entry(HOST) else { return };
        let known = itr.contexts.get((group(), prefix(HOST)));
        for (class, choice) in &entry.classes {
            let Choice::Locators(row) = choice else { continue };
            assert!(!row.is_empty() && row.len() <= 16);
            for chosen in row {
                let number = match chosen.locator.address {
                    std::net::IpAddr::V4(v4) => v4.octets()[3],
                    other => panic!("nobody named {other}"),
                };
                let fits = known.into_iter().flat_map(|known| known.fits());
                assert!(fits.into_iter().any(|fit| fit.address == chosen.locator.address));
                let words = self.told.iter().filter_map(|words| words.of(number, self.bench.now));
                let blind_words = self.told.iter().any(|words| words.said.is_empty());
                let mut words = words.chain(blind_words.then(Attributes::default));
                assert!(
                    words.any(|said| will_do(*class, &said)),
                    "{class}: {chosen:?} was never said to fit"
                );
                let listed = entry.locators.iter().any(|known| known.address == chosen.locator.address);
                assert!(listed, "{chosen:?} is missing in the mapping");
            }
        }
    }
}

/// The same against the last words alone: answers for all, in the order in which they are accepted.
fn follows(words: &Words, classes: &BTreeMap<u8, Choice>, now: Instant) {
    for (class, choice) in classes {
        let fit: BTreeSet<u8> = words
            .said
            .keys()
            .copied()
            .filter(|one| words.of(*one, now).is_some_and(|said| will_do(*class, &said)))
            .collect();
        let row: BTreeSet<u8> = match choice {
            Choice::NoMatch => BTreeSet::new(),
            Choice::Locators(row) => row
                .iter()
                .map(|chosen| match chosen.locator.address {
                    std::net::IpAddr::V4(v4) => v4.octets()[3],
                    other => panic!("nobody named {other}"),
                })
                .collect(),
        };
        assert_eq!(row, fit, "class {class}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_row_has_what_does_not_fit_whatever_happens(steps in prop::collection::vec(step(), 1..60)) {
        let bench = Bench::new(ItrSettings { classes: classes(), ..subscribing() });
        let mut run = Run { bench, told: vec![], next: 0 };
        for step in steps {
            run.step(step);
            run.check();
        }
        run.bench.wait_s(3 * 86_400);
        prop_assert_eq!(run.bench.itr.entries().count(), 0);
        prop_assert_eq!(run.bench.itr.contexts.keys().count(), 0);
    }

    #[test]
    fn rows_are_those_that_fit_by_the_last_words(
        lists in prop::collection::vec(
            (prop::collection::btree_map(1_u8..6, said(), 1..5), prop::option::of(1_u32..200), 0_u64..300_000), 1..12)
    ) {
        let mut bench = Bench::new(ItrSettings { classes: classes(), ..subscribing() });
        bench.miss(EID);
        let first = bench.asked[0].nonce();
        for (nonce, (said, ttl_s, wait)) in (first..).zip(lists) {
            let (numbers, attributes): (Vec<u8>, Vec<Attributes>) = said.iter().map(|(n, a)| (*n, a.clone())).unzip();
            let mut told = block(&attributes);
            told.entries.iter_mut().for_each(|entry| entry.ttl_s = ttl_s);
            prop_assert!(bench.notify_with(nonce, &[host(&numbers)], &told));
            let until = ttl_s.map(|seconds| bench.now + Duration::from_secs(seconds.into()));
            let words = Words { said, until };
            follows(&words, &bench.entry(HOST).unwrap().classes, bench.now);
            bench.wait(wait);
            let now = bench.entry(HOST).unwrap().classes;
            follows(&words, &now, bench.now);
            // What the dataplane was told last is what holds.
            if let Some(last) = bench.rows().pop() {
                prop_assert_eq!(last, now);
            }
        }
    }
}
