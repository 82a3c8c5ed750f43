//! What holds for every control message: noise panics nobody and costs little, `parse` gives back what `emit` wrote,
//! what we do not understand is not changed, and what a key did not make is not authentic.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod strategies;
mod targets;

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sterna_wire::lisp::control::acx::{self, Acx};
use sterna_wire::lisp::control::auth::{self, Algorithm, AuthError, Coverage, Key};
use sterna_wire::lisp::control::{
    self, Ecm, LispAddress, MapNotify, MapRegister, MapReply, MapRequest, Message,
};
use strategies::control as any_control;

fn key() -> impl Strategy<Value = Key> {
    let algorithm = select(vec![Algorithm::HmacSha1_96, Algorithm::HmacSha256_128]);
    (any::<u8>(), algorithm, vec(any::<u8>(), 0..100))
        .prop_map(|(id, algorithm, secret)| Key::new(id, algorithm, &secret))
}

fn all_targets(bytes: &[u8]) {
    targets::control::parse_control(bytes);
    targets::control::map_request(bytes);
    targets::control::map_reply(bytes);
    targets::control::map_register(bytes);
    targets::control::map_notify(bytes);
    targets::control::info(bytes);
    targets::control::ecm(bytes);
    targets::control::lisp_address(bytes);
    targets::control::control_auth(bytes);
    targets::control::acx(bytes);
}

