//! What goes into one message: entries that are due, those that are due soon, and what is said of them.

use std::net::IpAddr;
use std::time::Instant;

use sterna_wire::lisp::control::LispAddress;

use super::track::Kind;
use super::{Entry, Registrar};
use crate::etr::context::Size;

/// The most bytes of a message: it fits every path without being fragmented.
pub(in crate::etr) const MESSAGE: usize = 1200;
/// Message header, the longest authentication data, xTR-ID and site-ID.
pub(in crate::etr) const OVERHEAD: usize = 16 + 32 + 24;
/// An EID record without its EID and locators.
pub(super) const RECORD: usize = 10;
/// Records that one message can count.
pub(super) const RECORDS: usize = 255;
/// Entries looked at for one message beyond those that are due.
const RIDERS: usize = 64;

impl Registrar {
    /// Entries for one message: those due, then those due soon.
    pub(super) fn pick(
        &self,
        (server, kind): (IpAddr, Kind),
        locators: usize,
        context: impl Fn(&Entry) -> Size,
        (now, until): (Instant, Instant),
    ) -> Vec<Entry> {
        let mut room = MESSAGE - OVERHEAD;
        let mut behind = Size::default();
        let mut picked = Vec::new();
        let mut riders = 0;
        for (due, entry) in self.queues.get(&(server, kind)).into_iter().flatten() {
            if *due > until || riders > RIDERS || picked.len() == RECORDS {
                break;
            }
            if *due > now {
                riders += 1;
                if !self.is_resting(server, entry) {
                    continue;
                }
            }
            let (iid, prefix) = entry;
            let bytes = RECORD + LispAddress::for_eid(*iid, prefix.addr()).encoded_len() + locators;
            let more = behind.and(context(entry));
            if (bytes > room || !more.fits(room.saturating_sub(bytes))) && !picked.is_empty() {
                break;
            }
            (room, behind) = (room.saturating_sub(bytes), more);
            picked.push(*entry);
        }
        picked
    }

    /// Whether the entry only waits for its refresh.
    fn is_resting(&self, server: IpAddr, entry: &Entry) -> bool {
        self.tracks.get(entry).is_some_and(|track| {
            track.servers.iter().any(|(known, progress)| *known == server && progress.tries == 0)
        })
    }
}
