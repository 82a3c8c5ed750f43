//! The small things every burst needs: ports, groups, policies, own RLOCs, settings. Replaced as a whole.

use crate::policies::Rule;
use crate::tables::Tag;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sterna_shm::{Group, Policy, Settings};
use sterna_wire::{Family, Iid, Mac, Prefix, addr_bytes};

/// Which side of the gateway a port is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Towards the agents.
    Eid,
    /// Towards the underlay.
    Rloc,
    /// Both: untagged frames are the underlay's, tagged ones the agents'.
    Both,
}

/// A port as the packets see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRow {
    /// Its side.
    pub side: Side,
    /// Its own Ethernet address.
    pub mac: Mac,
    /// Largest IP packet, bytes.
    pub mtu: u16,
}

/// A group as its packets see it.
#[derive(Clone, Debug)]
pub struct GroupRow {
    /// As the control plane gave it.
    pub group: Group,
    /// Which of its packets are of which context class.
    pub rules: Box<[Rule]>,
    gateway_v4: Option<[u8; 16]>,
    gateway_v6: Option<[u8; 16]>,
}

impl GroupRow {
    fn new(group: Group) -> GroupRow {
        let of = |family| gateway(&group, family).map(addr_bytes);
        let (gateway_v4, gateway_v6) = (of(Family::V4), of(Family::V6));
        GroupRow { group, rules: Box::default(), gateway_v4, gateway_v6 }
    }

    /// Whether an address (as [`addr_bytes`]) is the group's gateway address of its family.
    #[inline(always)]
    pub fn has_gateway(&self, family: Family, address: &[u8; 16]) -> bool {
        let gateway = match family {
            Family::V4 => &self.gateway_v4,
            Family::V6 => &self.gateway_v6,
        };
        gateway.as_ref().is_some_and(|gateway| u128::from_ne_bytes(*gateway) == u128::from_ne_bytes(*address))
    }
}

/// Ports, groups, own RLOCs and settings of one moment.
#[derive(Clone, Debug)]
pub struct Layout {
    ports: Vec<PortRow>,
    groups: Vec<GroupRow>,
    /// Sorted (port, vlan, group row).
    attachments: Vec<(u16, Tag, u16)>,
    /// Sorted (iid, group row).
    iids: Vec<(u32, u16)>,
    rlocs_v4: Vec<[u8; 16]>,
    rlocs_v6: Vec<[u8; 16]>,
    /// Where agents may come and go: sorted and disjoint.
    dynamic: Vec<Range>,
    /// Gateway-wide knobs.
    pub settings: Settings,
}

/// A range of EIDs of a group, first and last address as [`addr_bytes`].
#[derive(Clone, Copy, Debug)]
struct Range {
    iid: u32,
    family: Family,
    first: [u8; 16],
    last: [u8; 16],
}

impl Range {
    fn of(iid: Iid, prefix: Prefix) -> Range {
        let family = Family::of(prefix.addr());
        let (first, last) = (addr_bytes(prefix.addr()), addr_bytes(last_address(prefix)));
        Range { iid: iid.get(), family, first, last }
    }

    fn start(&self) -> (u32, Family, [u8; 16]) {
        (self.iid, self.family, self.first)
    }

    fn holds(&self, iid: u32, family: Family, address: &[u8; 16]) -> bool {
        (self.iid, self.family) == (iid, family) && (self.first..=self.last).contains(address)
    }
}

/// The last address of a prefix.
pub fn last_address(prefix: Prefix) -> IpAddr {
    let len = u32::from(prefix.len());
    match prefix.addr() {
        IpAddr::V4(a) => IpAddr::V4((a.to_bits() | u32::MAX.checked_shr(len).unwrap_or(0)).into()),
        IpAddr::V6(a) => IpAddr::V6((a.to_bits() | u128::MAX.checked_shr(len).unwrap_or(0)).into()),
    }
}

/// What holds before the control plane spoke.
pub const DEFAULT_SETTINGS: Settings = Settings {
    mss_clamp: true,
    dscp_decap_pipe: false,
    udp_source_fixed: None,
    smallest_underlay_mtu: 1500,
    outer_df: true,
    eid_api_port: None,
};

/// A place where hosts are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Eid-side port.
    pub port: u16,
    /// VLAN, 0 for untagged.
    pub vlan: Tag,
}

/// The VLAN of a group as a table tag.
pub fn tag_of(group: &Group) -> Tag {
    group.vlan.map_or(0, |vlan| vlan.get())
}

