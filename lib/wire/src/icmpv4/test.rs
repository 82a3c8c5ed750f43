use super::*;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

static ECHO: [u8; 12] = [
    0x08, 0x00, 0x8e, 0xfe, // echo request, checksum
    0x12, 0x34, 0xab, 0xcd, // ident, sequence
    0xaa, 0x00, 0x00, 0xff,
];

static TOO_BIG: [u8; 12] = [
    0x03, 0x04, 0x4d, 0x48, // unreachable, fragmentation needed, checksum
    0x00, 0x00, 0x05, 0xb8, // unused, next-hop MTU
    0x45, 0x00, 0x64, 0xfb, // the beginning of a packet
];

fn echo_repr() -> Repr<'static> {
    Repr::EchoRequest { ident: 0x1234, sequence: 0xabcd, data: &[0xaa, 0x00, 0x00, 0xff] }
}

fn too_big_repr() -> Repr<'static> {
    Repr::FragmentationNeeded { next_hop_mtu: 1464, original: &TOO_BIG[8..] }
}

fn parse_bytes(bytes: &[u8]) -> Result<Repr<'_>, Error> {
    Repr::parse(&Packet::new_unchecked(bytes))
}

fn emit_bytes(repr: &Repr<'_>) -> Vec<u8> {
    let mut bytes = vec![0xa5; repr.buffer_len()];
    repr.emit(&mut Packet::new_unchecked(&mut bytes));
    bytes
}

#[test]
fn deconstruct() {
    let packet = Packet::new_checked(&ECHO[..]).unwrap();
    assert_eq!((packet.kind(), packet.code()), (Type::ECHO_REQUEST, 0));
    assert_eq!(packet.checksum(), 0x8efe);
    assert_eq!((packet.echo_ident(), packet.echo_sequence()), (0x1234, 0xabcd));
    assert_eq!(packet.payload(), &ECHO[8..]);
    assert!(packet.verify_checksum());
    let packet = Packet::new_checked(&TOO_BIG[..]).unwrap();
    assert_eq!(packet.next_hop_mtu(), 1464);
    assert!(packet.verify_checksum());
}

#[test]
fn construct() {
    let mut bytes = vec![0xa5; 12];
    let mut packet = Packet::new_unchecked(&mut bytes);
    packet.set_kind_and_code(Type::ECHO_REQUEST, 0);
    packet.set_echo_ident(0x1234);
    packet.set_echo_sequence(0xabcd);
    packet.payload_mut().copy_from_slice(&ECHO[8..]);
    packet.fill_checksum();
    assert_eq!(packet.into_inner(), &ECHO);
}

#[test]
fn parse() {
    assert_eq!(parse_bytes(&ECHO), Ok(echo_repr()));
    assert_eq!(parse_bytes(&TOO_BIG), Ok(too_big_repr()));
}

#[test]
fn emit() {
    assert_eq!(emit_bytes(&echo_repr()), ECHO);
    assert_eq!(emit_bytes(&too_big_repr()), TOO_BIG);
}

#[test]
fn the_reply_mirrors_the_request() {
    let reply = echo_repr().echo_reply().unwrap();
    let bytes = emit_bytes(&reply);
    assert_eq!(bytes[0], 0);
    assert_eq!(bytes[4..], ECHO[4..]);
    assert_eq!(parse_bytes(&bytes), Ok(reply));
    assert_eq!(reply.echo_reply(), None, "a reply has no reply");
}

#[test]
fn unused_bits_are_ignored_and_never_sent() {
    let repr = Repr::TimeExceeded { code: 0, original: &[1, 2, 3, 4] };
    let clean = emit_bytes(&repr);
    assert_eq!(clean[4..8], [0; 4]);
    let mut noisy = clean.clone();
    noisy[4..8].fill(0xff);
    let mut packet = Packet::new_unchecked(&mut noisy[..]);
    packet.fill_checksum();
    assert_eq!(parse_bytes(&noisy), Ok(repr));
    assert_eq!(emit_bytes(&too_big_repr())[4..6], [0, 0]);
}

#[test]
fn odd_cases() {
    for len in 0..HEADER_LEN {
        assert_eq!(parse_bytes(&ECHO[..len]), Err(Error::Truncated));
    }
    assert_eq!(parse_bytes(&ECHO[..11]), Err(Error::BadChecksum));
    let sealed = |at: usize, value: u8| {
        let mut bytes = ECHO;
        bytes[at] = value;
        Packet::new_unchecked(&mut bytes[..]).fill_checksum();
        bytes
    };
    assert_eq!(parse_bytes(&sealed(1, 1)), Err(Error::BadHeader));
    assert_eq!(parse_bytes(&sealed(0, 13)), Err(Error::Unsupported));
    let expected = Repr::Unreachable { code: UnreachableCode(0), original: &ECHO[8..] };
    assert_eq!(parse_bytes(&sealed(0, 3)), Ok(expected));
    assert_eq!(Type(13).to_string(), "ICMP type 13");
    assert!(!Type::ECHO_REPLY.is_error() && Type::REDIRECT.is_error());
}
