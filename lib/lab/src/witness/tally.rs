//! Everything the witness has seen, added up, and the few things it follows packet by packet when asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use super::sight::{Control, Data, Sight};

/// Who sent a frame into the core, by the interface it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A site's gateway.
    Gateway,
    /// The Map-Server.
    MapServer,
    /// Somebody else: an attacker, or a scripted peer. What it sends is no gateway's doing.
    Outsider,
}

/// What the witness knows of the lab before it begins.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Instance-IDs that may appear.
    pub iids: Vec<u32>,
    /// Index of the core's interface towards the Map-Server.
    pub map_server: Option<u32>,
    /// Index of the core's interface towards the outsider.
    pub outsider: Option<u32>,
}

impl Known {
    /// Who is behind an interface.
    pub fn sender(&self, ingress: u32) -> Sender {
        if self.outsider == Some(ingress) {
            Sender::Outsider
        } else if self.map_server == Some(ingress) {
            Sender::MapServer
        } else {
            Sender::Gateway
        }
    }
}

/// Everything seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    /// All frames.
    pub frames: u64,
    /// LISP data packets from gateways.
    pub lisp: u64,
    /// LISP control messages from gateways and the Map-Server.
    pub control: u64,
    /// Link-local talk of kernels.
    pub neighbour: u64,
    /// LISP packets, data or control, from an outsider.
    pub outside: u64,
    /// Kernels' errors about damaged packets of the underlay.
    pub complaints: u64,
    /// Frames that are none of these.
    pub clear: u64,
    /// LISP packets from gateways without an instance-ID, with one that no group has, or with another group's.
    pub wrong_iid: u64,
    /// LISP data packets from gateways by outer destination.
    pub to: BTreeMap<IpAddr, u64>,
    /// When the last of those was seen, since the epoch.
    pub last_to: BTreeMap<IpAddr, Duration>,
    /// LISP data packets from gateways by instance-ID.
    pub iids: BTreeMap<u32, u64>,
    /// Control messages that gateways sent, by kind.
    pub from_gateways: BTreeMap<Control, u64>,
    /// Control messages that the Map-Server sent, by kind.
    pub from_map_server: BTreeMap<Control, u64>,
}

impl Sightings {
    /// Counts one frame.
    pub fn count(&mut self, sight: Sight, sender: Sender, at: Duration, known: &Known) {
        self.frames += 1;
        match (sight, sender) {
            (Sight::Neighbour, _) => self.neighbour += 1,
            (Sight::Complaint, _) => self.complaints += 1,
            (Sight::Lisp(_) | Sight::Control { .. }, Sender::Outsider) => self.outside += 1,
            (Sight::Clear, _) => self.clear += 1,
            (Sight::Control { kind, .. }, sender) => {
                self.control += 1;
                let book = match sender {
                    Sender::MapServer => &mut self.from_map_server,
                    Sender::Gateway | Sender::Outsider => &mut self.from_gateways,
                };
                *book.entry(kind).or_default() += 1;
            }
            (Sight::Lisp(data), _) => self.count_data(&data, at, known),
        }
    }

    fn count_data(&mut self, data: &Data, at: Duration, known: &Known) {
        self.lisp += 1;
        *self.to.entry(data.to).or_default() += 1;
        self.last_to.insert(data.to, at);
        if let Some(iid) = data.iid {
            *self.iids.entry(iid).or_default() += 1;
        }
        let right = data.iid.is_some_and(|iid| {
            known.iids.contains(&iid) && data.payload.is_none_or(|payload| payload.group == iid)
        });
        self.wrong_iid += u64::from(!right);
    }

    /// LISP packets to one outer destination.
    pub fn lisp_to(&self, address: IpAddr) -> u64 {
        self.to.get(&address).copied().unwrap_or(0)
    }

    /// Control messages of a kind that gateways sent.
    pub fn sent_by_gateways(&self, kind: Control) -> u64 {
        self.from_gateways.get(&kind).copied().unwrap_or(0)
    }
}

/// An inner flow, by its UDP ports.
pub type Flow = (u16, u16);

