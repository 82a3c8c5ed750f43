//! An agent reports for itself at its gateway's address, from its own host, and for nobody else.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::error::Result;
use crate::gateway::api::{Answer, ask_as_agent};
use crate::gateway::plan::GatewayPlan;
use crate::interrupt;
use crate::site::{Family, GROUPS, Host, Site, anycast_gateway};

use super::run::no_gateway;
use super::skills::{context_path, eid, host, offer};
use super::{Outcome, Run};

/// Where agents report.
const PORT: u16 = 4380;
/// How long it may take until the agent is known.
const ADMITTED: Duration = Duration::from_secs(8);
/// Reports one after the other, a connection each.
const REPORTS: u32 = 20;
/// The site of the agent.
const SITE: Site = Site::C;

/// Opens the port.
pub(super) fn allow(plan: &mut GatewayPlan) {
    plan.context.knobs.push(("eid_api_port", PORT.to_string()));
}

/// Asks from the agent's host, from one of its addresses.
fn ask(run: &Run<'_>, from: IpAddr, method: &str, path: &str, body: &str) -> Result<Answer> {
    let family = if from.is_ipv4() { Family::V4 } else { Family::V6 };
    let gateway = SocketAddr::new(anycast_gateway(family).0, PORT);
    run.lab.host(host(SITE)).run(|| ask_as_agent(from, gateway, method, path, body))?
}

/// The load of the agent that its gateway has, as whoever may open its socket sees it.
fn load_at_gateway(run: &Run<'_>) -> Result<Option<f64>> {
    let gateway = run.lab.gateway(SITE).ok_or_else(no_gateway)?;
    let all = gateway.api().get("/v1/context")?;
    let name = eid().to_string();
    let of = |row: &&serde_json::Value| row["eid"] == name.as_str() && row["iid"] == GROUPS[0];
    Ok(all.as_array().and_then(|rows| rows.iter().find(of)?["context"]["load"].as_f64()))
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let _offer = offer(run, SITE)?;
    let (own, me) = (context_path(eid()), eid());
    interrupt::wait_for("the agent to be known to its gateway", ADMITTED, || {
        let answer = ask(run, me, "PUT", &own, r#"{"state":"active","load":0.5}"#)?;
        Ok(matches!(answer.status, 200 | 204).then_some(()))
    })?;
    let mut taken = 0;
    for _ in 0..REPORTS {
        let answer = ask(run, me, "PATCH", &own, r#"{"load":0.25}"#)?;
        taken += u32::from(matches!(answer.status, 200 | 204));
    }
    let load = load_at_gateway(run)?;
    let others = [
        context_path(Host::new(SITE, 2).eid(Family::V4, Family::V4)),
        own.replace(&format!("/{}/", GROUPS[0]), &format!("/{}/", GROUPS[1])),
    ];
    let foreign = others.iter().map(|path| Ok(ask(run, me, "PATCH", path, r#"{"load":1.0}"#)?.status));
    let foreign = foreign.collect::<Result<Vec<_>>>()?;
    let hidden = ["/v1/status", "/v1/context", "/v1/apply"];
    let hidden = hidden.iter().map(|path| Ok(ask(run, me, "GET", path, "")?.status));
    let hidden = hidden.collect::<Result<Vec<_>>>()?;
    // Over IPv6, from the host's own address there.
    let v6 = Host::new(SITE, 1).eid(Family::V6, Family::V4);
    let over_v6 = ask(run, v6, "PATCH", &own, r#"{"load":1.0}"#)?.status;
    run.figure("eid_api_reports", taken);
    run.figure("eid_api_foreign_refused", foreign.iter().filter(|status| **status == 403).count());
    let ok = taken == REPORTS
        && load == Some(0.25)
        && foreign.iter().all(|status| *status == 403)
        && hidden.iter().all(|status| *status == 404)
        && over_v6 == 403;
    Ok(Outcome::new(
        ok,
        format!(
            "{taken} of {REPORTS} reports taken at {}:{PORT}, load {load:?} known; for others {foreign:?}, over IPv6 {over_v6}; \
             other endpoints {hidden:?}",
            anycast_gateway(Family::V4).0
        ),
    ))
}
