//! `[[site]]`: who may register what at this map-server.

mod fields;

use std::net::IpAddr;

use sterna_wire::{Iid, Prefix};
use toml::de::DeValue;

use crate::finding::Located;
use crate::key::{self, Key};
use crate::mapping::Rloc;
use crate::secret::Secrets;
use crate::tree::{FromToml, Listed, Node};

pub(crate) use self::fields::{LIST, SECTION};

/// One `[[site]]` at a map-server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The site's name; unique in the file.
    pub name: String,
    /// The keys that its registers may be signed with; none where it registers nothing itself.
    pub keys: Vec<Key>,
    /// What it may register; its instance-IDs are also those that it may query.
    pub eids: Vec<SiteEid>,
    /// Who answers Map-Requests for what it registered.
    pub proxy_reply: ProxyReply,
    /// Whether its registers carry nonces in no order, as old ETRs do.
    pub legacy_nonce: bool,
    /// Whether several of its ETRs may register one prefix together (RFC 9301 section 5.6, the a bit).
    pub allow_merge: bool,
    /// Addresses that belong to the site even before it has registered.
    pub rlocs: Vec<IpAddr>,
    /// What is registered here on its behalf.
    pub statics: Vec<StaticRegistration>,
    /// EIDs that an agent of it may have at the same time as one of each other site that lists them too.
    pub skills: Vec<SiteSkill>,
}

/// A prefix that a site may register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteEid {
    /// The group.
    pub iid: Iid,
    /// The prefix.
    pub prefix: Prefix,
    /// Whether it may register any part of the prefix too.
    pub more_specifics: bool,
}

/// EIDs that agents of several sites may have at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteSkill {
    /// The group.
    pub iid: Iid,
    /// The prefix.
    pub prefix: Prefix,
}

/// Who answers Map-Requests for a site's EIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyReply {
    /// This map-server, if the register asked for it; else the site's ETR.
    Asked,
    /// This map-server, whatever the register says: for ETRs that do not answer, such as VPP's.
    Always,
}

/// A registration that stands in the file, for a site whose ETRs cannot register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticRegistration {
    /// The group.
    pub iid: Iid,
    /// The EID-prefix.
    pub eid: Prefix,
    /// Its locators, 1 to [`crate::Mapping::MAX_RLOCS`].
    pub rlocs: Vec<SiteRloc>,
}

/// A locator of a static registration (RFC 9301 section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteRloc {
    /// The site's gateway.
    pub address: IpAddr,
    /// Lower is preferred; 255 is never used for sending.
    pub priority: u8,
    /// The share among usable locators of one priority.
    pub weight: u8,
}

impl ProxyReply {
    /// The word that stands for it in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProxyReply::Asked => "asked",
            ProxyReply::Always => "always",
        }
    }
}

/// A `[[site]]` as far as it could be read.
pub(crate) struct Draft {
    pub name: Option<Located<String>>,
    pub keys: Listed<key::Draft>,
    pub eids: Listed<EidDraft>,
    proxy_reply: Option<Located<ProxyReply>>,
    legacy_nonce: Option<Located<bool>>,
    allow_merge: Option<Located<bool>>,
    pub rlocs: Listed<IpAddr>,
    pub statics: Listed<StaticDraft>,
    pub skills: Listed<SkillDraft>,
}

/// One of a site's `eids` as far as it could be read.
pub(crate) struct EidDraft {
    pub iid: Option<Located<Iid>>,
    pub prefix: Option<Located<Prefix>>,
    pub more_specifics: Option<Located<bool>>,
}

/// One of `skills` as far as it could be read.
pub(crate) struct SkillDraft {
    pub iid: Option<Located<Iid>>,
    pub prefix: Option<Located<Prefix>>,
}

/// One of `static` as far as it could be read.
pub(crate) struct StaticDraft {
    pub iid: Option<Located<Iid>>,
    pub eid: Option<Located<Prefix>>,
    pub rlocs: Listed<RlocDraft>,
}

