//! Section 2.9 and design section 8: who is answered, by whom, with what, and where to.

use super::peers::*;
use crate::server::*;
use std::time::Duration;
use sterna_wire::lisp::control::{Act, Ecm, EidRecord, LispAddress, LocatorRecord, MapReply, RequestRecord};

fn sole(records: Vec<EidRecord>) -> EidRecord {
    assert_eq!(records.len(), 1, "{records:?}");
    records.into_iter().next().unwrap()
}

/// (prefix, act, ttl, number of locators) of a sole record.
fn facts(records: Vec<EidRecord>) -> (String, Act, u32, usize) {
    let record = sole(records);
    let prefix = record.prefix().unwrap().1.to_string();
    (prefix, record.act, record.ttl, record.locators.len())
}

#[test]
fn outside_every_site_the_shortest_prefix_that_hides_none_is_nobodys() {
    let mut world =
        World::new(settings(&[site("site-a", "192.168.1.0/24"), site("site-b", "192.168.2.0/24")]));
    let mut itr = Peer::of("nobody", "203.0.113.1");
    let native = |prefix: &str, ttl| (prefix.to_owned(), Act::NoAction, ttl, 0);
    assert_eq!(facts(itr.resolves(&mut world, "192.168.9.9/32")), native("192.168.8.0/21", 15));
    assert_eq!(facts(itr.resolves(&mut world, "192.168.3.1/32")), native("192.168.3.0/24", 15));
    assert_eq!(facts(itr.resolves(&mut world, "10.0.0.1/32")), native("0.0.0.0/1", 15));
    assert_eq!(facts(itr.resolves(&mut world, "2001:db8::1/128")), native("::/1", 15));
    let mut request = itr.request(&["192.168.9.9/32"]);
    request.records = vec![RequestRecord::of(iid(0), prefix("192.168.9.9/32"))];
    let sent = itr.ask(&mut world, &request);
    let record = &itr.replies(&sent)[0].records[0];
    assert_eq!((record.act, record.prefix()), (Act::NativelyForward, Some((iid(0), prefix("128.0.0.0/1")))));
    assert!(world.refusals().is_empty());
}

#[test]
fn inside_a_site_what_is_not_registered_is_nobodys_for_a_minute_and_only_that_host() {
    let mut world = World::of_two();
    let mut itr = Peer::of("nobody", "203.0.113.1");
    let negative = ("10.1.0.7/32".to_owned(), Act::NativelyForward, 1, 0);
    assert_eq!(facts(itr.resolves(&mut world, "10.1.0.7/32")), negative);
    let negative = ("10.1.0.0/24".to_owned(), Act::NativelyForward, 1, 0);
    assert_eq!(facts(itr.resolves(&mut world, "10.1.0.0/24")), negative);
    assert_eq!(world.server.counters().negatives, 2);
}

#[test]
fn a_proxy_reply_names_usable_locators_by_priority_and_is_not_authoritative() {
    let mut world = World::of_two();
    let mut etr = Peer::of("site-a", "198.51.100.1");
    let mut register = etr.register(&["10.1.0.0/24"]);
    let locator = |last, priority, reachable| LocatorRecord {
        reachable,
        ..LocatorRecord::unicast([198, 51, 100, last].into(), priority, 100)
    };
    register.records[0].locators =
        vec![locator(4, 2, true), locator(3, 1, false), locator(2, 255, true), locator(5, 1, true)];
    register.records[0].map_version = 77;
    etr.send(&mut world, &register);
    let record = sole(Peer::of("nobody", "203.0.113.1").resolves(&mut world, "10.1.0.9/32"));
    assert_eq!(addresses(&record), [ip("198.51.100.5"), ip("198.51.100.4")]);
    assert_eq!((record.authoritative, record.ttl, record.map_version), (false, 1440, 77));
    assert_eq!(prefix_of(&record), prefix("10.1.0.0/24"));
    let mut register = etr.register(&["10.1.0.0/24"]);
    register.records[0].locators = vec![locator(2, 255, true), locator(3, 1, false)];
    register.records[0].ttl = 86_400;
    etr.send(&mut world, &register);
    let record = sole(Peer::of("nobody", "203.0.113.2").resolves(&mut world, "10.1.0.9/32"));
    assert_eq!(
        (addresses(&record), record.ttl),
        (vec![ip("198.51.100.3")], 1440),
        "no locator is said to be up"
    );
    let mut register = etr.register(&["10.1.0.0/24"]);
    register.records[0].ttl = 5;
    etr.send(&mut world, &register);
    assert_eq!(sole(etr.resolves(&mut world, "10.1.0.9/32")).ttl, 5);
}

