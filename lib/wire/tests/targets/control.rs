//! What must hold for each control message, whatever the bytes.

use sterna_wire::lisp::control::acx::{self, Acx};
use sterna_wire::lisp::control::auth::{self, Algorithm, AuthError, Coverage, Key};
use sterna_wire::lisp::control::{
    self, ControlError, Ecm, EidRecord, LispAddress, MAX_HEAP, MAX_TAIL, MapNotify, MapRegister, MapReply,
    MapRequest, Message,
};

/// Any control message, by its type.
pub fn parse_control(bytes: &[u8]) {
    match control::parse(bytes) {
        Ok(message) => {
            assert!(heap(&message) <= MAX_HEAP, "{} bytes kept", heap(&message));
            fix_point(bytes, &message);
        }
        Err(reason) => assert!(!reason.to_string().is_empty() && reason.index() < ControlError::COUNT),
    }
}

/// The same bytes as a Map-Request.
pub fn map_request(bytes: &[u8]) {
    as_type(1, bytes);
}

/// The same bytes as a Map-Reply.
pub fn map_reply(bytes: &[u8]) {
    as_type(2, bytes);
}

/// The same bytes as a Map-Register.
pub fn map_register(bytes: &[u8]) {
    as_type(3, bytes);
}

/// The same bytes as a Map-Notify and as a Map-Notify-Ack.
pub fn map_notify(bytes: &[u8]) {
    as_type(4, bytes);
    as_type(5, bytes);
}

/// The same bytes as an Info-Request.
pub fn info(bytes: &[u8]) {
    as_type(7, bytes);
}

/// The same bytes as an ECM, and as the packet in one.
pub fn ecm(bytes: &[u8]) {
    as_type(8, bytes);
    parse_control(&control::encapsulate_packet(bytes, false));
    let ends = ("10.2.0.5:4342".parse().unwrap(), "10.1.0.7:4342".parse().unwrap());
    if bytes.len() < 2000 {
        parse_control(&control::encapsulate(ends.0, ends.1, bytes));
    }
}

/// An EID or RLOC.
pub fn lisp_address(bytes: &[u8]) {
    let Ok((address, len)) = LispAddress::parse(bytes) else {
        return;
    };
    assert!(len <= bytes.len());
    assert!(address_heap(&address) <= MAX_HEAP);
    let _ = (address.eid(), address.rloc());
    let mut again = Vec::new();
    address.emit(&mut again);
    assert_eq!(again.len(), address.encoded_len());
    assert_eq!(LispAddress::parse(&again), Ok((address.clone(), again.len())));
    if let LispAddress::Opaque(kept) = &address {
        assert_eq!(kept[..], bytes[..len], "not a byte of it is ours to change");
    }
}

/// An ACX block: what reads is within its bounds and means the same after it was emitted and read again. Behind a
/// message it is a tail, whatever it is.
pub fn acx(bytes: &[u8]) {
    behind_a_message(bytes);
    let block = match Acx::find(bytes) {
        Ok(Some(block)) => block,
        Ok(None) => return assert!(bytes.is_empty()),
        Err(reason) => return assert!(!reason.to_string().is_empty()),
    };
    assert!(bytes.len() <= acx::MAX_LEN && block.constraints.len() <= 16);
    assert!(block.entries.len() + usize::from(block.duplicates) <= acx::MAX_TLVS);
    let _ = acx::hash_of(&block.constraints, block.limit);
    let again = block.bytes();
    assert!(again.len() <= bytes.len() && block.fits());
    assert_eq!(Acx::find(&again), Ok(Some(Acx { duplicates: 0, ..block })));
}

fn behind_a_message(tail: &[u8]) {
    let reply = MapReply { nonce: 7, tail: tail.to_vec(), ..MapReply::default() };
    match MapReply::parse(&reply.emit()) {
        Ok(read) => assert_eq!(read, reply),
        Err(reason) => assert_eq!((reason, tail.len() > MAX_TAIL), (ControlError::TooLarge, true)),
    }
}

/// Authentication data of any message: noise is never authentic, what we sign is.
pub fn control_auth(bytes: &[u8]) {
    for (id, algorithm) in [(1, Algorithm::HmacSha256_128), (0, Algorithm::HmacSha1_96)] {
        // A key that signs nothing: the fuzzer sees what is compared below and would put it into its next input.
        let never_used = Key::new(id, algorithm, b"no file of the corpus was made with this");
        for end in [0, 16, bytes.len() / 2, bytes.len(), usize::MAX] {
            assert!(auth::verify(bytes, end, &never_used).is_err());
            assert!(auth::verify_short(bytes, end, &never_used).is_err());
        }
        let key = Key::new(id, algorithm, b"secret");
        let mut message = bytes.to_vec();
        auth::sign(&mut message, &key);
        if message != bytes {
            assert_eq!(auth::verify(&message, message.len(), &key), Ok(Coverage::Whole));
            assert_eq!(auth::verify(&message, message.len(), &never_used), Err(AuthError::Mismatch));
        }
        signed(bytes, &key);
    }
}

