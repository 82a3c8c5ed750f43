//! Peers that know nothing of context: other makers' bytes, a scripted ITR and ETR, and a Map-Server without ACX.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use sterna_wire::Prefix;
use sterna_wire::lisp::control::{Act, EidRecord, MapNotify, MapReply, Message, parse};

use crate::command;
use crate::error::{LabError, Result};
use crate::gateway::plan::context::{ClassPlan, PolicyPlan};
use crate::gateway::plan::server::{ServerPlan, SitePlan};
use crate::gateway::plan::{GatewayPlan, KeyFile};
use crate::interrupt;
use crate::script::etr::{CONTROL, Entry, ScriptedEtr, key};
use crate::script::itr::iid;
use crate::script::plain_server::PlainServer;
use crate::script::question::Asker;
use crate::site::{Family, GROUPS, Host, Site};
use crate::traffic::census::{Census, CensusPlan};
use crate::underlay::{CORE, Node, rloc};

use super::agents::{STATIC_PREFIXES, greet, wait_registered};
use super::run::no_gateway;
use super::skills::{allow, allow_all, change, describe, eid, offer, one_locator};
use super::{Outcome, Run};

/// Open Overlay Router at 10.0.0.11 registers 192.168.1.0/24, at 10.0.0.12 192.168.2.0/24 (`captures/oor-two-sites`).
const OOR_REGISTERS: [&str; 2] = [
    "300001013fdd8f6bd29c843a000100147fb94fe8a1515a52e2557b163403c98d4dad43200000000a0118100000000001c0a801000164ff00000500010a00000b",
    "300001017fdfa76bd2b5934800010014dd403b2dbef096804c61ea79db08083f4257e2f90000000a0118100000000001c0a802000164ff00000500010a00000c",
];
/// The one at 10.0.0.11 asks for 192.168.2.2; the one at 10.0.0.12 answers.
const OOR_REQUEST: &str = "800000004500003c00024000ff11f759c0a80102c0a8020210f610f60028aa2810000001fb5ff96bd4ea46f90001c0a8010200010a00000b00200001c0a80202";
const OOR_REPLY: &str = "20000001fb5ff96bd4ea46f90000000a0118100000000001c0a802000164ff00000500010a00000c";
/// It asks for an EID that nobody has.
const OOR_UNKNOWN: &str = "800000004500003c000c4000ff11f048c0a80102c0a8090910f610f600287a0d100000013f7fad6fdabe6b0f0001c0a8010200010a00000b00200001c0a80909";
/// Their addresses.
const OORS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 11), Ipv4Addr::new(10, 0, 0, 12)];
/// The port of LISP data packets.
const DATA: u16 = 4341;
/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// What the scripted legacy ETR serves, and what the plain Map-Server knows: both at the outsider.
const SCRIPTED: &str = "scripted";
const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 1, 210, 1);
const PLAIN: Ipv4Addr = Ipv4Addr::new(10, 1, 211, 1);
/// Packets of each class.
const PACKETS: usize = 40;
/// What the policies go by.
const NEEDS_GPU: u8 = 10;
const LIKES_GPU: u8 = 12;
const NEEDS_GPU_ANYHOW: u8 = 14;

/// Site A asks with classes, site B answers for itself, site C has a Map-Server without ACX. In the negative control the
/// class of site A that must see context need not.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    allow(plan);
    one_locator(plan);
    plan.context.knobs.push(("min_interval_ms", "50".to_owned()));
    let class = |id, name, needs: &str| ClassPlan { id, name, needs: needs.to_owned() };
    let strict = if negative { "require_context = false" } else { "require_context = true" };
    plan.context.classes = vec![
        class(1, "gpu", "require = { hardware = [\"gpu\"] }"),
        class(2, "gpu-rather", "prefer = [{ hardware = [\"gpu\"], weight = 8 }]"),
        class(3, "light", &format!("require = {{ max_load = 0.5 }}\n{strict}")),
    ];
    let policy = |dscp, class| PolicyPlan { matches: format!("dscp = {dscp}"), class };
    plan.context.policies =
        vec![policy(NEEDS_GPU, "gpu"), policy(LIKES_GPU, "gpu-rather"), policy(NEEDS_GPU_ANYHOW, "light")];
    if let Some(registry) = &mut plan.registry {
        registry.proxy_reply = plan.site != Site::B;
        if plan.site == Site::C {
            registry.map_server = Node::Outsider.address(Family::V4);
        }
    }
}

