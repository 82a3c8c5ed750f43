//! What must hold for each format, whatever the bytes.

use std::net::{IpAddr, Ipv6Addr};

use sterna_wire::lisp::data;
use sterna_wire::{
    Dscp, Ecn, Error, Protocol, arp, checksum, ethernet, icmpv4, icmpv6, ipv4, ipv6, ndisc, tcp, udp, vlan,
};

use super::{V4, V6};

/// What emitted bytes are laid over, so that a byte left out shows.
const STALE: u8 = 0xa5;

/// An IPv6 header in which neighbour discovery is allowed.
pub(super) fn neighbor() -> ipv6::Repr {
    ipv6::Repr {
        source: V6.0,
        destination: V6.1,
        next_header: Protocol::ICMPV6,
        payload_len: 0,
        hop_limit: ndisc::HOP_LIMIT,
        dscp: Dscp::DEFAULT,
        ecn: Ecn::NOT_ECT,
        flow_label: 0,
    }
}

pub(super) fn ethernet(bytes: &[u8]) {
    use ethernet::{Packet, Repr};
    let Ok(repr) = Repr::parse(&Packet::new_unchecked(bytes)) else {
        return;
    };
    let mut again = vec![STALE; repr.buffer_len()];
    repr.emit(&mut Packet::new_unchecked(&mut again[..]));
    assert_eq!(again, bytes[..again.len()], "every bit of this header has a meaning");
    assert_eq!(Repr::parse(&Packet::new_unchecked(&again[..])), Ok(repr));
}

pub(super) fn vlan(bytes: &[u8]) {
    use vlan::{Packet, Repr};
    let Ok(repr) = Repr::parse(&Packet::new_unchecked(bytes)) else {
        return;
    };
    let mut again = vec![STALE; repr.buffer_len()];
    repr.emit(&mut Packet::new_unchecked(&mut again[..]));
    assert_eq!(again, bytes[..again.len()], "every bit of this tag has a meaning");
    assert_eq!(Repr::parse(&Packet::new_unchecked(&again[..])), Ok(repr));
}

pub(super) fn arp(bytes: &[u8]) {
    use arp::{Packet, Repr};
    let Ok(repr) = Repr::parse(&Packet::new_unchecked(bytes)) else {
        return;
    };
    let mut again = vec![STALE; repr.buffer_len()];
    repr.emit(&mut Packet::new_unchecked(&mut again[..]));
    assert_eq!(again, bytes[..again.len()], "every bit of this message has a meaning");
    assert!(!(repr.is_probe() && repr.is_gratuitous()));
}

pub(super) fn ipv4(bytes: &[u8]) {
    use ipv4::{Packet, Repr};
    let packet = match Packet::new_checked(bytes) {
        Ok(packet) => packet,
        Err(reason) => {
            assert_eq!(Repr::parse(&Packet::new_unchecked(bytes)), Err(reason));
            return;
        }
    };
    assert_eq!(packet.options().len(), packet.header_len() - ipv4::HEADER_LEN);
    assert_eq!(packet.payload().len(), usize::from(packet.total_len()) - packet.header_len());
    let mut sealed = bytes.to_vec();
    Packet::new_unchecked(&mut sealed[..]).fill_checksum();
    match Repr::parse(&Packet::new_unchecked(&sealed[..])) {
        Ok(repr) => {
            let mut again = vec![STALE; repr.buffer_len() + usize::from(repr.payload_len)];
            repr.emit(&mut Packet::new_unchecked(&mut again[..]));
            assert_eq!(Repr::parse(&Packet::new_unchecked(&again[..])), Ok(repr));
        }
        Err(reason) => assert_eq!(reason, Error::BadLength, "only a fragment beyond 65535 bytes"),
    }
}

pub(super) fn ipv6(bytes: &[u8]) {
    use ipv6::{Packet, Repr};
    let Ok(repr) = Repr::parse(&Packet::new_unchecked(bytes)) else {
        return;
    };
    let mut again = vec![STALE; repr.buffer_len() + usize::from(repr.payload_len)];
    repr.emit(&mut Packet::new_unchecked(&mut again[..]));
    assert_eq!(again[..ipv6::HEADER_LEN], bytes[..ipv6::HEADER_LEN]);
    assert_eq!(Repr::parse(&Packet::new_unchecked(&again[..])), Ok(repr));
}

