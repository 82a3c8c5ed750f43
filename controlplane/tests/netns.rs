//! The underlay against a real kernel: two network namespaces, a veth pair, routes and neighbours.
//!
//! Needs root and `ip`; without them the test says so and is skipped.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::print_stdout, reason = "test code")]

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sterna_controlplane::desired::Reach;
use sterna_controlplane::plane::ControlPlane;
use sterna_controlplane::underlay::follow::follow;
use sterna_controlplane::underlay::kernel::Kernel;
use sterna_controlplane::underlay::{Facts, Neighbour, NeighbourKey, Questions, RouteQuestion};
use tokio::sync::watch;

/// Longest wait for the kernel. It answers in milliseconds; a failed resolution takes it three seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Two namespaces joined by a veth pair; deleted when dropped, also by a panic.
struct Lab {
    near: String,
    far: String,
}

impl Lab {
    /// None, with the reason printed, where namespaces cannot be made.
    fn new(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP: network namespaces need root");
            return None;
        }
        let near = format!("scp-{name}-near-{}", std::process::id());
        let far = format!("scp-{name}-far-{}", std::process::id());
        let lab = Lab { near, far };
        for namespace in [&lab.near, &lab.far] {
            if let Err(reason) = ip(&format!("netns add {namespace}")) {
                println!("SKIP: cannot make a network namespace: {reason}");
                return None;
            }
        }
        let (near, far) = (&lab.near, &lab.far);
        ip(&format!("link add u0 netns {near} type veth peer name u1 netns {far}")).unwrap();
        lab.near("link set lo up");
        lab.far("link set lo up");
        lab.near("address add 192.0.2.1/24 dev u0");
        lab.near("address add 2001:db8::1/64 dev u0 nodad");
        lab.far("address add 192.0.2.2/24 dev u1");
        lab.far("address add 2001:db8::2/64 dev u1 nodad");
        lab.near("link set u0 up");
        lab.far("link set u1 up");
        Some(lab)
    }

    fn near(&self, command: &str) {
        ip(&format!("-n {} {command}", self.near)).unwrap();
    }

    fn far(&self, command: &str) {
        ip(&format!("-n {} {command}", self.far)).unwrap();
    }

    /// Runs a test inside the near namespace, on a thread of its own, since a thread never leaves one again.
    fn inside<T: Send>(&self, test: impl AsyncFnOnce(&Lab) -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let namespace = File::open(format!("/run/netns/{}", self.near)).unwrap();
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(test(self))
            });
            thread.join().unwrap()
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            let _ = ip(&format!("netns delete {namespace}"));
        }
    }
}

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip").args(arguments.split(' ')).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Follows the kernel until the facts are as wanted.
struct Watcher {
    facts: watch::Receiver<Facts>,
    questions: watch::Sender<Questions>,
    task: tokio::task::JoinHandle<()>,
}

impl Watcher {
    fn start(remotes: &[&str]) -> Self {
        let (questions, asked) = watch::channel(Questions {
            remotes: remotes.iter().map(|text| address(text)).collect(),
            locals: [address("192.0.2.1"), address("2001:db8::1")].into(),
            ports: ["u0".to_string()].into(),
        });
        let (told, facts) = watch::channel(Facts::default());
        let task = tokio::spawn(follow(asked, told));
        Self { facts, questions, task }
    }

