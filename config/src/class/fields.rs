//! The tables of fields of `[[class]]`.

use super::Class;
use crate::field::{Field, Form, Kind, Need, Section};

pub(crate) static SECTION: Section = Section {
    name: "[[class]]",
    meaning: "a context class: what its packets need of a locator",
    fields: &[
        Field {
            key: "id",
            kind: Kind::Integer { min: 1, max: Class::MAX as i64, why: "0 is the packets of no class" },
            need: Need::Required,
            meaning: "the class's number",
            example: "1",
        },
        Field {
            key: "name",
            kind: Kind::Text(Form::Name),
            need: Need::Required,
            meaning: "the class's name, which policies call it by",
            example: "\"gpu-fast\"",
        },
        Field {
            key: "require",
            kind: Kind::Table(&REQUIRE),
            need: Need::Optional("nothing"),
            meaning: "what a locator must have to be used at all",
            example: "{ hardware = [\"gpu\"] }",
        },
        Field {
            key: "prefer",
            kind: Kind::List { of: &Kind::Table(&PREFER), min: 1, max: Class::MAX_CONSTRAINTS },
            need: Need::Optional("nothing"),
            meaning: "what a locator should have, each with its weight",
            example: "[{ max_load = 0.7, weight = 8 }]",
        },
        Field {
            key: "require_context",
            kind: Kind::Bool,
            need: Need::Optional("true where `require` names hardware or security"),
            meaning: "whether an answer without context is no match; \
                      true where `require` names hardware or security",
            example: "true",
        },
    ],
    reserved: &[],
};

pub(crate) const LIST: Kind = Kind::List { of: &Kind::Table(&SECTION), min: 0, max: Class::MAX as usize };

/// The most names of one list of hardware, which is what a value on the wire holds.
const MAX_HARDWARE: usize = 16;

const HARDWARE: Field = Field {
    key: "hardware",
    kind: Kind::List { of: &Kind::Text(Form::Hardware), min: 1, max: MAX_HARDWARE },
    need: Need::Optional("any"),
    meaning: "all of this hardware: gpu, npu, fpga, tee, rdma, high-mem, nvme, video-codec, or a name of your own",
    example: "[\"gpu\"]",
};
const MAX_LATENCY: Field = Field {
    key: "max_latency",
    kind: Kind::Word { words: &["low", "medium", "high"], later: &[] },
    need: Need::Optional("any"),
    meaning: "the worst class of processing latency that will do",
    example: "\"medium\"",
};
const MAX_LATENCY_US: Field = Field {
    key: "max_latency_us",
    kind: Kind::Integer { min: 1, max: u32::MAX as i64, why: "it is a time in microseconds, in 32 bits" },
    need: Need::Optional("any"),
    meaning: "the longest promised processing latency that will do, in microseconds",
    example: "5000",
};
const STATES: Field = Field {
    key: "states",
    kind: Kind::List {
        of: &Kind::Word {
            words: &["active", "idle", "busy", "draining", "migrating", "unknown"],
            later: &[],
        },
        min: 1,
        max: 6,
    },
    need: Need::Optional("any but failed and suspended"),
    meaning: "the states of an agent that will do; failed and suspended never do",
    example: "[\"active\", \"idle\"]",
};
const MAX_LOAD: Field = Field {
    key: "max_load",
    kind: Kind::Fraction,
    need: Need::Optional("any"),
    meaning: "the highest load that will do, 1 being all it can do",
    example: "0.8",
};
const MIN_SECURITY: Field = Field {
    key: "min_security",
    kind: Kind::Integer {
        min: 1,
        max: 255,
        why: "a security level has one octet, and every level is at least 0",
    },
    need: Need::Optional("any"),
    meaning: "the lowest security level that will do",
    example: "2",
};
const SECURITY: Field = Field {
    key: "security",
    kind: Kind::List {
        of: &Kind::Word { words: &["crypto", "attested", "tee"], later: &[] },
        min: 1,
        max: 3,
    },
    need: Need::Optional("none"),
    meaning: "protections that must all be there",
    example: "[\"crypto\"]",
};
const DOMAIN: Field = Field {
    key: "domain",
    kind: Kind::Integer { min: 1, max: 65_535, why: "a security domain has two octets, and 0 is any" },
    need: Need::Optional("any"),
    meaning: "the security domain that it must lie in",
    example: "7",
};

pub(super) static REQUIRE: Section = Section {
    name: "`require`",
    meaning: "what a locator must have to be used at all",
    fields: &[HARDWARE, MAX_LATENCY, MAX_LATENCY_US, STATES, MAX_LOAD, MIN_SECURITY, SECURITY, DOMAIN],
    reserved: &[],
};

pub(super) static PREFER: Section = Section {
    name: "an entry of `prefer`",
    meaning: "one need, and its weight",
    fields: &[
        HARDWARE,
        MAX_LATENCY,
        MAX_LATENCY_US,
        STATES,
        MAX_LOAD,
        MIN_SECURITY,
        SECURITY,
        DOMAIN,
        Field {
            key: "weight",
            kind: Kind::Integer { min: 1, max: 15, why: "it counts ten points of a score of 1000 each" },
            need: Need::Default("4"),
            meaning: "how much it counts",
            example: "8",
        },
    ],
    reserved: &[],
};
