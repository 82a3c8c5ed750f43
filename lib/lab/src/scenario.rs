//! The named scenarios: what each proves, by which steps, and by what its negative control must fail.

use std::time::Instant;

use crate::error::{LabError, Result};
use crate::gateway::plan::GatewayPlan;
use crate::gateway::plan::server::ServerPlan;
use crate::interrupt;
use crate::lab::{Adjust, Lab};
use crate::report::{Scenario, Step, Watch};
use crate::site::Site;
use crate::topology::Topology;
use crate::underlay::Node;

mod accounting;
pub(crate) mod agents;
mod attacks;
mod bulk;
mod context;
mod control_plane_kill;
mod eid_api;
mod fail_closed;
mod gpu;
mod hijack;
mod isolation;
mod legacy;
mod locator_change;
mod moving;
mod multi_queue;
mod multihoming;
mod ping_matrix;
mod reaction;
mod resolve;
mod restart;
mod rough;
mod run;
mod scale;
mod skills;
mod storm;
mod tcp;
mod thousand;
mod udp;
mod vlan;

pub use run::{Outcome, Run};

/// A step's name and its work.
type Work = (&'static str, fn(&mut Run<'_>) -> Result<Outcome>);

/// A scenario.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it proves, in one sentence.
    pub about: &'static str,
    /// What its negative control takes away.
    pub without: &'static str,
    /// What it needs.
    topology: Topology,
    /// Changes a gateway's config before the start; `true` for the negative control.
    adjust: fn(&mut GatewayPlan, bool),
    /// Changes the Map-Server's.
    server: fn(&mut ServerPlan, bool),
    steps: &'static [Work],
}

const PING: Work = ("ping over v4/v6 in v4/v6", ping_matrix::run);
const TCP: Work = ("tcp 100 MB", tcp::run);
const UDP: Work = ("udp at a stated rate", udp::run);
const ISOLATION: Work = ("two groups, same addresses", isolation::run);
const KILL: Work = ("both control planes killed", control_plane_kill::run);
const LOCATOR: Work = ("mapping changed to the other locator", locator_change::run);

/// Two mapped sites and somebody else in the underlay.
const ATTACKED: Topology = Topology { nodes: &[Node::MapServer, Node::Outsider], ..Topology::PLAIN };
/// Two mapped sites, with a relay under site B's first locator.
const MULTIHOMED: Topology = Topology { relayed: &[(Site::B, 0)], ..Topology::MAPPED };
/// Three sites that offer the same to a fourth, two of them farther away.
const OFFERING: Topology = Topology {
    sites: &Site::FOUR,
    nodes: &[Node::MapServer, Node::Outsider],
    relayed: &[(Site::B, 0), (Site::D, 0)],
    ..Topology::PLAIN
};
/// Two sites that offer the same to a third.
const REACTING: Topology = Topology { sites: &Site::ALL, ..Topology::MAPPED };
/// Three sites and somebody else in the underlay.
const LEGACY: Topology = Topology { sites: &Site::ALL, ..ATTACKED };
/// Three sites whose agents one process plays.
const CROWDED: Topology = Topology { sites: &Site::ALL, synthetic: true, ..Topology::MAPPED };
/// Two sites, two queues at every port of their gateways.
const QUEUED: Topology = Topology { queues: 2, ..Topology::PLAIN };
/// A Map-Server, and scripted peers.
const SERVER_ALONE: Topology = Topology { sites: &[], ..ATTACKED };

