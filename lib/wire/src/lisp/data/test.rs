use super::*;
use std::string::ToString;
use std::vec;

/// IID 7, L set, status bits 0x03, and the start of an IPv4 packet.
static INSTANCE: [u8; 12] = [0x48, 0, 0, 0, 0, 0, 7, 3, 0x45, 0, 0, 20];
/// Nonce 0x123456 to be echoed.
static NONCE: [u8; 8] = [0xa0, 0x12, 0x34, 0x56, 0, 0, 0, 0];
/// Map-versions 1 and 2.
static VERSIONS: [u8; 8] = [0x10, 0x00, 0x10, 0x02, 0, 0, 0, 0];

fn instance_repr() -> Repr {
    Repr { instance: Instance::Id(Iid::new(7).unwrap()), status: Some(3), ..Repr::default() }
}

fn nonce_repr() -> Repr {
    Repr { tag: Tag::Nonce { nonce: 0x12_3456, echo: true }, ..Repr::default() }
}

fn versions_repr() -> Repr {
    Repr { tag: Tag::Versions { source: 1, destination: 2 }, ..Repr::default() }
}

fn parse_bytes(bytes: &[u8]) -> Result<Repr, Error> {
    Repr::parse(&Packet::new_unchecked(bytes))
}

fn emit_bytes(repr: &Repr) -> [u8; 8] {
    let mut bytes = [0xa5; 8];
    repr.emit(&mut Packet::new_unchecked(&mut bytes[..]));
    bytes
}

#[test]
fn deconstruct() {
    let packet = Packet::new_checked(&INSTANCE[..]).unwrap();
    assert_eq!(packet.flags(), 0x48);
    assert!(packet.has_instance() && packet.has_status());
    assert!(!packet.has_nonce() && !packet.has_versions() && !packet.wants_echo() && !packet.is_gpe());
    assert_eq!(packet.key_id(), 0);
    assert_eq!((packet.raw_iid(), packet.status()), (7, Some(3)));
    assert_eq!((packet.nonce(), packet.versions(), packet.next_protocol()), (None, None, None));
    assert_eq!(packet.payload(), &INSTANCE[8..]);
    assert_eq!(packet.inner_family(), Ok(Family::V4));

    let packet = Packet::new_checked(&NONCE[..]).unwrap();
    assert_eq!((packet.nonce(), packet.wants_echo()), (Some(0x12_3456), true));
    let packet = Packet::new_checked(&VERSIONS[..]).unwrap();
    assert_eq!(packet.versions(), Some((1, 2)));
}

#[test]
fn construct() {
    let mut bytes = vec![0xa5; 12];
    let mut packet = Packet::new_unchecked(&mut bytes);
    packet.set_flags(FLAG_STATUS | FLAG_INSTANCE);
    packet.set_tag(0);
    packet.set_second_word(3);
    packet.set_iid(Iid::new(7).unwrap());
    packet.payload_mut().copy_from_slice(&INSTANCE[8..]);
    assert_eq!(packet.into_inner(), &INSTANCE);
}

#[test]
fn parse() {
    assert_eq!(parse_bytes(&INSTANCE), Ok(instance_repr()));
    assert_eq!(parse_bytes(&NONCE), Ok(nonce_repr()));
    assert_eq!(parse_bytes(&VERSIONS), Ok(versions_repr()));
    assert_eq!(parse_bytes(&[0; 8]), Ok(Repr::default()));
}

#[test]
fn emit() {
    assert_eq!(emit_bytes(&instance_repr()), INSTANCE[..8]);
    assert_eq!(emit_bytes(&nonce_repr()), NONCE);
    assert_eq!(emit_bytes(&versions_repr()), VERSIONS);
    assert_eq!(emit_bytes(&Repr::default()), [0; 8]);
    assert_eq!(instance_repr().buffer_len(), 8);
}

#[test]
fn too_short() {
    for len in 0..HEADER_LEN {
        assert_eq!(parse_bytes(&INSTANCE[..len]), Err(Error::Truncated));
    }
    assert_eq!(Packet::new_unchecked(&INSTANCE[..8]).inner_family(), Err(Error::Truncated));
}

#[test]
fn unmeant_bits_are_ignored_and_never_sent() {
    // No N, no V: the tag is noise. No L, no I: the second word is.
    assert_eq!(parse_bytes(&[0, 9, 9, 9, 9, 9, 9, 9]), Ok(Repr::default()));
    // E without N means nothing.
    assert_eq!(parse_bytes(&[FLAG_ECHO, 0, 0, 0, 0, 0, 0, 0]), Ok(Repr::default()));
    // I without L: the low 8 bits are noise.
    let mut no_status = INSTANCE;
    no_status[0] = FLAG_INSTANCE;
    let parsed = parse_bytes(&no_status).unwrap();
    assert_eq!((parsed.instance, parsed.status), (instance_repr().instance, None));
    assert_eq!(emit_bytes(&parsed)[7], 0);
}

