//! Exact rank statistics: how likely a difference is when there is none, and between which bounds it lies.
//!
//! By ranks, since a run that another process disturbed is far from all others and must not decide alone. Two lists that
//! were made apart: Wilcoxon, Mann and Whitney (1947), with the shift of Hodges and Lehmann (1963). Pairs: Wilcoxon's
//! signed ranks. Up to [`EXACT`] values the distributions are counted out, ties included; beyond it is the normal one.

/// So many values in all, and no more, are counted out.
pub const EXACT: usize = 60;

/// A difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// The middle of all differences.
    pub middle: f64,
    /// The bounds at the confidence that was asked for.
    pub bounds: (f64, f64),
    /// Two-sided: how often chance alone gives as much.
    pub p: f64,
    /// The least that `p` could be with so many values.
    pub least_p: f64,
}

/// How far the values of `b` are above those of `a`; none when one is empty.
pub fn apart(a: &[f64], b: &[f64], confidence: f64) -> Option<Shift> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let all: Vec<f64> = b.iter().chain(a).copied().collect();
    let ranks = doubled_ranks(&all);
    let seen: u64 = ranks[..b.len()].iter().sum();
    let sums = Sums::of_choosing(&ranks, b.len());
    let mut differences: Vec<f64> = b.iter().flat_map(|b| a.iter().map(move |a| b - a)).collect();
    differences.sort_by(f64::total_cmp);
    // Without ties: b's ranks sum up to as many differences above 0, and n(n+1)/2.
    let free = Sums::of_choosing(&untied(all.len()), b.len());
    let outside = free.outside(1.0 - confidence, (b.len() * (b.len() + 1)) as u64);
    Some(shift(&differences, outside, sums.two_sided(seen), free.least()))
}

/// How far the second of each pair is above the first; none without pairs.
pub fn paired(pairs: &[(f64, f64)], confidence: f64) -> Option<Shift> {
    let steps: Vec<f64> = pairs.iter().map(|(a, b)| b - a).collect();
    if steps.is_empty() {
        return None;
    }
    let sizes: Vec<f64> = steps.iter().map(|step| step.abs()).collect();
    // Equal ones say nothing for either side: they have rank, and count half on each.
    let ranks = doubled_ranks(&sizes);
    let seen = ranks.iter().zip(&steps).map(|(rank, step)| match *step {
        step if step > 0.0 => 2 * rank,
        step if step < 0.0 => 0,
        _ => *rank,
    });
    let (seen, sums) = (seen.sum::<u64>() / 2, Sums::of_signs(&ranks));
    let mut means = Vec::new();
    for (at, a) in steps.iter().enumerate() {
        means.extend(steps[at..].iter().map(|b| (a + b) / 2.0));
    }
    means.sort_by(f64::total_cmp);
    let free = Sums::of_signs(&untied(steps.len()));
    Some(shift(&means, free.outside(1.0 - confidence, 0), sums.two_sided(seen), free.least()))
}

/// From sorted differences, of which so many are outside the bounds on either side; none: the bounds know no end.
fn shift(sorted: &[f64], outside: Option<usize>, p: f64, least_p: f64) -> Shift {
    let last = sorted.len() - 1;
    let middle = (sorted[last / 2] + sorted[sorted.len() / 2]) / 2.0;
    let bounds = outside.filter(|outside| *outside <= last / 2);
    let bounds = bounds.map_or((f64::NEG_INFINITY, f64::INFINITY), |out| (sorted[out], sorted[last - out]));
    Shift { middle, bounds, p, least_p }
}

/// Ranks from 1, doubled, so that the mean of ties is whole.
fn doubled_ranks(values: &[f64]) -> Vec<u64> {
    let of = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let alike = values.iter().filter(|other| *other == value).count();
        (2 * below + alike + 1) as u64
    };
    values.iter().map(of).collect()
}

fn untied(count: usize) -> Vec<u64> {
    (1..=count as u64).map(|rank| 2 * rank).collect()
}

/// How probable each sum of ranks is.
struct Sums {
    probability: Vec<f64>,
}

