//! `[[policy]]`: which packets are of which context class.

use std::ops::RangeInclusive;

use sterna_wire::{Iid, Prefix};
use toml::de::DeValue;

use crate::field::{Field, Form, Kind, Need, Section};
use crate::finding::Located;
use crate::form;
use crate::shape::number;
use crate::tree::{FromToml, Node};

/// One `[[policy]]`. Of several that a packet meets, the first in the file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The group; any where absent.
    pub iid: Option<Iid>,
    /// Where the packet's source lies; anywhere where absent.
    pub from: Option<Prefix>,
    /// Where its destination lies; anywhere where absent.
    pub to: Option<Prefix>,
    /// Its DSCP; any where absent.
    pub dscp: Option<u8>,
    /// Its IP protocol number; any where absent.
    pub protocol: Option<u8>,
    /// The lowest and the highest destination port; any where absent.
    pub ports: Option<(u16, u16)>,
    /// The class that it gives, 1 to 15.
    pub class: u8,
}

impl Policy {
    /// The most policies of a file.
    pub const MAX: usize = 64;
}

/// The protocols that have names in the file, with their IP protocol numbers.
pub(crate) const PROTOCOLS: [(&str, u8); 4] = [("tcp", 6), ("udp", 17), ("icmp", 1), ("icmpv6", 58)];

pub(crate) static SECTION: Section = Section {
    name: "[[policy]]",
    meaning: "packets, and the context class that they are given",
    fields: &[
        Field {
            key: "group",
            kind: Kind::Text(Form::Name),
            need: Need::Optional("every group"),
            meaning: "the group's name",
            example: "\"research\"",
        },
        Field {
            key: "from",
            kind: Kind::Text(Form::Prefix),
            need: Need::Optional("from anywhere"),
            meaning: "where the packet's source lies",
            example: "\"10.1.0.0/16\"",
        },
        Field {
            key: "to",
            kind: Kind::Text(Form::Prefix),
            need: Need::Optional("to anywhere"),
            meaning: "where the packet's destination lies",
            example: "\"10.1.9.0/24\"",
        },
        Field {
            key: "dscp",
            kind: Kind::Integer { min: 0, max: 63, why: "a DSCP has six bits (RFC 2474)" },
            need: Need::Optional("any"),
            meaning: "the packet's DSCP",
            example: "46",
        },
        Field {
            key: "protocol",
            kind: Kind::WordOr { words: &["tcp", "udp", "icmp", "icmpv6"], min: 0, max: 255 },
            need: Need::Optional("any"),
            meaning: "the packet's IP protocol, by name or number",
            example: "\"tcp\"",
        },
        Field {
            key: "ports",
            kind: Kind::Text(Form::Ports),
            need: Need::Optional("any"),
            meaning: "the packet's destination port, or a range of them",
            example: "\"8000-8100\"",
        },
        Field {
            key: "class",
            kind: Kind::Text(Form::Name),
            need: Need::Required,
            meaning: "the name of the class that the packets are given",
            example: "\"gpu-fast\"",
        },
    ],
    reserved: &[],
};

pub(crate) const LIST: Kind = Kind::List { of: &Kind::Table(&SECTION), min: 0, max: Policy::MAX };

/// A `[[policy]]` as far as it could be read.
pub(crate) struct Draft {
    pub group: Option<Located<Option<String>>>,
    pub from: Option<Located<Option<Prefix>>>,
    pub to: Option<Located<Option<Prefix>>>,
    pub dscp: Option<Located<Option<u8>>>,
    pub protocol: Option<Located<Option<Protocol>>>,
    pub ports: Option<Located<Option<RangeInclusive<u16>>>>,
    pub class: Option<Located<String>>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        Draft {
            group: node.get("group").optional(),
            from: node.get("from").optional(),
            to: node.get("to").optional(),
            dscp: node.get("dscp").optional(),
            protocol: node.get("protocol").optional(),
            ports: node.get("ports").optional(),
            class: node.get("class").required(),
        }
    }

    /// The typed policy; `group` and `class` are the numbers behind the names.
    pub fn finish(self, group: Option<Iid>, class: u8) -> Option<Policy> {
        Some(Policy {
            iid: match self.group?.value {
                Some(_) => Some(group?),
                None => None,
            },
            from: self.from?.value,
            to: self.to?.value,
            dscp: self.dscp?.value,
            protocol: self.protocol?.value.map(|Protocol(number)| number),
            ports: self.ports?.value.map(RangeInclusive::into_inner),
            class,
        })
    }
}

/// An IP protocol number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Protocol(pub u8);

impl FromToml for Protocol {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        if let Some(name) = value.as_str() {
            return PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| Protocol(*number));
        }
        value.as_integer().and_then(number)?.try_into().ok().map(Protocol)
    }
}

impl FromToml for RangeInclusive<u16> {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        form::ports(value.as_str()?).ok()
    }
}
