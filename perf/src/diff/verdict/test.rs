#![allow(clippy::unwrap_used, reason = "test code")]
use super::*;
use crate::machine::Machine;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const TERMS: Terms = Terms { confidence: 0.95, least: 0.02 };

fn run(cpu: &str, samples: Vec<Samples>) -> Run {
    let machine = format!(r#"{{"cpu":"{cpu}","cores":2,"kernel":"6.1","clocks_per_ns":2.6}}"#);
    Run { machine: serde_json::from_str::<Machine>(&machine).unwrap(), samples }
}

fn clocks(values: &[f64]) -> Vec<Run> {
    vec![run("x", vec![Samples::lower("clocks", "clocks", values.to_vec())])]
}

fn verdict(a: &[Run], b: &[Run]) -> Verdict {
    compare(a, b, TERMS)[0].verdict
}

const CALM: [f64; 7] = [100.0, 101.0, 99.0, 103.0, 98.0, 100.5, 102.0];

#[test]
fn a_difference_is_found_with_its_side() {
    let slower = CALM.map(|clocks| clocks * 1.1);
    assert_eq!(verdict(&clocks(&CALM), &clocks(&slower)), Verdict::Worse);
    assert_eq!(verdict(&clocks(&slower), &clocks(&CALM)), Verdict::Better);
    let rate = |values: [f64; 7]| vec![run("x", vec![Samples::higher("rate", "frames/s", values.to_vec())])];
    assert_eq!(verdict(&rate(CALM), &rate(slower)), Verdict::Better);
    let told = &compare(&clocks(&CALM), &clocks(&slower), TERMS)[0];
    let change = told.change.unwrap();
    assert!((0.08..0.12).contains(&change), "{change}");
    let (low, high) = told.bounds.unwrap();
    assert!(low < change && change < high && low > 0.0, "{low} {high}");
}

#[test]
fn noise_is_no_difference_and_neither_is_what_does_not_matter() {
    let mut other = CALM;
    other.reverse();
    other[0] = 250.0;
    assert_eq!(verdict(&clocks(&CALM), &clocks(&other)), Verdict::Same);
    let exact: Vec<f64> = (0..9).map(|n| 100.0 + f64::from(n) * 0.01).collect();
    let a_little: Vec<f64> = exact.iter().map(|clocks| clocks * 1.01).collect();
    let told = &compare(&clocks(&exact), &clocks(&a_little), TERMS)[0];
    assert!(told.p < 0.001 && told.verdict == Verdict::Same, "{told:?}");
}

#[test]
fn so_few_cannot_tell_however_far_apart() {
    assert_eq!(verdict(&clocks(&[1.0, 2.0, 3.0]), &clocks(&[1e6, 2e6, 3e6])), Verdict::TooFew);
    assert_eq!(verdict(&clocks(&[1.0]), &clocks(&[5.0])), Verdict::TooFew);
}

#[test]
fn pairs_see_what_the_machines_mood_hides() {
    // The machine becomes slower by half meanwhile, the second build is 5 % slower each time.
    let runs = |factor: f64| -> Vec<Run> {
        (0..8).flat_map(|n| clocks(&[(100.0 + 50.0 * f64::from(n) / 7.0) * factor])).collect()
    };
    let told = &compare(&runs(1.0), &runs(1.05), TERMS)[0];
    assert!(told.paired && told.verdict == Verdict::Worse, "{told:?}");
    assert!((told.change.unwrap() - 0.05).abs() < 1e-9);
    // The same values without their pairs say nothing.
    let mut fewer = runs(1.05);
    fewer.pop();
    let told = &compare(&runs(1.0), &fewer, TERMS)[0];
    assert!(!told.paired && told.verdict == Verdict::Same, "{told:?}");
}

#[test]
fn times_of_another_machine_are_not_judged_and_ratios_are() {
    let of = |cpu, factor: f64| {
        let floor = [50.0; 7];
        let ours = CALM.map(|clocks| clocks * factor);
        let samples = vec![
            Samples::lower("clocks", "clocks", ours.to_vec()),
            Samples::ratio("over floor", &ours, &floor),
        ];
        vec![run(cpu, samples)]
    };
    let told = compare(&of("x", 1.0), &of("y", 1.5), TERMS);
    assert_eq!([told[0].verdict, told[1].verdict], [Verdict::OtherMachine, Verdict::Worse]);
}

#[test]
fn losses_that_may_be_nothing_are_compared_as_they_are() {
    let loss = |values: [f64; 7]| vec![run("x", vec![Samples::lower("loss", "share", values.to_vec())])];
    let told = &compare(&loss([0.0; 7]), &loss([0.1; 7]), TERMS)[0];
    assert_eq!((told.verdict, told.change), (Verdict::Worse, None));
    assert_eq!(told.verdict.in_words(&told.unit), "worse");
    assert_eq!(verdict(&loss([0.0; 7]), &loss([0.0; 7])), Verdict::Same);
}

/// Two hundred comparisons of thirty figures each, of the same with the same: any difference in a comparison is one too
/// many, and at most one comparison in twenty may have such.
#[test]
fn many_figures_find_nothing_where_there_is_nothing() {
    let mut random = StdRng::seed_from_u64(5);
    let mut report = |count: usize| {
        let samples = (0..30).map(|n| {
            let values = (0..count)
                .map(|_| 100.0 * (1.0 + random.random_range(0.0..0.3_f64).powi(2) * 10.0))
                .collect();
            Samples::lower(format!("{n}"), "clocks", values)
        });
        vec![run("x", samples.collect())]
    };
    let mut wrong = 0;
    for _ in 0..200 {
        let told = compare(&report(9), &report(9), TERMS);
        assert!(told.iter().all(|one| one.verdict != Verdict::TooFew));
        wrong += usize::from(told.iter().any(|one| one.verdict != Verdict::Same));
    }
    assert!(wrong <= 24, "{wrong} of 200");
    // With five runs each no single one of thirty could be sure enough.
    assert!(compare(&report(5), &report(5), TERMS).iter().all(|one| one.verdict == Verdict::TooFew));
}
