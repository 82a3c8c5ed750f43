//! Giving back what was saved before a restart.

use std::net::SocketAddr;
use std::time::Instant;

use super::Server;
use super::contexts::{Context, Said};
use super::registrations::{Registration, Terms, flag};
use super::saves::{
    Identity, Saved, SavedContext, SavedRegistration, SavedSaid, SavedSubscription, SavedXtr,
};
use super::subscriptions::Subscription;
use super::xtrs::Xtr;

/// Flags that are the config's to give.
const SAVED_FLAGS: u8 = flag::PROXY | flag::USE_TTL | flag::MERGE | flag::AUTHORITATIVE;

impl Server {
    /// Takes back what the store had; call it after [`configure`](Self::configure), and as often as there are parts,
    /// those with xTRs first. What the config no longer allows is left out, and stays out of the store for good.
    /// Every registration lives one full life from now on, see [`Save`](super::Save).
    pub fn restore(&mut self, saved: Saved, now: Instant) {
        self.notices.begin(saved.notice_nonces);
        let tick = self.ticks(now);
        if self.table.len() == 0 {
            self.table.start(tick);
        }
        saved.xtrs.into_iter().for_each(|xtr| self.restore_xtr(xtr));
        for registration in saved.registrations {
            self.restore_registration(&registration, now);
        }
        for context in saved.contexts {
            self.restore_context(&context, now);
        }
        for subscription in saved.subscriptions {
            self.restore_subscription(&subscription, now);
        }
    }

    fn restore_context(&mut self, saved: &SavedContext, now: Instant) {
        let key = &saved.key;
        let xtr = self.site_named(&key.site).and_then(|site| self.xtrs.find(key.holder, site));
        let mut holders = self.table.holders(key.iid, &key.prefix);
        let slot = holders.find(|(_, holder)| Some(holder.xtr) == xtr).map(|(slot, _)| slot);
        drop(holders);
        let tick = self.ticks(now);
        let said = |saved: &SavedSaid| Said::new(saved.attributes.clone(), saved.ttl_s, tick);
        let mut locators: Vec<_> =
            saved.locators.iter().map(|(address, saved)| (*address, said(saved))).collect();
        locators.sort_by_key(|(address, _)| *address);
        let context = Context::restored(saved.seq, tick, said(&saved.whole), locators);
        let bounds = self.context_bounds();
        if slot.is_none_or(|slot| self.contexts.put(slot, context, bounds).is_err()) {
            self.saves.push(super::Save::ContextGone(key.clone()));
        }
    }

    fn site_named(&self, name: &str) -> Option<u32> {
        self.sites.iter().position(|site| &*site.name == name).map(|site| site as u32)
    }

    fn restore_xtr(&mut self, saved: SavedXtr) {
        let Some(site) = self.site_named(&saved.site) else {
            return self.saves.push(super::Save::XtrGone(saved.site, saved.identity));
        };
        if self.xtrs.find(saved.identity, site).is_some() {
            return;
        }
        self.table.sets.own(saved.source.ip(), site);
        self.xtrs.insert(Xtr {
            site,
            identity: saved.identity,
            site_id: saved.site_id,
            source: saved.source,
            local: saved.local,
            key_id: saved.key_id,
            algorithm: saved.algorithm,
            identified: saved.identified,
            marks: saved.marks,
            unsaved: false,
            registrations: 0,
        });
    }

    fn restore_registration(&mut self, saved: &SavedRegistration, now: Instant) {
        let key = &saved.key;
        let site = self.site_named(&key.site);
        let xtr = site.and_then(|site| Some((site, self.xtrs.find(key.holder, site)?)));
        let allowed = xtr.filter(|(site, _)| {
            self.scopes.allows(*site, key.iid, &key.prefix)
                && self.table.len() < self.settings.max_registrations
                && (self.scopes.is_skill(key.iid, &key.prefix)
                    || self.table.holders(key.iid, &key.prefix).all(|(_, holder)| holder.has(flag::MERGE)))
        });
        let Some((site, xtr)) = allowed else {
            return self.saves.push(super::Save::RegistrationGone(key.clone()));
        };
        let flags = saved.flags & SAVED_FLAGS;
        let deadline = self.life(flags, saved.ttl, now);
        let terms = Terms { deadline, ttl: saved.ttl, version: saved.version, act: saved.act, flags };
        let set = self.table.sets.acquire(site, &saved.locators);
        self.table.insert(Registration::new(key.iid, &key.prefix, set, xtr, terms));
        if let Some(xtr) = self.xtrs.get_mut(xtr) {
            xtr.registrations += 1;
        }
    }

    fn restore_subscription(&mut self, saved: &SavedSubscription, now: Instant) {
        let site = self
            .site_named(&saved.site)
            .filter(|site| self.sites.get(*site as usize).is_some_and(|site| site.has_iid(saved.key.iid)));
        let Some(site) = site else {
            return self.saves.push(super::Save::SubscriptionGone(saved.key));
        };
        if self.subscriptions.find(&saved.key).is_some() {
            return;
        }
        let renewed = self.ticks(now);
        // Too many different questions: those who asked them renew them, and are refused then.
        let question = saved.question.clone().map(|question| self.questions.share(question));
        let Some(question) = question.map_or(Some(None), |shared| shared.map(Some)) else {
            return self.saves.push(super::Save::SubscriptionGone(saved.key));
        };
        self.subscriptions.insert(Subscription {
            question,
            answered: saved.answered,
            site_id: saved.site_id,
            local: saved.local,
            seen: saved.seen,
            // Whatever was used in the last life lies below.
            sent: saved.reserved,
            reserved: saved.reserved,
            renewed,
            ..Subscription::new(saved.key, site, saved.rlocs.clone())
        });
        self.subscriptions.sweep.1.get_or_insert(now);
    }

    /// The place of the xTR that stands for a site's static registrations.
    pub(super) fn config_xtr(&mut self, site: u32) -> u32 {
        self.xtrs.find(Identity::Config, site).unwrap_or_else(|| {
            self.xtrs.insert(Xtr {
                site,
                identity: Identity::Config,
                site_id: 0,
                source: SocketAddr::from(([0, 0, 0, 0], 0)),
                local: None,
                key_id: 0,
                algorithm: 0,
                identified: false,
                marks: Vec::new(),
                unsaved: false,
                registrations: 0,
            })
        })
    }
}
