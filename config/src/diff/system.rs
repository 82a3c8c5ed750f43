//! What changes of the mapping system: all of it while packets flow, but for who we are.

use std::net::IpAddr;

use super::{Changes, Effect};
use crate::{Config, Forward, Key, MapServer, MapServerPeer, MappingSystem, Site, SiteEid, SiteSkill};

impl Changes {
    pub(super) fn mapping_system(&mut self, old: &Config, new: &Config) {
        let default = MappingSystem::default();
        let (before, after) = (&old.mapping_system, &new.mapping_system);
        self.identity(before.as_ref().unwrap_or(&default), after.as_ref().unwrap_or(&default));
        match (before, after) {
            (Some(_), None) => {
                self.push("mapping_system", Effect::Live, "the mapping system is no longer asked or told");
            }
            (None, Some(_)) => {
                self.push("mapping_system", Effect::Live, "the mapping system is asked and told")
            }
            (Some(before), Some(after)) => {
                self.peers(before, after);
                self.timers(before, after);
            }
            (None, None) => {}
        }
    }

    /// Others know us by these, and what they know lives as long as our registrations.
    fn identity(&mut self, old: &MappingSystem, new: &MappingSystem) {
        self.value("mapping_system.site_id", Effect::Restart, &old.site_id, &new.site_id);
        self.value("mapping_system.xtr_id", Effect::Restart, &old.xtr_id, &new.xtr_id);
    }

    fn peers(&mut self, old: &MappingSystem, new: &MappingSystem) {
        let resolvers = (&old.map_resolvers, &new.map_resolvers);
        self.members("mapping_system.map_resolvers".to_owned(), resolvers.0, resolvers.1, IpAddr::to_string);
        self.entries(
            "mapping_system.map_servers",
            (&old.map_servers, &new.map_servers),
            |server| server.address,
            |server| format!("map-server {}", server.address),
            |changes, path, before, after| {
                let MapServerPeer { address: _, keys, send: _, proxy_reply } = before;
                changes.value(format!("{path}.proxy_reply"), Effect::Live, proxy_reply, &after.proxy_reply);
                changes.keys(&format!("{path}.keys"), keys, &after.keys);
                let sends = |server: &MapServerPeer| server.sending_key().map(|key| key.id);
                if let (Some(old), Some(new)) = (sends(before), sends(after))
                    && old != new
                {
                    let text = format!("registers are signed with key {new} in place of key {old}");
                    changes.push(format!("{path}.keys"), Effect::Live, text);
                }
            },
        );
    }

    fn timers(&mut self, old: &MappingSystem, new: &MappingSystem) {
        // Taken apart, so that a field added later cannot be forgotten here.
        let MappingSystem {
            map_resolvers: _,
            map_servers: _,
            site_id: _,
            xtr_id: _,
            subscribe,
            register_s,
            mapping_ttl_min,
            stale_max_s,
            request_rate,
            request_burst,
            probe_s,
            fast_probe_ms,
            probe_rate,
            agent_silent_s,
            detach_hold_s,
            relay_s,
            moves_max,
            moves_within_s,
        } = old;
        self.value("mapping_system.subscribe", Effect::Live, subscribe, &new.subscribe);
        for (key, old, new) in [
            ("register_s", register_s, &new.register_s),
            ("mapping_ttl_min", mapping_ttl_min, &new.mapping_ttl_min),
            ("stale_max_s", stale_max_s, &new.stale_max_s),
            ("request_rate", request_rate, &new.request_rate),
            ("request_burst", request_burst, &new.request_burst),
            ("probe_s", probe_s, &new.probe_s),
            ("fast_probe_ms", fast_probe_ms, &new.fast_probe_ms),
            ("probe_rate", probe_rate, &new.probe_rate),
            ("agent_silent_s", agent_silent_s, &new.agent_silent_s),
            ("detach_hold_s", detach_hold_s, &new.detach_hold_s),
            ("relay_s", relay_s, &new.relay_s),
            ("moves_max", moves_max, &new.moves_max),
            ("moves_within_s", moves_within_s, &new.moves_within_s),
        ] {
            self.value(format!("mapping_system.{key}"), Effect::Live, old, new);
        }
    }

