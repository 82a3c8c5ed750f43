use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::agents::{Agent, Away, State};
use super::super::scripted::{iid, ip, prefix, settings};
use super::*;

fn database(eids: &[&str]) -> Database {
    let mut settings = settings(&["198.51.100.1"]);
    settings.groups[0].eids = eids.iter().map(|text| prefix(text)).collect();
    Database::new(&settings)
}

fn agents(attached: &[&str], away: &[&str]) -> Agents {
    let now = Instant::now();
    let gone = State::Away(Away { locators: Vec::new(), until: now });
    let mut agents = Agents::new();
    for (list, state) in [(attached, State::Attached), (away, gone)] {
        for text in list {
            agents.put((iid(), ip(text)), Agent::new(state.clone(), now), Duration::ZERO);
        }
    }
    agents
}

fn find(eids: &[&str], agents: &Agents, asked: &str) -> Option<Match> {
    database(eids).find(agents, iid(), &prefix(asked))
}

fn whole(entry: &str, siblings: &[&str]) -> Option<Match> {
    let siblings = siblings.iter().map(|text| prefix(text)).collect();
    Some(Match { entry: prefix(entry), answer: Answer::Whole(siblings) })
}

#[test]
fn the_longest_match_is_answered_with_the_more_specific_prefixes_in_it() {
    let (eids, none) = (["10.1.0.0/16", "10.1.2.0/24", "10.1.2.128/25", "10.2.0.0/16"], agents(&[], &[]));
    assert_eq!(find(&eids, &none, "10.1.9.9/32"), whole("10.1.0.0/16", &["10.1.2.0/24", "10.1.2.128/25"]));
    assert_eq!(find(&eids, &none, "10.1.2.1/32"), whole("10.1.2.0/24", &["10.1.2.128/25"]));
    assert_eq!(find(&eids, &none, "10.1.2.200/32"), whole("10.1.2.128/25", &[]));
    assert_eq!(find(&eids, &none, "10.1.2.0/24"), whole("10.1.2.0/24", &["10.1.2.128/25"]));
    assert_eq!(find(&eids, &none, "10.3.0.1/32"), None);
    // A question that is wider than anything of ours is not for us.
    assert_eq!(find(&eids, &none, "10.0.0.0/8"), None);
}

#[test]
fn another_group_has_prefixes_of_its_own() {
    let other = Iid::new(101).unwrap();
    assert_eq!(database(&["10.1.0.0/16"]).find(&agents(&[], &[]), other, &prefix("10.1.0.1/32")), None);
}

#[test]
fn agents_are_entries_too() {
    let here = agents(&["10.1.2.5", "10.1.2.7"], &[]);
    assert_eq!(find(&["10.1.2.0/24"], &here, "10.1.2.5/32"), whole("10.1.2.5/32", &[]));
    assert_eq!(
        find(&["10.1.2.0/24"], &here, "10.1.2.9/32"),
        whole("10.1.2.0/24", &["10.1.2.5/32", "10.1.2.7/32"])
    );
    assert_eq!(find(&[], &here, "10.1.2.5/32"), whole("10.1.2.5/32", &[]));
    assert_eq!(find(&[], &here, "10.1.2.9/32"), None);
}

#[test]
fn a_part_without_exceptions_is_answered_when_one_of_them_is_elsewhere() {
    let gone = agents(&[], &["10.1.2.5"]);
    assert_eq!(find(&["10.1.2.0/24"], &gone, "10.1.2.5/32"), None);
    let part = |text| Some(Match { entry: prefix("10.1.2.0/24"), answer: Answer::Part(prefix(text)) });
    assert_eq!(find(&["10.1.2.0/24"], &gone, "10.1.2.200/32"), part("10.1.2.128/25"));
    assert_eq!(find(&["10.1.2.0/24"], &gone, "10.1.2.4/32"), part("10.1.2.4/32"));
    let mixed = Some(Match { entry: prefix("10.1.2.0/24"), answer: Answer::Mixed });
    assert_eq!(find(&["10.1.2.0/24"], &gone, "10.1.2.0/28"), mixed);
}

