//! The mapping system: whom we ask, whom we register with, and by which keys.

use std::collections::HashMap;

use sterna_wire::{Iid, Prefix};

use crate::Role;
use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{At, Findings, Located};
use crate::map_resolver;
use crate::mapping_system::{self, PeerDraft};
use crate::rules::groups::unreachable_prefix;
use crate::rules::own::Own;
use crate::rules::refuse_twins;
use crate::rules::shares::{Share, check_shares};
use crate::tree::Listed;
use crate::{key, rloc};

pub(super) fn check(draft: &Draft, found: &Findings) {
    let own = Own::of(draft);
    if let Some(system) = &draft.mapping_system {
        check_resolvers(draft, &system.value, &own, found);
        check_servers(draft, &system.value, &own, found);
    }
    if let Some(resolver) = &draft.map_resolver {
        check_forwards(&resolver.value, &own, found);
    }
}

fn check_resolvers(draft: &Draft, system: &mapping_system::Draft, own: &Own<'_>, found: &Findings) {
    let resolvers = &system.map_resolvers.entries;
    refuse_twins("map-resolver", resolvers.iter(), "leave one out", found);
    for resolver in resolvers {
        own.check_server("map-resolver", resolver, found);
        let Some(here) = own.place(resolver.value) else { continue };
        if draft.has(Role::MapResolver) == Some(false) {
            let text = format!("map-resolver {} is this gateway, which is no map-resolver", resolver.value);
            let help = "add \"map-resolver\" to `roles` of [gateway], or name another one";
            found.push_with(Code::OwnServer, &resolver.at, text, help, (here, "our own locator"));
        }
    }
}

fn check_servers(draft: &Draft, system: &mapping_system::Draft, own: &Own<'_>, found: &Findings) {
    let servers = &system.map_servers.entries;
    let addresses = servers.iter().filter_map(|server| server.value.address.as_ref());
    refuse_twins("map-server", addresses, "put all its keys into one entry", found);
    for server in servers {
        check_keys(&server.value.keys, found);
        check_send(server, found);
        let Some(address) = &server.value.address else { continue };
        own.check_server("map-server", address, found);
        let Some(here) = own.place(address.value) else { continue };
        if draft.has(Role::MapServer) == Some(false) {
            let text = format!("map-server {} is this gateway, which is no map-server", address.value);
            let help = "add \"map-server\" to `roles` of [gateway], or name another one";
            found.push_with(Code::OwnServer, &address.at, text, help, (here, "our own locator"));
        }
    }
    if !servers.is_empty() && draft.rlocs.whole {
        let shares: Option<Vec<Share>> = draft.rlocs.entries.iter().map(|rloc| share(&rloc.value)).collect();
        check_shares(shares.as_deref().unwrap_or_default(), &draft.rlocs.at, found);
    }
}

fn share(rloc: &rloc::Draft) -> Option<Share> {
    Some((rloc.priority.as_ref()?.value, rloc.weight.as_ref()?.value))
}

/// A message names its key by Key ID alone.
pub(super) fn check_keys(keys: &Listed<key::Draft>, found: &Findings) {
    let ids = keys.entries.iter().filter_map(|key| key.value.id.as_ref());
    let help = "a message names its key by this number: give one another, the same at both sides";
    refuse_twins("key", ids, help, found);
}

/// Exactly one key signs.
fn check_send(server: &Located<PeerDraft>, found: &Findings) {
    let keys = &server.value.keys;
    let said = keys.entries.iter().all(|key| key.value.send.is_some());
    if !keys.whole || keys.entries.is_empty() || !said || server.value.send().is_some() {
        return;
    }
    let sending = keys.entries.iter().filter_map(|key| key.value.send.as_ref());
    let sending: Vec<&Located<Option<bool>>> = sending.filter(|send| send.value == Some(true)).collect();
    match sending.as_slice() {
        [first, second, ..] => {
            let text = "two keys say `send = true`";
            let help = "registers are signed with one key: leave `send` out at the others";
            found.push_with(Code::SendingKey, &second.at, text, help, (&first.at, "first here"));
        }
        _ => {
            let text = "no key says that registers are signed with it";
            let help = "add `send = true` to the one that the map-server knows already";
            found.push(Code::SendingKey, &keys.at, text, help);
        }
    }
}

fn check_forwards(resolver: &map_resolver::Draft, own: &Own<'_>, found: &Findings) {
    let servers = &resolver.map_servers.entries;
    let addresses = servers.iter().filter_map(|server| server.value.address.as_ref());
    refuse_twins("map-server", addresses, "put all its EIDs into one entry", found);
    for server in servers {
        check_asked(&server.value, found);
        let Some(address) = &server.value.address else { continue };
        own.check_server("map-server", address, found);
        if let Some(here) = own.place(address.value) {
            let text = format!("map-server {} is this gateway, so a question would come back", address.value);
            let help = "take it out: what is registered here is looked up first anyway";
            found.push_with(Code::OwnServer, &address.at, text, help, (here, "our own locator"));
        }
    }
}

/// What a map-server is asked for: prefixes with agents in them, each once.
fn check_asked(server: &map_resolver::ForwardDraft, found: &Findings) {
    let mut seen: HashMap<(Iid, Prefix), &At> = HashMap::new();
    for asked in server.eids.entries.iter().map(|asked| &asked.value) {
        let (Some(iid), Some(prefix)) = (&asked.iid, &asked.prefix) else { continue };
        if let Some(reason) = unreachable_prefix(prefix.value) {
            let help = "name prefixes that agents are in";
            found.push(Code::BadEid, &prefix.at, format!("{} {reason}", prefix.value), help);
        }
        if let Some(first) = seen.insert((iid.value, prefix.value), &prefix.at) {
            let text = format!("{} of instance-ID {} is given twice", prefix.value, iid.value);
            found.push_with(Code::GivenTwice, &prefix.at, text, "leave one out", (first, "first here"));
        }
    }
}
