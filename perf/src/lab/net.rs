//! The network of the lab: one box under test between two ports of a load generator, and two boxes in a row.
//!
//! ```text
//!  load: t0 ---- eid0 :box: rloc0 ---- t1 :load
//!  load: u0 ---- eid0 :gwa: rloc0 ---- rloc0 :gwb: eid0 ---- u1 :load
//! ```

use anyhow::{Context, Result};
use std::path::PathBuf;
use sterna_lab::identity::{LabId, LabLock};
use sterna_lab::lab::clear_the_dead;
use sterna_lab::leftovers::Leftovers;
use sterna_lab::namespace::Namespace;
use sterna_lab::requirements;
use sterna_lab::wiring::{Role, Wiring, end};
use sterna_pktgen::interface::Counters;
use sterna_pktgen::run::Place;

/// The MTU of every link: what an agent's 1,500 bytes become in a tunnel fits.
const MTU: u16 = 1600;

/// A namespace by its short name, and an interface there.
pub type Door = (&'static str, &'static str);

/// The namespaces; gone when this is dropped.
pub struct Net {
    id: LabId,
    _lock: LabLock,
}

impl Net {
    /// Builds it. Errors: no root, tools missing, another lab that does not end.
    pub fn build() -> Result<Net> {
        requirements::check()?;
        let lock = LabLock::acquire()?;
        clear_the_dead(&lock)?;
        let id = LabId::take(&lock)?;
        // From here on the drop clears up.
        let net = Net { id, _lock: lock };
        requirements::mount_bpf_fs()?;
        net.wire()?;
        Ok(net)
    }

    fn wire(&self) -> Result<()> {
        let mut wiring = Wiring::default();
        wiring.namespace("load", Role::Host);
        for name in ["box", "gwa", "gwb"] {
            wiring.namespace(name, Role::Gateway);
        }
        let id = &self.id;
        wiring.veth(id, end("load", "t0"), end("box", "eid0"), MTU);
        wiring.veth(id, end("box", "rloc0"), end("load", "t1"), MTU);
        wiring.veth(id, end("load", "u0"), end("gwa", "eid0"), MTU);
        wiring.veth(id, end("gwa", "rloc0"), end("gwb", "rloc0"), MTU);
        wiring.veth(id, end("gwb", "eid0"), end("load", "u1"), MTU);
        // The far RLOC of the single box is the load's own port, so that the box finds it by ARP.
        wiring.ip("box", "addr add 192.0.2.1/24 dev rloc0");
        wiring.ip("load", "addr add 192.0.2.2/24 dev t1");
        wiring.ip("gwa", "addr add 198.51.100.1/24 dev rloc0");
        wiring.ip("gwb", "addr add 198.51.100.2/24 dev rloc0");
        // Agents, which answer the gateways' ARP. The two sites' ranges are different, so one namespace holds all.
        for (port, site) in [("t0", "10.1.0"), ("u0", "10.3.0"), ("u1", "10.4.0")] {
            wiring.ip("load", format!("addr add {site}.10/32 dev {port}"));
            wiring.ip("load", format!("route add {site}.1/32 dev {port}"));
        }
        Ok(wiring.make(&self.id)?)
    }

    /// A namespace by its short name.
    pub fn namespace(&self, short: &str) -> Namespace {
        Namespace::named(&self.id.namespace(short))
    }

    /// Its full name.
    pub fn name(&self, short: &str) -> String {
        self.id.namespace(short)
    }

    /// A port of the load generator.
    pub fn place(&self, port: &str) -> Place {
        Place { interface: port.to_owned(), namespace: Some(self.id.namespace("load")) }
    }

    /// Whether an XDP program is attached to an interface.
    pub fn has_program(&self, short: &str, interface: &str) -> Result<bool> {
        Ok(self.ip(short, &format!("-d link show {interface}"))?.contains("prog/xdp"))
    }

    /// What the kernel counted at an interface so far.
    pub fn counters(&self, (short, interface): Door) -> Result<Counters> {
        Ok(self.namespace(short).run(|| Counters::of(interface))?)
    }

    /// A folder for files.
    pub fn folder(&self) -> PathBuf {
        self.id.folder()
    }

    /// `ip` in a namespace.
    pub fn ip(&self, short: &str, arguments: &str) -> Result<String> {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        Ok(self.namespace(short).output("ip", &words)?)
    }

    /// The Ethernet address of an interface.
    pub fn mac(&self, short: &str, interface: &str) -> Result<String> {
        let text = self.ip(short, &format!("-o link show {interface}"))?;
        let mac = text.split("link/ether ").nth(1).and_then(|rest| rest.split_whitespace().next());
        mac.map(ToOwned::to_owned).with_context(|| format!("no Ethernet address in {text:?}"))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // There is nobody to give an error to; what is left, the next lab clears.
        if let Err(error) = Leftovers::of(&self.id).remove() {
            eprintln!("sterna-perf: the lab was not cleared: {error}; `sterna lab down` tries again");
        }
        if LabId::all().is_empty() {
            requirements::unmount_bpf_fs();
        }
    }
}
