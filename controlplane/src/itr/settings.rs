//! What the config and this machine tell the ITR.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use sterna_wire::lisp::control::XtrId;
use sterna_wire::lisp::control::auth::Key;
use sterna_wire::{Iid, Prefix};

use crate::context::{Class, Ranking};

/// Who we are towards Map-Servers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// Our xTR-ID and site-ID.
    pub xtr: XtrId,
    /// How often this gateway was started, counted over restarts.
    /// A Map-Server ignores a subscription whose nonce is not above that of the one before (RFC 9437 section 5),
    /// so the low 20 bits of this number are the top bits of the nonces.
    pub start: u32,
}

/// A Map-Server that may confirm and publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapServerKeys {
    /// Where its Map-Notifies come from, as a rule; the key decides, not the address.
    pub address: IpAddr,
    /// The keys we share with it; all are accepted.
    pub keys: Vec<Key>,
}

/// The EID space of one group.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GroupRanges {
    /// The configured EID ranges: agents may appear anywhere in them, so a negative answer here is worth one
    /// EID and one minute.
    pub ranges: Vec<Prefix>,
    /// The prefixes served here; no answer may cover one of them.
    pub served: Vec<Prefix>,
}

impl GroupRanges {
    /// Whether the EID lies in a configured range.
    pub fn in_range(&self, eid: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(eid))
    }

    /// Whether the EID lies in a prefix served here.
    pub fn is_served(&self, eid: IpAddr) -> bool {
        self.served.iter().any(|prefix| prefix.contains(eid))
    }
}

/// Everything the ITR is told. The default has no map-resolver, no RLOC and no group, so it asks nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItrSettings {
    /// Where to ask, in order of preference.
    pub resolvers: Vec<IpAddr>,
    /// RLOCs of this gateway: where answers go, and never a remote locator.
    pub local_rlocs: Vec<IpAddr>,
    /// Who may confirm and publish. With no key at all, nothing is subscribed.
    pub map_servers: Vec<MapServerKeys>,
    /// The groups configured here; questions about others are refused.
    pub groups: BTreeMap<Iid, GroupRanges>,
    /// Timers.
    pub timers: Timers,
    /// Limits.
    pub limits: Limits,
    /// Never subscribe, even where keys are configured.
    pub no_subscriptions: bool,
    /// The context classes that policies here give to packets; requests name what they need.
    pub classes: Vec<Class>,
    /// How topology and fitness are weighed.
    pub ranking: Ranking,
    /// EIDs that many agents have at a time, each at a site of its own; our own RLOC is one of their locators.
    pub skills: Vec<(Iid, Prefix)>,
    /// How long flows stay with an agent that drains.
    pub drain: Duration,
}

impl Default for ItrSettings {
    fn default() -> Self {
        Self {
            resolvers: Vec::new(),
            local_rlocs: Vec::new(),
            map_servers: Vec::new(),
            groups: BTreeMap::new(),
            timers: Timers::default(),
            limits: Limits::default(),
            no_subscriptions: false,
            classes: Vec::new(),
            ranking: Ranking::default(),
            skills: Vec::new(),
            drain: Duration::from_secs(30),
        }
    }
}

impl ItrSettings {
    /// Whether the prefix is a skill.
    pub fn is_skill(&self, iid: Iid, prefix: Prefix) -> bool {
        self.skills.iter().any(|(of, skills)| *of == iid && skills.covers(&prefix))
    }

    /// Whether context plays a part in what is sent to this prefix: requests ask for it, and each class has a row.
    pub fn uses_context(&self, iid: Iid, prefix: Prefix) -> bool {
        !self.classes.is_empty() || self.is_skill(iid, prefix)
    }

    /// Whether requests ask to be kept informed. Without a key the Map-Server's confirmation could not be verified.
    pub fn subscribes(&self) -> bool {
        !self.no_subscriptions && self.map_servers.iter().any(|server| !server.keys.is_empty())
    }
}

