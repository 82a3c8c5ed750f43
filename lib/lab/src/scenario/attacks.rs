//! Attacks by name: each is counted as often as it was tried, and nothing of it reaches an agent.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use sterna_wire::Prefix;
use sterna_wire::lisp::control::auth::{Algorithm, Key};

use crate::error::{LabError, Result};
use crate::gateway::api::Api;
use crate::gateway::plan::KeyFile;
use crate::gateway::plan::server::{ServerPlan, SitePlan};
use crate::interrupt;
use crate::script::etr::{CONTROL, Entry, ScriptedEtr, key};
use crate::script::forge::{Ends, Forge, mac_of};
use crate::script::itr::iid;
use crate::script::liar::Liar;
use crate::site::{Family, GROUPS, Host, Site, anycast_mac};
use crate::traffic::payload::{HEADER, Payload};
use crate::traffic::responder::{Impairment, PORT, Responder};
use crate::underlay::{CORE, Node, rloc};
use crate::witness::control::Captured;
use crate::witness::sight::Control;

use super::agents::{STATIC_PREFIXES, greet, wait_registered};
use super::moving::gateway;
use super::run::no_gateway;
use super::{Outcome, Run};

/// How often each attack is tried.
const TRIES: u64 = 20;
/// Between two tries: so slow that no rate limit has a part in the outcome.
const PAUSE: Duration = Duration::from_millis(10);
/// After the last try: held packets are decided by then.
const DECIDED: Duration = Duration::from_millis(2500);
/// The instance-ID in forged payloads: whoever hears it has been reached by an attack.
const FORGED: u32 = 666;
/// The site that the liar has a key of.
const LIAR: &str = "liar";
/// EIDs of that site.
const LIARS: &str = "10.1.50.0/24";
/// A group that nobody has.
const FOREIGN: u32 = 999;

/// The liar is a site like any other, for what it may register.
pub(super) fn server(plan: &mut ServerPlan, _: bool) {
    plan.sites.push(SitePlan::scripted(LIAR, &[(GROUPS[0], LIARS)]));
}

/// What was tried and what was counted.
struct Tried {
    name: &'static str,
    tries: u64,
    counted: u64,
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    wait_registered(&run.lab, STATIC_PREFIXES * 2)?;
    let hosts = Host::of(&Site::BOTH);
    let tally = greet(&run.lab, &hosts)?;
    run.count(&tally);
    let mut ears = Vec::new();
    for host in &hosts {
        let namespace = run.lab.host(*host);
        ears.push(Responder::start(&namespace, &host.eids(), host.tag(), host.iid(), Impairment::default())?);
    }
    let mut tried = vec![
        forged_registers(run)?,
        over_claims(run)?,
        replays(run, "replayed_register")?,
        spoofed_underlay(run)?,
        spoofed_agent(run)?,
        foreign_iid(run)?,
    ];
    let server = run.lab.map_server_mut().ok_or_else(no_gateway)?;
    server.kill()?;
    server.start()?;
    tried.push(replays(run, "replayed_register_after_restart")?);
    let leaked: u64 = ears.iter().map(Responder::strayed).sum();
    run.figure("leaked", leaked);
    let mut words = Vec::new();
    for attack in &tried {
        run.figure(attack.name, attack.tries);
        words.push(format!("{}: {} tried, {} counted", attack.name, attack.tries, attack.counted));
    }
    let uncounted = tried.iter().filter(|attack| attack.tries == 0 || attack.tries != attack.counted).count();
    run.figure("attacks_miscounted", uncounted);
    words.push(format!("{leaked} packets of them reached an agent"));
    Ok(Outcome::new(uncounted == 0 && leaked == 0, words.join("; ")))
}

fn server_api<'r>(run: &'r Run<'_>) -> Result<&'r Api> {
    Ok(run.lab.map_server().ok_or_else(no_gateway)?.api())
}

fn outsider(family: Family) -> IpAddr {
    Node::Outsider.address(family)
}

