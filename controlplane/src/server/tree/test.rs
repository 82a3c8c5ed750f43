use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn p(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn iid(number: u32) -> Iid {
    Iid::new(number).unwrap()
}

fn tree(prefixes: &[&str]) -> PrefixTree {
    let mut tree = PrefixTree::default();
    for (number, prefix) in prefixes.iter().enumerate() {
        tree.insert(iid(7), &p(prefix), number as u32);
    }
    tree
}

#[test]
fn the_longest_cover_is_found_past_neighbours_that_do_not_cover() {
    let tree = tree(&["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "10.1.2.128/25"]);
    assert_eq!(tree.longest(iid(7), &p("10.1.2.200/32")), Some((p("10.1.2.128/25"), 4)));
    assert_eq!(tree.longest(iid(7), &p("10.1.2.4/32")), Some((p("10.1.2.0/24"), 2)));
    assert_eq!(tree.longest(iid(7), &p("10.2.0.0/32")), Some((p("10.0.0.0/8"), 0)));
    assert_eq!(tree.longest(iid(7), &p("11.0.0.1/32")), None);
    assert_eq!(tree.longest(iid(8), &p("10.1.2.3/32")), None, "another instance-ID");
    assert_eq!(tree.cover(iid(7), &p("10.1.2.3/32")), Some((p("10.1.2.0/24"), 2)));
    let all: Vec<_> = tree.covering(iid(7), &p("10.1.2.3/32")).map(|(_, number)| number).collect();
    assert_eq!(all, [3, 2, 1, 0]);
}

#[test]
fn the_widest_empty_prefix_stops_at_its_neighbours() {
    let tree = tree(&["192.168.1.0/24", "192.168.2.0/24"]);
    let host = p("192.168.9.9/32");
    let widest = tree.widest_empty(iid(7), &host, 1);
    assert_eq!(widest, p("192.168.8.0/21"));
    assert!(widest.covers(&host));
    assert_eq!(PrefixTree::default().widest_empty(iid(7), &host, 1), p("128.0.0.0/1"));
}

/// Prefixes in a small world, so that they meet.
fn some_prefix() -> impl Strategy<Value = (u32, Prefix)> {
    let v4 = (0u32..4, any::<u32>(), 0u8..=32).prop_map(|(iid, bits, len)| {
        let address = std::net::Ipv4Addr::from_bits(bits & 0xf000_000f);
        (iid, Prefix::masked(address.into(), len).unwrap())
    });
    let v6 = (0u32..4, any::<u128>(), 0u8..=128).prop_map(|(iid, bits, len)| {
        let address = std::net::Ipv6Addr::from_bits(bits & (0xf << 124 | 0xf));
        (iid, Prefix::masked(address.into(), len).unwrap())
    });
    prop_oneof![v4, v6]
}

proptest! {
    #[test]
    fn every_answer_is_what_a_walk_over_all_entries_gives(
        entries in prop::collection::vec((some_prefix(), any::<bool>()), 0..40),
        questions in prop::collection::vec(some_prefix(), 1..20),
    ) {
        let mut tree = PrefixTree::default();
        let mut model = BTreeMap::new();
        for (number, ((group, prefix), remove)) in entries.iter().enumerate() {
            let group = iid(*group);
            if *remove && number % 3 == 0 {
                prop_assert_eq!(tree.remove(group, prefix), model.remove(&(group, *prefix)));
            } else {
                prop_assert_eq!(
                    tree.insert(group, prefix, number as u32),
                    model.insert((group, *prefix), number as u32)
                );
            }
        }
        prop_assert_eq!(tree.len(), model.len());
        prop_assert_eq!(tree.iter().count(), model.len());
        for (group, question) in &questions {
            let group = iid(*group);
            let same = |((found, prefix), value): (&(Iid, Prefix), &u32)| {
                (*found == group).then_some((*prefix, *value))
            };
            let longest = model.iter().filter_map(same).filter(|(prefix, _)| prefix.covers(question));
            prop_assert_eq!(tree.longest(group, question), longest.max_by_key(|(prefix, _)| prefix.len()));
            let mut inside: Vec<_> = model.iter().filter_map(same)
                .filter(|(prefix, _)| question.covers(prefix) && prefix != question).collect();
            inside.sort();
            prop_assert_eq!(tree.has_inside(group, question), !inside.is_empty());
            prop_assert_eq!(&tree.inside(group, question).collect::<Vec<_>>(), &inside);
            if inside.is_empty() {
                let overlaps = |wider: &Prefix| model.iter().filter_map(same).any(|(prefix, _)| {
                    !prefix.covers(question) && (wider.covers(&prefix) || prefix.covers(wider))
                });
                let cover = tree.longest(group, question).map_or(0, |(cover, _)| cover.len());
                let widest = (cover..=question.len())
                    .map(|len| Prefix::masked(question.addr(), len).unwrap())
                    .find(|wider| !overlaps(wider)).unwrap();
                prop_assert_eq!(tree.widest_empty(group, question, cover), widest);
            }
        }
    }
}
