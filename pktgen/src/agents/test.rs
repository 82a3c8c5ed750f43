//! Crowds over a network in memory, by a clock that stands still until it is moved.

mod net;

use super::ledger::{Kind, LineReport};
use super::profile::Profile;
use super::report::Report;
use net::{DELAY_NS, Net};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

fn profile(talk: &str) -> Profile {
    let text = format!(
        r#"
        settle_s = 0.5
        connects_per_s = 1000
        [[place]]
        name = "a"
        interface = "none0"
        [[place]]
        name = "b"
        interface = "none1"
        [[place]]
        name = "c"
        interface = "none2"
        [[group]]
        name = "red"
        vlan = 31
        gateway = "10.1.0.1"
        first = "10.1.100.1"
        agents = 8
        [[group]]
        name = "blue"
        gateway = "fd00:64::1"
        first = "fd00:64::100:1"
        agents = 5
        {talk}"#
    );
    Profile::parse(&text).unwrap_or_else(|findings| panic!("{findings:?}"))
}

const ALL: &str =
    "[requests]\nrate = 10\npeers = 2\n[streams]\nrate = 20\nagents = 2\n[messages]\nrate = 10\npeers = 3\n";

/// A crowd that is connected and has begun to talk.
fn talking(profile: &Profile) -> Net {
    let mut net = Net::new(profile);
    net.pass(SECOND);
    net.crowd.connect(net.now_ns);
    net.pass(SECOND);
    let (wanted, open) = net.crowd.connections();
    assert!(wanted > 0 && open == wanted, "{open} of {wanted}");
    net.crowd.begin("talk", net.now_ns);
    net
}

/// Ends talking, waits, and gives what came of it.
fn ended(mut net: Net, profile: &Profile) -> Report {
    net.crowd.end(net.now_ns);
    let end_ns = net.now_ns;
    net.pass(3 * SECOND);
    Report::new(profile, &mut net.crowd, end_ns)
}

fn lines(report: &Report) -> [LineReport; 3] {
    let phase = &report.phases[0];
    [phase.requests, phase.streams, phase.messages]
}

/// Nothing is missing, doubled, late or wrong in anything.
fn assert_whole(report: &Report) {
    for line in lines(report) {
        assert!(line.due > 0 && line.due == line.done, "{report:?}");
        assert_eq!((line.sent, line.lost, line.unsent), (line.due, 0, 0));
        assert_eq!((line.duplicated, line.reordered), (0, 0));
        assert_eq!(line.latency_ns.count, line.done);
    }
    assert_eq!((report.wrong, report.overflow, report.tcp.resets), (0, 0, 0));
    let connections = report.connections;
    assert_eq!((connections.opened, connections.survived), (connections.wanted, connections.wanted));
}

#[test]
fn everybody_is_answered_in_both_families_and_latency_is_that_of_the_network() {
    let profile = profile(ALL);
    let mut net = talking(&profile);
    // The last ones are due and answered before the end.
    net.pass(2 * SECOND - MS);
    let report = ended(net, &profile);
    assert_whole(&report);
    let [requests, streams, messages] = lines(&report);
    // Thirteen agents for two seconds, two of each group stream.
    assert_eq!([requests.due, streams.due, messages.due], [260, 160, 260]);
    // Three digits of a histogram.
    let is = |ns: u64, expected: u64| ns.abs_diff(expected) <= expected / 500;
    assert!(
        is(requests.latency_ns.p50, 2 * DELAY_NS) && is(requests.latency_ns.max, 2 * DELAY_NS),
        "{requests:?}"
    );
    assert!(is(streams.latency_ns.max, DELAY_NS) && is(messages.latency_ns.max, DELAY_NS));
    assert_eq!(report.tcp.retransmitted, 0);
    let answered: u64 = report.per_agent.iter().map(|agent| agent.answered).sum();
    assert_eq!(answered, 260);
    assert!(report.per_agent.iter().all(|agent| agent.answered > 0 && agent.latency_us[0] > 0));
}

#[test]
fn a_stack_is_moved_with_its_open_connections_and_the_pause_is_in_the_latency() {
    let profile = profile(ALL);
    let mut net = talking(&profile);
    net.pass(SECOND);
    for (agent, place) in [("red/0", "b"), ("blue/3", "c"), ("red/5", "a")] {
        net.hold(agent);
        net.pass(2 * DELAY_NS);
        net.crowd.lift(agent).unwrap();
        net.pass(300 * MS);
        net.crowd.put(agent, place, net.now_ns).unwrap();
        net.pass(400 * MS);
    }
    let report = ended(net, &profile);
    assert_whole(&report);
    assert_eq!((report.moves, report.connections.broken, report.connections.refused), (3, 0, 0));
    let [requests, _, messages] = lines(&report);
    for line in [requests, messages] {
        assert!((250 * MS..1500 * MS).contains(&line.latency_ns.max), "{line:?}");
        assert!(line.latency_ns.p50 < 3 * DELAY_NS, "{line:?}");
    }
    let moved: Vec<_> = report.per_agent.iter().filter(|agent| agent.moves > 0).collect();
    assert_eq!(
        moved.iter().map(|agent| agent.place.as_deref()).collect::<Vec<_>>(),
        [Some("b"), Some("a"), Some("c")]
    );
    assert!(report.places.iter().all(|place| place.strays.elsewhere == 0), "{:?}", report.places);
}

