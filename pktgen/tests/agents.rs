//! Agents over real ports: through two gateways of the lab, and at an interface where nobody answers.
//! Needs root and the gateways' programs; where they are missing it prints `SKIP` and the reason.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod lab;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sterna_lab::error::LabError;
use sterna_lab::gateway::plan::GatewayPlan;
use sterna_lab::gateway::plan::server::ServerPlan;
use sterna_lab::lab::{Adjust, Lab};
use sterna_lab::site::{AGENT_GROUPS, Family, GROUPS, Site, agent_tag, group_range};
use sterna_lab::topology::{Topology, lan_port};
use sterna_pktgen::agents::Report;
use sterna_pktgen::agents::profile::Profile;
use sterna_pktgen::agents::run::{Demands, Options, run};

const SECOND_NS: u64 = 1_000_000_000;

fn options(duration_s: Option<u64>, own_network: bool) -> Options {
    Options {
        name: "test".to_owned(),
        duration_ns: duration_s.map(|seconds| seconds * SECOND_NS),
        linger_ns: 5 * SECOND_NS,
        commands: false,
        demands: Demands { own_network, allow_generic: false },
    }
}

fn profile(text: &str) -> Profile {
    Profile::parse(text).unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn talk(profile: &Profile, options: &Options, stop: &AtomicBool) -> Report {
    run(profile, options, stop, |line| println!("{line}"), |line| panic!("{line}")).unwrap()
}

#[test]
fn agents_at_two_sites_ask_stream_and_send_messages_without_loss() {
    let topology = Topology { synthetic: true, ..Topology::MAPPED };
    let gateway = |plan: &mut GatewayPlan| plan.add_agent_group(AGENT_GROUPS[0]);
    let server = |plan: &mut ServerPlan| {
        let eids = (AGENT_GROUPS[0], group_range(Family::V4).to_owned());
        plan.sites.iter_mut().for_each(|site| site.eids.push(eids.clone()));
    };
    let lab = match Lab::build(topology, Adjust { gateway: &gateway, server: &server }) {
        Ok(lab) => lab,
        Err(error @ LabError::Missing { .. }) => return println!("SKIP: {error}"),
        Err(error) => panic!("{error}"),
    };
    let place = |site: Site| {
        let (name, netns) = (site.letter(), lab.namespace(&site.lan()).name().to_owned());
        format!(
            "[[place]]\nname = \"{name}\"\ninterface = \"{}\"\nnetns = \"{netns}\"\n",
            lan_port(GROUPS[1])
        )
    };
    let profile = profile(&format!(
        "settle_s = 3\n{}[[group]]\nname = \"g\"\nvlan = {}\ngateway = \"10.1.0.1\"\nfirst = \"10.1.100.1\"\n\
         agents = 12\n[requests]\nrate = 20\npeers = 2\n[streams]\nrate = 100\nsize = 4000\nagents = 4\n\
         [messages]\nrate = 20\nsize = 1400\n",
        Site::BOTH.map(place).concat(),
        agent_tag(AGENT_GROUPS[0])
    ));
    let report = talk(&profile, &options(Some(3), false), &AtomicBool::new(false));
    println!("{report}");
    let connections = report.connections;
    assert_eq!((connections.opened, connections.survived), (28, 28), "{connections:?}");
    let phase = &report.phases[0];
    for line in [phase.requests, phase.streams, phase.messages] {
        assert!(line.due > 500 && line.done == line.due && line.latency_ns.p50 > 0, "{line:?}");
        assert_eq!((line.lost, line.unsent, line.duplicated, line.reordered), (0, 0, 0, 0));
    }
    assert_eq!((report.tcp.resets, report.wrong, report.overflow, report.partial), (0, 0, 0, false));
    assert!(report.places.iter().all(|place| place.port.frames_leaked == 0), "{:?}", report.places);
    for gateway in lab.gateways() {
        assert_eq!(gateway.books_at_rest().unwrap().balance.error, 0, "{}", gateway.plan.name);
    }
    assert!(lab.down().unwrap().is_clean());
}

#[test]
fn who_is_stopped_before_its_time_says_so_and_what_was_not_sent_is_no_loss() {
    let Some(lab) = lab::Lab::new() else { return };
    lab.veth("left", "right", 1500);
    let profile = profile(&format!(
        "settle_s = 0.2\nconnects_per_s = 1000\n[[place]]\nname = \"a\"\ninterface = \"left\"\nnetns = \"{}\"\n\
         [[group]]\nname = \"g\"\ngateway = \"10.1.0.1\"\nfirst = \"10.1.100.1\"\nagents = 4\n\
         [requests]\nrate = 10\n",
        lab.name
    ));
    let stop = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(2));
            stop.store(true, Ordering::Relaxed);
        });
        talk(&profile, &options(Some(60), true), &stop)
    });
    assert!(report.partial && report.to_string().contains("partial"), "{report}");
    assert_eq!((report.connections.wanted, report.connections.opened, report.tcp.sent), (4, 0, 0));
    // They said where they are and asked for their gateway.
    let place = &report.places[0];
    assert!(place.interface.tx_packets >= 8 && place.port.frames_leaked == 0, "{place:?}");
}

#[test]
fn an_interface_outside_a_lab_is_refused() {
    let Some(lab) = lab::Lab::new() else { return };
    lab.veth("left", "right", 1500);
    let profile = profile(&format!(
        "[[place]]\nname = \"a\"\ninterface = \"left\"\nnetns = \"{}\"\n[[group]]\nname = \"g\"\n\
         gateway = \"10.1.0.1\"\nfirst = \"10.1.100.1\"\nagents = 2\n[requests]\nrate = 1\n",
        lab.name
    ));
    let refused = run(&profile, &options(Some(1), false), &AtomicBool::new(false), |_| {}, |_| {});
    let reason = format!("{:#}", refused.err().unwrap());
    assert!(reason.contains("place a") && reason.contains("outside a lab namespace"), "{reason}");
}