impl Layout {
    /// A layout of these ports, groups and own RLOCs.
    pub fn new(ports: Vec<PortRow>, groups: Vec<Group>, rlocs: &[IpAddr], settings: Settings) -> Layout {
        let row = |i: usize| u16::try_from(i).unwrap_or(u16::MAX);
        let mut attachments: Vec<_> =
            groups.iter().enumerate().map(|(i, g)| (g.port, tag_of(g), row(i))).collect();
        attachments.sort_unstable();
        let mut iids: Vec<_> = groups.iter().enumerate().map(|(i, g)| (g.iid.get(), row(i))).collect();
        iids.sort_unstable();
        let of =
            |family| rlocs.iter().filter(|a| Family::of(**a) == family).map(|a| addr_bytes(*a)).collect();
        Layout {
            ports,
            groups: groups.into_iter().map(GroupRow::new).collect(),
            attachments,
            iids,
            rlocs_v4: of(Family::V4),
            rlocs_v6: of(Family::V6),
            dynamic: Vec::new(),
            settings,
        }
    }

    /// The same with these ranges of dynamic EIDs.
    pub fn with_dynamic(mut self, ranges: impl Iterator<Item = (Iid, Prefix)>) -> Layout {
        let mut all: Vec<Range> = ranges.map(|(iid, prefix)| Range::of(iid, prefix)).collect();
        // By start, and of two that start together the longer range first: then what lies in another follows it.
        all.sort_unstable_by_key(|range| (range.start(), std::cmp::Reverse(range.last)));
        all.dedup_by(|inside, outside| outside.holds(inside.iid, inside.family, &inside.first));
        self.dynamic = all;
        self
    }

    /// The same with these policies.
    pub fn with_policies(mut self, policies: &[Policy]) -> Layout {
        for row in &mut self.groups {
            let here = policies.iter().filter(|policy| policy.iid.is_none_or(|iid| iid == row.group.iid));
            row.rules = here.map(Rule::new).collect();
        }
        self
    }

    /// Whether agents may come and go at an address (as [`addr_bytes`]) of a group.
    pub fn is_dynamic(&self, iid: u32, family: Family, address: &[u8; 16]) -> bool {
        let behind = self.dynamic.partition_point(|range| range.start() <= (iid, family, *address));
        // Ranges of prefixes are disjoint or nested, and nested ones are gone: only the last before it can hold it.
        behind.checked_sub(1).is_some_and(|at| self.dynamic[at].holds(iid, family, address))
    }

    /// A port's row.
    pub fn port(&self, port: u16) -> Option<&PortRow> {
        self.ports.get(usize::from(port))
    }

    /// All ports.
    pub fn ports(&self) -> &[PortRow] {
        &self.ports
    }

    /// The group on a port and VLAN.
    pub fn group_at(&self, port: u16, vlan: Tag) -> Option<&Group> {
        self.row_at(port, vlan).map(|row| &row.group)
    }

    /// The row of the group on a port and VLAN.
    pub fn row_at(&self, port: u16, vlan: Tag) -> Option<&GroupRow> {
        let at = self.attachments.partition_point(|&(p, v, _)| (p, v) < (port, vlan));
        match self.attachments.get(at) {
            Some(&(p, v, row)) if (p, v) == (port, vlan) => self.groups.get(usize::from(row)),
            _ => None,
        }
    }

    /// The group of an instance-ID.
    pub fn group_of(&self, iid: u32) -> Option<&Group> {
        self.row_of(iid).map(|row| &row.group)
    }

    /// The row of the group of an instance-ID.
    pub fn row_of(&self, iid: u32) -> Option<&GroupRow> {
        let at = self.iids.partition_point(|&(i, _)| i < iid);
        match self.iids.get(at) {
            Some(&(i, row)) if i == iid => self.groups.get(usize::from(row)),
            _ => None,
        }
    }

    /// Whether an address (as [`addr_bytes`]) is one of our RLOCs.
    pub fn is_own_rloc(&self, family: Family, address: &[u8; 16]) -> bool {
        match family {
            Family::V4 => self.rlocs_v4.contains(address),
            Family::V6 => self.rlocs_v6.contains(address),
        }
    }
}

/// The group's gateway address of a family.
pub fn gateway(group: &Group, family: Family) -> Option<IpAddr> {
    match family {
        Family::V4 => group.gateway_v4.map(|(a, _)| IpAddr::V4(a)),
        Family::V6 => group.gateway_v6.map(|(a, _)| IpAddr::V6(a)),
    }
}

/// Whether an address is one that hosts may use for the gateway.
///
/// The IPv6 link-local form (EUI-64 of the anycast MAC) counts too: routers are often addressed by it.
pub fn is_gateway(group: &Group, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => group.gateway_v4.is_some_and(|(g, _)| g == a),
        IpAddr::V6(a) => {
            group.gateway_v6.is_some_and(|(g, _)| g == a)
                || (group.gateway_v6.is_some() && a == link_local(group.mac))
        }
    }
}

