//! What the context block of an answer says of the locators of its records.

use std::net::IpAddr;

use sterna_wire::lisp::control::EidRecord;
use sterna_wire::lisp::control::acx::{Acx, AcxError, Attributes, Scope, Scoped, StatusCode};

use super::counters::{Counter, Counters};
use super::question::Hash;
use super::sets::SOURCE_ONLY;
use crate::outbox::Locator;

/// How the locators of a record were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// By somebody who knows nothing of context.
    Blindly,
    /// All that there are.
    All,
    /// Those that will do for these needs.
    For(Option<Hash>),
    /// None will do for these needs; without needs, none for anybody.
    Nobody(Option<Hash>),
}

/// What is said of a locator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The RLOC.
    pub address: IpAddr,
    /// As it was registered; 255 where it cannot be reached.
    pub priority: u8,
    /// Share among equals.
    pub weight: u8,
    /// What is said of the agent there.
    pub attributes: Attributes,
    /// Only what changed is said.
    pub delta: bool,
    /// For how many seconds the dynamic attributes hold.
    pub ttl_s: Option<u32>,
}

/// The block in what follows a message; one that cannot be read costs nothing but itself.
pub fn block(tail: &[u8], counters: &mut Counters) -> Option<Acx> {
    match Acx::find(tail) {
        Ok(block) => block,
        Err(reason) => {
            counters.count(match reason {
                AcxError::NotAcx => Counter::TailUnknown,
                AcxError::TooLong | AcxError::Malformed(_) => Counter::ContextMalformed,
                AcxError::UnknownCritical(_) => Counter::ContextCritical,
            });
            None
        }
    }
}

/// How the locators of a record were chosen. Only the first record is ever filtered. That none will do, and nothing was
/// filtered, is so for everybody.
pub fn chosen(block: Option<&Acx>, index: usize) -> Chosen {
    let Some(block) = block else { return Chosen::Blindly };
    let nobody = block.status.is_some_and(|status| status.code == StatusCode::NoMatch);
    match index {
        0 if nobody => Chosen::Nobody(block.hash.filter(|_| block.filtered)),
        0 if block.filtered => Chosen::For(block.hash),
        0 => Chosen::All,
        // Parts of the prefix of which nothing is said were ordered, or cut, by the server.
        _ if block.entries.iter().any(|entry| is_about(&entry.scope, index)) => Chosen::All,
        _ => Chosen::Blindly,
    }
}

fn is_about(scope: &Scope, index: usize) -> bool {
    match scope {
        Scope::Record(record) | Scope::Locator { record, .. } => usize::from(*record) == index,
        Scope::Message | Scope::Eid(..) | Scope::EidLocator(..) => true,
    }
}

/// What is said of these locators, which are those of the record that we can use.
pub fn of_record(block: Option<&Acx>, index: usize, record: &EidRecord, usable: &[Locator]) -> Vec<Said> {
    usable.iter().map(|locator| of_locator(block, index, record, *locator)).collect()
}

fn of_locator(block: Option<&Acx>, index: usize, record: &EidRecord, locator: Locator) -> Said {
    let Locator { address, priority, weight } = locator;
    let mut said =
        Said { address, priority, weight, attributes: Attributes::default(), delta: false, ttl_s: None };
    let Some(block) = block else { return said };
    said.delta = !block.complete;
    let place = record.locators.iter().position(|one| one.address.rloc() == Some(address));
    for entry in scopes(index, place, record, address).iter().filter_map(|scope| entry(block, scope)) {
        said.attributes = said.attributes.overlaid(&entry.attributes);
        said.ttl_s = entry.ttl_s.or(said.ttl_s);
        // The record has the priority that follows from the score, and 255 for what nobody may use.
        let reachable = place.and_then(|place| record.locators.get(place)).is_some_and(|one| one.reachable);
        said.priority = match entry.score {
            Some(score) if reachable => score.priority,
            Some(_) => SOURCE_ONLY,
            None => said.priority,
        };
    }
    said
}

/// From the widest to the narrowest: what stands later goes before.
fn scopes(index: usize, place: Option<usize>, record: &EidRecord, address: IpAddr) -> Vec<Scope> {
    let mut scopes = vec![Scope::Message];
    let number = u8::try_from(index).ok();
    scopes.extend(number.map(Scope::Record));
    let eid = record.prefix();
    scopes.extend(eid.map(|(iid, prefix)| Scope::Eid(iid, prefix)));
    let place = place.and_then(|place| u8::try_from(place).ok());
    scopes.extend(number.zip(place).map(|(record, locator)| Scope::Locator { record, locator }));
    scopes.extend(eid.map(|(iid, prefix)| Scope::EidLocator(iid, prefix, address)));
    scopes
}

fn entry<'a>(block: &'a Acx, scope: &Scope) -> Option<&'a Scoped> {
    block.entries.iter().find(|entry| entry.scope == *scope)
}

#[cfg(test)]
mod tests {
    use sterna_wire::lisp::control::LocatorRecord;
    use sterna_wire::lisp::control::acx::{AgentState, Load, Score, Status};
    use sterna_wire::{Iid, Prefix};

