//! Taking a config: sites come, go and change while what they registered stays, as far as it is still allowed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use sterna_wire::lisp::control::Act;
use sterna_wire::{Iid, Prefix};

use super::registrations::{NEVER, Registration, Slot, Terms, flag};
use super::saves::{Identity, Save};
use super::sites::{Scopes, Site, Upstreams};
use super::{RegisteredLocator, Server, ServerSettings};
use crate::outbox::Outbox;

impl Server {
    /// Takes new settings. Registrations of prefixes that are no longer their site's end, and subscribers hear of it.
    pub fn configure(&mut self, settings: ServerSettings, now: Instant, out: &mut Outbox) {
        self.limits.set(&settings);
        if settings.upstreams != self.settings.upstreams {
            self.upstreams = Upstreams::of(&settings.upstreams);
        }
        if settings.sites != self.settings.sites {
            self.replace_sites(&settings, now);
        }
        self.settings = settings;
        self.publish(now, out);
    }

    fn replace_sites(&mut self, settings: &ServerSettings, now: Instant) {
        let names = settings.sites.iter().enumerate();
        let names: HashMap<&str, u32> = names.map(|(new, site)| (site.name.as_str(), new as u32)).collect();
        let numbers: Vec<Option<u32>> =
            self.sites.iter().map(|site| names.get(&*site.name).copied()).collect();
        let new = |old: u32| numbers.get(old as usize).copied().flatten();
        self.drop_sites(&new, now);
        let mut sites: Vec<Site> = settings.sites.iter().map(Site::of).collect();
        for (old, site) in self.sites.drain(..).enumerate() {
            for rloc in &site.rlocs {
                self.table.sets.disown(*rloc, old as u32);
            }
            if let Some(kept) = new(old as u32).and_then(|new| sites.get_mut(new as usize)) {
                kept.replays = site.replays;
            }
        }
        let renumber = |old: u32| new(old).unwrap_or(u32::MAX);
        self.table.sets.renumber(renumber);
        self.xtrs.renumber(renumber);
        self.subscriptions.renumber(renumber);
        for (site, kept) in sites.iter().enumerate() {
            kept.rlocs.iter().for_each(|rloc| self.table.sets.own(*rloc, site as u32));
        }
        self.sites = sites;
        self.scopes = Scopes::of(&settings.sites);
        self.drop_disallowed(now);
        self.replace_statics(settings, now);
    }

    /// Ends everything of sites that are gone.
    fn drop_sites(&mut self, new: &dyn Fn(u32) -> Option<u32>, now: Instant) {
        let xtrs = self.xtrs.iter().filter(|(_, xtr)| new(xtr.site).is_none());
        let gone: Vec<u32> = xtrs.map(|(place, _)| place).collect();
        if !gone.is_empty() {
            let of_gone = |registration: &Registration| gone.binary_search(&registration.xtr).is_ok();
            for slot in self.slots(of_gone) {
                self.drop_registration(slot, now);
            }
        }
        for place in gone {
            let Some(xtr) = self.xtrs.remove(place) else { continue };
            if xtr.identity != Identity::Config {
                self.table.sets.disown(xtr.source.ip(), xtr.site);
                let name = self.sites.get(xtr.site as usize).map(|site| site.name.clone());
                self.saves.extend(name.map(|name| Save::XtrGone(name, xtr.identity)));
            }
        }
        let subscriptions =
            self.subscriptions.iter().filter(|(_, subscription)| new(subscription.site).is_none());
        let gone: Vec<u32> = subscriptions.map(|(place, _)| place).collect();
        gone.into_iter().for_each(|place| self.end_subscription(place));
    }

    fn slots(&self, wanted: impl Fn(&Registration) -> bool) -> Vec<Slot> {
        let registrations = self.table.iter().filter(|(_, registration)| wanted(registration));
        registrations.map(|(slot, _)| slot).collect()
    }

