//! A network as data: namespaces, veth pairs, bridges, addresses, routes; then made in few commands.

use std::collections::BTreeMap;

use crate::command;
use crate::error::{LabError, Result};
use crate::identity::LabId;
use crate::namespace::Namespace;

/// What a namespace is for; it decides the kernel's knobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends and receives for itself only.
    Host,
    /// Bridges, no addresses at all.
    Lan,
    /// Forwards with the kernel.
    Router,
    /// Runs a gateway: the kernel must not forward, and is silent on ports that begin with `eid`.
    Gateway,
}

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Short name of the namespace.
    pub namespace: &'a str,
    /// Interface name there.
    pub interface: &'a str,
}

/// Shorthand for an [`End`].
pub fn end<'a>(namespace: &'a str, interface: &'a str) -> End<'a> {
    End { namespace, interface }
}

/// A network that is being described.
#[derive(Debug, Default)]
pub struct Wiring {
    roles: Vec<(String, Role)>,
    /// Commands for `ip -batch` in the machine's own namespace.
    links: Vec<String>,
    /// Commands for `ip -batch` inside a namespace.
    inside: BTreeMap<String, Vec<String>>,
    ends: Vec<(String, String)>,
    /// Ends with several queues, and how many.
    queues: Vec<(String, String, u8)>,
}

impl Wiring {
    /// Adds a namespace by its short name.
    pub fn namespace(&mut self, name: &str, role: Role) {
        self.roles.push((name.to_owned(), role));
    }

    /// Adds a veth pair with one queue each way; both ends come up with the MTU given (bytes).
    pub fn veth(&mut self, id: &LabId, a: End<'_>, b: End<'_>, mtu: u16) {
        self.queued_veth(id, a, b, mtu, 1);
    }

    /// The same with so many queues each way.
    pub fn queued_veth(&mut self, id: &LabId, a: End<'_>, b: End<'_>, mtu: u16, queues: u8) {
        // As many here as there: XDP refuses to attach when the peer has more transmit queues than we have receive
        // queues.
        self.links.push(format!(
            "link add {} numtxqueues {queues} numrxqueues {queues} mtu {mtu} netns {} type veth \
             peer name {} numtxqueues {queues} numrxqueues {queues} mtu {mtu} netns {}",
            a.interface,
            id.namespace(a.namespace),
            b.interface,
            id.namespace(b.namespace),
        ));
        for side in [a, b] {
            self.ends.push((side.namespace.to_owned(), side.interface.to_owned()));
            if queues > 1 {
                self.queues.push((side.namespace.to_owned(), side.interface.to_owned(), queues));
            }
            self.ip(side.namespace, format!("link set {} up", side.interface));
        }
    }

    /// Adds a bridge that learns and floods, without spanning tree or multicast snooping.
    pub fn bridge(&mut self, namespace: &str, name: &str, ports: &[&str]) {
        self.ip(namespace, format!("link add {name} type bridge stp_state 0 mcast_snooping 0"));
        for port in ports {
            self.ip(namespace, format!("link set {port} master {name}"));
        }
        self.ip(namespace, format!("link set {name} up"));
    }

    /// Adds an `ip` command that runs inside a namespace after its links exist.
    pub fn ip(&mut self, namespace: &str, command: impl Into<String>) {
        self.inside.entry(namespace.to_owned()).or_default().push(command.into());
    }

    /// Makes it all.
    ///
    /// # Errors
    /// With the command that failed; what was made so far is left to the lab's teardown.
    pub fn make(&self, id: &LabId) -> Result<()> {
        for (short, role) in &self.roles {
            let namespace = Namespace::create(&id.namespace(short))?;
            namespace.sysctls(&knobs(*role))?;
        }
        command::feed("ip", &["-batch", "-"], &self.links.join("\n"))?;
        for (short, role) in &self.roles {
            let namespace = Namespace::named(&id.namespace(short));
            let interfaces: Vec<&str> = self
                .ends
                .iter()
                .filter(|(n, _)| n == short)
                .map(|(_, interface)| interface.as_str())
                .collect();
            if *role == Role::Gateway {
                namespace.sysctls(&silent_ports(&interfaces))?;
            }
            namespace.run(|| interfaces.iter().try_for_each(|interface| plain_frames(interface)))??;
            for (_, interface, queues) in self.queues.iter().filter(|(n, ..)| n == short) {
                // A veth is made with room for its queues and uses one of them.
                let count = queues.to_string();
                namespace.output("ethtool", &["-L", interface, "rx", &count, "tx", &count])?;
            }
            if let Some(commands) = self.inside.get(short) {
                command::feed("ip", &["-n", namespace.name(), "-batch", "-"], &commands.join("\n"))?;
            }
        }
        Ok(())
    }
}

