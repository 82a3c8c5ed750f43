//! `[[mapping]]`: EIDs whose locators are known from the file, besides the mapping system.

use std::net::IpAddr;

use sterna_wire::{Iid, Prefix};

use crate::field::{Field, Form, Kind, Need, Section};
use crate::finding::Located;
use crate::group::IID_KIND;
use crate::tree::{Listed, Node};

/// One `[[mapping]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The group it is for.
    pub iid: Iid,
    /// The EID-prefix.
    pub eid: Prefix,
    /// Its locators, 1 to [`Mapping::MAX_RLOCS`].
    pub rlocs: Vec<Rloc>,
}

/// A remote locator (RFC 9301 section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rloc {
    /// Where the far gateway is reached.
    pub address: IpAddr,
    /// Lower is preferred; 255 is never used for sending, yet is a valid source.
    pub priority: u8,
    /// The share among usable locators of one priority.
    pub weight: u8,
    /// Whether an outer UDP checksum is computed; IPv6 only (RFC 6935 allows zero).
    pub udp_checksum: bool,
}

impl Mapping {
    /// The most locators that a mapping may have.
    pub const MAX_RLOCS: usize = 16;
}

impl Rloc {
    /// The priority of a locator that is never used for sending (RFC 9301 section 5.4).
    pub const UNUSED_PRIORITY: u8 = 255;
    /// The priority when the file does not say.
    pub const DEFAULT_PRIORITY: u8 = 1;
    /// The weight when the file does not say.
    pub const DEFAULT_WEIGHT: u8 = 100;
}

/// Bulk mappings belong to the mapping system; a file of more than this is a mistake.
const MAX_MAPPINGS: usize = 1_000_000;

pub(crate) static SECTION: Section = Section {
    name: "[[mapping]]",
    meaning: "an EID-prefix whose locators are known from the file",
    fields: &[
        Field {
            key: "iid",
            kind: IID_KIND,
            need: Need::Required,
            meaning: "the group that the mapping is for",
            example: "100",
        },
        Field {
            key: "eid",
            kind: Kind::Text(Form::Prefix),
            need: Need::Required,
            meaning: "the EID-prefix",
            example: "\"10.1.2.0/24\"",
        },
        Field {
            key: "rlocs",
            kind: Kind::List { of: &Kind::Table(&RLOC), min: 1, max: Mapping::MAX_RLOCS },
            need: Need::Required,
            meaning: "the locators it is reached by",
            example: "[{ address = \"192.0.2.2\" }]",
        },
    ],
    reserved: &[("action", "static negative mappings"), ("attributes", "context")],
};

static RLOC: Section = Section {
    name: "an entry of `rlocs`",
    meaning: "a remote locator",
    fields: &[
        Field {
            key: "address",
            kind: Kind::Text(Form::Address),
            need: Need::Required,
            meaning: "the far gateway's address",
            example: "\"192.0.2.2\"",
        },
        Field {
            key: "priority",
            kind: PRIORITY_KIND,
            need: Need::Default("1"),
            meaning: "lower is preferred; 255 is never used for sending",
            example: "1",
        },
        Field {
            key: "weight",
            kind: WEIGHT_KIND,
            need: Need::Default("100"),
            meaning: "the share among usable locators of one priority",
            example: "100",
        },
        Field {
            key: "udp_checksum",
            kind: Kind::Bool,
            need: Need::Default("false"),
            meaning: "whether an outer UDP checksum is computed, for IPv6 locators",
            example: "true",
        },
    ],
    reserved: &[],
};

/// A locator's priority, here and wherever locators are named.
pub(crate) const PRIORITY_KIND: Kind =
    Kind::Integer { min: 0, max: 255, why: "lower is preferred, and 255 is never used for sending" };

/// A locator's weight, here and wherever locators are named.
pub(crate) const WEIGHT_KIND: Kind = Kind::Integer {
    min: 0,
    max: 255,
    why: "it is the share among locators of one priority, one octet in LISP",
};

pub(crate) const LIST: Kind = Kind::List { of: &Kind::Table(&SECTION), min: 0, max: MAX_MAPPINGS };

/// A `[[mapping]]` as far as it could be read.
pub(crate) struct Draft {
    pub iid: Option<Located<Iid>>,
    pub eid: Option<Located<Prefix>>,
    pub rlocs: Listed<RlocDraft>,
}

/// One of `rlocs` as far as it could be read.
pub(crate) struct RlocDraft {
    pub address: Option<Located<IpAddr>>,
    pub priority: Option<Located<u8>>,
    pub weight: Option<Located<u8>>,
    pub udp_checksum: Option<Located<bool>>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        Draft {
            iid: node.get("iid").required(),
            eid: node.get("eid").required(),
            rlocs: node.tables("rlocs", &RLOC, RlocDraft::read),
        }
    }

    pub fn finish(self) -> Option<Mapping> {
        let rlocs: Option<Vec<Rloc>> = self.rlocs.into_values()?.into_iter().map(RlocDraft::finish).collect();
        Some(Mapping { iid: self.iid?.value, eid: self.eid?.value, rlocs: rlocs? })
    }
}

impl RlocDraft {
    fn read(node: &Node<'_, '_>) -> RlocDraft {
        RlocDraft {
            address: node.get("address").required(),
            priority: node.get("priority").or(Rloc::DEFAULT_PRIORITY),
            weight: node.get("weight").or(Rloc::DEFAULT_WEIGHT),
            udp_checksum: node.get("udp_checksum").or(false),
        }
    }

    fn finish(self) -> Option<Rloc> {
        Some(Rloc {
            address: self.address?.value,
            priority: self.priority?.value,
            weight: self.weight?.value,
            udp_checksum: self.udp_checksum?.value,
        })
    }
}
