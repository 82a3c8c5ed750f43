use super::*;
use core::net::Ipv4Addr;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 7));
const DESTINATION: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 9));

static SYN: [u8; 28] = [
    0xbf, 0x00, 0x00, 0x50, // ports
    0x01, 0x23, 0x45, 0x67, // sequence
    0x89, 0xab, 0xcd, 0xef, // acknowledgement
    0x60, 0x02, 0x01, 0x23, // header length, SYN, window
    0x78, 0x76, 0x02, 0x01, // checksum, urgent
    0x02, 0x04, 0x05, 0xb4, // MSS 1460
    0xaa, 0x00, 0x00, 0xff,
];

fn repr() -> Repr {
    Repr {
        source_port: 48896,
        destination_port: 80,
        sequence: 0x0123_4567,
        acknowledgement: 0x89ab_cdef,
        flags: Flags::SYN,
        window: 0x0123,
        urgent: 0x0201,
        mss: Some(1460),
    }
}

fn parse_bytes(bytes: &[u8]) -> Result<Repr, Error> {
    Repr::parse(&Packet::new_unchecked(bytes), SOURCE, DESTINATION)
}

/// A SYN with these options (padded to whole words) and a right checksum.
fn syn_with(options: &[u8]) -> Vec<u8> {
    let mut bytes = SYN[..20].to_vec();
    bytes.extend(options);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let header_len = bytes.len();
    let mut packet = Packet::new_unchecked(&mut bytes[..]);
    packet.set_header_len(header_len);
    packet.fill_checksum(SOURCE, DESTINATION);
    bytes
}

fn offset(options: &[u8]) -> Option<usize> {
    Packet::new_checked(&syn_with(options)[..]).unwrap().mss_option_offset()
}

#[test]
fn deconstruct() {
    let packet = Packet::new_checked(&SYN[..]).unwrap();
    assert_eq!((packet.source_port(), packet.destination_port()), (48896, 80));
    assert_eq!(packet.sequence(), 0x0123_4567);
    assert_eq!(packet.acknowledgement(), 0x89ab_cdef);
    assert_eq!(packet.header_len(), 24);
    assert_eq!(packet.flags(), Flags::SYN);
    assert_eq!((packet.window(), packet.urgent()), (0x0123, 0x0201));
    assert_eq!(packet.checksum(), 0x7876);
    assert!(packet.verify_checksum(SOURCE, DESTINATION));
    assert_eq!((packet.mss_option_offset(), packet.mss()), (Some(22), Some(1460)));
    assert_eq!(packet.options(), &SYN[20..24]);
    assert_eq!(packet.payload(), &SYN[24..]);
}

#[test]
fn construct() {
    let mut bytes = vec![0xa5; 28];
    bytes[20..24].copy_from_slice(&SYN[20..24]);
    let mut packet = Packet::new_unchecked(&mut bytes);
    packet.set_source_port(48896);
    packet.set_destination_port(80);
    packet.set_sequence(0x0123_4567);
    packet.set_acknowledgement(0x89ab_cdef);
    packet.set_header_len(24);
    packet.set_flags(Flags::SYN);
    packet.set_window(0x0123);
    packet.set_urgent(0x0201);
    packet.payload_mut().copy_from_slice(&SYN[24..]);
    packet.fill_checksum(SOURCE, DESTINATION);
    assert_eq!(packet.into_inner(), &SYN);
}

#[test]
fn parse() {
    assert_eq!(parse_bytes(&SYN), Ok(repr()));
}

#[test]
fn emit() {
    let mut bytes = vec![0xa5; repr().buffer_len() + 4];
    bytes[24..].copy_from_slice(&SYN[24..]);
    let mut packet = Packet::new_unchecked(&mut bytes);
    repr().emit(&mut packet);
    packet.fill_checksum(SOURCE, DESTINATION);
    assert_eq!(packet.into_inner(), &SYN);
    let without = Repr { mss: None, ..repr() };
    assert_eq!(without.buffer_len(), 20);
}

