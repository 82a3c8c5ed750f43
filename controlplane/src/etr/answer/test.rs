use std::time::Duration;

use sterna_wire::lisp::control::LispAddress;

use super::super::scripted::{SERVER, Single, eid, iid, ip, prefix, request_for, settings};
use super::super::settings::Limits;
use super::*;

fn single_with(rlocs: &[&str]) -> Single {
    let mut single = Single::unstarted(settings(rlocs));
    single.tick();
    single.confirm_all();
    single
}

fn answered_prefixes(reply: &MapReply) -> Vec<Prefix> {
    reply.records.iter().map(|record| record.prefix().unwrap().1).collect()
}

#[test]
fn what_a_map_server_forwards_is_answered_to_the_itr_at_the_inner_port() {
    let mut single = Single::with_agent(5);
    let mut request = request_for("10.1.16.5/32", "203.0.113.7");
    request.nonce = 0x1122_3344_5566_7788;
    single.request(&request, "192.0.2.10", true);
    let (datagram, reply) = single.replies().remove(0);
    assert_eq!(datagram.to, SocketAddr::new(ip("203.0.113.7"), 61_000));
    assert_eq!((reply.nonce, reply.probe), (0x1122_3344_5566_7788, false));
    let record = &reply.records[0];
    assert_eq!(record.prefix(), Some((iid(), prefix("10.1.16.5/32"))));
    assert_eq!((record.ttl, record.authoritative, record.locators.len()), (1440, true, 1));
    let locator = &record.locators[0];
    assert_eq!(
        (locator.address.rloc(), locator.local, locator.reachable),
        (Some(ip("198.51.100.1")), true, true)
    );
    assert!(!locator.probed);
}

#[test]
fn a_plain_request_is_answered_to_its_source_when_that_is_an_itr_rloc() {
    let mut single = Single::new();
    let mut request = request_for("10.1.0.9/32", "203.0.113.1");
    request.itr_rlocs.push(ip("203.0.113.7").into());
    single.request(&request, "203.0.113.7", false);
    assert_eq!(single.replies()[0].0.to, "203.0.113.7:4342".parse().unwrap());
    // From an address that is not listed: the first one that we can send to.
    single.sent();
    single.request(&request, "203.0.113.8", false);
    assert_eq!(single.replies()[0].0.to, "203.0.113.1:4342".parse().unwrap());
}

#[test]
fn requests_that_get_no_answer_have_a_counter_each() {
    let other_group =
        RequestRecord { eid: LispAddress::for_eid(Iid::DEFAULT, ip("10.1.0.9")), ..record("10.1.0.9/32") };
    let name = RequestRecord { eid: LispAddress::Name(b"x".to_vec()), ..record("10.1.0.9/32") };
    let rlocs = |rlocs: &[&str]| MapRequest {
        itr_rlocs: rlocs.iter().map(|rloc| ip(rloc).into()).collect(),
        ..request_for("10.1.0.9/32", "203.0.113.7")
    };
    let base = request_for("10.1.0.9/32", "203.0.113.7");
    let cases = [
        (MapRequest { smr: true, ..base.clone() }, Counter::RequestSolicitation),
        (MapRequest { no_reply: true, ..base.clone() }, Counter::RequestNoReply),
        (MapRequest { records: vec![other_group], ..base.clone() }, Counter::RequestNotOurs),
        (MapRequest { records: vec![record("10.9.0.1/32")], ..base.clone() }, Counter::RequestNotOurs),
        (MapRequest { records: vec![name], ..base.clone() }, Counter::RequestNotIp),
        (rlocs(&["224.0.0.1", "127.0.0.1", "0.0.0.0", "198.51.100.1"]), Counter::RequestNoRloc),
        (rlocs(&["2001:db8::7"]), Counter::RequestNoRloc),
        (rlocs(&["255.255.255.255", "169.254.0.1", "0.1.2.3"]), Counter::RequestNoRloc),
        (
            MapRequest { itr_rlocs: vec![LispAddress::Opaque(vec![0x40, 3, 0, 0, 99, 0, 0, 0])], ..base },
            Counter::RequestNoRloc,
        ),
    ];
    for (request, counter) in cases {
        let mut single = Single::new();
        single.request(&request, "203.0.113.9", true);
        assert_eq!((single.sent(), single.count(counter)), (vec![], 1), "{counter:?}");
    }
}

fn record(text: &str) -> RequestRecord {
    RequestRecord::of(iid(), prefix(text))
}

#[test]
fn thirty_two_bogus_addresses_make_one_reply_to_one_usable_address() {
    let mut single = Single::new();
    let mut request = request_for("10.1.0.9/32", "224.0.0.1");
    request.itr_rlocs.extend((0..30).map(|_| LispAddress::from(ip("127.0.0.1"))));
    request.itr_rlocs.push(ip("203.0.113.7").into());
    single.request(&request, "203.0.113.9", false);
    let sent = single.sent();
    assert_eq!(sent.iter().map(|datagram| datagram.to.ip()).collect::<Vec<_>>(), [ip("203.0.113.7")]);
}

