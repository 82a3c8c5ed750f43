//! Who is told what of three locators: one with a GPU, one near, one of which nothing is said.

use sterna_wire::lisp::control::acx::{
    AgentState, Constraint, Hardware, Latency, LatencyClass, Load, Need, Security,
};
use sterna_wire::{Iid, Prefix};

use super::*;

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn record(locators: &[(u8, u8)]) -> EidRecord {
    let prefix: Prefix = "10.1.0.7/32".parse().unwrap();
    EidRecord {
        authoritative: true,
        locators: locators
            .iter()
            .map(|(last, priority)| LocatorRecord::unicast(ip(*last), *priority, 10))
            .collect(),
        ..EidRecord::of(Iid::new(100).unwrap(), prefix)
    }
}

fn gpu() -> Attributes {
    Attributes { hardware: Some(Hardware::from_names(["gpu"]).unwrap()), ..Attributes::default() }
}

fn low() -> Attributes {
    let latency = Some(Latency { class: Some(LatencyClass::Low), sla_us: 0 });
    Attributes { latency, ..Attributes::default() }
}

fn in_state(state: AgentState) -> Attributes {
    Attributes { state: Some(state), ..Attributes::default() }
}

fn loaded(permille: u16) -> Attributes {
    let load = Some(Load { permille: Some(permille), queue: Some(permille) });
    Attributes { load, ..Attributes::default() }
}

fn three() -> Known {
    let attributes = vec![gpu(), low()];
    Known { record: record(&[(1, 1), (2, 1), (3, 1)]), attributes, skill: false }
}

fn manner(question: Option<&Question>) -> Manner<'_> {
    Manner { question, ranking: Ranking::default(), subscribed: true, filter: false }
}

fn wants_attributes() -> Question {
    Question { attributes: true, ..Question::default() }
}

fn needs(constraints: Vec<Constraint>) -> Question {
    Question { constraints, ..Question::default() }
}

/// (last byte, priority) of each locator.
fn list(record: &EidRecord) -> Vec<(u8, u8)> {
    let last = |locator: &LocatorRecord| match locator.address.rloc() {
        Some(IpAddr::V4(v4)) => v4.octets()[3],
        other => panic!("{other:?}"),
    };
    record.locators.iter().map(|locator| (last(locator), locator.priority)).collect()
}

fn scores(block: &Acx) -> Vec<(u16, u8)> {
    block.entries.iter().map(|entry| entry.score.map(|one| (one.score, one.priority)).unwrap()).collect()
}

#[test]
fn without_context_and_without_acx_nothing_changes() {
    let negative = EidRecord { act: Act::NativelyForward, ttl: 1, ..record(&[]) };
    for record in [record(&[(3, 9), (1, 255), (2, 0)]), negative] {
        let answered = answer(&[Known::plain(record.clone())], manner(None));
        assert_eq!(answered, Answered { records: vec![record], block: None });
    }
}

#[test]
fn legacy_askers_get_effective_priorities_and_nothing_that_is_unusable() {
    // 500 + 150 - 125 - 50 = 475; with nothing said 500 - 50 - 125 - 50 = 275, and so with a GPU.
    let answered = answer(&[three()], manner(None));
    assert_eq!(list(&answered.records[0]), [(2, 1), (1, 2), (3, 2)]);
    assert!(answered.block.is_none() && !answered.records[0].authoritative);
    let mut known = three();
    known.attributes[1] = in_state(AgentState::Suspended);
    assert_eq!(list(&answer(&[known], manner(None)).records[0]), [(1, 1), (3, 1)]);
}

#[test]
fn none_left_denies_for_everybody() {
    let known = Known { attributes: vec![in_state(AgentState::Failed)], ..Known::plain(record(&[(1, 1)])) };
    let plain = answer(std::slice::from_ref(&known), manner(None));
    let denied = EidRecord { act: Act::DropPolicyDenied, ttl: 1, ..record(&[]) };
    let denied = EidRecord { authoritative: false, ..denied };
    assert_eq!(plain, Answered { records: vec![denied.clone()], block: None });
    for (question, filtered) in [(wants_attributes(), false), (Question::default(), true)] {
        let answered = answer(std::slice::from_ref(&known), manner(Some(&question)));
        let block = answered.block.unwrap();
        assert_eq!((answered.records, block.filtered), (vec![denied.clone()], filtered));
        assert_eq!((block.status, block.hash), (Some(NO_MATCH), None));
        assert!(block.reply && block.aware && block.entries.is_empty());
    }
}

#[test]
fn who_wants_attributes_gets_all_with_scores_and_the_priorities_as_registered() {
    let mut known = three();
    known.record.locators[2].priority = 3;
    known.attributes.push(in_state(AgentState::Failed));
    let question = Question { constraints: vec![Constraint::hard(Need::Load(1))], ..wants_attributes() };
    let answered = answer(std::slice::from_ref(&known), manner(Some(&question)));
    assert_eq!(list(&answered.records[0]), [(1, 2), (2, 1), (3, 255)]);
    let block = answered.block.unwrap();
    assert_eq!((block.complete, block.filtered, block.status, block.hash), (true, false, None, None));
    assert_eq!(scores(&block), [(275, 1), (475, 1), (0, 3)]);
    let said: Vec<Attributes> = block.entries.into_iter().map(|entry| entry.attributes).collect();
    assert_eq!(said, known.attributes);
}

