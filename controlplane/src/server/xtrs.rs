//! The xTRs that have authenticated: whose they are, where they are, and the last nonce of each of their keys.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use sterna_wire::lisp::control::XtrId;

use super::arena::Arena;
use super::saves::Identity;

/// An xTR of a site. One that has keys of two sites is two.
#[derive(Clone, Debug)]
pub(super) struct Xtr {
    pub(super) site: u32,
    pub(super) identity: Identity,
    pub(super) site_id: u64,
    /// Where it sent from last, and where it is told what it should know.
    pub(super) source: SocketAddr,
    /// Which of our addresses it sent to.
    pub(super) local: Option<IpAddr>,
    pub(super) key_id: u8,
    pub(super) algorithm: u8,
    /// Its registers carry its identity (I bit), so Map-Notifies to it may.
    pub(super) identified: bool,
    /// The last nonce by key id.
    pub(super) marks: Vec<(u8, u64)>,
    /// The marks have changed since they were saved.
    pub(super) unsaved: bool,
    /// How many registrations it has.
    pub(super) registrations: u32,
}

impl Xtr {
    /// Its xTR-ID and site-ID for a message, when its own messages carry them.
    pub(super) fn id(&self) -> Option<XtrId> {
        match self.identity {
            Identity::Id(xtr_id) if self.identified => Some(XtrId { xtr_id, site_id: self.site_id }),
            _ => None,
        }
    }

    /// The last nonce with this key.
    pub(super) fn mark(&self, key_id: u8) -> Option<u64> {
        self.marks.iter().find(|(id, _)| *id == key_id).map(|(_, nonce)| *nonce)
    }

    /// Remembers the last nonce with this key.
    pub(super) fn set_mark(&mut self, key_id: u8, nonce: u64) {
        match self.marks.iter_mut().find(|(id, _)| *id == key_id) {
            Some(mark) => mark.1 = nonce,
            None => self.marks.push((key_id, nonce)),
        }
        self.unsaved = true;
    }
}

/// All xTRs.
#[derive(Debug, Default)]
pub(super) struct Xtrs {
    places: Arena<Xtr>,
    by_identity: BTreeMap<(Identity, u32), u32>,
    /// How many xTRs each site has named.
    per_site: BTreeMap<u32, usize>,
}

impl Xtrs {
    pub(super) fn get(&self, place: u32) -> Option<&Xtr> {
        self.places.get(place)
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut Xtr> {
        self.places.get_mut(place)
    }

    /// This site's xTR of this identity.
    pub(super) fn find(&self, identity: Identity, site: u32) -> Option<u32> {
        self.by_identity.get(&(identity, site)).copied()
    }

    /// The sites of this identity with its place in each.
    pub(super) fn sites_of(&self, identity: Identity) -> impl Iterator<Item = (u32, u32)> {
        self.by_identity.range((identity, 0)..=(identity, u32::MAX)).map(|((_, site), place)| (*site, *place))
    }

    /// How many this site has named.
    pub(super) fn of_site(&self, site: u32) -> usize {
        self.per_site.get(&site).copied().unwrap_or(0)
    }

    pub(super) fn insert(&mut self, xtr: Xtr) -> u32 {
        let key = (xtr.identity, xtr.site);
        *self.per_site.entry(xtr.site).or_insert(0) += 1;
        let place = self.places.insert(xtr);
        self.by_identity.insert(key, place);
        place
    }

    pub(super) fn remove(&mut self, place: u32) -> Option<Xtr> {
        let xtr = self.places.remove(place)?;
        self.by_identity.remove(&(xtr.identity, xtr.site));
        if let Some(count) = self.per_site.get_mut(&xtr.site) {
            *count -= 1;
        }
        Some(xtr)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Xtr)> {
        self.places.iter()
    }

    /// Sites have new numbers; none of the old ones is missing.
    pub(super) fn renumber(&mut self, new: impl Fn(u32) -> u32) {
        self.per_site.clear();
        self.by_identity.clear();
        for place in 0..self.places.places() {
            let Some(xtr) = self.places.get_mut(place) else { continue };
            xtr.site = new(xtr.site);
            *self.per_site.entry(xtr.site).or_insert(0) += 1;
            self.by_identity.insert((xtr.identity, xtr.site), place);
        }
    }
}
