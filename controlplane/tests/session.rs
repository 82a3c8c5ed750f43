//! Sessions with a fake dataplane that listens on a real socket and keeps a model of its tables.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod model;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::site::{self, config, iid, ip, prefix};
use model::{Meaning, Model};
use sterna_controlplane::desired::EidKey;
use sterna_controlplane::plane::ControlPlane;
use sterna_controlplane::session;
use sterna_controlplane::shared::Shared;
use sterna_controlplane::underlay::Facts;
use sterna_shm::{
    CounterDesc, Counters, DataplaneSession, EidAction, Event, Farewell, Kind, Listener, NegativeAction,
    Offer, PortDesc, ScopeName, Side, Update,
};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// A dataplane of this process: driven by the test, one step at a time.
struct Fake {
    listener: Listener,
    counters: Counters,
    ports: Vec<PortDesc>,
    slots: usize,
    session: Option<DataplaneSession>,
    model: Model,
    sessions: u32,
    /// What a session begins with.
    dumped: VecDeque<Event>,
    /// What of it has not been said yet.
    dump: VecDeque<Event>,
}

impl Fake {
    fn new(socket: &Path, slots: usize) -> Self {
        let description = [CounterDesc { name: "rx_packets", kind: Kind::Rx, help: "Packets received." }];
        let scope = ScopeName { worker: 0, port: 0, port_name: "e0".into(), side: Side::Eid };
        let config = config();
        let ports = config.ports.iter().map(|port| PortDesc { name: port.name.clone(), side: Side::Both });
        Self {
            listener: Listener::bind(socket).unwrap(),
            counters: Counters::create(&description, &[scope]).unwrap(),
            ports: ports.collect(),
            slots,
            session: None,
            model: Model::default(),
            sessions: 0,
            dumped: VecDeque::new(),
            dump: VecDeque::new(),
        }
    }

    /// Lets in who knocks, and applies at most `most` records.
    fn step(&mut self, most: usize) {
        let offer = Offer { counters: &self.counters, ring_slots: self.slots, ports: &self.ports };
        if let Ok(Some(session)) = self.listener.accept(&offer) {
            self.model.new_session();
            self.sessions += 1;
            self.dump = self.dumped.clone();
            self.dump.push_back(Event::KnownEnd);
            self.session = Some(session);
        }
        let Some(session) = &mut self.session else { return };
        session.doorbell().drain();
        while let Some(event) = self.dump.front() {
            if session.events.push(event).is_err() {
                break;
            }
            self.dump.pop_front();
        }
        session.ring_events();
        for _ in 0..most {
            let Some(record) = session.updates.pop().unwrap() else {
                break;
            };
            self.model.apply(&record);
            if let Update::EndSync { generation } = record {
                session.events.push(&Event::Applied { generation }).unwrap();
                session.ring_events();
            }
        }
    }

    fn say(&mut self, event: Event) {
        let session = self.session.as_mut().unwrap();
        session.events.push(&event).unwrap();
        session.ring_events();
    }

