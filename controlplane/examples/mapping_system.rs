//! What the Map-Server costs: memory per registered EID, Map-Requests and register records per second on one core.
//!
//! `cargo run --release -p sterna-controlplane --example mapping_system [EIDS [own]]` prints one JSON object; 1,000,000
//! EIDs unless told otherwise, and with `own` each has a locator-set like no other. Everything runs in this process
//! without sockets: a request is the UDP payload of an ECM and is parsed, looked up and answered by a serialised
//! Map-Reply; a register is the UDP payload of a signed Map-Register and is parsed, verified, applied and answered by a
//! signed Map-Notify; a delta is such a register that has no records and says a new load or state of one EID, and each
//! EID of those has a subscriber who asked for attributes and one who did not. Answers are checked by sampling outside the time measured. What is measured is the time that the
//! thread had a core, so that a second is one of a core whatever else the machine does.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use sterna_wire::lisp::control::acx::{Acx, AgentState, Attributes, Load, Scope as AcxScope, Scoped};
use sterna_wire::lisp::control::auth::{Algorithm, Key};
use sterna_wire::lisp::control::{
    EidRecord, LocatorRecord, MapRegister, MapReply, MapRequest, RequestRecord, XtrId, encapsulate,
};
use sterna_wire::{Iid, Prefix};

use sterna_controlplane::outbox::Outbox;
use sterna_controlplane::random::Random;
use sterna_controlplane::server::{Scope, Server, ServerSettings, SiteSettings};

/// xTRs that the EIDs are spread over.
const XTRS: u32 = 1000;
/// Records of a register that is not alone.
const BATCH: u32 = 25;
const RUNS: usize = 5;

/// How many EIDs there are, and whether their locator-sets are all different.
#[derive(Clone, Copy)]
struct Eids {
    count: u32,
    own_sets: bool,
}

fn iid() -> Iid {
    Iid::new(100).unwrap()
}

fn own() -> IpAddr {
    IpAddr::from([192, 0, 2, 10])
}

fn settings(eids: u32) -> ServerSettings {
    let unlimited = 100_000_000;
    let scope = Scope { iid: iid(), prefix: "10.0.0.0/8".parse().unwrap(), more_specifics: true };
    let site = SiteSettings {
        keys: vec![Key::new(1, Algorithm::HmacSha256_128, b"a secret of a usual length")],
        scopes: vec![scope],
        ..SiteSettings::named("site-a")
    };
    ServerSettings {
        addresses: vec![own()],
        sites: vec![site],
        max_registrations: eids as usize,
        register_rate: unlimited,
        register_rate_per_source: unlimited,
        request_rate: unlimited,
        request_rate_per_source: unlimited,
        ..ServerSettings::default()
    }
}

/// EIDs in no order, as agents have them: all bits below the first eight are mixed.
fn eid(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(10 << 24 | (number.wrapping_mul(0x009e_3779) & 0x00ff_ffff))
}

fn xtr(number: u32) -> (SocketAddr, XtrId) {
    let address = IpAddr::from(Ipv4Addr::from_bits(0xc612_0000 + number % XTRS));
    let mut xtr_id = [7; 16];
    xtr_id[..4].copy_from_slice(&(number % XTRS).to_be_bytes());
    (SocketAddr::new(address, 4342), XtrId { xtr_id, site_id: 1 })
}

/// A register of `count` EIDs of one xTR: those whose number is `first`, `first` + XTRS, and so on.
fn register(first: u32, count: u32, eids: Eids, nonce: u64, key: &Key) -> (SocketAddr, Vec<u8>) {
    let (source, id) = xtr(first);
    let locator = |number: u32| {
        let [weight, multicast_weight, _, _] =
            if eids.own_sets { (number / XTRS).to_le_bytes() } else { [100, 0, 0, 0] };
        let unicast = LocatorRecord::unicast(source.ip(), 1, weight);
        LocatorRecord { local: true, multicast_weight, ..unicast }
    };
    let numbers = (0..count).map(|step| first + step * XTRS).filter(|number| *number < eids.count);
    let records = numbers.map(|number| EidRecord {
        locators: vec![locator(number)],
        ..EidRecord::of(iid(), Prefix::host(eid(number).into()))
    });
    let register = MapRegister {
        proxy_reply: true,
        want_notify: true,
        nonce,
        records: records.collect(),
        xtr: Some(id),
        ..MapRegister::default()
    };
    (source, register.signed(key))
}