pub(super) fn server(plan: &mut ServerPlan, _: bool) {
    allow_all(plan);
    plan.sites.push(SitePlan::scripted(SCRIPTED, &[(GROUPS[0], "10.1.210.0/24")]));
    for (name, secret, prefix) in
        [("oor-a", "secret-a", "192.168.1.0/24"), ("oor-b", "secret-b", "192.168.2.0/24")]
    {
        let mut site = SitePlan::scripted(name, &[(0, prefix)]);
        secret.clone_into(&mut site.key.secret);
        site.key_terms = "id = 0, algorithm = \"sha1\"";
        plan.sites.push(site);
    }
}

/// The captured bytes: registered, confirmed, asked and answered without a byte that their makers do not know.
pub(super) fn captured(run: &mut Run<'_>) -> Result<Outcome> {
    let peers = [Oor::open(run, OORS[0])?, Oor::open(run, OORS[1])?];
    let mut confirmed = 0;
    for (peer, register) in peers.iter().zip(OOR_REGISTERS) {
        peer.send(&hex(register))?;
        let notify = MapNotify::parse(&peer.hear("a Map-Notify")?).map_err(odd)?;
        confirmed += u64::from(notify.records.len() == 1 && notify.tail.is_empty());
    }
    peers[0].send(&hex(OOR_REQUEST))?;
    let forwarded = peers[1].hear("the forwarded request")?;
    // Behind the ECM's own header of 4 bytes: byte for byte.
    let same = forwarded.get(4..) == hex(OOR_REQUEST).get(4..);
    let request = matches!(parse(&forwarded), Ok(Message::Ecm(_)));
    peers[1].to(&hex(OOR_REPLY), OORS[0])?;
    let answered = peers[0].hear("the other's answer")? == hex(OOR_REPLY);
    peers[0].send(&hex(OOR_UNKNOWN))?;
    let negative = MapReply::parse(&peers[0].hear("a negative answer")?).map_err(odd)?;
    let bare = negative.tail.is_empty() && negative.records.iter().all(|record| record.locators.is_empty());
    Ok(Outcome::new(
        confirmed == 2 && same && request && answered && bare,
        format!(
            "Open Overlay Router's bytes: {confirmed} of 2 registers confirmed, its request passed on unchanged: {same}, its \
             answer taken: {answered}, its question about nobody answered without a tail: {bare}"
        ),
    ))
}

/// One captured xTR at the outsider.
struct Oor {
    socket: UdpSocket,
}

impl Oor {
    fn open(run: &Run<'_>, address: Ipv4Addr) -> Result<Self> {
        let namespace = run.lab.namespace(Node::Outsider.name());
        let core = run.lab.namespace(CORE);
        let ip = |name: &str, words: String| command::feed("ip", &["-n", name, "-batch", "-"], &words);
        ip(namespace.name(), format!("addr replace {address}/32 dev rloc0"))?;
        let via = Node::Outsider.address(Family::V4);
        ip(core.name(), format!("route replace {address}/32 via {via}"))?;
        let what = || LabError::io(format!("opening {address}"));
        let bind = SocketAddr::new(address.into(), CONTROL);
        let socket = namespace.run(|| UdpSocket::bind(bind))?.map_err(what())?;
        socket.set_read_timeout(Some(Duration::from_millis(50))).map_err(what())?;
        Ok(Self { socket })
    }

    fn send(&self, message: &[u8]) -> Result<()> {
        self.to(message, Node::MapServer.address(Family::V4))
    }

    fn to(&self, message: &[u8], to: impl Into<IpAddr>) -> Result<()> {
        let to = SocketAddr::new(to.into(), CONTROL);
        self.socket.send_to(message, to).map(|_| ()).map_err(LabError::io("sending captured bytes"))
    }

    fn hear(&self, what: &str) -> Result<Vec<u8>> {
        let (start, mut buffer) = (Instant::now(), [0; 4096]);
        while start.elapsed() < PATIENCE {
            interrupt::check()?;
            if let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
                return Ok(buffer[..length].to_vec());
            }
        }
        Err(LabError::Late { what: what.to_owned(), seconds: PATIENCE.as_secs(), detail: String::new() })
    }
}

