//! The whole control plane without I/O against a scripted mapping system: dataplane events and messages in, records and
//! messages out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod model;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use model::site::{self, SECRET, SERVER, iid, ip, lisp_config, prefix};
use model::{Meaning, Model};
use sterna_config::Config;
use sterna_controlplane::desired::EidKey;
use sterna_controlplane::outbox::CONTROL_PORT;
use sterna_controlplane::plane::{AttachRefusal, Attached, ControlPlane};
use sterna_shm::{AttachProof, ClassRow, ClassRows, EidAction, Event, KnownAction, Update};
use sterna_wire::lisp::control::auth::{Algorithm, Key};
use sterna_wire::lisp::control::{
    self, EidRecord, LispAddress, LocatorRecord, MapNotify, MapRegister, MapReply, MapRequest, Message,
    RequestRecord,
};
use sterna_wire::{Iid, Mac};
use tempfile::TempDir;

const HERE: &str = "192.0.2.1";
const THERE: &str = "203.0.113.77";

/// A control plane in sync with a model dataplane, and the messages it sent last.
struct Bench {
    plane: ControlPlane,
    model: Model,
    now: Instant,
    sent: Vec<(SocketAddr, Vec<u8>)>,
    generation: u64,
    _folder: TempDir,
}

fn key() -> Key {
    Key::new(1, Algorithm::HmacSha256_128, SECRET.as_bytes())
}

fn ports() -> Vec<String> {
    ["e0", "e1", "u0", "u1"].map(String::from).to_vec()
}

fn server() -> SocketAddr {
    SocketAddr::new(ip(SERVER), CONTROL_PORT)
}

