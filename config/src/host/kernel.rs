//! Facts from `/proc` and `/sys`, without privilege.

use std::collections::BTreeSet;
use std::fs;

use super::{Facts, Interface};

/// The running kernel, as the calling thread's network namespace sees it.
///
/// `/proc/thread-self/net` and `/proc/sys/net` follow the thread into its namespace.
/// `/sys/class/net` shows the namespace that `/sys` was mounted in,
/// so it is believed only where it names the same interfaces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

const NET: &str = "/proc/thread-self/net";
const SYS: &str = "/sys/class/net";

impl Facts for Kernel {
    fn interfaces(&self) -> Option<Vec<String>> {
        fs::read_to_string(format!("{NET}/dev")).ok().map(|text| interfaces(&text))
    }

    fn interface(&self, name: &str) -> Interface {
        let trusted = self.interfaces().is_some_and(|names| sys_names() == names.into_iter().collect());
        let sys_mtu = || read_number(&format!("{SYS}/{name}/mtu")).filter(|_| trusted);
        Interface {
            mtu: read_number(&format!("/proc/sys/net/ipv6/conf/{name}/mtu")).or_else(sys_mtu),
            queues: Some(name).filter(|_| trusted).and_then(rx_queues),
            loopback: name == "lo",
        }
    }

    fn default_routes(&self) -> Vec<String> {
        let v4 = fs::read_to_string(format!("{NET}/route")).unwrap_or_default();
        let v6 = fs::read_to_string(format!("{NET}/ipv6_route")).unwrap_or_default();
        let mut names: Vec<String> = default_v4(&v4).chain(default_v6(&v6)).map(str::to_owned).collect();
        names.sort();
        names.dedup();
        names
    }

    fn cores(&self) -> Option<Vec<usize>> {
        fs::read_to_string("/sys/devices/system/cpu/online").ok().and_then(|text| cpu_list(&text))
    }
}

fn sys_names() -> BTreeSet<String> {
    let entries = fs::read_dir(SYS).into_iter().flatten().flatten();
    // `bonding_masters` is a file among the interfaces' links.
    entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

fn rx_queues(name: &str) -> Option<u16> {
    let entries = fs::read_dir(format!("{SYS}/{name}/queues")).ok()?.flatten();
    let count = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("rx-")).count();
    count.try_into().ok().filter(|&count: &u16| count > 0)
}

fn read_number(path: &str) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The names in `/proc/net/dev`: two lines of heading, then `name: counters`.
fn interfaces(text: &str) -> Vec<String> {
    text.lines()
        .skip(2)
        .filter_map(|line| line.rsplit_once(':'))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

/// RTF_REJECT of linux/route.h: the route forbids.
const REJECT: u32 = 0x200;

/// The interfaces of default routes in `/proc/net/route`: name, destination, gateway, flags, ..., mask, ...
fn default_v4(text: &str) -> impl Iterator<Item = &str> {
    text.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (name, destination, flags, mask) =
            (columns.first()?, columns.get(1)?, columns.get(3)?, columns.get(7)?);
        let usable = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & REJECT == 0);
        (usable && *destination == "00000000" && *mask == "00000000").then_some(*name)
    })
}

/// The interfaces of default routes in `/proc/net/ipv6_route`: destination, length, ..., flags, name.
fn default_v6(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (destination, length, flags, name) =
            (columns.first()?, columns.get(1)?, columns.get(8)?, columns.get(9)?);
        let usable = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & REJECT == 0) && *name != "lo";
        (usable && *length == "00" && destination.bytes().all(|c| c == b'0')).then_some(*name)
    })
}

/// A list such as `0-3,8`.
fn cpu_list(text: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.parse().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(cores)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn reads_proc_net_dev() {
        let text = "Inter-|   Receive\n face |bytes\n    lo: 1 2 3\n  eth0:    5 6\n eth0:1: 7\n";
        assert_eq!(interfaces(text), ["lo", "eth0", "eth0:1"]);
    }

    #[test]
    fn reads_proc_net_route() {
        let text = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                    eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0\n\
                    eth0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n\
                    eth1 00000000 00000000 0200 0 0 0 00000000 0 0 0\n";
        assert_eq!(default_v4(text).collect::<Vec<_>>(), ["eth0"]);
    }

    #[test]
    fn reads_proc_net_ipv6_route() {
        let zero = "0".repeat(32);
        let text = format!(
            "{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth2\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 lo\n\
             fd000064000000000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001 eth1\n"
        );
        assert_eq!(default_v6(&text).collect::<Vec<_>>(), ["eth2"]);
    }

    #[test]
    fn reads_lists_of_cpus() {
        assert_eq!(cpu_list("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(cpu_list("0\n"), Some(vec![0]));
        assert_eq!(cpu_list("x"), None);
    }

    #[test]
    fn this_machine_has_a_loopback_and_a_core() {
        assert!(Kernel.interfaces().unwrap().contains(&"lo".to_owned()));
        assert!(Kernel.cores().unwrap().contains(&0));
    }
}
