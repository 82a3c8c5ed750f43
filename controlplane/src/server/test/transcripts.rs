//! Bytes of other makers' xTRs, as they were captured (Open Overlay Router 1.3, VPP 26.10), against our server:
//! one test per habit of theirs.

use super::peers::*;
use crate::outbox::{Datagram, Locator};
use crate::server::*;
use std::time::Duration;
use sterna_wire::Iid;
use sterna_wire::lisp::control::auth::{self, Algorithm, Coverage, Key};
use sterna_wire::lisp::control::{Act, Ecm, EidRecord, MapNotify, MapRegister, MapReply, MapRequest};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// OOR at 10.0.0.11 registers 192.168.1.0/24, key "secret-a", no proxy reply.
const OOR_REGISTER: &str = "300001013fdd8f6bd29c843a000100147fb94fe8a1515a52e2557b163403c98d4dad43200000000a011810\
0000000001c0a801000164ff00000500010a00000b";
/// What OOR's own Map-Server answered to it.
const OOR_NOTIFY: &str = "400000013fdd8f6bd29c843a000100145c3048185bbfa134301f554a5fd321d74fa775980000000a0118100000\
000001c0a801000164ff00000100010a00000b";
/// OOR at 10.0.0.12 registers 192.168.2.0/24, key "secret-b".
const OOR_B_REGISTER: &str = "300001017fdfa76bd2b5934800010014dd403b2dbef096804c61ea79db08083f4257e2f90000000a011810\
0000000001c0a802000164ff00000500010a00000c";
/// OOR at 10.0.0.11 asks for 192.168.2.2.
const OOR_REQUEST: &str = "800000004500003c00024000ff11f759c0a80102c0a8020210f610f60028aa2810000001fb5ff96bd4ea46f900\
01c0a8010200010a00000b00200001c0a80202";
/// OOR at 10.0.0.11 asks for 192.168.9.9, which nobody has.
const OOR_UNKNOWN: &str = "800000004500003c000c4000ff11f048c0a80102c0a8090910f610f600287a0d100000013f7fad6fdabe6b0f00\
01c0a8010200010a00000b00200001c0a80909";
/// What OOR's own Map-Server answered: a prefix that does not cover the question.
const OOR_NEGATIVE: &str = "200000013f7fad6fdabe6b0f0000000f0015300000000001c1a80800";
/// VPP at 10.0.0.12 registers 192.168.2.0/24 with TTL 86400 minutes; its authentication data is not that of
/// "secret-b", and is the same for each nonce.
const VPP_REGISTERS: [&str; 2] = [
    "3000010128423c20926143430001001458a3b5f3cd8d88fc3026badaaee878e9e3c8aa11000151800118000000000001c0a80200010100\
00000500010a00000c",
    "300001015d993620966b98360001001458a3b5f3cd8d88fc3026badaaee878e9e3c8aa11000151800118000000000001c0a80200010100\
00000500010a00000c",
];
/// VPP at 10.0.0.12 asks for 192.168.1.2.
const VPP_REQUEST: &str = "800000004500003c00034000ff11f758c0a80202c0a8010210f610f6002823a810000001fc10d801b185119700\
01c0a8020200010a00000c00200001c0a80102";

/// A site of old gear: key 0, SHA-1, group 0.
fn old(name: &str, secret: &str, scope: &str) -> SiteSettings {
    SiteSettings {
        keys: vec![Key::new(0, Algorithm::HmacSha1_96, secret.as_bytes())],
        scopes: vec![Scope { iid: Iid::DEFAULT, prefix: prefix(scope), more_specifics: false }],
        ..SiteSettings::named(name)
    }
}

fn world() -> World {
    let sites = [old("a", "secret-a", "192.168.1.0/24"), old("b", "secret-b", "192.168.2.0/24")];
    World::new(ServerSettings { addresses: vec![ip("10.0.0.10")], ..settings(&sites) })
}

fn one(sent: Vec<Datagram>, to: &str) -> Vec<u8> {
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].to, to.parse().unwrap());
    sent.into_iter().next().unwrap().bytes
}

#[test]
fn oor_registers_and_gets_the_notify_that_its_own_server_sends() {
    let mut world = world();
    let notify = one(world.give(&hex(OOR_REGISTER), at("10.0.0.11")), "10.0.0.11:4342");
    let theirs = hex(OOR_NOTIFY);
    // Type and count, nonce, 16-bit key id, length of 20, record: all but the MAC and the locator's L bit,
    // which is the register's here.
    assert_eq!(notify[..16], theirs[..16]);
    assert_eq!(notify.len(), theirs.len());
    assert_eq!(
        (notify[36..57].to_vec(), notify[58..].to_vec()),
        (theirs[36..57].to_vec(), theirs[58..].to_vec())
    );
    assert_eq!((notify[57], theirs[57]), (5, 1));
    let parsed = MapNotify::parse(&notify).unwrap();
    let key = Key::new(0, Algorithm::HmacSha1_96, b"secret-a");
    assert_eq!(auth::verify(&notify, parsed.records_end, &key), Ok(Coverage::Whole));
    assert_eq!(parsed.records.len(), 1, "OOR and VPP read the first record unasked");
    assert!(world.refusals().is_empty());
}

