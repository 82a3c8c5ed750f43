//! Whether an agent is still there, what is in use, and what a new control plane is told.

use super::*;

fn check(rig: &mut Rig, host: &str) -> Vec<Event> {
    rig.apply(&[Update::AgentCheck { iid: iid(), eid: address(host) }]).unwrap().0
}

#[test]
fn an_agent_that_answers_is_there_and_one_that_does_not_is_gone() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    let gone = Event::AgentGone { iid: iid(), eid: address(AGENT) };
    assert!(check(&mut rig, AGENT).is_empty());
    assert!(rig.settle().is_empty());
    assert_eq!(requests(&rig), 1);
    rig.pass(60_000_000);
    assert_eq!(requests(&rig), 1, "the second try");
    rig.inject(0, &arp(2, HOST, [10, 1, 5, 5], [10, 1, 0, 1]));
    let events = rig.settle();
    let agent = Event::Agent { iid: iid(), eid: address(AGENT), mac: Mac(HOST), port: 0, vlan: None };
    assert_eq!(events, [agent]);
    assert!(rig.pass(1_000_000_000).is_empty());
    assert_eq!(requests(&rig), 0, "and no third");
    // Silence: three questions, 60 ms apart.
    check(&mut rig, AGENT);
    let mut events = Vec::new();
    for _ in 0..100 {
        events.extend(rig.pass(1_000_000));
        rig.inject(0, &arp(1, [2, 9, 9, 9, 9, 9], [10, 1, 0, 66], [10, 1, 0, 1]));
    }
    events.retain(|event| *event == gone);
    assert_eq!((events, requests(&rig)), (vec![gone], 3));
    assert_eq!(check(&mut rig, "10.1.77.7"), [Event::AgentGone { iid: iid(), eid: address("10.1.77.7") }]);
    assert_balanced(&rig);
}

/// Events of half a second, in small steps.
fn half_a_second(rig: &mut Rig) -> Vec<Event> {
    (0..50).flat_map(|_| rig.pass(8_000_000)).collect()
}

#[test]
fn an_agent_that_is_said_to_be_elsewhere_is_asked_for_where_it_would_be() {
    let entries = [None, Some(EidAction::Remote { set: 3, classes: None }), Some(EidAction::Away { set: C })];
    for entry in entries.into_iter().chain([Some(EidAction::Negative { action: NegativeAction::Drop })]) {
        let mut rig = mobile_site();
        if let Some(entry) = entry {
            install(&mut rig, entry);
        }
        assert_eq!(check(&mut rig, AGENT), [], "{entry:?}");
        rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 1));
        let data = rig.settle();
        assert!(
            !data.iter().any(|event| matches!(event, Event::Agent { .. })),
            "what it sent is no answer: {data:?}"
        );
        assert_eq!(requests(&rig), 1);
        rig.inject(0, &arp(2, HOST, [10, 1, 5, 5], [10, 1, 0, 1]));
        let events = rig.settle();
        let agent = Event::Agent { iid: iid(), eid: address(AGENT), mac: Mac(HOST), port: 0, vlan: None };
        assert!(events.contains(&agent), "{entry:?}: {events:?}");
        // Nobody there.
        assert_eq!(check(&mut rig, AGENT), []);
        let gone = Event::AgentGone { iid: iid(), eid: address(AGENT) };
        let gone = half_a_second(&mut rig).into_iter().filter(|event| *event == gone).count();
        assert_eq!((gone, requests(&rig)), (1, 3), "{entry:?}");
    }
}

/// A host on the agent's link with another Ethernet address.
const RIVAL: [u8; 6] = [2, 6, 6, 6, 6, 6];

