//! `[context]`: how reports of agents are taken and told, and how locators are weighed.

use crate::field::{Field, Kind, Need, Section};
use crate::finding::Located;
use crate::tree::{Node, Permille};

/// The table `[context]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// How long what an agent reports holds without being renewed, in seconds.
    pub ttl_s: u32,
    /// By how many thousandths a load must differ from what was last told, to be told.
    pub load_threshold: u16,
    /// The least time between two tellings of one EID, in milliseconds; failed and suspended are told at once.
    pub min_interval_ms: u32,
    /// Records per second that Map-Servers are told, all agents together.
    pub register_rate: u32,
    /// Reports per second that are taken, all agents together.
    pub report_rate: u32,
    /// The most agents that something is reported of.
    pub max_agents: usize,
    /// What one step of registered priority counts, in points of score.
    pub topology_weight: u32,
    /// Points within which locators share flows.
    pub spread: u32,
    /// How long flows stay at an agent that drains, in seconds.
    pub drain_s: u32,
    /// The TCP port on the groups' gateway addresses where agents report for themselves; nowhere where absent.
    pub eid_api_port: Option<u16>,
}

impl Default for Context {
    fn default() -> Self {
        Context {
            ttl_s: 90,
            load_threshold: 100,
            min_interval_ms: 1000,
            register_rate: 1000,
            report_rate: 20_000,
            max_agents: 65_536,
            topology_weight: 200,
            spread: 50,
            drain_s: 30,
            eid_api_port: None,
        }
    }
}

pub(crate) static SECTION: Section = Section {
    name: "[context]",
    meaning: "how reports of agents are taken and told, and how locators are weighed",
    fields: &[
        Field {
            key: "ttl_s",
            kind: Kind::Integer {
                min: 5,
                max: 86_400,
                why: "a host that says nothing must not look well for long, and its heartbeats cost one request each",
            },
            need: Need::Default("90"),
            meaning: "how long what an agent reports holds without being renewed, in seconds",
            example: "90",
        },
        Field {
            key: "load_threshold",
            kind: Kind::Fraction,
            need: Need::Default("0.1"),
            meaning: "by how much a load must differ from what was last told, to be told",
            example: "0.1",
        },
        Field {
            key: "min_interval_ms",
            kind: Kind::Integer { min: 0, max: 600_000, why: "only failed and suspended are told sooner" },
            need: Need::Default("1000"),
            meaning: "the least time between two tellings of one EID, in milliseconds",
            example: "1000",
        },
        Field {
            key: "register_rate",
            kind: Kind::Integer {
                min: 1,
                max: 1_000_000,
                why: "it bounds what reports may cost the mapping system",
            },
            need: Need::Default("1000"),
            meaning: "records per second that map-servers are told, all agents together",
            example: "1000",
        },
        Field {
            key: "report_rate",
            kind: Kind::Integer {
                min: 1,
                max: 1_000_000,
                why: "each takes the control plane some microseconds",
            },
            need: Need::Default("20000"),
            meaning: "reports per second that are taken, all agents together",
            example: "20_000",
        },
        Field {
            key: "max_agents",
            kind: Kind::Integer { min: 1, max: 1_000_000, why: "it bounds the memory that reports can take" },
            need: Need::Default("65536"),
            meaning: "the most agents that something is reported of",
            example: "65_536",
        },
        Field {
            key: "topology_weight",
            kind: Kind::Integer {
                min: 0,
                max: 10_000,
                why: "at 0 priorities do not matter, and 1000 is all that a score can make up for",
            },
            need: Need::Default("200"),
            meaning: "what one step of registered priority counts, in points of score",
            example: "200",
        },
        Field {
            key: "spread",
            kind: Kind::Integer { min: 0, max: 1_000, why: "a score goes from 0 to 1000" },
            need: Need::Default("50"),
            meaning: "points within which locators share flows",
            example: "50",
        },
        Field {
            key: "drain_s",
            kind: Kind::Integer { min: 0, max: 86_400, why: "flows that last longer are cut" },
            need: Need::Default("30"),
            meaning: "how long flows stay at an agent that drains, in seconds",
            example: "30",
        },
        Field {
            key: "eid_api_port",
            kind: Kind::Integer { min: 1, max: 65_535, why: "it is a TCP port" },
            need: Need::Optional("nowhere"),
            meaning: "the TCP port on the groups' gateway addresses where agents report for themselves",
            example: "4380",
        },
    ],
    reserved: &[],
};

/// `[context]` as far as it could be read.
pub(crate) struct Draft {
    ttl_s: Option<Located<u32>>,
    load_threshold: Option<Located<Permille>>,
    min_interval_ms: Option<Located<u32>>,
    register_rate: Option<Located<u32>>,
    report_rate: Option<Located<u32>>,
    max_agents: Option<Located<usize>>,
    topology_weight: Option<Located<u32>>,
    spread: Option<Located<u32>>,
    drain_s: Option<Located<u32>>,
    eid_api_port: Option<Located<Option<u16>>>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        let default = Context::default();
        Draft {
            ttl_s: node.get("ttl_s").or(default.ttl_s),
            load_threshold: node.get("load_threshold").or(Permille(default.load_threshold)),
            min_interval_ms: node.get("min_interval_ms").or(default.min_interval_ms),
            register_rate: node.get("register_rate").or(default.register_rate),
            report_rate: node.get("report_rate").or(default.report_rate),
            max_agents: node.get("max_agents").or(default.max_agents),
            topology_weight: node.get("topology_weight").or(default.topology_weight),
            spread: node.get("spread").or(default.spread),
            drain_s: node.get("drain_s").or(default.drain_s),
            eid_api_port: node.get("eid_api_port").optional(),
        }
    }

    pub fn finish(self) -> Option<Context> {
        Some(Context {
            ttl_s: self.ttl_s?.value,
            load_threshold: self.load_threshold?.value.0,
            min_interval_ms: self.min_interval_ms?.value,
            register_rate: self.register_rate?.value,
            report_rate: self.report_rate?.value,
            max_agents: self.max_agents?.value,
            topology_weight: self.topology_weight?.value,
            spread: self.spread?.value,
            drain_s: self.drain_s?.value,
            eid_api_port: self.eid_api_port?.value,
        })
    }
}