/// Every scenario, in the order of `sterna lab list`.
pub const ALL: [Entry; 24] = [
    Entry {
        name: "demo",
        about: "everything that `sterna demo` shows, in one lab whose sites find each other through a Map-Server",
        without: "the Map-Server at site A",
        topology: Topology::ROAMING,
        adjust: gpu::adjust,
        server: gpu::server,
        steps: &[
            ("sites find each other through the Map-Server: ping over v4 and v6", ping_matrix::run_mapped),
            TCP,
            UDP,
            ISOLATION,
            KILL,
            ("a site prefers its other locator", locator_change::run),
            ("an agent moves during a transfer", moving::once),
            ("a request for a GPU goes to a GPU", gpu::run),
        ],
    },
    Entry {
        name: "ping-matrix",
        about: "ping over every combination of inner and outer family, local and remote, and to the gateway",
        without: "group 100's mappings at site A",
        topology: Topology::PLAIN,
        adjust: ping_matrix::adjust,
        server: same,
        steps: &[PING],
    },
    Entry {
        name: "tcp",
        about: "100 MB over TCP between two agents, digests of both ends compared",
        without: "group 100's mappings at site A",
        topology: Topology::PLAIN,
        adjust: ping_matrix::adjust,
        server: same,
        steps: &[TCP],
    },
    Entry {
        name: "udp",
        about: "a UDP stream at a stated rate, nothing lost, reordered or changed",
        without: "group 100's mappings at site A",
        topology: Topology::PLAIN,
        adjust: ping_matrix::adjust,
        server: same,
        steps: &[UDP],
    },
    Entry {
        name: "isolation",
        about: "two groups with the same addresses at once, each reaching its own peer and never the other's; then forged, \
                over-claiming, replayed and spoofed messages and packets, each refused and counted",
        without: "the right ports of the two groups at site B: they are crossed",
        topology: ATTACKED,
        adjust: isolation::adjust,
        server: attacks::server,
        steps: &[ISOLATION, ("attacks by name", attacks::run)],
    },
    Entry {
        name: "control-plane-kill",
        about: "SIGKILL of both control planes and their restart under 1,000 pings/s, nothing lost",
        without: "the dataplanes, which are killed too",
        topology: Topology::PLAIN,
        adjust: unchanged,
        server: same,
        steps: &[KILL],
    },
    Entry {
        name: "locator-change",
        about: "a mapping changed and applied under 1,000 pings/s: traffic moves to the other locator, nothing lost",
        without: "site B's second locator",
        topology: Topology::PLAIN,
        adjust: locator_change::adjust,
        server: same,
        steps: &[LOCATOR],
    },
    Entry {
        name: "accounting",
        about: "mixed traffic, then the gateways' books must agree with themselves and with the witness",
        without: "the agreement on group 200's instance-ID: the gateways use another than the hosts name",
        topology: Topology::PLAIN,
        adjust: accounting::adjust,
        server: same,
        steps: &[("traffic of both groups", accounting::run)],
    },
    Entry {
        name: "vlan",
        about: "802.1Q-tagged agents of a group behind a tag reach each other, tags on again at the far end",
        without: "the same tag at site B",
        topology: Topology::PLAIN,
        adjust: vlan::adjust,
        server: same,
        steps: &[("tagged agents", vlan::run)],
    },
    Entry {
        name: "bulk",
        about: "four TCP transfers at once, both groups, both directions, both families",
        without: "group 100's mappings at site A",
        topology: Topology::PLAIN,
        adjust: ping_matrix::adjust,
        server: same,
        steps: &[("four transfers at once", bulk::run)],
    },
    Entry {
        name: "multi-queue",
        about: "two queues and two workers per gateway: 256 flows each way, on both workers, each flow in order",
        without: "the second queue of what the gateways' ports are connected to: all flows come in at the first",
        topology: QUEUED,
        adjust: multi_queue::adjust,
        server: same,
        steps: &[("256 flows each way over two queues", multi_queue::run)],
    },
    Entry {
        name: "fail-closed",
        about: "SIGKILL of a dataplane: nothing leaves in the clear, and after its restart all is well again",
        without: "the restart",
        topology: Topology::PLAIN,
        adjust: unchanged,
        server: same,
        steps: &[("dataplane killed and restarted", fail_closed::run)],
    },
    Entry {
        name: "resolve",
        about: "the first packets to 100 unknown EIDs at once: held, resolved once each, delivered in order",
        without: "room to hold packets at site A",
        topology: Topology::MAPPED,
        adjust: resolve::adjust,
        server: same,
        steps: &[("100 unknown EIDs at once", resolve::run)],
    },
    Entry {
        name: "move",
        about: "an agent changes its site ten times in each of three ways, under TCP and UDP both ways",
        without: "the agents' range at site C",
        topology: Topology::ROAMING,
        adjust: moving::adjust,
        server: moving::server,
        steps: &[
            ("ten announced moves", moving::announced),
            ("ten moves with both links for a while", moving::both_links),
            ("ten unannounced moves", moving::unannounced),
        ],
    },
    Entry {
        name: "multihoming",
        about: "10,000 flows over two locators by weight, one locator's link cut, then only the far control plane killed",
        without: "site B's second locator",
        topology: MULTIHOMED,
        adjust: multihoming::adjust,
        server: same,
        steps: &[
            ("10,000 flows by weight", multihoming::shares),
            ("one link cut", multihoming::cut),
            ("far control plane killed", multihoming::far_control_plane),
        ],
    },
    Entry {
        name: "hijack",
        about: "one packet and then a flood claim an agent's EID at another site; the agent keeps it, and can still move",
        without: "the agents' range at site B",
        topology: Topology::ROAMING,
        adjust: hijack::adjust,
        server: same,
        steps: &[
            ("one spoofed packet", hijack::one_packet),
            ("a flood of spoofed packets", hijack::flood),
            ("a real move after it", hijack::real_move),
        ],
    },
    Entry {
        name: "restart",
        about: "the Map-Server killed and restarted with 10,000 registrations under pings, then every control plane in turn",
        without: "what the Map-Server had written down",
        topology: ATTACKED,
        adjust: unchanged,
        server: restart::server,
        steps: &[
            ("Map-Server killed and restarted", restart::map_server),
            ("control planes killed in turn", restart::in_turn),
        ],
    },
    Entry {
        name: "scale",
        about: "one Map-Server with a million EIDs from scripted ETRs, then 20,000 questions a second for 30 s",
        without: "room for more than a thousand registrations",
        topology: SERVER_ALONE,
        adjust: unchanged,
        server: scale::server,
        steps: &[("EIDs registered", scale::register), ("questions answered", scale::answer)],
    },
    Entry {
        name: "context",
        about: "three sites offer one skill: each of four classes goes where the formula says, also when that changes, and the \
                Map-Server orders as the formula does",
        without: "the classes at site A",
        topology: OFFERING,
        adjust: context::adjust,
        server: context::server,
        steps: &[
            ("each class at its site", context::by_class),
            ("flows that are pinned", context::pinned),
            ("no match", context::no_match),
            ("agents at their gateway's address", eid_api::run),
            ("the Map-Server's order", context::order::judge),
        ],
    },
    Entry {
        name: "reaction",
        about: "an agent fails again and again under 2,000 new flows a second: how soon none goes there any more; open flows \
                leave it, others lose nothing, and a swinging load is nobody's matter",
        without: "subscriptions at site A",
        topology: REACTING,
        adjust: reaction::adjust,
        server: reaction::server,
        steps: &[
            ("open flows leave a failed agent", reaction::pinned),
            ("new flows leave a failed agent", reaction::failed),
            ("load below the threshold", reaction::swings),
        ],
    },
    Entry {
        name: "legacy",
        about: "peers without context, in both directions: captured bytes, an ITR, an ETR and a Map-Server; what requires \
                context gets no match",
        without: "require_context of one class",
        topology: LEGACY,
        adjust: legacy::adjust,
        server: legacy::server,
        steps: &[
            ("captured bytes", legacy::captured),
            ("an ITR without context", legacy::itr),
            ("an ETR without context", legacy::etr),
            ("a Map-Server without context", legacy::map_server),
        ],
    },
    Entry {
        name: "storm",
        about: "10,000 agents report 10,000 times a second in all: what reaches the mapping system stays within its bound, and \
                forwarding does not notice",
        without: "the bounds of what the mapping system is told",
        topology: Topology::MAPPED,
        adjust: storm::adjust,
        server: storm::server,
        steps: &[("ten thousand agents report", storm::run)],
    },
    Entry {
        name: "thousand",
        about: "1,000 agents in 10 groups at 3 sites exchange small messages over TCP and UDP, first where they are, then \
                while 50 of them move every second for a minute: nothing lost, no connection reset",
        without: "room to hold packets at every site",
        topology: CROWDED,
        adjust: thousand::adjust,
        server: thousand::server,
        steps: &[("agents talk, then 50 move every second", thousand::run)],
    },
    Entry {
        name: "rough",
        about: "moves, questions and context over access links like a WAN, a satellite, Wi-Fi and 5G: nothing is missing that \
                the link did not keep, no answer is wrong, and control messages stay within what losses and delay excuse",
        without: "room to hold packets at site A",
        topology: rough::TOPOLOGY,
        adjust: rough::adjust,
        server: rough::server,
        steps: &[
            ("everyone is there", rough::arrive),
            ("over a WAN", rough::wan),
            ("over a geostationary satellite", rough::satellite),
            ("over Wi-Fi", rough::wifi),
            ("over 5G", rough::five_g),
            ("over a satellite in low orbit", rough::leo),
        ],
    },
];

