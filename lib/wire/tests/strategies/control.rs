//! Control messages, valid by construction.

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use sterna_wire::lisp::control::acx::{
    Acx, AgentState, Attributes, Constraint, Hardware, Latency, LatencyClass, Load, Need, Scope, Scoped,
    Score, Security, Status, StatusCode, Tag,
};
use sterna_wire::lisp::control::{
    Act, EidRecord, LispAddress, LocatorRecord, MapNotify, MapRegister, MapReply, MapRequest, RequestRecord,
    XtrId,
};
use sterna_wire::{Iid, Mac, Prefix};

/// An LCAF that we do not look into.
pub fn opaque() -> impl Strategy<Value = LispAddress> {
    let other = any::<u8>().prop_filter("read by us", |kind| !matches!(kind, 1 | 2));
    (any::<[u8; 3]>(), other, vec(any::<u8>(), 0..24)).prop_map(|([a, b, c], kind, body)| {
        let mut bytes = vec![0x40, 0x03, a, b, kind, c, 0, body.len() as u8];
        bytes.extend(body);
        LispAddress::Opaque(bytes)
    })
}

fn plain() -> impl Strategy<Value = LispAddress> {
    prop_oneof![
        Just(LispAddress::None),
        any::<IpAddr>().prop_map(LispAddress::Ip),
        any::<[u8; 6]>().prop_map(|bytes| LispAddress::Mac(Mac(bytes))),
        vec(1..=u8::MAX, 0..20).prop_map(LispAddress::Name),
    ]
}

/// Any address, LCAFs in LCAFs included, down to the depth that is read.
pub fn address() -> impl Strategy<Value = LispAddress> {
    prop_oneof![4 => plain(), 1 => opaque()].prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            (any::<u32>(), any::<u8>(), inner.clone()).prop_map(|(iid, mask_len, address)| {
                LispAddress::Instance { iid, mask_len, address: Box::new(address) }
            }),
            vec(inner, 0..4).prop_map(LispAddress::List),
        ]
    })
}

pub fn locator() -> impl Strategy<Value = LocatorRecord> {
    (any::<[u8; 4]>(), any::<[bool; 3]>(), address()).prop_map(|(numbers, flags, address)| {
        let [priority, weight, multicast_priority, multicast_weight] = numbers;
        let [local, probed, reachable] = flags;
        LocatorRecord {
            priority,
            weight,
            multicast_priority,
            multicast_weight,
            local,
            probed,
            reachable,
            address,
        }
    })
}

pub fn record() -> impl Strategy<Value = EidRecord> {
    let act = prop::sample::select(vec![
        Act::NoAction,
        Act::NativelyForward,
        Act::SendMapRequest,
        Act::Drop,
        Act::DropPolicyDenied,
        Act::DropAuthFailure,
    ]);
    let numbers = (any::<u32>(), 0..4096u16, any::<u8>());
    (numbers, act, any::<bool>(), address(), vec(locator(), 0..4)).prop_map(
        |((ttl, map_version, mask_len), act, authoritative, eid, locators)| EidRecord {
            ttl,
            act,
            authoritative,
            map_version,
            mask_len,
            eid,
            locators,
        },
    )
}

fn xtr() -> impl Strategy<Value = Option<XtrId>> {
    option::of((any::<[u8; 16]>(), any::<u64>()).prop_map(|(xtr_id, site_id)| XtrId { xtr_id, site_id }))
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let latency = (option::of(latency_class()), any::<u32>());
    let load = (option::of(0..=1000u16), option::of(0..0xffffu16));
    let fields = (
        option::of(latency.prop_map(|(class, sla_us)| Latency { class, sla_us })),
        option::of(hardware()),
        option::of(select(AgentState::ALL.to_vec())),
        option::of(load.prop_map(|(permille, queue)| Load { permille, queue })),
        option::of(security()),
    );
    fields.prop_map(|(latency, hardware, state, load, security)| Attributes {
        latency,
        hardware,
        state,
        load,
        security,
    })
}

fn latency_class() -> impl Strategy<Value = LatencyClass> {
    select(vec![LatencyClass::Low, LatencyClass::Medium, LatencyClass::High])
}