#[test]
fn up_to_sixteen_records_get_a_reply_each_and_together_no_more_than_three_times_the_request() {
    let mut single = Single::new();
    let mut request = request_for("10.1.0.9/32", "203.0.113.7");
    request.records = (0..20).map(|n| record(&format!("10.1.0.{n}/32"))).collect();
    single.request(&request, "203.0.113.7", false);
    let sent = single.sent();
    assert_eq!((sent.len(), single.count(Counter::RequestTooMany)), (16, 4));
    assert!(sent.iter().map(|datagram| datagram.bytes.len()).sum::<usize>() <= 3 * request.emit().len());
}

#[test]
fn a_reply_is_at_most_three_times_the_request() {
    let rlocs: Vec<_> = (1..=20).map(|n| format!("198.51.100.{n}")).collect();
    let mut single = single_with(&rlocs.iter().map(String::as_str).collect::<Vec<_>>());
    single.sent();
    let request = request_for("10.1.0.9/32", "203.0.113.7");
    single.request(&request, "203.0.113.7", false);
    let (datagram, reply) = single.replies().remove(0);
    assert!(datagram.bytes.len() <= 3 * request.emit().len());
    assert!(!reply.records[0].locators.is_empty() && reply.records[0].locators.len() < 20);
    assert_eq!(single.count(Counter::RepliesCut), 20 - reply.records[0].locators.len() as u64);
}

#[test]
fn the_least_preferred_locators_are_left_out() {
    let mut settings =
        settings(&["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4", "198.51.100.5"]);
    for (at, rloc) in settings.local_rlocs.iter_mut().enumerate() {
        rloc.priority = 10 - at as u8;
    }
    settings.groups[0].iid = Iid::DEFAULT;
    let mut single = Single::unstarted(settings);
    single.tick();
    single.sent();
    let mut request = request_for("10.1.0.9/32", "203.0.113.7");
    request.records = vec![RequestRecord::of(Iid::DEFAULT, prefix("10.1.0.9/32"))];
    single.request(&request, "203.0.113.7", false);
    let (_, reply) = single.replies().remove(0);
    let kept: Vec<_> = reply.records[0].locators.iter().map(|locator| locator.priority).collect();
    assert_eq!(kept, [9, 8, 7, 6]);
}

#[test]
fn more_specific_prefixes_are_listed_when_they_fit_and_cut_off_when_they_do_not() {
    let mut settings = settings(&["198.51.100.1"]);
    settings.groups[0].eids = vec![prefix("10.1.0.0/24"), prefix("10.1.0.128/25")];
    let mut single = Single::unstarted(settings.clone());
    single.tick();
    single.sent();
    single.request(&request_for("10.1.0.9/32", "203.0.113.7"), "192.0.2.10", true);
    let (_, reply) = single.replies().remove(0);
    assert_eq!(answered_prefixes(&reply), [prefix("10.1.0.0/24"), prefix("10.1.0.128/25")]);
    assert!(reply.records.iter().all(|record| record.ttl == 1440));

    settings.groups[0].eids.extend((0..6).map(|n| prefix(&format!("10.1.0.{}/30", 128 + 8 * n))));
    let mut single = Single::unstarted(settings);
    single.tick();
    single.sent();
    single.request(&request_for("10.1.0.9/32", "203.0.113.7"), "192.0.2.10", true);
    let (_, reply) = single.replies().remove(0);
    assert_eq!(answered_prefixes(&reply), [prefix("10.1.0.0/25")]);
    assert_eq!(single.count(Counter::RequestsNarrowed), 1);
}

#[test]
fn an_answer_with_exceptions_that_cannot_be_told_lives_for_a_minute() {
    let mut settings = settings(&["198.51.100.1"]);
    settings.groups[0].eids = vec![prefix("10.1.16.0/20")];
    let mut single = Single::unstarted(settings);
    single.tick();
    single.see(5);
    single.sent();
    single.request(&request_for("10.1.16.0/24", "203.0.113.7"), "203.0.113.7", false);
    let (_, reply) = single.replies().remove(0);
    assert_eq!((answered_prefixes(&reply), reply.records[0].ttl), (vec![prefix("10.1.16.0/24")], 1));
}

#[test]
fn one_address_gets_so_many_answers_and_all_of_them_so_many() {
    let mut single = Single::new();
    let limits = Limits::default();
    for _ in 0..1000 {
        single.request(&request_for("10.1.0.9/32", "203.0.113.7"), "203.0.113.7", false);
    }
    let burst = u64::from(limits.answer_rate_per_source / 10);
    assert_eq!(single.count(Counter::RequestsAnswered), burst);
    assert_eq!(single.count(Counter::RequestRate), 1000 - burst);
    single.now += Duration::from_secs(1);
    for n in 0..4000_u32 {
        let rloc = format!("203.0.{}.{}", n / 250, 1 + n % 250);
        single.request(&request_for("10.1.0.9/32", &rloc), &rloc, false);
    }
    let total = u64::from(limits.answer_rate / 10);
    assert_eq!(single.count(Counter::RequestsAnswered), burst + total);
    assert_eq!(single.count(Counter::RequestRateTotal), 4000 - total);
}