impl Bench {
    /// Before the first session.
    fn started() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = lisp_config(folder.path());
        Self::of(config, folder)
    }

    fn of(config: Config, folder: TempDir) -> Self {
        let plane = ControlPlane::new(config);
        let now = Instant::now();
        let model = Model::default();
        let mut bench = Self { plane, model, now, sent: Vec::new(), generation: 0, _folder: folder };
        bench.learn_underlay();
        bench
    }

    /// In sync, registered.
    fn new() -> Self {
        let mut bench = Self::started();
        bench.connect(&[]);
        bench.settle();
        bench.confirm_registers();
        bench
    }

    fn learn_underlay(&mut self) {
        let facts = site::facts(&self.plane.questions());
        self.plane.underlay(facts, self.now);
    }

    fn connect(&mut self, dump: &[Event]) {
        self.model.new_session();
        self.generation += 1;
        self.plane.session_began(self.generation, ports(), self.now);
        assert!(self.plane.pump(usize::MAX).is_empty(), "nothing is said before the dump is complete");
        for event in dump {
            self.plane.event(*event, self.now);
        }
        self.plane.event(Event::KnownEnd, self.now);
    }

    /// Lets what is due happen, the tables first; the records that were published.
    fn settle(&mut self) -> Vec<Update> {
        let mut all = Vec::new();
        for _ in 0..100 {
            let due = self.plane.next_deadline().is_some_and(|at| at <= self.now);
            all.extend(self.publish());
            self.reach(&all);
            self.sent.extend(self.plane.take_datagrams().into_iter().map(|sent| (sent.to, sent.bytes)));
            if self.plane.take_remotes_changed() {
                self.learn_underlay();
            } else if due {
                self.plane.tick(self.now);
            } else {
                return all;
            }
        }
        panic!("it never comes to rest");
    }

    /// The dataplane applies what there is to tell it.
    fn publish(&mut self) -> Vec<Update> {
        let records = self.plane.pump(usize::MAX);
        records.iter().for_each(|record| self.model.apply(record));
        records
    }

    /// The dataplane says that it forwards by these records.
    fn reach(&mut self, records: &[Update]) {
        for record in records {
            if let Update::Barrier { number } = *record {
                self.plane.event(Event::Reached { number }, self.now);
            }
        }
    }

    fn after(&mut self, time: Duration) -> Vec<Update> {
        let until = self.now + time;
        let mut all = Vec::new();
        while let Some(at) = self.plane.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.plane.tick(self.now);
            all.extend(self.settle());
        }
        self.now = until;
        all.extend(self.settle());
        all
    }

    fn hear(&mut self, bytes: &[u8]) -> Vec<Update> {
        self.plane.datagram(bytes, server(), ip(HERE), self.now);
        self.settle()
    }

    fn event(&mut self, event: Event) -> Vec<Update> {
        self.plane.event(event, self.now);
        self.settle()
    }

    /// The Map-Requests sent since the last look, with the address each went to.
    fn requests(&mut self) -> Vec<(IpAddr, MapRequest)> {
        let sent = std::mem::take(&mut self.sent);
        let mut found = Vec::new();
        for (to, bytes) in &sent {
            match control::parse(bytes).unwrap() {
                Message::Ecm(ecm) => found.push((to.ip(), ecm.map_request().unwrap())),
                Message::MapRequest(request) => found.push((to.ip(), request)),
                _ => {}
            }
        }
        found
    }

    fn registers(&mut self) -> Vec<MapRegister> {
        let sent = std::mem::take(&mut self.sent);
        let registers = sent.iter().filter_map(|(_, bytes)| match control::parse(bytes).unwrap() {
            Message::MapRegister(register) => Some(register),
            _ => None,
        });
        registers.collect()
    }

    /// The Map-Server confirms every register as it stands.
    fn confirm_registers(&mut self) -> Vec<MapRegister> {
        let registers = self.registers();
        for register in &registers {
            let notify = MapNotify {
                nonce: register.nonce,
                records: register.records.clone(),
                xtr: register.xtr,
                ..MapNotify::default()
            };
            self.hear(&notify.signed(&key()));
        }
        registers
    }

    /// Answers a request with locators, or with none.
    fn answer(&mut self, request: &MapRequest, eid: &str, locators: &[&str]) -> Vec<Update> {
        let locators = locators.iter().map(|at| LocatorRecord::unicast(ip(at), 1, 100)).collect();
        let record = EidRecord { authoritative: true, locators, ..EidRecord::of(iid(100), prefix(eid)) };
        let reply = MapReply { nonce: request.nonce, records: vec![record], ..MapReply::default() };
        self.hear(&reply.emit())
    }

    /// Where packets to an EID are sent.
    fn remotes(&self, eid: &str) -> Option<Vec<IpAddr>> {
        match self.model.meaning(&EidKey { iid: iid(100), prefix: prefix(eid) })? {
            Meaning::Remote(legs) | Meaning::Away(legs) | Meaning::Chosen(legs, _) => {
                Some(legs.iter().map(|leg| leg.remote).collect())
            }
            Meaning::Skill(..) | Meaning::Other(_) => None,
        }
    }
}

fn miss(eid: &str, source: bool) -> Event {
    Event::Miss { iid: iid(100), eid: ip(eid), source, port: 0, class: 0 }
}

fn attach(eid: &str) -> Event {
    let mac = Mac([2, 0, 0, 0, 0, 7]);
    Event::Attach { iid: iid(100), eid: ip(eid), mac, port: 0, vlan: None, proof: AttachProof::Arp }
}

/// The requests that ask about this EID.
fn asks(requests: Vec<(IpAddr, MapRequest)>, eid: &str) -> Vec<MapRequest> {
    let about = |request: &MapRequest| request.records[0].prefix().unwrap() == (iid(100), prefix(eid));
    requests.into_iter().map(|(_, request)| request).filter(about).collect()
}

