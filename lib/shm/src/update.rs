//! Control plane to dataplane: what the tables shall say.
//!
//! Updates are idempotent: an upsert replaces, a delete of what is not there is no error.
//! Ids of next hops, adjacencies, locator sets and class rows are numbers of one channel session.
//! The order is next hop, adjacency, set, class rows, EID on upsert and the reverse on delete; a reference to an
//! unknown id fails the channel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sterna_wire::{Iid, Mac, Prefix, VlanId};

use crate::classes::ClassRows;
use crate::layout::{Field, layout_choice, layout_records, layout_struct};
use crate::locators::LocatorSet;
use crate::policy::Policy;

/// One change of the dataplane's tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// A full state follows; entries not named before the matching end are swept.
    BeginSync {
        /// Grows with every sync of this control plane.
        generation: u64,
    },
    /// The full state is complete: sweep, then answer [`Event::Applied`](crate::Event::Applied).
    EndSync {
        /// As in the begin.
        generation: u64,
    },
    /// Everything before this is to be in use: answer [`Event::Reached`](crate::Event::Reached) when it is.
    Barrier {
        /// Grows with every barrier of a session.
        number: u64,
    },
    /// Adds or replaces a next hop.
    NextHopUpsert {
        /// Session id.
        id: u32,
        /// Its value.
        hop: NextHop,
    },
    /// Removes a next hop.
    NextHopDelete {
        /// Session id.
        id: u32,
    },
    /// Adds or replaces a pair of RLOCs.
    AdjacencyUpsert {
        /// Session id.
        id: u32,
        /// Its value.
        adjacency: Adjacency,
    },
    /// Removes a pair of RLOCs.
    AdjacencyDelete {
        /// Session id.
        id: u32,
    },
    /// Adds or replaces a locator set.
    SetUpsert {
        /// Session id.
        id: u32,
        /// Its value.
        set: LocatorSet,
    },
    /// Removes a locator set.
    SetDelete {
        /// Session id.
        id: u32,
    },
    /// Adds or replaces what each class of packets uses.
    ClassesUpsert {
        /// Session id.
        id: u32,
        /// Its value.
        rows: ClassRows,
    },
    /// Removes such rows.
    ClassesDelete {
        /// Session id.
        id: u32,
    },
    /// Adds or replaces a policy, which gives packets of the eid side their class.
    PolicyUpsert {
        /// Its place: the lowest that matches wins. Below [`MAX_POLICIES`](crate::MAX_POLICIES).
        index: u8,
        /// Its value.
        policy: Policy,
        /// The next record changes policies too: they come into force together.
        more: bool,
    },
    /// Removes a policy.
    PolicyDelete {
        /// Its place.
        index: u8,
        /// As in the upsert.
        more: bool,
    },
    /// Adds or replaces what happens to packets for an EID prefix.
    EidUpsert {
        /// Group.
        iid: Iid,
        /// EID prefix; a host is a prefix of full length.
        prefix: Prefix,
        /// What happens.
        action: EidAction,
    },
    /// Removes an EID prefix.
    EidDelete {
        /// Group.
        iid: Iid,
        /// EID prefix.
        prefix: Prefix,
    },
    /// Adds or replaces a group's attachment.
    GroupUpsert {
        /// Its value; the key is its `iid`.
        group: Group,
    },
    /// Removes a group.
    GroupDelete {
        /// Group.
        iid: Iid,
    },
    /// Adds one of our own RLOCs: outer packets to it are ours.
    LocalRlocUpsert {
        /// The RLOC.
        address: IpAddr,
    },
    /// Removes one of our own RLOCs.
    LocalRlocDelete {
        /// The RLOC.
        address: IpAddr,
    },
    /// Replaces the settings.
    SettingsUpsert {
        /// Their value.
        settings: Settings,
    },
    /// Adds a range in which agents may come and go; its agents are host entries of their own.
    DynamicUpsert {
        /// Group.
        iid: Iid,
        /// The range of EIDs.
        prefix: Prefix,
    },
    /// Removes such a range; the agents in it stay until their own entries go.
    DynamicDelete {
        /// Group.
        iid: Iid,
        /// The range of EIDs.
        prefix: Prefix,
    },
    /// Frames for this agent that come from this RLOC pass the source check: it relays after a move.
    RelayAllow {
        /// Group.
        iid: Iid,
        /// The agent, the inner destination.
        eid: IpAddr,
        /// The outer source.
        from: IpAddr,
    },
    /// Ends that permission.
    RelayForbid {
        /// Group.
        iid: Iid,
        /// The agent, the inner destination.
        eid: IpAddr,
        /// The outer source.
        from: IpAddr,
    },
    /// Asks the agent by ARP or neighbour discovery whether it is still there. A question, not state: the answer is
    /// [`Event::Agent`](crate::Event::Agent) or [`Event::AgentGone`](crate::Event::AgentGone), and no sync repeats it.
    AgentCheck {
        /// Group.
        iid: Iid,
        /// The agent.
        eid: IpAddr,
    },
}

