//! From a Map-Notify to the first packet that follows it.
//!
//! A scripted ETR registers an agent of site B as more specific than its site's prefix, with one of the site's two
//! locators, and then with the other one, over and over. The Map-Server publishes each change to site A's gateway,
//! which sends the agent a steady stream. The kernel's capture in the core has both on one clock: the Map-Notify when
//! it enters the core on its way to the gateway, and the packets when they come out of it.

use std::net::IpAddr;
use std::time::Duration;

use sterna_wire::Prefix;
use sterna_wire::lisp::control::{EidRecord, LocatorRecord, MapNotify, MapRegister};

use super::following::{Following, Passed, follow};
use super::{Accounts, absent, close};
use crate::error::Result;
use crate::gateway::plan::KeyFile;
use crate::gateway::plan::server::{ServerPlan, SitePlan};
use crate::interrupt;
use crate::lab::{Adjust, Lab};
use crate::scenario::agents::{STATIC_PREFIXES, greet, wait_registered};
use crate::script::etr::{ScriptedEtr, key};
use crate::script::itr::iid;
use crate::site::{Family, GROUPS, Host, Site};
use crate::topology::Topology;
use crate::traffic::ledger::Tally;
use crate::traffic::stream::{Stream, StreamPlan};
use crate::underlay::{CORE, Node, rloc};
use crate::witness::sight::{Control, Data, Sight};
use crate::witness::timeline::{Moment, Timeline};

