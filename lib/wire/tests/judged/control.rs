//! Control messages that we emit: fields as meant, nothing malformed, nothing left over but our tail.

use sterna_wire::lisp::CONTROL_PORT;
use sterna_wire::lisp::control::acx::{
    Acx, AgentState, Attributes, Constraint, Hardware, Latency, LatencyClass, Load, Need, Scope, Scoped,
    Score, Security, Status, StatusCode, hash_of,
};
use sterna_wire::lisp::control::auth::{Algorithm, Key};
use sterna_wire::lisp::control::{
    self, Act, EidRecord, LispAddress, LocatorRecord, MapNotify, MapRegister, MapReply, MapRequest,
    RequestRecord, XtrId,
};
use sterna_wire::{Iid, Mac};

use crate::dissector;

/// What must be so of every message, beside what the case says.
const SOUND: [(&str, &str); 2] = [("_ws.malformed", ""), ("udp.checksum.status", "1")];

fn iid() -> Iid {
    Iid::new(0x0a_bcde).unwrap()
}

fn xtr() -> Option<XtrId> {
    Some(XtrId { xtr_id: core::array::from_fn(|index| index as u8), site_id: 0x99 })
}

/// tshark's name for the xTR-ID above.
const XTR_ID: &str = "000102030405060708090a0b0c0d0e0f";

fn record() -> EidRecord {
    let first = LocatorRecord { local: true, ..LocatorRecord::unicast([192, 0, 2, 1].into(), 1, 100) };
    let second = LocatorRecord {
        multicast_priority: 3,
        multicast_weight: 4,
        probed: true,
        ..LocatorRecord::unicast("2001:db8::1".parse().unwrap(), 2, 50)
    };
    EidRecord {
        ttl: 10,
        authoritative: true,
        map_version: 0xabc,
        locators: vec![first, second],
        ..EidRecord::of(iid(), "10.1.0.0/16".parse().unwrap())
    }
}

fn request() -> MapRequest {
    MapRequest {
        nonce: 0x1122_3344_5566_7788,
        source_eid: LispAddress::for_eid(iid(), [10, 2, 0, 5].into()),
        itr_rlocs: vec![
            LispAddress::Ip([192, 0, 2, 1].into()),
            LispAddress::Ip("2001:db8::1".parse().unwrap()),
        ],
        records: vec![RequestRecord::of(iid(), "10.1.0.7".parse().unwrap())],
        ..MapRequest::default()
    }
}

/// Asserts what tshark finds in this UDP payload.
fn judge(message: &[u8], expected: &[(&str, &str)]) {
    let packet = dissector::datagram((CONTROL_PORT, CONTROL_PORT), message);
    let expected: Vec<_> = SOUND.iter().chain(expected).collect();
    let fields: Vec<&str> = expected.iter().map(|(field, _)| *field).collect();
    let found = dissector::dissect(&[packet], &fields);
    for (index, (field, value)) in expected.iter().enumerate() {
        assert_eq!(found[0][index], *value, "{field} of {message:02x?}");
    }
}

