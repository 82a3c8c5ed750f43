//! The ITR: it finds out where EIDs are, and whether the way there works.
//!
//! ```text
//!   dataplane: miss, used, traffic --.             .--> mappings, locators (published to the dataplane)
//!                                    v             |
//!   Map-Reply, Map-Notify, SMR --> [ Itr ] --> Outbox --> Map-Requests, Map-Notify-Acks, RLOC probes
//!                                    ^
//!   time: tick ----------------------'
//! ```
//!
//! It does no I/O and reads no clock: everything is a call with the time, and what shall be done stands in the
//! [`Outbox`].
//!
//! Where to look:
//! - `resolve` asks (RFC 9301 section 5), bounded by `gate` (rates, turns of the groups) and `pending`
//!   (retries); `answer`, `locators` and `negative` judge what comes back, `reply` and `notify` accept it;
//! - `learn` keeps the map-cache (`cache`, `sets`) and publishes its changes, `upkeep` refreshes and expires;
//! - `said` reads what answers say of locators, `contexts` keeps it, and `rows` makes of it what each of the `classes`
//!   uses; `reckon` says when;
//! - `subscription` is RFC 9437, `smr` RFC 9301 section 6.1, `probe` and `liveness` section 7.1.
//!
//! What holds always: nothing is published that no accepted answer said; no answer is not a negative answer, so an
//! entry in use outlives its mapping system as stale; and whatever a peer or a packet can cause is bounded and
//! counted in `counters`.

mod answer;
mod cache;
mod classes;
mod contexts;
mod counters;
mod gate;
mod learn;
mod limits;
mod liveness;
mod locators;
mod negative;
mod notify;
mod pace;
mod pending;
mod probe;
mod question;
mod reckon;
mod reply;
mod resolve;
mod rows;
mod said;
mod schedule;
mod sets;
mod settings;
mod smr;
mod subscription;
mod upkeep;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use sterna_wire::{Iid, Prefix};

use crate::outbox::Outbox;
use crate::random::Random;
use cache::{Known, MapCache};
use classes::Classes;
use contexts::Contexts;
pub use counters::{Counter, Counters};
use gate::Gate;
use limits::Bucket;
use pace::Paces;
use pending::Pendings;
use probe::{Prober, Surroundings};
use sets::LocatorSets;
pub use settings::{GroupRanges, Identity, ItrSettings, Limits, MapServerKeys, Rate, Timers};
use subscription::Subscriptions;
use upkeep::Farewells;
pub use view::{Basis, Considered, EntryState, EntryView, Meeting, ProbeView};

/// An EID prefix of a group.
type EidPrefix = (Iid, Prefix);

/// The ITR role of one gateway.
#[derive(Debug)]
pub struct Itr {
    settings: ItrSettings,
    identity: Identity,
    random: Random,
    cache: MapCache,
    sets: LocatorSets,
    classes: Classes,
    contexts: Contexts,
    pendings: Pendings,
    gate: Gate,
    subscriptions: Subscriptions,
    farewells: Farewells,
    prober: Prober,
    smr_paces: Paces,
    smr_bucket: Bucket,
    check_paces: Paces,
    check_bucket: Bucket,
    silence: resolve::Silence,
    /// The map-resolver that answered last.
    preferred: usize,
    counters: Counters,
    /// When the last entry taken over from the dataplane is asked for again.
    adopted_until: Option<Instant>,
    /// The last tick left work over, to be taken up at this time.
    resume: Option<Instant>,
    /// The latest time that was told.
    clock: Option<Instant>,
}

impl Itr {
    /// An ITR with an empty map-cache.
    pub fn new(settings: ItrSettings, identity: Identity, random: Random) -> Itr {
        let limits = &settings.limits;
        Itr {
            cache: MapCache::new(),
            sets: LocatorSets::default(),
            classes: Classes::new(&settings.classes),
            contexts: Contexts::default(),
            pendings: Pendings::default(),
            gate: Gate::new(limits),
            subscriptions: Subscriptions::new(identity.start),
            farewells: Farewells::new(limits.unsubscribe),
            prober: Prober::new(&settings),
            smr_paces: Paces::new(true),
            smr_bucket: Bucket::new(limits.smr),
            check_paces: Paces::new(false),
            check_bucket: Bucket::new(limits.source_check),
            silence: resolve::Silence::default(),
            preferred: 0,
            counters: Counters::default(),
            adopted_until: None,
            resume: None,
            clock: None,
            settings,
            identity,
            random,
        }
    }

    /// The dataplane used the entry of this prefix lately (a use mark).
    pub fn used(&mut self, iid: Iid, prefix: Prefix, now: Instant) {
        self.observe(now);
        let key = (iid, prefix);
        self.cache.mark_used(key, now);
        let Some(entry) = self.cache.get(key) else { return };
        if let Known::Locators(id) = entry.known {
            self.sets.sample(id, key);
            if now >= entry.refresh && !self.is_asking(key) {
                self.refresh(key, now);
            }
        }
    }

    /// Data was sent to this remote RLOC, or came from it, within the last 100 ms.
    pub fn traffic(&mut self, remote: IpAddr, sent: bool, received: bool, now: Instant) {
        self.observe(now);
        let around = Surroundings { settings: &self.settings, sets: &self.sets, cache: &self.cache };
        self.prober.traffic(remote, (sent, received), &around, now);
    }

    /// The remote RLOCs that the underlay has no path to, all of them: they are not probed.
    /// Whether they may be used is known without us.
    pub fn underlay(&mut self, unreachable: &BTreeSet<IpAddr>, now: Instant, out: &mut Outbox) {
        self.observe(now);
        self.prober.underlay(unreachable, now);
        self.probe_due(now, out);
        self.follow_paths(now, out);
    }

    /// Whether anything is asked about this prefix.
    fn is_asking(&self, key: EidPrefix) -> bool {
        self.pendings.about(key).next().is_some()
    }

    fn observe(&mut self, now: Instant) {
        self.clock = self.clock.max(Some(now));
    }

    /// How often what happened.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Entries of the map-cache, and how many of them are negative.
    pub fn cached(&self) -> (usize, usize) {
        (self.cache.len(), self.cache.negatives())
    }

    /// Subscriptions, confirmed or not.
    pub fn subscribed(&self) -> usize {
        self.subscriptions.len()
    }
}

/// The first EID prefix in order.
fn first_key() -> EidPrefix {
    let lowest = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    (Iid::DEFAULT, Prefix::masked(lowest, 0).unwrap_or(Prefix::host(lowest)))
}

/// The last prefix in order.
fn last_prefix() -> Prefix {
    Prefix::host(IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)))
}

/// The last EID prefix in order.
fn last_key() -> EidPrefix {
    (Iid::new(Iid::RESERVED - 1).unwrap_or_default(), last_prefix())
}
