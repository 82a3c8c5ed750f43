//! `[[port]]`: the interfaces that the dataplane takes over.

use std::fmt;

use toml::de::DeValue;

use crate::field::{Field, Form, Kind, Need, Section};
use crate::finding::Located;
use crate::tree::{FromToml, Node};

/// One `[[port]]`. Its place in the file is its index in every record between the planes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The interface's name, 1 to 15 characters.
    pub name: String,
    /// What the port faces.
    pub side: Side,
    /// Receive queues that are served, from queue 0 on; worker `i` serves queue `i`.
    pub queues: u16,
    /// Whether the port may carry the host's default route.
    pub allow_shared: bool,
    /// The largest IP packet of the port's link in bytes; what the interface says where absent.
    pub mtu: Option<u16>,
}

/// What a port faces, seen from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Agents: packets in the clear.
    Eid,
    /// The underlay: LISP packets.
    Rloc,
    /// Both: LISP packets come untagged, agents behind VLAN tags.
    Both,
}

impl Side {
    /// Whether groups may stand on the port.
    pub const fn is_eid(self) -> bool {
        matches!(self, Side::Eid | Side::Both)
    }

    /// Whether the port may carry a locator of ours.
    pub const fn is_rloc(self) -> bool {
        matches!(self, Side::Rloc | Side::Both)
    }

    /// The word that stands for the side in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Side::Eid => "eid",
            Side::Rloc => "rloc",
            Side::Both => "both",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The most ports that a gateway may have.
const MAX_PORTS: usize = 64;
/// The largest IP packet that fits one UMEM frame of 4 KiB with the kernel's headroom; we take no multi-buffer frames.
pub(crate) const MAX_MTU: u16 = 3498;
/// IPv6's least link MTU (RFC 8200 section 5).
pub(crate) const MIN_MTU: u16 = 1280;

pub(crate) static SECTION: Section = Section {
    name: "[[port]]",
    meaning: "an interface that the dataplane takes over",
    fields: &[
        Field {
            key: "name",
            kind: Kind::Text(Form::Interface),
            need: Need::Required,
            meaning: "the interface's name",
            example: "\"eth1\"",
        },
        Field {
            key: "side",
            kind: Kind::Word { words: &["eid", "rloc", "both"], later: &[] },
            need: Need::Required,
            meaning: "what it faces: agents (eid), the underlay (rloc), or both by VLAN",
            example: "\"eid\"",
        },
        Field {
            key: "queues",
            kind: Kind::Integer { min: 1, max: 64, why: "one queue per worker and port" },
            need: Need::Optional("as many as there are cores"),
            meaning: "receive queues to serve, from queue 0 on; one per core where absent",
            example: "1",
        },
        Field {
            key: "allow_shared",
            kind: Kind::Bool,
            need: Need::Default("false"),
            meaning: "whether the port may carry the host's default route",
            example: "true",
        },
        Field {
            key: "mtu",
            kind: Kind::Integer {
                min: MIN_MTU as i64,
                max: MAX_MTU as i64,
                why: "IPv6 needs 1280, and a packet must fit one frame of 4 KiB",
            },
            need: Need::Optional("what the interface says"),
            meaning: "the largest IP packet of the link in bytes; what the interface says where absent",
            example: "1500",
        },
    ],
    reserved: &[("vlan", "an rloc-side VLAN")],
};

pub(crate) const LIST: Kind = Kind::List { of: &Kind::Table(&SECTION), min: 1, max: MAX_PORTS };

/// A `[[port]]` as far as it could be read.
pub(crate) struct Draft {
    pub name: Option<Located<String>>,
    pub side: Option<Located<Side>>,
    pub queues: Option<Located<Option<u16>>>,
    pub allow_shared: Option<Located<bool>>,
    pub mtu: Option<Located<Option<u16>>>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        Draft {
            name: node.get("name").required(),
            side: node.get("side").required(),
            queues: node.get("queues").optional(),
            allow_shared: node.get("allow_shared").or(false),
            mtu: node.get("mtu").optional(),
        }
    }

    pub fn finish(self, workers: usize) -> Option<Port> {
        Some(Port {
            name: self.name?.value,
            side: self.side?.value,
            queues: self.queues?.value.or_else(|| workers.try_into().ok())?,
            allow_shared: self.allow_shared?.value,
            mtu: self.mtu?.value,
        })
    }
}

impl FromToml for Side {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        let word = value.as_str()?;
        [Side::Eid, Side::Rloc, Side::Both].into_iter().find(|side| side.as_str() == word)
    }
}
