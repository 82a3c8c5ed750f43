//! Solicit-Map-Requests (RFC 9301 section 6.1): a correspondent says that its mapping changed.
//!
//! They are not authenticated, so they are never believed: they make us ask the mapping system, for what is in the
//! map-cache only, and not often. Until the answer comes the old entry holds.

use std::net::SocketAddr;
use std::time::Instant;

use sterna_wire::Prefix;
use sterna_wire::lisp::control::MapRequest;

use super::cache::Entry;
use super::counters::Counter;
use super::pending::Why;
use super::question::Question;
use super::{EidPrefix, Itr};
use crate::outbox::Outbox;

impl Itr {
    /// A Map-Request with the S bit. Anybody may have sent it, so `from` does not matter.
    pub fn smr(&mut self, request: &MapRequest, _from: SocketAddr, now: Instant, out: &mut Outbox) {
        self.observe(now);
        match self.solicited(request, now) {
            Ok(asked) => {
                if self.solicit(asked, now) {
                    self.counters.count(Counter::SmrsAccepted);
                }
                self.pump(now, out);
            }
            Err(reason) => self.counters.count(reason),
        }
    }

    fn solicit(&mut self, key: EidPrefix, now: Instant) -> bool {
        let mut asked = false;
        for needs in self.needs_of(key) {
            asked |= self.ask(Question { key, needs }, Why::SMR, now);
        }
        asked
    }

    /// What to ask for because of it.
    fn solicited(&mut self, request: &MapRequest, now: Instant) -> Result<EidPrefix, Counter> {
        let source = request.source_eid.eid();
        let (iid, eid) =
            source.filter(|_| request.smr && request.records.len() == 1).ok_or(Counter::SmrMalformed)?;
        let cached = self.cache.covering(iid, eid).next();
        let cached = cached.filter(|key| self.cache.get(*key).is_some_and(Entry::is_positive));
        let cached = cached.ok_or(Counter::SmrNotCached)?;
        // The message has no mask: the first address of a prefix stands for all of it, any other for itself.
        let asked = if cached.1.addr() == eid { cached } else { (iid, Prefix::host(eid)) };
        if !self.smr_paces.allow(cached, now) {
            return Err(Counter::SmrPaced);
        }
        if !self.smr_bucket.take(now) {
            return Err(Counter::SmrLimited);
        }
        Ok(asked)
    }
}
