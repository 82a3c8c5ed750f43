//! The kernel as the box under test: IP forwarding, and VXLAN encapsulation, on the core that the worker would have.

use super::NICE;
use super::net::Net;
use super::spent::Spent;
use anyhow::{Context, Result};
use rustix::process::{Pid, setpriority_process};
use rustix::thread::CpuSet;

/// What the kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Routes IPv4.
    Forward,
    /// Routes IPv4 into a VXLAN tunnel.
    Vxlan,
}

/// The kernel at work; it stops with this.
pub struct Kernel<'n> {
    net: &'n Net,
    work: Work,
}

impl<'n> Kernel<'n> {
    /// Sets it up, with the receiving port's NAPI in a thread on this core.
    pub fn start(net: &'n Net, work: Work, core: usize) -> Result<Kernel<'n>> {
        let kernel = Kernel { net, work };
        let far = net.mac("load", "t1")?;
        let mut commands = vec!["addr add 10.1.0.1/24 dev eid0".to_owned()];
        match work {
            Work::Forward => commands.extend([
                format!("neigh replace 192.0.2.2 lladdr {far} dev rloc0 nud permanent"),
                "route add 10.2.0.0/16 via 192.0.2.2 dev rloc0".to_owned(),
            ]),
            Work::Vxlan => commands.extend([
                format!("neigh replace 192.0.2.2 lladdr {far} dev rloc0 nud permanent"),
                "link add vx0 type vxlan id 100 remote 192.0.2.2 local 192.0.2.1 dstport 4789 dev rloc0 nolearning"
                    .to_owned(),
                "addr add 10.9.0.1/24 dev vx0".to_owned(),
                "link set vx0 up".to_owned(),
                "neigh replace 10.9.0.2 lladdr 02:00:00:00:00:09 dev vx0 nud permanent".to_owned(),
                "route add 10.2.0.0/16 via 10.9.0.2 dev vx0".to_owned(),
            ]),
        }
        commands.iter().try_for_each(|command| net.ip("box", command).map(drop))?;
        let gateway = net.namespace("box");
        gateway.sysctls(&[("ipv4/ip_forward".to_owned(), "1".to_owned())])?;
        // NAPI on a veth without an XDP program is there with GRO only; then in a thread of its own, on the worker's core.
        gateway.output("ethtool", &["-K", "eid0", "gro", "on"])?;
        threaded(net, true)?;
        pin(core)?;
        Ok(kernel)
    }

    /// What the port's NAPI thread has spent so far.
    pub fn spent(&self) -> Result<Spent> {
        Spent::of_threads("napi/eid0")
    }
}

impl Drop for Kernel<'_> {
    fn drop(&mut self) {
        // The next one starts from a box without any of it.
        let _ = threaded(self.net, false);
        let gateway = self.net.namespace("box");
        let _ = gateway.output("ethtool", &["-K", "eid0", "gro", "off"]);
        let _ = gateway.sysctls(&[("ipv4/ip_forward".to_owned(), "0".to_owned())]);
        let mut commands = vec!["addr flush dev eid0", "neigh flush dev rloc0 nud permanent"];
        commands.push(if self.work == Work::Vxlan { "link del vx0" } else { "route del 10.2.0.0/16" });
        for command in commands {
            let _ = self.net.ip("box", command);
        }
    }
}

/// `/sys` shows the namespace it was mounted in, so `ip netns exec` mounts it anew.
fn threaded(net: &Net, on: bool) -> Result<()> {
    let script = format!("echo {} > /sys/class/net/eid0/threaded", u8::from(on));
    let name = net.name("box");
    sterna_lab::command::output("ip", &["netns", "exec", &name, "sh", "-c", &script])?;
    Ok(())
}

fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    let mut pinned = 0;
    for process in std::fs::read_dir("/proc")?.flatten() {
        let is_napi = std::fs::read_to_string(process.path().join("comm"))
            .is_ok_and(|name| name.starts_with("napi/eid0"));
        let id = process.file_name().to_str().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
        if let (true, Some(id)) = (is_napi, id) {
            rustix::thread::sched_setaffinity(Some(id), &cores).context("pinning the NAPI thread")?;
            // As everybody else's threads here.
            setpriority_process(Some(id), NICE).context("the NAPI thread's priority")?;
            pinned += 1;
        }
    }
    anyhow::ensure!(pinned > 0, "the kernel made no NAPI thread for eid0");
    Ok(())
}
