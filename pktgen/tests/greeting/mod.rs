//! A word between a host of the lab and its gateway.

use sterna_lab::lab::Lab;
use sterna_lab::site::{Family, Host, anycast_gateway};
use sterna_lab::traffic::probe::{Probe, ProbePlan, Via};

/// Has a host ask its gateway once: the gateway knows its MAC then, and will not have to look for it under load.
pub fn greet(lab: &Lab, host: Host) {
    let plan = ProbePlan {
        source: host.eid(Family::V4, Family::V4),
        target: anycast_gateway(Family::V4).0,
        via: Via::Icmp,
        group: host.iid(),
        answerer: None,
        rate: 100,
        count: Some(1),
        size: 56,
    };
    assert!(Probe::start(&lab.host(host), plan).unwrap().finish().unwrap().is_perfect());
}