/// An ETR that answers itself, with two locators.
fn answers_itself(world: &mut World) -> Peer {
    let mut etr = Peer::of("site-a", "198.51.100.1");
    let mut register = etr.register(&["10.1.0.0/24"]);
    register.proxy_reply = false;
    register.records[0].locators.push(LocatorRecord::unicast(ip("198.51.100.2"), 2, 1));
    etr.send(world, &register);
    etr
}

#[test]
fn without_proxy_reply_the_inner_packet_goes_to_the_etr_byte_for_byte_in_turns() {
    let mut world = World::of_two();
    answers_itself(&mut world);
    let mut itr = Peer::of("nobody", "203.0.113.1");
    let mut went = Vec::new();
    for _ in 0..4 {
        let mut bytes = ecm(&itr.request(&["10.1.0.9/32"]), itr.source);
        bytes[0] |= 0x04;
        let sent = world.give(&bytes, itr.source);
        assert_eq!((sent.len(), sent[0].to.port()), (1, 4342));
        assert_eq!(sent[0].bytes[..4], [0x80, 0, 0, 0], "the D bit is cleared");
        let (before, after) = (Ecm::parse(&bytes).unwrap(), Ecm::parse(&sent[0].bytes).unwrap());
        assert_eq!(before.packet, after.packet);
        went.push(sent[0].to.ip().to_string());
    }
    assert_eq!(went, ["198.51.100.1", "198.51.100.2", "198.51.100.1", "198.51.100.2"]);
    assert_eq!((world.server.counters().forwarded, world.server.counters().replies), (4, 0));
    // Two EIDs of one ETR: it gets the packet once and answers both.
    let request = itr.request(&["10.1.0.9/32", "10.1.0.10/32", "10.1.0.11/32"]);
    assert_eq!(itr.ask(&mut world, &request).len(), 2, "once to each locator whose turn it is");
}

#[test]
fn an_etr_without_a_locator_up_is_answered_for() {
    let mut world = World::of_two();
    let mut etr = Peer::of("site-a", "198.51.100.1");
    let mut register = etr.register(&["10.1.0.0/24"]);
    register.proxy_reply = false;
    register.records[0].locators[0].priority = 255;
    etr.send(&mut world, &register);
    let record = sole(Peer::of("nobody", "203.0.113.1").resolves(&mut world, "10.1.0.9/32"));
    assert_eq!((record.locators.len(), record.act), (0, Act::NoAction));
    assert_eq!(world.refusals(), [("no_locator_up", 1)]);
}

#[test]
fn a_site_that_never_answers_is_always_answered_for() {
    let mut silent = site("site-a", "10.1.0.0/16");
    silent.proxy_reply = ProxyReply::Always;
    let mut world = World::new(settings(&[silent]));
    answers_itself(&mut world);
    assert_eq!(sole(Peer::of("nobody", "203.0.113.1").resolves(&mut world, "10.1.0.9/32")).locators.len(), 2);
}

#[test]
fn the_etr_of_this_very_process_gets_the_request_itself() {
    let mut world = World::of_two();
    let mut own = Peer::of("site-a", SERVER);
    let mut register = own.register(&["10.1.0.0/24"]);
    register.proxy_reply = false;
    own.send(&mut world, &register);
    let mut itr = Peer::of("nobody", "203.0.113.1");
    let bytes = ecm(&itr.request(&["10.1.0.9/32"]), itr.source);
    assert_eq!(world.handle(&bytes, itr.source), (Handled::ForwardToOwnEtr, vec![]));
}

