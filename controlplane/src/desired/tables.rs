//! Everything the dataplane shall know, and the one way by which it changes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use sterna_wire::{Family, Iid, Prefix};

use super::classes::ClassUses;
use super::{EidKey, EidWanted, Learned, Paths, Site, Source, View};
use crate::publish::Publisher;

/// The site, what was learned, the paths, and the publisher that is told of every change.
///
/// A change of one EID costs the logarithm of how many there are: its effective entry is found, its locator set is
/// counted, and the publisher gets what became different.
#[derive(Debug)]
pub struct Tables {
    site: Site,
    learned: Learned,
    paths: Paths,
    publisher: Publisher,
    classes: ClassUses,
    remotes_changed: bool,
}

impl Tables {
    /// The tables of a site of which nothing has been learned.
    pub fn new(site: Site, view: View<'_>) -> Self {
        let paths = Paths::new(&Site::default(), view);
        let mut tables = Self {
            site: Site::default(),
            learned: Learned::default(),
            paths,
            publisher: Publisher::default(),
            classes: ClassUses::default(),
            remotes_changed: false,
        };
        tables.configure(site, view);
        tables
    }

    /// What the config decides.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// What was learned.
    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    /// What the underlay decides.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The publisher.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Whether remote RLOCs came or went since the last call, so that the underlay must be asked anew.
    pub fn take_remotes_changed(&mut self) -> bool {
        std::mem::take(&mut self.remotes_changed)
    }

    /// The publisher's session side: begin, pump, end.
    pub fn publisher_mut(&mut self) -> &mut Publisher {
        &mut self.publisher
    }

    /// Another config (or port list): what was learned stays.
    pub fn configure(&mut self, site: Site, view: View<'_>) {
        let old = std::mem::replace(&mut self.site, site);
        self.paths.renew(view);
        self.publisher.replace_site(&self.site);
        let mut keys: BTreeSet<EidKey> = old.eids.keys().chain(self.site.eids.keys()).copied().collect();
        let groups: Vec<_> = self.site.on_negative.iter().map(|(iid, action)| (*iid, *action)).collect();
        for (iid, action) in groups.into_iter().filter(|(iid, action)| old.negative(*iid) != *action) {
            let negatives: Vec<EidKey> = self.learned.negative_mappings(iid).collect();
            for key in negatives {
                self.learned.set(Source::Mapping, key, Some(EidWanted::Negative(action)));
                keys.insert(key);
            }
        }
        for key in keys {
            self.refresh(&key, view);
        }
        self.publish_paths();
    }

    /// The underlay is now like this.
    pub fn underlay(&mut self, view: View<'_>) {
        self.paths.renew(view);
        self.publish_paths();
    }

    /// A remote RLOC answers probes, or does not.
    pub fn probed(&mut self, remote: IpAddr, up: bool) {
        self.paths.probed(remote, up);
        self.publish_paths();
    }

    /// Nobody probes any more.
    pub fn forget_probes(&mut self) {
        self.paths.forget_probes();
        self.publish_paths();
    }

    /// What one source says of a key now; none when it says nothing any more.
    pub fn want(&mut self, source: Source, key: EidKey, value: Option<EidWanted>, view: View<'_>) {
        let value = value.map(|wanted| match wanted {
            EidWanted::Remote(set) => EidWanted::Remote(self.paths.shared(set)),
            EidWanted::Away(set) => EidWanted::Away(self.paths.shared(set)),
            EidWanted::Chosen { set, classes } => {
                EidWanted::Chosen { set: self.paths.shared(set), classes: self.classes.shared(classes) }
            }
            other => other,
        });
        if self.learned.set(source, key, value) {
            self.refresh(&key, view);
            self.publish_paths();
        }
    }

    /// Says the longest entry over this address again, although it is as it was: packets wait for its confirmation.
    pub fn confirm(&mut self, iid: Iid, eid: IpAddr) {
        let lengths = (0..=Family::of(eid).bits()).rev();
        let mut keys = lengths.filter_map(|len| Some(EidKey { iid, prefix: Prefix::masked(eid, len).ok()? }));
        if let Some(key) = keys.find(|key| self.publisher.eid(key).is_some()) {
            self.publisher.say_again(&key);
        }
    }

    /// Says this very entry again, although it is as it was.
    pub fn confirm_key(&mut self, key: &EidKey) {
        self.publisher.say_again(key);
    }

    /// Frames for an agent that come from this RLOC pass the source check, or no longer.
    pub fn relay(&mut self, iid: Iid, eid: IpAddr, from: IpAddr, allowed: bool) {
        self.publisher.want_relay(iid, eid, from, allowed);
    }

    /// Asks the dataplane whether an agent is still there.
    pub fn check(&mut self, iid: Iid, eid: IpAddr) {
        self.publisher.check(iid, eid);
    }

    /// Brings the published entry of a key in line with what is effective, and counts its set and class rows.
    fn refresh(&mut self, key: &EidKey, view: View<'_>) {
        let wanted = self.learned.wanted(&self.site, key);
        let before = self.publisher.eid(key).cloned();
        if let Some(set) = wanted.as_ref().and_then(EidWanted::set) {
            self.paths.acquire(set, view);
        }
        if let Some(classes) = wanted.as_ref().and_then(EidWanted::classes)
            && self.classes.acquire(classes)
        {
            classes.sets().into_iter().for_each(|set| self.paths.acquire(set, view));
            self.publisher.want_classes(classes, true);
        }
        self.publisher.want_eid(key, wanted);
        if let Some(before) = before {
            self.release(&before, view);
        }
    }

    fn release(&mut self, before: &EidWanted, view: View<'_>) {
        if let Some(set) = before.set() {
            self.paths.release(set, view);
        }
        if let Some(classes) = before.classes()
            && self.classes.release(classes)
        {
            classes.sets().into_iter().for_each(|set| self.paths.release(set, view));
            self.publisher.want_classes(classes, false);
        }
    }

    /// Different class rows in use.
    pub fn classes(&self) -> usize {
        self.classes.count()
    }

    fn publish_paths(&mut self) {
        let touched = self.paths.take_touched();
        self.publisher.update_paths(&self.paths, &touched);
        self.remotes_changed |= touched.remotes;
    }
}
