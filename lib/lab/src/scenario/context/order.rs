//! The Map-Server's order against the formula: each case is registered by a scripted ETR and asked for by a scripted ITR.

use std::net::{IpAddr, Ipv4Addr};

use sterna_wire::Prefix;
use sterna_wire::lisp::control::acx::{
    Acx, AgentState, Attributes, Constraint, Hardware, Latency, LatencyClass, Load, Need, Scope, Scoped,
    Security,
};
use sterna_wire::lisp::control::{EidRecord, LocatorRecord};

use crate::error::{LabError, Result};
use crate::gateway::plan::KeyFile;
use crate::script::etr::{ScriptedEtr, key};
use crate::script::itr::iid;
use crate::script::question::{Asker, Reply};
use crate::site::Family;
use crate::underlay::Node;

use super::super::{Outcome, Run};
use super::cases::{Case, all};
use super::formula::{Expected, Place, Said, Wanted, Wish, address, expected};

/// The scripted ETR's site.
pub const SCRIPTED: &str = "scripted";
/// The group of the cases, which nobody else is in.
pub const IID: u32 = 7;

/// Every case, registered and asked for.
pub fn judge(run: &mut Run<'_>) -> Result<Outcome> {
    let namespace = run.lab.namespace(Node::Outsider.name());
    let (own, server) = (Node::Outsider.address(Family::V4), Node::MapServer.address(Family::V4));
    let mut etr = ScriptedEtr::open(&namespace, own, server, key(&KeyFile::named(SCRIPTED)), 1)?;
    let mut itr = Asker::open(&namespace, own, server)?;
    let cases = all();
    let (mut wrong, mut first) = (0_u64, None);
    for (number, case) in (1_u32..).zip(&cases) {
        etr.register_with(&[record(number, case)], Some(&context(number, case)?))?;
        let question = (!case.plain).then(|| question(case)).transpose()?;
        let reply = itr.ask(iid(IID), eid(number), question.as_ref())?;
        if let Err(why) = compare(case, &reply) {
            wrong += 1;
            first.get_or_insert(format!("{}: {why}", case.name));
        }
    }
    run.figure("order_cases", cases.len());
    run.figure("order_mismatches", wrong);
    let words = format!("{} cases, {wrong} otherwise than by the formula", cases.len());
    Ok(Outcome::new(wrong == 0, first.map_or(words.clone(), |first| format!("{words}; the first: {first}"))))
}

fn eid(number: u32) -> IpAddr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 7, 0, 0)) + number).into()
}

fn record(number: u32, case: &Case) -> EidRecord {
    let locator = |place: &Place| LocatorRecord::unicast(address(place.last).into(), place.priority, 100);
    EidRecord {
        locators: case.places.iter().map(locator).collect(),
        ..EidRecord::of(iid(IID), Prefix::host(eid(number)))
    }
}

fn context(number: u32, case: &Case) -> Result<Acx> {
    let scoped = |(at, place): (usize, &Place)| {
        let scope = Scope::Locator { record: 0, locator: at as u8 };
        Ok(Scoped::new(scope, attributes(&place.said)?))
    };
    let entries = case.places.iter().enumerate().map(scoped).collect::<Result<_>>()?;
    Ok(Acx { aware: true, complete: true, seq: number, entries, ..Acx::default() })
}

fn attributes(said: &Said) -> Result<Attributes> {
    Ok(Attributes {
        latency: said.latency.map(|name| Latency { class: LatencyClass::from_name(name), sla_us: 0 }),
        hardware: said.hardware.map(hardware).transpose()?,
        state: said.state.and_then(AgentState::from_name),
        load: said.load.map(|permille| Load { permille: Some(permille), queue: None }),
        security: said.security.map(|level| Security { level, flags: 0, domain: 0 }),
    })
}

fn hardware(names: &[&str]) -> Result<Hardware> {
    let refused = |name: &str| LabError::Panicked(format!("a case names the hardware {name}"));
    Hardware::from_names(names.iter().copied()).map_err(refused)
}

fn question(case: &Case) -> Result<Acx> {
    let constraints = case.wanted.iter().map(constraint).collect::<Result<_>>()?;
    Ok(Acx { aware: true, constraints, return_scores: true, ..Acx::default() })
}

fn constraint((wish, weight): &Wanted) -> Result<Constraint> {
    let need = match *wish {
        Wish::Hardware(names) => Need::Hardware(hardware(names)?),
        Wish::Latency(name) => Need::Latency { class: LatencyClass::from_name(name), max_us: 0 },
        Wish::Load(most) => Need::Load(most),
        Wish::Security(level) => Need::Security { level, flags: 0, domain: 0 },
        Wish::State(names) => {
            let states = names.iter().filter_map(|name| AgentState::from_name(name));
            Need::State(states.fold(0, |bits, state| bits | state.bit()))
        }
    };
    Ok(weight.map_or_else(|| Constraint::hard(need.clone()), |weight| Constraint::soft(need.clone(), weight)))
}

/// What is wrong with a reply.
fn compare(case: &Case, reply: &Reply) -> std::result::Result<(), String> {
    let wanted = expected(&case.places, &case.wanted);
    let [record] = reply.message.records.as_slice() else {
        return Err(format!("{} records", reply.message.records.len()));
    };
    let got: Vec<(Option<IpAddr>, u8)> =
        record.locators.iter().map(|locator| (locator.address.rloc(), locator.priority)).collect();
    let right: Vec<_> = wanted.iter().map(|one| (Some(one.address.into()), one.priority)).collect();
    if got != right {
        return Err(format!("{got:?} instead of {wanted:?}"));
    }
    match (&reply.context, case.plain) {
        (None, true) => Ok(()),
        (Some(_), true) => Err("a block for somebody who did not ask with one".to_owned()),
        (None, false) => Err("no block".to_owned()),
        (Some(context), false) => scores_match(context, &wanted),
    }
}

fn scores_match(context: &Acx, wanted: &[Expected]) -> std::result::Result<(), String> {
    let of = |at: usize| {
        let scope = Scope::Locator { record: 0, locator: at as u8 };
        context.entries.iter().find(|entry| entry.scope == scope).and_then(|entry| entry.score)
    };
    let got: Vec<Option<u16>> = (0..wanted.len()).map(|at| of(at).map(|score| score.score)).collect();
    let right: Vec<Option<u16>> = wanted.iter().map(|one| Some(one.score)).collect();
    if got == right { Ok(()) } else { Err(format!("scores {got:?} instead of {wanted:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_cases_enough_and_all_kinds() {
        let cases = all();
        assert!(cases.len() >= 40);
        let orders: Vec<_> = cases.iter().map(|case| expected(&case.places, &case.wanted)).collect();
        assert!(orders.iter().any(Vec::is_empty), "no match");
        assert!(
            orders.iter().any(|order| order.len() > 1 && order.iter().all(|one| one.priority == 1)),
            "spread"
        );
        assert!(orders.iter().any(|order| order.iter().any(|one| one.priority == 3)), "three groups");
        assert!(orders.iter().flatten().any(|one| one.score == 0 || one.score == 1000), "clamped");
        assert!(cases.iter().all(|case| context(1, case).is_ok_and(|context| context.fits())));
        assert!(cases.iter().all(|case| question(case).is_ok_and(|question| question.fits())));
    }
}