fn hardware() -> impl Strategy<Value = Hardware> {
    let tags = vec("[a-z0-9._-]{1,12}", 0..5);
    let long = vec("[a-z0-9._-]{60,63}", 0..3);
    (any::<u32>(), tags, long).prop_map(|(kinds, tags, long)| {
        let tags = tags.iter().chain(&long).map(|tag| Tag::new(tag).unwrap());
        Hardware::new(kinds, tags.collect()).unwrap()
    })
}

fn security() -> impl Strategy<Value = Security> {
    any::<(u8, u8, u16)>().prop_map(|(level, flags, domain)| Security { level, flags, domain })
}

fn scope() -> impl Strategy<Value = Scope> {
    let eid = (0..1u32 << 24, any::<IpAddr>(), any::<u8>()).prop_map(|(iid, address, len)| {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (Iid::new(iid).unwrap(), Prefix::masked(address, len % (bits + 1)).unwrap())
    });
    prop_oneof![
        Just(Scope::Message),
        (0..255u8).prop_map(Scope::Record),
        (0..255u8, 0..255u8).prop_map(|(record, locator)| Scope::Locator { record, locator }),
        eid.clone().prop_map(|(iid, prefix)| Scope::Eid(iid, prefix)),
        (eid, any::<IpAddr>()).prop_map(|((iid, prefix), rloc)| Scope::EidLocator(iid, prefix, rloc)),
    ]
}

/// What is said of one scope, at least one thing.
fn scoped() -> impl Strategy<Value = Scoped> {
    let score =
        option::of((0..=1000u16, any::<u8>()).prop_map(|(score, priority)| Score { score, priority }));
    (scope(), attributes(), option::of(any::<u32>()), score)
        .prop_map(|(scope, attributes, ttl_s, score)| {
            let one = matches!(scope, Scope::Locator { .. } | Scope::EidLocator(..));
            Scoped { scope, attributes, ttl_s, score: score.filter(|_| one) }
        })
        .prop_filter("says something", |entry| {
            !entry.attributes.is_empty() || entry.ttl_s.is_some() || entry.score.is_some()
        })
}

fn constraint() -> impl Strategy<Value = Constraint> {
    let need = prop_oneof![
        (option::of(latency_class()), any::<u32>())
            .prop_map(|(class, max_us)| Need::Latency { class, max_us }),
        hardware().prop_map(Need::Hardware),
        any::<u32>().prop_map(Need::State),
        any::<u16>().prop_map(Need::Load),
        security().prop_map(|Security { level, flags, domain }| Need::Security { level, flags, domain }),
    ];
    (need, option::of(1..16u8)).prop_map(|(need, weight)| match weight {
        Some(weight) => Constraint::soft(need, weight),
        None => Constraint::hard(need),
    })
}

fn status() -> impl Strategy<Value = Status> {
    let code = select(vec![
        StatusCode::Ok,
        StatusCode::NoMatch,
        StatusCode::UnsupportedConstraint,
        StatusCode::Denied,
        StatusCode::StaleSequence,
        StatusCode::Malformed,
        StatusCode::Other(6),
        StatusCode::Other(255),
    ]);
    (code, any::<u8>()).prop_map(|(code, offending)| Status { code, offending })
}

/// A block that its receiver reads; each scope stands once in it.
pub fn acx() -> impl Strategy<Value = Acx> {
    let says = (vec(scoped(), 0..8), vec(constraint(), 0..=16));
    let others = (option::of(any::<u8>()), option::of(status()), option::of(any::<[u8; 8]>()), xtr());
    let block = (any::<[bool; 6]>(), any::<u32>(), says, others).prop_map(
        |(flags, seq, (mut entries, constraints), (limit, status, hash, echo))| {
            let [reply, aware, complete, filtered, return_attributes, return_scores] = flags;
            let mut seen: Vec<Scope> = Vec::new();
            entries.retain(|entry| {
                let new = !seen.contains(&entry.scope);
                seen.push(entry.scope.clone());
                new
            });
            Acx {
                reply,
                aware,
                complete,
                filtered,
                seq,
                entries,
                constraints,
                limit,
                return_attributes,
                return_scores,
                status,
                hash,
                echo,
                duplicates: 0,
            }
        },
    );
    block.prop_filter("fits", Acx::fits)
}

