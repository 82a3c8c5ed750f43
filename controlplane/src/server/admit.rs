//! Whose a Map-Register is, and whether it is new.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sterna_wire::lisp::control::auth::{self, Algorithm, Coverage};
use sterna_wire::lisp::control::{MapRegister, XtrId};

use super::register::Arrived;
use super::registrations::flag;
use super::saves::Identity;
use super::xtrs::Xtr;
use super::{MARKS_PERIOD, Refusal, Server};

/// The most keys that one message is verified with.
const MAX_TRIES: usize = 16;

impl Server {
    /// Whether a register of this source may cost us a MAC.
    pub(super) fn may_register(&mut self, source: IpAddr, now: Instant) -> bool {
        if !self.limits.register_sources.take(source, now) {
            self.counters.refuse(Refusal::RegisterRateOfSource);
            return false;
        }
        let known = self.table.sets.owners(source).next().is_some();
        let limit = if known { &mut self.limits.site_registers } else { &mut self.limits.other_registers };
        let granted = limit.take(now);
        if !granted {
            self.counters.refuse(Refusal::RegisterRate);
        }
        granted
    }

    /// The site whose key made the message.
    pub(super) fn authenticate(
        &mut self,
        register: &MapRegister,
        message: &[u8],
        source: IpAddr,
    ) -> Option<(u32, Coverage)> {
        if matches!(Algorithm::from_number(register.algorithm), None | Some(Algorithm::None)) {
            self.counters.refuse(Refusal::AuthAlgorithm);
            return None;
        }
        let verify = if self.settings.short_authentication { auth::verify_short } else { auth::verify };
        let mut tried = 0;
        for site in self.suspects(register, source) {
            let key = self.sites.get(site as usize);
            let Some(key) = key.and_then(|site| site.key(register.key_id, register.algorithm)) else {
                continue;
            };
            tried += 1;
            if let Ok(coverage) = verify(message, register.records_end, key) {
                return Some((site, coverage));
            }
        }
        self.counters.refuse(if tried == 0 { Refusal::AuthKey } else { Refusal::AuthData });
        None
    }

    /// Sites whose key may have made the message, the likeliest first.
    fn suspects(&self, register: &MapRegister, source: IpAddr) -> Vec<u32> {
        let mut suspects = Vec::with_capacity(MAX_TRIES);
        let mut suspect = |site: u32| {
            if suspects.len() < MAX_TRIES && !suspects.contains(&site) {
                suspects.push(site);
            }
        };
        let identity = identity(register.xtr, source);
        self.xtrs.sites_of(identity).for_each(|(site, _)| suspect(site));
        for record in register.records.iter().take(MAX_TRIES) {
            if let Some((iid, prefix)) = record.prefix() {
                self.scopes.sites_for(iid, &prefix).for_each(&mut suspect);
            }
        }
        if self.sites.len() <= MAX_TRIES {
            (0..self.sites.len() as u32).for_each(&mut suspect);
        }
        suspects
    }

    /// Refuses replays, and keeps who sent the register.
    pub(super) fn admit(
        &mut self,
        register: &MapRegister,
        site: u32,
        id: Option<XtrId>,
        (from, to): (SocketAddr, IpAddr),
        now: Instant,
    ) -> Option<Arrived> {
        let identity = identity(id, from.ip());
        let known = self.xtrs.find(identity, site);
        let settings = self.sites.get_mut(site as usize)?;
        let strict = matches!(identity, Identity::Id(_)) && !settings.legacy_nonce;
        if strict {
            let mark = known.and_then(|place| self.xtrs.get(place)?.mark(register.key_id));
            if mark.is_some_and(|mark| register.nonce <= mark) {
                self.counters.refuse(Refusal::Replayed);
                return None;
            }
        } else if !settings.replays.is_new(register.key_id, register.nonce, now) {
            self.counters.refuse(Refusal::Repeated);
            return None;
        }
        let xtr = self.keep_sender(register, site, identity, id, (from, to))?;
        if strict {
            self.mark(xtr, register.key_id, register.nonce, now);
        }
        let bit = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = bit(register.proxy_reply, flag::PROXY)
            | bit(register.use_ttl, flag::USE_TTL)
            | bit(register.merge, flag::MERGE);
        Some(Arrived { site, xtr, identity, flags, claimed: register.eid_notify, now })
    }

    /// Remembers where the sender is and how it signs. None when the site has too many xTRs.
    fn keep_sender(
        &mut self,
        register: &MapRegister,
        site: u32,
        identity: Identity,
        id: Option<XtrId>,
        (from, to): (SocketAddr, IpAddr),
    ) -> Option<u32> {
        let sender = Xtr {
            site,
            identity,
            site_id: id.map_or(0, |id| id.site_id),
            source: from,
            local: Some(to),
            key_id: register.key_id,
            algorithm: register.algorithm,
            identified: id.is_some(),
            marks: Vec::new(),
            unsaved: false,
            registrations: 0,
        };
        match self.xtrs.find(identity, site) {
            Some(place) => Some(self.update_xtr(place, sender)),
            None if self.xtrs.of_site(site) < self.settings.max_xtrs_per_site => Some(self.add_xtr(sender)),
            None => {
                self.counters.refuse(Refusal::XtrsFull);
                None
            }
        }
    }

    fn add_xtr(&mut self, xtr: Xtr) -> u32 {
        self.table.sets.own(xtr.source.ip(), xtr.site);
        let place = self.xtrs.insert(xtr);
        self.save_xtr(place);
        place
    }

    fn update_xtr(&mut self, place: u32, sender: Xtr) -> u32 {
        let Some(xtr) = self.xtrs.get_mut(place) else { return place };
        let same = (xtr.source, xtr.local, xtr.key_id, xtr.algorithm, xtr.identified, xtr.site_id)
            == (
                sender.source,
                sender.local,
                sender.key_id,
                sender.algorithm,
                sender.identified,
                sender.site_id,
            );
        if same {
            return place;
        }
        let moved = xtr.source.ip();
        *xtr = Xtr {
            marks: std::mem::take(&mut xtr.marks),
            registrations: xtr.registrations,
            unsaved: xtr.unsaved,
            ..sender
        };
        let (site, source) = (xtr.site, xtr.source.ip());
        self.table.sets.own(source, site);
        self.table.sets.disown(moved, site);
        self.save_xtr(place);
        place
    }

    fn mark(&mut self, place: u32, key_id: u8, nonce: u64, now: Instant) {
        let Some(xtr) = self.xtrs.get_mut(place) else { return };
        let waits = xtr.unsaved;
        xtr.set_mark(key_id, nonce);
        if !waits {
            self.unsaved.push(place);
        }
        self.marks_due.get_or_insert(now + MARKS_PERIOD);
    }
}

/// Who a sender is: its xTR-ID unless that is missing or zero, otherwise its address.
fn identity(xtr: Option<XtrId>, source: IpAddr) -> Identity {
    match xtr {
        Some(XtrId { xtr_id, .. }) if xtr_id != [0; 16] => Identity::Id(xtr_id),
        _ => Identity::Address(source),
    }
}
