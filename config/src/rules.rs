//! The second pass: what the values mean together.
//!
//! Each rule looks at a [`Draft`] and reports what it sees.
//! A rule that needs a value which was already found bad says nothing, so that one mistake gives one finding.

mod classes;
mod dynamic;
mod groups;
mod locators;
mod mappings;
mod own;
mod paths;
mod policies;
mod ports;
mod roles;
mod servers;
mod shares;
mod sites;
mod sizes;
mod skills;

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::net::IpAddr;

use crate::Role;
use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{At, Findings, Located};

/// Reports all that is wrong with a draft as a whole.
pub(crate) fn check(draft: &Draft, found: &Findings) {
    roles::check(draft, found);
    locators::check(draft, found);
    servers::check(draft, found);
    sites::check(draft, found);
    // The sections of an xTR are refused as a whole where there is none; what stands in them does not matter then.
    if draft.has(Role::Xtr) != Some(false) {
        ports::check(draft, found);
        groups::check(draft, found);
        dynamic::check(draft, found);
        mappings::check(draft, found);
        sizes::check(draft, found);
        skills::check(draft, found);
        classes::check(draft, found);
        policies::check(draft, found);
    }
    paths::check(draft, found);
}

/// Reports every value that came before, with the place of the first.
fn refuse_twins<'a, T: Eq + Hash + Display + 'a>(
    what: &str,
    values: impl Iterator<Item = &'a Located<T>>,
    help: &str,
    found: &Findings,
) {
    let mut seen: HashMap<&T, &At> = HashMap::new();
    for located in values {
        let first = *seen.entry(&located.value).or_insert(&located.at);
        if !std::ptr::eq(first, &located.at) {
            let text = format!("{what} {} is given twice", located.value);
            found.push_with(Code::GivenTwice, &located.at, text, help, (first, "first here"));
        }
    }
}

/// Why an address cannot stand for one host that others reach; nothing when it can.
fn unreachable(address: IpAddr) -> Option<&'static str> {
    if address.is_multicast() {
        return Some("is a multicast address");
    }
    if address.is_unspecified() {
        return Some("is the unspecified address");
    }
    if address.is_loopback() {
        return Some("is a loopback address");
    }
    match address {
        IpAddr::V4(v4) if v4.is_broadcast() => Some("is the broadcast address"),
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Some("lies in 0.0.0.0/8"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("is a link-local address"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("is a link-local address"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("is an IPv4 address in IPv6 form"),
        _ => None,
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn only_unicast_addresses_are_reachable() {
        for right in ["10.0.0.1", "192.0.2.1", "100.64.0.1", "2001:db8::1", "fd00::1"] {
            assert_eq!(unreachable(right.parse().unwrap()), None, "{right}");
        }
        for wrong in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "169.254.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "ff02::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(unreachable(wrong.parse().unwrap()).is_some(), "{wrong}");
        }
    }
}