#[test]
fn whoever_speaks_as_an_admitted_agent_from_another_mac_is_told_of_at_a_bounded_rate() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    let mut spoofed = udp(AGENT, "10.1.2.9", 64, 1);
    spoofed[6..12].copy_from_slice(&RIVAL);
    for _ in 0..50 {
        rig.inject(0, &spoofed);
        rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 2));
    }
    let events = rig.settle();
    assert_eq!(attaches(&events), [(address(AGENT), Mac(RIVAL), AttachProof::Data)]);
    assert_eq!((rig.collect(1).len(), rig.counter("held")), (100, 0), "nothing changes before it is settled");
    rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 3));
    assert_eq!(attaches(&rig.pass(1_000_000_000)), [], "its own packets say nothing");
    // From our own address, and outside the ranges, nobody attaches.
    spoofed[6..12].copy_from_slice(&GATEWAY);
    rig.inject(0, &spoofed);
    let mut other = udp("10.1.0.5", "10.1.2.9", 64, 1);
    other[6..12].copy_from_slice(&RIVAL);
    rig.inject(0, &other);
    assert_eq!(attaches(&rig.settle()), []);
    assert_balanced(&rig);
}

#[test]
fn an_admitted_agent_keeps_its_eid_while_it_answers() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    let verdicts = |events: Vec<Event>| -> Vec<Event> {
        let is_verdict = |event: &Event| matches!(event, Event::Agent { .. } | Event::AgentGone { .. });
        events.into_iter().filter(is_verdict).collect()
    };
    let agent = |mac| Event::Agent { iid: iid(), eid: address(AGENT), mac: Mac(mac), port: 0, vlan: None };
    let answer = |mac| arp(2, mac, [10, 1, 5, 5], [10, 1, 0, 1]);
    // Both answer, the rival first.
    check(&mut rig, AGENT);
    rig.inject(0, &answer(RIVAL));
    assert_eq!(verdicts(rig.settle()), []);
    rig.inject(0, &answer(HOST));
    assert_eq!(verdicts(rig.settle()), [agent(HOST)]);
    assert_eq!(verdicts(half_a_second(&mut rig)), []);
    // Only the rival answers: known when the agent has had its three questions.
    check(&mut rig, AGENT);
    rig.collect(0);
    rig.inject(0, &answer(RIVAL));
    assert_eq!(verdicts(rig.settle()), []);
    assert_eq!((verdicts(half_a_second(&mut rig)), requests(&rig)), (vec![agent(RIVAL)], 3));
    assert_balanced(&rig);
}

#[test]
fn a_silent_host_of_a_served_prefix_is_forgotten() {
    let mut rig = mobile_site();
    rig.inject(0, &arp(2, HOST, [10, 1, 0, 9], [10, 1, 0, 1]));
    rig.settle();
    check(&mut rig, "10.1.0.9");
    for _ in 0..6 {
        rig.pass(60_000_000);
    }
    rig.collect(0);
    rig.inject(1, &from_b("10.1.0.9", 1));
    rig.settle();
    assert_eq!((requests(&rig), rig.counter("held")), (1, 1), "asked for anew");
    assert_balanced(&rig);
}

#[test]
fn too_many_questions_are_refused() {
    let mut rig = mobile_site();
    let refused = |host: u32| {
        let eid = IpAddr::V4((0x0a01_0000 + host % 200).into());
        Update::AgentCheck { iid: iid(), eid }
    };
    // The same ones again are no new questions.
    let many: Vec<_> = (0..5000).map(refused).collect();
    assert!(rig.apply(&many).unwrap().0.is_empty());
    rig.apply(&[eid("10.8.0.0/16", local())]).unwrap();
    let many: Vec<_> = (0..2000)
        .map(|n| Update::AgentCheck { iid: iid(), eid: IpAddr::V4((0x0a08_0000 + n).into()) })
        .collect();
    let events = rig.apply(&many).unwrap().0;
    assert_eq!(events.len(), 2200 - 1024);
    for _ in 0..10 {
        rig.pass(60_000_000);
    }
    assert!(check(&mut rig, "10.1.77.7").len() == 1, "room again, and no such agent");
    assert_balanced(&rig);
}

