//! What the management API shows.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use sterna_wire::lisp::control::acx::Attributes;
use sterna_wire::{Iid, Prefix};

use super::registrations::{NEVER, Slot, flag};
use super::saves::Identity;
use super::{RegisteredLocator, Server, TICK};

/// One registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationView {
    /// Group.
    pub iid: Iid,
    /// EID-prefix.
    pub prefix: Prefix,
    /// Name of the holder's site.
    pub site: Arc<str>,
    /// The holder.
    pub holder: Identity,
    /// Where the holder registers from.
    pub source: SocketAddr,
    /// Its locators, by priority.
    pub locators: Arc<[RegisteredLocator]>,
    /// TTL of the record in minutes.
    pub ttl_min: u32,
    /// When it expires without a refresh; none when the config registers it.
    pub expires: Option<Instant>,
    /// We answer for it.
    pub proxy: bool,
    /// Its locators are merged with those of other holders.
    pub merge: bool,
    /// It moved too often and stays where it is.
    pub frozen: bool,
    /// What is said of it; none when nothing ever was.
    pub context: Option<ContextView>,
}

/// What is said of a registration (context).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextView {
    /// Context-Seq of the last message.
    pub seq: u32,
    /// When that came.
    pub heard: Instant,
    /// What is said of the whole EID.
    pub whole: Attributes,
    /// What is said of each locator, in the order of the registration's, that of the whole EID included.
    pub locators: Vec<Attributes>,
}

/// What is known of an EID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupView {
    /// The holders of the longest prefix around it; none when nothing is registered.
    pub registrations: Vec<RegistrationView>,
    /// Names of the sites that may register it.
    pub sites: Vec<Arc<str>>,
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionView {
    /// The subscriber's xTR-ID.
    pub xtr_id: [u8; 16],
    /// Name of its site.
    pub site: Arc<str>,
    /// Group.
    pub iid: Iid,
    /// What it asked for.
    pub prefix: Prefix,
    /// What it was answered.
    pub answered: Prefix,
    /// Where publications may go.
    pub rlocs: Arc<[IpAddr]>,
    /// The last nonce used.
    pub nonce: u64,
    /// It has acknowledged everything.
    pub is_current: bool,
    /// How many changes it has not acknowledged.
    pub outstanding: usize,
}

/// One site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteView {
    /// Its name.
    pub name: Arc<str>,
    /// Ids of its keys.
    pub key_ids: Vec<u8>,
    /// Its xTRs that have authenticated.
    pub xtrs: Vec<XtrView>,
    /// How many registrations it has.
    pub registrations: usize,
}

/// One xTR of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XtrView {
    /// Who it is.
    pub identity: Identity,
    /// Its site-ID.
    pub site_id: u64,
    /// Where it sent from last.
    pub source: SocketAddr,
    /// The key that it used last.
    pub key_id: u8,
    /// How many registrations it has.
    pub registrations: u32,
}

impl Server {
    /// All registrations, in no order.
    pub fn registrations(&self, now: Instant) -> impl Iterator<Item = RegistrationView> {
        self.table.iter().filter_map(move |(slot, _)| self.view(slot, now))
    }

    /// How many registrations there are.
    pub fn registration_count(&self) -> usize {
        self.table.len()
    }

    /// What is known of an EID.
    pub fn lookup(&self, iid: Iid, eid: IpAddr, now: Instant) -> LookupView {
        let eid = Prefix::host(eid);
        let found = self.table.tree.longest(iid, &eid);
        let holders = found.into_iter().flat_map(|(_, first)| self.table.chain(first));
        let mut sites: Vec<Arc<str>> = Vec::new();
        for site in self.scopes.sites_for(iid, &eid) {
            sites.extend(self.sites.get(site as usize).map(|site| site.name.clone()));
        }
        LookupView { registrations: holders.filter_map(|(slot, _)| self.view(slot, now)).collect(), sites }
    }

    fn view(&self, slot: Slot, now: Instant) -> Option<RegistrationView> {
        let registration = self.table.get(slot)?;
        let xtr = self.xtrs.get(registration.xtr)?;
        let (iid, prefix) = (registration.iid(), registration.prefix());
        let expires = self.epoch.filter(|_| registration.terms.deadline != NEVER);
        Some(RegistrationView {
            iid,
            prefix,
            site: self.sites.get(xtr.site as usize)?.name.clone(),
            holder: xtr.identity,
            source: xtr.source,
            locators: self.table.sets.shared(registration.set),
            ttl_min: registration.terms.ttl,
            expires: expires.map(|epoch| epoch + TICK * registration.terms.deadline),
            proxy: self.is_proxied(self.table.tree.get(iid, &prefix)?),
            merge: registration.has(flag::MERGE),
            frozen: self.moves.is_frozen(iid, &prefix, now),
            context: self.context_view(slot),
        })
    }

    fn context_view(&self, slot: Slot) -> Option<ContextView> {
        let (held, context) = self.table.get(slot).zip(self.contexts.get(slot))?;
        let locators = self.table.sets.get(held.set).iter();
        Some(ContextView {
            seq: context.seq,
            heard: self.epoch? + TICK * context.heard,
            whole: context.whole.attributes.clone(),
            locators: locators.map(|locator| context.of(locator.address)).collect(),
        })
    }

    /// Of how many registrations something is said, and how many bytes that takes, about.
    pub fn context_count(&self) -> (usize, usize) {
        (self.contexts.len(), self.contexts.bytes())
    }

    /// All subscriptions, in no order.
    pub fn subscriptions(&self) -> impl Iterator<Item = SubscriptionView> {
        self.subscriptions.iter().filter_map(|(_, subscription)| {
            let outstanding = |work: &super::subscriptions::Work| work.told.union(&work.waiting).count();
            Some(SubscriptionView {
                xtr_id: subscription.key.xtr_id,
                site: self.sites.get(subscription.site as usize)?.name.clone(),
                iid: subscription.key.iid,
                prefix: subscription.key.prefix,
                answered: subscription.answered,
                rlocs: subscription.rlocs.clone(),
                nonce: subscription.sent,
                is_current: subscription.work.is_none(),
                outstanding: subscription.work.as_deref().map_or(0, outstanding),
            })
        })
    }

    /// How many subscriptions there are.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }

    /// All sites, as configured.
    pub fn sites(&self) -> Vec<SiteView> {
        let mut views: Vec<SiteView> = self
            .sites
            .iter()
            .map(|site| SiteView {
                name: site.name.clone(),
                key_ids: site.keys.iter().map(|key| key.id).collect(),
                xtrs: Vec::new(),
                registrations: 0,
            })
            .collect();
        for (_, xtr) in self.xtrs.iter() {
            let Some(view) = views.get_mut(xtr.site as usize) else { continue };
            view.registrations += xtr.registrations as usize;
            if xtr.identity != Identity::Config {
                view.xtrs.push(XtrView {
                    identity: xtr.identity,
                    site_id: xtr.site_id,
                    source: xtr.source,
                    key_id: xtr.key_id,
                    registrations: xtr.registrations,
                });
            }
        }
        views
    }

    /// The settings in force.
    pub fn settings(&self) -> &super::ServerSettings {
        &self.settings
    }
}
