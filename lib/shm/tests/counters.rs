//! Counters as their users see them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::os::fd::OwnedFd;

use sterna_shm::{CounterDesc, Counters, CountersView, Kind, RegionError, ScopeName, Side, balance};

const DESCS: [CounterDesc; 5] = [
    CounterDesc { name: "rx_packets", kind: Kind::Rx, help: "Packets received." },
    CounterDesc { name: "tx_packets", kind: Kind::Tx, help: "Packets sent." },
    CounterDesc { name: "drop_no_route", kind: Kind::Drop, help: "Packets without a way." },
    CounterDesc { name: "held_packets", kind: Kind::Held, help: "Packets that wait." },
    CounterDesc { name: "rx_bytes", kind: Kind::Info, help: "Bytes received." },
];

fn scopes() -> Vec<ScopeName> {
    let scope = |worker, port, name: &str, side| ScopeName { worker, port, port_name: name.to_owned(), side };
    vec![
        scope(0, 0, "eth1", Side::Eid),
        scope(0, 1, "eth0", Side::Rloc),
        scope(1, 0, "eth1", Side::Eid),
        scope(1, 1, "eth0", Side::Rloc),
    ]
}

fn view(counters: &Counters) -> CountersView {
    CountersView::open(counters.file().unwrap()).unwrap()
}

#[test]
fn a_reader_finds_names_kinds_help_and_values() {
    let counters = Counters::create(&DESCS, &scopes()).unwrap();
    let block = counters.block(1).unwrap();
    block.add(0, 5);
    block.add(0, 6);
    block.set(3, 2);
    block.add(4, u64::MAX);
    block.add(4, 2);
    assert_eq!((block.get(0), block.get(4)), (11, 1));

    let found = view(&counters).scopes();
    let names: Vec<_> = found.iter().map(|s| (s.worker, s.port, s.port_name.as_str(), s.side)).collect();
    let expected = [(0, 0, "eth1", Side::Eid), (0, 1, "eth0", Side::Rloc), (1, 0, "eth1", Side::Eid)];
    assert_eq!(names[..3], expected);
    assert_eq!(found.len(), 4);
    for (value, desc) in found[1].values.iter().zip(DESCS) {
        assert_eq!((&*value.name, value.kind, &*value.help), (desc.name, desc.kind, desc.help));
    }
    let values: Vec<u64> = found[1].values.iter().map(|value| value.value).collect();
    assert_eq!(values, [11, 0, 0, 2, 1]);
    assert_eq!(found[1].value("rx_packets"), Some(11));
    assert_eq!(found[1].value("none"), None);
    assert!(found[0].values.iter().all(|value| value.value == 0), "blocks do not overlap");
}

#[test]
fn a_block_has_one_writer_at_a_time() {
    let counters = Counters::create(&DESCS, &scopes()).unwrap();
    let block = counters.block(0).unwrap();
    block.add(0, 1);
    assert!(counters.block(0).is_none(), "taken");
    assert!(counters.block(4).is_none(), "no such scope");
    drop(block);
    let again = counters.block(0).unwrap();
    again.add(0, 1);
    assert_eq!(again.get(0), 2, "counts survive a change of writer");
}

#[test]
fn indices_that_do_not_exist_change_nothing() {
    let counters = Counters::create(&DESCS, &scopes()).unwrap();
    let block = counters.block(0).unwrap();
    for index in [DESCS.len(), 16, usize::MAX] {
        block.add(index, 1);
        block.set(index, 1);
        assert_eq!(block.get(index), 0);
    }
    let all = view(&counters).scopes();
    assert!(all.iter().flat_map(|scope| &scope.values).all(|value| value.value == 0));
}

#[test]
fn several_writers_lose_nothing() {
    const ROUNDS: u64 = 100_000;
    let counters = Counters::create(&DESCS, &scopes()).unwrap();
    std::thread::scope(|threads| {
        for scope in 0..4 {
            let block = counters.block(scope).unwrap();
            threads.spawn(move || {
                for _ in 0..ROUNDS {
                    block.add(0, 1);
                    block.add(if scope % 2 == 0 { 1 } else { 2 }, 1);
                }
            });
        }
    });
    let balance = balance(&view(&counters).scopes());
    assert_eq!((balance.rx, balance.tx, balance.dropped), (4 * ROUNDS, 2 * ROUNDS, 2 * ROUNDS));
    assert_eq!(balance.error, 0);
}

#[test]
fn heartbeat_and_incarnation() {
    let counters = Counters::create(&DESCS, &scopes()).unwrap();
    let view = view(&counters);
    assert_eq!(view.heartbeat_ns(), 0);
    counters.beat(123_456);
    assert_eq!(view.heartbeat_ns(), 123_456);
    assert_eq!(view.incarnation(), counters.incarnation());
    let other = Counters::create(&DESCS, &scopes()).unwrap();
    assert_ne!(other.incarnation(), counters.incarnation());
}

/// A reader with nothing but the file finds the header, the text and a value.
#[test]
fn the_layout_describes_itself() {
    let counters = Counters::create(&DESCS, &scopes()).unwrap();
    counters.block(2).unwrap().add(1, 77);
    let file = std::fs::File::from(counters.file().unwrap());
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).unwrap();
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(&bytes[..6], b"STERNA");
    assert_eq!(word(24), bytes.len() as u64);
    let text = std::str::from_utf8(&bytes[4096..4096 + word(40) as usize]).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["sterna counters 1", "counter\trx_packets\trx\tPackets received."]);
    let scope: Vec<&str> = lines[1 + DESCS.len() + 2].split('\t').collect();
    assert_eq!(scope[..5], ["scope", "1", "0", "eth1", "eid"]);
    let offset: usize = scope[5].parse().unwrap();
    assert_eq!((offset % 128, word(offset + 8)), (0, 77));
}

#[test]
fn texts_that_would_break_the_description_are_refused() {
    let bad = |name, help| CounterDesc { name, kind: Kind::Info, help };
    for desc in [bad("a\tb", "h"), bad("a", "h\nscope"), bad("", "h"), bad("a", "")] {
        assert!(matches!(Counters::create(&[desc], &scopes()), Err(RegionError::Description(_))), "{desc:?}");
    }
    assert!(Counters::create(&[DESCS[0], DESCS[0]], &scopes()).is_err(), "one name twice");
    assert!(Counters::create(&[], &scopes()).is_err());
    let mut scopes = scopes();
    scopes[0].port_name = "eth\n1".to_owned();
    assert!(Counters::create(&DESCS, &scopes).is_err());
}

#[test]
fn a_file_that_is_no_counters_is_refused() {
    let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    assert!(CountersView::open(file).is_err());
}

#[test]
fn many_scopes_and_counters_fit() {
    let names: Vec<&'static str> = (0..300).map(|n| &*format!("counter_{n}").leak()).collect();
    let descs: Vec<_> =
        names.iter().map(|name| CounterDesc { name, kind: Kind::Drop, help: "One." }).collect();
    let scopes: Vec<_> = (0..64)
        .map(|n| ScopeName { worker: n / 8, port: n % 8, port_name: format!("p{n}"), side: Side::Both })
        .collect();
    let counters = Counters::create(&descs, &scopes).unwrap();
    for scope in 0..64 {
        counters.block(scope).unwrap().set(299, scope as u64);
    }
    for (scope, found) in view(&counters).scopes().iter().enumerate() {
        assert_eq!(found.value("counter_299"), Some(scope as u64));
        assert_eq!(found.value("counter_298"), Some(0));
    }
}
