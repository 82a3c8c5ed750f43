//! The whole file, typed.

use crate::{Dataplane, Gateway, Group, LocalRloc, Mapping, Paths, Port};

/// One gateway's configuration.
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
    /// `[[rloc]]`: our own locators.
    pub rlocs: Vec<LocalRloc>,
    /// `[[group]]`.
    pub groups: Vec<Group>,
    /// `[[mapping]]`.
    pub mappings: Vec<Mapping>,
}
