//! The pool against a plain model of `VecDeque`s.

use std::collections::{HashMap, HashSet, VecDeque};

use proptest::prelude::*;
use sterna_wire::Family;

use super::*;

fn key(n: u8) -> HoldKey {
    let role = if n & 1 == 0 { Role::Destination } else { Role::Source };
    let mut addr = [0; 16];
    addr[3] = n >> 1;
    HoldKey { iid: 100, family: Family::V4, addr, role, class: 0 }
}

fn front(pool: &HoldPool, n: u8) -> Option<(u16, Vec<u8>, u64)> {
    pool.front(&key(n)).map(|front| (front.port, front.frame.to_vec(), front.waits_since_ns))
}

fn limits(slots: usize, per_group: usize, per_key: usize) -> HoldLimits {
    HoldLimits { slots, slot_bytes: 64, per_group, per_key }
}

#[test]
fn released_in_order() {
    let mut pool = HoldPool::new(64, 2048);
    assert!(pool.is_empty() && !pool.is_waiting(&key(0)));
    assert_eq!(pool.hold(key(0), 7, 1, b"first", 0), Ok(Held::First));
    assert_eq!(pool.hold(key(1), 7, 2, b"other", 1), Ok(Held::First));
    assert_eq!(pool.hold(key(0), 7, 3, b"second", 2), Ok(Held::Queued));
    assert_eq!((pool.len(), pool.keys_len(), pool.len_of_group(7), pool.len_of_group(8)), (3, 2, 3, 0));
    assert!(pool.is_waiting(&key(0)) && pool.is_waiting(&key(1)) && !pool.is_waiting(&key(2)));
    assert_eq!(front(&pool, 0), Some((1, b"first".to_vec(), 0)));
    assert!(pool.pop_front(&key(0)));
    assert_eq!(front(&pool, 0), Some((3, b"second".to_vec(), 2)));
    assert!(pool.pop_front(&key(0)));
    assert!(!pool.pop_front(&key(0)) && pool.front(&key(0)).is_none());
    assert_eq!((pool.len(), pool.len_of_group(7)), (1, 1));
}

#[test]
fn every_bound_has_its_own_reason() {
    let mut pool = HoldPool::with_limits(limits(4, 3, 2));
    assert_eq!(pool.hold(key(0), 1, 0, &[0; 65], 0), Err(Overflow::TooLong));
    assert_eq!(pool.hold(key(0), 1, 0, &[0; 64], 0), Ok(Held::First));
    assert_eq!(pool.hold(key(0), 1, 0, &[], 0), Ok(Held::Queued));
    assert_eq!(pool.hold(key(0), 1, 0, &[], 0), Err(Overflow::QueueFull));
    assert_eq!(pool.hold(key(1), 1, 0, &[], 0), Ok(Held::First));
    assert_eq!(pool.hold(key(2), 1, 0, &[], 0), Err(Overflow::ShareFull));
    assert_eq!(pool.hold(key(3), 2, 0, &[], 0), Ok(Held::First));
    assert_eq!(pool.hold(key(4), 3, 0, &[], 0), Err(Overflow::PoolFull));
    assert_eq!(pool.len(), 4);
    let texts: HashSet<_> = [Overflow::PoolFull, Overflow::ShareFull, Overflow::QueueFull, Overflow::TooLong]
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(texts.len(), 4);
}

#[test]
fn a_storm_of_one_group_leaves_room_for_another() {
    let mut pool = HoldPool::new(64, 64);
    for n in 0..=255 {
        let _ = pool.hold(key(n), 1, 0, b"storm", 0);
    }
    assert_eq!(pool.len_of_group(1), 16);
    assert_eq!(pool.hold(key(0), 2, 0, b"x", 0), Ok(Held::Queued));
}

