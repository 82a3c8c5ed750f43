use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use proptest::prelude::*;

use super::*;

fn rewriting() -> Rewriting {
    let pair = |from: &str, to: &str| (from.parse().unwrap(), to.parse().unwrap());
    Rewriting {
        eids: vec![pair("10.1.0.0/16", "10.77.0.0/16"), pair("fd00:1::/32", "fd00:77::/32")],
        macs: vec![(Mac([2; 6]), Mac([6; 6]))],
        size: None,
    }
}

fn plain(v6: bool, tcp: bool, payload: &[u8]) -> Vec<u8> {
    let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let ip = if v6 {
        let address = |last| [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
        link.ipv6(address(1), address(2), 64)
    } else {
        link.ipv4([10, 1, 2, 3], [10, 1, 4, 5], 64)
    };
    let mut frame = Vec::new();
    if tcp {
        ip.tcp(1, 2, 3, 4).write(&mut frame, payload).unwrap();
    } else {
        ip.udp(1000, 2000).write(&mut frame, payload).unwrap();
    }
    frame
}

fn lisp(inner: &[u8], outer_v6: bool) -> Vec<u8> {
    let mut body = vec![0x08, 0, 0, 0, 0, 0, 100, 0];
    body.extend(&inner[14..]);
    let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let mut frame = Vec::new();
    if outer_v6 {
        link.ipv6([0x20; 16], [0x21; 16], 64).udp(60_000, 4341).write(&mut frame, &body).unwrap();
    } else {
        link.ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(60_000, 4341).write(&mut frame, &body).unwrap();
        frame[40..42].fill(0);
    }
    frame
}

/// A foreign judge: every header is whole, every length fits and every checksum is right.
fn judge(frame: &[u8]) {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    judge_ip(&sliced);
}

fn judge_ip(sliced: &SlicedPacket<'_>) {
    let udp = match (sliced.net.as_ref().unwrap(), sliced.transport.as_ref()) {
        (NetSlice::Ipv4(ip), transport) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            match transport {
                Some(TransportSlice::Tcp(tcp)) => {
                    let sum = tcp.to_header().calc_checksum_ipv4(&header, tcp.payload()).unwrap();
                    return assert_eq!(tcp.checksum(), sum);
                }
                Some(TransportSlice::Udp(udp)) => {
                    let sum = udp.to_header().calc_checksum_ipv4(&header, udp.payload()).unwrap();
                    assert!(udp.checksum() == sum || udp.checksum() == 0);
                    udp.clone()
                }
                _ => return,
            }
        }
        (NetSlice::Ipv6(ip), transport) => {
            let header = ip.header().to_header();
            match transport {
                Some(TransportSlice::Tcp(tcp)) => {
                    let sum = tcp.to_header().calc_checksum_ipv6(&header, tcp.payload()).unwrap();
                    return assert_eq!(tcp.checksum(), sum);
                }
                Some(TransportSlice::Udp(udp)) => {
                    let sum = udp.to_header().calc_checksum_ipv6(&header, udp.payload()).unwrap();
                    assert_eq!(udp.checksum(), sum);
                    udp.clone()
                }
                _ => return,
            }
        }
        _ => panic!("no IP"),
    };
    if udp.destination_port() == 4341 {
        judge_ip(&SlicedPacket::from_ip(&udp.payload()[8..]).unwrap());
    }
}

