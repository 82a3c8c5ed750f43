//! Who asks, and where the answer may go.

use std::net::{IpAddr, SocketAddr};

use sterna_wire::Iid;
use sterna_wire::lisp::control::{LispAddress, MapRequest};

use super::locator_sets::is_sendable;
use super::saves::Identity;
use super::{Refusal, Server};

/// The most sites that one querier is taken to belong to.
const MAX_SITES: usize = 8;

/// A querier.
#[derive(Debug)]
pub(super) struct Querier {
    /// The sites it belongs to.
    sites: Vec<u32>,
    /// Where to answer; none when no ITR-RLOC will do.
    pub(super) to: Option<SocketAddr>,
    /// Whether that address belongs to a site.
    pub(super) is_validated: bool,
}

impl Server {
    /// Who asks. `packet` is the source of the packet, `inner` that of the packet in the ECM.
    pub(super) fn querier(&self, request: &MapRequest, packet: SocketAddr, inner: SocketAddr) -> Querier {
        let usable = |rloc: &LispAddress| rloc.rloc().filter(|rloc| self.is_answerable(*rloc, packet.ip()));
        let mut rlocs = request.itr_rlocs.iter().filter_map(usable);
        let first = rlocs.next();
        let preferred = [packet.ip(), inner.ip()].into_iter().find(|source| {
            first == Some(*source) || request.itr_rlocs.iter().filter_map(usable).any(|rloc| rloc == *source)
        });
        // A family that we have no address of cannot be sent to.
        let reachable = first.into_iter().chain(rlocs).find(|rloc| self.has_family(*rloc));
        let to = preferred.filter(|rloc| self.has_family(*rloc)).or(reachable);
        let to = to.filter(|_| inner.port() != 0).map(|to| SocketAddr::new(to, inner.port()));
        let is_validated = to.is_some_and(|to| self.table.sets.owners(to.ip()).next().is_some());
        let mut querier = Querier { sites: Vec::new(), to, is_validated };
        for rloc in to.map(|to| to.ip()).into_iter().chain([packet.ip()]) {
            self.table.sets.owners(rloc).for_each(|site| querier.belongs_to(site));
        }
        if let Some(xtr) = request.xtr.filter(|xtr| xtr.xtr_id != [0; 16]) {
            let sites = self.xtrs.sites_of(Identity::Id(xtr.xtr_id));
            sites.for_each(|(site, _)| querier.belongs_to(site));
        }
        querier
    }

    /// Whether an answer may go to this address: to ourselves only if the question came from there.
    fn is_answerable(&self, rloc: IpAddr, source: IpAddr) -> bool {
        is_sendable(rloc) && (rloc == source || !self.settings.addresses.contains(&rloc))
    }

    fn has_family(&self, rloc: IpAddr) -> bool {
        let ours = &self.settings.addresses;
        ours.is_empty() || ours.iter().any(|address| address.is_ipv4() == rloc.is_ipv4())
    }

    /// Whether the querier may ask in this instance-ID.
    pub(super) fn may_query(&self, querier: &Querier, iid: Iid) -> Result<(), Refusal> {
        if querier.sites.is_empty() {
            let unknown = self.settings.known_queriers_only;
            return if unknown { Err(Refusal::QuerierUnknown) } else { Ok(()) };
        }
        let has = |site: &u32| self.sites.get(*site as usize).is_some_and(|site| site.has_iid(iid));
        if querier.sites.iter().any(has) { Ok(()) } else { Err(Refusal::QuerierForeignIid) }
    }
}

impl Querier {
    fn belongs_to(&mut self, site: u32) {
        if self.sites.len() < MAX_SITES && !self.sites.contains(&site) {
            self.sites.push(site);
        }
    }

    /// Whether it belongs to any site.
    pub(super) fn is_known(&self) -> bool {
        !self.sites.is_empty()
    }

    /// The sites it belongs to.
    pub(super) fn sites(&self) -> impl Iterator<Item = u32> {
        self.sites.iter().copied()
    }
}
