use super::*;
use std::collections::BTreeSet;

fn prefix(number: u32) -> Prefix {
    Prefix::host(std::net::Ipv4Addr::from_bits(0x0a00_0000 | number).into())
}

fn add(table: &mut Registrations, number: u32, xtr: u32, deadline: Tick) -> Slot {
    let set = table.sets.acquire(0, &[]);
    let terms = Terms { deadline, ttl: 1440, version: 0, act: Act::NoAction, flags: 0 };
    table.insert(Registration::new(Iid::DEFAULT, &prefix(number), set, xtr, terms))
}

/// Ticks to `now` and removes what is due.
fn expire(table: &mut Registrations, now: Tick) -> BTreeSet<Prefix> {
    let due = table.due(now);
    due.into_iter().map(|slot| table.remove(slot).unwrap().prefix()).collect()
}

#[test]
fn a_registration_takes_56_bytes() {
    assert_eq!((size_of::<Registration>(), size_of::<Option<Registration>>()), (56, 56));
}

#[test]
fn holders_of_one_prefix_come_and_go_in_any_order() {
    let mut table = Registrations::default();
    let slots: Vec<Slot> = (0..3).map(|xtr| add(&mut table, 1, xtr, 100)).collect();
    let holders = |table: &Registrations| -> Vec<u32> {
        table.holders(Iid::DEFAULT, &prefix(1)).map(|(_, holder)| holder.xtr).collect()
    };
    assert_eq!(holders(&table), [2, 1, 0]);
    table.remove(slots[1]).unwrap();
    assert_eq!(holders(&table), [2, 0]);
    table.remove(slots[2]).unwrap();
    assert_eq!(holders(&table), [0]);
    table.remove(slots[0]).unwrap();
    assert_eq!((holders(&table).len(), table.len(), table.tree.len(), table.sets.len()), (0, 0, 0, 0));
    assert!(table.remove(slots[0]).is_none());
}

#[test]
fn each_expires_at_its_deadline_however_often_it_was_moved() {
    let mut table = Registrations::default();
    let near = add(&mut table, 1, 0, 50);
    add(&mut table, 2, 0, 5000);
    add(&mut table, 3, 0, NEVER);
    assert_eq!(table.next_due(), Some(50));
    table.get_mut(near).unwrap().terms.deadline = 120;
    assert!(expire(&mut table, 119).is_empty());
    assert_eq!(expire(&mut table, 120), BTreeSet::from([prefix(1)]));
    let sooner = add(&mut table, 4, 0, 4000);
    table.get_mut(sooner).unwrap().terms.deadline = 200;
    table.rehang(sooner);
    assert_eq!(expire(&mut table, 200), BTreeSet::from([prefix(4)]));
    assert!(expire(&mut table, 4999).is_empty());
    assert_eq!(expire(&mut table, 5000), BTreeSet::from([prefix(2)]));
    assert_eq!(table.next_due(), None);
    assert_eq!(table.len(), 1);
}

#[test]
fn many_that_expire_at_once_expire_in_parts() {
    let mut table = Registrations::default();
    (0..10_000).for_each(|number| {
        add(&mut table, number, 0, 7);
    });
    assert!(expire(&mut table, 6).is_empty());
    let parts: Vec<usize> = (0..4).map(|_| expire(&mut table, 7).len()).collect();
    assert_eq!(parts, [4096, 4096, 1808, 0]);
}

#[test]
fn a_long_sleep_loses_nothing() {
    let mut table = Registrations::default();
    let deadlines = [1, 2047, 2048, 2049, 3000, 9000];
    for (number, deadline) in deadlines.into_iter().enumerate() {
        add(&mut table, number as u32, 0, deadline);
    }
    assert_eq!(expire(&mut table, 8000).len(), 5);
    assert!(expire(&mut table, 8999).is_empty());
    assert_eq!(expire(&mut table, 9000).len(), 1);
}