#[test]
fn addresses_inside_a_prefix_move_and_others_stay() {
    let mut done = Rewritten::default();
    for outer in [None, Some(false), Some(true)] {
        for (v6, tcp) in [(false, false), (false, true), (true, false), (true, true)] {
            let inner = plain(v6, tcp, &[7; 33]);
            let mut frame = outer.map_or(inner.clone(), |v6| lisp(&inner, v6));
            judge(&frame);
            rewriting().apply(&mut frame, &mut done);
            judge(&frame);
            let layer = *layers::of(&frame).last().unwrap();
            let wanted: [IpAddr; 2] = if v6 {
                ["fd00:77::1".parse().unwrap(), "fd00:77::2".parse().unwrap()]
            } else {
                ["10.77.2.3".parse().unwrap(), "10.77.4.5".parse().unwrap()]
            };
            assert_eq!(layer.addresses(&frame), wanted);
            assert_eq!((&frame[..6], &frame[6..12]), (&[4; 6][..], &[6; 6][..]));
        }
    }
    assert_eq!(done, Rewritten { readdressed: 12, ..done });
    let mut other = plain(false, false, &[]);
    Rewriting {
        macs: Vec::new(),
        eids: vec![("10.2.0.0/16".parse().unwrap(), "10.3.0.0/16".parse().unwrap())],
        size: None,
    }
    .apply(&mut other, &mut done);
    assert_eq!((other, done.readdressed), (plain(false, false, &[]), 12));
}

#[test]
fn a_wrong_checksum_stays_wrong_and_none_stays_none() {
    let mut done = Rewritten::default();
    let mut wrong = plain(false, false, &[7; 10]);
    wrong[40] ^= 0xff;
    rewriting().apply(&mut wrong, &mut done);
    let layer = layers::of(&wrong)[0];
    assert_eq!(layer.sums_up(&wrong), [true, false]);
    let mut none = plain(false, false, &[7; 10]);
    none[40..42].fill(0);
    rewriting().apply(&mut none, &mut done);
    assert_eq!(none[40..42], [0, 0]);
}

#[test]
fn arp_names_the_new_addresses_too() {
    let mut arp = vec![0xff; 6];
    arp.extend([2; 6]);
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend([2; 6]);
    arp.extend([10, 1, 0, 9]);
    arp.extend([0; 6]);
    arp.extend([10, 1, 0, 7]);
    rewriting().apply(&mut arp, &mut Rewritten::default());
    assert_eq!(
        (&arp[22..28], &arp[28..32], &arp[38..42]),
        (&[6; 6][..], &[10, 77, 0, 9][..], &[10, 77, 0, 7][..])
    );
}

#[test]
fn what_cannot_have_the_size_is_left_and_counted() {
    let mut done = Rewritten::default();
    let small = Rewriting { size: Some(64), ..Rewriting::default() };
    let mut tcp = plain(true, true, &[]);
    let before = tcp.clone();
    small.apply(&mut tcp, &mut done);
    assert_eq!((tcp, done.unfit), (before, 1));
    let mut fragment = plain(false, false, &[7; 200]);
    fragment[20] = 0x20;
    small.apply(&mut fragment, &mut done);
    assert_eq!((fragment.len(), done.unfit, done.resized), (242, 2, 0));
}

proptest! {
    #[test]
    fn any_size_fits_and_every_checksum_is_right(
        size in 100_usize..1500, payload in 0_usize..1200, v6: bool, tcp: bool, outer in 0_u8..3,
    ) {
        let inner = plain(v6, tcp, &vec![7; payload]);
        let mut frame = match outer { 0 => inner, n => lisp(&inner, n == 2) };
        let resizing = Rewriting { size: Some(size), ..rewriting() };
        let mut done = Rewritten::default();
        resizing.apply(&mut frame, &mut done);
        judge(&frame);
        if done.unfit == 0 {
            prop_assert_eq!(frame.len(), size - 4);
        } else {
            prop_assert!(size < 140);
        }
    }

    #[test]
    fn noise_never_panics(mut noise in proptest::collection::vec(any::<u8>(), 0..160), kind in 0_u8..4, size in 64_usize..300) {
        if noise.len() > 40 {
            let ethertype = [[8, 0], [0x86, 0xdd], [8, 6], [0x81, 0]][usize::from(kind)];
            noise[12..14].copy_from_slice(&ethertype);
            if kind == 0 {
                (noise[14], noise[16], noise[17], noise[23]) = (0x45, 0, 30, 17);
            }
        }
        Rewriting { size: Some(size), ..rewriting() }.apply(&mut noise, &mut Rewritten::default());
    }
}