/// The outsider's interface, with any source address.
fn underlay_forge(run: &Run<'_>) -> Result<Forge> {
    let core = mac_of(&run.lab.namespace(CORE), &Node::Outsider.core_port())?;
    Forge::open(&run.lab.namespace(Node::Outsider.name()), "rloc0", core)
}

fn times(mut one: impl FnMut(u64) -> Result<()>) -> Result<()> {
    (0..TRIES).try_for_each(|number| {
        one(number)?;
        interrupt::sleep(PAUSE)
    })
}

/// Registers for site B's agents with a key that is nobody's.
fn forged_registers(run: &Run<'_>) -> Result<Tried> {
    let before = server_api(run)?.count("auth_data")?;
    let namespace = run.lab.namespace(Node::Outsider.name());
    let wrong = Key::new(1, Algorithm::HmacSha256_128, b"a guess");
    let server = Node::MapServer.address(Family::V4);
    let mut etr = ScriptedEtr::open(&namespace, outsider(Family::V4), server, wrong, 9)?;
    times(|number| {
        let eid = Ipv4::host(24, u8::try_from(number + 1).unwrap_or(u8::MAX));
        let entry = Entry { iid: iid(GROUPS[0]), prefix: eid, locators: vec![outsider(Family::V4)] };
        let message = etr.register_message(&[entry]);
        etr.send(&message)
    })?;
    let counted = server_api(run)?.count("auth_data")? - before;
    Ok(Tried { name: "forged_register", tries: TRIES, counted })
}

/// Addresses of the groups' range.
struct Ipv4;

impl Ipv4 {
    fn of(net: u8, last: u8) -> IpAddr {
        [10, 1, net, last].into()
    }

    fn host(net: u8, last: u8) -> Prefix {
        Prefix::host(Self::of(net, last))
    }
}

/// An authentic ETR answers for everything, site A's own EIDs included.
fn over_claims(run: &Run<'_>) -> Result<Tried> {
    let namespace = run.lab.namespace(Node::Outsider.name());
    let (own, server) = (outsider(Family::V4), Node::MapServer.address(Family::V4));
    let mut etr = ScriptedEtr::open(&namespace, own, server, key(&KeyFile::named(LIAR)), 8)?;
    etr.proxy_reply = false;
    let eids: Vec<IpAddr> = (1..=5).map(|last| Ipv4::of(50, last)).collect();
    let entries =
        eids.iter().map(|eid| Entry { iid: iid(GROUPS[0]), prefix: Prefix::host(*eid), locators: vec![own] });
    etr.register_all(entries)?;
    let everything = Prefix::new([10, 1, 0, 0].into(), 16);
    let Ok(everything) = everything else { return Err(no_gateway()) };
    let asker = Host::new(Site::A, 1);
    let api = gateway(run, asker.site)?.api();
    let before = api.count("reply_overclaim")?;
    let liar = Liar::start(&namespace, own, everything)?;
    run.lab.host(asker).run(|| {
        let what = || LabError::io("asking for the liar's EIDs");
        let source = SocketAddr::new(asker.eid(Family::V4, Family::V4), 0);
        let socket = UdpSocket::bind(source).map_err(what())?;
        eids.iter().try_for_each(|eid| socket.send_to(&[0], (*eid, PORT)).map(|_| ())).map_err(what())
    })??;
    interrupt::sleep(Duration::from_millis(800))?;
    let tries = liar.finish();
    interrupt::sleep(Duration::from_millis(100))?;
    Ok(Tried { name: "overclaiming_reply", tries, counted: api.count("reply_overclaim")? - before })
}

