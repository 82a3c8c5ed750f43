//! Wrong control messages, byte by byte, since our own writer would refuse to write them.

use std::net::{IpAddr, Ipv4Addr};

use super::Scene;
use super::craft::{LISP_CONTROL, PROTO_UDP, ip, ip_frame, udp};

const AFI_V4: u16 = 1;
const AFI_V6: u16 = 2;
const AFI_LCAF: u16 = 16_387;
const LCAF_IID: u8 = 2;
const NONCE: u64 = 0x5354_0000_0000_0001;
const HMAC_SHA1: u8 = 1;
const HMAC_SHA256: u8 = 2;
/// An RLOC that nobody knows (TEST-NET-3, RFC 5737).
const STRANGER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);

/// A message to the control port.
fn message(scene: &Scene, bytes: &[u8]) -> Vec<u8> {
    message_from(scene, scene.r4[0], bytes)
}

fn message_from(scene: &Scene, from: Ipv4Addr, bytes: &[u8]) -> Vec<u8> {
    ip_frame(scene, &packet_from(scene, from, bytes))
}

fn packet_from(scene: &Scene, from: Ipv4Addr, bytes: &[u8]) -> Vec<u8> {
    let (from, to) = (IpAddr::V4(from), IpAddr::V4(scene.r4[1]));
    ip(from, to, PROTO_UDP, &udp(from, to, (LISP_CONTROL, LISP_CONTROL), bytes))
}

fn afi4(address: Ipv4Addr) -> Vec<u8> {
    [&AFI_V4.to_be_bytes()[..], &address.octets()].concat()
}

//------------ Map-Request -----------------------------------------------------------------------------------

struct Request {
    flags: u8,
    nonce: u64,
    itr_rlocs: u8,
    /// What the record count says.
    records: u8,
    /// Mask length and EID of the one record; `None`: no record.
    record: Option<(u8, Vec<u8>)>,
}

impl Request {
    fn of(scene: &Scene) -> Self {
        let record = Some((32, afi4(scene.e4[1])));
        Self { flags: 0, nonce: NONCE + scene.turn, itr_rlocs: 1, records: 1, record }
    }

    fn eid(scene: &Scene, mask: u8, eid: Vec<u8>) -> Self {
        Self { record: Some((mask, eid)), ..Self::of(scene) }
    }

    fn bytes(&self, scene: &Scene) -> Vec<u8> {
        // The count of ITR-RLOCs is written minus one; the source EID is absent (AFI 0).
        let mut bytes = vec![0x10 | self.flags, 0, self.itr_rlocs - 1, self.records];
        bytes.extend(self.nonce.to_be_bytes());
        bytes.extend([0, 0]);
        (0..self.itr_rlocs).for_each(|_| bytes.extend(afi4(scene.r4[0])));
        if let Some((mask, eid)) = &self.record {
            bytes.extend([0, *mask]);
            bytes.extend(eid);
        }
        bytes
    }
}

fn request(scene: &Scene, request: &Request) -> Vec<u8> {
    message(scene, &request.bytes(scene))
}

pub fn request_itr_rlocs_32(scene: &Scene) -> Vec<u8> {
    request(scene, &Request { itr_rlocs: 32, ..Request::of(scene) })
}

pub fn request_records_0(scene: &Scene) -> Vec<u8> {
    request(scene, &Request { records: 0, record: None, ..Request::of(scene) })
}

pub fn request_records_255(scene: &Scene) -> Vec<u8> {
    request(scene, &Request { records: 255, ..Request::of(scene) })
}

pub fn request_mask_33(scene: &Scene) -> Vec<u8> {
    request(scene, &Request::eid(scene, 33, afi4(scene.e4[1])))
}

pub fn request_mask_129(scene: &Scene) -> Vec<u8> {
    let eid = [&AFI_V6.to_be_bytes()[..], &scene.e6[1].octets()].concat();
    request(scene, &Request::eid(scene, 129, eid))
}

pub fn request_afi_unknown(scene: &Scene) -> Vec<u8> {
    request(scene, &Request::eid(scene, 32, vec![0x12, 0x34, 1, 2, 3, 4]))
}

/// A canonical address of the instance-ID kind around an address; `length` is what it says, `None`: the truth.
fn lcaf(address: &[u8], length: Option<u16>) -> Vec<u8> {
    let length = length.unwrap_or(4 + address.len() as u16);
    let head = [0, 0, LCAF_IID, 0];
    [&AFI_LCAF.to_be_bytes()[..], &head, &length.to_be_bytes(), &[0, 0, 0, 1], address].concat()
}