#[test]
fn map_requests() {
    let subscription = MapRequest {
        records: vec![RequestRecord { subscribe: true, ..request().records[0].clone() }],
        xtr: xtr(),
        ..request()
    };
    let expected = [
        ("lisp.type", "1"),
        ("lisp.nonce", "0x1122334455667788"),
        ("lisp.irc", "1"),
        ("lisp.records", "1"),
        ("lisp.mreq.itr_rloc_ipv4", "192.0.2.1"),
        ("lisp.mreq.itr_rloc_ipv6", "2001:db8::1"),
        ("lisp.lcaf.iid", "703710,703710"),
        ("lisp.lcaf.iid.ipv4", "10.2.0.5,10.1.0.7"),
        ("lisp.lcaf.res2", "0x20,0x20"),
        ("lisp.mreq.record.prefix.length", "32"),
        ("lisp.mreq.record.res", "0x80"),
        ("data.data", "000102030405060708090a0b0c0d0e0f0000000000000099"),
    ];
    judge(&subscription.emit(), &expected);
    let probe = MapRequest { probe: true, source_eid: LispAddress::None, ..request() };
    judge(&probe.emit(), &[("lisp.mreq.flags.probe", "1"), ("lisp.mreq.srceid.afi", "0"), ("data.data", "")]);
    let smr = MapRequest { smr: true, no_reply: true, ..request() };
    judge(&smr.emit(), &[("lisp.mreq.flags.smr", "1"), ("data.data", "")]);
    let invoked = MapRequest { smr_invoked: true, pitr: true, authoritative: true, ..request() };
    let expected =
        [("lisp.mreq.flags.smri", "1"), ("lisp.mreq.flags.pitr", "1"), ("lisp.mreq.flags.auth", "1")];
    judge(&invoked.emit(), &expected);
    let introduced = MapRequest { map_reply: Some(record()), ..request() };
    let expected = [("lisp.mreq.flags.mrp", "1"), ("lisp.mapping.loccnt", "2"), ("data.data", "")];
    judge(&introduced.emit(), &expected);
    let constrained = MapRequest { tail: vec![0xac, 0x01], ..request() };
    judge(&constrained.emit(), &[("data.data", "ac01")]);
}

#[test]
fn map_replies() {
    let reply = MapReply { probe: true, nonce: 7, records: vec![record()], ..MapReply::default() };
    let expected = [
        ("lisp.type", "2"),
        ("lisp.mrep.flags.probe", "1"),
        ("lisp.mapping.ttl", "10"),
        ("lisp.mapping.loccnt", "2"),
        ("lisp.mapping.eid.masklen", "16"),
        ("lisp.mapping.auth", "1"),
        ("lisp.mapping.act", "0"),
        ("lisp.mapping.ver", "2748"),
        ("lisp.lcaf.iid", "703710"),
        ("lisp.lcaf.iid.ipv4", "10.1.0.0"),
        ("lisp.loc.priority", "1,2"),
        ("lisp.loc.weight", "100,50"),
        ("lisp.loc.multicast_priority", "255,3"),
        ("lisp.loc.multicast_weight", "0,4"),
        ("lisp.loc.flags", "0x0005,0x0003"),
        ("lisp.loc.locator", "192.0.2.1,2001:db8::1"),
        ("data.data", ""),
    ];
    judge(&reply.emit(), &expected);
    let negative = EidRecord {
        ttl: 1,
        act: Act::DropPolicyDenied,
        ..EidRecord::of(Iid::DEFAULT, "fd00::/64".parse().unwrap())
    };
    let reply = MapReply { echo_nonce: true, records: vec![negative], ..MapReply::default() };
    let expected = [
        ("lisp.mrep.flags.enlr", "1"),
        ("lisp.mapping.act", "4"),
        ("lisp.mapping.auth", "0"),
        ("lisp.mapping.loccnt", "0"),
        ("lisp.mapping.eid.ipv6", "fd00::"),
    ];
    judge(&reply.emit(), &expected);
}

#[test]
fn registers_and_notifies() {
    let key = Key::new(1, Algorithm::HmacSha256_128, b"secret");
    let register = MapRegister {
        proxy_reply: true,
        want_notify: true,
        nonce: 7,
        records: vec![record(), record()],
        xtr: xtr(),
        tail: vec![0xac, 0x01],
        ..MapRegister::default()
    };
    let mut expected = vec![
        ("lisp.type", "3"),
        ("lisp.records", "2"),
        ("lisp.mreg.flags.pmr", "1"),
        ("lisp.mreg.flags.xtrid", "1"),
        ("lisp.mreg.flags.wmn", "1"),
        ("lisp.keyid", "0x0102"),
        ("lisp.authlen", "32"),
        ("lisp.loc.locator", "192.0.2.1,2001:db8::1,192.0.2.1,2001:db8::1"),
        ("lisp.xtrid", XTR_ID),
        ("lisp.siteid", "0000000000000099"),
        ("data.data", "ac01"),
    ];
    judge(&register.signed(&key), &expected);
    let notify = MapNotify {
        nonce: 7,
        records: vec![record(), record()],
        xtr: xtr(),
        tail: vec![0xac, 0x01],
        ..MapNotify::default()
    };
    expected.retain(|(field, _)| !field.starts_with("lisp.mreg"));
    expected[0].1 = "4";
    expected.push(("lisp.mnot.flags.xtrid", "1"));
    judge(&notify.signed(&key), &expected);
    let old = Key::new(0, Algorithm::HmacSha1_96, b"secret");
    judge(
        &MapRegister { xtr: None, tail: Vec::new(), ..register }.signed(&old),
        &[
            ("lisp.keyid", "0x0001"),
            ("lisp.authlen", "20"),
            ("lisp.mreg.flags.xtrid", "0"),
            ("data.data", ""),
        ],
    );
}