/// Site B's last authentic register, from site B's address, again.
fn replays(run: &Run<'_>, name: &'static str) -> Result<Tried> {
    let from = rloc(Site::B, 0, Family::V4);
    let is_bs = |m: &Captured| m.kind() == Control::Register && is_of_b(m.from);
    let seen = run.lab.witness().and_then(|witness| witness.control()).ok_or_else(no_gateway)?.messages()?;
    let Some(captured) = seen.into_iter().rfind(is_bs) else {
        return Err(LabError::Witness("no Map-Register of site B was seen".to_owned()));
    };
    let forge = underlay_forge(run)?;
    let ends = Ends { from, to: Node::MapServer.address(Family::V4) };
    let api = server_api(run)?;
    let counted = |api: &Api| Ok::<u64, LabError>(api.count("replayed")? + api.count("repeated")?);
    let before = counted(api)?;
    times(|_| forge.udp(ends, (CONTROL, CONTROL), &captured.message))?;
    interrupt::sleep(Duration::from_millis(100))?;
    Ok(Tried { name, tries: TRIES, counted: counted(api)? - before })
}

fn is_of_b(address: IpAddr) -> bool {
    (0..2).any(|link| Family::BOTH.iter().any(|family| rloc(Site::B, link, *family) == address))
}

fn forged_payload() -> [u8; HEADER + 8] {
    let mut payload = [0; HEADER + 8];
    Payload { group: FORGED, sequence: 0, due_ns: 0, answerer: 0 }.emit(&mut payload);
    payload
}

/// Encapsulated packets from an underlay address that site B's agent is not behind.
fn spoofed_underlay(run: &Run<'_>) -> Result<Tried> {
    let (victim, target) = (Host::new(Site::B, 1), Host::new(Site::A, 1));
    let outer = Ends { from: outsider(Family::V4), to: rloc(Site::A, 0, Family::V4) };
    let inner = Ends { from: victim.eid(Family::V4, Family::V4), to: target.eid(Family::V4, Family::V4) };
    encapsulated(run, "spoofed_data_from_underlay", outer, GROUPS[0], inner, "rloc_spoof")
}

/// The right underlay address, and a group that nobody has.
fn foreign_iid(run: &Run<'_>) -> Result<Tried> {
    let (victim, target) = (Host::new(Site::B, 1), Host::new(Site::A, 1));
    let outer = Ends { from: rloc(Site::B, 0, Family::V4), to: rloc(Site::A, 0, Family::V4) };
    let inner = Ends { from: victim.eid(Family::V4, Family::V4), to: target.eid(Family::V4, Family::V4) };
    encapsulated(run, "foreign_iid", outer, FOREIGN, inner, "unknown_iid")
}

fn encapsulated(
    run: &Run<'_>,
    name: &'static str,
    outer: Ends,
    iid: u32,
    inner: Ends,
    reason: &str,
) -> Result<Tried> {
    let forge = underlay_forge(run)?;
    let before = dropped(run, Site::A, reason)?;
    times(|_| forge.lisp(outer, iid, inner, PORT, &forged_payload()))?;
    interrupt::sleep(DECIDED)?;
    Ok(Tried { name, tries: TRIES, counted: dropped(run, Site::A, reason)? - before })
}

/// An agent of site A writes an agent of site B as its source.
fn spoofed_agent(run: &Run<'_>) -> Result<Tried> {
    let (attacker, claimed) = (Host::new(Site::A, 2), Host::new(Site::B, 2));
    let forge = Forge::open(&run.lab.host(attacker), "eth0", anycast_mac(attacker.iid()))?;
    let target = Host::new(Site::B, 1).eid(Family::V4, Family::V4);
    let ends = Ends { from: claimed.eid(Family::V4, Family::V4), to: target };
    let before = dropped(run, Site::A, "src_not_local")?;
    times(|_| forge.udp(ends, (PORT, PORT), &forged_payload()))?;
    interrupt::sleep(Duration::from_millis(100))?;
    let counted = dropped(run, Site::A, "src_not_local")? - before;
    Ok(Tried { name: "spoofed_data_from_agent", tries: TRIES, counted })
}

/// Packets that a gateway dropped for a reason.
fn dropped(run: &Run<'_>, site: Site, reason: &str) -> Result<u64> {
    let drops = gateway(run, site)?.drops()?;
    let is_it = |name: &str| name == reason || name.strip_prefix("drop_") == Some(reason);
    Ok(drops.iter().filter(|drop| is_it(&drop.reason)).map(|drop| drop.count).sum())
}
