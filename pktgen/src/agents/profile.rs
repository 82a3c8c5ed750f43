//! Who the agents are and what they do: a profile as it is meant, once its file was found right.
//!
//! [`MANUAL`] explains every key of the file. The names here are those of the file.

mod read;
mod talk;

use std::net::IpAddr;

use sterna_wire::{Mac, VlanId};

use super::link::Link;
use crate::address::nth;

/// A profile that explains every key.
pub const MANUAL: &str = include_str!("profile/manual.toml");

/// A crowd of agents.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// What it is for, in one sentence.
    pub about: String,
    /// Seconds after the start in which agents only say where they are.
    pub settle_s: f64,
    /// Connections that are opened per second.
    pub connects_per_s: u32,
    /// The agents' IP MTU in bytes.
    pub mtu: u16,
    /// Where agents can be.
    pub places: Vec<Place>,
    /// Who they are.
    pub groups: Vec<Group>,
    /// Requests over kept TCP connections.
    pub requests: Option<Requests>,
    /// Streams over TCP.
    pub streams: Option<Streams>,
    /// UDP messages.
    pub messages: Option<Messages>,
    /// Agents that move without being told, per second.
    pub moves_per_s: Option<f64>,
}

/// An interface that a gateway is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What commands and reports call it.
    pub name: String,
    /// The interface.
    pub interface: String,
    /// Its network namespace; without one, the program's.
    pub namespace: Option<String>,
}

/// Agents that may talk to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What commands and reports call it.
    pub name: String,
    /// The tag of its frames.
    pub vlan: Option<VlanId>,
    /// The agents' gateway.
    pub gateway: IpAddr,
    /// The first agent's EID; the others' follow it.
    pub first: IpAddr,
    /// How many agents.
    pub agents: u32,
}

impl Group {
    /// The EID of an agent, from 0.
    pub fn eid(&self, number: u32) -> IpAddr {
        nth(self.first, number)
    }
}

/// Requests over kept TCP connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Requests {
    /// Requests per second and agent.
    pub rate: f64,
    /// How many others each agent asks in turn.
    pub peers: u32,
    /// Bytes of a request.
    pub size: usize,
    /// Bytes of an answer.
    pub answer: usize,
}

/// Streams over TCP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Streams {
    /// How many agents of each group send one.
    pub agents: u32,
    /// Letters per second of each.
    pub rate: f64,
    /// Bytes of a letter.
    pub size: usize,
}

/// UDP messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Messages {
    /// Messages per second and agent.
    pub rate: f64,
    /// To how many others each agent sends in turn.
    pub peers: u32,
    /// Bytes of a message.
    pub size: usize,
}

/// One agent of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `GROUP/NUMBER`.
    pub name: String,
    /// Its group's place in the profile.
    pub group: usize,
    /// Its number in the group, from 0.
    pub number: u32,
    /// Who it is on its link.
    pub link: Link,
    /// Where it begins, by place in the profile.
    pub home: usize,
}

impl Profile {
    /// All agents. Those of a group begin at the places in turn, so that an agent's next peers are elsewhere.
    pub fn members(&self) -> Vec<Member> {
        let of = |(at, group): (usize, &Group)| {
            let (name, vlan, group) = (group.name.clone(), group.vlan, group.clone());
            (0..group.agents).map(move |number| Member {
                name: format!("{name}/{number}"),
                group: at,
                number,
                link: Link { mac: mac(at, number), vlan, eid: group.eid(number) },
                home: number as usize,
            })
        };
        let members = self.groups.iter().enumerate().flat_map(of);
        members.map(|member| Member { home: member.home % self.places.len(), ..member }).collect()
    }

    /// The EID of the peer of a member, from 0; never its own.
    pub fn peer(&self, member: &Member, which: u32) -> IpAddr {
        let group = &self.groups[member.group];
        group.eid((member.number + 1 + which) % group.agents)
    }
}

/// A locally administered Ethernet address that no other agent has.
fn mac(group: usize, number: u32) -> Mac {
    let [.., high, middle, low] = number.to_be_bytes();
    Mac([0x02, 0x61, group as u8, high, middle, low])
}

#[cfg(test)]
mod test;
