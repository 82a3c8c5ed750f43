//! What the lab writes for a gateway is a config that the gateway takes.

use sterna_lab::gateway::plan::GatewayPlan;
use sterna_lab::identity::{LabId, LabLock};
use sterna_lab::two_sites::Site;

#[test]
fn the_generated_config_passes_its_check() {
    // Without a lab there is no name to be had but by the lock, which needs /run.
    let Ok(lock) = LabLock::acquire() else {
        eprintln!("SKIP: /run cannot be written");
        return;
    };
    let id = LabId::take(&lock).unwrap();
    for site in Site::BOTH {
        let mut plan = GatewayPlan::ordinary(&id, site);
        plan.add_tagged_group(30);
        let text = plan.render();
        let config =
            sterna_config::parse(&text, "gateway.toml").unwrap_or_else(|report| panic!("{report:?}\n{text}"));
        assert_eq!(config.groups.len(), 3);
        assert_eq!(config.mappings.len(), 12);
        assert_eq!(config.rlocs.len(), 4);
    }
    std::fs::remove_dir(id.folder()).unwrap();
}