/// Who sends, and the agent whose mapping changes.
const FROM: Host = Host::new(Site::A, 1);
const TO: Host = Host::new(Site::B, 2);
/// The sink's port.
const PORT: u16 = 5403;
/// Two sites, a Map-Server, and somebody to register beside them.
const TOPOLOGY: Topology = Topology { nodes: &[Node::MapServer, Node::Outsider], ..Topology::PLAIN };
const SCRIPTED: &str = "scripted";
/// Between a confirmed change and the next: more than the pause in which a Map-Server gathers changes. Uneven, so that
/// changes do not keep step with anything periodic.
const BETWEEN: Duration = Duration::from_millis(16);
const UNEVEN: u64 = 7;
/// How long the first packets may take, and the last change to be followed.
const PATIENCE: Duration = Duration::from_secs(5);
const LAST: Duration = Duration::from_millis(300);

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct NotifyPlan {
    /// Changes of the mapping.
    pub changes: usize,
    /// Packets per second to the agent: the time between two is the resolution.
    pub rate: u32,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Notified {
    /// The changes.
    pub following: Following,
    /// What became of the stream's packets.
    pub stream: Tally,
    /// The gateways' balance and the lab's end.
    pub accounts: Accounts,
}

/// Builds the lab, changes the mapping so many times, takes the lab down.
///
/// # Errors
/// When the machine cannot have a lab ([`crate::error::LabError::Missing`]), when a change is not confirmed, when the
/// capture has gaps.
pub fn measure(plan: NotifyPlan) -> Result<Notified> {
    let lab = Lab::build(TOPOLOGY, Adjust { gateway: &|_| {}, server: &serve })?;
    wait_registered(&lab, STATIC_PREFIXES * 2)?;
    greet(&lab, &[FROM, TO])?;
    let mut etr = ScriptedEtr::open(
        &lab.namespace(Node::Outsider.name()),
        Node::Outsider.address(Family::V4),
        Node::MapServer.address(Family::V4),
        key(&KeyFile::named(SCRIPTED)),
        1,
    )?;
    etr.register_with(&[record(0)], None)?;
    let stream = Stream::start(&lab.host(FROM), &lab.host(TO), stream(plan.rate))?;
    interrupt::wait_for("the stream's first packets", PATIENCE, || {
        Ok((stream.delivered() > 10).then_some(()))
    })?;
    let timeline = Timeline::start(&lab.namespace(CORE), &lab.id().folder())?;
    let changed = change(&mut etr, plan.changes);
    let moments = timeline.stop()?;
    let (ledger, sent) = stream.stop()?;
    changed?;
    if lab.gateway(FROM.site).is_none() {
        return Err(absent("gateway at site A"));
    }
    Ok(Notified {
        following: follow(moments.iter().filter_map(|moment| Some((moment.at, passed(moment)?)))),
        stream: ledger.close(sent),
        accounts: close(lab)?,
    })
}

/// The scripted ETR may register the agent, and nobody slows it down.
fn serve(plan: &mut ServerPlan) {
    plan.sites.push(SitePlan::scripted(SCRIPTED, &[(GROUPS[0], &format!("{}/32", eid()))]));
    for limit in ["register_rate", "register_rate_per_source"] {
        plan.limits.push((limit, "1000000".to_owned()));
    }
}

fn eid() -> IpAddr {
    TO.eid(Family::V4, Family::V4)
}

fn stream(rate: u32) -> StreamPlan {
    let source = FROM.eid(Family::V4, Family::V4);
    StreamPlan { source, target: eid(), port: PORT, group: GROUPS[0], rate, count: None, size: 64 }
}

/// The agent at one of its site's links.
fn record(link: u8) -> EidRecord {
    let locator = LocatorRecord::unicast(rloc(TO.site, link, Family::V4), 1, 100);
    EidRecord { locators: vec![locator], ..EidRecord::of(iid(GROUPS[0]), Prefix::host(eid())) }
}

fn change(etr: &mut ScriptedEtr, changes: usize) -> Result<()> {
    for (number, link) in (0_u64..).zip([1, 0].iter().cycle().take(changes)) {
        etr.register_with(&[record(*link)], None)?;
        interrupt::sleep(BETWEEN + Duration::from_micros(number * 1_618 % (UNEVEN * 1000)))?;
    }
    interrupt::sleep(LAST)
}

/// What a moment is to this experiment; none of most of it.
fn passed(moment: &Moment) -> Option<Passed> {
    match moment.sight {
        Sight::Lisp(Data { from, to, ports: Some((_, PORT)), .. }) => {
            of_gateway(from).then_some(Passed::Packet(to))
        }
        Sight::Control { to, kind: Control::Notify, .. } if of_gateway(to) => {
            Some(Passed::Notify(locator(&MapNotify::parse(&moment.message).ok()?.records)?))
        }
        Sight::Control { from, kind: Control::NotifyAck, .. } if of_gateway(from) => {
            Some(Passed::Acknowledgement)
        }
        Sight::Control { from, kind: Control::Register, .. }
            if from == Node::Outsider.address(Family::V4) =>
        {
            Some(Passed::Register(locator(&MapRegister::parse(&moment.message).ok()?.records)?))
        }
        _ => None,
    }
}

fn of_gateway(address: IpAddr) -> bool {
    (0..2).any(|link| rloc(FROM.site, link, Family::V4) == address)
}

/// The locator that a message gives the agent, when the message is about it.
fn locator(records: &[EidRecord]) -> Option<IpAddr> {
    let wanted = Some((iid(GROUPS[0]), Prefix::host(eid())));
    let record = records.iter().find(|record| record.prefix() == wanted)?;
    record.locators.first()?.address.rloc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_agents_own_record_counts() {
        let other = EidRecord { ..EidRecord::of(iid(GROUPS[1]), Prefix::host(eid())) };
        assert_eq!(locator(&[other.clone(), record(1)]), Some(rloc(Site::B, 1, Family::V4)));
        assert_eq!(locator(&[other]), None);
    }

    #[test]
    fn a_message_to_another_is_none_of_ours() {
        let mut moment = Moment {
            at: Duration::ZERO,
            sight: Sight::Control {
                from: Node::MapServer.address(Family::V4),
                to: rloc(Site::A, 0, Family::V4),
                kind: Control::Notify,
            },
            message: MapNotify { records: vec![record(0)], ..MapNotify::default() }
                .signed(&key(&KeyFile::named("x"))),
        };
        assert_eq!(passed(&moment), Some(Passed::Notify(rloc(Site::B, 0, Family::V4))));
        moment.sight = Sight::Control {
            from: Node::MapServer.address(Family::V4),
            to: Node::Outsider.address(Family::V4),
            kind: Control::Notify,
        };
        assert_eq!(passed(&moment), None);
    }
}