/// A message that reads, signed, with bytes appended.
fn signed(bytes: &[u8], key: &Key) {
    let message = match control::parse(bytes) {
        Ok(Message::MapRegister(register)) => register.signed(key),
        Ok(Message::MapNotify(notify)) => notify.signed(key),
        _ => return,
    };
    let end = match control::parse(&message) {
        Ok(Message::MapRegister(register)) => register.records_end,
        Ok(Message::MapNotify(notify)) => notify.records_end,
        other => panic!("what we sign reads, but this is {other:?}"),
    };
    assert_eq!(auth::verify(&message, end, key), Ok(Coverage::Whole));
    let appended = [&message[..], b"appended"].concat();
    let expected = if end == message.len() { Ok(Coverage::RecordsOnly) } else { Err(AuthError::Mismatch) };
    assert_eq!(auth::verify(&appended, end, key), expected);
}

/// These bytes with the type of a message that we want to look into.
fn as_type(kind: u8, bytes: &[u8]) {
    let mut message = bytes.to_vec();
    if let Some(first) = message.first_mut() {
        *first = kind << 4 | *first & 0x0f;
    }
    parse_control(&message);
}

/// A message that was accepted means the same after it was emitted and read again.
fn fix_point(bytes: &[u8], message: &Message<'_>) {
    match message {
        Message::MapRequest(request) => {
            for record in &request.records {
                if let Some((_, prefix)) = record.prefix() {
                    assert_eq!(prefix.len(), record.mask_len);
                }
            }
            prefixes(request.map_reply.as_slice());
            assert_eq!(MapRequest::parse(&request.emit()).as_ref(), Ok(request));
        }
        Message::MapReply(reply) => {
            prefixes(&reply.records);
            assert_eq!(MapReply::parse(&reply.emit()).as_ref(), Ok(reply));
        }
        Message::MapRegister(register) => {
            assert!(register.records_end <= bytes.len());
            prefixes(&register.records);
            let again = MapRegister::parse(&register.emit()).unwrap();
            // Short authentication data becomes long, which moves the records.
            assert_eq!(&MapRegister { records_end: register.records_end, ..again.clone() }, register);
            assert_eq!(MapRegister::parse(&again.emit()), Ok(again));
        }
        Message::MapNotify(notify) => {
            assert!(notify.records_end <= bytes.len());
            prefixes(&notify.records);
            let again = MapNotify::parse(&notify.emit()).unwrap();
            assert_eq!(&MapNotify { records_end: notify.records_end, ..again.clone() }, notify);
            assert_eq!(MapNotify::parse(&again.emit()), Ok(again));
        }
        Message::Ecm(ecm) => {
            let again = control::encapsulate_packet(ecm.packet, ecm.ddt);
            assert_eq!(Ecm::parse(&again), Ok(Ecm { security: false, ..*ecm }));
            parse_control(ecm.message);
            let _ = ecm.map_request();
        }
        Message::Info(info) => drop(info.eid.eid()),
    }
}

/// A record's prefix, where it has one, is as long as its mask.
fn prefixes(records: &[EidRecord]) {
    for record in records {
        if let Some((_, prefix)) = record.prefix() {
            assert_eq!(prefix.len(), record.mask_len);
        }
    }
}

/// Bytes on the heap that a message keeps.
fn heap(message: &Message<'_>) -> usize {
    match message {
        Message::MapRequest(request) => {
            request.itr_rlocs.capacity() * size_of::<LispAddress>()
                + request.itr_rlocs.iter().map(address_heap).sum::<usize>()
                + request.records.capacity() * size_of::<control::RequestRecord>()
                + request.records.iter().map(|record| address_heap(&record.eid)).sum::<usize>()
                + request.map_reply.iter().map(record_heap).sum::<usize>()
                + address_heap(&request.source_eid)
                + request.tail.capacity()
        }
        Message::MapReply(reply) => records_heap(&reply.records) + reply.tail.capacity(),
        Message::MapRegister(register) => records_heap(&register.records) + register.tail.capacity(),
        Message::MapNotify(notify) => records_heap(&notify.records) + notify.tail.capacity(),
        Message::Ecm(_) => 0,
        Message::Info(info) => address_heap(&info.eid) + address_heap(&info.nat) + info.tail.capacity(),
    }
}

fn records_heap(records: &Vec<EidRecord>) -> usize {
    records.capacity() * size_of::<EidRecord>() + records.iter().map(record_heap).sum::<usize>()
}

fn record_heap(record: &EidRecord) -> usize {
    record.locators.capacity() * size_of::<control::LocatorRecord>()
        + record.locators.iter().map(|locator| address_heap(&locator.address)).sum::<usize>()
        + address_heap(&record.eid)
}

fn address_heap(address: &LispAddress) -> usize {
    match address {
        LispAddress::None | LispAddress::Ip(_) | LispAddress::Mac(_) => 0,
        LispAddress::Name(bytes) | LispAddress::Opaque(bytes) => bytes.capacity(),
        LispAddress::Instance { address, .. } => size_of::<LispAddress>() + address_heap(address),
        LispAddress::List(entries) => {
            entries.capacity() * size_of::<LispAddress>() + entries.iter().map(address_heap).sum::<usize>()
        }
    }
}
