//! Splitting an inner IPv4 packet that is too big for the tunnel (RFC 9300 section 7.1).
//!
//! Two about equal halves rather than a full and a tiny one: whatever adds a few bytes further on then does not
//! split the first one again.
//! A packet that would need three is not ours to serve; its sender believes in an MTU no link here has.

use sterna_wire::ipv4::{self, Packet};

/// End of the options, and padding behind it (RFC 791).
const OPTION_END: u8 = 0;
/// The other option without a length.
const OPTION_NOP: u8 = 1;
/// The option is repeated in every fragment.
const COPIED: u8 = 0x80;
/// Fragments are cut at multiples of this many bytes.
const UNIT: usize = 8;

/// Splits a packet without the don't-fragment bit into two of at most `max` bytes each, and returns their lengths.
///
/// Fragments may be split again: offset and more-fragments flag stay true.
/// Bytes behind the packet's total length are left out.
/// `None`, with both buffers in any state: not an IPv4 packet, don't-fragment, more than two would be needed,
/// too little payload to cut, malformed options, or a buffer too small.
pub fn split_ipv4(packet: &[u8], max: usize, first: &mut [u8], second: &mut [u8]) -> Option<(usize, usize)> {
    let whole = Packet::new_checked(packet).ok()?;
    let payload = whole.payload();
    // All fragments but the last are multiples of eight (RFC 791); what is not was never one of several.
    if whole.dont_fragment() || (whole.more_fragments() && !payload.len().is_multiple_of(UNIT)) {
        return None;
    }
    let mut options = [0; ipv4::MAX_HEADER_LEN - ipv4::HEADER_LEN];
    let repeated = copied_options(whole.options(), &mut options)?;
    let (first_header, second_header) = (whole.header_len(), ipv4::HEADER_LEN + repeated);
    let cut = cut_at(payload.len(), max.checked_sub(first_header)?, max.checked_sub(second_header)?)?;

    let offset = usize::from(whole.fragment_offset());
    // The offset field has 13 bits of eight bytes each, and the datagram ends within 65,535 bytes.
    if offset + first_header + payload.len() > usize::from(u16::MAX) {
        return None;
    }
    let (front, back) = payload.split_at(cut);
    let lens = (first_header + front.len(), second_header + back.len());
    let (first, second) = (first.get_mut(..lens.0)?, second.get_mut(..lens.1)?);

    first.copy_from_slice(&packet[..lens.0]);
    finish(first, first_header, true, offset);
    second[..ipv4::HEADER_LEN].copy_from_slice(&packet[..ipv4::HEADER_LEN]);
    second[ipv4::HEADER_LEN..second_header].copy_from_slice(&options[..repeated]);
    second[second_header..].copy_from_slice(back);
    finish(second, second_header, whole.more_fragments(), offset + cut);
    Some(lens)
}

/// Where to cut a payload: near its middle, so that neither part passes its room.
fn cut_at(payload: usize, first_room: usize, second_room: usize) -> Option<usize> {
    let half = (payload / 2).next_multiple_of(UNIT);
    let cut = half.min(first_room / UNIT * UNIT);
    (cut > 0 && cut < payload && payload - cut <= second_room).then_some(cut)
}

/// Makes the header true for this fragment.
fn finish(fragment: &mut [u8], header_len: usize, more: bool, offset: usize) {
    // Both fit: the whole packet's total length and offset did.
    let len = fragment.len() as u16;
    let mut packet = Packet::new_unchecked(fragment);
    packet.set_version_and_header_len(header_len);
    packet.set_total_len(len);
    packet.set_fragment(false, more, offset as u16);
    packet.fill_checksum();
}

/// Writes the options that every fragment repeats, padded to a multiple of four, and returns how many bytes.
/// `None` when an option has no length or passes the header.
fn copied_options(options: &[u8], out: &mut [u8; 40]) -> Option<usize> {
    let (mut at, mut len) = (0, 0);
    while let Some(kind) = options.get(at) {
        let size = match *kind {
            OPTION_END => break,
            OPTION_NOP => 1,
            _ => usize::from(*options.get(at + 1).filter(|size| **size >= 2)?),
        };
        let option = options.get(at..at + size)?;
        if kind & COPIED != 0 {
            out.get_mut(len..len + size)?.copy_from_slice(option);
            len += size;
        }
        at += size;
    }
    Some(len.next_multiple_of(4))
}

#[cfg(test)]
mod test {
    use super::*;
    use etherparse::{Ipv4Header, Ipv4HeaderSlice, Ipv4Options};
    use proptest::prelude::*;

    /// A packet made by a foreign hand; its payload counts up.
    fn packet(options: &[u8], payload: usize, offset: u16, more: bool) -> Vec<u8> {
        let mut header =
            Ipv4Header::new(payload as u16, 17, etherparse::IpNumber::UDP, [10, 1, 0, 5], [10, 1, 2, 9])
                .unwrap();
        header.identification = 0xbeef;
        header.dont_fragment = false;
        header.more_fragments = more;
        header.fragment_offset = (offset / 8).try_into().unwrap();
        header.options = Ipv4Options::try_from(options).unwrap();
        header.set_payload_len(payload).unwrap();
        header.header_checksum = header.calc_header_checksum();
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend((0..payload).map(|n| (n % 251) as u8));
        bytes
    }

    fn split(packet: &[u8], max: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let (mut first, mut second) = ([0xa5; 2048], [0xa5; 2048]);
        let lens = split_ipv4(packet, max, &mut first, &mut second)?;
        Some((first[..lens.0].to_vec(), second[..lens.1].to_vec()))
    }

