//! An agent changes its site under traffic, again and again: announced, with both links for a while, unannounced.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{LabError, Result};
use crate::gateway::plan::GatewayPlan;
use crate::gateway::plan::server::ServerPlan;
use crate::gateway::process::Gateway;
use crate::interrupt;
use crate::relay::cable::Cable;
use crate::report::Table;
use crate::site::{Family, GROUPS, Host, ROAMER, Site, roaming_eid};
use crate::topology::ROAMER_PLACE;
use crate::traffic::ledger::quantile;
use crate::traffic::transfer::{Transfer, TransferPlan, Transferred};
use crate::underlay::{Node, rloc};
use crate::witness::control::Captured;
use crate::witness::sight::Control;
use crate::witness::tally::Followed;

use self::traffic::Leg;
pub(super) use self::traffic::Traffic;
use super::agents::{STATIC_PREFIXES, attach, detach, greet, greet_from, wait_registered};
use super::run::no_gateway;
use super::{Outcome, Run};

mod episodes;
mod traffic;

/// Packets per second each way.
const RATE: u32 = 5000;
/// Bytes per second over TCP.
const TCP_RATE: u32 = 1_200_000;
/// Payload bytes of the UDP packets.
const SIZE: usize = 200;
/// Port of the packets to the agent that moves.
const DOWN: u16 = 5201;
/// Port of the packets from it.
const UP: u16 = 5202;
/// Moves in each mode.
const MOVES: u32 = 10;
/// Between one move and the next.
const SETTLE: Duration = Duration::from_millis(500);
/// How long both links are there.
const OVERLAP: Duration = Duration::from_millis(150);
/// How long the agent has no link at all while it is being moved, beside what its new plug takes. It is part of each
/// detour, and no gateway's doing.
const UNPLUGGED: Duration = Duration::from_millis(2);
/// Moves that are believed within their time in these scenarios: more than there are.
const BELIEVED: u32 = 1000;
/// Ten times the budgets of an announced move, milliseconds.
const TEN_TIMES_DETOUR_MS: f64 = 100.0;
const TEN_TIMES_GAP_MS: u64 = 500;
/// What the lab's own hosts add to a bound on losses: the time between an event and the witness's note of it.
const SLACK: Duration = Duration::from_millis(20);

/// How an agent moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The old gateway is told before, the new one after; while it has no link the agent waits.
    Announced,
    /// The new link is there, and the new gateway told, before the old one goes.
    BothLinks,
    /// The link goes from one site to the other and nobody is told.
    Unannounced,
}

/// Without its dynamic range site C does not take the agent.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    believe_many_moves(plan);
    if negative && plan.site == Site::C {
        plan.groups.iter_mut().for_each(|group| group.dynamic_eids.clear());
    }
}

/// More moves in a short time than a real agent makes.
pub(super) fn believe_many_moves(plan: &mut GatewayPlan) {
    if let Some(registry) = &mut plan.registry {
        registry.knobs.push(("moves_max", BELIEVED.to_string()));
    }
}

pub(super) fn server(plan: &mut ServerPlan, _: bool) {
    plan.limits.push(("moves_max", BELIEVED.to_string()));
}

pub(super) fn announced(run: &mut Run<'_>) -> Result<Outcome> {
    let seen = travel(run, Mode::Announced, MOVES)?;
    run.figure("detour_p99_ms", seen.detour_p99_ms);
    run.figure("longest_gap_ms", seen.longest_gap_ms);
    let in_time = seen.detour_p99_ms < TEN_TIMES_DETOUR_MS && seen.longest_gap_ms < TEN_TIMES_GAP_MS;
    run.figure("announced_lost", seen.lost);
    // What the old site held while the agent had no link goes on to the new one.
    let whole = seen.is_whole() && seen.relayed > 0;
    Ok(Outcome::new(whole && seen.lost == 0 && in_time, seen.in_words("announced")))
}

/// Once, as the demo's last step.
pub(super) fn once(run: &mut Run<'_>) -> Result<Outcome> {
    let seen = travel(run, Mode::Announced, 2)?;
    Ok(Outcome::new(seen.is_whole() && seen.relayed > 0 && seen.lost == 0, seen.in_words("announced")))
}

