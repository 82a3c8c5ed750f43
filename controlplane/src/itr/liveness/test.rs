//! One remote RLOC, its probes and the clock.

use super::*;

const IDLE: Duration = Duration::from_secs(60);

struct Bench {
    remote: Remote,
    start: Instant,
    timers: Timers,
    probes: Vec<u64>,
}

impl Bench {
    fn new() -> Self {
        Self { remote: Remote::new(IDLE), start: Instant::now(), timers: Timers::default(), probes: vec![] }
    }

    /// Lets the time go on in steps of 10 ms; `each` sees each step first.
    fn run(&mut self, from: u64, to: u64, each: impl Fn(&mut Remote, Instant, u64)) {
        for millis in (from..to).step_by(10) {
            let now = self.start + Duration::from_millis(millis);
            each(&mut self.remote, now, millis);
            self.remote.judge(&self.timers, now);
            if self.remote.plan(&self.timers, now) == Plan::Probe {
                self.remote.probed(millis, IDLE, now);
                self.probes.push(millis);
            }
        }
    }
}

#[test]
fn without_traffic_probes_are_rare() {
    let mut bench = Bench::new();
    bench.run(0, 130_000, |remote, now, millis| {
        if millis % 60_000 == 20 {
            remote.answered(millis - 20, true, now);
        }
    });
    assert_eq!(bench.probes, vec![0, 60_000, 120_000]);
    assert_eq!((bench.remote.misses, bench.remote.rtt), (0, Some(Duration::from_millis(20))));
}

#[test]
fn traffic_both_ways_needs_no_more_probes_than_none() {
    let mut bench = Bench::new();
    bench.run(0, 130_000, |remote, now, millis| {
        if millis % 100 == 0 {
            remote.carried = Some(now);
            remote.received(now);
        }
    });
    assert_eq!(bench.probes, vec![0, 60_000, 120_000]);
    assert_eq!((bench.remote.misses, bench.remote.state), (0, State::Up), "although none was answered");
}

#[test]
fn traffic_one_way_is_probed_every_300_ms() {
    let mut bench = Bench::new();
    bench.run(0, 1500, |remote, now, millis| {
        remote.carried = Some(now);
        if millis % 300 == 10 {
            remote.answered(millis - 10, true, now);
        }
    });
    assert_eq!(bench.probes, vec![0, 300, 600, 900, 1200]);
}

#[test]
fn three_misses_within_half_a_second_after_the_last_word() {
    let mut bench = Bench::new();
    bench.run(0, 500, |remote, now, millis| {
        remote.carried = Some(now);
        remote.received(now);
        if millis == 0 {
            remote.nudged = true;
        }
        if millis == 10 {
            remote.answered(0, true, now);
        }
    });
    bench.run(500, 940, |remote, now, _| remote.carried = Some(now));
    assert_eq!(bench.remote.misses, 2);
    bench.run(940, 950, |remote, now, _| remote.carried = Some(now));
    assert_eq!(bench.remote.misses, 3, "probes at {:?}", bench.probes);
    assert_eq!(bench.probes, vec![0, 640, 740, 840, 940]);
}

#[test]
fn data_meanwhile_makes_no_miss_but_the_probe_was_lost() {
    let mut bench = Bench::new();
    bench.remote.nudged = true;
    bench.run(0, 2000, |remote, now, millis| {
        remote.carried = Some(now);
        if millis >= 100 {
            remote.received(now);
        }
    });
    assert_eq!((bench.remote.misses, bench.remote.state), (0, State::Up));
    assert!(bench.remote.loss > 100.0);
}

#[test]
fn a_silent_one_is_asked_less_and_less_until_it_answers() {
    let mut bench = Bench::new();
    bench.run(0, 3010, |_, _, _| {});
    assert_eq!((bench.remote.misses, &bench.probes[..]), (3, &[0, 1000, 2000, 3000][..]));
    bench.remote.state = State::Silent;
    bench.run(3010, 60_000, |_, _, _| {});
    assert_eq!(bench.probes[4..], [4000, 6000, 10_000, 18_000, 28_000, 38_000, 48_000, 58_000]);
    bench.run(60_000, 300_000, |_, _, _| {});
    let end = bench.start + Duration::from_millis(300_000);
    assert!(bench.remote.answered(298_000, true, end).is_some());
    assert!(bench.remote.answered(298_000, true, end).is_none(), "the same answer again");
    assert!(bench.remote.answered(58_000, true, end).is_none(), "an old one");
    assert_eq!((bench.remote.state, bench.remote.misses), (State::Up, 0));
}