#[test]
fn requests_that_a_map_server_forwards_are_limited_by_their_itr_only() {
    let mut single = Single::new();
    for n in 0..200 {
        single.request(&request_for("10.1.0.9/32", &format!("203.0.113.{n}")), &SERVER.to_string(), true);
    }
    assert_eq!(single.count(Counter::RequestsAnswered), 200);
    // A stranger that forwards is limited himself.
    for n in 0..200 {
        single.request(&request_for("10.1.0.9/32", &format!("203.0.113.{n}")), "203.0.114.1", true);
    }
    assert_eq!(single.count(Counter::RequestRate), 180);
}

#[test]
fn an_agent_that_left_is_not_answered_for() {
    let mut single = Single::with_agent(5);
    single.notify(1 << 40, vec![super::super::scripted::record(eid(5), &["198.51.100.2"])]);
    single.sent();
    single.request(&request_for("10.1.16.5/32", "203.0.113.7"), "203.0.113.7", false);
    assert_eq!((single.sent(), single.count(Counter::RequestNotOurs)), (vec![], 1));
}

mod context {
    use sterna_wire::lisp::control::Act;
    use sterna_wire::lisp::control::acx::{AgentState, Attributes, Constraint, Hardware, Need, StatusCode};

    use super::*;
    use crate::context::{Reported, Telling};

    fn tell(single: &mut Single, last: u8, reported: Reported) {
        let telling = Telling { iid: iid(), eid: eid(last), reported, ttl: Duration::from_secs(90) };
        single.etr.tell_context(telling, single.now);
    }

    fn gpu() -> Need {
        Need::Hardware(Hardware::from_names(["gpu"]).unwrap())
    }

    fn asking(question: &Question) -> MapRequest {
        MapRequest { tail: question.block().bytes(), ..request_for("10.1.16.5/32", "203.0.113.7") }
    }

    fn reply(single: &mut Single, request: &MapRequest) -> (MapReply, Option<Acx>) {
        single.sent();
        single.request(request, "203.0.113.7", false);
        let (datagram, reply) = single.replies().remove(0);
        assert!(
            datagram.bytes.len() <= AMPLIFICATION * request.emit().len()
                && datagram.bytes.len() <= MAX_MESSAGE
        );
        let block = Acx::find(&reply.tail).unwrap();
        (reply, block)
    }

    #[test]
    fn who_asks_in_acx_gets_attributes_and_who_does_not_gets_a_plain_answer() {
        let mut single = Single::with_agent(5);
        let own = Attributes { state: Some(AgentState::Busy), ..Attributes::default() };
        tell(&mut single, 5, Reported { own: own.clone(), ..Reported::default() });
        let question = Question { attributes: true, ..Question::default() };
        let (answer, block) = reply(&mut single, &asking(&question));
        let block = block.unwrap();
        assert!(block.reply && block.aware && !block.filtered && answer.records[0].locators.len() == 1);
        assert_eq!(block.entries[0].attributes, own);
        let (answer, block) = reply(&mut single, &request_for("10.1.16.5/32", "203.0.113.7"));
        assert_eq!((answer.records[0].locators.len(), block), (1, None));
    }

    #[test]
    fn what_does_not_meet_the_constraints_is_no_match_and_what_failed_is_nobody_s() {
        let mut single = Single::with_agent(5);
        let question = Question { constraints: vec![Constraint::hard(gpu())], ..Question::default() };
        let (answer, block) = reply(&mut single, &asking(&question));
        let block = block.unwrap();
        assert_eq!(block.status.map(|status| status.code), Some(StatusCode::NoMatch));
        assert_eq!((block.filtered, block.hash), (true, question.hash()));
        let record = &answer.records[0];
        assert_eq!((record.locators.len(), record.act, record.ttl), (0, Act::DropPolicyDenied, 1));
        let Need::Hardware(hardware) = gpu() else { panic!() };
        let own = Attributes { hardware: Some(hardware), ..Attributes::default() };
        tell(&mut single, 5, Reported { own: own.clone(), ..Reported::default() });
        assert_eq!(reply(&mut single, &asking(&question)).0.records[0].locators.len(), 1);
        let own = Attributes { state: Some(AgentState::Failed), ..own };
        tell(&mut single, 5, Reported { own, ..Reported::default() });
        assert!(reply(&mut single, &asking(&question)).0.records[0].locators.is_empty());
        let (answer, block) = reply(&mut single, &request_for("10.1.16.5/32", "203.0.113.7"));
        assert_eq!((answer.records[0].locators.len(), block), (0, None));
    }

    #[test]
    fn a_tail_that_is_no_block_costs_nothing() {
        let mut single = Single::with_agent(5);
        let request = MapRequest { tail: vec![1, 2, 3], ..request_for("10.1.16.5/32", "203.0.113.7") };
        assert_eq!(reply(&mut single, &request).0.records[0].locators.len(), 1);
        assert_eq!(single.count(Counter::RequestTailUnknown), 1);
    }
}
