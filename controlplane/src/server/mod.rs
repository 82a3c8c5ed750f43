//! The Map-Server and Map-Resolver (RFC 9301 section 8), with publish/subscribe (RFC 9437).
//!
//! Sans-IO: it is given messages and the time, and gives datagrams and what is to be saved. One struct has both
//! roles: what a configured site covers is answered from the registrations here, the rest is forwarded to other
//! Map-Servers, or answered negatively when there are none.
//!
//! # Registering
//! A Map-Register is verified before it changes anything. Keys are tried of the sites that the sender's xTR-ID or
//! address has authenticated as before, and of those that may register the records' prefixes; of all sites only when
//! there are few. So a forged message costs a bounded number of MACs; a message with a valid key for foreign
//! prefixes only, from an xTR never seen before, counts as `auth_data` where there are more than 16 sites.
//! A register without merge bit wins at once, see [`moves`](self) for what that means for agents that move.
//!
//! # Answering
//! Who asks is told by the ITR-RLOCs, the xTR-ID and the packet's source, whichever belongs to a site. A querier
//! that belongs to sites, none of which may register in the instance-ID asked for, is refused (ACT 4). One that
//! belongs to no site is answered, unless `known_queriers_only` is set, but with at most three times its bytes.
//! An answer never hides a registration: where others have registered parts of a prefix, the answer carries all
//! of them if they are few, otherwise the largest part around the question that nobody else has registered.
//! For that reason such a prefix is answered here even when its ETR asked to answer itself.

mod admit;
mod answer;
mod arena;
mod ask_upstream;
mod configure;
mod contexts;
mod hold;
mod locator_sets;
mod moves;
mod notices;
mod notify;
mod pace;
mod publish;
mod querier;
mod questions;
mod rate;
mod receive;
mod refusal;
mod register;
mod registrations;
mod replays;
mod request;
mod restore;
mod saves;
mod settings;
mod sites;
mod subscribe;
mod subscriptions;
mod take_context;
mod take_over;
mod tree;
mod views;
mod watch;
mod xtrs;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sterna_wire::{Iid, Prefix};

use self::ask_upstream::OpenQuestions;
use self::contexts::Contexts;
use self::notices::Notices;
use self::questions::Questions;
use self::rate::{Rate, SourceRates};
use self::registrations::{Registrations, Tick};
use self::sites::{Scopes, Site, Upstreams};
use self::subscriptions::Subscriptions;
use self::xtrs::Xtrs;
use crate::outbox::Outbox;
use crate::random::Random;

pub use self::locator_sets::{MAX_LOCATORS, RegisteredLocator};
pub use self::refusal::{Counters, Refusal};
pub use self::request::Handled;
pub use self::saves::{
    Identity, RegistrationKey, Save, Saved, SavedContext, SavedRegistration, SavedSaid, SavedSubscription,
    SavedXtr, SubscriptionKey,
};
pub use self::settings::{ProxyReply, Scope, ServerSettings, SiteSettings, StaticMapping, Upstream};
pub use self::views::{ContextView, LookupView, RegistrationView, SiteView, SubscriptionView, XtrView};

/// A tick of the server's time.
const TICK: Duration = Duration::from_millis(100);
/// Nonce marks of refreshes are saved at most this often; those of changes are saved with the change.
const MARKS_PERIOD: Duration = Duration::from_secs(1);

/// A Map-Server and Map-Resolver.
#[derive(Debug)]
pub struct Server {
    settings: ServerSettings,
    /// When ticks began.
    epoch: Option<Instant>,
    sites: Vec<Site>,
    scopes: Scopes,
    upstreams: Upstreams,
    xtrs: Xtrs,
    table: Registrations,
    moves: moves::Moves,
    notices: Notices,
    subscriptions: Subscriptions,
    contexts: Contexts,
    /// What subscribers asked in ACX.
    questions: Questions,
    open: OpenQuestions,
    random: Random,
    limits: Limits,
    counters: Counters,
    saves: Vec<Save>,
    /// xTRs whose marks are to be saved, and when.
    unsaved: Vec<u32>,
    /// Registrations whose load or latency is to be saved, at the same time.
    unsaved_contexts: BTreeSet<registrations::Slot>,
    marks_due: Option<Instant>,
}

/// What others may make us do.
#[derive(Debug)]
struct Limits {
    register_sources: SourceRates,
    request_sources: SourceRates,
    constraint_sources: SourceRates,
    /// Sources that belong to a site have a share that nobody else can use up.
    site_registers: Rate,
    other_registers: Rate,
    site_requests: Rate,
    other_requests: Rate,
    published: Rate,
}

impl Limits {
    fn of(settings: &ServerSettings) -> Limits {
        Limits {
            register_sources: SourceRates::new(settings.register_rate_per_source),
            request_sources: SourceRates::new(settings.request_rate_per_source),
            constraint_sources: SourceRates::new(settings.constraint_rate_per_source),
            site_registers: Rate::new(settings.register_rate),
            other_registers: Rate::new(settings.register_rate),
            site_requests: Rate::new(settings.request_rate),
            other_requests: Rate::new(settings.request_rate),
            published: Rate::new(settings.publish_rate),
        }
    }

    fn set(&mut self, settings: &ServerSettings) {
        self.register_sources.set(settings.register_rate_per_source);
        self.request_sources.set(settings.request_rate_per_source);
        self.constraint_sources.set(settings.constraint_rate_per_source);
        self.site_registers.set(settings.register_rate);
        self.other_registers.set(settings.register_rate);
        self.site_requests.set(settings.request_rate);
        self.other_requests.set(settings.request_rate);
        self.published.set(settings.publish_rate);
    }
}