/// Registers that together contain each EID once.
fn registers(eids: Eids, batch: u32, nonce: u64, key: &Key) -> Vec<(SocketAddr, Vec<u8>)> {
    let starts = (0..eids.count).filter(|number| (number / XTRS).is_multiple_of(batch));
    starts.map(|first| register(first, batch, eids, nonce + u64::from(first / XTRS / batch), key)).collect()
}

fn request(number: u32, question: IpAddr) -> (SocketAddr, Vec<u8>) {
    let (source, _) = xtr(number);
    let request = MapRequest {
        nonce: number.into(),
        itr_rlocs: vec![source.ip().into()],
        records: vec![RequestRecord::of(iid(), Prefix::host(question))],
        ..MapRequest::default()
    };
    (source, encapsulate(source, SocketAddr::new(question, 4342), &request.emit()))
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// The time that this thread has had a core.
fn core_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap())
}

/// Gives the server messages; how long a core took for that, and how many answers there were.
fn give(server: &mut Server, messages: &[(SocketAddr, Vec<u8>)], out: &mut Outbox) -> (Duration, usize) {
    let (start, mut answers) = (core_time(), 0);
    for (source, bytes) in messages {
        server.receive(bytes, *source, own(), Instant::now(), out);
        answers += out.datagrams.len();
        if let Some(last) = out.datagrams.last() {
            std::hint::black_box(&last.bytes);
        }
        out.datagrams.clear();
        drop(server.take_saves());
    }
    (core_time() - start, answers)
}

fn rates(mut run: impl FnMut(usize) -> f64) -> String {
    let mut rates: Vec<f64> = (0..RUNS).map(&mut run).collect();
    rates.sort_by(f64::total_cmp);
    format!("{{\"median\":{:.0},\"least\":{:.0},\"most\":{:.0}}}", rates[RUNS / 2], rates[0], rates[RUNS - 1])
}

/// EIDs of which something is said and to which somebody subscribes.
const TALKATIVE: u32 = 10_000;

/// A register without records that says this of one EID.
fn delta(number: u32, seq: u32, nonce: u64, key: &Key) -> (SocketAddr, Vec<u8>) {
    let (source, id) = xtr(number);
    let load = Some(Load { permille: Some((seq * 137 % 1001) as u16), queue: None });
    let state = Some(if seq.is_multiple_of(2) { AgentState::Busy } else { AgentState::Active });
    let said = Attributes { load, state, ..Attributes::default() };
    let entry = Scoped::new(AcxScope::Eid(iid(), Prefix::host(eid(number).into())), said);
    let block = Acx { aware: true, seq, entries: vec![entry], echo: Some(id), ..Acx::default() };
    let register = MapRegister {
        want_notify: true,
        nonce,
        xtr: Some(id),
        tail: block.bytes(),
        ..MapRegister::default()
    };
    (source, register.signed(key))
}

/// A request of another xTR that subscribes to an EID, in ACX or not.
fn subscription(number: u32, acx: bool) -> (SocketAddr, Vec<u8>) {
    let (source, id) = xtr(number + 1 + u32::from(acx));
    let question = Acx { aware: true, return_attributes: true, ..Acx::default() };
    let record = RequestRecord::of(iid(), Prefix::host(eid(number).into()));
    let request = MapRequest {
        nonce: number.into(),
        itr_rlocs: vec![source.ip().into()],
        records: vec![RequestRecord { subscribe: true, ..record }],
        xtr: Some(id),
        tail: if acx { question.bytes() } else { Vec::new() },
        ..MapRequest::default()
    };
    (source, encapsulate(source, SocketAddr::new(eid(number).into(), 4342), &request.emit()))
}