#[test]
fn an_answer_hides_no_part_that_others_registered() {
    let mut world = World::of_two();
    let mut home = Peer::of("site-a", "198.51.100.1");
    let mut away = Peer::of("site-b", "198.51.100.2");
    home.registers(&mut world, &["10.1.0.0/24"]);
    away.registers(&mut world, &["10.1.0.64/32", "10.1.0.65/32"]);
    // Few parts: all of them, to one who may get that much.
    let records = home.resolves(&mut world, "10.1.0.9/32");
    let prefixes: Vec<_> = records.iter().map(prefix_of).collect();
    assert_eq!(prefixes, [prefix("10.1.0.0/24"), prefix("10.1.0.64/32"), prefix("10.1.0.65/32")]);
    assert_eq!(addresses(&records[2]), [away.address()]);
    assert_eq!(sole(home.resolves(&mut world, "10.1.0.64/32")).locators.len(), 1);
    // Many parts: the largest part around the question that is the ETR's alone.
    let hosts: Vec<String> = (64..96).map(|last| format!("10.1.0.{last}/32")).collect();
    away.registers(&mut world, &hosts.iter().map(String::as_str).collect::<Vec<_>>());
    let record = sole(home.resolves(&mut world, "10.1.0.9/32"));
    assert_eq!((prefix_of(&record), addresses(&record)), (prefix("10.1.0.0/26"), vec![home.address()]));
    let record = sole(home.resolves(&mut world, "10.1.0.97/32"));
    assert_eq!(prefix_of(&record), prefix("10.1.0.96/27"));
    // A question about a part with many parts: itself and as many parts as fit.
    let records = home.resolves(&mut world, "10.1.0.64/26");
    assert_eq!((records.len(), prefix_of(&records[0])), (16, prefix("10.1.0.64/26")));
    // A question about a prefix that nobody registered, with parts that somebody did.
    let records = home.resolves(&mut world, "10.1.0.0/16");
    assert_eq!((records.len(), prefix_of(&records[0])), (16, prefix("10.1.0.0/24")));
    assert!(world.refusals().is_empty());
}

#[test]
fn where_others_have_parts_the_etr_that_wants_to_answer_itself_is_answered_for() {
    let mut world = World::of_two();
    let mut etr = answers_itself(&mut world);
    let mut register = etr.register(&["10.1.0.5/32"]);
    register.proxy_reply = false;
    etr.send(&mut world, &register);
    let mut itr = Peer::of("nobody", "203.0.113.1");
    let request = itr.request(&["10.1.0.9/32"]);
    assert!(itr.replies(&itr.ask(&mut world, &request)).is_empty(), "its own part is its own affair");
    Peer::of("site-b", "198.51.100.9").registers(&mut world, &["10.1.0.64/32"]);
    let records = etr.resolves(&mut world, "10.1.0.9/32");
    assert_eq!(records.len(), 3);
    assert_eq!(world.server.counters().answered_for_parts, 1);
}

#[test]
fn a_site_queries_only_instance_ids_of_its_own() {
    let mut other = site("site-b", "10.1.0.0/16");
    other.scopes[0].iid = iid(200);
    let mut world = World::new(settings(&[site("site-a", "10.1.0.0/16"), other]));
    let mut a = Peer::of("site-a", "198.51.100.1");
    let mut b = Peer::of("site-b", "198.51.100.2");
    a.registers(&mut world, &["10.1.0.7/32"]);
    let mut register = b.register(&["10.1.0.8/32"]);
    register.records[0].eid = LispAddress::for_eid(iid(200), ip("10.1.0.8"));
    b.send(&mut world, &register);
    let denied = ("10.1.0.7/32".to_owned(), Act::DropPolicyDenied, 1, 0);
    assert_eq!(facts(b.resolves(&mut world, "10.1.0.7/32")), denied);
    // By its identity too, from wherever it asks.
    let mut request = b.request(&["10.1.0.7/32"]);
    (request.xtr, request.itr_rlocs) = (b.xtr, vec![ip("203.0.113.7").into()]);
    let sent = world.give(&ecm(&request, at("203.0.113.7")), at("203.0.113.7"));
    assert_eq!(MapReply::parse(&sent[0].bytes).unwrap().records[0].act, Act::DropPolicyDenied);
    assert_eq!(world.refusals(), [("querier_foreign_iid", 2)]);
    assert_eq!(sole(a.resolves(&mut world, "10.1.0.7/32")).locators.len(), 1);
    assert_eq!(sole(Peer::of("nobody", "203.0.113.9").resolves(&mut world, "10.1.0.7/32")).locators.len(), 1);
}

