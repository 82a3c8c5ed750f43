//! What is wrong beside the config, a sentence each.

use std::collections::BTreeSet;

use tracing::warn;

use super::ControlPlane;

impl ControlPlane {
    /// Logs what is newly wrong beside the config.
    pub(super) fn warn(&mut self) {
        let now = self.find_warnings();
        for warning in now.difference(&self.warnings) {
            warn!("{warning}");
        }
        self.warnings = now;
    }

    fn find_warnings(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for name in self.ports.missing() {
            found.insert(format!("the dataplane does not have the port {name}: restart it with this config"));
        }
        for (remote, path) in &self.tables.paths().remotes {
            if path.is_none() {
                found.insert(format!(
                    "the locator {remote} cannot be used: no [[rloc]] of its address family"
                ));
            }
        }
        if self.facts.links.is_empty() {
            return found;
        }
        for rloc in &self.config.rlocs {
            let Some(port) = rloc.port.and_then(|port| self.config.ports.get(port)) else {
                continue;
            };
            let on = |link| self.facts.has_address(Some(link), rloc.address);
            if !on(&port.name) && !on("lo") {
                let (address, name) = (rloc.address, &port.name);
                found.insert(format!("the RLOC {address} is not on {name}: add it with `ip address add`"));
            }
        }
        found
    }
}