#[test]
fn use_and_traffic_are_told_at_their_pace() {
    let mut rig = mobile_site();
    let (mut used, mut sent, mut received) = (Vec::new(), 0, 0);
    let mut strangers = 0;
    for tenth in 0..205 {
        rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 64, 1));
        rig.inject(1, &from_b("10.1.0.5", 1));
        // A forger's traffic keeps nobody alive.
        rig.inject(1, &tunnelled(SITE_C, 100, &udp("10.1.0.6", "10.1.0.5", 64, 1)[14..]));
        for event in rig.pass(98_000_000) {
            match event {
                Event::Used { prefix, .. } if prefix == "10.1.2.0/24".parse().unwrap() => used.push(tenth),
                Event::Traffic { remote, sent: s, received: r } if remote == address(SITE_B) => {
                    sent += usize::from(s);
                    received += usize::from(r);
                }
                _ => strangers += 1,
            }
        }
    }
    assert_eq!((used.len(), strangers), (3, 0), "in 20 s, and only remote entries: {used:?}");
    assert!(used.windows(2).all(|pair| pair[1] - pair[0] >= 99), "ten seconds apart: {used:?}");
    assert!((190..=205).contains(&sent) && (190..=205).contains(&received), "{sent} {received}");
    assert!(rig.pass(15_000_000_000).len() <= 2, "and nothing without packets");
    assert!(rig.pass(15_000_000_000).is_empty());
}

#[test]
fn a_new_control_plane_is_told_what_there_is() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    rig.apply(&[eid("10.1.5.6/32", EidAction::Away { set: C }), eid("10.1.5.7/32", EidAction::Hold)])
        .unwrap();
    rig.inject(0, &arp(2, HOST, [10, 1, 0, 9], [10, 1, 0, 1]));
    rig.settle();
    rig.begin_session();
    let known = rig.known();
    assert_eq!(known.last(), Some(&Event::KnownEnd));
    let mut sets = std::collections::HashMap::new();
    let mut found = Vec::new();
    for event in &known {
        match *event {
            Event::KnownLocator { set, remote: Some(remote), priority: 1, weight: 100, keep: false } => {
                assert!(sets.insert(set, remote).is_none(), "each set once");
            }
            Event::KnownEid { prefix, action, .. } => found.push((
                prefix.to_string(),
                match action {
                    KnownAction::Remote { set, classes: None } => format!("remote {}", sets[&set]),
                    KnownAction::Away { set } => format!("away {}", sets[&set]),
                    KnownAction::LocalHost { port: 0, vlan: None, mac: Mac(HOST) } => "here".into(),
                    KnownAction::Hold => "hold".into(),
                    other => panic!("{other:?}"),
                },
            )),
            Event::KnownEnd => {}
            other => panic!("{other:?}"),
        }
    }
    found.sort();
    let entry = |prefix: &str, what: &str| (prefix.to_owned(), what.to_owned());
    let expected = [
        entry("10.1.0.5/32", "here"),
        entry("10.1.2.0/24", "remote 192.0.2.2"),
        entry("10.1.5.5/32", "here"),
        entry("10.1.5.6/32", "away 192.0.2.3"),
        entry("10.1.5.7/32", "hold"),
    ];
    assert_eq!(found, expected);
    let agents = rig.agents();
    let has =
        |eid: &str| agents.iter().any(|e| matches!(e, Event::Agent { eid: e, .. } if *e == address(eid)));
    assert!(agents.len() == 3 && has("10.1.0.5") && has(AGENT) && has("10.1.0.9"), "{agents:?}");
    // What the new one does not say again is swept: entries, ranges and permissions.
    rig.apply(&[allow(AGENT, SITE_C), Update::BeginSync { generation: 9 }]).unwrap();
    rig.apply(&site_updates(Some(Mac(CORE)))).unwrap();
    rig.apply(&[Update::EndSync { generation: 9 }]).unwrap();
    assert_eq!(rig.agents().len(), 1, "only the one that spoke for itself");
    rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 1));
    rig.settle();
    assert_eq!(rig.counter("drop_src_not_local"), 1, "no range");
    assert_balanced(&rig);
}