#[test]
fn a_part_is_answered_when_the_exceptions_are_too_many() {
    let many: Vec<_> = (1..=20).map(|n| format!("10.1.2.{n}")).collect();
    let many = agents(&many.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let found = find(&["10.1.2.0/24"], &many, "10.1.2.200/32").unwrap();
    assert_eq!(found.answer, Answer::Part(prefix("10.1.2.128/25")));
}

#[test]
fn agents_may_have_any_address_but_the_special_ones() {
    let settings = settings(&["198.51.100.1"]);
    let judge = |text| judge_agent(&settings, iid(), ip(text));
    assert_eq!(judge("10.1.16.5"), Ok(()));
    assert_eq!(judge("fd00:64::5"), Ok(()));
    assert_eq!(judge("10.1.16.1"), Err(Counter::AttachGateway));
    assert_eq!(judge("10.1.16.0"), Err(Counter::AttachNotAHost));
    assert_eq!(judge("10.1.31.255"), Err(Counter::AttachNotAHost));
    assert_eq!(judge("fd00:64::"), Err(Counter::AttachNotAHost));
    assert_eq!(judge("fd00:64::ffff:ffff:ffff:ffff"), Ok(()));
    assert_eq!(judge("224.0.0.5"), Err(Counter::AttachNotAHost));
    assert_eq!(judge("127.0.0.1"), Err(Counter::AttachNotAHost));
    assert_eq!(judge("10.1.0.5"), Err(Counter::AttachOutOfRange));
    assert_eq!(judge_agent(&settings, Iid::DEFAULT, ip("10.1.16.5")), Err(Counter::AttachUnknownGroup));
}

#[test]
fn short_ranges_have_no_edges() {
    assert!(
        !is_edge(&prefix("10.1.2.4/31"), ip("10.1.2.4")) && !is_edge(&prefix("10.1.2.4/32"), ip("10.1.2.4"))
    );
    assert!(
        is_edge(&prefix("10.1.2.4/30"), ip("10.1.2.4")) && is_edge(&prefix("10.1.2.4/30"), ip("10.1.2.7"))
    );
    assert_eq!(last_address(&prefix("0.0.0.0/0")), ip("255.255.255.255"));
    assert_eq!(last_address(&prefix("10.1.2.3/32")), ip("10.1.2.3"));
    assert_eq!(last_address(&prefix("fd00::/16")), ip("fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
    assert_eq!(last_address(&prefix("::/0")), ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
}

proptest! {
    /// Whatever is served here and elsewhere: nobody who caches the answer sends an address to the wrong place.
    #[test]
    fn an_answer_never_hides_an_exception(
        prefixes in prop::collection::btree_set((0_u32..256, 24_u8..=32), 1..6),
        here in prop::collection::btree_set(0_u32..256, 0..12),
        away in prop::collection::btree_set(0_u32..256, 0..12),
        asked in 0_u32..256,
        len in 28_u8..=32,
    ) {
        let address = |last: u32| IpAddr::from((0x0a01_0200 | last).to_be_bytes());
        let prefixes: Vec<_> =
            prefixes.iter().map(|(last, len)| Prefix::masked(address(*last), *len).unwrap()).collect();
        let mut settings = settings(&["198.51.100.1"]);
        settings.groups[0].eids = prefixes.clone();
        let text = |list: &BTreeSet<u32>| list.iter().map(|last| address(*last).to_string()).collect::<Vec<_>>();
        let (here_text, away_text) = (text(&here), text(&away.difference(&here).copied().collect()));
        let as_str = |list: &[String]| list.iter().map(|text| text.clone().leak() as &str).collect::<Vec<_>>();
        let table = agents(&as_str(&here_text), &as_str(&away_text));
        let asked = Prefix::masked(address(asked), len).unwrap();
        let found = Database::new(&settings).find(&table, iid(), &asked);
        let Some(found) = found else { return Ok(()) };
        let answered = match found.answer {
            Answer::Whole(siblings) => {
                // The exceptions are listed, and they are ours.
                for gone in away.difference(&here) {
                    prop_assert!(!found.entry.contains(address(*gone)));
                }
                for prefix in prefixes.iter().filter(|prefix| found.entry.covers(prefix)) {
                    prop_assert!(*prefix == found.entry || siblings.contains(prefix));
                }
                found.entry
            }
            Answer::Part(part) => {
                for last in away.union(&here) {
                    prop_assert!(!part.contains(address(*last)) || part == asked && len == 32);
                }
                prop_assert!(prefixes.iter().all(|prefix| !part.covers(prefix) || *prefix == found.entry));
                part
            }
            Answer::Mixed => asked,
        };
        prop_assert!(answered.covers(&asked));
    }
}