#[test]
fn a_gateway_of_two_sites_may_ask_for_both() {
    let mut other = site("site-b", "10.1.0.0/16");
    other.scopes[0].iid = iid(200);
    let mut world = World::new(settings(&[site("site-a", "10.1.0.0/16"), other]));
    let mut a = Peer::of("site-a", "198.51.100.1");
    let mut b = Peer::of("site-b", "198.51.100.1");
    a.registers(&mut world, &["10.1.0.7/32"]);
    let mut register = b.register(&["10.1.0.8/32"]);
    register.records[0].eid = LispAddress::for_eid(iid(200), ip("10.1.0.8"));
    b.send(&mut world, &register);
    assert_eq!(sole(a.resolves(&mut world, "10.1.0.7/32")).locators.len(), 1);
    assert!(world.refusals().is_empty());
}

#[test]
fn who_belongs_to_no_site_is_refused_only_where_the_config_says_so() {
    let mut with_rloc = site("site-a", "10.1.0.0/16");
    with_rloc.rlocs = vec![ip("203.0.113.5")];
    let strict = ServerSettings { known_queriers_only: true, ..settings(&[with_rloc]) };
    let mut world = World::new(strict);
    Peer::of("site-a", "198.51.100.1").registers(&mut world, &["10.1.0.7/32"]);
    let denied = facts(Peer::of("nobody", "203.0.113.1").resolves(&mut world, "10.1.0.7/32"));
    assert_eq!((denied.1, world.refusals()), (Act::DropPolicyDenied, vec![("querier_unknown", 1)]));
    let answer = sole(Peer::of("site-a", "203.0.113.5").resolves(&mut world, "10.1.0.7/32"));
    assert_eq!(answer.locators.len(), 1, "the site's address before it registers");
}

#[test]
fn an_answer_to_a_stranger_is_at_most_three_times_the_question() {
    let mut world = World::of_two();
    let mut etr = Peer::of("site-a", "198.51.100.1");
    let mut register = etr.register(&["10.1.0.0/24", "10.1.0.7/32"]);
    for record in &mut register.records {
        record.locators = (0..32u16)
            .map(|last| {
                LocatorRecord::unicast([0x2001, 0xdb8, 0, 0, 0, 0, 0, last + 1].into(), last as u8, 1)
            })
            .collect();
    }
    etr.send(&mut world, &register);
    let mut stranger = Peer::of("nobody", "203.0.113.1");
    for eid in ["10.1.0.7/32", "10.1.0.9/32"] {
        let bytes = ecm(&stranger.request(&[eid]), stranger.source);
        let sent = world.give(&bytes, stranger.source);
        assert!(sent[0].bytes.len() <= 3 * bytes.len(), "{} for {}", sent[0].bytes.len(), bytes.len());
        let record = sole(MapReply::parse(&sent[0].bytes).unwrap().records);
        assert!(prefix_of(&record).contains(ip(eid.split('/').next().unwrap())));
        assert_eq!((record.locators.is_empty(), record.locators[0].priority), (false, 0), "the best stay");
    }
    let record = &etr.resolves(&mut world, "10.1.0.7/32")[0];
    assert_eq!(record.locators.len(), 32, "whose RLOC is a site's gets everything");
    assert_eq!(world.refused(Refusal::AnswerCut), 2);
}

