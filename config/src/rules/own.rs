//! Our own locators, as rules on other addresses see them.

use std::collections::HashMap;
use std::net::IpAddr;

use sterna_wire::Family;

use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{At, Findings, Located};
use crate::rules::unreachable;

/// Our own locators.
pub(super) struct Own<'a> {
    /// Each with its place.
    addresses: HashMap<IpAddr, &'a At>,
    /// Their families; nothing when one is not known.
    families: Option<Vec<Family>>,
}

impl<'a> Own<'a> {
    pub fn of(draft: &'a Draft) -> Own<'a> {
        let entries = || draft.rlocs.entries.iter().map(|rloc| rloc.value.address.as_ref());
        let all: Option<Vec<&Located<IpAddr>>> = entries().collect();
        Own {
            addresses: entries().flatten().map(|address| (address.value, &address.at)).collect(),
            families: all
                .filter(|all| draft.rlocs.whole && !all.is_empty())
                .map(|all| all.iter().map(|address| Family::of(address.value)).collect()),
        }
    }

    /// The place of the locator with this address.
    pub fn place(&self, address: IpAddr) -> Option<&'a At> {
        self.addresses.get(&address).copied()
    }

    /// The family of an address that nothing can be sent to, because we have no locator of it.
    pub fn lacks(&self, address: IpAddr) -> Option<Family> {
        let family = Family::of(address);
        self.families.as_ref().filter(|families| !families.contains(&family)).map(|_| family)
    }

    /// Reports an address of a server that cannot be one, or that we cannot send to.
    pub fn check_server(&self, what: &str, server: &Located<IpAddr>, found: &Findings) {
        let address = server.value;
        if let Some(reason) = unreachable(address) {
            let help = format!("a {what} is a host that this gateway reaches");
            found.push(Code::BadServer, &server.at, format!("{what} {address} {reason}"), help);
        } else if let Some(family) = self.lacks(address) {
            let text = format!("{what} {address} is {family}, and we have no {family} locator to send from");
            let help = format!("add an [[rloc]] with an {family} address");
            found.push(Code::NoLocalFamily, &server.at, text, help);
        }
    }
}