#[test]
fn oor_resends_with_a_new_random_nonce_and_an_exact_repeat_is_a_replay() {
    let mut world = world();
    one(world.give(&hex(OOR_REGISTER), at("10.0.0.11")), "10.0.0.11:4342");
    assert!(world.give(&hex(OOR_REGISTER), at("10.0.0.11")).is_empty());
    assert!(world.give(&hex(OOR_REGISTER), at("203.0.113.66")).is_empty(), "from anywhere");
    assert_eq!(world.refusals(), [("repeated", 2)]);
    // A register whose nonce is lower is as good.
    let mut lower = MapRegister::parse(&hex(OOR_REGISTER)).unwrap();
    lower.nonce = 3;
    let bytes = lower.signed(&Key::new(0, Algorithm::HmacSha1_96, b"secret-a"));
    one(world.give(&bytes, at("10.0.0.11")), "10.0.0.11:4342");
}

#[test]
fn oor_with_the_wrong_key_is_not_registered() {
    let sites = [old("a", "secret-x", "192.168.1.0/24")];
    let mut world = World::new(settings(&sites));
    assert!(world.give(&hex(OOR_REGISTER), at("10.0.0.11")).is_empty());
    assert_eq!((world.refusals(), world.server.registration_count()), (vec![("auth_data", 1)], 0));
}

#[test]
fn oor_writes_a_16_bit_key_id_so_its_key_is_number_0_here() {
    let mut sites = [old("a", "secret-a", "192.168.1.0/24")];
    sites[0].keys = vec![Key::new(1, Algorithm::HmacSha1_96, b"secret-a")];
    let mut world = World::new(settings(&sites));
    assert!(world.give(&hex(OOR_REGISTER), at("10.0.0.11")).is_empty());
    assert_eq!(world.refusals(), [("auth_key", 1)]);
}

#[test]
fn a_request_of_oor_reaches_the_other_oor_byte_for_byte() {
    let mut world = world();
    world.give(&hex(OOR_REGISTER), at("10.0.0.11"));
    world.give(&hex(OOR_B_REGISTER), at("10.0.0.12"));
    let forwarded = one(world.give(&hex(OOR_REQUEST), at("10.0.0.11")), "10.0.0.12:4342");
    assert_eq!(forwarded, hex(OOR_REQUEST));
}

#[test]
fn a_negative_answer_covers_the_question_unlike_oors() {
    let mut world = world();
    let bytes = one(world.give(&hex(OOR_UNKNOWN), at("10.0.0.11")), "10.0.0.11:4342");
    let reply = MapReply::parse(&bytes).unwrap();
    let theirs = MapReply::parse(&hex(OOR_NEGATIVE)).unwrap();
    assert_eq!(reply.nonce, theirs.nonce);
    let (ours, theirs) = (&reply.records[0], &theirs.records[0]);
    assert_eq!((ours.ttl, ours.act, ours.authoritative), (theirs.ttl, Act::NativelyForward, false));
    let question = ip("192.168.9.9");
    let (ours, theirs) = (ours.prefix().unwrap().1, theirs.prefix().unwrap().1);
    assert_eq!((ours, ours.contains(question)), (prefix("192.168.8.0/21"), true));
    assert_eq!((theirs, theirs.contains(question)), (prefix("193.168.8.0/21"), false));
}

#[test]
fn what_oors_site_has_not_registered_is_nobodys_for_a_minute() {
    let mut world = world();
    let reply =
        MapReply::parse(&one(world.give(&hex(OOR_REQUEST), at("10.0.0.11")), "10.0.0.11:4342")).unwrap();
    let record = &reply.records[0];
    assert_eq!((record.ttl, record.act), (1, Act::NativelyForward));
    assert_eq!(record.prefix(), Some((Iid::DEFAULT, prefix("192.168.2.2/32"))));
}

#[test]
fn replies_go_to_the_inner_source_port() {
    let mut world = world();
    let ecm = hex(OOR_UNKNOWN);
    let request = Ecm::parse(&ecm).unwrap().message.to_vec();
    let bytes = sterna_wire::lisp::control::encapsulate(
        "192.168.1.2:49152".parse().unwrap(),
        at("192.168.9.9"),
        &request,
    );
    one(world.give(&bytes, "10.0.0.11:50000".parse().unwrap()), "10.0.0.11:49152");
}

#[test]
fn vpps_authentication_data_is_refused_and_the_same_register_signed_right_is_taken() {
    let mut world = world();
    for register in VPP_REGISTERS {
        assert!(world.give(&hex(register), at("10.0.0.12")).is_empty());
    }
    assert_eq!((world.refusals(), world.server.registration_count()), (vec![("auth_data", 2)], 0));
    let key = Key::new(0, Algorithm::HmacSha1_96, b"secret-b");
    let mut register = hex(VPP_REGISTERS[0]);
    auth::sign(&mut register, &key);
    let notify = one(world.give(&register, at("10.0.0.12")), "10.0.0.12:4342");
    let parsed = MapNotify::parse(&notify).unwrap();
    // VPP looks at the 16 bits of key id and algorithm as one number, and reads the first record unasked.
    assert_eq!((&notify[4..12], &notify[12..16]), (&register[4..12], &[0, 1, 0, 20][..]));
    assert_eq!((parsed.xtr, parsed.records[0].ttl), (None, 86_400));
    assert_eq!(auth::verify(&notify, parsed.records_end, &key), Ok(Coverage::Whole));
}

