//! The tables of fields of `[mapping_system]`.

use crate::field::{Field, Form, Kind, Need, Section};
use crate::key::SIGNING_LIST;
use crate::map_server::{MOVES_MAX, MOVES_WITHIN};

/// As many as a list of peers ever has; each costs a round of retries when all are silent.
const MAX_PEERS: usize = 16;

pub(crate) static SECTION: Section = Section {
    name: "[mapping_system]",
    meaning: "whom this xTR asks, and whom it registers with",
    fields: &[
        Field {
            key: "map_resolvers",
            kind: Kind::List { of: &Kind::Text(Form::Address), min: 1, max: MAX_PEERS },
            need: Need::Required,
            meaning: "the map-resolvers that are asked where an EID is",
            example: "[\"192.0.2.10\"]",
        },
        Field {
            key: "map_servers",
            kind: Kind::List { of: &Kind::Table(&MAP_SERVER), min: 0, max: MAX_PEERS },
            need: Need::Optional("none: this site asks and registers nothing"),
            meaning: "the map-servers that are told what is served here",
            example: "[{ address = \"192.0.2.10\", keys = [{ id = 1, file = \"site-a.key\" }] }]",
        },
        Field {
            key: "site_id",
            kind: Kind::Integer {
                min: 0,
                max: i64::MAX,
                why: "a Site-ID has 64 bits, of which TOML writes 63",
            },
            need: Need::Default("0"),
            meaning: "the Site-ID, the same at every gateway of a site",
            example: "1",
        },
        Field {
            key: "xtr_id",
            kind: Kind::Text(Form::XtrId),
            need: Need::Optional("made at the first start and kept in `state_dir`"),
            meaning: "this gateway's xTR-ID; made at the first start and kept in `state_dir` where absent",
            example: "\"0123456789abcdef0123456789abcdef\"",
        },
        Field {
            key: "subscribe",
            kind: Kind::Bool,
            need: Need::Default("true"),
            meaning: "whether map-servers are asked to tell of changes (RFC 9437)",
            example: "true",
        },
        Field {
            key: "register_s",
            kind: Kind::Integer {
                min: 5,
                max: 3600,
                why: "a map-server forgets a site after three missed registers, usually 180 seconds",
            },
            need: Need::Default("60"),
            meaning: "how often registrations are refreshed, in seconds",
            example: "60",
        },
        Field {
            key: "mapping_ttl_min",
            kind: Kind::Integer {
                min: 1,
                max: 525_600,
                why: "others ask again after this time; changes reach them sooner by other ways",
            },
            need: Need::Default("1440"),
            meaning: "how long others may keep our mappings, in minutes",
            example: "1440",
        },
        Field {
            key: "stale_max_s",
            kind: Kind::Integer {
                min: 0,
                max: 2_592_000,
                why: "0 forgets a mapping with its TTL, so a lost map-resolver stops packets",
            },
            need: Need::Default("86400"),
            meaning: "how long a mapping stays in use when nobody answers for it, in seconds",
            example: "86400",
        },
        Field {
            key: "request_rate",
            kind: Kind::Integer {
                min: 1,
                max: 1_000_000,
                why: "more than this would only be dropped by map-resolvers",
            },
            need: Need::Default("1000"),
            meaning: "Map-Requests per second, all together",
            example: "1000",
        },
        Field {
            key: "request_burst",
            kind: Kind::Integer {
                min: 1,
                max: 100_000,
                why: "it is how many Map-Requests may leave at once",
            },
            need: Need::Default("200"),
            meaning: "Map-Requests that may leave at once",
            example: "200",
        },
        Field {
            key: "probe_s",
            kind: Kind::Integer {
                min: 5,
                max: 3600,
                why: "idle locators need no more, and each costs two messages",
            },
            need: Need::Default("60"),
            meaning: "how often an idle remote locator is probed, in seconds",
            example: "60",
        },
        Field {
            key: "fast_probe_ms",
            kind: Kind::Integer {
                min: 50,
                max: 10_000,
                why: "three misses are needed, so the failover takes at least three times as long",
            },
            need: Need::Default("300"),
            meaning: "how often a locator is probed that gets packets and sends none, in milliseconds",
            example: "300",
        },
        Field {
            key: "probe_rate",
            kind: Kind::Integer {
                min: 1,
                max: 1_000_000,
                why: "it bounds what probing may cost, whatever the number of locators",
            },
            need: Need::Default("1000"),
            meaning: "probes per second, all together",
            example: "1000",
        },
        Field {
            key: "agent_silent_s",
            kind: Kind::Integer {
                min: 5,
                max: 86_400,
                why: "sooner every quiet agent would be asked all the time",
            },
            need: Need::Default("60"),
            meaning: "after what silence an agent is asked whether it is still there, in seconds",
            example: "60",
        },
        Field {
            key: "detach_hold_s",
            kind: Kind::Integer {
                min: 1,
                max: 60,
                why: "no agent takes longer to move, and held packets take memory",
            },
            need: Need::Default("5"),
            meaning: "how long packets wait for an agent that announced its move, in seconds",
            example: "5",
        },
        Field {
            key: "relay_s",
            kind: Kind::Integer {
                min: 1,
                max: 600,
                why: "senders are told of a move at once; this is for those that missed it",
            },
            need: Need::Default("30"),
            meaning: "how long packets for an agent that left are sent on, in seconds",
            example: "30",
        },
        MOVES_MAX,
        MOVES_WITHIN,
    ],
    reserved: &[("ddt", "resolving by delegation"), ("petrs", "leaving to the internet by a proxy")],
};

pub(crate) static MAP_SERVER: Section = Section {
    name: "an entry of `map_servers`",
    meaning: "a map-server that is told what is served here",
    fields: &[
        Field {
            key: "address",
            kind: Kind::Text(Form::Address),
            need: Need::Required,
            meaning: "the map-server's address",
            example: "\"192.0.2.10\"",
        },
        Field {
            key: "keys",
            kind: SIGNING_LIST,
            need: Need::Required,
            meaning: "the keys shared with it",
            example: "[{ id = 1, file = \"site-a.key\" }]",
        },
        Field {
            key: "proxy_reply",
            kind: Kind::Bool,
            need: Need::Default("true"),
            meaning: "whether it shall answer Map-Requests for us",
            example: "true",
        },
    ],
    reserved: &[],
};