/// An underlay neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextHop {
    /// Index of the rloc-side port it is behind.
    pub port: u16,
    /// Our MAC there.
    pub source: Mac,
    /// Its MAC; `None` while unresolved: hold packets.
    pub destination: Option<Mac>,
}

/// A pair of RLOCs and the way between them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Adjacency {
    /// Session id of the next hop.
    pub next_hop: u32,
    /// Outer source, one of ours.
    pub local: IpAddr,
    /// Outer destination. Its family is the local one's (checked by the user).
    pub remote: IpAddr,
    /// Path MTU of the underlay in bytes, counted from the outer IP header on.
    pub mtu: u16,
    /// Send a true UDP checksum; matters for an IPv6 outer header only (RFC 9300 section 5.3).
    pub udp_checksum: bool,
}

/// What a packet for nobody meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NegativeAction {
    /// Dropped and counted.
    Drop,
    /// Forwarded in the clear, because the group says so.
    Native,
}

/// What happens to a packet for an EID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EidAction {
    /// Encapsulate towards a locator; also the sources allowed for that EID.
    Remote {
        /// Session id of the set of all locators: the source check's, and where nothing else is said that of packets of
        /// no class.
        set: u32,
        /// Session id of what each class uses; without it packets of a class miss.
        classes: Option<u32>,
    },
    /// The mapping system knows nobody there.
    Negative {
        /// What to do instead.
        action: NegativeAction,
    },
    /// The prefix is served here: deliver to the agent on the wire.
    Local {
        /// Index of the eid-side port.
        port: u16,
        /// Tag on that port.
        vlan: Option<VlanId>,
        /// The inner router the prefix is behind, if any.
        via: Option<IpAddr>,
    },
    /// An agent attached here whose MAC the control plane gives.
    LocalHost {
        /// Index of the eid-side port.
        port: u16,
        /// Tag on that port.
        vlan: Option<VlanId>,
        /// The agent's MAC.
        mac: Mac,
    },
    /// The agent left for the locators of this set: encapsulate towards them what agents here send to it, and send on
    /// to them what other sites still send here.
    Away {
        /// Session id of the set.
        set: u32,
    },
    /// The agent is about to leave: packets for it wait for the next entry.
    Hold,
    /// One of several agents with this EID is attached here. Packets out of a tunnel are delivered to it; for packets
    /// from agents of this site it is one locator among others ([`LOCAL`](crate::LOCAL)).
    Skill {
        /// Index of the eid-side port.
        port: u16,
        /// Tag on that port.
        vlan: Option<VlanId>,
        /// The agent's MAC.
        mac: Mac,
        /// As in `Remote`; without it nothing is known of the others yet, and packets from agents of this site miss.
        set: Option<u32>,
        /// As in `Remote`.
        classes: Option<u32>,
    },
}

/// How a group is attached here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    /// Group.
    pub iid: Iid,
    /// Index of its eid-side port.
    pub port: u16,
    /// Tag on that port.
    pub vlan: Option<VlanId>,
    /// The anycast gateway MAC, the same at every site.
    pub mac: Mac,
    /// The anycast gateway address and its link's prefix length.
    pub gateway_v4: Option<(Ipv4Addr, u8)>,
    /// The same for IPv6.
    pub gateway_v6: Option<(Ipv6Addr, u8)>,
    /// Answer ARP and neighbour solicitations for the group's EIDs that are elsewhere.
    pub proxy_arp: bool,
}

