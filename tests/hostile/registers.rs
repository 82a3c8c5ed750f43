//! Map-Registers that are forged, replayed, or claim what is not theirs.

use sterna_wire::lisp::control::auth::{Algorithm, Key};
use sterna_wire::lisp::control::{EidRecord, MapRegister};

use crate::case::{Case, NOTIFY, to_server};
use crate::world::*;

pub fn cases() -> Vec<Case> {
    [forged(), replayed(), claimed(), tails()].into_iter().flatten().collect()
}

/// The register that would be right: one more host of site B.
fn right() -> MapRegister {
    register(8, vec![mapping("10.1.2.9/32", &[PEER])])
}

fn unregistered(case: Case) -> Case {
    case.then("nothing is registered", |world| !world.registered("10.1.2.9/32"))
        .then("nothing is saved", |world| world.server.take_saves().is_empty())
}

fn signed_by(id: u8, algorithm: Algorithm, secret: &'static [u8]) -> impl Fn(&mut World) -> Vec<u8> {
    move |_| right().signed(&Key::new(id, algorithm, secret))
}

fn forged() -> Vec<Case> {
    let sha256 = Algorithm::HmacSha256_128;
    let with_auth_len = |len: u16| {
        move |_: &mut World| {
            let mut bytes = right().signed(&key_b());
            bytes[14..16].copy_from_slice(&len.to_be_bytes());
            bytes
        }
    };
    [
        to_server(19, "a register by a guessed key", signed_by(2, sha256, b"guessed"))
            .counts(&["server.auth_data"]),
        to_server(19, "a register by the key of another site", signed_by(2, sha256, b"secret of a.key"))
            .counts(&["server.auth_data"]),
        to_server(19, "a register by a key id that nobody has", signed_by(77, sha256, b"secret of b.key"))
            .counts(&["server.auth_key"]),
        to_server(19, "a register with the key's id and another algorithm", |world| {
            signed_by(2, Algorithm::HmacSha1_96, b"secret of b.key")(world)
        })
        .counts(&["server.auth_key"]),
        to_server(19, "a register without authentication", signed_by(2, Algorithm::None, b""))
            .counts(&["server.auth_algorithm"]),
        to_server(19, "a register with one bit of its records flipped", |_| {
            let mut bytes = right().signed(&key_b());
            // The last byte of the last locator.
            let at = bytes.len() - 25;
            bytes[at] ^= 1;
            bytes
        })
        .counts(&["server.auth_data"]),
        to_server(20, "authentication data one byte short", with_auth_len(31))
            .counts(&["dispatch.auth_length"]),
        to_server(20, "authentication data of the other algorithm's length", with_auth_len(20))
            .counts(&["dispatch.auth_length"]),
        to_server(20, "authentication data longer than the message", with_auth_len(0x4000))
            .counts(&["dispatch.auth_length"]),
    ]
    .map(unregistered)
    .into()
}

fn replayed() -> Vec<Case> {
    let withdrawn_meanwhile = |world: &mut World| {
        let bytes = right().signed(&key_b());
        let gone = EidRecord { ttl: 0, ..mapping("10.1.2.9/32", &[PEER]) };
        let later = register(9, vec![gone]).signed(&key_b());
        for message in [&bytes, &later] {
            world.server.datagram(message, at(PEER), ip(SERVER), world.now);
        }
        world.server.take_saves();
        bytes
    };
    let anonymous = |world: &mut World| {
        let bytes = MapRegister { xtr: None, ..right() }.signed(&key_b());
        world.server.datagram(&bytes, at(PEER), ip(SERVER), world.now);
        world.server.take_saves();
        bytes
    };
    vec![
        unregistered(
            to_server(21, "a register that was withdrawn since, once more", withdrawn_meanwhile)
                .counts(&["server.replayed"]),
        ),
        unregistered(
            to_server(21, "the same from another address", withdrawn_meanwhile)
                .from(STRANGER)
                .counts(&["server.replayed"]),
        ),
        unregistered(
            to_server(21, "a register with an older nonce", |_| {
                register(6, vec![mapping("10.1.2.9/32", &[PEER])]).signed(&key_b())
            })
            .counts(&["server.replayed"]),
        ),
        to_server(21, "an exact repetition by somebody without an xTR-ID", anonymous)
            .counts(&["server.repeated"])
            .then("nothing is saved", |world| world.server.take_saves().is_empty()),
    ]
}