#[test]
fn reserved_bits_are_ignored_and_never_sent() {
    let mut noisy = SYN;
    noisy[12] |= 0x0f;
    Packet::new_unchecked(&mut noisy[..]).fill_checksum(SOURCE, DESTINATION);
    assert_eq!(parse_bytes(&noisy), Ok(repr()));
    let mut bytes = vec![0xff; 24];
    repr().emit(&mut Packet::new_unchecked(&mut bytes));
    assert_eq!(bytes[12], 0x60);
}

#[test]
fn odd_cases() {
    for len in 0..24 {
        assert_eq!(parse_bytes(&SYN[..len]), Err(Error::Truncated), "{len}");
    }
    let mut wrong = SYN;
    wrong[12] = 0x40;
    assert_eq!(parse_bytes(&wrong), Err(Error::BadLength));
    wrong[12] = 0x61;
    assert_eq!(parse_bytes(&wrong), Err(Error::BadChecksum));
    let v6 = "::1".parse().unwrap();
    let mixed = Repr::parse(&Packet::new_unchecked(&SYN[..]), SOURCE, v6);
    assert_eq!(mixed, Err(Error::BadChecksum));
    assert_eq!(Flags::SYN.with(Flags::ACK).to_string(), ".S..A...");
}

#[test]
fn the_walk_finds_the_value() {
    assert_eq!(offset(&[2, 4, 5, 180]), Some(22));
    assert_eq!(offset(&[1, 2, 4, 5, 180]), Some(23), "odd, behind a no-operation");
    assert_eq!(offset(&[3, 3, 7, 4, 2, 2, 4, 5, 180]), Some(27));
    assert_eq!(offset(&[2, 4, 5, 180, 2, 4, 1, 1]), Some(22), "the first counts");
}

#[test]
fn the_walk_ends() {
    assert_eq!(offset(&[]), None);
    assert_eq!(offset(&[0, 2, 4, 5, 180]), None, "behind the end");
    assert_eq!(offset(&[5, 0, 2, 4, 5, 180]), None, "an option without length");
    assert_eq!(offset(&[5, 1, 2, 4, 5, 180]), None);
    assert_eq!(offset(&[5, 255]), None, "an option past the end");
    assert_eq!(offset(&[1, 1, 1, 5]), None, "an option cut in its first byte");
    assert_eq!(offset(&[1, 1, 2, 4]), None, "a value behind the end");
    assert_eq!(offset(&[2, 3, 9, 2, 4, 5, 180]), Some(25), "an MSS of a wrong length is none");
    assert_eq!(offset(&[1; 40]), None);
}

#[test]
fn clamping_keeps_the_checksum_right() {
    for options in [&[2u8, 4, 5, 180][..], &[1, 2, 4, 5, 180], &[3, 3, 7, 2, 4, 0xff, 0xff]] {
        for limit in [1, 256, 1240, 1424, 1459] {
            let mut bytes = syn_with(options);
            assert!(Packet::new_unchecked(&mut bytes[..]).clamp_mss(limit));
            let parsed = parse_bytes(&bytes).unwrap();
            assert_eq!(parsed.mss, Some(limit));
        }
    }
}

#[test]
fn clamping_leaves_others_alone() {
    let clamp = |mut bytes: Vec<u8>, limit: u16| {
        let before = bytes.clone();
        let changed = Packet::new_unchecked(&mut bytes[..]).clamp_mss(limit);
        assert_eq!(changed, bytes != before);
        changed
    };
    assert!(!clamp(SYN.to_vec(), 1460), "small enough");
    assert!(!clamp(syn_with(&[]), 1), "no option");
    let mut later = SYN.to_vec();
    later[13] = Flags::ACK.0;
    assert!(!clamp(later, 1), "only a SYN carries it");
}
