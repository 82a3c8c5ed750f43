//! The formula of design section 9, written down a second time from the text, against the code.
//!
//! The second one knows nothing of the code's types but what it needs to build the input: words for classes and
//! states, a floor of a division for "permille/4", lists walked down by hand.

mod cases;

use std::net::IpAddr;

use sterna_wire::lisp::control::acx::{
    AgentState, Attributes, Constraint, Hardware, Latency, LatencyClass, Load, Need, Security,
};

use super::{Candidate, PathTerm, Ranking, rank};

/// A locator in words; nothing said is unknown.
#[derive(Clone, Copy, Debug, Default)]
struct Spoken {
    priority: u8,
    latency: Option<&'static str>,
    load: Option<u16>,
    state: Option<&'static str>,
    gpu: Option<bool>,
    level: Option<u8>,
    path: Option<(u32, u16)>,
}

/// What a sender says, in words.
#[derive(Clone, Copy, Debug)]
enum Wish {
    MustGpu,
    MustLevel(u8),
    MustLoad(u16),
    MustLatency(&'static str),
    MustState(&'static str),
    RatherGpu(u8),
    RatherLoad(u16, u8),
    RatherLatency(&'static str, u8),
}

#[derive(Debug)]
struct Case {
    name: &'static str,
    locators: Vec<Spoken>,
    wishes: Vec<Wish>,
    weight: u32,
    spread: u32,
    /// Place, priority and score of each that is left, in order: what a person computed from the text. Empty where
    /// only the second implementation did.
    by_hand: Option<Vec<(usize, u8, u16)>>,
}

/// "start 500; latency low +150, medium 0, high -200, unknown -50; load -(permille/4), unknown -125; state active or
/// idle 0, busy -100, migrating -200, draining -400, unknown -50; each soft constraint met +10 x weight, unmet -10 x
/// weight; clamp to 0..1000 at the end"; "its own path term: -(RTT in us / 100, at most 200) - (loss permille), before
/// the clamp".
fn score_by_the_text(one: &Spoken, wishes: &[Wish]) -> i64 {
    let mut score = 500;
    score += match one.latency {
        Some("low") => 150,
        Some("medium") => 0,
        Some("high") => -200,
        _ => -50,
    };
    score -= match one.load {
        Some(permille) => (f64::from(permille) / 4.0).floor() as i64,
        None => 125,
    };
    score -= match one.state {
        Some("active" | "idle") => 0,
        Some("busy") => 100,
        Some("migrating") => 200,
        Some("draining") => 400,
        _ => 50,
    };
    for wish in wishes {
        let (weight, met) = match wish {
            Wish::RatherGpu(weight) => (*weight, one.gpu == Some(true)),
            Wish::RatherLoad(most, weight) => (*weight, one.load.is_some_and(|load| load <= *most)),
            Wish::RatherLatency(worst, weight) => (*weight, is_as_good(one.latency, worst) == Some(true)),
            _ => continue,
        };
        let weight = if weight == 0 { 4 } else { i64::from(weight) };
        score += if met { 10 * weight } else { -10 * weight };
    }
    if let Some((rtt_us, loss)) = one.path {
        score -= i64::from(rtt_us / 100).min(200);
        score -= i64::from(loss);
    }
    score.clamp(0, 1000)
}

fn is_as_good(latency: Option<&str>, worst: &str) -> Option<bool> {
    let order = ["low", "medium", "high"];
    let place = |name: &str| order.iter().position(|known| *known == name);
    latency.and_then(place).map(|here| Some(here) <= place(worst))
}

/// "`failed` and `suspended` are excluded for every requester and every class, also without context"; "a hard
/// constraint fails closed for SEC-LEVEL and HW, passes for LATENCY/LOAD/STATE".
fn stays_by_the_text(one: &Spoken, wishes: &[Wish]) -> bool {
    if matches!(one.state, Some("failed" | "suspended")) {
        return false;
    }
    wishes.iter().all(|wish| match wish {
        Wish::MustGpu => one.gpu == Some(true),
        Wish::MustLevel(least) => one.level.is_some_and(|level| level >= *least),
        Wish::MustLoad(most) => one.load.is_none_or(|load| load <= *most),
        Wish::MustLatency(worst) => is_as_good(one.latency, worst).unwrap_or(true),
        Wish::MustState(only) => one.state.is_none_or(|state| state == *only),
        _ => true,
    })
}

/// "eff = topology_weight x base priority + (1000 - score); sort by (eff, RLOC bytes); walk down and give the same
/// priority to all within `spread` of the first of their group".
fn order_by_the_text(case: &Case) -> Vec<(usize, u8, u16)> {
    let mut left: Vec<(i64, usize, i64)> = Vec::new();
    for (place, one) in case.locators.iter().enumerate() {
        if stays_by_the_text(one, &case.wishes) {
            let score = score_by_the_text(one, &case.wishes);
            left.push((i64::from(case.weight) * i64::from(one.priority) + 1000 - score, place, score));
        }
    }
    // The addresses rise with the places.
    left.sort_unstable();
    let mut order = Vec::new();
    let mut begins: Option<i64> = None;
    let mut priority = 0;
    for (eff, place, score) in left {
        if case.locators[place].priority == 255 {
            continue;
        }
        if begins.is_none_or(|begin| eff - begin > i64::from(case.spread)) {
            begins = Some(eff);
            priority += 1;
        }
        order.push((place, priority, score as u16));
    }
    order
}

fn address(place: usize) -> IpAddr {
    [192, 0, 2, place as u8 + 1].into()
}

fn attributes(one: &Spoken) -> Attributes {
    let class = one.latency.map(|name| LatencyClass::from_name(name).unwrap());
    let kinds = |gpu| Hardware::new(u32::from(gpu), vec![]).unwrap();
    Attributes {
        latency: class.map(|class| Latency { class: Some(class), sla_us: 0 }),
        hardware: one.gpu.map(kinds),
        state: one.state.map(|name| AgentState::from_name(name).unwrap()),
        load: one.load.map(|permille| Load { permille: Some(permille), queue: None }),
        security: one.level.map(|level| Security { level, ..Security::default() }),
    }
}

fn constraint(wish: &Wish) -> Constraint {
    let gpu = || Need::Hardware(Hardware::new(1, vec![]).unwrap());
    let latency = |name| Need::Latency { class: LatencyClass::from_name(name), max_us: 0 };
    match wish {
        Wish::MustGpu => Constraint::hard(gpu()),
        Wish::MustLevel(level) => Constraint::hard(Need::Security { level: *level, flags: 0, domain: 0 }),
        Wish::MustLoad(most) => Constraint::hard(Need::Load(*most)),
        Wish::MustLatency(worst) => Constraint::hard(latency(worst)),
        Wish::MustState(only) => Constraint::hard(Need::State(AgentState::from_name(only).unwrap().bit())),
        Wish::RatherGpu(weight) => Constraint::soft(gpu(), *weight),
        Wish::RatherLoad(most, weight) => Constraint::soft(Need::Load(*most), *weight),
        Wish::RatherLatency(worst, weight) => Constraint::soft(latency(worst), *weight),
    }
}

fn order_by_the_code(case: &Case) -> Vec<(usize, u8, u16)> {
    let said: Vec<Attributes> = case.locators.iter().map(attributes).collect();
    let candidates: Vec<Candidate<'_>> = case
        .locators
        .iter()
        .enumerate()
        .map(|(place, one)| Candidate {
            address: address(place),
            priority: one.priority,
            weight: 100,
            attributes: &said[place],
            path: one.path.map(|(rtt_us, loss_permille)| PathTerm { rtt_us, loss_permille }),
        })
        .collect();
    let wishes: Vec<Constraint> = case.wishes.iter().map(constraint).collect();
    let ranking = Ranking { topology_weight: case.weight, spread: case.spread };
    let ranked = rank(&candidates, &wishes, ranking);
    let sent = ranked.into_iter().filter(|one| one.priority != 255);
    sent.map(|one| (one.index, one.priority, one.score)).collect()
}

#[test]
fn the_code_orders_as_the_text_says() {
    let cases: Vec<Case> = cases::of_one_locator().into_iter().chain(cases::of_several()).collect();
    assert!(cases.len() >= 40);
    for case in cases {
        let text = order_by_the_text(&case);
        assert_eq!(order_by_the_code(&case), text, "{}", case.name);
        if let Some(by_hand) = case.by_hand {
            assert_eq!(text, by_hand, "{}: the second implementation is wrong", case.name);
        }
    }
}

mod any {
    use proptest::prelude::*;

    use super::*;

    fn locator() -> impl Strategy<Value = Spoken> {
        let states =
            ["unknown", "active", "idle", "busy", "draining", "suspended", "migrating", "failed"].map(Some);
        let state = prop::sample::select([&[None], &states[..]].concat());
        let latency = prop::sample::select(vec![None, Some("low"), Some("medium"), Some("high")]);
        let load = prop::option::of(0_u16..=1000);
        let path = prop::option::of((0_u32..100_000, 0_u16..=1000));
        let rest = (prop::option::of(any::<bool>()), prop::option::of(0_u8..4), path);
        let priority = prop_oneof![9 => 1_u8..4, 1 => Just(255_u8)];
        (priority, latency, load, state, rest).prop_map(
            |(priority, latency, load, state, (gpu, level, path))| Spoken {
                priority,
                latency,
                load,
                state,
                gpu,
                level,
                path,
            },
        )
    }

    fn wish() -> impl Strategy<Value = Wish> {
        let class = prop::sample::select(vec!["low", "medium", "high"]);
        prop_oneof![
            Just(Wish::MustGpu),
            (0_u8..4).prop_map(Wish::MustLevel),
            (0_u16..=1000).prop_map(Wish::MustLoad),
            class.clone().prop_map(Wish::MustLatency),
            prop::sample::select(vec!["active", "busy", "idle"]).prop_map(Wish::MustState),
            (0_u8..16).prop_map(Wish::RatherGpu),
            (0_u16..=1000, 0_u8..16).prop_map(|(most, weight)| Wish::RatherLoad(most, weight)),
            (class, 0_u8..16).prop_map(|(worst, weight)| Wish::RatherLatency(worst, weight)),
        ]
    }

    proptest! {
        #[test]
        fn list_is_ordered_as_the_text_says(
            locators in prop::collection::vec(locator(), 0..9),
            wishes in prop::collection::vec(wish(), 0..4),
            weight in 0_u32..1000,
            spread in 0_u32..200,
        ) {
            // What is said to be unknown is as unknown as what is not said, except to a hard state constraint.
            let spoken = |mut one: Spoken| {
                one.state = one.state.filter(|state| *state != "unknown");
                one
            };
            let locators = locators.into_iter().map(spoken).collect();
            let case = Case { name: "any", locators, wishes, weight, spread, by_hand: None };
            prop_assert_eq!(order_by_the_code(&case), order_by_the_text(&case));
        }
    }
}
