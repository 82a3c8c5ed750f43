//! Our own locators: addresses, ports, and whether the underlay is large enough.

use std::net::IpAddr;

use crate::Role;
use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{Findings, Located};
use crate::overhead::{least_underlay_mtu, overhead};
use crate::rloc;
use crate::rules::{refuse_twins, unreachable};

pub(super) fn check(draft: &Draft, found: &Findings) {
    let addresses = draft.rlocs.entries.iter().filter_map(|rloc| rloc.value.address.as_ref());
    refuse_twins("locator", addresses, "leave one out", found);
    for rloc in &draft.rlocs.entries {
        check_address(&rloc.value, found);
        if draft.has(Role::Xtr) != Some(false) {
            check_port(draft, rloc, found);
            check_mtu(draft, &rloc.value, found);
        }
    }
}

fn check_address(rloc: &rloc::Draft, found: &Findings) {
    let Some(address) = &rloc.address else { return };
    if let Some(reason) = unreachable(address.value) {
        let text = format!("locator {} {reason}", address.value);
        found.push(
            Code::BadLocator,
            &address.at,
            text,
            "a locator is an address that other gateways reach us by",
        );
    }
}

fn check_port(draft: &Draft, rloc: &Located<rloc::Draft>, found: &Findings) {
    let Some(port) = &rloc.value.port else { return };
    let Some(name) = &port.value else {
        if draft.rloc_ports().is_some_and(|ports| ports.len() > 1) {
            let help = "there are several rloc-side ports: add `port = \"NAME\"`";
            found.push(
                Code::MissingField,
                &port.at,
                "the locator does not say which port it is reached by",
                help,
            );
        }
        return;
    };
    match draft.port(name) {
        None if draft.port_names_known() => super::groups::unknown_port(draft, name, &port.at, found),
        None => {}
        Some(target) => {
            let Some(side) = target.value.side.as_ref().filter(|side| !side.value.is_rloc()) else {
                return;
            };
            let text = format!("port {name} faces agents, and a locator needs the underlay");
            let help = "name an rloc-side port, or change the port's side";
            found.push_with(Code::WrongSide, &port.at, text, help, (&side.at, "the port's side"));
        }
    }
}

fn check_mtu(draft: &Draft, rloc: &rloc::Draft, found: &Findings) {
    let Some(address) = rloc.address.as_ref() else {
        return;
    };
    let Some(port) = draft.rloc_port(rloc).and_then(|index| draft.ports.entries.get(index)) else {
        return;
    };
    let Some(mtu) = &port.value.mtu else { return };
    let Some(bytes) = mtu.value.filter(|&bytes| bytes < least_underlay_mtu(address.value)) else {
        return;
    };
    let text = format!("an underlay of {bytes} bytes cannot carry IPv6 from locator {}", address.value);
    let help = too_small(address.value);
    found.push_with(Code::SmallMtu, &mtu.at, text, help, (&address.at, "this locator"));
}

/// What an underlay needs, in words.
fn too_small(address: IpAddr) -> String {
    format!(
        "IPv6 needs 1280 bytes inside, and the headers outside take {}: raise the link's MTU to {} or more",
        overhead(address),
        least_underlay_mtu(address)
    )
}