    /// Both fragments as a foreign parser sees them; their checksums and lengths must hold.
    fn judged(parts: &(Vec<u8>, Vec<u8>)) -> [(Ipv4Header, Vec<u8>); 2] {
        [&parts.0, &parts.1].map(|part| {
            let slice = Ipv4HeaderSlice::from_slice(part).unwrap();
            let header = slice.to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert_eq!(usize::from(header.total_len), part.len());
            let payload = part[slice.slice().len()..].to_vec();
            (header, payload)
        })
    }

    #[test]
    fn two_about_equal_halves() {
        let whole = packet(&[], 1480, 0, false);
        let parts = split(&whole, 1464).unwrap();
        assert_eq!((parts.0.len(), parts.1.len()), (764, 756));
        let [(first, front), (second, back)] = judged(&parts);
        assert!(first.more_fragments && !second.more_fragments);
        assert_eq!((first.fragment_offset.value(), second.fragment_offset.value()), (0, 744 / 8));
        assert_eq!((first.identification, second.identification), (0xbeef, 0xbeef));
        assert_eq!((first.time_to_live, second.time_to_live), (17, 17));
        assert_eq!([front, back].concat(), whole[20..]);
    }

    #[test]
    fn a_fragment_is_split_on() {
        let parts = split(&packet(&[], 1000, 2000, true), 600).unwrap();
        let [(first, _), (second, _)] = judged(&parts);
        assert!(first.more_fragments && second.more_fragments, "neither is the last");
        assert_eq!((first.fragment_offset.value(), second.fragment_offset.value()), (250, 250 + 63));
        let parts = split(&packet(&[], 1001, 2000, false), 600).unwrap();
        let [(first, _), (second, _)] = judged(&parts);
        assert!(first.more_fragments && !second.more_fragments, "the second is the last");
    }

    #[test]
    fn options_follow_their_copy_bit() {
        // Timestamp (not copied), no-operation, loose source route (copied), security (copied), end.
        let options =
            [68, 8, 5, 0, 1, 2, 3, 4, 1, 131, 7, 4, 10, 0, 0, 1, 0x82, 5, 0xaa, 0xbb, 0xcc, 0, 0, 0];
        let parts = split(&packet(&options, 800, 0, false), 500).unwrap();
        let [(first, _), (second, _)] = judged(&parts);
        assert_eq!(first.options.as_slice(), options);
        assert_eq!(second.options.as_slice(), [131, 7, 4, 10, 0, 0, 1, 0x82, 5, 0xaa, 0xbb, 0xcc]);
        let parts = split(&packet(&[0x83, 3, 4, 0], 800, 0, false), 500).unwrap();
        assert_eq!(judged(&parts)[1].0.options.as_slice(), [0x83, 3, 4, 0], "padded with the end of options");
    }

    #[test]
    fn what_two_cannot_do() {
        let whole = packet(&[], 1480, 0, false);
        assert!(split(&whole, 764).is_some());
        assert!(split(&whole, 763).is_none(), "eight-byte units leave three parts");
        assert!(split(&whole, 20).is_none() && split(&whole, 0).is_none());
        assert!(split(&packet(&[], 8, 0, false), 1464).is_none(), "nothing to cut");
        assert!(split(&packet(&[], 9, 0, false), 1464).is_some());
        assert!(
            split(&packet(&[], 1001, 0, true), 600).is_none(),
            "more follow, yet not a multiple of eight"
        );
        assert!(split(&packet(&[], 1000, 65528, false), 600).is_none(), "would pass the largest datagram");
        let mut dont = packet(&[], 1480, 0, false);
        dont[6] |= 0x40;
        assert!(split(&dont, 1464).is_none());
        for broken in [[131, 0, 0, 0], [131, 1, 0, 0], [1, 1, 1, 131], [131, 5, 0, 0]] {
            assert!(split(&packet(&broken, 1000, 0, false), 600).is_none(), "{broken:?}");
        }
        let mut room = [0; 2048];
        assert!(split_ipv4(&whole, 1464, &mut room, &mut [0; 755]).is_none());
        assert!(split_ipv4(&whole, 1464, &mut [0; 763], &mut room).is_none());
    }

    #[test]
    fn padding_behind_the_packet_is_left_out() {
        let whole = packet(&[], 1480, 0, false);
        let padded = [&whole[..], &[0xee; 20]].concat();
        assert_eq!(split(&padded, 1464), split(&whole, 1464));
    }

    proptest! {
        #[test]
        fn halves_join_to_the_whole(
            payload in 0usize..1900,
            options in prop::collection::vec(any::<u8>(), 0..=10),
            max in 0usize..1600,
            unit in 0u16..4000,
            more in any::<bool>(),
        ) {
            let options: Vec<u8> = options.iter().flat_map(|kind| [*kind, 4, 1, 1]).collect();
            let whole = packet(&options, payload, unit * 8, more);
            if let Some(parts) = split(&whole, max) {
                prop_assert!(parts.0.len() <= max && parts.1.len() <= max);
                let [(first, front), (second, back)] = judged(&parts);
                prop_assert_eq!(usize::from(second.fragment_offset.value() - first.fragment_offset.value()) * 8, front.len());
                prop_assert_eq!(second.more_fragments, more);
                prop_assert!(first.more_fragments && !first.dont_fragment);
                prop_assert_eq!([front, back].concat(), &whole[20 + options.len()..]);
            }
        }

        #[test]
        fn noise_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), ihl in 5u8..16, max in 0usize..200) {
            let mut bytes = bytes;
            if bytes.len() > 3 {
                bytes[0] = 0x40 | ihl;
                let len = bytes.len() as u16;
                bytes[2..4].copy_from_slice(&len.to_be_bytes());
            }
            split(&bytes, max);
        }
    }
}
