//! Telling previous holders that an EID left them, until they acknowledge.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::{EidRecord, MapNotify, auth};
use sterna_wire::{Iid, Prefix};

use super::moves::Superseded;
use super::register::Left;
use super::saves::{Identity, Save};
use super::{Refusal, Server};
use crate::outbox::{Datagram, Outbox};

/// A superseded holder that refreshes is told again, but not more often than this.
const REMINDER: Duration = Duration::from_millis(50);

impl Server {
    /// Tells an xTR that an EID left it.
    pub(super) fn tell(&mut self, left: &Left, iid: Iid, eid: &Prefix, now: Instant, out: &mut Outbox) {
        let Some(nonce) = self.notice(left.xtr, iid, eid, now, out) else { return };
        let Some(xtr) = self.xtrs.get(left.xtr).filter(|_| left.superseded) else { return };
        // One that does not show an xTR-ID is of a kind that never acknowledges.
        let until = if xtr.identified { None } else { Some(now + self.settings.registration) };
        let superseded = Superseded::new(xtr.identity, left.xtr, until, nonce, now);
        self.moves.supersede(iid, eid, superseded);
    }

    /// Sends an xTR the present mapping of an EID, and waits for its acknowledgement. Gives the nonce.
    fn notice(&mut self, xtr: u32, iid: Iid, eid: &Prefix, now: Instant, out: &mut Outbox) -> Option<u64> {
        let Some((nonce, reserved)) = self.notices.add(xtr, iid, *eid, now) else {
            self.counters.refuse(Refusal::NoticesFull);
            return None;
        };
        self.saves.extend(reserved.map(Save::NoticeNonces));
        self.send_notice(nonce, out);
        Some(nonce)
    }

    fn send_notice(&self, nonce: u64, out: &mut Outbox) {
        let Some(notice) = self.notices.get(nonce) else { return };
        let Some(xtr) = self.xtrs.get(notice.xtr) else { return };
        let Some(site) = self.sites.get(xtr.site as usize) else { return };
        let Some(key) = site.signing_key(xtr.key_id, xtr.algorithm) else { return };
        let gone = || EidRecord { ttl: 0, ..EidRecord::of(notice.iid, notice.prefix) };
        let record = self.registered_record(notice.iid, &notice.prefix).unwrap_or_else(gone);
        let notify = MapNotify { nonce, records: vec![record], xtr: xtr.id(), ..MapNotify::default() };
        out.datagrams.push(Datagram { from: xtr.local, to: xtr.source, bytes: notify.signed(key) });
    }

    /// A superseded holder refreshed: it has not heard yet.
    pub(super) fn remind(
        &mut self,
        holder: Identity,
        iid: Iid,
        eid: &Prefix,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Some(superseded) = self.moves.superseded(iid, eid, holder, now) else { return };
        if now.saturating_duration_since(superseded.sent) < REMINDER {
            return;
        }
        superseded.sent = now;
        let (xtr, nonce) = (superseded.xtr, superseded.nonce);
        if self.notices.get(nonce).is_some() {
            self.counters.retransmitted += 1;
            self.send_notice(nonce, out);
        } else if let Some(nonce) = self.notice(xtr, iid, eid, now, out)
            && let Some(superseded) = self.moves.superseded(iid, eid, holder, now)
        {
            superseded.nonce = nonce;
        }
    }

    /// Sends again what was not acknowledged.
    pub(super) fn resend_notices(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(due) = self.notices.due(now) {
            match due {
                Ok((nonce, _)) => {
                    self.counters.retransmitted += 1;
                    self.send_notice(nonce, out);
                }
                Err(_) => self.counters.refuse(Refusal::NoticeGivenUp),
            }
        }
    }

    /// Takes a Map-Notify-Ack. `message` is the whole UDP payload that `ack` was parsed from.
    pub fn map_notify_ack(
        &mut self,
        ack: &MapNotify,
        message: &[u8],
        from: SocketAddr,
        now: Instant,
        out: &mut Outbox,
    ) {
        let taken = if self.notices.get(ack.nonce).is_some() {
            self.notice_acknowledged(ack, message)
        } else {
            self.publication_acknowledged(ack, message, from, now)
        };
        match taken {
            Ok(()) => self.counters.acknowledged += 1,
            Err(refusal) => self.counters.refuse(refusal),
        }
        self.publish(now, out);
    }

    fn notice_acknowledged(&mut self, ack: &MapNotify, message: &[u8]) -> Result<(), Refusal> {
        let notice = *self.notices.get(ack.nonce).ok_or(Refusal::AckUnknown)?;
        let xtr = self.xtrs.get(notice.xtr).ok_or(Refusal::AckUnknown)?;
        self.verify_ack(xtr.site, ack, message)?;
        let holder = xtr.identity;
        self.notices.remove(ack.nonce);
        self.moves.settle(notice.iid, &notice.prefix, holder);
        Ok(())
    }

    /// Whether this site's key made the acknowledgement.
    pub(super) fn verify_ack(&self, site: u32, ack: &MapNotify, message: &[u8]) -> Result<(), Refusal> {
        let site = self.sites.get(site as usize).ok_or(Refusal::AckAuth)?;
        let key = site.key(ack.key_id, ack.algorithm).ok_or(Refusal::AckAuth)?;
        let verify = if self.settings.short_authentication { auth::verify_short } else { auth::verify };
        verify(message, ack.records_end, key).map(|_| ()).map_err(|_| Refusal::AckAuth)
    }
}
