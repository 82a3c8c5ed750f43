//! What is said of an agent: of its host as a whole, and of single locators that it is reached by.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use sterna_wire::lisp::control::acx::{Acx, Attributes, Load, Scope, Scoped};
use sterna_wire::{Iid, Prefix};

use super::need::is_usable;

/// What is said of an agent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reported {
    /// Of its host.
    pub own: Attributes,
    /// Of single locators; it goes before what is said of the host. At most [`Reported::MAX_LOCATORS`].
    pub locators: BTreeMap<IpAddr, Attributes>,
}

impl Reported {
    /// The most locators that something of their own is said of: what a mapping has.
    pub const MAX_LOCATORS: usize = 16;

    /// The most bytes and values that it may take in a message: beside its record there is always room for them.
    const MAX_BYTES: usize = 800;
    const MAX_VALUES: usize = 96;

    /// Whether a Map-Register can carry it.
    pub fn is_short(&self) -> bool {
        let host = |address: IpAddr| (Iid::DEFAULT, Prefix::host(address));
        let (iid, eid) = host(Ipv6Addr::UNSPECIFIED.into());
        let own = Scoped { ttl_s: Some(0), ..Scoped::new(Scope::Eid(iid, eid), self.own.clone()) };
        let locators = self.locators.iter().map(|(rloc, said)| Scoped {
            ttl_s: Some(0),
            ..Scoped::new(Scope::EidLocator(iid, eid, *rloc), said.clone())
        });
        let entries: Vec<Scoped> = std::iter::once(own).chain(locators).collect();
        let values = entries.iter().map(|entry| 2 + count(&entry.attributes)).sum::<usize>();
        let block = Acx { entries, ..Acx::default() };
        values <= Self::MAX_VALUES && block.bytes().len() <= Self::MAX_BYTES
    }

    /// Nothing is said.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.locators.values().all(Attributes::is_empty)
    }

    /// What remains when nobody has renewed it.
    pub fn without_dynamic(&self) -> Reported {
        let locators = self.locators.iter().map(|(rloc, said)| (*rloc, said.without_dynamic()));
        Reported {
            own: self.own.without_dynamic(),
            locators: locators.filter(|(_, said)| !said.is_empty()).collect(),
        }
    }

    /// What holds for a locator.
    pub fn of(&self, rloc: IpAddr) -> Attributes {
        self.locators.get(&rloc).map_or_else(|| self.own.clone(), |said| self.own.overlaid(said))
    }

    /// Whether it differs so that others must know: in anything but the length of the queue and a load that is closer
    /// than `threshold` thousandths.
    pub(super) fn differs(&self, told: &Reported, threshold: u16) -> bool {
        self.pairs(told).any(|(now, told)| differ(&now, &told, threshold))
    }

    /// Whether something that could be used can be used no more.
    pub(super) fn fails(&self, told: &Reported) -> bool {
        self.pairs(told).any(|(now, told)| !is_usable(&now) && is_usable(&told))
    }

    /// The host's attributes and those of each locator that either names.
    fn pairs<'a>(&'a self, told: &'a Reported) -> impl Iterator<Item = (Attributes, Attributes)> + 'a {
        let named: BTreeSet<IpAddr> = self.locators.keys().chain(told.locators.keys()).copied().collect();
        let own = (self.own.clone(), told.own.clone());
        std::iter::once(own).chain(named.into_iter().map(|rloc| (self.of(rloc), told.of(rloc))))
    }
}

/// How many of the five values are there.
fn count(said: &Attributes) -> usize {
    let Attributes { latency, hardware, state, load, security } = said;
    let all = [latency.is_some(), hardware.is_some(), state.is_some(), load.is_some(), security.is_some()];
    all.into_iter().filter(|there| *there).count()
}

fn differ(now: &Attributes, told: &Attributes, threshold: u16) -> bool {
    let permille = |said: &Attributes| said.load.and_then(|Load { permille, .. }| permille);
    let load = match (permille(now), permille(told)) {
        (Some(now), Some(told)) => now != told && now.abs_diff(told) >= threshold,
        (now, told) => now != told,
    };
    load || Attributes { load: None, ..now.clone() } != Attributes { load: None, ..told.clone() }
}

#[cfg(test)]
mod test {
    use sterna_wire::lisp::control::acx::AgentState;

    use super::*;

    fn loaded(permille: Option<u16>, queue: Option<u16>) -> Reported {
        Reported {
            own: Attributes { load: Some(Load { permille, queue }), ..Attributes::default() },
            ..Reported::default()
        }
    }

    #[test]
    fn a_load_matters_from_the_threshold_on_and_a_queue_never() {
        let base = loaded(Some(400), Some(1));
        assert!(!loaded(Some(499), Some(9)).differs(&base, 100));
        assert!(
            loaded(Some(500), Some(1)).differs(&base, 100) && loaded(Some(300), None).differs(&base, 100)
        );
        assert!(loaded(None, Some(1)).differs(&base, 100) && base.differs(&Reported::default(), 100));
        assert!(loaded(Some(401), None).differs(&base, 0) && !base.differs(&base, 0));
    }

    #[test]
    fn a_locator_fails_by_itself() {
        let rloc = IpAddr::from([192, 0, 2, 1]);
        let failed = Attributes { state: Some(AgentState::Failed), ..Attributes::default() };
        let one = Reported { locators: BTreeMap::from([(rloc, failed.clone())]), ..Reported::default() };
        assert!(one.fails(&Reported::default()) && one.differs(&Reported::default(), 100));
        let all = Reported { own: failed, ..Reported::default() };
        assert!(!one.fails(&all) && all.fails(&one) && !all.fails(&all));
        assert!(one.without_dynamic().is_empty());
    }
}
