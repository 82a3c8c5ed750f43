//! What a Map-Server and Map-Resolver is told by its config.

use std::net::IpAddr;
use std::time::Duration;

use sterna_wire::lisp::control::auth::Key;
use sterna_wire::{Iid, Prefix};

use crate::context::Ranking;
use crate::outbox::Locator;

/// Everything that the role takes from the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Our own addresses: never answered to, unless the question came from them.
    pub addresses: Vec<IpAddr>,
    /// Who may register what.
    pub sites: Vec<SiteSettings>,
    /// Map-Servers that a Map-Resolver forwards to what no site here covers; empty where this is the only one.
    pub upstreams: Vec<Upstream>,
    /// How long a registration lives without a refresh (RFC 9301 section 5.6: three periods).
    pub registration: Duration,
    /// The longest TTL in an answer, in minutes.
    pub answer_ttl_min: u32,
    /// TTL of a negative answer outside every site's prefixes, in minutes; inside it is 1 minute.
    pub negative_ttl_min: u32,
    /// The most registered EID-prefixes.
    pub max_registrations: usize,
    /// The most xTRs that one site's keys may name; each keeps a nonce mark for ever.
    pub max_xtrs_per_site: usize,
    /// The most subscriptions of one xTR (RFC 9437).
    pub max_subscriptions_per_xtr: usize,
    /// The most subscriptions of all xTRs.
    pub max_subscriptions: usize,
    /// How long a subscription lives without being renewed or acknowledged.
    pub subscription: Duration,
    /// Map-Registers per second that are verified, of sources that have authenticated before; as many again of others.
    pub register_rate: u32,
    /// Map-Registers per second that are verified, of one source address.
    pub register_rate_per_source: u32,
    /// Map-Requests per second that are looked at, of RLOCs that belong to a site; as many again of others.
    pub request_rate: u32,
    /// Map-Requests per second that are looked at, of one source address.
    pub request_rate_per_source: u32,
    /// Map-Requests with constraints per second that are looked at, of one source address.
    pub constraint_rate_per_source: u32,
    /// The most registrations that something is said of (context).
    pub max_contexts: usize,
    /// The most bytes of what is said of all of them.
    pub max_context_bytes: usize,
    /// Records per second that are published to subscribers.
    pub publish_rate: u32,
    /// Moves of one EID within `moves_within` that are believed.
    pub moves_max: u32,
    /// The time in which moves are counted, and for which an EID that moved too often stays where it is.
    pub moves_within: Duration,
    /// How long a new holder is told the locators that the EID came from.
    pub relay: Duration,
    /// Refuse (ACT 4) those whose RLOCs and xTR-ID belong to no site. Otherwise they are answered: proxy ITRs and
    /// xTRs that register nothing ask too.
    pub known_queriers_only: bool,
    /// Accept authentication data of 12 or 16 bytes.
    pub short_authentication: bool,
    /// How topology and fitness are weighed.
    pub ranking: Ranking,
}

impl Default for ServerSettings {
    fn default() -> Self {
        ServerSettings {
            addresses: Vec::new(),
            sites: Vec::new(),
            upstreams: Vec::new(),
            registration: Duration::from_secs(180),
            answer_ttl_min: 1440,
            negative_ttl_min: 15,
            max_registrations: 1_000_000,
            max_xtrs_per_site: 16_384,
            max_subscriptions_per_xtr: 10_000,
            max_subscriptions: 1_000_000,
            subscription: Duration::from_secs(2 * 86_400),
            register_rate: 20_000,
            register_rate_per_source: 2000,
            request_rate: 50_000,
            request_rate_per_source: 2000,
            constraint_rate_per_source: 1000,
            max_contexts: 1_000_000,
            max_context_bytes: 512 << 20,
            publish_rate: 200_000,
            moves_max: 5,
            moves_within: Duration::from_secs(180),
            relay: Duration::from_secs(30),
            known_queriers_only: false,
            short_authentication: false,
            ranking: Ranking::default(),
        }
    }
}

/// A site: who holds its keys may register its prefixes, and query their instance-IDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSettings {
    /// Its name; unique, and what the store knows it by.
    pub name: String,
    /// Keys that its messages may be signed with; several during a rotation.
    pub keys: Vec<Key>,
    /// What it may register.
    pub scopes: Vec<Scope>,
    /// Who answers for it.
    pub proxy_reply: ProxyReply,
    /// Its ETRs' nonces come in no order: only exact repeats are replays.
    pub legacy_nonce: bool,
    /// Several of its xTRs may register one prefix together (a bit).
    pub allow_merge: bool,
    /// Addresses that are the site's although nothing registered says so.
    pub rlocs: Vec<IpAddr>,
    /// What is registered for it in the config.
    pub statics: Vec<StaticMapping>,
    /// EIDs that its agents may have at the same time as those of other sites that list them too.
    pub skills: Vec<(Iid, Prefix)>,
}

impl SiteSettings {
    /// A site without keys and prefixes, that asks for proxy replies by its registers.
    pub fn named(name: &str) -> SiteSettings {
        SiteSettings {
            name: name.to_owned(),
            keys: Vec::new(),
            scopes: Vec::new(),
            proxy_reply: ProxyReply::Asked,
            legacy_nonce: false,
            allow_merge: true,
            rlocs: Vec::new(),
            statics: Vec::new(),
            skills: Vec::new(),
        }
    }
}

/// A prefix that a site may register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Group.
    pub iid: Iid,
    /// EID-prefix.
    pub prefix: Prefix,
    /// Whether its parts may be registered too.
    pub more_specifics: bool,
}

/// Who answers Map-Requests for a site's EIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyReply {
    /// We do if the register asked for it (P bit), otherwise the ETR.
    Asked,
    /// We always do: some ETRs, such as VPP's, neither ask for it nor answer.
    Always,
}

/// A registration that stands in the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticMapping {
    /// Group.
    pub iid: Iid,
    /// EID-prefix.
    pub prefix: Prefix,
    /// Its locators.
    pub locators: Vec<Locator>,
}

/// A Map-Server that a Map-Resolver forwards to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its address.
    pub address: IpAddr,
    /// What it is asked for; empty for all that no other one names.
    pub eids: Vec<(Iid, Prefix)>,
}