    /// Steps until `done`, giving the control plane its turns in between.
    async fn until(&mut self, what: &str, mut done: impl FnMut(&Fake) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !done(self) {
            assert!(tokio::time::Instant::now() < deadline, "never happened: {what}");
            self.step(64);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A control plane that keeps a session, without its netlink and API.
struct Bench {
    shared: Shared,
    facts: watch::Sender<Facts>,
    socket: PathBuf,
    task: JoinHandle<()>,
    _folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("dataplane.sock");
        let shared = Shared::new(ControlPlane::new(config()), folder.path().join("gateway.toml"));
        let (facts, known) = watch::channel(Facts::default());
        let (kept, path) = (shared.clone(), socket.clone());
        let task = tokio::spawn(async move { session::keep(&kept, &path, known).await });
        Self { shared, facts, socket, task, _folder: folder }
    }

    /// What the underlay task would do.
    fn learn(&self, facts: Facts) {
        self.shared.plane().underlay(facts.clone(), Instant::now());
        self.facts.send_replace(facts);
        self.shared.publish();
    }

    fn learn_all(&self) {
        let questions = self.shared.plane().questions();
        self.learn(site::facts(&questions));
    }

    fn synced(&self) -> bool {
        self.shared.plane().publisher().synced()
    }

    fn generation(&self) -> u64 {
        self.shared.plane().publisher().generation().unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn in_sync(bench: &Bench, fake: &Fake) {
    let plane = bench.shared.plane();
    fake.model.assert_is(plane.site(), plane.paths(), &Default::default());
}

#[tokio::test]
async fn a_session_syncs_follows_changes_and_answers() {
    let bench = Bench::new();
    bench.learn_all();
    let mut fake = Fake::new(&bench.socket, 256);
    fake.until("synced", |_| bench.synced()).await;
    in_sync(&bench, &fake);
    assert_eq!(fake.model.applied, Some(bench.generation()));

    let mut facts = site::facts(&bench.shared.plane().questions());
    facts.links.get_mut(&site::U0).unwrap().up = false;
    bench.learn(facts);
    let shared = bench.shared.clone();
    let done = |_: &Fake| shared.plane().publisher().dirty() == 0;
    fake.until("the link down is published", done).await;
    fake.step(64);
    in_sync(&bench, &fake);

    fake.say(Event::Miss { iid: iid(100), eid: ip("10.1.9.9"), source: false, port: 0, class: 0 });
    let key = EidKey { iid: iid(100), prefix: prefix("10.1.9.9/32") };
    fake.until("the miss is answered", |fake| fake.model.meaning(&key).is_some()).await;
    let negative = EidAction::Negative { action: NegativeAction::Drop };
    assert_eq!(fake.model.meaning(&key), Some(Meaning::Other(negative)));

    let mac = sterna_wire::Mac([2, 0, 0, 0, 0, 5]);
    fake.say(Event::Agent { iid: iid(100), eid: ip("10.1.1.5"), mac, port: 0, vlan: None });
    fake.until("the agent is known", |_| bench.shared.plane().agents().iter().count() == 1).await;
    fake.say(Event::AgentGone { iid: iid(100), eid: ip("10.1.1.5") });
    fake.until("the agent is gone", |_| bench.shared.plane().agents().iter().count() == 0).await;
}

#[tokio::test]
async fn a_ring_of_two_slots_is_enough() {
    let bench = Bench::new();
    bench.learn_all();
    let mut fake = Fake::new(&bench.socket, 2);
    fake.until("synced", |_| bench.synced()).await;
    in_sync(&bench, &fake);
}

#[tokio::test]
async fn nothing_is_said_before_the_underlay_is_known() {
    let bench = Bench::new();
    let mut fake = Fake::new(&bench.socket, 256);
    for _ in 0..200 {
        fake.step(64);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(fake.sessions, 0);
    let questions = bench.shared.plane().questions();
    bench.learn(Facts { settled: false, ..site::facts(&questions) });
    let started = std::time::Instant::now();
    fake.until("synced although a next hop never answered", |_| bench.synced()).await;
    assert!(started.elapsed() >= Duration::from_millis(900), "it waited for the next hop first");
    in_sync(&bench, &fake);
}

#[tokio::test]
async fn a_dataplane_that_is_restarted_is_told_everything_again() {
    let bench = Bench::new();
    bench.learn_all();
    let mut fake = Fake::new(&bench.socket, 256);
    fake.until("synced", |_| bench.synced()).await;
    let first = bench.generation();
    drop(fake);
    let patience = tokio::time::Instant::now() + PATIENCE;
    while bench.synced() {
        assert!(tokio::time::Instant::now() < patience, "the death was never noticed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(bench.shared.with_session(|_| ()).is_none());
    let mut fake = Fake::new(&bench.socket, 256);
    fake.until("synced with the new one", |_| bench.synced()).await;
    assert!(bench.generation() > first);
    in_sync(&bench, &fake);
}

#[tokio::test]
async fn a_failed_channel_is_replaced_and_synced_again() {
    let bench = Bench::new();
    bench.learn_all();
    let mut fake = Fake::new(&bench.socket, 256);
    fake.until("synced", |_| bench.synced()).await;
    let before = fake.model.eids();
    fake.session.take().unwrap().dismiss(Farewell::ChannelFault);
    fake.until("a second session", |fake| fake.sessions == 2).await;
    fake.until("synced again", |_| bench.synced()).await;
    assert_eq!(fake.model.eids(), before);
    in_sync(&bench, &fake);
}

#[tokio::test]
async fn a_control_plane_that_is_replaced_disturbs_nothing() {
    let bench = Bench::new();
    bench.learn_all();
    let mut fake = Fake::new(&bench.socket, 256);
    fake.until("synced", |_| bench.synced()).await;
    let before = fake.model.eids();
    let socket = bench.socket.clone();
    // As SIGKILL does: the socket is closed, nobody says goodbye.
    bench.task.abort();
    drop(bench.shared.set_session(None));

    let folder = tempfile::tempdir().unwrap();
    let shared = Shared::new(ControlPlane::new(config()), folder.path().join("gateway.toml"));
    let questions = shared.plane().questions();
    let facts = site::facts(&questions);
    shared.plane().underlay(facts.clone(), Instant::now());
    let (_tell, known) = watch::channel(facts);
    let kept = shared.clone();
    let task = tokio::spawn(async move { session::keep(&kept, &socket, known).await });
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !shared.plane().publisher().synced() {
        assert!(tokio::time::Instant::now() < deadline, "the second control plane never synced");
        fake.step(1);
        assert_eq!(fake.model.eids(), before, "forwarding is the same after every single record");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    assert_eq!(fake.sessions, 2);
    task.abort();
}
