use std::vec;
use std::vec::Vec;

use super::super::test::bytes;
use super::super::{LispAddress, MapNotify, Message, RequestRecord, parse};
use super::*;
use crate::addr::Iid;
use crate::checksum;

/// UDP payload of frame 5 of a capture of Open Overlay Router 1.3: its Map-Request to the Map-Resolver.
const OOR: &str = "80000000 4500003c000240 00ff11f759c0a80102c0a80202 10f610f60028aa28 \
    10000001fb5ff96bd4ea46f90001c0a8010200010a00000b00200001c0a80202";

fn v4() -> (SocketAddr, SocketAddr) {
    ("10.2.0.5:4342".parse().unwrap(), "10.1.0.7:4342".parse().unwrap())
}

fn v6() -> (SocketAddr, SocketAddr) {
    ("[fd00::5]:4342".parse().unwrap(), "[fd00::7]:4342".parse().unwrap())
}

fn request() -> MapRequest {
    MapRequest {
        nonce: 5,
        itr_rlocs: vec![LispAddress::Ip([192, 0, 2, 1].into())],
        records: vec![RequestRecord::of(Iid::new(7).unwrap(), "10.1.0.7".parse().unwrap())],
        ..MapRequest::default()
    }
}

/// The inner IPv4 header's checksum made right again after a change.
fn mend(message: &mut [u8]) {
    message[14..16].fill(0);
    let sum = checksum::fold(checksum::sum(&message[4..24]));
    message[14..16].copy_from_slice(&sum.to_be_bytes());
}

/// An ECM over IPv4 with one byte of the inner packet changed, its header checksum right.
fn changed(at: usize, value: u8) -> Vec<u8> {
    let mut message = encapsulate(v4().0, v4().1, &request().emit());
    message[HEADER_LEN + at] = value;
    mend(&mut message);
    message
}

#[test]
fn what_another_maker_sends() {
    let message = bytes(OOR);
    let ecm = Ecm::parse(&message).unwrap();
    assert_eq!(ecm.source, "192.168.1.2:4342".parse().unwrap());
    assert_eq!(ecm.destination, "192.168.2.2:4342".parse().unwrap());
    assert_eq!((ecm.security, ecm.ddt), (false, false));
    assert_eq!((ecm.message, ecm.packet), (&message[32..], &message[4..]));
    let request = ecm.map_request().unwrap();
    assert_eq!(request.records[0].prefix(), Some((Iid::DEFAULT, "192.168.2.2".parse().unwrap())));
    assert_eq!(encapsulate_packet(ecm.packet, false), message);
    assert_eq!(parse(&message), Ok(Message::Ecm(ecm)));
}

#[test]
fn there_and_back() {
    let (from4, to4) = v4();
    let (from6, to6) = v6();
    for (from, to) in [(from4, to4), (from6, to6)] {
        let inner = request().emit();
        let message = encapsulate(from, to, &inner);
        let ecm = Ecm::parse(&message).unwrap();
        assert_eq!((ecm.source, ecm.destination, ecm.message), (from, to, &inner[..]));
        assert_eq!(ecm.map_request(), Ok(request()));
    }
}

#[test]
fn families_that_differ() {
    let inner = request().emit();
    let message = encapsulate(v4().0, v6().1, &inner);
    assert_eq!(Ecm::parse(&message).unwrap().source, "[::]:4342".parse().unwrap());
    let message = encapsulate(v6().0, v4().1, &inner);
    assert_eq!(Ecm::parse(&message).unwrap().source, "0.0.0.0:4342".parse().unwrap());
}

#[test]
fn passed_on_byte_for_byte() {
    let mut message = bytes(OOR);
    message.extend([0xee; 5]);
    let ecm = Ecm::parse(&message).unwrap();
    assert_eq!(ecm.packet.len(), 60, "bytes behind the packet are not part of it");
    let mut six = encapsulate(v6().0, v6().1, &request().emit());
    let len = six.len() - HEADER_LEN;
    six.extend([0xee; 5]);
    assert_eq!(Ecm::parse(&six).unwrap().packet.len(), len, "nor over IPv6");
    let again = encapsulate_packet(ecm.packet, true);
    let passed = Ecm::parse(&again).unwrap();
    assert!(passed.ddt);
    assert_eq!(passed.packet, ecm.packet);
}

