//! What outlives a restart: changes of it to be written, and all of it to be given back.
//!
//! Written are changes of registrations, what is said of them, xTRs and their nonce marks, and subscriptions; a
//! refresh is not written.
//! No time is saved. A restored registration lives one full life from the restart on unless it is refreshed, and a
//! restored subscription likewise: so neither the length of the outage nor a step of the wall clock ends one early,
//! and a site that is gone is forgotten one life after the restart at the latest.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sterna_wire::lisp::control::Act;
use sterna_wire::lisp::control::acx::Attributes;
use sterna_wire::{Iid, Prefix};

use super::locator_sets::RegisteredLocator;
use crate::context::Question;

/// Who registers: an xTR by its xTR-ID, or, when it has none, by the address that it sends from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Identity {
    /// xTR-ID.
    Id([u8; 16]),
    /// Source address of its messages.
    Address(IpAddr),
    /// The config registers in its place.
    Config,
}

/// A change to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Save {
    /// A registration is new or changed.
    Registration(SavedRegistration),
    /// A registration is gone.
    RegistrationGone(RegistrationKey),
    /// An xTR is new, or where it is, how it signs or its nonce marks changed.
    Xtr(SavedXtr),
    /// An xTR is gone, because its site is.
    XtrGone(Arc<str>, Identity),
    /// What is said of a registration changed.
    Context(SavedContext),
    /// Nothing is said of a registration any more.
    ContextGone(RegistrationKey),
    /// A subscription is new or changed.
    Subscription(SavedSubscription),
    /// A subscription is gone.
    SubscriptionGone(SubscriptionKey),
    /// Nonces of unsolicited Map-Notifies below this one may have been used.
    NoticeNonces(u64),
}

/// Which registration.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RegistrationKey {
    /// Group.
    pub iid: Iid,
    /// EID-prefix.
    pub prefix: Prefix,
    /// Name of the holder's site.
    pub site: Arc<str>,
    /// The holder.
    pub holder: Identity,
}

/// A registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRegistration {
    /// Which.
    pub key: RegistrationKey,
    /// TTL of the record in minutes.
    pub ttl: u32,
    /// What to do when it has no locators.
    pub act: Act,
    /// Map-version.
    pub version: u16,
    /// Bits: 1 proxy reply, 2 life by TTL, 4 merge, 8 authoritative.
    pub flags: u8,
    /// Its locators, sorted.
    pub locators: Arc<[RegisteredLocator]>,
}

/// An xTR of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedXtr {
    /// Name of its site.
    pub site: Arc<str>,
    /// The xTR.
    pub identity: Identity,
    /// Its site-ID.
    pub site_id: u64,
    /// Where it sent from last.
    pub source: SocketAddr,
    /// Which of our addresses it sent to.
    pub local: Option<IpAddr>,
    /// The key that it used last.
    pub key_id: u8,
    /// The algorithm that it used last.
    pub algorithm: u8,
    /// Whether its registers carry its identity (I bit).
    pub identified: bool,
    /// The last nonce by key id.
    pub marks: Vec<(u8, u64)>,
}

/// Which subscription.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SubscriptionKey {
    /// The subscriber's xTR-ID.
    pub xtr_id: [u8; 16],
    /// Group.
    pub iid: Iid,
    /// What it asked for.
    pub prefix: Prefix,
    /// C-HASH of what it asked, where the answer is a filtered list.
    pub hash: Option<[u8; 8]>,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSubscription {
    /// Which.
    pub key: SubscriptionKey,
    /// What it was answered: the prefix that it believes to know.
    pub answered: Prefix,
    /// Name of the subscriber's site, whose key signs.
    pub site: Arc<str>,
    /// The subscriber's site-ID.
    pub site_id: u64,
    /// Where publications may go.
    pub rlocs: Arc<[IpAddr]>,
    /// Which of our addresses it sent to.
    pub local: Option<IpAddr>,
    /// The last nonce that the subscriber used or acknowledged.
    pub seen: u64,
    /// Nonces below this one may have been used.
    pub reserved: u64,
    /// What it asked in ACX; none for a subscriber that did not.
    pub question: Option<Question>,
}

/// What is said of a registration (context).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedContext {
    /// Which registration.
    pub key: RegistrationKey,
    /// Context-Seq.
    pub seq: u32,
    /// Of the whole EID.
    pub whole: SavedSaid,
    /// Of single locators, sorted by address.
    pub locators: Vec<(IpAddr, SavedSaid)>,
}

/// Attributes and for how many seconds the dynamic ones of them hold, from a restart on too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSaid {
    /// The attributes.
    pub attributes: Attributes,
    /// CTX-TTL in seconds.
    pub ttl_s: u32,
}

/// What the store had, or a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// xTRs; before the registrations and subscriptions that name them.
    pub xtrs: Vec<SavedXtr>,
    /// Registrations.
    pub registrations: Vec<SavedRegistration>,
    /// What is said of registrations; behind them.
    pub contexts: Vec<SavedContext>,
    /// Subscriptions.
    pub subscriptions: Vec<SavedSubscription>,
    /// Nonces of unsolicited Map-Notifies below this one may have been used.
    pub notice_nonces: u64,
}
