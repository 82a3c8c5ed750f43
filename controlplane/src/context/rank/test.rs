//! The order against the text of design section 9.

use proptest::prelude::*;
use sterna_wire::lisp::control::acx::{AgentState, Hardware, Load, Need};

use super::*;

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn loaded(permille: u16) -> Attributes {
    let load = Some(Load { permille: Some(permille), queue: None });
    Attributes { load, ..Attributes::default() }
}

/// (last part of the address, priority) in the order that follows for these: address, priority, attributes.
fn order(list: &[(u8, u8, Attributes)], constraints: &[Constraint]) -> Vec<(u8, u8)> {
    let candidates: Vec<Candidate<'_>> = list
        .iter()
        .map(|(last, priority, attributes)| Candidate {
            address: ip(*last),
            priority: *priority,
            weight: *last,
            attributes,
            path: None,
        })
        .collect();
    let ranked = rank(&candidates, constraints, Ranking::default());
    ranked
        .iter()
        .map(|one| {
            assert_eq!(
                (one.address, one.weight),
                (candidates[one.index].address, candidates[one.index].weight)
            );
            (list[one.index].0, one.priority)
        })
        .collect()
}

#[test]
fn groups_are_told_from_their_first_and_not_from_each_other() {
    // 400 - load / 4: scores 400, 360, 350, 349, 310.
    let list: Vec<_> =
        [(5, 0), (4, 160), (3, 200), (2, 204), (1, 360)].map(|(last, load)| (last, 1, loaded(load))).to_vec();
    assert_eq!(order(&list, &[]), [(5, 1), (4, 1), (3, 1), (2, 2), (1, 2)]);
}

#[test]
fn topology_and_fitness_together_and_never_stays_never() {
    let list = [
        (1, 2, loaded(0)),
        (2, 1, loaded(800)),
        (3, 1, loaded(1000)),
        (4, 255, loaded(0)),
        (5, 1, Attributes { state: Some(AgentState::Failed), ..loaded(0) }),
        (6, 3, Attributes::default()),
    ];
    // Effective: 1: 400 + 600, 2: 200 + 800, 3: 200 + 850, 6: 600 + 725.
    assert_eq!(order(&list, &[]), [(1, 1), (2, 1), (3, 1), (6, 2), (4, 255)]);
}

#[test]
fn constraints_exclude_or_move() {
    let gpu = Hardware::from_names(["gpu"]).unwrap();
    let with_gpu = Attributes { hardware: Some(gpu.clone()), ..loaded(900) };
    let list = [(1, 1, loaded(0)), (2, 1, with_gpu)];
    assert_eq!(order(&list, &[Constraint::hard(Need::Hardware(gpu.clone()))]), [(2, 1)]);
    // 400 - 80 against 175 + 80; with a weight of 15 it is 250 against 325.
    assert_eq!(order(&list, &[Constraint::soft(Need::Hardware(gpu.clone()), 8)]), [(1, 1), (2, 2)]);
    assert_eq!(order(&list, &[Constraint::soft(Need::Hardware(gpu), 15)]), [(2, 1), (1, 2)]);
}

proptest! {
    /// Whatever the order in which they are told, and with steps of at most one between neighbours.
    #[test]
    fn everybody_computes_the_same(
        list in prop::collection::btree_map(any::<u8>(), (0..4u8, 0..=1000u16, 0..8usize), 1..30),
        turn in any::<prop::sample::Index>(),
    ) {
        let mut list: Vec<(u8, u8, Attributes)> = list
            .into_iter()
            .map(|(last, (priority, load, state))| {
                (last, priority, Attributes { state: Some(AgentState::ALL[state]), ..loaded(load) })
            })
            .collect();
        let ordered = order(&list, &[]);
        let at = turn.index(list.len());
        list.rotate_left(at);
        list.reverse();
        prop_assert_eq!(&order(&list, &[]), &ordered);
        let unusable = [AgentState::Failed, AgentState::Suspended];
        let usable = list.iter().filter(|(.., said)| !unusable.contains(&said.state.unwrap())).count();
        prop_assert_eq!(ordered.len(), usable);
        let priorities: Vec<u8> = ordered.iter().map(|(_, priority)| *priority).collect();
        prop_assert!(priorities.first().is_none_or(|first| *first == 1));
        prop_assert!(priorities.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1));
    }
}