fn tail() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), vec(any::<u8>(), 1..100)]
}

/// One EID that is asked for, its mask no longer than the shortest address.
fn asked() -> impl Strategy<Value = RequestRecord> {
    (any::<bool>(), 0..=32u8, address()).prop_map(|(subscribe, mask_len, eid)| RequestRecord {
        subscribe,
        mask_len,
        eid,
    })
}

pub fn map_request() -> impl Strategy<Value = MapRequest> {
    let lists = (vec(address(), 1..=6), vec(asked(), 1..4), option::of(record()));
    (any::<[bool; 7]>(), any::<u64>(), address(), lists, xtr(), tail()).prop_map(
        |(flags, nonce, source_eid, (itr_rlocs, mut records, map_reply), xtr, tail)| {
            let [authoritative, probe, smr, pitr, smr_invoked, local_xtr, no_reply] = flags;
            if probe || smr {
                records.truncate(1);
            }
            MapRequest {
                authoritative,
                probe,
                smr,
                pitr,
                smr_invoked,
                local_xtr,
                no_reply,
                nonce,
                source_eid,
                itr_rlocs,
                records,
                map_reply,
                xtr,
                tail,
            }
        },
    )
}

pub fn map_reply() -> impl Strategy<Value = MapReply> {
    (any::<[bool; 3]>(), any::<u64>(), vec(record(), 0..4), tail()).prop_map(
        |([probe, echo_nonce, security], nonce, records, tail)| MapReply {
            probe,
            echo_nonce,
            security,
            nonce,
            records,
            tail,
        },
    )
}

/// A register whose `records_end` is what parsing will find.
pub fn map_register() -> impl Strategy<Value = MapRegister> {
    let auth = (any::<u8>(), 0..3u8);
    (any::<[bool; 6]>(), any::<u64>(), auth, vec(record(), 0..4), xtr(), tail()).prop_map(
        |(flags, nonce, (key_id, algorithm), records, xtr, tail)| {
            let [proxy_reply, security, eid_notify, use_ttl, merge, want_notify] = flags;
            let mut register = MapRegister {
                proxy_reply,
                security,
                eid_notify,
                use_ttl,
                merge,
                want_notify,
                nonce,
                key_id,
                algorithm,
                records,
                xtr,
                tail,
                records_end: 0,
            };
            register.records_end = register.emit().len() - behind(&register.xtr, &register.tail);
            register
        },
    )
}

/// A notify or its acknowledgement, `records_end` as above.
pub fn map_notify() -> impl Strategy<Value = MapNotify> {
    let auth = (any::<u8>(), 0..3u8);
    (any::<bool>(), any::<u64>(), auth, vec(record(), 0..4), xtr(), tail()).prop_map(
        |(ack, nonce, (key_id, algorithm), records, xtr, tail)| {
            let mut notify = MapNotify { ack, nonce, key_id, algorithm, records, xtr, tail, records_end: 0 };
            notify.records_end = notify.emit().len() - behind(&notify.xtr, &notify.tail);
            notify
        },
    )
}

/// Bytes behind the last record.
fn behind(xtr: &Option<XtrId>, tail: &[u8]) -> usize {
    xtr.map_or(0, |_| 24) + tail.len()
}

/// The bytes of any of these.
pub fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        map_request().prop_map(|message| message.emit()),
        map_reply().prop_map(|message| message.emit()),
        map_register().prop_map(|message| message.emit()),
        map_notify().prop_map(|message| message.emit()),
    ]
}

/// The bytes of a message that may be encapsulated: no answer, no acknowledgement.
pub fn encapsulated() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        map_request().prop_map(|message| message.emit()),
        map_register().prop_map(|message| message.emit()),
        map_notify().prop_map(|message| MapNotify { ack: false, ..message }.emit()),
    ]
}
