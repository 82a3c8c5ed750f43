//! Refuses to load a network that may be somebody's.

use std::fs;

/// Why an interface is not loaded without being asked twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The machine's way out.
    #[error(
        "{interface} carries the default route, so a load there may leave this network: name another interface, or give --i-own-this-network"
    )]
    DefaultRoute {
        /// The interface.
        interface: String,
    },
    /// Not a namespace of a lab.
    #[error(
        "{interface} is outside a lab namespace, so others may be on its network: use a lab (`sterna lab up`), or give --i-own-this-network"
    )]
    NotLab {
        /// The interface.
        interface: String,
    },
}

/// RTF_REJECT of linux/route.h.
const REJECT: u32 = 0x200;

/// What is known of a namespace's routes and of its kind.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The text of /proc/net/route.
    pub routes_v4: String,
    /// The text of /proc/net/ipv6_route.
    pub routes_v6: String,
    /// Interfaces that stand on top of the one asked for: bridges, bonds, VLANs.
    pub uppers: Vec<String>,
    /// The namespace is a lab's.
    pub is_lab: bool,
}

impl Surroundings {
    /// Those of an interface in this thread's namespace. What cannot be read counts as a default route.
    pub fn of(interface: &str) -> Self {
        let all = |file: &str| fs::read_to_string(format!("/proc/thread-self/net/{file}"));
        let unknown = format!("Iface\n{interface}\t00000000\t0\t1\t0\t0\t0\t00000000\n");
        Self {
            routes_v4: all("route").unwrap_or(unknown),
            // A kernel without IPv6 has no such file, and no such route.
            routes_v6: all("ipv6_route").unwrap_or_default(),
            uppers: uppers(interface),
            is_lab: crate::namespace::is_lab(),
        }
    }

    /// Whether the interface may be loaded.
    ///
    /// # Errors
    /// Why not.
    pub fn allow(&self, interface: &str) -> Result<(), Refusal> {
        let interface = interface.to_owned();
        if self.default_route_over(&interface)
            || self.uppers.iter().any(|upper| self.default_route_over(upper))
        {
            return Err(Refusal::DefaultRoute { interface });
        }
        if self.is_lab { Ok(()) } else { Err(Refusal::NotLab { interface }) }
    }

    fn default_route_over(&self, interface: &str) -> bool {
        let v4 = self.routes_v4.lines().skip(1).any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            matches!(fields[..], [name, "00000000", _, _, _, _, _, "00000000", ..] if name == interface)
        });
        let v6 = self.routes_v6.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let everything = |field: &str| field.bytes().all(|digit| digit == b'0');
            // Where there is no way out the kernel lists a route that refuses, at the loopback.
            let refuses = |flags: &str| u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & REJECT != 0);
            matches!(fields[..], [to, "00", .., flags, name] if everything(to) && !refuses(flags) && name == interface)
        });
        v4 || v6
    }
}

/// What stands on top of an interface, directly or not. Sysfs shows the namespace it was mounted in, which is the
/// one that matters: the machine's own.
fn uppers(interface: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = vec![interface.to_owned()];
    while let Some(name) = open.pop() {
        for entry in fs::read_dir(format!("/sys/class/net/{name}")).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            if let Some(upper) = file.strip_prefix("upper_")
                && !found.iter().any(|known| known == upper)
            {
                found.push(upper.to_owned());
                open.push(upper.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth1\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
    const V6: &str = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
        fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth2\n\
        fd000000000000000000000000000000 40 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth1\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";

    fn surroundings(is_lab: bool, uppers: &[&str]) -> Surroundings {
        let uppers = uppers.iter().map(|&upper| upper.to_owned()).collect();
        Surroundings { routes_v4: V4.to_owned(), routes_v6: V6.to_owned(), uppers, is_lab }
    }

    #[test]
    fn a_default_route_is_refused_even_in_a_lab() {
        for interface in ["eth0", "eth2"] {
            let refused = surroundings(true, &[]).allow(interface);
            assert_eq!(refused, Err(Refusal::DefaultRoute { interface: interface.to_owned() }));
        }
        let refused = surroundings(true, &["br0", "eth0"]).allow("eth5");
        assert_eq!(refused, Err(Refusal::DefaultRoute { interface: "eth5".to_owned() }));
    }

    #[test]
    fn other_routes_are_allowed_but_only_in_a_lab() {
        assert_eq!(surroundings(true, &["br0"]).allow("eth1"), Ok(()));
        assert_eq!(surroundings(true, &[]).allow("lo"), Ok(()));
        assert_eq!(
            surroundings(false, &[]).allow("eth1"),
            Err(Refusal::NotLab { interface: "eth1".to_owned() })
        );
    }

    #[test]
    fn loopback_here_is_outside_a_lab() {
        let found = Surroundings::of("lo").allow("lo");
        // The tests' own namespace is never one that `lib/lab` made.
        assert_eq!(found, Err(Refusal::NotLab { interface: "lo".to_owned() }));
    }
}