#[test]
fn the_answer_goes_to_the_packets_source_if_that_is_listed_else_to_the_first_that_will_do() {
    let mut world = World::of_two();
    let mut itr = Peer::of("nobody", "203.0.113.1");
    let mut ask = |rlocs: &[LispAddress], from: &str, inner: &str| {
        let mut request = itr.request(&["10.1.0.7/32"]);
        request.itr_rlocs = rlocs.to_vec();
        let inner = inner.parse().unwrap();
        let bytes = sterna_wire::lisp::control::encapsulate(inner, at("10.1.0.7"), &request.emit());
        let sent = world.give(&bytes, at(from));
        assert!(sent.len() <= 1);
        (sent.first().map(|datagram| datagram.to.to_string()), world.refusals())
    };
    let rlocs = |texts: &[&str]| texts.iter().map(|text| ip(text).into()).collect::<Vec<LispAddress>>();
    let to = |answer: (Option<String>, Vec<(&str, u64)>)| answer.0.unwrap();
    let two = rlocs(&["203.0.113.1", "203.0.113.2"]);
    assert_eq!(to(ask(&two, "203.0.113.2", "10.2.0.1:4342")), "203.0.113.2:4342");
    assert_eq!(to(ask(&two, "203.0.113.9", "10.2.0.1:61000")), "203.0.113.1:61000", "to the inner port");
    assert_eq!(
        to(ask(&two, "203.0.113.9", "203.0.113.2:4342")),
        "203.0.113.2:4342",
        "the inner source is listed"
    );
    let families = rlocs(&["2001:db8::1", "203.0.113.2"]);
    assert_eq!(to(ask(&families, "203.0.113.9", "10.2.0.1:4342")), "203.0.113.2:4342", "a family we have");
    let mut odd = vec![opaque(), LispAddress::None];
    odd.extend(rlocs(&["224.0.0.1", "127.0.0.1", "0.0.0.0", "255.255.255.255", SERVER]));
    assert_eq!(ask(&odd, "203.0.113.9", "10.2.0.1:4342"), (None, vec![("no_usable_rloc", 1)]));
    odd.extend(rlocs(&["203.0.113.2"]));
    assert_eq!(to(ask(&odd, "203.0.113.9", "10.2.0.1:4342")), "203.0.113.2:4342");
    assert_eq!(ask(&two, "203.0.113.9", "10.2.0.1:0").0, None, "no port to answer to");
    // Our own ITR asks by our own address; nobody else can make us answer ourselves.
    assert_eq!(to(ask(&rlocs(&[SERVER]), SERVER, "10.2.0.1:4342")), format!("{SERVER}:4342"));
}

#[test]
fn answers_leave_from_the_address_that_was_asked() {
    let mut world = World::of_two();
    let mut itr = Peer::of("nobody", "203.0.113.1");
    let request = itr.request(&["10.1.0.7/32"]);
    assert_eq!(itr.ask(&mut world, &request)[0].from, Some(ip(SERVER)));
}

#[test]
fn floods_of_requests_are_cut_per_source_and_leave_sites_their_share() {
    let limited = ServerSettings {
        request_rate: 400,
        request_rate_per_source: 100,
        ..settings(&[site("site-a", "10.1.0.0/16")])
    };
    let mut world = World::new(limited);
    let mut etr = Peer::of("site-a", "198.51.100.1");
    etr.registers(&mut world, &["10.1.0.7/32"]);
    let mut greedy = Peer::of("nobody", "203.0.113.1");
    for _ in 0..50 {
        let request = greedy.request(&["10.1.0.7/32"]);
        greedy.ask(&mut world, &request);
    }
    assert_eq!((world.server.counters().requests, world.refused(Refusal::RequestRateOfSource)), (25, 25));
    // Forged sources, and one victim as ITR-RLOC: what the victim gets is limited too.
    let mut victim = 0;
    for last in 0..100 {
        let mut forged = Peer::of("nobody", &format!("192.0.2.{}", 100 + last));
        let mut request = forged.request(&["10.1.0.7/32"]);
        request.itr_rlocs = vec![ip("203.0.113.77").into()];
        victim += forged.ask(&mut world, &request).len();
    }
    assert_eq!(victim, 25);
    for last in 0..100 {
        let mut forged = Peer::of("nobody", &format!("192.0.3.{last}"));
        let request = forged.request(&["10.1.0.7/32"]);
        forged.ask(&mut world, &request);
    }
    assert!(world.refused(Refusal::RequestRate) > 0);
    assert_eq!(sole(etr.resolves(&mut world, "10.1.0.7/32")).locators.len(), 1);
    world.pass(Duration::from_secs(1));
    assert_eq!(greedy.resolves(&mut world, "10.1.0.7/32").len(), 1);
}

#[test]
fn a_request_that_wants_no_answer_gets_none() {
    let mut world = World::of_two();
    let mut itr = Peer::of("nobody", "203.0.113.1");
    let mut request = itr.request(&["10.1.0.7/32"]);
    request.no_reply = true;
    assert!(itr.ask(&mut world, &request).is_empty());
    assert_eq!(world.refusals(), [("no_reply_wanted", 1)]);
}