#[test]
fn data_that_is_told_of_a_little_late_makes_no_miss() {
    let mut bench = Bench::new();
    bench.run(0, 5000, |remote, now, millis| {
        remote.carried = Some(now);
        if millis == 10 {
            remote.answered(0, true, now);
        }
        if millis % 200 == 0 || millis % 200 == 110 {
            remote.received(now);
        }
        remote.nudged |= millis == 2000;
    });
    assert_eq!(bench.probes, vec![0, 2000]);
    assert_eq!((bench.remote.misses, bench.remote.state), (0, State::Up));
}

#[test]
fn a_far_answer_is_waited_for_by_its_round_trip() {
    let mut bench = Bench::new();
    bench.run(0, 60, |remote, now, millis| {
        remote.carried = Some(now);
        if millis == 50 {
            remote.answered(0, true, now);
        }
    });
    bench.run(60, 910, |remote, now, _| remote.carried = Some(now));
    assert_eq!(
        (bench.remote.misses, bench.probes),
        (3, vec![0, 300, 500, 700, 900]),
        "four times 50 ms each"
    );
}

#[test]
fn a_silent_one_that_carries_traffic_is_asked_at_the_fast_pace() {
    let mut bench = Bench::new();
    bench.remote.state = State::Silent;
    bench.run(0, 3000, |remote, now, _| remote.carried = Some(now));
    assert_eq!(bench.probes, (0..10).map(|n| n * 300).collect::<Vec<_>>());
}

#[test]
fn a_witness_counts_for_probes_that_went_out_while_it_was_asked() {
    let (mut remote, start, timers) = (Remote::new(IDLE), Instant::now(), Timers::default());
    let at = |millis| start + Duration::from_millis(millis);
    for millis in [0, 1000, 2000] {
        remote.probed(millis, IDLE, at(millis));
        remote.judge(&timers, at(millis + 1000));
    }
    remote.witness(at(2001));
    assert!(
        !remote.is_cut_off(&timers),
        "asked after the last probe: the far end may have come back between"
    );
    remote.witness(at(2000));
    assert!(remote.is_cut_off(&timers));
    remote.probed(3000, IDLE, at(3000));
    assert!(remote.is_cut_off(&timers), "the probe before it was missed all the same");
    remote.judge(&timers, at(4000));
    assert!(!remote.is_cut_off(&timers), "the witness was heard before that one went out");
    remote.witness(at(2500));
    remote.received(at(4100));
    assert!(!remote.is_cut_off(&timers), "it was heard itself");
}

#[test]
fn one_that_is_waited_for_is_not_asked_again() {
    let (mut remote, now) = (Remote::new(IDLE), Instant::now());
    assert!(remote.ask() && !remote.ask());
    remote.probed(1, IDLE, now);
    assert!(!remote.ask() && !remote.nudged);
    remote.answered(1, true, now);
    assert!(remote.ask());
}

#[test]
fn one_that_is_asked_for_anothers_sake_is_not_asked_less_for_that() {
    let (mut remote, start, timers) = (Remote::new(IDLE), Instant::now(), Timers::default());
    let at = |millis| start + Duration::from_millis(millis);
    remote.state = State::Down;
    for millis in (0..3000).step_by(300) {
        remote.judge(&timers, at(millis));
        assert!(remote.ask());
        remote.probed(millis, IDLE, at(millis));
    }
    remote.judge(&timers, at(3000));
    assert_eq!(remote.plan(&timers, at(3000)), Plan::Wait(at(2700) + RETRY));
}

#[test]
fn a_refused_locator_needs_a_better_answer() {
    let (mut bench, now) = (Bench::new(), Instant::now());
    bench.remote.probed(1, IDLE, now);
    bench.remote.answered(1, false, now);
    assert_eq!(bench.remote.state, State::Down);
    bench.remote.received(now);
    assert_eq!(bench.remote.state, State::Down);
    bench.remote.probed(2, IDLE, now);
    bench.remote.answered(2, true, now);
    assert_eq!(bench.remote.state, State::Up);
}

/// A path with this round trip, on which one of `of` probes is lost, under traffic both ways that leaves gaps in which
/// probes are sent.
fn long_path(round_trip: u64, of: usize) -> Remote {
    let mut bench = Bench::new();
    for millis in (0..60_000).step_by(10) {
        let answered = bench.probes.iter().position(|sent| sent + round_trip == millis);
        if let Some(number) = answered.filter(|number| of == 0 || number % of != 0) {
            let nonce = bench.probes[number];
            bench.remote.answered(nonce, true, bench.start + Duration::from_millis(millis));
        }
        bench.run(millis, millis + 10, |remote, now, _| remote.carried = Some(now));
    }
    assert!(bench.probes.len() > 150, "{}", bench.probes.len());
    bench.remote
}

