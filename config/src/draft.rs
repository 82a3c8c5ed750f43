//! The whole file as far as it could be read: what the rules look at.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sterna_wire::Iid;
use toml::de::DeTable;

use crate::field::{Field, Kind, Need, Section};
use crate::finding::{At, Located};
use crate::secret::Secrets;
use crate::tree::{Listed, Node};
use crate::{
    Config, Policy, Role, Side, class, context, dataplane, gateway, group, key, map_resolver, map_server,
    mapping, mapping_system, paths, policy, port, rloc, site,
};

/// The file itself.
pub(crate) static SECTION: Section = Section {
    name: "the file",
    meaning: "one gateway's configuration",
    fields: &[
        Field {
            key: "gateway",
            kind: Kind::Table(&gateway::SECTION),
            need: Need::Required,
            meaning: "who this box is",
            example: "{ name = \"gw-a\" }",
        },
        Field {
            key: "dataplane",
            kind: Kind::Table(&dataplane::SECTION),
            need: Need::Optional("the defaults"),
            meaning: "the workers, their sizes and the header rules",
            example: "{ cores = [1] }",
        },
        Field {
            key: "paths",
            kind: Kind::Table(&paths::SECTION),
            need: Need::Optional("the defaults"),
            meaning: "where a gateway keeps its sockets, its pins, and what must survive it",
            example: "{ run_dir = \"/run/sterna/gw-a\" }",
        },
        Field {
            key: "port",
            kind: port::LIST,
            need: Need::Optional("none, unless it is an xTR"),
            meaning: "the interfaces that the dataplane takes over",
            example: "[{ name = \"eth1\", side = \"eid\" }]",
        },
        Field {
            key: "rloc",
            kind: rloc::LIST,
            need: Need::Required,
            meaning: "our own locators",
            example: "[{ address = \"192.0.2.1\" }]",
        },
        Field {
            key: "group",
            kind: group::LIST,
            need: Need::Optional("none, unless it is an xTR"),
            meaning: "the agent groups with members here",
            example: "[{ iid = 100, ... }]",
        },
        Field {
            key: "mapping",
            kind: mapping::LIST,
            need: Need::Optional("none"),
            meaning: "EIDs whose locators are known from the file",
            example: "[{ iid = 100, eid = \"10.1.2.0/24\", rlocs = [{ address = \"192.0.2.2\" }] }]",
        },
        Field {
            key: "mapping_system",
            kind: Kind::Table(&mapping_system::SECTION),
            need: Need::Optional("the file alone says where EIDs are"),
            meaning: "whom an xTR asks, and whom it registers with",
            example: "{ map_resolvers = [\"192.0.2.10\"] }",
        },
        Field {
            key: "map_server",
            kind: Kind::Table(&map_server::SECTION),
            need: Need::Optional("the defaults"),
            meaning: "the limits of a map-server and of a map-resolver",
            example: "{ registration_s = 180 }",
        },
        Field {
            key: "map_resolver",
            kind: Kind::Table(&map_resolver::SECTION),
            need: Need::Optional("what this box registers is all"),
            meaning: "where a map-resolver sends what its own box does not know",
            example: "{ map_servers = [{ address = \"192.0.2.11\" }] }",
        },
        Field {
            key: "site",
            kind: site::LIST,
            need: Need::Optional("none, unless it is a map-server"),
            meaning: "the sites that may register at a map-server",
            example: "[{ name = \"site-a\", ... }]",
        },
        Field {
            key: "class",
            kind: class::LIST,
            need: Need::Optional("all packets are of no class"),
            meaning: "context classes: what packets need of a locator",
            example: "[{ id = 1, name = \"gpu-fast\", require = { hardware = [\"gpu\"] } }]",
        },
        Field {
            key: "policy",
            kind: policy::LIST,
            need: Need::Optional("all packets are of no class"),
            meaning: "which packets are of which context class; the first that a packet meets holds",
            example: "[{ dscp = 46, class = \"gpu-fast\" }]",
        },
        Field {
            key: "context",
            kind: Kind::Table(&context::SECTION),
            need: Need::Optional("the defaults"),
            meaning: "how reports of agents are taken and told, and how locators are weighed",
            example: "{ ttl_s = 90 }",
        },
    ],
    reserved: &[("consent", "trust between agents"), ("metrics", "Prometheus"), ("log", "logging to a file")],
};