    /// Keys by their IDs; of a secret it is only told that it is another one.
    fn keys(&mut self, path: &str, old: &[Key], new: &[Key]) {
        self.entries(
            path,
            (old, new),
            |key| key.id,
            |key| format!("key {}", key.id),
            |changes, path, before, after| {
                let Key { id, algorithm, secret } = before;
                changes.value(format!("{path}.algorithm"), Effect::Live, algorithm, &after.algorithm);
                if *secret != after.secret {
                    changes.push(
                        format!("{path}.file"),
                        Effect::Live,
                        format!("key {id} has another secret"),
                    );
                }
            },
        );
    }

    /// The limits of a map-server and the map-servers behind a map-resolver. They come and go with the roles.
    pub(super) fn servers(&mut self, old: &Config, new: &Config) {
        if let (Some(before), Some(after)) = (&old.map_server, &new.map_server) {
            self.limits(before, after);
        }
        if let (Some(before), Some(after)) = (&old.map_resolver, &new.map_resolver) {
            self.entries(
                "map_resolver.map_servers",
                (&before.map_servers, &after.map_servers),
                |server| server.address,
                |server| format!("map-server {}", server.address),
                |changes, path, before: &Forward, after| {
                    changes.members(format!("{path}.eids"), &before.eids, &after.eids, |(iid, prefix)| {
                        format!("{prefix} in {iid}")
                    });
                },
            );
        }
    }

    fn limits(&mut self, old: &MapServer, new: &MapServer) {
        let MapServer {
            register_rate,
            register_rate_per_source,
            request_rate,
            request_rate_per_source,
            negative_ttl_min,
            registration_s,
            max_registrations,
            max_subscriptions_per_xtr,
            moves_max,
            moves_within_s,
        } = old;
        for (key, old, new) in [
            ("register_rate", register_rate, &new.register_rate),
            ("register_rate_per_source", register_rate_per_source, &new.register_rate_per_source),
            ("request_rate", request_rate, &new.request_rate),
            ("request_rate_per_source", request_rate_per_source, &new.request_rate_per_source),
            ("negative_ttl_min", negative_ttl_min, &new.negative_ttl_min),
            ("registration_s", registration_s, &new.registration_s),
            ("moves_max", moves_max, &new.moves_max),
            ("moves_within_s", moves_within_s, &new.moves_within_s),
        ] {
            self.value(format!("map_server.{key}"), Effect::Live, old, new);
        }
        for (key, old, new) in [
            ("max_registrations", max_registrations, &new.max_registrations),
            ("max_subscriptions_per_xtr", max_subscriptions_per_xtr, &new.max_subscriptions_per_xtr),
        ] {
            self.value(format!("map_server.{key}"), Effect::Live, old, new);
        }
    }

    pub(super) fn sites(&mut self, old: &Config, new: &Config) {
        self.entries(
            "site",
            (&old.sites, &new.sites),
            |site| site.name.clone(),
            |site| format!("site {}", site.name),
            |changes, path, before, after| changes.site(path, before, after),
        );
    }

    fn site(&mut self, path: &str, old: &Site, new: &Site) {
        let Site { name: _, keys, eids, proxy_reply, legacy_nonce, allow_merge, rlocs, statics, skills } =
            old;
        self.keys(&format!("{path}.keys"), keys, &new.keys);
        self.members(format!("{path}.eids"), eids, &new.eids, scope);
        self.value(format!("{path}.proxy_reply"), Effect::Live, proxy_reply, &new.proxy_reply);
        self.value(format!("{path}.legacy_nonce"), Effect::Live, legacy_nonce, &new.legacy_nonce);
        self.value(format!("{path}.allow_merge"), Effect::Live, allow_merge, &new.allow_merge);
        self.members(format!("{path}.rlocs"), rlocs, &new.rlocs, IpAddr::to_string);
        let skill = |skill: &SiteSkill| format!("{} in {}", skill.prefix, skill.iid);
        self.members(format!("{path}.skills"), skills, &new.skills, skill);
        self.entries(
            &format!("{path}.static"),
            (statics, &new.statics),
            |registration| (registration.iid, registration.eid),
            |registration| format!("static {} in {}", registration.eid, registration.iid),
            |changes, path, before, after| {
                changes.members(format!("{path}.rlocs"), &before.rlocs, &after.rlocs, |rloc| {
                    format!("{} priority {} weight {}", rloc.address, rloc.priority, rloc.weight)
                });
            },
        );
    }
}

fn scope(eid: &SiteEid) -> String {
    let more = if eid.more_specifics { " with more specifics" } else { "" };
    format!("{} in {}{more}", eid.prefix, eid.iid)
}
