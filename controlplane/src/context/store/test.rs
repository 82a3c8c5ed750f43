use proptest::prelude::*;
use sterna_wire::lisp::control::acx::{AgentState, Attributes, Load, Security};

use super::*;

const MS: Duration = Duration::from_millis(1);

fn bounds() -> Bounds {
    Bounds {
        ttl: Duration::from_secs(90),
        load_threshold: 100,
        min_interval: Duration::from_secs(1),
        register_rate: 1000,
        report_rate: 20_000,
        max_agents: 8,
    }
}

fn agent(last: u8) -> (Iid, IpAddr) {
    (Iid::DEFAULT, [10, 1, 0, last].into())
}

fn says(state: AgentState, permille: u16) -> Reported {
    let load = Some(Load { permille: Some(permille), queue: None });
    Reported { own: Attributes { state: Some(state), load, ..Attributes::default() }, ..Reported::default() }
}

fn count(store: &Store, counter: Counter) -> u64 {
    store.counters().get(counter)
}

fn states(tellings: &[Telling]) -> Vec<Option<AgentState>> {
    tellings.iter().map(|telling| telling.reported.own.state).collect()
}

#[test]
fn the_first_report_is_told_at_once_and_a_small_change_of_load_never() {
    let (mut store, now) = (Store::new(bounds()), Instant::now());
    store.report(agent(1), says(AgentState::Active, 400), None, now).unwrap();
    assert_eq!(states(&store.take_tellings(now)), [Some(AgentState::Active)]);
    for (step, permille) in [499, 301, 450, 400].into_iter().enumerate() {
        let at = now + Duration::from_secs(2 + step as u64);
        store.report(agent(1), says(AgentState::Active, permille), None, at).unwrap();
        assert!(store.take_tellings(at).is_empty(), "{permille}");
    }
    // The last one is as it was told: nothing was suppressed.
    assert_eq!((count(&store, Counter::SuppressedThreshold), count(&store, Counter::Told)), (3, 1));
    let at = now + Duration::from_secs(9);
    store.report(agent(1), says(AgentState::Active, 500), None, at).unwrap();
    assert_eq!(store.take_tellings(at).len(), 1);
}

#[test]
fn changes_wait_for_their_interval_and_what_fails_does_not() {
    let (mut store, now) = (Store::new(bounds()), Instant::now());
    store.report(agent(1), says(AgentState::Active, 0), None, now).unwrap();
    assert_eq!(store.take_tellings(now).len(), 1);
    store.report(agent(1), says(AgentState::Busy, 0), None, now + 10 * MS).unwrap();
    assert!(store.take_tellings(now + 10 * MS).is_empty());
    assert_eq!(store.next_deadline(), Some(now + Duration::from_secs(1)));
    store.report(agent(1), says(AgentState::Failed, 0), None, now + 20 * MS).unwrap();
    assert_eq!(states(&store.take_tellings(now + 20 * MS)), [Some(AgentState::Failed)]);
    // It recovers a moment later; that waits, and another failure is as it was told.
    store.report(agent(1), says(AgentState::Active, 0), None, now + 30 * MS).unwrap();
    assert!(store.take_tellings(now + 30 * MS).is_empty());
    store.report(agent(1), says(AgentState::Failed, 0), None, now + 40 * MS).unwrap();
    assert!(store.take_tellings(now + Duration::from_secs(5)).is_empty());
    let counts = [Counter::SuppressedInterval, Counter::Overtaken, Counter::Told];
    assert_eq!(counts.map(|counter| count(&store, counter)), [2, 2, 2]);
}

#[test]
fn what_failed_is_told_before_what_waits() {
    let slow = Bounds { register_rate: 10, ..bounds() };
    let (mut store, now) = (Store::new(slow), Instant::now());
    for last in 1..=4 {
        store.report(agent(last), says(AgentState::Active, 0), None, now).unwrap();
    }
    assert_eq!(store.take_tellings(now).len(), 1);
    assert!(store.take_tellings(now).is_empty() && count(&store, Counter::SuppressedRate) == 1);
    store.report(agent(4), says(AgentState::Failed, 0), None, now).unwrap();
    let next = store.next_deadline().unwrap();
    assert!(next > now && next <= now + 101 * MS, "{:?}", next - now);
    let told = store.take_tellings(next);
    assert_eq!((told.len(), told[0].eid), (1, agent(4).1));
}

#[test]
fn what_is_not_renewed_becomes_unknown_and_a_heartbeat_brings_it_back() {
    let (mut store, now) = (Store::new(bounds()), Instant::now());
    let mut said = says(AgentState::Active, 300);
    said.own.security = Some(Security { level: 3, flags: 1, domain: 0 });
    store.report(agent(1), said.clone(), Some(Duration::from_secs(10)), now).unwrap();
    store.take_tellings(now);
    store.renew(agent(1).0, agent(1).1, now + Duration::from_secs(9)).unwrap();
    let over = now + Duration::from_secs(19);
    assert!(store.take_tellings(over - MS).is_empty());
    assert_eq!(store.next_deadline(), Some(over));
    let told = store.take_tellings(over);
    assert_eq!((told.len(), &told[0].reported), (1, &said.without_dynamic()));
    store.renew(agent(1).0, agent(1).1, over + Duration::from_secs(2)).unwrap();
    assert_eq!(store.take_tellings(over + Duration::from_secs(2))[0].reported, said);
    assert_eq!(store.renew(agent(2).0, agent(2).1, now), Err(Refusal::Nothing));
}

