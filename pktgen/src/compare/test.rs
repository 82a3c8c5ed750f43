use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;

const ALL: Rules = Rules { ignore: Vec::new(), only_udp: false, order: false, most: 10 };

fn record(bytes: Vec<u8>) -> Record {
    Record { at_ns: 0, bytes, whole: true }
}

fn udp(port: u16, payload: u8) -> Record {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 1, 0, 1], [10, 1, 0, 2], 64);
    builder.udp(1000, port).write(&mut frame, &[payload; 30]).unwrap();
    record(frame)
}

fn lisp(entropy: u16, ttl: u8, rloc: u8, inner: &Record, nonce: u8) -> Record {
    let mut body = vec![0x88, nonce, nonce, nonce, 0, 0, 100, 0];
    body.extend(&inner.bytes[14..]);
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, rloc], ttl);
    builder.udp(entropy, 4341).write(&mut frame, &body).unwrap();
    record(frame)
}

#[test]
fn the_same_in_another_order_is_the_same_unless_order_counts() {
    let a = [udp(1, 1), udp(1, 2), udp(2, 1)];
    let b = [udp(2, 1), udp(1, 2), udp(1, 1)];
    let verdict = records(&a, &b, &ALL);
    assert_eq!((verdict.same, verdict.equal, verdict.reordered), (true, 3, 2), "{verdict}");
    assert!(!records(&a, &b, &Rules { order: true, ..ALL }).same);
    assert_eq!(records(&a, &a, &ALL).reordered, 0);
}

#[test]
fn missing_more_and_different_are_told_with_their_places() {
    let mut changed = udp(2, 5);
    changed.bytes[50] = 9;
    let a = [udp(1, 1), udp(2, 5), udp(3, 1)];
    let b = [udp(1, 1), changed, udp(4, 1)];
    let verdict = records(&a, &b, &ALL);
    assert_eq!((verdict.equal, verdict.different, verdict.missing, verdict.extra), (1, 1, 1, 1), "{verdict}");
    assert_eq!(
        verdict.differences,
        [
            Difference::Different { a: 2, b: 2, offset: 50, byte_a: Some(5), byte_b: Some(9) },
            Difference::Missing { a: 3, length: 72 },
            Difference::Extra { b: 3, length: 72 },
        ]
    );
    assert!(!verdict.same && verdict.to_string().contains("offset 50 on: 05 and 09"), "{verdict}");
    let mut short = udp(1, 1);
    short.bytes.truncate(60);
    let verdict = records(&[udp(1, 1)], &[short], &ALL);
    // Cut within its packet it is none that can be read: one is missing, another is more.
    assert_eq!((verdict.missing, verdict.extra), (1, 1), "{verdict}");
    assert_eq!(records(&a, &b, &Rules { most: 1, ..ALL }).differences.len(), 1);
}

#[test]
fn padding_never_counts_and_other_protocols_only_if_wanted() {
    let mut padded = udp(1, 1);
    padded.bytes.extend([7; 20]);
    assert!(records(&[udp(1, 1)], &[padded], &ALL).same);
    let arp = record(vec![8; 60]);
    assert!(!records(&[udp(1, 1), arp.clone()], &[udp(1, 1)], &ALL).same);
    let verdict = records(&[udp(1, 1), arp], &[udp(1, 1)], &Rules { only_udp: true, ..ALL });
    assert_eq!((verdict.same, verdict.a), (true, 1));
}

#[test]
fn what_is_ignored_may_differ_and_nothing_else() {
    let inner = udp(7, 3);
    let base = lisp(60_000, 64, 2, &inner, 1);
    let mut macs = base.clone();
    macs.bytes[0] = 9;
    let mut identification = base.clone();
    identification.bytes[18] ^= 1;
    // The header's sum has changed with it.
    let layer = layers::of(&identification.bytes)[0];
    layer.mend(&mut identification.bytes, [true, false]);
    for (what, other) in [
        (Ignore::Macs, macs),
        (Ignore::EntropyPort, lisp(60_001, 64, 2, &inner, 1)),
        (Ignore::Ttl, lisp(60_000, 63, 2, &inner, 1)),
        (Ignore::OuterAddresses, lisp(60_000, 64, 3, &inner, 1)),
        (Ignore::Nonce, lisp(60_000, 64, 2, &inner, 2)),
        (Ignore::Identification, identification),
    ] {
        let rules = |ignore| Rules { ignore, ..ALL };
        let (a, b) = ([base.clone()], [other]);
        assert!(!records(&a, &b, &ALL).same, "{what:?}");
        assert!(records(&a, &b, &rules(vec![what])).same, "{what:?}");
        let all = [
            Ignore::Macs,
            Ignore::OuterAddresses,
            Ignore::EntropyPort,
            Ignore::Ttl,
            Ignore::Identification,
            Ignore::Nonce,
        ];
        let others = all.into_iter().filter(|one| *one != what).collect();
        assert!(!records(&a, &b, &rules(others)).same, "{what:?}");
        // A payload is never ignored.
        let changed = [lisp(60_000, 64, 2, &udp(7, 4), 1)];
        assert!(!records(&a, &changed, &rules(all.to_vec())).same);
    }
}

proptest! {
    #[test]
    fn a_capture_is_the_same_as_itself_and_one_packet_less_is_one_missing(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 1..20),
        gone in 0_usize..20,
    ) {
        let a: Vec<Record> = frames.into_iter().map(record).collect();
        let rules = Rules { ignore: vec![Ignore::Ttl, Ignore::Nonce, Ignore::EntropyPort], ..ALL };
        prop_assert!(records(&a, &a, &rules).same);
        let mut b = a.clone();
        b.remove(gone % a.len());
        let verdict = records(&a, &b, &rules);
        prop_assert_eq!((verdict.missing, verdict.extra, verdict.different), (1, 0, 0));
    }
}