/// A locator of `static` as far as it could be read.
pub(crate) struct RlocDraft {
    pub address: Option<Located<IpAddr>>,
    pub priority: Option<Located<u8>>,
    pub weight: Option<Located<u8>>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        Draft {
            name: node.get("name").required(),
            keys: node.tables("keys", &key::VERIFYING, key::Draft::read_verifying),
            eids: node.tables("eids", &fields::EID, EidDraft::read),
            proxy_reply: node.get("proxy_reply").or(ProxyReply::Asked),
            legacy_nonce: node.get("legacy_nonce").or(false),
            allow_merge: node.get("allow_merge").or(true),
            rlocs: node.values("rlocs"),
            statics: node.tables("static", &fields::STATIC, StaticDraft::read),
            skills: node.tables("skills", &fields::SKILL, SkillDraft::read),
        }
    }

    pub fn finish(self, secrets: &Secrets) -> Option<Site> {
        let keys = self.keys.into_values()?.into_iter().map(|key| key.finish(secrets));
        let eids = self.eids.into_values()?.into_iter().map(EidDraft::finish);
        let skills = self.skills.into_values()?.into_iter().map(SkillDraft::finish);
        let statics = self.statics.into_values()?.into_iter().map(StaticDraft::finish);
        Some(Site {
            name: self.name?.value,
            keys: keys.collect::<Option<_>>()?,
            eids: eids.collect::<Option<_>>()?,
            proxy_reply: self.proxy_reply?.value,
            legacy_nonce: self.legacy_nonce?.value,
            allow_merge: self.allow_merge?.value,
            rlocs: self.rlocs.into_values()?,
            statics: statics.collect::<Option<_>>()?,
            skills: skills.collect::<Option<_>>()?,
        })
    }
}

impl EidDraft {
    fn read(node: &Node<'_, '_>) -> EidDraft {
        EidDraft {
            iid: node.get("iid").required(),
            prefix: node.get("prefix").required(),
            more_specifics: node.get("more_specifics").or(false),
        }
    }

    fn finish(self) -> Option<SiteEid> {
        Some(SiteEid {
            iid: self.iid?.value,
            prefix: self.prefix?.value,
            more_specifics: self.more_specifics?.value,
        })
    }
}

impl SkillDraft {
    fn read(node: &Node<'_, '_>) -> SkillDraft {
        SkillDraft { iid: node.get("iid").required(), prefix: node.get("prefix").required() }
    }

    fn finish(self) -> Option<SiteSkill> {
        Some(SiteSkill { iid: self.iid?.value, prefix: self.prefix?.value })
    }
}

impl StaticDraft {
    fn read(node: &Node<'_, '_>) -> StaticDraft {
        StaticDraft {
            iid: node.get("iid").required(),
            eid: node.get("eid").required(),
            rlocs: node.tables("rlocs", &fields::RLOC, RlocDraft::read),
        }
    }

    fn finish(self) -> Option<StaticRegistration> {
        let rlocs = self.rlocs.into_values()?.into_iter().map(RlocDraft::finish);
        Some(StaticRegistration {
            iid: self.iid?.value,
            eid: self.eid?.value,
            rlocs: rlocs.collect::<Option<_>>()?,
        })
    }
}

impl RlocDraft {
    fn read(node: &Node<'_, '_>) -> RlocDraft {
        RlocDraft {
            address: node.get("address").required(),
            priority: node.get("priority").or(Rloc::DEFAULT_PRIORITY),
            weight: node.get("weight").or(Rloc::DEFAULT_WEIGHT),
        }
    }

    fn finish(self) -> Option<SiteRloc> {
        Some(SiteRloc {
            address: self.address?.value,
            priority: self.priority?.value,
            weight: self.weight?.value,
        })
    }
}

impl FromToml for ProxyReply {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        match value.as_str()? {
            "asked" => Some(ProxyReply::Asked),
            "always" => Some(ProxyReply::Always),
            _ => None,
        }
    }
}
