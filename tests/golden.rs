//! Golden cases: a folder each, packets in and packets out, judged byte for byte.
//!
//! `golden/CASE/config.toml` is a gateway's configuration whose first line says what the case shows,
//! `in-PORT.pcap` what arrives at a port and when (packets of one moment are one burst), `out-PORT.pcap` what must
//! leave by it, in order, and `counters.toml` what must have been counted; `records.toml`, where there is one, is what
//! the control plane says meanwhile. `golden/world.toml` is the underlay and
//! the attached hosts that all cases share.
//! The expected packets come from `golden/generate.py`, which knows scapy and nothing of Sterna.
//! A new case is a new folder; this file does not change for it.
//!
//! Some things in a tunnel packet are the sender's free choice. An expected outer source port or flow label of zero
//! stands for "the flow's entropy": a port from 49152 on, and the same for all packets of a flow. An expected
//! identification of zero in an outer header without DF stands for "one of its own" (RFC 6864).

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a broken case must fail loudly, also outside #[test] functions"
)]

#[path = "golden/harness/case.rs"]
mod case;
#[path = "golden/harness/gateway.rs"]
mod gateway;
#[path = "golden/harness/judge.rs"]
mod judge;
#[path = "golden/harness/record.rs"]
mod record;
#[path = "golden/harness/world.rs"]
mod world;

use std::collections::BTreeSet;

use case::Case;
use gateway::{Bursts, run};
use judge::judge;
use sterna_dataplane::verdict::{DropReason, PuntReason};
use world::World;

#[test]
fn every_case_holds() {
    let (world, cases) = (World::read(), Case::read_all());
    assert!(cases.len() >= 25, "only {} cases found", cases.len());
    let mut failures = Vec::new();
    for case in &cases {
        for bursts in [Bursts::AsTheyCame, Bursts::OfOne] {
            let problems = judge(case, &run(case, &world, bursts));
            if !problems.is_empty() {
                let list = problems.join("\n    ");
                failures.push(format!("{} ({bursts:?}): {}\n    {list}", case.name, case.sentence));
            }
        }
    }
    let (failed, runs) = (failures.len(), 2 * cases.len());
    assert!(failures.is_empty(), "{failed} of {runs} runs failed\n\n{}", failures.join("\n\n"));
}

/// Reasons that no packet alone can bring about, and what proves them instead.
const WITHOUT_A_CASE: &[(&str, &str)] = &[
    (DropReason::NoTxFrame.name(), "needs a port without free frames: unit tests of the dataplane"),
    (DropReason::TxRingFull.name(), "needs a device that does not send: unit tests of the worker"),
    (DropReason::TxBusy.name(), "needs a kernel that refuses: unit tests of the worker"),
    (
        DropReason::ClassNoMatch.name(),
        "needs rows of classes, which no file says: dataplane/tests/classes.rs",
    ),
    (DropReason::PortGone.name(), "needs an entry of another configuration: unit tests of the dataplane"),
    (
        PuntReason::ContextApi.name(),
        "needs a control plane that agents speak with: dataplane/tests/gateway_port.rs",
    ),
    (
        DropReason::ContextTooLong.name(),
        "needs a control plane that agents speak with: dataplane/tests/gateway_port.rs",
    ),
    (
        DropReason::ContextRate.name(),
        "needs a control plane that agents speak with: dataplane/tests/gateway_port.rs",
    ),
    (
        DropReason::ContextBacklog.name(),
        "needs a control plane that agents speak with: dataplane/tests/gateway_port.rs",
    ),
];

#[test]
fn every_reason_has_a_case() {
    let cases = Case::read_all();
    let counted = |name: &str| cases.iter().any(|case| case.counts(name));
    let excused: BTreeSet<&str> = WITHOUT_A_CASE.iter().map(|(reason, _)| *reason).collect();
    let drops = DropReason::ALL.iter().map(|reason| reason.name());
    let punts = PuntReason::ALL.iter().map(|reason| reason.name());
    for reason in drops.chain(punts) {
        assert_ne!(counted(reason), excused.contains(reason), "{reason}: a case, or an excuse, and not both");
    }
}

/// The judge itself must be able to say no.
#[test]
fn a_wrong_expectation_is_noticed() {
    let world = World::read();
    let cases = Case::read_all();
    let right = cases.iter().find(|case| case.name == "encap-4-in-4").expect("the plainest case");
    let outcome = run(right, &world, Bursts::AsTheyCame);
    assert_eq!(judge(right, &outcome), Vec::<String>::new());

    let port = right.expected.keys().next().expect("something leaves").clone();
    let spoilt = |change: &dyn Fn(&mut Case)| {
        let mut case = right.clone();
        change(&mut case);
        judge(&case, &outcome)
    };
    let frames = right.expected[&port].clone();
    for (at, byte) in frames[0].iter().enumerate() {
        let problems = spoilt(&|case| {
            let frame = &mut case.expected.get_mut(&port).expect("as above")[0];
            frame[at] = byte ^ 1;
        });
        assert!(!problems.is_empty(), "byte {at} is not looked at");
    }
    let more = spoilt(&|case| case.expected.get_mut(&port).expect("as above").push(vec![0; 60]));
    let fewer = spoilt(&|case| case.expected.get_mut(&port).expect("as above").truncate(1));
    let swapped = spoilt(&|case| case.expected.get_mut(&port).expect("as above").swap(0, 1));
    let counted = spoilt(&|case| case.counters.entry(port.clone()).or_default().extend([("made".into(), 1)]));
    let misspelt =
        spoilt(&|case| case.counters.entry(port.clone()).or_default().extend([("maid".into(), 0)]));
    for problems in [more, fewer, swapped, counted, misspelt] {
        assert!(!problems.is_empty());
    }
    let mut dropped = outcome.clone();
    dropped.count("eth1", "drop_truncated", 1);
    assert!(!judge(right, &dropped).is_empty(), "an unexpected drop is not seen");
}
