use super::super::scripted::{Single, eid, iid, ip, prefix, record, request_for, settings};
use super::*;

const ITR: &str = "203.0.113.7";

/// The solicitations sent since the last look: to whom, for which EID of ours, naming which of theirs.
fn solicited(single: &mut Single) -> Vec<(IpAddr, IpAddr, Prefix)> {
    let requests = single.requests();
    single.sent();
    let smrs = requests.into_iter().filter(|(_, request)| request.smr);
    smrs.map(|(to, request)| {
        assert_eq!((request.records.len(), request.probe, request.itr_rlocs.len()), (1, false, 1));
        (to, request.source_eid.eid().unwrap().1, request.records[0].prefix().unwrap().1)
    })
    .collect()
}

fn moved() -> Single {
    let mut single = Single::with_agent(5);
    single.notify(1 << 40, vec![record(eid(5), &["198.51.100.2"])]);
    single.sent();
    single
}

#[test]
fn who_still_sends_to_an_agent_that_left_is_told_once_a_second() {
    let mut single = moved();
    let mut all = Vec::new();
    for _ in 0..29 {
        single.etr.correspondent(iid(), eid(5), ip(ITR), single.now);
        single.pass(Duration::from_millis(100));
        all.extend(solicited(&mut single));
    }
    assert_eq!(all, [(ip(ITR), eid(5), prefix("10.1.16.5/32")); 3]);
}

#[test]
fn the_receivers_own_eid_is_named_when_it_is_known() {
    let mut single = Single::with_agent(5);
    let mut request = request_for("10.1.0.9/32", ITR);
    request.source_eid = LispAddress::for_eid(iid(), ip("10.1.77.1"));
    single.request(&request, ITR, false);
    single.notify(1 << 40, vec![record(eid(5), &["198.51.100.2"])]);
    single.sent();
    single.etr.correspondent(iid(), eid(5), ip(ITR), single.now);
    single.tick();
    assert_eq!(solicited(&mut single), [(ip(ITR), eid(5), prefix("10.1.77.1/32"))]);
}

#[test]
fn nobody_else_is_told() {
    let mut single = moved();
    for remote in ["198.51.100.2", "198.51.100.1", "224.0.0.1", "127.0.0.1"] {
        single.etr.correspondent(iid(), eid(5), ip(remote), single.now);
    }
    // An agent that is here, and one that is unknown.
    single.etr.correspondent(iid(), eid(6), ip(ITR), single.now);
    single.tick();
    assert_eq!(solicited(&mut single), []);
}

#[test]
fn a_dead_link_is_registered_at_once_and_told_to_all_who_use_us() {
    let mut single = Single::unstarted(settings(&["198.51.100.1", "198.51.100.3"]));
    single.tick();
    single.confirm_all();
    single.request(&request_for("10.1.0.9/32", ITR), ITR, false);
    single.etr.traffic(ip("203.0.113.8"), single.now);
    single.sent();
    let links = [(ip("198.51.100.1"), true), (ip("198.51.100.3"), false)];
    single.etr.local_rlocs(&links, single.now, &mut single.out);
    let register = single.registers().remove(0);
    let locators: Vec<_> = register.records[0].locators.iter().map(|to| to.address.rloc().unwrap()).collect();
    assert_eq!(locators, [ip("198.51.100.1")]);
    let told: Vec<_> = solicited(&mut single).into_iter().map(|(to, ours, _)| (to, ours)).collect();
    assert_eq!(told, [(ip(ITR), ip("10.1.0.0")), (ip("203.0.113.8"), ip("10.1.0.0"))]);
    // The same again is no change.
    single.etr.local_rlocs(&links, single.now, &mut single.out);
    assert_eq!((single.registers().len(), solicited(&mut single)), (0, vec![]));
}

#[test]
fn all_links_dead_are_told_as_unreachable() {
    let mut single = Single::new();
    single.etr.local_rlocs(&[(ip("198.51.100.1"), false)], single.now, &mut single.out);
    let locators = &single.registers()[0].records[0].locators;
    assert_eq!(locators.iter().map(|to| to.reachable).collect::<Vec<_>>(), [false]);
}

#[test]
fn a_solicitation_is_repeated_until_the_other_asks() {
    let links = [(ip("198.51.100.1"), false)];
    for asks in [false, true] {
        let mut single = Single::new();
        single.request(&request_for("10.1.0.9/32", ITR), ITR, false);
        single.etr.local_rlocs(&links, single.now, &mut single.out);
        let mut told = solicited(&mut single).len();
        if asks {
            let mut request = request_for("10.1.0.9/32", ITR);
            request.smr_invoked = true;
            single.request(&request, ITR, false);
        }
        single.pass(Duration::from_secs(20));
        told += solicited(&mut single).len();
        assert_eq!(told, if asks { 1 } else { usize::from(TRIES) });
    }
}

#[test]
fn solicitations_have_a_rate_and_all_go_out() {
    let mut single = Single::new();
    for n in 0..1000_u32 {
        single.etr.traffic(IpAddr::from((0xcb00_7100 + n).to_be_bytes()), single.now);
    }
    single.etr.local_rlocs(&[(ip("198.51.100.1"), false)], single.now, &mut single.out);
    assert_eq!((solicited(&mut single).len(), single.count(Counter::SmrLimited)), (20, 1));
    single.pass(Duration::from_secs(1));
    let second = solicited(&mut single).len();
    assert!((190..=210).contains(&second), "{second}");
    single.pass(Duration::from_secs(30));
    let mut rest = solicited(&mut single).len();
    single.pass(Duration::from_secs(30));
    rest += solicited(&mut single).len();
    assert_eq!(20 + second + rest, 1000 * usize::from(TRIES));
}

#[test]
fn memory_is_bounded_and_the_quiet_are_forgotten() {
    let mut known = Correspondents::new(100);
    let now = Instant::now();
    let entry = (iid(), prefix("10.1.0.0/24"));
    for n in 0..20_000_u32 {
        let remote = IpAddr::from((0xcb00_0000 + n).to_be_bytes());
        known.heard(remote, now);
        assert_eq!(known.asked(entry, remote, None, false, now), n < CORRESPONDENTS as u32);
    }
    assert_eq!((known.table.len(), known.heard.len()), (CORRESPONDENTS, HEARD));
    let later = now + ASKED_FOR;
    known.heard(ip(ITR), later);
    assert!(known.asked(entry, ip(ITR), None, false, later));
    assert_eq!((known.table.len(), known.heard.len()), (1, 1));
}

#[test]
fn a_flood_of_strays_from_everywhere_is_bounded() {
    let mut single = moved();
    for n in 0..10_000_u32 {
        let remote = IpAddr::from((0xcb00_0000 + n).to_be_bytes());
        single.etr.correspondent(iid(), eid(5), remote, single.now);
    }
    assert_eq!(single.count(Counter::CorrespondentsFull), 10_000 - CORRESPONDENTS as u64);
    single.pass(Duration::from_secs(1));
    let told = solicited(&mut single).len();
    assert!(told <= 230, "{told}");
}