/// Attributes of a locator, and the hex that tshark shows of them: data behind the message, nothing of it malformed.
fn context(reply: bool, echo: Option<XtrId>) -> (Vec<u8>, String) {
    let attributes = Attributes {
        latency: Some(Latency { class: Some(LatencyClass::Low), sla_us: 5000 }),
        hardware: Some(Hardware::from_names(["gpu", "h100"]).unwrap()),
        state: Some(AgentState::Draining),
        load: Some(Load { permille: Some(250), queue: Some(3) }),
        security: Some(Security { level: 3, flags: Security::CRYPTO, domain: 9 }),
    };
    let scope = Scope::Locator { record: 0, locator: 1 };
    let score = Some(Score { score: 312, priority: 2 });
    let entry = Scoped { ttl_s: Some(60), score, ..Scoped::new(scope, attributes.clone()) };
    let eid = Scope::EidLocator(iid(), "10.1.0.7/32".parse().unwrap(), "2001:db8::1".parse().unwrap());
    let constraints = vec![Constraint::hard(Need::State(6)), Constraint::soft(Need::Load(700), 8)];
    let block = Acx {
        reply,
        aware: true,
        complete: true,
        seq: 0xffff_fffe,
        entries: vec![entry, Scoped::new(eid, attributes)],
        hash: hash_of(&constraints, None),
        constraints,
        status: reply.then_some(Status { code: StatusCode::Ok, offending: 0 }),
        echo,
        ..Acx::default()
    };
    let bytes = block.bytes();
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (bytes, hex)
}

#[test]
fn messages_with_context() {
    let (tail, hex) = context(false, None);
    let request = MapRequest { tail: tail.clone(), ..request() };
    judge(&request.emit(), &[("lisp.type", "1"), ("lisp.records", "1"), ("data.data", &hex)]);
    let (tail, hex) = context(true, None);
    let reply = MapReply { records: vec![record()], tail: tail.clone(), ..MapReply::default() };
    let expected = [("lisp.type", "2"), ("lisp.mapping.loccnt", "2"), ("data.data", &hex)];
    judge(&reply.emit(), &expected);

    let key = Key::new(1, Algorithm::HmacSha256_128, b"secret");
    let (tail, hex) = context(false, xtr());
    let register = MapRegister { records: vec![record()], xtr: xtr(), tail, ..MapRegister::default() };
    let expected = [("lisp.type", "3"), ("lisp.xtrid", XTR_ID), ("data.data", &hex)];
    judge(&register.signed(&key), &expected);
    let (tail, hex) = context(true, xtr());
    for records in [vec![record()], Vec::new()] {
        let count = records.len().to_string();
        let notify = MapNotify { records, xtr: xtr(), tail: tail.clone(), ..MapNotify::default() };
        let expected = [
            ("lisp.type", "4"),
            ("lisp.records", count.as_str()),
            ("lisp.xtrid", XTR_ID),
            ("lisp.siteid", "0000000000000099"),
            ("data.data", &hex),
        ];
        judge(&notify.signed(&key), &expected);
    }
    let message = control::encapsulate(
        "10.2.0.5:4342".parse().unwrap(),
        "10.1.0.7:4342".parse().unwrap(),
        &request.emit(),
    );
    let packet = dissector::datagram((CONTROL_PORT, CONTROL_PORT), &message);
    let found = dissector::dissect(&[packet], &["lisp.type", "data.data", "_ws.malformed"]).remove(0);
    let (_, hex) = context(false, None);
    assert_eq!(found, ["8,1", &hex, ""]);
}