pub(super) fn udp(bytes: &[u8], source: IpAddr, destination: IpAddr) {
    use udp::{Packet, Repr};
    let packet = match Packet::new_checked(bytes) {
        Ok(packet) => packet,
        Err(reason) => {
            let refused = Repr::parse(&Packet::new_unchecked(bytes), source, destination);
            assert_eq!(refused, Err(reason));
            return;
        }
    };
    assert_eq!(packet.payload().len() + udp::HEADER_LEN, usize::from(packet.len()));
    let mut sealed = bytes.to_vec();
    Packet::new_unchecked(&mut sealed[..]).fill_checksum(source, destination);
    let sealed = Packet::new_unchecked(&sealed[..]);
    let repr = Repr::parse(&sealed, source, destination).unwrap();
    assert_ne!(sealed.checksum(), 0, "zero would mean that there is none");
    let mut again = vec![STALE; repr.buffer_len() + usize::from(repr.payload_len)];
    repr.emit(&mut Packet::new_unchecked(&mut again[..]));
    assert_eq!(again[..6], bytes[..6]);
    assert_eq!(Repr::parse(&Packet::new_unchecked(&again[..]), source, destination), Ok(repr));
}

pub(super) fn tcp(bytes: &[u8], source: IpAddr, destination: IpAddr) {
    use tcp::{Packet, Repr};
    let packet = match Packet::new_checked(bytes) {
        Ok(packet) => packet,
        Err(reason) => {
            let refused = Repr::parse(&Packet::new_unchecked(bytes), source, destination);
            assert_eq!(refused, Err(reason));
            return;
        }
    };
    let parts = tcp::HEADER_LEN + packet.options().len() + packet.payload().len();
    assert_eq!(parts, bytes.len());
    if let Some(at) = packet.mss_option_offset() {
        assert!(at >= tcp::HEADER_LEN + 2 && at + 2 <= packet.header_len());
    }
    let mut sealed = bytes.to_vec();
    Packet::new_unchecked(&mut sealed[..]).fill_checksum(source, destination);
    let Ok(repr) = Repr::parse(&Packet::new_unchecked(&sealed[..]), source, destination) else {
        return assert!(bytes.len() > usize::from(u16::MAX), "too long for IPv4 only");
    };
    let mut again = vec![STALE; repr.buffer_len()];
    let mut packet = Packet::new_unchecked(&mut again[..]);
    repr.emit(&mut packet);
    packet.fill_checksum(source, destination);
    assert_eq!(Repr::parse(&Packet::new_unchecked(&again[..]), source, destination), Ok(repr));
    clamp(&mut sealed, source, destination);
}

/// A segment with a right checksum keeps it when its MSS is lowered.
fn clamp(sealed: &mut [u8], source: IpAddr, destination: IpAddr) {
    let before = tcp::Packet::new_unchecked(&*sealed).mss();
    let mut packet = tcp::Packet::new_unchecked(&mut *sealed);
    if packet.clamp_mss(1000) {
        assert!(packet.verify_checksum(source, destination));
        assert_eq!(packet.mss(), Some(1000));
        assert!(before > Some(1000));
    }
}

pub(super) fn icmpv4(bytes: &[u8]) {
    use icmpv4::{Packet, Repr};
    if Packet::new_checked(bytes).is_err() {
        return;
    }
    let mut sealed = bytes.to_vec();
    Packet::new_unchecked(&mut sealed[..]).fill_checksum();
    match Repr::parse(&Packet::new_unchecked(&sealed[..])) {
        Ok(repr) => {
            let mut again = vec![STALE; repr.buffer_len()];
            repr.emit(&mut Packet::new_unchecked(&mut again[..]));
            assert_eq!(again.len(), sealed.len());
            assert_eq!(Repr::parse(&Packet::new_unchecked(&again[..])), Ok(repr));
        }
        Err(reason) => assert!(matches!(reason, Error::Unsupported | Error::BadHeader)),
    }
}