#[test]
fn nothing_more_is_told_once_and_then_forgotten() {
    let (mut store, now) = (Store::new(bounds()), Instant::now());
    store.report(agent(1), says(AgentState::Active, 0), None, now).unwrap();
    store.take_tellings(now);
    let later = now + Duration::from_secs(2);
    store.report(agent(1), Reported::default(), None, later).unwrap();
    assert_eq!(store.take_tellings(later)[0].reported, Reported::default());
    assert_eq!(store.iter().count(), 0);
    let after = later + bounds().min_interval;
    assert_eq!((store.next_deadline(), store.take_tellings(after)), (Some(after), vec![]));
    assert_eq!(store.next_deadline(), None);
    store.report(agent(1), says(AgentState::Active, 0), None, later).unwrap();
    store.forget(agent(1).0, agent(1).1);
    assert_eq!((store.iter().count(), store.next_deadline()), (0, None));
}

#[test]
fn agents_and_reports_are_bounded() {
    let (mut store, now) = (Store::new(Bounds { report_rate: 100, ..bounds() }), Instant::now());
    for last in 0..20 {
        let outcome = store.report(agent(last), says(AgentState::Active, 0), None, now);
        assert_eq!(outcome.is_ok(), last < 8, "{last}");
    }
    assert_eq!((store.iter().count(), count(&store, Counter::ReportsFull)), (8, 12));
    let taken = (0..50).filter(|_| store.admit(now).is_ok()).count();
    assert_eq!((taken, count(&store, Counter::Reports), count(&store, Counter::ReportsRate)), (10, 10, 40));
}

/// What happens, and how many milliseconds after what happened before.
#[derive(Clone, Debug)]
enum Step {
    Report { last: u8, said: Reported, ttl: Option<u64> },
    Renew(u8),
    Forget(u8),
    Look,
}

fn reported() -> impl Strategy<Value = Reported> {
    let state = proptest::option::of(0..8_usize).prop_map(|at| at.map(|at| AgentState::ALL[at]));
    let load = proptest::option::of(0..=1000_u16);
    let overlay = proptest::option::of(0..8_usize);
    (state, load, overlay).prop_map(|(state, permille, overlay)| {
        let load = permille.map(|permille| Load { permille: Some(permille), queue: None });
        let mut said =
            Reported { own: Attributes { state, load, ..Attributes::default() }, ..Reported::default() };
        if let Some(at) = overlay {
            let over = Attributes { state: Some(AgentState::ALL[at]), ..Attributes::default() };
            said.locators.insert([192, 0, 2, 1].into(), over);
        }
        said
    })
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let report = (0..4_u8, reported(), proptest::option::of(5..20_u64));
    let step = prop_oneof![
        6 => report.prop_map(|(last, said, ttl)| Step::Report { last, said, ttl }),
        1 => (0..4_u8).prop_map(Step::Renew),
        1 => (0..4_u8).prop_map(Step::Forget),
        2 => Just(Step::Look),
    ];
    proptest::collection::vec((prop_oneof![3 => 0..50_u64, 1 => 0..8000_u64], step), 1..200)
}

/// Whom the world was told what about, and when.
#[derive(Default)]
struct Heard {
    all: Vec<Instant>,
    last: BTreeMap<IpAddr, (Instant, Reported)>,
}

impl Heard {
    fn take(&mut self, store: &mut Store, now: Instant) {
        for telling in store.take_tellings(now) {
            if let Some((at, before)) = self.last.get(&telling.eid) {
                assert!(
                    telling.reported.differs(before, bounds().load_threshold),
                    "{telling:?} tells nothing new"
                );
                let soon = now.duration_since(*at) < bounds().min_interval;
                assert!(
                    !soon || telling.reported.fails(before),
                    "{telling:?} came too soon after {before:?}"
                );
            }
            self.all.push(now);
            self.last.insert(telling.eid, (now, telling.reported));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_reported_tellings_stay_within_the_bounds_and_the_last_state_is_told(steps in steps()) {
        let rate = 20;
        let mut store = Store::new(Bounds { register_rate: rate, ..bounds() });
        let (mut now, mut heard) = (Instant::now(), Heard::default());
        for (wait, step) in steps {
            let until = now + wait as u32 * MS;
            // The owner of the store comes back whenever it asked for it.
            while let Some(due) = store.next_deadline().filter(|due| *due <= until) {
                now = due.max(now + Duration::from_nanos(1));
                heard.take(&mut store, now);
            }
            now = now.max(until);
            match step {
                Step::Report { last, said, ttl } => {
                    store.report(agent(last), said, ttl.map(Duration::from_secs), now).unwrap();
                }
                Step::Renew(last) => drop(store.renew(agent(last).0, agent(last).1, now)),
                Step::Forget(last) => {
                    store.forget(agent(last).0, agent(last).1);
                    heard.last.remove(&agent(last).1);
                }
                Step::Look => heard.take(&mut store, now),
            }
        }
        let mut turns = 0;
        while let Some(due) = store.next_deadline() {
            now = due.max(now + Duration::from_nanos(1));
            heard.take(&mut store, now);
            turns += 1;
            prop_assert!(turns < 100, "it never ends");
        }
        // In the end everybody is known as it is.
        for (_, eid, entry) in store.iter() {
            let known = heard.last.get(&eid).map(|(_, said)| said.clone()).unwrap_or_default();
            prop_assert!(!entry.current().differs(&known, bounds().load_threshold), "{entry:?} {known:?}");
            prop_assert_eq!(&entry.told, &known);
        }
        // In no second more than the rate and what may come at once.
        for (at, first) in heard.all.iter().enumerate() {
            let within = heard.all[at..].iter().take_while(|later| **later - *first < Duration::from_secs(1)).count();
            prop_assert!(within <= (rate + rate / 10 + 1) as usize, "{within} in a second");
        }
    }
}
