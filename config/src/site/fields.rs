//! The tables of fields of `[[site]]`.

use crate::Mapping;
use crate::field::{Field, Form, Kind, Need, Section};
use crate::group::IID_KIND;
use crate::key::VERIFYING_LIST;
use crate::mapping::{PRIORITY_KIND, WEIGHT_KIND};

/// The most sites of a map-server.
const MAX_SITES: usize = 65_536;
/// The most prefixes of a site.
const MAX_EIDS: usize = 65_536;
/// The most addresses that are a site's before it has registered.
const MAX_RLOCS: usize = 64;

pub(crate) static SECTION: Section = Section {
    name: "[[site]]",
    meaning: "a site, and what it may register here",
    fields: &[
        Field {
            key: "name",
            kind: Kind::Text(Form::Name),
            need: Need::Required,
            meaning: "the site's name, for people",
            example: "\"site-a\"",
        },
        Field {
            key: "keys",
            kind: VERIFYING_LIST,
            need: Need::Optional("the site registers nothing itself"),
            meaning: "the keys that its registers may be signed with",
            example: "[{ id = 1, file = \"site-a.key\" }]",
        },
        Field {
            key: "eids",
            kind: Kind::List { of: &Kind::Table(&EID), min: 1, max: MAX_EIDS },
            need: Need::Optional("the site registers nothing itself"),
            meaning: "what it may register; its instance-IDs are also those that it may query",
            example: "[{ iid = 100, prefix = \"10.1.0.0/16\", more_specifics = true }]",
        },
        Field {
            key: "proxy_reply",
            kind: Kind::Word { words: &["asked", "always"], later: &[] },
            need: Need::Default("\"asked\""),
            meaning: "who answers for it: this map-server if the register asks for it, or always",
            example: "\"asked\"",
        },
        Field {
            key: "legacy_nonce",
            kind: Kind::Bool,
            need: Need::Default("false"),
            meaning: "whether its registers carry nonces in no order",
            example: "true",
        },
        Field {
            key: "allow_merge",
            kind: Kind::Bool,
            need: Need::Default("true"),
            meaning: "whether several of its ETRs may register one prefix together",
            example: "true",
        },
        Field {
            key: "rlocs",
            kind: Kind::List { of: &Kind::Text(Form::Address), min: 1, max: MAX_RLOCS },
            need: Need::Optional("none"),
            meaning: "addresses that are the site's even before it has registered",
            example: "[\"192.0.2.1\"]",
        },
        Field {
            key: "static",
            kind: Kind::List { of: &Kind::Table(&STATIC), min: 1, max: MAX_EIDS },
            need: Need::Optional("none"),
            meaning: "what is registered here on its behalf",
            example: "[{ iid = 100, eid = \"10.9.0.0/24\", rlocs = [{ address = \"192.0.2.9\" }] }]",
        },
        Field {
            key: "skills",
            kind: Kind::List { of: &Kind::Table(&SKILL), min: 1, max: MAX_EIDS },
            need: Need::Optional("none"),
            meaning: "EIDs that an agent of it may have while agents of other sites have them",
            example: "[{ iid = 100, prefix = \"10.1.200.0/28\" }]",
        },
    ],
    reserved: &[("attributes", "context"), ("max_sec_level", "context")],
};

pub(crate) const LIST: Kind = Kind::List { of: &Kind::Table(&SECTION), min: 1, max: MAX_SITES };

pub(super) static EID: Section = Section {
    name: "an entry of `eids`",
    meaning: "a prefix that the site may register",
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
            meaning: "the prefix",
            example: "\"10.1.0.0/16\"",
        },
        Field {
            key: "more_specifics",
            kind: Kind::Bool,
            need: Need::Default("false"),
            meaning: "whether it may register any part of the prefix too",
            example: "true",
        },
    ],
    reserved: &[],
};

pub(super) static SKILL: Section = Section {
    name: "an entry of `skills`",
    meaning: "EIDs that agents of several sites may have at a time",
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
            meaning: "the prefix",
            example: "\"10.1.200.0/28\"",
        },
    ],
    reserved: &[],
};

pub(super) static STATIC: Section = Section {
    name: "an entry of `static`",
    meaning: "an EID-prefix that is registered here on the site's behalf",
    fields: &[
        Field {
            key: "iid",
            kind: IID_KIND,
            need: Need::Required,
            meaning: "the instance-ID",
            example: "100",
        },
        Field {
            key: "eid",
            kind: Kind::Text(Form::Prefix),
            need: Need::Required,
            meaning: "the EID-prefix",
            example: "\"10.9.0.0/24\"",
        },
        Field {
            key: "rlocs",
            kind: Kind::List { of: &Kind::Table(&RLOC), min: 1, max: Mapping::MAX_RLOCS },
            need: Need::Required,
            meaning: "the locators it is reached by",
            example: "[{ address = \"192.0.2.9\" }]",
        },
    ],
    reserved: &[],
};

pub(super) static RLOC: Section = Section {
    name: "an entry of `rlocs`",
    meaning: "a locator of the site",
    fields: &[
        Field {
            key: "address",
            kind: Kind::Text(Form::Address),
            need: Need::Required,
            meaning: "the site's gateway",
            example: "\"192.0.2.9\"",
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
    ],
    reserved: &[],
};