pub fn lcaf_nested_16(scene: &Scene) -> Vec<u8> {
    let eid = (0..16).fold(afi4(scene.e4[1]), |address, _| lcaf(&address, None));
    request(scene, &Request::eid(scene, 32, eid))
}

pub fn lcaf_length_lies(scene: &Scene) -> Vec<u8> {
    request(scene, &Request::eid(scene, 32, lcaf(&afi4(scene.e4[1]), Some(0xffff))))
}

pub fn nonce_zero(scene: &Scene) -> Vec<u8> {
    request(scene, &Request { nonce: 0, ..Request::of(scene) })
}

pub fn smr_unknown_rloc(scene: &Scene) -> Vec<u8> {
    let stranger = Scene { r4: [STRANGER, scene.r4[1]], ..*scene };
    message(&stranger, &Request { flags: 0x01, ..Request::of(scene) }.bytes(&stranger))
}

pub fn ecm_in_ecm(scene: &Scene) -> Vec<u8> {
    let encapsulate = |bytes: &[u8]| [&[0x80, 0, 0, 0], &packet_from(scene, scene.r4[0], bytes)[..]].concat();
    message(scene, &encapsulate(&encapsulate(&Request::of(scene).bytes(scene))))
}

//------------ Records of Map-Reply and Map-Register ---------------------------------------------------------

/// An EID record with one locator.
fn record(scene: &Scene, ttl: u32) -> Vec<u8> {
    let mut bytes = ttl.to_be_bytes().to_vec();
    bytes.extend([1, 32, 0x10, 0, 0, 0]);
    bytes.extend(afi4(scene.e4[1]));
    // Priority and weight, no multicast, reachable.
    bytes.extend([1, 100, 255, 0, 0, 1]);
    bytes.extend(afi4(scene.r4[0]));
    bytes
}

fn reply(scene: &Scene, ttl: u32) -> Vec<u8> {
    let head = [&[0x20, 0, 0, 1][..], &(NONCE + scene.turn).to_be_bytes()].concat();
    message(scene, &[head, record(scene, ttl)].concat())
}

pub fn reply_ttl_0(scene: &Scene) -> Vec<u8> {
    reply(scene, 0)
}

pub fn reply_ttl_max(scene: &Scene) -> Vec<u8> {
    reply(scene, u32::MAX)
}

/// A Map-Register up to its authentication data, which is said to have `length` bytes.
fn register(nonce: u64, key: u8, algorithm: u8, length: u16) -> Vec<u8> {
    let mut bytes = vec![0x30, 0, 0x01, 1];
    bytes.extend(nonce.to_be_bytes());
    bytes.extend([key, algorithm]);
    bytes.extend(length.to_be_bytes());
    bytes
}

/// A whole Map-Register with as many bytes of authentication data as it says.
fn whole_register(scene: &Scene, nonce: u64, key: u8, algorithm: u8, length: u16) -> Vec<u8> {
    let authentication = vec![0xa5; usize::from(length)];
    message(scene, &[register(nonce, key, algorithm, length), authentication, record(scene, 1440)].concat())
}

pub fn register_auth_length(scene: &Scene) -> Vec<u8> {
    whole_register(scene, NONCE + scene.turn, 1, HMAC_SHA1, 7)
}

pub fn register_algorithm_0(scene: &Scene) -> Vec<u8> {
    whole_register(scene, NONCE + scene.turn, 1, 0, 0)
}

pub fn register_mac_truncated(scene: &Scene) -> Vec<u8> {
    message(scene, &[register(NONCE + scene.turn, 1, HMAC_SHA256, 32), vec![0xa5; 8]].concat())
}

pub fn register_key_unknown(scene: &Scene) -> Vec<u8> {
    whole_register(scene, NONCE + scene.turn, 255, HMAC_SHA256, 32)
}

pub fn nonce_wrap(scene: &Scene) -> Vec<u8> {
    whole_register(scene, u64::MAX.wrapping_add(scene.turn & 1), 1, HMAC_SHA256, 32)
}

pub fn info_request(scene: &Scene) -> Vec<u8> {
    let mut bytes = vec![0x70, 0, 0, 0];
    bytes.extend((NONCE + scene.turn).to_be_bytes());
    // No key, no authentication, TTL, and an EID that is absent.
    bytes.extend([0; 4]);
    bytes.extend(1_440_u32.to_be_bytes());
    bytes.extend([0; 4]);
    message(scene, &bytes)
}
