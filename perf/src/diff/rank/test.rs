#![allow(clippy::unwrap_used, reason = "test code")]
use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn the_likelihoods_are_those_of_the_tables() {
    // All of five above all of five others: 2 of C(10, 5) = 252 ways.
    let (low, high) = ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]);
    let shift = apart(&low, &high, 0.95).unwrap();
    assert!(near(shift.p, 2.0 / 252.0) && near(shift.least_p, 2.0 / 252.0), "{shift:?}");
    assert!(near(shift.middle, 5.0), "{shift:?}");
    // Mann and Whitney's table: with 5 and 5 a U of at most 2 has 95 %; so 2 differences are outside on each side.
    assert_eq!(shift.bounds, (2.0, 8.0));
    // Three and three can never be beyond 1 in 10.
    assert!(near(apart(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], 0.95).unwrap().p, 0.1));
    // Six pairs all of one sign: 2 of 64 ways.
    let pairs: Vec<(f64, f64)> = (1..=6).map(|n| (0.0, f64::from(n))).collect();
    let shift = paired(&pairs, 0.95).unwrap();
    assert!(near(shift.p, 2.0 / 64.0) && near(shift.middle, 3.5), "{shift:?}");
    // Wilcoxon's table: with 6 a T of 0 has 95 %: from the least mean of two to the greatest.
    assert_eq!(shift.bounds, (1.0, 6.0));
}

#[test]
fn what_is_alike_is_no_difference() {
    let same = [5.0; 7];
    let shift = apart(&same, &same, 0.95).unwrap();
    assert!(near(shift.p, 1.0) && near(shift.middle, 0.0), "{shift:?}");
    assert!(shift.least_p < 0.001);
    assert!(near(paired(&[(5.0, 5.0); 8], 0.95).unwrap().p, 1.0));
    assert_eq!(apart(&[], &[1.0], 0.95), None);
    assert_eq!(paired(&[], 0.95), None);
    // Bounds of what nothing can be said of have no end.
    assert_eq!(apart(&[1.0], &[2.0], 0.95).unwrap().bounds, (f64::NEG_INFINITY, f64::INFINITY));
}

#[test]
fn one_disturbed_run_does_not_decide() {
    let calm = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2, 99.8];
    let mut disturbed = calm;
    disturbed[3] = 5000.0;
    let shift = apart(&calm, &disturbed, 0.95).unwrap();
    assert!(shift.p > 0.5 && shift.middle.abs() < 1.0, "{shift:?}");
}

/// Of a thousand comparisons of the same with the same no more than were promised may find a difference, and bounds
/// must hold the truth as often as they say.
#[test]
fn chance_finds_no_more_than_it_may() {
    let mut random = StdRng::seed_from_u64(7);
    let mut noise = |count: usize| (0..count).map(|_| random.random_range(0.0..1.0)).collect::<Vec<f64>>();
    let (mut apart_found, mut paired_found, mut missed) = (0, 0, 0);
    for _ in 0..1000 {
        let (a, b) = (noise(7), noise(9));
        let shift = apart(&a, &b, 0.95).unwrap();
        apart_found += usize::from(shift.p < 0.05);
        missed += usize::from(shift.bounds.0 > 0.0 || shift.bounds.1 < 0.0);
        let pairs: Vec<(f64, f64)> = noise(10).into_iter().zip(noise(10)).collect();
        paired_found += usize::from(paired(&pairs, 0.95).unwrap().p < 0.05);
    }
    // Five standard deviations above what is allowed.
    assert!(apart_found <= 85 && paired_found <= 85 && missed <= 85, "{apart_found} {paired_found} {missed}");
    assert!(
        apart_found > 10 && paired_found > 10,
        "a test that never finds anything: {apart_found} {paired_found}"
    );
}

#[test]
fn many_values_are_judged_as_few_are() {
    let mut random = StdRng::seed_from_u64(11);
    let a: Vec<f64> = (0..30).map(|_| random.random_range(0.0..1.0)).collect();
    let b: Vec<f64> = (0..30).map(|_| random.random_range(0.1..1.1)).collect();
    let exact = apart(&a, &b, 0.95).unwrap();
    let mut more = b.clone();
    more.push(0.6);
    let normal = apart(&a, &more, 0.95).unwrap();
    assert!((exact.p - normal.p).abs() < 0.03, "{} {}", exact.p, normal.p);
    assert!((exact.bounds.0 - normal.bounds.0).abs() < 0.05, "{exact:?} {normal:?}");
    let far: Vec<f64> = (0..200).map(f64::from).collect();
    let farther: Vec<f64> = (0..200).map(|n| f64::from(n) + 1000.0).collect();
    let shift = apart(&far, &farther, 0.99).unwrap();
    assert!(shift.p < 1e-6 && shift.least_p < 1e-6 && near(shift.middle, 1000.0), "{shift:?}");
}