impl Sums {
    /// Of so many of the ranks, any as likely as any other.
    fn of_choosing(ranks: &[u64], choose: usize) -> Sums {
        let most: u64 = ranks.iter().sum();
        if ranks.len() > EXACT {
            let (n, m) = (choose as f64, (ranks.len() - choose) as f64);
            let all = n + m;
            let mean = most as f64 / all;
            let spread = ranks.iter().map(|rank| (*rank as f64 - mean).powi(2)).sum::<f64>() / (all - 1.0);
            return Sums::normal(most, n * mean, (n * m / all * spread).sqrt());
        }
        let mut ways = vec![vec![0.0; most as usize + 1]; choose + 1];
        ways[0][0] = 1.0;
        for (seen, rank) in ranks.iter().enumerate() {
            let rank = *rank as usize;
            for taken in (1..=choose.min(seen + 1)).rev() {
                let (fewer, more) = ways.split_at_mut(taken);
                let (fewer, more) = (&fewer[taken - 1], &mut more[0]);
                for (to, from) in more[rank..].iter_mut().zip(fewer) {
                    *to += from;
                }
            }
        }
        Sums::from_ways(ways.swap_remove(choose))
    }

    /// Of those ranks whose sign is positive, either sign as likely as the other.
    fn of_signs(ranks: &[u64]) -> Sums {
        let most: u64 = ranks.iter().sum();
        if ranks.len() > EXACT {
            let variance = ranks.iter().map(|rank| (*rank as f64).powi(2)).sum::<f64>() / 4.0;
            return Sums::normal(most, most as f64 / 2.0, variance.sqrt());
        }
        let mut ways = vec![0.0; most as usize + 1];
        ways[0] = 1.0;
        for rank in ranks {
            for sum in (*rank as usize..ways.len()).rev() {
                ways[sum] += ways[sum - *rank as usize];
            }
        }
        Sums::from_ways(ways)
    }

    fn from_ways(mut ways: Vec<f64>) -> Sums {
        let all: f64 = ways.iter().sum();
        ways.iter_mut().for_each(|way| *way /= all.max(1.0));
        Sums { probability: ways }
    }

    fn normal(most: u64, mean: f64, deviation: f64) -> Sums {
        let height = |sum: u64| (-0.5 * ((sum as f64 - mean) / deviation.max(1e-9)).powi(2)).exp();
        // In whole ranks, of which a doubled sum has every second.
        Sums::from_scaled((0..=most).map(|sum| if sum % 2 == 0 { height(sum) } else { 0.0 }).collect())
    }

    fn from_scaled(heights: Vec<f64>) -> Sums {
        let all: f64 = heights.iter().sum();
        let all = if all > 0.0 { all } else { 1.0 };
        Sums { probability: heights.into_iter().map(|height| height / all).collect() }
    }

    /// Sums at least as far out, on both sides together.
    fn two_sided(&self, seen: u64) -> f64 {
        let seen = (seen as usize).min(self.probability.len() - 1);
        let below: f64 = self.probability[..=seen].iter().sum();
        let above: f64 = self.probability[seen..].iter().sum();
        (2.0 * below.min(above)).min(1.0)
    }

    /// The least that it can be.
    fn least(&self) -> f64 {
        let ends = self.probability.iter().find(|p| **p > 0.0);
        (2.0 * ends.copied().unwrap_or(1.0)).min(1.0)
    }

    /// How many differences are outside the bounds on each side, where `alpha` may be outside in all; sums of doubled
    /// ranks begin at `from`. None when even the farthest sum is likelier than that.
    fn outside(&self, alpha: f64, from: u64) -> Option<usize> {
        let (mut so_far, mut outside) = (0.0, None);
        for (count, sum) in (from as usize..self.probability.len()).step_by(2).enumerate() {
            so_far += self.probability[sum];
            if 2.0 * so_far > alpha {
                break;
            }
            outside = Some(count);
        }
        outside
    }
}

#[cfg(test)]
#[path = "rank/test.rs"]
mod test;
