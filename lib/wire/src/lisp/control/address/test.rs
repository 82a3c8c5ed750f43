use std::vec;
use std::vec::Vec;

use super::super::test::bytes;
use super::*;

/// Encodings and what they mean, with nothing left over.
fn known() -> Vec<(&'static str, LispAddress)> {
    let v4 = LispAddress::Ip([192, 0, 2, 1].into());
    let v6 = LispAddress::Ip("2001:db8::1".parse().unwrap());
    let instance = |address: &LispAddress| LispAddress::Instance {
        iid: 0xabcde,
        mask_len: 32,
        address: Box::new(address.clone()),
    };
    vec![
        ("0000", LispAddress::None),
        ("0001 c0000201", v4.clone()),
        ("0002 20010db8000000000000000000000001", v6.clone()),
        ("4005 025354000064", LispAddress::Mac(Mac([2, 0x53, 0x54, 0, 0, 0x64]))),
        ("0011 6167656e742d3700", LispAddress::Name(b"agent-7".to_vec())),
        ("0011 00", LispAddress::Name(vec![])),
        ("4003 0000 0220 000a 000abcde 0001 c0000201", instance(&v4)),
        ("4003 0000 0220 0016 000abcde 0002 20010db8000000000000000000000001", instance(&v6)),
        ("4003 0000 0220 0006 000abcde 0000", instance(&LispAddress::None)),
        ("4003 0000 0100 000d 0001 c0000201 0011 723100 0000", list_of_two(&v4)),
        ("4003 0000 0100 0000", LispAddress::List(vec![])),
    ]
}

fn list_of_two(first: &LispAddress) -> LispAddress {
    LispAddress::List(vec![first.clone(), LispAddress::Name(b"r1".to_vec()), LispAddress::None])
}

#[test]
fn encodings_and_back() {
    for (hex, expected) in known() {
        let encoding = bytes(hex);
        assert_eq!(LispAddress::parse(&encoding), Ok((expected.clone(), encoding.len())), "{hex}");
        let mut out = vec![0xa5];
        expected.emit(&mut out);
        assert_eq!(out[1..], encoding, "{hex}");
        assert_eq!(expected.encoded_len(), encoding.len(), "{hex}");
        let longer = [&encoding[..], &[0xee; 3]].concat();
        assert_eq!(LispAddress::parse(&longer), Ok((expected, encoding.len())), "{hex}");
    }
}

#[test]
fn every_cut_is_noticed() {
    for (hex, _) in known() {
        let encoding = bytes(hex);
        for len in 0..encoding.len() {
            assert!(LispAddress::parse(&encoding[..len]).is_err(), "{hex} cut to {len}");
        }
    }
}

#[test]
fn other_types_are_kept_byte_for_byte() {
    for kind in (0..=255u8).filter(|kind| !matches!(kind, 1 | 2)) {
        // Reserved and flag bytes set, too: what we do not understand we do not tidy up.
        let mut encoding = vec![0x40, 0x03, 0x11, 0x22, kind, 0x33, 0, 5];
        encoding.extend([9, 8, 7, 6, 5]);
        let expected = LispAddress::Opaque(encoding.clone());
        assert_eq!(LispAddress::parse(&encoding), Ok((expected.clone(), 13)));
        let mut out = vec![];
        expected.emit(&mut out);
        assert_eq!(out, encoding);
        encoding[7] = 6;
        assert_eq!(LispAddress::parse(&encoding), Err(ControlError::BadLcaf), "longer than what there is");
    }
}

#[test]
fn lengths_that_lie() {
    for (hex, reason) in [
        // An instance whose address ends before, and behind, what the length says.
        ("4003 0000 0220 000b 000abcde 0001 c0000201 00", ControlError::BadLcaf),
        ("4003 0000 0220 0009 000abcde 0001 c0000201", ControlError::BadLcaf),
        ("4003 0000 0220 0003 000abcde 0001 c0000201", ControlError::BadLcaf),
        // A list that ends inside an address, or inside a family.
        ("4003 0000 0100 0005 0001 c00002", ControlError::BadLcaf),
        ("4003 0000 0100 0001 00", ControlError::BadLcaf),
        // An inner LCAF that reaches out of the outer one.
        ("4003 0000 0220 000c 000abcde 4003 0000 0900 0001 aa", ControlError::BadLcaf),
        ("4003 0000 0220 000a 000abcde 0003 c0000201", ControlError::UnknownAfi),
        ("4003 0000 0220 0009 000abcde 0011 414141", ControlError::BadName),
        ("4003 0000 0900 03f9", ControlError::LcafTooLong),
        ("4003 0000 0900 ffff", ControlError::LcafTooLong),
        ("0003 00", ControlError::UnknownAfi),
        ("ffff", ControlError::UnknownAfi),
    ] {
        assert_eq!(LispAddress::parse(&bytes(hex)), Err(reason), "{hex}");
    }
}