fn claimed() -> Vec<Case> {
    let registers =
        |records: fn() -> Vec<EidRecord>| move |_: &mut World| register(8, records()).signed(&key_b());
    vec![
        unregistered_foreign(
            to_server(
                22,
                "a prefix of another site under a valid key",
                registers(|| vec![mapping("10.1.1.9/32", &[STRANGER])]),
            )
            .counts(&["server.registers", "server.record_foreign"]),
        ),
        unregistered_foreign(
            to_server(
                22,
                "the same beside one of its own",
                registers(|| vec![mapping("10.1.1.9/32", &[STRANGER]), mapping("10.1.2.9/32", &[PEER])]),
            )
            .counts(&[
                "server.registers",
                "server.record_foreign",
                "server.records",
                "server.changes",
                "server.notifies",
            ])
            .answers(&[(NOTIFY, PEER)])
            .then("its own is registered", |world| world.registered("10.1.2.9/32")),
        ),
        unregistered_foreign(
            to_server(22, "a prefix around its own", registers(|| vec![mapping("10.1.0.0/16", &[STRANGER])]))
                .counts(&["server.registers", "server.record_foreign"]),
        ),
        to_server(
            23,
            "a valid record and one with an impossible mask",
            registers(|| {
                vec![
                    EidRecord { mask_len: 33, ..mapping("10.1.2.8/32", &[PEER]) },
                    mapping("10.1.2.9/32", &[PEER]),
                ]
            }),
        )
        .counts(&[
            "server.registers",
            "server.record_eid_not_ip",
            "server.records",
            "server.changes",
            "server.notifies",
        ])
        .answers(&[(NOTIFY, PEER)])
        .then("the valid one is registered", |world| world.registered("10.1.2.9/32")),
        to_server(
            11,
            "a record with an impossible mask alone",
            registers(|| vec![EidRecord { mask_len: 33, ..mapping("10.1.2.8/32", &[PEER]) }]),
        )
        .counts(&["server.registers", "server.record_eid_not_ip"]),
        to_server(23, "a valid record and one that is cut", |_| {
            let records = vec![mapping("10.1.2.9/32", &[PEER]), mapping("10.1.2.8/32", &[PEER])];
            let mut message = MapRegister { xtr: None, ..register(8, records) }.signed(&key_b());
            message.truncate(message.len() - 3);
            message
        })
        .counts(&["dispatch.truncated"])
        .then("none is registered", |world| !world.registered("10.1.2.9/32")),
        to_server(
            42,
            "a locator that nobody can send to, alone",
            registers(|| vec![mapping("10.1.2.9/32", &["127.0.0.1"])]),
        )
        .counts(&["server.registers", "server.locator_unusable", "server.record_unusable"])
        .then("it is not registered", |world| !world.registered("10.1.2.9/32")),
    ]
}

fn unregistered_foreign(case: Case) -> Case {
    case.then("nothing foreign is registered", |world| {
        !world.registered("10.1.1.9/32") && !world.registered("10.1.0.0/16")
    })
}

fn tails() -> Vec<Case> {
    vec![
        to_server(40, "attributes that nobody understands behind a valid register", |_| {
            MapRegister { tail: vec![0x40, 3, 0, 0, 255, 0, 0, 9, 1, 2, 3], ..right() }.signed(&key_b())
        })
        .counts(&[
            "server.registers",
            "server.records",
            "server.changes",
            "server.notifies",
            "server.trailing_unknown",
        ])
        .answers(&[(NOTIFY, PEER)])
        .then("it is registered", |world| world.registered("10.1.2.9/32")),
    ]
}