impl Server {
    /// A server without registrations. Sites and static registrations come with the first
    /// [`configure`](Self::configure); what was saved comes with [`restore`](Self::restore) after that.
    pub fn new(settings: ServerSettings, mut random: Random) -> Server {
        let mut notices = Notices::default();
        // Room for as many as can ever be sent, and above what an earlier life without a store is likely to have used.
        notices.begin(random.number() >> 2);
        let limits = Limits::of(&settings);
        Server {
            settings: ServerSettings { sites: Vec::new(), upstreams: Vec::new(), ..settings },
            epoch: None,
            sites: Vec::new(),
            scopes: Scopes::default(),
            upstreams: Upstreams::default(),
            xtrs: Xtrs::default(),
            table: Registrations::default(),
            moves: moves::Moves::default(),
            notices,
            subscriptions: Subscriptions::default(),
            contexts: Contexts::default(),
            questions: Questions::default(),
            open: OpenQuestions::default(),
            random,
            limits,
            counters: Counters::default(),
            saves: Vec::new(),
            unsaved: Vec::new(),
            unsaved_contexts: BTreeSet::new(),
            marks_due: None,
        }
    }

    /// What is to be written to the store since the last call, in this order.
    pub fn take_saves(&mut self) -> Vec<Save> {
        std::mem::take(&mut self.saves)
    }

    /// How often what happened.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Does what is due: expiries, retransmissions, publications. Call it at [`next_deadline`](Self::next_deadline).
    pub fn tick(&mut self, now: Instant, out: &mut Outbox) {
        self.expire(now);
        self.expire_contexts(now);
        self.expire_questions(now);
        self.moves.tick(self.settings.moves_within, now);
        self.resend_notices(now, out);
        self.sweep_subscriptions(now);
        self.publish(now, out);
        self.save_marks(now);
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let ticks = self.table.next_due().into_iter().chain(self.contexts.next_due()).min();
        let expiry = ticks.and_then(|tick| Some(self.epoch? + TICK * tick));
        let others = [
            self.notices.next_deadline(),
            self.moves.next_deadline(),
            self.subscriptions.next_deadline(),
            self.open.next_deadline(),
        ];
        [expiry, self.marks_due].into_iter().chain(others).flatten().min()
    }

    /// This moment in ticks.
    fn ticks(&mut self, now: Instant) -> Tick {
        let epoch = *self.epoch.get_or_insert(now);
        (now.saturating_duration_since(epoch).as_millis() / TICK.as_millis()) as Tick
    }

    /// The first tick that begins this long after now.
    fn tick_after(&mut self, life: Duration, now: Instant) -> Tick {
        let ticks = life.as_millis().div_ceil(TICK.as_millis()).min(u128::from(u32::MAX / 4));
        self.ticks(now) + ticks as Tick + 1
    }

    fn expire(&mut self, now: Instant) {
        let tick = self.ticks(now);
        for slot in self.table.due(tick) {
            self.counters.expired += 1;
            self.drop_registration(slot, now);
        }
    }

    /// Removes a registration and tells everybody.
    fn drop_registration(&mut self, slot: registrations::Slot, now: Instant) {
        let Some((iid, prefix)) = self.remove_quietly(slot) else { return };
        if self.table.tree.get(iid, &prefix).is_none() {
            self.moves.vacated(iid, &prefix);
        }
        self.changed(iid, &prefix, now);
    }

    /// Removes a registration and has that saved, without telling subscribers.
    fn remove_quietly(&mut self, slot: registrations::Slot) -> Option<(Iid, Prefix)> {
        self.forget_context(slot);
        let registration = self.table.remove(slot)?;
        let (iid, prefix) = (registration.iid(), registration.prefix());
        let xtr = self.xtrs.get_mut(registration.xtr)?;
        xtr.registrations -= 1;
        if let Some(site) = self.sites.get(xtr.site as usize)
            && !registration.has(registrations::flag::STATIC)
        {
            let (site, holder) = (site.name.clone(), xtr.identity);
            self.saves.push(Save::RegistrationGone(RegistrationKey { iid, prefix, site, holder }));
        }
        Some((iid, prefix))
    }

    fn save_marks(&mut self, now: Instant) {
        if self.marks_due.is_none_or(|due| now < due) {
            return;
        }
        self.marks_due = None;
        for xtr in std::mem::take(&mut self.unsaved) {
            // Unless a change has had it saved meanwhile.
            if self.xtrs.get(xtr).is_some_and(|xtr| xtr.unsaved) {
                self.save_xtr(xtr);
            }
        }
        for slot in std::mem::take(&mut self.unsaved_contexts) {
            self.save_context(slot);
        }
    }

    /// Has an xTR saved as it is now.
    fn save_xtr(&mut self, place: u32) {
        let Some(xtr) = self.xtrs.get_mut(place) else { return };
        let Some(site) = self.sites.get(xtr.site as usize) else { return };
        xtr.unsaved = false;
        self.saves.push(Save::Xtr(SavedXtr {
            site: site.name.clone(),
            identity: xtr.identity,
            site_id: xtr.site_id,
            source: xtr.source,
            local: xtr.local,
            key_id: xtr.key_id,
            algorithm: xtr.algorithm,
            identified: xtr.identified,
            marks: xtr.marks.clone(),
        }));
    }
}

#[cfg(test)]
mod test;
