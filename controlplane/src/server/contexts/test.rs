//! What is said by itself: sequences, bounds, and when it is over.

use super::*;

const BOUNDS: Bounds = Bounds { count: 3, bytes: 1 << 20 };

fn state(state: AgentState) -> Attributes {
    Attributes { state: Some(state), ..Attributes::default() }
}

fn whole(said: Attributes, ttl_s: Option<u32>) -> Update {
    Update { whole: Some((said, ttl_s)), ..Update::default() }
}

#[test]
fn sequences_wrap() {
    for (a, b, older) in [
        (1, 2, true),
        (2, 1, false),
        (7, 7, false),
        (u32::MAX, 1, true),
        (1, u32::MAX, false),
        (0, (1 << 31) - 1, true),
        (0, 1 << 31, false),
        (1 << 31, 0, false),
    ] {
        assert_eq!(is_older(a, b), older, "{a} {b}");
    }
}

#[test]
fn what_is_dynamic_is_over_in_time_and_a_message_renews_it() {
    let mut contexts = Contexts::default();
    let here = "192.0.2.1".parse().unwrap();
    let locators = vec![(here, state(AgentState::Busy), Some(20))];
    contexts.update(5, (&Update { locators, ..Update::default() }, 1), BOUNDS, 100).unwrap();
    contexts.update(6, (&whole(state(AgentState::Idle), None), 1), BOUNDS, 100).unwrap();
    assert_eq!(contexts.next_due(), Some(300));
    assert!(contexts.due(299).is_empty());
    assert_eq!(contexts.due(300), [5]);
    contexts.expire(5, 300);
    assert_eq!(contexts.of(5, here), Attributes::default());
    // Ninety seconds from the last message, not from the first.
    contexts.update(6, (&whole(Attributes::default(), Some(90)), 2), BOUNDS, 900).unwrap();
    assert_eq!(contexts.next_due(), Some(1000), "looked at when it would have been over");
    assert!(contexts.due(1000).is_empty());
    assert_eq!((contexts.next_due(), contexts.of(6, here)), (Some(1800), state(AgentState::Idle)));
    assert_eq!(contexts.due(1800), [6]);
    contexts.expire(6, 1800);
    assert_eq!((contexts.next_due(), contexts.of(6, here).is_empty()), (None, true));
}

#[test]
fn a_delta_adds_a_snapshot_replaces_and_unknown_is_nothing() {
    let mut contexts = Contexts::default();
    let (a, b) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    contexts.update(1, (&whole(state(AgentState::Busy), None), 1), BOUNDS, 0).unwrap();
    let load = Attributes { load: Some(Load { permille: Some(5), queue: None }), ..Attributes::default() };
    let locators = vec![(a, load.clone(), None)];
    contexts.update(1, (&Update { locators, ..Update::default() }, 2), BOUNDS, 0).unwrap();
    assert_eq!(contexts.of(1, a), state(AgentState::Busy).overlaid(&load));
    assert_eq!(contexts.of(1, b), state(AgentState::Busy));
    contexts.update(1, (&whole(state(AgentState::Unknown), None), 3), BOUNDS, 0).unwrap();
    assert_eq!((contexts.of(1, a), contexts.of(1, b).is_empty()), (load, true));
    let complete = Update { complete: true, ..whole(state(AgentState::Idle), None) };
    contexts.update(1, (&complete, 4), BOUNDS, 0).unwrap();
    assert_eq!((contexts.of(1, a), contexts.get(1).unwrap().seq), (state(AgentState::Idle), 4));
}

#[test]
fn there_are_no_more_than_there_may_be_and_bytes_are_counted_back() {
    let mut contexts = Contexts::default();
    let said = whole(state(AgentState::Busy), None);
    for slot in 0..3 {
        contexts.update(slot, (&said, 1), BOUNDS, 0).unwrap();
    }
    assert_eq!(contexts.update(3, (&said, 1), BOUNDS, 0), Err(Refusal::ContextsFull));
    assert_eq!(contexts.update(2, (&said, 2), BOUNDS, 0), Ok(()), "it has its place");
    let tight = Bounds { bytes: contexts.bytes(), ..BOUNDS };
    let hardware = Some(Hardware::from_names(["h100"]).unwrap());
    let more = whole(Attributes { hardware, ..Attributes::default() }, None);
    assert_eq!(contexts.update(2, (&more, 3), tight, 0), Err(Refusal::ContextsFull));
    assert_eq!(contexts.get(2).unwrap().seq, 2, "as it was");
    assert_eq!(contexts.update(2, (&more, 3), BOUNDS, 0), Ok(()));
    assert!((0..3).all(|slot| contexts.remove(slot)) && !contexts.remove(0));
    assert_eq!((contexts.len(), contexts.bytes(), contexts.next_due()), (0, 0, None));
}
