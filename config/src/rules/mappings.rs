//! Static mappings: their group, their EIDs, and their locators.

use std::collections::HashMap;

use sterna_wire::{Family, Iid, Prefix};

use crate::Mapping;
use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{At, Findings};
use crate::mapping::{self, RlocDraft};
use crate::rules::groups::unreachable_prefix;
use crate::rules::own::Own;
use crate::rules::shares::{Share, check_shares};
use crate::rules::{refuse_twins, unreachable};

pub(super) fn check(draft: &Draft, found: &Findings) {
    let context = Context::of(draft);
    let mut seen: HashMap<(Iid, Prefix), &At> = HashMap::new();
    for mapping in draft.mappings.entries.iter().map(|mapping| &mapping.value) {
        context.check_group(mapping, found);
        context.check_eid(mapping, &mut seen, found);
        for rloc in &mapping.rlocs.entries {
            context.check_locator(&rloc.value, found);
        }
        let addresses = mapping.rlocs.entries.iter().filter_map(|rloc| rloc.value.address.as_ref());
        refuse_twins("locator", addresses, "a locator stands once in a mapping: leave one out", found);
        let rlocs = &mapping.rlocs;
        if rlocs.whole && rlocs.entries.len() <= Mapping::MAX_RLOCS {
            let shares: Option<Vec<Share>> = rlocs.entries.iter().map(|rloc| share(&rloc.value)).collect();
            check_shares(shares.as_deref().unwrap_or_default(), &rlocs.at, found);
        }
    }
}

/// What all mappings are held against.
struct Context<'a> {
    /// The instance-IDs of the groups; nothing when one is not known.
    iids: Option<Vec<Iid>>,
    /// What is served here, with its place.
    served: HashMap<(Iid, Prefix), &'a At>,
    /// Our own locators.
    own: Own<'a>,
}

impl<'a> Context<'a> {
    fn of(draft: &'a Draft) -> Context<'a> {
        let groups = &draft.groups.entries;
        let iids = groups.iter().map(|group| group.value.iid.as_ref().map(|iid| iid.value)).collect();
        let served =
            groups.iter().filter_map(|group| Some((group.value.iid.as_ref()?.value, &group.value.eids)));
        let served = served.flat_map(|(iid, eids)| {
            eids.entries.iter().map(move |served| ((iid, served.value.prefix.value), &served.value.prefix.at))
        });
        Context {
            iids: Some(iids).filter(|_| draft.groups.whole).flatten(),
            served: served.collect(),
            own: Own::of(draft),
        }
    }

    fn check_group(&self, mapping: &mapping::Draft, found: &Findings) {
        let (Some(iid), Some(iids)) = (&mapping.iid, &self.iids) else {
            return;
        };
        if iids.contains(&iid.value) {
            return;
        }
        let known: Vec<String> = iids.iter().take(8).map(Iid::to_string).collect();
        let help = format!("add the [[group]], or use an instance-ID that exists: {}", known.join(", "));
        found.push(Code::UnknownGroup, &iid.at, format!("no group has instance-ID {}", iid.value), help);
    }

    fn check_eid(
        &self,
        mapping: &'a mapping::Draft,
        seen: &mut HashMap<(Iid, Prefix), &'a At>,
        found: &Findings,
    ) {
        let (Some(iid), Some(eid)) = (&mapping.iid, &mapping.eid) else {
            return;
        };
        let key = (iid.value, eid.value);
        if let Some(reason) = unreachable_prefix(eid.value) {
            let help = "map the prefixes that agents at other sites are in";
            found.push(Code::BadEid, &eid.at, format!("{} {reason}", eid.value), help);
        }
        if let Some(here) = self.served.get(&key) {
            let text = format!("{} is served here, so it cannot be mapped elsewhere", eid.value);
            let help = "leave out the mapping or the entry of `eids`; a shorter or longer prefix may stand beside it";
            found.push_with(Code::MappedAndServed, &eid.at, text, help, (here, "served here"));
        }
        let first = *seen.entry(key).or_insert(&eid.at);
        if !std::ptr::eq(first, &eid.at) {
            let text = format!("{} of instance-ID {} is mapped twice", eid.value, iid.value);
            let help = "put all its locators into one mapping";
            found.push_with(Code::GivenTwice, &eid.at, text, help, (first, "first here"));
        }
    }

    fn check_locator(&self, rloc: &RlocDraft, found: &Findings) {
        let Some(address) = &rloc.address else { return };
        let family = Family::of(address.value);
        if let Some(reason) = unreachable(address.value) {
            let text = format!("locator {} {reason}", address.value);
            found.push(
                Code::BadLocator,
                &address.at,
                text,
                "a locator is an address that we reach the far gateway by",
            );
        } else if let Some(own) = self.own.place(address.value) {
            let text = format!("locator {} is our own, so the mapping would lead back here", address.value);
            let help = "name the far gateway's locator; what is served here stands in the group's `eids`";
            found.push_with(Code::OwnLocator, &address.at, text, help, (own, "our own locator"));
        } else if self.own.lacks(address.value).is_some() {
            let text = format!(
                "locator {} is {family}, and we have no {family} locator to send from",
                address.value
            );
            let help = format!("add an [[rloc]] with an {family} address");
            found.push(Code::NoLocalFamily, &address.at, text, help);
        }
        if let Some(knob) = rloc.udp_checksum.as_ref().filter(|knob| knob.value && family == Family::V4) {
            let help = "take it out: over IPv4 the outer UDP checksum is always zero (RFC 9300 section 5.3)";
            found.push(Code::NeedlessChecksum, &knob.at, "`udp_checksum` is for IPv6 locators", help);
        }
    }
}

fn share(rloc: &RlocDraft) -> Option<Share> {
    Some((rloc.priority.as_ref()?.value, rloc.weight.as_ref()?.value))
}