fn unchanged(_: &mut GatewayPlan, _: bool) {}

fn same(_: &mut ServerPlan, _: bool) {}

/// How to run a scenario.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Run the negative control, which must fail.
    pub negative: bool,
    /// Leave the lab up.
    pub keep: bool,
    /// Do less of what takes long: fewer EIDs and questions of `scale`.
    pub short: bool,
}

/// Finds a scenario.
///
/// # Errors
/// [`LabError::UnknownScenario`] with the names there are.
pub fn find(name: &str) -> Result<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name).ok_or_else(|| LabError::UnknownScenario {
        name: name.to_owned(),
        known: ALL.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", "),
    })
}

/// Builds a lab, runs a scenario in it, settles the accounts, takes the lab down.
///
/// # Errors
/// [`LabError::Missing`] when the machine cannot have a lab, [`LabError::Interrupted`] on Ctrl-C (after the
/// teardown). Everything else is a step that did not hold.
pub fn run(entry: &Entry, options: Options, watch: &mut dyn Watch) -> Result<Scenario> {
    let start = Instant::now();
    let gateway = |plan: &mut GatewayPlan| (entry.adjust)(plan, options.negative);
    let server = |plan: &mut ServerPlan| (entry.server)(plan, options.negative);
    let lab = match Lab::build(entry.topology, Adjust { gateway: &gateway, server: &server }) {
        Ok(lab) => lab,
        Err(error @ (LabError::Missing { .. } | LabError::Interrupted)) => return Err(error),
        Err(error) => return Ok(not_built(entry, options, &error, watch)),
    };
    watch.note(&format!(
        "lab {} is up after {} ms: {}",
        lab.id().name(),
        start.elapsed().as_millis(),
        entry.topology.in_words()
    ));
    let mut run = Run::new(lab, options, watch);
    for (name, work) in entry.steps.iter().copied().chain([("accounts", accounting::settle as _)]) {
        run.step(name, work);
        if interrupt::requested() {
            // Dropping the run takes the lab down.
            return Err(LabError::Interrupted);
        }
    }
    let mut scenario = run.close(entry.name, options.keep);
    scenario.figures.duration_s = (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    Ok(scenario)
}

fn not_built(entry: &Entry, options: Options, error: &LabError, watch: &mut dyn Watch) -> Scenario {
    let step = Step { name: "lab".to_owned(), ok: false, detail: error.to_string() };
    watch.step(&step);
    Scenario {
        scenario: entry.name.to_owned(),
        negative: options.negative,
        ok: false,
        figures: crate::report::Figures::default(),
        steps: vec![step],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for entry in &ALL {
            assert_eq!(find(entry.name).unwrap().about, entry.about);
            assert!(!entry.without.is_empty());
        }
        let error = find("nothing").err().unwrap().to_string();
        assert!(error.contains("ping-matrix"), "{error}");
    }
}