#[test]
fn vpp_never_answers_so_its_site_is_always_answered_for_and_its_ttl_of_60_days_is_cut() {
    let mut sites = [old("a", "secret-a", "192.168.1.0/24"), old("b", "secret-b", "192.168.2.0/24")];
    sites[1].proxy_reply = ProxyReply::Always;
    let mut world = World::new(settings(&sites));
    let mut register = hex(VPP_REGISTERS[0]);
    auth::sign(&mut register, &Key::new(0, Algorithm::HmacSha1_96, b"secret-b"));
    world.give(&register, at("10.0.0.12"));
    let reply =
        MapReply::parse(&one(world.give(&hex(OOR_REQUEST), at("10.0.0.11")), "10.0.0.11:4342")).unwrap();
    let EidRecord { ttl, authoritative, ref locators, .. } = reply.records[0];
    assert_eq!((ttl, authoritative, locators.len()), (1440, false, 1));
    assert_eq!(locators[0].address.rloc(), Some(ip("10.0.0.12")));
    // The registration itself lives as long as every other one: VPP does not set the T bit.
    world.pass(Duration::from_secs(181));
    assert_eq!(world.server.registration_count(), 0);
}

#[test]
fn a_vpp_site_that_cannot_register_is_registered_by_the_config() {
    let mut sites = [old("a", "secret-a", "192.168.1.0/24"), old("b", "secret-b", "192.168.2.0/24")];
    sites[1].statics = vec![StaticMapping {
        iid: Iid::DEFAULT,
        prefix: prefix("192.168.2.0/24"),
        locators: vec![Locator { address: ip("10.0.0.12"), priority: 1, weight: 100 }],
    }];
    let mut world = World::new(settings(&sites));
    let reply =
        MapReply::parse(&one(world.give(&hex(OOR_REQUEST), at("10.0.0.11")), "10.0.0.11:4342")).unwrap();
    assert_eq!(addresses(&reply.records[0]), [ip("10.0.0.12")]);
    // And VPP's question goes to OOR, which answers itself.
    world.give(&hex(OOR_REGISTER), at("10.0.0.11"));
    let forwarded = one(world.give(&hex(VPP_REQUEST), at("10.0.0.12")), "10.0.0.11:4342");
    assert_eq!(forwarded, hex(VPP_REQUEST));
}

#[test]
fn lispers_net_appends_an_xtr_id_without_a_site_id() {
    let mut world = World::of_two();
    let mut itr = Peer::of("site-a", "198.51.100.1");
    itr.registers(&mut world, &["10.1.200.0/24"]);
    let request = itr.subscription("10.1.0.7/32");
    let mut message = request.emit();
    message.truncate(message.len() - 8);
    assert_eq!(MapRequest::parse(&message).unwrap().xtr.unwrap().site_id, 0);
    let bytes = sterna_wire::lisp::control::encapsulate(itr.source, at("10.1.0.7"), &message);
    let sent = world.give(&bytes, itr.source);
    let notify = itr.notifies(&sent).pop().unwrap();
    assert_eq!((notify.nonce, notify.xtr.unwrap().site_id), (request.nonce, 0));
    // Its acknowledgements have no record.
    let ack = MapNotify { ack: true, records: Vec::new(), ..notify };
    world.give(&ack.signed(&itr.key), itr.source);
    assert_eq!(world.server.counters().acknowledged, 1);
}

#[test]
fn neither_oor_nor_vpp_knows_type_5_so_telling_them_ends() {
    let mut sites = [old("a", "secret-a", "192.168.1.0/24"), old("b", "secret-b", "192.168.1.0/24")];
    sites.iter_mut().for_each(|site| site.scopes[0].more_specifics = true);
    let mut world = World::new(settings(&sites));
    let mut register = MapRegister::parse(&hex(OOR_REGISTER)).unwrap();
    (register.records[0].mask_len, register.records[0].eid) = (32, ip("192.168.1.7").into());
    let from = |secret: &str| Key::new(0, Algorithm::HmacSha1_96, secret.as_bytes());
    world.give(&register.signed(&from("secret-a")), at("10.0.0.11"));
    register.records[0].locators[0].address = ip("10.0.0.12").into();
    world.give(&register.signed(&from("secret-b")), at("10.0.0.12"));
    let sent = world.pass(Duration::from_secs(100));
    let told: Vec<MapNotify> =
        sent.iter().map(|datagram| MapNotify::parse(&datagram.bytes).unwrap()).collect();
    assert_eq!(told.len(), 8);
    assert!(told.iter().all(|notify| notify.xtr.is_none() && (notify.key_id, notify.algorithm) == (0, 1)));
    assert_eq!(world.refusals(), [("notice_given_up", 1)]);
}
