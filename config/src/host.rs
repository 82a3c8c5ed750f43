//! What the file asks of this machine: interfaces, their MTU and queues, cores, the default route.
//!
//! [`check`] compares a file with [`Facts`].
//! [`Kernel`] gathers them from `/proc` and `/sys` for `sterna check --host`;
//! a process that asks the kernel better (netlink) brings facts of its own, and tests bring made-up ones.
//! What is not known is no finding.

mod kernel;

use crate::code::Code;
use crate::finding::Findings;
use crate::overhead::{least_underlay_mtu, overhead};
use crate::port::{MAX_MTU, MIN_MTU};
use crate::report::Report;
use crate::suggest::closest;
use crate::{Port, Role, Validated};

pub use kernel::Kernel;

/// What is known of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its MTU in bytes; nothing when not known.
    pub mtu: Option<u32>,
    /// How many receive queues it has; nothing when not known.
    pub queues: Option<u16>,
    /// Whether it is a loopback.
    pub loopback: bool,
}

/// What is known of the machine.
pub trait Facts {
    /// The names of all interfaces in this network namespace; nothing when not known.
    fn interfaces(&self) -> Option<Vec<String>>;
    /// What is known of one of them.
    fn interface(&self, name: &str) -> Interface;
    /// The interfaces that a default route leaves by, IPv4 or IPv6.
    fn default_routes(&self) -> Vec<String>;
    /// The cores that are online; nothing when not known.
    fn cores(&self) -> Option<Vec<usize>>;
}

/// Compares a file with the machine. Changes nothing.
///
/// # Errors
/// A report of everything that does not fit.
pub fn check(config: &Validated, facts: &dyn Facts) -> Result<(), Report> {
    let found = Findings::default();
    if config.has(Role::Xtr) {
        check_cores(config, facts, &found);
    }
    let routes = facts.default_routes();
    let names = facts.interfaces();
    for (index, port) in config.ports.iter().enumerate() {
        let scene = Scene { config, found: &found, index, port };
        if names.as_ref().is_some_and(|names| !names.contains(&port.name)) {
            scene.missing(names.as_deref().unwrap_or_default());
            continue;
        }
        scene.check_interface(facts.interface(&port.name));
        if routes.contains(&port.name) && !port.allow_shared {
            scene.carries_default_route();
        }
    }
    if found.is_empty() { Ok(()) } else { Err(Report::new(config.file(), config.text(), found.into_list())) }
}

fn check_cores(config: &Validated, facts: &dyn Facts, found: &Findings) {
    let Some(online) = facts.cores() else { return };
    for (index, core) in config.dataplane.cores.iter().enumerate() {
        if !online.contains(core) {
            let at = config.place(&format!("dataplane.cores[{index}]"));
            let list: Vec<String> = online.iter().take(16).map(usize::to_string).collect();
            let more = if online.len() > list.len() { " ..." } else { "" };
            let help = format!("`lscpu` shows those online: {}{more}", list.join(", "));
            found.push(Code::NoSuchCore, &at, format!("this machine has no core {core}"), help);
        }
    }
}

/// One port on the machine.
struct Scene<'a> {
    config: &'a Validated,
    found: &'a Findings,
    index: usize,
    port: &'a Port,
}

impl Scene<'_> {
    fn push(&self, code: Code, key: &str, text: String, help: String) {
        let at = self.config.place(&format!("port[{}].{key}", self.index));
        self.found.push(code, &at, text, help);
    }

    fn missing(&self, names: &[String]) {
        let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| *name != "lo").collect();
        let help = match closest(&self.port.name, &names) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if names.is_empty() => "this network namespace has no interfaces but lo".to_owned(),
            None => format!("`ip -brief link` shows: {}", names.join(", ")),
        };
        self.push(Code::NoSuchInterface, "name", format!("there is no interface {}", self.port.name), help);
    }

    fn check_interface(&self, interface: Interface) {
        let name = &self.port.name;
        if interface.loopback {
            let help = "name an interface that leads out of the machine".to_owned();
            return self.push(Code::BadInterface, "name", format!("{name} is a loopback interface"), help);
        }
        if let Some(queues) = interface.queues.filter(|&queues| queues != self.port.queues) {
            let want = self.port.queues;
            let text = format!("{name} has {queues} receive queues and {want} would be served");
            let help =
                format!("`ethtool -L {name} combined {want}`, or set `queues` and `cores` to {queues}");
            self.push(Code::HostQueues, "queues", text, help);
        }
        if let Some(mtu) = interface.mtu {
            self.check_mtu(mtu);
        }
    }

    fn check_mtu(&self, mtu: u32) {
        let name = &self.port.name;
        if mtu > u32::from(MAX_MTU) {
            let text = format!("{name} takes packets of {mtu} bytes, and one frame holds {MAX_MTU}");
            return self.push(Code::HostMtu, "name", text, format!("`ip link set {name} mtu 1500`"));
        }
        if let Some(asked) = self.port.mtu.filter(|&asked| u32::from(asked) > mtu) {
            let text = format!("{name} carries {mtu} bytes, and the file says {asked}");
            return self.push(
                Code::HostMtu,
                "mtu",
                text,
                format!("`ip link set {name} mtu {asked}`, or lower `mtu`"),
            );
        }
        let locators =
            self.config.rlocs.iter().filter(|rloc| rloc.port == Some(self.index)).map(|rloc| rloc.address);
        let needed = locators.map(|address| (least_underlay_mtu(address), overhead(address))).max();
        match needed {
            Some((least, extra)) if self.port.side.is_rloc() && mtu < u32::from(least) => {
                let text = format!("{name} carries {mtu} bytes, too few for IPv6 inside");
                let help = format!(
                    "IPv6 needs 1280 and the headers {extra}: `ip link set {name} mtu {least}` or more"
                );
                self.push(Code::HostMtu, "name", text, help);
            }
            _ if mtu < u32::from(MIN_MTU) => {
                let text = format!("{name} carries {mtu} bytes, and IPv6 needs {MIN_MTU}");
                self.push(Code::HostMtu, "name", text, format!("`ip link set {name} mtu 1500`"));
            }
            _ => {}
        }
    }

    fn carries_default_route(&self) {
        let name = &self.port.name;
        let text =
            format!("{name} carries this machine's default route, and a mistake there would lock you out");
        let help = "choose another interface, or set `allow_shared = true` if the underlay is your way in"
            .to_owned();
        self.push(Code::DefaultRoute, "name", text, help);
    }
}

#[cfg(test)]
mod test;