#[test]
fn a_pool_of_nothing_refuses() {
    let mut pool = HoldPool::new(0, 2048);
    assert_eq!(pool.hold(key(0), 1, 0, b"x", 0), Err(Overflow::PoolFull));
    assert!(pool.is_empty() && !pool.pop_front(&key(0)));
    assert_eq!(pool.keys(&mut [HoldKey::EMPTY; 4]), 0);
    assert_eq!(pool.expire(u64::MAX, 0, |_, _| unreachable!()), 0);
    assert_eq!(pool.due_repeats(u64::MAX, 0, |_, _| unreachable!()), 0);
}

#[test]
fn the_oldest_expire_and_say_what_they_waited_for() {
    let mut pool = HoldPool::new(64, 64);
    for (n, now) in [(0, 10), (1, 20), (0, 30), (2, 40)] {
        pool.hold(key(n), u32::from(n), n.into(), b"x", now).unwrap();
    }
    let mut gone = Vec::new();
    assert_eq!(pool.expire(129, 100, |key, port| gone.push((*key, port))), 2);
    assert_eq!(gone, [(key(0), 0), (key(1), 1)]);
    assert!(pool.is_waiting(&key(0)) && !pool.is_waiting(&key(1)));
    assert_eq!(pool.expire(0, 100, |_, _| unreachable!()), 0, "a clock that stepped back drops nothing");
    assert_eq!(pool.expire(1000, 100, |_, _| ()), 2);
    assert!(pool.is_empty());
}

#[test]
fn the_question_is_repeated_until_answered() {
    const HALF: u64 = 500_000_000;
    let mut pool = HoldPool::new(64, 64);
    pool.hold(key(0), 1, 4, b"x", 0).unwrap();
    pool.hold(key(0), 1, 5, b"x", HALF - 1).unwrap();
    pool.hold(key(1), 1, 6, b"x", 100).unwrap();
    let mut asked = Vec::new();
    let mut at = |pool: &mut HoldPool, now| {
        asked.clear();
        let visited = pool.due_repeats(now, HALF, |key, port| asked.push((*key, port)));
        assert_eq!(visited, asked.len());
        asked.clone()
    };
    assert_eq!(at(&mut pool, HALF - 1), []);
    assert_eq!(at(&mut pool, HALF), [(key(0), 4)]);
    assert_eq!(at(&mut pool, HALF + 100), [(key(1), 6)]);
    assert_eq!(at(&mut pool, 2 * HALF - 1), []);
    pool.pop_front(&key(0));
    assert_eq!(at(&mut pool, 3 * HALF), [(key(0), 5), (key(1), 6)]);
    assert_eq!(pool.due_repeats(3 * HALF, 0, |_, _| ()), 2, "an interval of nothing still ends");
}

#[test]
fn keys_go_round_though_some_vanish() {
    let mut pool = HoldPool::new(64, 64);
    for n in 0..7 {
        pool.hold(key(n), u32::from(n), 0, b"x", 0).unwrap();
    }
    let mut some = [HoldKey::EMPTY; 3];
    assert_eq!(pool.keys(&mut some), 3);
    assert_eq!(some, [key(0), key(1), key(2)]);
    for n in [1, 3] {
        pool.pop_front(&key(n));
    }
    assert_eq!(pool.keys(&mut some), 3);
    assert_eq!(some, [key(4), key(5), key(6)], "3 was next and is gone");
    assert_eq!(pool.keys(&mut some), 3);
    assert_eq!(some, [key(0), key(2), key(4)]);
    assert_eq!(pool.keys(&mut [HoldKey::EMPTY; 9]), 5, "each once, however much room there is");
}

