//! Every control packet of the captures says to us what it says to tshark.

use std::collections::BTreeMap;
use std::fmt::LowerHex;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use sterna_wire::lisp::control::auth::{self, Algorithm, AuthError, Coverage, Key};
use sterna_wire::lisp::control::{
    self, EidRecord, LispAddress, LocatorRecord, MapRegister, MapRequest, Message,
};
use sterna_wire::lisp::{CONTROL_PORT, data};
use sterna_wire::{ethernet, ipv4, udp};

use crate::dissector;

const CAPTURES: [&str; 2] = ["oor-two-sites", "vpp-xtr-with-oor"];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(name)
}

/// A control packet of a capture.
struct Frame {
    number: usize,
    source: IpAddr,
    destination: IpAddr,
    ports: (u16, u16),
    message: Vec<u8>,
}

/// The packets of a capture that came from or went to the control port.
fn frames(capture: &str) -> Vec<Frame> {
    let file = fs::read(path(&format!("{capture}.pcap"))).unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 1), "little endian, Ethernet");
    let mut frames = Vec::new();
    let mut at = 24;
    for number in 1.. {
        if at == file.len() {
            break;
        }
        let end = at + 16 + word(at + 8);
        frames.extend(control_packet(number, &file[at + 16..end]));
        at = end;
    }
    frames
}

fn control_packet(number: usize, frame: &[u8]) -> Option<Frame> {
    let link = ethernet::Packet::new_checked(frame).unwrap();
    let ip = ipv4::Packet::new_checked(link.payload()).unwrap();
    let datagram = udp::Packet::new_checked(ip.payload()).unwrap();
    let ports = (datagram.source_port(), datagram.destination_port());
    if ports.0 != CONTROL_PORT && ports.1 != CONTROL_PORT {
        assert!(data::Packet::new_checked(datagram.payload()).is_ok(), "frame {number} carries data");
        return None;
    }
    let message = datagram.payload().to_vec();
    Some(Frame { number, source: ip.source().into(), destination: ip.destination().into(), ports, message })
}