#[test]
fn a_miss_becomes_a_question_and_the_answer_a_mapping_in_the_right_order() {
    let mut bench = Bench::new();
    assert!(bench.event(miss("10.1.9.9", false)).is_empty(), "nothing is known yet");
    let requests = bench.requests();
    let [(to, request)] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(*to, ip(SERVER));
    assert_eq!(request.records[0].prefix().unwrap(), (iid(100), prefix("10.1.9.9/32")));
    assert!(request.itr_rlocs.iter().any(|rloc| rloc.rloc() == Some(ip(HERE))));

    let records = bench.answer(request, "10.1.9.0/24", &[THERE]);
    let upserts: Vec<u8> = records
        .iter()
        .filter_map(|record| match record {
            Update::NextHopUpsert { .. } => Some(1),
            Update::AdjacencyUpsert { .. } => Some(2),
            Update::SetUpsert { .. } => Some(3),
            Update::EidUpsert { prefix: at, .. } if *at == prefix("10.1.9.0/24") => Some(4),
            _ => None,
        })
        .collect();
    assert!(upserts.starts_with(&[1, 2, 3, 4]), "{records:?}");
    assert_eq!(bench.remotes("10.1.9.0/24"), Some(vec![ip(THERE)]));
    bench.model.assert_as(&bench.plane);
    let misses = bench.plane.misses();
    assert_eq!((misses.asked, misses.negative, misses.configured), (1, 0, 0));
}

#[test]
fn a_negative_answer_means_what_the_group_says() {
    let mut bench = Bench::new();
    bench.event(miss("10.1.9.9", false));
    let request = asks(bench.requests(), "10.1.9.9/32").remove(0);
    bench.answer(&request, "10.1.9.9/32", &[]);
    let key = EidKey { iid: iid(100), prefix: prefix("10.1.9.9/32") };
    let dropped = EidAction::Negative { action: sterna_shm::NegativeAction::Drop };
    assert_eq!(bench.model.meaning(&key), Some(Meaning::Other(dropped)));
    bench.after(Duration::from_secs(90));
    assert_eq!(bench.model.meaning(&key), None, "it lives for a minute");
}

#[test]
fn what_is_configured_is_never_asked_for_but_confirmed_at_once() {
    let mut bench = Bench::new();
    for eid in ["10.1.1.9", "10.1.2.9"] {
        assert!(bench.event(miss(eid, false)).is_empty());
        let records = bench.event(miss(eid, true));
        assert!(matches!(records[..], [Update::EidUpsert { .. }]), "{records:?}");
    }
    assert!(bench.requests().is_empty());
    assert_eq!(bench.plane.misses().confirmed, 2);
}

#[test]
fn a_source_check_is_asked_and_the_entry_written_again() {
    let mut bench = Bench::new();
    bench.event(miss("10.1.9.9", false));
    let request = asks(bench.requests(), "10.1.9.9/32").remove(0);
    bench.answer(&request, "10.1.9.9/32", &[THERE]);
    bench.after(Duration::from_secs(5));
    bench.requests();
    assert!(bench.event(miss("10.1.9.9", true)).is_empty());
    let request = asks(bench.requests(), "10.1.9.9/32").remove(0);
    assert!(
        bench.answer(&request, "10.1.9.9/32", &[THERE]).is_empty(),
        "its packet may have overtaken the news"
    );
    assert!(bench.after(Duration::from_millis(310)).is_empty());
    let request = asks(bench.requests(), "10.1.9.9/32").remove(0);
    let records = bench.answer(&request, "10.1.9.9/32", &[THERE]);
    let again = records.iter().filter(|record| matches!(record, Update::EidUpsert { .. })).count();
    assert_eq!(again, 1, "{records:?}");
}

#[test]
fn prefixes_are_registered_with_the_sites_key_and_identity() {
    let mut bench = Bench::started();
    bench.connect(&[]);
    bench.settle();
    let registers = bench.registers();
    let xtr = registers[0].xtr.unwrap();
    assert_eq!((xtr.xtr_id[15], xtr.site_id), (15, 7));
    let mut registered: Vec<_> = registers
        .iter()
        .flat_map(|register| register.records.iter().map(|record| record.prefix().unwrap()))
        .collect();
    registered.sort();
    let ours = [(100, "10.1.1.0/24"), (100, "fd00:64::a:0/112"), (200, "10.1.1.0/24")];
    assert_eq!(registered, ours.map(|(group, eid)| (iid(group), prefix(eid))));
    let locators: Vec<_> =
        registers[0].records[0].locators.iter().filter_map(|at| at.address.rloc()).collect();
    assert_eq!(locators, [ip(HERE), ip("198.51.100.1"), ip("2001:db8::1")]);
}