    use super::*;

    fn rloc(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn record() -> EidRecord {
        let locators = [2, 1].map(|last| LocatorRecord::unicast(rloc(last), 7, 100));
        let prefix: Prefix = "10.1.2.3/32".parse().unwrap();
        EidRecord { locators: locators.into(), ..EidRecord::of(Iid::DEFAULT, prefix) }
    }

    fn usable() -> [Locator; 2] {
        [1, 2].map(|last| Locator { address: rloc(last), priority: 7, weight: 100 })
    }

    fn state(scope: Scope, state: AgentState) -> Scoped {
        Scoped::new(scope, Attributes { state: Some(state), ..Attributes::default() })
    }

    #[test]
    fn the_narrower_scope_goes_before_the_wider_one() {
        let load = Some(Load { permille: Some(3), queue: None });
        let mut wide = state(Scope::Record(0), AgentState::Busy);
        (wide.attributes.load, wide.ttl_s) = (load, Some(60));
        let mut narrow = state(Scope::Locator { record: 0, locator: 1 }, AgentState::Idle);
        narrow.score = Some(Score { score: 500, priority: 2 });
        let block = Acx { complete: true, entries: vec![wide, narrow], ..Acx::default() };
        let said = of_record(Some(&block), 0, &record(), &usable());
        let states: Vec<_> =
            said.iter().map(|one| (one.address, one.attributes.state, one.priority)).collect();
        assert_eq!(states, [(rloc(1), Some(AgentState::Idle), 2), (rloc(2), Some(AgentState::Busy), 7)]);
        assert!(said.iter().all(|one| one.attributes.load == load && one.ttl_s == Some(60) && !one.delta));
        let other = of_record(Some(&block), 1, &record(), &usable());
        assert!(other.iter().all(|one| one.attributes.is_empty() && one.ttl_s.is_none()));
    }

    #[test]
    fn scopes_by_name_reach_their_record_only() {
        let eid = "10.1.2.3/32".parse().unwrap();
        let named = state(Scope::EidLocator(Iid::DEFAULT, eid, rloc(2)), AgentState::Failed);
        let strange = state(Scope::Eid(Iid::DEFAULT, "10.1.2.4/32".parse().unwrap()), AgentState::Busy);
        let block = Acx { entries: vec![named, strange], ..Acx::default() };
        let said = of_record(Some(&block), 0, &record(), &usable());
        assert_eq!(said[0].attributes.state, None);
        assert_eq!((said[1].attributes.state, said[1].delta), (Some(AgentState::Failed), true));
    }

    #[test]
    fn a_score_does_not_make_reachable_what_is_not() {
        let mut record = record();
        record.locators[1].reachable = false;
        let scope = Scope::Locator { record: 0, locator: 1 };
        let scored = Scoped {
            score: Some(Score { score: 900, priority: 1 }),
            ..Scoped::new(scope, Attributes::default())
        };
        let block = Acx { entries: vec![scored], ..Acx::default() };
        assert_eq!(of_record(Some(&block), 0, &record, &usable())[0].priority, SOURCE_ONLY);
    }

    #[test]
    fn how_locators_were_chosen() {
        let hash = Some([1; 8]);
        let plain = Acx::default();
        let filtered = Acx { filtered: true, hash, ..Acx::default() };
        let code = StatusCode::NoMatch;
        let nobody = Acx { status: Some(Status { code, offending: 0 }), hash, ..Acx::default() };
        let nobody_for = Acx { filtered: true, ..nobody.clone() };
        assert_eq!(chosen(None, 0), Chosen::Blindly);
        assert_eq!(chosen(Some(&plain), 0), Chosen::All);
        assert_eq!(chosen(Some(&filtered), 0), Chosen::For(hash));
        assert_eq!(chosen(Some(&filtered), 1), Chosen::Blindly);
        let also = state(Scope::Record(1), AgentState::Idle);
        let with_parts = Acx { entries: vec![also], ..filtered.clone() };
        assert_eq!(chosen(Some(&with_parts), 1), Chosen::All);
        assert_eq!(chosen(Some(&nobody), 0), Chosen::Nobody(None), "nobody can be used by anybody");
        assert_eq!(chosen(Some(&nobody_for), 0), Chosen::Nobody(hash));
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_nothing_else() {
        let mut counters = Counters::default();
        let mut bytes = Acx::default().bytes();
        assert_eq!(block(&bytes, &mut counters), Some(Acx::default()));
        assert_eq!(block(&[], &mut counters), None);
        bytes.extend([0x80, 0, 0, 0]);
        bytes[7] += 4;
        assert_eq!(block(&bytes, &mut counters), None);
        bytes[20] = 0x12;
        assert_eq!(block(&bytes, &mut counters), None);
        assert_eq!(block(b"signature", &mut counters), None);
        let counts = [Counter::ContextCritical, Counter::ContextMalformed, Counter::TailUnknown];
        assert_eq!(counts.map(|counter| counters.get(counter)), [1, 1, 1]);
    }
}
