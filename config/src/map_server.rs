//! `[map_server]`: the limits of a map-server and of a map-resolver.

use crate::field::{Field, Kind, Need, Section};
use crate::finding::Located;
use crate::tree::Node;

/// The table `[map_server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapServer {
    /// Map-Registers per second that are looked at, all together.
    pub register_rate: u32,
    /// Map-Registers per second that are looked at from one source address.
    pub register_rate_per_source: u32,
    /// Map-Requests per second that are answered or forwarded, all together.
    pub request_rate: u32,
    /// Map-Requests per second that are answered or forwarded for one source address.
    pub request_rate_per_source: u32,
    /// How long others may keep that a prefix is nobody's, in minutes.
    pub negative_ttl_min: u32,
    /// How long a registration lives without a refresh, in seconds.
    pub registration_s: u32,
    /// The most registered EID-prefixes.
    pub max_registrations: usize,
    /// The most subscriptions of one xTR (RFC 9437).
    pub max_subscriptions_per_xtr: usize,
    /// Moves of an EID within [`MapServer::moves_within_s`] that are believed.
    pub moves_max: u32,
    /// The time in which moves are counted, and for which an EID that moved too often stays where it is, in seconds.
    pub moves_within_s: u32,
}

impl Default for MapServer {
    fn default() -> Self {
        MapServer {
            register_rate: 20_000,
            register_rate_per_source: 2000,
            request_rate: 50_000,
            request_rate_per_source: 2000,
            negative_ttl_min: 15,
            registration_s: 180,
            max_registrations: 1_000_000,
            max_subscriptions_per_xtr: 10_000,
            moves_max: 5,
            moves_within_s: 180,
        }
    }
}

pub(crate) static SECTION: Section = Section {
    name: "[map_server]",
    meaning: "the limits of a map-server and of a map-resolver",
    fields: &[
        Field {
            key: "register_rate",
            kind: Kind::Integer { min: 1, max: 10_000_000, why: "each costs a MAC over the message" },
            need: Need::Default("20000"),
            meaning: "Map-Registers per second that are looked at, all together",
            example: "20000",
        },
        Field {
            key: "register_rate_per_source",
            kind: Kind::Integer { min: 1, max: 10_000_000, why: "a gateway refreshes its EIDs in bursts" },
            need: Need::Default("2000"),
            meaning: "Map-Registers per second that are looked at from one source address",
            example: "2000",
        },
        Field {
            key: "request_rate",
            kind: Kind::Integer { min: 1, max: 10_000_000, why: "each costs a look-up and a message" },
            need: Need::Default("50000"),
            meaning: "Map-Requests per second that are answered or forwarded, all together",
            example: "50000",
        },
        Field {
            key: "request_rate_per_source",
            kind: Kind::Integer {
                min: 1,
                max: 10_000_000,
                why: "an xTR of ours sends at most 1000 unless it is told otherwise",
            },
            need: Need::Default("2000"),
            meaning: "Map-Requests per second that are answered or forwarded for one source address",
            example: "2000",
        },
        Field {
            key: "negative_ttl_min",
            kind: Kind::Integer {
                min: 1,
                max: 1440,
                why: "a new site cannot be reached by those who asked before, for as long as this",
            },
            need: Need::Default("15"),
            meaning: "how long others may keep that a prefix is nobody's, in minutes",
            example: "15",
        },
        Field {
            key: "registration_s",
            kind: Kind::Integer {
                min: 30,
                max: 86_400,
                why: "three periods of the sites' registers, which are 60 seconds each (RFC 9301 section 5.6)",
            },
            need: Need::Default("180"),
            meaning: "how long a registration lives without a refresh, in seconds",
            example: "180",
        },
        Field {
            key: "max_registrations",
            kind: Kind::Integer {
                min: 1,
                max: 100_000_000,
                why: "it bounds the memory that registers can take",
            },
            need: Need::Default("1000000"),
            meaning: "the most registered EID-prefixes",
            example: "1000000",
        },
        Field {
            key: "max_subscriptions_per_xtr",
            kind: Kind::Integer {
                min: 0,
                max: 10_000_000,
                why: "it bounds the memory that one xTR can take; 0 grants none",
            },
            need: Need::Default("10000"),
            meaning: "the most subscriptions of one xTR",
            example: "10000",
        },
        MOVES_MAX,
        MOVES_WITHIN,
    ],
    reserved: &[("etcd", "several map-servers with one database")],
};

/// Moves that are believed, at a gateway and at a Map-Server.
pub(crate) const MOVES_MAX: Field = Field {
    key: "moves_max",
    kind: Kind::Integer {
        min: 1,
        max: 1000,
        why: "an agent that moves more often is taken for two agents with one address",
    },
    need: Need::Default("5"),
    meaning: "moves of an EID within `moves_within_s` that are believed",
    example: "5",
};

/// The time in which those are counted.
pub(crate) const MOVES_WITHIN: Field = Field {
    key: "moves_within_s",
    kind: Kind::Integer {
        min: 10,
        max: 86_400,
        why: "it is also how long an EID that moved too often stays where it is",
    },
    need: Need::Default("180"),
    meaning: "the time in which moves of an EID are counted, in seconds",
    example: "180",
};

/// `[map_server]` as far as it could be read.
pub(crate) struct Draft {
    register_rate: Option<Located<u32>>,
    register_rate_per_source: Option<Located<u32>>,
    request_rate: Option<Located<u32>>,
    request_rate_per_source: Option<Located<u32>>,
    negative_ttl_min: Option<Located<u32>>,
    registration_s: Option<Located<u32>>,
    max_registrations: Option<Located<usize>>,
    max_subscriptions_per_xtr: Option<Located<usize>>,
    moves_max: Option<Located<u32>>,
    moves_within_s: Option<Located<u32>>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        let default = MapServer::default();
        Draft {
            register_rate: node.get("register_rate").or(default.register_rate),
            register_rate_per_source: node
                .get("register_rate_per_source")
                .or(default.register_rate_per_source),
            request_rate: node.get("request_rate").or(default.request_rate),
            request_rate_per_source: node.get("request_rate_per_source").or(default.request_rate_per_source),
            negative_ttl_min: node.get("negative_ttl_min").or(default.negative_ttl_min),
            registration_s: node.get("registration_s").or(default.registration_s),
            max_registrations: node.get("max_registrations").or(default.max_registrations),
            max_subscriptions_per_xtr: node
                .get("max_subscriptions_per_xtr")
                .or(default.max_subscriptions_per_xtr),
            moves_max: node.get("moves_max").or(default.moves_max),
            moves_within_s: node.get("moves_within_s").or(default.moves_within_s),
        }
    }

    pub fn finish(self) -> Option<MapServer> {
        Some(MapServer {
            register_rate: self.register_rate?.value,
            register_rate_per_source: self.register_rate_per_source?.value,
            request_rate: self.request_rate?.value,
            request_rate_per_source: self.request_rate_per_source?.value,
            negative_ttl_min: self.negative_ttl_min?.value,
            registration_s: self.registration_s?.value,
            max_registrations: self.max_registrations?.value,
            max_subscriptions_per_xtr: self.max_subscriptions_per_xtr?.value,
            moves_max: self.moves_max?.value,
            moves_within_s: self.moves_within_s?.value,
        })
    }
}