/// The whole file as far as it could be read.
pub(crate) struct Draft {
    pub gateway: gateway::Draft,
    pub dataplane: dataplane::Draft,
    pub paths: paths::Draft,
    pub ports: Listed<port::Draft>,
    pub rlocs: Listed<rloc::Draft>,
    pub groups: Listed<group::Draft>,
    pub mappings: Listed<mapping::Draft>,
    pub mapping_system: Option<Located<mapping_system::Draft>>,
    pub map_server: Option<Located<map_server::Draft>>,
    pub map_resolver: Option<Located<map_resolver::Draft>>,
    pub sites: Listed<site::Draft>,
    pub classes: Listed<class::Draft>,
    pub policies: Listed<policy::Draft>,
    context: context::Draft,
    /// The places of the sections that the file has.
    pub given: BTreeMap<&'static str, At>,
}

impl Draft {
    pub fn read(table: &DeTable<'_>) -> Draft {
        let root = Node { section: &SECTION, table, at: At::default() };
        Draft {
            gateway: root.table("gateway", &gateway::SECTION, gateway::Draft::read),
            dataplane: root.table("dataplane", &dataplane::SECTION, dataplane::Draft::read),
            paths: root.table("paths", &paths::SECTION, paths::Draft::read),
            ports: root.tables("port", &port::SECTION, port::Draft::read),
            rlocs: root.tables("rloc", &rloc::SECTION, rloc::Draft::read),
            groups: root.tables("group", &group::SECTION, group::Draft::read),
            mappings: root.tables("mapping", &mapping::SECTION, mapping::Draft::read),
            mapping_system: root.optional_table(
                "mapping_system",
                &mapping_system::SECTION,
                mapping_system::Draft::read,
            ),
            map_server: root.optional_table("map_server", &map_server::SECTION, map_server::Draft::read),
            map_resolver: root.optional_table(
                "map_resolver",
                &map_resolver::SECTION,
                map_resolver::Draft::read,
            ),
            sites: root.tables("site", &site::SECTION, site::Draft::read),
            classes: root.tables("class", &class::SECTION, class::Draft::read),
            policies: root.tables("policy", &policy::SECTION, policy::Draft::read),
            context: root.table("context", &context::SECTION, context::Draft::read),
            given: root.given(),
        }
    }

    /// Whether the gateway has a role, if that can be told.
    pub fn has(&self, role: Role) -> Option<bool> {
        self.gateway.has(role)
    }

    /// The path of every key file that the file names.
    pub fn key_files(&self) -> impl Iterator<Item = &Located<PathBuf>> {
        let system = self.mapping_system.iter();
        let peers = system.flat_map(|system| &system.value.map_servers.entries);
        let keys = peers.map(|peer| &peer.value.keys);
        let sites = self.sites.entries.iter().map(|site| &site.value.keys);
        keys.chain(sites)
            .flat_map(|keys| &keys.entries)
            .filter_map(|key: &Located<key::Draft>| key.value.file.as_ref())
    }

    /// The place of the port with this name.
    pub fn port_index(&self, name: &str) -> Option<usize> {
        self.ports.entries.iter().position(|port| port.value.name.as_ref().is_some_and(|n| n.value == name))
    }

    /// The port with this name.
    pub fn port(&self, name: &str) -> Option<&Located<port::Draft>> {
        self.port_index(name).and_then(|index| self.ports.entries.get(index))
    }

    /// Whether every port's name is known, so that another name is surely wrong.
    pub fn port_names_known(&self) -> bool {
        self.ports.whole && self.ports.entries.iter().all(|port| port.value.name.is_some())
    }

    /// The group with this name.
    pub fn group(&self, name: &str) -> Option<&group::Draft> {
        let mut groups = self.groups.entries.iter().map(|group| &group.value);
        groups.find(|group| group.name.as_ref().is_some_and(|known| known.value == name))
    }

    /// The class with this name.
    pub fn class(&self, name: &str) -> Option<&class::Draft> {
        let mut classes = self.classes.entries.iter().map(|class| &class.value);
        classes.find(|class| class.name.as_ref().is_some_and(|known| known.value == name))
    }