#[test]
fn a_resolver_asks_here_first_and_then_the_map_server_that_is_named_for_it() {
    let upstream = |address: &str, eids: &[&str]| Upstream {
        address: ip(address),
        eids: eids.iter().map(|text| (iid(100), prefix(text))).collect(),
    };
    let upstreams = vec![
        upstream("192.0.2.21", &["10.2.0.0/16"]),
        upstream("192.0.2.22", &["10.2.3.0/24", "10.4.0.0/16"]),
        upstream("192.0.2.23", &[]),
        upstream("192.0.2.24", &[]),
    ];
    let mut world = World::new(ServerSettings { upstreams, ..settings(&[site("site-a", "10.1.0.0/16")]) });
    Peer::of("site-a", "198.51.100.1").registers(&mut world, &["10.1.0.7/32"]);
    let mut itr = Peer::of("nobody", "203.0.113.1");
    let mut went = |eid: &str, from: &str| {
        let bytes = ecm(&itr.request(&[eid]), itr.source);
        let (handled, sent) = world.handle(&bytes, at(from));
        let to = sent.first().map(|datagram| {
            let packet = Ecm::parse(&datagram.bytes).map(|forwarded| forwarded.packet.to_vec());
            assert!(packet.is_err() || packet.unwrap() == Ecm::parse(&bytes).unwrap().packet);
            datagram.to.ip().to_string()
        });
        (handled, to)
    };
    let to = |address: &str| (Handled::Yes, Some(address.to_owned()));
    assert_eq!(went("10.2.0.1/32", "203.0.113.1"), to("192.0.2.21"));
    assert_eq!(went("10.2.3.1/32", "203.0.113.1"), to("192.0.2.22"));
    let others = [went("10.9.0.1/32", "203.0.113.1"), went("10.9.0.1/32", "203.0.113.1")];
    assert!(others.contains(&to("192.0.2.23")) && others.contains(&to("192.0.2.24")));
    assert_eq!(went("10.1.0.7/32", "203.0.113.1"), to("203.0.113.1"), "ours is answered here");
    assert_eq!(went("10.1.0.8/32", "203.0.113.1"), to("203.0.113.1"));
    // A Map-Server sends us what it takes us for the ETR of; asking it again would go on for ever.
    assert_eq!(went("10.2.0.1/32", "192.0.2.22"), (Handled::ForwardToOwnEtr, None));
    assert_eq!(world.refusals(), [("forward_loop", 1)]);
    assert_eq!(world.server.counters().forwarded_upstream, 4);
}

#[test]
fn ipv6_eids_and_rlocs_are_as_good() {
    let mut v6 = site("site-a", "fd00:64::/32");
    v6.scopes.push(Scope { iid: iid(100), prefix: prefix("10.1.0.0/16"), more_specifics: true });
    let own = ServerSettings { addresses: vec![ip(SERVER), ip("2001:db8::10")], ..settings(&[v6]) };
    let mut world = World::new(own);
    let mut etr = Peer::of("site-a", "2001:db8::1");
    let records = etr.registers(&mut world, &["fd00:64:0:a::7/128", "10.1.0.7/32", "fd00:64:0:b::/64"]);
    assert_eq!(records.len(), 3);
    let mut itr = Peer::of("nobody", "2001:db8::99");
    for (question, answer) in [
        ("fd00:64:0:a::7/128", "fd00:64:0:a::7/128"),
        ("fd00:64:0:b::1/128", "fd00:64:0:b::/64"),
        ("10.1.0.7/32", "10.1.0.7/32"),
    ] {
        let record = sole(itr.resolves(&mut world, question));
        assert_eq!((prefix_of(&record), addresses(&record)), (prefix(answer), vec![etr.address()]));
    }
    let unregistered = ("fd00:64:0:a::8/128".to_owned(), Act::NativelyForward, 1, 0);
    assert_eq!(facts(itr.resolves(&mut world, "fd00:64:0:a::8/128")), unregistered);
    assert_eq!(facts(itr.resolves(&mut world, "fd00:65::1/128")).0, "fd00:65::/32");
    let request = etr.subscription("fd00:64:0:a::8/128");
    assert_eq!(etr.notifies(&etr.ask(&mut world, &request)).len(), 1);
    world.pass(Duration::from_secs(200));
    assert_eq!(world.server.registration_count(), 0);
}