/// Values under the names that tshark gives them.
#[derive(Default)]
struct Dissection(BTreeMap<&'static str, Vec<String>>);

impl Dissection {
    fn put(&mut self, field: &'static str, value: impl ToString) {
        self.0.entry(field).or_default().push(value.to_string());
    }

    fn flag(&mut self, field: &'static str, value: bool) {
        self.put(field, u8::from(value));
    }

    /// Hexadecimal in this many digits.
    fn hex(&mut self, field: &'static str, value: impl LowerHex, digits: usize) {
        self.put(field, format!("0x{value:0digits$x}"));
    }

    fn address(&mut self, field: &'static str, address: &LispAddress) {
        match address {
            LispAddress::Ip(address) => self.put(field, address),
            LispAddress::None => {}
            other => panic!("{field} is {other:?}, which no capture has"),
        }
    }

    fn frame(&mut self, frame: &Frame) {
        self.put("frame.number", frame.number);
        self.ip_and_udp((frame.source, frame.destination), frame.ports);
        self.message(&frame.message);
    }

    fn ip_and_udp(&mut self, (source, destination): (IpAddr, IpAddr), ports: (u16, u16)) {
        self.put("ip.src", source);
        self.put("ip.dst", destination);
        self.put("udp.srcport", ports.0);
        self.put("udp.dstport", ports.1);
    }

    fn message(&mut self, bytes: &[u8]) {
        self.put("lisp.type", bytes[0] >> 4);
        match control::parse(bytes).unwrap() {
            Message::Ecm(ecm) => {
                let (from, to) = (ecm.source, ecm.destination);
                self.ip_and_udp((from.ip(), to.ip()), (from.port(), to.port()));
                self.message(ecm.message);
            }
            Message::MapRequest(request) => self.map_request(&request),
            Message::MapReply(reply) => {
                self.flag("lisp.mrep.flags.probe", reply.probe);
                self.flag("lisp.mrep.flags.enlr", reply.echo_nonce);
                self.flag("lisp.mrep.flags.sec", reply.security);
                self.records(reply.nonce, &reply.records, &reply.tail);
            }
            Message::MapRegister(register) => {
                self.flag("lisp.mreg.flags.pmr", register.proxy_reply);
                self.flag("lisp.mreg.flags.sec", register.security);
                self.flag("lisp.mreg.flags.xtrid", register.xtr.is_some());
                self.flag("lisp.mreg.flags.wmn", register.want_notify);
                self.key(register.key_id, register.algorithm);
                self.records(register.nonce, &register.records, &register.tail);
            }
            Message::MapNotify(notify) => {
                self.flag("lisp.mnot.flags.xtrid", notify.xtr.is_some());
                self.key(notify.key_id, notify.algorithm);
                self.records(notify.nonce, &notify.records, &notify.tail);
            }
            Message::Info(info) => panic!("no capture has {info:?}"),
        }
    }

    fn key(&mut self, id: u8, algorithm: u8) {
        self.hex("lisp.keyid", u16::from_be_bytes([id, algorithm]), 4);
    }

    fn map_request(&mut self, request: &MapRequest) {
        let flags = [
            request.authoritative,
            request.map_reply.is_some(),
            request.probe,
            request.smr,
            request.pitr,
            request.smr_invoked,
        ];
        let bits = flags.iter().fold(0u32, |bits, set| bits << 1 | u32::from(*set));
        self.hex("lisp.mreq.flags", bits, 6);
        self.hex("lisp.nonce", request.nonce, 16);
        self.put("lisp.records", request.records.len());
        self.put("lisp.irc", request.itr_rlocs.len() - 1);
        self.address("lisp.mreq.srceid.ipv4", &request.source_eid);
        for rloc in &request.itr_rlocs {
            self.address("lisp.mreq.itr_rloc_ipv4", rloc);
        }
        for record in &request.records {
            self.address("lisp.mreq.record.prefix.ipv4", &record.eid);
            self.put("lisp.mreq.record.prefix.length", record.mask_len);
        }
        assert_eq!(request.tail, [], "tshark would show it as data.data");
    }

    fn records(&mut self, nonce: u64, records: &[EidRecord], tail: &[u8]) {
        self.hex("lisp.nonce", nonce, 16);
        self.put("lisp.records", records.len());
        for record in records {
            self.put("lisp.mapping.ttl", record.ttl);
            self.put("lisp.mapping.loccnt", record.locators.len());
            self.put("lisp.mapping.eid.masklen", record.mask_len);
            self.put("lisp.mapping.act", record.act as u8);
            self.flag("lisp.mapping.auth", record.authoritative);
            self.put("lisp.mapping.ver", record.map_version);
            self.address("lisp.mapping.eid.ipv4", &record.eid);
            record.locators.iter().for_each(|locator| self.locator(locator));
        }
        assert_eq!(tail, [], "tshark would show it as data.data");
    }

    fn locator(&mut self, locator: &LocatorRecord) {
        self.put("lisp.loc.priority", locator.priority);
        self.put("lisp.loc.weight", locator.weight);
        self.put("lisp.loc.multicast_priority", locator.multicast_priority);
        self.put("lisp.loc.multicast_weight", locator.multicast_weight);
        let flags =
            u16::from(locator.local) << 2 | u16::from(locator.probed) << 1 | u16::from(locator.reachable);
        self.hex("lisp.loc.flags", flags, 4);
        self.address("lisp.loc.locator", &locator.address);
    }

    fn line(&self, fields: &[&str]) -> String {
        let value = |field: &&str| self.0.get(field).map_or_else(String::new, |values| values.join(","));
        fields.iter().map(value).collect::<Vec<_>>().join("|")
    }
}

/// What tshark said of a capture: the names of the fields, and a line for each control packet.
fn told(capture: &str) -> (Vec<String>, Vec<String>) {
    let text = fs::read_to_string(path(&format!("{capture}.tshark"))).unwrap();
    let mut lines = text.lines().map(str::to_owned);
    let fields = lines.next().unwrap().split('|').map(str::to_owned).collect();
    (fields, lines.collect())
}

#[test]
fn every_packet_says_to_us_what_it_says_to_tshark() {
    for capture in CAPTURES {
        let (fields, told) = told(capture);
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let seen: Vec<String> = frames(capture)
            .iter()
            .map(|frame| {
                let mut dissection = Dissection::default();
                dissection.frame(frame);
                let unknown = dissection.0.keys().find(|field| !fields.contains(field));
                assert_eq!(unknown, None, "tshark was not asked for it");
                dissection.line(&fields)
            })
            .collect();
        assert_eq!(seen, told, "{capture}");
        assert!(seen.len() > 10);
    }
}

#[test]
fn tshark_still_says_so() {
    for capture in CAPTURES {
        let (fields, told) = told(capture);
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let said = dissector::tshark(&path(&format!("{capture}.pcap")), &["-Y", "udp.port==4342"], &fields);
        assert_eq!(said.lines().collect::<Vec<_>>(), told, "{capture}");
    }
}

#[test]
fn what_others_emit_we_emit_byte_for_byte() {
    for capture in CAPTURES {
        for frame in frames(capture) {
            let message = match control::parse(&frame.message).unwrap() {
                Message::Ecm(ecm) => {
                    assert_eq!(control::encapsulate_packet(ecm.packet, ecm.ddt), frame.message);
                    ecm.message
                }
                _ => &frame.message,
            };
            let mut again = match control::parse(message).unwrap() {
                Message::MapRequest(request) => request.emit(),
                Message::MapReply(reply) => reply.emit(),
                Message::MapRegister(register) => register.emit(),
                Message::MapNotify(notify) => notify.emit(),
                other => panic!("{other:?}"),
            };
            if matches!(message[0] >> 4, 3 | 4) {
                // What the key made is not ours to emit.
                again[16..36].copy_from_slice(&message[16..36]);
            }
            assert_eq!(again, message, "{capture} frame {}", frame.number);
        }
    }
}

fn key(site: &str) -> Key {
    Key::new(0, Algorithm::HmacSha1_96, site.as_bytes())
}

/// Judges each register and notify of a capture with the key of the site whose prefix it names.
fn verdicts(capture: &str) -> Vec<(usize, Result<Coverage, AuthError>)> {
    let mut verdicts = Vec::new();
    for frame in frames(capture) {
        let (records, end) = match control::parse(&frame.message).unwrap() {
            Message::MapRegister(register) => (register.records, register.records_end),
            Message::MapNotify(notify) => (notify.records, notify.records_end),
            _ => continue,
        };
        let prefix = records[0].prefix().unwrap().1;
        let secret = match prefix.to_string().as_str() {
            "192.168.1.0/24" => "secret-a",
            "192.168.2.0/24" => "secret-b",
            other => panic!("no site has {other}"),
        };
        assert_eq!(
            auth::verify(&frame.message, end, &key("secret")),
            Err(AuthError::Mismatch),
            "a wrong key"
        );
        verdicts.push((frame.number, auth::verify(&frame.message, end, &key(secret))));
    }
    verdicts
}

#[test]
fn registers_and_notifies_of_oor_are_authentic() {
    let whole = Ok(Coverage::Whole);
    assert_eq!(verdicts("oor-two-sites"), [(1, whole), (2, whole), (3, whole), (4, whole)]);
}

#[test]
fn registers_of_vpp_are_not() {
    for (number, verdict) in verdicts("vpp-xtr-with-oor") {
        let expected = match number {
            1 | 2 | 36 | 37 => Ok(Coverage::Whole),
            18 | 29..=33 => Err(AuthError::Mismatch),
            other => panic!("frame {other} is no register"),
        };
        assert_eq!(verdict, expected, "frame {number}");
    }
    let data: Vec<_> = frames("vpp-xtr-with-oor")
        .iter()
        .filter(|frame| frame.source == IpAddr::from([10, 0, 0, 12]))
        .filter_map(|frame| MapRegister::parse(&frame.message).ok().map(|register| (register.nonce, frame)))
        .map(|(nonce, frame)| (nonce, frame.message[16..36].to_vec()))
        .collect();
    assert_eq!(data.len(), 6);
    assert!(data.windows(2).all(|pair| pair[0].0 != pair[1].0), "nonces differ");
    assert!(data.windows(2).all(|pair| pair[0].1 == pair[1].1), "and still the data is the same");
}
