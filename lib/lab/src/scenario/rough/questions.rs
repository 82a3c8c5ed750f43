//! First packets to EIDs that nobody has asked for, over a rough link.

use std::net::IpAddr;

use serde_json::Value;

use crate::error::Result;
use crate::relay::profile::Profile;
use crate::site::{Family, Host, Site, roaming_eid};
use crate::traffic::fan::{Fan, FanPlan, Fanned};
use crate::underlay::rloc;

use super::super::Run;
use super::super::agents::{address, registered, speak, wait_registered};
use super::super::moving::gateway;
use super::excuses::{Excuses, KINDS};
use super::{Part, path};

/// EIDs of each family on each kind of link, of a whole run and of a short one.
const EACH: [u8; 2] = [25, 10];
/// The last number of the first one.
const FIRST: u8 = 101;
/// Packets to each.
const PACKETS: u64 = 5;
/// Packets per second, of each family.
const RATE: u32 = 1000;
/// Ports of their sinks, by family.
const PORTS: [u16; 2] = [5100, 5101];
const FROM: Host = Host::new(Site::A, 1);
const TO: Host = Host::new(Site::B, 1);
/// A second Map-Request follows half a second after the first, a third a second later: as many as a link loses in a row.
const RETRIES_MS: u64 = 1500;

/// EIDs that are asked for on each kind of link, and the asker, for whom the far end asks.
pub fn count(run: &Run<'_>) -> u64 {
    u64::from(each(run)) * 2 + 1
}

fn each(run: &Run<'_>) -> u8 {
    EACH[usize::from(run.short)]
}

fn eids(run: &Run<'_>, number: u8, family: Family) -> Vec<IpAddr> {
    let first = FIRST + number * each(run);
    (first..first + each(run)).map(|last| roaming_eid(family, last)).collect()
}

/// All EIDs of all links appear at site B; how many.
pub fn arrive(run: &Run<'_>) -> Result<u64> {
    let namespace = run.lab.host(TO);
    let all = |family| (0..KINDS).flat_map(move |number| eids(run, number, family));
    let all: Vec<IpAddr> = Family::BOTH.into_iter().flat_map(all).collect();
    address(&namespace, &all)?;
    let before = registered(&run.lab)?;
    speak(&namespace, &all)?;
    wait_registered(&run.lab, before + all.len() as u64)?;
    Ok(all.len() as u64)
}

/// Questions under way.
pub struct Asking {
    fans: Vec<Fan>,
    eids: Vec<IpAddr>,
}

/// Sends the first packets to the EIDs of a kind of link.
pub fn start(run: &Run<'_>, profile: &Profile, number: u8) -> Result<Asking> {
    let (mut fans, mut all) = (Vec::new(), Vec::new());
    for (family, port) in Family::BOTH.into_iter().zip(PORTS) {
        let eids = eids(run, number, family);
        let mut plan = FanPlan::to_addresses(FROM.eid(family, Family::V4), &eids, port);
        (plan.group, plan.rate, plan.rounds) = (FROM.iid(), RATE, Some(PACKETS));
        // The question there and back, the packet's own way, and retries.
        plan.grace = path(profile) * 2 + std::time::Duration::from_millis(RETRIES_MS);
        fans.push(Fan::start(&run.lab.host(FROM), &run.lab.host(TO), plan)?);
        all.extend(eids);
    }
    Ok(Asking { fans, eids: all })
}

impl Asking {
    /// Waits for the last packets.
    pub fn finish(self, _run: &Run<'_>) -> Result<Asked> {
        let fanned = self.fans.into_iter().map(Fan::finish).collect::<Result<Vec<_>>>()?;
        Ok(Asked { fanned, eids: self.eids })
    }
}

/// What came of them.
pub struct Asked {
    fanned: Vec<Fanned>,
    eids: Vec<IpAddr>,
}

impl Asked {
    /// Looks at what is missing, and at what site A's gateway believes now.
    pub fn judge(self, run: &Run<'_>, excuses: &Excuses) -> Result<Part> {
        let (mut tally, mut unexplained, mut first_ms) = (Default::default(), 0, 0.0_f64);
        for (fanned, port) in self.fanned.iter().zip(PORTS) {
            tally += fanned.tally;
            let missing = fanned.missing.iter().map(|(flow, sequence)| (port, *flow, *sequence));
            unexplained += excuses.unexplained(missing);
            first_ms = first_ms.max(fanned.first_p99_ms());
        }
        let mappings = gateway(run, Site::A)?.api().get("/v1/mappings")?;
        let wrong = self.eids.iter().filter(|eid| is_wrong(&mappings, **eid)).count();
        let words = format!(
            "{} EIDs asked for: 99 % of the first packets within {first_ms:.0} ms, {unexplained} missing without a \
             reason, {wrong} wrong mappings",
            self.eids.len()
        );
        Ok(Part { tally, unexplained, wrong: wrong as u64, ok: true, words })
    }
}

/// Whether there is a mapping for this EID with another locator than its site's.
fn is_wrong(mappings: &Value, eid: IpAddr) -> bool {
    locators(mappings, eid).is_some_and(|found| found != [rloc(Site::B, 0, Family::V4).to_string()])
}

/// The locators that a gateway's answer of mappings has for a host of the first group; none while it does not know.
pub fn locators(mappings: &Value, eid: IpAddr) -> Option<Vec<String>> {
    let length = if eid.is_ipv4() { 32 } else { 128 };
    let prefix = format!("{eid}/{length}");
    let rows = mappings.as_array()?;
    let row = rows.iter().find(|row| row["eid"] == prefix.as_str() && row["iid"] == FROM.iid())?;
    if row["state"] == "resolving" {
        return None;
    }
    let locators = row["locators"].as_array()?;
    Some(locators.iter().filter_map(|locator| locator["address"].as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn another_locator_is_wrong_and_none_yet_is_not() {
        let row = |state: &str, address: &str| json!([{"iid": 100, "eid": "10.1.200.101/32", "state": state, "locators": [{"address": address}]}]);
        let eid: IpAddr = [10, 1, 200, 101].into();
        assert!(!is_wrong(&row("fresh", "198.51.100.1"), eid));
        assert!(is_wrong(&row("fresh", "203.0.113.1"), eid));
        assert!(!is_wrong(&row("resolving", "203.0.113.1"), eid));
        assert!(!is_wrong(&json!([]), eid));
        let negative = json!([{"iid": 100, "eid": "10.1.200.101/32", "state": "negative", "locators": []}]);
        assert!(is_wrong(&negative, eid));
    }
}