#[test]
fn a_full_share_lets_its_own_packets_move() {
    let mut pool = HoldPool::with_limits(limits(4, 2, 2));
    assert_eq!(pool.hold(key(1), 1, 5, b"a", 0), Ok(Held::First));
    assert_eq!(pool.hold(key(1), 1, 6, b"b", 0), Ok(Held::Queued));
    assert_eq!(pool.hold(key(0), 1, 0, b"x", 0), Err(Overflow::ShareFull));
    assert_eq!(pool.transfer(&key(1), key(0), 7), Ok(Held::First));
    assert_eq!(pool.transfer(&key(1), key(1), 7), Ok(Held::Queued), "where it is already");
    assert_eq!(pool.transfer(&key(1), key(0), 7), Ok(Held::Queued));
    assert_eq!(pool.transfer(&key(1), key(0), 7), Err(Overflow::PoolFull), "nothing to move");
    assert_eq!((front(&pool, 0), pool.len(), pool.len_of_group(1)), (Some((5, b"a".to_vec(), 7)), 2, 2));
    pool.hold(key(2), 2, 0, b"y", 7).unwrap();
    assert_eq!(pool.transfer(&key(2), key(0), 8), Err(Overflow::QueueFull));
    assert_eq!(
        pool.expire(100, 100, |_, _| ()),
        2,
        "however many answers it waits for, its time is the same"
    );
    assert_eq!((pool.len(), pool.is_waiting(&key(0))), (1, false));
}

#[test]
fn another_question_is_told_from_a_repetition() {
    const HALF: u64 = 500_000_000;
    let mut pool = HoldPool::new(64, 64);
    assert!(!pool.asks_anew(&key(0), Asked::Mapping, 0), "nothing waits");
    pool.hold(key(0), 1, 0, b"x", 0).unwrap();
    assert!(pool.asks_anew(&key(0), Asked::Mapping, 0));
    assert!(!pool.asks_anew(&key(0), Asked::Mapping, 9));
    assert!(pool.asks_anew(&key(0), Asked::Host, HALF - 1));
    assert_eq!(pool.due_repeats(HALF, HALF, |_, _| ()), 0, "asked just now");
    assert_eq!(pool.due_repeats(2 * HALF, HALF, |_, _| ()), 1);
}

/// Group, port, frame, since when it waits for this, when it came.
type Packet = (u32, u16, Vec<u8>, u64, u64);

/// What a pool must be, said plainly.
#[derive(Default)]
struct Model {
    queues: HashMap<HoldKey, VecDeque<Packet>>,
}

impl Model {
    fn len(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }

    fn of_group(&self, group: u32) -> usize {
        self.queues.values().flatten().filter(|held| held.0 == group).count()
    }

    fn hold(&mut self, limits: HoldLimits, key: HoldKey, held: Packet) -> Result<Held, Overflow> {
        let waiting = self.queues.get(&key).map_or(0, VecDeque::len);
        if held.2.len() > limits.slot_bytes {
            return Err(Overflow::TooLong);
        } else if self.of_group(held.0) >= limits.per_group {
            return Err(Overflow::ShareFull);
        } else if waiting >= limits.per_key {
            return Err(Overflow::QueueFull);
        } else if self.len() >= limits.slots {
            return Err(Overflow::PoolFull);
        }
        self.queues.entry(key).or_default().push_back(held);
        Ok(if waiting == 0 { Held::First } else { Held::Queued })
    }

    fn pop(&mut self, key: &HoldKey) -> bool {
        let Some(queue) = self.queues.get_mut(key) else {
            return false;
        };
        queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(key);
        }
        true
    }

    fn transfer(
        &mut self,
        limits: HoldLimits,
        from: HoldKey,
        to: HoldKey,
        now: u64,
    ) -> Result<Held, Overflow> {
        let Some(mut held) = self.queues.get(&from).and_then(VecDeque::front).cloned() else {
            return Err(Overflow::PoolFull);
        };
        if from == to {
            return Ok(Held::Queued);
        }
        let waiting = self.queues.get(&to).map_or(0, VecDeque::len);
        if waiting >= limits.per_key {
            return Err(Overflow::QueueFull);
        }
        self.pop(&from);
        held.3 = now;
        self.queues.entry(to).or_default().push_back(held);
        Ok(if waiting == 0 { Held::First } else { Held::Queued })
    }

    fn expire(&mut self, now: u64, age: u64) -> Vec<(HoldKey, u16)> {
        let mut gone = Vec::new();
        for (key, queue) in &mut self.queues {
            gone.extend(queue.iter().filter(|held| now - held.4 >= age).map(|held| (*key, held.1)));
            queue.retain(|held| now - held.4 < age);
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        gone
    }
}