#[test]
fn a_late_answer_over_a_satellite_is_no_loss() {
    for round_trip in [20, 310, 560, 1120] {
        let remote = long_path(round_trip, 0);
        assert_eq!((remote.loss as u32, remote.state), (0, State::Up), "{round_trip} ms");
        assert_eq!(remote.rtt.unwrap().as_millis(), u128::from(round_trip));
    }
}

#[test]
fn what_a_satellite_loses_is_loss_all_the_same() {
    for round_trip in [20, 560] {
        let loss = long_path(round_trip, 4).loss;
        assert!((100.0..450.0).contains(&loss), "{round_trip} ms: {loss}");
    }
    let dead = long_path(1_000_000, 0);
    assert!(dead.loss > 990.0 && dead.state == State::Up && dead.misses >= 3, "{}", dead.loss);
}

/// A site whose traffic goes over a satellite from now on.
#[test]
fn a_way_that_becomes_longer_costs_little_and_not_for_long() {
    let mut bench = Bench::new();
    let (mut most, mut told) = (0.0_f32, 0);
    for millis in (0..20_000).step_by(10) {
        while let Some(sent) = bench.probes.get(told).copied() {
            let round_trip = if sent < 10_000 { 20 } else { 1100 };
            if sent + round_trip > millis {
                break;
            }
            told += 1;
            bench.remote.answered(sent, true, bench.start + Duration::from_millis(millis));
        }
        bench.run(millis, millis + 10, |remote, now, _| remote.carried = Some(now));
        most = most.max(bench.remote.loss);
        assert!(millis < 12_500 || bench.remote.loss < 50.0, "{millis} ms: {}", bench.remote.loss);
    }
    assert!((100.0..900.0).contains(&most), "{most}: the first ones look lost until one is answered");
    assert!(bench.remote.rtt.is_some_and(|rtt| rtt.as_millis() > 1000));
}

/// A remote that is known to be 900 ms away, silent for a minute, before traffic goes there again.
fn far_and_quiet() -> Bench {
    let mut bench = Bench::new();
    bench.run(0, 60_000, |remote, now, millis| {
        if millis == 900 {
            remote.received(now);
            remote.answered(0, true, now);
        }
    });
    assert_eq!((bench.probes.as_slice(), bench.remote.misses), ([0].as_slice(), 0));
    bench
}

#[test]
fn traffic_that_begins_over_a_satellite_makes_no_miss() {
    let mut bench = far_and_quiet();
    for millis in (60_000..70_000).step_by(10) {
        if bench.probes.contains(&(millis - 900)) {
            let now = bench.start + Duration::from_millis(millis);
            bench.remote.answered(millis - 900, true, now);
        }
        bench.run(millis, millis + 10, |remote, now, _| remote.carried = Some(now));
        bench.remote.witness(bench.start);
        let remote = &bench.remote;
        assert!(
            remote.misses == 0 && !remote.is_suspect() && !remote.is_cut_off(&bench.timers),
            "{millis} ms"
        );
    }
    assert!(bench.probes.len() > 25, "{:?}", bench.probes);
}

#[test]
fn a_satellite_that_is_gone_is_missed_after_twice_its_round_trip() {
    let mut bench = far_and_quiet();
    let carried = |remote: &mut Remote, now, _| remote.carried = Some(now);
    bench.run(60_000, 62_300, carried);
    assert_eq!((bench.remote.misses, bench.remote.is_cut_off(&bench.timers)), (2, false));
    bench.run(62_300, 62_500, carried);
    bench.remote.witness(bench.start);
    assert_eq!((bench.remote.misses, bench.remote.is_cut_off(&bench.timers)), (3, true));
    // An answer that is later still takes all of it back.
    bench.remote.answered(60_000, true, bench.start + Duration::from_millis(62_550));
    assert_eq!((bench.remote.misses, bench.remote.is_cut_off(&bench.timers)), (0, false));
    assert_eq!(bench.remote.loss as u32, 0);
}

#[test]
fn a_lost_probe_without_traffic_is_repeated_when_its_round_trip_is_over() {
    let mut bench = far_and_quiet();
    bench.run(60_000, 61_900, |_, _, _| ());
    assert_eq!((bench.probes, bench.remote.misses), (vec![0, 60_000, 61_800], 1));
}
