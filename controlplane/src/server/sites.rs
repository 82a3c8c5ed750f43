//! The configured sites: whose key it is, and what a key may register and query.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use sterna_wire::lisp::control::auth::Key;
use sterna_wire::{Iid, Prefix};

use super::replays::Replays;
use super::settings::{ProxyReply, SiteSettings, Upstream};
use super::tree::PrefixTree;

/// A site.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) name: Arc<str>,
    pub(super) keys: Vec<Key>,
    /// Instance-IDs that it may register and query.
    iids: BTreeSet<Iid>,
    pub(super) always_proxy: bool,
    pub(super) legacy_nonce: bool,
    pub(super) allow_merge: bool,
    pub(super) rlocs: Vec<IpAddr>,
    pub(super) replays: Replays,
}

impl Site {
    pub(super) fn of(settings: &SiteSettings) -> Site {
        Site {
            name: settings.name.as_str().into(),
            keys: settings.keys.clone(),
            iids: settings
                .scopes
                .iter()
                .map(|scope| scope.iid)
                .chain(settings.skills.iter().map(|(iid, _)| *iid))
                .collect(),
            always_proxy: settings.proxy_reply == ProxyReply::Always,
            legacy_nonce: settings.legacy_nonce,
            allow_merge: settings.allow_merge,
            rlocs: settings.rlocs.clone(),
            replays: Replays::default(),
        }
    }

    /// The key of this id and algorithm.
    pub(super) fn key(&self, id: u8, algorithm: u8) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id && key.algorithm as u8 == algorithm)
    }

    /// The key to sign with: that of this id and algorithm, or the first if it is gone.
    pub(super) fn signing_key(&self, id: u8, algorithm: u8) -> Option<&Key> {
        self.key(id, algorithm).or(self.keys.first())
    }

    pub(super) fn has_iid(&self, iid: Iid) -> bool {
        self.iids.contains(&iid)
    }
}

/// Which sites may register a prefix: places in `entries` by prefix.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    pub(super) tree: PrefixTree,
    /// Sites, and whether they may register parts of the prefix.
    entries: Vec<Vec<(u32, bool)>>,
    /// Prefixes whose hosts are skills, by places in `skillful`.
    skills: PrefixTree,
    /// Sites that list such a prefix.
    skillful: Vec<Vec<u32>>,
}

impl Scopes {
    pub(super) fn of(sites: &[SiteSettings]) -> Scopes {
        let mut scopes = Scopes::default();
        for (site, settings) in sites.iter().enumerate() {
            for scope in &settings.scopes {
                scopes.add(site as u32, scope.iid, &scope.prefix, scope.more_specifics);
            }
            for (iid, prefix) in &settings.skills {
                scopes.add(site as u32, *iid, prefix, true);
                scopes.add_skills(site as u32, *iid, prefix);
            }
        }
        scopes
    }

    fn add(&mut self, site: u32, iid: Iid, prefix: &Prefix, parts: bool) {
        let place = self.tree.get(iid, prefix).unwrap_or_else(|| {
            let place = self.entries.len() as u32;
            self.entries.push(Vec::new());
            self.tree.insert(iid, prefix, place);
            place
        });
        self.entries[place as usize].push((site, parts));
    }

    fn add_skills(&mut self, site: u32, iid: Iid, prefix: &Prefix) {
        let place = self.skills.get(iid, prefix).unwrap_or_else(|| {
            let place = self.skillful.len() as u32;
            self.skillful.push(Vec::new());
            self.skills.insert(iid, prefix, place);
            place
        });
        self.skillful[place as usize].push(site);
    }

    /// Whether there are skills at all.
    pub(super) fn has_skills(&self) -> bool {
        !self.skillful.is_empty()
    }

    /// Whether several xTRs and sites may have this EID at the same time.
    pub(super) fn is_skill(&self, iid: Iid, eid: &Prefix) -> bool {
        self.has_skills() && eid.is_host() && self.skills.longest(iid, eid).is_some()
    }

    /// Whether the prefix lies among skills; then whether this site may register it there: hosts only, and only if
    /// it lists them itself.
    fn allows_skill(&self, site: u32, iid: Iid, prefix: &Prefix) -> Option<bool> {
        let mut around = self.skills.covering(iid, prefix).peekable();
        around.peek()?;
        Some(prefix.is_host() && around.any(|(_, place)| self.skillful[place as usize].contains(&site)))
    }

    /// The sites that may register this prefix, those with the closest scope first.
    pub(super) fn sites_for(&self, iid: Iid, prefix: &Prefix) -> impl Iterator<Item = u32> {
        let prefix = *prefix;
        self.tree.covering(iid, &prefix).collect::<Vec<_>>().into_iter().flat_map(move |(scope, place)| {
            let sites = &self.entries[place as usize];
            sites.iter().filter(move |(_, parts)| *parts || scope == prefix).map(|(site, _)| *site)
        })
    }

    /// Whether this site may register this prefix.
    pub(super) fn allows(&self, site: u32, iid: Iid, prefix: &Prefix) -> bool {
        if let Some(allowed) = self.allows_skill(site, iid, prefix) {
            return allowed;
        }
        self.tree.covering(iid, prefix).any(|(scope, place)| {
            self.entries[place as usize]
                .iter()
                .any(|(other, parts)| *other == site && (*parts || scope == *prefix))
        })
    }

    /// Whether a site's prefix covers this one or lies inside it.
    pub(super) fn touches(&self, iid: Iid, prefix: &Prefix) -> bool {
        self.tree.longest(iid, prefix).is_some() || self.tree.has_inside(iid, prefix)
    }
}

/// Where a Map-Resolver forwards what no site here covers.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    tree: PrefixTree,
    named: Vec<Vec<IpAddr>>,
    others: Vec<IpAddr>,
    all: BTreeSet<IpAddr>,
    turn: usize,
}

impl Upstreams {
    pub(super) fn of(upstreams: &[Upstream]) -> Upstreams {
        let mut out = Upstreams::default();
        for upstream in upstreams {
            out.all.insert(upstream.address);
            if upstream.eids.is_empty() {
                out.others.push(upstream.address);
            }
            for (iid, prefix) in &upstream.eids {
                let place = out.tree.get(*iid, prefix).unwrap_or_else(|| {
                    let place = out.named.len() as u32;
                    out.named.push(Vec::new());
                    out.tree.insert(*iid, prefix, place);
                    place
                });
                out.named[place as usize].push(upstream.address);
            }
        }
        out
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.all.contains(&address)
    }

    /// Who is asked for this prefix: those that name it, or those that name nothing, in turn.
    pub(super) fn next(&mut self, iid: Iid, prefix: &Prefix) -> Option<IpAddr> {
        let named = self.tree.longest(iid, prefix).map(|(_, place)| &self.named[place as usize]);
        let choices = named.unwrap_or(&self.others);
        let chosen = choices.get(self.turn % choices.len().max(1)).copied();
        self.turn = self.turn.wrapping_add(1);
        chosen
    }
}