/// Whether an address lies in the subnet that the gateway address spans.
pub fn in_gateway_subnet(group: &Group, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => group.gateway_v4.is_some_and(|(g, len)| same_v4(g, a, len)),
        IpAddr::V6(a) => group.gateway_v6.is_some_and(|(g, len)| same_v6(g, a, len)),
    }
}

fn same_v4(a: Ipv4Addr, b: Ipv4Addr, len: u8) -> bool {
    let shift = 32 - u32::from(len.min(32));
    (u64::from(u32::from(a)) >> shift) == (u64::from(u32::from(b)) >> shift)
}

fn same_v6(a: Ipv6Addr, b: Ipv6Addr, len: u8) -> bool {
    match 128 - u32::from(len.min(128)) {
        128 => true,
        shift => (u128::from(a) >> shift) == (u128::from(b) >> shift),
    }
}

/// The link-local address that belongs to a MAC (RFC 4291 appendix A).
pub fn link_local(mac: Mac) -> Ipv6Addr {
    let m = mac.0;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use sterna_wire::VlanId;

    fn group(iid: u32, port: u16, vlan: Option<u16>) -> Group {
        Group {
            iid: Iid::new(iid).unwrap(),
            port,
            vlan: vlan.and_then(VlanId::new),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            gateway_v4: Some((Ipv4Addr::new(10, 1, 0, 1), 16)),
            gateway_v6: Some(("fd00::1".parse().unwrap(), 64)),
            proxy_arp: true,
        }
    }

    #[test]
    fn groups_are_found_by_attachment_and_by_iid() {
        let groups = vec![group(200, 1, None), group(100, 0, Some(10)), group(300, 0, None)];
        let layout = Layout::new(vec![], groups, &["192.0.2.1".parse().unwrap()], DEFAULT_SETTINGS);
        assert_eq!(layout.group_at(0, 10).unwrap().iid.get(), 100);
        assert_eq!(layout.group_at(0, 0).unwrap().iid.get(), 300);
        assert!(layout.group_at(0, 11).is_none());
        assert_eq!(layout.group_of(200).unwrap().port, 1);
        assert!(layout.group_of(201).is_none());
        assert!(layout.is_own_rloc(Family::V4, &addr_bytes("192.0.2.1".parse().unwrap())));
        assert!(!layout.is_own_rloc(Family::V6, &addr_bytes("192.0.2.1".parse().unwrap())));
    }

    #[test]
    fn dynamic_ranges_may_nest_and_touch() {
        let range = |iid, prefix: &str| (Iid::new(iid).unwrap(), prefix.parse().unwrap());
        let ranges = [
            range(100, "10.1.128.0/17"),
            range(100, "10.1.0.0/24"),
            range(100, "10.1.0.0/16"),
            range(100, "10.2.0.0/16"),
            range(100, "fd00::/64"),
            range(200, "10.9.9.9/32"),
            range(300, "0.0.0.0/0"),
        ];
        let layout = Layout::new(vec![], vec![], &[], DEFAULT_SETTINGS).with_dynamic(ranges.into_iter());
        let is_dynamic = |iid, address: &str| {
            let address: IpAddr = address.parse().unwrap();
            layout.is_dynamic(iid, Family::of(address), &addr_bytes(address))
        };
        for address in ["10.1.0.0", "10.1.0.255", "10.1.1.0", "10.1.255.255", "10.2.3.4", "fd00::9"] {
            assert!(is_dynamic(100, address), "{address}");
        }
        for address in ["10.0.255.255", "10.3.0.0", "10.9.9.9", "fd00:0:0:1::", "a01::"] {
            assert!(!is_dynamic(100, address), "{address}");
        }
        assert!(is_dynamic(200, "10.9.9.9") && !is_dynamic(200, "10.9.9.10") && !is_dynamic(199, "10.9.9.9"));
        assert!(is_dynamic(300, "255.255.255.255") && !is_dynamic(300, "::"));
    }

    #[test]
    fn subnets_are_compared_by_their_length() {
        let g = group(1, 0, None);
        assert!(in_gateway_subnet(&g, "10.1.255.3".parse().unwrap()));
        assert!(!in_gateway_subnet(&g, "10.2.0.3".parse().unwrap()));
        assert!(in_gateway_subnet(&g, "fd00::ffff".parse().unwrap()));
        assert!(!in_gateway_subnet(&g, "fd01::1".parse().unwrap()));
        assert!(same_v6(Ipv6Addr::LOCALHOST, "fd00::1".parse().unwrap(), 0));
        assert!(same_v4(Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST, 0));
    }
}
