//! Sites of a map-server: their keys, what they may register, and what is registered for them.

use std::collections::HashMap;

use sterna_wire::{Iid, Prefix};

use crate::Mapping;
use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{At, Findings, Located};
use crate::rules::groups::unreachable_prefix;
use crate::rules::servers::check_keys;
use crate::rules::shares::{Share, check_shares};
use crate::rules::{refuse_twins, unreachable};
use crate::site::{self, EidDraft, StaticDraft};

pub(super) fn check(draft: &Draft, found: &Findings) {
    let sites = || draft.sites.entries.iter().map(|site| &site.value);
    refuse_twins("site", sites().filter_map(|site| site.name.as_ref()), "give one another name", found);
    let mut taken = Taken::default();
    for (index, site) in draft.sites.entries.iter().enumerate() {
        check_idle(site, found);
        check_keys(&site.value.keys, found);
        check_rlocs(&site.value, found);
        let mut own = HashMap::new();
        for eid in &site.value.eids.entries {
            check_scope(&eid.value, found);
            taken.claim(Claim::of_scope(index, &eid.value), &mut own, found);
        }
        check_skills(&site.value, found);
        let mut own = HashMap::new();
        for registration in &site.value.statics.entries {
            check_static(&registration.value, found);
            taken.claim(Claim::of_static(index, &registration.value), &mut own, found);
        }
    }
}

type Key = (Iid, Prefix);

/// A site's hold on a prefix.
#[derive(Clone, Copy)]
struct Claim<'a> {
    site: usize,
    key: Key,
    at: &'a At,
    /// Whether others may have the same one: parts of it, or the one agent that it is, may move from site to site.
    shared: bool,
}

