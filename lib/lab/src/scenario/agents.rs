//! Agents that come and go: seen by their own packets, or attached and detached by the API.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::command;
use crate::error::{LabError, Result};
use crate::gateway::process::Gateway;
use crate::interrupt;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::site::{Family, GROUPS, Host, anycast_gateway};
use crate::traffic::ledger::Tally;
use crate::traffic::probe::{Probe, ProbePlan, Via};

use super::run::no_gateway;

/// How long a registration may take to be confirmed.
const REGISTERED: Duration = Duration::from_secs(10);
/// A port where nobody listens.
const DISCARD: u16 = 9;

/// Has a host say something from each address, so that its gateway sees that it is there.
///
/// # Errors
/// When an address is not the host's.
pub(crate) fn speak(host: &Namespace, addresses: &[IpAddr]) -> Result<()> {
    host.run(|| {
        for address in addresses {
            let what = || LabError::io(format!("speaking from {address}"));
            let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
            let socket = UdpSocket::bind(SocketAddr::new(*address, 0)).map_err(what())?;
            let gateway = SocketAddr::new(anycast_gateway(family).0, DISCARD);
            socket.send_to(&[0], gateway).map_err(what())?;
        }
        Ok(())
    })?
}

/// Has hosts ask their gateways once, so that neither has to look for the other's MAC while packets are counted.
///
/// # Errors
/// When a host has no such address.
pub(crate) fn greet(lab: &Lab, hosts: &[Host]) -> Result<Tally> {
    let mut sum = Tally::default();
    for host in hosts {
        sum += greet_from(&lab.host(*host), host.eid(Family::V4, Family::V4), host.iid())?;
    }
    Ok(sum)
}

/// One ping to the group's gateway.
pub(super) fn greet_from(host: &Namespace, source: IpAddr, group: u32) -> Result<Tally> {
    let family = if source.is_ipv4() { Family::V4 } else { Family::V6 };
    let plan = ProbePlan {
        source,
        target: anycast_gateway(family).0,
        via: Via::Icmp,
        group,
        answerer: None,
        rate: 100,
        count: Some(1),
        size: 56,
    };
    Probe::start(host, plan)?.finish()
}

/// Prefixes that the Map-Server has a registration for.
pub(super) fn registered(lab: &Lab) -> Result<u64> {
    let server = lab.map_server().ok_or_else(no_gateway)?;
    let status = server.api().get("/v1/status")?;
    status["registrations"].as_u64().ok_or_else(|| LabError::Api {
        gateway: server.plan.name.clone(),
        request: "GET /v1/status".to_owned(),
        status: 200,
        body: format!("no number of registrations: {status}"),
    })
}

/// Waits until the Map-Server has so many.
///
/// # Errors
/// [`LabError::Late`] with what it has instead.
pub(crate) fn wait_registered(lab: &Lab, count: u64) -> Result<()> {
    let mut seen = 0;
    let waited = interrupt::wait_for(&format!("{count} registrations"), REGISTERED, || {
        seen = registered(lab)?;
        Ok((seen >= count).then_some(()))
    });
    match waited {
        Err(LabError::Late { what, seconds, .. }) => {
            Err(LabError::Late { what, seconds, detail: format!(" (there are {seen})") })
        }
        other => other,
    }
}

/// EIDs of the roaming range appear at a host; the mapping system of a lab with two sites knows them when this is over.
///
/// # Errors
/// When an address cannot be added, or is not registered in time.
pub(crate) fn arrive(lab: &Lab, host: Host, eids: &[IpAddr]) -> Result<()> {
    let namespace = lab.host(host);
    address(&namespace, eids)?;
    wait_registered(lab, STATIC_PREFIXES * 2)?;
    speak(&namespace, eids)?;
    wait_registered(lab, STATIC_PREFIXES * 2 + eids.len() as u64)
}

/// Gives a host's interface these addresses.
///
/// # Errors
/// When one cannot be added.
pub(crate) fn address(host: &Namespace, eids: &[IpAddr]) -> Result<()> {
    let add = |eid: &IpAddr| match eid {
        IpAddr::V4(_) => format!("addr add {eid}/32 dev eth0"),
        IpAddr::V6(_) => format!("addr add {eid}/128 dev eth0 nodad"),
    };
    let commands: Vec<String> = eids.iter().map(add).collect();
    command::feed("ip", &["-n", host.name(), "-batch", "-"], &commands.join("\n")).map(|_| ())
}

/// Prefixes that a site of the lab registers by its config: both groups, every combination of families.
pub(crate) const STATIC_PREFIXES: u64 = 8;

/// Attaches an agent of the first group by the API.
///
/// # Errors
/// When the gateway refuses.
pub(super) fn attach(gateway: &Gateway, eid: IpAddr) -> Result<()> {
    let group = GROUPS[0];
    gateway.api().post(&format!("/v1/agents/attach?iid={group}&eid={eid}")).map(|_| ())
}

/// Tells a gateway that an agent of the first group is about to leave.
///
/// # Errors
/// When the gateway refuses.
pub(super) fn detach(gateway: &Gateway, eid: IpAddr) -> Result<()> {
    let group = GROUPS[0];
    gateway.api().post(&format!("/v1/agents/detach?iid={group}&eid={eid}")).map(|_| ())
}
