use super::*;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const DESTINATION: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

static ECHO: [u8; 12] = [
    0x80, 0x00, 0x19, 0xb3, // echo request, checksum
    0x12, 0x34, 0xab, 0xcd, // ident, sequence
    0xaa, 0x00, 0x00, 0xff,
];

static TOO_BIG: [u8; 12] = [
    0x02, 0x00, 0x88, 0xdc, // packet too big, checksum
    0x00, 0x00, 0x05, 0xa4, // MTU
    0x60, 0x00, 0x12, 0x34, // the beginning of a packet
];

fn echo_repr() -> Repr<'static> {
    Repr::EchoRequest { ident: 0x1234, sequence: 0xabcd, data: &[0xaa, 0x00, 0x00, 0xff] }
}

fn too_big_repr() -> Repr<'static> {
    Repr::PacketTooBig { mtu: 1444, original: &TOO_BIG[8..] }
}

fn parse_bytes(bytes: &[u8]) -> Result<Repr<'_>, Error> {
    Repr::parse(&Packet::new_unchecked(bytes), SOURCE, DESTINATION)
}

fn emit_bytes(repr: &Repr<'_>) -> Vec<u8> {
    let mut bytes = vec![0xa5; repr.buffer_len()];
    repr.emit(&mut Packet::new_unchecked(&mut bytes), SOURCE, DESTINATION);
    bytes
}

#[test]
fn deconstruct() {
    let packet = Packet::new_checked(&ECHO[..]).unwrap();
    assert_eq!((packet.kind(), packet.code()), (Type::ECHO_REQUEST, 0));
    assert_eq!(packet.checksum(), 0x19b3);
    assert_eq!((packet.echo_ident(), packet.echo_sequence()), (0x1234, 0xabcd));
    assert_eq!(packet.payload(), &ECHO[8..]);
    assert!(packet.verify_checksum(SOURCE, DESTINATION));
    let packet = Packet::new_checked(&TOO_BIG[..]).unwrap();
    assert_eq!(packet.mtu(), 1444);
    assert!(packet.verify_checksum(SOURCE, DESTINATION));
}

#[test]
fn construct() {
    let mut bytes = vec![0xa5; 12];
    let mut packet = Packet::new_unchecked(&mut bytes);
    packet.set_kind_and_code(Type::ECHO_REQUEST, 0);
    packet.set_echo_ident(0x1234);
    packet.set_echo_sequence(0xabcd);
    packet.payload_mut().copy_from_slice(&ECHO[8..]);
    packet.fill_checksum(SOURCE, DESTINATION);
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
    assert_eq!(bytes[0], 129);
    assert_eq!(bytes[4..], ECHO[4..]);
    assert_eq!(parse_bytes(&bytes), Ok(reply));
    assert_eq!(reply.echo_reply(), None, "a reply has no reply");
}

#[test]
fn unused_bits_are_ignored_and_never_sent() {
    let repr = Repr::Unreachable { code: UnreachableCode::PORT, original: &[1, 2, 3, 4] };
    let clean = emit_bytes(&repr);
    assert_eq!(clean[4..8], [0; 4]);
    let mut noisy = clean.clone();
    noisy[4..8].fill(0xff);
    Packet::new_unchecked(&mut noisy[..]).fill_checksum(SOURCE, DESTINATION);
    assert_eq!(parse_bytes(&noisy), Ok(repr));
    let mut coded = TOO_BIG;
    coded[1] = 9;
    Packet::new_unchecked(&mut coded[..]).fill_checksum(SOURCE, DESTINATION);
    assert_eq!(parse_bytes(&coded), Ok(too_big_repr()));
}

#[test]
fn odd_cases() {
    for len in 0..HEADER_LEN {
        assert_eq!(parse_bytes(&ECHO[..len]), Err(Error::Truncated));
    }
    assert_eq!(parse_bytes(&ECHO[..11]), Err(Error::BadChecksum));
    let elsewhere = Repr::parse(&Packet::new_unchecked(&ECHO[..]), SOURCE, Ipv6Addr::LOCALHOST);
    assert_eq!(elsewhere, Err(Error::BadChecksum), "the addresses are part of the sum");
    let sealed = |at: usize, value: u8| {
        let mut bytes = ECHO;
        bytes[at] = value;
        Packet::new_unchecked(&mut bytes[..]).fill_checksum(SOURCE, DESTINATION);
        bytes
    };
    assert_eq!(parse_bytes(&sealed(1, 1)), Err(Error::BadHeader));
    assert_eq!(parse_bytes(&sealed(0, 135)), Err(Error::Unsupported));
    let expected = Repr::TimeExceeded { code: 0, original: &ECHO[8..] };
    assert_eq!(parse_bytes(&sealed(0, 3)), Ok(expected));
    assert_eq!(Type(200).to_string(), "ICMPv6 type 200");
    assert!(Type::NEIGHBOR_SOLICITATION.is_neighbor_discovery());
    assert!(!Type::ECHO_REPLY.is_neighbor_discovery() && !Type(138).is_neighbor_discovery());
}
