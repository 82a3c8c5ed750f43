//! The words of tests about context: classes, what is said of locators, rows.

use sterna_wire::lisp::control::EidRecord;
use sterna_wire::lisp::control::acx::{
    Acx, AgentState, Attributes, Constraint, Hardware, Load, Need, Scope, Scoped, Score, Status, StatusCode,
    hash_of,
};

use super::bench::*;
use crate::context::Class;
use crate::itr::ItrSettings;
use crate::outbox::{Choice, Chosen, Locator};

pub const EID: &str = "10.1.2.3";
pub const HOST: &str = "10.1.2.3/32";

pub fn gpu() -> Hardware {
    Hardware::from_names(["gpu"]).unwrap()
}

/// 1 must have a GPU, and somebody must say so; 2 must not have more load than half; 3 would like a GPU.
pub fn classes() -> Vec<Class> {
    let class =
        |id, constraint, require_context| Class { id, constraints: vec![constraint], require_context };
    vec![
        class(1, Constraint::hard(Need::Hardware(gpu())), true),
        class(2, Constraint::hard(Need::Load(500)), false),
        class(3, Constraint::soft(Need::Hardware(gpu()), 10), false),
    ]
}

pub fn classed() -> ItrSettings {
    ItrSettings { classes: classes(), ..settings() }
}

pub fn needs(class: u8) -> Option<[u8; 8]> {
    let of = classes().into_iter().find(|known| known.id == class);
    of.and_then(|class| hash_of(&class.constraints, None))
}

pub fn with_gpu() -> Attributes {
    Attributes { hardware: Some(gpu()), ..Attributes::default() }
}

pub fn loaded(permille: u16) -> Attributes {
    let load = Some(Load { permille: Some(permille), queue: None });
    Attributes { load, state: Some(AgentState::Active), ..Attributes::default() }
}

pub fn in_state(state: AgentState) -> Attributes {
    Attributes { state: Some(state), ..Attributes::default() }
}

/// The block of an answer: what is said of the locators of its first record, in their order, all registered with
/// priority 1.
pub fn block(said: &[Attributes]) -> Acx {
    let entry = |(locator, attributes): (usize, &Attributes)| Scoped {
        score: Some(Score { score: 500, priority: 1 }),
        ..Scoped::new(Scope::Locator { record: 0, locator: locator as u8 }, attributes.clone())
    };
    let entries = said.iter().enumerate().map(entry).collect();
    Acx { reply: true, aware: true, complete: true, entries, ..Acx::default() }
}

pub fn filtered(class: u8, said: &[Attributes]) -> Acx {
    Acx { filtered: true, complete: false, hash: needs(class), ..block(said) }
}

/// The answer that nobody will do for a class.
pub fn nobody_for(class: u8) -> (EidRecord, Acx) {
    let status = Some(Status { code: StatusCode::NoMatch, offending: 0 });
    (nobody(group(), HOST, 1), Acx { status, ..filtered(class, &[]) })
}

pub fn chosen(number: u8, priority: u8) -> Chosen {
    Chosen { locator: Locator { priority, ..locator(number) }, keep: true }
}

pub fn row(chosen: &[Chosen]) -> Choice {
    Choice::Locators(chosen.to_vec())
}

pub fn host(rlocs: &[u8]) -> EidRecord {
    record(group(), HOST, rlocs)
}

/// The row of a class as last published.
pub fn last(bench: &Bench, class: u8) -> Option<Choice> {
    bench.entry(HOST).and_then(|entry| entry.classes.get(&class).cloned())
}
