//! `[[group]]`: the agent groups that have members here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sterna_wire::{Iid, Mac, Prefix, VlanId};
use toml::Spanned;
use toml::de::DeValue;

use crate::field::{Field, Form, Kind, Need, Section};
use crate::finding::{At, Located};
use crate::tree::{FromToml, Listed, Node};

/// One `[[group]]`: an instance-ID, where its agents are attached, and what it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The instance-ID (RFC 9300 section 5.5); unique in the file.
    pub iid: Iid,
    /// The group's name; unique in the file.
    pub name: String,
    /// Index in [`crate::Config::ports`] of the eid-side port its agents are behind.
    pub port: usize,
    /// The 802.1Q tag of its frames there; untagged where absent.
    pub vlan: Option<VlanId>,
    /// The anycast gateway addresses with their prefix lengths, at most one per family.
    pub gateway: Vec<(IpAddr, u8)>,
    /// The anycast gateway's MAC, the same at every site.
    pub mac: Mac,
    /// What is served here; each prefix is registered as it stands.
    pub eids: Vec<Served>,
    /// The ranges in which agents may come and go (dynamic EIDs); each agent is registered as a host.
    pub dynamic_eids: Vec<Prefix>,
    /// EIDs that one agent at each site may have at a time (skills).
    pub skills: Vec<Prefix>,
    /// Whether ARP and ND for the group's EIDs that are elsewhere are answered here.
    pub proxy_arp: bool,
    /// What a negative mapping means for the group's packets.
    pub on_negative: OnNegative,
}

/// An EID-prefix that is served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The prefix.
    pub prefix: Prefix,
    /// The inner router that the prefix is behind; attached to the link itself where absent.
    pub via: Option<IpAddr>,
}

/// What a negative mapping means for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNegative {
    /// It is dropped.
    Drop,
    /// It leaves in the clear, by the kernel's routes.
    Native,
}

impl Group {
    /// The MAC of a group whose file does not say: 02:53:54 and the instance-ID.
    pub fn default_mac(iid: Iid) -> Mac {
        let [_, a, b, c] = iid.get().to_be_bytes();
        Mac([0x02, 0x53, 0x54, a, b, c])
    }

    /// The IPv4 gateway address and its prefix length.
    pub fn gateway_v4(&self) -> Option<(Ipv4Addr, u8)> {
        self.gateway.iter().find_map(|&(address, len)| match address {
            IpAddr::V4(v4) => Some((v4, len)),
            IpAddr::V6(_) => None,
        })
    }

    /// The IPv6 gateway address and its prefix length.
    pub fn gateway_v6(&self) -> Option<(Ipv6Addr, u8)> {
        self.gateway.iter().find_map(|&(address, len)| match address {
            IpAddr::V6(v6) => Some((v6, len)),
            IpAddr::V4(_) => None,
        })
    }
}

/// The most groups that a gateway may serve.
const MAX_GROUPS: usize = 4096;
/// The most prefixes that a group may serve here.
const MAX_SERVED: usize = 65_536;
/// The most ranges of a group in which agents may come and go, and the most prefixes of its skills.
const MAX_DYNAMIC: usize = 256;

pub(crate) static SECTION: Section = Section {
    name: "[[group]]",
    meaning: "an agent group with members here",
    fields: &[
        Field {
            key: "iid",
            kind: IID_KIND,
            need: Need::Required,
            meaning: "the group's instance-ID, the same at every site",
            example: "100",
        },
        Field {
            key: "name",
            kind: Kind::Text(Form::Name),
            need: Need::Required,
            meaning: "the group's name, for people",
            example: "\"research\"",
        },
        Field {
            key: "port",
            kind: Kind::Text(Form::Interface),
            need: Need::Required,
            meaning: "the eid-side port its agents are behind",
            example: "\"eth1\"",
        },
        Field {
            key: "vlan",
            kind: Kind::Integer {
                min: 1,
                max: 4094,
                why: "802.1Q reserves 0 and 4095; leave the field out for untagged frames",
            },
            need: Need::Optional("untagged"),
            meaning: "the 802.1Q tag of the group's frames; untagged where absent",
            example: "10",
        },
        Field {
            key: "gateway",
            kind: Kind::List { of: &Kind::Text(Form::Subnet), min: 1, max: 2 },
            need: Need::Required,
            meaning: "the agents' default gateway with its subnet, at most one per address family",
            example: "[\"10.1.0.1/16\", \"fd00:64::1/64\"]",
        },
        Field {
            key: "mac",
            kind: Kind::Text(Form::Mac),
            need: Need::Optional("02:53:54 and the instance-ID"),
            meaning: "the gateway's MAC, the same at every site; 02:53:54 and the instance-ID where absent",
            example: "\"02:53:54:00:00:64\"",
        },
        Field {
            key: "eids",
            kind: Kind::List { of: &Kind::PrefixOr(&SERVED), min: 1, max: MAX_SERVED },
            need: Need::Optional("none, if there are `dynamic_eids` or `skills`"),
            meaning: "the EID-prefixes served here",
            example: "[\"10.1.0.0/24\"]",
        },
        Field {
            key: "dynamic_eids",
            kind: Kind::List { of: &Kind::Text(Form::Prefix), min: 1, max: MAX_DYNAMIC },
            need: Need::Optional("none"),
            meaning: "the ranges in which agents may come and go",
            example: "[\"10.1.0.0/16\"]",
        },
        Field {
            key: "skills",
            kind: Kind::List { of: &Kind::Text(Form::Prefix), min: 1, max: MAX_DYNAMIC },
            need: Need::Optional("none"),
            meaning: "EIDs that one agent at each site may have at a time",
            example: "[\"10.1.200.0/28\"]",
        },
        Field {
            key: "proxy_arp",
            kind: Kind::Bool,
            need: Need::Default("true"),
            meaning: "whether ARP and ND for the group's EIDs elsewhere are answered here",
            example: "true",
        },
        Field {
            key: "on_negative",
            kind: Kind::Word { words: &["drop", "native"], later: &["use_petr"] },
            need: Need::Default("\"drop\""),
            meaning: "what a negative mapping means: drop, or leave in the clear",
            example: "\"drop\"",
        },
    ],
    reserved: &[],
};

