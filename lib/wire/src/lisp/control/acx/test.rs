//! The golden vectors of reference/lisp-protocol.md section 9, and what a block may not cost.

use alloc::vec;
use alloc::vec::Vec;

use super::*;

const ATTRIBUTES: &str = "40030000ff0000500002ac01016000000000000701000004000000001000000801000000000013881100000a00000001010468313030000012000004010000001300000400faffff1400000403010000150000040000003c";
const REQUEST: &str = "40030000ff0000340002ac01014000000000000041800005000000010000000044800004020000004008000801000000000000004600000401000000";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn attributes() -> Acx {
    let attributes = Attributes {
        latency: Some(Latency { class: Some(LatencyClass::Low), sla_us: 5000 }),
        hardware: Some(Hardware::from_names(["gpu", "h100"]).unwrap()),
        state: Some(AgentState::Active),
        load: Some(Load { permille: Some(250), queue: None }),
        security: Some(Security { level: 3, flags: Security::CRYPTO, domain: 0 }),
    };
    let scope = Scope::Locator { record: 0, locator: 0 };
    let entry = Scoped { ttl_s: Some(60), ..Scoped::new(scope, attributes) };
    Acx { aware: true, complete: true, seq: 7, entries: vec![entry], ..Acx::default() }
}

fn request() -> Acx {
    let low = Need::Latency { class: Some(LatencyClass::Low), max_us: 0 };
    let constraints = vec![
        Constraint::hard(Need::Hardware(Hardware::from_names(["gpu"]).unwrap())),
        Constraint::hard(Need::Security { level: 2, flags: 0, domain: 0 }),
        Constraint::soft(low, 8),
    ];
    Acx { aware: true, constraints, return_attributes: true, ..Acx::default() }
}

#[test]
fn the_golden_vectors() {
    assert_eq!(Acx::find(&bytes(ATTRIBUTES)), Ok(Some(attributes())));
    assert_eq!(attributes().bytes(), bytes(ATTRIBUTES));
    assert_eq!(Acx::find(&bytes(REQUEST)), Ok(Some(request())));
    assert_eq!(request().bytes(), bytes(REQUEST));
}

#[test]
fn every_cut_is_an_error_and_none_is_nothing() {
    for whole in [bytes(ATTRIBUTES), bytes(REQUEST)] {
        for end in 1..whole.len() {
            assert_eq!(Acx::find(&whole[..end]), Err(AcxError::NotAcx), "{end}");
        }
        let longer: Vec<u8> = whole.iter().copied().chain([0]).collect();
        assert_eq!(Acx::find(&longer), Err(AcxError::NotAcx));
    }
    assert_eq!(Acx::find(&[]), Ok(None));
}

fn with(tlvs: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let mut block = Acx::default().bytes();
    tlvs.iter().for_each(|(kind, flags, value)| put(&mut block, *kind, *flags, value));
    let length = (block.len() - LCAF_LEN) as u16;
    block[6..8].copy_from_slice(&length.to_be_bytes());
    block
}

#[test]
fn unknown_types_by_their_criticality() {
    let quiet = Acx::find(&with(&[(0x7f, 0, b"abc"), (0x30, 0xff, b"")])).unwrap().unwrap();
    assert_eq!(quiet, Acx::default());
    assert_eq!(Acx::find(&with(&[(0x80, 0, b"")])), Err(AcxError::UnknownCritical(0x80)));
}

#[test]
fn values_that_cannot_be_are_malformed() {
    let bad: [(u8, &[u8]); 13] = [
        (kind::SCOPE, &[255, 1, 0, 0]),
        (kind::SCOPE_RLOC, &[0, 1, 192, 0, 2, 1]),
        (kind::SCOPE_EID, &[33, 0, 0, 1, 10, 0, 0, 1]),
        (kind::LATENCY, &[4, 0, 0, 0, 0, 0, 0, 0]),
        (kind::LATENCY, &[1, 0, 0, 0]),
        (kind::STATE, &[8, 0, 0, 0]),
        (kind::LOAD, &[0x03, 0xe9, 0, 0]),
        (kind::HARDWARE, &[0, 0, 0, 1, 1, 1, b'A']),
        (kind::HARDWARE, &[0, 0, 0, 1, 1, 2, b'a']),
        (kind::HARDWARE, &[0, 0, 0, 1, 0, 0]),
        (kind::SCORE, &[0, 1, 1, 0]),
        (kind::C_HASH, &[0; 7]),
        (kind::XTRID_ECHO, &[0; 16]),
    ];
    for (kind, value) in bad {
        assert_eq!(Acx::find(&with(&[(kind, 0, value)])), Err(AcxError::Malformed(kind)), "{value:?}");
    }
}

#[test]
fn too_many_values_and_too_many_bytes() {
    let many = vec![(kind::PAD, 0, &[][..]); MAX_TLVS + 1];
    assert_eq!(Acx::find(&with(&many)), Err(AcxError::TooLong));
    assert!(Acx::find(&with(&many[1..])).is_ok());
    assert_eq!(Acx::find(&with(&[(kind::PAD, 0, &[0; MAX_LEN])])), Err(AcxError::TooLong));
    let needs = vec![(kind::C_LOAD, 0x80, &[0, 1, 0, 0][..]); constraint::MAX + 1];
    assert_eq!(Acx::find(&with(&needs)), Err(AcxError::TooLong));
}

#[test]
fn of_two_values_in_one_scope_the_first_holds() {
    let block = with(&[(kind::STATE, 0, &[7, 0, 0, 0]), (kind::STATE, 0, &[1, 0, 0, 0])]);
    let block = Acx::find(&block).unwrap().unwrap();
    assert_eq!((block.entries[0].attributes.state, block.duplicates), (Some(AgentState::Failed), 1));
}

#[test]
fn the_hash_does_not_mind_the_order_and_minds_all_else() {
    let needs = request().constraints;
    let mut turned = needs.clone();
    turned.reverse();
    assert_eq!(hash_of(&needs, None), hash_of(&turned, None));
    assert_ne!(hash_of(&needs, None), hash_of(&needs, Some(3)));
    assert_ne!(hash_of(&needs, None), hash_of(&needs[1..], None));
    let softer: Vec<_> = needs.iter().map(|c| Constraint::soft(c.need.clone(), 8)).collect();
    assert_ne!(hash_of(&needs, None), hash_of(&softer, None));
    assert_eq!(hash_of(&[], None), None);
}

#[test]
fn a_delta_says_what_changed_and_what_is_no_longer_known() {
    let before = attributes().entries[0].attributes.clone();
    let mut after = before.clone();
    (after.state, after.load) = (Some(AgentState::Busy), None);
    let delta = after.since(&before);
    assert_eq!(delta.state, Some(AgentState::Busy));
    assert_eq!(delta.load, Some(Load::default()));
    assert_eq!((delta.latency, delta.hardware, delta.security), (None, None, None));
}
