//! The whole file, typed.

use crate::{
    Class, Context, Dataplane, Gateway, Group, LocalRloc, MapResolver, MapServer, Mapping, MappingSystem,
    Paths, Policy, Port, Role, Site,
};

/// One gateway's configuration.
///
/// A gateway without the role xTR has no ports, groups and mappings, and its [`Dataplane`] is the default one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[gateway]`.
    pub gateway: Gateway,
    /// `[dataplane]`.
    pub dataplane: Dataplane,
    /// `[paths]`.
    pub paths: Paths,
    /// `[[port]]` in the file's order, which is the port index on both planes.
    pub ports: Vec<Port>,
    /// `[[rloc]]`: our own locators, which are also the addresses that control messages come to.
    pub rlocs: Vec<LocalRloc>,
    /// `[[group]]`.
    pub groups: Vec<Group>,
    /// `[[mapping]]`.
    pub mappings: Vec<Mapping>,
    /// `[mapping_system]`; nothing for an xTR that knows all from its file.
    pub mapping_system: Option<MappingSystem>,
    /// `[map_server]`; something exactly for a map-server or map-resolver.
    pub map_server: Option<MapServer>,
    /// `[map_resolver]`; something exactly for a map-resolver.
    pub map_resolver: Option<MapResolver>,
    /// `[[site]]`; some exactly for a map-server.
    pub sites: Vec<Site>,
    /// `[[class]]`.
    pub classes: Vec<Class>,
    /// `[[policy]]` in the file's order: the first that a packet meets holds.
    pub policies: Vec<Policy>,
    /// `[context]`.
    pub context: Context,
}

impl Config {
    /// Whether the gateway has a role.
    pub fn has(&self, role: Role) -> bool {
        self.gateway.roles.contains(&role)
    }
}