fn odd(error: impl std::fmt::Display) -> LabError {
    LabError::Panicked(format!("an answer to captured bytes: {error}"))
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap_or(0);
    (0..text.len()).step_by(2).map(byte).collect()
}

/// An ITR without ACX gets priorities that follow the context, and never a locator that is not to be used.
pub(super) fn itr(run: &mut Run<'_>) -> Result<Outcome> {
    // Site C registers elsewhere.
    wait_registered(&run.lab, STATIC_PREFIXES * 2)?;
    run.count(&greet(&run.lab, &[Host::new(Site::A, 1), Host::new(Site::B, 1), Host::new(Site::C, 1)])?);
    let _offers = [offer(run, Site::A)?, offer(run, Site::B)?];
    describe(run, Site::A, r#"{"latency":{"class":"low"},"state":"active","load":0.1}"#)?;
    describe(run, Site::B, r#"{"latency":{"class":"high"},"state":"busy","load":0.9}"#)?;
    let namespace = run.lab.namespace(Node::Outsider.name());
    let (own, server) = (Node::Outsider.address(Family::V4), Node::MapServer.address(Family::V4));
    let mut asker = Asker::open(&namespace, own, server)?;
    let [a, b] = [Site::A, Site::B].map(|site| rloc(site, 0, Family::V4));
    let both = until(&mut asker, &[(a, 1), (b, 2)])?;
    change(run, Site::A, r#"{"state":"failed"}"#)?;
    let one = until(&mut asker, &[(b, 1)])?;
    change(run, Site::B, r#"{"state":"suspended"}"#)?;
    let none = until(&mut asker, &[])?;
    change(run, Site::A, r#"{"state":"active"}"#)?;
    change(run, Site::B, r#"{"state":"active"}"#)?;
    until(&mut asker, &[(a, 1), (b, 2)])?;
    // Site B answers for its own prefixes: the question is passed on to it, and its answer has no tail either.
    let host = Host::new(Site::B, 1).eid(Family::V4, Family::V4);
    let theirs = asker.ask(iid(GROUPS[0]), host, None)?;
    let etr = theirs.message.tail.is_empty() && theirs.message.records.iter().any(|r| !r.locators.is_empty());
    let refused = none.act == Act::DropPolicyDenied || none.act == Act::Drop;
    Ok(Outcome::new(
        both.locators.len() == 2 && one.locators.len() == 1 && refused && etr,
        format!(
            "two instances by fitness, one when the other failed, none ({:?}) when both did; never a tail; site B's own answer \
             too: {etr}",
            none.act
        ),
    ))
}

/// Asks until the answer has these locators with these priorities; every answer must be without a tail.
fn until(asker: &mut Asker, wanted: &[(IpAddr, u8)]) -> Result<EidRecord> {
    let mut seen = String::new();
    let waited = interrupt::wait_for("an answer that follows the context", Duration::from_secs(8), || {
        let reply = asker.ask(iid(GROUPS[0]), eid(), None)?;
        if !reply.message.tail.is_empty() {
            return Err(LabError::Panicked("a tail for somebody who did not ask with one".to_owned()));
        }
        let [record] = reply.message.records.as_slice() else { return Ok(None) };
        let mut got: Vec<(IpAddr, u8)> = record
            .locators
            .iter()
            .filter_map(|locator| Some((locator.address.rloc()?, locator.priority)))
            .collect();
        got.sort_by_key(|(_, priority)| *priority);
        seen = format!(" ({wanted:?} wanted, {got:?} told)");
        Ok((got == wanted).then(|| record.clone()))
    });
    match waited {
        Err(LabError::Late { what, seconds, .. }) => Err(LabError::Late { what, seconds, detail: seen }),
        other => other,
    }
}

/// An ETR without ACX: who needs to know gets nothing, who does not sends there.
pub(super) fn etr(run: &mut Run<'_>) -> Result<Outcome> {
    let namespace = run.lab.namespace(Node::Outsider.name());
    let (own, server) = (Node::Outsider.address(Family::V4), Node::MapServer.address(Family::V4));
    let mut etr = ScriptedEtr::open(&namespace, own, server, key(&KeyFile::named(SCRIPTED)), 1)?;
    let entry = Entry { iid: iid(GROUPS[0]), prefix: Prefix::host(THEIRS.into()), locators: vec![own] };
    let told = etr.register_all(std::iter::once(entry))?;
    let (sent, dropped) = by_class(run, Site::A, THEIRS)?;
    Ok(verdict(run, &format!("{} record of a legacy ETR confirmed", told.confirmed), sent, dropped))
}

/// A Map-Server without ACX: the gateway registers and asks as ever.
pub(super) fn map_server(run: &mut Run<'_>) -> Result<Outcome> {
    let namespace = run.lab.namespace(Node::Outsider.name());
    let own = Node::Outsider.address(Family::V4);
    let entry = Entry { iid: iid(GROUPS[0]), prefix: Prefix::host(PLAIN.into()), locators: vec![own] };
    let server = PlainServer::start(&namespace, own, key(&KeyFile::of(Site::C)), vec![entry])?;
    interrupt::wait_for("site C's registers", Duration::from_secs(30), || {
        Ok((server.confirmed() > 0).then_some(()))
    })?;
    let _offer = offer(run, Site::C)?;
    describe(run, Site::C, r#"{"hardware":["gpu"],"state":"active","load":0.1}"#)?;
    interrupt::wait_for("a register with context", Duration::from_secs(10), || {
        Ok((server.with_tail() > 0).then_some(()))
    })?;
    let confirmed = server.confirmed();
    let (sent, dropped) = by_class(run, Site::C, PLAIN)?;
    let words = format!(
        "a Map-Server without ACX confirmed {confirmed} registers, answered {} requests and ignored {} tails",
        server.answered(),
        server.with_tail()
    );
    Ok(verdict(run, &words, sent, dropped))
}

/// Packets to an EID of which nothing is known, by class: those that were sent to the outsider, and those that were
/// dropped because their class has no match.
fn by_class(run: &Run<'_>, site: Site, target: Ipv4Addr) -> Result<([u64; 4], u64)> {
    let gateway = run.lab.gateway(site).ok_or_else(no_gateway)?;
    let no_match = || -> Result<u64> {
        let drops = gateway.drops()?;
        Ok(drops.iter().filter(|drop| drop.reason == "drop_class_no_match").map(|drop| drop.count).sum())
    };
    let (before, host) = (no_match()?, Host::new(site, 1));
    // Somebody takes what comes there, so that its kernel sends no errors back.
    let sink = SocketAddr::new(Node::Outsider.address(Family::V4), DATA);
    let outsider = run.lab.namespace(Node::Outsider.name());
    let _sink =
        outsider.run(|| UdpSocket::bind(sink))?.map_err(LabError::io("opening a sink of LISP packets"))?;
    let mut sent = [0; 4];
    for (at, dscp) in [0, LIKES_GPU, NEEDS_GPU, NEEDS_GPU_ANYHOW].into_iter().enumerate() {
        let witness = run.lab.witness().ok_or_else(no_gateway)?;
        let towards = Node::Outsider.address(Family::V4);
        let earlier = witness.settle()?.lisp_to(towards);
        let plan = CensusPlan {
            source: host.eid(Family::V4, Family::V4),
            target: target.into(),
            group: host.iid(),
            flows: PACKETS,
            dscp,
            rate: 1000,
        };
        // Nobody answers there: the witness tells what was sent.
        Census::open(&run.lab.host(host), plan)?.round()?;
        sent[at] = witness.settle()?.lisp_to(towards) - earlier;
    }
    Ok((sent, no_match()? - before))
}

fn verdict(run: &mut Run<'_>, words: &str, sent: [u64; 4], dropped: u64) -> Outcome {
    let [none, likes, needs, anyhow] = sent;
    let packets = PACKETS as u64;
    run.add_to_figure("legacy_sent", none + likes);
    run.add_to_figure("require_context_dropped", dropped);
    let ok = [none, likes] == [packets; 2] && [needs, anyhow] == [0; 2] && dropped == 2 * packets;
    Outcome::new(
        ok,
        format!(
            "{words}; of {packets} packets each {none} of no class and {likes} of one that would rather have a GPU were sent, \
             {needs} of one that needs it and {anyhow} of one that requires context; {dropped} dropped as class_no_match"
        ),
    )
}
