use std::format;
use std::vec;

use super::super::test::{REGISTER_SHA1, REGISTER_SHA256, bytes};
use super::super::{MapNotify, MapRegister};
use super::*;

fn sha1() -> Key {
    Key::new(0, Algorithm::HmacSha1_96, b"secret")
}

fn sha256() -> Key {
    Key::new(1, Algorithm::HmacSha256_128, b"secret")
}

#[test]
fn every_changed_byte_is_noticed() {
    for (golden, end, key) in [(REGISTER_SHA1, 64, sha1()), (REGISTER_SHA256, 76, sha256())] {
        let whole = bytes(golden);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(verify(&changed, end, &key).is_err(), "byte {at}");
        }
        assert_eq!(verify(&whole, end, &key), Ok(Coverage::Whole));
    }
}

#[test]
fn another_key_is_told_from_a_wrong_one() {
    let message = bytes(REGISTER_SHA256);
    let wrong = Key::new(1, Algorithm::HmacSha256_128, b"Secret");
    assert_eq!(verify(&message, 76, &wrong), Err(AuthError::Mismatch));
    let padded = Key::new(1, Algorithm::HmacSha256_128, b"secret\n");
    assert_eq!(verify(&message, 76, &padded), Err(AuthError::Mismatch));
    let other = Key { id: 2, ..sha256() };
    assert_eq!(verify(&message, 76, &other), Err(AuthError::KeyId));
    assert_eq!(verify(&message, 76, &Key { id: 1, ..sha1() }), Err(AuthError::Algorithm));
}

#[test]
fn no_algorithm_is_never_authentic() {
    let message = MapRegister::default().emit();
    assert_eq!(message.len(), 16);
    let none = Key::new(0, Algorithm::None, b"secret");
    assert_eq!(verify(&message, 16, &none), Err(AuthError::NoAlgorithm));
    assert_eq!(verify_short(&message, 16, &none), Err(AuthError::NoAlgorithm));
    assert_eq!(verify(&message, 16, &sha1()), Err(AuthError::Algorithm));
}

#[test]
fn short_data_only_when_asked_for() {
    for (algorithm, len) in [(Algorithm::HmacSha1_96, 12), (Algorithm::HmacSha256_128, 16)] {
        let key = Key::new(9, algorithm, b"secret");
        // The MAC of a message with a short field, made by hand: zeros of the short length are covered.
        let mut message = bytes("30000000 1122334455667788 0900 0000");
        message[13] = algorithm as u8;
        message[15] = len;
        message.resize(16 + usize::from(len), 0);
        let data = match algorithm {
            Algorithm::HmacSha1_96 => {
                let mac = <Hmac<Sha1> as KeyInit>::new_from_slice(b"secret").unwrap();
                mac.chain_update(&message).finalize().into_bytes().to_vec()
            }
            _ => {
                let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"secret").unwrap();
                mac.chain_update(&message).finalize().into_bytes().to_vec()
            }
        };
        message[16..].copy_from_slice(&data[..usize::from(len)]);
        assert_eq!(verify_short(&message, message.len(), &key), Ok(Coverage::Whole));
        assert_eq!(verify(&message, message.len(), &key), Err(AuthError::Length));
        message[16] ^= 0x80;
        assert_eq!(verify_short(&message, message.len(), &key), Err(AuthError::Mismatch));
        assert!(MapRegister::parse(&message).is_ok(), "well formed in any case");
    }
}

#[test]
fn no_data_at_all_matches_no_key() {
    // A length of zero would compare nothing with nothing.
    let mut message = bytes(REGISTER_SHA1);
    message[15] = 0;
    message.drain(16..36);
    assert_eq!(verify(&message, message.len(), &sha1()), Err(AuthError::Length));
    assert_eq!(verify_short(&message, message.len(), &sha1()), Err(AuthError::Length));
}

#[test]
fn a_tail_is_authentic_only_when_covered() {
    let covered = MapNotify { tail: vec![7; 30], ..MapNotify::default() }.signed(&sha256());
    let end = 16 + 32;
    assert_eq!(verify(&covered, end, &sha256()), Ok(Coverage::Whole));
    let appended = [MapNotify::default().signed(&sha256()), vec![7; 30]].concat();
    assert_eq!(verify(&appended, end, &sha256()), Ok(Coverage::RecordsOnly));
    assert_eq!(verify(&appended, end + 1, &sha256()), Err(AuthError::Mismatch));
    let mut changed = covered;
    *changed.last_mut().unwrap() = 8;
    assert_eq!(verify(&changed, end, &sha256()), Err(AuthError::Mismatch));
}

#[test]
fn an_absurd_end_of_the_records_is_no_trouble() {
    let message = [bytes(REGISTER_SHA1), vec![7]].concat();
    for end in [0, 15, 16, 35, 36, 65, 66, usize::MAX] {
        assert_eq!(verify(&message, end, &sha1()), Err(AuthError::Mismatch), "{end}");
    }
}

#[test]
fn messages_without_authentication() {
    for message in [&b""[..], &[0x30], &[0x30; 15], &bytes("10000001112233445566778800010a020005")] {
        assert_eq!(verify(message, message.len(), &sha1()), Err(AuthError::Missing));
        let mut same = message.to_vec();
        sign(&mut same, &sha1());
        assert_eq!(same, message);
    }
    let mut cut = bytes(REGISTER_SHA1);
    cut.truncate(35);
    assert_eq!(verify(&cut, 35, &sha1()), Err(AuthError::Missing));
}

#[test]
fn a_field_of_another_length_is_not_signed() {
    let mut message = MapRegister { algorithm: 1, ..MapRegister::default() }.emit();
    let before = message.clone();
    sign(&mut message, &sha256());
    assert_eq!(message, before);
    let message = MapRegister { algorithm: 1, ..MapRegister::default() }.signed(&sha256());
    assert_eq!(message[12..16], [1, 2, 0, 32], "the key decides");
    assert_eq!(verify(&message, 48, &sha256()), Ok(Coverage::Whole));
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", Key::new(3, Algorithm::HmacSha256_128, b"hidden"));
    assert_eq!(shown, "Key { id: 3, algorithm: HmacSha256_128, .. }");
}

#[test]
fn no_two_reasons_share_a_sentence() {
    use std::string::ToString;
    let sentences: std::collections::HashSet<_> = AuthError::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(sentences.len(), AuthError::ALL.len());
    for (index, reason) in AuthError::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, index);
    }
}

/// RFC 2202 case 2 and RFC 4231 case 2: the key "Jefe", to show that it is HMAC and nothing of our own.
#[test]
fn published_hmacs() {
    let text = b"what do ya want for nothing?";
    let mac = <Hmac<Sha1> as KeyInit>::new_from_slice(b"Jefe").unwrap();
    let data = mac.chain_update(text).finalize().into_bytes();
    assert_eq!(data[..], bytes("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"Jefe").unwrap();
    let data = mac.chain_update(text).finalize().into_bytes();
    assert_eq!(data[..], bytes("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
}