    async fn until(&mut self, what: &str, wanted: impl FnMut(&Facts) -> bool) -> Facts {
        if let Ok(facts) = tokio::time::timeout(PATIENCE, self.facts.wait_for(wanted)).await {
            return facts.unwrap().clone();
        }
        panic!("never happened: {what}; known is {:#?}", *self.facts.borrow())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn neighbour(facts: &Facts, next_hop: &str) -> Option<Neighbour> {
    let link = facts.link_named("u0")?.index;
    facts.neighbours.get(&NeighbourKey { link, address: address(next_hop) }).copied()
}

fn has_mac(facts: &Facts, next_hop: &str) -> bool {
    neighbour(facts, next_hop).is_some_and(|neighbour| neighbour.mac.is_some())
}

fn question(remote: &str) -> RouteQuestion {
    RouteQuestion { remote: address(remote), source: None }
}

#[test]
fn next_hops_are_resolved_and_changes_are_seen() {
    let Some(lab) = Lab::new("route") else { return };
    lab.near("route add 198.51.100.0/24 via 192.0.2.2");
    lab.near("-6 route add 2001:db8:100::/48 via 2001:db8::2");
    lab.inside(async |lab| {
        let mut watcher = Watcher::start(&["198.51.100.1", "2001:db8:100::1"]);
        let facts = watcher
            .until("both next hops resolved", |facts| {
                has_mac(facts, "192.0.2.2") && has_mac(facts, "2001:db8::2")
            })
            .await;
        assert!(facts.settled);
        let route = facts.routes[&question("198.51.100.1")];
        assert_eq!((route.next_hop, route.mtu), (address("192.0.2.2"), None));
        let sourced = RouteQuestion { source: Some(address("192.0.2.1")), ..question("198.51.100.1") };
        assert_eq!(facts.routes[&sourced], route, "the same way from our own RLOC");
        assert_eq!(facts.routes[&question("2001:db8:100::1")].next_hop, address("2001:db8::2"));
        assert!(facts.has_address(Some("u0"), address("2001:db8::1")));

        lab.near("route replace 198.51.100.0/24 via 192.0.2.2 mtu 1400");
        watcher
            .until("the route's MTU", |facts| facts.routes[&question("198.51.100.1")].mtu == Some(1400))
            .await;
        lab.near("route delete 198.51.100.0/24");
        let gone = |facts: &Facts| !facts.routes.contains_key(&question("198.51.100.1"));
        let facts = watcher.until("the route is gone", gone).await;
        assert!(neighbour(&facts, "192.0.2.2").is_none(), "nothing needs that next hop any more");
        assert!(has_mac(&facts, "2001:db8::2"), "the other family is not concerned");

        watcher.questions.send_modify(|asked| {
            asked.remotes.insert(address("192.0.2.2"));
        });
        watcher.until("an on-link remote is its own next hop", |facts| has_mac(facts, "192.0.2.2")).await;
        watcher.questions.send_modify(|asked| {
            asked.remotes.insert(address("192.0.2.77"));
        });
        let silent = |facts: &Facts| neighbour(facts, "192.0.2.77").is_some_and(|neighbour| neighbour.failed);
        watcher.until("a next hop that is not there fails", silent).await;
    });
}

#[test]
fn every_kind_of_route_that_carries_nothing_is_an_answer() {
    let Some(lab) = Lab::new("kinds") else { return };
    lab.inside(async |lab| {
        let kernel = Kernel::open().unwrap();
        let sources = [None, Some(address("192.0.2.1")), Some(address("203.0.113.99"))];
        for kind in ["unreachable", "blackhole", "prohibit", "throw"] {
            lab.near(&format!("route add {kind} 198.51.100.0/24"));
            lab.near(&format!("-6 route add {kind} 2001:db8:100::/48"));
            for source in sources {
                let question = RouteQuestion { source, ..question("198.51.100.1") };
                assert_eq!(kernel.route(question).await.unwrap(), None, "{kind}");
            }
            assert_eq!(kernel.route(question("2001:db8:100::1")).await.unwrap(), None, "{kind}");
            lab.near("route delete 198.51.100.0/24");
            lab.near("-6 route delete 2001:db8:100::/48");
        }
        assert_eq!(kernel.route(question("198.51.100.1")).await.unwrap(), None, "no route at all");
        assert_eq!(kernel.route(question("192.0.2.1")).await.unwrap(), None, "our own address");
        let foreign = RouteQuestion { source: Some(address("203.0.113.99")), ..question("192.0.2.2") };
        assert_eq!(kernel.route(foreign).await.unwrap(), None, "a source that is not ours");
        assert!(kernel.route(question("192.0.2.2")).await.unwrap().is_some());
    });
}

#[test]
fn a_link_that_goes_down_counts_at_once_and_heals() {
    let Some(lab) = Lab::new("link") else { return };
    lab.inside(async |lab| {
        let mut watcher = Watcher::start(&["192.0.2.2"]);
        watcher.until("resolved", |facts| has_mac(facts, "192.0.2.2")).await;
        let started = std::time::Instant::now();
        lab.far("link set u1 down");
        let down = |facts: &Facts| facts.link_named("u0").is_some_and(|link| !link.up);
        let facts = watcher.until("the carrier is lost", down).await;
        // The periodic reading comes every ten seconds, and the first one is that long after the start.
        assert!(started.elapsed() < Duration::from_secs(5), "by notification, not by the periodic reading");
        assert!(neighbour(&facts, "192.0.2.2").is_none());

        lab.far("link set u1 address 02:00:00:00:00:99");
        lab.far("link set u1 up");
        let facts = watcher.until("resolved again", |facts| has_mac(facts, "192.0.2.2")).await;
        let mac = neighbour(&facts, "192.0.2.2").unwrap().mac.unwrap();
        assert_eq!(mac.to_string(), "02:00:00:00:00:99", "it is another neighbour now");

        lab.near("address delete 192.0.2.1/24 dev u0");
        let lost = |facts: &Facts| !facts.has_address(None, address("192.0.2.1"));
        watcher.until("the address is gone", lost).await;
        lab.near("link delete u0");
        watcher.until("the link is gone", |facts| facts.link_named("u0").is_none()).await;
    });
}

#[test]
fn a_neighbour_the_kernel_forgets_is_asked_for_and_not_lost_meanwhile() {
    let Some(lab) = Lab::new("neigh") else { return };
    lab.inside(async |lab| {
        let mut watcher = Watcher::start(&["192.0.2.2"]);
        watcher.until("resolved", |facts| has_mac(facts, "192.0.2.2")).await;
        let mac_is = |facts: &Facts, mac: &str| {
            let known = neighbour(facts, "192.0.2.2").and_then(|neighbour| neighbour.mac);
            known.is_some_and(|known| known.to_string() == mac)
        };
        // A link that changes its own address makes the kernel drop all its neighbours.
        lab.far("link set u1 address 02:00:00:00:00:77");
        lab.near("link set u0 address 02:00:00:00:00:66");
        let mut held = false;
        let new_mac = |facts: &Facts| {
            held |= !has_mac(facts, "192.0.2.2");
            mac_is(facts, "02:00:00:00:00:77")
        };
        let facts = watcher.until("the new MAC", new_mac).await;
        assert!(!held, "what was known held meanwhile");
        assert!(!neighbour(&facts, "192.0.2.2").unwrap().ask_now);
        assert_eq!(facts.link_named("u0").unwrap().mac.to_string(), "02:00:00:00:00:66");

        lab.far("link set u1 address 02:00:00:00:00:88");
        let started = std::time::Instant::now();
        lab.near("neigh flush dev u0");
        watcher.until("the MAC after a flush", |facts| mac_is(facts, "02:00:00:00:00:88")).await;
        assert!(started.elapsed() < Duration::from_millis(800), "asked at once, not with the next round");

        lab.near("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:55 nud permanent dev u0");
        let fixed =
            |facts: &Facts| neighbour(facts, "192.0.2.2").is_some_and(|neighbour| neighbour.permanent);
        let facts = watcher.until("configured by hand", fixed).await;
        assert_eq!(neighbour(&facts, "192.0.2.2").unwrap().mac.unwrap().to_string(), "02:00:00:00:00:55");
    });
}

const CONFIG: &str = r#"
[gateway]
name = "gw-a"
roles = ["xtr"]
[[port]]
name = "e0"
side = "eid"
[[port]]
name = "u0"
side = "rloc"
mtu = 1480
[[rloc]]
address = "192.0.2.1"
port = "u0"
[[group]]
iid = 100
name = "research"
port = "e0"
gateway = ["10.1.0.1/16"]
eids = ["10.1.1.0/24"]
[[mapping]]
iid = 100
eid = "10.1.2.0/24"
rlocs = [{ address = "192.0.2.2" }, { address = "203.0.113.1" }]
"#;

#[test]
fn the_plane_turns_the_kernels_answers_into_paths() {
    let Some(lab) = Lab::new("plane") else { return };
    lab.inside(async |_| {
        let config = sterna_config::parse(CONFIG, "test").unwrap().into_config();
        let mut plane = ControlPlane::new(config);
        let (_questions, asked) = watch::channel(plane.questions());
        let (told, mut facts) = watch::channel(Facts::default());
        let task = tokio::spawn(follow(asked, told));
        let known = tokio::time::timeout(PATIENCE, facts.wait_for(|facts| facts.settled)).await.unwrap();
        plane.underlay(known.unwrap().clone(), std::time::Instant::now());
        task.abort();
        let path = |text| plane.paths().remotes[&address(text)].clone().unwrap();
        let here = path("192.0.2.2");
        assert_eq!((here.reach, here.mtu), (Reach::Reachable, 1480), "the config knows a smaller MTU");
        assert_eq!(here.local, address("192.0.2.1"));
        assert!(here.destination.is_some() && here.source.is_unicast());
        assert_eq!(path("203.0.113.1").reach, Reach::NoRoute);
        assert_eq!(plane.paths().settings.smallest_underlay_mtu, 1480);
        assert!(plane.warnings().is_empty(), "{:?}", plane.warnings());
    });
}