pub(super) fn both_links(run: &mut Run<'_>) -> Result<Outcome> {
    let seen = travel(run, Mode::BothLinks, MOVES)?;
    run.figure("both_links_lost", seen.lost);
    run.figure("both_links_longest_gap_ms", seen.longest_gap_ms);
    Ok(Outcome::new(seen.is_whole() && seen.lost == 0, seen.in_words("with both links for a while")))
}

pub(super) fn unannounced(run: &mut Run<'_>) -> Result<Outcome> {
    let seen = travel(run, Mode::Unannounced, MOVES)?;
    run.figure("unannounced_lost", seen.lost);
    run.figure("unannounced_lost_bound", seen.bound);
    run.figure("unannounced_longest_gap_ms", seen.longest_gap_ms);
    run.figure("detect_ms", seen.detect_ms);
    run.figure("notify_ms", seen.notify_ms);
    let words = format!(
        "{}; the new site's Map-Register came {:.1} ms after the plug on average, the old one's Map-Notify {:.1} ms \
         later: at {RATE} packets/s each way that bounds the loss to {}",
        seen.in_words("unannounced"),
        seen.detect_ms,
        seen.notify_ms,
        seen.bound
    );
    Ok(Outcome::new(seen.is_whole() && seen.lost <= seen.bound, words))
}

/// What came of some moves.
struct Journey {
    moves: u32,
    lost: u64,
    faults: u64,
    relayed: u64,
    detour_p99_ms: f64,
    longest_gap_ms: u64,
    detect_ms: f64,
    notify_ms: f64,
    bound: u64,
    tcp: Option<Transferred>,
    tcp_resets: u64,
}

impl Journey {
    fn is_whole(&self) -> bool {
        let tcp = self.tcp.as_ref().is_some_and(|tcp| tcp.matches() && tcp.received > 0);
        tcp && self.tcp_resets == 0 && self.faults == 0
    }

    fn in_words(&self, how: &str) -> String {
        let tcp = self.tcp.as_ref().map_or("TCP broke".to_owned(), |tcp| {
            let digest = if tcp.matches() { "the same" } else { "DIFFERENT" };
            format!("{} bytes over TCP, digests {digest}", tcp.received)
        });
        format!(
            "{} moves {how} under {RATE} packets/s each way: {} lost, {} twice or changed; {tcp}, {} resets; {} packets \
             relayed, 99 % of them within {:.2} ms; longest gap {} ms",
            self.moves,
            self.lost,
            self.faults,
            self.tcp_resets,
            self.relayed,
            self.detour_p99_ms,
            self.longest_gap_ms
        )
    }
}

/// The agent's EID.
pub(super) fn eid() -> IpAddr {
    roaming_eid(Family::V4, ROAMER_PLACE)
}

/// Plugs the agent in at site B and waits until everyone knows.
pub(super) fn arrive(run: &mut Run<'_>) -> Result<()> {
    let already = cable(run)?.speaks_at();
    if already != Some(Site::B) {
        wait_registered(&run.lab, STATIC_PREFIXES * run.lab.topology().sites.len() as u64)?;
        cable(run)?.plug(Some(Site::B));
        let agent = run.lab.namespace(ROAMER);
        run.count(&greet_from(&agent, eid(), GROUPS[0])?);
        wait_registered(&run.lab, STATIC_PREFIXES * run.lab.topology().sites.len() as u64 + 1)?;
    }
    run.count(&greet(&run.lab, &[Host::new(Site::A, 1)])?);
    Ok(())
}

fn travel(run: &mut Run<'_>, mode: Mode, moves: u32) -> Result<Journey> {
    arrive(run)?;
    let witness = run.lab.witness().ok_or_else(no_gateway)?;
    let links = [Site::B, Site::C].into_iter().flat_map(|site| (0..2).map(move |link| (site, link)));
    let relays = links.flat_map(|(site, link)| Family::BOTH.map(|family| rloc(site, link, family)));
    witness.follow(Followed { relays: relays.collect(), ..Followed::default() });
    let stays = Host::new(Site::A, 1);
    let plan = TransferPlan {
        source: stays.eid(Family::V4, Family::V4),
        target: eid(),
        port: 5200,
        bytes: u64::MAX,
        pace: Some(TCP_RATE),
    };
    let transfer = Transfer::start(&run.lab.host(stays), &run.lab.namespace(ROAMER), plan)?;
    let traffic = Traffic::start(run)?;
    let plugged = make_moves(run, mode, moves, &traffic);
    // Whatever became of the moves: nothing may go on sending.
    let tcp = transfer.stop();
    let legs = traffic.stop()?;
    let plugged = plugged?;
    for episode in episodes::all(mode, &plugged, &legs) {
        run.episode(&episode);
    }
    judge(run, moves, &plugged, tcp, legs)
}

