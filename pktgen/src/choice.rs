//! Which EIDs, flow, group and size the next packet has.

use rand::distr::Distribution;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::Zipf;

use crate::packet::Mix;
use crate::profile::{Order, Profile};

/// Numbers, each from 0, that make one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The group.
    pub group: usize,
    /// The destination EID.
    pub destination: u32,
    /// The flow between the two EIDs.
    pub flow: u16,
    /// The source EID.
    pub source: u32,
    /// The size.
    pub size: usize,
}

/// Draws choices for one worker.
#[derive(Debug)]
pub struct Chooser {
    random: StdRng,
    order: Chosen,
    groups: usize,
    destinations: u32,
    flows: u16,
    sources: u32,
    mix: Mix,
}

#[derive(Clone, Debug)]
enum Chosen {
    /// The next packet's number among all workers', and how many workers there are.
    Sequence {
        next: u64,
        step: u64,
    },
    Uniform,
    Zipf(Zipf<f64>),
}

impl Chooser {
    /// For a worker of several: in sequence they share the turns, at random each draws for itself.
    pub fn new(profile: &Profile, worker: u32, workers: u32) -> Self {
        let (order, destinations, sources) = match &profile.eids {
            Some(eids) => (eids.order, eids.count, eids.sources),
            None => (Order::Sequence, 1, 1),
        };
        let in_turn = Chosen::Sequence { next: worker.into(), step: workers.max(1).into() };
        let order = match order {
            Order::Sequence => in_turn,
            Order::Uniform => Chosen::Uniform,
            // The profile's check leaves only exponents and counts that have a distribution.
            Order::Zipf(exponent) => {
                Zipf::new(f64::from(destinations), exponent).map_or(in_turn, Chosen::Zipf)
            }
        };
        Self {
            random: StdRng::seed_from_u64(profile.seed.wrapping_add(u64::from(worker) << 32)),
            order,
            groups: profile.groups.count(),
            destinations,
            flows: profile.flows.count,
            sources,
            mix: Mix::new(&profile.frame.sizes),
        }
    }

    /// The next packet's numbers. In sequence groups change fastest, then destinations, flows and sources.
    #[inline]
    pub fn choose(&mut self) -> Choice {
        let size = self.mix.choose(&mut self.random);
        let destination = match &mut self.order {
            Chosen::Sequence { next, step } => {
                let mut rest = *next;
                *next += *step;
                let mut turn = |count: u64| {
                    let number = rest % count.max(1);
                    rest /= count.max(1);
                    number
                };
                return Choice {
                    group: turn(self.groups as u64) as usize,
                    destination: turn(self.destinations.into()) as u32,
                    flow: turn(self.flows.into()) as u16,
                    source: turn(self.sources.into()) as u32,
                    size,
                };
            }
            Chosen::Uniform => self.random.random_range(0..self.destinations.max(1)),
            Chosen::Zipf(zipf) => (zipf.sample(&mut self.random) as u32).saturating_sub(1),
        };
        Choice {
            group: self.random.random_range(0..self.groups.max(1)),
            destination: destination.min(self.destinations.saturating_sub(1)),
            flow: self.random.random_range(0..self.flows.max(1)),
            source: self.random.random_range(0..self.sources.max(1)),
            size,
        }
    }

    /// True for a share of all calls.
    #[inline]
    pub fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.random.random::<f64>() < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn profile(order: &str, count: u32, rest: &str) -> Profile {
        let text = format!(
            "rate = 1\n[eids]\nsource = \"10.1.0.1\"\nsources = 2\ndestination = \"10.2.0.0\"\ncount = {count}\norder = {order}\n{rest}"
        );
        Profile::parse(&text).unwrap()
    }

    #[test]
    fn in_sequence_every_combination_comes_once_and_workers_share_the_turns() {
        let profile = profile("\"sequence\"", 5, "[flows]\ncount = 3\n[groups]\nvlans = [10, 20]");
        let all = 2 * 5 * 3 * 2;
        let mut seen = BTreeSet::new();
        for worker in 0..4 {
            let mut chooser = Chooser::new(&profile, worker, 4);
            for _ in 0..all / 4 {
                let Choice { group, destination, flow, source, .. } = chooser.choose();
                assert!(seen.insert((group, destination, flow, source)));
            }
        }
        assert_eq!(seen.len(), all);
    }

    #[test]
    fn uniform_gives_each_destination_its_share() {
        let mut chooser = Chooser::new(&profile("\"uniform\"", 100, ""), 0, 1);
        let mut counts = [0_i32; 100];
        (0..100_000).for_each(|_| counts[chooser.choose().destination as usize] += 1);
        // Chi-square with 99 degrees of freedom: above 180 with a probability below 1e-6; seeded all the same.
        let chi: f64 = counts.iter().map(|&n| f64::from((n - 1_000).pow(2)) / 1_000.0).sum();
        assert!(chi < 180.0, "{chi}");
    }

    #[test]
    fn zipf_gives_shares_that_fall_with_the_rank() {
        const DRAWS: u32 = 200_000;
        let mut chooser = Chooser::new(&profile("\"zipf\"\nexponent = 1.1", 1_000, ""), 0, 1);
        let mut counts = vec![0_u32; 1_000];
        (0..DRAWS).for_each(|_| counts[chooser.choose().destination as usize] += 1);
        let harmonic: f64 = (1..=1_000).map(|n| f64::from(n).powf(-1.1)).sum();
        // The first twenty ranks, each expected often enough to compare: within five standard deviations.
        for rank in 1..=20_u32 {
            let expected = f64::from(DRAWS) * f64::from(rank).powf(-1.1) / harmonic;
            let found = f64::from(counts[rank as usize - 1]);
            assert!((found - expected).abs() < 5.0 * expected.sqrt(), "rank {rank}: {found}, not {expected}");
        }
        let tail: u32 = counts[500..].iter().sum();
        let expected: f64 =
            (501..=1_000).map(|n| f64::from(n).powf(-1.1)).sum::<f64>() / harmonic * f64::from(DRAWS);
        assert!((f64::from(tail) - expected).abs() < 5.0 * expected.sqrt(), "tail: {tail}, not {expected}");
    }

    #[test]
    fn the_seed_decides() {
        let draw = |seed: u64, worker| {
            let profile = Profile { seed, ..profile("\"uniform\"", 1 << 20, "") };
            let mut chooser = Chooser::new(&profile, worker, 2);
            (0..50).map(|_| chooser.choose().destination).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
    }
}