#[test]
fn what_is_for_an_agent_that_is_gone_is_lost_and_said_so() {
    let profile = profile("[messages]\nrate = 100\n[requests]\nrate = 1\n");
    let mut net = talking(&profile);
    net.pass(SECOND);
    // Nobody holds its packets.
    net.crowd.lift("red/1").unwrap();
    net.pass(200 * MS);
    net.crowd.put("red/1", "c", net.now_ns).unwrap();
    net.pass(SECOND);
    let report = ended(net, &profile);
    let [requests, _, messages] = lines(&report);
    assert!((15..=25).contains(&messages.lost), "{messages:?}");
    assert_eq!((requests.lost, report.tcp.resets), (0, 0));
    let elsewhere: u64 = report.places.iter().map(|place| place.strays.elsewhere).sum();
    assert!(elsewhere >= messages.lost, "{:?}", report.places);
}

#[test]
fn lost_doubled_and_late_messages_are_told_apart_and_tcp_sends_again() {
    let profile = profile("[messages]\nrate = 10\n[requests]\nrate = 10\n");
    let mut net = talking(&profile);
    net.pass(SECOND);
    net.lose_next_udp(2);
    net.double_next_udp(3);
    net.delay_next_udp(1, 150 * MS);
    net.pass(SECOND);
    net.lose_next_tcp_data(1);
    net.pass(3 * SECOND);
    let report = ended(net, &profile);
    let [requests, _, messages] = lines(&report);
    assert_eq!((messages.lost, messages.duplicated, messages.reordered), (2, 3, 1), "{messages:?}");
    assert_eq!(requests.lost, 0);
    assert!(report.tcp.retransmitted > 0 && requests.latency_ns.max > 100 * MS, "{report:?}");
}

#[test]
fn a_reset_breaks_a_connection_which_is_then_opened_anew() {
    let profile = profile("[requests]\nrate = 10\n");
    let mut net = talking(&profile);
    net.pass(SECOND);
    net.reset_next_tcp_data();
    net.pass(4 * SECOND);
    let report = ended(net, &profile);
    assert!(report.tcp.resets > 0, "{report:?}");
    let connections = report.connections;
    assert_eq!((connections.broken, connections.survived), (1, connections.wanted - 1));
    // Whoever was cut off goes on afterwards, and what was under way is lost.
    let [requests, ..] = lines(&report);
    assert!(requests.lost <= 1 && requests.unsent == 0, "{requests:?}");
    assert_eq!(report.wrong, 0);
}

#[test]
fn moves_of_the_profile_take_everybody_in_turn() {
    let profile = profile("[messages]\nrate = 1\n[requests]\nrate = 1\n[moves]\nrate = 13\n");
    let mut net = talking(&profile);
    net.pass(2 * SECOND - 10 * MS);
    let report = ended(net, &profile);
    assert_eq!(report.moves, 26);
    assert!(report.per_agent.iter().all(|agent| agent.moves == 2), "{:?}", report.per_agent);
    assert_eq!((report.connections.survived, report.tcp.resets), (report.connections.wanted, 0));
}

#[test]
fn orders_for_nobody_are_refused() {
    use super::command::Unclear;
    let profile = profile("[messages]\nrate = 1\n[requests]\nrate = 1\n");
    let mut net = Net::new(&profile);
    assert_eq!(net.crowd.lift("red/8"), Err(Unclear::NoAgent));
    assert_eq!(net.crowd.put("red/7", "d", 0), Err(Unclear::NoPlace));
    assert_eq!(net.crowd.put("green/0", "a", 0), Err(Unclear::NoAgent));
}

#[test]
fn a_crowd_that_has_nothing_to_do_wants_to_sleep() {
    let profile = profile("[messages]\nrate = 1\n[requests]\nrate = 1\n");
    let mut net = talking(&profile);
    net.crowd.end(net.now_ns);
    net.pass(10 * SECOND);
    let turns = net.turns;
    net.pass(60 * SECOND);
    assert!(net.turns - turns < 10, "{} turns in a minute", net.turns - turns);
    assert!(!net.crowd.is_waiting());
    assert_eq!(net.crowd.ledger.phases[0].lines[Kind::Stream as usize].due, 0);
}
