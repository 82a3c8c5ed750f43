#![allow(clippy::unwrap_used, reason = "test code")]
use super::*;

#[test]
fn every_further_nine_takes_as_much_room() {
    let axis = Axis::percentiles("x", 0.99995);
    let at = |quantile| axis.share(quantile) * 5.0;
    for (quantile, nines) in [(0.0, 0.0), (0.9, 1.0), (0.99, 2.0), (0.999, 3.0), (0.99999, 5.0)] {
        assert!((at(quantile) - nines).abs() < 1e-6, "{quantile}: {}", at(quantile));
    }
    // 50 % is log10(2) of the first nine.
    assert!((at(0.5) - 2f64.log10()).abs() < 1e-9);
    assert_eq!(
        axis.ticks.iter().map(|tick| percentile(*tick)).collect::<Vec<_>>(),
        ["0%", "50%", "90%", "99%", "99.9%", "99.99%", "99.999%"]
    );
    // 100 % is nowhere: it lies at the end.
    assert_eq!(axis.share(1.0), 1.0);
}

#[test]
fn a_logarithmic_axis_ends_at_ticks_around_the_values() {
    let axis = Axis::log("x", 64.0, 1518.0);
    assert_eq!(axis.ends(), (50.0, 2000.0));
    assert_eq!(axis.ticks, [50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0]);
    let wide = Axis::log("x", 1.0, 10_000_000.0);
    assert_eq!((wide.ends(), wide.ticks.len()), ((1.0, 1e7), 8));
    assert!((wide.share(1000.0) - 3.0 / 7.0).abs() < 1e-12);
    // Nothing to draw is no panic.
    assert!(Axis::log("x", 0.0, 0.0).share(5.0).is_finite());
}

#[test]
fn no_loss_lies_at_the_foot_and_the_least_a_decade_above() {
    let axis = Axis::percent("x", 0.001);
    assert_eq!(axis.share(0.0), 0.0);
    assert_eq!(axis.share(0.0001), 0.0, "below the least");
    let decade = axis.share(0.001);
    assert!((axis.share(0.01) - 2.0 * decade).abs() < 1e-9);
    assert_eq!(axis.share(100.0), 1.0);
}

#[test]
fn linear_ticks_are_round_and_within() {
    let axis = Axis::linear("x", -20.0, 61.0);
    assert_eq!(axis.ticks, [-20.0, 0.0, 20.0, 40.0, 60.0]);
    // Where there is little room, words do not run into each other.
    assert_eq!(axis.thinned(81.0, 12.0).ticks, [-20.0, 20.0, 60.0]);
    assert_eq!(axis.thinned(1000.0, 10.0).ticks.len(), 5);
    assert_eq!(axis.share(-100.0), 0.0);
    assert_eq!(Axis::linear("x", 0.0, 0.0).ends(), (0.0, 1.0));
}

#[test]
fn numbers_are_short() {
    for (value, says) in [
        (0.0, "0"),
        (0.001, "0.001"),
        (14.88, "14.88"),
        (2000.0, "2000"),
        (65_536.0, "65.536k"),
        (1e7, "10M"),
    ] {
        assert_eq!(number(value), says);
    }
}