pub(super) fn icmpv6(bytes: &[u8], source: Ipv6Addr, destination: Ipv6Addr) {
    use icmpv6::{Packet, Repr};
    if Packet::new_checked(bytes).is_err() {
        return;
    }
    let mut sealed = bytes.to_vec();
    Packet::new_unchecked(&mut sealed[..]).fill_checksum(source, destination);
    match Repr::parse(&Packet::new_unchecked(&sealed[..]), source, destination) {
        Ok(repr) => {
            let mut again = vec![STALE; repr.buffer_len()];
            repr.emit(&mut Packet::new_unchecked(&mut again[..]), source, destination);
            let parsed = Repr::parse(&Packet::new_unchecked(&again[..]), source, destination);
            assert_eq!(parsed, Ok(repr));
        }
        Err(reason) => assert!(matches!(reason, Error::Unsupported | Error::BadHeader)),
    }
}

pub(super) fn ndisc(bytes: &[u8], ip: &ipv6::Repr) {
    use ndisc::{Packet, Repr};
    let Ok(packet) = Packet::new_checked(bytes) else {
        return;
    };
    let _ = (packet.target(), packet.flags(), packet.mac_option(ndisc::MacOption::Target));
    let mut sealed = bytes.to_vec();
    Packet::new_unchecked(&mut sealed[..]).fill_checksum(ip.source, ip.destination);
    let Ok(repr) = Repr::parse(&Packet::new_unchecked(&sealed[..]), ip) else {
        return;
    };
    let mut again = vec![STALE; repr.buffer_len()];
    repr.emit(&mut Packet::new_unchecked(&mut again[..]), ip.source, ip.destination);
    assert_eq!(Repr::parse(&Packet::new_unchecked(&again[..]), ip), Ok(repr));
}

pub(super) fn lisp_data(bytes: &[u8]) {
    use data::{Packet, Repr};
    let Ok(repr) = Repr::parse(&Packet::new_unchecked(bytes)) else {
        assert!(bytes.len() < data::HEADER_LEN, "any eight bytes are a header");
        return;
    };
    let mut again = vec![STALE; repr.buffer_len()];
    repr.emit(&mut Packet::new_unchecked(&mut again[..]));
    assert_eq!(Repr::parse(&Packet::new_unchecked(&again[..])), Ok(repr));
    let raw = Packet::new_unchecked(bytes).raw_iid();
    assert_eq!(repr.instance.iid().map_or(0xff_ffff, sterna_wire::Iid::get), raw);
}

/// Whatever is reported fits its bound, adds up, and is never reported about itself.
pub(super) fn reports(bytes: &[u8]) {
    let mut out = [STALE; ipv6::MIN_MTU];
    let problem = icmpv4::Problem::FragmentationNeeded { next_hop_mtu: 1400 };
    if let Ok(report) = icmpv4::report(problem, bytes, V4.0) {
        let len = report.emit(&mut out).unwrap();
        assert!(len <= icmpv4::MAX_REPORT_LEN);
        let packet = ipv4::Packet::new_checked(&out[..len]).unwrap();
        assert_eq!(ipv4::Repr::parse(&packet), Ok(report.ip));
        assert!(checksum::verify(packet.payload()));
        assert!(icmpv4::report(problem, &out[..len], V4.1).is_err());
    }
    let problem = icmpv6::Problem::PacketTooBig { mtu: 1400 };
    if let Ok(report) = icmpv6::report(problem, bytes, V6.0) {
        let len = report.emit(&mut out).unwrap();
        assert!(len <= icmpv6::MAX_REPORT_LEN);
        let packet = ipv6::Packet::new_checked(&out[..len]).unwrap();
        assert_eq!(ipv6::Repr::parse(&packet), Ok(report.ip));
        let message = icmpv6::Packet::new_unchecked(packet.payload());
        assert!(message.verify_checksum(packet.source(), packet.destination()));
        assert!(icmpv6::report(problem, &out[..len], V6.1).is_err());
    }
}