#[test]
fn an_agent_that_shows_itself_is_asked_about_and_then_admitted_and_registered() {
    let mut bench = Bench::new();
    let agent = "10.1.100.7/32";
    bench.event(attach("10.1.100.7"));
    let request = asks(bench.requests(), agent).remove(0);
    let records = bench.answer(&request, agent, &[]);
    assert!(
        records.iter().any(|record| matches!(record,
            Update::EidUpsert { prefix: at, action: EidAction::LocalHost { port: 0, mac, .. }, .. }
                if *at == prefix(agent) && *mac == Mac([2, 0, 0, 0, 0, 7]))),
        "{records:?}"
    );
    let registers = bench.confirm_registers();
    let about = |register: &MapRegister| register.records[0].prefix() == Some((iid(100), prefix(agent)));
    assert!(registers.iter().any(about), "{registers:?}");
    bench.event(attach("10.1.3.7"));
    assert!(bench.requests().is_empty(), "outside of every dynamic range nobody is asked");
}

#[test]
fn an_agent_that_moved_away_is_relayed_and_the_ack_comes_after_the_tables() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.plane.attach("research", Some(ip("10.1.100.7")), None, bench.now),
        Ok(Attached::Now(ip("10.1.100.7")))
    );
    bench.settle();
    let key = EidKey::host(iid(100), ip("10.1.100.7"));
    assert!(
        matches!(bench.model.meaning(&key), Some(Meaning::Other(EidAction::Local { .. }))),
        "it is expected"
    );
    let registers = bench.confirm_registers();
    bench.after(Duration::from_secs(4));
    bench.sent.clear();

    let record = EidRecord {
        authoritative: true,
        locators: vec![LocatorRecord::unicast(ip(THERE), 1, 100)],
        ..EidRecord::of(iid(100), prefix("10.1.100.7/32"))
    };
    let notify =
        MapNotify { nonce: 1 << 40, records: vec![record], xtr: registers[0].xtr, ..MapNotify::default() };
    bench.plane.datagram(&notify.signed(&self::key()), server(), ip(HERE), bench.now);
    let records = bench.plane.pump(usize::MAX);
    records.iter().for_each(|record| bench.model.apply(record));
    assert!(
        records
            .iter()
            .any(|record| matches!(record, Update::EidUpsert { action: EidAction::Away { .. }, .. })),
        "{records:?}"
    );
    let acks = bench.plane.take_datagrams();
    let is_ack = |bytes: &[u8]| matches!(control::parse(bytes), Ok(Message::MapNotify(ack)) if ack.ack);
    assert!(acks.iter().any(|sent| is_ack(&sent.bytes)), "and then it is acknowledged");
    assert_eq!(bench.remotes("10.1.100.7/32"), Some(vec![ip(THERE)]));
    bench.after(Duration::from_secs(60));
    assert_eq!(bench.model.meaning(&key), None, "after the relay the mapping system is asked");
}

#[test]
fn an_agent_is_registered_when_the_dataplane_forwards_to_it_and_not_before() {
    let mut bench = Bench::new();
    bench.plane.attach("research", Some(ip("10.1.100.7")), None, bench.now).unwrap();
    let records = bench.publish();
    let entry = |record: &Update| matches!(record, Update::EidUpsert { prefix: at, .. } if *at == prefix("10.1.100.7/32"));
    let at = records.iter().position(entry).expect("it is expected");
    let barrier = records.iter().position(|record| matches!(record, Update::Barrier { .. }));
    assert!(barrier.is_some_and(|barrier| barrier > at), "{records:?}");
    // Taken from the ring, but not in use: who heard of it now would send packets that are dropped here.
    for _ in 0..3 {
        assert!(bench.plane.take_datagrams().is_empty());
    }
    // Another barrier, never told, does not count.
    bench.plane.event(Event::Reached { number: u64::MAX }, bench.now);
    assert!(bench.plane.take_datagrams().is_empty());
    bench.reach(&records);
    bench.settle();
    assert_eq!(bench.registers().len(), 1);
    // Nothing of it changed: a refresh does not wait.
    bench.after(Duration::from_secs(60));
    assert!(!bench.registers().is_empty());
}