/// What holds for all packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Clamp the MSS of TCP SYNs to what fits.
    pub mss_clamp: bool,
    /// On decapsulation keep the inner DSCP (pipe) instead of taking the outer one (uniform; RFC 2983).
    pub dscp_decap_pipe: bool,
    /// A fixed outer UDP source port instead of the flow's entropy.
    pub udp_source_fixed: Option<u16>,
    /// The smallest path MTU of the underlay in bytes, for what has no adjacency of its own.
    pub smallest_underlay_mtu: u16,
    /// Set DF on IPv4 outer headers.
    pub outer_df: bool,
    /// The TCP port at the groups' gateway addresses where agents speak with the control plane; without it nothing is
    /// handed to it.
    pub eid_api_port: Option<u16>,
}

layout_struct!(NextHop { port: u16, source: Mac, destination: Option<Mac> });
layout_struct!(Adjacency { next_hop: u32, local: IpAddr, remote: IpAddr, mtu: u16, udp_checksum: bool });
layout_choice!(NegativeAction { 0 => Drop {}, 1 => Native {} });
layout_choice!(EidAction {
    0 => Remote { set: u32, classes: Option<u32> },
    1 => Negative { action: NegativeAction },
    2 => Local { port: u16, vlan: Option<VlanId>, via: Option<IpAddr> },
    3 => LocalHost { port: u16, vlan: Option<VlanId>, mac: Mac },
    4 => Away { set: u32 },
    5 => Hold {},
    6 => Skill { port: u16, vlan: Option<VlanId>, mac: Mac, set: Option<u32>, classes: Option<u32> },
});
layout_struct!(Group {
    iid: Iid,
    port: u16,
    vlan: Option<VlanId>,
    mac: Mac,
    gateway_v4: Option<(Ipv4Addr, u8)>,
    gateway_v6: Option<(Ipv6Addr, u8)>,
    proxy_arp: bool,
});
layout_struct!(Settings {
    mss_clamp: bool,
    dscp_decap_pipe: bool,
    udp_source_fixed: Option<u16>,
    smallest_underlay_mtu: u16,
    outer_df: bool,
    eid_api_port: Option<u16>,
});

layout_records!(Update {
    0x0001 => BeginSync { generation: u64 },
    0x0002 => EndSync { generation: u64 },
    0x0003 => Barrier { number: u64 },
    0x0010 => NextHopUpsert { id: u32, hop: NextHop },
    0x0011 => NextHopDelete { id: u32 },
    0x0020 => AdjacencyUpsert { id: u32, adjacency: Adjacency },
    0x0021 => AdjacencyDelete { id: u32 },
    0x0030 => SetUpsert { id: u32, set: LocatorSet },
    0x0031 => SetDelete { id: u32 },
    0x0038 => ClassesUpsert { id: u32, rows: ClassRows },
    0x0039 => ClassesDelete { id: u32 },
    0x0040 => EidUpsert { iid: Iid, prefix: Prefix, action: EidAction },
    0x0041 => EidDelete { iid: Iid, prefix: Prefix },
    0x0050 => GroupUpsert { group: Group },
    0x0051 => GroupDelete { iid: Iid },
    0x0060 => LocalRlocUpsert { address: IpAddr },
    0x0061 => LocalRlocDelete { address: IpAddr },
    0x0070 => SettingsUpsert { settings: Settings },
    0x0080 => DynamicUpsert { iid: Iid, prefix: Prefix },
    0x0081 => DynamicDelete { iid: Iid, prefix: Prefix },
    0x0090 => RelayAllow { iid: Iid, eid: IpAddr, from: IpAddr },
    0x0091 => RelayForbid { iid: Iid, eid: IpAddr, from: IpAddr },
    0x00a0 => AgentCheck { iid: Iid, eid: IpAddr },
    0x00b0 => PolicyUpsert { index: u8, policy: Policy, more: bool },
    0x00b1 => PolicyDelete { index: u8, more: bool },
});

// The sizes are part of the contract; a change here goes with a new layout version.
const _: () = {
    assert!(NextHop::SIZE == 15);
    assert!(Adjacency::SIZE == 41);
    assert!(LocatorSet::SIZE == 129);
    assert!(ClassRows::SIZE == 80);
    assert!(Policy::SIZE == 53);
    assert!(EidAction::SIZE == 24);
    // Header, key and action of the most frequent update share one cache line.
    assert!(crate::record::SLOT_HEADER + Iid::SIZE + Prefix::SIZE + EidAction::SIZE <= 64);
    assert!(Group::SIZE == 40);
    assert!(Settings::SIZE == 11);
};