/// Turns off every offload that would put something else on the wire than one whole, checksummed frame:
/// an encapsulated packet with a partial checksum inside is lost at the far host.
fn plain_frames(interface: &str) -> Result<()> {
    let features = ["tx", "sg", "tso", "gso", "gro", "rxvlan", "txvlan"];
    let mut arguments = vec!["-K", interface];
    for feature in features {
        arguments.extend([feature, "off"]);
    }
    command::output("ethtool", &arguments).map(|_| ())
}

fn knob(path: impl Into<String>, value: &str) -> (String, String) {
    (path.into(), value.to_owned())
}

/// The kernel on a gateway's eid-side ports neither speaks nor answers: those belong to the dataplane.
fn silent_ports(interfaces: &[&str]) -> Vec<(String, String)> {
    interfaces
        .iter()
        .filter(|name| name.starts_with("eid"))
        .map(|name| knob(format!("ipv6/conf/{name}/disable_ipv6"), "1"))
        .collect()
}

/// Knobs of a fresh namespace; `default` is what interfaces made later get.
fn knobs(role: Role) -> Vec<(String, String)> {
    let forward = if role == Role::Router { "1" } else { "0" };
    let mut knobs = vec![
        knob("ipv4/ip_forward", forward),
        knob("ipv6/conf/all/forwarding", forward),
        // Measurements must not meet the kernel's limits on what it answers to a ping.
        knob("ipv4/icmp_ratelimit", "0"),
        knob("ipv4/icmp_msgs_per_sec", "1000000"),
        knob("ipv6/icmp/ratelimit", "0"),
        knob("ipv4/ping_group_range", "0 2147483647"),
    ];
    for which in ["all", "default"] {
        knobs.push(knob(format!("ipv4/conf/{which}/rp_filter"), "0"));
        knobs.push(knob(format!("ipv4/conf/{which}/send_redirects"), "0"));
        knobs.push(knob(format!("ipv4/conf/{which}/accept_redirects"), "0"));
        for (name, value) in [
            ("accept_dad", "0"),
            ("dad_transmits", "0"),
            ("accept_ra", "0"),
            ("autoconf", "0"),
            ("router_solicitations", "0"),
            ("accept_redirects", "0"),
        ] {
            knobs.push(knob(format!("ipv6/conf/{which}/{name}"), value));
        }
    }
    if role == Role::Lan {
        knobs.push(knob("ipv6/conf/default/disable_ipv6", "1"));
        // A bridge that only bridges: the host's firewall hooks have no business here.
        for table in ["ip", "ip6", "arp"] {
            knobs.push(knob(format!("bridge/bridge-nf-call-{table}tables"), "0"));
        }
    }
    knobs
}

/// Frames and drops of one interface as the kernel counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames dropped on receipt.
    pub rx_dropped: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Frames dropped on sending.
    pub tx_dropped: u64,
}

/// Reads the kernel's counters of every interface in a namespace.
///
/// # Errors
/// When the namespace is gone.
pub fn interface_counters(namespace: &Namespace) -> Result<BTreeMap<String, InterfaceCounters>> {
    // Not /proc/net: that is the main thread's view, and only this thread is inside.
    let path = "/proc/thread-self/net/dev";
    let text = namespace.run(|| std::fs::read_to_string(path))?.map_err(LabError::io(path))?;
    Ok(text.lines().filter_map(parse_interface).collect())
}

fn parse_interface(line: &str) -> Option<(String, InterfaceCounters)> {
    let (name, rest) = line.split_once(':')?;
    let columns: Vec<u64> = rest.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    Some((
        name.trim().to_owned(),
        InterfaceCounters {
            rx_packets: *columns.get(1)?,
            rx_dropped: *columns.get(3)?,
            tx_packets: *columns.get(9)?,
            tx_dropped: *columns.get(11)?,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        let line = "  eth0:    1344      16    0    3    0     0          0         0     1408      17    0    5    0     0       0          0";
        let (name, counters) = parse_interface(line).unwrap();
        assert_eq!(name, "eth0");
        assert_eq!(
            counters,
            InterfaceCounters { rx_packets: 16, rx_dropped: 3, tx_packets: 17, tx_dropped: 5 }
        );
        assert_eq!(parse_interface("Inter-|   Receive"), None);
    }
}