#[test]
fn without_a_dataplane_a_register_waits_for_nothing() {
    let mut bench = Bench::new();
    bench.plane.attach("research", Some(ip("10.1.100.7")), None, bench.now).unwrap();
    bench.publish();
    assert!(bench.plane.take_datagrams().is_empty());
    bench.plane.session_ended();
    bench.settle();
    assert_eq!(bench.registers().len(), 1);
}

#[test]
fn detach_holds_and_wrong_orders_are_refused_with_a_sentence() {
    let mut bench = Bench::new();
    bench.plane.attach("100", Some(ip("10.1.100.7")), None, bench.now).unwrap();
    bench.settle();
    bench.confirm_registers();
    bench.plane.detach("research", ip("10.1.100.7"), bench.now).unwrap();
    bench.settle();
    let key = EidKey::host(iid(100), ip("10.1.100.7"));
    assert_eq!(bench.model.meaning(&key), Some(Meaning::Other(EidAction::Hold)));

    let now = bench.now;
    let unknown = bench.plane.attach("nobody", None, None, now).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no group nobody here (there are: research, trading)");
    let outside = bench.plane.attach("research", Some(ip("10.1.3.7")), None, now).unwrap_err();
    assert_eq!(
        outside.to_string(),
        "10.1.3.7 is not in the dynamic_eids of the group research (there are: 10.1.100.0/24)"
    );
    let none = bench.plane.attach("trading", None, None, now).unwrap_err();
    assert!(matches!(none, AttachRefusal::NoRange { .. }), "{none}");
    let mut without = ControlPlane::new(site::config());
    assert_eq!(without.attach("research", None, None, now), Err(AttachRefusal::NoMappingSystem));
}

#[test]
fn a_restart_of_the_control_plane_takes_over_what_forwards() {
    let mut bench = Bench::new();
    bench.event(miss("10.1.9.9", false));
    let request = asks(bench.requests(), "10.1.9.9/32").remove(0);
    bench.answer(&request, "10.1.9.9/32", &[THERE]);
    bench.plane.attach("research", Some(ip("10.1.100.7")), None, bench.now).unwrap();
    bench.settle();
    let before = bench.model.eids();

    // Another process, the same dataplane: it says what it has.
    let mut second = Bench::started();
    second.generation = bench.generation;
    second.model = std::mem::take(&mut bench.model);
    let group: Iid = iid(100);
    let mac = Mac([2, 0, 0, 0, 0, 7]);
    second.connect(&[
        Event::KnownLocator { set: 9, remote: Some(ip(THERE)), priority: 1, weight: 100, keep: false },
        Event::KnownEid {
            iid: group,
            prefix: prefix("10.1.9.9/32"),
            action: KnownAction::Remote { set: 9, classes: None },
        },
        Event::KnownEid {
            iid: group,
            prefix: prefix("10.1.100.7/32"),
            action: KnownAction::LocalHost { port: 0, vlan: None, mac },
        },
        // What the config says is known better, and what it does not have is not taken.
        Event::KnownEid {
            iid: group,
            prefix: prefix("10.1.2.0/24"),
            action: KnownAction::Remote { set: 9, classes: None },
        },
        Event::KnownEid {
            iid: iid(999),
            prefix: prefix("10.1.8.8/32"),
            action: KnownAction::Remote { set: 9, classes: None },
        },
        Event::KnownEid {
            iid: group,
            prefix: prefix("10.1.8.8/32"),
            action: KnownAction::Remote { set: 8, classes: None },
        },
    ]);
    for record in second.plane.pump(usize::MAX) {
        second.model.apply(&record);
        assert!(second.remotes("10.1.9.9/32").is_some(), "a hit never becomes a miss: {record:?}");
    }
    assert_eq!(second.remotes("10.1.9.9/32"), Some(vec![ip(THERE)]));
    let there: Vec<_> = second.model.eids().into_keys().collect();
    assert_eq!(there, before.into_keys().collect::<Vec<_>>(), "nothing was swept, nothing came");
    let agent = EidKey::host(group, ip("10.1.100.7"));
    assert_eq!(
        second.model.meaning(&agent),
        Some(Meaning::Other(EidAction::LocalHost { port: 0, vlan: None, mac }))
    );

    // The mapping system is asked for what was taken over, and corrects it.
    second.settle();
    second.event(Event::Used { iid: group, prefix: prefix("10.1.9.9/32") });
    second.after(Duration::from_secs(3));
    let requests = asks(second.requests(), "10.1.9.9/32");
    second.answer(&requests[0], "10.1.9.9/32", &["203.0.113.78"]);
    assert_eq!(second.remotes("10.1.9.9/32"), Some(vec![ip("203.0.113.78")]));
}

