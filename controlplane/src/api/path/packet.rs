//! The packet that is asked about, and the class that the policies give it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sterna_config::{Config, Group, Policy};
use sterna_wire::Iid;

use crate::context::Class;

/// The question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Source EID.
    from: IpAddr,
    /// Destination EID.
    to: IpAddr,
    /// A group's name or IID; needless where only one group fits the source.
    group: Option<String>,
    /// A class's name or number, instead of what the policies give.
    class: Option<String>,
    /// Of the packet; 0 where absent.
    dscp: Option<u8>,
    /// IP protocol number.
    protocol: Option<u8>,
    /// Destination port.
    port: Option<u16>,
}

/// A packet.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) iid: Iid,
    pub(super) group: String,
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    dscp: u8,
    protocol: Option<u8>,
    port: Option<u16>,
    given: Option<u8>,
}

/// The class and where it comes from.
#[derive(Debug, Serialize)]
pub(super) struct Classed {
    id: u8,
    name: Option<String>,
    /// `given`, `no policy`, or which policy.
    why: String,
}

/// The highest DSCP (RFC 2474).
const MAX_DSCP: u8 = 63;

impl Packet {
    /// The packet, or what is wrong with it, and whether that is a name that nobody has.
    pub(super) fn of(asked: &Asked, config: &Config) -> Result<Packet, (bool, String)> {
        if asked.from.is_ipv4() != asked.to.is_ipv4() {
            return Err((false, "source and destination must be of one address family".to_owned()));
        }
        let dscp = asked.dscp.unwrap_or(0);
        if dscp > MAX_DSCP {
            return Err((false, format!("dscp is 0 to {MAX_DSCP}, not {dscp}")));
        }
        let group = group(asked, config)?;
        let given = asked.class.as_deref().map(|name| class_named(name, config)).transpose()?;
        let Asked { from, to, protocol, port, .. } = *asked;
        Ok(Packet { iid: group.iid, group: group.name.clone(), from, to, dscp, protocol, port, given })
    }

    /// The class of its packets.
    pub(super) fn class(&self, config: &Config) -> Class {
        let id = self.given.or_else(|| self.policy(config).map(|(_, policy)| policy.class)).unwrap_or(0);
        let class = config.classes.iter().find(|class| class.id == id);
        class.map_or(Class { id, constraints: Vec::new(), require_context: false }, |class| Class {
            id,
            constraints: class.constraints.clone(),
            require_context: class.require_context,
        })
    }

    pub(super) fn classed(&self, config: &Config) -> Classed {
        let id = self.class(config).id;
        let name = config.classes.iter().find(|class| class.id == id).map(|class| class.name.clone());
        let why = match (self.given, self.policy(config)) {
            (Some(_), _) => "given".to_owned(),
            (None, Some((place, _))) => format!("policy {} of the config file", place + 1),
            (None, None) => "no policy".to_owned(),
        };
        Classed { id, name, why }
    }

    /// The first policy that it meets, and its place in the file.
    fn policy<'a>(&self, config: &'a Config) -> Option<(usize, &'a Policy)> {
        config.policies.iter().enumerate().find(|(_, policy)| self.meets(policy))
    }

    fn meets(&self, policy: &Policy) -> bool {
        let port = |(low, high): (u16, u16)| self.port.is_some_and(|port| (low..=high).contains(&port));
        policy.iid.is_none_or(|iid| iid == self.iid)
            && policy.from.is_none_or(|prefix| prefix.contains(self.from))
            && policy.to.is_none_or(|prefix| prefix.contains(self.to))
            && policy.dscp.is_none_or(|dscp| dscp == self.dscp)
            && policy.protocol.is_none_or(|protocol| Some(protocol) == self.protocol)
            && policy.ports.is_none_or(port)
    }
}

fn group<'a>(asked: &Asked, config: &'a Config) -> Result<&'a Group, (bool, String)> {
    let groups = &config.groups;
    if let Some(name) = &asked.group {
        let found = groups.iter().find(|group| group.name == *name || group.iid.get().to_string() == *name);
        return found.ok_or_else(|| (true, format!("there is no group {name} here")));
    }
    let holds = |group: &&Group| {
        group.gateway.iter().any(|(address, len)| {
            sterna_wire::Prefix::masked(*address, *len).is_ok_and(|net| net.contains(asked.from))
        }) || group.eids.iter().any(|served| served.prefix.contains(asked.from))
    };
    let fitting: Vec<&Group> = groups.iter().filter(holds).collect();
    match (groups.as_slice(), fitting.as_slice()) {
        ([only], _) => Ok(only),
        (_, [only]) => Ok(only),
        ([], _) => Err((true, "there are no groups here".to_owned())),
        (all, fitting) => {
            let choice: Vec<&str> = match fitting {
                [] => all.iter().map(|group| group.name.as_str()).collect(),
                some => some.iter().map(|group| group.name.as_str()).collect(),
            };
            Err((false, format!("name the group of {}: {}", asked.from, choice.join(", "))))
        }
    }
}

fn class_named(name: &str, config: &Config) -> Result<u8, (bool, String)> {
    if name == "0" {
        return Ok(0);
    }
    let known = &config.classes;
    let found = known.iter().find(|class| class.name == name || class.id.to_string() == name);
    found.map(|class| class.id).ok_or_else(|| {
        let names: Vec<String> = known.iter().map(|class| format!("{} ({})", class.name, class.id)).collect();
        let names = if names.is_empty() { "none is configured".to_owned() } else { names.join(", ") };
        (true, format!("there is no class {name}: {names}"))
    })
}