/// The moves, one after another.
fn make_moves(run: &Run<'_>, mode: Mode, moves: u32, traffic: &Traffic) -> Result<Vec<Plugged>> {
    let mut plugged = Vec::new();
    interrupt::sleep(SETTLE)?;
    for number in 0..moves {
        let (from, to) = if number % 2 == 0 { (Site::B, Site::C) } else { (Site::C, Site::B) };
        let began = now();
        change(run, mode, from, to)?;
        plugged.push(Plugged { began, at: now(), sent: traffic.sent(), from, to, after: String::new() });
        interrupt::sleep(SETTLE)?;
        if let Some(last) = plugged.last_mut() {
            last.after = whereabouts(run);
        }
    }
    Ok(plugged)
}

/// One move.
pub(super) fn change(run: &Run<'_>, mode: Mode, from: Site, to: Site) -> Result<()> {
    let cable = cable(run)?;
    match mode {
        Mode::Announced => {
            detach(gateway(run, from)?, eid())?;
            cable.pause(true);
            cable.plug(None);
            interrupt::sleep(UNPLUGGED)?;
            cable.plug(Some(to));
            let attached = attach(gateway(run, to)?, eid());
            cable.pause(false);
            attached
        }
        Mode::BothLinks => {
            cable.hear(to, true);
            attach(gateway(run, to)?, eid())?;
            cable.speak_at(Some(to));
            interrupt::sleep(OVERLAP)?;
            cable.hear(from, false);
            Ok(())
        }
        Mode::Unannounced => {
            cable.plug(Some(to));
            Ok(())
        }
    }
}

fn judge(
    run: &mut Run<'_>,
    moves: u32,
    plugged: &[Plugged],
    tcp: Result<Transferred>,
    [down, up]: [Leg; 2],
) -> Result<Journey> {
    let witness = run.lab.witness().ok_or_else(no_gateway)?;
    witness.settle()?;
    let followed = witness.followed();
    let control = witness.control().ok_or_else(no_gateway)?.messages()?;
    let mut detours: Vec<u32> = followed
        .relayed
        .iter()
        .filter(|(port, _)| *port == DOWN)
        .filter_map(|(_, sequence)| down.ledger.delay_us(*sequence))
        .collect();
    detours.sort_unstable();
    let (detect, notify) = times(plugged, &control);
    let lost = [&down, &up].map(|leg| leg.ledger.missing(leg.sent));
    let table = timeline(plugged, &control, &lost);
    let (down, up) = (down.close(), up.close());
    run.table(&table);
    run.count(&down);
    run.count(&up);
    let tcp_resets = u64::from(tcp.as_ref().is_err_and(is_reset));
    let tcp = tcp.ok();
    run.figures.add_transfer(tcp.as_ref().is_some_and(Transferred::matches));
    run.add_to_figure("relayed_packets", followed.relayed_packets);
    run.add_to_figure("tcp_resets", tcp_resets);
    run.add_to_figure("tcp_transfers", 1);
    run.add_to_figure("tcp_sha256_ok", u64::from(tcp.as_ref().is_some_and(Transferred::matches)));
    let per_move = |sum: Duration| sum.as_secs_f64() * 1000.0 / f64::from(moves.max(1));
    let lossy = (detect + notify + SLACK * moves).as_secs_f64();
    Ok(Journey {
        moves,
        lost: down.lost + up.lost,
        faults: down.duplicated + down.corrupted + down.strayed + up.duplicated + up.corrupted + up.strayed,
        relayed: followed.relayed_packets,
        detour_p99_ms: f64::from(quantile(&detours, 99)) / 1000.0,
        longest_gap_ms: down.longest_gap_ms.max(up.longest_gap_ms),
        detect_ms: per_move(detect),
        notify_ms: per_move(notify),
        bound: (lossy * f64::from(2 * RATE)).ceil() as u64,
        tcp,
        tcp_resets,
    })
}

/// One move: when it began, when its plug was in, and what had been sent each way by then.
struct Plugged {
    began: Duration,
    at: Duration,
    sent: (u64, u64),
    from: Site,
    to: Site,
    /// What the gateways said of the agent when it was over.
    after: String,
}

