//! What holds for every value: noise panics nobody, and `parse` gives back what `emit` wrote.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod strategies;
mod targets;

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sterna_wire::lisp::data;
use sterna_wire::{
    Error, Family, Iid, Mac, Prefix, Protocol, addr_bytes, addr_from_bytes, arp, checksum, ethernet, icmpv4,
    icmpv6, ipv4, ipv6, ipv6_ext, ndisc, tcp, udp, vlan,
};

/// `emit` over stale bytes, then `parse`.
macro_rules! round_trip {
    ($format:ident, $repr:expr, $extra:expr $(, emit: $emit_with:expr)* $(; parse: $parse_with:expr)*) => {{
        let repr = $repr;
        let mut bytes = std::vec![0xa5; repr.buffer_len() + $extra];
        repr.emit(&mut $format::Packet::new_unchecked(&mut bytes[..]) $(, $emit_with)*);
        let packet = $format::Packet::new_checked(&bytes[..]).unwrap();
        prop_assert_eq!($format::Repr::parse(&packet $(, $parse_with)*), Ok(repr));
    }};
}

proptest! {
    #[test]
    fn noise_panics_no_parser(bytes in vec(any::<u8>(), 0..160)) {
        targets::parse_frame(&bytes);
        targets::parse_lisp(&bytes);
    }

    #[test]
    fn noise_with_an_ip_version_panics_nobody(mut bytes in vec(any::<u8>(), 1..160), v6: bool) {
        bytes[0] = bytes[0] & 0x0f | if v6 { 0x60 } else { 0x40 };
        targets::every_parser(&bytes);
    }

    #[test]
    fn damaged_frames_panic_nobody(
        mut frame in strategies::frame(),
        damage in vec((any::<Index>(), any::<u8>()), 0..6),
        keep in any::<Index>(),
        cut: bool,
    ) {
        for (at, value) in damage {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        if cut {
            frame.truncate(keep.index(frame.len()));
        }
        targets::parse_frame(&frame);
    }

    #[test]
    fn ethernet_round_trip(repr in strategies::ethernet()) {
        round_trip!(ethernet, repr, 0);
    }

    #[test]
    fn vlan_round_trip(repr in strategies::vlan()) {
        round_trip!(vlan, repr, 0);
    }

    #[test]
    fn arp_round_trip(repr in strategies::arp()) {
        round_trip!(arp, repr, 0);
        let reply = repr.reply(Mac([2, 0, 0, 0, 0, 1]));
        prop_assert_eq!((reply.target_mac, reply.target_ip), (repr.source_mac, repr.source_ip));
    }

    #[test]
    fn ipv4_round_trip(repr in strategies::ipv4()) {
        round_trip!(ipv4, repr, usize::from(repr.payload_len));
    }

    #[test]
    fn ipv6_round_trip(repr in strategies::ipv6()) {
        round_trip!(ipv6, repr, usize::from(repr.payload_len));
    }

    #[test]
    fn udp_round_trip(repr in strategies::udp(), (from, to) in strategies::ends()) {
        round_trip!(udp, repr, usize::from(repr.payload_len); parse: from; parse: to);
    }

    #[test]
    fn udp_checksums_hold(
        repr in strategies::udp(),
        (from, to) in strategies::ends(),
        flip in any::<Index>(),
        bit in 0..8u8,
    ) {
        let mut bytes = vec![0x5a; 8 + usize::from(repr.payload_len)];
        let mut packet = udp::Packet::new_unchecked(&mut bytes[..]);
        repr.emit(&mut packet);
        packet.fill_checksum(from, to);
        prop_assert_eq!(udp::Repr::parse(&udp::Packet::new_unchecked(&bytes[..]), from, to), Ok(repr));
        // One bit anywhere shows, unless it makes the length impossible or the checksum absent.
        bytes[flip.index(repr.payload_len.into()) + 8] ^= 1 << bit;
        let damaged = udp::Repr::parse(&udp::Packet::new_unchecked(&bytes[..]), from, to);
        prop_assert_eq!(damaged, Err(Error::BadChecksum));
    }

    #[test]
    fn tcp_round_trip(repr in strategies::tcp(), (from, to) in strategies::ends()) {
        let mut bytes = vec![0xa5; repr.buffer_len()];
        let mut packet = tcp::Packet::new_unchecked(&mut bytes[..]);
        repr.emit(&mut packet);
        packet.fill_checksum(from, to);
        let packet = tcp::Packet::new_checked(&bytes[..]).unwrap();
        prop_assert_eq!(tcp::Repr::parse(&packet, from, to), Ok(repr));
    }

    #[test]
    fn clamped_segments_add_up(
        mut bytes in strategies::syn(),
        (from, to) in strategies::ends(),
        limit: u16,
    ) {
        let mut packet = tcp::Packet::new_unchecked(&mut bytes[..]);
        packet.fill_checksum(from, to);
        let before = packet.mss();
        let changed = packet.clamp_mss(limit);
        prop_assert_eq!(changed, before.is_some_and(|mss| mss > limit));
        prop_assert_eq!(packet.mss(), before.map(|mss| mss.min(limit)));
        prop_assert!(packet.verify_checksum(from, to));
    }

    #[test]
    fn icmpv4_round_trip(parts in strategies::icmp_parts()) {
        round_trip!(icmpv4, strategies::icmpv4(&parts), 0);
    }

    #[test]
    fn icmpv6_round_trip(parts in strategies::icmp_parts(), (a, b) in strategies::ends_v6()) {
        round_trip!(icmpv6, strategies::icmpv6(&parts), 0, emit: a, emit: b; parse: a; parse: b);
    }

    #[test]
    fn ndisc_round_trip((repr, ip) in strategies::ndisc()) {
        let mut bytes = vec![0xa5; repr.buffer_len()];
        repr.emit(&mut ndisc::Packet::new_unchecked(&mut bytes[..]), ip.source, ip.destination);
        let packet = ndisc::Packet::new_checked(&bytes[..]).unwrap();
        prop_assert_eq!(ndisc::Repr::parse(&packet, &ip), Ok(repr));
        let far = ipv6::Repr { hop_limit: 254, ..ip };
        prop_assert_eq!(ndisc::Repr::parse(&packet, &far), Err(Error::BadHopLimit));
    }

    #[test]
    fn lisp_round_trip(repr in strategies::lisp()) {
        round_trip!(data, repr, 0);
    }

    #[test]
    fn any_lisp_header_means_what_its_echo_means(bytes: [u8; 8]) {
        let repr = data::Repr::parse(&data::Packet::new_unchecked(&bytes[..])).unwrap();
        round_trip!(data, repr, 0);
    }

    #[test]
    fn the_extension_walk_finds_what_stands_behind(
        chain in vec(strategies::extension(), 0..=8),
        upper in prop::sample::select(vec![6u8, 17, 58, 59, 50, 132]),
        tail in vec(any::<u8>(), 0..9),
    ) {
        let mut kinds: Vec<u8> = chain.iter().map(|(kind, _)| *kind).collect();
        kinds.push(upper);
        let mut payload = Vec::new();
        for (index, (_, units)) in chain.iter().enumerate() {
            let start = payload.len();
            payload.extend([kinds[index + 1], *units]);
            payload.resize(start + (usize::from(*units) + 1) * 8, 0x77);
        }
        let offset = payload.len();
        payload.extend(tail);
        let found = ipv6_ext::walk(Protocol(kinds[0]), &payload).unwrap();
        prop_assert_eq!((found.proto, found.offset, found.fragment), (Protocol(upper), offset, None));
    }

    #[test]
    fn differences_give_what_the_whole_gives(
        mut bytes in vec(any::<u8>(), 2..64),
        at in any::<Index>(),
        new: u16,
    ) {
        let at = at.index(bytes.len() / 2) * 2;
        let before = checksum::fold(checksum::sum(&bytes));
        let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
        let after = checksum::fold(checksum::sum(&bytes));
        let updated = checksum::update16(before, old, new);
        // Both zeros of ones' complement are the same number; only all-zero data makes the second.
        prop_assert!(updated == after || updated == 0 && after == 0xffff, "{updated:04x} {after:04x}");
    }

    #[test]
    fn partials_add_up(bytes in vec(any::<u8>(), 0..300), cut in any::<Index>()) {
        let cut = cut.index(bytes.len() / 2 + 1) * 2;
        let parts = checksum::sum(&bytes[..cut]) + checksum::sum(&bytes[cut..]);
        prop_assert_eq!(checksum::fold(parts), checksum::fold(checksum::sum(&bytes)));
    }

    #[test]
    fn prefixes_survive_text(address in any::<IpAddr>(), len in 0..=128u8) {
        let len = len.min(Family::of(address).bits());
        let prefix = Prefix::masked(address, len).unwrap();
        prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
        prop_assert!(prefix.contains(address));
        prop_assert_eq!(Prefix::new(prefix.addr(), len), Ok(prefix));
        prop_assert!(prefix.covers(&Prefix::host(address)));
    }

    #[test]
    fn containment_is_agreement_in_the_first_bits(a in any::<IpAddr>(), b in any::<IpAddr>(), len in 0..=128u8) {
        let len = len.min(Family::of(a).bits());
        let inside = Prefix::masked(a, len).unwrap().contains(b);
        let bits = |address| u128::from_be_bytes(addr_bytes(address));
        let differing = (bits(a) ^ bits(b)).leading_zeros() < u32::from(len);
        prop_assert_eq!(inside, Family::of(a) == Family::of(b) && !differing);
    }

    #[test]
    fn addresses_survive_their_bytes(address in any::<IpAddr>()) {
        prop_assert_eq!(addr_from_bytes(Family::of(address), &addr_bytes(address)), address);
    }

    #[test]
    fn names_survive_text(mac: [u8; 6], iid in 0..Iid::RESERVED) {
        prop_assert_eq!(Mac(mac).to_string().parse(), Ok(Mac(mac)));
        let iid = Iid::new(iid).unwrap();
        prop_assert_eq!(iid.to_string().parse(), Ok(iid));
    }

    #[test]
    fn no_text_panics(text in "[0-9a-fA-F:./ x]{0,40}") {
        let _ = (text.parse::<Mac>(), text.parse::<Prefix>(), text.parse::<Iid>());
    }
}