/// Deltas per second, each of which changes what both subscribers of its EID know.
fn deltas(server: &mut Server, eids: u32, key: &Key, out: &mut Outbox) -> String {
    let count = TALKATIVE.min(eids);
    let subscriptions: Vec<_> = (1..=count)
        .flat_map(|number| [subscription(number % eids, false), subscription(number % eids, true)])
        .collect();
    give(server, &subscriptions, out);
    rates(|run| {
        let seq = run as u32 + 1;
        let nonce = 1_000_000_000 * u64::from(seq);
        let messages: Vec<_> =
            (1..=count).map(|number| delta(number % eids, seq, nonce + u64::from(number), key)).collect();
        let before = server.counters().contexts;
        let (time, _) = give(server, &messages, out);
        assert_eq!(server.counters().contexts - before, u64::from(count));
        f64::from(count) / time.as_secs_f64()
    })
}

/// Panics unless a sample of EIDs is answered with the right locator.
fn check(server: &mut Server, eids: u32) {
    for number in (0..eids).step_by(997) {
        let (source, bytes) = request(number + 1, eid(number).into());
        let mut out = Outbox::default();
        server.receive(&bytes, source, own(), Instant::now(), &mut out);
        let reply = MapReply::parse(&out.datagrams[0].bytes).unwrap();
        let record = &reply.records[0];
        assert_eq!(record.prefix(), Some((iid(), Prefix::host(eid(number).into()))));
        assert_eq!(record.locators[0].address.rloc(), Some(xtr(number).0.ip()));
    }
}

fn main() {
    let eids: u32 = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().unwrap());
    let own_sets = std::env::args().nth(2).is_some_and(|word| word == "own");
    let all = Eids { count: eids, own_sets };
    let key = Key::new(1, Algorithm::HmacSha256_128, b"a secret of a usual length");
    let settings = settings(eids);
    let mut server = Server::new(settings.clone(), Random::seeded(1));
    let mut out = Outbox::default();
    server.configure(settings, Instant::now(), &mut out);
    let before = resident();
    // One message at a time, so that no message stays in the memory that is measured.
    let starts = (0..eids).filter(|number| (number / XTRS).is_multiple_of(BATCH));
    for first in starts {
        let message = register(first, BATCH, all, 1 + u64::from(first / XTRS / BATCH), &key);
        give(&mut server, &[message], &mut out);
    }
    let bytes_per_eid = (resident() - before) as f64 / f64::from(eids);
    assert_eq!(server.registration_count(), eids as usize);
    check(&mut server, eids);

    let batched = rates(|run| {
        let messages = registers(all, BATCH, 1_000_000 * (run as u64 + 1), &key);
        let (time, answers) = give(&mut server, &messages, &mut out);
        assert_eq!(answers, messages.len());
        f64::from(eids) / time.as_secs_f64()
    });
    let part = eids.min(200_000);
    let single = rates(|run| {
        let messages = registers(Eids { count: part, own_sets }, 1, 1_000_000 * (run as u64 + 100), &key);
        let (time, answers) = give(&mut server, &messages, &mut out);
        assert_eq!(answers, messages.len());
        f64::from(part) / time.as_secs_f64()
    });
    let mut asked = |question: &dyn Fn(u32) -> IpAddr| {
        rates(|run| {
            let numbers = (0..part).map(|step| step.wrapping_mul(7919).wrapping_add(run as u32) % eids);
            let messages: Vec<_> = numbers.map(|number| request(number, question(number))).collect();
            let (time, answers) = give(&mut server, &messages, &mut out);
            assert_eq!(answers, messages.len());
            f64::from(part) / time.as_secs_f64()
        })
    };
    let positive = asked(&|number| eid(number).into());
    let outside = asked(&|number| Ipv4Addr::from_bits(11 << 24 | number).into());
    check(&mut server, eids);
    // Last, because what nobody acknowledges is sent again from now on.
    let deltas = deltas(&mut server, eids, &key, &mut out);
    let refused = server.counters().all().filter(|(name, _)| *name == "auth_data" || *name == "replayed");
    assert_eq!(refused.map(|(_, count)| count).sum::<u64>(), 0);
    println!(
        "{{\"eids\":{eids},\"own_sets\":{own_sets},\"xtrs\":{XTRS},\"bytes_per_eid\":{bytes_per_eid:.1},\
         \"register_records_per_s\":{{\"batch\":{BATCH},\"rate\":{batched}}},\
         \"single_record_registers_per_s\":{single},\
         \"deltas_per_s\":{deltas},\
         \"requests_per_s\":{{\"registered\":{positive},\"outside\":{outside}}}}}"
    );
}