#[test]
fn damaged_inner_packets() {
    use ControlError::*;
    for (at, value, reason) in [
        (0, 0x55, EcmInner),
        (0, 0x44, EcmInner),
        (3, 200, EcmInner),
        (6, 0x20, EcmFragment),
        (7, 1, EcmFragment),
        (9, 6, EcmNotUdp),
        (25, 200, EcmUdp),
        (25, 7, EcmUdp),
        (27, 0xaa, EcmUdp),
        (30, 0xaa, EcmUdp),
    ] {
        assert_eq!(Ecm::parse(&changed(at, value)).unwrap_err(), reason, "byte {at}");
    }
    let mut message = encapsulate(v4().0, v4().1, &request().emit());
    message[HEADER_LEN + 8] ^= 1;
    assert_eq!(Ecm::parse(&message), Err(EcmInner), "the header checksum");
    let whole = encapsulate(v6().0, v6().1, &request().emit());
    for (at, value, reason) in [(6, 44, EcmFragment), (6, 6, EcmNotUdp), (5, 200, EcmInner), (60, 1, EcmUdp)]
    {
        let mut message = whole.clone();
        message[HEADER_LEN + at] = value;
        assert_eq!(Ecm::parse(&message), Err(reason), "byte {at}");
    }
}

#[test]
fn every_cut_is_noticed() {
    for (from, to) in [v4(), v6()] {
        let whole = encapsulate(from, to, &request().emit());
        for len in 0..whole.len() {
            assert!(Ecm::parse(&whole[..len]).is_err(), "{len}");
        }
    }
}

#[test]
fn a_checksum_of_zero_is_none() {
    let mut message = encapsulate(v4().0, v4().1, &request().emit());
    message[HEADER_LEN + 26..HEADER_LEN + 28].fill(0);
    assert!(Ecm::parse(&message).is_ok());
}

#[test]
fn messages_that_may_be_inside() {
    for kind in 0..16u8 {
        let mut inner = request().emit();
        inner[0] = kind << 4;
        let message = encapsulate(v4().0, v4().1, &inner);
        let outcome = Ecm::parse(&message).map(|_| ());
        let expected = if matches!(kind, 1 | 3 | 4) { Ok(()) } else { Err(ControlError::EcmInnerType) };
        assert_eq!(outcome, expected, "type {kind}");
    }
    let empty = encapsulate(v4().0, v4().1, &[]);
    assert_eq!(Ecm::parse(&empty), Err(ControlError::Truncated));
    let nested = encapsulate(v4().0, v4().1, &encapsulate(v4().0, v4().1, &request().emit()));
    assert_eq!(Ecm::parse(&nested), Err(ControlError::EcmInnerType));
}

#[test]
fn probes_and_solicitations_are_not_encapsulated() {
    for asked in [MapRequest { probe: true, ..request() }, MapRequest { smr: true, ..request() }] {
        let message = encapsulate(v4().0, v4().1, &asked.emit());
        assert_eq!(Ecm::parse(&message).unwrap().map_request(), Err(ControlError::EcmProbe));
    }
    let notify = encapsulate(v4().0, v4().1, &MapNotify::default().emit());
    assert_eq!(Ecm::parse(&notify).unwrap().map_request(), Err(ControlError::UnknownType(4)));
}

/// LISP-SEC data as an ITR sends it: a one-time key of 24 bytes with its preamble, then the length 4 and a KDF.
fn secured(key_len: u8, data_len: u8) -> Vec<u8> {
    let plain = encapsulate(v4().0, v4().1, &request().emit());
    let mut message = bytes("88000000 01000002");
    message.extend([0, key_len, 1, 1]);
    message.extend([0x5a; 24]);
    message.extend([0, data_len, 0, 1]);
    message.extend(&plain[HEADER_LEN..]);
    message
}

#[test]
fn security_data_is_skipped() {
    let message = secured(24, 4);
    let ecm = Ecm::parse(&message).unwrap();
    assert!(ecm.security);
    assert_eq!(ecm.map_request(), Ok(request()));
}

#[test]
fn security_data_that_cannot_be_skipped() {
    for (key_len, data_len) in [(255, 4), (24, 1), (24, 0), (24, 255)] {
        let message = secured(key_len, data_len);
        assert_eq!(Ecm::parse(&message), Err(ControlError::EcmSecurity), "{key_len} {data_len}");
    }
    let mut unknown = secured(24, 4);
    unknown[4] = 2;
    assert_eq!(Ecm::parse(&unknown), Err(ControlError::EcmSecurity));
    assert_eq!(Ecm::parse(&secured(24, 4)[..9]), Err(ControlError::EcmSecurity));
}

#[test]
fn the_longest_message_and_one_too_long_do_no_harm() {
    let longest = encapsulate(v6().0, v6().1, &[0x10; 65527]);
    assert_eq!(Ecm::parse(&longest).map(|ecm| ecm.message.len()), Ok(65527));
    let too_long = encapsulate(v6().0, v6().1, &[0x10; 70000]);
    assert!(Ecm::parse(&too_long).is_err() || too_long.len() > 65535);
    let too_long = encapsulate(v4().0, v4().1, &[0x10; 70000]);
    assert!(Ecm::parse(&too_long).is_err());
}