proptest! {
    #[test]
    fn noise_panics_nobody(bytes in vec(any::<u8>(), 0..300)) {
        all_targets(&bytes);
    }

    /// Families that exist, so that the noise gets further.
    #[test]
    fn noise_of_known_families_panics_nobody(
        head in any::<[u8; 12]>(),
        words in vec(select(vec![0u16, 1, 2, 17, 0x4003, 0x4005, 0x0220, 0x0100, 8, 0x0a00]), 0..120),
    ) {
        let mut bytes = head.to_vec();
        bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        all_targets(&bytes);
    }

    #[test]
    fn damaged_messages_panic_nobody(
        mut bytes in any_control::message(),
        damage in vec((any::<Index>(), any::<u8>()), 0..6),
        keep in any::<Index>(),
        cut: bool,
    ) {
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        all_targets(&bytes);
    }

    #[test]
    fn address_round_trip(address in any_control::address()) {
        let mut bytes = Vec::new();
        address.emit(&mut bytes);
        prop_assert_eq!(bytes.len(), address.encoded_len());
        prop_assert_eq!(LispAddress::parse(&bytes), Ok((address, bytes.len())));
    }

    #[test]
    fn acx_round_trip(block in any_control::acx()) {
        let bytes = block.bytes();
        prop_assert!(bytes.len() <= acx::MAX_LEN && bytes.len() % 4 == 0);
        prop_assert_eq!(Acx::find(&bytes), Ok(Some(block)));
        targets::control::acx(&bytes);
    }

    /// Whoever does not know the order of the constraints computes the same hash.
    #[test]
    fn equal_questions_have_equal_hashes(block in any_control::acx(), turn: Index) {
        let mut turned = block.constraints.clone();
        if !turned.is_empty() {
            turned.rotate_left(turn.index(block.constraints.len()));
        }
        let hash = acx::hash_of(&block.constraints, block.limit);
        prop_assert_eq!(acx::hash_of(&turned, block.limit), hash);
        prop_assert_eq!(hash.is_none(), block.constraints.is_empty() && block.limit.is_none());
    }

    /// However a block is cut or damaged, the message that carries it says what it said.
    #[test]
    fn no_block_costs_its_message(
        block in any_control::acx(),
        register in any_control::map_register(),
        request in any_control::map_request(),
        notify in any_control::map_notify(),
        reply in any_control::map_reply(),
        damage in vec((any::<Index>(), any::<u8>()), 0..6),
        oversized: bool,
    ) {
        let mut tail = block.bytes();
        for (at, value) in damage {
            let at = at.index(tail.len());
            tail[at] = value;
        }
        if oversized {
            tail.resize(acx::MAX_LEN + 4, 0);
        }
        for end in 0..=tail.len() {
            let tail = tail[..end].to_vec();
            if end > 0 && end < tail.len() {
                prop_assert!(Acx::find(&tail).is_err());
            }
            let _ = Acx::find(&tail);
            let reply = MapReply { tail: tail.clone(), ..reply.clone() };
            prop_assert_eq!(MapReply::parse(&reply.emit()), Ok(reply));
            let request = MapRequest { tail: tail.clone(), ..request.clone() };
            prop_assert_eq!(MapRequest::parse(&request.emit()), Ok(request));
            let register = MapRegister { tail: tail.clone(), ..register.clone() };
            prop_assert_eq!(MapRegister::parse(&register.emit()), Ok(register));
            let notify = MapNotify { tail, ..notify.clone() };
            prop_assert_eq!(MapNotify::parse(&notify.emit()), Ok(notify));
        }
    }

    /// Noise behind a good header gets further.
    #[test]
    fn noise_in_a_block_panics_nobody(
        tlvs in vec((0x00..0x90u8, any::<u8>(), vec(any::<u8>(), 0..24)), 0..40),
        flags: u8,
        seq: u32,
    ) {
        let mut bytes = Acx { seq, ..Acx::default() }.bytes();
        bytes[13] = flags;
        for (kind, flags, value) in tlvs {
            bytes.extend([kind, flags, 0, value.len() as u8]);
            bytes.extend(&value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let len = (bytes.len() - 8) as u16;
        bytes[6..8].copy_from_slice(&len.to_be_bytes());
        all_targets(&bytes);
    }

    #[test]
    fn map_request_round_trip(message in any_control::map_request()) {
        let bytes = message.emit();
        prop_assert_eq!(control::parse(&bytes), Ok(Message::MapRequest(message)));
    }

    #[test]
    fn map_reply_round_trip(message in any_control::map_reply()) {
        let bytes = message.emit();
        prop_assert_eq!(control::parse(&bytes), Ok(Message::MapReply(message)));
    }

    #[test]
    fn map_register_round_trip(message in any_control::map_register()) {
        let bytes = message.emit();
        prop_assert_eq!(control::parse(&bytes), Ok(Message::MapRegister(message)));
    }

    #[test]
    fn map_notify_round_trip(message in any_control::map_notify()) {
        let bytes = message.emit();
        prop_assert_eq!(control::parse(&bytes), Ok(Message::MapNotify(message)));
    }

    #[test]
    fn ecm_round_trip(message in any_control::encapsulated(), v6: bool, ports: (u16, u16), ddt: bool) {
        let (from, to) = if v6 { ("2001:db8::5", "2001:db8::7") } else { ("10.2.0.5", "10.1.0.7") };
        let from = SocketAddr::new(from.parse().unwrap(), ports.0);
        let to = SocketAddr::new(to.parse().unwrap(), ports.1);
        let bytes = control::encapsulate(from, to, &message);
        let ecm = Ecm::parse(&bytes).unwrap();
        prop_assert_eq!((ecm.source, ecm.destination, ecm.message), (from, to, &message[..]));
        let passed_on = control::encapsulate_packet(ecm.packet, ddt);
        prop_assert_eq!(Ecm::parse(&passed_on), Ok(Ecm { ddt, ..ecm }));
        prop_assert_eq!(&passed_on[4..], &bytes[4..]);
    }

    #[test]
    fn what_we_do_not_understand_is_not_changed(
        opaque in any_control::opaque(),
        mut reply in any_control::map_reply(),
        record in any_control::record(),
        locator in any_control::locator(),
    ) {
        let LispAddress::Opaque(encoding) = opaque.clone() else { panic!("the strategy makes nothing else") };
        reply.records.push(control::EidRecord {
            eid: opaque.clone(),
            locators: vec![control::LocatorRecord { address: opaque, ..locator }],
            ..record
        });
        let parsed = MapReply::parse(&reply.emit()).unwrap();
        let last = parsed.records.last().unwrap();
        prop_assert_eq!(&last.eid, &LispAddress::Opaque(encoding.clone()));
        prop_assert_eq!(&last.locators[0].address, &LispAddress::Opaque(encoding.clone()));
        let emitted = parsed.emit();
        let copies = emitted.windows(encoding.len()).filter(|window| *window == encoding).count();
        prop_assert!(copies >= 2);
    }

    #[test]
    fn what_a_key_made_is_authentic_and_nothing_else(
        message in any_control::map_register(),
        key in key(),
        flip in any::<Index>(),
        bit in 0..8u8,
    ) {
        let bytes = message.signed(&key);
        let end = MapRegister::parse(&bytes).unwrap().records_end;
        prop_assert_eq!(auth::verify(&bytes, end, &key), Ok(Coverage::Whole));
        let mut changed = bytes.clone();
        changed[flip.index(bytes.len())] ^= 1 << bit;
        prop_assert!(auth::verify(&changed, end, &key).is_err());
        let other = Key::new(key.id, key.algorithm, b"another secret");
        prop_assert_eq!(auth::verify(&bytes, end, &other), Err(AuthError::Mismatch));
    }

    #[test]
    fn what_is_appended_is_not_authentic(
        message in any_control::map_notify(),
        key in key(),
        appended in vec(any::<u8>(), 1..50),
    ) {
        let message = MapNotify { xtr: None, tail: Vec::new(), ..message };
        let mut bytes = message.signed(&key);
        let end = bytes.len();
        bytes.extend(&appended);
        prop_assert_eq!(auth::verify(&bytes, end, &key), Ok(Coverage::RecordsOnly));
        prop_assert_eq!(MapNotify::parse(&bytes).unwrap().tail, appended);
    }

    #[test]
    fn a_tail_never_makes_a_message_fail(message in any_control::map_request(), tail in vec(any::<u8>(), 0..10_000)) {
        let plain = MapRequest { tail: Vec::new(), ..message };
        let bytes = [plain.emit(), tail.clone()].concat();
        let parsed = MapRequest::parse(&bytes).unwrap();
        let kept = if tail.len() > control::MAX_TAIL { Vec::new() } else { tail };
        prop_assert_eq!(parsed, MapRequest { tail: kept, ..plain });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The largest datagram, filled with whatever costs most.
    #[test]
    fn no_message_costs_more_than_it_may(
        kind in 1..9u8,
        count: u8,
        unit in select(vec![
            &[0u8, 0][..],
            &[0, 0, 0, 1, 255, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 0, 0, 0, 0],
            &[0x40, 3, 0, 0, 1, 0, 0, 0],
            &[0x40, 3, 0, 0, 1, 0, 0, 128],
            &[0x40, 3, 0, 0, 2, 32, 0, 6, 0, 0, 0, 1, 0, 0],
            &[0, 17, 65, 0],
        ]),
    ) {
        let mut bytes = vec![kind << 4, 0, 0x1f, count, 1, 2, 3, 4, 5, 6, 7, 8];
        while bytes.len() < 65_507 - unit.len() {
            bytes.extend(unit);
        }
        targets::control::parse_control(&bytes);
    }
}