impl<'a> Claim<'a> {
    fn of_scope(site: usize, eid: &'a EidDraft) -> Option<Claim<'a>> {
        let (iid, prefix) = (eid.iid.as_ref()?, eid.prefix.as_ref()?);
        let host = prefix.value.len() == prefix.value.family().bits();
        let shared = host || eid.more_specifics.as_ref()?.value;
        Some(Claim { site, key: (iid.value, prefix.value), at: &prefix.at, shared })
    }

    fn of_static(site: usize, registration: &'a StaticDraft) -> Option<Claim<'a>> {
        let (iid, eid) = (registration.iid.as_ref()?, registration.eid.as_ref()?);
        Some(Claim { site, key: (iid.value, eid.value), at: &eid.at, shared: false })
    }
}

/// The claims that one site alone may have.
#[derive(Default)]
struct Taken<'a>(HashMap<Key, Claim<'a>>);

impl<'a> Taken<'a> {
    /// Takes a prefix for a site; `own` is what the same list of the site has so far.
    fn claim(&mut self, claim: Option<Claim<'a>>, own: &mut HashMap<Key, &'a At>, found: &Findings) {
        let Some(claim) = claim.filter(|claim| claim.key.1.len() > 0) else { return };
        let (iid, prefix) = claim.key;
        if let Some(first) = own.insert(claim.key, claim.at) {
            let text = format!("{prefix} of instance-ID {iid} is given twice");
            return found.push_with(Code::GivenTwice, claim.at, text, "leave one out", (first, "first here"));
        }
        if claim.shared {
            return;
        }
        let first = self.0.entry(claim.key).or_insert(claim);
        if first.site != claim.site {
            let text = format!("{prefix} of instance-ID {iid} is another site's already");
            let help = "leave one out; gateways of one site share its keys; \
                        and where agents move between sites, both have `more_specifics = true`";
            found.push_with(Code::TakenPrefix, claim.at, text, help, (first.at, "first here"));
        }
    }
}

/// A site registers by a key what its `eids` allow, or has something registered for it.
fn check_idle(site: &Located<site::Draft>, found: &Findings) {
    let (keys, eids, statics) = (&site.value.keys, &site.value.eids, &site.value.statics);
    if !keys.whole || !eids.whole || !statics.whole {
        return;
    }
    let idle = |text: &str, help: &str| found.push(Code::IdleSite, &site.at, text, help);
    match (keys.entries.is_empty(), eids.entries.is_empty(), statics.entries.is_empty()) {
        (true, true, true) => {
            idle(
                "the site may register nothing",
                "add `keys` and `eids`, or `static` if its ETRs cannot register",
            );
        }
        (false, true, _) => {
            idle("the site has keys and may register nothing", "add `eids`: what it may register")
        }
        (true, false, true) => {
            idle(
                "the site has `eids` and no key to register them with",
                "add `keys`, or `static` if its ETRs cannot register",
            );
        }
        _ => {}
    }
}

fn check_rlocs(site: &site::Draft, found: &Findings) {
    refuse_twins("locator", site.rlocs.entries.iter(), "leave one out", found);
    for rloc in &site.rlocs.entries {
        check_locator(rloc, found);
    }
}

fn check_locator(address: &Located<std::net::IpAddr>, found: &Findings) {
    if let Some(reason) = unreachable(address.value) {
        let text = format!("locator {} {reason}", address.value);
        found.push(
            Code::BadLocator,
            &address.at,
            text,
            "a locator is an address that the site's gateway is reached by",
        );
    }
}

fn check_scope(eid: &EidDraft, found: &Findings) {
    let (Some(prefix), Some(more)) = (&eid.prefix, &eid.more_specifics) else { return };
    if let Some(reason) = unreachable_prefix(prefix.value) {
        let help = "name prefixes that the site's agents are in";
        found.push(Code::BadEid, &prefix.at, format!("{} {reason}", prefix.value), help);
    } else if prefix.value.len() == 0 && !more.value {
        let text = format!("{} is everything, and no mapping may cover that", prefix.value);
        let help =
            "add `more_specifics = true` to let the site register any part of it, or name a longer prefix";
        found.push(Code::BadEid, &prefix.at, text, help);
    }
}

/// A skill's instances are hosts, which the site must be allowed to register.
fn check_skills(site: &site::Draft, found: &Findings) {
    let eids = || site.eids.entries.iter().map(|eid| &eid.value);
    let known = eids().all(|eid| eid.iid.is_some() && eid.prefix.is_some() && eid.more_specifics.is_some());
    if !site.eids.whole || !known {
        return;
    }
    let allows = |eid: &EidDraft, iid: Iid, skill: Prefix| {
        let of = eid.iid.as_ref().is_some_and(|of| of.value == iid);
        let more = eid.more_specifics.as_ref().is_some_and(|more| more.value);
        let host = skill.len() == skill.family().bits();
        let prefix = eid.prefix.as_ref().map(|prefix| prefix.value);
        of && prefix.is_some_and(|prefix| if more { prefix.covers(&skill) } else { host && prefix == skill })
    };
    let mut seen = HashMap::new();
    for skill in &site.skills.entries {
        let (Some(iid), Some(prefix)) = (&skill.value.iid, &skill.value.prefix) else { continue };
        let (iid, at, prefix) = (iid.value, &prefix.at, prefix.value);
        if let Some(first) = seen.insert((iid, prefix), at) {
            let text = format!("{prefix} of instance-ID {iid} is given twice");
            found.push_with(Code::GivenTwice, at, text, "leave one out", (first, "first here"));
        } else if !eids().any(|eid| allows(eid, iid, prefix)) {
            let text = format!("the site may not register agents in {prefix} of instance-ID {iid}");
            let help = "add an entry of `eids` that covers it, with `more_specifics = true`";
            found.push(Code::SkillOutside, at, text, help);
        }
    }
}

fn check_static(registration: &StaticDraft, found: &Findings) {
    if let Some(eid) = &registration.eid {
        let everything = (eid.value.len() == 0).then_some("is everything, and no mapping may cover that");
        if let Some(reason) = unreachable_prefix(eid.value).or(everything) {
            let help = "name prefixes that the site's agents are in";
            found.push(Code::BadEid, &eid.at, format!("{} {reason}", eid.value), help);
        }
    }
    let rlocs = &registration.rlocs;
    let addresses = || rlocs.entries.iter().filter_map(|rloc| rloc.value.address.as_ref());
    refuse_twins("locator", addresses(), "a locator stands once in a mapping: leave one out", found);
    for address in addresses() {
        check_locator(address, found);
    }
    if rlocs.whole && rlocs.entries.len() <= Mapping::MAX_RLOCS {
        let shares = rlocs
            .entries
            .iter()
            .map(|rloc| Some((rloc.value.priority.as_ref()?.value, rloc.value.weight.as_ref()?.value)));
        let shares: Option<Vec<Share>> = shares.collect();
        check_shares(shares.as_deref().unwrap_or_default(), &rlocs.at, found);
    }
}
