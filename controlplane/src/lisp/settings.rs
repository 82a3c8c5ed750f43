//! What the config means to each role.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use sterna_config::{Config, Group, Key, KeyAlgorithm, MappingSystem};
use sterna_wire::lisp::control::auth;
use sterna_wire::{Iid, Prefix};

use crate::context::{Class, Ranking};
use crate::etr::{self, EtrSettings};
use crate::itr::{self, GroupRanges, ItrSettings, MapServerKeys, Rate};
use crate::outbox::Locator;
use crate::server::{ProxyReply, Scope, ServerSettings, SiteSettings, StaticMapping, Upstream};

pub(super) fn itr(config: &Config, system: &MappingSystem) -> ItrSettings {
    let server = |peer: &sterna_config::MapServerPeer| MapServerKeys {
        address: peer.address,
        keys: peer.keys.iter().map(key).collect(),
    };
    let request = Rate { per_second: system.request_rate, burst: system.request_burst };
    let probe = Rate { per_second: system.probe_rate, ..itr::Limits::default().probe };
    ItrSettings {
        resolvers: system.map_resolvers.clone(),
        local_rlocs: config.rlocs.iter().map(|rloc| rloc.address).collect(),
        map_servers: system.map_servers.iter().map(server).collect(),
        groups: config.groups.iter().map(|group| (group.iid, ranges(group))).collect::<BTreeMap<Iid, _>>(),
        timers: itr::Timers {
            stale_max: Duration::from_secs(system.stale_max_s.into()),
            probe: Duration::from_secs(system.probe_s.into()),
            fast_probe: Duration::from_millis(system.fast_probe_ms.into()),
            ..itr::Timers::default()
        },
        limits: itr::Limits { request, probe, entries: learned_max(config), ..itr::Limits::default() },
        no_subscriptions: !system.subscribe,
        classes: config.classes.iter().map(Class::from).collect(),
        ranking: Ranking::of(config),
        skills: skills(config),
        drain: Duration::from_secs(config.context.drain_s.into()),
    }
}

/// The EIDs that one agent at each site may have.
fn skills(config: &Config) -> Vec<(Iid, Prefix)> {
    let of = |group: &Group| -> Vec<_> { group.skills.iter().map(|prefix| (group.iid, *prefix)).collect() };
    config.groups.iter().flat_map(of).collect()
}

/// The dataplane's table also holds what is configured and the agents of this site: the map-cache leaves an eighth.
fn learned_max(config: &Config) -> usize {
    config.dataplane.max_eids - config.dataplane.max_eids / 8
}

/// Agents of a group may be anywhere in its link's network, in its dynamic ranges and its skills, here or at another
/// site.
fn ranges(group: &Group) -> GroupRanges {
    let links = group.gateway.iter().filter_map(|(address, len)| Prefix::masked(*address, *len).ok());
    GroupRanges {
        ranges: links.chain(group.dynamic_eids.iter().chain(&group.skills).copied()).collect(),
        served: group.eids.iter().map(|served| served.prefix).collect(),
    }
}