#[derive(Clone, Debug)]
enum Step {
    Hold { key: u8, group: u32, port: u16, len: usize },
    Pop { key: u8 },
    Transfer { from: u8, to: u8 },
    Expire { age: u64 },
    Repeat { interval: u64 },
    Keys { room: usize },
    Wait { time: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..12u8, 0..4u32, any::<u16>(), 0..70usize)
            .prop_map(|(key, group, port, len)| Step::Hold { key, group, port, len }),
        5 => (0..12u8).prop_map(|key| Step::Pop { key }),
        3 => (0..12u8, 0..12u8).prop_map(|(from, to)| Step::Transfer { from, to }),
        1 => (0..200u64).prop_map(|age| Step::Expire { age }),
        1 => (0..100u64).prop_map(|interval| Step::Repeat { interval }),
        1 => (0..8usize).prop_map(|room| Step::Keys { room }),
        4 => (0..50u64).prop_map(|time| Step::Wait { time }),
    ]
}

fn agrees(pool: &HoldPool, model: &Model) {
    assert_eq!(pool.len(), model.len());
    assert_eq!(pool.is_empty(), model.len() == 0);
    assert_eq!(pool.keys_len(), model.queues.len());
    for group in 0..4 {
        assert_eq!(pool.len_of_group(group), model.of_group(group));
    }
    for n in 0..12 {
        let expected = model.queues.get(&key(n)).and_then(VecDeque::front);
        assert_eq!(front(pool, n), expected.map(|held| (held.1, held.2.clone(), held.3)));
        assert_eq!(pool.is_waiting(&key(n)), expected.is_some());
    }
}

proptest! {
    #[test]
    fn behaves_as_the_model(
        (slots, per_group, per_key) in (1..16usize, 1..9usize, 1..6usize),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let limits = limits(slots, per_group, per_key);
        let (mut pool, mut model) = (HoldPool::with_limits(limits), Model::default());
        let (mut held, mut popped, mut expired, mut now) = (0, 0, 0, 0u64);
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Hold { key: n, group, port, len } => {
                    let frame = vec![number as u8; len];
                    let got = pool.hold(key(n), group, port, &frame, now);
                    prop_assert_eq!(got, model.hold(limits, key(n), (group, port, frame, now, now)));
                    held += usize::from(got.is_ok());
                }
                Step::Pop { key: n } => {
                    let got = pool.pop_front(&key(n));
                    prop_assert_eq!(got, model.pop(&key(n)));
                    popped += usize::from(got);
                }
                Step::Transfer { from, to } => {
                    let got = pool.transfer(&key(from), key(to), now);
                    prop_assert_eq!(got, model.transfer(limits, key(from), key(to), now));
                }
                Step::Expire { age } => {
                    let mut gone = Vec::new();
                    expired += pool.expire(now, age, |key, port| gone.push((*key, port)));
                    let mut expected = model.expire(now, age);
                    expected.sort_unstable();
                    gone.sort_unstable();
                    prop_assert_eq!(gone, expected);
                }
                Step::Repeat { interval } => {
                    let mut seen = HashSet::new();
                    pool.due_repeats(now, interval, |key, port| {
                        assert!(seen.insert(*key), "visited once");
                        assert_eq!(model.queues[key][0].1, port);
                    });
                    assert_eq!(pool.due_repeats(now, interval.max(1), |_, _| ()), 0, "all were just asked");
                }
                Step::Keys { room } => {
                    let mut keys = vec![HoldKey::EMPTY; room];
                    let count = pool.keys(&mut keys);
                    prop_assert_eq!(count, room.min(model.queues.len()));
                    let different: HashSet<_> = keys[..count].iter().collect();
                    prop_assert_eq!(different.len(), count);
                    prop_assert!(different.iter().all(|key| model.queues.contains_key(*key)));
                }
                Step::Wait { time } => now += time,
            }
            agrees(&pool, &model);
            prop_assert_eq!(pool.len(), held - popped - expired);
        }
    }
}