/// What each class uses outlives the process that chose it, also where an agent here is one of several.
#[test]
fn class_rows_survive_a_restart_of_the_control_plane() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = lisp_config(folder.path());
    config.groups.iter_mut().for_each(|group| group.skills = vec![prefix("10.1.101.0/28")]);
    let mut first = Bench::of(config, folder);
    let group: Iid = iid(100);
    let mac = Mac([2, 0, 0, 0, 0, 7]);
    let locator = |set, remote: Option<&str>, priority| Event::KnownLocator {
        set,
        remote: remote.map(ip),
        priority,
        weight: 100,
        keep: true,
    };
    let mut rows = ClassRows::default();
    (rows.0[0], rows.0[1], rows.0[2]) =
        (ClassRow::Set { set: 9 }, ClassRow::Set { set: 8 }, ClassRow::NoMatch);
    first.connect(&[
        locator(9, Some(THERE), 1),
        locator(9, None, 2),
        locator(8, Some(THERE), 1),
        Event::KnownClasses { classes: 4, rows },
        Event::KnownEid {
            iid: group,
            prefix: prefix("10.1.9.9/32"),
            action: KnownAction::Remote { set: 8, classes: Some(4) },
        },
        Event::KnownEid {
            iid: group,
            prefix: prefix("10.1.101.7/32"),
            action: KnownAction::Skill { port: 0, vlan: None, mac, set: Some(9), classes: Some(4) },
        },
    ]);
    for record in first.plane.pump(usize::MAX) {
        first.model.apply(&record);
    }
    let remote = first.model.meaning(&EidKey::host(group, ip("10.1.9.9")));
    let Some(Meaning::Chosen(_, of_remote)) = remote else { panic!("{remote:?}") };
    let skill = first.model.meaning(&EidKey::host(group, ip("10.1.101.7")));
    let Some(Meaning::Skill(EidAction::LocalHost { .. }, Some(all), Some(of_skill))) = skill else {
        panic!("{skill:?}")
    };
    assert_eq!(all.iter().filter(|leg| leg.hop.is_none()).count(), 1, "the agent that is here");
    for classes in [&of_remote, &of_skill] {
        let [Some(Some(none)), Some(Some(first)), Some(None), None, ..] = &classes[..] else {
            panic!("{classes:?}")
        };
        assert!(none.iter().chain(first).all(|leg| leg.keep), "flows stay where they are");
        assert_eq!(first[0].remote, ip(THERE));
    }
    // Nobody with the skill is here in the entry of the other: our own RLOC is no place to send to.
    let legs = |classes: &[model::Choice]| classes[0].clone().unwrap().unwrap().len();
    assert_eq!((legs(&of_remote), legs(&of_skill)), (1, 2));
}

#[test]
fn a_dump_that_never_ends_delays_the_sync_for_five_seconds_at_most() {
    let mut bench = Bench::started();
    bench.model.new_session();
    bench.plane.session_began(1, ports(), bench.now);
    bench.after(Duration::from_millis(4900));
    assert!(bench.plane.pump(usize::MAX).is_empty());
    let records = bench.after(Duration::from_millis(200));
    assert!(records.contains(&Update::EndSync { generation: 1 }));
}