    /// Ends what sites may no longer register, and subscriptions in instance-IDs that are no longer theirs.
    fn drop_disallowed(&mut self, now: Instant) {
        let disallowed = |registration: &Registration| {
            let site = self.xtrs.get(registration.xtr).map_or(u32::MAX, |xtr| xtr.site);
            !registration.has(flag::STATIC)
                && !self.scopes.allows(site, registration.iid(), &registration.prefix())
        };
        for slot in self.slots(disallowed) {
            self.drop_registration(slot, now);
        }
        self.drop_former_skills(now);
        let foreign = self.subscriptions.iter().filter(|(_, subscription)| {
            let site = self.sites.get(subscription.site as usize);
            !site.is_some_and(|site| site.has_iid(subscription.key.iid) && !site.keys.is_empty())
        });
        let foreign: Vec<u32> = foreign.map(|(place, _)| place).collect();
        foreign.into_iter().for_each(|place| self.end_subscription(place));
    }

    /// What was a skill and is none any more is held by one, the last that came.
    fn drop_former_skills(&mut self, now: Instant) {
        let beside = |registration: &Registration| {
            let (iid, prefix) = (registration.iid(), registration.prefix());
            let site = |held: &Registration| self.xtrs.get(held.xtr).map(|xtr| xtr.site);
            let mut holders = self.table.holders(iid, &prefix);
            let Some((_, first)) = holders.next() else { return false };
            let merged = |held: &Registration| held.has(flag::MERGE) && site(held) == site(first);
            let is_first = first.xtr == registration.xtr;
            let merges = first.has(flag::MERGE) && merged(registration);
            !(is_first || merges || self.scopes.is_skill(iid, &prefix))
        };
        for slot in self.slots(beside) {
            self.drop_registration(slot, now);
        }
    }

    /// Registers what the config says, in place of whatever is registered there.
    fn replace_statics(&mut self, settings: &ServerSettings, now: Instant) {
        let mut wanted: HashMap<(u32, Iid, Prefix), Arc<[RegisteredLocator]>> = HashMap::new();
        for (site, settings) in settings.sites.iter().enumerate() {
            for mapping in &settings.statics {
                let locators = mapping.locators.iter().map(|locator| {
                    RegisteredLocator::unicast(locator.address, locator.priority, locator.weight)
                });
                let mut locators: Vec<_> = locators.collect();
                locators.sort_unstable();
                locators.truncate(super::MAX_LOCATORS);
                wanted.insert((site as u32, mapping.iid, mapping.prefix), locators.into());
            }
        }
        for slot in self.slots(|registration| registration.has(flag::STATIC)) {
            let Some(held) = self.table.get(slot).copied() else { continue };
            let site = self.xtrs.get(held.xtr).map_or(u32::MAX, |xtr| xtr.site);
            let key = (site, held.iid(), held.prefix());
            if wanted.get(&key).is_some_and(|locators| **locators == *self.table.sets.get(held.set)) {
                wanted.remove(&key);
            } else {
                self.drop_registration(slot, now);
            }
        }
        for ((site, iid, prefix), locators) in wanted {
            self.add_static(site, iid, &prefix, &locators, now);
        }
    }

    fn add_static(
        &mut self,
        site: u32,
        iid: Iid,
        prefix: &Prefix,
        locators: &[RegisteredLocator],
        now: Instant,
    ) {
        let learned = self.table.holders(iid, prefix).filter(|(_, holder)| !holder.has(flag::STATIC));
        let learned: Vec<Slot> = learned.map(|(slot, _)| slot).collect();
        for slot in learned {
            self.remove_quietly(slot);
        }
        let xtr = self.config_xtr(site);
        let set = self.table.sets.acquire(site, locators);
        let flags = flag::STATIC | flag::PROXY;
        let terms = Terms { deadline: NEVER, ttl: u32::MAX, version: 0, act: Act::NoAction, flags };
        self.table.insert(Registration::new(iid, prefix, set, xtr, terms));
        if let Some(xtr) = self.xtrs.get_mut(xtr) {
            xtr.registrations += 1;
        }
        self.changed(iid, prefix, now);
    }
}