/// What each gateway says of the agent that moves.
fn whereabouts(run: &Run<'_>) -> String {
    let mut told = Vec::new();
    for gateway in run.lab.gateways() {
        // A gateway that does not answer is the accounts' to tell.
        let Ok(agents) = gateway.api().get("/v1/agents") else { continue };
        let own = eid().to_string();
        for agent in agents.as_array().into_iter().flatten().filter(|agent| agent["eid"] == own.as_str()) {
            let word = |key: &str| agent[key].as_str().unwrap_or("-").to_owned();
            told.push(format!("{} {} {}", gateway.plan.site.letter(), word("state"), word("mac")));
        }
    }
    told.join(", ")
}

/// What the witness saw of every move, and which packets were lost around it.
fn timeline(plugged: &[Plugged], control: &[Captured], lost: &[Vec<u64>; 2]) -> Table {
    let header = [
        "move",
        "lost to the agent",
        "lost from it",
        "gateways say then",
        "control messages (ms since it began)",
    ];
    let mut table = Table::new("moves as the witness saw them", &header);
    for (number, at) in plugged.iter().enumerate() {
        let next = plugged.get(number + 1).map_or(Duration::MAX, |next| next.began);
        let during = control.iter().filter(|m| m.at >= at.began && m.at < next);
        let told: Vec<String> = during
            .filter(|m| !matches!(m.kind(), Control::Probe | Control::ProbeReply))
            .map(|m| {
                format!("{:?} {}>{} {:.1}", m.kind(), m.from, m.to, (m.at - at.began).as_secs_f64() * 1000.0)
            })
            .collect();
        // Half way to its neighbours a loss belongs to this move.
        let half = u64::from(RATE) * u64::try_from(SETTLE.as_millis()).unwrap_or(0) / 2000;
        let around = |lost: &[u64], sent: u64| {
            let seen: Vec<&u64> = lost.iter().filter(|s| s.abs_diff(sent) <= half).collect();
            match (seen.first(), seen.last()) {
                (Some(first), Some(last)) => {
                    format!("{} ({:+} to {:+})", seen.len(), signed(**first, sent), signed(**last, sent))
                }
                _ => "0".to_owned(),
            }
        };
        table.row(vec![
            format!("{} > {}", at.from.letter(), at.to.letter()),
            around(&lost[0], at.sent.0),
            around(&lost[1], at.sent.1),
            at.after.clone(),
            told.join(", "),
        ]);
    }
    table
}

/// How far a packet is from another.
fn signed(number: u64, from: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX) - i64::try_from(from).unwrap_or(i64::MAX)
}

/// Times from each plug to the new site's Map-Register and from there to the Map-Notify at the old one, added up; as
/// the witness saw them.
fn times(plugged: &[Plugged], control: &[Captured]) -> (Duration, Duration) {
    let (mut detect, mut notify) = (Duration::ZERO, Duration::ZERO);
    let is_of = |address: IpAddr, site: Site| (0..2).any(|link| rloc(site, link, Family::V4) == address);
    let server = Node::MapServer.address(Family::V4);
    for (number, Plugged { at, from, to, .. }) in plugged.iter().enumerate() {
        let until = plugged.get(number + 1).map_or(Duration::MAX, |next| next.began);
        let during = || control.iter().filter(|m| m.at > *at && m.at < until);
        let registered = during().find(|m| is_of(m.from, *to) && m.kind() == Control::Register).map(|m| m.at);
        let Some(registered) = registered else { continue };
        detect += registered - *at;
        let told = during().find(|m| {
            m.at >= registered && m.from == server && is_of(m.to, *from) && m.kind() == Control::Notify
        });
        notify += told.map_or(Duration::ZERO, |told| told.at - registered);
    }
    (detect, notify)
}

pub(super) fn is_reset(error: &LabError) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error, LabError::Io { source, .. }
        if matches!(source.kind(), ConnectionReset | ConnectionAborted | BrokenPipe))
}

pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

pub(super) fn cable<'r>(run: &'r Run<'_>) -> Result<&'r Cable> {
    run.lab.cable().ok_or_else(no_gateway)
}

pub(super) fn gateway<'r>(run: &'r Run<'_>, site: Site) -> Result<&'r Gateway> {
    run.lab.gateway(site).ok_or_else(no_gateway)
}