/// What the witness follows packet by packet; empty unless a scenario asks.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    /// Inner destination ports of flows whose locators are written down.
    pub ports: Option<Range<u16>>,
    /// RLOCs between which a packet is a relayed one: no agents of theirs talk to each other.
    pub relays: BTreeSet<IpAddr>,
    /// Per flow its outer destinations, each change written down.
    pub flows: HashMap<Flow, Vec<IpAddr>>,
    /// Inner destination port and sequence number of every relayed packet.
    pub relayed: Vec<(u16, u64)>,
    /// Relayed packets, those that carry no payload of ours too.
    pub relayed_packets: u64,
}

impl Followed {
    /// Writes down what it should of a packet.
    pub fn note(&mut self, data: &Data) {
        if let (Some(range), Some(ports)) = (&self.ports, data.ports)
            && data.payload.is_some()
            && range.contains(&ports.1)
        {
            let path = self.flows.entry(ports).or_default();
            if path.last() != Some(&data.to) {
                path.push(data.to);
            }
        }
        if self.relays.contains(&data.from) && self.relays.contains(&data.to) {
            self.relayed_packets += 1;
            if let (Some(payload), Some((_, port))) = (data.payload, data.ports) {
                self.relayed.push((port, payload.sequence));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::payload::Payload;

    fn data(iid: Option<u32>, group: u32, to: u8) -> Data {
        Data {
            from: [192, 0, 2, 1].into(),
            to: [198, 51, 100, to].into(),
            iid,
            payload: Some(Payload { group, sequence: 4, due_ns: 0, answerer: 0 }),
            ports: Some((20_000, 20_100)),
        }
    }

    fn known() -> Known {
        Known { iids: vec![100, 200], map_server: Some(7), outsider: Some(9) }
    }

    fn counted(data: Data, ingress: u32) -> Sightings {
        let mut sightings = Sightings::default();
        sightings.count(Sight::Lisp(data), known().sender(ingress), Duration::ZERO, &known());
        sightings
    }

    #[test]
    fn a_crossed_or_unknown_or_absent_iid_is_wrong() {
        assert_eq!(counted(data(Some(100), 100, 1), 3).wrong_iid, 0);
        assert_eq!(counted(data(Some(200), 100, 1), 3).wrong_iid, 1);
        assert_eq!(counted(data(Some(300), 300, 1), 3).wrong_iid, 1);
        assert_eq!(counted(data(None, 100, 1), 3).wrong_iid, 1);
    }

    #[test]
    fn what_an_outsider_sends_is_no_gateways_doing() {
        let seen = counted(data(Some(300), 666, 1), 9);
        assert_eq!((seen.outside, seen.lisp, seen.wrong_iid), (1, 0, 0));
        assert_eq!(counted(data(Some(100), 100, 1), 3).lisp_to([198, 51, 100, 1].into()), 1);
    }

    #[test]
    fn control_is_counted_by_kind_and_sender() {
        let mut seen = Sightings::default();
        let from = IpAddr::from([192, 0, 2, 1]);
        for ingress in [3, 3, 7, 9] {
            let sight = Sight::Control { from, to: from, kind: Control::Request };
            seen.count(sight, known().sender(ingress), Duration::ZERO, &known());
        }
        assert_eq!((seen.sent_by_gateways(Control::Request), seen.control, seen.outside), (2, 3, 1));
    }

    #[test]
    fn a_flow_that_moves_is_written_down_once_per_move() {
        let mut followed = Followed { ports: Some(20_100..20_200), ..Followed::default() };
        for to in [1, 1, 5, 5, 1] {
            followed.note(&data(Some(100), 100, to));
        }
        assert_eq!(followed.flows[&(20_000, 20_100)].len(), 3);
        followed.relays = [[192, 0, 2, 1].into(), [198, 51, 100, 1].into()].into();
        followed.note(&data(Some(100), 100, 1));
        followed.note(&data(Some(100), 100, 5));
        assert_eq!((followed.relayed_packets, followed.relayed), (1, vec![(20_100, 4)]));
    }
}