#[test]
fn encapsulated_requests() {
    let sound = [("udp.checksum.status", "1,1"), ("_ws.malformed", ""), ("data.data", "")];
    for (from, to, version) in
        [("10.2.0.5:4342", "10.1.0.7:4342", "ip.dst"), ("[fd00::5]:4342", "[fd00::7]:4342", "ipv6.dst")]
    {
        let message = control::encapsulate(from.parse().unwrap(), to.parse().unwrap(), &request().emit());
        let packet = dissector::datagram((CONTROL_PORT, CONTROL_PORT), &message);
        let mut fields = vec!["lisp.type", "lisp.ecm.flags.ddt", "lisp.lcaf.iid.ipv4", version];
        fields.extend(sound.iter().map(|(field, _)| *field));
        if version == "ip.dst" {
            fields.push("ip.checksum.status");
        }
        let found = dissector::dissect(&[packet], &fields).remove(0);
        assert_eq!(found[..3], ["8,1", "0", "10.2.0.5,10.1.0.7"]);
        assert_eq!(found[3], if version == "ip.dst" { "192.0.2.2,10.1.0.7" } else { "fd00::7" });
        assert_eq!(found[4..7], sound.map(|(_, value)| value));
        assert!(found[7..].iter().all(|status| status == "1,1"), "both header checksums");
    }
    let passed_on = control::encapsulate(
        "10.2.0.5:4342".parse().unwrap(),
        "10.1.0.7:4342".parse().unwrap(),
        &request().emit(),
    );
    judge_ddt(&control::encapsulate_packet(&passed_on[4..], true));
}

fn judge_ddt(message: &[u8]) {
    let packet = dissector::datagram((CONTROL_PORT, CONTROL_PORT), message);
    let found = dissector::dissect(&[packet], &["lisp.ecm.flags.ddt", "lisp.ecm.flags.sec", "_ws.malformed"]);
    assert_eq!(found[0], ["1", "0", ""]);
}

#[test]
fn addresses_of_every_kind() {
    let reply = |eid: LispAddress, address: LispAddress| {
        let locators = vec![LocatorRecord { address, ..LocatorRecord::unicast([0; 4].into(), 1, 1) }];
        let record = EidRecord { eid, locators, ..record() };
        MapReply { records: vec![record], ..MapReply::default() }.emit()
    };
    let rloc = LispAddress::Ip([192, 0, 2, 1].into());
    let mac = LispAddress::Mac(Mac([2, 0x53, 0x54, 0, 0, 0x64]));
    judge(
        &reply(mac.clone(), rloc.clone()),
        &[("lisp.mapping.eid.mac", "02:53:54:00:00:64"), ("data.data", "")],
    );
    let name = LispAddress::Name(b"agent-7".to_vec());
    judge(&reply(name.clone(), rloc.clone()), &[("lisp.mapping.eid.dn", "agent-7"), ("data.data", "")]);
    let list = LispAddress::List(vec![rloc.clone(), name]);
    let expected = [("lisp.lcaf.type", "1"), ("lisp.lcaf.afi_list.ipv4", "192.0.2.1"), ("data.data", "")];
    judge(&reply(rloc.clone(), list), &expected);
    let inside = LispAddress::Instance { iid: 7, mask_len: 32, address: Box::new(mac) };
    let expected = [("lisp.lcaf.iid", "7"), ("lisp.lcaf.iid.mac", "02:53:54:00:00:64"), ("data.data", "")];
    judge(&reply(inside, rloc.clone()), &expected);
    let json = vec![0x40, 3, 0, 0, 14, 0, 0, 11, 0, 7, b'{', b'"', b'a', b'"', b':', b'1', b'}', 0, 0];
    let expected = [("lisp.lcaf.type", "14"), ("lisp.mapping.loccnt", "1"), ("data.data", "")];
    judge(&reply(rloc, LispAddress::Opaque(json)), &expected);
}
