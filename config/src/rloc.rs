//! `[[rloc]]`: our own locators.

use std::net::IpAddr;

use crate::field::{Field, Form, Kind, Need, Section};
use crate::finding::Located;
use crate::mapping::{PRIORITY_KIND, Rloc, WEIGHT_KIND};
use crate::tree::Node;

/// One `[[rloc]]`: an address of this gateway that tunnels start and end at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRloc {
    /// The address; the kernel holds it on the port's interface (or on loopback).
    pub address: IpAddr,
    /// Index in [`crate::Config::ports`] of the rloc-side port that packets for it come in by; nothing exactly where
    /// the gateway is no xTR.
    pub port: Option<usize>,
    /// As registered with the mapping system: lower is preferred, 255 is never used for sending.
    pub priority: u8,
    /// As registered with the mapping system: the share among usable locators of one priority.
    pub weight: u8,
}

/// The most locators of our own: as many as a site may register in one record.
const MAX_LOCAL: usize = 16;

pub(crate) static SECTION: Section = Section {
    name: "[[rloc]]",
    meaning: "an address of this gateway that tunnels start and end at",
    fields: &[
        Field {
            key: "address",
            kind: Kind::Text(Form::Address),
            need: Need::Required,
            meaning: "the locator's address, which the host must hold",
            example: "\"192.0.2.1\"",
        },
        Field {
            key: "port",
            kind: Kind::Text(Form::Interface),
            need: Need::Optional("the only rloc-side port"),
            meaning: "the rloc-side port it is reached by; the only one where absent",
            example: "\"eth0\"",
        },
        Field {
            key: "priority",
            kind: PRIORITY_KIND,
            need: Need::Default("1"),
            meaning: "what others are told: lower is preferred, 255 is never used for sending",
            example: "1",
        },
        Field {
            key: "weight",
            kind: WEIGHT_KIND,
            need: Need::Default("100"),
            meaning: "what others are told: the share among usable locators of one priority",
            example: "100",
        },
    ],
    reserved: &[],
};

pub(crate) const LIST: Kind = Kind::List { of: &Kind::Table(&SECTION), min: 1, max: MAX_LOCAL };

/// An `[[rloc]]` as far as it could be read.
pub(crate) struct Draft {
    pub address: Option<Located<IpAddr>>,
    pub port: Option<Located<Option<String>>>,
    pub priority: Option<Located<u8>>,
    pub weight: Option<Located<u8>>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        Draft {
            address: node.get("address").required(),
            port: node.get("port").optional(),
            priority: node.get("priority").or(Rloc::DEFAULT_PRIORITY),
            weight: node.get("weight").or(Rloc::DEFAULT_WEIGHT),
        }
    }

    pub fn finish(self, port: Option<usize>) -> Option<LocalRloc> {
        let _known = self.port?;
        let (priority, weight) = (self.priority?.value, self.weight?.value);
        Some(LocalRloc { address: self.address?.value, port, priority, weight })
    }
}