#[test]
fn status_bits_have_two_widths() {
    let wide = [FLAG_STATUS, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef];
    let parsed = parse_bytes(&wide).unwrap();
    assert_eq!((parsed.instance, parsed.status), (Instance::Absent, Some(0xdead_beef)));
    assert_eq!(emit_bytes(&parsed), wide);
    // Beside an instance-ID only ordinals 0 to 7 can be told; the others must not leak into the IID.
    let narrowed = emit_bytes(&Repr { status: Some(0xdead_beef), ..instance_repr() });
    assert_eq!(narrowed[4..], [0, 0, 7, 0xef]);
}

#[test]
fn nonce_wins_over_versions() {
    let both = [FLAG_NONCE | FLAG_VERSIONS, 0x12, 0x34, 0x56, 0, 0, 0, 0];
    let expected = Tag::Nonce { nonce: 0x12_3456, echo: false };
    assert_eq!(parse_bytes(&both).unwrap().tag, expected);
    assert_eq!(Packet::new_unchecked(&both[..]).versions(), None);
}

#[test]
fn fields_too_wide_are_cut() {
    let nonce = Repr { tag: Tag::Nonce { nonce: u32::MAX, echo: false }, ..Repr::default() };
    assert_eq!(emit_bytes(&nonce), [FLAG_NONCE, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let versions = Tag::Versions { source: 0xf001, destination: 0xf002 };
    let versions = Repr { tag: versions, key_id: 0xff, ..Repr::default() };
    assert_eq!(emit_bytes(&versions), [FLAG_VERSIONS | 3, 0x00, 0x10, 0x02, 0, 0, 0, 0]);
}

#[test]
fn instances() {
    assert_eq!(Instance::Absent.iid(), Some(Iid::DEFAULT));
    assert_eq!(instance_repr().instance.iid(), Iid::new(7));
    let control = [FLAG_INSTANCE, 0, 0, 0, 0xff, 0xff, 0xff, 0];
    let parsed = parse_bytes(&control).unwrap();
    assert_eq!((parsed.instance, parsed.instance.iid()), (Instance::Control, None));
    assert_eq!(emit_bytes(&parsed), control);
    let zero = [FLAG_INSTANCE, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(parse_bytes(&zero).unwrap().instance, Instance::Id(Iid::DEFAULT));
}

#[test]
fn gpe_shares_the_tag() {
    let nonce = [FLAG_NONCE | FLAG_GPE, 0x12, 0x34, 3, 0, 0, 0, 0];
    let parsed = parse_bytes(&nonce).unwrap();
    assert_eq!(parsed.tag, Tag::Nonce { nonce: 0x1234, echo: false });
    assert_eq!(parsed.next_protocol, Some(NextProtocol::ETHERNET));
    assert_eq!(emit_bytes(&parsed), nonce);
    let versions = [FLAG_VERSIONS | FLAG_GPE, 0x12, 0x34, 2, 0, 0, 0, 0];
    let parsed = parse_bytes(&versions).unwrap();
    assert_eq!(parsed.tag, Tag::Versions { source: 0x12, destination: 0x34 });
    assert_eq!(emit_bytes(&parsed), versions);
    let bare = [FLAG_GPE, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(emit_bytes(&parse_bytes(&bare).unwrap()), bare);
    assert_eq!(NextProtocol(9).to_string(), "next protocol 9");
}

#[test]
fn inner_family() {
    let family = |flags, next, first| {
        let bytes = [flags, 0, 0, next, 0, 0, 0, 0, first];
        Packet::new_unchecked(&bytes[..]).inner_family()
    };
    assert_eq!(family(0, 0, 0x45), Ok(Family::V4));
    assert_eq!(family(0, 0, 0x60), Ok(Family::V6));
    assert_eq!(family(0, 3, 0x60), Ok(Family::V6), "without P the byte means nothing");
    assert_eq!(family(0, 0, 0x50), Err(Error::BadVersion));
    assert_eq!(family(FLAG_GPE, 1, 0x45), Ok(Family::V4));
    assert_eq!(family(FLAG_GPE, 2, 0x60), Ok(Family::V6));
    assert_eq!(family(FLAG_GPE, 1, 0x60), Err(Error::BadVersion));
    assert_eq!(family(FLAG_GPE, 2, 0x45), Err(Error::BadVersion));
    assert_eq!(family(FLAG_GPE, 3, 0x45), Err(Error::Unsupported));
    assert_eq!(family(FLAG_GPE, 0, 0x45), Ok(Family::V4), "a set reserved bit, not GPE");
}