pub(super) fn etr(config: &Config, system: &MappingSystem, up: &[(IpAddr, bool)]) -> EtrSettings {
    let seconds = |number: u32| Duration::from_secs(number.into());
    let is_up = |address| up.iter().find(|(known, _)| *known == address).is_none_or(|(_, up)| *up);
    let server = |peer: &sterna_config::MapServerPeer| etr::MapServer {
        address: peer.address,
        keys: peer.keys.iter().map(key).collect(),
        send: peer.send,
        proxy_reply: peer.proxy_reply,
    };
    let rloc = |rloc: &sterna_config::LocalRloc| etr::LocalRloc {
        address: rloc.address,
        priority: rloc.priority,
        weight: rloc.weight,
        up: is_up(rloc.address),
    };
    let group = |group: &Group| etr::Group {
        iid: group.iid,
        eids: group.eids.iter().map(|served| served.prefix).collect(),
        dynamic: group.dynamic_eids.clone(),
        gateways: group.gateway.iter().map(|(address, _)| *address).collect(),
    };
    EtrSettings {
        map_servers: system.map_servers.iter().map(server).collect(),
        resolvers: system.map_resolvers.clone(),
        local_rlocs: config.rlocs.iter().map(rloc).collect(),
        groups: config.groups.iter().map(group).collect(),
        mapping_ttl_min: system.mapping_ttl_min,
        timers: etr::Timers {
            register: seconds(system.register_s),
            agent_silent: seconds(system.agent_silent_s),
            detach_hold: seconds(system.detach_hold_s),
            relay: seconds(system.relay_s),
            freeze_within: seconds(system.moves_within_s),
            freeze_for: seconds(system.moves_within_s),
            ..etr::Timers::default()
        },
        limits: etr::Limits {
            freeze_moves: usize::try_from(system.moves_max).unwrap_or(usize::MAX),
            ..etr::Limits::default()
        },
        skills: skills(config),
        ranking: Ranking::of(config),
        ..EtrSettings::new()
    }
}

/// A key of the config, ready to sign and verify with.
pub(super) fn key(key: &Key) -> auth::Key {
    let algorithm = match key.algorithm {
        KeyAlgorithm::Sha256 => auth::Algorithm::HmacSha256_128,
        KeyAlgorithm::Sha1 => auth::Algorithm::HmacSha1_96,
    };
    auth::Key::new(key.id, algorithm, key.secret.as_bytes())
}

/// None for a gateway that is neither Map-Server nor Map-Resolver.
pub(super) fn server(config: &Config) -> Option<ServerSettings> {
    let limits = config.map_server.as_ref()?;
    let resolver = config.map_resolver.as_ref();
    let upstream =
        |forward: &sterna_config::Forward| Upstream { address: forward.address, eids: forward.eids.clone() };
    Some(ServerSettings {
        addresses: config.rlocs.iter().map(|rloc| rloc.address).collect(),
        sites: config.sites.iter().map(site).collect(),
        upstreams: resolver.into_iter().flat_map(|resolver| &resolver.map_servers).map(upstream).collect(),
        registration: Duration::from_secs(limits.registration_s.into()),
        negative_ttl_min: limits.negative_ttl_min,
        max_registrations: limits.max_registrations,
        max_subscriptions_per_xtr: limits.max_subscriptions_per_xtr,
        register_rate: limits.register_rate,
        register_rate_per_source: limits.register_rate_per_source,
        request_rate: limits.request_rate,
        request_rate_per_source: limits.request_rate_per_source,
        moves_max: limits.moves_max,
        moves_within: Duration::from_secs(limits.moves_within_s.into()),
        ranking: Ranking::of(config),
        ..ServerSettings::default()
    })
}

fn site(site: &sterna_config::Site) -> SiteSettings {
    let scope = |eid: &sterna_config::SiteEid| Scope {
        iid: eid.iid,
        prefix: eid.prefix,
        more_specifics: eid.more_specifics,
    };
    let locator = |rloc: &sterna_config::SiteRloc| Locator {
        address: rloc.address,
        priority: rloc.priority,
        weight: rloc.weight,
    };
    let fixed = |fixed: &sterna_config::StaticRegistration| StaticMapping {
        iid: fixed.iid,
        prefix: fixed.eid,
        locators: fixed.rlocs.iter().map(locator).collect(),
    };
    SiteSettings {
        keys: site.keys.iter().map(key).collect(),
        scopes: site.eids.iter().map(scope).collect(),
        proxy_reply: match site.proxy_reply {
            sterna_config::ProxyReply::Asked => ProxyReply::Asked,
            sterna_config::ProxyReply::Always => ProxyReply::Always,
        },
        legacy_nonce: site.legacy_nonce,
        allow_merge: site.allow_merge,
        rlocs: site.rlocs.clone(),
        statics: site.statics.iter().map(fixed).collect(),
        skills: site.skills.iter().map(|skill| (skill.iid, skill.prefix)).collect(),
        ..SiteSettings::named(&site.name)
    }
}
