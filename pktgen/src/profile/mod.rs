//! What to send: a profile as it is meant, once its file was found right.
//!
//! `profiles/manual.toml` explains every key of the file. The names here are those of the file.

pub(crate) mod finding;
pub(crate) mod read;
pub(crate) mod section;
mod shipped;

use std::net::IpAddr;
use std::path::PathBuf;

use sterna_wire::{Iid, Mac, VlanId};

pub use finding::Finding;
pub use read::{MAX_SIZE, ProfileError};
pub use shipped::{Shipped, shipped};

use crate::hostile::Class;
use crate::packet::MixEntry;
use crate::rewrite::Rewriting;

/// A load to put on a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// What it is for, in one sentence.
    pub about: String,
    /// Packets per second over all workers; `None`: as many as the port takes.
    pub rate: Option<u64>,
    /// Packets that are due at the same moment, at least 1.
    pub burst: u64,
    /// Where random choices begin; the same seed gives the same packets.
    pub seed: u64,
    /// Ethernet addresses and sizes.
    pub frame: Framing,
    /// Who sends to whom; `None` only for a replay.
    pub eids: Option<Eids>,
    /// UDP source ports per pair of addresses.
    pub flows: Flows,
    /// How groups are told apart on the wire.
    pub groups: Groups,
    /// The tunnel around the packets; `None`: plain packets.
    pub lisp: Option<Tunnel>,
    /// Packets to EIDs that nobody has.
    pub misses: Option<Misses>,
    /// Packets that are wrong.
    pub hostile: Option<Hostile>,
    /// Packets from a capture instead of built ones.
    pub replay: Option<Replay>,
    /// Latency probes per second beside live frames.
    pub probe_rate: u64,
}

impl Profile {
    /// A profile that sends nothing, for who only receives.
    pub fn empty() -> Profile {
        Profile {
            about: String::new(),
            rate: None,
            burst: 1,
            seed: 1,
            frame: Framing { source_mac: None, destination_mac: None, sizes: Vec::new() },
            eids: None,
            flows: Flows { count: 1, first_port: 1 },
            groups: Groups::One,
            lisp: None,
            misses: None,
            hostile: None,
            replay: None,
            probe_rate: 1,
        }
    }
}

/// Ethernet addresses and sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Framing {
    /// Source address; `None`: the sending interface's.
    pub source_mac: Option<Mac>,
    /// Destination address; `None`: the receiving interface's.
    pub destination_mac: Option<Mac>,
    /// Sizes in bytes with weights: of the untagged frame outside any tunnel, checksum (FCS) included.
    pub sizes: Vec<MixEntry>,
}

/// Who sends to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Eids {
    /// The first sender's address.
    pub source: IpAddr,
    /// How many senders, at the addresses that follow.
    pub sources: u32,
    /// The first destination's address, of the same family.
    pub destination: IpAddr,
    /// How many destinations.
    pub count: u32,
    /// In which order they come.
    pub order: Order,
}

/// The order in which destinations come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// In turn.
    Sequence,
    /// At random, each as often as any other.
    Uniform,
    /// At random, the n-th with a share proportional to 1/n^exponent.
    Zipf(f64),
}

/// UDP source ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flows {
    /// How many per pair of addresses.
    pub count: u16,
    /// The first port.
    pub first_port: u16,
}

/// How groups are told apart on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    /// One group, nothing on the wire tells it.
    One,
    /// A VLAN tag per group.
    Vlans(Vec<VlanId>),
    /// An instance-ID per group, in the LISP header.
    Iids(Vec<Iid>),
}

impl Groups {
    /// How many groups there are.
    pub fn count(&self) -> usize {
        match self {
            Groups::One => 1,
            Groups::Vlans(vlans) => vlans.len(),
            Groups::Iids(iids) => iids.len(),
        }
    }
}

/// The tunnel around packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The RLOC it comes from.
    pub source: IpAddr,
    /// The RLOC it goes to, of the same family.
    pub destination: IpAddr,
}

/// Packets to EIDs that nobody has.
#[derive(Clone, Debug, PartialEq)]
pub struct Misses {
    /// Their share of all packets, from 0 to 1.
    pub share: f64,
    /// The first of those EIDs; each packet goes to the next one.
    pub destination: IpAddr,
    /// How many, before it begins again.
    pub count: u32,
}

/// Packets that are wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Hostile {
    /// Their share of all packets, from 0 to 1.
    pub share: f64,
    /// What is wrong with them, in turn.
    pub classes: Vec<Class>,
    /// Addresses to be wrong with.
    pub ground: crate::hostile::Ground,
}

/// Packets from a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The pcap file.
    pub file: PathBuf,
    /// At the capture's own times instead of the profile's rate.
    pub keep_times: bool,
    /// With the frames' own Ethernet addresses.
    pub keep_macs: bool,
    /// What is changed of its frames.
    pub rewriting: Rewriting,
}

impl Replay {
    /// A capture as it is, at the profile's rate and between the interfaces' addresses.
    pub fn of(file: PathBuf) -> Self {
        Self { file, keep_times: false, keep_macs: false, rewriting: Rewriting::default() }
    }
}