    /// The numbers behind the names of each policy's group and class.
    fn policy_numbers(&self) -> Vec<(Option<Iid>, Option<u8>)> {
        let numbers = |policy: &policy::Draft| {
            let group = policy.group.as_ref().and_then(|group| self.group(group.value.as_deref()?));
            let class = policy.class.as_ref().and_then(|class| self.class(&class.value));
            let iid = group.and_then(|group| Some(group.iid.as_ref()?.value));
            (iid, class.and_then(|class| Some(class.id.as_ref()?.value)))
        };
        self.policies.entries.iter().map(|policy| numbers(&policy.value)).collect()
    }

    /// The indices of the ports that may carry locators; nothing when a side is not known.
    pub fn rloc_ports(&self) -> Option<Vec<usize>> {
        let sides: Option<Vec<Side>> =
            self.ports.entries.iter().map(|port| port.value.side.as_ref().map(|side| side.value)).collect();
        let indices =
            sides?.into_iter().enumerate().filter(|(_, side)| side.is_rloc()).map(|(index, _)| index);
        self.ports.whole.then(|| indices.collect())
    }

    /// The index of the port that a locator of ours is reached by: the one named, else the only rloc-side one.
    pub fn rloc_port(&self, rloc: &rloc::Draft) -> Option<usize> {
        match &rloc.port.as_ref()?.value {
            Some(name) => self.port_index(name),
            None => match self.rloc_ports()?.as_slice() {
                [only] => Some(*only),
                _ => None,
            },
        }
    }

    /// The typed configuration; nothing when anything was bad.
    pub fn finish(self, secrets: &Secrets) -> Option<Config> {
        let (serves, resolves) = (self.has(Role::MapServer)?, self.has(Role::MapResolver)?);
        let rloc_ports: Vec<_> = self.rlocs.entries.iter().map(|rloc| self.rloc_port(&rloc.value)).collect();
        let group_ports: Vec<_> = self
            .groups
            .entries
            .iter()
            .map(|group| group.value.port.as_ref().and_then(|port| self.port_index(&port.value)))
            .collect();
        let policy_numbers = self.policy_numbers();
        let gateway = self.gateway.finish()?;
        let dataplane = self.dataplane.finish()?;
        let workers = dataplane.cores.len();
        Some(Config {
            paths: self.paths.finish(&gateway.name)?,
            gateway,
            dataplane,
            ports: all(self.ports.into_values()?.into_iter().map(|port| port.finish(workers)))?,
            rlocs: all(self
                .rlocs
                .into_values()?
                .into_iter()
                .zip(rloc_ports)
                .map(|(rloc, port)| rloc.finish(port)))?,
            groups: all(self
                .groups
                .into_values()?
                .into_iter()
                .zip(group_ports)
                .map(|(group, port)| group.finish(port)))?,
            mappings: all(self.mappings.into_values()?.into_iter().map(mapping::Draft::finish))?,
            mapping_system: optional(self.mapping_system, |draft| draft.finish(secrets))?,
            map_server: optional(self.map_server, map_server::Draft::finish)?
                .or_else(|| (serves || resolves).then(Default::default)),
            map_resolver: optional(self.map_resolver, map_resolver::Draft::finish)?
                .or_else(|| resolves.then(Default::default)),
            sites: all(self.sites.into_values()?.into_iter().map(|site| site.finish(secrets)))?,
            classes: all(self.classes.into_values()?.into_iter().map(class::Draft::finish))?,
            policies: typed_policies(self.policies, policy_numbers)?,
            context: self.context.finish()?,
        })
    }
}

/// The policies with the numbers of their groups and classes.
fn typed_policies(
    policies: Listed<policy::Draft>,
    numbers: Vec<(Option<Iid>, Option<u8>)>,
) -> Option<Vec<Policy>> {
    let policies = policies.into_values()?.into_iter().zip(numbers);
    all(policies.map(|(policy, (group, class))| policy.finish(group, class?)))
}

/// What a section gives, nothing when it is absent; the outer nothing when it was bad.
fn optional<D, T>(draft: Option<Located<D>>, finish: impl FnOnce(D) -> Option<T>) -> Option<Option<T>> {
    match draft {
        None => Some(None),
        Some(draft) => finish(draft.value).map(Some),
    }
}

fn all<T>(parts: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    parts.collect()
}