#[test]
fn without_an_answer_entries_stay_and_are_stale() {
    let mut bench = Bench::new();
    bench.event(miss("10.1.9.9", false));
    let request = asks(bench.requests(), "10.1.9.9/32").remove(0);
    let record = EidRecord {
        ttl: 1,
        authoritative: true,
        locators: vec![LocatorRecord::unicast(ip(THERE), 1, 100)],
        ..EidRecord::of(iid(100), prefix("10.1.9.9/32"))
    };
    bench.hear(&MapReply { nonce: request.nonce, records: vec![record], ..MapReply::default() }.emit());
    for _ in 0..30 {
        bench.event(Event::Used { iid: iid(100), prefix: prefix("10.1.9.9/32") });
        bench.event(Event::Traffic { remote: ip(THERE), sent: true, received: true });
        bench.after(Duration::from_secs(10));
    }
    assert_eq!(bench.remotes("10.1.9.9/32"), Some(vec![ip(THERE)]), "no answer is not a negative answer");
    let itr = bench.plane.roles().itr().unwrap();
    let view = itr.lookup(iid(100), ip("10.1.9.9")).unwrap();
    assert_eq!(view.state, sterna_controlplane::itr::EntryState::Stale);
}

#[test]
fn a_mapping_system_that_is_taken_away_takes_what_it_said_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = lisp_config(folder.path());
    let system = config.mapping_system.as_mut().unwrap();
    // Who we are cannot be changed while we run.
    (system.site_id, system.xtr_id) = (0, None);
    let mut bench = Bench::of(config, folder);
    bench.connect(&[]);
    bench.settle();
    bench.event(miss("10.1.9.9", false));
    let request = asks(bench.requests(), "10.1.9.9/32").remove(0);
    bench.answer(&request, "10.1.9.9/32", &[THERE]);
    bench.plane.apply(site::config(), bench.now).unwrap();
    bench.settle();
    assert_eq!(bench.remotes("10.1.9.9/32"), None);
    bench.model.assert_as(&bench.plane);
    bench.event(miss("10.1.9.9", false));
    assert_eq!(bench.plane.misses().negative, 1, "the config is all there is to ask again");
}

#[test]
fn messages_nobody_is_for_and_broken_ones_are_counted() {
    let mut bench = Bench::new();
    let register = MapRegister {
        records: vec![EidRecord::of(iid(100), prefix("10.1.9.0/24"))],
        ..MapRegister::default()
    };
    bench.hear(&register.signed(&key()));
    bench.hear(&[]);
    bench.hear(&[0xff, 0, 0, 0]);
    let counters = bench.plane.roles().counters();
    let of = |name| counters.iter().find(|(known, ..)| *known == name).unwrap().1;
    assert_eq!([of("no_role"), of("truncated"), of("unknown_type")], [1, 1, 1]);
}

#[test]
fn a_probe_is_answered_for_what_is_served_here() {
    let mut bench = Bench::new();
    let probe = MapRequest {
        probe: true,
        nonce: 77,
        source_eid: LispAddress::None,
        itr_rlocs: vec![LispAddress::Ip(ip(THERE))],
        records: vec![RequestRecord::of(iid(100), prefix("10.1.1.0/24"))],
        ..MapRequest::default()
    };
    bench.sent.clear();
    let from = SocketAddr::new(ip(THERE), CONTROL_PORT);
    bench.plane.datagram(&probe.emit(), from, ip(HERE), bench.now);
    bench.settle();
    let replies: Vec<_> = bench
        .sent
        .iter()
        .filter_map(|(to, bytes)| match control::parse(bytes).unwrap() {
            Message::MapReply(reply) => Some((*to, reply)),
            _ => None,
        })
        .collect();
    let [(to, reply)] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!((*to, reply.nonce, reply.probe), (from, 77, true));
    assert!(reply.records[0].locators.iter().any(|at| at.probed && at.address.rloc() == Some(ip(HERE))));
}
