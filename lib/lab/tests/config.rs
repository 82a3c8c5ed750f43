//! What the lab writes for a gateway and for a Map-Server is a config that they take.

// Also outside the test functions themselves, in what they share.
#![allow(clippy::unwrap_used)]

use sterna_lab::gateway::plan::GatewayPlan;
use sterna_lab::gateway::plan::server::{ServerPlan, SitePlan};
use sterna_lab::identity::{LabId, LabLock};
use sterna_lab::site::Site;

/// A lab's name and folder; without a lab there is none to be had but by the lock, which needs /run.
fn name() -> Option<(LabLock, LabId)> {
    let Ok(lock) = LabLock::acquire() else {
        eprintln!("SKIP: /run cannot be written");
        return None;
    };
    let id = LabId::take(&lock).unwrap();
    Some((lock, id))
}

#[test]
fn the_generated_configs_pass_their_check() {
    let Some((_lock, id)) = name() else { return };
    for site in Site::ALL {
        let mut plan = GatewayPlan::ordinary(&id, site);
        plan.add_tagged_group(30);
        plan.write().unwrap();
        let config = sterna_config::load(&plan.config_file()).unwrap_or_else(|report| panic!("{report:?}"));
        assert_eq!(config.groups.len(), 3);
        assert_eq!(config.mappings.len(), 12);
        assert_eq!(config.rlocs.len(), 4);

        let plan = GatewayPlan::mapped(&id, site);
        plan.write().unwrap();
        let config = sterna_config::load(&plan.config_file()).unwrap_or_else(|report| panic!("{report:?}"));
        assert_eq!((config.mappings.len(), config.groups[0].dynamic_eids.len()), (0, 2));
        assert!(config.groups[1].dynamic_eids.is_empty());
        let system = config.mapping_system.as_ref().unwrap();
        assert_eq!((system.map_servers.len(), system.site_id), (1, u64::from(site.digit())));
    }
    let mut plan = ServerPlan::ordinary(&id, &Site::ALL);
    plan.sites.push(SitePlan::scripted("load", &[(7, "10.0.0.0/8")]));
    plan.limits.push(("request_rate", "1000".to_owned()));
    plan.write().unwrap();
    let config = sterna_config::load(&plan.config_file()).unwrap_or_else(|report| panic!("{report:?}"));
    assert_eq!((config.sites.len(), config.rlocs.len(), config.groups.len()), (4, 2, 0));
    std::fs::remove_dir_all(id.folder()).unwrap();
}