/// How long things take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// From the first Map-Request to the second, for packets that wait.
    pub first_retry: Duration,
    /// From then on the gap doubles from here,
    pub retry: Duration,
    /// up to here.
    pub retry_max: Duration,
    /// From an answer that says what was known of a doubtful source to the second question, whose answer decides.
    /// A Map-Register or a publication that was lost twice has been repeated by then.
    pub second_look: Duration,
    /// Map-Requests without an answer before a pause.
    pub unanswered_max: u8,
    /// The pause.
    pub pause: Duration,
    /// How long an entry stays in use when nobody answers any more.
    pub stale_max: Duration,
    /// How long at most a negative answer holds inside a configured range,
    pub negative_max: Duration,
    /// and outside of all of them.
    pub negative_outside_max: Duration,
    /// How long a mapping holds whose record leaves it to us.
    pub ttl_default: Duration,
    /// How long at most a mapping holds, whatever its record says.
    pub ttl_max: Duration,
    /// How often a subscribed mapping in use is asked for again, in case the Map-Server forgot us.
    pub resubscribe: Duration,
    /// How long a subscription outlives its map-cache entry.
    pub linger: Duration,
    /// RLOC probes to a locator without traffic.
    pub probe: Duration,
    /// RLOC probes to a locator that carries traffic and says nothing.
    pub fast_probe: Duration,
    /// Probes without an answer until a locator is silent.
    pub probe_misses: u8,
}

impl Default for Timers {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(count * 60);
        Self {
            first_retry: Duration::from_millis(500),
            retry: Duration::from_secs(1),
            retry_max: Duration::from_secs(4),
            second_look: Duration::from_millis(300),
            unanswered_max: 10,
            pause: Duration::from_secs(30),
            stale_max: minutes(1440),
            negative_max: minutes(1),
            negative_outside_max: minutes(15),
            ttl_default: minutes(1440),
            ttl_max: minutes(1440),
            resubscribe: minutes(60),
            linger: minutes(1),
            probe: minutes(1),
            fast_probe: Duration::from_millis(300),
            probe_misses: 3,
        }
    }
}

/// How much of everything there may be. Rates are per second; a burst is what may come at once after quiet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Map-Requests in total.
    pub request: Rate,
    /// Map-Requests of one group.
    pub group: Rate,
    /// Questions about the source of a packet, which anyone in the underlay can provoke.
    pub source_check: Rate,
    /// Solicit-Map-Requests that are heeded.
    pub smr: Rate,
    /// RLOC probes.
    pub probe: Rate,
    /// Unsubscriptions.
    pub unsubscribe: Rate,
    /// Entries of the dataplane that are asked for again after a restart.
    pub adopt_rate: u32,
    /// Map-cache entries.
    pub entries: usize,
    /// Negative ones among them.
    pub negatives: usize,
    /// Questions without an answer.
    pub pending: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Bytes of memory for what is said of locators, and the rows that follow from it.
    pub context: usize,
    /// Remote RLOCs that are probed.
    pub remotes: usize,
    /// Records taken from one message.
    pub records: usize,
    /// The shortest prefix a mapping may have.
    pub min_prefix_len: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Rate { per_second: 1000, burst: 200 },
            group: Rate { per_second: 500, burst: 150 },
            source_check: Rate { per_second: 500, burst: 150 },
            smr: Rate { per_second: 200, burst: 200 },
            probe: Rate { per_second: 1000, burst: 100 },
            unsubscribe: Rate { per_second: 20, burst: 10 },
            adopt_rate: 200,
            entries: 262_144,
            negatives: 8192,
            pending: 4096,
            subscriptions: 10_000,
            context: 256 << 20,
            remotes: 16_384,
            records: 64,
            min_prefix_len: 1,
        }
    }
}

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// On average.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

#[cfg(test)]
mod tests {
    use sterna_wire::lisp::control::auth::Algorithm;

    use super::*;

    #[test]
    fn without_a_key_nothing_is_subscribed() {
        let mut settings = ItrSettings::default();
        assert!(!settings.subscribes());
        let address = IpAddr::from([192, 0, 2, 10]);
        settings.map_servers.push(MapServerKeys { address, keys: vec![] });
        assert!(!settings.subscribes());
        settings.map_servers[0].keys.push(Key::new(1, Algorithm::HmacSha256_128, b"secret"));
        assert!(settings.subscribes());
        settings.no_subscriptions = true;
        assert!(!settings.subscribes());
    }

    #[test]
    fn ranges_and_served_prefixes_are_told_apart() {
        let group = GroupRanges {
            ranges: vec!["10.1.0.0/16".parse().unwrap()],
            served: vec!["10.2.0.0/24".parse().unwrap()],
        };
        assert!(group.in_range([10, 1, 2, 3].into()) && !group.is_served([10, 1, 2, 3].into()));
        assert!(group.is_served([10, 2, 0, 3].into()) && !group.in_range([10, 2, 0, 3].into()));
    }
}