/// One of `eids` in its long form.
static SERVED: Section = Section {
    name: "an entry of `eids`",
    meaning: "a table such as { prefix = \"10.9.0.0/24\", via = \"10.1.0.254\" }",
    fields: &[
        Field {
            key: "prefix",
            kind: Kind::Text(Form::Prefix),
            need: Need::Required,
            meaning: "the prefix",
            example: "\"10.9.0.0/24\"",
        },
        Field {
            key: "via",
            kind: Kind::Text(Form::Address),
            need: Need::Optional("attached to the link itself"),
            meaning: "the inner router that the prefix is behind; attached to the link itself where absent",
            example: "\"10.1.0.254\"",
        },
    ],
    reserved: &[],
};

pub(crate) const LIST: Kind = Kind::List { of: &Kind::Table(&SECTION), min: 1, max: MAX_GROUPS };

/// An instance-ID, here and in mappings.
pub(crate) const IID_KIND: Kind = Kind::Integer {
    min: 0,
    max: Iid::RESERVED as i64 - 1,
    why: "an instance-ID has 24 bits, and 16777215 is reserved (RFC 8060 section 4.1)",
};

/// A `[[group]]` as far as it could be read.
pub(crate) struct Draft {
    pub iid: Option<Located<Iid>>,
    pub name: Option<Located<String>>,
    pub port: Option<Located<String>>,
    pub vlan: Option<Located<Option<VlanId>>>,
    pub gateway: Listed<(IpAddr, u8)>,
    pub mac: Option<Located<Option<Mac>>>,
    pub eids: Listed<ServedDraft>,
    pub dynamic_eids: Listed<Prefix>,
    pub skills: Listed<Prefix>,
    pub proxy_arp: Option<Located<bool>>,
    pub on_negative: Option<Located<OnNegative>>,
}

/// One of `eids`, with the places of its parts.
pub(crate) struct ServedDraft {
    pub prefix: Located<Prefix>,
    pub via: Option<Located<IpAddr>>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        Draft {
            iid: node.get("iid").required(),
            name: node.get("name").required(),
            port: node.get("port").required(),
            vlan: node.get("vlan").optional(),
            gateway: node.values("gateway"),
            mac: node.get("mac").optional(),
            eids: node.list("eids", ServedDraft::read),
            dynamic_eids: node.values("dynamic_eids"),
            skills: node.values("skills"),
            proxy_arp: node.get("proxy_arp").or(true),
            on_negative: node.get("on_negative").or(OnNegative::Drop),
        }
    }

    pub fn finish(self, port: Option<usize>) -> Option<Group> {
        let iid = self.iid?.value;
        Some(Group {
            iid,
            name: self.name?.value,
            port: port?,
            vlan: self.vlan?.value,
            gateway: self.gateway.into_values()?,
            mac: self.mac?.value.unwrap_or_else(|| Group::default_mac(iid)),
            eids: self.eids.into_values()?.into_iter().map(ServedDraft::finish).collect(),
            dynamic_eids: self.dynamic_eids.into_values()?,
            skills: self.skills.into_values()?,
            proxy_arp: self.proxy_arp?.value,
            on_negative: self.on_negative?.value,
        })
    }
}

impl ServedDraft {
    fn read(value: &Spanned<DeValue<'_>>, at: At) -> Option<ServedDraft> {
        if let Some(table) = value.get_ref().as_table() {
            let node = Node { section: &SERVED, table, at };
            let via = node.get("via").optional()?;
            let via = via.value.map(|value| Located { value, at: via.at });
            return Some(ServedDraft { prefix: node.get("prefix").required()?, via });
        }
        let prefix = Prefix::from_toml(value.get_ref())?;
        Some(ServedDraft { prefix: Located { value: prefix, at }, via: None })
    }

    fn finish(self) -> Served {
        Served { prefix: self.prefix.value, via: self.via.map(|via| via.value) }
    }
}

impl FromToml for OnNegative {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        match value.as_str()? {
            "drop" => Some(OnNegative::Drop),
            "native" => Some(OnNegative::Native),
            _ => None,
        }
    }
}
