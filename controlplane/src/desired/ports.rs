//! Ports by the index that records use.

use sterna_config::{Config, Side};

/// The port list of the dataplane, whose order gives the index in records.
///
/// It is the config's own list until a dataplane says which it has. A port of the config that the dataplane does
/// not have (it runs on an older file) has no index, and what needs it is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    names: Vec<String>,
    /// By the config's index: the dataplane's.
    index: Vec<Option<u16>>,
    sides: Vec<Side>,
    config_names: Vec<String>,
}

impl Ports {
    /// The ports of `config`, with the indices of a dataplane that has `names` in this order.
    pub fn new(config: &Config, names: Vec<String>) -> Self {
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        let index = config.ports.iter().map(|port| place(&port.name).and_then(|at| u16::try_from(at).ok()));
        Self {
            index: index.collect(),
            sides: config.ports.iter().map(|port| port.side).collect(),
            config_names: config.ports.iter().map(|port| port.name.clone()).collect(),
            names,
        }
    }

    /// The ports of `config`, in its own order.
    pub fn of(config: &Config) -> Self {
        Self::new(config, config.ports.iter().map(|port| port.name.clone()).collect())
    }

    /// The same dataplane under another config.
    pub fn under(&self, config: &Config) -> Self {
        Self::new(config, self.names.clone())
    }

    /// The record index of the config's port number `configured`.
    pub fn index(&self, configured: usize) -> Option<u16> {
        *self.index.get(configured)?
    }

    /// The record index of the rloc-side port with this name.
    pub fn rloc_side(&self, name: &str) -> Option<u16> {
        let at = self.config_names.iter().position(|port| port == name)?;
        self.sides.get(at)?.is_rloc().then(|| self.index(at))?
    }

    /// The name of the port with this record index.
    pub fn name(&self, index: u16) -> Option<&str> {
        self.names.get(usize::from(index)).map(String::as_str)
    }

    /// The record index of the port with this name.
    pub fn named(&self, name: &str) -> Option<u16> {
        self.names.iter().position(|port| port == name).and_then(|at| u16::try_from(at).ok())
    }

    /// Ports of the config that the dataplane does not have.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        let named = self.config_names.iter().zip(&self.index);
        named.filter(|(_, index)| index.is_none()).map(|(name, _)| name.as_str())
    }
}