#[test]
fn a_filtered_list_has_what_meets_the_constraints_best_first() {
    let hard = Constraint::hard(Need::Hardware(Hardware::from_names(["gpu"]).unwrap()));
    let question = needs(vec![hard]);
    let answered = answer(&[three()], manner(Some(&question)));
    assert_eq!(list(&answered.records[0]), [(1, 1)]);
    let block = answered.block.unwrap();
    assert_eq!((block.complete, block.filtered, block.hash), (false, true, question.hash()));
    assert_eq!((scores(&block), block.entries[0].attributes.is_empty()), (vec![(275, 1)], true));

    let none = needs(vec![Constraint::hard(Need::Security { level: 1, flags: 0, domain: 0 })]);
    let answered = answer(&[three()], manner(Some(&none)));
    assert_eq!((answered.records[0].act, answered.records[0].ttl), (Act::DropPolicyDenied, 1));
    let block = answered.block.unwrap();
    assert_eq!((block.status, block.filtered, block.hash), (Some(NO_MATCH), true, none.hash()));
}

#[test]
fn skills_and_long_lists_are_filtered_although_the_attributes_are_wanted() {
    let question = Question { limit: Some(2), ..wants_attributes() };
    let skill = Known { skill: true, ..three() };
    let answered = answer(&[skill], manner(Some(&question)));
    assert_eq!(list(&answered.records[0]), [(2, 1), (1, 2)]);
    let block = answered.block.unwrap();
    assert!(block.filtered && block.complete);
    assert_eq!(block.entries[1].attributes, gpu());

    let locators: Vec<(u8, u8)> = (1..=40).map(|last| (last, 1)).collect();
    for (count, filtered, told) in [(8, false, 8), (9, true, 9), (40, true, MAX_FILTERED)] {
        let long = Known::plain(record(&locators[..count]));
        let answered = answer(&[long], manner(Some(&wants_attributes())));
        assert_eq!((answered.block.unwrap().filtered, answered.records[0].locators.len()), (filtered, told));
    }
}

#[test]
fn what_nobody_is_told_of_again_holds_for_a_minute() {
    let brief = |known: &Known, question: Option<&Question>| {
        let manner = Manner { subscribed: false, ..manner(question) };
        answer(std::slice::from_ref(known), manner).records[0].ttl
    };
    assert_eq!(brief(&three(), None), 1);
    assert_eq!(brief(&three(), Some(&wants_attributes())), 1);
    let lasting = Known { attributes: vec![gpu()], ..three() };
    assert_eq!(brief(&lasting, None), 1440, "hardware stays");
    assert_eq!(brief(&lasting, Some(&wants_attributes())), 1440);
    assert_eq!(brief(&lasting, Some(&needs(Vec::new()))), 1, "a filtered list is for one question");
    assert_eq!(answer(&[three()], manner(None)).records[0].ttl, 1440, "a subscriber is told");
}

#[test]
fn an_answer_is_cut_from_the_worst_and_never_too_long() {
    let names: Vec<String> = (0..16).map(|number| format!("{number:0>60}")).collect();
    let hardware = Hardware::from_names(names.iter().map(String::as_str)).unwrap();
    let fat = Attributes { hardware: Some(hardware), ..low() };
    let known = Known { attributes: vec![gpu(), fat.clone(), fat], ..three() };
    let part = Known::plain(record(&[(9, 1)]));
    let question = wants_attributes();
    let room = MAX_MESSAGE - 12;
    let (answered, cut) = answer_within(&[known.clone(), part], manner(Some(&question)), room);
    // The list is filtered, the part goes, then the worst two of the others.
    assert_eq!((list(&answered.records[0]), answered.records.len(), cut), (vec![(2, 1)], 1, 3));
    let block = Acx::find(&answered.tail()).unwrap().unwrap();
    assert!(block.filtered && block.complete && block.entries.len() == 1);

    let security = Some(Security::default());
    let fatter = Attributes { security, state: Some(AgentState::Busy), ..known.attributes[1].clone() };
    let huge: Vec<Attributes> = vec![fatter; 24];
    let locators: Vec<(u8, u8)> = (1..=24).map(|last| (last, last)).collect();
    let known = Known { record: record(&locators), attributes: huge, skill: true };
    let (answered, cut) = answer_within(&[known], manner(Some(&question)), room);
    assert_eq!((list(&answered.records[0]), cut), (vec![(1, 1)], 23));
    assert!(answered.block.unwrap().fits());
    let (small, cut) = answer_within(&[three()], manner(None), 40);
    assert_eq!((list(&small.records[0]), cut), (vec![(2, 1)], 2));
}

#[test]
fn the_essence_minds_the_order_and_steps_of_load() {
    let essence = |question: Option<&Question>, load: u16| {
        let attributes = vec![loaded(load), loaded(500)];
        let known = Known { attributes, ..Known::plain(record(&[(1, 1), (2, 1)])) };
        answer(&[known], manner(question)).essence()
    };
    let question = wants_attributes();
    assert_eq!(essence(Some(&question), 410), essence(Some(&question), 490));
    assert_ne!(essence(Some(&question), 410), essence(Some(&question), 390), "a tenth");
    assert_eq!(essence(None, 410), essence(None, 390), "the order is the same");
    assert_ne!(essence(None, 410), essence(None, 100));
    // 500 of load costs 125; it is left behind by more than 50 at 299 and below.
    assert_ne!(essence(Some(&question), 299), essence(Some(&question), 305), "the order, within a step");
}
