//! Agents behind an 802.1Q tag, on the same ports and with the same addresses as group 100.

use std::net::{IpAddr, Ipv4Addr};

use crate::error::Result;
use crate::gateway::plan::{GatewayPlan, TAG, TAGGED_GROUP};
use crate::site::{Family, Host, Site, anycast_gateway, anycast_mac};
use crate::traffic::tagged::{TaggedAgent, TaggedPlan};

use super::{Outcome, Run};

const RATE: u32 = 500;
const COUNT: u64 = 500;

/// Adds the tagged group; the negative control tags it otherwise at site B.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    let tag = if negative && plan.site == Site::B { TAG + 1 } else { TAG };
    plan.add_tagged_group(tag);
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let (a, b) = (Host::new(Site::A, 1), Host::new(Site::B, 1));
    let one = start(run, a)?;
    let other = start(run, b)?;
    let mac = one.find_gateway()?;
    let tally = one.ping(address(b), RATE, COUNT)?;
    run.count(&tally);
    let mistagged = one.mistagged() + other.mistagged();
    run.figure("mistagged", mistagged);
    run.figure("answered_behind_the_tag", other.answered());
    Ok(Outcome::new(
        tally.is_perfect() && mistagged == 0 && other.answered() == COUNT && mac == anycast_mac(TAGGED_GROUP),
        format!(
            "{} to {} behind tag {TAG}, group {TAGGED_GROUP}: {tally}; {} answered at the far end, {mistagged} \
             with a wrong tag",
            address(a),
            address(b),
            other.answered()
        ),
    ))
}

fn address(host: Host) -> Ipv4Addr {
    v4(host.eid(Family::V4, Family::V4))
}

fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

fn start(run: &Run<'_>, host: Host) -> Result<TaggedAgent> {
    let plan = TaggedPlan {
        address: address(host),
        gateway: v4(anycast_gateway(Family::V4).0),
        tag: TAG,
        group: TAGGED_GROUP,
    };
    TaggedAgent::start(&run.lab.host(host), plan)
}