#[test]
fn limits_of_length() {
    let mut longest = bytes("4003 0000 0900 03f8");
    longest.resize(1024, 7);
    assert_eq!(LispAddress::parse(&longest), Ok((LispAddress::Opaque(longest.clone()), 1024)));
    let name = |len: usize| [&[0, 17][..], &vec![b'a'; len], &[0]].concat();
    assert_eq!(LispAddress::parse(&name(254)).map(|(_, len)| len), Ok(257));
    assert_eq!(LispAddress::parse(&name(255)), Err(ControlError::BadName));
}

fn nested(depth: usize) -> LispAddress {
    (0..depth).fold(LispAddress::None, |address, _| LispAddress::Instance {
        iid: 1,
        mask_len: 0,
        address: Box::new(address),
    })
}

#[test]
fn limits_of_depth_and_number() {
    let encode = |address: &LispAddress| {
        let mut out = vec![];
        address.emit(&mut out);
        out
    };
    assert_eq!(LispAddress::parse(&encode(&nested(4))), Ok((nested(4), 4 * 12 + 2)));
    assert_eq!(LispAddress::parse(&encode(&nested(5))), Err(ControlError::TooDeep));
    let opaque = LispAddress::Opaque(bytes("4003 0000 0900 0000"));
    let list = (0..4).fold(opaque, |address, _| LispAddress::List(vec![address]));
    assert_eq!(LispAddress::parse(&encode(&list)), Err(ControlError::TooDeep), "unknown types count too");
    let many = |count: usize| LispAddress::List(vec![LispAddress::None; count]);
    assert_eq!(LispAddress::parse(&encode(&many(64))), Ok((many(64), 8 + 128)));
    assert_eq!(LispAddress::parse(&encode(&many(65))), Err(ControlError::ListTooLong));
}

#[test]
fn names_that_cannot_be_sent_are_cut() {
    for (name, sent) in [(&b"ab\0cd"[..], 2), (&[b'a'; 300], 254), (&[b'a'; 254], 254), (b"\0", 0)] {
        let address = LispAddress::Name(name.to_vec());
        let mut out = vec![];
        address.emit(&mut out);
        assert_eq!(out.len(), address.encoded_len());
        let expected = LispAddress::Name(name[..sent].to_vec());
        assert_eq!(LispAddress::parse(&out), Ok((expected, out.len())));
    }
}

#[test]
fn eids() {
    let ip: IpAddr = [10, 1, 0, 7].into();
    let seven = Iid::new(7).unwrap();
    for (address, expected) in [
        (LispAddress::for_eid(Iid::DEFAULT, ip), Some((Iid::DEFAULT, ip))),
        (LispAddress::for_eid(seven, ip), Some((seven, ip))),
        (LispAddress::None, None),
        (LispAddress::Mac(Mac([2; 6])), None),
        (LispAddress::Name(b"a".to_vec()), None),
        (LispAddress::List(vec![ip.into()]), None),
        (nested(1), None),
        (LispAddress::Instance { iid: 0x00ff_ffff, mask_len: 32, address: Box::new(ip.into()) }, None),
        (LispAddress::Instance { iid: 7, mask_len: 0, address: Box::new(ip.into()) }, Some((seven, ip))),
        (
            LispAddress::Instance {
                iid: 7,
                mask_len: 32,
                address: Box::new(LispAddress::for_eid(seven, ip)),
            },
            None,
        ),
    ] {
        assert_eq!(address.eid(), expected, "{address:?}");
    }
    assert_eq!(LispAddress::for_eid(Iid::DEFAULT, ip), LispAddress::Ip(ip), "bare, for peers without groups");
    assert!(matches!(LispAddress::for_eid(seven, ip), LispAddress::Instance { iid: 7, mask_len: 32, .. }));
}

#[test]
fn rlocs() {
    let (a, b): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), "2001:db8::1".parse().unwrap());
    assert_eq!(LispAddress::Ip(b).rloc(), Some(b));
    let named = LispAddress::List(vec![LispAddress::Name(b"r1".to_vec()), a.into(), b.into()]);
    assert_eq!(named.rloc(), Some(a));
    assert_eq!(LispAddress::List(vec![LispAddress::None]).rloc(), None);
    assert_eq!(LispAddress::None.rloc(), None);
    assert_eq!(LispAddress::for_eid(Iid::new(7).unwrap(), a).rloc(), None);
}
