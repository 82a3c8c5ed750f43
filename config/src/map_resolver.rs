//! `[map_resolver]`: where a map-resolver sends what its own box does not know.

use std::net::IpAddr;

use sterna_wire::{Iid, Prefix};

use crate::field::{Field, Form, Kind, Need, Section};
use crate::finding::Located;
use crate::group::IID_KIND;
use crate::tree::{Listed, Node};

/// The table `[map_resolver]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapResolver {
    /// The map-servers that Map-Requests are forwarded to; none where this box is the map-server.
    pub map_servers: Vec<Forward>,
}

/// A map-server that Map-Requests are forwarded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Its address.
    pub address: IpAddr,
    /// What it is asked for; empty for all that no entry names.
    pub eids: Vec<(Iid, Prefix)>,
}

pub(crate) static SECTION: Section = Section {
    name: "[map_resolver]",
    meaning: "where this map-resolver sends what this box does not know",
    fields: &[Field {
        key: "map_servers",
        kind: Kind::List { of: &Kind::Table(&FORWARD), min: 1, max: MAX_FORWARDS },
        need: Need::Required,
        meaning: "the map-servers that Map-Requests are forwarded to",
        example: "[{ address = \"192.0.2.11\" }]",
    }],
    reserved: &[("ddt_roots", "resolving by delegation")],
};

/// The most map-servers behind one map-resolver.
const MAX_FORWARDS: usize = 1024;
/// The most prefixes of one of them.
const MAX_EIDS: usize = 65_536;

static FORWARD: Section = Section {
    name: "an entry of `map_servers`",
    meaning: "a map-server that Map-Requests are forwarded to",
    fields: &[
        Field {
            key: "address",
            kind: Kind::Text(Form::Address),
            need: Need::Required,
            meaning: "the map-server's address",
            example: "\"192.0.2.11\"",
        },
        Field {
            key: "eids",
            kind: Kind::List { of: &Kind::Table(&ASKED), min: 1, max: MAX_EIDS },
            need: Need::Optional("all that no entry names"),
            meaning: "what it is asked for; all that no entry names where absent",
            example: "[{ iid = 100, prefix = \"10.1.0.0/16\" }]",
        },
    ],
    reserved: &[],
};

static ASKED: Section = Section {
    name: "an entry of `eids`",
    meaning: "EIDs that the map-server is asked for",
    fields: &[
        Field {
            key: "iid",
            kind: IID_KIND,
            need: Need::Required,
            meaning: "the instance-ID",
            example: "100",
        },
        Field {
            key: "prefix",
            kind: Kind::Text(Form::Prefix),
            need: Need::Required,
            meaning: "the EID-prefix",
            example: "\"10.1.0.0/16\"",
        },
    ],
    reserved: &[],
};

/// `[map_resolver]` as far as it could be read.
pub(crate) struct Draft {
    pub map_servers: Listed<ForwardDraft>,
}

/// One of `map_servers` as far as it could be read.
pub(crate) struct ForwardDraft {
    pub address: Option<Located<IpAddr>>,
    pub eids: Listed<AskedDraft>,
}

/// One of its `eids` as far as it could be read.
pub(crate) struct AskedDraft {
    pub iid: Option<Located<Iid>>,
    pub prefix: Option<Located<Prefix>>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        Draft { map_servers: node.tables("map_servers", &FORWARD, ForwardDraft::read) }
    }

    pub fn finish(self) -> Option<MapResolver> {
        let forwards = self.map_servers.into_values()?.into_iter().map(ForwardDraft::finish);
        Some(MapResolver { map_servers: forwards.collect::<Option<_>>()? })
    }
}

impl ForwardDraft {
    fn read(node: &Node<'_, '_>) -> ForwardDraft {
        ForwardDraft {
            address: node.get("address").required(),
            eids: node.tables("eids", &ASKED, AskedDraft::read),
        }
    }

    fn finish(self) -> Option<Forward> {
        let eids = self.eids.into_values()?.into_iter();
        let eids = eids.map(|asked| Some((asked.iid?.value, asked.prefix?.value)));
        Some(Forward { address: self.address?.value, eids: eids.collect::<Option<_>>()? })
    }
}

impl AskedDraft {
    fn read(node: &Node<'_, '_>) -> AskedDraft {
        AskedDraft { iid: node.get("iid").required(), prefix: node.get("prefix").required() }
    }
}
